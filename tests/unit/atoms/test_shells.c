/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Peeling: magic numbers of perfect solids, and an alpha shape made by trying all tetrahedra. */
#include "perrin/atoms/classes.h"
#include "perrin/atoms/shells.h"
#include "perrin/atoms/surface.h"

#include "kit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define A_A      3.912
#define FIRST_A  (A_A / M_SQRT2)
#define CUTOFF_A 3.339

struct result {
	int32_t *shell;
	uint32_t shells;
	size_t unpeeled;
};

static struct result by_cn(const struct kit_model *m, double cutoff_A, uint32_t cn_full)
{
	struct result r = { malloc((m->count + 1) * sizeof *r.shell), 77, 77 };
	struct pn_atoms view = kit_view(m);
	struct pn_neighbors n;
	struct pn_error err = { 0 };

	assert_non_null(r.shell);
	if (pn_neighbors_build(&n, &view, cutoff_A, 1, &err) ||
	    pn_shells_by_cn(r.shell, &r.shells, &r.unpeeled, &n, cn_full, &err))
		fail_msg("%s", err.text);
	pn_neighbors_free(&n);
	return r;
}

static struct result by_probe(const struct kit_model *m, double radius_A, int threads)
{
	struct result r = { malloc((m->count + 1) * sizeof *r.shell), 77, 0 };
	struct pn_atoms view = kit_view(m);
	struct pn_error err = { 0 };

	assert_non_null(r.shell);
	if (pn_shells_by_probe(r.shell, &r.shells, &view, radius_A, threads, &err))
		fail_msg("%s", err.text);
	return r;
}

static void expect_sizes(const struct result *r, size_t atoms, const size_t *sizes, size_t shells)
{
	assert_int_equal(r->shells, shells);
	for (size_t s = 0; s < shells; s++) {
		size_t count = 0;

		for (size_t i = 0; i < atoms; i++)
			count += r->shell[i] == (int32_t)s + 1;
		assert_int_equal(count, sizes[s]);
	}
}

static struct kit_model put(size_t count, const double (*p)[3])
{
	struct kit_model m = kit_gas(count, 100, 78, 1);

	memcpy(m.position_A, p, count * sizeof *p);
	return m;
}

/* ---- perfect solids ------------------------------------------------------------------------- */

/* The shells of a cuboctahedron are those of the smaller ones: 10 n^2 + 2. */
static void cuboctahedra_peel_to_magic_shells(void **state)
{
	(void)state;
	static const size_t sizes[] = { 642, 492, 362, 252, 162, 92, 42, 12, 1 };
	static const size_t magic[] = { 1, 13, 55, 147, 309, 561, 923, 1415, 2057 };

	for (size_t n = 1; n <= 8; n++) {
		struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, magic[n], A_A, 78);

		assert_int_equal(m.count, magic[n]);
		kit_turn(&m, n);
		kit_shuffle(&m, n, NULL);
		struct result cn = by_cn(&m, CUTOFF_A, 12), probe = by_probe(&m, FIRST_A, 1);
		struct result wide = by_probe(&m, A_A, 1);

		expect_sizes(&cn, m.count, sizes + 8 - n, n + 1);
		expect_sizes(&probe, m.count, sizes + 8 - n, n + 1);
		expect_sizes(&wide, m.count, sizes + 8 - n, n + 1);
		assert_memory_equal(cn.shell, probe.shell, m.count * sizeof *cn.shell);
		assert_memory_equal(cn.shell, wide.shell, m.count * sizeof *cn.shell);
		assert_int_equal(cn.unpeeled, 0);
		free(cn.shell);
		free(probe.shell);
		free(wide.shell);
		kit_free(&m);
	}
}

