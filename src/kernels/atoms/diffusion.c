/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/diffusion.h"

#include "perrin/math/fit.h"
#include "perrin/math/linear.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define A2_PER_M2  1e20
#define LAYERS_MAX 512

static int check(const struct pn_layer_profiles *p, struct pn_error *err)
{
	if (p->times < 2 || p->layers < 3)
		return pn_error_set(err, PN_EARG,
				    "diffusion: %zu times and %zu layers, needs at least 2 and 3",
				    p->times, p->layers);
	if (!(p->spacing_A > 0))
		return pn_error_set(err, PN_EARG, "diffusion: layers are %g A apart", p->spacing_A);
	for (size_t t = 1; t < p->times; t++)
		if (!(p->time_s[t] > p->time_s[t - 1]))
			return pn_error_set(err, PN_EARG,
					    "diffusion: time %g s does not come after %g s",
					    p->time_s[t], p->time_s[t - 1]);
	return PN_OK;
}

static double sigma_at(const struct pn_layer_profiles *p, size_t time, size_t layer)
{
	return p->sigma ? p->sigma[time * p->layers + layer] : 0;
}

static void result_of(struct pn_diffusion *diffusion, const struct pn_fit_result *fit, int which,
		      double scale_A2_per_s, int points)
{
	*diffusion = (struct pn_diffusion){
		.D_m2_per_s = fit->value[which] * scale_A2_per_s / A2_PER_M2,
		.uncertainty_m2_per_s = fit->uncertainty[which] * scale_A2_per_s / A2_PER_M2,
		.chi2 = fit->chi2,
		.points = points,
		.converged = fit->converged,
	};
}

/* ---- Fick on the layers -------------------------------------------------------------------- */

struct fick {
	const struct pn_layer_profiles *profiles;
	size_t first, last, count; /* window; layers that have atoms at all times */
	uint8_t *exists;           /* [layers] */
	double *edge_area;         /* [layers] between layer k - 1 and k, of the mean layer */
	double *volume;            /* [layers] in A, per area of the mean layer */
	double *work;              /* [5][layers] for the steps */
	double *design;            /* [points][count]: the points as the first profile makes them */
	double *target, *profile;  /* [points], [count] */
	size_t points;
	double scale_A2_per_s; /* of the one parameter */
};

/*
 * dC/dx at the edge between layers k - 1 and k, from layer means: exact for a cubic where two
 * layers on each side exist, for a parabola where not.
 */
static double gradient(const struct fick *fick, const double *c, size_t k)
{
	const uint8_t *exists = fick->exists;
	double x = fick->profiles->spacing_A, near = (c[k] - c[k - 1]) / x;

	if (k < 2 || k + 1 >= fick->profiles->layers || !exists[k - 2] || !exists[k + 1])
		return near;
	return (15 * near - (c[k + 1] - c[k - 2]) / x) / 12;
}

static void rate(const struct fick *fick, double *out, const double *c)
{
	size_t layers = fick->profiles->layers;

	memset(out, 0, layers * sizeof *out);
	for (size_t k = 1; k < layers; k++) {
		if (!fick->exists[k - 1] || !fick->exists[k])
			continue;
		double flow = fick->edge_area[k] * gradient(fick, c, k);

		out[k - 1] += flow / fick->volume[k - 1];
		out[k] -= flow / fick->volume[k];
	}
}

/*
 * Carry a profile on by D t = @spread_A2, in place, by Runge and Kutta's fourth-order steps of at
 * most an eighth of what the fastest layer takes. 0 if there were too many steps.
 */
static int carry(const struct fick *fick, double *c, double spread_A2)
{
	size_t layers = fick->profiles->layers;
	double *k1 = fick->work, *k2 = k1 + layers, *k3 = k2 + layers, *k4 = k3 + layers;
	double *at = k4 + layers, fastest = 0;

	for (size_t k = 0; k < layers; k++)
		if (fick->exists[k]) {
			double area =
				fick->edge_area[k] + (k + 1 < layers ? fick->edge_area[k + 1] : 0);

			fastest = fmax(fastest, area / fick->volume[k] / fick->profiles->spacing_A);
		}
	double steps = ceil(8 * fabs(spread_A2) * fastest) + 1;

	/* backwards in time small ripples grow without bound: a spacing or two are all that can be
	 */
	if (!(steps < (spread_A2 < 0 ? 40 : 20000)))
		return 0;
	for (double n = 0, h = spread_A2 / steps; n < steps; n++) {
		rate(fick, k1, c);
		for (size_t k = 0; k < layers; k++)
			at[k] = c[k] + h / 2 * k1[k];
		rate(fick, k2, at);
		for (size_t k = 0; k < layers; k++)
			at[k] = c[k] + h / 2 * k2[k];
		rate(fick, k3, at);
		for (size_t k = 0; k < layers; k++)
			at[k] = c[k] + h * k3[k];
		rate(fick, k4, at);
		for (size_t k = 0; k < layers; k++)
			c[k] += h / 6 * (k1[k] + 2 * k2[k] + 2 * k3[k] + k4[k]);
	}
	return 1;
}

