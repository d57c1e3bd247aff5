/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "native_wire.h"

#include "perrin/stream/head.h"

#include <stdio.h>
#include <string.h>

#define NUMBER(structure, member, text)                                        \
	{                                                                      \
		.key = #member, .help = text, .type = PN_FIELD_U64,            \
		.off = offsetof(structure, member), .max = PN_NATIVE_FRAME_MAX \
	}
#define COUNT(name, text)                                                  \
	{                                                                  \
		.key = name, .help = text, .type = PN_FIELD_U64, .off = 0, \
		.max = PN_NATIVE_FRAME_MAX                                 \
	}
#define KNOWN(member, units, low, high)                                                   \
	{                                                                                 \
		.key = #member, .unit = units, .help = "or nil", .type = PN_FIELD_F64,    \
		.off = offsetof(struct pn_native_frame, member), .min = low, .max = high, \
		.nullable = 1                                                             \
	}

static const struct pn_field hello_fields[] = {
	{ .key = "id",
	  .help = "comes back in the welcome",
	  .type = PN_FIELD_U64,
	  .off = offsetof(struct pn_native_hello, id) },
	{ .key = "name",
	  .help = "of the producer",
	  .type = PN_FIELD_TEXT,
	  .off = offsetof(struct pn_native_hello, name),
	  .capacity = PN_NATIVE_NAME_MAX },
	NUMBER(struct pn_native_hello, frames, "how many there will be; 0: not known"),
	NUMBER(struct pn_native_hello, first, "oldest frame that can still be sent"),
	{ 0 },
};

static const struct pn_field frame_fields[] = {
	NUMBER(struct pn_native_frame, frame, "its number, from 0"),
	{ .key = "time_ns",
	  .unit = "ns",
	  .help = "when it was taken",
	  .type = PN_FIELD_I64,
	  .off = offsetof(struct pn_native_frame, time_ns),
	  .min = -9e18,
	  .max = 9e18 },
	{ .key = "dtype",
	  .help = "of the pixels",
	  .type = PN_FIELD_DTYPE,
	  .off = offsetof(struct pn_native_frame, dtype) },
	{ .key = "shape",
	  .unit = "px",
	  .help = "ny, nx",
	  .type = PN_FIELD_I64S,
	  .off = offsetof(struct pn_native_frame, shape),
	  .count_off = offsetof(struct pn_native_frame, shape_count),
	  .capacity = 2,
	  .min = 1,
	  .max = 65536 },
	KNOWN(pixel_pm, "pm", 1e-3, 1e9),
	KNOWN(dose_e_per_A2, "e/A2", 0, 1e12),
	KNOWN(energy_keV, "keV", 1e-3, 1e5),
	KNOWN(tilt_deg, "deg", -360, 360),
	{ 0 },
};

static const struct pn_field end_fields[] = { COUNT("frames", "how many there were"), { 0 } };

static const struct pn_field welcome_fields[] = {
	{ .key = "id",
	  .help = "of the hello",
	  .type = PN_FIELD_U64,
	  .off = offsetof(struct pn_native_welcome, id) },
	NUMBER(struct pn_native_welcome, next, "first frame wanted"),
	{ .key = "window",
	  .help = "frames that may be on their way",
	  .type = PN_FIELD_U64,
	  .off = offsetof(struct pn_native_welcome, window),
	  .min = 1,
	  .max = 1e6 },
	{ 0 },
};

static const struct pn_field again_fields[] = { { 0 } };

static const struct pn_field ack_fields[] = { COUNT("next", "all frames below are durable"),
					      { 0 } };

static const struct pn_field refused_fields[] = {
	NUMBER(struct pn_native_refused, frame, "which"),
	{ .key = "reason",
	  .help = "why",
	  .type = PN_FIELD_TEXT,
	  .off = offsetof(struct pn_native_refused, reason),
	  .capacity = PN_NATIVE_REASON_MAX },
	{ 0 },
};

static const struct pn_field ended_fields[] = { COUNT("frames", "as the end said"), { 0 } };

