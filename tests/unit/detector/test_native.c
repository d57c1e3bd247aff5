/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Between a camera and the disk no frame may be lost or taken twice, whoever dies in between. */
#include "kit.h"

#include "perrin/detector/sender.h"
#include "perrin/link/socket.h"

#include <msgpack.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROUNDS  20000        /* of waiting for each other before a test is given up */
#define PAUSE   PN_NS_PER_MS /* and how long a round may wait                       */
#define RETRY   (30 * PN_NS_PER_MS)
#define FOREVER (60 * PN_NS_PER_S)

static const char *endpoint(void)
{
	static char text[256];

	snprintf(text, sizeof text, "ipc://%s", testkit_path(testkit_tempdir(), "camera"));
	return text;
}

static struct pn_sender *sender_open(const char *where, uint64_t window)
{
	struct pn_sender_config config = {
		.endpoint = where, .name = "camera", .window = window, .retry_ns = RETRY
	};
	struct pn_sender *sender;
	struct pn_error err = { 0 };

	if (pn_sender_open(&sender, &config, &err))
		fail_msg("%s", err.text);
	return sender;
}

static struct pn_source *source_open(const char *where, const char *query)
{
	char uri[512];

	snprintf(uri, sizeof uri, "native:%s%s", where, query);
	return kit_open(uri);
}

static const uint16_t *pixels_of(uint64_t frame)
{
	static uint16_t pixels[KIT_PIXELS];

	for (unsigned p = 0; p < KIT_PIXELS; p++)
		pixels[p] = kit_pixel(1, frame, p);
	return pixels;
}

static struct pn_sender_frame frame_of(uint64_t frame)
{
	return (struct pn_sender_frame){ .frame = frame,
					 .time_ns = (int64_t)frame * 2500000 - 7,
					 .dtype = PN_U16,
					 .ny = KIT_NY,
					 .nx = KIT_NX,
					 .pixel_pm = 35.8,
					 .dose_e_per_A2 = (double)NAN,
					 .energy_keV = 300,
					 .tilt_deg = (double)NAN,
					 .pixels = pixels_of(frame) };
}

static int try_send(struct pn_sender *sender, uint64_t frame)
{
	struct pn_sender_frame f = frame_of(frame);
	struct pn_error err = { 0 };
	int rc = pn_sender_send(sender, &f, 0, &err);

	if (rc && rc != PN_EAGAIN)
		fail_msg("frame %d: %s", (int)frame, err.text);
	return rc;
}

/* What the producer still has to give: it gives it while a test waits. */
static struct {
	uint64_t next, end;
} feed;

static void pump(struct pn_sender *sender)
{
	struct pn_error err = { 0 };

	while (feed.next < feed.end && try_send(sender, feed.next) == PN_OK)
		feed.next++;
	if (pn_sender_pump(sender, 0, &err))
		fail_msg("%s", err.text);
}

/* The source's next word, with both sides at work; gives up when nothing comes for very long. */
static int await(struct pn_source *source, struct pn_sender *sender, struct pn_msg *msg,
		 struct pn_error *err)
{
	for (int i = 0; i < ROUNDS; i++) {
		int rc = pn_source_next(source, 0, msg, err);

		if (rc != PN_EAGAIN)
			return rc;
		if (sender)
			pump(sender);
		pn_source_wait(source, 0, PAUSE);
	}
	return PN_EAGAIN;
}

static void expect_given(struct pn_source *source, struct pn_sender *sender, uint64_t frame)
{
	static struct pn_frames_head head;
	struct pn_error err = { 0 };
	struct pn_msg msg;
	int rc = await(source, sender, &msg, &err);

	if (rc || pn_msg_decode(&pn_frames_schema, &msg, &head, &err))
		fail_msg("frame %d: %s %s", (int)frame, pn_status_name(rc), err.text);
	assert_int_equal(msg.seq, frame);
	assert_int_equal(head.frame, frame);
	assert_int_equal(msg.time_ns, (int64_t)frame * 2500000 - 7);
	assert_int_equal(head.dtype, PN_U16);
	assert_int_equal(head.ny, KIT_NY);
	assert_int_equal(head.nx, KIT_NX);
	assert_true(head.pixel_pm == 35.8 && head.energy_keV == 300);
	assert_true(isnan(head.dose_e_per_A2) && isnan(head.tilt_deg));
	assert_memory_equal(msg.payload, pixels_of(frame), KIT_PIXELS * 2);
	assert_int_equal((uintptr_t)msg.payload % 64, 0);
}

