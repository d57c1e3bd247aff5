/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/align.h"

#include "perrin/math/fft.h"
#include "perrin/math/linear.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char *const across_words[] = { "center", "fixed", "none", NULL };

#define NUMBER(field, unit_, def_, min_, max_, help_)                                          \
	{                                                                                      \
		.name = #field, .unit = unit_, .help = help_, .type = PN_PARAM_F64,            \
		.off = offsetof(struct pn_tilt_align_params, field), .def = def_, .min = min_, \
		.max = max_                                                                    \
	}

const struct pn_param pn_tilt_align_param_table[] = {
	{ .name = "across",
	  .help = "shift across the axis: each tilt's center of mass, one for all, or none",
	  .type = PN_PARAM_ENUM,
	  .off = offsetof(struct pn_tilt_align_params, across),
	  .def = PN_ACROSS_CENTER,
	  .choices = across_words },
	NUMBER(axis_range_deg, "deg", 5, 0, 45,
	       "the axis is looked for so far from y (0: it is y)"),
	NUMBER(shift_max_px, "px", 0, 0, 1e5, "along the axis (0: a quarter of the rows)"),
	NUMBER(cutoff, NULL, 0.5, 0.01, 1, "band of the profiles, as part of Nyquist's"),
	NUMBER(border_mass_max, NULL, 0.002, 0, 1,
	       "part of a tilt's mass that may lie on the border pixels"),
	{ 0 },
};

#undef NUMBER

static const double degree = M_PI / 180;

/* ------------------------------------------------------------------ the sinusoid */

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Median of |r|; @work [count]. */
static double median_size(const double *r, double *work, size_t count)
{
	for (size_t i = 0; i < count; i++)
		work[i] = fabs(r[i]);
	qsort(work, count, sizeof *work, compare);
	return count % 2 ? work[count / 2] : (work[count / 2 - 1] + work[count / 2]) / 2;
}

struct sinusoid {
	double *a, *b, *residual, *weight, *work; /* [count][3], then [count] each */
	double p[3], covariance[9];
	int rank;
};

static int fit_weighted(struct sinusoid *s, const double *x, const double *angle_deg, size_t count,
			struct pn_error *err)
{
	for (size_t i = 0; i < count; i++) {
		double w = sqrt(s->weight[i]), t = angle_deg[i] * degree;

		s->a[3 * i] = w * cos(t);
		s->a[3 * i + 1] = -w * sin(t);
		s->a[3 * i + 2] = w;
		s->b[i] = w * x[i];
	}
	int rc = pn_least_squares(s->p, s->covariance, &s->rank, s->a, s->b, (int)count, 3, err);

	for (size_t i = 0; !rc && i < count; i++) {
		double t = angle_deg[i] * degree;

		s->residual[i] = x[i] - s->p[0] * cos(t) + s->p[1] * sin(t) - s->p[2];
	}
	return rc;
}

/* Iteratively reweighted; residuals at the level of rounding are all believed. */
static int fit_robust(struct sinusoid *s, const double *x, const double *angle_deg, size_t count,
		      struct pn_error *err)
{
	int rc = PN_OK;

	for (size_t i = 0; i < count; i++)
		s->weight[i] = 1;
	for (int round = 0; !rc && round < 30; round++) {
		rc = fit_weighted(s, x, angle_deg, count, err);
		double scale = 4.685 * 1.4826 * median_size(s->residual, s->work, count) + 1e-9;

		for (size_t i = 0; !rc && i < count; i++) {
			double z = s->residual[i] / scale;

			s->weight[i] = fabs(z) < 1 ? (1 - z * z) * (1 - z * z) : 0;
		}
	}
	return rc;
}

