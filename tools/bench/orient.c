/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * orient - a tumbling particle: matching of images with the views of a map, sums of slices, the
 * temporal prior, the polish of poses. 160 px of 0.358 A, rings from 10 to 1.5 A.
 */
#include "bench.h"

#include "perrin/math/fft.h"
#include "perrin/math/linear.h"
#include "perrin/math/rotation.h"
#include "perrin/orient/accumulate.h"
#include "perrin/orient/match.h"
#include "perrin/orient/path.h"
#include "perrin/orient/polish.h"
#include "perrin/orient/start_map.h"
#include "perrin/stream/hash.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#ifdef __FMA__
#include <immintrin.h>
#endif

#define PIXEL_A      0.358
#define RESOLUTION_A 1.5
#define PARTICLE_A   22

enum { IMAGES = 8, CANDIDATES = 300, BEST = 3 };

/* How much of the sphere an image is compared with. */
enum extent { EXHAUSTIVE, COARSE, WINDOW };
static const char *const extents[] = { "exhaustive", "coarse, then near", "window of 10 deg" };

struct orient {
	size_t edge;
	struct pn_polar *polar;
	struct pn_directions directions;
	struct pn_slicer *slicer;
	struct pn_match *match[2]; /* of one and of two threads */
	struct pn_polisher *polisher;
	struct pn_accumulator *sums;
	struct pn_fft *turn;
	float *map, *image; /* [edge]^3; [IMAGES][edge][edge] */
	float complex *ring, *order;
	const float complex *orders[IMAGES];
	struct pn_pose pose[IMAGES];
	struct pn_match_hit *hit, *few;
	uint32_t *cell;
	float *scratch; /* [angles][16]: a block's transforms */

	/* what the next step does */
	enum extent extent;
	unsigned next, threads, batch;
	size_t views; /* compared with one image, mirrored ones apart */
	struct pn_error err;
};

/* ---- making -------------------------------------------------------------------------------- */

static int make_map(struct orient *o, struct pn_error *err)
{
	static const double center[3] = { 0.1, 0.2, 0.15 };
	const struct pn_box box = { o->edge, o->edge, o->edge };
	const double diameter = fmin(PARTICLE_A, 0.5 * (double)o->edge * PIXEL_A);
	int rc = pn_slicer_plan(&o->slicer, &box, o->edge, o->edge, 0, err);

	if (!rc)
		rc = pn_start_map(o->map, o->edge, PIXEL_A, 3.92, diameter, PN_START_SPHERE, center,
				  0.3 * RESOLUTION_A, NULL, err);
	if (!rc)
		pn_slicer_prepare(o->slicer, o->map);
	return rc;
}

static void make_images(struct orient *o)
{
	const size_t pixels = o->edge * o->edge, length = o->polar->orders * o->polar->rings;
	struct pn_rng rng;

	pn_rng_init(&rng, 5, 0);
	for (unsigned i = 0; i < IMAGES; i++) {
		float *image = o->image + i * pixels;
		double q[4], norm, largest = 0;

		pn_quaternion_random(q, &rng);
		pn_quaternion_to_matrix(o->pose[i].rotation, q);
		o->pose[i].shift_px[0] = o->pose[i].shift_px[1] = 0;
		pn_slicer_project(o->slicer, &o->pose[i], 1, image);
		for (size_t p = 0; p < pixels; p++)
			largest = fmax(largest, (double)image[p]);
		for (size_t p = 0; p < pixels; p++)
			image[p] += (float)(0.3 * largest * pn_rng_gauss(&rng));
		pn_polar_image(o->polar, image, NULL, o->ring + i * o->polar->points);
		pn_polar_orders(o->polar, o->ring + i * o->polar->points, o->order + i * length,
				&norm);
		o->orders[i] = o->order + i * length;
	}
}

static int make_matches(struct orient *o, struct pn_error *err)
{
	int rc = PN_OK;

	for (int threads = 1; threads <= 2 && !rc; threads++) {
		omp_set_num_threads(threads);
		rc = pn_match_create(&o->match[threads - 1], o->polar, &o->directions, err);
		if (!rc)
			rc = pn_match_set_map(o->match[threads - 1], o->slicer, err);
	}
	omp_set_num_threads(1);
	return rc;
}

