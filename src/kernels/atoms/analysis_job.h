/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What the steps of pn_analyze share. Each step is one function; analysis.c has their order. */
#ifndef PERRIN_ATOMS_ANALYSIS_JOB_H
#define PERRIN_ATOMS_ANALYSIS_JOB_H

#include "perrin/atoms/analysis.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One analysis under way. */
struct job {
	struct pn_analysis *a;
	const struct pn_atoms *atoms;
	struct pn_analysis_options *options; /* those of a */
	const double (*rotation)[3];         /* given, or NULL */
	const struct pn_species *species;    /* given, or NULL */
	int threads;
	struct pn_error *err;
};

static inline double *column(const struct job *job, enum pn_column_id id)
{
	return job->a->column[id].value;
}

static inline void fill_u8(double *to, const uint8_t *from, size_t count)
{
	for (size_t i = 0; i < count; i++)
		to[i] = from[i];
}

/* Mean of what is not NaN, where @select is set (NULL: everywhere); its standard deviation too. */
double pn_analysis_mean(const double *value, const uint8_t *select, size_t count,
			double *deviation);

/* Steps: structure */
int pn_analysis_choose_probe(struct job *job);
int pn_analysis_make_rdf(struct job *job);
int pn_analysis_choose_cutoff(struct job *job);
int pn_analysis_look_around(struct job *job);
int pn_analysis_order_of(struct job *job);
int pn_analysis_lattice_of(struct job *job);
/* surface */
int pn_analysis_make_mesh(struct job *job);
int pn_analysis_depth_of(struct job *job);
int pn_analysis_curvature_of(struct job *job);
int pn_analysis_facets_of(struct job *job);
int pn_analysis_regions_of(struct job *job);
int pn_analysis_shells_of(struct job *job);
/* chemistry */
int pn_analysis_activity_of(struct job *job);
int pn_analysis_chemistry_of(struct job *job);

#endif
