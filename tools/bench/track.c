/* SPDX-License-Identifier: GPL-3.0-or-later */
/* track - the tracker on one core, on cropped and on whole camera frames. */
#include "bench.h"

#include "perrin/image/track.h"
#include "perrin/stream/hash.h"

#include <omp.h>
#include <stdlib.h>

#define MOVIE 8 /* different frames, shown in turn */

struct track {
	struct pn_tracker *tracker;
	float *movie;
	size_t pixels;
	unsigned next;
	struct pn_track tracks[PN_TRACKS_MAX];
	size_t count;
};

static void update(void *arg)
{
	struct track *t = arg;
	const float *frame = t->movie + t->next++ % MOVIE * t->pixels;

	pn_tracker_update(t->tracker, frame, t->tracks, &t->count, NULL);
}

static int measure(struct bench *bench, size_t ny, size_t nx, struct pn_error *err)
{
	struct pn_tracker_params params = { 0 };
	struct track t = { .pixels = ny * nx };

	pn_params_default(pn_tracker_param_table, &params);
	params.pixel_pm = 35.8;
	int rc = pn_tracker_create(&t.tracker, ny, nx, &params, err);

	if (rc)
		return rc;
	t.movie = malloc(MOVIE * t.pixels * sizeof *t.movie);
	if (!t.movie) {
		pn_tracker_destroy(t.tracker);
		return pn_error_set(err, PN_ENOMEM, "no memory for %d frames", MOVIE);
	}
	for (unsigned i = 0; i < MOVIE; i++)
		bench_particle(t.movie + i * t.pixels, ny, nx, ny / 2.0 + i, nx / 2.0 - i, i);
	/* the first frames are searched as a whole and fill the means; not what lasts */
	for (unsigned i = 0; i < (bench->small ? 2u : 100u); i++)
		update(&t);
	uint64_t hash = pn_hash64(t.tracks, t.count * sizeof *t.tracks, 0);
	double rate[BENCH_TURNS_MAX];

	for (unsigned turn = 0; turn < bench->turns; turn++)
		rate[turn] = bench_rate(update, &t, bench->small ? 0.02 : 0.5);
	struct bench_result *result = bench_add(bench, bench_median(rate, bench->turns), "frames/s",
						"track/%zux%zu", nx, ny);
	result->hash = hash;
	bench_note(result, "CPU time of one core, %zu particles followed", t.count);
	free(t.movie);
	pn_tracker_destroy(t.tracker);
	return PN_OK;
}

static int run(struct bench *bench, struct pn_error *err)
{
	omp_set_num_threads(1);
	int rc = measure(bench, 256, 256, err);

	return rc || bench->small ? rc : measure(bench, BENCH_NY, BENCH_NX, err);
}

const struct bench_row bench_track = {
	.name = "track",
	.brief = "frames tracked on one core",
	.run = run,
};
