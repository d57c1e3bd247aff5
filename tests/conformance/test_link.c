/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One suite for every way a stream is carried: in order, nothing lost, nothing twice, whoever dies.
 */
#include "perrin/link/link.h"
#include "perrin/link/socket.h"
#include "testkit.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHUNK_BYTES (UINT64_C(64) << 10)
#define CHUNKS      6
#define MS          INT64_C(1000000)
#define TRIES       1000 /* of 20 ms: how long a test waits before it fails */

struct way {
	const char *name, *scheme;
	int by_name, with_window;
};

static struct way ways[] = {
	{ "mem", "mem:", 1, 1 },          { "ipc", "ipc://", 1, 1 },
	{ "ipc, disk", "ipc://", 1, 0 },  { "tcp", "tcp://", 1, 1 },
	{ "tcp inline", "tcp://", 0, 0 }, { "ipc inline", "ipc://", 0, 0 },
};

/* A stream, its producer and where they meet. */
struct rig {
	const struct way *way;
	char dir[256], endpoint[256];
	struct pn_window *window;
	struct pn_log_writer *writer;
	struct pn_link_server *server;
	struct pn_error err;
	unsigned slots;
	uint64_t record_bytes;
};

#define GOOD(rig, call)                                                                      \
	do {                                                                                 \
		int rc_ = (call);                                                            \
		if (rc_)                                                                     \
			fail_msg("%s: %s: %s", #call, pn_status_name(rc_), (rig)->err.text); \
	} while (0)

/* ---- records -------------------------------------------------------------------------------- */

static uint64_t payload_bytes(const struct rig *rig, uint64_t seq)
{
	return rig->record_bytes ? rig->record_bytes : seq * 397 % 3001;
}

static uint8_t payload_byte(uint64_t seq, uint64_t i)
{
	return (uint8_t)(seq * 31 + i * (2 * seq + 1));
}

static int append(struct rig *rig)
{
	static uint8_t payload[CHUNK_BYTES];
	uint64_t seq = pn_log_next(rig->writer);
	char head[32];
	struct pn_msg msg = { .time_ns = (int64_t)seq * 1000,
			      .arrival_ns = 7,
			      .head = head,
			      .payload = payload,
			      .payload_bytes = payload_bytes(rig, seq) };
	int rc;

	msg.head_bytes =
		(uint32_t)snprintf(head, sizeof head, "head of %llu", (unsigned long long)seq);
	for (uint64_t i = 0; i < msg.payload_bytes; i++)
		payload[i] = payload_byte(seq, i);
	while ((rc = pn_log_append(rig->writer, &msg, &rig->err)) == PN_EAGAIN) {
		rc = pn_log_poll(rig->writer, 0, 1, &rig->err);
		if (rc)
			return rc;
	}
	return rc;
}

static void check(const struct rig *rig, const struct pn_msg *msg, uint64_t seq)
{
	char head[32];
	int bytes = snprintf(head, sizeof head, "head of %llu", (unsigned long long)seq);
	const uint8_t *payload = msg->payload;

	assert_int_equal(msg->seq, seq);
	assert_int_equal(msg->time_ns, seq * 1000);
	assert_int_equal(msg->arrival_ns, 7);
	assert_int_equal(msg->head_bytes, bytes);
	assert_memory_equal(msg->head, head, bytes);
	assert_int_equal(msg->payload_bytes, payload_bytes(rig, seq));
	assert_int_equal((uintptr_t)payload % 64, 0);
	for (uint64_t i = 0; i < msg->payload_bytes; i++)
		if (payload[i] != payload_byte(seq, i))
			fail_msg("record %llu: byte %llu", (unsigned long long)seq,
				 (unsigned long long)i);
}

/* ---- the rig -------------------------------------------------------------------------------- */

/* A port that was free a moment ago. */
static void free_port(char *endpoint, size_t size)
{
	struct pn_socket *socket;
	struct pn_error err;

	if (pn_socket_open(&socket, PN_SOCKET_PULL, "tcp://127.0.0.1:*", 1, 1, &err))
		fail_msg("%s", err.text);
	snprintf(endpoint, size, "%s", pn_socket_endpoint(socket));
	pn_socket_close(socket);
}

static void rig_init(struct rig *rig, const struct way *way)
{
	static const char *base;
	static unsigned number;

	if (!base)
		base = testkit_tempdir();
	memset(rig, 0, sizeof *rig);
	rig->way = way;
	snprintf(rig->dir, sizeof rig->dir, "%s/%u", base, number++);
	if (strcmp(way->scheme, "tcp://") == 0)
		free_port(rig->endpoint, sizeof rig->endpoint);
	else
		snprintf(rig->endpoint, sizeof rig->endpoint, "%s%.200s.sock", way->scheme,
			 rig->dir);
	GOOD(rig, pn_window_create(&rig->window, CHUNK_BYTES, CHUNKS, &rig->err));
}

static int open_writer(struct rig *rig)
{
	const struct pn_log_config config = { .dir = rig->dir,
					      .durability = PN_DURABLE_CLOSE,
					      .align = 64,
					      .engine = PN_ENGINE_PLAIN,
					      .window = rig->window };

	return pn_log_open(&rig->writer, &config, NULL, &rig->err);
}

static void serve(struct rig *rig)
{
	if (!rig->writer)
		GOOD(rig, open_writer(rig));
	GOOD(rig, pn_link_serve(&rig->server, rig->endpoint, rig->dir, rig->window, &rig->err));
	GOOD(rig, pn_link_published(rig->server, pn_log_count(rig->writer), 0, &rig->err));
}

/* Consumers without a window see what is on disk. */
static void settle(struct rig *rig)
{
	if (!rig->way->with_window && rig->way->by_name)
		GOOD(rig, pn_log_flush(rig->writer, &rig->err));
}

static void publish(struct rig *rig, unsigned count)
{
	while (count--)
		GOOD(rig, append(rig));
	settle(rig);
	GOOD(rig, pn_link_published(rig->server, pn_log_count(rig->writer), 0, &rig->err));
}

static void end(struct rig *rig)
{
	uint64_t count = pn_log_count(rig->writer);

	GOOD(rig, pn_log_finish(rig->writer, 1, &rig->err));
	rig->writer = NULL;
	GOOD(rig, pn_link_published(rig->server, count, 1, &rig->err));
}

static void rig_finish(struct rig *rig)
{
	pn_link_stop(rig->server);
	GOOD(rig, pn_log_finish(rig->writer, 0, &rig->err));
	pn_window_destroy(rig->window);
}

static struct pn_link *consume_with(struct rig *rig, enum pn_link_policy policy, uint64_t from,
				    uint64_t credit)
{
	const struct pn_link_config config = { .endpoint = rig->endpoint,
					       .policy = policy,
					       .from = from,
					       .credit = credit,
					       .dir = rig->way->by_name ? rig->dir : NULL,
					       .window = rig->way->with_window ? rig->window : NULL,
					       .slot = rig->slots++ };
	struct pn_link *link;

	GOOD(rig, pn_link_open(&link, &config, &rig->err));
	return link;
}

static struct pn_link *consume(struct rig *rig, uint64_t from)
{
	return consume_with(rig, PN_LINK_EVERY, from, 8);
}

/* The next message, with the producer pumped in between; PN_EAGAIN after a long time. */
static int pull(struct rig *rig, struct pn_link *link, struct pn_msg *msg, uint64_t *skipped)
{
	int rc = PN_EAGAIN;

	for (int i = 0; rc == PN_EAGAIN && i < TRIES; i++) {
		if (rig->server)
			GOOD(rig, pn_link_pump(rig->server, &rig->err));
		rc = pn_link_pull(link, i < 10 ? MS / 2 : 20 * MS, msg, skipped, &rig->err);
	}
	return rc;
}

static void take(struct rig *rig, struct pn_link *link, uint64_t from, uint64_t to)
{
	for (uint64_t seq = from; seq < to; seq++) {
		struct pn_msg msg;
		uint64_t skipped = 99;

		assert_int_equal(pn_link_next(link), seq);
		GOOD(rig, pull(rig, link, &msg, &skipped));
		check(rig, &msg, seq);
		assert_int_equal(skipped, 0);
	}
	assert_true(pn_link_available(link) >= to);
}

static void take_end(struct rig *rig, struct pn_link *link)
{
	struct pn_msg msg;

	assert_int_equal(pull(rig, link, &msg, NULL), PN_EEND);
	assert_int_equal(pn_link_pull(link, 0, &msg, NULL, &rig->err), PN_EEND);
	assert_int_equal(pn_link_pull(link, MS, &msg, NULL, &rig->err), PN_EEND);
}

static void take_nothing(struct rig *rig, struct pn_link *link)
{
	struct pn_msg msg;

	GOOD(rig, pn_link_pump(rig->server, &rig->err));
	assert_int_equal(pn_link_pull(link, MS, &msg, NULL, &rig->err), PN_EAGAIN);
	GOOD(rig, pn_link_pump(rig->server, &rig->err));
	assert_int_equal(pn_link_pull(link, 0, &msg, NULL, &rig->err), PN_EAGAIN);
}

/* ---- the suite ------------------------------------------------------------------------------ */

static void test_order(void **state)
{
	struct rig rig;

	rig_init(&rig, *state);
	serve(&rig);
	struct pn_link *link = consume(&rig, 0);
	uint64_t done = 0;

	take_nothing(&rig, link);
	for (unsigned burst = 1; burst < 30; burst++) {
		publish(&rig, burst);
		take(&rig, link, done, done + burst);
		done += burst;
		if (burst % 10 == 0)
			take_nothing(&rig, link);
	}
	publish(&rig, 3);
	end(&rig);
	take(&rig, link, done, done + 3);
	take_end(&rig, link);
	pn_link_close(link);
	rig_finish(&rig);
}

static void test_empty_stream_ends(void **state)
{
	struct rig rig;

	rig_init(&rig, *state);
	serve(&rig);
	struct pn_link *link = consume(&rig, 0);

	end(&rig);
	take_end(&rig, link);
	pn_link_close(link);
	rig_finish(&rig);
}

static void test_consumer_first(void **state)
{
	struct rig rig;
	struct pn_msg msg;

	rig_init(&rig, *state);
	struct pn_link *link = consume(&rig, 0);

	for (int i = 0; i < 3; i++)
		assert_int_equal(pn_link_pull(link, MS, &msg, NULL, &rig.err), PN_EAGAIN);
	serve(&rig);
	publish(&rig, 20);
	take(&rig, link, 0, 20);
	end(&rig);
	take_end(&rig, link);
	pn_link_close(link);
	rig_finish(&rig);
}

static void test_producer_restarts(void **state)
{
	struct rig rig;

	rig_init(&rig, *state);
	serve(&rig);
	struct pn_link *link = consume(&rig, 0);
	uint64_t done = 0;

	for (unsigned life = 0; life < 4; life++) {
		publish(&rig, 30);
		take(&rig, link, done, done + 10);
		done += 10;
		pn_link_stop(rig.server);
		rig.server = NULL;
		if (life % 2) {
			pn_log_drop(rig.writer);
			rig.writer = NULL;
		}
		serve(&rig);
	}
	take(&rig, link, done, 120);
	publish(&rig, 10);
	end(&rig);
	take(&rig, link, 120, 130);
	take_end(&rig, link);
	pn_link_close(link);
	rig_finish(&rig);
}

static void test_consumer_restarts(void **state)
{
	struct rig rig;

	rig_init(&rig, *state);
	serve(&rig);
	publish(&rig, 100);
	for (uint64_t from = 0; from < 100; from += 25) {
		struct pn_link *link = consume(&rig, from);

		take(&rig, link, from, from + 25);
		pn_link_close(link);
		rig.slots = 0;
	}
	end(&rig);
	struct pn_link *link = consume(&rig, 40);

	take(&rig, link, 40, 100);
	take_end(&rig, link);
	pn_link_close(link);
	rig_finish(&rig);
}

static void test_freshest(void **state)
{
	struct rig rig;
	uint64_t delivered = 0, passed = 0, next = 0, published = 0, skipped;
	struct pn_msg msg;

	rig_init(&rig, *state);
	serve(&rig);
	struct pn_link *link = consume_with(&rig, PN_LINK_FRESHEST, 0, 4);

	for (unsigned burst = 1; burst < 40; burst += 3) {
		publish(&rig, burst);
		published += burst;
		GOOD(&rig, pull(&rig, link, &msg, &skipped));
		assert_int_equal(msg.seq, next + skipped);
		assert_int_equal(msg.seq, published - 1);
		check(&rig, &msg, msg.seq);
		next = msg.seq + 1;
		delivered++;
		passed += skipped;
		take_nothing(&rig, link);
	}
	publish(&rig, 7);
	end(&rig);
	published += 7;
	GOOD(&rig, pull(&rig, link, &msg, &skipped));
	delivered++;
	passed += skipped;
	take_end(&rig, link);
	assert_int_equal(delivered + passed, published);
	assert_true(passed > 0);
	pn_link_close(link);
	rig_finish(&rig);
}

/* far more than the window holds: what has left it comes from disk */
static void test_lagging(void **state)
{
	struct rig rig;

	rig_init(&rig, *state);
	serve(&rig);
	struct pn_link *link = consume(&rig, 0);

	publish(&rig, 5);
	take(&rig, link, 0, 3);
	publish(&rig, 800);
	assert_true(pn_log_count(rig.writer) * 1500 > 2 * CHUNKS * CHUNK_BYTES);
	take(&rig, link, 3, 700);
	publish(&rig, 20);
	end(&rig);
	take(&rig, link, 700, 825);
	take_end(&rig, link);
	pn_link_close(link);
	rig_finish(&rig);
}

static void test_several(void **state)
{
	struct rig rig;
	struct pn_link *links[4];
	uint64_t done[3] = { 0, 0, 10 }, last = 0, seen = 0, skipped;
	struct pn_msg msg;

	rig_init(&rig, *state);
	serve(&rig);
	for (unsigned i = 0; i < 3; i++)
		links[i] = consume(&rig, done[i]);
	links[3] = consume_with(&rig, PN_LINK_FRESHEST, 0, 0);
	for (unsigned round = 0; round < 12; round++) {
		publish(&rig, 10);
		if (round < 2)
			continue;
		for (unsigned i = 0; i < 3; i++) {
			uint64_t step = 10 / (i + 1);

			take(&rig, links[i], done[i], done[i] + step);
			done[i] += step;
		}
		if (pull(&rig, links[3], &msg, &skipped) == PN_OK) {
			assert_true(!seen || msg.seq > last);
			last = msg.seq;
			seen += 1 + skipped;
		}
	}
	end(&rig);
	for (unsigned i = 0; i < 3; i++) {
		take(&rig, links[i], done[i], 120);
		take_end(&rig, links[i]);
		pn_link_close(links[i]);
	}
	while (pull(&rig, links[3], &msg, &skipped) == PN_OK)
		seen += 1 + skipped;
	assert_int_equal(seen, 120);
	pn_link_close(links[3]);
	rig_finish(&rig);
}

/* a consumer that does not read must not hold up its producer, nor lose anything by it */
static void test_held_back(void **state)
{
	struct rig rig;

	rig_init(&rig, *state);
	rig.record_bytes = 50000;
	serve(&rig);
	struct pn_link *link = consume_with(&rig, PN_LINK_EVERY, 0, 1000);
	struct pn_link *other = consume(&rig, 0);

	publish(&rig, 2);
	take(&rig, link, 0, 1);
	for (unsigned i = 0; i < 30; i++) {
		publish(&rig, 10);
		take(&rig, other, i * 10, i * 10 + 10);
	}
	end(&rig);
	take(&rig, link, 1, 302);
	take_end(&rig, link);
	pn_link_close(link);
	pn_link_close(other);
	rig_finish(&rig);
}

/* a producer that dies between publishing and telling: the window knows */
static void test_untold(void **state)
{
	struct rig rig;

	rig_init(&rig, *state);
	if (!rig.way->with_window) {
		rig_finish(&rig);
		return;
	}
	serve(&rig);
	struct pn_link *link = consume(&rig, 0);

	publish(&rig, 5);
	take(&rig, link, 0, 5);
	for (unsigned i = 0; i < 5; i++)
		GOOD(&rig, append(&rig));
	pn_link_stop(rig.server);
	rig.server = NULL;
	take(&rig, link, 5, 10);
	pn_link_close(link);
	rig_finish(&rig);
}

/* the last word gets out although its producer leaves at once */
static void test_leaves(void **state)
{
	struct rig rig;

	rig_init(&rig, *state);
	serve(&rig);
	struct pn_link *link = consume(&rig, 0);

	publish(&rig, 1);
	take(&rig, link, 0, 1);
	publish(&rig, 4);
	end(&rig);
	pn_link_stop(rig.server);
	rig.server = NULL;
	take(&rig, link, 1, 5);
	take_end(&rig, link);
	pn_link_close(link);
	rig_finish(&rig);
}

static void test_busy_endpoint(void **state)
{
	struct rig rig;
	struct pn_link_server *second;

	rig_init(&rig, *state);
	serve(&rig);
	assert_int_equal(pn_link_serve(&second, rig.endpoint, rig.dir, rig.window, &rig.err),
			 PN_EIO);
	assert_null(second);
	struct pn_link *link = consume(&rig, 0);

	publish(&rig, 1);
	take(&rig, link, 0, 1);
	pn_link_close(link);
	rig_finish(&rig);
}

/* ---- what only some ways have ---------------------------------------------------------------- */

/* A listener that is none of ours: the bytes below are what msgpack makes of the documented map. */
static void test_listener_credit(void **state)
{
	static const char ask[] = "\x87\xa4type\xa4pull\xa1v\x01\xa4"
				  "from\x05\xa6"
				  "credit\x03\xa6policy\xa5"
				  "every\xa6inline\x01\xa5"
				  "again\x00";
	static const char told[] = "\x84\xa4type\xa9"
				   "available\xa1v\x01\xa5"
				   "count\x28\xa5"
				   "ended\x00";
	struct pn_part parts[PN_PARTS_MAX];
	struct pn_socket *socket;
	unsigned count, records = 0, notices = 0, tries = 0;
	struct rig rig;

	(void)state;
	rig_init(&rig, &ways[5]);
	serve(&rig);
	publish(&rig, 40);
	GOOD(&rig, pn_socket_open(&socket, PN_SOCKET_DEALER, rig.endpoint, 0, 64, &rig.err));
	/* noise is no pull, and answered by nothing */
	GOOD(&rig, pn_socket_send(socket, &(struct pn_part){ "noise", 5 }, 1, &rig.err));
	GOOD(&rig, pn_socket_send(socket, &(struct pn_part){ ask, 20 }, 1, &rig.err));
	GOOD(&rig, pn_socket_send(socket, &(struct pn_part){ ask, sizeof ask - 1 }, 1, &rig.err));
	while (!notices && tries++ < TRIES) {
		GOOD(&rig, pn_link_pump(rig.server, &rig.err));
		while (!pn_socket_receive(socket, MS, parts, &count, &rig.err)) {
			if (count == 1) {
				assert_int_equal(parts[0].bytes, sizeof told - 1);
				assert_memory_equal(parts[0].data, told, sizeof told - 1);
				notices++;
				continue;
			}
			assert_int_equal(count, 3);
			assert_memory_equal((const char *)parts[0].data,
					    "\x85\xa4type\xa6record\xa1v\x01\xa3seq", 20);
			assert_int_equal(((const char *)parts[0].data)[20], 5 + records);
			records++;
		}
	}
	for (int i = 0; i < 10; i++) {
		GOOD(&rig, pn_link_pump(rig.server, &rig.err));
		publish(&rig, 1);
		assert_int_equal(pn_socket_receive(socket, MS, parts, &count, &rig.err), PN_EAGAIN);
	}
	assert_int_equal(records, 3);
	assert_int_equal(notices, 1);
	pn_socket_close(socket);
	rig_finish(&rig);
}

static struct pn_part record_part(uint8_t seq)
{
	static uint8_t bytes[] = "\x85\xa4type\xa6record\xa1v\x01\xa3seq\x00\xa7time_ns\x00\xaa"
				 "arrival_ns\x00";

	bytes[20] = seq;
	return (struct pn_part){ bytes, sizeof bytes - 1 };
}

static void expect_pull(struct pn_socket *router, char from, char again, struct pn_part *identity)
{
	char want[] = "\x87\xa4type\xa4pull\xa1v\x01\xa4"
		      "from\x00\xa6"
		      "credit\x08\xa6policy\xa5"
		      "every\xa6inline\x01\xa5"
		      "again\x00";
	struct pn_part parts[PN_PARTS_MAX];
	unsigned count;

	want[19] = from;
	want[sizeof want - 2] = again;
	assert_int_equal(pn_socket_receive(router, 10000 * MS, parts, &count, NULL), PN_OK);
	assert_int_equal(count, 2);
	assert_int_equal(parts[1].bytes, sizeof want - 1);
	assert_memory_equal(parts[1].data, want, sizeof want - 1);
	memcpy((void *)identity->data, parts[0].data, parts[0].bytes);
	identity->bytes = parts[0].bytes;
}

/* A producer that repeats, leaves out and talks nonsense, as broken connections make it seem. */
static void test_strange_producer(void **state)
{
	static const uint8_t script[] = { 0, 0, 1, 3, 0, 2, 1 }, again[] = { 2, 3, 4 };
	char name[256];
	struct pn_part identity = { name, 0 }, head = { "h", 1 }, payload = { "", 0 };
	struct pn_socket *router;
	struct rig rig;
	struct pn_msg msg;

	(void)state;
	rig_init(&rig, &ways[5]);
	GOOD(&rig, pn_socket_open(&router, PN_SOCKET_ROUTER, rig.endpoint, 1, 64, &rig.err));
	struct pn_link *link = consume(&rig, 0);

	expect_pull(router, 0, 0, &identity);
	for (unsigned i = 0; i < sizeof script; i++)
		GOOD(&rig, pn_socket_send(router,
					  (struct pn_part[]){ identity, record_part(script[i]),
							      head, payload },
					  4, &rig.err));
	for (uint64_t seq = 0; seq < 3; seq++) {
		GOOD(&rig, pn_link_pull(link, 10000 * MS, &msg, NULL, &rig.err));
		assert_int_equal(msg.seq, seq);
		assert_int_equal(msg.head_bytes, 1);
		assert_int_equal(msg.payload_bytes, 0);
		assert_null(msg.payload);
	}
	/* record 3 came too early and is missed: it is asked for again */
	assert_int_equal(pn_link_pull(link, 300 * MS, &msg, NULL, &rig.err), PN_EAGAIN);
	expect_pull(router, 3, 1, &identity);
	for (unsigned i = 0; i < sizeof again; i++)
		GOOD(&rig, pn_socket_send(router,
					  (struct pn_part[]){ identity, record_part(again[i]), head,
							      payload },
					  4, &rig.err));
	for (uint64_t seq = 3; seq < 5; seq++) {
		GOOD(&rig, pn_link_pull(link, 10000 * MS, &msg, NULL, &rig.err));
		assert_int_equal(msg.seq, seq);
	}
	GOOD(&rig,
	     pn_socket_send(router, (struct pn_part[]){ identity, { "noise", 5 } }, 2, &rig.err));
	assert_int_equal(pn_link_pull(link, 10000 * MS, &msg, NULL, &rig.err), PN_EFORMAT);
	payload = head;
	head.bytes = 0;
	GOOD(&rig,
	     pn_socket_send(router, (struct pn_part[]){ identity, record_part(5), head, payload },
			    4, &rig.err));
	assert_int_equal(pn_link_pull(link, 10000 * MS, &msg, NULL, &rig.err), PN_EFORMAT);
	pn_link_close(link);
	pn_socket_close(router);
	rig_finish(&rig);
}

/* what cannot be sent is told to who asked; neither the producer nor its other consumers suffer */
static void test_failure(void **state)
{
	const struct way by_name = ways[1];
	struct rig rig;
	struct pn_msg msg;

	(void)state;
	rig_init(&rig, &ways[5]);
	GOOD(&rig, open_writer(&rig));
	GOOD(&rig, pn_link_serve(&rig.server, rig.endpoint, NULL, NULL, &rig.err));
	struct pn_link *link = consume(&rig, 0);

	rig.way = &by_name;
	struct pn_link *other = consume(&rig, 0);

	publish(&rig, 5);
	assert_int_equal(pull(&rig, link, &msg, NULL), PN_EARG);
	assert_non_null(strstr(rig.err.text, "no folder"));
	take(&rig, other, 0, 5);
	assert_int_equal(pull(&rig, link, &msg, NULL), PN_EARG);
	pn_link_close(link);
	pn_link_close(other);
	rig_finish(&rig);
}

/* credit is renewed when half of it is used, not only when it is used up and nothing comes */
static void test_renewal(void **state)
{
	char name[256];
	struct pn_part identity = { name, 0 }, head = { "h", 1 }, payload = { "", 0 };
	struct pn_socket *router;
	struct rig rig;
	struct pn_msg msg;

	(void)state;
	rig_init(&rig, &ways[5]);
	GOOD(&rig, pn_socket_open(&router, PN_SOCKET_ROUTER, rig.endpoint, 1, 64, &rig.err));
	struct pn_link *link = consume(&rig, 0);

	expect_pull(router, 0, 0, &identity);
	for (uint8_t seq = 0; seq < 5; seq++)
		GOOD(&rig,
		     pn_socket_send(router,
				    (struct pn_part[]){ identity, record_part(seq), head, payload },
				    4, &rig.err));
	for (unsigned i = 0; i < 5; i++)
		GOOD(&rig, pn_link_pull(link, 10000 * MS, &msg, NULL, &rig.err));
	expect_pull(router, 4, 0, &identity);
	pn_link_close(link);
	pn_socket_close(router);
	rig_finish(&rig);
}

static void test_refused(void **state)
{
	static const struct {
		const char *endpoint;
		int rc;
	} rows[] = {
		{ NULL, PN_EARG },
		{ "", PN_EARG },
		{ "nothing", PN_EARG },
		{ "mem:", PN_EARG },
		{ "ipc://", PN_EARG },
		{ "tcp://127.0.0.1", PN_EARG },
		{ "tcp://0.0.0.0:5555", PN_EPERM },
		{ "tcp://*:5555", PN_EPERM },
		{ "tcp://192.168.1.1:5555", PN_EPERM },
		{ "tcp://example.org:5555", PN_EPERM },
		{ "udp://127.0.0.1:5555", PN_EPERM },
		{ "inproc://x", PN_EPERM },
	};

	(void)state;
	for (unsigned i = 0; i < PN_COUNT(rows); i++) {
		struct pn_link_config config = { .endpoint = rows[i].endpoint, .dir = "/nowhere" };
		struct pn_link_server *server;
		struct pn_error err = { 0 };
		struct pn_link *link;

		assert_int_equal(pn_link_serve(&server, rows[i].endpoint, "/nowhere", NULL, &err),
				 rows[i].rc);
		assert_int_equal(err.code, rows[i].rc);
		assert_int_equal(pn_link_open(&link, &config, &err), rows[i].rc);
	}
	const struct pn_link_config bad[] = {
		{ .endpoint = "mem:x" },
		{ .endpoint = "mem:x", .dir = "/nowhere", .policy = (enum pn_link_policy)2 },
		{ .endpoint = "mem:x", .dir = "/nowhere", .credit = UINT64_MAX },
	};

	for (unsigned i = 0; i < PN_COUNT(bad); i++) {
		struct pn_link *link;

		assert_int_equal(pn_link_open(&link, &bad[i], NULL), PN_EARG);
		assert_null(link);
	}
	pn_link_close(NULL);
	pn_link_stop(NULL);
}

/* The life of a producing process: goes on where the stream ends, until it is killed. */
static _Noreturn void produce(struct rig *rig, uint64_t until, int and_end)
{
	uint64_t count;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (open_writer(rig) ||
	    pn_link_serve(&rig->server, rig->endpoint, rig->dir, rig->window, &rig->err))
		_exit(1);
	while ((count = pn_log_count(rig->writer)) < until)
		if (append(rig) || pn_link_published(rig->server, count + 1, 0, &rig->err))
			_exit(2);
	if (and_end && (pn_log_finish(rig->writer, 1, &rig->err) ||
			pn_link_published(rig->server, count, 1, &rig->err)))
		_exit(3);
	for (;;) {
		struct pollfd fd = { .fd = pn_link_server_fd(rig->server), .events = POLLIN };

		poll(&fd, 1, 5);
		if (pn_link_pump(rig->server, &rig->err))
			_exit(4);
	}
}

static pid_t start(struct rig *rig, uint64_t until, int and_end)
{
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0)
		produce(rig, until, and_end);
	return pid;
}

