/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Etching takes the least bound atom each time, at the stated times, and keeps the books straight.
 */
#include "perrin/twin/etch.h"

#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct pn_specimen *make(int shape, double diameter_nm, double vacancies, double thermal_A)
{
	struct pn_specimen_params p;
	struct pn_specimen *s = NULL;
	struct pn_error err = { 0 };

	pn_params_default(pn_specimen_param_table, &p);
	p.shape = shape;
	p.diameter_nm = diameter_nm;
	p.vacancy_fraction = vacancies;
	p.thermal_A = thermal_A;
	if (pn_specimen_create(&s, &p, 11, &err))
		fail_msg("%s", err.text);
	return s;
}

static struct pn_etch *etch_of(const struct pn_specimen *s, double rate, uint64_t seed)
{
	struct pn_etch *e = NULL;
	struct pn_error err = { 0 };

	if (pn_etch_create(&e, s, 0, rate, seed, &err))
		fail_msg("%s", err.text);
	return e;
}

/* The slow way: every pair of atoms still there. */
static int coordination(const struct pn_specimen *s, size_t i, double cutoff_A)
{
	int cn = 0;

	for (size_t j = 0; j < s->count; j++) {
		double d2 = 0;

		for (int k = 0; k < 3; k++) {
			double d = s->position_A[i][k] - s->position_A[j][k];

			d2 += d * d;
		}
		cn += j != i && d2 < cutoff_A * cutoff_A;
	}
	return cn;
}

/* The entry of @before that @after lacks; everything else must be the same and in order. */
static size_t the_missing_one(const struct pn_specimen *before, const struct pn_specimen *after)
{
	size_t missing = before->count;

	assert_int_equal(after->count, before->count - 1);
	for (size_t i = 0, j = 0; i < before->count; i++) {
		if (j < after->count && after->id[j] == before->id[i]) {
			assert_memory_equal(after->position_A[j], before->position_A[i],
					    3 * sizeof(double));
			assert_int_equal(after->atomic_number[j], before->atomic_number[i]);
			j++;
			continue;
		}
		assert_int_equal(missing, before->count);
		missing = i;
	}
	return missing;
}

static void always_one_of_the_lowest_goes(void **state)
{
	(void)state;
	for (int shape = 0; shape <= PN_SHAPE_OCTAHEDRON; shape++) {
		struct pn_specimen *s = make(shape, 1.6, 0.05, 0.05), *before;
		struct pn_etch *e = etch_of(s, 1, 3);
		double cutoff_A = 0.85 * s->lattice_A;

		for (size_t i = 0; i < s->count; i++)
			s->atomic_number[i] = (uint8_t)(1 + i % 100);
		while (s->count) {
			int lowest = 1000;

			assert_int_equal(pn_specimen_copy(&before, s, NULL), PN_OK);
			assert_int_equal(pn_etch_advance(e, s, 1), 1);
			for (size_t i = 0; i < before->count; i++) {
				int cn = coordination(before, i, cutoff_A);

				lowest = cn < lowest ? cn : lowest;
			}
			size_t gone = the_missing_one(before, s);

			assert_int_equal(coordination(before, gone, cutoff_A), lowest);
			pn_specimen_destroy(before);
		}
		assert_int_equal(pn_etch_advance(e, s, 1), 0);
		pn_etch_destroy(e);
		pn_specimen_destroy(s);
	}
}

static void the_clock_decides_how_many(void **state)
{
	(void)state;
	static const double rates[] = { 0, 0.3, 5, 9, 399, 400, 401, 12345 };

	for (size_t r = 0; r < sizeof rates / sizeof rates[0]; r++) {
		struct pn_specimen *s = make(PN_SHAPE_SPHERE, 4, 0, 0);
		struct pn_etch *e = etch_of(s, rates[r], 1);
		size_t start = s->count;

		for (int frame = 1; frame <= 1200; frame++) {
			/* 2.5 ms frames: after n of them floor(rate n / 400), in whole numbers */
			double due = floor(rates[r] * frame / 400);
			uint64_t expected = due < (double)start ? (uint64_t)due : start;

			pn_etch_advance(e, s, 2.5e-3);
			assert_int_equal(pn_etch_removed_count(e), expected);
			assert_int_equal(s->count, start - expected);
		}
		pn_etch_destroy(e);
		pn_specimen_destroy(s);
	}
}

