/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin denoise train - the network learns from the noisy images themselves. */
#include "denoise.h"

#include "common/session.h"
#include "common/text.h"
#include "perrin/base/clock.h"
#include "perrin/denoise/live.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LEVEL_LOOKS 50 /* in a training whose length is known */

static const char *const shared_choices[] = { "preset", "no", "yes", NULL };

#define OFF(field) offsetof(struct pn_train_flags, field)
#define NET(field) offsetof(struct pn_net_flags, field)
#define OF_NET(name_, max_, help_)                                                        \
	{                                                                                 \
		.name = #name_, .help = help_ "; -1: the preset's", .type = PN_PARAM_I64, \
		.off = NET(name_), .def = -1, .min = -1, .max = max_                      \
	}

static const struct pn_param net_params[] = {
	OF_NET(frames, PN_NET_FRAMES_MAX, "frames of the window: 1, 3, 5, 7"),
	OF_NET(blocks, PN_NET_BLOCKS_MAX, "fusion blocks"),
	OF_NET(channels, 64, "channels of a branch, a multiple of 8"),
	{ .name = "shared",
	  .help = "whether the branches of all frames share their weights",
	  .type = PN_PARAM_ENUM,
	  .off = NET(shared),
	  .choices = shared_choices },
	OF_NET(neighbor_channels, 64, "channels by which a neighbour enters; 0: all"),
	OF_NET(tap_channels, 64, "channels collected from each block"),
	OF_NET(head1, 256, "channels of the head's first layer; 0: none"),
	OF_NET(head2, 256, "channels of the head's second layer; 0: none"),
	OF_NET(widening, PN_NET_BLOCKS_MAX,
	       "convolutions after which the dilation grows; 0: never"),
	{ 0 },
};

/* clang-format off */
static const struct pn_param params[] = {
	{ .name = "images", .help = "stack (.npy, MRC, TIFF), session or stream",
	  .type = PN_PARAM_TEXT, .off = OFF(images), .positional = 1, .required = 1 },
	{ .name = "out", .unit = "FILE", .help = "the weights", .type = PN_PARAM_TEXT,
	  .off = OFF(out), .required = 1 },
	{ .name = "stream", .help = "of a session: crops, or frames for whole frames",
	  .type = PN_PARAM_TEXT, .off = OFF(stream), .def_text = "crops" },
	{ .name = "preset", .help = "network; auto: live where the processor has tiles, else fast",
	  .type = PN_PARAM_ENUM, .off = OFF(preset), .choices = pn_live_presets },
	{ .name = "spot_px", .unit = "px",
	  .help = "side of the blind spot: 1, 3, 5; 0: from the correlation of the noise",
	  .type = PN_PARAM_I64, .off = OFF(spot_px), .max = 5 },
	{ .name = "spot_limit", .help = "correlation of the noise outside the spot that is let pass",
	  .type = PN_PARAM_F64, .off = OFF(spot_limit), .def = 0.1, .min = 1e-3, .max = 1 },
	{ .name = "net", .off = OFF(net), .group = net_params },
	{ .name = "from", .unit = "FILE", .help = "weights to begin with, and their network",
	  .type = PN_PARAM_TEXT, .off = OFF(from) },
	{ .name = "train", .off = OFF(train), .group = pn_train_params },
	{ .name = "epochs", .help = "length in place of steps: windows for each image; 0: by steps",
	  .type = PN_PARAM_F64, .off = OFF(epochs), .max = 1e9 },
	{ .name = "stop_when_levelled", .help = "end earlier if the validation does not fall any more",
	  .type = PN_PARAM_BOOL, .off = OFF(stop_when_levelled) },
	{ .name = "level_window", .help = "validations that are compared with as many before",
	  .type = PN_PARAM_I64, .off = OFF(level_window), .def = 5, .min = 2, .max = PN_LEVEL_MAX },
	{ .name = "level_gain", .help = "relative gain below which it has levelled",
	  .type = PN_PARAM_F64, .off = OFF(level_gain), .def = 0.002, .max = 1 },
	{ .name = "validate", .help = "windows to validate on, the same ones each time",
	  .type = PN_PARAM_I64, .off = OFF(validate), .def = 8, .min = 1, .max = 65536 },
	{ .name = "validate_every", .help = "steps between; 0: a fiftieth of all, at least 10",
	  .type = PN_PARAM_I64, .off = OFF(validate_every), .max = 1e12 },
	{ .name = "arith", .help = "numbers to compute in; auto: bf16 where the processor has tiles",
	  .type = PN_PARAM_ENUM, .off = OFF(arith), .choices = pn_arith_choices },
	{ .name = "checkpoint", .unit = "FILE", .help = "written now and then, and when interrupted",
	  .type = PN_PARAM_TEXT, .off = OFF(checkpoint) },
	{ .name = "checkpoint_s", .unit = "s", .help = "time between checkpoints",
	  .type = PN_PARAM_F64, .off = OFF(checkpoint_s), .def = 60, .min = 0.1, .max = 1e6 },
	{ .name = "resume", .help = "go on from the checkpoint: the bytes are those of one run",
	  .type = PN_PARAM_BOOL, .off = OFF(resume) },
	{ .name = "pause_after", .help = "steps of this run, then as if interrupted; 0: none",
	  .type = PN_PARAM_I64, .off = OFF(pause_after), .max = 1e12 },
	{ .name = "memory_MiB", .unit = "MiB", .help = "to keep images in; others are read again",
	  .type = PN_PARAM_I64, .off = OFF(memory_MiB), .def = 4096, .max = 1e7 },
	{ .name = "curve", .unit = "FILE", .help = "the losses over the steps as a picture, .svg",
	  .type = PN_PARAM_TEXT, .off = OFF(curve) },
	{ .name = "force", .help = "replace files that are there", .type = PN_PARAM_BOOL,
	  .off = OFF(force) },
	{ .name = "json", .help = "print the report as JSON", .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ 0 },
};
/* clang-format on */

