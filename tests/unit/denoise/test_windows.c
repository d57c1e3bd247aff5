/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "testkit.h"

#include "perrin/base/rng.h"
#include "perrin/denoise/windows.h"
#include "perrin/image/quality.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { N = 24 };

static struct pn_window_crop crop_at(uint64_t particle, uint64_t frame, int64_t y0, int64_t x0)
{
	return (struct pn_window_crop){ particle, frame, y0, x0, N, N };
}

/* The scene at a place of the frame: what every crop there shows, whatever its own corner is. */
static float scene(uint64_t frame, int64_t y, int64_t x)
{
	return (float)(100 * (double)(frame % 1000) + (double)(7 * y + x));
}

static int add(struct pn_windows *windows, const struct pn_window_crop *crop, struct pn_error *err)
{
	float *image = malloc(sizeof(float) * (size_t)(crop->ny * crop->nx));

	assert_non_null(image);
	for (int y = 0; y < crop->ny; y++)
		for (int x = 0; x < crop->nx; x++)
			image[y * crop->nx + x] =
				scene(crop->frame, crop->y0_px + y, crop->x0_px + x);
	int rc = pn_windows_add(windows, crop, image, &crop->frame, err);

	free(image);
	return rc;
}

static void put(struct pn_windows *windows, uint64_t particle, uint64_t frame)
{
	struct pn_window_crop crop = crop_at(particle, frame, 0, 0);

	assert_int_equal(add(windows, &crop, NULL), PN_OK);
}

/* Which crops are complete now, as text "particle:frame ...". */
static const char *complete(struct pn_windows *windows, int half)
{
	static char text[256];
	struct pn_window_entry *entry;
	size_t used = 0;

	text[0] = 0;
	while ((entry = pn_windows_next(windows, half))) {
		uint64_t tag;

		memcpy(&tag, entry->tag, sizeof tag);
		assert_int_equal(tag, entry->crop.frame);
		used += (size_t)snprintf(text + used, sizeof text - used, "%s%d:%d",
					 used ? " " : "", (int)entry->crop.particle,
					 (int)entry->crop.frame);
	}
	pn_windows_pass(windows);
	return text;
}

static struct pn_windows *fresh(void)
{
	struct pn_windows *windows;

	assert_int_equal(pn_windows_create(&windows, sizeof(uint64_t), NULL), PN_OK);
	return windows;
}

static void complete_when_no_more_can_come(void **state)
{
	struct pn_windows *windows = fresh();

	(void)state;
	put(windows, 1, 0);
	assert_string_equal(complete(windows, 2), "");
	put(windows, 2, 0);
	put(windows, 1, 1);
	put(windows, 1, 2);
	assert_string_equal(complete(windows, 2), "1:0");
	/* particle 2 was not seen on frame 2, which only frame 3 can tell */
	put(windows, 1, 3);
	assert_string_equal(complete(windows, 2), "2:0 1:1");
	/* frames 4 to 9 were lost */
	put(windows, 1, 10);
	assert_string_equal(complete(windows, 2), "1:2 1:3");
	assert_string_equal(complete(windows, 2), "");
	assert_string_equal(complete(windows, -1), "1:10");
	assert_string_equal(complete(windows, -1), "");
	put(windows, 1, 11);
	assert_string_equal(complete(windows, 0), "1:11");
	pn_windows_destroy(windows);
}

/* Numbers of frames may be anything: nothing wraps round. */
static void frames_at_the_end_of_numbers(void **state)
{
	struct pn_windows *windows = fresh();
	struct pn_window_frame frames[5];

	(void)state;
	put(windows, 1, 0);
	put(windows, 1, UINT64_MAX - 1);
	assert_string_equal(complete(windows, 2), "1:0");
	put(windows, 1, UINT64_MAX);
	struct pn_window_entry *last;
	int count = 0;
	while ((last = pn_windows_next(windows, -1)))
		count += 10 + pn_windows_frames(windows, last, 2, frames);
	assert_int_equal(count, 2 * (10 + 1));
	pn_windows_destroy(windows);
}

