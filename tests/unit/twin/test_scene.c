/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The movie is reproducible in every order of asking, and what it shows is what its truth says. */
#include "perrin/twin/scene.h"

#include "testkit.h"

#include <complex.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define PX 0.358

static struct pn_scene_params defaults(int side)
{
	static struct pn_scene_params p;

	pn_params_default(pn_scene_param_table, &p);
	p.ny = p.nx = side;
	return p;
}

/* Nothing but the particle, at rest in the middle, without noise. */
static struct pn_scene_params bare(int side)
{
	struct pn_scene_params p = defaults(side);

	p.dtype = PN_SCENE_F32;
	p.noise = 0;
	p.water_nm = 0;
	p.graphene_layers = 0;
	p.phonon_A = 0;
	p.motion = (struct pn_brownian_params){ 0 };
	p.gain = 1 / (15 * PX * PX); /* 1 = vacuum */
	return p;
}

static struct pn_scene *create(const struct pn_scene_params *p)
{
	struct pn_scene *scene;
	struct pn_error err = { 0 };

	if (pn_scene_create(&scene, p, &err))
		fail_msg("%s", err.text);
	return scene;
}

/* Field by field: padding bytes are nobody's. */
static void same_truths(const struct pn_scene_truth *a, const struct pn_scene_truth *b, int count)
{
	for (int i = 0; i < count; i++) {
		assert_int_equal(a[i].frame, b[i].frame);
		assert_int_equal(a[i].particle, b[i].particle);
		assert_int_equal(a[i].specimen_version, b[i].specimen_version);
		assert_int_equal(a[i].atoms, b[i].atoms);
		assert_memory_equal(&a[i].pose, &b[i].pose, sizeof a[i].pose);
		assert_true(a[i].time_s == b[i].time_s && a[i].x_px == b[i].x_px &&
			    a[i].y_px == b[i].y_px && a[i].diameter_nm == b[i].diameter_nm &&
			    a[i].lattice_A == b[i].lattice_A && a[i].defocus_A == b[i].defocus_A);
		assert_memory_equal(a[i].beam_zone_angle_deg, b[i].beam_zone_angle_deg,
				    sizeof a[i].beam_zone_angle_deg);
	}
}

static void any_order_gives_the_same_bytes(void **state)
{
	(void)state;
	enum { FRAMES = 7, SIDE = 96 };
	struct pn_scene_params p = defaults(SIDE);
	static uint16_t movie[FRAMES][SIDE * SIDE], frame[SIDE * SIDE], many[FRAMES][SIDE * SIDE];
	static struct pn_scene_truth truth[FRAMES * 2], one[2], all[FRAMES * 2];
	static const uint64_t order[] = { 6, 0, 3, 3, 5, 1 };
	int threads = omp_get_max_threads();

	p.particles = 2;
	p.patch_px = 96;
	p.etch_per_s = 300;
	p.noise_blur = 0.3;
	omp_set_num_threads(1);
	struct pn_scene *scene = create(&p);

	for (uint64_t f = 0; f < FRAMES; f++)
		assert_int_equal(pn_scene_frame(scene, f, movie[f], truth + 2 * f, NULL), PN_OK);
	assert_memory_not_equal(movie[0], movie[1], sizeof movie[0]);
	for (size_t i = 0; i < sizeof order / sizeof *order; i++) {
		assert_int_equal(pn_scene_frame(scene, order[i], frame, one, NULL), PN_OK);
		assert_memory_equal(frame, movie[order[i]], sizeof frame);
		same_truths(one, truth + 2 * order[i], 2);
	}
	pn_scene_destroy(scene);

	omp_set_num_threads(3);
	scene = create(&p);
	assert_int_equal(pn_scene_render(scene, 0, FRAMES, many, all, NULL), PN_OK);
	assert_memory_equal(many, movie, sizeof movie);
	same_truths(all, truth, 2 * FRAMES);
	memset(many, 0, sizeof many);
	assert_int_equal(pn_scene_render(scene, 2, 4, many, NULL, NULL), PN_OK);
	assert_memory_equal(many, movie[2], 4 * sizeof movie[0]);
	pn_scene_destroy(scene);
	omp_set_num_threads(threads);

	p.seed = 2;
	scene = create(&p);
	assert_int_equal(pn_scene_frame(scene, 0, frame, NULL, NULL), PN_OK);
	assert_memory_not_equal(frame, movie[0], sizeof frame);
	pn_scene_destroy(scene);
}

