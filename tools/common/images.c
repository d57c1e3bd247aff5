/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "images.h"

#include "perrin/format/stack.h"
#include "session.h"
#include "text.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOISE_PAIRS 64

/* An image and where it is: number @at of the stack, or @part of the message of record @at. */
struct held {
	struct pn_images_entry entry;
	uint64_t at;
	unsigned part;
	void *raw; /* as recorded; NULL: read it again */
};

struct pn_images {
	char source[2 * PATH_MAX];
	const struct pn_schema *schema; /* NULL: a stack */
	struct pn_stack *stack;
	struct pn_log_reader *reader;
	struct held *held;
	uint64_t count, room, damaged;
	struct pn_error damage; /* of the first one left out */
	uint64_t memory_left;
	double pixel_pm;
	void *scratch; /* one image read again: which, and its bytes */
	uint64_t scratch_image;
	size_t scratch_bytes;
};

static size_t bytes_of(const struct pn_images_entry *entry)
{
	return (size_t)entry->ny * (size_t)entry->nx * pn_dtype_bytes(entry->dtype);
}

/* ---- finding ------------------------------------------------------------------------------- */

static int add(struct pn_images *m, const struct held *held, struct pn_error *err)
{
	if (m->count == m->room) {
		uint64_t room = m->room ? 2 * m->room : 256;
		struct held *grown = realloc(m->held, room * sizeof *grown);

		if (!grown)
			return pn_error_set(err, PN_ENOMEM, "%s: no memory for %" PRIu64 " images",
					    m->source, room);
		m->held = grown;
		m->room = room;
	}
	m->held[m->count++] = *held;
	return PN_OK;
}

/* Keep the bytes as long as there is room for them; to be without is no error. */
static void keep(struct pn_images *m, struct held *held, const void *raw)
{
	size_t bytes = bytes_of(&held->entry);

	if (bytes > m->memory_left)
		return;
	held->raw = malloc(bytes);
	if (!held->raw)
		return;
	memcpy(held->raw, raw, bytes);
	m->memory_left -= bytes;
}

static int check_size(const struct pn_images *m, uint64_t ny, uint64_t nx, struct pn_error *err)
{
	if (ny && nx && ny <= 65536 && nx <= 65536)
		return PN_OK;
	return pn_error_set(err, PN_EUNSUPPORTED,
			    "%s: images of %" PRIu64 "x%" PRIu64 " px: must be 1..65536", m->source,
			    ny, nx);
}

static int find_in_stack(struct pn_images *m, const char *path, struct pn_error *err)
{
	int rc = pn_stack_open(&m->stack, path, err);

	if (rc)
		return rc;
	const struct pn_stack_info *info = pn_stack_info(m->stack);
	rc = check_size(m, info->ny, info->nx, err);
	m->pixel_pm = info->pixel_pm;
	for (uint64_t k = 0; k < info->count && !rc; k++) {
		struct held held = { .entry = { .frame = k,
						.ny = (int)info->ny,
						.nx = (int)info->nx,
						.dtype = info->dtype },
				     .at = k };

		rc = add(m, &held, err);
	}
	return rc;
}

/* The images of one message. */
static int take_frames(struct pn_images *m, const struct pn_msg *msg, struct pn_error *err)
{
	struct pn_frames_head head;
	int rc = pn_msg_decode(&pn_frames_schema, msg, &head, err);

	if (!rc)
		rc = check_size(m, head.ny, head.nx, err);
	for (unsigned i = 0; !rc && i < head.count; i++) {
		struct held held = { .entry = { .frame = head.frame + i,
						.ny = (int)head.ny,
						.nx = (int)head.nx,
						.dtype = head.dtype },
				     .at = msg->seq,
				     .part = i };

		keep(m, &held, (const char *)msg->payload + i * bytes_of(&held.entry));
		rc = add(m, &held, err);
		if (rc)
			free(held.raw);
	}
	if (!rc && isfinite(head.pixel_pm))
		m->pixel_pm = head.pixel_pm;
	return rc;
}

