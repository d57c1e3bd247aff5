/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Fourier slices against closed forms, against real space, and against their adjoint. */
#include "perrin/tomo/slice.h"

#include "perrin/base/rng.h"
#include "perrin/tomo/projector.h"
#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { POSES = 6, BLOBS = 12 };

static const double sigma = 1.5; /* exp(-2 (pi sigma / 2)^2) = 2e-5 at the limit of 1/2 */

static float *noise(size_t count, uint64_t seed)
{
	float *a = malloc(count * sizeof *a);
	struct pn_rng rng;

	assert_non_null(a);
	pn_rng_init(&rng, seed, 0);
	for (size_t i = 0; i < count; i++)
		a[i] = (float)pn_rng_gauss(&rng);
	return a;
}

static void some_poses(struct pn_pose pose[POSES])
{
	static const double shift[POSES][2] = { { 0, 0 },      { 0.37, -0.5 }, { -3, 2 },
						{ 2.2, -7.6 }, { 0, 0 },       { 60, 0 } };

	for (int k = 0; k < POSES; k++) {
		pn_pose_euler(&pose[k], 23.0 * k, k == 4 ? 90 : 41.0 * k - 100, 33.0 * k - 50);
		memcpy(pose[k].shift_px, shift[k], sizeof shift[k]);
	}
	pn_pose_tilt(&pose[0], 0);
}

/* Gaussians well inside of the box, x y z from its origin and weights. */
static void some_blobs(const struct pn_box *box, double blob[BLOBS][4], float *volume)
{
	const size_t n[3] = { box->nx, box->ny, box->nz };
	struct pn_rng rng;

	pn_rng_init(&rng, 3, 0);
	memset(volume, 0, pn_box_voxels(box) * sizeof *volume);
	for (int b = 0; b < BLOBS; b++) {
		for (int a = 0; a < 3; a++)
			blob[b][a] = fmax((double)n[a] - 15, 0) * (pn_rng_uniform(&rng) - 0.5);
		blob[b][3] = pn_rng_gauss(&rng);
		for (size_t i = 0; i < pn_box_voxels(box); i++) {
			double r[3] = { (double)(i % box->nx), (double)(i / box->nx % box->ny),
					(double)(i / box->nx / box->ny) },
			       square = 0;

			for (int a = 0; a < 3; a++)
				square += pow(r[a] - (double)(n[a] / 2) - blob[b][a], 2);
			volume[i] += (float)(blob[b][3] * exp(-square / (2 * sigma * sigma)));
		}
	}
}

static double blob_image(const struct pn_pose *pose, double blob[BLOBS][4], double x, double y)
{
	double sum = 0;

	for (int b = 0; b < BLOBS; b++) {
		double at[2];

		for (int a = 0; a < 2; a++)
			at[a] = pose->rotation[a][0] * blob[b][0] +
				pose->rotation[a][1] * blob[b][1] +
				pose->rotation[a][2] * blob[b][2] + pose->shift_px[a];
		sum += blob[b][3] * sqrt(2 * M_PI) * sigma *
		       exp(-((x - at[0]) * (x - at[0]) + (y - at[1]) * (y - at[1])) /
			   (2 * sigma * sigma));
	}
	return sum;
}

static struct pn_slicer *planned(const struct pn_box *box, size_t ny, size_t nx,
				 double oversampling)
{
	struct pn_error err = { 0 };
	struct pn_slicer *s;

	assert_int_equal(pn_slicer_plan(&s, box, ny, nx, oversampling, &err), PN_OK);
	return s;
}

/* Largest error over the largest pixel, of Gaussians in a box. */
static double blob_error(const struct pn_box *box, size_t ny, size_t nx, double oversampling)
{
	float *volume = malloc(pn_box_voxels(box) * sizeof *volume);
	float *image = malloc(POSES * ny * nx * sizeof *image);
	struct pn_slicer *s = planned(box, ny, nx, oversampling);
	double blob[BLOBS][4], worst = 0, most = 0;
	struct pn_pose pose[POSES];

	some_poses(pose);
	some_blobs(box, blob, volume);
	pn_slicer_prepare(s, volume);
	memset(volume, 0xff, pn_box_voxels(box) * sizeof *volume);
	pn_slicer_project(s, pose, POSES, image);
	for (size_t i = 0; i < POSES * ny * nx; i++) {
		double x = (double)(i % nx) - (double)(nx / 2),
		       y = (double)(i / nx % ny) - (double)(ny / 2);
		double words = blob_image(&pose[i / nx / ny], blob, x, y);

		most = fmax(most, fabs(words));
		worst = fmax(worst, fabs(words - image[i]));
	}
	pn_slicer_destroy(s);
	free(volume);
	free(image);
	return worst / most;
}

