/* SPDX-License-Identifier: GPL-3.0-or-later */
/* tomo - reconstruction of 41 tilts, iteration by iteration and tilt by tilt; BM3D; tracing. */
#include "bench.h"

#include "perrin/atoms/trace.h"
#include "perrin/base/rng.h"
#include "perrin/image/bm3d.h"
#include "perrin/math/fft.h"
#include "perrin/stream/hash.h"
#include "perrin/tomo/fista.h"
#include "perrin/tomo/incremental.h"
#include "perrin/tomo/model.h"
#include "perrin/tomo/projector.h"
#include "perrin/tomo/resire.h"
#include "perrin/tomo/sirt.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define TILTS     41
#define PIXEL_A   0.347
#define APART_A   2.6
#define FINE_A    9.0 /* radius of the particle in a box of 64 */
#define SPOT_B_A2 22.0

/* A ball of atoms seen under -70 .. 70 degrees. */
struct series {
	size_t n, atoms;
	double (*position_A)[3];
	uint8_t *species;
	struct pn_pose pose[TILTS];
	float *image, *truth, *volume; /* [TILTS][n][n], [n][n][n] */
	struct pn_projections projections;
	struct pn_box box;
	struct pn_normal *all;
	struct pn_fista *fista;
	double largest;
};

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* Atoms at random, none nearer than APART_A to another. */
static size_t fill_ball(double (*position_A)[3], size_t most, double radius_A)
{
	struct pn_rng rng;
	size_t count = 0;

	pn_rng_init(&rng, 1, 0);
	for (size_t attempt = 0; attempt < 40 * most && count < most; attempt++) {
		double r[3], length2 = 0;
		int fits;

		for (int k = 0; k < 3; k++) {
			r[k] = (2 * pn_rng_uniform(&rng) - 1) * radius_A;
			length2 += r[k] * r[k];
		}
		fits = length2 < radius_A * radius_A;
		for (size_t i = 0; i < count && fits; i++) {
			double d2 = 0;

			for (int k = 0; k < 3; k++)
				d2 += (r[k] - position_A[i][k]) * (r[k] - position_A[i][k]);
			fits = d2 > APART_A * APART_A;
		}
		if (fits)
			memcpy(position_A[count++], r, sizeof r);
	}
	return count;
}

/* The density that the spots of the model are projections of. */
static void draw_truth(struct series *s, double variance_px2)
{
	int half = (int)ceil(4.5 * sqrt(variance_px2)), n = (int)s->n;
	double peak = 1 / pow(2 * M_PI * variance_px2, 1.5);

	for (size_t a = 0; a < s->atoms; a++) {
		double at[3];

		for (int k = 0; k < 3; k++)
			at[k] = s->position_A[a][k] / PIXEL_A + n / 2;
		for (int z = (int)at[2] - half; z <= (int)at[2] + half; z++)
			for (int y = (int)at[1] - half; y <= (int)at[1] + half; y++)
				for (int x = (int)at[0] - half; x <= (int)at[0] + half; x++) {
					double d2 = (x - at[0]) * (x - at[0]) +
						    (y - at[1]) * (y - at[1]) +
						    (z - at[2]) * (z - at[2]);

					if (x >= 0 && y >= 0 && z >= 0 && x < n && y < n && z < n)
						s->truth[((size_t)z * s->n + (size_t)y) * s->n +
							 (size_t)x] +=
							(float)(peak *
								exp(-d2 / (2 * variance_px2)));
				}
	}
}

static void drop(struct series *s)
{
	free(s->position_A);
	free(s->species);
	free(s->image);
	free(s->truth);
	free(s->volume);
	pn_normal_destroy(s->all);
	pn_fista_destroy(s->fista);
}

