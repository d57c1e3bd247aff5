/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/rng.h"
#include "perrin/image/vst.h"
#include "testkit.h"

#include <math.h>
#include <string.h>

static const struct pn_noise_model models[] = {
	{ .gain = 1, .offset = 0, .readout = 0 },    { .gain = 10, .offset = 100, .readout = 0 },
	{ .gain = 2, .offset = -3, .readout = 0.4 }, { .gain = 1, .offset = 0, .readout = 1 },
	{ .gain = 3, .offset = 20, .readout = 9 },   { .gain = 0.1, .offset = 0, .readout = 2 },
};

enum { COUNTS = 500 };

/* E of f given p electrons, over a fine grid of the readout noise, plainly. */
static void roots_by_the_book(const struct pn_noise_model *m, double *root)
{
	double s = m->readout / m->gain;

	for (int p = 0; p < COUNTS; p++) {
		double inner = 0, norm = 0;

		for (int i = -4000; i <= 4000; i++) {
			double x = i * 0.0022, g = exp(-x * x / 2);

			inner += g * 2 * sqrt(fmax(p + s * x + 0.375 + s * s, 0));
			norm += g;
		}
		root[p] = inner / norm;
	}
}

/* E[f | y] */
static double mean_by_the_book(const double *root, double y)
{
	double sum = 0, weight = exp(-y);

	for (int p = 0; p < COUNTS; p++) {
		sum += weight * root[p];
		weight *= y / (p + 1);
	}
	return sum;
}

/* The mean of f goes back to the mean of z: the definition, at low counts and high. */
static void inverse_is_unbiased(void **state)
{
	static const double electrons[] = { 0, 0.01, 0.1, 0.5, 1, 2, 5, 10, 30, 80, 99, 101, 130 };
	double worst = 0, root[COUNTS];

	(void)state;
	for (size_t i = 0; i < PN_COUNT(models); i++) {
		const struct pn_noise_model *m = &models[i];
		struct pn_vst *vst;

		assert_int_equal(pn_vst_create(&vst, m, NULL), PN_OK);
		roots_by_the_book(m, root);
		for (size_t k = 0; k < PN_COUNT(electrons); k++) {
			double y = electrons[k], mean = mean_by_the_book(root, y);
			double sd = sqrt(m->gain * m->gain * y + m->readout * m->readout) +
				    0.1 * m->gain;
			float value = (float)mean, back;

			/* the sum is that good where the root has its edge */
			assert_true(fabs(pn_vst_mean(vst, y) - mean) < 1e-5);
			pn_vst_inverse(vst, &back, &value, 1);
			double miss = fabs(back - m->offset - m->gain * y) / sd;

			worst = fmax(worst, miss);
			assert_true(miss < 3e-5);
		}
		pn_vst_destroy(vst);
	}
	print_message("largest error of the inverse: %.1e of the noise\n", worst);
}

/* The closed form of Makitalo and Foi, by another way to the same inverse: theirs is an
 * approximation good to a few per cent of the noise. */
static void closed_form_agrees(void **state)
{
	double worst = 0;

	(void)state;
	for (size_t i = 0; i < PN_COUNT(models); i++) {
		const struct pn_noise_model *m = &models[i];
		double s2 = pow(m->readout / m->gain, 2);
		struct pn_vst *vst;

		assert_int_equal(pn_vst_create(&vst, m, NULL), PN_OK);
		for (double y = 1; y < 3000; y *= 1.3) {
			double d = pn_vst_mean(vst, y);
			double closed = d * d / 4 + 0.25 * sqrt(1.5) / d - 11 / (8 * d * d) +
					0.625 * sqrt(1.5) / (d * d * d) - 0.125 - s2;

			worst = fmax(worst, fabs(closed - y) / sqrt(y + s2));
			assert_true(fabs(closed - y) < 0.05 * sqrt(y + s2));
			if (y > 200)
				assert_true(fabs(closed - y) < 0.003 * sqrt(y + s2));
		}
		pn_vst_destroy(vst);
	}
	print_message("closed form off by at most %.3f of the noise\n", worst);
}

