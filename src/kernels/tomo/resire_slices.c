/* SPDX-License-Identifier: GPL-3.0-or-later */
/* RESIRE for any pose: slices of the 3D transform. */
#include "perrin/math/fft.h"
#include "perrin/math/fft3.h"

#include "grid.h"
#include "resire_parts.h"

#include <complex.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* a point of a slice, and the eight numbers it is interpolated from */
struct place {
	ptrdiff_t at, up, deep;
	float fx, fy, fz, sign;
	float complex turn;
};

/* one thread's */
struct scratch {
	struct place *place;  /* [2][half] */
	float complex *slice; /* [my][half] */
	float complex *rows;  /* [height][half] */
	float *seen;          /* [height][mx] */
	float complex *turn;  /* [half] */
	float *gradient;      /* [nx] */
	int *at;              /* [nx] */
	float *fu, *fv;       /* [nx] */
};

struct slices {
	size_t nz, ny, nx, count, height, width; /* height, width: of an image */
	size_t mz, my, mx, half;
	struct pn_fft3 *to_spectrum;
	struct pn_fft *columns, *to_seen;
	const struct pn_projections *in;
	const uint8_t *support;
	float *volume;           /* [nz][ny][nx] */
	float complex *spectrum; /* [mz][my][half], the box in its corner */
	float complex *turn_z, *turn_y,
		*turn_x;         /* to the origin of the volume, [mz], [my], [half + 1] */
	float *difference;       /* [count][height + 1][width + 1], the last ones 0 */
	struct scratch *scratch; /* [threads] */
	int threads;
};

static void slices_close(void *self)
{
	struct slices *p = self;

	if (!p)
		return;
	for (int t = 0; p->scratch && t < p->threads; t++) {
		free(p->scratch[t].place);
		pn_fft_free(p->scratch[t].slice);
		pn_fft_free(p->scratch[t].rows);
		pn_fft_free(p->scratch[t].seen);
		pn_fft_free(p->scratch[t].turn);
		pn_fft_free(p->scratch[t].gradient);
		free(p->scratch[t].at);
		free(p->scratch[t].fu);
		free(p->scratch[t].fv);
	}
	pn_fft3_destroy(p->to_spectrum);
	pn_fft_destroy(p->columns);
	pn_fft_destroy(p->to_seen);
	pn_fft_free(p->volume);
	pn_fft_free(p->spectrum);
	pn_fft_free(p->turn_z);
	pn_fft_free(p->turn_y);
	pn_fft_free(p->turn_x);
	pn_fft_free(p->difference);
	free(p->scratch);
	free(p);
}

static size_t pitch_of(const struct slices *p)
{
	return p->width + 1;
}

static size_t image_of(const struct slices *p)
{
	return (p->height + 1) * pitch_of(p);
}

static size_t bytes_of(const struct slices *p)
{
	return (p->nz * p->ny * p->nx + p->count * image_of(p)) * sizeof(float) +
	       (p->mz * p->my * p->half + p->mz + p->my + p->half + 1) * sizeof(float complex) +
	       (size_t)p->threads * (sizeof(struct scratch) + 2 * p->half * sizeof(struct place) +
				     (p->my + p->height + 1) * p->half * sizeof(float complex) +
				     p->height * p->mx * sizeof(float) +
				     p->nx * (3 * sizeof(float) + sizeof(int)));
}

