/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The part of a sphere that is inside a mesh: closed forms, chance, and V at the end. */
#include "kit.h"

#include "perrin/atoms/rdf.h"
#include "perrin/base/rng.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Solids with faces of 3 or 4 corners, written down by hand; no kernel has made them. */
struct body {
	double position_A[24][3];
	uint8_t element[24], on_mesh[24];
	uint32_t triangle[48][3];
	size_t atoms, triangles;
	double volume_A3;
};

static struct pn_atoms view(const struct body *b)
{
	return (struct pn_atoms){ b->position_A, b->element, b->atoms };
}

static struct pn_surface mesh(struct body *b)
{
	for (size_t f = 0; f < b->triangles; f++)
		for (int m = 0; m < 3; m++)
			b->on_mesh[b->triangle[f][m]] = 1;
	return (struct pn_surface){ .atoms = b->atoms,
				    .triangles = b->triangles,
				    .triangle = b->triangle,
				    .on_mesh = b->on_mesh,
				    .volume_A3 = b->volume_A3 };
}

static void add_atom(struct body *b, double x, double y, double z, uint8_t element)
{
	double p[3] = { x, y, z };

	memcpy(b->position_A[b->atoms], p, sizeof p);
	b->element[b->atoms++] = element;
}

/* Cube of edge 2 a around the origin; its corners are of element 1. @out: 1 or, for a cavity, 0. */
static void add_cube(struct body *b, double a, int out)
{
	static const uint8_t face[6][4] = { { 0, 2, 3, 1 }, { 4, 5, 7, 6 }, { 0, 1, 5, 4 },
					    { 2, 6, 7, 3 }, { 0, 4, 6, 2 }, { 1, 3, 7, 5 } };
	uint32_t first = (uint32_t)b->atoms;

	for (int i = 0; i < 8; i++)
		add_atom(b, i & 1 ? a : -a, i & 2 ? a : -a, i & 4 ? a : -a, 1);
	for (int f = 0; f < 6; f++)
		for (int half = 0; half < 2; half++) {
			uint32_t *t = b->triangle[b->triangles++];

			t[0] = first + face[f][0];
			t[out ? 1 : 2] = first + face[f][1 + half];
			t[out ? 2 : 1] = first + face[f][2 + half];
		}
	b->volume_A3 += (out ? 8 : -8) * a * a * a;
}

static void area_of(double *area_A2, const double *radius_A, size_t count, struct body *b,
		    uint8_t element)
{
	struct pn_atoms atoms = view(b);
	struct pn_surface surface = mesh(b);
	struct pn_error err = { 0 };

	if (pn_rdf_shell_area(area_A2, radius_A, count, &atoms, element, &surface, 1, &err))
		fail_msg("%s", err.text);
}

/* Fraction of the sphere of radius r around the middle of a cube of edge 2 a, in slices. */
static double cube_fraction(double r, double a)
{
	enum { SLICES = 400000 };
	double sum = 0, top = fmin(a, r);

	for (int i = 0; i < SLICES; i++) {
		double z = top * (i + 0.5) / SLICES, rho = sqrt(r * r - z * z);

		sum += rho <= a ? 1 : rho >= sqrt(2) * a ? 0 : 1 - 4 / M_PI * acos(a / rho);
	}
	return sum / SLICES * top / r;
}

/* A cube: whole spheres, caps cut off, then only its corners. Seen from a corner it is an octant.
 */
static void cube_by_slices(void **state)
{
	(void)state;
	struct body b = { .atoms = 0 };
	double r[60], middle[60], corner[60];

	add_cube(&b, 5, 1);
	add_atom(&b, 0, 0, 0, 2);
	for (int k = 0; k < 60; k++)
		r[k] = 0.3 * k;
	area_of(middle, r, 60, &b, 2);
	area_of(corner, r, 60, &b, 1);
	for (int k = 1; k < 60; k++) {
		double sphere = 4 * M_PI * r[k] * r[k];
		double caps = r[k] < 5 ? 1 : 1 - 3 * (1 - 5 / r[k]);

		if (r[k] < 5 * sqrt(2))
			kit_near(middle[k] / sphere, caps, 1e-13);
		kit_near(middle[k] / sphere, cube_fraction(r[k], 5), 1e-7);
		kit_near(corner[k] / sphere, cube_fraction(r[k], 10), 1e-7);
		if (r[k] < 10)
			kit_near(corner[k] / sphere, 1, 1e-13);
	}
	assert_true(middle[0] == 0 && corner[0] == 0);
	assert_true(middle[30] < 1e-9); /* beyond the corners at 8.66 */
}

