/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/flip.h"

#include "perrin/base/rng.h"
#include "spots.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define DISC_MAX_PX    32
#define WINDOW_MAX     (2 * DISC_MAX_PX + 1)
#define WINDOW_PIXELS  (WINDOW_MAX * (WINDOW_MAX + PN_SPOT_LANES))
#define CANDIDATES_MAX (PN_MODEL_SPECIES_MAX + 1)

struct flip {
	struct pn_linear_model *model;
	const struct pn_projections *measured;
	struct pn_flip_params p;
	struct pn_spot_plan plan;
	float *canvas; /* [projections] scale model - measured; linear only          */
	float *window; /* [CANDIDATES_MAX][WINDOW_PIXELS]                            */
	uint8_t candidate[CANDIDATES_MAX];
	int candidates;
	double scale;
	double (*partial)[CANDIDATES_MAX]; /* [projections] of one atom              */
	size_t *order;                     /* [doubtful]                             */
};

/* The pixels around (x, y) that a disc can reach, inside the image; 0 if there is none. */
static int window_of(struct pn_flip_window *w, const struct flip *f, size_t k, double x, double y)
{
	double r = f->p.disc_px;
	double x0 = fmax(ceil(x - r), 0), x1 = fmin(floor(x + r), (double)f->measured->nx - 1);
	double y0 = fmax(ceil(y - r), 0), y1 = fmin(floor(y + r), (double)f->measured->ny - 1);

	*w = (struct pn_flip_window){ .projection = k,
				      .pose = &f->measured->pose[k],
				      .image_ny = f->measured->ny,
				      .image_nx = f->measured->nx };
	if (!(x0 <= x1 && y0 <= y1))
		return 0;
	w->x0 = (long)x0;
	w->y0 = (long)y0;
	w->nx = (size_t)(x1 - x0) + 1;
	w->ny = (size_t)(y1 - y0) + 1;
	return 1;
}

static inline int in_disc(const struct flip *f, const struct pn_flip_window *w, size_t i, size_t j,
			  double x, double y)
{
	double dx = (double)(w->x0 + (long)i) - x, dy = (double)(w->y0 + (long)j) - y;

	return dx * dx + dy * dy <= f->p.disc_px * f->p.disc_px;
}

static inline double misfit(const struct flip *f, double model, double measured)
{
	double d = f->scale * model - measured;

	return f->p.measure == PN_FLIP_SQUARE ? d * d : fabs(d);
}

/* The row of an image in its canvas. */
static float *canvas_row(const struct flip *f, size_t k, size_t y)
{
	return f->canvas + k * pn_spot_canvas(&f->plan) + pn_spot_corner(&f->plan) +
	       y * f->plan.stride;
}

typedef float lanes8 __attribute__((vector_size(PN_SPOT_LANES * sizeof(float))));
typedef int32_t lanes8_int __attribute__((vector_size(PN_SPOT_LANES * sizeof(int32_t))));

/* One row of the disc: the difference that is left without the spot. */
struct disc_row {
	lanes8 rest[WINDOW_MAX / PN_SPOT_LANES + 1];
	lanes8_int inside[WINDOW_MAX / PN_SPOT_LANES + 1];
};

static inline void disc_row(struct disc_row *r, const struct flip *f,
			    const struct pn_flip_window *w, size_t j, double x, double y,
			    const float *now)
{
	size_t row = (size_t)w->y0 + j, vectors = (w->nx + PN_SPOT_LANES - 1) / PN_SPOT_LANES;
	const float *canvas = canvas_row(f, w->projection, row) + w->x0;
	const lanes8 step = { 0, 1, 2, 3, 4, 5, 6, 7 };
	double dy = (double)row - y, left = f->p.disc_px * f->p.disc_px - dy * dy;

	for (size_t v = 0; v < vectors; v++) {
		lanes8 spot, dx = step + (float)((double)(w->x0 + (long)(v * PN_SPOT_LANES)) - x);
		lanes8_int in_image = step < (float)w->nx - (float)(v * PN_SPOT_LANES);

		memcpy(&r->rest[v], canvas + v * PN_SPOT_LANES, sizeof spot);
		memcpy(&spot, now + v * PN_SPOT_LANES, sizeof spot);
		r->rest[v] -= spot * (float)f->scale;
		r->inside[v] = (dx * dx <= (float)left) & in_image;
	}
}

