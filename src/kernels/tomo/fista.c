/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/fista.h"

#include "perrin/math/fft.h"
#include "perrin/math/fft3.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define POWER_ITERATIONS   4
#define EIGENVALUE_OF_ONES 1.03
#define UPHILL_MAX         3 /* iterations the objective may rise in a row before the step is cut */
#define UNIT_BITS          34 /* quanta of the right-hand side in its largest pixel */

enum {
	TILE = 8, /* columns transformed at a time: a cache line */
	ROWS = 8  /* rows at a time                              */
};

/*
 * What one thread needs for a plane of constant y. Rows of the box are transformed along x, and
 * TILE neighboring columns of what comes out along z, multiplied by the kernel and transformed back
 * while they are in cache. So rows of the padded grid that are empty, or not wanted, are never
 * touched.
 */
struct plane {
	float *in, *out;      /* [ROWS][px]; in is zero beyond the box                         */
	float complex *line;  /* [ROWS][px / 2 + 1]                                            */
	float complex *tiles; /* [tiles][tile_rows][TILE]: transformed along x only            */
	float complex *column, *spectrum; /* [pz][TILE]                                        */
};

/*
 * Volumes are kept plane by plane: [chunks][rows][nx], y planes of z rows for a single axis, else
 * z planes of y rows. So the loops over voxels are the same for both.
 */
struct pn_fista {
	struct pn_box box;
	int single_axis;
	size_t chunks, rows, nx, voxels;
	size_t pz, py, px, bins; /* the padded grid; bins = complex numbers of its spectrum */
	/* of a single axis: the spectrum is [tiles][pz][TILE], the last tile filled up with 0 */
	size_t tiles, tile_rows;
	struct pn_fft *row_forward, *row_backward, *column_forward, *column_backward;
	struct pn_fft *whole; /* of a padded plane, for the kernel */
	struct pn_fft3 *grid;
	struct plane *plane; /* [threads] */
	int threads;
	float complex *spectrum;               /* box: [bins] */
	float *kernel, *held_kernel;           /* [bins], real, with the 1/n of the transform */
	float *b, *held_b, *u, *last, *v, *av; /* [voxels]; v and av for boxes only */
	float *mask;                           /* [voxels] 0 or 1; NULL: all 1 */
	struct sums *sums;                     /* [chunks] */
	/* b and u are kept in this power of two, about the largest pixel: squares of whatever unit
	 * the images have neither overflow nor vanish, and no bit changes */
	double unit;
};

/* Of one plane, then of all in the order of the planes. */
struct sums {
	double vav, bv, held_vav, held_bv, uphill, change, norm;
};

void pn_fista_defaults(struct pn_fista_params *params)
{
	*params = (struct pn_fista_params){
		.iterations_max = 200, .patience = 10, .step = 1.3, .boost = 0.01
	};
}

/* The least size from n on that FFTW has short programs for. */
static size_t good_size(size_t n)
{
	for (;; n++) {
		size_t m = n;

		for (size_t p = 2; p <= 7; p += p == 2 ? 1 : 2)
			while (m % p == 0)
				m /= p;
		if (m == 1 && (n % 4 == 0 || n < 8))
			return n;
	}
}

/* ---- memory -------------------------------------------------------------------------------- */

static void free_planes(struct pn_fista *f)
{
	for (int i = 0; f->plane && i < f->threads; i++) {
		struct plane *p = &f->plane[i];
		void *arrays[] = { p->in, p->out, p->line, p->tiles, p->column, p->spectrum };

		for (size_t k = 0; k < PN_COUNT(arrays); k++)
			pn_fft_free(arrays[k]);
	}
	free(f->plane);
}

void pn_fista_destroy(struct pn_fista *f)
{
	if (!f)
		return;
	float *arrays[] = { f->kernel, f->held_kernel, f->b,  f->held_b, f->u,
			    f->last,   f->v,           f->av, f->mask };

	free_planes(f);
	pn_fft_destroy(f->row_forward);
	pn_fft_destroy(f->row_backward);
	pn_fft_destroy(f->column_forward);
	pn_fft_destroy(f->column_backward);
	pn_fft_destroy(f->whole);
	pn_fft3_destroy(f->grid);
	pn_fft_free(f->spectrum);
	for (size_t i = 0; i < PN_COUNT(arrays); i++)
		pn_fft_free(arrays[i]);
	free(f->sums);
	free(f);
}

