/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Projections by their definition, by closed forms, and against their adjoint. */
#include "perrin/tomo/projector.h"

#include "perrin/base/rng.h"
#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { POSES = 7 };

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

/* Tilts about y with shifts, along the grid, steep, and flat; or the same with the axis off. */
static void some_poses(struct pn_pose pose[POSES], int single_axis)
{
	static const double tilt[POSES] = { 0, -37.5, 90, 71, 180, -134, 45 };
	static const double shift[POSES][2] = { { 0, 0 },      { 0.37, 0 },  { -1, 2 },
						{ 2.2, -0.6 }, { 0.5, 0.5 }, { -3.7, 1.1 },
						{ 40, 1.25 } };

	for (int k = 0; k < POSES; k++) {
		pn_pose_euler(&pose[k], single_axis ? 0 : 10.0 * k, tilt[k],
			      single_axis ? 0 : 33.0 - k);
		pose[k].shift_px[0] = shift[k][0];
		pose[k].shift_px[1] = shift[k][1];
	}
}

static struct pn_projector *planned(const struct pn_box *box, const struct pn_pose *pose,
				    size_t count, size_t ny, size_t nx, enum pn_footprint footprint)
{
	struct pn_error err = { 0 };
	struct pn_projector *p;

	assert_int_equal(pn_projector_plan(&p, box, pose, count, ny, nx, footprint, &err), PN_OK);
	return p;
}

static double tri(double d)
{
	return fmax(0, 1 - fabs(d));
}

/* I0 by its integral (periodic, so that the plain sum is exact) */
static double bessel(double x)
{
	double sum = 0;

	for (int i = 0; i < 32; i++)
		sum += exp(x * cos(2 * M_PI * i / 32)) / 32;
	return sum;
}

static double windowed_sinc(double d)
{
	if (fabs(d) >= 18)
		return 0;
	if (fabs(d) < 1e-9)
		return 1;
	return sin(M_PI * d) / (M_PI * d) * bessel(5.75 * sqrt(1 - d * d / 324)) / bessel(5.75);
}

/* Pixel of voxel by the words of the header. */
static void seen_at(const struct pn_pose *pose, const double r[3], size_t ny, size_t nx,
		    double at[2])
{
	for (int a = 0; a < 2; a++)
		at[a] = pose->rotation[a][0] * r[0] + pose->rotation[a][1] * r[1] +
			pose->rotation[a][2] * r[2] + pose->shift_px[a] +
			(double)((a ? ny : nx) / 2);
}

static void add_voxel(double *image, size_t ny, size_t nx, const struct pn_pose *pose,
		      const double r[3], double u, int sinc)
{
	double at[2];

	for (int s = 0; s < (sinc ? 1 : 4); s++) {
		const double point[3] = { r[0] + (sinc ? 0 : s % 2 * 0.5 - 0.25), r[1],
					  r[2] + (sinc ? 0 : s / 2 * 0.5 - 0.25) };

		seen_at(pose, point, ny, nx, at);
		for (size_t y = 0; y < ny; y++)
			for (size_t x = 0; x < nx; x++) {
				double dx = (double)x - at[0], dy = (double)y - at[1];

				if (sinc)
					image[y * nx + x] +=
						u * windowed_sinc(dx) * windowed_sinc(dy);
				else
					image[y * nx + x] += u / 4 * tri(dx) * tri(dy);
			}
	}
}

static void compare_with_definition(const struct pn_box *box, size_t ny, size_t nx, int single,
				    enum pn_footprint footprint)
{
	float *u = noise(pn_box_voxels(box), 1), *image = malloc(POSES * ny * nx * sizeof *image);
	double *slow = malloc(ny * nx * sizeof *slow), most = 0;
	struct pn_pose pose[POSES];
	struct pn_projector *p;

