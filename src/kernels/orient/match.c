/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/orient/match.h"

#include "perrin/math/fft.h"
#include "perrin/math/linear.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum {
	LANES = PN_DIRECTIONS_CELL,
	COARSE_CELLS = LANES / PN_DIRECTIONS_COARSE, /* whose coarse views fill a block */
	TOGETHER = 3,                                /* images that share the loading of a block */
	AHEAD = 64,                                  /* rings of a block that are asked for ahead */
};

typedef float lanes __attribute__((vector_size(LANES * sizeof(float))));
_Static_assert(LANES == 8, "spread and interleave are written for 8");
typedef int32_t lane_ints __attribute__((vector_size(LANES * sizeof(int32_t))));

/* A block: the series of LANES views, [orders][rings][2] lanes, real and imaginary parts. */
struct pn_match {
	const struct pn_polar *polar;
	const struct pn_directions *directions;
	size_t orders, rings, angles;
	size_t block; /* lanes in one                                      */
	size_t coarse_blocks;
	lanes *fine, *coarse; /* [cells], [coarse_blocks]                          */
	int threads;
	struct pn_polar **polars; /* [threads], for references                    */
	float complex **ring;     /* [threads][points]                            */
	float complex **order;    /* [threads][orders * rings]                    */
	lanes **scores;           /* [threads][TOGETHER][angles][2]               */
	struct pn_fft *turn;
};

/* ---- plan ----------------------------------------------------------------------------------- */

static int take_memory(struct pn_match *m, struct pn_error *err)
{
	const size_t cells = m->directions->cells, bytes = m->block * sizeof(lanes);
	const size_t threads = (size_t)m->threads;
	int rc = PN_OK;

	m->fine = pn_fft_alloc(cells * bytes);
	m->coarse = pn_fft_alloc(m->coarse_blocks * bytes);
	m->polars = calloc(threads, sizeof *m->polars);
	m->ring = calloc(threads, sizeof *m->ring);
	m->order = calloc(threads, sizeof *m->order);
	m->scores = calloc(threads, sizeof *m->scores);
	int good = m->fine && m->coarse && m->polars && m->ring && m->order && m->scores;

	for (int t = 0; good && !rc && t < m->threads; t++) {
		m->ring[t] = pn_fft_alloc(m->polar->points * sizeof **m->ring);
		m->order[t] = pn_fft_alloc(m->orders * m->rings * sizeof **m->order);
		m->scores[t] = pn_fft_alloc(TOGETHER * m->angles * 2 * sizeof **m->scores);
		good = m->ring[t] && m->order[t] && m->scores[t];
		if (good)
			rc = pn_polar_create(&m->polars[t], &m->polar->params, err);
	}
	if (!good)
		return pn_error_set(err, PN_ENOMEM,
				    "no memory for references of %zu views: %zu bytes",
				    m->directions->count, (cells + m->coarse_blocks) * bytes);
	return rc;
}

int pn_match_create(struct pn_match **match, const struct pn_polar *polar,
		    const struct pn_directions *directions, struct pn_error *err)
{
	struct pn_match *m = calloc(1, sizeof *m);

	*match = NULL;
	if (!m)
		return pn_error_set(err, PN_ENOMEM, "no memory for references");
	m->polar = polar;
	m->directions = directions;
	m->orders = polar->orders;
	m->rings = polar->rings;
	m->angles = polar->angles;
	m->block = m->orders * m->rings * 2;
	m->coarse_blocks = (directions->cells + COARSE_CELLS - 1) / COARSE_CELLS;
	m->threads = omp_get_max_threads();
	int rc = take_memory(m, err);

	if (!rc)
		rc = pn_fft_plan_lines(&m->turn, PN_FFT_BACKWARD, m->angles, LANES, 1, err);
	if (rc) {
		pn_match_destroy(m);
		return rc;
	}
	*match = m;
	return PN_OK;
}

void pn_match_destroy(struct pn_match *m)
{
	if (!m)
		return;
	for (int t = 0; t < m->threads; t++) {
		if (m->polars)
			pn_polar_destroy(m->polars[t]);
		if (m->ring)
			pn_fft_free(m->ring[t]);
		if (m->order)
			pn_fft_free(m->order[t]);
		if (m->scores)
			pn_fft_free(m->scores[t]);
	}
	free(m->polars);
	free(m->ring);
	free(m->order);
	free(m->scores);
	pn_fft_free(m->fine);
	pn_fft_free(m->coarse);
	pn_fft_destroy(m->turn);
	free(m);
}

/* ---- references ----------------------------------------------------------------------------- */

static void put(lanes *block, size_t lane, const float complex *order, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		((float *)&block[2 * i])[lane] = crealf(order[i]);
		((float *)&block[2 * i + 1])[lane] = cimagf(order[i]);
	}
}

