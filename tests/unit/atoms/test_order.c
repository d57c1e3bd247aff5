/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Bond order agrees with a slow reference and closed forms, and does not depend on the frame. */
#include "perrin/atoms/order.h"

#include "kit.h"
#include "slow_order.h"

#include <string.h>

static struct pn_neighbors neighbors_of(const struct kit_model *model, double cutoff_A)
{
	struct pn_neighbors n = { 0 };
	struct pn_atoms atoms = kit_view(model);
	struct pn_error err = { 0 };

	if (pn_neighbors_build(&n, &atoms, cutoff_A, 1, &err))
		fail_msg("%s", err.text);
	return n;
}

static struct pn_order order_with(const struct kit_model *model, double cutoff_A,
				  const struct pn_order_options *options, int threads)
{
	struct pn_neighbors n = neighbors_of(model, cutoff_A);
	struct pn_order o;
	struct pn_error err = { 0 };

	if (pn_order_build(&o, &n, options, threads, &err))
		fail_msg("%s", err.text);
	pn_neighbors_free(&n);
	return o;
}

static struct pn_order order_of(const struct kit_model *model, double cutoff_A)
{
	return order_with(model, cutoff_A, NULL, 1);
}

static struct kit_model points(const double (*p)[3], size_t count)
{
	struct kit_model m = { malloc((count + 1) * sizeof *m.position_A), malloc(count + 1),
			       count };

	assert_non_null(m.position_A);
	assert_non_null(m.element);
	if (count)
		memcpy(m.position_A, p, count * sizeof *p);
	memset(m.element, 78, count + 1);
	return m;
}

/* A ball of a close packing with neighbours at distance 1: layers ABC (fcc) or AB (hcp). */
static struct kit_model packing(int layers, double radius)
{
	double p[2000][3];
	size_t count = 1;

	memset(p[0], 0, sizeof p[0]);
	for (int k = -6; k <= 6; k++)
		for (int j = -9; j <= 9; j++)
			for (int i = -9; i <= 9; i++) {
				int shift = ((k % layers) + layers) % layers;
				double x = i + 0.5 * j + 0.5 * shift;
				double y = sqrt(3) / 2 * j + shift / sqrt(12);
				double z = k * sqrt(2.0 / 3);
				double r = sqrt(x * x + y * y + z * z);

				if (r > radius || r < 1e-9)
					continue;
				assert_true(count < 2000);
				p[count][0] = x;
				p[count][1] = y;
				p[count++][2] = z;
			}
	return points(p, count);
}

static struct kit_model icosahedron(void)
{
	double p[13][3] = { { 0 } }, g = (1 + sqrt(5)) / 2, r = sqrt(1 + g * g);
	int at = 1;

	for (int k = 0; k < 3; k++)
		for (int sign = 0; sign < 4; sign++, at++) {
			p[at][k] = (sign & 1 ? 1 : -1) / r;
			p[at][(k + 1) % 3] = (sign & 2 ? g : -g) / r;
		}
	return points(p, 13);
}

static void wigner_symbols_are_those_of_racah(void **state)
{
	(void)state;
	for (int l = 4; l <= 6; l += 2) {
		double squares = 0;

		for (int a = -l - 1; a <= l + 1; a++)
			for (int b = -l - 1; b <= l + 1; b++) {
				kit_near(pn_order_wigner3j(l, a, b), racah_3j(l, a, b), 1e-15);
				squares += pow(pn_order_wigner3j(l, a, b), 2);
			}
		kit_near(squares, 1, 1e-14);
	}
	kit_near(pn_order_wigner3j(6, 0, 0), -sqrt(400.0 / 46189), 1e-15);
	assert_true(isnan(pn_order_wigner3j(5, 0, 0)));
}

