/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * twin.c - simulated microscopes whose truth is known: "twin:liquid-cell?seed=1",
 * "twin:tilt?seed=1".
 *
 * For each frame: the specimen of every particle whose atoms are not those of the frame before (in
 * frame 0: of all), then the truth of each particle, then the frame, all at the time of the frame.
 * So the number of a message tells frame and kind, and a seek needs no rendering: only dissolution
 * (etch_per_s) is stepped through again.
 *
 * Frames of a tilt series are one second apart; specimen and truth are given in the frame of the
 * stage.
 */
#include "perrin/twin/etch.h"
#include "perrin/twin/scene.h"
#include "perrin/twin/tilt.h"
#include "sources.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define AHEAD_MAX       16           /* frames rendered at once: as many as there are processors */
#define AHEAD_BYTES_MAX (256u << 20) /* and not more than this */
#define NO_VERSION      UINT64_MAX

struct twin {
	union { /* first: the tables' offsets are those of these structs */
		struct pn_scene_params scene;
		struct pn_tilt_params tilt;
	} params;

	struct pn_scene *scene; /* one of the two */
	struct pn_tilt_scene *tilt;
	uint64_t particles, frames; /* frames 0: endless */
	double fps;
	struct pn_frame_buffer buffer; /* values: of all frames but `frame`; pixels: one, aligned */
	size_t frame_bytes;

	uint64_t frame;     /* of the next message                                               */
	uint64_t step;      /* in it: specimens 0.., truths particles.., the frame 2 particles   */
	uint64_t *versions; /* [particles] given last                                            */

	uint64_t first, count, room;  /* frames rendered                                         */
	char *pixels;                 /* [room][ny][nx]                                          */
	struct pn_truth_head *truths; /* [room][particles]                                       */
	struct pn_scene_truth *scene_truths;
	struct pn_frame_buffer atoms;
	uint8_t head[PN_HEAD_BYTES_MAX];
};

_Static_assert(offsetof(struct twin, params) == 0, "the tables of the twin's own parameters");

/* ---- opening ------------------------------------------------------------------------------- */

static uint64_t frames_ahead(size_t frame_bytes)
{
	long processors = sysconf(_SC_NPROCESSORS_ONLN);
	uint64_t ahead = processors > 1 ? (uint64_t)processors : 1;

	if (ahead > AHEAD_MAX)
		ahead = AHEAD_MAX;
	while (ahead > 1 && ahead * frame_bytes > AHEAD_BYTES_MAX)
		ahead--;
	return ahead;
}

static int prepare(struct twin *t, struct pn_error *err)
{
	struct pn_frames_head *values = &t->buffer.values;
	size_t particles = t->particles ? (size_t)t->particles : 1;

	values->count = 1;
	values->offset_count = 1;
	t->frame_bytes = values->ny * values->nx * pn_dtype_bytes(values->dtype);
	t->room = frames_ahead(t->frame_bytes);
	t->pixels = aligned_alloc(PN_FRAME_ALIGN, (t->room * t->frame_bytes + PN_FRAME_ALIGN - 1) /
							  PN_FRAME_ALIGN * PN_FRAME_ALIGN);
	t->truths = calloc(t->room * particles, sizeof *t->truths);
	t->scene_truths = calloc(t->room * particles, sizeof *t->scene_truths);
	t->versions = malloc(particles * sizeof *t->versions);
	if (!t->pixels || !t->truths || !t->scene_truths || !t->versions)
		return pn_error_set(err, PN_ENOMEM, "twin: %llu frames of %zu bytes",
				    (unsigned long long)t->room, t->frame_bytes);
	for (size_t i = 0; i < particles; i++)
		t->versions[i] = NO_VERSION;
	return pn_frame_reserve(&t->buffer, t->frame_bytes, err);
}

static int liquid_open(void *self, const char *path, struct pn_error *err)
{
	struct twin *t = self;
	const struct pn_scene_params *p = &t->params.scene;
	struct pn_frames_head *values = &t->buffer.values;

	(void)path;
	int rc = pn_scene_create(&t->scene, p, err);

	if (rc)
		return rc;
	t->particles = (uint64_t)p->particles;
	t->frames = (uint64_t)p->frames;
	t->fps = p->fps;
	values->dtype = pn_scene_pixel_type(t->scene);
	values->ny = (uint64_t)p->ny;
	values->nx = (uint64_t)p->nx;
	values->pixel_pm = p->pixel_pm;
	values->dose_e_per_A2 = p->dose_e_per_A2;
	values->energy_keV = p->energy_keV;
	values->tilt_deg = (double)NAN;
	return prepare(t, err);
}

