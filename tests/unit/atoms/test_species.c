/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Species of atoms: k-means against all ways to cut, groups, local means against the missing wedge.
 */
#include "perrin/atoms/species.h"

#include "trace_kit.h"

static double spread_of(const double *sorted, size_t from, size_t to)
{
	double mean = 0, sum = 0;

	for (size_t i = from; i < to; i++)
		mean += sorted[i] / (double)(to - from);
	for (size_t i = from; i < to; i++)
		sum += (sorted[i] - mean) * (sorted[i] - mean);
	return sum;
}

/* The least sum over all places of the cuts, one after the other. */
static double least_of_all(const double *sorted, size_t from, size_t count, int classes)
{
	double least = INFINITY;

	if (classes == 1)
		return spread_of(sorted, from, count);
	for (size_t cut = from + 1; cut + (size_t)classes - 1 <= count; cut++)
		least = fmin(least, spread_of(sorted, from, cut) +
					    least_of_all(sorted, cut, count, classes - 1));
	return least;
}

static int compare_double(const void *a, const void *b)
{
	double s = *(const double *)a, t = *(const double *)b;

	return (s > t) - (s < t);
}

static void kmeans_is_the_least(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 30; seed++) {
		double value[24], sorted[24], mean[PN_SPECIES_MAX], within;
		int32_t class_of[24];
		struct pn_rng rng;
		int classes = 1 + (int)(seed % 4);

		pn_rng_init(&rng, seed, 0);
		for (int i = 0; i < 24; i++) /* also with ties, and far from 0 */
			value[i] = sorted[i] =
				1e6 * (double)(seed % 3) +
				(seed % 2 ? pn_rng_gauss(&rng) : (double)pn_rng_below(&rng, 9));
		qsort(sorted, 24, sizeof *sorted, compare_double);
		assert_int_equal(pn_kmeans_1d(class_of, mean, value, 24, classes, &within, NULL),
				 PN_OK);
		kit_near(within, least_of_all(sorted, 0, 24, classes), 1e-9);
		for (int i = 0; i < 24; i++)
			for (int j = 0; j < 24; j++) {
				if (value[i] < value[j])
					assert_true(class_of[i] <= class_of[j]);
				if (value[i] == value[j])
					assert_int_equal(class_of[i], class_of[j]);
			}
		for (int c = 1; c < classes; c++)
			assert_true(mean[c] > mean[c - 1]);
	}
}

static void kmeans_of_little(void **state)
{
	double same[5] = { 7, 7, 7, 7, 7 }, bad[2] = { 1, NAN }, mean[4], within = -1;
	int32_t class_of[5];

	(void)state;
	assert_int_equal(pn_kmeans_1d(class_of, mean, same, 5, 3, &within, NULL), PN_OK);
	assert_true(within == 0 && mean[0] == 7 && isnan(mean[1]) && isnan(mean[2]));
	for (int i = 0; i < 5; i++)
		assert_int_equal(class_of[i], 0);
	assert_int_equal(pn_kmeans_1d(class_of, mean, bad, 2, 1, NULL, NULL), PN_EARG);
	assert_int_equal(pn_kmeans_1d(class_of, mean, same, 0, 1, NULL, NULL), PN_EARG);
	assert_int_equal(pn_kmeans_1d(class_of, mean, same, 5, 0, NULL, NULL), PN_EARG);
	assert_int_equal(pn_kmeans_1d(class_of, mean, same, 5, PN_SPECIES_MAX + 1, NULL, NULL),
			 PN_EARG);
}

/* Three classes, the lowest no atoms; confidence falls towards the cuts. */
static void classes_with_no_atoms(void **state)
{
	enum { N = 900 };
	double value[N], confidence[N];
	int32_t species[N];
	struct pn_rng rng;
	size_t wrong = 0;

	(void)state;
	pn_rng_init(&rng, 5, 0);
	for (int i = 0; i < N; i++)
		value[i] = 10 * (1 + i % 3) + pn_rng_gauss(&rng);
	assert_int_equal(pn_species_classify(species, confidence, value, N, 2, 1, NULL, NULL),
			 PN_OK);
	for (int i = 0; i < N; i++) {
		wrong += species[i] != i % 3 - 1;
		assert_true(confidence[i] > 0 && confidence[i] <= 1);
		if (fabs(value[i] - 10 * (1 + i % 3)) < 2)
			assert_true(confidence[i] > 0.99);
	}
	assert_int_equal(wrong, 0);
	for (int i = 0; i < N; i++)
		value[i] = 3;
	struct pn_error err = { 0 };

	assert_int_equal(pn_species_classify(species, NULL, value, N, 2, 0, NULL, &err), PN_EARG);
	assert_non_null(strstr(err.text, "different"));
	assert_int_equal(pn_species_classify(species, NULL, value, N, 0, 0, NULL, &err), PN_EARG);
	assert_int_equal(
		pn_species_classify(species, NULL, value, N, PN_SPECIES_MAX, 1, NULL, &err),
		PN_EARG);
}