/* Is this layer of this time a point of the fit? */
static int is_point(const struct fick *fick, size_t time, size_t layer)
{
	return fick->exists[layer] && (time == 0 || (layer >= fick->first && layer <= fick->last));
}

/* The points as a linear function of the first profile: column by column, a layer of 1 carried. */
static int design_for(const struct fick *fick, double D_A2_per_s)
{
	const struct pn_layer_profiles *p = fick->profiles;
	double c[LAYERS_MAX];

	for (size_t j = 0, column = 0; j < p->layers; j++) {
		size_t n = 0;

		if (!fick->exists[j])
			continue;
		memset(c, 0, p->layers * sizeof *c);
		c[j] = 1;
		for (size_t t = 0; t < p->times; t++) {
			if (t && !carry(fick, c, D_A2_per_s * (p->time_s[t] - p->time_s[t - 1])))
				return 0;
			for (size_t k = 0; k < p->layers; k++)
				if (is_point(fick, t, k))
					fick->design[n++ * fick->count + column] =
						c[k] / (p->sigma ? sigma_at(p, t, k) : 1);
		}
		column++;
	}
	return 1;
}

/* What is left of the points when the first profile is the best one for this D. */
static int fick_residual(const double *parameter, double *r, void *context)
{
	const struct fick *fick = context;

	if (!design_for(fick, parameter[0] * fick->scale_A2_per_s))
		return 1;
	if (pn_least_squares(fick->profile, NULL, NULL, fick->design, fick->target,
			     (int)fick->points, (int)fick->count, NULL))
		return 1;
	for (size_t n = 0; n < fick->points; n++) {
		r[n] = -fick->target[n];
		for (size_t j = 0; j < fick->count; j++)
			r[n] += fick->design[n * fick->count + j] * fick->profile[j];
	}
	return 0;
}

static void lay_out(struct fick *fick)
{
	const struct pn_layer_profiles *p = fick->profiles;
	double mean = 0;
	size_t n = 0;

	for (size_t k = 0; k < p->layers; k++)
		mean += p->atoms && fick->exists[k] ? p->atoms[k] / (double)fick->count : 0;
	for (size_t k = 0; k < p->layers; k++)
		fick->volume[k] = p->spacing_A * (p->atoms ? p->atoms[k] / mean : 1);
	for (size_t k = 1; k < p->layers; k++)
		fick->edge_area[k] = (fick->volume[k - 1] + fick->volume[k]) / 2 / p->spacing_A;
	for (size_t t = 0; t < p->times; t++)
		for (size_t k = 0; k < p->layers; k++)
			if (is_point(fick, t, k))
				fick->target[n++] = p->fraction[t * p->layers + k] /
						    (p->sigma ? sigma_at(p, t, k) : 1);
}

static int sigmas_are_good(const struct pn_layer_profiles *p, struct pn_error *err)
{
	for (size_t t = 0; t < p->times; t++)
		for (size_t k = 0; p->sigma && k < p->layers; k++)
			if (!isnan(p->fraction[t * p->layers + k]) && !(sigma_at(p, t, k) > 0))
				return pn_error_set(err, PN_EARG,
						    "diffusion: standard deviation of layer %zu at "
						    "%g s is %g",
						    k, p->time_s[t], sigma_at(p, t, k));
	return PN_OK;
}

/* Which layers there are at all times, and how many points that makes. */
static int count_points(struct fick *fick, struct pn_error *err)
{
	const struct pn_layer_profiles *p = fick->profiles;
	size_t inside = 0;

	for (size_t k = 0; k < p->layers; k++) {
		fick->exists[k] = !p->atoms || p->atoms[k] > 0;
		for (size_t t = 0; t < p->times; t++)
			if (isnan(p->fraction[t * p->layers + k]))
				fick->exists[k] = 0;
		fick->count += fick->exists[k];
		inside += fick->exists[k] && k >= fick->first && k <= fick->last;
	}
	fick->points = fick->count + (p->times - 1) * inside;
	if (!inside)
		return pn_error_set(err, PN_EARG,
				    "diffusion: no layer of %zu..%zu has atoms at all times",
				    fick->first, fick->last);
	return PN_OK;
}

