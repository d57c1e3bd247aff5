/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "particle.h"
#include "perrin/format/stack.h"
#include "perrin/tomo/align.h"
#include "testkit.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>

static struct pn_tilt_align_params defaults(void)
{
	struct pn_tilt_align_params p;

	pn_params_default(pn_tilt_align_param_table, &p);
	return p;
}

/* A series with known shifts; @noise in parts of the largest pixel. */
struct known {
	struct pn_tilt_series series;
	float *image;
	double angle_deg[128], shift[128][2];
};

static void known_free(struct known *k)
{
	free(k->image);
}

/* @wander: the largest shift along each axis; @offset: of the axis, across it. */
static void known_make(struct known *k, size_t count, double axis_deg, double wander, double offset,
		       double noise, uint64_t seed)
{
	static struct particle p;
	double c = cos(axis_deg * M_PI / 180), s = sin(axis_deg * M_PI / 180);
	struct pn_rng rng;

	p.ny = 84;
	p.nx = 80;
	particle_make(&p, 250, 20, 3.5, seed);
	pn_rng_init(&rng, seed, 1);
	k->image = malloc(count * p.ny * p.nx * sizeof *k->image);
	assert_non_null(k->image);
	k->series = (struct pn_tilt_series){ count, p.ny, p.nx, k->image, k->angle_deg };
	for (size_t j = 0; j < count; j++) {
		float *image = k->image + j * p.ny * p.nx, most = 0;
		struct pn_pose pose;

		k->angle_deg[j] = -72 + 144.0 * (double)j / (double)(count - 1);
		k->shift[j][0] = offset * c + wander * (2 * pn_rng_uniform(&rng) - 1);
		k->shift[j][1] = offset * s + wander * (2 * pn_rng_uniform(&rng) - 1);
		pn_tilt_pose(&pose, k->angle_deg[j], axis_deg, k->shift[j]);
		particle_project(&p, &pose, image);
		for (size_t i = 0; i < p.ny * p.nx; i++)
			most = fmaxf(most, image[i]);
		/* the background is 0 outside a mask of the particle and some margin */
		for (size_t i = 0; i < p.ny * p.nx; i++)
			if (hypot((double)(i / p.nx) - 42 - k->shift[j][1],
				  (double)(i % p.nx) - 40 - k->shift[j][0]) < 30)
				image[i] += (float)(noise * most * pn_rng_gauss(&rng));
	}
}

/* Largest error of the shifts, without what they have in common along the axis. */
static double worst_shift(const struct known *k, const struct pn_tilt_alignment *a,
			  const struct pn_tilt_shift *tilt, int common_across)
{
	double c = cos(a->axis_deg * M_PI / 180), s = sin(a->axis_deg * M_PI / 180);
	double mean_u = 0, mean_v = 0, worst = 0, n = (double)k->series.count;

	for (int pass = 0; pass < 2; pass++)
		for (size_t j = 0; j < k->series.count; j++) {
			double dx = tilt[j].shift_px[0] - k->shift[j][0];
			double dy = tilt[j].shift_px[1] - k->shift[j][1];
			double u = dx * c + dy * s, v = -dx * s + dy * c;

			if (pass)
				worst = fmax(worst, hypot(u - mean_u, v - mean_v));
			mean_u += pass || !common_across ? 0 : u / n;
			mean_v += pass ? 0 : v / n;
		}
	return worst;
}

static void shifts_and_axis_are_recovered(void **state)
{
	const double axis[] = { 0, 1.7, -3.3 };
	struct pn_tilt_align_params params = defaults();
	struct pn_tilt_shift tilt[128];
	struct pn_tilt_alignment a;
	struct known k;

	(void)state;
	for (size_t i = 0; i < PN_COUNT(axis); i++) {
		known_make(&k, 37, axis[i], 5, 0, 0, 3 + i);
		assert_int_equal(pn_tilt_align(&a, tilt, &k.series, &params, NULL), PN_OK);
		print_message("axis %g: %.4f deg, worst shift %.4f px, unlike %.2g, at y %.2g\n",
			      axis[i], a.axis_deg, worst_shift(&k, &a, tilt, 0), a.unlike,
			      a.unlike_at_y);
		assert_true(fabs(a.axis_deg - axis[i]) < 0.05);
		assert_true(worst_shift(&k, &a, tilt, 0) < 0.1);
		assert_true(a.unlike <= a.unlike_at_y + 1e-9);
		for (size_t j = 0; j < 37; j++)
			assert_true(tilt[j].correlation > 0.995);
		known_free(&k);
	}
}

