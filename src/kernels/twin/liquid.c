/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/twin/liquid.h"

#include "perrin/base/rng.h"
#include "perrin/math/fft.h"
#include "perrin/twin/electron.h"
#include "perrin/twin/scattering.h"
#include "phase.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define PIECES   8
#define COMBINED 3   /* pieces that make the water of a frame */
#define CHUNK    512 /* pixels of a row worked on at a time   */

/* Sizes without a small common multiple: sums of pieces do not repeat within a large field. */
static const size_t piece_px[2] = { 320, 384 };

/* Streams of the seed; the frames' own come after them. */
enum { STREAM_PIECE = 1, STREAM_GRAPHENE = 100, STREAM_FRAME = 1000 };

struct pn_liquid {
	struct pn_liquid_params p;
	float *graphene;      /* [ny][nx] rad, or NULL                       */
	float *water[PIECES]; /* [n][n] rad, n = piece_px[i % 2], or NULL    */
};

/* One frame's choice of water. */
struct choice {
	const float *piece;
	size_t n, y, x;
	int flip_y, flip_x;
};

static double bessel_j0_spherical(double x)
{
	return fabs(x) < 1e-6 ? 1 : sin(x) / x;
}

/* Power spectrum of the phase of the water, rad^2 A^2, at q in 1/A. */
static double water_power(const struct pn_liquid_params *p, double q)
{
	double oxygen = pn_scattering_kirkland(8, q), hydrogen = pn_scattering_kirkland(1, q);
	double molecule = oxygen * oxygen + 2 * hydrogen * hydrogen +
			  4 * oxygen * hydrogen * bessel_j0_spherical(2 * M_PI * q * 0.9572) +
			  2 * hydrogen * hydrogen * bessel_j0_spherical(2 * M_PI * q * 1.5139);
	double hole = q / 0.25, peak = (q - 0.32) / 0.05;
	double order = 1 - 0.94 * exp(-hole * hole) + 0.5 * exp(-peak * peak);
	double strength = pn_electron_sigma(p->energy_keV) * PN_POTENTIAL_VA2;

	return strength * strength * 0.0334 * 10 * p->water_nm * molecule * order;
}

/* White noise of variance 1 per pixel has the power pixel^2; the filter makes it P(q). */
static int make_piece(struct pn_liquid *plan, int piece, struct pn_error *err)
{
	const struct pn_liquid_params *p = &plan->p;
	size_t n = piece_px[piece % 2], width = n / 2 + 1;
	float *field = pn_fft_alloc(n * n * sizeof *field);
	float complex *spectrum = pn_fft_alloc(n * width * sizeof *spectrum);
	struct pn_fft *forward = NULL, *backward = NULL;
	struct pn_rng rng;
	int rc = PN_OK;

	plan->water[piece] = field;
	if (!field || !spectrum)
		rc = pn_error_set(err, PN_ENOMEM, "liquid: no memory for water of %zu x %zu", n, n);
	if (!rc)
		rc = pn_fft_plan(&forward, PN_FFT_R2C, n, n, 0, err);
	if (!rc)
		rc = pn_fft_plan(&backward, PN_FFT_C2R, n, n, 0, err);
	if (rc)
		goto done;
	pn_rng_init(&rng, p->seed, STREAM_PIECE + (uint64_t)piece);
	for (size_t i = 0; i < n * n; i++)
		field[i] = (float)pn_rng_gauss(&rng);
	pn_fft_execute(forward, field, spectrum);
	for (size_t y = 0; y < n; y++) {
		for (size_t x = 0; x < width; x++) {
			double q = hypot((double)x, y <= n / 2 ? (double)y : (double)y - n) /
				   (n * p->pixel_A);
			double gain =
				q > 0 && q < 1 / (3 * p->pixel_A)
					? p->water_contrast * sqrt(water_power(p, q)) / p->pixel_A
					: 0;

			spectrum[y * width + x] *= (float)(gain / ((double)n * n * sqrt(COMBINED)));
		}
	}
	pn_fft_execute(backward, spectrum, field);
done:
	pn_fft_destroy(forward);
	pn_fft_destroy(backward);
	pn_fft_free(spectrum);
	return rc;
}

