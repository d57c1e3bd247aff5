/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/align.h - a tilt series brought to its tilt axis, before anything is reconstructed.
 */
#ifndef PERRIN_TOMO_ALIGN_H
#define PERRIN_TOMO_ALIGN_H

#include "perrin/base/param.h"
#include "perrin/base/status.h"
#include "perrin/tomo/pose.h"

#include <stddef.h>

/*
 * Model of a measured series, in the geometry of perrin/tomo/pose.h: with q = (x, y) where the
 * voxel r would be seen under pn_pose_tilt(angle), it is seen at
 *
 *	p = Rz(axis) q + shift,   Rz(a) = (cos a, -sin a; sin a, cos a)
 *
 * Along the axis (-sin a, cos a) every tilt has the same profile; across it, at (cos a, sin a), the
 * center of mass moves as X cos(angle) - Z sin(angle) about the axis.
 */

/** Images as measured, background 0. Everything borrowed. */
struct pn_tilt_series {
	size_t count, ny, nx;
	const float *image;      /* [count][ny][nx] */
	const double *angle_deg; /* [count]         */
};

/** Where the shift across the axis comes from. */
enum pn_tilt_across {
	PN_ACROSS_CENTER, /* each tilt's center of mass is put on the axis: any stage */
	PN_ACROSS_FIXED,  /* one shift for all, from the sinusoid: a stage that stays */
	PN_ACROSS_NONE,   /* none: the specimen fills the field, it has no center  */
};

struct pn_tilt_align_params {
	int across;             /* enum pn_tilt_across                                       */
	double axis_range_deg;  /* the axis is looked for so far to both sides; 0: it is y    */
	double shift_max_px;    /* along the axis; 0: a quarter of the rows                   */
	double cutoff;          /* band of the profiles, as part of Nyquist's                 */
	double border_mass_max; /* part of a tilt's mass that may lie on the border pixels    */
};

/** Rows: across, axis_range_deg, shift_max_px, cutoff, border_mass_max. */
extern const struct pn_param pn_tilt_align_param_table[];

/** What was found of one tilt. */
struct pn_tilt_shift {
	double shift_px[2];        /* x, y: of the model above                                  */
	double mass;               /* sum of the image                                          */
	double center_px[2];       /* center of mass, from the origin of the image              */
	double across_residual_px; /* center of mass less the sinusoid of the whole series      */
	double correlation;        /* of its profile with the mean of the others', 0..1         */
};

/** x_com = X cos(angle) - Z sin(angle) + offset, fitted over a series. */
struct pn_axis_fit {
	double x_px, z_px;            /* center of mass of the specimen, at angle 0            */
	double offset_px;             /* of the axis from the origin of the image              */
	double offset_uncertainty_px; /* standard deviation of it                              */
	double rms_px;                /* of the residuals that count, weighted                 */
	size_t outliers;              /* tilts that got no weight                              */
};

/** What was found of the series. */
struct pn_tilt_alignment {
	double axis_deg;    /* in-plane angle of the tilt axis from y                         */
	double unlike;      /* energy of the profiles that is not common to all, there, as part of
			       all their energy with the axis along y                    */
	double unlike_at_y; /* likewise with the axis along y                                 */
	int axis_at_end;    /* 1: at the end of the range that was searched: not to be believed */
	struct pn_axis_fit fit;
};

/**
 * pn_tilt_axis_fit - the sinusoid of a center of mass, robustly.
 *
 *	x_px(j) = X cos(angle_j) - Z sin(angle_j) + offset
 *
 * by least squares with Tukey's biweight (c = 4.685 times 1.4826 the median residual), so that a
 * few bad tilts do not count.
 *
 * @x_px, @angle_deg: [in] double [count]
 * @residual_px:      [out] double [count], or NULL
 *
 * Errors: PN_EARG (fewer than 3 tilts, a number that is not finite, angles that leave the offset
 * open: three directions are needed), PN_ENOMEM. Thread: reentrant. Cost: nothing to speak of.
 * Ref: Helgason, Ludwig: the first moment of a Radon transform is a sinusoid; Sanders et al., Adv.
 * Struct. Chem. Imaging 1, 1 (2015); Beaton, Tukey, Technometrics 16, 147 (1974).
 */
int pn_tilt_axis_fit(struct pn_axis_fit *fit, double *residual_px, const double *x_px,
		     const double *angle_deg, size_t count, struct pn_error *err);

