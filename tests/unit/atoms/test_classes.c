/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Statistics over classes against hand-made numbers, and what is left out is counted. */
#include "perrin/atoms/classes.h"

#include "kit.h"

#include "perrin/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void statistics_by_hand(void **state)
{
	(void)state;
	static const double v[] = { 1, 5, NAN, 2, 9, -3, 4, NAN, 100 };
	static const int32_t c[] = { 0, 1, 0, 0, 1, 0, 2, 3, -1 };
	struct pn_class_stat s[5];
	struct pn_error err = { 0 };

	assert_int_equal(pn_class_stats(s, v, c, PN_COUNT(v), 5, &err), PN_OK);
	assert_int_equal(s[0].count, 3);
	assert_int_equal(s[0].nan, 1);
	assert_true(s[0].mean == 0 && s[0].min == -3 && s[0].max == 2);
	kit_near(s[0].deviation, sqrt(7), 1e-15);
	assert_true(s[1].count == 2 && s[1].mean == 7 && s[1].min == 5 && s[1].max == 9);
	kit_near(s[1].deviation, sqrt(8), 1e-15);
	assert_true(s[2].count == 1 && s[2].mean == 4 && s[2].min == 4 && isnan(s[2].deviation));
	for (int k = 3; k < 5; k++) {
		assert_int_equal(s[k].count, 0);
		assert_int_equal(s[k].nan, k == 3);
		assert_true(isnan(s[k].mean) && isnan(s[k].deviation));
		assert_true(isnan(s[k].min) && isnan(s[k].max));
	}
	assert_int_equal(pn_class_stats(s, v, NULL, 2, 1, &err), PN_OK);
	assert_true(s[0].count == 2 && s[0].mean == 3);
	assert_int_equal(pn_class_stats(s, v, NULL, 0, 1, &err), PN_OK);
	assert_true(s[0].count == 0 && isnan(s[0].mean));
}

/* A large offset must not eat the digits of the deviation. */
static void deviation_of_large_numbers(void **state)
{
	(void)state;
	double v[1000];
	struct pn_class_stat s;

	for (int i = 0; i < 1000; i++)
		v[i] = 1e9 + i;
	assert_int_equal(pn_class_stats(&s, v, NULL, 1000, 1, NULL), PN_OK);
	/* of 0 .. n - 1: variance n (n + 1) / 12 */
	kit_near(s.deviation, sqrt(1000 * 1001 / 12.0), 1e-12);
}

static void wrong_classes_are_named(void **state)
{
	(void)state;
	static const double v[3] = { 1, 2, 3 };
	static const int32_t c[3] = { 0, -5, 2 };
	static const uint8_t z[3] = { 46, 46, 46 };
	struct pn_class_stat s[2];
	struct pn_composition comp;
	struct pn_error err = { 0 };

	assert_int_equal(pn_class_stats(s, v, c, 3, 2, &err), PN_EARG);
	assert_non_null(strstr(err.text, "atom 3"));
	assert_int_equal(pn_class_stats(s, v, c, 3, 0, &err), PN_EARG);
	assert_int_equal(pn_composition_by_class(&comp, z, c, 3, 2, NULL, &err), PN_EARG);
	assert_non_null(strstr(err.text, "atom 3"));
	assert_null(comp.count);
	pn_composition_free(&comp);
	assert_int_equal(pn_composition_by_class(&comp, z, c, 3, 0, NULL, &err), PN_EARG);
	pn_composition_free(&comp);
}

static void bins_hold_their_lower_edge(void **state)
{
	(void)state;
	static const double v[] = { 0, 0.1, 0.2, 0.3, 0.35, 0.7, 0.99, 1.0, -1e-9, NAN, INFINITY };
	static const int32_t expect[] = { 0, 1, 2, 3, 3, 7, 9, -1, -1, -1, -1 };
	int32_t c[PN_COUNT(v)];

	/* edges are first + k width as computed: 0.3 < 3 * 0.1 = 0.30000000000000004 */
	assert_int_equal(pn_class_bins(c, v, PN_COUNT(v), 0, 0.1, 10), 4);
	for (size_t i = 0; i < PN_COUNT(v); i++) {
		int32_t e = expect[i] - (v[i] == 0.3 || v[i] == 0.7);

		assert_int_equal(c[i], e);
	}
	/* every value lies in the bin that its edges say */
	struct pn_rng rng;

	pn_rng_init(&rng, 1, 0);
	for (int i = 0; i < 100000; i++) {
		double first = pn_rng_gauss(&rng), width = 0.01 + pn_rng_uniform(&rng);
		double value = first + (double)pn_rng_below(&rng, 60) * width;
		int32_t k;

		/* on an edge, and one bit before and behind it */
		if (i % 3)
			value = nextafter(value, i % 3 == 1 ? -INFINITY : INFINITY);
		size_t out = pn_class_bins(&k, &value, 1, first, width, 50);

		if (k < 0) {
			assert_true(out == 1 && (value < first || value >= first + 50 * width));
			continue;
		}
		assert_true(value >= first + k * width && value < first + (k + 1) * width);
	}
}

static void species_are_in_ascending_order(void **state)
{
	(void)state;
	static const uint8_t z[] = { 78, 28, 78, 46, 1, 103 };
	struct pn_species s = pn_species_of(z, PN_COUNT(z)), none = pn_species_of(z, 0);

	assert_int_equal(s.count, 5);
	assert_memory_equal(s.element, ((uint8_t[]){ 1, 28, 46, 78, 103 }), 5);
	assert_int_equal(s.index[46], 2);
	assert_int_equal(s.index[79], -1);
	assert_int_equal(s.index[0], -1);
	assert_int_equal(none.count, 0);
	assert_int_equal(none.index[78], -1);
}

