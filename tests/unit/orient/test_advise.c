/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Each verdict by a history made for it, and not by one that nearly is. */
#include "perrin/orient/advise.h"

#include "perrin/base/rng.h"

#include "testkit.h"

#include <math.h>
#include <string.h>

static const double slope = 0.05, offset = 0.0; /* 1 / d^2 = slope ln N */

static struct pn_advise_options defaults(void)
{
	struct pn_advise_options o;

	pn_params_default(pn_advise_params, &o);
	return o;
}

static void begin(struct pn_advisor *a, const struct pn_advise_options *options)
{
	struct pn_advise_options o = options ? *options : defaults();

	assert_int_equal(pn_advisor_init(a, &o, NULL), PN_OK);
}

static struct pn_advice advise(struct pn_advisor *a)
{
	struct pn_advice advice;
	struct pn_error err = { 0 };

	if (pn_advisor_advise(&advice, a, &err))
		fail_msg("%s", err.text);
	assert_true(advice.confidence >= 0 && advice.confidence <= 1);
	assert_true(advice.reasons[0] && strlen(advice.reasons) < PN_ADVISE_TEXT_BYTES);
	return advice;
}

static double line_A(double images)
{
	return 1 / sqrt(offset + slope * log(images));
}

static struct pn_advise_volume volume(uint64_t segment, uint64_t images, double resolution_A)
{
	return (struct pn_advise_volume){ .segment = segment,
					  .images = images,
					  .time_s = (double)images / 400,
					  .resolution_A = resolution_A,
					  .dose_e_per_A2 = (double)images * 10,
					  .scf = 0.8,
					  .far = 0.7,
					  .empty = 0.03,
					  .r1_new = (double)NAN,
					  .held_out = (double)NAN,
					  .pixel_pm = 35,
					  .edge_px = 96 };
}

static const struct pn_advise_atoms steady = { .segment = 1,
					       .atoms = 240,
					       .kept = 236,
					       .moved_pm = 12,
					       .disordered = (double)NAN,
					       .diameter_nm = 2 };

/* Volumes on the line up to @images, the same number of images each time. */
static void grow(struct pn_advisor *a, uint64_t from, uint64_t to, uint64_t by)
{
	for (uint64_t n = from; n <= to; n += by) {
		const struct pn_advise_volume v = volume(1, n, line_A((double)n));

		assert_int_equal(pn_advisor_volume(a, &v), 1);
		pn_advisor_atoms(a, &steady);
	}
}

static void says(const struct pn_advice *advice, const char *text)
{
	if (!strstr(advice->reasons, text))
		fail_msg("'%s' is not in: %s", text, advice->reasons);
}

/* ---- enough and continue -------------------------------------------------------------------- */

static void test_gain(void **state)
{
	static struct pn_advisor a;

	(void)state;
	begin(&a, NULL);
	grow(&a, 200, 1800, 200);
	const struct pn_advice advice = advise(&a);

	assert_int_equal(advice.verdict, PN_ADVISE_CONTINUE);
	assert_true(advice.confidence > 0.99);
	assert_int_equal(advice.images, 1800);
	assert_int_equal(advice.next_images, 1000);
	assert_true(fabs(advice.next_resolution_A - line_A(2800)) < 1e-9);
	assert_true(fabs(advice.gain_pm - 100 * (line_A(1800) - line_A(2800))) < 1e-6);
	/* 400 images a second */
	assert_true(fabs(advice.gain_pm_per_s - advice.gain_pm / 2.5) < 1e-6);
	says(&advice, "1.63 A after 1800 frames; 1000 more would give 1.59 A");
	says(&advice, "236 of 240 atoms as before");
	says(&advice, "97 % of directions covered");
}

