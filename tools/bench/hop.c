/* SPDX-License-Identifier: GPL-3.0-or-later */
/* hop - whole camera frames from one process to another that reads every byte, against memcpy. */
#include "bench.h"

#include "perrin/base/clock.h"
#include "perrin/link/link.h"
#include "perrin/link/socket.h"
#include "perrin/stream/log.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FRAME_BYTES ((uint64_t)BENCH_NY * BENCH_NX * 2)
#define POOL        16 /* frames copied from in turn, 106 MB; so many are in the window too */
#define CHUNK_BYTES (UINT64_C(16) << 20)
#define CHUNKS      8
#define AHEAD       8 /* frames in the window that are still to be read, when no disk has them */
#define WAIT_NS     (5 * PN_NS_PER_S)
#define CONNECT_NS  (50 * PN_NS_PER_MS) /* nothing comes in it but the connection */

struct hop {
	struct bench *bench;
	unsigned char *pool;
	uint64_t pool_sum[POOL];
	uint64_t frames; /* per turn */
	uint64_t warm;   /* of them not counted: until every page of the window was touched */
	struct pn_window *window;
	enum pn_log_engine engine;
	char endpoint[PATH_MAX + 16];
	struct bench_gate gate;
};

static const unsigned char *frame_of(const struct hop *h, uint64_t i)
{
	return h->pool + i % POOL * FRAME_BYTES;
}

static uint64_t expected_sum(const struct hop *h)
{
	uint64_t sum = 0;

	for (uint64_t i = 0; i < h->frames; i++)
		sum += h->pool_sum[i % POOL];
	return sum;
}

static int check_sum(const struct hop *h, uint64_t sum, struct pn_error *err)
{
	if (sum == expected_sum(h))
		return PN_OK;
	return pn_error_set(err, PN_ECORRUPT, "hop: what came is not what was sent");
}

/* ---- the producer -------------------------------------------------------------------------- */

static int append(struct pn_log_writer *writer, struct pn_link_server *server,
		  const struct pn_msg *msg, struct pn_error *err)
{
	for (;;) {
		int rc = pn_log_append(writer, msg, err);

		if (rc != PN_EAGAIN)
			return rc ? rc : pn_link_published(server, pn_log_count(writer), 0, err);
		rc = pn_log_poll(writer, pn_now_ns(), 0, err);
		if (!rc)
			rc = pn_link_pump(server, err);
		if (rc)
			return rc;
		pn_sleep_ns(PN_NS_PER_MS / 20); /* the reader is behind, or the disk is */
	}
}

static int write_stream(const struct hop *h, struct pn_log_writer *writer,
			struct pn_link_server *server, struct pn_error *err)
{
	struct pn_msg msg = { .head = "x", .head_bytes = 1, .payload_bytes = FRAME_BYTES };
	int rc = PN_OK;

	for (uint64_t i = 0; i < h->frames && !rc; i++) {
		while (h->engine == PN_ENGINE_NONE && i >= h->bench->taken + AHEAD)
			pn_sleep_ns(PN_NS_PER_MS / 20);
		msg.payload = frame_of(h, i);
		rc = append(writer, server, &msg, err);
		if (!rc)
			rc = pn_log_poll(writer, pn_now_ns(), 0, err);
		if (!rc)
			rc = pn_link_pump(server, err);
	}
	return rc;
}

static int produce_stream(struct bench *bench, void *arg, struct pn_error *err)
{
	struct hop *h = arg;
	const struct pn_log_config config = { .dir = bench_path(bench, "frames"),
					      .durability = PN_DURABLE_INTERVAL,
					      .interval_ms = 50,
					      .engine = h->engine,
					      .window = h->window };
	struct pn_log_writer *writer = NULL;
	struct pn_link_server *server = NULL;
	int rc = pn_log_open(&writer, &config, NULL, err);

	if (!rc)
		rc = pn_link_serve(&server, h->endpoint, config.dir, h->window, err);
	if (!rc)
		bench_gate_ready(&h->gate);
	if (!rc)
		rc = write_stream(h, writer, server, err);
	int closed = pn_log_finish(writer, 1, rc ? NULL : err);
	rc = rc ? rc : closed;
	if (!rc)
		bench_gate_hold(&h->gate);
	pn_link_stop(server);
	return rc;
}