static int allocate_planes(struct pn_fista *f)
{
	f->threads = omp_get_max_threads();
	f->plane = calloc((size_t)f->threads, sizeof *f->plane);
	for (int i = 0; f->plane && i < f->threads; i++) {
		struct plane *p = &f->plane[i];

		p->in = pn_fft_alloc(ROWS * f->px * sizeof *p->in);
		p->out = pn_fft_alloc(ROWS * f->px * sizeof *p->out);
		p->line = pn_fft_alloc(ROWS * (f->px / 2 + 1) * sizeof *p->line);
		p->tiles = pn_fft_alloc(f->tiles * f->tile_rows * TILE * sizeof *p->tiles);
		p->column = pn_fft_alloc(f->pz * TILE * sizeof *p->column);
		p->spectrum = pn_fft_alloc(f->pz * TILE * sizeof *p->spectrum);
		if (!p->in || !p->out || !p->line || !p->tiles || !p->column || !p->spectrum)
			return 0;
	}
	return f->plane != NULL;
}

static int allocate(struct pn_fista *f)
{
	size_t bytes = f->voxels * sizeof(float);

	f->kernel = pn_fft_alloc(f->bins * sizeof(float));
	f->held_kernel = pn_fft_alloc(f->bins * sizeof(float));
	f->b = pn_fft_alloc(bytes);
	f->held_b = pn_fft_alloc(bytes);
	f->u = pn_fft_alloc(bytes);
	f->last = pn_fft_alloc(bytes);
	f->sums = calloc(f->chunks, sizeof *f->sums);
	if (!f->kernel || !f->held_kernel || !f->b || !f->held_b || !f->u || !f->last || !f->sums)
		return 0;
	if (f->single_axis)
		return allocate_planes(f);
	f->v = pn_fft_alloc(bytes);
	f->av = pn_fft_alloc(bytes);
	f->spectrum = pn_fft_alloc(f->bins * sizeof *f->spectrum);
	return f->v && f->av && f->spectrum;
}

static int make_plans(struct pn_fista *f, struct pn_error *err)
{
	if (!f->single_axis)
		return pn_fft3_plan(&f->grid, f->pz, f->py, f->px, err);
	int rc = pn_fft_plan_lines(&f->row_forward, PN_FFT_R2C, f->px, ROWS, 0, err);

	if (!rc)
		rc = pn_fft_plan_lines(&f->row_backward, PN_FFT_C2R, f->px, ROWS, 0, err);
	if (!rc)
		rc = pn_fft_plan_lines(&f->column_forward, PN_FFT_FORWARD, f->pz, TILE, 0, err);
	if (!rc)
		rc = pn_fft_plan_lines(&f->column_backward, PN_FFT_BACKWARD, f->pz, TILE, 0, err);
	if (!rc)
		rc = pn_fft_plan(&f->whole, PN_FFT_R2C, f->pz, f->px, 0, err);
	return rc;
}

int pn_fista_create(struct pn_fista **fista, const struct pn_box *box, int single_axis,
		    struct pn_error *err)
{
	*fista = NULL;
	if (!box->nz || !box->ny || !box->nx)
		return pn_error_set(err, PN_EARG, "a volume of %zu x %zu x %zu voxels", box->nz,
				    box->ny, box->nx);

	struct pn_fista *f = calloc(1, sizeof *f);

	if (!f)
		return pn_error_set(err, PN_ENOMEM, "no memory for a solver");
	f->box = *box;
	f->single_axis = single_axis;
	f->nx = box->nx;
	f->chunks = single_axis ? box->ny : box->nz;
	f->rows = single_axis ? box->nz : box->ny;
	f->voxels = pn_box_voxels(box);
	f->pz = good_size(2 * box->nz - 1);
	f->py = single_axis ? 1 : good_size(2 * box->ny - 1);
	f->px = good_size(2 * box->nx - 1);
	f->tiles = (f->px / 2 + 1 + TILE - 1) / TILE;
	f->tile_rows = box->nz + 1; /* odd for the usual even boxes: tiles spread over the cache */
	f->bins = single_axis ? f->tiles * f->pz * TILE : f->pz * f->py * (f->px / 2 + 1);

	int rc = make_plans(f, err);

	if (!rc && !allocate(f))
		rc = pn_error_set(err, PN_ENOMEM,
				  "a solver for %zu x %zu x %zu voxels needs %zu bytes", box->nz,
				  box->ny, box->nx,
				  (single_axis ? 4 : 6) * f->voxels * sizeof(float) +
					  f->bins * (single_axis ? 8 : 16));
	if (rc) {
		pn_fista_destroy(f);
		return rc;
	}
	*fista = f;
	return PN_OK;
}

/* ---- loading the problem ------------------------------------------------------------------- */

/* Where the kernel's entry for a difference stands on the grid. */
static size_t wrapped(ptrdiff_t d, size_t n)
{
	return (size_t)(d < 0 ? d + (ptrdiff_t)n : d);
}

/* The transform of all of a plane, of which the real part is kept: [tiles][pz][TILE]. */
static int transform_plane_kernel(const struct pn_fista *f, float *kernel, float *grid,
				  struct pn_error *err)
{
	size_t width = f->px / 2 + 1;
	float complex *spectrum = pn_fft_alloc(f->pz * width * sizeof *spectrum);