/* One option of the many makes it enough, and each condition alone takes it back. */
static void test_enough(void **state)
{
	static struct pn_advisor a;
	struct pn_advise_options o = defaults();

	(void)state;
	o.target_A = 1.7;
	o.gain_min_pm = 6;
	for (int without = 0; without < 7; without++) {
		struct pn_advise_options with = o;

		with.target_A = without == 1 ? 1.6 : o.target_A;
		with.gain_min_pm = without == 2 ? 1 : o.gain_min_pm;
		with.consecutive = without == 6 ? 6 : 3;
		begin(&a, &with);
		for (uint64_t n = 1000; n <= 2000; n += 200) {
			struct pn_advise_volume v = volume(1, n, line_A((double)n));
			struct pn_advise_atoms atoms = steady;

			v.far = without == 3 ? 0.3 : 0.7;
			atoms.kept = without == 4 ? 220 : 236;
			atoms.moved_pm = without == 5 ? 45 : 12;
			pn_advisor_atoms(&a, &atoms);
			pn_advisor_volume(&a, &v);
		}
		const struct pn_advice advice = advise(&a);

		assert_int_equal(advice.verdict, without ? PN_ADVISE_CONTINUE : PN_ADVISE_ENOUGH);
		if (!without)
			assert_true(advice.confidence > 0.5);
		if (without == 1 || without == 3 || without == 4)
			assert_true(advice.confidence > 0.5);
	}
}

/* The more images, the less is to be gained, and the surer that it is little. */
static void test_monotone(void **state)
{
	static struct pn_advisor a;
	struct pn_advise_options o = defaults();
	double last = 0;
	struct pn_rng rng;

	(void)state;
	o.target_A = 5;
	o.consecutive = 1;
	o.gain_min_pm = 1.5;
	pn_rng_init(&rng, 3, 0);
	begin(&a, &o);
	for (uint64_t n = 200; n <= 40000; n += 200) {
		const double noise = 1 + 0.002 * pn_rng_gauss(&rng);
		const struct pn_advise_volume v = volume(1, n, line_A((double)n) * noise);
		struct pn_advise_atoms atoms = steady;

		atoms.kept = atoms.atoms;
		pn_advisor_volume(&a, &v);
		pn_advisor_atoms(&a, &atoms);
		if (n % 4000)
			continue;
		const struct pn_advice advice = advise(&a);
		const double truth = 100 * (line_A((double)n) - line_A((double)n + 1000));
		const double sure = advice.verdict == PN_ADVISE_ENOUGH ? advice.confidence
								       : 1 - advice.confidence;

		assert_true(fabs(advice.gain_pm - truth) < 0.25 * truth);
		assert_true(advice.next_low_A < line_A((double)n + 1000) &&
			    advice.next_high_A > line_A((double)n + 1000));
		assert_true(sure >= last - 0.02);
		last = sure;
	}
	assert_true(last > 0.8);
}

/* At the grid's limit nothing more can be seen. */
static void test_limit(void **state)
{
	static struct pn_advisor a;

	(void)state;
	begin(&a, NULL);
	for (uint64_t n = 1000; n <= 3000; n += 1000) {
		const struct pn_advise_volume v = volume(1, n, 0.7);

		pn_advisor_atoms(&a, &steady);
		pn_advisor_volume(&a, &v);
	}
	const struct pn_advice advice = advise(&a);

	assert_int_equal(advice.verdict, PN_ADVISE_ENOUGH);
	assert_true(advice.gain_pm == 0);
	says(&advice, "as fine as pixels of 35.0 pm show");
}

/* ---- structure changed, no longer useful ---------------------------------------------------- */

/* Poses of scores that a function gives; the number at which advice is asked for, or 0. */
static uint64_t feed(struct pn_advisor *a, uint64_t count, double (*mean)(uint64_t i), double sigma,
		     uint64_t stream)
{
	struct pn_rng rng;

	pn_rng_init(&rng, 7, stream);
	for (uint64_t i = 0; i < count; i++) {
		const struct pn_advise_pose p = { .segment = 1,
						  .state = PN_ADVISE_ORIENTED,
						  .score = mean(i) + sigma * pn_rng_gauss(&rng) };

		if (pn_advisor_pose(a, &p))
			return i + 1;
	}
	return 0;
}

