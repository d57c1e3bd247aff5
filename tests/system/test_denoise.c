/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `perrin denoise score`: stacks in, PSNR, SSIM and SNR out. */
#include "kit.h"

#include "perrin/base/rng.h"
#include "perrin/format/stack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *dir;

/* @count images of fringes with noise of @sigma; the same @seed makes the same noise. */
static const char *write_stack(const char *name, unsigned count, double sigma, uint64_t seed)
{
	enum { SIDE = 48 };
	const char *path = testkit_path(dir, name);
	struct pn_stack_info info = { PN_F32, count, SIDE, SIDE, 0, "npy" };
	struct pn_stack_writer *writer;
	struct pn_error err = { 0 };
	struct pn_rng rng;
	float image[SIDE * SIDE];

	pn_rng_init(&rng, seed, 0);
	if (pn_stack_create(&writer, path, &info, &err))
		fail_msg("%s", err.text);
	for (unsigned k = 0; k < count; k++) {
		for (int i = 0; i < SIDE * SIDE; i++)
			image[i] = (float)(10 * sin(i % SIDE * 0.8) + sigma * pn_rng_gauss(&rng));
		assert_int_equal(pn_stack_write(writer, image, &err), 0);
	}
	assert_int_equal(pn_stack_finish(writer, &err), 0);
	return path;
}

static void noise_is_scored(void **state)
{
	const char *clean = write_stack("clean.npy", 4, 0, 1);
	const char *noisy = write_stack("noisy.npy", 4, 5, 2);
	struct kit_result r;

	(void)state;
	PERRIN(&r, 0, "denoise", "score", noisy, clean, "--range", "20");
	/* range 20, mean squared noise 25 */
	assert_true(fabs(atof(kit_word(r.out, "PSNR", 2)) - 10 * log10(400 / 25.0)) < 0.3);
	/* signal 50, noise 25 */
	assert_true(fabs(atof(kit_word(r.out, "SNR", 2)) - 10 * log10(2)) < 0.5);
	kit_free(&r);
	PERRIN(&r, 0, "denoise", "score", noisy, clean, "--json", "--affine");
	kit_says(r.out, "\"psnr_db\"");
	kit_says(r.out, "\"affine\": true");
	kit_free(&r);
	PERRIN(&r, 2, "denoise", "score", noisy, write_stack("three.npy", 3, 0, 1));
	kit_says(r.err, "has 4 images of 48x48");
	kit_free(&r);
	PERRIN(&r, 1, "denoise", "score", noisy, testkit_path(dir, "none.npy"));
	kit_says(r.err, "none.npy");
	kit_free(&r);
}

/* Simulated liquid-cell frames and their truth; the figure is that of an independent calculation.
 */
static void simulated_movie(void **state)
{
	const char *noisy = testkit_data("movie_lctem_sim/noisy_f00-09_u8.npy");
	const char *clean = testkit_data("movie_lctem_sim/gt_f00-09_u8.npy");
	struct kit_result r;

	(void)state;
	if (!noisy || !clean)
		skip();
	PERRIN(&r, 0, "denoise", "score", noisy, clean, "--affine", "--range", "255");
	assert_string_equal(kit_word(r.out, "PSNR", 2), "22.874");
	kit_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(noise_is_scored),
		cmocka_unit_test(simulated_movie),
	};

	dir = testkit_tempdir();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
