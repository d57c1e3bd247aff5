/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Facets of perfect solids by coordination and by normal. */
#include "perrin/atoms/csp.h"
#include "perrin/atoms/facet.h"

#include "kit.h"

#include "perrin/math/rotation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double a_A = 3.912;
static const double upright[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } };

/* Everything the two methods say of one model. */
struct verdict {
	size_t count;
	uint32_t *cn;
	uint8_t *by_cn, *by_normal, *surface;
	double *angle_deg, (*normal)[3];
};

static void *room(size_t count, size_t size)
{
	void *p = calloc(count + 1, size);

	assert_non_null(p);
	return p;
}

static void judge_cn(struct verdict *v, const struct pn_neighbors *shell, double tolerance,
		     int threads)
{
	double *csp = room(v->count, sizeof *csp);

	assert_int_equal(pn_csp_shell(csp, shell, threads, NULL), PN_OK);
	assert_int_equal(
		pn_facet_by_cn(v->by_cn, shell, csp, a_A / sqrt(2), tolerance, threads, NULL),
		PN_OK);
	free(csp);
}

static struct verdict judge(const struct kit_model *model, const double to_lab[3][3],
			    double tolerance, int threads)
{
	size_t n = model->count;
	struct verdict v = { n,          room(n, 4), room(n, 1), room(n, 1),
			     room(n, 1), room(n, 8), room(n, 24) };
	struct pn_atoms atoms = kit_view(model);
	struct pn_neighbors shell;
	struct pn_error err = { 0 };

	assert_int_equal(pn_neighbors_build(&shell, &atoms, pn_facet_cutoff_A(a_A), 1, NULL),
			 PN_OK);
	for (size_t i = 0; i < n; i++) {
		v.cn[i] = pn_neighbors_count(&shell, i);
		v.surface[i] = v.cn[i] < 12;
	}
	judge_cn(&v, &shell, tolerance, threads);
	if (pn_facet_by_normal(v.by_normal, v.angle_deg, v.normal, &shell, &atoms, v.surface, a_A,
			       to_lab, threads, &err))
		fail_msg("%s", err.text);
	pn_neighbors_free(&shell);
	return v;
}

static void verdict_free(struct verdict *v)
{
	free(v->cn);
	free(v->by_cn);
	free(v->by_normal);
	free(v->surface);
	free(v->angle_deg);
	free(v->normal);
}

/* Rhombic dodecahedron: |x| + |y|, |y| + |z|, |z| + |x| <= @layers a/2. */
static struct kit_model dodecahedron(int layers)
{
	int reach = layers;
	size_t side = (size_t)(2 * reach + 1);
	struct kit_model m = { room(side * side * side, 24), room(side * side * side, 1), 0 };

	for (int z = -reach; z <= reach; z++)
		for (int y = -reach; y <= reach; y++)
			for (int x = -reach; x <= reach; x++) {
				if ((x + y + z) & 1 || abs(x) + abs(y) > layers ||
				    abs(y) + abs(z) > layers || abs(z) + abs(x) > layers)
					continue;
				m.position_A[m.count][0] = x * a_A / 2;
				m.position_A[m.count][1] = y * a_A / 2;
				m.position_A[m.count][2] = z * a_A / 2;
				m.element[m.count++] = 78;
			}
	return m;
}

/* A face of a solid: the plane normal . x = height. */
struct face {
	double normal[3], height;
	enum pn_facet kind;
};

/* The {100} faces at @height_100 (none if 0) and the {111} faces at @height_111. */
static size_t faces_of(struct face face[14], double height_100, double height_111)
{
	size_t count = 0;

	for (int f = 0; f < 6 && height_100 > 0; f++) {
		face[count] = (struct face){ { 0 }, height_100, PN_FACET_100 };
		face[count++].normal[f / 2] = f & 1 ? 1 : -1;
	}
	for (int f = 0; f < 8; f++)
		face[count++] =
			(struct face){ { (f & 1 ? 1 : -1) / sqrt(3), (f & 2 ? 1 : -1) / sqrt(3),
					 (f & 4 ? 1 : -1) / sqrt(3) },
				       height_111,
				       PN_FACET_111 };
	return count;
}

static double highest(const struct kit_model *model, const double axis[3])
{
	double top = 0, length = sqrt(axis[0] * axis[0] + axis[1] * axis[1] + axis[2] * axis[2]);

	for (size_t i = 0; i < model->count; i++) {
		const double *p = model->position_A[i];

		top = fmax(top, (p[0] * axis[0] + p[1] * axis[1] + p[2] * axis[2]) / length);
	}
	return top;
}