static int allocate(struct slices *p)
{
	int whole = 1;

	p->volume = pn_fft_alloc(p->nz * p->ny * p->nx * (3 * sizeof(float) + sizeof(int)));
	p->spectrum = pn_fft_alloc(p->mz * p->my * p->half * sizeof(float complex));
	p->turn_z = pn_fft_alloc(p->mz * sizeof(float complex));
	p->turn_y = pn_fft_alloc(p->my * sizeof(float complex));
	p->turn_x = pn_fft_alloc((p->half + 1) * sizeof(float complex));
	p->difference = pn_fft_alloc(p->count * image_of(p) * sizeof(float));
	p->scratch = calloc((size_t)p->threads, sizeof *p->scratch);
	if (!p->volume || !p->spectrum || !p->turn_z || !p->turn_y || !p->turn_x ||
	    !p->difference || !p->scratch)
		return 0;
	for (int t = 0; t < p->threads; t++) {
		struct scratch *s = &p->scratch[t];

		s->place = malloc(2 * p->half * sizeof *s->place);
		s->slice = pn_fft_alloc(p->my * p->half * sizeof(float complex));
		s->rows = pn_fft_alloc(p->height * p->half * sizeof(float complex));
		s->seen = pn_fft_alloc(p->height * p->mx * sizeof(float));
		s->turn = pn_fft_alloc(p->half * sizeof(float complex));
		s->gradient = pn_fft_alloc(p->nx * sizeof *s->gradient);
		s->at = malloc(p->nx * sizeof *s->at);
		s->fu = malloc(p->nx * sizeof *s->fu);
		s->fv = malloc(p->nx * sizeof *s->fv);
		whole = whole && s->at && s->fu && s->fv && s->place && s->turn && s->slice &&
			s->rows && s->seen && s->gradient;
	}
	return whole;
}

/* the factor that moves the origin from the corner of the box to its voxel n/2 */
static void turns(float complex *turn, size_t count, size_t n, size_t m)
{
	for (size_t k = 0; k < count; k++)
		turn[k] = (float complex)cexp(2 * M_PI * I * (double)(k * (n / 2) % m) / (double)m);
}

static int slices_open(void **self, const struct pn_resire_job *job, struct pn_error *err)
{
	const struct pn_box *box = job->box;
	struct slices *p = calloc(1, sizeof *p);
	int rc;

	if (!p)
		return pn_error_set(err, PN_ENOMEM, "RESIRE: no memory (%zu bytes)", sizeof *p);
	*p = (struct slices){ .nz = box->nz,
			      .ny = box->ny,
			      .nx = box->nx,
			      .count = job->projections->count,
			      .height = job->projections->ny,
			      .width = job->projections->nx,
			      .mz = job->mz,
			      .my = job->my,
			      .mx = job->mx,
			      .half = job->mx / 2 + 1,
			      .in = job->projections,
			      .support = job->support,
			      .threads = omp_get_max_threads() };
	rc = pn_fft3_plan(&p->to_spectrum, p->mz, p->my, p->mx, err);
	if (!rc)
		rc = pn_fft_plan_lines(&p->columns, PN_FFT_BACKWARD, p->my, p->half, 1, err);
	if (!rc)
		rc = pn_fft_plan_lines(&p->to_seen, PN_FFT_C2R, p->mx, p->height, 0, err);
	if (!rc && !allocate(p))
		rc = pn_error_set(
			err, PN_ENOMEM,
			"RESIRE: %zu x %zu x %zu voxels from %zu projections need %zu bytes", p->nz,
			p->ny, p->nx, p->count, bytes_of(p));
	if (rc) {
		slices_close(p);
		return rc;
	}
	turns(p->turn_z, p->mz, p->nz, p->mz);
	turns(p->turn_y, p->my, p->ny, p->my);
	turns(p->turn_x, p->half + 1, p->nx, p->mx);
	for (size_t i = 0; job->initial && i < p->nz * p->ny * p->nx; i++)
		if (!job->support || job->support[i])
			p->volume[i] = job->initial[i];
	*self = p;
	return PN_OK;
}

/* without the care that C takes of infinities */
static inline float complex times(float complex a, float complex b)
{
	return __builtin_complex(crealf(a) * crealf(b) - cimagf(a) * cimagf(b),
				 crealf(a) * cimagf(b) + cimagf(a) * crealf(b));
}

