/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * replay.c - a recorded session, or one stream of it, given again.
 *
 * The path is a session's folder, of which the streams specimen/, truth/ and frames/ are played as
 * far as they are there, or the folder of one such stream. Messages come in order of their time
 * stamps; at the same time specimens first, then truth, then frames, each stream in its own order.
 *
 * Heads and payloads are the recorded bytes. A record that holds a batch of frames is given as
 * single frames, each with the head that it would have had alone, so that who records them again is
 * free to make other batches (`split=0`: as recorded).
 *
 * A seek reads its way from the start, or from the present place: records do not say how many
 * messages they hold.
 */
#include "perrin/stream/log.h"
#include "sources.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/** One stream, read one record ahead. */
struct stream {
	struct pn_log_reader *reader;
	uint32_t port;
	int holds; /* `msg` is a record not yet given, or not all of it          */
	int ended;
	struct pn_msg msg;
	int bad; /* PN_EFRAME with `why`: its head cannot be read              */
	struct pn_error why;
	uint64_t part;  /* of a batch: the frame to give next                         */
	uint64_t parts; /* messages that the record gives                             */
	struct pn_frames_head *head; /* decoded, only where parts > 1                    */
};

struct replay {
	int split;

	struct stream streams[PN_PORT_COUNT]; /* in the order of rank at the same time */
	unsigned count;
	uint64_t given;
	struct pn_frame_buffer buffer;
};

static const struct pn_param replay_params[] = {
	{ .name = "split",
	  .help = "give the frames of a batch one by one",
	  .type = PN_PARAM_BOOL,
	  .off = offsetof(struct replay, split),
	  .def = 1 },
	{ 0 },
};

/* ---- opening ------------------------------------------------------------------------------- */

static int add_stream(struct replay *r, const char *dir, uint32_t port, struct pn_error *err)
{
	struct stream *s = &r->streams[r->count];
	int rc = pn_log_read_open(&s->reader, dir, NULL, 0, 0, err);

	if (rc)
		return rc;
	s->port = port;
	r->count++;
	if (port != PN_PORT_FRAMES)
		return PN_OK;
	s->head = malloc(sizeof *s->head);
	return s->head ? PN_OK : pn_error_set(err, PN_ENOMEM, "%s: a head", dir);
}

/* The port of a stream that was named by itself, told by its first record. */
static int port_of_stream(const char *dir, uint32_t *port, struct pn_error *err)
{
	struct pn_log_reader *reader = NULL;
	struct pn_msg msg;
	int rc = pn_log_read_open(&reader, dir, NULL, 0, 0, err);

	*port = PN_PORT_FRAMES;
	if (rc)
		return rc;
	rc = pn_log_read(reader, &msg, err);
	if (rc == PN_OK) {
		const struct pn_schema *schema = pn_head_type(msg.head, msg.head_bytes);

		if (schema == &pn_truth_schema)
			*port = PN_PORT_TRUTH;
		else if (schema == &pn_specimen_schema)
			*port = PN_PORT_SPECIMEN;
		else if (schema != &pn_frames_schema)
			rc = pn_error_set(err, PN_EUNSUPPORTED,
					  "%s: a stream of %s; only frames, truth and specimen can "
					  "be replayed",
					  dir, schema ? schema->type : "something unknown");
	}
	pn_log_read_close(reader);
	return rc == PN_EEND || rc == PN_EAGAIN ? PN_OK : rc;
}

static char *sub_path(const char *path, const char *name)
{
	char *sub = NULL;

	return asprintf(&sub, "%s/%s", path, name) < 0 ? NULL : sub;
}

static int there_is(const char *path, const char *name, int *answer, struct pn_error *err)
{
	struct stat st;
	char *sub = sub_path(path, name);

	if (!sub)
		return pn_error_set(err, PN_ENOMEM, "%s: a name", path);
	*answer = stat(sub, &st) == 0;
	free(sub);
	return PN_OK;
}

static int open_session(struct replay *r, const char *path, struct pn_error *err)
{
	static const struct {
		const char *name;
		uint32_t port;
	} known[] = {
		{ "specimen", PN_PORT_SPECIMEN },
		{ "truth", PN_PORT_TRUTH },
		{ "frames", PN_PORT_FRAMES },
	};

	for (size_t i = 0; i < PN_COUNT(known); i++) {
		int there = 0, rc = there_is(path, known[i].name, &there, err);

		if (rc)
			return rc;
		if (!there)
			continue;
		char *dir = sub_path(path, known[i].name);

		if (!dir)
			return pn_error_set(err, PN_ENOMEM, "%s: a name", path);
		rc = add_stream(r, dir, known[i].port, err);
		free(dir);
		if (rc)
			return rc;
	}
	if (r->count == 0)
		return pn_error_set(err, PN_ENOENT,
				    "%s: neither a stream (000000.seg) nor a session (frames/)",
				    path);
	return PN_OK;
}

