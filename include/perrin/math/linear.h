/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/math/linear.h - small dense linear algebra: eigenvalues, SVD, least squares, 3x3. */
#ifndef PERRIN_MATH_LINEAR_H
#define PERRIN_MATH_LINEAR_H

#include "perrin/base/status.h"

/*
 * Matrices are row-major double, [rows][columns]. All functions are reentrant. The ones over GSL
 * run in one thread and cost O(n^3).
 */

/** pn_matrix3_multiply - @out = @a @b; out may be one of them. */
void pn_matrix3_multiply(double out[3][3], const double a[3][3], const double b[3][3]);

/** pn_matrix3_apply - @out = @a @v; out may be v. */
void pn_matrix3_apply(double out[3], const double a[3][3], const double v[3]);

/** pn_matrix3_transpose - @out = transposed @a; out may be a. */
void pn_matrix3_transpose(double out[3][3], const double a[3][3]);

/** pn_matrix3_determinant - det a. */
double pn_matrix3_determinant(const double a[3][3]);

/**
 * pn_matrix3_invert - @out = inverse of @a; out may be a.
 *
 * Returns 0 and leaves out alone if the matrix is singular: |det| <= 1e-14 times the product of the
 * lengths of its rows.
 */
int pn_matrix3_invert(double out[3][3], const double a[3][3]);

/**
 * pn_symmetric3_eigen - eigenvalues of a symmetric 3x3 matrix in ascending order and the unit
 * eigenvectors, a right-handed set: row i of @vector belongs to value[i].
 *
 * Jacobi rotations: exact to rounding also for equal eigenvalues. Only the upper triangle of @a is
 * read. Cost: about 0.5 us.
 */
void pn_symmetric3_eigen(double value[3], double vector[3][3], const double a[3][3]);

/**
 * pn_polar_rotation - the rotation (det = +1) nearest to @a in the Frobenius norm, R that makes
 * trace(R^T a) largest. With a = sum_i x_i y_i^T it is the rotation that brings the y_i onto the
 * x_i with the least squared error.
 *
 * Returns 0 if it is not unique (rank below 2, or the two smaller singular values cancel): @out is
 * then one of the best.
 * Source: Kabsch, Acta Cryst. A32, 922 (1976), with the determinant corrected.
 */
int pn_polar_rotation(double out[3][3], const double a[3][3]);

/**
 * pn_least_squares - @x that makes |a x - b|^2 least, @rows >= @columns >= 1; by SVD, so that
 * directions @a says nothing about (singular values below 1e-13 of the largest) get 0. Columns are
 * first brought to one size by powers of 2, so that the units of the unknowns do not matter.
 *
 * @x:          [out] [columns]
 * @covariance: [out] [columns][columns] (a^T a)^-1, to be multiplied with the variance of b; may be
 *              NULL
 * @rank:       [out] number of directions that were determined; may be NULL
 *
 * Errors: PN_EARG (a number is not finite, or fewer rows than columns), PN_ENOMEM.
 */
int pn_least_squares(double *x, double *covariance, int *rank, const double *a, const double *b,
		     int rows, int columns, struct pn_error *err);

/**
 * pn_solve_positive - @x with a x = b for a symmetric positive definite @a [n][n] (its upper
 * triangle is read), by Cholesky.
 *
 * Errors: PN_EARG if @a is not positive definite, PN_ENOMEM.
 */
int pn_solve_positive(double *x, const double *a, const double *b, int n, struct pn_error *err);

#endif
