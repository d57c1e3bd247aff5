/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/facet.h"

#include "facet_family.h"

#include <math.h>

enum { BULK_CN = 12, CN_111 = 9, CN_100 = 8, CN_110 = 7, VERTEX_CN_MIN = 4, VERTEX_CN_MAX = 6 };

static const double csp_111 = 3, csp_100 = 4, csp_110 = 5; /* d^2 */
static const double steady = 0.935; /* mean cosine of normals around that makes {110} */
static const double tie = 1e-9;

const char *pn_facet_name(int facet)
{
	static const char *const name[] = {
		"none", "111", "100", "110", "edge", "vertex", "other"
	};

	_Static_assert(PN_COUNT(name) == PN_FACET_KINDS, "one name each");
	return facet >= 0 && facet < PN_FACET_KINDS ? name[facet] : "?";
}

/* ------------------------------------------------------------------ by coordination */

/* Unit vector away from the neighbours of @i; 0 if they pull nowhere. */
static void away(double n[3], const struct pn_neighbors *shell, size_t i)
{
	double length2 = 0;

	n[0] = n[1] = n[2] = 0;
	for (uint32_t e = shell->start[i]; e < shell->start[i + 1]; e++) {
		const double *b = shell->bond_A[e];
		double r = sqrt(b[0] * b[0] + b[1] * b[1] + b[2] * b[2]);

		for (int k = 0; r > 0 && k < 3; k++)
			n[k] -= b[k] / r;
	}
	for (int k = 0; k < 3; k++)
		length2 += n[k] * n[k];
	for (int k = 0; length2 > tie && k < 3; k++)
		n[k] /= sqrt(length2);
}

/* Whether the surface around @i faces the same way as @i itself. */
static int is_steady(const struct pn_neighbors *shell, size_t i)
{
	double self[3], other[3], sum = 0;
	int count = 0;

	away(self, shell, i);
	for (uint32_t e = shell->start[i]; e < shell->start[i + 1]; e++) {
		uint32_t j = shell->atom[e];

		if (pn_neighbors_count(shell, j) >= BULK_CN)
			continue;
		away(other, shell, j);
		sum += self[0] * other[0] + self[1] * other[1] + self[2] * other[2];
		count++;
	}
	return count && sum > steady * count;
}

static enum pn_facet facet_of(const struct pn_neighbors *shell, size_t i, double csp,
			      double tolerance)
{
	uint32_t cn = pn_neighbors_count(shell, i);

	if (cn >= BULK_CN)
		return PN_FACET_NONE;
	if (cn == CN_111 && fabs(csp - csp_111) <= tolerance)
		return PN_FACET_111;
	if (cn == CN_100 && fabs(csp - csp_100) <= tolerance)
		return PN_FACET_100;
	if (cn == CN_110 && fabs(csp - csp_110) <= tolerance)
		return is_steady(shell, i) ? PN_FACET_110 : PN_FACET_EDGE;
	if (cn >= VERTEX_CN_MIN && cn <= VERTEX_CN_MAX)
		return PN_FACET_VERTEX;
	return PN_FACET_OTHER;
}

int pn_facet_by_cn(uint8_t *facet, const struct pn_neighbors *first_shell, const double *csp_A2,
		   double nearest_A, double csp_tolerance, int threads, struct pn_error *err)
{
	double d2 = nearest_A * nearest_A;

	if (threads < 1 || !(nearest_A > 0) || !(csp_tolerance > 0))
		return pn_error_set(err, PN_EARG,
				    "facets by CN: %d threads, nearest %g A, CSP tolerance %g d^2",
				    threads, nearest_A, csp_tolerance);
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < first_shell->atoms; i++)
		facet[i] = (uint8_t)facet_of(first_shell, i, csp_A2[i] / d2, csp_tolerance);
	return PN_OK;
}

/* ------------------------------------------------------------------ families */

int facet_check_turn(const double to_lab[3][3], const char *what, struct pn_error *err)
{
	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++) {
			double dot = to_lab[i][0] * to_lab[j][0] + to_lab[i][1] * to_lab[j][1] +
				     to_lab[i][2] * to_lab[j][2];

			if (!(fabs(dot - (i == j)) <= 1e-6))
				return pn_error_set(err, PN_EARG,
						    "%s: rows %d and %d of the crystal's rotation "
						    "have the dot product %g",
						    what, i, j, dot);
		}
	return PN_OK;
}

