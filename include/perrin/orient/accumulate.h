/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/orient/accumulate.h - central slices of any orientation summed up in Fourier space. */
#ifndef PERRIN_ORIENT_ACCUMULATE_H
#define PERRIN_ORIENT_ACCUMULATE_H

#include "perrin/base/blob.h"
#include "perrin/base/status.h"
#include "perrin/tomo/normal.h"
#include "perrin/tomo/pose.h"

#include <stddef.h>
#include <stdint.h>

struct pn_accumulator;

/** What sums are for. */
struct pn_accumulate_params {
	size_t edge;          /* of images [edge][edge] and maps [edge]^3; even, 16..512        */
	double frequency_max; /* cycles per pixel up to which slices go in, 1/edge..1/2         */
	double largest_pixel; /* about the largest absolute value to come: fixes the rounding   */
	int kernel_width;     /* Kaiser-Bessel, on a grid of twice the edge: 3..6               */
};

/**
 * pn_accumulator_create - numerator and density, both empty; caller destroys.
 *
 *	numerator(q) = sum_k w_k sum_f C_k(f) F_k(f) exp(2 pi i f.shift_k) K(q - 2 R_k^T (f, 0)),
 *	density(q)   = sum_k w_k sum_f C_k(f)^2 K(q - 2 R_k^T (f, 0))
 *
 * F_k the transform of image k about its origin at the frequencies f of its own grid (cycles per
 * edge; all within the band but the Nyquist frequency itself), q the points of a grid of twice the
 * edge, K the Kaiser-Bessel kernel in all three axes, 1 at its top. Images are real, so half of f
 * and half of q are enough. Only the cube that the band reaches is kept: 24 bytes for each of
 * about 4 (2 edge frequency_max)^3 points, 48 MB for 160 px up to 0.24 cycles per px.
 *
 * Addends are rounded to multiples of a fixed power of two (2^-32 of edge^2 largest pixels; 2^-32
 * for the density) and added as integers, so that the sums are exact: any order, any partition
 * over accumulators, and an image that is taken away leaves no trace. Images may add up to 1024
 * times what edge^2 largest pixels do; then sums are exact over 2^18 of them.
 *
 * Errors: PN_EARG, PN_ENOMEM with the bytes; PN_EIO from pn_fft_plan.
 * Thread: one call at a time per accumulator; two of them need nothing of each other.
 * Source: direct Fourier inversion with a Kaiser-Bessel window: Penczek, Renka & Schomberg, J. Opt.
 * Soc. Am. A 21, 499 (2004); the kernel's shape: Beatty, Nishimura & Pauly, IEEE Trans. Med.
 * Imaging 24, 799 (2005), eq. 5.
 */
int pn_accumulator_create(struct pn_accumulator **sums, const struct pn_accumulate_params *params,
			  struct pn_error *err);
void pn_accumulator_destroy(struct pn_accumulator *sums);
void pn_accumulator_reset(struct pn_accumulator *sums);

/**
 * pn_accumulator_add - one more image; pn_accumulator_subtract - exactly what add gave, taken away
 * (with the same plan of the FFT: see pn_fft_use_wisdom for sums that were saved).
 *
 * @image:  [in] float32 [edge][edge], background 0
 * @weight: > 0, 1 for a whole frame; 1024 at most, also times the squared contrast
 * @ctf:    [in] contrast transfer at |f| = s / (2 edge) cycles per pixel, s = 0..edge (linear
 *          between); NULL: 1 everywhere
 *
 * Errors: PN_EARG (a pixel or contrast not finite, pixels beyond the range, a pose that is no
 * rotation, a shift beyond 10^6 px, a weight out of range; subtract: there is no image); the sums
 * are as before then.
 * Cost: one thread, nothing allocated. An FFT and, for each of pi/2 (edge frequency_max)^2
 * frequencies, kernel_width^3 points of three numbers. What must move is each point of the slice's
 * footprint once, there and back: for 160 px up to 0.24 cycles per px with a width of 4 about 1 MB
 * each way, and 0.44 million integer additions. Sums are larger than caches: footprints are asked
 * for 6 frequencies ahead, which is worth a factor of 2.
 */
int pn_accumulator_add(struct pn_accumulator *sums, const struct pn_pose *pose, const float *image,
		       double weight, const double *ctf, struct pn_error *err);
int pn_accumulator_subtract(struct pn_accumulator *sums, const struct pn_pose *pose,
			    const float *image, double weight, const double *ctf,
			    struct pn_error *err);

/**
 * pn_accumulator_merge - add all of @other to @sums, e.g. both halves. Exact.
 *
 * Errors: PN_EARG if their parameters are not the same.
 */
int pn_accumulator_merge(struct pn_accumulator *sums, const struct pn_accumulator *other,
			 struct pn_error *err);

