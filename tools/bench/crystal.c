/* SPDX-License-Identifier: GPL-3.0-or-later */
/* crystal - the kernel of R5 and R6 on one core, and the share of FFTW in it. */
#include "bench.h"

#include "perrin/image/crystal.h"
#include "perrin/math/fft.h"
#include "perrin/stream/hash.h"

#include <complex.h>
#include <omp.h>
#include <stdlib.h>

#define PIXEL_PM 35.8

struct crystal {
	struct pn_crystal *plan;
	struct pn_fft *fft;
	float *crop, *scratch; /* [side][side] */
	float complex *wave;   /* [side][side / 2 + 1] */
	struct pn_crystal_result result;
};

static void execute(void *arg)
{
	struct crystal *c = arg;

	pn_crystal_execute(c->plan, c->crop, NULL, 0, &c->result);
}

static void execute_and_size(void *arg)
{
	struct crystal *c = arg;

	pn_crystal_execute(c->plan, c->crop, NULL, 0, &c->result);
	pn_crystal_size(c->plan, c->crop, &c->result);
}

static void transform(void *arg)
{
	struct crystal *c = arg;

	pn_fft_execute(c->fft, c->scratch, c->wave);
}

static void measure(struct bench *bench, struct crystal *c, unsigned side)
{
	static void (*const steps[])(void *) = { execute, transform, execute_and_size };
	static const char *const names[] = { "execute", NULL, "execute+size" };
	double rate[PN_COUNT(steps)][BENCH_TURNS_MAX], fft;
	double seconds = bench->small ? 0.02 : 0.3;

	for (unsigned turn = 0; turn < bench->turns; turn++)
		for (size_t i = 0; i < PN_COUNT(steps); i++)
			rate[i][turn] = bench_rate(steps[i], c, seconds);
	fft = bench_median(rate[1], bench->turns);
	for (size_t i = 0; i < PN_COUNT(steps); i += 2) {
		struct bench_result *result =
			bench_add(bench, bench_median(rate[i], bench->turns), "frames/s",
				  "crystal/%ux%u/%s", side, side, names[i]);

		/* one transform a crop, so rate over rate is its share of the time */
		bench_ceiling(result, "its FFT alone", fft);
		steps[i](c);
		result->hash = pn_hash64(&c->result, sizeof c->result, 0);
		bench_note(result, "CPU time of one core; ratio: the share of it spent in FFTW");
	}
}

static int measure_side(struct bench *bench, unsigned side, struct pn_error *err)
{
	struct pn_crystal_params params = { 0 };
	struct crystal c = { .crop = pn_fft_alloc(side * side * sizeof(float)),
			     .scratch = pn_fft_alloc(side * side * sizeof(float)),
			     .wave = pn_fft_alloc(side * (side / 2 + 1) * sizeof(float complex)) };
	int rc = c.crop && c.scratch && c.wave ? PN_OK : pn_error_set(err, PN_ENOMEM, "no memory");

	pn_params_default(pn_crystal_param_table, &params);
	params.pixel_pm = PIXEL_PM;
	if (!rc)
		rc = pn_crystal_create(&c.plan, side, side, &params, err);
	size_t ny = 0, nx = 0;
	if (!rc)
		pn_crystal_window(c.plan, &ny, &nx);
	if (!rc)
		rc = pn_fft_plan(&c.fft, PN_FFT_R2C, ny, nx, 0, err);
	if (!rc) {
		bench_particle(c.crop, side, side, side / 2.0, side / 2.0, 1);
		bench_particle(c.scratch, side, side, side / 2.0, side / 2.0, 1);
		measure(bench, &c, side);
	}
	pn_fft_destroy(c.fft);
	pn_crystal_destroy(c.plan);
	pn_fft_free(c.crop);
	pn_fft_free(c.scratch);
	pn_fft_free(c.wave);
	return rc;
}

static int run(struct bench *bench, struct pn_error *err)
{
	omp_set_num_threads(1);
	int rc = measure_side(bench, 160, err);

	return rc ? rc : measure_side(bench, 256, err);
}

const struct bench_row bench_crystal = {
	.name = "crystal",
	.brief = "crystallinity and size of a crop, and the share of FFTW in it",
	.run = run,
};
