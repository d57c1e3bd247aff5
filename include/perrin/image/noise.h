/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/image/noise.h - how noisy images of counted electrons are, from the images themselves. */
#ifndef PERRIN_IMAGE_NOISE_H
#define PERRIN_IMAGE_NOISE_H

#include "perrin/base/status.h"

#include <stddef.h>

/**
 * Poisson-Gaussian noise of a pixel whose mean is v:
 *
 *	variance = gain (v - offset) + readout^2
 */
struct pn_noise_model {
	double gain;    /* counts per electron                  */
	double offset;  /* counts without beam                  */
	double readout; /* standard deviation, counts           */
};

/**
 * What an estimate found. The line is variance = gain v + intercept; offset and readout^2 =
 * intercept + gain offset cannot be told apart from images of the beam.
 */
struct pn_noise_fit {
	struct pn_noise_model model;
	double gain_se;                 /* standard errors, 1 sigma                          */
	double intercept, intercept_se; /* counts^2                                          */
	double correlation;             /* of the errors of gain and intercept, -1..1        */
	double readout_se, offset_se;   /* of the one the intercept was given to; else 0     */
	double dispersion;              /* scatter of the patches over that of white noise   */
	size_t patches, outliers;       /* used; of these weighted below 1/4                 */
};

struct pn_noise_params {
	/* counts without beam, from a dark image. NAN: not known; a negative intercept is then
	 * taken for an offset with no readout noise, a positive one for readout noise with no
	 * offset */
	double offset;
	double saturation; /* patches with a pixel at or above are left out; INFINITY: none */
};

/**
 * pn_noise_from_image - gain and readout noise from a single image.
 *
 * The image is filtered with r = [1 -2 1] x [1 -2 1]; white noise gives E r^2 = sum w^2 (gain v +
 * intercept), so the mean of r^2 over a patch of 8 x 8 pixels against that of v weighted with w^2
 * is a point of the line whatever the image does within the patch, provided its signal does not
 * pass the filter: a wave along x or y does not, an atom of 1.3 px sigma leaves 2 % of its
 * height. The line is fitted with the weights of the Gamma law that such means follow; patches
 * that do not follow it - edges, sharp atoms - are weighted down by Tukey's biweight on the
 * Wilson-Hilferty scale, again and again until nothing changes. Patches without any noise
 * (digital zero) are left out.
 *
 * Noise that is correlated between pixels (interpolated images) is not seen in full: use raw ones.
 *
 * @src:    [in] float32 [ny][nx], counts; at least 32 x 32
 * @params: NULL: offset NAN, no saturation
 *
 * Errors: PN_EARG (shape, a pixel that is not finite), PN_ENOENT (no noise: a constant image;
 * fewer than 12 patches; no two levels to fit a line through), PN_ENOMEM.
 * Thread: reentrant. Cost: about 20 flops per pixel.
 * Source: Foi, Trimeche, Katkovnik, Egiazarian, IEEE Trans. Image Process. 17, 1737 (2008), with
 * the filter of Immerkaer, Comput. Vis. Image Underst. 64, 300 (1996).
 */
int pn_noise_from_image(struct pn_noise_fit *fit, const float *src, size_t ny, size_t nx,
			const struct pn_noise_params *params, struct pn_error *err);

/**
 * pn_noise_from_frames - the same from several frames of one scene, where the scene cancels: the
 * sample variance over the frames (of two: half the square of the difference) of the filtered
 * pixels. The filter is kept because it takes away what is left of the scene where the frames are
 * not registered to better than a pixel.
 *
 * @frames: [in] float32 [count][ny][nx], counts, not interpolated
 * @count:  2..64
 * @shift_px: [in] [count][2] x, y: where the scene stands in a frame, rounded to whole pixels; only
 *            the common area is used, at least 32 x 32. NULL: frames are aligned
 *
 * Otherwise as pn_noise_from_image; also PN_ENOENT if the frames are equal.
 */
int pn_noise_from_frames(struct pn_noise_fit *fit, const float *frames, size_t count, size_t ny,
			 size_t nx, const double (*shift_px)[2],
			 const struct pn_noise_params *params, struct pn_error *err);

#endif
