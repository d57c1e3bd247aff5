/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/math/linear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>

#define FEW_EQUATIONS 8 /* that need no memory of their own */

/* ---- 3x3 ----------------------------------------------------------------------------------- */

void pn_matrix3_multiply(double out[3][3], const double a[3][3], const double b[3][3])
{
	double p[3][3];

	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			p[i][j] = a[i][0] * b[0][j] + a[i][1] * b[1][j] + a[i][2] * b[2][j];
	memcpy(out, p, sizeof p);
}

void pn_matrix3_apply(double out[3], const double a[3][3], const double v[3])
{
	double p[3];

	for (int i = 0; i < 3; i++)
		p[i] = a[i][0] * v[0] + a[i][1] * v[1] + a[i][2] * v[2];
	memcpy(out, p, sizeof p);
}

void pn_matrix3_transpose(double out[3][3], const double a[3][3])
{
	double p[3][3];

	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			p[i][j] = a[j][i];
	memcpy(out, p, sizeof p);
}

static void cross(double out[3], const double a[3], const double b[3])
{
	out[0] = a[1] * b[2] - a[2] * b[1];
	out[1] = a[2] * b[0] - a[0] * b[2];
	out[2] = a[0] * b[1] - a[1] * b[0];
}

static double dot(const double a[3], const double b[3])
{
	return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

double pn_matrix3_determinant(const double a[3][3])
{
	double c[3];

	cross(c, a[1], a[2]);
	return dot(a[0], c);
}

int pn_matrix3_invert(double out[3][3], const double a[3][3])
{
	double column[3][3], det = pn_matrix3_determinant(a);
	double scale = sqrt(dot(a[0], a[0]) * dot(a[1], a[1]) * dot(a[2], a[2]));

	if (!(fabs(det) > 1e-14 * scale))
		return 0;
	for (int k = 0; k < 3; k++)
		cross(column[k], a[(k + 1) % 3], a[(k + 2) % 3]);
	for (int i = 0; i < 3; i++)
		for (int k = 0; k < 3; k++)
			out[i][k] = column[k][i] / det;
	return 1;
}

/* One Jacobi rotation that zeroes m[p][q] of n x n; the rows of v follow. */
static void jacobi(double *m, double *v, int n, int p, int q)
{
	if (m[p * n + q] == 0)
		return;
	double theta = (m[q * n + q] - m[p * n + p]) / (2 * m[p * n + q]);
	double t = copysign(1, theta) / (fabs(theta) + sqrt(theta * theta + 1));
	double c = 1 / sqrt(t * t + 1), s = t * c;

	for (int k = 0; k < n; k++) {
		double a = m[k * n + p], b = m[k * n + q];

		m[k * n + p] = c * a - s * b;
		m[k * n + q] = s * a + c * b;
	}
	for (int k = 0; k < n; k++) {
		double a = m[p * n + k], b = m[q * n + k];

		m[p * n + k] = c * a - s * b;
		m[q * n + k] = s * a + c * b;
		a = v[p * n + k];
		b = v[q * n + k];
		v[p * n + k] = c * a - s * b;
		v[q * n + k] = s * a + c * b;
	}
	m[p * n + q] = m[q * n + p] = 0;
}

static double off_diagonal(const double *m, int n)
{
	double most = 0;

	for (int p = 0; p < n; p++)
		for (int q = p + 1; q < n; q++)
			most = fmax(most, fabs(m[p * n + q]));
	return most;
}

/*
 * Eigenvalues of a symmetric matrix of up to 4 rows, left on its diagonal, and the eigenvectors as
 * rows of v. Converges quadratically: 4 to 6 sweeps; 30 stop what is not finite.
 */
static void diagonalize(double *m, double *v, int n)
{
	for (int i = 0; i < n * n; i++)
		v[i] = i % (n + 1) == 0;
	for (int sweep = 0; sweep < 30 && off_diagonal(m, n) > 0; sweep++)
		for (int p = 0; p < n; p++)
			for (int q = p + 1; q < n; q++)
				jacobi(m, v, n, p, q);
}

void pn_symmetric3_eigen(double value[3], double vector[3][3], const double a[3][3])
{
	double m[9], v[9], turned[3];
	int order[3] = { 0, 1, 2 };

	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			m[3 * i + j] = i <= j ? a[i][j] : a[j][i];
	diagonalize(m, v, 3);
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2 - i; j++)
			if (m[4 * order[j]] > m[4 * order[j + 1]]) {
				int swap = order[j];

				order[j] = order[j + 1];
				order[j + 1] = swap;
			}
	for (int i = 0; i < 3; i++) {
		value[i] = m[4 * order[i]];
		memcpy(vector[i], v + 3 * order[i], sizeof vector[i]);
	}
	cross(turned, vector[0], vector[1]);
	if (dot(turned, vector[2]) < 0)
		for (int k = 0; k < 3; k++)
			vector[2][k] = -vector[2][k];
}

