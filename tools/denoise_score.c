/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin denoise score - how good denoised images are. */
#include "denoise.h"

#include "common/text.h"
#include "perrin/base/json.h"
#include "perrin/format/stack.h"
#include "perrin/image/quality.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

struct score_options {
	char images[PN_PARAM_TEXT_MAX], clean[PN_PARAM_TEXT_MAX];
	double range;
	int affine, json;
};

#define OFF(field) offsetof(struct score_options, field)
static const struct pn_param score_params[] = {
	{ .name = "images",
	  .help = "stack to be judged: .npy, MRC, TIFF",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(images),
	  .positional = 1,
	  .required = 1 },
	{ .name = "clean",
	  .help = "stack of the true images, as many and as large",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(clean),
	  .positional = 1,
	  .required = 1 },
	{ .name = "affine",
	  .help = "bring each image to the truth by a scale and an offset first",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(affine) },
	{ .name = "range",
	  .help = "range of the values for PSNR and SSIM; 0 = that of each true image",
	  .type = PN_PARAM_F64,
	  .off = OFF(range),
	  .min = 0,
	  .max = 1e30 },
	{ .name = "json",
	  .help = "print the result as JSON",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ 0 },
};

/* What is known of each image; SNR against the one before, NaN for the first. */
struct scores {
	size_t count;
	struct pn_quality *quality;
	double *snr_db;
};

/* Two stacks and one image of each, with that before it. */
struct pair {
	struct pn_stack *stack[2];
	float *image, *before, *clean;
	void *raw;
};

/* ---- scoring ------------------------------------------------------------------------------- */

static int read_image(float *image, struct pair *pair, int which, uint64_t index,
		      struct pn_error *err)
{
	const struct pn_stack_info *info = pn_stack_info(pair->stack[which]);
	int rc = pn_stack_read(pair->stack[which], index, pair->raw, err);

	if (!rc)
		pn_to_f32(image, pair->raw, info->dtype, info->ny * info->nx);
	return rc;
}

static int score_all(struct scores *scores, struct pair *pair, const struct score_options *options,
		     struct pn_error *err)
{
	const struct pn_stack_info *info = pn_stack_info(pair->stack[0]);
	int rc = PN_OK;

	for (size_t k = 0; !rc && k < scores->count; k++) {
		float *swap = pair->before;

		pair->before = pair->image;
		pair->image = swap;
		rc = read_image(pair->image, pair, 0, k, err);
		if (!rc)
			rc = read_image(pair->clean, pair, 1, k, err);
		if (!rc &&
		    pn_quality_compare(&scores->quality[k], pair->image, pair->clean, info->ny,
				       info->nx, options->range, options->affine, err))
			rc = pn_error_wrap(err, "%s: image %zu", options->images, k + 1);
		scores->snr_db[k] =
			k && !rc ? pn_snr_of_pair_db(pair->before, pair->image, info->ny * info->nx)
				 : NAN;
	}
	return rc;
}

static int same_shape(const struct score_options *options, const struct pair *pair,
		      struct pn_error *err)
{
	const struct pn_stack_info *a = pn_stack_info(pair->stack[0]);
	const struct pn_stack_info *b = pn_stack_info(pair->stack[1]);

	if (a->count == b->count && a->ny == b->ny && a->nx == b->nx)
		return PN_OK;
	return pn_error_set(err, PN_EARG,
			    "%s has %" PRIu64 " images of %" PRIu64 "x%" PRIu64 ", %s %" PRIu64
			    " of %" PRIu64 "x%" PRIu64 " (y x)",
			    options->images, a->count, a->ny, a->nx, options->clean, b->count,
			    b->ny, b->nx);
}

static int allocate(struct scores *scores, struct pair *pair, struct pn_error *err)
{
	const struct pn_stack_info *info = pn_stack_info(pair->stack[0]);
	size_t pixels = info->ny * info->nx;

	scores->count = info->count;
	scores->quality = calloc(info->count, sizeof *scores->quality);
	scores->snr_db = calloc(info->count, sizeof *scores->snr_db);
	pair->image = malloc(pixels * sizeof(float));
	pair->before = malloc(pixels * sizeof(float));
	pair->clean = malloc(pixels * sizeof(float));
	pair->raw = malloc(pixels * sizeof(double));
	if (!scores->quality || !scores->snr_db || !pair->image || !pair->before || !pair->clean ||
	    !pair->raw)
		return pn_error_set(err, PN_ENOMEM, "no memory for images of %zu pixels", pixels);
	return PN_OK;
}

