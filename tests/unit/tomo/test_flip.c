/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/flip.h"

#include "model_kit.h"
#include "testkit.h"

#include <omp.h>

enum { SITES_MAX = 900, TILTS = 31, SIDE = 88, PIXELS = SIDE * SIDE };

static double position[SITES_MAX][3], seen_at[SITES_MAX][3];
static uint8_t truth[SITES_MAX], species[SITES_MAX];
static struct pn_pose pose[TILTS];
static float image[TILTS * PIXELS];

/* fcc sites in a ball: Pd (0) within 8.5 A, Pt (1) around it to 12 A, empty sites to 13 A. */
static size_t core_and_shell(void)
{
	const double edge = 3.9;
	size_t count = 0;

	for (int i = -8; i <= 8; i++)
		for (int j = -8; j <= 8; j++)
			for (int k = -8; k <= 8; k++) {
				double r[3] = { i * edge / 2, j * edge / 2, k * edge / 2 };
				double length = sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]);

				if ((i + j + k) % 2 != 0 || length > 13)
					continue;
				assert_true(count < SITES_MAX);
				memcpy(position[count], r, sizeof r);
				truth[count++] = length < 8.5 ? 0 : length < 12.0 ? 1 : PN_NO_ATOM;
			}
	return count;
}

static struct pn_linear_model particle(double (*at)[3], uint8_t *kind, size_t count)
{
	struct pn_linear_model m = {
		.count = count,
		.position_A = at,
		.species = kind,
		.species_count = 2,
		.pixel_A = 0.34,
		.integrate = 1,
	};

	/* intensities as Z^1.7 */
	pn_atom_spot_gauss(&m.spot[0], 24.4, 25);
	pn_atom_spot_gauss(&m.spot[1], 60, 25);
	return m;
}

/* Counts: on the average 60 electrons per tilt from an atom of Pt. */
static void expose(const struct pn_linear_model *m, uint64_t seed)
{
	struct pn_rng rng;

	kit_tilts(pose, TILTS, 70);
	assert_int_equal(pn_linear_model_project(m, pose, TILTS, SIDE, SIDE, image, NULL), PN_OK);
	pn_rng_init(&rng, seed, 0);
	for (int i = 0; i < TILTS * PIXELS; i++)
		image[i] = (float)pn_rng_poisson(&rng, (double)image[i]);
}

/* 5 % of the species wrong, 10 sites with an atom too many, 10 atoms missing. */
static void spoil(size_t count, uint64_t seed)
{
	int too_many = 10, missing = 10;
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 1);
	memcpy(species, truth, count);
	for (size_t n = 0; n < count / 20;) {
		size_t a = pn_rng_below(&rng, (uint32_t)count);

		if (truth[a] == PN_NO_ATOM || species[a] != truth[a])
			continue;
		species[a] = !truth[a];
		n++;
	}
	while (too_many > 0 || missing > 0) {
		size_t a = pn_rng_below(&rng, (uint32_t)count);

		if (species[a] != truth[a])
			continue;
		if (truth[a] == PN_NO_ATOM && too_many > 0) {
			species[a] = 1;
			too_many--;
		} else if (truth[a] != PN_NO_ATOM && missing > 0) {
			species[a] = PN_NO_ATOM;
			missing--;
		}
	}
}

static size_t wrong(size_t count)
{
	size_t n = 0;

	for (size_t a = 0; a < count; a++)
		n += species[a] != truth[a];
	return n;
}

static size_t first_of(uint8_t kind, size_t count)
{
	size_t a = 0;

	while (a + 1 < count && truth[a] != kind)
		a++;
	return a;
}

