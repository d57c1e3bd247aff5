/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/twin/multislice.h"

#include "perrin/math/fft.h"
#include "perrin/twin/electron.h"
#include "perrin/base/element.h"
#include "perrin/twin/scattering.h"
#include "phase.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define BATCH 64 /* atoms whose phase factors are held at a time */
#define LANES 16 /* floats of a block of frequencies             */

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));

struct pn_multislice {
	struct pn_multislice_params p;
	double wavelength_A;
	size_t ky_max, kx_max; /* highest frequencies inside the band limit */
	size_t kx_pad;         /* kx_max + 1, up to whole blocks            */
	size_t *kx_end;        /* [ky_max + 1] frequencies of a row inside the limit */
	int element_count;
	float *factor[PN_MULTISLICE_ELEMENTS_MAX]; /* [ky_max + 1][kx_pad] sigma C f_e / area */
	float *q2;                                 /* [ky_max + 1][kx_pad], 1/A2              */
	struct pn_fft *forward, *backward, *real;
};

struct pn_multislice_scratch {
	size_t atoms_max;
	uint32_t *order;       /* [atoms_max] atoms by slice, then by element */
	uint64_t *key;         /* [atoms_max]                                 */
	float *xr, *xi;        /* [BATCH][kx_pad] phase factors along x       */
	float *yr, *yi;        /* [ky_max + 1][BATCH]                         */
	float *damp;           /* [ky_max + 1][kx_pad] Debye-Waller factor    */
	float complex *grid;   /* [ny][nx/2+1]                                */
	float complex *trans;  /* [ny][nx]                                    */
	float *potential;      /* [ny][nx]                                    */
	float complex *prop_y; /* [ny] */
	float complex *prop_x; /* [nx] */
};

static int check_params(const struct pn_multislice_params *p, struct pn_error *err)
{
	if (p->ny < 8 || p->nx < 8 || p->ny > 4096 || p->nx > 4096)
		return pn_error_set(err, PN_EARG, "multislice: field of %zu x %zu, must be 8..4096",
				    p->ny, p->nx);
	if (!(p->pixel_A > 0) || !(p->energy_keV > 0) || !(p->slice_A > 0))
		return pn_error_set(
			err, PN_EARG,
			"multislice: pixel %g A, energy %g keV, slice %g A: must be > 0",
			p->pixel_A, p->energy_keV, p->slice_A);
	if (!p->elements[0])
		return pn_error_set(err, PN_EARG, "multislice: no elements");
	for (int e = 0; e < PN_MULTISLICE_ELEMENTS_MAX; e++)
		if (p->elements[e] > PN_ELEMENT_Z_MAX)
			return pn_error_set(err, PN_EARG,
					    "multislice: no scattering factor for Z = %d",
					    p->elements[e]);
	return PN_OK;
}

static double scattering(enum pn_multislice_model model, int z, double q)
{
	return model == PN_MULTISLICE_LOBATO ? pn_scattering_lobato(z, q)
					     : pn_scattering_kirkland(z, q);
}

/* Frequencies are equal steps of 1/(n pixel); the limit is the circle of 2/3 Nyquist, 1/(3 pixel).
 */
static void fill_tables(struct pn_multislice *plan)
{
	const struct pn_multislice_params *p = &plan->p;
	double area = (double)p->ny * p->nx * p->pixel_A * p->pixel_A;
	double scale = pn_electron_sigma(p->energy_keV) * PN_POTENTIAL_VA2 / area;

	for (size_t ky = 0; ky <= plan->ky_max; ky++) {
		plan->kx_end[ky] = 0;
		for (size_t kx = 0; kx <= plan->kx_max; kx++) {
			double v = (double)ky / p->ny, u = (double)kx / p->nx;
			double q2 = (u * u + v * v) / (p->pixel_A * p->pixel_A);
			size_t i = ky * plan->kx_pad + kx;

			plan->q2[i] = (float)q2;
			if (u * u + v * v >= 1.0 / 9)
				continue;
			plan->kx_end[ky] = kx + 1;
			for (int e = 0; e < plan->element_count; e++)
				plan->factor[e][i] =
					(float)(scale *
						scattering(p->model, p->elements[e], sqrt(q2)));
		}
	}
}

