/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/potential.h"

#include "trace_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
	INTERVALS = 400,
	EDGE_MAX = PN_POTENTIAL_EDGE_MAX,
	CUBE_MAX = EDGE_MAX * EDGE_MAX * EDGE_MAX,
};
static const double flat_part = 1e-5; /* of sum v^2: below it, rounding decides */

/* ---- templates --------------------------------------------------------------------------------
 */

static int check_edge(int edge, double pixel_A, double b_A2, struct pn_error *err)
{
	if (edge < 3 || edge > EDGE_MAX || edge % 2 == 0)
		return pn_error_set(err, PN_EARG, "template: edge %d (3, 5, .. %d)", edge,
				    EDGE_MAX);
	if (!(pixel_A > 0 && pixel_A < INFINITY) || !(b_A2 >= 0 && b_A2 < INFINITY))
		return pn_error_set(err, PN_EARG, "template: voxel of %g A, B factor %g A^2",
				    pixel_A, b_A2);
	return PN_OK;
}

/* Squared distance, in voxels, of voxel i from the middle of the template. */
static int squared_from_middle(int i, int edge)
{
	int x = i % edge - edge / 2, y = i / edge % edge - edge / 2, z = i / edge / edge - edge / 2;

	return x * x + y * y + z * z;
}

int pn_potential_gaussians(float *template, int edge, double pixel_A,
			   const struct pn_potential_term *term, size_t terms, double b_factor_A2,
			   struct pn_error *err)
{
	int rc = check_edge(edge, pixel_A, b_factor_A2, err);

	for (size_t t = 0; rc == PN_OK && t < terms; t++)
		if (!isfinite(term[t].a) || !(term[t].b_A2 >= 0) ||
		    !(term[t].b_A2 + b_factor_A2 > 0))
			rc = pn_error_set(err, PN_EARG, "template: term %zu is %g exp(-%g q^2/4)",
					  t + 1, term[t].a, term[t].b_A2);
	for (int i = 0; rc == PN_OK && i < edge * edge * edge; i++) {
		double r2 = squared_from_middle(i, edge) * pixel_A * pixel_A, sum = 0;

		for (size_t t = 0; t < terms; t++) {
			double b = term[t].b_A2 + b_factor_A2;

			sum += term[t].a * pow(4 * M_PI / b, 1.5) * exp(-4 * M_PI * M_PI * r2 / b);
		}
		template[i] = (float)sum;
	}
	return rc;
}

int pn_potential_template(float *template, int edge, double pixel_A,
			  double (*factor)(int z, double q_per_A), int z, double b_factor_A2,
			  double q_max_per_A, struct pn_error *err)
{
	double weight[INTERVALS + 1], step = q_max_per_A / INTERVALS;
	int rc = check_edge(edge, pixel_A, b_factor_A2, err);

	if (rc == PN_OK && !(q_max_per_A > 0 && q_max_per_A < INFINITY))
		rc = pn_error_set(err, PN_EARG, "template: frequencies up to %g per A",
				  q_max_per_A);
	if (rc != PN_OK)
		return rc;
	for (int k = 0; k <= INTERVALS; k++) {
		double q = k * step, simpson = k == 0 || k == INTERVALS ? 1 : k % 2 ? 4 : 2;

		weight[k] = 4 * M_PI * simpson * step / 3 * q * q * factor(z, q) *
			    exp(-b_factor_A2 * q * q / 4);
	}
	for (int i = 0; i < edge * edge * edge; i++) {
		double r = pixel_A * sqrt(squared_from_middle(i, edge)), sum = 0;

		for (int k = 0; k <= INTERVALS; k++) {
			double phase = 2 * M_PI * k * step * r;

			sum += weight[k] * (phase > 0 ? sin(phase) / phase : 1);
		}
		template[i] = (float)sum;
	}
	return PN_OK;
}

/* ---- correlation ------------------------------------------------------------------------------
 */

/* A template within its ball, less its mean there. */
struct ball {
	int edge, count;
	int reach[EDGE_MAX][EDGE_MAX]; /* of x for each z, y; -1 = none */
	float weight[CUBE_MAX];        /* 0 outside */
	double square;                 /* sum of weight^2 */
};

