/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * clean - each tilt without its noise and background: variance stabilised, BM3D (R22), then the
 * particle's mask and the Laplace background behind it (R23).
 */
#include "perrin/host/stage.h"
#include "perrin/image/bm3d.h"
#include "perrin/image/laplace.h"
#include "perrin/image/noise.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SKIP_NO_PARTICLE, SKIP_NO_NOISE };
enum { DENOISE_NORMAL, DENOISE_FAST, DENOISE_NONE };
enum { BACKGROUND_LAPLACE, BACKGROUND_NONE };

struct clean {
	int denoise, background;
	struct pn_particle_params particle;
	struct pn_laplace_params laplace;

	struct pn_bm3d_params bm3d;
	struct pn_tilts_head head; /* of the tilt under way */
	float *image;              /* [pixels] of it, clean */
	size_t pixels, capacity;
	uint64_t held_seq;
	int held; /* it is: only the emission is left */
};

static const char *const denoise_choices[] = { "normal", "fast", "none", NULL };
static const char *const background_choices[] = { "laplace", "none", NULL };
static const struct pn_param params[] = {
	{ .name = "denoise",
	  .help = "profile of BM3D",
	  .type = PN_PARAM_ENUM,
	  .off = offsetof(struct clean, denoise),
	  .choices = denoise_choices },
	{ .name = "background",
	  .help = "what is subtracted within the particle's mask; outside is 0",
	  .type = PN_PARAM_ENUM,
	  .off = offsetof(struct clean, background),
	  .choices = background_choices },
	{ .name = "particle",
	  .group = pn_particle_param_table,
	  .off = offsetof(struct clean, particle) },
	{ .name = "laplace",
	  .group = pn_laplace_param_table,
	  .off = offsetof(struct clean, laplace) },
	{ 0 },
};

static const struct pn_port inputs[] = { { .name = "tilts", .schema = &pn_tilts_schema }, { 0 } };
static const struct pn_port outputs[] = { { .name = "clean", .schema = &pn_tilts_schema }, { 0 } };
static const char *const reasons[] = { "no_particle", "no_noise", NULL };

static int clean_open(void *self, struct pn_ctx *ctx)
{
	struct clean *s = self;

	(void)ctx;
	if (s->denoise == DENOISE_FAST)
		pn_bm3d_fast(&s->bm3d);
	else
		pn_params_default(pn_bm3d_param_table, &s->bm3d);
	return PN_OK;
}

/*
 * Noise as the merging found it in the frames, else as the image itself shows it. No readout noise
 * may mean that the detector has an offset, for which the head of a tilt has no place: the image
 * shows it, where the line of its variance begins, also if its frames were interpolated.
 */
static int remove_noise(struct clean *s, struct pn_error *err)
{
	struct pn_noise_model noise = { .gain = s->head.gain, .readout = s->head.readout };
	int known = !isnan(noise.gain) && !isnan(noise.readout);
	struct pn_noise_fit fit;

	if (!known || noise.readout == 0) {
		int rc = pn_noise_from_image(&fit, s->image, s->head.ny, s->head.nx, NULL, err);

		if (rc && (rc == PN_ENOMEM || !known))
			return rc;
		if (known && !rc && fit.model.offset > 2 * fit.offset_se)
			noise.offset = fit.model.offset;
	}
	if (!known) {
		noise = fit.model;
		s->head.gain = noise.gain;
		s->head.readout = noise.readout;
	}
	return pn_denoise_poisson_gauss(s->image, s->image, s->head.ny, s->head.nx, &noise,
					&s->bm3d, err);
}

static int remove_background(struct clean *s, struct pn_error *err)
{
	uint8_t *mask = malloc(s->pixels);
	float *with = malloc(s->pixels * sizeof *with);
	struct pn_particle particle;
	int rc = mask && with ? PN_OK
			      : pn_error_set(err, PN_ENOMEM, "no memory for %zu pixels", s->pixels);

	if (!rc) {
		memcpy(with, s->image, s->pixels * sizeof *with);
		rc = pn_particle_mask(mask, with, s->head.ny, s->head.nx, &s->particle, &particle,
				      err);
	}
	if (!rc)
		rc = pn_laplace_subtract(s->image, with, mask, s->head.ny, s->head.nx, &s->laplace,
					 NULL, err);
	if (!rc) {
		double sum = 0;

		for (size_t i = 0; i < s->pixels; i++)
			sum += mask[i] ? (double)with[i] - (double)s->image[i] : 0;
		s->head.background = particle.mask_px ? sum / (double)particle.mask_px : 0;
	}
	free(mask);
	free(with);
	return rc;
}

static int make_room(struct clean *s, struct pn_ctx *ctx, size_t pixels)
{
	s->pixels = pixels;
	if (pixels <= s->capacity)
		return PN_OK;
	free(s->image);
	s->image = malloc(pixels * sizeof *s->image);
	s->capacity = s->image ? pixels : 0;
	if (!s->image)
		return pn_fail(ctx, PN_ENOMEM, "no memory for a tilt of %zu pixels", pixels);
	return PN_OK;
}

static int clean_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct clean *s = self;
	struct pn_error why = { 0 };
	void *payload;
	int rc;

	if (!s->held || s->held_seq != in->seq) {
		rc = pn_msg_decode(&pn_tilts_schema, in, &s->head, &ctx->err);
		if (!rc)
			rc = make_room(s, ctx, (size_t)(s->head.ny * s->head.nx));
		if (rc)
			return rc;
		memcpy(s->image, in->payload, s->pixels * sizeof *s->image);
		int noisy = s->denoise == DENOISE_NONE ? PN_OK : remove_noise(s, &why);

		rc = noisy || s->background == BACKGROUND_NONE ? noisy : remove_background(s, &why);
		if (rc == PN_ENOMEM)
			return pn_fail(ctx, rc, "%s", why.text);
		if (rc) {
			pn_skip(ctx, noisy ? SKIP_NO_NOISE : SKIP_NO_PARTICLE, 1);
			return PN_OK;
		}
		s->head.state = PN_TILT_CLEANED;
		s->held_seq = in->seq;
		s->held = 1;
	}
	rc = pn_emit(ctx, 0, &s->head, in->time_ns, s->pixels * sizeof *s->image, &payload);
	if (rc)
		return rc;
	memcpy(payload, s->image, s->pixels * sizeof *s->image);
	pn_done(ctx, 1);
	s->held = 0;
	return PN_OK;
}

static void clean_close(void *self)
{
	free(((struct clean *)self)->image);
}

const struct pn_stage_ops pn_stage_clean = {
	.name = "clean",
	.brief = "takes noise and background off each tilt",
	.state_size = sizeof(struct clean),
	.params = params,
	.inputs = inputs,
	.outputs = outputs,
	.reasons = reasons,
	.open = clean_open,
	.take = clean_take,
	.close = clean_close,
};
