/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The live filter: forward as frames come, backward over the last few of them. */
#include "perrin/orient/path.h"

#include "path_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const uint64_t saved_version = 1;

/* plain data, part of the checkpoint */
struct path_state {
	uint64_t pushed, pending; /* frames; those of them not smoothed yet                    */
	double turn2_deg2;        /* running mean of the squared turn per frame                */
	double updates;           /* turns that it has seen                                    */
};

struct pn_path {
	struct pn_path_params params;
	struct path_state state;
	struct pn_path_frame *ring; /* [lag + 2] frame n in slot n modulo that                 */
	void *memory;               /* of the frames' arrays                                   */
	float *beta[2];             /* [PN_PATH_STATES_MAX] each                               */
};

#define FIELD(f) .name = #f, .off = offsetof(struct pn_path_params, f)

const struct pn_param pn_path_param_table[] = {
	{ FIELD(step_deg), .unit = "deg", .help = "rms turn from frame to frame to start with",
	  .type = PN_PARAM_F64, .def = 5, .min = PN_PATH_STEP_MIN_DEG, .max = 180 },
	{ FIELD(lag), .unit = "frames", .help = "that the smoother waits for", .type = PN_PARAM_I64,
	  .def = 8, .min = 0, .max = PN_PATH_LAG_MAX },
	{ FIELD(lost), .help = "probability per frame that the orientation jumps anywhere",
	  .type = PN_PARAM_F64, .def = 1e-5, .min = 1e-12, .max = 0.5 },
	{ FIELD(missed),
	  .help = "probability that the candidates lack an orientation they should hold",
	  .type = PN_PARAM_F64, .def = 0.1, .min = 0, .max = 1 },
	{ FIELD(memory), .unit = "frames",
	  .help = "over which the turn is estimated (0: it stays as given)", .type = PN_PARAM_I64,
	  .def = 200, .min = 0, .max = 1000000 },
	{ FIELD(step_max_deg), .unit = "deg",
	  .help = "a turn that grows beyond is no help: frames count alone", .type = PN_PARAM_F64,
	  .def = 60, .min = PN_PATH_STEP_MIN_DEG, .max = 180 },
	{ FIELD(grid_deg), .unit = "deg",
	  .help = "spacing of the grid the candidates lie on (0: polished)", .type = PN_PARAM_F64,
	  .def = 0, .min = 0, .max = 30 },
	{ 0 },
};

int pn_path_params_check(const struct pn_path_params *params, struct pn_error *err)
{
	for (const struct pn_param *row = pn_path_param_table; row->name; row++) {
		const void *field = (const char *)params + row->off;
		double value = row->type == PN_PARAM_F64 ? *(const double *)field
							 : (double)*(const int64_t *)field;

		if (!(value >= row->min && value <= row->max))
			return pn_error_set(err, PN_EARG, "%s = %g: must be %g..%g%s%s", row->name,
					    value, row->min, row->max, row->unit ? " " : "",
					    row->unit ? row->unit : "");
	}
	return PN_OK;
}

static size_t slots(const struct pn_path *path)
{
	return (size_t)path->params.lag + 2;
}

static struct pn_path_frame *slot(const struct pn_path *path, uint64_t n)
{
	return &path->ring[n % slots(path)];
}

int pn_path_create(struct pn_path **path, const struct pn_path_params *params, struct pn_error *err)
{
	size_t bytes = pn_path_frame_bytes(PN_PATH_CANDIDATES_MAX, 1);
	struct pn_path *p;

	*path = NULL;
	if (pn_path_params_check(params, err))
		return PN_EARG;
	p = calloc(1, sizeof *p);
	if (!p)
		return pn_error_set(err, PN_ENOMEM, "no memory for a path of orientations");
	p->params = *params;
	p->ring = calloc(slots(p), sizeof *p->ring);
	p->memory = calloc(slots(p), bytes);
	p->beta[0] = calloc(2 * PN_PATH_STATES_MAX, sizeof(float));
	if (!p->ring || !p->memory || !p->beta[0]) {
		pn_path_destroy(p);
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu frames of candidates",
				    (size_t)params->lag + 2);
	}
	p->beta[1] = p->beta[0] + PN_PATH_STATES_MAX;
	for (size_t i = 0; i < slots(p); i++)
		pn_path_frame_place(&p->ring[i], (char *)p->memory + i * bytes,
				    PN_PATH_CANDIDATES_MAX, 1);
	pn_path_reset(p);
	*path = p;
	return PN_OK;
}

void pn_path_destroy(struct pn_path *path)
{
	if (!path)
		return;
	free(path->ring);
	free(path->memory);
	free(path->beta[0]);
	free(path);
}

void pn_path_reset(struct pn_path *path)
{
	memset(&path->state, 0, sizeof path->state);
	path->state.turn2_deg2 = path->params.step_deg * path->params.step_deg;
}

double pn_path_step_deg(const struct pn_path *path)
{
	return sqrt(fmax(path->state.turn2_deg2, PN_PATH_STEP_MIN_DEG * PN_PATH_STEP_MIN_DEG));
}

