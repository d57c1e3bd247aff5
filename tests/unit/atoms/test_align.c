/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A model that was turned, shifted, shaken and etched is laid back onto what it was. */
#include "kit.h"

#include "perrin/atoms/align.h"
#include "perrin/math/linear.h"
#include "perrin/math/rotation.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double a_A = 3.912;

static struct pn_alignment align_with(const struct kit_model *reference,
				      const struct kit_model *moved,
				      const struct pn_align_options *options, int threads)
{
	struct pn_atoms a = kit_view(reference), b = kit_view(moved);
	struct pn_alignment out;
	struct pn_error err = { 0 };

	if (pn_align(&out, &a, &b, options, threads, &err) != PN_OK)
		fail_msg("%s", err.text);
	kit_near(pn_matrix3_determinant((const double(*)[3])out.rotation), 1, 1e-10);
	assert_true(out.pairs <= a.count && out.pairs <= b.count);
	return out;
}

static struct pn_alignment align(const struct kit_model *reference, const struct kit_model *moved)
{
	return align_with(reference, moved, NULL, 1);
}

/* Root mean square distance of the atoms, laid back, from where they were. */
static double error_of(const struct pn_alignment *alignment, const struct kit_model *moved,
		       const struct kit_model *truth)
{
	double(*x)[3] = malloc((moved->count + 1) * sizeof *x), sum = 0;

	pn_align_apply(alignment, (const double(*)[3])moved->position_A, x, moved->count);
	for (size_t i = 0; i < moved->count; i++)
		for (int k = 0; k < 3; k++)
			sum += pow(x[i][k] - truth->position_A[i][k], 2);
	free(x);
	return sqrt(sum / (double)moved->count);
}

/* Take away a part of the atoms at random, and all of those beyond @z_A. */
static void etch(struct kit_model *m, double part, double z_A, uint64_t seed)
{
	struct pn_rng rng;
	size_t kept = 0;

	pn_rng_init(&rng, seed, 9);
	for (size_t i = 0; i < m->count; i++) {
		if (pn_rng_uniform(&rng) < part || m->position_A[i][2] > z_A)
			continue;
		memcpy(m->position_A[kept], m->position_A[i], sizeof *m->position_A);
		m->element[kept++] = m->element[i];
	}
	m->count = kept;
}

/* The same particle twice: each with atoms of its own missing, and noise of its own. */
static void two_times(struct kit_model *reference, struct kit_model *moved,
		      const struct kit_model *m, double part, double z_A, double sigma_A,
		      uint64_t seed)
{
	*reference = kit_copy(m);
	*moved = kit_copy(m);
	etch(reference, part, INFINITY, 2 * seed);
	etch(moved, part, z_A, 2 * seed + 1);
	kit_shake(reference, sigma_A, 2 * seed);
	kit_shake(moved, sigma_A, 2 * seed + 1);
}

/* A particle without symmetry: a sphere cut off differently on three sides, and notched. */
static struct kit_model lopsided(size_t count)
{
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, count, a_A, 78);
	double radius_A = cbrt((double)count * 3 / (4 * M_PI) * a_A * a_A * a_A / 4);
	size_t kept = 0;

	for (size_t i = 0; i < m.count; i++) {
		const double x = m.position_A[i][0] / radius_A, y = m.position_A[i][1] / radius_A;
		const double z = m.position_A[i][2] / radius_A;

		if (x > 0.8 || y < -0.6 || z < -0.35 || (x < 0 && y > 0.3 && z > 0.1))
			continue;
		memcpy(m.position_A[kept++], m.position_A[i], sizeof *m.position_A);
	}
	m.count = kept;
	return m;
}

/* ---- crystals ------------------------------------------------------------------------------ */

