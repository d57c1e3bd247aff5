/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Counts have the mean, the noise and the spectra that the camera's header promises. */
#include "perrin/twin/camera.h"

#include "perrin/math/fft.h"

#include "testkit.h"

#include <complex.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define N 128

static struct pn_camera_params defaults(void)
{
	return (struct pn_camera_params){ .ny = N,
					  .nx = N,
					  .pixel_A = 0.5,
					  .dose_e_per_A2 = 8,
					  .dqe0 = 1,
					  .gain = 1,
					  .dtype = PN_F32 };
}

static void shoot(const struct pn_camera_params *p, const float *intensity, uint64_t seed,
		  uint64_t frame, void *pixels)
{
	struct pn_camera *camera;
	struct pn_camera_scratch *scratch;

	assert_int_equal(pn_camera_plan(&camera, p, NULL), PN_OK);
	assert_int_equal(pn_camera_scratch_create(&scratch, camera, NULL), PN_OK);
	pn_camera_execute(camera, scratch, intensity, seed, frame, pixels);
	pn_camera_scratch_destroy(scratch);
	pn_camera_destroy(camera);
}

static float *flat(size_t count, float value)
{
	float *a = pn_fft_alloc(count * sizeof *a);

	for (size_t i = 0; i < count; i++)
		a[i] = value;
	return a;
}

static void counts_have_mean_and_variance(void **state)
{
	(void)state;
	/* below and above the mean where the way of drawing changes, with and without losses */
	static const double dose[] = { 0.4, 8, 47, 49, 400 };
	struct pn_camera_params p = defaults();
	float *one = flat(N * N, 1), *out = flat(N * N, 0);

	for (size_t d = 0; d < 5; d++) {
		for (int lossy = 0; lossy < 2; lossy++) {
			double sum = 0, square = 0, n = N * N, electrons;

			p.dose_e_per_A2 = dose[d];
			p.dqe0 = lossy ? 0.7 : 1;
			p.gain = 3;
			p.offset = 10;
			p.readout_e = lossy ? 0.5 : 0;
			shoot(&p, one, 5, d, out);
			for (int i = 0; i < N * N; i++) {
				sum += out[i];
				square += (double)out[i] * out[i];
			}
			electrons = dose[d] * 0.25;
			double variance = 9 * (electrons / p.dqe0 + p.readout_e * p.readout_e);
			double mean = sum / n, got = square / n - mean * mean;

			/* five standard errors; a Poisson law of mean m has kurtosis 3 + 1/m */
			assert_true(fabs(mean - 3 * electrons - 10) < 5 * sqrt(variance / n));
			assert_true(fabs(got - variance) <
				    5 * variance * sqrt((2 + 1 / (electrons * p.dqe0)) / n));
		}
	}
	pn_fft_free(one);
	pn_fft_free(out);
}

/* The law itself, not only its moments: frequencies of 0..5 electrons. */
static void counts_follow_poisson(void **state)
{
	(void)state;
	struct pn_camera_params p = defaults();
	float *one = flat(N * N, 1), *out = flat(N * N, 0);
	double expected = N * N * exp(-2);
	int seen[64] = { 0 };

	shoot(&p, one, 1, 0, out);
	for (int i = 0; i < N * N; i++)
		seen[(int)out[i]]++;
	for (int k = 0; k < 6; k++) {
		assert_true(fabs(seen[k] - expected) < 5 * sqrt(expected));
		expected *= 2.0 / (k + 1);
	}
	pn_fft_free(one);
	pn_fft_free(out);
}

/* Power of the frame at distance k from the origin of frequencies, over the mean of rings. */
static void ring_power(const float *frame, double *power, int rings)
{
	struct pn_fft *plan;
	float *copy = pn_fft_alloc(N * N * sizeof *copy);
	float complex *spectrum = pn_fft_alloc(N * (N / 2 + 1) * sizeof *spectrum);
	double *count = calloc((size_t)rings, sizeof *count);

	memcpy(copy, frame, N * N * sizeof *copy);
	assert_int_equal(pn_fft_plan(&plan, PN_FFT_R2C, N, N, 0, NULL), PN_OK);
	pn_fft_execute(plan, copy, spectrum);
	for (int y = 0; y < N; y++) {
		for (int x = 1; x < N / 2; x++) {
			double f = hypot(x, y <= N / 2 ? y : y - N) / (N / 2.0);
			int ring = (int)(f * rings);
			float complex s = spectrum[y * (N / 2 + 1) + x];

			if (ring < rings) {
				power[ring] += crealf(s * conjf(s)) / ((double)N * N);
				count[ring]++;
			}
		}
	}
	for (int i = 0; i < rings; i++)
		power[i] /= count[i];
	free(count);
	pn_fft_destroy(plan);
	pn_fft_free(copy);
	pn_fft_free(spectrum);
}

static void noise_has_its_spectrum(void **state)
{
	(void)state;
	static const double blurs[] = { 0, 0.5, 1 };
	struct pn_camera_params p = defaults();
	float *one = flat(N * N, 1), *out = flat(N * N, 0);

	p.dqe0 = 0.8;
	p.mtf_gauss = 0.7;
	p.mtf_gauss_width = 0.9;
	p.mtf_lorentz_width = 0.6;
	for (int b = 0; b < 3; b++) {
		double power[4] = { 0 };

		p.noise_blur = blurs[b];
		shoot(&p, one, 3, (uint64_t)b, out);
		ring_power(out, power, 4);
		for (int ring = 0; ring < 4; ring++) {
			double expected = 0, weight = 0;

			for (double f = ring / 4.0 + 1e-3; f < (ring + 1) / 4.0; f += 1e-3) {
				expected += f * pow(pn_camera_mtf(&p, f), 2 * blurs[b]);
				weight += f;
			}
			/* 2 electrons over dqe0; the innermost ring has 400 modes */
			assert_float_equal(power[ring] / (2 / 0.8 * expected / weight), 1, 0.2);
		}
	}
	pn_fft_free(one);
	pn_fft_free(out);
}

