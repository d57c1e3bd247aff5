/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The graph on real frames: a gold nanocrystal tumbling in a graphene liquid cell, as a user runs it and
 * exports it. The particle is followed in every frame, and its strong frames show gold, not graphene. */
#include "kit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOVIE  "movie_au_glc/frames00-29_512x512_u16.npy"
#define HEADER "frame,time_ns,particle,x_px,y_px,peak,class,spacing_pm,diameter_nm,"

enum { FRAMES = 30 };

static const double au111_pm = 235.5, au200_pm = 203.9, graphene_pm = 213.0;

static int within(double value, double wanted, double part)
{
	return fabs(value / wanted - 1) < part;
}

static void gold_is_followed_and_measured(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	char source[4600], frame_text[16];
	struct kit_result r;
	unsigned seen = 0, high = 0, gold = 0, graphene = 0;

	snprintf(source, sizeof source, "file:%s?pixel_pm=32.0&fps=400", testkit_data(MOVIE));
	PERRIN(&r, 0, "run", "liquid-cell-raw", "--source", source, "--session", testkit_path(dir, "s"));
	kit_free(&r);
	PERRIN(&r, 0, "export", testkit_path(dir, "s/crystal"), "--format", "csv", "--out", "-");
	assert_int_equal(strncmp(r.out, HEADER, strlen(HEADER)), 0);
	for (char *line = strchr(r.out, '\n') + 1; *line; line = strchr(line, '\n') + 1) {
		unsigned long frame, particle;
		double x_px, y_px, peak, spacing_pm = 0;
		char class[8];

		assert_true(sscanf(line, "%lu,%*d,%lu,%lf,%lf,%lf,%7[a-z],%lf", &frame, &particle, &x_px,
				   &y_px, &peak, class, &spacing_pm) >= 6);
		snprintf(frame_text, sizeof frame_text, "%lu", frame);
		assert_int_equal(particle, 1);
		/* where the eye finds it on the mean of all frames, and as far as it moves */
		if (hypot(x_px - 225, y_px - 223) > 14)
			fail_msg("frame %s: the particle at %.1f, %.1f", frame_text, x_px, y_px);
		assert_int_equal(frame, seen++);
		if (strcmp(class, "high"))
			continue;
		high++;
		gold += within(spacing_pm, au111_pm, 0.03) || within(spacing_pm, au200_pm, 0.03);
		graphene += within(spacing_pm, graphene_pm, 0.01);
	}
	kit_free(&r);
	print_message("%u frames, %u high, %u of them gold within 3 %%\n", seen, high, gold);
	assert_int_equal(seen, FRAMES);
	assert_true(high >= FRAMES / 2);
	/* its two {111} stand at 237 and 229 pm in the mean of all frames: single ones pass 3 % */
	assert_true(gold * 10 >= high * 8);
	assert_int_equal(graphene, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(gold_is_followed_and_measured) };

	if (!testkit_data(MOVIE))
		return TESTKIT_SKIP;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
