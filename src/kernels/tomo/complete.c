/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/complete.h"

#include "perrin/tomo/projector.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NEW_ATOM    ((size_t)-1)
#define SPOT_SIGMAS 4.5
#define MAD_TO_SD   1.4826
#define SAMPLES_MAX 65536 /* voxels that the standard deviation is taken from */

/* Everything of one completion. */
struct work {
	const struct pn_complete_params *params;
	struct pn_linear_model *model; /* its arrays are those below */
	const struct pn_projections *measured;
	struct pn_model_tilt *tilt;
	struct pn_box box;
	struct pn_projector *projector;
	float *residual, *filtered, *line; /* [count][ny][nx]; line: one image */
	float *map[PN_MODEL_SPECIES_MAX];  /* [voxels]: amplitude of a new atom */
	float *sample;
	struct pn_completed *out;
	size_t room;
};

void pn_complete_defaults(struct pn_complete_params *params)
{
	*params = (struct pn_complete_params){ .fit = { .shape = PN_MODEL_SHAPE_B },
					       .distance_min_A = 2.0,
					       .amplitude_min = 0.5,
					       .z_min = 4.5,
					       .rounds_max = 10 };
}

void pn_completed_free(struct pn_completed *c)
{
	free(c->position_A);
	free(c->species);
	free(c->amplitude);
	free(c->sigma_pm);
	free(c->from);
	memset(c, 0, sizeof *c);
}

static size_t image_pixels(const struct work *w)
{
	return w->measured->ny * w->measured->nx;
}

/* ---- memory -------------------------------------------------------------------------------- */

static int reserve(struct work *w, size_t count, struct pn_error *err)
{
	struct pn_completed *c = w->out;
	size_t room = w->room ? w->room : 64;
	void *grown;

	while (room < count)
		room *= 2;
	if (room == w->room)
		return PN_OK;
	if ((grown = realloc(c->position_A, room * sizeof *c->position_A)))
		c->position_A = grown;
	if (grown && (grown = realloc(c->species, room)))
		c->species = grown;
	if (grown && (grown = realloc(c->amplitude, room * sizeof *c->amplitude)))
		c->amplitude = grown;
	if (grown && (grown = realloc(c->sigma_pm, room * sizeof *c->sigma_pm)))
		c->sigma_pm = grown;
	if (grown && (grown = realloc(c->from, room * sizeof *c->from)))
		c->from = grown;
	if (!grown)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", room);
	w->room = room;
	return PN_OK;
}

static int add_atom(struct work *w, const double position_A[3], uint8_t species, size_t from,
		    struct pn_error *err)
{
	struct pn_completed *c = w->out;
	int rc = reserve(w, c->count + 1, err);

	if (rc)
		return rc;
	memcpy(c->position_A[c->count], position_A, sizeof c->position_A[0]);
	c->species[c->count] = species;
	c->amplitude[c->count] = 1.0;
	c->from[c->count++] = from;
	return PN_OK;
}

static int prepare(struct work *w, struct pn_error *err)
{
	const struct pn_projections *p = w->measured;
	size_t pixels = p->count * image_pixels(w), voxels = pn_box_voxels(&w->box);
	int failed = 0;
	int rc = pn_projector_plan(&w->projector, &w->box, p->pose, p->count, p->ny, p->nx,
				   PN_FOOTPRINT_LINEAR, err);

	if (rc)
		return rc;
	w->residual = malloc(pixels * sizeof *w->residual);
	w->filtered = malloc(pixels * sizeof *w->filtered);
	w->line = malloc(image_pixels(w) * sizeof *w->line);
	w->sample = malloc(SAMPLES_MAX * sizeof *w->sample);
	for (int s = 0; s < w->model->species_count; s++)
		failed |= !(w->map[s] = malloc(voxels * sizeof *w->map[s]));
	if (failed || !w->residual || !w->filtered || !w->line || !w->sample)
		return pn_error_set(err, PN_ENOMEM, "completing a model needs %zu bytes",
				    (2 * pixels + voxels * (size_t)w->model->species_count) *
					    sizeof(float));
	for (size_t i = 0; i < w->model->count; i++) {
		if (w->model->species[i] == PN_NO_ATOM)
			continue;
		rc = add_atom(w, w->model->position_A[i], w->model->species[i], i, err);
		if (rc)
			return rc;
	}
	return PN_OK;
}