/* Surface atoms at 0.55 of their intensity: heavy ones look light, unless they are apart. */
static void surface_apart(void **state)
{
	enum { N = 1000 };
	double value[N];
	int32_t species[N];
	uint8_t surface[N];
	struct pn_rng rng;
	size_t together = 0, apart = 0;

	(void)state;
	pn_rng_init(&rng, 6, 0);
	for (int i = 0; i < N; i++) {
		surface[i] = i % 4 == 0;
		value[i] =
			(i % 5 < 2 ? 100 : 60) * (surface[i] ? 0.55 : 1) + 2 * pn_rng_gauss(&rng);
	}
	assert_int_equal(pn_species_classify(species, NULL, value, N, 2, 0, NULL, NULL), PN_OK);
	for (int i = 0; i < N; i++)
		together += species[i] != (i % 5 < 2);
	assert_int_equal(pn_species_classify(species, NULL, value, N, 2, 0, surface, NULL), PN_OK);
	for (int i = 0; i < N; i++)
		apart += species[i] != (i % 5 < 2);
	print_message("wrong: %zu together, %zu apart\n", together, apart);
	assert_true(together > 80);
	assert_int_equal(apart, 0);
	/* a group of three is too small for classes of its own */
	memset(surface, 0, sizeof surface);
	surface[0] = surface[1] = surface[2] = 9;
	assert_int_equal(pn_species_classify(species, NULL, value, N, 2, 0, surface, NULL), PN_OK);
}

/* Intensities that fade across the particle to half: global classes fail, local ones do not. Also
 * by vectors, whatever the number of threads. */
static void local_means_follow_the_fading(void **state)
{
	struct known k = known_scatter(80, 80, 80, 0.4, 600, 2.3, 2, 31);
	int32_t species[600], two[600];
	double value[600], confidence[600], place[600][3];
	float one[600], vector[600][3];
	struct pn_rng rng;
	size_t before = 0, after = 0, doubt = 0;
	int rounds;

	(void)state;
	pn_rng_init(&rng, 32, 0);
	for (size_t i = 0; i < 600; i++) {
		double fade = 1 - 0.5 * k.at[i][2] / 80;

		value[i] = (i % 3 ? 60 : 100) * fade + 2.5 * pn_rng_gauss(&rng);
		one[i] = (float)value[i];
		vector[i][0] = (float)(0.5 * value[i]);
		vector[i][1] = (float)value[i];
		vector[i][2] = 5;
		for (int a = 0; a < 3; a++)
			place[i][a] = k.at[i][a] * 0.4;
	}
	assert_int_equal(pn_species_classify(species, NULL, value, 600, 2, 0, NULL, NULL), PN_OK);
	memcpy(two, species, sizeof two);
	for (size_t i = 0; i < 600; i++)
		before += species[i] != (i % 3 == 0);
	assert_int_equal(pn_species_local(species, confidence, &rounds, one, 1,
					  (const double(*)[3])place, 600, 2, NULL, 1, NULL),
			 PN_OK);
	for (size_t i = 0; i < 600; i++) {
		after += species[i] != (i % 3 == 0);
		doubt += species[i] != (i % 3 == 0) && confidence[i] < 0.9;
		assert_true(confidence[i] >= 0.5 && confidence[i] <= 1);
	}
	print_message("wrong: %zu before, %zu after %d rounds\n", before, after, rounds);
	assert_true(before > 40);
	assert_true(after <= 6);
	assert_true(doubt >= after / 2);
	double other[600];

	assert_int_equal(pn_species_local(two, other, NULL, vector[0], 3, (const double(*)[3])place,
					  600, 2, NULL, 2, NULL),
			 PN_OK);
	assert_memory_equal(two, species, sizeof two);
	known_free(&k);
}

