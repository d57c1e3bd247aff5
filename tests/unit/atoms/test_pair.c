/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Pairs of two models: exact on known changes, the same for any numbering, as published. */
#include "perrin/atoms/classes.h"

#include "pair_kit.h"
#include "published.h"

/* Strictly closer: a pair at the tolerance is none, but may have moved. */
static void limits_are_strict(void **state)
{
	(void)state;
	static const double p0[2][3] = { { 0, 0, 0 }, { 9, 0, 0 } };
	static const double p1[2][3] = { { 1, 0, 0 }, { 9, 2, 0 } };
	struct kit_model a = points(p0, 2), b = points(p1, 2);
	struct pn_pairing p = pair_of(&a, &b, 1, PN_PAIR_NEAREST);

	assert_int_equal(pn_pairing_common(&p), 0);
	assert_true(isnan(p.rmsd_A));
	pn_pairing_free(&p);
	p = pair_of(&a, &b, 1 + 1e-12, PN_PAIR_NEAREST);
	assert_int_equal(pn_pairing_common(&p), 1);
	pn_pairing_free(&p);
	p = pair_with(&a, &b, 1, PN_PAIR_ASSIGNMENT, 2, 1);
	consistent(&p, &a, &b);
	assert_int_equal(p.fates[PN_FATE_MOVED], 1);
	assert_int_equal(p.fates[PN_FATE_NEW], 1);
	assert_int_equal(pn_pairing_migrated(&p), 4);
	assert_true(isnan(p.rmsd_A));
	pn_pairing_free(&p);
	kit_free(&a);
	kit_free(&b);
}

static void same_after_renumbering(const struct kit_model *a, const struct kit_model *b,
				   enum pn_pair_method method)
{
	uint32_t *from_a = malloc(a->count * sizeof *from_a);
	uint32_t *from_b = malloc(b->count * sizeof *from_b);
	struct kit_model a2 = kit_copy(a), b2 = kit_copy(b);

	assert_non_null(from_a);
	assert_non_null(from_b);
	kit_shuffle(&a2, 31, from_a);
	kit_shuffle(&b2, 32, from_b);
	struct pn_pairing p = pair_with(a, b, 1.67, method, 2.77, 1);
	struct pn_pairing q = pair_with(&a2, &b2, 1.67, method, 2.77, 2);

	consistent(&p, a, b);
	consistent(&q, &a2, &b2);
	for (size_t i = 0; i < a->count; i++) {
		uint32_t j = q.after_of_before[i], old = p.after_of_before[from_a[i]];

		assert_int_equal(j == PN_PAIR_NONE ? PN_PAIR_NONE : from_b[j], old);
		assert_int_equal(q.fate_before[i], p.fate_before[from_a[i]]);
		kit_near(q.distance_A[i], p.distance_A[from_a[i]], 0);
	}
	assert_memory_equal(p.fates, q.fates, sizeof p.fates);
	assert_memory_equal(&p.rmsd_A, &q.rmsd_A, sizeof p.rmsd_A);
	assert_int_equal(p.conflicts_before, q.conflicts_before);
	assert_int_equal(p.conflicts_after, q.conflicts_after);
	assert_true(p.conflicts_before > 20);
	pn_pairing_free(&p);
	pn_pairing_free(&q);
	kit_free(&a2);
	kit_free(&b2);
	free(from_a);
	free(from_b);
}

/* Also where distances tie: a crystal against itself, half a bond further. */
static void numbering_does_not_matter(void **state)
{
	(void)state;
	struct kit_model a = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, 4, 78), b = kit_copy(&a);
	struct kit_model c = cloud(300, 12, 50), d = cloud(280, 12, 51);

	for (size_t i = 0; i < b.count; i++)
		b.position_A[i][0] += 1, b.position_A[i][1] += 1;
	for (int method = 0; method < 2; method++) {
		same_after_renumbering(&a, &b, (enum pn_pair_method)method);
		same_after_renumbering(&c, &d, (enum pn_pair_method)method);
	}
	kit_free(&a);
	kit_free(&b);
	kit_free(&c);
	kit_free(&d);
}

static void turning_does_not_matter(void **state)
{
	(void)state;
	struct kit_model a = cloud(300, 12, 60), b = cloud(280, 12, 61);
	struct kit_model a2 = kit_copy(&a), b2 = kit_copy(&b);

	kit_turn(&a2, 9);
	kit_turn(&b2, 9);
	for (int method = 0; method < 2; method++) {
		struct pn_pairing p = pair_with(&a, &b, 1.67, (enum pn_pair_method)method, 2.77, 1);
		struct pn_pairing q =
			pair_with(&a2, &b2, 1.67, (enum pn_pair_method)method, 2.77, 1);

		assert_memory_equal(p.after_of_before, q.after_of_before,
				    300 * sizeof *p.after_of_before);
		assert_memory_equal(p.fates, q.fates, sizeof p.fates);
		kit_near(p.rmsd_A, q.rmsd_A, 1e-10);
		pn_pairing_free(&p);
		pn_pairing_free(&q);
	}
	kit_free(&a);
	kit_free(&b);
	kit_free(&a2);
	kit_free(&b2);
}

