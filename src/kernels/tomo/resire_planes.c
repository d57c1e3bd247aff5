/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * RESIRE for tilts about y. The transform along y and its inverse cancel, so each plane of constant
 * y is a 2D problem. Planes are held LANES at a time, y fastest: back-projection then reads whole
 * vectors, and shares its weights among them.
 */
#include "perrin/math/fft.h"

#include "grid.h"
#include "resire_parts.h"

#include <complex.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { LANES = 8 };

typedef float pack __attribute__((vector_size(LANES * sizeof(float))));

/* where a point of a slice lies in the half spectrum [mz][half], and what becomes of it */
struct sample {
	int32_t at[2];      /* the two kz of the lower kx */
	float fz, fx;       /* weight of the second kz and kx */
	float complex turn; /* shift of the image, and 1/mx */
	float conjugate;    /* -1 if its mate at -k was read */
};

/* one thread's */
struct scratch {
	float *rows;             /* [nz][mx] zero but for the plane  */
	float complex *lines;    /* [nz][half]                       */
	float complex *padded;   /* [mz][half] zero but for the lines */
	float complex *spectrum; /* [mz][half]                       */
	float complex *slices;   /* [count][half]                    */
	float *seen;             /* [count][mx]                      */
	float *gradient;         /* [nx][LANES]                      */
};

struct planes {
	size_t tiles, nz, ny, nx, count, width; /* width: of an image */
	size_t mz, mx, half;
	struct pn_fft *to_lines, *to_spectrum, *to_seen;
	struct sample *sample;   /* [count][half] */
	double (*rotation)[3];   /* [count] x, z, and shift of x */
	float *volume;           /* [tiles][nz][nx][LANES] */
	float *measured;         /* [tiles][count][width][LANES] */
	float *difference;       /* [tiles][count][width + 1][LANES], the last column 0 */
	uint8_t *support;        /* as volume; or NULL */
	double *sums;            /* [tiles][2][count] */
	struct scratch *scratch; /* [threads] */
	int threads;
};

static void planes_close(void *self)
{
	struct planes *p = self;

	if (!p)
		return;
	for (int t = 0; p->scratch && t < p->threads; t++) {
		struct scratch *s = &p->scratch[t];
		void *all[] = { s->rows,   s->lines, s->padded,  s->spectrum,
				s->slices, s->seen,  s->gradient };

		for (size_t i = 0; i < PN_COUNT(all); i++)
			pn_fft_free(all[i]);
	}
	pn_fft_destroy(p->to_lines);
	pn_fft_destroy(p->to_spectrum);
	pn_fft_destroy(p->to_seen);
	free(p->sample);
	free(p->rotation);
	free(p->sums);
	free(p->scratch);
	pn_fft_free(p->volume);
	pn_fft_free(p->measured);
	pn_fft_free(p->difference);
	pn_fft_free(p->support);
	free(p);
}

static size_t voxels_of(const struct planes *p)
{
	return p->tiles * p->nz * p->nx * LANES;
}

static size_t pixels_of(const struct planes *p, size_t around)
{
	return p->tiles * p->count * (p->width + around) * LANES;
}

static size_t scratch_bytes(const struct planes *p)
{
	return p->nz * p->mx * sizeof(float) + p->count * p->mx * sizeof(float) +
	       (p->nz + 2 * p->mz + p->count) * p->half * sizeof(float complex) +
	       p->nx * LANES * sizeof(float);
}

static size_t bytes_of(const struct planes *p, int support)
{
	return voxels_of(p) * (sizeof(float) + (support ? 1 : 0)) +
	       (pixels_of(p, 0) + pixels_of(p, 1)) * sizeof(float) +
	       p->count * (p->half * sizeof *p->sample + sizeof *p->rotation) +
	       p->tiles * 2 * p->count * sizeof *p->sums +
	       (size_t)p->threads * (sizeof *p->scratch + scratch_bytes(p));
}

