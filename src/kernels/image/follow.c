/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/image/follow.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEARN_ALL = 64 }; /* first frames that all teach the background */

/* The fine spots of two graphene sheets stand 0.7 to 1 above their surroundings in a 256^2 frame. */
static const double background_contrast = 0.4;

struct pn_follow {
	int64_t background_every;
	struct pn_tracker *tracker;
	struct pn_background *background;
	/* plain data, part of the saved state */
	struct known {
		uint64_t frames, spot_count;
		struct pn_spot spots[PN_BACKGROUND_SPOTS_MAX];
	} known;
};

const struct pn_param pn_follow_param_table[] = {
	{ .name = "background_every",
	  .help = "every n-th frame, and the first 64, teach the window's lattice (0: none)",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct pn_follow_params, background_every),
	  .def = 10,
	  .min = 0,
	  .max = 1000000 },
	{ .name = "tracker",
	  .group = pn_tracker_param_table,
	  .off = offsetof(struct pn_follow_params, tracker) },
	{ 0 },
};

int pn_follow_create(struct pn_follow **follow, size_t ny, size_t nx,
		     const struct pn_follow_params *params, struct pn_error *err)
{
	struct pn_follow *f = calloc(1, sizeof *f);
	struct pn_background_params background;

	*follow = NULL;
	if (!f)
		return pn_error_set(err, PN_ENOMEM, "no memory to follow particles");
	f->background_every = params->background_every;
	pn_params_default(pn_background_param_table, &background);
	background.contrast_min = background_contrast;
	background.pixel_pm = params->tracker.pixel_pm;
	int rc = pn_tracker_create(&f->tracker, ny, nx, &params->tracker, err);
	if (!rc && params->background_every)
		rc = pn_background_create(&f->background, ny, nx, &background, err);
	if (rc)
		pn_follow_destroy(f);
	else
		*follow = f;
	return rc;
}

void pn_follow_destroy(struct pn_follow *f)
{
	if (!f)
		return;
	pn_tracker_destroy(f->tracker);
	pn_background_destroy(f->background);
	free(f);
}

static void learn(struct pn_follow *f, const float *frame)
{
	struct known *known = &f->known;

	if (!f->background || (known->frames >= LEARN_ALL &&
			       known->frames % (uint64_t)f->background_every))
		return;
	pn_background_update(f->background, frame);
	size_t seen = pn_background_frames(f->background);

	if (seen % 64 && (seen & (seen - 1)))
		return;
	known->spot_count = pn_background_find(f->background, known->spots);
	pn_tracker_set_background(f->tracker, known->spots, known->spot_count);
}

int pn_follow_update(struct pn_follow *f, const float *frame, struct pn_followed *out,
		     struct pn_error *err)
{
	learn(f, frame);
	int rc = pn_tracker_update(f->tracker, frame, out->tracks, &out->count, err);

	memcpy(out->spots, f->known.spots, sizeof out->spots);
	out->spot_count = f->known.spot_count;
	f->known.frames++;
	return rc;
}

int pn_follow_save(const struct pn_follow *f, struct pn_blob *out, struct pn_error *err)
{
	size_t tracker_bytes = 0, background_bytes = 0;

	pn_tracker_save(f->tracker, NULL, &tracker_bytes, err);
	if (f->background)
		pn_background_save(f->background, NULL, &background_bytes, err);
	size_t room = tracker_bytes > background_bytes ? tracker_bytes : background_bytes;
	void *bytes = malloc(room);
	if (!bytes)
		return pn_error_set(err, PN_ENOMEM, "no memory to save %zu bytes", room);
	int rc = pn_blob_put_part(out, &f->known, sizeof f->known);
	if (!rc)
		rc = pn_tracker_save(f->tracker, bytes, &tracker_bytes, err);
	if (!rc)
		rc = pn_blob_put_part(out, bytes, tracker_bytes);
	if (!rc && f->background) {
		rc = pn_background_save(f->background, bytes, &background_bytes, err);
		if (!rc)
			rc = pn_blob_put_part(out, bytes, background_bytes);
	}
	free(bytes);
	return rc;
}

int pn_follow_load(struct pn_follow *f, const void *data, size_t bytes, struct pn_error *err)
{
	struct pn_blob_view view = { data, bytes };
	const void *known = pn_blob_get_part(&view, &bytes);

	if (!known || bytes != sizeof f->known)
		return pn_error_set(err, PN_EVERSION, "saved by another version");
	memcpy(&f->known, known, sizeof f->known);
	const void *part = pn_blob_get_part(&view, &bytes);
	if (!part || f->known.spot_count > PN_BACKGROUND_SPOTS_MAX)
		return pn_error_set(err, PN_EFORMAT, "the saved state is cut short");
	int rc = pn_tracker_load(f->tracker, part, bytes, err);
	if (rc || !f->background)
		return rc;
	part = pn_blob_get_part(&view, &bytes);
	if (!part)
		return pn_error_set(err, PN_EFORMAT, "the saved state lacks the background");
	return pn_background_load(f->background, part, bytes, err);
}

int64_t pn_box_origin(double center_px, uint64_t box, uint64_t size)
{
	int64_t origin = (int64_t)lround(center_px) - (int64_t)(box / 2);
	int64_t last = (int64_t)(size - box);

	return origin < 0 ? 0 : origin > last ? last : origin;
}
