/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/detector/sender.h"

#include "native_wire.h"
#include "perrin/base/clock.h"
#include "perrin/link/socket.h"
#include "perrin/stream/head.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HIGH_WATER   64 /* messages queued in the socket: copies, so not many              */
#define FIRST_WINDOW 16 /* frames kept before the source has said how many                 */

/** A frame that is kept until it is acknowledged. */
struct slot {
	uint64_t frame;
	int was_sent;
	uint8_t head[PN_NATIVE_BYTES_MAX];
	size_t head_bytes;
	void *pixels;
	size_t bytes, room;
};

struct pn_sender {
	struct pn_socket *socket;
	struct pn_native hello;
	uint64_t own_window; /* 0: the source's                                             */
	int64_t retry_ns, heard_ns;
	int waits_for_welcome, was_welcome;
	uint64_t next; /* first frame the source wanted when it last said so          */
	uint64_t base; /* and when it first did                                       */

	struct slot *slots; /* a ring of `room`, `count` used from `head` on               */
	uint64_t room, head, count;
	uint64_t cursor; /* of the count: how many are sent since the last welcome      */
	uint64_t window;
	uint64_t last; /* number of the frame given last, plus 1                      */

	int ending, end_sent, end_known;
	uint64_t end;
	int failed; /* the code of the error that made it useless                  */
	struct pn_error why;
	struct pn_sender_stats stats;
};

static struct slot *slot_at(struct pn_sender *s, uint64_t index)
{
	return &s->slots[(s->head + index) % s->room];
}

static int fail(struct pn_sender *s, int code, const char *text, struct pn_error *err)
{
	s->failed = code;
	pn_error_set(&s->why, code, "%s", text);
	return pn_error_set(err, code, "%s", text);
}

/* ---- sending ------------------------------------------------------------------------------- */

static int send_small(struct pn_sender *s, const struct pn_native *message, struct pn_error *err)
{
	uint8_t bytes[PN_NATIVE_BYTES_MAX];
	struct pn_part part = { bytes, 0 };
	int rc = pn_native_encode(message, bytes, &part.bytes, err);

	return rc ? rc : pn_socket_send(s->socket, &part, 1, err);
}

static int say_hello(struct pn_sender *s, struct pn_error *err)
{
	/* the welcome to an older hello tells what the source wanted then, not now */
	s->hello.hello.id++;
	s->waits_for_welcome = 1;
	s->end_sent = 0;
	s->heard_ns = pn_now_ns();
	int rc = send_small(s, &s->hello, err);

	return rc == PN_EAGAIN ? PN_OK : rc; /* said again later */
}

static int send_waiting(struct pn_sender *s, struct pn_error *err)
{
	int rc = PN_OK;

	while (!s->waits_for_welcome && s->cursor < s->count && s->cursor < s->window) {
		struct slot *slot = slot_at(s, s->cursor);
		struct pn_part parts[2] = { { slot->head, slot->head_bytes },
					    { slot->pixels, slot->bytes } };

		rc = pn_socket_send(s->socket, parts, 2, err);
		if (rc)
			return rc == PN_EAGAIN ? PN_OK : rc;
		s->stats.sent += !slot->was_sent;
		s->stats.resent += (uint64_t)slot->was_sent;
		slot->was_sent = 1;
		s->cursor++;
	}
	if (s->waits_for_welcome || !s->ending || s->end_sent || s->cursor < s->count)
		return PN_OK;
	struct pn_native end = { .type = PN_NATIVE_END, .count = s->end };

	rc = send_small(s, &end, err);
	s->end_sent = rc == PN_OK;
	return rc == PN_EAGAIN ? PN_OK : rc;
}

/* ---- answers ------------------------------------------------------------------------------- */

static int grow(struct pn_sender *s, uint64_t room, struct pn_error *err)
{
	struct slot *slots;

	if (room <= s->room)
		return PN_OK;
	slots = calloc(room, sizeof *slots);
	if (!slots)
		return pn_error_set(err, PN_ENOMEM, "sender: a window of %llu frames",
				    (unsigned long long)room);
	for (uint64_t i = 0; i < s->room; i++) /* unused slots, too: they own memory */
		slots[i] = *slot_at(s, i);
	free(s->slots);
	s->slots = slots;
	s->room = room;
	s->head = 0;
	return PN_OK;
}

