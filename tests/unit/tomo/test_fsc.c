/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Shell correlations of volumes whose answer is known. */
#include "perrin/tomo/fsc.h"

#include "perrin/base/rng.h"
#include "perrin/math/fft.h"
#include "perrin/math/fft3.h"
#include "testkit.h"

#include <complex.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 64 };

static float *noise(size_t count, uint64_t seed)
{
	float *a = malloc(count * sizeof *a);
	struct pn_rng rng;

	assert_non_null(a);
	pn_rng_init(&rng, seed, 0);
	for (size_t i = 0; i < count; i++)
		a[i] = (float)pn_rng_gauss(&rng);
	return a;
}

/* By the definition: every frequency of the full spectrum, each by its own sum. */
static void slow_fsc(const float *a, const float *b, const struct pn_box *box,
		     const struct pn_cone *cone, double *fsc, double *samples)
{
	double cross[MOST] = { 0 }, aa[MOST] = { 0 }, bb[MOST] = { 0 };
	const int n[3] = { (int)box->nx, (int)box->ny, (int)box->nz };
	int edge = n[0] > n[1] ? n[0] : n[1];

	edge = n[2] > edge ? n[2] : edge;
	memset(samples, 0, MOST * sizeof *samples);
	for (int i = 0; i < n[0] * n[1] * n[2]; i++) {
		const int k[3] = { i % n[0], i / n[0] % n[1], i / n[0] / n[1] };
		double f[3], square = 0, along = 0, axis = 0;
		double complex fa = 0, fb = 0;

		for (int j = 0; j < 3; j++) {
			f[j] = (double)(2 * k[j] > n[j] ? k[j] - n[j] : k[j]) / n[j];
			square += f[j] * f[j];
			along += cone ? f[j] * cone->axis[j] : 0;
			axis += cone ? cone->axis[j] * cone->axis[j] : 0;
		}
		int s = (int)floor(sqrt(square) * edge + 0.5);
		if (s > edge / 2)
			continue;
		if (cone && square > 0 &&
		    acos(fmin(1, fabs(along) / sqrt(square * axis))) >
			    cone->half_angle_deg * M_PI / 180)
			continue;
		for (int r = 0; r < n[0] * n[1] * n[2]; r++) {
			double complex turn = cexp(-2 * M_PI * I *
						   (f[0] * (r % n[0]) + f[1] * (r / n[0] % n[1]) +
						    f[2] * (r / n[0] / n[1])));

			fa += a[r] * turn;
			fb += b[r] * turn;
		}
		cross[s] += creal(fa * conj(fb));
		aa[s] += creal(fa * conj(fa));
		bb[s] += creal(fb * conj(fb));
		samples[s] += 0.5;
	}
	for (int s = 0; s <= edge / 2; s++)
		fsc[s] = cross[s] / sqrt(aa[s] * bb[s]);
}

static void fsc_is_its_definition(void **state)
{
	static const struct pn_box boxes[] = {
		{ 8, 9, 7 }, { 5, 8, 12 }, { 1, 10, 11 }, { 1, 1, 1 }
	};
	const struct pn_cone cone = { { 0.3, -2, 1 }, 41.7 };

	(void)state;
	for (size_t i = 0; i < PN_COUNT(boxes) * 2; i++) {
		const struct pn_box *box = &boxes[i / 2];
		const struct pn_cone *use = i % 2 ? &cone : NULL;
		float *a = noise(pn_box_voxels(box), 1), *b = noise(pn_box_voxels(box), 2);
		double fsc[MOST], slow[MOST], samples[MOST], count[MOST];

		for (size_t j = 0; j < pn_box_voxels(box); j++)
			b[j] += 0.5f * a[j];
		assert_int_equal(pn_fsc(a, b, box, use, fsc, samples, NULL), PN_OK);
		slow_fsc(a, b, box, use, slow, count);
		for (size_t s = 0; s < pn_fsc_shells(box); s++) {
			assert_true(samples[s] == count[s]);
			assert_true(count[s] == 0 ? isnan(fsc[s]) : fabs(fsc[s] - slow[s]) < 1e-5);
		}
		free(a);
		free(b);
	}
}

