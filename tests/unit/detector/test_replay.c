/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A replay must give what was recorded, byte by byte and in an order that never changes. */
#include "kit.h"

#include "perrin/stream/log.h"

#include <sys/stat.h>

static struct pn_log_writer *log_open(const char *dir)
{
	struct pn_log_config config = { .dir = dir,
					.durability = PN_DURABLE_CLOSE,
					.engine = PN_ENGINE_PLAIN,
					.align = 64,
					.chunk_bytes = 1 << 16,
					.chunk_count = 2 };
	struct pn_log_recovery recovery;
	struct pn_log_writer *writer;
	struct pn_error err = { 0 };

	if (pn_log_open(&writer, &config, &recovery, &err))
		fail_msg("%s", err.text);
	return writer;
}

static void log_close(struct pn_log_writer *writer)
{
	struct pn_error err = { 0 };

	if (pn_log_finish(writer, 1, &err))
		fail_msg("%s", err.text);
}

static void append(struct pn_log_writer *writer, const struct pn_schema *schema, const void *head,
		   int64_t time_ns, const void *payload, uint64_t bytes)
{
	uint8_t buf[PN_HEAD_BYTES_MAX];
	struct pn_error err = { 0 };
	size_t head_bytes;

	if (pn_head_encode(schema, head, buf, sizeof buf, &head_bytes, &err))
		fail_msg("%s", err.text);
	struct pn_msg msg = { .time_ns = time_ns,
			      .head = buf,
			      .head_bytes = (uint32_t)head_bytes,
			      .payload = payload,
			      .payload_bytes = bytes };

	if (pn_log_append(writer, &msg, &err))
		fail_msg("%s", err.text);
}

/* Frames first .. first+count-1 as one record; frame n is taken at 100 n + n^2 ns. */
static int64_t time_of(uint64_t frame)
{
	return (int64_t)(100 * frame + frame * frame);
}

static void frames(struct pn_log_writer *writer, uint64_t first, uint64_t count)
{
	static struct pn_frames_head head;
	uint16_t *pixels = aligned_alloc(64, (count * KIT_PIXELS * 2 + 63) / 64 * 64);

	assert_non_null(pixels);
	memset(&head, 0, sizeof head);
	head.frame = first;
	head.count = count;
	head.dtype = PN_U16;
	head.ny = KIT_NY;
	head.nx = KIT_NX;
	head.pixel_pm = 35.8;
	head.dose_e_per_A2 = (double)NAN;
	head.energy_keV = 300;
	head.tilt_deg = -12.5;
	head.offset_count = count;
	for (uint64_t i = 0; i < count; i++) {
		head.offset_ns[i] = time_of(first + i) - time_of(first);
		for (unsigned p = 0; p < KIT_PIXELS; p++)
			pixels[i * KIT_PIXELS + p] = kit_pixel(1, first + i, p);
	}
	append(writer, &pn_frames_schema, &head, time_of(first), pixels, count * KIT_PIXELS * 2);
	free(pixels);
}

static void truth(struct pn_log_writer *writer, uint64_t frame, uint64_t particle)
{
	struct pn_truth_head head = { .frame = frame,
				      .particle = particle,
				      .quaternion = { 1, 0, 0, 0 },
				      .quaternion_count = 4,
				      .center_count = 3,
				      .atoms = 2,
				      .diameter_nm = 2,
				      .lattice_A = 3.92,
				      .zone_count = 3,
				      .tilt_deg = (double)NAN };

	append(writer, &pn_truth_schema, &head, time_of(frame), NULL, 0);
}

static void specimen(struct pn_log_writer *writer, uint64_t frame, uint64_t version)
{
	struct pn_specimen_head head = { .version = version, .atoms = 1, .lattice_A = 3.92 };
	const double atom[4] = { 1, 2, 3, 78 };

	append(writer, &pn_specimen_schema, &head, time_of(frame), atom, sizeof atom);
}

static const char *stream_dir(const char *session, const char *name)
{
	const char *dir = testkit_path(session, name);

	mkdir(session, 0777);
	mkdir(dir, 0777);
	return dir;
}

