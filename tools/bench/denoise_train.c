/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A step of training, in pieces that all threads have memory for. */
#include "denoise.h"

#include "perrin/base/clock.h"
#include "perrin/denoise/train.h"
#include "perrin/stream/hash.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define STEP_PX    (16.0 * 256 * 256) /* what the time is given for: a batch of 16 x 256^2 */
#define TARGETS    4                  /* windows of a clip, with shared branches */
#define PASSES     16                 /* of the ceiling: a thread waits for others once a step */
#define CLIPS_MAX  16                 /* as many as a trainer computes at a time */
#define SIDE_MAX   256
#define SIDE_MIN   64 /* or the taps look at little but the border */
#define SIDE_STEP  32
#define MEMORY_MAX (INT64_C(5) << 28) /* bytes of all clips, by their maps: 1.25 GiB */
#define CASE_S     1.5

/* What a network keeps and computes for each pixel: of an image, and of a window. */
struct per_px {
	double image_channels, window_channels;
	double image_mac, window_mac;
};

struct training {
	struct pn_trainer *trainer;
	struct pn_train_source source;
	float *movie; /* [images][side][side] */
	int images, side, clips, targets;
	double pixels; /* of a step */
	double flop;
	int rc;
	struct pn_error err;
};

/* ---- how large ------------------------------------------------------------------------------ */

static struct per_px per_px_of(const struct pn_net_layout *layout)
{
	struct per_px all = { 0 };

	for (int i = 0; i < layout->layer_count; i++) {
		const struct pn_layer *layer = &layout->layers[i];
		int of_image = layer->role == PN_ROLE_STEM || layer->role == PN_ROLE_BRANCH ||
			       layer->role == PN_ROLE_PROJECT;

		*(of_image ? &all.image_channels : &all.window_channels) +=
			(double)layer->bias_count;
		*(of_image ? &all.image_mac : &all.window_mac) += (double)layer->weight_count;
	}
	return all;
}

/* Images of a clip as a network with shared branches sees them; else each window has its own. */
static int sets_of(const struct pn_net_spec *spec, int targets)
{
	return spec->shared ? targets + (int)spec->frames - 1 : targets;
}

/* The largest pieces, by what their maps take: features with gradients, and the windows. */
static int side_that_fits(const struct per_px *per_px, int sets, int targets, int clips)
{
	double value_bytes = pn_arith_best() == PN_ARITH_F32 ? 4 : 2;
	double bytes =
		value_bytes * clips *
		(2 * sets * per_px->image_channels + (targets + 1) * per_px->window_channels);
	int side = SIDE_MAX;

	while (side > SIDE_MIN && bytes * side * side > (double)MEMORY_MAX)
		side -= SIDE_STEP;
	return side;
}

/* ---- what is trained on --------------------------------------------------------------------- */

static void place(void *arg, uint64_t image, struct pn_train_place *at)
{
	const struct training *t = arg;

	(void)image;
	*at = (struct pn_train_place){ .ny = t->side, .nx = t->side };
}

static int read_piece(void *arg, uint64_t image, int y, int x, int ny, int nx, float *out,
		      struct pn_error *err)
{
	const struct training *t = arg;
	const float *from = t->movie + (size_t)image * (size_t)t->side * (size_t)t->side;

	(void)err;
	for (int row = 0; row < ny; row++)
		memcpy(out + (ptrdiff_t)row * nx, from + (ptrdiff_t)(y + row) * t->side + x,
		       (size_t)nx * sizeof *out);
	return PN_OK;
}

static int make_movie(struct training *t, struct pn_error *err)
{
	size_t side = (size_t)t->side;

	t->movie = malloc((size_t)t->images * side * side * sizeof *t->movie);
	if (!t->movie)
		return pn_error_set(err, PN_ENOMEM, "no memory for %d images", t->images);
	for (int i = 0; i < t->images; i++)
		bench_particle(t->movie + (size_t)i * side * side, side, side, t->side / 2.0 + i,
			       t->side / 2.0 - i, (uint64_t)i);
	t->source = (struct pn_train_source){
		.arg = t, .count = (uint64_t)t->images, .place = place, .read = read_piece
	};
	return PN_OK;
}

/* ---- one network ---------------------------------------------------------------------------- */

