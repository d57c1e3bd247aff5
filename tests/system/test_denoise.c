/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `perrin denoise`: train on noisy images, apply what came out, score it; resume, threads, tiles.
 */
#include "kit.h"

#include "perrin/base/rng.h"
#include "perrin/format/stack.h"
#include "perrin/format/weights.h"
#include "perrin/stream/head.h"
#include "perrin/stream/log.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIDE   48
#define FRAMES 12
#define SIGMA  8.0

/* The smallest network worth the name, on pieces as small. */
#define TINY                                                                                   \
	"--blocks", "2", "--channels", "8", "--neighbor-channels", "8", "--tap-channels", "8", \
		"--head1", "8", "--head2", "0", "--crop-px", "32", "--warmup", "5"

static const char *dir, *movie, *truth, *weights;

/* The path of a file of this test; stays until the end. */
static const char *path_of(const char *name)
{
	static char paths[96][256];
	static unsigned count;

	assert_true(count < PN_COUNT(paths));
	snprintf(paths[count], sizeof paths[0], "%s", testkit_path(dir, name));
	return paths[count++];
}

/* @count images of fringes that drift by @speed pixels a frame, with noise of @sigma; the same
 * @seed makes the same noise. */
static const char *write_fringes(const char *name, unsigned count, int side, double speed,
				 double sigma, uint64_t seed)
{
	const char *path = path_of(name);
	struct pn_stack_info info = { PN_F32, count, (uint64_t)side, (uint64_t)side, 0, "npy" };
	struct pn_stack_writer *writer;
	struct pn_error err = { 0 };
	struct pn_rng rng;
	float *image = malloc((size_t)(side * side) * sizeof *image);

	assert_non_null(image);
	pn_rng_init(&rng, seed, 0);
	if (pn_stack_create(&writer, path, &info, &err))
		fail_msg("%s", err.text);
	for (unsigned k = 0; k < count; k++) {
		for (int i = 0; i < side * side; i++)
			image[i] = (float)(10 * sin((i % side - speed * k) * 0.8) +
					   sigma * pn_rng_gauss(&rng));
		assert_int_equal(pn_stack_write(writer, image, &err), 0);
	}
	assert_int_equal(pn_stack_finish(writer, &err), 0);
	free(image);
	return path;
}

static void same_files(const char *a, const char *b)
{
	size_t bytes_a, bytes_b;
	char *one = testkit_read(a, &bytes_a), *other = testkit_read(b, &bytes_b);

	assert_int_equal(bytes_a, bytes_b);
	assert_memory_equal(one, other, bytes_a);
	free(one);
	free(other);
}

/* The number behind "name": in a text of JSON. */
static double json_number(const char *json, const char *name)
{
	char key[64];

	snprintf(key, sizeof key, "\"%s\": ", name);
	const char *at = strstr(json, key);
	if (!at)
		fail_msg("no %s in:\n%s", name, json);
	return at ? atof(at + strlen(key)) : NAN;
}

/* ---- scoring ------------------------------------------------------------------------------- */

