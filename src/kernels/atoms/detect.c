/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/detect.h"

#include "detect_sphere.h"
#include "perrin/atoms/neighbors.h"
#include "perrin/atoms/potential.h"
#include "trace_parts.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* sigma of an atom in a map of resolution d: between that of a Gaussian of 1/e at 1/d, 0.225 d, and
 * that of a sharp cut there, 0.36 d by its curvature */
#define WIDTH_OF_RESOLUTION 0.3
#define CONTACT_REACH       1.2 /* of the neighbours' distance */
#define NOISE_HEIGHT        0.5 /* of atoms: lower peaks may be noise ... */
#define NOISE_LIKENESS      0.9 /* ... if their correlation is lower as well ... */
#define NOISE_APART                                                            \
	0.7 /* ... and so much of the variance is between the two: 0.64 in one \
	     * normal distribution cut in halves, 0.75 in an even one */

void pn_detect_options_default(struct pn_detect_options *options)
{
	*options = (struct pn_detect_options){ .distance_part = 0.75,
					       .pearson_min = 0.3,
					       .confidence_min = 0.5,
					       .outer_part = 0.15,
					       .pass_part = 0.95,
					       .contact_max = 2,
					       .rounds = 4 };
}

/* The box about the sphere: what is searched. */
struct crop {
	size_t first[3], n[3]; /* x, y, z */
	float *volume;
	uint8_t *support;
};

static int check(const struct pn_detect_options *o, double pixel_A, struct pn_error *err)
{
	if (!o->factor || !(o->resolution_A > 0 && o->resolution_A < INFINITY) ||
	    !(o->neighbor_A > 0 && o->neighbor_A < INFINITY))
		return pn_error_set(err, PN_EARG,
				    "detection: %s scattering factor, resolution %g A, neighbours "
				    "at %g A",
				    o->factor ? "a" : "no", o->resolution_A, o->neighbor_A);
	if (!(o->distance_part > 0 && o->distance_part < 1) ||
	    !(o->outer_part >= 0 && o->outer_part <= 1) ||
	    !(o->pass_part >= 0 && o->pass_part <= 1) || isnan(o->contact_max))
		return pn_error_set(
			err, PN_EARG,
			"detection: parts %g (distance), %g (outer), %g (pass), contact %g",
			o->distance_part, o->outer_part, o->pass_part, o->contact_max);
	if (!(o->neighbor_A >= 4 * pixel_A))
		return pn_error_set(
			err, PN_EARG,
			"detection: neighbours at %g A need voxels of a quarter, not %g A",
			o->neighbor_A, pixel_A);
	return PN_OK;
}

/* ---- the particle -------------------------------------------------------------------------- */

static int find_particle(struct pn_detect *detect, struct detect_sphere *sphere,
			 const float *volume, const size_t n[3], double pixel_A,
			 const struct pn_detect_options *o, int threads, struct pn_error *err)
{
	float *smooth = malloc(n[0] * n[1] * n[2] * sizeof *smooth);
	int rc =
		smooth ? trace_smooth(smooth, volume, n,
				      WIDTH_OF_RESOLUTION * o->resolution_A / pixel_A, threads, err)
		       : pn_error_set(err, PN_ENOMEM, "no memory for the smoothed map");

	if (!rc)
		rc = detect_sphere_find(sphere, smooth, n, 0.5 * o->neighbor_A / pixel_A, threads,
					err);
	free(smooth);
	if (rc)
		return rc;
	sphere->radius_px += o->neighbor_A / pixel_A;
	detect->radius_A = sphere->radius_px * pixel_A;
	for (int k = 0; k < 3; k++)
		detect->center_A[k] = (sphere->center_px[k] - (double)(n[k] / 2)) * pixel_A;
	return PN_OK;
}

static int take_crop(struct crop *crop, const struct detect_sphere *sphere, const float *volume,
		     const size_t n[3], size_t margin, struct pn_error *err)
{
	for (int k = 0; k < 3; k++) {
		const double reach = sphere->radius_px + (double)margin;
		const double low = fmax(0, floor(sphere->center_px[k] - reach));
		const double high = fmin((double)n[k] - 1, ceil(sphere->center_px[k] + reach));

		crop->first[k] = (size_t)low;
		crop->n[k] = (size_t)(high - low) + 1;
	}
	const size_t voxels = crop->n[0] * crop->n[1] * crop->n[2];

	crop->volume = malloc(voxels * sizeof *crop->volume);
	crop->support = malloc(voxels);
	if (!crop->volume || !crop->support)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu voxels", voxels);
	for (size_t z = 0, i = 0; z < crop->n[2]; z++)
		for (size_t y = 0; y < crop->n[1]; y++, i += crop->n[0]) {
			const double dz = (double)(z + crop->first[2]) - sphere->center_px[2];
			const double dy = (double)(y + crop->first[1]) - sphere->center_px[1];
			const double left =
				sphere->radius_px * sphere->radius_px - dz * dz - dy * dy;

			memcpy(crop->volume + i,
			       volume + ((z + crop->first[2]) * n[1] + y + crop->first[1]) * n[0] +
				       crop->first[0],
			       crop->n[0] * sizeof *crop->volume);
			for (size_t x = 0; x < crop->n[0]; x++) {
				const double dx =
					(double)(x + crop->first[0]) - sphere->center_px[0];

				crop->support[i + x] = dx * dx <= left;
			}
		}
	return PN_OK;
}

