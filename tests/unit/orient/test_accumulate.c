/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sums of slices against the definition in double; exactness; maps and least squares of phantoms.
 */
#include "perrin/orient/accumulate.h"

#include "perrin/math/fft.h"
#include "perrin/math/rotation.h"
#include "perrin/tomo/fista.h"

#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { SMALL = 16, EDGE = 32, VIEWS = 500, BALLS = 24 };

static void random_pose(struct pn_pose *pose, struct pn_rng *rng, double shift_px)
{
	double q[4];

	pn_quaternion_random(q, rng);
	pn_quaternion_to_matrix(pose->rotation, q);
	for (int a = 0; a < 2; a++)
		pose->shift_px[a] = shift_px * (2 * pn_rng_uniform(rng) - 1);
}

static struct pn_accumulator *make(size_t edge, double frequency_max, int width)
{
	const struct pn_accumulate_params params = { edge, frequency_max, 1.0, width };
	struct pn_accumulator *sums;
	struct pn_error err = { 0 };

	assert_int_equal(pn_accumulator_create(&sums, &params, &err), PN_OK);
	return sums;
}

/* A contrast that crosses zero several times, as a defocused lens has. */
static void fill_ctf(double *ctf, size_t edge, double first, double quadratic)
{
	for (size_t s = 0; s <= edge; s++) {
		double k = (double)s / (2 * (double)edge);

		ctf[s] = cos(first + quadratic * k * k);
	}
}

static double ctf_at(const double *ctf, double step)
{
	size_t i = (size_t)step;

	return ctf ? ctf[i] + (step - (double)i) * (ctf[i + 1] - ctf[i]) : 1;
}

/* ---- against the definition ----------------------------------------------------------------- */

struct view {
	struct pn_pose pose;
	float image[SMALL * SMALL];
	double weight, ctf[SMALL + 1];
};

static void make_views(struct view *view, int count)
{
	struct pn_rng rng;

	pn_rng_init(&rng, 5, 1);
	for (int k = 0; k < count; k++) {
		random_pose(&view[k].pose, &rng, 2.5);
		view[k].weight = 0.5 + pn_rng_uniform(&rng);
		fill_ctf(view[k].ctf, SMALL, 0.3 * k, 20 + k);
		for (int i = 0; i < SMALL * SMALL; i++)
			view[k].image[i] = (float)(pn_rng_uniform(&rng) - 0.3);
	}
	/* along the axes: footprints that end on grid points, and all of one at qx = 0 */
	pn_pose_tilt(&view[0].pose, 0);
	pn_pose_tilt(&view[1].pose, 90);
}

/* The image's transform at (fx, fy), its shift undone. */
static void direct_transform(const struct view *v, int fx, int fy, double out[2])
{
	out[0] = out[1] = 0;
	for (int y = 0; y < SMALL; y++)
		for (int x = 0; x < SMALL; x++) {
			double at = fx * (x - SMALL / 2 - v->pose.shift_px[0]) +
				    fy * (y - SMALL / 2 - v->pose.shift_px[1]);
			double turn = -2 * M_PI * at / SMALL;

			out[0] += (double)v->image[y * SMALL + x] * cos(turn);
			out[1] += (double)v->image[y * SMALL + x] * sin(turn);
		}
}

/* rhs [SMALL^3] and kernel [SMALL][2 SMALL - 1]^2 of one view, added; returns its energy. */
static double direct_sums(const struct view *v, double frequency_max, double *rhs, double *kernel)
{
	const double(*r)[3] = v->pose.rotation, pixels = SMALL * SMALL;
	double energy = 0;

	for (int fy = 1 - SMALL / 2; fy < SMALL / 2; fy++)
		for (int fx = 1 - SMALL / 2; fx < SMALL / 2; fx++) {
			double length = sqrt(fx * fx + fy * fy), p[2], q[3];

			if (length > frequency_max * SMALL + 1e-9)
				continue;
			const double c = ctf_at(v->ctf, 2 * length), w = v->weight / pixels;

			direct_transform(v, fx, fy, p);
			energy += w * (p[0] * p[0] + p[1] * p[1]);
			for (int a = 0; a < 3; a++)
				q[a] = 2 * M_PI * (r[0][a] * fx + r[1][a] * fy) / SMALL;
			for (int z = -SMALL / 2; z < SMALL / 2; z++)
				for (int y = -SMALL / 2; y < SMALL / 2; y++)
					for (int x = -SMALL / 2; x < SMALL / 2; x++) {
						double turn = q[0] * x + q[1] * y + q[2] * z;

						*rhs++ += w * c *
							  (p[0] * cos(turn) - p[1] * sin(turn));
					}
			rhs -= SMALL * SMALL * SMALL;
			for (int z = 0; z < SMALL; z++)
				for (int y = 1 - SMALL; y < SMALL; y++)
					for (int x = 1 - SMALL; x < SMALL; x++)
						*kernel++ += w * c * c *
							     cos(q[0] * x + q[1] * y + q[2] * z);
			kernel -= SMALL * (2 * SMALL - 1) * (2 * SMALL - 1);
		}
	return energy;
}

