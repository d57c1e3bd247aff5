/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/sro.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FCC_SHELLS 12 /* there is no atom at a sqrt(14/2) */

/* ---- neighbours by species ------------------------------------------------------------------ */

int pn_fcc_shell_range(double *inner_A, double *outer_A, int m, double lattice_A,
		       struct pn_error *err)
{
	if (m < 1 || m > FCC_SHELLS || !(lattice_A > 0) || !isfinite(lattice_A))
		return pn_error_set(err, PN_EARG,
				    "fcc neighbour shell %d (1 .. %d) of lattice constant %g A", m,
				    FCC_SHELLS, lattice_A);
	double before = sqrt((m - 1) / 2.0), at = sqrt(m / 2.0), after = sqrt((m + 1) / 2.0);

	if (inner_A)
		*inner_A = m == 1 ? 0 : lattice_A * (before + at) / 2;
	if (outer_A)
		*outer_A = lattice_A * (at + after) / 2;
	return PN_OK;
}

static int check_species(const uint8_t *element, const struct pn_species *species, size_t atoms,
			 struct pn_error *err)
{
	for (size_t i = 0; i < atoms; i++)
		if (species->index[element[i]] < 0)
			return pn_error_set(err, PN_EARG,
					    "atom %zu: element %d is not among the %zu species",
					    i + 1, element[i], species->count);
	return PN_OK;
}

int pn_shell_counts(uint32_t *counts, const struct pn_neighbors *neighbors, const uint8_t *element,
		    const struct pn_species *species, double inner_A, double outer_A, int threads,
		    struct pn_error *err)
{
	const struct pn_neighbors *n = neighbors;

	if (!(inner_A >= 0) || !(inner_A < outer_A) || !(outer_A <= n->cutoff_A))
		return pn_error_set(err, PN_EARG,
				    "neighbours from %g to %g A in a list that ends at %g A",
				    inner_A, outer_A, n->cutoff_A);
	int rc = check_species(element, species, n->atoms, err);

	if (rc)
		return rc;
	double inner2 = inner_A * inner_A, outer2 = outer_A * outer_A;

#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < n->atoms; i++) {
		uint32_t *row = counts + i * species->count;

		memset(row, 0, species->count * sizeof *row);
		for (uint32_t at = n->start[i]; at < n->start[i + 1]; at++) {
			const double *d = n->bond_A[at];
			double d2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];

			row[species->index[element[n->atom[at]]]] += d2 >= inner2 && d2 < outer2;
		}
	}
	return PN_OK;
}

static uint64_t row_sum(const uint32_t *row, size_t species)
{
	uint64_t sum = 0;

	for (size_t s = 0; s < species; s++)
		sum += row[s];
	return sum;
}

/* ---- order parameters ----------------------------------------------------------------------- */

/* NaN comes out for NaN, and where there is nothing to compare with. */
static double order(double p, double c, int like, enum pn_sro_form form)
{
	double scale = like && form == PN_SRO_GENERAL ? 1 - c : -c;

	return scale != 0 ? (p - c) / scale : NAN;
}

static int allocate(struct pn_sro *sro, struct pn_error *err)
{
	size_t rows = sro->classes * sro->species.count, cells = rows * sro->species.count;

	sro->centers = calloc(rows + 1, sizeof *sro->centers);
	sro->neighbors = calloc(rows + 1, sizeof *sro->neighbors);
	sro->p = calloc(cells + 1, sizeof *sro->p);
	sro->alpha = calloc(cells + 1, sizeof *sro->alpha);
	sro->deviation = calloc(cells + 1, sizeof *sro->deviation);
	if (!sro->centers || !sro->neighbors || !sro->p || !sro->alpha || !sro->deviation)
		return pn_error_set(err, PN_ENOMEM, "no memory for the order of %zu classes",
				    sro->classes);
	return PN_OK;
}

/*
 * p holds sums: of neighbours (exact, they are whole numbers) or of fractions. The first deviation
 * of each row holds the variance of that sum in units of p (1 - p).
 */