static int tilt_open(void *self, const char *path, struct pn_error *err)
{
	struct twin *t = self;
	const struct pn_tilt_params *p = &t->params.tilt;
	struct pn_frames_head *values = &t->buffer.values;

	(void)path;
	int rc = pn_tilt_create(&t->tilt, p, err);

	if (rc)
		return rc;
	t->particles = 1;
	t->frames = pn_tilt_frames(t->tilt);
	t->fps = 1;
	values->dtype = pn_tilt_pixel_type(t->tilt);
	values->ny = (uint64_t)p->ny;
	values->nx = (uint64_t)p->nx;
	values->pixel_pm = p->pixel_A * 100;
	values->dose_e_per_A2 = p->dose_e_per_A2;
	values->energy_keV = (double)NAN;
	return prepare(t, err);
}

/* ---- rendering ----------------------------------------------------------------------------- */

static void truth_of_scene(struct pn_truth_head *head, const struct pn_scene_truth *truth)
{
	*head = (struct pn_truth_head){
		.frame = truth->frame,
		.particle = truth->particle,
		.x_px = truth->x_px,
		.y_px = truth->y_px,
		.quaternion_count = 4,
		.center_count = 3,
		.version = truth->specimen_version,
		.atoms = truth->atoms,
		.diameter_nm = truth->diameter_nm,
		.lattice_A = truth->lattice_A,
		.defocus_A = truth->defocus_A,
		.zone_count = 3,
		.tilt_deg = (double)NAN,
	};
	memcpy(head->quaternion, truth->pose.quaternion, sizeof head->quaternion);
	memcpy(head->center_A, truth->pose.center_A, sizeof head->center_A);
	memcpy(head->zone_deg, truth->beam_zone_angle_deg, sizeof head->zone_deg);
}

static int render_scene(struct twin *t, uint64_t count, struct pn_error *err)
{
	int rc =
		pn_scene_render(t->scene, t->frame, (size_t)count, t->pixels, t->scene_truths, err);

	for (uint64_t i = 0; !rc && i < count * t->particles; i++)
		truth_of_scene(&t->truths[i], &t->scene_truths[i]);
	return rc;
}

/* The stage turns by -angle about y: x = X cos - Z sin. */
static int render_tilt(struct twin *t, struct pn_error *err)
{
	const struct pn_specimen *spec = pn_tilt_specimen(t->tilt);
	const struct pn_tilt_params *p = &t->params.tilt;
	struct pn_truth_head *head = t->truths;
	struct pn_tilt_truth truth;
	struct pn_placement pose;
	double r[3][3];
	int rc = pn_tilt_frame(t->tilt, t->frame, t->pixels, &truth, err);

	if (rc)
		return rc;
	pn_placement_identity(&pose);
	pose.quaternion[0] = cos(truth.angle_deg * M_PI / 360);
	pose.quaternion[2] = -sin(truth.angle_deg * M_PI / 360);
	pn_placement_rotation(&pose, r);
	*head = (struct pn_truth_head){
		.frame = t->frame,
		.x_px = truth.x_px,
		.y_px = truth.y_px,
		.quaternion_count = 4,
		.center_A = { (truth.x_px - (double)(p->nx / 2)) * p->pixel_A,
			      (truth.y_px - (double)(p->ny / 2)) * p->pixel_A, 0 },
		.center_count = 3,
		.atoms = spec->count,
		.diameter_nm = pn_specimen_projected_diameter_A(spec, r) / 10,
		.lattice_A = spec->lattice_A,
		.zone_count = 3,
		.tilt_deg = truth.angle_deg,
	};
	memcpy(head->quaternion, pose.quaternion, sizeof head->quaternion);
	pn_scene_zone_angles(&pose, head->zone_deg);
	t->buffer.values.tilt_deg = truth.nominal_deg;
	return PN_OK;
}

static int render(struct twin *t, struct pn_error *err)
{
	uint64_t left = t->frames ? t->frames - t->frame : t->room;
	uint64_t count = t->tilt ? 1 : left < t->room ? left : t->room;

	if (t->count && t->frame >= t->first && t->frame - t->first < t->count)
		return PN_OK;
	t->count = 0;
	int rc = t->tilt ? render_tilt(t, err) : render_scene(t, count, err);

	if (rc)
		return rc == PN_EEND ? pn_error_wrap(err, "twin") : rc;
	t->first = t->frame;
	t->count = count;
	return PN_OK;
}

/* ---- messages ------------------------------------------------------------------------------ */

