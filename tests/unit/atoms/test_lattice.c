/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The lattice that was put in comes out, exactly where it is perfect and within its error where
 * not. */
#include "kit.h"

#include "perrin/atoms/lattice.h"
#include "perrin/math/fit.h"
#include "perrin/math/linear.h"
#include "perrin/math/rotation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double a_A = 3.912;

static struct pn_lattice fit_with(const struct kit_model *model,
				  const struct pn_lattice_options *options, int threads)
{
	struct pn_atoms atoms = kit_view(model);
	struct pn_lattice lattice;
	struct pn_error err = { 0 };

	if (pn_lattice_fit(&lattice, &atoms, options, threads, &err) != PN_OK)
		fail_msg("%s", err.text);
	return lattice;
}

static struct pn_lattice fit(const struct kit_model *model)
{
	return fit_with(model, NULL, 1);
}

/* ---- perfect crystals ---------------------------------------------------------------------- */

/* Every pair of atoms is as far apart as their sites, and every site has an even sum. */
static void check_sites(const struct kit_model *m, const struct pn_lattice *l)
{
	for (size_t i = 0; i < m->count; i++) {
		const int32_t *s = l->site[i];

		assert_true(pn_lattice_is_on(l, i));
		assert_int_equal((s[0] + s[1] + s[2]) % 2, 0);
		for (int k = 0; k < 3; k++)
			kit_near(l->displacement_A[i][k], 0, 1e-10);
		for (size_t j = 0; j < i; j++) {
			double x2 = 0, s2 = 0;

			for (int k = 0; k < 3; k++) {
				double d = m->position_A[i][k] - m->position_A[j][k];
				double e = l->a_A / 2 * (s[k] - l->site[j][k]);

				x2 += d * d;
				s2 += e * e;
			}
			kit_near(sqrt(x2), sqrt(s2), 1e-10);
		}
	}
}

static void perfect_crystals_are_found_exactly(void **state)
{
	(void)state;
	static const size_t counts[] = { 6, 13, 38, 201, 561 };

	for (int shape = 0; shape <= PN_SHAPE_OCTAHEDRON; shape++)
		for (size_t c = 0; c < PN_COUNT(counts); c++) {
			struct kit_model m =
				kit_solid((enum pn_shape)shape, counts[c], 2.5 + (double)c, 78);

			kit_turn(&m, 10 * c + (size_t)shape);
			struct pn_lattice l = fit(&m);

			assert_int_equal(l.on_lattice, m.count);
			assert_int_equal(l.converged, 1);
			kit_near(l.a_A, 2.5 + (double)c, 1e-10);
			kit_near(l.a_sd_A, 0, 1e-10);
			kit_near(pn_matrix3_determinant(l.rotation), 1, 1e-12);
			kit_near(pn_matrix3_determinant(l.cell_A[PN_LATTICE_AFFINE]), pow(l.a_A, 3),
				 1e-10);
			for (int k = 0; k < 3; k++) {
				kit_near(l.axes_A[k], l.a_A, 1e-10);
				kit_near(l.rms_A[k], 0, 1e-10);
			}
			check_sites(&m, &l);
			pn_lattice_free(&l);
			kit_free(&m);
		}
}

/* Nearest to the identity of 24: no turn by 90 or 120 degrees has a larger trace. */
static void axes_are_the_canonical_ones(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 141, a_A, 78), turned = kit_copy(&m);

	for (uint64_t seed = 0; seed < 30; seed++) {
		int nearest = 0;

		kit_turn(&turned, seed);
		struct pn_lattice l = fit(&turned);
		double trace = l.rotation[0][0] + l.rotation[1][1] + l.rotation[2][2];

		/* the largest possible turn to the nearest cubic frame is 62.8 degrees */
		assert_true(trace >= 1 + 2 * cos(62.8 * M_PI / 180));
		for (size_t i = 0; i < m.count; i++)
			nearest |= !l.site[i][0] && !l.site[i][1] && !l.site[i][2];
		assert_true(nearest);
		pn_lattice_free(&l);
	}
	struct pn_lattice l = fit(&m);

	/* not turned at all: the axes are those of the model */
	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++)
			kit_near(l.rotation[r][c], r == c, 1e-12);
	pn_lattice_free(&l);
	kit_free(&turned);
	kit_free(&m);
}