static void forget_below(struct pn_sender *s, uint64_t next)
{
	if (next > s->stats.acked)
		s->stats.acked = next;
	while (s->count && slot_at(s, 0)->frame < next) {
		s->head = (s->head + 1) % s->room;
		s->count--;
		s->cursor -= s->cursor > 0;
	}
}

/* Frames that were acknowledged, or that an earlier welcome told the caller to leave out, are gone.
 */
static int can_give(struct pn_sender *s, uint64_t next)
{
	if (next < s->stats.acked)
		return 0;
	return !s->was_welcome || next >= s->base || (s->count && slot_at(s, 0)->frame <= next);
}

static int take_welcome(struct pn_sender *s, const struct pn_native_welcome *welcome,
			struct pn_error *err)
{
	char text[PN_ERROR_TEXT_MAX];

	if (!s->waits_for_welcome || welcome->id != s->hello.hello.id)
		return PN_OK;
	if (!can_give(s, welcome->next)) {
		snprintf(text, sizeof text,
			 "sender: the source wants frame %llu; those below %llu are gone, start "
			 "again",
			 (unsigned long long)welcome->next,
			 (unsigned long long)(s->stats.acked > s->base ? s->stats.acked : s->base));
		return fail(s, PN_EIO, text, err);
	}
	s->window =
		s->own_window && s->own_window < welcome->window ? s->own_window : welcome->window;
	int rc = grow(s, s->window, err);

	if (rc)
		return rc;
	s->waits_for_welcome = 0;
	if (!s->was_welcome)
		s->base = welcome->next;
	s->was_welcome = 1;
	s->next = welcome->next;
	for (s->cursor = 0; s->cursor < s->count; s->cursor++)
		if (slot_at(s, s->cursor)->frame >= welcome->next)
			break;
	return PN_OK;
}

static int take_refused(struct pn_sender *s, const struct pn_native_refused *refused,
			struct pn_error *err)
{
	char text[PN_ERROR_TEXT_MAX];

	if (s->waits_for_welcome && !s->was_welcome) {
		snprintf(text, sizeof text, "sender: refused: %s", refused->reason);
		return fail(s, PN_EPERM, text, err);
	}
	s->stats.refused++;
	snprintf(s->stats.reason, sizeof s->stats.reason, "%s", refused->reason);
	return PN_OK;
}

static int take_answer(struct pn_sender *s, const struct pn_part *parts, unsigned count,
		       struct pn_error *err)
{
	struct pn_native message;

	/* what is not of this protocol is not our source's: passed over */
	if (count != 1 || pn_native_decode(parts[0].data, parts[0].bytes, &message, NULL))
		return PN_OK;
	s->heard_ns = pn_now_ns();
	switch (message.type) {
	case PN_NATIVE_WELCOME:
		return take_welcome(s, &message.welcome, err);
	case PN_NATIVE_AGAIN:
		return s->waits_for_welcome ? PN_OK : say_hello(s, err);
	case PN_NATIVE_ACK:
		forget_below(s, message.count);
		return PN_OK;
	case PN_NATIVE_REFUSED:
		return take_refused(s, &message.refused, err);
	case PN_NATIVE_ENDED:
		s->end_known = s->ending && message.count == s->end;
		return PN_OK;
	default:
		return PN_OK;
	}
}

static int owes_us(const struct pn_sender *s)
{
	return s->waits_for_welcome || s->count || (s->ending && !s->end_known);
}

