/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/orient/accumulate.h"

#include "accumulate_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	LANES = 4,
	WIDEST = 6, /* of the kernel, grid points */
	FOURS_MAX = (WIDEST * PN_CELL_PARTS + LANES - 1) / LANES,
	TABLE_ROW = 8, /* weights kept together in its table */
	STEPS = 2048,  /* of the table, per grid point; linear between them */
	AHEAD = 6,     /* footprints that are asked for before they are needed */
	VERSION = 1,
};

#define ROOM              1024.0  /* times the announced, that addends may reach */
#define NUMERATOR_QUANTUM 0x1p-32 /* of the largest sum of pixels that was announced */
#define WEIGHT_QUANTUM    0x1p-32
#define ENERGY_COARSE     0x1p10 /* of the squared unit */
#define ENERGY_FINE       0x1p-30
#define SHIFT_MAX_PX      1e6
#define ROUND             0x1.8p52 /* what is added to it in double loses its fraction */

typedef float eight_f __attribute__((vector_size(8 * sizeof(float)), may_alias, aligned(4)));
typedef float four_f __attribute__((vector_size(LANES * sizeof(float)), may_alias, aligned(4)));
typedef double four_d __attribute__((vector_size(LANES * sizeof(double))));
typedef int64_t four_i __attribute__((vector_size(LANES * sizeof(int64_t)), may_alias, aligned(8)));

/* ---- plan ---------------------------------------------------------------------------------- */

/* modified Bessel function of the first kind, order 0, by its power series */
static double bessel_i0(double x)
{
	double term = 1, sum = 1;

	for (int k = 1; term > 1e-17 * sum; k++) {
		term *= (x / (2 * k)) * (x / (2 * k));
		sum += term;
	}
	return sum;
}

/* I0(b sqrt(1 - (2 k / w)^2)) / I0(b) at the points t - i / STEPS from a place between points. */
static void fill_table(struct pn_accumulator *s)
{
	const double half = s->params.kernel_width / 2.0, top = bessel_i0(s->beta);

	for (int i = 0; i <= STEPS; i++)
		for (int t = 0; t < s->params.kernel_width; t++) {
			double k = (t + (double)i / STEPS - half) / half;

			s->table[i * TABLE_ROW + t] =
				(float)(k * k < 1 ? bessel_i0(s->beta * sqrt(1 - k * k)) / top : 0);
		}
}

/* The half plane kx > 0, and of kx = 0 the half line ky >= 0; the Nyquist frequency stays out. */
static size_t list_frequencies(const struct pn_accumulator *s, struct pn_slice_frequency *out)
{
	const ptrdiff_t n = (ptrdiff_t)s->params.edge;
	const double limit = s->params.frequency_max * (double)n;
	size_t count = 0;

	for (ptrdiff_t y = 1 - n / 2; y < n / 2; y++)
		for (ptrdiff_t x = 0; x < n / 2; x++) {
			const ptrdiff_t iy = y < 0 ? y + n : y;
			const double length = sqrt((double)(x * x + y * y));

			if (length > limit + 1e-9 || (!x && y < 0))
				continue;
			if (out)
				out[count] = (struct pn_slice_frequency){
					.x = (float)x,
					.y = (float)y,
					.step = (float)(2 * length),
					.share = x || y ? 1 : 0.5f,
					.bin = (uint32_t)(iy * (n / 2 + 1) + x),
					.ix = (uint16_t)x,
					.iy = (uint16_t)iy,
				};
			count++;
		}
	return count;
}