/**
 * pn_tilt_align - shifts of every tilt and the direction of the axis.
 *
 * Along the axis, by the common line: the profile of a tilt is its sum across the axis, the same
 * for all tilts but for a shift. From the middle tilt (the one in the middle of the angles) outward
 * each profile is shifted onto the mean of those before it; then, in rounds, each onto the mean of
 * all others, until none moves by 1e-3 px. The shift is where the correlation Re sum_k conj(R_k)
 * P_k exp(2 pi i k s / M) is largest: on whole pixels within shift_max_px, then by zooming in, each
 * time to the two neighbors of the best of nine points (8 times, down to 1e-5 px). The band is
 * 1..cutoff of Nyquist; profiles are scaled to one mass, so a beam that fades does not matter.
 * Where the series as a whole stands along the axis cannot be known: with PN_ACROSS_CENTER the mean
 * center of mass is put on the origin, else the mean of the shifts is 0.
 *
 * The axis: the same for each direction of it, minimising the energy of the profiles that is not
 * common to all, each with the scale that suits it best. A turn by a small angle is a shear, and a
 * shear of the columns is a phase ramp over their one-dimensional spectra: exact, one complex
 * product per column, frequency and angle. Scanned in steps that move the ends of the field by a
 * pixel, then by golden section to 1e-3 deg.
 *
 * Across the axis, by the center of mass: see enum pn_tilt_across. The sinusoid is fitted in any
 * case, as far as the angles determine it (offset_uncertainty_px NaN otherwise).
 *
 * @out:    [out] the series
 * @tilt:   [out] [count]
 * @params: of the table: center, +-5 deg, a quarter of the rows, 0.5, 0.002
 *
 * Errors: PN_EARG with the number of the tilt (from 0): fewer than 3 tilts, images smaller than
 * 8 x 8, an angle or pixel that is not finite, a tilt that is empty or whose sum is not above 0, a
 * particle that leaves the field; PN_ENOMEM.
 * Thread: reentrant; OpenMP inside, the same bytes for any number of threads.
 * Cost: count ny nx cutoff multiplications of complex numbers for each of about 2 axis_range_deg /
 * (115 deg / nx) + 20 directions; 8 cutoff bytes of memory per pixel of the series.
 * Ref: Scott et al., Nature 483, 444 (2012), Supplement (center of mass, common line); paper 003
 * (methods R24).
 */
int pn_tilt_align(struct pn_tilt_alignment *out, struct pn_tilt_shift *tilt,
		  const struct pn_tilt_series *series, const struct pn_tilt_align_params *params,
		  struct pn_error *err);

/** pn_tilt_pose - the pose of a tilt as measured: Rz(axis) after pn_pose_tilt, and the shift. */
void pn_tilt_pose(struct pn_pose *pose, double angle_deg, double axis_deg,
		  const double shift_px[2]);

/**
 * pn_tilt_resample - resample an image so that the axis is y and the shift none:
 *
 *	out(q) = image(Rz(axis) q + shift)
 *
 * by three shears (x, y, x), each a phase ramp over the spectra of lines padded to twice their
 * length with zeros: band-limited, no smoothing, and undone by the inverse.
 *
 * @out:   [out] float32 [ny][nx], may be @image
 * @image: [in]  float32 [ny][nx], background 0
 * @axis_deg: -45..45; @shift_px: x, y, at most half of nx, ny
 *
 * Errors: PN_EARG (ranges, a pixel that is not finite), PN_ENOMEM. Thread: reentrant.
 * Cost: about 5 real transforms of ny nx pixels.
 * Ref: Unser, Thevenaz, Yaroslavsky, IEEE Trans. Image Process. 4, 1371 (1995).
 */
int pn_tilt_resample(float *out, const float *image, size_t ny, size_t nx, double axis_deg,
		     const double shift_px[2], struct pn_error *err);

/** What two images half a turn apart say. */
struct pn_tilt_mirror {
	double axis_deg;    /* in-plane angle of the tilt axis from y                       */
	double across_px;   /* the axis is so far from the origin, across it: mean of both  */
	double along_px;    /* the second image less the first, along the axis              */
	double correlation; /* of the one with the mirrored other, 0..1                     */
	int axis_at_end;    /* 1: at the end of the range: not to be believed               */
};

/**
 * pn_tilt_mirror - the axis from two images 180 degrees apart, which are each other's mirror images
 * about it.
 *
 * This holds for any specimen, also one that leaves the field along the axis, where a common line
 * and a center of mass do not. Both images are turned (pn_tilt_resample) by the same trial angle,
 * one is mirrored, and the top of their correlation, over |a| |b|, is made largest over the angle:
 * a scan in steps of half a degree, then golden section to 0.01 deg. The top is found between the
 * pixels, by Newton's method on the product of the spectra.
 *
 * @first, @second: [in] float32 [ny][nx], background 0
 * @range_deg:      0..45, to both sides of y
 *
 * Errors: PN_EARG (shape below 8 x 8, range, a pixel that is not finite, an image that is empty),
 * PN_ENOMEM. Thread: reentrant. Cost: about 4 range_deg + 20 times two resamplings and three
 * transforms of 2 ny 2 nx.
 */
int pn_tilt_mirror(struct pn_tilt_mirror *out, const float *first, const float *second, size_t ny,
		   size_t nx, double range_deg, struct pn_error *err);

#endif