	some_poses(pose, single);
	assert_int_equal(pn_poses_single_axis(pose, POSES), single);
	p = planned(box, pose, POSES, ny, nx, footprint);
	/* once over what another call left behind */
	pn_project(p, u, image);
	pn_backproject(p, image, u);
	free(u);
	u = noise(pn_box_voxels(box), 1);
	pn_project(p, u, image);
	for (int k = 0; k < POSES; k++) {
		double norm = 0, worst = 0;

		memset(slow, 0, ny * nx * sizeof *slow);
		for (size_t i = 0; i < pn_box_voxels(box); i++) {
			size_t z = i / box->nx / box->ny, y = i / box->nx % box->ny,
			       x = i % box->nx;
			const double r[3] = { (double)x - (double)(box->nx / 2),
					      (double)y - (double)(box->ny / 2),
					      (double)z - (double)(box->nz / 2) };

			add_voxel(slow, ny, nx, &pose[k], r, u[i], footprint == PN_FOOTPRINT_SINC);
		}
		for (size_t i = 0; i < ny * nx; i++) {
			norm = fmax(norm, fabs(slow[i]));
			worst = fmax(worst, fabs(slow[i] - image[(size_t)k * ny * nx + i]));
		}
		assert_true(worst <= 1e-5 * norm + 1e-7);
		most = fmax(most, norm);
	}
	assert_true(most > 0);
	pn_projector_destroy(p);
	free(u);
	free(image);
	free(slow);
}

static void linear_is_its_definition(void **state)
{
	(void)state;
	for (int single = 0; single < 2; single++) {
		compare_with_definition(&(struct pn_box){ 9, 11, 14 }, 12, 17, single,
					PN_FOOTPRINT_LINEAR);
		compare_with_definition(&(struct pn_box){ 13, 70, 5 }, 41, 8, single,
					PN_FOOTPRINT_LINEAR);
		compare_with_definition(&(struct pn_box){ 1, 3, 7 }, 3, 7, single,
					PN_FOOTPRINT_LINEAR);
		compare_with_definition(&(struct pn_box){ 1, 1, 1 }, 6, 6, single,
					PN_FOOTPRINT_LINEAR);
		compare_with_definition(&(struct pn_box){ 20, 2, 1 }, 1, 30, single,
					PN_FOOTPRINT_LINEAR);
	}
}

static void sinc_is_its_definition(void **state)
{
	(void)state;
	for (int single = 0; single < 2; single++) {
		compare_with_definition(&(struct pn_box){ 6, 7, 8 }, 9, 12, single,
					PN_FOOTPRINT_SINC);
		compare_with_definition(&(struct pn_box){ 1, 33, 4 }, 5, 40, single,
					PN_FOOTPRINT_SINC);
	}
}

/* A wave under a bell, of which nothing is above 0.45 per voxel: sinc^4 has a compact spectrum. */
static double wave(double x, int axis)
{
	static const double f[2][5] = { { 0.02, 0.11, 0.2, 0.31, 0.405 },
					{ 0.06, 0.15, 0.26, 0.34, 0.4 } };
	double t = M_PI * 0.02 * x, bell = fabs(t) < 1e-9 ? 1 : pow(sin(t) / t, 4), sum = 0;

	for (int i = 0; i < 5; i++)
		sum += cos(2 * M_PI * f[axis][i] * x + i * (axis + 1));
	return bell * sum;
}

/* One sheet, moved by parts of a pixel: a band-limited function moved by as much. */
static void sinc_moves_what_is_band_limited(void **state)
{
	enum { N = 256, COUNT = N * N };
	float *u = malloc(COUNT * sizeof *u), *image = malloc(COUNT * sizeof *image);

	(void)state;
	for (int i = 0; i < COUNT; i++)
		u[i] = (float)(wave(i % N - N / 2, 0) * wave(i / N - N / 2, 1));
	for (int turned = 0; turned < 2; turned++) {
		const struct pn_box box = { 1, N, N };
		double error = 0, norm = 0;
		struct pn_pose pose;

		pn_pose_euler(&pose, turned ? 90 : 0, 0, 0);
		pose.shift_px[0] = 0.37;
		pose.shift_px[1] = -2.45;
		struct pn_projector *p = planned(&box, &pose, 1, N, N, PN_FOOTPRINT_SINC);
		pn_project(p, u, image);
		for (int i = 0; i < COUNT; i++) {
			double x = i % N - N / 2 - 0.37, y = i / N - N / 2 + 2.45;
			/* phi = 90: the rotation is Rz(-90), x = Y, y = -X */
			double words = turned ? wave(-y, 0) * wave(x, 1) : wave(x, 0) * wave(y, 1);

			norm += words * words;
			error += (image[i] - words) * (image[i] - words);
		}
		assert_true(sqrt(error / norm) < 1e-3);
		pn_projector_destroy(p);
	}
	free(u);
	free(image);
}

