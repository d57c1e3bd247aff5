/* SPDX-License-Identifier: GPL-3.0-or-later */
/* recording - one stream of whole camera frames to disk, against the bare disk. */
#include "bench.h"

#include "perrin/base/clock.h"
#include "perrin/stream/ceiling.h"
#include "perrin/stream/log.h"

#include <stdio.h>
#include <stdlib.h>

#define FRAME_BYTES  ((uint64_t)BENCH_NY * BENCH_NX * 2)
#define RECORD_BYTES ((FRAME_BYTES + 4096 + 4095) / 4096 * 4096) /* with header and padding */
#define IN_FLIGHT    8
#define POOL         4 /* frames copied from in turn: more than the caches near a core hold */

struct recording {
	unsigned char *pool;
	uint64_t frames; /* per turn */
	char engine[160];
};

static int append(struct pn_log_writer *writer, const void *frame, struct pn_error *err)
{
	const struct pn_msg msg = {
		.head = "x", .head_bytes = 1, .payload = frame, .payload_bytes = FRAME_BYTES
	};
	int rc = pn_log_append(writer, &msg, err);

	while (rc == PN_EAGAIN) {
		rc = pn_log_poll(writer, pn_now_ns(), 1, err);
		if (!rc)
			rc = pn_log_append(writer, &msg, err);
	}
	return rc;
}

static int record(struct bench *bench, struct recording *r, enum pn_durability durability,
		  double *seconds, struct pn_error *err)
{
	const struct pn_log_config config = { .dir = bench_path(bench, "frames"),
					      .durability = durability,
					      .interval_ms = 50,
					      .align = 4096,
					      .in_flight = IN_FLIGHT,
					      .chunk_bytes = 16 << 20,
					      .chunk_count = 8 };
	struct pn_log_writer *writer;
	int rc = pn_log_open(&writer, &config, NULL, err);

	if (rc)
		return rc;
	snprintf(r->engine, sizeof r->engine, "%s", pn_log_engine_text(writer));
	int64_t start_ns = pn_now_ns();
	for (uint64_t i = 0; i < r->frames && !rc; i++) {
		rc = append(writer, r->pool + i % POOL * FRAME_BYTES, err);
		if (!rc)
			rc = pn_log_poll(writer, pn_now_ns(), 0, err);
	}
	int closed = pn_log_finish(writer, 1, rc ? NULL : err);
	*seconds = (double)(pn_now_ns() - start_ns) * 1e-9;
	bench_remove(config.dir);
	return rc ? rc : closed;
}

static int measure(struct bench *bench, struct recording *r, struct pn_error *err)
{
	enum { CLOSE, INTERVAL, DISK, KINDS };
	double speed[KINDS][BENCH_TURNS_MAX], best[KINDS];
	struct pn_disk_ceiling disk = { .total_bytes = r->frames * RECORD_BYTES,
					.block_bytes = RECORD_BYTES,
					.in_flight = IN_FLIGHT };
	double megabytes = (double)(r->frames * RECORD_BYTES) * 1e-6;

	for (unsigned turn = 0; turn < bench->turns; turn++)
		/* each comes first, second and last: what a turn leaves the disk to do hits all */
		for (unsigned i = 0; i < KINDS; i++) {
			unsigned kind = (turn + i) % KINDS;
			double seconds;
			int rc;

			if (kind == DISK) {
				rc = pn_disk_ceiling(bench_path(bench, "ceiling"), &disk, err);
				seconds = disk.seconds;
			} else {
				rc = record(bench, r,
					    kind == CLOSE ? PN_DURABLE_CLOSE : PN_DURABLE_INTERVAL,
					    &seconds, err);
			}
			if (rc)
				return rc;
			speed[kind][turn] = megabytes / seconds;
		}
	for (int kind = 0; kind < KINDS; kind++)
		best[kind] = bench_median(speed[kind], bench->turns);
	for (int kind = CLOSE; kind <= INTERVAL; kind++) {
		struct bench_result *result = bench_add(bench, best[kind], "MB/s", "recording/%s",
							kind == CLOSE ? "close" : "interval_50ms");

		bench_ceiling(result, disk.direct ? "io_uring O_DIRECT" : "io_uring", best[DISK]);
		result->goal_kind = BENCH_RATIO_AT_LEAST;
		result->goal = 0.9;
		bench_note(result, "%s; files grow as written, not preallocated; %.2f GB a turn",
			   r->engine, megabytes * 1e-3);
	}
	return PN_OK;
}

static int run(struct bench *bench, struct pn_error *err)
{
	struct recording r = { .pool = bench_random(POOL * FRAME_BYTES, 1),
			       .frames = bench->small ? 12 : 240 };

	if (!r.pool)
		return pn_error_set(err, PN_ENOMEM, "no memory for frames");
	int rc = measure(bench, &r, err);
	free(r.pool);
	return rc;
}

const struct bench_row bench_recording = {
	.name = "recording",
	.brief = "the segment log to disk, against io_uring with O_DIRECT",
	.run = run,
};
