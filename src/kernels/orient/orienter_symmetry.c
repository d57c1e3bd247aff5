/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Orientations that the references cannot tell apart are taken as one: the nearest to the last. */
#include "orienter_parts.h"

#include "perrin/math/rotation.h"

#include <math.h>
#include <string.h>

#define ALIKE 0.99 /* correlation of a map with itself turned, as a part of that of the halves */

/* Entries of the matrix of a rotation of the cube: -1, 0, 1. */
static void entries(const double q[4], int turn[3][3])
{
	double r[3][3];

	pn_quaternion_to_matrix(r, q);
	for (int i = 0; i < 9; i++)
		turn[i / 3][i % 3] = (int)lrint(r[i / 3][i % 3]);
}

/* Sum of a(r) b(sign turn r), less the means, over the voxels that have all their partners. */
static double turned_product(const struct pn_orienter *o, const int turn[3][3], int sign)
{
	const float *a = o->half[0].map, *b = o->half[1].map;
	const int n = (int)o->edge, m = n / 2;
	double sum = 0, mean[2] = { 0 }, count = 0;

	for (int z = 1 - m; z < m; z++)
		for (int y = 1 - m; y < m; y++)
			for (int x = 1 - m; x < m; x++) {
				const int t[3] = {
					sign * (turn[0][0] * x + turn[0][1] * y + turn[0][2] * z),
					sign * (turn[1][0] * x + turn[1][1] * y + turn[1][2] * z),
					sign * (turn[2][0] * x + turn[2][1] * y + turn[2][2] * z)
				};
				const double p = (double)a[((z + m) * n + y + m) * n + x + m],
					     q = (double)
						     b[((t[2] + m) * n + t[1] + m) * n + t[0] + m];

				sum += p * q;
				mean[0] += p;
				mean[1] += q;
				count++;
			}
	return sum - mean[0] * mean[1] / count;
}

void pn_orienter_find_symmetry(struct pn_orienter *o)
{
	struct pn_orienter_symmetry *s = &o->n.symmetry;
	static const int same[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } };
	const double plain = turned_product(o, same, 1);
	double proper[PN_CUBIC_ROTATIONS], improper[PN_CUBIC_ROTATIONS];

#pragma omp parallel for schedule(dynamic, 1)
	for (int i = 0; i < PN_CUBIC_ROTATIONS; i++) {
		int turn[3][3];

		entries(pn_cubic_rotations[i], turn);
		proper[i] = turned_product(o, (const int(*)[3])turn, 1);
		improper[i] = turned_product(o, (const int(*)[3])turn, -1);
	}
	s->count = 0;
	for (int i = 0; i < PN_CUBIC_ROTATIONS; i++)
		for (int k = 0; k < 2; k++) {
			struct pn_orienter_twin *t = &s->op[s->count];

			if (i == 0 && k == 0)
				continue; /* the identity */
			if (!(plain > 0) || (k ? improper : proper)[i] < ALIKE * plain)
				continue;
			t->about_beam = k;
			if (k)
				pn_quaternion_conjugate(t->specimen, pn_cubic_rotations[i]);
			else
				memcpy(t->specimen, pn_cubic_rotations[i], sizeof t->specimen);
			s->count++;
		}
}

/*
 * A map with u(g r) = u(r) looks the same under q and q g; one with u(-g r) = u(r) under q and, as
 * the image is its own mirror image through the point then, q g^-1 turned by 180 deg about the
 * beam.
 */
void pn_orienter_fold(const struct pn_orienter *o, const double near[4], double q[4])
{
	static const double half_turn[4] = { 0, 0, 0, 1 };
	const struct pn_orienter_symmetry *s = &o->n.symmetry;
	double best = -1, from[4];

	memcpy(from, q, sizeof from);
	for (int i = -1; i < s->count; i++) {
		double twin[4], dot = 0;

		memcpy(twin, from, sizeof twin);
		if (i >= 0) {
			pn_quaternion_multiply(twin, twin, s->op[i].specimen);
			if (s->op[i].about_beam)
				pn_quaternion_multiply(twin, half_turn, twin);
		}
		for (int k = 0; k < 4; k++)
			dot += twin[k] * near[k];
		if (fabs(dot) > best) {
			best = fabs(dot);
			memcpy(q, twin, 4 * sizeof *q);
		}
	}
}
