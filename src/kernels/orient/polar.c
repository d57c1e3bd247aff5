/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/orient/polar.h"

#include "perrin/math/fft.h"
#include "perrin/math/kaiser.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	LANES = PN_KAISER_WIDEST,
	WIDTH = 6,        /* of the kernel                                       */
	OVERSAMPLING = 2, /* of the grid that is interpolated                    */
	EDGE_PX = 4,      /* half of it is the soft edge of the mask, outside    */
	ORDERS_MORE = 6,  /* Bessel functions die out behind their argument      */
	RINGS_LEAST = 3,
};

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), aligned(4)));

/* Scratch, and what it takes to read the transform between its points. */
struct pn_polar_work {
	size_t grid, half; /* points, those with kx >= 0; rows have a margin      */
	size_t pitch;
	struct pn_fft *r2c, *turn; /* of the padded image; of the rings                   */
	struct pn_kaiser kernel;
	float *taper;                   /* [edge]                                              */
	float *padded;                  /* [grid][grid]                                        */
	float complex *spectrum;        /* [grid][half]                                        */
	float complex *rows;            /* [grid + 2 WIDEST][pitch], origin in the middle of y */
	float complex *circle, *series; /* [angles][rings]                                    */
};

/* ---- plan ----------------------------------------------------------------------------------- */

static size_t good_length(size_t least)
{
	for (size_t n = (least + 7) / 8 * 8;; n += 8) {
		size_t rest = n;

		while (rest % 2 == 0)
			rest /= 2;
		while (rest % 3 == 0)
			rest /= 3;
		if (rest == 1)
			return n;
	}
}

static double between(const double *table, double at, size_t last)
{
	size_t i = (size_t)at;

	return i >= last ? table[last] : table[i] + (at - (double)i) * (table[i + 1] - table[i]);
}

static int check(const struct pn_polar_params *p, struct pn_error *err)
{
	if (p->edge < 16 || p->edge > 512 || p->edge % 2)
		return pn_error_set(err, PN_EARG, "images of %zu x %zu px: can be 16 to 512, even",
				    p->edge, p->edge);
	if (!(p->pixel_A > 0) || !(p->resolution_high_A > 0) ||
	    !(p->resolution_low_A > p->resolution_high_A))
		return pn_error_set(err, PN_EARG,
				    "a band from %g to %g A with pixels of %g A is none",
				    p->resolution_low_A, p->resolution_high_A, p->pixel_A);
	if (!(p->radius_px >= 0) || p->radius_px > (double)p->edge / 2)
		return pn_error_set(err, PN_EARG, "a radius of %g px in images of %zu px",
				    p->radius_px, p->edge);
	if (!(fabs(p->ring_power) <= 4))
		return pn_error_set(err, PN_EARG, "ring power %g, can be -4 to 4", p->ring_power);
	return PN_OK;
}

static int choose_sizes(struct pn_polar *polar, struct pn_error *err)
{
	struct pn_polar_params *p = &polar->params;
	const double field_A = (double)p->edge * p->pixel_A;
	const double last = fmin(floor(field_A / p->resolution_high_A), (double)p->edge / 2 - 1);

	polar->first = (size_t)fmax(1, ceil(field_A / p->resolution_low_A));
	if (last + 1 < (double)(polar->first + RINGS_LEAST))
		return pn_error_set(err, PN_EARG,
				    "a band from %g to %g A has less than %d rings: %zu px of %g A "
				    "are %.1f A",
				    p->resolution_low_A, p->resolution_high_A, (int)RINGS_LEAST,
				    p->edge, p->pixel_A, field_A);
	if (p->radius_px == 0)
		p->radius_px = (double)p->edge / 2;
	polar->rings = (size_t)last + 1 - polar->first;
	polar->orders =
		(size_t)ceil(2 * M_PI * last * p->radius_px / (double)p->edge) + ORDERS_MORE;
	polar->angles = good_length(2 * polar->orders);
	polar->half = polar->angles / 2;
	polar->points = polar->rings * polar->half;
	return PN_OK;
}

