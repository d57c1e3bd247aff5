/* SPDX-License-Identifier: GPL-3.0-or-later */
/* GCN against the table of the 309-atom cuboctahedron, alloys against a double loop, the volcano.
 */
#include "perrin/atoms/activity.h"

#include "kit.h"

#include "perrin/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define A_A      3.912
#define CUTOFF_A 3.339

/* count, CN, GCN times 12 of the cuboctahedron with 309 atoms */
static const struct {
	size_t count;
	uint32_t cn, sum;
} classes_309[] = { { 12, 5, 40 },   { 48, 7, 60 },   { 24, 7, 64 },  { 24, 8, 78 },
		    { 24, 8, 79 },   { 6, 8, 80 },    { 24, 9, 82 },  { 12, 12, 109 },
		    { 48, 12, 123 }, { 24, 12, 128 }, { 8, 12, 135 }, { 55, 12, 144 } };

static struct pn_neighbors neighbors_of(const struct kit_model *m, double cutoff_A)
{
	struct pn_atoms view = kit_view(m);
	struct pn_neighbors n;
	struct pn_error err = { 0 };

	if (pn_neighbors_build(&n, &view, cutoff_A, 1, &err))
		fail_msg("%s", err.text);
	return n;
}

static void surface_by_cn(uint8_t *surface, const struct pn_neighbors *n)
{
	for (size_t i = 0; i < n->atoms; i++)
		surface[i] = pn_neighbors_count(n, i) < 12;
}

/* ---- generalized coordination numbers ------------------------------------------------------- */

static void cuboctahedron_309_has_its_twelve_classes(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, A_A, 78);
	struct pn_neighbors n = neighbors_of(&m, CUTOFF_A);
	double gcn[309], sum = 0;

	assert_int_equal(m.count, 309);
	pn_gcn(gcn, &n, 12, 1);
	for (size_t k = 0; k < PN_COUNT(classes_309); k++) {
		size_t count = 0;

		for (size_t i = 0; i < m.count; i++)
			count += pn_neighbors_count(&n, i) == classes_309[k].cn &&
				 gcn[i] == classes_309[k].sum / 12.0;
		assert_int_equal(count, classes_309[k].count);
	}
	for (size_t i = 0; i < m.count; i++)
		sum += gcn[i];
	kit_near(sum / 309, 8.197411, 1e-7);
	pn_neighbors_free(&n);
	kit_free(&m);
}

/* Where no neighbour knows of the rim: (6 x 9 + 3 x 12) / 12 = 7.5. */
static void the_middle_of_a_large_111_facet_has_7_5(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_OCTAHEDRON, 891, A_A, 78);
	struct pn_neighbors n = neighbors_of(&m, CUTOFF_A);
	double *gcn = malloc(m.count * sizeof *gcn);
	size_t terrace = 0, bulk = 0;

	assert_non_null(gcn);
	pn_gcn(gcn, &n, 12, 1);
	for (size_t i = 0; i < m.count; i++) {
		terrace += gcn[i] == 7.5 && pn_neighbors_count(&n, i) == 9;
		bulk += gcn[i] == 12;
	}
	/* of 11 atoms along an edge, 3 are lost to the rim and 3 more to its neighbours: 5 are left
	 */
	assert_int_equal(terrace, 8 * 15);
	/* two layers are gone from the bulk, each of them leaves an edge of 2 less */
	assert_int_equal(bulk, 7 * (2 * 7 * 7 + 1) / 3);
	free(gcn);
	pn_neighbors_free(&n);
	kit_free(&m);
}