int pn_tilt_axis_fit(struct pn_axis_fit *fit, double *residual_px, const double *x_px,
		     const double *angle_deg, size_t count, struct pn_error *err)
{
	*fit = (struct pn_axis_fit){ 0 };
	if (count < 3)
		return pn_error_set(err, PN_EARG, "tilt axis: %zu tilts: 3 are needed", count);
	for (size_t i = 0; i < count; i++)
		if (!isfinite(x_px[i]) || !isfinite(angle_deg[i]))
			return pn_error_set(err, PN_EARG,
					    "tilt axis: tilt %zu at %g deg, x = %g px", i,
					    angle_deg[i], x_px[i]);
	double *memory = malloc(8 * count * sizeof *memory);

	if (!memory)
		return pn_error_set(err, PN_ENOMEM, "tilt axis: no memory for %zu tilts", count);
	struct sinusoid s = { .a = memory,
			      .b = memory + 3 * count,
			      .residual = memory + 4 * count,
			      .weight = memory + 5 * count,
			      .work = memory + 6 * count };
	int rc = fit_robust(&s, x_px, angle_deg, count, err);

	if (!rc && s.rank < 3)
		rc = pn_error_set(err, PN_EARG,
				  "tilt axis: %zu angles from %g deg leave the axis open: three "
				  "directions are needed",
				  count, angle_deg[0]);
	double sum = 0, total = 0;

	for (size_t i = 0; !rc && i < count; i++) {
		sum += s.weight[i] * s.residual[i] * s.residual[i];
		total += s.weight[i];
		fit->outliers += s.weight[i] == 0;
		if (residual_px)
			residual_px[i] = s.residual[i];
	}
	if (!rc) {
		fit->x_px = s.p[0];
		fit->z_px = s.p[1];
		fit->offset_px = s.p[2];
		fit->rms_px = sqrt(sum / total);
		fit->offset_uncertainty_px =
			total > 3 ? sqrt(s.covariance[8] * sum / (total - 3)) : NAN;
	}
	free(memory);
	return rc;
}

/* ------------------------------------------------------------------ common line */

enum { LANES = 8, ZOOMS = 8, ROUNDS_MAX = 20 };

/*
 * Spectra of all columns, and the profiles made of them. Frequency k of a line of @length points
 * is 1..bands, kept at k - 1.
 */
struct lines {
	size_t count, ny, nx, length, bands, middle;
	const size_t *order;      /* tilts by angle, [count] */
	float complex *column;    /* [count][bands][nx], origin at ny/2 */
	float complex *ramp;      /* [bands][nx] */
	double complex *profile;  /* [count][bands], mass 1 */
	double complex *mean;     /* [1 + 2 count][bands]: all; per tilt the others, scratch */
	double *shift, *likeness; /* [count] */
	double *scale;            /* [count], 1 / mass */
	long reach;               /* whole pixels to both sides */
};

/* What is correlated, and the best shift known of it. */
struct peak {
	const double complex *product; /* conj(reference) profile, [bands] */
	double shift, value;
};

/* Re sum_k product_k exp(2 pi i k s / length) at LANES shifts side by side; the best is kept. */
static void try_shifts(const struct lines *l, struct peak *peak, const double s[LANES])
{
	double step_re[LANES], step_im[LANES], re[LANES], im[LANES], sum[LANES] = { 0 };

	for (int i = 0; i < LANES; i++) {
		double turn = 2 * M_PI * s[i] / (double)l->length;

		step_re[i] = cos(turn);
		step_im[i] = sin(turn);
		re[i] = 1;
		im[i] = 0;
	}
	for (size_t k = 0; k < l->bands; k++) {
		double a = creal(peak->product[k]), b = cimag(peak->product[k]);

		for (int i = 0; i < LANES; i++) {
			double next = re[i] * step_re[i] - im[i] * step_im[i];

			im[i] = re[i] * step_im[i] + im[i] * step_re[i];
			re[i] = next;
			sum[i] += a * re[i] - b * im[i];
		}
	}
	for (int i = 0; i < LANES; i++)
		if (sum[i] > peak->value) {
			peak->value = sum[i];
			peak->shift = s[i];
		}
}

/* The shift of a profile against a reference: whole pixels from..to, then zooming in. */
static double find_shift(const struct lines *l, const double complex *reference,
			 const double complex *profile, double complex *work, long from, long to,
			 double *best)
{
	static const double zoom_points[LANES] = { -1, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1 };
	struct peak peak = { .product = work, .value = -INFINITY };
	double s[LANES], width = 1;

	for (size_t k = 0; k < l->bands; k++)
		work[k] = conj(reference[k]) * profile[k];
	for (long at = from; at <= to; at += LANES) {
		for (int i = 0; i < LANES; i++)
			s[i] = (double)(at + i <= to ? at + i : to);
		try_shifts(l, &peak, s);
	}
	for (int zoom = 0; zoom < ZOOMS; zoom++, width /= 4) {
		double middle = peak.shift;

		for (int i = 0; i < LANES; i++)
			s[i] = middle + width * zoom_points[i];
		try_shifts(l, &peak, s);
	}
	*best = peak.value;
	return peak.shift;
}

