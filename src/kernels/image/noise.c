/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/image/noise.h"

#include <math.h>
#include <stdlib.h>

enum {
	PATCH = 8,
	AREA = PATCH * PATCH,
	IMAGE_MIN = 32,
	IMAGE_MAX = 65536,
	FRAMES_MAX = 64,
	PATCHES_MIN = 12,
	LEVELS_MAX = 16,
	ROUNDS_MAX = 100,
};

static const double filter_power = 36; /* sum of the squared weights of [1 -2 1] x [1 -2 1] */

/* Degrees of freedom of the mean of r^2 over a patch, (64)^2 / sum rho^2: neighbouring r of white
 * noise correlate with -2/3 and 1/6 along each axis. */
static const double patch_freedom = 19.33;

static const double tukey = 4.685;

/* Points of the line, and the line. */
struct line {
	size_t count;
	double freedom; /* of each variance                       */
	double *level, *variance, *weight, *z;
	double *sorted; /* [count], for medians                   */
	double slope, intercept, scale;
	double cov[3]; /* slope slope, slope intercept, intercept intercept */
};

/* The frames and where their common area begins in each. */
struct stack {
	size_t count, nx;
	const float *first[FRAMES_MAX];
};

static double filtered(const float *p, size_t nx)
{
	double row[3];

	for (int y = 0; y < 3; y++) {
		const float *q = p + (size_t)y * nx;

		row[y] = (double)q[0] - 2 * (double)q[1] + (double)q[2];
	}
	return row[0] - 2 * row[1] + row[2];
}

/* Mean of the values with the squared weights of the filter. */
static double level_of(const float *p, size_t nx)
{
	double row[3];

	for (int y = 0; y < 3; y++) {
		const float *q = p + (size_t)y * nx;

		row[y] = (double)q[0] + 4 * (double)q[1] + (double)q[2];
	}
	return (row[0] + 4 * row[1] + row[2]) / filter_power;
}

/* Variance and level of the patch whose filtered pixels begin at @y, @x. */
static void patch_of(const struct stack *s, size_t y, size_t x, double *variance, double *level)
{
	double v = 0, l = 0;

	for (size_t i = 0; i < AREA; i++) {
		size_t at = (y + i / PATCH) * s->nx + x + i % PATCH;
		double sum = 0, squares = 0, first = filtered(s->first[0] + at, s->nx);

		for (size_t k = 0; k < s->count; k++) {
			double r = filtered(s->first[k] + at, s->nx) - first;

			sum += r;
			squares += r * r;
			l += level_of(s->first[k] + at, s->nx);
		}
		v += s->count == 1
			     ? first * first
			     : (squares - sum * sum / (double)s->count) / (double)(s->count - 1);
	}
	*variance = v / (AREA * filter_power);
	*level = l / (double)(AREA * s->count);
}

