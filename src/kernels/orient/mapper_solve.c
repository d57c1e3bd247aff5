/* SPDX-License-Identifier: GPL-3.0-or-later */
/* From the sums to the volume, and to what is known of it. */
#include "mapper_parts.h"
#include "perrin/orient/sampling.h"
#include "perrin/tomo/fsc.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PATIENCE       3   /* iterations that the held-out half may get worse */
#define SHARE_MIN      0.1 /* of a view that counts in the coverage */
#define CONES          256
#define CONE_ANGLE_DEG 20

/* ---- the volume ----------------------------------------------------------------------------- */

/* Of all images, and in held_out of the second half's. */
static int make_equations(struct pn_mapper *m, int held_out, struct pn_error *err)
{
	int rc = PN_OK;

	pn_accumulator_reset(m->all);
	for (int h = 0; !rc && h < 2; h++)
		rc = pn_accumulator_merge(m->all, m->half[h], err);
	if (!rc)
		rc = pn_accumulator_normal(m->all, m->normal, err);
	if (!rc && held_out)
		rc = pn_accumulator_normal(m->half[1], m->held_out, err);
	return rc;
}

static int solve_volume(struct pn_mapper *m, int validated, struct pn_mapper_result *result,
			struct pn_error *err)
{
	struct pn_fista_params solving;
	struct pn_fista_result solved = { 0 };
	int rc = make_equations(m, validated, err);

	if (rc)
		return rc;
	pn_fista_defaults(&solving);
	solving.patience = PATIENCE;
	solving.support = m->support;
	solving.iterations_max = (int)(validated ? m->params.iterations_max : m->params.iterations);
	memset(m->volume, 0, pn_box_voxels(&m->box) * sizeof *m->volume);
	if (validated)
		rc = pn_fista_validated(m->fista, &solving, m->normal, m->held_out, m->volume,
					&solved, err);
	else
		rc = pn_fista_solve(m->fista, &solving, m->normal, NULL, m->volume, &solved, err);
	result->volume = m->volume;
	result->iterations = solved.iterations;
	result->misfit = solved.misfit;
	if (validated)
		result->held_out = solved.held_out;
	return rc;
}

/* ---- the halves ----------------------------------------------------------------------------- */

/* A half's quick map, of it the box, times a ball with a soft edge that ends with the box. */
static int half_map(struct pn_mapper *m, int h, float *whole, struct pn_error *err)
{
	const size_t n = m->box.nx, off = m->edge / 2 - n / 2;
	const double middle = (double)(n / 2), soft = fmax(middle - m->radius_px, 1);
	int rc = pn_accumulator_map(m->half[h], m->params.tau, whole, err);

	for (size_t i = 0; !rc && i < n * n * n; i++) {
		const size_t x = i % n, y = i / n % n, z = i / n / n;
		const double dx = (double)x - middle, dy = (double)y - middle,
			     dz = (double)z - middle;
		const double over = (sqrt(dx * dx + dy * dy + dz * dz) - m->radius_px) / soft;
		const double ball = over <= 0 ? 1 : over >= 1 ? 0 : 0.5 + 0.5 * cos(M_PI * over);
		const float v = whole[((z + off) * m->edge + y + off) * m->edge + x + off];

		m->half_map[h][i] = (float)(ball * (double)v);
	}
	return rc;
}

static int compare_halves(struct pn_mapper *m, struct pn_mapper_result *result,
			  struct pn_error *err)
{
	const size_t shells = pn_fsc_shells(&m->box);
	float *whole = malloc(m->edge * m->edge * m->edge * sizeof *whole);
	int rc = whole ? PN_OK
		       : pn_error_set(err, PN_ENOMEM, "no memory for a map of %zu^3 voxels",
				      m->edge);

	for (int h = 0; !rc && h < 2; h++) {
		rc = half_map(m, h, whole, err);
		result->half[h] = m->half_map[h];
	}
	free(whole);
	if (!rc)
		rc = pn_fsc(m->half_map[0], m->half_map[1], &m->box, NULL, result->fsc, NULL, err);
	if (!rc)
		rc = pn_conical_far(&result->far, NULL, CONES, m->half_map[0], m->half_map[1],
				    &m->box, CONE_ANGLE_DEG, err);
	if (rc)
		return rc;
	/* beyond the band there is nothing to correlate but what the mask's edge spreads */
	for (size_t s = 0; s < shells; s++)
		if (isnan(result->fsc[s]) || (double)s > m->frequency_max * (double)m->box.nx + 0.5)
			result->fsc[s] = 0;
	result->fsc_count = shells;
	const double f = pn_fsc_frequency(result->fsc, NULL, shells, m->box.nx, PN_FSC_0_143);

	if (f > 0)
		result->resolution_A = m->pixel_A / f;
	return PN_OK;
}

/* ---- coverage ------------------------------------------------------------------------------- */

static int cover(const struct pn_mapper *m, struct pn_mapper_result *result, struct pn_error *err)
{
	const double width = fmin(0.5, 1 / (4 * m->radius_px * m->frequency_max));
	double(*view)[3] = malloc(m->views * sizeof *view);
	struct pn_sampling sampling;
	size_t count = 0;

	if (!view)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu views", m->views);
	for (size_t i = 0; i < m->views; i++)
		if (m->view[i].in && pn_mapper_share(m, &m->view[i]) >= SHARE_MIN)
			memcpy(view[count++], m->view[i].direction, sizeof *view);
	int rc = count ? pn_sampling_views(&sampling, view, count, width, err) : PN_OK;

	if (!rc && count) {
		result->scf = sampling.scf;
		result->empty = sampling.views_empty;
	}
	free(view);
	return rc;
}

int pn_mapper_solve(struct pn_mapper *m, int final, struct pn_mapper_result *result,
		    struct pn_error *err)
{
	*result = (struct pn_mapper_result){ .box = m->box, .images = pn_mapper_images(m) };
	result->misfit = result->held_out = result->resolution_A = (double)NAN;
	result->scf = result->empty = result->far = (double)NAN;
	if (!result->images)
		return pn_error_set(err, PN_ENOENT, "a volume of no images");
	const int halves = pn_accumulator_images(m->half[0]) && pn_accumulator_images(m->half[1]);
	int rc = solve_volume(m, final && halves, result, err);

	if (!rc && halves)
		rc = compare_halves(m, result, err);
	if (!rc)
		rc = cover(m, result, err);
	m->solved = 1;
	return rc;
}