/* An octahedron of edge m holds that of edge m - 2: surface 4 (m - 1)^2 + 2. */
static void octahedra_peel_two_edges_at_a_time(void **state)
{
	(void)state;
	static const size_t odd[] = { 258, 146, 66, 18, 1 }, even[] = { 198, 102, 38, 6 };
	struct kit_model nine = kit_solid(PN_SHAPE_OCTAHEDRON, 489, A_A, 78);
	struct kit_model eight = kit_solid(PN_SHAPE_OCTAHEDRON, 344, A_A, 78);
	struct result r[] = { by_cn(&nine, CUTOFF_A, 12), by_probe(&nine, FIRST_A, 1),
			      by_cn(&eight, CUTOFF_A, 12), by_probe(&eight, FIRST_A, 1) };

	assert_int_equal(nine.count, 489);
	assert_int_equal(eight.count, 344);
	expect_sizes(&r[0], 489, odd, 5);
	expect_sizes(&r[1], 489, odd, 5);
	expect_sizes(&r[2], 344, even, 4);
	expect_sizes(&r[3], 344, even, 4);
	for (int k = 0; k < 4; k++)
		free(r[k].shell);
	kit_free(&nine);
	kit_free(&eight);
}

/* A probe smaller than the octahedral hole, a/2, finds every atom; one that just fits finds none.
 */
static void octahedral_holes_open_at_half_the_lattice_constant(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, A_A, 78);
	struct result open = by_probe(&m, 0.999 * A_A / 2, 1);
	struct result closed = by_probe(&m, 1.001 * A_A / 2, 1);
	struct result exact = by_probe(&m, A_A / 2, 1);

	assert_int_equal(open.shells, 1);
	assert_int_equal(closed.shells, 5);
	assert_int_equal(exact.shells, 5);
	free(open.shell);
	free(closed.shell);
	free(exact.shell);
	kit_free(&m);
}

/* A vacancy is a surface for CN (its 12 neighbours have 11) but not for a ball that is an atom. */
static void a_vacancy_is_a_surface_by_cn_only(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 561, A_A, 78);
	size_t center = m.count;

	for (size_t i = 0; i < m.count; i++) {
		const double *p = m.position_A[i];

		if (p[0] * p[0] + p[1] * p[1] + p[2] * p[2] < 0.01)
			center = i;
	}
	assert_true(center < m.count);
	m.count--;
	memcpy(m.position_A[center], m.position_A[m.count], sizeof m.position_A[0]);
	struct result cn = by_cn(&m, CUTOFF_A, 12), probe = by_probe(&m, 1.01 * FIRST_A, 1);
	struct result small = by_probe(&m, 0.99 * FIRST_A, 1);
	size_t first[3] = { 0 };

	for (size_t i = 0; i < m.count; i++) {
		first[0] += cn.shell[i] == 1;
		first[1] += probe.shell[i] == 1;
		first[2] += small.shell[i] == 1;
	}
	assert_int_equal(first[0], 252 + 12);
	assert_int_equal(first[1], 252);
	assert_int_equal(first[2], 252 + 12);
	free(cn.shell);
	free(probe.shell);
	free(small.shell);
	kit_free(&m);
}

/* ---- against slow references ---------------------------------------------------------------- */

static double dot(const double a[3], const double b[3])
{
	return a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
}

/* Centre of the sphere through four points, relative to the first; 0 if they are flat. */
static int sphere_through(double c[3], const double (*p)[3], const uint32_t t[4])
{
	double e[3][3], n[3][3], det;

	for (int i = 0; i < 3; i++)
		for (int k = 0; k < 3; k++)
			e[i][k] = p[t[i + 1]][k] - p[t[0]][k];
	for (int i = 0; i < 3; i++)
		for (int k = 0; k < 3; k++) {
			const double *a = e[(i + 1) % 3], *b = e[(i + 2) % 3];

			n[i][k] = a[(k + 1) % 3] * b[(k + 2) % 3] - a[(k + 2) % 3] * b[(k + 1) % 3];
		}
	det = dot(e[0], n[0]);
	if (fabs(det) < 1e-9)
		return 0;
	for (int k = 0; k < 3; k++)
		c[k] = (dot(e[0], e[0]) * n[0][k] + dot(e[1], e[1]) * n[1][k] +
			dot(e[2], e[2]) * n[2][k]) /
		       (2 * det);
	return 1;
}