static int saturated(const struct stack *s, size_t y, size_t x, double saturation)
{
	for (size_t k = 0; k < s->count; k++)
		for (size_t v = y; v < y + PATCH + 2; v++)
			for (size_t u = x; u < x + PATCH + 2; u++)
				if (s->first[k][v * s->nx + u] >= saturation)
					return 1;
	return 0;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, size_t count)
{
	qsort(values, count, sizeof *values, by_value);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* ---- the line ------------------------------------------------------------------------------ */

/* The line's value; a tiny positive one where it goes below. */
static double value_at(const struct line *line, double level)
{
	return fmax(line->slope * level + line->intercept, 1e-6 * line->sorted[line->count]);
}

/* Weighted least squares through the points; 0 if they are all at one level. */
static int fit_line(struct line *line)
{
	double s = 0, sl = 0, sv = 0, ll = 0, lv = 0;

	for (size_t i = 0; i < line->count; i++) {
		s += line->weight[i];
		sl += line->weight[i] * line->level[i];
		sv += line->weight[i] * line->variance[i];
	}
	if (!(s > 0))
		return 0;
	double l0 = sl / s, v0 = sv / s;

	for (size_t i = 0; i < line->count; i++) {
		double d = line->level[i] - l0;

		ll += line->weight[i] * d * d;
		lv += line->weight[i] * d * (line->variance[i] - v0);
	}
	if (!(ll > 1e-20 * s * l0 * l0) || !(ll > 0))
		return 0;
	line->slope = lv / ll;
	line->intercept = v0 - line->slope * l0;
	line->cov[0] = 1 / ll;
	line->cov[1] = -l0 / ll;
	line->cov[2] = 1 / s + l0 * l0 / ll;
	return 1;
}

/* A first line through the median variances of classes of level; what is much above the typical
 * patch of its level has no say. */
static int first_line(struct line *line)
{
	size_t classes = line->count / 8 < LEVELS_MAX ? line->count / 8 : LEVELS_MAX;
	double bias = pow(1 - 2 / (9 * line->freedom), 3);

	for (size_t i = 0; i < line->count; i++)
		line->sorted[i] = line->level[i];
	classes = classes < 2 ? 2 : classes;
	qsort(line->sorted, line->count, sizeof *line->sorted, by_value);
	double limit[LEVELS_MAX + 1];

	for (size_t c = 0; c < classes; c++)
		limit[c] = line->sorted[c * line->count / classes];
	limit[0] = -INFINITY;
	limit[classes] = INFINITY;
	struct line coarse = { .count = 0 };
	double level[LEVELS_MAX], variance[LEVELS_MAX], weight[LEVELS_MAX];

	coarse.level = level;
	coarse.variance = variance;
	coarse.weight = weight;
	for (size_t c = 0; c < classes; c++) {
		size_t n = 0;
		double sum = 0;

		for (size_t i = 0; i < line->count; i++)
			if (line->level[i] >= limit[c] && line->level[i] < limit[c + 1]) {
				line->sorted[n++] = line->variance[i];
				sum += line->level[i];
			}
		if (!n)
			continue;
		variance[coarse.count] = median(line->sorted, n) / bias;
		level[coarse.count] = sum / (double)n;
		weight[coarse.count] =
			(double)n / (variance[coarse.count] * variance[coarse.count]);
		coarse.count++;
	}
	int ok = fit_line(&coarse);

	line->slope = coarse.slope;
	line->intercept = coarse.intercept;
	return ok;
}

/* Deviations on the Wilson-Hilferty scale, where those of a Gamma law are normal, their robust
 * scale, and the weights of the next round. */
static void reweight(struct line *line)
{
	double v = 2 / (9 * line->freedom);

	for (size_t i = 0; i < line->count; i++) {
		double mu = value_at(line, line->level[i]);

		line->z[i] = (cbrt(line->variance[i] / mu) - (1 - v)) / sqrt(v);
		line->sorted[i] = fabs(line->z[i]);
	}
	line->scale = fmax(1.4826 * median(line->sorted, line->count), 0.1);
	for (size_t i = 0; i < line->count; i++) {
		double mu = value_at(line, line->level[i]);
		double t = line->z[i] / (tukey * line->scale);

		t = t * t < 1 ? (1 - t * t) * (1 - t * t) : 0;
		line->weight[i] = t / (mu * mu);
	}
}

static int robust_line(struct line *line)
{
	/* what "tiny" is measured by stands after the values to be sorted */
	for (size_t i = 0; i < line->count; i++)
		line->sorted[i] = line->variance[i];
	line->sorted[line->count] = median(line->sorted, line->count);
	if (!first_line(line))
		return 0;
	for (int round = 0; round < ROUNDS_MAX; round++) {
		double slope = line->slope, intercept = line->intercept;

		reweight(line);
		if (!fit_line(line))
			return 0;
		if (fabs(line->slope - slope) <= 1e-9 * fabs(slope) &&
		    fabs(line->intercept - intercept) <= 1e-9 * fabs(intercept))
			break;
	}
	/* the variance of a point is 2 mu^2 / freedom for Gaussian noise */
	for (int i = 0; i < 3; i++)
		line->cov[i] *= line->scale * line->scale * 2 / line->freedom;
	return 1;
}

/* What the line says about gain, readout and offset. */
static void model_of(struct pn_noise_fit *fit, const struct line *line, double offset)
{
	double a = line->slope, b = line->intercept, at = isnan(offset) ? 0 : offset;

	fit->gain_se = sqrt(line->cov[0]);
	fit->intercept = b;
	fit->intercept_se = sqrt(line->cov[2]);
	fit->correlation = line->cov[1] / sqrt(line->cov[0] * line->cov[2]);
	fit->dispersion = line->scale * line->scale;
	fit->patches = line->count;
	for (size_t i = 0; i < line->count; i++)
		fit->outliers += fabs(line->z[i]) > tukey * line->scale * M_SQRT1_2;
	fit->model.gain = fmax(a, 0);
	if (isnan(offset) && b < 0 && a > 0)
		at = -b / a;
	double readout2 = b + a * at;
	double se2 = sqrt(fmax(line->cov[2] + 2 * at * line->cov[1] + at * at * line->cov[0], 0));

	fit->model.offset = at;
	if (isnan(offset) && b < 0 && a > 0) {
		fit->offset_se = se2 / a;
		return;
	}
	fit->model.readout = sqrt(fmax(readout2, 0));
	fit->readout_se = fmin(sqrt(se2), se2 / (2 * fmax(fit->model.readout, 1e-300)));
}

/* ---- patches ------------------------------------------------------------------------------- */

static int gather(struct line *line, const struct stack *s, size_t ny, size_t nx,
		  const struct pn_noise_params *params, struct pn_error *err)
{
	for (size_t y = 0; y + PATCH + 2 <= ny; y += PATCH)
		for (size_t x = 0; x + PATCH + 2 <= nx; x += PATCH) {
			size_t i = line->count;

			if (saturated(s, y, x, params->saturation))
				continue;
			patch_of(s, y, x, &line->variance[i], &line->level[i]);
			line->count += line->variance[i] > 0;
		}
	if (line->count < PATCHES_MIN)
		return pn_error_set(err, PN_ENOENT,
				    "noise: %zu of %zu patches show noise: at least %d are needed "
				    "(constant, equal or saturated images?)",
				    line->count, ((ny - 2) / PATCH) * ((nx - 2) / PATCH),
				    PATCHES_MIN);
	return PN_OK;
}

static int estimate(struct pn_noise_fit *fit, const struct stack *s, size_t ny, size_t nx,
		    const struct pn_noise_params *params, struct pn_error *err)
{
	static const struct pn_noise_params none = { .offset = NAN, .saturation = INFINITY };
	size_t room = ny / PATCH * (nx / PATCH) + 1;
	double *memory = malloc(5 * room * sizeof *memory);

	*fit = (struct pn_noise_fit){ 0 };
	if (!memory)
		return pn_error_set(err, PN_ENOMEM, "noise: no memory for %zu x %zu pixels", ny,
				    nx);
	struct line line = { .level = memory,
			     .variance = memory + room,
			     .weight = memory + 2 * room,
			     .z = memory + 3 * room,
			     .sorted = memory + 4 * room,
			     .freedom =
				     patch_freedom * (s->count > 1 ? (double)(s->count - 1) : 1) };
	params = params ? params : &none;
	int rc = gather(&line, s, ny, nx, params, err);

	if (!rc && !robust_line(&line))
		rc = pn_error_set(err, PN_ENOENT, "noise: %zu patches, all at the level %g",
				  line.count, line.level[0]);
	if (!rc)
		model_of(fit, &line, params->offset);
	free(memory);
	return rc;
}

static int check_frames(const float *frames, size_t count, size_t ny, size_t nx,
			struct pn_error *err)
{
	if (ny < IMAGE_MIN || nx < IMAGE_MIN || ny > IMAGE_MAX || nx > IMAGE_MAX)
		return pn_error_set(err, PN_EARG, "noise: %zu x %zu pixels: sides must be %d..%d",
				    ny, nx, IMAGE_MIN, IMAGE_MAX);
	for (size_t i = 0; i < count * ny * nx; i++)
		if (!isfinite(frames[i]))
			return pn_error_set(err, PN_EARG, "noise: frame %zu, pixel %zu %zu is %g",
					    i / (ny * nx), i / nx % ny, i % nx, frames[i]);
	return PN_OK;
}

int pn_noise_from_image(struct pn_noise_fit *fit, const float *src, size_t ny, size_t nx,
			const struct pn_noise_params *params, struct pn_error *err)
{
	const struct stack s = { .count = 1, .nx = nx, .first = { src } };
	int rc = check_frames(src, 1, ny, nx, err);

	return rc ? rc : estimate(fit, &s, ny, nx, params, err);
}

/* The common part of a side of length @n, axis @axis: its length; [out] where it begins. */
static long common_side(const double (*shift_px)[2], size_t count, int axis, size_t n,
			size_t *first)
{
	double low = INFINITY, high = -INFINITY;

	for (size_t k = 0; k < count; k++) {
		low = fmin(low, round(shift_px[k][axis]));
		high = fmax(high, round(shift_px[k][axis]));
	}
	if (!(high - low < (double)n))
		return 0;
	for (size_t k = 0; k < count; k++)
		first[k] = (size_t)(round(shift_px[k][axis]) - low);
	return (long)n - (long)(high - low);
}

int pn_noise_from_frames(struct pn_noise_fit *fit, const float *frames, size_t count, size_t ny,
			 size_t nx, const double (*shift_px)[2],
			 const struct pn_noise_params *params, struct pn_error *err)
{
	size_t left[FRAMES_MAX] = { 0 }, top[FRAMES_MAX] = { 0 };
	struct stack s = { .count = count, .nx = nx };
	long wide = (long)nx, high = (long)ny;

	if (count < 2 || count > FRAMES_MAX)
		return pn_error_set(err, PN_EARG, "noise: %zu frames: must be 2..%d", count,
				    FRAMES_MAX);
	int rc = check_frames(frames, count, ny, nx, err);

	if (rc)
		return rc;
	if (shift_px) {
		wide = common_side(shift_px, count, 0, nx, left);
		high = common_side(shift_px, count, 1, ny, top);
	}
	if (wide < IMAGE_MIN || high < IMAGE_MIN)
		return pn_error_set(err, PN_EARG,
				    "noise: the frames have %ld x %ld pixels in common, at least "
				    "%d x %d are needed",
				    high, wide, IMAGE_MIN, IMAGE_MIN);
	for (size_t k = 0; k < count; k++)
		s.first[k] = frames + (k * ny + top[k]) * nx + left[k];
	return estimate(fit, &s, (size_t)high, (size_t)wide, params, err);
}