/* The projection of a Gaussian is one; the linear footprint makes it wider by what is known. */
static void gaussian_is_projected(enum pn_footprint footprint, int single, double tolerance)
{
	enum { N = 44, NY = 40, NX = 46 };
	const double sigma = 2.5, middle[3] = { 2.3, -3.1, 1.7 };
	float *u = malloc(N * N * N * sizeof *u), *image = malloc(POSES * NY * NX * sizeof *image);
	struct pn_pose pose[POSES];
	const struct pn_box box = { N, N, N };

	some_poses(pose, single);
	for (int i = 0; i < N * N * N; i++) {
		double x = i % N - N / 2 - middle[0], y = i / N % N - N / 2 - middle[1],
		       z = i / N / N - N / 2 - middle[2];

		u[i] = (float)exp(-(x * x + y * y + z * z) / (2 * sigma * sigma));
	}
	struct pn_projector *p = planned(&box, pose, POSES, NY, NX, footprint);
	pn_project(p, u, image);
	for (int k = 0; k < POSES; k++) {
		double at[2], width[2], volume = pow(2 * M_PI, 1.5) * pow(sigma, 3);

		seen_at(&pose[k], middle, NY, NX, at);
		for (int a = 0; a < 2; a++) {
			const double *r = pose[k].rotation[a];
			/* a triangle has the variance 1/6, the four points (1/4)^2 along X and Z */
			double blur = 1.0 / 6 + (r[0] * r[0] + r[2] * r[2]) / 16;

			width[a] =
				sqrt(sigma * sigma + (footprint == PN_FOOTPRINT_LINEAR ? blur : 0));
		}
		double peak = volume / (2 * M_PI * width[0] * width[1]);
		for (int i = 0; i < NY * NX; i++) {
			double dx = (i % NX - at[0]) / width[0], dy = (i / NX - at[1]) / width[1];
			double words = peak * exp(-(dx * dx + dy * dy) / 2);

			assert_true(fabs(image[k * NY * NX + i] - words) < tolerance * peak);
		}
	}
	pn_projector_destroy(p);
	free(u);
	free(image);
}

static void a_gaussian_casts_a_gaussian(void **state)
{
	(void)state;
	for (int single = 0; single < 2; single++) {
		gaussian_is_projected(PN_FOOTPRINT_LINEAR, single, 0.02);
		gaussian_is_projected(PN_FOOTPRINT_SINC, single, 2.5e-4);
	}
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
	static const struct pn_box boxes[] = {
		{ 16, 15, 18 }, { 7, 66, 9 }, { 1, 4, 30 }, { 1, 1, 1 }
	};

	(void)state;
	for (int i = 0; i < (int)PN_COUNT(boxes) * 4; i++) {
		const struct pn_box *box = &boxes[i / 4];
		const size_t ny = 17, nx = 20, voxels = pn_box_voxels(box),
			     pixels = POSES * ny * nx;
		float *u = noise(voxels, 2), *q = noise(pixels, 3);
		float *au = malloc(pixels * sizeof *au), *atq = malloc(voxels * sizeof *atq);
		struct pn_pose pose[POSES];

		some_poses(pose, i % 2);
		struct pn_projector *p =
			planned(box, pose, POSES, ny, nx,
				i / 2 % 2 ? PN_FOOTPRINT_SINC : PN_FOOTPRINT_LINEAR);
		pn_project(p, u, au);
		pn_backproject(p, q, atq);
		double left = dot(au, q, pixels), right = dot(u, atq, voxels);
		double size = sqrt(dot(au, au, pixels) * dot(q, q, pixels));
		assert_true(fabs(left - right) < 1e-6 * size);
		assert_true(fabs(left) > 1e-4 * size);
		pn_projector_destroy(p);
		free(u);
		free(q);
		free(au);
		free(atq);
	}
}

/* The two programs for the same poses: an axis off by less than matters asks for the general one.
 */