static void stop(pid_t pid)
{
	int status;

	kill(pid, SIGKILL);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status))
		fail_msg("the producer gave up with %d", WEXITSTATUS(status));
}

/* Producers in processes of their own, killed in the middle; the link is opened once. */
static void test_killed(void **state)
{
	struct rig rig;

	rig_init(&rig, *state);
	pid_t pid = start(&rig, 60, 0);
	struct pn_link *link = consume(&rig, 0);

	take(&rig, link, 0, 30);
	stop(pid);
	pid = start(&rig, 160, 0);
	take(&rig, link, 30, 100);
	stop(pid);
	pid = start(&rig, 200, 1);
	take(&rig, link, 100, 200);
	take_end(&rig, link);
	pn_link_close(link);
	stop(pid);
	rig_finish(&rig);
}

/* As test_leaves, but the whole process goes: only stopping can make it wait. */
static void test_exits(void **state)
{
	struct rig rig;
	int go[2], status;
	char byte = 0;

	rig_init(&rig, *state);
	rig.record_bytes = 50000; /* more than a connection swallows at once */
	assert_int_equal(pipe(go), 0);
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		serve(&rig);
		publish(&rig, 1);
		struct pollfd fds[2] = { { .fd = go[0], .events = POLLIN },
					 { .fd = pn_link_server_fd(rig.server),
					   .events = POLLIN } };

		do {
			GOOD(&rig, pn_link_pump(rig.server, &rig.err));
			poll(fds, 2, 5);
		} while (!(fds[0].revents & POLLIN));
		publish(&rig, 14);
		end(&rig);
		pn_link_stop(rig.server);
		_exit(0);
	}
	struct pn_link *link = consume_with(&rig, PN_LINK_EVERY, 0, 32);

	take(&rig, link, 0, 1);
	assert_int_equal(write(go[1], &byte, 1), 1);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	take(&rig, link, 1, 15);
	take_end(&rig, link);
	pn_link_close(link);
	close(go[0]);
	close(go[1]);
	rig_finish(&rig);
}