static int take_memory(struct pn_polar *polar, struct pn_error *err)
{
	struct pn_polar_work *w = polar->work;
	const size_t edge = polar->params.edge;

	w->grid = OVERSAMPLING * edge;
	w->half = w->grid / 2 + 1;
	w->pitch = w->half + 2 * LANES;
	polar->frequency = malloc(polar->points * sizeof *polar->frequency);
	polar->weight = malloc(polar->rings * sizeof *polar->weight);
	polar->ctf = malloc(polar->rings * sizeof *polar->ctf);
	w->taper = malloc(edge * sizeof *w->taper);
	w->padded = pn_fft_alloc(w->grid * w->grid * sizeof *w->padded);
	w->spectrum = pn_fft_alloc(w->grid * w->half * sizeof *w->spectrum);
	w->rows = pn_fft_alloc((w->grid + 2 * LANES) * w->pitch * sizeof *w->rows);
	w->circle = pn_fft_alloc(polar->angles * polar->rings * sizeof *w->circle);
	w->series = pn_fft_alloc(polar->angles * polar->rings * sizeof *w->series);
	if (!polar->frequency || !polar->weight || !polar->ctf || !w->taper || !w->padded ||
	    !w->spectrum || !w->rows || !w->circle || !w->series)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu rings of %zu px",
				    polar->rings, edge);
	int rc = pn_fft_plan(&w->r2c, PN_FFT_R2C, w->grid, w->grid, 0, err);

	return rc ? rc
		  : pn_fft_plan_lines(&w->turn, PN_FFT_FORWARD, polar->angles, polar->rings, 0,
				      err);
}

/* Weights of mean 1, so that the numbers of a likelihood stay what they are with white noise. */
static void fill_rings(struct pn_polar *polar)
{
	const struct pn_polar_params *p = &polar->params;
	double sum = 0, squares = 0, area = 0;

	for (size_t r = 0; r < polar->rings; r++) {
		const double k = (double)(polar->first + r), at = 2 * k; /* of the tables */

		polar->ctf[r] = p->ctf ? between(p->ctf, at, p->edge) : 1;
		polar->weight[r] = pow(k, p->ring_power);
		if (p->noise)
			polar->weight[r] /= fmax(between(p->noise, at, p->edge), 1e-30);
		sum += polar->weight[r];
	}
	for (size_t r = 0; r < polar->rings; r++) {
		const double k = (double)(polar->first + r), per_area = polar->weight[r] / k;

		polar->weight[r] *= (double)polar->rings / sum;
		for (size_t a = 0; a < polar->half; a++) {
			double angle = 2 * M_PI * (double)a / (double)polar->angles;
			double *f = polar->frequency[r * polar->half + a];

			f[0] = k / (double)p->edge * cos(angle);
			f[1] = k / (double)p->edge * sin(angle);
		}
		area += 2 * M_PI * k;
		squares += per_area * per_area * 2 * M_PI * k;
	}
	/* the field's independent numbers, less by what the mask leaves of the field; unequal
	 * weights make fewer of them */
	double mean = 0, filled = M_PI * pow(p->radius_px / (double)p->edge, 2);

	for (size_t r = 0; r < polar->rings; r++)
		mean += polar->weight[r] * sum / (double)polar->rings * 2 * M_PI;
	polar->samples = fmin(1, filled) * mean * mean / squares;
	polar->samples = fmin(polar->samples, fmin(1, filled) * area);
}

static void fill_tapers(struct pn_polar *polar)
{
	struct pn_polar_work *w = polar->work;
	const size_t edge = polar->params.edge;

	pn_kaiser_make(&w->kernel, WIDTH, OVERSAMPLING);
	for (size_t i = 0; i < edge; i++)
		w->taper[i] =
			(float)(1 / pn_kaiser_transform(&w->kernel, (double)i - (double)(edge / 2),
							(double)w->grid));
}

int pn_polar_create(struct pn_polar **polar, const struct pn_polar_params *params,
		    struct pn_error *err)
{
	*polar = NULL;
	int rc = check(params, err);

	if (rc)
		return rc;
	struct pn_polar *p = calloc(1, sizeof *p);

	if (p)
		p->work = calloc(1, sizeof *p->work);
	if (!p || !p->work) {
		free(p);
		return pn_error_set(err, PN_ENOMEM, "no memory for a polar grid");
	}
	p->params = *params;
	rc = choose_sizes(p, err);
	if (!rc)
		rc = take_memory(p, err);
	if (rc) {
		pn_polar_destroy(p);
		return rc;
	}
	fill_rings(p);
	fill_tapers(p);
	p->params.ctf = p->params.noise = NULL;
	*polar = p;
	return PN_OK;
}

void pn_polar_destroy(struct pn_polar *polar)
{
	if (!polar)
		return;
	struct pn_polar_work *w = polar->work;

	pn_fft_destroy(w->r2c);
	pn_fft_destroy(w->turn);
	free(w->taper);
	pn_fft_free(w->padded);
	pn_fft_free(w->spectrum);
	pn_fft_free(w->rows);
	pn_fft_free(w->circle);
	pn_fft_free(w->series);
	free(w);
	free(polar->frequency);
	free(polar->weight);
	free(polar->ctf);
	free(polar);
}