/* ---- telling ------------------------------------------------------------------------------- */

/* Mean and standard deviation of the finite ones. */
static void spread(double *mean, double *sd, const double *values, size_t stride, size_t count)
{
	double sum = 0, sum2 = 0;
	size_t n = 0;

	for (size_t k = 0; k < count; k++) {
		double value = values[k * stride];

		if (isfinite(value)) {
			sum += value;
			n++;
		}
	}
	*mean = n ? sum / (double)n : NAN;
	for (size_t k = 0; k < count; k++) {
		double value = values[k * stride];

		if (isfinite(value))
			sum2 += (value - *mean) * (value - *mean);
	}
	*sd = n > 1 ? sqrt(sum2 / (double)(n - 1)) : NAN;
}

static void tell(struct pn_json *json, const char *name, const char *label, const double *values,
		 size_t stride, size_t count)
{
	char a[PN_TEXT_SHORT], b[PN_TEXT_SHORT];
	double mean, sd;

	spread(&mean, &sd, values, stride, count);
	if (!json) {
		printf("%-8s %s +- %s\n", label, pn_text_fixed(a, mean, 3),
		       pn_text_fixed(b, sd, 3));
		return;
	}
	pn_json_object(json, name);
	pn_json_f64(json, "mean", mean);
	pn_json_f64(json, "sd", sd);
	pn_json_array(json, "images");
	for (size_t k = 0; k < count; k++)
		pn_json_f64(json, NULL, values[k * stride]);
	pn_json_end(json);
	pn_json_end(json);
}

static void tell_all(struct pn_json *json, const struct scores *s)
{
	size_t stride = sizeof *s->quality / sizeof(double);

	tell(json, "psnr_db", "PSNR dB", &s->quality->psnr_db, stride, s->count);
	tell(json, "ssim", "SSIM", &s->quality->ssim, stride, s->count);
	tell(json, "snr_db", "SNR dB", s->snr_db, 1, s->count);
}

static void print_scores(const struct score_options *options, const struct scores *scores)
{
	struct pn_json json;

	if (!options->json) {
		printf("images   %zu\n", scores->count);
		tell_all(NULL, scores);
		return;
	}
	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	pn_json_text(&json, "images", options->images);
	pn_json_text(&json, "clean", options->clean);
	pn_json_u64(&json, "count", scores->count);
	pn_json_bool(&json, "affine", options->affine);
	tell_all(&json, scores);
	pn_json_end(&json);
}

static int run_score(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	const struct score_options *options = arg;
	struct scores scores = { 0 };
	struct pair pair = { { NULL, NULL }, NULL, NULL, NULL, NULL };
	int rc = pn_stack_open(&pair.stack[0], options->images, err);

	(void)extra;
	(void)extra_count;
	if (!rc)
		rc = pn_stack_open(&pair.stack[1], options->clean, err);
	if (!rc)
		rc = same_shape(options, &pair, err);
	if (!rc)
		rc = allocate(&scores, &pair, err);
	if (!rc)
		rc = score_all(&scores, &pair, options, err);
	if (!rc)
		print_scores(options, &scores);
	pn_stack_close(pair.stack[0]);
	pn_stack_close(pair.stack[1]);
	free(pair.image);
	free(pair.before);
	free(pair.clean);
	free(pair.raw);
	free(scores.quality);
	free(scores.snr_db);
	return rc;
}

const struct pn_command pn_denoise_score = {
	.name = "score",
	.brief = "PSNR, SSIM and frame-to-frame SNR of images against the truth",
	.usage = "IMAGES CLEAN [--affine] [--json]",
	.params = score_params,
	.options_size = sizeof(struct score_options),
	.run = run_score,
};
