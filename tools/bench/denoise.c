/* SPDX-License-Identifier: GPL-3.0-or-later */
/* denoise - the blind-spot network on a stream of crops, and its training, against a bare
 * convolution. */
#include "denoise.h"

#include "perrin/base/clock.h"
#include "perrin/denoise/net.h"
#include "perrin/stream/hash.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define MOVIE       8                  /* different images, shown in turn */
#define MEMORY_MAX  (INT64_C(7) << 28) /* bytes of a denoiser: 1.75 GiB   */
#define LATENCIES   100
#define CASE_S      1.5 /* of the clock, after which no further turn begins */
#define LATENCIES_S 5.0

struct subject {
	const char *preset;
	struct pn_net *net;
	float *movie; /* [MOVIE][side][side] */
	int side;     /* px */
};

/* One particle, frame after frame. */
struct stream {
	const struct subject *subject;
	struct pn_denoiser *denoiser;
	float *out;
	int ny;
	uint64_t next;
	int rc;
	struct pn_error err;
};

/* ---- making --------------------------------------------------------------------------------- */

static void subject_drop(struct subject *s)
{
	pn_net_destroy(s->net);
	free(s->movie);
}

static int subject_make(struct subject *s, const char *preset, int side, struct pn_error *err)
{
	size_t pixels = (size_t)side * (size_t)side;
	struct pn_rng rng;

	*s = (struct subject){ .preset = preset, .side = side };
	int rc = pn_net_create(&s->net, &pn_preset_find(preset)->spec, pn_arith_best(), err);
	if (rc)
		return rc;
	const struct pn_net_layout *layout = pn_net_layout_of(s->net);
	float *params = malloc(layout->param_count * sizeof *params);
	s->movie = malloc(MOVIE * pixels * sizeof *s->movie);
	if (params && s->movie) {
		pn_rng_init(&rng, 1, 0);
		pn_net_params_init(layout, params, &rng);
		pn_net_load(s->net, params);
		for (int i = 0; i < MOVIE; i++)
			bench_particle(s->movie + (size_t)i * pixels, (size_t)side, (size_t)side,
				       side / 2.0 + i, side / 2.0 - i, (uint64_t)i);
	} else {
		rc = pn_error_set(err, PN_ENOMEM, "no memory for %d images", MOVIE);
	}
	free(params);
	return rc;
}

static void stream_close(struct stream *stream)
{
	pn_denoiser_destroy(stream->denoiser);
	free(stream->out);
}

/* The next frame of the movie, with those around it. */
static void stream_step(void *arg)
{
	struct stream *stream = arg;
	const struct subject *s = stream->subject;
	struct pn_window_frame frames[PN_NET_FRAMES_MAX];
	size_t pixels = (size_t)s->side * (size_t)s->side;
	uint64_t first = stream->next++;

	for (uint64_t n = 0; n < (uint64_t)pn_net_spec_of(s->net)->frames; n++)
		frames[n] = (struct pn_window_frame){
			.id = first + n, .image = s->movie + (first + n) % MOVIE * pixels
		};
	int rc = pn_denoiser_run(stream->denoiser, frames, stream->out, &stream->err);
	stream->rc = rc ? rc : stream->rc;
}

/* Through with its first window: from now on each frame is worth one. */
static int stream_open(struct stream *stream, const struct subject *s, int ny, uint64_t first,
		       struct pn_error *err)
{
	*stream = (struct stream){ .subject = s, .ny = ny, .next = first };
	stream->out = malloc((size_t)ny * (size_t)s->side * sizeof *stream->out);
	if (!stream->out)
		return pn_error_set(err, PN_ENOMEM, "no memory for %d x %d", ny, s->side);
	int rc = pn_denoiser_create(&stream->denoiser, s->net, ny, s->side, 15, 4, err);
	if (!rc)
		stream_step(stream);
	if (stream->rc)
		*err = stream->err;
	return rc ? rc : stream->rc;
}

static const char *threads_word(int threads)
{
	return threads == 1 ? "thread" : "threads";
}

/* ---- the ceiling itself --------------------------------------------------------------------- */

static int measure_bare(struct bench *bench, int side, int threads, struct pn_error *err)
{
	double seconds = bench->small ? 0.002 : 0.05, fma[BENCH_TURNS_MAX], conv[BENCH_TURNS_MAX];
	struct bench_bare bare;
	int rc = bench_bare_create(&bare, side, side, 1, err);

	if (rc)
		return rc;
	for (unsigned turn = 0; turn < bench->turns; turn++) {
		fma[turn] = bench_threads_rate(bench_fma_step, NULL, threads, seconds);
		conv[turn] = bench_threads_rate(bench_bare_step, &bare, threads, seconds);
	}
	double each = bare.flop * 1e-9, peak = bench_median(fma, bench->turns);
	struct bench_result *result =
		bench_add(bench, each * bench_median(conv, bench->turns), "GFLOP/s",
			  "denoise/bare/%dx%d/%d %s", side, side, threads, threads_word(threads));

	if (pn_arith_best() == PN_ARITH_F32)
		bench_ceiling(result, "float32 in registers alone",
			      peak * bench_fma_flop * 1e-9 * threads);
	bench_note(result, "%s, a 3x3 convolution of 32 channels to 32, the other rows' ceiling",
		   pn_arith_words[pn_arith_best()]);
	bench_bare_destroy(&bare);
	return PN_OK;
}

