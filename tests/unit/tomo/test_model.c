/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/model.h"

#include "model_kit.h"
#include "perrin/twin/scattering.h"
#include "testkit.h"

#include <omp.h>

enum { ATOMS = 40, TILTS = 3, NY = 37, NX = 45, PIXELS = NY * NX };

static double position[ATOMS][3];
static uint8_t species[ATOMS];
static struct pn_pose pose[TILTS];
static float image[TILTS * PIXELS], other[TILTS * PIXELS];

static struct pn_linear_model two_species(void)
{
	struct pn_linear_model m = {
		.count = ATOMS,
		.position_A = position,
		.species = species,
		.species_count = 2,
		.pixel_A = 0.34,
	};

	kit_ball(position, species, ATOMS, 7.5, 1.5, 2, 1);
	kit_tilts(pose, TILTS, 60);
	pose[1].shift_px[0] = 3.3;
	pose[1].shift_px[1] = -6.4; /* some atoms leave the image */
	pn_pose_euler(&pose[2], 20, 50, -30);
	species[5] = PN_NO_ATOM;
	pn_atom_spot_gauss(&m.spot[0], 50, 25);
	pn_atom_spot_gauss(&m.spot[1], 90, 30);
	m.spot[1].gaussians = 2;
	m.spot[1].intensity[1] = 20;
	m.spot[1].variance_A2[1] = 1.7;
	return m;
}

static void projection_is_the_sum_of_spots(void **state)
{
	struct pn_linear_model m = two_species();

	(void)state;
	for (int integrate = 0; integrate < 2; integrate++) {
		double worst = 0, peak = 0;

		m.integrate = integrate;
		assert_int_equal(pn_linear_model_project(&m, pose, TILTS, NY, NX, image, NULL),
				 PN_OK);
		for (int i = 0; i < TILTS * PIXELS; i++) {
			double slow =
				kit_pixel(&m, &pose[i / PIXELS], NY, NX, i % PIXELS / NX, i % NX);

			worst = fmax(worst, fabs(image[i] - slow));
			peak = fmax(peak, slow);
		}
		/* what is cut off, of several atoms */
		assert_true(worst < 1e-4 * peak);
	}
}

/* One atom between pixels, by error functions; and its sum is its intensity. */
static void integration_over_the_pixel(void **state)
{
	double r[1][3] = { { 0.3, -0.12, 9 } }, worst = 0, peak = 0, sum = 0;
	uint8_t s = 0;
	struct pn_linear_model m = { 1, r, &s, 1, .pixel_A = 0.5, .integrate = 1 };
	struct pn_pose straight;

	(void)state;
	pn_pose_tilt(&straight, 0);
	pn_atom_spot_gauss(&m.spot[0], 100, pn_b_factor_A2(0.25)); /* sigma 1 pixel */
	assert_int_equal(pn_linear_model_project(&m, &straight, 1, NY, NX, image, NULL), PN_OK);
	for (int i = 0; i < PIXELS; i++) {
		double x = i % NX - NX / 2 - 0.6, y = i / NX - NY / 2 + 0.24, h = M_SQRT1_2;
		double exact = 25 * (erf((x + 0.5) * h) - erf((x - 0.5) * h)) *
			       (erf((y + 0.5) * h) - erf((y - 0.5) * h));

		worst = fmax(worst, fabs(image[i] - exact));
		peak = fmax(peak, exact);
		sum += image[i];
	}
	assert_true(worst < 2e-3 * peak);
	assert_true(fabs(sum / 100 - 1) < 1e-4);
}

