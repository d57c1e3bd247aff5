/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Gaussian spots on a padded image: added, and their moments gathered. One tilt, one thread. */
#ifndef PN_SPOTS_H
#define PN_SPOTS_H

#include "perrin/tomo/model.h"

#define PN_SPOT_LANES 8

/* One Gaussian, in pixels. */
struct pn_spot_gauss {
	double variance_px2; /* with the integration over the pixel                     */
	double intensity;
	float falloff; /* 1 / (2 variance)                                              */
	int radius;    /* rows on either side of the central one                        */
	int lanes;     /* pixels of a row that are touched, a multiple of PN_SPOT_LANES */
};

/* What a model needs to be drawn, worked out once per set of spots. */
struct pn_spot_plan {
	const struct pn_linear_model *model;
	struct pn_spot_gauss gauss[PN_MODEL_SPECIES_MAX][PN_SPOT_GAUSSIANS_MAX];
	size_t ny, nx;
	size_t margin;       /* pixels around the image that spots may run into */
	size_t rows, stride; /* of a canvas: the image with its margin           */
};

/* What is asked of a spot: its moments with an image, sum_p image E x^i y^j about its centre,
 * E = exp(-r^2 / 2v). */
struct pn_spot_moments {
	double m, x, y, xx, xy, yy;
};

/* By what a spot is differentiated. */
enum pn_spot_part {
	PN_SPOT_BY_INTENSITY, /* of one Gaussian */
	PN_SPOT_BY_VARIANCE,  /* per A^2         */
};

void pn_spot_plan_init(struct pn_spot_plan *plan, const struct pn_linear_model *model, size_t ny,
		       size_t nx);

/* Where atom @a is seen, in pixels from pixel (0, 0) of the image. */
void pn_spot_seen(const struct pn_spot_plan *plan, const struct pn_pose *pose, size_t a, double *x,
		  double *y);

static inline size_t pn_spot_canvas(const struct pn_spot_plan *plan)
{
	return plan->rows * plan->stride;
}

/* The pixel (0, 0) of the image in a canvas. */
static inline size_t pn_spot_corner(const struct pn_spot_plan *plan)
{
	return plan->margin * plan->stride + plan->margin;
}

/* A canvas of zeros; NULL if there is no memory. */
float *pn_spot_canvas_create(const struct pn_spot_plan *plan);

/* Add @factor times the spot of @species at (x, y). */
void pn_spot_add(const struct pn_spot_plan *plan, float *canvas, int species, double x, double y,
		 double factor);

/* The spot of @species, PN_NO_ATOM is 0, on pixels [ny][lanes] the first of which is @x_first,
 * @y_first from its centre; @lanes a multiple of PN_SPOT_LANES. */
void pn_spot_window(const struct pn_spot_plan *plan, int species, double x_first, double y_first,
		    int ny, int lanes, float *window);

/* The whole model, or its derivative by one Gaussian of a species, on a canvas, which is cleared
 * first. */
void pn_spot_draw(const struct pn_spot_plan *plan, const struct pn_pose *pose, float *canvas);
void pn_spot_draw_part(const struct pn_spot_plan *plan, const struct pn_pose *pose, float *canvas,
		       int species, int g, enum pn_spot_part part);

/* Sums over one tilt, of what J^T leaves in the frame of the detector. */
struct pn_spot_sums {
	double intensity[PN_MODEL_SPECIES_MAX][PN_SPOT_GAUSSIANS_MAX];
	double variance_A2[PN_MODEL_SPECIES_MAX][PN_SPOT_GAUSSIANS_MAX];
	double shift_px[2]; /* x, y */
};

/*
 * J^T of a canvas whose margin is zero: @seen [atoms][2] gets the derivatives by where each atom is
 * seen, x and y, per pixel.
 */
void pn_spot_gather(const struct pn_spot_plan *plan, const struct pn_pose *pose,
		    const float *canvas, double (*seen)[2], struct pn_spot_sums *sums);

/*
 * sum_p weight (d spot/d(x,y))^2 of each atom: @seen [atoms][3] gets xx, xy, yy, per pixel^2, all
 * spots times @scale.
 */
void pn_spot_curvature(const struct pn_spot_plan *plan, const struct pn_pose *pose,
		       const float *canvas, double scale, double (*seen)[3]);

#endif