static int ball_build(struct ball *ball, const float *template, int edge, struct pn_error *err)
{
	int half = edge / 2, count = 0, cube = edge * edge * edge;
	double mean = 0;
	int rc = check_edge(edge, 1, 0, err);

	if (rc != PN_OK)
		return rc;
	*ball = (struct ball){ .edge = edge };
	for (int z = 0; z < edge; z++)
		for (int y = 0; y < edge; y++) {
			/* (edge / 2)^2 with edge odd, in whole numbers */
			int left = (edge * edge - 1) / 4 - (z - half) * (z - half) -
				   (y - half) * (y - half);

			ball->reach[z][y] = left < 0 ? -1 : (int)sqrt(left);
		}
	for (int i = 0; i < cube; i++) {
		if (!isfinite(template[i]))
			return pn_error_set(err, PN_EARG, "template: voxel %d is %g", i,
					    (double)template[i]);
		int x = i % edge - half,
		    inside = abs(x) <= ball->reach[i / edge / edge][i / edge % edge];

		ball->weight[i] = (float)inside;
		count += inside;
		mean += inside ? template[i] : 0;
	}
	mean /= count;
	ball->count = count;
	for (int i = 0; i < cube; i++) {
		ball->weight[i] *= (float)(template[i] - mean);
		ball->square += (double)ball->weight[i] * ball->weight[i];
	}
	if (!(ball->square > 1e-12 * count * mean * mean) || ball->square == 0)
		return pn_error_set(err, PN_EARG, "template: constant, %g", mean);
	return PN_OK;
}

/* Sums over the ball about the voxels of one row; beyond the border the volume is 0. */
struct row_sums {
	float with[PN_TRACE_EDGE_MAX], plain[PN_TRACE_EDGE_MAX], square[PN_TRACE_EDGE_MAX];
};

static void add_row(struct row_sums *sums, const float *row, long nx, const float *weight, int half,
		    int reach)
{
	for (int d = -reach; d <= reach; d++) {
		float w = weight[half + d];
		long from = d < 0 ? -d : 0, to = d > 0 ? nx - d : nx;

		for (long x = from; x < to; x++) {
			float v = row[x + d];

			sums->with[x] += w * v;
			sums->plain[x] += v;
			sums->square[x] += v * v;
		}
	}
}

static void correlate_row(struct row_sums *sums, const struct ball *ball, const float *volume,
			  const size_t n[3], long y, long z)
{
	int half = ball->edge / 2;
	size_t bytes = n[0] * sizeof(float);

	memset(sums->with, 0, bytes);
	memset(sums->plain, 0, bytes);
	memset(sums->square, 0, bytes);
	for (int dz = -half; dz <= half; dz++)
		for (int dy = -half; dy <= half; dy++) {
			long zz = z + dz, yy = y + dy;
			int reach = ball->reach[half + dz][half + dy];

			if (zz < 0 || zz >= (long)n[2] || yy < 0 || yy >= (long)n[1] || reach < 0)
				continue;
			add_row(sums, volume + ((size_t)zz * n[1] + (size_t)yy) * n[0], (long)n[0],
				ball->weight + ((half + dz) * ball->edge + half + dy) * ball->edge,
				half, reach);
		}
}

static double pearson_of(double with, double plain, double square, const struct ball *ball)
{
	double spread = square - plain * plain / ball->count;

	return spread > flat_part * square ? with / sqrt(ball->square * spread) : 0;
}

int pn_potential_correlate(float *pearson, float *amplitude, const float *volume, size_t nz,
			   size_t ny, size_t nx, const float *template, int edge, int threads,
			   struct pn_error *err)
{
	struct ball ball;
	size_t n[3] = { nx, ny, nz };
	long rows = (long)(ny * nz);

	if (nx < 1 || ny < 1 || nz < 1 || nx > PN_TRACE_EDGE_MAX || ny > PN_TRACE_EDGE_MAX ||
	    nz > PN_TRACE_EDGE_MAX || threads < 1)
		return pn_error_set(err, PN_EARG,
				    "correlation: %zu x %zu x %zu voxels (1..%d), %d threads", nz,
				    ny, nx, PN_TRACE_EDGE_MAX, threads);
	int rc = ball_build(&ball, template, edge, err);

	if (rc != PN_OK)
		return rc;
#pragma omp parallel for num_threads(threads) schedule(static)
	for (long r = 0; r < rows; r++) {
		struct row_sums sums;
		size_t at = (size_t)r * nx;

		correlate_row(&sums, &ball, volume, n, r % (long)ny, r / (long)ny);
		for (size_t x = 0; amplitude && x < nx; x++)
			amplitude[at + x] = (float)(sums.with[x] / ball.square);
		for (size_t x = 0; pearson && x < nx; x++)
			pearson[at + x] = (float)pearson_of(sums.with[x], sums.plain[x],
							    sums.square[x], &ball);
	}
	return PN_OK;
}

/* ---- atoms ------------------------------------------------------------------------------------
 */