/* An atom off the middle is left with its caps, each by its own distance. */
static void caps_of_an_eccentric_atom(void **state)
{
	(void)state;
	struct body b = { .atoms = 0 };
	double p[3] = { 0.7, -0.4, 1.9 }, r[32], area[32];

	add_cube(&b, 5, 1);
	add_atom(&b, p[0], p[1], p[2], 2);
	for (int k = 0; k < 32; k++)
		r[k] = 0.1 + 0.16 * k; /* up to 5.06: the nearest edge is at 5.50 */
	area_of(area, r, 32, &b, 2);
	for (int k = 0; k < 32; k++) {
		double angle = 4 * M_PI;

		for (int side = 0; side < 6; side++) {
			double h = 5 + (side % 2 ? 1 : -1) * p[side / 2];

			angle -= r[k] > h ? 2 * M_PI * (1 - h / r[k]) : 0;
		}
		kit_near(area[k], angle * r[k] * r[k], 1e-13);
	}
}

/* Interior angles: tetrahedron acos(23/27), octahedron 4 asin(1/3), cube pi/2. */
static void corners_have_their_angles(void **state)
{
	(void)state;
	struct body tetrahedron = {
		.position_A = { { 1, 1, 1 }, { 1, -1, -1 }, { -1, 1, -1 }, { -1, -1, 1 } },
		.element = { 1, 1, 1, 1 },
		.triangle = { { 0, 1, 2 }, { 0, 3, 1 }, { 0, 2, 3 }, { 1, 3, 2 } },
		.atoms = 4,
		.triangles = 4,
	};
	struct body octahedron = {
		.position_A = { { 1, 0, 0 },
				{ -1, 0, 0 },
				{ 0, 1, 0 },
				{ 0, -1, 0 },
				{ 0, 0, 1 },
				{ 0, 0, -1 } },
		.element = { 1, 1, 1, 1, 1, 1 },
		.triangle = { { 0, 2, 4 },
			      { 2, 1, 4 },
			      { 1, 3, 4 },
			      { 3, 0, 4 },
			      { 2, 0, 5 },
			      { 1, 2, 5 },
			      { 3, 1, 5 },
			      { 0, 3, 5 } },
		.atoms = 6,
		.triangles = 8,
	};
	struct body cube = { .atoms = 0 };
	double r = 0.125, area;

	area_of(&area, &r, 1, &tetrahedron, 0);
	kit_near(area / (r * r), 4 * acos(23.0 / 27), 1e-13);
	area_of(&area, &r, 1, &octahedron, 1);
	kit_near(area / (r * r), 6 * 4 * asin(1.0 / 3), 1e-13);
	add_cube(&cube, 1, 1);
	area_of(&area, &r, 1, &cube, 0);
	kit_near(area / (r * r), 8 * M_PI / 2, 1e-13);
}

/* A cavity is outside: the sphere comes into the body through its walls. */
static void cavity_is_outside(void **state)
{
	(void)state;
	struct body b = { .atoms = 0 };
	double r[40], area[40];

	add_cube(&b, 5, 1);
	add_cube(&b, 2, 0);
	add_atom(&b, 0, 0, 0, 2);
	for (int k = 0; k < 40; k++)
		r[k] = 0.1 + 0.22 * k;
	area_of(area, r, 40, &b, 2);
	for (int k = 0; k < 40; k++)
		kit_near(area[k] / (4 * M_PI * r[k] * r[k]),
			 cube_fraction(r[k], 5) - cube_fraction(r[k], 2), 2e-7);
}

/* A second atom at a corner, or next to one, sees what the corner sees. */
static void doubles_of_a_corner(void **state)
{
	(void)state;
	struct body b = { .atoms = 0 };
	double r[50], once[50], twice[50];

	add_cube(&b, 5, 1);
	b.element[3] = 3;
	for (int k = 0; k < 50; k++)
		r[k] = 0.01 + 0.31 * k;
	area_of(once, r, 50, &b, 3);
	for (int e = 0; e < 4; e++) {
		double off = (const double[]){ 0, 1e-13, 1e-9, -1e-8 }[e];

		b.atoms = 8;
		add_atom(&b, 5 - off, 5 + 0.3 * off, -5, 4);
		area_of(twice, r, 50, &b, 4);
		/* at most a wall of 1e-8 A is seen from the other side */
		for (int k = 0; k < 50; k++)
			kit_near(twice[k], once[k], off == 0 ? 1e-13 : 1e-5);
	}
}

