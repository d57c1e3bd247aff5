/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/twin/camera.h"

#include "perrin/base/rng.h"
#include "perrin/math/fft.h"

#include <complex.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define SMALL_MEAN   12.0f /* electrons per pixel up to which the distribution is searched */
#define BLOCK        16    /* pixels searched side by side                                 */
#define PARALLEL_MIN (1u << 18)

struct pn_camera {
	struct pn_camera_params p;
	double highest; /* counts */
	int blurs_signal, blurs_noise;
	float *signal_filter; /* [ny][nx/2+1] MTF/NTF, with the 1/(ny nx) of the FFT pair */
	float *noise_filter;  /* [ny][nx/2+1] NTF, likewise                                */
	struct pn_fft *to_frequency, *to_pixels;
};

struct pn_camera_scratch {
	float *image;            /* [ny][nx]     */
	float complex *spectrum; /* [ny][nx/2+1] */
};

double pn_camera_mtf(const struct pn_camera_params *p, double f)
{
	if (p->mtf_gauss_width == 0)
		return 1;
	double g = f / p->mtf_gauss_width;
	double l = p->mtf_lorentz_width > 0 ? f / p->mtf_lorentz_width : 0;

	return p->mtf_gauss * exp(-g * g) + (1 - p->mtf_gauss) / (1 + l * l);
}

static int check_params(const struct pn_camera_params *p, struct pn_error *err)
{
	if (p->ny < 1 || p->nx < 1 || p->ny > 16384 || p->nx > 16384)
		return pn_error_set(err, PN_EARG, "camera: %zu x %zu pixels, must be 1..16384",
				    p->ny, p->nx);
	if (p->dtype != PN_U8 && p->dtype != PN_U16 && p->dtype != PN_F32)
		return pn_error_set(err, PN_EARG, "camera: cannot write type %d", p->dtype);
	if (!(p->pixel_A > 0) || !(p->dose_e_per_A2 >= 0) || !(p->gain > 0) ||
	    !(p->readout_e >= 0) || !(p->vibration_A >= 0))
		return pn_error_set(err, PN_EARG,
				    "camera: pixel %g A, dose %g e/A2, gain %g, readout %g e",
				    p->pixel_A, p->dose_e_per_A2, p->gain, p->readout_e);
	if (!(p->dqe0 > 0 && p->dqe0 <= 1) || !(p->noise_blur >= 0 && p->noise_blur <= 1))
		return pn_error_set(err, PN_EARG,
				    "camera: DQE(0) = %g must be 0..1 (not 0), noise blur %g 0..1",
				    p->dqe0, p->noise_blur);
	if (!(p->mtf_gauss >= 0 && p->mtf_gauss <= 1) || !(p->mtf_gauss_width >= 0) ||
	    !(p->mtf_lorentz_width >= 0))
		return pn_error_set(err, PN_EARG, "camera: MTF weight %g, widths %g and %g",
				    p->mtf_gauss, p->mtf_gauss_width, p->mtf_lorentz_width);
	return PN_OK;
}

static void fill_filters(struct pn_camera *plan)
{
	const struct pn_camera_params *p = &plan->p;
	size_t width = p->nx / 2 + 1;
	double norm = 1.0 / ((double)p->ny * p->nx);

	for (size_t y = 0; y < p->ny; y++) {
		double v = 2.0 * (double)(y <= p->ny / 2 ? y : p->ny - y) / p->ny;

		for (size_t x = 0; x < width; x++) {
			double u = 2.0 * (double)x / p->nx;
			double mtf = pn_camera_mtf(p, sqrt(u * u + v * v));
			double move = M_PI * p->vibration_A / (2 * p->pixel_A);
			double still = exp(-2 * move * move * (u * u + v * v));
			double ntf = pow(mtf, p->noise_blur);

			plan->noise_filter[y * width + x] = (float)(norm * ntf);
			plan->signal_filter[y * width + x] =
				(float)(norm * still * pow(mtf, 1 - p->noise_blur));
		}
	}
}

int pn_camera_plan(struct pn_camera **out, const struct pn_camera_params *params,
		   struct pn_error *err)
{
	size_t half = params->ny * (params->nx / 2 + 1);
	int rc = check_params(params, err);

