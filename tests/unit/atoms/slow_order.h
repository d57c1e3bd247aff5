/* SPDX-License-Identifier: GPL-3.0-or-later */
/* slow_order.h - bond order by complex spherical harmonics from Legendre functions, 3j by Racah. */
#ifndef PERRIN_TESTS_ATOMS_SLOW_ORDER_H
#define PERRIN_TESTS_ATOMS_SLOW_ORDER_H

#include "kit.h"

#include "perrin/atoms/neighbors.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>

static inline double factorial(int n)
{
	return n < 2 ? 1 : n * factorial(n - 1);
}

static inline double racah_3j(int l, int m1, int m2)
{
	int m3 = -m1 - m2;
	double sum = 0, d = pow(factorial(l), 3) / factorial(3 * l + 1);

	if (abs(m1) > l || abs(m2) > l || abs(m3) > l)
		return 0;
	for (int k = 0; k <= l; k++) {
		int f[] = { k, l - k, l - m1 - k, l + m2 - k, m1 + k, k - m2 };
		double product = 1;
		int good = 1;

		for (int i = 0; i < 6; i++) {
			good &= f[i] >= 0;
			product *= f[i] >= 0 ? factorial(f[i]) : 1;
		}
		if (good)
			sum += (k % 2 ? -1 : 1) / product;
	}
	for (int sign = -1; sign <= 1; sign += 2)
		d *= factorial(l + sign * m1) * factorial(l + sign * m2) * factorial(l + sign * m3);
	return (m3 % 2 ? -1 : 1) * sqrt(d) * sum;
}

/* P_l^m(c) with the phase of Condon and Shortley, by recursion in l. */
static inline double legendre(int l, int m, double c)
{
	double s = sqrt(fmax(0, 1 - c * c)), low = 1, high, next;

	for (int k = 1; k <= m; k++)
		low *= -(2 * k - 1) * s;
	if (l == m)
		return low;
	high = (2 * m + 1) * c * low;
	for (int k = m + 2; k <= l; k++) {
		next = ((2 * k - 1) * c * high - (k + m - 1) * low) / (k - m);
		low = high;
		high = next;
	}
	return high;
}

static inline double complex harmonic(int l, int m, const double v[3])
{
	double r = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]), phi = atan2(v[1], v[0]);
	int a = abs(m);
	double n = sqrt((2 * l + 1) / (4 * M_PI) * factorial(l - a) / factorial(l + a));
	double complex y = n * legendre(l, a, v[2] / r) * cexp(I * a * phi);

	return m < 0 ? (a % 2 ? -1 : 1) * conj(y) : y;
}

struct moments {
	double complex q[2][13]; /* l = 4, 6; m = -l..l */
};

static inline double norm_of(const struct moments *q, int l)
{
	double sum = 0;

	for (int m = 0; m <= 2 * l; m++)
		sum += creal(q->q[l == 6][m] * conj(q->q[l == 6][m]));
	return sqrt(sum);
}

static inline double slow_q(const struct moments *q, int l)
{
	return sqrt(4 * M_PI / (2 * l + 1)) * norm_of(q, l);
}

static inline double slow_w(const struct moments *q, int l)
{
	const double complex *v = q->q[l == 6] + l;
	double complex sum = 0;

	for (int a = -l; a <= l; a++)
		for (int b = -l; b <= l; b++)
			if (abs(a + b) <= l)
				sum += racah_3j(l, a, b) * v[a] * v[b] * v[-a - b];
	assert_true(fabs(cimag(sum)) < 1e-14);
	return creal(sum);
}

static inline struct moments slow_moments(const struct pn_neighbors *n, size_t i)
{
	struct moments out = { 0 };

	for (uint32_t at = n->start[i]; at < n->start[i + 1]; at++)
		for (int l = 4; l <= 6; l += 2)
			for (int m = -l; m <= l; m++)
				out.q[l == 6][l + m] +=
					harmonic(l, m, n->bond_A[at]) / pn_neighbors_count(n, i);
	return out;
}

static inline struct moments slow_mean(const struct moments *all, const struct pn_neighbors *n,
				       size_t i, int self)
{
	struct moments out = { 0 };
	double complex *sum = &out.q[0][0];
	int count = self;

	for (int k = 0; self && k < 26; k++)
		sum[k] = (&all[i].q[0][0])[k];
	for (uint32_t at = n->start[i]; at < n->start[i + 1]; at++, count++)
		for (int k = 0; k < 26; k++)
			sum[k] += (&all[n->atom[at]].q[0][0])[k];
	for (int k = 0; k < 26; k++)
		sum[k] /= count;
	return out;
}

static inline double slow_s6(const struct moments *a, const struct moments *b)
{
	double complex sum = 0;

	for (int m = 0; m < 13; m++)
		sum += a->q[1][m] * conj(b->q[1][m]);
	assert_true(fabs(cimag(sum)) < 1e-14);
	return creal(sum) / (norm_of(a, 6) * norm_of(b, 6));
}

#endif