/* sum += sign times the profile of tilt @j, put where it belongs. */
static void add_profile(const struct lines *l, double complex *sum, size_t j, double sign)
{
	const double complex *p = l->profile + j * l->bands;
	double complex step = cexp(2 * M_PI * I * l->shift[j] / (double)l->length), phase = sign;

	for (size_t k = 0; k < l->bands; k++) {
		phase *= step;
		sum[k] += phase * p[k];
	}
}

static double energy(const double complex *p, size_t count)
{
	double sum = 0;

	for (size_t k = 0; k < count; k++)
		sum += creal(p[k]) * creal(p[k]) + cimag(p[k]) * cimag(p[k]);
	return sum;
}

/* From the middle outward: onto the mean of the ones before. */
static void align_outward(struct lines *l)
{
	double complex *sum = l->mean;
	size_t low = l->middle, high = l->middle;

	memset(sum, 0, l->bands * sizeof *sum);
	l->shift[l->order[l->middle]] = 0;
	add_profile(l, sum, l->order[l->middle], 1);
	for (size_t done = 1; done < l->count; done++) {
		int up = high + 1 < l->count && (low == 0 || high - l->middle <= l->middle - low);
		size_t j = l->order[up ? ++high : --low];
		double c;

		l->shift[j] = find_shift(l, sum, l->profile + j * l->bands, sum + l->bands,
					 -l->reach, l->reach, &c);
		add_profile(l, sum, j, 1);
	}
}

/* One round: each onto the mean of all others as they stood; returns the largest step. */
static double align_round(struct lines *l)
{
	double complex *sum = l->mean;
	double moved = 0, mean = 0;

	memset(sum, 0, l->bands * sizeof *sum);
	for (size_t j = 0; j < l->count; j++)
		add_profile(l, sum, j, 1);
#pragma omp parallel for schedule(static) reduction(max : moved)
	for (size_t j = 0; j < l->count; j++) {
		double complex *others = l->mean + (2 * j + 1) * l->bands;
		double before = l->shift[j];
		long near = lround(before);

		memcpy(others, sum, l->bands * sizeof *others);
		add_profile(l, others, j, -1);
		double e = energy(others, l->bands), c;
		double after = find_shift(l, others, l->profile + j * l->bands, others + l->bands,
					  near - 1, near + 1, &c);

		e *= energy(l->profile + j * l->bands, l->bands);
		l->likeness[j] = e > 0 ? c / sqrt(e) : 0;
		l->shift[j] = after;
		moved = fabs(after - before) > moved ? fabs(after - before) : moved;
	}
	for (size_t j = 0; j < l->count; j++)
		mean += l->shift[j] / (double)l->count;
	for (size_t j = 0; j < l->count; j++)
		l->shift[j] -= mean;
	return moved;
}

/*
 * The energy that is not common to all profiles at the present shifts, each with the scale that
 * suits it best: sum_j |P_j|^2 - (m . P_j)^2 / m . m, m the mean. Not as a share of the energy at
 * this axis: noise adds the same energy for every axis, and a share would favor those where the
 * profiles have more of their own.
 */
static double unlike(struct lines *l)
{
	double complex *sum = l->mean;
	double left = energy(l->profile, l->count * l->bands);

	memset(sum, 0, l->bands * sizeof *sum);
	for (size_t j = 0; j < l->count; j++)
		add_profile(l, sum, j, 1);
	double common = energy(sum, l->bands);

	for (size_t j = 0; j < l->count && common > 0; j++) {
		double complex *own = l->mean + (2 * j + 1) * l->bands;
		double product = 0;

		memset(own, 0, l->bands * sizeof *own);
		add_profile(l, own, j, 1);
		for (size_t k = 0; k < l->bands; k++)
			product += creal(conj(sum[k]) * own[k]);
		left -= product * product / common;
	}
	return left;
}

/* Profiles across the axis @axis_deg, scaled to mass 1. */
static void make_profiles(struct lines *l, double axis_deg)
{
	double slope = tan(axis_deg * degree);

	for (size_t k = 0; k < l->bands; k++)
		for (size_t x = 0; x < l->nx; x++)
			l->ramp[k * l->nx + x] = (float complex)cexp(
				2 * M_PI * I * (double)(k + 1) * ((double)x - (double)(l->nx / 2)) *
				slope / (double)l->length);
#pragma omp parallel for schedule(static)
	for (size_t j = 0; j < l->count; j++) {
		double complex *p = l->profile + j * l->bands;

		for (size_t k = 0; k < l->bands; k++) {
			const float *c = (const float *)(l->column + (j * l->bands + k) * l->nx);
			const float *r = (const float *)(l->ramp + k * l->nx);
			float re = 0, im = 0;

#pragma omp simd reduction(+ : re, im)
			for (size_t x = 0; x < l->nx; x++) {
				re += c[2 * x] * r[2 * x] - c[2 * x + 1] * r[2 * x + 1];
				im += c[2 * x] * r[2 * x + 1] + c[2 * x + 1] * r[2 * x];
			}
			p[k] = l->scale[j] * ((double)re + I * (double)im);
		}
	}
}

