/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/orient/orienter.h"

#include "orienter_parts.h"
#include "perrin/math/rotation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MASK_PART      1.15 /* of the particle's radius                                       */
#define KERNEL_WIDTH   4    /* of the sums                                                    */
#define START_PX       1.5  /* uncertainty of a place told by the tracker                     */
#define SETTLED_PX     0.5  /* a place known better is taken as it is                         */
#define SETTLE_MOST_PX 2.5
#define WALK_PX2       0.01 /* variance of a step of the particle, to start with              */
#define GATE           4.0  /* standard deviations that a place may be off                    */
#define MISSED_MOST    8    /* frames in a row that are off: the place is lost                */
#define MEAN_FRAMES    100.0

#define FIELD(f) .name = #f, .off = offsetof(struct pn_orienter_params, f)

const struct pn_param pn_orienter_param_table[] = {
	{ FIELD(resolution_low_A), .unit = "A", .help = "coarsest spacing that is matched",
	  .type = PN_PARAM_F64, .def = 10, .min = 1, .max = 1000 },
	{ FIELD(resolution_high_A), .unit = "A", .help = "finest spacing that is matched",
	  .type = PN_PARAM_F64, .def = 1.5, .min = 0.2, .max = 100 },
	{ FIELD(ring_power),
	  .help = "weight of a Fourier ring: its radius to this power; 1 is white noise's",
	  .type = PN_PARAM_F64, .def = 0.5, .min = -4, .max = 4 },
	{ FIELD(views), .help = "over the half sphere", .type = PN_PARAM_I64, .def = 1250,
	  .min = 64, .max = 10000 },
	{ FIELD(candidates), .help = "orientations of an image that its path may take",
	  .type = PN_PARAM_I64, .def = 300, .min = 1, .max = PN_PATH_CANDIDATES_MAX },
	{ FIELD(polish), .help = "iterations of the pose between the views", .type = PN_PARAM_I64,
	  .def = 2, .min = 0, .max = 10 },
	{ FIELD(begin), .unit = "images",
	  .help = "that tell where the particle's middle is in its lattice", .type = PN_PARAM_I64,
	  .def = 150, .min = 1, .max = 10000 },
	{ FIELD(refresh), .unit = "images", .help = "between new references", .type = PN_PARAM_I64,
	  .def = 400, .min = 1, .max = 1000000 },
	{ FIELD(start), .unit = "images",
	  .help = "of each half before its map takes the place of the start map",
	  .type = PN_PARAM_I64, .def = 200, .min = 1, .max = 1000000 },
	{ FIELD(again), .unit = "images",
	  .help = "older ones that are looked at again with each new one", .type = PN_PARAM_I64,
	  .def = 1, .min = 0, .max = PN_ORIENTER_AGAIN_MAX },
	{ FIELD(keep), .unit = "images", .help = "that are kept to be looked at again",
	  .type = PN_PARAM_I64, .def = 1000, .min = 4, .max = 20000 },
	{ FIELD(probability_min), .help = "of a pose whose image goes into the map",
	  .type = PN_PARAM_F64, .def = 0.5, .min = 0, .max = 1 },
	{ FIELD(prior), .unit = "images", .help = "weight of the start map in the references",
	  .type = PN_PARAM_F64, .def = 100, .min = 0, .max = 1e6 },
	{ FIELD(tau), .help = "damping of the map, as a part of the mean density",
	  .type = PN_PARAM_F64, .def = 0.1, .min = 1e-6, .max = 100 },
	{ .name = "path",
	  .off = offsetof(struct pn_orienter_params, path),
	  .group = pn_path_param_table },
	{ 0 },
};

/* ---- plan ----------------------------------------------------------------------------------- */

static int plan_half(struct pn_orienter *o, int h, double largest_pixel, struct pn_error *err)
{
	struct pn_orienter_half *half = &o->half[h];
	const struct pn_box box = { o->edge, o->edge, o->edge };
	const size_t voxels = o->edge * o->edge * o->edge;
	const struct pn_accumulate_params sums = {
		.edge = o->edge,
		.frequency_max = fmin(0.5, o->pixel_A / o->params.resolution_high_A * 1.1),
		.largest_pixel = largest_pixel,
		.kernel_width = KERNEL_WIDTH,
	};

	half->map = malloc(voxels * sizeof *half->map);
	if (!half->map)
		return pn_error_set(err, PN_ENOMEM, "no memory for a map of %zu bytes",
				    voxels * sizeof *half->map);
	int rc = pn_accumulator_create(&half->sums, &sums, err);

	if (!rc)
		rc = pn_slicer_plan(&half->slicer, &box, o->edge, o->edge, 0, err);
	return rc ? rc : pn_match_create(&half->match, o->polar, &o->directions, err);
}