/* ---- bodies without symmetry --------------------------------------------------------------- */

static void build(struct pn_surface *surface, const struct kit_model *model, double radius_A)
{
	struct pn_atoms atoms = kit_view(model);
	struct pn_error err = { 0 };

	if (pn_surface_build(surface, &atoms, radius_A, 1, &err))
		fail_msg("%s", err.text);
	assert_true(surface->triangles > 50);
}

static void cross(double out[3], const double a[3], const double b[3])
{
	out[0] = a[1] * b[2] - a[2] * b[1];
	out[1] = a[2] * b[0] - a[0] * b[2];
	out[2] = a[0] * b[1] - a[1] * b[0];
}

/* Winding number of a point: all solid angles over 4 pi. */
static int within(const double q[3], const struct kit_model *model,
		  const struct pn_surface *surface)
{
	double sum = 0;

	for (size_t f = 0; f < surface->triangles; f++) {
		double v[3][3], n[3], s[3], d[3];

		for (int m = 0; m < 3; m++)
			for (int k = 0; k < 3; k++)
				v[m][k] = model->position_A[surface->triangle[f][m]][k] - q[k];
		cross(n, v[1], v[2]);
		for (int m = 0; m < 3; m++) {
			const double *a = v[m], *b = v[(m + 1) % 3];

			s[m] = sqrt(a[0] * a[0] + a[1] * a[1] + a[2] * a[2]);
			d[m] = a[0] * b[0] + a[1] * b[1] + a[2] * b[2];
		}
		sum += 2 * atan2(v[0][0] * n[0] + v[0][1] * n[1] + v[0][2] * n[2],
				 s[0] * s[1] * s[2] + d[0] * s[2] + d[1] * s[0] + d[2] * s[1]);
	}
	return (int)lrint(sum / (4 * M_PI));
}

/* Points thrown at spheres around all atoms: as many as the area says are inside. */
static void chance_agrees(void **state)
{
	(void)state;
	enum { RADII = 5, THROWS = 6000 };
	struct kit_model model = kit_gas(80, 9, 78, 5);
	struct pn_atoms atoms = kit_view(&model);
	struct pn_surface surface;
	static const double r[RADII] = { 0.5, 2, 4, 7, 10 };
	double area[RADII];
	struct pn_rng rng;

	build(&surface, &model, 4.5);
	assert_int_equal(pn_rdf_shell_area(area, r, RADII, &atoms, 0, &surface, 1, NULL), 0);
	pn_rng_init(&rng, 3, 0);
	for (int k = 0; k < RADII; k++) {
		double sphere = 80 * 4 * M_PI * r[k] * r[k], f = area[k] / sphere;
		int hits = 0;

		for (int n = 0; n < THROWS; n++) {
			const double *p = model.position_A[n % 80];
			double u[3], length = 0, q[3];

			for (int i = 0; i < 3; i++) {
				u[i] = pn_rng_gauss(&rng);
				length += u[i] * u[i];
			}
			for (int i = 0; i < 3; i++)
				q[i] = p[i] + r[k] * u[i] / sqrt(length);
			hits += within(q, &model, &surface);
		}
		assert_true(f > 0.02 && f < 0.99);
		assert_true(fabs(hits / (double)THROWS - f) < 4 * sqrt(f * (1 - f) / THROWS));
	}
	pn_surface_free(&surface);
	kit_free(&model);
}