/* Whether atom @i is farther than a first and second neighbour from all edges and vertices. */
static int is_deep(const struct kit_model *model, const uint8_t *by_cn, size_t i)
{
	for (size_t j = 0; j < model->count; j++) {
		double d2 = 0;

		for (int k = 0; k < 3; k++)
			d2 += pow(model->position_A[i][k] - model->position_A[j][k], 2);
		if ((by_cn[j] == PN_FACET_EDGE || by_cn[j] == PN_FACET_VERTEX) &&
		    d2 < 1.1 * a_A * a_A)
			return 0;
	}
	return 1;
}

/*
 * The truth is from geometry: an atom on one face belongs to it, on two it is an edge, on more a
 * vertex. By CN everything is to be right; by normal, averaged over a, what is not next to an edge.
 */
static void check_solid(enum pn_shape shape, size_t count, int has_100)
{
	struct kit_model model = kit_solid(shape, count, a_A, 78);
	struct verdict v = judge(&model, upright, 0.5, 1);
	const double x[3] = { 1, 0, 0 }, xyz[3] = { 1, 1, 1 };
	struct face face[14];
	size_t faces = faces_of(face, has_100 ? highest(&model, x) : 0, highest(&model, xyz));
	size_t seen[PN_FACET_KINDS] = { 0 }, inner = 0, deep = 0, right = 0;

	for (size_t i = 0; i < model.count; i++) {
		const double *p = model.position_A[i];
		enum pn_facet kind = PN_FACET_NONE;
		int on = 0;

		for (size_t f = 0; f < faces; f++) {
			double h = p[0] * face[f].normal[0] + p[1] * face[f].normal[1] +
				   p[2] * face[f].normal[2];

			if (fabs(h - face[f].height) < 0.01) {
				on++;
				kind = face[f].kind;
			}
		}
		if (on > 1)
			kind = on == 2 ? PN_FACET_EDGE : PN_FACET_VERTEX;
		assert_int_equal(v.by_cn[i], kind);
		seen[kind]++;
		if (on == 1) {
			inner++;
			right += v.by_normal[i] == kind;
			if (is_deep(&model, v.by_cn, i)) {
				deep++;
				assert_int_equal(v.by_normal[i], kind);
				assert_true(v.angle_deg[i] < 13);
			}
		}
		assert_int_equal(v.by_normal[i] == PN_FACET_NONE, on == 0);
		assert_int_equal(isnan(v.angle_deg[i]), on == 0);
	}
	print_message(
		"%zu atoms: %zu {111} %zu {100} %zu edge %zu vertex; by normal right %zu of %zu "
		"in facets, %zu of them deep\n",
		model.count, seen[1], seen[2], seen[4], seen[5], right, inner, deep);
	assert_true(deep > 0);
	assert_true(seen[PN_FACET_111] && seen[PN_FACET_EDGE] && seen[PN_FACET_VERTEX]);
	verdict_free(&v);
	kit_free(&model);
}

static void perfect_solids_have_their_facets(void **state)
{
	(void)state;
	check_solid(PN_SHAPE_CUBOCTAHEDRON, 309, 1);
	check_solid(PN_SHAPE_CUBOCTAHEDRON, 1415, 1);
	check_solid(PN_SHAPE_OCTAHEDRON, 344, 0);
	check_solid(PN_SHAPE_OCTAHEDRON, 1469, 0);
	check_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 586, 1);
	check_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 1289, 1);
}

/* What the neighbours of a {110} ridge atom have: 2 x 7 along the ridge, valleys, bulk below. */
static int is_ridge(const struct pn_neighbors *shell, size_t i)
{
	int along = 0, low = 0;

	for (uint32_t e = shell->start[i]; e < shell->start[i + 1]; e++) {
		uint32_t cn = pn_neighbors_count(shell, shell->atom[e]);

		along += cn == 7;
		low += cn >= 10;
	}
	return along == 2 && low == 5;
}

