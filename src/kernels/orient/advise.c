/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/orient/advise.h"

#include "advise_parts.h"

#include "perrin/tomo/coverage.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TEACHING      20  /* blocks before the CUSUM begins */
#define MEMORY        60  /* blocks that its mean and deviation go by */
#define FORGETTING    100 /* frames that the means of score and orientation remember */
#define FSC_THRESHOLD 0.143
#define FADING_BLOCKS 24 /* at least, for a line through the newer half of them */
#define R_SIGMAS      4
#define R_RISE        0.5
#define GAP_TOLERANCE 1.5
#define SCORE_MAX     1e3 /* no correlation is beyond */
#define PIXEL_MIN_PM  10
#define PIXEL_MAX_PM  150

#define OFF(field) offsetof(struct pn_advise_options, field)
/* clang-format off */
const struct pn_param pn_advise_params[] = {
	{ .name = "target_A", .unit = "A", .help = "that is enough", .type = PN_PARAM_F64,
	  .off = OFF(target_A), .def = 1, .min = 0.01, .max = 1000 },
	{ .name = "horizon", .help = "images to come that the gain is predicted for",
	  .type = PN_PARAM_F64, .off = OFF(horizon), .def = 1000, .min = 1, .max = 1e9 },
	{ .name = "gain_min_pm", .unit = "pm", .help = "a gain worth waiting for",
	  .type = PN_PARAM_F64, .off = OFF(gain_min_pm), .def = 2, .max = 1e5 },
	{ .name = "consecutive", .help = "volumes that must agree", .type = PN_PARAM_I64,
	  .off = OFF(consecutive), .def = 3, .min = 1, .max = 1000 },
	{ .name = "coverage_min", .help = "least SCF and cFAR", .type = PN_PARAM_F64,
	  .off = OFF(coverage_min), .def = 0.5, .max = 1 },
	{ .name = "kept_min", .help = "least part of the atoms the last volume had too",
	  .type = PN_PARAM_F64, .off = OFF(kept_min), .def = 0.97, .max = 1 },
	{ .name = "moved_max_pm", .unit = "pm", .help = "rms move of atoms that stayed",
	  .type = PN_PARAM_F64, .off = OFF(moved_max_pm), .def = 30, .max = 1e5 },
	{ .name = "score_block", .help = "scores to a mean: so many frames a turn takes",
	  .type = PN_PARAM_I64, .off = OFF(score_block), .def = 25, .min = 1, .max = 10000 },
	{ .name = "cusum_slack", .help = "fall of score in deviations that is none",
	  .type = PN_PARAM_F64, .off = OFF(cusum_slack), .def = 0.5, .max = 100 },
	{ .name = "cusum_limit", .help = "sum of falls beyond it that is a change",
	  .type = PN_PARAM_F64, .off = OFF(cusum_limit), .def = 15, .min = 1, .max = 1e6 },
	{ .name = "fading_sigma", .help = "uncertainties of the slope that are a fall",
	  .type = PN_PARAM_F64, .off = OFF(fading_sigma), .def = 4, .max = 1e3 },
	{ .name = "fading_min", .help = "relative fall of the score that matters",
	  .type = PN_PARAM_F64, .off = OFF(fading_min), .def = 0.1, .max = 1 },
	{ .name = "score_min", .help = "mean score of noise", .type = PN_PARAM_F64,
	  .off = OFF(score_min), .def = 0.05, .max = 1 },
	{ .name = "oriented_min", .help = "least part of the frames that are oriented",
	  .type = PN_PARAM_F64, .off = OFF(oriented_min), .def = 0.1, .max = 1 },
	{ .name = "patience", .help = "frames before nothing oriented means something",
	  .type = PN_PARAM_I64, .off = OFF(patience), .def = 1000, .min = 1, .max = 1e9 },
	{ .name = "worse_max", .help = "relative loss of resolution that is one",
	  .type = PN_PARAM_F64, .off = OFF(worse_max), .def = 0.1, .max = 1e3 },
	{ .name = "theta_max_deg", .unit = "deg", .help = "the stage tilts as far, each way",
	  .type = PN_PARAM_F64, .off = OFF(theta_max_deg), .def = 75, .min = 1, .max = 90 },
	{ 0 },
};
/* clang-format on */

