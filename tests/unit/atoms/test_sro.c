/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Order parameters of ordered, random and segregated alloys, and of a double loop. */
#include "perrin/atoms/sro.h"

#include "kit.h"

#include "perrin/base/rng.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define A_A      4.0
#define FIRST_A  (A_A / M_SQRT2)
#define CUTOFF_A 3.45

/* A model with its table of neighbours. */
struct table {
	struct pn_neighbors n;
	struct pn_species species;
	struct pn_composition whole;
	uint32_t *counts;
};

static struct table table_of(const struct kit_model *m, double inner_A, double outer_A, int threads)
{
	struct table t = { .species = pn_species_of(m->element, m->count) };
	struct pn_atoms view = kit_view(m);
	struct pn_error err = { 0 };

	t.counts = malloc((m->count * t.species.count + 1) * sizeof *t.counts);
	assert_non_null(t.counts);
	if (pn_neighbors_build(&t.n, &view, outer_A, 1, &err) ||
	    pn_shell_counts(t.counts, &t.n, m->element, &t.species, inner_A, outer_A, threads,
			    &err) ||
	    pn_composition_by_class(&t.whole, m->element, NULL, m->count, 1, NULL, &err))
		fail_msg("%s", err.text);
	return t;
}

static void table_free(struct table *t)
{
	pn_neighbors_free(&t->n);
	pn_composition_free(&t->whole);
	free(t->counts);
}

static struct pn_sro order_of(const struct kit_model *m, const struct table *t,
			      const int32_t *class_of, size_t classes, const double *concentration,
			      size_t rows, enum pn_sro_mean mean, enum pn_sro_form form)
{
	struct pn_sro sro;
	struct pn_error err = { 0 };

	if (pn_sro_by_class(&sro, t->counts, m->element, &t->species, class_of, m->count, classes,
			    concentration, rows, mean, form, &err))
		fail_msg("%s", err.text);
	return sro;
}

/* Cubic site of an fcc position in units of a/2, even sum. */
static void site_of(int s[3], const double p[3])
{
	for (int k = 0; k < 3; k++)
		s[k] = (int)lround(2 * p[k] / A_A);
	assert_int_equal((s[0] + s[1] + s[2]) & 1, 0);
}

/* Class 0 = atoms more than @depth_A inside the octahedron, -1 = others. */
static void inner_atoms(int32_t *class_of, const struct kit_model *m, double depth_A)
{
	double most = 0;

	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < m->count; i++) {
			const double *p = m->position_A[i];
			double h = (fabs(p[0]) + fabs(p[1]) + fabs(p[2])) / sqrt(3);

			most = pass == 0 && h > most ? h : most;
			class_of[i] = h < most - depth_A ? 0 : -1;
		}
}

/* ---- fcc shells ----------------------------------------------------------------------------- */

static void fcc_shells_hold_the_right_numbers(void **state)
{
	(void)state;
	static const uint32_t sizes[] = { 12, 6, 24, 12, 24, 8, 48, 6, 36, 24, 24, 24 };
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 3000, A_A, 78);
	size_t center = m.count;
	uint32_t within = 0;

	for (size_t i = 0; i < m.count; i++)
		if (fabs(m.position_A[i][0]) + fabs(m.position_A[i][1]) + fabs(m.position_A[i][2]) <
		    0.1)
			center = i;
	assert_true(center < m.count);
	for (int k = 1; k <= 12; k++) {
		double inner, outer, last;
		struct pn_error err = { 0 };

		assert_int_equal(pn_fcc_shell_range(&inner, &outer, k, A_A, &err), PN_OK);
		struct table t = table_of(&m, inner, outer, 1);

		assert_int_equal(t.counts[center], sizes[k - 1]);
		table_free(&t);
		within += sizes[k - 1];
		struct table all = table_of(&m, 0, outer, 1);

		assert_int_equal(all.counts[center], within);
		table_free(&all);
		if (k > 1) {
			assert_int_equal(pn_fcc_shell_range(NULL, &last, k - 1, A_A, &err), PN_OK);
			assert_true(last == inner);
		} else {
			assert_true(inner == 0);
		}
	}
	kit_free(&m);

	double d;
	struct pn_error err = { 0 };

	assert_int_equal(pn_fcc_shell_range(&d, &d, 0, A_A, &err), PN_EARG);
	assert_int_equal(pn_fcc_shell_range(&d, &d, 13, A_A, &err), PN_EARG);
	assert_int_equal(pn_fcc_shell_range(&d, &d, 1, 0, &err), PN_EARG);
	assert_int_equal(pn_fcc_shell_range(&d, &d, 1, NAN, &err), PN_EARG);
}