static const struct pn_truth_head *truth_at(const struct twin *t, uint64_t particle)
{
	return &t->truths[(t->frame - t->first) * t->particles + particle];
}

static int small_message(struct twin *t, const struct pn_schema *schema, const void *head,
			 uint32_t port, struct pn_msg *msg, struct pn_error *err)
{
	size_t bytes;
	int rc = pn_head_encode(schema, head, t->head, sizeof t->head, &bytes, err);

	if (rc)
		return rc;
	*msg = (struct pn_msg){ .time_ns = pn_frame_time_ns(t->frame, t->fps),
				.port = port,
				.head = t->head,
				.head_bytes = (uint32_t)bytes };
	return PN_OK;
}

static int specimen_message(struct twin *t, uint64_t particle, struct pn_msg *msg,
			    struct pn_error *err)
{
	uint64_t version = truth_at(t, particle)->version;
	const struct pn_specimen *spec =
		t->tilt ? pn_tilt_specimen(t->tilt)
			: pn_scene_specimen(t->scene, (uint32_t)particle, (uint32_t)version);

	if (!spec)
		return pn_error_set(err, PN_ENOMEM, "twin: particle %llu, version %llu",
				    (unsigned long long)particle, (unsigned long long)version);
	struct pn_specimen_head head = { .particle = particle,
					 .version = version,
					 .atoms = spec->count,
					 .lattice_A = spec->lattice_A };
	uint64_t bytes = spec->count * 4 * sizeof(double);
	int rc = pn_frame_reserve(&t->atoms, bytes, err);

	if (!rc)
		rc = small_message(t, &pn_specimen_schema, &head, PN_PORT_SPECIMEN, msg, err);
	if (rc)
		return rc;
	double *row = t->atoms.pixels;

	for (size_t i = 0; i < spec->count; i++, row += 4) {
		memcpy(row, spec->position_A[i], 3 * sizeof *row);
		row[3] = spec->atomic_number[i];
	}
	msg->payload_bytes = bytes;
	msg->payload = bytes ? t->atoms.pixels : NULL;
	return PN_OK;
}

static int frame_message(struct twin *t, struct pn_msg *msg, struct pn_error *err)
{
	const char *pixels = t->pixels + (t->frame - t->first) * t->frame_bytes;

	if ((uintptr_t)pixels % PN_FRAME_ALIGN) {
		memcpy(t->buffer.pixels, pixels, t->frame_bytes);
		pixels = NULL;
	}
	t->buffer.values.frame = t->frame;
	return pn_frame_message(&t->buffer, pixels, pn_frame_time_ns(t->frame, t->fps), msg, err);
}

/* Pass over the specimens that have not changed. */
static void find_step(struct twin *t)
{
	while (t->step < t->particles && truth_at(t, t->step)->version == t->versions[t->step])
		t->step++;
}

static void pass(struct twin *t)
{
	if (t->step < t->particles)
		t->versions[t->step] = truth_at(t, t->step)->version;
	if (t->step++ == 2 * t->particles) {
		t->step = 0;
		t->frame++;
	}
}

static int twin_next(void *self, struct pn_msg *msg, struct pn_error *err)
{
	struct twin *t = self;

	if (t->frames && t->frame == t->frames)
		return PN_EEND;
	int rc = render(t, err);

	if (rc)
		return rc;
	find_step(t);
	if (t->step < t->particles)
		rc = specimen_message(t, t->step, msg, err);
	else if (t->step < 2 * t->particles)
		rc = small_message(t, &pn_truth_schema, truth_at(t, t->step - t->particles),
				   PN_PORT_TRUTH, msg, err);
	else
		rc = frame_message(t, msg, err);
	if (!rc)
		pass(t);
	return rc;
}

/* ---- seeking ------------------------------------------------------------------------------- */

/** Where a message is: its frame, how many messages of the frame come before it. */
struct place {
	uint64_t frame, before;
	uint64_t *versions; /* [particles] before this frame */
};

/* With atoms that stay: 2 particles + 1 messages in frame 0, particles + 1 in each other. */
static void find_steady(const struct twin *t, uint64_t seq, struct place *place)
{
	uint64_t initial = 2 * t->particles + 1;
	int later = seq >= initial;

	place->frame = later ? 1 + (seq - initial) / (t->particles + 1) : 0;
	place->before = later ? (seq - initial) % (t->particles + 1) : seq;
	for (uint64_t i = 0; i < t->particles; i++)
		place->versions[i] = later ? 0 : NO_VERSION;
}