static double level(uint64_t i)
{
	(void)i;
	return 0.3;
}

static double rising(uint64_t i)
{
	return 0.3 - 0.2 * exp(-(double)i / 400);
}

static double fallen(uint64_t i)
{
	return i < 2000 ? 0.3 : 0.27;
}

static double faded(uint64_t i)
{
	return 0.3 * exp(-(double)i / 8000);
}

static void test_scores(void **state)
{
	static struct pn_advisor a;
	struct pn_advice advice;

	(void)state;
	for (uint64_t stream = 0; stream < 10; stream++) {
		begin(&a, NULL);
		assert_int_equal(feed(&a, 20000, level, 0.03, stream), 0);
		begin(&a, NULL);
		assert_int_equal(feed(&a, 5000, rising, 0.03, stream), 0);

		begin(&a, NULL);
		const uint64_t at = feed(&a, 5000, fallen, 0.03, stream);

		assert_in_range(at, 2010, 2500);
		advice = advise(&a);
		assert_int_equal(advice.verdict, PN_ADVISE_CHANGED);
		says(&advice, "Scores of new frames fell from 0.");
		/* told once, not with every frame after */
		assert_int_equal(feed(&a, 50, level, 0.0, stream), 0);

		begin(&a, NULL);
		assert_true(feed(&a, 16000, faded, 0.03, stream) > 0);
		advice = advise(&a);
		assert_int_equal(advice.verdict, PN_ADVISE_USELESS);
		says(&advice, "Scores of new frames fade");
	}
}

/* Scores hang together while a particle stays as it is: that is neither fall nor fading. */
static void test_correlated(void **state)
{
	static struct pn_advisor a;

	(void)state;
	for (uint64_t stream = 0; stream < 20; stream++) {
		struct pn_rng rng;
		double x = 0;

		pn_rng_init(&rng, 5, stream);
		begin(&a, NULL);
		for (int i = 0; i < 20000; i++) {
			x = 0.9 * x + sqrt(1 - 0.81) * pn_rng_gauss(&rng);
			const struct pn_advise_pose p = { .segment = 1,
							  .state = PN_ADVISE_ORIENTED,
							  .score = 0.3 + 0.03 * x };

			assert_int_equal(pn_advisor_pose(&a, &p), 0);
		}
	}
}

/* exp(-dose / D) has the slope -1 / D: by 1000 e/A^2, with 10 e/A^2 a frame. */
static void test_fading(void **state)
{
	static struct pn_advisor a;
	struct pn_advise_options o = defaults();

	(void)state;
	o.fading_min = 1;
	begin(&a, &o);
	feed(&a, 3000, faded, 0.003, 1);
	struct pn_advise_volume v = volume(1, 3000, 1.5);

	pn_advisor_volume(&a, &v);
	const struct pn_advice advice = advise(&a);

	assert_true(fabs(advice.score_fading - -1000.0 / 80000) < 0.1 * 1000 / 80000);
	v.dose_e_per_A2 = (double)NAN;
	pn_advisor_volume(&a, &v);
	const struct pn_advice unknown = advise(&a);

	assert_true(isnan(unknown.score_fading));
	says(&unknown, "Dose not known");
}