int pn_sender_pump(struct pn_sender *s, int64_t timeout_ns, struct pn_error *err)
{
	struct pn_part parts[PN_PARTS_MAX];
	unsigned count;
	int rc;

	if (s->failed)
		return pn_error_set(err, s->failed, "%s", s->why.text);
	rc = send_waiting(s, err);
	while (!rc) {
		rc = pn_socket_receive(s->socket, timeout_ns, parts, &count, err);
		timeout_ns = 0;
		if (rc == PN_OK)
			rc = take_answer(s, parts, count, err);
		else if (rc == PN_EFRAME)
			rc = PN_OK;
	}
	if (rc != PN_EAGAIN)
		return rc;
	if (owes_us(s) && pn_now_ns() - s->heard_ns >= s->retry_ns) {
		rc = say_hello(s, err);
		if (rc)
			return rc;
	}
	return send_waiting(s, err);
}

/* Pump until @done says so or the time is over. */
static int pump_until(struct pn_sender *s, int (*done)(const struct pn_sender *),
		      int64_t timeout_ns, struct pn_error *err)
{
	int64_t begin = pn_now_ns(), left = timeout_ns;

	for (;;) {
		int rc = pn_sender_pump(s, 0, err);

		if (rc || done(s))
			return rc;
		if (left <= 0)
			return PN_EAGAIN;
		rc = pn_sender_pump(s, left < s->retry_ns ? left : s->retry_ns, err);
		if (rc || done(s))
			return rc;
		left = timeout_ns - (pn_now_ns() - begin);
	}
}

/* ---- the interface ------------------------------------------------------------------------- */

int pn_sender_open(struct pn_sender **sender, const struct pn_sender_config *config,
		   struct pn_error *err)
{
	struct pn_sender *s;
	const char *name = config->name ? config->name : "";
	int rc;

	*sender = NULL;
	if (strlen(name) >= PN_NATIVE_NAME_MAX)
		return pn_error_set(err, PN_EARG, "sender: a name of %zu bytes, at most %d",
				    strlen(name), PN_NATIVE_NAME_MAX - 1);
	s = calloc(1, sizeof *s);
	if (!s)
		return pn_error_set(err, PN_ENOMEM, "sender: no memory");
	s->hello.type = PN_NATIVE_HELLO;
	strcpy(s->hello.hello.name, name);
	s->hello.hello.first = config->first;
	s->hello.hello.frames = config->frames;
	s->own_window = config->window;
	s->window = config->window ? config->window : FIRST_WINDOW;
	s->retry_ns = config->retry_ns > 0 ? config->retry_ns : PN_NS_PER_S;
	rc = pn_socket_open(&s->socket, PN_SOCKET_DEALER, config->endpoint, 0, HIGH_WATER, err);
	if (!rc)
		rc = grow(s, s->window, err);
	if (!rc)
		rc = say_hello(s, err);
	if (rc) {
		pn_sender_close(s);
		return rc;
	}
	*sender = s;
	return PN_OK;
}

static int is_ready(const struct pn_sender *s)
{
	return s->was_welcome && !s->waits_for_welcome;
}

int pn_sender_ready(struct pn_sender *s, int64_t timeout_ns, uint64_t *next, struct pn_error *err)
{
	int rc = pump_until(s, is_ready, timeout_ns, err);

	if (rc == PN_EAGAIN)
		return pn_error_set(err, PN_ETIMEOUT, "sender: no welcome from %s",
				    pn_socket_endpoint(s->socket));
	if (!rc && next)
		*next = s->next;
	return rc;
}

static int has_room(const struct pn_sender *s)
{
	return s->count < s->window;
}

