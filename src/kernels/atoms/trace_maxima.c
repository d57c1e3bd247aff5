/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "trace_parts.h"

#include <stdlib.h>

static const double floor_part = 0.02;
enum { HIGHEST_PART = 100, HIGHEST_MIN = 10 };

/* mark[x] = 1 for maxima: higher than the neighbours before them in the array, as high as those
 * after. Returns how many. */
static size_t mark_row(int32_t *mark, const float *row, size_t nx, size_t plane)
{
	size_t count = 0;

	for (size_t x = 1; x + 1 < nx; x++)
		mark[x] = row[x] > 0;
	for (long dz = 0; dz <= 1; dz++)
		for (long dy = -dz; dy <= 1; dy++)
			for (long dx = dz + dy > 0 || dz ? -1 : 1; dx <= 1; dx++) {
				long offset = dz * (long)plane + dy * (long)nx + dx;
				const float *after = row + offset, *before = row - offset;

				for (size_t x = 1; x + 1 < nx; x++)
					mark[x] &= (row[x] >= after[x]) & (row[x] > before[x]);
			}
	for (size_t x = 1; x + 1 < nx; x++)
		count += (size_t)mark[x];
	return count;
}

/* Maxima of slice z; written to @voxel unless that is NULL. Returns how many. */
static size_t slice_maxima(size_t *voxel, const float *volume, const size_t n[3], size_t z)
{
	int32_t mark[PN_TRACE_EDGE_MAX];
	size_t count = 0;

	for (size_t y = 1; y + 1 < n[1]; y++) {
		size_t at = (z * n[1] + y) * n[0];
		size_t found = mark_row(mark, volume + at, n[0], n[0] * n[1]);

		for (size_t x = 1; voxel && found && x + 1 < n[0]; x++)
			if (mark[x])
				*voxel++ = at + x;
		count += found;
	}
	return count;
}

/* All maxima, in the order of the array; caller frees. */
static int find_maxima(size_t **voxel, size_t *count, const struct trace_job *job,
		       const float *volume, struct pn_error *err)
{
	const size_t *n = job->n;
	size_t *start = calloc(n[2] + 1, sizeof *start);
	long slices = n[0] > 2 && n[1] > 2 && n[2] > 2 ? (long)n[2] - 1 : 1;

	*voxel = NULL;
	*count = 0;
	if (!start)
		return pn_error_set(err, PN_ENOMEM, "no memory for the maxima");
#pragma omp parallel for num_threads(job->threads) schedule(dynamic, 1)
	for (long z = 1; z < slices; z++)
		start[z + 1] = slice_maxima(NULL, volume, n, (size_t)z);
	for (long z = 1; z < slices; z++)
		start[z + 1] += start[z];
	*count = start[slices];
	*voxel = malloc((*count + 1) * sizeof **voxel);
	if (*voxel) {
#pragma omp parallel for num_threads(job->threads) schedule(dynamic, 1)
		for (long z = 1; z < slices; z++)
			slice_maxima(*voxel + start[z], volume, n, (size_t)z);
	}
	free(start);
	return *voxel ? PN_OK : pn_error_set(err, PN_ENOMEM, "no memory for %zu maxima", *count);
}

int trace_by_height(const void *a, const void *b)
{
	const struct trace_peak *s = a, *t = b;

	if (s->height != t->height)
		return s->height > t->height ? -1 : 1;
	return (s->voxel > t->voxel) - (s->voxel < t->voxel);
}

/* What is too low to be looked at, from the first pass. Peaks are sorted. */
static double find_floor(const struct trace_peaks *peaks)
{
	size_t highest = peaks->count / HIGHEST_PART;

	highest = highest < HIGHEST_MIN ? HIGHEST_MIN : highest;
	highest = highest > peaks->count ? peaks->count : highest;
	return highest ? floor_part * peaks->peak[highest / 2].height : 0;
}

/* Whether the map as it came is the same all around: what smoothing makes of a flat patch that ends
 * at the border is no peak. The outermost layer is never asked. */
static int is_flat(const float *raw, const size_t n[3], size_t voxel)
{
	size_t plane = n[0] * n[1];
	const float *corner = raw + voxel - plane - n[0] - 1;

	for (size_t z = 0; z < 3; z++)
		for (size_t y = 0; y < 3; y++)
			for (size_t x = 0; x < 3; x++)
				if (corner[z * plane + y * n[0] + x] != raw[voxel])
					return 0;
	return 1;
}

int trace_find_peaks(struct trace_peaks *peaks, struct trace_job *job, const float *volume,
		     struct pn_error *err)
{
	size_t *voxel, count, uneven = 0, kept = 0;
	int rc = find_maxima(&voxel, &count, job, volume, err);

	peaks->peak = rc == PN_OK ? calloc(count + 1, sizeof *peaks->peak) : NULL;
	peaks->count = 0;
	if (rc == PN_OK && !peaks->peak)
		rc = pn_error_set(err, PN_ENOMEM, "no memory for %zu peaks", count);
	for (size_t i = 0; rc == PN_OK && i < count; i++) {
		size_t v = voxel[i];

		if (is_flat(job->raw, job->n, v))
			continue;
		peaks->peak[uneven++] = (struct trace_peak){
			.at = { (double)(v % job->n[0]), (double)(v / job->n[0] % job->n[1]),
				(double)(v / (job->n[0] * job->n[1])) },
			.height = volume[v],
			.voxel = v,
		};
	}
	free(voxel);
	if (rc != PN_OK)
		return rc;
	qsort(peaks->peak, uneven, sizeof *peaks->peak, trace_by_height);
	peaks->count = uneven;
	if (job->floor < 0)
		job->floor = find_floor(peaks);
	while (peaks->count > 0 && peaks->peak[peaks->count - 1].height < job->floor)
		peaks->count--;
	job->trace->maxima += peaks->count;
	for (size_t i = 0; i < peaks->count; i++)
		if (!job->options.support || job->options.support[peaks->peak[i].voxel])
			peaks->peak[kept++] = peaks->peak[i];
	job->trace->outside += peaks->count - kept;
	peaks->count = kept;
	return PN_OK;
}
