/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Frames moved, drifted and distorted by known amounts are brought back. */
#include "perrin/base/rng.h"
#include "perrin/image/register.h"
#include "perrin/twin/tilt.h"
#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { NY = 180, NX = 192, COUNT = NY * NX, ATOMS = 400, SIDE = 256, FRAMES = 3 };

static const double atom_px = 1.33;

/* A particle of columns at random places within a disc, each of its own height. */
static void particle(double (*atom)[3], uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 0);
	for (int i = 0; i < ATOMS; i++) {
		double r = 60 * sqrt(pn_rng_uniform(&rng)), a = 2 * M_PI * pn_rng_uniform(&rng);

		atom[i][0] = r * cos(a);
		atom[i][1] = r * sin(a);
		atom[i][2] = 0.5 + pn_rng_uniform(&rng);
	}
}

/* The image of @atom moved by (x, y) at the middle of the scan and by @drift per frame meanwhile.
 * An atom shows where the beam meets it: r = at + drift a.r. */
static void render(float *image, const double (*atom)[3], double x, double y, const double drift[2])
{
	for (int i = 0; i < COUNT; i++)
		image[i] = 1;
	for (int k = 0; k < ATOMS; k++)
		for (long v = 0; v < NY; v++)
			for (long u = 0; u < NX; u++) {
				double px = (double)(u - NX / 2), py = (double)(v - NY / 2);
				double t = px / COUNT + py / NY;
				double dx = px - atom[k][0] - x - drift[0] * t;
				double dy = py - atom[k][1] - y - drift[1] * t;
				double r2 = dx * dx + dy * dy;

				if (r2 < 36 * atom_px * atom_px)
					image[v * NX + u] +=
						(float)(atom[k][2] *
							exp(-r2 / (2 * atom_px * atom_px)));
			}
}

static void add_noise(float *image, double electrons, uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 1);
	for (int i = 0; i < COUNT; i++)
		image[i] = (float)pn_rng_poisson(&rng, electrons * image[i]);
}

static const double still[2] = { 0, 0 };

static const double places[4][2] = { { 0, 0 }, { 3.37, -2.81 }, { -7.15, 11.02 }, { 0.5, 0.25 } };

static void shifts_of_clean_frames_are_exact(void **state)
{
	double atom[ATOMS][3], closure;
	float *frames = malloc(sizeof *frames * COUNT * 4);
	struct pn_frame_shift s[4];

	(void)state;
	particle(atom, 1);
	for (int k = 0; k < 4; k++)
		render(frames + k * COUNT, (const double(*)[3])atom, places[k][0], places[k][1],
		       still);
	assert_int_equal(pn_register_frames(s, &closure, frames, 4, NY, NX, NULL, NULL), PN_OK);
	for (int k = 0; k < 4; k++) {
		assert_true(fabs(s[k].x_px - places[k][0]) < 2e-3);
		assert_true(fabs(s[k].y_px - places[k][1]) < 2e-3);
		assert_true(s[k].correlation > 0.999);
	}
	assert_true(closure < 1e-3);
	free(frames);
}

/* The peaks of a lattice are told from each other by the outline of the crystal. */
static void lattices_are_not_a_period_off(void **state)
{
	float *frames = malloc(sizeof *frames * COUNT * 4);
	struct pn_frame_shift s[4];
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 2, 0);
	for (int i = 0; i < 4 * COUNT; i++) {
		double x = i % NX - NX / 2 - places[i / COUNT][0];
		double y = i / NX % NY - NY / 2 - places[i / COUNT][1];

		frames[i] = (float)(10 * exp(-(x * x + y * y) / 2000) *
					    (1 + 0.6 * cos(x * 0.8) * cos(y * 0.7 + x * 0.2)) +
				    pn_rng_gauss(&rng));
	}
	assert_int_equal(pn_register_frames(s, NULL, frames, 4, NY, NX, NULL, NULL), PN_OK);
	for (int k = 0; k < 4; k++) {
		assert_true(fabs(s[k].x_px - places[k][0]) < 0.1);
		assert_true(fabs(s[k].y_px - places[k][1]) < 0.1);
	}
	free(frames);
}