	if (!spectrum)
		return pn_error_set(err, PN_ENOMEM, "the kernel's transform needs %zu bytes",
				    f->pz * width * sizeof *spectrum);
	pn_fft_execute(f->whole, grid, spectrum);
	for (size_t z = 0; z < f->pz; z++)
		for (size_t x = 0; x < width; x++)
			kernel[(x / TILE * f->pz + z) * TILE + x % TILE] =
				crealf(spectrum[z * width + x]);
	pn_fft_free(spectrum);
	return PN_OK;
}

/* Spectrum of scale kernel - less scale other (NULL: nothing), a real number for every bin. */
static int load_kernel(struct pn_fista *f, float *kernel, const double *h, const double *other,
		       struct pn_error *err)
{
	ptrdiff_t nz = (ptrdiff_t)f->box.nz, ny = f->single_axis ? 1 : (ptrdiff_t)f->box.ny,
		  nx = (ptrdiff_t)f->box.nx;
	size_t cells = f->pz * f->py * f->px, i = 0;
	double scale = 1.0 / (double)cells;
	float *grid = pn_fft_alloc(cells * sizeof *grid);

	if (!grid)
		return pn_error_set(err, PN_ENOMEM, "the kernel needs %zu bytes",
				    cells * sizeof *grid);
	for (ptrdiff_t z = 0; z < nz; z++)
		for (ptrdiff_t y = 1 - ny; y < ny; y++)
			for (ptrdiff_t x = 1 - nx; x < nx; x++, i++) {
				float value = (float)((h[i] - (other ? other[i] : 0.0)) * scale);

				grid[(wrapped(z, f->pz) * f->py + wrapped(y, f->py)) * f->px +
				     wrapped(x, f->px)] = value;
				grid[(wrapped(-z, f->pz) * f->py + wrapped(-y, f->py)) * f->px +
				     wrapped(-x, f->px)] = value;
			}
	int rc = PN_OK;

	if (f->single_axis) {
		rc = transform_plane_kernel(f, kernel, grid, err);
	} else {
		pn_fft3_forward(f->grid, grid, f->pz, f->py, f->px, f->spectrum);
		for (size_t k = 0; k < f->bins; k++)
			kernel[k] = crealf(f->spectrum[k]);
	}
	pn_fft_free(grid);
	return rc;
}

static void load_rhs(const struct pn_fista *f, float *b, const double *rhs, const double *other)
{
	const double scale = 1.0 / f->unit;

#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < f->voxels; i++)
		b[i] = (float)((rhs[i] - (other ? other[i] : 0.0)) * scale);
}

static void scale_row(float *out, const float *in, double scale, size_t n)
{
	for (size_t i = 0; i < n; i++)
		out[i] = (float)((double)in[i] * scale);
}

/* Between [nz][ny][nx] in the unit of the images, and the order and unit of the solver. */
static void to_planes(const struct pn_fista *f, float *planes, const float *volume)
{
#pragma omp parallel for schedule(static)
	for (size_t c = 0; c < f->chunks; c++)
		for (size_t r = 0; r < f->rows; r++) {
			size_t z = f->single_axis ? r : c, y = f->single_axis ? c : r;

			scale_row(planes + (c * f->rows + r) * f->nx,
				  volume + (z * f->box.ny + y) * f->nx, 1.0 / f->unit, f->nx);
		}
}

static void from_planes(const struct pn_fista *f, float *volume, const float *planes)
{
#pragma omp parallel for schedule(static)
	for (size_t c = 0; c < f->chunks; c++)
		for (size_t r = 0; r < f->rows; r++) {
			size_t z = f->single_axis ? r : c, y = f->single_axis ? c : r;

			scale_row(volume + (z * f->box.ny + y) * f->nx,
				  planes + (c * f->rows + r) * f->nx, f->unit, f->nx);
		}
}

static int load_mask(struct pn_fista *f, const uint8_t *support, struct pn_error *err)
{
	size_t inside = 0;

	pn_fft_free(f->mask);
	f->mask = NULL;
	if (!support)
		return PN_OK;
	f->mask = pn_fft_alloc(f->voxels * sizeof *f->mask);
	if (!f->mask)
		return pn_error_set(err, PN_ENOMEM, "the support needs %zu bytes",
				    f->voxels * sizeof *f->mask);
	for (size_t c = 0; c < f->chunks; c++)
		for (size_t r = 0; r < f->rows; r++)
			for (size_t x = 0; x < f->nx; x++) {
				size_t z = f->single_axis ? r : c, y = f->single_axis ? c : r;
				int in = support[(z * f->box.ny + y) * f->nx + x] != 0;

				f->mask[(c * f->rows + r) * f->nx + x] = (float)in;
				inside += (size_t)in;
			}
	if (!inside)
		return pn_error_set(err, PN_EARG, "the support is empty");
	return PN_OK;
}

