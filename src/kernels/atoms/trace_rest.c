/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What atoms leave of a map, and what they are without their neighbours. */
#include "trace_parts.h"

#include "perrin/atoms/neighbors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_double(const void *a, const void *b)
{
	double s = *(const double *)a, t = *(const double *)b;

	return (s > t) - (s < t);
}

static int median_widths(double width[3], const struct trace_peaks *atoms, struct pn_error *err)
{
	double *sorted = malloc((atoms->count + 1) * sizeof *sorted);

	if (!sorted)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", atoms->count);
	for (int k = 0; k < 3; k++) {
		for (size_t i = 0; i < atoms->count; i++)
			sorted[i] = atoms->peak[i].width_px[k];
		qsort(sorted, atoms->count, sizeof *sorted, compare_double);
		width[k] = sorted[atoms->count / 2];
	}
	free(sorted);
	return PN_OK;
}

/* Where along an axis a Gaussian is more than nothing. */
static void reach_of(long *low, long *high, double at, double width, size_t n)
{
	*low = (long)ceil(at - 4 * width);
	*high = (long)floor(at + 4 * width);
	*low = *low < 0 ? 0 : *low;
	*high = *high >= (long)n ? (long)n - 1 : *high;
}

static void subtract_from_slice(float *slice, long z, const struct trace_peak *atom,
				const double width[3], const size_t n[3])
{
	double dz = ((double)z - atom->at[2]) / width[2];
	long low[2], high[2];

	if (fabs(dz) > 4)
		return;
	for (int k = 0; k < 2; k++)
		reach_of(&low[k], &high[k], atom->at[k], width[k], n[k]);
	for (long y = low[1]; y <= high[1]; y++) {
		double dy = ((double)y - atom->at[1]) / width[1];
		double part = atom->height * exp(-(dz * dz + dy * dy) / 2);

		for (long x = low[0]; x <= high[0]; x++) {
			double dx = ((double)x - atom->at[0]) / width[0];

			slice[(size_t)y * n[0] + (size_t)x] -= (float)(part * exp(-dx * dx / 2));
		}
	}
}

/* Each slice sees the atoms in the same order. */
int trace_subtract(float **rest, const struct trace_job *job, struct pn_error *err)
{
	size_t plane = job->n[0] * job->n[1];
	long slices = (long)job->n[2];
	double width[3];
	int rc = median_widths(width, &job->atoms, err);

	*rest = rc == PN_OK ? malloc(plane * job->n[2] * sizeof **rest) : NULL;
	if (rc == PN_OK && !*rest)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu voxels", plane * job->n[2]);
	if (rc != PN_OK)
		return rc;
#pragma omp parallel for num_threads(job->threads) schedule(dynamic, 1)
	for (long z = 0; z < slices; z++) {
		float *slice = *rest + (size_t)z * plane;

		memcpy(slice, job->volume + (size_t)z * plane, plane * sizeof *slice);
		for (size_t i = 0; i < job->atoms.count; i++)
			subtract_from_slice(slice, z, &job->atoms.peak[i], width, job->n);
	}
	return PN_OK;
}

/* ---- without the neighbours -------------------------------------------------------------------
 */

static const double tail_widths = 5; /* beyond, a neighbour is nothing */

/* All atoms once more, each with its neighbours, as they were, taken away. */
static int refit_all(struct trace_job *job, const struct trace_peak *old,
		     const struct trace_spline *spline, const struct pn_neighbors *near,
		     const double width_px[3], struct pn_error *err)
{
	long count = (long)job->atoms.count;
	int rc = PN_OK;

#pragma omp parallel for num_threads(job->threads) schedule(dynamic, 4)
	for (long i = 0; i < count; i++) {
		struct trace_peak fresh = old[i];
		struct trace_around around = { .atom = old,
					       .near = near->atom + near->start[i],
					       .count = near->start[i + 1] - near->start[i] };
		struct pn_error own = { 0 };

		memcpy(around.width_px, width_px, sizeof around.width_px);
		trace_polynomial_fit(&fresh, &job->polynomial, spline, &around);
		fresh.box_px = 0;
		trace_polynomial_residual(&fresh, &job->polynomial, spline, &around);
		int one = fresh.fitted && job->options.fit == PN_TRACE_GAUSSIAN
				  ? trace_gaussian_fit(&fresh, job->volume, job->n, &around, &own)
				  : PN_OK;

		if (one != PN_OK) {
#pragma omp critical(pn_trace_error)
			rc = pn_error_set(err, one, "%s", own.text);
		} else if (fresh.fitted) {
			job->atoms.peak[i] = fresh;
		}
	}
	return rc;
}

int trace_without_neighbors(struct trace_job *job, struct pn_error *err)
{
	size_t count = job->atoms.count;
	double width_px[3], (*at)[3] = malloc((count + 1) * sizeof *at), cutoff_px = 0;
	struct trace_peak *old = malloc((count + 1) * sizeof *old);
	struct trace_spline spline = { 0 };
	struct pn_neighbors near = { 0 };
	struct pn_atoms atoms = { (const double(*)[3])at, NULL, count };
	int rc = at && old ? median_widths(width_px, &job->atoms, err)
			   : pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", count);

	for (int k = 0; rc == PN_OK && k < 3; k++)
		cutoff_px = fmax(cutoff_px, tail_widths * width_px[k] + 1);
	for (size_t i = 0; rc == PN_OK && i < count; i++)
		memcpy(at[i], job->atoms.peak[i].at, sizeof at[i]);
	if (rc == PN_OK)
		rc = pn_neighbors_build(&near, &atoms, cutoff_px, job->threads, err);
	if (rc == PN_OK)
		rc = trace_spline_build(&spline, job->volume, job->n, job->threads, err);
	for (int round = 0; rc == PN_OK && round < job->options.rounds; round++) {
		memcpy(old, job->atoms.peak, count * sizeof *old);
		rc = median_widths(width_px, &job->atoms, err);
		if (rc == PN_OK)
			rc = refit_all(job, old, &spline, &near, width_px, err);
	}
	trace_spline_free(&spline);
	pn_neighbors_free(&near);
	free(at);
	free(old);
	return rc;
}