int pn_multislice_plan(struct pn_multislice **out, const struct pn_multislice_params *params,
		       struct pn_error *err)
{
	*out = NULL;
	int rc = check_params(params, err);
	if (rc)
		return rc;

	struct pn_multislice *plan = calloc(1, sizeof *plan);
	if (!plan)
		return pn_error_set(err, PN_ENOMEM, "multislice: no memory for a plan");
	plan->p = *params;
	plan->wavelength_A = pn_electron_wavelength_A(params->energy_keV);
	plan->ky_max = params->ny / 3;
	plan->kx_max = params->nx / 3;
	plan->kx_pad = (plan->kx_max + LANES) / LANES * LANES;

	size_t bytes = (plan->ky_max + 1) * plan->kx_pad * sizeof(float);
	int missing = 0;

	plan->kx_end = calloc(plan->ky_max + 1, sizeof *plan->kx_end);
	plan->q2 = pn_fft_alloc(bytes);
	while (plan->element_count < PN_MULTISLICE_ELEMENTS_MAX &&
	       params->elements[plan->element_count]) {
		int e = plan->element_count++;

		plan->factor[e] = pn_fft_alloc(bytes);
		missing |= !plan->factor[e];
	}
	if (missing || !plan->kx_end || !plan->q2) {
		rc = pn_error_set(err, PN_ENOMEM, "multislice: no memory for %zu x %zu tables",
				  params->ny, params->nx);
		goto fail;
	}
	fill_tables(plan);
	rc = pn_fft_plan(&plan->forward, PN_FFT_FORWARD, params->ny, params->nx, 1, err);
	if (!rc)
		rc = pn_fft_plan(&plan->backward, PN_FFT_BACKWARD, params->ny, params->nx, 1, err);
	if (!rc)
		rc = pn_fft_plan(&plan->real, PN_FFT_C2R, params->ny, params->nx, 0, err);
	if (rc)
		goto fail;
	*out = plan;
	return PN_OK;
fail:
	pn_multislice_destroy(plan);
	return rc;
}

void pn_multislice_destroy(struct pn_multislice *plan)
{
	if (!plan)
		return;
	pn_fft_destroy(plan->forward);
	pn_fft_destroy(plan->backward);
	pn_fft_destroy(plan->real);
	for (int e = 0; e < PN_MULTISLICE_ELEMENTS_MAX; e++)
		pn_fft_free(plan->factor[e]);
	pn_fft_free(plan->q2);
	free(plan->kx_end);
	free(plan);
}

int pn_multislice_scratch_create(struct pn_multislice_scratch **out,
				 const struct pn_multislice *plan, size_t atoms_max,
				 struct pn_error *err)
{
	struct pn_multislice_scratch *s = calloc(1, sizeof *s);
	size_t ny = plan->p.ny, nx = plan->p.nx;
	size_t half = (plan->ky_max + 1) * plan->kx_pad;

