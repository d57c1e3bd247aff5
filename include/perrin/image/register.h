/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/image/register.h - the frames of one tilt brought over each other, drift and scan undone.
 */
#ifndef PERRIN_IMAGE_REGISTER_H
#define PERRIN_IMAGE_REGISTER_H

#include "perrin/base/param.h"
#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define PN_REGISTER_FRAMES_MAX 16

/*
 * Coordinates are x to the right and y down, in pixels from the origin of an image, the pixel
 * (ny/2, nx/2), integer division. A 2 x 2 matrix acts on (x, y); [0] is the row of x.
 */

/** Where the scene of a frame stands, against that of frame 0. */
struct pn_frame_shift {
	double x_px, y_px;
	double x_se_px, y_se_px; /* standard errors against frame 0; 0 for frame 0 itself */
	double se_correlation;   /* of the errors of x and y: fringes fix one direction only  */
	double correlation;      /* normalised, of the band-limited frames, with frame 0  */
};

struct pn_register_params {
	double cutoff_per_px;  /* finest spatial frequency used; soft edge of a fifth of it   */
	double shift_max_part; /* largest shift, as part of the frame's side                  */
	int drift;             /* 1: undo the drift during the scan                           */
	double scan_part;      /* part of the time from frame to frame that rows take up      */
};

/** Rows: cutoff_per_px, shift_max_part, drift, scan_part. */
extern const struct pn_param pn_register_param_table[];

/**
 * pn_register_frames - the shifts of frames of one scene, by normalised cross-correlation.
 *
 * A first shift against frame 0 comes from the squared and blurred correlation of the frames binned
 * by two and padded with zeros, so that no shift is mistaken for another. Then each pair of frames
 * is cut to what they have in common, its edges fall off with a Hann slope over an eighth of the
 * side, and
 *
 *	c(s) = sum_k W(k) conj(A(k)) B(k) exp(2 pi i k s) / sqrt(sum W |A|^2 sum W |B|^2)
 *
 * (W the low-pass) is evaluated by matrix products on a grid of 1/4 pixel within 12 px, on one of
 * 1/20 about its highest peak, and by a parabola through that. The shifts of all pairs are brought
 * together by least squares; what they disagree by is @closure_px.
 *
 * Standard errors: of the zero of the gradient of c, H^-1 (sum over cells v v^T) H^-1 with H = sum
 * W (2 pi)^2 k k^T Re conj(A) B and v = sum g d over cells of 8 x 8 pixels, g the gradient of the
 * pair's mean and d its difference: for noise of any variance and atoms that do not stay in place,
 * as long as cells differ by chance.
 *
 * @shift:      [out] [count]; shift[0] is 0
 * @closure_px: [out] rms of the pairs' shifts less those of @shift, per axis; 0 for two frames; may
 *              be NULL
 * @frames:     [in]  float32 [count][ny][nx], any unit, finite
 * @count:      2..PN_REGISTER_FRAMES_MAX
 * @ny, @nx:    32..8192
 * @params:     NULL: the defaults
 *
 * Errors: PN_EARG (shape, a pixel that is not finite, a constant frame, a shift above
 * shift_max_part), PN_ENOENT (frames with nothing in common: a correlation below 6 standard
 * deviations of that of noise), PN_ENOMEM.
 * Thread: reentrant, one thread. Cost: 5 FFTs per pair and 2 per frame.
 * Source: methods R21; Guizar-Sicairos, Thurman, Fienup, Opt. Lett. 33, 156 (2008).
 */
int pn_register_frames(struct pn_frame_shift *shift, double *closure_px, const float *frames,
		       size_t count, size_t ny, size_t nx, const struct pn_register_params *params,
		       struct pn_error *err);

/** Linear drift of the specimen. */
struct pn_drift {
	double x_px, y_px;       /* of the specimen, per frame                              */
	double x_se_px, y_se_px; /* from the scatter about the line; NAN for two frames     */
	double residual_px;      /* rms distance of the shifts from the line, per axis      */
};

/**
 * pn_drift_fit - drift from the shifts of consecutive frames, taken at equal distances in time.
 *
 * Of the slope s of the shifts. A row of the scan is recorded later than the one above, at the time
 * a.r with a = scan_part (1/(nx ny), 1/ny) frames, so the scene runs ahead of (or towards) the
 * beam and its image moves by s = v / (1 - a.v) when the specimen moves by v = s / (1 + a.s).
 *
 * @count: >= 2. Errors: PN_EARG (count, scan_part not in 0..1, a shift that is not finite, a
 * specimen as fast as the scan).
 */
int pn_drift_fit(struct pn_drift *drift, const struct pn_frame_shift *shift, size_t count,
		 size_t ny, size_t nx, double scan_part, struct pn_error *err);

/**
 * pn_drift_matrix - from image to specimen coordinates at the time of the middle of the frame:
 *
 *	r_specimen = (1 - v a^T) r_image
 *
 * which shears (v_x) and stretches (v_y) along the slow axis. Source: methods R21.
 */