/* <J d, r> = <d, J^T r>, J by differences of the slow projector. */
static void adjoint_is_the_derivative(void **state)
{
	struct pn_linear_model m = two_species();
	double gradient_A[ATOMS][3], scale = 0;
	struct pn_linear_gradient g = { .position_A = gradient_A };
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 7, 0);
	for (int i = 0; i < TILTS * PIXELS; i++)
		other[i] = (float)pn_rng_gauss(&rng);
	assert_int_equal(pn_linear_model_adjoint(&m, pose, TILTS, NY, NX, other, &g, NULL), PN_OK);
	for (int a = 0; a < ATOMS; a++)
		for (int i = 0; i < 3; i++)
			scale = fmax(scale, fabs(gradient_A[a][i]));
	for (int a = 0; a < ATOMS; a += 5) {
		for (int i = 0; i < 3; i++) {
			double at = position[a][i], h = 1e-4, up, down;

			position[a][i] = at + h;
			up = kit_weighted(&m, pose, TILTS, NY, NX, other);
			position[a][i] = at - h;
			down = kit_weighted(&m, pose, TILTS, NY, NX, other);
			position[a][i] = at;
			assert_true(fabs((up - down) / (2 * h) - gradient_A[a][i]) < 2e-4 * scale);
		}
	}
	for (int s = 0; s < 2; s++)
		for (int j = 0; j < m.spot[s].gaussians; j++) {
			double *v = &m.spot[s].variance_A2[j], *n = &m.spot[s].intensity[j];
			double v0 = *v, n0 = *n, up, down;

			*v = v0 * 1.0001;
			up = kit_weighted(&m, pose, TILTS, NY, NX, other);
			*v = v0 * 0.9999;
			down = kit_weighted(&m, pose, TILTS, NY, NX, other);
			*v = v0;
			double slope = (up - down) / (2e-4 * v0);
			assert_true(fabs(slope - g.variance_A2[s][j]) < 2e-3 * fabs(slope) + 0.01);
			*n = n0 + 1;
			up = kit_weighted(&m, pose, TILTS, NY, NX, other);
			*n = n0 - 1;
			down = kit_weighted(&m, pose, TILTS, NY, NX, other);
			*n = n0;
			assert_true(fabs((up - down) / 2 - g.intensity[s][j]) < 1e-3);
		}
	/* no atom, no derivative */
	for (int i = 0; i < 3; i++)
		assert_true(gradient_A[5][i] == 0);
}

/* Spots at 12 A^2 against the Fourier integral of its blurred scattering factor. */
static void element_is_its_scattering_factor(void **state)
{
	const double b = 12, source = 0.6, blur = b / 4 + 2 * M_PI * M_PI * 0.6 * 0.6 / (8 * M_LN2);
	const int z[] = { 14, 37, 46, 57, 78, 79 };
	struct pn_atom_spot spot;

	(void)state;
	for (size_t i = 0; i < PN_COUNT(z); i++) {
		double sum = 0;

		assert_int_equal(pn_atom_spot_element(&spot, z[i], 7, b, source, NULL), PN_OK);
		for (int g = 0; g < spot.gaussians; g++)
			sum += spot.intensity[g];
		assert_true(fabs(sum - 7) < 1e-9);
		double peak = 0, worst = 0;

		for (double r = 0; r < 2.5; r += 0.1) {
			double exact = 0, fit = 0;

			for (double q = 0.0025; q < 3; q += 0.005)
				exact += 7 * 0.005 * 2 * M_PI * q * j0(2 * M_PI * q * r) *
					 exp(-blur * q * q) * pn_scattering_kirkland(z[i], q) /
					 pn_scattering_kirkland(z[i], 0);
			for (int g = 0; g < spot.gaussians; g++)
				fit += spot.intensity[g] / (2 * M_PI * spot.variance_A2[g]) *
				       exp(-r * r / (2 * spot.variance_A2[g]));
			peak = fmax(peak, exact);
			worst = fmax(worst, fabs(fit - exact));
		}
		assert_true(worst < 0.01 * peak);
	}
	assert_int_equal(pn_atom_spot_element(&spot, 0, 7, b, source, NULL), PN_EARG);
	assert_int_equal(pn_atom_spot_element(&spot, 78, 7, 0, source, NULL), PN_EARG);
}