static void noise_is_scored(void **state)
{
	const char *clean = write_fringes("clean.npy", 4, SIDE, 0, 0, 1);
	const char *noisy = write_fringes("noisy.npy", 4, SIDE, 0, 5, 2);
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
	PERRIN(&r, 2, "denoise", "score", noisy, write_fringes("three.npy", 3, SIDE, 0, 0, 1));
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

/* ---- training and applying ------------------------------------------------------------------- */

/* Weights that the other tests use, and that what comes out is nearer to the truth. */
static void noise_is_taken_away(void **state)
{
	const char *out = path_of("denoised.npy"), *curve = path_of("curve.svg");
	struct kit_result r;
	double before_db, after_db;
	size_t bytes;

	(void)state;
	PERRIN(&r, 0, "denoise", "train", movie, "--out", weights, TINY, "--steps", "150", "--rate",
	       "5e-3", "--average", "0.9", "--curve", curve);
	kit_says(r.out, "blind spot   1 px: the noise correlates by");
	kit_says(r.out, "steps        150 of 150, 2400 windows of 32 px");
	assert_string_equal(r.err, "");
	kit_free(&r);
	char *svg = testkit_read(curve, &bytes);
	kit_says(svg, "validation");
	kit_says(svg, "</svg>");
	free(svg);

	PERRIN(&r, 0, "denoise", "apply", movie, "--weights", weights, "--out", out, "--noise",
	       "--json");
	assert_true(fabs(json_number(r.out, "noise") - SIGMA) < 0.1 * SIGMA);
	assert_true(json_number(r.out, "snr_db") > json_number(r.out, "raw_snr_db") + 5);
	assert_true(json_number(r.out, "images") == FRAMES);
	kit_free(&r);
	PERRIN(&r, 0, "denoise", "score", movie, truth, "--range", "20");
	before_db = atof(kit_word(r.out, "PSNR", 2));
	kit_free(&r);
	PERRIN(&r, 0, "denoise", "score", out, truth, "--range", "20");
	after_db = atof(kit_word(r.out, "PSNR", 2));
	kit_free(&r);
	if (!(after_db > before_db + 5))
		fail_msg("PSNR %g dB before, %g dB after", before_db, after_db);
}

static void weights_know_where_they_come_from(void **state)
{
	struct pn_error err = { 0 };
	struct pn_weights w;

	(void)state;
	if (pn_weights_read(&w, weights, &err))
		fail_msg("%s", err.text);
	assert_int_equal(w.steps, 150);
	assert_int_equal(w.frames, FRAMES);
	assert_int_equal(w.last_frame, FRAMES - 1);
	assert_int_equal(w.settings.crop_px, 32);
	assert_int_equal(w.spec.blocks, 2);
	assert_int_equal(w.spec.spot_px, 1);
	assert_string_equal(w.source, movie);
	assert_true(w.curve_count == 15);
	assert_true(w.curve_step[14] == 150 && w.curve_loss[14] == w.validation);
	assert_true(w.loss < 1 && w.validation < 1);
	pn_weights_free(&w);
}

static void formats_and_tiles_agree(void **state)
{
	const char *whole = path_of("whole.npy"), *tiled = path_of("tiled.npy");
	struct kit_result r;
	const char *others[] = { path_of("other.mrc"), path_of("other.tif") };

	(void)state;
	PERRIN(&r, 0, "denoise", "apply", movie, "--weights", weights, "--out", whole);
	assert_null(strstr(r.out, "tiles"));
	kit_free(&r);
	/* one image at a time is all that fits */
	PERRIN(&r, 0, "denoise", "apply", movie, "--weights", weights, "--out", tiled, "--tile-px",
	       "37", "--memory-MiB", "0");
	kit_says(r.out, "of up to 37 px");
	kit_free(&r);
	same_files(whole, tiled);
	for (unsigned i = 0; i < PN_COUNT(others); i++) {
		PERRIN(&r, 0, "denoise", "apply", movie, "--weights", weights, "--out", others[i]);
		kit_free(&r);
		PERRIN(&r, 0, "denoise", "score", others[i], whole);
		assert_string_equal(kit_word(r.out, "SSIM", 1), "1.000");
		kit_free(&r);
	}
}

static void threads_change_nothing(void **state)
{
	const char *w[2] = { path_of("one.pnw"), path_of("two.pnw") };
	const char *out[2] = { path_of("one.npy"), path_of("two.npy") };
	struct kit_result r;

	(void)state;
	for (int i = 0; i < 2; i++) {
		setenv("OMP_NUM_THREADS", i ? "2" : "1", 1);
		PERRIN(&r, 0, "denoise", "train", movie, "--out", w[i], TINY, "--steps", "6");
		kit_free(&r);
		PERRIN(&r, 0, "denoise", "apply", movie, "--weights", w[i], "--out", out[i]);
		kit_free(&r);
	}
	setenv("OMP_NUM_THREADS", "1", 1);
	same_files(w[0], w[1]);
	same_files(out[0], out[1]);
}

/* ---- going on ------------------------------------------------------------------------------- */

#define TWENTY TINY, "--steps", "20", "--validate-every", "4", "--batch", "4"

static void a_pause_leaves_no_trace(void **state)
{
	const char *one = path_of("once.pnw"), *two = path_of("twice.pnw");
	const char *checkpoint = path_of("twice.ckpt");
	struct kit_result r;

	(void)state;
	PERRIN(&r, 0, "denoise", "train", movie, "--out", one, TWENTY);
	kit_free(&r);
	PERRIN(&r, 0, "denoise", "train", movie, "--out", two, TWENTY, "--checkpoint", checkpoint,
	       "--pause-after", "11");
	kit_says(r.out, "steps        11 of 20, paused");
	kit_free(&r);
	/* what is there is not replaced by accident */
	PERRIN(&r, 1, "denoise", "train", movie, "--out", two, TWENTY, "--checkpoint", checkpoint);
	kit_says(r.err, "twice.pnw: is there already");
	kit_free(&r);
	PERRIN(&r, 0, "denoise", "train", movie, "--out", two, TWENTY, "--checkpoint", checkpoint,
	       "--resume", "--json");
	assert_true(json_number(r.out, "steps") == 20);
	kit_says(r.out, "\"ended_by\": \"steps\"");
	kit_free(&r);
	same_files(one, two);
}

static pid_t start(const char *const *words)
{
	char *argv[64] = { (char *)kit_binary() };

	for (int i = 0; words[i]; i++)
		argv[i + 1] = (char *)words[i];
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (!freopen("/dev/null", "w", stdout))
			_exit(126);
		execv(argv[0], argv);
		_exit(127);
	}
	return pid;
}

