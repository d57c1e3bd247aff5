/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kit.h - models for the tests of the atom kernels: perfect solids, and ways to disturb them. */
#ifndef PERRIN_TESTS_ATOMS_KIT_H
#define PERRIN_TESTS_ATOMS_KIT_H

#include "testkit.h"

#include "perrin/atoms/atoms.h"
#include "perrin/twin/specimen.h"

/** Writable model; free with kit_free. */
struct kit_model {
	double (*position_A)[3];
	uint8_t *element;
	size_t count;
};

/**
 * kit_solid - perfect fcc particle of @shape with the complete size nearest to @count atoms (see
 * pn_specimen_create for the sizes), lattice constant @a_A, element @z, axes along x y z.
 */
struct kit_model kit_solid(enum pn_shape shape, size_t count, double a_A, uint8_t z);

/** kit_gas - @count atoms of element @z at random in a ball of @radius_A, none nearer than 2 A. */
struct kit_model kit_gas(size_t count, double radius_A, uint8_t z, uint64_t seed);

/** kit_copy - a model of its own. */
struct kit_model kit_copy(const struct kit_model *model);
void kit_free(struct kit_model *model);

/** kit_view - the same as the kernels take it. */
struct pn_atoms kit_view(const struct kit_model *model);

/** kit_turn - rotate by a random rotation and shift by about 100 A, in place. */
void kit_turn(struct kit_model *model, uint64_t seed);

/**
 * kit_shuffle - renumber at random, in place. @from: [out] [count] atom i of the result was atom
 * from[i]; may be NULL.
 */
void kit_shuffle(struct kit_model *model, uint64_t seed, uint32_t *from);

/** kit_shake - add a normal deviate of @sigma_A to every coordinate, in place. */
void kit_shake(struct kit_model *model, double sigma_A, uint64_t seed);

/** kit_near - fail unless |a - b| <= tolerance * max(1, |b|); NaN only equals NaN. */
#define kit_near(a, b, tolerance) kit_near_at((a), (b), (tolerance), #a, __FILE__, __LINE__)
void kit_near_at(double a, double b, double tolerance, const char *what, const char *file,
		 int line);

#endif