/**
 * pn_accumulator_decay - multiply all by @factor 0..1 (trailing average), but for the number of
 * images. Rounds: what was added before can no longer be taken away without a trace.
 */
void pn_accumulator_decay(struct pn_accumulator *sums, double factor);

double pn_accumulator_weight(const struct pn_accumulator *sums); /* sum of w_k */
/** pn_accumulator_energy - sum of w_k |p_k|^2, p_k what of image k is within the band. */
double pn_accumulator_energy(const struct pn_accumulator *sums);
uint64_t pn_accumulator_images(const struct pn_accumulator *sums); /* added less subtracted */

/**
 * pn_accumulator_map - the quick map: crop(IFFT(numerator / (density + tau))) / kernel's transform.
 *
 * @tau: as a part of the mean density within the band, >= 0
 * @map: [out] float32 [edge][edge][edge], units of the images per pixel of depth
 *
 * Errors: PN_EARG (no images, tau), PN_ENOMEM (a grid of 8 edge^3 floats), PN_EIO.
 * Thread: OpenMP inside, the bytes do not depend on its threads. The first of map and normal plans
 * the 3D FFT, which takes seconds. Cost: one 3D FFT of twice the edge, a pass over the sums.
 */
int pn_accumulator_map(struct pn_accumulator *sums, double tau, float *map, struct pn_error *err);

/**
 * pn_accumulator_normal - the normal equations of all images, for pn_fista_solve.
 *
 * A_k projects a volume onto image k, takes what is within the band and multiplies with C_k; then
 *
 *	rhs = sum_k w_k A_k^T p_k,   kernel * u = sum_k w_k A_k^T A_k u,
 *	energy = sum_k w_k |p_k|^2   (p_k within the band: the misfits are of the band)
 *
 * @normal: [inout] of pn_normal_create, not single_axis, with any box up to edge^3: rhs, kernel,
 *          tilts and energy are set. Its quantum is that of pn_normal_create, which the solver
 * takes as its unit: give it the same largest pixel.
 *
 * Accuracy: with a kernel_width of 3, 4, 5, 6 the rhs is right to 1e-2, 3e-3, 1e-4, 3e-5 of its
 * largest value at the corners of the whole box, and the kernel to 3e-3, 1e-3, 3e-5, 1e-5 of its
 * top for lags up to edge/2. A grid of twice the edge does not tell lags of d and 2 edge - d apart:
 * towards d = edge the kernel of few views is wrong by a tenth of its top (of 500 views it is so
 * small there that a particle in the whole box comes out to 1 %). So a box of half to three
 * quarters the edge about the particle is both exact and up to 8 times cheaper to solve in.
 *
 * Against pn_normal_add: that one's detector has no borders and its band is the whole square, here
 * images are periodic and the band is the disc (the top of the kernel is pi/4 of it at most).
 *
 * Contrast that vanishes at f = 0 makes ones a bad guess of the largest eigenvalue: pn_fista_solve
 * then spends its first iterations on halving the step.
 *
 * Errors: PN_EARG (single_axis, a box beyond the edge), PN_ENOMEM, PN_EIO. Thread: as map.
 * Cost: two 3D FFTs of twice the edge and two passes over the sums.
 */
int pn_accumulator_normal(struct pn_accumulator *sums, struct pn_normal *normal,
			  struct pn_error *err);

/**
 * pn_accumulator_density - the mean density of every direction: how much was seen of it.
 *
 * @direction: [in] [count] unit vectors, X Y Z
 * @density:   [out] [count] mean of the density along the line through the origin between the
 *             frequencies (cycles per pixel, up to frequency_max), linear between grid points
 *
 * Errors: PN_EARG. Thread: reentrant while nothing is added; OpenMP inside.
 */
int pn_accumulator_density(const struct pn_accumulator *sums, const double (*direction)[3],
			   size_t count, double frequency_first, double frequency_last,
			   double *density, struct pn_error *err);

/**
 * pn_accumulator_save - append the sums to a blob: what is not 0 of each row, about half of the
 * cube (25 MB for 160 px up to 0.24 cycles per px). PN_OK or PN_ENOMEM.
 */
int pn_accumulator_save(const struct pn_accumulator *sums, struct pn_blob *out);

/**
 * pn_accumulator_load - the sums as they were saved, in the place of those there are.
 *
 * @data: all the bytes that pn_accumulator_save appended, nothing else
 *
 * Errors: PN_EFORMAT (no saved sums, cut off, damaged), PN_EVERSION, PN_EARG (other parameters);
 * the sums are as before then.
 */
int pn_accumulator_load(struct pn_accumulator *sums, const void *data, size_t bytes,
			struct pn_error *err);

#endif