static double try_axis(struct lines *l, double axis_deg, int rounds)
{
	make_profiles(l, axis_deg);
	align_outward(l);
	for (int i = 0; i < rounds; i++)
		if (align_round(l) < 1e-3)
			break;
	return unlike(l);
}

/* Scan, then golden section around the best; the profiles stay those of the answer. */
static double find_axis(struct lines *l, double range_deg, double *best)
{
	double step = fmin(atan(2.0 / (double)l->nx) / degree, range_deg / 2);
	long steps = (long)ceil(range_deg / step), at = 0;
	const double golden = (sqrt(5) - 1) / 2;

	*best = INFINITY;
	for (long i = -steps; i <= steps; i++) {
		double u = try_axis(l, (double)i * range_deg / (double)steps, 4);

		if (u < *best) {
			*best = u;
			at = i;
		}
	}
	step = range_deg / (double)steps;
	double a = fmax(-range_deg, (double)(at - 1) * step);
	double b = fmin(range_deg, (double)(at + 1) * step);
	double c = b - golden * (b - a), d = a + golden * (b - a);
	double uc = try_axis(l, c, ROUNDS_MAX), ud = try_axis(l, d, ROUNDS_MAX);

	while (b - a > 1e-3) {
		if (uc < ud) {
			b = d;
			d = c;
			ud = uc;
			c = b - golden * (b - a);
			uc = try_axis(l, c, ROUNDS_MAX);
		} else {
			a = c;
			c = d;
			uc = ud;
			d = a + golden * (b - a);
			ud = try_axis(l, d, ROUNDS_MAX);
		}
	}
	double axis = (a + b) / 2;

	*best = try_axis(l, axis, ROUNDS_MAX);
	return axis;
}

/* ------------------------------------------------------------------ spectra of the columns */

/* Band-limited spectra of the columns of one image. */
static void transform_columns(const struct lines *l, const float *image, size_t j,
			      const struct pn_fft *plan, float *line, float complex *spectrum)
{
	/* the origin of a column is its pixel ny/2: (-1)^k for the padded length 2 ny would put it
	 * there if ny were even, so the phase is written out */
	for (size_t x = 0; x < l->nx; x++) {
		for (size_t y = 0; y < l->ny; y++)
			line[y] = image[y * l->nx + x];
		memset(line + l->ny, 0, (l->length - l->ny) * sizeof *line);
		pn_fft_execute(plan, line, spectrum);
		for (size_t k = 0; k < l->bands; k++) {
			size_t turn = (k + 1) * (l->ny / 2) % l->length;
			double complex phase =
				cexp(2 * M_PI * I * (double)turn / (double)l->length);

			l->column[(j * l->bands + k) * l->nx + x] =
				(float complex)(spectrum[k + 1] * phase);
		}
	}
}

static int transform_series(struct lines *l, const float *image, struct pn_error *err)
{
	struct pn_fft *plan;
	int failed = 0, rc = pn_fft_plan(&plan, PN_FFT_R2C, 1, l->length, 0, err);

	if (rc)
		return rc;
#pragma omp parallel reduction(| : failed)
	{
		float *line = pn_fft_alloc(l->length * sizeof *line);
		float complex *spectrum = pn_fft_alloc((l->length / 2 + 1) * sizeof *spectrum);

		failed |= !line || !spectrum;
#pragma omp for schedule(static)
		for (size_t j = 0; j < l->count; j++)
			if (!failed)
				transform_columns(l, image + j * l->ny * l->nx, j, plan, line,
						  spectrum);
		pn_fft_free(line);
		pn_fft_free(spectrum);
	}
	pn_fft_destroy(plan);
	return failed ? pn_error_set(err, PN_ENOMEM, "alignment: no memory for spectra") : PN_OK;
}

static void lines_finish(struct lines *l)
{
	free(l->column);
	free(l->ramp);
	free(l->profile);
	free(l->mean);
	free(l->shift);
}