static double amplitude(const float *image, int side, double u, double v)
{
	double complex sum = 0;

	for (int y = 0; y < side; y++)
		for (int x = 0; x < side; x++)
			sum += (image[y * side + x] - 1) *
			       cexp(-2 * M_PI * I * PX * (u * (x - side / 2) + v * (y - side / 2)));
	return cabs(sum);
}

static void fringes_have_the_spacing_of_the_lattice(void **state)
{
	(void)state;
	enum { SIDE = 128 };
	struct pn_scene_params p = bare(SIDE);
	static float image[SIDE * SIDE];
	struct pn_scene_truth truth;

	p.start = PN_SCENE_START_110;
	struct pn_scene *scene = create(&p);

	assert_int_equal(pn_scene_frame(scene, 0, image, &truth, NULL), PN_OK);
	/* x is [001] and y is [1 -1 0]: a {111} spot is atan(sqrt 2) off the x axis */
	double angle = atan(sqrt(2)), best = 0, at = 0;

	for (double q = 0.3; q < 0.6; q += 0.0005) {
		double a = amplitude(image, SIDE, q * cos(angle), q * sin(angle));

		if (a > best) {
			best = a;
			at = q;
		}
	}
	assert_float_equal(1 / at / (truth.lattice_A / sqrt(3)), 1, 0.01);
	/* and no spot where fcc has none: (110) in the same zone is forbidden */
	double q = sqrt(2) / truth.lattice_A;

	assert_true(amplitude(image, SIDE, 0, q) < 0.1 * best);
	pn_scene_destroy(scene);
}

static void atoms_are_bright_and_electrons_conserved(void **state)
{
	(void)state;
	enum { SIDE = 128 };
	struct pn_scene_params p = bare(SIDE);
	static float image[SIDE * SIDE];
	double sum = 0;
	float high = 0, low = 9;

	p.start = PN_SCENE_START_110;
	struct pn_scene *scene = create(&p);

	assert_int_equal(pn_scene_frame(scene, 0, image, NULL, NULL), PN_OK);
	for (int i = 0; i < SIDE * SIDE; i++) {
		sum += image[i];
		high = fmaxf(high, image[i]);
		low = fminf(low, image[i]);
	}
	assert_true(high - 1 > 0.5 && high - 1 > 1 - low);
	/* what is scattered beyond the band limit is lost */
	assert_float_equal(sum / (SIDE * SIDE), 1, 0.02);
	pn_scene_destroy(scene);
}

static void truth_is_where_the_particle_is(void **state)
{
	(void)state;
	enum { SIDE = 160 };
	struct pn_scene_params p = bare(SIDE);
	static float image[SIDE * SIDE];
	struct pn_scene_truth truth;

	p.motion.translation_A2_per_s = 2000;
	p.motion.rotation_rad2_per_s = 5;
	p.motion.confine_A = 6;
	struct pn_scene *scene = create(&p);

	for (uint64_t f = 0; f < 40; f += 5) {
		double x = 0, y = 0, sum = 0;

		assert_int_equal(pn_scene_frame(scene, f, image, &truth, NULL), PN_OK);
		for (int i = 0; i < SIDE * SIDE; i++) {
			double w = pow(image[i] - 1, 2);

			sum += w;
			x += w * (i % SIDE);
			y += w * (int)(i / SIDE);
		}
		assert_float_equal(x / sum, truth.x_px, 1);
		assert_float_equal(y / sum, truth.y_px, 1);
	}
	pn_scene_destroy(scene);
}

/* The patch is only a cheaper way to calculate the same wave. */
static void patch_size_does_not_matter(void **state)
{
	(void)state;
	enum { SIDE = 160 };
	struct pn_scene_params p = bare(SIDE);
	static float small[SIDE * SIDE], large[SIDE * SIDE];

	p.motion.translation_A2_per_s = 2000;
	p.motion.confine_A = 6;
	p.patch_px = 128;
	struct pn_scene *scene = create(&p);

	assert_int_equal(pn_scene_frame(scene, 3, small, NULL, NULL), PN_OK);
	pn_scene_destroy(scene);
	p.patch_px = 240;
	scene = create(&p);
	assert_int_equal(pn_scene_frame(scene, 3, large, NULL, NULL), PN_OK);
	pn_scene_destroy(scene);
	for (int i = 0; i < SIDE * SIDE; i++)
		assert_float_equal(small[i], large[i], 0.02);
}