/*
 * The unit quaternion that makes trace(R^T a) largest is the eigenvector to the largest eigenvalue
 * of a symmetric 4x4 matrix (Horn, J. Opt. Soc. Am. A 4, 629 (1987)): it is a rotation by its
 * making, never a mirror, and no case of rank needs a word of its own.
 */
int pn_polar_rotation(double out[3][3], const double a[3][3])
{
	double n[4][4] = {
		{ a[0][0] + a[1][1] + a[2][2], a[2][1] - a[1][2], a[0][2] - a[2][0],
		  a[1][0] - a[0][1] },
		{ 0, a[0][0] - a[1][1] - a[2][2], a[0][1] + a[1][0], a[0][2] + a[2][0] },
		{ 0, 0, a[1][1] - a[0][0] - a[2][2], a[1][2] + a[2][1] },
		{ 0, 0, 0, a[2][2] - a[0][0] - a[1][1] },
	};
	double v[4][4], least = INFINITY, second = -INFINITY;
	int best = 0;

	for (int i = 0; i < 4; i++)
		for (int j = 0; j < i; j++)
			n[i][j] = n[j][i];
	diagonalize(&n[0][0], &v[0][0], 4);
	for (int i = 0; i < 4; i++) {
		best = n[i][i] > n[best][best] ? i : best;
		least = fmin(least, n[i][i]);
	}
	for (int i = 0; i < 4; i++)
		second = i != best ? fmax(second, n[i][i]) : second;
	double w = v[best][0], x = v[best][1], y = v[best][2], z = v[best][3];
	const double r[3][3] = {
		{ 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y) },
		{ 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x) },
		{ 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y) },
	};

	if (!isfinite(w + x + y + z)) { /* what came in was not */
		memset(out, 0, 9 * sizeof(double));
		out[0][0] = out[1][1] = out[2][2] = 1;
		return 0;
	}
	memcpy(out, r, sizeof r);
	return n[best][best] - second > 1e-12 * (fabs(n[best][best]) + fabs(least));
}

/* ---- over GSL ------------------------------------------------------------------------------ */

static int all_finite(const double *a, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!isfinite(a[i]))
			return 0;
	return 1;
}

/*
 * Bring the columns of @a to entries of at most about 1 and tell the exponents of 2 taken out: what
 * counts as determined then does not depend on the units of the unknowns. Powers of 2 round
 * nothing.
 */
static void scale_columns(double *a, int *exponent, int rows, int columns)
{
	for (int j = 0; j < columns; j++) {
		double most = 0;

		for (int r = 0; r < rows; r++)
			most = fmax(most, fabs(a[(size_t)r * columns + j]));
		frexp(most, &exponent[j]);
		for (int r = 0; r < rows; r++) {
			double *entry = &a[(size_t)r * columns + j];

			*entry = ldexp(*entry, -exponent[j]);
		}
	}
}

/* From the unknowns of the scaled columns to those of the columns as they were given. */
static void scale_back(double *x, double *covariance, const int *exponent, int columns)
{
	for (int i = 0; i < columns; i++) {
		x[i] = ldexp(x[i], -exponent[i]);
		for (int j = 0; covariance && j < columns; j++) {
			double *entry = &covariance[i * columns + j];

			*entry = ldexp(*entry, -exponent[i] - exponent[j]);
		}
	}
}

/*
 * x = v diag(1/s) u^T b and covariance = v diag(1/s^2) v^T over the directions that count, the
 * columns of u and v.
 */