int pn_match_set_map(struct pn_match *m, const struct pn_slicer *map, struct pn_error *err)
{
	const struct pn_directions *d = m->directions;
	size_t empty = 0;

#pragma omp parallel for schedule(dynamic, 8) num_threads(m->threads) reduction(+ : empty)
	for (size_t i = 0; i < d->count; i++) {
		const int t = omp_get_thread_num();
		const size_t cell = i / LANES, lane = i % LANES, n = m->orders * m->rings;
		double norm;

		pn_polar_map(m->polar, map, d->rotation[i], m->ring[t]);
		pn_polar_orders(m->polars[t], m->ring[t], m->order[t], &norm);
		empty += !(norm > 0);
		put(m->fine + cell * m->block, lane, m->order[t], n);
		if (lane < PN_DIRECTIONS_COARSE)
			put(m->coarse + cell / COARSE_CELLS * m->block,
			    cell % COARSE_CELLS * PN_DIRECTIONS_COARSE + lane, m->order[t], n);
	}
	if (empty == d->count)
		return pn_error_set(err, PN_EARG, "the map shows nothing from %g to %g A",
				    m->polar->params.resolution_low_A,
				    m->polar->params.resolution_high_A);
	return PN_OK;
}

/* ---- scores --------------------------------------------------------------------------------- */

static inline lanes spread(float x)
{
	return (lanes){ x, x, x, x, x, x, x, x };
}

/* Real and imaginary parts of LANES numbers in turn. */
static inline void interleave(lanes out[2], lanes re, lanes im)
{
	out[0] = __builtin_shufflevector(re, im, 0, 8, 1, 9, 2, 10, 3, 11);
	out[1] = __builtin_shufflevector(re, im, 4, 12, 5, 13, 6, 14, 7, 15);
}

/*
 * One block against some images: z_m = c_m + i c'_m for the view and its mirror image,
 *
 *	c_m = sum A conj B,   c'_m = (-1)^m sum A B,
 *
 * so that one complex transform gives the scores of both, which are real.
 */
static inline __attribute__((always_inline)) void products(const struct pn_match *m,
							   const lanes *block,
							   const float complex *const *order,
							   lanes *z, const int images)
{
	const size_t rings = m->rings, angles = m->angles;

	/* what no order reaches; the rest is written below */
	for (int f = 0; f < images; f++)
		memset(z + 2 * ((size_t)f * angles + m->orders), 0,
		       2 * (angles + 1 - 2 * m->orders) * sizeof *z);
	for (size_t k = 0; k < m->orders; k++, block += 2 * rings) {
		lanes s[TOGETHER][4] = { { { 0 } } };

		for (size_t r = 0; r < rings; r++) {
			const lanes br = block[2 * r], bi = block[2 * r + 1];

			/* references are more than caches hold, and every block begins anew */
			__builtin_prefetch(block + 2 * (r + AHEAD));

			for (int f = 0; f < images; f++) {
				const float *a = (const float *)(order[f] + k * rings + r);
				const lanes ar = spread(a[0]), ai = spread(a[1]);

				s[f][0] += ar * br;
				s[f][1] += ai * bi;
				s[f][2] += ai * br;
				s[f][3] += ar * bi;
			}
		}
		const float sign = k % 2 ? -1 : 1;

		for (int f = 0; f < images; f++) {
			lanes *out = z + (size_t)f * angles * 2;
			const lanes cr = s[f][0] + s[f][1], ci = s[f][2] - s[f][3];
			const lanes dr = sign * (s[f][0] - s[f][1]),
				    di = sign * (s[f][2] + s[f][3]);

			interleave(out + 2 * k, cr - di, ci + dr);
			if (k)
				interleave(out + 2 * (angles - k), cr + di, dr - ci);
		}
	}
}

static void block_products(const struct pn_match *m, const lanes *block,
			   const float complex *const *order, lanes *z, size_t images)
{
	if (images == 3)
		products(m, block, order, z, 3);
	else if (images == 2)
		products(m, block, order, z, 2);
	else
		products(m, block, order, z, 1);
}

/* The top of a parabola through three neighbours: place in steps, height. */
static float parabola(float left, float middle, float right, float *top)
{
	const float bend = left - 2 * middle + right;
	const float at = bend < 0 ? 0.5f * (left - right) / bend : 0;

	*top = middle - 0.25f * (left - right) * at;
	return at;
}

/* The largest score of each lane over the angles; @z: [angles] views and mirrors in turn. */
static void largest(const struct pn_match *m, const lanes *z, const uint32_t view[LANES],
		    struct pn_match_hit *hit, size_t views)
{
	const float *score = (const float *)z;
	const size_t angles = m->angles;
	lanes best[2] = { z[0], z[1] };
	lane_ints at[2] = { { 0 } }, now = { 0 };

