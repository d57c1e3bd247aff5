/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Strain that was put in comes out: lattice constants, tensors, radial strain, profiles. */
#include "kit.h"

#include "perrin/atoms/lattice.h"
#include "perrin/math/fit.h"
#include "perrin/math/linear.h"
#include "perrin/math/rotation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double a_A = 3.912, cutoff_A = 3.339;

/* A model with its lattice, its neighbours, and everything this file is about. */
struct strained {
	struct kit_model model;
	struct pn_atoms atoms;
	struct pn_lattice lattice;
	struct pn_neighbors neighbors;
	double *local_A, *strain, (*tensor)[3][3], *volume, *radial, *radius_A;
};

static struct strained strain_of(struct kit_model model, double reference_A, int threads)
{
	size_t n = model.count;
	struct strained s = { .model = model,
			      .atoms = { NULL, model.element, n },
			      .local_A = malloc(n * sizeof(double)),
			      .strain = malloc(n * sizeof(double)),
			      .tensor = malloc(n * sizeof *s.tensor),
			      .volume = malloc(n * sizeof(double)),
			      .radial = malloc(n * sizeof(double)),
			      .radius_A = malloc(n * sizeof(double)) };
	struct pn_error err = { 0 };

	s.atoms = kit_view(&s.model);
	if (pn_lattice_fit(&s.lattice, &s.atoms, NULL, threads, &err) != PN_OK ||
	    pn_neighbors_build(&s.neighbors, &s.atoms, cutoff_A, threads, &err) != PN_OK ||
	    pn_lattice_local(s.local_A, s.strain, s.tensor, s.volume, &s.neighbors, &s.lattice,
			     reference_A, threads, &err) != PN_OK)
		fail_msg("%s", err.text);
	pn_lattice_radial(s.radial, s.radius_A, &s.atoms, &s.lattice,
			  (const double(*)[3][3])s.tensor);
	return s;
}

static void release(struct strained *s)
{
	free(s->local_A);
	free(s->strain);
	free(s->tensor);
	free(s->volume);
	free(s->radial);
	free(s->radius_A);
	pn_lattice_free(&s->lattice);
	pn_neighbors_free(&s->neighbors);
	kit_free(&s->model);
}

static void stretch(struct kit_model *m, const double f[3][3])
{
	for (size_t i = 0; i < m->count; i++)
		pn_matrix3_apply(m->position_A[i], f, m->position_A[i]);
}

/* ---- known strain -------------------------------------------------------------------------- */

static void uniform_scaling_is_strain_in_every_direction(void **state)
{
	(void)state;
	for (int shape = 0; shape <= PN_SHAPE_OCTAHEDRON; shape++) {
		struct kit_model m = kit_solid((enum pn_shape)shape, 309, 1.013 * a_A, 78);

		kit_turn(&m, (uint64_t)shape);
		struct strained s = strain_of(m, a_A, 1);
		size_t defined = 0;

		for (size_t i = 0; i < m.count; i++) {
			kit_near(s.local_A[i], 1.013 * a_A, 1e-10);
			kit_near(s.strain[i], 0.013, 1e-10);
			kit_near(s.volume[i], pow(1.013, 3) - 1, 1e-10);
			for (int r = 0; r < 3; r++)
				for (int c = 0; c < 3; c++)
					kit_near(s.tensor[i][r][c], r == c ? 0.013 : 0, 1e-10);
			if (s.radius_A[i] > 1e-6) {
				kit_near(s.radial[i], 0.013, 1e-10);
				defined++;
			} else {
				assert_true(isnan(s.radial[i]));
			}
		}
		assert_true(defined + 1 >= m.count);
		release(&s);
	}
}