/* Polynomials against Legendre functions; along the axes they are exact. */
static void harmonics_are_those_of_legendre(void **state)
{
	(void)state;
	struct pn_rng rng;
	double c[2][13];

	pn_rng_init(&rng, 1, 0);
	for (int trial = 0; trial < 200; trial++) {
		double v[3], r = 0;

		for (int k = 0; k < 3; k++) {
			v[k] = pn_rng_gauss(&rng);
			r += v[k] * v[k];
		}
		for (int k = 0; k < 3; k++)
			v[k] /= sqrt(r);
		pn_order_harmonics(c[0], c[1], v);
		for (int l = 4; l <= 6; l += 2) {
			double f = sqrt(4 * M_PI / (2 * l + 1)), sum = 0;

			kit_near(c[l == 6][0], f * creal(harmonic(l, 0, v)), 1e-14);
			for (int m = 1; m <= l; m++) {
				double complex y = (m % 2 ? -f : f) * M_SQRT2 * harmonic(l, m, v);

				kit_near(c[l == 6][2 * m - 1], creal(y), 1e-14);
				kit_near(c[l == 6][2 * m], cimag(y), 1e-14);
			}
			for (int k = 0; k <= 2 * l; k++)
				sum += c[l == 6][k] * c[l == 6][k];
			kit_near(sum, 1, 1e-14);
		}
	}
	for (int sign = -1; sign <= 1; sign += 2) {
		pn_order_harmonics(c[0], c[1], (double[3]){ 0, 0, sign });
		assert_true(c[0][0] == 1 && c[1][0] == 1);
		for (int k = 1; k < 13; k++)
			assert_true(c[1][k] == 0 && (k >= 9 || c[0][k] == 0));
	}
}

/* Every number of every atom of a gas and of a shaken crystal. */
static void slow_reference(void **state)
{
	(void)state;
	struct kit_model model[2] = { kit_gas(300, 10, 78, 5),
				      kit_solid(PN_SHAPE_CUBOCTAHEDRON, 147, 3.912, 78) };

	kit_shake(&model[1], 0.2, 6);
	for (int s = 0; s < 2; s++) {
		struct pn_neighbors n = neighbors_of(&model[s], 3.9);
		struct pn_order o = order_of(&model[s], 3.9);
		struct moments *q = calloc(n.atoms, sizeof *q);

		assert_non_null(q);
		for (size_t i = 0; i < n.atoms; i++) {
			assert_true(pn_neighbors_count(&n, i) > 0);
			q[i] = slow_moments(&n, i);
		}
		for (size_t i = 0; i < n.atoms; i++) {
			struct moments with = slow_mean(q, &n, i, 1);
			struct moments without = slow_mean(q, &n, i, 0);
			uint32_t crystalline = 0;

			kit_near(o.q4[i], slow_q(&q[i], 4), 1e-12);
			kit_near(o.q6[i], slow_q(&q[i], 6), 1e-12);
			kit_near(o.w4_raw[i], slow_w(&q[i], 4), 1e-12);
			kit_near(o.w6_raw[i], slow_w(&q[i], 6), 1e-12);
			kit_near(o.w4[i], slow_w(&q[i], 4) / pow(norm_of(&q[i], 4), 3), 1e-12);
			kit_near(o.w6[i], slow_w(&q[i], 6) / pow(norm_of(&q[i], 6), 3), 1e-12);
			kit_near(o.Q4[i], slow_q(&with, 4), 1e-12);
			kit_near(o.Q6[i], slow_q(&with, 6), 1e-12);
			kit_near(o.W4_raw[i], slow_w(&with, 4), 1e-12);
			kit_near(o.W6_raw[i], slow_w(&with, 6), 1e-12);
			kit_near(o.W4[i], slow_w(&with, 4) / pow(norm_of(&with, 4), 3), 1e-12);
			kit_near(o.W6[i], slow_w(&with, 6) / pow(norm_of(&with, 6), 3), 1e-12);
			kit_near(o.Q4_noself[i], slow_q(&without, 4), 1e-12);
			kit_near(o.Q6_noself[i], slow_q(&without, 6), 1e-12);
			kit_near(o.scaled[i],
				 hypot(slow_q(&with, 4), slow_q(&with, 6)) /
					 hypot(0.190941, 0.574524),
				 1e-12);
			for (uint32_t at = n.start[i]; at < n.start[i + 1]; at++) {
				double s6 = slow_s6(&q[i], &q[n.atom[at]]);

				kit_near(o.s6[at], s6, 1e-12);
				crystalline += s6 > 0.8;
			}
			assert_int_equal(o.crystalline_bonds[i], crystalline);
			assert_int_equal(o.crystalline[i],
					 2 * crystalline > pn_neighbors_count(&n, i));
		}
		free(q);
		pn_order_free(&o);
		pn_neighbors_free(&n);
		kit_free(&model[s]);
	}
}

