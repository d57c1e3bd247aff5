/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/denoise/train.h"

#include "perrin/denoise/optimizer.h"
#include "sample.h"
#include "train_params.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

/* GROUPS: clips computed at a time, each into its own gradient, whatever the number of threads is:
 * the sums are the same then. KEPT: clips' memory that a thread keeps, for training and for
 * validation. */
enum { GROUPS = 16, KEPT = 2, STANDARD_IMAGES = 64 };

static const char saved_by[8] = "PNTRAIN1";

/* One clip of a round: its images as recorded, then what came out. */
struct piece {
	struct pn_cut cut;
	float *images; /* [images][side][side] */
	size_t room;   /* floats of images */
	double squares;
	struct pn_error err;
};

/* Memory of clips that a thread has computed, the last used first. */
struct worker {
	struct kept {
		struct pn_clip *clip;
		int side_px, targets, train;
	} kept[KEPT];
};

struct pn_trainer {
	struct pn_train_settings settings;
	struct pn_net *net;
	size_t count;                 /* parameters */
	float *params, *m, *v, *mean; /* [count] */
	float *gradients;             /* [groups][count] */
	int groups;
	const float *loaded; /* what the network computes with; NULL: something older */
	struct pn_cut *cuts; /* [batch] */
	struct piece pieces[GROUPS];
	struct worker *workers;
	int worker_count;
	struct pn_train_engine engine; /* learn NULL: the processor */
	float *engine_images;          /* of one round */
	size_t engine_room;            /* floats of them */
	/* plain data without holes, part of the saved state */
	struct progress {
		double offset, scale;
		uint64_t steps, rejected, optimized;
		uint64_t draws; /* batches asked for: names their random numbers */
	} now;
};

/* ---- making -------------------------------------------------------------------------------- */

static int allocate(struct pn_trainer *t, struct pn_error *err)
{
	size_t batch = (size_t)t->settings.batch;

	t->count = pn_net_layout_of(t->net)->param_count;
	t->groups = batch < GROUPS ? (int)batch : GROUPS;
	t->params = calloc(t->count, sizeof *t->params);
	t->m = calloc(t->count, sizeof *t->m);
	t->v = calloc(t->count, sizeof *t->v);
	t->mean = calloc(t->count, sizeof *t->mean);
	t->gradients = calloc(t->count * (size_t)t->groups, sizeof *t->gradients);
	t->cuts = calloc(batch, sizeof *t->cuts);
	if (!t->params || !t->m || !t->v || !t->mean || !t->gradients || !t->cuts)
		return pn_error_set(err, PN_ENOMEM, "training: no memory for %zu parameters",
				    t->count);
	return PN_OK;
}

int pn_trainer_create(struct pn_trainer **trainer, const struct pn_net_spec *spec,
		      enum pn_arith arith, const struct pn_train_settings *settings,
		      struct pn_error *err)
{
	struct pn_rng rng;

	*trainer = NULL;
	int rc = pn_rows_check(pn_train_params, settings, err);
	if (rc)
		return rc;
	struct pn_trainer *t = calloc(1, sizeof *t);
	if (!t)
		return pn_error_set(err, PN_ENOMEM, "training: no memory");
	t->settings = *settings;
	rc = pn_net_create(&t->net, spec, arith, err);
	if (!rc)
		rc = allocate(t, err);
	if (rc) {
		pn_trainer_destroy(t);
		return rc;
	}
	/* batches have the streams from 0 on */
	pn_rng_init(&rng, (uint64_t)settings->seed, UINT64_MAX);
	pn_net_params_init(pn_net_layout_of(t->net), t->params, &rng);
	memcpy(t->mean, t->params, t->count * sizeof *t->mean);
	t->now.scale = 1;
	*trainer = t;
	return PN_OK;
}

