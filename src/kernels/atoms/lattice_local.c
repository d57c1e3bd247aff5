/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lattice_parts.h"

#include "perrin/math/linear.h"

enum { NEIGHBORS_MIN = 3 };

/* Sums over an atom and its neighbours on the lattice; positions are taken from the atom. */
static void sum_local(struct pn_lattice_moments *m, const struct pn_neighbors *neighbors,
		      const struct pn_lattice *lattice, size_t i)
{
	*m = (struct pn_lattice_moments){ .count = 1 };
	for (uint32_t b = neighbors->start[i]; b < neighbors->start[i + 1]; b++) {
		uint32_t j = neighbors->atom[b];
		double s[3];

		if (!pn_lattice_is_on(lattice, j))
			continue;
		m->count++;
		for (int k = 0; k < 3; k++) {
			s[k] = 0.5 * (lattice->site[j][k] - lattice->site[i][k]);
			m->mean_x[k] += neighbors->bond_A[b][k];
			m->mean_s[k] += s[k];
		}
		for (int r = 0; r < 3; r++)
			for (int c = 0; c < 3; c++) {
				m->xs[r][c] += neighbors->bond_A[b][r] * s[c];
				m->ss[r][c] += s[r] * s[c];
			}
	}
	for (int k = 0; k < 3; k++) {
		m->mean_x[k] /= (double)m->count;
		m->mean_s[k] /= (double)m->count;
	}
	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++) {
			m->xs[r][c] -= (double)m->count * m->mean_x[r] * m->mean_s[c];
			m->ss[r][c] -= (double)m->count * m->mean_s[r] * m->mean_s[c];
		}
}

/* How many directions the sites span: 0..3. */
static int span_of(const struct pn_lattice_moments *m)
{
	double value[3], vector[3][3];
	int span = 0;

	pn_symmetric3_eigen(value, vector, m->ss);
	for (int k = 0; k < 3; k++)
		span += value[k] > 1e-3;
	return span;
}

/* out = inverse transposed of x; its determinant. */
static double inverse_transposed(double out[3][3], const double x[3][3])
{
	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++)
			out[r][c] = x[(r + 1) % 3][(c + 1) % 3] * x[(r + 2) % 3][(c + 2) % 3] -
				    x[(r + 1) % 3][(c + 2) % 3] * x[(r + 2) % 3][(c + 1) % 3];
	double det = x[0][0] * out[0][0] + x[0][1] * out[0][1] + x[0][2] * out[0][2];

	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++)
			out[r][c] /= det;
	return det;
}

static double squared(const double x[3][3])
{
	double sum = 0;

	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++)
			sum += x[r][c] * x[r][c];
	return sum;
}

/*
 * The rotation next to a matrix of positive determinant, by Newton's iteration for the polar
 * factor (Higham, SIAM J. Sci. Stat. Comput. 7, 1160 (1986)): fifty times as fast as by
 * eigenvectors. Returns 0 where it is not safe.
 */
static int quick_rotation(double rotation[3][3], const double a[3][3])
{
	double other[3][3];

	memcpy(rotation, a, 9 * sizeof(double));
	for (int round = 0; round < 30; round++) {
		double size2 = squared((const double(*)[3])rotation), change = 0;
		double det = inverse_transposed(other, (const double(*)[3])rotation);

		if (!(det > 1e-6 * size2 * sqrt(size2)))
			return 0;
		double scale = sqrt(sqrt(squared((const double(*)[3])other) / size2));

		for (int r = 0; r < 3; r++)
			for (int c = 0; c < 3; c++) {
				double next = 0.5 * (scale * rotation[r][c] + other[r][c] / scale);

				change = fmax(change, fabs(next - rotation[r][c]));
				rotation[r][c] = next;
			}
		if (change < 1e-14)
			return 1;
	}
	return 0;
}

/* Constant of the least squared error: trace(R^T xs) / trace(ss). */
static double constant_of(const struct pn_lattice_moments *m)
{
	double rotation[3][3], sum = 0;

	if (!quick_rotation(rotation, m->xs) && !pn_polar_rotation(rotation, m->xs))
		return NAN;
	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++)
			sum += rotation[r][c] * m->xs[r][c];
	return sum / (m->ss[0][0] + m->ss[1][1] + m->ss[2][2]);
}

/* sqrt(F^T F) - 1 and det F - 1 of F = cell / reference. */
static void stretch_of(double tensor[3][3], double *volume_strain, const double cell_A[3][3],
		       double reference_A)
{
	double square[3][3] = { 0 }, value[3], vector[3][3];

	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++)
			for (int k = 0; k < 3; k++)
				square[r][c] +=
					cell_A[k][r] * cell_A[k][c] / (reference_A * reference_A);
	pn_symmetric3_eigen(value, vector, (const double(*)[3])square);
	*volume_strain =
		pn_matrix3_determinant(cell_A) / (reference_A * reference_A * reference_A) - 1;
	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++) {
			tensor[r][c] = r == c ? -1 : 0;
			for (int k = 0; k < 3; k++)
				tensor[r][c] +=
					sqrt(fmax(value[k], 0)) * vector[k][r] * vector[k][c];
		}
}

