/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin denoise apply - noisy images through a trained network. */
#include "denoise.h"

#include "common/session.h"
#include "common/text.h"
#include "perrin/base/clock.h"
#include "perrin/base/json.h"
#include "perrin/denoise/tiling.h"
#include "perrin/format/stack.h"
#include "perrin/image/quality.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define CHUNK_MAX 256 /* images in memory at a time */

struct apply_flags {
	char images[PN_PARAM_TEXT_MAX], weights[PN_PARAM_TEXT_MAX], out[PN_PARAM_TEXT_MAX];
	char stream[PN_PARAM_TEXT_MAX];
	int64_t particle, tile_px, memory_MiB;
	int arith, noise, force, json;
};

#define OFF(field) offsetof(struct apply_flags, field)
/* clang-format off */
static const struct pn_param params[] = {
	{ .name = "images", .help = "stack (.npy, MRC, TIFF), session or stream",
	  .type = PN_PARAM_TEXT, .off = OFF(images), .positional = 1, .required = 1 },
	{ .name = "weights", .unit = "FILE", .help = "of a training", .type = PN_PARAM_TEXT,
	  .off = OFF(weights), .required = 1 },
	{ .name = "out", .unit = "FILE", .help = "stack of float32: .npy, .mrc, .tif or .tiff; %p in its "
	  "name is the particle's number: a stack for each", .type = PN_PARAM_TEXT, .off = OFF(out),
	  .required = 1 },
	{ .name = "stream", .help = "of a session: crops, or frames for whole frames",
	  .type = PN_PARAM_TEXT, .off = OFF(stream), .def_text = "crops" },
	{ .name = "particle", .help = "of crops: only this one; -1: all", .type = PN_PARAM_I64,
	  .off = OFF(particle), .def = -1, .min = -1, .max = 1e15 },
	{ .name = "tile_px", .unit = "px", .help = "larger images go through the network in tiles",
	  .type = PN_PARAM_I64, .off = OFF(tile_px), .def = 512, .min = 32, .max = 65536 },
	{ .name = "noise", .help = "tell the noise, and the SNR before and after",
	  .type = PN_PARAM_BOOL, .off = OFF(noise) },
	{ .name = "arith", .help = "numbers to compute in; auto: bf16 where the processor has tiles",
	  .type = PN_PARAM_ENUM, .off = OFF(arith), .choices = pn_arith_choices },
	{ .name = "memory_MiB", .unit = "MiB", .help = "to work in", .type = PN_PARAM_I64,
	  .off = OFF(memory_MiB), .def = 4096, .max = 1e7 },
	{ .name = "force", .help = "replace a file that is there", .type = PN_PARAM_BOOL,
	  .off = OFF(force) },
	{ .name = "json", .help = "print the report as JSON", .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ 0 },
};
/* clang-format on */

/* What is found out on the way. */
struct found {
	double squares, pixels;          /* of recorded less clean */
	double raw_snr_db, snr_db;       /* sums over pairs of adjacent frames */
	uint64_t raw_pairs, pairs;       /* that have one */
	uint64_t alone, images, written; /* without any neighbour; done; files */
	int rows, columns;               /* tiles of the largest images */
};

struct apply {
	const struct apply_flags *flags;
	struct pn_images *images;
	struct pn_images_info info;
	struct pn_weights weights;
	struct pn_net *net;
	int half;
	struct found found;
	struct pn_progress progress;
	int64_t start_ns;
	uint64_t planned;
	double seconds;
};

/* The images of one stack that comes out: @begin .. @end - 1 of all. */
struct group {
	uint64_t begin, end;
	struct pn_images_entry shape; /* of the first */
	int moving, chunk;
	struct pn_tiler *tiler;
	struct pn_stack_writer *writer;
	/* [chunk + 2 half], [chunk]: images of this turn; [2] the last one of the turn before, as
	 * recorded and clean */
	struct pn_tiled_image *noisy;
	float **clean, *last[2];
	struct pn_images_entry last_entry;
	int has_last;
};

static size_t pixels_of(const struct group *g)
{
	return (size_t)g->shape.ny * (size_t)g->shape.nx;
}

/* ---- what is found ------------------------------------------------------------------------- */