/* ---- atoms --------------------------------------------------------------------------------- */

static int rising(const void *a, const void *b)
{
	const double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/*
 * Of peaks that fall apart into two kinds by what was searched, pearson times amplitude, the lower
 * kind is noise if it is less than half as high and looks less like an atom: lighter atoms are
 * lower, but look the same.
 */
static int drop_noise(struct pn_detect *d, struct pn_error *err)
{
	double *sorted = malloc((d->count + 1) * sizeof *sorted);
	double all = 0, squares = 0, below = 0, best = -1, cut = 0, height[2] = { 0 },
	       alike[2] = { 0 };
	size_t count[2] = { 0 }, kept = 0;

	if (!sorted)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", d->count);
	for (size_t i = 0; i < d->count; i++) {
		sorted[i] = d->atom[i].pearson * d->atom[i].amplitude;
		all += sorted[i];
		squares += sorted[i] * sorted[i];
	}
	qsort(sorted, d->count, sizeof *sorted, rising);
	for (size_t i = 1; i < d->count; i++) {
		below += sorted[i - 1];
		const double few = (double)i, rest = (double)(d->count - i);
		const double between = few * rest * pow(below / few - (all - below) / rest, 2);

		if (between > best) {
			best = between;
			cut = sorted[i];
		}
	}
	free(sorted);
	for (size_t i = 0; i < d->count; i++) {
		const double h = d->atom[i].pearson * d->atom[i].amplitude;

		count[h >= cut]++;
		height[h >= cut] += h;
		alike[h >= cut] += d->atom[i].pearson;
	}
	/* both sums of squares, times the number of peaks */
	if (!count[0] || !(best > NOISE_APART * ((double)d->count * squares - all * all)) ||
	    !(height[0] * (double)count[1] < NOISE_HEIGHT * height[1] * (double)count[0]) ||
	    !(alike[0] * (double)count[1] < NOISE_LIKENESS * alike[1] * (double)count[0]))
		return PN_OK;
	for (size_t i = 0; i < d->count; i++)
		if (d->atom[i].pearson * d->atom[i].amplitude >= cut)
			d->atom[kept++] = d->atom[i];
	d->not_like += d->count - kept;
	d->count = kept;
	return PN_OK;
}

/* How well each atom sits among the others. */
static int find_contacts(struct pn_detect *d, double neighbor_A, int threads, struct pn_error *err)
{
	double(*at)[3] = malloc((d->count + 1) * sizeof *at);
	double *weight = malloc((d->count + 1) * sizeof *weight);
	uint8_t *element = calloc(d->count + 1, 1);
	struct pn_neighbors near = { 0 };
	int rc = at && weight && element
			 ? PN_OK
			 : pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", d->count);

	for (size_t i = 0; !rc && i < d->count; i++) {
		memcpy(at[i], d->atom[i].position_A, sizeof at[i]);
		weight[i] = d->atom[i].amplitude;
	}
	if (!rc) {
		const struct pn_atoms atoms = { (const double(*)[3])at, element, d->count };

		rc = pn_neighbors_build(&near, &atoms, CONTACT_REACH * neighbor_A, threads, err);
	}
	if (!rc) {
		qsort(weight, d->count, sizeof *weight, rising);
		const double usual = weight[d->count / 2];

		for (size_t i = 0; i < d->count; i++)
			weight[i] = usual > 0 ? fmax(0, fmin(1, d->atom[i].amplitude / usual)) : 0;
		for (size_t i = 0; i < d->count; i++) {
			double sum = 0;

			for (uint32_t k = near.start[i]; k < near.start[i + 1]; k++)
				sum += weight[near.atom[k]];
			d->atom[i].contact = weight[i] * sum;
		}
	}
	pn_neighbors_free(&near);
	free(at);
	free(weight);
	free(element);
	return rc;
}

static double from_middle(const struct pn_detected_atom *atom, const double middle_A[3])
{
	double square = 0;

	for (int k = 0; k < 3; k++)
		square += pow(atom->position_A[k] - middle_A[k], 2);
	return square;
}

/* Of the farthest atoms those with little contact are taken out. */
static int leave_out(struct pn_detect *d, const struct pn_detect_options *o, struct pn_error *err)
{
	double *sorted = malloc((d->count + 1) * sizeof *sorted), middle_A[3] = { 0 };
	size_t kept = 0;

	if (!sorted)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", d->count);
	for (size_t i = 0; i < d->count; i++) {
		sorted[i] = d->atom[i].contact;
		for (int k = 0; k < 3; k++)
			middle_A[k] += d->atom[i].position_A[k] / (double)d->count;
	}
	qsort(sorted, d->count, sizeof *sorted, rising);
	const double least =
		fmin(o->contact_max, sorted[(size_t)((1 - o->pass_part) * (double)(d->count - 1))]);

	for (size_t i = 0; i < d->count; i++)
		sorted[i] = from_middle(&d->atom[i], middle_A);
	qsort(sorted, d->count, sizeof *sorted, rising);
	const double outer = sorted[(size_t)((1 - o->outer_part) * (double)(d->count - 1))];

	for (size_t i = 0; i < d->count; i++)
		if (d->atom[i].contact >= least || from_middle(&d->atom[i], middle_A) < outer)
			d->atom[kept++] = d->atom[i];
	d->lonely = d->count - kept;
	d->count = kept;
	free(sorted);
	return PN_OK;
}

static int hand_out(struct pn_detect *d, const struct pn_potential *found, const struct crop *crop,
		    const size_t n[3], double pixel_A, struct pn_error *err)
{
	d->atom = malloc((found->trace.count + 1) * sizeof *d->atom);
	if (!d->atom)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", found->trace.count);
	for (size_t i = 0; i < found->trace.count; i++) {
		const struct pn_traced_atom *from = &found->trace.atom[i];

		d->atom[i] = (struct pn_detected_atom){ .intensity = from->intensity,
							.pearson = found->pearson[i],
							.amplitude = found->amplitude[i],
							.confidence = from->confidence };
		for (int k = 0; k < 3; k++) {
			const double moved =
				(double)(crop->first[k] + crop->n[k] / 2) - (double)(n[k] / 2);

			d->atom[i].position_A[k] = from->position_A[k] + moved * pixel_A;
		}
	}
	d->count = found->trace.count;
	d->strength_min = found->trace.strength_min;
	d->second = found->trace.second;
	d->not_like = found->not_like;
	return PN_OK;
}

static int search(struct pn_detect *d, const struct crop *crop, const float *template, int edge,
		  const size_t n[3], double pixel_A, const struct pn_detect_options *o, int threads,
		  struct pn_error *err)
{
	struct pn_potential found = { 0 };
	struct pn_trace_options tracing;

	pn_trace_options_default(&tracing);
	tracing.smooth_A = 0;
	tracing.distance_min_A = o->distance_part * o->neighbor_A;
	tracing.confidence_min = o->confidence_min;
	tracing.support = crop->support;
	tracing.rounds = o->rounds;
	int rc =
		pn_potential_atoms(&found, crop->volume, crop->n[2], crop->n[1], crop->n[0],
				   pixel_A, template, edge, o->pearson_min, &tracing, threads, err);

	if (!rc)
		rc = hand_out(d, &found, crop, n, pixel_A, err);
	pn_potential_free(&found);
	if (!rc)
		rc = drop_noise(d, err);
	if (!rc && d->count)
		rc = find_contacts(d, o->neighbor_A, threads, err);
	return rc || !d->count ? rc : leave_out(d, o, err);
}

int pn_detect_atoms(struct pn_detect *detect, const float *volume, size_t nz, size_t ny, size_t nx,
		    double pixel_A, const struct pn_detect_options *options, int threads,
		    struct pn_error *err)
{
	const size_t n[3] = { nx, ny, nz };
	struct pn_detect_options o = *options;
	struct detect_sphere sphere = { 0 };
	struct crop crop = { 0 };

	*detect = (struct pn_detect){ 0 };
	int rc = trace_check(volume, n, pixel_A, NULL, threads, err);

	if (!rc)
		rc = check(&o, pixel_A, err);
	if (rc)
		return rc;
	o.resolution_A = fmax(o.resolution_A, 2 * pixel_A);
	const int half = (int)fmin((PN_POTENTIAL_EDGE_MAX - 1) / 2.0,
				   fmax(1, floor(0.5 * o.neighbor_A / pixel_A)));
	const int edge = 2 * half + 1;
	float *template = malloc((size_t)(edge * edge * edge) * sizeof *template);

	if (!template)
		rc = pn_error_set(err, PN_ENOMEM, "no memory for a template");
	if (!rc)
		rc = pn_potential_template(template, edge, pixel_A, o.factor, o.z, 0,
					   1 / o.resolution_A, err);
	if (!rc)
		rc = find_particle(detect, &sphere, volume, n, pixel_A, &o, threads, err);
	if (!rc)
		rc = take_crop(&crop, &sphere, volume, n, (size_t)edge, err);
	if (!rc)
		rc = search(detect, &crop, template, edge, n, pixel_A, &o, threads, err);
	free(template);
	free(crop.volume);
	free(crop.support);
	return rc;
}

void pn_detect_free(struct pn_detect *detect)
{
	free(detect->atom);
	*detect = (struct pn_detect){ 0 };
}
