/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The sums of the halves, the references that come from them, and older images looked at again. */
#include "orienter_parts.h"

#include "perrin/math/rotation.h"
#include "perrin/tomo/fsc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SOFT_PX        4.0  /* edge of the mask of a map                                        */
#define FSC_LEAST      0.02 /* of the weights: no ring of references is quite without          */
#define SAME_DEG       0.05 /* a pose looked at again that differs by less has not changed     */
#define SAME_PX        0.02
#define STEP_LEAST_DEG 1.0 /* of the prior for images looked at again                       */

/* ---- sums ----------------------------------------------------------------------------------- */

static void pose_of(const struct pn_orienter *o, const struct pn_oriented *pose,
		    const double origin_px[2], struct pn_pose *out)
{
	pn_quaternion_to_matrix(out->rotation, pose->quaternion);
	for (int k = 0; k < 2; k++)
		out->shift_px[k] = pose->position_px[k] - origin_px[k] - (double)(o->edge / 2);
}

int pn_orienter_insert(struct pn_orienter *o, const struct pn_oriented *pose,
		       const double origin_px[2], const float *image, struct pn_error *err)
{
	struct pn_pose p;

	if (!(pose->weight > 0))
		return PN_OK;
	pose_of(o, pose, origin_px, &p);
	int rc = pn_accumulator_add(o->half[pose->half].sums, &p, image, pose->weight, NULL, err);

	o->n.inserted[pose->half] += !rc;
	return rc;
}

int pn_orienter_remove(struct pn_orienter *o, const struct pn_oriented *pose,
		       const double origin_px[2], const float *image, struct pn_error *err)
{
	struct pn_pose p;

	if (!(pose->weight > 0))
		return PN_OK;
	pose_of(o, pose, origin_px, &p);
	int rc = pn_accumulator_subtract(o->half[pose->half].sums, &p, image, pose->weight, NULL,
					 err);

	o->n.inserted[pose->half] -= !rc;
	return rc;
}

/* ---- references ----------------------------------------------------------------------------- */

/* A ball with a soft edge, about the particle. */
static void mask(const struct pn_orienter *o, float *map)
{
	const double middle = (double)(o->edge / 2);
	const size_t n = o->edge;

	for (size_t i = 0; i < n * n * n; i++) {
		const double x = (double)(i % n) - middle, y = (double)(i / n % n) - middle,
			     z = (double)(i / n / n) - middle;
		const double over = sqrt(x * x + y * y + z * z) - o->radius_px;

		if (over >= SOFT_PX)
			map[i] = 0;
		else if (over > 0)
			map[i] *= (float)(0.5 + 0.5 * cos(M_PI * over / SOFT_PX));
	}
}

/* How much of each ring to believe: sqrt(2 FSC / (1 + FSC)), the correlation with the truth. */
static int weigh_rings(struct pn_orienter *o, struct pn_error *err)
{
	const struct pn_box box = { o->edge, o->edge, o->edge };
	const size_t shells = pn_fsc_shells(&box);
	double *fsc = malloc(shells * sizeof *fsc), *samples = malloc(shells * sizeof *samples);
	int rc = fsc && samples
			 ? pn_fsc(o->half[0].map, o->half[1].map, &box, NULL, fsc, samples, err)
			 : pn_error_set(err, PN_ENOMEM, "no memory for %zu shells", shells);

	for (size_t r = 0; !rc && r < o->polar->rings; r++) {
		double c = fsc[o->polar->first + r];

		c = fmin(fmax(isnan(c) ? 0 : c, FSC_LEAST), 1);
		o->polar->ctf[r] = o->ctf[r] * sqrt(2 * c / (1 + c));
	}
	if (!rc) {
		double f = pn_fsc_frequency(fsc, samples, shells, o->edge, PN_FSC_0_143);

		o->n.resolution_A = f > 0 ? o->pixel_A / f : (double)NAN;
	}
	free(fsc);
	free(samples);
	return rc;
}

int pn_orienter_use_maps(struct pn_orienter *o, struct pn_error *err)
{
	for (int h = 0; h < 2; h++) {
		pn_slicer_prepare(o->half[h].slicer, o->half[h].map);
		int rc = pn_match_set_map(o->half[h].match, o->half[h].slicer, err);

		if (rc)
			return rc;
	}
	pn_orienter_find_symmetry(o);
	return PN_OK;
}

