/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/orient/sampling.h"

#include "perrin/math/fft.h"
#include "perrin/math/fft3.h"
#include "perrin/tomo/fsc.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum {
	DIRECTIONS = 4096, /* over the half sphere, on which coverage is measured */
	LANES = 8,
	SLABS = 16, /* of a spectrum, summed up apart, then in their order */
	CONES_MAX = 4096,
};

#define WIDTH          0.02 /* of the band of a view, if none is given */
#define FLOOR          1e-3 /* sampling of an unseen direction, as a part of the mean */
#define FSC_ENOUGH     0.143
#define SAMPLES_ENOUGH 20
#define VIEWS_MAX      ((size_t)1 << 30)

typedef float lanes __attribute__((vector_size(LANES * sizeof(float)), may_alias, aligned(4)));
typedef int32_t lanes_i __attribute__((vector_size(LANES * sizeof(int32_t))));

/* Equal areas of the half sphere z > 0: z in equal steps, the golden angle from one to the next. */
static void fibonacci(double v[3], size_t i, size_t count)
{
	const double golden = M_PI * (3 - sqrt(5)), z = 1 - ((double)i + 0.5) / (double)count;
	const double r = sqrt(1 - z * z);

	v[0] = r * cos(golden * (double)i);
	v[1] = r * sin(golden * (double)i);
	v[2] = z;
}

static int check_unit(const double v[3], size_t i, struct pn_error *err)
{
	if (fabs(v[0] * v[0] + v[1] * v[1] + v[2] * v[2] - 1) < 1e-6)
		return PN_OK;
	return pn_error_set(err, PN_EARG, "view %zu is %g %g %g: not a unit vector", i, v[0], v[1],
			    v[2]);
}

/* ---- views ---------------------------------------------------------------------------------- */

/* How many views pass within @width of direction @q, and the cosine of the one that is nearest. */
static size_t count_views(const float *view, size_t padded, const double q[3], double width,
			  double *nearest)
{
	const float x = (float)q[0], y = (float)q[1], z = (float)q[2], limit = (float)width;
	const float *vx = view, *vy = view + padded, *vz = view + 2 * padded;
	lanes_i in = { 0 };
	lanes best = { 0 };
	size_t count = 0;

	for (size_t i = 0; i < padded; i += LANES) {
		lanes dot = x * *(const lanes *)(vx + i) + y * *(const lanes *)(vy + i) +
			    z * *(const lanes *)(vz + i);

		dot = (lanes)((lanes_i)dot & INT32_MAX);
		in -= dot < limit;
		best = (lanes)(((lanes_i)best & (best > dot)) | ((lanes_i)dot & ~(best > dot)));
	}
	*nearest = 0;
	for (int l = 0; l < LANES; l++) {
		count += (size_t)in[l];
		*nearest = fmax(*nearest, (double)best[l]);
	}
	return count;
}

static void measure(struct pn_sampling *sampling, const uint32_t *hits, const float *nearest,
		    size_t count)
{
	double mean = 0, seen = 0, inverse = 0, inverse_seen = 0, far = 0;
	const double spacing = cos(fmin(sqrt(2 * M_PI / (double)count), M_PI / 2));
	size_t least = 0;

	for (size_t i = 0; i < DIRECTIONS; i++) {
		mean += hits[i] / (double)DIRECTIONS;
		seen += hits[i] > 0;
		far += (double)nearest[i] < spacing;
		if (hits[i] < hits[least])
			least = i;
	}
	for (size_t i = 0; i < DIRECTIONS; i++) {
		inverse += 1 / fmax(hits[i] / mean, FLOOR);
		inverse_seen += hits[i] ? mean / hits[i] : 0;
	}
	*sampling = (struct pn_sampling){
		.scf = DIRECTIONS / inverse,
		/* mean 1 over what is seen: the mean over all, by the part that is */
		.scf_filled = seen * seen / DIRECTIONS / inverse_seen,
		.empty = 1 - seen / DIRECTIONS,
		.views_empty = far / DIRECTIONS,
	};
	fibonacci(sampling->weakest, least, DIRECTIONS);
}

/* @view: [3][padded], zeros to the end: those are within any band, and near to nothing. */
static void measure_all(const float *view, size_t count, size_t padded, double width,
			uint32_t *hits, float *nearest)
{
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < DIRECTIONS; i++) {
		double q[3], cosine;

		fibonacci(q, i, DIRECTIONS);
		hits[i] =
			(uint32_t)(count_views(view, padded, q, width, &cosine) - (padded - count));
		nearest[i] = (float)cosine;
	}
}