static void scaling_a_model_scales_the_constant(void **state)
{
	(void)state;
	for (double f = 0.2; f < 30; f *= 2.7) {
		struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, a_A, 78);

		kit_shake(&m, 0.15, 3);
		struct pn_lattice before = fit(&m);

		for (size_t i = 0; i < m.count; i++)
			for (int k = 0; k < 3; k++)
				m.position_A[i][k] *= f;
		struct pn_lattice after = fit(&m);

		assert_int_equal(after.on_lattice, before.on_lattice);
		kit_near(after.a_A / before.a_A, f, 1e-10);
		kit_near(after.a_sd_A / before.a_sd_A, f, 1e-10);
		for (int k = 0; k < 3; k++) {
			kit_near(after.rms_A[k] / before.rms_A[k], f, 1e-10);
			kit_near(after.axes_A[k] / before.axes_A[k], f, 1e-10);
		}
		pn_lattice_free(&before);
		pn_lattice_free(&after);
		kit_free(&m);
	}
}

/* ---- the fits ------------------------------------------------------------------------------ */

/* Deviation of the constant from the truth, in its own standard deviations: mean 0, variance 1. */
static void uncertainty_is_that_of_repeated_measurement(void **state)
{
	(void)state;
	enum { RUNS = 400 };
	double sum = 0, square = 0;

	for (uint64_t seed = 0; seed < RUNS; seed++) {
		struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 55, a_A, 78);

		kit_shake(&m, 0.08, seed);
		struct pn_lattice l = fit(&m);

		assert_int_equal(l.on_lattice, m.count);
		sum += (l.a_A - a_A) / l.a_sd_A;
		square += pow((l.a_A - a_A) / l.a_sd_A, 2);
		pn_lattice_free(&l);
		kit_free(&m);
	}
	assert_true(fabs(sum / RUNS) < 4 / sqrt(RUNS));
	assert_true(fabs(square / RUNS - 1) < 4 * sqrt(2.0 / RUNS));
}

struct reference {
	const struct kit_model *model;
	const struct pn_lattice *lattice;
	int constants; /* 1 or 3 */
};

/* Parameters: constants, origin, rotation vector (on top of the one found). */
static int residual(const double *p, double *r, void *context)
{
	const struct reference *ref = context;
	const double *origin = p + ref->constants;
	double q[4], turn[3][3], rotation[3][3];

	pn_quaternion_from_vector(q, origin + 3);
	pn_quaternion_to_matrix(turn, q);
	pn_matrix3_multiply(rotation, (const double(*)[3])turn, ref->lattice->rotation);
	for (size_t i = 0, n = 0; i < ref->model->count; i++) {
		if (!pn_lattice_is_on(ref->lattice, i))
			continue;
		for (int k = 0; k < 3; k++, n++) {
			r[n] = ref->model->position_A[i][k] - origin[k];
			for (int c = 0; c < 3; c++)
				r[n] -= 0.5 * rotation[k][c] * p[ref->constants == 3 ? c : 0] *
					ref->lattice->site[i][c];
		}
	}
	return 0;
}

/* The same numbers by Levenberg and Marquardt, which know nothing of Kabsch. */
static void check_by_marquardt(const struct kit_model *m, const struct pn_lattice *l,
			       enum pn_lattice_model model)
{
	struct reference ref = { m, l, model == PN_LATTICE_AXES ? 3 : 1 };
	struct pn_fit_problem problem = { .points = 3 * (int)l->on_lattice,
					  .parameters = ref.constants + 6,
					  .residual = residual,
					  .context = &ref };
	struct pn_fit_result result = { 0 };
	struct pn_error err = { 0 };

	for (int k = 0; k < ref.constants; k++)
		result.value[k] = a_A;
	for (int k = 0; k < 3; k++)
		result.value[ref.constants + k] = l->origin_A[PN_LATTICE_AFFINE][k];
	if (pn_fit(&result, &problem, &err) != PN_OK)
		fail_msg("%s", err.text);
	kit_near(l->rms_A[model], sqrt(result.chi2 / (double)l->on_lattice), 1e-8);
	for (int k = 0; k < ref.constants; k++)
		kit_near(model == PN_LATTICE_AXES ? l->axes_A[k] : l->a_A, result.value[k], 1e-5);
	if (model == PN_LATTICE_ISOTROPIC)
		kit_near(l->a_sd_A / result.uncertainty[0], 1, 1e-5);
}

