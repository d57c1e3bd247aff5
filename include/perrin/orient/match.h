/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/orient/match.h - projection matching: which view of a map an image shows, at which angle.
 */
#ifndef PERRIN_ORIENT_MATCH_H
#define PERRIN_ORIENT_MATCH_H

#include "perrin/orient/directions.h"
#include "perrin/orient/polar.h"

#include <stdint.h>

/** How well an image suits one view, at the angle that suits best. */
struct pn_match_hit {
	uint32_t view;     /* of the directions                                                  */
	uint32_t mirrored; /* 1: seen from the other side                                        */
	float score;       /* correlation -1..1 over the rings, weighted                         */
	float angle_rad;   /* in plane, 0..2 pi                                                  */
};

struct pn_match;

/**
 * pn_match_create - room for the references of all views; caller destroys.
 *
 * @polar:      the band and the particle's radius; borrowed as long as the match lives, and not
 *              used by it for images
 * @directions: borrowed likewise
 *
 * Errors: PN_EARG, PN_ENOMEM with the bytes: 8 * views * orders * rings.
 */
int pn_match_create(struct pn_match **match, const struct pn_polar *polar,
		    const struct pn_directions *directions, struct pn_error *err);
void pn_match_destroy(struct pn_match *match);

/**
 * pn_match_set_map - make the references from a prepared map (pn_slicer_prepare).
 *
 * Each is the ring transform of a central slice, times the CTF, as Fourier series over the angle,
 * normalised. The bytes do not depend on the number of threads.
 * Errors: PN_EARG: the map shows nothing in the band, from nowhere; a view
 * from which it shows nothing has the score 0. Cost: 60 ns per ring point
 * and view: 0.2 s for 1256 views of 33 rings with 64 points on one core.
 */
int pn_match_set_map(struct pn_match *match, const struct pn_slicer *map, struct pn_error *err);

/**
 * pn_match_search - images against views, all in-plane angles at once.
 *
 *	score(angle) = sum over rings k and orders m of A_m(k) conj B_m(k) exp(i m angle)
 *
 * A view and its mirror image have the four real products in common that the two complex ones are
 * made of: one pass scores both. Scores at the angles of the polar grid come from one Fourier
 * transform for both, the largest and its neighbours give the angle by a parabola.
 *
 * @order:  [in] [images] series of pn_polar_orders, normalised
 * @cell:   [in] [cells] cells of the directions to be searched; NULL: all of them
 * @coarse: 1: only the PN_DIRECTIONS_COARSE views that stand for each cell
 * @hit:    [out] [images][cells * n * 2], n the views of a cell that are searched: by cell, view,
 *          mirrored
 *
 * Thread: one call at a time per match; OpenMP inside over the cells, the bytes do not depend on
 * its threads. Cost: per image and cell 4 * 8 * orders * rings multiply-adds and 8 complex FFTs of
 * the angles.
 * Source: methods R8 (projection matching over 2500 directions); polar Fourier matching as in
 * recon notes 5.1; Joyeux & Penczek, Ultramicroscopy 92, 33 (2002).
 */
void pn_match_search(struct pn_match *match, const float complex *const *order, size_t images,
		     const uint32_t *cell, size_t cells, int coarse, struct pn_match_hit *hit);

/** pn_match_rotation - specimen to detector frame, of a hit. */
void pn_match_rotation(const struct pn_directions *directions, const struct pn_match_hit *hit,
		       double rotation[3][3]);

/**
 * pn_match_cells_near - cells any of whose views, or of their mirror images, may be within
 * @angle_deg of the beam's direction @view in the specimen's frame.
 *
 * @cell: [out] [directions->cells]; returns how many
 */
size_t pn_match_cells_near(const struct pn_directions *directions, const double view[3],
			   double angle_deg, uint32_t *cell);

/** pn_match_top - the @top best of @count hits to the front of the list, best first (ties: the
 * lower view, not mirrored). Returns how many, the lesser of both. */
size_t pn_match_top(struct pn_match_hit *hit, size_t count, size_t top);

#endif
