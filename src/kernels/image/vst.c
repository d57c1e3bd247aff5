/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/image/vst.h"

#include <math.h>
#include <stdlib.h>

enum { COUNTS = 320, KNOTS = 2048, NODES = 400, SUMMED_MAX = 100 };

struct pn_vst {
	struct pn_noise_model noise;
	double ratio;          /* readout / gain, electrons                                 */
	double shift;          /* 3/8 + ratio^2                                             */
	double root[COUNTS];   /* E of f given p electrons                                  */
	double low, high;      /* E[f | 0], E[f | SUMMED_MAX]                               */
	double per_step, step; /* knots of the inverse: value low + i step                  */
	double y[KNOTS + 1], slope[KNOTS + 1]; /* electrons, and per step */
};

/* Expectation of f over the readout noise, given p electrons. From where the root is 0 on, x =
 * edge + t^2: its infinite slope at the edge becomes a smooth integrand, for Simpson's rule. */
static double root_of(const struct pn_vst *vst, double p)
{
	double s = vst->ratio, a = p + vst->shift, sum = 0, reach = 9;

	if (s == 0)
		return 2 * sqrt(a);
	double edge = -a / s, from = 0, to;

	if (edge > -reach) {
		to = sqrt(reach - edge);
		for (int i = 0; i <= NODES; i++) {
			double t = from + (to - from) * i / NODES, x = edge + t * t;
			double weight = i == 0 || i == NODES ? 1 : i % 2 ? 4 : 2;

			sum += weight * 2 * sqrt(s) * t * exp(-x * x / 2) * 2 * t;
		}
	} else {
		from = -reach;
		to = reach;
		for (int i = 0; i <= NODES; i++) {
			double x = from + (to - from) * i / NODES;
			double weight = i == 0 || i == NODES ? 1 : i % 2 ? 4 : 2;

			sum += weight * 2 * sqrt(fmax(a + s * x, 0)) * exp(-x * x / 2);
		}
	}
	return sum * (to - from) / (3 * NODES) / sqrt(2 * M_PI);
}

/* Sum over the Poisson law of mean y, and its derivative by y. */
static double summed_mean(const struct pn_vst *vst, double y, double *slope)
{
	/* y is at most SUMMED_MAX: exp(-y) is far from the smallest double */
	double sum = 0, rise = 0, weight = exp(-y);

	for (int p = 0; p + 1 < COUNTS; p++) {
		sum += weight * vst->root[p];
		rise += weight * (vst->root[p + 1] - vst->root[p]);
		weight *= y / (p + 1);
	}
	*slope = rise;
	return sum;
}

/* E[2 sqrt(a + d)], d of mean 0, from the moments of d = Poisson - y + s x up to the sixth. */
static double expanded_mean(const struct pn_vst *vst, double y)
{
	double a = y + vst->shift, s2 = vst->ratio * vst->ratio, k2 = y + s2;
	double m4 = y + 3 * k2 * k2, m5 = y + 10 * y * k2;
	double m6 = y + 15 * y * k2 + 10 * y * y + 15 * k2 * k2 * k2;
	double r = 1 / a, r2 = r * r;

	return 2 * sqrt(a) *
	       (1 - k2 * r2 / 8 + y * r2 * r / 16 - 5 * m4 * r2 * r2 / 128 +
		7 * m5 * r2 * r2 * r / 256 - 21 * m6 * r2 * r2 * r2 / 1024);
}

/* The expansion, so that it meets the sum at SUMMED_MAX. */
static double far_mean(const struct pn_vst *vst, double y)
{
	return expanded_mean(vst, y) + vst->high - expanded_mean(vst, SUMMED_MAX);
}

double pn_vst_mean(const struct pn_vst *vst, double y)
{
	double slope;

	if (vst->noise.gain == 0)
		return y;
	return y > SUMMED_MAX ? far_mean(vst, y) : summed_mean(vst, y, &slope);
}