static void gaussians_cast_gaussians(void **state)
{
	(void)state;
	assert_true(blob_error(&(struct pn_box){ 40, 40, 40 }, 40, 40, 0) < 2e-5);
	assert_true(blob_error(&(struct pn_box){ 40, 40, 40 }, 90, 80, 2) < 2e-5);
	assert_true(blob_error(&(struct pn_box){ 33, 48, 39 }, 37, 50, 1.5) < 1e-4);
	assert_true(blob_error(&(struct pn_box){ 39, 31, 48 }, 51, 46, 3) < 1e-4);
	assert_true(blob_error(&(struct pn_box){ 30, 36, 32 }, 31, 46, 4) < 1e-4);
}

/* The same sinc in another way: for a tilt about y the two operators are one. */
static void tilts_agree_with_real_space(void **state)
{
	enum { N = 40, COUNT = 5 };
	const struct pn_box box = { N, N, N };
	float *volume = malloc(N * N * N * sizeof *volume);
	float *slices = malloc(COUNT * N * N * sizeof *slices),
	      *image = malloc(COUNT * N * N * sizeof *image);
	double blob[BLOBS][4], error = 0, norm = 0;
	struct pn_slicer *s = planned(&box, N, N, 2);
	struct pn_pose pose[COUNT];
	struct pn_projector *p;

	(void)state;
	some_blobs(&box, blob, volume);
	for (int k = 0; k < COUNT; k++) {
		pn_pose_tilt(&pose[k], 17.0 * k - 30);
		pose[k].shift_px[0] = 0.3 * k;
		pose[k].shift_px[1] = -0.2 * k;
	}
	assert_int_equal(pn_projector_plan(&p, &box, pose, COUNT, N, N, PN_FOOTPRINT_SINC, NULL),
			 PN_OK);
	pn_project(p, volume, image);
	pn_slicer_prepare(s, volume);
	pn_slicer_project(s, pose, COUNT, slices);
	for (int i = 0; i < COUNT * N * N; i++) {
		error += pow(slices[i] - image[i], 2);
		norm += pow(image[i], 2);
	}
	/* the window of the sinc is what is left */
	assert_true(sqrt(error / norm) < 3e-4);
	pn_projector_destroy(p);
	pn_slicer_destroy(s);
	free(volume);
	free(slices);
	free(image);
}

/* One voxel, by the sum of the header over frequencies, which in its middle does not depend on P.
 */
static void one_voxel_is_a_sinc(void **state)
{
	enum { N = 24 };
	const struct pn_box box = { N, N, N };
	float volume[N * N * N] = { 0 }, image[N * N];
	struct pn_slicer *s = planned(&box, N, N, 2);
	struct pn_pose pose;

	(void)state;
	volume[(13 * N + 11) * N + 14] = 1; /* (2, -1, 1) from the origin */
	pn_pose_tilt(&pose, 30);
	pn_slicer_prepare(s, volume);
	pn_slicer_project(s, &pose, 1, image);
	double at[2] = { 2 * pose.rotation[0][0] + 1 * pose.rotation[0][2], -1 };
	for (int i = 0; i < N * N; i++) {
		double x = i % N - N / 2 - at[0], y = i / N - N / 2 - at[1],
		       d = sin(M_PI * x) / (M_PI * x);

		/* the sum over bins differs from the integral by the tails of the neighbors */
		assert_true(fabs(image[i] - (fabs(y) < 1e-9 ? d : 0)) < 0.05);
		if (fabs(y) < 1e-9 && fabs(x) < 1)
			assert_true(image[i] > 0.9 * d);
	}
	pn_slicer_destroy(s);
}

static double dot(const float *a, const float *b, size_t count)
{
	double sum = 0;

	for (size_t i = 0; i < count; i++)
		sum += (double)a[i] * b[i];
	return sum;
}

