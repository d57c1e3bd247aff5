/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/image/twoclass.h"

#include "perrin/base/status.h"

#include <math.h>
#include <string.h>

static const double log_min = -4, log_max = 12;
static const double separation_min = 2.5, part_min = 0.03, valley_max = 0.7;
enum { FIRST_FIT = 64, CLASS_FRAMES_MIN = 8, EM_ROUNDS = 200 };

struct gauss {
	double part, mean, sd;
};

static double bin_centre(int i)
{
	return log_min + (i + 0.5) * (log_max - log_min) / PN_TWO_CLASS_BINS;
}

void pn_two_class_init(struct pn_two_class *c, double prior, int mean_frames)
{
	pn_assert(prior > 0 && mean_frames >= 1 && mean_frames <= PN_TWO_CLASS_MEAN_MAX);
	memset(c, 0, sizeof *c);
	c->prior = c->threshold = prior;
	c->mean_frames = mean_frames;
}

/* Mean, s.d. and part of the bins from..to-1. */
static struct gauss moments(const uint32_t *hist, int from, int to, double total)
{
	double n = 0, sum = 0, sum2 = 0;

	for (int i = from; i < to; i++) {
		n += hist[i];
		sum += hist[i] * bin_centre(i);
		sum2 += hist[i] * bin_centre(i) * bin_centre(i);
	}
	if (n == 0)
		return (struct gauss){ 0 };
	double var = sum2 / n - sum / n * (sum / n);
	double floor_sd = (log_max - log_min) / PN_TWO_CLASS_BINS / 2;

	return (struct gauss){ n / total, sum / n, fmax(floor_sd, sqrt(fmax(0, var))) };
}

static void otsu_start(const uint32_t *hist, double total, struct gauss *lo, struct gauss *hi)
{
	double best = -1;

	for (int cut = 1; cut < PN_TWO_CLASS_BINS; cut++) {
		struct gauss a = moments(hist, 0, cut, total);
		struct gauss b = moments(hist, cut, PN_TWO_CLASS_BINS, total);
		double between = a.part * b.part * (a.mean - b.mean) * (a.mean - b.mean);

		if (a.part > 0 && b.part > 0 && between > best) {
			best = between;
			*lo = a;
			*hi = b;
		}
	}
}

static double density(const struct gauss *g, double x)
{
	double z = (x - g->mean) / g->sd;

	return g->part / g->sd * exp(-0.5 * z * z);
}

/* One round of expectation-maximisation; returns how far the means moved. */
static double em_round(const uint32_t *hist, double total, struct gauss g[2])
{
	double n[2] = { 0 }, sum[2] = { 0 }, sum2[2] = { 0 }, moved = 0;
	double floor_sd = (log_max - log_min) / PN_TWO_CLASS_BINS / 2;

	for (int i = 0; i < PN_TWO_CLASS_BINS; i++) {
		if (!hist[i])
			continue;
		double x = bin_centre(i), a = density(&g[0], x), b = density(&g[1], x);
		double share = a + b > 0 ? b / (a + b) : x > (g[0].mean + g[1].mean) / 2;
		double w[2] = { hist[i] * (1 - share), hist[i] * share };

		for (int k = 0; k < 2; k++) {
			n[k] += w[k];
			sum[k] += w[k] * x;
			sum2[k] += w[k] * x * x;
		}
	}
	for (int k = 0; k < 2; k++) {
		if (n[k] < 1)
			continue;
		double mean = sum[k] / n[k];

		moved += fabs(mean - g[k].mean);
		g[k] = (struct gauss){ n[k] / total, mean,
				       fmax(floor_sd,
					    sqrt(fmax(0, sum2[k] / n[k] - mean * mean))) };
	}
	return moved;
}

static double crossing(const struct gauss g[2])
{
	double lo = g[0].mean, hi = g[1].mean;

	for (int i = 0; i < 60; i++) {
		double x = (lo + hi) / 2;

		if (density(&g[0], x) > density(&g[1], x))
			lo = x;
		else
			hi = x;
	}
	return (lo + hi) / 2;
}

/* The histogram, smoothed over a quarter of the mean width, must dip between the two modes. */
static int has_valley(const uint32_t *hist, const struct gauss g[2], double cut)
{
	double step = (log_max - log_min) / PN_TWO_CLASS_BINS;
	double sigma = fmax(step, 0.3 * (g[0].sd + g[1].sd) / 2);
	double mode[2] = { 0 }, valley = INFINITY;

	for (double x = g[0].mean - g[0].sd; x <= g[1].mean + g[1].sd; x += step) {
		double sum = 0;

		for (int i = 0; i < PN_TWO_CLASS_BINS; i++) {
			double z = (bin_centre(i) - x) / sigma;

			if (hist[i] && fabs(z) < 4)
				sum += hist[i] * exp(-0.5 * z * z);
		}
		mode[x > cut] = fmax(mode[x > cut], sum);
		if (x > g[0].mean && x < g[1].mean)
			valley = fmin(valley, sum);
	}
	return valley < valley_max * fmin(mode[0], mode[1]);
}

static void fit(struct pn_two_class *c)
{
	struct gauss g[2] = { 0 };
	double total = (double)c->count, need = fmax(part_min, CLASS_FRAMES_MIN / total);

	c->since_fit = 0;
	c->bimodal = 0;
	c->threshold = c->prior;
	c->separation = 0;
	otsu_start(c->hist, total, &g[0], &g[1]);
	if (!(g[1].part > 0))
		return;
	for (int i = 0; i < EM_ROUNDS && em_round(c->hist, total, g) > 1e-6; i++)
		;
	c->separation = (g[1].mean - g[0].mean) / sqrt((g[0].sd * g[0].sd + g[1].sd * g[1].sd) / 2);
	c->high_part = g[1].part;
	if (c->separation < separation_min || g[0].part < need || g[1].part < need)
		return;
	double cut = crossing(g);

	if (!has_valley(c->hist, g, cut))
		return;
	c->bimodal = 1;
	c->threshold = exp(cut);
}

enum pn_class pn_two_class_of(const struct pn_two_class *c, double peak)
{
	if (!isfinite(peak) || peak <= 0)
		return PN_CLASS_NONE;
	return peak > c->threshold ? PN_CLASS_HIGH : PN_CLASS_LOW;
}

enum pn_class pn_two_class_add(struct pn_two_class *c, double peak, double *mean)
{
	if (isfinite(peak) && peak > 0) {
		double at = (log(peak) - log_min) / (log_max - log_min) * PN_TWO_CLASS_BINS;
		int bin = (int)fmin(fmax(at, 0), PN_TWO_CLASS_BINS - 1);

		c->recent[c->count % (uint64_t)c->mean_frames] = (float)peak;
		c->hist[bin]++;
		c->count++;
		c->since_fit++;
		if (c->count >= FIRST_FIT && c->since_fit * 10 >= c->count)
			fit(c);
	}
	if (mean) {
		uint64_t n =
			c->count < (uint64_t)c->mean_frames ? c->count : (uint64_t)c->mean_frames;
		double sum = 0;

		for (uint64_t i = 0; i < n; i++)
			sum += c->recent[i];
		*mean = n ? sum / (double)n : 0;
	}
	return pn_two_class_of(c, peak);
}