/* White noise of 5 % of the largest pixel inside the mask: the axis to 0.1 deg rms, the shifts to a
 * quarter of a pixel, which is what the noise of a center of mass amounts to. */
static void noise_is_borne(void **state)
{
	struct pn_tilt_align_params params = defaults();
	struct pn_tilt_shift tilt[128];
	struct pn_tilt_alignment a;
	double sum = 0;
	struct known k;

	(void)state;
	for (uint64_t seed = 1; seed <= 6; seed++) {
		known_make(&k, 37, 1.2, 4, 0, 0.05, seed);
		assert_int_equal(pn_tilt_align(&a, tilt, &k.series, &params, NULL), PN_OK);
		assert_true(worst_shift(&k, &a, tilt, 0) < 0.4);
		assert_true(fabs(a.axis_deg - 1.2) < 0.4);
		sum += pow(a.axis_deg - 1.2, 2) / 6;
		known_free(&k);
	}
	assert_true(sqrt(sum) < 0.2);
}

/* A stage that stays: the offset of the axis comes from the sinusoid. */
static void offset_of_the_axis_is_found(void **state)
{
	struct pn_tilt_align_params params = defaults();
	struct pn_tilt_shift tilt[128];
	struct pn_tilt_alignment a;
	struct known k;

	(void)state;
	params.across = PN_ACROSS_FIXED;
	known_make(&k, 31, 0.8, 0, -2.35, 0, 17);
	assert_int_equal(pn_tilt_align(&a, tilt, &k.series, &params, NULL), PN_OK);
	assert_true(fabs(a.axis_deg - 0.8) < 0.05 && fabs(a.fit.offset_px + 2.35) < 0.01);
	assert_true(worst_shift(&k, &a, tilt, 0) < 0.02);
	known_free(&k);
	known_make(&k, 31, 0.8, 0, 3.1, 0.05, 18);
	assert_int_equal(pn_tilt_align(&a, tilt, &k.series, &params, NULL), PN_OK);
	assert_true(fabs(a.fit.offset_px - 3.1) < 4 * a.fit.offset_uncertainty_px);
	assert_true(a.fit.offset_uncertainty_px < 0.1 && a.fit.rms_px < 0.2);
	/* none: only what is along the axis, and the axis is y if it is not looked for */
	params.across = PN_ACROSS_NONE;
	params.axis_range_deg = 0;
	assert_int_equal(pn_tilt_align(&a, tilt, &k.series, &params, NULL), PN_OK);
	assert_true(a.axis_deg == 0 && a.unlike == a.unlike_at_y && !a.axis_at_end);
	for (size_t j = 0; j < 31; j++)
		assert_true(tilt[j].shift_px[0] == 0 && fabs(tilt[j].shift_px[1]) < 0.5);
	known_free(&k);
}

