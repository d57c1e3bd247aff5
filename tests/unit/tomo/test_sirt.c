/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/rng.h"
#include "perrin/tomo/sirt.h"

#include "measured_kit.h"

/* A dense matrix of positive and zero weights: any pair of operators will do. */
enum { VOXELS = 24, COUNT = 3, PIXELS = 10, ROWS = COUNT * PIXELS };

static const struct pn_box box = { 2, 3, 4 };

struct dense {
	float a[ROWS][VOXELS];
	float image[ROWS], initial[VOXELS];
	uint8_t support[VOXELS];
	struct pn_pose pose[COUNT];
	struct pn_projections projections;
};

static void dense_make(struct dense *d, int consistent)
{
	double truth[VOXELS];
	struct pn_rng rng;

	pn_rng_init(&rng, 11, 0);
	for (int j = 0; j < VOXELS; j++) {
		truth[j] = pn_rng_below(&rng, 3) ? pn_rng_uniform(&rng) : 0;
		d->initial[j] = (float)pn_rng_uniform(&rng);
		d->support[j] = j % 5 > 0;
	}
	for (int i = 0; i < ROWS; i++) {
		double sum = 0;

		for (int j = 0; j < VOXELS; j++) {
			d->a[i][j] = pn_rng_below(&rng, 2) ? (float)pn_rng_uniform(&rng) : 0;
			/* a pixel that sees nothing, and a voxel nobody sees */
			if (i == 7 || j == 13)
				d->a[i][j] = 0;
			sum += d->a[i][j] * truth[j];
		}
		d->image[i] = (float)(consistent ? sum : 10 * pn_rng_uniform(&rng));
	}
	for (int k = 0; k < COUNT; k++)
		pn_pose_tilt(&d->pose[k], 30 * k);
	d->projections = (struct pn_projections){
		.count = COUNT, .ny = 2, .nx = PIXELS / 2, .image = d->image, .pose = d->pose
	};
}

static void dense_forward(void *context, const float *volume, float *images)
{
	const struct dense *d = context;

	for (int i = 0; i < ROWS; i++) {
		double sum = 0;

		for (int j = 0; j < VOXELS; j++)
			sum += (double)d->a[i][j] * volume[j];
		images[i] = (float)sum;
	}
}

static void dense_backward(void *context, const float *images, float *volume)
{
	const struct dense *d = context;

	for (int j = 0; j < VOXELS; j++) {
		double sum = 0;

		for (int i = 0; i < ROWS; i++)
			sum += (double)d->a[i][j] * images[i];
		volume[j] = (float)sum;
	}
}

/* The definition, in double. */
static void slow_sirt(double *u, const struct dense *d, const struct pn_sirt_options *o, double *r1)
{
	for (int t = 0; t < o->iterations; t++) {
		double residual[ROWS], sums[2][COUNT] = { 0 };

		for (int i = 0; i < ROWS; i++) {
			double row = 0, seen = 0;

			for (int j = 0; j < VOXELS; j++) {
				row += d->a[i][j];
				seen += d->a[i][j] * u[j];
			}
			sums[0][i / PIXELS] += fabs(d->image[i] - seen);
			sums[1][i / PIXELS] += fabs(d->image[i]);
			residual[i] = row > 0 ? (d->image[i] - seen) / row : 0;
		}
		r1[t] = 0;
		for (int k = 0; k < COUNT; k++)
			r1[t] += sums[0][k] / sums[1][k] / COUNT;
		for (int j = 0; j < VOXELS; j++) {
			double column = 0, sum = 0;

			for (int i = 0; i < ROWS; i++) {
				column += d->a[i][j];
				sum += d->a[i][j] * residual[i];
			}
			if (column > 0 && d->support[j])
				u[j] += o->relaxation * sum / column;
			u[j] = o->positive ? fmax(u[j], 0) : u[j];
		}
	}
}

static void it_is_its_definition(void **state)
{
	struct pn_sirt_options options;
	static struct dense d;
	const struct pn_sirt_operator a = { dense_forward, dense_backward, &d };

	(void)state;
	dense_make(&d, 0);
	pn_sirt_defaults(&options);
	options.iterations = 20;
	options.initial = d.initial;
	options.support = d.support;
	for (int positive = 0; positive < 2; positive++) {
		double u[VOXELS], r1[20];
		float volume[VOXELS];
		struct pn_rfactors history;
		int clipped = 0;

		options.positive = positive;
		options.relaxation = positive ? 1 : 1.5;
		assert_int_equal(
			pn_sirt(volume, &box, &d.projections, &a, &options, &history, NULL), PN_OK);
		for (int j = 0; j < VOXELS; j++)
			u[j] = d.support[j] ? d.initial[j] : 0;
		slow_sirt(u, &d, &options, r1);
		assert_int_equal(history.records, 20);
		for (int t = 0; t < 20; t++)
			assert_true(fabs(history.r1_mean[t] - r1[t]) < 1e-5);
		for (int j = 0; j < VOXELS; j++) {
			assert_true(fabs(volume[j] - u[j]) < 1e-4);
			clipped += d.support[j] && volume[j] == 0;
		}
		/* the constraint is seen to bind */
		assert_int_equal(clipped > 0, positive);
		pn_rfactors_free(&history);
	}
}