static void asked_again_are_the_same(void **state)
{
	struct pn_windows *windows = fresh();

	(void)state;
	for (uint64_t f = 0; f < 5; f++)
		put(windows, 1, f);
	struct pn_window_entry *first = pn_windows_next(windows, 1);
	assert_int_equal(first->crop.frame, 0);
	first->cleaned = 1;
	assert_int_equal(pn_windows_next(windows, 1)->crop.frame, 1);
	pn_windows_again(windows);
	assert_ptr_equal(pn_windows_next(windows, 1), first);
	assert_int_equal(first->cleaned, 1);
	pn_windows_again(windows);
	assert_string_equal(complete(windows, 1), "1:0 1:1 1:2 1:3");
	pn_windows_destroy(windows);
}

static struct pn_window_entry *entry_of(struct pn_windows *windows, uint64_t frame)
{
	struct pn_window_entry *entry;

	while ((entry = pn_windows_next(windows, -1)))
		if (entry->crop.frame == frame)
			break;
	pn_windows_again(windows);
	assert_non_null(entry);
	return entry;
}

static void neighbors_are_laid_over(void **state)
{
	struct pn_windows *windows = fresh();
	struct pn_window_frame frames[5];
	const int64_t places[5][2] = {
		{ 10, 20 }, { 8, 23 }, { 11, 19 }, { 11, 19 + 17 }, { 12, 21 }
	};

	(void)state;
	for (uint64_t f = 0; f < 5; f++) {
		struct pn_window_crop crop = crop_at(1, f, places[f][0], places[f][1]);

		if (f == 4)
			crop.nx = N + 8; /* another box */
		assert_int_equal(add(windows, &crop, NULL), PN_OK);
	}
	struct pn_window_entry *own = entry_of(windows, 2);
	/* frame 3 is 17 px away, frame 4 of another size */
	assert_int_equal(pn_windows_frames(windows, own, 2, frames), 2);
	assert_null(frames[3].image);
	assert_null(frames[4].image);
	assert_ptr_equal(frames[2].image, own->image);
	for (int k = 0; k < 2; k++)
		for (int y = 4; y < N - 4; y++)
			for (int x = 4; x < N - 4; x++) {
				float shown =
					frames[k].image[(y + frames[k].dy) * N + x + frames[k].dx];

				assert_true(shown == scene((uint64_t)k, 11 + y, 19 + x));
			}
	pn_windows_destroy(windows);
}

/* The same pixels of the detector a second time are no neighbour, wherever the crop lies. */
static void repeated_frames_are_no_neighbors(void **state)
{
	struct pn_windows *windows = fresh();
	struct pn_window_frame frames[5];

	(void)state;
	for (uint64_t f = 0; f < 5; f++) {
		struct pn_window_crop crop = crop_at(1, f, 10 + (int64_t)f, 20);
		float image[N * N];

		for (int k = 0; k < N * N; k++)
			image[k] = scene(f == 3 ? 2 : f, crop.y0_px + k / N, crop.x0_px + k % N);
		assert_int_equal(pn_windows_add(windows, &crop, image, &crop.frame, NULL), PN_OK);
	}
	assert_int_equal(pn_windows_frames(windows, entry_of(windows, 2), 2, frames), 3);
	assert_null(frames[3].image);
	assert_int_equal(pn_windows_frames(windows, entry_of(windows, 3), 1, frames), 1);
	assert_null(frames[0].image);
	pn_windows_destroy(windows);
}

static void snr_is_of_the_overlap(void **state)
{
	struct pn_windows *windows = fresh();
	struct pn_rng rng;
	float images[2][N * N], wide[N + 8][N + 8], a[(N - 3) * (N - 2)], b[(N - 3) * (N - 2)];

	(void)state;
	pn_rng_init(&rng, 3, 0);
	for (int y = 0; y < N + 8; y++)
		for (int x = 0; x < N + 8; x++)
			wide[y][x] = (float)pn_rng_gauss(&rng);
	for (int k = 0; k < 2; k++)
		for (int y = 0; y < N; y++)
			for (int x = 0; x < N; x++)
				images[k][y * N + x] =
					wide[y + 3 * k][x + 4 - 2 * k] + (float)pn_rng_gauss(&rng);
	for (int k = 0; k < 2; k++) {
		struct pn_window_crop crop = crop_at(1, (uint64_t)k, 3 * k, 4 - 2 * k);

		assert_int_equal(pn_windows_add(windows, &crop, images[k], &crop.frame, NULL),
				 PN_OK);
	}
	for (int y = 0; y < N - 3; y++)
		for (int x = 0; x < N - 2; x++) {
			a[y * (N - 2) + x] = images[0][(y + 3) * N + x];
			b[y * (N - 2) + x] = images[1][y * N + x + 2];
		}
	double expected = pn_snr_of_pair_db(a, b, PN_COUNT(a));
	struct pn_window_entry *entry = entry_of(windows, 1);

	assert_true(fabs(pn_windows_snr_db(windows, entry, 0) - expected) < 1e-9);
	assert_true(fabs(expected) < 2);                          /* as much noise as signal */
	assert_true(isnan(pn_windows_snr_db(windows, entry, 1))); /* nothing is clean yet */
	assert_true(isnan(pn_windows_snr_db(windows, entry_of(windows, 0), 0)));
	pn_windows_destroy(windows);
}