static void test_segment(void **state)
{
	static struct pn_advisor a;
	struct pn_advise_pose p = { .segment = 1, .state = PN_ADVISE_ORIENTED, .score = 0.3 };

	(void)state;
	begin(&a, NULL);
	assert_int_equal(pn_advisor_pose(&a, &p), 0);
	grow(&a, 200, 1000, 200);
	assert_int_equal(advise(&a).verdict, PN_ADVISE_CONTINUE);
	p.segment = 2;
	assert_int_equal(pn_advisor_pose(&a, &p), 1);
	const struct pn_advice advice = advise(&a);

	assert_int_equal(advice.verdict, PN_ADVISE_CHANGED);
	assert_int_equal(advice.segment, 2);
	assert_true(isnan(advice.resolution_A));
	says(&advice, "segment 2");
	assert_int_equal(pn_advisor_pose(&a, &p), 0);
	const struct pn_advise_volume old = volume(1, 1200, 1.6), new = volume(2, 100, 3);

	assert_int_equal(pn_advisor_volume(&a, &old), 0);
	assert_int_equal(pn_advisor_volume(&a, &new), 1);
	assert_int_equal(advise(&a).verdict, PN_ADVISE_CONTINUE);
}

static void test_no_particle(void **state)
{
	static struct pn_advisor a;
	static const double none[49] = { 1, 0.1, -0.05, 0.08 }, some[49] = { 1, 0.9, 0.8, 0.6 };

	(void)state;
	for (int oriented = 0; oriented < 2; oriented++) {
		struct pn_advise_pose p = { .segment = 1, .score = 0.2 };
		uint64_t at = 0;

		begin(&a, NULL);
		for (uint64_t i = 1; i <= 1500 && !at; i++) {
			p.state = oriented && i % 4 == 0 ? PN_ADVISE_ORIENTED : PN_ADVISE_BEGINNING;
			at = pn_advisor_pose(&a, &p) ? i : 0;
		}
		assert_int_equal(at, oriented ? 0 : 1000);
	}
	for (int particle = 0; particle < 2; particle++) {
		begin(&a, NULL);
		for (uint64_t n = 100; n <= 400; n += 100) {
			struct pn_advise_volume v = volume(1, n, (double)NAN);

			v.fsc = particle ? some : none;
			v.fsc_count = 49;
			pn_advisor_volume(&a, &v);
		}
		const struct pn_advice advice = advise(&a);

		assert_int_equal(advice.verdict, particle ? PN_ADVISE_CONTINUE : PN_ADVISE_USELESS);
		says(&advice, particle ? "Resolution not known" : "is there a particle at all");
		assert_true(particle ? advice.confidence <= 0.5 : advice.confidence > 0.5);
	}
	begin(&a, NULL); /* oriented, but no better than noise */
	assert_true(feed(&a, 1100, level, 0, 0) == 0);
	begin(&a, NULL);
	for (int i = 0; i < 1200; i++)
		pn_advisor_pose(&a, &(struct pn_advise_pose){ .segment = 1, .score = 0.01 });
	const struct pn_advice advice = advise(&a);
	assert_int_equal(advice.verdict, PN_ADVISE_USELESS);
}

static void test_worse(void **state)
{
	static struct pn_advisor a;

	(void)state;
	begin(&a, NULL);
	grow(&a, 200, 1000, 200);
	for (uint64_t n = 1200; n <= 1600; n += 200) {
		const struct pn_advise_volume v = volume(1, n, 2.2);

		assert_int_equal(advise(&a).verdict, PN_ADVISE_CONTINUE);
		pn_advisor_volume(&a, &v);
	}
	const struct pn_advice advice = advise(&a);

	assert_int_equal(advice.verdict, PN_ADVISE_USELESS);
	says(&advice, "worse than the 1.70 A after 1000 frames");
}

static void test_pixel(void **state)
{
	static struct pn_advisor a;
	struct pn_advise_options o = defaults();

	(void)state;
	o.target_A = 100;
	o.gain_min_pm = 1e5;
	for (int wrong = -1; wrong <= 1; wrong++) {
		begin(&a, &o);
		for (uint64_t n = 1000; n <= 6000; n += 1000) {
			struct pn_advise_volume v =
				volume(1, n, line_A((double)n) * pow(10, wrong));

			v.pixel_pm *= pow(10, wrong);
			pn_advisor_volume(&a, &v);
		}
		const struct pn_advice advice = advise(&a);

		assert_int_equal(advice.verdict, wrong ? PN_ADVISE_CONTINUE : PN_ADVISE_ENOUGH);
		if (wrong)
			says(&advice, wrong > 0 ? "A pixel of 350 pm" : "A pixel of 3.5 pm");
	}
}