static int make(struct orient *o, int small, struct pn_error *err)
{
	const struct pn_polar_params polar = {
		.edge = o->edge,
		.pixel_A = PIXEL_A,
		.resolution_low_A = 10,
		.resolution_high_A = RESOLUTION_A,
		.radius_px = fmin(0.575 * PARTICLE_A / PIXEL_A, 0.45 * (double)o->edge),
		.ring_power = 0.5,
	};
	const struct pn_accumulate_params sums = { .edge = o->edge,
						   .frequency_max = PIXEL_A / RESOLUTION_A,
						   .largest_pixel = 100,
						   .kernel_width = 4 };
	int rc = pn_polar_create(&o->polar, &polar, err);

	if (!rc)
		rc = pn_directions_create(&o->directions, small ? 64 : 1250, err);
	if (!rc)
		rc = pn_accumulator_create(&o->sums, &sums, err);
	if (!rc)
		rc = pn_polisher_create(&o->polisher, o->polar, err);
	if (!rc)
		rc = pn_fft_plan_lines(&o->turn, PN_FFT_BACKWARD, o->polar->angles,
				       PN_DIRECTIONS_CELL, 1, err);
	if (rc)
		return rc;
	const size_t hits = 2 * o->directions.count;

	o->map = malloc(o->edge * o->edge * o->edge * sizeof *o->map);
	o->image = malloc(IMAGES * o->edge * o->edge * sizeof *o->image);
	o->ring = malloc(IMAGES * o->polar->points * sizeof *o->ring);
	o->order = malloc(IMAGES * o->polar->orders * o->polar->rings * sizeof *o->order);
	o->hit = malloc(IMAGES * hits * sizeof *o->hit);
	o->few = malloc(hits * sizeof *o->few);
	o->cell = malloc(o->directions.cells * sizeof *o->cell);
	o->scratch = pn_fft_alloc(o->polar->angles * 2 * PN_DIRECTIONS_CELL * sizeof *o->scratch);
	if (!o->map || !o->image || !o->ring || !o->order || !o->hit || !o->few || !o->cell ||
	    !o->scratch)
		return pn_error_set(err, PN_ENOMEM, "no memory for images");
	rc = make_map(o, err);
	if (!rc)
		rc = make_matches(o, err);
	if (!rc)
		make_images(o);
	return rc;
}

static void drop(struct orient *o)
{
	pn_match_destroy(o->match[0]);
	pn_match_destroy(o->match[1]);
	pn_polisher_destroy(o->polisher);
	pn_accumulator_destroy(o->sums);
	pn_slicer_destroy(o->slicer);
	pn_directions_destroy(&o->directions);
	pn_polar_destroy(o->polar);
	pn_fft_destroy(o->turn);
	pn_fft_free(o->scratch);
	free(o->map);
	free(o->image);
	free(o->ring);
	free(o->order);
	free(o->hit);
	free(o->few);
	free(o->cell);
}

/* ---- matching ------------------------------------------------------------------------------ */

/* Cells about the best views of a coarse search. */
static size_t cells_about(struct orient *o, struct pn_match_hit *hit, size_t count)
{
	uint8_t *seen = calloc(o->directions.cells, 1);
	uint32_t *near = malloc(o->directions.cells * sizeof *near);
	size_t cells = 0;

	pn_match_top(hit, count, BEST);
	for (size_t b = 0; seen && near && b < BEST; b++) {
		const size_t some = pn_match_cells_near(&o->directions,
							o->directions.view[hit[b].view], 5, near);

		for (size_t i = 0; i < some; i++)
			if (!seen[near[i]]++)
				o->cell[cells++] = near[i];
	}
	free(seen);
	free(near);
	return cells;
}