static void alloy_gcn_equals_a_double_loop(void **state)
{
	(void)state;
	struct kit_model m = kit_gas(400, 12, 78, 7);
	struct pn_neighbors n = neighbors_of(&m, 3.6);
	struct pn_gcn_params p = { .cn_full = 11, .ligand_element = 28, .ligand_weight = 1.7 };
	uint8_t surface[400];
	double strain[400], as[400], mas[400], as2[400], plain[400], gcn[400];
	uint32_t cn[400] = { 0 };
	struct pn_rng rng;

	pn_rng_init(&rng, 1, 0);
	for (size_t i = 0; i < m.count; i++) {
		m.element[i] = (uint8_t)(pn_rng_below(&rng, 3) ? 78 : 28);
		surface[i] = (uint8_t)pn_rng_below(&rng, 2);
		strain[i] = 0.05 * pn_rng_gauss(&rng);
	}
	pn_gcn_alloy(as, &n, m.element, NULL, strain, &p, 1);
	pn_gcn_alloy(mas, &n, m.element, surface, strain, &p, 1);
	pn_gcn_alloy(as2, &n, m.element, NULL, strain, &p, 2);
	assert_memory_equal(as, as2, sizeof as);
	p.ligand_element = 0;
	pn_gcn_alloy(plain, &n, m.element, NULL, NULL, &p, 2);
	pn_gcn(gcn, &n, 11, 2);
	assert_memory_equal(plain, gcn, sizeof gcn);
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < m.count; i++) {
			double a = 0, b = 0;

			for (size_t j = 0; j < m.count; j++) {
				double d2 = 0;

				for (int k = 0; k < 3; k++)
					d2 += pow(m.position_A[i][k] - m.position_A[j][k], 2);
				if (i == j || d2 >= 3.6 * 3.6)
					continue;
				cn[i] += pass == 0;
				a += (m.element[j] == 28 ? 1.7 : 1) * cn[j];
				b += (m.element[j] == 28 && !surface[j] ? 1.7 : 1) * cn[j];
			}
			if (pass == 0)
				continue;
			kit_near(as[i], a / 11 / (1 + strain[i]), 1e-13);
			kit_near(mas[i], b / 11 / (1 + strain[i]), 1e-13);
		}
	pn_neighbors_free(&n);
	kit_free(&m);
}

/*
 * A terrace atom of the 309 cuboctahedron has 3 neighbours below, of CN 12, in its sum of 82. With
 * Ni in the second shell both numbers weigh these; Ni in the surface counts in ASGCN only.
 */
static void nickel_under_and_in_the_surface(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, A_A, 78);
	struct pn_neighbors n = neighbors_of(&m, CUTOFF_A);
	struct pn_gcn_params p = pn_gcn_default();
	uint8_t surface[309];
	double gcn[309], as[309], mas[309], strain[309];
	size_t terrace = 0;

	surface_by_cn(surface, &n);
	for (size_t i = 0; i < m.count; i++) {
		m.element[i] = surface[i] ? 78 : 28;
		strain[i] = -0.03;
	}
	pn_gcn(gcn, &n, 12, 1);
	pn_gcn_alloy(as, &n, m.element, NULL, strain, &p, 1);
	pn_gcn_alloy(mas, &n, m.element, surface, strain, &p, 1);
	assert_memory_equal(as, mas, sizeof as);
	for (size_t i = 0; i < m.count; i++) {
		if (pn_neighbors_count(&n, i) != 9)
			continue;
		terrace++;
		kit_near(as[i], (1.59 * 36 + 46) / 12 / 0.97, 1e-14);
	}
	assert_int_equal(terrace, 24);
	memset(m.element, 28, m.count);
	pn_gcn_alloy(as, &n, m.element, NULL, NULL, &p, 1);
	pn_gcn_alloy(mas, &n, m.element, surface, NULL, &p, 1);
	for (size_t i = 0; i < m.count; i++) {
		kit_near(as[i], 1.59 * gcn[i], 1e-14);
		if (pn_neighbors_count(&n, i) == 9)
			kit_near(mas[i], (1.59 * 36 + 46) / 12, 1e-14);
	}
	pn_neighbors_free(&n);
	kit_free(&m);
}

/* ---- volcano -------------------------------------------------------------------------------- */