static int take_crop(struct pn_images *m, const struct pn_msg *msg, struct pn_error *err)
{
	struct pn_crops_head head;
	int rc = pn_msg_decode(&pn_crops_schema, msg, &head, err);

	if (!rc)
		rc = check_size(m, head.ny, head.nx, err);
	if (rc)
		return rc;
	struct held held = { .entry = { .particle = head.particle,
					.frame = head.frame,
					.y0_px = head.y0_px,
					.x0_px = head.x0_px,
					.ny = (int)head.ny,
					.nx = (int)head.nx,
					.dtype = head.dtype },
			     .at = msg->seq };

	keep(m, &held, msg->payload);
	if (isfinite(head.pixel_pm))
		m->pixel_pm = head.pixel_pm;
	rc = add(m, &held, err);
	if (rc)
		free(held.raw);
	return rc;
}

static int find_in_stream(struct pn_images *m, const char *dir, struct pn_error *err)
{
	struct pn_stream_facts facts;
	int rc = pn_stream_facts(&facts, dir, err);

	if (rc)
		return rc;
	m->schema = facts.schema;
	if (!facts.schema || !facts.records)
		return pn_error_set(err, PN_EFORMAT, "%s: %s", m->source,
				    facts.records ? "messages of an unknown type"
						  : "no record yet");
	if (m->schema != &pn_crops_schema && m->schema != &pn_frames_schema)
		return pn_error_set(err, PN_EARG, "%s: messages of type %s hold no images",
				    m->source, m->schema->type);
	rc = pn_log_read_open(&m->reader, dir, NULL, 0, 0, err);
	for (uint64_t seq = 0; !rc && seq < facts.records; seq++) {
		struct pn_msg msg;

		rc = pn_log_read_at(m->reader, seq, &msg, err);
		if (!rc)
			rc = m->schema == &pn_crops_schema ? take_crop(m, &msg, err)
							   : take_frames(m, &msg, err);
		if (rc == PN_ECORRUPT || rc == PN_EFRAME) {
			m->damage = m->damaged++ ? m->damage : *err;
			*err = (struct pn_error){ 0 };
			rc = PN_OK;
		}
	}
	if (!rc && !m->count)
		rc = pn_error_set(err, PN_ECORRUPT,
				  "%s: all %" PRIu64 " records are left out: %.200s", m->source,
				  facts.records, m->damage.text);
	return rc;
}

/* "crops, frames, truth" */
static void list_names(char *names, size_t size, const struct pn_session_streams *streams)
{
	snprintf(names, size, "%s", streams->count ? "" : "none");
	for (unsigned i = 0; i < streams->count; i++) {
		pn_text_append(names, size, i ? ", " : "", NULL);
		pn_text_append(names, size, streams->stream[i].name, NULL);
	}
}

static int find_in_session(struct pn_images *m, const char *path, const char *stream,
			   struct pn_error *err)
{
	struct pn_session_streams *streams = malloc(sizeof *streams);
	char names[256], dir[PATH_MAX] = "";

	if (!streams)
		return pn_error_set(err, PN_ENOMEM, "no memory");
	int rc = pn_session_streams(streams, path, err);
	for (unsigned i = 0; !rc && i < streams->count; i++)
		if (strcmp(streams->stream[i].name, stream) == 0)
			memcpy(dir, streams->stream[i].dir, sizeof dir);
	if (!rc && !dir[0]) {
		list_names(names, sizeof names, streams);
		rc = pn_error_set(err, PN_ENOENT, "%s: no stream %s in this session; there are: %s",
				  path, stream, names);
	}
	free(streams);
	if (rc)
		return rc;
	snprintf(m->source, sizeof m->source, "%s", dir);
	return find_in_stream(m, dir, err);
}

static int by_particle_and_frame(const void *a, const void *b)
{
	const struct held *one = a, *other = b;
	const struct pn_images_entry *p = &one->entry, *q = &other->entry;

	if (p->particle != q->particle)
		return p->particle < q->particle ? -1 : 1;
	if (p->frame != q->frame)
		return p->frame < q->frame ? -1 : 1;
	if (one->at != other->at)
		return one->at < other->at ? -1 : 1;
	return one->part < other->part ? -1 : one->part > other->part;
}

static void put_in_order(struct pn_images *m)
{
	if (m->schema)
		qsort(m->held, m->count, sizeof *m->held, by_particle_and_frame);
	for (uint64_t k = 1; k < m->count; k++) {
		const struct pn_images_entry *a = &m->held[k - 1].entry;
		struct pn_images_entry *b = &m->held[k].entry;

		b->run = a->run + !(a->particle == b->particle && a->frame + 1 == b->frame);
	}
}