/* Add 2 amplitude cos(2 pi (u x + v y) + angle), u and v in cycles per pixel. */
static void add_wave(float *field, size_t ny, size_t nx, double u, double v, double amplitude,
		     double angle)
{
	double c = cos(2 * M_PI * u), s = sin(2 * M_PI * u);

	for (size_t y = 0; y < ny; y++) {
		double at = 2 * M_PI * v * (double)y + angle;
		double re = 2 * amplitude * cos(at), im = 2 * amplitude * sin(at);

		for (size_t x = 0; x < nx; x++) {
			double next = re * c - im * s;

			field[y * nx + x] += (float)re;
			im = re * s + im * c;
			re = next;
		}
	}
}

static void add_graphene(struct pn_liquid *plan, double angle, double shift_x, double shift_y)
{
	const struct pn_liquid_params *p = &plan->p;
	const double a = 2.46, b_iso = 0.3, cell = a * a * sqrt(3) / 2;
	double scale = pn_electron_sigma(p->energy_keV) * PN_POTENTIAL_VA2 / cell;
	/* reciprocal lattice of (a, 0), (a/2, a sqrt(3)/2), turned by the angle */
	double c = cos(angle), s = sin(angle), r = 1 / (a * sqrt(3));
	double b1[2] = { c / a + s * r, s / a - c * r }, b2[2] = { -s * 2 * r, c * 2 * r };

	for (int h = -4; h <= 4; h++) {
		for (int k = -4; k <= 4; k++) {
			double u = h * b1[0] + k * b2[0], v = h * b1[1] + k * b2[1];
			double q = hypot(u, v);
			/* atoms at 0 and (1/3, 1/3) of the cell; the pair h k, -h -k is one cosine
			 */
			double complex pair = 1 + cexp(-2 * M_PI * I * (h + k) / 3.0);
			double f = pn_scattering_kirkland(6, q) * exp(-b_iso * q * q / 4);

			if (h < 0 || (h == 0 && k <= 0) || q >= 1 / (3 * p->pixel_A))
				continue;
			add_wave(plan->graphene, p->ny, p->nx, u * p->pixel_A, v * p->pixel_A,
				 scale * f * cabs(pair),
				 carg(pair) - 2 * M_PI * (u * shift_x + v * shift_y));
		}
	}
}

static int check_params(const struct pn_liquid_params *p, struct pn_error *err)
{
	if (p->ny < 1 || p->nx < 1 || p->ny > 16384 || p->nx > 16384)
		return pn_error_set(err, PN_EARG, "liquid: field of %zu x %zu, must be 1..16384",
				    p->ny, p->nx);
	if (!(p->pixel_A > 0) || !(p->energy_keV > 0) || !(p->water_nm >= 0) ||
	    !(p->water_contrast >= 0) || p->graphene_layers < 0)
		return pn_error_set(err, PN_EARG,
				    "liquid: pixel %g A, %g keV, water %g nm x %g, %d layers",
				    p->pixel_A, p->energy_keV, p->water_nm, p->water_contrast,
				    p->graphene_layers);
	return PN_OK;
}

int pn_liquid_plan(struct pn_liquid **out, const struct pn_liquid_params *params,
		   struct pn_error *err)
{
	int rc = check_params(params, err);