const char *pn_verdict_text(enum pn_verdict verdict)
{
	static const char *const text[] = { "continue", "enough", "structure changed",
					    "no longer useful" };

	return text[verdict];
}

static double logistic(double x)
{
	return 1 / (1 + exp(-x));
}

/* ---- a structure begins --------------------------------------------------------------------- */

/* All but the options, the tilts and what was said. */
static void begin_segment(struct pn_advisor *a, uint64_t segment)
{
	const struct pn_advisor old = *a;

	*a = (struct pn_advisor){ .options = old.options, .said = old.said, .begun = 1 };
	a->segment = segment;
	a->changed_to = old.changed_to;
	a->tilt_count = old.tilt_count;
	memcpy(a->tilt, old.tilt, sizeof a->tilt);
	memcpy(a->theta_deg, old.theta_deg, sizeof a->theta_deg);
	a->resolution_A = a->dose = a->scf = a->far = a->empty = a->held_out = (double)NAN;
	a->pixel_pm = a->ssnr_target = a->fsc_low = a->r1_new = (double)NAN;
	a->moved_pm = a->disordered = a->diameter_nm = (double)NAN;
	a->best_A = INFINITY;
	a->record.per_block = (uint64_t)a->options.score_block;
}

int pn_advisor_init(struct pn_advisor *a, const struct pn_advise_options *options,
		    struct pn_error *err)
{
	for (const struct pn_param *row = pn_advise_params; row->name; row++) {
		const char *at = (const char *)options + row->off;
		const double value = row->type == PN_PARAM_I64 ? (double)*(const int64_t *)at
							       : *(const double *)at;

		if (!(value >= row->min && value <= row->max))
			return pn_error_set(err, PN_EARG, "advice: %s = %g: must be %g..%g",
					    row->name, value, row->min, row->max);
	}
	memset(a, 0, sizeof *a);
	a->options = *options;
	begin_segment(a, 0);
	a->begun = 0;
	a->said = -1;
	return PN_OK;
}

/* 0 if the message is of a structure that is no more. */
static int follow_segment(struct pn_advisor *a, uint64_t segment)
{
	if (a->begun && segment < a->segment)
		return 0;
	if (!a->begun) {
		a->segment = segment;
		a->begun = 1;
	} else if (segment > a->segment) {
		begin_segment(a, segment);
		a->changed_to = segment;
	}
	return 1;
}

/* ---- volumes -------------------------------------------------------------------------------- */

static double limit_A(const struct pn_advisor *a)
{
	return isnan(a->pixel_pm) ? 0 : 2.02 * a->pixel_pm / 100;
}

/* Points spread over ln N: when there is no more room, every other one of the older ones goes. */
static void add_point(struct pn_advisor *a, double images, double resolution_A)
{
	while (a->plot_count && a->plot_images[a->plot_count - 1] >= images)
		a->plot_count--;
	if (a->plot_count == PN_ADVISE_POINTS) {
		a->plot_count = 0;
		for (size_t i = 0; i < PN_ADVISE_POINTS; i++) {
			if (i < PN_ADVISE_POINTS * 3 / 4 && i % 2)
				continue;
			a->plot_images[a->plot_count] = a->plot_images[i];
			a->plot_A[a->plot_count++] = a->plot_A[i];
		}
	}
	a->plot_images[a->plot_count] = images;
	a->plot_A[a->plot_count++] = resolution_A;
}

static void take_fsc(struct pn_advisor *a, const struct pn_advise_volume *v)
{
	const double edge_A = (double)v->edge_px * v->pixel_pm / 100;
	const double shell = edge_A / a->options.target_A;

	a->ssnr_target = a->fsc_low = (double)NAN;
	if (v->fsc_count > 3)
		a->fsc_low = (v->fsc[1] + v->fsc[2] + v->fsc[3]) / 3;
	if (shell >= 1 && shell < (double)v->fsc_count)
		pn_ssnr(&a->ssnr_target, &v->fsc[(size_t)shell], 1);
}

