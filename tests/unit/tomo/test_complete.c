/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Atoms that are missing are found, those that are not there go, whatever the start. */
#include "perrin/tomo/complete.h"

#include "model_kit.h"
#include "testkit.h"

#include <omp.h>
#include <stdlib.h>

enum { ATOMS = 40, TILTS = 19, N = 64 };

static const struct pn_box box = { N, N, N };

struct scene {
	double position_A[ATOMS][3], start_A[ATOMS][3];
	uint8_t species[ATOMS], start_species[ATOMS];
	struct pn_pose pose[TILTS];
	float image[TILTS * N * N];
	struct pn_linear_model truth, model;
	struct pn_projections measured;
};

/* Two species, Poisson counts; the start lacks every third atom and has four that are not there. */
static void scene_init(struct scene *s, double counts)
{
	const double nowhere_A[4][3] = {
		{ 9, 0, 0 }, { -9, 1, 0 }, { 0, 9, 0.5 }, { 0, -9, -0.5 }
	};
	struct pn_rng rng;
	size_t n = 0;

	pn_rng_init(&rng, 21, 0);
	kit_ball(s->position_A, s->species, ATOMS, 7.0, 2.6, 2, 8);
	kit_tilts(s->pose, TILTS, 72);
	s->truth = (struct pn_linear_model){ .count = ATOMS,
					     .position_A = s->position_A,
					     .species = s->species,
					     .species_count = 2,
					     .pixel_A = 0.35,
					     .integrate = 1 };
	pn_atom_spot_gauss(&s->truth.spot[0], counts, 20);
	pn_atom_spot_gauss(&s->truth.spot[1], 2.2 * counts, 24);
	assert_int_equal(pn_linear_model_project(&s->truth, s->pose, TILTS, N, N, s->image, NULL),
			 PN_OK);
	for (int i = 0; i < TILTS * N * N; i++)
		s->image[i] = (float)pn_rng_poisson(&rng, (double)s->image[i]);
	for (size_t a = 0; a < ATOMS; a++) {
		if (a % 3 == 0)
			continue;
		for (int k = 0; k < 3; k++)
			s->start_A[n][k] = s->position_A[a][k] + 0.15 * pn_rng_gauss(&rng);
		s->start_species[n++] = s->species[a];
	}
	for (size_t a = 0; a < 4; a++, n++) {
		memcpy(s->start_A[n], nowhere_A[a], sizeof nowhere_A[a]);
		s->start_species[n] = (uint8_t)(a % 2);
	}
	s->model = s->truth;
	s->model.count = n;
	s->model.position_A = s->start_A;
	s->model.species = s->start_species;
	pn_atom_spot_gauss(&s->model.spot[0], 0.8 * counts, 26);
	pn_atom_spot_gauss(&s->model.spot[1], 2.0 * counts, 26);
	s->measured = (struct pn_projections){
		.count = TILTS, .ny = N, .nx = N, .image = s->image, .pose = s->pose
	};
}

static void params_init(struct pn_complete_params *params)
{
	pn_complete_defaults(params);
	params->fit.noise = PN_MODEL_POISSON;
}

static void test_completes(void **state)
{
	static struct scene s;
	struct pn_complete_params params;
	struct pn_completed c;
	struct pn_error err = { 0 };
	double squares = 0;

	(void)state;
	scene_init(&s, 120);
	params_init(&params);
	assert_int_equal(pn_complete_model(&c, &s.model, &s.measured, NULL, &box, &params, &err),
			 PN_OK);
	assert_int_equal(c.count, ATOMS);
	assert_int_equal(c.removed, 4);
	assert_int_equal(c.added, (ATOMS + 2) / 3);
	for (size_t i = 0; i < ATOMS; i++) {
		double least2 = INFINITY;
		size_t partner = 0;

		for (size_t a = 0; a < ATOMS; a++) {
			double d2 = 0;

			for (int k = 0; k < 3; k++)
				d2 += pow(c.position_A[i][k] - s.position_A[a][k], 2);
			if (d2 < least2) {
				least2 = d2;
				partner = a;
			}
		}
		assert_int_equal(c.species[i], s.species[partner]);
		assert_true(c.amplitude[i] > 0.7 && c.amplitude[i] < 1.3);
		squares += least2;
	}
	assert_true(100 * sqrt(squares / ATOMS) < 5); /* pm; the counts bear 3 */
	assert_true(fabs(s.model.spot[1].intensity[0] / (2.2 * 120) - 1) < 0.03);
	pn_completed_free(&c);
}

/* Noise alone makes no atoms: at a tenth of the counts none is false. */
static void test_faint(void **state)
{
	static struct scene s;
	struct pn_complete_params params;
	struct pn_completed c;

	(void)state;
	scene_init(&s, 12);
	params_init(&params);
	assert_int_equal(pn_complete_model(&c, &s.model, &s.measured, NULL, &box, &params, NULL),
			 PN_OK);
	for (size_t i = 0; i < c.count; i++) {
		double least2 = INFINITY;

		for (size_t a = 0; a < ATOMS; a++) {
			double d2 = 0;

			for (int k = 0; k < 3; k++)
				d2 += pow(c.position_A[i][k] - s.position_A[a][k], 2);
			least2 = fmin(least2, d2);
		}
		assert_true(least2 < 1);
	}
	assert_true(c.count > 36);
	pn_completed_free(&c);
}

static void test_threads(void **state)
{
	static struct scene s;
	struct pn_complete_params params;
	struct pn_completed a, b;
	int threads = omp_get_max_threads();

	(void)state;
	params_init(&params);
	params.rounds_max = 2;
	omp_set_num_threads(1);
	scene_init(&s, 60);
	assert_int_equal(pn_complete_model(&a, &s.model, &s.measured, NULL, &box, &params, NULL),
			 PN_OK);
	omp_set_num_threads(3);
	scene_init(&s, 60);
	assert_int_equal(pn_complete_model(&b, &s.model, &s.measured, NULL, &box, &params, NULL),
			 PN_OK);
	omp_set_num_threads(threads);
	assert_int_equal(a.count, b.count);
	assert_memory_equal(a.position_A, b.position_A, a.count * sizeof a.position_A[0]);
	pn_completed_free(&a);
	pn_completed_free(&b);
}

static void test_refused(void **state)
{
	static struct scene s;
	struct pn_complete_params params;
	struct pn_completed c;
	struct pn_box thin = { 2, N, N };
	struct pn_error err = { 0 };

	(void)state;
	scene_init(&s, 60);
	params_init(&params);
	assert_int_equal(pn_complete_model(&c, &s.model, &s.measured, NULL, &thin, &params, &err),
			 PN_EARG);
	params.amplitude_min = 1;
	assert_int_equal(pn_complete_model(&c, &s.model, &s.measured, NULL, &box, &params, &err),
			 PN_EARG);
	params_init(&params);
	s.image[3 * N * N + 7] = NAN;
	assert_int_equal(pn_complete_model(&c, &s.model, &s.measured, NULL, &box, &params, &err),
			 PN_EARG);
	assert_null(c.position_A);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_completes),
		cmocka_unit_test(test_faint),
		cmocka_unit_test(test_threads),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
