/* SPDX-License-Identifier: GPL-3.0-or-later */
/* ADF images are the sums of Gaussians they claim to be, and tilts turn the right way. */
#include "perrin/twin/adf.h"

#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <string.h>

#define NY 70
#define NX 90

static const struct pn_adf_params params = { .ny = NY,
					     .nx = NX,
					     .pixel_A = 0.34,
					     .source_fwhm_A = 0.9,
					     .probe_fwhm_A = 0.7,
					     .z_power = 1.7,
					     .yield_A2 = 1e-5 };

static float image[NY * NX], other[NY * NX];

static void image_is_the_sum_of_gaussians(void **state)
{
	(void)state;
	/* one of them at the edge, one outside */
	static const double r[4][3] = {
		{ 1.234, -3.21, 5 }, { 1.9, -2.5, 0 }, { -15.2, 3.3, 0 }, { 40, 0, 0 }
	};
	static const uint8_t z[4] = { 78, 26, 79, 78 };
	double s2 = (0.9 * 0.9 + 0.7 * 0.7) / (8 * log(2));

	pn_adf_image(&params, r, z, 4, image);
	for (int y = 0; y < NY; y++) {
		for (int x = 0; x < NX; x++) {
			double sum = 0;

			for (int a = 0; a < 4; a++) {
				double dx = 0.34 * (x - NX / 2) - r[a][0];
				double dy = 0.34 * (y - NY / 2) - r[a][1];

				sum += 1e-5 * pow(z[a], 1.7) *
				       exp(-(dx * dx + dy * dy) / (2 * s2)) / (2 * M_PI * s2);
			}
			assert_float_equal(image[y * NX + x], sum, 1e-7 + 1e-5 * sum);
		}
	}
}

static void intensity_is_the_cross_section(void **state)
{
	(void)state;
	/* wherever in its pixel the atom is */
	for (double shift = 0; shift < 0.34; shift += 0.07) {
		double r[1][3] = { { shift, 2 * shift, 0 } }, sum = 0, x = 0;
		uint8_t z[1] = { 78 };

		pn_adf_image(&params, r, z, 1, image);
		for (int i = 0; i < NY * NX; i++) {
			sum += image[i];
			x += image[i] * 0.34 * (i % NX - NX / 2);
		}
		assert_float_equal(sum * 0.34 * 0.34 / (1e-5 * pow(78, 1.7)), 1, 1e-4);
		assert_float_equal(x / sum, shift, 1e-4);
	}
}

static void tilts_turn_about_y(void **state)
{
	(void)state;
	double r[2][3] = { { 1, 2, 3 }, { -4, 5, 0.5 } }, lab[2][3];

	pn_adf_tilt(lab, r, 2, 30);
	for (int i = 0; i < 2; i++) {
		assert_float_equal(lab[i][0], r[i][0] * sqrt(0.75) - r[i][2] * 0.5, 1e-12);
		assert_float_equal(lab[i][1], r[i][1], 0);
		assert_float_equal(lab[i][2], r[i][0] * 0.5 + r[i][2] * sqrt(0.75), 1e-12);
	}
	pn_adf_tilt(r, r, 2, 90);
	assert_float_equal(r[0][0], -3, 1e-12);
}

static void threads_give_the_same_bytes(void **state)
{
	(void)state;
	static double r[500][3];
	static uint8_t z[500];
	int threads = omp_get_max_threads();

	for (int i = 0; i < 500; i++) {
		r[i][0] = 10 * sin(i * 1.1);
		r[i][1] = 10 * cos(i * 0.7);
		z[i] = (uint8_t)(20 + i % 60);
	}
	omp_set_num_threads(1);
	pn_adf_image(&params, (const double(*)[3])r, z, 500, image);
	omp_set_num_threads(3);
	pn_adf_image(&params, (const double(*)[3])r, z, 500, other);
	omp_set_num_threads(threads);
	assert_memory_equal(image, other, sizeof image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(image_is_the_sum_of_gaussians),
		cmocka_unit_test(intensity_is_the_cross_section),
		cmocka_unit_test(tilts_turn_about_y),
		cmocka_unit_test(threads_give_the_same_bytes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