/* Errors over repetitions are those told, at a dose where they are a tenth of a pixel. */
static void standard_errors_are_right(void **state)
{
	enum { TRIES = 30 };
	double atom[ATOMS][3], z2 = 0, rms = 0, told = 0;
	float *clean = malloc(sizeof *clean * COUNT * 2),
	      *noisy = malloc(sizeof *noisy * COUNT * 2);

	(void)state;
	particle(atom, 1);
	for (int k = 0; k < 2; k++)
		render(clean + k * COUNT, (const double(*)[3])atom, places[k][0], places[k][1],
		       still);
	for (int t = 0; t < TRIES; t++) {
		struct pn_frame_shift s[2];

		memcpy(noisy, clean, sizeof *noisy * COUNT * 2);
		add_noise(noisy, 2, 2 * t);
		add_noise(noisy + COUNT, 2, 2 * t + 1);
		assert_int_equal(pn_register_frames(s, NULL, noisy, 2, NY, NX, NULL, NULL), PN_OK);
		double x = s[1].x_px - places[1][0], y = s[1].y_px - places[1][1];

		z2 += (pow(x / s[1].x_se_px, 2) + pow(y / s[1].y_se_px, 2)) / (2 * TRIES);
		rms += (x * x + y * y) / (2 * TRIES);
		told += s[1].x_se_px / TRIES;
	}
	print_message("2 e/px: rms error %.3f px, told %.3f px, %.2f standard errors\n", sqrt(rms),
		      told, sqrt(z2));
	assert_true(z2 > 0.4 && z2 < 2);
	free(noisy);
	free(clean);
}

/* The twin's tilt scene: thermal motion, offsets, drift from frame to frame. */
static double twin_error(double dose, double *told)
{
	struct pn_tilt_params p;
	struct pn_tilt_scene *tilt;
	float *frames = malloc(sizeof *frames * SIDE * SIDE * FRAMES);
	double squares = 0;
	int tilts = 0;

	*told = 0;
	pn_params_default(pn_tilt_param_table, &p);
	p.dtype = PN_SCENE_F32;
	p.dose_e_per_A2 = dose;
	p.drift_px = 1.5;
	assert_int_equal(pn_tilt_create(&tilt, &p, NULL), PN_OK);
	for (uint64_t t = 0; t < 49; t += 12, tilts++) {
		struct pn_tilt_truth truth[FRAMES];
		struct pn_frame_shift s[FRAMES];

		for (int k = 0; k < FRAMES; k++)
			assert_int_equal(pn_tilt_frame(tilt, t * FRAMES + k,
						       frames + k * SIDE * SIDE, &truth[k], NULL),
					 PN_OK);
		assert_int_equal(
			pn_register_frames(s, NULL, frames, FRAMES, SIDE, SIDE, NULL, NULL), PN_OK);
		for (int k = 1; k < FRAMES; k++) {
			squares += pow(s[k].x_px - truth[k].x_px + truth[0].x_px, 2) +
				   pow(s[k].y_px - truth[k].y_px + truth[0].y_px, 2);
			*told += s[k].x_se_px * s[k].x_se_px + s[k].y_se_px * s[k].y_se_px;
		}
	}
	int values = tilts * 2 * (FRAMES - 1);

	*told = sqrt(*told / values);
	pn_tilt_destroy(tilt);
	free(frames);
	return sqrt(squares / values);
}

static void frames_of_the_twin_are_registered(void **state)
{
	static const double doses[] = { 1e5 / 3, 2000, 1e5 / 49 / 3 };
	static const double limits[] = { 0.05, 0.2, 0.4 };

	(void)state;
	for (size_t i = 0; i < PN_COUNT(doses); i++) {
		double told, error = twin_error(doses[i], &told);

		print_message("%.0f e/A2 a frame: rms error %.4f px, told %.4f px\n", doses[i],
			      error, told);
		assert_true(error < limits[i]);
		/* along lattice fringes few electrons tell little, and that is known */
		assert_true(error < 2.5 * told && error > 0.3 * told);
	}
}