/* Closed form, with bad tilts among the good ones; what the angles leave open is told. */
static void sinusoid_is_fitted_robustly(void **state)
{
	double x[40], angle[40], residual[40];
	struct pn_error err = { 0 };
	struct pn_axis_fit fit;
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 9, 0);
	for (int j = 0; j < 40; j++) {
		angle[j] = -70 + 3.5 * j;
		x[j] = 7 * cos(angle[j] * M_PI / 180) + 4 * sin(angle[j] * M_PI / 180) - 1.5 +
		       0.05 * pn_rng_gauss(&rng);
	}
	x[3] += 20;
	x[20] -= 5;
	x[33] += 9;
	assert_int_equal(pn_tilt_axis_fit(&fit, residual, x, angle, 40, &err), PN_OK);
	assert_true(fabs(fit.offset_px + 1.5) < 4 * fit.offset_uncertainty_px);
	assert_true(fit.offset_uncertainty_px < 0.1 && fabs(fit.z_px + 4) < 0.05);
	assert_true(fit.outliers >= 3 && fit.outliers < 6 && fabs(residual[3] - 20) < 0.3);
	assert_true(fabs(fit.rms_px - 0.05) < 0.02);
	assert_int_equal(pn_tilt_axis_fit(&fit, NULL, x, angle, 2, &err), PN_EARG);
	for (int j = 0; j < 40; j++)
		angle[j] = 12 + 360 * (j % 2);
	assert_int_equal(pn_tilt_axis_fit(&fit, NULL, x, angle, 40, &err), PN_EARG);
	assert_non_null(strstr(err.text, "three directions"));
	angle[6] = NAN;
	assert_int_equal(pn_tilt_axis_fit(&fit, NULL, x, angle, 40, &err), PN_EARG);
	assert_non_null(strstr(err.text, "tilt 6"));
}

/* The resampled image is the exact projection in the aligned geometry; and back again. */
static void resampling_is_exact(void **state)
{
	static struct particle p;
	static float a[80 * 84], b[80 * 84], c[80 * 84];
	const double cases[][3] = {
		{ 0, 3, -2 }, { 0, 0.37, 1.81 }, { 2.5, -1.3, 4.4 }, { -30, 2.2, 0.6 }
	};
	struct pn_pose pose;

	(void)state;
	p.ny = 84;
	p.nx = 80;
	particle_make(&p, 250, 20, 3.5, 2);
	for (size_t i = 0; i < PN_COUNT(cases); i++) {
		const double none[2] = { 0, 0 }, *shift = cases[i] + 1;
		double worst = 0, most = 0;

		pn_tilt_pose(&pose, 25, cases[i][0], shift);
		particle_project(&p, &pose, a);
		pn_tilt_pose(&pose, 25, 0, none);
		particle_project(&p, &pose, b);
		assert_int_equal(pn_tilt_resample(c, a, 84, 80, cases[i][0], shift, NULL), PN_OK);
		for (int k = 0; k < 80 * 84; k++) {
			worst = fmax(worst, fabs(c[k] - b[k]));
			most = fmax(most, b[k]);
		}
		assert_true(worst < 2e-3 * most);
		if (i == 0)
			assert_true(worst < 2e-6 * most);
	}
	assert_int_equal(pn_tilt_resample(c, a, 84, 80, 46, cases[0], NULL), PN_EARG);
	assert_int_equal(pn_tilt_resample(c, a, 84, 80, 0, (double[]){ 41, 0 }, NULL), PN_EARG);
	a[100] = NAN;
	assert_int_equal(pn_tilt_resample(c, a, 84, 80, 0, cases[0], NULL), PN_EARG);
}

static void threads_and_order_do_not_matter(void **state)
{
	struct pn_tilt_align_params params = defaults();
	struct pn_tilt_shift tilt[2][128];
	struct pn_tilt_alignment a[2];
	int threads = omp_get_max_threads();
	struct known k;

	(void)state;
	known_make(&k, 15, 0.5, 3, 0, 0.02, 4);
	for (int t = 0; t < 2; t++) {
		omp_set_num_threads(1 + t);
		assert_int_equal(pn_tilt_align(&a[t], tilt[t], &k.series, &params, NULL), PN_OK);
	}
	omp_set_num_threads(threads);
	assert_memory_equal(&a[0], &a[1], sizeof a[0]);
	assert_memory_equal(tilt[0], tilt[1], 15 * sizeof tilt[0][0]);
	/* taken the other way round: the same to rounding */
	size_t px = k.series.ny * k.series.nx;
	float *turned = malloc(15 * px * sizeof *turned);
	double angle[15];

	assert_non_null(turned);
	for (size_t j = 0; j < 15; j++) {
		memcpy(turned + j * px, k.image + (14 - j) * px, px * sizeof *turned);
		angle[j] = k.angle_deg[14 - j];
	}
	k.series.image = turned;
	k.series.angle_deg = angle;
	assert_int_equal(pn_tilt_align(&a[1], tilt[1], &k.series, &params, NULL), PN_OK);
	assert_true(fabs(a[0].axis_deg - a[1].axis_deg) < 2e-3);
	for (size_t j = 0; j < 15; j++)
		assert_true(hypot(tilt[0][j].shift_px[0] - tilt[1][14 - j].shift_px[0],
				  tilt[0][j].shift_px[1] - tilt[1][14 - j].shift_px[1]) < 2e-3);
	free(turned);
	known_free(&k);
}

