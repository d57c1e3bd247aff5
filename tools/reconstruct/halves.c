/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Half sets: every other tilt apart, and how far the two volumes say the same. */
#include "perrin/tomo/fsc.h"
#include "reconstruct.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TILTS_MIN 4   /* two for each half                           */
#define EDGE_MIN  4.0 /* voxels over which the mask falls, at least  */
#define EDGE_PART 0.2 /* of the sphere's radius                      */
#define SOFTENED  2   /* voxels to both sides, of a support's edge   */

/* ---- masks --------------------------------------------------------------------------------- */

/* Cosine from 1 at @inner to 0 at @outer. */
static double falling(double r, double inner, double outer)
{
	if (r <= inner)
		return 1;
	return r >= outer ? 0 : 0.5 + 0.5 * cos(M_PI * (r - inner) / (outer - inner));
}

/* A ball about the specimen; of a film, which goes on to the sides, an ellipsoid in its box. */
static void soft_ball(float *mask, const struct job *job)
{
	const size_t n[3] = { job->box.nz, job->box.ny, job->box.nx };
	double radius[3], edge;

	for (int a = 0; a < 3; a++) {
		double side = (double)n[a] / 2, wanted = job->diameter_px / 2 + EDGE_MIN;

		radius[a] = job->flags->extended || wanted > side ? side : wanted;
	}
	edge = fmax(EDGE_PART, EDGE_MIN / fmin(radius[0], fmin(radius[1], radius[2])));
	for (size_t z = 0, i = 0; z < n[0]; z++)
		for (size_t y = 0; y < n[1]; y++)
			for (size_t x = 0; x < n[2]; x++, i++) {
				double dz = ((double)z - (double)(n[0] / 2)) / radius[0];
				double dy = ((double)y - (double)(n[1] / 2)) / radius[1];
				double dx = ((double)x - (double)(n[2] / 2)) / radius[2];
				double r = sqrt(dz * dz + dy * dy + dx * dx);

				mask[i] = (float)falling(r, 1 - edge, 1);
			}
}

/* Means over 2 SOFTENED + 1 voxels along one axis, nothing beyond the box. */
static void soften_axis(float *out, const float *in, size_t outer, size_t n, size_t inner)
{
	for (size_t o = 0; o < outer; o++)
		for (size_t i = 0; i < n; i++)
			for (size_t k = 0; k < inner; k++) {
				size_t from = i < SOFTENED ? 0 : i - SOFTENED;
				size_t to = i + SOFTENED < n ? i + SOFTENED : n - 1;
				float sum = 0;

				for (size_t j = from; j <= to; j++)
					sum += in[(o * n + j) * inner + k];
				out[(o * n + i) * inner + k] = sum / (2 * SOFTENED + 1);
			}
}

static int make_mask(float **mask, const struct job *job, struct pn_error *err)
{
	size_t voxels = pn_box_voxels(&job->box), plane = job->box.ny * job->box.nx;
	float *other = malloc(voxels * sizeof *other);

	*mask = malloc(voxels * sizeof **mask);
	if (!*mask || !other) {
		free(other);
		return pn_error_set(err, PN_ENOMEM, "no memory for a mask of %zu voxels", voxels);
	}
	soft_ball(*mask, job);
	for (size_t i = 0; job->support && i < voxels; i++)
		(*mask)[i] = job->support[i] != 0;
	if (job->support) {
		soften_axis(other, *mask, 1, job->box.nz, plane);
		soften_axis(*mask, other, job->box.nz, job->box.ny, job->box.nx);
		soften_axis(other, *mask, job->box.nz * job->box.ny, job->box.nx, 1);
		memcpy(*mask, other, voxels * sizeof **mask);
	}
	free(other);
	return PN_OK;
}

/* ---- the halves ---------------------------------------------------------------------------- */