static void a_signal_leaves_no_trace(void **state)
{
	const char *one = path_of("whole.pnw"), *two = path_of("stopped.pnw");
	const char *checkpoint = path_of("stopped.ckpt");
	struct kit_result r;
	struct stat st;
	int status;
	pid_t ended = 0;

	(void)state;
	PERRIN(&r, 0, "denoise", "train", movie, "--out", one, TINY, "--steps", "150", "--seed",
	       "7");
	kit_free(&r);
	pid_t pid = start((const char *const[]){ "denoise", "train", movie, "--out", two, TINY,
						 "--steps", "150", "--seed", "7", "--checkpoint",
						 checkpoint, "--checkpoint-s", "0.1", NULL });
	while (stat(checkpoint, &st) && !ended) {
		usleep(1000);
		ended = waitpid(pid, &status, WNOHANG);
	}
	/* a machine so fast that it is over by now has nothing to stop */
	if (!ended) {
		kill(pid, SIGTERM);
		assert_int_equal(waitpid(pid, &status, 0), pid);
	}
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	assert_int_equal(stat(two, &st), 0);
	PERRIN(&r, 0, "denoise", "train", movie, "--out", two, TINY, "--steps", "150", "--seed",
	       "7", "--checkpoint", checkpoint, "--resume");
	kit_free(&r);
	same_files(one, two);
}

static void checkpoints_are_checked(void **state)
{
	const char *out = path_of("resumed.pnw"), *checkpoint = path_of("checked.ckpt");
	const char *bad = path_of("bad.ckpt");
	struct kit_result r;
	size_t bytes;

	(void)state;
	PERRIN(&r, 0, "denoise", "train", movie, "--out", out, TWENTY, "--checkpoint", checkpoint,
	       "--pause-after", "2");
	kit_free(&r);
	PERRIN(&r, 1, "denoise", "train", movie, "--out", out, TWENTY, "--seed", "2",
	       "--checkpoint", checkpoint, "--resume");
	kit_says(r.err, "trained with seed 1, here seed 2");
	kit_free(&r);
	PERRIN(&r, 1, "denoise", "train", write_fringes("more.npy", 13, SIDE, 0.5, SIGMA, 4),
	       "--out", out, TWENTY, "--checkpoint", checkpoint, "--resume");
	kit_says(r.err, "trained on 12 images");
	kit_free(&r);
	char *data = testkit_read(checkpoint, &bytes);
	data[bytes / 2] ^= 1;
	testkit_write(bad, data, bytes);
	PERRIN(&r, 1, "denoise", "train", movie, "--out", out, TWENTY, "--checkpoint", bad,
	       "--resume");
	kit_says(r.err, "bad.ckpt: the hash");
	kit_free(&r);
	testkit_write(bad, data, 3);
	PERRIN(&r, 1, "denoise", "train", movie, "--out", out, TWENTY, "--checkpoint", bad,
	       "--resume");
	kit_says(r.err, "bad.ckpt: no checkpoint of a training");
	kit_free(&r);
	free(data);
	PERRIN(&r, 1, "denoise", "train", movie, "--out", out, TWENTY, "--checkpoint",
	       path_of("none.ckpt"), "--resume");
	kit_says(r.err, "none.ckpt");
	kit_free(&r);
	PERRIN(&r, 2, "denoise", "train", movie, "--out", out, "--resume");
	kit_says(r.err, "--checkpoint FILE");
	kit_free(&r);
}