static void expect_bad(struct pn_source *source, struct pn_sender *sender, const char *word)
{
	struct pn_error err = { 0 };
	struct pn_msg msg;
	int rc = await(source, sender, &msg, &err);

	if (rc != PN_EFRAME || !strstr(err.text, word))
		fail_msg("%s '%s', wanted '%s'", pn_status_name(rc), err.text, word);
}

static void expect_end(struct pn_source *source, struct pn_sender *sender)
{
	struct pn_error err = { 0 };
	struct pn_msg msg;

	assert_int_equal(await(source, sender, &msg, &err), PN_EEND);
}

static void ack(struct pn_source *source, uint64_t seq)
{
	struct pn_error err = { 0 };

	if (pn_source_ack(source, seq, &err))
		fail_msg("%s", err.text);
}

static struct pn_sender_stats stats_of(struct pn_sender *sender)
{
	struct pn_sender_stats stats;

	pn_sender_stats(sender, &stats);
	return stats;
}

/* Finish, with the source at work at the same time. */
static void finish(struct pn_source *source, struct pn_sender *sender, uint64_t frames)
{
	struct pn_error err = { 0 };
	struct pn_msg msg;
	int rc = PN_ETIMEOUT;

	for (int i = 0; i < ROUNDS && rc == PN_ETIMEOUT; i++) {
		struct pn_error none;

		rc = pn_sender_finish(sender, frames, 0, &err);
		int next = pn_source_next(source, 0, &msg, &none);
		assert_true(next != PN_OK);
		if (next == PN_EEND) /* as a host does when it will know of the end for good */
			ack(source, frames);
		pn_source_wait(source, 0, PAUSE);
	}
	if (rc)
		fail_msg("%s", err.text);
}

/* Both ends in one thread: each frame once, never more on the way than the window. */
static void test_all_arrive(void **state)
{
	const char *where = endpoint();
	struct pn_sender *sender = sender_open(where, 0); /* before the source is there */
	struct pn_source *source = source_open(where, "?window=5");
	uint64_t given = 0, sent = 0;

	(void)state;
	for (int i = 0; i < ROUNDS && given < 100; i++) {
		struct pn_error err = { 0 };
		struct pn_msg msg;

		while (sent < 100 && try_send(sender, sent) == PN_OK)
			sent++;
		if (pn_source_next(source, 0, &msg, &err) == PN_EAGAIN) {
			pn_source_wait(source, 0, PAUSE);
			continue;
		}
		assert_int_equal(msg.seq, given++);
		assert_memory_equal(msg.payload, pixels_of(msg.seq), KIT_PIXELS * 2);
		if (given % 3 == 0)
			ack(source, given);
		assert_true(stats_of(sender).kept <= 16);
	}
	assert_int_equal(given, 100);
	ack(source, 100);
	finish(source, sender, 100);
	expect_end(source, sender);
	assert_int_equal(stats_of(sender).sent, 100);
	assert_int_equal(stats_of(sender).refused, 0);
	assert_int_equal(stats_of(sender).acked, 100);
	assert_int_equal(stats_of(sender).kept, 0);
	pn_sender_close(sender);
	pn_source_close(source);
}

/* Without acknowledgement the producer stops at the window, and goes on with it. */
static void test_window(void **state)
{
	const char *where = endpoint();
	struct pn_source *source = source_open(where, "?window=4");
	struct pn_sender *sender = sender_open(where, 0);
	struct pn_error err = { 0 };
	struct pn_msg msg;
	uint64_t next = 99;

	(void)state;
	for (int i = 0; i < ROUNDS && next == 99; i++) {
		assert_int_equal(pn_source_next(source, 0, &msg, &err), PN_EAGAIN);
		if (pn_sender_ready(sender, 0, &next, &err) != PN_OK)
			pn_source_wait(source, 0, PAUSE);
	}
	assert_int_equal(next, 0);
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(try_send(sender, i), PN_OK);
	for (unsigned i = 0; i < 4; i++)
		expect_given(source, sender, i);
	assert_int_equal(try_send(sender, 4), PN_EAGAIN);
	ack(source, 2);
	assert_int_equal(pn_source_ack(source, 5, &err), PN_EARG);
	for (int i = 0; i < ROUNDS && try_send(sender, 4) != PN_OK; i++)
		pn_source_wait(source, 0, PAUSE);
	expect_given(source, sender, 4);
	assert_int_equal(stats_of(sender).acked, 2);
	assert_int_equal(stats_of(sender).kept, 3);
	pn_sender_close(sender);
	pn_source_close(source);
}