/*
 * Where a point of a slice lies in the spectrum, and how it is read there: by trilinear
 * interpolation of the transform about the volume's origin. The spectrum at hand is that about the
 * corner of the box: neighbors differ by constant factors, and @turn is that of the first.
 */
static inline struct place locate(const struct slices *p, float x, float y, float z)
{
	int my = (int)p->my, mz = (int)p->mz, last = (int)p->half - 2;
	float sign = x < 0 ? -1 : 1; /* its mate is read where x < 0 */
	struct place place = { .sign = sign };

	if (fabsf(x) > (float)(p->mx / 2) || fabsf(y) > (float)(my / 2) ||
	    fabsf(z) > (float)(mz / 2))
		return place; /* beyond what the grid resolves: turn is 0 */
	int x0 = (int)(sign * x) < last ? (int)(sign * x) : last,
	    y0 = (int)(sign * y + (float)my) - my, z0 = (int)(sign * z + (float)mz) - mz;
	int ya = y0 < 0 ? y0 + my : y0, za = z0 < 0 ? z0 + mz : z0;
	ptrdiff_t line = (ptrdiff_t)p->half, plane = line * my;

	place.fx = sign * x - (float)x0;
	place.fy = sign * y - (float)y0;
	place.fz = sign * z - (float)z0;
	place.up = ya + 1 < my ? line : line - plane;
	place.deep = za + 1 < mz ? plane : plane - plane * mz;
	place.at = za * plane + ya * line + x0;
	place.turn = times(p->turn_x[x0], times(p->turn_y[ya], p->turn_z[za]));
	return place;
}

static inline float complex trilinear(const struct slices *p, const struct place *w)
{
	const float complex *corner = p->spectrum + w->at;
	const float complex *line[4] = { corner, corner + w->deep, corner + w->up,
					 corner + w->up + w->deep };
	float tx[2] = { w->fx * crealf(p->turn_x[1]), w->fx * cimagf(p->turn_x[1]) },
	      ty[2] = { w->fy * crealf(p->turn_y[1]), w->fy * cimagf(p->turn_y[1]) },
	      tz[2] = { w->fz * crealf(p->turn_z[1]), w->fz * cimagf(p->turn_z[1]) };
	float re[4], im[4];

	for (int i = 0; i < 4; i++) {
		const float *f = (const float *)line[i];

		re[i] = (1 - w->fx) * f[0] + tx[0] * f[2] - tx[1] * f[3];
		im[i] = (1 - w->fx) * f[1] + tx[0] * f[3] + tx[1] * f[2];
	}
	for (int i = 0; i < 2; i++) {
		float r = (1 - w->fy) * re[i] + ty[0] * re[i + 2] - ty[1] * im[i + 2];

		im[i] = (1 - w->fy) * im[i] + ty[0] * im[i + 2] + ty[1] * re[i + 2];
		re[i] = r;
	}
	float r = (1 - w->fz) * re[0] + tz[0] * re[1] - tz[1] * im[1],
	      m = (1 - w->fz) * im[0] + tz[0] * im[1] + tz[1] * re[1];

	return times(__builtin_complex(r, m), w->turn);
}

/* the row ky of the central plane of a projection; asks for the lines it will read */
static void locate_row(const struct slices *p, const struct pn_pose *pose, double ky,
		       struct place *place)
{
	double mz = (double)p->mz, my = (double)p->my, mx = (double)p->mx;
	const double(*r)[3] = pose->rotation;
	float x0 = (float)(ky * r[1][0] * mx / my), y0 = (float)(ky * r[1][1]),
	      z0 = (float)(ky * r[1][2] * mz / my), dx = (float)r[0][0],
	      dy = (float)(r[0][1] * my / mx), dz = (float)(r[0][2] * mz / mx);