/* Any orientation, with 10 % of either model gone: the frame is found to the error of the mean. */
static void etched_crystals_are_laid_back(void **state)
{
	(void)state;
	struct kit_model m = lopsided(700);
	double square = 0;

	for (uint64_t seed = 0; seed < 24; seed++) {
		double sigma_A = seed % 2 ? 0.1 : 0.2;
		struct kit_model reference, truth, moved;

		two_times(&reference, &truth, &m, 0.1, seed % 3 ? INFINITY : 7, sigma_A, seed);
		moved = kit_copy(&truth);
		kit_turn(&moved, seed);
		struct pn_alignment out = align(&reference, &moved);
		double n = (double)out.pairs;

		assert_int_equal(out.origin, PN_ALIGN_FROM_LATTICE);
		assert_int_equal(out.converged, 1);
		/* 90 % of them have a partner, of which noise hides 4 % at 0.2 A */
		assert_true(n > 0.8 * (double)moved.count);
		/* six numbers from 3 n coordinates of variance 2 sigma^2 */
		double error = error_of(&out, &moved, &truth) / (sigma_A * sqrt(2 * 6 / n));

		assert_true(error < 2.5);
		square += error * error;
		assert_true(fabs(out.rmsd_A / (sigma_A * sqrt(6)) - 1) < 0.1);
		assert_true(out.runner_up_pairs < out.pairs && out.runner_up_score < out.score);
		kit_free(&reference);
		kit_free(&truth);
		kit_free(&moved);
	}
	/* 6 degrees of freedom in each of 24 runs */
	assert_true(fabs(square / 24 - 1) < 4 * sqrt(2.0 / (6 * 24)));
	kit_free(&m);
}

/* From each of the 24 wrong orientations, and one lattice vector off, it comes back. */
static void wrong_starts_are_left(void **state)
{
	(void)state;
	static const int order[3][3] = { { 0, 1, 2 }, { 1, 2, 0 }, { 2, 0, 1 } };
	struct kit_model m = lopsided(500), reference, moved, turned;

	two_times(&reference, &moved, &m, 0.05, INFINITY, 0.1, 1);
	turned = kit_copy(&moved);
	for (int p = 0; p < 24; p++) {
		const int sign[3] = { p & 1 ? -1 : 1, p & 2 ? -1 : 1, 0 };
		int odd = p / 4 >= 3;
		double r[3][3] = { { 0 } };

		for (int k = 0; k < 3; k++)
			r[k][order[p / 4 % 3][odd ? 2 - k : k]] = k < 2 ? sign[k] : 1;
		if (pn_matrix3_determinant((const double(*)[3])r) < 0)
			for (int k = 0; k < 3; k++)
				r[2][k] = -r[2][k];
		for (size_t i = 0; i < moved.count; i++) {
			pn_matrix3_apply(turned.position_A[i], (const double(*)[3])r,
					 moved.position_A[i]);
			turned.position_A[i][0] += a_A / 2;
			turned.position_A[i][1] += a_A / 2;
		}
		struct pn_alignment out = align(&reference, &turned);

		assert_true(error_of(&out, &turned, &moved) < 0.05);
		assert_int_equal(out.equals, 0);
	}
	kit_free(&m);
	kit_free(&reference);
	kit_free(&moved);
	kit_free(&turned);
}

/* Atoms that were added far out and all over do not pull. */
static void new_atoms_do_not_pull(void **state)
{
	(void)state;
	struct kit_model m = lopsided(500), gas = kit_gas(60, 25, 78, 3), truth = kit_copy(&m);

	for (size_t i = 0; i < 60; i++)
		memcpy(truth.position_A[i], gas.position_A[i], sizeof *gas.position_A);
	struct kit_model moved = kit_copy(&truth);

	kit_turn(&moved, 5);
	struct pn_alignment out = align(&m, &moved);

	assert_true(out.pairs >= m.count - 60);
	/* a few new ones lie near empty sites by chance and move the answer a little */
	assert_true(error_of(&out, &moved, &truth) < 0.05);
	kit_free(&m);
	kit_free(&gas);
	kit_free(&truth);
	kit_free(&moved);
}

