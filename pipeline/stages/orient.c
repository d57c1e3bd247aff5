/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * orient - how each particle stood on each frame: matched with a map that grows with its images,
 * the way through the frames followed (R8), a new segment begun where the structure changes (R7).
 */
#include "crops.h"
#include "perrin/host/stage.h"
#include "perrin/orient/orienter.h"
#include "perrin/orient/segment.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CLEAN, CRYSTAL };
enum { SKIP_PIXEL, SKIP_SIZE, SKIP_SMALL, SKIP_PARTICLE, SKIP_RANGE, SKIP_PAST };
enum { SHAPE_AUTO, SHAPE_SPHERE, SHAPE_OCTAHEDRON };
enum { PARTICLES_MAX = 4, SIZES = 21 /* diameters whose median is the particle's */ };

#define PLACE_PX_MAX     9e5   /* poses beyond a million pixels cannot be told */
#define EDGE_PART        1.6   /* of the images over the particle's diameter */
#define EDGE_MORE        8     /* px */
#define START_SIGMA_PART 0.225 /* width of atoms over the resolution */

/* One particle. Plain but for its orienter: part of the checkpoint. */
struct followed {
	uint64_t particle, segment, images;
	double diameters_A[SIZES], diameter_A; /* 0: not known yet */
	uint64_t sizes;
	uint64_t edge;
	double pixel_pm, largest;
	uint64_t frame;
	int64_t time_ns;
	double second; /* between its frames, the mean */
	uint64_t frames;
	double latest_A; /* diameter by the newest crystal message; NaN */
	struct pn_segmenter segmenter;
};

struct orient {
	struct pn_orienter_params params;
	struct pn_segment_params segmenting;
	double diameter_A, lattice_A;
	int64_t particles;
	int shape, contrast;

	struct followed of[PARTICLES_MAX];
	struct pn_orienter *orienter[PARTICLES_MAX];
	uint64_t count;
	float *image; /* [edge][edge] of the largest so far */
	size_t image_pixels;

	struct pn_poses_head held[1 + PN_ORIENTER_AGAIN_MAX]; /* to be emitted */
	uint64_t held_count, held_seq;
	int is_held;
};

static const char *const shape_words[] = { "auto", "sphere", "octahedron", NULL };
static const char *const contrast_words[] = { "bright", "dark", NULL };

#define OFF(f) .off = offsetof(struct orient, f)
static const struct pn_param params[] = {
	{ .name = "orienter", OFF(params), .group = pn_orienter_param_table },
	{ .name = "segmenter", OFF(segmenting), .group = pn_segment_param_table },
	{ .name = "diameter_A",
	  .unit = "A",
	  .help = "of the particles; 0: as the stage crystal measures it",
	  .type = PN_PARAM_F64,
	  OFF(diameter_A),
	  .max = 10000 },
	{ .name = "lattice_A",
	  .unit = "A",
	  .help = "lattice constant of the fcc crystal to begin with",
	  .type = PN_PARAM_F64,
	  OFF(lattice_A),
	  .def = 3.92,
	  .min = 0.5,
	  .max = 100 },
	{ .name = "shape",
	  .help = "of the crystal to begin with; octahedron: truncated; auto: as the first "
		  "images show",
	  .type = PN_PARAM_ENUM,
	  OFF(shape),
	  .choices = shape_words },
	{ .name = "contrast",
	  .help = "of atoms on their surroundings",
	  .type = PN_PARAM_ENUM,
	  OFF(contrast),
	  .choices = contrast_words },
	{ .name = "particles",
	  .help = "that are followed, the first ones",
	  .type = PN_PARAM_I64,
	  OFF(particles),
	  .def = 1,
	  .min = 1,
	  .max = PARTICLES_MAX },
	{ 0 },
};

static const struct pn_port inputs[] = {
	[CLEAN] = { .name = "clean", .schema = &pn_crops_schema },
	[CRYSTAL] = { .name = "crystal", .schema = &pn_crystal_schema, .optional = 1 },
	{ 0 },
};
static const struct pn_port outputs[] = { { .name = "poses", .schema = &pn_poses_schema }, { 0 } };
static const char *const reasons[] = { "no_pixel_size",
				       "size_not_known",
				       "crop_too_small",
				       "more_particles",
				       "out_of_range",
				       "not_newer",
				       NULL };

/* ---- particles ------------------------------------------------------------------------------ */