/* SNR of one pair (R3) where both have pixels of the detector; NaN if it cannot be told. */
static double snr_db(const float *a, const struct pn_images_entry *at_a, const float *b,
		     const struct pn_images_entry *at_b)
{
	int64_t dy = at_b->y0_px - at_a->y0_px, dx = at_b->x0_px - at_a->x0_px;
	int64_t rows = at_a->ny - llabs(dy), columns = at_a->nx - llabs(dx);

	if (rows < 1 || columns < 1)
		return NAN;
	size_t pixels = (size_t)rows * (size_t)columns;
	float *pair = malloc(2 * pixels * sizeof *pair);
	if (!pair)
		return NAN;
	for (int64_t y = 0; y < rows; y++) {
		int64_t ya = y + (dy > 0 ? dy : 0), yb = y + (dy < 0 ? -dy : 0);
		int64_t xa = dx > 0 ? dx : 0, xb = dx < 0 ? -dx : 0;

		memcpy(pair + y * columns, a + ya * at_a->nx + xa, (size_t)columns * sizeof *a);
		memcpy(pair + pixels + (size_t)(y * columns), b + yb * at_b->nx + xb,
		       (size_t)columns * sizeof *b);
	}
	double value = pn_snr_of_pair_db(pair, pair + pixels, pixels);

	free(pair);
	return value;
}

static void add_snr(double *sum, uint64_t *pairs, double value)
{
	if (!isfinite(value))
		return;
	*sum += value;
	++*pairs;
}

static void measure(struct apply *a, struct group *g, uint64_t image, const float *noisy,
		    const float *clean)
{
	struct pn_images_entry entry = pn_images_entry(a->images, image);
	size_t pixels = pixels_of(g);

	for (size_t i = 0; i < pixels; i++) {
		double apart = (double)noisy[i] - clean[i];

		a->found.squares += apart * apart;
	}
	a->found.pixels += (double)pixels;
	if (g->has_last && g->last_entry.run == entry.run) {
		add_snr(&a->found.raw_snr_db, &a->found.raw_pairs,
			snr_db(g->last[0], &g->last_entry, noisy, &entry));
		add_snr(&a->found.snr_db, &a->found.pairs,
			snr_db(g->last[1], &g->last_entry, clean, &entry));
	}
	memcpy(g->last[0], noisy, pixels * sizeof *noisy);
	memcpy(g->last[1], clean, pixels * sizeof *clean);
	g->last_entry = entry;
	g->has_last = 1;
}

/* ---- one stack ----------------------------------------------------------------------------- */

static void show(struct apply *a, double share)
{
	double passed_s = (double)(pn_now_ns() - a->start_ns) / 1e9, done = share;
	char line[256], rate[PN_TEXT_SHORT], left[PN_TEXT_SHORT];

	if (!pn_progress_due(&a->progress) || !(passed_s > 0) || !(done > 0))
		return;
	snprintf(line, sizeof line, "image %.0f/%" PRIu64 "  %s/s  %s left", floor(done),
		 a->planned, pn_text_rate(rate, done / passed_s),
		 pn_text_duration(left,
				  (int64_t)(((double)a->planned - done) * passed_s / done * 1e9)));
	pn_progress_line(&a->progress, line);
}

/* Images @first .. @first + count - 1, with those around them. */
static int run_chunk(struct apply *a, struct group *g, uint64_t first, int count,
		     struct pn_error *err)
{
	uint64_t from = first - g->begin > (uint64_t)a->half ? first - (uint64_t)a->half : g->begin;
	uint64_t to = first + (uint64_t)count + (uint64_t)a->half;
	int tiles = pn_tiler_tiling(g->tiler)->rows * pn_tiler_tiling(g->tiler)->columns;
	int rc = PN_OK;

	to = to < g->end ? to : g->end;
	int all = (int)(to - from), offset = (int)(first - from);
	for (int i = 0; i < all && !rc; i++) {
		struct pn_images_entry entry = pn_images_entry(a->images, from + (uint64_t)i);

		g->noisy[i].time = entry.frame;
		g->noisy[i].y0_px = entry.y0_px;
		g->noisy[i].x0_px = entry.x0_px;
		rc = pn_images_read(a->images, from + (uint64_t)i, (float *)g->noisy[i].image, err);
	}
	for (int tile = 0; tile < tiles; tile++)
		for (int i = 0; i < count && !rc; i++) {
			rc = pn_tiler_run(g->tiler, tile, g->noisy, all, offset + i, 1,
					  &g->clean[i], err);
			show(a, (double)a->found.images +
					(double)(tile * count + i + 1) / (double)tiles);
		}
	for (int i = 0; i < count && !rc; i++) {
		const float *noisy = g->noisy[offset + i].image;

		if (a->half && !pn_tiler_neighbors(g->noisy, all, offset + i, a->half))
			a->found.alone++;
		if (a->flags->noise)
			measure(a, g, first + (uint64_t)i, noisy, g->clean[i]);
		rc = pn_stack_write(g->writer, g->clean[i], err);
	}
	a->found.images += (uint64_t)count;
	return rc;
}