/* A producer that dies comes back from its beginning and is told where to go on. */
static void test_producer_restarts(void **state)
{
	const char *where = endpoint();
	struct pn_source *source = source_open(where, "?window=8");
	struct pn_sender *sender = sender_open(where, 0);
	uint64_t given;

	(void)state;
	for (unsigned i = 0; i < 6; i++)
		assert_int_equal(try_send(sender, i), PN_OK);
	for (given = 0; given < 4; given++)
		expect_given(source, sender, given);
	pn_sender_close(sender);
	sender = sender_open(where, 0);
	feed.next = 0;
	for (feed.end = 20; given < 20; given++) {
		expect_given(source, sender, given);
		ack(source, given + 1);
	}
	finish(source, sender, 20);
	expect_end(source, sender);
	pn_sender_close(sender);
	pn_source_close(source);
}

/* A source that dies with frames that were not on disk asks for them again. */
static void test_source_restarts(void **state)
{
	const char *where = endpoint();
	struct pn_source *source = source_open(where, "");
	struct pn_sender *sender = sender_open(where, 0);
	struct pn_error err = { 0 };
	uint64_t given;

	(void)state;
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(try_send(sender, i), PN_OK);
	for (given = 0; given < 8; given++)
		expect_given(source, sender, given);
	ack(source, 5);
	for (int i = 0; i < ROUNDS && stats_of(sender).acked < 5; i++)
		pump(sender);
	assert_int_equal(pn_source_seek(source, 5, &err), PN_EUNSUPPORTED);
	kit_seek(source, 8);
	pn_source_close(source);

	source = source_open(where, "");
	kit_seek(source, 5);
	feed.next = 10;
	feed.end = 30;
	for (given = 5; given < 30; given++)
		expect_given(source, sender, given);
	ack(source, 30);
	finish(source, sender, 30);
	expect_end(source, sender);
	assert_int_equal(stats_of(sender).sent, 30);
	assert_true(stats_of(sender).resent >= 3);
	pn_sender_close(sender);
	pn_source_close(source);
}

/* What was acknowledged cannot come again, and the producer must say so rather than skip it. */
static void test_source_that_forgot(void **state)
{
	const char *where = endpoint();
	struct pn_source *source = source_open(where, "");
	struct pn_sender *sender = sender_open(where, 0);
	struct pn_error err = { 0 };
	struct pn_msg msg;
	int rc = PN_OK;

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(try_send(sender, i), PN_OK);
	for (unsigned i = 0; i < 4; i++)
		expect_given(source, sender, i);
	ack(source, 3);
	for (int i = 0; i < ROUNDS && stats_of(sender).acked < 3; i++)
		pump(sender);
	pn_source_close(source);
	source = source_open(where, "");
	for (int i = 0; i < ROUNDS && !rc; i++) {
		assert_int_equal(pn_source_next(source, 0, &msg, &err), PN_EAGAIN);
		pn_source_wait(source, 0, PAUSE);
		rc = pn_sender_pump(sender, 0, &err);
	}
	assert_int_equal(rc, PN_EIO);
	assert_non_null(strstr(err.text, "wants frame 0; those below 3"));
	assert_int_equal(pn_sender_pump(sender, 0, &err), PN_EIO);
	pn_sender_close(sender);
	pn_source_close(source);
}

static void test_gap(void **state)
{
	const char *where = endpoint();
	struct pn_source *source = source_open(where, "");
	struct pn_sender *sender = sender_open(where, 0);

	(void)state;
	assert_int_equal(try_send(sender, 0), PN_OK);
	assert_int_equal(try_send(sender, 3), PN_OK);
	expect_given(source, sender, 0);
	expect_bad(source, sender, "frame 1 never came (missing: 1..2)");
	expect_bad(source, sender, "frame 2 never came (missing: 1..2)");
	expect_given(source, sender, 3);
	ack(source, 4);
	/* missing at the end */
	struct pn_error err = { 0 };

	assert_int_equal(pn_sender_finish(sender, 6, 0, &err), PN_ETIMEOUT);
	expect_bad(source, sender, "frame 4 never came (missing: 4..5)");
	expect_bad(source, sender, "frame 5 never came");
	expect_end(source, sender);
	ack(source, 6);
	finish(source, sender, 6);
	pn_sender_close(sender);
	pn_source_close(source);
}

