/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/math/kaiser.h"

#include <math.h>
#include <string.h>

/* modified Bessel function of the first kind, order 0, by its power series */
static double bessel_i0(double x)
{
	const double quarter = x * x / 4;
	double term = 1, sum = 1;

	for (int k = 1; term > 1e-17 * sum; k++) {
		term *= quarter / ((double)k * k);
		sum += term;
	}
	return sum;
}

void pn_kaiser_make(struct pn_kaiser *kaiser, int width, double oversampling)
{
	const double reach = width / oversampling * (oversampling - 0.5), half = width / 2.0;

	memset(kaiser, 0, sizeof *kaiser);
	kaiser->width = width;
	kaiser->beta = M_PI * sqrt(reach * reach - 0.8);
	const double top = bessel_i0(kaiser->beta);

	for (int i = 0; i <= PN_KAISER_STEPS; i++)
		for (int t = 0; t < width; t++) {
			double k = (t + (double)i / PN_KAISER_STEPS - half) / half;

			kaiser->table[i][t] =
				(float)(k * k < 1 ? bessel_i0(kaiser->beta * sqrt(1 - k * k)) / top
						  : 0);
		}
}

double pn_kaiser_transform(const struct pn_kaiser *kaiser, double x, double points)
{
	double r = M_PI * kaiser->width * x / points;
	double square = kaiser->beta * kaiser->beta - r * r, root = sqrt(fabs(square));

	return kaiser->width / bessel_i0(kaiser->beta) *
	       (root < 1e-9  ? 1
		: square > 0 ? sinh(root) / root
			     : sin(root) / root);
}
