/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/genfire.h"

#include "perrin/base/rng.h"
#include "perrin/math/fft.h"
#include "perrin/math/fft3.h"

#include "genfire_parts.h"
#include "grid.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 4096 }; /* nodes whose sums are taken together, whoever takes them */

/* a node is enforced if 1 - q exceeds the cutoff of the time */
static const double all_cutoffs[] = { -1 };
static const double extension_cutoffs[] = { 0.95, 0.80,  0.65,  0.50,  0.35, 0.20,
					    0.05, -0.10, -0.15, -0.15, -0.15 };
static const double suppression_cutoffs[] = { 0.95,  0.80,  0.65,  0.50, 0.35, 0.20, 0.05,
					      -0.10, -0.15, -0.05, 0.05, 0.15, 0.25, 0.35,
					      0.45,  0.55,  0.65,  0.75, 0.85 };

struct sums {
	double magnitude, complex_, measured; /* of the nodes not withheld */
	double free_, free_measured;          /* of those withheld         */
};

struct object {
	size_t voxels;
	const struct pn_box *box;
	const uint8_t *support;
	struct pn_fft3 *fft;
	float *now, *best;       /* [nz][ny][nx] */
	float complex *spectrum; /* [mz][my][mx/2+1] */
	struct sums *sums;       /* [blocks] */
	struct pn_genfire_grid grid;
};

void pn_genfire_defaults(struct pn_genfire_options *options)
{
	*options = (struct pn_genfire_options){ .oversampling = 3,
						.gridding = PN_GRIDDING_FFT,
						.radius_px = 0.7,
						.squared_weight = 1,
						.schedule = PN_GENFIRE_EXTENSION_SUPPRESSION,
						.iterations = 100 };
}

void pn_genfire_history_free(struct pn_genfire_history *history)
{
	if (!history)
		return;
	free(history->r_magnitude);
	memset(history, 0, sizeof *history);
}

static int check(const struct pn_box *box, const struct pn_projections *projections,
		 const struct pn_genfire_options *o, struct pn_error *err)
{
	int rc = pn_projections_check(projections, err);

	if (rc)
		return rc;
	if (box->nz < 1 || box->ny < 1 || box->nx < 1)
		return pn_error_set(err, PN_EARG, "GENFIRE: a volume of %zu x %zu x %zu voxels",
				    box->nz, box->ny, box->nx);
	if (!(o->oversampling >= 1 && o->oversampling <= 16))
		return pn_error_set(err, PN_EARG, "GENFIRE: oversampling %g, must be 1..16",
				    o->oversampling);
	if (!(o->radius_px > 0 && o->radius_px <= 4))
		return pn_error_set(err, PN_EARG, "GENFIRE: radius %g, must be above 0 and up to 4",
				    o->radius_px);
	if (o->iterations < 1)
		return pn_error_set(err, PN_EARG, "GENFIRE: %d iterations", o->iterations);
	if (!(o->free_fraction >= 0 && o->free_fraction <= 0.5))
		return pn_error_set(err, PN_EARG,
				    "GENFIRE: %g of the coefficients withheld, must be 0..0.5",
				    o->free_fraction);
	if ((unsigned)o->gridding > PN_GRIDDING_DFT ||
	    (unsigned)o->schedule > PN_GENFIRE_EXTENSION_SUPPRESSION)
		return pn_error_set(err, PN_EARG, "GENFIRE: gridding %d, schedule %d",
				    (int)o->gridding, (int)o->schedule);
	for (size_t i = 0; o->initial && i < pn_box_voxels(box); i++)
		if (!isfinite(o->initial[i]))
			return pn_error_set(err, PN_EARG,
					    "GENFIRE: voxel %zu of the volume to start from is %g",
					    i, (double)o->initial[i]);
	return PN_OK;
}

static double larger(size_t a, size_t b)
{
	return (double)(a > b ? a : b);
}

static int grid_of(struct pn_genfire_grid *grid, const struct pn_box *box,
		   const struct pn_projections *p, double oversampling, struct pn_error *err)
{
	double z = oversampling * (double)box->nz, y = oversampling * larger(box->ny, p->ny),
	       x = oversampling * larger(box->nx, p->nx);

	if (!(z <= 4096 && y <= 4096 && x <= 4096))
		return pn_error_set(err, PN_EARG,
				    "GENFIRE: a grid of %.0f x %.0f x %.0f is over 4096", z, y, x);
	grid->mz = pn_grid_length(z);
	grid->my = pn_grid_length(y);
	grid->mx = pn_grid_length(x);
	if (grid->mz * grid->my * (grid->mx / 2 + 1) > UINT32_MAX)
		return pn_error_set(err, PN_EARG,
				    "GENFIRE: a grid of %zu x %zu x %zu has over 2^33 points",
				    grid->mz, grid->my, grid->mx);
	return PN_OK;
}

/*
 * Withhold floor(fraction) of each shell, each choice equally likely (selection sampling, Knuth,
 * TAOCP 2, 3.4.2 S). Returns how many; withheld nodes have a negative q. SIZE_MAX: no memory.
 */