	for (int kx = 0; kx < (int)p->half; kx++) {
		place[kx] =
			locate(p, x0 + dx * (float)kx, y0 + dy * (float)kx, z0 + dz * (float)kx);
		const float complex *corner = p->spectrum + place[kx].at;

		__builtin_prefetch(corner);
		__builtin_prefetch(corner + place[kx].deep);
		__builtin_prefetch(corner + place[kx].up);
		__builtin_prefetch(corner + place[kx].up + place[kx].deep);
	}
}

/* read it, the image's shift applied */
static void read_row(const struct slices *p, const struct pn_pose *pose, double ky,
		     const struct place *place, const float complex *turn_x, float complex *out)
{
	double angle = -2 * M_PI * ky * pose->shift_px[1] / (double)p->my;
	float complex turn_y = (float complex)__builtin_complex(cos(angle), sin(angle));

	for (size_t kx = 0; kx < p->half; kx++) {
		float complex v = trilinear(p, &place[kx]);

		v = __builtin_complex(crealf(v), place[kx].sign * cimagf(v));
		out[kx] = times(times(v, turn_x[kx]), turn_y);
	}
}

/*
 * The central plane of a projection as half a spectrum, rows -my/2 to my/2, each located while the
 * one before is read. Its authors take the real part of the whole plane's transform: that is the
 * mean of the two edges +-my/2, which are one row here.
 */
static void slice(const struct slices *p, const struct pn_pose *pose, struct scratch *s)
{
	long edge = (long)(p->my / 2);
	float complex *last = s->slice + (size_t)edge * p->half;

	for (size_t kx = 0; kx < p->half; kx++) {
		double angle = -2 * M_PI * (double)kx * pose->shift_px[0] / (double)p->mx;

		s->turn[kx] = (float complex)(__builtin_complex(cos(angle), sin(angle)) /
					      ((double)p->mx * (double)p->my));
	}
	locate_row(p, pose, -(double)edge, s->place);
	for (long ky = -edge; ky <= edge; ky++) {
		const struct place *place = s->place + (size_t)(ky + edge) % 2 * p->half;
		float complex *row = s->slice + (size_t)(ky < 0 ? ky + (long)p->my : ky) * p->half;

		if (ky < edge)
			locate_row(p, pose, (double)(ky + 1),
				   s->place + (size_t)(ky + edge + 1) % 2 * p->half);
		read_row(p, pose, (double)ky, place, s->turn, ky < edge ? row : s->rows);
	}
	for (size_t kx = 0; kx + 1 < p->half; kx++)
		last[kx] = (last[kx] + s->rows[kx]) / 2;
	last[p->half - 1] = s->rows[p->half - 1];
}

static void project_one(const struct slices *p, struct scratch *s, size_t k, double *sum1,
			double *sum2)
{
	float *d = p->difference + k * image_of(p);
	const float *m = p->in->image + k * p->height * p->width;
	double absolute = 0, squared = 0;

	slice(p, &p->in->pose[k], s);
	pn_fft_execute(p->columns, s->slice, s->slice);
	for (size_t y = 0; y < p->height; y++)
		memcpy(s->rows + y * p->half,
		       s->slice + pn_grid_wrap(y, p->height, p->my) * p->half,
		       p->half * sizeof *s->rows);
	pn_fft_execute(p->to_seen, s->rows, s->seen);
	for (size_t y = 0; y < p->height; y++)
		for (size_t x = 0; x < p->width; x++) {
			float v = s->seen[y * p->mx + pn_grid_wrap(x, p->width, p->mx)] -
				  m[y * p->width + x];

			d[y * pitch_of(p) + x] = v;
			absolute += (double)fabsf(v);
			squared += (double)v * (double)v;
		}
	*sum1 = absolute;
	*sum2 = squared;
}

static void slices_project(void *self, double *sum1, double *sum2)
{
	struct slices *p = self;

	pn_fft3_forward(p->to_spectrum, p->volume, p->nz, p->ny, p->nx, p->spectrum);
#pragma omp parallel for schedule(dynamic) num_threads(p->threads)
	for (size_t k = 0; k < p->count; k++)
		project_one(p, &p->scratch[omp_get_thread_num()], k, &sum1[k], &sum2[k]);
}

