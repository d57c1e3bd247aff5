/* SPDX-License-Identifier: GPL-3.0-or-later */
/* g(r): perfect shells, slow sums, disorder of known width, published models. */
#include "published.h"

#include "perrin/atoms/rdf.h"
#include "perrin/base/rng.h"

#include <math.h>

static const double a_A = 3.912;

static struct pn_surface surface_of(const struct kit_model *model, double radius_A)
{
	struct pn_atoms atoms = kit_view(model);
	struct pn_surface surface;
	struct pn_error err = { 0 };

	if (pn_surface_build(&surface, &atoms, radius_A, 1, &err))
		fail_msg("%s", err.text);
	return surface;
}

static struct pn_rdf rdf_of(const struct kit_model *model, const struct pn_surface *surface,
			    const struct pn_rdf_options *options, int threads)
{
	struct pn_atoms atoms = kit_view(model);
	struct pn_error err = { 0 };
	struct pn_rdf rdf;

	if (pn_rdf_build(&rdf, &atoms, surface, options, threads, &err))
		fail_msg("%s", err.text);
	return rdf;
}

static double r_of(const struct pn_rdf *rdf, size_t k)
{
	return rdf->r_first_A + (double)k * rdf->step_A;
}

static double distance(const double a[3], const double b[3])
{
	return hypot(hypot(a[0] - b[0], a[1] - b[1]), a[2] - b[2]);
}

/* Shells of fcc at a sqrt(k/2): 12 atoms, 6, 24; minima in the middle of the gaps. */
static void perfect_shells(void **state)
{
	(void)state;
	static const size_t counts[] = { 55, 147, 309, 1415 };

	for (int n = 0; n < 4; n++) {
		struct kit_model model = kit_solid(PN_SHAPE_CUBOCTAHEDRON, counts[n], a_A, 78);
		struct pn_surface surface = surface_of(&model, a_A / sqrt(2));

		assert_int_equal(model.count, counts[n]);
		for (int mesh = 0; mesh < 2; mesh++) {
			struct pn_rdf rdf = rdf_of(&model, mesh ? &surface : NULL, NULL, 1);
			double shell[4];

			for (int k = 1; k < 4; k++)
				shell[k] = a_A * sqrt(k / 2.0);
			assert_int_equal(rdf.has_mesh, mesh);
			kit_near(rdf.first_peak_A, shell[1], 2e-4);
			kit_near(rdf.first_minimum_A, (shell[1] + shell[2]) / 2, 1e-12);
			kit_near(rdf.second_peak_A, shell[2], 2e-4);
			kit_near(rdf.second_minimum_A, (shell[2] + shell[3]) / 2, 1e-12);
			kit_near(rdf.first_peak_mean_A, shell[1], 3e-4);
			assert_true(rdf.first_peak_sigma_A < 0.02);
			pn_rdf_free(&rdf);
		}
		pn_surface_free(&surface);
		kit_free(&model);
	}
}