/* {110} facets: ridges have CN 7 and CSP 5 as edges of {111} have; the two are told apart. */
static void ridges_are_not_edges(void **state)
{
	(void)state;
	for (int layers = 10; layers <= 15; layers++) {
		struct kit_model model = dodecahedron(layers);
		struct verdict v = judge(&model, upright, 0.5, 1);
		struct pn_atoms atoms = kit_view(&model);
		struct pn_neighbors shell;
		size_t ridges = 0, rest = 0, normal = 0;

		assert_int_equal(pn_neighbors_build(&shell, &atoms, 3.3, 1, NULL), PN_OK);
		for (size_t i = 0; i < model.count; i++) {
			if (v.cn[i] == 11)
				assert_int_equal(v.by_cn[i], PN_FACET_OTHER);
			if (v.cn[i] != 7)
				continue;
			if (is_ridge(&shell, i)) {
				assert_int_equal(v.by_cn[i], PN_FACET_110);
				ridges++;
				normal += v.by_normal[i] == PN_FACET_110;
			} else {
				assert_int_equal(v.by_cn[i], PN_FACET_EDGE);
				rest++;
			}
		}
		print_message(
			"%zu atoms, %zu on ridges (%zu {110} by normal), %zu ends of ridges\n",
			model.count, ridges, normal, rest);
		assert_true(ridges > 100 && rest > 10);
		assert_true(normal >= ridges * 8 / 10);
		pn_neighbors_free(&shell);
		verdict_free(&v);
		kit_free(&model);
	}
}

static void check_invariance(const struct kit_model *model)
{
	struct kit_model other = kit_copy(model);
	uint32_t *from = room(model->count, sizeof *from);
	double turn[3][3] = { { 0 } };
	struct kit_model axes = { room(4, 24), room(4, 1), 4 };

	/* the same turn on unit vectors gives the rotation that was made */
	for (int k = 0; k < 3; k++)
		axes.position_A[k][k] = 1;
	kit_turn(&axes, 21);
	for (int k = 0; k < 3; k++)
		for (int j = 0; j < 3; j++)
			turn[j][k] = axes.position_A[k][j] - axes.position_A[3][j];
	kit_free(&axes);
	kit_turn(&other, 21);
	kit_shuffle(&other, 22, from);

	struct verdict a = judge(model, upright, 0.5, 1);
	struct verdict b = judge(&other, (const double(*)[3])turn, 0.5, 1);
	struct verdict c = judge(&other, (const double(*)[3])turn, 0.5, 2);

	for (size_t i = 0; i < model->count; i++) {
		uint32_t j = from[i];

		assert_int_equal(b.by_cn[i], a.by_cn[j]);
		assert_int_equal(b.by_normal[i], a.by_normal[j]);
		kit_near(b.angle_deg[i], a.angle_deg[j], 1e-9);
		for (int k = 0; k < 3; k++)
			kit_near(b.normal[i][k],
				 turn[k][0] * a.normal[j][0] + turn[k][1] * a.normal[j][1] +
					 turn[k][2] * a.normal[j][2],
				 1e-10);
	}
	assert_memory_equal(b.by_cn, c.by_cn, model->count);
	assert_memory_equal(b.by_normal, c.by_normal, model->count);
	assert_memory_equal(b.normal, c.normal, model->count * sizeof *b.normal);
	assert_memory_equal(b.angle_deg, c.angle_deg, model->count * sizeof *b.angle_deg);
	verdict_free(&a);
	verdict_free(&b);
	verdict_free(&c);
	free(from);
	kit_free(&other);
}

static void turned_and_renumbered(void **state)
{
	(void)state;
	struct kit_model perfect = kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 586, a_A, 78);
	struct kit_model shaken = kit_copy(&perfect), gas = kit_gas(400, 12, 78, 2);
	struct kit_model rhombic = dodecahedron(8);

	kit_shake(&shaken, 0.15, 7);
	check_invariance(&perfect);
	check_invariance(&shaken);
	check_invariance(&gas);
	check_invariance(&rhombic);
	kit_free(&perfect);
	kit_free(&shaken);
	kit_free(&gas);
	kit_free(&rhombic);
}

/* Noise as in measured models: what stays right inside the facets. */
static void noise_is_borne(void **state)
{
	(void)state;
	static const double sigma_A[] = { 0.05, 0.1, 0.2 };

	for (size_t s = 0; s < PN_COUNT(sigma_A); s++) {
		struct kit_model model = kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 2406, a_A, 78);
		struct verdict truth = judge(&model, upright, 0.5, 1);

		kit_shake(&model, sigma_A[s], 11);
		struct verdict v = judge(&model, upright, 1, 1);
		size_t inside = 0, cn = 0, normal = 0;

		for (size_t i = 0; i < model.count; i++) {
			if ((truth.by_cn[i] != PN_FACET_111 && truth.by_cn[i] != PN_FACET_100) ||
			    !is_deep(&model, truth.by_cn, i))
				continue;
			inside++;
			cn += v.by_cn[i] == truth.by_cn[i];
			normal += v.by_normal[i] == truth.by_cn[i];
		}
		print_message("sigma %.2f A: right deep inside facets %.3f by CN, %.3f by normal\n",
			      sigma_A[s], (double)cn / (double)inside,
			      (double)normal / (double)inside);
		assert_true(normal >= inside * 95 / 100);
		if (sigma_A[s] < 0.11)
			assert_true(cn >= inside * 95 / 100);
		verdict_free(&v);
		verdict_free(&truth);
		kit_free(&model);
	}
}