/* The affine matrix by a design matrix of 12 unknowns. */
static void check_by_design_matrix(const struct kit_model *m, const struct pn_lattice *l)
{
	int rows = (int)l->on_lattice, row = 0;
	double *a = malloc((size_t)rows * 4 * sizeof *a), *b = malloc((size_t)rows * sizeof *b);

	for (int k = 0; k < 3; k++) {
		double x[4];

		row = 0;
		for (size_t i = 0; i < m->count; i++) {
			if (!pn_lattice_is_on(l, i))
				continue;
			a[4 * row] = 1;
			for (int c = 0; c < 3; c++)
				a[4 * row + 1 + c] = 0.5 * l->site[i][c];
			b[row++] = m->position_A[i][k];
		}
		assert_int_equal(pn_least_squares(x, NULL, NULL, a, b, rows, 4, NULL), PN_OK);
		kit_near(l->origin_A[PN_LATTICE_AFFINE][k], x[0], 1e-10);
		for (int c = 0; c < 3; c++)
			kit_near(l->cell_A[PN_LATTICE_AFFINE][k][c], x[1 + c], 1e-10);
	}
	free(a);
	free(b);
}

static void fits_are_those_of_other_methods(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 3; seed++) {
		struct kit_model m = kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 201, a_A, 78);

		for (size_t i = 0; i < m.count; i++) {
			m.position_A[i][0] *= 1.02;
			m.position_A[i][1] += 0.01 * m.position_A[i][0];
			m.position_A[i][2] *= 0.97;
		}
		kit_turn(&m, seed);
		kit_shake(&m, 0.1, seed);
		struct pn_lattice l = fit(&m);

		check_by_marquardt(&m, &l, PN_LATTICE_ISOTROPIC);
		check_by_marquardt(&m, &l, PN_LATTICE_AXES);
		check_by_design_matrix(&m, &l);
		assert_true(l.rms_A[PN_LATTICE_ISOTROPIC] > l.rms_A[PN_LATTICE_AXES]);
		assert_true(l.rms_A[PN_LATTICE_AXES] > l.rms_A[PN_LATTICE_AFFINE]);
		pn_lattice_free(&l);
		kit_free(&m);
	}
}

/* A missing wedge: one axis 4 % longer. The stretch is found; one constant cannot hold the rim. */
static void stretched_axes_are_found(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 10000, a_A, 78);
	struct pn_lattice_options options;

	for (size_t i = 0; i < m.count; i++)
		m.position_A[i][2] *= 1.04;
	struct pn_lattice l = fit(&m);

	assert_int_equal(l.on_lattice, m.count);
	kit_near(l.axes_A[0], a_A, 1e-10);
	kit_near(l.axes_A[1], a_A, 1e-10);
	kit_near(l.axes_A[2], 1.04 * a_A, 1e-10);
	kit_near(l.rms_A[PN_LATTICE_AXES], 0, 1e-9);
	kit_near(l.rms_A[PN_LATTICE_AFFINE], 0, 1e-9);
	assert_true(l.rms_A[PN_LATTICE_ISOTROPIC] > 0.3);
	pn_lattice_free(&l);

	pn_lattice_defaults(&options);
	options.model = PN_LATTICE_AFFINE;
	options.assign = PN_LATTICE_AXES;
	l = fit_with(&m, &options, 1);
	assert_int_equal(l.on_lattice, m.count);
	for (size_t i = 0; i < m.count; i++)
		for (int k = 0; k < 3; k++)
			kit_near(l.displacement_A[i][k], 0, 1e-9);
	pn_lattice_free(&l);
	options.assign = PN_LATTICE_ISOTROPIC;
	l = fit_with(&m, &options, 1);
	assert_true(l.on_lattice < m.count && l.on_lattice > m.count / 2);
	pn_lattice_free(&l);
	kit_free(&m);
}

/* ---- what is not a perfect crystal --------------------------------------------------------- */

static void remove_atom(struct kit_model *m, size_t i)
{
	m->count--;
	memmove(m->position_A + i, m->position_A + i + 1, (m->count - i) * sizeof *m->position_A);
	memmove(m->element + i, m->element + i + 1, m->count - i);
}

static void vacancies_do_no_harm(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_OCTAHEDRON, 891, a_A, 78);
	struct pn_rng rng;

	pn_rng_init(&rng, 1, 1);
	for (int k = 0; k < 150; k++)
		remove_atom(&m, pn_rng_below(&rng, (uint32_t)m.count));
	kit_turn(&m, 4);
	struct pn_lattice l = fit(&m);

	/* a corner whose neighbours are all gone may be cut off */
	assert_true(l.on_lattice + 2 >= m.count);
	kit_near(l.a_A, a_A, 1e-10);
	kit_near(l.rms_A[0], 0, 1e-10);
	pn_lattice_free(&l);
	kit_free(&m);
}