static void backprojection_is_the_adjoint(void **state)
{
	static const struct {
		struct pn_box box;
		size_t ny, nx;
		double oversampling;
	} cases[] = {
		{ { 16, 15, 18 }, 17, 20, 2 }, { { 7, 12, 9 }, 12, 11, 1.5 },
		{ { 1, 14, 13 }, 8, 9, 3 },    { { 1, 1, 1 }, 5, 4, 2 },
		{ { 9, 1, 20 }, 60, 60, 4 },   { { 12, 12, 2 }, 1, 16, 2.5 },
	};

	(void)state;
	for (size_t i = 0; i < PN_COUNT(cases); i++) {
		const struct pn_box *box = &cases[i].box;
		const size_t voxels = pn_box_voxels(box),
			     pixels = POSES * cases[i].ny * cases[i].nx;
		float *u = noise(voxels, 2), *q = noise(pixels, 3);
		float *su = malloc(pixels * sizeof *su), *stq = malloc(voxels * sizeof *stq);
		struct pn_slicer *s = planned(box, cases[i].ny, cases[i].nx, cases[i].oversampling);
		struct pn_pose pose[POSES];

		some_poses(pose);
		/* before the first volume there are zeros */
		pn_slicer_project(s, pose, POSES, su);
		assert_true(dot(su, su, pixels) == 0);
		pn_slicer_prepare(s, u);
		pn_slicer_project(s, pose, POSES, su);
		pn_slicer_backproject(s, q, pose, POSES, stq);
		double left = dot(su, q, pixels), right = dot(u, stq, voxels);
		double size = sqrt(dot(su, su, pixels) * dot(q, q, pixels));
		assert_true(fabs(left - right) < 1e-6 * size);
		assert_true(fabs(left) > 1e-4 * size);
		pn_slicer_destroy(s);
		free(u);
		free(q);
		free(su);
		free(stq);
	}
}

static void bytes_do_not_depend_on_threads_or_company(void **state)
{
	enum { N = 20, NY = 17, NX = 23, COUNT = 40, VOXELS = N * N * N, AREA = NY * NX };
	const int most = omp_get_max_threads();
	const struct pn_box box = { N, N, N };
	float *u = noise(VOXELS, 5), *q = noise(COUNT * AREA, 6), *image[3], *back[3], alone[AREA];
	struct pn_pose pose[COUNT];

	(void)state;
	for (int k = 0; k < COUNT; k++) {
		pn_pose_euler(&pose[k], 17.0 * k, 5.0 * k, -3.0 * k);
		pose[k].shift_px[0] = 0.1 * k;
	}
	for (int t = 0; t < 3; t++) {
		omp_set_num_threads(t + 1);
		struct pn_slicer *s = planned(&box, NY, NX, 2);

		image[t] = malloc(COUNT * AREA * sizeof(float));
		back[t] = malloc(VOXELS * sizeof(float));
		pn_slicer_prepare(s, u);
		pn_slicer_project(s, pose, COUNT, image[t]);
		pn_slicer_project(s, pose + 37, 1, alone);
		assert_memory_equal(alone, image[t] + 37 * AREA, sizeof alone);
		pn_slicer_backproject(s, q, pose, COUNT, back[t]);
		pn_slicer_destroy(s);
	}
	omp_set_num_threads(most);
	for (int t = 0; t < 3; t++) {
		assert_memory_equal(image[0], image[t], COUNT * AREA * sizeof(float));
		assert_memory_equal(back[0], back[t], VOXELS * sizeof(float));
	}
	for (int t = 0; t < 3; t++) {
		free(image[t]);
		free(back[t]);
	}
	free(u);
	free(q);
}

static void bad_plans_are_told(void **state)
{
	struct pn_error err = { 0 };
	struct pn_slicer *s;

	(void)state;
	assert_int_equal(pn_slicer_plan(&s, &(struct pn_box){ 8, 0, 8 }, 8, 8, 2, &err), PN_EARG);
	assert_null(s);
	assert_int_equal(pn_slicer_plan(&s, &(struct pn_box){ 8, 8, 8 }, 8, 9000, 2, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "9000"));
	assert_int_equal(pn_slicer_plan(&s, &(struct pn_box){ 8, 8, 8 }, 8, 8, 1.2, &err), PN_EARG);
	assert_non_null(strstr(err.text, "1.2"));
	assert_int_equal(pn_slicer_plan(&s, &(struct pn_box){ 8, 8, 8 }, 8, 8, NAN, &err), PN_EARG);
	assert_int_equal(pn_slicer_plan(&s, &(struct pn_box){ 1, 1, 2000 }, 8, 8, 4, &err),
			 PN_EARG);
	pn_slicer_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gaussians_cast_gaussians),
		cmocka_unit_test(tilts_agree_with_real_space),
		cmocka_unit_test(one_voxel_is_a_sinc),
		cmocka_unit_test(backprojection_is_the_adjoint),
		cmocka_unit_test(bytes_do_not_depend_on_threads_or_company),
		cmocka_unit_test(bad_plans_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