/* Without noise the data are explained; a voxel nobody sees stays what it was. */
static void a_consistent_series_is_solved(void **state)
{
	struct pn_sirt_options options;
	static struct dense d;
	const struct pn_sirt_operator a = { dense_forward, dense_backward, &d };
	struct pn_rfactors history;
	float volume[VOXELS];

	(void)state;
	dense_make(&d, 1);
	pn_sirt_defaults(&options);
	options.iterations = 5000;
	options.record_every = 1000;
	options.initial = d.initial;
	assert_int_equal(pn_sirt(volume, &box, &d.projections, &a, &options, &history, NULL),
			 PN_OK);
	assert_int_equal(history.records, 5);
	assert_true(history.r1_mean[4] < 1e-3 && history.r1_mean[4] < 0.1 * history.r1_mean[0]);
	assert_true(volume[13] == d.initial[13]);
	pn_rfactors_free(&history);
}

static int third_is_enough(void *context, int iteration, double r1)
{
	*(double *)context = r1;
	return iteration == 3;
}

static void progress_can_stop(void **state)
{
	struct pn_sirt_options options;
	static struct dense d;
	const struct pn_sirt_operator a = { dense_forward, dense_backward, &d };
	struct pn_rfactors history;
	float stopped[VOXELS], two[VOXELS];
	double told = 0;

	(void)state;
	dense_make(&d, 0);
	pn_sirt_defaults(&options);
	options.progress = third_is_enough;
	options.context = &told;
	assert_int_equal(pn_sirt(stopped, &box, &d.projections, &a, &options, &history, NULL),
			 PN_OK);
	assert_int_equal(history.iterations, 2);
	assert_true(history.records == 3 && history.r1_mean[2] == told);
	pn_rfactors_free(&history);
	options.progress = NULL;
	options.iterations = 2;
	assert_int_equal(pn_sirt(two, &box, &d.projections, &a, &options, NULL, NULL), PN_OK);
	assert_memory_equal(stopped, two, sizeof two);
}

static void refused(const struct dense *d, const struct pn_sirt_operator *a,
		    const struct pn_sirt_options *options, const char *why)
{
	struct pn_rfactors history = { .records = 77 };
	struct pn_error err = { 0 };
	float volume[VOXELS] = { 42 };

	assert_int_equal(pn_sirt(volume, &box, &d->projections, a, options, &history, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, why));
	assert_true(volume[0] == 42 && history.records == 77);
}

static void nonsense_is_refused(void **state)
{
	struct pn_sirt_options good, bad;
	static struct dense d, nothing;
	const struct pn_sirt_operator a = { dense_forward, dense_backward, &d },
				      zero = { dense_forward, dense_backward, &nothing };

	(void)state;
	dense_make(&d, 0);
	pn_sirt_defaults(&good);
	refused(&d, &zero, &good, "all 0");
	bad = good;
	bad.relaxation = 2;
	refused(&d, &a, &bad, "relaxation 2");
	bad = good;
	bad.iterations = 0;
	refused(&d, &a, &bad, "0 iterations");
	bad = good;
	bad.initial = d.initial;
	d.initial[5] = NAN;
	refused(&d, &a, &bad, "voxel 5");
	d.a[4][3] = INFINITY;
	refused(&d, &a, &good, "row 4");
	d.image[25] = NAN;
	refused(&d, &a, &good, "2");
}

/* ---- Joseph's projector on the authors' sample, IEEE Trans. Med. Imaging 1, 192 (1982) ---- */

enum { N = 64 };

/* One ray of projection k through a plane: N points, each between two voxels of a line. */
static double ray(const struct pn_pose *pose, size_t x, size_t at[N][2], float weight[N][2])
{
	double c = pose->rotation[0][0], s = -pose->rotation[0][2], u = (double)x - N / 2;
	int steep = fabs(c) >= fabs(s);

	for (int i = 0; i < N; i++) {
		double t = i - N / 2, across = (steep ? (u + t * s) / c : (t * c - u) / s) + N / 2;
		long first = (long)floor(across);

		for (int h = 0; h < 2; h++) {
			long j = first + h;
			int in = j >= 0 && j < N;
			size_t voxel = in ? (size_t)j : 0;

			at[i][h] = steep ? (size_t)i * N + voxel : voxel * N + (size_t)i;
			weight[i][h] = in ? (float)(1 - fabs(across - (double)j)) : 0;
		}
	}
	return 1 / fmax(fabs(c), fabs(s));
}