/* ---- images --------------------------------------------------------------------------------- */

/* 1 within the radius, 0 EDGE_PX beyond. */
static float mask(double distance_px, double radius_px)
{
	double over = distance_px - radius_px;

	return over <= 0         ? 1.0f
	       : over >= EDGE_PX ? 0.0f
				 : (float)(0.5 + 0.5 * cos(M_PI * over / EDGE_PX));
}

/* Mean of what the mask takes away; where it takes nothing away, of all. */
static double mean_outside(const struct pn_polar *polar, const float *image, const double at[2])
{
	const size_t edge = polar->params.edge;
	const double limit = polar->params.radius_px + EDGE_PX / 2.0;
	double sum[2] = { 0 };
	size_t count[2] = { 0 };

	for (size_t i = 0; i < edge * edge; i++) {
		double x = (double)(i % edge) - (double)(edge / 2) - at[0],
		       y = (double)(i / edge) - (double)(edge / 2) - at[1];
		int out = x * x + y * y > limit * limit;

		sum[out] += (double)image[i];
		count[out]++;
	}
	if (count[1] * 50 < edge * edge)
		return (sum[0] + sum[1]) / (double)(edge * edge);
	return sum[1] / (double)count[1];
}

/* Into the padded field with the origin in its corner, masked and tapered. */
static void place_image(const struct pn_polar *polar, const float *image, const double at[2])
{
	const struct pn_polar_work *w = polar->work;
	const size_t edge = polar->params.edge, mid = edge / 2;
	const double mean = mean_outside(polar, image, at);

	memset(w->padded, 0, w->grid * w->grid * sizeof *w->padded);
	for (size_t y = 0; y < edge; y++) {
		float *row = w->padded + (y + w->grid - mid) % w->grid * w->grid;
		const double dy = (double)y - (double)mid - at[1];

		for (size_t x = 0; x < edge; x++) {
			double dx = (double)x - (double)mid - at[0];
			float m = mask(sqrt(dx * dx + dy * dy), polar->params.radius_px);

			if (m > 0)
				row[(x + w->grid - mid) % w->grid] =
					(image[y * edge + x] - (float)mean) * m * w->taper[y] *
					w->taper[x];
		}
	}
}

/* The half plane with margins: row y + grid/2 + LANES, column kx + LANES. */
static void lay_out(const struct pn_polar_work *w)
{
	const ptrdiff_t n = (ptrdiff_t)w->grid, half = (ptrdiff_t)w->half;

	for (ptrdiff_t y = -n / 2 - LANES; y < n / 2 + LANES; y++) {
		const float complex *from = w->spectrum + (y + 2 * n) % n * half;
		const float complex *mirror = w->spectrum + (2 * n - y) % n * half;
		float complex *to = w->rows + (y + n / 2 + LANES) * (ptrdiff_t)w->pitch + LANES;

		memcpy(to, from, (size_t)half * sizeof *to);
		for (ptrdiff_t x = 1; x <= LANES; x++)
			to[-x] = conjf(mirror[x]);
		for (ptrdiff_t x = half; x < half + LANES; x++)
			to[x] = conjf(mirror[n - x]);
	}
}

static inline float complex read_at(const struct pn_polar_work *w, double kx, double ky)
{
	const int conjugate = kx < 0;
	const double start[2] = { (conjugate ? -kx : kx) - WIDTH / 2.0,
				  (conjugate ? -ky : ky) - WIDTH / 2.0 };
	const double first[2] = { ceil(start[0]), ceil(start[1]) };
	const lanes *wx = (const lanes *)w->kernel.table[0], *wy = wx;
	const float sx = (float)(first[0] - start[0]) * PN_KAISER_STEPS,
		    sy = (float)(first[1] - start[1]) * PN_KAISER_STEPS;
	const int ix = (int)sx, iy = (int)sy;
	const lanes x = wx[ix] + (sx - (float)ix) * (wx[ix + 1] - wx[ix]),
		    y = wy[iy] + (sy - (float)iy) * (wy[iy + 1] - wy[iy]);
	const float complex *corner =
		w->rows +
		((ptrdiff_t)first[1] + (ptrdiff_t)w->grid / 2 + LANES) * (ptrdiff_t)w->pitch +
		LANES + (ptrdiff_t)first[0];
	lanes sum[2] = { { 0 } };
	float re = 0, im = 0;

	for (int t = 0; t < WIDTH; t++) {
		const lanes *row = (const lanes *)(corner + (size_t)t * w->pitch);

		sum[0] += y[t] * row[0];
		sum[1] += y[t] * row[1];
	}
	sum[0] *= __builtin_shufflevector(x, x, 0, 0, 1, 1, 2, 2, 3, 3);
	sum[1] *= __builtin_shufflevector(x, x, 4, 4, 5, 5, 6, 6, 7, 7);
	sum[0] += sum[1];
	for (int i = 0; i < LANES; i += 2) {
		re += sum[0][i];
		im += sum[0][i + 1];
	}
	return __builtin_complex(re, conjugate ? -im : im);
}