	*out = NULL;
	if (rc)
		return rc;
	struct pn_liquid *plan = calloc(1, sizeof *plan);
	if (!plan)
		return pn_error_set(err, PN_ENOMEM, "liquid: no memory for a plan");
	plan->p = *params;
	for (int i = 0; i < PIECES && !rc && params->water_nm > 0 && params->water_contrast > 0;
	     i++)
		rc = make_piece(plan, i, err);
	if (!rc && params->graphene_layers > 0) {
		struct pn_rng rng;
		double degree = M_PI / 180;

		plan->graphene = pn_fft_alloc(params->ny * params->nx * sizeof(float));
		if (!plan->graphene)
			rc = pn_error_set(err, PN_ENOMEM,
					  "liquid: no memory for %zu x %zu graphene", params->ny,
					  params->nx);
		pn_rng_init(&rng, params->seed, STREAM_GRAPHENE);
		for (int i = 0; i < params->graphene_layers && !rc; i++) {
			double x = 2.46 * pn_rng_uniform(&rng), y = 4.26 * pn_rng_uniform(&rng);
			double angle = params->graphene_angle_deg + i * params->graphene_twist_deg;

			add_graphene(plan, angle * degree, x, y);
		}
	}
	if (rc) {
		pn_liquid_destroy(plan);
		return rc;
	}
	*out = plan;
	return PN_OK;
}

void pn_liquid_destroy(struct pn_liquid *plan)
{
	if (!plan)
		return;
	for (int i = 0; i < PIECES; i++)
		pn_fft_free(plan->water[i]);
	pn_fft_free(plan->graphene);
	free(plan);
}

static void choose_water(const struct pn_liquid *plan, uint64_t frame, struct choice *choice)
{
	struct pn_rng rng;
	uint32_t taken = 0;

	pn_rng_init(&rng, plan->p.seed, STREAM_FRAME + frame);
	for (int i = 0; i < COMBINED; i++) {
		uint32_t piece = pn_rng_below(&rng, PIECES);

		while (taken >> piece & 1)
			piece = (piece + 1) % PIECES;
		taken |= 1u << piece;
		choice[i].piece = plan->water[piece];
		choice[i].n = piece_px[piece % 2];
		choice[i].y = pn_rng_below(&rng, (uint32_t)choice[i].n);
		choice[i].x = pn_rng_below(&rng, (uint32_t)choice[i].n);
		choice[i].flip_y = (int)pn_rng_below(&rng, 2);
		choice[i].flip_x = (int)pn_rng_below(&rng, 2);
	}
}

/* Add pixels x0..x0+count-1 of row y of a shifted, mirrored, repeated piece. */
static void add_water(const struct choice *c, size_t y, size_t x0, size_t count, float *out)
{
	size_t row = (y + c->y) % c->n;
	const float *src = c->piece + (c->flip_y ? c->n - 1 - row : row) * c->n;

	for (size_t i = 0, run; i < count; i += run) {
		size_t x = (x0 + i + c->x) % c->n;

		run = c->n - x < count - i ? c->n - x : count - i;
		if (c->flip_x)
			for (size_t j = 0; j < run; j++)
				out[i + j] += src[c->n - 1 - x - j];
		else
			for (size_t j = 0; j < run; j++)
				out[i + j] += src[x + j];
	}
}

static void phase_part(const struct pn_liquid *plan, const struct choice *choice, size_t y,
		       size_t x, size_t count, float *out)
{
	if (plan->graphene)
		memcpy(out, plan->graphene + y * plan->p.nx + x, count * sizeof *out);
	else
		memset(out, 0, count * sizeof *out);
	for (int i = 0; plan->water[0] && i < COMBINED; i++)
		add_water(&choice[i], y, x, count, out);
}

void pn_liquid_phase(const struct pn_liquid *plan, uint64_t frame, float *phase)
{
	struct choice choice[COMBINED];

	choose_water(plan, frame, choice);
	for (size_t y = 0; y < plan->p.ny; y++)
		phase_part(plan, choice, y, 0, plan->p.nx, phase + y * plan->p.nx);
}

void pn_liquid_wave(const struct pn_liquid *plan, uint64_t frame, float complex *wave)
{
	struct choice choice[COMBINED];
	float part[CHUNK];
	size_t nx = plan->p.nx;

	choose_water(plan, frame, choice);
	for (size_t y = 0; y < plan->p.ny; y++) {
		for (size_t x = 0; x < nx; x += CHUNK) {
			size_t count = nx - x < CHUNK ? nx - x : CHUNK;

			phase_part(plan, choice, y, x, count, part);
			pn_phase_object(wave + y * nx + x, part, count);
		}
	}
}
