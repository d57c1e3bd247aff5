/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pair_match.h - one-to-one matching of candidates; used by pair.c. */
#ifndef PERRIN_ATOMS_PAIR_MATCH_H
#define PERRIN_ATOMS_PAIR_MATCH_H

#include "perrin/atoms/pair.h"

/**
 * Who may be paired with whom: the candidates of atom i of the first model are the entries
 * start[i] .. start[i + 1] - 1 of the arrays below. Atoms are numbered in an order that only
 * depends on where they are, and so does the result.
 */
struct pn_pair_candidates {
	size_t before, after;
	double limit2; /* every distance2 is smaller */
	uint32_t *start;
	uint32_t *partner;
	double *distance2;
};

/**
 * pn_pair_match_nearest, pn_pair_match_assignment - see enum pn_pair_method.
 *
 * @after_of:  [out] [before] PN_PAIR_NONE = alone
 * @before_of: [out] [after]
 *
 * Errors: PN_ENOMEM.
 */
int pn_pair_match_nearest(uint32_t *after_of, uint32_t *before_of,
			  const struct pn_pair_candidates *candidates, struct pn_error *err);
int pn_pair_match_assignment(uint32_t *after_of, uint32_t *before_of,
			     const struct pn_pair_candidates *candidates, struct pn_error *err);

#endif