int pn_images_open(struct pn_images **images, const char *path, const char *stream,
		   uint64_t memory_bytes, struct pn_error *err)
{
	struct pn_images *m = calloc(1, sizeof *m);
	enum pn_path_kind kind;

	*images = NULL;
	if (!m)
		return pn_error_set(err, PN_ENOMEM, "no memory");
	m->memory_left = memory_bytes;
	m->scratch_image = UINT64_MAX;
	snprintf(m->source, sizeof m->source, "%s", path);
	int rc = pn_path_kind(path, &kind, err);
	if (!rc)
		rc = kind == PN_PATH_FILE      ? find_in_stack(m, path, err)
		     : kind == PN_PATH_SESSION ? find_in_session(m, path, stream, err)
					       : find_in_stream(m, path, err);
	if (rc) {
		pn_images_close(m);
		return rc;
	}
	put_in_order(m);
	*images = m;
	return PN_OK;
}

void pn_images_close(struct pn_images *images)
{
	if (!images)
		return;
	for (uint64_t k = 0; k < images->count; k++)
		free(images->held[k].raw);
	free(images->held);
	free(images->scratch);
	pn_stack_close(images->stack);
	pn_log_read_close(images->reader);
	free(images);
}

/* ---- telling ------------------------------------------------------------------------------- */

struct pn_images_info pn_images_info(const struct pn_images *images)
{
	struct pn_images_info info = {
		.kind = images->schema ? images->schema->type : "stack",
		.source = images->source,
		.count = images->count,
		.damaged = images->damaged,
		.pixel_pm = images->pixel_pm,
		.first_frame = UINT64_MAX,
		.ny_min = INT_MAX,
		.nx_min = INT_MAX,
	};
	uint64_t length = 0;

	for (uint64_t k = 0; k < images->count; k++) {
		const struct pn_images_entry *e = &images->held[k].entry;
		const struct pn_images_entry *before = k ? &images->held[k - 1].entry : NULL;

		info.particles += !before || before->particle != e->particle;
		length = before && before->run == e->run ? length + 1 : 1;
		info.runs += length == 1;
		info.longest_run = length > info.longest_run ? length : info.longest_run;
		info.first_frame = e->frame < info.first_frame ? e->frame : info.first_frame;
		info.last_frame = e->frame > info.last_frame ? e->frame : info.last_frame;
		info.ny_min = e->ny < info.ny_min ? e->ny : info.ny_min;
		info.nx_min = e->nx < info.nx_min ? e->nx : info.nx_min;
		info.ny_max = e->ny > info.ny_max ? e->ny : info.ny_max;
		info.nx_max = e->nx > info.nx_max ? e->nx : info.nx_max;
	}
	return info;
}

struct pn_images_entry pn_images_entry(const struct pn_images *images, uint64_t image)
{
	return images->held[image].entry;
}

/* ---- reading ------------------------------------------------------------------------------- */

static int read_again(struct pn_images *m, uint64_t image, const void **raw, struct pn_error *err)
{
	const struct held *held = &m->held[image];
	size_t bytes = bytes_of(&held->entry);
	struct pn_msg msg;
	int rc = PN_OK;

	if (m->schema) {
		/* mapped: its bytes stay until the next record is read */
		rc = pn_log_read_at(m->reader, held->at, &msg, err);
		*raw = rc ? NULL : (const char *)msg.payload + held->part * bytes;
		return rc;
	}
	if (m->scratch_image != image) {
		if (bytes > m->scratch_bytes) {
			free(m->scratch);
			m->scratch = malloc(bytes);
			m->scratch_bytes = m->scratch ? bytes : 0;
			if (!m->scratch)
				return pn_error_set(err, PN_ENOMEM, "%s: no memory for an image",
						    m->source);
		}
		m->scratch_image = UINT64_MAX;
		rc = pn_stack_read(m->stack, held->at, m->scratch, err);
		if (rc)
			return rc;
		m->scratch_image = image;
		/* a stack is kept as it is asked for; then this image need not be read again */
		keep(m, &m->held[image], m->scratch);
	}
	*raw = m->scratch;
	return PN_OK;
}