/* ---- the convolution ----------------------------------------------------------------------- */

/* sum over all bins of kernel |spectrum|^2 / cells of grid; a row of px / 2 + 1 bins stands for px.
 */
static double energy_row(const float *kernel, const float complex *spectrum, size_t bins, int even)
{
	const float *s = (const float *)spectrum;
	float sum = 0.0f;

#pragma omp simd reduction(+ : sum)
	for (size_t k = 0; k < bins; k++)
		sum += kernel[k] * (s[2 * k] * s[2 * k] + s[2 * k + 1] * s[2 * k + 1]);

	double ends = kernel[0] * (s[0] * s[0] + s[1] * s[1]);

	if (even)
		ends += kernel[bins - 1] *
			(s[2 * bins - 2] * s[2 * bins - 2] + s[2 * bins - 1] * s[2 * bins - 1]);
	return 2.0 * (double)sum - ends;
}

/* Rows of a box's spectrum times the kernel; returns the energy of the held-out kernel, if there is
 * one. */
static double filter_rows(const struct pn_fista *f, float complex *spectrum, size_t first,
			  size_t last, const float *filter, int held_out)
{
	size_t width = f->px / 2 + 1;
	double energy = 0.0;

	for (size_t row = first; row < last; row++) {
		float complex *s = spectrum + row * width;

		if (held_out)
			energy +=
				energy_row(f->held_kernel + row * width, s, width, f->px % 2 == 0);
		for (size_t k = 0; k < width; k++)
			s[k] *= filter[row * width + k];
	}
	return energy;
}

/* ---- one iteration ------------------------------------------------------------------------- */

/* What an iteration does with A v. */
struct step {
	float momentum,
		length; /* v = u + momentum (u - last); next = max(0, v - length (A v - b)) */
	int held_out;
};

/* Columns of @count rows, at most TILE, whose lengths in memory differ. */
static void copy_tile(float complex *to, size_t to_width, const float complex *from,
		      size_t from_width, size_t rows, size_t count)
{
	if (count == TILE) /* a size that is known here is a copy of two registers */
		for (size_t r = 0; r < rows; r++)
			memcpy(to + r * to_width, from + r * from_width, TILE * sizeof *to);
	else
		for (size_t r = 0; r < rows; r++)
			memcpy(to + r * to_width, from + r * from_width, count * sizeof *to);
}

static size_t columns_of(const struct pn_fista *f, size_t tile)
{
	size_t left = f->px / 2 + 1 - tile * TILE;

	return left < TILE ? left : TILE;
}

/* ROWS rows of the plane, in p->in, to where their columns are transformed. */
static void rows_in(const struct pn_fista *f, struct plane *p, size_t row, size_t count)
{
	pn_fft_execute(f->row_forward, p->in, p->line);
	for (size_t t = 0; t < f->tiles; t++)
		copy_tile(p->tiles + (t * f->tile_rows + row) * TILE, TILE, p->line + t * TILE,
			  f->px / 2 + 1, count, columns_of(f, t));
}

/* And back, to p->out. */
static void rows_out(const struct pn_fista *f, struct plane *p, size_t row, size_t count)
{
	for (size_t t = 0; t < f->tiles; t++)
		copy_tile(p->line + t * TILE, f->px / 2 + 1,
			  p->tiles + (t * f->tile_rows + row) * TILE, TILE, count,
			  columns_of(f, t));
	pn_fft_execute(f->row_backward, p->line, p->out);
}

/* sum kernel |spectrum|^2 of a tile; all but the first and, of an even length, the last column of
 * the half spectrum stand for two. */
static double energy_tile(const struct pn_fista *f, const float *kernel,
			  const float complex *spectrum, size_t tile)
{
	double sum[TILE] = { 0 }, total = 0.0;

	for (size_t z = 0; z < f->pz; z++) {
		const float *s = (const float *)(spectrum + z * TILE);

		for (size_t i = 0; i < TILE; i++)
			sum[i] += (double)(kernel[z * TILE + i] *
					   (s[2 * i] * s[2 * i] + s[2 * i + 1] * s[2 * i + 1]));
	}
	for (size_t i = 0; i < TILE; i++) {
		size_t x = tile * TILE + i;

		total += x == 0 || 2 * x == f->px ? sum[i] : 2 * sum[i];
	}
	return total;
}

