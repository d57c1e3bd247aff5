/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/normal.h"

#include "pose_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * The back-projection of an image on an unbounded detector needs its band-limited continuation at
 * any point. It is computed on a grid FINE times as fine by the sum of sincs itself, and between
 * its points by a Kaiser windowed sinc of TAPS points, whose transition band is the three quarters
 * of the fine band that hold nothing: the error is below 1e-4 of the largest pixel even for white
 * noise (test_normal).
 */
#define FINE  4
#define TAPS  8
#define TABLE 1024 /* fractions of a fine pixel, linear between them */
#define BETA  9.4

#define PIECE          256 /* pixels of a row */
#define LINES          8 /* voxels along x that are brought into the order of the planes together */
#define BOX_MAX        1024
#define KERNEL_QUANTUM 0x1p-40
#define RHS_BITS       34
#define PIXELS_BEYOND  1000.0 /* times the largest pixel that was announced */
#define SHIFT_MAX_PX   1e6
/*
 * Quanta of the energy, times the squared quantum of the right-hand side: 2^20 and 2^-20 of the
 * square of the largest pixel. What is left below the coarse one is at most half of it, so both
 * sums stay exact over 8192 tilts of 10^9 pixels beyond the announced ones.
 */
#define ENERGY_COARSE 0x1p88
#define ENERGY_FINE   0x1p48

struct interpolator {
	float weight[TABLE + 1][TAPS];
};

static double sinc(double x)
{
	double t = M_PI * x;

	return fabs(t) < 1e-8 ? 1.0 : sin(t) / t;
}

static double bessel_i0(double x)
{
	double term = 1.0, sum = 1.0;

	for (int k = 1; term > 1e-17 * sum; k++) {
		term *= (x / 2 / k) * (x / 2 / k);
		sum += term;
	}
	return sum;
}

/* Tap j of fraction f stands at fine point j - (TAPS/2 - 1) from the one at or below the target. */
static void interpolator_init(struct interpolator *p)
{
	const double half = TAPS / 2.0;

	for (int i = 0; i <= TABLE; i++) {
		double sum = 0.0, weight[TAPS];

		for (int j = 0; j < TAPS; j++) {
			double t = j - (TAPS / 2 - 1) - (double)i / TABLE, x = t / half;
			double window = fabs(x) < 1.0 ? bessel_i0(BETA * sqrt(1.0 - x * x)) : 0.0;

			weight[j] = sinc(t) * window;
			sum += weight[j];
		}
		for (int j = 0; j < TAPS; j++)
			p->weight[i][j] = (float)(weight[j] / sum);
	}
}

static void interpolate(const struct interpolator *p, double fraction, float out[TAPS])
{
	double at = fraction * TABLE;
	int i = (int)at;

	if (i >= TABLE)
		i = TABLE - 1;
	float f = (float)(at - i);

	for (int j = 0; j < TAPS; j++)
		out[j] = p->weight[i][j] + f * (p->weight[i + 1][j] - p->weight[i][j]);
}

/* Adding and taking away 1.5 2^52 quanta rounds a double to a multiple of the quantum. */
static inline double round_to(double value, double magic)
{
	return (value + magic) - magic;
}

/* ---- sums ---------------------------------------------------------------------------------- */

static size_t kernel_count(const struct pn_box *box, int single_axis)
{
	size_t plane = box->nz * (2 * box->nx - 1);

	return single_axis ? plane : plane * (2 * box->ny - 1);
}