static int by_value(const void *x, const void *y)
{
	const double a = *(const double *)x, b = *(const double *)y;

	return (a > b) - (a < b);
}

static double median(const double *value, size_t count)
{
	double sorted[PN_ADVISE_R_POINTS];

	memcpy(sorted, value, count * sizeof *sorted);
	qsort(sorted, count, sizeof *sorted, by_value);
	return count % 2 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2;
}

/* What the next R may be by the last ones: R also rises with the angle, and as a volume is new. */
static double largest_r(const struct pn_advisor *a)
{
	const size_t n = a->r1_count < PN_ADVISE_R_POINTS ? a->r1_count : PN_ADVISE_R_POINTS;
	double sum = 0, xy = 0, xx = 0, away[PN_ADVISE_R_POINTS];
	const double middle = (double)(n - 1) / 2, level = median(a->r1, n);

	for (size_t i = 0; i < n; i++) {
		const double x = (double)i - middle;
		const double r = a->r1[(a->r1_count - n + i) % PN_ADVISE_R_POINTS];

		sum += r;
		xy += x * r;
		xx += x * x;
		away[i] = fabs(r - level);
	}
	const double line = sum / (double)n + xy / xx * (middle + 1), trend = fmax(level, line);

	return trend + fmax(R_SIGMAS * 1.4826 * median(away, n), R_RISE * trend);
}

/* One that does not fit is not learnt from: the next one decides whether it was chance. */
static void take_r_factor(struct pn_advisor *a, double r)
{
	if (isnan(r))
		return;
	a->r1_new = r;
	if (a->r1_count >= 4 && r > largest_r(a)) {
		a->r1_run++;
		return;
	}
	a->r1_run = 0;
	a->r1[a->r1_count++ % PN_ADVISE_R_POINTS] = r;
}

/* ---- scores --------------------------------------------------------------------------------- */

static void record_block(struct pn_advise_record *r, double mean, uint64_t frames)
{
	r->sum += mean * (double)frames;
	r->in_sum += frames;
	if (r->in_sum < r->per_block)
		return;
	if (r->count == PN_ADVISE_POINTS) {
		r->count /= 2;
		for (size_t i = 0; i < r->count; i++)
			r->mean[i] = (r->mean[2 * i] + r->mean[2 * i + 1]) / 2;
		r->per_block *= 2;
		if (r->in_sum < r->per_block)
			return;
	}
	r->mean[r->count++] = r->sum / (double)r->in_sum;
	r->sum = 0;
	r->in_sum = 0;
}

static void take_block(struct pn_advisor *a, double mean)
{
	const double off = mean - a->mean;

	if (a->blocks >= TEACHING) {
		/* equal scores have no deviation: 1 % of the mean stands for it */
		const double sigma = sqrt(a->variance) + 0.01 * fabs(a->mean) + 1e-9;
		const double c = a->cusum - off / sigma - a->options.cusum_slack;

		a->cusum = fmin(fmax(0, c), 10 * a->options.cusum_limit);
	}
	if (a->blocks < TEACHING) {
		const double n = (double)a->blocks + 1;

		a->mean += off / n;
		a->variance = a->blocks ? a->variance * (n - 2) / (n - 1) + off * off / n : 0;
	} else if (a->cusum < a->options.cusum_limit / 2) {
		const double n = fmin((double)a->blocks + 1, MEMORY);

		a->mean += off / n;
		a->variance += (off * off - a->variance) / n;
	}
	a->recent[a->blocks++ % PN_ADVISE_POINTS] = mean;
	record_block(&a->record, mean, (uint64_t)a->options.score_block);
}