/* ---- streams -------------------------------------------------------------------------------- */

/* Images that would take more memory are measured by some of their rows. */
static int rows_that_fit(const struct subject *s)
{
	int ny = s->side;

	while (ny > 1 && pn_denoiser_bytes(s->net, ny, s->side) > (size_t)MEMORY_MAX)
		ny /= 2;
	return ny;
}

static void add_stream(struct bench *bench, const struct stream *stream, int threads, double run,
		       double bare_flop, uint64_t hash)
{
	const struct subject *s = stream->subject;
	double part = (double)stream->ny / s->side;
	double flop = 2 * pn_net_layout_of(s->net)->mac_per_px * s->side * s->side;
	struct bench_result *result =
		bench_add(bench, run * part, "frames/s", "denoise/%s/%dx%d/%d %s", s->preset,
			  s->side, s->side, threads, threads_word(threads));
	char rows[64] = "";

	bench_ceiling(result, BENCH_BARE_NAME, bare_flop / flop);
	result->hash = hash;
	if (stream->ny < s->side)
		snprintf(rows, sizeof rows, "; from %d rows of %d, for the memory", stream->ny,
			 s->side);
	bench_note(result, "%s, %.1f of %.1f GFLOP/s, %s%s", pn_arith_words[pn_arith_best()],
		   run * part * flop * 1e-9, bare_flop * 1e-9,
		   threads == 1 ? "CPU time" : "time of the clock", rows);
}

/* With one thread and with all of them, each in turns with its ceiling. */
static int measure_stream(struct bench *bench, const struct subject *s, int threads,
			  struct pn_error *err)
{
	double seconds = bench->small ? 0.005 : 0.25;
	double run[2][BENCH_TURNS_MAX], ceiling[2][BENCH_TURNS_MAX];
	const int counts[2] = { 1, threads };
	struct bench_bare bare = { 0 };
	struct stream stream;
	unsigned turn = 0;

	omp_set_num_threads(bench->small ? 1 : threads);
	int rc = stream_open(&stream, s, rows_that_fit(s), 0, err);
	if (!rc)
		rc = bench_bare_create(&bare, stream.ny, s->side, 1, err);
	if (!rc) {
		size_t bytes = (size_t)stream.ny * (size_t)s->side * sizeof *stream.out;
		uint64_t hash = pn_hash64(stream.out, bytes, 0);
		int64_t start_ns = pn_now_ns();

		for (; !bench_enough(bench, turn, start_ns, CASE_S); turn++)
			for (int i = 0; i < (threads > 1 ? 2 : 1); i++) {
				ceiling[i][turn] = bench_threads_rate(bench_bare_step, &bare,
								      counts[i], seconds / 2);
				run[i][turn] = bench_threads_rate(stream_step, &stream, counts[i],
								  seconds);
			}
		for (int i = 0; i < (threads > 1 ? 2 : 1); i++)
			add_stream(bench, &stream, counts[i], bench_median(run[i], turn),
				   bare.flop * bench_median(ceiling[i], turn), hash);
		rc = stream.rc;
		if (rc)
			*err = stream.err;
	}
	bench_bare_destroy(&bare);
	stream_close(&stream);
	return rc;
}

/* ---- one crop ------------------------------------------------------------------------------- */

static int measure_latency(struct bench *bench, const struct subject *s, int threads,
			   struct pn_error *err)
{
	double ms[LATENCIES];
	unsigned count = 0, most = bench->small ? 3 : LATENCIES;
	struct stream stream;

	if (bench->small)
		threads = 1; /* on a busy machine threads wait for each other at length */
	omp_set_num_threads(threads);
	int rc = stream_open(&stream, s, s->side, 0, err);
	if (!rc) {
		int64_t start_ns = pn_now_ns(), before_ns = start_ns, now_ns;

		do {
			stream_step(&stream);
			now_ns = pn_now_ns();
			ms[count++] = (double)(now_ns - before_ns) * 1e-6;
			before_ns = now_ns;
		} while (count < most && now_ns - start_ns < (int64_t)(LATENCIES_S * 1e9));
		double p50 = bench_median(ms, count); /* and sorted */
		for (int k = 0; k < 2; k++) {
			struct bench_result *result =
				bench_add(bench, k ? ms[count - 1 - count / 100] : p50, "ms",
					  "denoise/%s/%dx%d/%s", s->preset, s->side, s->side,
					  k ? "p99" : "p50");

			if (k)
				bench_ceiling(result, "p50", p50);
			bench_note(result, "one crop after another, %u of them, %d %s", count,
				   threads, threads_word(threads));
		}
		rc = stream.rc;
		if (rc)
			*err = stream.err;
	}
	stream_close(&stream);
	return rc;
}

