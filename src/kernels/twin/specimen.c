/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/twin/specimen.h"

#include "perrin/base/element.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DIAMETER_NM_MAX 40.0
#define PIXEL_A         0.1 /* of the silhouette */

/* Streams of random numbers of one seed, one for each thing that is left to chance. */
enum { STREAM_VACANCY = 0x73700001, STREAM_ALLOY, STREAM_THERMAL };

static const char *const shape_words[] = { "sphere", "cuboctahedron", "truncated_octahedron",
					   "octahedron", NULL };

#define OFF(field) offsetof(struct pn_specimen_params, field)

const struct pn_param pn_specimen_param_table[] = {
	{ .name = "shape",
	  .help = "outline of the particle",
	  .type = PN_PARAM_ENUM,
	  .off = OFF(shape),
	  .def = PN_SHAPE_TRUNCATED_OCTAHEDRON,
	  .choices = shape_words },
	{ .name = "element",
	  .help = "symbol of the metal",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(element),
	  .def_text = "Pt" },
	{ .name = "shell_element",
	  .help = "symbol of the metal of the shell; empty: no shell",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(shell_element) },
	{ .name = "alloy_element",
	  .help = "symbol of the metal mixed in at random; empty: none",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(alloy_element) },
	{ .name = "diameter_nm",
	  .unit = "nm",
	  .help = "diameter of the sphere of equal volume",
	  .type = PN_PARAM_F64,
	  .off = OFF(diameter_nm),
	  .def = 2.4,
	  .min = 0.1,
	  .max = DIAMETER_NM_MAX },
	{ .name = "lattice_A",
	  .unit = "A",
	  .help = "edge of the cubic cell; 0: bulk value of the element",
	  .type = PN_PARAM_F64,
	  .off = OFF(lattice_A),
	  .def = 0,
	  .min = 0,
	  .max = 20 },
	{ .name = "shell_nm",
	  .unit = "nm",
	  .help = "depth of the shell below the surface",
	  .type = PN_PARAM_F64,
	  .off = OFF(shell_nm),
	  .def = 0,
	  .min = 0,
	  .max = DIAMETER_NM_MAX },
	{ .name = "alloy_fraction",
	  .help = "part of the core's atoms that are alloy_element",
	  .type = PN_PARAM_F64,
	  .off = OFF(alloy_fraction),
	  .def = 0,
	  .min = 0,
	  .max = 1 },
	{ .name = "vacancy_fraction",
	  .help = "part of the sites that are empty",
	  .type = PN_PARAM_F64,
	  .off = OFF(vacancy_fraction),
	  .def = 0,
	  .min = 0,
	  .max = 1 },
	{ .name = "thermal_A",
	  .unit = "A",
	  .help = "static displacement, rms along each axis",
	  .type = PN_PARAM_F64,
	  .off = OFF(thermal_A),
	  .def = 0,
	  .min = 0,
	  .max = 2 },
	{ 0 },
};

/*
 * Sites are integers (x, y, z) in units of a/2 whose sum has one parity; even: the origin is an
 * atom, odd: it is an octahedral hole. The faces are |x|+|y|+|z| = octa and max(|x|,|y|,|z|) =
 * cube.
 */
struct outline {
	int sphere;
	int octa, cube, parity;
	int reach;     /* no |x|, |y| or |z| is larger */
	double radius; /* of the sphere, in a/2        */
};

static double diameter_of_count(double count, double lattice_A)
{
	return cbrt(6 * count * lattice_A * lattice_A * lattice_A / (4 * M_PI));
}

static double shell_count(int n)
{
	return (10.0 * n * n * n + 15.0 * n * n + 11.0 * n + 3) / 3;
}

static double octahedron_count(int m)
{
	return m * (2.0 * m * m + 1) / 3;
}

/* Each of 6 vertices loses layers of 1, 4, 9, ... cut^2 atoms. */
static double truncated_count(int m)
{
	int cut = m / 3;

	return octahedron_count(m) - cut * (cut + 1.0) * (2 * cut + 1);
}

static int nearest_size(double (*count_of)(int), int size, double diameter_A, double lattice_A)
{
	while (diameter_of_count(count_of(size + 1), lattice_A) <= diameter_A)
		size++;
	double below = diameter_of_count(count_of(size), lattice_A);
	double above = diameter_of_count(count_of(size + 1), lattice_A);

	return above - diameter_A < diameter_A - below ? size + 1 : size;
}