static void bad_tilts_are_named(void **state)
{
	struct pn_tilt_align_params params = defaults();
	struct pn_tilt_shift tilt[128];
	struct pn_tilt_alignment a;
	struct pn_error err = { 0 };
	struct known k;

	(void)state;
	known_make(&k, 9, 0, 2, 0, 0, 5);
	size_t px = k.series.ny * k.series.nx;
	float keep = k.image[3 * px + 170];

	k.image[3 * px + 170] = NAN;
	assert_int_equal(pn_tilt_align(&a, tilt, &k.series, &params, &err), PN_EARG);
	assert_non_null(strstr(err.text, "tilt 3 (-18 deg): pixel 2 10"));
	k.image[3 * px + 170] = keep;
	for (size_t i = 0; i < px; i++) /* a particle that hangs over the border */
		k.image[5 * px + i] = (float)(hypot((double)(i / 80) - 40, (double)(i % 80)) < 15);
	assert_int_equal(pn_tilt_align(&a, tilt, &k.series, &params, &err), PN_EARG);
	assert_non_null(strstr(err.text, "tilt 5"));
	assert_non_null(strstr(err.text, "leaves the field"));
	memset(k.image + 7 * px, 0, px * sizeof *k.image);
	memcpy(k.image + 5 * px, k.image + 4 * px, px * sizeof *k.image);
	assert_int_equal(pn_tilt_align(&a, tilt, &k.series, &params, &err), PN_EARG);
	assert_non_null(strstr(err.text, "tilt 7"));
	assert_non_null(strstr(err.text, "every pixel is 0"));
	k.image[7 * px + 3000] = -1;
	assert_int_equal(pn_tilt_align(&a, tilt, &k.series, &params, &err), PN_EARG);
	assert_non_null(strstr(err.text, "no mass"));
	k.series.count = 2;
	assert_int_equal(pn_tilt_align(&a, tilt, &k.series, &params, &err), PN_EARG);
	assert_non_null(strstr(err.text, "2 tilts: 3 are needed"));
	k.series.count = 3;
	assert_int_equal(pn_tilt_align(&a, tilt, &k.series, &params, &err), PN_OK);
	params.cutoff = 0;
	assert_int_equal(pn_tilt_align(&a, tilt, &k.series, &params, &err), PN_EARG);
	params = defaults();
	k.angle_deg[1] = INFINITY;
	assert_int_equal(pn_tilt_align(&a, tilt, &k.series, &params, &err), PN_EARG);
	assert_non_null(strstr(err.text, "tilt 1"));
	known_free(&k);
}