/* Sums of squares about the best line and the best step: 1 if the step is the nearer one. */
static int is_step(const double *value, size_t n)
{
	double sum = 0, squares = 0, xy = 0, left = 0, step = INFINITY;
	const double m = (double)n, xx = m * (m * m - 1) / 12;

	for (size_t i = 0; i < n; i++) {
		const double y = value[i] - value[0]; /* near 0, so that squares lose nothing */

		sum += y;
		squares += y * y;
		xy += y * ((double)i - (m - 1) / 2);
	}
	const double line = squares - sum * sum / m - xy * xy / xx;

	for (size_t i = 1; i < n; i++) {
		left += value[i - 1] - value[0];
		const double right = sum - left, at = (double)i;

		step = fmin(step, squares - left * left / at - right * right / (m - at));
	}
	return step < line;
}

static int fell_at_once(const struct pn_advisor *a)
{
	const size_t n = a->blocks < PN_ADVISE_POINTS ? a->blocks : PN_ADVISE_POINTS;
	double value[PN_ADVISE_POINTS];

	for (size_t i = 0; i < n; i++)
		value[i] = a->recent[(a->blocks - n + i) % PN_ADVISE_POINTS];
	return is_step(value, n);
}

/*
 * How much more a slope scatters than with independent residuals, by the correlation of neighbors
 * (Bartlett): scores hang together as long as the particle stays as it is.
 */
static double scatter_factor(const double *rest, size_t n)
{
	double square = 0, product = 0;

	for (size_t i = 0; i < n; i++) {
		square += rest[i] * rest[i];
		product += i ? rest[i] * rest[i - 1] : 0;
	}
	const double r = square > 0 ? fmin(fmax(0, product / square), 0.95) : 0;

	return sqrt((1 + r) / (1 - r));
}

/* Of the newer half of the record, so that the rise while the map grows does not count. */
static struct fading fit_fading(const struct pn_advise_record *r)
{
	const size_t n = r->count / 2, from = r->count - n;
	struct fading f = { (double)NAN, (double)NAN, 0, 0 };
	double mean = 0, xy = 0, square = 0, rest[PN_ADVISE_POINTS];

	if (n < FADING_BLOCKS)
		return f;
	for (size_t i = 0; i < n; i++)
		mean += r->mean[from + i] / (double)n;
	const double middle = (double)(n - 1) / 2;
	const double xx = (double)n * ((double)n * (double)n - 1) / 12;

	for (size_t i = 0; i < n; i++)
		xy += ((double)i - middle) * (r->mean[from + i] - mean);
	const double slope = xy / xx, start = mean - slope * middle;

	if (!(start > 0))
		return f;
	for (size_t i = 0; i < n; i++) {
		rest[i] = r->mean[from + i] - mean - slope * ((double)i - middle);
		square += rest[i] * rest[i];
	}
	const double sigma = sqrt(square / (double)(n - 2) / xx) * scatter_factor(rest, n);

	f.slope = slope / start / (double)r->per_block;
	/* no line is better known than to 0.01 % of the score a block */
	f.uncertainty = (sigma / start + 1e-4) / (double)r->per_block;
	f.fall = -slope * (double)(n - 1) / start;
	f.at_once = is_step(&r->mean[from], n);
	return f;
}

/* ---- rules ---------------------------------------------------------------------------------- */

int pn_advise_pixel_is_odd(const struct pn_advisor *a)
{
	return a->pixel_pm < PIXEL_MIN_PM || a->pixel_pm > PIXEL_MAX_PM;
}

static void propose(enum cause *by, double *most, int *now, enum cause cause, double probability,
		    int holds)
{
	/* a rule that holds goes before one that does not, however probable */
	if (*by != BY_NONE && (*now > holds || (*now == holds && *most >= probability)))
		return;
	*by = cause;
	*most = probability;
	*now = holds;
}