static void composition_by_hand(void **state)
{
	(void)state;
	static const uint8_t z[] = { 46, 78, 46, 46, 77, 78, 46 };
	static const int32_t c[] = { 0, 0, 0, 0, 2, 2, -1 };
	struct pn_composition comp;
	struct pn_error err = { 0 };

	assert_int_equal(pn_composition_by_class(&comp, z, c, PN_COUNT(z), 3, NULL, &err), PN_OK);
	assert_int_equal(comp.species.count, 3);
	assert_int_equal(comp.atoms[0], 4);
	assert_int_equal(comp.atoms[1], 0);
	assert_int_equal(comp.atoms[2], 2);
	assert_int_equal(comp.count[0 * 3 + 0], 3);
	assert_int_equal(comp.count[0 * 3 + 2], 1);
	assert_true(comp.fraction[0] == 0.75 && comp.fraction[1] == 0 && comp.fraction[2] == 0.25);
	kit_near(comp.deviation[0], sqrt(0.75 * 0.25 / 4), 1e-15);
	assert_true(comp.deviation[1] == 0);
	for (int s = 0; s < 3; s++)
		assert_true(isnan(comp.fraction[3 + s]) && isnan(comp.deviation[3 + s]));
	assert_true(comp.fraction[6] == 0 && comp.fraction[7] == 0.5 && comp.fraction[8] == 0.5);
	pn_composition_free(&comp);

	struct pn_species two = pn_species_of(z, 3), four = pn_species_of((uint8_t[]){ 28 }, 1);

	assert_int_equal(pn_composition_by_class(&comp, z, NULL, PN_COUNT(z), 1, &two, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "atom 5"));
	pn_composition_free(&comp);
	/* a species that the model lacks is a column of zeros */
	assert_int_equal(pn_composition_by_class(&comp, z, NULL, 0, 1, &four, &err), PN_OK);
	assert_int_equal(comp.count[0], 0);
	assert_true(isnan(comp.fraction[0]));
	pn_composition_free(&comp);
}

/* The binomial deviation is what drawing such classes at random shows. */
static void binomial_deviation_is_the_spread_of_draws(void **state)
{
	(void)state;
	enum { CLASSES = 2000, EACH = 30 };
	size_t n = CLASSES * EACH;
	uint8_t *z = malloc(n);
	int32_t *c = malloc(n * sizeof *c);
	double mean = 0, spread = 0, expected = 0;
	struct pn_rng rng;
	struct pn_composition comp;

	assert_true(z && c);
	pn_rng_init(&rng, 5, 0);
	for (size_t i = 0; i < n; i++) {
		z[i] = pn_rng_uniform(&rng) < 0.3 ? 28 : 78;
		c[i] = (int32_t)(i / EACH);
	}
	assert_int_equal(pn_composition_by_class(&comp, z, c, n, CLASSES, NULL, NULL), PN_OK);
	for (size_t k = 0; k < CLASSES; k++)
		mean += comp.fraction[2 * k] / CLASSES;
	for (size_t k = 0; k < CLASSES; k++) {
		double d = comp.fraction[2 * k] - mean;

		spread += d * d / (CLASSES - 1);
		expected += comp.deviation[2 * k] * comp.deviation[2 * k] / CLASSES;
	}
	/* f (1 - f) of a sample is low by (n - 1)/n; a variance of 2000 numbers is good to 3.2 % */
	assert_true(fabs(spread / (expected * EACH / (EACH - 1)) - 1) < 4 * sqrt(2.0 / CLASSES));
	pn_composition_free(&comp);
	free(z);
	free(c);
}

static void numbering_does_not_matter(void **state)
{
	(void)state;
	struct kit_model m = kit_gas(500, 30, 78, 4), t = kit_copy(&m);
	uint32_t *from = malloc(m.count * sizeof *from);
	double v[500], w[500];
	int32_t c[500], d[500];
	struct pn_class_stat a[7], b[7];

	assert_non_null(from);
	kit_shuffle(&t, 3, from);
	for (size_t i = 0; i < m.count; i++) {
		v[i] = m.position_A[i][0] * m.position_A[i][1];
		c[i] = (int32_t)(i % 7);
	}
	for (size_t i = 0; i < m.count; i++) {
		w[i] = v[from[i]];
		d[i] = c[from[i]];
	}
	assert_int_equal(pn_class_stats(a, v, c, m.count, 7, NULL), PN_OK);
	assert_int_equal(pn_class_stats(b, w, d, m.count, 7, NULL), PN_OK);
	for (int k = 0; k < 7; k++) {
		assert_int_equal(a[k].count, b[k].count);
		kit_near(b[k].mean, a[k].mean, 1e-10);
		kit_near(b[k].deviation, a[k].deviation, 1e-10);
		assert_true(a[k].min == b[k].min && a[k].max == b[k].max);
	}
	free(from);
	kit_free(&m);
	kit_free(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statistics_by_hand),
		cmocka_unit_test(deviation_of_large_numbers),
		cmocka_unit_test(wrong_classes_are_named),
		cmocka_unit_test(bins_hold_their_lower_edge),
		cmocka_unit_test(species_are_in_ascending_order),
		cmocka_unit_test(composition_by_hand),
		cmocka_unit_test(binomial_deviation_is_the_spread_of_draws),
		cmocka_unit_test(numbering_does_not_matter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
