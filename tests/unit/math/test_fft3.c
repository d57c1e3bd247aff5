/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Boxes in grids of zeros: the sum they stand for, the adjoint, bytes whatever the threads. */
#include "perrin/math/fft3.h"

#include "perrin/base/rng.h"
#include "perrin/math/fft.h"
#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

struct sizes {
	size_t n[3], b[3]; /* grid and box, z y x */
};

/* odd and even, prime, 1-thick, boxes of all kinds; the widths leave a part of a tile over */
static const struct sizes sizes[] = {
	{ { 6, 5, 7 }, { 3, 5, 4 } },  { { 8, 6, 10 }, { 8, 6, 10 } },
	{ { 1, 9, 8 }, { 1, 4, 8 } },  { { 9, 1, 5 }, { 2, 1, 5 } },
	{ { 7, 11, 1 }, { 7, 3, 1 } }, { { 1, 1, 13 }, { 1, 1, 6 } },
	{ { 1, 1, 1 }, { 1, 1, 1 } },  { { 12, 10, 34 }, { 6, 5, 17 } },
	{ { 5, 4, 45 }, { 1, 1, 1 } }, { { 4, 17, 66 }, { 2, 9, 31 } },
	{ { 1, 1, 2 }, { 1, 1, 2 } },  { { 13, 1, 1 }, { 5, 1, 1 } },
};

static size_t voxels(const size_t n[3])
{
	return n[0] * n[1] * n[2];
}

static float *noise(size_t count, uint64_t seed)
{
	float *a = malloc(count * sizeof *a);
	struct pn_rng rng;

	assert_non_null(a);
	pn_rng_init(&rng, seed, 0);
	for (size_t i = 0; i < count; i++)
		a[i] = (float)pn_rng_gauss(&rng);
	return a;
}

static struct pn_fft3 *planned(const size_t n[3])
{
	struct pn_error err = { 0 };
	struct pn_fft3 *plan;

	assert_int_equal(pn_fft3_plan(&plan, n[0], n[1], n[2], &err), PN_OK);
	return plan;
}

/* exp(-2 pi i k x / n) for every k, x */
static double complex *phases(size_t n)
{
	double complex *p = malloc(n * n * sizeof *p);

	assert_non_null(p);
	for (size_t k = 0; k < n; k++)
		for (size_t x = 0; x < n; x++)
			p[k * n + x] = cexp(-2 * M_PI * I * (double)(k * x % n) / (double)n);
	return p;
}

static void one_sum(const struct sizes *s)
{
	struct pn_fft3 *plan = planned(s->n);
	float *box = noise(voxels(s->b), 1);
	float complex *spectrum = pn_fft_alloc(pn_fft3_spectrum(plan) * sizeof *spectrum);
	double complex *pz = phases(s->n[0]), *py = phases(s->n[1]), *px = phases(s->n[2]);
	const size_t half = s->n[2] / 2 + 1;

	/* what the spectrum holds before does not matter */
	memset(spectrum, 0xff, pn_fft3_spectrum(plan) * sizeof *spectrum);
	pn_fft3_forward(plan, box, s->b[0], s->b[1], s->b[2], spectrum);
	/* a few dozens of the terms, each by the whole sum */
	size_t total = s->n[0] * s->n[1] * half, step = total / 60 + 1;
	assert_int_equal(pn_fft3_spectrum(plan), total);
	for (size_t i = 0; i < total; i += step) {
		size_t kz = i / half / s->n[1], ky = i / half % s->n[1], kx = i % half, j = 0;
		double complex sum = 0;

		for (size_t z = 0; z < s->b[0]; z++)
			for (size_t y = 0; y < s->b[1]; y++)
				for (size_t x = 0; x < s->b[2]; x++)
					sum += box[j++] * pz[kz * s->n[0] + z] *
					       py[ky * s->n[1] + y] * px[kx * s->n[2] + x];
		assert_true(cabs(sum - spectrum[i]) < 1e-6 * sqrt((double)voxels(s->b)) + 1e-6);
	}
	pn_fft_free(spectrum);
	free(box);
	free(pz);
	free(py);
	free(px);
	pn_fft3_destroy(plan);
}

static void forward_is_the_sum(void **state)
{
	(void)state;
	for (size_t i = 0; i < PN_COUNT(sizes); i++)
		one_sum(&sizes[i]);
}

