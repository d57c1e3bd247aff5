/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Rings of images and maps against the closed transform of Gaussian blobs. */
#include "perrin/orient/polar.h"

#include "blobs.h"
#include "testkit.h"

#include <stdlib.h>

enum { EDGE = 48 };

static const struct pn_polar_params usual = { .edge = EDGE,
					      .pixel_A = 0.5,
					      .resolution_low_A = 8,
					      .resolution_high_A = 2,
					      .radius_px = 18,
					      .ring_power = 0.5 };

static struct pn_polar *make(const struct pn_polar_params *params)
{
	struct pn_polar *polar = NULL;
	struct pn_error err = { 0 };

	if (pn_polar_create(&polar, params, &err))
		fail_msg("%s", err.text);
	return polar;
}

static void turn(double r[3][3], double x, double y, double z)
{
	double q[4];

	pn_quaternion_from_vector(q, (const double[3]){ x, y, z });
	pn_quaternion_to_matrix(r, q);
}

/* Largest error of the rings to those of the closed form, over the largest of them. */
static double worst(const struct pn_polar *polar, const struct blobs *b, const double r[3][3],
		    const double shift_px[2], const float complex *ring)
{
	double largest = 0, error = 0;

	for (size_t i = 0; i < polar->points; i++) {
		const double *g = polar->frequency[i];
		double f[3];

		for (int k = 0; k < 3; k++)
			f[k] = r[0][k] * g[0] + r[1][k] * g[1];
		double complex want =
			blobs_transform(b, f) *
			cexp(-2 * M_PI * I * (g[0] * shift_px[0] + g[1] * shift_px[1]));

		largest = fmax(largest, cabs(want));
		error = fmax(error, cabs((double complex)ring[i] - want));
	}
	return error / largest;
}

static void test_grid(void **state)
{
	struct pn_polar *p = make(&usual);
	double sum = 0;

	(void)state;
	/* 24 A of field: rings 3 to 12; 2 pi 12 18 / 48 = 28.3 orders and some */
	assert_int_equal(p->first, 3);
	assert_int_equal(p->rings, 10);
	assert_int_equal(p->orders, 35);
	assert_true(p->angles >= 70 && p->half == p->angles / 2);
	for (size_t r = 0; r < p->rings; r++) {
		sum += p->weight[r];
		assert_true(fabs(p->weight[r] / p->weight[0] - sqrt((double)(3 + r) / 3)) < 1e-12);
		assert_true(p->ctf[r] == 1);
		assert_true(fabs(hypot(p->frequency[r * p->half + 5][0],
				       p->frequency[r * p->half + 5][1]) -
				 (double)(3 + r) / EDGE) < 1e-12);
	}
	assert_true(fabs(sum / (double)p->rings - 1) < 1e-12);
	pn_polar_destroy(p);
}

static void test_image(void **state)
{
	static const double origin[2] = { 0, 0 }, shift[2] = { 1.3, -2.1 };
	struct pn_polar *p = make(&usual);
	float *image = malloc(EDGE * EDGE * sizeof *image);
	float complex *ring = malloc(p->points * sizeof *ring);
	struct blobs b;
	double r[3][3];

	(void)state;
	assert_true(image && ring);
	blobs_make(&b, 10, 3);
	turn(r, 0.4, -1.1, 0.7);
	blobs_image(&b, EDGE, r, shift, image);
	for (size_t i = 0; i < EDGE * EDGE; i++)
		image[i] += 7.5f; /* a background is taken out */
	pn_polar_image(p, image, shift, ring);
	assert_true(worst(p, &b, r, shift, ring) < 5e-4);
	pn_polar_move(p, ring, shift, ring);
	assert_true(worst(p, &b, r, origin, ring) < 5e-4);
	assert_true(worst(p, &b, r, shift, ring) > 0.1); /* the test can fail */
	free(image);
	free(ring);
	pn_polar_destroy(p);
}

