/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Noise whose parameters are known is measured, on plain scenes and on lattices of atoms. */
#include "perrin/base/rng.h"
#include "perrin/image/noise.h"
#include "perrin/twin/tilt.h"
#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { NY = 240, NX = 256, COUNT = NY * NX, FRAMES = 3 };

/* Electrons: a smooth hill (atoms = 0), or a crystal of Gaussian columns 1.3 px wide on it. */
static double scene(double x, double y, int atoms)
{
	double r = hypot(x - NX / 2.0, y - NY / 2.0) / 90, hill = r < 1 ? 40 * sqrt(1 - r * r) : 0;
	double a = 0;

	if (atoms) {
		double u = remainder(x + 0.23 * y, 6.8), v = remainder(y - 0.31 * x, 6.1);

		a = 1.5 * exp(-(u * u + v * v) / (2 * 1.3 * 1.3));
	}
	return 4 + (atoms ? hill * (0.2 + a) : hill);
}

static void expose(float *out, const struct pn_noise_model *m, int atoms, double shift, int frame)
{
	struct pn_rng rng;

	pn_rng_init(&rng, 7, (uint64_t)frame);
	for (int i = 0; i < COUNT; i++) {
		double e = scene(i % NX - shift, i / NX - shift / 2, atoms);

		out[i] = (float)(m->offset + m->gain * pn_rng_poisson(&rng, e) +
				 m->readout * pn_rng_gauss(&rng));
	}
}

/* Parameters within 3 % or 3.5 standard errors, and errors that are small. */
static void expect(const struct pn_noise_fit *f, const struct pn_noise_model *m, double bias)
{
	double intercept = m->readout * m->readout - m->gain * m->offset;

	assert_true(f->gain_se < 0.05 * m->gain);
	assert_true(fabs(f->model.gain - m->gain) < 3.5 * f->gain_se + bias * m->gain);
	assert_true(fabs(f->intercept - intercept) <
		    3.5 * f->intercept_se + bias * m->gain * m->gain * 20);
}

static const struct pn_noise_model models[] = {
	{ .gain = 10, .offset = 0, .readout = 0 },
	{ .gain = 1, .offset = 50, .readout = 3 },
	{ .gain = 0.25, .offset = -2, .readout = 0.8 },
};

static void single_images_tell_gain_and_readout(void **state)
{
	float *image = malloc(sizeof *image * COUNT);

	(void)state;
	for (size_t i = 0; i < PN_COUNT(models); i++)
		for (int atoms = 0; atoms < 2; atoms++) {
			struct pn_noise_params p = { models[i].offset, INFINITY };
			struct pn_noise_fit f;

			expose(image, &models[i], atoms, 0, (int)i);
			assert_int_equal(pn_noise_from_image(&f, image, NY, NX, &p, NULL), PN_OK);
			print_message("image %zu atoms %d: gain %.4f +- %.4f (%.4f), intercept "
				      "%.3f +- %.3f (%.3f), readout %.3f +- %.3f, outliers "
				      "%zu / %zu, dispersion %.2f\n",
				      i, atoms, f.model.gain, f.gain_se, models[i].gain,
				      f.intercept, f.intercept_se,
				      models[i].readout * models[i].readout -
					      models[i].gain * models[i].offset,
				      f.model.readout, f.readout_se, f.outliers, f.patches,
				      f.dispersion);
			expect(&f, &models[i], atoms ? 0.04 : 0.02);
			if (models[i].readout > 0)
				assert_true(fabs(f.model.readout - models[i].readout) <
					    4 * f.readout_se + 0.1 * models[i].readout);
			p.offset = NAN;
			assert_int_equal(pn_noise_from_image(&f, image, NY, NX, &p, NULL), PN_OK);
			assert_true(f.model.offset == 0 || f.model.readout == 0);
		}
	free(image);
}

/* Repeated frames: the scene cancels, also with sharp atoms and frames that have moved. */
static void frames_tell_it_better(void **state)
{
	static const double shift[FRAMES][2] = { { 0, 0 }, { 3, 1.5 }, { 6, 3 } };
	float *frames = malloc(sizeof *frames * COUNT * FRAMES);

	(void)state;
	for (size_t i = 0; i < PN_COUNT(models); i++) {
		struct pn_noise_params p = { models[i].offset, INFINITY };
		struct pn_noise_fit f, two;

		for (int k = 0; k < FRAMES; k++)
			expose(frames + k * COUNT, &models[i], 1, shift[k][0], 20 * (k + 1));
		assert_int_equal(pn_noise_from_frames(&f, frames, FRAMES, NY, NX, shift, &p, NULL),
				 PN_OK);
		assert_int_equal(pn_noise_from_frames(&two, frames, 2, NY, NX, shift, &p, NULL),
				 PN_OK);
		print_message("frames %zu: gain %.4f +- %.4f (%.4f), intercept %.3f +- %.3f\n", i,
			      f.model.gain, f.gain_se, models[i].gain, f.intercept, f.intercept_se);
		expect(&f, &models[i], 0.015);
		expect(&two, &models[i], 0.015);
		assert_true(f.gain_se < two.gain_se);
	}
	free(frames);
}