/* fcc and hcp from the stacking alone, the icosahedron from its corners; raw and normalised w6. */
static void perfect_surroundings(void **state)
{
	(void)state;
	struct kit_model model[3] = { packing(3, 4.2), packing(2, 4.2), icosahedron() };
	static const double q4[] = { 0.1909406540, 7.0 / 72, 0 };
	static const double q6[] = { 0.5745242597, 0.4847616852, 0.6633249581 };
	static const double raw[] = { -0.00262603833, -0.00149133041, -0.0521313528 };
	static const double normalised[] = { -0.013161, -0.012442, -0.169754 };
	static const int found[] = { PN_ORDER_FCC, PN_ORDER_HCP, PN_ORDER_ICOSAHEDRAL };

	for (int s = 0; s < 3; s++) {
		kit_turn(&model[s], 77);
		struct pn_order o = order_of(&model[s], 1.2);

		if (s < 2) /* the fourth-order invariants of the icosahedron vanish */
			kit_near(o.w4[0], s == 0 ? -0.159317 : 0.134097, 1e-6);

		kit_near(o.q4[0], q4[s], 1e-10);
		kit_near(o.q6[0], q6[s], 1e-10);
		kit_near(o.w6_raw[0], raw[s], 1e-11);
		struct pn_neighbors n = neighbors_of(&model[s], 1.2);
		struct moments slow = slow_moments(&n, 0);

		kit_near(slow_w(&slow, 6), raw[s], 1e-11);
		kit_near(o.w4_raw[0], slow_w(&slow, 4), 1e-14);
		pn_neighbors_free(&n);
		kit_near(o.w6[0], normalised[s], 1e-6);
		kit_near(o.w6[0] * pow(13 / (4 * M_PI) * q6[s] * q6[s], 1.5), raw[s], 1e-10);
		assert_int_equal(o.order_class[0], found[s]);
		if (s < 2) {
			kit_near(o.Q4[0], q4[s], 1e-10);
			kit_near(o.Q6[0], q6[s], 1e-10);
			kit_near(o.W6_raw[0], raw[s], 1e-11);
			kit_near(o.Q6_noself[0], q6[s], 1e-10);
			assert_int_equal(o.crystalline_bonds[0], 12);
		}
		pn_order_free(&o);
		kit_free(&model[s]);
	}
}

/* Means over a cuboctahedron, as known from other programs; every atom of it is crystalline. */
static void cuboctahedron(void **state)
{
	(void)state;
	struct kit_model model = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, 3.912, 78);
	struct pn_order o = order_of(&model, 3.339);
	double q6 = 0, with = 0;

	for (size_t i = 0; i < 309; i++) {
		q6 += o.q6[i] / 309;
		with += o.Q6[i] / 309;
		assert_true(o.scaled[i] > 0.9);
	}
	kit_near(q6, 0.5799002, 5e-8);
	kit_near(with, 0.5758236, 5e-8);
	assert_int_equal(o.atoms, 309);
	assert_int_equal(o.crystalline_atoms, 309);
	assert_int_equal(o.ordered_atoms, 309);
	assert_int_equal(o.class_atoms[PN_ORDER_FCC] + o.class_atoms[PN_ORDER_HCP], 309);
	pn_order_free(&o);
	kit_free(&model);
}

static void same_values(const struct pn_order *a, const struct pn_order *b, const uint32_t *from,
			double tolerance)
{
	const double *const one[] = {
		a->q4, a->q6, a->w4_raw, a->w6_raw,    a->Q4,        a->Q6,
		a->w4, a->w6, a->W4_raw, a->Q4_noself, a->Q6_noself, a->scaled
	};
	const double *const two[] = {
		b->q4, b->q6, b->w4_raw, b->w6_raw,    b->Q4,        b->Q6,
		b->w4, b->w6, b->W4_raw, b->Q4_noself, b->Q6_noself, b->scaled
	};

	assert_int_equal(a->atoms, b->atoms);
	for (size_t i = 0; i < a->atoms; i++) {
		size_t j = from ? from[i] : i;

		for (size_t c = 0; c < PN_COUNT(one); c++)
			kit_near(one[c][i], two[c][j], tolerance);
		assert_int_equal(a->crystalline_bonds[i], b->crystalline_bonds[j]);
		assert_int_equal(a->crystalline[i], b->crystalline[j]);
		assert_int_equal(a->order_class[i], b->order_class[j]);
	}
	assert_int_equal(a->crystalline_atoms, b->crystalline_atoms);
	assert_int_equal(a->ordered_atoms, b->ordered_atoms);
	assert_memory_equal(a->class_atoms, b->class_atoms, sizeof a->class_atoms);
}