static void the_volcano_has_the_published_slopes(void **state)
{
	(void)state;
	struct pn_volcano v = pn_volcano_default(), w = v;
	double peak = pn_volcano_peak_gcn(&v);

	kit_near(peak, 3.069 / 0.37, 1e-14);
	assert_true(fabs(peak - 8.295) < 0.0005);
	assert_true(pn_volcano_ln_activity(&v, 7.5) == 0);
	assert_true(fabs(pn_volcano_ln_activity(&v, 7.5) - pn_volcano_ln_activity(&v, 6.5) - 7.48) <
		    0.005);
	assert_true(fabs(pn_volcano_ln_activity(&v, 10) - pn_volcano_ln_activity(&v, 9) + 6.93) <
		    0.005);
	kit_near(pn_volcano_ln_activity(&v, peak), (peak - 7.5) * 0.192 / (8.617333262e-5 * 298),
		 1e-13);
	assert_true(isnan(pn_volcano_ln_activity(&v, NAN)));
	/* the other parameter set */
	w.slope_eV[0] = 0.1915;
	w.slope_eV[1] = -0.1697;
	w.intercept_eV[0] = -0.718;
	w.intercept_eV[1] = 2.277;
	assert_true(fabs(pn_volcano_peak_gcn(&w) - 8.29) < 0.005);
	assert_true(fabs(pn_volcano_ln_activity(&w, 8) - pn_volcano_ln_activity(&w, 7) - 7.45) <
		    0.01);
	assert_true(fabs(pn_volcano_ln_activity(&w, 10) - pn_volcano_ln_activity(&w, 9) + 6.60) <
		    0.01);
	/* a larger k_B T flattens it */
	w = v;
	w.temperature_K = 596;
	kit_near(pn_volcano_ln_activity(&w, 8), pn_volcano_ln_activity(&v, 8) / 2, 1e-14);
	w = v;
	w.gcn_reference = 9;
	kit_near(pn_volcano_ln_activity(&w, 9), 0, 0);
}

static void activity_of_the_cuboctahedron_by_its_table(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, A_A, 78);
	struct pn_neighbors n = neighbors_of(&m, CUTOFF_A);
	struct pn_volcano v = pn_volcano_default();
	struct pn_activity_summary s;
	struct pn_error err = { 0 };
	uint8_t surface[309];
	double gcn[309], ln[309], mean = 0, mean_ln = 0;

	surface_by_cn(surface, &n);
	pn_gcn(gcn, &n, 12, 1);
	if (pn_activity(ln, &s, gcn, m.element, surface, m.count, 78, &v, &err))
		fail_msg("%s", err.text);
	for (size_t k = 0; k < PN_COUNT(classes_309); k++) {
		/* all surface classes are on the rising branch */
		double l = (classes_309[k].sum / 12.0 - 7.5) * 0.192 / (8.617333262e-5 * 298);

		if (classes_309[k].cn == 12)
			continue;
		mean += (double)classes_309[k].count * exp(l) / 162;
		mean_ln += (double)classes_309[k].count * l / 162;
	}
	assert_int_equal(s.atoms, 162);
	assert_int_equal(s.nan, 0);
	kit_near(s.mean / mean, 1, 1e-12);
	kit_near(s.sum / (162 * mean), 1, 1e-12);
	kit_near(s.ln_mean, log(mean), 1e-12);
	kit_near(s.mean_ln, mean_ln, 1e-12);
	assert_true(s.mean_ln < s.ln_mean);
	for (size_t i = 0; i < m.count; i++)
		assert_int_equal(isnan(ln[i]), !surface[i]);
	pn_neighbors_free(&n);
	kit_free(&m);
}

static void only_active_surface_atoms_count(void **state)
{
	(void)state;
	static const double gcn[] = { 7.5, 7.5, 7.5, NAN, 8 };
	static const uint8_t z[] = { 78, 28, 78, 78, 78 }, surface[] = { 1, 1, 0, 1, 1 };
	struct pn_volcano v = pn_volcano_default();
	struct pn_activity_summary s;
	double ln[5];

	assert_int_equal(pn_activity(ln, &s, gcn, z, surface, 5, 78, &v, NULL), PN_OK);
	assert_true(ln[0] == 0 && isnan(ln[1]) && isnan(ln[2]) && isnan(ln[3]) && ln[4] > 3.7);
	assert_int_equal(s.atoms, 2);
	assert_int_equal(s.nan, 1);
	kit_near(s.sum, 1 + exp(ln[4]), 1e-14);
	/* none at all */
	assert_int_equal(pn_activity(ln, &s, gcn, z, surface, 5, 79, &v, NULL), PN_OK);
	assert_true(s.atoms == 0 && s.sum == 0 && isnan(s.mean) && isnan(s.ln_mean) &&
		    isnan(s.mean_ln));
	assert_int_equal(pn_activity(ln, NULL, gcn, z, surface, 0, 78, &v, NULL), PN_OK);
}

