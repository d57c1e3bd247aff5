/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/region.h"

#include "perrin/math/linear.h"

#include <math.h>

/* Miller indices, and the name. */
struct direction {
	int8_t index[3];
	char name[12];
};

static const struct direction directions[PN_REGIONS] = {
	{ { 1, 1, 1 }, "(111)" },     { { -1, 1, 1 }, "(-111)" },     { { 1, -1, 1 }, "(1-11)" },
	{ { 1, 1, -1 }, "(11-1)" },   { { -1, -1, 1 }, "(-1-11)" },   { { -1, 1, -1 }, "(-11-1)" },
	{ { 1, -1, -1 }, "(1-1-1)" }, { { -1, -1, -1 }, "(-1-1-1)" }, { { 1, 0, 0 }, "(100)" },
	{ { -1, 0, 0 }, "(-100)" },   { { 0, 1, 0 }, "(010)" },       { { 0, -1, 0 }, "(0-10)" },
	{ { 0, 0, 1 }, "(001)" },     { { 0, 0, -1 }, "(00-1)" },
};

#define CENTER_A  1e-6 /* atoms nearer to the centre have no direction */
#define TIE_SHARE 1e-9 /* of the radius: scores that differ less are equal */

const char *pn_region_name(int region)
{
	return region >= 0 && region < PN_REGIONS ? directions[region].name : NULL;
}

void pn_region_normal(double normal[3], int region)
{
	pn_assert(region >= 0 && region < PN_REGIONS);
	double length = region < PN_REGIONS_111 ? sqrt(3) : 1;

	for (int k = 0; k < 3; k++)
		normal[k] = directions[region].index[k] / length;
}

static int check(const double rotation[3][3], double facet_ratio, struct pn_error *err)
{
	double off = 0;

	for (int a = 0; a < 3; a++)
		for (int b = 0; b < 3; b++) {
			double dot = 0;

			for (int k = 0; k < 3; k++)
				dot += rotation[a][k] * rotation[b][k];
			dot = fabs(dot - (a == b));
			off = off >= dot || isnan(off) ? off : dot; /* NaN stays */
		}
	if (!(off < 1e-6) || pn_matrix3_determinant(rotation) < 0)
		return pn_error_set(err, PN_EARG,
				    "regions: no rotation: rows are off by %g, determinant %g", off,
				    pn_matrix3_determinant(rotation));
	if (!(facet_ratio > 0) || !isfinite(facet_ratio))
		return pn_error_set(err, PN_EARG, "regions: facet ratio %g, must be above 0",
				    facet_ratio);
	return PN_OK;
}

static void mean_position(double mean[3], const struct pn_atoms *atoms)
{
	for (int k = 0; k < 3; k++) {
		mean[k] = 0;
		for (size_t i = 0; i < atoms->count; i++)
			mean[k] += atoms->position_A[i][k];
		mean[k] /= (double)atoms->count;
	}
}

static int32_t region_of(const double r[3], const double scaled[PN_REGIONS][3])
{
	double length = sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]), score[PN_REGIONS], best = 0;

	if (!(length > CENTER_A))
		return -1;
	for (int d = 0; d < PN_REGIONS; d++) {
		score[d] = r[0] * scaled[d][0] + r[1] * scaled[d][1] + r[2] * scaled[d][2];
		best = score[d] > best ? score[d] : best;
	}
	for (int d = 0; d < PN_REGIONS; d++)
		if (score[d] >= best - TIE_SHARE * length)
			return d;
	return -1;
}

int pn_regions(int32_t *region, const struct pn_atoms *atoms, const double rotation[3][3],
	       const double center_A[3], double facet_ratio, const uint8_t *select, int threads,
	       struct pn_error *err)
{
	double scaled[PN_REGIONS][3], center[3];
	int rc = check(rotation, facet_ratio, err);

	if (rc)
		return rc;
	for (int d = 0; d < PN_REGIONS; d++) {
		pn_region_normal(scaled[d], d);
		pn_matrix3_apply(scaled[d], rotation, scaled[d]);
		for (int k = 0; k < 3 && d >= PN_REGIONS_111; k++)
			scaled[d][k] /= facet_ratio;
	}
	if (center_A)
		for (int k = 0; k < 3; k++)
			center[k] = center_A[k];
	else
		mean_position(center, atoms);
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < atoms->count; i++) {
		const double *p = atoms->position_A[i];
		double r[3] = { p[0] - center[0], p[1] - center[1], p[2] - center[2] };

		region[i] = !select || select[i] ? region_of(r, scaled) : -1;
	}
	return PN_OK;
}
