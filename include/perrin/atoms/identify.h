/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/identify.h - traced peaks become atoms of given elements. */
#ifndef PERRIN_ATOMS_IDENTIFY_H
#define PERRIN_ATOMS_IDENTIFY_H

#include "perrin/atoms/trace.h"

#define PN_IDENTIFY_ELEMENTS_MAX 8

/** The elements of traced atoms, in their order. Made by pn_identify, freed by pn_identity_free. */
struct pn_identity {
	size_t count;
	uint8_t *element;   /* [count] atomic number                                             */
	double *confidence; /* [count] of the element, 0.5..1; 1 with one element                */
	size_t of[PN_IDENTIFY_ELEMENTS_MAX]; /* atoms of each element as given                   */
	int rounds; /* of the local re-classification                                    */
};

/**
 * pn_identify - which element each traced atom is: k-means on the integrated intensities, then the
 * local re-classification of perrin/atoms/species.h. The brighter, the heavier.
 *
 * @identity: [out] freed with pn_identity_free, also after an error
 * @element:  [elements] ascending, different
 * @local_A:  radius of the local re-classification, 6.75 in the papers; 0: none
 *
 * Errors: PN_EARG (elements), PN_ENOMEM. Thread: reentrant; @threads changes no byte.
 * Source: methods R29 (papers 000, 001).
 */
int pn_identify(struct pn_identity *identity, const struct pn_trace *trace, const uint8_t *element,
		int elements, double local_A, int threads, struct pn_error *err);
void pn_identity_free(struct pn_identity *identity);

/**
 * pn_elements_parse - "Pd,Pt" as atomic numbers in ascending order.
 *
 * @element: [out] [PN_IDENTIFY_ELEMENTS_MAX]; @elements: [out] how many
 *
 * Errors: PN_EARG, with the word: no element, one twice, too many.
 */
int pn_elements_parse(uint8_t *element, int *elements, const char *text, struct pn_error *err);

#endif