/* Steady drift during the scan: measured, undone, and the mean is the particle at rest. */
static void drift_is_undone(void **state)
{
	static const double v[2] = { 1.8, -2.4 };
	double atom[ATOMS][3], scale = 0;
	float *frames = malloc(sizeof *frames * COUNT * 3), *rest = malloc(sizeof *rest * COUNT);
	float *mean = malloc(sizeof *mean * COUNT), *plain = malloc(sizeof *plain * COUNT);
	uint8_t *count = malloc(COUNT);
	double error[2] = { 0 };
	struct pn_register_params p;
	struct pn_merge_report r;

	(void)state;
	pn_params_default(pn_register_param_table, &p);
	particle(atom, 4);
	render(rest, (const double(*)[3])atom, 0, 0, still);
	for (int k = 0; k < 3; k++)
		render(frames + k * COUNT, (const double(*)[3])atom, v[0] * k, v[1] * k, v);
	assert_int_equal(pn_merge_frames(mean, count, &r, frames, 3, NY, NX, &p, NULL, NULL),
			 PN_OK);
	p.drift = 0;
	assert_int_equal(pn_merge_frames(plain, count, NULL, frames, 3, NY, NX, &p, NULL, NULL),
			 PN_OK);
	assert_true(fabs(r.drift.x_px - v[0]) < 2e-3 && fabs(r.drift.y_px - v[1]) < 2e-3);
	assert_true(r.drift.residual_px < 2e-3);
	for (int i = 0; i < COUNT; i++) {
		if (count[i] < 3)
			continue;
		error[0] = fmax(error[0], fabs(mean[i] - rest[i]));
		error[1] = fmax(error[1], fabs(plain[i] - rest[i]));
		scale = fmax(scale, rest[i]);
	}
	print_message("drift (%.4f, %.4f) px per frame; largest error %.2e of the peak, %.2e if "
		      "not undone\n",
		      r.drift.x_px, r.drift.y_px, error[0] / scale, error[1] / scale);
	assert_true(error[0] < 0.002 * scale && error[1] > 0.1 * scale);
	assert_true(r.common_part > 0.9 && r.residual[1] < 0.003 * scale);
	free(frames);
	free(rest);
	free(mean);
	free(plain);
	free(count);
}

/* The count map tells how many frames are at a pixel, and the noise of the mean goes down. */
static void averages_know_their_frames(void **state)
{
	double atom[ATOMS][3], sum = 0;
	float *frames = malloc(sizeof *frames * COUNT * 4), *rest = malloc(sizeof *rest * COUNT);
	float *mean = malloc(sizeof *mean * COUNT);
	uint8_t *count = malloc(COUNT);
	struct pn_register_params p;
	struct pn_merge_report r;
	size_t seen[5] = { 0 };

	(void)state;
	pn_params_default(pn_register_param_table, &p);
	p.drift = 0;
	particle(atom, 5);
	render(rest, (const double(*)[3])atom, 0, 0, still);
	for (int k = 0; k < 4; k++) {
		render(frames + k * COUNT, (const double(*)[3])atom, places[k][0], places[k][1],
		       still);
		add_noise(frames + k * COUNT, 50, k);
	}
	assert_int_equal(pn_merge_frames(mean, count, &r, frames, 4, NY, NX, &p, NULL, NULL),
			 PN_OK);
	for (int y = 0; y < NY; y++)
		for (int x = 0; x < NX; x++) {
			int want = 0;

			for (int k = 0; k < 4; k++) {
				double u = x + r.shift[k].x_px, v = y + r.shift[k].y_px;

				want += u >= -1e-6 && u < NX - 1 + 1e-6 && v >= -1e-6 &&
					v < NY - 1 + 1e-6;
			}
			assert_int_equal(count[y * NX + x], want);
			seen[want]++;
			if (want == 4)
				sum += pow(mean[y * NX + x] / 50 - rest[y * NX + x], 2);
		}
	assert_true(seen[4] > COUNT * 8 / 10 && seen[1] + seen[2] + seen[3] > 0);
	assert_true(fabs(r.common_part - (double)seen[4] / COUNT) < 1e-12);
	/* variance of counts over 50^2: about 1.2 / 50 in one frame, a quarter in the mean, less
	 * what interpolation smooths */
	double one = sqrt(1.25 / 50), rms = sqrt(sum / (double)seen[4]);

	print_message("rms error of the mean of 4: %.3f of that of a frame\n", rms / one);
	assert_true(rms < 0.6 * one);
	for (int k = 0; k < 4; k++)
		assert_true(r.residual[k] > 0.4 * 50 * one && r.residual[k] < 1.2 * 50 * one);
	free(frames);
	free(rest);
	free(mean);
	free(count);
}