int main(void)
{
	const struct {
		const char *name;
		CMUnitTestFunction run;
		int processes;
	} suite[] = {
		{ "order", test_order },
		{ "empty stream ends", test_empty_stream_ends },
		{ "consumer first", test_consumer_first },
		{ "producer restarts", test_producer_restarts },
		{ "consumer restarts", test_consumer_restarts },
		{ "freshest", test_freshest },
		{ "lagging", test_lagging },
		{ "several", test_several },
		{ "held back", test_held_back },
		{ "untold", test_untold },
		{ "leaves", test_leaves },
		{ "busy endpoint", test_busy_endpoint },
		{ "killed", test_killed, 1 },
		{ "exits", test_exits, 1 },
	};
	static struct CMUnitTest tests[PN_COUNT(ways) * PN_COUNT(suite) + 5];
	static char names[PN_COUNT(ways) * PN_COUNT(suite)][64];
	size_t count = 0;

	/* libzmq's own threads are not built for the thread sanitizer, which would accuse them */
#ifdef __SANITIZE_THREAD__
	const int only_mem = 1;
#else
	const int only_mem = 0;
#endif

	for (unsigned w = 0; w < (only_mem ? 1 : PN_COUNT(ways)); w++)
		for (unsigned t = 0; t < PN_COUNT(suite); t++) {
			if (suite[t].processes && w == 0)
				continue;
			snprintf(names[count], sizeof names[count], "%s: %s", ways[w].name,
				 suite[t].name);
			tests[count] = (struct CMUnitTest){ .name = names[count],
							    .test_func = suite[t].run,
							    .initial_state = &ways[w] };
			count++;
		}
	if (!only_mem) {
		tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_listener_credit);
		tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_strange_producer);
		tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_renewal);
		tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_failure);
		tests[count++] = (struct CMUnitTest)cmocka_unit_test(test_refused);
	}
	return _cmocka_run_group_tests("link", tests, count, NULL, NULL);
}