static void release(struct work *w)
{
	pn_projector_destroy(w->projector);
	free(w->residual);
	free(w->filtered);
	free(w->line);
	free(w->sample);
	for (int s = 0; s < PN_MODEL_SPECIES_MAX; s++)
		free(w->map[s]);
}

/* ---- the matched filter -------------------------------------------------------------------- */

/* One row or column of a Gaussian of this variance, its sum 1. Returns the half width. */
static int gaussian(float *weight, double variance_px2, int most)
{
	int half = (int)ceil(SPOT_SIGMAS * sqrt(variance_px2));
	double sum = 0;

	half = half < most ? half : most;
	for (int i = -half; i <= half; i++)
		sum += exp(-i * i / (2 * variance_px2));
	for (int i = -half; i <= half; i++)
		weight[i + half] = (float)(exp(-i * i / (2 * variance_px2)) / sum);
	return half;
}

/* @out += intensity times @image under a Gaussian; 0 beyond the border. */
static void add_blurred(float *out, float *line, const float *image, size_t ny, size_t nx,
			const float *weight, int half, float intensity)
{
	ptrdiff_t rows = (ptrdiff_t)ny, columns = (ptrdiff_t)nx;

	for (ptrdiff_t y = 0; y < rows; y++) {
		float *row = line + y * columns;

		memset(row, 0, nx * sizeof *row);
		for (ptrdiff_t j = -half; j <= half; j++) {
			if (y + j < 0 || y + j >= rows)
				continue;
			for (ptrdiff_t x = 0; x < columns; x++)
				row[x] += weight[j + half] * image[(y + j) * columns + x];
		}
	}
	for (ptrdiff_t y = 0; y < rows; y++)
		for (ptrdiff_t i = -half; i <= half; i++) {
			ptrdiff_t from = i < 0 ? -i : 0, to = i > 0 ? columns - i : columns;
			const float *row = line + y * columns;

			for (ptrdiff_t x = from; x < to; x++)
				out[y * columns + x] += intensity * weight[i + half] * row[x + i];
		}
}

/* The spot's square summed over pixels: two Gaussians overlap as one of both variances. */
static double spot_energy(const struct pn_atom_spot *spot, double pixel_A)
{
	double sum = 0;

	for (int a = 0; a < spot->gaussians; a++)
		for (int b = 0; b < spot->gaussians; b++)
			sum += spot->intensity[a] * spot->intensity[b] * pixel_A * pixel_A /
			       (2 * M_PI * (spot->variance_A2[a] + spot->variance_A2[b]));
	return sum;
}

/* a(r) of one species, at every voxel. */
static void amplitude_map(struct work *w, int species)
{
	const struct pn_atom_spot *spot = &w->model->spot[species];
	const struct pn_projections *p = w->measured;
	size_t pixels = image_pixels(w), voxels = pn_box_voxels(&w->box);
	float weight[1 + 2 * 256];

	memset(w->filtered, 0, p->count * pixels * sizeof *w->filtered);
	for (int g = 0; g < spot->gaussians; g++) {
		double variance_px2 =
			spot->variance_A2[g] / (w->model->pixel_A * w->model->pixel_A);
		int half = gaussian(weight, variance_px2, 256);

		for (size_t k = 0; k < p->count; k++)
			add_blurred(w->filtered + k * pixels, w->line, w->residual + k * pixels,
				    p->ny, p->nx, weight, half, (float)spot->intensity[g]);
	}
	pn_backproject(w->projector, w->filtered, w->map[species]);
	float scale = (float)(1.0 / ((double)p->count * spot_energy(spot, w->model->pixel_A)));

	for (size_t i = 0; i < voxels; i++)
		w->map[species][i] *= scale;
}