/* Its place in the table; -1: there is no room. */
static int find(struct orient *s, uint64_t particle)
{
	for (uint64_t i = 0; i < s->count; i++)
		if (s->of[i].particle == particle)
			return (int)i;
	if (s->count == (uint64_t)s->particles)
		return -1;
	s->of[s->count] = (struct followed){ .particle = particle,
					     .segment = 1,
					     .diameter_A = s->diameter_A,
					     .latest_A = (double)NAN };
	return (int)s->count++;
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int take_crystal(struct orient *s, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct pn_crystal_head head;
	int rc = pn_msg_decode(&pn_crystal_schema, in, &head, &ctx->err), i;

	if (rc)
		return rc;
	pn_done(ctx, 1);
	i = find(s, head.particle);
	if (i < 0)
		return PN_OK;
	struct followed *f = &s->of[i];

	f->latest_A = 10 * head.diameter_nm;
	if (isnan(head.diameter_nm) || !(head.diameter_nm > 0) || f->diameter_A > 0)
		return PN_OK;
	f->diameters_A[f->sizes++] = 10 * head.diameter_nm;
	if (f->sizes == SIZES) {
		qsort(f->diameters_A, SIZES, sizeof *f->diameters_A, ascending);
		f->diameter_A = f->diameters_A[SIZES / 2];
	}
	return PN_OK;
}

/* The follower of a particle, made when its first crop of known size comes. */
static int begin(struct orient *s, int i, struct pn_error *err)
{
	struct followed *f = &s->of[i];
	const struct pn_orienter_start start = {
		.diameter_A = f->diameter_A,
		.lattice_A = s->lattice_A,
		.sigma_A = START_SIGMA_PART * s->params.resolution_high_A,
		.shape = s->shape == SHAPE_OCTAHEDRON ? PN_START_OCTAHEDRON : PN_START_SPHERE,
		.any_shape = s->shape == SHAPE_AUTO,
	};
	const size_t pixels = f->edge * f->edge;

	if (pixels > s->image_pixels) {
		free(s->image);
		s->image = malloc(pixels * sizeof *s->image);
		s->image_pixels = s->image ? pixels : 0;
	}
	if (!s->image)
		return pn_error_set(err, PN_ENOMEM, "no memory for an image of %zu pixels", pixels);
	return pn_orienter_create(&s->orienter[i], &s->params, f->edge, f->pixel_pm / 100, &start,
				  f->largest, NULL, err);
}

/* ---- images --------------------------------------------------------------------------------- */

static size_t edge_for(double diameter_A, double pixel_A)
{
	return (size_t)ceil((diameter_A / pixel_A * EDGE_PART + EDGE_MORE) / 8) * 8;
}

static long clamp(long x, long least, long most)
{
	return x < least ? least : x > most ? most : x;
}

/* The part of a crop about the particle, its background taken off; @origin: where it is on the
 * frame. The mean outside of the circle that the edge of the image touches is background. */
static void cut(const struct orient *s, const struct followed *f, const struct pn_crops_head *head,
		const float *crop, double origin[2])
{
	const long edge = (long)f->edge, nx = (long)head->nx, ny = (long)head->ny;
	const long x0 = clamp(lrint(head->x_px) - (long)head->x0_px - edge / 2, 0, nx - edge),
		   y0 = clamp(lrint(head->y_px) - (long)head->y0_px - edge / 2, 0, ny - edge);
	const float sign = s->contrast ? -1 : 1;
	double sum = 0, count = 0;

	for (long i = 0; i < edge * edge; i++) {
		const long x = i % edge - edge / 2, y = i / edge - edge / 2;
		const float v = sign * crop[(y0 + i / edge) * nx + x0 + i % edge];

		s->image[i] = v;
		if (4 * (x * x + y * y) > edge * edge) {
			sum += (double)v;
			count++;
		}
	}
	for (long i = 0; i < edge * edge; i++)
		s->image[i] -= (float)(sum / count);
	origin[0] = (double)(head->x0_px + x0);
	origin[1] = (double)(head->y0_px + y0);
}

/* ---- poses ---------------------------------------------------------------------------------- */

/* An uncertainty that says nothing is none. */
static double known(double uncertainty, double most)
{
	return uncertainty <= most ? uncertainty : (double)NAN;
}

static void describe(const struct orient *s, int i, const struct pn_oriented *pose, int beginning,
		     struct pn_poses_head *head)
{
	const struct followed *f = &s->of[i];
	struct pn_orienter_state state;

	pn_orienter_state(s->orienter[i], &state);
	*head = (struct pn_poses_head){
		.frame = pose->frame,
		.particle = f->particle,
		.segment = f->segment,
		.revision = pose->revision,
		.state = beginning          ? PN_POSED_BEGINNING
			 : pose->weight > 0 ? PN_POSED_ORIENTED
					    : PN_POSED_UNCERTAIN,
		.quaternion_count = 4,
		.x_px = pose->position_px[0],
		.y_px = pose->position_px[1],
		.score = pose->score,
		.height = pose->height,
		.angle_uncertainty_deg = known(pose->angle_uncertainty_deg, 180),
		.shift_uncertainty_px = known(pose->shift_uncertainty_px, (double)f->edge),
		.probability = pose->probability,
		.entropy = pose->entropy,
		.runner_up_count = pose->has_runner_up ? 4 : 0,
		.runner_up_probability =
			pose->has_runner_up ? pose->runner_up_probability : (double)NAN,
		.runner_up_is = pose->has_runner_up ? 1 + (int)pose->runner_up_is : 0,
		.step_deg = state.step_deg,
		.rotation_rad2_per_s = (double)NAN,
		.translation_A2_per_s = (double)NAN,
		.half = (uint64_t)pose->half,
		.map = pose->map,
		.weight = pose->weight,
	};
	memcpy(head->quaternion, pose->quaternion, sizeof head->quaternion);
	if (pose->has_runner_up)
		memcpy(head->runner_up, pose->runner_up, sizeof head->runner_up);
	if (f->second > 0) {
		const double step = state.step_deg * M_PI / 180, pixel_A = f->pixel_pm / 100;

		/* <turn^2> = 6 D t of the three angles, <x^2> = 2 D t along an axis */
		head->rotation_rad2_per_s = step * step / (6 * f->second);
		head->translation_A2_per_s = state.walk_px2 * pixel_A * pixel_A / (2 * f->second);
	}
}

static void pass_time(struct followed *f, uint64_t frame, int64_t time_ns)
{
	if (f->frames && frame > f->frame) {
		double second = (double)(time_ns - f->time_ns) * 1e-9 / (double)(frame - f->frame);

		if (second > 0)
			f->second += (second - f->second) / fmin((double)f->frames, 100);
	}
	f->frame = frame;
	f->time_ns = time_ns;
	f->frames++;
}

static int follow(struct orient *s, int i, const struct pn_crops_head *head, const float *crop,
		  struct pn_error *err)
{
	struct followed *f = &s->of[i];
	const double hint[2] = { head->x_px, head->y_px };
	struct pn_oriented now, again[PN_ORIENTER_AGAIN_MAX];
	double origin[2];
	size_t revised;

	cut(s, f, head, crop, origin);
	int rc = pn_orienter_push(s->orienter[i], head->frame, s->image, origin, hint, &now, again,
				  &revised, err);

	if (rc)
		return rc;
	const int beginning = now.map == 0 && !(now.weight > 0);

	describe(s, i, &now, beginning, &s->held[0]);
	for (size_t k = 0; k < revised; k++)
		describe(s, i, &again[k], 0, &s->held[1 + k]);
	s->held_count = 1 + revised;
	if (pn_segment_image(&f->segmenter, &s->segmenting,
			     now.weight > 0 ? now.score : (double)NAN, now.map,
			     f->latest_A) == PN_SEGMENT_GOES_ON)
		return PN_OK;
	f->segment++;
	rc = pn_orienter_restart(s->orienter[i], err);
	return rc == PN_EARG ? PN_EIO : rc; /* not the image's fault */
}

static int skip(struct pn_ctx *ctx, unsigned reason)
{
	pn_skip(ctx, reason, 1);
	return PN_OK;
}

/* Is the particle's follower ready for this crop? It is made if need be; else the crop is skipped.
 */
static int prepare(struct orient *s, struct pn_ctx *ctx, int i, const struct pn_crops_head *head,
		   int64_t time_ns, const float *crop, int *ready)
{
	struct followed *f = &s->of[i];
	struct pn_error why = { 0 };

	*ready = 0;
	if (f->frames && head->frame <= f->frame)
		return skip(ctx, SKIP_PAST);
	pass_time(f, head->frame, time_ns);
	if (!s->orienter[i]) {
		f->edge = edge_for(f->diameter_A, head->pixel_pm / 100);
		f->pixel_pm = head->pixel_pm;
		for (uint64_t k = 0; k < head->ny * head->nx; k++)
			f->largest = fmax(f->largest, fabs((double)crop[k]));
		if (f->edge > head->ny || f->edge > head->nx)
			return skip(ctx, SKIP_SMALL);
		if (!(f->largest > 0) || !isfinite(f->largest))
			return skip(ctx, SKIP_RANGE);
		int rc = begin(s, i, &why);

		if (rc == PN_EARG)
			return skip(ctx, SKIP_RANGE);
		if (rc)
			return pn_fail(ctx, rc, "%s", why.text);
	}
	if (f->edge > head->ny || f->edge > head->nx)
		return skip(ctx, SKIP_SMALL);
	*ready = 1;
	return PN_OK;
}

static int take_crop(struct orient *s, struct pn_ctx *ctx, const struct pn_crops_head *head,
		     const struct pn_msg *in)
{
	struct pn_error why = { 0 };
	struct pn_window_crop place;
	int i = find(s, head->particle), ready;

	if (i < 0)
		return skip(ctx, SKIP_PARTICLE);
	if (isnan(head->pixel_pm))
		return skip(ctx, SKIP_PIXEL);
	if (fabs(head->x_px) > PLACE_PX_MAX || fabs(head->y_px) > PLACE_PX_MAX)
		return skip(ctx, SKIP_RANGE);
	if (!(s->of[i].diameter_A > 0))
		return skip(ctx, SKIP_SIZE);
	float *crop = crop_read(&place, head, in, ctx);

	if (!crop)
		return PN_ENOMEM;
	int rc = prepare(s, ctx, i, head, in->time_ns, crop, &ready);

	if (!rc && ready) {
		rc = follow(s, i, head, crop, &why);
		if (rc == PN_EARG) /* a pixel that is not a number, or far beyond the others */
			rc = skip(ctx, SKIP_RANGE);
		else if (rc)
			rc = pn_fail(ctx, rc, "%s", why.text);
		else
			s->is_held = 1;
	}
	s->held_seq = in->seq;
	free(crop);
	return rc;
}

static int orient_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct orient *s = self;
	struct pn_crops_head head;

	if (in->port == CRYSTAL)
		return take_crystal(s, ctx, in);
	if (!s->is_held || s->held_seq != in->seq) {
		int rc = pn_msg_decode(&pn_crops_schema, in, &head, &ctx->err);

		if (!rc)
			rc = take_crop(s, ctx, &head, in);
		if (rc || !s->is_held)
			return rc;
	}
	for (uint64_t k = 0; k < s->held_count; k++) {
		int rc = pn_emit(ctx, 0, &s->held[k], in->time_ns, 0, &(void *){ NULL });

		if (rc)
			return rc;
	}
	pn_done(ctx, 1);
	s->is_held = 0;
	return PN_OK;
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

static int orient_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	struct orient *s = self;

	(void)ctx;
	if (s->is_held)
		return PN_EAGAIN;
	int rc = pn_blob_put_part(out, s->of, s->count * sizeof *s->of);

	for (uint64_t i = 0; !rc && i < s->count; i++) {
		struct pn_blob part = { 0 };

		if (s->orienter[i])
			rc = pn_orienter_save(s->orienter[i], &part);
		if (!rc)
			rc = pn_blob_put_part(out, part.data, part.bytes);
		pn_blob_finish(&part);
	}
	return rc;
}