/* Trace of (d^T d - m^T c m) c with m = a^T d, for @n columns; @m is room for n x n. */
static double trace_of(const double *c, double *m, const double *a, const double *d, size_t points,
		       size_t n)
{
	double trace = 0;

	memset(m, 0, n * n * sizeof *m);
	for (size_t r = 0; r < points; r++)
		for (size_t i = 0; i < n; i++)
			for (size_t j = 0; j < n; j++)
				m[i * n + j] += a[r * n + i] * d[r * n + j];
	/* trace(d c d^T), row by row, less trace((m c) (c m)^T) = trace(m^T c m c) */
	for (size_t r = 0; r < points; r++)
		for (size_t i = 0; i < n; i++)
			for (size_t j = 0; j < n; j++)
				trace += d[r * n + i] * c[i * n + j] * d[r * n + j];
	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++) {
			double cm = 0, mc = 0;

			for (size_t k = 0; k < n; k++) {
				cm += c[i * n + k] * m[k * n + j];
				mc += m[i * n + k] * c[k * n + j];
			}
			trace -= cm * mc;
		}
	return trace;
}

/*
 * How much the noise of the first profile adds to the information on D, per variance of a point:
 * the trace of G C with C = (A^T A)^-1, G = dA^T (1 - A C A^T) dA, A the design and dA what it
 * changes per unit of D. -1 if D is too near its bounds or there is no memory.
 */
static double noise_information(struct fick *fick, double D)
{
	const double half = 1e-3;
	size_t n = fick->count, points = fick->points;
	double *memory = malloc((2 * points * n + 2 * n * n) * sizeof *memory), trace = -1;

	if (!memory)
		return -1;
	double *d = memory, *own = fick->design, *c = d + 2 * points * n, *m = c + n * n;

	fick->design = d + points * n;
	int good = design_for(fick, (D - half) * fick->scale_A2_per_s);
	fick->design = d;
	good = good && design_for(fick, (D + half) * fick->scale_A2_per_s);
	fick->design = own;
	good = good && design_for(fick, D * fick->scale_A2_per_s) &&
	       pn_least_squares(fick->profile, c, NULL, own, fick->target, (int)points, (int)n,
				NULL) == PN_OK;
	for (size_t i = 0; i < points * n; i++)
		d[i] = (d[i] - d[points * n + i]) / (2 * half);
	if (good)
		trace = trace_of(c, m, own, d, points, n);
	free(memory);
	return trace;
}

/*
 * The standard deviation of D. The first profile is measured as badly as the others, and a noisy
 * profile bends more than the true one: what chi2 says of D (@information) is too much by twice the
 * share F of the noise, and D scatters by that share, too. With S = information - 2 F true
 * information and points of variance v, sqrt(v (S + v F)) / S; NaN if next to nothing is left.
 */
static double deviation_of(struct fick *fick, double D, double information, double variance)
{
	double noise = variance * noise_information(fick, D), left = information - 2 * noise;

	if (!(noise >= 0) || !(left > noise))
		return NAN;
	return sqrt(variance * (left + noise)) / left;
}

static int fit_fick(struct fick *fick, struct pn_diffusion *diffusion, struct pn_error *err)
{
	const struct pn_layer_profiles *p = fick->profiles;
	struct pn_fit_result fit = { .value = { 0.1 } };
	size_t layers = p->layers,
	       bytes = (7 * layers + (fick->count + 1) * fick->points + fick->count) *
		       sizeof(double);
	double *memory = calloc(1, bytes), freedom = (double)(fick->points - fick->count) - 1;

	if (!memory)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu layers", layers);
	fick->work = memory;
	fick->edge_area = fick->work + 5 * layers;
	fick->volume = fick->edge_area + layers;
	fick->target = fick->volume + layers;
	fick->profile = fick->target + fick->points;
	fick->design = fick->profile + fick->count;
	fick->scale_A2_per_s =
		p->spacing_A * p->spacing_A / (p->time_s[p->times - 1] - p->time_s[0]);
	lay_out(fick);
	struct pn_fit_problem problem = { (int)fick->points, 1, fick_residual, fick, 0, 1 };
	int rc = pn_fit(&fit, &problem, err);

	if (!rc) {
		/* the first profile has taken its share of the points */
		double variance = p->sigma ? 1 : freedom > 0 ? fit.chi2 / freedom : NAN;

		fit.uncertainty[0] =
			deviation_of(fick, fit.value[0], pow(fit.uncertainty[0], -2), variance);
	}
	free(memory);
	if (rc)
		return rc;
	result_of(diffusion, &fit, 0, fick->scale_A2_per_s, (int)(fick->points - fick->count));
	return PN_OK;
}

