/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The exit wave is the one of the closed forms, where there are closed forms. */
#include "perrin/twin/multislice.h"

#include "perrin/base/rng.h"
#include "perrin/math/fft.h"
#include "perrin/twin/electron.h"
#include "perrin/twin/scattering.h"

#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define N  96
#define PX 0.358

static struct pn_multislice *make_plan(size_t ny, size_t nx, double pixel_A, double slice_A, int z1,
				       int z2)
{
	struct pn_multislice_params p = { .ny = ny,
					  .nx = nx,
					  .pixel_A = pixel_A,
					  .energy_keV = 300,
					  .slice_A = slice_A,
					  .elements = { (uint8_t)z1, (uint8_t)z2 } };
	struct pn_multislice *plan;

	assert_int_equal(pn_multislice_plan(&plan, &p, NULL), PN_OK);
	return plan;
}

static float complex *run(const struct pn_multislice *plan, size_t pixels,
			  const struct pn_multislice_atoms *atoms)
{
	struct pn_multislice_scratch *scratch;
	float complex *wave = pn_fft_alloc(pixels * sizeof *wave);
	struct pn_error err = { 0 };

	assert_int_equal(pn_multislice_scratch_create(&scratch, plan, atoms->count, NULL), PN_OK);
	if (pn_multislice_execute(plan, scratch, atoms, wave, &err))
		fail_msg("%s", err.text);
	pn_multislice_scratch_destroy(scratch);
	return wave;
}

static void electron_constants(void **state)
{
	(void)state;
	/* Kirkland (2010), table 2.1 */
	assert_float_equal(pn_electron_wavelength_A(100), 0.037014, 1e-6);
	assert_float_equal(pn_electron_wavelength_A(200), 0.025079, 1e-6);
	assert_float_equal(pn_electron_wavelength_A(300), 0.019687, 1e-6);
	assert_float_equal(pn_electron_sigma(300), 6.5262e-4, 2e-8);
	assert_float_equal(pn_electron_sigma(100), 9.2440e-4, 2e-8);
}

/* sigma V at a pixel by the slow double sum over all frequencies of the band */
static double phase_reference(size_t ny, size_t nx, double px, const double r[3], int z, double b,
			      double x, double y)
{
	double sum = 0, limit = 1 / (3 * px);

	for (int j = -(int)ny / 2; j < (int)ny / 2; j++) {
		for (int i = -(int)nx / 2; i < (int)nx / 2; i++) {
			double u = i / (nx * px), v = j / (ny * px), q = hypot(u, v);

			if (q < limit)
				sum += pn_scattering_kirkland(z, q) * exp(-b * q * q / 4) *
				       cos(2 * M_PI * (u * (x - r[0]) + v * (y - r[1])));
		}
	}
	return sum * pn_electron_sigma(300) * PN_POTENTIAL_VA2 / (ny * nx * px * px);
}

static void one_slice_is_a_phase_object(void **state)
{
	(void)state;
	/* two light atoms off the pixels in a slice of no thickness: Im psi = sin(sigma V) */
	static const double r[2][3] = { { 3.141, -5.9, 0 }, { -4.2, 1.77, 0 } };
	static const uint8_t z[2] = { 6, 8 };
	struct pn_multislice *plan = make_plan(80, 96, PX, 1e-3, 8, 6);
	struct pn_multislice_atoms atoms = {
		.position_A = r, .atomic_number = z, .count = 2, .b_iso_A2 = 0.8
	};
	float complex *wave = run(plan, 80 * 96, &atoms);
	double worst = 0, peak = 0;

	for (size_t y = 18; y < 60; y++) {
		for (size_t x = 20; x < 80; x++) {
			double at_x = ((double)x - 48) * PX, at_y = ((double)y - 40) * PX, phi;

			if (hypot(at_x - r[0][0], at_y - r[0][1]) > 0.8 && (x % 7 || y % 7))
				continue;
			phi = phase_reference(80, 96, PX, r[0], 6, 0.8, at_x, at_y) +
			      phase_reference(80, 96, PX, r[1], 8, 0.8, at_x, at_y);
			worst = fmax(worst, fabs(cimag(wave[y * 96 + x]) - phi));
			peak = fmax(peak, phi);
		}
	}
	assert_true(peak > 0.02);
	assert_true(worst < 1e-3 * peak);
	pn_fft_free(wave);
	pn_multislice_destroy(plan);
}