static int keep(struct pn_sender *s, const struct pn_sender_frame *frame, struct pn_error *err)
{
	struct slot *slot = slot_at(s, s->count);
	struct pn_native message = {
		.type = PN_NATIVE_FRAME,
		.frame = {
			.frame = frame->frame,
			.time_ns = frame->time_ns,
			.dtype = frame->dtype,
			.shape = { (int64_t)frame->ny, (int64_t)frame->nx },
			.shape_count = 2,
			.pixel_pm = frame->pixel_pm,
			.dose_e_per_A2 = frame->dose_e_per_A2,
			.energy_keV = frame->energy_keV,
			.tilt_deg = frame->tilt_deg,
		},
	};
	int rc = pn_native_encode(&message, slot->head, &slot->head_bytes, err);

	if (rc)
		return rc;
	slot->bytes = pn_native_frame_bytes(&message.frame);
	if (slot->bytes > slot->room) {
		void *pixels = realloc(slot->pixels, slot->bytes);

		if (!pixels)
			return pn_error_set(err, PN_ENOMEM, "sender: a frame of %zu bytes",
					    slot->bytes);
		slot->pixels = pixels;
		slot->room = slot->bytes;
	}
	memcpy(slot->pixels, frame->pixels, slot->bytes);
	slot->frame = frame->frame;
	slot->was_sent = 0;
	s->count++;
	s->last = frame->frame + 1;
	return PN_OK;
}

int pn_sender_send(struct pn_sender *s, const struct pn_sender_frame *frame, int64_t timeout_ns,
		   struct pn_error *err)
{
	if (frame->frame < s->last || s->ending)
		return pn_error_set(err, PN_EARG, "sender: frame %llu after %s %llu",
				    (unsigned long long)frame->frame,
				    s->ending ? "the end at" : "frame",
				    (unsigned long long)(s->ending ? s->end : s->last - 1));
	int rc = pump_until(s, has_room, timeout_ns, err);

	if (rc)
		return rc;
	if (s->was_welcome && frame->frame < s->next)
		return PN_OK;
	rc = keep(s, frame, err);
	return rc ? rc : send_waiting(s, err);
}

int pn_sender_message(struct pn_sender *s, const struct pn_msg *msg, int64_t timeout_ns,
		      struct pn_error *err)
{
	struct pn_frames_head *head = malloc(sizeof *head); /* large: offset_ns */
	int rc;

	if (!head)
		return pn_error_set(err, PN_ENOMEM, "sender: a head");
	rc = pn_msg_decode(&pn_frames_schema, msg, head, err);
	if (!rc && head->count != 1)
		rc = pn_error_set(err, PN_EFRAME, "sender: a message of %llu frames, need one",
				  (unsigned long long)head->count);
	if (!rc) {
		struct pn_sender_frame frame = {
			.frame = head->frame,
			.time_ns = msg->time_ns,
			.dtype = head->dtype,
			.ny = head->ny,
			.nx = head->nx,
			.pixel_pm = head->pixel_pm,
			.dose_e_per_A2 = head->dose_e_per_A2,
			.energy_keV = head->energy_keV,
			.tilt_deg = head->tilt_deg,
			.pixels = msg->payload,
		};

		rc = pn_sender_send(s, &frame, timeout_ns, err);
	}
	free(head);
	return rc;
}

static int is_finished(const struct pn_sender *s)
{
	return s->end_known && s->stats.acked >= s->end;
}

int pn_sender_finish(struct pn_sender *s, uint64_t frames, int64_t timeout_ns, struct pn_error *err)
{
	if (frames < s->last || (s->ending && frames != s->end))
		return pn_error_set(err, PN_EARG, "sender: an end at %llu frames, after %s%llu",
				    (unsigned long long)frames, s->ending ? "an end at " : "frame ",
				    (unsigned long long)(s->ending ? s->end : s->last - 1));
	s->ending = 1;
	s->end = frames;
	int rc = pump_until(s, is_finished, timeout_ns, err);

	if (rc != PN_EAGAIN)
		return rc;
	return pn_error_set(err, PN_ETIMEOUT, "sender: %llu of %llu frames acknowledged, end %s",
			    (unsigned long long)s->stats.acked, (unsigned long long)frames,
			    s->end_known ? "known" : "not answered");
}

void pn_sender_stats(const struct pn_sender *s, struct pn_sender_stats *stats)
{
	*stats = s->stats;
	stats->kept = s->count;
}

void pn_sender_close(struct pn_sender *s)
{
	if (!s)
		return;
	for (uint64_t i = 0; i < s->room; i++)
		free(s->slots[i].pixels);
	free(s->slots);
	if (s->socket)
		pn_socket_close(s->socket);
	free(s);
}