/* Si [110] columns seen through a scan distortion, the crystal turned. */
static void silicon_tells_the_scan(void **state)
{
	static const double d[2][2] = { { 1.012, 0.017 }, { 0, 0.985 } };
	const double pixel = 0.34, a = 5.4310, turns[] = { 0, 11, -37 };
	float *image = malloc(sizeof *image * COUNT);
	double g[2][2];

	(void)state;
	pn_lattice_si110(g);
	assert_true(fabs(1 / hypot(g[0][0], g[0][1]) - 3.1356) < 1e-3);
	for (int t = 0; t < 3; t++) {
		double c = cos(turns[t] * M_PI / 180), s = sin(turns[t] * M_PI / 180);
		struct pn_scan_fit f;

		for (int i = 0; i < COUNT; i++) {
			/* what the beam meets when it seems to be at the pixel */
			double u = i % NX - NX / 2, v = i / NX - NY / 2;
			double x = (d[0][0] * u + d[0][1] * v) * pixel, y = d[1][1] * v * pixel;
			double X = c * x + s * y, Y = -s * x + c * y, value = 0.3;

			for (int k = 0; k < 4; k++) {
				/* two columns at 0 and (0, a/4), centred cell a/sqrt2 by a */
				double ox = k / 2 * a / (2 * M_SQRT2);
				double oy = k / 2 * a / 2 + k % 2 * a / 4;
				double du = remainder(X - ox, a / M_SQRT2);
				double dv = remainder(Y - oy, a);

				value += exp(-(du * du + dv * dv) / (2 * 0.45 * 0.45));
			}
			image[i] = (float)value;
		}
		add_noise(image, 20, 3);
		assert_int_equal(
			pn_scan_fit(&f, image, NY, NX, pixel, (const double(*)[2])g, 0.05, NULL),
			PN_OK);
		print_message("turn %g: %.3f deg, [%.5f %.5f; %.5f %.5f] +- %.5f, %zu peaks, "
			      "residual %.5f\n",
			      turns[t], f.turn_deg, f.matrix[0][0], f.matrix[0][1], f.matrix[1][0],
			      f.matrix[1][1], f.se, f.peaks, f.residual);
		for (int i = 0; i < 4; i++)
			assert_true(fabs(f.matrix[i / 2][i % 2] - d[i / 2][i % 2]) < 5e-4);
		/* a turn by half or by the mirror of the pair is the same lattice */
		assert_true(fabs(remainder(f.turn_deg - turns[t], 180)) < 0.05);
		assert_true(f.peaks >= 4 && f.se < 5e-4);
	}
	free(image);
}

/* A merge with that matrix puts atoms where they are. */
static void scan_matrix_is_applied(void **state)
{
	static const double d[2][2] = { { 1.02, 0.01 }, { 0, 0.97 } };
	static const double zero[2] = { 0, 0 };
	double atom[ATOMS][3], seen[ATOMS][3], worst = 0;
	float *frames = malloc(sizeof *frames * COUNT * 2), *mean = malloc(sizeof *mean * COUNT);
	float *want = malloc(sizeof *want * COUNT);
	uint8_t *count = malloc(COUNT);
	struct pn_register_params p;

	(void)state;
	pn_params_default(pn_register_param_table, &p);
	p.drift = 0;
	for (int k = 0; k < ATOMS; k++) {
		/* 16 atoms far apart: their widths are distorted as well, by 2 %, which is not
		 * looked at here */
		atom[k][0] = k % 4 * 25.3 - 38 + (k >= 16) * 1e4;
		atom[k][1] = k / 4 * 24.7 - 36;
		atom[k][2] = 1;
		seen[k][1] = atom[k][1] / d[1][1];
		seen[k][0] = (atom[k][0] - d[0][1] * seen[k][1]) / d[0][0];
		seen[k][2] = 1;
	}
	for (int k = 0; k < 2; k++)
		render(frames + k * COUNT, (const double(*)[3])seen, 1.5 * k, k, zero);
	render(want, (const double(*)[3])atom, 0, 0, zero);
	assert_int_equal(pn_merge_frames(mean, count, NULL, frames, 2, NY, NX, &p,
					 (const double(*)[2])d, NULL),
			 PN_OK);
	for (int i = 0; i < COUNT; i++)
		if (count[i] == 2)
			worst = fmax(worst, fabs(mean[i] - want[i]));
	assert_true(worst < 0.04);
	free(frames);
	free(mean);
	free(want);
	free(count);
}