static void heavy_column_has_phase_of_its_potential(void **state)
{
	(void)state;
	/* 3 A2 of Debye-Waller make the potential smooth, so that the band holds nearly all */
	static const double r[1][3] = { { 0.13, -0.08, 0.1 } };
	static const uint8_t z[1] = { 78 };
	struct pn_multislice *exact = make_plan(N, N, 0.2, 1e-3, 78, 0);
	struct pn_multislice_atoms atoms = {
		.position_A = r, .atomic_number = z, .count = 1, .b_iso_A2 = 3, .plane_A = 0.1005
	};
	float complex *wave = run(exact, N * N, &atoms);

	for (int y = -8; y <= 8; y += 2) {
		for (int x = -8; x <= 8; x += 2) {
			double phi = phase_reference(N, N, 0.2, r[0], 78, 3, 0.2 * x, 0.2 * y);
			float complex w = wave[(N / 2 + y) * N + N / 2 + x];

			assert_float_equal(cargf(w), phi, 0.01);
			assert_float_equal(cabsf(w), 1, 0.01);
		}
	}
	pn_fft_free(wave);

	/* fine pixels hold the free atom, away from the core; a little thermal blur (0.07 A, 3 % of
	 * the potential) takes away the ringing of the band limit */
	struct pn_multislice *fine = make_plan(2 * N, 2 * N, 0.08, 1e-3, 78, 0);

	atoms.b_iso_A2 = 0.4;
	wave = run(fine, 4 * N * N, &atoms);
	for (int x = 12; x <= 36; x += 4) {
		double v = pn_potential_projected_kirkland(78, hypot(0.08 * x - 0.13, 0.08));
		double got = cargf(wave[N * 2 * N + N + x]);

		assert_float_equal(got, pn_electron_sigma(300) * v, 0.0015);
	}
	pn_fft_free(wave);
	pn_multislice_destroy(fine);
	pn_multislice_destroy(exact);
}

/* The difference of two planes is free space; a single wave is a Gaussian in the paraxial limit. */
static void free_space_is_the_fresnel_propagator(void **state)
{
	(void)state;
	static const double r[1][3] = { { 0, 0, 1 } };
	static const uint8_t z[1] = { 6 };
	struct pn_multislice *plan = make_plan(N, N, PX, 2, 6, 0);
	/* B = 60 A2 leaves of carbon little more than a Gaussian exp(-15 q^2) times f(q) */
	struct pn_multislice_atoms atoms = {
		.position_A = r, .atomic_number = z, .count = 1, .b_iso_A2 = 60, .plane_A = 2
	};
	double wavelength = pn_electron_wavelength_A(300), q_step = 1 / (N * PX);

	for (int k = -3; k <= 20; k++) {
		atoms.plane_A = 2.0 * k;
		float complex *wave = run(plan, N * N, &atoms);
		/* the middle of the slice with the atom is at 1 A whatever the plane */
		double distance = 2.0 * k - 1;
		double complex sum = 0;

		for (int j = -N / 3; j <= N / 3; j++)
			for (int i = -N / 3; i <= N / 3; i++) {
				double q2 = (i * i + j * j) * q_step * q_step;

				if (sqrt(q2) < 1 / (3 * PX))
					sum += pn_scattering_kirkland(6, sqrt(q2)) *
					       cexp(-15 * q2 -
						    I * M_PI * wavelength * q2 * distance);
			}
		sum *= I * pn_electron_sigma(300) * PN_POTENTIAL_VA2 * q_step * q_step;
		double complex got = wave[N / 2 * N + N / 2] - 1;

		assert_true(cabs(sum) > 1e-3);
		/* second order in the phase: |phi|^2/2 */
		assert_true(cabs(got - sum) < 0.51 * cabs(sum) * cabs(sum) + 2e-6);
		pn_fft_free(wave);
	}
	pn_multislice_destroy(plan);
}