static int frame_payload(const void *head, uint64_t *bytes, struct pn_error *err)
{
	const struct pn_native_frame *frame = head;

	if (frame->shape_count != 2)
		return pn_error_set(err, PN_EFRAME, "frame.shape: %llu numbers, need [ny, nx]",
				    (unsigned long long)frame->shape_count);
	*bytes = pn_native_frame_bytes(frame);
	return PN_OK;
}

static const struct pn_schema schemas[PN_NATIVE_COUNT] = {
	[PN_NATIVE_HELLO] = { .type = "hello",
			      .version = 1,
			      .size = sizeof(struct pn_native_hello),
			      .fields = hello_fields },
	[PN_NATIVE_FRAME] = { .type = "frame",
			      .version = 1,
			      .size = sizeof(struct pn_native_frame),
			      .fields = frame_fields,
			      .payload_bytes = frame_payload },
	[PN_NATIVE_END] = { .type = "end",
			    .version = 1,
			    .size = sizeof(uint64_t),
			    .fields = end_fields },
	[PN_NATIVE_WELCOME] = { .type = "welcome",
				.version = 1,
				.size = sizeof(struct pn_native_welcome),
				.fields = welcome_fields },
	[PN_NATIVE_AGAIN] = { .type = "again",
			      .version = 1,
			      .size = sizeof(uint64_t),
			      .fields = again_fields },
	[PN_NATIVE_ACK] = { .type = "ack",
			    .version = 1,
			    .size = sizeof(uint64_t),
			    .fields = ack_fields },
	[PN_NATIVE_REFUSED] = { .type = "refused",
				.version = 1,
				.size = sizeof(struct pn_native_refused),
				.fields = refused_fields },
	[PN_NATIVE_ENDED] = { .type = "ended",
			      .version = 1,
			      .size = sizeof(uint64_t),
			      .fields = ended_fields },
};

uint64_t pn_native_frame_bytes(const struct pn_native_frame *frame)
{
	return (uint64_t)frame->shape[0] * (uint64_t)frame->shape[1] * pn_dtype_bytes(frame->dtype);
}

/* The word after "type", which is to be the first key; only as much msgpack as that takes. */
static enum pn_native_type peek(const uint8_t *buf, size_t bytes)
{
	size_t at = bytes && buf[0] == 0xde ? 3 : 1;

	if (bytes < at + 6 || (at == 1 && (buf[0] & 0xf0) != 0x80) ||
	    memcmp(buf + at, "\xa4type", 5) != 0 || (buf[at + 5] & 0xe0) != 0xa0)
		return PN_NATIVE_COUNT;
	size_t length = buf[at + 5] & 0x1f;

	for (int type = 0; type < PN_NATIVE_COUNT; type++)
		if (strlen(schemas[type].type) == length && bytes >= at + 6 + length &&
		    memcmp(buf + at + 6, schemas[type].type, length) == 0)
			return (enum pn_native_type)type;
	return PN_NATIVE_COUNT;
}

int pn_native_decode(const void *buf, size_t bytes, struct pn_native *message, struct pn_error *err)
{
	memset(message, 0, sizeof *message);
	message->type = peek(buf, bytes);
	if (message->type == PN_NATIVE_COUNT)
		return pn_error_set(
			err, PN_EFRAME,
			"not a message of this protocol (a map whose first key is \"type\")");
	return pn_head_decode(&schemas[message->type], buf, bytes, &message->hello, err);
}

int pn_native_encode(const struct pn_native *message, void *buf, size_t *bytes,
		     struct pn_error *err)
{
	pn_assert((unsigned)message->type < PN_NATIVE_COUNT);
	return pn_head_encode(&schemas[message->type], &message->hello, buf, PN_NATIVE_BYTES_MAX,
			      bytes, err);
}

void pn_native_refuse(struct pn_native *message, uint64_t frame, const char *reason)
{
	memset(message, 0, sizeof *message);
	message->type = PN_NATIVE_REFUSED;
	message->refused.frame = frame;
	snprintf(message->refused.reason, sizeof message->refused.reason, "%s", reason);
	for (char *p = message->refused.reason; *p; p++)
		if (*p < ' ' || *p > '~')
			*p = '?';
}