int pn_sampling_views(struct pn_sampling *sampling, const double (*view)[3], size_t count,
		      double width, struct pn_error *err)
{
	const size_t padded = (count + LANES - 1) / LANES * LANES;

	if (width == 0)
		width = WIDTH;
	if (!count || count > VIEWS_MAX || !(width > 0 && width <= 0.5))
		return pn_error_set(err, PN_EARG,
				    "coverage by %zu views of half-width %g: 1..%zu, 0..1/2", count,
				    width, VIEWS_MAX);
	for (size_t i = 0; i < count; i++)
		if (check_unit(view[i], i, err))
			return PN_EARG;
	float *table = calloc(3 * padded, sizeof *table);
	uint32_t *hits = malloc(DIRECTIONS * sizeof *hits);
	float *nearest = malloc(DIRECTIONS * sizeof *nearest);
	int rc = PN_OK;

	if (table && hits && nearest) {
		for (size_t i = 0; i < count; i++)
			for (size_t a = 0; a < 3; a++)
				table[a * padded + i] = (float)view[i][a];
		measure_all(table, count, padded, width, hits, nearest);
		measure(sampling, hits, nearest, count);
	} else {
		rc = pn_error_set(err, PN_ENOMEM, "no memory for coverage by %zu views", count);
	}
	free(table);
	free(hits);
	free(nearest);
	return rc;
}

/* ---- conical FSC ---------------------------------------------------------------------------- */

/* What a shell of a cone adds up. */
struct part {
	double cross, a, b, samples;
};

struct cones {
	size_t count, padded, shells, edge;
	float *axis;       /* [3][padded] */
	float cosine;      /* of the half-angle */
	struct part *part; /* [SLABS][padded][shells] */
};

/* One frequency, of length @k from the origin, to all cones that it lies in. */
static void add_frequency(const struct cones *c, struct part *part, const double f[3], double k,
			  const struct part *what)
{
	const size_t shell = (size_t)(k * (double)c->edge + 0.5);
	const float x = (float)(f[0] / k), y = (float)(f[1] / k), z = (float)(f[2] / k);

	for (size_t i = 0; i < c->padded; i += LANES) {
		const lanes *ax = (const lanes *)(c->axis + i),
			    *ay = (const lanes *)(c->axis + c->padded + i),
			    *az = (const lanes *)(c->axis + 2 * c->padded + i);
		const lanes along = x * *ax + y * *ay + z * *az;
		const lanes_i in = (lanes)((lanes_i)along & INT32_MAX) >= c->cosine;
		int any = 0;

		for (int l = 0; l < LANES; l++)
			any |= in[l];
		for (size_t l = 0; any && l < LANES; l++) {
			if (!in[l])
				continue;
			struct part *to = &part[(i + l) * c->shells + shell];

			to->cross += what->cross;
			to->a += what->a;
			to->b += what->b;
			to->samples += what->samples;
		}
	}
}

static double frequency(size_t k, size_t n)
{
	return ((double)k - (2 * k > n ? (double)n : 0)) / (double)n;
}

static void add_row(const struct cones *c, struct part *part, const struct pn_box *box, size_t row,
		    const float complex *a, const float complex *b)
{
	const size_t half = box->nx / 2 + 1;
	const double fz = frequency(row / box->ny, box->nz), fy = frequency(row % box->ny, box->ny);

	for (size_t x = 0; x < half; x++) {
		const double f[3] = { frequency(x, box->nx), fy, fz };
		const double k = sqrt(f[0] * f[0] + fy * fy + fz * fz);
		const size_t shell = (size_t)(k * (double)c->edge + 0.5);
		/* of the others both F and -F stand in the half spectrum */
		const double w = x > 0 && 2 * x < box->nx ? 1 : 0.5;
		const double ar = crealf(a[x]), ai = cimagf(a[x]);
		const double br = crealf(b[x]), bi = cimagf(b[x]);
		const struct part what = { w * (ar * br + ai * bi), w * (ar * ar + ai * ai),
					   w * (br * br + bi * bi), w };

		if (shell >= 1 && shell < c->shells)
			add_frequency(c, part, f, k, &what);
	}
}

