/* SPDX-License-Identifier: GPL-3.0-or-later */
/* statistics.h - the laws that averaged power spectra follow; private to this folder. */
#ifndef PN_IMAGE_STATISTICS_H
#define PN_IMAGE_STATISTICS_H

#include <math.h>

/* Mean of an exponential variable of mean 1, given that it is below 3. */
#define PN_TRIM_AT    3.0
#define PN_TRIM_KEEPS 0.8428

/* How many s.d. of a normal law a mean of @k exponentials of mean 1 is off 1 (Wilson, Hilferty,
 * Proc. Natl. Acad. Sci. 17, 684 (1931)). */
static inline double pn_gamma_z(double mean, double k)
{
	return (cbrt(mean) - (1 - 1 / (9 * k))) * sqrt(9 * k);
}

/* P(sum of l_i E_i > K'(t)) for exponentials E_i of mean 1, by the saddle point t (Lugannani, Rice,
 * Adv. Appl. Probab. 12, 475 (1980)); also tells K'(t), the value itself. */
static inline double pn_exponentials_upper(const double *l, int count, double t, double *value)
{
	double k = 0, k1 = 0, k2 = 0;

	for (int i = 0; i < count; i++) {
		double d = 1 - l[i] * t;

		k -= log(d);
		k1 += l[i] / d;
		k2 += l[i] * l[i] / (d * d);
	}
	double w = sqrt(2 * (t * k1 - k)), u = t * sqrt(k2);

	*value = k1;
	return 0.5 * erfc(w * M_SQRT1_2) + exp(-0.5 * w * w) / sqrt(2 * M_PI) * (1 / u - 1 / w);
}

/* The value that the sum of l_i E_i passes with probability p < 0.4, by bisection; for plans. */
static inline double pn_exponentials_quantile(const double *l, int count, double p)
{
	double top = 0, value = 0;

	for (int i = 0; i < count; i++)
		top = fmax(top, l[i]);
	double lo = 1e-3 / top, hi = (1 - 1e-12) / top;

	for (int i = 0; i < 100; i++) {
		double t = (lo + hi) / 2;

		if (pn_exponentials_upper(l, count, t, &value) > p)
			lo = t;
		else
			hi = t;
	}
	return value;
}

#endif