static int apart(const double (*p)[3], uint32_t i, uint32_t j, double distance_A)
{
	double d[3];

	for (int k = 0; k < 3; k++)
		d[k] = p[i][k] - p[j][k];
	return dot(d, d) > distance_A * distance_A;
}

static int empty_sphere(const double c[3], const uint32_t t[4], const double (*p)[3],
			const uint32_t *left, size_t count)
{
	for (size_t k = 0; k < count; k++) {
		double d[3];

		if (left[k] == t[0] || left[k] == t[1] || left[k] == t[2] || left[k] == t[3])
			continue;
		for (int a = 0; a < 3; a++)
			d[a] = p[left[k]][a] - p[t[0]][a] - c[a];
		if (dot(d, d) < dot(c, c))
			return 0;
	}
	return 1;
}

/* One more tetrahedron, if its sphere is small enough and empty. */
static void keep_if_filled(uint8_t *kept, uint8_t *sides, const double (*p)[3],
			   const uint32_t *left, size_t n, const size_t at[4], double radius_A)
{
	uint32_t t[4] = { left[at[0]], left[at[1]], left[at[2]], left[at[3]] };
	double o[3];

	if (!sphere_through(o, p, t) || dot(o, o) > radius_A * radius_A ||
	    !empty_sphere(o, t, p, left, n))
		return;
	for (int f = 0; f < 4; f++) {
		size_t i = at[f == 0], j = at[f < 2 ? 2 : 1], k = at[f < 3 ? 3 : 2];

		kept[t[f]] = 1;
		sides[(i * n + j) * n + k]++;
	}
}

/*
 * Corners of the alpha shape of the atoms that are left: all tetrahedra with an empty sphere of at
 * most the radius are kept; a triangle of exactly one of them is the mesh. sides[] counts, for
 * each triangle of the first, second and third atom of the list, the tetrahedra on it.
 */
static void mesh_corners(uint8_t *corner, uint8_t *kept, uint8_t *sides, const double (*p)[3],
			 const uint32_t *left, size_t n, double radius_A)
{
	memset(sides, 0, n * n * n);
	for (size_t a = 0; a < n; a++)
		for (size_t b = a + 1; b < n; b++)
			for (size_t c = b + 1; c < n && !apart(p, left[a], left[b], 2 * radius_A);
			     c++)
				for (size_t d = c + 1;
				     d < n && !apart(p, left[a], left[c], 2 * radius_A); d++)
					keep_if_filled(kept, sides, p, left, n,
						       (size_t[4]){ a, b, c, d }, radius_A);
	for (size_t i = 0; i < n; i++)
		for (size_t j = i + 1; j < n; j++)
			for (size_t k = j + 1; k < n; k++) {
				assert_true(sides[(i * n + j) * n + k] <= 2);
				if (sides[(i * n + j) * n + k] == 1)
					corner[left[i]] = corner[left[j]] = corner[left[k]] = 1;
			}
}

static void expect_mesh_peeling(const struct kit_model *m, double radius_A)
{
	struct result r = by_probe(m, radius_A, 1);
	uint32_t *left = malloc(m->count * sizeof *left), level = 0;
	uint8_t *corner = malloc(m->count), *kept = malloc(m->count);
	uint8_t *sides = malloc(m->count * m->count * m->count);
	size_t n = m->count;

	assert_true(left && corner && kept && sides);
	for (size_t i = 0; i < n; i++)
		left[i] = (uint32_t)i;
	while (n) {
		size_t still = 0;

		level++;
		memset(corner, 0, m->count);
		memset(kept, 0, m->count);
		mesh_corners(corner, kept, sides, (const double(*)[3])m->position_A, left, n,
			     radius_A);
		for (size_t k = 0; k < n; k++) {
			uint32_t i = left[k];

			if (corner[i] || !kept[i])
				assert_int_equal(r.shell[i], level);
			else
				left[still++] = i;
		}
		n = still;
	}
	assert_int_equal(r.shells, level);
	free(left);
	free(corner);
	free(kept);
	free(sides);
	free(r.shell);
}