/* ---- tilt series ---------------------------------------------------------------------------- */

static void test_next_angle(void **state)
{
	static struct pn_advisor a;
	struct pn_advise_volume v = volume(0, 1, (double)NAN);

	(void)state;
	begin(&a, NULL);
	for (int k = 0; k <= 30; k++)
		if (k != 9 && k != 10)
			pn_advisor_tilt(&a, (uint64_t)k, -75 + 5.0 * k, 0);
	pn_advisor_volume(&a, &v);
	assert_true(fabs(advise(&a).next_theta_deg - -27.5) < 1e-9);
	pn_advisor_tilt(&a, 9, -30, 0);
	pn_advisor_tilt(&a, 20, 0, 1); /* the one at 25 goes */
	pn_advisor_tilt(&a, 21, 0, 1);
	assert_true(fabs(advise(&a).next_theta_deg - 27.5) < 1e-9);
	pn_advisor_tilt(&a, 20, 25, 0);
	pn_advisor_tilt(&a, 21, 30, 0);
	pn_advisor_tilt(&a, 10, -25, 0);
	const struct pn_advise_atoms atoms = { .atoms = 10,
					       .first = 1,
					       .moved_pm = (double)NAN,
					       .disordered = (double)NAN,
					       .diameter_nm = 2 };

	pn_advisor_atoms(&a, &atoms);
	const struct pn_advice full = advise(&a);

	says(&full, "% of Fourier space is covered");
	says(&full, "none from -75.0 to -70.0, steps of 2.9 would do");
	begin(&a, NULL);
	for (int k = 0; k < 10; k++) /* one side only */
		pn_advisor_tilt(&a, (uint64_t)k, -75 + 8.0 * k, 0);
	pn_advisor_volume(&a, &v);
	assert_true(advise(&a).next_theta_deg > 30);
}

/* Without a resolution the angles tell: steps of d / D, and the atoms where they were. */
static void test_enough_tilts(void **state)
{
	static struct pn_advisor a;

	(void)state;
	for (int without = 0; without < 4; without++) {
		const double step_deg = without == 1 ? 4 : 2;
		struct pn_advise_atoms atoms = { .atoms = 100,
						 .kept = without == 2 ? 80 : 100,
						 .moved_pm = 5,
						 .disordered = (double)NAN,
						 .diameter_nm = without == 3 ? (double)NAN : 2 };
		uint64_t tilts = 0;

		begin(&a, NULL);
		for (double theta_deg = -74; theta_deg <= 74; theta_deg += step_deg) {
			struct pn_advise_volume v = volume(0, ++tilts, (double)NAN);

			pn_advisor_tilt(&a, tilts, theta_deg, 0);
			pn_advisor_volume(&a, &v);
			pn_advisor_atoms(&a, &atoms);
		}
		assert_int_equal(advise(&a).verdict, PN_ADVISE_CONTINUE);
		for (int again = 0; again < 2; again++) {
			struct pn_advise_volume v = volume(0, tilts, (double)NAN);

			pn_advisor_volume(&a, &v);
		}
		const struct pn_advice advice = advise(&a);

		assert_int_equal(advice.verdict, without ? PN_ADVISE_CONTINUE : PN_ADVISE_ENOUGH);
		assert_true(advice.confidence <= 0.5);
	}
}