static void rule_changed(struct findings *f, const struct pn_advisor *a)
{
	const struct pn_advise_options *o = &a->options;
	const double c = a->cusum;

	if (a->changed_to)
		propose(&f->changed_by, &f->changed, &f->changed_now, BY_SEGMENT, 0.9, 1);
	if (a->blocks > TEACHING && c > 0 && fell_at_once(a))
		propose(&f->changed_by, &f->changed, &f->changed_now, BY_CUSUM,
			logistic((c / o->cusum_limit - 1) * 5), c > o->cusum_limit);
	if (a->r1_run)
		propose(&f->changed_by, &f->changed, &f->changed_now, BY_R_FACTOR,
			logistic(2 * ((double)a->r1_run - 1.5)), a->r1_run >= 2);
}

static void propose_useless(struct findings *f, enum cause cause, double probability, int holds)
{
	propose(&f->useless_by, &f->useless, &f->useless_now, cause, probability, holds);
}

static void rule_useless(struct findings *f, const struct pn_advisor *a)
{
	const struct pn_advise_options *o = &a->options;
	const double sigmas = -f->fading.slope / f->fading.uncertainty;
	const double worse = a->resolution_A / a->best_A - 1;

	if (sigmas > 0 && f->fading.fall >= o->fading_min && !f->fading.at_once)
		propose_useless(f, BY_FADING, logistic(sigmas - o->fading_sigma),
				sigmas >= o->fading_sigma);
	if (a->blank_run)
		propose_useless(f, BY_BLANK,
				logistic((double)a->blank_run - (double)o->consecutive + 1),
				a->blank_run >= (uint64_t)o->consecutive);
	if (a->poses >= (uint64_t)o->patience && a->oriented < o->oriented_min)
		propose_useless(f, BY_ORIENTED, logistic((o->oriented_min - a->oriented) / 0.02),
				1);
	if (a->scored >= FORGETTING && a->poses >= (uint64_t)o->patience && a->score < o->score_min)
		propose_useless(f, BY_SCORE, logistic((o->score_min - a->score) / 0.01), 1);
	if (a->worse_run)
		propose_useless(f, BY_WORSE, logistic((worse - o->worse_max) / 0.02),
				a->worse_run >= (uint64_t)o->consecutive);
}

static void rule_gain(struct findings *f, const struct pn_advisor *a)
{
	const struct pn_advise_options *o = &a->options;
	const double d = a->resolution_A;

	f->more = fmin(o->horizon, (double)a->images);
	f->little_gain = NOT_KNOWN;
	f->gain_pm = f->gain_sigma_pm = f->small = (double)NAN;
	f->images_per_s = ((double)a->images - (double)a->first_images) / (a->last_s - a->first_s);
	if (!(f->images_per_s > 0) || !isfinite(f->images_per_s))
		f->images_per_s = (double)NAN;
	f->at_limit = d <= limit_A(a);
	if (f->at_limit) {
		f->gain_pm = 0;
		f->small = 1;
		f->little_gain = MET;
		return;
	}
	if (isnan(d) || !a->plot_count || a->plot_images[a->plot_count - 1] != (double)a->images ||
	    pn_gain_predict(&f->gain, a->plot_images, a->plot_A, a->plot_count, limit_A(a), f->more,
			    NULL))
		return;
	if (!isfinite(f->gain.next_A) || !isfinite(f->gain.resolution_A))
		return;
	/* d(1/x^2) = -2 dx / x^3 */
	const double steps = log1p(f->more / (double)a->images);

	f->gain_known = 1;
	f->gain_pm = 100 * (f->gain.resolution_A - f->gain.next_A);
	f->gain_sigma_pm = 50 * pow(f->gain.next_A, 3) * f->gain.slope_uncertainty * steps + 1e-6;
	f->small = 0.5 * erfc((f->gain_pm - o->gain_min_pm) / f->gain_sigma_pm / sqrt(2));
	f->little_gain = f->gain_pm < o->gain_min_pm ? MET : MISSED;
}