	*out = NULL;
	if (!s)
		return pn_error_set(err, PN_ENOMEM, "multislice: no memory for scratch");
	s->atoms_max = atoms_max;
	s->order = malloc((atoms_max + 1) * sizeof *s->order);
	s->key = malloc((atoms_max + 1) * sizeof *s->key);
	s->xr = pn_fft_alloc(BATCH * plan->kx_pad * sizeof(float));
	s->xi = pn_fft_alloc(BATCH * plan->kx_pad * sizeof(float));
	s->yr = pn_fft_alloc(BATCH * (plan->ky_max + 1) * sizeof(float));
	s->yi = pn_fft_alloc(BATCH * (plan->ky_max + 1) * sizeof(float));
	s->damp = pn_fft_alloc(half * sizeof(float));
	s->grid = pn_fft_alloc(ny * (nx / 2 + 1) * sizeof(float complex));
	s->trans = pn_fft_alloc(ny * nx * sizeof(float complex));
	s->potential = pn_fft_alloc(ny * nx * sizeof(float));
	s->prop_y = pn_fft_alloc(ny * sizeof(float complex));
	s->prop_x = pn_fft_alloc(nx * sizeof(float complex));
	if (!s->order || !s->key || !s->xr || !s->xi || !s->yr || !s->yi || !s->damp || !s->grid ||
	    !s->trans || !s->potential || !s->prop_y || !s->prop_x) {
		pn_multislice_scratch_destroy(s);
		return pn_error_set(err, PN_ENOMEM,
				    "multislice: no memory for scratch of %zu x %zu", ny, nx);
	}
	*out = s;
	return PN_OK;
}

void pn_multislice_scratch_destroy(struct pn_multislice_scratch *s)
{
	if (!s)
		return;
	free(s->order);
	free(s->key);
	pn_fft_free(s->xr);
	pn_fft_free(s->xi);
	pn_fft_free(s->yr);
	pn_fft_free(s->yi);
	pn_fft_free(s->damp);
	pn_fft_free(s->grid);
	pn_fft_free(s->trans);
	pn_fft_free(s->potential);
	pn_fft_free(s->prop_y);
	pn_fft_free(s->prop_x);
	free(s);
}

