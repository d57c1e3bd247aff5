/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/image/track.h"

#include "perrin/image/filter.h"
#include "perrin/math/fft.h"
#include "statistics.h"

#include <float.h>
#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define F64(field_, unit_, def_, min_, max_, help_)                                          \
	{                                                                                    \
		.name = #field_, .unit = unit_, .help = help_, .type = PN_PARAM_F64,         \
		.off = offsetof(struct pn_tracker_params, field_), .def = def_, .min = min_, \
		.max = max_                                                                  \
	}
#define I64(field_, unit_, def_, min_, max_, help_)                                          \
	{                                                                                    \
		.name = #field_, .unit = unit_, .help = help_, .type = PN_PARAM_I64,         \
		.off = offsetof(struct pn_tracker_params, field_), .def = def_, .min = min_, \
		.max = max_                                                                  \
	}

const struct pn_param pn_tracker_param_table[] = {
	F64(pixel_pm, "pm", 35.8, 1, 1000, "pixel size at the specimen"),
	F64(lowpass_A, "A", 1.1, 0.5, 20,
	    "nothing finer is used (2.3 if graphene's spots are not taken out)"),
	I64(box_px, "px", 160, 32, 1024, "side of the window around a particle"),
	I64(particles_max, NULL, 4, 1, PN_TRACKS_MAX, "most particles followed at a time"),
	F64(diameter_nm, "nm", 2.5, 0.2, 50, "expected size"),
	F64(sensitivity, NULL, 4, 1, 100, "standard deviations over noise that count as seen"),
	F64(contrast_min, NULL, 1, 0, 1000,
	    "energy over its surroundings, less 1, that counts as seen"),
	I64(confirm_frames, NULL, 4, 1, 1000, "frames a candidate must be seen in"),
	I64(lost_frames, NULL, 25, 1, 1e9, "unseen frames until a particle is lost"),
	I64(forget_frames, NULL, 4000, 1, 1e9, "unseen frames until its place is given away"),
	I64(redetect_frames, NULL, 32, 1, 1e6, "the whole frame is searched once in so many"),
	I64(average_frames, NULL, 8, 1, 1000, "depth of the mean of power spectra"),
	F64(reach_px, "px", 12, 1, 200, "most that a particle moves from frame to frame"),
	{ 0 },
};

#undef F64
#undef I64

enum { VERSION = 1, CANDIDATES = 8, SLOTS_MAX = PN_TRACKS_MAX + CANDIDATES };
enum { RINGS_MAX = 768, LOW_RINGS_MAX = 128, THREADS_MAX = 16, TILES_FOR_SHAPE = 16 };
enum { RING_REACH = 3, SHIFT_ROUNDS = 12, SETTLED_FRAMES = 32, FAR_STEP = 8 };

static const char magic[8] = "PNTRACK";
static const double taper_part = 0.125;  /* of the side, each edge                      */
static const double bins_per_smooth = 6; /* independent values in a [1 2 1]^2 mean      */
static const double margin_sigmas = 1.5;
static const double low_period_A = 8;  /* coarser than this the outline of a particle */
static const double base_period_A = 5; /* ... and noise is judged between the two     */
static const double spot_mask_px = 2;
static const double tile_sigmas_more = 1.5; /* many bins are looked at in a tile           */
static const double at_once_factor = 5;     /* sensitivities that need no confirmation     */
static const double flank_part = 0.2;       /* of a neighbour's significance             */
static const double first_gain = 0.5, least_gain = 0.15, memory_of_steps = 128;

enum use { SLOT_FREE, SLOT_CANDIDATE, SLOT_TOLD };

/* Running mean of a window's spectrum over its noise; the values are elsewhere. */
struct average {
	double depth; /* frames that it is worth, 0: none yet */
	uint64_t frames;
};

struct slot {
	int32_t use, state; /* enum use; enum pn_track_state */
	uint32_t particle, reserved;
	uint64_t age, unseen, hits;
	double x, y;              /* filtered position                      */
	double past[FAR_STEP][2]; /* ring of measured positions             */
	double near2, far2;       /* mean squared steps over 1 and FAR_STEP */
	uint64_t steps;
	double contrast, area, sigma;
	struct average average;
};

struct tile {
	struct average average;
	double low[LOW_RINGS_MAX]; /* mean ratio of low rings to the base */
};

/* All that is saved, followed by float ratio[slots + tiles][bins] and struct tile[tiles]. */
struct state {
	char magic[8];
	uint32_t version, tiles, slots, next_particle;
	uint64_t bytes, ny, nx, frame, cursor;
	struct pn_tracker_params params;
	uint64_t spot_count;
	struct pn_spot spots[PN_BACKGROUND_SPOTS_MAX];
	double low_shape[LOW_RINGS_MAX];
	struct slot slot[SLOTS_MAX];
};

/* One thread's arrays. */
struct scratch {
	float *window;                  /* [n][n]         */
	float complex *wave;            /* [n][n/2+1]     */
	float *ratio, *smooth, *weight; /* [rows][cols]   */
	float complex *small_wave;      /* [m][m/2+1]     */
	float *small;                   /* [m][m]         */
	float *energy, *blurred, *tmp;  /* [e][e] */
	double noise[RINGS_MAX];
};

struct pn_tracker {
	struct pn_tracker_params params;
	size_t ny, nx, n, m, e;
	long half; /* largest bin held */
	size_t rows, cols, bins, rings, low_rings;
	double diameter_px, taper_mean2;
	struct pn_fft *forward, *backward;
	float *taper;       /* [n] */
	uint16_t *ring;     /* [rows][cols] */
	float *band, *pass; /* [rows][cols]; pass: band less the background spots */
	size_t slots, tiles_y, tiles_x, tiles;
	struct state *state;
	float *ratios;     /* inside state */
	struct tile *tile; /* inside state */
	struct scratch scratch[THREADS_MAX];
	int threads;
	double *sorted; /* [tiles] */
};

/* What one window said. */
struct finding {
	int found; /* the map has something in it */
	double x, y, sigma, contrast, area;
};

/* ------------------------------------------------------------------ plan */

