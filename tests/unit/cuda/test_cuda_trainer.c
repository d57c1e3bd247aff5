/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A trainer whose clips the GPU's kernels compute learns what it learns on the processor. */
#include "testkit.h"

#include "perrin/base/rng.h"
#include "perrin/cuda/denoise.h"
#include "perrin/denoise/pool.h"

#include <math.h>
#include <string.h>

enum { N = 40, FRAMES = 12, STEPS = 12 };

static const struct pn_net_spec spec = { .frames = 5,
					 .blocks = 2,
					 .channels = 8,
					 .spot_px = 1,
					 .shared = 1,
					 .neighbor_channels = 8,
					 .tap_channels = 8,
					 .head1 = 8 };

static struct pn_pool *movie(void)
{
	static float image[N * N];
	struct pn_pool *pool;

	assert_int_equal(pn_pool_create(&pool, FRAMES, NULL), PN_OK);
	for (uint64_t f = 0; f < FRAMES; f++) {
		struct pn_window_crop crop = { 0, f, 0, 0, N, N };
		struct pn_rng rng;

		pn_rng_init(&rng, 2, f);
		for (int k = 0; k < N * N; k++)
			image[k] = (float)(50 + 8 * sin(0.9 * (k % N) + 0.2 * (double)f) +
					   4 * pn_rng_gauss(&rng));
		assert_int_equal(pn_pool_add(pool, &crop, image, NULL), PN_OK);
	}
	return pool;
}

/* Losses of the steps, by an engine or by the processor. */
static void train(double *losses, double *validation, const struct pn_train_engine *engine)
{
	struct pn_pool *pool = movie();
	struct pn_train_source source = pn_pool_source(pool);
	struct pn_train_settings settings;
	struct pn_trainer *trainer;

	pn_params_default(pn_train_params, &settings);
	settings.crop_px = 32;
	settings.batch = 4;
	settings.targets = 2;
	settings.warmup = 2;
	settings.rate = 5e-3;
	assert_int_equal(pn_trainer_create(&trainer, &spec, PN_ARITH_F32, &settings, NULL), PN_OK);
	pn_trainer_use(trainer, engine);
	assert_int_equal(pn_trainer_standardize(trainer, &source, NULL), PN_OK);
	for (int s = 0; s < STEPS; s++)
		assert_int_equal(pn_trainer_step(trainer, &source, &losses[s], NULL), PN_OK);
	assert_int_equal(pn_trainer_validate(trainer, &source, 0, 4, validation, NULL), PN_OK);
	pn_trainer_destroy(trainer);
	pn_pool_destroy(pool);
}

static void check(enum pn_cuda_engine kind)
{
	struct pn_cuda_learner *learner;
	double cpu[STEPS], gpu[STEPS], validation[2];

	assert_int_equal(pn_cuda_learner_create(&learner, &spec, kind, NULL), PN_OK);
	train(cpu, &validation[0], NULL);
	train(gpu, &validation[1],
	      &(struct pn_train_engine){ learner, pn_cuda_learner_load, pn_cuda_learner_learn });
	/* bfloat16 against float32: a per cent of the loss after some steps, exact at the first */
	for (int s = 0; s < STEPS; s++)
		assert_true(fabs(gpu[s] - cpu[s]) < 0.01 * cpu[s]);
	assert_true(fabs(validation[1] - validation[0]) < 0.01 * validation[0]);
	pn_cuda_learner_destroy(learner);
}

static void emulated_kernels_learn_the_same(void **state)
{
	(void)state;
	check(PN_CUDA_EMULATED);
}

static void a_device_learns_the_same(void **state)
{
	const char *why;

	(void)state;
	if (!pn_cuda_available(&why)) {
		print_message("%s\n", why);
		skip();
	}
	check(PN_CUDA_DEVICE);
}

/* A device that fails in the middle: the step says so, and nothing has changed. */
static int broken(void *arg, int side_px, int targets, int count, const float *images, double slope,
		  double *squares, float *d_params, struct pn_error *err)
{
	(void)arg, (void)side_px, (void)targets, (void)count, (void)images, (void)slope;
	(void)squares, (void)d_params;
	return pn_error_set(err, PN_EIO, "device: gone");
}

static int loaded(void *arg, const float *params, struct pn_error *err)
{
	(void)arg, (void)params, (void)err;
	return PN_OK;
}

static void a_broken_engine_is_told(void **state)
{
	struct pn_pool *pool = movie();
	struct pn_train_source source = pn_pool_source(pool);
	struct pn_train_settings settings;
	struct pn_trainer *trainer;
	struct pn_error err = { 0 };
	double loss;

	(void)state;
	pn_params_default(pn_train_params, &settings);
	settings.crop_px = 32;
	assert_int_equal(pn_trainer_create(&trainer, &spec, PN_ARITH_F32, &settings, NULL), PN_OK);
	pn_trainer_use(trainer, &(struct pn_train_engine){ NULL, loaded, broken });
	assert_int_equal(pn_trainer_standardize(trainer, &source, NULL), PN_OK);
	assert_int_equal(pn_trainer_step(trainer, &source, &loss, &err), PN_EIO);
	assert_string_equal(err.text, "device: gone");
	assert_int_equal(pn_trainer_result(trainer).steps, 0);
	pn_trainer_destroy(trainer);
	pn_pool_destroy(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(emulated_kernels_learn_the_same),
		cmocka_unit_test(a_device_learns_the_same),
		cmocka_unit_test(a_broken_engine_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