static int produce_zmq(struct bench *bench, void *arg, struct pn_error *err)
{
	struct hop *h = arg;
	struct pn_socket *socket = NULL;
	int rc = pn_socket_open(&socket, PN_SOCKET_PUSH, h->endpoint, 1, 4, err);

	(void)bench;
	if (!rc)
		bench_gate_ready(&h->gate);
	for (uint64_t i = 0; i < h->frames && !rc; i++) {
		const struct pn_part part = { frame_of(h, i), FRAME_BYTES };

		while ((rc = pn_socket_send(socket, &part, 1, err)) == PN_EAGAIN)
			pn_sleep_ns(PN_NS_PER_MS / 20);
	}
	if (!rc)
		bench_gate_hold(&h->gate);
	pn_socket_close(socket);
	return rc;
}

/* ---- the consumer -------------------------------------------------------------------------- */

static int consume_link(struct hop *h, double *rate, struct pn_error *err)
{
	const struct pn_link_config config = { .endpoint = h->endpoint,
					       .dir = bench_path(h->bench, "frames"),
					       .window = h->window };
	struct pn_link *link;
	struct pn_msg msg;
	uint64_t sum = 0;
	int rc = pn_link_open(&link, &config, err);

	if (rc)
		return rc;
	h->bench->taken = 0;
	pn_link_pull(link, CONNECT_NS, &msg, NULL, err);
	int64_t start_ns = pn_now_ns();
	bench_gate_go(&h->gate);
	for (uint64_t i = 0; i < h->frames && !rc; i++) {
		if (i == h->warm)
			start_ns = pn_now_ns();
		rc = pn_link_pull(link, WAIT_NS, &msg, NULL, err);
		if (!rc)
			sum += bench_sum(msg.payload, msg.payload_bytes);
		h->bench->taken = i + 1;
	}
	*rate = (double)(h->frames - h->warm) * 1e9 / (double)(pn_now_ns() - start_ns);
	pn_link_close(link);
	return rc ? rc : check_sum(h, sum, err);
}

static int consume_zmq(struct hop *h, double *rate, struct pn_error *err)
{
	struct pn_socket *socket;
	struct pn_part part;
	unsigned count;
	uint64_t sum = 0;
	int rc = pn_socket_open(&socket, PN_SOCKET_PULL, h->endpoint, 0, 4, err);

	if (rc)
		return rc;
	pn_socket_receive(socket, CONNECT_NS, &part, &count, err);
	int64_t start_ns = pn_now_ns();
	bench_gate_go(&h->gate);
	for (uint64_t i = 0; i < h->frames && !rc; i++) {
		if (i == h->warm)
			start_ns = pn_now_ns();
		rc = pn_socket_receive(socket, WAIT_NS, &part, &count, err);
		if (!rc)
			sum += bench_sum(part.data, part.bytes);
	}
	*rate = (double)(h->frames - h->warm) * 1e9 / (double)(pn_now_ns() - start_ns);
	pn_socket_close(socket);
	return rc ? rc : check_sum(h, sum, err);
}

static int hop(struct hop *h, int zmq, double *rate, struct pn_error *err)
{
	pid_t child;

	snprintf(h->endpoint, sizeof h->endpoint, "ipc://%s/%s", h->bench->dir,
		 zmq ? "zmq" : "link");
	int rc = bench_gate_init(&h->gate, err);
	if (!rc)
		rc = bench_fork(&child, h->bench, zmq ? produce_zmq : produce_stream, h, err);
	if (rc)
		return rc;
	bench_gate_wait(&h->gate);
	rc = zmq ? consume_zmq(h, rate, err) : consume_link(h, rate, err);
	bench_gate_finish(&h->gate);
	return bench_part(child, h->bench, rc, err);
}

static int hop_window(struct hop *h, enum pn_log_engine engine, double *rate, struct pn_error *err)
{
	int rc = pn_window_create(&h->window, CHUNK_BYTES, CHUNKS, err);

	if (rc)
		return rc;
	h->engine = engine;
	rc = hop(h, 0, rate, err);
	pn_window_destroy(h->window);
	h->window = NULL;
	return rc;
}

/* ---- in one process ------------------------------------------------------------------------ */

/* From the pool into as much memory as the window has. */
static double copy(const struct hop *h, unsigned char *ring)
{
	int64_t start_ns = pn_now_ns();

	for (uint64_t i = 0; i < h->frames; i++)
		memcpy(ring + i % POOL * FRAME_BYTES, frame_of(h, i), FRAME_BYTES);
	return (double)h->frames * 1e9 / (double)(pn_now_ns() - start_ns);
}

