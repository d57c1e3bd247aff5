/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/align.h"

#include "align_parts.h"
#include "perrin/math/linear.h"
#include "perrin/math/rotation.h"

#include <stdlib.h>

/* Two positions are the same below these. */
static const double same_angle_rad = 0.1, same_shift_part = 0.5, same_score = 1e-9;
static const double wide_part = 0.5;

enum { WIDE_ROUNDS = 20, ROTATIONS_MAX = 10000000 };

void pn_align_defaults(struct pn_align_options *options)
{
	*options = (struct pn_align_options){
		.mode = PN_ALIGN_SEARCH,
		.start_rotation = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } },
		.near_rad = 20 * M_PI / 180,
		.tie = 2,
		.rotations = 4000,
		.rounds_max = 100,
	};
}

static int check_options(const struct pn_align_options *o, struct pn_error *err)
{
	double off = 0;

	if ((unsigned)o->mode > PN_ALIGN_KEEP || !(o->tolerance_A >= 0 && o->tolerance_A < 1e6))
		return pn_error_set(err, PN_EARG, "align: mode %d, tolerance %g A: out of range",
				    (int)o->mode, o->tolerance_A);
	if (!(o->tie >= 0 && o->tie < 1e6) || !(o->near_rad >= 0))
		return pn_error_set(err, PN_EARG, "align: tie %g, near %g rad: must be >= 0",
				    o->tie, o->near_rad);
	if (o->rotations < 1 || o->rotations > ROTATIONS_MAX || o->rounds_max < 1)
		return pn_error_set(err, PN_EARG,
				    "align: %d rotations, %d rounds: at least one of each",
				    o->rotations, o->rounds_max);
	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++) {
			double sum = -(r == c);

			for (int k = 0; k < 3; k++)
				sum += o->start_rotation[r][k] * o->start_rotation[c][k];
			off = fmax(off, isfinite(sum) ? fabs(sum) : INFINITY);
		}
	if (!(off < 1e-6) || !(pn_matrix3_determinant(o->start_rotation) > 0))
		return pn_error_set(err, PN_EARG, "align: the start is no rotation (off by %g)",
				    off);
	for (int k = 0; k < 3; k++)
		if (!isfinite(o->start_translation_A[k]))
			return pn_error_set(err, PN_EARG, "align: the start is not finite");
	return PN_OK;
}

/* ---- refining ------------------------------------------------------------------------------ */

/* A pose that may be a little off: first with a wide reach, from the middle outwards. */
static void refine(struct pn_dock *dock, struct pn_pose *pose, int rounds)
{
	size_t all = dock->moved->count;
	double wide_A = fmax(wide_part * dock->spacing_A, dock->tolerance_A);

	pose->rounds = 0;
	if (pose->origin == PN_ALIGN_FROM_SEARCH)
		for (size_t used = 320; used < all; used *= 2)
			pn_dock_refine(dock, pose, used, wide_A, WIDE_ROUNDS);
	if (pose->origin != PN_ALIGN_FROM_LATTICE)
		pn_dock_refine(dock, pose, all, wide_A, WIDE_ROUNDS);
	pose->converged = pn_dock_refine(dock, pose, all, dock->tolerance_A, rounds);
}

static void refine_from(struct pn_dock *dock, struct pn_pose_list *list, size_t first, int rounds)
{
	for (size_t i = first; i < list->count; i++)
		refine(dock, &list->pose[i], rounds);
}

static size_t most_pairs(const struct pn_pose_list *list)
{
	size_t most = 0;

	for (size_t i = 0; i < list->count; i++)
		most = list->pose[i].pairs > most ? list->pose[i].pairs : most;
	return most;
}

/* ---- ranking ------------------------------------------------------------------------------- */

static double angle_between(const double a[3][3], const double b[3][3])
{
	double p[4], q[4];

	pn_quaternion_from_matrix(p, a);
	pn_quaternion_from_matrix(q, b);
	return pn_quaternion_angle_rad(p, q);
}

/*
 * The score from which on a position is as good as the best: that less @tie standard deviations.
 * The number of atoms without partner varies by its root, and (distance / tolerance)^2 of a pair,
 * being the sum of three squares, by sqrt(2/3) of its mean.
 */
static double as_good_from(const struct pn_pose_list *list, const struct pn_dock *dock, double tie)
{
	const struct pn_pose *best = list->pose;
	size_t smaller = dock->moved->count < dock->reference->count ? dock->moved->count
								     : dock->reference->count;

	for (size_t i = 1; i < list->count; i++)
		if (list->pose[i].score > best->score)
			best = &list->pose[i];
	double mean = best->pairs ? pow(best->rmsd_A / dock->tolerance_A, 2) : 0;
	double variance =
		(double)(smaller - best->pairs) + 2.0 / 3 * mean * mean * (double)best->pairs;

	double less = fmax(tie * sqrt(variance), same_score * best->score);

	return best->score - fmin(less, 0.5 * best->score);
}

/* Of those with at least this score, the one nearest to the start, if that is within @near_rad. */
static const struct pn_pose *nearest(const struct pn_pose_list *list, double least_score,
				     double near_rad, const double start_rotation[3][3],
				     const struct pn_pose *otherwise)
{
	for (size_t i = 0; i < list->count; i++) {
		double angle =
			angle_between((const double(*)[3])list->pose[i].rotation, start_rotation);

		if (list->pose[i].score >= least_score && angle <= near_rad) {
			near_rad = angle;
			otherwise = &list->pose[i];
		}
	}
	return otherwise;
}