/* Every pair with its own Gaussian, and shells at every distance. */
static void slow_reference_agrees(void **state)
{
	(void)state;
	struct kit_model model = kit_solid(PN_SHAPE_OCTAHEDRON, 231, a_A, 78);

	kit_shake(&model, 0.15, 4);
	struct pn_surface surface = surface_of(&model, 3.2);
	struct pn_rdf_options options = { .r_max_A = 11, .step_A = 0.02, .smooth_A = 0.11 };
	struct pn_rdf rdf = rdf_of(&model, &surface, &options, 1);
	struct pn_atoms atoms = kit_view(&model);
	double *r = malloc(2 * rdf.count * sizeof *r), *area = r + rdf.count, s = 0.11;
	double n = (double)model.count;

	assert_non_null(r);
	assert_int_equal(rdf.count, 550);
	for (size_t k = 0; k < rdf.count; k++)
		r[k] = r_of(&rdf, k);
	assert_int_equal(pn_rdf_shell_area(area, r, rdf.count, &atoms, 0, &surface, 1, NULL), 0);
	kit_near(rdf.density_A3, (n - 1) / surface.volume_A3, 1e-14);
	for (size_t k = 0; k < rdf.count; k += 7) {
		double pairs = 0;

		for (size_t i = 0; i < model.count; i++)
			for (size_t j = 0; j < i; j++) {
				double d = distance(model.position_A[i], model.position_A[j]);

				pairs += 2 / n * exp(-(r[k] - d) * (r[k] - d) / (2 * s * s)) /
					 (s * sqrt(2 * M_PI));
			}
		assert_true(fabs(rdf.pairs_per_A[k] - pairs) < 1e-3 + 2e-4 * pairs);
		assert_true(fabs(rdf.shell_A2[k] - area[k] / n) < 1e-3 * area[k] / n);
		kit_near(rdf.g[k], rdf.pairs_per_A[k] / (rdf.density_A3 * rdf.shell_A2[k]), 1e-14);
	}
	free(r);
	pn_rdf_free(&rdf);
	pn_surface_free(&surface);
	kit_free(&model);
}

/* To the largest distance there are N - 1 others, and as many by the volume: the mean of g is 1. */
static void mean_over_the_volume_is_one(void **state)
{
	(void)state;
	struct kit_model model = kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 201, a_A, 78);

	kit_shake(&model, 0.1, 1);
	struct pn_surface surface = surface_of(&model, 3);
	struct pn_rdf_options options = { .r_max_A = 30 };
	struct pn_rdf rdf = rdf_of(&model, &surface, &options, 2);
	double pairs = 0, shells = 0;

	for (size_t k = 0; k < rdf.count; k++) {
		pairs += rdf.pairs_per_A[k] * rdf.step_A;
		shells += rdf.shell_A2[k] * rdf.density_A3 * rdf.step_A;
	}
	kit_near(pairs, 200, 1e-6);
	kit_near(shells, 200, 1e-4);
	/* beyond the particle there is no g, and it ends there once and for all */
	assert_true(isnan(rdf.g[rdf.count - 1]) && isnan(rdf.g_sd[rdf.count - 1]));
	for (size_t k = 1; k < rdf.count; k++)
		assert_true(isnan(rdf.g[k]) || !isnan(rdf.g[k - 1]));
	pn_rdf_free(&rdf);
	pn_surface_free(&surface);
	kit_free(&model);
}

/* Atoms that know little of each other: 1 far out, in spite of the surface; 0 where none may be. */
static void gas_is_even(void **state)
{
	(void)state;
	struct kit_model model = kit_gas(1200, 25, 78, 11);
	struct pn_surface surface = surface_of(&model, 12);
	struct pn_rdf_options options = { .r_max_A = 20, .smooth_A = 0.3, .step_A = 0.05 };
	struct pn_rdf rdf = rdf_of(&model, &surface, &options, 1);
	struct pn_rdf bare = rdf_of(&model, NULL, &options, 1);

	for (size_t k = 0; k < rdf.count; k++) {
		double r = r_of(&rdf, k);

		if (r < 1)
			assert_true(rdf.g[k] < 0.1);
		if (r > 4)
			assert_true(fabs(rdf.g[k] - 1) < 0.08);
		if (r > 15) /* whole shells forget the surface */
			assert_true(bare.g[k] < 0.7);
	}
	pn_rdf_free(&bare);
	pn_rdf_free(&rdf);
	pn_surface_free(&surface);
	kit_free(&model);
}