/* How many images at a time the memory has room for. */
static int chunk_of(const struct apply *a, const struct group *g)
{
	uint64_t memory = (uint64_t)a->flags->memory_MiB << 20;
	uint64_t image = pixels_of(g) * sizeof(float);
	uint64_t needed = pn_tiler_bytes(g->tiler, 1) + (2 * (uint64_t)a->half + 2) * image;
	uint64_t chunk = memory > needed ? (memory - needed) / (2 * image) : 1;

	chunk = chunk < 1 ? 1 : chunk > CHUNK_MAX ? CHUNK_MAX : chunk;
	return (int)(chunk < g->end - g->begin ? chunk : g->end - g->begin);
}

static int make_room(const struct apply *a, struct group *g, struct pn_error *err)
{
	size_t bytes = pixels_of(g) * sizeof(float);
	int count = g->chunk + 2 * a->half, failed = 0;

	g->noisy = calloc((size_t)count, sizeof *g->noisy);
	g->clean = calloc((size_t)g->chunk, sizeof *g->clean);
	failed = !g->noisy || !g->clean;
	for (int i = 0; i < count && !failed; i++)
		failed = !(g->noisy[i].image = malloc(bytes));
	for (int i = 0; i < g->chunk && !failed; i++)
		failed = !(g->clean[i] = malloc(bytes));
	for (int i = 0; i < 2 && !failed; i++)
		failed = !(g->last[i] = malloc(bytes));
	if (!failed)
		return PN_OK;
	return pn_error_set(err, PN_ENOMEM, "no memory for %d images of %dx%d px", count,
			    g->shape.ny, g->shape.nx);
}

static void free_group(const struct apply *a, struct group *g)
{
	for (int i = 0; g->noisy && i < g->chunk + 2 * a->half; i++)
		free((void *)g->noisy[i].image);
	for (int i = 0; g->clean && i < g->chunk; i++)
		free(g->clean[i]);
	free(g->noisy);
	free(g->clean);
	free(g->last[0]);
	free(g->last[1]);
	pn_tiler_destroy(g->tiler);
	pn_stack_abandon(g->writer);
}

/* A stack has one shape; whether its images lie at different places. */
static int look_over(const struct apply *a, struct group *g, struct pn_error *err)
{
	g->shape = pn_images_entry(a->images, g->begin);
	for (uint64_t k = g->begin; k < g->end; k++) {
		struct pn_images_entry e = pn_images_entry(a->images, k);

		g->moving |= e.y0_px != g->shape.y0_px || e.x0_px != g->shape.x0_px;
		if (e.ny != g->shape.ny || e.nx != g->shape.nx)
			return pn_error_set(err, PN_EFORMAT,
					    "%s: frame %" PRIu64 " is of %dx%d px, those before of "
					    "%dx%d: a stack has one shape",
					    a->info.source, e.frame, e.ny, e.nx, g->shape.ny,
					    g->shape.nx);
	}
	if (a->half && a->info.count == 1)
		return pn_error_set(
			err, PN_EARG,
			"%s: one image; this network denoises by those before and after",
			a->info.source);
	return PN_OK;
}

static int begin_group(struct apply *a, struct group *g, const char *path, struct pn_error *err)
{
	int rc = look_over(a, g, err);
	struct pn_stack_info info = { .dtype = PN_F32,
				      .count = g->end - g->begin,
				      .ny = (uint64_t)g->shape.ny,
				      .nx = (uint64_t)g->shape.nx,
				      .pixel_pm = a->info.pixel_pm };
	const char *dot = strrchr(path, '.');

	if (rc)
		return rc;
	snprintf(info.format, sizeof info.format, "%.5s", strcmp(dot, ".tif") ? dot + 1 : "tiff");
	rc = pn_tiler_create(&g->tiler, a->net, g->shape.ny, g->shape.nx, (int)a->flags->tile_px,
			     g->moving, a->weights.offset, a->weights.scale, err);
	if (rc)
		return rc;
	const struct pn_tiling *tiling = pn_tiler_tiling(g->tiler);
	if (tiling->rows * tiling->columns > a->found.rows * a->found.columns) {
		a->found.rows = tiling->rows;
		a->found.columns = tiling->columns;
	}
	g->chunk = chunk_of(a, g);
	rc = make_room(a, g, err);
	return rc ? rc : pn_stack_create(&g->writer, path, &info, err);
}

