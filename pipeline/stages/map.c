/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * map - volumes of tumbling particles: each crop goes in as its pose tells, a revised pose takes
 * its crop out and puts it in anew, and volumes go out as they grow, with what their halves tell of
 * them (R8).
 */
#include "crops.h"
#include "pairs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { CROPS, POSES };
enum { PARTICLES_MAX = 8, OUT_MAX = PARTICLES_MAX + 2 };
enum { UNPAIRED, NO_WEIGHT, AGAIN, NOT_KEPT, NO_PLACE, RANGE, NO_PIXEL, PARTICLES, REASONS };

static const char *const reasons[] = { "unpaired", "no_weight", "again",     "not_kept", "no_place",
				       "range",    "no_pixel",  "particles", NULL };
static const int reason_of[] = { [PN_MAPPER_KEPT] = NO_WEIGHT,
				 [PN_MAPPER_AGAIN] = AGAIN,
				 [PN_MAPPER_GONE] = NOT_KEPT,
				 [PN_MAPPER_NO_PLACE] = NO_PLACE,
				 [PN_MAPPER_RANGE] = RANGE };

/* One particle, of one structure. */
struct particle {
	uint64_t id, segment, since, last_image, edge; /* since: the last volume */
	double pixel_pm;
	struct pn_mapper *mapper;
};

/* A volume that is to go out. */
struct out {
	struct pn_volumes_head head;
	int64_t time_ns;
	float *volume;
	size_t bytes;
};

/* Part of the checkpoint as they stand; a particle of an edge has a mapper. */
struct numbers {
	uint64_t volumes, particles;
	int64_t time_ns;
	uint64_t ended; /* the last volumes are out: a restart drains once more */
	struct particle particle[PARTICLES_MAX];
};

struct map {
	int64_t every, particles;
	double dose_e_per_A2;
	struct pn_mapper_params mapper;

	struct numbers n;
	struct pairs pairs;
	struct out out[OUT_MAX]; /* of the message under way */
	unsigned out_count;
	uint64_t done, skipped[REASONS];
	uint64_t held_seq;
	unsigned held_port;
	int held;    /* the message under way is worked in; its volumes are not all out */
	int drained; /* the same of the end */
};

static const struct pn_param params[] = {
	{ .name = "every",
	  .help = "a volume goes out after so many new frames",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct map, every),
	  .def = 400,
	  .min = 1,
	  .max = 1000000 },
	{ .name = "particles",
	  .help = "that are followed at most",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct map, particles),
	  .def = PARTICLES_MAX,
	  .min = 1,
	  .max = PARTICLES_MAX },
	{ .name = "dose_e_per_A2",
	  .unit = "e/A^2",
	  .help = "of a frame; 0: not known",
	  .type = PN_PARAM_F64,
	  .off = offsetof(struct map, dose_e_per_A2),
	  .min = 0,
	  .max = 100000 },
	{ .name = "mapper", .group = pn_mapper_param_table, .off = offsetof(struct map, mapper) },
	{ 0 },
};
static const struct pn_port inputs[] = { [CROPS] = { .name = "clean", .schema = &pn_crops_schema },
					 [POSES] = { .name = "poses", .schema = &pn_poses_schema },
					 { 0 } };
static const struct pn_port outputs[] = { { .name = "volumes", .schema = &pn_volumes_schema },
					  { 0 } };

/* ---- volumes -------------------------------------------------------------------------------- */

static int make_volume(struct map *s, struct pn_ctx *ctx, struct particle *p, int final)
{
	struct pn_mapper_result result;
	struct out *out = &s->out[s->out_count];

	p->since = 0;
	if (!p->mapper || !pn_mapper_images(p->mapper))
		return PN_OK;
	int rc = pn_mapper_solve(p->mapper, final, &result, &ctx->err);

	if (rc)
		return rc;
	out->bytes = pn_box_voxels(&result.box) * sizeof(float);
	out->volume = malloc(out->bytes);
	if (!out->volume)
		return pn_fail(ctx, PN_ENOMEM, "no memory for a volume of %zu bytes", out->bytes);
	memcpy(out->volume, result.volume, out->bytes);
	out->time_ns = s->n.time_ns;
	out->head = (struct pn_volumes_head){
		.volume = ++s->n.volumes,
		.state = final ? PN_VOLUME_FINAL : PN_VOLUME_GROWING,
		.particle = p->id,
		.segment = p->segment,
		.images = result.images,
		.last_image = p->last_image,
		.iterations = (uint64_t)result.iterations,
		.misfit = result.misfit,
		.r1 = (double)NAN,
		.r1_new = (double)NAN,
		.held_out = result.held_out,
		.nz = result.box.nz,
		.ny = result.box.ny,
		.nx = result.box.nx,
		.pixel_pm = p->pixel_pm,
		.dose_e_per_A2 = s->dose_e_per_A2 > 0 ? s->dose_e_per_A2 * (double)result.images
						      : (double)NAN,
		.resolution_A = result.resolution_A,
		.fsc_count = result.fsc_count,
		.scf = result.scf,
		.far = result.far,
		.empty = result.empty,
	};
	for (size_t i = 0; i < result.fsc_count; i++)
		out->head.fsc[i] = fmin(fmax(result.fsc[i], -1), 1);
	s->out_count++;
	return PN_OK;
}