/* Atoms that were traced twice take one partner, the nearer of the two. */
static void duplicates_take_one_partner(void **state)
{
	(void)state;
	struct kit_model m = lopsided(300), twice = lopsided(1000);

	assert_true(twice.count > 2 * m.count);
	twice.count = 2 * m.count;
	for (size_t i = 0; i < m.count; i++)
		for (int k = 0; k < 3; k++) {
			double aside = k || !(i % 2) ? 0 : 0.1;

			twice.position_A[2 * i][k] = m.position_A[i][k] + aside;
			twice.position_A[2 * i + 1][k] = m.position_A[i][k] + (k ? 0 : 0.1) - aside;
		}
	struct pn_align_options options;

	pn_align_defaults(&options);
	options.mode = PN_ALIGN_KEEP;
	struct pn_alignment out = align_with(&m, &twice, &options, 1);

	assert_int_equal(out.pairs, m.count);
	kit_near(out.rmsd_A, 0, 1e-12);
	out = align_with(&twice, &m, &options, 1);
	assert_int_equal(out.pairs, m.count);
	kit_near(out.rmsd_A, 0, 1e-12);
	out = align(&m, &twice);
	assert_int_equal(out.pairs, m.count);
	kit_free(&m);
	kit_free(&twice);
}

/* Half of a dumbbell is gone, and the centroid 8 A away: the shift is found all the same. */
static void large_shifts_are_found(void **state)
{
	(void)state;
	struct kit_model both = kit_solid(PN_SHAPE_SPHERE, 7000, a_A, 78), one = kit_copy(&both);
	size_t kept = 0, kept_one = 0;

	for (size_t i = 0; i < both.count; i++) {
		const double *x = both.position_A[i];
		double y2 = x[1] * x[1] + x[2] * x[2];
		int large = (x[0] + 12) * (x[0] + 12) + y2 < 12 * 12;
		int small = (x[0] - 12) * (x[0] - 12) + y2 < 10 * 10;

		if (large)
			memcpy(one.position_A[kept_one++], x, sizeof *one.position_A);
		if (large || small || (x[0] > -12 && x[0] < 12 && y2 < 9))
			memcpy(both.position_A[kept++], x, sizeof *both.position_A);
	}
	both.count = kept;
	one.count = kept_one;
	kit_turn(&one, 2);
	struct pn_alignment out = align(&both, &one);

	assert_int_equal(out.origin, PN_ALIGN_FROM_LATTICE);
	assert_int_equal(out.pairs, one.count);
	kit_near(out.rmsd_A, 0, 1e-9);
	kit_free(&both);
	kit_free(&one);
}

/* ---- symmetry ------------------------------------------------------------------------------ */

static double turn_angle_rad(const struct pn_alignment *out)
{
	static const double identity[4] = { 1, 0, 0, 0 };
	double q[4];

	pn_quaternion_from_matrix(q, (const double(*)[3])out->rotation);
	return pn_quaternion_angle_rad(identity, q);
}

/* A perfect cuboctahedron: 24 answers, and the one nearest to where it was is taken. */
static void symmetric_particles_tell_so(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, a_A, 78), moved = kit_copy(&m);

	for (uint64_t seed = 0; seed < 6; seed++) {
		kit_turn(&moved, seed);
		struct pn_alignment out = align(&m, &moved);

		assert_int_equal(out.pairs, m.count);
		assert_int_equal(out.equals, 23);
		assert_int_equal(out.runner_up_pairs, m.count);
		kit_near(out.rmsd_A, 0, 1e-9);
		/* no two orientations of a cube are farther apart than this */
		assert_true(turn_angle_rad(&out) < 62.8 * M_PI / 180);
	}
	/* near the start: 30 degrees of turn are taken back, not made up to 90 */
	for (size_t i = 0; i < m.count; i++) {
		const double *x = m.position_A[i];

		moved.position_A[i][0] = cos(0.52) * x[0] - sin(0.52) * x[1];
		moved.position_A[i][1] = sin(0.52) * x[0] + cos(0.52) * x[1];
		moved.position_A[i][2] = x[2];
	}
	struct pn_alignment out = align(&m, &moved);

	kit_near(turn_angle_rad(&out), 0.52, 1e-9);
	kit_near(error_of(&out, &moved, &m), 0, 1e-9);
	/* a start elsewhere is answered there */
	struct pn_align_options options;

	pn_align_defaults(&options);
	const double quarter[3][3] = { { 0, -1, 0 }, { 1, 0, 0 }, { 0, 0, 1 } };

	memcpy(options.start_rotation, quarter, sizeof quarter);
	out = align_with(&m, &m, &options, 1);
	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++)
			kit_near(out.rotation[r][c], quarter[r][c], 1e-9);
	kit_free(&m);
	kit_free(&moved);
}