static void other_ways_to_end_and_begin(void **state)
{
	const char *out = path_of("ways.pnw");
	struct kit_result r;

	(void)state;
	/* 12 images, 4 windows a step */
	PERRIN(&r, 0, "denoise", "train", movie, "--out", out, TINY, "--batch", "4", "--epochs",
	       "2", "--force", "--spot-px", "3");
	kit_says(r.out, "steps        6 of 6, 24 windows");
	kit_says(r.out, "blind spot   3 px: as told");
	kit_free(&r);
	/* a rate so small that nothing is learnt: levelled at the second pair of validations */
	PERRIN(&r, 0, "denoise", "train", movie, "--out", out, TINY, "--batch", "4", "--force",
	       "--steps", "0", "--rate", "1e-9", "--validate-every", "1", "--level-window", "2",
	       "--level-gain", "0.5", "--stop-when-levelled", "--json");
	kit_says(r.out, "\"ended_by\": \"levelled\"");
	assert_true(json_number(r.out, "steps") == 4);
	kit_free(&r);
	PERRIN(&r, 0, "denoise", "train", movie, "--out", out, "--from", weights, "--steps", "2",
	       "--warmup", "0", "--rate", "1e-6", "--crop-px", "32", "--force", "--json");
	/* what was learnt is still there */
	assert_true(json_number(r.out, "validation") < 0.9);
	assert_true(json_number(r.out, "blocks") == 2);
	kit_free(&r);
	PERRIN(&r, 2, "denoise", "train", movie, "--out", out, "--from", weights, "--blocks", "3");
	kit_says(r.err, "the network is that of these weights");
	kit_free(&r);
}

/* ---- sessions ------------------------------------------------------------------------------- */

static void sessions_are_read(void **state)
{
	const char *frames = path_of("frames.npy"), *session = path_of("session");
	const char *recorded = path_of("recorded"), *out = path_of("session.pnw");
	char source[512];
	struct kit_result r;
	struct stat st;

	(void)state;
	kit_movie(frames, 10);
	snprintf(source, sizeof source, "file:%s?pixel_pm=35.8", frames);
	PERRIN(&r, 0, "run", "record", "--source", source, "--session", recorded, "--place",
	       "thread");
	kit_free(&r);
	PERRIN(&r, 1, "denoise", "train", recorded, "--out", out, TINY);
	kit_says(r.err, "no stream crops in this session; there are: frames");
	kit_free(&r);
	/* a file and the session recorded from it hold the same images */
	PERRIN(&r, 0, "denoise", "train", recorded, "--stream", "frames", "--out", out, TINY,
	       "--steps", "3", "--memory-MiB", "0");
	kit_says(r.out, "images       10 of 96x96 px, stream");
	kit_free(&r);
	PERRIN(&r, 0, "denoise", "apply", recorded, "--stream", "frames", "--weights", out, "--out",
	       path_of("a.npy"));
	kit_free(&r);
	PERRIN(&r, 0, "denoise", "apply", frames, "--weights", out, "--out", path_of("b.npy"));
	kit_free(&r);
	same_files(path_of("a.npy"), path_of("b.npy"));

	PERRIN(&r, 0, "run", "liquid-cell", "--source", source, "--session", session, "--place",
	       "thread");
	kit_free(&r);
	PERRIN(&r, 0, "denoise", "train", session, "--out", out, TINY, "--steps", "3", "--force",
	       "--batch", "4");
	kit_says(r.out, "/crops");
	kit_free(&r);
	PERRIN(&r, 0, "denoise", "apply", session, "--weights", out, "--out",
	       path_of("particle-%p.npy"), "--noise");
	kit_free(&r);
	assert_int_equal(stat(path_of("particle-1.npy"), &st), 0);
	PERRIN(&r, 1, "denoise", "apply", session, "--weights", out, "--out", path_of("p.npy"),
	       "--particle", "77");
	kit_says(r.err, "no crop of particle 77");
	kit_free(&r);
	PERRIN(&r, 2, "denoise", "train", testkit_path(session, "crystal"), "--out", out, TINY,
	       "--force");
	kit_says(r.err, "messages of type crystal hold no images");
	kit_free(&r);
}

