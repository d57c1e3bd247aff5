/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Traced against true models: changes that are known are told as they are. */
#include "perrin/atoms/score.h"

#include "perrin/atoms/pair.h"

#include "kit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct pn_score score_of(const struct kit_model *found, const struct kit_model *truth,
				const struct pn_score_options *options)
{
	struct pn_atoms a = kit_view(found), b = kit_view(truth);
	struct pn_error err = { 0 };
	struct pn_score s;

	assert_int_equal(pn_score_atoms(&s, &a, &b, options, 2, &err), PN_OK);
	assert_int_equal(s.matched + s.missed, truth->count);
	assert_int_equal(s.matched + s.false_atoms, found->count);
	return s;
}

/* 309 atoms; 9 lost, 300 shaken, 20 of another species, 5 far outside, all shifted by 0.5 A. */
static void known_changes(void **state)
{
	struct kit_model truth = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, 3.92, 78);
	struct kit_model found = kit_copy(&truth);
	struct pn_score_options o;

	(void)state;
	kit_shake(&found, 0.1, 3);
	found.count = 300;
	for (int i = 0; i < 20; i++)
		found.element[i] = 28;
	found.position_A = realloc(found.position_A, 305 * sizeof *found.position_A);
	found.element = realloc(found.element, 305);
	assert_true(found.position_A && found.element);
	for (size_t i = 300; i < 305; i++) {
		found.position_A[i][0] = 40 + 3 * (double)i;
		found.position_A[i][1] = found.position_A[i][2] = 0;
		found.element[i] = 78;
	}
	found.count = 305;
	double mean[3] = { 0 }, square = 0, with_mean = 0;

	for (size_t i = 0; i < 300; i++)
		for (int k = 0; k < 3; k++)
			mean[k] += (found.position_A[i][k] - truth.position_A[i][k]) / 300;
	for (size_t i = 0; i < 300; i++)
		for (int k = 0; k < 3; k++) {
			double d = found.position_A[i][k] - truth.position_A[i][k];

			square += (d - mean[k]) * (d - mean[k]) / 300;
			with_mean += d * d / 300;
		}
	for (size_t i = 0; i < found.count; i++)
		found.position_A[i][1] += 0.5;
	struct pn_score s = score_of(&found, &truth, NULL);

	assert_int_equal(s.matched, 300);
	assert_int_equal(s.missed, 9);
	assert_int_equal(s.false_atoms, 5);
	assert_int_equal(s.same_species, 280);
	kit_near(s.rmsd_A, sqrt(square), 1e-9);
	for (int k = 0; k < 3; k++)
		kit_near(s.shift_A[k], mean[k] + (k == 1 ? 0.5 : 0), 1e-9);
	kit_near(s.rmsd_axis_A[0] * s.rmsd_axis_A[0] + s.rmsd_axis_A[1] * s.rmsd_axis_A[1] +
			 s.rmsd_axis_A[2] * s.rmsd_axis_A[2],
		 square, 1e-9);
	kit_near(s.recall, 300.0 / 309, 1e-12);
	kit_near(s.precision, 300.0 / 305, 1e-12);
	assert_true(s.median_A > 0.1 && s.median_A < 0.2 && s.largest_A < 0.6);
	assert_int_equal(s.lines, 2);
	assert_true(s.species[0].truth == 78 && s.species[0].found == 28 &&
		    s.species[0].count == 20 && s.species[1].found == 78);
	for (uint32_t i = 0; i < 305; i++)
		assert_int_equal(s.truth_of[i], i < 300 ? i : PN_PAIR_NONE);
	pn_score_free(&s);
	/* the shift is an error when it is not to be removed */
	pn_score_options_default(&o);
	o.remove_shift = 0;
	s = score_of(&found, &truth, &o);
	assert_int_equal(s.matched, 300);
	kit_near(s.rmsd_A, sqrt(with_mean + 0.25 + 2 * 0.5 * mean[1]), 1e-9);
	assert_true(s.shift_A[1] == 0);
	pn_score_free(&s);
	kit_free(&truth);
	kit_free(&found);
}

/* A shift of most of the tolerance loses pairs at first; taken out, they come back. */
static void shift_brings_pairs_back(void **state)
{
	struct kit_model truth = kit_gas(400, 20, 78, 4), found = kit_copy(&truth);

	(void)state;
	kit_shake(&found, 0.15, 5);
	for (size_t i = 0; i < found.count; i++)
		found.position_A[i][2] -= 0.85;
	struct pn_score_options o;

	pn_score_options_default(&o);
	o.remove_shift = 0;
	struct pn_score with = score_of(&found, &truth, &o),
			without = score_of(&found, &truth, NULL);

	assert_true(with.matched < 350);
	assert_int_equal(without.matched, 400);
	assert_true(fabs(without.shift_A[2] + 0.85) < 0.03);
	assert_true(fabs(without.rmsd_A / (0.15 * sqrt(3)) - 1) < 0.1);
	pn_score_free(&with);
	pn_score_free(&without);
	kit_free(&truth);
	kit_free(&found);
}

/* A mirrored model is not the same model. */
static void handedness_is_an_error(void **state)
{
	struct kit_model truth = kit_gas(300, 15, 78, 6), found = kit_copy(&truth);

	(void)state;
	for (size_t i = 0; i < found.count; i++)
		found.position_A[i][0] = -found.position_A[i][0];
	struct pn_score s = score_of(&found, &truth, NULL);

	assert_true(s.recall < 0.5);
	pn_score_free(&s);
	kit_free(&truth);
	kit_free(&found);
}

static void nothing_and_nonsense(void **state)
{
	struct kit_model one = kit_gas(20, 8, 78, 7), none = kit_copy(&one);
	struct pn_atoms a, b;
	struct pn_score_options o;
	struct pn_score s;

	(void)state;
	none.count = 0;
	s = score_of(&none, &one, NULL);
	assert_true(s.missed == 20 && s.recall == 0 && isnan(s.precision) && isnan(s.rmsd_A) &&
		    isnan(s.median_A));
	pn_score_free(&s);
	s = score_of(&one, &none, NULL);
	assert_true(s.false_atoms == 20 && isnan(s.recall) && s.precision == 0 && s.lines == 0);
	pn_score_free(&s);
	pn_score_options_default(&o);
	o.tolerance_A = NAN;
	a = kit_view(&one);
	b = kit_view(&one);
	assert_int_equal(pn_score_atoms(&s, &a, &b, &o, 1, NULL), PN_EARG);
	pn_score_free(&s);
	kit_free(&one);
	kit_free(&none);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_changes),
		cmocka_unit_test(shift_brings_pairs_back),
		cmocka_unit_test(handedness_is_an_error),
		cmocka_unit_test(nothing_and_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
