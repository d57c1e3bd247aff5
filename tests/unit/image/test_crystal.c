/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Lattice peaks, spacings and sizes come out as they went in, and noise is not called a crystal. */
#include "perrin/image/crystal.h"

#include "perrin/image/twoclass.h"
#include "perrin/twin/scene.h"
#include "synthetic.h"
#include "testkit.h"

static const double pixel_A = 0.358, pt_a = 3.924;
/* per atom, of the mean: with 1.92 e/px (15 e/A2) this is -7 dB inside the particle */
static const double height = 0.25;
static struct syn_atoms atoms;

static struct pn_crystal *plan_of(size_t ny, size_t nx, double atom_sd_A)
{
	struct pn_crystal_params params;
	struct pn_crystal *plan;
	struct pn_error err = { 0 };

	pn_params_default(pn_crystal_param_table, &params);
	params.pixel_pm = pixel_A * 100;
	params.atom_sd_A = atom_sd_A;
	assert_int_equal(pn_crystal_create(&plan, ny, nx, &params, &err), PN_OK);
	return plan;
}

/* A Pt sphere in a crop: dose 0 = no noise. */
static void picture(float *image, size_t n, double diameter_A, const double turn[4],
		    double dose_e_px, struct pn_rng *rng)
{
	memset(image, 0, sizeof *image * n * n);
	syn_sphere(&atoms, diameter_A, pt_a);
	syn_draw(image, n, n, pixel_A, &atoms, turn, (double)n / 2 + 1.3, (double)n / 2 - 0.7, 0.5,
		 height);
	syn_highpass(image, n, n, 12, 0.1);
	if (dose_e_px > 0)
		syn_count(image, n * n, dose_e_px, rng);
}

static double folded(double spacing_pm, double a_A)
{
	double d111 = 100 * a_A / sqrt(3), d200 = 50 * a_A;

	return fmin(fabs(spacing_pm / d111 - 1), fabs(spacing_pm / d200 - 1));
}

static void spacing_is_exact_without_noise(void **state)
{
	(void)state;
	enum { N = 160 };
	float *image = malloc(sizeof *image * N * N);
	struct pn_crystal *plan = plan_of(N, N, 0);
	struct pn_crystal_result out;

	/* a plain fringe under a Gaussian envelope: everything is known in closed form */
	for (int i = 0; i < 40; i++) {
		double g = 0.35 + 0.01 * i, angle = 0.37 * i, s = 8.0;

		for (int y = 0; y < N; y++)
			for (int x = 0; x < N; x++) {
				double u = (x - 80) * pixel_A, v = (y - 80) * pixel_A;

				image[y * N + x] = (float)(exp(-0.5 * (u * u + v * v) / (s * s)) *
							   cos(2 * M_PI * g *
							       (u * cos(angle) + v * sin(angle))));
			}
		pn_crystal_execute(plan, image, NULL, 0, &out);
		assert_float_equal(out.spacing_pm, 100 / g, 0.3 / g);
		double cross = fabs(out.gx_per_A * sin(angle) - out.gy_per_A * cos(angle));

		assert_true(cross < 0.003);
		assert_float_equal(out.gx_per_A * out.gx_per_A + out.gy_per_A * out.gy_per_A, g * g,
				   0.003);
		/* power of envelope exp(-r^2/2s^2): s.d. 1/(2 pi s sqrt2) in 1/A; the window, 0.62
		 * of the crop, is near its middle a Gaussian of s.d. side / (pi sqrt2) */
		double window = 0.62 * N * pixel_A / (M_PI * sqrt(2));
		double sd = N * pixel_A / (2 * M_PI * sqrt(2)) * hypot(1 / s, 1 / window);

		assert_true(out.width_px > 0.9 * sd && out.width_px < 1.3 * sd);
	}
	pn_crystal_destroy(plan);
	free(image);
}

static void peak_does_not_depend_on_unit_and_offset(void **state)
{
	(void)state;
	enum { N = 96 };
	float *image = malloc(sizeof *image * N * N);
	struct pn_crystal *plan = plan_of(N, N, 0.45);
	struct pn_crystal_result a, b;
	struct pn_rng rng;

	pn_rng_init(&rng, 3, 0);
	picture(image, N, 20, syn_zone_110, 5, &rng);
	pn_crystal_execute(plan, image, NULL, 0, &a);
	for (int i = 0; i < N * N; i++)
		image[i] = 37 * image[i] + 1000;
	pn_crystal_execute(plan, image, NULL, 0, &b);
	assert_float_equal(a.peak, b.peak, 0.01 * a.peak);
	assert_float_equal(a.spacing_pm, b.spacing_pm, 0.1);
	assert_int_equal(a.n_peaks, b.n_peaks);
	pn_crystal_destroy(plan);
	free(image);
}