/* FSC areas: up to where the correlation first falls to the threshold, as a part of all shells. */
static double cone_area(const struct cones *c, size_t cone)
{
	double area = 0, all = 0;
	int over = 0;

	for (size_t s = 1; s < c->shells; s++) {
		struct part sum = { 0 };

		for (size_t slab = 0; slab < SLABS; slab++) {
			const struct part *p = &c->part[(slab * c->padded + cone) * c->shells + s];

			sum.cross += p->cross;
			sum.a += p->a;
			sum.b += p->b;
			sum.samples += p->samples;
		}
		if (!(sum.samples > 0)) /* so small a shell has nothing in the cone */
			continue;
		const double power = sum.a * sum.b, weight = (double)(s * s);
		const double fsc = power > 0 ? sum.cross / sqrt(power) : 0;

		/* few samples fall below by chance: those do not end it */
		over = over || (fsc <= FSC_ENOUGH && sum.samples >= SAMPLES_ENOUGH);
		all += weight;
		if (!over)
			area += weight * fmax(fsc, 0);
	}
	return all > 0 ? area / all : 0;
}

static int check_half(const float *half, const char *name, const struct pn_box *box,
		      struct pn_error *err)
{
	for (size_t i = 0; i < pn_box_voxels(box); i++)
		if (!isfinite(half[i]))
			return pn_error_set(err, PN_EARG,
					    "cFAR: voxel %zu %zu %zu (z y x) of the %s half is %g",
					    i / box->nx / box->ny, i / box->nx % box->ny,
					    i % box->nx, name, (double)half[i]);
	return PN_OK;
}

static int cones_make(struct cones *c, size_t count, const struct pn_box *box,
		      double half_angle_deg, struct pn_error *err)
{
	if (!count || count > CONES_MAX || !(half_angle_deg > 0 && half_angle_deg <= 90))
		return pn_error_set(err, PN_EARG,
				    "cFAR of %zu cones of %g deg: 1..%d, above 0, 90 at most",
				    count, half_angle_deg, CONES_MAX);
	*c = (struct cones){
		.count = count,
		.padded = (count + LANES - 1) / LANES * LANES,
		.shells = pn_fsc_shells(box),
		.cosine = (float)(cos(half_angle_deg * (M_PI / 180)) - 1e-6),
	};
	c->edge = box->nz > box->ny ? box->nz : box->ny;
	c->edge = c->edge > box->nx ? c->edge : box->nx;
	c->axis = calloc(3 * c->padded, sizeof *c->axis);
	c->part = calloc(SLABS * c->padded * c->shells, sizeof *c->part);
	if (!c->axis || !c->part)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu cones of %zu shells", count,
				    c->shells);
	for (size_t i = 0; i < count; i++) {
		double v[3];

		fibonacci(v, i, count);
		for (size_t a = 0; a < 3; a++)
			c->axis[a * c->padded + i] = (float)v[a];
	}
	return PN_OK;
}

/* Both transforms, then one pass over all frequencies. */
static int add_halves(const struct cones *c, const float *half_a, const float *half_b,
		      const struct pn_box *box, struct pn_error *err)
{
	const size_t rows = box->nz * box->ny, half = box->nx / 2 + 1;
	struct pn_fft3 *fft;
	int rc = pn_fft3_plan(&fft, box->nz, box->ny, box->nx, err);

	if (rc)
		return rc;
	float complex *a = pn_fft_alloc(pn_fft3_spectrum(fft) * sizeof *a);
	float complex *b = pn_fft_alloc(pn_fft3_spectrum(fft) * sizeof *b);

	if (a && b) {
		pn_fft3_forward(fft, half_a, box->nz, box->ny, box->nx, a);
		pn_fft3_forward(fft, half_b, box->nz, box->ny, box->nx, b);
#pragma omp parallel for schedule(dynamic)
		for (size_t slab = 0; slab < SLABS; slab++)
			for (size_t row = rows * slab / SLABS; row < rows * (slab + 1) / SLABS;
			     row++)
				add_row(c, c->part + slab * c->padded * c->shells, box, row,
					a + row * half, b + row * half);
	} else {
		rc = pn_error_set(err, PN_ENOMEM,
				  "no memory for the transforms of %zu x %zu x %zu voxels", box->nz,
				  box->ny, box->nx);
	}
	pn_fft_free(a);
	pn_fft_free(b);
	pn_fft3_destroy(fft);
	return rc;
}

int pn_conical_far(double *far, double *area, size_t cones, const float *half_a,
		   const float *half_b, const struct pn_box *box, double half_angle_deg,
		   struct pn_error *err)
{
	struct cones c = { 0 };
	double least = INFINITY, largest = 0;
	int rc = cones_make(&c, cones, box, half_angle_deg, err);