/* One batch of images. */
static void search(void *arg)
{
	struct orient *o = arg;
	struct pn_match *match = o->match[o->threads - 1];
	const unsigned first = o->batch == IMAGES ? 0 : o->next++ % IMAGES;
	const size_t coarse_hits = o->directions.cells * PN_DIRECTIONS_COARSE * 2;
	size_t cells;

	switch (o->extent) {
	case EXHAUSTIVE:
		pn_match_search(match, o->orders + first, o->batch, NULL, 0, 0, o->hit);
		o->views = o->directions.count;
		return;
	case COARSE:
		pn_match_search(match, o->orders + first, o->batch, NULL, 0, 1, o->hit);
		o->views = 0;
		for (unsigned i = 0; i < o->batch; i++) {
			cells = cells_about(o, o->hit + i * coarse_hits, coarse_hits);
			pn_match_search(match, o->orders + first + i, 1, o->cell, cells, 0, o->few);
			o->views += cells * PN_DIRECTIONS_CELL;
		}
		o->views = o->views / o->batch + coarse_hits / 2;
		return;
	case WINDOW:
		/* each image about its own pose, as a path through the frames tells it */
		o->views = 0;
		for (unsigned i = 0; i < o->batch; i++) {
			cells = pn_match_cells_near(&o->directions, o->pose[first + i].rotation[2],
						    10, o->cell);
			pn_match_search(match, o->orders + first + i, 1, o->cell, cells, 0, o->hit);
			o->views += cells * PN_DIRECTIONS_CELL;
		}
		o->views /= o->batch;
		return;
	}
}

static void transforms(void *arg)
{
	struct orient *o = arg;

	/* zeros stay zeros */
	for (int i = 0; i < 16; i++)
		pn_fft_execute(o->turn, o->scratch, o->scratch);
}

/* What this machine can multiply and add, 8 numbers at once, if nothing has to be loaded. */
enum { CHAINS = 12, ROUNDS = 4096 };

static void multiply_add(void *arg)
{
#ifdef __FMA__
	__m256 sum[CHAINS];
	const __m256 x = _mm256_set1_ps(0.999f), y = _mm256_set1_ps(0.001f);

	for (int c = 0; c < CHAINS; c++)
		sum[c] = _mm256_set1_ps((float)c);
	for (int i = 0; i < ROUNDS; i++)
		for (int c = 0; c < CHAINS; c++)
			sum[c] = _mm256_fmadd_ps(sum[c], x, y);
#else
	typedef float lanes __attribute__((vector_size(32)));
	lanes sum[CHAINS];
	const lanes x = (lanes){ 0 } + 0.999f, y = (lanes){ 0 } + 0.001f;

	for (int c = 0; c < CHAINS; c++)
		sum[c] = x * (float)c;
	for (int i = 0; i < ROUNDS; i++)
		for (int c = 0; c < CHAINS; c++)
			sum[c] = sum[c] * x + y;
#endif
	memcpy(((struct orient *)arg)->scratch, sum, sizeof(float)); /* used */
	((struct orient *)arg)->scratch[0] = 0;
}

struct floor {
	double products_s, transforms_s; /* of one image and one view with its mirror image */
};

static struct floor floor_of(struct orient *o, double seconds)
{
	const double adds = bench_rate(multiply_add, o, seconds) * CHAINS * ROUNDS * 8;
	const double blocks = bench_rate(transforms, o, seconds) * 16;

	return (struct floor){ 4.0 * (double)(o->polar->orders * o->polar->rings) / adds,
			       1 / blocks / PN_DIRECTIONS_CELL };
}

static void measure_search(struct bench *bench, struct orient *o, enum extent extent,
			   unsigned batch)
{
	const double seconds = bench->small ? 0.01 : 0.3;
	double rate[BENCH_TURNS_MAX], products[BENCH_TURNS_MAX], turns[BENCH_TURNS_MAX];

	o->extent = extent;
	o->batch = batch;
	o->threads = 1;
	for (unsigned turn = 0; turn < bench->turns; turn++) {
		const struct floor f = floor_of(o, seconds / 3);

		rate[turn] = batch * bench_rate(search, o, seconds);
		products[turn] = f.products_s;
		turns[turn] = f.transforms_s;
	}
	const double frames = bench_median(rate, bench->turns), views = (double)o->views;
	const double sums = views * bench_median(products, bench->turns);
	const double ffts = views * bench_median(turns, bench->turns);
	struct bench_result *r = bench_add(bench, frames, "frames/s", "orient/%s/%s",
					   extents[extent], batch == 1 ? "single" : "by 8");

	bench_ceiling(r, "bare sums and FFTs", 1 / (sums + ffts));
	if (extent == WINDOW && !bench->small) {
		r->goal_kind = BENCH_VALUE_AT_LEAST;
		r->goal = 4000;
	}
	o->next = 0;
	search(o);
	/* angles and scores of the first image */
	r->hash = pn_hash64(o->hit, sizeof *o->hit, 0);
	bench_note(r,
		   "CPU of one core, %zu views and their mirror images, %zu rings, %zu orders, %zu "
		   "angles; of the time multiply-adds %.0f %%, FFTs %.0f %%",
		   o->views, o->polar->rings, o->polar->orders, o->polar->angles,
		   100 * sums * frames, 100 * ffts * frames);
}

