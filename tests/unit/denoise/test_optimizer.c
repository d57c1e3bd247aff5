/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/rng.h"
#include "perrin/denoise/optimizer.h"
#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* RAdam of one parameter by the steps of algorithm 2, all in double, powers by multiplication. */
struct slow {
	double p, m, v, power1, power2, t;
};

static void slow_step(struct slow *s, double rate, double g)
{
	double beta1 = 0.9, beta2 = 0.999, rho_inf = 2 / (1 - beta2) - 1;

	s->t++;
	s->power1 *= beta1;
	s->power2 *= beta2;
	s->v = beta2 * s->v + (1 - beta2) * g * g;
	s->m = beta1 * s->m + (1 - beta1) * g;
	double m_hat = s->m / (1 - s->power1);
	double rho = rho_inf - 2 * s->t * s->power2 / (1 - s->power2);

	if (rho > 5) {
		double v_hat = sqrt(s->v / (1 - s->power2));
		double r = sqrt((rho - 4) / (rho_inf - 4) * ((rho - 2) / (rho_inf - 2)) *
				(rho_inf / rho));

		s->p -= rate * r * m_hat / (v_hat + 1e-8);
	} else {
		s->p -= rate * m_hat;
	}
}

/* Gradients of many sizes, 300 steps with a changing rate, against the slow one. */
static void steps_are_those_of_the_paper(void **state)
{
	enum { COUNT = 37, STEPS = 300 };
	float p[COUNT], m[COUNT] = { 0 }, v[COUNT] = { 0 }, g[COUNT];
	struct slow slow[COUNT];
	struct pn_radam radam;
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 1, 0);
	pn_radam_init(&radam);
	for (int i = 0; i < COUNT; i++) {
		p[i] = (float)pn_rng_gauss(&rng);
		slow[i] = (struct slow){ .p = p[i], .power1 = 1, .power2 = 1 };
	}
	for (int step = 0; step < STEPS; step++) {
		double rate = 1e-2 / (1 + step % 7);

		for (int i = 0; i < COUNT; i++)
			g[i] = (float)(pow(10, i % 9 - 4) * (0.3 + pn_rng_gauss(&rng)));
		pn_radam_step(&radam, rate, p, m, v, g, COUNT);
		for (int i = 0; i < COUNT; i++) {
			slow_step(&slow[i], rate, g[i]);
			if (fabs(p[i] - slow[i].p) > 2e-5 * (1 + fabs(slow[i].p)))
				fail_msg("step %d parameter %d: %.9g, not %.9g", step, i, p[i],
					 slow[i].p);
		}
	}
	assert_int_equal(radam.step, STEPS);
}

/* A constant gradient: m^ = g and v^ = g^2 in every step, so each is rate g, later rate r sign(g).
 */
static void first_steps_in_closed_form(void **state)
{
	float p[3] = { 0 }, m[3] = { 0 }, v[3] = { 0 };
	const float g[3] = { 3, -0.25f, 0 };
	double before[3] = { 0 }, rate = 0.01;
	struct pn_radam radam;

	(void)state;
	pn_radam_init(&radam);
	assert_true(radam.beta1 == 0.9 && radam.beta2 == 0.999 && radam.epsilon == 1e-8);
	assert_int_equal(radam.step, 0);
	for (int t = 1; t <= 12; t++) {
		double power = pow(0.999, t), rho = 1999 - 2 * t * power / (1 - power);
		double r = sqrt((rho - 4) * (rho - 2) * 1999 / (1995. * 1997 * rho));

		pn_radam_step(&radam, rate, p, m, v, g, 3);
		/* the average is long enough from the sixth step on */
		assert_int_equal(rho > 5, t >= 6);
		for (int i = 0; i < 2; i++) {
			double want = t >= 6 ? rate * r * (g[i] > 0 ? 1 : -1) : rate * g[i];

			assert_true(fabs(before[i] - p[i] - want) < 1e-5 * fabs(want) + 1e-8);
			before[i] = p[i];
		}
		assert_true(p[2] == 0);
	}
}

