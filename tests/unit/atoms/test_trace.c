/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Atoms of volumes that are known: all found, none made up, places to picometres, any threads. */
#include "perrin/atoms/trace.h"

#include "trace_kit.h"

#include <stdio.h>

static struct pn_trace trace_of(const struct known *k, const struct pn_trace_options *options,
				int threads)
{
	struct pn_error err = { 0 };
	struct pn_trace trace;
	int rc = pn_trace_atoms(&trace, k->volume, k->n[2], k->n[1], k->n[0], k->pixel_A, options,
				threads, &err);

	if (rc != PN_OK)
		print_message("%s\n", err.text);
	assert_int_equal(rc, PN_OK);
	for (size_t i = 1; i < trace.count; i++)
		assert_true(trace.atom[i].height <= trace.atom[i - 1].height);
	assert_int_equal(trace.maxima, trace.outside + trace.not_fitted + trace.too_near +
					       trace.too_weak + trace.count);
	return trace;
}

static struct found compare(const struct known *k, const struct pn_trace *trace, double tolerance_A)
{
	struct found f = known_compare(k, trace->count ? trace->atom[0].position_A : NULL,
				       sizeof *trace->atom, trace->count, tolerance_A);

	print_message("%zu of %zu atoms, %zu false, rms %.3f pm, largest %.3f pm\n", f.matched,
		      k->count, f.false_atoms, f.rms_pm, f.largest_pm);
	return f;
}

/* One Gaussian alone: place, height, width and sum are closed forms. The spline through 3 voxels
 * per sigma is off by 1e-4 of the height at most, and by symmetry by less in place. */
static void one_atom_is_exact(void **state)
{
	(void)state;
	for (int fit = 0; fit < 2; fit++) {
		struct known k = known_scatter(41, 33, 37, 0.35, 1, 0, 12, 7);
		struct pn_trace_options o;

		k.height[0] = 250;
		known_draw(&k, 0.7, 0.7, 0.7);
		pn_trace_options_default(&o);
		o.smooth_A = 0;
		o.fit = (enum pn_trace_fit)fit;
		struct pn_trace t = trace_of(&k, &o, 1);
		struct found f = compare(&k, &t, 0.5);
		const struct pn_traced_atom *a = t.atom;
		double volume_px = pow(2 * M_PI, 1.5) * 8,
		       box_part = pow(erf(3.5 / 2 / M_SQRT2), 3);

		assert_int_equal(t.count, 1);
		assert_true(f.largest_pm < (fit ? 0.001 : 0.1));
		kit_near(a->height / 250, 1, fit ? 1e-6 : 2e-3);
		kit_near(a->width_A / 0.7, 1, fit ? 1e-6 : 0.02);
		/* the box cuts voxels, whose content is not even */
		kit_near(a->intensity / (250 * volume_px * box_part), 1, 0.02);
		assert_true(a->residual < (fit ? 1e-6 : 2e-3));
		assert_int_equal(a->box_px != 0, fit);
		assert_int_equal(a->at_border, 0);
		assert_true(a->confidence == 1);
		pn_trace_free(&t);
		known_free(&k);
	}
}

/* Two species at random, 2.2 A apart at least: what neighbours pull is all the error there is. */
static void clean_map_gives_every_atom(void **state)
{
	(void)state;
	for (int fit = 0; fit < 2; fit++) {
		struct known k = known_scatter(72, 64, 68, 0.35, 300, 2.25, 5, 11);
		struct pn_trace_options o;

		for (size_t i = 0; i < k.count; i += 2)
			k.height[i] = 0.3;
		known_draw(&k, 0.5, 0.5, 0.5);
		pn_trace_options_default(&o);
		o.fit = (enum pn_trace_fit)fit;
		struct pn_trace t = trace_of(&k, &o, 2);
		struct found f = compare(&k, &t, 0.5);

		assert_int_equal(f.matched, k.count);
		assert_int_equal(f.false_atoms + f.twice, 0);
		assert_true(f.rms_pm < 1);
		assert_true(t.strength_min == -INFINITY);
		pn_trace_free(&t);
		known_free(&k);
	}
}

/* The limit of any unbiased estimate of a place, from the Fisher information of a Gaussian in white
 * noise: var(x) = 2 s^2 / (h^2 pi^(3/2) w) voxels^2, w in voxels. Under a Gaussian as wide as the
 * atom, the matched filter, the polynomial comes near to it; alone, it sees but a few voxels. */