/* All or nothing; then what became of the frames is told. */
static int flush(struct map *s, struct pn_ctx *ctx)
{
	void *payload;

	for (unsigned i = 0; i < s->out_count; i++) {
		const struct out *out = &s->out[i];
		int rc = pn_emit(ctx, 0, &out->head, out->time_ns, out->bytes, &payload);

		if (rc)
			return rc;
		memcpy(payload, out->volume, out->bytes);
	}
	while (s->out_count)
		free(s->out[--s->out_count].volume);
	if (s->done)
		pn_done(ctx, s->done);
	for (unsigned r = 0; r < REASONS; r++)
		if (s->skipped[r])
			pn_skip(ctx, r, s->skipped[r]);
	memset(s->skipped, 0, sizeof s->skipped);
	s->done = 0;
	s->held = 0;
	return PN_OK;
}

/* ---- a crop and its pose -------------------------------------------------------------------- */

static struct particle *find(struct map *s, uint64_t id)
{
	for (uint64_t i = 0; i < s->n.particles; i++)
		if (s->n.particle[i].id == id)
			return &s->n.particle[i];
	return NULL;
}

static struct pn_mapper_pose pose_of(const struct pn_poses_head *head)
{
	struct pn_mapper_pose pose = { .position_px = { head->x_px, head->y_px },
				       .weight = head->weight,
				       .half = (int)head->half };

	memcpy(pose.quaternion, head->quaternion, sizeof pose.quaternion);
	return pose;
}

/* The structure has changed: a last volume of what was, and a fresh start. */
static int turn_segment(struct map *s, struct pn_ctx *ctx, struct particle *p, uint64_t segment)
{
	int rc = make_volume(s, ctx, p, 1);

	pn_mapper_destroy(p->mapper);
	*p = (struct particle){ .id = p->id, .segment = segment };
	return rc;
}

static int put(struct map *s, struct pn_ctx *ctx, const struct pair_part *crop,
	       const struct pn_poses_head *head)
{
	const struct pn_mapper_pose pose = pose_of(head);
	struct particle *p = find(s, head->particle);
	enum pn_mapper_answer answer;
	int rc = PN_OK;

	if (!p && s->n.particles == (uint64_t)s->particles)
		return s->skipped[PARTICLES] += 2, PN_OK;
	if (!p) {
		p = &s->n.particle[s->n.particles++];
		*p = (struct particle){ .id = head->particle, .segment = head->segment };
	}
	if (head->segment < p->segment)
		return s->skipped[NOT_KEPT] += 2, PN_OK;
	if (head->segment > p->segment)
		rc = turn_segment(s, ctx, p, head->segment);
	if (rc)
		return rc;
	if (p->mapper && crop->pixel_pm != p->pixel_pm)
		return s->skipped[NO_PIXEL] += 2, PN_OK;
	if (!p->mapper) {
		p->pixel_pm = crop->pixel_pm;
		p->edge =
			pn_mapper_edge(&s->mapper, p->pixel_pm / 100, crop->crop.ny, crop->crop.nx);
		if (!p->edge)
			return s->skipped[NO_PLACE] += 2, PN_OK;
		rc = pn_mapper_create(&p->mapper, &s->mapper, p->edge, p->pixel_pm / 100,
				      &ctx->err);
	}
	if (!rc)
		rc = pn_mapper_put(p->mapper, &crop->crop, &pose, &answer, &ctx->err);
	if (rc)
		return rc;
	if (answer != PN_MAPPER_IN)
		return s->skipped[reason_of[answer]] += 2, PN_OK;
	s->done += 2;
	p->last_image = head->frame;
	return ++p->since == (uint64_t)s->every ? make_volume(s, ctx, p, 0) : PN_OK;
}

static int revise(struct map *s, struct pn_ctx *ctx, const struct pn_poses_head *head)
{
	const struct pn_mapper_pose pose = pose_of(head);
	struct particle *p = find(s, head->particle);
	enum pn_mapper_answer answer = PN_MAPPER_GONE;
	int rc = PN_OK;

	if (p && p->mapper && p->segment == head->segment)
		rc = pn_mapper_revise(p->mapper, head->frame, &pose, &answer, &ctx->err);
	if (rc)
		return rc;
	if (answer == PN_MAPPER_IN || answer == PN_MAPPER_KEPT)
		s->done++;
	else
		s->skipped[reason_of[answer]]++;
	return PN_OK;
}

/* One part of a pair has come; takes its image over. */
static int pair(struct map *s, struct pn_ctx *ctx, const struct pair_part *part)
{
	struct pair_part other;

	if (!pairs_take(&s->pairs, part, &other)) {
		s->skipped[UNPAIRED] += (uint64_t)pairs_add(&s->pairs, part);
		return PN_OK;
	}
	const struct pair_part *crop = part->crop.image ? part : &other;
	int rc = put(s, ctx, crop, part->crop.image ? &other.pose : &part->pose);

	free((void *)crop->crop.image);
	return rc;
}