/* ---- network ------------------------------------------------------------------------------- */

/* The flags that were given, into the spec; returns how many there were. */
static int override(struct pn_net_spec *spec, const struct pn_net_flags *flags)
{
	struct {
		int64_t *field, value;
	} rows[] = {
		{ &spec->frames, flags->frames },
		{ &spec->blocks, flags->blocks },
		{ &spec->channels, flags->channels },
		{ &spec->neighbor_channels, flags->neighbor_channels },
		{ &spec->tap_channels, flags->tap_channels },
		{ &spec->head1, flags->head1 },
		{ &spec->head2, flags->head2 },
		{ &spec->widening, flags->widening },
	};
	int count = 0;

	for (unsigned i = 0; i < PN_COUNT(rows); i++) {
		if (rows[i].value < 0)
			continue;
		*rows[i].field = rows[i].value;
		count++;
	}
	if (flags->shared)
		spec->shared = flags->shared == 2;
	return count + (flags->shared != 0);
}

/* ---- files --------------------------------------------------------------------------------- */

static int check_out(const char *path, int force, struct pn_error *err)
{
	int rc = path[0] ? pn_path_free(path, force, err) : PN_OK;

	return rc || !path[0] ? rc : pn_out_writable(path, err);
}

/* Whether what will come out can be written, before anything is computed. */
static int check_files(const struct pn_train_flags *flags, struct pn_error *err)
{
	size_t length = strlen(flags->curve);

	struct pn_net_spec unused = { 0 };

	if (flags->from[0] && (flags->preset || flags->spot_px || override(&unused, &flags->net)))
		return pn_error_set(err, PN_EARG,
				    "from = %s: the network is that of these weights; no preset, "
				    "spot or layer can be given with it",
				    flags->from);
	if (flags->resume && !flags->checkpoint[0])
		return pn_error_set(err, PN_EARG, "resume: say from where: --checkpoint FILE");
	if (flags->resume && flags->from[0])
		return pn_error_set(err, PN_EARG, "resume goes on from the checkpoint, not from %s",
				    flags->from);
	if (length && (length < 5 || strcmp(flags->curve + length - 4, ".svg")))
		return pn_error_set(err, PN_EARG, "curve = %s: must end in .svg", flags->curve);
	/* what a resumed run replaces is its own */
	int replace = flags->force || flags->resume;
	int rc = check_out(flags->out, replace, err);
	if (!rc)
		rc = check_out(flags->checkpoint, replace, err);
	return rc ? rc : check_out(flags->curve, replace, err);
}