/* Random pixels: standard deviation 1 after the transform, and the mean comes back. */
static void noise_becomes_even(void **state)
{
	enum { TRIES = 200000 };
	static float z[TRIES], f[TRIES];

	(void)state;
	for (size_t i = 1; i < 4; i++)
		for (double y = 4; y < 500; y *= 5) {
			const struct pn_noise_model *m = &models[i];
			double sum = 0, squares = 0;
			struct pn_vst *vst;
			struct pn_rng rng;

			pn_rng_init(&rng, 3, i);
			for (int k = 0; k < TRIES; k++)
				z[k] = (float)(m->offset + m->gain * pn_rng_poisson(&rng, y) +
					       m->readout * pn_rng_gauss(&rng));
			assert_int_equal(pn_vst_create(&vst, m, NULL), PN_OK);
			pn_vst_forward(vst, f, z, TRIES);
			for (int k = 0; k < TRIES; k++)
				sum += f[k];
			for (int k = 0; k < TRIES; k++)
				squares += pow(f[k] - sum / TRIES, 2);
			float mean = (float)(sum / TRIES), back;

			pn_vst_inverse(vst, &back, &mean, 1);
			assert_true(fabs(sqrt(squares / TRIES) - 1) < 0.03);
			double se = sqrt((m->gain * m->gain * y + m->readout * m->readout) / TRIES);

			assert_true(fabs(back - m->offset - m->gain * y) < 4 * se);
			pn_vst_destroy(vst);
		}
}

/* The inverse rises everywhere: across the end of the table, and below its begin. */
static void inverse_is_monotone(void **state)
{
	enum { STEPS = 40000 };
	static float value[STEPS], back[STEPS];

	(void)state;
	for (size_t i = 0; i < PN_COUNT(models); i++) {
		struct pn_vst *vst;

		assert_int_equal(pn_vst_create(&vst, &models[i], NULL), PN_OK);
		double low = pn_vst_mean(vst, 0) - 1, high = pn_vst_mean(vst, 300);

		for (int k = 0; k < STEPS; k++)
			value[k] = (float)(low + (high - low) * k / STEPS);
		pn_vst_inverse(vst, back, value, STEPS);
		for (int k = 1; k < STEPS; k++)
			assert_true(back[k] >= back[k - 1]);
		assert_true(back[0] < models[i].offset);
		pn_vst_destroy(vst);
	}
}

static void gauss_alone_is_a_scale(void **state)
{
	const struct pn_noise_model m = { .gain = 0, .offset = 5, .readout = 4 };
	float z[3] = { 5, 9, -3 }, f[3];
	struct pn_vst *vst;

	(void)state;
	assert_int_equal(pn_vst_create(&vst, &m, NULL), PN_OK);
	pn_vst_forward(vst, f, z, 3);
	assert_true(f[0] == 0 && f[1] == 1 && f[2] == -2);
	pn_vst_inverse(vst, f, f, 3);
	assert_memory_equal(f, z, sizeof z);
	pn_vst_destroy(vst);
}

static void models_without_noise_are_refused(void **state)
{
	static const struct pn_noise_model bad[] = {
		{ .gain = 0, .readout = 0 },       { .gain = -1, .readout = 1 },
		{ .gain = 1, .readout = -1 },      { .gain = NAN, .readout = 1 },
		{ .gain = 1, .offset = INFINITY }, { .gain = 1e-6, .readout = 1 },
	};
	struct pn_error err = { 0 };
	struct pn_vst *vst;

	(void)state;
	for (size_t i = 0; i < PN_COUNT(bad); i++) {
		assert_int_equal(pn_vst_create(&vst, &bad[i], &err), PN_EARG);
		assert_non_null(strstr(err.text, "gain = "));
		assert_null(vst);
	}
	pn_vst_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(inverse_is_unbiased),
		cmocka_unit_test(closed_form_agrees),
		cmocka_unit_test(noise_becomes_even),
		cmocka_unit_test(inverse_is_monotone),
		cmocka_unit_test(gauss_alone_is_a_scale),
		cmocka_unit_test(models_without_noise_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