static void equal_volumes_correlate_and_noise_does_not(void **state)
{
	enum { N = 40 };
	const struct pn_box box = { N, N, N };
	float *a = noise(N * N * N, 3), *b = noise(N * N * N, 4),
	      *c = malloc(N * N * N * sizeof *c);
	double fsc[MOST], samples[MOST], worst = 0, ball = 0.5;

	(void)state;
	assert_int_equal(pn_fsc_shells(&box), N / 2 + 1);
	for (int i = 0; i < N * N * N; i++)
		c[i] = -3 * a[i];
	assert_int_equal(pn_fsc(a, a, &box, NULL, fsc, NULL, NULL), PN_OK);
	for (int s = 0; s <= N / 2; s++)
		assert_true(fabs(fsc[s] - 1) < 1e-12);
	assert_true(pn_fsc_frequency(fsc, NULL, N / 2 + 1, N, PN_FSC_0_143) == 0.5);
	assert_int_equal(pn_fsc(a, c, &box, NULL, fsc, NULL, NULL), PN_OK);
	for (int s = 0; s <= N / 2; s++)
		assert_true(fabs(fsc[s] + 1) < 1e-6);
	assert_true(pn_fsc_frequency(fsc, NULL, N / 2 + 1, N, PN_FSC_0_143) == 0);
	/* of n independent complex pairs the correlation is 1 / sqrt(2 n) */
	assert_int_equal(pn_fsc(a, b, &box, NULL, fsc, samples, NULL), PN_OK);
	for (int s = 1; s <= N / 2; s++) {
		worst = fmax(worst, fabs(fsc[s]) * sqrt(2 * samples[s]));
		ball += s < N / 2 ? samples[s] : 0;
	}
	assert_true(worst > 1 && worst < 4);
	/* half of the lattice points within N/2 - 1/2 */
	assert_true(fabs(ball / (2 * M_PI / 3 * pow(N / 2 - 0.5, 3)) - 1) < 0.02);
	free(a);
	free(b);
	free(c);
}

/* Equal below a limit, independent above: half-map noise with a signal that stops. */
static void the_limit_is_found(void **state)
{
	enum { N = 48, COUNT = N * N * N };
	const struct pn_box box = { N, N, N };
	const double limit = 0.25,
		     signal = 3; /* cycles per voxel, amplitude over that of the noise */
	float *common = noise(COUNT, 5), *a = noise(COUNT, 6), *b = noise(COUNT, 7);
	double fsc[MOST], samples[MOST];
	struct pn_fft3 *fft;

	(void)state;
	assert_int_equal(pn_fft3_plan(&fft, N, N, N, NULL), PN_OK);
	float complex *spectrum = pn_fft_alloc(pn_fft3_spectrum(fft) * sizeof *spectrum);
	pn_fft3_forward(fft, common, N, N, N, spectrum);
	for (int i = 0; i < N * N * (N / 2 + 1); i++) {
		int k[3] = { i % (N / 2 + 1), i / (N / 2 + 1) % N, i / (N / 2 + 1) / N };
		double square = 0;

		for (int j = 0; j < 3; j++) {
			k[j] -= k[j] > N / 2 ? N : 0;
			square += (double)k[j] * k[j] / N / N;
		}
		if (square > limit * limit)
			spectrum[i] = 0;
	}
	pn_fft3_backward(fft, spectrum, common, N, N, N);
	for (int i = 0; i < COUNT; i++) {
		a[i] += (float)signal * common[i] / COUNT;
		b[i] += (float)signal * common[i] / COUNT;
	}
	assert_int_equal(pn_fsc(a, b, &box, NULL, fsc, samples, NULL), PN_OK);
	double words = signal * signal / (signal * signal + 1);
	for (int s = 4; s < 0.25 * N; s++)
		assert_true(fabs(fsc[s] - words) < 5 / sqrt(2 * samples[s]));
	for (int t = 0; t < 3; t++) {
		double f = pn_fsc_frequency(fsc, samples, N / 2 + 1, N, t);

		assert_true(fabs(f - limit) < 1.0 / N);
	}
	pn_fft3_destroy(fft);
	pn_fft_free(spectrum);
	free(common);
	free(a);
	free(b);
}

