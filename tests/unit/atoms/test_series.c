/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kit.h"
#include "perrin/atoms/series.h"
#include "perrin/base/rng.h"
#include "perrin/format/model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct pn_series build(const struct kit_model *models, const double *time_s, size_t count,
			      const struct pn_series_options *options)
{
	struct pn_atoms views[8];
	struct pn_error err = { 0 };
	struct pn_series s;

	for (size_t m = 0; m < count; m++)
		views[m] = kit_view(&models[m]);
	if (pn_series_build(&s, views, time_s, count, options, 1, &err))
		fail_msg("%s", err.text);
	return s;
}

/* ---- synthetic pairs ----------------------------------------------------------------------- */

enum { REMOVED = 41, ADDED = 17, SWAPPED = 29 };

/* Atoms 0 .. REMOVED-1 go, SWAPPED others change species, ADDED come to fcc sites off the surface.
 */
static struct kit_model changed(const struct kit_model *model, double sigma_A, uint64_t seed)
{
	const double a_A = 3.912;
	struct kit_model copy = { malloc((model->count + ADDED) * sizeof *copy.position_A),
				  malloc(model->count + ADDED), model->count - REMOVED };
	double farthest = 0;

	assert_non_null(copy.position_A);
	assert_non_null(copy.element);
	memcpy(copy.position_A, model->position_A + REMOVED, copy.count * sizeof *copy.position_A);
	memcpy(copy.element, model->element + REMOVED, copy.count);
	for (int k = 0; k < SWAPPED; k++)
		copy.element[100 + 13 * k] = 28;
	kit_shake(&copy, sigma_A, seed);
	for (size_t i = 0; i < model->count; i++)
		farthest = fmax(farthest, model->position_A[i][2]);
	for (int k = 0; k < ADDED; k++) {
		double *p = copy.position_A[copy.count];

		/* a patch on the top {100} facet, one layer above it */
		p[0] = a_A * (k % 5 - 2) * 0.5 + a_A * (k / 5 - 2) * 0.5;
		p[1] = a_A * (k % 5 - 2) * 0.5 - a_A * (k / 5 - 2) * 0.5;
		p[2] = farthest + a_A / 2;
		copy.element[copy.count++] = 78;
	}
	return copy;
}

static void changes_are_found_again(void **state)
{
	struct kit_model pair[2] = { kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 4033, 3.912, 78) };
	const double time_s[] = { 1, 6 }, sigma_A = 0.15;

	(void)state;
	kit_shuffle(&pair[0], 31, NULL);
	pair[1] = changed(&pair[0], sigma_A, 32);
	for (int turn = 0; turn < 2; turn++) {
		if (turn) { /* and in any order, in any frame */
			kit_shuffle(&pair[0], 33, NULL);
			kit_shuffle(&pair[1], 34, NULL);
			kit_turn(&pair[1], 35);
		}
		struct pn_series s = build(pair, time_s, 2, NULL);
		const struct pn_pairing *p = &s.step[0].pairing;

		assert_int_equal(p->fates[PN_FATE_DISAPPEARED], REMOVED);
		assert_int_equal(p->fates[PN_FATE_NEW], ADDED);
		assert_int_equal(p->fates[PN_FATE_INCONSISTENT], SWAPPED);
		assert_int_equal(p->fates[PN_FATE_MOVED], 0);
		assert_int_equal(p->fates[PN_FATE_CONSISTENT], pair[0].count - REMOVED - SWAPPED);
		assert_true(fabs(p->rmsd_A / (sigma_A * sqrt(3)) - 1) < 0.02);
		kit_near(s.etch.b, ((double)ADDED - REMOVED) / 5, 1e-9);
		pn_series_free(&s);
	}
	kit_free(&pair[0]);
	kit_free(&pair[1]);
}