/* A chiral model and its mirror image do not match; its copy does. */
static void mirror_images_do_not_match(void **state)
{
	(void)state;
	struct kit_model crystal = kit_solid(PN_SHAPE_SPHERE, 500, a_A, 78);
	struct kit_model models[] = { crystal, kit_gas(200, 9.5, 78, 5) };
	size_t kept = 0;

	/* three blocks, different in size, gone from three neighbouring octants */
	for (size_t i = 0; i < crystal.count; i++) {
		const double *x = crystal.position_A[i];

		if ((x[0] > 1 && x[1] > 1 && x[2] > 1) || (x[0] > 1 && x[1] > 5 && x[2] < -1) ||
		    (x[0] > 7 && x[1] < -3))
			continue;
		memcpy(crystal.position_A[kept++], x, sizeof *crystal.position_A);
	}
	models[0].count = kept;
	for (int k = 0; k < 2; k++) {
		struct kit_model moved = kit_copy(&models[k]);

		kit_turn(&moved, 3);
		struct pn_alignment same = align(&models[k], &moved);

		assert_int_equal(same.pairs, moved.count);
		kit_near(same.rmsd_A, 0, 1e-9);
		assert_int_equal(same.equals, 0);
		for (size_t i = 0; i < moved.count; i++)
			moved.position_A[i][0] = -moved.position_A[i][0];
		struct pn_alignment mirror = align(&models[k], &moved);

		assert_true(mirror.pairs < 0.96 * (double)moved.count);
		kit_free(&moved);
		kit_free(&models[k]);
	}
}

/* ---- glasses ------------------------------------------------------------------------------- */

static void glasses_are_laid_back(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 6; seed++) {
		struct kit_model m = kit_gas(400, seed % 2 ? 11.7 : 13, 78, seed);
		struct kit_model reference, truth, moved;

		/* with a cap gone for some: the centroids are then 3 A apart */
		two_times(&reference, &truth, &m, 0.1, seed < 3 ? INFINITY : 5, 0.15, seed);
		moved = kit_copy(&truth);
		kit_turn(&moved, seed);
		struct pn_alignment out = align(&reference, &moved);

		assert_int_equal(out.origin, PN_ALIGN_FROM_SEARCH);
		assert_true(out.pairs > 0.8 * (double)moved.count);
		assert_true(error_of(&out, &moved, &truth) < 0.1);
		assert_int_equal(out.equals, 0);
		assert_true(out.runner_up_pairs < out.pairs / 2);
		kit_free(&m);
		kit_free(&reference);
		kit_free(&truth);
		kit_free(&moved);
	}
}

/* Two models that have nothing to do with each other: an answer, and numbers that say how poor. */
static void strangers_do_not_match(void **state)
{
	(void)state;
	struct kit_model a = kit_gas(200, 9.5, 78, 1), b = kit_gas(200, 9.5, 78, 2);
	struct pn_alignment out = align(&a, &b);

	assert_true(out.pairs < 100);
	assert_true(out.score < 60);
	kit_free(&a);
	kit_free(&b);
}

/* ---- modes --------------------------------------------------------------------------------- */