static int take_memory(struct pn_orienter *o, struct pn_error *err)
{
	const size_t memory = (size_t)o->params.keep, pixels = o->edge * o->edge;

	o->kept = calloc(memory, sizeof *o->kept);
	o->images = malloc(memory * pixels * sizeof *o->images);
	o->ring = malloc(o->polar->points * sizeof *o->ring);
	o->moved = malloc(o->polar->points * sizeof *o->moved);
	o->order = malloc(o->polar->orders * o->polar->rings * sizeof *o->order);
	o->hit = malloc(o->directions.count * 2 * sizeof *o->hit);
	o->candidate = malloc((size_t)o->params.candidates * sizeof *o->candidate);
	o->ctf = malloc(o->polar->rings * sizeof *o->ctf);
	if (!o->kept || !o->images || !o->ring || !o->moved || !o->order || !o->hit ||
	    !o->candidate || !o->ctf)
		return pn_error_set(err, PN_ENOMEM, "no memory to keep %zu images: %zu bytes",
				    memory, memory * pixels * sizeof *o->images);
	memcpy(o->ctf, o->polar->ctf, o->polar->rings * sizeof *o->ctf);
	return PN_OK;
}

static int plan_start(struct pn_orienter *o, struct pn_error *err)
{
	static const double atom[3] = { 0 };
	const size_t bytes = o->edge * o->edge * o->edge * sizeof(float);
	int rc = PN_OK;

	if (o->start.map) {
		memcpy(o->half[0].map, o->start.map, bytes);
		memcpy(o->half[1].map, o->start.map, bytes);
	} else {
		rc = pn_orienter_cut(o, o->start.shape, atom, err);
		o->n.beginning = 1;
		o->n.begin_next = (uint64_t)(o->params.begin < o->params.keep ? o->params.begin
									      : o->params.keep);
	}
	o->start.map = NULL;
	return rc ? rc : pn_orienter_use_maps(o, err);
}

static int plan(struct pn_orienter *o, double largest_pixel, const double *ctf,
		struct pn_error *err)
{
	const struct pn_polar_params polar = {
		.edge = o->edge,
		.pixel_A = o->pixel_A,
		.resolution_low_A = o->params.resolution_low_A,
		.resolution_high_A = o->params.resolution_high_A,
		.radius_px = o->radius_px,
		.ring_power = o->params.ring_power,
		.ctf = ctf,
	};
	int rc = pn_polar_create(&o->polar, &polar, err);

	if (!rc)
		rc = pn_directions_create(&o->directions, (size_t)o->params.views, err);
	if (!rc)
		rc = pn_polisher_create(&o->polisher, o->polar, err);
	o->params.path.grid_deg = o->directions.spacing_deg;
	if (!rc)
		rc = pn_path_create(&o->path, &o->params.path, err);
	if (!rc)
		rc = take_memory(o, err);
	for (int h = 0; !rc && h < 2; h++)
		rc = plan_half(o, h, largest_pixel, err);
	return rc ? rc : plan_start(o, err);
}

int pn_orienter_create(struct pn_orienter **orienter, const struct pn_orienter_params *params,
		       size_t edge, double pixel_A, const struct pn_orienter_start *start,
		       double largest_pixel, const double *ctf, struct pn_error *err)
{
	*orienter = NULL;
	const double diameter_A = start->diameter_A;

	if (!(pixel_A > 0) || !(diameter_A > 0) || diameter_A / pixel_A * MASK_PART > (double)edge)
		return pn_error_set(err, PN_EARG,
				    "a particle of %g A in images of %zu px of %g A: its mask, %g "
				    "times as large, has no room",
				    diameter_A, edge, pixel_A, MASK_PART);
	struct pn_orienter *o = calloc(1, sizeof *o);

	if (!o)
		return pn_error_set(err, PN_ENOMEM, "no memory for an orienter");
	o->params = *params;
	o->start = *start;
	o->n.last[0] = 1;
	o->edge = edge;
	o->pixel_A = pixel_A;
	o->radius_px = diameter_A / pixel_A / 2 * MASK_PART;
	o->n.resolution_A = o->n.score_mean = o->n.height_mean = (double)NAN;
	int rc = plan(o, largest_pixel, ctf, err);

	if (rc) {
		pn_orienter_destroy(o);
		return rc;
	}
	*orienter = o;
	return PN_OK;
}