/* Known changes: some atoms gone, some new ones outside, some of another species, all shaken. */
static void known_changes(void **state)
{
	(void)state;
	enum { GONE = 137, ADDED = 61, SWAPPED = 211, JUMPED = 12 };
	const double sigma_A = 0.1;
	struct kit_model a = kit_solid(PN_SHAPE_SPHERE, 6000, 3.912, 78);

	kit_shuffle(&a, 1, NULL);
	struct kit_model b = empty(a.count + ADDED);

	b.count = a.count - GONE;
	memcpy(b.position_A, a.position_A, b.count * sizeof *b.position_A);
	memset(b.element, 46, SWAPPED);
	kit_shake(&b, sigma_A, 2);
	for (size_t k = 0; k < ADDED; k++, b.count++) {
		b.position_A[b.count][0] = 100;
		b.position_A[b.count][1] = 3 * (double)k;
		b.position_A[b.count][2] = 0;
		b.element[b.count] = 78;
	}
	/* the last that are gone stand 2 A beside the last new ones: they jumped */
	for (size_t k = 1; k <= JUMPED; k++) {
		double *p = a.position_A[a.count - k], *q = b.position_A[b.count - k];

		memcpy(p, q, sizeof a.position_A[0]);
		p[0] += 2;
	}
	kit_shuffle(&b, 3, NULL);
	for (int method = 0; method < 2; method++)
		for (int moved = 0; moved < 2; moved++) {
			struct pn_pairing p = pair_with(&a, &b, 1.67, (enum pn_pair_method)method,
							moved ? 2.77 : 0, 1);
			size_t same = a.count - GONE, jumped = moved ? JUMPED : 0;

			consistent(&p, &a, &b);
			assert_int_equal(p.fates[PN_FATE_CONSISTENT], same - SWAPPED);
			assert_int_equal(p.fates[PN_FATE_INCONSISTENT], SWAPPED);
			assert_int_equal(p.fates[PN_FATE_MOVED], jumped);
			assert_int_equal(p.fates[PN_FATE_DISAPPEARED], GONE - jumped);
			assert_int_equal(p.fates[PN_FATE_NEW], ADDED - jumped);
			assert_int_equal(pn_pairing_migrated(&p), GONE + ADDED + SWAPPED);
			kit_near(p.rmsd_A / (sigma_A * sqrt(3)), 1, 0.02);
			pn_pairing_free(&p);
		}
	kit_free(&a);
	kit_free(&b);
}

static void statistics_by_fate(void **state)
{
	(void)state;
	static const double p0[4][3] = { { 0, 0, 0 }, { 3, 0, 0 }, { 6, 0, 0 }, { 9, 0, 0 } };
	static const double p1[3][3] = { { 0, 0.1, 0 }, { 3, 0, 0.5 }, { 50, 0, 0 } };
	static const double depth[4] = { 1, 2.5, 4, NAN };
	struct kit_model a = points(p0, 4), b = points(p1, 3);
	struct pn_class_stat stats[PN_FATES];
	struct pn_error err = { 0 };
	uint64_t counts[PN_FATES][3], outside[PN_FATES];

	b.element[1] = 46;
	struct pn_pairing p = pair_of(&a, &b, 1.67, PN_PAIR_NEAREST);

	kit_near(p.rmsd_A, sqrt((0.01 + 0.25) / 2), 1e-15);
	assert_int_equal(pn_class_stats(stats, depth, p.fate_before, 4, PN_FATES, &err), PN_OK);
	kit_near(stats[PN_FATE_INCONSISTENT].mean, 2.5, 0);
	kit_near(stats[PN_FATE_DISAPPEARED].mean, 4, 0);
	assert_int_equal(stats[PN_FATE_DISAPPEARED].nan, 1);
	assert_int_equal(stats[PN_FATE_NEW].count, 0);
	pn_fate_histogram(&counts[0][0], outside, depth, p.fate_before, 4, 1, 1, 3);
	assert_int_equal(counts[PN_FATE_CONSISTENT][0], 1);
	assert_int_equal(counts[PN_FATE_INCONSISTENT][1], 1);
	assert_int_equal(counts[PN_FATE_DISAPPEARED][2], 0);
	assert_int_equal(outside[PN_FATE_DISAPPEARED], 2);
	assert_int_equal(outside[PN_FATE_CONSISTENT] + outside[PN_FATE_NEW], 0);
	pn_fate_histogram(&counts[0][0], NULL, p1[0], p.fate_after, 3, 0, 0.2, 3);
	assert_int_equal(counts[PN_FATE_CONSISTENT][0], 1);
	pn_pairing_free(&p);
	kit_free(&a);
	kit_free(&b);
}

