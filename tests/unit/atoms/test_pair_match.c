/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Where atoms compete, mutual nearest ones pair, or the total cost is the least there is. */
#include "pair_kit.h"

static void conflicts_are_settled(void **state)
{
	(void)state;
	static const double two[2][3] = { { 0.7, 0, 0 }, { -0.5, 0, 0 } };
	static const double origin[1][3] = { { 0, 0, 0 } };
	static const double first[2][3] = { { 0, 0, 0 }, { 2, 0, 0 } };
	static const double second[2][3] = { { 1.2, 0, 0 }, { 3.5, 0, 0 } };
	struct kit_model a = points(origin, 1), b = points(two, 2);
	struct pn_pairing p;

	for (int method = 0; method < 2; method++) {
		p = pair_of(&a, &b, 1, (enum pn_pair_method)method);
		consistent(&p, &a, &b);
		assert_int_equal(p.after_of_before[0], 1);
		assert_int_equal(p.conflicts_before, 1);
		assert_int_equal(p.conflicts_after, 0);
		assert_int_equal(p.fates[PN_FATE_NEW], 1);
		kit_near(p.rmsd_A, 0.5, 1e-15);
		pn_pairing_free(&p);
		p = pair_of(&b, &a, 1, (enum pn_pair_method)method);
		consistent(&p, &b, &a);
		assert_int_equal(p.before_of_after[0], 1);
		assert_int_equal(p.conflicts_before, 0);
		assert_int_equal(p.conflicts_after, 1);
		assert_int_equal(p.fates[PN_FATE_DISAPPEARED], 1);
		pn_pairing_free(&p);
	}
	kit_free(&a);
	kit_free(&b);
	/* 0.8 alone (0.64 + 4), or 1.2 and 1.5 (3.69): here the methods differ */
	a = points(first, 2);
	b = points(second, 2);
	p = pair_of(&a, &b, 2, PN_PAIR_NEAREST);
	consistent(&p, &a, &b);
	assert_int_equal(p.after_of_before[1], 0);
	assert_int_equal(pn_pairing_common(&p), 1);
	pn_pairing_free(&p);
	p = pair_of(&a, &b, 2, PN_PAIR_ASSIGNMENT);
	consistent(&p, &a, &b);
	assert_int_equal(p.after_of_before[0], 0);
	assert_int_equal(p.after_of_before[1], 1);
	kit_near(p.rmsd_A, sqrt(3.69 / 2), 1e-15);
	pn_pairing_free(&p);
	/* with a tolerance of 1.67 the pair of 0.8 is cheaper (0.64 + 2.79) */
	p = pair_of(&a, &b, 1.67, PN_PAIR_ASSIGNMENT);
	assert_int_equal(p.after_of_before[1], 0);
	pn_pairing_free(&p);
	kit_free(&a);
	kit_free(&b);
}

static double cost_of(const struct pn_pairing *p)
{
	double cost = 0;

	for (size_t i = 0; i < p->before; i++)
		cost += p->after_of_before[i] == PN_PAIR_NONE ? p->tolerance_A * p->tolerance_A
							      : pow(p->distance_A[i], 2);
	return cost;
}

/* The least cost of pairing atom @i and the later ones, with the partners in @taken gone. */
static double least(const struct kit_model *a, const struct kit_model *b, double tolerance_A,
		    size_t i, unsigned taken)
{
	if (i == a->count)
		return 0;
	double best = tolerance_A * tolerance_A + least(a, b, tolerance_A, i + 1, taken);

	for (size_t j = 0; j < b->count; j++) {
		double d = distance(a->position_A[i], b->position_A[j]);

		if (d < tolerance_A && !(taken >> j & 1))
			best = fmin(best, d * d + least(a, b, tolerance_A, i + 1, taken | 1u << j));
	}
	return best;
}

static void assignment_is_the_least_of_all(void **state)
{
	(void)state;
	int differs = 0;

	for (uint64_t trial = 0; trial < 400; trial++) {
		struct kit_model a = cloud(trial % 7, 3, 2 * trial);
		struct kit_model b = cloud(trial / 7 % 7, 3, 2 * trial + 1);
		struct pn_pairing p = pair_of(&a, &b, 1.7, PN_PAIR_ASSIGNMENT);
		struct pn_pairing q = pair_of(&a, &b, 1.7, PN_PAIR_NEAREST);

		consistent(&p, &a, &b);
		kit_near(cost_of(&p), least(&a, &b, 1.7, 0, 0), 1e-13);
		assert_true(cost_of(&q) >= cost_of(&p) - 1e-12);
		differs += cost_of(&q) > cost_of(&p) + 1e-6;
		pn_pairing_free(&p);
		pn_pairing_free(&q);
		kit_free(&a);
		kit_free(&b);
	}
	assert_true(differs > 10);
}

/*
 * Large sets, by a certificate: no chain of exchanges lowers the cost. Nodes are the atoms of the
 * first model and one for "free partner or alone"; an arc i -> k lets i have what k has.
 */