/* The two ends of a range: the inner belongs to it, the outer does not. */
static void a_range_holds_its_inner_end_only(void **state)
{
	(void)state;
	struct kit_model m = kit_gas(4, 90, 46, 1);

	for (int i = 0; i < 4; i++)
		for (int k = 0; k < 3; k++)
			m.position_A[i][k] = k == 0 ? (i == 3 ? 0 : 2.0 * i) : 0;
	/* at 0, 2, 4 and 0 again */
	struct pn_atoms view = kit_view(&m);
	struct pn_species s = pn_species_of(m.element, 4), other = pn_species_of(NULL, 0);
	struct pn_neighbors n;
	struct pn_error err = { 0 };
	uint32_t c[4];

	assert_int_equal(pn_neighbors_build(&n, &view, 5, 1, &err), PN_OK);
	assert_int_equal(pn_shell_counts(c, &n, m.element, &s, 2, 4, 1, &err), PN_OK);
	assert_memory_equal(c, ((uint32_t[]){ 1, 3, 1, 1 }), sizeof c);
	assert_int_equal(pn_shell_counts(c, &n, m.element, &s, 0, 2, 1, &err), PN_OK);
	assert_memory_equal(c, ((uint32_t[]){ 1, 0, 0, 1 }), sizeof c);
	assert_int_equal(pn_shell_counts(c, &n, m.element, &s, 1e-9, 5, 1, &err), PN_OK);
	assert_memory_equal(c, ((uint32_t[]){ 2, 3, 3, 2 }), sizeof c);
	assert_int_equal(pn_shell_counts(c, &n, m.element, &s, 0, 5.1, 1, &err), PN_EARG);
	assert_int_equal(pn_shell_counts(c, &n, m.element, &s, 3, 3, 1, &err), PN_EARG);
	assert_int_equal(pn_shell_counts(c, &n, m.element, &s, -1, 3, 1, &err), PN_EARG);
	assert_int_equal(pn_shell_counts(c, &n, m.element, &s, NAN, 3, 1, &err), PN_EARG);
	assert_int_equal(pn_shell_counts(c, &n, m.element, &other, 0, 3, 1, &err), PN_EARG);
	assert_non_null(strstr(err.text, "element 46"));
	pn_neighbors_free(&n);
	kit_free(&m);
}

/* ---- closed forms --------------------------------------------------------------------------- */

/*
 * L1_2, A3B, B on the cube corners. Odd shells: B sees only A, so p_BA = 1, p_BB = 0; A sees 1/3 B.
 * With C_A = 3/4, C_B = 1/4: alpha_BA = (1 - 3/4)/(-3/4) = -1/3, alpha_BB = (0 - 1/4)/(3/4) = -1/3,
 * alpha_AB = (1/3 - 1/4)/(-1/4) = -1/3, alpha_AA = (2/3 - 3/4)/(1/4) = -1/3. Even shells join like
 * atoms: alpha = 1. One minus ratio, like pairs: AA 1 - (2/3)/(3/4) = 1/9, BB 1 - 0 = 1; even
 * shells 1 - 1/C = -1/3 and -3.
 */
static void l1_2_has_minus_a_third(void **state)
{
	(void)state;
	static const double reference[2] = { 0.75, 0.25 };
	struct kit_model m = kit_solid(PN_SHAPE_OCTAHEDRON, 2255, A_A, 28);
	int32_t *class_of = malloc(m.count * sizeof *class_of);

	assert_non_null(class_of);
	inner_atoms(class_of, &m, 6.5);
	for (size_t i = 0; i < m.count; i++) {
		int s[3];

		site_of(s, m.position_A[i]);
		m.element[i] = (s[0] | s[1] | s[2]) & 1 ? 28 : 78;
	}
	for (int shell = 1; shell <= 4; shell++) {
		double inner, outer, like[2];

		assert_int_equal(pn_fcc_shell_range(&inner, &outer, shell, A_A, NULL), PN_OK);
		struct table t = table_of(&m, inner, outer, 1);
		struct pn_sro g =
			order_of(&m, &t, class_of, 1, reference, 1, PN_SRO_POOLED, PN_SRO_GENERAL);
		struct pn_sro r = order_of(&m, &t, class_of, 1, reference, 1, PN_SRO_PER_CENTER,
					   PN_SRO_RATIO);

		assert_true(g.centers[0] > 100 && g.centers[1] > 30);
		for (int k = 0; k < 4; k++)
			kit_near(g.alpha[k], shell % 2 ? -1.0 / 3 : 1, 1e-14);
		like[0] = shell % 2 ? 1.0 / 9 : -1.0 / 3;
		like[1] = shell % 2 ? 1 : -3;
		kit_near(r.alpha[0], like[0], 1e-13);
		kit_near(r.alpha[3], like[1], 1e-13);
		kit_near(r.alpha[1], g.alpha[1], 1e-13);
		kit_near(r.alpha[2], g.alpha[2], 1e-13);
		pn_sro_free(&g);
		pn_sro_free(&r);
		table_free(&t);
	}
	free(class_of);
	kit_free(&m);
}