static void dose_is_the_dose(void **state)
{
	(void)state;
	enum { SIDE = 256, FRAMES = 4 };
	struct pn_scene_params p = defaults(SIDE);
	static float movie[FRAMES * SIDE * SIDE];
	double sum = 0, n = FRAMES * SIDE * SIDE, electrons = 15 * PX * PX;

	p.particles = 0;
	p.dtype = PN_SCENE_F32;
	struct pn_scene *scene = create(&p);

	assert_int_equal(pn_scene_render(scene, 0, FRAMES, movie, NULL, NULL), PN_OK);
	for (int i = 0; i < FRAMES * SIDE * SIDE; i++)
		sum += movie[i];
	/* the variance of a pixel is that of the counts and that of the water's contrast, 20 % */
	double deviation = 16 * sqrt((electrons / p.dqe0 + 0.04 * electrons * electrons) / n);

	assert_true(fabs(sum / n - 16 * electrons) < 5 * deviation);
	pn_scene_destroy(scene);
}

static void graphene_shows_its_spots(void **state)
{
	(void)state;
	/* graphene stands still, water and counting noise do not: the mean of frames shows it */
	enum { SIDE = 256, FRAMES = 12 };
	struct pn_scene_params p = defaults(SIDE);
	static float movie[FRAMES][SIDE * SIDE];
	double spot = 0, beside = 0, q = 1 / 2.1304;

	p.particles = 0;
	p.dtype = PN_SCENE_F32;
	p.gain = 1 / (15 * PX * PX);
	p.graphene_angle_deg = 12;
	p.graphene_twist_deg = 0;
	p.graphene_layers = 1;
	struct pn_scene *scene = create(&p);

	assert_int_equal(pn_scene_render(scene, 0, FRAMES, movie, NULL, NULL), PN_OK);
	for (int f = 1; f < FRAMES; f++)
		for (int i = 0; i < SIDE * SIDE; i++)
			movie[0][i] += movie[f][i] - 1;
	for (int i = 0; i < 3; i++) {
		double angle = (12 + 30 + 60 * i) * M_PI / 180;

		spot += pow(amplitude(movie[0], SIDE, q * cos(angle), q * sin(angle)), 2);
		for (int k = 1; k <= 8; k++) {
			double off = angle + k * M_PI / 30;

			beside += pow(amplitude(movie[0], SIDE, q * cos(off), q * sin(off)), 2) / 8;
		}
	}
	assert_true(spot > 10 * beside);
	pn_scene_destroy(scene);
}

static void truth_follows_etching_and_pose(void **state)
{
	(void)state;
	struct pn_scene_params p = defaults(64);
	static uint16_t frame[64 * 64];
	struct pn_scene_truth truth;

	p.etch_per_s = 100;
	p.patch_px = 64;
	p.water_nm = 0;
	struct pn_scene *scene = create(&p);
	size_t atoms = pn_scene_specimen(scene, 0, 0)->count;

	for (uint64_t f = 40; f <= 400; f += 180) {
		double r[3][3], x = 0, y = 0;

		assert_int_equal(pn_scene_frame(scene, f, frame, &truth, NULL), PN_OK);
		assert_int_equal(truth.frame, f);
		assert_float_equal(truth.time_s, f / 400.0, 1e-12);
		assert_int_equal(truth.specimen_version, f / 4);
		assert_int_equal(truth.atoms, atoms - f / 4);
		assert_float_equal(truth.defocus_A, p.defocus_A - truth.pose.center_A[2], 1e-9);

		const struct pn_specimen *s = pn_scene_specimen(scene, 0, truth.specimen_version);

		assert_int_equal(s->count, truth.atoms);
		assert_float_equal(s->lattice_A, truth.lattice_A, 0);
		pn_placement_rotation(&truth.pose, r);
		for (size_t i = 0; i < s->count; i++) {
			const double *a = s->position_A[i];

			x += r[0][0] * a[0] + r[0][1] * a[1] + r[0][2] * a[2];
			y += r[1][0] * a[0] + r[1][1] * a[1] + r[1][2] * a[2];
		}
		x = x / s->count + truth.pose.center_A[0];
		y = y / s->count + truth.pose.center_A[1];
		assert_float_equal(truth.x_px, 32 + x / PX, 1e-9);
		assert_float_equal(truth.y_px, 32 + y / PX, 1e-9);
		assert_float_equal(truth.diameter_nm, pn_specimen_projected_diameter_A(s, r) / 10,
				   0.02);
	}
	/* all dissolved: an empty cell, and no particle to be anywhere but at its centre */
	assert_int_equal(pn_scene_frame(scene, 4 * atoms + 4, frame, &truth, NULL), PN_OK);
	assert_int_equal(truth.atoms, 0);
	assert_float_equal(truth.x_px, 32 + truth.pose.center_A[0] / PX, 1e-9);
	assert_float_equal(truth.diameter_nm, 0, 0);
	assert_null(pn_scene_specimen(scene, 1, 0));
	assert_null(pn_scene_specimen(scene, 0, (uint32_t)atoms + 1));
	pn_scene_destroy(scene);
}