static struct outline outline_of(int shape, double diameter_A, double lattice_A)
{
	struct outline o = { 0 };
	int n;

	switch (shape) {
	case PN_SHAPE_SPHERE:
		o.sphere = 1;
		o.radius = diameter_A / lattice_A;
		o.reach = (int)o.radius;
		break;
	case PN_SHAPE_CUBOCTAHEDRON:
		n = nearest_size(shell_count, 1, diameter_A, lattice_A);
		o.octa = 2 * n;
		o.cube = o.reach = n;
		break;
	default:
		n = shape == PN_SHAPE_OCTAHEDRON
			    ? nearest_size(octahedron_count, 2, diameter_A, lattice_A)
			    : nearest_size(truncated_count, 4, diameter_A, lattice_A);
		o.octa = n - 1;
		o.cube = o.reach = shape == PN_SHAPE_OCTAHEDRON ? n - 1 : n - 1 - n / 3;
		o.parity = (n - 1) & 1;
		break;
	}
	return o;
}

/* Depth below the surface in units of a/2; negative: outside. */
static double depth_of(const struct outline *o, int x, int y, int z)
{
	if (o->sphere)
		return o->radius - sqrt((double)x * x + (double)y * y + (double)z * z);
	int ax = abs(x), ay = abs(y), az = abs(z);
	int top = ax > ay ? ax : ay;

	if (az > top)
		top = az;
	return fmin((o->octa - ax - ay - az) / sqrt(3), o->cube - top);
}

static int is_site(const struct outline *o, int x, int y, int z)
{
	return ((x + y + z) & 1) == o->parity && depth_of(o, x, y, z) >= 0;
}

static size_t count_sites(const struct outline *o)
{
	size_t count = 0;

	for (int z = -o->reach; z <= o->reach; z++)
		for (int y = -o->reach; y <= o->reach; y++)
			for (int x = -o->reach; x <= o->reach; x++)
				count += is_site(o, x, y, z);
	return count;
}

static int specimen_alloc(struct pn_specimen **out, size_t count, struct pn_error *err)
{
	struct pn_specimen *s = calloc(1, sizeof *s);
	size_t room = count ? count : 1; /* an empty specimen has arrays too */

	*out = s;
	if (s) {
		s->count = count;
		s->position_A = malloc(room * sizeof *s->position_A);
		s->atomic_number = malloc(room * sizeof *s->atomic_number);
		s->id = malloc(room * sizeof *s->id);
	}
	if (s && s->position_A && s->atomic_number && s->id)
		return PN_OK;
	pn_specimen_destroy(s);
	*out = NULL;
	return pn_error_set(err, PN_ENOMEM, "specimen: no memory for %zu atoms", count);
}

static void fill_sites(struct pn_specimen *s, const struct outline *o, int core, int shell,
		       double shell_A)
{
	double half = s->lattice_A / 2;
	size_t n = 0;

	for (int z = -o->reach; z <= o->reach; z++)
		for (int y = -o->reach; y <= o->reach; y++)
			for (int x = -o->reach; x <= o->reach; x++) {
				if (!is_site(o, x, y, z))
					continue;
				s->position_A[n][0] = half * x;
				s->position_A[n][1] = half * y;
				s->position_A[n][2] = half * z;
				s->atomic_number[n] =
					(uint8_t)(shell && depth_of(o, x, y, z) * half < shell_A
							  ? shell
							  : core);
				n++;
			}
	pn_assert(n == s->count);
}

static size_t share(double fraction, size_t count)
{
	return (size_t)(fraction * (double)count + 0.5);
}

/* Selection sampling (Knuth, TAOCP 2, 3.4.2 S): every subset of the wanted size is equally likely.
 */
static void leave_vacancies(struct pn_specimen *s, double fraction, uint64_t seed)
{
	size_t wanted = share(fraction, s->count), left = s->count, kept = 0;
	struct pn_rng rng;

	pn_rng_init(&rng, seed, STREAM_VACANCY);
	for (size_t i = 0; i < s->count; i++, left--) {
		if (pn_rng_below(&rng, (uint32_t)left) < wanted) {
			wanted--;
			continue;
		}
		memmove(s->position_A[kept], s->position_A[i], sizeof *s->position_A);
		s->atomic_number[kept++] = s->atomic_number[i];
	}
	s->count = kept;
}