/*
 * L1_0, AB, alternating (001) planes: 4 like and 8 unlike neighbours, C = 1/2, so alpha_AB = 1 -
 * (2/3)/(1/2) = -1/3 and alpha_AA = (1/3 - 1/2)/(1/2) = -1/3. Second shell: 4 of 6 sit in the plane
 * and 2 two planes away: all like, alpha = 1.
 */
static void l1_0_has_minus_a_third(void **state)
{
	(void)state;
	static const double half[2] = { 0.5, 0.5 };
	struct kit_model m = kit_solid(PN_SHAPE_OCTAHEDRON, 1469, A_A, 28);
	int32_t *class_of = malloc(m.count * sizeof *class_of);

	assert_non_null(class_of);
	inner_atoms(class_of, &m, 5);
	for (size_t i = 0; i < m.count; i++) {
		int s[3];

		site_of(s, m.position_A[i]);
		m.element[i] = s[2] & 1 ? 28 : 78;
	}
	for (int shell = 1; shell <= 2; shell++) {
		double inner, outer;

		assert_int_equal(pn_fcc_shell_range(&inner, &outer, shell, A_A, NULL), PN_OK);
		struct table t = table_of(&m, inner, outer, 1);
		struct pn_sro g =
			order_of(&m, &t, class_of, 1, half, 1, PN_SRO_PER_CENTER, PN_SRO_GENERAL);

		for (int k = 0; k < 4; k++)
			kit_near(g.alpha[k], shell == 1 ? -1.0 / 3 : 1, 1e-14);
		pn_sro_free(&g);
		table_free(&t);
	}
	free(class_of);
	kit_free(&m);
}

/* Two halves: away from the boundary all alpha are 1; classes tell the halves apart. */
static void segregated_halves_have_one(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 923, A_A, 46);
	int32_t *class_of = malloc(m.count * sizeof *class_of);

	assert_non_null(class_of);
	for (size_t i = 0; i < m.count; i++) {
		m.element[i] = m.position_A[i][0] > 0.1 ? 77 : 46;
		class_of[i] = m.position_A[i][0] > A_A ? 2 : m.position_A[i][0] < -A_A ? 0 : -1;
	}
	struct table t = table_of(&m, 0, CUTOFF_A, 1);
	struct pn_sro g =
		order_of(&m, &t, class_of, 3, t.whole.fraction, 1, PN_SRO_POOLED, PN_SRO_GENERAL);

	/* class 0 holds Pd only, class 2 Ir only, class 1 nothing */
	for (int c = 0; c < 3; c++)
		for (int i = 0; i < 2; i++)
			for (int j = 0; j < 2; j++) {
				size_t at = (size_t)(c * 2 + i) * 2 + (size_t)j;
				int full = c == 2 * i;

				assert_int_equal(g.centers[c * 2 + i] > 0, full);
				kit_near(g.alpha[at], full ? 1 : NAN, 1e-14);
				kit_near(g.deviation[at], full ? 0 : NAN, 0);
			}
	pn_sro_free(&g);

	/* by the composition of its own class there is nothing to compare with */
	struct pn_composition own;

	assert_int_equal(pn_composition_by_class(&own, m.element, class_of, m.count, 3, NULL, NULL),
			 PN_OK);
	g = order_of(&m, &t, class_of, 3, own.fraction, 3, PN_SRO_POOLED, PN_SRO_GENERAL);
	for (int k = 0; k < 12; k++)
		assert_true(isnan(g.alpha[k]));
	pn_sro_free(&g);
	g = order_of(&m, &t, class_of, 3, own.fraction, 3, PN_SRO_POOLED, PN_SRO_RATIO);
	kit_near(g.alpha[0], 0, 1e-15);
	kit_near(g.alpha[11], 0, 1e-15);
	assert_true(isnan(g.alpha[1]));
	pn_sro_free(&g);
	pn_composition_free(&own);
	table_free(&t);
	free(class_of);
	kit_free(&m);
}

