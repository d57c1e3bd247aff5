/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "trace_parts.h"

#include "perrin/atoms/neighbors.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double weakest_part = 0.5;
enum { INTENSITY_EDGE = 7, SPECIES_MOST = 8, ROUNDS_MOST = 20 };

void pn_trace_options_default(struct pn_trace_options *options)
{
	*options = (struct pn_trace_options){ .fit = PN_TRACE_POLYNOMIAL,
					      .smooth_A = 0.35,
					      .distance_min_A = 2.2,
					      .confidence_min = 0.5,
					      .strength_min = NAN,
					      .passes = 2,
					      .rounds = 4 };
}

/* ---- what comes in ----------------------------------------------------------------------------
 */

static int check_options(const struct pn_trace_options *o, int threads, struct pn_error *err)
{
	if (o->fit != PN_TRACE_POLYNOMIAL && o->fit != PN_TRACE_GAUSSIAN)
		return pn_error_set(err, PN_EARG, "trace: no fit number %d", (int)o->fit);
	if (!(o->distance_min_A >= 0 && o->distance_min_A < INFINITY))
		return pn_error_set(err, PN_EARG, "trace: a least distance of %g A",
				    o->distance_min_A);
	if (!(o->smooth_A >= 0 && o->smooth_A < 10))
		return pn_error_set(err, PN_EARG, "trace: smoothed over %g A (0..10)", o->smooth_A);
	if (!(o->confidence_min > 0 && o->confidence_min < 1))
		return pn_error_set(err, PN_EARG, "trace: a least confidence of %g (0..1)",
				    o->confidence_min);
	if (isinf(o->strength_min) || o->species < 0 || o->species > SPECIES_MOST ||
	    o->passes < 1 || o->passes > 2 || o->rounds < 0 || o->rounds > ROUNDS_MOST ||
	    threads < 1)
		return pn_error_set(err, PN_EARG,
				    "trace: strength_min %g, %d species (0..%d), %d passes (1, 2), "
				    "%d rounds (0..%d), %d threads",
				    o->strength_min, o->species, SPECIES_MOST, o->passes, o->rounds,
				    ROUNDS_MOST, threads);
	return PN_OK;
}

static int check_volume(const float *volume, const size_t n[3], double pixel_A, int threads,
			struct pn_error *err)
{
	for (int k = 0; k < 3; k++)
		if (n[k] < 1 || n[k] > PN_TRACE_EDGE_MAX)
			return pn_error_set(err, PN_EARG,
					    "a volume of %zu x %zu x %zu voxels (1..%d along each)",
					    n[2], n[1], n[0], PN_TRACE_EDGE_MAX);
	if (!(pixel_A > 0 && pixel_A < INFINITY))
		return pn_error_set(err, PN_EARG, "a voxel of %g A", pixel_A);
	size_t count = n[0] * n[1] * n[2], bad = count;
	long rows = (long)(n[1] * n[2]);

#pragma omp parallel for num_threads(threads) schedule(static) reduction(min : bad)
	for (long r = 0; r < rows; r++) {
		const float *row = volume + (size_t)r * n[0];
		int any = 0;

		for (size_t x = 0; x < n[0]; x++)
			any |= !(fabsf(row[x]) <= FLT_MAX);
		for (size_t x = 0; any && x < n[0]; x++)
			if (!isfinite(row[x]) && (size_t)r * n[0] + x < bad)
				bad = (size_t)r * n[0] + x;
	}
	if (bad == count)
		return PN_OK;
	return pn_error_set(err, PN_EARG, "voxel z %zu, y %zu, x %zu is %g", bad / (n[0] * n[1]),
			    bad / n[0] % n[1], bad % n[0], (double)volume[bad]);
}

/* ---- from peaks to atoms ----------------------------------------------------------------------
 */

static void fit_polynomials(struct trace_peaks *peaks, struct trace_job *job,
			    const struct trace_spline *spline)
{
	long count = (long)peaks->count;
	size_t kept = 0;

#pragma omp parallel for num_threads(job->threads) schedule(dynamic, 16)
	for (long i = 0; i < count; i++)
		trace_polynomial_fit(&peaks->peak[i], &job->polynomial, spline, NULL);
	for (size_t i = 0; i < peaks->count; i++)
		if (peaks->peak[i].fitted)
			peaks->peak[kept++] = peaks->peak[i];
	job->trace->not_fitted += peaks->count - kept;
	peaks->count = kept;
	qsort(peaks->peak, kept, sizeof *peaks->peak, trace_by_height);
}