/* Transform the columns, multiply by the kernel, and back; the energy as above. */
static double filter_plane(const struct pn_fista *f, struct plane *p, const float *filter,
			   int held_out)
{
	size_t bytes = f->rows * TILE * sizeof *p->tiles;
	double energy = 0.0;

	for (size_t t = 0; t < f->tiles; t++) {
		float complex *tile = p->tiles + t * f->tile_rows * TILE;
		const float *k = filter + t * f->pz * TILE;
		float *s = (float *)p->spectrum;

		memcpy(p->column, tile, bytes);
		memset(p->column + f->rows * TILE, 0, (f->pz - f->rows) * TILE * sizeof *tile);
		pn_fft_execute(f->column_forward, p->column, p->spectrum);
		if (held_out)
			energy += energy_tile(f, f->held_kernel + t * f->pz * TILE, p->spectrum, t);
		for (size_t i = 0; i < f->pz * TILE; i++) {
			s[2 * i] *= k[i];
			s[2 * i + 1] *= k[i];
		}
		pn_fft_execute(f->column_backward, p->spectrum, p->column);
		memcpy(tile, p->column, bytes);
	}
	return energy;
}

static size_t rows_at(const struct pn_fista *f, size_t row)
{
	return f->rows - row < ROWS ? f->rows - row : ROWS;
}

static void extrapolate_row(float *v, const float *u, const float *last, float momentum, size_t n)
{
	for (size_t i = 0; i < n; i++)
		v[i] = u[i] + momentum * (u[i] - last[i]);
}

/* max(0, v - length (A v - b)) and the sums over a row. @masked: a constant, so that the loop has
 * no branch. */
static inline __attribute__((always_inline)) void
step_loop(float *restrict next, const float *restrict v, const float *restrict av,
	  const float *restrict b, const float *restrict u, const float *restrict mask, int masked,
	  float length, size_t n, struct sums *sums)
{
	float vav = 0, bv = 0, uphill = 0, change = 0, norm = 0;

#pragma omp simd reduction(+ : vav, bv, uphill, change, norm)
	for (size_t i = 0; i < n; i++) {
		float moved = v[i] - length * (av[i] - b[i]);

		moved = moved > 0.0f ? moved : 0.0f;
		if (masked)
			moved *= mask[i];
		vav += v[i] * av[i];
		bv += v[i] * b[i];
		uphill += (v[i] - moved) * (moved - u[i]);
		change += (moved - u[i]) * (moved - u[i]);
		norm += moved * moved;
		next[i] = moved;
	}
	sums->vav += (double)vav;
	sums->bv += (double)bv;
	sums->uphill += (double)uphill;
	sums->change += (double)change;
	sums->norm += (double)norm;
}

/* The row after next takes the place of the row before. */
static void step_row(const struct pn_fista *f, size_t at, const float *v, const float *av,
		     const struct step *step, struct sums *sums)
{
	float held = 0;

	if (f->mask)
		step_loop(f->last + at, v, av, f->b + at, f->u + at, f->mask + at, 1, step->length,
			  f->nx, sums);
	else
		step_loop(f->last + at, v, av, f->b + at, f->u + at, NULL, 0, step->length, f->nx,
			  sums);
	if (!step->held_out)
		return;
#pragma omp simd reduction(+ : held)
	for (size_t i = 0; i < f->nx; i++)
		held += v[i] * f->held_b[at + i];
	sums->held_bv += (double)held;
}

static void extrapolate_rows(const struct pn_fista *f, struct plane *p, size_t at, size_t row,
			     float momentum)
{
	for (size_t r = 0; r < rows_at(f, row); r++) {
		size_t i = at + (row + r) * f->nx;

		extrapolate_row(p->in + r * f->px, f->u + i, f->last + i, momentum, f->nx);
	}
}

static void iterate_plane(struct pn_fista *f, struct plane *p, size_t chunk,
			  const struct step *step)
{
	size_t at = chunk * f->rows * f->nx;
	struct sums *sums = &f->sums[chunk];

	*sums = (struct sums){ 0 };
	for (size_t row = 0; row < f->rows; row += ROWS) {
		extrapolate_rows(f, p, at, row, step->momentum);
		rows_in(f, p, row, rows_at(f, row));
	}
	sums->held_vav = filter_plane(f, p, f->kernel, step->held_out);
	for (size_t row = 0; row < f->rows; row += ROWS) {
		/* v once more, which costs less than to keep it */
		extrapolate_rows(f, p, at, row, step->momentum);
		rows_out(f, p, row, rows_at(f, row));
		for (size_t r = 0; r < rows_at(f, row); r++)
			step_row(f, at + (row + r) * f->nx, p->in + r * f->px, p->out + r * f->px,
				 step, sums);
	}
}

/* The rows of the spectrum are shared among as many sums as there are planes of the volume. */
static void filter_box(struct pn_fista *f, const float *filter, int held_out)
{
	size_t rows = f->pz * f->py;

#pragma omp parallel for schedule(static)
	for (size_t c = 0; c < f->chunks; c++)
		f->sums[c].held_vav = filter_rows(f, f->spectrum, rows * c / f->chunks,
						  rows * (c + 1) / f->chunks, filter, held_out);
}