/* A core and a shell: what the shell sees of the core is not what the core sees of the shell. */
static void alpha_12_and_alpha_21_differ(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 13, A_A, 78);

	for (size_t i = 0; i < m.count; i++)
		if (fabs(m.position_A[i][0]) + fabs(m.position_A[i][1]) < 0.1)
			m.element[i] = 46;
	struct table t = table_of(&m, 0, CUTOFF_A, 1);
	struct pn_sro g =
		order_of(&m, &t, NULL, 1, t.whole.fraction, 1, PN_SRO_POOLED, PN_SRO_GENERAL);

	/* Pd in the middle: 12 Pt. Each Pt: 4 Pt and the Pd. C_Pd = 1/13 */
	kit_near(g.alpha[0], (0 - 1.0 / 13) / (12.0 / 13), 1e-14);
	kit_near(g.alpha[1], 1 - 13.0 / 12, 1e-14);
	kit_near(g.alpha[2], 1 - 13.0 / 5, 1e-14);
	kit_near(g.alpha[3], (4.0 / 5 - 12.0 / 13) * 13, 1e-14);
	assert_int_equal(g.neighbors[0], 12);
	assert_int_equal(g.neighbors[1], 60);
	kit_near(g.deviation[2], 13 * sqrt(0.2 * 0.8 / 60), 1e-14);
	pn_sro_free(&g);
	table_free(&t);
	kit_free(&m);
}

/* ---- random alloys -------------------------------------------------------------------------- */

/*
 * Species dealt out at random to fixed sites: alpha is -1/(N - 1) on average, and the deviation is
 * the spread of unlike pairs; that of like pairs is up to sqrt 2 larger.
 */
static void random_alloys_have_none(void **state)
{
	(void)state;
	enum { DEALS = 400 };
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 561, A_A, 28);
	double sum[4] = { 0 }, sum2[4] = { 0 }, expected[4] = { 0 };
	struct pn_rng rng;

	for (size_t i = 0; i < m.count; i++)
		m.element[i] = i % 10 < 3 ? 28 : 78;
	struct table t = table_of(&m, 0, CUTOFF_A, 1);

	for (uint64_t deal = 0; deal < DEALS; deal++) {
		pn_rng_init(&rng, deal, 0);
		for (size_t i = m.count; i > 1; i--) {
			size_t j = pn_rng_below(&rng, (uint32_t)i);
			uint8_t z = m.element[j];

			m.element[j] = m.element[i - 1];
			m.element[i - 1] = z;
		}
		assert_int_equal(pn_shell_counts(t.counts, &t.n, m.element, &t.species, 0, CUTOFF_A,
						 1, NULL),
				 PN_OK);
		struct pn_sro g = order_of(&m, &t, NULL, 1, t.whole.fraction, 1, PN_SRO_POOLED,
					   PN_SRO_GENERAL);

		for (int k = 0; k < 4; k++) {
			sum[k] += g.alpha[k] / DEALS;
			sum2[k] += g.alpha[k] * g.alpha[k] / DEALS;
			expected[k] += g.deviation[k] / DEALS;
		}
		pn_sro_free(&g);
	}
	for (int k = 0; k < 4; k++) {
		double spread = sqrt(sum2[k] - sum[k] * sum[k]);

		assert_true(fabs(sum[k] + 1.0 / 560) < 4 * spread / sqrt(DEALS));
		/* a spread of 400 numbers is good to 3.5 % */
		assert_true(spread < expected[k] * M_SQRT2 * 1.14);
		assert_true(spread > expected[k] * 0.86 * (k == 1 || k == 2 ? 0.5 : 1));
	}
	table_free(&t);
	kit_free(&m);
}