static int make(struct series *s, size_t n, struct pn_error *err)
{
	double radius_A = FINE_A * (double)n / 64, variance_A2 = pn_b_factor_variance_A2(SPOT_B_A2);
	size_t most = (size_t)(0.5 * pow(2 * radius_A / APART_A, 3)), voxels = n * n * n;

	*s = (struct series){ .n = n, .box = { n, n, n } };
	s->position_A = malloc(most * sizeof *s->position_A);
	s->species = calloc(most, 1);
	s->image = malloc(TILTS * n * n * sizeof *s->image);
	s->truth = calloc(voxels, sizeof *s->truth);
	s->volume = calloc(voxels, sizeof *s->volume);
	if (!s->position_A || !s->species || !s->image || !s->truth || !s->volume)
		return pn_error_set(err, PN_ENOMEM, "no memory for a volume of %zu^3", n);
	s->atoms = fill_ball(s->position_A, most, radius_A);
	for (int k = 0; k < TILTS; k++)
		pn_pose_tilt(&s->pose[k], -70 + 3.5 * k);
	struct pn_linear_model model = { .count = s->atoms,
					 .position_A = s->position_A,
					 .species = s->species,
					 .species_count = 1,
					 .pixel_A = PIXEL_A };

	pn_atom_spot_gauss(&model.spot[0], 1.0, SPOT_B_A2);
	int rc = pn_linear_model_project(&model, s->pose, TILTS, n, n, s->image, err);

	if (rc)
		return rc;
	draw_truth(s, variance_A2 / (PIXEL_A * PIXEL_A));
	for (size_t i = 0; i < TILTS * n * n; i++)
		s->largest = fmax(s->largest, (double)s->image[i]);
	s->projections = (struct pn_projections){
		.count = TILTS, .ny = n, .nx = n, .image = s->image, .pose = s->pose
	};
	rc = pn_normal_create(&s->all, &s->box, 1, s->largest, err);
	return rc ? rc : pn_fista_create(&s->fista, &s->box, 1, err);
}

static double error_of(const struct series *s)
{
	double apart = 0, norm = 0;

	for (size_t i = 0; i < s->n * s->n * s->n; i++) {
		double d = (double)s->volume[i] - (double)s->truth[i];

		apart += d * d;
		norm += (double)s->truth[i] * (double)s->truth[i];
	}
	return sqrt(apart / norm);
}

/* ---- the methods --------------------------------------------------------------------------- */

/*
 * The FFTs of one iteration of best, alone and in cache: of n planes of (2 n)^2 the n rows that are
 * not empty, in eights, and all columns of the half spectrum, forth and back.
 */
static int fft_ceiling(const struct series *s, double *seconds, struct pn_error *err)
{
	static const enum pn_fft_kind kinds[] = { PN_FFT_R2C, PN_FFT_FORWARD, PN_FFT_BACKWARD,
						  PN_FFT_C2R };
	size_t m = 2 * s->n, strips[] = { (s->n + 7) / 8, (s->n + 8) / 8 };
	void *in = pn_fft_alloc(8 * (m + 2) * sizeof(float complex)),
	     *out = pn_fft_alloc(8 * (m + 2) * sizeof(float complex));
	int rc = in && out ? PN_OK : pn_error_set(err, PN_ENOMEM, "no memory for %zu rows", m);

	*seconds = 0;
	for (size_t k = 0; k < PN_COUNT(kinds) && !rc; k++) {
		struct pn_fft *fft;
		size_t calls = s->n * strips[k == 1 || k == 2];

		rc = pn_fft_plan_lines(&fft, kinds[k], m, 8, 0, err);
		if (rc)
			break;
		double start = cpu_s();

		for (size_t i = 0; i < calls; i++)
			pn_fft_execute(fft, in, out);
		*seconds += cpu_s() - start;
		pn_fft_destroy(fft);
	}
	pn_fft_free(in);
	pn_fft_free(out);
	return rc;
}

/* What the stage does with a tilt, on all cores: into the sums, 5 iterations, the volume is there.
 */