/* F = R U: the tensor is U - 1 and knows nothing of R. U from its own eigenvectors. */
static void homogeneous_deformation_is_the_right_stretch(void **state)
{
	(void)state;
	static const double value[3] = { 1.03, 0.985, 1.01 };
	double q[4], axes[3][3], u[3][3] = { { 0 } };
	struct pn_rng rng;

	pn_rng_init(&rng, 5, 5);
	pn_quaternion_random(q, &rng);
	pn_quaternion_to_matrix(axes, q);
	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++)
			for (int k = 0; k < 3; k++)
				u[r][c] += value[k] * axes[k][r] * axes[k][c];
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, a_A, 78);
	const double turn[3] = { 0.05, -0.1, 0.08 };
	double rotation[3][3];

	stretch(&m, (const double(*)[3])u);
	pn_quaternion_from_vector(q, turn);
	pn_quaternion_to_matrix(rotation, q);
	stretch(&m, (const double(*)[3])rotation);
	struct strained s = strain_of(m, a_A, 1);

	assert_int_equal(s.lattice.on_lattice, m.count);
	for (size_t i = 0; i < m.count; i++) {
		kit_near(s.volume[i], value[0] * value[1] * value[2] - 1, 1e-10);
		for (int r = 0; r < 3; r++)
			for (int c = 0; c < 3; c++)
				kit_near(s.tensor[i][r][c], u[r][c] - (r == c), 1e-10);
	}
	release(&s);
}

/* Stretched along z: e cos^2 theta along the radius. */
static void uniaxial_strain_projects_on_the_radius(void **state)
{
	(void)state;
	static const double f[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1.02 } };
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 459, a_A, 78);

	stretch(&m, f);
	struct strained s = strain_of(m, a_A, 1);

	for (size_t i = 0; i < m.count; i++) {
		const double *x = s.model.position_A[i];
		double r2 = x[0] * x[0] + x[1] * x[1] + x[2] * x[2];

		kit_near(s.radius_A[i], sqrt(r2), 1e-10);
		if (r2 > 1)
			kit_near(s.radial[i], 0.02 * x[2] * x[2] / r2, 1e-10);
	}
	release(&s);
}

/*
 * Strain that grows outwards, u = c r^2 n: along the radius du/dr = 2 c r, across it u / r = c r.
 * A fit over a shell of neighbours sees the mean, equal to the value at the atom to second order.
 */
static void strain_field_is_followed(void **state)
{
	(void)state;
	const double c = 4e-4;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 3000, a_A, 78);

	for (size_t i = 0; i < m.count; i++) {
		double *x = m.position_A[i], r = sqrt(x[0] * x[0] + x[1] * x[1] + x[2] * x[2]);

		for (int k = 0; k < 3; k++)
			x[k] *= 1 + c * r;
	}
	struct strained s = strain_of(m, a_A, 1);
	size_t inside = 0;

	for (size_t i = 0; i < m.count; i++) {
		double r = s.radius_A[i];

		if (pn_neighbors_count(&s.neighbors, i) < 12 || r < 8)
			continue;
		assert_true(fabs(s.radial[i] - 2 * c * r) < 0.1 * 2 * c * r);
		assert_true(fabs(s.strain[i] - 4.0 / 3 * c * r) < 0.1 * 4.0 / 3 * c * r);
		inside++;
	}
	assert_true(inside > 1000);
	release(&s);
}

/* ---- the fits ------------------------------------------------------------------------------ */

struct one_atom {
	const struct strained *s;
	size_t atom;
};

/* Parameters: constant, translation, rotation vector. */
static int residual(const double *p, double *r, void *context)
{
	const struct one_atom *one = context;
	const struct strained *s = one->s;
	uint32_t first = s->neighbors.start[one->atom], n = 0;
	double q[4], turn[3][3], rotation[3][3];

	pn_quaternion_from_vector(q, p + 4);
	pn_quaternion_to_matrix(turn, q);
	pn_matrix3_multiply(rotation, (const double(*)[3])turn, s->lattice.rotation);
	for (uint32_t b = 0; b <= pn_neighbors_count(&s->neighbors, one->atom); b++) {
		uint32_t j = b ? s->neighbors.atom[first + b - 1] : (uint32_t)one->atom;
		double site[3];

		for (int k = 0; k < 3; k++)
			site[k] = 0.5 * (s->lattice.site[j][k] - s->lattice.site[one->atom][k]);
		pn_matrix3_apply(site, (const double(*)[3])rotation, site);
		for (int k = 0; k < 3; k++)
			r[n++] = s->model.position_A[j][k] - s->model.position_A[one->atom][k] -
				 p[1 + k] - p[0] * site[k];
	}
	return 0;
}

