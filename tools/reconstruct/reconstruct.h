/* SPDX-License-Identifier: GPL-3.0-or-later */
/* reconstruct.h - what the files of `perrin reconstruct` share. */
#ifndef PERRIN_TOOLS_RECONSTRUCT_H
#define PERRIN_TOOLS_RECONSTRUCT_H

#include "common/progress.h"
#include "common/refine_flag.h"
#include "common/tilts.h"
#include "perrin/tomo/coverage.h"
#include "perrin/tomo/refine_loop.h"

#define CURVE_MAX     8192 /* iterations whose R is kept for the picture */
#define HELD_OUT_FROM 12   /* tilts below which none can be spared       */
#define PATH_BYTES    (PN_PARAM_TEXT_MAX + 16)

enum method { METHOD_BEST, METHOD_RESIRE, METHOD_GENFIRE, METHOD_SIRT };
extern const char *const method_choices[];

struct reconstruct_flags {
	struct pn_tilts_flags tilts;
	char out[PN_PARAM_TEXT_MAX], sheet[PN_PARAM_TEXT_MAX], support[PN_PARAM_TEXT_MAX];
	char refine[PN_PARAM_TEXT_MAX], angles_out[PN_PARAM_TEXT_MAX], tilts_out[PN_PARAM_TEXT_MAX];
	char coverage[PN_PARAM_TEXT_MAX];
	int method, gridding, force, json, no_sheet, extended, half_sets, background;
	int64_t iterations, depth, held_out, refine_rounds;
	double oversample, step, radius_px;
	double refine_max_deg, refine_max_px, refine_search_deg, refine_blur_px, margin_px;
};

/** What a method says of one volume, and of how it came to it. */
struct solution {
	int iterations_max, iterations;
	const char *stopped;
	double held_out; /* misfit of tilts left out of a trial; NaN: there was none */
	/* what it says of itself after its iterations: R1, or |A u - p| / |p| of best */
	const char *curve_name;
	double curve_at[CURVE_MAX], curve[CURVE_MAX], free_at[CURVE_MAX], free_curve[CURVE_MAX];
	size_t points, free_points;
};

/** Two volumes of every other tilt, compared. */
struct half_sets {
	size_t tilts[2], shells;
	double *fsc, *samples, *frequency; /* [shells] */
	double at_0_143_per_px, resolution_A;
	float *volume; /* of the first, third, ... tilt */
};

/** Everything of one run. */
struct job {
	const struct reconstruct_flags *flags;
	struct pn_tilts tilts;     /* from the refinement on: with its poses and images */
	struct pn_box box, solved; /* solved: larger if the specimen is extended */
	float *volume;
	uint8_t *support;
	struct solution *solution; /* of the volume */
	struct solution *now;      /* the one under way */
	double seconds;
	double *r1, *r2; /* [count] of the finished volume */
	double r1_mean, r2_mean;

	unsigned refined; /* enum pn_refine_what; 0: nothing */
	struct pn_refine_loop_result loop;
	struct pn_refine_loop_round *round; /* [rounds] */
	struct pn_pose *given;              /* [count] the poses before */
	struct pn_refined *last;            /* [count] of the last round */
	double refine_seconds;

	struct half_sets halves;
	struct pn_coverage coverage;
	double diameter_px;
	int diameter_is_box; /* no specimen stands out */

	struct pn_progress progress;
	const char *doing; /* "round 2: "; "" */
	int64_t start_ns;
};

/* ---- methods.c ----------------------------------------------------------------------------- */

/**
 * method_solve - the volume of a set of tilts by the method asked for; job->now tells of it.
 *
 * @iterations: 0: as the flags say
 * @least:      iterations of best at the least, whatever held-out tilts say
 * @r1, @r2:    [set->count] of an extended specimen, or NULL
 */
int method_solve(struct job *job, const struct pn_projections *set, int iterations, int least,
		 float *volume, double *r1, double *r2, struct pn_error *err);

/** method_check - PN_EARG for a flag that the method does not look at. */
int method_check(const struct reconstruct_flags *flags, struct pn_error *err);

/* ---- refine.c ------------------------------------------------------------------------------ */

/** refine_check - PN_EARG for flags of the refinement that do not go together. */
int refine_check(unsigned *what, const struct reconstruct_flags *flags, struct pn_error *err);

/** refine_poses - the loop; job->tilts has the refined poses and cleaned images then. */
int refine_poses(struct job *job, struct pn_error *err);

/** refine_write - the files of --angles-out and --tilts-out. */
int refine_write(const struct job *job, struct pn_error *err);

/** refine_angles - phi, theta, psi of a pose, of two ways to say it that nearer to @near_deg. */
void refine_angles(double angle_deg[3], const struct pn_pose *pose, const double near_deg[3]);

/* ---- halves.c, wedge.c --------------------------------------------------------------------- */

int half_sets_compare(struct job *job, struct pn_error *err);
void half_sets_free(struct half_sets *halves);

/** wedge_measure - the coverage of Fourier space; writes the map of --coverage. */
int wedge_measure(struct job *job, struct pn_error *err);

/* ---- report.c ------------------------------------------------------------------------------ */

/** result_path - where the picture goes, its name before the dot followed by @more. */
void result_path(char path[PATH_BYTES], const struct reconstruct_flags *flags, const char *more);
int result_draw(const struct job *job, struct pn_error *err);
void result_json(const struct job *job);
void result_text(const struct job *job);

#endif