/* Largest error of the lags up to @reach, as a part of the kernel's top. */
static double lag_error(const double *got, const double *want, int reach)
{
	double worst = 0;

	for (int z = 0; z <= reach; z++)
		for (int y = -reach; y <= reach; y++)
			for (int x = -reach; x <= reach; x++) {
				int i = (z * (2 * SMALL - 1) + y + SMALL - 1) * (2 * SMALL - 1) +
					x + SMALL - 1;

				worst = fmax(worst, fabs(got[i] - want[i]));
			}
	return worst / want[(SMALL - 1) * (2 * SMALL - 1) + SMALL - 1];
}

/* b = A^T p and h = A^T A of the band, up to what a kernel of that width lets through. */
static void test_definition(void **state)
{
	enum { COUNT = 7, LAGS = SMALL * (2 * SMALL - 1) * (2 * SMALL - 1), VOXELS = 4096 };
	static struct view view[COUNT];
	static double rhs[VOXELS], kernel[LAGS];
	const double band[] = { 0.31, 0.5 };
	const double bound[] = { 1.5e-2, 5e-3, 2.5e-4, 6e-5 }; /* of widths 3..6 */
	const struct pn_box box = { SMALL, SMALL, SMALL };

	(void)state;
	make_views(view, COUNT);
	for (int b = 0; b < 2; b++) {
		double energy = 0;

		memset(rhs, 0, sizeof rhs);
		memset(kernel, 0, sizeof kernel);
		for (int k = 0; k < COUNT; k++)
			energy += direct_sums(&view[k], band[b], rhs, kernel);
		for (int width = 3; width <= 6; width++) {
			struct pn_accumulator *sums = make(SMALL, band[b], width);
			struct pn_normal *n;
			double worst = 0, top = 0;

			for (int k = 0; k < COUNT; k++)
				assert_int_equal(pn_accumulator_add(sums, &view[k].pose,
								    view[k].image, view[k].weight,
								    view[k].ctf, NULL),
						 PN_OK);
			assert_int_equal(pn_normal_create(&n, &box, 0, 1, NULL), PN_OK);
			assert_int_equal(pn_accumulator_normal(sums, n, NULL), PN_OK);
			for (int i = 0; i < VOXELS; i++) {
				worst = fmax(worst, fabs(n->rhs[i] - rhs[i]));
				top = fmax(top, fabs(rhs[i]));
			}
			assert_true(worst < bound[width - 3] * top);
			/* lags beyond half the edge are not told from those around the corner */
			assert_true(lag_error(n->kernel, kernel, SMALL / 2) < bound[width - 3] / 2);
			assert_true(lag_error(n->kernel, kernel, 3 * SMALL / 4) < 0.08);
			assert_true(lag_error(n->kernel, kernel, SMALL - 1) < 0.25);
			assert_true(fabs(n->energy - energy) < 1e-5 * energy);
			assert_int_equal(n->tilts, COUNT);
			pn_normal_destroy(n);
			pn_accumulator_destroy(sums);
		}
	}
}

/* ---- a particle ----------------------------------------------------------------------------- */

/* Atoms of one width, and the views of them. */
struct particle {
	double at[BALLS][3], height[BALLS];
	float truth[EDGE * EDGE * EDGE];
	struct pn_pose pose[VIEWS];
	float image[VIEWS][EDGE * EDGE];
	double ctf[3][EDGE + 1];
	const double *used[VIEWS];
};