static int read_piece(void *arg, uint64_t image, int y, int x, int ny, int nx, float *out,
		      struct pn_error *err)
{
	struct pn_images *m = arg;
	const struct pn_images_entry *e = &m->held[image].entry;
	size_t pixel = pn_dtype_bytes(e->dtype);
	const void *raw = m->held[image].raw;
	int rc = raw ? PN_OK : read_again(m, image, &raw, err);

	for (int row = 0; row < ny && !rc; row++)
		pn_to_f32(out + (size_t)row * (size_t)nx,
			  (const char *)raw +
				  ((size_t)(y + row) * (size_t)e->nx + (size_t)x) * pixel,
			  e->dtype, (size_t)nx);
	return rc;
}

int pn_images_read(struct pn_images *images, uint64_t image, float *out, struct pn_error *err)
{
	const struct pn_images_entry *e = &images->held[image].entry;

	return read_piece(images, image, 0, 0, e->ny, e->nx, out, err);
}

static void place(void *arg, uint64_t image, struct pn_train_place *place)
{
	const struct pn_images *m = arg;
	const struct pn_images_entry *e = &m->held[image].entry;

	*place = (struct pn_train_place){
		.run = e->run, .y0_px = e->y0_px, .x0_px = e->x0_px, .ny = e->ny, .nx = e->nx
	};
}

struct pn_train_source pn_images_source(struct pn_images *images)
{
	return (struct pn_train_source){
		.arg = images, .count = images->count, .place = place, .read = read_piece
	};
}

/* ---- noise --------------------------------------------------------------------------------- */

static int64_t largest(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static int64_t least(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* Images @image and the one after it, where both have pixels. */
static int add_pair(struct pn_images *m, uint64_t image, struct pn_noise *noise,
		    struct pn_error *err)
{
	const struct pn_images_entry *e[2] = { &m->held[image].entry, &m->held[image + 1].entry };
	int64_t y0 = largest(e[0]->y0_px, e[1]->y0_px), x0 = largest(e[0]->x0_px, e[1]->x0_px);
	int64_t y1 = least(e[0]->y0_px + e[0]->ny, e[1]->y0_px + e[1]->ny);
	int64_t x1 = least(e[0]->x0_px + e[0]->nx, e[1]->x0_px + e[1]->nx);

	if (y1 - y0 < PN_SPOT_SIDE_PX || x1 - x0 < PN_SPOT_SIDE_PX)
		return PN_OK;
	size_t pixels = (size_t)(y1 - y0) * (size_t)(x1 - x0);
	float *pair = malloc(2 * pixels * sizeof *pair);
	int rc = pair ? PN_OK : pn_error_set(err, PN_ENOMEM, "no memory for %zu pixels", pixels);
	for (unsigned k = 0; k < 2 && !rc; k++)
		rc = read_piece(m, image + k, (int)(y0 - e[k]->y0_px), (int)(x0 - e[k]->x0_px),
				(int)(y1 - y0), (int)(x1 - x0), pair + k * pixels, err);
	if (!rc)
		rc = pn_noise_add(noise, pair, pair + pixels, (size_t)(y1 - y0), (size_t)(x1 - x0),
				  err);
	free(pair);
	if (rc == PN_EFRAME) { /* a frame twice, say: such a pair tells nothing */
		*err = (struct pn_error){ 0 };
		rc = PN_OK;
	}
	return rc;
}

int pn_images_noise(struct pn_images *images, struct pn_noise *noise, struct pn_error *err)
{
	uint64_t pairs = 0, seen = 0, taken = 0;
	int rc = PN_OK;

	for (uint64_t k = 0; k + 1 < images->count; k++)
		pairs += images->held[k].entry.run == images->held[k + 1].entry.run;
	uint64_t wanted = pairs < NOISE_PAIRS ? pairs : NOISE_PAIRS;
	for (uint64_t k = 0; k + 1 < images->count && taken < wanted && !rc; k++) {
		if (images->held[k].entry.run != images->held[k + 1].entry.run)
			continue;
		if (seen++ < (2 * taken + 1) * pairs / (2 * wanted))
			continue;
		taken++;
		rc = add_pair(images, k, noise, err);
	}
	return rc;
}
