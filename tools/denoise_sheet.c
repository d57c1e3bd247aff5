/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin denoise sheet - crops of a session as recorded and as denoised, one above the other, as a
 * PNG. */
#include "denoise.h"

#include "common/session.h"
#include "perrin/base/json.h"
#include "perrin/format/png.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define GAP_PX 4

struct sheet_options {
	char session[PN_PARAM_TEXT_MAX], out[PN_PARAM_TEXT_MAX];
	int64_t count, particle, zoom;
	int force, json;
};

#define OFF(field) offsetof(struct sheet_options, field)
static const struct pn_param params[] = {
	{ .name = "session",
	  .help = "session with the streams crops and clean",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(session),
	  .positional = 1,
	  .required = 1 },
	{ .name = "out",
	  .unit = "FILE",
	  .help = "the picture; default: denoise.png in the session",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(out) },
	{ .name = "count",
	  .help = "frames, spread evenly over the session",
	  .type = PN_PARAM_I64,
	  .off = OFF(count),
	  .def = 6,
	  .min = 1,
	  .max = 64 },
	{ .name = "particle",
	  .help = "of this particle; -1: of the one seen most often",
	  .type = PN_PARAM_I64,
	  .off = OFF(particle),
	  .def = -1,
	  .min = -1,
	  .max = 1e15 },
	{ .name = "zoom",
	  .help = "picture elements for each pixel",
	  .type = PN_PARAM_I64,
	  .off = OFF(zoom),
	  .def = 1,
	  .min = 1,
	  .max = 8 },
	{ .name = "force",
	  .help = "replace a file that is there",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(force) },
	{ .name = "json",
	  .help = "print the result as JSON",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ 0 },
};

/* One denoised crop, and the record it is. */
struct seen {
	uint64_t seq, frame, particle;
	int network;
	double snr_db, raw_snr_db, noise;
};

/* What is told: of the crops that the network made. */
struct gain {
	uint64_t crops, by_network, pairs;
	double snr_db, raw_snr_db, noise;
};

struct sheet {
	struct pn_log_reader *crops, *clean;
	struct seen *seen; /* [count]: of one particle, in order */
	uint64_t count;
	uint64_t particle;
	struct gain gain;
};

/* ---- reading ------------------------------------------------------------------------------- */

static int open_stream(struct pn_log_reader **reader, const char *session, const char *name,
		       struct pn_error *err)
{
	char dir[PATH_MAX];
	int rc = pn_path_join(dir, session, name, err);

	if (!rc)
		rc = pn_log_read_open(reader, dir, NULL, 0, 0, err);
	return rc;
}

static int remember(struct sheet *sheet, const struct pn_crops_head *head, uint64_t seq,
		    struct pn_error *err)
{
	if ((sheet->count & (sheet->count - 1)) == 0) {
		size_t room = sheet->count ? 2 * sheet->count : 1;
		void *grown = realloc(sheet->seen, room * sizeof *sheet->seen);

		if (!grown)
			return pn_error_set(err, PN_ENOMEM, "no memory for %zu crops", room);
		sheet->seen = grown;
	}
	sheet->seen[sheet->count++] = (struct seen){
		.seq = seq,
		.frame = head->frame,
		.particle = head->particle,
		.network = head->made_by == PN_CLEAN_NETWORK,
		.snr_db = head->snr_db,
		.raw_snr_db = head->raw_snr_db,
		.noise = head->noise,
	};
	return PN_OK;
}

static int list_clean(struct sheet *sheet, const char *session, struct pn_error *err)
{
	struct pn_msg msg;
	int rc;

	while (!(rc = pn_log_read(sheet->clean, &msg, err))) {
		struct pn_crops_head head;

		rc = pn_msg_decode(&pn_crops_schema, &msg, &head, err);
		if (!rc)
			rc = remember(sheet, &head, msg.seq, err);
		if (rc)
			return rc;
	}
	if (rc == PN_EEND && !sheet->count)
		return pn_error_set(err, PN_ENOENT, "%s/clean: no records", session);
	return rc == PN_EEND ? PN_OK : rc;
}

static uint64_t crops_of(const struct sheet *sheet, uint64_t particle)
{
	uint64_t count = 0;

	for (uint64_t i = 0; i < sheet->count; i++)
		count += sheet->seen[i].particle == particle;
	return count;
}

/* Only those of the particle that is meant stay. */
static int choose_particle(struct sheet *sheet, const struct sheet_options *options,
			   struct pn_error *err)
{
	uint64_t most = 0, kept = 0;