/* Positions known to 15 pm only, scale unknown: more than 99 % right, from 92 %. */
static void particle_is_put_right(void **state)
{
	size_t count = core_and_shell(), atoms = 0;
	struct pn_linear_model m = particle(position, truth, count);
	struct pn_projections p = { TILTS, SIDE, SIDE, image, pose };
	struct pn_flip_params params = { .no_atom = 1, .seed = 3 };
	struct pn_flip_result result;
	struct pn_rng rng;

	(void)state;
	expose(&m, 5);
	spoil(count, 6);
	pn_rng_init(&rng, 7, 0);
	for (size_t a = 0; a < count; a++) {
		atoms += truth[a] != PN_NO_ATOM;
		for (int i = 0; i < 3; i++)
			seen_at[a][i] = position[a][i] + 0.15 / sqrt(3) * pn_rng_gauss(&rng);
	}
	m = particle(seen_at, species, count);
	for (int s = 0; s < 2; s++)
		m.spot[s].intensity[0] *= 0.37;
	size_t before = wrong(count);

	assert_int_equal(before, count / 20 + 20);
	assert_int_equal(pn_flip(&m, NULL, 0, &p, &params, &result, NULL), PN_OK);
	assert_true(result.settled && result.sweeps >= 2);
	assert_true(wrong(count) * 100 < atoms);
	assert_true(result.changed + wrong(count) >= before && result.flips >= result.changed);
	assert_true(fabs(result.scale * 0.37 - 1) < 0.02);

	/* only what is in doubt is touched */
	size_t doubtful[2] = { first_of(0, count), first_of(1, count) }, innocent = count / 2;
	memcpy(species, truth, count);
	species[doubtful[0]] = 1;
	species[doubtful[1]] = PN_NO_ATOM;
	species[innocent] = !truth[innocent];
	assert_int_equal(pn_flip(&m, doubtful, 2, &p, &params, &result, NULL), PN_OK);
	assert_true(wrong(count) == 1 && result.changed == 2);
	assert_true(species[innocent] != truth[innocent]);
}

/* The published measure, with twice the dose and the positions exact. */
static void absolute_differences_need_more(void **state)
{
	size_t count = core_and_shell();
	struct pn_linear_model m = particle(position, truth, count);
	struct pn_projections p = { TILTS, SIDE, SIDE, image, pose };
	struct pn_flip_params params = { .no_atom = 1, .measure = PN_FLIP_ABSOLUTE };
	struct pn_flip_result result;

	(void)state;
	for (int s = 0; s < 2; s++)
		m.spot[s].intensity[0] *= 2;
	expose(&m, 5);
	spoil(count, 6);
	m.species = species;
	assert_int_equal(pn_flip(&m, NULL, 0, &p, &params, &result, NULL), PN_OK);
	assert_true(result.settled && wrong(count) * 200 < count);
}

/* An engine that images the column by the linear model: the flips must be the same. */
struct linear_engine {
	const struct pn_linear_model *like;
	int calls;
};

static int linear_patch(void *context, const double (*at)[3], const uint8_t *kind, size_t count,
			const struct pn_flip_window *w, float *out, struct pn_error *err)
{
	struct linear_engine *e = context;
	struct pn_linear_model m = *e->like;
	double copy[SITES_MAX][3];
	uint8_t kinds[SITES_MAX];
	struct pn_pose p = *w->pose;

	memcpy(copy, at, count * sizeof *copy);
	memcpy(kinds, kind, count);
	m.count = count;
	m.position_A = copy;
	m.species = kinds;
	p.shift_px[0] += (double)(w->image_nx / 2) - (double)w->x0 - (double)(w->nx / 2);
	p.shift_px[1] += (double)(w->image_ny / 2) - (double)w->y0 - (double)(w->ny / 2);
#pragma omp atomic
	e->calls++;
	if (e->calls > 200000)
		return pn_error_set(err, PN_ETIMEOUT, "enough");
	return pn_linear_model_project(&m, &p, 1, w->ny, w->nx, out, err);
}

