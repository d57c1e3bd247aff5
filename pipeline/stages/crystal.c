/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * crystal - how crystalline is each particle on each frame (R5), its lattice spacing and diameter (R6).
 *
 * Takes the best crops there are: raw ones are low-passed, those of a denoiser taken as they are (set
 * lowpass_A to 0). Per crop: one real FFT and, in aligned frames, a few small ones for the size.
 */
#include "perrin/host/stage.h"
#include "perrin/image/center.h"
#include "perrin/image/crystal.h"
#include "perrin/image/twoclass.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PARTICLES_MAX 64 /* followed at once; the one unseen for longest gives way */
#define PLACE_PX_MAX  1e6 /* as far as a head of type crystal can say                */

enum { SKIP_NO_PIXEL_SIZE };

/* What is known of one particle so far; plain data, part of the checkpoint. */
struct particle {
	uint64_t id, last_frame;
	int used;
	struct pn_two_class class;
	struct pn_center center;
};

struct crystal {
	struct pn_crystal_params kernel;
	int64_t mean_frames;
	struct pn_crystal *plan;
	uint64_t ny, nx;       /* the plan's                */
	double pixel_pm;
	float *image;          /* [ny][nx]                  */
	struct particle *particles; /* [PARTICLES_MAX]      */
};

static const struct pn_param params[] = {
	{ .name = "mean_frames", .help = "frames in the moving mean of the peak", .type = PN_PARAM_I64,
	  .off = offsetof(struct crystal, mean_frames), .def = 100, .min = 1,
	  .max = PN_TWO_CLASS_MEAN_MAX },
	{ .name = "kernel", .group = pn_crystal_param_table, .off = offsetof(struct crystal, kernel) },
	{ 0 },
};

static const struct pn_port inputs[] = { { "crops", &pn_crops_schema, 0 }, { 0 } };
static const struct pn_port outputs[] = { { "crystal", &pn_crystal_schema, 0 }, { 0 } };
static const char *const reasons[] = { "no_pixel_size", NULL };

static int crystal_open(void *self, struct pn_ctx *ctx)
{
	struct crystal *s = self;

	if (!(s->kernel.d_min_A < s->kernel.d_max_A))
		return pn_fail(ctx, PN_EARG, "d_min_A = %g, d_max_A = %g: must rise", s->kernel.d_min_A,
			       s->kernel.d_max_A);
	s->particles = calloc(PARTICLES_MAX, sizeof *s->particles);
	return s->particles ? PN_OK : pn_fail(ctx, PN_ENOMEM, "no memory for %d particles", PARTICLES_MAX);
}

/*
 * The plan depends on the crops' shape and pixel, which their first head tells. A head that no plan can
 * be made for is a bad message, and the plan that was stays.
 */
static int plan_for(struct crystal *s, struct pn_ctx *ctx, const struct pn_crops_head *head)
{
	struct pn_crystal_params kernel = s->kernel;
	struct pn_crystal *plan;

	if (s->plan && s->ny == head->ny && s->nx == head->nx && s->pixel_pm == head->pixel_pm)
		return PN_OK;
	kernel.pixel_pm = head->pixel_pm;
	int rc = pn_crystal_create(&plan, head->ny, head->nx, &kernel, &ctx->err);
	if (rc) /* the parameters are good: what is wrong is what the head tells */
		return rc == PN_EARG ? (ctx->err.code = PN_EFRAME) : rc;
	float *image = malloc(head->ny * head->nx * sizeof *image);
	if (!image) {
		pn_crystal_destroy(plan);
		return pn_fail(ctx, PN_ENOMEM, "no memory for a crop of %llu x %llu",
			       (unsigned long long)head->ny, (unsigned long long)head->nx);
	}
	pn_crystal_destroy(s->plan);
	free(s->image);
	s->plan = plan;
	s->image = image;
	s->ny = head->ny;
	s->nx = head->nx;
	s->pixel_pm = head->pixel_pm;
	return PN_OK;
}

static struct particle *find_particle(struct crystal *s, uint64_t id)
{
	struct particle *oldest = s->particles;

	for (unsigned i = 0; i < PARTICLES_MAX; i++) {
		struct particle *p = &s->particles[i];

		if (p->used && p->id == id)
			return p;
		if (oldest->used && (!p->used || p->last_frame < oldest->last_frame))
			oldest = p;
	}
	memset(oldest, 0, sizeof *oldest);
	oldest->used = 1;
	oldest->id = id;
	pn_two_class_init(&oldest->class, pn_crystal_noise_peak(s->plan), (int)s->mean_frames);
	return oldest;
}

static size_t background_spots(const struct pn_crops_head *head, struct pn_spot *spots)
{
	size_t count = head->spot_count / 2;

	for (size_t i = 0; i < count; i++)
		spots[i] = (struct pn_spot){ .gx_per_A = head->spots_per_A[2 * i],
					     .gy_per_A = head->spots_per_A[2 * i + 1] };
	return count;
}

static double known(double value)
{
	return value > 0 ? value : NAN;
}