static const double sigma_px = 1.2;

static void make_truth(struct particle *p, struct pn_rng *rng)
{
	for (int b = 0; b < BALLS; b++) {
		double norm;

		do {
			norm = 0;
			for (int a = 0; a < 3; a++) {
				p->at[b][a] = 7 * (2 * pn_rng_uniform(rng) - 1);
				norm += p->at[b][a] * p->at[b][a];
			}
		} while (norm > 49);
		p->height[b] = 0.6 + 0.4 * pn_rng_uniform(rng);
	}
	for (int i = 0; i < EDGE * EDGE * EDGE; i++) {
		const double r[] = { i % EDGE - EDGE / 2, i / EDGE % EDGE - EDGE / 2,
				     i / EDGE / EDGE - EDGE / 2 };
		double sum = 0;

		for (int b = 0; b < BALLS; b++) {
			double square = 0;

			for (int a = 0; a < 3; a++)
				square += (r[a] - p->at[b][a]) * (r[a] - p->at[b][a]);
			sum += p->height[b] * exp(-square / (2 * sigma_px * sigma_px));
		}
		p->truth[i] = (float)sum;
	}
}

/* The image from the atoms' own transforms: nothing is interpolated. */
static void make_image(struct particle *p, int view, const struct pn_fft *inverse,
		       float complex *spectrum, float *image)
{
	const double volume = pow(2 * M_PI * sigma_px * sigma_px, 1.5) / (EDGE * EDGE);

	for (int y = 0; y < EDGE; y++)
		for (int x = 0; x <= EDGE / 2; x++) {
			const int fy = y < EDGE / 2 ? y : y - EDGE;
			const double k = sqrt(x * x + fy * fy) / EDGE;
			const double fall =
				volume * exp(-2 * M_PI * M_PI * sigma_px * sigma_px * k * k);
			double re = 0, im = 0;

			/* the Nyquist frequency, of which the sums make no use, would not be real
			 */
			for (int b = 0; b < BALLS && x < EDGE / 2 && y != EDGE / 2; b++) {
				const double(*r)[3] = p->pose[view].rotation, *at = p->at[b];
				double seen[2], turn;

				for (int a = 0; a < 2; a++)
					seen[a] = r[a][0] * at[0] + r[a][1] * at[1] +
						  r[a][2] * at[2] + p->pose[view].shift_px[a] +
						  EDGE / 2;
				turn = -2 * M_PI * (x * seen[0] + fy * seen[1]) / EDGE;
				re += p->height[b] * fall * cos(turn);
				im += p->height[b] * fall * sin(turn);
			}
			const double c =
				k > 0.5 ? 1
					: ctf_at(p->used[view], fmin(2 * k * EDGE, EDGE - 1e-9));

			spectrum[y * (EDGE / 2 + 1) + x] =
				__builtin_complex((float)(c * re), (float)(c * im));
		}
	pn_fft_execute(inverse, spectrum, image);
}

static struct particle *make_particle(int with_ctf)
{
	struct particle *p = calloc(1, sizeof *p);
	float complex *spectrum = pn_fft_alloc(EDGE * (EDGE / 2 + 1) * sizeof *spectrum);
	float *image = pn_fft_alloc(EDGE * EDGE * sizeof *image);
	struct pn_fft *inverse;
	struct pn_rng rng;

	assert_non_null(p);
	pn_rng_init(&rng, 17, 3);
	make_truth(p, &rng);
	for (int c = 0; c < 3; c++)
		fill_ctf(p->ctf[c], EDGE, 0.4, 16 + 7 * c);
	assert_int_equal(pn_fft_plan(&inverse, PN_FFT_C2R, EDGE, EDGE, 0, NULL), PN_OK);
	for (int k = 0; k < VIEWS; k++) {
		random_pose(&p->pose[k], &rng, 2);
		p->used[k] = with_ctf ? p->ctf[k % 3] : NULL;
		make_image(p, k, inverse, spectrum, image);
		memcpy(p->image[k], image, sizeof p->image[k]);
	}
	pn_fft_destroy(inverse);
	pn_fft_free(spectrum);
	pn_fft_free(image);
	return p;
}

static struct pn_accumulator *sum_views(const struct particle *p, int first, int last, int width)
{
	struct pn_accumulator *sums = make(EDGE, 0.5, width);

