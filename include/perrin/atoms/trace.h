/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/trace.h - where the atoms are in a reconstructed volume. */
#ifndef PERRIN_ATOMS_TRACE_H
#define PERRIN_ATOMS_TRACE_H

#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define PN_TRACE_EDGE_MAX 4096 /* voxels along an axis */

/** How the place of a peak is found to a fraction of a voxel. */
enum pn_trace_fit {
	/*
	 * A polynomial of 4th order in x, y, z, fitted to 7^3 points 1/3 voxel apart that the cubic
	 * spline through the voxels gives, within 3.5 such steps, weighted by exp(-(r/3)^2); the
	 * atom is at its stationary point. Papers 000 and 001.
	 */
	PN_TRACE_POLYNOMIAL,
	/*
	 * A Gaussian on a constant, with a width along each axis (the missing wedge draws atoms
	 * out), fitted to the voxels of boxes of 3^3, 5^3 and 7^3; the box with the least variance
	 * of the residuals wins. Starts from the polynomial. Paper 003.
	 */
	PN_TRACE_GAUSSIAN,
};

/**
 * What counts as an atom; fill with pn_trace_options_default, then change. With smooth_A and rounds
 * 0 it is the procedure of the papers.
 *
 * The measured volume of an amorphous film (RESIRE, 0.32 A per voxel, 772 published atoms, least
 * distance 2 A), pairs within 1 A:
 *
 *	way                                 found    false  RMSD
 *	polynomial, smooth 0.35 A (default) 87.0 %      49  24.3 pm
 *	the same, confidence_min 0.1        92.6 %     102  25.0 pm
 *	all peaks of the smoothed map       96.2 %    1636  26.1 pm
 *	polynomial, not smoothed            84.2 %      43  29.9 pm
 *	Gaussian, not smoothed              84.2 %      34  26.7 pm
 *
 * Atoms of sigma 0.6 A in white noise of 5 % of their height: 1.9 pm at 0.35 A, 1.4 pm at 0.6 A,
 * the least possible, 2.9 pm for the Gaussian and 11 pm for the polynomial without smoothing.
 */
struct pn_trace_options {
	enum pn_trace_fit fit; /* PN_TRACE_POLYNOMIAL */
	/*
	 * 0.35: sigma of a Gaussian that the map goes under first; 0 = the map as it is. The best
	 * is the width of the atoms (the matched filter) where they do not overlap. Heights are
	 * those of the smoothed map, widths are corrected.
	 */
	double smooth_A;
	double distance_min_A;  /* 2.2: of two nearer peaks the lower is none (003: 2.0) */
	double confidence_min;  /* 0.5: less likely ones are none; lower finds more, also false */
	double strength_min;    /* weaker ones are none; NaN (default) = by confidence_min */
	int species;            /* kinds of atoms in the specimen, 1..8; 0 (default) = unknown */
	const uint8_t *support; /* [nz][ny][nx], not 0 = particle; NULL (default) = everywhere */
	int passes; /* 2 (default) = look once more at what the atoms found leave; or 1 */
	int rounds; /* 4 (default): times all are fitted without their neighbours; 0..20 */
};

/** pn_trace_options_default - the values above. */
void pn_trace_options_default(struct pn_trace_options *options);

/** One atom. */
struct pn_traced_atom {
	double position_A[3]; /* x, y, z from the voxel (nx/2, ny/2, nz/2) */
	double height;        /* of the fit, in the unit of the volume */
	double width_A;       /* sigma of a Gaussian, geometric mean of three axes */
	double strength;      /* mean density in a cube of 1.75 A about the atom */
	double intensity; /* sum over 7^3 voxels about the atom; cut voxels count by their part */
	double residual;  /* root of the (weighted) mean square of data less fit, over height */
	double shape;     /* correlation, -1..1, of that cube with the mean of the strongest */
	/*
	 * Probability that a peak as strong as this is an atom: p1 / (p0 + p1), p1 a normal
	 * distribution of the strengths of the faintest atoms, p0 a gamma distribution of those of
	 * peaks that are no atoms, both with their numbers, fitted by expectation-maximisation. 1
	 * if no peaks are set apart as no atoms.
	 */
	double confidence;
	int32_t box_px;    /* edge of the Gaussian's box; 0 = the polynomial's place */
	int32_t pass;      /* 1 or 2 */
	int32_t at_border; /* 1 = the 7^3 voxels are not all there: intensity is too low */
};