static void test_frame_of_another_shape(void **state)
{
	const char *where = endpoint();
	struct pn_source *source = source_open(where, "");
	struct pn_sender *sender = sender_open(where, 0);
	struct pn_sender_frame odd = frame_of(1);
	struct pn_error err = { 0 };
	struct pn_msg msg;

	(void)state;
	assert_int_equal(try_send(sender, 0), PN_OK);
	odd.nx--;
	assert_int_equal(pn_sender_send(sender, &odd, 0, &err), PN_OK);
	odd = frame_of(2);
	odd.dtype = PN_I16;
	assert_int_equal(pn_sender_send(sender, &odd, 0, &err), PN_OK);
	assert_int_equal(try_send(sender, 3), PN_OK);
	expect_given(source, sender, 0);
	/* which shape is the right one is not for the source to say: it may have been restarted */
	assert_int_equal(await(source, sender, &msg, &err), PN_OK);
	assert_int_equal(msg.payload_bytes, KIT_NY * (KIT_NX - 1) * 2);
	assert_int_equal(await(source, sender, &msg, &err), PN_OK);
	expect_given(source, sender, 3);
	ack(source, 4);
	finish(source, sender, 4);
	assert_int_equal(stats_of(sender).refused, 0);
	pn_sender_close(sender);
	pn_source_close(source);
}

static void test_sender_refuses_nonsense(void **state)
{
	const char *where = endpoint();
	struct pn_sender *sender = sender_open(where, 3);
	struct pn_sender_config config = { .endpoint = "ipc:///x" };
	struct pn_sender *none;
	struct pn_error err = { 0 };
	char name[65];

	(void)state;
	memset(name, 'x', 64);
	name[64] = 0;
	config.name = name;
	assert_int_equal(pn_sender_open(&none, &config, &err), PN_EARG);
	assert_null(none);
	config.name = "x";
	config.endpoint = "carrier pigeon";
	assert_int_not_equal(pn_sender_open(&none, &config, &err), PN_OK);
	assert_int_equal(pn_sender_ready(sender, 0, NULL, &err), PN_ETIMEOUT);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(try_send(sender, i), PN_OK);
	assert_int_equal(try_send(sender, 3), PN_EAGAIN);
	struct pn_sender_frame f = frame_of(2);

	assert_int_equal(pn_sender_send(sender, &f, 0, &err), PN_EARG);
	assert_int_equal(pn_sender_finish(sender, 2, 0, &err), PN_EARG);
	assert_int_equal(pn_sender_finish(sender, 3, 0, &err), PN_ETIMEOUT);
	f = frame_of(3);
	assert_int_equal(pn_sender_send(sender, &f, 0, &err), PN_EARG);
	pn_sender_close(sender);
	pn_sender_close(NULL);
	sender = sender_open(where, 3);
	f = frame_of(0);
	f.dtype = PN_DTYPE_NONE;
	assert_int_equal(pn_sender_send(sender, &f, 0, &err), PN_EARG);
	f = frame_of(0);
	f.ny = 0;
	assert_int_equal(pn_sender_send(sender, &f, 0, &err), PN_EARG);
	pn_sender_close(sender);
}

/* Frames of one source are sent on as messages. */
static void test_messages(void **state)
{
	const char *where = endpoint(), *path = testkit_path(testkit_tempdir(), "a.npy");
	struct pn_source *source = source_open(where, "");
	struct pn_sender *sender = sender_open(where, 0);
	struct pn_error err = { 0 };
	struct pn_msg msg;

	(void)state;
	kit_npy(path, 1, 3);
	struct pn_source *file = kit_openf("file:%s?pixel_pm=20&fps=1000", path);

	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(pn_source_next(file, 0, &msg, &err), PN_OK);
		assert_int_equal(pn_sender_message(sender, &msg, 0, &err), PN_OK);
	}
	msg.head_bytes--;
	assert_int_equal(pn_sender_message(sender, &msg, 0, &err), PN_EFRAME);
	kit_seek(file, 0);
	for (unsigned i = 0; i < 3; i++) {
		struct pn_msg want;

		assert_int_equal(pn_source_next(file, 0, &want, &err), PN_OK);
		assert_int_equal(await(source, sender, &msg, &err), PN_OK);
		assert_int_equal(msg.time_ns, want.time_ns);
		assert_int_equal(msg.head_bytes, want.head_bytes);
		assert_memory_equal(msg.head, want.head, want.head_bytes);
		assert_int_equal(msg.payload_bytes, want.payload_bytes);
		assert_memory_equal(msg.payload, want.payload, want.payload_bytes);
	}
	pn_source_close(file);
	pn_sender_close(sender);
	pn_source_close(source);
}