/* field <- F^-1 [ filter F [ field ] ] by sums, in double; distance 0: the band limit alone */
static void slow_filter(double complex *field, size_t ny, size_t nx, double distance)
{
	double complex *half = calloc(ny * nx, sizeof *half);
	double l = pn_electron_wavelength_A(300);

	for (int direction = -1; direction <= 1; direction += 2) {
		for (size_t y = 0; y < ny; y++)
			for (size_t k = 0; k < nx; k++) {
				half[y * nx + k] = 0;
				for (size_t x = 0; x < nx; x++)
					half[y * nx + k] +=
						field[y * nx + x] * cexp(2 * M_PI * I * direction *
									 (double)(k * x) / nx);
			}
		for (size_t j = 0; j < ny; j++)
			for (size_t k = 0; k < nx; k++) {
				double u = (k <= nx / 2 ? (double)k : (double)k - nx) / (nx * PX);
				double v = (j <= ny / 2 ? (double)j : (double)j - ny) / (ny * PX);
				double complex filter =
					u * u + v * v < 1 / (9 * PX * PX)
						? cexp(-I * M_PI * l * (u * u + v * v) * distance) /
							  (double)(ny * nx)
						: 0;

				field[j * nx + k] = 0;
				for (size_t y = 0; y < ny; y++)
					field[j * nx + k] +=
						half[y * nx + k] * cexp(2 * M_PI * I * direction *
									(double)(j * y) / ny);
				if (direction < 0)
					field[j * nx + k] *= filter;
			}
	}
	free(half);
}

/* Three slices, the second of them empty, and back to a plane inside the specimen. */
static void several_slices_agree_with_a_slow_reference(void **state)
{
	(void)state;
	enum { H = 20, W = 24 };
	static const double r[5][3] = { { 0.3, 0.1, -3.9 },
					{ 0.2, 0.2, 1.9 },
					{ -1.7, 1.2, -2.1 },
					{ 1.1, -2.0, 0.01 },
					{ 0.25, 0.15, -3 } };
	static const uint8_t z[5] = { 78, 78, 6, 78, 78 };
	static const double slices[2][2] = { { -4, -2 }, { 0, 2 } };
	static double complex slow[H * W], trans[H * W];
	struct pn_multislice *plan = make_plan(H, W, PX, 2, 78, 6);
	struct pn_multislice_atoms atoms = {
		.position_A = r, .atomic_number = z, .count = 5, .b_iso_A2 = 0.4, .plane_A = 0
	};

	for (int i = 0; i < H * W; i++)
		slow[i] = 1;
	for (int s = 0; s < 2; s++) {
		for (int i = 0; i < H * W; i++) {
			double phi = 0;

			for (int a = 0; a < 5; a++)
				if (r[a][2] >= slices[s][0] && r[a][2] < slices[s][1])
					phi += phase_reference(H, W, PX, r[a], z[a], 0.4,
							       PX * (i % W - W / 2),
							       PX * (i / W - H / 2));
			trans[i] = cexp(I * phi);
		}
		slow_filter(trans, H, W, 0);
		for (int i = 0; i < H * W; i++)
			slow[i] *= trans[i];
		slow_filter(slow, H, W, s == 0 ? 4 : -1);
	}
	float complex *wave = run(plan, H * W, &atoms);
	double worst = 0, largest = 0;

	for (int i = 0; i < H * W; i++) {
		worst = fmax(worst, cabs(wave[i] - slow[i]));
		largest = fmax(largest, cabs(slow[i] - 1));
	}
	assert_true(largest > 0.5);
	assert_true(worst < 1e-5);
	pn_fft_free(wave);
	pn_multislice_destroy(plan);
}