static void noise_costs_what_it_must(void **state)
{
	static const struct {
		enum pn_trace_fit fit;
		double smooth_A, worse;
	} ways[] = {
		{ PN_TRACE_POLYNOMIAL, 0.6, 1.3 },
		{ PN_TRACE_POLYNOMIAL, 0.35, 2 },
		{ PN_TRACE_GAUSSIAN, 0, 6 },
		{ PN_TRACE_POLYNOMIAL, 0, 10 },
	};
	double sigma = 0.05, w = 0.6 / 0.35;
	double limit_pm = 35 * sqrt(3 * 2 * sigma * sigma / (pow(M_PI, 1.5) * w));
	struct known k = known_scatter(80, 80, 80, 0.35, 250, 2.6, 5, 12);
	struct pn_trace_options o;

	(void)state;
	known_draw(&k, 0.6, 0.6, 0.6);
	known_noise(&k, sigma, 13);
	for (size_t i = 0; i < PN_COUNT(ways); i++) {
		pn_trace_options_default(&o);
		o.fit = ways[i].fit;
		o.smooth_A = ways[i].smooth_A;
		struct pn_trace t = trace_of(&k, &o, 2);
		struct found f = compare(&k, &t, 0.5);

		print_message("limit %.2f pm\n", limit_pm);
		assert_int_equal(f.matched, k.count);
		assert_int_equal(f.false_atoms + f.twice, 0);
		assert_true(f.rms_pm > 0.9 * limit_pm && f.rms_pm < ways[i].worse * limit_pm);
		assert_true(t.too_weak > 100);
		pn_trace_free(&t);
	}
	known_free(&k);
}

/* Light atoms of a quarter of the height, between them and the heavy ones more than between them
 * and the noise; nobody says how many species there are, or they do. */
static void light_species_are_no_noise(void **state)
{
	(void)state;
	for (int species = 0; species <= 2; species += 2) {
		struct known k = known_scatter(80, 80, 80, 0.35, 250, 2.5, 5, 14);
		struct pn_trace_options o;

		for (size_t i = 0; i < k.count; i += 2)
			k.height[i] = 0.25;
		known_draw(&k, 0.6, 0.6, 0.6);
		known_noise(&k, 0.03, 15);
		pn_trace_options_default(&o);
		o.species = species;
		struct pn_trace t = trace_of(&k, &o, 2);
		struct found f = compare(&k, &t, 0.7);

		assert_true(t.strength_min > 0);
		assert_true(f.matched + 2 >= k.count);
		assert_true(f.false_atoms <= 2);
		pn_trace_free(&t);
		known_free(&k);
	}
}

/* Smoothing first: noise that hides atoms from the polynomial, which sees few voxels. */
static void smoothing_helps_in_noise(void **state)
{
	struct known k = known_scatter(64, 64, 64, 0.35, 120, 2.6, 5, 16);
	struct pn_trace_options o;

	(void)state;
	known_draw(&k, 0.6, 0.6, 0.6);
	known_noise(&k, 0.25, 17);
	pn_trace_options_default(&o);
	o.smooth_A = 0;
	struct pn_trace plain = trace_of(&k, &o, 2);
	struct found f = compare(&k, &plain, 0.8);

	o.smooth_A = 0.4;
	struct pn_trace smooth = trace_of(&k, &o, 2);
	struct found g = compare(&k, &smooth, 0.8);

	assert_true(g.matched >= k.count - 3 && g.false_atoms <= 3);
	assert_true(g.rms_pm < 0.8 * f.rms_pm);
	pn_trace_free(&plain);
	pn_trace_free(&smooth);
	known_free(&k);
}

/* Confidence is a probability: of the atoms said to be so with p, so many are. */
static void confidence_is_a_probability(void **state)
{
	double sum = 0, right = 0;
	size_t doubtful = 0;

	(void)state;
	for (uint64_t seed = 20; seed < 24; seed++) {
		struct known k = known_scatter(72, 72, 72, 0.35, 200, 2.6, 5, seed);
		struct pn_trace_options o;

		for (size_t i = 0; i < k.count; i++)
			k.height[i] = 0.35 + 0.65 * (double)i / (double)k.count;
		known_draw(&k, 0.6, 0.6, 0.6);
		known_noise(&k, 0.35, seed);
		pn_trace_options_default(&o);
		o.confidence_min = 0.1;
		o.smooth_A = 0.35;
		struct pn_trace t = trace_of(&k, &o, 2);

		for (size_t i = 0; i < t.count; i++) {
			struct found f = known_compare(&k, t.atom[i].position_A, 0, 1, 0.9);

			assert_true(t.atom[i].confidence >= 0.1 && t.atom[i].confidence <= 1);
			sum += t.atom[i].confidence;
			right += (double)f.matched;
			doubtful += t.atom[i].confidence < 0.9;
		}
		pn_trace_free(&t);
		known_free(&k);
	}
	print_message("said %.1f, right %.0f, %zu of them in doubt\n", sum, right, doubtful);
	assert_true(doubtful > 20);
	assert_true(fabs(sum / right - 1) < 0.1);
}

