/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Density maps of successive models: how alike they are, as a whole, locally, along the crystal. */
#include "compare/compare.h"

#include "perrin/format/csv.h"
#include "perrin/format/stack.h"
#include "perrin/math/linear.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define STEP_A  0.1
#define REACH_A 10.0 /* as Fig. 2n-p of paper 004 */

/* ---- reading ------------------------------------------------------------------------------- */

static int read_sections(float *value, struct pn_stack *stack, const char *path,
			 struct pn_error *err)
{
	const struct pn_stack_info *info = pn_stack_info(stack);
	size_t plane = info->ny * info->nx;
	void *section = malloc(plane * pn_dtype_bytes(info->dtype));
	int rc =
		section ? PN_OK : pn_error_set(err, PN_ENOMEM, "%s: no memory for a section", path);

	for (uint64_t z = 0; !rc && z < info->count; z++) {
		rc = pn_stack_read(stack, z, section, err);
		if (!rc)
			pn_to_f32(value + z * plane, section, info->dtype, plane);
	}
	free(section);
	return rc;
}

static int read_map(struct pn_map *map, const char *path, struct pn_error *err)
{
	struct pn_stack *stack;
	int rc = pn_stack_open(&stack, path, err);

	if (rc)
		return rc;
	const struct pn_stack_info *info = pn_stack_info(stack);
	float *value = malloc(info->count * info->ny * info->nx * sizeof *value);

	*map = (struct pn_map){ info->nx, info->ny, info->count, info->pixel_pm / 100, value };
	if (info->dtype == PN_C64)
		rc = pn_error_set(err, PN_EUNSUPPORTED, "%s: complex values are no density", path);
	else if (!value)
		rc = pn_error_set(err, PN_ENOMEM, "%s: no memory for %zu x %zu x %zu voxels", path,
				  map->nx, map->ny, map->nz);
	else if (!(map->voxel_A > 0))
		rc = pn_error_set(err, PN_EFORMAT, "%s: does not say how large a voxel is", path);
	if (!rc)
		rc = read_sections(value, stack, path, err);
	pn_stack_close(stack);
	if (rc) {
		free(value);
		map->value = NULL;
	}
	return rc;
}

/* ---- correlating --------------------------------------------------------------------------- */

/* Mean over the axes of a family, each once: the curve of n is that of -n mirrored, so both count.
 */
static int along_family(double *mean, size_t shifts, int family, const double rotation[3][3],
			const struct pn_map *a, const struct pn_map *b, int threads,
			struct pn_error *err)
{
	double *one = malloc(shifts * sizeof *one);
	int axes = 0, rc = one ? PN_OK : pn_error_set(err, PN_ENOMEM, "no memory");

	memset(mean, 0, shifts * sizeof *mean);
	for (int code = 0; !rc && code < 27; code++) {
		const double axis[3] = { code % 3 - 1, code / 3 % 3 - 1, code / 9 - 1 };
		double lab[3];

		if ((int)(axis[0] * axis[0] + axis[1] * axis[1] + axis[2] * axis[2]) != family)
			continue;
		pn_matrix3_apply(lab, rotation, axis);
		rc = pn_map_correlation_along(one, shifts, STEP_A, lab, a, b, threads, err);
		for (size_t i = 0; !rc && i < shifts; i++)
			mean[i] += one[i];
		axes++;
	}
	for (size_t i = 0; i < shifts; i++)
		mean[i] /= axes;
	free(one);
	return rc;
}

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

static double median_of(const float *local, size_t count)
{
	float *sorted = malloc((count + 1) * sizeof *sorted);
	size_t n = 0;

	for (size_t i = 0; sorted && i < count; i++)
		if (!isnan(local[i]))
			sorted[n++] = local[i];
	if (n)
		qsort(sorted, n, sizeof *sorted, ascending);
	double median = n ? sorted[n / 2] : NAN;

	free(sorted);
	return median;
}

