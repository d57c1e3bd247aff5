/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A volume that follows the tilts: any history of the same tilts ends in the same bytes. */
#include "perrin/tomo/incremental.h"

#include "series_kit.h"
#include "testkit.h"

#include <string.h>

enum { N = 12, VOXELS = N * N * N, TILTS = 15 };

static const struct pn_box box = { N, N, N };

struct series {
	float truth[VOXELS], image[TILTS][N * N];
	struct pn_pose pose[TILTS];
};

static void series_init(struct series *s)
{
	struct pn_rng rng;

	pn_rng_init(&rng, 11, 0);
	kit_blobs(s->truth, &box, 4, 1.1, 2);
	for (int k = 0; k < TILTS; k++) {
		pn_pose_tilt(&s->pose[k], -70.0 + 10.0 * k);
		kit_project(s->image[k], N, N, &box, &s->pose[k], s->truth);
		for (int i = 0; i < N * N; i++)
			s->image[k][i] += (float)(0.05 * pn_rng_gauss(&rng));
	}
}

static struct pn_incremental *started(void)
{
	struct pn_incremental *p;
	struct pn_error err = { 0 };

	assert_int_equal(pn_incremental_create(&p, &box, 1, N, N, 4.0, &err), PN_OK);
	return p;
}

static double error_of(const float *u, const float *truth)
{
	double a = 0, b = 0;

	for (int i = 0; i < VOXELS; i++) {
		a += (double)(u[i] - truth[i]) * (double)(u[i] - truth[i]);
		b += (double)truth[i] * (double)truth[i];
	}
	return sqrt(a / b);
}

/* Out of order, with a revision and a withdrawal, or all at once. */
static void test_histories(void **state)
{
	static struct series s;
	struct pn_incremental *a = started(), *b = started();
	struct pn_fista_params params;
	struct pn_error err = { 0 };
	float wrong[N * N] = { 1.0f };
	double before = INFINITY;

	(void)state;
	series_init(&s);
	pn_fista_defaults(&params);
	for (int k = 0; k < TILTS; k++)
		assert_int_equal(pn_incremental_put(a, (uint64_t)k, &s.pose[k], s.image[k], NULL),
				 PN_OK);
	assert_int_equal(pn_incremental_finish(a, &params, 5, &err), PN_OK);

	assert_int_equal(pn_incremental_put(b, 99, &s.pose[3], s.image[5], NULL), PN_OK);
	for (int i = 0; i < TILTS; i++) {
		int k = i * 7 % TILTS;

		/* first a bad image, then the right one under the same number */
		if (k == 4)
			assert_int_equal(pn_incremental_put(b, 4, &s.pose[9], wrong, NULL), PN_OK);
		assert_int_equal(pn_incremental_put(b, (uint64_t)k, &s.pose[k], s.image[k], NULL),
				 PN_OK);
		if (i == 8)
			assert_int_equal(pn_incremental_withdraw(b, 99, NULL), PN_OK);
		assert_int_equal(pn_incremental_update(b, 5, &err), PN_OK);
		if (i == 9)
			before = error_of(pn_incremental_volume(b), s.truth);
	}
	assert_int_equal(pn_incremental_state(b)->tilts, TILTS);
	assert_true(error_of(pn_incremental_volume(b), s.truth) < before);
	assert_int_equal(pn_incremental_finish(b, &params, 5, NULL), PN_OK);
	assert_memory_equal(pn_incremental_volume(a), pn_incremental_volume(b),
			    VOXELS * sizeof(float));
	assert_true(error_of(pn_incremental_volume(a), s.truth) < 0.25);

	const uint64_t *id;
	struct pn_projections p = pn_incremental_projections(b, &id);

	assert_int_equal(p.count, TILTS);
	for (int k = 0; k < TILTS; k++) {
		assert_int_equal(id[k], k);
		assert_memory_equal(p.image + k * N * N, s.image[k], sizeof s.image[k]);
	}
	pn_incremental_destroy(a);
	pn_incremental_destroy(b);
}