/* The start map, as high as it stands in the images, seen from all sides, into the sums. */
static int insert_prior(struct pn_orienter *o, struct pn_error *err)
{
	const size_t count = o->directions.count, pixels = o->edge * o->edge;
	const double weight = o->params.prior / (double)count;
	float *image = malloc(pixels * sizeof *image);
	int rc = image ? PN_OK
		       : pn_error_set(err, PN_ENOMEM, "no memory for an image of %zu px", o->edge);

	for (int h = 0; h < 2; h++)
		for (size_t i = 0; !rc && weight > 0 && i < count; i++) {
			struct pn_pose pose = { .shift_px = { 0, 0 } };

			memcpy(pose.rotation, o->directions.rotation[i], sizeof pose.rotation);
			pn_slicer_project(o->half[h].slicer, &pose, 1, image);
			for (size_t k = 0; k < pixels; k++)
				image[k] *= (float)o->n.height_mean;
			rc = pn_accumulator_add(o->half[h].sums, &pose, image, weight, NULL, err);
		}
	free(image);
	o->n.has_prior = !rc;
	return rc;
}

static int make_maps(struct pn_orienter *o, struct pn_error *err)
{
	int rc = !o->n.has_prior && o->n.height_mean > 0 ? insert_prior(o, err) : PN_OK;

	for (int h = 0; !rc && h < 2; h++) {
		rc = pn_accumulator_map(o->half[h].sums, o->params.tau, o->half[h].map, err);
		mask(o, o->half[h].map);
	}
	if (!rc)
		rc = weigh_rings(o, err);
	return rc ? rc : pn_orienter_use_maps(o, err);
}

int pn_orienter_refresh(struct pn_orienter *o, struct pn_error *err)
{
	const size_t bytes = o->edge * o->edge * o->edge * sizeof(float);
	float *old = NULL;
	int rc = PN_OK;

	o->n.since_refresh = 0;
	for (int h = 0; h < 2; h++)
		if (o->n.inserted[h] < (uint64_t)o->params.start)
			return PN_OK;
	old = malloc(2 * bytes);
	if (!old)
		return pn_error_set(err, PN_ENOMEM, "no memory for two maps of %zu bytes", bytes);
	for (int h = 0; h < 2; h++)
		memcpy((char *)old + (size_t)h * bytes, o->half[h].map, bytes);
	rc = make_maps(o, err);
	if (rc == PN_EARG) { /* they show nothing, or nothing that is a number: the old ones stay */
		for (int h = 0; h < 2; h++)
			memcpy(o->half[h].map, (char *)old + (size_t)h * bytes, bytes);
		memcpy(o->polar->ctf, o->ctf, o->polar->rings * sizeof *o->ctf);
		rc = pn_orienter_use_maps(o, err);
	} else if (!rc) {
		o->n.map++;
	}
	free(old);
	return rc;
}

int pn_orienter_restart(struct pn_orienter *o, struct pn_error *err)
{
	const size_t voxels = o->edge * o->edge * o->edge;

	for (size_t i = 0; i < voxels; i++)
		o->half[0].map[i] = o->half[1].map[i] =
			0.5f * (o->half[0].map[i] + o->half[1].map[i]);
	for (int h = 0; h < 2; h++)
		pn_accumulator_reset(o->half[h].sums);
	o->n.inserted[0] = o->n.inserted[1] = 0;
	o->n.has_prior = 0;
	for (int64_t i = 0; i < o->params.keep; i++)
		o->kept[i].present = 0;
	o->n.kept = o->n.again_at = o->n.since_refresh = 0;
	o->n.map++;
	return pn_orienter_use_maps(o, err);
}

/* ---- looking again -------------------------------------------------------------------------- */

/* Log of the prior that the poses of a neighbor in time put on an orientation. */
static double pull(const struct pn_orienter *o, const struct pn_orienter_kept *of,
		   const struct pn_orienter_kept *by, const double quaternion[4])
{
	if (!by->present || !(by->pose.weight > 0))
		return 0;
	const double frames = fabs((double)of->pose.frame - (double)by->pose.frame);
	const double step = fmax(pn_path_step_deg(o->path), STEP_LEAST_DEG);
	const double grid = o->directions.spacing_deg;
	const double s2 = (step * step * frames + grid * grid / 2) / 3;
	const double angle = pn_quaternion_angle_rad(quaternion, by->pose.quaternion) * 180 / M_PI;

	/* a turn to anywhere has the path's own small probability */
	return fmax(-angle * angle / (2 * s2), log(o->params.path.lost));
}