static void signal_is_damped_by_the_mtf(void **state)
{
	(void)state;
	static const double blurs[] = { 0, 0.5, 1 };
	struct pn_camera_params p = defaults();
	float *wave = flat(N * N, 1), *out = flat(N * N, 0);

	p.noiseless = 1;
	p.mtf_gauss = 0.7;
	p.mtf_gauss_width = 0.9;
	p.mtf_lorentz_width = 0.6;
	p.vibration_A = 0.3;
	for (int i = 0; i < N * N; i++)
		wave[i] += 0.5f * (float)cos(2 * M_PI * 24 * (i % N) / N);
	for (int b = 0; b < 3; b++) {
		double sum = 0, f = 48.0 / N, q = f / (2 * p.pixel_A);

		p.noise_blur = blurs[b];
		shoot(&p, wave, 3, 0, out);
		for (int i = 0; i < N * N; i++)
			sum += 2 * out[i] * cos(2 * M_PI * 24 * (i % N) / N) / (N * N);
		double expected = pn_camera_mtf(&p, f) * exp(-2 * pow(M_PI * 0.3 * q, 2));

		assert_float_equal(sum / (2 * 0.5), expected, 1e-5);
	}
	p.mtf_gauss_width = 0;
	assert_float_equal(pn_camera_mtf(&p, 0.8), 1, 0);
	pn_fft_free(wave);
	pn_fft_free(out);
}

static void integers_are_rounded_and_cut(void **state)
{
	(void)state;
	struct pn_camera_params p = defaults();
	float *in = flat(N * N, 1);
	uint8_t *u8 = malloc(N * N);
	uint16_t *u16 = malloc(N * N * sizeof *u16);

	for (int i = 0; i < N * N; i++)
		in[i] = (float)(i % 300) * 0.7f - 20;
	p.noiseless = 1;
	p.dose_e_per_A2 = 4;
	p.gain = 2;
	p.dtype = PN_U8;
	shoot(&p, in, 0, 0, u8);
	p.dtype = PN_U16;
	p.saturation = 290;
	shoot(&p, in, 0, 0, u16);
	for (int i = 0; i < N * N; i++) {
		double value = fmax(0, 2.0 * in[i]);

		assert_true(fabs(u8[i] - fmin(value, 255)) <= 0.5001);
		assert_true(fabs(u16[i] - fmin(value, 290)) <= 0.5001);
	}
	pn_fft_free(in);
	free(u8);
	free(u16);
}

static void bytes_depend_on_seed_and_frame_only(void **state)
{
	(void)state;
	struct pn_camera_params p = defaults();
	enum { SIDE = 520 }; /* large enough to be shared among threads */
	float *one = flat(SIDE * SIDE, 1);
	uint16_t *a = calloc(SIDE * SIDE, sizeof *a), *b = calloc(SIDE * SIDE, sizeof *b);
	int threads = omp_get_max_threads();

	p.ny = p.nx = SIDE;
	p.dtype = PN_U16;
	p.gain = 16;
	p.mtf_gauss = 1;
	p.mtf_gauss_width = 1;
	p.noise_blur = 0.5;
	p.readout_e = 0.2;
	p.offset = 100;
	omp_set_num_threads(1);
	shoot(&p, one, 9, 4, a);
	omp_set_num_threads(3);
	shoot(&p, one, 9, 4, b);
	omp_set_num_threads(threads);
	assert_memory_equal(a, b, SIDE * SIDE * sizeof *a);
	shoot(&p, one, 9, 5, b);
	assert_memory_not_equal(a, b, SIDE * SIDE * sizeof *a);
	shoot(&p, one, 8, 4, b);
	assert_memory_not_equal(a, b, SIDE * SIDE * sizeof *a);
	pn_fft_free(one);
	free(a);
	free(b);
}

static void refusals_have_a_text(void **state)
{
	(void)state;
	struct pn_camera_params p = defaults();
	struct pn_camera *camera;
	struct pn_error err = { 0 };

	p.dtype = PN_I32;
	assert_int_equal(pn_camera_plan(&camera, &p, &err), PN_EARG);
	assert_true(err.text[0] && !camera);
	p = defaults();
	p.dqe0 = 0;
	assert_int_equal(pn_camera_plan(&camera, &p, &err), PN_EARG);
	p = defaults();
	p.gain = NAN;
	assert_int_equal(pn_camera_plan(&camera, &p, &err), PN_EARG);
	pn_camera_destroy(NULL);
	pn_camera_scratch_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(counts_have_mean_and_variance),
		cmocka_unit_test(counts_follow_poisson),
		cmocka_unit_test(noise_has_its_spectrum),
		cmocka_unit_test(signal_is_damped_by_the_mtf),
		cmocka_unit_test(integers_are_rounded_and_cut),
		cmocka_unit_test(bytes_depend_on_seed_and_frame_only),
		cmocka_unit_test(refusals_have_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
