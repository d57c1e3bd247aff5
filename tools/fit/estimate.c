/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "fit.h"

#include "perrin/math/linear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WIDTHS       12  /* tried for the spots to start with                 */
#define WIDTH_MIN_A  0.2 /* the narrowest of them, but no less than this part */
#define WIDTH_MIN_PX 0.4 /* of a pixel                                        */
#define WIDTH_RANGE  6.0 /* the widest over the narrowest                     */
#define Z_POWER      1.7 /* of heights that the images do not tell apart      */

static size_t image_bytes(const struct pn_projections *p)
{
	return p->count * p->ny * p->nx * sizeof(float);
}

/* What the heights of one width are found from: images less their mean where there is a background,
 * species by species. */
struct heights {
	const struct job *job;
	float *drawn;   /* [species][count][ny][nx], spots of intensity 1 */
	uint8_t *shown; /* [atoms] one species alone                      */
	double normal[PN_MODEL_SPECIES_MAX * PN_MODEL_SPECIES_MAX], right[PN_MODEL_SPECIES_MAX];
	double intensity[PN_MODEL_SPECIES_MAX];
	double gain; /* of the sum of squares */
};

static int draw_species(struct heights *h, double variance_A2, struct pn_error *err)
{
	const struct pn_projections *p = &h->job->tilts.projections;
	struct pn_linear_model m = h->job->model;
	int rc = PN_OK;

	m.species = h->shown;
	for (int s = 0; s < m.species_count; s++)
		pn_atom_spot_gauss(&m.spot[s], 1, pn_b_factor_A2(variance_A2));
	for (int s = 0; !rc && s < m.species_count; s++) {
		for (size_t i = 0; i < m.count; i++)
			h->shown[i] = h->job->model.species[i] == s ? (uint8_t)s : PN_NO_ATOM;
		rc = pn_linear_model_project(&m, p->pose, p->count, p->ny, p->nx,
					     h->drawn + (size_t)s * p->count * p->ny * p->nx, err);
	}
	return rc;
}

static double covariance(const float *a, const float *b, size_t pixels, int centered)
{
	double sum_a = 0, sum_b = 0, sum = 0;

	for (size_t i = 0; i < pixels; i++) {
		sum += (double)a[i] * (double)b[i];
		sum_a += (double)a[i];
		sum_b += (double)b[i];
	}
	return centered ? sum - sum_a * sum_b / (double)pixels : sum;
}

/* Least squares of all tilts; elements that come out dark get what their atomic number says. */
static int solve_heights(struct heights *h, struct pn_error *err)
{
	const struct pn_projections *p = &h->job->tilts.projections;
	const int n = h->job->model.species_count, centered = h->job->flags->fit_offset;
	size_t pixels = p->ny * p->nx, all = p->count * pixels;
	double one[PN_MODEL_SPECIES_MAX], top = 0, bottom = 0;

	memset(h->normal, 0, sizeof h->normal);
	memset(h->right, 0, sizeof h->right);
	for (size_t k = 0; k < p->count; k++)
		for (int s = 0; s < n; s++) {
			const float *mine = h->drawn + (size_t)s * all + k * pixels;

			h->right[s] += covariance(mine, p->image + k * pixels, pixels, centered);
			for (int t = 0; t < n; t++)
				h->normal[s * n + t] +=
					covariance(mine, h->drawn + (size_t)t * all + k * pixels,
						   pixels, centered);
		}
	int good = pn_solve_positive(h->intensity, h->normal, h->right, n, NULL) == PN_OK;

	for (int s = 0; s < n; s++) {
		good = good && h->intensity[s] > 0;
		one[s] = pow(h->job->element[s], Z_POWER);
	}
	for (int s = 0; s < n; s++) {
		top += one[s] * h->right[s];
		for (int t = 0; t < n; t++)
			bottom += one[s] * one[t] * h->normal[s * n + t];
	}
	if (!good && !(top > 0 && bottom > 0))
		return pn_error_set(err, PN_EARG,
				    "the atoms of %s are not where %s is bright: tilt axis, "
				    "angles, pixel size?",
				    h->job->flags->atoms, h->job->flags->tilts.tilts);
	h->gain = 0;
	for (int s = 0; s < n; s++) {
		h->intensity[s] = good ? h->intensity[s] : top / bottom * one[s];
		h->gain += h->intensity[s] * h->right[s];
	}
	return PN_OK;
}

static int try_widths(struct job *job, struct heights *h, struct pn_error *err)
{
	double least_A = fmax(WIDTH_MIN_A, WIDTH_MIN_PX * job->model.pixel_A), most = -INFINITY;

	for (int w = 0; w < WIDTHS; w++) {
		double sigma_A = least_A * pow(WIDTH_RANGE, w / (WIDTHS - 1.0));
		int rc = draw_species(h, sigma_A * sigma_A, err);

		if (!rc)
			rc = solve_heights(h, err);
		if (rc)
			return rc;
		if (h->gain <= most)
			continue;
		most = h->gain;
		for (int s = 0; s < job->model.species_count; s++)
			pn_atom_spot_gauss(&job->model.spot[s], h->intensity[s],
					   pn_b_factor_A2(sigma_A * sigma_A));
	}
	return PN_OK;
}

static int estimate_spots(struct job *job, struct pn_error *err)
{
	struct heights h = { .job = job };

	h.drawn = malloc((size_t)job->model.species_count * image_bytes(&job->tilts.projections));
	h.shown = malloc(job->model.count);
	int rc = h.drawn && h.shown
			 ? try_widths(job, &h, err)
			 : pn_error_set(err, PN_ENOMEM, "no memory for images of %d elements",
					job->model.species_count);

	free(h.drawn);
	free(h.shown);
	return rc;
}

/* What the images are more than the model, on average. */
static int estimate_offsets(struct job *job, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;
	size_t pixels = p->ny * p->nx;

	if (!job->flags->fit_offset)
		return PN_OK;
	float *drawn = malloc(image_bytes(p));
	int rc = drawn ? pn_linear_model_project(&job->model, p->pose, p->count, p->ny, p->nx,
						 drawn, err)
		       : pn_error_set(err, PN_ENOMEM, "no memory for %zu images", p->count);

	for (size_t k = 0; !rc && k < p->count; k++) {
		double sum = 0;

		for (size_t i = k * pixels; i < (k + 1) * pixels; i++)
			sum += (double)p->image[i] - (double)drawn[i];
		job->tilt[k].offset = sum / (double)pixels;
	}
	free(drawn);
	return rc;
}

int fit_estimate(struct job *job, struct pn_error *err)
{
	int rc = estimate_spots(job, err);

	return rc ? rc : estimate_offsets(job, err);
}
