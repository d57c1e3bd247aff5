/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/rfactor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

void pn_rfactor(double *r1, double *r2, const float *calculated, const float *measured,
		size_t pixels)
{
	double difference = 0, difference2 = 0, sum = 0, sum2 = 0;

	for (size_t i = 0; i < pixels; i++) {
		double d = (double)calculated[i] - measured[i], m = measured[i];

		difference += fabs(d);
		difference2 += d * d;
		sum += fabs(m);
		sum2 += m * m;
	}
	*r1 = sum > 0 ? difference / sum : NAN;
	*r2 = sum2 > 0 ? sqrt(difference2 / sum2) : NAN;
}

int pn_rfactors_init(struct pn_rfactors *r, size_t records, size_t count, struct pn_error *err)
{
	size_t numbers = records * (2 + 2 * count);

	memset(r, 0, sizeof *r);
	r->count = count;
	if (records == 0)
		return PN_OK;
	r->iteration = malloc(records * sizeof *r->iteration);
	r->r1_mean = malloc(numbers * sizeof *r->r1_mean);
	if (!r->iteration || !r->r1_mean) {
		pn_rfactors_free(r);
		return pn_error_set(err, PN_ENOMEM,
				    "no memory for %zu R factors of %zu projections (%zu bytes)",
				    records, count,
				    records * sizeof *r->iteration + numbers * sizeof *r->r1_mean);
	}
	r->r2_mean = r->r1_mean + records;
	r->r1 = r->r2_mean + records;
	r->r2 = r->r1 + records * count;
	r->room = records;
	return PN_OK;
}

double pn_rfactors_add(struct pn_rfactors *r, int iteration, const double *r1, const double *r2)
{
	size_t at = r->records++;
	double sum1 = 0, sum2 = 0;

	pn_assert(at < r->room);
	for (size_t k = 0; k < r->count; k++) {
		r->r1[at * r->count + k] = r1[k];
		r->r2[at * r->count + k] = r2[k];
		sum1 += r1[k];
		sum2 += r2[k];
	}
	r->iteration[at] = iteration;
	r->r1_mean[at] = sum1 / (double)r->count;
	r->r2_mean[at] = sum2 / (double)r->count;
	return r->r1_mean[at];
}

void pn_rfactors_free(struct pn_rfactors *r)
{
	if (!r)
		return;
	free(r->iteration);
	free(r->r1_mean);
	memset(r, 0, sizeof *r);
}