static int from_svd(double *x, double *covariance, const double *u, const double *s,
		    const double *v, const double *b, int rows, int columns)
{
	int rank = 0;

	memset(x, 0, (size_t)columns * sizeof *x);
	if (covariance)
		memset(covariance, 0, (size_t)columns * columns * sizeof *covariance);
	for (int k = 0; k < columns; k++) {
		double along = 0;

		if (!(s[k] > 1e-13 * s[0]))
			continue;
		rank++;
		for (int r = 0; r < rows; r++)
			along += u[(size_t)r * columns + k] * b[r];
		for (int i = 0; i < columns; i++) {
			x[i] += along / s[k] * v[i * columns + k];
			for (int j = 0; covariance && j < columns; j++)
				covariance[i * columns + j] +=
					v[i * columns + k] * v[j * columns + k] / s[k] / s[k];
		}
	}
	return rank;
}

int pn_least_squares(double *x, double *covariance, int *rank, const double *a, const double *b,
		     int rows, int columns, struct pn_error *err)
{
	if (columns < 1 || rows < columns)
		return pn_error_set(err, PN_EARG, "least squares: %d equations for %d unknowns",
				    rows, columns);
	if (!all_finite(a, (size_t)rows * columns) || !all_finite(b, (size_t)rows))
		return pn_error_set(err, PN_EARG, "least squares: a number is not finite");
	size_t count = (size_t)rows * columns, square = (size_t)columns * columns;
	double *work = malloc((count + square + 2 * (size_t)columns) * sizeof *work);
	int *exponent = malloc((size_t)columns * sizeof *exponent);

	if (!work || !exponent) {
		free(work);
		free(exponent);
		return pn_error_set(err, PN_ENOMEM, "no memory for %d equations", rows);
	}
	double *u = work, *v = u + count, *s = v + square, *rest = s + columns;
	gsl_matrix_view um = gsl_matrix_view_array(u, (size_t)rows, (size_t)columns);
	gsl_matrix_view vm = gsl_matrix_view_array(v, (size_t)columns, (size_t)columns);
	gsl_vector_view sv = gsl_vector_view_array(s, (size_t)columns);
	gsl_vector_view wv = gsl_vector_view_array(rest, (size_t)columns);

	memcpy(u, a, count * sizeof *a);
	scale_columns(u, exponent, rows, columns);
	gsl_set_error_handler_off(); /* it would end the program */
	int code = gsl_linalg_SV_decomp(&um.matrix, &vm.matrix, &sv.vector, &wv.vector);

	if (code == GSL_SUCCESS) {
		int found = from_svd(x, covariance, u, s, v, b, rows, columns);

		scale_back(x, covariance, exponent, columns);
		if (rank)
			*rank = found;
	}
	free(work);
	free(exponent);
	if (code != GSL_SUCCESS)
		return pn_error_set(err, PN_EARG, "least squares: SVD of %d x %d gave up: %s", rows,
				    columns, gsl_strerror(code));
	return PN_OK;
}

int pn_solve_positive(double *x, const double *a, const double *b, int n, struct pn_error *err)
{
	double few[FEW_EQUATIONS * FEW_EQUATIONS];
	double *copy = n <= FEW_EQUATIONS ? few : malloc((size_t)n * n * sizeof *copy);

	if (!copy)
		return pn_error_set(err, PN_ENOMEM, "no memory for %d equations", n);
	for (int i = 0; i < n; i++)
		for (int j = 0; j < n; j++)
			copy[i * n + j] = i <= j ? a[i * n + j] : a[j * n + i];
	memmove(x, b, (size_t)n * sizeof *b);
	gsl_matrix_view m = gsl_matrix_view_array(copy, (size_t)n, (size_t)n);
	gsl_vector_view v = gsl_vector_view_array(x, (size_t)n);

	gsl_set_error_handler_off();
	int code =
		all_finite(copy, (size_t)n * n) ? gsl_linalg_cholesky_decomp1(&m.matrix) : GSL_EDOM;

	if (code == GSL_SUCCESS)
		code = gsl_linalg_cholesky_svx(&m.matrix, &v.vector);
	if (copy != few)
		free(copy);
	if (code != GSL_SUCCESS)
		return pn_error_set(err, PN_EARG, "matrix of %d rows is not positive definite", n);
	return PN_OK;
}