static int check_params(size_t ny, size_t nx, const struct pn_tracker_params *p,
			struct pn_error *err)
{
	if (ny < 1 || nx < 1 || ny > 65536 || nx > 65536)
		return pn_error_set(err, PN_EARG, "tracker: frames of %zu x %zu pixels: 1..65536",
				    ny, nx);
	for (const struct pn_param *row = pn_tracker_param_table; row->name; row++) {
		const char *field = (const char *)p + row->off;
		double v = row->type == PN_PARAM_I64 ? (double)*(const int64_t *)field
						     : *(const double *)field;

		if (!(v >= row->min && v <= row->max))
			return pn_error_set(err, PN_EARG, "tracker: %s = %g: must be %g..%g",
					    row->name, v, row->min, row->max);
	}
	return PN_OK;
}

static size_t tiles_along(size_t length, size_t n)
{
	return length <= n ? 1 : (length - n + n / 2 - 1) / (n / 2) + 1;
}

static long tile_origin(size_t length, size_t n, size_t count, size_t i)
{
	return count == 1 ? ((long)length - (long)n) / 2 : (long)((length - n) * i / (count - 1));
}

static void make_geometry(struct pn_tracker *t)
{
	double pixel_A = t->params.pixel_pm / 100, side_A = pixel_A * (double)t->n;
	double k_max = 1.07 / t->params.lowpass_A;

	t->half = (long)fmin(ceil(k_max * side_A) + 1, (double)t->n / 2 - 1);
	t->rows = 2 * (size_t)t->half + 1;
	t->cols = (size_t)t->half + 2;
	t->bins = t->rows * t->cols;
	t->m = 32;
	while (t->m < t->n && (long)t->m < 2 * t->half + 2)
		t->m += 16;
	/* cells of some 5 pixels: the blur of the map is several of them, and costs most */
	t->e = t->m / (t->m < 96 ? 2 : 4);
	t->diameter_px = fmin(t->params.diameter_nm * 10 / pixel_A, (double)t->n / 2);
	t->slots = (size_t)t->params.particles_max + CANDIDATES;
	t->tiles_y = tiles_along(t->ny, t->n);
	t->tiles_x = tiles_along(t->nx, t->n);
	t->tiles = t->tiles_y * t->tiles_x;
	t->rings = (size_t)ceil((double)t->half * M_SQRT2) + 2;
	t->low_rings = (size_t)fmin(LOW_RINGS_MAX, ceil(side_A / low_period_A));
}

static int make_scratch(struct pn_tracker *t, struct scratch *s)
{
	s->window = pn_fft_alloc(sizeof(float) * t->n * t->n);
	s->wave = pn_fft_alloc(sizeof(float complex) * t->n * (t->n / 2 + 1));
	s->ratio = pn_fft_alloc(sizeof(float) * t->bins);
	s->smooth = pn_fft_alloc(sizeof(float) * t->bins);
	s->weight = pn_fft_alloc(sizeof(float) * t->bins);
	s->small_wave = pn_fft_alloc(sizeof(float complex) * t->m * (t->m / 2 + 1));
	s->small = pn_fft_alloc(sizeof(float) * t->m * t->m);
	s->energy = pn_fft_alloc(sizeof(float) * t->e * t->e);
	s->blurred = pn_fft_alloc(sizeof(float) * t->e * t->e);
	s->tmp = pn_fft_alloc(sizeof(float) * t->e * t->e);
	return s->window && s->wave && s->ratio && s->smooth && s->weight && s->small_wave &&
	       s->small && s->energy && s->blurred && s->tmp;
}

static int make_arrays(struct pn_tracker *t)
{
	size_t ratios = sizeof(float) * t->bins * (t->slots + t->tiles);

	ratios = (ratios + 63) / 64 * 64;
	size_t bytes =
		(sizeof(struct state) + 63) / 64 * 64 + ratios + sizeof(struct tile) * t->tiles;

	t->taper = pn_fft_alloc(sizeof(float) * t->n);
	t->ring = pn_fft_alloc(sizeof(uint16_t) * t->bins);
	t->band = pn_fft_alloc(sizeof(float) * t->bins);
	t->pass = pn_fft_alloc(sizeof(float) * t->bins);
	t->sorted = pn_fft_alloc(sizeof(double) * t->tiles);
	t->state = pn_fft_alloc(bytes);
	t->threads = omp_get_max_threads() < THREADS_MAX ? omp_get_max_threads() : THREADS_MAX;
	for (int i = 0; i < t->threads; i++)
		if (!make_scratch(t, &t->scratch[i]))
			return 0;
	if (!t->taper || !t->ring || !t->band || !t->pass || !t->sorted || !t->state)
		return 0;
	t->ratios = (float *)((char *)t->state + (sizeof(struct state) + 63) / 64 * 64);
	t->tile = (struct tile *)((char *)t->ratios + ratios);
	t->state->bytes = bytes;
	return 1;
}

static void make_tables(struct pn_tracker *t)
{
	double side_A = t->params.pixel_pm / 100 * (double)t->n, sum2 = 0;

	for (size_t i = 0; i < t->n; i++) {
		double at = ((double)i + 0.5) / (double)t->n, edge = fmin(at, 1 - at) / taper_part;
		double s = edge < 1 ? sin(M_PI_2 * edge) : 1;

		t->taper[i] = (float)(s * s);
		sum2 += s * s * s * s;
	}
	t->taper_mean2 = sum2 / (double)t->n * sum2 / (double)t->n;
	for (size_t row = 0; row < t->rows; row++) {
		for (size_t col = 0; col < t->cols; col++) {
			long ky = (long)row - t->half, kx = (long)col - 1;
			double k = hypot((double)ky, (double)kx);
			size_t at = row * t->cols + col;
			int inner = row > 0 && row + 1 < t->rows && col > 0 && col + 1 < t->cols;

			t->ring[at] = (uint16_t)fmin((double)t->rings - 1, (double)lround(k));
			/* the two lowest bins belong to illumination and taper */
			if (inner && (kx > 0 || ky > 0) && k > 1.3)
				t->band[at] =
					(float)pn_lowpass_weight(k / side_A, t->params.lowpass_A);
			t->pass[at] = t->band[at];
		}
	}
}

static void start_state(struct pn_tracker *t)
{
	struct state *s = t->state;

	memcpy(s->magic, magic, sizeof magic);
	s->version = VERSION;
	s->tiles = (uint32_t)t->tiles;
	s->slots = (uint32_t)t->slots;
	s->ny = t->ny;
	s->nx = t->nx;
	s->next_particle = 1;
	s->params = t->params;
	for (size_t i = 0; i < LOW_RINGS_MAX; i++)
		s->low_shape[i] = 1;
}

