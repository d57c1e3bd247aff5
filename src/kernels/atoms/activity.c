/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/activity.h"

#include <math.h>

#define BOLTZMANN_EV_K 8.617333262e-5 /* CODATA 2018 */

/* ---- generalized coordination numbers ------------------------------------------------------- */

struct pn_gcn_params pn_gcn_default(void)
{
	return (struct pn_gcn_params){ .cn_full = 12, .ligand_element = 28, .ligand_weight = 1.59 };
}

void pn_gcn(double *gcn, const struct pn_neighbors *neighbors, double cn_full, int threads)
{
	const struct pn_neighbors *n = neighbors;

	pn_assert(cn_full > 0);
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < n->atoms; i++) {
		uint64_t sum = 0;

		for (uint32_t at = n->start[i]; at < n->start[i + 1]; at++)
			sum += pn_neighbors_count(n, n->atom[at]);
		gcn[i] = (double)sum / cn_full;
	}
}

void pn_gcn_alloy(double *gcn, const struct pn_neighbors *neighbors, const uint8_t *element,
		  const uint8_t *surface, const double *strain, const struct pn_gcn_params *params,
		  int threads)
{
	const struct pn_neighbors *n = neighbors;
	uint8_t ligand = params->ligand_element;

	pn_assert(params->cn_full > 0 && params->ligand_weight > 0);
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < n->atoms; i++) {
		uint64_t weighted = 0, plain = 0;

		for (uint32_t at = n->start[i]; at < n->start[i + 1]; at++) {
			uint32_t j = n->atom[at];

			if (ligand && element[j] == ligand && !(surface && surface[j]))
				weighted += pn_neighbors_count(n, j);
			else
				plain += pn_neighbors_count(n, j);
		}
		double sum = params->ligand_weight * (double)weighted + (double)plain;
		double stretch = 1 + (strain ? strain[i] : 0);

		gcn[i] = stretch > 0 ? sum / params->cn_full / stretch : NAN;
	}
}

/* ---- volcano -------------------------------------------------------------------------------- */

struct pn_volcano pn_volcano_default(void)
{
	return (struct pn_volcano){ .slope_eV = { 0.192, -0.178 },
				    .intercept_eV = { -0.724, 2.345 },
				    .gcn_reference = 7.5,
				    .temperature_K = 298 };
}

double pn_volcano_peak_gcn(const struct pn_volcano *volcano)
{
	return (volcano->intercept_eV[1] - volcano->intercept_eV[0]) /
	       (volcano->slope_eV[0] - volcano->slope_eV[1]);
}

static double energy_eV(const struct pn_volcano *v, double gcn)
{
	double a = v->slope_eV[0] * gcn + v->intercept_eV[0];
	double b = v->slope_eV[1] * gcn + v->intercept_eV[1];

	return a < b ? a : b; /* NaN stays NaN */
}

double pn_volcano_ln_activity(const struct pn_volcano *volcano, double gcn)
{
	return (energy_eV(volcano, gcn) - energy_eV(volcano, volcano->gcn_reference)) /
	       (BOLTZMANN_EV_K * volcano->temperature_K);
}

static int check(const struct pn_volcano *v, struct pn_error *err)
{
	int finite = isfinite(v->slope_eV[0]) && isfinite(v->slope_eV[1]) &&
		     isfinite(v->intercept_eV[0]) && isfinite(v->intercept_eV[1]) &&
		     isfinite(v->gcn_reference) && isfinite(v->temperature_K);

	if (!finite || !(v->slope_eV[0] > 0) || !(v->slope_eV[1] < 0) || !(v->temperature_K > 0))
		return pn_error_set(err, PN_EARG,
				    "volcano: slopes %g, %g (must be > 0, < 0), intercepts %g, %g "
				    "eV, reference %g, %g K (must be > 0)",
				    v->slope_eV[0], v->slope_eV[1], v->intercept_eV[0],
				    v->intercept_eV[1], v->gcn_reference, v->temperature_K);
	return PN_OK;
}

int pn_activity(double *ln_activity, struct pn_activity_summary *summary, const double *gcn,
		const uint8_t *element, const uint8_t *surface, size_t atoms,
		uint8_t active_element, const struct pn_volcano *volcano, struct pn_error *err)
{
	struct pn_activity_summary s = { 0 };
	int rc = check(volcano, err);

	if (rc)
		return rc;
	for (size_t i = 0; i < atoms; i++) {
		ln_activity[i] = NAN;
		if (!surface[i] || element[i] != active_element)
			continue;
		ln_activity[i] = pn_volcano_ln_activity(volcano, gcn[i]);
		if (isnan(ln_activity[i])) {
			s.nan++;
			continue;
		}
		s.atoms++;
		s.sum += exp(ln_activity[i]);
		s.mean_ln += ln_activity[i];
	}
	s.mean = s.atoms ? s.sum / (double)s.atoms : NAN;
	s.ln_mean = log(s.mean);
	s.mean_ln = s.atoms ? s.mean_ln / (double)s.atoms : NAN;
	if (summary)
		*summary = s;
	return PN_OK;
}