static void interpolation_is_as_good_as_told(void **state)
{
	static const double one[2][2] = { { 1, 0 }, { 0, 1 } }, half[2] = { 0.5, 0.5 };
	static const double waves[] = { 0.1, 0.2, 0.25, 0.3 },
			    loss[] = { 1e-5, 7e-4, 2.3e-3, 0.014 };
	float *image = malloc(sizeof *image * COUNT), *out = malloc(sizeof *out * COUNT);
	double atom[ATOMS][3] = { { 0, 0, 1 } }, worst = 0;
	uint8_t *covered = malloc(COUNT);

	(void)state;
	for (size_t w = 0; w < PN_COUNT(waves); w++) {
		const double shift[2] = { 0.5, 0 };
		double largest = 0;

		for (int i = 0; i < COUNT; i++)
			image[i] = (float)cos(2 * M_PI * waves[w] * (i % NX - 60));
		assert_int_equal(pn_resample(out, covered, image, NY, NX, one, shift, NULL), PN_OK);
		for (int i = 0; i < COUNT; i++)
			if (i % NX > 20 && i % NX < NX - 20)
				largest = fmax(largest, fabs(out[i] - cos(2 * M_PI * waves[w] *
									  (i % NX + 0.5 - 60))));
		print_message("%.2f cycles/px: error %.2e\n", waves[w], largest);
		assert_true(largest < loss[w]);
		assert_int_equal(covered[NX - 1], 0);
		assert_int_equal(covered[NX - 2], 1);
	}
	for (int k = 1; k < ATOMS; k++)
		atom[k][0] = 1e4;
	render(image, (const double(*)[3])atom, 0.5, 0.5, still);
	assert_int_equal(pn_resample(out, NULL, image, NY, NX, one, half, NULL), PN_OK);
	render(image, (const double(*)[3])atom, 0, 0, still);
	for (int y = 1; y < NY - 1; y++)
		for (int x = 1; x < NX - 1; x++)
			worst = fmax(worst, fabs(out[y * NX + x] - image[y * NX + x]));
	print_message("atom of %.2f px: error %.2e\n", atom_px, worst);
	assert_true(worst < 0.003);
	free(image);
	free(out);
	free(covered);
}

/* Values at the pixels are kept, up to the borders, also of tiny images; same bytes in any number
 * of threads. */
static void interpolation_keeps_the_pixels(void **state)
{
	static const double one[2][2] = { { 1, 0 }, { 0, 1 } }, zero[2] = { 0 };
	static const double m[2][2] = { { 0.97, 0.11 }, { -0.2, 1.05 } }, s[2] = { 3.3, -1.7 };
	static const size_t shapes[][2] = { { 2, 2 }, { 3, 5 }, { 2, 40 }, { 33, 17 }, { 60, 64 } };
	float image[60 * 64], out[60 * 64], again[60 * 64];
	int threads = omp_get_max_threads();
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 1, 0);
	for (int i = 0; i < 60 * 64; i++)
		image[i] = (float)pn_rng_gauss(&rng);
	for (size_t k = 0; k < PN_COUNT(shapes); k++) {
		size_t ny = shapes[k][0], nx = shapes[k][1];

		assert_int_equal(pn_resample(out, NULL, image, ny, nx, one, zero, NULL), PN_OK);
		for (size_t i = 0; i < ny * nx; i++)
			assert_true(fabsf(out[i] - image[i]) < 2e-5f);
	}
	omp_set_num_threads(1);
	assert_int_equal(pn_resample(out, NULL, image, 60, 64, m, s, NULL), PN_OK);
	omp_set_num_threads(3);
	assert_int_equal(pn_resample(again, NULL, image, 60, 64, m, s, NULL), PN_OK);
	omp_set_num_threads(threads);
	assert_memory_equal(out, again, sizeof out);
}