static int accumulate(struct pn_sro *sro, const uint32_t *counts, const uint8_t *element,
		      const int32_t *class_of, size_t atoms, enum pn_sro_mean mean,
		      struct pn_error *err)
{
	size_t species = sro->species.count;

	for (size_t i = 0; i < atoms; i++) {
		int32_t c = class_of ? class_of[i] : 0;
		const uint32_t *n = counts + i * species;
		uint64_t sum = row_sum(n, species);

		if (c < 0)
			continue;
		if ((size_t)c >= sro->classes)
			return pn_error_set(err, PN_EARG,
					    "atom %zu is in class %d, there are 0 .. %zu", i + 1, c,
					    sro->classes - 1);
		if (sum == 0)
			continue;
		size_t row = (size_t)c * species + (size_t)sro->species.index[element[i]];
		double weight = mean == PN_SRO_POOLED ? 1 : 1 / (double)sum;

		sro->centers[row]++;
		sro->neighbors[row] += sum;
		sro->deviation[row * species] += weight * weight * (double)sum;
		for (size_t s = 0; s < species; s++)
			sro->p[row * species + s] += weight * n[s];
	}
	return PN_OK;
}

static void finish(struct pn_sro *sro, const double *concentration, size_t concentration_rows,
		   enum pn_sro_mean mean, enum pn_sro_form form)
{
	size_t species = sro->species.count;

	for (size_t row = 0; row < sro->classes * species; row++) {
		size_t c = row / species, i = row % species;
		const double *reference =
			concentration + (concentration_rows == 1 ? 0 : c * species);
		double weight =
			(double)(mean == PN_SRO_POOLED ? sro->neighbors : sro->centers)[row];
		double spread = sqrt(sro->deviation[row * species]) / weight;

		for (size_t j = 0; j < species; j++) {
			double *p = &sro->p[row * species + j];

			*p = weight > 0 ? *p / weight : NAN;
			/* fractions that add up to 1 may pass it by the last bit */
			*p = *p > 1 ? 1 : *p;
			double alpha = order(*p, reference[j], i == j, form);
			double slope = order(1, reference[j], i == j, form) -
				       order(0, reference[j], i == j, form);

			sro->alpha[row * species + j] = alpha;
			sro->deviation[row * species + j] =
				fabs(slope) * sqrt(*p * (1 - *p)) * spread;
		}
	}
}

int pn_sro_by_class(struct pn_sro *sro, const uint32_t *counts, const uint8_t *element,
		    const struct pn_species *species, const int32_t *class_of, size_t atoms,
		    size_t classes, const double *concentration, size_t concentration_rows,
		    enum pn_sro_mean mean, enum pn_sro_form form, struct pn_error *err)
{
	*sro = (struct pn_sro){ .classes = classes, .species = *species };
	if (classes == 0 || (concentration_rows != 1 && concentration_rows != classes))
		return pn_error_set(err, PN_EARG,
				    "order of %zu classes with %zu rows of concentrations", classes,
				    concentration_rows);
	int rc = check_species(element, species, atoms, err);

	if (!rc)
		rc = allocate(sro, err);
	if (!rc)
		rc = accumulate(sro, counts, element, class_of, atoms, mean, err);
	if (!rc)
		finish(sro, concentration, concentration_rows, mean, form);
	else
		pn_sro_free(sro);
	return rc;
}

void pn_sro_free(struct pn_sro *sro)
{
	free(sro->centers);
	free(sro->neighbors);
	free(sro->p);
	free(sro->alpha);
	free(sro->deviation);
	*sro = (struct pn_sro){ 0 };
}

void pn_sro_atoms(double *alpha, const uint32_t *counts, const uint8_t *element,
		  const struct pn_species *species, size_t atoms, const double *concentration,
		  enum pn_sro_form form, int threads)
{
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < atoms; i++) {
		const uint32_t *n = counts + i * species->count;
		double sum = (double)row_sum(n, species->count);
		int own = species->index[element[i]];

		pn_assert(own >= 0);
		for (size_t j = 0; j < species->count; j++)
			alpha[i * species->count + j] =
				order(sum > 0 ? n[j] / sum : NAN, concentration[j],
				      (size_t)own == j, form);
	}
}

