/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Gaussian averages over a surface are the sums that the header writes down. */
#include "perrin/atoms/curvature.h"

#include "bodies.h"

struct results {
	double *mean, *gaussian, *area, (*normal)[3];
};

static struct results run(const struct mesh *m, int threads)
{
	size_t n = m->model.count;
	struct results r = { room(n, 8), room(n, 8), room(n, 8), room(n, 24) };
	struct pn_atoms atoms = kit_view(&m->model);
	struct pn_error err = { 0 };

	if (pn_curvature(r.mean, r.gaussian, r.area, r.normal, &m->surface, &atoms, threads, &err))
		fail_msg("%s", err.text);
	return r;
}

static void results_free(struct results *r)
{
	free(r->mean);
	free(r->gaussian);
	free(r->area);
	free(r->normal);
}

static void averages_are_the_sums_written(void **state)
{
	(void)state;
	struct mesh m = torus(30, 14, 10, 4, 1);
	size_t n = m.model.count;
	struct results r = run(&m, 1);
	double *a = room(3 * n, 8), *b = room(3 * n, 8), sigma = 1.7;
	struct pn_atoms atoms = kit_view(&m.model);

	r.mean[5] = NAN;
	assert_int_equal(pn_surface_average(a, r.mean, 1, r.area, sigma, &atoms, 1, NULL), PN_OK);
	assert_int_equal(pn_surface_average(b, r.mean, 1, r.area, sigma, &atoms, 2, NULL), PN_OK);
	assert_memory_equal(a, b, n * sizeof *a);
	for (size_t i = 0; i < n; i++) {
		double sum = 0, total = 0;

		for (size_t j = 0; j < n; j++) {
			double d2 = 0;

			for (int k = 0; k < 3; k++)
				d2 += pow(atoms.position_A[i][k] - atoms.position_A[j][k], 2);
			if (j == 5)
				continue;
			sum += r.area[j] * exp(-d2 / (2 * sigma * sigma)) * r.mean[j];
			total += r.area[j] * exp(-d2 / (2 * sigma * sigma));
		}
		kit_near(a[i], i == 5 ? NAN : sum / total, 1e-9);
	}
	/* a constant stays, three components at once are three times one */
	assert_int_equal(pn_surface_average(a, &r.normal[0][0], 3, NULL, sigma, &atoms, 1, NULL),
			 PN_OK);
	for (size_t i = 0; i < n; i++)
		r.mean[i] = r.normal[i][1];
	assert_int_equal(pn_surface_average(b, r.mean, 1, NULL, sigma, &atoms, 1, NULL), PN_OK);
	for (size_t i = 0; i < n; i++) {
		assert_true(a[3 * i + 1] == b[i]);
		r.mean[i] = -0.3;
	}
	assert_int_equal(pn_surface_average(b, r.mean, 1, r.area, 1e-3, &atoms, 1, NULL), PN_OK);
	for (size_t i = 0; i < n; i++)
		kit_near(b[i], -0.3, 1e-14);
	free(a);
	free(b);
	results_free(&r);
	mesh_free(&m);
}

/* A cube's edges and corners, averaged over a length far above the mesh, blur to a smooth body. */
static void averaging_evens_out(void **state)
{
	(void)state;
	struct mesh m = cube(12, 1);
	size_t n = m.model.count;
	struct results r = run(&m, 1);
	struct pn_atoms atoms = kit_view(&m.model);
	double *wide = room(n, 8), most = 0, least = INFINITY;

	assert_int_equal(pn_surface_average(wide, r.mean, 1, r.area, 4, &atoms, 1, NULL), PN_OK);
	for (size_t i = 0; i < n; i++) {
		most = fmax(most, wide[i]);
		least = fmin(least, wide[i]);
	}
	assert_true(least > 0 && most < 0.4);
	free(wide);
	results_free(&r);
	mesh_free(&m);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	struct mesh m = sphere(0, 3);
	struct pn_atoms atoms = kit_view(&m.model), none = { NULL, NULL, 0 };
	struct pn_error err = { 0 };
	double h[12], k[12], zero[12] = { 0 };

	for (int i = 0; i < 12; i++)
		h[i] = NAN;
	assert_int_equal(pn_surface_average(k, h, 1, NULL, 1, &atoms, 1, &err), PN_OK);
	assert_true(isnan(k[0]) && isnan(k[11]));
	assert_int_equal(pn_surface_average(k, h, 1, NULL, 1, &none, 1, &err), PN_OK);
	h[2] = 1;
	assert_int_equal(pn_surface_average(k, h, 1, zero, 1, &atoms, 1, &err), PN_OK);
	assert_true(isnan(k[2]));
	assert_int_equal(pn_surface_average(k, h, 1, NULL, 1e-200, &atoms, 1, &err), PN_EARG);
	assert_int_equal(pn_surface_average(k, h, 0, NULL, 1, &atoms, 1, &err), PN_EARG);
	assert_int_equal(pn_surface_average(k, h, 4, NULL, 1, &atoms, 1, &err), PN_EARG);
	assert_int_equal(pn_surface_average(k, h, 1, NULL, 0, &atoms, 1, &err), PN_EARG);
	assert_int_equal(pn_surface_average(k, h, 1, NULL, NAN, &atoms, 1, &err), PN_EARG);
	assert_int_equal(pn_surface_average(k, h, 1, NULL, INFINITY, &atoms, 1, &err), PN_EARG);
	assert_int_equal(pn_surface_average(k, h, 1, NULL, 1, &atoms, 0, &err), PN_EARG);
	assert_non_null(strstr(err.text, "0 threads"));
	mesh_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(averages_are_the_sums_written),
		cmocka_unit_test(averaging_evens_out),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