/* The missing wedge draws atoms out along z; the widths of the Gaussian follow. */
static void elongated_atoms(void **state)
{
	struct known k = known_scatter(72, 72, 80, 0.35, 160, 3.1, 6, 18);
	struct pn_trace_options o;

	(void)state;
	known_draw(&k, 0.5, 0.5, 0.75);
	pn_trace_options_default(&o);
	o.fit = PN_TRACE_GAUSSIAN;
	struct pn_trace t = trace_of(&k, &o, 2);
	struct found f = compare(&k, &t, 0.5);

	assert_int_equal(f.matched, k.count);
	assert_int_equal(f.false_atoms, 0);
	assert_true(f.rms_pm < 2);
	kit_near(t.atom[t.count / 2].width_A / cbrt(0.5 * 0.5 * 0.75), 1, 0.02);
	pn_trace_free(&t);
	known_free(&k);
}

/* A faint atom on the flank of a strong one is no local maximum: the second pass sees it. */
static void second_pass_finds_shoulders(void **state)
{
	struct known k = known_scatter(96, 96, 96, 0.35, 40, 6, 12, 19);
	size_t pairs = k.count;
	struct pn_trace_options o;

	(void)state;
	/* half of them bear a shoulder, half are as faint as the shoulders and alone */
	k.at = realloc(k.at, 2 * pairs * sizeof *k.at);
	k.height = realloc(k.height, 2 * pairs * sizeof *k.height);
	assert_true(k.at && k.height);
	for (size_t i = 0; i < pairs / 2; i++) {
		memcpy(k.at[pairs + i], k.at[i], sizeof k.at[i]);
		k.at[pairs + i][i % 3] += 2.3 / 0.35;
		k.height[pairs + i] = k.height[pairs / 2 + i] = 0.2;
	}
	k.count = pairs + pairs / 2;
	known_draw(&k, 0.95, 0.95, 0.95);
	pn_trace_options_default(&o);
	o.smooth_A = 0;
	o.passes = 1;
	struct pn_trace once = trace_of(&k, &o, 1);
	struct found f = compare(&k, &once, 0.8);

	o.passes = 2;
	struct pn_trace twice = trace_of(&k, &o, 1);
	struct found g = compare(&k, &twice, 0.8);

	assert_int_equal(f.matched, pairs);
	assert_int_equal(g.matched, k.count);
	assert_int_equal(g.false_atoms, 0);
	assert_int_equal(twice.second, g.matched - f.matched);
	pn_trace_free(&once);
	pn_trace_free(&twice);
	known_free(&k);
}

/* Atoms cut by the border: found as long as they are not in its very layer; their sum is marked. */
static void border(void **state)
{
	struct known k = known_scatter(40, 40, 40, 0.35, 1, 0, 15, 20);
	static const double near_border[3] = { 1.3, 20.2, 37.6 };

	(void)state;
	memcpy(k.at[0], near_border, sizeof near_border);
	known_draw(&k, 0.6, 0.6, 0.6);
	for (int fit = 0; fit < 2; fit++) {
		struct pn_trace_options o;

		pn_trace_options_default(&o);
		o.fit = (enum pn_trace_fit)fit;
		o.smooth_A = 0;
		struct pn_trace t = trace_of(&k, &o, 1);
		struct found f = compare(&k, &t, 0.3);

		assert_int_equal(t.count, 1);
		assert_int_equal(f.matched, 1);
		assert_int_equal(t.atom[0].at_border, 1);
		assert_true(f.largest_pm < (fit ? 0.1 : 10));
		pn_trace_free(&t);
	}
	known_free(&k);
}