struct joseph {
	const struct pn_projections *p;
	float *turned; /* [z][x][y] */
};

static void joseph_forward(void *context, const float *volume, float *images)
{
	struct joseph *j = context;

	for (size_t i = 0; i < N * N * N; i++)
		j->turned[(i / (N * N) * N + i % N) * N + i / N % N] = volume[i];
	for (size_t k = 0; k < j->p->count; k++)
		for (size_t x = 0; x < N; x++) {
			float weight[N][2], sum[N] = { 0 };
			size_t at[N][2];
			double length = ray(&j->p->pose[k], x, at, weight);

			for (int i = 0; i < 2 * N; i++)
				for (int y = 0; y < N; y++)
					sum[y] += weight[i / 2][i % 2] *
						  j->turned[at[i / 2][i % 2] * N + (size_t)y];
			for (size_t y = 0; y < N; y++)
				images[(k * N + y) * N + x] = (float)length * sum[y];
		}
}

static void joseph_backward(void *context, const float *images, float *volume)
{
	struct joseph *j = context;

	memset(j->turned, 0, N * N * N * sizeof *j->turned);
	for (size_t k = 0; k < j->p->count; k++)
		for (size_t x = 0; x < N; x++) {
			float weight[N][2], seen[N];
			size_t at[N][2];
			double length = ray(&j->p->pose[k], x, at, weight);

			for (size_t y = 0; y < N; y++)
				seen[y] = (float)length * images[(k * N + y) * N + x];
			for (int i = 0; i < 2 * N; i++)
				for (int y = 0; y < N; y++)
					j->turned[at[i / 2][i % 2] * N + (size_t)y] +=
						weight[i / 2][i % 2] * seen[y];
		}
	for (size_t i = 0; i < N * N * N; i++)
		volume[i] = j->turned[(i / (N * N) * N + i % N) * N + i / N % N];
}

/* ASTRA's SIRT with the same projector and >= 0: .293, .244, .221 after 50, 100, 200. */
static void errors_are_those_of_astra(void **state)
{
	const double published[3] = { 0.293, 0.244, 0.221 };
	struct pn_sirt_options options;
	struct kit_series series;

	(void)state;
	if (!kit_series_load(&series, "sim_mg_sample64", "proj.npy"))
		skip();
	float *volume = malloc(N * N * N * sizeof *volume), *truth = kit_truth(N * N * N);
	struct joseph joseph = { &series.projections, malloc(N * N * N * sizeof *joseph.turned) };
	const struct pn_sirt_operator a = { joseph_forward, joseph_backward, &joseph };

	pn_sirt_defaults(&options);
	for (int i = 0; i < 3; i++) {
		/* 50, then from there 50 and 100 more */
		options.iterations = i < 2 ? 50 : 100;
		options.initial = i > 0 ? volume : NULL;
		assert_int_equal(
			pn_sirt(volume, &series.box, &series.projections, &a, &options, NULL, NULL),
			PN_OK);
		/* 2e-3 apart: float and double, and ASTRA's place of the axis */
		assert_true(fabs(kit_l2(volume, truth, N * N * N) - published[i]) < 3e-3);
	}
	free(joseph.turned);
	free(truth);
	free(volume);
	kit_series_free(&series);
}

/* 3 volumes of 128 MB */
static void want_of_memory_is_told(void **state)
{
	static struct dense d;
	const struct pn_sirt_operator a = { dense_forward, dense_backward, &d };
	struct pn_sirt_options options;
	struct pn_error err = { 0 };
	float volume = 42;

	(void)state;
	if (KIT_SANITIZED)
		skip();
	dense_make(&d, 0);
	pn_sirt_defaults(&options);
	rlim_t before = kit_limit_memory(200 << 20);
	int rc = pn_sirt(&volume, &(struct pn_box){ 512, 256, 256 }, &d.projections, &a, &options,
			 NULL, &err);

	kit_allow_memory(before);
	assert_int_equal(rc, PN_ENOMEM);
	assert_non_null(strstr(err.text, " bytes"));
	assert_true(volume == 42);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_is_its_definition),
		cmocka_unit_test(a_consistent_series_is_solved),
		cmocka_unit_test(progress_can_stop),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(errors_are_those_of_astra),
		cmocka_unit_test(want_of_memory_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