/* By the definition, one round from a random state, with atoms that are none. */
static void one_round_is_its_definition(void **state)
{
	enum { N = 120 };
	struct known k = known_scatter(40, 40, 40, 0.4, N, 2, 1, 33);
	struct pn_species_options o = { 4, 1 };
	int32_t species[N], before[N];
	double place[N][3];
	float value[N];
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 34, 0);
	for (int i = 0; i < N; i++) {
		value[i] = (float)pn_rng_uniform(&rng);
		before[i] = species[i] = (int)pn_rng_below(&rng, 4) - 1;
		for (int a = 0; a < 3; a++)
			place[i][a] = k.at[i][a] * 0.4;
	}
	assert_int_equal(pn_species_local(species, NULL, NULL, value, 1, (const double(*)[3])place,
					  N, 3, &o, 2, NULL),
			 PN_OK);
	for (int i = 0; i < N; i++) {
		double sum[3] = { 0 }, count[3] = { 0 }, least = INFINITY;
		int best = before[i], kinds = 0;

		for (int j = 0; j < N; j++) {
			double r2 = 0;

			for (int a = 0; a < 3; a++)
				r2 += (place[i][a] - place[j][a]) * (place[i][a] - place[j][a]);
			if (j == i || r2 >= 16 || before[j] < 0)
				continue;
			sum[before[j]] += value[j];
			count[before[j]]++;
		}
		for (int s = 0; s < 3; s++)
			kinds += count[s] > 0;
		for (int s = 0; s < 3 && before[i] >= 0 && kinds > 1; s++)
			if (count[s] > 0 && fabs(value[i] - sum[s] / count[s]) < least) {
				least = fabs(value[i] - sum[s] / count[s]);
				best = s;
			}
		assert_int_equal(species[i], best);
	}
	known_free(&k);
}

static void local_refuses_nonsense(void **state)
{
	static const double place[2][3] = { { 0, 0, 0 }, { 2, 0, 0 } };
	int32_t species[2] = { 0, 1 };
	float value[2] = { 1, 2 }, bad[2] = { 1, NAN };
	double confidence[2];
	struct pn_species_options o = { -1, 5 };

	(void)state;
	assert_int_equal(pn_species_local(species, NULL, NULL, bad, 1, place, 2, 2, NULL, 1, NULL),
			 PN_EARG);
	assert_int_equal(
		pn_species_local(species, NULL, NULL, value, 1, place, 2, 1, NULL, 1, NULL),
		PN_EARG);
	assert_int_equal(pn_species_local(species, NULL, NULL, value, 1, place, 2, 2, &o, 1, NULL),
			 PN_EARG);
	/* each has only the other in reach: nothing to choose from */
	assert_int_equal(
		pn_species_local(species, confidence, NULL, value, 1, place, 2, 2, NULL, 1, NULL),
		PN_OK);
	assert_true(species[0] == 0 && species[1] == 1 && confidence[0] == 1);
}

static void outside_of_the_mask(void **state)
{
	uint8_t mask[4 * 4 * 4] = { 0 };
	static const double place[4][3] = {
		{ 0, 0, 0 }, { 0.49, 0, 0 }, { 0.51, 0, 0 }, { -9, 0, 0 }
	};
	int32_t species[4] = { 1, 0, 1, PN_SPECIES_NONE };

	(void)state;
	mask[(2 * 4 + 2) * 4 + 2] = 1;
	assert_int_equal(pn_species_outside(species, place, 4, mask, 4, 4, 4, 1), 1);
	assert_true(species[0] == 1 && species[1] == 0 && species[2] == PN_SPECIES_NONE &&
		    species[3] == PN_SPECIES_NONE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kmeans_is_the_least),
		cmocka_unit_test(kmeans_of_little),
		cmocka_unit_test(classes_with_no_atoms),
		cmocka_unit_test(surface_apart),
		cmocka_unit_test(local_means_follow_the_fading),
		cmocka_unit_test(one_round_is_its_definition),
		cmocka_unit_test(local_refuses_nonsense),
		cmocka_unit_test(outside_of_the_mask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