	for (size_t a = 1; a < angles; a++) {
		now += 1;
		for (int h = 0; h < 2; h++) {
			const lanes s = z[2 * a + (size_t)h];
			const lane_ints more = s > best[h];

			best[h] = (lanes)(((lane_ints)s & more) | ((lane_ints)best[h] & ~more));
			at[h] = (now & more) | (at[h] & ~more);
		}
	}
	for (size_t l = 0; l < 2 * views; l++) {
		const size_t a = (size_t)at[l / LANES][l % LANES];
		float top;
		float offset = parabola(score[(a + angles - 1) % angles * 2 * LANES + l],
					best[l / LANES][l % LANES],
					score[(a + 1) % angles * 2 * LANES + l], &top);
		float turn = ((float)a + offset) / (float)angles;

		hit[l].view = view[l / 2];
		hit[l].mirrored = l % 2;
		hit[l].score = top;
		hit[l].angle_rad = (float)(2 * M_PI) * (turn < 0 ? turn + 1 : turn);
	}
}

/* Views of a block, and how many there are. */
static size_t views_of(const struct pn_match *m, size_t block, int coarse, uint32_t view[LANES])
{
	size_t n = 0;

	if (!coarse) {
		for (; n < LANES; n++)
			view[n] = (uint32_t)(block * LANES + n);
		return n;
	}
	for (size_t c = block * COARSE_CELLS; c < (block + 1) * COARSE_CELLS; c++)
		for (int i = 0; c < m->directions->cells && i < PN_DIRECTIONS_COARSE; i++)
			view[n++] = (uint32_t)(c * LANES + (size_t)i);
	return n;
}

void pn_match_search(struct pn_match *m, const float complex *const *order, size_t images,
		     const uint32_t *cell, size_t cells, int coarse, struct pn_match_hit *hit)
{
	const lanes *block = coarse ? m->coarse : m->fine;
	const size_t blocks = coarse ? m->coarse_blocks : cell ? cells : m->directions->cells;
	const size_t per_image =
		coarse ? m->directions->cells * PN_DIRECTIONS_COARSE * 2 : blocks * LANES * 2;

#pragma omp parallel for schedule(dynamic, 1) num_threads(m->threads)
	for (size_t b = 0; b < blocks; b++) {
		const size_t which = cell && !coarse ? cell[b] : b;
		lanes *z = m->scores[omp_get_thread_num()];
		uint32_t view[LANES];
		const size_t views = views_of(m, which, coarse, view);

		for (size_t first = 0; first < images; first += TOGETHER) {
			const size_t some = images - first < TOGETHER ? images - first : TOGETHER;

			block_products(m, block + which * m->block, order + first, z, some);
			for (size_t f = 0; f < some; f++) {
				lanes *one = z + f * m->angles * 2;

				pn_fft_execute(m->turn, one, one);
				largest(m, one, view, hit + (first + f) * per_image + b * LANES * 2,
					views);
			}
		}
	}
}

/* ---- hits ----------------------------------------------------------------------------------- */

void pn_match_rotation(const struct pn_directions *directions, const struct pn_match_hit *hit,
		       double rotation[3][3])
{
	const double c = cos((double)hit->angle_rad), s = sin((double)hit->angle_rad);
	const double flip = hit->mirrored ? -1 : 1;
	/* the specimen turned over about x, then about the beam */
	const double turn[3][3] = { { c, -s * flip, 0 }, { s, c * flip, 0 }, { 0, 0, flip } };

	pn_matrix3_multiply(rotation, turn, directions->rotation[hit->view]);
}

size_t pn_match_cells_near(const struct pn_directions *directions, const double view[3],
			   double angle_deg, uint32_t *cell)
{
	const double reach = fmin(90, angle_deg + directions->radius_deg);
	const double least = cos(reach * M_PI / 180);
	size_t n = 0;

	for (size_t c = 0; c < directions->cells; c++) {
		const double *center = directions->center[c];

		if (fabs(center[0] * view[0] + center[1] * view[1] + center[2] * view[2]) >= least)
			cell[n++] = (uint32_t)c;
	}
	return n;
}

static int better(const struct pn_match_hit *a, const struct pn_match_hit *b)
{
	if (a->score != b->score)
		return a->score > b->score;
	return a->view != b->view ? a->view < b->view : a->mirrored < b->mirrored;
}

static int by_score(const void *a, const void *b)
{
	return better(b, a) - better(a, b);
}

/* The best at the front by a heap of the best so far, whose root is the worst of them. */
static void sift_down(struct pn_match_hit *heap, size_t count, size_t i)
{
	for (size_t child; (child = 2 * i + 1) < count; i = child) {
		if (child + 1 < count && better(&heap[child], &heap[child + 1]))
			child++;
		if (better(&heap[child], &heap[i]))
			return;
		struct pn_match_hit swap = heap[i];

		heap[i] = heap[child];
		heap[child] = swap;
	}
}

size_t pn_match_top(struct pn_match_hit *hit, size_t count, size_t top)
{
	if (top > count)
		top = count;
	for (size_t i = top / 2; i-- > 0;)
		sift_down(hit, top, i);
	for (size_t i = top; top && i < count; i++)
		if (better(&hit[i], &hit[0])) {
			struct pn_match_hit swap = hit[0];

			hit[0] = hit[i];
			hit[i] = swap;
			sift_down(hit, top, 0);
		}
	qsort(hit, top, sizeof *hit, by_score);
	return top;
}