static int rising(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void noise_rarely_passes_the_noise_peak(void **state)
{
	(void)state;
	static const size_t shape[][2] = { { 160, 160 }, { 64, 100 } };
	enum { CROPS = 400 };
	float *image = malloc(sizeof *image * 160 * 160);

	for (size_t s = 0; s < PN_COUNT(shape); s++) {
		size_t ny = shape[s][0], nx = shape[s][1], passed = 0;
		struct pn_crystal *plan = plan_of(ny, nx, 0.45);
		struct pn_crystal_result out;
		struct pn_rng rng;
		double mean = 0, top[CROPS];

		for (int i = 0; i < CROPS; i++) {
			pn_rng_init(&rng, 5, (uint64_t)i);
			memset(image, 0, sizeof *image * ny * nx);
			if (i % 2) /* coloured noise must not matter */
				syn_liquid(image, ny, nx, 1.5, 0.3, &rng);
			syn_count(image, ny * nx, 1.92, &rng);
			pn_crystal_execute(plan, image, NULL, 0, &out);
			passed += out.peak > pn_crystal_noise_peak(plan);
			mean += out.peak / CROPS;
			top[i] = out.peak;
		}
		qsort(top, CROPS, sizeof *top, rising);
		printf("%zu x %zu: noise peak %.2f, mean of noise maxima %.2f, passed %zu of %d\n",
		       ny, nx, pn_crystal_noise_peak(plan), mean, passed, CROPS);
		assert_true(passed <= 14); /* 1 % asked for */
		/* not far above it either: what 2 % pass */
		assert_true(top[CROPS - 8] > 0.8 * pn_crystal_noise_peak(plan));
		pn_crystal_destroy(plan);
	}
	free(image);
}

static void noisy_pt_gives_spacing_and_class(void **state)
{
	(void)state;
	enum { N = 160, FRAMES = 200 };
	float *image = malloc(sizeof *image * N * N);
	struct pn_crystal *plan = plan_of(N, N, 0.45);
	struct pn_two_class *classes = malloc(sizeof *classes);
	struct pn_crystal_result out;
	struct pn_rng rng;
	int wrong = 0, bad_spacing = 0, aligned_count = 0;
	double sum2 = 0, mean111 = 0;
	int count111 = 0;

	pn_two_class_init(classes, pn_crystal_noise_peak(plan), 100);
	for (int i = 0; i < FRAMES; i++) {
		/* aligned: [110] within 2 degrees; misaligned: an axis far from every low-index
		 * zone */
		double turn[4], off[4] = { 0.9, 0.17, 0.31, 0.2 };
		int aligned = i % 2;

		pn_rng_init(&rng, 11, (uint64_t)i);
		for (int k = 0; k < 4; k++)
			turn[k] = (aligned ? syn_zone_110[k] : off[k]) + 0.009 * pn_rng_gauss(&rng);
		picture(image, N, 20, turn, 1.92, &rng);
		pn_crystal_execute(plan, image, NULL, 0, &out);
		enum pn_class class = pn_two_class_add(classes, out.peak, NULL);

		if (i >= 100)
			wrong += (class == PN_CLASS_HIGH) != aligned;
		if (aligned) {
			double e = folded(out.spacing_pm, pt_a);

			aligned_count++;
			sum2 += e * e;
			bad_spacing += e > 0.03;
			if (fabs(out.spacing_pm - 226.5) < 15) {
				mean111 += out.spacing_pm;
				count111++;
			}
			assert_true(out.n_peaks >= 2);
			assert_true(out.second_angle_deg > 45 && out.second_angle_deg < 80);
		}
	}
	printf("threshold %.1f (prior %.1f), D = %.1f, wrong %d of 100, spacing rms %.2f %%, mean "
	       "{111} %.2f pm\n",
	       classes->threshold, classes->prior, classes->separation, wrong,
	       100 * sqrt(sum2 / aligned_count), mean111 / count111);
	assert_true(wrong <= 2);
	assert_int_equal(bad_spacing, 0);
	assert_true(sqrt(sum2 / aligned_count) < 0.015);
	assert_float_equal(mean111 / count111, 226.55, 2.27);
	pn_crystal_destroy(plan);
	free(classes);
	free(image);
}

static void diameter_is_right(void **state)
{
	(void)state;
	enum { N = 160, REPEATS = 12 };
	static const double doses[] = { 0, 40, 6, 1.92 };
	float *image = malloc(sizeof *image * N * N);
	struct pn_crystal *plan = plan_of(N, N, 0.45);
	struct pn_crystal_result out;
	struct pn_rng rng;

	for (size_t d = 0; d < PN_COUNT(doses); d++) {
		for (double diameter = 18; diameter < 25; diameter += 2) {
			double mean = 0, sum2 = 0, centre = 0;
			int valid = 0;

			for (int i = 0; i < REPEATS; i++) {
				double turn[4];

				pn_rng_init(&rng, 17, (uint64_t)i + 100 * (uint64_t)diameter);
				for (int k = 0; k < 4; k++)
					turn[k] = syn_zone_110[k] + 0.006 * pn_rng_gauss(&rng);
				picture(image, N, diameter, turn, doses[d], &rng);
				pn_crystal_execute(plan, image, NULL, 0, &out);
				pn_crystal_size(plan, image, &out);
				if (!out.size_valid)
					continue;
				valid++;
				mean += out.diameter_nm * 10;
				sum2 += out.diameter_nm * out.diameter_nm * 100;
				centre += hypot(out.x_px - 81.3, out.y_px - 79.3);
			}
			mean /= valid;
			printf("dose %5.2f e/px, %g A: %.2f A (%+.1f %%), s.d. %.2f, valid %d, "
			       "centre %.2f px\n",
			       doses[d], diameter, mean, 100 * (mean / diameter - 1),
			       sqrt(fmax(0, sum2 / valid - mean * mean)), valid, centre / valid);
			assert_true(valid >= REPEATS - 1);
			assert_float_equal(mean, diameter, 0.1 * diameter);
			assert_true(centre / valid < 4);
		}
	}
	pn_crystal_destroy(plan);
	free(image);
}

static void graphene_is_learned_and_ignored(void **state)
{
	(void)state;
	enum { BIG = 256, N = 160, FRAMES = 24 };
	float *frame = malloc(sizeof *frame * BIG * BIG), *crop = malloc(sizeof *crop * N * N);
	struct pn_background_params params;
	struct pn_background *bg, *again;
	struct pn_spot spots[PN_BACKGROUND_SPOTS_MAX], loaded[PN_BACKGROUND_SPOTS_MAX];
	struct pn_crystal *plan = plan_of(N, N, 0.45);
	struct pn_crystal_result out;
	struct pn_error err = { 0 };
	struct pn_rng rng;
	size_t fooled = 0, kept = 0, size = 0;

	pn_params_default(pn_background_param_table, &params);
	params.pixel_pm = pixel_A * 100;
	assert_int_equal(pn_background_create(&bg, BIG, BIG, &params, &err), PN_OK);
	syn_sphere(&atoms, 20, pt_a);
	for (int i = 0; i < FRAMES; i++) {
		double turn[4];

		pn_rng_init(&rng, 23, (uint64_t)i);
		memset(frame, 0, sizeof *frame * BIG * BIG);
		syn_random_turn(&rng, turn);
		syn_draw(frame, BIG, BIG, pixel_A, &atoms, turn, 120 + i, 130, 0.5, height);
		syn_highpass(frame, BIG, BIG, 12, 0.1);
		syn_graphene(frame, BIG, BIG, pixel_A, 0.2, 0.08);
		syn_graphene(frame, BIG, BIG, pixel_A, 0.61, 0.08);
		syn_count(frame, BIG * BIG, 1.92, &rng);
		pn_background_update(bg, frame);
	}
	size_t count = pn_background_find(bg, spots);

	assert_int_equal(count, 6);
	for (size_t i = 0; i < count; i++)
		assert_float_equal(1 / hypot(spots[i].gx_per_A, spots[i].gy_per_A), 2.1304, 0.02);
	/* the state survives */
	assert_int_equal(pn_background_save(bg, NULL, &size, &err), PN_OK);
	char *blob = malloc(size);

	assert_int_equal(pn_background_save(bg, blob, &size, &err), PN_OK);
	assert_int_equal(pn_background_create(&again, BIG, BIG, &params, &err), PN_OK);
	assert_int_equal(pn_background_load(again, blob, size, &err), PN_OK);
	assert_int_equal(pn_background_find(again, loaded), count);
	assert_memory_equal(spots, loaded, count * sizeof *spots);
	assert_int_equal(pn_background_load(again, blob, size - 1, &err), PN_EFORMAT);
	blob[8] = 99;
	assert_int_equal(pn_background_load(again, blob, size, &err), PN_EVERSION);
	/* crops of graphene alone: a crystal without the list, nothing with it; the particle stays
	 */
	for (int i = 0; i < 20; i++) {
		for (int with = 0; with < 2; with++) {
			pn_rng_init(&rng, 29, (uint64_t)i);
			memset(crop, 0, sizeof *crop * N * N);
			if (with)
				syn_draw(crop, N, N, pixel_A, &atoms, syn_zone_110, 80, 80, 0.5,
					 height);
			syn_highpass(crop, N, N, 12, 0.1);
			/* strong enough to be seen in a crop, which that of the frames is not */
			syn_graphene(crop, N, N, pixel_A, 0.2, 0.2);
			syn_graphene(crop, N, N, pixel_A, 0.61, 0.2);
			syn_count(crop, N * N, 1.92, &rng);
			pn_crystal_execute(plan, crop, spots, count, &out);
			if (with)
				kept += folded(out.spacing_pm, pt_a) < 0.03 && out.n_peaks >= 2;
			else
				fooled += out.n_peaks > 0;
			if (!with) {
				pn_crystal_execute(plan, crop, NULL, 0, &out);
				assert_true(out.n_peaks > 0);
			}
		}
	}
	printf("graphene: fooled %zu of 20, particle kept %zu of 20\n", fooled, kept);
	assert_true(fooled <= 1 && kept >= 19);
	free(blob);
	pn_background_destroy(bg);
	pn_background_destroy(again);
	pn_crystal_destroy(plan);
	free(frame);
	free(crop);
}

static void known_lattice_narrows_the_search(void **state)
{
	(void)state;
	enum { N = 160 };
	float *image = calloc(N * N, sizeof *image);
	struct pn_crystal_params params;
	struct pn_crystal *plan;
	struct pn_crystal_result out;
	struct pn_error err = { 0 };

	pn_params_default(pn_crystal_param_table, &params);
	params.lattice_A = pt_a;
	assert_int_equal(pn_crystal_create(&plan, N, N, &params, &err), PN_OK);
	struct pn_crystal *wide = plan_of(N, N, 0);

	assert_true(pn_crystal_noise_peak(plan) < pn_crystal_noise_peak(wide));
	/* a fringe at 2.9 A, four bins off {111}: not Pt */
	for (int y = 0; y < N; y++)
		for (int x = 0; x < N; x++)
			image[y * N + x] = cosf((float)(2 * M_PI * x * pixel_A / 2.9)) +
					   0.01f * ((x * 7 + y * 13) % 11);
	pn_crystal_execute(wide, image, NULL, 0, &out);
	assert_float_equal(out.spacing_pm, 290, 2);
	pn_crystal_execute(plan, image, NULL, 0, &out);
	assert_true(out.peak == 0 || fabs(out.spacing_pm - 290) > 20);
	pn_crystal_destroy(plan);
	pn_crystal_destroy(wide);
	free(image);
}

/* ---- on the twin ---- */

enum { TWIN_FRAMES = 120, TWIN_STEP = 40, CROP = 160 };

struct twin_frame {
	struct pn_scene_truth truth;
	struct pn_crystal_result found;
	double tilt;       /* min over {111}, {200}, {220} of |g_z| diameter, as `perrin score` */
	double reflection; /* from the strongest peak to the nearest of a reflection, 1/A */
};

static void look_at_truth(struct twin_frame *f)
{
	double r[3][3], a = f->truth.lattice_A;

	pn_placement_rotation(&f->truth.pose, r);
	f->tilt = f->reflection = INFINITY;
	for (int h = -3; h <= 3; h++) {
		for (int k = -3; k <= 3; k++) {
			for (int l = -3; l <= 3; l++) {
				int squares = h * h + k * k + l * l;
				double g[3];

				if ((h + k) % 2 || (k + l) % 2 || squares == 0 || squares > 11)
					continue;
				for (int i = 0; i < 3; i++)
					g[i] = (r[i][0] * h + r[i][1] * k + r[i][2] * l) / a;
				if (squares <= 8)
					f->tilt = fmin(f->tilt,
						       fabs(g[2]) * 10 * f->truth.diameter_nm);
				if (fabs(g[2]) < 0.08)
					f->reflection = fmin(f->reflection,
							     hypot(g[0] - f->found.gx_per_A,
								   g[1] - f->found.gy_per_A));
			}
		}
	}
}

/* An etching run, every 40th frame, cut out about the true centre give or take 1.3 pixels. */
static void watch_twin(struct twin_frame *frames, struct pn_crystal *plan)
{
	struct pn_scene_params params;
	struct pn_scene *scene;
	struct pn_error err = { 0 };
	struct pn_rng rng;

	pn_params_default(pn_scene_param_table, &params);
	params.dtype = PN_SCENE_F32;
	params.seed = 4;
	params.etch_per_s = 10;
	assert_int_equal(pn_scene_create(&scene, &params, &err), PN_OK);
	size_t side = (size_t)params.nx;
	float *frame = malloc(sizeof *frame * side * side),
	      *crop = malloc(sizeof *crop * CROP * CROP);

	pn_rng_init(&rng, 31, 0);
	for (int i = 0; i < TWIN_FRAMES; i++) {
		struct twin_frame *f = &frames[i];

		assert_int_equal(
			pn_scene_frame(scene, (uint64_t)i * TWIN_STEP, frame, &f->truth, &err),
			PN_OK);
		long x0 = lround(f->truth.x_px + 1.3 * pn_rng_gauss(&rng)) - CROP / 2;
		long y0 = lround(f->truth.y_px + 1.3 * pn_rng_gauss(&rng)) - CROP / 2;

		for (long y = 0; y < CROP; y++)
			for (long x = 0; x < CROP; x++) {
				int in = y0 + y >= 0 && y0 + y < (long)side && x0 + x >= 0 &&
					 x0 + x < (long)side;

				crop[y * CROP + x] =
					in ? frame[(y0 + y) * (long)side + x0 + x] : NAN;
			}
		pn_crystal_execute(plan, crop, NULL, 0, &f->found);
		pn_crystal_size(plan, crop, &f->found);
		look_at_truth(f);
	}
	pn_scene_destroy(scene);
	free(frame);
	free(crop);
}

static double nearest_ring(double a_A, double spacing_pm)
{
	static const double planes[] = { 3, 4, 8 };
	double best = INFINITY;

	for (size_t i = 0; i < PN_COUNT(planes); i++) {
		double off = spacing_pm * sqrt(planes[i]) / (100 * a_A) - 1;

		best = fabs(off) < fabs(best) ? off : best;
	}
	return best;
}

static void raw_twin_frames_are_told_and_measured(void **state)
{
	(void)state;
	struct twin_frame *frames = calloc(TWIN_FRAMES, sizeof *frames);
	struct pn_two_class *classes = malloc(sizeof *classes);
	struct pn_crystal *plan = plan_of(CROP, CROP, 0);
	int aligned = 0, tilted = 0, aligned_high = 0, tilted_high = 0, high = 0, sized = 0,
	    lost = 0;
	double spacing = 0, size = 0, size_mean = 0;

	watch_twin(frames, plan);
	pn_two_class_init(classes, pn_crystal_noise_peak(plan), 100);
	for (int i = 0; i < TWIN_FRAMES; i++)
		pn_two_class_add(classes, frames[i].found.peak, NULL);
	for (int i = 0; i < TWIN_FRAMES; i++) {
		const struct twin_frame *f = &frames[i];
		int is_high = pn_two_class_of(classes, f->found.peak) == PN_CLASS_HIGH;

		aligned += f->tilt < 0.5;
		tilted += f->tilt > 1;
		aligned_high += f->tilt < 0.5 && is_high;
		tilted_high += f->tilt > 1 && is_high;
		if (!is_high)
			continue;
		high++;
		lost += f->reflection > 0.025; /* graphene is 0.028 off {111} at the least */
		spacing += pow(nearest_ring(f->truth.lattice_A, f->found.spacing_pm), 2);
		if (f->found.size_valid) {
			double off = f->found.diameter_nm / f->truth.diameter_nm - 1;

			sized++;
			size += off * off;
			size_mean += off;
		}
	}
	printf("twin: aligned %d, %d high; misaligned %d, %d high; threshold %.1f (prior %.1f); "
	       "spacing rms %.2f %%, %d at no reflection; diameter of %d of %d: rms %.1f %%, mean "
	       "%+.1f %%\n",
	       aligned, aligned_high, tilted, tilted_high, classes->threshold, classes->prior,
	       100 * sqrt(spacing / high), lost, sized, high, 100 * sqrt(size / sized),
	       100 * size_mean / sized);
	assert_true(aligned > 20 && tilted > 20);
	assert_true(aligned_high >= 0.97 * aligned);
	assert_true(tilted_high <= 0.1 * tilted);
	assert_int_equal(lost, 0);
	assert_true(sqrt(spacing / high) < 0.01);
	assert_true(sized > 0.95 * high);
	assert_true(sqrt(size / sized) < 0.1 && fabs(size_mean / sized) < 0.05);
	pn_crystal_destroy(plan);
	free(classes);
	free(frames);
}

static void bad_crops_have_no_peak(void **state)
{
	(void)state;
	static const size_t shape[][2] = { { 1, 1 },   { 2, 3 },  { 15, 40 }, { 16, 16 },
					   { 17, 33 }, { 1, 64 }, { 160, 90 } };
	float *image = malloc(sizeof *image * 160 * 160);
	struct pn_crystal_params params;
	struct pn_crystal *plan;
	struct pn_error err = { 0 };
	struct pn_spot spots[3] = { { 0.4, 0.1, 1 }, { 50, -50, 1 }, { NAN, 0, 1 } };

	for (size_t s = 0; s < PN_COUNT(shape); s++) {
		size_t ny = shape[s][0], nx = shape[s][1];

		plan = plan_of(ny, nx, 0.45);
		for (int kind = 0; kind < 5; kind++) {
			struct pn_crystal_result out;

			for (size_t i = 0; i < ny * nx; i++) {
				const float value[] = { 0, NAN, 65535, i == 0 ? 1e30f : 0,
							i % 3 ? (float)((i * 7919) % 101)
							      : INFINITY };

				image[i] = value[kind];
			}
			pn_crystal_execute(plan, image, spots, 3, &out);
			pn_crystal_size(plan, image, &out);
			assert_true(isfinite(out.peak) && isfinite(out.spacing_pm) &&
				    isfinite(out.diameter_nm));
			if (kind < 3 || ny < 16 || nx < 16) {
				assert_true(out.peak == 0 && out.n_peaks == 0 && !out.size_valid);
			}
		}
		pn_crystal_destroy(plan);
	}
	/* pixels far too small or large for any lattice */
	for (int i = 0; i < 160 * 160; i++)
		image[i] = (float)((i * 7919) % 101);
	for (int large = 0; large < 2; large++) {
		struct pn_crystal_result out;

		pn_params_default(pn_crystal_param_table, &params);
		params.pixel_pm = large ? 1000 : 1;
		assert_int_equal(pn_crystal_create(&plan, 64, 90, &params, &err), PN_OK);
		pn_crystal_execute(plan, image, spots, 3, &out);
		pn_crystal_size(plan, image, &out);
		assert_true(isfinite(out.peak) && isfinite(out.diameter_nm));
		pn_crystal_destroy(plan);
	}
	pn_params_default(pn_crystal_param_table, &params);
	assert_int_equal(pn_crystal_create(&plan, 0, 5, &params, &err), PN_EARG);
	assert_null(plan);
	params.pixel_pm = -1;
	assert_int_equal(pn_crystal_create(&plan, 64, 64, &params, &err), PN_EARG);
	pn_crystal_destroy(NULL);
	pn_background_destroy(NULL);
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spacing_is_exact_without_noise),
		cmocka_unit_test(peak_does_not_depend_on_unit_and_offset),
		cmocka_unit_test(noise_rarely_passes_the_noise_peak),
		cmocka_unit_test(noisy_pt_gives_spacing_and_class),
		cmocka_unit_test(diameter_is_right),
		cmocka_unit_test(graphene_is_learned_and_ignored),
		cmocka_unit_test(known_lattice_narrows_the_search),
		cmocka_unit_test(raw_twin_frames_are_told_and_measured),
		cmocka_unit_test(bad_crops_have_no_peak),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