static void the_probe_finds_the_corners_of_the_alpha_shape(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 12; seed++) {
		struct kit_model m = kit_gas(110, 7.5, 78, seed);
		struct kit_model c = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 147, A_A, 78);

		expect_mesh_peeling(&m, 1.6 + 0.3 * (double)seed);
		kit_shake(&c, seed % 2 ? 0.1 : 0.5, seed);
		if (seed <= 4)
			expect_mesh_peeling(&c, 1.9 + 0.4 * (double)seed);
		kit_free(&m);
		kit_free(&c);
	}
}

/* The mesh of the house, made anew after each peel. What it does not hold in the end is one shell.
 */
static void the_mesh_made_anew_gives_the_same_shells(void **state)
{
	(void)state;
	static const double shake_A[] = { 0, 0.1, 0.25 }, radius_A[] = { FIRST_A, A_A };

	for (int k = 0; k < 6; k++) {
		struct kit_model m = kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 2406, A_A, 78);

		kit_shake(&m, shake_A[k % 3], (uint64_t)k);
		struct result r = by_probe(&m, radius_A[k / 3], 1);
		int32_t level = 0;

		for (size_t left = m.count; left; level++) {
			struct pn_atoms view = { (const double(*)[3])m.position_A, m.element,
						 left };
			struct pn_surface s;
			struct pn_error err = { 0 };
			size_t still = 0;

			if (pn_surface_build(&s, &view, radius_A[k / 3], 1, &err))
				fail_msg("%s", err.text);
			for (size_t i = 0; i < left; i++) {
				int peel = s.on_mesh[i] || s.triangles == 0;

				assert_int_equal(r.shell[i] == level + 1, peel);
				if (peel)
					continue;
				memcpy(m.position_A[still], m.position_A[i], 3 * sizeof(double));
				r.shell[still++] = r.shell[i];
			}
			left = still;
			pn_surface_free(&s);
		}
		assert_int_equal(r.shells, level);
		free(r.shell);
		kit_free(&m);
	}
}

/* Counting again from the start after each peel. */
static void expect_recounting(const struct kit_model *m, double cutoff_A, uint32_t cn_full)
{
	struct result r = by_cn(m, cutoff_A, cn_full);
	uint8_t *gone = calloc(m->count, 1), *peel = calloc(m->count, 1);
	int32_t level = 0;

	assert_true(gone && peel);
	for (size_t left = m->count; left;) {
		size_t peeled = 0;

		level++;
		for (size_t i = 0; i < m->count; i++) {
			uint32_t cn = 0;

			for (size_t j = 0; j < m->count && !gone[i]; j++) {
				double d[3];

				for (int k = 0; k < 3; k++)
					d[k] = m->position_A[i][k] - m->position_A[j][k];
				cn += !gone[j] && j != i && dot(d, d) < cutoff_A * cutoff_A;
			}
			peel[i] = !gone[i] && cn < cn_full;
			peeled += peel[i];
		}
		assert_int_equal(r.shells == (uint32_t)level ? r.unpeeled : 0, peeled ? 0 : left);
		for (size_t i = 0; i < m->count; i++)
			if (!gone[i] && (peel[i] || !peeled)) {
				assert_int_equal(r.shell[i], level);
				gone[i] = 1;
				left--;
			}
	}
	assert_int_equal(r.shells, level);
	free(gone);
	free(peel);
	free(r.shell);
}

static void cn_peeling_equals_recounting(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_SPHERE, 700, A_A, 78);

	kit_shake(&m, 0.2, 3);
	expect_recounting(&m, 3.4, 12);
	expect_recounting(&m, 4.2, 9);
	expect_recounting(&m, 4.2, 14);
	expect_recounting(&m, 4.2, 16);
	expect_recounting(&m, 4.2, 1);
	kit_free(&m);
}

