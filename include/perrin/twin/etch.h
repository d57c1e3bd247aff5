/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/twin/etch.h - a crystal that dissolves atom by atom, least bound first. */
#ifndef PERRIN_TWIN_ETCH_H
#define PERRIN_TWIN_ETCH_H

#include "perrin/base/status.h"
#include "perrin/twin/specimen.h"

#include <stdint.h>

struct pn_etch;

/**
 * pn_etch_create - prepare to dissolve @spec; caller destroys. The specimen is only read here.
 *
 * @spec:       the atoms as they are now; their bonds are found once, from these positions
 * @cutoff_A:   atoms nearer than this are neighbours; 0 = 0.85 of the lattice constant, between
 *              the first (0.707 a) and the second (1 a) shell of fcc
 * @rate_per_s: atoms removed per second, >= 0
 * @seed:       chooses among atoms of equal coordination
 *
 * Errors: PN_EARG (cutoff or rate negative or not finite, more than 2^31 atoms), PN_ENOMEM.
 * Thread: reentrant. Cost: O(atoms); memory about 4 (neighbours + 8) bytes per atom.
 */
int pn_etch_create(struct pn_etch **etch, const struct pn_specimen *spec, double cutoff_A,
		   double rate_per_s, uint64_t seed, struct pn_error *err);

/** pn_etch_destroy - NULL is fine. */
void pn_etch_destroy(struct pn_etch *etch);

/**
 * pn_etch_advance - let @dt_s >= 0 seconds pass and remove the atoms that are due from @spec.
 *
 * After a total time t exactly floor(rate * t) atoms are gone (a product within 1e-6 below a whole
 * number counts as that number, so that 400 steps of 2.5 ms are one second), or all of them. Each
 * time an atom of the lowest coordination number at that moment goes, ties by the seed with equal
 * chance; then the coordination of its neighbours drops by one. How the time is cut into
 * steps does not change which atoms go. The arrays of @spec close up and keep their order; ids
 * stay with their atoms. Positions are not used, so they may have moved since the creation.
 *
 * @spec: the specimen given to pn_etch_create, or a copy that had the same removals
 *
 * Returns the number removed now. Thread: one thread per pn_etch.
 * Cost: O(neighbours) per removed atom, and one pass over the arrays if any was removed.
 */
int pn_etch_advance(struct pn_etch *etch, struct pn_specimen *spec, double dt_s);

/** pn_etch_removed_count - atoms removed since creation. */
uint64_t pn_etch_removed_count(const struct pn_etch *etch);

#endif
