/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/twin/adf.h"

#include "perrin/base/status.h"

#include <math.h>
#include <string.h>

#define BAND      32  /* rows worked on by one thread at a time        */
#define WIDTH_MAX 512 /* pixels from one end of a spot to the other    */

void pn_adf_tilt(double (*lab)[3], const double (*atoms)[3], size_t count, double angle_deg)
{
	double c = cos(angle_deg * M_PI / 180), s = sin(angle_deg * M_PI / 180);

	for (size_t i = 0; i < count; i++) {
		double x = atoms[i][0], y = atoms[i][1], z = atoms[i][2];

		lab[i][0] = x * c - z * s;
		lab[i][1] = y;
		lab[i][2] = x * s + z * c;
	}
}

/* One atom, at (x, y) pixels, on rows first..end-1; s in pixels. */
static void splat(float *image, size_t nx, double x, double y, double s, double weight, long first,
		  long end)
{
	float profile[WIDTH_MAX];
	long x0 = (long)ceil(x - 6 * s), x1 = (long)floor(x + 6 * s);
	long y0 = (long)ceil(y - 6 * s), y1 = (long)floor(y + 6 * s);

	x0 = x0 > 0 ? x0 : 0;
	x1 = x1 < (long)nx - 1 ? x1 : (long)nx - 1;
	y0 = y0 > first ? y0 : first;
	y1 = y1 < end - 1 ? y1 : end - 1;
	if (x0 > x1 || y0 > y1)
		return;
	for (long i = x0; i <= x1; i++)
		profile[i - x0] = (float)exp(-((double)i - x) * ((double)i - x) / (2 * s * s));
	for (long j = y0; j <= y1; j++) {
		float height =
			(float)(weight * exp(-((double)j - y) * ((double)j - y) / (2 * s * s)));
		float *row = image + (size_t)j * nx + x0;

		for (long i = 0; i <= x1 - x0; i++)
			row[i] += height * profile[i];
	}
}

void pn_adf_image(const struct pn_adf_params *p, const double (*position_A)[3],
		  const uint8_t *atomic_number, size_t count, float *image)
{
	double fwhm = hypot(p->source_fwhm_A, p->probe_fwhm_A);
	double s = fwhm / sqrt(8 * M_LN2) / p->pixel_A;
	long bands = (long)((p->ny + BAND - 1) / BAND);
	double weight[256];

	pn_assert(s > 0 && 12 * s + 1 < WIDTH_MAX);
	for (int z = 0; z < 256; z++)
		weight[z] = p->yield_A2 * pow(z, p->z_power) /
			    (2 * M_PI * s * s * p->pixel_A * p->pixel_A);
#pragma omp parallel for schedule(static)
	for (long band = 0; band < bands; band++) {
		long first = band * BAND, end = first + BAND;

		end = end < (long)p->ny ? end : (long)p->ny;
		memset(image + (size_t)first * p->nx, 0,
		       (size_t)(end - first) * p->nx * sizeof *image);
		for (size_t i = 0; i < count; i++) {
			double x = position_A[i][0] / p->pixel_A + (double)(p->nx / 2);
			double y = position_A[i][1] / p->pixel_A + (double)(p->ny / 2);

			if (y + 6 * s < first || y - 6 * s > end || !(fabs(x) < 1e6))
				continue;
			splat(image, p->nx, x, y, s, weight[atomic_number[i]], first, end);
		}
	}
}