void pn_orienter_destroy(struct pn_orienter *o)
{
	if (!o)
		return;
	for (int h = 0; h < 2; h++) {
		pn_match_destroy(o->half[h].match);
		pn_slicer_destroy(o->half[h].slicer);
		pn_accumulator_destroy(o->half[h].sums);
		free(o->half[h].map);
	}
	pn_path_destroy(o->path);
	pn_polisher_destroy(o->polisher);
	pn_directions_destroy(&o->directions);
	pn_polar_destroy(o->polar);
	free(o->kept);
	free(o->images);
	free(o->ring);
	free(o->moved);
	free(o->order);
	free(o->hit);
	free(o->candidate);
	free(o->ctf);
	free(o);
}

/* ---- where the particle is ------------------------------------------------------------------ */

/* Predicted place on the frame; returns its uncertainty. */
static double predict(struct pn_orienter *o, uint64_t frame, const double hint_px[2])
{
	struct pn_orienter_walk *w = &o->n.walk;

	if (!w->seen || w->missed > MISSED_MOST || o->n.beginning) {
		memcpy(w->at_px, hint_px, sizeof w->at_px);
		w->variance_px2 = START_PX * START_PX;
		w->step_px2 = w->seen ? w->step_px2 : WALK_PX2;
		w->missed = 0;
	} else {
		w->variance_px2 += w->step_px2 * (double)(frame - o->n.frame);
	}
	return sqrt(w->variance_px2);
}

/* What the pose says of the place, by its own uncertainty. */
static void update(struct pn_orienter *o, const double seen_px[2], double uncertainty_px)
{
	struct pn_orienter_walk *w = &o->n.walk;
	const double noise = uncertainty_px * uncertainty_px + 1e-4;
	const double d[2] = { seen_px[0] - w->at_px[0], seen_px[1] - w->at_px[1] };
	const double off = (d[0] * d[0] + d[1] * d[1]) / 2, all = w->variance_px2 + noise;

	if (off > GATE * GATE * all) {
		w->missed++;
		return;
	}
	const double gain = w->variance_px2 / all;

	for (int k = 0; k < 2; k++)
		w->at_px[k] += gain * d[k];
	/* the step is what makes innovations as large as they are */
	if (w->seen > 10)
		w->step_px2 = fmin(fmax(w->step_px2 + (off - all) / MEAN_FRAMES, 1e-5), 1);
	w->variance_px2 *= 1 - gain;
	w->seen++;
	w->missed = 0;
}

/* ---- images --------------------------------------------------------------------------------- */

static int check(const struct pn_orienter *o, uint64_t frame, const float *image,
		 const double origin_px[2], const double hint_px[2], struct pn_error *err)
{
	if (o->n.images && frame <= o->n.frame)
		return pn_error_set(err, PN_EARG, "frame %llu after frame %llu",
				    (unsigned long long)frame, (unsigned long long)o->n.frame);
	for (size_t i = 0; i < o->edge * o->edge; i++)
		if (!isfinite(image[i]))
			return pn_error_set(err, PN_EARG, "frame %llu: pixel (%zu, %zu) is %g",
					    (unsigned long long)frame, i / o->edge, i % o->edge,
					    (double)image[i]);
	for (int k = 0; k < 2; k++)
		if (!isfinite(origin_px[k]) || !isfinite(hint_px[k]))
			return pn_error_set(err, PN_EARG,
					    "frame %llu: at (%g, %g), particle at "
					    "(%g, %g)",
					    (unsigned long long)frame, origin_px[0], origin_px[1],
					    hint_px[0], hint_px[1]);
	return PN_OK;
}

