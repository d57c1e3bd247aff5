/* SPDX-License-Identifier: GPL-3.0-or-later */
/* trace_parts.h - what the files of the atom tracing share. Coordinates here are x, y, z in voxels.
 */
#ifndef PERRIN_TRACE_PARTS_H
#define PERRIN_TRACE_PARTS_H

#include "perrin/atoms/trace.h"

/** A volume as interpolating cubic B-spline. Made by trace_spline_build, freed by _free. */
struct trace_spline {
	size_t n[3];        /* x, y, z */
	float *coefficient; /* [nz][ny][nx] */
};

int trace_spline_build(struct trace_spline *spline, const float *volume, const size_t n[3],
		       int threads, struct pn_error *err);
void trace_spline_free(struct trace_spline *spline);

/**
 * trace_smooth - @out = the volume under a Gaussian of @sigma_px, 0 beyond its border: mirrored, an
 * atom near the border would melt into its image and be lost.
 */
int trace_smooth(float *out, const float *volume, const size_t n[3], double sigma_px, int threads,
		 struct pn_error *err);

/** The polynomial fit samples 7^3 points, 3 to the voxel; the eighth column is padding, 0. */
enum {
	TRACE_UPSAMPLE = 3,
	TRACE_HALF = 3,
	TRACE_EDGE = 2 * TRACE_HALF + 1,
	TRACE_ROW = 8,
	TRACE_SAMPLES = TRACE_EDGE * TRACE_EDGE * TRACE_ROW,
};

/** trace_spline_fine - the spline at @at + (k, j, i) / 3, each -3..3, [z][y][x]. */
void trace_spline_fine(float out[static TRACE_SAMPLES], const struct trace_spline *spline,
		       const double at[3]);

/** The cube by which peaks are judged: 5^3 points 0.35 A apart. */
enum { TRACE_CUBE_EDGE = 5, TRACE_CUBE = TRACE_CUBE_EDGE * TRACE_CUBE_EDGE * TRACE_CUBE_EDGE };
#define TRACE_CUBE_STEP_A 0.35

/** trace_spline_cube - @edge^3 points @step_px apart about @at, [z][y][x]; edge <= 15, odd. */
void trace_spline_cube(float *out, const struct trace_spline *spline, const double at[3], int edge,
		       double step_px);

/** A local maximum and what became of it. */
struct trace_peak {
	double at[3];
	double height, residual;
	double width_px[3]; /* x, y, z: Gaussian with the curvature of the peak */
	double strength, shape;
	size_t voxel; /* [z][y][x] flat: where the maximum was seen */
	int box_px;   /* of the Gaussian fit; 0 = polynomial */
	int fitted, pass;
};

/** The weighted least-squares fit of all monomials up to 4th order, as tables. */
struct trace_polynomial {
	int terms;
	int power[35][3];
	/* rows of the pseudo-inverse: coefficient t = sum of row t times samples */
	float row[35][TRACE_SAMPLES];
	float monomial[35][TRACE_SAMPLES];
	float weight[TRACE_SAMPLES];
};

int trace_polynomial_build(struct trace_polynomial *polynomial, struct pn_error *err);

/** Atoms whose tails reach into a fit: Gaussians of common widths. */
struct trace_around {
	const struct trace_peak *atom;
	const uint32_t *near; /* [count] */
	size_t count;
	double width_px[3]; /* x, y, z */
};

/**
 * trace_polynomial_fit - move peak->at to the stationary point; fitted = 0 if there is none.
 * @around: to be taken away first; NULL = nothing
 */
void trace_polynomial_fit(struct trace_peak *peak, const struct trace_polynomial *polynomial,
			  const struct trace_spline *spline, const struct trace_around *around);

/** trace_polynomial_residual - of the fit at peak->at, over the height. */
void trace_polynomial_residual(struct trace_peak *peak, const struct trace_polynomial *polynomial,
			       const struct trace_spline *spline,
			       const struct trace_around *around);

/** trace_gaussian_fit - the Gaussian fit in the box that suits best; box_px stays 0 if none does.
 */
int trace_gaussian_fit(struct trace_peak *peak, const float *volume, const size_t n[3],
		       const struct trace_around *around, struct pn_error *err);

/** What an atom looks like: the mean cube of the strongest peaks, heights 1. */
struct trace_likeness {
	float mean[TRACE_CUBE];
};

/** trace_likeness_learn - a quarter of the peaks, but 8 to 64; @cubes: [peaks][TRACE_CUBE]. */
int trace_likeness_learn(struct trace_likeness *likeness, const struct trace_peak *peaks,
			 size_t count, const float *cubes, struct pn_error *err);

/** trace_likeness_of - correlation of a cube with that mean, -1..1. */
double trace_likeness_of(const struct trace_likeness *likeness, const float cube[TRACE_CUBE]);

/** Two classes of peaks, of which the lower is no atoms. */
struct trace_classes {
	int empty; /* 1 = there is a class of peaks that are no atoms */
	int mixed; /* 1 = it has a distribution apart from that of atoms: the figures below */
	double threshold;
	double mean[2], deviation[2], part[2];
};

/** trace_classes_find - how strong an atom must be, from strength and shape of the peaks. */
int trace_classes_find(struct trace_classes *classes, const struct trace_peak *peaks, size_t count,
		       const struct pn_trace_options *options, struct pn_error *err);

/** trace_confidence - that a peak of this strength is an atom. */
double trace_confidence(const struct trace_classes *classes, double strength);

/** A list of peaks. */
struct trace_peaks {
	struct trace_peak *peak;
	size_t count;
};

/** One tracing under way. */
struct trace_job {
	const float *raw;
	const float *volume; /* smoothed, if that is asked for */
	size_t n[3];         /* x, y, z */
	double pixel_A, floor, strength_min;
	struct pn_trace_options options;
	int threads;
	struct trace_polynomial polynomial;
	struct trace_classes classes;
	struct trace_likeness likeness;
	struct trace_peaks atoms; /* found so far */
	struct pn_trace *trace;
};

/** trace_by_height - order for qsort: highest first, then by place in the array. */
int trace_by_height(const void *a, const void *b);

/**
 * trace_find_peaks - local maxima of @volume above the floor and inside the support, highest first;
 * peaks->peak to be freed. The first call, job->floor < 0, sets the floor.
 */
int trace_find_peaks(struct trace_peaks *peaks, struct trace_job *job, const float *volume,
		     struct pn_error *err);

/** trace_subtract - job->volume less all atoms found; caller frees. */
int trace_subtract(float **rest, const struct trace_job *job, struct pn_error *err);

/** trace_without_neighbors - fit all atoms anew, job->options.rounds times. */
int trace_without_neighbors(struct trace_job *job, struct pn_error *err);

/** trace_check - options (NULL = the default), shape and voxels. */
int trace_check(const float *volume, const size_t n[3], double pixel_A,
		const struct pn_trace_options *options, int threads, struct pn_error *err);

/** trace_in_map - trace the peaks of @map, judging their shape by @raw; both are checked already.
 */
int trace_in_map(struct pn_trace *trace, const float *raw, const float *map, const size_t n[3],
		 double pixel_A, const struct pn_trace_options *options, int threads,
		 struct pn_error *err);

#endif