static void zone_angles_are_those_of_the_cube(void **state)
{
	(void)state;
	static const double expected[3][3] = { { 0, 45, 54.7356 },
					       { 45, 0, 35.2644 },
					       { 54.7356, 35.2644, 0 } };
	static uint16_t frame[64 * 64];

	for (int i = 0; i < 3; i++) {
		struct pn_scene_params p = bare(64);
		struct pn_scene_truth truth;

		p.dtype = PN_SCENE_U16;
		p.start = PN_SCENE_START_100 + i;
		p.patch_px = 64;
		struct pn_scene *scene = create(&p);

		assert_int_equal(pn_scene_frame(scene, 0, frame, &truth, NULL), PN_OK);
		for (int k = 0; k < 3; k++)
			assert_float_equal(truth.beam_zone_angle_deg[k], expected[i][k], 1e-3);
		pn_scene_destroy(scene);
	}
	/* 5 degrees about x off [001] */
	struct pn_placement pose = { .quaternion = { cos(M_PI / 72), sin(M_PI / 72), 0, 0 } };
	double angle[3];

	pn_scene_zone_angles(&pose, angle);
	assert_float_equal(angle[0], 5, 1e-9);
	assert_float_equal(angle[1], 40, 1e-9);
}

static void refusals_have_a_text(void **state)
{
	(void)state;
	struct pn_scene_params p = bare(64);
	struct pn_scene *scene;
	struct pn_error err = { 0 };
	static float frame[64 * 64];

	for (const struct pn_param *row = pn_scene_param_table; row->name; row++) {
		assert_ptr_equal(pn_param_find(pn_scene_param_table, row->name), row);
		assert_non_null(row->help);
	}
	p.pixel_pm = 0;
	assert_int_equal(pn_scene_create(&scene, &p, &err), PN_EARG);
	assert_non_null(strstr(err.text, "pixel_pm"));
	p = bare(64);
	strcpy(p.specimen.element, "Xx");
	assert_int_equal(pn_scene_create(&scene, &p, &err), PN_EARG);
	assert_null(scene);
	p = bare(64);
	p.frames = 3;
	p.patch_px = 64;
	scene = create(&p);
	assert_int_equal(pn_scene_frame(scene, 2, frame, NULL, &err), PN_OK);
	assert_int_equal(pn_scene_frame(scene, 3, frame, NULL, &err), PN_EEND);
	assert_int_equal(pn_scene_render(scene, 2, 2, frame, NULL, &err), PN_EEND);
	pn_scene_destroy(scene);
	pn_scene_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_order_gives_the_same_bytes),
		cmocka_unit_test(fringes_have_the_spacing_of_the_lattice),
		cmocka_unit_test(atoms_are_bright_and_electrons_conserved),
		cmocka_unit_test(truth_is_where_the_particle_is),
		cmocka_unit_test(patch_size_does_not_matter),
		cmocka_unit_test(dose_is_the_dose),
		cmocka_unit_test(graphene_shows_its_spots),
		cmocka_unit_test(truth_follows_etching_and_pose),
		cmocka_unit_test(zone_angles_are_those_of_the_cube),
		cmocka_unit_test(refusals_have_a_text),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
