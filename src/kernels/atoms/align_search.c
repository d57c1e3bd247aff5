/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "align_parts.h"
#include "lattice_parts.h"
#include "perrin/math/linear.h"
#include "perrin/math/rotation.h"

#include <stdlib.h>

enum { CORE = 160, CORE_ROUNDS = 8, BEST = 24 };
enum { ANCHORS = 8, AROUND = 32, AROUND_LEAST = 12, NEAR_MAX = 64 };

/* ---- which are worth refining -------------------------------------------------------------- */

/* A few rounds, without a look at who else took a partner. */
void pn_pose_judge(struct pn_pose *pose, const struct pn_dock *dock)
{
	size_t core = dock->moved->count < CORE ? dock->moved->count : CORE;
	double d2, sum = 0;

	for (int round = 0; round <= CORE_ROUNDS; round++) {
		struct pn_pairs pairs;
		double reach_A = round < CORE_ROUNDS ? 0.5 * dock->spacing_A : dock->tolerance_A;

		pn_pairs_clear(&pairs, dock->reference_center_A, dock->moved_center_A);
		for (size_t at = 0; at < core; at++) {
			const double *y = dock->moved->position_A[dock->order[at]];
			double x[3];

			pn_pose_move(x, pose, y);
			uint32_t j = pn_dock_nearest(dock, x, reach_A, &d2);

			if (j == UINT32_MAX)
				continue;
			pn_pairs_add(&pairs, dock->reference->position_A[j], y);
			sum += round == CORE_ROUNDS ? d2 : 0;
		}
		pose->pairs = pairs.count;
		if (round < CORE_ROUNDS)
			pn_pairs_fit(pose, &pairs);
	}
	pose->rmsd_A = pose->pairs ? sqrt(sum / (double)pose->pairs) : INFINITY;
}

static int better_judged(const void *a, const void *b)
{
	const struct pn_pose *p = a, *q = b;

	if (p->pairs != q->pairs)
		return p->pairs > q->pairs ? -1 : 1;
	return p->rmsd_A < q->rmsd_A ? -1 : p->rmsd_A > q->rmsd_A;
}

int pn_pose_add_best(struct pn_pose_list *list, struct pn_pose *pose, size_t count,
		     const struct pn_dock *dock, struct pn_error *err)
{
	int rc = PN_OK;

#pragma omp parallel for num_threads(dock->threads) schedule(static)
	for (size_t p = 0; p < count; p++)
		pn_pose_judge(&pose[p], dock);
	if (count)
		qsort(pose, count, sizeof *pose, better_judged);
	for (size_t p = 0; p < count && p < BEST && pose[p].pairs && rc == PN_OK; p++)
		rc = pn_pose_add(list, &pose[p], err);
	return rc;
}

/* ---- anchors ------------------------------------------------------------------------------- */

/* An atom of the moved model, two of its neighbours, and those around it. */
struct anchor {
	double at[3], bond[2][3];
	uint32_t around[AROUND];
	size_t count;
};

static double length_of(const double v[3])
{
	return sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
}

static double distance(const double a[3], const double b[3])
{
	const double d[3] = { a[0] - b[0], a[1] - b[1], a[2] - b[2] };

	return length_of(d);
}

/* The nearest neighbour, and the next one that is not in a line with it. */
static int make_anchor(struct anchor *anchor, const struct pn_dock *dock, uint32_t atom)
{
	const double(*x)[3] = dock->moved->position_A;
	int have = 0;

	memcpy(anchor->at, x[atom], sizeof anchor->at);
	anchor->count = pn_lattice_sample(anchor->around, AROUND, dock->moved, anchor->at);
	for (size_t j = 0; j < anchor->count && have < 2; j++) {
		double *bond = anchor->bond[have], cosine = 0;

		for (int k = 0; k < 3; k++) {
			bond[k] = x[anchor->around[j]][k] - anchor->at[k];
			cosine += bond[k] * anchor->bond[0][k];
		}
		/* two atoms nearly at one place say nothing about a direction */
		if (!(length_of(bond) > 0.5 * dock->spacing_A))
			continue;
		cosine /= length_of(bond) * length_of(anchor->bond[0]);
		have += !have || fabs(cosine) < 0.8;
	}
	return have == 2;
}

/* How many of the atoms around the anchor have a partner. */
static size_t count_around(const struct pn_pose *pose, const struct pn_dock *dock,
			   const struct anchor *anchor)
{
	size_t count = 0;

	for (size_t j = 0; j < anchor->count; j++) {
		double x[3], d2;

		pn_pose_move(x, pose, dock->moved->position_A[anchor->around[j]]);
		count += pn_dock_nearest(dock, x, dock->tolerance_A, &d2) != UINT32_MAX;
	}
	return count;
}