static void turning_and_renumbering_change_nothing(void **state)
{
	(void)state;
	struct kit_model model = kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 586, 3.912, 78);
	uint32_t from[586];

	kit_shake(&model, 0.25, 3);
	struct kit_model other = kit_copy(&model);

	kit_turn(&other, 4);
	kit_shuffle(&other, 5, from);
	struct pn_order a = order_of(&other, 3.5), b = order_of(&model, 3.5);

	assert_true(a.crystalline_atoms > 50 && a.crystalline_atoms < 536);
	same_values(&a, &b, from, 1e-10);
	pn_order_free(&a);
	pn_order_free(&b);
	kit_free(&model);
	kit_free(&other);
}

static void threads_give_the_same_bytes(void **state)
{
	(void)state;
	struct kit_model model = kit_gas(1000, 16, 78, 8);
	struct pn_order a = order_with(&model, 3.7, NULL, 1), b = order_with(&model, 3.7, NULL, 2);

	same_values(&a, &b, NULL, 0);
	assert_memory_equal(a.q6, b.q6, a.atoms * sizeof *a.q6);
	assert_memory_equal(a.w4, b.w4, a.atoms * sizeof *a.w4);
	assert_memory_equal(a.W6, b.W6, a.atoms * sizeof *a.W6);
	assert_memory_equal(a.W4, b.W4, a.atoms * sizeof *a.W4);
	assert_memory_equal(a.scaled, b.scaled, a.atoms * sizeof *a.scaled);
	assert_memory_equal(a.s6, b.s6, a.bonds * sizeof *a.s6);
	pn_order_free(&a);
	pn_order_free(&b);
	kit_free(&model);
}

static void few_atoms(void **state)
{
	(void)state;
	static const double line[3][3] = { { 0, 0, 0 }, { 0, 0, 1 }, { 0, 0, 2 } };

	for (size_t count = 0; count <= 3; count++) {
		struct kit_model model = points(line, count);
		struct pn_order o = order_of(&model, 1.5);

		assert_int_equal(o.atoms, count);
		for (size_t i = 0; i < count; i++)
			if (count == 1) {
				assert_true(isnan(o.q4[i]) && isnan(o.w6[i]) && isnan(o.Q6[i]));
				assert_true(isnan(o.scaled[i]) && isnan(o.W4_raw[i]));
				assert_true(isnan(o.Q4_noself[i]));
				assert_int_equal(o.order_class[i], PN_ORDER_NONE);
				assert_int_equal(o.crystalline[i], 0);
			} else { /* all bonds along z: one harmonic is 1, s6 is 1 */
				kit_near(o.q4[i], 1, 1e-15);
				kit_near(o.Q6[i], 1, 1e-15);
				kit_near(o.w6[i], -sqrt(400.0 / 46189), 1e-15);
				kit_near(o.s6[i], 1, 1e-15);
				assert_int_equal(o.order_class[i], PN_ORDER_FCC);
			}
		assert_int_equal(o.class_atoms[PN_ORDER_NONE], count == 1);
		assert_int_equal(o.ordered_atoms, count == 1 ? 0 : count);
		pn_order_free(&o);
		pn_order_free(&o);
		kit_free(&model);
	}
}

/* A square in a plane: q_l from the sum of Legendre polynomials over pairs of bonds. */
static void coplanar_atoms(void **state)
{
	(void)state;
	static const double p[5][3] = {
		{ 0, 0, 0 }, { 1, 0, 0 }, { 0, 1, 0 }, { -1, 0, 0 }, { 0, -1, 0 }
	};
	struct kit_model model = points(p, 5);

	kit_turn(&model, 12);
	struct pn_order o = order_of(&model, 1.2);

	/* P4(1) = P4(-1) = 1, P4(0) = 3/8; P6(0) = -5/16 */
	kit_near(o.q4[0], sqrt((2 + 2 * 3.0 / 8) / 4), 1e-12);
	kit_near(o.q6[0], sqrt((2 - 2 * 5.0 / 16) / 4), 1e-12);
	kit_near(o.q6[1], 1, 1e-12);
	pn_order_free(&o);
	kit_free(&model);
}

