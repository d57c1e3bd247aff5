/* SPDX-License-Identifier: GPL-3.0-or-later */
/* denoise_report.c - what a training says: what on what, how it went, the curve of its losses. */
#include "denoise.h"

#include "common/text.h"
#include "perrin/base/json.h"
#include "report/report.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CURVE_WIDTH_PX  720
#define CURVE_HEIGHT_PX 400

static const char *const ends[] = { "steps", "levelled", "pause", "signal" };

/* ---- curve --------------------------------------------------------------------------------- */

void pn_loss_curve_add(struct pn_loss_curve *curve, uint64_t step, double loss)
{
	if (!curve->stretch)
		curve->stretch = 1;
	curve->sum += loss;
	if (++curve->summed < (double)curve->stretch)
		return;
	if (curve->count == PN_LOSS_POINTS) {
		for (uint64_t i = 0; i < PN_LOSS_POINTS / 2; i++) {
			curve->step[i] = (curve->step[2 * i] + curve->step[2 * i + 1]) / 2;
			curve->loss[i] = (curve->loss[2 * i] + curve->loss[2 * i + 1]) / 2;
		}
		curve->count /= 2;
		curve->stretch *= 2;
		return; /* the stretch under way has become longer */
	}
	/* the middle of the stretch */
	curve->step[curve->count] = (double)step - (curve->summed - 1) / 2;
	curve->loss[curve->count++] = curve->sum / curve->summed;
	curve->sum = curve->summed = 0;
}

int pn_training_curve(const struct pn_training *training, const char *path, struct pn_error *err)
{
	const struct pn_training_standing *at = training->at;
	char name[64] = "batches";
	struct report_series series[2] = {
		{ .name = name,
		  .kind = REPORT_LINE,
		  .color = 1,
		  .count = at->curve.count,
		  .x = at->curve.step,
		  .y = at->curve.loss },
		{ .name = "validation",
		  .kind = REPORT_MARKED,
		  .color = 2,
		  .count = at->looks,
		  .x = at->look_step,
		  .y = at->look_loss },
	};
	struct report_plot plot = { .title = "Loss over the steps of the training",
				    .x = { .title = "Step" },
				    .y = { .title = "Loss (variance of the images = 1)" },
				    .series = series,
				    .series_count = 2 };
	FILE *file = fopen(path, "we");

	if (!file)
		return pn_error_errno(err, errno, "%s", path);
	if (at->curve.stretch > 1)
		snprintf(name, sizeof name, "batches, means of %" PRIu64 " steps",
			 at->curve.stretch);
	int rc = report_svg(file, &plot, CURVE_WIDTH_PX, CURVE_HEIGHT_PX, err);
	int bad = ferror(file);
	if ((fclose(file) || bad) && !rc)
		rc = pn_error_errno(err, errno ? errno : EIO, "%s", path);
	if (rc)
		unlink(path);
	return rc;
}

/* ---- before -------------------------------------------------------------------------------- */

/* Largest magnitude of the correlations @distance px away (Chebyshev), with its sign. */
static double correlation_at(const struct pn_noise *noise, int distance)
{
	double largest = 0;

	for (int dy = -distance; dy <= distance; dy++)
		for (int dx = -distance; dx <= distance; dx++) {
			int far = abs(dy) > abs(dx) ? abs(dy) : abs(dx);
			double c = far == distance ? pn_noise_correlation(noise, dy, dx) : 0;

			if (fabs(c) > fabs(largest))
				largest = c;
		}
	return largest;
}

static void print_spot(const struct pn_training *t)
{
	printf("blind spot   %" PRId64 " px: ", t->spec.spot_px);
	if (!t->spot_measured)
		printf("%s\n", t->flags->from[0] ? "as in the weights" : "as told");
	else if (t->noise.pairs < 1)
		printf("no two images of %d px that differ to measure the noise on\n",
		       PN_SPOT_SIDE_PX);
	else
		printf("the noise correlates by %.3f at 1 px, %.3f at 2 px, %.3f at 3 px (%g pairs "
		       "of images, limit %g)\n",
		       correlation_at(&t->noise, 1), correlation_at(&t->noise, 2),
		       correlation_at(&t->noise, 3), t->noise.pairs, t->flags->spot_limit);
}

/* Sides of the pieces that the images can give. */
static int64_t piece_px(const struct pn_training *t)
{
	int64_t side = t->info.ny_max < t->info.nx_max ? t->info.ny_max : t->info.nx_max;

	return side >= t->settings.crop_px ? t->settings.crop_px : side - side % 8;
}

void pn_training_begin(const struct pn_training *t)
{
	const struct pn_net_spec *s = &t->spec;

	if (t->flags->json)
		return;
	printf("images       %" PRIu64 " of %dx%d px, %s %s", t->info.count, t->info.ny_max,
	       t->info.nx_max, strcmp(t->info.kind, "stack") ? "stream" : "stack", t->info.source);
	if (t->info.runs > 1)
		printf(", %" PRIu64 " runs", t->info.runs);
	if (t->info.damaged)
		printf("; %" PRIu64 " damaged records are left out", t->info.damaged);
	printf("\nnetwork      %s: %" PRId64 " frames, %" PRId64 " blocks, %" PRId64
	       " channels%s; %zu parameters, sees %d px around\n",
	       t->network, s->frames, s->blocks, s->channels, s->shared ? ", shared" : "",
	       t->layout.param_count, t->layout.field_px);
	print_spot(t);
	if (piece_px(t) < 2 * t->layout.field_px + 1)
		printf("note         pieces of %" PRId64
		       " px are smaller than the %d px that the network sees\n",
		       piece_px(t), 2 * t->layout.field_px + 1);
	fflush(stdout);
}