/* Wall time: another load on the machine counts. */
static void measure_two(struct bench *bench, struct orient *o, enum extent extent)
{
	double rate[BENCH_TURNS_MAX];
	const int rounds = bench->small ? 1 : extent == EXHAUSTIVE ? 8 : 64;

	o->extent = extent;
	o->batch = IMAGES;
	o->threads = 2;
	omp_set_num_threads(2);
	search(o);
	for (unsigned turn = 0; turn < bench->turns; turn++) {
		const double start = omp_get_wtime();

		for (int i = 0; i < rounds; i++)
			search(o);
		rate[turn] = rounds * IMAGES / (omp_get_wtime() - start);
	}
	omp_set_num_threads(1);
	struct bench_result *r = bench_add(bench, bench_median(rate, bench->turns), "frames/s",
					   "orient/%s/two threads", extents[extent]);

	if (extent == EXHAUSTIVE && !bench->small) {
		r->goal_kind = BENCH_VALUE_AT_LEAST;
		r->goal = 400;
	}
	bench_note(r, "wall, batches of 8; whatever else runs takes its part");
}

/* ---- the rest ------------------------------------------------------------------------------ */

static void view(void *arg)
{
	struct orient *o = arg;
	const unsigned i = o->next++ % IMAGES;
	double norm;

	pn_polar_image(o->polar, o->image + i * o->edge * o->edge, NULL, o->ring);
	pn_polar_orders(o->polar, o->ring, o->order, &norm);
}

static void insert(void *arg)
{
	struct orient *o = arg;
	const unsigned i = o->next++ % IMAGES;

	if (!o->err.code)
		pn_accumulator_add(o->sums, &o->pose[i], o->image + i * o->edge * o->edge, 1, NULL,
				   &o->err);
}

/* From 2 degrees and half a pixel off. */
static void polish(void *arg)
{
	struct orient *o = arg;
	const unsigned i = o->next++ % IMAGES;
	const double off_rad[3] = { 0.02, -0.02, 0.02 };
	struct pn_pose pose = o->pose[i];
	struct pn_polished polished;
	double q[4], turn[3][3];

	pn_quaternion_from_vector(q, off_rad);
	pn_quaternion_to_matrix(turn, q);
	pn_matrix3_multiply(pose.rotation, turn, o->pose[i].rotation);
	pose.shift_px[0] = 0.5;
	pn_polish_pose(o->polisher, o->slicer, o->ring + i * o->polar->points, 5, 10, &pose,
		       &polished);
}

struct steps {
	struct pn_path *path;
	struct pn_pose_candidate candidate[CANDIDATES];
	double at[4];
	struct pn_rng rng;
	uint64_t frame;
	struct pn_error err;
};

