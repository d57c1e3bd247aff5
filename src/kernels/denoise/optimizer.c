/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/denoise/optimizer.h"

#include <math.h>

enum { SHARED_MIN = 16384 }; /* fewer parameters are done before other threads wake up */

/* Below this length of the simple moving average its variance is not known well enough to divide
 * by. */
static const double rho_min = 5;

void pn_radam_init(struct pn_radam *radam)
{
	*radam = (struct pn_radam){ .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8 };
}

static double rectification(double rho, double rho_inf)
{
	return sqrt((rho - 4) * (rho - 2) * rho_inf / ((rho_inf - 4) * (rho_inf - 2) * rho));
}

void pn_radam_step(struct pn_radam *radam, double rate, float *params, float *m, float *v,
		   const float *gradient, size_t count)
{
	double t = (double)++radam->step, power = pow(radam->beta2, t);
	double rho_inf = 2 / (1 - radam->beta2) - 1, rho = rho_inf - 2 * t * power / (1 - power);
	double step = rate / (1 - pow(radam->beta1, t));
	int adaptive = rho > rho_min;
	float keep1 = (float)radam->beta1, new1 = (float)(1 - radam->beta1);
	float keep2 = (float)radam->beta2, new2 = (float)(1 - radam->beta2);
	float epsilon = (float)radam->epsilon, correction = (float)(1 / (1 - power));
	float scale = (float)(adaptive ? step * rectification(rho, rho_inf) : step);

#pragma omp parallel for schedule(static) if (count >= SHARED_MIN)
	for (size_t i = 0; i < count; i++) {
		float g = gradient[i];

		m[i] = keep1 * m[i] + new1 * g;
		v[i] = keep2 * v[i] + new2 * (g * g);
		params[i] -= adaptive ? scale * m[i] / (sqrtf(v[i] * correction) + epsilon)
				      : scale * m[i];
	}
}

double pn_rate_at(uint64_t step, uint64_t warmup, uint64_t steps, double rate, double rate_end)
{
	if (steps && step >= steps)
		return rate_end;
	if (step < warmup) /* not zero at the first step, and `rate` where the cosine begins */
		return rate * (double)(step + 1) / (double)(warmup + 1);
	if (!steps)
		return rate;
	double part = (double)(step - warmup) / (double)(steps - warmup);
	return rate_end + (rate - rate_end) * 0.5 * (1 + cos(M_PI * part));
}