/* The candidate that image and neighbors together make most likely, and how likely it is. */
static size_t choose(struct pn_orienter *o, const struct pn_orienter_kept *k,
		     const struct pn_orienter_kept *before, const struct pn_orienter_kept *after,
		     double *probability)
{
	size_t best = 0;
	double top = -INFINITY, sum = 0, near = 0;

	for (size_t i = 0; i < o->candidates; i++) {
		struct pn_pose_candidate *c = &o->candidate[i];

		c->log_likelihood +=
			pull(o, k, before, c->quaternion) + pull(o, k, after, c->quaternion);
		if (c->log_likelihood > top) {
			top = c->log_likelihood;
			best = i;
		}
	}
	for (size_t i = 0; i < o->candidates; i++) {
		const struct pn_pose_candidate *c = &o->candidate[i];
		const double p = exp(c->log_likelihood - top);

		sum += p;
		if (pn_quaternion_angle_rad(c->quaternion, o->candidate[best].quaternion) <
		    5 * M_PI / 180)
			near += p;
	}
	*probability = near / sum;
	return best;
}

static int differs(const struct pn_oriented *a, const struct pn_oriented *b)
{
	return a->weight != b->weight ||
	       pn_quaternion_angle_rad(a->quaternion, b->quaternion) * 180 / M_PI > SAME_DEG ||
	       hypot(a->position_px[0] - b->position_px[0], a->position_px[1] - b->position_px[1]) >
		       SAME_PX;
}

static void look_again(struct pn_orienter *o, const struct pn_orienter_kept *k, const float *image,
		       const struct pn_orienter_kept *before, const struct pn_orienter_kept *after,
		       struct pn_oriented *pose)
{
	struct pn_polished polished;
	struct pn_pose old, fresh;

	pose_of(o, &k->pose, k->origin_px, &old);
	pn_orienter_look(o, pose->half, image, old.shift_px, k->pose.quaternion);
	size_t best = choose(o, k, before, after, &pose->probability);

	pn_orienter_polish(o, pose->half, o->candidate[best].quaternion, old.shift_px, &fresh,
			   &polished);
	pn_quaternion_from_matrix(pose->quaternion, (const double(*)[3])fresh.rotation);
	for (int a = 0; a < 2; a++)
		pose->position_px[a] = k->origin_px[a] + (double)(o->edge / 2) + fresh.shift_px[a];
	if (!isfinite(polished.score) || !isfinite(polished.height))
		pose->probability = polished.score = polished.height = 0;
	pose->score = polished.score;
	pose->height = polished.height;
	pose->angle_uncertainty_deg = polished.angle_uncertainty_deg;
	pose->shift_uncertainty_px = polished.shift_uncertainty_px;
	pose->entropy = pose->runner_up_probability = (double)NAN;
	pose->has_runner_up = 0;
	pose->independent = 0;
	pose->step_deg = pn_path_step_deg(o->path);
	pose->map = o->n.map;
	pose->weight = pose->probability >= o->params.probability_min;
}

int pn_orienter_again(struct pn_orienter *o, struct pn_oriented *pose, int *changed,
		      struct pn_error *err)
{
	const uint64_t memory = (uint64_t)o->params.keep;
	const uint64_t have = o->n.kept < memory ? o->n.kept : memory;
	static const struct pn_orienter_kept none;

	*changed = 0;
	if (have < 3)
		return PN_OK;
	/* from the oldest to the second newest, and around */
	const uint64_t first = o->n.kept - have;

	if (o->n.again_at < first || o->n.again_at + 1 >= o->n.kept)
		o->n.again_at = first;
	const uint64_t number = o->n.again_at++;
	struct pn_orienter_kept *k = &o->kept[number % memory];

	if (!k->present || k->pose.map == o->n.map)
		return PN_OK; /* the same references would say the same */
	const float *image = o->images + number % memory * o->edge * o->edge;
	*pose = k->pose;
	look_again(o, k, image, number > first ? &o->kept[(number - 1) % memory] : &none,
		   &o->kept[(number + 1) % memory], pose);
	if (!differs(pose, &k->pose)) {
		k->pose.map = o->n.map;
		return PN_OK;
	}
	pose->revision++;
	int rc = pn_orienter_remove(o, &k->pose, k->origin_px, image, err);

	if (!rc)
		rc = pn_orienter_insert(o, pose, k->origin_px, image, err);
	k->pose = *pose;
	*changed = 1;
	return rc;
}
