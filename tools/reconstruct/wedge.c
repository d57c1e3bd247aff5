/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The missing wedge: which directions of Fourier space the tilts cover. */
#include "common/canvas.h"
#include "perrin/image/filter.h"
#include "reconstruct.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum {
	ROWS = 256,
	COLUMNS = 512,
	ZOOM = 2,
	SIZE = 2, /* of the text */
	LINE = SIZE * (PN_CANVAS_CAP + PN_CANVAS_DESCENT),
	MARGIN = 32,
	LEFT = 76,
	NEAR = 10,
	TICK = 6,
	SWATCH = 28,
};

#define PAPER     0xffffff
#define INK       0x1c1f24
#define GRID      0xe3e6ea
#define UNCOVERED 0xb3441e
#define ONCE      0xd6e4f2
#define MOST      0x10396b

#define WITHIN 0.995 /* of the voxels of the specimen are in the sphere of its diameter */

/* ---- the specimen -------------------------------------------------------------------------- */

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Squared distances of the voxels above @threshold from their centroid. */
static size_t distances(float *r2, const struct job *job, double threshold)
{
	const struct pn_box *box = &job->box;
	double sum[3] = { 0 };
	size_t count = 0;

	for (int pass = 0; pass < 2; pass++) {
		size_t i = 0, at = 0;

		for (size_t z = 0; z < box->nz; z++)
			for (size_t y = 0; y < box->ny; y++)
				for (size_t x = 0; x < box->nx; x++, i++) {
					const double r[3] = { (double)z, (double)y, (double)x };

					if (!((double)job->volume[i] > threshold))
						continue;
					if (pass) {
						double d2 = 0;

						for (int a = 0; a < 3; a++)
							d2 += pow(r[a] - sum[a] / (double)count, 2);
						r2[at++] = (float)d2;
						continue;
					}
					for (int a = 0; a < 3; a++)
						sum[a] += r[a];
					count++;
				}
	}
	return count;
}

/* D: of the sphere about the centroid that holds what Otsu's threshold cuts out. */
static int find_diameter(struct job *job, struct pn_error *err)
{
	size_t voxels = pn_box_voxels(&job->box), count;
	size_t side = job->box.nx > job->box.nz ? job->box.nx : job->box.nz;
	float *r2 = malloc(voxels * sizeof *r2);
	double threshold;

	if (!r2)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu voxels", voxels);
	side = side > job->box.ny ? side : job->box.ny;
	job->diameter_px = (double)side;
	job->diameter_is_box = 1;
	if (!job->flags->extended && !pn_otsu(job->volume, voxels, &threshold, NULL) &&
	    (count = distances(r2, job, threshold)) > 0) {
		qsort(r2, count, sizeof *r2, ascending);
		double diameter = 2 * sqrt((double)r2[(size_t)(WITHIN * (double)(count - 1))]) + 1;

		if (diameter < (double)side) {
			job->diameter_px = diameter;
			job->diameter_is_box = 0;
		}
	}
	free(r2);
	return PN_OK;
}

/* ---- the map ------------------------------------------------------------------------------- */

static void make_colors(uint32_t colors[256])
{
	colors[0] = UNCOVERED;
	for (int i = 1; i < 256; i++) {
		uint32_t color = 0;

		for (int shift = 0; shift < 24; shift += 8) {
			double from = (double)(ONCE >> shift & 0xff);
			double to = (double)(MOST >> shift & 0xff);

			color |= (uint32_t)lround(from + (to - from) * sqrt((i - 1) / 254.0))
				 << shift;
		}
		colors[i] = color;
	}
}

static int64_t put(struct pn_canvas *canvas, int64_t y, int64_t x, enum pn_canvas_align align,
		   const char *text)
{
	const struct pn_canvas_font font = { .size = SIZE, .color = INK, .align = align };

	return pn_canvas_text(canvas, y, x, &font, text);
}

