/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernel interpolates a sine wave of any frequency, the better the wider; its transform is the
 * sum it stands for. */
#include "perrin/math/kaiser.h"

#include "testkit.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 32, GRID = 64 };

/* A sample at x of N has the transform exp(-2 pi i k x / GRID): interpolated between the points. */
static double worst_error(int width)
{
	struct pn_kaiser *kernel = malloc(sizeof *kernel);
	double worst = 0;

	assert_non_null(kernel);
	pn_kaiser_make(kernel, width, 2);
	for (int x = -N / 2; x < N / 2; x++) {
		double taper = pn_kaiser_transform(kernel, x, GRID);

		for (double k = 3; k < 9; k += 0.237) {
			double start = k - width / 2.0, first = ceil(start);
			int row = (int)((first - start) * PN_KAISER_STEPS);
			double complex sum = 0;

			for (int t = 0; t < width; t++)
				sum += kernel->table[row][t] / taper *
				       cexp(-2 * M_PI * I * (first + t) * x / GRID);
			worst = fmax(worst, cabs(sum - cexp(-2 * M_PI * I * k * x / GRID)));
		}
	}
	free(kernel);
	return worst;
}

static void test_error_falls(void **state)
{
	static const double most[] = { 0, 0, 0, 2e-2, 4e-3, 1.5e-3, 1e-3 };

	(void)state;
	for (int width = 3; width <= 6; width++)
		assert_true(worst_error(width) < most[width]);
	assert_true(worst_error(6) < worst_error(4) && worst_error(4) < worst_error(3));
}

/* By Simpson's rule, K = I0(beta sqrt(1 - t^2)) / I0(beta) from the integral that I0 is. */
static double by_integral(double beta, double t)
{
	double sum[2] = { 0 };

	for (int i = 0; i < 2000; i++) {
		double c = cos(M_PI * (i + 0.5) / 2000);

		sum[0] += exp(beta * (sqrt(1 - t * t) * c - 1));
		sum[1] += exp(beta * (c - 1));
	}
	return sum[0] / sum[1];
}

static void test_table_and_transform(void **state)
{
	struct pn_kaiser *kernel = malloc(sizeof *kernel);
	const int steps = 4000;

	(void)state;
	assert_non_null(kernel);
	pn_kaiser_make(kernel, 6, 2);
	for (int t = 0; t < 6; t++)
		assert_true(fabs((double)kernel->table[512][t] -
				 by_integral(kernel->beta, (t + 0.25 - 3) / 3)) < 1e-6);
	assert_true(kernel->table[512][6] == 0 && kernel->table[512][7] == 0);
	for (double x = 0; x < 17; x += 4) {
		double sum = 0;

		for (int i = 0; i < steps; i++) {
			double k = 6 * ((i + 0.5) / steps - 0.5);

			sum += by_integral(kernel->beta, k / 3) * cos(2 * M_PI * k * x / GRID) * 6 /
			       steps;
		}
		assert_true(fabs(sum - pn_kaiser_transform(kernel, x, GRID)) < 1e-5);
	}
	free(kernel);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_error_falls),
		cmocka_unit_test(test_table_and_transform),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