/** Atoms of a volume, highest first. Made by pn_trace_atoms, freed by pn_trace_free. */
struct pn_trace {
	size_t count;
	struct pn_traced_atom *atom; /* [count] */
	double confidence_min; /* 0.5: less likely ones are none; lower finds more, also false */
	double strength_min;   /* in force */
	/* what became of the local maxima of both passes: one of these, or an atom */
	size_t maxima, outside, not_fitted, too_near, too_weak;
	size_t second; /* atoms of the second pass */
};

/**
 * pn_trace_atoms - find the atoms of a volume whose background is 0 and in which atoms are bright.
 *
 * 1. Local maxima among the 26 neighbours, above 2 % of what the highest hundredth of them reaches
 *    (a flat patch counts once; the outermost layer of voxels cannot hold one; outside of the
 *    support they are refused).
 * 2. The polynomial fit of each: Newton steps of at most half a sample along each axis until they
 *    are below 1e-4; refused where it leaves the box of its samples or ends on no maximum. (The
 *    public scripts sample the whole volume upsampled threefold and round to that grid; here the
 *    samples move along with the peak, which needs neither the memory nor the rounding.)
 * 3. From the highest down, peaks nearer than distance_min_A to one already taken are dropped.
 * 4. Peaks that are no atoms are dropped. With the number of species known, k-means with one class
 *    more (exact, in one dimension) on the strengths tells where to begin: the faintest class is no
 *    atoms (paper 003). With it unknown, the lowest cut of k-means in 2, 3, .. 6 classes below
 *    which peaks look less like atoms than above it; what is below is cut again as long as the
 *    upper part of it looks more like atoms than like the rest. Looks are the shape, compared by
 *    medians: below must be less than 0.8 of above, else nothing is dropped, as in a map without
 *    noise. From there the two distributions of confidence are fitted, and confidence_min is the
 *    threshold.
 * 5. PN_TRACE_GAUSSIAN: the Gaussian fit of what is left. Where that does not converge within a
 *    voxel the polynomial's place stays.
 * 6. Second pass: each atom is subtracted as a Gaussian of the median widths and its own height,
 *    and 1 to 5 are done once more with the rest, under the same threshold or half the strength of
 *    the weakest atom, whichever is more: shoulders of neighbours become peaks.
 * 7. As often as rounds says: all atoms are fitted anew, with their neighbours taken away as in 6.
 *    Neighbours pull each other: two atoms of sigma 0.7 A at 2.2 A, smoothed by 0.35 A, by 5 pm,
 *    and after 4 rounds by 0.3 pm.
 *
 * @trace:   [out] freed with pn_trace_free, also after an error
 * @volume:  float32 [nz][ny][nx], borrowed
 * @options: NULL = the default
 * @threads: >= 1; the bytes of the result do not depend on it
 *
 * No atom at all is no error. Atoms cut by the border are pulled inwards.
 *
 * Errors: PN_EARG (a shape of 0 or above 4096, pixel, options; a voxel that is not finite, with its
 * place), PN_ENOMEM. Thread: reentrant. Allocates: four volumes at most. Cost: some 20 passes over
 * the volume and 10 us per maximum; 160^3 voxels with 348 atoms 0.3 s of one core, under so much
 * noise that there are 74,000 maxima 1.1 s. Gaussian: 0.2 ms per atom and round.
 *
 * Source: methods R28: papers 000 and 001 (polynomial), 003 (Gaussian; non-atoms; second pass,
 * there by atomic layers); Yang et al., Nature 592, 60 (2021), public scripts, for the figures.
 */
int pn_trace_atoms(struct pn_trace *trace, const float *volume, size_t nz, size_t ny, size_t nx,
		   double pixel_A, const struct pn_trace_options *options, int threads,
		   struct pn_error *err);
void pn_trace_free(struct pn_trace *trace);

/**
 * pn_trace_boxes - the volume about given places: @edge^3 values of its cubic spline, one voxel
 * apart, centred on the atom. What pn_species_local compares.
 *
 * @boxes:      [out] float32 [atoms][edge][edge][edge], z slowest
 * @position_A: [atoms] x, y, z from the voxel (nx/2, ny/2, nz/2), inside the volume
 * @edge:       1, 3, .. 15
 *
 * Errors: PN_EARG (as above; a place outside of the volume), PN_ENOMEM. Beyond the border the
 * volume is mirrored. Cost: 3 passes over the volume, 1 us per atom.
 */
int pn_trace_boxes(float *boxes, const double (*position_A)[3], size_t atoms, int edge,
		   const float *volume, size_t nz, size_t ny, size_t nx, double pixel_A,
		   int threads, struct pn_error *err);

#endif