static size_t withhold(struct pn_genfire_grid *grid, size_t shells, double fraction, uint64_t seed)
{
	struct shell {
		size_t left, wanted;
		struct pn_rng rng;
	} *shell = calloc(shells + 1, sizeof *shell);
	size_t half = grid->mx / 2 + 1, total = 0;

	if (!shell)
		return SIZE_MAX;
	for (size_t i = 0; i < grid->count; i++)
		if (grid->node[i].at % half)
			shell[(size_t)(grid->node[i].q * (float)shells)].left++;
	for (size_t s = 0; s <= shells; s++) {
		shell[s].wanted = (size_t)((double)shell[s].left * fraction);
		pn_rng_init(&shell[s].rng, seed, s);
	}
	for (size_t i = 0; i < grid->count; i++) {
		struct pn_genfire_node *node = &grid->node[i];
		struct shell *s = &shell[(size_t)(node->q * (float)shells)];

		if (node->at % half == 0)
			continue;
		if ((double)s->left * pn_rng_uniform(&s->rng) < (double)s->wanted) {
			node->q = -node->q;
			s->wanted--;
			total++;
		}
		s->left--;
	}
	free(shell);
	return total;
}

static size_t blocks_of(const struct object *o)
{
	return (o->grid.count + BLOCK - 1) / BLOCK;
}

static void object_free(struct object *o)
{
	pn_fft3_destroy(o->fft);
	pn_fft_free(o->now);
	pn_fft_free(o->best);
	pn_fft_free(o->spectrum);
	free(o->sums);
	free(o->grid.node);
}

/* everything but the gridding */
static int object_open(struct object *o, const struct pn_genfire_options *options,
		       struct pn_error *err)
{
	struct pn_genfire_grid *g = &o->grid;
	size_t spectrum = g->mz * g->my * (g->mx / 2 + 1);
	int rc = pn_fft3_plan(&o->fft, g->mz, g->my, g->mx, err);

	if (rc)
		return rc;
	o->now = pn_fft_alloc(o->voxels * sizeof *o->now);
	o->best = pn_fft_alloc(o->voxels * sizeof *o->best);
	o->spectrum = pn_fft_alloc(spectrum * sizeof *o->spectrum);
	o->sums = malloc(blocks_of(o) * sizeof *o->sums);
	if (!o->now || !o->best || !o->spectrum || !o->sums)
		return pn_error_set(
			err, PN_ENOMEM,
			"GENFIRE: %zu voxels on a grid of %zu x %zu x %zu with %zu "
			"coefficients need %zu bytes",
			o->voxels, g->mz, g->my, g->mx, g->count,
			2 * o->voxels * sizeof *o->now + spectrum * sizeof *o->spectrum +
				blocks_of(o) * sizeof *o->sums + g->count * sizeof *g->node);
	if (options->initial)
		memcpy(o->now, options->initial, o->voxels * sizeof *o->now);
	return PN_OK;
}

static void constrain(struct object *o)
{
#pragma omp parallel for schedule(static)
	for (size_t i = 0; i < o->voxels; i++)
		if (o->now[i] < 0 || (o->support && !o->support[i]))
			o->now[i] = 0;
}

/* compare one block of nodes with the object, and put back those to be enforced */
static struct sums enforce_block(struct object *o, size_t block, double cutoff)
{
	size_t end = (block + 1) * BLOCK < o->grid.count ? (block + 1) * BLOCK : o->grid.count;
	struct sums s = { 0 };

	for (size_t i = block * BLOCK; i < end; i++) {
		const struct pn_genfire_node *node = &o->grid.node[i];
		float complex *k = &o->spectrum[node->at], m = node->value;
		float dr = crealf(*k) - crealf(m), di = cimagf(*k) - cimagf(m);
		float size = sqrtf(crealf(*k) * crealf(*k) + cimagf(*k) * cimagf(*k)),
		      measured = sqrtf(crealf(m) * crealf(m) + cimagf(m) * cimagf(m));

		if (node->q < 0) {
			s.free_ += (double)fabsf(size - measured);
			s.free_measured += (double)measured;
			continue;
		}
		s.magnitude += (double)fabsf(size - measured);
		s.complex_ += (double)sqrtf(dr * dr + di * di);
		s.measured += (double)measured;
		if (1 - (double)node->q > cutoff)
			*k = m;
	}
	return s;
}

static struct sums enforce(struct object *o, double cutoff)
{
	size_t blocks = blocks_of(o);
	struct sums total = { 0 };

#pragma omp parallel for schedule(static)
	for (size_t b = 0; b < blocks; b++)
		o->sums[b] = enforce_block(o, b, cutoff);
	for (size_t b = 0; b < blocks; b++) {
		total.magnitude += o->sums[b].magnitude;
		total.complex_ += o->sums[b].complex_;
		total.measured += o->sums[b].measured;
		total.free_ += o->sums[b].free_;
		total.free_measured += o->sums[b].free_measured;
	}
	return total;
}

