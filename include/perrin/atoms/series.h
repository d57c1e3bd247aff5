/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/series.h - one particle at several times: the comparison of its atoms, "4D". */
#ifndef PERRIN_ATOMS_SERIES_H
#define PERRIN_ATOMS_SERIES_H

#include "perrin/atoms/align.h"
#include "perrin/atoms/analysis.h"
#include "perrin/atoms/diffusion.h"
#include "perrin/atoms/disorder.h"
#include "perrin/atoms/pair.h"

/** Settings; start from pn_series_defaults. */
struct pn_series_options {
	/* of every model. A radius of 0 is taken from the first model and holds for all, so that
	 * what changes are the atoms and not the limits; so do its crystal axes */
	struct pn_analysis_options analysis;
	double tolerance_A; /* of pairs; 0 = half the cut-off */
	double moved_A;     /* an atom left over may have moved as far; 0 = the first peak */
	enum pn_pair_method method; /* how conflicts are settled */
	enum pn_align_mode align;   /* PN_ALIGN_KEEP: the models lie on each other already */
	double interface_A;         /* layers less deep than this tell the diffusion: 6 (001) */
	size_t diffusion_from;      /* first model of the diffusion: 001 leaves reshaping out */
};

/** pn_series_defaults - all from the models; search the alignment; 6 A; from the first model. */
void pn_series_defaults(struct pn_series_options *options);

/** From one model to the next. */
struct pn_series_step {
	struct pn_alignment alignment; /* of the later model, onto the earlier as it lies */
	struct pn_pairing pairing;
	/* of each fate, in the model the atoms are in (pairs: in the earlier) */
	struct pn_class_stat cn[PN_FATES], depth_A[PN_FATES];
	double elapsed_s; /* NaN = times are not known */
};

/** How one species spreads. */
struct pn_series_diffusion {
	int has_fick, has_erfc; /* 0 = could not be fitted, `why` says */
	struct pn_diffusion fick, erfc;
	size_t first_shell, last_shell; /* of the window, counted from 1 */
	double spacing_A;               /* mean distance of shells */
	char why[160];
};

/** Made by pn_series_build, freed by pn_series_free; every array belongs to it. */
struct pn_series {
	size_t models;
	double *time_s; /* [models] as given */
	int has_times;  /* all known and ascending */
	struct pn_species species;
	double (**position_A)[3];     /* [models][atoms] on the frame of the first model */
	struct pn_atoms *atoms;       /* [models] views: these positions, the caller's elements */
	struct pn_analysis *analysis; /* [models] */
	struct pn_series_step *step;  /* [models - 1] */
	int has_etch, has_disorder;   /* at least 2 models with times, 3 models */
	struct pn_line etch;          /* atoms against time: etch rate = -b atoms/s */
	struct pn_disorder disorder;  /* disordered fraction against the hull diameter */
	char disorder_why[160];       /* why there is no curve */
	struct pn_series_diffusion *diffusion; /* [species]; all without, if there is one species */
	double tolerance_A, moved_A;           /* that were used */
};

/**
 * pn_series_build - analyse every model, lay each on the one before, pair their atoms, and say how
 * the particle changed.
 *
 * @series:  [out] freed with pn_series_free, also after an error
 * @models:  [count] at least 1; their elements are borrowed and must outlive the series
 * @time_s:  [count] NaN = not known. Etch rate and diffusion need all of them, ascending
 * @options: NULL = the defaults
 *
 * The diffusion of a species is seen in its fraction in the shells peeled by the probe: layers of
 * their mean distance and mean size, with binomial deviations ((k + 1)/(n + 2) for k of n, so that
 * a layer of all or none has one, too). What cannot be fitted is no error: `why` tells.
 *
 * Errors: those of pn_analyze, with the number of the model; PN_EARG for times that go backwards.
 * Thread: reentrant. Cost: that of pn_analyze for each model and of pn_align for each step.
 * Source: methods R10-R14, R44-R47, R49.
 */
int pn_series_build(struct pn_series *series, const struct pn_atoms *models, const double *time_s,
		    size_t count, const struct pn_series_options *options, int threads,
		    struct pn_error *err);
void pn_series_free(struct pn_series *series);

/** pn_fate_name - "consistent" "inconsistent" "moved" "disappeared" "new"; NULL beyond. */
const char *pn_fate_name(int fate);

#endif