int pn_tracker_create(struct pn_tracker **out, size_t ny, size_t nx,
		      const struct pn_tracker_params *params, struct pn_error *err)
{
	*out = NULL;
	int rc = check_params(ny, nx, params, err);

	if (rc)
		return rc;
	struct pn_tracker *t = calloc(1, sizeof *t);

	if (!t)
		return pn_error_set(err, PN_ENOMEM, "tracker: no memory");
	t->params = *params;
	t->ny = ny;
	t->nx = nx;
	t->n = (size_t)(params->box_px + 1) / 2 * 2;
	make_geometry(t);
	rc = pn_fft_plan(&t->forward, PN_FFT_R2C, t->n, t->n, 0, err);
	if (!rc)
		rc = pn_fft_plan(&t->backward, PN_FFT_C2R, t->m, t->m, 0, err);
	if (!rc && !make_arrays(t))
		rc = pn_error_set(err, PN_ENOMEM, "tracker: no memory for frames of %zu x %zu", ny,
				  nx);
	if (rc) {
		pn_tracker_destroy(t);
		return rc;
	}
	make_tables(t);
	start_state(t);
	*out = t;
	return PN_OK;
}

void pn_tracker_destroy(struct pn_tracker *t)
{
	if (!t)
		return;
	pn_fft_destroy(t->forward);
	pn_fft_destroy(t->backward);
	for (int i = 0; i < t->threads; i++) {
		struct scratch *s = &t->scratch[i];
		void *arrays[] = { s->window,     s->wave,  s->ratio,  s->smooth,  s->weight,
				   s->small_wave, s->small, s->energy, s->blurred, s->tmp };

		for (size_t k = 0; k < PN_COUNT(arrays); k++)
			pn_fft_free(arrays[k]);
	}
	pn_fft_free(t->taper);
	pn_fft_free(t->ring);
	pn_fft_free(t->band);
	pn_fft_free(t->pass);
	pn_fft_free(t->sorted);
	pn_fft_free(t->state);
	free(t);
}

/* ------------------------------------------------------------------ background spots */

static void block_spot(struct pn_tracker *t, double gx_per_A, double gy_per_A)
{
	double side_A = t->params.pixel_pm / 100 * (double)t->n;
	double x0 = gx_per_A * side_A, y0 = gy_per_A * side_A;

	for (size_t row = 0; row < t->rows; row++)
		for (size_t col = 0; col < t->cols; col++)
			if (hypot((double)((long)row - t->half) - y0,
				  (double)((long)col - 1) - x0) <= spot_mask_px)
				t->pass[row * t->cols + col] = 0;
}

static void apply_spots(struct pn_tracker *t)
{
	memcpy(t->pass, t->band, sizeof *t->pass * t->bins);
	for (size_t i = 0; i < t->state->spot_count; i++) {
		const struct pn_spot *s = &t->state->spots[i];

		block_spot(t, s->gx_per_A, s->gy_per_A);
		block_spot(t, -s->gx_per_A, -s->gy_per_A);
	}
}

void pn_tracker_set_background(struct pn_tracker *t, const struct pn_spot *spots, size_t count)
{
	t->state->spot_count = count < PN_BACKGROUND_SPOTS_MAX ? count : PN_BACKGROUND_SPOTS_MAX;
	memset(t->state->spots, 0, sizeof t->state->spots);
	if (count)
		memcpy(t->state->spots, spots, t->state->spot_count * sizeof *spots);
	apply_spots(t);
}

/* ------------------------------------------------------------------ window -> spectrum */

struct span {
	long y0, y1, x0, x1; /* the part of a window that is inside the frame */
};

static struct span inside(const struct pn_tracker *t, long oy, long ox)
{
	struct span s = { oy < 0 ? -oy : 0, (long)t->n, ox < 0 ? -ox : 0, (long)t->n };

	if (oy + s.y1 > (long)t->ny)
		s.y1 = (long)t->ny - oy;
	if (ox + s.x1 > (long)t->nx)
		s.x1 = (long)t->nx - ox;
	return s;
}

enum { LANES = 16 }; /* partial sums side by side: the order of adding is stated, and fast */

/* Sums over one row, with weights: of the finite pixels, of their weights; least and most of them. */
struct row_sums {
	float sum[LANES], weight[LANES], lo[LANES], hi[LANES];
};

static void add_pixel(struct row_sums *r, int lane, float pixel, float taper)
{
	int ok = fabsf(pixel) <= FLT_MAX; /* false for NaN */
	float v = ok ? pixel : 0, w = ok ? taper : 0;

	r->sum[lane] += v * w;
	r->weight[lane] += w;
	r->lo[lane] = ok && v < r->lo[lane] ? v : r->lo[lane];
	r->hi[lane] = ok && v > r->hi[lane] ? v : r->hi[lane];
}

static void sum_row(struct row_sums *r, const float *restrict row, const float *restrict taper,
		    long count)
{
	long x = 0;

	for (; x + LANES <= count; x += LANES)
		for (int lane = 0; lane < LANES; lane++)
			add_pixel(r, lane, row[x + lane], taper[x + lane]);
	for (int lane = 0; x < count; x++, lane++)
		add_pixel(r, lane, row[x], taper[x]);
}

/* Mean of the finite pixels of the window that are in the frame; 0 if they do not vary. */
static int window_mean(const struct pn_tracker *t, const float *frame, long oy, long ox,
		       struct span s, float *mean)
{
	double sum = 0, weight = 0;
	float lo = INFINITY, hi = -INFINITY;
	struct row_sums rows;

	for (int lane = 0; lane < LANES; lane++) {
		rows.lo[lane] = INFINITY;
		rows.hi[lane] = -INFINITY;
	}
	for (long y = s.y0; y < s.y1; y++) {
		const float *row = frame + (size_t)(oy + y) * t->nx + ox;

		memset(rows.sum, 0, sizeof rows.sum);
		memset(rows.weight, 0, sizeof rows.weight);
		sum_row(&rows, row + s.x0, t->taper + s.x0, s.x1 - s.x0);
		float row_sum = 0, row_weight = 0;
		for (int lane = 0; lane < LANES; lane++) {
			row_sum += rows.sum[lane];
			row_weight += rows.weight[lane];
		}
		sum += (double)row_sum * t->taper[y];
		weight += (double)row_weight * t->taper[y];
	}
	for (int lane = 0; lane < LANES; lane++) {
		lo = rows.lo[lane] < lo ? rows.lo[lane] : lo;
		hi = rows.hi[lane] > hi ? rows.hi[lane] : hi;
	}
	*mean = weight > 0 ? (float)(sum / weight) : 0;
	return hi > lo && isfinite(*mean);
}

