/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * samples - tilt series of others whose answer is known, by every method: R1, error to the truth,
 * atoms. Each figure is what the commands reconstruct, align, trace and score give with their own
 * settings, run as a user runs them: best stops by held-out tilts, resire after 300 iterations, the
 * others after 100; peaks are atoms from a confidence of 0.5 on, no nearer than 2.2 A, in a map
 * smoothed by 0.35 A; matched is within 1 A, a common shift taken out. With
 * --confidence-min 0.1 --min-distance-A 2 more is found of the films, and more is false. Seconds
 * are those of the reconstruction, on all threads.
 */
#include "bench.h"

#include "common/session.h"
#include "perrin/format/model.h"
#include "perrin/format/stack.h"
#include "perrin/format/xyz.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ARGUMENTS_MAX 24
#define REPORT_MAX    65536

extern char **environ;

static const char *const methods[] = { "best", "resire", "genfire", "sirt" };

struct sample {
	const char *name, *folder, *file;
	const char *elements; /* NULL: nothing to trace                                         */
	const char *truth;    /* atoms: .xyz, or .csv of voxels from 1; NULL: their places are not
				 known                                                          */
	const char *volume;   /* the true volume; NULL: not known                               */
	double pixel_A, background;
	int misaligned, film;
};

static const struct sample samples[] = {
	{ .name = "mg64",
	  .folder = "sim_mg_sample64",
	  .file = "proj.npy",
	  .volume = "truth_volume.npy",
	  .pixel_A = 1 },
	{ .name = "FePt321",
	  .folder = "sim_FePt321_prismatic",
	  .file = "proj_FePt.npy",
	  .elements = "Fe,Pt",
	  .pixel_A = 0.3725 },
	{ .name = "FePt321 misaligned",
	  .folder = "sim_FePt321_prismatic",
	  .file = "proj_FePt_misaligned.npy",
	  .elements = "Fe,Pt",
	  .pixel_A = 0.3725,
	  .misaligned = 1 },
	{ .name = "aSi208 1.6e5",
	  .folder = "sim_aSi208",
	  .file = "counts_dose1p6e5_u1.npy",
	  .elements = "Si",
	  .truth = "ground_truth_208.xyz",
	  .pixel_A = 0.195,
	  .background = 1 },
	{ .name = "aSi208 1.6e4",
	  .folder = "sim_aSi208",
	  .file = "counts_dose1p6e4_u1.npy",
	  .elements = "Si",
	  .truth = "ground_truth_208.xyz",
	  .pixel_A = 0.195,
	  .background = 1 },
	{ .name = "Ta area21",
	  .folder = "ta_area21",
	  .file = "proj.npy",
	  .elements = "Ta",
	  .truth = "atoms_voxel1based_and_A.csv",
	  .pixel_A = 0.3216,
	  .film = 1 },
	{ .name = "Ta area45",
	  .folder = "ta_area45",
	  .file = "proj.npy",
	  .elements = "Ta",
	  .truth = "atoms_voxel1based_and_A.csv",
	  .pixel_A = 0.3216,
	  .film = 1 },
};

/* One line of the table; NaN: there is no such figure. */
struct line {
	double r1, error, iterations, atoms, matched, truth, false_atoms, rmsd_pm, seconds;
};

/* What is worked on; paths are in the benchmark's folder, or in that of the data. */
struct work {
	struct bench *bench;
	const struct sample *sample;
	char tilts[PATH_MAX], angles[PATH_MAX], truth[PATH_MAX], volume_truth[PATH_MAX];
	char volume[PATH_MAX], atoms[PATH_MAX], report[PATH_MAX];
	char pixel_A[32];
	char *text; /* [REPORT_MAX] what the last command printed */
};

/* ---- commands ------------------------------------------------------------------------------ */