/* Half the squared difference by the book, without filter and patches: exact frames. */
static void pairs_agree_with_plain_differences(void **state)
{
	float *frames = malloc(sizeof *frames * COUNT * 2);
	double l = 0, v = 0, ll = 0, lv = 0;
	struct pn_noise_fit f;

	(void)state;
	for (int k = 0; k < 2; k++)
		expose(frames + k * COUNT, &models[1], 0, 0, 40 + k);
	for (int i = 0; i < COUNT; i++) {
		double d = frames[i] - frames[COUNT + i], m = 50 + scene(i % NX, i / NX, 0);

		l += m / COUNT;
		v += d * d / 2 / COUNT;
		ll += m * m / COUNT;
		lv += m * d * d / 2 / COUNT;
	}
	assert_int_equal(pn_noise_from_frames(&f, frames, 2, NY, NX, NULL, NULL, NULL), PN_OK);
	assert_true(fabs(f.model.gain - (lv - l * v) / (ll - l * l)) < 4 * f.gain_se);
	free(frames);
}

/* The standard errors are those of repetitions. */
static void errors_are_as_large_as_told(void **state)
{
	enum { TRIES = 40 };
	float *image = malloc(sizeof *image * COUNT);
	double z2 = 0;

	(void)state;
	for (int k = 0; k < TRIES; k++) {
		struct pn_noise_fit f;

		expose(image, &models[1], 0, 0, 100 + k);
		assert_int_equal(pn_noise_from_image(&f, image, NY, NX, NULL, NULL), PN_OK);
		z2 += pow((f.model.gain - 1) / f.gain_se, 2) / TRIES;
	}
	print_message("rms error of the gain in standard errors: %.2f\n", sqrt(z2));
	assert_true(z2 > 0.4 && z2 < 2);
	free(image);
}

/* The twin's tilt scene: a nanocrystal at 0.34 A/px, gain 10. */
static void a_tilt_series_tells_its_gain(void **state)
{
	struct pn_tilt_params p;
	struct pn_tilt_scene *tilt;
	struct pn_noise_fit f;
	struct pn_noise_params known = { .offset = 100, .saturation = INFINITY };
	float *frames = malloc(sizeof *frames * 256 * 256 * FRAMES);
	double shift[FRAMES][2];

	(void)state;
	pn_params_default(pn_tilt_param_table, &p);
	p.dtype = PN_SCENE_F32;
	p.readout_e = 0.5;
	p.offset = 100;
	assert_int_equal(pn_tilt_create(&tilt, &p, NULL), PN_OK);
	for (int k = 0; k < FRAMES; k++) {
		struct pn_tilt_truth truth;

		assert_int_equal(pn_tilt_frame(tilt, 60 + k, frames + k * 256 * 256, &truth, NULL),
				 PN_OK);
		shift[k][0] = truth.x_px;
		shift[k][1] = truth.y_px;
	}
	assert_int_equal(pn_noise_from_image(&f, frames, 256, 256, &known, NULL), PN_OK);
	print_message("tilt, image: gain %.3f +- %.3f, readout %.2f +- %.2f, outliers %zu / %zu\n",
		      f.model.gain, f.gain_se, f.model.readout, f.readout_se, f.outliers,
		      f.patches);
	assert_true(fabs(f.model.gain - 10) < 4 * f.gain_se + 0.4);
	assert_int_equal(pn_noise_from_frames(&f, frames, FRAMES, 256, 256, shift, &known, NULL),
			 PN_OK);
	print_message("tilt, frames: gain %.3f +- %.3f, readout %.2f +- %.2f\n", f.model.gain,
		      f.gain_se, f.model.readout, f.readout_se);
	assert_true(fabs(f.model.gain - 10) < 4 * f.gain_se + 0.2);
	assert_true(fabs(f.model.readout - 5) < 4 * f.readout_se + 0.3);
	pn_tilt_destroy(tilt);
	free(frames);
}

static void what_has_no_noise_is_told(void **state)
{
	float *image = malloc(sizeof *image * COUNT * 2);
	static const double far[2][2] = { { 0, 0 }, { 230, 0 } };
	struct pn_noise_params low = { .offset = NAN, .saturation = 3 };
	struct pn_error err = { 0 };
	struct pn_noise_fit f;

	(void)state;
	for (int i = 0; i < 2 * COUNT; i++)
		image[i] = 7;
	assert_int_equal(pn_noise_from_image(&f, image, NY, NX, NULL, &err), PN_ENOENT);
	assert_non_null(strstr(err.text, "0 of"));
	assert_int_equal(pn_noise_from_frames(&f, image, 2, NY, NX, NULL, NULL, &err), PN_ENOENT);
	assert_int_equal(pn_noise_from_frames(&f, image, 1, NY, NX, NULL, NULL, &err), PN_EARG);
	assert_int_equal(pn_noise_from_frames(&f, image, 2, NY, NX, far, NULL, &err), PN_EARG);
	assert_non_null(strstr(err.text, "in common"));
	assert_int_equal(pn_noise_from_image(&f, image, 20, NX, NULL, &err), PN_EARG);
	expose(image, &models[0], 1, 0, 1);
	assert_int_equal(pn_noise_from_image(&f, image, NY, NX, &low, &err), PN_ENOENT);
	image[3 * NX + 5] = INFINITY;
	assert_int_equal(pn_noise_from_image(&f, image, NY, NX, NULL, &err), PN_EARG);
	assert_non_null(strstr(err.text, "pixel 3 5"));
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(single_images_tell_gain_and_readout),
		cmocka_unit_test(frames_tell_it_better),
		cmocka_unit_test(pairs_agree_with_plain_differences),
		cmocka_unit_test(errors_are_as_large_as_told),
		cmocka_unit_test(a_tilt_series_tells_its_gain),
		cmocka_unit_test(what_has_no_noise_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
