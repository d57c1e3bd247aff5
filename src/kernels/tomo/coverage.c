/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/coverage.h"

#include "pose_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Of one row of directions. */
struct row {
	double uncovered, worst;
	size_t column;
};

/* Sine of the angle between a direction and the nearest plane, whose normal is the beam. */
static double nearest(const struct pn_pose *pose, size_t count, const double d[3])
{
	double least = 1;

	for (size_t k = 0; k < count; k++) {
		const double *n = pose[k].rotation[2];
		double sine = fabs(n[0] * d[0] + n[1] * d[1] + n[2] * d[2]);

		least = sine < least ? sine : least;
	}
	return least;
}

static void direction(double row, double column, size_t rows, size_t columns, double d[3])
{
	const double cosine = 1 - (row + 0.5) / (double)rows,
		     sine = sqrt(fmax(0, 1 - cosine * cosine));
	const double a = 2 * M_PI * (column + 0.5) / (double)columns;

	d[0] = cos(a) * sine;
	d[1] = sin(a) * sine;
	d[2] = cosine;
}

static struct row look_along(const struct pn_pose *pose, size_t count, double diameter_px, size_t r,
			     size_t rows, size_t columns, float *map)
{
	struct row row = { 0, -1, 0 };

	for (size_t c = 0; c < columns; c++) {
		double d[3];

		direction((double)r, (double)c, rows, columns, d);
		double sine = nearest(pose, count, d);
		/* covered up to 1 / (2 D sine), of 1/2 */
		double reach = fmin(1, 1 / (diameter_px * fmax(sine, 1e-300)));
		row.uncovered += 1 - reach * reach * reach;
		if (sine > row.worst) {
			row.worst = sine;
			row.column = c;
		}
		for (size_t k = 0; map && k < count; k++) {
			const double *n = pose[k].rotation[2];

			map[r * columns + c] +=
				fabs(n[0] * d[0] + n[1] * d[1] + n[2] * d[2]) * diameter_px <= 1;
		}
	}
	return row;
}

static void normalize(double v[3])
{
	const double length = sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);

	for (int i = 0; i < 3; i++)
		v[i] /= length;
}

/* A direction @step from @d, to the side told by @angle. */
static void step_aside(const double d[3], double angle, double step, double to[3])
{
	/* two directions at right angles to d, from the axis that it is least along */
	int least = fabs(d[0]) < fabs(d[1]) ? 0 : 1;
	double u[3];

	least = fabs(d[2]) < fabs(d[least]) ? 2 : least;
	for (int i = 0; i < 3; i++)
		u[i] = (i == least) - d[least] * d[i];
	normalize(u);
	for (int i = 0; i < 3; i++) {
		const int j = (i + 1) % 3, k = (i + 2) % 3;

		to[i] = d[i] +
			step * (cos(angle) * u[i] + sin(angle) * (d[j] * u[k] - d[k] * u[j]));
	}
	normalize(to);
}

/* From the worst of the directions looked at to the worst near it: steps to all sides, halved. */
static double climb(const struct pn_pose *pose, size_t count, double step, double d[3])
{
	double worst = nearest(pose, count, d);

	while (step > 1e-9) {
		int better = 0;

		for (int i = 0; i < 16 && !better; i++) {
			double to[3];

			step_aside(d, M_PI * i / 8, step, to);
			const double sine = nearest(pose, count, to);
			if (sine > worst) {
				worst = sine;
				memcpy(d, to, sizeof to);
				better = 1;
			}
		}
		step = better ? step : step / 2;
	}
	return worst;
}

static int check(const struct pn_pose *pose, size_t count, size_t rows, size_t columns,
		 double diameter_px, struct pn_error *err)
{
	if (count < 1)
		return pn_error_set(err, PN_EARG, "coverage by no projections");
	if (rows < 16 || columns < 16 || rows > 4096 || columns > 4096)
		return pn_error_set(err, PN_EARG,
				    "coverage in %zu x %zu directions: each must be 16..4096", rows,
				    columns);
	if (!(diameter_px >= 1) || !isfinite(diameter_px))
		return pn_error_set(err, PN_EARG, "coverage for a diameter of %g px: at least 1",
				    diameter_px);
	for (size_t k = 0; k < count; k++) {
		int rc = pn_pose_check(&pose[k], k, err);

		if (rc)
			return rc;
	}
	return PN_OK;
}

int pn_coverage(struct pn_coverage *coverage, float *map, size_t rows, size_t columns,
		const struct pn_pose *pose, size_t count, double diameter_px, struct pn_error *err)
{
	int rc = check(pose, count, rows, columns, diameter_px, err);

	if (rc)
		return rc;
	struct row *row = calloc(rows, sizeof *row);
	if (!row)
		return pn_error_set(err, PN_ENOMEM, "no memory for coverage in %zu directions",
				    rows * columns);
	for (size_t i = 0; map && i < rows * columns; i++)
		map[i] = 0;
#pragma omp parallel for schedule(static)
	for (size_t r = 0; r < rows; r++)
		row[r] = look_along(pose, count, diameter_px, r, rows, columns, map);
	size_t worst = 0;
	double uncovered = 0;
	for (size_t r = 0; r < rows; r++) {
		uncovered += row[r].uncovered;
		worst = row[r].worst > row[worst].worst ? r : worst;
	}
	coverage->uncovered = uncovered / (double)(rows * columns);
	direction((double)worst, (double)row[worst].column, rows, columns, coverage->gap_direction);
	/* near the pole the directions are as far apart as this */
	double sine = climb(pose, count, sqrt(2.0 / (double)rows), coverage->gap_direction);
	coverage->gap_deg = asin(fmin(1, sine)) * (180 / M_PI);
	coverage->crowther_per_voxel = fmin(0.5, 1 / (2 * diameter_px * fmax(sine, 1e-300)));
	free(row);
	return PN_OK;
}