/* ---- crops that move ------------------------------------------------------------------------- */

#define CROPS 14

/* Particle 4 on frames 0 .. 8 without 5; particle 9 on 3 .. 7, and on 30 alone. Both move about. */
static const struct {
	uint64_t particle, frame;
} crops[CROPS] = { { 4, 0 }, { 4, 1 }, { 4, 2 }, { 4, 3 }, { 9, 3 }, { 4, 4 }, { 9, 4 },
		   { 9, 5 }, { 4, 6 }, { 9, 6 }, { 4, 7 }, { 9, 7 }, { 4, 8 }, { 9, 30 } };

static struct pn_crops_head crop_head(unsigned i)
{
	return (struct pn_crops_head){ .frame = crops[i].frame,
				       .particle = crops[i].particle,
				       .y0_px = 40 + (int64_t)(crops[i].frame * 7 % 11),
				       .x0_px = 60 - (int64_t)(crops[i].frame * 5 % 9),
				       .dtype = PN_F32,
				       .ny = SIDE,
				       .nx = SIDE,
				       .pixel_pm = 35.8,
				       .noise = NAN,
				       .snr_db = NAN,
				       .raw_snr_db = NAN };
}

static void draw_crop(float *image, unsigned i)
{
	struct pn_crops_head head = crop_head(i);
	struct pn_rng rng;

	pn_rng_init(&rng, 99, i);
	for (int k = 0; k < SIDE * SIDE; k++)
		image[k] = (float)(10 * sin(0.8 * (double)(head.x0_px + k % SIDE)) +
				   SIGMA * pn_rng_gauss(&rng));
}

static void write_crops(const char *folder)
{
	struct pn_log_config config = { .dir = folder, .engine = PN_ENGINE_PLAIN, .align = 64 };
	static float image[SIDE * SIDE];
	unsigned char bytes[PN_HEAD_BYTES_MAX];
	struct pn_log_recovery recovery;
	struct pn_log_writer *writer;
	struct pn_error err = { 0 };
	size_t head_bytes;

	if (pn_log_open(&writer, &config, &recovery, &err))
		fail_msg("%s", err.text);
	for (unsigned i = 0; i < CROPS; i++) {
		struct pn_crops_head head = crop_head(i);

		draw_crop(image, i);
		assert_int_equal(pn_head_encode(&pn_crops_schema, &head, bytes, sizeof bytes,
						&head_bytes, &err),
				 0);
		struct pn_msg msg = { .time_ns = (int64_t)i,
				      .head = bytes,
				      .head_bytes = (uint32_t)head_bytes,
				      .payload = image,
				      .payload_bytes = sizeof image };
		if (pn_log_append(writer, &msg, &err))
			fail_msg("%s", err.text);
	}
	assert_int_equal(pn_log_finish(writer, 1, &err), 0);
}

/* Crop @i as the network has it, its window made by hand. */
static void clean_by_hand(struct pn_denoiser *denoiser, unsigned i, float *out)
{
	static float images[CROPS][SIDE * SIDE];
	struct pn_window_frame frames[5] = { 0 };
	struct pn_crops_head own = crop_head(i);
	struct pn_error err = { 0 };

	for (unsigned k = 0; k < CROPS; k++) {
		struct pn_crops_head head = crop_head(k);
		int64_t place = 2 + (int64_t)head.frame - (int64_t)own.frame;

		if (head.particle != own.particle || place < 0 || place > 4)
			continue;
		draw_crop(images[k], k);
		frames[place] =
			(struct pn_window_frame){ k, images[k], (int)(own.y0_px - head.y0_px),
						  (int)(own.x0_px - head.x0_px) };
	}
	if (pn_denoiser_run(denoiser, frames, out, &err))
		fail_msg("%s", err.text);
}