static void tell(struct pn_orienter *o, const struct pn_path_pose *path, int half,
		 const double origin_px[2], const struct pn_pose *pose,
		 const struct pn_polished *polished, struct pn_oriented *now)
{
	*now = (struct pn_oriented){
		.frame = path->frame,
		.score = polished->score,
		.height = polished->height,
		.angle_uncertainty_deg = polished->angle_uncertainty_deg,
		.shift_uncertainty_px = polished->shift_uncertainty_px,
		.probability = path->probability,
		.entropy = path->entropy,
		.runner_up_probability = path->runner_up_probability,
		.has_runner_up = path->has_runner_up,
		.step_deg = path->step_deg,
		.independent = path->independent,
		.half = half,
		.map = o->n.map,
		.weight = !o->n.beginning && path->probability >= o->params.probability_min,
	};
	pn_quaternion_from_matrix(now->quaternion, (const double(*)[3])pose->rotation);
	for (int k = 0; k < 2; k++)
		now->position_px[k] = origin_px[k] + (double)(o->edge / 2) + pose->shift_px[k];
	if (!path->has_runner_up)
		return;
	memcpy(now->runner_up, path->runner_up, sizeof now->runner_up);
	now->runner_up_is = pn_pose_relate(now->quaternion, path->runner_up, NULL, 6, NULL);
}

static int find_pose(struct pn_orienter *o, uint64_t frame, const float *image,
		     const double origin_px[2], const double hint_px[2], struct pn_oriented *now,
		     struct pn_error *err)
{
	const int half = (int)(o->n.images % 2);
	const double uncertain_px = predict(o, frame, hint_px);
	double shift[2];
	struct pn_path_pose path;
	struct pn_polished polished;
	struct pn_pose pose;

	for (int k = 0; k < 2; k++)
		shift[k] = o->n.walk.at_px[k] - origin_px[k] - (double)(o->edge / 2);
	if (uncertain_px > SETTLED_PX)
		pn_orienter_settle(o, half, image, fmin(2 * uncertain_px, SETTLE_MOST_PX),
				   o->n.last, shift);
	else
		pn_orienter_look(o, half, image, shift, o->n.last);
	int rc = pn_path_push(o->path, frame, o->candidate, o->candidates, &path, NULL, NULL, err);

	if (rc)
		return rc;
	pn_orienter_polish(o, half, path.quaternion, shift, &pose, &polished);
	if (!isfinite(polished.score) || !isfinite(polished.height))
		path.probability = polished.score = polished.height = 0; /* of absurd pixels */
	tell(o, &path, half, origin_px, &pose, &polished, now);
	memcpy(o->n.last, now->quaternion, sizeof o->n.last);
	if (now->weight > 0 && isfinite(polished.shift_uncertainty_px))
		update(o, now->position_px, polished.shift_uncertainty_px);
	else
		o->n.walk.missed++;
	return PN_OK;
}

static void keep(struct pn_orienter *o, const struct pn_oriented *now, const float *image,
		 const double origin_px[2], const double hint_px[2])
{
	const size_t slot = o->n.kept++ % (uint64_t)o->params.keep, pixels = o->edge * o->edge;

	o->kept[slot].pose = *now;
	o->kept[slot].present = 1;
	memcpy(o->kept[slot].origin_px, origin_px, sizeof o->kept[slot].origin_px);
	memcpy(o->kept[slot].hint_px, hint_px, sizeof o->kept[slot].hint_px);
	memcpy(o->images + slot * pixels, image, pixels * sizeof *image);
}

static void follow_mean(double *mean, double value)
{
	*mean = isnan(*mean) ? value : *mean + (value - *mean) / MEAN_FRAMES;
}

int pn_orienter_push(struct pn_orienter *o, uint64_t frame, const float *image,
		     const double origin_px[2], const double hint_px[2], struct pn_oriented *now,
		     struct pn_oriented *again, size_t *again_count, struct pn_error *err)
{
	int rc = check(o, frame, image, origin_px, hint_px, err);

	*again_count = 0;
	if (!rc)
		rc = find_pose(o, frame, image, origin_px, hint_px, now, err);
	if (!rc)
		rc = pn_orienter_insert(o, now, origin_px, image, err);
	if (rc)
		return rc;
	keep(o, now, image, origin_px, hint_px);
	o->n.frame = frame;
	o->n.images++;
	if (now->probability >= o->params.probability_min) {
		follow_mean(&o->n.score_mean, now->score);
		follow_mean(&o->n.height_mean, now->height);
	}
	if (o->n.beginning)
		return o->n.images < o->n.begin_next ? PN_OK : pn_orienter_begun(o, err);
	/* as the map ripens, fewer: each time when it has grown by a quarter */
	if (++o->n.since_refresh >= (uint64_t)o->params.refresh &&
	    4 * o->n.since_refresh >= o->n.inserted[0] + o->n.inserted[1])
		rc = pn_orienter_refresh(o, err);
	for (int64_t i = 0; !rc && i < o->params.again; i++) {
		int changed;

		rc = pn_orienter_again(o, &again[*again_count], &changed, err);
		*again_count += (size_t)changed;
	}
	return rc;
}