/* Two views half a turn apart, moved apart from each other; the last one is cut by the field. */
static void mirror_images_tell_the_axis(void **state)
{
	static struct particle p;
	static float a[2][80 * 84];
	const double axis[] = { 0, 4.3, -11.2 }, shift[2][2] = { { 3.4, -1.5 }, { 2.2, 4 } };
	struct pn_tilt_mirror m;
	struct pn_error err = { 0 };

	(void)state;
	p.ny = 84;
	p.nx = 80;
	for (size_t i = 0; i < PN_COUNT(axis); i++) {
		double c = cos(axis[i] * M_PI / 180), s = sin(axis[i] * M_PI / 180);

		particle_make(&p, 250, 20, 3.5, 30 + i);
		for (size_t k = 0; i == 2 && k < p.atoms; k++) {
			/* a needle that goes on beyond the upper border */
			p.r[k][0] = p.r[k][0] * 0.5 + 3;
			p.r[k][1] = p.r[k][1] * 3 - 25;
			p.r[k][2] *= 0.5;
		}
		for (int k = 0; k < 2; k++) {
			struct pn_pose pose;

			pn_tilt_pose(&pose, -80 + 180 * k, axis[i], shift[k]);
			particle_project(&p, &pose, a[k]);
		}
		assert_int_equal(pn_tilt_mirror(&m, a[0], a[1], 84, 80, 15, &err), PN_OK);
		double across = (5.6 * c + 2.5 * s) / 2, along = 1.2 * s + 5.5 * c;

		print_message("mirror: axis %g: %.3f, across %.3f: %.3f, along %.3f: %.3f\n",
			      axis[i], m.axis_deg, across, m.across_px, along, m.along_px);
		assert_true(fabs(m.axis_deg - axis[i]) < (i == 2 ? 0.1 : 0.05));
		assert_true(fabs(m.across_px - across) < 0.05);
		assert_true(fabs(m.along_px - along) < 0.1);
		assert_true(m.correlation > (i == 2 ? 0.9 : 0.99) && !m.axis_at_end);
	}
	assert_int_equal(pn_tilt_mirror(&m, a[0], a[1], 84, 80, 5, &err), PN_OK);
	assert_true(m.axis_at_end);
	assert_int_equal(pn_tilt_mirror(&m, a[0], a[1], 84, 80, 46, &err), PN_EARG);
	a[1][7] = NAN;
	assert_int_equal(pn_tilt_mirror(&m, a[0], a[1], 84, 80, 5, &err), PN_EARG);
	assert_non_null(strstr(err.text, "second"));
	memset(a[0], 0, sizeof a[0]);
	assert_int_equal(pn_tilt_mirror(&m, a[0], a[1], 84, 80, 5, &err), PN_EARG);
	assert_non_null(strstr(err.text, "first has 0 pixels"));
}

/* ------------------------------------------------------------------ multislice series */

/* f4 [37][x][y] as [37][y][x]; NULL where the data are not on this machine. */
static float *read_fept(const char *name)
{
	enum { N = 68, COUNT = 37 };
	const char *path = testkit_data(name);
	struct pn_stack *stack;
	float *out, *stored;

	if (!path)
		return NULL;
	out = malloc(COUNT * N * N * sizeof *out);
	stored = malloc(N * N * sizeof *stored);
	assert_true(out && stored);
	assert_int_equal(pn_stack_open(&stack, path, NULL), PN_OK);
	for (size_t j = 0; j < COUNT; j++) {
		assert_int_equal(pn_stack_read(stack, j, stored, NULL), PN_OK);
		for (size_t i = 0; i < N * N; i++)
			out[j * N * N + i % N * N + i / N] = stored[i];
	}
	pn_stack_close(stack);
	free(stored);
	return out;
}

/* By how much the columns x and rows y of b were turned round against a; exact copies. */
static int find_roll(const float *a, const float *b, int n, int *x, int *y)
{
	for (*y = -5; *y <= 5; (*y)++)
		for (*x = -5; *x <= 5; (*x)++) {
			int same = 1;

			for (int i = 0; same && i < n * n; i++)
				same = a[i] == b[(i / n + *y + n) % n * n + (i % n + *x + n) % n];
			if (same)
				return 1;
		}
	return 0;
}

/*
 * Somebody else's multislice series, rolled by up to 3 px by its authors. What was undone is exact;
 * against the place where the simulation put the particle there remains what dynamical scattering
 * does to a center of mass (x) and to profiles (y).
 */