static void iterate_box(struct pn_fista *f, const struct step *step)
{
	memset(f->sums, 0, f->chunks * sizeof *f->sums);
#pragma omp parallel for schedule(static)
	for (size_t r = 0; r < f->chunks * f->rows; r++)
		extrapolate_row(f->v + r * f->nx, f->u + r * f->nx, f->last + r * f->nx,
				step->momentum, f->nx);
	pn_fft3_forward(f->grid, f->v, f->box.nz, f->box.ny, f->box.nx, f->spectrum);
	filter_box(f, f->kernel, step->held_out);
	pn_fft3_backward(f->grid, f->spectrum, f->av, f->box.nz, f->box.ny, f->box.nx);
#pragma omp parallel for schedule(static)
	for (size_t c = 0; c < f->chunks; c++)
		for (size_t r = 0; r < f->rows; r++) {
			size_t at = (c * f->rows + r) * f->nx;

			step_row(f, at, f->v + at, f->av + at, step, &f->sums[c]);
		}
}

static struct sums iterate(struct pn_fista *f, const struct step *step)
{
	struct sums all = { 0 };
	float *swap = f->u;

	if (f->single_axis) {
#pragma omp parallel for schedule(dynamic) num_threads(f->threads)
		for (size_t c = 0; c < f->chunks; c++)
			iterate_plane(f, &f->plane[omp_get_thread_num()], c, step);
	} else {
		iterate_box(f, step);
	}
	f->u = f->last;
	f->last = swap;
	for (size_t c = 0; c < f->chunks; c++) {
		const struct sums *s = &f->sums[c];

		all.vav += s->vav;
		all.bv += s->bv;
		all.held_vav += s->held_vav;
		all.held_bv += s->held_bv;
		all.uphill += s->uphill;
		all.change += s->change;
		all.norm += s->norm;
	}
	return all;
}

/* ---- where to start ------------------------------------------------------------------------ */

/* @out = filter applied to @in, both [voxels]. */
static void convolve(struct pn_fista *f, float *out, const float *in, const float *filter)
{
	if (!f->single_axis) {
		pn_fft3_forward(f->grid, in, f->box.nz, f->box.ny, f->box.nx, f->spectrum);
		filter_box(f, filter, 0);
		pn_fft3_backward(f->grid, f->spectrum, out, f->box.nz, f->box.ny, f->box.nx);
		return;
	}
#pragma omp parallel for schedule(dynamic) num_threads(f->threads)
	for (size_t c = 0; c < f->chunks; c++) {
		struct plane *p = &f->plane[omp_get_thread_num()];

		for (size_t row = 0; row < f->rows; row += ROWS) {
			for (size_t r = 0; r < rows_at(f, row); r++)
				memcpy(p->in + r * f->px, in + (c * f->rows + row + r) * f->nx,
				       f->nx * sizeof(float));
			rows_in(f, p, row, rows_at(f, row));
		}
		filter_plane(f, p, filter, 0);
		for (size_t row = 0; row < f->rows; row += ROWS) {
			rows_out(f, p, row, rows_at(f, row));
			for (size_t r = 0; r < rows_at(f, row); r++)
				memcpy(out + (c * f->rows + row + r) * f->nx, p->out + r * f->px,
				       f->nx * sizeof(float));
		}
	}
}

/* Squared norm of the volume after it was kept to the support. */
static double masked_norm(struct pn_fista *f, float *volume)
{
	double total = 0.0;

	for (size_t r = 0; r < f->chunks * f->rows; r++) {
		float sum = 0.0f, *row = volume + r * f->nx;

		for (size_t i = 0; i < f->nx; i++) {
			if (f->mask)
				row[i] *= f->mask[r * f->nx + i];
			sum += row[i] * row[i];
		}
		total += (double)sum;
	}
	return total;
}

/*
 * The largest eigenvalue: that of the whole box is within 4 % of the Rayleigh quotient of a volume
 * of ones, sum_d h(d) (share of the box that overlaps itself moved by d), for a series of tilts
 * (0.85 of it for a few tilts close together: the guard of the step is for those).
 */
static double box_eigenvalue(const struct pn_fista *f, const double *h, const double *other)
{
	ptrdiff_t nz = (ptrdiff_t)f->box.nz, ny = f->single_axis ? 1 : (ptrdiff_t)f->box.ny,
		  nx = (ptrdiff_t)f->box.nx;
	double sum = 0.0;
	size_t i = 0;

	for (ptrdiff_t z = 0; z < nz; z++)
		for (ptrdiff_t y = 1 - ny; y < ny; y++)
			for (ptrdiff_t x = 1 - nx; x < nx; x++, i++) {
				double value = h[i] - (other ? other[i] : 0.0);
				double overlap =
					(double)((nz - z) * (ny - labs(y)) * (nx - labs(x)));

				sum += (z ? 2.0 : 1.0) * value * overlap;
			}
	return EIGENVALUE_OF_ONES * sum / (double)(nz * ny * nx);
}