/* ---- what must not matter ------------------------------------------------------------------- */

static void rotation_numbering_and_threads_change_nothing(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 1289, A_A, 78);
	uint32_t *from = malloc(m.count * sizeof *from);

	assert_non_null(from);
	kit_shake(&m, 0.3, 5);
	struct kit_model t = kit_copy(&m);

	kit_turn(&t, 8);
	kit_shuffle(&t, 8, from);
	struct result cn = by_cn(&m, 3.3, 12), cn_t = by_cn(&t, 3.3, 12);
	struct result p = by_probe(&m, FIRST_A, 1), p_t = by_probe(&t, FIRST_A, 1);
	struct result p2 = by_probe(&m, FIRST_A, 2);

	assert_int_equal(cn.shells, cn_t.shells);
	assert_int_equal(p.shells, p_t.shells);
	assert_int_equal(p.shells, p2.shells);
	for (size_t i = 0; i < t.count; i++) {
		assert_int_equal(cn_t.shell[i], cn.shell[from[i]]);
		assert_int_equal(p_t.shell[i], p.shell[from[i]]);
	}
	assert_memory_equal(p.shell, p2.shell, m.count * sizeof *p.shell);
	free(from);
	free(cn.shell);
	free(cn_t.shell);
	free(p.shell);
	free(p_t.shell);
	free(p2.shell);
	kit_free(&m);
	kit_free(&t);
}

/* ---- odd input ------------------------------------------------------------------------------ */

static void odd_models_are_peeled_too(void **state)
{
	(void)state;
	static const double points[][3] = { { 0, 0, 0 }, { 0, 0, 0 }, { 2, 0, 0 }, { 4, 0, 0 },
					    { 6, 0, 0 }, { 8, 0, 0 }, { 0, 2, 0 }, { 2, 2, 0 } };

	for (size_t n = 0; n <= PN_COUNT(points); n++) {
		struct kit_model m = put(n, points);
		struct result cn = by_cn(&m, 2.5, 12), p = by_probe(&m, 2.5, 1);

		/* nothing here is buried: pairs, lines and flat patches touch the ball */
		assert_int_equal(cn.shells, n > 0);
		assert_int_equal(p.shells, n > 0);
		for (size_t i = 0; i < n; i++)
			assert_true(cn.shell[i] == 1 && p.shell[i] == 1);
		free(cn.shell);
		free(p.shell);
		kit_free(&m);
	}
}

/* Two atoms at the centre of a cuboctahedron, and a pile of 200 in the same place. */
static void coincident_atoms_are_peeled_together(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 147, A_A, 78);
	struct kit_model pile = kit_gas(200, 100, 78, 1);
	size_t core = 0;

	for (size_t i = 0; i < m.count; i++)
		if (dot(m.position_A[i], m.position_A[i]) < 0.01)
			core = i;
	size_t other = core ? 0 : 1;

	memcpy(m.position_A[other], m.position_A[core], sizeof m.position_A[0]);
	struct result r = by_probe(&m, FIRST_A, 1);

	assert_int_equal(r.shells, 4);
	assert_int_equal(r.shell[core], 4);
	assert_int_equal(r.shell[other], 4);
	for (size_t i = 1; i < pile.count; i++)
		memcpy(pile.position_A[i], pile.position_A[0], sizeof pile.position_A[0]);
	struct result p = by_probe(&pile, FIRST_A, 1), cn = by_cn(&pile, CUTOFF_A, 12);

	assert_int_equal(p.shells, 1);
	/* by CN they hold each other: none has fewer than 12 */
	assert_int_equal(cn.shells, 1);
	assert_int_equal(cn.unpeeled, 200);
	free(r.shell);
	free(p.shell);
	free(cn.shell);
	kit_free(&m);
	kit_free(&pile);
}