int pn_normal_create(struct pn_normal **normal, const struct pn_box *box, int single_axis,
		     double largest_pixel, struct pn_error *err)
{
	*normal = NULL;
	if (box->nz < 1 || box->ny < 1 || box->nx < 1 || box->nz > BOX_MAX || box->ny > BOX_MAX ||
	    box->nx > BOX_MAX)
		return pn_error_set(err, PN_EARG,
				    "a volume of %zu x %zu x %zu voxels: each must be 1..%d",
				    box->nz, box->ny, box->nx, BOX_MAX);
	if (!(largest_pixel > 0) || !isfinite(largest_pixel))
		return pn_error_set(err, PN_EARG, "largest pixel %g: must be above 0",
				    largest_pixel);

	struct pn_normal *n = calloc(1, sizeof *n);
	size_t rhs = pn_box_voxels(box), kernel = kernel_count(box, single_axis);

	if (n) {
		n->box = *box;
		n->single_axis = single_axis;
		n->quantum = ldexp(1.0, ilogb(largest_pixel) + 1 - RHS_BITS);
		n->rhs = calloc(rhs, sizeof *n->rhs);
		n->kernel = calloc(kernel, sizeof *n->kernel);
	}
	if (!n || !n->rhs || !n->kernel) {
		pn_normal_destroy(n);
		return pn_error_set(err, PN_ENOMEM,
				    "normal equations of %zu x %zu x %zu voxels need %zu bytes",
				    box->nz, box->ny, box->nx, (rhs + kernel) * sizeof(double));
	}
	*normal = n;
	return PN_OK;
}

void pn_normal_destroy(struct pn_normal *normal)
{
	if (!normal)
		return;
	free(normal->rhs);
	free(normal->kernel);
	free(normal);
}

void pn_normal_reset(struct pn_normal *normal)
{
	memset(normal->rhs, 0, pn_box_voxels(&normal->box) * sizeof *normal->rhs);
	memset(normal->kernel, 0,
	       kernel_count(&normal->box, normal->single_axis) * sizeof *normal->kernel);
	normal->tilts = 0;
	normal->energy = normal->energy_part[0] = normal->energy_part[1] = 0.0;
}

/* ---- the kernel ---------------------------------------------------------------------------- */

/*
 * sinc(a + b i) for i = first .. first + count - 1 by the angle addition of sin(pi a) and the
 * table of pi b i: one division for each, no sine.
 */
static void sinc_line(float *out, double a, double b, const double *sine, const double *cosine,
		      ptrdiff_t first, size_t count)
{
	double sa = sin(M_PI * a), ca = cos(M_PI * a);

	for (size_t i = 0; i < count; i++) {
		double x = a + b * (double)(first + (ptrdiff_t)i);
		double s = sa * cosine[i] + ca * sine[i];

		out[i] = fabs(x) < 1e-6 ? 1.0f : (float)(s / (M_PI * x));
	}
}

static void add_plane_kernel(struct pn_normal *n, const struct pn_pose *pose, double sign)
{
	const double magic = 1.5 * 0x1p52 * KERNEL_QUANTUM;
	ptrdiff_t nx = (ptrdiff_t)n->box.nx;
	double c = pose->rotation[0][0], s = pose->rotation[0][2];

#pragma omp parallel for schedule(static)
	for (size_t z = 0; z < n->box.nz; z++) {
		double *row = n->kernel + z * (2 * nx - 1) + (nx - 1);

		for (ptrdiff_t x = 1 - nx; x < nx; x++)
			row[x] += sign * round_to(sinc(c * (double)x + s * (double)z), magic);
	}
}

/* @table: scratch [4][2 nx - 1] */
static void add_box_kernel(struct pn_normal *n, const struct pn_pose *pose, double *table,
			   double sign)
{
	const double magic = 1.5 * 0x1p52 * KERNEL_QUANTUM;
	ptrdiff_t ny = (ptrdiff_t)n->box.ny, nx = (ptrdiff_t)n->box.nx, wide = 2 * nx - 1;
	const double(*r)[3] = pose->rotation;

	for (ptrdiff_t i = 0; i < wide; i++)
		for (int axis = 0; axis < 2; axis++) {
			table[(2 * axis) * wide + i] =
				sin(M_PI * r[axis][0] * (double)(i + 1 - nx));
			table[(2 * axis + 1) * wide + i] =
				cos(M_PI * r[axis][0] * (double)(i + 1 - nx));
		}
#pragma omp parallel for schedule(static)
	for (size_t z = 0; z < n->box.nz; z++) {
		float u[2 * BOX_MAX], v[2 * BOX_MAX];

		for (ptrdiff_t y = 1 - ny; y < ny; y++) {
			double *row = n->kernel + ((ptrdiff_t)z * (2 * ny - 1) + y + ny - 1) * wide;
			double a = r[0][1] * (double)y + r[0][2] * (double)z;
			double b = r[1][1] * (double)y + r[1][2] * (double)z;

			sinc_line(u, a, r[0][0], table, table + wide, 1 - nx, (size_t)wide);
			sinc_line(v, b, r[1][0], table + 2 * wide, table + 3 * wide, 1 - nx,
				  (size_t)wide);
			for (ptrdiff_t x = 0; x < wide; x++)
				row[x] += sign * round_to((double)u[x] * (double)v[x], magic);
		}
	}
}

