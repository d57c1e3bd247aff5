/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * native.c - Perrin's own protocol with acknowledgement, the receiving side. The messages and their
 * rules stand in perrin/detector/sender.h; the path of the URI is the ZeroMQ endpoint to bind.
 *
 * Message n of this source is frame n of the producer: a frame that is refused or never comes uses
 * up its number (PN_EFRAME), so that a restarted reader can name where to go on without a memory of
 * ours.
 */
#include "native_wire.h"
#include "perrin/link/socket.h"
#include "sources.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define GAP_MAX      100000 /* frames that may be missing at one place                     */
#define PER_CALL_MAX 64     /* messages without a frame that one next() works off          */

/** A frame that has arrived and waits for its number to be due. */
struct held {
	int there;
	uint64_t first_missing; /* the gap before it begins here                     */
	int bad;                /* with `why`                                        */
	struct pn_error why;
	struct pn_native_frame frame; /* pixels: in the state's buffer               */
};

struct native {
	int64_t window;

	struct pn_socket *socket;
	uint64_t next;    /* frame = message that is given next                     */
	uint64_t durable; /* all below are acknowledged                             */
	int started;      /* something was given: no seek any more                  */
	struct held held;
	int end_known;
	uint64_t end;  /* number of frames, if known                            */
	int end_given; /* next() has said PN_EEND: from then on an ack up to the end confirms it */
	int confirmed;
	uint64_t duplicates;

	char name[PN_NATIVE_NAME_MAX]; /* of the producer; empty: none yet           */
	int has_name;
	uint8_t peer[255]; /* ZeroMQ's name of the connection that said hello        */
	size_t peer_bytes; /* 0: none                                                */

	int waiting; /* `parts` came while waiting and are to be worked off    */
	struct pn_part parts[PN_PARTS_MAX];
	unsigned part_count;
	struct pn_frame_buffer buffer;
};

static const struct pn_param native_params[] = {
	{ .name = "window",
	  .help = "unacknowledged frames the producer may send; not below ingest.batch",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct native, window),
	  .def = 256,
	  .min = 1,
	  .max = 65536 },
	{ 0 },
};

static int native_open(void *self, const char *path, struct pn_error *err)
{
	struct native *n = self;

	return pn_socket_open(&n->socket, PN_SOCKET_ROUTER, path, 1, (int)n->window + 16, err);
}

/* ---- answers ------------------------------------------------------------------------------- */

/* Answers may be lost (a full queue, a producer that has gone): the producer asks again. */
static void answer(struct native *n, const struct pn_part *to, const struct pn_native *message)
{
	uint8_t bytes[PN_NATIVE_BYTES_MAX];
	struct pn_part parts[2] = { *to, { bytes, 0 } };

	if (pn_native_encode(message, bytes, &parts[1].bytes, NULL) == PN_OK)
		pn_socket_send(n->socket, parts, 2, NULL);
}

static void refuse(struct native *n, const struct pn_part *to, uint64_t frame, const char *reason)
{
	struct pn_native message;

	pn_native_refuse(&message, frame, reason);
	answer(n, to, &message);
}

static void acknowledge(struct native *n)
{
	struct pn_native message = { .type = PN_NATIVE_ACK, .count = n->durable };
	struct pn_part to = { n->peer, n->peer_bytes };

	if (n->peer_bytes)
		answer(n, &to, &message);
}

/* ---- what comes ---------------------------------------------------------------------------- */

static void take_hello(struct native *n, const struct pn_part *from,
		       const struct pn_native_hello *hello)
{
	struct pn_native message = { .type = PN_NATIVE_WELCOME };
	char text[PN_NATIVE_REASON_MAX];

	if (n->has_name && strcmp(n->name, hello->name) != 0) {
		snprintf(text, sizeof text, "this source takes its frames from '%s'", n->name);
		refuse(n, from, n->next, text);
		return;
	}
	if (from->bytes > sizeof n->peer)
		return;
	memcpy(n->name, hello->name, sizeof n->name);
	n->has_name = 1;
	memcpy(n->peer, from->data, from->bytes);
	n->peer_bytes = from->bytes;
	message.welcome.id = hello->id;
	message.welcome.next = n->next;
	message.welcome.window = (uint64_t)n->window;
	answer(n, from, &message);
	acknowledge(n); /* those of before may have been lost with the connection */
}

/* Why this frame cannot be taken, or PN_OK. That all frames are of one shape is for the stage to
 * see to, which remembers it over a restart. */