/* @tensor may be NULL: only the constant is wanted then. */
static void fit_atom(double *a_A, double (*tensor)[3], double *volume_strain,
		     const struct pn_neighbors *neighbors, const struct pn_lattice *lattice,
		     double reference_A, size_t i)
{
	struct pn_lattice_moments m;
	double inverse[3][3];
	int span = 0;

	*a_A = *volume_strain = NAN;
	for (int k = 0; k < 9 && tensor; k++)
		tensor[k / 3][k % 3] = NAN;
	if (!pn_lattice_is_on(lattice, i))
		return;
	sum_local(&m, neighbors, lattice, i);
	if (m.count >= NEIGHBORS_MIN + 1)
		span = span_of(&m);
	if (span >= 2)
		*a_A = constant_of(&m);
	if (span < 3 || !tensor || !pn_matrix3_invert(inverse, m.ss))
		return;
	pn_matrix3_multiply(inverse, m.xs, (const double(*)[3])inverse);
	stretch_of(tensor, volume_strain, (const double(*)[3])inverse, reference_A);
}

int pn_lattice_local(double *a_local_A, double *strain, double (*tensor)[3][3],
		     double *volume_strain, const struct pn_neighbors *neighbors,
		     const struct pn_lattice *lattice, double reference_A, int threads,
		     struct pn_error *err)
{
	if (!(reference_A > 0) || !isfinite(reference_A))
		return pn_error_set(err, PN_EARG,
				    "lattice: reference constant %g A: must be positive",
				    reference_A);
	if (neighbors->atoms != lattice->atoms)
		return pn_error_set(err, PN_EARG,
				    "lattice: neighbours of %zu atoms, lattice of %zu",
				    neighbors->atoms, lattice->atoms);
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < lattice->atoms; i++) {
		double a_A, volume, full[3][3];

		fit_atom(&a_A, tensor || volume_strain ? full : NULL, &volume, neighbors, lattice,
			 reference_A, i);
		if (a_local_A)
			a_local_A[i] = a_A;
		if (strain)
			strain[i] = a_A / reference_A - 1;
		if (tensor)
			memcpy(tensor[i], full, sizeof full);
		if (volume_strain)
			volume_strain[i] = volume;
	}
	return PN_OK;
}

void pn_lattice_radial(double *radial_strain, double *radius_A, const struct pn_atoms *atoms,
		       const struct pn_lattice *lattice, const double (*tensor)[3][3])
{
	double center[3] = { 0 };

	for (size_t i = 0; i < atoms->count; i++)
		for (int k = 0; k < 3 && pn_lattice_is_on(lattice, i); k++)
			center[k] += atoms->position_A[i][k] / (double)lattice->on_lattice;
	for (size_t i = 0; i < atoms->count; i++) {
		double along[3] = { 0 }, offset[3], r2 = 0, sum = 0;

		for (int k = 0; k < 3; k++) {
			offset[k] = atoms->position_A[i][k] - center[k];
			r2 += offset[k] * offset[k];
		}
		if (radius_A)
			radius_A[i] = lattice->on_lattice ? sqrt(r2) : NAN;
		radial_strain[i] = NAN;
		if (!pn_lattice_is_on(lattice, i) || !(r2 > 1e-12))
			continue;
		/* the direction in crystal axes */
		for (int c = 0; c < 3; c++)
			for (int k = 0; k < 3; k++)
				along[c] += lattice->rotation[k][c] * offset[k] / sqrt(r2);
		for (int r = 0; r < 3; r++)
			for (int c = 0; c < 3; c++)
				sum += along[r] * tensor[i][r][c] * along[c];
		radial_strain[i] = sum;
	}
}

size_t pn_lattice_profile(struct pn_lattice_bin *bin, size_t bins, double width_A,
			  const double *distance_A, const double *value, size_t atoms)
{
	size_t counted = 0;

	for (size_t b = 0; b < bins; b++)
		bin[b] = (struct pn_lattice_bin){ (double)b * width_A, (double)(b + 1) * width_A, 0,
						  0, 0 };
	/* running mean and sum of squares about it (Welford, Technometrics 4, 419 (1962)) */
	for (size_t i = 0; i < atoms; i++) {
		double at = distance_A[i] / width_A;

		if (isnan(value[i]) || !(at >= 0 && at < (double)bins))
			continue;
		struct pn_lattice_bin *b = &bin[(size_t)at];
		double off = value[i] - b->mean;

		b->count++;
		b->mean += off / (double)b->count;
		b->sd += off * (value[i] - b->mean);
		counted++;
	}
	for (size_t b = 0; b < bins; b++) {
		bin[b].sd = bin[b].count > 1 ? sqrt(bin[b].sd / (double)(bin[b].count - 1)) : NAN;
		if (!bin[b].count)
			bin[b].mean = NAN;
	}
	return counted;
}