static int take_memory(struct pn_accumulator *s, struct pn_error *err)
{
	const size_t edge = s->params.edge, bins = edge * (edge / 2 + 1);
	const size_t bytes = s->count * sizeof *s->cell;

	s->cell = pn_fft_alloc(bytes);
	s->frequency = calloc(s->frequencies, sizeof *s->frequency);
	s->spot = calloc(s->frequencies, sizeof *s->spot);
	s->table = pn_fft_alloc((STEPS + 2) * TABLE_ROW * sizeof *s->table);
	s->image = pn_fft_alloc(edge * edge * sizeof *s->image);
	s->spectrum = pn_fft_alloc(bins * sizeof *s->spectrum);
	s->turn[0] = pn_fft_alloc((edge / 2 + 1) * sizeof *s->turn[0]);
	s->turn[1] = pn_fft_alloc(edge * sizeof *s->turn[1]);
	if (!s->cell || !s->frequency || !s->spot || !s->table || !s->image || !s->spectrum ||
	    !s->turn[0] || !s->turn[1])
		return pn_error_set(
			err, PN_ENOMEM,
			"sums of slices of %zu px up to %g cycles per px need %zu bytes", edge,
			s->params.frequency_max, bytes);
	return PN_OK;
}

static int check_params(const struct pn_accumulate_params *p, struct pn_error *err)
{
	if (p->edge < 16 || p->edge > 512 || p->edge % 2)
		return pn_error_set(err, PN_EARG,
				    "slices of %zu px: the edge must be even, 16..512", p->edge);
	if (!(p->frequency_max * (double)p->edge >= 1 && p->frequency_max <= 0.5))
		return pn_error_set(err, PN_EARG,
				    "slices up to %g cycles per px: must be 1 / edge .. 1 / 2",
				    p->frequency_max);
	if (!(p->largest_pixel > 1e-30 && p->largest_pixel < 1e30))
		return pn_error_set(err, PN_EARG, "largest pixel %g: must be 1e-30..1e30",
				    p->largest_pixel);
	if (p->kernel_width < 3 || p->kernel_width > WIDEST)
		return pn_error_set(err, PN_EARG, "a kernel of %d grid points: must be 3..%d",
				    p->kernel_width, WIDEST);
	return PN_OK;
}

static int plan(struct pn_accumulator *s, struct pn_error *err)
{
	const double edge = (double)s->params.edge, width = s->params.kernel_width;
	/* of a grid of twice the edge: Beatty, Nishimura, Pauly, IEEE Trans. Med. Imaging 24, 799
	 * (2005), eq. 5 */
	const double reach = width * 0.75;

	s->beta = M_PI * sqrt(reach * reach - 0.8);
	s->unit = ldexp(1, ilogb(s->params.largest_pixel * (1 - 0x1p-53)) + 1);
	s->quantum = s->unit * ldexp(1, ilogb(edge * edge - 0.5) + 1) * NUMERATOR_QUANTUM;
	/* one more, as a rotation may be off by 1e-6 */
	s->reach = (ptrdiff_t)(2 * edge * s->params.frequency_max + width / 2) + 1;
	s->margin = s->params.kernel_width / 2;
	s->row = (size_t)(s->margin + 1 + s->reach) * PN_CELL_PARTS;
	s->side = (size_t)(2 * s->reach + 1);
	/* what is added with zeros, to fill a vector, may lie beyond the last row */
	s->count = s->side * s->side * s->row + LANES;
	s->frequencies = list_frequencies(s, NULL);
	int rc = take_memory(s, err);
	if (rc)
		return rc;
	list_frequencies(s, s->frequency);
	fill_table(s);
	return pn_fft_plan(&s->fft, PN_FFT_R2C, s->params.edge, s->params.edge, 0, err);
}

int pn_accumulator_create(struct pn_accumulator **sums, const struct pn_accumulate_params *params,
			  struct pn_error *err)
{
	*sums = NULL;
	int rc = check_params(params, err);
	if (rc)
		return rc;
	struct pn_accumulator *s = calloc(1, sizeof *s);
	if (!s)
		return pn_error_set(err, PN_ENOMEM, "no memory for sums of slices");
	s->params = *params;
	rc = plan(s, err);
	if (rc) {
		pn_accumulator_destroy(s);
		return rc;
	}
	*sums = s;
	return PN_OK;
}

