/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/image/laplace.h - the particle of a projection, and the background that goes on behind it.
 */
#ifndef PERRIN_IMAGE_LAPLACE_H
#define PERRIN_IMAGE_LAPLACE_H

#include "perrin/base/param.h"
#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

/** How a particle is cut out. */
struct pn_particle_params {
	double blur_px;      /* Gaussian sigma before the threshold, 0..64                 */
	double gap_px;       /* parts no farther apart are one particle, 0..256             */
	double margin_px;    /* the mask is grown by so much, 0..1000                      */
	double contrast_min; /* see pn_particle.contrast                                   */
	int64_t area_min_px; /* smaller regions are no particle                            */
	int border;          /* 1: the particle may touch the border of the image          */
};

/** Rows: blur_px, gap_px, margin_px, contrast_min, area_min_px, border. */
extern const struct pn_param pn_particle_param_table[];

/** What was found. */
struct pn_particle {
	double threshold;   /* of Otsu, unit of the image                                 */
	double contrast;    /* (mean of the region - mean below the threshold) / (standard
			       deviation below the threshold), of the blurred image       */
	double x_px, y_px;  /* centroid of the region, pixel centres at integers          */
	size_t area_px;     /* of the region, holes filled                                */
	size_t mask_px;     /* of the grown mask                                          */
	int touches_border; /* the region does                                            */
	int mask_at_border; /* the grown mask does                                        */
};

/**
 * pn_particle_mask - the particle of a dark-field projection: Otsu's threshold on the blurred
 * image, gaps of up to gap_px closed, the largest region, holes filled, grown by margin_px.
 *
 * Gaps are the dark between rows of atoms that are seen edge on: without closing them the mask was
 * the middle of a particle only, and the Laplace background of half of its intensity.
 *
 * Growing is exact: a pixel is in if its centre is no further than margin_px from that of a pixel
 * of the region. A hole is what cannot be reached from the border of the image without crossing the
 * region, diagonal steps allowed.
 *
 * That there is a particle at all is told by the contrast: Otsu cuts Gaussian noise alone in two
 * halves of contrast 2.65, and a ramp from side to side in halves of 3.46, whatever their unit.
 *
 * @mask:   [out] uint8 [ny][nx], 1 = particle or margin
 * @image:  [in]  float32 [ny][nx], any unit, the particle brighter than its surroundings
 * @params: of the table; default blur 1 px, gap 8 px, margin 10 px, contrast 4, area 16 px, no border
 * @out:    [out] filled also when an error is returned, as far as it was known; may not be NULL
 *
 * Errors: PN_EARG (parameters; an empty image; a pixel that is not finite; a particle at the border
 * of the image, when that is not allowed), PN_ENOENT (a constant image, or nothing that separates),
 * PN_ENOMEM. Thread: reentrant. Allocates: 17 B per pixel.
 * Cost: O(pixels), about 40 ns each at the default blur.
 * Source: paper 003, "Image post-processing" (methods R23); Otsu, IEEE Trans. SMC 9, 62 (1979).
 */
int pn_particle_mask(uint8_t *mask, const float *image, size_t ny, size_t nx,
		     const struct pn_particle_params *params, struct pn_particle *out,
		     struct pn_error *err);

/** How a background is computed. */
struct pn_laplace_params {
	double rim_px;    /* radius the boundary values are averaged over, 0..64; 0: as they are */
	double tolerance; /* of residual and error, as part of the range of the boundary values  */
	int64_t iterations_max;
};

/** Rows: rim_px, tolerance, iterations_max. */
extern const struct pn_param pn_laplace_param_table[];

/** How well it was solved. */
struct pn_laplace_result {
	int iterations;
	double range;    /* largest less smallest boundary value                                 */
	double residual; /* largest |sum of the neighbors - their number times u|                */
	double error;    /* largest correction that one more V-cycle would make                  */
};

/**
 * pn_laplace_fill - the background behind a mask: u of the discrete Laplace equation
 *
 *	sum over the neighbors q of p inside the image of (u(q) - u(p)) = 0   for p in the mask
 *
 * (four neighbors) with the image itself as boundary value on the rim, which is the pixels outside
 * the mask that touch it. Where the mask meets the border of the image there is no value to hold on
 * to and nothing flows through it (Neumann).
 *
 * @rim_px: a rim pixel's noise goes into the background next to it undiminished, so it is worth
 * averaging: with rim_px > 0 the value on the rim is the mean of the image over the disc of that
 * radius around it, less what is in the mask. A disc of which half is hidden has its middle 0.42
 * rim_px outside the rim: a background with a slope s is wrong by up to 0.42 s rim_px there, the
 * price of noise lower by the root of the pixels (about 1.6 rim_px^2). Averages of neighboring rim
 * pixels share theirs.
 *
 * Solved by conjugate gradients (double) preconditioned by one V-cycle of cell-centered multigrid
 * (float): cells of 2 x 2, linear interpolation and its transpose, two Chebyshev steps of Jacobi
 * before and after. On the coarse grids a cell's links are counted on the image: n links between
 * two cells of size h conduct n / h, n links to the rim n / ((h + 1) / 2), which keeps the boundary
 * where it is. Iterations do not grow with the mask (7 to 12 down to 1e-6). Converged when the
 * residual and the next correction, both at their largest pixel, are below tolerance times range:
 * the residual alone would promise nothing, a smooth one of 1e-6 in a mask 500 px wide hides an
 * error of 0.03.
 *
 * @out:    [out] float32 [ny][nx], may be @image: u in the mask, the image elsewhere
 * @image:  [in]  float32 [ny][nx], finite outside the mask; what is inside is not looked at
 * @mask:   [in]  uint8 [ny][nx], non-zero = unknown; an empty one copies
 * @params: of the table; default rim 3 px, tolerance 1e-6, 100 iterations
 * @result: [out] may be NULL
 *
 * Errors: PN_EARG (parameters, an empty image, a mask that leaves no rim, a pixel that is not
 * finite outside it), PN_ENOENT (not converged: the residual is told), PN_ENOMEM. Thread: reentrant;
 * OpenMP inside, the same bytes for any number of threads. Cost: O(box around the mask), about 0.1
 * us per pixel of it; 75 B per pixel of it allocated. Source: paper 003, "Image post-processing"
 * (methods R23); Trottenberg, Oosterlee, Schueller, Multigrid (2001), 2.8 and 7.8; Tatebe, Copper
 * Mountain Conf. on Multigrid Methods 6, 621 (1993).
 */
int pn_laplace_fill(float *out, const float *image, const uint8_t *mask, size_t ny, size_t nx,
		    const struct pn_laplace_params *params, struct pn_laplace_result *result,
		    struct pn_error *err);

/**
 * pn_laplace_subtract - the particle on a background of zero:
 *
 *	out = image - pn_laplace_fill(image)   in the mask,   0 elsewhere
 *
 * Shapes, errors, cost as for pn_laplace_fill; the image has to be finite in the mask as well. A
 * background above the image gives negative pixels, which stay: to cut them would add up noise.
 */
int pn_laplace_subtract(float *out, const float *image, const uint8_t *mask, size_t ny, size_t nx,
			const struct pn_laplace_params *params, struct pn_laplace_result *result,
			struct pn_error *err);

#endif