/* The end alone is not enough: the last frame must be on stable storage, too. */
static void test_finish_waits_for_the_disk(void **state)
{
	const char *where = endpoint();
	struct pn_source *source = source_open(where, "");
	struct pn_sender *sender = sender_open(where, 0);
	struct pn_error err = { 0 };
	struct pn_msg msg;
	int rc = PN_EAGAIN;

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(try_send(sender, i), PN_OK);
	for (unsigned i = 0; i < 3; i++)
		expect_given(source, sender, i);
	for (int i = 0; i < ROUNDS && rc != PN_EEND; i++) {
		assert_int_equal(pn_sender_finish(sender, 3, 0, &err), PN_ETIMEOUT);
		rc = pn_source_next(source, 0, &msg, &err);
		pn_source_wait(source, 0, PAUSE);
	}
	/* this answer comes after that to the end */
	ack(source, 2);
	for (int i = 0; i < ROUNDS && stats_of(sender).acked < 2; i++)
		pump(sender);
	assert_int_equal(pn_sender_finish(sender, 3, 0, &err), PN_ETIMEOUT);
	assert_non_null(strstr(err.text, "2 of 3 frames acknowledged, end not answered"));
	ack(source, 3);
	finish(source, sender, 3);
	pn_sender_close(sender);
	pn_source_close(source);
}

/* ---- somebody else's producer, by hand ----------------------------------------------------- */

struct hand {
	struct pn_socket *socket;
	msgpack_sbuffer buffer;
	msgpack_packer packer;
};

static void hand_open(struct hand *hand, const char *where)
{
	struct pn_error err = { 0 };

	if (pn_socket_open(&hand->socket, PN_SOCKET_DEALER, where, 0, 100, &err))
		fail_msg("%s", err.text);
	msgpack_sbuffer_init(&hand->buffer);
	msgpack_packer_init(&hand->packer, &hand->buffer, msgpack_sbuffer_write);
}

static void hand_close(struct hand *hand)
{
	pn_socket_close(hand->socket);
	msgpack_sbuffer_destroy(&hand->buffer);
}

static void text(struct hand *hand, const char *word)
{
	msgpack_pack_str_with_body(&hand->packer, word, strlen(word));
}

static void begin(struct hand *hand, unsigned keys, const char *type)
{
	msgpack_sbuffer_clear(&hand->buffer);
	msgpack_pack_map(&hand->packer, keys + 2);
	text(hand, "type");
	text(hand, type);
	text(hand, "v");
	msgpack_pack_int(&hand->packer, 1);
}

static void number(struct hand *hand, const char *key, uint64_t value)
{
	text(hand, key);
	msgpack_pack_uint64(&hand->packer, value);
}

/* The head that was built, and @bytes of pixels if @pixels. */
static void hand_send(struct hand *hand, const void *pixels, size_t bytes)
{
	struct pn_part parts[2] = { { hand->buffer.data, hand->buffer.size }, { pixels, bytes } };
	struct pn_error err = { 0 };

	if (pn_socket_send(hand->socket, parts, pixels ? 2 : 1, &err))
		fail_msg("%s", err.text);
}

static void hand_hello(struct hand *hand, uint64_t id, const char *name)
{
	begin(hand, 4, "hello");
	number(hand, "id", id);
	text(hand, "name");
	text(hand, name);
	number(hand, "frames", 0);
	number(hand, "first", 0);
	hand_send(hand, NULL, 0);
}

static void build_frame(struct hand *hand, uint64_t frame, uint64_t ny, uint64_t nx)
{
	static const char *const unknown[] = { "pixel_pm", "dose_e_per_A2", "energy_keV",
					       "tilt_deg" };

	begin(hand, 8, "frame");
	number(hand, "frame", frame);
	number(hand, "time_ns", frame);
	text(hand, "dtype");
	text(hand, "u2");
	text(hand, "shape");
	msgpack_pack_array(&hand->packer, 2);
	msgpack_pack_uint64(&hand->packer, ny);
	msgpack_pack_uint64(&hand->packer, nx);
	for (size_t i = 0; i < PN_COUNT(unknown); i++) {
		text(hand, unknown[i]);
		msgpack_pack_nil(&hand->packer);
	}
}

static void hand_frame(struct hand *hand, uint64_t frame)
{
	build_frame(hand, frame, KIT_NY, KIT_NX);
	hand_send(hand, pixels_of(frame), KIT_PIXELS * 2);
}

static int contains(const struct pn_part *part, const char *word)
{
	return memmem(part->data, part->bytes, word, strlen(word)) != NULL;
}