/* Displacements of s along each axis widen bonds by s sqrt 2, and lengthen them by 2 s^2 / d. */
static void width_of_the_first_peak(void **state)
{
	(void)state;
	double d = a_A / sqrt(2);

	for (int n = 0; n < 3; n++) {
		double s = (const double[]){ 0.05, 0.1, 0.15 }[n];
		struct kit_model model = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 3871, a_A, 78);

		kit_shake(&model, s, 7 + (uint64_t)n);
		struct pn_surface surface = surface_of(&model, 3.2);
		struct pn_rdf_options options = { .r_max_A = 6 };
		struct pn_rdf rdf = rdf_of(&model, &surface, &options, 2);

		assert_true(rdf.smooth_A == 0.08);
		kit_near(rdf.first_peak_sigma_A, s * sqrt(2), 0.04 * s * sqrt(2));
		/* longer by 2 s^2/d; as a density per volume, less by 2 (2 s^2)/d */
		kit_near(rdf.first_peak_mean_A, d - 2 * s * s / d, 0.0025);
		assert_true(rdf.first_peak_mean_sd_A > 0.9 * s * sqrt(2) / sqrt(6.0 * 3871));
		assert_true(rdf.first_peak_mean_sd_A < 1.4 * s * sqrt(2) / sqrt(6.0 * 3871));
		kit_near(rdf.first_minimum_A, (d + a_A) / 2, 0.05);
		assert_true(fabs(rdf.second_peak_A - a_A) < 0.03);
		pn_rdf_free(&rdf);
		pn_surface_free(&surface);
		kit_free(&model);
	}
}

/* What a sees of b is what b sees of a, and together it is everything. */
static void elements_add_up(void **state)
{
	(void)state;
	struct kit_model model = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, a_A, 78);
	struct pn_surface surface;
	struct pn_rdf part[2][2], all, of_a;
	double n[2] = { 0, 0 };

	kit_shake(&model, 0.1, 2);
	surface = surface_of(&model, 3);
	for (size_t i = 0; i < model.count; i++) {
		model.element[i] = i % 3 ? 78 : 28;
		n[i % 3 ? 0 : 1]++;
	}
	struct pn_rdf_options options = { .smooth_A = 0.1 };

	all = rdf_of(&model, &surface, &options, 1);
	options.element_a = 28;
	of_a = rdf_of(&model, &surface, &options, 1);
	for (int a = 0; a < 2; a++)
		for (int b = 0; b < 2; b++) {
			options.element_a = a ? 28 : 78;
			options.element_b = b ? 28 : 78;
			part[a][b] = rdf_of(&model, &surface, &options, 1);
			assert_int_equal(part[a][b].element_b, options.element_b);
			assert_true((double)part[a][b].centers == n[a]);
			kit_near(part[a][b].density_A3, (n[b] - (a == b)) / surface.volume_A3,
				 1e-13);
			kit_near(part[a][b].first_peak_A, a_A / sqrt(2), 0.03);
		}
	for (size_t k = 0; k < all.count; k++) {
		double ab = n[0] * part[0][1].pairs_per_A[k];
		double ba = n[1] * part[1][0].pairs_per_A[k], sum = ab + ba;

		kit_near(ab, ba, 1e-11);
		kit_near(part[1][0].pairs_per_A[k] + part[1][1].pairs_per_A[k], of_a.pairs_per_A[k],
			 1e-12);
		for (int a = 0; a < 2; a++)
			sum += n[a] * part[a][a].pairs_per_A[k];
		kit_near(sum / (n[0] + n[1]), all.pairs_per_A[k], 1e-12);
		kit_near((n[0] * part[0][1].shell_A2[k] + n[1] * part[1][0].shell_A2[k]) /
				 (n[0] + n[1]),
			 all.shell_A2[k], 1e-11);
	}
	for (int a = 0; a < 2; a++)
		for (int b = 0; b < 2; b++)
			pn_rdf_free(&part[a][b]);
	pn_rdf_free(&all);
	pn_rdf_free(&of_a);
	pn_surface_free(&surface);
	kit_free(&model);
}