/* Within a support: power iteration from ones. Uses `u` and `last` for scratch. */
static double masked_eigenvalue(struct pn_fista *f)
{
	double eigenvalue = 0.0, norm;

	for (size_t i = 0; i < f->voxels; i++)
		f->u[i] = 1.0f;
	norm = masked_norm(f, f->u);
	for (int k = 0; k < POWER_ITERATIONS; k++) {
		convolve(f, f->last, f->u, f->kernel);
		double next = masked_norm(f, f->last);
		float scale = (float)(1.0 / sqrt(next));

		eigenvalue = sqrt(next / norm);
		for (size_t i = 0; i < f->voxels; i++)
			f->u[i] = f->last[i] * scale;
		norm = 1.0;
	}
	return eigenvalue;
}

static void boosted_start(struct pn_fista *f, double boost)
{
	float *filter = f->held_kernel; /* loaded after this */
	double cells = (double)(f->pz * f->py * f->px);

	for (size_t k = 0; k < f->bins; k++) {
		double eigenvalue = fmax((double)f->kernel[k] * cells, 0.0);

		filter[k] = (float)(1.0 / ((eigenvalue + boost) * cells));
	}
	convolve(f, f->u, f->b, filter);
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < f->voxels; i++)
		f->u[i] = f->u[i] > 0.0f ? f->u[i] * (f->mask ? f->mask[i] : 1.0f) : 0.0f;
}

static int is_zero(const float *volume, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (volume[i] != 0.0f)
			return 0;
	return 1;
}

/* Everything of the problem into the solver; returns the largest eigenvalue in @lipschitz. */
static int load(struct pn_fista *f, const struct pn_fista_params *params,
		const struct pn_normal *all, const struct pn_normal *held_out, const float *volume,
		double *lipschitz, struct pn_error *err)
{
	int rc = load_mask(f, params->support, err);

	if (!rc)
		rc = load_kernel(f, f->kernel, all->kernel, held_out ? held_out->kernel : NULL,
				 err);
	if (rc)
		return rc;
	load_rhs(f, f->b, all->rhs, held_out ? held_out->rhs : NULL);
	*lipschitz = f->mask ? masked_eigenvalue(f)
			     : box_eigenvalue(f, all->kernel, held_out ? held_out->kernel : NULL);
	if (is_zero(volume, f->voxels) && params->boost > 0)
		boosted_start(f, params->boost * *lipschitz);
	else
		to_planes(f, f->u, volume);
	memcpy(f->last, f->u, f->voxels * sizeof *f->u);
	if (held_out) {
		rc = load_kernel(f, f->held_kernel, held_out->kernel, NULL, err);
		load_rhs(f, f->held_b, held_out->rhs, NULL);
	}
	return rc;
}

/* ---- the solver ---------------------------------------------------------------------------- */

static int check(const struct pn_fista *f, const struct pn_fista_params *params,
		 const struct pn_normal *all, const struct pn_normal *held_out,
		 struct pn_error *err)
{
	const struct pn_normal *both[] = { all, held_out };

	for (int i = 0; i < 2; i++) {
		const struct pn_normal *n = both[i];

		if (n &&
		    (memcmp(&n->box, &f->box, sizeof f->box) || n->single_axis != f->single_axis))
			return pn_error_set(
				err, PN_EARG,
				"normal equations of %zu x %zu x %zu voxels for a solver of %zu x "
				"%zu x %zu",
				n->box.nz, n->box.ny, n->box.nx, f->box.nz, f->box.ny, f->box.nx);
	}
	if (all->tilts <= (held_out ? held_out->tilts : 0))
		return pn_error_set(err, PN_EARG,
				    "%zu tilts, %zu of them held out: nothing to solve", all->tilts,
				    held_out ? held_out->tilts : 0);
	if (!(params->step > 0) || params->iterations_max < 1 || !(params->boost >= 0))
		return pn_error_set(err, PN_EARG, "step %g, %d iterations, boost %g", params->step,
				    params->iterations_max, params->boost);
	return PN_OK;
}

/* |A v - p| / |p| from the three terms of its square; rounding may leave a little below 0. */
static double misfit(double vav, double bv, double energy)
{
	double square = vav - 2.0 * bv + energy;

	return energy > 0 && !isnan(square) ? sqrt(fmax(square, 0.0) / energy) : NAN;
}

/* What the loop carries from one iteration to the next. */
struct course {
	double t, length, objective, least;
	int uphill, lost;
	int from_nothing; /* the volume is worse than none: go on from an empty one */
};

/*
 * Momentum of the next step: FISTA's, from the start again after a step uphill. The step is cut
 * when the objective rises, or when it stays both above where it was and above 0, that of an empty
 * volume: what diverges goes up and down on its way. NaN is such a place, too.
 */