/* From the highest down: none nearer than the least distance to one that is taken; what earlier
 * passes found is taken. */
static int drop_near(struct trace_peaks *peaks, struct trace_job *job, struct pn_error *err)
{
	size_t taken = job->atoms.count, count = taken + peaks->count, kept = 0;
	double(*at)[3] = malloc((count + 1) * sizeof *at);
	uint8_t *gone = calloc(count + 1, 1);
	struct pn_neighbors near = { 0 };
	struct pn_atoms all = { (const double(*)[3])at, gone, count };
	int rc =
		at && gone ? PN_OK : pn_error_set(err, PN_ENOMEM, "no memory for %zu peaks", count);

	for (size_t i = 0; rc == PN_OK && i < count; i++)
		for (int k = 0; k < 3; k++)
			at[i][k] = job->pixel_A * (i < taken ? job->atoms.peak[i].at[k]
							     : peaks->peak[i - taken].at[k]);
	if (rc == PN_OK && count > 0 && job->options.distance_min_A > 0)
		rc = pn_neighbors_build(&near, &all, job->options.distance_min_A, job->threads,
					err);
	for (size_t i = 0; rc == PN_OK && near.start && i < count; i++)
		for (uint32_t e = near.start[i]; !gone[i] && e < near.start[i + 1]; e++)
			if (near.atom[e] > i && near.atom[e] >= taken)
				gone[near.atom[e]] = 1;
	for (size_t i = 0; rc == PN_OK && i < peaks->count; i++)
		if (!gone[taken + i])
			peaks->peak[kept++] = peaks->peak[i];
	if (rc == PN_OK) {
		job->trace->too_near += peaks->count - kept;
		peaks->count = kept;
	}
	pn_neighbors_free(&near);
	free(at);
	free(gone);
	return rc;
}

static double mean_of(const float *cube)
{
	double sum = 0;

	for (int k = 0; k < TRACE_CUBE; k++)
		sum += cube[k];
	return sum / TRACE_CUBE;
}

/* How strong each peak is, and how like an atom. Smoothing makes noise look like atoms: shapes are
 * those of the map as it came. */
static int judge_peaks(struct trace_peaks *peaks, struct trace_job *job,
		       const struct trace_spline *spline, int pass, struct pn_error *err)
{
	float *cubes = malloc((peaks->count + 1) * TRACE_CUBE * sizeof *cubes);
	struct trace_spline raw = { 0 };
	long count = (long)peaks->count;
	double step_px = TRACE_CUBE_STEP_A / job->pixel_A;
	int own = pass == 1 && job->volume != job->raw;
	int rc = cubes ? PN_OK
		       : pn_error_set(err, PN_ENOMEM, "no memory for %zu peaks", peaks->count);

	if (rc == PN_OK && own)
		rc = trace_spline_build(&raw, job->raw, job->n, job->threads, err);
	if (rc == PN_OK) {
#pragma omp parallel for num_threads(job->threads) schedule(static, 64)
		for (long i = 0; i < count; i++) {
			float *cube = cubes + (size_t)i * TRACE_CUBE;
			const double *at = peaks->peak[i].at;

			trace_spline_cube(cube, spline, at, TRACE_CUBE_EDGE, step_px);
			peaks->peak[i].strength = mean_of(cube);
			if (own)
				trace_spline_cube(cube, &raw, at, TRACE_CUBE_EDGE, step_px);
		}
		if (pass == 1)
			rc = trace_likeness_learn(&job->likeness, peaks->peak, peaks->count, cubes,
						  err);
		for (size_t i = 0; i < peaks->count; i++)
			peaks->peak[i].shape =
				trace_likeness_of(&job->likeness, cubes + i * TRACE_CUBE);
	}
	trace_spline_free(&raw);
	free(cubes);
	return rc;
}