static int live(struct bench *bench, const struct series *s, struct pn_error *err)
{
	double wall[BENCH_TURNS_MAX];
	struct pn_incremental *series;
	int threads = omp_get_num_procs();

	omp_set_num_threads(threads);
	int rc = pn_incremental_create(&series, &s->box, 1, s->n, s->n, s->largest, err);

	/* the first pays for memory that was never touched */
	for (unsigned turn = 0; turn <= bench->turns && !rc; turn++) {
		double start = omp_get_wtime();

		rc = pn_incremental_put(series, turn, &s->pose[turn * 7 % TILTS],
					s->image + turn * 7 % TILTS * s->n * s->n, err);
		if (!rc)
			rc = pn_incremental_update(series, 5, err);
		wall[turn ? turn - 1 : 0] = omp_get_wtime() - start;
	}
	if (!rc) {
		struct bench_result *r = bench_add(bench, bench_median(wall, bench->turns), "s",
						   "tomo/%zu/live", s->n);

		r->goal_kind = BENCH_VALUE_BELOW;
		r->goal = s->n <= 64 ? 0.1 : s->n <= 256 ? 1 : NAN;
		bench_note(r, "wall, %d threads: a tilt comes, 5 iterations, the new volume",
			   threads);
	}
	pn_incremental_destroy(series);
	omp_set_num_threads(1);
	return rc;
}

static int best(struct bench *bench, struct series *s, struct pn_error *err)
{
	double add[BENCH_TURNS_MAX], iteration[BENCH_TURNS_MAX], fft[BENCH_TURNS_MAX];
	struct pn_fista_params params;
	struct pn_fista_result result;
	int rc = PN_OK;

	pn_fista_defaults(&params);
	params.iterations_max = 30;
	for (unsigned turn = 0; turn < bench->turns && !rc; turn++) {
		double start = cpu_s();

		pn_normal_reset(s->all);
		for (int k = 0; k < TILTS && !rc; k++)
			rc = pn_normal_add(s->all, &s->pose[k], s->image + (size_t)k * s->n * s->n,
					   s->n, s->n, err);
		add[turn] = (cpu_s() - start) / TILTS;
		memset(s->volume, 0, s->n * s->n * s->n * sizeof *s->volume);
		start = cpu_s();
		if (!rc)
			rc = pn_fista_solve(s->fista, &params, s->all, NULL, s->volume, &result,
					    err);
		iteration[turn] = (cpu_s() - start) / params.iterations_max;
		if (!rc)
			rc = fft_ceiling(s, &fft[turn], err);
	}
	if (rc)
		return rc;
	double ceiling = bench_median(fft, bench->turns);
	struct bench_result *r = bench_add(bench, 1e3 * bench_median(iteration, bench->turns), "ms",
					   "tomo/%zu/best iteration", s->n);

	r->hash = pn_hash64(s->volume, s->n * s->n * s->n * sizeof *s->volume, 0);
	bench_ceiling(r, "its FFTs alone", 1e3 * ceiling);
	bench_note(r,
		   "CPU of one core, any number of tilts; after 30 iterations L2 %.3f to the truth",
		   error_of(s));
	r = bench_add(bench, 1e3 * bench_median(add, bench->turns), "ms", "tomo/%zu/one more tilt",
		      s->n);
	bench_note(r, "CPU: kernel and back-projection into the running sums");
	return PN_OK;
}

static void forward(void *context, const float *volume, float *images)
{
	pn_project(context, volume, images);
}

static void backward(void *context, const float *images, float *volume)
{
	pn_backproject(context, images, volume);
}