static void what_is_no_volcano_is_refused(void **state)
{
	(void)state;
	struct pn_volcano bad[5];
	double gcn = 7, ln;
	uint8_t z = 78, surface = 1;

	for (size_t k = 0; k < PN_COUNT(bad); k++)
		bad[k] = pn_volcano_default();
	bad[0].slope_eV[0] = -0.1;
	bad[1].slope_eV[1] = 0;
	bad[2].temperature_K = 0;
	bad[3].intercept_eV[1] = NAN;
	bad[4].gcn_reference = INFINITY;
	for (size_t k = 0; k < PN_COUNT(bad); k++) {
		struct pn_error err = { 0 };

		assert_int_equal(pn_activity(&ln, NULL, &gcn, &z, &surface, 1, 78, &bad[k], &err),
				 PN_EARG);
		assert_non_null(strstr(err.text, "volcano"));
	}
}

/* ---- what must not matter, and odd input ---------------------------------------------------- */

static void rotation_and_numbering_change_nothing(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 586, A_A, 78);

	kit_shake(&m, 0.15, 2);
	for (size_t i = 0; i < m.count; i += 3)
		m.element[i] = 28;
	struct kit_model t = kit_copy(&m);
	uint32_t from[586];

	assert_int_equal(m.count, 586);
	kit_turn(&t, 6);
	kit_shuffle(&t, 6, from);
	struct pn_neighbors n = neighbors_of(&m, 3.4), nt = neighbors_of(&t, 3.4);
	struct pn_gcn_params p = pn_gcn_default();
	struct pn_volcano v = pn_volcano_default();
	struct pn_activity_summary s, st;
	uint8_t surface[586], surface_t[586];
	double gcn[586], gcn_t[586], ln[586];

	surface_by_cn(surface, &n);
	surface_by_cn(surface_t, &nt);
	pn_gcn_alloy(gcn, &n, m.element, surface, NULL, &p, 1);
	pn_gcn_alloy(gcn_t, &nt, t.element, surface_t, NULL, &p, 2);
	for (size_t i = 0; i < t.count; i++)
		assert_true(gcn_t[i] == gcn[from[i]]);
	assert_int_equal(pn_activity(ln, &s, gcn, m.element, surface, m.count, 78, &v, NULL), 0);
	assert_int_equal(pn_activity(ln, &st, gcn_t, t.element, surface_t, t.count, 78, &v, NULL),
			 0);
	assert_int_equal(s.atoms, st.atoms);
	kit_near(st.sum / s.sum, 1, 1e-12);
	kit_near(st.mean_ln, s.mean_ln, 1e-12);
	pn_neighbors_free(&n);
	pn_neighbors_free(&nt);
	kit_free(&m);
	kit_free(&t);
}

static void few_and_coincident_atoms(void **state)
{
	(void)state;
	for (size_t count = 0; count <= 4; count++) {
		struct kit_model m = kit_gas(count, 50, 78, count);

		/* all in the same place */
		for (size_t i = 1; i < count; i++)
			memcpy(m.position_A[i], m.position_A[0], sizeof m.position_A[0]);
		struct pn_neighbors n = neighbors_of(&m, CUTOFF_A);
		struct pn_gcn_params p = pn_gcn_default();
		static const double strain[] = { 0, -1, -1.5, NAN };
		double gcn[4], alloy[4];

		pn_gcn(gcn, &n, 12, 1);
		pn_gcn_alloy(alloy, &n, m.element, NULL, strain, &p, 1);
		for (size_t i = 0; i < count; i++) {
			kit_near(gcn[i], (double)((count - 1) * (count - 1)) / 12, 1e-15);
			if (i == 0)
				assert_true(alloy[i] == gcn[i]);
			else
				assert_true(isnan(alloy[i]));
		}
		pn_neighbors_free(&n);
		kit_free(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuboctahedron_309_has_its_twelve_classes),
		cmocka_unit_test(the_middle_of_a_large_111_facet_has_7_5),
		cmocka_unit_test(alloy_gcn_equals_a_double_loop),
		cmocka_unit_test(nickel_under_and_in_the_surface),
		cmocka_unit_test(the_volcano_has_the_published_slopes),
		cmocka_unit_test(activity_of_the_cuboctahedron_by_its_table),
		cmocka_unit_test(only_active_surface_atoms_count),
		cmocka_unit_test(what_is_no_volcano_is_refused),
		cmocka_unit_test(rotation_and_numbering_change_nothing),
		cmocka_unit_test(few_and_coincident_atoms),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