/* @words end with NULL. What it prints goes to work->text, NUL-terminated. */
static int perrin(struct work *w, char *const *words, struct pn_error *err)
{
	posix_spawn_file_actions_t actions;
	int status = 0, rc = PN_OK;
	pid_t child;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, w->report, O_WRONLY | O_CREAT | O_TRUNC,
					 0600);
	posix_spawn_file_actions_addopen(&actions, 2, "/dev/null", O_WRONLY, 0);
	int failed = posix_spawn(&child, "/proc/self/exe", &actions, NULL, words, environ);

	posix_spawn_file_actions_destroy(&actions);
	if (failed)
		return pn_error_errno(err, failed, "perrin %s", words[1]);
	while (waitpid(child, &status, 0) < 0 && errno == EINTR)
		;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		rc = pn_error_set(err, PN_EIO, "perrin %s %s: failed", words[1], words[2]);
	FILE *in = fopen(w->report, "r");
	size_t used = in ? fread(w->text, 1, REPORT_MAX - 1, in) : 0;

	w->text[used] = 0;
	if (in)
		fclose(in);
	return rc;
}

/* The number behind "key" in the report; NaN if there is none. */
static double number_of(const struct work *w, const char *key)
{
	char quoted[64];

	snprintf(quoted, sizeof quoted, "\"%s\":", key);
	const char *at = strstr(w->text, quoted);
	char *end;

	if (!at)
		return (double)NAN;
	double value = strtod(at += strlen(quoted), &end);

	return end == at ? (double)NAN : value;
}

/* ---- data ---------------------------------------------------------------------------------- */

/* Counts less their mean background, as float32. */
static int take_background(struct work *w, struct pn_error *err)
{
	struct pn_stack *stack;
	struct pn_stack_writer *writer = NULL;
	int rc = pn_stack_open(&stack, w->tilts, err);

	if (rc)
		return rc;
	struct pn_stack_info info = *pn_stack_info(stack);
	size_t pixels = info.ny * info.nx;
	void *raw = malloc(pixels * pn_dtype_bytes(info.dtype));
	float *image = malloc(pixels * sizeof *image);

	if (!raw || !image)
		rc = pn_error_set(err, PN_ENOMEM, "no memory for an image");
	snprintf(w->tilts, sizeof w->tilts, "%s", bench_path(w->bench, "tilts.npy"));
	struct pn_stack_info flat = {
		.dtype = PN_F32, .count = info.count, .ny = info.ny, .nx = info.nx, .format = "npy"
	};

	if (!rc)
		rc = pn_stack_create(&writer, w->tilts, &flat, err);
	for (size_t k = 0; k < info.count && !rc; k++) {
		rc = pn_stack_read(stack, k, raw, err);
		if (rc)
			break;
		pn_to_f32(image, raw, info.dtype, pixels);
		for (size_t i = 0; i < pixels; i++)
			image[i] -= (float)w->sample->background;
		rc = pn_stack_write(writer, image, err);
	}
	if (!rc)
		rc = pn_stack_finish(writer, err);
	else if (writer)
		pn_stack_abandon(writer);
	free(raw);
	free(image);
	pn_stack_close(stack);
	return rc;
}

/* Voxels counted from 1 in the published box [x][y][z], whose z is as long as its x. */
static int convert_truth(struct work *w, struct pn_error *err)
{
	struct pn_stack *stack;
	int rc = pn_stack_open(&stack, w->tilts, err);

	if (rc)
		return rc;
	double center[3] = { (double)(pn_stack_info(stack)->ny / 2),
			     (double)(pn_stack_info(stack)->nx / 2),
			     (double)(pn_stack_info(stack)->ny / 2) };
	FILE *in = fopen(w->truth, "r");
	struct pn_model *model = NULL;
	char line[256];
	size_t count = 0;

	pn_stack_close(stack);
	if (!in)
		return pn_error_errno(err, errno, "%s", w->truth);
	while (fgets(line, sizeof line, in))
		count++;
	rewind(in);
	rc = pn_model_create(&model, count ? count - 1 : 0, err);
	for (size_t i = 0; i < count && !rc && fgets(line, sizeof line, in); i++) {
		double r[3];

		if (!i)
			continue; /* the names of the columns */
		if (sscanf(line, "%lf,%lf,%lf", &r[0], &r[1], &r[2]) != 3)
			rc = pn_error_set(err, PN_EFORMAT, "%s: line %zu", w->truth, i + 1);
		for (int k = 0; k < 3 && !rc; k++)
			model->position_A[i - 1][k] = (r[k] - 1 - center[k]) * w->sample->pixel_A;
		if (!rc)
			model->element[i - 1] = 73;
	}
	fclose(in);
	snprintf(w->truth, sizeof w->truth, "%s", bench_path(w->bench, "truth.xyz"));
	if (!rc)
		rc = pn_xyz_write(w->truth, model, 1, err);
	pn_model_destroy(model);
	return rc;
}