/* The first pass says how strong an atom must be. */
static int drop_weak(struct trace_peaks *peaks, struct trace_job *job,
		     const struct trace_spline *spline, int pass, struct pn_error *err)
{
	size_t kept = 0;

	if (pass == 1) {
		int rc = trace_classes_find(&job->classes, peaks->peak, peaks->count, &job->options,
					    err);

		if (rc != PN_OK)
			return rc;
		job->strength_min = job->classes.threshold;
	}
	for (size_t i = 0; i < peaks->count; i++)
		if (peaks->peak[i].strength >= job->strength_min)
			peaks->peak[kept++] = peaks->peak[i];
	job->trace->too_weak += peaks->count - kept;
	peaks->count = kept;
	long count = (long)kept;

#pragma omp parallel for num_threads(job->threads) schedule(static, 16)
	for (long i = 0; i < count; i++)
		trace_polynomial_residual(&peaks->peak[i], &job->polynomial, spline, NULL);
	return PN_OK;
}

static int fit_gaussians(struct trace_peaks *peaks, struct trace_job *job, const float *volume,
			 struct pn_error *err)
{
	long count = (long)peaks->count;
	int rc = PN_OK;

#pragma omp parallel for num_threads(job->threads) schedule(dynamic, 4)
	for (long i = 0; i < count; i++) {
		struct pn_error own = { 0 };
		int one = trace_gaussian_fit(&peaks->peak[i], volume, job->n, NULL, &own);

		if (one != PN_OK) {
#pragma omp critical(pn_trace_error)
			rc = pn_error_set(err, one, "%s", own.text);
		}
	}
	if (rc != PN_OK)
		return rc;
	qsort(peaks->peak, peaks->count, sizeof *peaks->peak, trace_by_height);
	return drop_near(peaks, job, err);
}

static int append_atoms(struct trace_peaks *peaks, struct trace_job *job, int pass,
			struct pn_error *err)
{
	size_t count = job->atoms.count + peaks->count;
	struct trace_peak *grown = realloc(job->atoms.peak, (count + 1) * sizeof *grown);

	if (!grown)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", count);
	job->atoms.peak = grown;
	for (size_t i = 0; i < peaks->count; i++) {
		peaks->peak[i].pass = pass;
		grown[job->atoms.count++] = peaks->peak[i];
	}
	return PN_OK;
}

/* One pass over the volume, or over what is left of it. */
static int trace_pass(struct trace_job *job, const float *volume, int pass, struct pn_error *err)
{
	struct trace_peaks peaks = { 0 };
	struct trace_spline spline = { 0 };
	int rc = trace_find_peaks(&peaks, job, volume, err);

	if (rc == PN_OK)
		rc = trace_spline_build(&spline, volume, job->n, job->threads, err);
	if (rc == PN_OK) {
		fit_polynomials(&peaks, job, &spline);
		rc = drop_near(&peaks, job, err);
	}
	if (rc == PN_OK)
		rc = judge_peaks(&peaks, job, &spline, pass, err);
	if (rc == PN_OK)
		rc = drop_weak(&peaks, job, &spline, pass, err);
	if (rc == PN_OK && job->options.fit == PN_TRACE_GAUSSIAN)
		rc = fit_gaussians(&peaks, job, volume, err);
	if (rc == PN_OK)
		rc = append_atoms(&peaks, job, pass, err);
	trace_spline_free(&spline);
	free(peaks.peak);
	return rc;
}

/* Without a class of no atoms the residue of a clean map would pass for faint ones. */
static void raise_threshold(struct trace_job *job)
{
	double weakest = INFINITY;

	for (size_t i = 0; i < job->atoms.count; i++)
		weakest = fmin(weakest, job->atoms.peak[i].strength);
	job->strength_min = fmax(job->strength_min, weakest_part * weakest);
}

static int second_pass(struct trace_job *job, struct pn_error *err)
{
	size_t first = job->atoms.count;
	float *rest = NULL;
	int rc = trace_subtract(&rest, job, err);

	if (rc == PN_OK) {
		raise_threshold(job);
		rc = trace_pass(job, rest, 2, err);
	}
	free(rest);
	job->trace->second = job->atoms.count - first;
	return rc;
}

/* ---- what goes out ----------------------------------------------------------------------------
 */

