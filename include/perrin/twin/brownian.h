/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/twin/brownian.h - where a particle is and how it turns in the liquid. */
#ifndef PERRIN_TWIN_BROWNIAN_H
#define PERRIN_TWIN_BROWNIAN_H

#include "perrin/base/param.h"
#include "perrin/base/rng.h"

/**
 * Pose of a particle: lab = R(quaternion) * specimen + center. The rotation is active, the
 * quaternion is (w, x, y, z) of unit norm; z of the lab is along the beam, and the centre is
 * relative to the centre of the field. Plain data; caller owns.
 */
struct pn_placement {
	double quaternion[4];
	double center_A[3];
};

/** How it moves. Zero everywhere: it does not. */
struct pn_brownian_params {
	double rotation_rad2_per_s;  /* D_r: rotation vector of a short step has variance 2 D_r dt
				      * per axis, so <theta^2> = 6 D_r dt                         */
	double translation_A2_per_s; /* D_t: variance 2 D_t dt per axis                           */
	double confine_A;            /* rms of x and of y in the long run; 0 = free               */
	double z_confine_A;          /* the same for z                                            */
};

extern const struct pn_param pn_brownian_param_table[]; /* rows of struct pn_brownian_params */

/** pn_placement_identity - crystal axes along the lab axes, at the centre of the field. */
void pn_placement_identity(struct pn_placement *pose);

/** pn_placement_random - orientation uniform on SO(3), at the centre of the field. */
void pn_placement_random(struct pn_placement *pose, struct pn_rng *rng);

/** pn_placement_rotation - the rotation matrix, row by row: lab[i] = sum_j r[i][j] specimen[j]. */
void pn_placement_rotation(const struct pn_placement *pose, double r[3][3]);

/**
 * pn_brownian_step - move @pose on by @dt_s >= 0 seconds.
 *
 * Rotation: isotropic diffusion on SO(3), the quaternion is multiplied from the left (lab frame) by
 * small rotations. A long step is cut into pieces of 2 D_r dt <= 0.01 rad^2, which keeps the decay
 * of orientation, <R_ij(t) R_ij(0)> = exp(-2 D_r t)/3, to 0.1 %; beyond 2 D_r dt = 40 rad^2 no
 * memory is left and the orientation is drawn anew.
 *
 * Translation: exact for any dt. Free axes: x += N(0, 2 D_t dt). Confined axes: Ornstein-Uhlenbeck
 * of stationary rms s and relaxation rate k = D_t/s^2, x = x exp(-k dt) + N(0, s^2 (1 - exp(-2 k
 * dt))); D_t = 0 leaves the centre where it is.
 *
 * Thread: reentrant; same rng state and arguments give the same bytes.
 * Source: Einstein (1905); Uhlenbeck and Ornstein, Phys. Rev. 36, 823 (1930); Favro, Phys. Rev.
 * 119, 53 (1960) for the rotation.
 */
void pn_brownian_step(struct pn_placement *pose, const struct pn_brownian_params *params,
		      double dt_s, struct pn_rng *rng);

#endif