static int align(struct work *w, struct pn_error *err)
{
	char out[PATH_MAX];

	snprintf(out, sizeof out, "%s", bench_path(w->bench, "aligned.npy"));
	char *words[] = { "perrin", "align", w->tilts, "--angles", w->angles, "--tilt-axis",
			  "x",      "--out", out,      "--force",  "--json",  NULL };
	int rc = perrin(w, words, err);

	snprintf(w->tilts, sizeof w->tilts, "%s", out);
	return rc;
}

/* PN_ENOENT if the data are not there. */
static int prepare(struct work *w, const char *data, struct pn_error *err)
{
	const struct sample *s = w->sample;
	char folder[PATH_MAX];

	if (pn_path_join(folder, data, s->folder, NULL) ||
	    pn_path_join(w->tilts, folder, s->file, NULL) ||
	    pn_path_join(w->angles, folder, "angles.csv", NULL) ||
	    pn_path_join(w->truth, folder, s->truth ? s->truth : "", NULL) ||
	    pn_path_join(w->volume_truth, folder, s->volume ? s->volume : "", NULL))
		return pn_error_set(err, PN_EARG, "PERRIN_DATA is too long");
	if (access(w->tilts, R_OK))
		return PN_ENOENT;
	snprintf(w->volume, sizeof w->volume, "%s", bench_path(w->bench, "volume.npy"));
	snprintf(w->atoms, sizeof w->atoms, "%s", bench_path(w->bench, "atoms.xyz"));
	snprintf(w->report, sizeof w->report, "%s", bench_path(w->bench, "report"));
	snprintf(w->pixel_A, sizeof w->pixel_A, "%.9g", s->pixel_A);
	int rc = PN_OK;

	if (s->truth && strstr(s->truth, ".csv"))
		rc = convert_truth(w, err);
	if (!rc && s->background > 0)
		rc = take_background(w, err);
	if (!rc && s->misaligned)
		rc = align(w, err);
	return rc;
}

/* ---- figures ------------------------------------------------------------------------------- */

/* The last @count numbers of an .npy of float32. */
static float *read_tail(const char *path, size_t count)
{
	float *values = malloc(count * sizeof *values);
	FILE *in = fopen(path, "rb");
	int ok = values && in && !fseek(in, -(long)(count * sizeof *values), SEEK_END) &&
		 fread(values, sizeof *values, count, in) == count;

	if (in)
		fclose(in);
	if (ok)
		return values;
	free(values);
	return NULL;
}

/* |u - truth| / |truth|; the true volume of the sample is of 64^3 voxels, z slowest in memory. */
static double volume_error(const struct work *w)
{
	enum { VOXELS = 64 * 64 * 64 };
	float *u = read_tail(w->volume, VOXELS), *truth = read_tail(w->volume_truth, VOXELS);
	double apart = 0, norm = 0;

	for (size_t i = 0; u && truth && i < VOXELS; i++) {
		double d = (double)u[i] - (double)truth[i];

		apart += d * d;
		norm += (double)truth[i] * (double)truth[i];
	}
	free(u);
	free(truth);
	return norm > 0 ? sqrt(apart / norm) : (double)NAN;
}

static int trace(struct work *w, struct line *line, struct pn_error *err)
{
	char *elements = strdup(w->sample->elements);
	char *words[] = { "perrin", "trace", w->volume, "--pixel-A", w->pixel_A, "--elements",
			  elements, "--out", w->atoms,  "--force",   "--json",   NULL };
	char *scoring[] = { "perrin", "score", w->atoms, w->truth, "--json", NULL };
	int rc = elements ? perrin(w, words, err) : pn_error_set(err, PN_ENOMEM, "no memory");

	free(elements);
	if (rc)
		return rc;
	line->atoms = number_of(w, "atoms");
	if (!w->sample->truth)
		return PN_OK;
	rc = perrin(w, scoring, err);
	line->matched = number_of(w, "matched");
	line->truth = number_of(w, "truth");
	line->false_atoms = number_of(w, "false");
	line->rmsd_pm = number_of(w, "rmsd_pm");
	return rc;
}