/* Nothing but rounding may differ; 1e-10 for the fit as well. */
static void same(const struct pn_rdf *a, const struct pn_rdf *b)
{
	assert_int_equal(a->count, b->count);
	for (size_t k = 0; k < a->count; k++) {
		kit_near(a->g[k], b->g[k], 1e-10);
		kit_near(a->g_sd[k], b->g_sd[k], 1e-10);
		kit_near(a->pairs_per_A[k], b->pairs_per_A[k], 1e-10);
		kit_near(a->shell_A2[k], b->shell_A2[k], 1e-10);
	}
	kit_near(a->first_peak_A, b->first_peak_A, 1e-10);
	kit_near(a->first_minimum_A, b->first_minimum_A, 1e-10);
	kit_near(a->second_peak_A, b->second_peak_A, 1e-10);
	kit_near(a->second_minimum_A, b->second_minimum_A, 1e-10);
	kit_near(a->first_peak_mean_A, b->first_peak_mean_A, 1e-10);
	kit_near(a->first_peak_height, b->first_peak_height, 1e-10);
	kit_near(a->first_peak_mean_sd_A, b->first_peak_mean_sd_A, 1e-10);
}

static void turned_renumbered_and_shared_out(void **state)
{
	(void)state;
	const struct pn_rdf_options options = { .r_max_A = 7 };

	for (int shaken = 0; shaken < 2; shaken++) {
		struct kit_model model = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 561, a_A, 78);

		kit_shake(&model, 0.1 * shaken, 9);
		struct pn_surface surface = surface_of(&model, 3);
		struct pn_rdf first = rdf_of(&model, &surface, &options, 1);

		for (uint64_t turn = 0; turn < 2; turn++) {
			kit_turn(&model, turn);
			kit_shuffle(&model, turn, NULL);
			struct pn_surface turned = surface_of(&model, 3);
			struct pn_rdf rdf = rdf_of(&model, &turned, &options, 1);

			same(&rdf, &first);
			/* the width of perfect shells is a root of what is left of 0 */
			if (shaken)
				kit_near(rdf.first_peak_sigma_A, first.first_peak_sigma_A, 1e-10);
			for (int threads = 2; threads < 4; threads++) {
				struct pn_rdf other = rdf_of(&model, &turned, &options, threads);

				assert_memory_equal(other.g, rdf.g, rdf.count * sizeof *rdf.g);
				assert_memory_equal(&other.first_peak_A, &rdf.first_peak_A,
						    8 * sizeof(double));
				pn_rdf_free(&other);
			}
			pn_rdf_free(&rdf);
			pn_surface_free(&turned);
		}
		pn_rdf_free(&first);
		pn_surface_free(&surface);
		kit_free(&model);
	}
}

/* Atoms that were traced twice are not the first peak, unless they are all there is. */
static void doubles_are_passed_over(void **state)
{
	(void)state;
	struct kit_model model = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 561, a_A, 78);

	kit_shake(&model, 0.08, 3);
	for (size_t i = 0; i < 20; i++) { /* every tenth at the very same place */
		memcpy(model.position_A[540 + i], model.position_A[i], sizeof(double[3]));
		model.position_A[540 + i][0] += i % 10 ? 0.3 + 0.03 * (double)i : 0;
	}
	struct pn_surface surface = surface_of(&model, 3.2);

	for (int mesh = 0; mesh < 2; mesh++) {
		struct pn_rdf rdf = rdf_of(&model, mesh ? &surface : NULL, NULL, 1);

		assert_true(rdf.g[0] > 1); /* they are in g all the same */
		kit_near(rdf.first_peak_A, a_A / sqrt(2), 0.02);
		kit_near(rdf.first_minimum_A, (a_A + a_A / sqrt(2)) / 2, 0.05);
		pn_rdf_free(&rdf);
	}
	pn_surface_free(&surface);
	kit_free(&model);
}