static int allocate(struct planes *p, int support)
{
	int whole = 1;

	p->sample = malloc(p->count * p->half * sizeof *p->sample);
	p->rotation = malloc(p->count * sizeof *p->rotation);
	p->sums = malloc(p->tiles * 2 * p->count * sizeof *p->sums);
	p->volume = pn_fft_alloc(voxels_of(p) * sizeof(float));
	p->measured = pn_fft_alloc(pixels_of(p, 0) * sizeof(float));
	p->difference = pn_fft_alloc(pixels_of(p, 1) * sizeof(float));
	if (support)
		p->support = pn_fft_alloc(voxels_of(p));
	p->scratch = calloc((size_t)p->threads, sizeof *p->scratch);
	if (!p->sample || !p->rotation || !p->sums || !p->volume || !p->measured ||
	    !p->difference || (support && !p->support) || !p->scratch)
		return 0;
	for (int t = 0; t < p->threads; t++) {
		struct scratch *s = &p->scratch[t];

		s->rows = pn_fft_alloc(p->nz * p->mx * sizeof(float));
		s->lines = pn_fft_alloc(p->nz * p->half * sizeof(float complex));
		s->padded = pn_fft_alloc(p->mz * p->half * sizeof(float complex));
		s->spectrum = pn_fft_alloc(p->mz * p->half * sizeof(float complex));
		s->slices = pn_fft_alloc(p->count * p->half * sizeof(float complex));
		s->seen = pn_fft_alloc(p->count * p->mx * sizeof(float));
		s->gradient = pn_fft_alloc(p->nx * LANES * sizeof(float));
		whole = whole && s->rows && s->lines && s->padded && s->spectrum && s->slices &&
			s->seen && s->gradient;
	}
	return whole;
}

/* The point kx of slice k, read at its mate if that is where the half spectrum is. */
static struct sample sample_at(const struct planes *p, const double *rotation, size_t kx)
{
	double x = (double)kx * rotation[0],
	       z = (double)kx * rotation[1] * (double)p->mz / (double)p->mx,
	       angle = -2 * M_PI * (double)kx * rotation[2] / (double)p->mx;
	struct sample s = { .turn = (float complex)(cexp(I * angle) / (double)p->mx),
			    .conjugate = 1 };

	if (x < 0) {
		x = -x;
		z = -z;
		s.conjugate = -1;
	}
	if (x > (double)(p->mx / 2) || fabs(z) > (double)(p->mz / 2))
		s.turn = 0; /* beyond what the grid resolves */
	size_t x0 = (size_t)fmin(floor(x), (double)(p->half - 2));
	long z0 = (long)floor(fmax(fmin(z, (double)(p->mz / 2)), -(double)(p->mz / 2)));

	s.fx = (float)fmin(x - (double)x0, 1);
	s.fz = (float)(z - floor(z));
	for (int i = 0; i < 2; i++) {
		size_t row = (size_t)(z0 + i + (long)p->mz) % p->mz;

		s.at[i] = (int32_t)(row * p->half + x0);
	}
	return s;
}

/* y of the volume and of the images count from the same plane: both are as high */
static void import(struct planes *p, const struct pn_resire_job *job)
{
	const struct pn_projections *in = job->projections;

	for (size_t k = 0; k < p->count; k++) {
		p->rotation[k][0] = in->pose[k].rotation[0][0];
		p->rotation[k][1] = in->pose[k].rotation[0][2];
		p->rotation[k][2] = in->pose[k].shift_px[0];
		for (size_t kx = 0; kx < p->half; kx++)
			p->sample[k * p->half + kx] = sample_at(p, p->rotation[k], kx);
	}
	for (size_t y = 0; y < p->ny; y++) {
		size_t tile = y / LANES, lane = y % LANES;

		for (size_t k = 0; k < p->count; k++)
			for (size_t x = 0; x < p->width; x++)
				p->measured[((tile * p->count + k) * p->width + x) * LANES + lane] =
					in->image[(k * p->ny + y) * p->width + x];
		for (size_t z = 0; z < p->nz; z++)
			for (size_t x = 0; x < p->nx; x++) {
				size_t from = (z * p->ny + y) * p->nx + x,
				       to = ((tile * p->nz + z) * p->nx + x) * LANES + lane;

				if (job->support)
					p->support[to] = job->support[from] != 0;
				if (job->initial && (!job->support || job->support[from]))
					p->volume[to] = job->initial[from];
			}
	}
}

static void planes_export(const void *self, float *volume)
{
	const struct planes *p = self;

	for (size_t z = 0; z < p->nz; z++)
		for (size_t y = 0; y < p->ny; y++)
			for (size_t x = 0; x < p->nx; x++)
				volume[(z * p->ny + y) * p->nx + x] =
					p->volume[((y / LANES * p->nz + z) * p->nx + x) * LANES +
						  y % LANES];
}

