/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/math/linear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <lapacke.h>

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

/* One Jacobi rotation that zeroes m[p][q]; the rows of v follow. */
static void jacobi(double m[3][3], double v[3][3], int p, int q)
{
	if (m[p][q] == 0)
		return;
	double theta = (m[q][q] - m[p][p]) / (2 * m[p][q]);
	double t = copysign(1, theta) / (fabs(theta) + sqrt(theta * theta + 1));
	double c = 1 / sqrt(t * t + 1), s = t * c;

	for (int k = 0; k < 3; k++) {
		double a = m[k][p], b = m[k][q];

		m[k][p] = c * a - s * b;
		m[k][q] = s * a + c * b;
	}
	for (int k = 0; k < 3; k++) {
		double a = m[p][k], b = m[q][k];

		m[p][k] = c * a - s * b;
		m[q][k] = s * a + c * b;
		a = v[p][k];
		b = v[q][k];
		v[p][k] = c * a - s * b;
		v[q][k] = s * a + c * b;
	}
	m[p][q] = m[q][p] = 0;
}

void pn_symmetric3_eigen(double value[3], double vector[3][3], const double a[3][3])
{
	double m[3][3], v[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } }, turned[3];
	int order[3] = { 0, 1, 2 };

	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++)
			m[i][j] = i <= j ? a[i][j] : a[j][i];
	/* converges quadratically: 4 or 5 sweeps; 30 stop what is not finite */
	for (int sweep = 0; sweep < 30; sweep++) {
		if (m[0][1] == 0 && m[0][2] == 0 && m[1][2] == 0)
			break;
		jacobi(m, v, 0, 1);
		jacobi(m, v, 0, 2);
		jacobi(m, v, 1, 2);
	}
	for (int i = 0; i < 2; i++)
		for (int j = 0; j < 2 - i; j++)
			if (m[order[j]][order[j]] > m[order[j + 1]][order[j + 1]]) {
				int swap = order[j];

				order[j] = order[j + 1];
				order[j + 1] = swap;
			}
	for (int i = 0; i < 3; i++) {
		value[i] = m[order[i]][order[i]];
		memcpy(vector[i], v[order[i]], sizeof vector[i]);
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
	double value[4] = { 0 };
	int info = LAPACKE_dsyev(LAPACK_ROW_MAJOR, 'V', 'U', 4, &n[0][0], 4, value);

	if (info != 0) { /* only numbers that are not finite */
		memset(out, 0, 9 * sizeof(double));
		out[0][0] = out[1][1] = out[2][2] = 1;
		return 0;
	}
	double w = n[0][3], x = n[1][3], y = n[2][3], z = n[3][3];
	const double r[3][3] = {
		{ 1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y) },
		{ 2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x) },
		{ 2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y) },
	};

	memcpy(out, r, sizeof r);
	return value[3] - value[2] > 1e-12 * (fabs(value[3]) + fabs(value[0]));
}

/* ---- over LAPACK --------------------------------------------------------------------------- */

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

/* x = v diag(1/s) u^T b and covariance = v diag(1/s^2) v^T over the directions that count. */
static int from_svd(double *x, double *covariance, const double *u, const double *s,
		    const double *vt, const double *b, int rows, int columns)
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
			x[i] += along / s[k] * vt[k * columns + i];
			for (int j = 0; covariance && j < columns; j++)
				covariance[i * columns + j] +=
					vt[k * columns + i] * vt[k * columns + j] / s[k] / s[k];
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
	double *work = malloc((2 * count + square + 2 * (size_t)columns) * sizeof *work);
	int *exponent = malloc((size_t)columns * sizeof *exponent);

	if (!work || !exponent) {
		free(work);
		free(exponent);
		return pn_error_set(err, PN_ENOMEM, "no memory for %d equations", rows);
	}
	double *copy = work, *u = copy + count, *vt = u + count, *s = vt + square;
	double *rest = s + columns;

	memcpy(copy, a, count * sizeof *a);
	scale_columns(copy, exponent, rows, columns);
	int info = LAPACKE_dgesvd(LAPACK_ROW_MAJOR, 'S', 'S', rows, columns, copy, columns, s, u,
				  columns, vt, columns, rest);

	if (info == 0) {
		int found = from_svd(x, covariance, u, s, vt, b, rows, columns);

		scale_back(x, covariance, exponent, columns);
		if (rank)
			*rank = found;
	}
	free(work);
	free(exponent);
	if (info != 0)
		return pn_error_set(err, info > 0 ? PN_EARG : PN_ENOMEM,
				    "least squares: SVD of %d x %d gave up (%d)", rows, columns,
				    info);
	return PN_OK;
}

int pn_solve_positive(double *x, const double *a, const double *b, int n, struct pn_error *err)
{
	double *copy = malloc((size_t)n * n * sizeof *copy);

	if (!copy)
		return pn_error_set(err, PN_ENOMEM, "no memory for %d equations", n);
	memcpy(copy, a, (size_t)n * n * sizeof *a);
	memmove(x, b, (size_t)n * sizeof *b);
	int info = LAPACKE_dposv(LAPACK_ROW_MAJOR, 'U', n, 1, copy, n, x, 1);

	free(copy);
	if (info > 0)
		return pn_error_set(err, PN_EARG, "matrix of %d rows is not positive definite", n);
	if (info < 0)
		return pn_error_set(err, PN_EARG, "%d equations: a number is not finite", n);
	return PN_OK;
}