/*
 * A twin: what is below a (111) plane, reflected. The lattice holds the upper grain and the plane,
 * and nothing below: there only every third layer coincides, out of reach of the growth.
 */
static void twins_stay_off(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 1500, a_A, 78);
	double layer_A = a_A / sqrt(3), plane_A = -3 * layer_A;
	size_t expected = 0;
	int32_t *height = malloc(m.count * sizeof *height);

	for (size_t i = 0; i < m.count; i++) {
		double *x = m.position_A[i], h = (x[0] + x[1] + x[2]) / sqrt(3);

		height[i] = (int32_t)lround((h - plane_A) / layer_A);
		expected += height[i] >= 0;
		/* turned by 180 degrees about [111]: as good as a reflection, and the plane, three
		 * layers below the axis, lies on itself */
		for (int k = 0; k < 3 && height[i] < 0; k++)
			x[k] = 2 * h / sqrt(3) - x[k];
	}
	kit_turn(&m, 9);
	struct pn_lattice l = fit(&m);

	assert_true(expected > m.count / 2 && expected < m.count - 200);
	assert_int_equal(l.on_lattice, expected);
	kit_near(l.a_A, a_A, 1e-10);
	for (size_t i = 0; i < m.count; i++)
		assert_int_equal(pn_lattice_is_on(&l, i), height[i] >= 0);
	pn_lattice_free(&l);
	free(height);
	kit_free(&m);
}

/* The grain with most atoms wins also where it is not in the middle. */
static void largest_grain_wins(void **state)
{
	(void)state;
	struct kit_model small = kit_solid(PN_SHAPE_SPHERE, 321, 3.6, 78);
	struct kit_model large = kit_solid(PN_SHAPE_SPHERE, 459, a_A, 78);
	struct kit_model both = kit_solid(PN_SHAPE_SPHERE, 1200, a_A, 78);
	size_t n = 0;

	kit_turn(&small, 1);
	kit_turn(&large, 2);
	double center[3] = { 0 }, other[3] = { 0 };

	for (int k = 0; k < 3; k++) {
		for (size_t i = 0; i < small.count; i++)
			center[k] += small.position_A[i][k] / (double)small.count;
		for (size_t i = 0; i < large.count; i++)
			other[k] += large.position_A[i][k] / (double)large.count;
	}
	/* side by side, and a dozen atoms far out that draw the centroid into the small one */
	for (size_t i = 0; i < small.count; i++)
		memcpy(both.position_A[n++], small.position_A[i], sizeof center);
	for (size_t i = 0; i < large.count; i++, n++)
		for (int k = 0; k < 3; k++)
			both.position_A[n][k] =
				large.position_A[i][k] - other[k] + center[k] + (k ? 0 : 24);
	for (int i = 0; i < 12; i++, n++)
		for (int k = 0; k < 3; k++)
			both.position_A[n][k] =
				center[k] - (k ? 7.0 * i : 24 * (double)large.count / 12);
	both.count = n;
	struct pn_lattice l = fit(&both);

	assert_int_equal(l.on_lattice, large.count);
	kit_near(l.a_A, a_A, 1e-10);
	assert_true(pn_lattice_is_on(&l, small.count) && !pn_lattice_is_on(&l, 0));
	pn_lattice_free(&l);
	kit_free(&small);
	kit_free(&large);
	kit_free(&both);
}

static void expect_none(const struct kit_model *m)
{
	struct pn_lattice l = fit(m);

	assert_int_equal(l.on_lattice, 0);
	assert_true(isnan(l.a_A) && isnan(l.a_sd_A) && isnan(l.rms_A[2]) && isnan(l.axes_A[0]));
	for (size_t i = 0; i < m->count; i++) {
		assert_false(pn_lattice_is_on(&l, i));
		assert_true(isnan(l.displacement_A[i][0]));
	}
	pn_lattice_free(&l);
}

