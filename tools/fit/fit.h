/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fit.h - what the files of `perrin fit` share. */
#ifndef PERRIN_TOOLS_FIT_H
#define PERRIN_TOOLS_FIT_H

#include "common/refine_flag.h"
#include "common/tilts.h"
#include "perrin/format/model.h"
#include "perrin/tomo/model_refine.h"

#define NEW_ATOM ((size_t)-1)

struct fit_flags {
	char atoms[PN_PARAM_TEXT_MAX], out[PN_PARAM_TEXT_MAX];
	char refine[PN_PARAM_TEXT_MAX], angles_out[PN_PARAM_TEXT_MAX];
	struct pn_tilts_flags tilts;
	int64_t profile, iterations, flip_rounds, refine_rounds;
	double clamp_A, doubt, complete_z, distance_min_A;
	int noise, fit_shift, fit_scale, fit_offset, flip, flip_empty, complete, force, json;
};

extern const char *const fit_noise_choices[];

/** Everything of one run. */
struct job {
	const struct fit_flags *flags;
	unsigned refine;        /* bits of enum pn_refine_what */
	struct pn_tilts tilts;  /* from the refinement on: with its poses */
	struct pn_model *atoms; /* as read */
	size_t frames;
	uint8_t element[PN_MODEL_SPECIES_MAX]; /* ascending, of the species */
	struct pn_linear_model model;
	struct pn_model_tilt *tilt;      /* [count of tilts] */
	struct pn_model_refined refined; /* its arrays are those of the model, once it is there */
	double *weight;                  /* [count of tilts] of the refinement; NULL: all 1    */
	uint8_t *species_before;         /* [atoms as read] */
	double (*sigma_pm)[3];           /* [atoms of the model] */
	double *r1_before, *r1_after;    /* [count of tilts] */
	double r1_mean_before, r1_mean_after;
	struct pn_model_fit_result result;
	size_t doubtful, flipped, emptied;
	int flip_rounds;
	double seconds;
};

/** Its number among the atoms as read; NEW_ATOM if it was added. */
size_t fit_origin(const struct job *job, size_t atom);

/** How far it is from where it was traced; NaN for one that was added. */
double fit_moved_pm(const struct job *job, size_t atom);
double fit_moved_rms_pm(const struct job *job);

/* load.c */

/** Atoms, tilts, and room for the rest. */
int fit_load(struct job *job, struct pn_error *err);
void fit_free(struct job *job);

/* estimate.c */

/** The Gaussians of spots and the constant backgrounds to start from. */
int fit_estimate(struct job *job, struct pn_error *err);

/* refine.c */

/** What all fits of the command are told. */
struct pn_model_fit_params fit_params(const struct job *job);

/** Poses and completion, as asked; the model and the poses are the refined ones then. */
int fit_refine(struct job *job, struct pn_error *err);

/* solve.c */

/** R1 of every tilt, and their mean. */
int fit_judge(const struct job *job, double *r1, double *mean, struct pn_error *err);

/** All atoms at once; then flipped and fitted again, as asked. */
int fit_solve(struct job *job, struct pn_error *err);

/* write.c */
int fit_write_atoms(const struct job *job, struct pn_error *err);
int fit_write_angles(const struct job *job, struct pn_error *err);

/* report.c */
void fit_print_json(const struct job *job);
void fit_print_text(const struct job *job);

#endif