static int planes_open(void **self, const struct pn_resire_job *job, struct pn_error *err)
{
	const struct pn_box *box = job->box;
	struct planes *p = calloc(1, sizeof *p);
	int rc;

	if (!p)
		return pn_error_set(err, PN_ENOMEM, "RESIRE: no memory (%zu bytes)", sizeof *p);
	*p = (struct planes){ .tiles = (box->ny + LANES - 1) / LANES,
			      .nz = box->nz,
			      .ny = box->ny,
			      .nx = box->nx,
			      .count = job->projections->count,
			      .width = job->projections->nx,
			      .mz = job->mz,
			      .mx = job->mx,
			      .half = job->mx / 2 + 1,
			      .threads = omp_get_max_threads() };
	rc = pn_fft_plan_lines(&p->to_lines, PN_FFT_R2C, p->mx, p->nz, 0, err);
	if (!rc)
		rc = pn_fft_plan_lines(&p->to_spectrum, PN_FFT_FORWARD, p->mz, p->half, 0, err);
	if (!rc)
		rc = pn_fft_plan_lines(&p->to_seen, PN_FFT_C2R, p->mx, p->count, 0, err);
	if (!rc && !allocate(p, job->support != NULL))
		rc = pn_error_set(
			err, PN_ENOMEM,
			"RESIRE: %zu x %zu x %zu voxels from %zu projections need %zu bytes", p->nz,
			p->ny, p->nx, p->count, bytes_of(p, job->support != NULL));
	if (rc) {
		planes_close(p);
		return rc;
	}
	import(p, job);
	*self = p;
	return PN_OK;
}

/* one plane of a tile [nz][nx][LANES] -> spectrum about the origin of the volume */
static void transform(const struct planes *p, struct scratch *s, const float *tile)
{
	size_t below = p->nz / 2, above = p->nz - below;

	for (size_t z = 0; z < p->nz; z++) {
		float *row = s->rows + z * p->mx;
		const float *from = tile + z * p->nx * LANES;

		for (size_t x = 0; x < p->nx / 2; x++)
			row[p->mx - p->nx / 2 + x] = from[x * LANES];
		for (size_t x = p->nx / 2; x < p->nx; x++)
			row[x - p->nx / 2] = from[x * LANES];
	}
	pn_fft_execute(p->to_lines, s->rows, s->lines);
	memcpy(s->padded + (p->mz - below) * p->half, s->lines, below * p->half * sizeof *s->lines);
	memcpy(s->padded, s->lines + below * p->half, above * p->half * sizeof *s->lines);
	pn_fft_execute(p->to_spectrum, s->padded, s->spectrum);
}

/* read the slices of all projections off the spectrum: bilinear, as y is on the grid */
static void slice(const struct planes *p, struct scratch *s)
{
	const float *spectrum = (const float *)s->spectrum;

	for (size_t i = 0; i < p->count * p->half; i++) {
		const struct sample *q = &p->sample[i];
		const float *a = spectrum + 2 * (size_t)q->at[0],
			    *b = spectrum + 2 * (size_t)q->at[1];
		float low[2], high[2];

		for (int c = 0; c < 2; c++) {
			low[c] = a[c] + q->fz * (b[c] - a[c]);
			high[c] = a[2 + c] + q->fz * (b[2 + c] - a[2 + c]);
			low[c] += q->fx * (high[c] - low[c]);
		}
		float re = crealf(q->turn), im = cimagf(q->turn), v = low[1] * q->conjugate;

		s->slices[i] = __builtin_complex(low[0] * re - v * im, low[0] * im + v * re);
	}
	pn_fft_execute(p->to_seen, s->slices, s->seen);
}

/* difference = measured - what was put into it, and its sums over the lanes in use */
static void compare(const struct planes *p, size_t tile, size_t lanes)
{
	size_t pitch = (p->width + 1) * LANES;

	for (size_t k = 0; k < p->count; k++) {
		float *d = p->difference + (tile * p->count + k) * pitch;
		const float *m = p->measured + (tile * p->count + k) * p->width * LANES;
		double sum1[LANES] = { 0 }, sum2[LANES] = { 0 };

		for (size_t x = 0; x < p->width; x++)
			for (size_t l = 0; l < LANES; l++) {
				float v = d[x * LANES + l] - m[x * LANES + l];

				d[x * LANES + l] = v;
				sum1[l] += (double)fabsf(v);
				sum2[l] += (double)v * (double)v;
			}
		double *sums = p->sums + tile * 2 * p->count;

		sums[k] = sums[p->count + k] = 0;
		for (size_t l = 0; l < lanes; l++) {
			sums[k] += sum1[l];
			sums[p->count + k] += sum2[l];
		}
	}
}