static int judge_frame(const struct pn_native_frame *frame, const void *pixels,
		       size_t bytes, struct pn_error *err)
{
	if (!pixels || bytes != pn_native_frame_bytes(frame))
		return pn_error_set(err, PN_EFRAME,
				    "frame %llu: %zu bytes of pixels, [%lld][%lld] has %llu",
				    (unsigned long long)frame->frame, bytes,
				    (long long)frame->shape[0], (long long)frame->shape[1],
				    (unsigned long long)pn_native_frame_bytes(frame));
	return PN_OK;
}

static int take_frame(struct native *n, const struct pn_part *from,
		      const struct pn_native_frame *frame, const struct pn_part *pixels,
		      struct pn_error *err)
{
	if (frame->frame < n->next) {
		n->duplicates++;
		return PN_OK;
	}
	if (frame->frame - n->next > GAP_MAX) {
		char text[120];

		snprintf(text, sizeof text, "a jump to frame %llu, frame %llu is due",
			 (unsigned long long)frame->frame, (unsigned long long)n->next);
		refuse(n, from, frame->frame, text);
		return PN_OK;
	}
	if (n->end_known) {
		refuse(n, from, frame->frame, "a frame after the end");
		return PN_OK;
	}
	n->held.first_missing = n->next;
	n->held.frame = *frame;
	n->held.bad = judge_frame(frame, pixels ? pixels->data : NULL,
				  pixels ? pixels->bytes : 0, &n->held.why) != PN_OK;
	if (n->held.bad) {
		refuse(n, from, frame->frame, n->held.why.text);
	} else {
		int rc = pn_frame_reserve(&n->buffer, pixels->bytes, err);

		if (rc)
			return rc;
		memcpy(n->buffer.pixels, pixels->data, pixels->bytes);
	}
	n->held.there = 1;
	return PN_OK;
}

/* The end is confirmed only when whoever reads has made sure that he will know of it after a
 * restart: the producer goes away then and cannot say it again. */
static void confirm_end(struct native *n)
{
	struct pn_native message = { .type = PN_NATIVE_ENDED, .count = n->end };
	struct pn_part to = { n->peer, n->peer_bytes };

	if (n->confirmed && n->peer_bytes)
		answer(n, &to, &message);
}

static void take_end(struct native *n, const struct pn_part *from, uint64_t frames)
{
	if (n->end_known ? frames != n->end : frames < n->next || frames - n->next > GAP_MAX) {
		char text[120];

		snprintf(text, sizeof text, "an end at %llu frames, after %llu",
			 (unsigned long long)frames,
			 (unsigned long long)(n->end_known ? n->end : n->next));
		refuse(n, from, n->next, text);
		return;
	}
	n->end_known = 1;
	n->end = frames;
	confirm_end(n);
}

/* One message of whomever. Only what names no frame at all leaves no trace but the refusal: the
 * number that it may have meant is missing later. */
static int take_message(struct native *n, struct pn_error *err)
{
	const struct pn_part *from = &n->parts[0], *head = &n->parts[1];
	struct pn_native again = { .type = PN_NATIVE_AGAIN }, message;
	struct pn_error why = { 0 };

	if (n->part_count < 2 || from->bytes == 0)
		return PN_OK;
	int rc = pn_native_decode(head->data, head->bytes, &message, &why);
	unsigned most = !rc && message.type == PN_NATIVE_FRAME ? 3 : 2;

	if (rc == PN_ENOMEM)
		return pn_error_set(err, rc, "%s", why.text);
	if (!rc && n->part_count > most)
		rc = pn_error_set(&why, PN_EFRAME, "%u parts, at most %u", n->part_count - 1,
				  most - 1);
	if (!rc && message.type > PN_NATIVE_END)
		rc = pn_error_set(&why, PN_EFRAME, "a message that only the source may send");
	if (rc) {
		refuse(n, from, n->next, why.text);
		return PN_OK;
	}
	if (message.type == PN_NATIVE_HELLO) {
		take_hello(n, from, &message.hello);
		return PN_OK;
	}
	/* who is not known may have older frames than these: he is to say hello first */
	if (from->bytes != n->peer_bytes || memcmp(from->data, n->peer, from->bytes) != 0) {
		answer(n, from, &again);
		return PN_OK;
	}
	if (message.type == PN_NATIVE_FRAME)
		return take_frame(n, from, &message.frame, n->part_count > 2 ? &n->parts[2] : NULL,
				  err);
	take_end(n, from, message.count);
	return PN_OK;
}

/* ---- what is given ------------------------------------------------------------------------- */