void pn_accumulator_destroy(struct pn_accumulator *s)
{
	if (!s)
		return;
	pn_fft_free(s->cell);
	free(s->frequency);
	free(s->spot);
	pn_fft_free(s->table);
	pn_fft_free(s->image);
	pn_fft_free(s->spectrum);
	pn_fft_free(s->turn[0]);
	pn_fft_free(s->turn[1]);
	pn_fft_destroy(s->fft);
	pn_fft3_destroy(s->fft3);
	free(s);
}

void pn_accumulator_reset(struct pn_accumulator *s)
{
	memset(s->cell, 0, s->count * sizeof *s->cell);
	memset(s->energy, 0, sizeof s->energy);
	s->weight = 0;
	s->images = 0;
}

/* ---- one image ----------------------------------------------------------------------------- */

static int check_pose(const struct pn_pose *pose, struct pn_error *err)
{
	const double(*r)[3] = pose->rotation;
	const double det = r[0][0] * (r[1][1] * r[2][2] - r[1][2] * r[2][1]) -
			   r[0][1] * (r[1][0] * r[2][2] - r[1][2] * r[2][0]) +
			   r[0][2] * (r[1][0] * r[2][1] - r[1][1] * r[2][0]);
	double worst = fabs(det - 1);

	for (int i = 0; i < 3; i++)
		for (int j = 0; j < 3; j++) {
			double dot = r[i][0] * r[j][0] + r[i][1] * r[j][1] + r[i][2] * r[j][2];
			double off = fabs(dot - (i == j));

			worst = off > worst || isnan(off) ? off : worst;
		}
	if (!(worst <= 1e-6))
		return pn_error_set(err, PN_EARG,
				    "the pose of a slice is not a rotation: off by %g", worst);
	if (!(fabs(pose->shift_px[0]) <= SHIFT_MAX_PX && fabs(pose->shift_px[1]) <= SHIFT_MAX_PX))
		return pn_error_set(err, PN_EARG, "a slice with a shift of %g %g px: %g at most",
				    pose->shift_px[0], pose->shift_px[1], SHIFT_MAX_PX);
	return PN_OK;
}

/* The largest contrast, and that no addend can leave the range in which sums are exact. */
static int check_size(const struct pn_accumulator *s, const float *image, double weight,
		      const double *ctf, struct pn_error *err)
{
	const size_t edge = s->params.edge;
	double sum = 0, contrast = ctf ? 0 : 1;

	for (size_t i = 0; ctf && i <= edge; i++) {
		if (!isfinite(ctf[i]))
			return pn_error_set(err, PN_EARG, "contrast transfer %zu is %g", i, ctf[i]);
		contrast = fmax(contrast, fabs(ctf[i]));
	}
	if (!(weight > 0 && weight <= ROOM && weight * contrast * contrast <= ROOM))
		return pn_error_set(err, PN_EARG,
				    "a slice of weight %g and contrast %g: weight times squared "
				    "contrast must be above 0, %g at most",
				    weight, contrast, ROOM);
	for (size_t y = 0; y < edge; y++) {
		float row = 0;

#pragma omp simd reduction(+ : row)
		for (size_t x = 0; x < edge; x++)
			row += fabsf(image[y * edge + x]);
		if (!isfinite(row))
			return pn_error_set(err, PN_EARG, "row %zu of a slice is not finite", y);
		sum += (double)row;
	}
	const double limit = ROOM * s->quantum / NUMERATOR_QUANTUM;
	if (!(sum <= limit && weight * contrast * sum <= limit))
		return pn_error_set(err, PN_EARG,
				    "the pixels of a slice add up to %g, with a weight of %g and a "
				    "contrast of %g: %g at most for a largest pixel of %g",
				    sum, weight, contrast, limit, s->params.largest_pixel);
	return PN_OK;
}