/*
 * Atoms that only rounding sets apart are at one place as well: each atom of a cuboctahedron twice,
 * 1e-15 A or so from the other, both are in the shell that one alone is in.
 */
static void nearly_coincident_atoms_are_peeled_together(void **state)
{
	(void)state;
	struct kit_model one = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, A_A, 78);
	struct kit_model two = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 923, A_A, 78);

	kit_turn(&one, 4);
	two.count = 2 * one.count;
	for (size_t i = 0; i < one.count; i++)
		for (size_t k = 0; k < 3; k++) {
			double x = one.position_A[i][k];

			two.position_A[i][k] = x;
			two.position_A[i + one.count][k] =
				(i + k) % 3 ? nextafter(x, i % 2 ? 1e3 : -1e3) : x;
		}
	for (int r = 0; r < 2; r++) {
		struct result a = by_probe(&one, r ? A_A : FIRST_A, 1);
		struct result b = by_probe(&two, r ? A_A : FIRST_A, 1);

		assert_int_equal(b.shells, a.shells);
		for (size_t i = 0; i < two.count; i++)
			assert_int_equal(b.shell[i], a.shell[i % one.count]);
		free(a.shell);
		free(b.shell);
	}
	kit_free(&one);
	kit_free(&two);
}

static void bad_arguments_are_refused(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 13, A_A, 78);
	struct pn_atoms view = kit_view(&m);
	int32_t shell[13];
	uint32_t shells;
	static const double bad[] = { 0, -1, INFINITY, NAN };

	for (size_t k = 0; k < PN_COUNT(bad); k++) {
		struct pn_error err = { 0 };

		assert_int_equal(pn_shells_by_probe(shell, &shells, &view, bad[k], 1, &err),
				 PN_EARG);
		assert_non_null(strstr(err.text, "radius"));
	}
	assert_int_equal(pn_shells_by_probe(shell, &shells, &view, 2, 0, NULL), PN_EARG);
	kit_free(&m);
}

/* Shells serve as classes: a core-shell particle has its shell in shell 1. */
static void composition_by_shell(void **state)
{
	(void)state;
	struct kit_model m = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, A_A, 46);
	struct result r = by_probe(&m, FIRST_A, 1);
	struct pn_composition c;
	struct pn_error err = { 0 };

	for (size_t i = 0; i < m.count; i++)
		if (r.shell[i] == 1)
			m.element[i] = 78;
	assert_int_equal(
		pn_composition_by_class(&c, m.element, r.shell, m.count, r.shells + 1, NULL, &err),
		PN_OK);
	assert_int_equal(c.species.count, 2);
	assert_int_equal(c.atoms[0], 0);
	assert_true(isnan(c.fraction[0]));
	assert_int_equal(c.count[1 * 2 + 1], 162);
	assert_true(c.fraction[1 * 2 + 1] == 1 && c.fraction[2 * 2 + 1] == 0);
	assert_int_equal(c.count[2 * 2 + 0], 92);
	pn_composition_free(&c);
	free(r.shell);
	kit_free(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuboctahedra_peel_to_magic_shells),
		cmocka_unit_test(octahedra_peel_two_edges_at_a_time),
		cmocka_unit_test(octahedral_holes_open_at_half_the_lattice_constant),
		cmocka_unit_test(a_vacancy_is_a_surface_by_cn_only),
		cmocka_unit_test(the_probe_finds_the_corners_of_the_alpha_shape),
		cmocka_unit_test(the_mesh_made_anew_gives_the_same_shells),
		cmocka_unit_test(cn_peeling_equals_recounting),
		cmocka_unit_test(rotation_numbering_and_threads_change_nothing),
		cmocka_unit_test(odd_models_are_peeled_too),
		cmocka_unit_test(coincident_atoms_are_peeled_together),
		cmocka_unit_test(nearly_coincident_atoms_are_peeled_together),
		cmocka_unit_test(bad_arguments_are_refused),
		cmocka_unit_test(composition_by_shell),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