/* sum |difference| or difference^2 over a row, with the spot of a candidate in place */
static inline void disc_add(lanes8 *sum, const struct disc_row *r, const float *spot,
			    size_t vectors, float scale, enum pn_flip_measure measure)
{
	for (size_t v = 0; v < vectors; v++) {
		lanes8 d;

		memcpy(&d, spot + v * PN_SPOT_LANES, sizeof d);
		d = d * scale + r->rest[v];
		d = (lanes8)((lanes8_int)d & r->inside[v]);
		if (measure == PN_FLIP_SQUARE)
			*sum += d * d;
		else
			*sum += (lanes8)((lanes8_int)d & 0x7fffffff);
	}
}

/* All candidates in one projection: take the spot out of the image, put each one in. */
static void score_linear(struct flip *f, size_t a, size_t k, double *score)
{
	lanes8 sum[CANDIDATES_MAX] = { { 0 } };
	struct pn_flip_window w;
	struct disc_row row;
	double x, y;

	pn_spot_seen(&f->plan, &f->measured->pose[k], a, &x, &y);
	if (!window_of(&w, f, k, x, y))
		return;
	size_t vectors = (w.nx + PN_SPOT_LANES - 1) / PN_SPOT_LANES;
	size_t lanes = vectors * PN_SPOT_LANES;
	const float *now = NULL;

	/* in random order every window is cold: fetch it while the spots are worked out */
	for (size_t j = 0; j < w.ny; j++) {
		const float *line = canvas_row(f, k, (size_t)w.y0 + j) + w.x0;

		__builtin_prefetch(line);
		__builtin_prefetch(line + lanes - 1);
	}
	for (int c = 0; c < f->candidates; c++) {
		float *spot = f->window + c * WINDOW_PIXELS;

		pn_spot_window(&f->plan, f->candidate[c], (double)w.x0 - x, (double)w.y0 - y,
			       (int)w.ny, (int)lanes, spot);
		if (f->candidate[c] == f->model->species[a])
			now = spot;
	}
	for (size_t j = 0; j < w.ny; j++) {
		disc_row(&row, f, &w, j, x, y, now + j * lanes);
		for (int c = 0; c < f->candidates; c++)
			disc_add(&sum[c], &row, f->window + c * WINDOW_PIXELS + j * lanes, vectors,
				 (float)f->scale, f->p.measure);
	}
	for (int c = 0; c < f->candidates; c++)
		for (int i = 0; i < PN_SPOT_LANES; i++)
			score[c] += (double)sum[c][i];
}

/* Atoms within reach of the line along the beam through atom @a, but not that one. */
static size_t column_of(const struct flip *f, size_t a, const struct pn_pose *pose,
			double (*position_A)[3], uint8_t *species)
{
	double reach_px = f->p.engine->reach_A / f->model->pixel_A, x, y;
	size_t count = 0;

	pn_spot_seen(&f->plan, pose, a, &x, &y);
	for (size_t b = 0; b < f->model->count; b++) {
		double bx, by;

		if (b == a || f->model->species[b] == PN_NO_ATOM)
			continue;
		pn_spot_seen(&f->plan, pose, b, &bx, &by);
		if ((bx - x) * (bx - x) + (by - y) * (by - y) > reach_px * reach_px)
			continue;
		memcpy(position_A[count], f->model->position_A[b], sizeof *position_A);
		species[count++] = f->model->species[b];
	}
	return count;
}

/* Room for one column: its atoms and its image. */
struct column {
	double (*position_A)[3];
	uint8_t *species;
	float *image;
};

static int score_engine(struct flip *f, size_t a, size_t k, struct column *column, double *score,
			struct pn_error *err)
{
	const struct pn_projections *m = f->measured;
	struct pn_flip_window w;
	double x, y;

	pn_spot_seen(&f->plan, &m->pose[k], a, &x, &y);
	if (!window_of(&w, f, k, x, y))
		return PN_OK;
	size_t near = column_of(f, a, &m->pose[k], column->position_A, column->species);

	memcpy(column->position_A[near], f->model->position_A[a], sizeof *column->position_A);
	for (int c = 0; c < f->candidates; c++) {
		column->species[near] = f->candidate[c];
		int status = f->p.engine->patch(
			f->p.engine->context, (const double(*)[3])column->position_A,
			column->species, near + (f->candidate[c] != PN_NO_ATOM), &w, column->image,
			err);
		if (status != PN_OK)
			return status;
		for (size_t j = 0; j < w.ny; j++)
			for (size_t i = 0; i < w.nx; i++) {
				size_t row = (size_t)w.y0 + j, at = (size_t)w.x0 + i;

				if (in_disc(f, &w, i, j, x, y))
					score[c] += misfit(
						f, (double)column->image[j * w.nx + i],
						(double)m->image[(k * m->ny + row) * m->nx + at]);
			}
	}
	return PN_OK;
}

