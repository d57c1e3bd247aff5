/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Segments end where size or score change, and not by chance. */
#include "perrin/orient/segment.h"

#include "perrin/base/rng.h"
#include "testkit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct pn_segment_params usual(void)
{
	struct pn_segment_params p;

	pn_params_default(pn_segment_param_table, &p);
	return p;
}

/* 100,000 images of a structure that holds still: no end. */
static void test_no_false_alarm(void **state)
{
	struct pn_segment_params p = usual();
	struct pn_segmenter s = { 0 };
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 1, 0);
	for (int n = 0; n < 100000; n++)
		assert_int_equal(pn_segment_image(&s, &p, 0.4 + 0.05 * pn_rng_gauss(&rng),
						  (uint64_t)n / 5000, 20 + 2 * pn_rng_gauss(&rng)),
				 PN_SEGMENT_GOES_ON);
}

/* Neighbors are alike: an autoregressive walk of 20 images' memory, and still no false alarm within
 * the life of a map. */
static void test_alike(void **state)
{
	struct pn_segment_params p = usual();
	struct pn_rng rng;
	int alarms = 0;

	(void)state;
	pn_rng_init(&rng, 8, 0);
	for (int run = 0; run < 200; run++) {
		struct pn_segmenter s = { 0 };
		double x = 0;

		for (int n = 0; n < 1500; n++) {
			x = 0.95 * x + sqrt(1 - 0.95 * 0.95) * pn_rng_gauss(&rng);
			alarms += pn_segment_image(&s, &p, 0.4 + 0.05 * x, 1, (double)NAN) !=
				  PN_SEGMENT_GOES_ON;
		}
	}
	assert_true(alarms <= 10);
}

/* A fall of the scores by 1.5 standard deviations is seen within 150 images. */
static void test_score(void **state)
{
	struct pn_segment_params p = usual();
	struct pn_rng rng;

	(void)state;
	for (uint64_t seed = 0; seed < 20; seed++) {
		struct pn_segmenter s = { 0 };
		int seen = 0;

		pn_rng_init(&rng, seed, 2);
		for (int n = 0; n < 1000 && !seen; n++) {
			double low = n >= 800 ? 0.075 : 0;

			if (pn_segment_image(&s, &p, 0.4 - low + 0.05 * pn_rng_gauss(&rng), 3,
					     (double)NAN) == PN_SEGMENT_SCORE)
				seen = n;
		}
		assert_true(seen >= 800 && seen < 950);

		assert_int_equal(s.images, 0); /* the next one has begun */
	}
}

/* New references meet the images better or worse than the old: that is no change. */
static void test_other_map(void **state)
{
	struct pn_segment_params p = usual();
	struct pn_segmenter s = { 0 };
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 3, 0);
	for (int n = 0; n < 4000; n++)
		assert_int_equal(
			pn_segment_image(&s, &p, 0.6 - 0.1 * (n / 1000) + 0.02 * pn_rng_gauss(&rng),
					 (uint64_t)(n / 1000), (double)NAN),
			PN_SEGMENT_GOES_ON);
}

/* Etching from 24 to 12 A, slowly: segments of 2.77 A each, as noisy as measured diameters are. */
static void test_size(void **state)
{
	struct pn_segment_params p = usual();
	struct pn_segmenter s = { 0 };
	struct pn_rng rng;
	int ends[16], count = 0;

	(void)state;
	pn_rng_init(&rng, 4, 0);
	for (int n = 0; n < 12000; n++)
		if (pn_segment_image(&s, &p, (double)NAN, 0,
				     n % 3 ? 24 - 0.001 * n + pn_rng_gauss(&rng) : (double)NAN) ==
		    PN_SEGMENT_SIZE)
			ends[count++] = n;
	/* chance ends them a little early: a median of 51 is uncertain by 0.18 A */
	assert_true(count == 4 || count == 5);
	for (int i = 0; i < count; i++) {
		int length = ends[i] - (i ? ends[i - 1] : 0);

		assert_true(length > 1900 && length < 3200);
	}
}

/* None is shorter than the least. */
static void test_least(void **state)
{
	struct pn_segment_params p = usual();
	struct pn_segmenter s = { 0 };
	int last = -1;

	(void)state;
	for (int n = 0; n < 2000; n++)
		if (pn_segment_image(&s, &p, (double)NAN, 0, 0.1 * n) != PN_SEGMENT_GOES_ON) {
			assert_true(n - last >= (int)p.least);
			last = n;
		}
	assert_true(last > 1500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_false_alarm), cmocka_unit_test(test_score),
		cmocka_unit_test(test_alike),          cmocka_unit_test(test_other_map),
		cmocka_unit_test(test_size),           cmocka_unit_test(test_least),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
