/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/twin/camera.h - camera: intensity to counts, with blur and noise. */
#ifndef PERRIN_TWIN_CAMERA_H
#define PERRIN_TWIN_CAMERA_H

#include "perrin/base/dtype.h"
#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

struct pn_camera_params {
	size_t ny, nx;            /* pixels of a frame                                          */
	double pixel_A;           /* at the specimen                                            */
	double dose_e_per_A2;     /* mean electrons per frame where the intensity is 1          */
	double vibration_A;       /* rms wandering of the image along each axis in the exposure */
	double dqe0;              /* detective quantum efficiency at frequency 0, > 0 .. 1      */
	double mtf_gauss;         /* weight of the Gaussian part of the MTF, 0..1               */
	double mtf_gauss_width;   /* in Nyquist frequencies; 0: MTF = 1                         */
	double mtf_lorentz_width; /* in Nyquist frequencies                                     */
	double noise_blur;        /* NTF = MTF^noise_blur, 0 (counting) .. 1 (integrating)      */
	double gain;              /* counts per electron of the beam                            */
	double readout_e;         /* rms, electrons                                             */
	double offset;            /* counts                                                     */
	double saturation;        /* highest value, counts; 0: what the type holds              */
	int noiseless;            /* 1: give what would be counted on average                   */
	enum pn_dtype dtype;      /* PN_U8, PN_U16 or PN_F32                                    */
};

struct pn_camera;
struct pn_camera_scratch;

/**
 * pn_camera_plan - prepare a camera; caller destroys it.
 *
 * The beam of mean dose x pixel^2 electrons per pixel becomes counts in four steps, f the frequency
 * in units of Nyquist:
 *
 *	blur of the signal	I1 = F^-1[ MTF/NTF V F[I] ], negative values cut off
 *	detection		n  = Poisson(dqe0 dose pixel^2 I1), independent pixels
 *	blur of signal + noise	n1 = F^-1[ NTF F[n] ]
 *	readout			counts = gain (n1 / dqe0 + readout_e N(0,1)) + offset, rounded to
 * the nearest integer for integer types, cut to the range
 *
 *	V(q)   = exp(-2 (pi s q)^2),	s = vibration_A: mechanics, and the magnetic noise of warm
 *		 metal (Uhlemann et al., Phys. Rev. Lett. 111, 046101 (2013))
 *	MTF(f) = w exp(-(f/g)^2) + (1 - w) / (1 + (f/l)^2)
 *
 * So the signal is transferred with MTF, the noise power with NTF^2/dqe0, and the detective quantum
 * efficiency is DQE(f) = dqe0 MTF^2 / NTF^2. The order (blur, Poisson, blur) is that of Vulovic
 * et al., J. Struct. Biol. 183, 19 (2013).
 *
 * Errors: PN_EARG (a number out of range, a type it does not write), PN_ENOMEM.
 */
int pn_camera_plan(struct pn_camera **plan, const struct pn_camera_params *params,
		   struct pn_error *err);
void pn_camera_destroy(struct pn_camera *plan);

/** pn_camera_scratch_create - work space for one thread; caller destroys it. */
int pn_camera_scratch_create(struct pn_camera_scratch **scratch, const struct pn_camera *plan,
			     struct pn_error *err);
void pn_camera_scratch_destroy(struct pn_camera_scratch *scratch);

/**
 * pn_camera_execute - record one frame.
 *
 * @intensity:   [in] float32 [ny][nx], 1 = unscattered beam
 * @seed, @frame: name the random numbers: row y takes stream frame 2^16 + y of the seed
 * @pixels:      [out] dtype [ny][nx], counts
 *
 * The same (seed, frame, intensity) gives the same bytes, whatever the number of threads.
 *
 * Thread: any number of threads with one plan, each with a scratch of its own; large frames are
 * shared among OpenMP threads if it is not called from a parallel region.
 * Cost: about 20 ns per pixel at 2 electrons per pixel, and 2 real FFTs for each blur.
 */
void pn_camera_execute(const struct pn_camera *plan, struct pn_camera_scratch *scratch,
		       const float *intensity, uint64_t seed, uint64_t frame, void *pixels);

/** pn_camera_mtf - the MTF at @f Nyquist frequencies, 1 at f = 0. */
double pn_camera_mtf(const struct pn_camera_params *params, double f);

#endif