/* A corner box is the same as the grid with zeros written out, there and back. */
static void padding_is_zeros(void **state)
{
	(void)state;
	for (size_t i = 0; i < PN_COUNT(sizes); i++) {
		const struct sizes *s = &sizes[i];
		const size_t *n = s->n, *b = s->b;
		struct pn_fft3 *plan = planned(n);
		size_t bytes = pn_fft3_spectrum(plan) * sizeof(float complex);
		float *box = noise(voxels(b), 2), *full = calloc(voxels(n), sizeof *full);
		float *back = calloc(voxels(b), sizeof *back);
		float complex *one = pn_fft_alloc(bytes), *two = pn_fft_alloc(bytes);

		for (size_t z = 0; z < b[0]; z++)
			for (size_t y = 0; y < b[1]; y++)
				memcpy(full + (z * n[1] + y) * n[2], box + (z * b[1] + y) * b[2],
				       b[2] * sizeof *box);
		pn_fft3_forward(plan, box, b[0], b[1], b[2], one);
		pn_fft3_forward(plan, full, n[0], n[1], n[2], two);
		assert_memory_equal(one, two, bytes);
		pn_fft3_backward(plan, one, back, b[0], b[1], b[2]);
		pn_fft3_backward(plan, two, full, n[0], n[1], n[2]);
		for (size_t j = 0; j < voxels(b); j++) {
			size_t z = j / b[2] / b[1], y = j / b[2] % b[1], x = j % b[2];

			assert_true(back[j] == full[(z * n[1] + y) * n[2] + x]);
			assert_true(fabs(back[j] / (double)voxels(n) - box[j]) < 3e-6);
		}
		pn_fft_free(one);
		pn_fft_free(two);
		free(box);
		free(full);
		free(back);
		pn_fft3_destroy(plan);
	}
}

/*
 * <F b, s> = <b, F^T s>, where the columns kx and nx - kx of the full spectrum stand together in
 * the half one: those between count twice.
 */
static void backward_is_the_adjoint(void **state)
{
	(void)state;
	for (size_t i = 0; i < PN_COUNT(sizes); i++) {
		const struct sizes *s = &sizes[i];
		struct pn_fft3 *plan = planned(s->n);
		size_t count = pn_fft3_spectrum(plan), half = s->n[2] / 2 + 1;
		float *box = noise(voxels(s->b), 3), *other = noise(voxels(s->n), 4);
		float *back = calloc(voxels(s->b), sizeof *back);
		float complex *fb = pn_fft_alloc(count * sizeof *fb),
			      *sp = pn_fft_alloc(count * sizeof *sp);
		double left = 0, right = 0, size = 0;

		pn_fft3_forward(plan, box, s->b[0], s->b[1], s->b[2], fb);
		/* a spectrum with the symmetry of real data */
		pn_fft3_forward(plan, other, s->n[0], s->n[1], s->n[2], sp);
		for (size_t j = 0; j < count; j++) {
			size_t kx = j % half;
			double term = creal((double complex)fb[j] * conj((double complex)sp[j]));

			left += (kx > 0 && 2 * kx < s->n[2] ? 2 : 1) * term;
			size += 2 * fabs(term);
		}
		pn_fft3_backward(plan, sp, back, s->b[0], s->b[1], s->b[2]);
		for (size_t j = 0; j < voxels(s->b); j++)
			right += (double)box[j] * back[j];
		assert_true(fabs(left - right) < 1e-6 * size);
		pn_fft_free(fb);
		pn_fft_free(sp);
		free(box);
		free(other);
		free(back);
		pn_fft3_destroy(plan);
	}
}

static void bytes_do_not_depend_on_threads(void **state)
{
	(void)state;
	enum { NZ = 30, NY = 27, NX = 40, BZ = 17, BY = 13, BX = 20, COUNT = BZ * BY * BX };
	const int most = omp_get_max_threads();
	float *box = noise(COUNT, 5), *back[3];
	float complex *spectrum[3];
	struct pn_fft3 *plan;
	size_t bytes = 0;

	for (int threads = 1; threads <= 3; threads++) {
		omp_set_num_threads(threads);
		plan = planned((size_t[]){ NZ, NY, NX });
		bytes = pn_fft3_spectrum(plan) * sizeof(float complex);
		spectrum[threads - 1] = pn_fft_alloc(bytes);
		back[threads - 1] = malloc(COUNT * sizeof(float));
		pn_fft3_forward(plan, box, BZ, BY, BX, spectrum[threads - 1]);
		pn_fft3_backward(plan, spectrum[threads - 1], back[threads - 1], BZ, BY, BX);
		/* backward has destroyed it: once more, with the plan of another number of threads
		 */
		omp_set_num_threads(4 - threads);
		pn_fft3_forward(plan, box, BZ, BY, BX, spectrum[threads - 1]);
		pn_fft3_destroy(plan);
	}
	omp_set_num_threads(most);
	for (int i = 1; i < 3; i++) {
		assert_memory_equal(spectrum[0], spectrum[i], bytes);
		assert_memory_equal(back[0], back[i], COUNT * sizeof(float));
	}
	for (int i = 0; i < 3; i++) {
		pn_fft_free(spectrum[i]);
		free(back[i]);
	}
	free(box);
}

static void shapes_are_checked(void **state)
{
	struct pn_error err = { 0 };
	struct pn_fft3 *plan;

	(void)state;
	assert_int_equal(pn_fft3_plan(&plan, 0, 8, 8, &err), PN_EARG);
	assert_null(plan);
	assert_int_equal(pn_fft3_plan(&plan, 8, 5000, 8, &err), PN_EARG);
	assert_non_null(strstr(err.text, "5000"));
	pn_fft3_destroy(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(forward_is_the_sum),
		cmocka_unit_test(padding_is_zeros),
		cmocka_unit_test(backward_is_the_adjoint),
		cmocka_unit_test(bytes_do_not_depend_on_threads),
		cmocka_unit_test(shapes_are_checked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