/* dst = (row - mean) taper scale; 0 where a pixel is not finite. */
static void taper_row(float *restrict dst, const float *restrict row, const float *restrict taper,
		      float mean, float scale, long count)
{
	for (long x = 0; x < count; x++) {
		float v = fabsf(row[x]) <= FLT_MAX ? row[x] - mean : 0;

		dst[x] = v * (scale * taper[x]);
	}
}

static int transform(const struct pn_tracker *t, struct scratch *s, const float *frame, long oy,
		     long ox)
{
	struct span in = inside(t, oy, ox);
	float mean;

	if (in.y1 <= in.y0 || in.x1 <= in.x0 || !window_mean(t, frame, oy, ox, in, &mean))
		return 0;
	if (in.y1 - in.y0 < (long)t->n || in.x1 - in.x0 < (long)t->n)
		memset(s->window, 0, sizeof *s->window * t->n * t->n);
	for (long y = in.y0; y < in.y1; y++) {
		const float *row = frame + (size_t)(oy + y) * t->nx + ox;

		taper_row(s->window + (size_t)y * t->n + in.x0, row + in.x0, t->taper + in.x0, mean,
			  t->taper[y], in.x1 - in.x0);
	}
	pn_fft_execute(t->forward, s->window, s->wave);
	return 1;
}

static void take_power(const struct pn_tracker *t, struct scratch *s)
{
	size_t nh = t->n / 2 + 1;

	for (long ky = -t->half; ky <= t->half; ky++) {
		const float complex *src = s->wave + (size_t)(ky < 0 ? ky + (long)t->n : ky) * nh;
		float *dst = s->ratio + (size_t)(ky + t->half) * t->cols + 1;

		for (long kx = 0; kx <= t->half; kx++)
			dst[kx] = crealf(src[kx]) * crealf(src[kx]) +
				  cimagf(src[kx]) * cimagf(src[kx]);
	}
	for (size_t row = 0; row < t->rows; row++)
		s->ratio[row * t->cols] = s->ratio[(t->rows - 1 - row) * t->cols + 2];
}

/* Noise power on each ring: means without the spots, over a few rings; where the outline of the
 * particle may be (low rings) what lies between 8 and 5 A, times the shape seen elsewhere. */
static int take_noise(const struct pn_tracker *t, struct scratch *s, double *low)
{
	float limit[RINGS_MAX], sum[RINGS_MAX], count[RINGS_MAX];
	double side_A = t->params.pixel_pm / 100 * (double)t->n, base = 0, base_count = 0;

	for (size_t r = 0; r < t->rings; r++)
		limit[r] = INFINITY;
	for (int round = 0; round < 3; round++) {
		memset(sum, 0, sizeof *sum * t->rings);
		memset(count, 0, sizeof *count * t->rings);
		for (size_t row = 0; row < t->rows; row++) {
			const float *restrict ratio = s->ratio + row * t->cols;
			const uint16_t *restrict ring = t->ring + row * t->cols;

			for (size_t x = 1; x < t->cols; x++) {
				float value = ratio[x], keep = value <= limit[ring[x]];

				sum[ring[x]] += keep * value;
				count[ring[x]] += keep;
			}
		}
		for (size_t r = 0; r < t->rings; r++)
			limit[r] = (float)(PN_TRIM_AT / (round ? PN_TRIM_KEEPS : 1) *
					   (count[r] > 0 ? sum[r] / count[r] : 0));
	}
	for (size_t r = t->low_rings; r < t->rings; r++) {
		double n = 0, m = 0;

		for (size_t q = r - fmin((double)(r - t->low_rings), RING_REACH);
		     q <= r + RING_REACH && q < t->rings; q++) {
			m += sum[q];
			n += count[q];
		}
		s->noise[r] = n > 0 ? m / n / PN_TRIM_KEEPS : 0;
		if ((double)r * base_period_A <= side_A || base_count == 0) {
			base += sum[r] / PN_TRIM_KEEPS;
			base_count += count[r];
		}
	}
	base = base_count > 0 ? base / base_count : 0;
	for (size_t r = 0; r < t->low_rings && r < t->rings; r++) {
		low[r] = base > 0 && count[r] > 0 ? sum[r] / count[r] / PN_TRIM_KEEPS / base : 1;
		s->noise[r] = base * t->state->low_shape[r];
	}
	return base > 0 && isfinite(base);
}

/* Power -> power over noise; 0 if the window holds nothing. */
static int spectrum(const struct pn_tracker *t, struct scratch *s, const float *frame, long oy,
		    long ox, double *low)
{
	float inverse[RINGS_MAX];

	if (!transform(t, s, frame, oy, ox))
		return 0;
	take_power(t, s);
	if (!take_noise(t, s, low))
		return 0;
	for (size_t r = 0; r < t->rings; r++)
		inverse[r] = s->noise[r] > 0 ? (float)(1 / s->noise[r]) : 0;
	float *restrict ratio = s->ratio;
	const uint16_t *restrict ring = t->ring;

	for (size_t i = 0; i < t->bins; i++)
		ratio[i] *= inverse[ring[i]];
	/* the origin holds the mean, its neighbours must not */
	size_t origin = (size_t)t->half * t->cols + 1;

	s->ratio[origin] = 1;
	return 1;
}

static void add_to_average(const struct pn_tracker *t, struct average *a, float *mean,
			   const float *ratio)
{
	double depth = fmin((double)(a->frames + 1), (double)t->params.average_frames);
	double part = 1 / depth;
	float p = (float)part;

	for (size_t i = 0; i < t->bins; i++)
		mean[i] += p * (ratio[i] - mean[i]);
	a->depth = a->depth > 0 ? 1 / (part * part + (1 - part) * (1 - part) / a->depth) : 1;
	a->frames++;
}

