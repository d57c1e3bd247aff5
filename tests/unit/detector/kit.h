/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kit.h - what the tests of sources share: image files made by hand, checks of frames and ends. */
#ifndef PERRIN_TEST_DETECTOR_KIT_H
#define PERRIN_TEST_DETECTOR_KIT_H

#include "perrin/base/clock.h"
#include "perrin/detector/source.h"
#include "perrin/stream/head.h"
#include "testkit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KIT_NY     5
#define KIT_NX     3
#define KIT_PIXELS (KIT_NY * KIT_NX)

/* Every pixel of every image of every seed is another number. */
static inline uint16_t kit_pixel(unsigned seed, uint64_t image, unsigned pixel)
{
	return (uint16_t)(seed * 1000 + image * 20 + pixel);
}

/* An npy file whose header claims @claimed images and that holds @held. */
static inline void kit_npy_lying(const char *path, unsigned seed, unsigned claimed, unsigned held)
{
	char header[128];
	size_t size = sizeof header + (size_t)held * KIT_PIXELS * 2;
	char *bytes = calloc(1, size + 1);

	assert_non_null(bytes);
	memset(header, ' ', sizeof header);
	memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
	int n = sprintf(header + 10,
			"{'descr': '<u2', 'fortran_order': False, 'shape': (%u, %d, %d), }",
			claimed, KIT_NY, KIT_NX);
	header[10 + n] = ' ';
	header[sizeof header - 1] = '\n';
	memcpy(bytes, header, sizeof header);
	for (unsigned i = 0; i < held; i++)
		for (unsigned p = 0; p < KIT_PIXELS; p++) {
			uint16_t v = kit_pixel(seed, i, p);

			memcpy(bytes + sizeof header + 2 * ((size_t)i * KIT_PIXELS + p), &v, 2);
		}
	testkit_write(path, bytes, size);
	free(bytes);
}

static inline void kit_npy(const char *path, unsigned seed, unsigned count)
{
	kit_npy_lying(path, seed, count, count);
}

static inline struct pn_source *kit_open(const char *uri)
{
	struct pn_source *source;
	struct pn_error err = { 0 };

	if (pn_source_open(&source, uri, &err))
		fail_msg("%s: %s", uri, err.text);
	return source;
}

static inline struct pn_source *kit_openf(const char *format, const char *path)
{
	char uri[1024];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
	snprintf(uri, sizeof uri, format, path);
#pragma GCC diagnostic pop
	return kit_open(uri);
}

static inline void kit_refuse(const char *uri, int code, const char *word)
{
	struct pn_source *source = (void *)&code;
	struct pn_error err = { 0 };
	int rc = pn_source_open(&source, uri, &err);

	if (rc != code || !strstr(err.text, word))
		fail_msg("%s: %s '%s', wanted %s with '%s'", uri, pn_status_name(rc), err.text,
			 pn_status_name(code), word);
	assert_int_equal(err.code, code);
	assert_null(source);
}

/* The next message is frame @frame = message @frame, image @image of @seed. */
static inline void kit_expect_frame(struct pn_source *source, uint64_t frame, unsigned seed,
				    uint64_t image, struct pn_frames_head *head_out)
{
	static struct pn_frames_head head;
	struct pn_error err = { 0 };
	struct pn_msg msg;
	int rc = pn_source_next(source, 1000, &msg, &err);

	if (rc)
		fail_msg("frame %d: %s %s", (int)frame, pn_status_name(rc), err.text);
	assert_int_equal(msg.port, PN_PORT_FRAMES);
	assert_int_equal(msg.seq, frame);
	assert_int_equal((uintptr_t)msg.payload % 64, 0);
	if (pn_msg_decode(&pn_frames_schema, &msg, &head, &err))
		fail_msg("frame %d: %s", (int)frame, err.text);
	assert_int_equal(head.frame, frame);
	assert_int_equal(head.count, 1);
	assert_int_equal(head.offset_count, 1);
	assert_int_equal(head.offset_ns[0], 0);
	assert_int_equal(head.dtype, PN_U16);
	assert_int_equal(head.ny, KIT_NY);
	assert_int_equal(head.nx, KIT_NX);
	for (unsigned p = 0; p < KIT_PIXELS; p++)
		assert_int_equal(((const uint16_t *)msg.payload)[p], kit_pixel(seed, image, p));
	if (head_out)
		*head_out = head;
}

static inline void kit_expect(struct pn_source *source, int code, const char *word)
{
	struct pn_error err = { 0 };
	struct pn_msg msg;
	int rc = pn_source_next(source, 1000, &msg, &err);

	if (rc != code || !strstr(err.text, word))
		fail_msg("%s '%s', wanted %s with '%s'", pn_status_name(rc), err.text,
			 pn_status_name(code), word);
}

static inline void kit_seek(struct pn_source *source, uint64_t seq)
{
	struct pn_error err = { 0 };

	if (pn_source_seek(source, seq, &err))
		fail_msg("seek %d: %s", (int)seq, err.text);
}

#endif