/* Three species at random in a gas, against counting every pair; all means and forms. */
static void three_species_equal_a_double_loop(void **state)
{
	(void)state;
	struct kit_model m = kit_gas(500, 14, 46, 3);
	static const uint8_t kinds[] = { 28, 46, 78 };
	double p[3][3][3] = { 0 }, q[3][3][3] = { 0 }, total[3][3] = { 0 }, centers[3][3] = { 0 };
	int32_t class_of[500];
	struct pn_rng rng;

	pn_rng_init(&rng, 2, 0);
	for (size_t i = 0; i < m.count; i++) {
		m.element[i] = kinds[pn_rng_below(&rng, 3)];
		class_of[i] = (int32_t)pn_rng_below(&rng, 4) - 1;
	}
	struct table t = table_of(&m, 2.5, 4.5, 1);

	for (size_t i = 0; i < m.count; i++) {
		double n[3] = { 0 }, all = 0;
		int a = t.species.index[m.element[i]], c = class_of[i];

		for (size_t j = 0; j < m.count; j++) {
			double d2 = 0;

			for (int k = 0; k < 3; k++)
				d2 += pow(m.position_A[i][k] - m.position_A[j][k], 2);
			if (d2 >= 2.5 * 2.5 && d2 < 4.5 * 4.5) {
				n[t.species.index[m.element[j]]]++;
				all++;
			}
		}
		for (int s = 0; s < 3; s++)
			assert_true(t.counts[i * 3 + (size_t)s] == n[s]);
		if (c < 0 || all == 0)
			continue;
		total[c][a] += all;
		centers[c][a]++;
		for (int s = 0; s < 3; s++) {
			p[c][a][s] += n[s];
			q[c][a][s] += n[s] / all;
		}
	}
	for (int mode = 0; mode < 4; mode++) {
		enum pn_sro_mean mean = mode & 1 ? PN_SRO_PER_CENTER : PN_SRO_POOLED;
		enum pn_sro_form form = mode & 2 ? PN_SRO_RATIO : PN_SRO_GENERAL;
		struct pn_composition own;

		assert_int_equal(pn_composition_by_class(&own, m.element, class_of, m.count, 3,
							 &t.species, NULL),
				 PN_OK);
		struct pn_sro g = order_of(&m, &t, class_of, 3, own.fraction, 3, mean, form);
		struct pn_sro w = order_of(&m, &t, class_of, 3, t.whole.fraction, 1, mean, form);

		for (int at = 0; at < 27; at++) {
			int c = at / 9, i = at / 3 % 3, j = at % 3;
			double e = mean == PN_SRO_POOLED ? p[c][i][j] / total[c][i]
							 : q[c][i][j] / centers[c][i];
			double x = own.fraction[c * 3 + j], y = t.whole.fraction[j];
			double delta = i == j && form == PN_SRO_GENERAL;

			kit_near(g.p[at], e, 1e-13);
			kit_near(g.alpha[at], (e - x) / (delta - x), 1e-12);
			kit_near(w.alpha[at], (e - y) / (delta - y), 1e-12);
			assert_true(g.centers[at / 3] == centers[c][i]);
			assert_true(g.neighbors[at / 3] == total[c][i]);
		}
		pn_sro_free(&g);
		pn_sro_free(&w);
		pn_composition_free(&own);
	}
	table_free(&t);
	kit_free(&m);
}

/* alpha is linear in p: pooled = mean of the atoms' own values weighted by their neighbours. */
static void pooled_is_the_weighted_mean_of_atoms(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 1289, A_A, 46);
	struct pn_rng rng;

	kit_shake(&m, 0.25, 4);
	pn_rng_init(&rng, 8, 0);
	for (size_t i = 0; i < m.count; i++)
		m.element[i] = m.position_A[i][2] + 5 * pn_rng_gauss(&rng) > 6 ? 77 : 46;
	struct table t = table_of(&m, 0, CUTOFF_A, 1);
	double *atoms = malloc(m.count * 2 * sizeof *atoms), *again = malloc(m.count * 16);
	double *enriched = malloc(m.count * sizeof *enriched);
	struct pn_error err = { 0 };

	assert_true(atoms && again && enriched);
	for (int form = PN_SRO_GENERAL; form <= PN_SRO_RATIO; form++) {
		pn_sro_atoms(atoms, t.counts, m.element, &t.species, m.count, t.whole.fraction,
			     (enum pn_sro_form)form, 1);
		pn_sro_atoms(again, t.counts, m.element, &t.species, m.count, t.whole.fraction,
			     (enum pn_sro_form)form, 2);
		assert_memory_equal(atoms, again, m.count * 16);
		struct pn_sro pooled = order_of(&m, &t, NULL, 1, t.whole.fraction, 1, PN_SRO_POOLED,
						(enum pn_sro_form)form);
		struct pn_sro each = order_of(&m, &t, NULL, 1, t.whole.fraction, 1,
					      PN_SRO_PER_CENTER, (enum pn_sro_form)form);
		double sum[4] = { 0 }, plain[4] = { 0 };

		for (size_t i = 0; i < m.count; i++)
			for (size_t j = 0; j < 2; j++) {
				size_t at = 2 * (size_t)t.species.index[m.element[i]] + j;
				double weight = t.counts[2 * i] + t.counts[2 * i + 1];

				if (weight == 0)
					continue;
				sum[at] += weight * atoms[2 * i + j] /
					   (double)pooled.neighbors[at / 2];
				plain[at] += atoms[2 * i + j] / (double)each.centers[at / 2];
			}
		for (int k = 0; k < 4; k++) {
			kit_near(pooled.alpha[k], sum[k], 1e-12);
			kit_near(each.alpha[k], plain[k], 1e-12);
		}
		pn_sro_free(&pooled);
		pn_sro_free(&each);
	}
	pn_sro_atoms(atoms, t.counts, m.element, &t.species, m.count, t.whole.fraction,
		     PN_SRO_GENERAL, 1);
	assert_int_equal(pn_sro_enrichment(enriched, t.counts, m.element, &t.species, m.count, 46,
					   t.whole.fraction[0], 1, &err),
			 PN_OK);
	for (size_t i = 0; i < m.count; i++)
		kit_near(enriched[i], m.element[i] == 46 ? atoms[2 * i] : -atoms[2 * i], 0);
	assert_int_equal(pn_sro_enrichment(enriched, t.counts, m.element, &t.species, m.count, 79,
					   0.5, 1, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "79"));
	free(atoms);
	free(again);
	free(enriched);
	table_free(&t);
	kit_free(&m);
}