static void unchanged_is_unchanged(void **state)
{
	struct kit_model one = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, 3.912, 78);
	struct kit_model models[3] = { one, one, one };
	const double time_s[] = { NAN, NAN, NAN };
	struct pn_series s = build(models, time_s, 3, NULL);

	(void)state;
	for (int k = 0; k < 2; k++) {
		assert_int_equal(s.step[k].pairing.fates[PN_FATE_CONSISTENT], 309);
		assert_true(s.step[k].pairing.rmsd_A < 1e-9);
	}
	assert_false(s.has_times);
	assert_false(s.has_etch);
	assert_false(s.has_disorder);
	assert_false(s.diffusion[0].has_fick);
	assert_true(s.diffusion[0].why[0] && s.disorder_why[0]);
	pn_series_free(&s);
	kit_free(&one);
}

/* ---- limits of the first model ------------------------------------------------------------- */

static void first_model_sets_the_limits(void **state)
{
	struct kit_model models[2] = { kit_solid(PN_SHAPE_SPHERE, 900, 3.912, 78),
				       kit_solid(PN_SHAPE_SPHERE, 700, 3.912, 78) };
	const double time_s[] = { 0, 1 };

	(void)state;
	kit_shake(&models[0], 0.1, 41);
	kit_shake(&models[1], 0.2, 42);
	struct pn_series s = build(models, time_s, 2, NULL);

	assert_true(s.analysis[1].figures.cutoff_A == s.analysis[0].figures.cutoff_A);
	assert_true(s.analysis[1].figures.alpha_A == s.analysis[0].figures.alpha_A);
	assert_memory_equal(s.analysis[1].rotation, s.analysis[0].rotation,
			    sizeof s.analysis[0].rotation);
	kit_near(s.tolerance_A, s.analysis[0].figures.cutoff_A / 2, 1e-15);
	pn_series_free(&s);
	kit_free(&models[0]);
	kit_free(&models[1]);
}

/* ---- diffusion ----------------------------------------------------------------------------- */

/*
 * A large particle whose species are drawn at random from C(depth) = erfc((depth - 12) / w) / 2: a
 * shell that spreads. Its layers are nearly flat so near to the surface.
 */
static void shell_that_spreads(void **state)
{
	const double time_s[] = { 0, 3600, 7200 }, D_A2_per_s = 2e-3;
	struct kit_model models[3];
	struct pn_rng rng;
	struct pn_series_options options;

	(void)state;
	pn_rng_init(&rng, 51, 0);
	models[0] = kit_solid(PN_SHAPE_SPHERE, 9000, 3.9, 46);
	models[1] = kit_copy(&models[0]);
	models[2] = kit_copy(&models[0]);
	double radius_A = 0;

	for (size_t i = 0; i < models[0].count; i++) {
		const double *p = models[0].position_A[i];

		radius_A = fmax(radius_A, sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]));
	}
	for (int m = 0; m < 3; m++)
		for (size_t i = 0; i < models[m].count; i++) {
			const double *p = models[m].position_A[i];
			double depth = radius_A - sqrt(p[0] * p[0] + p[1] * p[1] + p[2] * p[2]);
			double w = sqrt(16 + 4 * D_A2_per_s * time_s[m]);

			if (pn_rng_uniform(&rng) < 0.5 * erfc((depth - 10) / w))
				models[m].element[i] = 77;
		}
	pn_series_defaults(&options);
	options.interface_A = 30;
	options.align = PN_ALIGN_KEEP;
	struct pn_series s = build(models, time_s, 3, &options);
	const struct pn_series_diffusion *pd = &s.diffusion[0], *ir = &s.diffusion[1];

	assert_int_equal(s.species.count, 2);
	assert_true(pd->has_fick && pd->has_erfc && ir->has_fick);
	/* the truth within three standard deviations, which are small enough to mean something */
	assert_true(ir->fick.uncertainty_m2_per_s < 0.3 * D_A2_per_s * 1e-20);
	assert_true(fabs(ir->fick.D_m2_per_s - D_A2_per_s * 1e-20) <
		    3 * ir->fick.uncertainty_m2_per_s + 0.1 * D_A2_per_s * 1e-20);
	/* the two species are each other's complement */
	kit_near(pd->fick.D_m2_per_s / ir->fick.D_m2_per_s, 1, 1e-6);
	pn_series_free(&s);
	for (int m = 0; m < 3; m++)
		kit_free(&models[m]);
}