/* The widest gap of theta within the stage's range, and the step that would be fine enough. */
static void look_at_gaps(struct findings *f, const struct pn_advisor *a)
{
	const double most = a->options.theta_max_deg;
	double theta[PN_ADVISE_TILTS], last = -most;
	size_t inside = 0;

	for (size_t i = 0; i < a->tilt_count; i++)
		if (fabs(a->theta_deg[i]) <= most)
			theta[inside++] = a->theta_deg[i];
	qsort(theta, inside, sizeof *theta, by_value);
	f->gap_deg = -1;
	for (size_t i = 0; i <= inside; i++) {
		const double to = i < inside ? theta[i] : most;

		if (to - last > f->gap_deg) {
			f->gap_deg = to - last;
			f->gap_from_deg = last;
			f->next_theta_deg = (last + to) / 2;
		}
		last = to;
	}
	const double diameter_A = 10 * a->diameter_nm;

	f->step_deg =
		inside < 2 ? (double)NAN
			   : GAP_TOLERANCE * (theta[inside - 1] - theta[0]) / (double)(inside - 1);
	const double d_A = isnan(a->resolution_A) ? a->options.target_A : a->resolution_A;

	if (diameter_A > d_A)
		f->step_deg = d_A / diameter_A * 180 / M_PI;
}

static int look_at_tilts(struct findings *f, const struct pn_advisor *a, struct pn_error *err)
{
	struct pn_pose pose[PN_ADVISE_TILTS];
	struct pn_coverage coverage;
	const double diameter_px = 1000 * a->diameter_nm / a->pixel_pm;

	f->next_theta_deg = f->gap_deg = f->step_deg = f->uncovered = (double)NAN;
	if (!a->tilt_count)
		return PN_OK;
	look_at_gaps(f, a);
	if (!(diameter_px >= 1) || !isfinite(diameter_px))
		return PN_OK;
	for (size_t i = 0; i < a->tilt_count; i++)
		pn_pose_tilt(&pose[i], a->theta_deg[i]);
	int rc = pn_coverage(&coverage, NULL, 32, 64, pose, a->tilt_count, diameter_px, err);

	if (!rc)
		f->uncovered = coverage.uncovered;
	return rc;
}

/* Least of what was told so far and one condition more, x in its own uncertainty. */
static enum met condition(double *least, double x)
{
	*least = fmin(*least, isnan(x) ? 0.5 : logistic(x));
	return isnan(x) ? NOT_KNOWN : x >= 0 ? MET : MISSED;
}

static void rule_coverage(struct findings *f, const struct pn_advisor *a)
{
	const double least = fmin(a->scf, a->far); /* fmin takes the one that is known */

	if (a->is_tilts && !isnan(f->gap_deg))
		f->coverage = condition(&f->enough, (f->step_deg - f->gap_deg) / f->step_deg * 20);
	else if (a->is_tilts)
		f->coverage = condition(&f->enough, (double)NAN);
	else
		f->coverage = condition(&f->enough, (least - a->options.coverage_min) / 0.05);
}

static void rule_enough(struct findings *f, const struct pn_advisor *a)
{
	const struct pn_advise_options *o = &a->options;
	double sigma_A = 0.01 * a->resolution_A;

	if (f->gain_known && isfinite(f->gain.next_high_A))
		sigma_A = fmax(sigma_A, (f->gain.next_high_A - f->gain.next_low_A) / 2);
	f->enough = isnan(f->small) ? 0.5 : f->small;
	f->target = condition(&f->enough, (o->target_A - a->resolution_A) / sigma_A);
	rule_coverage(f, a);
	f->kept = a->kept_known ? (a->atoms ? (double)a->kept / (double)a->atoms : 0) : (double)NAN;
	f->atoms = condition(&f->enough, (f->kept - o->kept_min) / 0.01);
	if (f->atoms == MET && !isnan(a->moved_pm))
		f->atoms = condition(&f->enough, (o->moved_max_pm - a->moved_pm) /
							 (0.1 * o->moved_max_pm + 1e-9));
	/* of a tilt series without halves the angles tell what can be resolved */
	if (f->target == NOT_KNOWN && !(a->is_tilts && f->coverage == MET))
		f->enough = 0;
	if (pn_advise_pixel_is_odd(a))
		f->enough = 0;
}