/* The best way to lay the anchor on atom @image of the reference. */
static void try_image(struct pn_pose *best, const struct pn_dock *dock, const struct anchor *anchor,
		      uint32_t image)
{
	const double *at = dock->reference->position_A[image];
	double frame[3][3], found[3][3], slack_A = 0.25 * dock->spacing_A;
	double length[2] = { length_of(anchor->bond[0]), length_of(anchor->bond[1]) };
	double across = distance(anchor->bond[0], anchor->bond[1]);
	uint32_t near[NEAR_MAX];
	size_t count = pn_cells_within(&dock->cells, at, fmax(length[0], length[1]) + slack_A, near,
				       NEAR_MAX);

	if (count > NEAR_MAX)
		count = NEAR_MAX;
	pn_lattice_frame(frame, anchor->bond[0], anchor->bond[1]);
	for (size_t a = 0; a < count; a++)
		for (size_t b = 0; b < count; b++) {
			struct pn_pose pose = { .origin = PN_ALIGN_FROM_SEARCH };
			double bond[2][3];

			for (int k = 0; k < 3; k++) {
				bond[0][k] = dock->reference->position_A[near[a]][k] - at[k];
				bond[1][k] = dock->reference->position_A[near[b]][k] - at[k];
			}
			if (fabs(length_of(bond[0]) - length[0]) > slack_A ||
			    fabs(length_of(bond[1]) - length[1]) > slack_A ||
			    fabs(distance(bond[0], bond[1]) - across) > slack_A ||
			    !(length_of(bond[0]) > 0 && length_of(bond[1]) > 0) ||
			    !pn_lattice_frame(found, bond[0], bond[1]))
				continue;
			for (int r = 0; r < 3; r++)
				for (int c = 0; c < 3; c++)
					for (int k = 0; k < 3; k++)
						pose.rotation[r][c] += found[k][r] * frame[k][c];
			pn_pose_center(&pose, at, anchor->at);
			pose.pairs = count_around(&pose, dock, anchor);
			if (pose.pairs > best->pairs)
				*best = pose;
		}
}

/* By chance 5 of 32 atoms find a partner. */
static int keep_likely(struct pn_pose_list *list, const struct pn_pose *pose, size_t count,
		       struct pn_error *err)
{
	int rc = PN_OK;

	for (size_t p = 0; p < count && rc == PN_OK; p++)
		if (pose[p].pairs >= AROUND_LEAST)
			rc = pn_pose_add(list, &pose[p], err);
	return rc;
}

int pn_seed_anchors(struct pn_pose_list *list, const struct pn_dock *dock, struct pn_error *err)
{
	size_t images = dock->reference->count, anchors = 0;
	struct pn_pose *pose = malloc(images * sizeof *pose);
	struct pn_pose_list likely = { 0 };
	int rc = PN_OK;

	if (!pose)
		rc = pn_error_set(err, PN_ENOMEM, "align: no memory for %zu poses", images);
	for (size_t at = 0; rc == PN_OK && at < dock->moved->count && anchors < ANCHORS; at++) {
		struct anchor anchor = { 0 };

		if (!make_anchor(&anchor, dock, dock->order[at]))
			continue;
#pragma omp parallel for num_threads(dock->threads) schedule(static)
		for (size_t j = 0; j < images; j++) {
			pose[j] = (struct pn_pose){ 0 };
			try_image(&pose[j], dock, &anchor, (uint32_t)j);
		}
		rc = keep_likely(&likely, pose, images, err);
		anchors++;
	}
	if (rc == PN_OK)
		rc = pn_pose_add_best(list, likely.pose, likely.count, dock, err);
	free(likely.pose);
	free(pose);
	return rc;
}

/* ---- all over the sphere ------------------------------------------------------------------- */

/*
 * Point i of n on SO(3), evenly spread: a spiral on the 3-sphere (Alexa, CVPR 2022, 8291; its
 * second constant is the root of x^4 = x + 4).
 */
static void spiral(double q[4], int i, int n)
{
	double s = i + 0.5, t = s / n;
	double alpha = 2 * M_PI * s / M_SQRT2, beta = 2 * M_PI * s / 1.533751168755204288118041;

	q[0] = sqrt(t) * sin(alpha);
	q[1] = sqrt(t) * cos(alpha);
	q[2] = sqrt(1 - t) * sin(beta);
	q[3] = sqrt(1 - t) * cos(beta);
}

/* Axes of inertia; rows. */
static void inertia_axes(double axes[3][3], const struct pn_atoms *atoms, const double center[3])
{
	double scatter[3][3] = { 0 }, value[3];

	for (size_t i = 0; i < atoms->count; i++)
		for (int r = 0; r < 3; r++)
			for (int c = 0; c < 3; c++)
				scatter[r][c] += (atoms->position_A[i][r] - center[r]) *
						 (atoms->position_A[i][c] - center[c]);
	pn_symmetric3_eigen(value, axes, (const double(*)[3])scatter);
}

int pn_seed_sphere(struct pn_pose_list *list, const struct pn_dock *dock, int rotations,
		   struct pn_error *err)
{
	double ours[3][3], theirs[3][3];
	int count = rotations + 4;
	struct pn_pose *pose = calloc((size_t)count, sizeof *pose);

	if (!pose)
		return pn_error_set(err, PN_ENOMEM, "align: no memory for %d rotations", count);
	inertia_axes(ours, dock->reference, dock->reference_center_A);
	inertia_axes(theirs, dock->moved, dock->moved_center_A);
	for (int p = 0; p < count; p++) {
		double q[4];

		if (p >= 4) {
			spiral(q, p - 4, rotations);
			pn_quaternion_to_matrix(pose[p].rotation, q);
		} else {
			/* two of the axes may point the other way, or none */
			for (int r = 0; r < 3; r++)
				for (int c = 0; c < 3; c++)
					for (int k = 0; k < 3; k++)
						pose[p].rotation[r][c] +=
							(p && k != p - 1 ? -1 : 1) * ours[k][r] *
							theirs[k][c];
		}
		pose[p].origin = PN_ALIGN_FROM_SEARCH;
		pn_pose_center(&pose[p], dock->reference_center_A, dock->moved_center_A);
	}
	int rc = pn_pose_add_best(list, pose, (size_t)count, dock, err);

	free(pose);
	return rc;
}
