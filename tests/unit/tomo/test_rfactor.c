/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/rfactor.h"
#include "testkit.h"

#include <math.h>

static void they_are_their_definitions(void **state)
{
	const float measured[4] = { 1, -2, 3, 0 }, calculated[4] = { 2, -2, 1, 2 };
	const float nothing[4] = { 0 };
	double r1, r2;

	(void)state;
	pn_rfactor(&r1, &r2, calculated, measured, 4);
	assert_true(fabs(r1 - 5.0 / 6) < 1e-15);
	assert_true(fabs(r2 - sqrt(9.0 / 14)) < 1e-15);
	pn_rfactor(&r1, &r2, calculated, nothing, 4);
	assert_true(isnan(r1) && isnan(r2));
}

static void records_are_kept_in_order(void **state)
{
	const double r1[2][3] = { { 0.1, 0.2, 0.6 }, { 0.3, 0.3, 0 } },
		     r2[2][3] = { { 1, 2, 3 }, { 0, 0, 3 } };
	struct pn_rfactors r;

	(void)state;
	assert_int_equal(pn_rfactors_init(&r, 2, 3, NULL), PN_OK);
	assert_int_equal(r.records, 0);
	assert_true(fabs(pn_rfactors_add(&r, 10, r1[0], r2[0]) - 0.3) < 1e-15);
	assert_true(fabs(pn_rfactors_add(&r, 20, r1[1], r2[1]) - 0.2) < 1e-15);
	assert_int_equal(r.records, 2);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(r.iteration[i], 10 * (i + 1));
		for (int k = 0; k < 3; k++) {
			assert_true(r.r1[i * 3 + k] == r1[i][k]);
			assert_true(r.r2[i * 3 + k] == r2[i][k]);
		}
	}
	assert_true(fabs(r.r2_mean[0] - 2) < 1e-15 && fabs(r.r2_mean[1] - 1) < 1e-15);
	pn_rfactors_free(&r);
	assert_null(r.r1);
	pn_rfactors_free(&r);
	pn_rfactors_free(NULL);
}

static void none_is_fine(void **state)
{
	struct pn_rfactors r;

	(void)state;
	assert_int_equal(pn_rfactors_init(&r, 0, 3, NULL), PN_OK);
	assert_int_equal(r.room, 0);
	pn_rfactors_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(they_are_their_definitions),
		cmocka_unit_test(records_are_kept_in_order),
		cmocka_unit_test(none_is_fine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