static int holds(const struct findings *f, const struct pn_advisor *a)
{
	if (pn_advise_pixel_is_odd(a))
		return 0;
	if (a->is_tilts && f->target == NOT_KNOWN)
		return f->coverage == MET && f->atoms == MET && !isnan(a->diameter_nm);
	return f->target == MET && f->little_gain == MET && f->coverage != MISSED &&
	       f->atoms != MISSED;
}

static int find(struct findings *f, const struct pn_advisor *a, struct pn_error *err)
{
	*f = (struct findings){ 0 };
	f->fading = fit_fading(&a->record);
	rule_gain(f, a);
	int rc = look_at_tilts(f, a, err);

	if (rc)
		return rc;
	rule_enough(f, a);
	rule_changed(f, a);
	rule_useless(f, a);
	return PN_OK;
}

static enum pn_verdict verdict_of(const struct findings *f, const struct pn_advisor *a)
{
	if (f->changed_now)
		return PN_ADVISE_CHANGED;
	if (f->useless_now)
		return PN_ADVISE_USELESS;
	return a->enough_run >= (uint64_t)a->options.consecutive ? PN_ADVISE_ENOUGH
								 : PN_ADVISE_CONTINUE;
}

/* ---- what comes in -------------------------------------------------------------------------- */

static double positive(double value)
{
	return value > 0 && isfinite(value) ? value : (double)NAN;
}

static void count_runs(struct pn_advisor *a)
{
	const double d = a->resolution_A;

	a->blank_run = a->fsc_low < FSC_THRESHOLD ? a->blank_run + 1 : 0;
	a->worse_run = d > a->best_A * (1 + a->options.worse_max) ? a->worse_run + 1 : 0;
	if (d < a->best_A) {
		a->best_A = d;
		a->best_images = (double)a->images;
	}
}

int pn_advisor_volume(struct pn_advisor *a, const struct pn_advise_volume *v)
{
	struct findings found;

	if (!follow_segment(a, v->segment))
		return 0;
	a->is_tilts = v->segment == 0;
	a->images = v->images;
	if (!a->volumes++) {
		a->first_images = v->images;
		a->first_s = v->time_s;
	}
	a->last_s = v->time_s;
	a->resolution_A = positive(v->resolution_A);
	a->dose = v->dose_e_per_A2;
	a->scf = v->scf;
	a->far = v->far;
	a->empty = v->empty;
	a->held_out = v->held_out;
	a->pixel_pm = v->pixel_pm;
	take_fsc(a, v);
	take_r_factor(a, v->r1_new);
	count_runs(a);
	if (v->images && !isnan(a->resolution_A))
		add_point(a, (double)v->images, a->resolution_A);
	/* what tilts need beyond the gaps tells no rule anything: no error can come of it */
	found = (struct findings){ 0 };
	rule_gain(&found, a);
	found.gap_deg = found.step_deg = (double)NAN;
	if (a->tilt_count)
		look_at_gaps(&found, a);
	rule_enough(&found, a);
	a->enough_run = holds(&found, a) ? a->enough_run + 1 : 0;
	return 1;
}

int pn_advisor_pose(struct pn_advisor *a, const struct pn_advise_pose *p)
{
	struct findings found = { 0 };
	const int oriented = p->state == PN_ADVISE_ORIENTED;

	if (!follow_segment(a, p->segment))
		return 0;
	a->poses++;
	const double weight = 1 / fmin((double)a->poses, FORGETTING);

	a->oriented += (oriented - a->oriented) * weight;
	if (p->state != PN_ADVISE_BEGINNING && fabs(p->score) <= SCORE_MAX) {
		a->scored++;
		a->score += (p->score - a->score) / fmin((double)a->scored, FORGETTING);
		a->block_sum += p->score;
		a->block_count++;
	}
	if (a->block_count == (uint64_t)a->options.score_block) {
		take_block(a, a->block_sum / (double)a->block_count);
		a->block_sum = 0;
		a->block_count = 0;
	} else if (!a->changed_to && a->poses % (uint64_t)a->options.score_block) {
		return 0;
	}
	found.fading = fit_fading(&a->record);
	rule_changed(&found, a);
	rule_useless(&found, a);
	const enum pn_verdict verdict = verdict_of(&found, a);

	return (verdict == PN_ADVISE_CHANGED || verdict == PN_ADVISE_USELESS) &&
	       ((int)verdict != a->said || a->changed_to);
}