static int correlate(struct compare_maps *maps, const double rotation[3][3], const struct pn_map *a,
		     const struct pn_map *b, size_t width, int threads, struct pn_error *err)
{
	size_t count = a->nx * a->ny * a->nz;
	int rc = PN_OK;

	maps->shifts = 2 * (size_t)(REACH_A / STEP_A + 0.5) + 1;
	maps->nx = a->nx;
	maps->ny = a->ny;
	maps->nz = a->nz;
	maps->voxel_A = a->voxel_A;
	maps->local = malloc(count * sizeof *maps->local);
	maps->shift_A = malloc(maps->shifts * sizeof *maps->shift_A);
	for (int d = 0; d < 3; d++)
		maps->along[d] = malloc(maps->shifts * sizeof *maps->along[d]);
	if (!maps->local || !maps->shift_A || !maps->along[0] || !maps->along[1] || !maps->along[2])
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu voxels", count);
	for (size_t i = 0; i < maps->shifts; i++)
		maps->shift_A[i] = ((double)i - (double)(maps->shifts / 2)) * STEP_A;
	rc = pn_map_correlation_local(maps->local, a, b, width, threads, err);
	for (int d = 0; !rc && d < 3; d++)
		rc = along_family(maps->along[d], maps->shifts, d + 1, rotation, a, b, threads,
				  err);
	if (rc)
		return rc;
	maps->all = pn_map_correlation(a, b);
	maps->local_median = median_of(maps->local, count);
	return PN_OK;
}

int compare_maps_load(struct compare_particle *particle, const char *const *paths, size_t count,
		      size_t width, int threads, struct pn_error *err)
{
	const double identity[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } };
	const struct pn_analysis *first = &particle->series.analysis[0];
	const double(*rotation)[3] =
		isnan(first->rotation[0][0]) ? identity : (const double(*)[3])first->rotation;
	struct pn_map before = { 0 }, map = { 0 };
	int rc = PN_OK;

	if (count != particle->count)
		return pn_error_set(err, PN_EARG, "%zu maps for %zu models", count,
				    particle->count);
	particle->maps = calloc(count, sizeof *particle->maps);
	if (!particle->maps)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu maps", count);
	for (size_t m = 0; !rc && m < count; m++) {
		rc = read_map(&map, paths[m], err);
		if (!rc && m)
			rc = correlate(&particle->maps[m - 1], rotation, &before, &map, width,
				       threads, err);
		if (rc)
			pn_error_wrap(err, "map %zu", m + 1);
		free((void *)(uintptr_t)before.value);
		before = map;
		map.value = NULL;
	}
	free((void *)(uintptr_t)before.value);
	return rc;
}

/* ---- writing ------------------------------------------------------------------------------- */

static int write_curves(const char *path, const struct compare_maps *maps, struct pn_error *err)
{
	static const char *const names[] = { "shift_A", "c_100", "c_110", "c_111" };
	struct pn_csv *csv;
	int rc = pn_csv_create(&csv, path, names, PN_COUNT(names), err);

	if (rc)
		return rc;
	for (size_t i = 0; !rc && i < maps->shifts; i++) {
		pn_csv_f64(csv, maps->shift_A[i]);
		for (int d = 0; d < 3; d++)
			pn_csv_f64(csv, maps->along[d][i]);
		rc = pn_csv_end_row(csv, err);
	}
	if (rc) {
		pn_csv_abandon(csv);
		return rc;
	}
	return pn_csv_finish(csv, err);
}

static int write_local(const char *path, const struct compare_maps *maps, struct pn_error *err)
{
	struct pn_stack_info info = { PN_F32, maps->nz, maps->ny, maps->nx, 100 * maps->voxel_A,
				      "mrc" };
	struct pn_stack_writer *writer;
	int rc = pn_stack_create(&writer, path, &info, err);

	if (rc)
		return rc;
	for (size_t z = 0; !rc && z < maps->nz; z++)
		rc = pn_stack_write(writer, maps->local + z * maps->ny * maps->nx, err);
	if (rc) {
		pn_stack_abandon(writer);
		return rc;
	}
	return pn_stack_finish(writer, err);
}

int compare_write_maps(const char *dir, const struct compare_particle *particle,
		       struct pn_error *err)
{
	char path[PATH_MAX];
	int rc = PN_OK;

	for (size_t k = 0; !rc && particle->maps && k + 1 < particle->count; k++) {
		rc = compare_path(path, sizeof path, err, dir, "map_correlation_%zu_%zu.csv", k + 1,
				  k + 2);
		if (!rc)
			rc = write_curves(path, &particle->maps[k], err);
		if (!rc)
			rc = compare_path(path, sizeof path, err, dir,
					  "map_correlation_local_%zu_%zu.mrc", k + 1, k + 2);
		if (!rc)
			rc = write_local(path, &particle->maps[k], err);
	}
	return rc;
}