	*out = NULL;
	if (rc)
		return rc;
	struct pn_camera *plan = calloc(1, sizeof *plan);
	if (!plan)
		return pn_error_set(err, PN_ENOMEM, "camera: no memory for a plan");
	plan->p = *params;
	plan->blurs_noise = params->mtf_gauss_width > 0 && params->noise_blur > 0;
	plan->blurs_signal =
		params->vibration_A > 0 || (params->mtf_gauss_width > 0 && params->noise_blur < 1);
	plan->highest = params->dtype == PN_U8    ? UINT8_MAX
			: params->dtype == PN_U16 ? UINT16_MAX
						  : INFINITY;
	if (params->saturation > 0 && params->saturation < plan->highest)
		plan->highest = params->saturation;
	if (plan->blurs_signal || plan->blurs_noise) {
		plan->signal_filter = pn_fft_alloc(half * sizeof(float));
		plan->noise_filter = pn_fft_alloc(half * sizeof(float));
		if (!plan->signal_filter || !plan->noise_filter) {
			rc = pn_error_set(err, PN_ENOMEM, "camera: no memory for %zu x %zu filters",
					  params->ny, params->nx);
			goto fail;
		}
		fill_filters(plan);
		rc = pn_fft_plan(&plan->to_frequency, PN_FFT_R2C, params->ny, params->nx, 0, err);
		if (!rc)
			rc = pn_fft_plan(&plan->to_pixels, PN_FFT_C2R, params->ny, params->nx, 0,
					 err);
		if (rc)
			goto fail;
	}
	*out = plan;
	return PN_OK;
fail:
	pn_camera_destroy(plan);
	return rc;
}

void pn_camera_destroy(struct pn_camera *plan)
{
	if (!plan)
		return;
	pn_fft_destroy(plan->to_frequency);
	pn_fft_destroy(plan->to_pixels);
	pn_fft_free(plan->signal_filter);
	pn_fft_free(plan->noise_filter);
	free(plan);
}

int pn_camera_scratch_create(struct pn_camera_scratch **out, const struct pn_camera *plan,
			     struct pn_error *err)
{
	struct pn_camera_scratch *s = calloc(1, sizeof *s);
	size_t ny = plan->p.ny, nx = plan->p.nx;

	*out = NULL;
	if (s) {
		s->image = pn_fft_alloc(ny * nx * sizeof *s->image);
		s->spectrum = pn_fft_alloc(ny * (nx / 2 + 1) * sizeof *s->spectrum);
	}
	if (!s || !s->image || !s->spectrum) {
		pn_camera_scratch_destroy(s);
		return pn_error_set(err, PN_ENOMEM, "camera: no memory for scratch of %zu x %zu",
				    ny, nx);
	}
	*out = s;
	return PN_OK;
}

void pn_camera_scratch_destroy(struct pn_camera_scratch *s)
{
	if (!s)
		return;
	pn_fft_free(s->image);
	pn_fft_free(s->spectrum);
	free(s);
}

static void blur(const struct pn_camera *plan, struct pn_camera_scratch *s, const float *filter)
{
	size_t half = plan->p.ny * (plan->p.nx / 2 + 1);

	pn_fft_execute(plan->to_frequency, s->image, s->spectrum);
	for (size_t i = 0; i < half; i++)
		s->spectrum[i] *= filter[i];
	pn_fft_execute(plan->to_pixels, s->spectrum, s->image);
}

/* exp(-x) for x in 0..SMALL_MEAN to 2e-7, without a call so that the loop around it vectorises */
static inline float exp_minus(float x)
{
	float turns = rintf(x * -1.44269504f);
	float r = (-x - turns * 0.693359375f) + turns * 2.12194440e-4f;
	float series =
		1 + r * (1 + r * (0.5f + r * (1.6666667e-1f +
					      r * (4.1666667e-2f +
						   r * (8.3333333e-3f + r * 1.3888889e-3f)))));
	union {
		int32_t bits;
		float value;
	} power = { .bits = ((int32_t)turns + 127) << 23 };

	return series * power.value;
}

/*
 * Poisson deviates for a block of pixels by search of the distribution from 0, one uniform number
 * of 24 bits each. All pixels of the block step together until each has found its place; where
 * rounding keeps the sum from reaching the number, terms below 1e-9 end the search.
 */