/* exp(2 pi i k shift / edge), which brings the image back, times that of its origin, (-1)^k. */
static void fill_turns(struct pn_accumulator *s, const struct pn_pose *pose)
{
	const ptrdiff_t n = (ptrdiff_t)s->params.edge;

	for (int axis = 0; axis < 2; axis++) {
		/* whole edges do not turn anything */
		const double shift = fmod(pose->shift_px[axis], (double)n) / (double)n;

		for (ptrdiff_t i = 0; i < (axis ? n : n / 2 + 1); i++) {
			const ptrdiff_t k = axis && i >= n / 2 ? i - n : i;
			const double turn = 2 * M_PI * (double)k * shift, sign = k % 2 ? -1 : 1;

			if (fabs((double)k) > s->params.frequency_max * (double)n + 1)
				continue;
			s->turn[axis][i] = __builtin_complex((float)(sign * cos(turn)),
							     (float)(sign * sin(turn)));
		}
	}
}

static float contrast_at(const double *ctf, float step)
{
	const size_t i = (size_t)step;
	const double part = (double)step - (double)i;

	/* the Nyquist frequency is not among them, so that i + 1 exists */
	return (float)(ctf[i] + part * (ctf[i + 1] - ctf[i]));
}

static inline __attribute__((always_inline)) void weights(const float *table, float below,
							  eight_f *w)
{
	const float steps = below * STEPS;
	const int i = (int)steps;
	const eight_f *row = (const eight_f *)(table + i * TABLE_ROW);

	*w = row[0] + (steps - (float)i) * (row[1] - row[0]);
}

/* Where f falls, qx >= 0, and what it adds there. @share of the mate is conjugated with it. */
static inline __attribute__((always_inline)) void place(const struct pn_accumulator *s,
							const struct pn_slice_frequency *f,
							const double rotation[3][3],
							struct pn_slice_spot *spot)
{
	const double half = 0.5 * s->params.kernel_width;
	ptrdiff_t first[3];
	double q[3], sign;

	for (int a = 0; a < 3; a++)
		q[a] = 2 * (rotation[0][a] * (double)f->x + rotation[1][a] * (double)f->y);
	sign = q[0] < 0 ? -1 : 1;
	for (int a = 0; a < 3; a++) {
		const double start = sign * q[a] - half, up = ceil(start);

		first[a] = (ptrdiff_t)up;
		spot->below[a] = (float)(up - start);
	}
	spot->sign = (float)sign;
	spot->at = ((first[2] + s->reach) * (ptrdiff_t)s->side + first[1] + s->reach) *
			   (ptrdiff_t)s->row +
		   (first[0] + s->margin) * PN_CELL_PARTS;
}

/* @sign: 1 or -1, to which rounding is blind. Returns the energy within the band. */
static double fill_spots(struct pn_accumulator *s, const struct pn_pose *pose, double weight,
			 const double *ctf, int sign)
{
	const float scale = (float)(sign * weight / s->quantum);
	const float share = (float)(sign * weight / PN_DENSITY_QUANTUM);
	double energy = 0;

	for (size_t i = 0; i < s->frequencies; i++) {
		const struct pn_slice_frequency *f = &s->frequency[i];
		struct pn_slice_spot *spot = &s->spot[i];
		const float complex in = s->spectrum[f->bin], tx = s->turn[0][f->ix],
				    ty = s->turn[1][f->iy];
		const float re = crealf(in), im = cimagf(in),
			    c = ctf ? contrast_at(ctf, f->step) : 1;
		const float cos_t = crealf(tx) * crealf(ty) - cimagf(tx) * cimagf(ty),
			    sin_t = crealf(tx) * cimagf(ty) + cimagf(tx) * crealf(ty);
		const float g = scale * c * f->share;

		place(s, f, pose->rotation, spot);
		spot->value[0] = g * (re * cos_t - im * sin_t);
		spot->value[1] = spot->sign * g * (re * sin_t + im * cos_t);
		spot->value[2] = share * c * c * f->share;
		energy += (double)(f->share * (re * re + im * im));
	}
	return 2 * energy;
}