/* ------------------------------------------------------------------ odd input */

/* Fewer than 4 atoms, a row, a sheet, atoms at one place: no normals, no crash. */
static void flat_and_few(void **state)
{
	(void)state;
	double position[30][3] = { { 0 } };
	uint8_t element[30] = { 0 };
	struct kit_model model = { position, element, 0 };

	for (int form = 0; form < 3; form++)
		for (size_t n = 1; n <= 30; n += n < 5 ? 1 : 5) {
			model.count = n;
			for (size_t i = 0; i < n; i++) {
				position[i][0] = form == 2 ? 1 : 2.7 * (double)(i % 5);
				position[i][1] = form == 1 ? 2.7 * (double)(i / 5) : 0;
				position[i][0] *= form == 0 && i >= 5 ? 1.1 : 1;
			}
			struct verdict v = judge(&model, upright, 0.5, 2);

			for (size_t i = 0; i < n; i++) {
				assert_int_equal(v.by_normal[i],
						 v.cn[i] < 12 ? PN_FACET_OTHER : PN_FACET_NONE);
				assert_true(isnan(v.angle_deg[i]) && isnan(v.normal[i][0]));
				if (n < 5)
					assert_int_equal(v.by_cn[i], PN_FACET_OTHER);
			}
			verdict_free(&v);
		}
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	struct kit_model model = kit_solid(PN_SHAPE_OCTAHEDRON, 85, a_A, 78);
	struct pn_atoms atoms = kit_view(&model), fewer = atoms;
	struct pn_neighbors shell, wide;
	struct pn_error err = { 0 };
	uint8_t facet[85], all[85];
	double value[85], bent[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0.1, 1 } };

	fewer.count--;
	memset(all, 1, sizeof all);
	memset(value, 0, sizeof value);
	assert_int_equal(pn_neighbors_build(&shell, &atoms, 3.3, 1, NULL), PN_OK);
	assert_int_equal(pn_neighbors_build(&wide, &atoms, 9, 1, NULL), PN_OK);
	assert_int_equal(pn_facet_by_cn(facet, &shell, value, 0, 0.5, 1, &err), PN_EARG);
	assert_int_equal(pn_facet_by_cn(facet, &shell, value, 2.7, 0, 1, &err), PN_EARG);
	assert_int_equal(pn_facet_by_cn(facet, &shell, value, 2.7, 1, 0, &err), PN_EARG);
#define BY_NORMAL(shell_, atoms_, a_, turn_, threads_)                        \
	pn_facet_by_normal(facet, value, NULL, (shell_), (atoms_), all, (a_), \
			   (const double(*)[3])(turn_), (threads_), &err)
	assert_int_equal(BY_NORMAL(&shell, &atoms, a_A, upright, 1), PN_OK);
	assert_int_equal(BY_NORMAL(&shell, &atoms, 0, upright, 1), PN_EARG);
	assert_int_equal(BY_NORMAL(&shell, &atoms, NAN, upright, 1), PN_EARG);
	assert_int_equal(BY_NORMAL(&shell, &atoms, a_A, upright, 0), PN_EARG);
	assert_int_equal(BY_NORMAL(&shell, &atoms, a_A, bent, 1), PN_EARG);
	assert_int_equal(BY_NORMAL(&shell, &fewer, a_A, upright, 1), PN_EARG);
	assert_int_equal(BY_NORMAL(&wide, &atoms, a_A, upright, 1), PN_EARG);
	assert_non_null(strstr(err.text, "more than 40"));
#undef BY_NORMAL
	pn_neighbors_free(&shell);
	pn_neighbors_free(&wide);
	kit_free(&model);
}

static void kinds_have_names(void **state)
{
	(void)state;
	assert_string_equal(pn_facet_name(PN_FACET_NONE), "none");
	assert_string_equal(pn_facet_name(PN_FACET_110), "110");
	assert_string_equal(pn_facet_name(PN_FACET_OTHER), "other");
	assert_string_equal(pn_facet_name(-1), "?");
	assert_string_equal(pn_facet_name(PN_FACET_KINDS), "?");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(perfect_solids_have_their_facets),
		cmocka_unit_test(ridges_are_not_edges),
		cmocka_unit_test(turned_and_renumbered),
		cmocka_unit_test(noise_is_borne),
		cmocka_unit_test(flat_and_few),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(kinds_have_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