/* The records of a stream as they are, to compare with. */
static void expect_record(struct pn_source *source, struct pn_log_reader *reader, unsigned port,
			  uint64_t seq)
{
	struct pn_error err = { 0 };
	struct pn_msg msg, want;

	if (pn_log_read(reader, &want, &err) || pn_source_next(source, 5, &msg, &err))
		fail_msg("message %d: %s", (int)seq, err.text);
	assert_int_equal(msg.seq, seq);
	assert_int_equal(msg.port, port);
	assert_int_equal(msg.time_ns, want.time_ns);
	assert_int_equal(msg.arrival_ns, 5);
	assert_int_equal(msg.head_bytes, want.head_bytes);
	assert_int_equal(msg.payload_bytes, want.payload_bytes);
	assert_memory_equal(msg.head, want.head, want.head_bytes);
	if (want.payload_bytes)
		assert_memory_equal(msg.payload, want.payload, want.payload_bytes);
}

static struct pn_log_reader *reader_of(const char *session, const char *name)
{
	struct pn_log_reader *reader;
	struct pn_error err = { 0 };

	if (pn_log_read_open(&reader, testkit_path(session, name), NULL, 0, 0, &err))
		fail_msg("%s", err.text);
	return reader;
}

/* 6 frames, 2 particles, the specimen changes at frames 0 and 3: made once, single frames */
static const char *session_of_singles(void)
{
	const char *session = testkit_path(testkit_tempdir(), "session");
	struct pn_log_writer *f = log_open(stream_dir(session, "frames"));
	struct pn_log_writer *t = log_open(stream_dir(session, "truth"));
	struct pn_log_writer *s = log_open(stream_dir(session, "specimen"));

	for (uint64_t i = 0; i < 6; i++) {
		if (i % 3 == 0)
			specimen(s, i, i);
		truth(t, i, 0);
		truth(t, i, 1);
		frames(f, i, 1);
	}
	log_close(f);
	log_close(t);
	log_close(s);
	return session;
}

static void test_session_in_order(void **state)
{
	const char *session = session_of_singles();
	struct pn_source *source = kit_openf("replay:%s", session);
	struct pn_log_reader *f = reader_of(session, "frames"), *t = reader_of(session, "truth");
	struct pn_log_reader *s = reader_of(session, "specimen");
	uint64_t seq = 0;

	(void)state;
	for (unsigned i = 0; i < 6; i++) {
		if (i % 3 == 0)
			expect_record(source, s, PN_PORT_SPECIMEN, seq++);
		expect_record(source, t, PN_PORT_TRUTH, seq++);
		expect_record(source, t, PN_PORT_TRUTH, seq++);
		expect_record(source, f, PN_PORT_FRAMES, seq++);
	}
	kit_expect(source, PN_EEND, "");
	pn_source_close(source);
	pn_log_read_close(f);
	pn_log_read_close(t);
	pn_log_read_close(s);
}

static void test_one_stream_and_seek(void **state)
{
	const char *session = session_of_singles();
	struct pn_source *source = kit_openf("replay:%s/frames", session);
	struct pn_error err = { 0 };
	struct pn_msg msg;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		kit_expect_frame(source, i, 1, i, NULL);
	kit_expect(source, PN_EEND, "");
	kit_seek(source, 2);
	kit_expect_frame(source, 2, 1, 2, NULL);
	assert_int_equal(pn_source_seek(source, 7, &err), PN_EARG);
	assert_non_null(strstr(err.text, "gives 6"));
	kit_expect_frame(source, 3, 1, 3, NULL);
	kit_seek(source, 6);
	kit_expect(source, PN_EEND, "");
	pn_source_close(source);

	source = kit_openf("replay:%s/truth", session);
	assert_int_equal(pn_source_next(source, 0, &msg, &err), PN_OK);
	assert_int_equal(msg.port, PN_PORT_TRUTH);
	pn_source_close(source);
	source = kit_openf("replay:%s/specimen", session);
	assert_int_equal(pn_source_next(source, 0, &msg, &err), PN_OK);
	assert_int_equal(msg.port, PN_PORT_SPECIMEN);
	pn_source_close(source);

	/* messages of the whole session by number: 10 is the specimen's second version */
	source = kit_openf("replay:%s", session);
	for (int round = 0; round < 2; round++) {
		kit_seek(source, 10);
		assert_int_equal(pn_source_next(source, 0, &msg, &err), PN_OK);
		assert_int_equal(msg.port, PN_PORT_SPECIMEN);
		assert_int_equal(msg.seq, 10);
		assert_int_equal(msg.time_ns, time_of(3));
		kit_seek(source, 0);
	}
	pn_source_close(source);
}

/* Batches of 1, 4 and 3 come out as frames that say the same as if recorded alone; pixels of odd
 * sizes still lie at multiples of 64. */