/* Twins have no direction between them, but are neighbours; a lone pair of twins has no order. */
static void coincident_atoms(void **state)
{
	(void)state;
	static const double p[7][3] = { { 0, 0, 0 }, { 0, 0, 0 }, { 1, 0, 0 },       { 0, 1, 0 },
					{ 9, 9, 9 }, { 9, 9, 9 }, { 9, 9, 9 + 1e-9 } };
	struct kit_model model = points(p, 7);
	struct pn_neighbors n = neighbors_of(&model, 1.2);
	struct pn_order o = order_of(&model, 1.2);

	/* bonds of atom 0: the twin and two at a right angle */
	kit_near(o.q4[0], sqrt((2 + 2 * 3.0 / 8) / 4), 1e-14);
	kit_near(o.q6[0], o.q6[1], 0);
	kit_near(o.s6[0], 1, 1e-14);
	assert_int_equal(n.atom[0], 1);
	assert_int_equal(pn_neighbors_count(&n, 0), 3);
	struct moments a = { 0 }, sum = { 0 };

	for (int l = 4; l <= 6; l += 2)
		for (int m = -l; m <= l; m++) {
			double complex x = harmonic(l, m, p[2]), y = harmonic(l, m, p[3]);

			a.q[l == 6][l + m] = (x + y) / 2;
			sum.q[l == 6][l + m] = (2 * a.q[l == 6][l + m] + x + y) / 4;
		}
	kit_near(o.q6[0], slow_q(&a, 6), 1e-14);
	kit_near(o.Q6[0], slow_q(&sum, 6), 1e-14);
	for (int i = 4; i < 7; i++) {
		assert_true(isnan(o.q4[i]) && isnan(o.Q4[i]) && isnan(o.scaled[i]));
		assert_true(isnan(o.s6[n.start[i]]));
		assert_int_equal(o.crystalline_bonds[i], 0);
		assert_int_equal(o.order_class[i], PN_ORDER_NONE);
	}
	pn_order_free(&o);
	pn_neighbors_free(&n);
	kit_free(&model);
}

/* Neighbours without an order of their own are left out of a mean: 0 and 1 are twins, but only 1
 * reaches 2. */
static void means_skip_atoms_without_order(void **state)
{
	(void)state;
	static const double p[3][3] = { { 0, 0, 0 }, { 0, 0, 5e-7 }, { 0, 0, 1 } };
	struct kit_model model = points(p, 3);
	struct pn_order o = order_of(&model, 1 - 2e-7);

	assert_true(isnan(o.q6[0]));
	kit_near(o.Q6[0], 1, 1e-15);
	kit_near(o.Q6[1], 1, 1e-15);
	kit_near(o.Q6_noself[2], 1, 1e-15);
	pn_order_free(&o);
	kit_free(&model);
}

static void thresholds_and_mask(void **state)
{
	(void)state;
	struct kit_model model = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, 3.912, 78);
	struct pn_neighbors n = neighbors_of(&model, 3.339);
	struct pn_order_options options;
	struct pn_order o;
	struct pn_error err = { 0 };
	uint8_t surface[309];

	pn_order_options_default(&options);
	for (size_t i = 0; i < 309; i++)
		surface[i] = pn_neighbors_count(&n, i) < 12;
	options.surface = surface;
	o = order_with(&model, 3.339, &options, 1);
	assert_int_equal(o.class_atoms[PN_ORDER_SURFACE], 162);
	assert_int_equal(o.class_atoms[PN_ORDER_FCC], 147);
	assert_int_equal(o.crystalline_atoms, 309);
	pn_order_free(&o);
	options.crystalline_part = 1; /* more than all of the bonds */
	options.scaled_min = 10;
	o = order_with(&model, 3.339, &options, 1);
	assert_int_equal(o.crystalline_atoms, 0);
	assert_int_equal(o.ordered_atoms, 0);
	assert_int_equal(o.class_atoms[PN_ORDER_DISORDERED], 147);
	pn_order_free(&o);
	options.crystalline_part = 1.5;
	assert_int_equal(pn_order_build(&o, &n, &options, 1, &err), PN_EARG);
	assert_non_null(strstr(err.text, "1.5"));
	pn_order_free(&o);
	options.crystalline_part = 0.5;
	options.s6_min = NAN;
	assert_int_equal(pn_order_build(&o, &n, &options, 1, NULL), PN_EARG);
	pn_order_free(&o);
	pn_neighbors_free(&n);
	kit_free(&model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(wigner_symbols_are_those_of_racah),
		cmocka_unit_test(harmonics_are_those_of_legendre),
		cmocka_unit_test(slow_reference),
		cmocka_unit_test(perfect_surroundings),
		cmocka_unit_test(cuboctahedron),
		cmocka_unit_test(turning_and_renumbering_change_nothing),
		cmocka_unit_test(threads_give_the_same_bytes),
		cmocka_unit_test(few_atoms),
		cmocka_unit_test(coplanar_atoms),
		cmocka_unit_test(coincident_atoms),
		cmocka_unit_test(means_skip_atoms_without_order),
		cmocka_unit_test(thresholds_and_mask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