static double next_momentum(struct course *c, const struct sums *s)
{
	double objective = 0.5 * s->vav - s->bv, t;

	c->uphill = objective > c->objective ? c->uphill + 1 : 0;
	c->objective = objective;
	c->lost = objective <= fmax(c->least, 0.0) ? 0 : c->lost + 1;
	c->least = fmin(c->least, objective);
	c->from_nothing = c->lost >= UPHILL_MAX;
	if (c->uphill >= UPHILL_MAX || c->from_nothing) {
		c->length *= 0.5;
		c->uphill = c->lost = 0;
		c->t = 1.0;
		return 0.0;
	}
	if (s->uphill > 0)
		c->t = 1.0;
	t = 0.5 * (1.0 + sqrt(1.0 + 4.0 * c->t * c->t));
	double momentum = (c->t - 1.0) / t;

	c->t = t;
	return momentum;
}

/* @held_out: the misfit of this iteration, NaN without */
static int finished(const struct pn_fista_params *params, const struct sums *s,
		    struct pn_fista_result *r, double held_out)
{
	if (params->progress &&
	    params->progress(params->context, r->iterations, r->misfit, held_out))
		r->stop = PN_FISTA_ASKED;
	else if (!isnan(held_out) && params->patience > 0 &&
		 r->iterations - r->best >= params->patience)
		r->stop = PN_FISTA_HELD_OUT;
	else if (params->change_min > 0 &&
		 s->change < params->change_min * params->change_min * s->norm)
		r->stop = PN_FISTA_CHANGE;
	else
		return 0;
	return 1;
}

int pn_fista_solve(struct pn_fista *f, const struct pn_fista_params *params,
		   const struct pn_normal *all, const struct pn_normal *held_out, float *volume,
		   struct pn_fista_result *result, struct pn_error *err)
{
	struct course course = { .t = 1.0, .objective = INFINITY, .least = INFINITY };
	struct pn_fista_result r = { .held_out = NAN, .stop = PN_FISTA_ITERATIONS };
	double energy = all->energy - (held_out ? held_out->energy : 0.0), momentum = 0.0;
	int rc = check(f, params, all, held_out, err);

	f->unit = ldexp(all->quantum, UNIT_BITS);
	if (!rc)
		rc = load(f, params, all, held_out, volume, &r.lipschitz, err);
	if (rc)
		return rc;
	course.length = params->step / r.lipschitz;
	r.lipschitz /= (double)(all->tilts - (held_out ? held_out->tilts : 0));
	while (r.iterations < params->iterations_max) {
		struct step step = { .momentum = (float)momentum,
				     .length = (float)course.length,
				     .held_out = held_out != NULL };
		struct sums sums = iterate(f, &step);
		double now = NAN;

		r.misfit = misfit(sums.vav, sums.bv, energy / (f->unit * f->unit));
		if (held_out) {
			now = misfit(sums.held_vav, sums.held_bv,
				     held_out->energy / (f->unit * f->unit));
			/* v of this iteration is what the last one made */
			if (!(now >= r.held_out)) {
				r.held_out = now;
				r.best = r.iterations;
			}
		}
		r.iterations++;
		momentum = next_momentum(&course, &sums);
		if (course.from_nothing) {
			memset(f->u, 0, f->voxels * sizeof *f->u);
			memset(f->last, 0, f->voxels * sizeof *f->last);
		}
		if (finished(params, &sums, &r, now))
			break;
	}
	if (!held_out)
		r.best = r.iterations;
	from_planes(f, volume, f->u);
	*result = r;
	return PN_OK;
}

int pn_fista_validated(struct pn_fista *f, const struct pn_fista_params *params,
		       const struct pn_normal *all, const struct pn_normal *held_out, float *volume,
		       struct pn_fista_result *result, struct pn_error *err)
{
	struct pn_fista_params second = *params;
	struct pn_fista_result trial;

	if (!held_out || !held_out->tilts)
		return pn_error_set(err, PN_EARG, "none of %zu tilts is held out", all->tilts);
	memset(volume, 0, f->voxels * sizeof *volume);
	int rc = pn_fista_solve(f, params, all, held_out, volume, &trial, err);

	if (rc)
		return rc;
	if (trial.stop == PN_FISTA_ASKED) {
		*result = trial;
		return PN_OK;
	}
	second.iterations_max = trial.best > 0 ? trial.best : 1;
	memset(volume, 0, f->voxels * sizeof *volume);
	rc = pn_fista_solve(f, &second, all, NULL, volume, result, err);
	if (rc)
		return rc;
	result->held_out = trial.held_out;
	result->best = trial.best;
	if (result->stop != PN_FISTA_ASKED)
		result->stop = trial.stop;
	return PN_OK;
}