int pn_sro_enrichment(double *value, const uint32_t *counts, const uint8_t *element,
		      const struct pn_species *species, size_t atoms, uint8_t enriched,
		      double concentration, int threads, struct pn_error *err)
{
	int column = species->index[enriched];

	if (column < 0)
		return pn_error_set(err, PN_EARG, "element %d is not among the %zu species",
				    enriched, species->count);
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < atoms; i++) {
		const uint32_t *n = counts + i * species->count;
		double sum = (double)row_sum(n, species->count);
		double p = sum > 0 ? n[column] / sum : NAN;

		value[i] = element[i] == enriched ? order(p, concentration, 1, PN_SRO_GENERAL)
						  : -order(p, concentration, 0, PN_SRO_GENERAL);
	}
	return PN_OK;
}

/* ---- local concentration -------------------------------------------------------------------- */

static uint32_t number_of(const uint32_t *row, const struct pn_species *species, uint8_t of)
{
	return species->index[of] < 0 ? 0 : row[species->index[of]];
}

void pn_local_concentration(double *value, const uint32_t *counts, const struct pn_species *species,
			    size_t atoms, uint8_t of)
{
	for (size_t i = 0; i < atoms; i++) {
		const uint32_t *row = counts + i * species->count;
		uint64_t sum = row_sum(row, species->count);

		value[i] = sum ? (double)number_of(row, species, of) / (double)sum : NAN;
	}
}

size_t pn_heterogeneous_centers(uint8_t *mask, size_t *per_center, const uint32_t *counts,
				const uint8_t *element, const struct pn_species *species,
				size_t atoms, const uint8_t *select)
{
	size_t total = 0;

	for (size_t s = 0; per_center && s < species->count; s++)
		per_center[s] = 0;
	for (size_t i = 0; i < atoms; i++) {
		size_t kinds = 0;

		for (size_t s = 0; s < species->count; s++)
			kinds += counts[i * species->count + s] > 0;
		mask[i] = kinds > 1 && (!select || select[i]);
		total += mask[i];
		if (per_center && mask[i]) {
			pn_assert(species->index[element[i]] >= 0);
			per_center[species->index[element[i]]]++;
		}
	}
	return total;
}

size_t pn_discrete_centers(uint8_t *mask, const uint32_t *counts, const uint8_t *element,
			   const struct pn_species *species, size_t atoms, uint8_t of,
			   uint32_t neighbors, uint32_t like)
{
	size_t total = 0;

	for (size_t i = 0; i < atoms; i++) {
		const uint32_t *row = counts + i * species->count;

		mask[i] = element[i] == of && row_sum(row, species->count) == neighbors &&
			  number_of(row, species, of) <= like;
		total += mask[i];
	}
	return total;
}

size_t pn_concentration_histogram(uint64_t *histogram, size_t bins, const uint32_t *counts,
				  const uint8_t *element, const struct pn_species *species,
				  size_t atoms, uint8_t of, uint8_t around, uint32_t neighbors,
				  const uint8_t *select)
{
	size_t total = 0;

	pn_assert(bins > 0 && (neighbors == 0 || bins == (size_t)neighbors + 1));
	for (size_t b = 0; b < bins; b++)
		histogram[b] = 0;
	for (size_t i = 0; i < atoms; i++) {
		const uint32_t *row = counts + i * species->count;
		uint64_t sum = row_sum(row, species->count), n = number_of(row, species, of);

		if (sum == 0 || (neighbors && sum != neighbors) || (select && !select[i]) ||
		    (around && element[i] != around))
			continue;
		size_t bin = neighbors ? (size_t)n : (size_t)(n * bins / sum);

		histogram[bin < bins ? bin : bins - 1]++;
		total++;
	}
	return total;
}