static void both_tables_are_offered(void **state)
{
	(void)state;
	struct pn_multislice_params p = { .ny = 32,
					  .nx = 32,
					  .pixel_A = PX,
					  .energy_keV = 300,
					  .slice_A = 2,
					  .elements = { 78 } };
	static const double r[1][3] = { { 0, 0, 0 } };
	static const uint8_t z[1] = { 78 };
	struct pn_multislice_atoms atoms = { .position_A = r, .atomic_number = z, .count = 1 };
	float phase[2];

	for (int model = 0; model < 2; model++) {
		struct pn_multislice *plan;

		p.model = (enum pn_multislice_model)model;
		assert_int_equal(pn_multislice_plan(&plan, &p, NULL), PN_OK);
		float complex *wave = run(plan, 32 * 32, &atoms);

		phase[model] = cargf(wave[16 * 32 + 16]);
		pn_fft_free(wave);
		pn_multislice_destroy(plan);
	}
	/* two fits of one atom: alike, but not the same */
	assert_true(phase[0] != phase[1]);
	assert_float_equal(phase[0] / phase[1], 1, 0.02);
}

static size_t make_crystal(double (*r)[3], uint8_t *z, size_t max)
{
	static const double basis[4][3] = {
		{ 0, 0, 0 }, { .5, .5, 0 }, { .5, 0, .5 }, { 0, .5, .5 }
	};
	const double a = 3.924;
	size_t n = 0;

	for (int i = -3; i < 3; i++)
		for (int j = -3; j < 3; j++)
			for (int k = -3; k < 3; k++)
				for (int b = 0; b < 4 && n < max; b++, n++) {
					r[n][0] = a * (i + basis[b][0]);
					r[n][1] = a * (j + basis[b][1]);
					r[n][2] = a * (k + basis[b][2]) + 0.2;
					z[n] = n % 5 ? 78 : 79;
				}
	return n;
}

static void electrons_are_conserved(void **state)
{
	(void)state;
	static double r[864][3];
	static uint8_t z[864];
	size_t n = make_crystal(r, z, 864);
	/* B = 1 keeps the scattering within the band of these fine pixels */
	struct pn_multislice *plan = make_plan(256, 256, 0.15, 2, 78, 79);
	struct pn_multislice_atoms atoms = {
		.position_A = r, .atomic_number = z, .count = n, .b_iso_A2 = 1
	};
	float complex *wave = run(plan, 256 * 256, &atoms);
	double sum = 0, scattered = 0;

	for (size_t i = 0; i < 256 * 256; i++) {
		double intensity =
			creal(wave[i]) * creal(wave[i]) + cimag(wave[i]) * cimag(wave[i]);

		sum += intensity;
		scattered += cabs(wave[i] - 1) * cabs(wave[i] - 1);
	}
	assert_float_equal(sum / (256 * 256), 1, 1e-3);
	assert_true(scattered / (256 * 256) > 0.1);
	pn_fft_free(wave);
	pn_multislice_destroy(plan);
}

static void moving_by_pixels_moves_the_wave(void **state)
{
	(void)state;
	static double r[864][3], moved[864][3];
	static uint8_t z[864];
	size_t n = make_crystal(r, z, 300);
	struct pn_multislice *plan = make_plan(N, N, PX, 2, 78, 79);
	struct pn_multislice_atoms atoms = { .position_A = r, .atomic_number = z, .count = n };

	memcpy(moved, r, sizeof r);
	for (size_t i = 0; i < n; i++) {
		moved[i][0] += 5 * PX;
		moved[i][1] -= 3 * PX;
	}
	float complex *a = run(plan, N * N, &atoms);
	atoms.position_A = moved;
	float complex *b = run(plan, N * N, &atoms);
	double worst = 0;

	for (size_t y = 0; y < N; y++)
		for (size_t x = 0; x < N; x++)
			worst = fmax(worst,
				     cabs(a[y * N + x] - b[(y + N - 3) % N * N + (x + 5) % N]));
	assert_true(worst < 1e-4);
	pn_fft_free(a);
	pn_fft_free(b);
	pn_multislice_destroy(plan);
}

