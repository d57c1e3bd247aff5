/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A tilt series shows the specimen of its truth at the angles of its truth. */
#include "perrin/twin/tilt.h"

#include "perrin/twin/adf.h"

#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define SIDE 128

static struct pn_tilt_params defaults(void)
{
	static struct pn_tilt_params p;

	pn_params_default(pn_tilt_param_table, &p);
	p.ny = p.nx = SIDE;
	p.specimen.diameter_nm = 2.4;
	return p;
}

static struct pn_tilt_scene *create(const struct pn_tilt_params *p)
{
	struct pn_tilt_scene *tilt;
	struct pn_error err = { 0 };

	if (pn_tilt_create(&tilt, p, &err))
		fail_msg("%s", err.text);
	return tilt;
}

static void frames_are_projections_of_the_truth(void **state)
{
	(void)state;
	struct pn_tilt_params p = defaults();
	static float image[SIDE * SIDE], reference[SIDE * SIDE];
	struct pn_tilt_truth truth;

	p.dtype = PN_SCENE_F32;
	p.noise = 0;
	p.phonon_A = 0;
	p.gain = 1 / (p.dose_e_per_A2 * p.pixel_A * p.pixel_A);
	strcpy(p.specimen.alloy_element, "Fe");
	p.specimen.alloy_fraction = 0.5;

	struct pn_tilt_scene *tilt = create(&p);
	const struct pn_specimen *s = pn_tilt_specimen(tilt);
	struct pn_adf_params adf = { .ny = SIDE,
				     .nx = SIDE,
				     .pixel_A = p.pixel_A,
				     .source_fwhm_A = p.source_fwhm_A,
				     .probe_fwhm_A = p.probe_fwhm_A,
				     .z_power = p.z_power,
				     .yield_A2 = p.yield_A2 };
	double(*lab)[3] = calloc(s->count, sizeof *lab);

	assert_int_equal(pn_tilt_frames(tilt), 49 * 3);
	for (uint64_t f = 0; f < 147; f += 29) {
		assert_int_equal(pn_tilt_frame(tilt, f, image, &truth, NULL), PN_OK);
		assert_int_equal(truth.tilt, f / 3);
		assert_float_equal(truth.nominal_deg, -73 + 3.0 * (f / 3), 1e-9);
		assert_true(fabs(truth.angle_deg - truth.nominal_deg) < 0.5);
		pn_adf_tilt(lab, (const double(*)[3])s->position_A, s->count, truth.angle_deg);
		for (size_t i = 0; i < s->count; i++) {
			lab[i][0] += (truth.x_px - SIDE / 2) * p.pixel_A;
			lab[i][1] += (truth.y_px - SIDE / 2) * p.pixel_A;
		}
		pn_adf_image(&adf, (const double(*)[3])lab, s->atomic_number, s->count, reference);
		for (int i = 0; i < SIDE * SIDE; i++)
			assert_float_equal(image[i], reference[i] + p.support, 2e-6);
	}
	free(lab);
	pn_tilt_destroy(tilt);
}

static void frames_of_a_tilt_drift(void **state)
{
	(void)state;
	struct pn_tilt_params p = defaults();
	static uint16_t pixels[SIDE * SIDE];
	struct pn_tilt_truth a, b = { 0 };
	double step = 0, place = 0;
	int steps = 0, tilts = 0;

	p.ny = p.nx = 32;
	p.frames_per_tilt = 4;
	p.step_deg = 1;
	struct pn_tilt_scene *tilt = create(&p);

	for (uint64_t f = 0; f < pn_tilt_frames(tilt); f++) {
		assert_int_equal(pn_tilt_frame(tilt, f, pixels, &a, NULL), PN_OK);
		if (f % 4) {
			step += pow(a.x_px - b.x_px, 2) + pow(a.y_px - b.y_px, 2);
			steps += 2;
		} else {
			place += pow(a.x_px - 16, 2) + pow(a.y_px - 16, 2);
			tilts += 2;
		}
		b = a;
	}
	/* five standard errors of a variance: 5 sqrt(2 / n) */
	assert_float_equal(step / steps / 0.25, 1, 5 * sqrt(2.0 / steps));
	assert_float_equal(place / tilts / 9, 1, 5 * sqrt(2.0 / tilts));
	pn_tilt_destroy(tilt);
}

static void bytes_do_not_depend_on_order_or_threads(void **state)
{
	(void)state;
	struct pn_tilt_params p = defaults();
	static uint16_t a[SIDE * SIDE], b[SIDE * SIDE];
	int threads = omp_get_max_threads();
	struct pn_tilt_scene *tilt = create(&p);

	omp_set_num_threads(1);
	assert_int_equal(pn_tilt_frame(tilt, 20, a, NULL, NULL), PN_OK);
	omp_set_num_threads(3);
	assert_int_equal(pn_tilt_frame(tilt, 5, b, NULL, NULL), PN_OK);
	assert_memory_not_equal(a, b, sizeof a);
	assert_int_equal(pn_tilt_frame(tilt, 20, b, NULL, NULL), PN_OK);
	assert_memory_equal(a, b, sizeof a);
	omp_set_num_threads(threads);
	pn_tilt_destroy(tilt);
}

static void dose_is_the_dose(void **state)
{
	(void)state;
	struct pn_tilt_params p = defaults();
	static float pixels[SIDE * SIDE];
	double sum = 0, area = p.pixel_A * p.pixel_A, expected = 0;

	p.dtype = PN_SCENE_F32;
	p.phonon_A = 0;
	struct pn_tilt_scene *tilt = create(&p);
	const struct pn_specimen *s = pn_tilt_specimen(tilt);

	for (size_t i = 0; i < s->count; i++)
		expected += p.dose_e_per_A2 * p.yield_A2 * pow(s->atomic_number[i], 1.7);
	expected += p.dose_e_per_A2 * area * p.support * SIDE * SIDE;
	assert_int_equal(pn_tilt_frame(tilt, 70, pixels, NULL, NULL), PN_OK);
	for (int i = 0; i < SIDE * SIDE; i++)
		sum += pixels[i] / p.gain;
	assert_true(fabs(sum - expected) < 5 * sqrt(expected));
	pn_tilt_destroy(tilt);
}

static void refusals_have_a_text(void **state)
{
	(void)state;
	struct pn_tilt_params p = defaults();
	struct pn_tilt_scene *tilt;
	struct pn_error err = { 0 };
	static uint16_t pixels[SIDE * SIDE];

	for (const struct pn_param *row = pn_tilt_param_table; row->name; row++)
		assert_ptr_equal(pn_param_find(pn_tilt_param_table, row->name), row);
	p.step_deg = 0;
	assert_int_equal(pn_tilt_create(&tilt, &p, &err), PN_EARG);
	assert_non_null(strstr(err.text, "step_deg"));
	p = defaults();
	p.last_deg = -80;
	assert_int_equal(pn_tilt_create(&tilt, &p, &err), PN_EARG);
	p = defaults();
	tilt = create(&p);
	assert_int_equal(pn_tilt_frame(tilt, 147, pixels, NULL, &err), PN_EEND);
	pn_tilt_destroy(tilt);
	pn_tilt_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(frames_are_projections_of_the_truth),
		cmocka_unit_test(frames_of_a_tilt_drift),
		cmocka_unit_test(bytes_do_not_depend_on_order_or_threads),
		cmocka_unit_test(dose_is_the_dose),
		cmocka_unit_test(refusals_have_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