	for (int k = first; k < last; k++)
		assert_int_equal(
			pn_accumulator_add(sums, &p->pose[k], p->image[k], 1, p->used[k], NULL),
			PN_OK);
	return sums;
}

/* |map - truth| / |truth|, the map a box in the middle of the truth. */
static double error_of(const struct particle *p, const float *map, int n)
{
	double error = 0, norm = 0;

	for (int i = 0; i < n * n * n; i++) {
		const int x = i % n, y = i / n % n, z = i / n / n, off = EDGE / 2 - n / 2;
		const double t = (double)p->truth[((z + off) * EDGE + y + off) * EDGE + x + off];

		error += ((double)map[i] - t) * ((double)map[i] - t);
		norm += t * t;
	}
	return sqrt(error / norm);
}

static struct pn_normal *normal_of(struct pn_accumulator *sums, size_t n)
{
	const struct pn_box box = { n, n, n };
	struct pn_normal *normal;

	assert_int_equal(pn_normal_create(&normal, &box, 0, 1, NULL), PN_OK);
	assert_int_equal(pn_accumulator_normal(sums, normal, NULL), PN_OK);
	return normal;
}

static struct pn_fista_result solve(const struct pn_normal *all, const struct pn_normal *held_out,
				    int iterations, float *map)
{
	struct pn_fista_params params;
	struct pn_fista_result result;
	struct pn_fista *fista;

	pn_fista_defaults(&params);
	params.iterations_max = iterations;
	assert_int_equal(pn_fista_create(&fista, &all->box, 0, NULL), PN_OK);
	assert_int_equal(pn_fista_solve(fista, &params, all, held_out, map, &result, NULL), PN_OK);
	pn_fista_destroy(fista);
	return result;
}

/* The particle again: quickly, and by least squares in the whole box and in one about it. */
static void test_particle(void **state)
{
	static float map[EDGE * EDGE * EDGE];

	(void)state;
	for (int with_ctf = 0; with_ctf < 2; with_ctf++) {
		struct particle *p = make_particle(with_ctf);
		struct pn_accumulator *sums = sum_views(p, 0, VIEWS, 4);

		assert_int_equal(pn_accumulator_map(sums, 1e-3, map, NULL), PN_OK);
		assert_true(error_of(p, map, EDGE) < 0.08);
		for (size_t n = EDGE; n >= 22; n -= 10) {
			struct pn_normal *normal = normal_of(sums, n);

			memset(map, 0, sizeof map);
			solve(normal, NULL, 40, map);
			assert_true(error_of(p, map, (int)n) < 0.02);
			pn_normal_destroy(normal);
		}
		pn_accumulator_destroy(sums);
		free(p);
	}
}

/*
 * Misfits: half the particle leaves half of what was seen, the particle what was added to it, of
 * all views and of those held out.
 */
static void test_misfit(void **state)
{
	enum { HELD = 50 };
	static float map[EDGE * EDGE * EDGE];
	struct particle *p = make_particle(1);
	struct pn_accumulator *sums, *held_sums;
	struct pn_normal *all, *held;
	struct pn_fista_result r;
	struct pn_rng rng;
	const double noise = 0.8;

	(void)state;
	sums = sum_views(p, 0, VIEWS, 6);
	all = normal_of(sums, EDGE);
	for (int i = 0; i < EDGE * EDGE * EDGE; i++)
		map[i] = 0.5f * p->truth[i];
	assert_true(fabs(solve(all, NULL, 1, map).misfit - 0.5) < 5e-3);
	const double clean = pn_accumulator_energy(sums);
	pn_normal_destroy(all);
	pn_accumulator_destroy(sums);

	pn_rng_init(&rng, 23, 1);
	for (int k = 0; k < VIEWS; k++)
		for (int i = 0; i < EDGE * EDGE; i++)
			p->image[k][i] += (float)(noise * pn_rng_gauss(&rng));
	sums = sum_views(p, HELD, VIEWS, 6);
	held_sums = sum_views(p, 0, HELD, 6);
	assert_int_equal(pn_accumulator_merge(sums, held_sums, NULL), PN_OK);
	all = normal_of(sums, EDGE);
	held = normal_of(held_sums, EDGE);
	const double energy = pn_accumulator_energy(sums);

	memcpy(map, p->truth, sizeof map);
	r = solve(all, held, 1, map);
	assert_true(fabs(r.misfit - sqrt((energy - clean) / energy)) < 5e-3);
	assert_true(fabs(r.held_out - sqrt((energy - clean) / energy)) < 1e-2);
	pn_normal_destroy(all);
	pn_normal_destroy(held);
	pn_accumulator_destroy(sums);
	pn_accumulator_destroy(held_sums);
	free(p);
}