static void few_atoms(void **state)
{
	(void)state;
	static const double place[6][5][3] = {
		{ { 1, 2, 3 } },
		{ { 1, 2, 3 }, { 1, 2, 5.7 } },
		{ { 0, 0, 0 }, { 2.7, 0, 0 }, { 1.35, 2.7 * 0.866025403784438647, 0 } },
		{ { 0, 0, 0 }, { 2.7, 0, 0 }, { 5.4, 0, 0 }, { 8.1, 0, 0 } },        /* a line */
		{ { 0, 0, 0 }, { 2.7, 0, 0 }, { 0, 2.7, 0 }, { 2.7, 2.7, 0 } },      /* a plane */
		{ { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 }, { 1, 1, 1 } }, /* a place */
	};
	static const uint8_t element[5] = { 78, 78, 78, 78, 78 };
	static const size_t count[6] = { 1, 2, 3, 4, 4, 5 };

	for (int n = 0; n < 6; n++) {
		struct pn_atoms atoms = { place[n], element, count[n] };
		struct pn_surface surface = { .atoms = count[n] };
		struct pn_error err = { 0 };
		struct pn_rdf rdf;
		int shown = n > 0 && n < 5;

		assert_int_equal(pn_rdf_build(&rdf, &atoms, &surface, NULL, 1, &err), PN_OK);
		assert_int_equal(rdf.has_mesh, 0);
		assert_int_equal(isnan(rdf.g[100]), !shown);
		assert_int_equal(isnan(rdf.first_peak_A), !shown);
		if (shown) {
			kit_near(rdf.first_peak_A, 2.7, 0.01);
			kit_near(rdf.first_peak_mean_A, 2.7, 0.01);
		}
		if (n < 3)
			assert_true(isnan(rdf.first_minimum_A));
		pn_rdf_free(&rdf);
	}
}

/* ---- real models --------------------------------------------------------------------------- */

/*
 * Cut-offs of the papers: 3.41 A for platinum, 3.825 and 3.675 for the alloys, 3.688 for glass. The
 * last is from bins of 0.1 A that are named by where they begin (published_curve), so that it is
 * 3.738 of distance.
 */
static void published_minima(void **state)
{
	(void)state;
	static const struct {
		const char *path;
		int pdb;
		double minimum_A, within_A;
	} known[] = {
		{ "models/pt_4d/stage1_docked_ATMS.pdb", 1, 3.41, 0.03 },
		{ "models/pt_4d/stage3_docked_ATMS.pdb", 1, 3.41, 0.05 },
		{ "models/hea/HEA04_1501.xyz", 0, 3.8250, 0.01 },
		{ "models/hea/HEA18_2904.xyz", 0, 3.6750, 0.01 },
		{ "models/mg8/final_MG_18356.xyz", 0, 3.738, 0.02 },
	};

	for (size_t n = 0; n < PN_COUNT(known); n++) {
		const char *path = testkit_data(known[n].path);

		if (!path)
			skip();
		struct kit_model model = published_model(path, known[n].pdb);
		struct pn_surface surface = surface_of(&model, 3);
		struct pn_rdf_options options = { .r_max_A = 8 };
		struct pn_rdf rdf = rdf_of(&model, &surface, &options, 2);

		if (!(fabs(rdf.first_minimum_A - known[n].minimum_A) < known[n].within_A))
			fail_msg("%s: first minimum %.4f", path, rdf.first_minimum_A);
		assert_true(rdf.first_peak_A > 2.7 && rdf.first_peak_A < 3);
		assert_true(rdf.second_peak_A > rdf.first_minimum_A);
		assert_true(rdf.second_minimum_A > rdf.second_peak_A);
		pn_rdf_free(&rdf);
		pn_surface_free(&surface);
		kit_free(&model);
	}
}

/*
 * The glass has a published g(r), as counts and volumes of bins of 0.1 A; its scale is its own.
 * After that, both agree to 0.03 at every distance, of heights from 0 to 1.7.
 */