/* Wiener weights from a mean spectrum; returns the most significant bin in s.d. */
static double make_weights(const struct pn_tracker *t, struct scratch *s, const struct average *a,
			   const float *mean)
{
	double k = bins_per_smooth * a->depth;
	float c = (float)(1 + margin_sigmas / sqrt(k)), top = 0;

	memset(s->weight, 0, sizeof *s->weight * t->bins);
	for (size_t row = 1; row + 1 < t->rows; row++) {
		const float *u = mean + (row - 1) * t->cols, *v = u + t->cols, *w = v + t->cols;
		const float *pass = t->pass + row * t->cols;
		float *weight = s->weight + row * t->cols;

		for (size_t x = 1; x + 1 < t->cols; x++) {
			float m = 0.0625f * (u[x - 1] + u[x + 1] + w[x - 1] + w[x + 1]) +
				  0.125f * (u[x] + w[x] + v[x - 1] + v[x + 1]) + 0.25f * v[x];

			weight[x] = m > c ? pass[x] * (1 - c / m) : 0;
			top = pass[x] > 0.5f && m > top ? m : top;
		}
	}
	return pn_gamma_z(top, k);
}

/* ------------------------------------------------------------------ spectrum -> map */

/* Filtered window, squared, on a coarse grid, smoothed: s->blurred. Returns what noise alone gives
 * there (0: no weights), and its relative s.d. */
static double energy_map(const struct pn_tracker *t, struct scratch *s, double *relative_sd)
{
	size_t nh = t->n / 2 + 1, mh = t->m / 2 + 1, step = t->m / t->e;
	double sum2 = 0, sum4 = 0, cell = (double)t->n / (double)t->e;
	double sigma = t->diameter_px / 5;

	memset(s->small_wave, 0, sizeof *s->small_wave * t->m * mh);
	for (size_t row = 1; row + 1 < t->rows; row++) {
		long ky = (long)row - t->half;
		const float complex *src = s->wave + (size_t)(ky < 0 ? ky + (long)t->n : ky) * nh;
		float complex *dst = s->small_wave + (size_t)(ky < 0 ? ky + (long)t->m : ky) * mh;

		for (size_t col = 1; col + 1 < t->cols; col++) {
			size_t at = row * t->cols + col;
			/* to the power 1 the map of a faint particle is less noisy, squared it
			 * follows noise less where the particle is gone */
			double w = s->weight[at] * sqrt(s->weight[at]);
			double noise = s->noise[t->ring[at]];

			if (w <= 0 || noise <= 0)
				continue;
			dst[col - 1] = (float)(w / sqrt(noise)) * src[col - 1];
			/* C2R reads the column x = 0 in both halves */
			if (col == 1)
				s->small_wave[(t->m - (size_t)ky) * mh] = conjf(dst[0]);
			sum2 += 2 * w * w;
			sum4 += w * w * w * w;
		}
	}
	if (!(sum2 > 0))
		return 0;
	pn_fft_execute(t->backward, s->small_wave, s->small);
	for (size_t y = 0; y < t->e; y++) {
		for (size_t x = 0; x < t->e; x++) {
			float v = 0;

			for (size_t j = 0; j < step; j++)
				for (size_t i = 0; i < step; i++) {
					float b = s->small[(y * step + j) * t->m + x * step + i];

					v += b * b;
				}
			s->energy[y * t->e + x] = v / (float)(step * step);
		}
	}
	pn_gauss_blur(s->blurred, s->energy, s->tmp, t->e, t->e, fmin(64, sigma / cell));
	*relative_sd =
		sqrt(sum4 * 4 / (sum2 * sum2) * (double)(t->n * t->n) / (4 * M_PI * sigma * sigma));
	return sum2 / t->taper_mean2;
}

/* How far the middle of a cell is from its first sample, in cells. A cell is the mean of 2 x 2 or
 * 4 x 4 samples, of which the first lies on the window's first pixel. */
static double cell_middle(const struct pn_tracker *t)
{
	return 0.5 * (1 - (double)t->e / (double)t->m);
}

static double from_cell(const struct pn_tracker *t, double at)
{
	return (at + cell_middle(t)) * (double)t->n / (double)t->e;
}

static double to_cell(const struct pn_tracker *t, double at, long origin)
{
	return (at - (double)origin) * (double)t->e / (double)t->n - cell_middle(t);
}

/* Mean of the map outside a circle. */
static double around(const struct pn_tracker *t, const struct scratch *s, double cx, double cy,
		     double radius)
{
	double sum = 0, count = 0;
	size_t rim = t->e / 8;

	for (size_t y = rim; y + rim < t->e; y++)
		for (size_t x = rim; x + rim < t->e; x++) {
			double dx = (double)x - cx, dy = (double)y - cy;

			if (dx * dx + dy * dy > radius * radius) {
				sum += s->blurred[y * t->e + x];
				count++;
			}
		}
	return count > 0 ? sum / count : 0;
}

/* Move (x, y), in cells, to the centre of mass of what is over @level under a soft circle. */
static void settle(const struct pn_tracker *t, const struct scratch *s, double *x, double *y,
		   double radius, double level)
{
	for (int round = 0; round < SHIFT_ROUNDS; round++) {
		double sum = 0, sx = 0, sy = 0;
		long y0 = (long)fmax(0, ceil(*y - radius)), x0 = (long)fmax(0, ceil(*x - radius));
		long y1 = (long)fmin((double)t->e - 1, floor(*y + radius));
		long x1 = (long)fmin((double)t->e - 1, floor(*x + radius));

		for (long v = y0; v <= y1; v++)
			for (long u = x0; u <= x1; u++) {
				double dy = (double)v - *y, dx = (double)u - *x;
				double w = 1 - (dx * dx + dy * dy) / (radius * radius);

				if (w <= 0)
					continue;
				w *= fmax(0, s->blurred[v * (long)t->e + u] - level);
				sum += w;
				sx += w * dx;
				sy += w * dy;
			}
		if (!(sum > 0))
			return;
		*x += sx / sum;
		*y += sy / sum;
		if (hypot(sx, sy) < 0.003 * sum)
			return;
	}
}

/* Largest value of the map within reach of (x, y) and away from the particles in @avoid. */
static int highest(const struct pn_tracker *t, const struct scratch *s, double cx, double cy,
		   double reach, const double (*avoid)[2], size_t avoid_count, double *x, double *y)
{
	double best = 0, apart = t->diameter_px * (double)t->e / (double)t->n;
	int found = 0;

	for (size_t v = 1; v + 1 < t->e; v++)
		for (size_t u = 1; u + 1 < t->e; u++) {
			double here = s->blurred[v * t->e + u];
			int taken = here <= best || hypot((double)u - cx, (double)v - cy) > reach;

			for (size_t i = 0; i < avoid_count && !taken; i++)
				taken = hypot((double)u - avoid[i][0], (double)v - avoid[i][1]) <
					apart;
			if (taken)
				continue;
			best = here;
			*x = (double)u;
			*y = (double)v;
			found = 1;
		}
	return found;
}