/*
 * The other normal equations, of detectors without borders: the same right-hand side as long as
 * the images end before their borders and have nothing beyond the disc of the band; the same
 * kernel but for the corners of the square, pi / 4 of its top.
 */
static void test_unbounded(void **state)
{
	enum { COUNT = 12, MIDDLE = (EDGE - 1) * (2 * EDGE - 1) + EDGE - 1 };
	const struct pn_box box = { EDGE, EDGE, EDGE };
	struct particle *p = make_particle(0);
	struct pn_accumulator *sums = sum_views(p, 0, COUNT, 6);
	struct pn_normal *slices = normal_of(sums, EDGE), *sincs;
	double worst = 0, top = 0, frequencies = 0;

	(void)state;
	assert_int_equal(pn_normal_create(&sincs, &box, 0, 1, NULL), PN_OK);
	for (int k = 0; k < COUNT; k++)
		assert_int_equal(pn_normal_add(sincs, &p->pose[k], p->image[k], EDGE, EDGE, NULL),
				 PN_OK);
	for (int i = 0; i < EDGE * EDGE * EDGE; i++) {
		const int x = i % EDGE - EDGE / 2, y = i / EDGE % EDGE - EDGE / 2,
			  z = i / EDGE / EDGE - EDGE / 2;

		/* farther out another period of the images is seen */
		if (x * x + y * y + z * z > 13 * 13)
			continue;
		worst = fmax(worst, fabs(slices->rhs[i] - sincs->rhs[i]));
		top = fmax(top, fabs(sincs->rhs[i]));
	}
	assert_true(worst < 5e-4 * top);
	for (int y = 1 - EDGE / 2; y < EDGE / 2; y++)
		for (int x = 1 - EDGE / 2; x < EDGE / 2; x++)
			frequencies += x * x + y * y <= EDGE * EDGE / 4;
	assert_true(fabs(sincs->kernel[MIDDLE] - COUNT) < 1e-9);
	assert_true(fabs(slices->kernel[MIDDLE] - COUNT * frequencies / (EDGE * EDGE)) < 1e-3);
	assert_true(fabs(frequencies / (EDGE * EDGE) - M_PI / 4) < 0.02);
	pn_normal_destroy(slices);
	pn_normal_destroy(sincs);
	pn_accumulator_destroy(sums);
	free(p);
}

/* ---- exactness ------------------------------------------------------------------------------ */

static void add_view(struct pn_accumulator *sums, const struct view *v, int k)
{
	assert_int_equal(
		pn_accumulator_add(sums, &v[k].pose, v[k].image, v[k].weight, v[k].ctf, NULL),
		PN_OK);
}

static void assert_same(const struct pn_accumulator *a, const struct pn_accumulator *b)
{
	struct pn_blob x = { 0 }, y = { 0 };

	assert_int_equal(pn_accumulator_save(a, &x), PN_OK);
	assert_int_equal(pn_accumulator_save(b, &y), PN_OK);
	assert_int_equal(x.bytes, y.bytes);
	assert_memory_equal(x.data, y.data, x.bytes);
	pn_blob_finish(&x);
	pn_blob_finish(&y);
}

