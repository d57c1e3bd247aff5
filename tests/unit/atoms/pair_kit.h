/* SPDX-License-Identifier: GPL-3.0-or-later */
/* pair_kit.h - models to pair, and what holds of every pairing. */
#ifndef PERRIN_TESTS_ATOMS_PAIR_KIT_H
#define PERRIN_TESTS_ATOMS_PAIR_KIT_H

#include "perrin/atoms/pair.h"

#include "kit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static inline struct kit_model empty(size_t count)
{
	struct kit_model m = { malloc((count + 1) * sizeof *m.position_A), malloc(count + 1),
			       count };

	assert_non_null(m.position_A);
	assert_non_null(m.element);
	memset(m.element, 78, count + 1);
	return m;
}

static inline struct kit_model points(const double (*p)[3], size_t count)
{
	struct kit_model m = empty(count);

	if (count)
		memcpy(m.position_A, p, count * sizeof *p);
	return m;
}

static inline struct pn_pairing pair_with(const struct kit_model *before,
					  const struct kit_model *after, double tolerance_A,
					  enum pn_pair_method method, double moved_A, int threads)
{
	struct pn_pair_options options = { .method = method, .moved_A = moved_A };
	struct pn_atoms a = kit_view(before), b = kit_view(after);
	struct pn_pairing p;
	struct pn_error err = { 0 };

	if (pn_pair_build(&p, &a, &b, tolerance_A, &options, threads, &err))
		fail_msg("%s", err.text);
	return p;
}

static inline struct pn_pairing pair_of(const struct kit_model *before,
					const struct kit_model *after, double tolerance_A,
					enum pn_pair_method method)
{
	return pair_with(before, after, tolerance_A, method, 0, 1);
}

static inline double distance(const double a[3], const double b[3])
{
	return sqrt((a[0] - b[0]) * (a[0] - b[0]) + (a[1] - b[1]) * (a[1] - b[1]) +
		    (a[2] - b[2]) * (a[2] - b[2]));
}

/* What holds of any result: one to one, within reach, fates and counts fit, nothing forgotten. */
static inline void consistent(const struct pn_pairing *p, const struct kit_model *before,
			      const struct kit_model *after)
{
	size_t fates[PN_FATES] = { 0 };

	for (size_t i = 0; i < p->before; i++) {
		uint32_t j = p->after_of_before[i];

		fates[p->fate_before[i]]++;
		assert_int_equal(p->fate_before[i] == PN_FATE_DISAPPEARED, j == PN_PAIR_NONE);
		assert_int_equal(isnan(p->distance_A[i]), j == PN_PAIR_NONE);
		if (j == PN_PAIR_NONE)
			continue;
		assert_int_equal(p->before_of_after[j], i);
		assert_int_equal(p->fate_after[j], p->fate_before[i]);
		kit_near(p->distance_A[i], distance(before->position_A[i], after->position_A[j]),
			 0);
		for (int k = 0; k < 3; k++)
			kit_near(p->displacement_A[i][k],
				 after->position_A[j][k] - before->position_A[i][k], 0);
		assert_int_equal(p->distance_A[i] >= p->tolerance_A,
				 p->fate_before[i] == PN_FATE_MOVED);
		if (p->fate_before[i] != PN_FATE_MOVED)
			assert_int_equal(before->element[i] == after->element[j],
					 p->fate_before[i] == PN_FATE_CONSISTENT);
	}
	for (size_t j = 0; j < p->after; j++) {
		if (p->before_of_after[j] != PN_PAIR_NONE)
			continue;
		assert_int_equal(p->fate_after[j], PN_FATE_NEW);
		fates[PN_FATE_NEW]++;
		for (size_t i = 0; i < p->before; i++)
			if (p->after_of_before[i] == PN_PAIR_NONE)
				assert_true(distance(before->position_A[i], after->position_A[j]) >=
					    p->tolerance_A);
	}
	assert_memory_equal(fates, p->fates, sizeof fates);
}

static inline struct kit_model cloud(size_t count, double edge_A, uint64_t seed)
{
	struct kit_model m = empty(count);
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 4);
	for (size_t i = 0; i < count; i++) {
		for (int k = 0; k < 3; k++)
			m.position_A[i][k] = edge_A * pn_rng_uniform(&rng);
		m.element[i] = pn_rng_below(&rng, 2) ? 46 : 78;
	}
	return m;
}

#endif