static int apply_group(struct apply *a, uint64_t begin, uint64_t end, const char *path,
		       struct pn_error *err)
{
	struct group g = { .begin = begin, .end = end };
	int rc = begin_group(a, &g, path, err);

	for (uint64_t k = begin; k < end && !rc; k += (uint64_t)g.chunk) {
		int count = end - k < (uint64_t)g.chunk ? (int)(end - k) : g.chunk;

		rc = run_chunk(a, &g, k, count, err);
		if (rc == PN_EFRAME)
			pn_error_wrap(err, "%s", a->info.source);
	}
	if (!rc) {
		rc = pn_stack_finish(g.writer, err);
		g.writer = NULL;
	}
	a->found.written += !rc;
	free_group(a, &g);
	return rc;
}

/* ---- all stacks ---------------------------------------------------------------------------- */

static int check_name(const char *out, struct pn_error *err)
{
	static const char *const endings[] = { ".npy", ".mrc", ".tif", ".tiff" };
	const char *dot = strrchr(out, '.');

	for (unsigned i = 0; dot && i < PN_COUNT(endings); i++)
		if (strcmp(dot, endings[i]) == 0)
			return PN_OK;
	return pn_error_set(err, PN_EARG, "out = %s: must end in .npy, .mrc, .tif or .tiff", out);
}

/* OUT with the particle's number in place of %p. */
static int path_of(char path[PATH_MAX], const char *out, uint64_t particle, struct pn_error *err)
{
	const char *mark = strstr(out, "%p");
	int length = mark ? snprintf(path, PATH_MAX, "%.*s%" PRIu64 "%s", (int)(mark - out), out,
				     particle, mark + 2)
			  : snprintf(path, PATH_MAX, "%s", out);

	if (length >= PATH_MAX)
		return pn_error_set(err, PN_EARG, "%.200s...: too long a path", out);
	return PN_OK;
}

/* The images of the particle that image @begin is of end before this one. */
static uint64_t end_of(const struct apply *a, uint64_t begin)
{
	uint64_t particle = pn_images_entry(a->images, begin).particle, end = begin + 1;

	while (end < a->info.count && pn_images_entry(a->images, end).particle == particle)
		end++;
	return end;
}

static int wanted(const struct apply *a, uint64_t image)
{
	return a->flags->particle < 0 ||
	       pn_images_entry(a->images, image).particle == (uint64_t)a->flags->particle;
}

/* Go over the particles: @act = 0 only looks whether all can be written. */
static int each_particle(struct apply *a, int act, struct pn_error *err)
{
	char path[PATH_MAX];
	uint64_t particles = 0;
	int rc = PN_OK;

	for (uint64_t k = 0, end; k < a->info.count && !rc; k = end) {
		end = end_of(a, k);
		if (!wanted(a, k))
			continue;
		particles++;
		rc = path_of(path, a->flags->out, pn_images_entry(a->images, k).particle, err);
		if (!rc && act) {
			rc = apply_group(a, k, end, path, err);
			continue;
		}
		a->planned += end - k;
		if (!rc)
			rc = pn_path_free(path, a->flags->force, err);
		if (!rc)
			rc = pn_out_writable(path, err);
	}
	if (!rc && !particles)
		return pn_error_set(err, PN_ENOENT, "%s: no crop of particle %" PRId64,
				    a->info.source, a->flags->particle);
	if (!rc && particles > 1 && !strstr(a->flags->out, "%p"))
		return pn_error_set(err, PN_EARG,
				    "out = %s: %" PRIu64 " particles, a stack each: put %%p where "
				    "their numbers are to be, or choose one by --particle",
				    a->flags->out, particles);
	return rc;
}

/* ---- telling ------------------------------------------------------------------------------- */

static double per(double sum, double count)
{
	return count > 0 ? sum / count : NAN;
}