/* Every other tilt from @first on, with the iterations of the whole. */
static int solve_half(struct job *job, size_t first, float *volume, struct pn_error *err)
{
	const struct pn_projections *all = &job->tilts.projections;
	size_t count = (all->count + 1 - first) / 2, pixels = all->ny * all->nx;
	struct solution *solution = malloc(sizeof *solution);
	struct pn_pose *pose = malloc(count * sizeof *pose);
	float *image = malloc(count * pixels * sizeof *image);
	int rc = PN_OK;

	if (!solution || !pose || !image)
		rc = pn_error_set(err, PN_ENOMEM, "no memory for half of %zu tilts", all->count);
	for (size_t k = 0; !rc && k < count; k++) {
		pose[k] = all->pose[first + 2 * k];
		memcpy(image + k * pixels, all->image + (first + 2 * k) * pixels,
		       pixels * sizeof *image);
	}
	const struct pn_projections half = {
		.count = count, .ny = all->ny, .nx = all->nx, .image = image, .pose = pose
	};

	job->now = solution;
	job->doing = first ? "half 2: " : "half 1: ";
	if (!rc)
		rc = method_solve(job, &half, job->solution->iterations, 0, volume, NULL, NULL,
				  err);
	job->now = job->solution;
	job->doing = "";
	job->halves.tilts[first] = count;
	free(solution);
	free(pose);
	free(image);
	return rc;
}

static int correlate(struct job *job, float *a, float *b, struct pn_error *err)
{
	struct half_sets *h = &job->halves;
	const struct pn_box *box = &job->box;
	size_t edge = box->nz > box->ny ? box->nz : box->ny, voxels = pn_box_voxels(box);
	float *mask;
	int rc = make_mask(&mask, job, err);

	edge = edge > box->nx ? edge : box->nx;
	h->shells = pn_fsc_shells(box);
	h->fsc = calloc(3 * h->shells, sizeof *h->fsc);
	if (!rc && !h->fsc)
		rc = pn_error_set(err, PN_ENOMEM, "no memory for %zu shells", h->shells);
	if (rc) {
		free(mask);
		return rc;
	}
	h->samples = h->fsc + h->shells;
	h->frequency = h->samples + h->shells;
	for (size_t i = 0; i < voxels; i++) {
		a[i] *= mask[i];
		b[i] *= mask[i];
	}
	free(mask);
	rc = pn_fsc(a, b, box, NULL, h->fsc, h->samples, err);
	for (size_t s = 0; s < h->shells; s++)
		h->frequency[s] = (double)s / (double)edge;
	h->at_0_143_per_px = pn_fsc_frequency(h->fsc, h->samples, h->shells, edge, PN_FSC_0_143);
	h->resolution_A = job->tilts.pixel_A > 0 && h->at_0_143_per_px > 0
				  ? job->tilts.pixel_A / h->at_0_143_per_px
				  : (double)NAN;
	return rc;
}

int half_sets_compare(struct job *job, struct pn_error *err)
{
	size_t count = job->tilts.projections.count, voxels = pn_box_voxels(&job->box);

	if (count < TILTS_MIN)
		return pn_error_set(err, PN_EARG, "--half-sets: %zu tilts, it takes %d", count,
				    TILTS_MIN);
	float *other = calloc(voxels, sizeof *other);
	int rc = PN_OK;

	job->halves.volume = calloc(voxels, sizeof *job->halves.volume);
	if (!other || !job->halves.volume)
		rc = pn_error_set(err, PN_ENOMEM, "no memory for two volumes of %zu voxels",
				  voxels);
	if (!rc)
		rc = solve_half(job, 0, job->halves.volume, err);
	if (!rc)
		rc = solve_half(job, 1, other, err);
	if (!rc)
		rc = correlate(job, job->halves.volume, other, err);
	free(other);
	return rc;
}

void half_sets_free(struct half_sets *halves)
{
	free(halves->fsc);
	free(halves->volume);
}