/* ---- the right-hand side ------------------------------------------------------------------- */

/* An image on the fine grid across its rows: [n][m] to [count][m], row i at fine point first + i.
 */
static void refine_rows(float *fine, ptrdiff_t first, size_t count, const float *image, size_t n,
			size_t m)
{
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < count; i++) {
		float *row = fine + i * m;
		double at = (double)(first + (ptrdiff_t)i) / FINE;

		memset(row, 0, m * sizeof *row);
		for (size_t j = 0; j < n; j++) {
			float w = (float)sinc(at - ((double)j - (double)(n / 2)));

			for (size_t k = 0; k < m; k++)
				row[k] += w * image[j * m + k];
		}
	}
}

/* Farthest point from the origin of an image axis that any voxel of the box can be seen at. */
static double reach(const struct pn_box *box, const double row[3])
{
	return 0.5 * (fabs(row[0]) * (double)(box->nx + 1) + fabs(row[1]) * (double)(box->ny + 1) +
		      fabs(row[2]) * (double)(box->nz + 1));
}

/* First fine point and number of points that hold every target and its taps. */
static size_t fine_range(double center, double reach_px, ptrdiff_t *first)
{
	*first = (ptrdiff_t)floor((center - reach_px) * FINE) - TAPS;
	return (size_t)(ceil((center + reach_px) * FINE) - (double)*first) + 2 * TAPS;
}

static void transpose(float *out, const float *image, size_t ny, size_t nx)
{
	for (size_t y = 0; y < ny; y++)
		for (size_t x = 0; x < nx; x++)
			out[x * ny + y] = image[y * nx + x];
}

/* Of row j of the image in the row that is @t rows from it; whole shifts stay exact. */
static float row_weight(double t)
{
	return t == nearbyint(t) ? (float)(t == 0.0) : (float)sinc(t);
}

/*
 * The image moved along the tilt axis onto the rows of the box and turned: [nx][rows]. A piece of a
 * row is summed up in cache before it is laid out along the columns.
 */
static void shift_rows(float *out, const float *image, size_t ny, size_t nx, size_t rows,
		       double shift_px)
{
#pragma omp parallel for schedule(static)
	for (size_t y = 0; y < rows; y++)
		for (size_t first = 0; first < nx; first += PIECE) {
			size_t count = nx - first < PIECE ? nx - first : PIECE;
			float sum[PIECE] = { 0 };

			for (size_t j = 0; j < ny; j++) {
				float w = row_weight((double)y - (double)(rows / 2) + shift_px -
						     ((double)j - (double)(ny / 2)));

				if (w != 0.0f)
					for (size_t x = 0; x < count; x++)
						sum[x] += w * image[j * nx + first + x];
			}
			for (size_t x = 0; x < count; x++)
				out[(first + x) * rows + y] = sum[x];
		}
}

/* One point between the rows of the fine image, for all @by columns. */
static void interpolate_line(float *restrict out, const float *restrict rows, size_t by,
			     const struct interpolator *taps, double fraction)
{
	float w[TAPS];

	interpolate(taps, fraction, w);
#pragma omp simd
	for (size_t y = 0; y < by; y++)
		out[y] = w[0] * rows[y] + w[1] * rows[by + y] + w[2] * rows[2 * by + y] +
			 w[3] * rows[3 * by + y] + w[4] * rows[4 * by + y] +
			 w[5] * rows[5 * by + y] + w[6] * rows[6 * by + y] +
			 w[7] * rows[7 * by + y];
}

/*
 * Planes of constant y: voxel row (z, x) of every plane takes the same point of the fine image.
 * The rows of the image along y are those of the planes.
 */