static void bad_crops_change_nothing(void **state)
{
	struct pn_windows *windows = fresh();
	struct pn_window_crop crop = crop_at(1, 5, 0, 0);
	float image[N * N] = { 0 };
	struct pn_error err = { 0 };

	(void)state;
	put(windows, 1, 5);
	assert_int_equal(add(windows, &crop, &err), PN_EFRAME);
	assert_non_null(strstr(err.text, "second time"));
	crop.frame = 4;
	assert_int_equal(add(windows, &crop, &err), PN_EFRAME);
	assert_non_null(strstr(err.text, "frame 4 after frame 5"));
	crop.frame = 6;
	image[3] = INFINITY;
	assert_int_equal(pn_windows_add(windows, &crop, image, &crop.frame, &err), PN_EFRAME);
	assert_non_null(strstr(err.text, "1 of 24 x 24"));
	assert_string_equal(complete(windows, -1), "1:5");
	pn_windows_destroy(windows);
}

/* Only what a window can still need is kept, however long it runs. */
static void old_crops_go(void **state)
{
	struct pn_windows *windows = fresh();
	struct pn_blob blob = { 0 };

	(void)state;
	for (uint64_t f = 0; f < 200; f++) {
		put(windows, 1, f);
		complete(windows, 2);
	}
	assert_int_equal(pn_windows_save(windows, &blob), PN_OK);
	assert_true(blob.bytes < 9 * (N * N * sizeof(float) + 200));
	pn_blob_finish(&blob);
	pn_windows_destroy(windows);
}

static void saved_ones_go_on(void **state)
{
	struct pn_windows *a = fresh(), *b = fresh(), *other;
	struct pn_blob blob = { 0 };
	struct pn_error err = { 0 };

	(void)state;
	for (uint64_t f = 0; f < 4; f++) {
		put(a, 1, f);
		put(a, 2, f);
	}
	struct pn_window_entry *entry = pn_windows_next(a, 1);
	entry->clean[5] = 17;
	entry->cleaned = 1;
	pn_windows_pass(a);
	assert_int_equal(pn_windows_save(a, &blob), PN_OK);
	for (size_t cut = 0; cut < blob.bytes; cut += 97)
		assert_int_equal(pn_windows_load(b, blob.data, cut, &err), PN_EVERSION);
	assert_int_equal(pn_windows_load(b, blob.data, blob.bytes, &err), PN_OK);
	put(a, 1, 4);
	put(b, 1, 4);
	char kept[256];
	snprintf(kept, sizeof kept, "%s", complete(a, 1));
	assert_string_equal(complete(b, 1), kept);
	assert_non_null(strstr(kept, "1:3"));
	assert_int_equal(pn_windows_create(&other, 3, NULL), PN_OK);
	assert_int_equal(pn_windows_load(other, blob.data, blob.bytes, &err), PN_EVERSION);
	pn_windows_destroy(other);
	pn_windows_destroy(a);
	pn_windows_destroy(b);
	pn_blob_finish(&blob);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(complete_when_no_more_can_come),
		cmocka_unit_test(frames_at_the_end_of_numbers),
		cmocka_unit_test(asked_again_are_the_same),
		cmocka_unit_test(neighbors_are_laid_over),
		cmocka_unit_test(repeated_frames_are_no_neighbors),
		cmocka_unit_test(snr_is_of_the_overlap),
		cmocka_unit_test(bad_crops_change_nothing),
		cmocka_unit_test(old_crops_go),
		cmocka_unit_test(saved_ones_go_on),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