static void poisson_block(float *mean, const float *uniform)
{
	typedef float reals __attribute__((vector_size(BLOCK * sizeof(float)), aligned(4)));
	typedef int32_t whole __attribute__((vector_size(BLOCK * sizeof(int32_t))));
	reals m = *(const reals *)mean, u = *(const reals *)uniform, p, sum;
	whole count = { 0 };

	for (int i = 0; i < BLOCK; i++)
		p[i] = exp_minus(mean[i]);
	sum = p;
	for (int k = 1;; k++) {
		whole more = (u > sum) & (p > 1e-9f);
		int32_t any = 0;

		for (int i = 0; i < BLOCK; i++)
			any |= more[i];
		if (!any)
			break;
		count -= more;
		p *= m * (1.0f / (float)k);
		sum += p;
	}
	for (int i = 0; i < BLOCK; i++)
		mean[i] = (float)count[i];
}

/* Intensities of a row to electrons counted. */
static void count_row(float *row, size_t nx, float electrons, struct pn_rng *rng)
{
	for (size_t first = 0; first < nx; first += BLOCK) {
		size_t count = nx - first < BLOCK ? nx - first : BLOCK;
		float mean[BLOCK] = { 0 }, uniform[BLOCK], large[BLOCK];
		int has_large = 0;

		for (size_t i = 0; i < count; i++) {
			float m = row[first + i] > 0 ? row[first + i] * electrons : 0;

			large[i] = m > SMALL_MEAN ? m : 0;
			mean[i] = m > SMALL_MEAN ? 0 : m;
			has_large |= m > SMALL_MEAN;
		}
		for (size_t i = 0; i < BLOCK; i++)
			uniform[i] = (float)(pn_rng_u32(rng) >> 8) * 0x1p-24f;
		poisson_block(mean, uniform);
		for (size_t i = 0; has_large && i < count; i++)
			if (large[i] > 0)
				mean[i] = (float)pn_rng_poisson(rng, large[i]);
		memcpy(row + first, mean, count * sizeof *row);
	}
}

static void write_row(const struct pn_camera *plan, const float *row, size_t y, struct pn_rng *rng,
		      void *pixels)
{
	const struct pn_camera_params *p = &plan->p;
	float scale = (float)(p->gain / p->dqe0), noise = (float)(p->gain * p->readout_e);
	float offset = (float)p->offset, highest = (float)plan->highest;

	for (size_t x = 0; x < p->nx; x++) {
		float value = scale * row[x] + offset;

		if (noise > 0 && !p->noiseless)
			value += noise * (float)pn_rng_gauss(rng);
		value = value < highest ? value : highest;
		if (p->dtype == PN_F32) {
			((float *)pixels)[y * p->nx + x] = value;
			continue;
		}
		value = value > 0 ? value + 0.5f : 0;
		if (p->dtype == PN_U8)
			((uint8_t *)pixels)[y * p->nx + x] = (uint8_t)value;
		else
			((uint16_t *)pixels)[y * p->nx + x] = (uint16_t)value;
	}
}

void pn_camera_execute(const struct pn_camera *plan, struct pn_camera_scratch *s,
		       const float *intensity, uint64_t seed, uint64_t frame, void *pixels)
{
	const struct pn_camera_params *p = &plan->p;
	float electrons = (float)(p->dose_e_per_A2 * p->pixel_A * p->pixel_A * p->dqe0);
	int parallel = p->ny * p->nx >= PARALLEL_MIN && !omp_in_parallel();

	memcpy(s->image, intensity, p->ny * p->nx * sizeof *intensity);
	if (plan->blurs_signal)
		blur(plan, s, plan->signal_filter);
#pragma omp parallel for schedule(static) if (parallel)
	for (size_t y = 0; y < p->ny; y++) {
		struct pn_rng rng;

		pn_rng_init(&rng, seed, frame << 16 | y);
		if (p->noiseless)
			for (size_t x = 0; x < p->nx; x++)
				s->image[y * p->nx + x] *= electrons;
		else
			count_row(s->image + y * p->nx, p->nx, electrons, &rng);
		if (!plan->blurs_noise)
			write_row(plan, s->image + y * p->nx, y, &rng, pixels);
	}
	if (!plan->blurs_noise)
		return;
	blur(plan, s, plan->noise_filter);
#pragma omp parallel for schedule(static) if (parallel)
	for (size_t y = 0; y < p->ny; y++) {
		struct pn_rng rng;

		/* the upper half of the rows' streams: not those of the counting */
		pn_rng_init(&rng, seed, frame << 16 | 1u << 15 | y);
		write_row(plan, s->image + y * p->nx, y, &rng, pixels);
	}
}