static int has_cheaper_exchange(const struct pn_pairing *p, const struct kit_model *a,
				const struct kit_model *b)
{
	enum { NODES = 81 };
	static double arc[NODES][NODES];
	double limit = p->tolerance_A, alone = limit * limit;
	size_t n = a->count;

	assert_true(n + 1 <= NODES);
	for (size_t i = 0; i < n; i++) {
		uint32_t own = p->after_of_before[i];
		double now = own == PN_PAIR_NONE ? alone : pow(p->distance_A[i], 2);

		for (size_t k = 0; k < n; k++)
			arc[i][k] = INFINITY;
		arc[i][n] = alone - now;
		arc[n][i] = 0;
		for (size_t j = 0; j < b->count; j++) {
			double d = distance(a->position_A[i], b->position_A[j]);
			size_t k =
				p->before_of_after[j] == PN_PAIR_NONE ? n : p->before_of_after[j];

			if (d < limit)
				arc[i][k] = fmin(arc[i][k], d * d - now);
		}
	}
	arc[n][n] = 0;
	for (size_t k = 0; k <= n; k++)
		for (size_t i = 0; i <= n; i++)
			for (size_t j = 0; j <= n; j++)
				arc[i][j] = fmin(arc[i][j], arc[i][k] + arc[k][j]);
	for (size_t i = 0; i <= n; i++)
		if (arc[i][i] < -1e-9)
			return 1;
	return 0;
}

static void assignment_of_many_cannot_be_bettered(void **state)
{
	(void)state;
	int differs = 0;

	for (uint64_t trial = 0; trial < 60; trial++) {
		struct kit_model a = cloud(80, 8, 1000 + trial);
		struct kit_model b = cloud(40 + trial, 8, 2000 + trial);
		struct pn_pairing p = pair_of(&a, &b, 2 + 0.02 * (double)trial, PN_PAIR_ASSIGNMENT);
		struct pn_pairing q = pair_of(&a, &b, 2 + 0.02 * (double)trial, PN_PAIR_NEAREST);

		consistent(&p, &a, &b);
		consistent(&q, &a, &b);
		assert_false(has_cheaper_exchange(&p, &a, &b));
		differs += has_cheaper_exchange(&q, &a, &b);
		pn_pairing_free(&p);
		pn_pairing_free(&q);
		kit_free(&a);
		kit_free(&b);
	}
	assert_true(differs > 30);
}

/* Word for word: whoever is each other's nearest pairs, until nobody does. */
static void nearest_is_mutual_nearest_repeated(void **state)
{
	(void)state;
	enum { N = 60 };

	for (uint64_t trial = 0; trial < 40; trial++) {
		struct kit_model a = cloud(N, 7, 3000 + trial), b = cloud(N, 7, 4000 + trial);
		struct pn_pairing p = pair_of(&a, &b, 1.67, PN_PAIR_NEAREST);
		uint32_t partner[N], taken_by[N];
		int changed = 1;

		memset(partner, 255, sizeof partner);
		memset(taken_by, 255, sizeof taken_by);
		while (changed) {
			uint32_t of_a[N], of_b[N];
			double da[N], db[N];

			changed = 0;
			for (int i = 0; i < N; i++) {
				da[i] = db[i] = 1.67;
				of_a[i] = of_b[i] = PN_PAIR_NONE;
			}
			for (uint32_t i = 0; i < N; i++)
				for (uint32_t j = 0; j < N; j++) {
					double d = distance(a.position_A[i], b.position_A[j]);

					if (partner[i] != PN_PAIR_NONE ||
					    taken_by[j] != PN_PAIR_NONE)
						continue;
					if (d < da[i]) {
						da[i] = d;
						of_a[i] = j;
					}
					if (d < db[j]) {
						db[j] = d;
						of_b[j] = i;
					}
				}
			for (uint32_t i = 0; i < N; i++)
				if (of_a[i] != PN_PAIR_NONE && of_b[of_a[i]] == i) {
					partner[i] = of_a[i];
					taken_by[of_a[i]] = i;
					changed = 1;
				}
		}
		assert_memory_equal(partner, p.after_of_before, sizeof partner);
		pn_pairing_free(&p);
		kit_free(&a);
		kit_free(&b);
	}
}

/* Known partners, strongly shaken, some missing in each model: why the assignment is the default.
 */
static void assignment_finds_more_true_partners(void **state)
{
	(void)state;
	enum { N = 5000, MISSING = 250 };
	struct kit_model a = kit_solid(PN_SHAPE_SPHERE, N, 3.912, 78), b = kit_copy(&a);
	uint32_t *from_a = malloc(a.count * sizeof *from_a);
	uint32_t *from_b = malloc(b.count * sizeof *from_b);
	size_t right[2] = { 0 };

	assert_non_null(from_a);
	assert_non_null(from_b);
	kit_shake(&b, 0.6, 1);
	kit_shuffle(&a, 2, from_a);
	kit_shuffle(&b, 3, from_b);
	a.count -= MISSING;
	b.count -= MISSING;
	for (int method = 0; method < 2; method++) {
		struct pn_pairing p = pair_of(&a, &b, 2.77, (enum pn_pair_method)method);

		for (size_t i = 0; i < a.count; i++)
			if (p.after_of_before[i] != PN_PAIR_NONE)
				right[method] += from_a[i] == from_b[p.after_of_before[i]];
		pn_pairing_free(&p);
	}
	assert_true(right[PN_PAIR_NEAREST] > N * 8 / 10);
	assert_true(right[PN_PAIR_ASSIGNMENT] > right[PN_PAIR_NEAREST] + N / 100);
	free(from_a);
	free(from_b);
	kit_free(&a);
	kit_free(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(conflicts_are_settled),
		cmocka_unit_test(assignment_is_the_least_of_all),
		cmocka_unit_test(assignment_of_many_cannot_be_bettered),
		cmocka_unit_test(nearest_is_mutual_nearest_repeated),
		cmocka_unit_test(assignment_finds_more_true_partners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