static int lines_init(struct lines *l, const struct pn_tilt_series *series, const size_t *order,
		      const struct pn_tilt_align_params *params, struct pn_error *err)
{
	double reach = params->shift_max_px > 0 ? params->shift_max_px : (double)series->ny / 4;

	*l = (struct lines){ .count = series->count,
			     .ny = series->ny,
			     .nx = series->nx,
			     .length = 2 * series->ny,
			     .bands = (size_t)fmax(2, params->cutoff * (double)series->ny),
			     .middle = series->count / 2,
			     .order = order,
			     .reach = lround(fmin(ceil(reach), (double)series->ny)) };
	l->column = malloc(l->count * l->bands * l->nx * sizeof *l->column);
	l->ramp = malloc(l->bands * l->nx * sizeof *l->ramp);
	l->profile = malloc(l->count * l->bands * sizeof *l->profile);
	l->mean = malloc((2 * l->count + 1) * l->bands * sizeof *l->mean);
	l->shift = calloc(3 * l->count, sizeof *l->shift);
	if (!l->column || !l->ramp || !l->profile || !l->mean || !l->shift)
		return pn_error_set(err, PN_ENOMEM,
				    "alignment: no memory for the spectra of %zu tilts of %zu x "
				    "%zu pixels",
				    l->count, l->ny, l->nx);
	l->likeness = l->shift + l->count;
	l->scale = l->likeness + l->count;
	return transform_series(l, series->image, err);
}

/* ------------------------------------------------------------------ the series */

/* Mass, center of mass and what lies on the border of one tilt. */
static int weigh(struct pn_tilt_shift *tilt, const struct pn_tilt_series *series, size_t j,
		 double border_mass_max, struct pn_error *err)
{
	size_t ny = series->ny, nx = series->nx;
	const float *image = series->image + j * ny * nx;
	double sum = 0, sx = 0, sy = 0, border = 0;
	int empty = 1;

	for (size_t i = 0; i < ny * nx; i++) {
		size_t y = i / nx, x = i % nx;
		double v = image[i];

		if (!isfinite(v))
			return pn_error_set(err, PN_EARG,
					    "alignment: tilt %zu (%g deg): pixel %zu %zu is %g", j,
					    series->angle_deg[j], y, x, v);
		sum += v;
		sx += v * ((double)x - (double)(nx / 2));
		sy += v * ((double)y - (double)(ny / 2));
		border += y == 0 || x == 0 || y + 1 == ny || x + 1 == nx ? v : 0;
		empty &= v == 0;
	}
	if (empty || !(sum > 0))
		return pn_error_set(err, PN_EARG, "alignment: tilt %zu (%g deg): %s (sum %g)", j,
				    series->angle_deg[j],
				    empty ? "every pixel is 0" : "no mass above the background",
				    sum);
	if (fabs(border) > border_mass_max * sum)
		return pn_error_set(err, PN_EARG,
				    "alignment: tilt %zu (%g deg): %.2g of the mass is on the "
				    "border pixels, more than %g: the particle leaves the field",
				    j, series->angle_deg[j], border / sum, border_mass_max);
	tilt->mass = sum;
	tilt->center_px[0] = sx / sum;
	tilt->center_px[1] = sy / sum;
	return PN_OK;
}

static int check_series(const struct pn_tilt_series *series,
			const struct pn_tilt_align_params *params, struct pn_error *err)
{
	if (series->count < 3)
		return pn_error_set(err, PN_EARG, "alignment: %zu tilts: 3 are needed",
				    series->count);
	if (series->ny < 8 || series->nx < 8 || series->ny > 16384 || series->nx > 16384)
		return pn_error_set(err, PN_EARG,
				    "alignment: images of %zu x %zu pixels: each must be 8..16384",
				    series->ny, series->nx);
	for (size_t j = 0; j < series->count; j++)
		if (!isfinite(series->angle_deg[j]))
			return pn_error_set(err, PN_EARG, "alignment: tilt %zu: its angle is %g", j,
					    series->angle_deg[j]);
	if (params->across < PN_ACROSS_CENTER || params->across > PN_ACROSS_NONE ||
	    !(params->axis_range_deg >= 0 && params->axis_range_deg <= 45) ||
	    !(params->shift_max_px >= 0) || !(params->cutoff >= 0.01 && params->cutoff <= 1) ||
	    !(params->border_mass_max >= 0))
		return pn_error_set(
			err, PN_EARG,
			"alignment: across = %d, axis_range_deg = %g, shift_max_px = "
			"%g, cutoff = %g, border_mass_max = %g: must be 0..2, 0..45, >= "
			"0, 0.01..1, >= 0",
			params->across, params->axis_range_deg, params->shift_max_px,
			params->cutoff, params->border_mass_max);
	return PN_OK;
}