int pn_diffusion_fick(struct pn_diffusion *diffusion, const struct pn_layer_profiles *profiles,
		      size_t first, size_t last, struct pn_error *err)
{
	struct fick fick = { .profiles = profiles, .first = first, .last = last };
	int rc = check(profiles, err);

	if (!rc && profiles->layers > LAYERS_MAX)
		rc = pn_error_set(err, PN_EARG, "diffusion: %zu layers, at most %d",
				  profiles->layers, LAYERS_MAX);
	if (!rc && (first > last || last >= profiles->layers))
		rc = pn_error_set(err, PN_EARG, "diffusion: layers %zu..%zu of %zu", first, last,
				  profiles->layers);
	if (!rc)
		rc = sigmas_are_good(profiles, err);
	if (rc)
		return rc;
	uint8_t exists[LAYERS_MAX];

	fick.exists = exists;
	rc = count_points(&fick, err);
	return rc ? rc : fit_fick(&fick, diffusion, err);
}

/* ---- the width of an interface ------------------------------------------------------------- */

enum { OUT, IN, CENTER, WIDTH, SPREAD, ERFC_PARAMETERS };

struct erfc_fit {
	const struct pn_layer_profiles *profiles;
	double scale_A2_per_s;
};

/* Integral of erfc(u) from 0 to u. */
static double erfc_integral(double u)
{
	return u * erfc(u) + (1 - exp(-u * u)) / sqrt(M_PI);
}

/* Mean of the profile over the layer around x. */
static double layer_mean(const double *p, double x_A, double w_A, double spacing_A)
{
	double a = (x_A - spacing_A / 2 - p[CENTER]) / w_A;
	double b = (x_A + spacing_A / 2 - p[CENTER]) / w_A;
	double mean = (erfc_integral(b) - erfc_integral(a)) / (b - a);

	return p[IN] + (p[OUT] - p[IN]) / 2 * mean;
}

static int erfc_residual(const double *p, double *r, void *context)
{
	const struct erfc_fit *fit = context;
	const struct pn_layer_profiles *profiles = fit->profiles;
	double x = profiles->spacing_A;
	size_t n = 0;

	for (size_t t = 0; t < profiles->times; t++) {
		double elapsed_s = profiles->time_s[t] - profiles->time_s[0];
		double w2 = p[WIDTH] * p[WIDTH] + 4 * p[SPREAD] * fit->scale_A2_per_s * elapsed_s;

		if (!(w2 > 1e-6 * x * x))
			return 1;
		for (size_t k = 0; k < profiles->layers; k++) {
			double c = profiles->fraction[t * profiles->layers + k];

			if (!isnan(c))
				r[n++] = (layer_mean(p, (double)k * x, sqrt(w2), x) - c) /
					 (profiles->sigma ? sigma_at(profiles, t, k) : 1);
		}
	}
	return 0;
}

/* Ends of the first profile, and where it passes the middle. */
static void erfc_start(double *p, const struct pn_layer_profiles *profiles)
{
	const double *c = profiles->fraction;
	size_t first = 0, last = profiles->layers - 1;

	while (first < last && isnan(c[first]))
		first++;
	while (last > first && isnan(c[last]))
		last--;
	p[OUT] = c[first];
	p[IN] = c[last];
	p[WIDTH] = profiles->spacing_A;
	p[SPREAD] = 0.5;
	p[CENTER] = (double)(first + last) / 2 * profiles->spacing_A;
	for (size_t k = first; k < last; k++)
		if ((c[k] - (p[OUT] + p[IN]) / 2) * (c[k + 1] - (p[OUT] + p[IN]) / 2) <= 0) {
			p[CENTER] = ((double)k + 0.5) * profiles->spacing_A;
			break;
		}
}

int pn_diffusion_erfc(struct pn_diffusion *diffusion, const struct pn_layer_profiles *profiles,
		      struct pn_error *err)
{
	const struct pn_layer_profiles *p = profiles;
	struct pn_fit_result fit = { 0 };
	int rc = check(p, err), points = 0;

	if (!rc)
		rc = sigmas_are_good(p, err);
	if (rc)
		return rc;
	for (size_t i = 0; i < p->times * p->layers; i++)
		points += !isnan(p->fraction[i]);
	if (points <= ERFC_PARAMETERS)
		return pn_error_set(
			err, PN_EARG,
			"diffusion: %d layers with atoms, the profile has %d parameters", points,
			ERFC_PARAMETERS);
	struct erfc_fit context = { p, p->spacing_A * p->spacing_A /
					       (p->time_s[p->times - 1] - p->time_s[0]) };
	struct pn_fit_problem problem = { points, ERFC_PARAMETERS, erfc_residual, &context,
					  .absolute = p->sigma != NULL };

	erfc_start(fit.value, p);
	rc = pn_fit(&fit, &problem, err);
	if (!rc)
		result_of(diffusion, &fit, SPREAD, context.scale_A2_per_s, points);
	return rc;
}
