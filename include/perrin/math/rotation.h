/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/math/rotation.h - unit quaternions (w, x, y, z) and 3x3 rotation matrices. */
#ifndef PERRIN_MATH_ROTATION_H
#define PERRIN_MATH_ROTATION_H

#include "perrin/base/rng.h"

/*
 * Conventions of the whole program: rotations are active (they move the vector, not the axes),
 * right-handed, angles in rad; a quaternion is double[4] = (w, x, y, z), q and -q are the same
 * rotation. Matrices act on columns: out[i] = sum_j r[i][j] in[j]. All functions are reentrant and
 * allocate nothing; outputs may be the inputs.
 */

/** pn_quaternion_multiply - @out = @a @b: first the rotation b, then a. */
void pn_quaternion_multiply(double out[4], const double a[4], const double b[4]);

/** pn_quaternion_conjugate - the inverse rotation of a unit quaternion. */
void pn_quaternion_conjugate(double out[4], const double q[4]);

/** pn_quaternion_normalize - scale to unit norm; a zero quaternion becomes the identity. */
void pn_quaternion_normalize(double q[4]);

/**
 * pn_quaternion_from_vector - the rotation by |v| rad around v (exponential map); exact to rounding
 * also for tiny angles.
 */
void pn_quaternion_from_vector(double q[4], const double vector_rad[3]);

/** pn_quaternion_to_vector - its inverse (logarithm); the angle is 0..pi. */
void pn_quaternion_to_vector(double vector_rad[3], const double q[4]);

/** pn_quaternion_angle_rad - angle 0..pi of the rotation that takes @a to @b. */
double pn_quaternion_angle_rad(const double a[4], const double b[4]);

/** pn_quaternion_to_matrix - rotation matrix of a unit quaternion. */
void pn_quaternion_to_matrix(double r[3][3], const double q[4]);

/**
 * pn_quaternion_from_matrix - unit quaternion with w >= 0 of a rotation matrix, by the largest of
 * the four components (Shepperd, J. Guidance Control 1, 223 (1978)): stable at any angle.
 */
void pn_quaternion_from_matrix(double q[4], const double r[3][3]);

/** pn_quaternion_random - uniform on SO(3): four normal deviates, normalised. */
void pn_quaternion_random(double q[4], struct pn_rng *rng);

#endif