/* The next answer of a type has the word @word in it; the source works meanwhile and gives nothing.
 */
static void hand_expect(struct hand *hand, struct pn_source *source, const char *type,
			const char *word)
{
	struct pn_part parts[PN_PARTS_MAX];
	struct pn_error err = { 0 };
	struct pn_msg msg;
	unsigned count;

	for (int i = 0; i < ROUNDS; i++) {
		assert_int_equal(pn_source_next(source, 0, &msg, &err), PN_EAGAIN);
		if (pn_socket_receive(hand->socket, PAUSE, parts, &count, &err) != PN_OK)
			continue;
		assert_int_equal(count, 1);
		if (contains(&parts[0], "\xa3"
					"ack") &&
		    !strstr(type, "ack"))
			continue;
		if (!contains(&parts[0], type) || !contains(&parts[0], word))
			fail_msg("%.*s, wanted %s %s", (int)parts[0].bytes,
				 (const char *)parts[0].data, type, word);
		return;
	}
	fail_msg("no %s came", type);
}

static void test_malformed_messages(void **state)
{
	const char *where = endpoint();
	struct pn_source *source = source_open(where, "");
	struct hand hand;
	struct pn_error err = { 0 };

	(void)state;
	hand_open(&hand, where);
	hand_hello(&hand, 7, "hand");
	hand_expect(&hand, source, "welcome", "window");

	msgpack_sbuffer_clear(&hand.buffer);
	text(&hand, "hello");
	hand_send(&hand, NULL, 0);
	hand_expect(&hand, source, "refused", "not a message of this protocol");

	begin(&hand, 0, "hello");
	hand_send(&hand, NULL, 0);
	hand_expect(&hand, source, "refused", "missing");

	begin(&hand, 1, "end");
	text(&hand, "frames");
	msgpack_pack_double(&hand.packer, 3);
	hand_send(&hand, NULL, 0);
	hand_expect(&hand, source, "refused", "wrong type");

	begin(&hand, 2, "end");
	number(&hand, "frames", 1);
	number(&hand, "colour", 1);
	hand_send(&hand, NULL, 0);
	hand_expect(&hand, source, "refused", "colour");

	begin(&hand, 1, "ack");
	number(&hand, "next", 1);
	hand_send(&hand, NULL, 0);
	hand_expect(&hand, source, "refused", "only the source");

	begin(&hand, 1, "end");
	number(&hand, "frames", UINT64_MAX);
	hand_send(&hand, NULL, 0);
	hand_expect(&hand, source, "refused", "frames");

	begin(&hand, 1, "end");
	number(&hand, "frames", 0);
	hand_send(&hand, "pixels", 6);
	hand_expect(&hand, source, "refused", "parts");

	build_frame(&hand, 0, KIT_NY, KIT_NX);
	hand.buffer.size--; /* cut short */
	hand_send(&hand, pixels_of(0), KIT_PIXELS * 2);
	hand_expect(&hand, source, "refused", "");

	build_frame(&hand, 0, 0, KIT_NX);
	hand_send(&hand, pixels_of(0), KIT_PIXELS * 2);
	hand_expect(&hand, source, "refused", "shape");

	build_frame(&hand, 200000, KIT_NY, KIT_NX);
	hand_send(&hand, pixels_of(0), KIT_PIXELS * 2);
	hand_expect(&hand, source, "refused", "a jump to frame 200000");

	/* every part but the first may be missing, or there may be too many */
	struct pn_part many[PN_PARTS_MAX];

	for (unsigned i = 0; i < PN_PARTS_MAX; i++)
		many[i] = (struct pn_part){ "x", 1 };
	assert_int_equal(pn_socket_send(hand.socket, many, PN_PARTS_MAX, &err), PN_OK);

	/* none of that used up a number */
	struct pn_msg msg;

	hand_frame(&hand, 0);
	assert_int_equal(await(source, NULL, &msg, &err), PN_OK);
	assert_int_equal(msg.seq, 0);
	hand_close(&hand);
	pn_source_close(source);
}

