/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/incremental.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HELD_OUT_FROM 12 /* tilts below which none can be spared */

struct pn_incremental {
	size_t ny, nx;
	double largest_pixel;
	struct pn_normal *all, *held_out;
	struct pn_fista *fista;
	struct pn_incremental_state state;
	float *volume;
	/* in ascending order of id */
	size_t capacity;
	uint64_t *id;
	struct pn_pose *pose;
	float *image; /* [capacity][ny][nx] */
};

static size_t pixels(const struct pn_incremental *s)
{
	return s->ny * s->nx;
}

int pn_incremental_create(struct pn_incremental **series, const struct pn_box *box, int single_axis,
			  size_t ny, size_t nx, double largest_pixel, struct pn_error *err)
{
	*series = NULL;
	if (!ny || !nx)
		return pn_error_set(err, PN_EARG, "images of %zu x %zu pixels", ny, nx);

	struct pn_incremental *s = calloc(1, sizeof *s);

	if (!s)
		return pn_error_set(err, PN_ENOMEM, "no memory for a tilt series");
	s->ny = ny;
	s->nx = nx;
	s->largest_pixel = largest_pixel;
	s->state.misfit = NAN;
	int rc = pn_normal_create(&s->all, box, single_axis, largest_pixel, err);

	if (!rc)
		rc = pn_fista_create(&s->fista, box, single_axis, err);
	if (!rc) {
		s->volume = calloc(pn_box_voxels(box), sizeof *s->volume);
		if (!s->volume)
			rc = pn_error_set(err, PN_ENOMEM, "the volume needs %zu bytes",
					  pn_box_voxels(box) * sizeof *s->volume);
	}
	if (rc) {
		pn_incremental_destroy(s);
		return rc;
	}
	*series = s;
	return PN_OK;
}

void pn_incremental_destroy(struct pn_incremental *s)
{
	if (!s)
		return;
	pn_normal_destroy(s->all);
	pn_normal_destroy(s->held_out);
	pn_fista_destroy(s->fista);
	free(s->volume);
	free(s->id);
	free(s->pose);
	free(s->image);
	free(s);
}

/* ---- the tilts ----------------------------------------------------------------------------- */