static void step(void *arg)
{
	struct training *t = arg;
	double loss;
	int rc = pn_trainer_step(t->trainer, &t->source, &loss, &t->err);

	t->rc = rc ? rc : t->rc;
}

/* Through with a first step, which takes memory. */
static int training_make(struct training *t, const struct pn_preset *preset, int threads, int small,
			 struct pn_error *err)
{
	struct pn_train_settings settings = { 0 };
	struct pn_net_layout layout;
	int rc = pn_net_layout_make(&layout, &preset->spec, err);

	if (rc)
		return rc;
	struct per_px per_px = per_px_of(&layout);
	t->clips = threads < CLIPS_MAX ? threads : CLIPS_MAX;
	t->targets = preset->spec.shared ? TARGETS : 1;
	t->images = t->targets + (int)preset->spec.frames - 1;
	int sets = sets_of(&preset->spec, t->targets), windows = t->clips * t->targets;
	t->side = small ? 16 : side_that_fits(&per_px, sets, t->targets, t->clips);
	t->pixels = (double)windows * t->side * t->side;
	t->flop = 6 * t->pixels * (per_px.window_mac + per_px.image_mac * sets / t->targets);

	pn_params_default(pn_train_params, &settings);
	settings.crop_px = t->side;
	settings.batch = windows;
	settings.targets = t->targets;
	rc = pn_trainer_create(&t->trainer, &preset->spec, pn_arith_best(), &settings, err);
	if (!rc)
		rc = make_movie(t, err);
	if (!rc)
		rc = pn_trainer_standardize(t->trainer, &t->source, err);
	if (!rc) {
		omp_set_num_threads(t->clips);
		step(t);
		rc = t->rc;
		*err = rc ? t->err : *err;
	}
	return rc;
}

static void add_training(struct bench *bench, const char *preset, const struct training *t,
			 double rate, double bare_flop, uint64_t hash)
{
	double scale = STEP_PX / t->pixels;
	struct bench_result *result =
		bench_add(bench, scale / rate, "s", "denoise/%s/training step", preset);

	bench_ceiling(result, BENCH_BARE_NAME, scale * t->flop / bare_flop);
	result->hash = hash;
	bench_note(result,
		   "batch 16 x 256^2, scaled from %d clips of %d x %d^2; %s, %d %s, %.1f of %.1f "
		   "GFLOP/s forward and backward; ratio: times as long",
		   t->clips, t->targets, t->side, pn_arith_words[pn_arith_best()], t->clips,
		   t->clips == 1 ? "thread" : "threads", t->flop * rate * 1e-9, bare_flop * 1e-9);
}

static int measure(struct bench *bench, const struct pn_preset *preset, int threads,
		   struct pn_error *err)
{
	double rate[BENCH_TURNS_MAX], ceiling[BENCH_TURNS_MAX];
	struct training t = { 0 };
	struct bench_bare bare = { 0 };
	unsigned turn = 0;
	int rc = training_make(&t, preset, threads, bench->small, err);

	if (!rc)
		rc = bench_bare_create(&bare, t.side, t.side, PASSES, err);
	if (!rc) {
		struct pn_trained trained = pn_trainer_result(t.trainer);
		uint64_t hash = pn_hash64(trained.params,
					  trained.layout->param_count * sizeof *trained.params, 0);
		int64_t start_ns = pn_now_ns();

		for (; !bench_enough(bench, turn, start_ns, CASE_S); turn++) {
			ceiling[turn] = bench_threads_rate(bench_bare_step, &bare, t.clips,
							   bench->small ? 0.002 : 0.2);
			rate[turn] = bench_threads_rate(step, &t, t.clips, 0);
		}
		add_training(bench, preset->name, &t, bench_median(rate, turn),
			     bare.flop * bench_median(ceiling, turn), hash);
		rc = t.rc;
		*err = rc ? t.err : *err;
	}
	bench_bare_destroy(&bare);
	pn_trainer_destroy(t.trainer);
	free(t.movie);
	return rc;
}

int bench_train(struct bench *bench, int threads, struct pn_error *err)
{
	int rc = PN_OK;

	for (const struct pn_preset *preset = pn_presets; preset->name && !rc; preset++)
		rc = measure(bench, preset, threads, err);
	return rc;
}