static void threads_do_not_matter(void **state)
{
	struct pn_linear_model m = two_species();
	double one[ATOMS][3], two[ATOMS][3];
	struct pn_linear_gradient a = { .position_A = one }, b = { .position_A = two };
	int threads = omp_get_max_threads();

	(void)state;
	omp_set_num_threads(1);
	assert_int_equal(pn_linear_model_project(&m, pose, TILTS, NY, NX, image, NULL), PN_OK);
	assert_int_equal(pn_linear_model_adjoint(&m, pose, TILTS, NY, NX, image, &a, NULL), PN_OK);
	omp_set_num_threads(3);
	assert_int_equal(pn_linear_model_project(&m, pose, TILTS, NY, NX, other, NULL), PN_OK);
	assert_int_equal(pn_linear_model_adjoint(&m, pose, TILTS, NY, NX, image, &b, NULL), PN_OK);
	omp_set_num_threads(threads);
	assert_memory_equal(image, other, sizeof image);
	assert_memory_equal(one, two, sizeof one);
	assert_memory_equal(a.intensity, b.intensity, sizeof a.intensity);
}

static void rfactor_fits_the_scale(void **state)
{
	struct pn_linear_model m = two_species();
	struct pn_projections p = { TILTS, NY, NX, other, pose };
	struct pn_model_rfactor r;
	double r1[TILTS], mean = 0;

	(void)state;
	assert_int_equal(pn_linear_model_project(&m, pose, TILTS, NY, NX, other, NULL), PN_OK);
	for (int i = 0; i < TILTS * PIXELS; i++)
		other[i] *= 3;
	assert_int_equal(pn_linear_model_rfactor(&m, &p, &r, r1, NULL), PN_OK);
	assert_true(fabs(r.scale - 3) < 1e-6 && r.r1_mean < 1e-6);
	/* a tilt with another scale, by the definition */
	for (int i = 0; i < PIXELS; i++)
		other[i] *= 1.5f;
	assert_int_equal(pn_linear_model_rfactor(&m, &p, &r, r1, NULL), PN_OK);
	assert_true(r.scale > 3 && r.scale < 4.5);
	assert_true(fabs(r1[0] - (4.5 - r.scale) / 4.5) < 1e-5);
	for (int k = 0; k < TILTS; k++)
		mean += r1[k] / TILTS;
	assert_true(fabs(mean - r.r1_mean) < 1e-12);
	memset(species, PN_NO_ATOM, sizeof species);
	assert_int_equal(pn_linear_model_rfactor(&m, &p, &r, NULL, NULL), PN_EARG);
}

static void what_cannot_be_drawn_is_told(void **state)
{
	struct pn_linear_model m = two_species();
	struct pn_error err = { 0 };

	(void)state;
	species[3] = 2;
	assert_int_equal(pn_linear_model_project(&m, pose, TILTS, NY, NX, image, &err), PN_EARG);
	assert_non_null(strstr(err.text, "atom 3"));
	m = two_species();
	position[8][2] = NAN;
	assert_int_equal(pn_linear_model_check(&m, &err), PN_EARG);
	assert_non_null(strstr(err.text, "atom 8"));
	m = two_species();
	m.spot[1].variance_A2[1] = 0;
	assert_int_equal(pn_linear_model_check(&m, &err), PN_EARG);
	assert_non_null(strstr(err.text, "species 1, Gaussian 1"));
	m = two_species();
	m.pixel_A = 0;
	assert_int_equal(pn_linear_model_check(&m, &err), PN_EARG);
	m = two_species();
	m.spot[0].gaussians = 5;
	assert_int_equal(pn_linear_model_check(&m, &err), PN_EARG);
	assert_int_equal(pn_linear_model_project(&m, pose, 0, NY, NX, image, &err), PN_EARG);
	/* an atom a mile away is no error, and not seen */
	m = two_species();
	m.count = 1;
	position[0][0] = 1e12;
	assert_int_equal(pn_linear_model_project(&m, pose, 1, NY, NX, image, &err), PN_OK);
	for (int i = 0; i < PIXELS; i++)
		assert_true(image[i] == 0);
	/* no atoms at all: a black image */
	m.count = 0;
	assert_int_equal(pn_linear_model_project(&m, pose, 1, NY, NX, image, &err), PN_OK);
	assert_true(image[PIXELS / 2] == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(projection_is_the_sum_of_spots),
		cmocka_unit_test(integration_over_the_pixel),
		cmocka_unit_test(adjoint_is_the_derivative),
		cmocka_unit_test(element_is_its_scattering_factor),
		cmocka_unit_test(threads_do_not_matter),
		cmocka_unit_test(rfactor_fits_the_scale),
		cmocka_unit_test(what_cannot_be_drawn_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
