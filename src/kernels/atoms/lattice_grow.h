/* SPDX-License-Identifier: GPL-3.0-or-later */
/* lattice_grow.h - growing one lattice from one seed; private to this folder. */
#ifndef PN_ATOMS_LATTICE_GROW_H
#define PN_ATOMS_LATTICE_GROW_H

#include "lattice_parts.h"

/* Work space, and the assignment that the last call of pn_grow_from ended with. */
struct pn_grow {
	const struct pn_atoms *atoms;
	const struct pn_lattice_options *options;
	int threads;
	struct pn_sites sites;
	int32_t (*candidate)[3]; /* [atoms] */
	int32_t (*site)[3];      /* [atoms] the assignment; INT32_MIN three times = none */
	double *off2;            /* [atoms] squared distance from the site, A^2 */
	uint8_t *taken;          /* [atoms] */
	uint32_t *queue;         /* [atoms] */
	size_t count, bonds;     /* atoms with a site, and neighbouring ones seen from each */
	int rounds, converged;
};

/** pn_grow_init - @atoms and @options must outlive it; freed with pn_grow_free, also on error. */
int pn_grow_init(struct pn_grow *grow, const struct pn_atoms *atoms,
		 const struct pn_lattice_options *options, int threads, struct pn_error *err);
void pn_grow_free(struct pn_grow *grow);

/** pn_grow_from - assign and fit in turns from a seed, which is atom @atom, until nothing changes.
 */
void pn_grow_from(struct pn_grow *grow, const struct pn_lattice_seed *seed, uint32_t atom);

#endif
