/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/element.h"
#include "testkit.h"

#include <math.h>

static void symbols_and_numbers_agree(void **state)
{
	(void)state;
	assert_int_equal(pn_element_of_symbol("H"), 1);
	assert_int_equal(pn_element_of_symbol("C"), 6);
	assert_int_equal(pn_element_of_symbol("Pt"), 78);
	assert_int_equal(pn_element_of_symbol("Lr"), 103);
	assert_int_equal(pn_element_of_symbol("pt"), 0);
	assert_int_equal(pn_element_of_symbol("Ptx"), 0);
	assert_int_equal(pn_element_of_symbol(""), 0);
	assert_int_equal(pn_element_of_symbol(NULL), 0);
	assert_null(pn_element_symbol(0));
	assert_null(pn_element_symbol(-1));
	assert_null(pn_element_symbol(104));
	for (int z = 1; z <= PN_ELEMENT_Z_MAX; z++)
		assert_int_equal(pn_element_of_symbol(pn_element_symbol(z)), z);
}

static void lattice_constants(void **state)
{
	(void)state;
	/* nearest-neighbour distance of Pt 2.775 A, of Au 2.884 A (Kittel, Solid State Physics) */
	assert_true(fabs(pn_lattice_constant_A(78) / sqrt(2) - 2.775) < 0.005);
	assert_true(fabs(pn_lattice_constant_A(79) / sqrt(2) - 2.884) < 0.005);
	assert_true(pn_lattice_constant_A(6) == 0);
	assert_true(pn_lattice_constant_A(-5) == 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(symbols_and_numbers_agree),
		cmocka_unit_test(lattice_constants),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