static int inside(float u, float right, float v, float top)
{
	return u >= 0 && u <= right && v >= 0 && v <= top;
}

typedef float pair __attribute__((vector_size(2 * sizeof(float))));

static inline pair load_pair(const float *from)
{
	pair value;

	memcpy(&value, from, sizeof value);
	return value;
}

/*
 * Add image k, seen along a row of voxels, to the row's gradient. Voxels seen beyond the centers of
 * the outermost pixels read nothing, as in the authors' code; the others follow on each other.
 * Where they are seen is computed for many at once, reading is one by one.
 */
static void back_project_row(const struct slices *p, struct scratch *s, size_t k, size_t z,
			     size_t y)
{
	const double(*r)[3] = p->in->pose[k].rotation, *shift = p->in->pose[k].shift_px;
	const float *image = p->difference + k * image_of(p);
	int pitch = (int)pitch_of(p), from = 0, to = (int)p->nx;
	double dz = (double)z - (double)(p->nz / 2), dy = (double)y - (double)(p->ny / 2),
	       dx = -(double)(p->nx / 2);
	float u0 = (float)(r[0][0] * dx + r[0][1] * dy + r[0][2] * dz + shift[0] +
			   (double)(p->width / 2)),
	      v0 = (float)(r[1][0] * dx + r[1][1] * dy + r[1][2] * dz + shift[1] +
			   (double)(p->height / 2));
	float du = (float)r[0][0], dv = (float)r[1][0], right = (float)(p->width - 1),
	      top = (float)(p->height - 1);
	int *restrict at = s->at;
	float *restrict fu = s->fu, *restrict fv = s->fv, *restrict gradient = s->gradient;

	while (from < to && !inside(u0 + du * (float)from, right, v0 + dv * (float)from, top))
		from++;
	while (to > from &&
	       !inside(u0 + du * (float)(to - 1), right, v0 + dv * (float)(to - 1), top))
		to--;
	for (int x = from; x < to; x++) {
		float u = u0 + du * (float)x, v = v0 + dv * (float)x;
		int iu = (int)u, iv = (int)v;

		at[x] = iv * pitch + iu;
		fu[x] = u - (float)iu;
		fv[x] = v - (float)iv;
	}
	for (int x = from; x < to; x++) {
		pair low = load_pair(image + at[x]), high = load_pair(image + at[x] + pitch);

		low += fv[x] * (high - low);
		gradient[x] += low[0] + fu[x] * (low[1] - low[0]);
	}
}

static void update_plane(const struct slices *p, struct scratch *s, size_t z, float dt)
{
	for (size_t y = 0; y < p->ny; y++) {
		size_t row = (z * p->ny + y) * p->nx;
		float *u = p->volume + row;

		memset(s->gradient, 0, p->nx * sizeof *s->gradient);
		for (size_t k = 0; k < p->count; k++)
			back_project_row(p, s, k, z, y);
		for (size_t x = 0; x < p->nx; x++) {
			float next = u[x] - dt * s->gradient[x];

			u[x] = next > 0 ? next : 0;
			if (p->support && !p->support[row + x])
				u[x] = 0;
		}
	}
}

static void slices_update(void *self, float dt)
{
	struct slices *p = self;

#pragma omp parallel for schedule(dynamic) num_threads(p->threads)
	for (size_t z = 0; z < p->nz; z++)
		update_plane(p, &p->scratch[omp_get_thread_num()], z, dt);
}

static void slices_export(const void *self, float *volume)
{
	const struct slices *p = self;

	memcpy(volume, p->volume, p->nz * p->ny * p->nx * sizeof *volume);
}

const struct pn_resire_engine pn_resire_slices = {
	.open = slices_open,
	.project = slices_project,
	.update = slices_update,
	.export = slices_export,
	.close = slices_close,
};