static void cutting_the_time_changes_nothing(void **state)
{
	(void)state;
	struct pn_specimen *a = make(PN_SHAPE_SPHERE, 2.4, 0, 0), *b, *c;

	assert_int_equal(pn_specimen_copy(&b, a, NULL), PN_OK);
	assert_int_equal(pn_specimen_copy(&c, a, NULL), PN_OK);
	struct pn_etch *ea = etch_of(a, 8, 7), *eb = etch_of(b, 8, 7), *ec = etch_of(c, 8, 8);

	assert_int_equal(pn_etch_advance(ea, a, 30), 240);
	for (int i = 0; i < 12000; i++)
		pn_etch_advance(eb, b, 2.5e-3);
	pn_etch_advance(ec, c, 30);
	assert_int_equal(a->count, b->count);
	assert_memory_equal(a->id, b->id, a->count * sizeof *a->id);
	assert_memory_equal(a->position_A, b->position_A, a->count * sizeof *a->position_A);
	assert_int_equal(a->count, c->count);
	assert_memory_not_equal(a->id, c->id, a->count * sizeof *a->id);
	pn_etch_destroy(ea);
	pn_etch_destroy(eb);
	pn_etch_destroy(ec);
	pn_specimen_destroy(a);
	pn_specimen_destroy(b);
	pn_specimen_destroy(c);
}

/* The 12 vertices of a cuboctahedron all have 5 neighbours: each goes first as often. */
static void ties_are_fair(void **state)
{
	(void)state;
	enum { SEEDS = 2400 };
	struct pn_specimen *whole = make(PN_SHAPE_CUBOCTAHEDRON, 1.3, 0, 0), *s;
	int *hits = calloc(whole->count, sizeof *hits), vertices = 0;
	double chi2 = 0, expected = SEEDS / 12.0;

	for (int seed = 0; seed < SEEDS; seed++) {
		assert_int_equal(pn_specimen_copy(&s, whole, NULL), PN_OK);
		struct pn_etch *e = etch_of(s, 1, (uint64_t)seed);

		assert_int_equal(pn_etch_advance(e, s, 1), 1);
		hits[the_missing_one(whole, s)]++;
		pn_etch_destroy(e);
		pn_specimen_destroy(s);
	}
	for (size_t i = 0; i < whole->count; i++) {
		if (coordination(whole, i, 0.85 * whole->lattice_A) != 5) {
			assert_int_equal(hits[i], 0);
			continue;
		}
		vertices++;
		chi2 += (hits[i] - expected) * (hits[i] - expected) / expected;
	}
	assert_int_equal(vertices, 12);
	assert_true(chi2 < 33); /* 11 degrees of freedom: the 0.05 % point */
	free(hits);
	pn_specimen_destroy(whole);
}

/* Ten thousand atoms to the last one: every id goes exactly once. */
static void a_large_crystal_dissolves_wholly(void **state)
{
	(void)state;
	struct pn_specimen *s = make(PN_SHAPE_SPHERE, 6.7, 0, 0);
	struct pn_etch *e = etch_of(s, 100, 1);
	size_t start = s->count, removed = 0;

	assert_true(start > 10000);
	while (s->count) {
		removed += (size_t)pn_etch_advance(e, s, 0.1);
		for (size_t i = 1; i < s->count; i++)
			assert_true(s->id[i] > s->id[i - 1]);
		if (s->count % 1000 == 0)
			assert_int_equal(removed + s->count, start);
	}
	assert_int_equal(removed, start);
	pn_etch_destroy(e);
	pn_specimen_destroy(s);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	struct pn_specimen *s = make(PN_SHAPE_SPHERE, 1, 0, 0);
	struct pn_etch *e;

	assert_int_equal(pn_etch_create(&e, s, -1, 1, 0, NULL), PN_EARG);
	assert_null(e);
	assert_int_equal(pn_etch_create(&e, s, 0, NAN, 0, NULL), PN_EARG);
	assert_int_equal(pn_etch_create(&e, s, INFINITY, 1, 0, NULL), PN_EARG);
	s->lattice_A = 0;
	assert_int_equal(pn_etch_create(&e, s, 0, 1, 0, NULL), PN_EARG);
	s->count = 0; /* nothing to dissolve is fine */
	assert_int_equal(pn_etch_create(&e, s, 3, 1, 0, NULL), PN_OK);
	assert_int_equal(pn_etch_advance(e, s, 100), 0);
	pn_etch_destroy(e);
	pn_etch_destroy(NULL);
	pn_specimen_destroy(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(always_one_of_the_lowest_goes),
		cmocka_unit_test(the_clock_decides_how_many),
		cmocka_unit_test(cutting_the_time_changes_nothing),
		cmocka_unit_test(ties_are_fair),
		cmocka_unit_test(a_large_crystal_dissolves_wholly),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