static void support_and_distance(void **state)
{
	struct known k = known_scatter(60, 60, 60, 0.35, 80, 2.6, 5, 21);
	uint8_t *support = calloc(60 * 60 * 60, 1);
	struct pn_trace_options o;
	size_t inside = 0;

	(void)state;
	assert_non_null(support);
	known_draw(&k, 0.5, 0.5, 0.5);
	for (size_t i = 0; i < (size_t)60 * 60 * 60; i++)
		support[i] = i % 60 < 30;
	for (size_t i = 0; i < k.count; i++)
		inside += lround(k.at[i][0]) < 30;
	pn_trace_options_default(&o);
	o.support = support;
	struct pn_trace t = trace_of(&k, &o, 1);

	assert_true(llabs((long long)t.count - (long long)inside) <= 1);
	assert_true(t.outside >= k.count - inside - 1);
	pn_trace_free(&t);
	o.support = NULL;
	o.distance_min_A = 4;
	t = trace_of(&k, &o, 1);
	assert_true(t.count < k.count && t.too_near > 0);
	for (size_t i = 0; i < t.count; i++)
		for (size_t j = 0; j < i; j++) {
			double r2 = 0;

			for (int a = 0; a < 3; a++) {
				double d = t.atom[i].position_A[a] - t.atom[j].position_A[a];

				r2 += d * d;
			}
			assert_true(r2 >= 16 - 1e-9);
		}
	pn_trace_free(&t);
	o.distance_min_A = 2.2;
	o.strength_min = 1e9;
	t = trace_of(&k, &o, 1);
	assert_int_equal(t.count, 0);
	assert_true(t.strength_min == 1e9);
	pn_trace_free(&t);
	free(support);
	known_free(&k);
}

static void threads_change_no_byte(void **state)
{
	struct known k = known_scatter(64, 60, 56, 0.35, 150, 2.4, 3, 22);

	(void)state;
	known_draw(&k, 0.6, 0.6, 0.7);
	known_noise(&k, 0.15, 23);
	for (int fit = 0; fit < 2; fit++) {
		struct pn_trace_options o;

		pn_trace_options_default(&o);
		o.fit = (enum pn_trace_fit)fit;
		o.smooth_A = fit ? 0.3 : 0;
		struct pn_trace one = trace_of(&k, &o, 1), two = trace_of(&k, &o, 2);

		assert_int_equal(one.count, two.count);
		assert_true(one.count > 100);
		for (size_t i = 0; i < one.count; i++)
			assert_memory_equal(&one.atom[i], &two.atom[i], sizeof *one.atom);
		pn_trace_free(&one);
		pn_trace_free(&two);
	}
	known_free(&k);
}

/* Flat, empty, tiny volumes hold no atoms, which is no error; NaN and nonsense are refused. */
static void nothing_and_nonsense(void **state)
{
	static const size_t shapes[][3] = { { 1, 1, 1 }, { 2, 2, 2 },   { 3, 3, 3 },
					    { 5, 5, 5 }, { 1, 40, 40 }, { 4, 3, 50 } };
	struct pn_error err = { 0 };
	struct pn_trace t;

	(void)state;
	for (size_t s = 0; s < PN_COUNT(shapes); s++)
		for (int fit = 0; fit < 2; fit++)
			for (int value = 0; value < 2; value++) {
				const size_t *n = shapes[s];
				struct known k = known_scatter(n[0], n[1], n[2], 0.35, 0, 0, 0, 1);
				struct pn_trace_options o;

				pn_trace_options_default(&o);
				o.fit = (enum pn_trace_fit)fit;
				for (size_t i = 0; i < n[0] * n[1] * n[2]; i++)
					k.volume[i] = (float)value;
				t = trace_of(&k, &o, 2);
				assert_int_equal(t.count, 0);
				pn_trace_free(&t);
				known_free(&k);
			}
	/* an atom that fills the smallest box there is */
	struct known k = known_scatter(3, 3, 3, 0.35, 1, 0, 0.9, 1);

	known_draw(&k, 0.35, 0.35, 0.35);
	t = trace_of(&k, NULL, 1);
	assert_true(t.count <= 1);
	pn_trace_free(&t);
	k.volume[14] = NAN;
	assert_int_equal(pn_trace_atoms(&t, k.volume, 3, 3, 3, 0.35, NULL, 2, &err), PN_EARG);
	assert_non_null(strstr(err.text, "z 1, y 1, x 2"));
	k.volume[14] = INFINITY;
	assert_int_equal(pn_trace_atoms(&t, k.volume, 3, 3, 3, 0.35, NULL, 1, &err), PN_EARG);
	k.volume[14] = 0;
	assert_int_equal(pn_trace_atoms(&t, k.volume, 3, 3, 0, 0.35, NULL, 1, &err), PN_EARG);
	assert_int_equal(pn_trace_atoms(&t, k.volume, 5000, 1, 1, 0.35, NULL, 1, &err), PN_EARG);
	assert_int_equal(pn_trace_atoms(&t, k.volume, 3, 3, 3, 0, NULL, 1, &err), PN_EARG);
	assert_int_equal(pn_trace_atoms(&t, k.volume, 3, 3, 3, NAN, NULL, 1, &err), PN_EARG);
	assert_int_equal(pn_trace_atoms(&t, k.volume, 3, 3, 3, 0.35, NULL, 0, &err), PN_EARG);
	struct pn_trace_options bad[6];

	for (size_t i = 0; i < PN_COUNT(bad); i++)
		pn_trace_options_default(&bad[i]);
	bad[0].passes = 3;
	bad[1].species = -1;
	bad[2].distance_min_A = NAN;
	bad[3].smooth_A = -1;
	bad[4].confidence_min = 1;
	bad[5].fit = (enum pn_trace_fit)2;
	for (size_t i = 0; i < PN_COUNT(bad); i++)
		assert_int_equal(pn_trace_atoms(&t, k.volume, 3, 3, 3, 0.35, &bad[i], 1, &err),
				 PN_EARG);
	known_free(&k);
}