static int score_engine_all(struct flip *f, size_t a, struct pn_error *err)
{
	int status = PN_OK;

#pragma omp parallel
	{
		struct column column = {
			malloc((f->model->count + 1) * sizeof *column.position_A),
			malloc(f->model->count + 1),
			malloc(WINDOW_PIXELS * sizeof *column.image),
		};
		struct pn_error mine = { 0 };

#pragma omp for schedule(dynamic)
		for (size_t k = 0; k < f->measured->count; k++) {
			int one;

			if (!column.position_A || !column.species || !column.image)
				one = pn_error_set(&mine, PN_ENOMEM,
						   "no memory for a column of %zu atoms",
						   f->model->count);
			else
				one = score_engine(f, a, k, &column, f->partial[k], &mine);
#pragma omp critical(pn_flip_error)
			if (one != PN_OK && status == PN_OK) {
				status = one;
				if (err)
					*err = mine;
			}
		}
		free(column.position_A);
		free(column.species);
		free(column.image);
	}
	return status;
}

static int score(struct flip *f, size_t a, double *total, struct pn_error *err)
{
	size_t count = f->measured->count;
	int status = PN_OK;

	memset(f->partial, 0, count * sizeof *f->partial);
	if (f->p.engine)
		status = score_engine_all(f, a, err);
	else
		for (size_t k = 0; k < count; k++)
			score_linear(f, a, k, f->partial[k]);
	for (int c = 0; c < f->candidates; c++) {
		total[c] = 0;
		for (size_t k = 0; k < count; k++)
			total[c] += f->partial[k][c];
	}
	return status;
}

/* Another species at a site; the images follow. */
static void set_species(struct flip *f, size_t a, uint8_t species)
{
	uint8_t old = f->model->species[a];

	f->model->species[a] = species;
	for (size_t k = 0; f->canvas && k < f->measured->count; k++) {
		float *canvas = f->canvas + k * pn_spot_canvas(&f->plan);
		double x, y;

		pn_spot_seen(&f->plan, &f->measured->pose[k], a, &x, &y);
		if (old != PN_NO_ATOM)
			pn_spot_add(&f->plan, canvas, old, x, y, -f->scale);
		if (species != PN_NO_ATOM)
			pn_spot_add(&f->plan, canvas, species, x, y, f->scale);
	}
}

/* The images anew, so that rounding does not pile up, the scale they need, and the differences. */
static void begin_sweep(struct flip *f)
{
	const struct pn_projections *m = f->measured;
	double mb = 0, mm = 0;

	f->scale = f->p.scale != 0 ? f->p.scale : 1;
	if (!f->canvas)
		return;
#pragma omp parallel for schedule(dynamic)
	for (size_t k = 0; k < m->count; k++)
		pn_spot_draw(&f->plan, &m->pose[k], f->canvas + k * pn_spot_canvas(&f->plan));
	for (size_t row = 0; f->p.scale == 0 && row < m->count * m->ny; row++) {
		const float *line = canvas_row(f, row / m->ny, row % m->ny);

		for (size_t x = 0; x < m->nx; x++) {
			mb += (double)line[x] * (double)m->image[row * m->nx + x];
			mm += (double)line[x] * (double)line[x];
		}
	}
	if (mb > 0)
		f->scale = mb / mm;
	for (size_t row = 0; row < m->count * m->ny; row++) {
		float *line = canvas_row(f, row / m->ny, row % m->ny), scale = (float)f->scale;

		for (size_t x = 0; x < m->nx; x++)
			line[x] = scale * line[x] - m->image[row * m->nx + x];
	}
}

static void shuffle(size_t *order, size_t count, uint64_t seed, int sweep)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, (uint64_t)sweep);
	for (size_t i = count; i > 1; i--) {
		size_t j = pn_rng_below(&rng, (uint32_t)i), swap = order[i - 1];

		order[i - 1] = order[j];
		order[j] = swap;
	}
}

/* One sweep over f->order; *flips is what it changed. */
static int sweep(struct flip *f, size_t count, size_t *flips, struct pn_error *err)
{
	*flips = 0;
	for (size_t i = 0; i < count; i++) {
		double total[CANDIDATES_MAX];
		size_t a = f->order[i];
		int status = score(f, a, total, err), best = 0;

		if (status != PN_OK)
			return status;
		/* what is there stays where nothing is better */
		for (int c = 0; c < f->candidates; c++)
			if (f->candidate[c] == f->model->species[a])
				best = c;
		for (int c = 0; c < f->candidates; c++)
			if (total[c] < total[best])
				best = c;
		if (f->candidate[best] == f->model->species[a])
			continue;
		set_species(f, a, f->candidate[best]);
		(*flips)++;
	}
	return PN_OK;
}

