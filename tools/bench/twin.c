/* SPDX-License-Identifier: GPL-3.0-or-later */
/* twin - frames of the liquid-cell scene, with one and with two threads. */
#include "bench.h"

#include "perrin/base/clock.h"
#include "perrin/stream/hash.h"
#include "perrin/twin/scene.h"

#include <omp.h>
#include <stdlib.h>

#define FRAMES_MAX 32

struct twin {
	struct pn_scene *scene;
	void *pixels;
	size_t side, frames, frame_bytes;
};

static int render(struct twin *t, int threads, double *rate, uint64_t *hash, struct pn_error *err)
{
	omp_set_num_threads(threads);
	int64_t start_ns = pn_now_ns();
	int rc = pn_scene_render(t->scene, 0, t->frames, t->pixels, NULL, err);

	*rate = (double)t->frames * 1e9 / (double)(pn_now_ns() - start_ns);
	*hash = pn_hash64(t->pixels, t->frames * t->frame_bytes, 0);
	return rc;
}

static int measure(struct bench *bench, struct twin *t, struct pn_error *err)
{
	double rate[2][BENCH_TURNS_MAX];
	uint64_t hash[2];

	for (unsigned turn = 0; turn < bench->turns; turn++)
		for (int i = 0; i < 2; i++) {
			int rc = render(t, i + 1, &rate[i][turn], &hash[i], err);

			if (rc)
				return rc;
		}
	if (hash[0] != hash[1])
		return pn_error_set(err, PN_ECORRUPT, "one and two threads render other frames");
	double one = bench_median(rate[0], bench->turns);
	struct bench_result *result =
		bench_add(bench, one, "frames/s", "twin/%zux%zu/1 thread", t->side, t->side);
	result->hash = hash[0];
	result = bench_add(bench, bench_median(rate[1], bench->turns), "frames/s",
			   "twin/%zux%zu/2 threads", t->side, t->side);
	result->hash = hash[1];
	bench_ceiling(result, "twice one thread", 2 * one);
	return PN_OK;
}

static int run(struct bench *bench, struct pn_error *err)
{
	struct twin t = { .side = bench->small ? 64 : 256,
			  .frames = bench->small ? 2 : FRAMES_MAX };
	struct pn_scene_params params = { 0 };

	pn_params_default(pn_scene_param_table, &params);
	params.seed = 1;
	params.ny = params.nx = (int64_t)t.side;
	params.dtype = PN_SCENE_U16;
	t.frame_bytes = t.side * t.side * 2;
	int rc = pn_scene_create(&t.scene, &params, err);

	if (rc)
		return rc;
	t.pixels = aligned_alloc(64, t.frames * t.frame_bytes);
	rc = t.pixels ? measure(bench, &t, err)
		      : pn_error_set(err, PN_ENOMEM, "no memory for %zu frames", t.frames);
	free(t.pixels);
	pn_scene_destroy(t.scene);
	return rc;
}

const struct bench_row bench_twin = {
	.name = "twin",
	.brief = "simulated frames of the liquid cell",
	.run = run,
};