static void docked_models_are_refined_or_kept(void **state)
{
	(void)state;
	struct kit_model m = lopsided(500), reference, moved;
	struct pn_align_options options;

	two_times(&reference, &moved, &m, 0.1, INFINITY, 0.1, 4);
	/* 1 degree about z, and 0.4 A */
	for (size_t i = 0; i < moved.count; i++) {
		double *x = moved.position_A[i], y = x[1];

		x[1] = y * cos(M_PI / 180) + x[0] * sin(M_PI / 180);
		x[0] = x[0] * cos(M_PI / 180) - y * sin(M_PI / 180) + 0.4;
	}
	pn_align_defaults(&options);
	options.mode = PN_ALIGN_KEEP;
	struct pn_alignment kept = align_with(&reference, &moved, &options, 1);

	assert_int_equal(kept.origin, PN_ALIGN_FROM_START);
	for (int r = 0; r < 3; r++) {
		kit_near(kept.translation_A[r], 0, 0);
		for (int c = 0; c < 3; c++)
			kit_near(kept.rotation[r][c], r == c, 0);
	}
	options.mode = PN_ALIGN_REFINE;
	struct pn_alignment refined = align_with(&reference, &moved, &options, 1);

	assert_int_equal(refined.origin, PN_ALIGN_FROM_START);
	assert_int_equal(refined.runner_up_pairs, 0);
	assert_true(refined.pairs >= kept.pairs && refined.rmsd_A < kept.rmsd_A - 0.1);
	assert_true(fabs(turn_angle_rad(&refined) - M_PI / 180) < 0.1 * M_PI / 180);
	/* the search comes to the same place */
	struct pn_alignment searched = align(&reference, &moved);

	assert_int_equal(searched.pairs, refined.pairs);
	for (int k = 0; k < 3; k++)
		kit_near(searched.translation_A[k], refined.translation_A[k], 1e-9);
	/* kept with a given pose: pairs as counted one by one */
	options.mode = PN_ALIGN_KEEP;
	options.tolerance_A = 0.5;
	memcpy(options.start_rotation, refined.rotation, sizeof refined.rotation);
	memcpy(options.start_translation_A, refined.translation_A, sizeof refined.translation_A);
	kept = align_with(&reference, &moved, &options, 1);
	double(*x)[3] = malloc(moved.count * sizeof *x), sum = 0;
	size_t pairs = 0;

	pn_align_apply(&refined, (const double(*)[3])moved.position_A, x, moved.count);
	for (size_t i = 0; i < moved.count; i++)
		for (size_t j = 0; j < reference.count; j++) {
			double d2 = 0;

			for (int k = 0; k < 3; k++)
				d2 += pow(x[i][k] - reference.position_A[j][k], 2);
			pairs += d2 < 0.25;
			sum += d2 < 0.25 ? d2 : 0;
		}
	assert_int_equal(kept.pairs, pairs);
	kit_near(kept.rmsd_A, sqrt(sum / (double)pairs), 1e-10);
	kit_near(kept.score, (double)pairs - sum / 0.25, 1e-10);
	free(x);
	kit_free(&m);
	kit_free(&reference);
	kit_free(&moved);
}

/* ---- few atoms ----------------------------------------------------------------------------- */