/* Index of the first tilt whose id is not below @id. */
static size_t place_of(const struct pn_incremental *s, uint64_t id)
{
	size_t low = 0, high = s->state.tilts;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (s->id[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static int is_there(const struct pn_incremental *s, size_t place, uint64_t id)
{
	return place < s->state.tilts && s->id[place] == id;
}

static int reserve(struct pn_incremental *s, struct pn_error *err)
{
	size_t capacity = s->capacity ? 2 * s->capacity : 64;
	void *grown;

	if (s->state.tilts < s->capacity)
		return PN_OK;
	if ((grown = realloc(s->id, capacity * sizeof *s->id)))
		s->id = grown;
	if (grown && (grown = realloc(s->pose, capacity * sizeof *s->pose)))
		s->pose = grown;
	if (grown && (grown = realloc(s->image, capacity * pixels(s) * sizeof *s->image)))
		s->image = grown;
	if (!grown)
		return pn_error_set(err, PN_ENOMEM, "%zu tilts need %zu bytes", capacity,
				    capacity * pixels(s) * sizeof *s->image);
	s->capacity = capacity;
	return PN_OK;
}

/* Move the tilts from @place on by one, up or down. */
static void shift_tilts(struct pn_incremental *s, size_t to, size_t from)
{
	size_t count = s->state.tilts - (from > to ? from : to);

	memmove(s->id + to, s->id + from, count * sizeof *s->id);
	memmove(s->pose + to, s->pose + from, count * sizeof *s->pose);
	memmove(s->image + to * pixels(s), s->image + from * pixels(s),
		count * pixels(s) * sizeof *s->image);
}

static int subtract(struct pn_incremental *s, size_t place, struct pn_error *err)
{
	return pn_normal_subtract(s->all, &s->pose[place], s->image + place * pixels(s), s->ny,
				  s->nx, err);
}

int pn_incremental_put(struct pn_incremental *s, uint64_t id, const struct pn_pose *pose,
		       const float *image, struct pn_error *err)
{
	size_t place = place_of(s, id);
	int known = is_there(s, place, id), rc = reserve(s, err);

	if (!rc)
		rc = pn_normal_add(s->all, pose, image, s->ny, s->nx, err);
	if (!rc && known) {
		rc = subtract(s, place, err);
		if (rc)
			pn_normal_subtract(s->all, pose, image, s->ny, s->nx, NULL);
	}
	if (rc)
		return pn_error_wrap(err, "tilt %llu", (unsigned long long)id);
	if (!known) {
		s->state.tilts++;
		if (place + 1 < s->state.tilts)
			shift_tilts(s, place + 1, place);
	}
	s->id[place] = id;
	s->pose[place] = *pose;
	memcpy(s->image + place * pixels(s), image, pixels(s) * sizeof *image);
	return PN_OK;
}

int pn_incremental_withdraw(struct pn_incremental *s, uint64_t id, struct pn_error *err)
{
	size_t place = place_of(s, id);

	if (!is_there(s, place, id))
		return pn_error_set(err, PN_ENOENT, "there is no tilt %llu among %zu",
				    (unsigned long long)id, s->state.tilts);
	int rc = subtract(s, place, err);

	if (rc)
		return rc;
	if (place + 1 < s->state.tilts)
		shift_tilts(s, place, place + 1);
	s->state.tilts--;
	return PN_OK;
}

struct pn_projections pn_incremental_projections(const struct pn_incremental *s,
						 const uint64_t **id)
{
	if (id)
		*id = s->id;
	return (struct pn_projections){ .count = s->state.tilts,
					.ny = s->ny,
					.nx = s->nx,
					.image = s->image,
					.pose = s->pose };
}

/* ---- the volume ---------------------------------------------------------------------------- */

int pn_incremental_update(struct pn_incremental *s, int iterations, struct pn_error *err)
{
	struct pn_fista_params params;

	pn_fista_defaults(&params);
	params.iterations_max = iterations;
	params.boost = 0.0;
	int rc = pn_fista_solve(s->fista, &params, s->all, NULL, s->volume, &s->state.last, err);

	if (!rc)
		s->state.misfit = s->state.last.misfit;
	return rc;
}

/*
 * The sums of the tilts that the trial does without: spread evenly, neither the first nor last; one
 * at least, without which nothing would stop the trial.
 */
static int hold_out(struct pn_incremental *s, size_t every, struct pn_error *err)
{
	int rc = PN_OK;

	if (every / 2 + 1 >= s->state.tilts)
		every = s->state.tilts;
	if (!s->held_out)
		rc = pn_normal_create(&s->held_out, &s->all->box, s->all->single_axis,
				      s->largest_pixel, err);
	else
		pn_normal_reset(s->held_out);
	for (size_t i = every / 2; !rc && i + 1 < s->state.tilts; i += every)
		rc = pn_normal_add(s->held_out, &s->pose[i], s->image + i * pixels(s), s->ny, s->nx,
				   err);
	return rc;
}

int pn_incremental_finish(struct pn_incremental *s, const struct pn_fista_params *params,
			  int held_out_every, struct pn_error *err)
{
	int rc;

	if (held_out_every < 2)
		return pn_error_set(err, PN_EARG, "every %dth tilt held out: 2 at least",
				    held_out_every);
	if (s->state.tilts < HELD_OUT_FROM) {
		memset(s->volume, 0, pn_box_voxels(&s->all->box) * sizeof *s->volume);
		rc = pn_fista_solve(s->fista, params, s->all, NULL, s->volume, &s->state.last, err);
	} else {
		rc = hold_out(s, (size_t)held_out_every, err);
		if (!rc)
			rc = pn_fista_validated(s->fista, params, s->all, s->held_out, s->volume,
						&s->state.last, err);
	}
	if (!rc)
		s->state.misfit = s->state.last.misfit;
	return rc;
}

const float *pn_incremental_volume(const struct pn_incremental *s)
{
	return s->volume;
}

const struct pn_incremental_state *pn_incremental_state(const struct pn_incremental *s)
{
	return &s->state;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

/* Written as it stands in memory: a checkpoint is read where it was made. */
struct saved {
	struct pn_box box;
	size_t ny, nx;
	struct pn_incremental_state state;
};

int pn_incremental_save(const struct pn_incremental *s, struct pn_blob *out)
{
	struct saved head = { .box = s->all->box, .ny = s->ny, .nx = s->nx, .state = s->state };
	size_t n = s->state.tilts;
	int rc = pn_blob_put_part(out, &head, sizeof head);

	if (!rc)
		rc = pn_blob_put_part(out, s->id, n * sizeof *s->id);
	if (!rc)
		rc = pn_blob_put_part(out, s->pose, n * sizeof *s->pose);
	if (!rc)
		rc = pn_blob_put_part(out, s->image, n * pixels(s) * sizeof *s->image);
	if (!rc)
		rc = pn_blob_put_part(out, s->volume,
				      pn_box_voxels(&s->all->box) * sizeof *s->volume);
	return rc;
}

int pn_incremental_load(struct pn_incremental *s, const void *bytes, size_t count,
			struct pn_error *err)
{
	struct pn_blob_view view = { .data = bytes, .bytes = count };
	struct saved head;
	const void *part[5];
	size_t size[5], voxels = pn_box_voxels(&s->all->box) * sizeof *s->volume;

	for (int i = 0; i < 5; i++)
		part[i] = pn_blob_get_part(&view, &size[i]);
	if (!part[0] || size[0] != sizeof head || !part[4] || size[4] != voxels)
		return pn_error_set(err, PN_EFORMAT,
				    "a checkpoint of %zu bytes is not of this tilt series", count);
	memcpy(&head, part[0], sizeof head);
	size_t n = size[1] / sizeof *s->id; /* of bytes that are there: products cannot wrap */

	if (head.state.tilts != n || memcmp(&head.box, &s->all->box, sizeof head.box) ||
	    head.ny != s->ny || head.nx != s->nx || size[1] != n * sizeof *s->id ||
	    size[2] != n * sizeof *s->pose || size[3] != n * pixels(s) * sizeof *s->image)
		return pn_error_set(err, PN_EFORMAT, "a checkpoint of another tilt series");
	pn_normal_reset(s->all);
	s->state = (struct pn_incremental_state){ .misfit = NAN };
	for (size_t i = 0; i < n; i++) {
		struct pn_pose pose;
		uint64_t id;

		memcpy(&id, (const uint64_t *)part[1] + i, sizeof id);
		memcpy(&pose, (const struct pn_pose *)part[2] + i, sizeof pose);
		int rc = pn_incremental_put(s, id, &pose, (const float *)part[3] + i * pixels(s),
					    err);

		if (rc)
			return rc;
	}
	memcpy(s->volume, part[4], voxels);
	s->state = head.state;
	return PN_OK;
}