void pn_polar_image(struct pn_polar *polar, const float *image, const double center_px[2],
		    float complex *ring)
{
	static const double middle[2] = { 0, 0 };
	const struct pn_polar_work *w = polar->work;

	place_image(polar, image, center_px ? center_px : middle);
	pn_fft_execute(w->r2c, w->padded, w->spectrum);
	lay_out(w);
	for (size_t i = 0; i < polar->points; i++)
		ring[i] = read_at(w, polar->frequency[i][0] * (double)w->grid,
				  polar->frequency[i][1] * (double)w->grid);
}

/* The product as it is for finite numbers: C's own asks for infinities, which is slow. */
static inline float complex times(float complex a, float complex b)
{
	return __builtin_complex(crealf(a) * crealf(b) - cimagf(a) * cimagf(b),
				 crealf(a) * cimagf(b) + cimagf(a) * crealf(b));
}

void pn_polar_move(const struct pn_polar *polar, const float complex *ring,
		   const double shift_px[2], float complex *out)
{
	/* along a ray the phase grows evenly from ring to ring */
	for (size_t a = 0; a < polar->half; a++) {
		const double *f = polar->frequency[a];
		const double turn = 2 * M_PI * (f[0] * shift_px[0] + f[1] * shift_px[1]),
			     step = turn / (double)polar->first;
		const double complex by = __builtin_complex(cos(step), sin(step));
		double complex phase = __builtin_complex(cos(turn), sin(turn));

		for (size_t r = 0; r < polar->rings; r++) {
			const size_t i = r * polar->half + a;

			out[i] = times(ring[i],
				       __builtin_complex((float)creal(phase), (float)cimag(phase)));
			phase = __builtin_complex(
				creal(phase) * creal(by) - cimag(phase) * cimag(by),
				creal(phase) * cimag(by) + cimag(phase) * creal(by));
		}
	}
}

void pn_polar_orders(struct pn_polar *polar, const float complex *ring, float complex *order,
		     double *norm)
{
	const struct pn_polar_work *w = polar->work;
	const size_t rings = polar->rings, half = polar->half;
	const double scale = 1 / (double)polar->angles;
	double square = 0;

	for (size_t a = 0; a < half; a++)
		for (size_t r = 0; r < rings; r++) {
			w->circle[a * rings + r] = ring[r * half + a];
			w->circle[(a + half) * rings + r] = conjf(ring[r * half + a]);
		}
	pn_fft_execute(w->turn, w->circle, w->series);
	for (size_t m = 0; m < polar->orders; m++)
		for (size_t r = 0; r < rings; r++) {
			const float root = (float)(scale * sqrt(polar->weight[r]));
			const float complex f = w->series[m * rings + r];
			const double re = (double)(root * crealf(f)),
				     im = (double)(root * cimagf(f));

			order[m * rings + r] = __builtin_complex((float)re, (float)im);
			square += (m ? 2 : 1) * (re * re + im * im);
		}
	if (!norm)
		return;
	*norm = sqrt(square);
	if (!(square > 0)) {
		memset(order, 0, polar->orders * rings * sizeof *order);
		return;
	}
	const float by = (float)(1 / sqrt(square));

	for (size_t i = 0; i < polar->orders * rings; i++)
		order[i] = __builtin_complex(by * crealf(order[i]), by * cimagf(order[i]));
}

void pn_polar_map(const struct pn_polar *polar, const struct pn_slicer *map,
		  const double rotation[3][3], float complex *ring)
{
	pn_slicer_sample(map, rotation, (const double(*)[2])polar->frequency, polar->points, ring);
	for (size_t r = 0; r < polar->rings; r++)
		for (size_t a = 0; a < polar->half; a++)
			ring[r * polar->half + a] *= (float)polar->ctf[r];
}

double pn_polar_product(const struct pn_polar *polar, const float complex *a,
			const float complex *b)
{
	double sum = 0;

	for (size_t r = 0; r < polar->rings; r++) {
		double part = 0;

		for (size_t i = r * polar->half; i < (r + 1) * polar->half; i++)
			part += (double)(crealf(a[i]) * crealf(b[i]) + cimagf(a[i]) * cimagf(b[i]));
		sum += polar->weight[r] * part;
	}
	return sum / (double)polar->half;
}