	if (!rc)
		rc = check_half(half_a, "first", box, err);
	if (!rc)
		rc = check_half(half_b, "second", box, err);
	if (!rc)
		rc = add_halves(&c, half_a, half_b, box, err);
	for (size_t i = 0; !rc && i < cones; i++) {
		const double here = cone_area(&c, i);

		least = fmin(least, here);
		largest = fmax(largest, here);
		if (area)
			area[i] = here;
	}
	if (!rc)
		*far = largest > 0 ? least / largest : 0;
	free(c.axis);
	free(c.part);
	return rc;
}

/* ---- how resolution grows ------------------------------------------------------------------- */

void pn_ssnr(double *ssnr, const double *fsc, size_t shells)
{
	for (size_t s = 0; s < shells; s++)
		ssnr[s] = !(fsc[s] > 0) ? 0 : fsc[s] < 1 ? 2 * fsc[s] / (1 - fsc[s]) : INFINITY;
}

static double length_of(double inverse_square)
{
	return inverse_square > 0 ? 1 / sqrt(inverse_square) : INFINITY;
}

/*
 * Two sided 68.27 % of Student's t of so many degrees of freedom, in standard deviations: Cornish
 * and Fisher's expansion, 1.5 % short for one, 1e-3 for three and more.
 */
static double student(double freedom)
{
	return 1 + 1 / freedom * (0.5 + 1 / freedom * (0.25 + 1 / freedom * 0.0625));
}

/* Sums of a straight line y = mean_y + xy / xx (x - mean_x). */
struct line {
	double n, mean_x, mean_y, xx, xy, rest;
};

static int useful(double d, double limit_A)
{
	return isfinite(d) && d > limit_A;
}

static void fit_line(struct line *l, const double *frames, const double *resolution_A,
		     size_t points, double limit_A)
{
	*l = (struct line){ 0 };
	for (int pass = 0; pass < 3; pass++)
		for (size_t i = 0; i < points; i++) {
			if (!useful(resolution_A[i], limit_A))
				continue;
			const double dx = log(frames[i]) - l->mean_x;
			const double dy = 1 / (resolution_A[i] * resolution_A[i]) - l->mean_y;

			if (pass == 0) {
				l->n++;
				l->mean_x += dx / l->n;
				l->mean_y += dy / l->n;
			} else if (pass == 1) {
				l->xx += dx * dx;
				l->xy += dx * dy;
			} else {
				l->rest += (dy - l->xy / l->xx * dx) * (dy - l->xy / l->xx * dx);
			}
		}
}

static int check_plot(const double *frames, size_t points, double limit_A, double more,
		      struct pn_error *err)
{
	double last = 0;

	for (size_t i = 0; i < points; i++) {
		if (!(frames[i] > last) || !isfinite(frames[i]))
			return pn_error_set(err, PN_EARG,
					    "point %zu of a resolution plot: %g frames after %g", i,
					    frames[i], last);
		last = frames[i];
	}
	if (!(more >= 0) || !isfinite(more) || !(limit_A >= 0))
		return pn_error_set(err, PN_EARG, "%g frames more, limit %g A: must be 0 or more",
				    more, limit_A);
	return PN_OK;
}

int pn_gain_predict(struct pn_gain *gain, const double *frames, const double *resolution_A,
		    size_t points, double limit_A, double more, struct pn_error *err)
{
	struct line l;
	int rc = check_plot(frames, points, limit_A, more, err);

	if (rc)
		return rc;
	fit_line(&l, frames, resolution_A, points, limit_A);
	if (l.n < 3)
		return pn_error_set(err, PN_EAGAIN,
				    "%g of %zu points of a resolution plot are of use: 3 at least",
				    l.n, points);
	const double slope = l.xy / l.xx, scatter = l.rest / (l.n - 2), last = frames[points - 1];
	const double x = log(last + more) - l.mean_x, next = l.mean_y + slope * x;
	const double sigma = student(l.n - 2) * sqrt(scatter * (1 + 1 / l.n + x * x / l.xx));

	*gain = (struct pn_gain){
		.slope = slope,
		.offset = l.mean_y - slope * l.mean_x,
		.slope_uncertainty = sqrt(scatter / l.xx),
		.resolution_A = length_of(l.mean_y + slope * (log(last) - l.mean_x)),
		.next_A = length_of(next),
		.next_low_A = length_of(next + sigma),
		.next_high_A = length_of(next - sigma),
		.points = (size_t)l.n,
	};
	return PN_OK;
}