/* Any order, any halves, one taken away, all taken away. */
static void test_exact(void **state)
{
	enum { COUNT = 6 };
	const int order[COUNT] = { 3, 0, 5, 2, 4, 1 };
	struct view view[COUNT];

	(void)state;
	make_views(view, COUNT);
	for (int width = 3; width <= 6; width++) {
		struct pn_accumulator *a = make(SMALL, 0.4, width), *b = make(SMALL, 0.4, width),
				      *c = make(SMALL, 0.4, width), *d = make(SMALL, 0.4, width);

		for (int k = 0; k < COUNT; k++) {
			add_view(a, view, k);
			add_view(b, view, order[k]);
			add_view(k % 2 ? c : d, view, k);
		}
		assert_same(a, b);
		assert_int_equal(pn_accumulator_merge(c, d, NULL), PN_OK);
		assert_same(a, c);
		assert_true(fabs(pn_accumulator_weight(a) - pn_accumulator_weight(b)) == 0);
		for (int k = 0; k < COUNT; k++) {
			if (k == 1) {
				pn_accumulator_reset(c);
				for (int j = 1; j < COUNT; j++)
					add_view(c, view, order[j]);
				assert_same(a, c);
			}
			assert_int_equal(pn_accumulator_subtract(
						 a, &view[order[k]].pose, view[order[k]].image,
						 view[order[k]].weight, view[order[k]].ctf, NULL),
					 PN_OK);
		}
		pn_accumulator_reset(c);
		assert_same(a, c);
		assert_int_equal(pn_accumulator_images(a), 0);
		assert_int_equal(
			pn_accumulator_subtract(a, &view[0].pose, view[0].image, 1, NULL, NULL),
			PN_EARG);
		pn_accumulator_destroy(a);
		pn_accumulator_destroy(b);
		pn_accumulator_destroy(c);
		pn_accumulator_destroy(d);
	}
}

/* Also an image a thousand times as bright as announced leaves no trace. */
static void test_bright(void **state)
{
	struct view view[3];
	struct pn_accumulator *a = make(SMALL, 0.5, 4), *b = make(SMALL, 0.5, 4);

	(void)state;
	make_views(view, 3);
	for (int i = 0; i < SMALL * SMALL; i++)
		view[2].image[i] *= 900;
	add_view(a, view, 0);
	add_view(a, view, 2);
	add_view(a, view, 1);
	assert_int_equal(pn_accumulator_subtract(a, &view[2].pose, view[2].image, view[2].weight,
						 view[2].ctf, NULL),
			 PN_OK);
	add_view(b, view, 1);
	add_view(b, view, 0);
	assert_same(a, b);
	pn_accumulator_destroy(a);
	pn_accumulator_destroy(b);
}

static void test_decay(void **state)
{
	struct view view[2];
	struct pn_accumulator *a = make(SMALL, 0.4, 4), *b = make(SMALL, 0.4, 4);

	(void)state;
	make_views(view, 2);
	add_view(a, view, 0);
	pn_accumulator_decay(a, 0.5);
	add_view(a, view, 1);
	view[0].weight *= 0.5;
	add_view(b, view, 0);
	add_view(b, view, 1);
	struct pn_normal *x = normal_of(a, SMALL), *y = normal_of(b, SMALL);
	double top = 0, worst = 0;

	for (int i = 0; i < SMALL * SMALL * SMALL; i++) {
		worst = fmax(worst, fabs(x->rhs[i] - y->rhs[i]));
		top = fmax(top, fabs(y->rhs[i]));
	}
	assert_true(worst < 1e-5 * top);
	assert_true(fabs(x->energy - y->energy) < 1e-6 * y->energy);
	assert_true(fabs(pn_accumulator_weight(a) - pn_accumulator_weight(b)) < 1e-6);
	assert_int_equal(pn_accumulator_images(a), 2);
	pn_normal_destroy(x);
	pn_normal_destroy(y);
	pn_accumulator_destroy(a);
	pn_accumulator_destroy(b);
}

static void test_checkpoint(void **state)
{
	struct view view[3];
	struct pn_accumulator *a = make(SMALL, 0.4, 5), *b = make(SMALL, 0.4, 5),
			      *other = make(SMALL, 0.3, 5);
	struct pn_blob blob = { 0 };
	struct pn_error err;

	(void)state;
	make_views(view, 3);
	for (int k = 0; k < 3; k++)
		add_view(a, view, k);
	add_view(b, view, 1);
	assert_int_equal(pn_accumulator_save(a, &blob), PN_OK);
	for (size_t cut = 0; cut < blob.bytes; cut += 997)
		assert_int_equal(pn_accumulator_load(b, blob.data, cut, &err), PN_EFORMAT);
	assert_int_equal(pn_accumulator_load(other, blob.data, blob.bytes, &err), PN_EARG);
	/* refused: as before */
	add_view(other, view, 1);
	pn_accumulator_destroy(other);
	other = make(SMALL, 0.4, 5);
	add_view(other, view, 1);
	assert_same(b, other);
	assert_int_equal(pn_accumulator_load(b, blob.data, blob.bytes, &err), PN_OK);
	assert_same(a, b);
	/* and what was added before can be taken away after */
	assert_int_equal(pn_accumulator_subtract(b, &view[0].pose, view[0].image, view[0].weight,
						 view[0].ctf, NULL),
			 PN_OK);
	add_view(other, view, 2);
	assert_same(b, other);
	blob.data[0] ^= 1;
	assert_int_equal(pn_accumulator_load(b, blob.data, blob.bytes, &err), PN_EFORMAT);
	blob.data[0] ^= 1;
	blob.data[8] ^= 1;
	assert_int_equal(pn_accumulator_load(b, blob.data, blob.bytes, &err), PN_EVERSION);
	pn_blob_finish(&blob);
	pn_accumulator_destroy(a);
	pn_accumulator_destroy(b);
	pn_accumulator_destroy(other);
}