static int others(struct bench *bench, struct series *s, struct pn_error *err)
{
	struct pn_resire_options resire;
	struct pn_sirt_options sirt;
	struct pn_projector *projector;
	int iterations = bench->small ? 2 : 20;
	double start = cpu_s();

	pn_resire_defaults(&resire);
	resire.iterations = iterations;
	resire.record_every = 0;
	int rc = pn_resire(s->volume, &s->box, &s->projections, &resire, NULL, err);

	if (rc)
		return rc;
	struct bench_result *r = bench_add(bench, 1e3 * (cpu_s() - start) / iterations, "ms",
					   "tomo/%zu/resire iteration", s->n);

	bench_note(r, "CPU, oversampling 3");
	rc = pn_projector_plan(&projector, &s->box, s->pose, TILTS, s->n, s->n, PN_FOOTPRINT_LINEAR,
			       err);
	if (rc)
		return rc;
	struct pn_sirt_operator pair = { forward, backward, projector };

	pn_sirt_defaults(&sirt);
	sirt.iterations = iterations;
	sirt.record_every = 0;
	start = cpu_s();
	rc = pn_sirt(s->volume, &s->box, &s->projections, &pair, &sirt, NULL, err);
	r = bench_add(bench, 1e3 * (cpu_s() - start) / iterations, "ms", "tomo/%zu/sirt iteration",
		      s->n);
	bench_note(r, "CPU, linear projector, 4 points a voxel");
	pn_projector_destroy(projector);
	return rc;
}

/* The truth itself is traced: what is left is the search. */
static int trace(struct bench *bench, struct series *s, struct pn_error *err)
{
	struct pn_trace found;
	double start = cpu_s();
	int rc = pn_trace_atoms(&found, s->truth, s->n, s->n, s->n, PIXEL_A, NULL, 1, err);
	double seconds = cpu_s() - start;

	if (!rc) {
		struct bench_result *r = bench_add(bench, (double)found.count / seconds, "atoms/s",
						   "tomo/%zu/trace", s->n);

		bench_note(r, "CPU of one core, %zu of %zu atoms in %.2f s", found.count, s->atoms,
			   seconds);
	}
	pn_trace_free(&found);
	return rc;
}

static int denoise(struct bench *bench, struct pn_error *err)
{
	enum { SIDE = 512 };
	float *image = malloc(SIDE * SIDE * sizeof *image),
	      *clean = malloc(SIDE * SIDE * sizeof *clean);
	struct pn_rng rng;
	int rc = image && clean ? PN_OK : pn_error_set(err, PN_ENOMEM, "no memory for an image");

	pn_rng_init(&rng, 3, 0);
	for (int i = 0; !rc && i < SIDE * SIDE; i++)
		image[i] = (float)(5 * sin(0.9 * (i % SIDE)) * sin(0.9 * i / SIDE) +
				   pn_rng_gauss(&rng));
	for (int fast = 0; fast < 2 && !rc; fast++) {
		struct pn_bm3d_params params;
		double start = cpu_s();

		if (fast)
			pn_bm3d_fast(&params);
		else
			pn_params_default(pn_bm3d_param_table, &params);
		rc = pn_bm3d(clean, image, SIDE, SIDE, 1.0, &params, err);
		struct bench_result *r =
			bench_add(bench, SIDE * SIDE / 1e6 / (cpu_s() - start), "Mpx/s",
				  "tomo/bm3d %s", fast ? "fast" : "normal");

		if (!rc)
			r->hash = pn_hash64(clean, SIDE * SIDE * sizeof *clean, 0);
		bench_note(r, "CPU of one core, 512 x 512");
	}
	free(image);
	free(clean);
	return rc;
}

static int run(struct bench *bench, struct pn_error *err)
{
	static const size_t sides[] = { 64, 128, 256 };
	int rc = PN_OK;

	omp_set_num_threads(1);
	for (size_t i = 0; i < (bench->small ? 1 : PN_COUNT(sides)) && !rc; i++) {
		struct series s;

		rc = make(&s, bench->small ? 24 : sides[i], err);
		if (!rc)
			rc = best(bench, &s, err);
		if (!rc)
			rc = live(bench, &s, err);
		if (!rc && sides[i] <= 128)
			rc = others(bench, &s, err);
		if (!rc && sides[i] <= 128)
			rc = trace(bench, &s, err);
		drop(&s);
	}
	return rc || bench->small ? rc : denoise(bench, err);
}

const struct bench_row bench_tomo = {
	.name = "tomo",
	.brief = "a tilt series: reconstruction, tracing, BM3D",
	.run = run,
};