int pn_path_prior_ok(const struct pn_path *path)
{
	return path->state.pushed > 0 && !slot(path, path->state.pushed - 1)->flat &&
	       pn_path_step_deg(path) <= path->params.step_max_deg;
}

/*
 * Stochastic approximation of the EM step: early turns were judged by a step that was only a
 * guess, so the gain falls more slowly than that of a plain mean (Cappe & Moulines, J. R. Stat.
 * Soc. B 71, 593 (2009)).
 */
static void learn(struct pn_path *path, const struct pn_path_frame *f, const float *beta)
{
	struct path_state *s = &path->state;
	double largest = 1.5 * path->params.step_max_deg, turn2_deg2, weight;

	if (path->params.memory == 0)
		return;
	weight = pn_path_turn(f, beta, path->params.lost, &turn2_deg2);
	s->updates += weight;
	weight *= fmax(1 / (double)path->params.memory, pow(4 + s->updates, -0.6));
	s->turn2_deg2 += weight * (turn2_deg2 - s->turn2_deg2);
	/* so that the way back under step_max is short */
	s->turn2_deg2 = fmin(s->turn2_deg2, largest * largest);
}

static void smooth_oldest(struct pn_path *path, struct pn_path_pose *smoothed)
{
	struct path_state *s = &path->state;
	uint64_t first = s->pushed - s->pending;
	const float *beta = NULL;

	for (uint64_t n = s->pushed - 1; n > first; n--) {
		float *next = path->beta[n % 2];

		pn_path_backward(next, slot(path, n - 1), slot(path, n), beta, &path->params);
		beta = next;
	}
	learn(path, slot(path, first), beta);
	if (smoothed)
		pn_path_describe(smoothed, slot(path, first), beta, path->params.lost);
	s->pending--;
}

int pn_path_push(struct pn_path *path, uint64_t frame, const struct pn_pose_candidate *candidate,
		 size_t count, struct pn_path_pose *filtered, struct pn_path_pose *smoothed,
		 int *ready, struct pn_error *err)
{
	struct path_state *s = &path->state;
	struct pn_path_frame *f = slot(path, s->pushed), *previous = NULL;

	if (ready)
		*ready = 0;
	if (s->pushed)
		previous = slot(path, s->pushed - 1);
	if (previous && frame <= previous->frame)
		return pn_error_set(err, PN_EARG, "frame %llu comes after frame %llu",
				    (unsigned long long)frame, (unsigned long long)previous->frame);
	if (pn_path_candidates_check(frame, candidate, count, err))
		return PN_EARG;
	f->frame = frame;
	f->count = count;
	memcpy(f->candidate, candidate, count * sizeof *candidate);
	pn_path_frame_prepare(f);
	pn_path_forward(f, previous, &path->params, pn_path_step_deg(path), pn_path_prior_ok(path));
	s->pushed++;
	s->pending++;
	pn_path_describe(filtered, f, NULL, path->params.lost);
	if (s->pending > (uint64_t)path->params.lag) {
		smooth_oldest(path, smoothed);
		if (ready)
			*ready = 1;
	}
	return PN_OK;
}

int pn_path_flush(struct pn_path *path, struct pn_path_pose *smoothed, struct pn_error *err)
{
	if (!path->state.pending)
		return pn_error_set(err, PN_EEND, "every frame has been smoothed");
	smooth_oldest(path, smoothed);
	return PN_OK;
}

/* frames that what comes next depends on */
static uint64_t kept(const struct path_state *s)
{
	return s->pending ? s->pending : s->pushed > 0;
}

/* plain data of a frame in a checkpoint; its arrays follow */
struct frame_state {
	uint64_t frame, count, states;
	double step_deg, grid_deg, variance, gain;
	int32_t paired, prior, flat, unused;
};

enum { weights = 5 }; /* arrays that cannot be made again from the candidates */

static void list_weights(float *list[weights], const struct pn_path_frame *f)
{
	float *all[weights] = { f->likelihood, f->alpha, f->diffused, f->turned, f->stay };

	memcpy(list, all, sizeof all);
}

static int save_frame(const struct pn_path_frame *f, struct pn_blob *out)
{
	struct frame_state state = {
		.frame = f->frame,
		.count = f->count,
		.states = f->states,
		.step_deg = f->step_deg,
		.grid_deg = f->grid_deg,
		.variance = f->variance,
		.gain = f->gain,
		.paired = f->paired,
		.prior = f->prior,
		.flat = f->flat,
	};
	float *list[weights];
	int rc = pn_blob_put_part(out, &state, sizeof state);

	list_weights(list, f);
	rc = rc ? rc : pn_blob_put_part(out, f->candidate, f->count * sizeof *f->candidate);
	for (int k = 0; !rc && k < weights; k++)
		rc = pn_blob_put_part(out, list[k], f->states * sizeof *list[k]);
	for (int k = 0; !rc && k < 4; k++)
		rc = pn_blob_put_part(out, f->q[k], f->states * sizeof *f->q[k]);
	rc = rc ? rc : pn_blob_put_part(out, f->parent, f->states * sizeof *f->parent);
	return rc ? rc : pn_blob_put_part(out, f->origin, f->states * sizeof *f->origin);
}

