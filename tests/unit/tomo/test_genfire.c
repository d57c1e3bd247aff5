/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/rng.h"
#include "perrin/tomo/genfire.h"
#include "testkit.h"

#include <complex.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* A small problem: images at random of nothing that exists. */
enum { NZ = 6, NY = 5, NX = 7, HEIGHT = 6, WIDTH = 7, COUNT = 4, MZ = 12, MY = 12, MX = 14 };
enum { VOXELS = NZ * NY * NX, PIXELS = HEIGHT * WIDTH, NODES = MZ * MY * MX };

static const struct pn_box box = { NZ, NY, NX };

struct small {
	struct pn_pose pose[COUNT];
	float image[COUNT][PIXELS];
	float initial[VOXELS];
	uint8_t support[VOXELS];
	struct pn_projections projections;
};

static void small_make(struct small *s)
{
	struct pn_rng rng;

	pn_rng_init(&rng, 3, 0);
	for (int k = 0; k < COUNT; k++) {
		pn_pose_euler(&s->pose[k], 360 * pn_rng_uniform(&rng),
			      180 * pn_rng_uniform(&rng) - 90, 360 * pn_rng_uniform(&rng));
		for (int a = 0; a < 2; a++)
			s->pose[k].shift_px[a] = 3 * pn_rng_uniform(&rng) - 1.5;
		for (int i = 0; i < PIXELS; i++)
			s->image[k][i] = (float)(10 * pn_rng_uniform(&rng));
	}
	for (int i = 0; i < VOXELS; i++) {
		s->initial[i] = (float)(2 * pn_rng_uniform(&rng) - 0.5);
		s->support[i] = pn_rng_below(&rng, 4) > 0;
	}
	s->projections = (struct pn_projections){
		.count = COUNT, .ny = HEIGHT, .nx = WIDTH, .image = s->image[0], .pose = s->pose
	};
}

/* ---- the algorithm by its definition, in double, on the whole grid ---- */

struct slow {
	double complex measured[NODES]; /* frequency 0 in the middle */
	double weight[NODES];
	double complex now[NODES];
	double u[VOXELS];
};

/* the transform of an image that was shifted back to the origin */
static double complex slow_image(const struct small *s, int k, double kx, double ky)
{
	double complex sum = 0;

	for (int i = 0; i < PIXELS; i++) {
		double dx = i % WIDTH - WIDTH / 2 - s->pose[k].shift_px[0],
		       dy = i / WIDTH - HEIGHT / 2 - s->pose[k].shift_px[1];

		sum += s->image[k][i] * cexp(-2 * M_PI * I * (kx * dx / MX + ky * dy / MY));
	}
	return sum;
}

/* Every sample is offered to every node. (kx, ky) in steps of the detector, depth of the grid. */
static void slow_grid(struct slow *w, const struct small *s, const struct pn_genfire_options *o)
{
	const double length[3] = { MX, MY, MZ }, scale[3] = { MX, MY, 14 };

	memset(w, 0, sizeof *w);
	for (int n = 0; n < NODES; n++) {
		const double at[3] = { n % MX - MX / 2, n / MX % MY - MY / 2,
				       n / MX / MY - MZ / 2 };
		double q2 = 0;

		for (int a = 0; a < 3; a++)
			q2 += pow(2 * at[a] / length[a], 2);
		if (q2 > 1 || at[0] == -MX / 2 || at[1] == -MY / 2 || at[2] == -MZ / 2)
			continue;
		for (int k = 0; k < COUNT; k++) {
			double seen[3] = { 0 };

			for (int a = 0; a < 3; a++)
				for (int b = 0; b < 3; b++)
					seen[a] += scale[a] * s->pose[k].rotation[a][b] * at[b] /
						   length[b];
			if (o->gridding == PN_GRIDDING_DFT && fabs(seen[2]) <= o->radius_px) {
				double f = 1 / fmax(fabs(seen[2]), 1e-5);

				w->weight[n] += f;
				w->measured[n] += f * slow_image(s, k, seen[0], seen[1]);
			}
			for (int j = 1 - MY / 2; o->gridding == PN_GRIDDING_FFT && j < MY / 2; j++)
				for (int i = 1 - MX / 2; i < MX / 2; i++) {
					double d2 = pow(seen[0] - i, 2) + pow(seen[1] - j, 2) +
						    seen[2] * seen[2];
					double f = 1 / ((o->squared_weight ? d2 : sqrt(d2)) + 1e-5);

					if (d2 > o->radius_px * o->radius_px)
						continue;
					w->weight[n] += f;
					w->measured[n] += f * slow_image(s, k, i, j);
				}
		}
		if (w->weight[n] > 0)
			w->measured[n] /= w->weight[n];
	}
}

static double complex wave(int n, int i)
{
	double a = (double)(n % MX - MX / 2) * (i % NX - NX / 2) / MX +
		   (double)(n / MX % MY - MY / 2) * (i / NX % NY - NY / 2) / MY +
		   (double)(n / MX / MY - MZ / 2) * (i / NX / NY - NZ / 2) / MZ;

	return cexp(-2 * M_PI * I * a);
}