	sheet->particle = (uint64_t)options->particle;
	for (uint64_t i = 0; i < sheet->count && options->particle < 0; i++) {
		uint64_t particle = sheet->seen[i].particle;
		uint64_t count = i && particle == sheet->seen[i - 1].particle
					 ? 0 /* counted just before */
					 : crops_of(sheet, particle);

		if (count > most) {
			most = count;
			sheet->particle = particle;
		}
		if (2 * most >= sheet->count)
			break;
	}
	for (uint64_t i = 0; i < sheet->count; i++)
		if (sheet->seen[i].particle == sheet->particle)
			sheet->seen[kept++] = sheet->seen[i];
	sheet->count = kept;
	if (!kept)
		return pn_error_set(err, PN_ENOENT, "%s/clean: no crop of particle %" PRIu64,
				    options->session, sheet->particle);
	return PN_OK;
}

static void measure_gain(struct sheet *sheet)
{
	struct gain *gain = &sheet->gain;

	gain->crops = sheet->count;
	for (uint64_t i = 0; i < sheet->count; i++) {
		const struct seen *s = &sheet->seen[i];

		if (!s->network)
			continue;
		gain->by_network++;
		gain->noise += s->noise;
		if (isnan(s->snr_db) || isnan(s->raw_snr_db))
			continue;
		gain->pairs++;
		gain->snr_db += s->snr_db;
		gain->raw_snr_db += s->raw_snr_db;
	}
	gain->noise /= (double)gain->by_network;
	gain->snr_db /= (double)gain->pairs;
	gain->raw_snr_db /= (double)gain->pairs;
}

/* The crop as recorded that became @seen: both streams have the same order of particles and frames.
 */
static int find_recorded(struct sheet *sheet, const struct seen *seen, struct pn_msg *msg,
			 struct pn_crops_head *head, struct pn_error *err)
{
	int rc;

	while (!(rc = pn_log_read(sheet->crops, msg, err))) {
		rc = pn_msg_decode(&pn_crops_schema, msg, head, err);
		if (rc || (head->particle == seen->particle && head->frame == seen->frame))
			return rc;
	}
	return rc == PN_EEND ? pn_error_set(err, PN_ENOENT,
					    "crops: particle %" PRIu64 " on frame %" PRIu64
					    " is not there",
					    seen->particle, seen->frame)
			     : rc;
}

/* ---- drawing ------------------------------------------------------------------------------- */

static int compare_floats(const void *a, const void *b)
{
	float x = *(const float *)a, y = *(const float *)b;

	return (x > y) - (x < y);
}

/* Gray between the 0.5th and the 99.5th percentile. */
static int draw(uint8_t *picture, size_t nx, size_t y0, size_t x0, const float *image,
		const struct pn_crops_head *head, int zoom, struct pn_error *err)
{
	size_t pixels = head->ny * head->nx;
	float *sorted = malloc(pixels * sizeof *sorted);

	if (!sorted)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu pixels", pixels);
	memcpy(sorted, image, pixels * sizeof *sorted);
	qsort(sorted, pixels, sizeof *sorted, compare_floats);
	float low = sorted[pixels / 200], high = sorted[pixels - 1 - pixels / 200];

	free(sorted);
	for (size_t y = 0; y < head->ny * (size_t)zoom; y++)
		for (size_t x = 0; x < head->nx * (size_t)zoom; x++) {
			float value = image[y / (size_t)zoom * head->nx + x / (size_t)zoom];
			float gray = high > low ? 255 * (value - low) / (high - low) : 128;

			picture[(y0 + y) * nx + x0 + x] = (uint8_t)fminf(255, fmaxf(0, gray));
		}
	return PN_OK;
}

/* Both rows of one column. */
static int draw_column(struct sheet *sheet, const struct seen *seen, uint8_t *picture, size_t side,
		       size_t nx, size_t x0, int zoom, struct pn_error *err)
{
	for (int row = 0; row < 2; row++) {
		struct pn_crops_head head;
		struct pn_msg msg;
		int rc = row ? pn_log_read_at(sheet->clean, seen->seq, &msg, err)
			     : find_recorded(sheet, seen, &msg, &head, err);

		if (!rc && row)
			rc = pn_msg_decode(&pn_crops_schema, &msg, &head, err);
		if (rc)
			return rc;
		if (head.ny * (size_t)zoom > side || head.nx * (size_t)zoom > side)
			return pn_error_set(err, PN_EFORMAT,
					    "frame %" PRIu64 ": a crop of %" PRIu64 " x %" PRIu64
					    ", the first ones are %zu",
					    seen->frame, head.ny, head.nx, side / (size_t)zoom);
		float *image = malloc(head.ny * head.nx * sizeof *image);
		if (!image)
			return pn_error_set(err, PN_ENOMEM, "no memory for a crop");
		pn_to_f32(image, msg.payload, head.dtype, head.ny * head.nx);
		rc = draw(picture, nx, (size_t)row * (side + GAP_PX), x0, image, &head, zoom, err);
		free(image);
		if (rc)
			return rc;
	}
	return PN_OK;
}

