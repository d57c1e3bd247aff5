/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/atoms/classes.h - atoms sorted into classes or species, and statistics over them. */
#ifndef PERRIN_ATOMS_CLASSES_H
#define PERRIN_ATOMS_CLASSES_H

#include "perrin/base/element.h"
#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

/*
 * A class is a number per atom: its shell (perrin/atoms/shells.h), its region (perrin/atoms/
 * region.h), its bin of depth (pn_class_bins), its facet. class_of[i] is 0 .. classes - 1; any
 * negative number says that the atom belongs to none and is left out. NULL in place of class_of
 * puts all atoms into class 0.
 */

/** Statistics of one class. */
struct pn_class_stat {
	size_t count;     /* values that went in */
	size_t nan;       /* values of the class that were NaN, left out of all else */
	double mean;      /* NaN if count is 0, as min and max */
	double deviation; /* sample standard deviation, of count - 1; NaN if count is below 2 */
	double min, max;
};

/**
 * pn_class_stats - mean, standard deviation and range of a per-atom quantity in every class.
 *
 * The standard error of the mean, if the values are independent, is deviation / sqrt(count).
 *
 * @stats:    [out] [classes]
 * @values:   [atoms] any unit; NaN is counted and skipped
 * @class_of: [atoms], or NULL
 *
 * Errors: PN_EARG for a class number of @classes or more, naming the atom (counted from 1); @stats
 * is then not to be used. Cost: two passes, serial, 5 ns per atom each.
 * Source: papers 000 and 001, region- and layer-averaged order parameters.
 */
int pn_class_stats(struct pn_class_stat *stats, const double *values, const int32_t *class_of,
		   size_t atoms, size_t classes, struct pn_error *err);

/**
 * pn_class_bins - class of each atom from a number: class k holds first + k width <= value <
 * first + (k + 1) width, all else (NaN too) is -1. With depth below the surface as value this is a
 * depth profile: hand the classes to pn_composition_by_class or pn_class_stats.
 *
 * @class_of: [out] [atoms]
 * @values:   [atoms] in the unit of @first and @width
 *
 * Returns how many atoms fell into no bin. @width > 0, @bins at most 2^31 - 1. Cost: 3 ns per atom.
 */
size_t pn_class_bins(int32_t *class_of, const double *values, size_t atoms, double first,
		     double width, size_t bins);

/** The species of a model in ascending order of the atomic number. Plain data. */
struct pn_species {
	size_t count;
	uint8_t element[PN_ELEMENT_Z_MAX]; /* [count] atomic numbers */
	int16_t index[256];                /* of an atomic number; -1 = not in the model */
};

/**
 * pn_species_of - which species a model holds. Elements are atomic numbers 1..103. For a series of
 * models pass all elements one after the other, so that columns mean the same in each.
 */
struct pn_species pn_species_of(const uint8_t *element, size_t atoms);

/** How many atoms of which species each class holds. Made by pn_composition_by_class. */
struct pn_composition {
	size_t classes;
	struct pn_species species;
	uint64_t *atoms;   /* [classes] */
	uint64_t *count;   /* [classes][species] */
	double *fraction;  /* [classes][species] count / atoms; NaN for an empty class */
	double *deviation; /* [classes][species] binomial, sqrt(f (1 - f) / atoms); NaN as above */
};

/**
 * pn_composition_by_class - composition of shells, layers, regions, or (@class_of NULL, @classes 1)
 * of the whole model. Fractions of a class add up to 1.
 *
 * The binomial deviation is what a class of this size drawn from a large alloy would show; it is 0
 * where a species has all or none of the class.
 *
 * @composition: [out] freed with pn_composition_free, also after an error
 * @element:     [atoms]
 * @class_of:    [atoms], or NULL
 * @species:     the columns; must hold every species of the model. NULL = those of the model
 *
 * Errors: PN_EARG (no classes, a class number of @classes or more, a species that @species lacks),
 * PN_ENOMEM. Cost: one pass, 3 ns per atom.
 * Source: methods R45; papers 000 and 001, shell-by-shell Pd and Ir concentrations.
 */
int pn_composition_by_class(struct pn_composition *composition, const uint8_t *element,
			    const int32_t *class_of, size_t atoms, size_t classes,
			    const struct pn_species *species, struct pn_error *err);
void pn_composition_free(struct pn_composition *composition);

#endif