void pn_trainer_destroy(struct pn_trainer *trainer)
{
	if (!trainer)
		return;
	for (int i = 0; i < trainer->worker_count; i++)
		for (int k = 0; k < KEPT; k++)
			pn_clip_destroy(trainer->workers[i].kept[k].clip);
	for (int i = 0; i < GROUPS; i++)
		free(trainer->pieces[i].images);
	free(trainer->engine_images);
	free(trainer->workers);
	free(trainer->cuts);
	free(trainer->gradients);
	free(trainer->mean);
	free(trainer->v);
	free(trainer->m);
	free(trainer->params);
	pn_net_destroy(trainer->net);
	free(trainer);
}

void pn_trainer_use(struct pn_trainer *trainer, const struct pn_train_engine *engine)
{
	trainer->engine = engine ? *engine : (struct pn_train_engine){ 0 };
	trainer->loaded = NULL;
}

void pn_trainer_start_from(struct pn_trainer *trainer, const float *params, double offset,
			   double scale)
{
	size_t bytes = trainer->count * sizeof *params;

	pn_assert(isfinite(offset) && isfinite(scale) && scale > 0);
	memmove(trainer->params, params, bytes); /* may be this trainer's own */
	memcpy(trainer->mean, trainer->params, bytes);
	memset(trainer->m, 0, bytes);
	memset(trainer->v, 0, bytes);
	trainer->loaded = NULL;
	trainer->now =
		(struct progress){ .offset = offset, .scale = scale, .draws = trainer->now.draws };
}

/* ---- standardization ------------------------------------------------------------------------ */

/* Of one image. */
struct moments {
	double mean, deviation;
};

static int measure_values(struct moments *one, const float *values, uint64_t image, int ny, int nx,
			  struct pn_error *err)
{
	double count = (double)ny * nx, sum = 0, squares = 0;

	for (size_t i = 0; i < (size_t)ny * (size_t)nx; i++) {
		if (!isfinite(values[i]))
			return pn_error_set(err, PN_EFRAME,
					    "image %llu: the value at %zu %zu is %g",
					    (unsigned long long)image, i / (size_t)nx,
					    i % (size_t)nx, values[i]);
		sum += values[i];
	}
	one->mean = sum / count;
	for (size_t i = 0; i < (size_t)ny * (size_t)nx; i++)
		squares += (values[i] - one->mean) * (values[i] - one->mean);
	one->deviation = sqrt(squares / count);
	return PN_OK;
}