static int ascending(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* From the median of |a|, over voxels spread evenly: what stands out does not count. */
static double robust_sd(struct work *w, const float *map)
{
	size_t voxels = pn_box_voxels(&w->box), step = voxels / SAMPLES_MAX + 1, n = 0;

	for (size_t i = 0; i < voxels; i += step)
		w->sample[n++] = fabsf(map[i]);
	qsort(w->sample, n, sizeof *w->sample, ascending);
	return MAD_TO_SD * (double)w->sample[n / 2];
}

/* ---- what is left over --------------------------------------------------------------------- */

/* The weight of a tilt in the fit over the mean one. */
static double weight_share(const struct work *w, size_t tilt)
{
	const double *weight = w->params->fit.weight;
	double sum = 0;

	for (size_t k = 0; weight && k < w->measured->count; k++)
		sum += weight[k];
	return sum > 0 ? weight[tilt] * (double)w->measured->count / sum : 1;
}

static int make_residual(struct work *w, struct pn_error *err)
{
	const struct pn_projections *p = w->measured;
	size_t pixels = image_pixels(w);
	struct pn_pose *pose = malloc(p->count * sizeof *pose);

	if (!pose)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu poses", p->count);
	for (size_t k = 0; k < p->count; k++) {
		pose[k] = p->pose[k];
		for (int a = 0; w->tilt && a < 2; a++)
			pose[k].shift_px[a] += w->tilt[k].shift_px[a];
	}
	int rc = pn_linear_model_project(w->model, pose, p->count, p->ny, p->nx, w->residual, err);

	free(pose);
	for (size_t k = 0; !rc && k < p->count; k++) {
		float scale = w->tilt ? (float)w->tilt[k].scale : 1.0f;
		float offset = w->tilt ? (float)w->tilt[k].offset : 0.0f;
		float share = (float)weight_share(w, k);

		for (size_t i = k * pixels; i < (k + 1) * pixels; i++)
			w->residual[i] = share * (p->image[i] - (scale * w->residual[i] + offset));
	}
	return rc;
}

/* The map at a place, linear between voxels; 0 outside. */
static double value_at(const struct work *w, const float *map, const double position_A[3])
{
	double at[3], sum = 0;
	ptrdiff_t n[3] = { (ptrdiff_t)w->box.nx, (ptrdiff_t)w->box.ny, (ptrdiff_t)w->box.nz }, i[3];

	for (int k = 0; k < 3; k++) {
		at[k] = position_A[k] / w->model->pixel_A + (double)(n[k] / 2);
		i[k] = (ptrdiff_t)floor(at[k]);
		if (i[k] < 0 || i[k] + 1 >= n[k])
			return 0;
	}
	for (int corner = 0; corner < 8; corner++) {
		double weight = 1;
		ptrdiff_t c[3];

		for (int k = 0; k < 3; k++) {
			int up = corner >> k & 1;

			c[k] = i[k] + up;
			weight *= up ? at[k] - (double)i[k] : 1 - (at[k] - (double)i[k]);
		}
		sum += weight * (double)map[(c[2] * n[1] + c[1]) * n[0] + c[0]];
	}
	return sum;
}

/* Atoms that are hardly there go. */
static size_t remove_faint(struct work *w)
{
	struct pn_completed *c = w->out;
	size_t kept = 0, before = c->count;

	for (size_t i = 0; i < before; i++) {
		double amplitude = 1 + value_at(w, w->map[c->species[i]], c->position_A[i]);

		if (amplitude < w->params->amplitude_min)
			continue;
		memmove(c->position_A[kept], c->position_A[i], sizeof c->position_A[0]);
		c->species[kept] = c->species[i];
		c->from[kept] = c->from[i];
		c->amplitude[kept++] = amplitude;
	}
	c->count = kept;
	return before - kept;
}

static double spot_sum(const struct pn_atom_spot *spot)
{
	double sum = 0;

	for (int g = 0; g < spot->gaussians; g++)
		sum += spot->intensity[g];
	return sum;
}

/* An atom whose brightness is nearer to that of another species is of that. */
static size_t reassign(struct work *w)
{
	struct pn_completed *c = w->out;
	size_t changed = 0;

	for (size_t i = 0; i < c->count; i++) {
		double bright = c->amplitude[i] * spot_sum(&w->model->spot[c->species[i]]);
		int best = c->species[i];

		for (int s = 0; s < w->model->species_count; s++)
			if (fabs(log(bright / spot_sum(&w->model->spot[s]))) <
			    fabs(log(bright / spot_sum(&w->model->spot[best]))))
				best = s;
		changed += best != c->species[i];
		c->species[i] = (uint8_t)best;
	}
	return changed;
}

/* ---- new atoms ----------------------------------------------------------------------------- */

struct candidate {
	double amplitude, position_A[3];
	uint8_t species;
};

static int brighter(const void *a, const void *b)
{
	const struct candidate *x = a, *y = b;

	return (x->amplitude < y->amplitude) - (x->amplitude > y->amplitude);
}

static int is_maximum(const struct work *w, const float *map, size_t z, size_t y, size_t x)
{
	size_t at = (z * w->box.ny + y) * w->box.nx + x;

	for (int dz = -1; dz <= 1; dz++)
		for (int dy = -1; dy <= 1; dy++)
			for (int dx = -1; dx <= 1; dx++) {
				ptrdiff_t d =
					(dz * (ptrdiff_t)w->box.ny + dy) * (ptrdiff_t)w->box.nx +
					dx;
				float other = map[(ptrdiff_t)at + d];

				/* of equals the first is the maximum */
				if (d < 0 ? other >= map[at] : d > 0 && other > map[at])
					return 0;
			}
	return 1;
}

/* Between the voxels: the vertex of the parabola along each axis. */
static void place(const struct work *w, const float *map, size_t z, size_t y, size_t x,
		  struct candidate *c)
{
	const size_t index[3] = { x, y, z }, n[3] = { w->box.nx, w->box.ny, w->box.nz };
	const size_t stride[3] = { 1, w->box.nx, w->box.nx * w->box.ny };
	size_t at = (z * w->box.ny + y) * w->box.nx + x;

	for (int k = 0; k < 3; k++) {
		double below = (double)map[at - stride[k]], here = (double)map[at],
		       above = (double)map[at + stride[k]], bend = below - 2 * here + above;
		double off = bend < 0 ? 0.5 * (below - above) / bend : 0;

		c->position_A[k] =
			((double)index[k] - (double)(n[k] / 2) + off) * w->model->pixel_A;
	}
}

/* Maxima of the maps that are no noise; species by which amplitude is nearest to a whole atom. */
static int find_candidates(struct work *w, struct candidate **found, size_t *count,
			   struct pn_error *err)
{
	size_t room = 0;

	*found = NULL;
	*count = 0;
	for (int s = 0; s < w->model->species_count; s++) {
		const float *map = w->map[s];
		double least = fmax(w->params->z_min * robust_sd(w, map), w->params->amplitude_min);

		for (size_t z = 1; z + 1 < w->box.nz; z++)
			for (size_t y = 1; y + 1 < w->box.ny; y++)
				for (size_t x = 1; x + 1 < w->box.nx; x++) {
					float a = map[(z * w->box.ny + y) * w->box.nx + x];

					if ((double)a < least || !is_maximum(w, map, z, y, x))
						continue;
					if (*count == room) {
						void *grown = realloc(
							*found, (room = room ? 2 * room : 64) *
									sizeof **found);

						if (!grown)
							return pn_error_set(
								err, PN_ENOMEM,
								"no memory for %zu peaks", room);
						*found = grown;
					}
					struct candidate *c = &(*found)[(*count)++];

					c->amplitude = (double)a;
					c->species = (uint8_t)s;
					place(w, map, z, y, x, c);
				}
	}
	return PN_OK;
}

static int too_near(const struct work *w, const double position_A[3])
{
	double least2 = w->params->distance_min_A * w->params->distance_min_A;

	for (size_t i = 0; i < w->out->count; i++) {
		double d2 = 0;

		for (int k = 0; k < 3; k++) {
			double d = w->out->position_A[i][k] - position_A[k];

			d2 += d * d;
		}
		if (d2 < least2)
			return 1;
	}
	return 0;
}

/* The species whose whole atom a peak is nearest to. */
static uint8_t likeliest(const struct work *w, const struct candidate *c)
{
	uint8_t best = c->species;
	double least = INFINITY;

	for (int s = 0; s < w->model->species_count; s++) {
		double off = fabs(log(fmax(value_at(w, w->map[s], c->position_A), 1e-6)));

		if (off < least) {
			least = off;
			best = (uint8_t)s;
		}
	}
	return best;
}

static int add_new(struct work *w, size_t *added, struct pn_error *err)
{
	struct candidate *found;
	size_t count;
	int rc = find_candidates(w, &found, &count, err);

	*added = 0;
	if (!rc && count)
		qsort(found, count, sizeof *found, brighter);
	for (size_t i = 0; !rc && i < count; i++) {
		if (too_near(w, found[i].position_A))
			continue;
		rc = add_atom(w, found[i].position_A, likeliest(w, &found[i]), NEW_ATOM, err);
		++*added;
	}
	free(found);
	return rc;
}

/* ---- rounds -------------------------------------------------------------------------------- */

static int fit(struct work *w, struct pn_error *err)
{
	struct pn_completed *c = w->out;

	w->model->count = c->count;
	w->model->position_A = c->position_A;
	w->model->species = c->species;
	return pn_model_fit(w->model, w->measured, w->tilt, &w->params->fit, c->sigma_pm, &c->fit,
			    err);
}

static int one_round(struct work *w, size_t *changes, struct pn_error *err)
{
	size_t added;
	int rc = fit(w, err);

	if (!rc)
		rc = make_residual(w, err);
	if (rc)
		return rc;
	for (int s = 0; s < w->model->species_count; s++)
		amplitude_map(w, s);
	size_t removed = remove_faint(w), changed = reassign(w);

	rc = add_new(w, &added, err);
	w->out->added += added;
	w->out->removed += removed;
	w->out->reassigned += changed;
	*changes = added + removed + changed;
	return rc;
}

static int check(const struct pn_linear_model *model, const struct pn_complete_params *params,
		 const struct pn_box *box, struct pn_error *err)
{
	if (!(params->distance_min_A > 0) || !(params->amplitude_min > 0) ||
	    !(params->amplitude_min < 1) || !(params->z_min > 0) || params->rounds_max < 1)
		return pn_error_set(
			err, PN_EARG,
			"distance %g A, amplitude %g (below 1), z %g, %d rounds: above 0",
			params->distance_min_A, params->amplitude_min, params->z_min,
			params->rounds_max);
	if (box->nz < 3 || box->ny < 3 || box->nx < 3)
		return pn_error_set(err, PN_EARG, "a box of %zu x %zu x %zu voxels: 3 at least",
				    box->nz, box->ny, box->nx);
	return pn_linear_model_check(model, err);
}

int pn_complete_model(struct pn_completed *completed, struct pn_linear_model *model,
		      const struct pn_projections *measured, struct pn_model_tilt *tilt,
		      const struct pn_box *box, const struct pn_complete_params *params,
		      struct pn_error *err)
{
	struct pn_linear_model own = *model;
	struct work w = { .params = params,
			  .model = &own,
			  .measured = measured,
			  .tilt = tilt,
			  .box = *box,
			  .out = completed };
	size_t changes = 1;

	memset(completed, 0, sizeof *completed);
	int rc = check(model, params, box, err);

	if (!rc)
		rc = prepare(&w, err);
	while (!rc && changes && completed->rounds < params->rounds_max) {
		rc = one_round(&w, &changes, err);
		completed->rounds++;
	}
	/* the last round's changes are fitted too */
	if (!rc && changes)
		rc = fit(&w, err);
	if (!rc)
		memcpy(model->spot, own.spot, sizeof model->spot);
	release(&w);
	if (rc)
		pn_completed_free(completed);
	return rc;
}