/* Curvatures 1 : 10000: the adaptive step gets down both axes alike. */
static void a_narrow_valley_is_descended(void **state)
{
	float p[2] = { 1, 1 }, m[2] = { 0 }, v[2] = { 0 };
	struct pn_radam radam;

	(void)state;
	pn_radam_init(&radam);
	for (uint64_t i = 0; i < 2000; i++) {
		float g[2] = { 1e-3f * p[0], 10 * p[1] };

		pn_radam_step(&radam, pn_rate_at(i, 20, 2000, 0.03, 1e-5), p, m, v, g, 2);
	}
	assert_true(fabsf(p[0]) < 0.02f && fabsf(p[1]) < 0.02f);
}

static void bytes_do_not_depend_on_threads(void **state)
{
	enum { COUNT = 40007 };
	float *a[3];
	int most = omp_get_max_threads();

	(void)state;
	for (int threads = 1; threads <= 3; threads++) {
		float *p = calloc(4 * COUNT, sizeof *p), *m = p + COUNT, *v = m + COUNT;
		float *g = v + COUNT;
		struct pn_radam radam;
		struct pn_rng rng;

		assert_non_null(p);
		pn_rng_init(&rng, 5, 0);
		pn_radam_init(&radam);
		omp_set_num_threads(threads);
		for (int step = 0; step < 9; step++) {
			for (int i = 0; i < COUNT; i++)
				g[i] = (float)pn_rng_gauss(&rng);
			pn_radam_step(&radam, 0.1, p, m, v, g, COUNT);
		}
		a[threads - 1] = p;
	}
	omp_set_num_threads(most);
	for (int i = 1; i < 3; i++)
		assert_memory_equal(a[0], a[i], 3 * COUNT * sizeof(float));
	for (int i = 0; i < 3; i++)
		free(a[i]);
}

static void rate_at_its_corners(void **state)
{
	(void)state;
	/* rises linearly, above zero at once, to the rate where the cosine begins */
	assert_true(pn_rate_at(0, 100, 2000, 1e-3, 1e-5) > 0);
	for (uint64_t i = 0; i <= 100; i++)
		assert_true(fabs(pn_rate_at(i, 100, 2000, 1e-3, 1e-5) -
				 1e-3 * (double)(i + 1) / 101) < 1e-15);
	/* half way down at half time; the slope is steepest there, flat at the end */
	assert_true(fabs(pn_rate_at(1050, 100, 2000, 1e-3, 1e-5) - 0.505e-3) < 1e-12);
	for (uint64_t i = 101; i <= 2000; i++)
		assert_true(pn_rate_at(i, 100, 2000, 1e-3, 1e-5) <
			    pn_rate_at(i - 1, 100, 2000, 1e-3, 1e-5));
	assert_true(pn_rate_at(1999, 100, 2000, 1e-3, 1e-5) - 1e-5 < 1e-9);
	assert_true(pn_rate_at(2000, 100, 2000, 1e-3, 1e-5) == 1e-5);
	assert_true(pn_rate_at(UINT64_MAX, 100, 2000, 1e-3, 1e-5) == 1e-5);
	/* no end, no warm-up, a warm-up beyond the end, one step alone */
	assert_true(pn_rate_at(100, 100, 0, 1e-3, 1e-5) == 1e-3);
	assert_true(pn_rate_at(UINT64_MAX, 100, 0, 1e-3, 1e-5) == 1e-3);
	assert_true(pn_rate_at(0, 0, 2000, 1e-3, 1e-5) == 1e-3);
	assert_true(pn_rate_at(0, 0, 0, 1e-3, 1e-5) == 1e-3);
	assert_true(fabs(pn_rate_at(9, 99, 20, 1, 0.5) - 0.1) < 1e-12);
	assert_true(pn_rate_at(20, 99, 20, 1, 0.5) == 0.5);
	assert_true(pn_rate_at(0, 0, 1, 1e-3, 1e-5) == 1e-3);
	assert_true(pn_rate_at(1, 0, 1, 1e-3, 1e-5) == 1e-5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(steps_are_those_of_the_paper),
		cmocka_unit_test(first_steps_in_closed_form),
		cmocka_unit_test(a_narrow_valley_is_descended),
		cmocka_unit_test(bytes_do_not_depend_on_threads),
		cmocka_unit_test(rate_at_its_corners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