static int missing(struct native *n, uint64_t first, uint64_t end, struct pn_error *err)
{
	n->started = 1;
	n->next++;
	return pn_error_set(err, PN_EFRAME, "frame %llu never came (missing: %llu..%llu)",
			    (unsigned long long)n->next - 1, (unsigned long long)first,
			    (unsigned long long)end - 1);
}

static int give_held(struct native *n, struct pn_msg *msg, struct pn_error *err)
{
	const struct pn_native_frame *frame = &n->held.frame;
	struct pn_frames_head *values = &n->buffer.values;

	if (n->next < frame->frame)
		return missing(n, n->held.first_missing, frame->frame, err);
	n->held.there = 0;
	n->started = 1;
	n->next++;
	if (n->held.bad)
		return pn_error_set(err, PN_EFRAME, "%s", n->held.why.text);
	values->frame = frame->frame;
	values->count = 1;
	values->dtype = frame->dtype;
	values->ny = (uint64_t)frame->shape[0];
	values->nx = (uint64_t)frame->shape[1];
	values->pixel_pm = frame->pixel_pm;
	values->dose_e_per_A2 = frame->dose_e_per_A2;
	values->energy_keV = frame->energy_keV;
	values->tilt_deg = frame->tilt_deg;
	values->offset_ns[0] = 0;
	values->offset_count = 1;
	return pn_frame_message(&n->buffer, NULL, frame->time_ns, msg, err);
}

static int native_next(void *self, struct pn_msg *msg, struct pn_error *err)
{
	struct native *n = self;

	for (int i = 0; i < PER_CALL_MAX && !n->held.there; i++) {
		int rc = PN_OK;

		if (!n->waiting)
			rc = pn_socket_receive(n->socket, 0, n->parts, &n->part_count, err);
		n->waiting = 0;
		if (rc == PN_EAGAIN)
			break;
		if (rc == PN_EFRAME)
			continue; /* more parts than any message has */
		if (!rc)
			rc = take_message(n, err);
		if (rc)
			return rc;
	}
	if (n->held.there)
		return give_held(n, msg, err);
	if (n->end_known && n->next < n->end)
		return missing(n, n->next, n->end, err);
	n->end_given |= n->end_known;
	return n->end_known ? PN_EEND : PN_EAGAIN;
}

static int native_seek(void *self, uint64_t seq, struct pn_error *err)
{
	struct native *n = self;

	if (seq == n->next)
		return PN_OK;
	if (n->started)
		return pn_error_set(err, PN_EUNSUPPORTED,
				    "native: message %llu, but the producer is at %llu",
				    (unsigned long long)seq, (unsigned long long)n->next);
	if (seq > PN_NATIVE_FRAME_MAX)
		return pn_error_set(err, PN_EARG, "native: message %llu", (unsigned long long)seq);
	n->next = seq;
	n->durable = seq;
	/* a welcome with another number may be on its way: have him say hello again */
	n->peer_bytes = 0;
	n->held.there = 0;
	n->end_known = 0;
	n->end_given = 0;
	return PN_OK;
}

static int native_ack(void *self, uint64_t seq, struct pn_error *err)
{
	struct native *n = self;

	if (seq > n->next)
		return pn_error_set(err, PN_EARG, "native: acknowledged %llu, given %llu",
				    (unsigned long long)seq, (unsigned long long)n->next);
	if (seq > n->durable) {
		n->durable = seq;
		acknowledge(n);
	}
	if (n->end_given && seq == n->end) {
		n->confirmed = 1;
		confirm_end(n);
	}
	return PN_OK;
}

static void native_wait(void *self, int64_t timeout_ns)
{
	struct native *n = self;

	/* ZeroMQ's descriptor does not tell of what is in its queues already: only receiving does
	 */
	if (!n->waiting && !n->held.there)
		n->waiting = pn_socket_receive(n->socket, timeout_ns, n->parts, &n->part_count,
					       NULL) == PN_OK;
}

static void native_close(void *self)
{
	struct native *n = self;

	if (n->socket)
		pn_socket_close(n->socket);
	pn_frame_finish(&n->buffer);
}

const struct pn_source_ops pn_source_native = {
	.scheme = "native",
	.brief = "frames sent by `perrin send` or a few lines of Python: native:tcp://127.0.0.1:5555",
	.state_size = sizeof(struct native),
	.params = native_params,
	.open = native_open,
	.next = native_next,
	.seek = native_seek,
	.ack = native_ack,
	.wait = native_wait,
	.close = native_close,
};