static int same_position(const struct pn_dock *dock, const struct pn_pose *a,
			 const struct pn_pose *b)
{
	double x[3], y[3], d2 = 0, limit_A = same_shift_part * dock->spacing_A;

	pn_pose_move(x, a, dock->moved_center_A);
	pn_pose_move(y, b, dock->moved_center_A);
	for (int k = 0; k < 3; k++)
		d2 += (x[k] - y[k]) * (x[k] - y[k]);
	return d2 < limit_A * limit_A &&
	       angle_between((const double(*)[3])a->rotation, (const double(*)[3])b->rotation) <
		       same_angle_rad;
}

/* The best of the list, the next best that is another one, and how many are about as good. */
static void rank(struct pn_alignment *out, const struct pn_dock *dock,
		 const struct pn_pose_list *list, const struct pn_align_options *o)
{
	double as_good = as_good_from(list, dock, o->tie);
	double first = as_good_from(list, dock, 0); /* but for rounding */
	const struct pn_pose *pose = list->pose, *second = NULL;
	const struct pn_pose *best = nearest(list, first, INFINITY, o->start_rotation, pose);

	best = nearest(list, as_good, o->near_rad, o->start_rotation, best);
	memcpy(out->rotation, best->rotation, sizeof out->rotation);
	memcpy(out->translation_A, best->translation_A, sizeof out->translation_A);
	out->pairs = best->pairs;
	out->rmsd_A = best->rmsd_A;
	out->score = best->score;
	out->origin = best->origin;
	out->rounds = best->rounds;
	out->converged = best->converged;
	for (size_t i = 0; i < list->count; i++) {
		int known = same_position(dock, &pose[i], best);

		if (known || !pose[i].pairs)
			continue;
		if (!second || pose[i].score > second->score)
			second = &pose[i];
		for (size_t j = 0; j < i && !known; j++)
			known = pose[j].score >= as_good && same_position(dock, &pose[i], &pose[j]);
		out->equals += !known && pose[i].score >= as_good;
	}
	out->runner_up_rmsd_A = out->runner_up_score = out->runner_up_angle_rad = NAN;
	if (!second)
		return;
	out->runner_up_pairs = second->pairs;
	out->runner_up_rmsd_A = second->rmsd_A;
	out->runner_up_score = second->score;
	out->runner_up_angle_rad = angle_between((const double(*)[3])second->rotation,
						 (const double(*)[3])best->rotation);
}

/* ---- public -------------------------------------------------------------------------------- */

static int run(struct pn_alignment *out, struct pn_dock *dock, const struct pn_align_options *o,
	       struct pn_error *err)
{
	struct pn_pose_list list = { 0 };
	struct pn_pose start = { .origin = PN_ALIGN_FROM_START, .converged = 1 };
	size_t smaller = dock->moved->count < dock->reference->count ? dock->moved->count
								     : dock->reference->count;

	memcpy(start.rotation, o->start_rotation, sizeof start.rotation);
	memcpy(start.translation_A, o->start_translation_A, sizeof start.translation_A);
	if (o->mode == PN_ALIGN_KEEP)
		pn_dock_count(dock, &start);
	else
		refine(dock, &start, o->rounds_max);
	int rc = pn_pose_add(&list, &start, err);

	if (rc == PN_OK && o->mode == PN_ALIGN_SEARCH) {
		size_t first = list.count;

		rc = pn_seed_lattices(&list, dock, err);
		refine_from(dock, &list, first, o->rounds_max);
	}
	for (int pass = 0; pass < 2 && rc == PN_OK && o->mode == PN_ALIGN_SEARCH; pass++) {
		size_t first = list.count;

		if (2 * most_pairs(&list) >= smaller)
			break;
		rc = pass ? pn_seed_sphere(&list, dock, o->rotations, err)
			  : pn_seed_anchors(&list, dock, err);
		refine_from(dock, &list, first, o->rounds_max);
	}
	if (rc == PN_OK)
		rank(out, dock, &list, o);
	free(list.pose);
	return rc;
}

int pn_align(struct pn_alignment *out, const struct pn_atoms *reference,
	     const struct pn_atoms *moved, const struct pn_align_options *options, int threads,
	     struct pn_error *err)
{
	struct pn_align_options defaults;
	const struct pn_align_options *o = options ? options : &defaults;
	struct pn_dock dock;

	pn_align_defaults(&defaults);
	*out = (struct pn_alignment){ 0 };
	if (!reference->count || !moved->count)
		return pn_error_set(err, PN_EARG,
				    "align: %zu and %zu atoms: both need at least one",
				    reference->count, moved->count);
	int rc = check_options(o, err);

	if (rc != PN_OK)
		return rc;
	rc = pn_dock_init(&dock, reference, moved, o->tolerance_A, threads, err);
	out->tolerance_A = dock.tolerance_A;
	if (rc == PN_OK)
		rc = run(out, &dock, o, err);
	pn_dock_free(&dock);
	return rc;
}

void pn_align_apply(const struct pn_alignment *alignment, const double (*in_A)[3],
		    double (*out_A)[3], size_t count)
{
	for (size_t i = 0; i < count; i++) {
		double x[3];

		for (int k = 0; k < 3; k++)
			x[k] = alignment->rotation[k][0] * in_A[i][0] +
			       alignment->rotation[k][1] * in_A[i][1] +
			       alignment->rotation[k][2] * in_A[i][2] + alignment->translation_A[k];
		memcpy(out_A[i], x, sizeof x);
	}
}