/* ---- bad input ----------------------------------------------------------------------------- */

static void what_cannot_be_a_series_is_told(void **state)
{
	struct kit_model one = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 55, 3.912, 78);
	struct pn_atoms views[2] = { kit_view(&one), kit_view(&one) };
	const double backwards[] = { 5, 3 }, time_s[] = { 0, 1 };
	struct pn_error err = { 0 };
	struct pn_series s;

	(void)state;
	assert_int_equal(pn_series_build(&s, views, backwards, 2, NULL, 1, &err), PN_EARG);
	assert_non_null(strstr(err.text, "model 2 is of 3 s"));
	assert_int_equal(pn_series_build(&s, views, time_s, 0, NULL, 1, &err), PN_EARG);
	views[1].count = 1; /* one atom is a model: all but one have disappeared */
	assert_int_equal(pn_series_build(&s, views, time_s, 2, NULL, 1, &err), PN_OK);
	assert_int_equal(s.step[0].pairing.fates[PN_FATE_DISAPPEARED], 54);
	pn_series_free(&s);
	kit_free(&one);
}

/* ---- real models --------------------------------------------------------------------------- */

static struct kit_model read_model(const char *path)
{
	struct pn_model *models;
	struct pn_error err = { 0 };
	size_t frames;

	if (pn_model_open(&models, &frames, path, &err))
		fail_msg("%s", err.text);
	struct kit_model view = { models->position_A, models->element, models->count };
	struct kit_model copy = kit_copy(&view);

	pn_models_free(models, frames);
	return copy;
}

/* Structures I and III of paper 004, docked: the same counts in any order of the atoms. */
static void published_platinum_crystals(void **state)
{
	const char *first = testkit_data("models/pt_4d/stage1_docked_ATMS.pdb");
	const char *third = testkit_data("models/pt_4d/stage3_docked_ATMS.pdb");
	const double time_s[] = { 2.56, 16 };
	struct pn_series_options options;
	struct kit_model pair[2];

	(void)state;
	if (!first || !third)
		skip();
	pair[0] = read_model(first);
	pair[1] = read_model(third);
	pn_series_defaults(&options);
	options.align = PN_ALIGN_KEEP;
	options.tolerance_A = 1.67;
	options.moved_A = 2.77;
	for (uint64_t turn = 0; turn < 5; turn++) {
		struct pn_series s = build(pair, time_s, 2, &options);
		const size_t *fates = s.step[0].pairing.fates;

		assert_int_equal(fates[PN_FATE_CONSISTENT], 227);
		assert_int_equal(fates[PN_FATE_MOVED], 4);
		assert_int_equal(fates[PN_FATE_DISAPPEARED], 83);
		assert_int_equal(fates[PN_FATE_NEW], 2);
		assert_true(fabs(-s.etch.b - 81 / 13.44) < 1e-9); /* 5..9 atoms/s in the paper */
		pn_series_free(&s);
		kit_shuffle(&pair[0], 60 + turn, NULL);
		kit_shuffle(&pair[1], 70 + turn, NULL);
	}
	kit_free(&pair[0]);
	kit_free(&pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_found_again),
		cmocka_unit_test(unchanged_is_unchanged),
		cmocka_unit_test(first_model_sets_the_limits),
		cmocka_unit_test(shell_that_spreads),
		cmocka_unit_test(what_cannot_be_a_series_is_told),
		cmocka_unit_test(published_platinum_crystals),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
