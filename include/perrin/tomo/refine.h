/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/tomo/refine.h - poses of projections made better against re-projections of a volume. */
#ifndef PERRIN_TOMO_REFINE_H
#define PERRIN_TOMO_REFINE_H

#include "perrin/base/param.h"
#include "perrin/base/status.h"
#include "perrin/tomo/pose.h"

#include <stddef.h>
#include <stdint.h>

/**
 * What projections are compared with: any projector of any volume. Everything borrowed.
 *
 * @project writes the projection float32 [ny][nx] under a pose, its shift included, and returns
 * PN_OK or an error that it has set. It is called by several threads at once, each with a context
 * of its own; all contexts have to give the same bytes.
 */
struct pn_refine_model {
	size_t ny, nx;
	int (*project)(void *context, const struct pn_pose *pose, float *image,
		       struct pn_error *err);
	void *const *context; /* [contexts]: as many threads are used */
	size_t contexts;
};

struct pn_refine_params {
	double angle_range_deg; /* grid of the first level, to both sides, each axis; 0: none   */
	double angle_step_deg;
	double angle_max_deg; /* a pose that would turn further stays as it was                  */
	double shift_max_px;  /* likewise                                                        */
	double blur_px;       /* Gaussian on both images at the first level; none at the last    */
	int64_t levels;
	int64_t iterations_max; /* Gauss-Newton steps per level                                 */
	double tolerance_deg;   /* a smaller step ends the last level, 10 times that the others */
};

/** Rows: one for each field above, same names. */
extern const struct pn_param pn_refine_param_table[];

/** What became of one projection. */
struct pn_refined {
	double turned_deg;            /* between the old and the new rotation          */
	double moved_px;              /* between the old and the new shift             */
	double correlation[2];        /* <m, p> / |m| |p|, before and after            */
	double r1[2];                 /* sum |m - s p| / sum |m|, before and after     */
	double scale;                 /* s = <m, p> / <p, p>, after                    */
	double angle_uncertainty_deg; /* standard deviation, rms of the three angles   */
	double shift_uncertainty_px;  /* rms of x and y                                */
	int projections;              /* that were computed                            */
	int converged;                /* the last level ended by its tolerance         */
	int kept;                     /* 1: nothing better within the bounds: old pose */
};

/**
 * pn_refine_round - one pass over all projections, each refined on its own against one volume:
 * three angles, a shift and a scale s that minimise
 *
 *	sum over pixels of (m - s p(exp(w) R, shift))^2
 *
 * which is to maximise the normalised correlation. w turns the specimen about the axes x, y, z of
 * the detector frame.
 *
 * Coarse to fine. Both images are blurred, by blur_px at the first level, evenly less at each, not
 * at all at the last (a single level keeps blur_px). At the first level, all (2 range / step + 1)^3
 * rotations of a grid are projected once each and compared at all whole-pixel shifts within
 * shift_max_px by one Fourier correlation. Then, at each level, Gauss-Newton: derivatives are
 * central differences of projections, a quarter pixel at two thirds of the way to the border of the
 * field, and are kept while each step is less than half of the one before (a step then costs one
 * projection instead of eleven); a step that raises the error is taken back and damped (Marquardt).
 * A shift ends a level where it is as small as the angle's arc at the same place.
 *
 * The uncertainties are those of least squares, from the residual of the last level, with every
 * pixel counted as independent.
 *
 * @result:   [out] [count]
 * @pose:     [out] [count], may be measured->pose; PN_OK only: on an error nothing useful
 * @measured: images and the poses to start from
 * @params:   of the table: grid -2..2 deg by 2, at most 6 deg and 6 px, blur 2 px, 3 levels, 12
 *            steps, 0.002 deg
 *
 * Rotations found against a volume made from wrong poses share a common rotation: see
 * pn_refine_gauge. What is to be done between two rounds, a reconstruction, is the caller's, and it
 * should have converged: an unfinished volume is blurred, and with a missing wedge all angles then
 * close up like a fan, a little in each round, because that changes projections of a volume that
 * follows suit least. 25 tilts with 1.95 deg of random errors (30 atoms, -72..72 deg, no noise) had
 * after 6 rounds 0.43 deg with FISTA of 60 iterations each, 1.2 deg with 20 and 7.4 deg with 8,
 * though R fell all the time; the shifts came right within 0.02 px with 20.
 *
 * Errors: PN_EARG (what pn_projections_check finds; another shape than the model's; parameters; a
 * model that shows nothing under the pose of a projection, whose number is told), PN_ENOMEM,
 * whatever project() returns. Thread: reentrant; one OpenMP thread per context, the same bytes for
 * any number of them. Cost: some 27 + 14 levels projections for each one measured.
 * Source: Angle-Refinement of GENFIRE: Pryor et al., Sci. Rep. 7, 10409 (2017); spatial
 * re-alignment and angular refinement of paper 003 (methods R25); Marquardt, J. SIAM 11, 431
 * (1963).
 */
int pn_refine_round(struct pn_refined *result, struct pn_pose *pose,
		    const struct pn_projections *measured, const struct pn_refine_model *model,
		    const struct pn_refine_params *params, struct pn_error *err);

#define PN_REFINE_ALL ((size_t)-1)

/**
 * pn_refine_gauge - take the common rotation and translation out of refined poses.
 *
 * A volume turned and moved, r = G r' + c, gives the same projections under R_k G and shift_k +
 * (R_k c)_xy. G is chosen such that the projection @pinned keeps the rotation it had in @reference,
 * or, with PN_REFINE_ALL, that all keep theirs as far as can be (least squares: it does not hang on
 * the error of one); c such that the shifts change least. The volume that belongs to the poses is
 * turned along: reconstruct again.
 *
 * @pose: [inout] [count]; @reference: [in] [count], e.g. before the round
 *
 * Errors: PN_EARG (no poses, pinned out of range, rotations that are none), PN_ENOMEM.
 */
int pn_refine_gauge(struct pn_pose *pose, const struct pn_pose *reference, size_t count,
		    size_t pinned, struct pn_error *err);

/** How far two sets of poses are apart. */
struct pn_pose_difference {
	double mean_deg, max_deg; /* angle of the rotation from one to the other */
	double mean_px, max_px;   /* distance of the shifts                       */
};

/** pn_pose_compare - the difference as it stands; after pn_refine_gauge(PN_REFINE_ALL) it is the
 * one that no choice of the volume's frame explains. @count >= 1. */
void pn_pose_compare(struct pn_pose_difference *out, const struct pn_pose *a,
		     const struct pn_pose *b, size_t count);

#endif