static void threads_give_the_same_bytes(void **state)
{
	(void)state;
	static double r[864][3];
	static uint8_t z[864];
	size_t n = make_crystal(r, z, 200);
	struct pn_multislice *plan = make_plan(64, 64, PX, 2, 78, 79);
	struct pn_multislice_atoms atoms = { .position_A = r, .atomic_number = z, .count = n };
	float complex *wave[5];

	wave[4] = run(plan, 64 * 64, &atoms);
#pragma omp parallel for num_threads(4)
	for (int t = 0; t < 4; t++)
		wave[t] = run(plan, 64 * 64, &atoms);
	for (int t = 0; t < 5; t++) {
		assert_memory_equal(wave[t], wave[4], 64 * 64 * sizeof **wave);
		if (t < 4)
			pn_fft_free(wave[t]);
	}
	pn_fft_free(wave[4]);
	pn_multislice_destroy(plan);
}

static void refusals_have_a_text(void **state)
{
	(void)state;
	struct pn_multislice_params p = { .ny = 32,
					  .nx = 32,
					  .pixel_A = PX,
					  .energy_keV = 300,
					  .slice_A = 2,
					  .elements = { 200 } };
	struct pn_multislice *plan;
	struct pn_multislice_scratch *scratch;
	struct pn_error err = { 0 };
	double r[2][3] = { { 0, 0, 0 }, { NAN, 0, 0 } };
	uint8_t z[2] = { 78, 78 };
	struct pn_multislice_atoms atoms = { .position_A = r, .atomic_number = z, .count = 2 };
	float complex *wave = pn_fft_alloc(32 * 32 * sizeof *wave);

	assert_int_equal(pn_multislice_plan(&plan, &p, &err), PN_EARG);
	assert_non_null(strstr(err.text, "200"));
	p.elements[0] = 0;
	assert_int_equal(pn_multislice_plan(&plan, &p, &err), PN_EARG);
	p.elements[0] = 79;
	p.nx = 4;
	assert_int_equal(pn_multislice_plan(&plan, &p, &err), PN_EARG);
	p.nx = 32;
	assert_int_equal(pn_multislice_plan(&plan, &p, &err), PN_OK);
	assert_int_equal(pn_multislice_scratch_create(&scratch, plan, 2, &err), PN_OK);
	assert_int_equal(pn_multislice_execute(plan, scratch, &atoms, wave, &err), PN_EARG);
	z[0] = z[1] = 79;
	assert_int_equal(pn_multislice_execute(plan, scratch, &atoms, wave, &err), PN_EARG);
	atoms.count = 3;
	assert_int_equal(pn_multislice_execute(plan, scratch, &atoms, wave, &err), PN_EARG);
	atoms.count = 0;
	assert_int_equal(pn_multislice_execute(plan, scratch, &atoms, wave, &err), PN_OK);
	assert_true(wave[77] == 1);
	pn_multislice_scratch_destroy(scratch);
	pn_multislice_destroy(plan);
	pn_multislice_destroy(NULL);
	pn_fft_free(wave);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(electron_constants),
		cmocka_unit_test(one_slice_is_a_phase_object),
		cmocka_unit_test(heavy_column_has_phase_of_its_potential),
		cmocka_unit_test(free_space_is_the_fresnel_propagator),
		cmocka_unit_test(several_slices_agree_with_a_slow_reference),
		cmocka_unit_test(both_tables_are_offered),
		cmocka_unit_test(electrons_are_conserved),
		cmocka_unit_test(moving_by_pixels_moves_the_wave),
		cmocka_unit_test(threads_give_the_same_bytes),
		cmocka_unit_test(refusals_have_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