/* What the hop before left on disk, mapped and verified; every byte read as well. */
static int read_segments(struct hop *h, double *rate, struct pn_error *err)
{
	struct pn_log_reader *reader;
	struct pn_msg msg;
	uint64_t sum = 0;
	int rc = pn_log_read_open(&reader, bench_path(h->bench, "frames"), NULL, 0, 0, err);

	if (rc)
		return rc;
	int64_t start_ns = pn_now_ns();
	for (uint64_t i = 0; i < h->frames && !rc; i++) {
		rc = pn_log_read(reader, &msg, err);
		if (!rc)
			sum += bench_sum(msg.payload, msg.payload_bytes);
	}
	*rate = (double)h->frames * 1e9 / (double)(pn_now_ns() - start_ns);
	pn_log_read_close(reader);
	return rc ? rc : check_sum(h, sum, err);
}

/* ---- all ----------------------------------------------------------------------------------- */

enum { COPY, WINDOW, RECORDED, COLD, WARM, ZMQ, KINDS };
static const char *const names[KINDS] = {
	[WINDOW] = "hop/window",       [RECORDED] = "hop/window+recording",
	[COLD] = "hop/segments, cold", [WARM] = "hop/segments, cached",
	[ZMQ] = "hop/bare zeromq ipc",
};
static const char *const notes[KINDS] = {
	[WINDOW] = "copied in, hashed, read in place by another process; nothing on disk",
	[RECORDED] = "the same, and to disk: the disk may be what limits it",
	[COLD] = "one process, segments mapped and verified, from the disk",
	[WARM] = "the same again, from the page cache",
	[ZMQ] = "payload through the socket; not hashed",
};

static int take_turn(struct hop *h, unsigned char *ring, double rate[KINDS], struct pn_error *err)
{
	rate[COPY] = copy(h, ring);
	int rc = hop_window(h, PN_ENGINE_NONE, &rate[WINDOW], err);

	bench_remove(bench_path(h->bench, "frames"));
	if (!rc)
		rc = hop_window(h, PN_ENGINE_AUTO, &rate[RECORDED], err);
	if (!rc)
		rc = read_segments(h, &rate[COLD], err);
	if (!rc)
		rc = read_segments(h, &rate[WARM], err);
	bench_remove(bench_path(h->bench, "frames"));
	return rc ? rc : hop(h, 1, &rate[ZMQ], err);
}

static int measure(struct hop *h, unsigned char *ring, struct pn_error *err)
{
	double rate[BENCH_TURNS_MAX][KINDS], median[KINDS];
	const double megabytes = (double)FRAME_BYTES * 1e-6;

	copy(h, ring); /* its pages are there now, as those of the window soon are */
	for (unsigned turn = 0; turn < h->bench->turns; turn++) {
		int rc = take_turn(h, ring, rate[turn], err);

		if (rc)
			return rc;
	}
	for (int kind = 0; kind < KINDS; kind++) {
		double values[BENCH_TURNS_MAX];

		for (unsigned turn = 0; turn < h->bench->turns; turn++)
			values[turn] = rate[turn][kind];
		median[kind] = bench_median(values, h->bench->turns);
	}
	for (int kind = WINDOW; kind < KINDS; kind++) {
		struct bench_result *result =
			bench_add(h->bench, median[kind] * megabytes, "MB/s", "%s", names[kind]);

		bench_ceiling(result, "memcpy in one process", median[COPY] * megabytes);
		bench_note(result, "%s", notes[kind]);
		result->hash = expected_sum(h);
		if (kind == WINDOW || kind == RECORDED) {
			result->goal_kind = BENCH_RATIO_AT_LEAST;
			result->goal = 0.5;
		}
	}
	return PN_OK;
}

static int run(struct bench *bench, struct pn_error *err)
{
	struct hop h = { .bench = bench,
			 .pool = bench_random(POOL * FRAME_BYTES, 2),
			 .frames = bench->small ? 8 : 160,
			 .warm = bench->small ? 1 : 2 * POOL };
	unsigned char *ring = aligned_alloc(4096, POOL * FRAME_BYTES);
	int rc = h.pool && ring ? PN_OK : pn_error_set(err, PN_ENOMEM, "no memory for frames");

	for (unsigned i = 0; i < POOL && !rc; i++)
		h.pool_sum[i] = bench_sum(frame_of(&h, i), FRAME_BYTES);
	if (!rc)
		rc = measure(&h, ring, err);
	free(h.pool);
	free(ring);
	return rc;
}

const struct bench_row bench_hop = {
	.name = "hop",
	.brief = "frames from process to process, against memcpy",
	.run = run,
};