/* @extended: best for what goes on beyond the field */
static int one(struct work *w, const char *method, int extended, struct line *line,
	       struct pn_error *err)
{
	char *words[ARGUMENTS_MAX] = {
		"perrin",   "reconstruct", w->tilts,   "--angles",
		w->angles,  "--tilt-axis", "x",        "--pixel-A",
		w->pixel_A, "--out",       w->volume,  "--no-sheet",
		"--force",  "--json",      "--method", (char *)(uintptr_t)method
	};
	int used = 16;

	*line = (struct line){ NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN };
	if (extended)
		words[used++] = "--extended";
	if (w->bench->small) {
		words[used++] = "--iterations";
		words[used++] = "2";
	}
	int rc = perrin(w, words, err);

	if (rc)
		return rc;
	line->r1 = number_of(w, "r1");
	line->seconds = number_of(w, "seconds");
	line->iterations = number_of(w, "iterations");
	if (w->sample->volume)
		line->error = volume_error(w);
	return w->sample->elements ? trace(w, line, err) : PN_OK;
}

/* ---- the table ----------------------------------------------------------------------------- */

/* A figure as wide as its column, "-" where there is none. */
static const char *cell(char out[16], int width, int digits, double value)
{
	if (isfinite(value))
		snprintf(out, 16, "%*.*f", width, digits, value);
	else
		snprintf(out, 16, "%*s", width, "-");
	return out;
}

/* R1 is the value; the other columns are the note, the same in each line. */
static void tell(struct work *w, const char *method, const struct line *line)
{
	char error[16], atoms[16], matched[16], percent[16], wrong[16], rmsd[16], seconds[16];
	struct bench_result *r =
		bench_add(w->bench, 100 * line->r1, "% R1", "%s/%s", w->sample->name, method);

	bench_note(r,
		   "error %s  atoms %s  matched %s (%s %%)  false %s  RMSD %s pm  %s s  %.0f "
		   "iterations",
		   cell(error, 6, 4, line->error), cell(atoms, 4, 0, line->atoms),
		   cell(matched, 4, 0, line->matched),
		   cell(percent, 5, 1, 100 * line->matched / line->truth),
		   cell(wrong, 4, 0, line->false_atoms), cell(rmsd, 5, 1, line->rmsd_pm),
		   cell(seconds, 6, 1, line->seconds), line->iterations);
	fprintf(stderr, "  %-18s %-15s R1 %6.2f %%  %s\n", w->sample->name, method, 100 * line->r1,
		r->note);
}

static int all_methods(struct work *w, struct pn_error *err)
{
	struct line line;
	int rc = PN_OK;

	for (size_t m = 0; m < PN_COUNT(methods) && !rc; m++) {
		rc = one(w, methods[m], 0, &line, err);
		if (!rc)
			tell(w, methods[m], &line);
		if (!rc && !m && w->sample->film) {
			rc = one(w, methods[m], 1, &line, err);
			if (!rc)
				tell(w, "best --extended", &line);
		}
	}
	return rc;
}

static int run(struct bench *bench, struct pn_error *err)
{
	const char *data = getenv("PERRIN_DATA");
	int rc = PN_OK;

	if (!data || !data[0]) {
		fprintf(stderr, "  skipped: PERRIN_DATA does not say where the series are\n");
		return PN_OK;
	}
	struct work *w = calloc(1, sizeof *w);
	char *text = malloc(REPORT_MAX);

	if (!w || !text)
		rc = pn_error_set(err, PN_ENOMEM, "no memory for a report");
	for (size_t i = 0; i < (bench->small ? 1 : PN_COUNT(samples)) && !rc; i++) {
		*w = (struct work){ .bench = bench, .sample = &samples[i], .text = text };
		rc = prepare(w, data, err);
		if (rc == PN_ENOENT) {
			fprintf(stderr, "  skipped: %s is not there\n", w->tilts);
			rc = PN_OK;
			continue;
		}
		if (!rc)
			rc = all_methods(w, err);
	}
	free(text);
	free(w);
	return rc;
}

const struct bench_row bench_samples = {
	.name = "samples",
	.brief = "tilt series of PERRIN_DATA by every method: R1, error to the truth, atoms",
	.run = run,
};