static void no_lattice_is_no_error(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 459, a_A, 78), few = kit_copy(&m);

	for (few.count = 0; few.count < 4; few.count++)
		expect_none(&few);
	kit_free(&few);
	few = kit_copy(&m);
	for (size_t i = 0; i < few.count; i++)
		memset(few.position_A[i], 0, sizeof *few.position_A);
	expect_none(&few); /* all at one place */
	for (size_t i = 0; i < few.count; i++)
		few.position_A[i][1] = 2.77 * (double)i;
	expect_none(&few); /* in a line */
	few.count = 100;
	for (size_t i = 0; i < few.count; i++) {
		few.position_A[i][0] = 2.77 * (double)(i % 10);
		few.position_A[i][1] = 2.77 * (double)(i / 10);
	}
	expect_none(&few); /* a square net */
	for (size_t i = 0; i < few.count; i++) {
		few.position_A[i][0] += 2.77 / 2 * (double)(i / 10);
		few.position_A[i][1] *= sqrt(0.75);
	}
	expect_none(&few); /* a triangular net */
	kit_free(&few);
	for (uint64_t seed = 0; seed < 12; seed++) {
		few = kit_gas(seed % 2 ? 1000 : 120, seed % 2 ? 18 : 7 + 0.2 * (double)seed, 78,
			      seed);
		expect_none(&few);
		kit_free(&few);
	}
	kit_free(&m);
}

/* Atoms that were traced twice: one of each pair is on the lattice, the nearer one. */
static void duplicates_take_one_site(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 321, a_A, 78);
	struct kit_model twice = kit_solid(PN_SHAPE_SPHERE, 700, a_A, 78);

	assert_true(twice.count > 2 * m.count);
	twice.count = 2 * m.count;
	for (size_t i = 0; i < m.count; i++) {
		memcpy(twice.position_A[i], m.position_A[i], sizeof *m.position_A);
		memcpy(twice.position_A[m.count + i], m.position_A[i], sizeof *m.position_A);
		if (i % 3)
			twice.position_A[m.count + i][0] += 0.3;
	}
	struct pn_lattice l = fit(&twice);

	assert_int_equal(l.on_lattice, m.count);
	assert_int_equal(l.converged, 1);
	kit_near(l.a_A, a_A, 1e-10);
	for (size_t i = 0; i < m.count; i++)
		assert_true(pn_lattice_is_on(&l, i) && !pn_lattice_is_on(&l, m.count + i));
	pn_lattice_free(&l);
	kit_free(&m);
	kit_free(&twice);
}

/* ---- what must not matter ------------------------------------------------------------------ */

static void nothing_depends_on_frame_or_numbering(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 586, a_A, 78);

	for (size_t i = 0; i < m.count; i++)
		m.position_A[i][0] *= 1.03;
	kit_shake(&m, 0.22, 1);
	struct pn_lattice l = fit(&m);

	assert_true(l.on_lattice < m.count); /* some atoms must be off for this to be a test */
	for (uint64_t seed = 1; seed < 5; seed++) {
		struct kit_model other = kit_copy(&m);
		uint32_t *from = malloc(m.count * sizeof *from);

		kit_turn(&other, seed);
		kit_shuffle(&other, seed, from);
		struct pn_lattice k = fit(&other);

		assert_int_equal(k.on_lattice, l.on_lattice);
		kit_near(k.a_A, l.a_A, 1e-10);
		kit_near(k.a_sd_A, l.a_sd_A, 1e-10);
		kit_near(k.axes_A[0] * k.axes_A[1] * k.axes_A[2],
			 l.axes_A[0] * l.axes_A[1] * l.axes_A[2], 1e-10);
		for (int model = 0; model < 3; model++)
			kit_near(k.rms_A[model], l.rms_A[model], 1e-10);
		for (size_t i = 0; i < m.count; i++) {
			const double *d = k.displacement_A[i], *e = l.displacement_A[from[i]];

			assert_int_equal(pn_lattice_is_on(&k, i), pn_lattice_is_on(&l, from[i]));
			kit_near(d[0] * d[0] + d[1] * d[1] + d[2] * d[2],
				 e[0] * e[0] + e[1] * e[1] + e[2] * e[2], 1e-10);
		}
		pn_lattice_free(&k);
		free(from);
		kit_free(&other);
	}
	pn_lattice_free(&l);
	kit_free(&m);
}

