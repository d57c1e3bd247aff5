/* SPDX-License-Identifier: GPL-3.0-or-later */
/* genfire_parts.h - measured coefficients on GENFIRE's grid. */
#ifndef PERRIN_TOMO_GENFIRE_PARTS_H
#define PERRIN_TOMO_GENFIRE_PARTS_H

#include "perrin/tomo/genfire.h"

#include <complex.h>

/** A measured coefficient. */
struct pn_genfire_node {
	uint32_t at;         /* in the half spectrum [mz][my][mx/2+1]             */
	float q;             /* frequency, 1 at Nyquist; negative: withheld       */
	float complex value; /* of the box in the corner of the grid              */
};

struct pn_genfire_grid {
	size_t mz, my, mx;
	size_t count;
	struct pn_genfire_node *node; /* [count], by rising at; freed with free() */
};

/** pn_genfire_fill - grid the projections; mz, my, mx are given. Errors: PN_ENOMEM, PN_EARG. */
int pn_genfire_fill(struct pn_genfire_grid *grid, const struct pn_box *box,
		    const struct pn_projections *projections,
		    const struct pn_genfire_options *options, struct pn_error *err);

#endif
