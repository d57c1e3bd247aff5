/* SPDX-License-Identifier: GPL-3.0-or-later */
/* align_parts.h - poses of a rigid alignment, and what makes them; private to this folder. */
#ifndef PN_ATOMS_ALIGN_PARTS_H
#define PN_ATOMS_ALIGN_PARTS_H

#include "perrin/atoms/align.h"
#include "perrin/atoms/cells.h"
#include "perrin/atoms/lattice.h"

#include <math.h>
#include <string.h>

/* What does not change while poses are tried. */
struct pn_dock {
	const struct pn_atoms *reference, *moved;
	struct pn_cells cells; /* of the reference */
	uint32_t *order;       /* [moved] by distance from the centroid */
	double reference_center_A[3], moved_center_A[3];
	double spacing_A, tolerance_A;
	int threads;
	/* of the pairing in work */
	uint32_t *partner; /* [moved] atom of the reference, UINT32_MAX = none */
	uint32_t *before;  /* [moved] the same, one round ago */
	uint32_t *owner;   /* [reference] the moved atom that holds it */
	double *d2;        /* [moved] */
};

struct pn_pose {
	double rotation[3][3], translation_A[3];
	size_t pairs;
	double rmsd_A, score; /* score: sum over the pairs of 1 - (distance / tolerance)^2 */
	enum pn_align_origin origin;
	int rounds, converged;
};

/** pn_dock_init - @tolerance_A 0 = from the spacing; freed with pn_dock_free, also on error. */
int pn_dock_init(struct pn_dock *dock, const struct pn_atoms *reference,
		 const struct pn_atoms *moved, double tolerance_A, int threads,
		 struct pn_error *err);
void pn_dock_free(struct pn_dock *dock);

/** pn_pose_move - out = R x + t. */
static inline void pn_pose_move(double out[3], const struct pn_pose *pose, const double x[3])
{
	for (int k = 0; k < 3; k++)
		out[k] = pose->rotation[k][0] * x[0] + pose->rotation[k][1] * x[1] +
			 pose->rotation[k][2] * x[2] + pose->translation_A[k];
}

/** pn_pose_center - choose the translation that lays @moved_A on @reference_A. */
void pn_pose_center(struct pn_pose *pose, const double reference_A[3], const double moved_A[3]);

/** pn_dock_nearest - the atom of the reference nearest to @x within @reach_A; UINT32_MAX if none.
 */
uint32_t pn_dock_nearest(const struct pn_dock *dock, const double x[3], double reach_A, double *d2);

/* Running sums of pairs, for the pose of least squared error. */
struct pn_pairs {
	size_t count;
	double x[3], y[3], xy[3][3]; /* sums of x, y, and x y^T, each from a center */
	double x0[3], y0[3];
};

void pn_pairs_clear(struct pn_pairs *pairs, const double x0[3], const double y0[3]);
void pn_pairs_add(struct pn_pairs *pairs, const double x[3], const double y[3]);

/** pn_pairs_fit - rotation (if the pairs determine one) and translation that lay y on x. */
void pn_pairs_fit(struct pn_pose *pose, const struct pn_pairs *pairs);

/** pn_dock_count - pair all atoms at the pose as it is: pairs and RMSD. */
void pn_dock_count(struct pn_dock *dock, struct pn_pose *pose);

/**
 * pn_dock_refine - pair and fit in turns, with the first @used atoms of the order within @reach_A,
 * at most @rounds times; tells whether the pairs no longer change.
 */
int pn_dock_refine(struct pn_dock *dock, struct pn_pose *pose, size_t used, double reach_A,
		   int rounds);

/* Candidates, not yet refined. */
struct pn_pose_list {
	struct pn_pose *pose;
	size_t count, room;
};

int pn_pose_add(struct pn_pose_list *list, const struct pn_pose *pose, struct pn_error *err);

/** pn_seed_lattices - poses that lay the lattice of one model onto that of the other. */
int pn_seed_lattices(struct pn_pose_list *list, const struct pn_dock *dock, struct pn_error *err);

/** pn_seed_anchors - poses that lay an atom and two neighbours on three like them. */
int pn_seed_anchors(struct pn_pose_list *list, const struct pn_dock *dock, struct pn_error *err);

/** pn_pose_judge - refine a pose on the atoms in the middle, and count their partners. */
void pn_pose_judge(struct pn_pose *pose, const struct pn_dock *dock);

/** pn_pose_add_best - judge, sort, and add the best of @count poses with any pairs. */
int pn_pose_add_best(struct pn_pose_list *list, struct pn_pose *pose, size_t count,
		     const struct pn_dock *dock, struct pn_error *err);

/** pn_seed_sphere - the best of inertia axes and @rotations all over the sphere. */
int pn_seed_sphere(struct pn_pose_list *list, const struct pn_dock *dock, int rotations,
		   struct pn_error *err);

#endif