void pn_advisor_atoms(struct pn_advisor *a, const struct pn_advise_atoms *atoms)
{
	if (!follow_segment(a, atoms->segment))
		return;
	a->atoms_known = 1;
	a->kept_known = !atoms->first;
	a->atoms = atoms->atoms;
	a->kept = atoms->kept < atoms->atoms ? atoms->kept : atoms->atoms;
	a->moved_pm = atoms->moved_pm;
	a->disordered = atoms->disordered;
	a->diameter_nm = positive(atoms->diameter_nm);
}

void pn_advisor_tilt(struct pn_advisor *a, uint64_t tilt, double theta_deg, int withdrawn)
{
	uint64_t i = 0;

	while (i < a->tilt_count && a->tilt[i] != tilt)
		i++;
	if (withdrawn && i < a->tilt_count) {
		a->tilt_count--;
		a->tilt[i] = a->tilt[a->tilt_count];
		a->theta_deg[i] = a->theta_deg[a->tilt_count];
	}
	if (withdrawn || i == PN_ADVISE_TILTS)
		return;
	a->tilt[i] = tilt;
	a->theta_deg[i] = theta_deg;
	a->tilt_count += i == a->tilt_count;
}

/* ---- what goes out -------------------------------------------------------------------------- */

static double confidence_of(enum pn_verdict verdict, const struct findings *f,
			    const struct pn_advisor *a)
{
	const double other = fmax(f->enough, fmax(f->changed, f->useless));

	switch (verdict) {
	case PN_ADVISE_CHANGED:
		return f->changed;
	case PN_ADVISE_USELESS:
		return f->useless;
	case PN_ADVISE_ENOUGH:
		return f->enough;
	case PN_ADVISE_CONTINUE:
		break;
	}
	return isnan(a->resolution_A) ? fmin(0.5, 1 - other) : 1 - other;
}

int pn_advisor_advise(struct pn_advice *advice, struct pn_advisor *a, struct pn_error *err)
{
	struct findings f;
	int rc = find(&f, a, err);

	if (rc)
		return rc;
	const enum pn_verdict verdict = verdict_of(&f, a);
	const double dose_each = a->images ? a->dose / (double)a->images : (double)NAN;
	const int next = f.gain_known || f.at_limit;

	*advice = (struct pn_advice){
		.verdict = verdict,
		.confidence = confidence_of(verdict, &f, a),
		.segment = a->segment,
		.images = a->volumes ? a->images : a->poses,
		.dose_e_per_A2 = a->dose,
		.resolution_A = a->resolution_A,
		.next_resolution_A = f.gain_known ? f.gain.next_A
				     : next       ? a->resolution_A
						  : (double)NAN,
		.next_low_A = f.gain_known ? f.gain.next_low_A : (double)NAN,
		.next_high_A = f.gain_known ? f.gain.next_high_A : (double)NAN,
		.next_images = (uint64_t)f.more,
		.gain_pm = f.gain_pm,
		.gain_pm_per_s = f.gain_pm / f.more * f.images_per_s,
		.atoms_kept = f.kept,
		.score_fading = dose_each > 0 ? 1000 * f.fading.slope / dose_each : (double)NAN,
		.next_theta_deg = f.next_theta_deg,
	};
	if (!isfinite(advice->gain_pm_per_s))
		advice->gain_pm_per_s = (double)NAN;
	pn_advise_words(advice, a, &f);
	a->said = (int)verdict;
	a->changed_to = 0;
	return PN_OK;
}