static int replay_open(void *self, const char *path, struct pn_error *err)
{
	struct replay *r = self;
	struct stat st;
	uint32_t port;
	int is_stream = 0, rc;

	if (stat(path, &st))
		return pn_error_errno(err, errno, "%s", path);
	rc = there_is(path, "000000.seg", &is_stream, err);
	if (rc)
		return rc;
	if (!is_stream)
		return open_session(r, path, err);
	rc = port_of_stream(path, &port, err);
	return rc ? rc : add_stream(r, path, port, err);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Make `msg` the record to give from; a record that is bad in itself is held, too. */
static int fill(struct replay *r, struct stream *s, struct pn_error *err)
{
	if (s->holds || s->ended)
		return PN_OK;
	int rc = pn_log_read(s->reader, &s->msg, err);

	if (rc == PN_EEND) {
		s->ended = 1;
		return PN_OK;
	}
	if (rc)
		return rc;
	s->holds = 1;
	s->bad = 0;
	s->part = 0;
	s->parts = 1;
	if (s->port == PN_PORT_FRAMES && r->split) {
		rc = pn_msg_decode(&pn_frames_schema, &s->msg, s->head, &s->why);
		s->bad = rc == PN_EFRAME;
		if (rc && !s->bad)
			return pn_error_set(err, rc, "%s", s->why.text);
		if (!rc)
			s->parts = s->head->count;
	}
	return PN_OK;
}

static int64_t time_of(const struct stream *s)
{
	return s->msg.time_ns + (s->parts > 1 ? s->head->offset_ns[s->part] : 0);
}

/* The stream whose message is the next one; NULL at the end of all. */
static int choose(struct replay *r, struct stream **chosen, struct pn_error *err)
{
	*chosen = NULL;
	for (unsigned i = 0; i < r->count; i++) {
		struct stream *s = &r->streams[i];
		int rc = fill(r, s, err);

		if (rc)
			return rc;
		if (!s->ended && (!*chosen || time_of(s) < time_of(*chosen)))
			*chosen = s;
	}
	return PN_OK;
}

static void pass(struct replay *r, struct stream *s)
{
	if (++s->part >= s->parts)
		s->holds = 0;
	r->given++;
}

/* One frame of a batch. Pixels that lie well are not copied. */
static int one_of_batch(struct replay *r, struct stream *s, struct pn_msg *msg,
			struct pn_error *err)
{
	struct pn_frames_head *one = &r->buffer.values;
	const struct pn_frames_head *all = s->head;
	uint64_t bytes = s->msg.payload_bytes / all->count;
	const char *pixels = (const char *)s->msg.payload + s->part * bytes;

	one->frame = all->frame + s->part;
	one->count = 1;
	one->dtype = all->dtype;
	one->ny = all->ny;
	one->nx = all->nx;
	one->pixel_pm = all->pixel_pm;
	one->dose_e_per_A2 = all->dose_e_per_A2;
	one->energy_keV = all->energy_keV;
	one->tilt_deg = all->tilt_deg;
	one->offset_ns[0] = 0;
	one->offset_count = 1;
	if ((uintptr_t)pixels % PN_FRAME_ALIGN) {
		int rc = pn_frame_reserve(&r->buffer, bytes, err);

		if (rc)
			return rc;
		memcpy(r->buffer.pixels, pixels, bytes);
		pixels = NULL;
	}
	return pn_frame_message(&r->buffer, pixels, time_of(s), msg, err);
}

static int replay_next(void *self, struct pn_msg *msg, struct pn_error *err)
{
	struct replay *r = self;
	struct stream *s;
	int rc = choose(r, &s, err);

	if (rc)
		return rc;
	if (!s)
		return PN_EEND;
	if (s->bad) {
		rc = pn_error_set(err, PN_EFRAME, "frames record %llu: %.300s",
				  (unsigned long long)s->msg.seq, s->why.text);
	} else if (s->parts > 1) {
		rc = one_of_batch(r, s, msg, err);
	} else {
		*msg = s->msg;
		msg->port = s->port;
	}
	if (rc == PN_OK || rc == PN_EFRAME)
		pass(r, s);
	return rc;
}

static void rewind_all(struct replay *r)
{
	for (unsigned i = 0; i < r->count; i++) {
		pn_log_read_seek(r->streams[i].reader, 0);
		r->streams[i].holds = 0;
		r->streams[i].ended = 0;
	}
	r->given = 0;
}

/* Walk to message @seq; *short_of: it does not exist. */
static int walk(struct replay *r, uint64_t seq, int *short_of, struct pn_error *err)
{
	*short_of = 0;
	if (seq < r->given)
		rewind_all(r);
	while (r->given < seq) {
		struct stream *s;
		int rc = choose(r, &s, err);

		if (rc)
			return rc;
		if (!s) {
			*short_of = 1;
			return PN_OK;
		}
		pass(r, s);
	}
	return PN_OK;
}

static int replay_seek(void *self, uint64_t seq, struct pn_error *err)
{
	struct replay *r = self;
	uint64_t before = r->given, total;
	int short_of, rc = walk(r, seq, &short_of, err);

	if (rc || !short_of)
		return rc;
	total = r->given;
	rc = walk(r, before, &short_of, err);
	if (rc)
		return rc;
	return pn_error_set(err, PN_EARG, "message %llu: the recording gives %llu",
			    (unsigned long long)seq, (unsigned long long)total);
}

static void replay_close(void *self)
{
	struct replay *r = self;

	for (unsigned i = 0; i < PN_PORT_COUNT; i++) {
		if (r->streams[i].reader)
			pn_log_read_close(r->streams[i].reader);
		free(r->streams[i].head);
	}
	pn_frame_finish(&r->buffer);
}

const struct pn_source_ops pn_source_replay = {
	.scheme = "replay",
	.brief = "a recorded session, or one stream of it",
	.state_size = sizeof(struct replay),
	.params = replay_params,
	.open = replay_open,
	.next = replay_next,
	.seek = replay_seek,
	.close = replay_close,
};