static void project_tile(const struct planes *p, struct scratch *s, size_t tile)
{
	size_t lanes = p->ny - tile * LANES < LANES ? p->ny - tile * LANES : LANES;
	size_t pitch = (p->width + 1) * LANES;

	for (size_t lane = 0; lane < lanes; lane++) {
		transform(p, s, p->volume + tile * p->nz * p->nx * LANES + lane);
		slice(p, s);
		for (size_t k = 0; k < p->count; k++) {
			float *d = p->difference + (tile * p->count + k) * pitch + lane;
			const float *seen = s->seen + k * p->mx;

			for (size_t x = 0; x < p->width; x++)
				d[x * LANES] = seen[pn_grid_wrap(x, p->width, p->mx)];
		}
	}
	compare(p, tile, lanes);
}

static void planes_project(void *self, double *sum1, double *sum2)
{
	struct planes *p = self;

#pragma omp parallel for schedule(dynamic) num_threads(p->threads)
	for (size_t tile = 0; tile < p->tiles; tile++)
		project_tile(p, &p->scratch[omp_get_thread_num()], tile);
	for (size_t k = 0; k < p->count; k++) {
		sum1[k] = sum2[k] = 0;
		for (size_t tile = 0; tile < p->tiles; tile++) {
			sum1[k] += p->sums[tile * 2 * p->count + k];
			sum2[k] += p->sums[tile * 2 * p->count + p->count + k];
		}
	}
}

/*
 * Add image k, seen along a row of voxels, to the row's gradient. Voxels seen beyond the centers of
 * the outermost pixels read nothing, as in the authors' code.
 */
static void back_project_row(pack *restrict gradient, const pack *restrict image, int nx,
			     float first, float step, float last)
{
	int from = 0, to = nx;

	while (from < to &&
	       !(first + step * (float)from >= 0 && first + step * (float)from <= last))
		from++;
	while (to > from &&
	       !(first + step * (float)(to - 1) >= 0 && first + step * (float)(to - 1) <= last))
		to--;
	for (int x = from; x < to; x++) {
		float u = first + step * (float)x;
		int at = (int)u;
		float w = u - (float)at;

		gradient[x] += image[at] + w * (image[at + 1] - image[at]);
	}
}

static void update_tile(const struct planes *p, struct scratch *s, size_t tile, float dt)
{
	size_t columns = p->width + 1;

	for (size_t z = 0; z < p->nz; z++) {
		double depth = (double)z - (double)(p->nz / 2), left = -(double)(p->nx / 2);
		size_t row = (tile * p->nz + z) * p->nx * LANES;
		float *u = p->volume + row, *g = s->gradient;

		memset(g, 0, p->nx * LANES * sizeof *g);
		for (size_t k = 0; k < p->count; k++) {
			const double *r = p->rotation[k];
			double first = r[0] * left + r[1] * depth + r[2] + (double)(p->width / 2);

			back_project_row((pack *)g,
					 (const pack *)(p->difference +
							(tile * p->count + k) * columns * LANES),
					 (int)p->nx, (float)first, (float)r[0],
					 (float)(p->width - 1));
		}
		for (size_t i = 0; i < p->nx * LANES; i++)
			u[i] = u[i] - dt * g[i] > 0 ? u[i] - dt * g[i] : 0;
		for (size_t i = 0; p->support && i < p->nx * LANES; i++)
			u[i] *= (float)p->support[row + i];
	}
}

static void planes_update(void *self, float dt)
{
	struct planes *p = self;

#pragma omp parallel for schedule(dynamic) num_threads(p->threads)
	for (size_t tile = 0; tile < p->tiles; tile++)
		update_tile(p, &p->scratch[omp_get_thread_num()], tile, dt);
}

const struct pn_resire_engine pn_resire_planes = {
	.open = planes_open,
	.project = planes_project,
	.update = planes_update,
	.export = planes_export,
	.close = planes_close,
};
