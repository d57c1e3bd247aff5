/* SPDX-License-Identifier: GPL-3.0-or-later */
/* volume_sheet.h - a reconstruction on one page: its central planes and how it converged. */
#ifndef PERRIN_TOOLS_VOLUME_SHEET_H
#define PERRIN_TOOLS_VOLUME_SHEET_H

#include "perrin/base/status.h"
#include "perrin/tomo/pose.h"

#include <stddef.h>

#define PN_SHEET_CURVES_MAX 2
#define PN_SHEET_TITLES_MAX 8

/** A line through points; those that are not finite are left out. Everything borrowed. */
struct pn_sheet_curve {
	const char *name; /* in the legend; NULL: not there */
	const double *x, *y;
	size_t count;
};

/** What is on the page; everything borrowed. Zero-initialised, then @volume and @box set, is one
 * without curves, titles or scale bar. */
struct pn_volume_sheet {
	const float *volume; /* [nz][ny][nx] */
	struct pn_box box;
	double pixel_A; /* side of a voxel; 0: not known, no scale bar */

	const char *title[PN_SHEET_TITLES_MAX]; /* lines on top, up to the first NULL */

	struct pn_sheet_curve curve[PN_SHEET_CURVES_MAX];
	size_t curves;                     /* 0: no plot */
	const char *x_name, *y_name;       /* of the plot's axes; NULL: none */
};

/** Where things came to stand on the page. */
struct pn_volume_sheet_layout {
	size_t ny, nx;         /* of the page */
	size_t zoom, reduce;   /* a pixel is reduce / zoom voxels; one of them is 1 */
	size_t z_y, z_x;       /* corner on the top left of the plane z = nz / 2 */
	size_t y_y, y_x;       /* y = ny / 2 */
	size_t x_y, x_x;       /* x = nx / 2 */
	size_t plot_y, plot_x; /* the plot's frame */
	size_t plot_ny, plot_nx;
	float white; /* the value of the last gray */
};

/**
 * pn_volume_sheet - draw and write a page as a PNG.
 *
 *	plane z = nz / 2: x to the right, y down    |    plane x = nx / 2: z to the right, y down
 *	plane y = ny / 2: x to the right, z down    |    the curves
 *
 * so that panels share their edges' coordinates. The tilt axis is y: the plane normal to it, which
 * shows the missing wedge as streaks and elongation, is marked. All panels have one scale, with
 * the longest side as near as may be to 400 pixels by whole factors (voxels repeated, or averaged
 * over squares), and one range of grays: 0 is black, the 99.9th percentile of the finite voxels
 * (nearest rank; their maximum if that is not positive) is white. Voxels that are not finite are
 * black. The plot's y axis is logarithmic where all values are positive and their range exceeds a
 * factor of 30.
 *
 * @layout: [out] may be NULL
 *
 * Errors: PN_EARG (no volume, an empty box or one whose voxels cannot be counted, more than
 * PN_SHEET_CURVES_MAX curves, points without values, a pixel size below 0 or not finite),
 * PN_ENOMEM, those of pn_png_write.
 * Thread: reentrant. Cost: two passes over the volume, and the PNG.
 */
int pn_volume_sheet(const char *path, const struct pn_volume_sheet *sheet,
		    struct pn_volume_sheet_layout *layout, struct pn_error *err);

#endif