static int add_plane_rhs(struct pn_normal *n, const struct pn_pose *pose, const float *image,
			 size_t ny, size_t nx, const struct interpolator *taps, double sign,
			 struct pn_error *err)
{
	const double magic = 1.5 * 0x1p52 * n->quantum, c = pose->rotation[0][0],
		     s = pose->rotation[0][2];
	ptrdiff_t first;
	size_t bz = n->box.nz, by = n->box.ny, bx = n->box.nx;
	size_t count = fine_range(pose->shift_px[0], reach(&n->box, pose->rotation[0]), &first);
	size_t bytes = (nx * by + count * by + bz * LINES * by) * sizeof(float);
	float *turned = malloc(bytes), *fine = turned + nx * by, *lines = fine + count * by;

	if (!turned)
		return pn_error_set(err, PN_ENOMEM, "a tilt needs %zu bytes of scratch", bytes);
	shift_rows(turned, image, ny, nx, by, pose->shift_px[1]);
	refine_rows(fine, first, count, turned, nx, by);
#pragma omp parallel for schedule(static)
	for (size_t z = 0; z < bz; z++)
		for (size_t x = 0; x < bx; x += LINES) {
			size_t lines_here = bx - x < LINES ? bx - x : LINES;
			float *line = lines + z * LINES * by;

			for (size_t i = 0; i < lines_here; i++) {
				double at =
					(c * ((double)(x + i) - (double)(bx / 2)) +
					 s * ((double)z - (double)(bz / 2)) + pose->shift_px[0]) *
					FINE;
				ptrdiff_t base = (ptrdiff_t)floor(at);

				interpolate_line(line + i * by,
						 fine + (base - (TAPS / 2 - 1) - first) *
								 (ptrdiff_t)by,
						 by, taps, at - (double)base);
			}
			for (size_t y = 0; y < by; y++)
				for (size_t i = 0; i < lines_here; i++)
					n->rhs[(y * bz + z) * bx + x + i] +=
						sign * round_to((double)line[i * by + y], magic);
		}
	free(turned);
	return PN_OK;
}

static int add_box_rhs(struct pn_normal *n, const struct pn_pose *pose, const float *image,
		       size_t ny, size_t nx, const struct interpolator *taps, double sign,
		       struct pn_error *err)
{
	const double magic = 1.5 * 0x1p52 * n->quantum;
	const double(*r)[3] = pose->rotation;
	ptrdiff_t first_x, first_y;
	size_t bz = n->box.nz, by = n->box.ny, bx = n->box.nx;
	size_t wide = fine_range(pose->shift_px[0], reach(&n->box, r[0]), &first_x);
	size_t high = fine_range(pose->shift_px[1], reach(&n->box, r[1]), &first_y);
	size_t larger = wide * ny > ny * nx ? wide * ny : ny * nx;
	size_t bytes = (larger + wide * ny + high * wide) * sizeof(float);
	float *turned = malloc(bytes), *columns = turned + larger, *fine = columns + wide * ny;

	if (!turned)
		return pn_error_set(err, PN_ENOMEM, "a tilt needs %zu bytes of scratch", bytes);
	transpose(turned, image, ny, nx);
	refine_rows(columns, first_x, wide, turned, nx, ny);
	transpose(turned, columns, wide, ny);
	refine_rows(fine, first_y, high, turned, ny, wide);
#pragma omp parallel for schedule(static)
	for (size_t z = 0; z < bz; z++)
		for (size_t y = 0; y < by; y++) {
			double dz = (double)z - (double)(bz / 2), dy = (double)y - (double)(by / 2);
			double *out = n->rhs + (z * by + y) * bx;

			for (size_t x = 0; x < bx; x++) {
				double dx = (double)x - (double)(bx / 2);
				double u = (r[0][0] * dx + r[0][1] * dy + r[0][2] * dz +
					    pose->shift_px[0]) *
					   FINE;
				double v = (r[1][0] * dx + r[1][1] * dy + r[1][2] * dz +
					    pose->shift_px[1]) *
					   FINE;
				ptrdiff_t iu = (ptrdiff_t)floor(u), iv = (ptrdiff_t)floor(v);
				const float *p = fine +
						 (iv - (TAPS / 2 - 1) - first_y) * (ptrdiff_t)wide +
						 (iu - (TAPS / 2 - 1) - first_x);
				float wu[TAPS], wv[TAPS], sums[TAPS] = { 0 }, sum = 0.0f;

				interpolate(taps, u - (double)iu, wu);
				interpolate(taps, v - (double)iv, wv);
				for (int j = 0; j < TAPS; j++)
					for (int i = 0; i < TAPS; i++)
						sums[i] += wv[j] * p[(size_t)j * wide + (size_t)i];
				for (int i = 0; i < TAPS; i++)
					sum += wu[i] * sums[i];
				out[x] += sign * round_to((double)sum, magic);
			}
		}
	free(turned);
	return PN_OK;
}