static int orient_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes)
{
	struct orient *s = self;
	struct pn_blob_view view = { data, bytes };
	size_t size = 0;
	const void *part = pn_blob_get_part(&view, &size);
	int rc = PN_OK;

	if (!part || size % sizeof *s->of || size > sizeof s->of)
		return pn_fail(ctx, PN_EVERSION, "checkpoint of %zu bytes", bytes);
	memcpy(s->of, part, size);
	s->count = size / sizeof *s->of;
	for (uint64_t i = 0; !rc && i < s->count; i++) {
		part = pn_blob_get_part(&view, &size);
		if (!part)
			return pn_fail(ctx, PN_EVERSION, "checkpoint of %zu bytes", bytes);
		if (!size)
			continue;
		rc = begin(s, (int)i, &ctx->err);
		if (!rc)
			rc = pn_orienter_load(s->orienter[i], part, size, &ctx->err);
	}
	return rc;
}

static void orient_close(void *self)
{
	struct orient *s = self;

	for (int i = 0; i < PARTICLES_MAX; i++)
		pn_orienter_destroy(s->orienter[i]);
	free(s->image);
}

const struct pn_stage_ops pn_stage_orient = {
	.name = "orient",
	.brief = "how each particle stood on each frame",
	.state_size = sizeof(struct orient),
	.params = params,
	.inputs = inputs,
	.outputs = outputs,
	.reasons = reasons,
	.take = orient_take,
	.save = orient_save,
	.load = orient_load,
	.close = orient_close,
};