/* Read a map that has a maximum near (x, y), in cells; the answer is in pixels of the frame. */
static struct finding read_map(const struct pn_tracker *t, const struct scratch *s, double x,
			       double y, double noise, double relative_sd, long oy, long ox)
{
	double cell = (double)t->n / (double)t->e, d = t->diameter_px / cell;
	double floor = around(t, s, x, y, 0.9 * d);
	struct finding f = { .found = 1 };

	settle(t, s, &x, &y, fmax(1.5, 0.45 * d), floor);
	double px = fmin((double)t->e - 1, fmax(0, x)), py = fmin((double)t->e - 1, fmax(0, y));
	double top = s->blurred[(size_t)lround(py) * t->e + (size_t)lround(px)];
	double over = 0;

	for (size_t v = 0; v < t->e; v++)
		for (size_t u = 0; u < t->e; u++)
			over += s->blurred[v * t->e + u] - floor > 0.5 * (top - floor) &&
				hypot((double)u - x, (double)v - y) < d;
	f.x = (double)ox + from_cell(t, x);
	f.y = (double)oy + from_cell(t, y);
	f.sigma = (top / noise - 1) / relative_sd;
	f.contrast = floor > 0 ? top / floor - 1 : 0;
	f.area = top > floor ? over * cell * cell : 0;
	return f;
}

/* ------------------------------------------------------------------ jobs */

static float *ratio_of(const struct pn_tracker *t, size_t window)
{
	return t->ratios + window * t->bins;
}

/* Others' centres in cells of a window, those that reach into it. */
static size_t others(const struct pn_tracker *t, size_t self, long oy, long ox, double (*list)[2])
{
	size_t count = 0;

	for (size_t i = 0; i < t->slots; i++) {
		const struct slot *o = &t->state->slot[i];

		if (i == self || o->use == SLOT_FREE || (self < t->slots && o->use != SLOT_TOLD) ||
		    (o->use == SLOT_TOLD && o->state == PN_TRACK_LOST))
			continue;
		list[count][0] = to_cell(t, o->x, ox);
		list[count++][1] = to_cell(t, o->y, oy);
	}
	return count;
}

/* Look at the window of slot @i. Writes only what belongs to that slot. */
static struct finding look_at_slot(struct pn_tracker *t, struct scratch *s, const float *frame,
				   size_t i)
{
	struct slot *slot = &t->state->slot[i];
	long oy = lround(slot->y) - (long)t->n / 2, ox = lround(slot->x) - (long)t->n / 2;
	double low[LOW_RINGS_MAX], avoid[SLOTS_MAX][2], x, y, relative_sd = 1, noise;
	double per_px = (double)t->e / (double)t->n;
	int lost = slot->use == SLOT_TOLD && slot->state == PN_TRACK_LOST;
	double reach = t->params.reach_px * (lost || slot->use == SLOT_CANDIDATE ? 2 : 1);
	struct finding f = { 0 };

	if (!spectrum(t, s, frame, oy, ox, low))
		return f;
	if (slot->average.frames == 0) {
		add_to_average(t, &slot->average, ratio_of(t, i), s->ratio);
		return f;
	}
	make_weights(t, s, &slot->average, ratio_of(t, i));
	noise = energy_map(t, s, &relative_sd);
	size_t count = others(t, i, oy, ox, avoid);

	if (noise > 0 && highest(t, s, to_cell(t, slot->x, ox), to_cell(t, slot->y, oy),
				 fmax(1.5, reach * per_px), slot->use == SLOT_TOLD ? NULL : avoid,
				 slot->use == SLOT_TOLD ? 0 : count, &x, &y))
		f = read_map(t, s, x, y, noise, relative_sd, oy, ox);
	add_to_average(t, &slot->average, ratio_of(t, i), s->ratio);
	return f;
}

/* Look for something new in tile @i. Writes only what belongs to that tile. */
static struct finding look_at_tile(struct pn_tracker *t, struct scratch *s, const float *frame,
				   size_t i)
{
	struct tile *tile = &t->tile[i];
	long oy = tile_origin(t->ny, t->n, t->tiles_y, i / t->tiles_x);
	long ox = tile_origin(t->nx, t->n, t->tiles_x, i % t->tiles_x);
	double low[LOW_RINGS_MAX], avoid[SLOTS_MAX][2], x, y, relative_sd = 1, noise;
	float *mean = ratio_of(t, t->slots + i);
	struct finding f = { 0 };

	if (!spectrum(t, s, frame, oy, ox, low))
		return f;
	add_to_average(t, &tile->average, mean, s->ratio);
	for (size_t r = 0; r < t->low_rings; r++)
		tile->low[r] += (low[r] - tile->low[r]) / fmin((double)tile->average.frames, 32);
	if (make_weights(t, s, &tile->average, mean) < t->params.sensitivity + tile_sigmas_more)
		return f;
	noise = energy_map(t, s, &relative_sd);
	size_t count = others(t, t->slots, oy, ox, avoid);

	if (noise > 0 &&
	    highest(t, s, (double)t->e / 2, (double)t->e / 2, (double)t->e, avoid, count, &x, &y))
		f = read_map(t, s, x, y, noise, relative_sd, oy, ox);
	if (f.x < 0 || f.y < 0 || f.x > (double)t->nx - 1 || f.y > (double)t->ny - 1)
		f.found = 0;
	return f;
}

/* ------------------------------------------------------------------ decisions */

/* Significant, and more than around it: a window lattice is significant everywhere alike. */
static int is_seen(const struct pn_tracker *t, const struct finding *f)
{
	return f->found && f->sigma > t->params.sensitivity && f->contrast > t->params.contrast_min;
}

/* Gain of the steady filter of a random walk (step variance q per axis) seen with error variance r.
 * The mean square of measured steps is q + 2 r over one frame and FAR_STEP q + 2 r over FAR_STEP;
 * errors that last a few frames, as those of one orientation do, spoil the difference little. */