/* A walk of 5 degrees a frame; a third of the candidates are near it. */
static void push(void *arg)
{
	struct steps *s = arg;
	struct pn_path_pose filtered, smoothed;
	double v[3], q[4];
	int ready;

	for (int i = -1; i < CANDIDATES; i++) {
		const double width = i < 0 ? 0.05 : 0.1;
		struct pn_pose_candidate *c = &s->candidate[i < 0 ? 0 : i];

		if (i >= CANDIDATES / 3) {
			pn_quaternion_random(c->quaternion, &s->rng);
			c->log_likelihood = -5 - 3 * fabs(pn_rng_gauss(&s->rng));
			continue;
		}
		for (int k = 0; k < 3; k++)
			v[k] = width * pn_rng_gauss(&s->rng);
		pn_quaternion_from_vector(q, v);
		pn_quaternion_multiply(i < 0 ? s->at : c->quaternion, q, s->at);
		c->log_likelihood = -100 * (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
	}
	pn_quaternion_normalize(s->at);
	if (!s->err.code)
		pn_path_push(s->path, s->frame++, s->candidate, CANDIDATES, &filtered, &smoothed,
			     &ready, &s->err);
}

static struct bench_result *measure(struct bench *bench, void (*step)(void *arg), void *arg,
				    const char *name)
{
	double rate[BENCH_TURNS_MAX];

	step(arg);
	for (unsigned turn = 0; turn < bench->turns; turn++)
		rate[turn] = bench_rate(step, arg, bench->small ? 0.01 : 0.3);
	return bench_add(bench, bench_median(rate, bench->turns), "frames/s", "orient/%s", name);
}

static int measure_path(struct bench *bench, struct pn_error *err)
{
	struct steps s = { .at = { 1 } };
	struct pn_path_params params;

	pn_params_default(pn_path_param_table, &params);
	pn_rng_init(&s.rng, 9, 0);
	int rc = pn_path_create(&s.path, &params, err);

	if (rc)
		return rc;
	bench_note(measure(bench, push, &s, "path"),
		   "CPU of one core, %d candidates (made in the same time), lag %lld", CANDIDATES,
		   (long long)params.lag);
	pn_path_destroy(s.path);
	if (s.err.code)
		*err = s.err;
	return s.err.code;
}

static int measure_map(struct bench *bench, struct orient *o, struct pn_error *err)
{
	double wall[BENCH_TURNS_MAX];
	int rc = PN_OK;

	for (unsigned turn = 0; turn <= bench->turns && !rc; turn++) {
		const double start = omp_get_wtime();

		rc = pn_accumulator_map(o->sums, 0.01, o->map, err);
		/* the first plans its transform */
		wall[turn ? turn - 1 : 0] = omp_get_wtime() - start;
	}
	if (rc)
		return rc;
	struct bench_result *r =
		bench_add(bench, 1e3 * bench_median(wall, bench->turns), "ms", "orient/quick map");

	bench_note(r, "wall, one thread, %zu^3 voxels", o->edge);
	return rc;
}

static int measure_rest(struct bench *bench, struct orient *o, struct pn_error *err)
{
	bench_note(measure(bench, polish, o, "polish"),
		   "CPU of one core, 5 iterations at most from 2 deg and half a pixel off");

	struct bench_result *r = measure(bench, insert, o, "insertion");

	r->goal_kind = bench->small ? BENCH_NO_GOAL : BENCH_VALUE_AT_LEAST;
	r->goal = 1500;
	bench_note(r, "CPU of one core, %zu px up to %g A, kernel 4 wide, the image's FFT with it",
		   o->edge, RESOLUTION_A);
	int rc = o->err.code;

	if (rc)
		*err = o->err;
	if (!rc)
		rc = measure_map(bench, o, err);
	if (!rc)
		rc = measure_path(bench, err);
	bench_note(measure(bench, view, o, "rings of an image"),
		   "CPU of one core: mask, FFT of twice the edge, rings, orders");
	return rc;
}

static int run(struct bench *bench, struct pn_error *err)
{
	struct orient o = { .edge = bench->small ? 64 : 160 };

	omp_set_num_threads(1);
	int rc = make(&o, bench->small, err);

	for (int extent = EXHAUSTIVE; extent <= WINDOW && !rc; extent++) {
		measure_search(bench, &o, (enum extent)extent, IMAGES);
		measure_search(bench, &o, (enum extent)extent, 1);
		measure_two(bench, &o, (enum extent)extent);
	}
	if (!rc)
		rc = measure_rest(bench, &o, err);
	drop(&o);
	return rc;
}

const struct bench_row bench_orient = {
	.name = "orient",
	.brief = "a tumbling particle: matching, sums of slices, temporal prior, polish",
	.run = run,
};