static int draw_sheet(struct sheet *sheet, const struct sheet_options *options, const char *out,
		      struct pn_error *err)
{
	uint64_t columns = (uint64_t)options->count;
	struct pn_crops_head first;
	struct pn_msg msg;

	columns = columns < sheet->count ? columns : sheet->count;
	int rc = pn_log_read_at(sheet->clean, sheet->seen[0].seq, &msg, err);
	if (!rc)
		rc = pn_msg_decode(&pn_crops_schema, &msg, &first, err);
	if (rc)
		return rc;
	size_t side = (first.ny > first.nx ? first.ny : first.nx) * (size_t)options->zoom;
	size_t nx = columns * (side + GAP_PX) - GAP_PX, ny = 2 * side + GAP_PX;
	uint8_t *picture = malloc(ny * nx);
	if (!picture)
		return pn_error_set(err, PN_ENOMEM, "no memory for a picture of %zu x %zu", ny, nx);
	memset(picture, 255, ny * nx);
	for (uint64_t c = 0; c < columns && !rc; c++)
		rc = draw_column(sheet, &sheet->seen[(2 * c + 1) * sheet->count / (2 * columns)],
				 picture, side, nx, c * (side + GAP_PX), (int)options->zoom, err);
	if (!rc)
		rc = pn_png_write(out, picture, ny, nx, 1, err);
	free(picture);
	return rc;
}

/* ---- telling ------------------------------------------------------------------------------- */

static void tell(const struct sheet *sheet, const struct sheet_options *options, const char *out)
{
	const struct gain *gain = &sheet->gain;
	uint64_t columns =
		(uint64_t)options->count < sheet->count ? (uint64_t)options->count : sheet->count;

	printf("%s: particle %" PRIu64 ", as recorded above, denoised below; frames", out,
	       sheet->particle);
	for (uint64_t c = 0; c < columns; c++) {
		const struct seen *s = &sheet->seen[(2 * c + 1) * sheet->count / (2 * columns)];

		printf(" %" PRIu64 "%s", s->frame, s->network ? "" : " (recorded)");
	}
	printf("\n%" PRIu64 " of %" PRIu64 " crops by the network, the others as recorded\n",
	       gain->by_network, gain->crops);
	if (gain->pairs)
		printf("SNR of adjacent frames: %.1f dB as recorded, %.1f dB denoised (which share "
		       "what lies between them); noise taken out: rms %.3g\n",
		       gain->raw_snr_db, gain->snr_db, gain->noise);
}

static void tell_json(const struct sheet *sheet, const char *out)
{
	const struct gain *gain = &sheet->gain;
	struct pn_json json;

	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	pn_json_text(&json, "out", out);
	pn_json_u64(&json, "particle", sheet->particle);
	pn_json_u64(&json, "crops", gain->crops);
	pn_json_u64(&json, "by_network", gain->by_network);
	pn_json_f64(&json, "raw_snr_db", gain->raw_snr_db);
	pn_json_f64(&json, "snr_db", gain->snr_db);
	pn_json_f64(&json, "noise", gain->noise);
	pn_json_end(&json);
}

static int run(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	struct sheet_options *options = arg;
	struct sheet sheet = { 0 };
	char out[PATH_MAX];

	(void)extra;
	(void)extra_count;
	int rc = options->out[0] ? (snprintf(out, sizeof out, "%s", options->out), PN_OK)
				 : pn_path_join(out, options->session, "denoise.png", err);

	if (!rc)
		rc = pn_path_free(out, options->force, err);
	if (!rc)
		rc = open_stream(&sheet.clean, options->session, "clean", err);
	if (!rc)
		rc = open_stream(&sheet.crops, options->session, "crops", err);
	if (!rc)
		rc = list_clean(&sheet, options->session, err);
	if (!rc)
		rc = choose_particle(&sheet, options, err);
	if (!rc) {
		measure_gain(&sheet);
		rc = draw_sheet(&sheet, options, out, err);
	}
	if (!rc && options->json)
		tell_json(&sheet, out);
	else if (!rc)
		tell(&sheet, options, out);
	pn_log_read_close(sheet.clean);
	pn_log_read_close(sheet.crops);
	free(sheet.seen);
	return rc;
}

const struct pn_command pn_denoise_sheet = {
	.name = "sheet",
	.brief = "crops of a session as recorded and as denoised, as a picture",
	.usage = "SESSION [--out FILE.png] [flags]",
	.params = params,
	.options_size = sizeof(struct sheet_options),
	.run = run,
};