/* Each atom, wherever it is, finds the volume of the mesh when its spheres have passed it. */
static void shells_add_up_to_the_volume(void **state)
{
	(void)state;
	enum { RADII = 4001 };
	struct kit_model model = kit_gas(90, 9, 1, 8);
	struct pn_atoms atoms = kit_view(&model);
	struct pn_surface surface;
	double *r = malloc(2 * RADII * sizeof *r), *area = r + RADII, step = 20.0 / (RADII - 1);

	assert_non_null(r);
	build(&surface, &model, 4.5);
	for (size_t k = 0; k < RADII; k++)
		r[k] = step * (double)k;
	for (size_t i = 0; i < 90; i++)
		model.element[i] = (uint8_t)(i + 1);
	for (uint8_t z = 1; z <= 90; z += 3) {
		double volume = 0;

		assert_int_equal(pn_rdf_shell_area(area, r, RADII, &atoms, z, &surface, 1, NULL),
				 0);
		for (size_t k = 0; k < RADII; k++)
			volume += step * area[k];
		kit_near(volume, surface.volume_A3, 2e-6);
	}
	free(r);
	pn_surface_free(&surface);
	kit_free(&model);
}

static void turned_renumbered_and_shared_out(void **state)
{
	(void)state;
	enum { RADII = 97 };
	struct kit_model model = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 561, 3.912, 78);
	double r[RADII], first[RADII], area[RADII];

	for (int k = 0; k < RADII; k++)
		r[k] = 0.3 * k;
	for (uint64_t turn = 0; turn < 4; turn++) {
		struct pn_atoms atoms = kit_view(&model);
		struct pn_surface surface;
		double *to = turn ? area : first;

		build(&surface, &model, 2.77);
		assert_int_equal(pn_rdf_shell_area(to, r, RADII, &atoms, 0, &surface, 1, NULL), 0);
		for (int k = 1; k < RADII; k++) {
			double sphere = 4 * M_PI * r[k] * r[k] * (double)model.count;

			kit_near(to[k] / sphere, first[k] / sphere, 1e-13);
		}
		double other[RADII];

		for (int threads = 2; threads < 4; threads++) {
			assert_int_equal(pn_rdf_shell_area(other, r, RADII, &atoms, 0, &surface,
							   threads, NULL),
					 0);
			assert_memory_equal(to, other, sizeof other);
		}
		pn_surface_free(&surface);
		kit_turn(&model, turn);
		kit_shuffle(&model, turn, NULL);
	}
	kit_free(&model);
}

static void nonsense_is_refused(void **state)
{
	(void)state;
	struct body b = { .atoms = 0 };
	struct pn_error err = { 0 };
	double area[3];

	add_cube(&b, 5, 1);
	struct pn_atoms atoms = view(&b);
	struct pn_surface s = mesh(&b), open = s;

	open.triangles = 3;
	assert_int_equal(
		pn_rdf_shell_area(area, (double[]){ 1, 2, 1.9 }, 3, &atoms, 0, &s, 1, &err),
		PN_EARG);
	assert_non_null(strstr(err.text, "1.9"));
	assert_int_equal(pn_rdf_shell_area(area, (double[]){ -1 }, 1, &atoms, 0, &s, 1, &err),
			 PN_EARG);
	assert_int_equal(pn_rdf_shell_area(area, (double[]){ NAN }, 1, &atoms, 0, &s, 1, &err),
			 PN_EARG);
	assert_int_equal(pn_rdf_shell_area(area, (double[]){ 1 }, 1, &atoms, 0, &open, 1, &err),
			 PN_EARG);
	assert_int_equal(pn_rdf_shell_area(area, (double[]){ 1 }, 1, &atoms, 0, &s, 0, &err),
			 PN_EARG);
	assert_int_equal(pn_rdf_shell_area(area, NULL, 0, &atoms, 0, &s, 1, &err), PN_OK);
	/* nobody of this element: nothing to add up */
	assert_int_equal(pn_rdf_shell_area(area, (double[]){ 1 }, 1, &atoms, 9, &s, 1, &err),
			 PN_OK);
	assert_true(area[0] == 0);
	b.triangle[5][1] = 8;
	assert_int_equal(pn_rdf_shell_area(area, (double[]){ 1 }, 1, &atoms, 0, &s, 1, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "triangle 5 has atom 8"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cube_by_slices),
		cmocka_unit_test(caps_of_an_eccentric_atom),
		cmocka_unit_test(corners_have_their_angles),
		cmocka_unit_test(cavity_is_outside),
		cmocka_unit_test(doubles_of_a_corner),
		cmocka_unit_test(chance_agrees),
		cmocka_unit_test(shells_add_up_to_the_volume),
		cmocka_unit_test(turned_renumbered_and_shared_out),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