/* ---- centres -------------------------------------------------------------------------------- */

/* Ir planted in Pd: one alone, two together, four together, one at the surface. */
static void planted_centers_are_found(void **state)
{
	(void)state;
	static const int sites[][3] = { { 0, 0, 4 },  { 4, 0, 0 },  { 5, 1, 0 },  { -4, 0, 0 },
					{ -5, 1, 0 }, { -5, 0, 1 }, { -4, 1, 1 }, { 1, 0, -7 } };
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 1415, A_A, 46);
	size_t planted = 0, per_center[2], bulk = 0;
	uint8_t *mask = malloc(m.count), *full = malloc(m.count);
	uint64_t h[13], wide[4];

	assert_true(mask && full);
	for (size_t i = 0; i < m.count; i++) {
		int s[3];

		site_of(s, m.position_A[i]);
		for (size_t k = 0; k < PN_COUNT(sites); k++)
			if (!memcmp(s, sites[k], sizeof s)) {
				m.element[i] = 77;
				planted++;
			}
	}
	assert_int_equal(planted, PN_COUNT(sites));
	struct table t = table_of(&m, 0, CUTOFF_A, 1);
	double *c = malloc(m.count * sizeof *c);

	assert_non_null(c);
	/* the one at the surface has fewer than 12 neighbours */
	assert_int_equal(
		pn_discrete_centers(mask, t.counts, m.element, &t.species, m.count, 77, 12, 1), 3);
	assert_int_equal(
		pn_discrete_centers(mask, t.counts, m.element, &t.species, m.count, 77, 12, 0), 1);
	assert_int_equal(pn_concentration_histogram(h, 13, t.counts, m.element, &t.species, m.count,
						    77, 77, 12, NULL),
			 7);
	/* the four form a tetrahedron: each sees the three others */
	assert_true(h[0] == 1 && h[1] == 2 && h[3] == 4 && h[2] == 0);
	for (int k = 4; k < 13; k++)
		assert_int_equal(h[k], 0);

	pn_local_concentration(c, t.counts, &t.species, m.count, 46);
	for (size_t i = 0; i < m.count; i++) {
		full[i] = pn_neighbors_count(&t.n, i) == 12;
		bulk += full[i];
		kit_near(c[i], (double)t.counts[2 * i] / pn_neighbors_count(&t.n, i), 1e-15);
	}
	/* an atom is heterogeneous here if Ir is next to it: no Ir has Ir only */
	size_t expect[2] = { 0 };

	for (size_t i = 0; i < m.count; i++)
		if (t.counts[2 * i + 1])
			expect[m.element[i] == 77]++;
	assert_int_equal(expect[1], 6);
	assert_int_equal(pn_heterogeneous_centers(mask, per_center, t.counts, m.element, &t.species,
						  m.count, NULL),
			 expect[0] + expect[1]);
	assert_true(per_center[0] == expect[0] && per_center[1] == expect[1]);
	size_t selected = pn_heterogeneous_centers(mask, NULL, t.counts, m.element, &t.species,
						   m.count, full);

	assert_true(selected < expect[0] + expect[1] && selected > 0);
	for (size_t i = 0; i < m.count; i++)
		assert_true(!mask[i] || full[i]);
	/* quarters of the concentration around any bulk atom: all below 1/3 Ir */
	assert_int_equal(pn_concentration_histogram(wide, 4, t.counts, m.element, &t.species,
						    m.count, 77, 0, 0, full),
			 bulk);
	size_t three = 0;

	for (size_t i = 0; i < m.count; i++)
		three += full[i] && t.counts[2 * i + 1] >= 3;
	assert_int_equal(wide[1], three);
	assert_int_equal(wide[0] + wide[1], bulk);
	/* c = 1 is in the last bin; a species that is not there has concentration 0 */
	assert_int_equal(pn_concentration_histogram(wide, 4, t.counts, m.element, &t.species,
						    m.count, 46, 77, 0, NULL),
			 8);
	assert_int_equal(wide[3], 8);
	assert_int_equal(pn_concentration_histogram(wide, 4, t.counts, m.element, &t.species,
						    m.count, 79, 0, 0, NULL),
			 m.count);
	assert_int_equal(wide[0], m.count);
	free(c);
	free(mask);
	free(full);
	table_free(&t);
	kit_free(&m);
}