/* Beyond the table: Newton from the inverse of 2 sqrt(y + shift) with the variance's share. */
static double far_inverse(const struct pn_vst *vst, double value)
{
	double y = value * value / 4 - vst->shift + 0.25;

	for (int i = 0; i < 3; i++) {
		y = fmax(y, SUMMED_MAX);
		y += (value - far_mean(vst, y)) * sqrt(y + vst->shift);
	}
	return fmax(y, SUMMED_MAX);
}

static void fill_table(struct pn_vst *vst)
{
	double slope, y = 0;

	for (int p = 0; p < COUNTS; p++)
		vst->root[p] = root_of(vst, p);
	vst->low = summed_mean(vst, 0, &slope);
	vst->high = summed_mean(vst, SUMMED_MAX, &slope);
	vst->step = (vst->high - vst->low) / KNOTS;
	vst->per_step = 1 / vst->step;
	for (int i = 0; i <= KNOTS; i++) {
		double value = vst->low + i * vst->step;

		for (int round = 0; round < 3; round++) {
			double miss = value - summed_mean(vst, y, &slope);

			y = fmin(fmax(y + miss / slope, 0), SUMMED_MAX);
		}
		summed_mean(vst, y, &slope);
		vst->y[i] = y;
		vst->slope[i] = vst->step / slope;
	}
}

int pn_vst_create(struct pn_vst **out, const struct pn_noise_model *noise, struct pn_error *err)
{
	*out = NULL;
	if (!isfinite(noise->gain) || !isfinite(noise->offset) || !isfinite(noise->readout) ||
	    noise->gain < 0 || noise->readout < 0 || !(noise->gain + noise->readout > 0) ||
	    noise->readout > 1000 * noise->gain + (noise->gain == 0 ? INFINITY : 0))
		return pn_error_set(err, PN_EARG,
				    "vst: gain = %g, offset = %g, readout = %g: must be >= 0, not "
				    "both 0, and the readout noise at most 1000 gains",
				    noise->gain, noise->offset, noise->readout);
	struct pn_vst *vst = calloc(1, sizeof *vst);

	if (!vst)
		return pn_error_set(err, PN_ENOMEM, "vst: no memory");
	vst->noise = *noise;
	if (noise->gain > 0) {
		vst->ratio = noise->readout / noise->gain;
		vst->shift = 0.375 + vst->ratio * vst->ratio;
		fill_table(vst);
	}
	*out = vst;
	return PN_OK;
}

void pn_vst_destroy(struct pn_vst *vst)
{
	free(vst);
}

void pn_vst_forward(const struct pn_vst *vst, float *dst, const float *src, size_t count)
{
	const struct pn_noise_model *n = &vst->noise;

	if (n->gain == 0) {
		for (size_t i = 0; i < count; i++)
			dst[i] = (float)((src[i] - n->offset) / n->readout);
		return;
	}
	for (size_t i = 0; i < count; i++) {
		double v = (src[i] - n->offset) / n->gain + vst->shift;

		dst[i] = (float)(2 * sqrt(v < 0 ? 0 : v));
	}
}

/* Hermite interpolation between knots; the tangent below the first. */
static double inverse_of(const struct pn_vst *vst, double value)
{
	double at = (value - vst->low) * vst->per_step;

	if (!(at > 0))
		return at * vst->slope[0];
	if (at >= KNOTS)
		return far_inverse(vst, value);
	int i = (int)at;
	double t = at - i, u = 1 - t;

	return u * u * ((1 + 2 * t) * vst->y[i] + t * vst->slope[i]) +
	       t * t * ((1 + 2 * u) * vst->y[i + 1] - u * vst->slope[i + 1]);
}

void pn_vst_inverse(const struct pn_vst *vst, float *dst, const float *src, size_t count)
{
	const struct pn_noise_model *n = &vst->noise;

	for (size_t i = 0; i < count; i++)
		dst[i] = (float)(n->offset + (n->gain == 0 ? src[i] * n->readout
							   : n->gain * inverse_of(vst, src[i])));
}