/* What is read out does not depend on who reads it. */
static void test_threads(void **state)
{
	enum { VOXELS = SMALL * SMALL * SMALL, LAGS = SMALL * (2 * SMALL - 1) * (2 * SMALL - 1) };
	static float map[2][VOXELS];
	struct view view[4];
	struct pn_accumulator *sums = make(SMALL, 0.4, 4);
	struct pn_normal *normal[2];
	const int threads = omp_get_max_threads();

	(void)state;
	make_views(view, 4);
	for (int k = 0; k < 4; k++)
		add_view(sums, view, k);
	for (int i = 0; i < 2; i++) {
		omp_set_num_threads(1 + 2 * i);
		assert_int_equal(pn_accumulator_map(sums, 0.01, map[i], NULL), PN_OK);
		normal[i] = normal_of(sums, SMALL);
	}
	omp_set_num_threads(threads);
	assert_memory_equal(map[0], map[1], sizeof map[0]);
	assert_memory_equal(normal[0]->rhs, normal[1]->rhs, VOXELS * sizeof(double));
	assert_memory_equal(normal[0]->kernel, normal[1]->kernel, LAGS * sizeof(double));
	pn_normal_destroy(normal[0]);
	pn_normal_destroy(normal[1]);
	pn_accumulator_destroy(sums);
}

/* ---- density -------------------------------------------------------------------------------- */

/* Views along z: within their plane what samples two points apart give, along z nothing. */
static void test_density(void **state)
{
	const double direction[][3] = { { 0.8, 0.6, 0 }, { -0.6, 0.8, 0 }, { 0, 0, 1 } };
	/* integral of the kernel, by its own formula, for a width of 4 */
	const double beta = M_PI * sqrt(9 - 0.8);
	struct pn_accumulator *sums = make(64, 0.4, 4);
	float *image = calloc(64 * 64, sizeof *image);
	double density[3], integral = 0, top = 0;
	struct pn_pose pose;

	(void)state;
	assert_non_null(image);
	image[0] = 1;
	pn_pose_tilt(&pose, 0);
	for (int k = 0; k < 3; k++)
		assert_int_equal(pn_accumulator_add(sums, &pose, image, 0.5, NULL, NULL), PN_OK);
	for (int i = 0; i <= 400; i++) /* I0(z) = mean of cosh(z cos t) */
		top += cosh(beta * cos(M_PI * (i + 0.5) / 401)) / 401;
	integral = 4 * sinh(beta) / (beta * top);
	assert_int_equal(pn_accumulator_density(sums, direction, 3, 0.1, 0.35, density, NULL),
			 PN_OK);
	const double want = 1.5 * integral * integral / 4;
	assert_true(fabs(density[0] - want) < 0.02 * want);
	assert_true(fabs(density[1] - want) < 0.02 * want);
	assert_true(density[2] == 0);
	assert_int_equal(pn_accumulator_density(sums, direction, 3, 0.3, 0.45, density, NULL),
			 PN_EARG);
	const double bent[1][3] = { { 0.8, 0.8, 0 } };
	assert_int_equal(pn_accumulator_density(sums, bent, 1, 0.1, 0.3, density, NULL), PN_EARG);
	pn_accumulator_destroy(sums);
	free(image);
}

/* ---- refused -------------------------------------------------------------------------------- */