/* Bins by integers: n of sum neighbours is in the bin whose ends enclose it, for all small n. */
static void histogram_bins_are_exact(void **state)
{
	(void)state;
	static const uint8_t element[1] = { 46 };
	struct pn_species s = pn_species_of((uint8_t[]){ 46, 77 }, 2);

	for (uint32_t sum = 1; sum <= 60; sum++)
		for (uint32_t n = 0; n <= sum; n++)
			for (size_t bins = 1; bins <= 20; bins++) {
				uint32_t counts[2] = { sum - n, n };
				uint64_t h[20];
				size_t k = 0;

				assert_int_equal(pn_concentration_histogram(h, bins, counts,
									    element, &s, 1, 77, 0,
									    0, NULL),
						 1);
				while (!h[k])
					k++;
				assert_true(k * sum <= n * bins);
				assert_true(n * bins < (k + 1) * sum ||
					    (n == sum && k == bins - 1));
			}
	assert_int_equal(pn_concentration_histogram((uint64_t[1]){ 0 }, 1, (uint32_t[2]){ 0 },
						    element, &s, 1, 77, 0, 0, NULL),
			 0);
}

/* ---- what must not matter, and odd input ---------------------------------------------------- */

static void rotation_numbering_and_threads_change_nothing(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 923, A_A, 46);
	uint32_t from[923];
	struct pn_rng rng;

	assert_int_equal(m.count, 923);
	pn_rng_init(&rng, 1, 0);
	kit_shake(&m, 0.2, 1);
	for (size_t i = 0; i < m.count; i++)
		m.element[i] = pn_rng_below(&rng, 3) ? 46 : 78;
	struct kit_model u = kit_copy(&m);

	kit_turn(&u, 2);
	kit_shuffle(&u, 2, from);
	double inner, outer;

	assert_int_equal(pn_fcc_shell_range(&inner, &outer, 4, A_A, NULL), PN_OK);
	struct table t = table_of(&m, inner, outer, 1), tu = table_of(&u, inner, outer, 2);
	struct table t2 = table_of(&m, inner, outer, 2);

	assert_memory_equal(t.counts, t2.counts, m.count * 2 * sizeof *t.counts);
	for (size_t i = 0; i < u.count; i++)
		assert_memory_equal(tu.counts + 2 * i, t.counts + 2 * from[i],
				    2 * sizeof *t.counts);
	struct pn_sro a =
		order_of(&m, &t, NULL, 1, t.whole.fraction, 1, PN_SRO_PER_CENTER, PN_SRO_GENERAL);
	struct pn_sro b =
		order_of(&u, &tu, NULL, 1, tu.whole.fraction, 1, PN_SRO_PER_CENTER, PN_SRO_GENERAL);

	for (int k = 0; k < 4; k++) {
		kit_near(b.alpha[k], a.alpha[k], 1e-10);
		kit_near(b.deviation[k], a.deviation[k], 1e-10);
	}
	pn_sro_free(&a);
	pn_sro_free(&b);
	table_free(&t);
	table_free(&t2);
	table_free(&tu);
	kit_free(&m);
	kit_free(&u);
}