static void test_batches_are_split(void **state)
{
	const char *session = testkit_path(testkit_tempdir(), "batches"), *alone;
	struct pn_log_writer *f = log_open(stream_dir(session, "frames"));
	struct pn_log_writer *t = log_open(stream_dir(session, "truth"));
	struct pn_log_reader *singles, *truths;
	uint64_t seq = 0;

	(void)state;
	frames(f, 0, 1);
	frames(f, 1, 4);
	frames(f, 5, 3);
	log_close(f);
	for (unsigned i = 0; i < 8; i++)
		truth(t, i, 0);
	log_close(t);
	alone = testkit_path(testkit_tempdir(), "alone");
	f = log_open(stream_dir(alone, "frames"));
	for (unsigned i = 0; i < 8; i++)
		frames(f, i, 1);
	log_close(f);

	struct pn_source *source = kit_openf("replay:%s", session);

	singles = reader_of(alone, "frames");
	truths = reader_of(session, "truth");
	for (unsigned i = 0; i < 8; i++) {
		expect_record(source, truths, PN_PORT_TRUTH, seq++);
		expect_record(source, singles, PN_PORT_FRAMES, seq++);
	}
	kit_expect(source, PN_EEND, "");
	kit_seek(source, 7);
	pn_log_read_seek(singles, 3);
	pn_log_read_seek(truths, 4);
	expect_record(source, singles, PN_PORT_FRAMES, 7);
	expect_record(source, truths, PN_PORT_TRUTH, 8);
	pn_source_close(source);
	pn_log_read_close(singles);
	pn_log_read_close(truths);

	source = kit_openf("replay:%s/frames", session);
	for (unsigned i = 0; i < 8; i++)
		kit_expect_frame(source, i, 1, i, NULL);
	pn_source_close(source);

	source = kit_openf("replay:%s/frames?split=0", session);
	singles = reader_of(session, "frames");
	for (unsigned i = 0; i < 3; i++)
		expect_record(source, singles, PN_PORT_FRAMES, i);
	kit_expect(source, PN_EEND, "");
	pn_source_close(source);
	pn_log_read_close(singles);
}

static void test_bad_record_is_one_message(void **state)
{
	const char *session = testkit_path(testkit_tempdir(), "bad");
	struct pn_log_writer *f = log_open(stream_dir(session, "frames"));
	struct pn_msg junk = { .time_ns = time_of(1), .head = "junk", .head_bytes = 4 };
	struct pn_error err = { 0 };

	(void)state;
	frames(f, 0, 1);
	assert_int_equal(pn_log_append(f, &junk, &err), PN_OK);
	frames(f, 2, 1);
	log_close(f);
	struct pn_source *source = kit_openf("replay:%s", session);

	kit_expect_frame(source, 0, 1, 0, NULL);
	kit_expect(source, PN_EFRAME, "record 1");
	kit_expect_frame(source, 2, 1, 2, NULL);
	kit_expect(source, PN_EEND, "");
	pn_source_close(source);
}

static void test_what_is_no_recording(void **state)
{
	const char *dir = testkit_tempdir();
	char uri[512];

	(void)state;
	snprintf(uri, sizeof uri, "replay:%s/none", dir);
	kit_refuse(uri, PN_ENOENT, "none");
	snprintf(uri, sizeof uri, "replay:%s", dir);
	kit_refuse(uri, PN_ENOENT, "neither");
	struct pn_log_writer *writer = log_open(stream_dir(dir, "crystal"));
	struct pn_crystal_head head = { .spacing_pm = (double)NAN,
					.diameter_nm = (double)NAN,
					.gx_per_A = (double)NAN,
					.gy_per_A = (double)NAN,
					.width_px = (double)NAN,
					.lattice_x_px = (double)NAN,
					.lattice_y_px = (double)NAN };

	append(writer, &pn_crystal_schema, &head, 0, NULL, 0);
	log_close(writer);
	snprintf(uri, sizeof uri, "replay:%s/crystal", dir);
	kit_refuse(uri, PN_EUNSUPPORTED, "crystal");
	writer = log_open(stream_dir(dir, "empty"));
	log_close(writer);
	struct pn_source *source = kit_openf("replay:%s/empty", dir);

	kit_expect(source, PN_EEND, "");
	pn_source_close(source);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_session_in_order),
		cmocka_unit_test(test_one_stream_and_seek),
		cmocka_unit_test(test_batches_are_split),
		cmocka_unit_test(test_bad_record_is_one_message),
		cmocka_unit_test(test_what_is_no_recording),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