static void test_map(void **state)
{
	static const double origin[2] = { 0, 0 };
	double ctf[EDGE + 1], r[3][3];
	struct pn_polar_params params = usual;
	const struct pn_box box = { EDGE, EDGE, EDGE };
	struct pn_slicer *slicer;
	float *volume = malloc(EDGE * EDGE * EDGE * sizeof *volume);
	struct blobs b;

	(void)state;
	for (int s = 0; s <= EDGE; s++)
		ctf[s] = cos(0.2 * s);
	params.ctf = ctf;
	struct pn_polar *p = make(&params), *plain = make(&usual);
	float complex *ring = malloc(p->points * sizeof *ring);

	assert_true(volume && ring);
	blobs_make(&b, 10, 4);
	blobs_volume(&b, EDGE, volume);
	assert_int_equal(pn_slicer_plan(&slicer, &box, EDGE, EDGE, 0, NULL), PN_OK);
	pn_slicer_prepare(slicer, volume);
	turn(r, 2.0, 0.3, -0.9);
	pn_polar_map(plain, slicer, r, ring);
	assert_true(worst(plain, &b, r, origin, ring) < 1e-3);
	pn_polar_map(p, slicer, r, ring);
	for (size_t k = 0; k < p->rings; k++)
		for (size_t a = 0; a < p->half; a++)
			ring[k * p->half + a] /= (float)cos(0.2 * 2 * (double)(p->first + k));
	assert_true(worst(p, &b, r, origin, ring) < 1e-3);
	free(volume);
	free(ring);
	pn_slicer_destroy(slicer);
	pn_polar_destroy(p);
	pn_polar_destroy(plain);
}

/* The series of a turned image is that of the image with phases; its norm that of the points. */
static void test_orders(void **state)
{
	static const double origin[2] = { 0, 0 };
	struct pn_polar *p = make(&usual);
	const size_t n = p->orders * p->rings;
	float *image = malloc(EDGE * EDGE * sizeof *image);
	float complex *ring = malloc(p->points * sizeof *ring), *one = malloc(n * sizeof *one),
		      *two = malloc(n * sizeof *two);
	double r[3][3], z[3][3], norm, other, error = 0, sum = 0;
	struct blobs b;

	(void)state;
	assert_true(image && ring && one && two);
	blobs_make(&b, 10, 5);
	turn(r, -0.4, 0.1, 0.2);
	blobs_image(&b, EDGE, r, origin, image);
	pn_polar_image(p, image, NULL, ring);
	pn_polar_orders(p, ring, one, &norm);
	assert_true(fabs(norm * norm / pn_polar_product(p, ring, ring) - 1) < 1e-3);
	turn(z, 0, 0, 0.8);
	pn_matrix3_multiply(r, z, r);
	blobs_image(&b, EDGE, r, origin, image);
	pn_polar_image(p, image, NULL, ring);
	pn_polar_orders(p, ring, two, &other);
	assert_true(fabs(norm / other - 1) < 1e-3);
	for (size_t i = 0; i < n; i++) {
		double complex want =
			(double complex)one[i] * cexp(-I * 0.8 * (double)(i / p->rings));

		sum += (i < p->rings ? 1 : 2) * pow(cabs((double complex)two[i]), 2);
		error = fmax(error, cabs((double complex)two[i] - want));
	}
	assert_true(fabs(sum - 1) < 1e-5);
	assert_true(error < 2e-4);
	memset(ring, 0, p->points * sizeof *ring);
	pn_polar_orders(p, ring, one, &norm);
	assert_true(norm == 0 && one[3] == 0);
	free(image);
	free(ring);
	free(one);
	free(two);
	pn_polar_destroy(p);
}

static void refuse(struct pn_polar_params params, const char *text)
{
	struct pn_polar *p;
	struct pn_error err = { 0 };

	assert_int_equal(pn_polar_create(&p, &params, &err), PN_EARG);
	assert_null(p);
	assert_non_null(strstr(err.text, text));
}

static void test_bad(void **state)
{
	struct pn_polar_params p = usual;

	(void)state;
	p.edge = 47;
	refuse(p, "47 x 47");
	p = usual;
	p.resolution_high_A = 9;
	refuse(p, "from 8 to 9 A");
	p = usual;
	p.resolution_high_A = 7;
	refuse(p, "less than 3 rings");
	p = usual;
	p.radius_px = 25;
	refuse(p, "radius of 25 px");
	p = usual;
	p.ring_power = (double)NAN;
	refuse(p, "ring power");
	p = usual;
	p.pixel_A = 0;
	refuse(p, "pixels of 0 A");
	pn_polar_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_grid), cmocka_unit_test(test_image),
		cmocka_unit_test(test_map),  cmocka_unit_test(test_orders),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