/* No crash, no NaN in the pose; where atoms can be paired they are. */
static void few_atoms_are_laid_together(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 19, a_A, 78);
	struct kit_model line = kit_copy(&m), plane = kit_copy(&m), one_place = kit_copy(&m);

	for (size_t i = 0; i < m.count; i++)
		for (int k = 0; k < 3; k++) {
			line.position_A[i][k] = k ? 1 : 2.7 * (double)i;
			plane.position_A[i][k] =
				k == 2 ? 4 : 2.7 * (double)(k ? i / 4 : i % 4 + i / 8);
			one_place.position_A[i][k] = 7;
		}
	const struct kit_model *models[] = { &m, &line, &plane, &one_place };
	struct pn_align_options options;

	pn_align_defaults(&options);
	options.rotations = 300;

	for (size_t a = 0; a < PN_COUNT(models); a++)
		for (size_t count = 1; count <= m.count; count += count < 4 ? 1 : 5) {
			struct kit_model first = kit_copy(models[a]), moved;

			first.count = count;
			moved = kit_copy(&first);
			kit_turn(&moved, count);
			struct pn_alignment out = align_with(&first, &moved, &options, 1);

			for (int r = 0; r < 3; r++)
				assert_true(isfinite(out.translation_A[r]) &&
					    isfinite(out.rotation[r][0]));
			assert_true(out.pairs >= 1);
			if (models[a] == &m || models[a] == &plane || count == 1)
				assert_int_equal(out.pairs, count);
			for (size_t b = 0; b < PN_COUNT(models); b++)
				align_with(&first, models[b], &options, 1);
			kit_free(&moved);
			kit_free(&first);
		}
	kit_free(&m);
	kit_free(&line);
	kit_free(&plane);
	kit_free(&one_place);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 43, a_A, 78);
	struct pn_atoms atoms = kit_view(&m), none = atoms;
	struct pn_align_options good, o;
	struct pn_alignment out;
	struct pn_error err = { 0 };

	none.count = 0;
	assert_int_equal(pn_align(&out, &atoms, &none, NULL, 1, &err), PN_EARG);
	assert_int_equal(pn_align(&out, &none, &atoms, NULL, 1, &err), PN_EARG);
	assert_non_null(strstr(err.text, "0 and 43 atoms"));
	pn_align_defaults(&good);
#define REFUSED(change)                                                                 \
	do {                                                                            \
		o = good;                                                               \
		o.change;                                                               \
		assert_int_equal(pn_align(&out, &atoms, &atoms, &o, 1, &err), PN_EARG); \
		assert_non_null(strstr(err.text, "align"));                             \
	} while (0)
	REFUSED(tolerance_A = -1);
	REFUSED(tolerance_A = NAN);
	REFUSED(tie = -1);
	REFUSED(near_rad = NAN);
	REFUSED(rotations = 0);
	REFUSED(rounds_max = 0);
	REFUSED(mode = (enum pn_align_mode)7);
	REFUSED(start_rotation[0][0] = -1);
	REFUSED(start_rotation[0][1] = 0.1);
	REFUSED(start_rotation[2][2] = NAN);
	REFUSED(start_translation_A[1] = INFINITY);
#undef REFUSED
	kit_free(&m);
}

/* ---- what must not matter ------------------------------------------------------------------ */

static void numbering_and_threads_do_not_matter(void **state)
{
	(void)state;
	struct kit_model solid = lopsided(500), glass = kit_gas(250, 10.5, 78, 2);
	struct kit_model large = lopsided(6500);
	const struct kit_model *models[] = { &solid, &glass, &large };

	for (size_t k = 0; k < PN_COUNT(models); k++) {
		struct kit_model reference, moved;

		two_times(&reference, &moved, models[k], 0.1, INFINITY, 0.12, 3);
		kit_turn(&moved, 8);
		struct pn_alignment one = align_with(&reference, &moved, NULL, 1);
		struct pn_alignment two = align_with(&reference, &moved, NULL, 2);

		assert_memory_equal(one.rotation, two.rotation, sizeof one.rotation);
		assert_memory_equal(one.translation_A, two.translation_A, sizeof one.translation_A);
		assert_int_equal(one.runner_up_pairs, two.runner_up_pairs);
		kit_shuffle(&reference, 1, NULL);
		kit_shuffle(&moved, 2, NULL);
		two = align(&reference, &moved);
		assert_int_equal(one.pairs, two.pairs);
		assert_int_equal(one.equals, two.equals);
		kit_near(one.rmsd_A, two.rmsd_A, 1e-10);
		kit_near(one.score, two.score, 1e-10);
		for (int r = 0; r < 3; r++)
			for (int c = 0; c < 3; c++)
				kit_near(one.rotation[r][c], two.rotation[r][c], 1e-10);
		/* the answer for a model turned again is the answer turned back */
		kit_turn(&moved, 9);
		two = align(&reference, &moved);
		assert_int_equal(one.pairs, two.pairs);
		kit_near(one.rmsd_A, two.rmsd_A, 1e-10);
		kit_free(&reference);
		kit_free(&moved);
	}
	kit_free(&solid);
	kit_free(&glass);
	kit_free(&large);
}