/* Overlap of each voxel of an axis with the box about the atom. Returns the first voxel. */
static long overlaps(double part[INTENSITY_EDGE + 1], double at)
{
	double low = at - INTENSITY_EDGE / 2.0, high = at + INTENSITY_EDGE / 2.0;
	long first = lround(floor(low + 0.5));

	for (int i = 0; i <= INTENSITY_EDGE; i++) {
		double from = fmax(low, (double)(first + i) - 0.5);
		double to = fmin(high, (double)(first + i) + 0.5);

		part[i] = fmax(0, to - from);
	}
	return first;
}

static double intensity(const float *volume, const size_t n[3], const double at[3], int32_t *cut)
{
	double part[3][INTENSITY_EDGE + 1], sum = 0;
	long first[3];

	*cut = 0;
	for (int k = 0; k < 3; k++) {
		first[k] = overlaps(part[k], at[k]);
		*cut |= at[k] - INTENSITY_EDGE / 2.0 < -0.5 ||
			at[k] + INTENSITY_EDGE / 2.0 > (double)n[k] - 0.5;
		for (int i = 0; i <= INTENSITY_EDGE; i++)
			if (first[k] + i < 0 || first[k] + i >= (long)n[k])
				part[k][i] = 0;
	}
	for (int z = 0; z <= INTENSITY_EDGE; z++)
		for (int y = 0; y <= INTENSITY_EDGE; y++) {
			double w = part[2][z] * part[1][y];
			long row = ((first[2] + z) * (long)n[1] + first[1] + y) * (long)n[0];

			for (int x = 0; w > 0 && x <= INTENSITY_EDGE; x++)
				if (part[0][x] > 0)
					sum += w * part[0][x] * volume[row + first[0] + x];
		}
	return sum;
}

/* Geometric mean, less what the smoothing has added. */
static double own_width_A(const struct trace_peak *peak, const struct trace_job *job)
{
	double smooth = job->options.smooth_A / job->pixel_A, product = 1;

	for (int k = 0; k < 3; k++)
		product *= sqrt(fmax(0, peak->width_px[k] * peak->width_px[k] - smooth * smooth));
	return job->pixel_A * cbrt(product);
}

static void describe(struct pn_traced_atom *atom, const struct trace_peak *peak,
		     const struct trace_job *job)
{
	*atom = (struct pn_traced_atom){
		.height = peak->height,
		.width_A = own_width_A(peak, job),
		.strength = peak->strength,
		.residual = peak->residual,
		.shape = peak->shape,
		.confidence = trace_confidence(&job->classes, peak->strength),
		.box_px = peak->box_px,
		.pass = peak->pass,
	};
	atom->intensity = intensity(job->raw, job->n, peak->at, &atom->at_border);
	for (int k = 0; k < 3; k++)
		atom->position_A[k] = (peak->at[k] - (double)(job->n[k] / 2)) * job->pixel_A;
}

static int hand_out(struct trace_job *job, struct pn_error *err)
{
	struct pn_trace *trace = job->trace;
	long count = (long)job->atoms.count;

	trace->atom = malloc((job->atoms.count + 1) * sizeof *trace->atom);
	if (!trace->atom)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", job->atoms.count);
	trace->count = job->atoms.count;
	trace->strength_min = job->classes.threshold;
	if (count > 0)
		qsort(job->atoms.peak, job->atoms.count, sizeof *job->atoms.peak, trace_by_height);
#pragma omp parallel for num_threads(job->threads) schedule(static)
	for (long i = 0; i < count; i++)
		describe(&trace->atom[i], &job->atoms.peak[i], job);
	return PN_OK;
}

static int trace_passes(struct trace_job *job, struct pn_error *err)
{
	float *smooth = NULL;
	int rc = trace_polynomial_build(&job->polynomial, err);

	if (rc == PN_OK && job->options.smooth_A > 0) {
		smooth = malloc(job->n[0] * job->n[1] * job->n[2] * sizeof *smooth);
		rc = smooth ? trace_smooth(smooth, job->raw, job->n,
					   job->options.smooth_A / job->pixel_A, job->threads, err)
			    : pn_error_set(err, PN_ENOMEM, "no memory for the smoothed volume");
		job->volume = smooth;
	}
	if (rc == PN_OK)
		rc = trace_pass(job, job->volume, 1, err);
	if (rc == PN_OK && job->options.passes > 1 && job->atoms.count > 0)
		rc = second_pass(job, err);
	if (rc == PN_OK && job->options.rounds > 0 && job->atoms.count > 0)
		rc = trace_without_neighbors(job, err);
	if (rc == PN_OK)
		rc = hand_out(job, err);
	free(smooth);
	return rc;
}