/* What `apply` wrote for @particle, image by image. */
static void check_particle(struct pn_denoiser *denoiser, const char *path, uint64_t particle)
{
	static float is[SIDE * SIDE], wanted[SIDE * SIDE];
	struct pn_stack *stack;
	struct pn_error err = { 0 };
	uint64_t index = 0;

	if (pn_stack_open(&stack, path, &err))
		fail_msg("%s", err.text);
	for (unsigned i = 0; i < CROPS; i++) {
		if (crops[i].particle != particle)
			continue;
		assert_int_equal(pn_stack_read(stack, index++, is, &err), 0);
		if (crops[i].frame == 30)
			draw_crop(wanted, i);
		else
			clean_by_hand(denoiser, i, wanted);
		assert_memory_equal(is, wanted, sizeof is);
	}
	assert_int_equal(pn_stack_info(stack)->count, index);
	pn_stack_close(stack);
}

static void crops_that_move_and_are_missing(void **state)
{
	const char *folder = path_of("moving"), *out = path_of("crop-%p.npy");
	struct pn_denoiser *denoiser;
	struct pn_error err = { 0 };
	struct pn_weights w;
	struct pn_net *net;
	struct kit_result r;
	size_t bytes;

	(void)state;
	write_crops(folder);
	PERRIN(&r, 2, "denoise", "apply", folder, "--weights", weights, "--out", path_of("c.npy"));
	kit_says(r.err, "2 particles, a stack each: put %p where");
	kit_free(&r);
	PERRIN(&r, 0, "denoise", "apply", folder, "--weights", weights, "--out", out, "--json",
	       "--noise", "--memory-MiB", "0");
	assert_true(json_number(r.out, "images") == CROPS);
	assert_true(json_number(r.out, "stacks") == 2);
	assert_true(json_number(r.out, "alone") == 1);
	assert_true(json_number(r.out, "snr_db") > json_number(r.out, "raw_snr_db") + 5);
	kit_free(&r);
	assert_int_equal(pn_weights_read(&w, weights, &err), 0);
	assert_int_equal(pn_net_create(&net, &w.spec, pn_arith_best(), &err), 0);
	pn_net_load(net, w.params);
	assert_int_equal(pn_denoiser_create(&denoiser, net, SIDE, SIDE, w.offset, w.scale, &err),
			 0);
	check_particle(denoiser, path_of("crop-4.npy"), 4);
	check_particle(denoiser, path_of("crop-9.npy"), 9);
	pn_denoiser_destroy(denoiser);
	pn_net_destroy(net);
	pn_weights_free(&w);
	PERRIN(&r, 0, "denoise", "train", folder, "--out", path_of("moving.pnw"), TINY, "--steps",
	       "3");
	kit_says(r.out, "images       14 of 48x48 px, stream");
	kit_says(r.out, ", 4 runs");
	kit_free(&r);

	/* one record that cannot be read is left out, and told */
	const char *segment = path_of("moving/000000.seg");
	char *data = testkit_read(segment, &bytes);
	data[bytes / 2 + 3000] ^= 1; /* within pixels, not a header */
	testkit_write(segment, data, bytes);
	free(data);
	PERRIN(&r, 0, "denoise", "train", folder, "--out", path_of("moving.pnw"), TINY, "--steps",
	       "1", "--force");
	kit_says(r.out, "images       13 of 48x48 px");
	kit_says(r.out, "1 damaged records are left out");
	kit_free(&r);
}

/* ---- what cannot be done --------------------------------------------------------------------- */

static const char *write_values(const char *name, unsigned count, int side, float value, float last)
{
	const char *path = path_of(name);
	struct pn_stack_info info = { PN_F32, count, (uint64_t)side, (uint64_t)side, 0, "npy" };
	struct pn_stack_writer *writer;
	struct pn_error err = { 0 };
	float image[SIDE * SIDE];

	for (int i = 0; i < side * side; i++)
		image[i] = value + (float)(i % 3);
	if (value == 0)
		memset(image, 0, sizeof image);
	assert_int_equal(pn_stack_create(&writer, path, &info, &err), 0);
	for (unsigned k = 0; k < count; k++) {
		image[side * side / 2] = k + 1 < count ? image[0] : last;
		assert_int_equal(pn_stack_write(writer, image, &err), 0);
	}
	assert_int_equal(pn_stack_finish(writer, &err), 0);
	return path;
}