/* ---- one tilt ------------------------------------------------------------------------------ */

static int check_tilt(const struct pn_normal *n, const struct pn_pose *pose, const float *image,
		      size_t ny, size_t nx, double *energy, struct pn_error *err)
{
	double limit = n->quantum * ldexp(1.0, RHS_BITS) * PIXELS_BEYOND, sum = 0.0;

	if (pn_pose_check(pose, n->tilts, err))
		return PN_EARG;
	if (fabs(pose->shift_px[0]) > SHIFT_MAX_PX || fabs(pose->shift_px[1]) > SHIFT_MAX_PX)
		return pn_error_set(err, PN_EARG, "a shift of %g %g px: %g at most",
				    pose->shift_px[0], pose->shift_px[1], SHIFT_MAX_PX);
	if (n->single_axis && !pn_poses_single_axis(pose, 1))
		return pn_error_set(err, PN_EARG,
				    "a pose that moves the tilt axis (to %.6f, %.6f, %.6f) in sums "
				    "for one axis",
				    pose->rotation[1][0], pose->rotation[1][1],
				    pose->rotation[1][2]);
	for (size_t i = 0; i < ny * nx; i++) {
		if (!(fabs((double)image[i]) <= limit))
			return pn_error_set(
				err, PN_EARG,
				"pixel (%zu, %zu) of a tilt is %g: not finite or beyond %g", i / nx,
				i % nx, (double)image[i], limit);
		sum += (double)image[i] * (double)image[i];
	}
	*energy = sum;
	return PN_OK;
}

static void add_energy(struct pn_normal *n, double energy, double sign)
{
	double unit = n->quantum * n->quantum;
	double coarse = round_to(energy, 1.5 * 0x1p52 * unit * ENERGY_COARSE);

	n->energy_part[0] += sign * coarse;
	n->energy_part[1] += sign * round_to(energy - coarse, 1.5 * 0x1p52 * unit * ENERGY_FINE);
	n->energy = n->energy_part[0] + n->energy_part[1];
}

static int add(struct pn_normal *n, const struct pn_pose *pose, const float *image, size_t ny,
	       size_t nx, double sign, struct pn_error *err)
{
	double energy = 0.0;
	int rc = check_tilt(n, pose, image, ny, nx, &energy, err);

	if (rc)
		return rc;

	struct interpolator *taps = malloc(sizeof *taps);
	double *table = malloc(4 * (2 * n->box.nx - 1) * sizeof *table);

	if (!taps || !table) {
		rc = pn_error_set(err, PN_ENOMEM, "no memory for the tables of a tilt");
	} else if (n->single_axis) {
		interpolator_init(taps);
		rc = add_plane_rhs(n, pose, image, ny, nx, taps, sign, err);
		if (!rc)
			add_plane_kernel(n, pose, sign);
	} else {
		interpolator_init(taps);
		rc = add_box_rhs(n, pose, image, ny, nx, taps, sign, err);
		if (!rc)
			add_box_kernel(n, pose, table, sign);
	}
	free(table);
	free(taps);
	if (rc)
		return rc;
	n->tilts += sign > 0 ? 1 : (size_t)-1;
	add_energy(n, energy, sign);
	return PN_OK;
}

int pn_normal_add(struct pn_normal *normal, const struct pn_pose *pose, const float *image,
		  size_t ny, size_t nx, struct pn_error *err)
{
	return add(normal, pose, image, ny, nx, 1.0, err);
}

int pn_normal_subtract(struct pn_normal *normal, const struct pn_pose *pose, const float *image,
		       size_t ny, size_t nx, struct pn_error *err)
{
	if (!normal->tilts)
		return pn_error_set(err, PN_EARG, "a tilt to take away from none");
	return add(normal, pose, image, ny, nx, -1.0, err);
}