static void test_r_factor(void **state)
{
	static struct pn_advisor a;
	/* of a sound specimen, towards the end of the range */
	static const double rising_r[] = { 0.136, 0.141, 0.148, 0.148, 0.149,
					   0.163, 0.203, 0.225, 0.247 };

	(void)state;
	begin(&a, NULL);
	for (size_t n = 0; n < PN_COUNT(rising_r); n++) {
		struct pn_advise_volume v = volume(0, n + 1, (double)NAN);

		v.r1_new = rising_r[n];
		pn_advisor_volume(&a, &v);
		assert_int_equal(advise(&a).verdict, PN_ADVISE_CONTINUE);
	}
	for (int bad = 0; bad < 3; bad++) {
		begin(&a, NULL);
		for (uint64_t n = 1; n <= 20; n++) {
			struct pn_advise_volume v = volume(0, n, (double)NAN);

			v.r1_new = 0.12 + 0.004 * (double)(n % 3);
			if (n > 20 - (uint64_t)bad)
				v.r1_new = 0.2;
			pn_advisor_volume(&a, &v);
		}
		const struct pn_advice advice = advise(&a);

		assert_int_equal(advice.verdict, bad == 2 ? PN_ADVISE_CHANGED : PN_ADVISE_CONTINUE);
		says(&advice, bad == 2 ? "The last 2 tilts fit worse" : "R of the newest tilt");
	}
}

/* ---- odd input ------------------------------------------------------------------------------ */

static void test_nothing_known(void **state)
{
	static struct pn_advisor a;
	const double nan = (double)NAN;
	struct pn_advise_volume v = { .segment = 1,
				      .images = 0,
				      .time_s = nan,
				      .resolution_A = nan,
				      .scf = nan,
				      .far = nan,
				      .empty = nan,
				      .r1_new = nan,
				      .held_out = nan,
				      .pixel_pm = nan,
				      .dose_e_per_A2 = nan };

	(void)state;
	begin(&a, NULL);
	struct pn_advice advice = advise(&a);
	assert_int_equal(advice.verdict, PN_ADVISE_CONTINUE);
	says(&advice, "No volume yet");
	for (int i = 0; i < 5; i++) {
		pn_advisor_volume(&a, &v);
		advice = advise(&a);
		assert_int_equal(advice.verdict, PN_ADVISE_CONTINUE);
		assert_true(advice.confidence <= 0.5);
		assert_true(isnan(advice.gain_pm) && isnan(advice.atoms_kept) &&
			    isnan(advice.next_theta_deg));
		says(&advice, "Coverage not known. Atoms not known. Dose not known.");
		v.resolution_A = INFINITY;
	}
	/* far beyond everything, and back in time */
	for (int i = 0; i < 300; i++) {
		v.images = (uint64_t)(i * 7919 % 300);
		v.resolution_A = i % 3 ? 1e9 : 1e-300;
		v.time_s = i % 2 ? 9e9 : -9e9;
		v.dose_e_per_A2 = 1e18;
		pn_advisor_volume(&a, &v);
		const struct pn_advise_pose p = { .segment = 1, .score = i % 2 ? 1e300 : -1e3 };
		pn_advisor_pose(&a, &p);
		advise(&a);
	}
	struct pn_advise_options o = defaults();
	o.consecutive = 0;
	assert_int_equal(pn_advisor_init(&a, &o, NULL), PN_EARG);
	o = defaults();
	o.target_A = nan;
	assert_int_equal(pn_advisor_init(&a, &o, NULL), PN_EARG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_gain),          cmocka_unit_test(test_enough),
		cmocka_unit_test(test_monotone),      cmocka_unit_test(test_limit),
		cmocka_unit_test(test_scores),        cmocka_unit_test(test_correlated),
		cmocka_unit_test(test_fading),        cmocka_unit_test(test_segment),
		cmocka_unit_test(test_no_particle),   cmocka_unit_test(test_worse),
		cmocka_unit_test(test_pixel),         cmocka_unit_test(test_next_angle),
		cmocka_unit_test(test_r_factor),      cmocka_unit_test(test_enough_tilts),
		cmocka_unit_test(test_nothing_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