/* Ask for a footprint: the sums are larger than any cache, and the processor cannot guess. */
static inline __attribute__((always_inline)) void
fetch(const struct pn_accumulator *s, const struct pn_slice_spot *spot, const int width)
{
	const int64_t *page = s->cell + spot->at;

	for (int k = 0; k < width; k++, page += s->side * s->row)
		for (int j = 0; j < width; j++) {
			const int64_t *row = page + (size_t)j * s->row;

			__builtin_prefetch(row, 1);
			__builtin_prefetch(row + width * PN_CELL_PARTS - 1, 1);
		}
}

/* The numbers along a row of a footprint, cell by cell, as fours. */
static inline __attribute__((always_inline)) void along_row(const eight_f *w, const float value[3],
							    four_d along[FOURS_MAX])
{
	const float re = value[0], im = value[1], density = value[2];
	const four_f v[] = { { re, im, density, re },
			     { im, density, re, im },
			     { density, re, im, density } };
	const four_f x[FOURS_MAX] = {
		__builtin_shufflevector(*w, *w, 0, 0, 0, 1),
		__builtin_shufflevector(*w, *w, 1, 1, 2, 2),
		__builtin_shufflevector(*w, *w, 2, 3, 3, 3),
		__builtin_shufflevector(*w, *w, 4, 4, 4, 5),
		__builtin_shufflevector(*w, *w, 5, 5, 6, 6),
	};

	for (int i = 0; i < FOURS_MAX; i++)
		along[i] = __builtin_convertvector(x[i] * v[i % 3], four_d);
}

/* Add the value times the kernel about a spot, each addend rounded to whole quanta. */
static inline __attribute__((always_inline)) void
spread(const struct pn_accumulator *s, const struct pn_slice_spot *spot, const int width)
{
	const int fours = (width * PN_CELL_PARTS + LANES - 1) / LANES;
	const four_d round = { ROUND, ROUND, ROUND, ROUND };
	int64_t *page = s->cell + spot->at;
	four_d along[FOURS_MAX];
	eight_f wx, wy, wz;

	weights(s->table, spot->below[0], &wx);
	weights(s->table, spot->below[1], &wy);
	weights(s->table, spot->below[2], &wz);
	along_row(&wx, spot->value, along);
	for (int k = 0; k < width; k++, page += s->side * s->row) {
		const eight_f across = wy * wz[k];
		int64_t *to = page;

		for (int j = 0; j < width; j++, to += s->row)
			for (int i = 0; i < fours; i++) {
				const four_d whole = along[i] * (double)across[j] + round;

				*(four_i *)(to + i * LANES) += (four_i)whole - (four_i)round;
			}
	}
}

static inline __attribute__((always_inline)) void spread_all(const struct pn_accumulator *s,
							     const int width)
{
	for (size_t i = 0; i < s->frequencies; i++) {
		if (i + AHEAD < s->frequencies)
			fetch(s, &s->spot[i + AHEAD], width);
		spread(s, &s->spot[i], width);
	}
}

static void add_energy(struct pn_accumulator *s, double energy, int sign)
{
	const double unit = s->unit * s->unit;
	const double coarse = rint(energy / (unit * ENERGY_COARSE));

	s->energy[0] += sign * (int64_t)coarse;
	s->energy[1] +=
		sign * llrint((energy - coarse * unit * ENERGY_COARSE) / (unit * ENERGY_FINE));
}