static void describe(const struct pn_crops_head *crop, const struct pn_crystal_result *result,
		     struct pn_crystal_head *head)
{
	int found = result->spacing_pm > 0;
	double x_px = (double)crop->x0_px + result->x_px, y_px = (double)crop->y0_px + result->y_px;
	int placed = result->size_valid && fabs(x_px) <= PLACE_PX_MAX && fabs(y_px) <= PLACE_PX_MAX;

	*head = (struct pn_crystal_head){
		.frame = crop->frame,
		.particle = crop->particle,
		.x_px = crop->x_px,
		.y_px = crop->y_px,
		.peak = result->peak,
		.spacing_pm = known(result->spacing_pm),
		.gx_per_A = found ? result->gx_per_A : NAN,
		.gy_per_A = found ? result->gy_per_A : NAN,
		.width_px = known(result->width_px),
		.diameter_nm = result->size_valid ? result->diameter_nm : NAN,
		.lattice_x_px = placed ? x_px : NAN,
		.lattice_y_px = placed ? y_px : NAN,
	};
}

/* What the head can hold. */
static double place(double px)
{
	return fmax(-PLACE_PX_MAX, fmin(PLACE_PX_MAX, px));
}

/* The tracker's centre, corrected by where the lattice is seen. */
static void correct_center(struct pn_center *center, struct pn_crystal_head *head, double pixel_pm)
{
	double pixel_A = pixel_pm / 100;
	double lattice_A[2] = { (head->lattice_x_px - head->x_px) * pixel_A,
				(head->lattice_y_px - head->y_px) * pixel_A };

	pn_center_update(center, head->frame, isnan(lattice_A[0]) ? NULL : lattice_A, head->peak);
	head->x_px = place(head->x_px + center->offset_A[0] / pixel_A);
	head->y_px = place(head->y_px + center->offset_A[1] / pixel_A);
}

static int crystal_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct crystal *s = self;
	struct pn_crops_head crop;
	struct pn_crystal_head head;
	struct pn_crystal_result result;
	struct pn_spot spots[PN_SPOTS_MAX];
	int rc = pn_msg_decode(&pn_crops_schema, in, &crop, &ctx->err);

	if (rc)
		return rc;
	if (!(crop.pixel_pm > 0)) {
		pn_skip(ctx, SKIP_NO_PIXEL_SIZE, 1);
		return PN_OK;
	}
	rc = plan_for(s, ctx, &crop);
	if (rc)
		return rc;
	pn_to_f32(s->image, in->payload, crop.dtype, crop.ny * crop.nx);
	pn_crystal_execute(s->plan, s->image, spots, background_spots(&crop, spots), &result);

	/* on a copy first: without room to emit nothing may have changed */
	struct particle *particle = find_particle(s, crop.particle);
	struct pn_two_class class = particle->class;
	struct pn_center center = particle->center;
	double mean = 0;
	int high = pn_two_class_add(&class, result.peak, &mean) == PN_CLASS_HIGH;

	high = high && result.n_peaks; /* whatever the classes are, noise alone is not high */

	if (high)
		pn_crystal_size(s->plan, s->image, &result);
	describe(&crop, &result, &head);
	correct_center(&center, &head, crop.pixel_pm);
	head.class = high;
	head.threshold = fmax(class.threshold, pn_crystal_noise_peak(s->plan));
	head.peak_mean = mean;
	rc = pn_emit(ctx, 0, &head, in->time_ns, 0, NULL);
	if (rc)
		return rc;
	particle->class = class;
	particle->center = center;
	particle->last_frame = crop.frame;
	pn_done(ctx, 1);
	return PN_OK;
}

static int crystal_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	struct crystal *s = self;

	(void)ctx;
	for (unsigned i = 0; i < PARTICLES_MAX; i++) {
		int rc = s->particles[i].used ? pn_blob_put(out, &s->particles[i], sizeof *s->particles)
					      : PN_OK;
		if (rc)
			return rc;
	}
	return PN_OK;
}

static int crystal_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes)
{
	struct crystal *s = self;

	if (bytes % sizeof *s->particles || bytes / sizeof *s->particles > PARTICLES_MAX)
		return pn_fail(ctx, PN_EVERSION, "checkpoint of %zu bytes: not whole particles of %zu",
			       bytes, sizeof *s->particles);
	memcpy(s->particles, data, bytes);
	return PN_OK;
}

static void crystal_close(void *self)
{
	struct crystal *s = self;

	pn_crystal_destroy(s->plan);
	free(s->image);
	free(s->particles);
}

const struct pn_stage_ops pn_stage_crystal = {
	.name = "crystal",
	.brief = "FFT crystallinity, lattice spacing and diameter of each particle",
	.state_size = sizeof(struct crystal),
	.params = params,
	.inputs = inputs,
	.outputs = outputs,
	.reasons = reasons,
	.open = crystal_open,
	.take = crystal_take,
	.save = crystal_save,
	.load = crystal_load,
	.close = crystal_close,
};