/* ---- trainer ------------------------------------------------------------------------------- */

static int choose_network(struct pn_training *t, struct pn_error *err)
{
	const struct pn_train_flags *flags = t->flags;

	t->network = pn_live_presets[flags->preset];
	if (flags->preset == 0)
		t->network = t->arith == PN_ARITH_F32 ? "fast" : "live";
	t->spec = pn_preset_find(t->network)->spec;
	override(&t->spec, &flags->net);
	t->spec.spot_px = flags->spot_px;
	if (!t->spec.spot_px) {
		int rc = pn_images_noise(t->images, &t->noise, err);

		if (rc)
			return rc;
		t->spec.spot_px = pn_noise_spot_px(&t->noise, flags->spot_limit);
		t->spot_measured = 1;
	}
	return pn_net_layout_make(&t->layout, &t->spec, err);
}

static int create_trainer(struct pn_training *t, struct pn_error *err)
{
	int rc = choose_network(t, err);

	if (!rc)
		rc = pn_trainer_create(&t->trainer, &t->spec, t->arith, &t->settings, err);
	if (!rc && !t->flags->resume) {
		rc = pn_trainer_standardize(t->trainer, &t->source, err);
		if (rc)
			pn_error_wrap(err, "%s", t->flags->images);
	}
	return rc;
}

/* The network of earlier weights. */
static int start_from(struct pn_training *t, struct pn_error *err)
{
	struct pn_weights before;
	int rc = pn_weights_read(&before, t->flags->from, err);
	if (rc)
		return rc;
	t->network = t->flags->from;
	t->spec = before.spec;
	rc = pn_net_layout_make(&t->layout, &t->spec, err);
	if (!rc)
		rc = pn_trainer_create(&t->trainer, &t->spec, t->arith, &t->settings, err);
	if (!rc)
		pn_trainer_start_from(t->trainer, before.params, before.offset, before.scale);
	pn_weights_free(&before);
	return rc;
}

/* ---- images -------------------------------------------------------------------------------- */

static int open_images(struct pn_training *t, struct pn_error *err)
{
	const struct pn_train_flags *flags = t->flags;
	int rc = pn_images_open(&t->images, flags->images, flags->stream,
				(uint64_t)flags->memory_MiB << 20, err);

	if (rc)
		return rc;
	t->info = pn_images_info(t->images);
	t->source = pn_images_source(t->images);
	t->settings = flags->train;
	if (flags->epochs > 0)
		t->settings.steps = (int64_t)ceil(flags->epochs * (double)t->info.count /
						  (double)t->settings.batch);
	if (t->info.ny_max >= 8 && t->info.nx_max >= 8)
		return PN_OK;
	return pn_error_set(err, PN_EARG, "%s: images of %d x %d px: training needs 8 x 8 at least",
			    flags->images, t->info.ny_max, t->info.nx_max);
}

/* Windows of a step: whole clips, of one window each where no run has the length for more. */
static void count_windows(struct pn_training *t)
{
	int64_t batch = t->settings.batch;
	int64_t targets = t->settings.targets < batch ? t->settings.targets : batch;

	if (t->info.longest_run < (uint64_t)(t->spec.frames + targets - 1))
		targets = 1;
	t->step_windows = (uint64_t)((batch + targets - 1) / targets * targets);
}

static int check_window(const struct pn_training *t, struct pn_error *err)
{
	if (t->info.longest_run >= (uint64_t)t->spec.frames)
		return PN_OK;
	return pn_error_set(err, PN_EARG,
			    "%s: a window is of %" PRId64
			    " images, the longest run without a gap has %" PRIu64 " (of %" PRIu64
			    " images)",
			    t->flags->images, t->spec.frames, t->info.longest_run, t->info.count);
}