static int compare_keys(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Sort atoms by slice, then element, then index: one integer key holds the three. */
#define KEY_SLICE(key)   ((int64_t)((key) >> 36) - (1 << 26))
#define KEY_ELEMENT(key) ((int)((key) >> 32 & 15))

static int sort_atoms(const struct pn_multislice *plan, struct pn_multislice_scratch *s,
		      const struct pn_multislice_atoms *atoms, struct pn_error *err)
{
	if (atoms->count > s->atoms_max)
		return pn_error_set(err, PN_EARG, "multislice: %zu atoms, room for %zu",
				    atoms->count, s->atoms_max);
	for (size_t i = 0; i < atoms->count; i++) {
		const double *r = atoms->position_A[i];
		double slice = floor((r[2] - atoms->plane_A) / plan->p.slice_A);
		int e = 0;

		if (!isfinite(r[0]) || !isfinite(r[1]) || !(fabs(slice) < 1 << 26))
			return pn_error_set(err, PN_EARG, "multislice: atom %zu at (%g, %g, %g) A",
					    i, r[0], r[1], r[2]);
		while (e < plan->element_count && plan->p.elements[e] != atoms->atomic_number[i])
			e++;
		if (e == plan->element_count)
			return pn_error_set(err, PN_EARG,
					    "multislice: atom %zu: Z = %d is not planned for", i,
					    atoms->atomic_number[i]);
		s->key[i] = (uint64_t)((int64_t)slice + (1 << 26)) << 36 | (uint64_t)e << 32 | i;
	}
	qsort(s->key, atoms->count, sizeof *s->key, compare_keys);
	for (size_t i = 0; i < atoms->count; i++)
		s->order[i] = (uint32_t)s->key[i];
	return PN_OK;
}

/* out[k step] = exp(-2 pi i k x), k = 0..count-1, by a recurrence in double */
static void phase_factors(double x, size_t count, float *re, float *im, size_t step)
{
	double c = cos(2 * M_PI * x), s = -sin(2 * M_PI * x), a = 1, b = 0;

	for (size_t k = 0; k < count; k++) {
		double next = a * c - b * s;

		re[k * step] = (float)a;
		im[k * step] = (float)b;
		b = a * s + b * c;
		a = next;
	}
}

/*
 * Structure factors of up to BATCH atoms, times the form factor, added to the half grid. With the
 * phases along x and y as X and Y, the rows ky and -ky are sums of Y X and of conj(Y) X: the same
 * four real products, added up with different signs.
 */
static void add_batch(const struct pn_multislice *plan, struct pn_multislice_scratch *s,
		      const float *factor, const float *damp, size_t count)
{
	size_t ny = plan->p.ny, width = plan->p.nx / 2 + 1, pad = plan->kx_pad;

	for (size_t ky = 0; ky <= plan->ky_max; ky++) {
		float *plus = (float *)(s->grid + ky * width);
		float *minus = (float *)(s->grid + (ny - ky) % ny * width);
		const float *yr = s->yr + ky * BATCH, *yi = s->yi + ky * BATCH;

		for (size_t kx = 0; kx < plan->kx_end[ky]; kx += LANES) {
			lanes rr = { 0 }, ii = { 0 }, ri = { 0 }, ir = { 0 };

			for (size_t a = 0; a < count; a++) {
				lanes xr = *(const lanes *)(s->xr + a * pad + kx);
				lanes xi = *(const lanes *)(s->xi + a * pad + kx);

				rr += yr[a] * xr;
				ii += yi[a] * xi;
				ri += yr[a] * xi;
				ir += yi[a] * xr;
			}
			lanes f = *(const lanes *)(factor + ky * pad + kx);
			size_t end = plan->kx_end[ky] - kx < LANES ? plan->kx_end[ky] - kx : LANES;

			if (damp)
				f *= *(const lanes *)(damp + ky * pad + kx);
			lanes pr = f * (rr - ii), pi = f * (ri + ir);
			lanes mr = f * (rr + ii), mi = f * (ri - ir);

			for (size_t k = 0; k < end; k++) {
				plus[2 * (kx + k)] += pr[k];
				plus[2 * (kx + k) + 1] += pi[k];
			}
			for (size_t k = 0; ky && k < end; k++) {
				minus[2 * (kx + k)] += mr[k];
				minus[2 * (kx + k) + 1] += mi[k];
			}
		}
	}
}

/* trans = exp(i sigma V) of atoms first..end-1 of the order, all of one slice */
static void slice_transmission(const struct pn_multislice *plan, struct pn_multislice_scratch *s,
			       const struct pn_multislice_atoms *atoms, size_t first, size_t end)
{
	const struct pn_multislice_params *p = &plan->p;

	memset(s->grid, 0, p->ny * (p->nx / 2 + 1) * sizeof *s->grid);
	while (first < end) {
		int element = KEY_ELEMENT(s->key[first]);
		size_t count = 0;

		while (first < end && count < BATCH && KEY_ELEMENT(s->key[first]) == element) {
			const double *r = atoms->position_A[s->order[first]];
			double x = r[0] / (p->nx * p->pixel_A) + (double)(p->nx / 2) / p->nx;
			double y = r[1] / (p->ny * p->pixel_A) + (double)(p->ny / 2) / p->ny;

			phase_factors(x, plan->kx_max + 1, s->xr + count * plan->kx_pad,
				      s->xi + count * plan->kx_pad, 1);
			phase_factors(y, plan->ky_max + 1, s->yr + count, s->yi + count, BATCH);
			count++;
			first++;
		}
		add_batch(plan, s, plan->factor[element], atoms->b_iso_A2 > 0 ? s->damp : NULL,
			  count);
	}
	pn_fft_execute(plan->real, s->grid, s->potential);
	pn_phase_object(s->trans, s->potential, p->ny * p->nx);
}

/* The propagator is a product of one factor per axis; 1/(ny nx) of the FFT pair goes with it. */
static void set_propagator(const struct pn_multislice *plan, struct pn_multislice_scratch *s,
			   double distance_A)
{
	const struct pn_multislice_params *p = &plan->p;
	double scale = M_PI * plan->wavelength_A * distance_A / (p->pixel_A * p->pixel_A);
	double norm = 1.0 / ((double)p->ny * p->nx);

	for (size_t i = 0; i < p->ny; i++) {
		double v = (double)(i <= p->ny / 2 ? i : p->ny - i) / p->ny;

		s->prop_y[i] = (float complex)(norm * cexp(-I * scale * v * v));
	}
	for (size_t i = 0; i < p->nx; i++) {
		double u = (double)(i <= p->nx / 2 ? i : p->nx - i) / p->nx;

		s->prop_x[i] = (float complex)cexp(-I * scale * u * u);
	}
}

/* wave <- F^-1 [ filter F [ wave ] ]: the band limit alone, or with the propagator set before */
static void filter_wave(const struct pn_multislice *plan, const struct pn_multislice_scratch *s,
			float complex *wave, int propagate)
{
	size_t ny = plan->p.ny, nx = plan->p.nx;
	float norm = 1.0f / ((float)ny * (float)nx);

	pn_fft_execute(plan->forward, wave, wave);
	for (size_t y = 0; y < ny; y++) {
		size_t ky = y <= ny / 2 ? y : ny - y;
		size_t end = ky <= plan->ky_max ? plan->kx_end[ky] : 0;
		float complex *row = wave + y * nx;

		if (end == 0) {
			memset(row, 0, nx * sizeof *row);
			continue;
		}
		memset(row + end, 0, (nx - 2 * end + 1) * sizeof *row);
		for (size_t x = 0; x < end && propagate; x++)
			row[x] = pn_phase_mul(row[x], pn_phase_mul(s->prop_y[y], s->prop_x[x]));
		for (size_t x = nx - end + 1; x < nx && propagate; x++)
			row[x] = pn_phase_mul(row[x], pn_phase_mul(s->prop_y[y], s->prop_x[x]));
		for (size_t x = 0; x < end && !propagate; x++)
			row[x] *= norm;
		for (size_t x = nx - end + 1; x < nx && !propagate; x++)
			row[x] *= norm;
	}
	pn_fft_execute(plan->backward, wave, wave);
}

static void set_damping(const struct pn_multislice *plan, struct pn_multislice_scratch *s, double b)
{
	for (size_t i = 0; i < (plan->ky_max + 1) * plan->kx_pad; i++)
		s->damp[i] = expf((float)(-0.25 * b) * plan->q2[i]);
}

int pn_multislice_execute(const struct pn_multislice *plan, struct pn_multislice_scratch *s,
			  const struct pn_multislice_atoms *atoms, float complex *wave,
			  struct pn_error *err)
{
	size_t pixels = plan->p.ny * plan->p.nx;
	double step = plan->p.slice_A, set_for = NAN;
	int rc = sort_atoms(plan, s, atoms, err);

	if (rc)
		return rc;
	if (atoms->b_iso_A2 > 0)
		set_damping(plan, s, atoms->b_iso_A2);
	for (size_t i = 0; i < pixels; i++)
		wave[i] = 1;
	for (size_t first = 0, end; first < atoms->count; first = end) {
		int64_t slice = KEY_SLICE(s->key[first]);
		double distance;

		for (end = first; end < atoms->count && KEY_SLICE(s->key[end]) == slice;)
			end++;
		/* on to the next slice with atoms; from the last one to the plane asked for */
		distance = end < atoms->count ? (double)(KEY_SLICE(s->key[end]) - slice) * step
					      : -((double)slice + 0.5) * step;
		slice_transmission(plan, s, atoms, first, end);
		if (first == 0) {
			memcpy(wave, s->trans, pixels * sizeof *wave);
		} else {
			filter_wave(plan, s, s->trans, 0);
			for (size_t i = 0; i < pixels; i++)
				wave[i] = pn_phase_mul(wave[i], s->trans[i]);
		}
		if (distance != set_for)
			set_propagator(plan, s, distance);
		set_for = distance;
		filter_wave(plan, s, wave, 1);
	}
	return PN_OK;
}