static void local_constant_is_that_of_marquardt(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 201, a_A, 78);

	kit_turn(&m, 3);
	kit_shake(&m, 0.08, 3);
	struct strained s = strain_of(m, a_A, 1);

	assert_int_equal(s.lattice.on_lattice, m.count);
	for (size_t i = 0; i < m.count; i += 5) {
		uint32_t neighbors = pn_neighbors_count(&s.neighbors, i);
		struct one_atom one = { &s, i };
		struct pn_fit_problem problem = { .points = 3 * (int)(neighbors + 1),
						  .parameters = 7,
						  .residual = residual,
						  .context = &one };
		struct pn_fit_result result = { .value = { a_A } };

		assert_int_equal(pn_fit(&result, &problem, NULL), PN_OK);
		kit_near(s.local_A[i], result.value[0], 1e-6);
		kit_near(s.strain[i], s.local_A[i] / a_A - 1, 1e-15);
	}
	release(&s);
}

/* The tensor from the same least squares by a design matrix, and a root by Newton's iteration. */
static void tensor_is_that_of_a_design_matrix(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 201, a_A, 78);

	kit_shake(&m, 0.1, 8);
	struct strained s = strain_of(m, 3.9, 1);

	for (size_t i = 0; i < m.count; i++) {
		uint32_t rows = pn_neighbors_count(&s.neighbors, i) + 1;
		double a[32 * 4], b[32], x[4], f[3][3];

		assert_true(rows <= 32);
		for (int k = 0; k < 3; k++) {
			for (uint32_t row = 0; row < rows; row++) {
				uint32_t at = s.neighbors.start[i] + row - 1;
				uint32_t j = row ? s.neighbors.atom[at] : (uint32_t)i;

				a[4 * row] = 1;
				for (int c = 0; c < 3; c++)
					a[4 * row + 1 + c] = 0.5 * s.lattice.site[j][c];
				b[row] = s.model.position_A[j][k];
			}
			assert_int_equal(pn_least_squares(x, NULL, NULL, a, b, (int)rows, 4, NULL),
					 PN_OK);
			for (int c = 0; c < 3; c++)
				f[k][c] = x[1 + c] / 3.9;
		}
		/* U^2 = F^T F */
		for (int r = 0; r < 3; r++)
			for (int c = 0; c < 3; c++) {
				double uu = 0, ff = 0;

				for (int k = 0; k < 3; k++) {
					uu += (s.tensor[i][r][k] + (r == k)) *
					      (s.tensor[i][k][c] + (k == c));
					ff += f[k][r] * f[k][c];
				}
				kit_near(uu, ff, 1e-10);
			}
		kit_near(s.volume[i], pn_matrix3_determinant((const double(*)[3])f) - 1, 1e-10);
	}
	release(&s);
}

/* ---- too little to say --------------------------------------------------------------------- */

/* Neighbours of atom 0 only, those in @list. */
static void check_few(struct strained *s, const uint32_t *list, uint32_t count, int constant,
		      int full)
{
	uint32_t *start = calloc(s->atoms.count + 1, sizeof *start), atom[12];
	double bond[12][3], local_A[512], tensor[512][3][3], volume[512];
	struct pn_neighbors n = { cutoff_A, s->atoms.count, start, atom, bond };

	for (size_t i = 1; i <= s->atoms.count; i++)
		start[i] = count;
	for (uint32_t b = 0; b < count; b++) {
		atom[b] = list[b];
		for (int k = 0; k < 3; k++)
			bond[b][k] = s->model.position_A[list[b]][k] - s->model.position_A[0][k];
	}
	assert_true(s->atoms.count <= 512);
	assert_int_equal(
		pn_lattice_local(local_A, NULL, tensor, volume, &n, &s->lattice, a_A, 1, NULL),
		PN_OK);
	if (constant)
		kit_near(local_A[0], a_A, 1e-10);
	else
		assert_true(isnan(local_A[0]));
	assert_int_equal(!isnan(tensor[0][1][2]), full);
	assert_int_equal(!isnan(volume[0]), full);
	for (size_t i = 1; i < s->atoms.count; i++)
		assert_true(isnan(local_A[i]) && isnan(tensor[i][0][0]));
	free(start);
}