static void lone_atoms_and_wrong_words(void **state)
{
	(void)state;
	for (size_t count = 0; count <= 3; count++) {
		struct kit_model m = kit_gas(count, 1000, 46, 2);

		if (count > 1)
			m.element[1] = 78;
		struct table t = table_of(&m, 0, 2.1, 1);
		struct pn_sro g;
		struct pn_error err = { 0 };
		double alpha[6], c[3];
		uint8_t mask[3];
		int32_t high[3] = { 0, 1, 0 };
		size_t s = t.species.count;

		g = order_of(&m, &t, NULL, 1, t.whole.fraction, 1, PN_SRO_POOLED, PN_SRO_GENERAL);
		for (size_t k = 0; k < s * s; k++)
			assert_true(isnan(g.alpha[k]) && isnan(g.deviation[k]) && isnan(g.p[k]));
		pn_sro_free(&g);
		pn_sro_atoms(alpha, t.counts, m.element, &t.species, count, t.whole.fraction,
			     PN_SRO_GENERAL, 1);
		for (size_t k = 0; k < count * s; k++)
			assert_true(isnan(alpha[k]));
		pn_local_concentration(c, t.counts, &t.species, count, 46);
		for (size_t i = 0; i < count; i++)
			assert_true(isnan(c[i]));
		assert_int_equal(pn_heterogeneous_centers(mask, NULL, t.counts, m.element,
							  &t.species, count, NULL),
				 0);
		if (count > 1) {
			assert_int_equal(pn_sro_by_class(&g, t.counts, m.element, &t.species, high,
							 count, 1, t.whole.fraction, 1,
							 PN_SRO_POOLED, PN_SRO_GENERAL, &err),
					 PN_EARG);
			assert_non_null(strstr(err.text, "atom 2"));
			pn_sro_free(&g);
		}
		assert_int_equal(pn_sro_by_class(&g, t.counts, m.element, &t.species, NULL, count,
						 0, t.whole.fraction, 1, PN_SRO_POOLED,
						 PN_SRO_GENERAL, &err),
				 PN_EARG);
		assert_int_equal(pn_sro_by_class(&g, t.counts, m.element, &t.species, NULL, count,
						 3, t.whole.fraction, 2, PN_SRO_POOLED,
						 PN_SRO_GENERAL, &err),
				 PN_EARG);
		pn_sro_free(&g);
		table_free(&t);
		kit_free(&m);
	}
}

/*
 * A measured FePt particle: 6,569 Fe and 16,627 Pt (Yang et al., Nature 542, 75 (2017)), grains of
 * L1_2 and L1_0: unlike atoms seek each other, but less than in a perfect crystal.
 */
static void measured_fept_is_ordered(void **state)
{
	const char *path = testkit_data("models/FePt_23196.xyz");
	size_t bytes, count = 0;

	(void)state;
	if (!path)
		skip();
	char *text = testkit_read(path, &bytes), *line = strchr(strchr(text, '\n') + 1, '\n') + 1;
	struct kit_model m = { malloc(23196 * sizeof *m.position_A), malloc(23196), 23196 };

	assert_true(m.position_A && m.element);
	for (; count < m.count; count++, line = strchr(line, '\n') + 1) {
		char symbol[4];
		double *p = m.position_A[count];

		assert_int_equal(sscanf(line, "%3s %lf %lf %lf", symbol, p, p + 1, p + 2), 4);
		m.element[count] = (uint8_t)pn_element_of_symbol(symbol);
	}
	free(text);
	struct table t = table_of(&m, 0, 3.3, 1);
	struct pn_sro g =
		order_of(&m, &t, NULL, 1, t.whole.fraction, 1, PN_SRO_POOLED, PN_SRO_GENERAL);

	assert_int_equal(t.whole.count[0], 6569);
	assert_int_equal(t.whole.count[1], 16627);
	for (int k = 0; k < 4; k++)
		assert_true(g.alpha[k] < -10 * g.deviation[k] && g.alpha[k] > -1.0 / 3);
	pn_sro_free(&g);
	table_free(&t);
	kit_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fcc_shells_hold_the_right_numbers),
		cmocka_unit_test(a_range_holds_its_inner_end_only),
		cmocka_unit_test(l1_2_has_minus_a_third),
		cmocka_unit_test(l1_0_has_minus_a_third),
		cmocka_unit_test(segregated_halves_have_one),
		cmocka_unit_test(alpha_12_and_alpha_21_differ),
		cmocka_unit_test(random_alloys_have_none),
		cmocka_unit_test(three_species_equal_a_double_loop),
		cmocka_unit_test(pooled_is_the_weighted_mean_of_atoms),
		cmocka_unit_test(planted_centers_are_found),
		cmocka_unit_test(histogram_bins_are_exact),
		cmocka_unit_test(rotation_numbering_and_threads_change_nothing),
		cmocka_unit_test(lone_atoms_and_wrong_words),
		cmocka_unit_test(measured_fept_is_ordered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
