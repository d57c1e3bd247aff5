/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "surface_tree.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { LEAF = 8, CHILDREN = 8, STACK = 128, CURVE_BITS = 20 };

/* Bounds are widened so that rounding never passes over the nearest triangle. */
#define WIDER       (1 + 1e-9)
#define ROUNDING_A2 1e-12
#define THIN        1e-6 /* twice the area over the squared longest edge: no normal to rely on */

/*
 * The discs around the triangles of a leaf, side by side; the distance from a disc is a lower bound
 * for that from its triangle. Where a triangle is too thin for a normal, normal 0 makes the bound
 * that of a ball.
 */
struct pn_tree_leaf {
	double normal[3][LEAF], center[3][LEAF], radius[LEAF];
};

/* Boxes of the children, side by side; those without triangles are infinitely far. */
struct pn_tree_node {
	double low[3][CHILDREN], high[3][CHILDREN];
};

struct box {
	double low[3], high[3];
};

struct keyed {
	uint64_t key;
	uint32_t triangle;
};

static double dot(const double a[3], const double b[3])
{
	return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

static void subtract(double out[3], const double a[3], const double b[3])
{
	for (int k = 0; k < 3; k++)
		out[k] = a[k] - b[k];
}

static void cross(double out[3], const double a[3], const double b[3])
{
	out[0] = a[1] * b[2] - a[2] * b[1];
	out[1] = a[2] * b[0] - a[0] * b[2];
	out[2] = a[0] * b[1] - a[1] * b[0];
}

/* ---- building ------------------------------------------------------------------------------ */

static int compare_keyed(const void *a, const void *b)
{
	const struct keyed *s = a, *t = b;

	if (s->key != t->key)
		return s->key < t->key ? -1 : 1;
	return (s->triangle > t->triangle) - (s->triangle < t->triangle);
}

/* Bits of three coordinates, interleaved (Morton). */
static uint64_t curve_key(const double p[3], const struct box *all)
{
	uint64_t key = 0, c[3];
	double span = 0;

	for (int k = 0; k < 3; k++)
		span = fmax(span, all->high[k] - all->low[k]);
	for (int k = 0; k < 3; k++) {
		double f = span > 0 ? (p[k] - all->low[k]) / span : 0;

		c[k] = f > 0 ? (uint64_t)(f * ((1 << CURVE_BITS) - 1)) : 0;
	}
	for (int bit = CURVE_BITS - 1; bit >= 0; bit--)
		for (int k = 0; k < 3; k++)
			key = key << 1 | (c[k] >> bit & 1);
	return key;
}

static void box_empty(struct box *box)
{
	for (int k = 0; k < 3; k++) {
		box->low[k] = INFINITY;
		box->high[k] = -INFINITY;
	}
}

static void box_include(struct box *box, const double low[3], const double high[3])
{
	for (int k = 0; k < 3; k++) {
		box->low[k] = fmin(box->low[k], low[k]);
		box->high[k] = fmax(box->high[k], high[k]);
	}
}

static void leaf_fill(struct pn_tree_leaf *leaf, int n, const double corner_A[3][3])
{
	double a[3], b[3], c[3], normal[3], longest2 = 0, radius2 = 0;

	subtract(a, corner_A[1], corner_A[0]);
	subtract(b, corner_A[2], corner_A[0]);
	subtract(c, corner_A[2], corner_A[1]);
	cross(normal, a, b);
	longest2 = fmax(dot(a, a), fmax(dot(b, b), dot(c, c)));
	double length = sqrt(dot(normal, normal));
	double scale = length > THIN * longest2 ? 1 / length : 0;

	for (int k = 0; k < 3; k++) {
		leaf->normal[k][n] = scale * normal[k];
		leaf->center[k][n] = (corner_A[0][k] + corner_A[1][k] + corner_A[2][k]) / 3;
	}
	for (int m = 0; m < 3; m++) {
		double r2 = 0;

		for (int k = 0; k < 3; k++) {
			double d = corner_A[m][k] - leaf->center[k][n];

			r2 += d * d;
		}
		radius2 = fmax(radius2, r2);
	}
	leaf->radius[n] = sqrt(radius2);
}

/* Triangles in the order of the curve. */
static void sort_triangles(struct keyed *order, const double (*position_A)[3],
			   const uint32_t (*corner)[3], size_t count)
{
	struct box all;

	box_empty(&all);
	for (size_t t = 0; t < count; t++)
		for (int k = 0; k < 3; k++)
			box_include(&all, position_A[corner[t][k]], position_A[corner[t][k]]);
	for (size_t t = 0; t < count; t++) {
		double mean[3] = { 0 };

		for (int k = 0; k < 9; k++)
			mean[k % 3] += position_A[corner[t][k / 3]][k % 3] / 3;
		order[t] = (struct keyed){ curve_key(mean, &all), (uint32_t)t };
	}
	qsort(order, count, sizeof *order, compare_keyed);
}

/* Put the box of a node or leaf into its parent. */
static void store_box(struct pn_tree *tree, size_t number, const struct box *box)
{
	if (number == 0)
		return;
	struct pn_tree_node *parent = &tree->node[(number - 1) / CHILDREN];

	for (int k = 0; k < 3; k++) {
		parent->low[k][(number - 1) % CHILDREN] = box->low[k];
		parent->high[k][(number - 1) % CHILDREN] = box->high[k];
	}
}

static void tree_fill(struct pn_tree *tree, const struct keyed *order,
		      const double (*position_A)[3], const uint32_t (*corner)[3])
{
	size_t leaves = (tree->triangles + LEAF - 1) / LEAF;
	struct box box;

	box_empty(&box);
	for (size_t n = 1; n <= CHILDREN * tree->nodes; n++)
		store_box(tree, n, &box);
	for (size_t l = 0; l < leaves; l++) {
		box_empty(&box);
		for (size_t t = l * LEAF; t < (l + 1) * LEAF && t < tree->triangles; t++) {
			for (int k = 0; k < 3; k++) {
				const double *p = position_A[corner[order[t].triangle][k]];

				memcpy(tree->corner_A[t][k], p, 3 * sizeof *p);
				box_include(&box, p, p);
			}
			leaf_fill(&tree->leaf[l], (int)(t % LEAF),
				  (const double(*)[3])tree->corner_A[t]);
		}
		store_box(tree, tree->nodes + l, &box);
	}
	for (size_t n = tree->nodes; n-- > 0;) {
		box_empty(&box);
		for (int c = 0; c < CHILDREN; c++)
			for (int k = 0; k < 3; k++) {
				box.low[k] = fmin(box.low[k], tree->node[n].low[k][c]);
				box.high[k] = fmax(box.high[k], tree->node[n].high[k][c]);
			}
		store_box(tree, n, &box);
	}
}

int pn_tree_build(struct pn_tree *tree, const double (*position_A)[3], const uint32_t (*corner)[3],
		  size_t count)
{
	size_t leaves = (count + LEAF - 1) / LEAF, level = 1;
	struct keyed *order = malloc(count * sizeof *order);

	tree->triangles = count;
	for (tree->nodes = 1; CHILDREN * level < leaves; tree->nodes += level)
		level *= CHILDREN;
	tree->node = malloc(tree->nodes * sizeof *tree->node);
	tree->leaf = calloc(leaves, sizeof *tree->leaf);
	tree->corner_A = malloc(count * sizeof *tree->corner_A);
	int good = order && tree->node && tree->leaf && tree->corner_A;

	if (good) {
		sort_triangles(order, position_A, corner, count);
		tree_fill(tree, order, position_A, corner);
	}
	free(order);
	return good;
}

void pn_tree_free(struct pn_tree *tree)
{
	free(tree->node);
	free(tree->leaf);
	free(tree->corner_A);
	memset(tree, 0, sizeof *tree);
}

/* ---- asking -------------------------------------------------------------------------------- */

/* Squared distance of the point @v from the segment from 0 to @e. */
static double segment_distance2_A2(const double v[3], const double e[3])
{
	double length2 = dot(e, e), along = dot(v, e), d[3];
	double f = along <= 0 ? 0 : along >= length2 ? 1 : along / length2;

	for (int k = 0; k < 3; k++)
		d[k] = v[k] - f * e[k];
	return dot(d, d);
}

/*
 * Squared distance of a point from a triangle: from its plane if the foot of the perpendicular is
 * inside the triangle, else from the nearest of the edges.
 */
static double triangle_distance2_A2(const double p[3], const double corner_A[3][3])
{
	double edge[3][3], v[3][3], normal[3], turn[3], best = INFINITY;
	int inside = 1;

	for (int c = 0; c < 3; c++) {
		subtract(edge[c], corner_A[(c + 1) % 3], corner_A[c]);
		subtract(v[c], p, corner_A[c]);
	}
	cross(normal, edge[0], edge[1]);
	for (int c = 0; c < 3; c++) {
		cross(turn, edge[c], v[c]);
		inside &= dot(normal, turn) >= 0;
	}
	double n2 = dot(normal, normal), height = dot(normal, v[0]);

	if (inside && n2 > 0)
		return height * height / n2;
	for (int c = 0; c < 3; c++)
		best = fmin(best, segment_distance2_A2(v[c], edge[c]));
	return best;
}

/* The nearest triangle of a leaf, if it is nearer than the best so far. */
static void search_leaf(const struct pn_tree *tree, size_t l, const double p[3], double *best,
			size_t *guess)
{
	const struct pn_tree_leaf *leaf = &tree->leaf[l];
	size_t first = l * LEAF, left = tree->triangles - first, count = left < LEAF ? left : LEAF;
	double bound[LEAF];

	for (size_t n = 0; n < count; n++) {
		double x = p[0] - leaf->center[0][n], y = p[1] - leaf->center[1][n];
		double z = p[2] - leaf->center[2][n];
		double h = x * leaf->normal[0][n] + y * leaf->normal[1][n] + z * leaf->normal[2][n];
		double aside2 = x * x + y * y + z * z - h * h;
		double over = sqrt(fabs(aside2)) - leaf->radius[n];

		over = (over + fabs(over)) / 2; /* no less than 0, without a branch */
		bound[n] = h * h + over * over;
	}
	for (size_t n = 0; n < count; n++) {
		if (bound[n] > *best * WIDER + ROUNDING_A2)
			continue;
		double d2 = triangle_distance2_A2(p, (const double(*)[3])tree->corner_A[first + n]);

		if (d2 < *best) {
			*best = d2;
			*guess = first + n;
		}
	}
}

struct place {
	size_t number;
	double distance2_A2;
};

/* Put the children of a node that may be near enough on the stack, the nearest on top. */
static size_t push_children(const struct pn_tree *tree, size_t n, const double p[3], double reach2,
			    struct place *stack, size_t height)
{
	const struct pn_tree_node *node = &tree->node[n];
	double d2[CHILDREN];
	size_t base = height;

	for (int c = 0; c < CHILDREN; c++) {
		double sum = 0;

		for (int k = 0; k < 3; k++) {
			double below = node->low[k][c] - p[k], above = p[k] - node->high[k][c];
			double d = below > above ? below : above;

			d = d > 0 ? d : 0;
			sum += d * d;
		}
		d2[c] = sum;
	}
	for (int c = 0; c < CHILDREN; c++) {
		if (!(d2[c] <= reach2))
			continue;
		size_t at = height++;

		for (; at > base && stack[at - 1].distance2_A2 < d2[c]; at--)
			stack[at] = stack[at - 1];
		stack[at] = (struct place){ CHILDREN * n + 1 + (size_t)c, d2[c] };
	}
	return height;
}

/* The nearest child first; boxes farther than the best so far are passed over. */
double pn_tree_distance_A(const struct pn_tree *tree, const double p[3], size_t *guess)
{
	double best = triangle_distance2_A2(p, (const double(*)[3])tree->corner_A[*guess]);
	struct place stack[STACK] = { { 0, 0 } };
	size_t height = 1;

	while (height) {
		struct place at = stack[--height];

		if (at.distance2_A2 > best * WIDER)
			continue;
		if (at.number >= tree->nodes)
			search_leaf(tree, at.number - tree->nodes, p, &best, guess);
		else
			height = push_children(tree, at.number, p, best * WIDER, stack, height);
	}
	return sqrt(best);
}