/* Frames whose number is known but whose pixels are not what the head says. */
static void test_pixels_that_do_not_fit(void **state)
{
	const char *where = endpoint();
	struct pn_source *source = source_open(where, "");
	struct hand hand;

	(void)state;
	hand_open(&hand, where);
	hand_hello(&hand, 7, "hand");
	hand_expect(&hand, source, "welcome", "window");
	build_frame(&hand, 0, KIT_NY, KIT_NX);
	hand_send(&hand, pixels_of(0), KIT_PIXELS * 2 - 1);
	expect_bad(source, NULL, "29 bytes of pixels, [5][3] has 30");
	hand_expect(&hand, source, "refused", "29 bytes");
	build_frame(&hand, 1, KIT_NY, KIT_NX);
	hand_send(&hand, NULL, 0);
	expect_bad(source, NULL, "0 bytes of pixels");
	hand_expect(&hand, source, "refused", "0 bytes");
	build_frame(&hand, 2, 65536, 65536);
	hand_send(&hand, pixels_of(0), 2);
	expect_bad(source, NULL, "[65536][65536]");
	hand_close(&hand);
	pn_source_close(source);
}

/* Duplicates go in silence; strangers are asked to say hello; another name is refused. */
static void test_who_may_send(void **state)
{
	const char *where = endpoint();
	struct pn_source *source = source_open(where, "");
	struct hand hand, other;
	struct pn_error err = { 0 };
	struct pn_msg msg;

	(void)state;
	hand_open(&hand, where);
	hand_frame(&hand, 0);
	hand_expect(&hand, source, "again", "");
	hand_hello(&hand, 7, "hand");
	hand_expect(&hand, source, "welcome", "window");
	for (unsigned i = 0; i < 2; i++) {
		hand_frame(&hand, i);
		assert_int_equal(await(source, NULL, &msg, &err), PN_OK);
		assert_int_equal(msg.seq, i);
	}
	hand_frame(&hand, 0);
	hand_frame(&hand, 1);
	hand_open(&other, where);
	hand_hello(&other, 8, "foot");
	hand_expect(&other, source, "refused", "from 'hand'");
	hand_frame(&other, 2);
	hand_expect(&other, source, "again", "");
	hand_frame(&hand, 2);
	assert_int_equal(await(source, NULL, &msg, &err), PN_OK);
	assert_int_equal(msg.seq, 2);
	/* the same name again is the same producer, restarted */
	hand_hello(&other, 9, "hand");
	hand_expect(&other, source, "welcome", "window");
	hand_frame(&hand, 3);
	hand_expect(&hand, source, "again", "");
	hand_frame(&other, 3);
	assert_int_equal(await(source, NULL, &msg, &err), PN_OK);
	begin(&other, 1, "end");
	number(&other, "frames", 2);
	hand_send(&other, NULL, 0);
	hand_expect(&other, source, "refused", "an end at 2 frames, after 4");
	begin(&other, 1, "end");
	number(&other, "frames", 4);
	hand_send(&other, NULL, 0);
	assert_int_equal(await(source, NULL, &msg, &err), PN_EEND);
	hand_close(&hand);
	hand_close(&other);
	pn_source_close(source);

	/* the library, refused in the same way, says so */
	where = endpoint();
	source = source_open(where, "");
	hand_open(&hand, where);
	hand_hello(&hand, 1, "hand");
	hand_expect(&hand, source, "welcome", "window");
	struct pn_sender *sender = sender_open(where, 0);
	int rc = PN_OK;

	for (int i = 0; i < ROUNDS && !rc; i++) {
		assert_int_equal(pn_source_next(source, 0, &msg, &err), PN_EAGAIN);
		pn_source_wait(source, 0, PAUSE);
		rc = pn_sender_pump(sender, 0, &err);
	}
	assert_int_equal(rc, PN_EPERM);
	assert_non_null(strstr(err.text, "from 'hand'"));
	pn_sender_close(sender);
	hand_close(&hand);
	pn_source_close(source);
}

/* Who says hello to a restarted source learns what is on stable storage, were it said before or
 * not. */
static void test_hello_is_told_what_is_durable(void **state)
{
	const char *where = endpoint();
	struct pn_source *source = source_open(where, "");
	struct hand hand;

	(void)state;
	kit_seek(source, 8);
	hand_open(&hand, where);
	hand_hello(&hand, 7, "hand");
	hand_expect(&hand, source, "welcome", "\xa4next\x08");
	hand_expect(&hand, source,
		    "\xa3"
		    "ack",
		    "\xa4next\x08");
	hand_close(&hand);
	pn_source_close(source);
}

static void answer_welcome(struct hand *hand, const struct pn_part *to, uint64_t id, uint64_t next)
{
	struct pn_part parts[2];
	struct pn_error err = { 0 };

	begin(hand, 3, "welcome");
	number(hand, "id", id);
	number(hand, "next", next);
	number(hand, "window", 10);
	parts[0] = *to;
	parts[1] = (struct pn_part){ hand->buffer.data, hand->buffer.size };
	assert_int_equal(pn_socket_send(hand->socket, parts, 2, &err), PN_OK);
}