static uint32_t atom_at(const struct kit_model *m, const double from[3], double x, double y,
			double z)
{
	for (size_t j = 0; j < m->count; j++) {
		const double *p = m->position_A[j];

		if (fabs(p[0] - from[0] - x * a_A / 2) + fabs(p[1] - from[1] - y * a_A / 2) +
			    fabs(p[2] - from[2] - z * a_A / 2) <
		    1e-6)
			return (uint32_t)j;
	}
	fail_msg("no atom there");
	return 0;
}

static void few_neighbors_say_nothing(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 141, a_A, 78);
	size_t middle = 0;

	for (size_t i = 0; i < m.count; i++)
		if (fabs(m.position_A[i][0]) + fabs(m.position_A[i][1]) + fabs(m.position_A[i][2]) <
		    1e-6)
			middle = i;
	double zero[3] = { 0 };

	memcpy(m.position_A[middle], m.position_A[0], sizeof zero);
	memcpy(m.position_A[0], zero, sizeof zero);
	struct strained s = strain_of(m, a_A, 1);
	const uint32_t flat[] = { atom_at(&m, zero, 1, 1, 0), atom_at(&m, zero, 1, -1, 0),
				  atom_at(&m, zero, -1, -1, 0), atom_at(&m, zero, -1, 1, 0) };
	const uint32_t tripod[] = { flat[0], atom_at(&m, zero, 1, 0, 1),
				    atom_at(&m, zero, 0, 1, 1) };
	const uint32_t line[] = { flat[0], flat[2], atom_at(&m, zero, 2, 2, 0) };

	check_few(&s, NULL, 0, 0, 0);
	check_few(&s, tripod, 2, 0, 0);
	check_few(&s, tripod, 3, 1, 1);
	check_few(&s, line, 3, 0, 0);
	check_few(&s, flat, 4, 1, 0);
	release(&s);
}

static void atoms_off_the_lattice_have_no_strain(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 201, a_A, 78), gas = kit_gas(90, 8, 78, 1);

	m.position_A[7][0] += 1.5;
	struct strained s = strain_of(m, a_A, 1), none = strain_of(gas, a_A, 1);

	assert_int_equal(s.lattice.on_lattice, m.count - 1);
	for (size_t i = 0; i < m.count; i++) {
		assert_int_equal(isnan(s.strain[i]), i == 7);
		if (i != 7)
			kit_near(s.strain[i], 0, 1e-10);
	}
	assert_true(isnan(s.radial[7]) && s.radius_A[7] > 0);
	assert_int_equal(none.lattice.on_lattice, 0);
	for (size_t i = 0; i < gas.count; i++)
		assert_true(isnan(none.strain[i]) && isnan(none.tensor[i][0][1]) &&
			    isnan(none.volume[i]) && isnan(none.radial[i]) &&
			    isnan(none.radius_A[i]));
	release(&s);
	release(&none);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	struct strained s = strain_of(kit_solid(PN_SHAPE_SPHERE, 141, a_A, 78), a_A, 1);
	struct pn_error err = { 0 };

	assert_int_equal(
		pn_lattice_local(s.local_A, NULL, NULL, NULL, &s.neighbors, &s.lattice, 0, 1, &err),
		PN_EARG);
	assert_non_null(strstr(err.text, "reference"));
	s.neighbors.atoms--;
	assert_int_equal(pn_lattice_local(s.local_A, NULL, NULL, NULL, &s.neighbors, &s.lattice,
					  a_A, 1, &err),
			 PN_EARG);
	s.neighbors.atoms++;
	release(&s);
}