/* r_magnitude and r_complex over the half space kx >= 0 */
static void slow_turn(struct slow *w, const struct small *s, double r[2])
{
	double sums[3] = { 0 };

	for (int i = 0; i < VOXELS; i++)
		w->u[i] = s->support[i] ? fmax(w->u[i], 0) : 0;
	for (int n = 0; n < NODES; n++) {
		double complex sum = 0, m = w->measured[n];

		for (int i = 0; i < VOXELS; i++)
			sum += w->u[i] * wave(n, i);
		w->now[n] = sum;
		if (w->weight[n] == 0)
			continue;
		w->now[n] = m;
		if (n % MX >= MX / 2) {
			sums[0] += fabs(cabs(sum) - cabs(m));
			sums[1] += cabs(sum - m);
			sums[2] += cabs(m);
		}
	}
	r[0] = sums[0] / sums[2];
	r[1] = sums[1] / sums[2];
}

static void slow_back(struct slow *w)
{
	for (int i = 0; i < VOXELS; i++) {
		double sum = 0;

		for (int n = 0; n < NODES; n++)
			sum += creal(w->now[n] * conj(wave(n, i)));
		w->u[i] = sum / NODES;
	}
}

static void small_options(struct pn_genfire_options *o, const struct small *s)
{
	pn_genfire_defaults(o);
	o->oversampling = 2;
	o->schedule = PN_GENFIRE_ALL;
	o->iterations = 3;
	o->initial = s->initial;
	o->support = s->support;
}

/* The best of three turns is compared; @o says how to grid. */
static void agrees_with_the_definition(const struct small *s, const struct pn_genfire_options *o)
{
	struct slow *w = malloc(sizeof *w);
	struct pn_genfire_history history;
	float volume[VOXELS];
	double best[VOXELS] = { 0 }, least = INFINITY, largest = 0;
	size_t measured = 0;
	int at = 0;

	assert_int_equal(pn_genfire(volume, &box, &s->projections, o, &history, NULL), PN_OK);
	assert_int_equal(history.iterations, 3);
	slow_grid(w, s, o);
	for (int n = 0; n < NODES; n++)
		measured += n % MX >= MX / 2 && w->weight[n] > 0;
	assert_int_equal(history.measured, measured);
	for (int i = 0; i < VOXELS; i++)
		w->u[i] = s->initial[i];
	for (int t = 0; t < 3; t++) {
		double r[2];

		slow_turn(w, s, r);
		assert_true(fabs(history.r_magnitude[t] - r[0]) < 1e-5);
		assert_true(fabs(history.r_complex[t] - r[1]) < 1e-5);
		assert_true(isnan(history.r_free[t]));
		if (r[0] < least) {
			least = r[0];
			memcpy(best, w->u, sizeof best);
			at = t + 1;
		}
		slow_back(w);
	}
	assert_int_equal(history.best, at);
	for (int i = 0; i < VOXELS; i++)
		largest = fmax(largest, best[i]);
	for (int i = 0; i < VOXELS; i++)
		assert_true(fabs(volume[i] - best[i]) < 2e-5 * largest);
	pn_genfire_history_free(&history);
	free(w);
}

static void fft_gridding_is_the_definition(void **state)
{
	static struct small s;
	struct pn_genfire_options o;

	(void)state;
	small_make(&s);
	small_options(&o, &s);
	agrees_with_the_definition(&s, &o);
	o.squared_weight = 0;
	o.radius_px = 1.3;
	agrees_with_the_definition(&s, &o);
}

static void dft_gridding_is_the_definition(void **state)
{
	static struct small s;
	struct pn_genfire_options o;

	(void)state;
	small_make(&s);
	small_options(&o, &s);
	o.gridding = PN_GRIDDING_DFT;
	o.radius_px = 0.5;
	agrees_with_the_definition(&s, &o);
}

/* Tilts put nodes exactly onto planes, where weights are largest. */
static void planes_through_nodes_are_the_definition(void **state)
{
	static struct small s;
	struct pn_genfire_options o;

	(void)state;
	small_make(&s);
	for (int k = 0; k < COUNT; k++)
		pn_pose_tilt(&s.pose[k], 45 * k);
	small_options(&o, &s);
	agrees_with_the_definition(&s, &o);
	o.gridding = PN_GRIDDING_DFT;
	agrees_with_the_definition(&s, &o);
}

static void threads_do_not_matter(void **state)
{
	static struct small s;
	struct pn_genfire_options o;
	float volume[3][VOXELS];
	double r_free[3] = { 0 };
	int threads = omp_get_max_threads();

	(void)state;
	small_make(&s);
	small_options(&o, &s);
	o.schedule = PN_GENFIRE_EXTENSION_SUPPRESSION;
	o.iterations = 30;
	o.oversampling = 4;
	o.free_fraction = 0.1;
	for (int t = 0; t < 3; t++) {
		struct pn_genfire_history history;

		omp_set_num_threads(t + 1);
		assert_int_equal(pn_genfire(volume[t], &box, &s.projections, &o, &history, NULL),
				 PN_OK);
		assert_memory_equal(volume[t], volume[0], sizeof volume[0]);
		r_free[t] = history.r_free[29];
		assert_true(r_free[t] == r_free[0] && r_free[t] > 0);
		pn_genfire_history_free(&history);
	}
	omp_set_num_threads(threads);
}