int pn_path_save(const struct pn_path *path, struct pn_blob *out)
{
	const struct path_state *s = &path->state;
	int rc = pn_blob_put_part(out, &saved_version, sizeof saved_version);

	rc = rc ? rc : pn_blob_put_part(out, &path->params, sizeof path->params);
	rc = rc ? rc : pn_blob_put_part(out, s, sizeof *s);
	for (uint64_t n = s->pushed - kept(s); !rc && n < s->pushed; n++)
		rc = save_frame(slot(path, n), out);
	return rc;
}

/* the next part, if it is whole and of that many bytes */
static int get(struct pn_blob_view *view, void *to, size_t bytes)
{
	size_t found;
	const void *part = pn_blob_get_part(view, &found);

	if (!part || found != bytes)
		return PN_EFORMAT;
	memcpy(to, part, bytes);
	return PN_OK;
}

static int get_floats(struct pn_blob_view *view, float *to, size_t count)
{
	int rc = get(view, to, count * sizeof *to);

	for (size_t i = 0; !rc && i < count; i++)
		if (!isfinite(to[i]))
			rc = PN_EFORMAT;
	return rc;
}

static int get_state(struct pn_blob_view *view, struct pn_path_frame *f)
{
	struct frame_state state;

	if (get(view, &state, sizeof state) || state.count < 1 ||
	    state.count > PN_PATH_CANDIDATES_MAX || state.states < state.count ||
	    state.states > state.count + PN_PATH_UNLISTED_MAX || !isfinite(state.variance) ||
	    !isfinite(state.gain) || !isfinite(state.step_deg) || !isfinite(state.grid_deg) ||
	    state.variance <= 0 || state.gain <= 0)
		return PN_EFORMAT;
	f->frame = state.frame;
	f->count = state.count;
	f->states = state.states;
	f->step_deg = state.step_deg;
	f->grid_deg = state.grid_deg;
	f->variance = state.variance;
	f->gain = state.gain;
	f->paired = state.paired;
	f->prior = state.prior;
	f->flat = state.flat;
	return PN_OK;
}

/* @before: states of the frame before, 0 if it is not kept */
static int get_frame(struct pn_blob_view *view, struct pn_path_frame *f, size_t before)
{
	float *list[weights];
	int rc = get_state(view, f);

	if (rc || get(view, f->candidate, f->count * sizeof *f->candidate) ||
	    pn_path_candidates_check(f->frame, f->candidate, f->count, NULL))
		return PN_EFORMAT;
	list_weights(list, f);
	for (int k = 0; !rc && k < weights; k++)
		rc = get_floats(view, list[k], f->states);
	for (int k = 0; !rc && k < 4; k++)
		rc = get_floats(view, f->q[k], f->states);
	if (rc || get(view, f->parent, f->states * sizeof *f->parent) ||
	    get(view, f->origin, f->states * sizeof *f->origin))
		return PN_EFORMAT;
	for (size_t i = 0; i < f->states; i++)
		if (f->origin[i] > f->frame || (i >= f->count && before && f->parent[i] >= before))
			return PN_EFORMAT;
	return PN_OK;
}

static int get_all(struct pn_path *fresh, struct pn_blob_view *view)
{
	struct path_state *s = &fresh->state;

	if (get(view, s, sizeof *s) || s->pending > s->pushed ||
	    s->pending > (uint64_t)fresh->params.lag || !isfinite(s->turn2_deg2) ||
	    !isfinite(s->updates))
		return PN_EFORMAT;
	for (uint64_t n = s->pushed - kept(s), before = 0; n < s->pushed; n++) {
		if (get_frame(view, slot(fresh, n), before))
			return PN_EFORMAT;
		if (before && slot(fresh, n)->frame <= slot(fresh, n - 1)->frame)
			return PN_EFORMAT;
		before = slot(fresh, n)->states;
	}
	return view->bytes ? PN_EFORMAT : PN_OK;
}

int pn_path_load(struct pn_path *path, const void *data, size_t bytes, struct pn_error *err)
{
	struct pn_blob_view view = { data, bytes };
	struct pn_path_params params;
	struct pn_path *fresh;
	uint64_t version;
	int rc;

	if (get(&view, &version, sizeof version))
		return pn_error_set(err, PN_EFORMAT, "no checkpoint of a path of orientations");
	if (version != saved_version)
		return pn_error_set(err, PN_EVERSION, "path of orientations, version %llu",
				    (unsigned long long)version);
	if (get(&view, &params, sizeof params) || memcmp(&params, &path->params, sizeof params))
		return pn_error_set(err, PN_EFORMAT,
				    "path of orientations, saved with other parameters");
	rc = pn_path_create(&fresh, &params, err);
	if (rc)
		return rc;
	rc = get_all(fresh, &view);
	if (!rc) {
		struct pn_path old = *path;

		*path = *fresh;
		*fresh = old;
	}
	pn_path_destroy(fresh);
	return rc ? pn_error_set(err, rc, "path of orientations, %zu bytes: cut short or changed",
				 bytes)
		  : PN_OK;
}