static void engine_and_linear_model_agree(void **state)
{
	size_t count = core_and_shell();
	struct pn_linear_model m = particle(position, truth, count);
	struct pn_projections p = { 3, SIDE, SIDE, image, pose };
	struct linear_engine context = { &m, 0 };
	struct pn_flip_engine engine = { 11, linear_patch, &context };
	struct pn_flip_params params = { .no_atom = 1, .scale = 1, .sweeps_max = 2 };
	struct pn_flip_result one, two;
	uint8_t by_model[SITES_MAX];
	size_t doubtful[30];

	(void)state;
	expose(&m, 15);
	spoil(count, 16);
	for (size_t i = 0; i < PN_COUNT(doubtful); i++)
		doubtful[i] = i * 23 % count;
	m = particle(position, species, count);
	assert_int_equal(pn_flip(&m, doubtful, 30, &p, &params, &one, NULL), PN_OK);
	memcpy(by_model, species, count);
	spoil(count, 16);
	params.engine = &engine;
	assert_int_equal(pn_flip(&m, doubtful, 30, &p, &params, &two, NULL), PN_OK);
	assert_memory_equal(species, by_model, count);
	assert_true(one.flips == two.flips && one.flips > 3);
	assert_int_equal(context.calls, two.sweeps * 30 * 3 * 3);
	/* what the engine cannot do is handed on */
	struct pn_error err = { 0 };
	context.calls = 300000;
	assert_int_equal(pn_flip(&m, doubtful, 30, &p, &params, &two, &err), PN_ETIMEOUT);
	assert_string_equal(err.text, "enough");
}

static void threads_do_not_matter(void **state)
{
	size_t count = core_and_shell();
	struct pn_linear_model m = particle(position, truth, count);
	struct pn_projections p = { 9, SIDE, SIDE, image, pose };
	struct pn_flip_params params = { .no_atom = 1 };
	struct pn_flip_result one, two;
	uint8_t alone[SITES_MAX];
	int threads = omp_get_max_threads();

	(void)state;
	expose(&m, 25);
	m = particle(position, species, count);
	spoil(count, 26);
	omp_set_num_threads(1);
	assert_int_equal(pn_flip(&m, NULL, 0, &p, &params, &one, NULL), PN_OK);
	memcpy(alone, species, count);
	spoil(count, 26);
	omp_set_num_threads(3);
	assert_int_equal(pn_flip(&m, NULL, 0, &p, &params, &two, NULL), PN_OK);
	omp_set_num_threads(threads);
	assert_memory_equal(alone, species, count);
	assert_true(one.flips == two.flips && one.scale == two.scale);
}

/* 300 keV, as the bright atoms of twin movies: a cluster of Pd and Pt in three orientations. */
enum { FIELD = 96, CLUSTER = 24, VIEWS = 3 };

static struct pn_flip_multislice_params microscope(size_t field)
{
	return (struct pn_flip_multislice_params){
		.wave = { .ny = field,
			  .nx = field,
			  .pixel_A = 0.3,
			  .energy_keV = 300,
			  .slice_A = 2 },
		.lens = { .cs_um = -11,
			  .defocus_A = pn_lens_white_defocus_A(-11, 300),
			  .focal_spread_A = 20 },
		.element = { 46, 78 },
		.species_count = 2,
		.b_iso_A2 = 6,
	};
}

static void expose_multislice(const struct pn_linear_model *m, float *out, double sigma)
{
	struct pn_flip_multislice_params micro = microscope(FIELD);
	struct pn_flip_window w = { 0, NULL, FIELD, FIELD, 0, 0, FIELD, FIELD };
	struct pn_flip_engine *engine;
	struct pn_rng rng;

	/* the whole field is a column wide enough for everything */
	assert_int_equal(pn_flip_multislice_create(&engine, &micro, NULL), PN_OK);
	pn_rng_init(&rng, 9, 0);
	for (int k = 0; k < VIEWS; k++) {
		w.pose = &pose[k];
		assert_int_equal(engine->patch(engine->context, (const double(*)[3])m->position_A,
					       m->species, m->count, &w, out + k * FIELD * FIELD,
					       NULL),
				 PN_OK);
		for (int i = 0; i < FIELD * FIELD; i++)
			out[k * FIELD * FIELD + i] += (float)(sigma * pn_rng_gauss(&rng));
	}
	pn_flip_multislice_destroy(engine);
}