static int add(struct pn_accumulator *s, const struct pn_pose *pose, const float *image,
	       double weight, const double *ctf, int sign, struct pn_error *err)
{
	const double pixels = (double)(s->params.edge * s->params.edge);
	double energy;
	int rc = check_pose(pose, err);

	if (!rc)
		rc = check_size(s, image, weight, ctf, err);
	if (rc)
		return rc;
	memcpy(s->image, image, s->params.edge * s->params.edge * sizeof *image);
	pn_fft_execute(s->fft, s->image, s->spectrum);
	fill_turns(s, pose);
	energy = fill_spots(s, pose, weight, ctf, sign);
	/* the width as a constant: the loops over the kernel are unrolled */
	switch (s->params.kernel_width) {
	case 3:
		spread_all(s, 3);
		break;
	case 4:
		spread_all(s, 4);
		break;
	case 5:
		spread_all(s, 5);
		break;
	default:
		spread_all(s, WIDEST);
	}
	add_energy(s, weight * energy / pixels, sign);
	s->weight += sign * llrint(weight / WEIGHT_QUANTUM);
	s->images += (uint64_t)(int64_t)sign;
	return PN_OK;
}

int pn_accumulator_add(struct pn_accumulator *sums, const struct pn_pose *pose, const float *image,
		       double weight, const double *ctf, struct pn_error *err)
{
	return add(sums, pose, image, weight, ctf, 1, err);
}

int pn_accumulator_subtract(struct pn_accumulator *sums, const struct pn_pose *pose,
			    const float *image, double weight, const double *ctf,
			    struct pn_error *err)
{
	if (!sums->images)
		return pn_error_set(err, PN_EARG, "a slice to take away from none");
	return add(sums, pose, image, weight, ctf, -1, err);
}

/* ---- all of them --------------------------------------------------------------------------- */

static int same_params(const struct pn_accumulate_params *a, const struct pn_accumulate_params *b)
{
	return a->edge == b->edge && a->kernel_width == b->kernel_width &&
	       a->frequency_max == b->frequency_max && a->largest_pixel == b->largest_pixel;
}

static int differ(const struct pn_accumulate_params *a, const struct pn_accumulate_params *b,
		  struct pn_error *err)
{
	return pn_error_set(err, PN_EARG,
			    "sums of slices of %zu px, %.17g cycles per px, largest pixel %.17g, "
			    "kernel %d, and others of %zu px, %.17g, %.17g, %d",
			    a->edge, a->frequency_max, a->largest_pixel, a->kernel_width, b->edge,
			    b->frequency_max, b->largest_pixel, b->kernel_width);
}

int pn_accumulator_merge(struct pn_accumulator *sums, const struct pn_accumulator *other,
			 struct pn_error *err)
{
	if (!same_params(&sums->params, &other->params))
		return differ(&sums->params, &other->params, err);
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < sums->count; i++)
		sums->cell[i] += other->cell[i];
	sums->weight += other->weight;
	sums->energy[0] += other->energy[0];
	sums->energy[1] += other->energy[1];
	sums->images += other->images;
	return PN_OK;
}

static int64_t decayed(int64_t value, double factor)
{
	return llrint((double)value * factor);
}

void pn_accumulator_decay(struct pn_accumulator *sums, double factor)
{
	factor = fmin(fmax(factor, 0), 1);
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < sums->count; i++)
		sums->cell[i] = decayed(sums->cell[i], factor);
	sums->weight = decayed(sums->weight, factor);
	sums->energy[0] = decayed(sums->energy[0], factor);
	sums->energy[1] = decayed(sums->energy[1], factor);
}

double pn_accumulator_weight(const struct pn_accumulator *sums)
{
	return (double)sums->weight * WEIGHT_QUANTUM;
}

double pn_accumulator_energy(const struct pn_accumulator *sums)
{
	return ((double)sums->energy[0] * ENERGY_COARSE + (double)sums->energy[1] * ENERGY_FINE) *
	       sums->unit * sums->unit;
}

