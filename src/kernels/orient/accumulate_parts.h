/* SPDX-License-Identifier: GPL-3.0-or-later */
/* accumulate_parts.h - what adding slices up and reading them out share. */
#ifndef ORIENT_ACCUMULATE_PARTS_H
#define ORIENT_ACCUMULATE_PARTS_H

#include "perrin/math/fft.h"
#include "perrin/math/fft3.h"
#include "perrin/orient/accumulate.h"

/* Of a grid point: real and imaginary part of the numerator, density. */
enum { PN_CELL_PARTS = 3 };

#define PN_DENSITY_QUANTUM 0x1p-32

/* One frequency of an image's half plane within the band. */
struct pn_slice_frequency {
	float x, y;      /* cycles per edge */
	float step;      /* where in a contrast transfer, 2 |f| */
	float share;     /* 1; 1/2 for f = 0, which is its own mate */
	uint32_t bin;    /* in the spectrum of the image */
	uint16_t ix, iy; /* in the tables of phases */
};

/* What one of them adds, and where. */
struct pn_slice_spot {
	float value[PN_CELL_PARTS], sign; /* sign: -1 if the mate is taken */
	float below[3];                   /* of the first point of the footprint from its edge */
	ptrdiff_t at;                     /* that point, numbers from the first cell */
};

/*
 * Every pair f, -f goes in once, as the one with qx >= 0. Its footprint may reach over the plane
 * qx = 0: for that a few points of negative qx are kept. The transform at g is then
 * sum(g) + conj(sum(-g)), to the bit what both of each pair would have given.
 */
struct pn_accumulator {
	struct pn_accumulate_params params;
	ptrdiff_t reach, margin; /* points: qx -margin..reach, qy and qz -reach..reach          */
	size_t row, side, count; /* numbers in a row along qx; rows along qy or qz; numbers     */
	int64_t *cell;           /* [side][side][row], quanta; row: [margin + 1 + reach][PARTS] */
	double quantum;          /* of the numerator                                            */
	double unit;             /* power of two at or above the largest pixel                  */
	double beta;             /* of the kernel                                               */
	int64_t weight, energy[2];
	uint64_t images;

	struct pn_slice_frequency *frequency;
	struct pn_slice_spot *spot; /* [frequencies], of the image at hand */
	size_t frequencies;
	float *table; /* of the kernel */
	struct pn_fft *fft;
	float *image;
	float complex *spectrum, *turn[2]; /* turn: x [edge/2 + 1], y [edge] */
	struct pn_fft3 *fft3;              /* of the grid of twice the edge; made when needed */
};

/** pn_cell_row - the row at qy, qz, which starts with qx = -margin. */
static inline const int64_t *pn_cell_row(const struct pn_accumulator *s, ptrdiff_t qz, ptrdiff_t qy)
{
	return s->cell + ((size_t)(qz + s->reach) * s->side + (size_t)(qy + s->reach)) * s->row;
}

#endif