/* ---- steps --------------------------------------------------------------------------------- */

double pn_training_loss(const struct pn_training *training)
{
	return training->at->weight > 0 ? training->at->loss / training->at->weight : NAN;
}

static int look(struct pn_training *t, struct pn_error *err)
{
	struct pn_training_standing *at = t->at;
	int rc = pn_trainer_validate(t->trainer, &t->source, 0, (int)t->flags->validate,
				     &at->validation, err);
	struct pn_weights *history;

	if (rc)
		return rc;
	at->validated = at->steps;
	pn_level_add(&at->level, at->validation);
	at->levelled =
		pn_level_reached(&at->level, (int)t->flags->level_window, t->flags->level_gain);
	/* the thinning is that of weights */
	history = calloc(1, sizeof *history);
	if (!history)
		return pn_error_set(err, PN_ENOMEM, "no memory");
	history->curve_count = at->looks;
	memcpy(history->curve_step, at->look_step, sizeof at->look_step);
	memcpy(history->curve_loss, at->look_loss, sizeof at->look_loss);
	pn_weights_curve_add(history, (double)at->steps, at->validation);
	at->looks = history->curve_count;
	memcpy(at->look_step, history->curve_step, sizeof at->look_step);
	memcpy(at->look_loss, history->curve_loss, sizeof at->look_loss);
	free(history);
	return PN_OK;
}

static void show(struct pn_training *t)
{
	const struct pn_training_standing *at = t->at;
	char line[512], loss[PN_TEXT_SHORT], validation[PN_TEXT_SHORT], rate[PN_TEXT_SHORT];
	char left[PN_TEXT_SHORT], of[PN_TEXT_SHORT] = "";
	double passed_s = (double)(pn_now_ns() - t->start_ns) / 1e9;
	double steps = (double)(at->steps - t->start_steps);

	if (!pn_progress_due(&t->progress))
		return;
	if (t->settings.steps)
		snprintf(of, sizeof of, "/%" PRId64, t->settings.steps);
	snprintf(line, sizeof line, "step %" PRIu64 "%s  loss %s  validation %s  %s windows/s",
		 at->steps, of, pn_text_fixed(loss, pn_training_loss(t), 4),
		 pn_text_fixed(validation, at->validation, 4),
		 pn_text_rate(rate, steps * (double)t->step_windows / fmax(passed_s, 1e-9)));
	if (t->settings.steps && steps > 0) {
		double left_s =
			(double)((uint64_t)t->settings.steps - at->steps) * passed_s / steps;

		pn_text_append(line, sizeof line, "  ", NULL);
		pn_text_append(line, sizeof line, pn_text_duration(left, (int64_t)(left_s * 1e9)),
			       NULL);
		pn_text_append(line, sizeof line, " left", NULL);
	}
	pn_progress_line(&t->progress, line);
}

static int one_step(struct pn_training *t, struct pn_error *err)
{
	struct pn_training_standing *at = t->at;
	int64_t every = t->flags->validate_every;
	double loss, share = 0.02;
	int rc = pn_trainer_step(t->trainer, &t->source, &loss, err);

	if (rc)
		return rc;
	at->steps++;
	at->windows += t->step_windows;
	if (isfinite(loss)) {
		at->loss += share * (loss - at->loss);
		at->weight += share * (1 - at->weight);
		pn_loss_curve_add(&at->curve, at->steps, loss);
	}
	if (!every)
		every = t->settings.steps > 10 * LEVEL_LOOKS ? t->settings.steps / LEVEL_LOOKS
			: t->settings.steps                  ? 10
							     : 100;
	if (at->steps % (uint64_t)every == 0)
		rc = look(t, err);
	return rc;
}