/* ---- measured models ----------------------------------------------------------------------- */

static struct kit_model read_pdb(const char *path)
{
	size_t bytes;
	char *text = testkit_read(path, &bytes), *save = NULL;
	struct kit_model m = { malloc(bytes), malloc(bytes), 0 };

	for (char *line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		double *x = m.position_A[m.count];

		if (strncmp(line, "ATOM", 4))
			continue;
		assert_int_equal(sscanf(line + 30, "%8lf%8lf%8lf", x, x + 1, x + 2), 3);
		m.element[m.count++] = 78;
	}
	free(text);
	return m;
}

/*
 * Structures I and III of paper 004, docked by their authors through density maps. Their atoms
 * alone do not tell the orientation: several of the 24 pair as many. Knowing it to 15 degrees is
 * enough.
 */
static void published_docking_is_found(void **state)
{
	(void)state;
	const char *path[2] = { testkit_data("models/pt_4d/stage1_docked_ATMS.pdb"),
				testkit_data("models/pt_4d/stage3_docked_ATMS.pdb") };

	if (!path[0] || !path[1])
		skip();
	struct kit_model first = read_pdb(path[0]), third = read_pdb(path[1]);
	struct pn_align_options options;

	pn_align_defaults(&options);
	options.mode = PN_ALIGN_REFINE;
	struct pn_alignment docked = align_with(&first, &third, &options, 1);

	assert_true(turn_angle_rad(&docked) < 0.1 * M_PI / 180);
	assert_true(error_of(&docked, &third, &third) < 0.05);
	options.mode = PN_ALIGN_SEARCH;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct kit_model moved = kit_copy(&third);
		double q[4], turn[3], r[3][3], norm = 0;
		struct pn_rng rng;

		pn_rng_init(&rng, seed, 4);
		for (int k = 0; k < 3; k++) {
			turn[k] = pn_rng_gauss(&rng);
			norm += turn[k] * turn[k];
		}
		for (int k = 0; k < 3; k++)
			turn[k] *= 15 * M_PI / 180 / sqrt(norm);
		pn_quaternion_from_vector(q, turn);
		pn_quaternion_to_matrix(r, q);
		for (size_t i = 0; i < moved.count; i++) {
			pn_matrix3_apply(moved.position_A[i], (const double(*)[3])r,
					 moved.position_A[i]);
			moved.position_A[i][seed % 3] += 30;
		}
		struct pn_alignment out = align_with(&first, &moved, &options, 1);

		assert_int_equal(out.pairs, docked.pairs);
		assert_true(out.equals > 0);
		assert_true(error_of(&out, &moved, &third) < 0.05);
		/* from anywhere: as good an answer, and the warning that there are others */
		kit_turn(&moved, seed);
		out = align_with(&first, &moved, &options, 1);
		assert_true(out.pairs > 215 && out.equals > 0);
		assert_true(out.score > 0.97 * docked.score);
		kit_free(&moved);
	}
	kit_free(&first);
	kit_free(&third);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(etched_crystals_are_laid_back),
		cmocka_unit_test(wrong_starts_are_left),
		cmocka_unit_test(new_atoms_do_not_pull),
		cmocka_unit_test(duplicates_take_one_partner),
		cmocka_unit_test(large_shifts_are_found),
		cmocka_unit_test(symmetric_particles_tell_so),
		cmocka_unit_test(mirror_images_do_not_match),
		cmocka_unit_test(glasses_are_laid_back),
		cmocka_unit_test(strangers_do_not_match),
		cmocka_unit_test(docked_models_are_refined_or_kept),
		cmocka_unit_test(few_atoms_are_laid_together),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(numbering_and_threads_do_not_matter),
		cmocka_unit_test(published_docking_is_found),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