static double gain_of(const struct slot *slot)
{
	if (slot->steps < SETTLED_FRAMES)
		return first_gain;
	double q = fmax(1e-3, (slot->far2 - slot->near2) / (FAR_STEP - 1));
	double r = fmax(1e-3, (slot->near2 - q) / 2);
	double p = (q + sqrt(q * q + 4 * q * r)) / 2;

	return fmax(least_gain, p / (p + r));
}

static double half_square(const struct finding *f, const double from[2])
{
	return (pow(f->x - from[0], 2) + pow(f->y - from[1], 2)) / 2;
}

static void note_steps(struct slot *slot, const struct finding *f)
{
	uint64_t n = slot->steps;
	double *far = slot->past[n % FAR_STEP], *near = slot->past[(n + FAR_STEP - 1) % FAR_STEP];

	if (n >= 1)
		slot->near2 +=
			(half_square(f, near) - slot->near2) / fmin((double)n, memory_of_steps);
	if (n >= FAR_STEP)
		slot->far2 += (half_square(f, far) - slot->far2) /
			      fmin((double)(n - FAR_STEP + 1), memory_of_steps);
	far[0] = f->x;
	far[1] = f->y;
	slot->steps++;
}

static void move_slot(const struct pn_tracker *t, struct slot *slot, const struct finding *f)
{
	double trust = fmin(1, f->sigma / (1.5 * t->params.sensitivity));

	/* an unseen particle stays where it was believed: what the map shows there is noise */
	if (!is_seen(t, f))
		return;
	note_steps(slot, f);
	double gain = gain_of(slot) * trust;

	slot->x = fmin((double)t->nx - 1, fmax(0, slot->x + gain * (f->x - slot->x)));
	slot->y = fmin((double)t->ny - 1, fmax(0, slot->y + gain * (f->y - slot->y)));
}

/* A candidate has shown itself: it is told of, under a lost particle's name if one was near. */
static void promote(struct pn_tracker *t, struct slot *slot)
{
	struct slot *heir = NULL;
	double nearest = (double)t->n;
	size_t told = 0;

	for (size_t i = 0; i < t->slots; i++) {
		struct slot *o = &t->state->slot[i];

		told += o->use == SLOT_TOLD;
		if (o->use != SLOT_TOLD || o->state != PN_TRACK_LOST)
			continue;
		double d = hypot(o->x - slot->x, o->y - slot->y);

		if (d < nearest) {
			nearest = d;
			heir = o;
		}
	}
	if (!heir && told >= (size_t)t->params.particles_max)
		return;
	slot->use = SLOT_TOLD;
	slot->unseen = 0;
	slot->state = heir ? PN_TRACK_FOUND : PN_TRACK_NEW;
	slot->particle = heir ? heir->particle : t->state->next_particle++;
	if (heir)
		*heir = (struct slot){ 0 };
}

/* The flank of a particle that is followed already looks like another one beside it. */
static int is_flank(const struct pn_tracker *t, const struct slot *slot, const struct finding *f)
{
	for (size_t i = 0; i < t->slots; i++) {
		const struct slot *o = &t->state->slot[i];
		double d = hypot(o->x - f->x, o->y - f->y);

		if (o == slot || o->use != SLOT_TOLD || o->state == PN_TRACK_LOST)
			continue;
		if (d < t->diameter_px ||
		    (d < (double)t->n / 2 + t->diameter_px && f->sigma < flank_part * o->sigma))
			return 1;
	}
	return 0;
}

static void judge_candidate(struct pn_tracker *t, struct slot *slot, const struct finding *f)
{
	uint64_t need = (uint64_t)t->params.confirm_frames;

	slot->hits += is_seen(t, f) && !is_flank(t, slot, f);
	if (slot->hits >= need)
		promote(t, slot);
	else if (slot->age > need + slot->hits)
		*slot = (struct slot){ 0 };
}

static void judge_told(struct pn_tracker *t, struct slot *slot, const struct finding *f)
{
	int seen = is_seen(t, f);

	if (slot->state == PN_TRACK_LOST) {
		slot->hits = seen ? slot->hits + 1 : 0;
		slot->unseen++;
		if (slot->hits >= (uint64_t)t->params.confirm_frames) {
			slot->state = PN_TRACK_FOUND;
			slot->unseen = 0;
		} else if (slot->unseen >= (uint64_t)t->params.forget_frames) {
			*slot = (struct slot){ 0 };
		}
		return;
	}
	slot->state = PN_TRACK_FOUND;
	slot->unseen = seen ? 0 : slot->unseen + 1;
	if (slot->unseen >= (uint64_t)t->params.lost_frames) {
		slot->state = PN_TRACK_LOST;
		slot->hits = 0;
	}
}

static void judge_slot(struct pn_tracker *t, size_t i, const struct finding *f)
{
	struct slot *slot = &t->state->slot[i];

	slot->age++;
	slot->sigma = f->sigma;
	if (f->found) {
		slot->contrast = f->contrast;
		slot->area = f->area;
		move_slot(t, slot, f);
	} else {
		slot->contrast = slot->area = 0;
	}
	if (slot->use == SLOT_CANDIDATE)
		judge_candidate(t, slot, f);
	else
		judge_told(t, slot, f);
}

/* Two windows on one particle: the later one goes. */
static void drop_doubles(struct pn_tracker *t)
{
	for (size_t i = 0; i < t->slots; i++)
		for (size_t k = 0; k < t->slots; k++) {
			struct slot *a = &t->state->slot[i], *b = &t->state->slot[k];
			int weaker =
				a->use < b->use ||
				(a->use == b->use &&
				 (a->state == PN_TRACK_LOST
					  ? b->state != PN_TRACK_LOST || a->particle > b->particle
					  : b->state != PN_TRACK_LOST &&
						    (a->particle > b->particle ||
						     (a->particle == b->particle && i > k))));

			if (i != k && a->use != SLOT_FREE && b->use != SLOT_FREE && weaker &&
			    hypot(a->x - b->x, a->y - b->y) < t->diameter_px / 2)
				*a = (struct slot){ 0 };
		}
}