/* Whether it is over, and why. */
static int ended(struct pn_training *t)
{
	const struct pn_train_flags *flags = t->flags;
	const struct timespec now = { 0, 0 };

	if (t->settings.steps && t->at->steps >= (uint64_t)t->settings.steps)
		t->end = PN_ENDED_STEPS;
	else if (flags->stop_when_levelled && t->at->levelled)
		t->end = PN_ENDED_LEVELLED;
	else if (flags->pause_after &&
		 t->at->steps - t->start_steps >= (uint64_t)flags->pause_after)
		t->end = PN_ENDED_PAUSE;
	else if (sigtimedwait(&t->signals, NULL, &now) > 0)
		t->end = PN_ENDED_SIGNAL;
	else
		return 0;
	return 1;
}

static int save_when_due(struct pn_training *t, int now, struct pn_error *err)
{
	const struct pn_train_flags *flags = t->flags;
	int64_t now_ns = pn_now_ns();

	if (!flags->checkpoint[0] ||
	    (!now && (double)(now_ns - t->saved_ns) < flags->checkpoint_s * 1e9))
		return PN_OK;
	t->saved_ns = now_ns;
	return pn_training_save(t, flags->checkpoint, err);
}

static int train(struct pn_training *t, struct pn_error *err)
{
	int rc = PN_OK;

	t->start_s = t->at->seconds;
	t->start_ns = t->saved_ns = pn_now_ns();
	t->start_steps = t->at->steps;
	while (!rc && !ended(t)) {
		rc = one_step(t, err);
		t->at->seconds = t->start_s + (double)(pn_now_ns() - t->start_ns) / 1e9;
		if (!rc)
			rc = save_when_due(t, 0, err);
		if (!rc)
			show(t);
	}
	/* an interrupted training is to go on as if nothing had been: no look then */
	if (!rc && t->end <= PN_ENDED_LEVELLED && t->at->validated != t->at->steps)
		rc = look(t, err);
	pn_progress_clear(&t->progress);
	return rc;
}

/* ---- the command --------------------------------------------------------------------------- */

static int write_all(struct pn_training *t, struct pn_error *err)
{
	int rc = save_when_due(t, 1, err);

	if (!rc)
		rc = pn_training_weights(t, t->flags->out, err);
	if (!rc && t->flags->curve[0])
		rc = pn_training_curve(t, t->flags->curve, err);
	if (!rc)
		pn_training_report(t);
	return rc;
}

static int prepare(struct pn_training *t, struct pn_error *err)
{
	int rc = open_images(t, err);

	if (rc)
		return rc;
	t->arith = pn_arith_chosen(t->flags->arith);
	rc = t->flags->from[0] ? start_from(t, err) : create_trainer(t, err);
	if (!rc)
		rc = check_window(t, err);
	if (!rc && t->flags->resume)
		rc = pn_training_resume(t, t->flags->checkpoint, err);
	count_windows(t);
	return rc;
}

static int run_train(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	struct pn_training t = { .flags = arg, .at = calloc(1, sizeof *t.at) };
	sigset_t old;

	(void)extra, (void)extra_count;
	if (!t.at)
		return pn_error_set(err, PN_ENOMEM, "no memory");
	t.at->validation = NAN;
	/* before the first thread, so that none is woken by them */
	sigemptyset(&t.signals);
	sigaddset(&t.signals, SIGINT);
	sigaddset(&t.signals, SIGTERM);
	sigaddset(&t.signals, SIGHUP);
	sigprocmask(SIG_BLOCK, &t.signals, &old);
	int rc = check_files(t.flags, err);
	if (!rc) {
		rc = prepare(&t, err);
		if (!rc) {
			pn_training_begin(&t);
			rc = train(&t, err);
			rc = rc ? pn_error_wrap(err, "%s", t.flags->images) : write_all(&t, err);
		}
	}
	pn_trainer_destroy(t.trainer);
	pn_images_close(t.images);
	free(t.at);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return rc;
}

const struct pn_command pn_denoise_train = {
	.name = "train",
	.brief = "train a network on noisy images alone",
	.usage = "IMAGES --out WEIGHTS [--preset P] [--steps N] [flags]",
	.params = params,
	.options_size = sizeof(struct pn_train_flags),
	.run = run_train,
};