/* A checkpoint in the middle changes nothing of what comes after. */
static void test_resumed(void **state)
{
	static struct series s;
	struct pn_incremental *a = started(), *b = started();
	struct pn_blob blob = { 0 };
	struct pn_error err = { 0 };

	(void)state;
	series_init(&s);
	for (int k = 0; k < TILTS; k++) {
		if (k == 6) {
			assert_int_equal(pn_incremental_save(a, &blob), PN_OK);
			assert_int_equal(pn_incremental_load(b, blob.data, blob.bytes, &err),
					 PN_OK);
		}
		assert_int_equal(pn_incremental_put(a, (uint64_t)k, &s.pose[k], s.image[k], NULL),
				 PN_OK);
		assert_int_equal(pn_incremental_update(a, 3, NULL), PN_OK);
		if (k >= 6) {
			assert_int_equal(
				pn_incremental_put(b, (uint64_t)k, &s.pose[k], s.image[k], NULL),
				PN_OK);
			assert_int_equal(pn_incremental_update(b, 3, NULL), PN_OK);
		}
	}
	assert_memory_equal(pn_incremental_volume(a), pn_incremental_volume(b),
			    VOXELS * sizeof(float));
	for (size_t cut = 0; cut < blob.bytes; cut += 97)
		assert_int_equal(pn_incremental_load(b, blob.data, cut, &err), PN_EFORMAT);
	pn_blob_finish(&blob);
	pn_incremental_destroy(a);
	pn_incremental_destroy(b);
}

/* A number of tilts whose bytes come round to what is there is not believed. */
static void test_resumed_from_nonsense(void **state)
{
	struct pn_incremental *p = started();
	struct pn_blob blob = { 0 };
	struct pn_error err = { 0 };
	const uint64_t tilts = 1ull << 61;

	(void)state;
	assert_int_equal(pn_incremental_save(p, &blob), PN_OK);
	/* behind the length of the part: the box, the shape of the images, the number of tilts */
	memcpy(blob.data + 8 * (1 + 3 + 2), &tilts, sizeof tilts);
	assert_int_equal(pn_incremental_load(p, blob.data, blob.bytes, &err), PN_EFORMAT);
	pn_blob_finish(&blob);
	pn_incremental_destroy(p);
}

/* Of a short series one tilt is held out, however seldom it was asked for. */
static void test_seldom_held_out(void **state)
{
	static struct series s;
	struct pn_incremental *p = started();
	struct pn_fista_params params;
	struct pn_error err = { 0 };

	(void)state;
	series_init(&s);
	pn_fista_defaults(&params);
	for (int k = 0; k < TILTS; k++)
		assert_int_equal(pn_incremental_put(p, (uint64_t)k, &s.pose[k], s.image[k], NULL),
				 PN_OK);
	assert_int_equal(pn_incremental_finish(p, &params, 1000, &err), PN_OK);
	assert_true(pn_incremental_state(p)->last.held_out > 0);
	assert_true(pn_incremental_state(p)->last.iterations < params.iterations_max);
	pn_incremental_destroy(p);
}

static void test_refused(void **state)
{
	static struct series s;
	struct pn_incremental *p = started();
	struct pn_error err = { 0 };
	struct pn_fista_params params;
	float bad[N * N] = { NAN };

	(void)state;
	series_init(&s);
	pn_fista_defaults(&params);
	assert_int_equal(pn_incremental_update(p, 3, &err), PN_EARG);
	assert_int_equal(pn_incremental_withdraw(p, 3, &err), PN_ENOENT);
	assert_int_equal(pn_incremental_put(p, 7, &s.pose[0], s.image[0], NULL), PN_OK);
	assert_int_equal(pn_incremental_put(p, 7, &s.pose[1], bad, &err), PN_EARG);
	assert_non_null(strstr(err.text, "tilt 7"));
	assert_memory_equal(pn_incremental_projections(p, NULL).image, s.image[0],
			    sizeof s.image[0]);
	assert_int_equal(pn_incremental_finish(p, &params, 1, &err), PN_EARG);
	pn_incremental_destroy(p);
	assert_int_equal(pn_incremental_create(&p, &box, 1, 0, N, 1.0, &err), PN_EARG);
	assert_null(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_histories),
		cmocka_unit_test(test_resumed),
		cmocka_unit_test(test_resumed_from_nonsense),
		cmocka_unit_test(test_seldom_held_out),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