static void take_candidate(struct pn_tracker *t, size_t tile, const struct finding *f)
{
	size_t free_slot = t->slots, told = 0, lost = 0, candidates = 0;

	for (size_t i = t->slots; i-- > 0;) {
		const struct slot *o = &t->state->slot[i];
		int gone = o->use == SLOT_TOLD && o->state == PN_TRACK_LOST;

		told += o->use == SLOT_TOLD;
		lost += gone;
		candidates += o->use == SLOT_CANDIDATE;
		if (o->use == SLOT_FREE)
			free_slot = i;
		else if (!gone && hypot(o->x - f->x, o->y - f->y) < t->diameter_px)
			return;
	}
	if (free_slot == t->slots || candidates >= CANDIDATES ||
	    (told >= (size_t)t->params.particles_max && !lost))
		return;
	struct slot *slot = &t->state->slot[free_slot];

	*slot = (struct slot){ .use = SLOT_CANDIDATE,
			       .x = f->x,
			       .y = f->y,
			       .contrast = f->contrast,
			       .area = f->area,
			       .sigma = f->sigma,
			       .average = t->tile[tile].average };
	memcpy(ratio_of(t, free_slot), ratio_of(t, t->slots + tile), sizeof(float) * t->bins);
	if (f->sigma > at_once_factor * t->params.sensitivity && is_seen(t, f) &&
	    !is_flank(t, slot, f))
		promote(t, slot);
}

static int rising(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Low rings of noise, from the quarter of the tiles that have least: those without particles. */
static void learn_low_shape(struct pn_tracker *t)
{
	if (t->tiles < TILES_FOR_SHAPE)
		return;
	for (size_t r = 0; r < t->low_rings; r++) {
		size_t count = 0;

		for (size_t i = 0; i < t->tiles; i++)
			if (t->tile[i].average.frames)
				t->sorted[count++] = t->tile[i].low[r];
		/* Shell sort: qsort may allocate */
		for (size_t gap = count / 2; gap; gap /= 2)
			for (size_t i = gap; i < count; i++)
				for (size_t k = i;
				     k >= gap && rising(&t->sorted[k - gap], &t->sorted[k]) > 0;
				     k -= gap) {
					double swap = t->sorted[k];

					t->sorted[k] = t->sorted[k - gap];
					t->sorted[k - gap] = swap;
				}
		if (count)
			t->state->low_shape[r] = fmax(1e-3, t->sorted[count / 4]);
	}
}

/* ------------------------------------------------------------------ a frame */

static void follow(struct pn_tracker *t, const float *frame)
{
	struct finding found[SLOTS_MAX];
	size_t active[SLOTS_MAX], count = 0;

	for (size_t i = 0; i < t->slots; i++)
		if (t->state->slot[i].use != SLOT_FREE)
			active[count++] = i;
#pragma omp parallel for schedule(dynamic) num_threads(t->threads) if (count > 3)
	for (size_t k = 0; k < count; k++)
		found[k] = look_at_slot(t, &t->scratch[omp_get_thread_num()], frame, active[k]);
	for (size_t k = 0; k < count; k++)
		judge_slot(t, active[k], &found[k]);
	drop_doubles(t);
}

enum { TILES_AT_ONCE = 32 };

static void search(struct pn_tracker *t, const float *frame)
{
	struct finding found[TILES_AT_ONCE];
	size_t redetect = (size_t)t->params.redetect_frames;
	size_t left = t->state->frame == 0 ? t->tiles : (t->tiles + redetect - 1) / redetect;

	while (left) {
		size_t first = (size_t)t->state->cursor, count = t->tiles - first;

		count = count < left ? count : left;
		count = count < TILES_AT_ONCE ? count : TILES_AT_ONCE;
#pragma omp parallel for schedule(dynamic) num_threads(t->threads) if (count > 3)
		for (size_t k = 0; k < count; k++)
			found[k] = look_at_tile(t, &t->scratch[omp_get_thread_num()], frame,
						first + k);
		for (size_t k = 0; k < count; k++)
			if (found[k].found)
				take_candidate(t, first + k, &found[k]);
		left -= count;
		t->state->cursor = (first + count) % t->tiles;
		if (t->state->cursor == 0)
			learn_low_shape(t);
	}
}

static size_t report(const struct pn_tracker *t, struct pn_track *tracks)
{
	size_t count = 0;

	for (size_t i = 0; i < t->slots; i++) {
		const struct slot *s = &t->state->slot[i];
		size_t at = count;

		if (s->use != SLOT_TOLD)
			continue;
		for (; at > 0 && tracks[at - 1].particle > s->particle; at--)
			tracks[at] = tracks[at - 1];
		tracks[at] = (struct pn_track){ s->particle, s->state, s->x,    s->y,
						s->contrast, s->area,  s->sigma };
		count++;
	}
	return count;
}

int pn_tracker_update(struct pn_tracker *t, const float *frame, struct pn_track *tracks,
		      size_t *count, struct pn_error *err)
{
	(void)err;
	follow(t, frame);
	search(t, frame);
	t->state->frame++;
	*count = report(t, tracks);
	return PN_OK;
}

/* ------------------------------------------------------------------ state */

int pn_tracker_save(const struct pn_tracker *t, void *blob, size_t *size, struct pn_error *err)
{
	size_t need = (size_t)t->state->bytes;

	if (blob && *size < need)
		return pn_error_set(err, PN_EARG, "tracker state: %zu bytes of room, %zu needed",
				    *size, need);
	*size = need;
	if (blob)
		memcpy(blob, t->state, need);
	return PN_OK;
}

int pn_tracker_load(struct pn_tracker *t, const void *blob, size_t size, struct pn_error *err)
{
	struct state head;

	if (size < sizeof head)
		return pn_error_set(err, PN_EFORMAT, "tracker state: %zu bytes only", size);
	memcpy(&head, blob, sizeof head);
	if (memcmp(head.magic, magic, sizeof magic))
		return pn_error_set(err, PN_EFORMAT, "tracker state: not one");
	if (head.version != VERSION)
		return pn_error_set(err, PN_EVERSION, "tracker state: version %u, this is %d",
				    head.version, VERSION);
	if (head.bytes != t->state->bytes || size != head.bytes || head.ny != t->ny ||
	    head.nx != t->nx || head.tiles != t->tiles || head.slots != t->slots ||
	    head.cursor >= t->tiles || head.spot_count > PN_BACKGROUND_SPOTS_MAX ||
	    memcmp(&head.params, &t->params, sizeof head.params))
		return pn_error_set(err, PN_EFORMAT,
				    "tracker state: for frames of %llu x %llu or other "
				    "parameters, this is %zu x %zu",
				    (unsigned long long)head.ny, (unsigned long long)head.nx, t->ny,
				    t->nx);
	memcpy(t->state, blob, size);
	apply_spots(t);
	return PN_OK;
}