/* An answer to an older hello tells of a time that has passed. */
static void test_old_welcome_is_not_believed(void **state)
{
	struct pn_sender_config config = { .endpoint = endpoint(),
					   .name = "camera",
					   .retry_ns = FOREVER };
	struct pn_part parts[PN_PARTS_MAX];
	struct pn_sender *sender;
	struct pn_error err = { 0 };
	struct hand hand;
	unsigned count;
	uint64_t next;

	(void)state;
	assert_int_equal(
		pn_socket_open(&hand.socket, PN_SOCKET_ROUTER, config.endpoint, 1, 10, &err),
		PN_OK);
	msgpack_sbuffer_init(&hand.buffer);
	msgpack_packer_init(&hand.packer, &hand.buffer, msgpack_sbuffer_write);
	assert_int_equal(pn_sender_open(&sender, &config, &err), PN_OK);
	assert_int_equal(pn_socket_receive(hand.socket, FOREVER, parts, &count, &err), PN_OK);
	assert_int_equal(count, 2);
	answer_welcome(&hand, &parts[0], 0, 50); /* the first hello has id 1 */
	answer_welcome(&hand, &parts[0], 1, 3);
	assert_int_equal(pn_sender_ready(sender, FOREVER, &next, &err), PN_OK);
	assert_int_equal(next, 3);
	hand_close(&hand);
	pn_sender_close(sender);
}

/* ---- two processes ------------------------------------------------------------------------- */

static int send_all(const char *where, uint64_t frames)
{
	struct pn_sender_config config = {
		.endpoint = where, .name = "camera", .frames = frames, .retry_ns = RETRY
	};
	struct pn_error err = { 0 };
	struct pn_sender *sender;
	uint64_t next;
	int rc = pn_sender_open(&sender, &config, &err);

	if (!rc)
		rc = pn_sender_ready(sender, FOREVER, &next, &err);
	for (; !rc && next < frames; next++) {
		struct pn_sender_frame frame = frame_of(next);

		rc = pn_sender_send(sender, &frame, FOREVER, &err);
	}
	if (!rc)
		rc = pn_sender_finish(sender, frames, FOREVER, &err);
	if (rc)
		fprintf(stderr, "producer: %s %s\n", pn_status_name(rc), err.text);
	if (sender)
		pn_sender_close(sender);
	return rc ? 1 : 0;
}

/* The producer is a process of its own, killed once; the source is restarted at what it
 * acknowledged. */
static void test_two_processes(void **state)
{
	const char *where = endpoint();
	const uint64_t frames = 3000;
	pid_t producer = fork();
	int status;

	(void)state;
	if (producer == 0)
		_exit(send_all(where, frames));
	assert_true(producer > 0);
	struct pn_source *source = source_open(where, "?window=32");
	uint64_t durable = 0;
	int restarted = 0;

	for (uint64_t i = 0; i < frames; i++) {
		if (i == 1000) {
			kill(producer, SIGKILL);
			assert_int_equal(waitpid(producer, &status, 0), producer);
			producer = fork();
			if (producer == 0)
				_exit(send_all(where, frames));
		}
		if (i == 2011 && !restarted) {
			restarted = 1;
			pn_source_close(source);
			source = source_open(where, "?window=32");
			kit_seek(source, durable);
			i = durable;
		}
		expect_given(source, NULL, i);
		if (i % 7 == 6)
			ack(source, durable = i + 1);
	}
	expect_end(source, NULL);
	ack(source, frames);
	pn_source_close(source);
	assert_int_equal(waitpid(producer, &status, 0), producer);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_arrive),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_producer_restarts),
		cmocka_unit_test(test_source_restarts),
		cmocka_unit_test(test_source_that_forgot),
		cmocka_unit_test(test_gap),
		cmocka_unit_test(test_frame_of_another_shape),
		cmocka_unit_test(test_sender_refuses_nonsense),
		cmocka_unit_test(test_messages),
		cmocka_unit_test(test_finish_waits_for_the_disk),
		cmocka_unit_test(test_hello_is_told_what_is_durable),
		cmocka_unit_test(test_old_welcome_is_not_believed),
		cmocka_unit_test(test_malformed_messages),
		cmocka_unit_test(test_pixels_that_do_not_fit),
		cmocka_unit_test(test_who_may_send),
		cmocka_unit_test(test_two_processes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