/* Correlation and amplitude at the places found; those too unlike are taken out. */
static int validate(struct pn_potential *p, const float *volume, const size_t n[3], double pixel_A,
		    const struct ball *ball, double pearson_min, int threads, struct pn_error *err)
{
	size_t count = p->trace.count, cube = (size_t)(ball->edge * ball->edge * ball->edge);
	float *boxes = malloc((count + 1) * cube * sizeof *boxes);
	double(*at)[3] = malloc((count + 1) * sizeof *at);
	size_t kept = 0;
	int rc = boxes && at ? PN_OK
			     : pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", count);

	for (size_t i = 0; rc == PN_OK && i < count; i++)
		memcpy(at[i], p->trace.atom[i].position_A, sizeof at[i]);
	if (rc == PN_OK)
		rc = pn_trace_boxes(boxes, (const double(*)[3])at, count, ball->edge, volume, n[2],
				    n[1], n[0], pixel_A, threads, err);
	for (size_t i = 0; rc == PN_OK && i < count; i++) {
		const float *box = boxes + i * cube;
		double with = 0, plain = 0, square = 0;

		for (size_t k = 0; k < cube; k++) {
			int x = (int)k % ball->edge, y = (int)k / ball->edge % ball->edge;
			int z = (int)k / ball->edge / ball->edge, half = ball->edge / 2;

			if (abs(x - half) > ball->reach[z][y])
				continue;
			with += (double)ball->weight[k] * box[k];
			plain += box[k];
			square += (double)box[k] * box[k];
		}
		double pearson = pearson_of(with, plain, square, ball);

		if (pearson < pearson_min)
			continue;
		p->trace.atom[kept] = p->trace.atom[i];
		p->pearson[kept] = pearson;
		p->amplitude[kept++] = with / ball->square;
	}
	if (rc == PN_OK) {
		p->not_like = count - kept;
		p->trace.count = kept;
	}
	free(boxes);
	free(at);
	return rc;
}

int pn_potential_atoms(struct pn_potential *potential, const float *volume, size_t nz, size_t ny,
		       size_t nx, double pixel_A, const float *template, int edge,
		       double pearson_min, const struct pn_trace_options *options, int threads,
		       struct pn_error *err)
{
	size_t n[3] = { nx, ny, nz }, voxels = nx * ny * nz;
	struct ball *ball = malloc(sizeof *ball);
	float *map = NULL, *amplitude = NULL;
	struct pn_trace_options o;

	pn_trace_options_default(&o);
	o.smooth_A = 0;
	if (options)
		o = *options;
	int rc = ball ? trace_check(volume, n, pixel_A, &o, threads, err)
		      : pn_error_set(err, PN_ENOMEM, "no memory for a template");

	*potential = (struct pn_potential){ 0 };
	if (rc == PN_OK && o.smooth_A != 0)
		rc = pn_error_set(err, PN_EARG, "potential: smoothed over %g A (must be 0)",
				  o.smooth_A);
	if (rc == PN_OK && isnan(pearson_min))
		rc = pn_error_set(err, PN_EARG, "potential: a least correlation of NaN");
	if (rc == PN_OK)
		rc = ball_build(ball, template, edge, err);
	if (rc == PN_OK) {
		map = malloc(voxels * sizeof *map);
		amplitude = malloc(voxels * sizeof *amplitude);
		rc = map && amplitude
			     ? pn_potential_correlate(map, amplitude, volume, nz, ny, nx, template,
						      edge, threads, err)
			     : pn_error_set(err, PN_ENOMEM, "no memory for %zu voxels", voxels);
	}
	for (size_t i = 0; rc == PN_OK && i < voxels; i++)
		map[i] = map[i] > 0 ? map[i] * amplitude[i] : 0;
	free(amplitude);
	if (rc == PN_OK)
		rc = trace_in_map(&potential->trace, volume, map, n, pixel_A, &o, threads, err);
	free(map);
	if (rc == PN_OK) {
		potential->pearson =
			malloc((potential->trace.count + 1) * sizeof *potential->pearson);
		potential->amplitude =
			malloc((potential->trace.count + 1) * sizeof *potential->amplitude);
		rc = potential->pearson && potential->amplitude
			     ? validate(potential, volume, n, pixel_A, ball, pearson_min, threads,
					err)
			     : pn_error_set(err, PN_ENOMEM, "no memory for the atoms");
	}
	free(ball);
	return rc;
}

void pn_potential_free(struct pn_potential *potential)
{
	pn_trace_free(&potential->trace);
	free(potential->pearson);
	free(potential->amplitude);
	*potential = (struct pn_potential){ 0 };
}