static void mix_alloy(struct pn_specimen *s, double fraction, int core, int alloy, uint64_t seed)
{
	size_t left = 0;
	struct pn_rng rng;

	for (size_t i = 0; i < s->count; i++)
		left += s->atomic_number[i] == core;
	size_t wanted = share(fraction, left);

	pn_rng_init(&rng, seed, STREAM_ALLOY);
	for (size_t i = 0; i < s->count; i++) {
		if (s->atomic_number[i] != core)
			continue;
		if (pn_rng_below(&rng, (uint32_t)left--) < wanted) {
			s->atomic_number[i] = (uint8_t)alloy;
			wanted--;
		}
	}
}

/* The named element, or 0 if the text is empty. */
static int read_element(const char *key, const char *symbol, int *z, struct pn_error *err)
{
	*z = pn_element_of_symbol(symbol);
	if (*symbol && !*z)
		return pn_error_set(err, PN_EARG, "specimen.%s: '%.16s' is no element", key,
				    symbol);
	return PN_OK;
}

static int check_number(const char *key, double value, double min, double max, struct pn_error *err)
{
	if (value >= min && value <= max)
		return PN_OK;
	return pn_error_set(err, PN_EARG, "specimen.%s = %g: must be %g..%g", key, value, min, max);
}

struct recipe {
	int core, shell, alloy;
	double lattice_A;
};

static int check_numbers(const struct pn_specimen_params *p, struct pn_error *err)
{
	int rc = check_number("diameter_nm", p->diameter_nm, 0.1, DIAMETER_NM_MAX, err);

	if (!rc)
		rc = check_number("shell_nm", p->shell_nm, 0, DIAMETER_NM_MAX, err);
	if (!rc)
		rc = check_number("alloy_fraction", p->alloy_fraction, 0, 1, err);
	if (!rc)
		rc = check_number("vacancy_fraction", p->vacancy_fraction, 0, 1, err);
	if (!rc)
		rc = check_number("thermal_A", p->thermal_A, 0, 2, err);
	if (!rc)
		rc = check_number("shape", p->shape, PN_SHAPE_SPHERE, PN_SHAPE_OCTAHEDRON, err);
	return rc;
}

static int read_recipe(struct recipe *r, const struct pn_specimen_params *p, struct pn_error *err)
{
	int rc = check_numbers(p, err);

	if (!rc)
		rc = read_element("element", p->element, &r->core, err);
	if (!rc)
		rc = read_element("shell_element", p->shell_element, &r->shell, err);
	if (!rc)
		rc = read_element("alloy_element", p->alloy_element, &r->alloy, err);
	if (rc)
		return rc;
	if (!r->core)
		return pn_error_set(err, PN_EARG, "specimen.element: must not be empty");
	if (p->shell_nm > 0 && !r->shell)
		return pn_error_set(err, PN_EARG, "specimen.shell_nm = %g: needs shell_element",
				    p->shell_nm);
	if (p->alloy_fraction > 0 && !r->alloy)
		return pn_error_set(err, PN_EARG,
				    "specimen.alloy_fraction = %g: needs alloy_element",
				    p->alloy_fraction);
	r->lattice_A = p->lattice_A == 0 ? pn_lattice_constant_A(r->core) : p->lattice_A;
	if (r->lattice_A == 0)
		return pn_error_set(
			err, PN_EARG,
			"specimen.lattice_A: no fcc lattice constant is known for %s; give one",
			p->element);
	return check_number("lattice_A", r->lattice_A, 2, 20, err);
}