void pn_drift_matrix(double matrix[2][2], const struct pn_drift *drift, size_t ny, size_t nx,
		     double scan_part);

/** pn_lattice_si110 - the two {111} of silicon seen along [110], 1/A, a = 5.4310 A: 0.3189 long,
 * 70.53 degrees apart. */
void pn_lattice_si110(double reciprocal_per_A[2][2]);

/** What the image of a crystal says about the scan. */
struct pn_scan_fit {
	double matrix[2][2]; /* image to specimen; matrix[1][0] = 0                        */
	double se;           /* standard error of its elements, about                      */
	double turn_deg;     /* of the crystal against the vectors given, x towards y      */
	size_t peaks;        /* reflections used                                           */
	double residual;     /* rms distance of them from the lattice, as part of |g|      */
};

/**
 * pn_scan_fit - scan distortion from the image of a crystal whose lattice is known.
 *
 * Peaks of the (Hann-windowed) power spectrum near the lengths of the two vectors are paired; the
 * strongest pair that fits within @tolerance is extended to the reflections h, k = -3..3 that stand
 * out, each is placed at the maximum of the continuous Fourier transform, and the basis is fitted
 * to all by least squares, B = D^T R B0. With D upper triangular the direction of the fast scan is
 * kept: the turn R of the crystal is its own affair.
 *
 * @image:            [in] float32 [ny][nx], sides 64..8192
 * @pixel_A:          nominal pixel, A
 * @reciprocal_per_A: [in] two vectors as (x, y), not parallel, 1/A
 * @tolerance:        of lengths and angles, relative, 0.001..0.2
 *
 * Errors: PN_EARG (shape, pixels not finite or constant, vectors, tolerance), PN_ENOENT (no such
 * pair of peaks), PN_ENOMEM. Thread: reentrant. Cost: one FFT and some 100 multiply-adds per pixel
 * and reflection. Source: paper 003, "Image post-processing".
 */
int pn_scan_fit(struct pn_scan_fit *fit, const float *image, size_t ny, size_t nx, double pixel_A,
		const double reciprocal_per_A[2][2], double tolerance, struct pn_error *err);

/**
 * pn_resample - an image as seen in other coordinates, by quintic B-spline interpolation:
 *
 *	dst(r) = src(matrix r + shift)
 *
 * Beyond its borders the image goes on by reflection, for the spline only: what lies outside by
 * more than 1e-6 px is not covered, and is 0. Half way between the pixels a wave of 0.1, 0.2, 0.25,
 * 0.3 cycles per pixel loses 0.0005, 0.05, 0.2, 1.2 % of its amplitude; an atom of 1.3 px sigma is
 * wrong by at most 0.2 % of its height (a cubic spline: 1 %).
 *
 * @dst:     [out] float32 [ny][nx], not @src
 * @covered: [out] uint8 [ny][nx], 1 where r lies in the image; may be NULL
 * @src:     [in]  float32 [ny][nx], sides 2..65536, finite
 *
 * Errors: PN_EARG (shape, numbers not finite), PN_ENOMEM. Thread: reentrant; rows are shared among
 * OpenMP threads, same bytes for any number of them. Cost: 200 flops per pixel.
 * Source: Unser, Aldroubi, Eden, IEEE Trans. Signal Process. 41, 821 (1993).
 */
int pn_resample(float *dst, uint8_t *covered, const float *src, size_t ny, size_t nx,
		const double matrix[2][2], const double shift_px[2], struct pn_error *err);

/** What was found on the way to the mean of frames. */
struct pn_merge_report {
	struct pn_frame_shift shift[PN_REGISTER_FRAMES_MAX];
	double closure_px;
	struct pn_drift drift; /* 0 if not asked for */
	double matrix[2][2];   /* image to specimen, drift and scan */
	/* rms difference of each frame from the mean, where all frames are; unit of the frames */
	double residual[PN_REGISTER_FRAMES_MAX];
	double common_part; /* of the pixels that all frames cover */
};

/**
 * pn_merge_frames - register the frames of one tilt and average them.
 *
 * Shifts, drift and scan are undone in one interpolation of each frame,
 *
 *	mean(r) = sum_k frame_k((scan drift)^-1 r + shift_k) / count(r)
 *
 * over the frames that cover r. Coordinates are those of frame 0 at the middle of its scan.
 *
 * @mean:   [out] float32 [ny][nx]; 0 where no frame is
 * @count:  [out] uint8 [ny][nx], frames that cover the pixel
 * @report: [out] may be NULL
 * @scan:   image to specimen, as of pn_scan_fit; NULL: no distortion
 *
 * The rest and the errors as pn_register_frames; also PN_EARG for a scan matrix without inverse.
 */
int pn_merge_frames(float *mean, uint8_t *count, struct pn_merge_report *report,
		    const float *frames, size_t n_frames, size_t ny, size_t nx,
		    const struct pn_register_params *params, const double scan[2][2],
		    struct pn_error *err);

#endif