static void bad_images_are_told(void **state)
{
	const struct {
		const char *images, *says;
		int code;
	} rows[] = {
		{ path_of("nothing.npy"), "nothing.npy: No such file", 1 },
		{ write_fringes("single.npy", 1, SIDE, 0, 5, 3),
		  "single.npy: a window is of 5 images, the longest run without a gap has 1", 2 },
		{ write_values("constant.npy", 8, SIDE, 0, 0), "constant.npy: ", 1 },
		{ write_values("nan.npy", 8, SIDE, 5, NAN), "nan.npy: image 7: the value at 24 0",
		  1 },
		{ write_fringes("small.npy", 8, 7, 0, 5, 3),
		  "small.npy: images of 7 x 7 px: training needs 8 x 8", 2 },
		{ dir, "neither a session (session.json) nor a stream", 2 },
		{ weights, "tiny.pnw", 1 },
	};
	struct kit_result r;

	(void)state;
	for (unsigned i = 0; i < PN_COUNT(rows); i++) {
		PERRIN(&r, rows[i].code, "denoise", "train", rows[i].images, "--out",
		       testkit_path(dir, "not.pnw"), TINY, "--steps", "5");
		kit_says(r.err, rows[i].says);
		kit_free(&r);
	}
	struct stat st;
	assert_int_not_equal(stat(testkit_path(dir, "not.pnw"), &st), 0);
	assert_int_not_equal(stat(testkit_path(dir, "not.pnw.part"), &st), 0);
	/* and when they are to be denoised */
	PERRIN(&r, 1, "denoise", "apply", rows[3].images, "--weights", weights, "--out",
	       testkit_path(dir, "not.npy"));
	kit_says(r.err, "nan.npy: ");
	kit_says(r.err, "not finite");
	kit_free(&r);
	PERRIN(&r, 2, "denoise", "apply", rows[1].images, "--weights", weights, "--out",
	       testkit_path(dir, "not.npy"));
	kit_says(r.err, "single.npy: one image");
	kit_free(&r);
	assert_int_not_equal(stat(testkit_path(dir, "not.npy"), &st), 0);
	assert_int_not_equal(stat(testkit_path(dir, "not.npy.part"), &st), 0);
}

/* Smaller than what the network sees around a pixel: works, and is told. */
static void small_images_are_told(void **state)
{
	const char *small = write_fringes("sixteen.npy", 8, 16, 0, 5, 3);
	struct kit_result r;

	(void)state;
	PERRIN(&r, 0, "denoise", "train", small, "--out", path_of("sixteen.pnw"), TINY, "--steps",
	       "2");
	kit_says(r.out, "note         pieces of 16 px are smaller than");
	kit_says(r.out, "no two images of 32 px");
	kit_free(&r);
	PERRIN(&r, 0, "denoise", "apply", small, "--weights", path_of("sixteen.pnw"), "--out",
	       path_of("sixteen-clean.npy"));
	kit_says(r.out, "note         images of 16x16 px are smaller than");
	kit_free(&r);
}

static void bad_weights_are_told(void **state)
{
	const char *out = path_of("never.npy"), *bad = path_of("bad.pnw");
	struct kit_result r;
	size_t bytes;
	char *data = testkit_read(weights, &bytes);

	(void)state;
	PERRIN(&r, 1, "denoise", "apply", movie, "--weights", path_of("missing.pnw"), "--out", out);
	kit_says(r.err, "missing.pnw: No such file");
	kit_free(&r);
	PERRIN(&r, 1, "denoise", "apply", movie, "--weights", movie, "--out", out);
	kit_says(r.err, "movie.npy");
	kit_free(&r);
	testkit_write(bad, data, bytes - 9);
	PERRIN(&r, 1, "denoise", "apply", movie, "--weights", bad, "--out", out);
	kit_says(r.err, "bad.pnw");
	kit_free(&r);
	data[bytes / 2] ^= 4;
	testkit_write(bad, data, bytes);
	PERRIN(&r, 1, "denoise", "apply", movie, "--weights", bad, "--out", out);
	kit_says(r.err, "bad.pnw");
	kit_free(&r);
	free(data);
	PERRIN(&r, 1, "denoise", "train", movie, "--out", path_of("never.pnw"), "--from", bad);
	kit_says(r.err, "bad.pnw");
	kit_free(&r);
}