static void thresholds_are_interpolated(void **state)
{
	const double fsc[] = { -1, 0.9, NAN, 0.7, 0.3, 0.8, 0.1, 0.05 };
	const double samples[] = { 1, 10, 10, 100, 400, 100, 100, 100 };

	(void)state;
	assert_true(fabs(pn_fsc_frequency(fsc, NULL, 8, 20, PN_FSC_0_5) - 3.5 / 20) < 1e-12);
	assert_true(fabs(pn_fsc_frequency(fsc, NULL, 8, 20, PN_FSC_0_143) -
			 (5 + (0.8 - 0.143) / 0.7) / 20) < 1e-12);
	/* half a bit: 0.2071 / 1.2071 for many samples, more for few */
	double low = (0.2071 + 1.9102 / 20) / (1.2071 + 0.9102 / 20);
	double next = (0.2071 + 1.9102 / 10) / (1.2071 + 0.9102 / 10);
	assert_true(0.3 > low && 0.3 < next);
	assert_true(fabs(pn_fsc_frequency(fsc, samples, 8, 20, PN_FSC_HALF_BIT) -
			 (5 + (0.8 - next) / (0.8 - 0.1)) / 20) < 1e-12);
	assert_true(pn_fsc_frequency(fsc, NULL, 2, 20, PN_FSC_0_5) == 1.0 / 20);
	assert_true(pn_fsc_frequency(fsc, NULL, 1, 20, PN_FSC_0_5) == 0);
}

static void bytes_do_not_depend_on_threads(void **state)
{
	enum { N = 31 };
	const struct pn_box box = { N, N - 3, N + 2 };
	const int most = omp_get_max_threads();
	float *a = noise(pn_box_voxels(&box), 8), *b = noise(pn_box_voxels(&box), 9);
	double fsc[3][MOST];

	(void)state;
	for (int t = 0; t < 3; t++) {
		omp_set_num_threads(t + 1);
		assert_int_equal(pn_fsc(a, b, &box, NULL, fsc[t], NULL, NULL), PN_OK);
		assert_memory_equal(fsc[0], fsc[t], pn_fsc_shells(&box) * sizeof(double));
	}
	omp_set_num_threads(most);
	free(a);
	free(b);
}

static void bad_input_is_told(void **state)
{
	float a[64] = { 0 }, b[64] = { 1 };
	const struct pn_box box = { 4, 4, 4 };
	struct pn_error err = { 0 };
	double fsc[MOST];

	(void)state;
	assert_int_equal(pn_fsc(a, b, &box, NULL, fsc, NULL, &err), PN_OK);
	assert_true(isnan(fsc[0]) && isnan(fsc[2]));
	a[1 * 16 + 2 * 4 + 3] = INFINITY;
	assert_int_equal(pn_fsc(b, a, &box, NULL, fsc, NULL, &err), PN_EARG);
	assert_non_null(strstr(err.text, "1 2 3 (z y x) of the second"));
	assert_int_equal(pn_fsc(a, b, &box, NULL, fsc, NULL, &err), PN_EARG);
	assert_int_equal(pn_fsc(b, b, &(struct pn_box){ 4, 0, 4 }, NULL, fsc, NULL, &err), PN_EARG);
	assert_int_equal(pn_fsc(b, b, &box, &(struct pn_cone){ { 0, 0, 0 }, 20 }, fsc, NULL, &err),
			 PN_EARG);
	assert_int_equal(pn_fsc(b, b, &box, &(struct pn_cone){ { 0, 0, 1 }, 91 }, fsc, NULL, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "91"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fsc_is_its_definition),
		cmocka_unit_test(equal_volumes_correlate_and_noise_does_not),
		cmocka_unit_test(the_limit_is_found),
		cmocka_unit_test(thresholds_are_interpolated),
		cmocka_unit_test(bytes_do_not_depend_on_threads),
		cmocka_unit_test(bad_input_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