void pn_orienter_state(const struct pn_orienter *o, struct pn_orienter_state *state)
{
	*state = (struct pn_orienter_state){
		.images = { o->n.inserted[0], o->n.inserted[1] },
		.map = o->n.map,
		.step_deg = pn_path_step_deg(o->path),
		.walk_px2 = o->n.walk.step_px2,
		.score_mean = o->n.score_mean,
		.resolution_A = o->n.resolution_A,
	};
}

const float *pn_orienter_map(const struct pn_orienter *o, int half)
{
	return o->half[half].map;
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

static size_t kept_images(const struct pn_orienter *o)
{
	const uint64_t memory = (uint64_t)o->params.keep;

	return (size_t)(o->n.kept < memory ? o->n.kept : memory);
}

/* A part made by another save: in one piece, so that its load finds its own end. */
static int put_saved(struct pn_blob *out, int (*save)(const void *, struct pn_blob *),
		     const void *what)
{
	struct pn_blob part = { 0 };
	int rc = save(what, &part);

	if (!rc)
		rc = pn_blob_put_part(out, part.data, part.bytes);
	pn_blob_finish(&part);
	return rc;
}

static int save_path(const void *path, struct pn_blob *out)
{
	return pn_path_save(path, out);
}

static int save_sums(const void *sums, struct pn_blob *out)
{
	return pn_accumulator_save(sums, out);
}

int pn_orienter_save(const struct pn_orienter *o, struct pn_blob *out)
{
	const size_t voxels = o->edge * o->edge * o->edge, kept = kept_images(o);
	int rc = pn_blob_put_part(out, &o->n, sizeof o->n);

	if (!rc)
		rc = put_saved(out, save_path, o->path);
	if (!rc)
		rc = pn_blob_put_part(out, o->polar->ctf, o->polar->rings * sizeof *o->polar->ctf);
	for (int h = 0; !rc && h < 2; h++) {
		rc = pn_blob_put_part(out, o->half[h].map, voxels * sizeof *o->half[h].map);
		if (!rc)
			rc = put_saved(out, save_sums, o->half[h].sums);
	}
	if (!rc)
		rc = pn_blob_put_part(out, o->kept, kept * sizeof *o->kept);
	return rc ? rc
		  : pn_blob_put_part(out, o->images, kept * o->edge * o->edge * sizeof *o->images);
}

/* A part of known length; 0: there is none. */
static int get(struct pn_blob_view *view, void *to, size_t bytes)
{
	size_t have;
	const void *part = pn_blob_get_part(view, &have);

	if (!part || have != bytes)
		return 0;
	memcpy(to, part, bytes);
	return 1;
}

static int load_parts(struct pn_orienter *o, struct pn_blob_view *view, struct pn_error *err)
{
	const size_t voxels = o->edge * o->edge * o->edge;
	size_t bytes;
	const void *part;
	int rc = PN_OK;

	if (!get(view, &o->n, sizeof o->n))
		return 0;
	part = pn_blob_get_part(view, &bytes);
	if (!part || pn_path_load(o->path, part, bytes, err))
		return 0;
	if (!get(view, o->polar->ctf, o->polar->rings * sizeof *o->polar->ctf))
		return 0;
	for (int h = 0; h < 2; h++) {
		if (!get(view, o->half[h].map, voxels * sizeof *o->half[h].map))
			return 0;
		part = pn_blob_get_part(view, &bytes);
		rc = part ? pn_accumulator_load(o->half[h].sums, part, bytes, err) : PN_EVERSION;
		if (rc)
			return 0;
	}
	return get(view, o->kept, kept_images(o) * sizeof *o->kept) &&
	       get(view, o->images, kept_images(o) * o->edge * o->edge * sizeof *o->images);
}

int pn_orienter_load(struct pn_orienter *o, const void *data, size_t bytes, struct pn_error *err)
{
	struct pn_blob_view view = { data, bytes };

	if (!load_parts(o, &view, err))
		return pn_error_set(err, PN_EVERSION,
				    "%zu bytes are no checkpoint of an orienter of %zu px", bytes,
				    o->edge);
	return pn_orienter_use_maps(o, err);
}