static void print_text(const struct apply *a)
{
	const struct found *f = &a->found;
	char x[PN_TEXT_SHORT], y[PN_TEXT_SHORT];
	int field_px = pn_net_layout_of(a->net)->field_px;

	printf("images       %" PRIu64 " of %dx%d px from %s\n", f->images, a->info.ny_max,
	       a->info.nx_max, a->info.source);
	printf("weights      %s, %" PRIu64 " steps on %s\n", a->flags->weights, a->weights.steps,
	       a->weights.source);
	if (f->rows * f->columns > 1)
		printf("tiles        %dx%d of up to %" PRId64 " px\n", f->rows, f->columns,
		       a->flags->tile_px);
	if (a->info.ny_min < 2 * field_px + 1 || a->info.nx_min < 2 * field_px + 1)
		printf("note         images of %dx%d px are smaller than the %d px that the "
		       "network "
		       "sees\n",
		       a->info.ny_min, a->info.nx_min, 2 * field_px + 1);
	if (f->alone)
		printf("note         %" PRIu64 " images without neighbours are as recorded\n",
		       f->alone);
	if (a->info.damaged)
		printf("note         %" PRIu64 " damaged records are left out\n", a->info.damaged);
	if (a->flags->noise) {
		printf("noise        %.6g rms of recorded less denoised\n",
		       sqrt(per(f->squares, f->pixels)));
		printf("SNR          %s dB before, %s dB after, by adjacent images\n",
		       pn_text_fixed(x, per(f->raw_snr_db, (double)f->raw_pairs), 2),
		       pn_text_fixed(y, per(f->snr_db, (double)f->pairs), 2));
	}
	printf("speed        %s images/s, %s\n",
	       pn_text_rate(x, per((double)f->images, a->seconds)),
	       pn_text_duration(y, (int64_t)(a->seconds * 1e9)));
	printf("denoised     %s\n", a->flags->out);
}

static void print_json(const struct apply *a)
{
	const struct found *f = &a->found;
	struct pn_json json;

	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	pn_json_text(&json, "source", a->info.source);
	pn_json_text(&json, "weights", a->flags->weights);
	pn_json_u64(&json, "trained_steps", a->weights.steps);
	pn_json_u64(&json, "images", f->images);
	pn_json_u64(&json, "stacks", f->written);
	pn_json_i64(&json, "ny", a->info.ny_max);
	pn_json_i64(&json, "nx", a->info.nx_max);
	pn_json_i64(&json, "tiles", f->rows * f->columns);
	pn_json_i64(&json, "field_px", pn_net_layout_of(a->net)->field_px);
	pn_json_text(&json, "arith", pn_arith_words[pn_net_arith(a->net)]);
	pn_json_u64(&json, "alone", f->alone);
	pn_json_u64(&json, "damaged", a->info.damaged);
	if (a->flags->noise) {
		pn_json_f64(&json, "noise", sqrt(per(f->squares, f->pixels)));
		pn_json_f64(&json, "raw_snr_db", per(f->raw_snr_db, (double)f->raw_pairs));
		pn_json_f64(&json, "snr_db", per(f->snr_db, (double)f->pairs));
	}
	pn_json_f64(&json, "seconds", a->seconds);
	pn_json_f64(&json, "images_per_s", per((double)f->images, a->seconds));
	pn_json_text(&json, "out", a->flags->out);
	pn_json_end(&json);
}

/* ---- the command --------------------------------------------------------------------------- */

static int prepare(struct apply *a, struct pn_error *err)
{
	int rc = check_name(a->flags->out, err);

	if (!rc)
		rc = pn_weights_read(&a->weights, a->flags->weights, err);
	if (!rc)
		rc = pn_net_create(&a->net, &a->weights.spec, pn_arith_chosen(a->flags->arith),
				   err);
	if (rc)
		return rc;
	pn_net_load(a->net, a->weights.params);
	a->half = (int)a->weights.spec.frames / 2;
	/* each is needed once, or twice at the seams */
	rc = pn_images_open(&a->images, a->flags->images, a->flags->stream, 0, err);
	if (rc)
		return rc;
	a->info = pn_images_info(a->images);
	return each_particle(a, 0, err);
}

static int run_apply(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	struct apply a = { .flags = arg };
	int rc = prepare(&a, err);

	(void)extra, (void)extra_count;
	if (!rc) {
		a.start_ns = pn_now_ns();
		rc = each_particle(&a, 1, err);
		a.seconds = (double)(pn_now_ns() - a.start_ns) / 1e9;
		pn_progress_clear(&a.progress);
	}
	if (!rc) {
		if (a.flags->json)
			print_json(&a);
		else
			print_text(&a);
	}
	pn_images_close(a.images);
	pn_net_destroy(a.net);
	pn_weights_free(&a.weights);
	return rc;
}

const struct pn_command pn_denoise_apply = {
	.name = "apply",
	.brief = "denoise images by a trained network",
	.usage = "IMAGES --weights FILE --out FILE [--noise] [flags]",
	.params = params,
	.options_size = sizeof(struct apply_flags),
	.run = run_apply,
};
