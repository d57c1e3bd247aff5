/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables quote what RFC 4180 says must be quoted, and their numbers read back the same. */
#include "perrin/format/csv.h"

#include "perrin/base/rng.h"
#include "testkit.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void cells_are_quoted_where_needed(void **state)
{
	(void)state;
	const char *path = testkit_path(testkit_tempdir(), "table.csv");
	static const char *const names[] = { "frame", "x_pm", "a, \"b\"", "text" };
	struct pn_error err;
	struct pn_csv *csv;
	size_t size;

	assert_int_equal(pn_csv_create(&csv, path, names, 4, &err), PN_OK);
	pn_csv_u64(csv, UINT64_MAX);
	pn_csv_f64(csv, 0.1);
	pn_csv_i64(csv, INT64_MIN);
	pn_csv_text(csv, "plain text; 'fine'");
	assert_int_equal(pn_csv_end_row(csv, &err), PN_OK);
	pn_csv_empty(csv);
	pn_csv_f32(csv, 0.1f);
	pn_csv_text(csv, "");
	pn_csv_text(csv, "two\nlines \"quoted\"");
	assert_int_equal(pn_csv_end_row(csv, &err), PN_OK);
	pn_csv_f64(csv, -(double)NAN);
	pn_csv_f64(csv, INFINITY);
	pn_csv_f32(csv, -INFINITY);
	pn_csv_text(csv, NULL);
	assert_int_equal(pn_csv_end_row(csv, &err), PN_OK);
	pn_csv_f64(csv, -0.0);
	pn_csv_f64(csv, 1e22);
	pn_csv_f64(csv, 5e-324);
	pn_csv_f32(csv, 16777216);
	assert_int_equal(pn_csv_end_row(csv, &err), PN_OK);
	assert_int_equal(pn_csv_finish(csv, &err), PN_OK);
	char *text = testkit_read(path, &size);
	assert_string_equal(text,
			    "frame,x_pm,\"a, \"\"b\"\"\",text\n"
			    "18446744073709551615,0.1,-9223372036854775808,plain text; 'fine'\n"
			    ",0.1,\"\",\"two\nlines \"\"quoted\"\"\"\n"
			    "nan,inf,-inf,\n"
			    "-0,1e+22,5e-324,16777216\n");
	free(text);
}

static void numbers_read_back_the_same(void **state)
{
	(void)state;
	const char *path = testkit_path(testkit_tempdir(), "numbers.csv");
	static const char *const names[] = { "f64", "f32" };
	enum { ROWS = 20000 };
	struct pn_error err;
	struct pn_csv *csv;
	struct pn_rng rng;
	double *f64 = malloc(ROWS * sizeof *f64);
	float *f32 = malloc(ROWS * sizeof *f32);
	size_t size;

	assert_non_null(f64);
	assert_non_null(f32);
	pn_rng_init(&rng, 4, 2);
	assert_int_equal(pn_csv_create(&csv, path, names, 2, &err), PN_OK);
	for (int i = 0; i < ROWS; i++) {
		uint32_t words[2];

		do { /* any bits that are a finite number */
			words[0] = pn_rng_u32(&rng);
			words[1] = pn_rng_u32(&rng);
			memcpy(&f64[i], words, sizeof f64[i]);
			memcpy(&f32[i], words, sizeof f32[i]);
		} while (!isfinite(f64[i]) || !isfinite(f32[i]));
		pn_csv_f64(csv, f64[i]);
		pn_csv_f32(csv, f32[i]);
		assert_int_equal(pn_csv_end_row(csv, &err), PN_OK);
	}
	assert_int_equal(pn_csv_finish(csv, &err), PN_OK);
	char *text = testkit_read(path, &size), *p = strchr(text, '\n');
	for (int i = 0; i < ROWS; i++) {
		assert_true(strtod(p + 1, &p) == f64[i]);
		assert_true(strtof(p + 1, &p) == f32[i]);
	}
	assert_string_equal(p, "\n");
	free(text);
	free(f64);
	free(f32);
}

static void rows_have_all_their_cells(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir(), *path = testkit_path(dir, "rows.csv");
	static const char *const names[] = { "a", "b" };
	struct pn_error err;
	struct pn_csv *csv;

	assert_int_equal(pn_csv_create(&csv, path, names, 0, &err), PN_EARG);
	assert_null(csv);
	for (int cells = 0; cells < 4; cells++) {
		assert_int_equal(pn_csv_create(&csv, path, names, 2, &err), PN_OK);
		for (int i = 0; i < cells; i++)
			pn_csv_i64(csv, i);
		assert_int_equal(pn_csv_end_row(csv, &err), cells == 2 ? PN_OK : PN_EARG);
		if (cells != 2)
			assert_non_null(strstr(err.text, "line 2 has"));
		assert_int_equal(pn_csv_finish(csv, &err), cells == 2 ? PN_OK : PN_EARG);
	}
	assert_int_equal(pn_csv_create(&csv, path, names, 2, &err), PN_OK);
	pn_csv_i64(csv, 1);
	assert_int_equal(pn_csv_finish(csv, &err), PN_EARG);
	assert_int_equal(pn_csv_create(&csv, testkit_path(dir, "no/such"), names, 2, &err),
			 PN_ENOENT);
	pn_csv_abandon(NULL);
}

static void full_disk_is_told(void **state)
{
	(void)state;
	static const char *const names[] = { "a" };
	struct pn_error err;
	struct pn_csv *csv;

	/* the buffer hides it until the end, unless there is more than it holds */
	assert_int_equal(pn_csv_create(&csv, "/dev/full", names, 1, &err), PN_OK);
	pn_csv_i64(csv, 1);
	assert_int_equal(pn_csv_end_row(csv, &err), PN_OK);
	assert_int_equal(pn_csv_finish(csv, &err), PN_ENOSPC);
	assert_int_equal(pn_csv_create(&csv, "/dev/full", names, 1, &err), PN_OK);
	int status = PN_OK;
	for (int i = 0; i < 100000 && status == PN_OK; i++) {
		pn_csv_i64(csv, i);
		status = pn_csv_end_row(csv, &err);
	}
	assert_int_equal(status, PN_ENOSPC);
	assert_int_equal(pn_csv_finish(csv, &err), PN_ENOSPC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cells_are_quoted_where_needed),
		cmocka_unit_test(numbers_read_back_the_same),
		cmocka_unit_test(rows_have_all_their_cells),
		cmocka_unit_test(full_disk_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