static void columns_by_multislice(void **state)
{
	struct pn_flip_multislice_params micro = microscope(48);
	struct pn_linear_model m = particle(position, truth, CLUSTER);
	struct pn_projections p = { VIEWS, FIELD, FIELD, image, pose };
	struct pn_flip_params params = { .no_atom = 1 };
	struct pn_flip_result result;
	struct pn_error err = { 0 };

	(void)state;
	kit_ball(position, truth, CLUSTER, 5, 2.3, 2, 31);
	for (int k = 0; k < VIEWS; k++)
		pn_pose_euler(&pose[k], 10 * k, 40 * k - 40, 0);
	pose[1].shift_px[0] = 2.3;
	m.pixel_A = 0.3;
	expose_multislice(&m, image, 0.02);
	memcpy(species, truth, CLUSTER);
	species[2] = !truth[2];
	species[7] = !truth[7];
	species[11] = PN_NO_ATOM;
	m.species = species;
	struct pn_flip_engine *engine;
	assert_int_equal(pn_flip_multislice_create(&engine, &micro, NULL), PN_OK);
	params.engine = engine;
	assert_int_equal(pn_flip(&m, NULL, 0, &p, &params, &result, &err), PN_OK);
	assert_true(result.settled);
	assert_int_equal(wrong(CLUSTER), 0);
	/* a window wider than the field */
	params.disc_px = 30;
	assert_int_equal(pn_flip(&m, NULL, 0, &p, &params, &result, &err), PN_EARG);
	assert_non_null(strstr(err.text, "field of 48 x 48"));
	/* a species without an element */
	params.disc_px = 0;
	m.species_count = 3;
	m.spot[2] = m.spot[0];
	assert_int_equal(pn_flip(&m, NULL, 0, &p, &params, &result, &err), PN_EARG);
	assert_non_null(strstr(err.text, "species 2 of 2"));
	pn_flip_multislice_destroy(engine);
	micro.species_count = 0;
	assert_int_equal(pn_flip_multislice_create(&engine, &micro, &err), PN_EARG);
	assert_null(engine);
	micro = microscope(4);
	assert_int_equal(pn_flip_multislice_create(&engine, &micro, &err), PN_EARG);
	pn_flip_multislice_destroy(NULL);
}

static void what_cannot_be_flipped_is_told(void **state)
{
	size_t count = core_and_shell(), beyond = count;
	struct pn_linear_model m = particle(position, truth, count);
	struct pn_projections p = { 3, SIDE, SIDE, image, pose };
	struct pn_flip_params params = { 0 };
	struct pn_flip_result result;
	struct pn_error err = { 0 };

	(void)state;
	expose(&m, 5);
	assert_int_equal(pn_flip(&m, &beyond, 1, &p, &params, &result, &err), PN_EARG);
	assert_non_null(strstr(err.text, "atom"));
	params.disc_px = 40;
	assert_int_equal(pn_flip(&m, NULL, 0, &p, &params, &result, &err), PN_EARG);
	params.disc_px = NAN;
	assert_int_equal(pn_flip(&m, NULL, 0, &p, &params, &result, &err), PN_EARG);
	params.disc_px = 0;
	image[77] = NAN;
	assert_int_equal(pn_flip(&m, NULL, 0, &p, &params, &result, &err), PN_EARG);
	image[77] = 0;
	/* nothing to do, and an atom that no image shows: it stays as it is */
	assert_int_equal(pn_flip(&m, &beyond, 0, &p, &params, &result, &err), PN_OK);
	assert_true(result.settled && result.flips == 0);
	beyond = 0;
	position[0][1] = 1000;
	assert_int_equal(pn_flip(&m, &beyond, 1, &p, &params, &result, &err), PN_OK);
	assert_true(result.settled && result.flips == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(particle_is_put_right),
		cmocka_unit_test(absolute_differences_need_more),
		cmocka_unit_test(engine_and_linear_model_agree),
		cmocka_unit_test(threads_do_not_matter),
		cmocka_unit_test(columns_by_multislice),
		cmocka_unit_test(what_cannot_be_flipped_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