static void rolled_series_is_put_right(void **state)
{
	enum { N = 68, COUNT = 37 };
	float *good = read_fept("sim_FePt321_prismatic/proj_FePt.npy");
	float *bad = read_fept("sim_FePt321_prismatic/proj_FePt_misaligned.npy");
	struct pn_tilt_align_params params = defaults();
	struct pn_tilt_shift tilt[2][COUNT];
	struct pn_tilt_alignment a[2];
	double angle[COUNT], mean[2] = { 0 }, rms[2] = { 0 }, undone = 0;

	(void)state;
	if (!good || !bad)
		skip();
	for (int j = 0; j < COUNT; j++)
		angle[j] = -90 + 5 * j;
	for (int k = 0; k < 2; k++) {
		struct pn_tilt_series series = { COUNT, N, N, k ? bad : good, angle };

		assert_int_equal(pn_tilt_align(&a[k], tilt[k], &series, &params, NULL), PN_OK);
		assert_true(fabs(a[k].axis_deg) < 0.3);
	}
	for (int pass = 0; pass < 2; pass++)
		for (int j = 0; j < COUNT; j++) {
			int roll[2];

			assert_true(find_roll(good + j * N * N, bad + j * N * N, N, &roll[0],
					      &roll[1]));
			for (int i = 0; i < 2; i++) {
				double off = tilt[1][j].shift_px[i] - roll[i];
				double d = off - tilt[0][j].shift_px[i];

				mean[i] += pass ? 0 : off / COUNT;
				rms[i] += pass ? pow(off - mean[i], 2) / COUNT : 0;
				undone = fmax(undone, fabs(d));
			}
		}
	print_message("axis %.3f, %.3f deg; undone to %.4f px; x %.3f, y %.3f px rms\n",
		      a[0].axis_deg, a[1].axis_deg, undone, sqrt(rms[0]), sqrt(rms[1]));
	assert_true(undone < 0.1);
	assert_true(sqrt(rms[0]) < 0.35 && sqrt(rms[1]) < 0.25);
	free(good);
	free(bad);
}

/*
 * A measured, unaligned series of a needle that leaves the field: others found by trial
 * reconstructions that its axis stands 2 px off.
 */
static void needle_stands_off_the_axis(void **state)
{
	enum { N = 64 };
	const char *path = testkit_data("tilt_haadf_needle64/HAADF.dm3");
	static float image[2][N * N];
	static uint16_t stored[N * N];
	struct pn_tilt_mirror m;
	struct pn_stack *stack;

	(void)state;
	if (!path)
		skip();
	assert_int_equal(pn_stack_open(&stack, path, NULL), PN_OK);
	assert_int_equal(pn_stack_info(stack)->dtype, PN_U16);
	for (size_t k = 0; k < 2;
	     k++) { /* -90 and 90 deg, stored [x][y]; the detector's offset is 520 */
		assert_int_equal(pn_stack_read(stack, 90 * k, stored, NULL), PN_OK);
		for (size_t i = 0; i < N * N; i++)
			image[k][i % N * N + i / N] = (float)stored[i] - 520;
	}
	pn_stack_close(stack);
	assert_int_equal(pn_tilt_mirror(&m, image[0], image[1], N, N, 20, NULL), PN_OK);
	print_message("needle: axis %.2f deg, across %.2f px, correlation %.4f\n", m.axis_deg,
		      m.across_px, m.correlation);
	assert_true(fabs(m.across_px - 2) < 0.3 && m.correlation > 0.98 && !m.axis_at_end);
	assert_true(fabs(m.axis_deg + 10.3) < 0.5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shifts_and_axis_are_recovered),
		cmocka_unit_test(noise_is_borne),
		cmocka_unit_test(offset_of_the_axis_is_found),
		cmocka_unit_test(sinusoid_is_fitted_robustly),
		cmocka_unit_test(resampling_is_exact),
		cmocka_unit_test(threads_and_order_do_not_matter),
		cmocka_unit_test(bad_tilts_are_named),
		cmocka_unit_test(mirror_images_tell_the_axis),
		cmocka_unit_test(rolled_series_is_put_right),
		cmocka_unit_test(needle_stands_off_the_axis),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