/* At voxels the spline gives back the voxels; between them, a Gaussian to its interpolation error.
 */
static void boxes_are_the_volume(void **state)
{
	struct known k = known_scatter(40, 36, 32, 0.35, 1, 0, 12, 24);
	float box[125];
	double at[3], off[3];
	struct pn_error err = { 0 };

	(void)state;
	known_draw(&k, 0.7, 0.7, 0.7);
	for (int a = 0; a < 3; a++)
		at[a] = (lround(k.at[0][a]) - (double)(k.n[a] / 2)) * k.pixel_A;
	assert_int_equal(pn_trace_boxes(box, (const double(*)[3])at, 1, 5, k.volume, 32, 36, 40,
					0.35, 1, &err),
			 PN_OK);
	for (int i = 0; i < 125; i++) {
		size_t x = (size_t)lround(k.at[0][0]) + (size_t)(i % 5) - 2;
		size_t y = (size_t)lround(k.at[0][1]) + (size_t)(i / 5 % 5) - 2;
		size_t z = (size_t)lround(k.at[0][2]) + (size_t)(i / 25) - 2;

		assert_true(fabsf(box[i] - k.volume[(z * 36 + y) * 40 + x]) < 2e-6f);
	}
	for (int a = 0; a < 3; a++)
		off[a] = (k.at[0][a] - (double)(k.n[a] / 2)) * k.pixel_A;
	assert_int_equal(pn_trace_boxes(box, (const double(*)[3])off, 1, 5, k.volume, 32, 36, 40,
					0.35, 1, &err),
			 PN_OK);
	for (int i = 0; i < 125; i++) {
		int x = i % 5 - 2, y = i / 5 % 5 - 2, z = i / 25 - 2;

		assert_true(fabs(box[i] - exp(-(x * x + y * y + z * z) / 8.0)) < 3e-3);
	}
	off[0] = 100;
	assert_int_equal(pn_trace_boxes(box, (const double(*)[3])off, 1, 5, k.volume, 32, 36, 40,
					0.35, 1, &err),
			 PN_EARG);
	assert_int_equal(pn_trace_boxes(box, (const double(*)[3])at, 1, 4, k.volume, 32, 36, 40,
					0.35, 1, &err),
			 PN_EARG);
	known_free(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_atom_is_exact),
		cmocka_unit_test(clean_map_gives_every_atom),
		cmocka_unit_test(noise_costs_what_it_must),
		cmocka_unit_test(light_species_are_no_noise),
		cmocka_unit_test(smoothing_helps_in_noise),
		cmocka_unit_test(confidence_is_a_probability),
		cmocka_unit_test(elongated_atoms),
		cmocka_unit_test(second_pass_finds_shoulders),
		cmocka_unit_test(border),
		cmocka_unit_test(support_and_distance),
		cmocka_unit_test(threads_change_no_byte),
		cmocka_unit_test(nothing_and_nonsense),
		cmocka_unit_test(boxes_are_the_volume),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