/* Sites without an atom are asked about too, so "no atom" is a candidate where there are any. */
static void candidates_list(struct flip *f, size_t count)
{
	int empty = f->p.no_atom;

	for (int s = 0; s < f->model->species_count; s++)
		f->candidate[f->candidates++] = (uint8_t)s;
	for (size_t i = 0; i < count; i++)
		empty |= f->model->species[f->order[i]] == PN_NO_ATOM;
	if (empty)
		f->candidate[f->candidates++] = PN_NO_ATOM;
}

static int run(struct flip *f, size_t count, struct pn_flip_result *result, struct pn_error *err)
{
	uint8_t *before = malloc(f->model->count + 1);
	int status = PN_OK;

	if (!before)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu species", f->model->count);
	memcpy(before, f->model->species, f->model->count);
	candidates_list(f, count);
	while (status == PN_OK && !result->settled && result->sweeps < f->p.sweeps_max) {
		size_t flips;

		begin_sweep(f);
		shuffle(f->order, count, f->p.seed, result->sweeps);
		status = sweep(f, count, &flips, err);
		result->sweeps++;
		result->flips += flips;
		result->settled = flips == 0;
	}
	result->scale = f->scale;
	for (size_t a = 0; a < f->model->count; a++)
		result->changed += before[a] != f->model->species[a];
	free(before);
	return status;
}

static int check(struct flip *f, const size_t *doubtful, size_t count, struct pn_error *err)
{
	int status = pn_projections_check(f->measured, err);

	if (status == PN_OK)
		status = pn_linear_model_check(f->model, err);
	if (status != PN_OK)
		return status;
	f->p.disc_px = f->p.disc_px != 0 ? f->p.disc_px : 5.5;
	f->p.sweeps_max = f->p.sweeps_max != 0 ? f->p.sweeps_max : 20;
	if (!(f->p.disc_px >= 1 && f->p.disc_px <= DISC_MAX_PX) || f->p.sweeps_max < 1 ||
	    !(f->p.scale >= 0 && isfinite(f->p.scale)) || f->model->count > UINT32_MAX ||
	    (f->p.engine && !(f->p.engine->reach_A >= 0)))
		return pn_error_set(err, PN_EARG,
				    "flipping %zu atoms: disc of %g pixels, %d sweeps, scale %g",
				    f->model->count, f->p.disc_px, f->p.sweeps_max, f->p.scale);
	for (size_t i = 0; doubtful && i < count; i++)
		if (doubtful[i] >= f->model->count)
			return pn_error_set(err, PN_EARG, "flipping: atom %zu of %zu", doubtful[i],
					    f->model->count);
	return PN_OK;
}

int pn_flip(struct pn_linear_model *model, const size_t *doubtful, size_t doubtful_count,
	    const struct pn_projections *measured, const struct pn_flip_params *params,
	    struct pn_flip_result *result, struct pn_error *err)
{
	struct flip f = { .model = model, .measured = measured, .p = *params };
	size_t count = doubtful ? doubtful_count : model->count;
	int status = check(&f, doubtful, count, err);

	memset(result, 0, sizeof *result);
	if (status != PN_OK)
		return status;
	pn_spot_plan_init(&f.plan, model, measured->ny, measured->nx);
	size_t canvas = pn_spot_canvas(&f.plan);

	f.canvas = params->engine ? NULL : malloc(measured->count * canvas * sizeof *f.canvas);
	f.window = malloc(CANDIDATES_MAX * WINDOW_PIXELS * sizeof *f.window);
	f.partial = malloc(measured->count * sizeof *f.partial);
	f.order = malloc((count + 1) * sizeof *f.order);
	if (f.window && f.partial && f.order && (f.canvas || params->engine)) {
		for (size_t i = 0; i < count; i++)
			f.order[i] = doubtful ? doubtful[i] : i;
		status = run(&f, count, result, err);
	} else {
		status = pn_error_set(err, PN_ENOMEM, "no memory to flip %zu atoms in %zu images",
				      count, measured->count);
	}
	free(f.canvas);
	free(f.window);
	free(f.partial);
	free(f.order);
	return status;
}