/* Order |components| so that c[0] >= c[1] >= c[2]. */
static void sort3(double c[3])
{
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2 - i; j++)
			if (c[j] < c[j + 1]) {
				double t = c[j];

				c[j] = c[j + 1];
				c[j + 1] = t;
			}
}

int facet_family(const double normal[3], const double to_lab[3][3], double *angle_deg)
{
	static const enum pn_facet kind[3] = { PN_FACET_111, PN_FACET_100, PN_FACET_110 };
	static const double axis[3][3] = { { 1, 1, 1 }, { 1, 0, 0 }, { 1, 1, 0 } };
	double c[3], best = -1;
	int at = 0;

	for (int k = 0; k < 3; k++)
		c[k] = fabs(to_lab[0][k] * normal[0] + to_lab[1][k] * normal[1] +
			    to_lab[2][k] * normal[2]);
	sort3(c);
	for (int f = 0; f < 3; f++) {
		const double *x = axis[f];
		double dot = (c[0] * x[0] + c[1] * x[1] + c[2] * x[2]) / sqrt(x[0] + x[1] + x[2]);

		if (dot > best + tie) {
			best = dot;
			at = f;
		}
	}

	/* by the tangent: the cosine says little about small angles */
	const double *x = axis[at];
	double across[3] = { c[1] * x[2] - c[2] * x[1], c[2] * x[0] - c[0] * x[2],
			     c[0] * x[1] - c[1] * x[0] };
	double sine = sqrt(across[0] * across[0] + across[1] * across[1] + across[2] * across[2]);

	*angle_deg = atan2(sine, c[0] * x[0] + c[1] * x[1] + c[2] * x[2]) * 180 / M_PI;
	return kind[at];
}

/* ------------------------------------------------------------------ areas */

/* Area of triangle @t, and its unit normal where it is not 0. */
static double area_of(double normal[3], const struct pn_surface *surface,
		      const struct pn_atoms *atoms, size_t t)
{
	const double *p = atoms->position_A[surface->triangle[t][0]];
	const double *q = atoms->position_A[surface->triangle[t][1]];
	const double *r = atoms->position_A[surface->triangle[t][2]];
	double u[3] = { q[0] - p[0], q[1] - p[1], q[2] - p[2] };
	double v[3] = { r[0] - p[0], r[1] - p[1], r[2] - p[2] };
	double n[3] = { u[1] * v[2] - u[2] * v[1], u[2] * v[0] - u[0] * v[2],
			u[0] * v[1] - u[1] * v[0] };
	double length = sqrt(n[0] * n[0] + n[1] * n[1] + n[2] * n[2]);

	for (int k = 0; k < 3; k++)
		normal[k] = length > 0 ? n[k] / length : 0;
	return length / 2;
}

int pn_facet_areas(struct pn_facet_areas *areas, const struct pn_surface *surface,
		   const struct pn_atoms *atoms, const double to_lab[3][3], double max_angle_deg,
		   struct pn_error *err)
{
	double sum[PN_FACET_KINDS] = { 0 };
	int rc = facet_check_turn(to_lab, "facet areas", err);

	if (rc)
		return rc;
	if (!(max_angle_deg >= 0 && max_angle_deg <= 90))
		return pn_error_set(err, PN_EARG, "facet areas: largest angle %g deg not in 0..90",
				    max_angle_deg);
	if (surface->atoms != atoms->count)
		return pn_error_set(err, PN_EARG, "facet areas: mesh of %zu atoms, model of %zu",
				    surface->atoms, atoms->count);
	for (size_t t = 0; t < surface->triangles; t++) {
		double normal[3], angle_deg, area = area_of(normal, surface, atoms, t);
		int family = facet_family(normal, to_lab, &angle_deg);

		sum[angle_deg <= max_angle_deg ? family : PN_FACET_OTHER] += area;
	}
	*areas = (struct pn_facet_areas){ sum[PN_FACET_111], sum[PN_FACET_100], sum[PN_FACET_110],
					  sum[PN_FACET_OTHER] };
	return PN_OK;
}