static void published_curve(void **state)
{
	(void)state;
	enum { FIRST = 18, LAST = 115 };
	const char *path = testkit_data("models/mg8/rdf_all_atoms_published.csv");
	double published[LAST + 1] = { 0 }, product = 0, square = 0;

	if (!path)
		skip();
	size_t bytes;
	char *text = testkit_read(path, &bytes), *save = NULL;
	char *line = strtok_r(text, "\n", &save);

	for (int k = 0; k <= LAST && (line = strtok_r(NULL, "\n", &save)); k++) {
		double r, pairs, volume;

		assert_int_equal(sscanf(line, "%lf,%lf,%lf", &r, &pairs, &volume), 3);
		assert_true(fabs(r - 0.1 * k) < 1e-9);
		published[k] = pairs / volume;
	}
	free(text);
	struct kit_model model = published_model(testkit_data("models/mg8/final_MG_18356.xyz"), 0);
	struct pn_surface surface = surface_of(&model, 2.75);
	/* as wide as a bin, whose standard deviation is 0.1/sqrt(12) */
	struct pn_rdf_options options = { .smooth_A = 0.1 / sqrt(12) };
	struct pn_rdf rdf = rdf_of(&model, &surface, &options, 2);

	assert_int_equal(model.count, 18356);
	for (int k = FIRST; k <= LAST; k++) { /* bin k is around 0.1 k + 0.05 */
		product += published[k] * rdf.g[10 * k + 4];
		square += published[k] * published[k];
	}
	for (int k = FIRST; k <= LAST; k++)
		assert_true(fabs(rdf.g[10 * k + 4] - product / square * published[k]) < 0.03);
	pn_rdf_free(&rdf);
	pn_surface_free(&surface);
	kit_free(&model);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	struct kit_model model = kit_solid(PN_SHAPE_OCTAHEDRON, 19, a_A, 78);
	struct pn_surface surface = surface_of(&model, 3), other = surface, flat = surface;
	struct pn_atoms atoms = kit_view(&model);
	struct pn_error err = { 0 };
	struct pn_rdf rdf;
	static const struct pn_rdf_options bad[] = {
		{ .r_max_A = -1 },
		{ .r_max_A = NAN },
		{ .step_A = -0.01 },
		{ .smooth_A = -1 },
		{ .step_A = 0.1, .smooth_A = 0.05 },
		{ .r_max_A = 1e5 },
		{ .r_max_A = 1e-3 },
		{ .element_a = 28 },
		{ .element_b = 28 },
	};

	for (size_t n = 0; n < PN_COUNT(bad); n++) {
		assert_int_equal(pn_rdf_build(&rdf, &atoms, &surface, &bad[n], 1, &err), PN_EARG);
		pn_rdf_free(&rdf);
	}
	other.atoms = 20;
	flat.volume_A3 = 0;
	assert_int_equal(pn_rdf_build(&rdf, &atoms, &other, NULL, 1, &err), PN_EARG);
	assert_non_null(strstr(err.text, "20"));
	assert_int_equal(pn_rdf_build(&rdf, &atoms, &flat, NULL, 1, &err), PN_EARG);
	assert_int_equal(pn_rdf_build(&rdf, &atoms, NULL, NULL, 0, &err), PN_EARG);
	pn_surface_free(&surface);
	kit_free(&model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(perfect_shells),
		cmocka_unit_test(slow_reference_agrees),
		cmocka_unit_test(mean_over_the_volume_is_one),
		cmocka_unit_test(gas_is_even),
		cmocka_unit_test(width_of_the_first_peak),
		cmocka_unit_test(elements_add_up),
		cmocka_unit_test(turned_renumbered_and_shared_out),
		cmocka_unit_test(doubles_are_passed_over),
		cmocka_unit_test(few_atoms),
		cmocka_unit_test(published_minima),
		cmocka_unit_test(published_curve),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