static void bad_frames_are_told(void **state)
{
	double atom[ATOMS][3], g[2][2];
	static const double flat[2][2] = { { 1, 0 }, { 1, 0 } };
	float *frames = malloc(sizeof *frames * COUNT * 2);
	struct pn_register_params p;
	struct pn_frame_shift s[2];
	struct pn_error err = { 0 };
	struct pn_drift drift;
	struct pn_scan_fit scan;

	(void)state;
	pn_params_default(pn_register_param_table, &p);
	particle(atom, 6);
	for (int k = 0; k < 2; k++)
		render(frames + k * COUNT, (const double(*)[3])atom, k * 55, k * -100, still);
	assert_int_equal(pn_register_frames(s, NULL, frames, 2, NY, NX, NULL, &err), PN_EARG);
	assert_non_null(strstr(err.text, "frame 1 seems to be shifted"));
	assert_int_equal(pn_register_frames(s, NULL, frames, 1, NY, NX, NULL, &err), PN_EARG);
	assert_int_equal(pn_register_frames(s, NULL, frames, 2, 20, NX, NULL, &err), PN_EARG);
	p.cutoff_per_px = 0.7;
	assert_int_equal(pn_register_frames(s, NULL, frames, 2, NY, NX, &p, &err), PN_EARG);
	/* nothing but noise, not the same */
	for (int i = 0; i < 2 * COUNT; i++)
		frames[i] = 1;
	add_noise(frames, 10, 1);
	add_noise(frames + COUNT, 10, 2);
	int rc = pn_register_frames(s, NULL, frames, 2, NY, NX, NULL, &err);

	assert_true(rc == PN_ENOENT || rc == PN_EARG);
	print_message("noise alone: %s\n", err.text);
	pn_lattice_si110(g);
	assert_int_equal(
		pn_scan_fit(&scan, frames, NY, NX, 0.34, (const double(*)[2])g, 0.05, &err),
		PN_ENOENT);
	assert_int_equal(pn_scan_fit(&scan, frames, NY, NX, 0.34, flat, 0.05, &err), PN_EARG);
	for (int i = 0; i < COUNT; i++)
		frames[COUNT + i] = 3;
	assert_int_equal(pn_register_frames(s, NULL, frames, 2, NY, NX, NULL, &err), PN_EARG);
	assert_non_null(strstr(err.text, "frame 1 is 3 everywhere"));
	frames[COUNT + 5 * NX + 7] = NAN;
	assert_int_equal(pn_register_frames(s, NULL, frames, 2, NY, NX, NULL, &err), PN_EARG);
	assert_non_null(strstr(err.text, "frame 1, pixel 5 7"));
	assert_int_equal(pn_drift_fit(&drift, s, 1, NY, NX, 1, &err), PN_EARG);
	s[0] = (struct pn_frame_shift){ 0 };
	s[1] = (struct pn_frame_shift){ .y_px = -170 };
	assert_int_equal(pn_drift_fit(&drift, s, 2, NY, NX, 1, &err), PN_EARG);
	free(frames);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shifts_of_clean_frames_are_exact),
		cmocka_unit_test(lattices_are_not_a_period_off),
		cmocka_unit_test(standard_errors_are_right),
		cmocka_unit_test(frames_of_the_twin_are_registered),
		cmocka_unit_test(drift_is_undone),
		cmocka_unit_test(averages_know_their_frames),
		cmocka_unit_test(silicon_tells_the_scan),
		cmocka_unit_test(scan_matrix_is_applied),
		cmocka_unit_test(interpolation_is_as_good_as_told),
		cmocka_unit_test(interpolation_keeps_the_pixels),
		cmocka_unit_test(bad_frames_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
