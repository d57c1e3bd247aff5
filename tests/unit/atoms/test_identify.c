/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Elements by brightness: the right ones, and words that are none are told. */
#include "perrin/atoms/identify.h"

#include "perrin/base/rng.h"
#include "testkit.h"

#include <math.h>
#include <string.h>

/* A cube of atoms, every fourth one bright; the left half of all a little fainter. */
static void make(struct pn_traced_atom *atom, int n, double spread)
{
	struct pn_rng rng;

	pn_rng_init(&rng, 4, 0);
	for (int i = 0; i < n * n * n; i++) {
		int x = i % n, y = i / n % n, z = i / n / n;

		memset(&atom[i], 0, sizeof atom[i]);
		atom[i].position_A[0] = 2.7 * x;
		atom[i].position_A[1] = 2.7 * y;
		atom[i].position_A[2] = 2.7 * z;
		atom[i].intensity = ((i * 7 % 4 == 0 ? 1.5 : 1.0) + spread * pn_rng_gauss(&rng)) *
				    (x < n / 2 ? 0.76 : 1.0);
	}
}

static size_t right(const struct pn_identity *identity, uint8_t faint, uint8_t bright)
{
	size_t count = 0;

	for (size_t i = 0; i < identity->count; i++)
		count += identity->element[i] == (i * 7 % 4 == 0 ? bright : faint);
	return count;
}

static void test_elements(void **state)
{
	enum { SIDE = 8, ATOMS = SIDE * SIDE * SIDE };
	static struct pn_traced_atom atom[ATOMS];
	struct pn_trace trace = { .count = ATOMS, .atom = atom };
	struct pn_identity identity, local, one;
	const uint8_t elements[] = { 46, 78 };
	struct pn_error err = { 0 };

	(void)state;
	make(atom, SIDE, 0.07);
	assert_int_equal(pn_identify(&identity, &trace, elements, 2, 0, 1, &err), PN_OK);
	assert_int_equal(pn_identify(&local, &trace, elements, 2, 6.75, 2, &err), PN_OK);
	/* k-means alone takes bright atoms of the faint half for the lighter element */
	assert_true(right(&identity, 46, 78) < ATOMS - ATOMS / 20);
	/* what is left stands at the step of brightness */
	assert_true(right(&local, 46, 78) > ATOMS - ATOMS / 32);
	assert_true(local.rounds > 0);
	assert_int_equal(local.of[0] + local.of[1], ATOMS);
	for (size_t i = 0; i < ATOMS; i++)
		assert_true(local.confidence[i] >= 0.5 && local.confidence[i] <= 1);
	assert_int_equal(pn_identify(&one, &trace, elements + 1, 1, 6.75, 1, &err), PN_OK);
	assert_int_equal(one.of[0], ATOMS);
	assert_int_equal(one.element[17], 78);
	pn_identity_free(&identity);
	pn_identity_free(&local);
	pn_identity_free(&one);
}

static void test_nothing_and_nonsense(void **state)
{
	struct pn_trace none = { 0 };
	struct pn_identity identity;
	const uint8_t falling[] = { 78, 46 };
	struct pn_error err = { 0 };

	(void)state;
	assert_int_equal(pn_identify(&identity, &none, falling + 1, 1, 6.75, 1, &err), PN_OK);
	assert_int_equal(identity.count, 0);
	pn_identity_free(&identity);
	assert_int_equal(pn_identify(&identity, &none, falling, 2, 6.75, 1, &err), PN_EARG);
	assert_int_equal(pn_identify(&identity, &none, falling, 0, 6.75, 1, &err), PN_EARG);
	pn_identity_free(&identity);
}

static void test_words(void **state)
{
	static const struct {
		const char *text, *word;
	} bad[] = { { "", "\"\"" },           { "Pt,", "\"\"" },    { "Pt,Xx", "\"Xx\"" },
		    { "pt", "\"pt\"" },       { "Pt Pd", "Pt Pd" }, { "Pt,Pd,Pt", "Pt twice" },
		    { "Platinum", "Platinu" } };
	uint8_t element[PN_IDENTIFY_ELEMENTS_MAX];
	struct pn_error err = { 0 };
	int count;

	(void)state;
	assert_int_equal(pn_elements_parse(element, &count, "Pt,Ni,Ga", &err), PN_OK);
	assert_int_equal(count, 3);
	assert_int_equal(element[0], 28);
	assert_int_equal(element[1], 31);
	assert_int_equal(element[2], 78);
	for (size_t i = 0; i < PN_COUNT(bad); i++) {
		assert_int_equal(pn_elements_parse(element, &count, bad[i].text, &err), PN_EARG);
		assert_non_null(strstr(err.text, bad[i].word));
	}
	assert_int_equal(pn_elements_parse(element, &count, "H,He,Li,Be,B,C,N,O,F", &err), PN_EARG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_elements),
		cmocka_unit_test(test_nothing_and_nonsense),
		cmocka_unit_test(test_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