/* One image of the source; @values grows as images do. */
static int measure(struct moments *one, const struct pn_train_source *source, uint64_t image,
		   float **values, size_t *room, struct pn_error *err)
{
	struct pn_train_place place;

	source->place(source->arg, image, &place);
	if (place.ny < 1 || place.nx < 1)
		return pn_error_set(err, PN_EFRAME, "image %llu: %d x %d px",
				    (unsigned long long)image, place.ny, place.nx);
	size_t pixels = (size_t)place.ny * (size_t)place.nx;
	if (pixels > *room) {
		free(*values);
		*values = malloc(pixels * sizeof **values);
		*room = *values ? pixels : 0;
		if (!*values)
			return pn_error_set(err, PN_ENOMEM, "training: no memory for %d x %d px",
					    place.ny, place.nx);
	}
	int rc = source->read(source->arg, image, 0, 0, place.ny, place.nx, *values, err);
	return rc ? rc : measure_values(one, *values, image, place.ny, place.nx, err);
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *values, uint64_t count)
{
	qsort(values, count, sizeof *values, compare_doubles);
	return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

int pn_trainer_standardize(struct pn_trainer *trainer, const struct pn_train_source *source,
			   struct pn_error *err)
{
	uint64_t want = source->count < STANDARD_IMAGES ? source->count : STANDARD_IMAGES;
	double means[STANDARD_IMAGES], deviations[STANDARD_IMAGES];
	float *values = NULL;
	size_t room = 0;
	int rc = want ? PN_OK : pn_error_set(err, PN_EARG, "training: no images");

	for (uint64_t k = 0; k < want && !rc; k++) {
		uint64_t image = (2 * k + 1) * source->count / (2 * want);
		struct moments one = { 0 };

		rc = measure(&one, source, image, &values, &room, err);
		means[k] = one.mean;
		deviations[k] = one.deviation;
	}
	free(values);
	if (rc)
		return rc;
	/* of each the median: a flash in one image is not to set the scale for all */
	double mean = median(means, want), scale = median(deviations, want);
	if (!(scale > 0) || !isfinite(scale))
		return pn_error_set(
			err, PN_EFRAME,
			"images cannot be standardized: %llu spread over the source have "
			"mean %g, standard deviation %g",
			(unsigned long long)want, mean, scale);
	trainer->now.offset = mean;
	trainer->now.scale = scale;
	return PN_OK;
}

/* ---- clips through the network --------------------------------------------------------------- */

static int use(struct pn_trainer *t, const float *params, struct pn_error *err)
{
	int rc = PN_OK;

	if (t->loaded == params)
		return PN_OK;
	if (t->engine.learn)
		rc = t->engine.load(t->engine.arg, params, err);
	else
		pn_net_load(t->net, params);
	t->loaded = rc ? NULL : params;
	return rc;
}

static int hire(struct pn_trainer *t, int count, struct pn_error *err)
{
	if (count <= t->worker_count)
		return PN_OK;
	struct worker *workers = realloc(t->workers, (size_t)count * sizeof *workers);
	if (!workers)
		return pn_error_set(err, PN_ENOMEM, "training: no memory for %d threads", count);
	memset(workers + t->worker_count, 0, (size_t)(count - t->worker_count) * sizeof *workers);
	t->workers = workers;
	t->worker_count = count;
	return PN_OK;
}

/* Borrowed from the worker until it wants another one. */
static struct pn_clip *clip_of(const struct pn_trainer *t, struct worker *worker, int side_px,
			       int targets, int train, struct pn_error *err)
{
	struct kept found = { .side_px = side_px, .targets = targets, .train = train };
	int at = 0;

	while (at < KEPT - 1 &&
	       (worker->kept[at].side_px != side_px || worker->kept[at].targets != targets ||
		worker->kept[at].train != train))
		at++;
	struct kept *last = &worker->kept[at];
	if (last->clip && last->side_px == side_px && last->targets == targets &&
	    last->train == train) {
		found.clip = last->clip;
	} else {
		pn_clip_destroy(last->clip);
		memset(last, 0, sizeof *last);
		if (pn_clip_create(&found.clip, t->net, side_px, side_px, targets, train, err))
			return NULL;
	}
	memmove(worker->kept + 1, worker->kept, (size_t)at * sizeof *worker->kept);
	worker->kept[0] = found;
	return found.clip;
}

/* Sum of the squared errors of window @target, and its gradient times @slope / 2. */
static double window_error(struct pn_clip *clip, int target, int frames, int side, int train,
			   double slope)
{
	const float *truth = pn_clip_image(clip, target + frames / 2);
	const float *out = pn_clip_output(clip, target);
	float *gradient = train ? pn_clip_gradient(clip, target) : NULL;
	double squares = 0;

	for (int y = 0; y < side; y++) {
		const float *a = out + y * pn_clip_output_stride(clip);
		const float *b = truth + y * pn_clip_row_stride(clip);
		float *g = train ? gradient + y * pn_clip_output_stride(clip) : NULL;

		for (int x = 0; x < side; x++) {
			double apart = (double)a[x] - b[x];

			squares += apart * apart;
			if (train)
				g[x] = (float)(slope * apart);
		}
	}
	return squares;
}

static void compute_piece(const struct pn_trainer *t, struct worker *worker, struct piece *piece,
			  double slope, float *gradient)
{
	int frames = (int)pn_net_spec_of(t->net)->frames, side = piece->cut.side_px;
	int targets = piece->cut.images - frames + 1, train = gradient != NULL;
	struct pn_clip *clip = clip_of(t, worker, side, targets, train, &piece->err);

	if (!clip)
		return;
	for (int i = 0; i < piece->cut.images; i++)
		pn_cut_turn(&piece->cut, piece->images + (ptrdiff_t)i * side * side, t->now.offset,
			    t->now.scale, pn_clip_image(clip, i), pn_clip_row_stride(clip));
	pn_clip_forward(clip);
	for (int w = 0; w < targets; w++)
		piece->squares += window_error(clip, w, frames, side, train, slope);
	if (train)
		pn_clip_backward(clip, gradient);
}

static int read_piece(struct piece *piece, const struct pn_cut *cut,
		      const struct pn_train_source *source, struct pn_error *err)
{
	size_t pixels = (size_t)cut->side_px * (size_t)cut->side_px;
	int rc = PN_OK;

	if (piece->room < pixels * (size_t)cut->images) {
		free(piece->images);
		piece->room = pixels * (size_t)cut->images;
		piece->images = malloc(piece->room * sizeof *piece->images);
	}
	if (!piece->images) {
		piece->room = 0;
		return pn_error_set(err, PN_ENOMEM,
				    "training: no memory for %d images of %d x %d px", cut->images,
				    cut->side_px, cut->side_px);
	}
	piece->cut = *cut;
	piece->squares = 0;
	piece->err = (struct pn_error){ 0 };
	for (int i = 0; i < cut->images && !rc; i++)
		rc = pn_cut_read(cut, source, i, piece->images + (size_t)i * pixels, err);
	return rc;
}

/* @count clips of one size by the engine. */
static int engine_round(struct pn_trainer *t, const struct pn_train_source *source,
			const struct pn_cut *cuts, int count, int train, double slope,
			double *squares, struct pn_error *err)
{
	int side = cuts->side_px, images = cuts->images;
	int targets = images - (int)pn_net_spec_of(t->net)->frames + 1;
	size_t pixels = (size_t)side * (size_t)side, each = pixels * (size_t)images;
	double sums[GROUPS];
	int rc = PN_OK;

	if (t->engine_room < each * (size_t)count) {
		free(t->engine_images);
		t->engine_room = each * (size_t)count;
		t->engine_images = malloc(t->engine_room * sizeof *t->engine_images);
	}
	if (!t->engine_images) {
		t->engine_room = 0;
		return pn_error_set(err, PN_ENOMEM, "training: no memory for %d x %d images", count,
				    images);
	}
	for (int c = 0; c < count && !rc; c++) {
		rc = read_piece(&t->pieces[0], &cuts[c], source, err);
		for (int i = 0; i < images && !rc; i++)
			pn_cut_turn(&cuts[c], t->pieces[0].images + (size_t)i * pixels,
				    t->now.offset, t->now.scale,
				    t->engine_images + (size_t)c * each + (size_t)i * pixels, side);
	}
	if (!rc)
		rc = t->engine.learn(t->engine.arg, side, targets, count, t->engine_images, slope,
				     sums, train ? t->gradients : NULL, err);
	for (int c = 0; c < count && !rc; c++)
		*squares += sums[c];
	return rc;
}

/* As compute: cuts of one size that follow each other at a time, all into the first gradient. */
static int compute_by_engine(struct pn_trainer *t, const struct pn_train_source *source,
			     const struct pn_cut *cuts, int count, int train, double slope,
			     double *squares, struct pn_error *err)
{
	int rc = PN_OK;

	for (int done = 0, round; done < count && !rc; done += round) {
		const struct pn_cut *first = &cuts[done];

		for (round = 1; round < GROUPS && done + round < count; round++)
			if (first[round].side_px != first->side_px ||
			    first[round].images != first->images)
				break;
		rc = engine_round(t, source, first, round, train, slope, squares, err);
	}
	return rc;
}

/* All clips, GROUPS at a time; @train: into the gradients. Adds to @squares in the order of clips.
 */
static int compute(struct pn_trainer *t, const struct pn_train_source *source,
		   const struct pn_cut *cuts, int count, int train, double slope, double *squares,
		   struct pn_error *err)
{
	int threads = omp_get_max_threads(), most = count < GROUPS ? count : GROUPS;

	if (t->engine.learn)
		return compute_by_engine(t, source, cuts, count, train, slope, squares, err);
	threads = threads < most ? threads : most;
	int rc = hire(t, threads, err);
	for (int done = 0, round; done < count && !rc; done += round) {
		round = count - done < GROUPS ? count - done : GROUPS;
		for (int i = 0; i < round && !rc; i++)
			rc = read_piece(&t->pieces[i], &cuts[done + i], source, err);
		if (rc)
			break;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
		for (int i = 0; i < round; i++)
			compute_piece(t, &t->workers[omp_get_thread_num()], &t->pieces[i], slope,
				      train ? t->gradients + (size_t)i * t->count : NULL);
		for (int i = 0; i < round; i++) {
			if (t->pieces[i].err.code)
				return pn_error_set(err, t->pieces[i].err.code, "%s",
						    t->pieces[i].err.text);
			*squares += t->pieces[i].squares;
		}
	}
	return rc;
}

/* ---- steps --------------------------------------------------------------------------------- */

/* Where the pieces of the next batch lie: @clips cuts. Their windows have @pixels in all. */
static int draw_batch(struct pn_trainer *t, const struct pn_train_source *source, int *clips,
		      uint64_t *pixels, struct pn_error *err)
{
	int frames = (int)pn_net_spec_of(t->net)->frames, batch = (int)t->settings.batch;
	int targets = t->settings.targets < batch ? (int)t->settings.targets : batch;
	uint64_t stream = t->now.draws++ << 16;

	targets = pn_cut_targets(source, frames, targets, err);
	if (targets < 0)
		return targets;
	*clips = (batch + targets - 1) / targets;
	*pixels = 0;
	for (int i = 0; i < *clips; i++) {
		struct pn_cut *cut = &t->cuts[i];
		struct pn_rng rng;

		pn_rng_init(&rng, (uint64_t)t->settings.seed, stream + (uint64_t)i);
		int rc = pn_cut_draw(cut, source, frames + targets - 1, (int)t->settings.crop_px,
				     &rng, err);
		if (rc)
			return rc;
		*pixels += (uint64_t)targets * (uint64_t)cut->side_px * (uint64_t)cut->side_px;
	}
	return PN_OK;
}

/* The groups' gradients into the first one; whether all are finite, and their squares. */
static int add_gradients(struct pn_trainer *t, int groups)
{
	float *all = t->gradients;
	int finite = 1;

#pragma omp parallel for schedule(static) reduction(&& : finite)
	for (size_t i = 0; i < t->count; i++) {
		float sum = all[i];

		for (int k = 1; k < groups; k++)
			sum += all[(size_t)k * t->count + i];
		all[i] = sum;
		finite = finite && isfinite(sum * sum);
	}
	return finite;
}

static void improve(struct pn_trainer *t)
{
	const struct pn_train_settings *s = &t->settings;
	double step = (double)t->now.steps, early = (1 + step) / (10 + step);
	float part = (float)(1 - (s->average < early ? s->average : early));
	struct pn_radam radam;

	pn_radam_init(&radam);
	radam.step = t->now.optimized;
	pn_radam_step(&radam,
		      pn_rate_at(t->now.steps, (uint64_t)s->warmup, (uint64_t)s->steps, s->rate,
				 s->rate_end),
		      t->params, t->m, t->v, t->gradients, t->count);
	t->now.optimized = radam.step;
	t->loaded = NULL;
	if (s->average > 0)
		for (size_t i = 0; i < t->count; i++)
			t->mean[i] += part * (t->params[i] - t->mean[i]);
}

int pn_trainer_step(struct pn_trainer *trainer, const struct pn_train_source *source, double *loss,
		    struct pn_error *err)
{
	uint64_t pixels;
	double squares = 0;
	int clips;

	int rc = draw_batch(trainer, source, &clips, &pixels, err);
	if (rc)
		return rc;
	int groups = clips < GROUPS ? clips : GROUPS;
	rc = use(trainer, trainer->params, err);
	if (rc)
		return rc;
	memset(trainer->gradients, 0, (size_t)groups * trainer->count * sizeof *trainer->gradients);
	rc = compute(trainer, source, trainer->cuts, clips, 1, 2 / (double)pixels, &squares, err);
	if (rc)
		return rc;
	*loss = squares / (double)pixels;
	if (add_gradients(trainer, groups) && isfinite(*loss))
		improve(trainer);
	else
		trainer->now.rejected++;
	trainer->now.steps++;
	return PN_OK;
}

struct pn_trained pn_trainer_result(const struct pn_trainer *trainer)
{
	return (struct pn_trained){
		.layout = pn_net_layout_of(trainer->net),
		.params = trainer->settings.average > 0 ? trainer->mean : trainer->params,
		.offset = trainer->now.offset,
		.scale = trainer->now.scale,
		.steps = trainer->now.steps,
		.rejected = trainer->now.rejected,
	};
}

int pn_trainer_validate(struct pn_trainer *trainer, const struct pn_train_source *source,
			uint64_t newest, int windows, double *loss, struct pn_error *err)
{
	double squares = 0;
	uint64_t pixels = 0;

	if (windows < 1)
		return pn_error_set(err, PN_EARG, "training: validation of %d windows", windows);
	struct pn_cut *cuts = calloc((size_t)windows, sizeof *cuts);
	if (!cuts)
		return pn_error_set(err, PN_ENOMEM, "training: no memory for %d windows", windows);
	int found = pn_cut_spread(cuts, windows, source, newest,
				  (int)pn_net_spec_of(trainer->net)->frames,
				  (int)trainer->settings.crop_px, err);
	int rc = found < 0 ? found : PN_OK;
	if (!rc)
		rc = use(trainer, pn_trainer_result(trainer).params, err);
	if (!rc)
		rc = compute(trainer, source, cuts, found, 0, 0, &squares, err);
	for (int i = 0; i < found; i++)
		pixels += (uint64_t)cuts[i].side_px * (uint64_t)cuts[i].side_px;
	if (!rc)
		*loss = squares / (double)pixels;
	free(cuts);
	return rc;
}

/* ---- to go on later ------------------------------------------------------------------------- */

int pn_trainer_save(const struct pn_trainer *t, struct pn_blob *out, struct pn_error *err)
{
	const float *arrays[] = { t->params, t->m, t->v, t->mean };
	size_t bytes = t->count * sizeof(float);
	int rc = pn_blob_put_part(out, saved_by, sizeof saved_by);

	if (!rc)
		rc = pn_rows_put(pn_net_spec_params, pn_net_spec_of(t->net), out);
	if (!rc)
		rc = pn_rows_put(pn_train_params, &t->settings, out);
	if (!rc)
		rc = pn_blob_put_part(out, &t->now, sizeof t->now);
	for (size_t i = 0; i < PN_COUNT(arrays) && !rc; i++)
		rc = pn_blob_put_part(out, arrays[i], bytes);
	return rc ? pn_error_set(err, rc, "training: no memory to save %zu parameters", t->count)
		  : rc;
}

int pn_trainer_load(struct pn_trainer *t, const void *data, size_t bytes, struct pn_error *err)
{
	struct pn_blob_view view = { data, bytes };
	float *arrays[] = { t->params, t->m, t->v, t->mean };
	const void *parts[PN_COUNT(arrays)];
	const void *maker = pn_blob_get_part(&view, &bytes);

	if (!maker || bytes != sizeof saved_by || memcmp(maker, saved_by, bytes))
		return pn_error_set(err, PN_EVERSION, "training saved by another version");
	int rc = pn_rows_same(pn_net_spec_params, pn_net_spec_of(t->net), &view, err);
	if (!rc)
		rc = pn_rows_same(pn_train_params, &t->settings, &view, err);
	if (rc)
		return rc;
	const void *now = pn_blob_get_part(&view, &bytes);
	int whole = now && bytes == sizeof t->now;
	for (size_t i = 0; i < PN_COUNT(arrays) && whole; i++) {
		parts[i] = pn_blob_get_part(&view, &bytes);
		whole = parts[i] && bytes == t->count * sizeof(float);
	}
	if (!whole)
		return pn_error_set(err, PN_EFORMAT, "the saved training is cut short");
	memcpy(&t->now, now, sizeof t->now);
	for (size_t i = 0; i < PN_COUNT(arrays); i++)
		memcpy(arrays[i], parts[i], t->count * sizeof(float));
	t->loaded = NULL;
	return PN_OK;
}