/* ---- what must not matter ------------------------------------------------------------------ */

static void nothing_depends_on_frame_numbering_or_threads(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 405, a_A, 78);

	kit_shake(&m, 0.15, 1);
	struct kit_model other = kit_copy(&m);
	uint32_t *from = malloc(m.count * sizeof *from);

	kit_turn(&other, 6);
	kit_shuffle(&other, 6, from);
	struct strained s = strain_of(m, a_A, 1), o = strain_of(other, a_A, 1);
	struct strained two = strain_of(kit_copy(&m), a_A, 2);

	for (size_t i = 0; i < m.count; i++) {
		double trace[2] = { 0 };

		kit_near(o.local_A[i], s.local_A[from[i]], 1e-10);
		kit_near(o.strain[i], s.strain[from[i]], 1e-10);
		kit_near(o.volume[i], s.volume[from[i]], 1e-10);
		kit_near(o.radial[i], s.radial[from[i]], 1e-10);
		kit_near(o.radius_A[i], s.radius_A[from[i]], 1e-10);
		for (int k = 0; k < 3; k++) {
			trace[0] += o.tensor[i][k][k];
			trace[1] += s.tensor[from[i]][k][k];
		}
		kit_near(trace[0], trace[1], 1e-10);
	}
	assert_memory_equal(s.local_A, two.local_A, m.count * sizeof(double));
	assert_memory_equal(s.tensor, two.tensor, m.count * sizeof *s.tensor);
	assert_memory_equal(s.volume, two.volume, m.count * sizeof(double));
	assert_memory_equal(s.radial, two.radial, m.count * sizeof(double));
	free(from);
	release(&s);
	release(&o);
	release(&two);
}

/* ---- profile ------------------------------------------------------------------------------- */

static void profile_is_mean_and_spread_of_each_bin(void **state)
{
	(void)state;
	const double distance[] = { 0, 0.5, 1.999, 2, 3, 3.5, 7.99, 8, -0.1, NAN, 1 };
	const double value[] = { 1, 3, 8, 5, 7, NAN, 2, 100, 100, 100, -4 };
	struct pn_lattice_bin bin[4];

	assert_int_equal(pn_lattice_profile(bin, 4, 2, distance, value, PN_COUNT(value)), 7);
	assert_int_equal(bin[0].count, 4);
	kit_near(bin[0].mean, 2, 1e-15);
	kit_near(bin[0].sd, sqrt((1 + 1 + 36 + 36) / 3.0), 1e-15);
	assert_int_equal(bin[1].count, 2);
	kit_near(bin[1].mean, 6, 1e-15);
	kit_near(bin[1].sd, sqrt(2), 1e-15);
	assert_int_equal(bin[2].count, 0);
	assert_true(isnan(bin[2].mean) && isnan(bin[2].sd));
	assert_int_equal(bin[3].count, 1);
	kit_near(bin[3].mean, 2, 1e-15);
	assert_true(isnan(bin[3].sd));
	kit_near(bin[3].from_A, 6, 0);
	kit_near(bin[3].to_A, 8, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(uniform_scaling_is_strain_in_every_direction),
		cmocka_unit_test(homogeneous_deformation_is_the_right_stretch),
		cmocka_unit_test(uniaxial_strain_projects_on_the_radius),
		cmocka_unit_test(strain_field_is_followed),
		cmocka_unit_test(local_constant_is_that_of_marquardt),
		cmocka_unit_test(tensor_is_that_of_a_design_matrix),
		cmocka_unit_test(few_neighbors_say_nothing),
		cmocka_unit_test(atoms_off_the_lattice_have_no_strain),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(nothing_depends_on_frame_numbering_or_threads),
		cmocka_unit_test(profile_is_mean_and_spread_of_each_bin),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