/* Tilts by angle; insertion, as they come nearly in order. */
static void sort_tilts(size_t *order, const double *angle_deg, size_t count)
{
	for (size_t j = 0; j < count; j++) {
		size_t k = j;

		for (; k > 0 && angle_deg[order[k - 1]] > angle_deg[j]; k--)
			order[k] = order[k - 1];
		order[k] = j;
	}
}

/* Shifts across the axis from the centers of mass, and all of them as x, y of the image. */
static int put_together(struct pn_tilt_alignment *out, struct pn_tilt_shift *tilt,
			const struct lines *l, const struct pn_tilt_series *series, int across,
			struct pn_error *err)
{
	double c = cos(out->axis_deg * degree), s = sin(out->axis_deg * degree), lift = 0;
	double *u = malloc(2 * l->count * sizeof *u), *residual = u + l->count;
	struct pn_error open = { 0 };

	if (!u)
		return pn_error_set(err, PN_ENOMEM, "alignment: no memory for %zu tilts", l->count);
	for (size_t j = 0; j < l->count; j++) {
		u[j] = tilt[j].center_px[0] * c + tilt[j].center_px[1] * s;
		lift += (tilt[j].center_px[1] * c - tilt[j].center_px[0] * s - l->shift[j] * c) /
			(double)l->count;
	}
	int rc = pn_tilt_axis_fit(&out->fit, residual, u, series->angle_deg, l->count, &open);

	if (rc) {
		out->fit = (struct pn_axis_fit){ .offset_uncertainty_px = NAN };
		memset(residual, 0, l->count * sizeof *residual);
	}
	if (rc == PN_ENOMEM || (rc && across == PN_ACROSS_FIXED)) {
		pn_error_set(err, open.code, "%s", open.text);
		free(u);
		return rc;
	}
	for (size_t j = 0; j < l->count; j++) {
		double along = l->shift[j] * c + (across == PN_ACROSS_CENTER ? lift : 0);
		double side = across == PN_ACROSS_CENTER  ? u[j]
			      : across == PN_ACROSS_FIXED ? out->fit.offset_px
							  : 0;

		tilt[j].shift_px[0] = side * c - along * s;
		tilt[j].shift_px[1] = side * s + along * c;
		tilt[j].across_residual_px = residual[j];
		tilt[j].correlation = l->likeness[j];
	}
	free(u);
	return PN_OK;
}

static void align_lines(struct pn_tilt_alignment *out, struct lines *l, double range_deg)
{
	out->unlike_at_y = out->unlike = try_axis(l, 0, ROUNDS_MAX);
	double all = energy(l->profile, l->count * l->bands);

	if (range_deg > 0)
		out->axis_deg = find_axis(l, range_deg, &out->unlike);
	out->axis_at_end = range_deg > 0 && fabs(out->axis_deg) > 0.99 * range_deg;
	out->unlike /= all;
	out->unlike_at_y /= all;
}

int pn_tilt_align(struct pn_tilt_alignment *out, struct pn_tilt_shift *tilt,
		  const struct pn_tilt_series *series, const struct pn_tilt_align_params *params,
		  struct pn_error *err)
{
	int rc = check_series(series, params, err);

	*out = (struct pn_tilt_alignment){ 0 };
	for (size_t j = 0; !rc && j < series->count; j++) {
		tilt[j] = (struct pn_tilt_shift){ 0 };
		rc = weigh(&tilt[j], series, j, params->border_mass_max, err);
	}
	if (rc)
		return rc;
	size_t *order = malloc(series->count * sizeof *order);
	struct lines l = { 0 };

	if (!order)
		return pn_error_set(err, PN_ENOMEM, "alignment: no memory for %zu tilts",
				    series->count);
	sort_tilts(order, series->angle_deg, series->count);
	rc = lines_init(&l, series, order, params, err);
	for (size_t j = 0; !rc && j < series->count; j++)
		l.scale[j] = 1 / tilt[j].mass;
	if (!rc) {
		align_lines(out, &l, params->axis_range_deg);
		rc = put_together(out, tilt, &l, series, params->across, err);
	}
	lines_finish(&l);
	free(order);
	return rc;
}