static int create_etches(struct twin *t, struct pn_specimen **specs, struct pn_etch **etches,
			 struct pn_error *err)
{
	for (uint64_t i = 0; i < t->particles; i++) {
		const struct pn_specimen *spec = pn_scene_specimen(t->scene, (uint32_t)i, 0);
		int rc = spec ? pn_specimen_copy(&specs[i], spec, err)
			      : pn_error_set(err, PN_ENOMEM, "twin: particle %llu",
					     (unsigned long long)i);

		if (!rc)
			rc = pn_etch_create(&etches[i], specs[i], 0, t->params.scene.etch_per_s, 0,
					    err);
		if (rc)
			return rc;
	}
	return PN_OK;
}

/* Step through the dissolution as the scene does, counting messages. */
static void walk_etches(const struct twin *t, struct pn_specimen **specs, struct pn_etch **etches,
			uint64_t seq, struct place *place)
{
	uint64_t begin = 0;

	for (uint64_t i = 0; i < t->particles; i++)
		place->versions[i] = NO_VERSION;
	for (place->frame = 0;; place->frame++) {
		uint64_t messages = t->particles + 1;

		for (uint64_t i = 0; i < t->particles; i++) {
			if (place->frame)
				pn_etch_advance(etches[i], specs[i], 1 / t->fps);
			messages += pn_etch_removed_count(etches[i]) != place->versions[i];
		}
		place->before = seq - begin;
		if (place->before < messages || (t->frames && place->frame == t->frames))
			return;
		begin += messages;
		for (uint64_t i = 0; i < t->particles; i++)
			place->versions[i] = pn_etch_removed_count(etches[i]);
	}
}

static int find_etching(struct twin *t, uint64_t seq, struct place *place, struct pn_error *err)
{
	struct pn_specimen **specs = calloc(t->particles, sizeof(*specs));
	struct pn_etch **etches = calloc(t->particles, sizeof(*etches));
	int rc = specs && etches ? create_etches(t, specs, etches, err)
				 : pn_error_set(err, PN_ENOMEM, "twin: particles");

	if (!rc)
		walk_etches(t, specs, etches, seq, place);
	for (uint64_t i = 0; i < t->particles; i++) {
		if (etches)
			pn_etch_destroy(etches[i]);
		if (specs)
			pn_specimen_destroy(specs[i]);
	}
	free(specs);
	free(etches);
	return rc;
}

static int twin_seek(void *self, uint64_t seq, struct pn_error *err)
{
	struct twin *t = self;
	struct place place = { .versions = malloc((t->particles + 1) * sizeof(uint64_t)) };
	int rc = PN_OK;

	if (!place.versions)
		return pn_error_set(err, PN_ENOMEM, "twin: particles");
	if (t->scene && t->particles && t->params.scene.etch_per_s > 0)
		rc = find_etching(t, seq, &place, err);
	else
		find_steady(t, seq, &place);
	if (!rc && t->frames &&
	    (place.frame > t->frames || (place.frame == t->frames && place.before)))
		rc = pn_error_set(err, PN_EARG, "twin: message %llu is after the last frame, %llu",
				  (unsigned long long)seq, (unsigned long long)t->frames - 1);
	if (rc) {
		free(place.versions);
		return rc;
	}
	free(t->versions);
	t->versions = place.versions;
	t->frame = place.frame;
	t->step = 0;
	for (; !rc && place.before; place.before--) {
		rc = render(t, err);
		if (!rc) {
			find_step(t);
			pass(t);
		}
	}
	return rc;
}

static void twin_close(void *self)
{
	struct twin *t = self;

	pn_scene_destroy(t->scene);
	pn_tilt_destroy(t->tilt);
	free(t->pixels);
	free(t->truths);
	free(t->scene_truths);
	free(t->versions);
	pn_frame_finish(&t->buffer);
	pn_frame_finish(&t->atoms);
}

const struct pn_source_ops pn_source_twin_liquid = {
	.scheme = "twin:liquid-cell",
	.brief = "simulated: nanocrystals tumbling in a liquid cell",
	.state_size = sizeof(struct twin),
	.params = pn_scene_param_table,
	.open = liquid_open,
	.next = twin_next,
	.seek = twin_seek,
	.close = twin_close,
};

const struct pn_source_ops pn_source_twin_tilt = {
	.scheme = "twin:tilt",
	.brief = "simulated: a tilt series of a nanocrystal",
	.state_size = sizeof(struct twin),
	.params = pn_tilt_param_table,
	.open = tilt_open,
	.next = twin_next,
	.seek = twin_seek,
	.close = twin_close,
};