int trace_check(const float *volume, const size_t n[3], double pixel_A,
		const struct pn_trace_options *options, int threads, struct pn_error *err)
{
	int rc = options ? check_options(options, threads, err) : PN_OK;

	if (rc == PN_OK && threads < 1)
		rc = pn_error_set(err, PN_EARG, "trace: %d threads", threads);
	return rc == PN_OK ? check_volume(volume, n, pixel_A, threads, err) : rc;
}

int trace_in_map(struct pn_trace *trace, const float *raw, const float *map, const size_t n[3],
		 double pixel_A, const struct pn_trace_options *options, int threads,
		 struct pn_error *err)
{
	struct trace_job *job = calloc(1, sizeof *job);

	*trace = (struct pn_trace){ 0 };
	if (!job)
		return pn_error_set(err, PN_ENOMEM, "no memory for tracing atoms");
	*job = (struct trace_job){ .raw = raw,
				   .volume = map,
				   .n = { n[0], n[1], n[2] },
				   .pixel_A = pixel_A,
				   .floor = -1,
				   .threads = threads,
				   .trace = trace };
	pn_trace_options_default(&job->options);
	if (options)
		job->options = *options;
	int rc = trace_passes(job, err);

	free(job->atoms.peak);
	free(job);
	return rc;
}

int pn_trace_atoms(struct pn_trace *trace, const float *volume, size_t nz, size_t ny, size_t nx,
		   double pixel_A, const struct pn_trace_options *options, int threads,
		   struct pn_error *err)
{
	size_t n[3] = { nx, ny, nz };
	int rc = trace_check(volume, n, pixel_A, options, threads, err);

	*trace = (struct pn_trace){ 0 };
	return rc == PN_OK ? trace_in_map(trace, volume, volume, n, pixel_A, options, threads, err)
			   : rc;
}

void pn_trace_free(struct pn_trace *trace)
{
	free(trace->atom);
	*trace = (struct pn_trace){ 0 };
}

int pn_trace_boxes(float *boxes, const double (*position_A)[3], size_t atoms, int edge,
		   const float *volume, size_t nz, size_t ny, size_t nx, double pixel_A,
		   int threads, struct pn_error *err)
{
	size_t n[3] = { nx, ny, nz }, size = (size_t)edge * (size_t)edge * (size_t)edge;
	struct trace_spline spline = { 0 };
	long count = (long)atoms;

	if (edge < 1 || edge > 15 || edge % 2 == 0 || threads < 1)
		return pn_error_set(err, PN_EARG, "boxes of edge %d (1, 3, .. 15), %d threads",
				    edge, threads);
	int rc = check_volume(volume, n, pixel_A, threads, err);

	for (size_t i = 0; rc == PN_OK && i < atoms; i++)
		for (int k = 0; k < 3; k++) {
			double at = position_A[i][k] / pixel_A + (double)(n[k] / 2);

			if (!(at >= -0.5 && at <= (double)n[k] - 0.5))
				rc = pn_error_set(err, PN_EARG,
						  "atom %zu, at %g A, lies outside of the volume",
						  i + 1, position_A[i][k]);
		}
	if (rc == PN_OK)
		rc = trace_spline_build(&spline, volume, n, threads, err);
	if (rc == PN_OK) {
#pragma omp parallel for num_threads(threads) schedule(static)
		for (long i = 0; i < count; i++) {
			double at[3];

			for (int k = 0; k < 3; k++)
				at[k] = position_A[i][k] / pixel_A + (double)(n[k] / 2);
			trace_spline_cube(boxes + (size_t)i * size, &spline, at, edge, 1);
		}
	}
	trace_spline_free(&spline);
	return rc;
}