int pn_specimen_create(struct pn_specimen **spec, const struct pn_specimen_params *params,
		       uint64_t seed, struct pn_error *err)
{
	struct recipe r = { 0 };
	struct pn_specimen *s;
	struct pn_rng rng;

	*spec = NULL;
	int rc = read_recipe(&r, params, err);

	if (rc)
		return rc;
	struct outline o = outline_of(params->shape, 10 * params->diameter_nm, r.lattice_A);

	rc = specimen_alloc(&s, count_sites(&o), err);
	if (rc)
		return rc;
	s->lattice_A = r.lattice_A;
	fill_sites(s, &o, r.core, r.shell, 10 * params->shell_nm);
	leave_vacancies(s, params->vacancy_fraction, seed);
	for (size_t i = 0; i < s->count; i++)
		s->id[i] = (uint32_t)i;
	if (r.alloy)
		mix_alloy(s, params->alloy_fraction, r.core, r.alloy, seed);
	if (params->thermal_A > 0) {
		pn_rng_init(&rng, seed, STREAM_THERMAL);
		pn_specimen_displace(s, params->thermal_A, &rng);
	}
	*spec = s;
	return PN_OK;
}

int pn_specimen_copy(struct pn_specimen **copy, const struct pn_specimen *spec,
		     struct pn_error *err)
{
	int rc = specimen_alloc(copy, spec->count, err);

	if (rc)
		return rc;
	(*copy)->lattice_A = spec->lattice_A;
	memcpy((*copy)->position_A, spec->position_A, spec->count * sizeof *spec->position_A);
	memcpy((*copy)->atomic_number, spec->atomic_number,
	       spec->count * sizeof *spec->atomic_number);
	memcpy((*copy)->id, spec->id, spec->count * sizeof *spec->id);
	return PN_OK;
}

void pn_specimen_destroy(struct pn_specimen *spec)
{
	if (!spec)
		return;
	free(spec->position_A);
	free(spec->atomic_number);
	free(spec->id);
	free(spec);
}

void pn_specimen_displace(struct pn_specimen *spec, double rms_A, struct pn_rng *rng)
{
	for (size_t i = 0; i < spec->count; i++)
		for (int k = 0; k < 3; k++)
			spec->position_A[i][k] += rms_A * pn_rng_gauss(rng);
}

double pn_specimen_diameter_A(const struct pn_specimen *spec)
{
	return diameter_of_count((double)spec->count, spec->lattice_A);
}

static void project(double xy[2], const double position_A[3], const double rotation[3][3])
{
	for (int i = 0; i < 2; i++)
		xy[i] = rotation[i][0] * position_A[0] + rotation[i][1] * position_A[1] +
			rotation[i][2] * position_A[2];
}

/* Set the pixels whose centres lie in the disc; coordinates in pixels, pixel i is at i + 1/2. */
static void paint_disc(uint8_t *image, size_t nx, double cx, double cy, double radius)
{
	for (int y = (int)ceil(cy - radius - 0.5); y + 0.5 <= cy + radius; y++) {
		double dy = y + 0.5 - cy, half = sqrt(fmax(radius * radius - dy * dy, 0));
		int first = (int)ceil(cx - half - 0.5), last = (int)floor(cx + half - 0.5);

		if (last >= first)
			memset(image + (size_t)y * nx + first, 1, (size_t)(last - first + 1));
	}
}

double pn_specimen_projected_diameter_A(const struct pn_specimen *spec, const double rotation[3][3])
{
	double min[2] = { INFINITY, INFINITY }, max[2] = { -INFINITY, -INFINITY }, xy[2];
	double radius_A = spec->lattice_A / sqrt(8);

	if (!spec->count)
		return 0;
	for (size_t i = 0; i < spec->count; i++) {
		project(xy, spec->position_A[i], rotation);
		for (int k = 0; k < 2; k++) {
			min[k] = fmin(min[k], xy[k] - radius_A - PIXEL_A);
			max[k] = fmax(max[k], xy[k] + radius_A + PIXEL_A);
		}
	}
	size_t nx = (size_t)ceil((max[0] - min[0]) / PIXEL_A) + 1;
	size_t ny = (size_t)ceil((max[1] - min[1]) / PIXEL_A) + 1, area = 0;
	uint8_t *image = calloc(ny, nx);

	if (!image)
		return NAN;
	for (size_t i = 0; i < spec->count; i++) {
		project(xy, spec->position_A[i], rotation);
		paint_disc(image, nx, (xy[0] - min[0]) / PIXEL_A, (xy[1] - min[1]) / PIXEL_A,
			   radius_A / PIXEL_A);
	}
	for (size_t i = 0; i < ny * nx; i++)
		area += image[i];
	free(image);
	return 2 * PIXEL_A * sqrt((double)area / M_PI);
}