/* No atoms, lone atoms, many at one place (paired by element, then by number), refused numbers. */
static void degenerate_models(void **state)
{
	(void)state;
	static const double zero[3][3] = { { 0 } };
	struct kit_model none = points(NULL, 0), one = points(zero, 1), three = points(zero, 3);
	struct pn_atoms view = kit_view(&one);
	struct pn_pair_options options;
	struct pn_pairing p;
	struct pn_error err = { 0 };

	for (int method = 0; method < 2; method++) {
		p = pair_of(&none, &none, 1, (enum pn_pair_method)method);
		consistent(&p, &none, &none);
		assert_true(isnan(p.rmsd_A));
		pn_pairing_free(&p);
		p = pair_with(&none, &three, 1, (enum pn_pair_method)method, 2, 1);
		assert_int_equal(p.fates[PN_FATE_NEW], 3);
		pn_pairing_free(&p);
		p = pair_with(&three, &none, 1, (enum pn_pair_method)method, 2, 1);
		assert_int_equal(p.fates[PN_FATE_DISAPPEARED], 3);
		pn_pairing_free(&p);
		three.element[0] = 79;
		p = pair_of(&three, &one, 1, (enum pn_pair_method)method);
		consistent(&p, &three, &one);
		assert_int_equal(p.before_of_after[0], 1);
		assert_int_equal(p.conflicts_after, 1);
		kit_near(p.rmsd_A, 0, 0);
		pn_pairing_free(&p);
	}
	pn_pairing_free(&p);
	pn_pair_options_default(&options);
	assert_int_equal(options.method, PN_PAIR_ASSIGNMENT);
	assert_int_equal(pn_pair_build(&p, &view, &view, 0, NULL, 1, &err), PN_EARG);
	assert_int_equal(pn_pair_build(&p, &view, &view, NAN, NULL, 1, &err), PN_EARG);
	pn_pairing_free(&p);
	options.moved_A = 0.5;
	assert_int_equal(pn_pair_build(&p, &view, &view, 1, &options, 1, &err), PN_EARG);
	assert_non_null(strstr(err.text, "0.5"));
	pn_pairing_free(&p);
	kit_free(&none);
	kit_free(&one);
	kit_free(&three);
}

/* Structures I and III of paper 004: few atoms came, some 87 went; the methods agree. */
static void published_platinum(void **state)
{
	(void)state;
	static const double tolerance_A[] = { 1, 1.38, 1.67, 2.77 };
	static const size_t same[] = { 225, 226, 227, 231 };
	const char *path = testkit_data("models/pt_4d/stage1_docked_ATMS.pdb");

	if (!path)
		skip();
	struct kit_model a = published_model(path, 1);
	struct kit_model b =
		published_model(testkit_data("models/pt_4d/stage3_docked_ATMS.pdb"), 1);

	for (int method = 0; method < 2; method++) {
		for (int t = 0; t < 4; t++) {
			struct pn_pairing p =
				pair_of(&a, &b, tolerance_A[t], (enum pn_pair_method)method);

			consistent(&p, &a, &b);
			assert_int_equal(p.fates[PN_FATE_CONSISTENT], same[t]);
			assert_int_equal(p.fates[PN_FATE_DISAPPEARED], 314 - same[t]);
			assert_int_equal(p.fates[PN_FATE_NEW], 233 - same[t]);
			assert_int_equal(p.conflicts_before, t == 3 ? 256 : 0);
			assert_int_equal(p.conflicts_after, t == 3 ? 231 : 0);
			pn_pairing_free(&p);
		}
		struct pn_pairing p = pair_with(&a, &b, 1.67, (enum pn_pair_method)method, 2.77, 1);

		consistent(&p, &a, &b);
		assert_int_equal(p.fates[PN_FATE_CONSISTENT], 227);
		assert_int_equal(p.fates[PN_FATE_MOVED], 4);
		assert_int_equal(p.fates[PN_FATE_DISAPPEARED], 83);
		assert_int_equal(p.fates[PN_FATE_NEW], 2);
		kit_near(p.rmsd_A, 0.3304774412982655, 1e-12);
		pn_pairing_free(&p);
	}
	kit_free(&a);
	kit_free(&b);
}

/* A value at an edge belongs to the bin that begins there, however the quotient rounds. */
static void edges_of_the_histogram(void **state)
{
	const double first = 0.3, width = 0.01;
	const int32_t fate = PN_FATE_NEW;

	(void)state;
	for (size_t k = 0; k < 200; k++) {
		double edge = first + (double)k * width;
		uint64_t counts[PN_FATES][200], outside[PN_FATES];

		pn_fate_histogram(&counts[0][0], outside, &edge, &fate, 1, first, width, 200);
		assert_int_equal(counts[PN_FATE_NEW][k], 1);
		edge = nextafter(edge, 0);
		pn_fate_histogram(&counts[0][0], outside, &edge, &fate, 1, first, width, 200);
		assert_int_equal(k ? counts[PN_FATE_NEW][k - 1] : outside[PN_FATE_NEW], 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(limits_are_strict),
		cmocka_unit_test(numbering_does_not_matter),
		cmocka_unit_test(turning_does_not_matter),
		cmocka_unit_test(known_changes),
		cmocka_unit_test(statistics_by_fate),
		cmocka_unit_test(edges_of_the_histogram),
		cmocka_unit_test(degenerate_models),
		cmocka_unit_test(published_platinum),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