/* The wanted share, drawn by the seed. */
static void r_free_withholds_a_share(void **state)
{
	static struct small s;
	struct pn_genfire_options o;
	struct pn_genfire_history all, one, other;
	float volume[2][VOXELS];

	(void)state;
	small_make(&s);
	small_options(&o, &s);
	o.iterations = 20;
	o.oversampling = 4;
	assert_int_equal(pn_genfire(volume[0], &box, &s.projections, &o, &all, NULL), PN_OK);
	o.free_fraction = 0.2;
	assert_int_equal(pn_genfire(volume[0], &box, &s.projections, &o, &one, NULL), PN_OK);
	o.seed = 1;
	assert_int_equal(pn_genfire(volume[1], &box, &s.projections, &o, &other, NULL), PN_OK);
	assert_int_equal(all.withheld, 0);
	assert_int_equal(one.measured, all.measured);
	assert_int_equal(one.withheld, other.withheld);
	assert_true((double)one.withheld > 0.15 * (double)one.measured);
	assert_true((double)one.withheld <= 0.2 * (double)one.measured);
	assert_memory_not_equal(volume[0], volume[1], sizeof volume[0]);
	assert_true(one.r_free[19] != other.r_free[19]);
	/* of one object the whole's is between the parts' */
	double low = fmin(one.r_free[0], one.r_magnitude[0]),
	       high = fmax(one.r_free[0], one.r_magnitude[0]);

	assert_true(low < all.r_magnitude[0] && all.r_magnitude[0] < high);
	pn_genfire_history_free(&all);
	pn_genfire_history_free(&one);
	pn_genfire_history_free(&other);
	pn_genfire_history_free(NULL);
}

static int fifth_is_enough(void *context, int iteration, double r_magnitude)
{
	*(double *)context = r_magnitude;
	return iteration == 5;
}

static void progress_can_stop(void **state)
{
	static struct small s;
	struct pn_genfire_options o;
	struct pn_genfire_history history;
	float stopped[VOXELS], five[VOXELS];
	double told = 0;

	(void)state;
	small_make(&s);
	small_options(&o, &s);
	o.iterations = 50;
	o.progress = fifth_is_enough;
	o.context = &told;
	assert_int_equal(pn_genfire(stopped, &box, &s.projections, &o, &history, NULL), PN_OK);
	assert_int_equal(history.iterations, 5);
	assert_true(history.r_magnitude[4] == told);
	pn_genfire_history_free(&history);
	o.progress = NULL;
	o.iterations = 5;
	assert_int_equal(pn_genfire(five, &box, &s.projections, &o, NULL, NULL), PN_OK);
	assert_memory_equal(stopped, five, sizeof five);
}

static void refused(const struct small *s, const struct pn_genfire_options *o, const char *why)
{
	struct pn_genfire_history history = { .best = 77 };
	struct pn_error err = { 0 };
	float volume[VOXELS] = { 42 };

	assert_int_equal(pn_genfire(volume, &box, &s->projections, o, &history, &err), PN_EARG);
	assert_non_null(strstr(err.text, why));
	assert_true(volume[0] == 42 && history.best == 77);
}

static void nonsense_is_refused(void **state)
{
	static struct small s;
	struct pn_genfire_options good, bad;

	(void)state;
	small_make(&s);
	small_options(&good, &s);
	bad = good;
	bad.oversampling = 17;
	refused(&s, &bad, "oversampling 17");
	bad = good;
	bad.radius_px = 0;
	refused(&s, &bad, "radius 0");
	bad.radius_px = NAN;
	refused(&s, &bad, "radius");
	bad = good;
	bad.iterations = 0;
	refused(&s, &bad, "0 iterations");
	bad = good;
	bad.free_fraction = 0.6;
	refused(&s, &bad, "0.6");
	bad = good;
	bad.schedule = (enum pn_genfire_schedule)3;
	refused(&s, &bad, "schedule 3");
	bad = good;
	s.initial[9] = NAN;
	refused(&s, &bad, "voxel 9");
	s.initial[9] = 0;
	s.image[1][2] = INFINITY;
	refused(&s, &good, "1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fft_gridding_is_the_definition),
		cmocka_unit_test(dft_gridding_is_the_definition),
		cmocka_unit_test(planes_through_nodes_are_the_definition),
		cmocka_unit_test(threads_do_not_matter),
		cmocka_unit_test(r_free_withholds_a_share),
		cmocka_unit_test(progress_can_stop),
		cmocka_unit_test(nonsense_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
