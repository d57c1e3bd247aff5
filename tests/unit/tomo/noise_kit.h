/* SPDX-License-Identifier: GPL-3.0-or-later */
/* noise_kit.h - where the error to the truth turns on the way of pn_fista_solve, and where
 * pn_fista_validated stops. */
#ifndef PERRIN_TESTS_TOMO_NOISE_KIT_H
#define PERRIN_TESTS_TOMO_NOISE_KIT_H

#include "measured_kit.h"
#include "particle.h"
#include "perrin/tomo/fista.h"

enum { NOISE_SIDE = 48, NOISE_TILTS = 41, NOISE_EVERY = 9 };

struct noise_course {
	double least;     /* error to the truth, |u - truth| / |truth|, of the best volume passed */
	double validated; /* of that of pn_fista_validated                                       */
	double last;      /* after twice as many iterations as the best                          */
	double misfit_least, misfit_last; /* |A u - p| / |p| there                               */
	int least_at, validated_at;       /* iterations                                          */
};

/* Error after exactly so many iterations from the start, with all tilts. */
static inline double noise_error(struct pn_fista *fista, const struct pn_normal *all,
				 const float *truth, int iterations, double *misfit)
{
	struct pn_fista_params params;
	struct pn_fista_result result;
	size_t voxels = pn_box_voxels(&all->box);
	float *u = calloc(voxels, sizeof *u);

	pn_fista_defaults(&params);
	params.iterations_max = iterations;
	assert_non_null(u);
	assert_int_equal(pn_fista_solve(fista, &params, all, NULL, u, &result, NULL), PN_OK);
	assert_int_equal(result.iterations, iterations);
	double error = kit_l2(u, truth, voxels);

	*misfit = result.misfit;
	free(u);
	return error;
}

/*
 * White noise of @noise times the root mean square of all pixels is put on the images; the volume
 * is as deep as they are wide. Each number of iterations up to the turning point is tried, from 16
 * on in steps of a sixteenth, so nothing that is passed by is better by more than a per mille.
 */
static inline struct noise_course noise_course(const struct pn_projections *series,
					       const float *truth, double noise, uint64_t seed)
{
	struct noise_course c = { .least = INFINITY };
	struct pn_box box = { series->nx, series->ny, series->nx };
	size_t pixels = series->ny * series->nx, count = series->count * pixels;
	struct pn_normal *all, *held_out;
	struct pn_fista *fista;
	struct pn_fista_params params;
	struct pn_fista_result result;
	struct pn_rng rng;
	float *image = malloc(count * sizeof *image), *u = malloc(pn_box_voxels(&box) * sizeof *u);
	double square = 0, largest = 0, misfit;

	assert_true(image && u);
	for (size_t i = 0; i < count; i++) {
		square += pow((double)series->image[i], 2);
		largest = fmax(largest, fabs((double)series->image[i]));
	}
	assert_int_equal(pn_normal_create(&all, &box, 1, largest, NULL), PN_OK);
	assert_int_equal(pn_normal_create(&held_out, &box, 1, largest, NULL), PN_OK);
	assert_int_equal(pn_fista_create(&fista, &box, 1, NULL), PN_OK);
	pn_rng_init(&rng, seed, 1);
	for (size_t i = 0; i < count; i++)
		image[i] = series->image[i] +
			   (float)(noise * sqrt(square / (double)count) * pn_rng_gauss(&rng));
	for (size_t k = 0; k < series->count; k++)
		for (int held = 0; held < 1 + (k % NOISE_EVERY == NOISE_EVERY / 2); held++)
			assert_int_equal(pn_normal_add(held ? held_out : all, &series->pose[k],
						       image + k * pixels, series->ny, series->nx,
						       NULL),
					 PN_OK);
	pn_fista_defaults(&params);
	assert_int_equal(pn_fista_validated(fista, &params, all, held_out, u, &result, NULL),
			 PN_OK);
	c.validated = kit_l2(u, truth, pn_box_voxels(&box));
	c.validated_at = result.iterations;
	for (int n = 8; n < 100 && (!c.least_at || n <= 2 * c.least_at); n += 1 + n / 16) {
		double error = noise_error(fista, all, truth, n, &misfit);

		if (error < c.least) {
			c.least = error;
			c.least_at = n;
			c.misfit_least = misfit;
		}
	}
	c.last = noise_error(fista, all, truth, 2 * c.least_at, &c.misfit_last);
	print_message("noise %g, seed %d: least %.4f after %d, validated %.4f after %d, %.4f after "
		      "%d; R %.4f, %.4f\n",
		      noise, (int)seed, c.least, c.least_at, c.validated, c.validated_at, c.last,
		      2 * c.least_at, c.misfit_least, c.misfit_last);
	pn_fista_destroy(fista);
	pn_normal_destroy(held_out);
	pn_normal_destroy(all);
	free(image);
	free(u);
	return c;
}

#endif