static int take_crop(struct map *s, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct pn_window_crop window;
	struct pn_crops_head head;
	int rc = pn_msg_decode(&pn_crops_schema, in, &head, &ctx->err);

	if (rc)
		return rc;
	if (isnan(head.pixel_pm) || crop_too_large(&head))
		return s->skipped[isnan(head.pixel_pm) ? NO_PIXEL : RANGE]++, PN_OK;
	struct pair_part part = { .particle = head.particle,
				  .crop = { .frame = head.frame,
					    .ny = (size_t)head.ny,
					    .nx = (size_t)head.nx,
					    .y0_px = head.y0_px,
					    .x0_px = head.x0_px },
				  .pixel_pm = head.pixel_pm };

	part.crop.image = crop_read(&window, &head, in, ctx);
	return part.crop.image ? pair(s, ctx, &part) : PN_ENOMEM;
}

static int take_pose(struct map *s, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct pair_part part = { 0 };
	int rc = pn_msg_decode(&pn_poses_schema, in, &part.pose, &ctx->err);

	if (rc)
		return rc;
	part.particle = part.pose.particle;
	part.crop.frame = part.pose.frame;
	return part.pose.revision ? revise(s, ctx, &part.pose) : pair(s, ctx, &part);
}

static int map_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	struct map *s = self;

	if (!s->held || s->held_port != in->port || s->held_seq != in->seq) {
		s->n.time_ns = in->time_ns;
		int rc = in->port == CROPS ? take_crop(s, ctx, in) : take_pose(s, ctx, in);

		if (rc)
			return rc;
		s->held_port = in->port;
		s->held_seq = in->seq;
		s->held = 1;
	}
	return flush(s, ctx);
}

static int map_drain(void *self, struct pn_ctx *ctx)
{
	struct map *s = self;
	int rc = PN_OK;

	if (s->n.ended)
		return PN_OK;
	for (uint64_t i = 0; !s->drained && !rc && i < s->n.particles; i++)
		rc = make_volume(s, ctx, &s->n.particle[i], 1);
	if (rc)
		return rc;
	s->skipped[UNPAIRED] += pairs_clear(&s->pairs);
	s->drained = 1;
	rc = flush(s, ctx);
	s->n.ended = rc == PN_OK;
	return rc;
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

static int map_save(void *self, struct pn_ctx *ctx, struct pn_blob *out)
{
	const struct map *s = self;
	struct numbers plain = s->n;

	(void)ctx;
	if (s->held || (s->drained && !s->n.ended))
		return PN_EAGAIN;
	for (unsigned i = 0; i < PARTICLES_MAX; i++)
		plain.particle[i].mapper = NULL;
	int rc = pn_blob_put_part(out, &plain, sizeof plain);

	if (!rc)
		rc = pairs_save(&s->pairs, out);
	for (uint64_t i = 0; !rc && i < s->n.particles; i++) {
		struct pn_blob blob = { 0 };

		if (s->n.particle[i].edge)
			rc = pn_mapper_save(s->n.particle[i].mapper, &blob);
		if (!rc)
			rc = pn_blob_put_part(out, blob.data, blob.bytes);
		pn_blob_finish(&blob);
	}
	return rc;
}

static int map_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes)
{
	struct map *s = self;
	struct pn_blob_view view = { data, bytes };
	size_t size = 0;
	const void *part = pn_blob_get_part(&view, &size);

	if (!part || size != sizeof s->n)
		return pn_fail(ctx, PN_EVERSION, "checkpoint of %zu bytes", bytes);
	memcpy(&s->n, part, sizeof s->n);
	int rc = pairs_load(&s->pairs, ctx, &view);

	for (uint64_t i = 0; !rc && i < s->n.particles; i++) {
		struct particle *p = &s->n.particle[i];

		part = pn_blob_get_part(&view, &size);
		if (!part)
			return pn_fail(ctx, PN_EVERSION, "checkpoint of %zu bytes, cut off", bytes);
		if (p->edge)
			rc = pn_mapper_create(&p->mapper, &s->mapper, p->edge, p->pixel_pm / 100,
					      &ctx->err);
		if (!rc && p->edge)
			rc = pn_mapper_load(p->mapper, part, size, &ctx->err);
	}
	return rc;
}

static void map_close(void *self)
{
	struct map *s = self;

	for (uint64_t i = 0; i < s->n.particles; i++)
		pn_mapper_destroy(s->n.particle[i].mapper);
	while (s->out_count)
		free(s->out[--s->out_count].volume);
	pairs_clear(&s->pairs);
}

const struct pn_stage_ops pn_stage_map = {
	.name = "map",
	.brief = "volumes of tumbling particles from crops and their poses",
	.state_size = sizeof(struct map),
	.params = params,
	.inputs = inputs,
	.outputs = outputs,
	.reasons = reasons,
	.take = map_take,
	.drain = map_drain,
	.save = map_save,
	.load = map_load,
	.close = map_close,
};