uint64_t pn_accumulator_images(const struct pn_accumulator *sums)
{
	return sums->images;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

struct saved {
	char magic[8];
	uint64_t version, edge, kernel_width;
	double frequency_max, largest_pixel;
	int64_t weight, energy[2];
	uint64_t images;
};

/* Of each row only what lies between its first and its last number that is not 0. */
struct saved_row {
	uint32_t first, count;
};

static struct saved_row extent(const int64_t *row, size_t n)
{
	struct saved_row r = { 0, (uint32_t)n };

	while (r.count && !row[r.count - 1])
		r.count--;
	while (r.first < r.count && !row[r.first])
		r.first++;
	r.count -= r.first;
	return r;
}

static struct saved head_of(const struct pn_accumulator *s)
{
	return (struct saved){
		.magic = "pnslice",
		.version = VERSION,
		.edge = s->params.edge,
		.kernel_width = (uint64_t)s->params.kernel_width,
		.frequency_max = s->params.frequency_max,
		.largest_pixel = s->params.largest_pixel,
		.weight = s->weight,
		.energy = { s->energy[0], s->energy[1] },
		.images = s->images,
	};
}

int pn_accumulator_save(const struct pn_accumulator *sums, struct pn_blob *out)
{
	const struct saved head = head_of(sums);
	int rc = pn_blob_put(out, &head, sizeof head);

	for (size_t i = 0; !rc && i < sums->side * sums->side; i++) {
		const int64_t *row = sums->cell + i * sums->row;
		const struct saved_row r = extent(row, sums->row);

		rc = pn_blob_put(out, &r, sizeof r);
		if (!rc && r.count)
			rc = pn_blob_put(out, row + r.first, r.count * sizeof *row);
	}
	return rc;
}

/* Walk over all rows; with @s->cell written only if @write. 0 if they are not exactly the bytes. */
static int read_rows(struct pn_accumulator *s, const unsigned char *at, size_t bytes, int write)
{
	for (size_t i = 0; i < s->side * s->side; i++) {
		struct saved_row r;

		if (bytes < sizeof r)
			return 0;
		memcpy(&r, at, sizeof r);
		at += sizeof r;
		bytes -= sizeof r;
		if (r.first > s->row || r.count > s->row - r.first ||
		    bytes < r.count * sizeof *s->cell)
			return 0;
		if (write && r.count)
			memcpy(s->cell + i * s->row + r.first, at, r.count * sizeof *s->cell);
		at += r.count * sizeof *s->cell;
		bytes -= r.count * sizeof *s->cell;
	}
	return bytes == 0;
}

int pn_accumulator_load(struct pn_accumulator *sums, const void *data, size_t bytes,
			struct pn_error *err)
{
	struct saved head, mine = head_of(sums);

	if (bytes < sizeof head)
		return pn_error_set(err, PN_EFORMAT, "saved slices of %zu bytes: cut off", bytes);
	memcpy(&head, data, sizeof head);
	if (memcmp(head.magic, mine.magic, sizeof head.magic))
		return pn_error_set(err, PN_EFORMAT, "these %zu bytes are no saved slices", bytes);
	if (head.version != VERSION)
		return pn_error_set(err, PN_EVERSION, "saved slices of version %llu, not %d",
				    (unsigned long long)head.version, VERSION);

	const struct pn_accumulate_params params = { (size_t)head.edge, head.frequency_max,
						     head.largest_pixel, (int)head.kernel_width };
	const unsigned char *rows = (const unsigned char *)data + sizeof head;

	if (!same_params(&params, &sums->params))
		return differ(&sums->params, &params, err);
	if (!read_rows(sums, rows, bytes - sizeof head, 0))
		return pn_error_set(err, PN_EFORMAT, "saved slices of %zu bytes: rows are damaged",
				    bytes);
	pn_accumulator_reset(sums);
	read_rows(sums, rows, bytes - sizeof head, 1);
	sums->weight = head.weight;
	memcpy(sums->energy, head.energy, sizeof sums->energy);
	sums->images = head.images;
	return PN_OK;
}