static void both_ways_agree(void **state)
{
	enum { COUNT = 70, N = 18, NY = 17, NX = 21 };
	struct pn_pose pose[COUNT];
	const struct pn_box box = { N, N, N };

	(void)state;
	for (int footprint = 0; footprint < 2; footprint++) {
		float *u = noise(N * N * N, 4), *image[2], *back[2];

		for (int way = 0; way < 2; way++) {
			image[way] = malloc(COUNT * NY * NX * sizeof(float));
			back[way] = malloc(N * N * N * sizeof(float));
			for (int k = 0; k < COUNT; k++) {
				pn_pose_euler(&pose[k], 0, 2.5 * k - 80, way * 2e-10);
				pose[k].shift_px[0] = 0.1 * k;
				pose[k].shift_px[1] = 0.03 * k - 1;
			}
			struct pn_projector *p =
				planned(&box, pose, COUNT, NY, NX,
					footprint ? PN_FOOTPRINT_SINC : PN_FOOTPRINT_LINEAR);
			pn_project(p, u, image[way]);
			pn_backproject(p, image[0], back[way]);
			pn_projector_destroy(p);
		}
		double size = sqrt(dot(image[0], image[0], COUNT * NY * NX) / (COUNT * NY * NX));
		for (int i = 0; i < COUNT * NY * NX; i++)
			assert_true(fabs(image[0][i] - image[1][i]) < 2e-5 * size);
		size = sqrt(dot(back[0], back[0], N * N * N) / (N * N * N));
		for (int i = 0; i < N * N * N; i++)
			assert_true(fabs(back[0][i] - back[1][i]) < 2e-5 * size);
		for (int way = 0; way < 2; way++) {
			free(image[way]);
			free(back[way]);
		}
		free(u);
	}
}

static void bytes_do_not_depend_on_threads(void **state)
{
	enum { N = 36, NY = 33, NX = 40, VOXELS = N * N * N, PIXELS = POSES * NY * NX };
	const int most = omp_get_max_threads();
	const struct pn_box box = { N, N, N };
	float *u = noise(VOXELS, 5), *q = noise(PIXELS, 6);

	(void)state;
	for (int i = 0; i < 4; i++) {
		float *image[3], *back[3];
		struct pn_pose pose[POSES];

		some_poses(pose, i % 2);
		for (int t = 0; t < 3; t++) {
			omp_set_num_threads(t + 1);
			struct pn_projector *p =
				planned(&box, pose, POSES, NY, NX,
					i / 2 ? PN_FOOTPRINT_SINC : PN_FOOTPRINT_LINEAR);

			image[t] = malloc(PIXELS * sizeof(float));
			back[t] = malloc(VOXELS * sizeof(float));
			pn_project(p, u, image[t]);
			pn_backproject(p, q, back[t]);
			pn_projector_destroy(p);
		}
		for (int t = 0; t < 3; t++) {
			assert_memory_equal(image[0], image[t], PIXELS * sizeof(float));
			assert_memory_equal(back[0], back[t], VOXELS * sizeof(float));
		}
		for (int t = 0; t < 3; t++) {
			free(image[t]);
			free(back[t]);
		}
	}
	omp_set_num_threads(most);
	free(u);
	free(q);
}

static void bad_plans_are_told(void **state)
{
	struct pn_pose pose[2];
	struct pn_box box = { 8, 8, 8 };
	struct pn_error err = { 0 };
	struct pn_projector *p;

	(void)state;
	pn_pose_tilt(&pose[0], 0);
	pn_pose_tilt(&pose[1], 1);
	assert_int_equal(pn_projector_plan(&p, &box, pose, 0, 8, 8, 0, &err), PN_EARG);
	assert_int_equal(pn_projector_plan(&p, &box, pose, 2, 8, 5000, 0, &err), PN_EARG);
	assert_non_null(strstr(err.text, "5000"));
	assert_null(p);
	box.ny = 0;
	assert_int_equal(pn_projector_plan(&p, &box, pose, 2, 8, 8, 0, &err), PN_EARG);
	box.ny = 8;
	pose[1].rotation[0][0] = 2;
	assert_int_equal(pn_projector_plan(&p, &box, pose, 2, 8, 8, 0, &err), PN_EARG);
	assert_non_null(strstr(err.text, "projection 1: not a rotation"));
	pn_pose_tilt(&pose[1], 1);
	pose[1].shift_px[1] = 1e5;
	assert_int_equal(pn_projector_plan(&p, &box, pose, 2, 8, 8, 0, &err), PN_EARG);
	assert_non_null(strstr(err.text, "100000"));
	pn_projector_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(linear_is_its_definition),
		cmocka_unit_test(sinc_is_its_definition),
		cmocka_unit_test(sinc_moves_what_is_band_limited),
		cmocka_unit_test(a_gaussian_casts_a_gaussian),
		cmocka_unit_test(backprojection_is_the_adjoint),
		cmocka_unit_test(both_ways_agree),
		cmocka_unit_test(bytes_do_not_depend_on_threads),
		cmocka_unit_test(bad_plans_are_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