static void bad_words_are_told(void **state)
{
	const char *nowhere = path_of("no/such/folder/w.pnw");
	struct kit_result r;

	(void)state;
	PERRIN(&r, 2, "denoise", "train", movie, "--out", path_of("x.pnw"), "--preset", "slow");
	kit_says(r.err, "slow");
	kit_says(r.err, "auto");
	kit_free(&r);
	PERRIN(&r, 1, "denoise", "train", movie, "--out", nowhere);
	kit_says(r.err, "no/such/folder/w.pnw: No such file");
	kit_free(&r);
	PERRIN(&r, 1, "denoise", "train", movie, "--out", weights);
	kit_says(r.err, "is there already (--force replaces it)");
	kit_free(&r);
	PERRIN(&r, 2, "denoise", "train", movie, "--out", path_of("x.pnw"), "--curve", "c.gif");
	kit_says(r.err, "must end in .svg");
	kit_free(&r);
	PERRIN(&r, 2, "denoise", "train", movie, "--out", path_of("x.pnw"), "--channels", "12");
	kit_says(r.err, "channels = 12: must be a multiple of 8");
	kit_free(&r);
	PERRIN(&r, 2, "denoise", "train", movie, "--out", path_of("x.pnw"), "--spot-px", "2");
	kit_says(r.err, "must be odd");
	kit_free(&r);
	PERRIN(&r, 1, "denoise", "apply", movie, "--weights", weights, "--out",
	       path_of("no/such/folder/o.npy"));
	kit_says(r.err, "no/such/folder/o.npy: No such file");
	kit_free(&r);
	PERRIN(&r, 2, "denoise", "apply", movie, "--weights", weights, "--out", path_of("o.png"));
	kit_says(r.err, "must end in .npy, .mrc, .tif or .tiff");
	kit_free(&r);
	PERRIN(&r, 1, "denoise", "apply", movie, "--weights", weights, "--out", movie);
	kit_says(r.err, "is there already");
	kit_free(&r);
	write_fringes("wide.npy", 3, 64, 0, 1, 1);
	PERRIN(&r, 0, "denoise", "train", movie, "--out", path_of("wide.pnw"), TINY, "--steps", "1",
	       "--widening", "1", "--spot-px", "5", "--blocks", "3");
	kit_free(&r);
	PERRIN(&r, 2, "denoise", "apply", path_of("wide.npy"), "--weights", path_of("wide.pnw"),
	       "--out", path_of("o.npy"), "--tile-px", "32");
	kit_says(r.err, "tiles of 32 px");
	kit_free(&r);
}

static int make_movies(void **state)
{
	(void)state;
	dir = testkit_tempdir();
	movie = write_fringes("movie.npy", FRAMES, SIDE, 0.5, SIGMA, 11);
	truth = write_fringes("truth.npy", FRAMES, SIDE, 0.5, 0, 1);
	weights = path_of("tiny.pnw");
	/* two threads on layers this small, on a machine with other work, only wait for each other
	 */
	setenv("OMP_NUM_THREADS", "1", 1);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(noise_is_scored),
		cmocka_unit_test(simulated_movie),
		cmocka_unit_test(noise_is_taken_away),
		cmocka_unit_test(weights_know_where_they_come_from),
		cmocka_unit_test(formats_and_tiles_agree),
		cmocka_unit_test(threads_change_nothing),
		cmocka_unit_test(a_pause_leaves_no_trace),
		cmocka_unit_test(a_signal_leaves_no_trace),
		cmocka_unit_test(checkpoints_are_checked),
		cmocka_unit_test(other_ways_to_end_and_begin),
		cmocka_unit_test(sessions_are_read),
		cmocka_unit_test(crops_that_move_and_are_missing),
		cmocka_unit_test(bad_images_are_told),
		cmocka_unit_test(small_images_are_told),
		cmocka_unit_test(bad_weights_are_told),
		cmocka_unit_test(bad_words_are_told),
	};

	return cmocka_run_group_tests(tests, make_movies, NULL);
}