/* one turn; the object compared is in o->now until the transform back replaces it */
static struct sums compare(struct object *o, double cutoff)
{
	constrain(o);
	pn_fft3_forward(o->fft, o->now, o->box->nz, o->box->ny, o->box->nx, o->spectrum);
	return enforce(o, cutoff);
}

static void replace(struct object *o)
{
	float scale = 1 / ((float)o->grid.mz * (float)o->grid.my * (float)o->grid.mx);

	pn_fft3_backward(o->fft, o->spectrum, o->now, o->box->nz, o->box->ny, o->box->nx);
	for (size_t i = 0; i < o->voxels; i++)
		o->now[i] *= scale;
}

struct schedule {
	const double *cutoff;
	size_t count, next;
	double now;
};

static struct schedule schedule_of(enum pn_genfire_schedule which)
{
	switch (which) {
	case PN_GENFIRE_EXTENSION:
		return (struct schedule){ extension_cutoffs, PN_COUNT(extension_cutoffs), 0, 0 };
	case PN_GENFIRE_EXTENSION_SUPPRESSION:
		return (struct schedule){ suppression_cutoffs, PN_COUNT(suppression_cutoffs), 0,
					  0 };
	default:
		return (struct schedule){ all_cutoffs, PN_COUNT(all_cutoffs), 0, 0 };
	}
}

/* the cutoffs begin at iterations spread evenly over 1..iterations; 1 if another one begins */
static int turn_page(struct schedule *s, int iteration, int iterations)
{
	int changed = 0;

	while (s->next < s->count &&
	       iteration >= (s->count == 1 ? 1
					   : lrint(1 + (double)s->next * (iterations - 1) /
							       (double)(s->count - 1)))) {
		double cutoff = s->cutoff[s->next++];

		if (!changed)
			s->now = cutoff;
		changed = 1;
	}
	return changed;
}

static void iterate(struct object *o, const struct pn_genfire_options *options,
		    struct pn_genfire_history *h)
{
	struct schedule schedule = schedule_of(options->schedule);
	double least = INFINITY;

	for (int i = 0; i < options->iterations; i++) {
		if (turn_page(&schedule, i + 1, options->iterations))
			least = INFINITY;
		struct sums s = compare(o, schedule.now);

		h->r_magnitude[i] = s.magnitude / s.measured;
		h->r_complex[i] = s.complex_ / s.measured;
		h->r_free[i] = h->withheld ? s.free_ / s.free_measured : NAN;
		h->iterations = i + 1;
		if (h->r_magnitude[i] < least) {
			least = h->r_magnitude[i];
			h->best = i + 1;
			memcpy(o->best, o->now, o->voxels * sizeof *o->best);
		}
		if (options->progress &&
		    options->progress(options->context, i + 1, h->r_magnitude[i]))
			return;
		if (i + 1 < options->iterations)
			replace(o);
	}
}

static int history_open(struct pn_genfire_history *h, int iterations, struct pn_error *err)
{
	size_t n = (size_t)iterations;

	memset(h, 0, sizeof *h);
	h->r_magnitude = malloc(3 * n * sizeof *h->r_magnitude);
	if (!h->r_magnitude)
		return pn_error_set(err, PN_ENOMEM, "GENFIRE: %d R factors need %zu bytes",
				    iterations, 3 * n * sizeof *h->r_magnitude);
	h->r_complex = h->r_magnitude + n;
	h->r_free = h->r_complex + n;
	return PN_OK;
}

int pn_genfire(float *volume, const struct pn_box *box, const struct pn_projections *projections,
	       const struct pn_genfire_options *options, struct pn_genfire_history *history,
	       struct pn_error *err)
{
	struct object o = { .box = box, .support = options->support };
	struct pn_genfire_history h = { 0 };
	size_t shells = projections->nx / 2 ? projections->nx / 2 : 1;
	int rc = check(box, projections, options, err);

	if (!rc)
		rc = grid_of(&o.grid, box, projections, options->oversampling, err);
	if (rc)
		return rc;
	o.voxels = pn_box_voxels(box);
	rc = pn_genfire_fill(&o.grid, box, projections, options, err);
	if (!rc)
		rc = object_open(&o, options, err);
	if (!rc)
		rc = history_open(&h, options->iterations, err);
	if (!rc) {
		h.measured = o.grid.count;
		if (options->free_fraction > 0)
			h.withheld =
				withhold(&o.grid, shells, options->free_fraction, options->seed);
		if (h.withheld == SIZE_MAX)
			rc = pn_error_set(err, PN_ENOMEM, "GENFIRE: no memory for %zu shells",
					  shells);
	}
	if (!rc) {
		iterate(&o, options, &h);
		memcpy(volume, o.best, o.voxels * sizeof *volume);
	}
	object_free(&o);
	if (!rc && history)
		*history = h;
	else
		pn_genfire_history_free(&h);
	return rc;
}