static void draw_axes(struct pn_canvas *canvas, int64_t top, int64_t left)
{
	static const int polar_deg[] = { 0, 30, 45, 60, 75, 90 };
	int64_t bottom = top + ROWS * ZOOM;
	char text[48];

	for (size_t i = 0; i < PN_COUNT(polar_deg); i++) {
		int64_t y = top + lround((1 - cos(polar_deg[i] * M_PI / 180)) * ROWS * ZOOM);

		snprintf(text, sizeof text, "%d\xc2\xb0", polar_deg[i]);
		pn_canvas_rectangle(canvas, y, left - TICK, 1, TICK, INK);
		put(canvas, y - SIZE * PN_CANVAS_CAP / 2, left - TICK - NEAR / 2, PN_ALIGN_RIGHT,
		    text);
	}
	for (int a = 0; a <= 360; a += 90) {
		int64_t x = left + lround(a / 360.0 * COLUMNS * ZOOM);

		snprintf(text, sizeof text, "%d\xc2\xb0", a);
		pn_canvas_rectangle(canvas, bottom, x, TICK, 1, INK);
		put(canvas, bottom + TICK + NEAR / 2, x, PN_ALIGN_CENTER, text);
	}
	put(canvas, bottom + TICK + NEAR + LINE + NEAR / 2, left + COLUMNS * ZOOM / 2,
	    PN_ALIGN_CENTER, "about z, from x (0\xc2\xb0) over the tilt axis y (90\xc2\xb0)");
	put(canvas, top - NEAR - LINE, left, PN_ALIGN_LEFT, "from the beam z, at 1/2 per voxel");
}

static void draw_legend(struct pn_canvas *canvas, int64_t y, int64_t right, float most,
			const uint32_t colors[256])
{
	char text[48];

	snprintf(text, sizeof text, "%g tilts", (double)most);
	right -= put(canvas, y, right, PN_ALIGN_RIGHT, text) + NEAR;
	for (int i = 0; i < 96; i++)
		pn_canvas_rectangle(canvas, y, right - 96 + i, SIZE * PN_CANVAS_CAP, 1,
				    colors[1 + i * 254 / 95]);
	right -= 96 + NEAR;
	right -= put(canvas, y, right, PN_ALIGN_RIGHT, "1") + 4 * NEAR;
	right -= put(canvas, y, right, PN_ALIGN_RIGHT, "none") + NEAR;
	pn_canvas_rectangle(canvas, y, right - SWATCH, SIZE * PN_CANVAS_CAP, SWATCH, UNCOVERED);
}

static int draw_map(const struct job *job, const float *map, struct pn_error *err)
{
	const int64_t top = MARGIN + 2 * (LINE + NEAR) + NEAR, left = MARGIN + LEFT;
	struct pn_canvas *canvas;
	uint32_t colors[256];
	float most = 1;
	char title[256];
	int rc = pn_canvas_create(&canvas,
				  (size_t)top + ROWS * ZOOM + TICK + 2 * (LINE + NEAR) + MARGIN,
				  (size_t)left + COLUMNS * ZOOM + MARGIN + NEAR, PAPER, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < ROWS * COLUMNS; i++)
		most = map[i] > most ? map[i] : most;
	const struct pn_canvas_image image = { map, ROWS, COLUMNS, COLUMNS, 1 };
	const struct pn_canvas_scale scale = {
		.high = most, .reduce = 1, .zoom = ZOOM, .colors = colors
	};

	make_colors(colors);
	snprintf(title, sizeof title,
		 "%zu tilts, specimen of %.0f px: %.1f %% of Fourier space uncovered",
		 job->tilts.projections.count, job->diameter_px, 100 * job->coverage.uncovered);
	put(canvas, MARGIN, left, PN_ALIGN_LEFT, title);
	draw_axes(canvas, top, left);
	draw_legend(canvas, top - NEAR - LINE, left + COLUMNS * ZOOM, most, colors);
	pn_canvas_frame(canvas, top, left, ROWS * ZOOM, COLUMNS * ZOOM, 1, GRID);
	pn_canvas_blit(canvas, top, left, &image, &scale);
	rc = pn_canvas_write(canvas, job->flags->coverage, err);
	pn_canvas_destroy(canvas);
	return rc;
}

static int write_map(const struct job *job, const float *map, struct pn_error *err)
{
	const struct pn_box box = { 1, ROWS, COLUMNS };
	const char *dot = strrchr(job->flags->coverage, '.');

	if (dot && strcasecmp(dot, ".png") == 0)
		return draw_map(job, map, err);
	return pn_volume_write(job->flags->coverage, map, &box, 0, err);
}

int wedge_measure(struct job *job, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;
	float *map = malloc(ROWS * COLUMNS * sizeof *map);
	int rc = map ? find_diameter(job, err)
		     : pn_error_set(err, PN_ENOMEM, "no memory for %d directions", ROWS * COLUMNS);

	if (!rc)
		rc = pn_coverage(&job->coverage, map, ROWS, COLUMNS, p->pose, p->count,
				 job->diameter_px, err);
	if (!rc && job->flags->coverage[0])
		rc = write_map(job, map, err);
	free(map);
	return rc;
}
