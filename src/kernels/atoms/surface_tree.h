/* SPDX-License-Identifier: GPL-3.0-or-later */
/* surface_tree.h - distances of points from many triangles, by a tree of boxes. */
#ifndef PERRIN_KERNELS_ATOMS_SURFACE_TREE_H
#define PERRIN_KERNELS_ATOMS_SURFACE_TREE_H

#include <stddef.h>
#include <stdint.h>

struct pn_tree_leaf;
struct pn_tree_node;

/**
 * A complete tree with eight children to a node: those of node n are 8 n + 1 .. 8 n + 8, the root
 * is 0, and leaf l is number nodes + l. Triangles are in the order of a space-filling curve, so
 * that neighbours in the tree are neighbours in space.
 */
struct pn_tree {
	size_t nodes, triangles;
	struct pn_tree_node *node; /* [nodes] */
	struct pn_tree_leaf *leaf; /* [triangles / 8, rounded up] */
	double (*corner_A)[3][3];  /* [triangles] */
};

/**
 * pn_tree_build - of @count > 0 triangles, which may be flat or points; copies what it needs.
 *
 * Returns 0 if there is no memory; pn_tree_free is due in any case.
 */
int pn_tree_build(struct pn_tree *tree, const double (*position_A)[3], const uint32_t (*corner)[3],
		  size_t count);
void pn_tree_free(struct pn_tree *tree);

/**
 * pn_tree_distance_A - from @p to the nearest triangle, exact to rounding.
 *
 * @guess: [in,out] number of a triangle in the tree (0 at first) to begin with, on return the
 *         nearest one; a good guess saves time and does not change the result
 */
double pn_tree_distance_A(const struct pn_tree *tree, const double p[3], size_t *guess);

#endif