static void test_refused_params(void **state)
{
	const struct pn_accumulate_params bad[] = {
		{ 14, 0.4, 1, 4 },  { 17, 0.4, 1, 4 }, { 514, 0.4, 1, 4 }, { 32, 0.51, 1, 4 },
		{ 32, 0, 1, 4 },    { 32, NAN, 1, 4 }, { 32, 0.4, 0, 4 },  { 32, 0.4, NAN, 4 },
		{ 32, 0.4, -1, 4 }, { 32, 0.4, 1, 2 }, { 32, 0.4, 1, 7 },
	};
	struct pn_accumulator *sums;
	struct pn_error err;

	(void)state;
	for (size_t i = 0; i < PN_COUNT(bad); i++) {
		assert_int_equal(pn_accumulator_create(&sums, &bad[i], &err), PN_EARG);
		assert_null(sums);
	}
	pn_accumulator_destroy(NULL);
}

static void test_refused_images(void **state)
{
	struct view view[2];
	struct pn_accumulator *sums = make(SMALL, 0.4, 4), *empty = make(SMALL, 0.4, 4),
			      *other = make(SMALL, 0.4, 5);
	const double bad_weight[] = { 0, -1, NAN, INFINITY, 1e9 };
	static float map[SMALL * SMALL * SMALL];
	struct pn_pose pose;
	struct pn_error err;

	(void)state;
	make_views(view, 2);
	for (size_t i = 0; i < PN_COUNT(bad_weight); i++)
		assert_int_equal(pn_accumulator_add(sums, &view->pose, view->image, bad_weight[i],
						    NULL, &err),
				 PN_EARG);
	pose = view->pose;
	pose.rotation[1][1] *= 1.1;
	assert_int_equal(pn_accumulator_add(sums, &pose, view->image, 1, NULL, &err), PN_EARG);
	pose = view->pose;
	for (int a = 0; a < 3; a++)
		pose.rotation[2][a] *= -1; /* a mirror */
	assert_int_equal(pn_accumulator_add(sums, &pose, view->image, 1, NULL, &err), PN_EARG);
	pose = view->pose;
	pose.rotation[0][2] = NAN;
	assert_int_equal(pn_accumulator_add(sums, &pose, view->image, 1, NULL, &err), PN_EARG);
	pose = view->pose;
	pose.shift_px[1] = NAN;
	assert_int_equal(pn_accumulator_add(sums, &pose, view->image, 1, NULL, &err), PN_EARG);
	view->ctf[SMALL] = INFINITY;
	assert_int_equal(pn_accumulator_add(sums, &view->pose, view->image, 1, view->ctf, &err),
			 PN_EARG);
	view->image[3 * SMALL + 2] = 1e9f;
	assert_int_equal(pn_accumulator_add(sums, &view->pose, view->image, 1, NULL, &err),
			 PN_EARG);
	view->image[3 * SMALL + 2] = NAN;
	assert_int_equal(pn_accumulator_add(sums, &view->pose, view->image, 1, NULL, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "row 3"));
	assert_same(sums, empty);
	assert_int_equal(pn_accumulator_merge(sums, other, &err), PN_EARG);
	assert_int_equal(pn_accumulator_map(sums, 0.1, map, &err), PN_EARG);
	assert_int_equal(pn_accumulator_map(sums, -1, map, &err), PN_EARG);

	const struct pn_box large = { SMALL, SMALL + 1, SMALL };
	struct pn_normal *normal;

	assert_int_equal(pn_normal_create(&normal, &large, 0, 1, NULL), PN_OK);
	assert_int_equal(pn_accumulator_normal(sums, normal, &err), PN_EARG);
	pn_normal_destroy(normal);
	pn_accumulator_destroy(sums);
	pn_accumulator_destroy(empty);
	pn_accumulator_destroy(other);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_definition),     cmocka_unit_test(test_particle),
		cmocka_unit_test(test_misfit),         cmocka_unit_test(test_unbounded),
		cmocka_unit_test(test_exact),          cmocka_unit_test(test_bright),
		cmocka_unit_test(test_decay),          cmocka_unit_test(test_checkpoint),
		cmocka_unit_test(test_threads),        cmocka_unit_test(test_density),
		cmocka_unit_test(test_refused_params), cmocka_unit_test(test_refused_images),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