/* ---- when behind ---------------------------------------------------------------------------- */

struct crowd {
	struct stream *streams;
	int count;
};

/* One frame of each particle: one after another, all threads on each; or a thread for each. */
static void crowd_in_turn(void *arg)
{
	const struct crowd *crowd = arg;

	for (int k = 0; k < crowd->count; k++)
		stream_step(&crowd->streams[k]);
}

static void crowd_at_once(void *arg)
{
	const struct crowd *crowd = arg;

#pragma omp parallel for schedule(static, 1) num_threads(crowd->count)
	for (int k = 0; k < crowd->count; k++)
		stream_step(&crowd->streams[k]);
}

static void compare(struct bench *bench, const struct subject *s, struct crowd *crowd)
{
	double seconds = bench->small ? 0.005 : 0.3;
	double in_turn[BENCH_TURNS_MAX], at_once[BENCH_TURNS_MAX];
	int64_t start_ns = pn_now_ns();
	unsigned turn = 0;

	for (; !bench_enough(bench, turn, start_ns, CASE_S); turn++) {
		in_turn[turn] = crowd->count *
				bench_threads_rate(crowd_in_turn, crowd, crowd->count, seconds);
		at_once[turn] = crowd->count *
				bench_threads_rate(crowd_at_once, crowd, crowd->count, seconds);
	}
	struct bench_result *result =
		bench_add(bench, bench_median(at_once, turn), "frames/s",
			  "denoise/%s/%dx%d/a thread each", s->preset, s->side, s->side);
	bench_ceiling(result, "all threads on each", bench_median(in_turn, turn));
	bench_note(result, "%d particles, as many threads: how to work off a backlog",
		   crowd->count);
}

/* As many particles as threads, or as the memory holds. */
static int measure_behind(struct bench *bench, const struct subject *s, int threads,
			  struct pn_error *err)
{
	size_t places = (size_t)MEMORY_MAX / pn_denoiser_bytes(s->net, s->side, s->side);
	struct crowd crowd = { .count = places < (size_t)threads ? (int)places : threads };
	int rc = PN_OK, open = 0;

	if (crowd.count < 2)
		return PN_OK;
	crowd.streams = calloc((size_t)crowd.count, sizeof *crowd.streams);
	if (!crowd.streams)
		return pn_error_set(err, PN_ENOMEM, "no memory for %d streams", crowd.count);
	omp_set_num_threads(bench->small ? 1 : threads);
	while (open < crowd.count && !rc) {
		rc = stream_open(&crowd.streams[open], s, s->side, (uint64_t)open, err);
		open++;
	}
	if (!rc)
		compare(bench, s, &crowd);
	for (int k = 0; k < open; k++) {
		if (crowd.streams[k].rc && !rc) {
			rc = crowd.streams[k].rc;
			*err = crowd.streams[k].err;
		}
		stream_close(&crowd.streams[k]);
	}
	free(crowd.streams);
	return rc;
}

/* ---- all ------------------------------------------------------------------------------------ */

static int measure_preset(struct bench *bench, const char *preset, int side, int crops, int threads,
			  struct pn_error *err)
{
	struct subject s;
	int rc = subject_make(&s, preset, side, err);

	if (!rc)
		rc = measure_stream(bench, &s, threads, err);
	if (!rc && crops)
		rc = measure_latency(bench, &s, threads, err);
	if (!rc && crops)
		rc = measure_behind(bench, &s, threads, err);
	subject_drop(&s);
	return rc;
}

static int run(struct bench *bench, struct pn_error *err)
{
	static const int sides[] = { 160, 256, 512 }, small_sides[] = { 16 };
	const int *side = bench->small ? small_sides : sides;
	size_t count = bench->small ? PN_COUNT(small_sides) : PN_COUNT(sides);
	int threads = omp_get_max_threads(), rc = PN_OK;

	for (size_t i = 0; i < count && !rc; i++) {
		rc = measure_bare(bench, side[i], 1, err);
		if (!rc && threads > 1)
			rc = measure_bare(bench, side[i], threads, err);
	}
	for (const struct pn_preset *preset = pn_presets; preset->name && !rc; preset++)
		for (size_t i = 0; i < count && !rc; i++)
			rc = measure_preset(bench, preset->name, side[i],
					    i == 0 && preset->spec.shared, threads, err);
	return rc ? rc : bench_train(bench, threads, err);
}

const struct bench_row bench_denoise = {
	.name = "denoise",
	.brief = "the denoising network on a stream, and its training, against a bare convolution",
	.run = run,
};