static void threads_give_the_same_bytes(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 6000, a_A, 78);

	kit_shake(&m, 0.25, 1);
	struct pn_lattice one = fit_with(&m, NULL, 1), two = fit_with(&m, NULL, 2);

	assert_memory_equal(one.site, two.site, m.count * sizeof *one.site);
	assert_memory_equal(one.displacement_A, two.displacement_A,
			    m.count * sizeof *one.displacement_A);
	assert_memory_equal(one.cell_A, two.cell_A, sizeof one.cell_A);
	assert_memory_equal(one.origin_A, two.origin_A, sizeof one.origin_A);
	assert_memory_equal(&one.a_sd_A, &two.a_sd_A, sizeof one.a_sd_A);
	pn_lattice_free(&one);
	pn_lattice_free(&two);
	kit_free(&m);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 141, a_A, 78);
	struct pn_atoms atoms = kit_view(&m);
	struct pn_lattice_options good, o;
	struct pn_lattice l;
	struct pn_error err = { 0 };

	pn_lattice_defaults(&good);
#define REFUSED(change)                                                             \
	do {                                                                        \
		o = good;                                                           \
		o.change;                                                           \
		assert_int_equal(pn_lattice_fit(&l, &atoms, &o, 1, &err), PN_EARG); \
		assert_non_null(strstr(err.text, "lattice"));                       \
		pn_lattice_free(&l);                                                \
	} while (0)
	REFUSED(tolerance = 0);
	REFUSED(tolerance = 0.5);
	REFUSED(tolerance = NAN);
	REFUSED(spacing_A = -1);
	REFUSED(seeds_max = 0);
	REFUSED(rounds_max = 0);
	REFUSED(model = PN_LATTICE_MODELS);
	REFUSED(assign = (enum pn_lattice_model) - 1);
#undef REFUSED
	kit_free(&m);
}

/* ---- measured models ----------------------------------------------------------------------- */

/* Positions of the ATOM and HETATM records of a PDB file. */
static struct kit_model read_pdb(const char *path)
{
	size_t bytes;
	char *text = testkit_read(path, &bytes), *save = NULL;
	struct kit_model m = { malloc(bytes), malloc(bytes), 0 };

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		double *x = m.position_A[m.count];

		if (strncmp(line, "ATOM", 4) && strncmp(line, "HETATM", 6))
			continue;
		assert_int_equal(sscanf(line + 30, "%8lf%8lf%8lf", x, x + 1, x + 2), 3);
		m.element[m.count++] = 78;
	}
	free(text);
	return m;
}

/* Structures of paper 004, and the truncated octahedron that was used to plan them. */
static void published_models_have_a_lattice(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		size_t count, least;
		double low_A, high_A, rms_A;
	} known[] = {
		/* 3.912 A, written with three decimals: rms of rounding is 0.0005 A */
		{ "models/pt_4d/COM_trunc-octa-3_2.7nm.pdb", 586, 586, 3.9119, 3.9121, 0.001 },
		/* "a tensile strain of about 1.3 %", precision of the atoms 0.31 A */
		{ "models/pt_4d/stage1_docked_ATMS.pdb", 314, 312, 3.95, 4.0, 0.31 },
		{ "models/pt_4d/stage3_docked_ATMS.pdb", 233, 215, 3.9, 4.0, 0.31 },
	};

	for (size_t k = 0; k < PN_COUNT(known); k++) {
		const char *path = testkit_data(known[k].name);

		if (!path)
			skip();
		struct kit_model m = read_pdb(path);
		struct pn_lattice l = fit(&m);

		assert_int_equal(m.count, known[k].count);
		assert_true(l.on_lattice >= known[k].least);
		assert_true(l.a_A > known[k].low_A && l.a_A < known[k].high_A);
		assert_true(l.rms_A[PN_LATTICE_ISOTROPIC] < known[k].rms_A);
		pn_lattice_free(&l);
		kit_free(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(perfect_crystals_are_found_exactly),
		cmocka_unit_test(axes_are_the_canonical_ones),
		cmocka_unit_test(scaling_a_model_scales_the_constant),
		cmocka_unit_test(uncertainty_is_that_of_repeated_measurement),
		cmocka_unit_test(fits_are_those_of_other_methods),
		cmocka_unit_test(stretched_axes_are_found),
		cmocka_unit_test(vacancies_do_no_harm),
		cmocka_unit_test(twins_stay_off),
		cmocka_unit_test(largest_grain_wins),
		cmocka_unit_test(no_lattice_is_no_error),
		cmocka_unit_test(duplicates_take_one_site),
		cmocka_unit_test(nothing_depends_on_frame_or_numbering),
		cmocka_unit_test(threads_give_the_same_bytes),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(published_models_have_a_lattice),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