/* ---- after --------------------------------------------------------------------------------- */

struct speed {
	double seconds, windows_per_s, gflops;
};

/* Of this run; forward and backward are three times the forward pass. */
static struct speed speed_of(const struct pn_training *t)
{
	double windows = (double)(t->at->steps - t->start_steps) * (double)t->step_windows;
	double seconds = t->at->seconds - t->start_s;
	double per_s = seconds > 0 ? windows / seconds : 0, side = (double)piece_px(t);

	return (struct speed){ seconds, per_s,
			       3 * 2 * t->layout.mac_per_px * side * side * per_s / 1e9 };
}

static void print_text(const struct pn_training *t)
{
	const struct pn_training_standing *at = t->at;
	struct speed speed = speed_of(t);
	uint64_t rejected = pn_trainer_result(t->trainer).rejected;
	char duration[PN_TEXT_SHORT], rate[PN_TEXT_SHORT], a[PN_TEXT_SHORT], b[PN_TEXT_SHORT];
	static const char *const why[] = { "", ", levelled", ", paused", ", interrupted" };

	printf("steps        %" PRIu64, at->steps);
	if (t->settings.steps)
		printf(" of %" PRId64, t->settings.steps);
	printf("%s, %" PRIu64 " windows of %" PRId64 " px, %s", why[t->end], at->windows,
	       piece_px(t), pn_arith_words[t->arith]);
	if (rejected)
		printf("; %" PRIu64 " without effect, their gradients were not finite", rejected);
	printf("\nloss         %s (mean of the last steps), validation %s\n",
	       pn_text_fixed(a, pn_training_loss(t), 5), pn_text_fixed(b, at->validation, 5));
	printf("speed        %s windows/s, %.1f GFLOP/s, %s\n",
	       pn_text_rate(rate, speed.windows_per_s), speed.gflops,
	       pn_text_duration(duration, (int64_t)(speed.seconds * 1e9)));
	printf("weights      %s\n", t->flags->out);
	if (t->end >= PN_ENDED_PAUSE && t->flags->checkpoint[0])
		printf("go on with   --resume (checkpoint %s)\n", t->flags->checkpoint);
}

static void json_network(struct pn_json *json, const struct pn_training *t)
{
	const struct pn_net_spec *s = &t->spec;

	pn_json_object(json, "network");
	pn_json_text(json, "name", t->network);
	for (const struct pn_param *row = pn_net_spec_params; row->name; row++) {
		const char *field = (const char *)s + row->off;

		if (row->type == PN_PARAM_BOOL)
			pn_json_bool(json, row->name, *(const int *)field);
		else
			pn_json_i64(json, row->name, *(const int64_t *)field);
	}
	pn_json_u64(json, "parameters", t->layout.param_count);
	pn_json_i64(json, "field_px", t->layout.field_px);
	pn_json_f64(json, "mac_per_px", t->layout.mac_per_px);
	pn_json_end(json);
	pn_json_object(json, "spot");
	pn_json_i64(json, "spot_px", s->spot_px);
	pn_json_bool(json, "measured", t->spot_measured);
	pn_json_f64(json, "pairs", t->noise.pairs);
	pn_json_f64(json, "limit", t->flags->spot_limit);
	pn_json_array(json, "correlation");
	for (int d = 1; d < PN_SPOT_LAGS && t->noise.pairs > 0; d++)
		pn_json_f64(json, NULL, correlation_at(&t->noise, d));
	pn_json_end(json);
	pn_json_end(json);
}

static void json_images(struct pn_json *json, const struct pn_images_info *info)
{
	pn_json_object(json, "images");
	pn_json_text(json, "source", info->source);
	pn_json_text(json, "kind", info->kind);
	pn_json_u64(json, "count", info->count);
	pn_json_u64(json, "runs", info->runs);
	pn_json_i64(json, "ny", info->ny_max);
	pn_json_i64(json, "nx", info->nx_max);
	pn_json_u64(json, "damaged", info->damaged);
	pn_json_end(json);
}

static void print_json(const struct pn_training *t)
{
	const struct pn_training_standing *at = t->at;
	struct speed speed = speed_of(t);
	struct pn_json json;

	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	json_images(&json, &t->info);
	json_network(&json, t);
	pn_json_text(&json, "arith", pn_arith_words[t->arith]);
	pn_json_u64(&json, "steps", at->steps);
	pn_json_i64(&json, "steps_planned", t->settings.steps);
	pn_json_u64(&json, "rejected", pn_trainer_result(t->trainer).rejected);
	pn_json_u64(&json, "windows", at->windows);
	pn_json_i64(&json, "crop_px", piece_px(t));
	pn_json_text(&json, "ended_by", ends[t->end]);
	pn_json_bool(&json, "levelled", (int)at->levelled);
	pn_json_f64(&json, "loss", pn_training_loss(t));
	pn_json_f64(&json, "validation", at->validation);
	pn_json_f64(&json, "seconds", at->seconds);
	pn_json_f64(&json, "windows_per_s", speed.windows_per_s);
	pn_json_f64(&json, "gflop_per_s", speed.gflops);
	pn_json_text(&json, "weights", t->flags->out);
	pn_json_end(&json);
}

void pn_training_report(const struct pn_training *training)
{
	if (training->flags->json)
		print_json(training);
	else
		print_text(training);
}
