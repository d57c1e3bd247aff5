/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin fit - a traced model fitted to the projections themselves. */
#include "command.h"
#include "common/out.h"
#include "common/text.h"
#include "common/tilts.h"
#include "perrin/base/clock.h"
#include "perrin/base/element.h"
#include "perrin/base/json.h"
#include "perrin/format/xyz.h"
#include "perrin/math/linear.h"
#include "perrin/tomo/flip.h"
#include "perrin/tomo/model_fit.h"
#include "perrin/tomo/rfactor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define WIDTHS       12  /* tried for the spots to start with                 */
#define WIDTH_MIN_A  0.2 /* the narrowest of them, but no less than this part */
#define WIDTH_MIN_PX 0.4 /* of a pixel                                        */
#define WIDTH_RANGE  6.0 /* the widest over the narrowest                     */
#define Z_POWER      1.7 /* of heights that the images do not tell apart      */

static const char *const noise_choices[] = { "gauss", "poisson", NULL };

struct fit_flags {
	char atoms[PN_PARAM_TEXT_MAX], out[PN_PARAM_TEXT_MAX];
	struct pn_tilts_flags tilts;
	int64_t profile, iterations, flip_rounds;
	double clamp_A, doubt;
	int noise, fit_shift, fit_scale, fit_offset, flip, flip_empty, force, json;
};

#define OFF(field) offsetof(struct fit_flags, field)
static const struct pn_param params[] = {
	{ .name = "atoms",
	  .help = "the traced atoms: .xyz or .pdb",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(atoms),
	  .positional = 1,
	  .required = 1 },
	{ .name = "tilts", .group = pn_tilts_params, .off = OFF(tilts) },
	{ .name = "out",
	  .unit = "FILE",
	  .help = "the fitted atoms as extended XYZ",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(out),
	  .required = 1 },
	{ .name = "noise",
	  .help = "gauss: least squares; poisson: pixels are counts, maximum likelihood",
	  .type = PN_PARAM_ENUM,
	  .off = OFF(noise),
	  .choices = noise_choices },
	{ .name = "profile",
	  .help = "Gaussians of a spot: 1 is height and B factor; 0: as estimated, not "
		  "fitted",
	  .type = PN_PARAM_I64,
	  .off = OFF(profile),
	  .def = 1,
	  .max = PN_SPOT_GAUSSIANS_MAX },
	{ .name = "fit_shift",
	  .help = "a shift of every tilt too",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(fit_shift) },
	{ .name = "fit_scale",
	  .help = "a scale of every tilt too",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(fit_scale) },
	{ .name = "fit_offset",
	  .help = "a constant background of every tilt too",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(fit_offset) },
	{ .name = "clamp_A",
	  .unit = "A",
	  .help = "how far an atom may go from its start",
	  .type = PN_PARAM_F64,
	  .off = OFF(clamp_A),
	  .def = 1,
	  .min = 0.001,
	  .max = 100 },
	{ .name = "iterations",
	  .help = "at most",
	  .type = PN_PARAM_I64,
	  .off = OFF(iterations),
	  .def = 200,
	  .min = 1,
	  .max = 100000 },
	{ .name = "flip",
	  .help = "doubtful atoms: the element that explains the images best; then fitted "
		  "again",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(flip) },
	{ .name = "flip_empty",
	  .help = "flip, and an atom may be found to be none",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(flip_empty) },
	{ .name = "doubt",
	  .help = "doubtful are atoms whose confidence or species_confidence is no larger; "
		  "without these columns all are",
	  .type = PN_PARAM_F64,
	  .off = OFF(doubt),
	  .def = 0.9,
	  .min = 0,
	  .max = 1 },
	{ .name = "flip_rounds",
	  .help = "of flipping and fitting again, at most",
	  .type = PN_PARAM_I64,
	  .off = OFF(flip_rounds),
	  .def = 3,
	  .min = 1,
	  .max = 100 },
	{ .name = "force",
	  .help = "replace a file that is there",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(force) },
	{ .name = "json",
	  .help = "print the report as JSON",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ 0 },
};

static void more_help(FILE *out)
{
	fputs("The linear incoherent model of ADF images, a spot of one shape per element at every "
	      "atom, is\nfitted to all tilts at once: positions, spots and what --fit-... ask for. "
	      "Spots start as the\nGaussians that suit the traced atoms best. Check of the model: "
	      "R1 of a tilt is\nsum |model - image| / sum |image|, both less the background where "
	      "one is fitted.\n\n"
	      "Columns that are written besides those of ATOMS: sigma_pm, standard deviation of x, "
	      "y, z with all\nelse known (too small where spots overlap); moved_pm; flipped. With "
	      "--fit-shift the place of the\nwhole particle is open.\n\n"
	      "Of noisy tilts: trace with a low --confidence-min, and let --flip-empty find what "
	      "is no atom.\n",
	      out);
}

struct job {
	const struct fit_flags *flags;
	struct pn_tilts tilts;
	struct pn_model *atoms; /* as read */
	size_t frames;
	uint8_t element[PN_MODEL_SPECIES_MAX]; /* ascending, of the species */
	struct pn_linear_model model;
	struct pn_model_tilt *tilt; /* [count of tilts] */
	uint8_t *species_before;    /* [atoms] */
	double (*sigma_pm)[3];
	double *r1_before, *r1_after; /* [count of tilts] */
	double r1_mean_before, r1_mean_after;
	struct pn_model_fit_result result;
	size_t doubtful, flipped, emptied;
	int flip_rounds;
	double seconds;
};

static size_t image_bytes(const struct pn_projections *p)
{
	return p->count * p->ny * p->nx * sizeof(float);
}

/* ---- what is given ------------------------------------------------------------------------- */

static int name_species(struct job *job, struct pn_error *err)
{
	uint8_t there[256] = { 0 };
	int of[256], kinds = 0;

	for (size_t i = 0; i < job->atoms->count; i++) {
		if (!job->atoms->element[i])
			return pn_error_set(err, PN_EARG, "%s: atom %zu is of no known element",
					    job->flags->atoms, i + 1);
		there[job->atoms->element[i]] = 1;
	}
	for (int z = 1; z < 256; z++) {
		if (there[z] && kinds == PN_MODEL_SPECIES_MAX)
			return pn_error_set(err, PN_EARG, "%s: more than %d elements",
					    job->flags->atoms, PN_MODEL_SPECIES_MAX);
		if (there[z]) {
			job->element[kinds] = (uint8_t)z;
			of[z] = kinds++;
		}
	}
	job->model.species_count = kinds;
	for (size_t i = 0; i < job->atoms->count; i++)
		job->model.species[i] = (uint8_t)of[job->atoms->element[i]];
	memcpy(job->species_before, job->model.species, job->model.count);
	return PN_OK;
}

static int make_room(struct job *job, struct pn_error *err)
{
	size_t atoms = job->atoms->count, tilts = job->tilts.projections.count;

	job->model.count = atoms;
	job->model.pixel_A = job->tilts.pixel_A;
	job->model.position_A = malloc(atoms * sizeof *job->model.position_A);
	job->model.species = malloc(atoms);
	job->species_before = malloc(atoms);
	job->sigma_pm = malloc(atoms * sizeof *job->sigma_pm);
	job->tilt = calloc(tilts, sizeof *job->tilt);
	job->r1_before = malloc(tilts * sizeof *job->r1_before);
	job->r1_after = malloc(tilts * sizeof *job->r1_after);
	if (!job->model.position_A || !job->model.species || !job->species_before ||
	    !job->sigma_pm || !job->tilt || !job->r1_before || !job->r1_after)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms in %zu tilts", atoms,
				    tilts);
	memcpy(job->model.position_A, job->atoms->position_A,
	       atoms * sizeof *job->model.position_A);
	for (size_t k = 0; k < tilts; k++)
		job->tilt[k].scale = 1;
	return PN_OK;
}

static int load(struct job *job, struct pn_error *err)
{
	int rc = pn_model_open(&job->atoms, &job->frames, job->flags->atoms, err);

	if (!rc && (job->frames != 1 || !job->atoms->count))
		rc = pn_error_set(err, PN_EARG,
				  "%s: %zu models, the first of %zu atoms; one is fitted, and has "
				  "some",
				  job->flags->atoms, job->frames, job->atoms->count);
	if (!rc)
		rc = pn_tilts_load(&job->tilts, &job->flags->tilts, err);
	if (!rc && !(job->tilts.pixel_A > 0))
		rc = pn_error_set(err, PN_EARG,
				  "%s does not say how large its pixels are: --pixel-A",
				  job->flags->tilts.tilts);
	if (!rc)
		rc = make_room(job, err);
	if (!rc)
		rc = name_species(job, err);
	if (!rc && job->flags->flip && !job->flags->flip_empty && job->model.species_count < 2)
		rc = pn_error_set(err, PN_EARG,
				  "%s: atoms of one element: nothing to flip but by --flip-empty",
				  job->flags->atoms);
	return rc;
}

/* ---- spots to start with ------------------------------------------------------------------- */

/* What the heights of one width are found from: images less their mean where there is a background,
 * species by species. */
struct heights {
	const struct job *job;
	float *drawn;   /* [species][count][ny][nx], spots of intensity 1 */
	uint8_t *shown; /* [atoms] one species alone                      */
	double normal[PN_MODEL_SPECIES_MAX * PN_MODEL_SPECIES_MAX], right[PN_MODEL_SPECIES_MAX];
	double intensity[PN_MODEL_SPECIES_MAX];
	double gain; /* of the sum of squares */
};

static int draw_species(struct heights *h, double variance_A2, struct pn_error *err)
{
	const struct pn_projections *p = &h->job->tilts.projections;
	struct pn_linear_model m = h->job->model;
	int rc = PN_OK;

	m.species = h->shown;
	for (int s = 0; s < m.species_count; s++)
		pn_atom_spot_gauss(&m.spot[s], 1, pn_b_factor_A2(variance_A2));
	for (int s = 0; !rc && s < m.species_count; s++) {
		for (size_t i = 0; i < m.count; i++)
			h->shown[i] = h->job->model.species[i] == s ? (uint8_t)s : PN_NO_ATOM;
		rc = pn_linear_model_project(&m, p->pose, p->count, p->ny, p->nx,
					     h->drawn + (size_t)s * p->count * p->ny * p->nx, err);
	}
	return rc;
}

static double covariance(const float *a, const float *b, size_t pixels, int centered)
{
	double sum_a = 0, sum_b = 0, sum = 0;

	for (size_t i = 0; i < pixels; i++) {
		sum += (double)a[i] * (double)b[i];
		sum_a += (double)a[i];
		sum_b += (double)b[i];
	}
	return centered ? sum - sum_a * sum_b / (double)pixels : sum;
}

/* Least squares of all tilts; elements that come out dark get what their atomic number says. */
static int solve_heights(struct heights *h, struct pn_error *err)
{
	const struct pn_projections *p = &h->job->tilts.projections;
	const int n = h->job->model.species_count, centered = h->job->flags->fit_offset;
	size_t pixels = p->ny * p->nx, all = p->count * pixels;
	double one[PN_MODEL_SPECIES_MAX], top = 0, bottom = 0;

	memset(h->normal, 0, sizeof h->normal);
	memset(h->right, 0, sizeof h->right);
	for (size_t k = 0; k < p->count; k++)
		for (int s = 0; s < n; s++) {
			const float *mine = h->drawn + (size_t)s * all + k * pixels;

			h->right[s] += covariance(mine, p->image + k * pixels, pixels, centered);
			for (int t = 0; t < n; t++)
				h->normal[s * n + t] +=
					covariance(mine, h->drawn + (size_t)t * all + k * pixels,
						   pixels, centered);
		}
	int good = pn_solve_positive(h->intensity, h->normal, h->right, n, NULL) == PN_OK;

	for (int s = 0; s < n; s++) {
		good = good && h->intensity[s] > 0;
		one[s] = pow(h->job->element[s], Z_POWER);
	}
	for (int s = 0; s < n; s++) {
		top += one[s] * h->right[s];
		for (int t = 0; t < n; t++)
			bottom += one[s] * one[t] * h->normal[s * n + t];
	}
	if (!good && !(top > 0 && bottom > 0))
		return pn_error_set(err, PN_EARG,
				    "the atoms of %s are not where %s is bright: tilt axis, "
				    "angles, pixel size?",
				    h->job->flags->atoms, h->job->flags->tilts.tilts);
	h->gain = 0;
	for (int s = 0; s < n; s++) {
		h->intensity[s] = good ? h->intensity[s] : top / bottom * one[s];
		h->gain += h->intensity[s] * h->right[s];
	}
	return PN_OK;
}

static int try_widths(struct job *job, struct heights *h, struct pn_error *err)
{
	double least_A = fmax(WIDTH_MIN_A, WIDTH_MIN_PX * job->model.pixel_A), most = -INFINITY;

	for (int w = 0; w < WIDTHS; w++) {
		double sigma_A = least_A * pow(WIDTH_RANGE, w / (WIDTHS - 1.0));
		int rc = draw_species(h, sigma_A * sigma_A, err);

		if (!rc)
			rc = solve_heights(h, err);
		if (rc)
			return rc;
		if (h->gain <= most)
			continue;
		most = h->gain;
		for (int s = 0; s < job->model.species_count; s++)
			pn_atom_spot_gauss(&job->model.spot[s], h->intensity[s],
					   pn_b_factor_A2(sigma_A * sigma_A));
	}
	return PN_OK;
}

static int estimate(struct job *job, struct pn_error *err)
{
	struct heights h = { .job = job };

	h.drawn = malloc((size_t)job->model.species_count * image_bytes(&job->tilts.projections));
	h.shown = malloc(job->model.count);
	int rc = h.drawn && h.shown
			 ? try_widths(job, &h, err)
			 : pn_error_set(err, PN_ENOMEM, "no memory for images of %d elements",
					job->model.species_count);

	free(h.drawn);
	free(h.shown);
	return rc;
}

/* What the images are more than the model, on average. */
static int estimate_offsets(struct job *job, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;
	size_t pixels = p->ny * p->nx;

	if (!job->flags->fit_offset)
		return PN_OK;
	float *drawn = malloc(image_bytes(p));
	int rc = drawn ? pn_linear_model_project(&job->model, p->pose, p->count, p->ny, p->nx,
						 drawn, err)
		       : pn_error_set(err, PN_ENOMEM, "no memory for %zu images", p->count);

	for (size_t k = 0; !rc && k < p->count; k++) {
		double sum = 0;

		for (size_t i = k * pixels; i < (k + 1) * pixels; i++)
			sum += (double)p->image[i] - (double)drawn[i];
		job->tilt[k].offset = sum / (double)pixels;
	}
	free(drawn);
	return rc;
}

/* ---- the images as the bare model would have them ------------------------------------------ */

/* Offset and scale taken out, shifts in the poses; caller frees image and pose. */
static int undo_tilts(const struct job *job, struct pn_projections *clean, struct pn_error *err)
{
	const struct pn_projections *p = &job->tilts.projections;
	size_t pixels = p->ny * p->nx;
	float *image = malloc(image_bytes(p));
	struct pn_pose *pose = malloc(p->count * sizeof *pose);

	if (!image || !pose) {
		free(image);
		free(pose);
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu images", p->count);
	}
	for (size_t k = 0; k < p->count; k++) {
		const struct pn_model_tilt *t = &job->tilt[k];
		double scale = t->scale > 0 ? t->scale : 1;

		pose[k] = p->pose[k];
		pose[k].shift_px[0] += t->shift_px[0];
		pose[k].shift_px[1] += t->shift_px[1];
		for (size_t i = k * pixels; i < (k + 1) * pixels; i++)
			image[i] = (float)(((double)p->image[i] - t->offset) / scale);
	}
	*clean = *p;
	clean->image = image;
	clean->pose = pose;
	return PN_OK;
}

static int judge(const struct job *job, double *r1, double *mean, struct pn_error *err)
{
	struct pn_projections clean;
	int rc = undo_tilts(job, &clean, err);

	if (rc)
		return rc;
	size_t pixels = clean.ny * clean.nx;
	float *drawn = malloc(image_bytes(&clean));

	rc = drawn ? pn_linear_model_project(&job->model, clean.pose, clean.count, clean.ny,
					     clean.nx, drawn, err)
		   : pn_error_set(err, PN_ENOMEM, "no memory for %zu images", clean.count);
	*mean = 0;
	for (size_t k = 0; !rc && k < clean.count; k++) {
		double r2;

		pn_rfactor(&r1[k], &r2, drawn + k * pixels, clean.image + k * pixels, pixels);
		*mean += r1[k] / (double)clean.count;
	}
	free(drawn);
	free((void *)clean.image);
	free((void *)clean.pose);
	return rc;
}

/* ---- fitting and flipping ------------------------------------------------------------------ */

static int fit(struct job *job, struct pn_error *err)
{
	const struct fit_flags *flags = job->flags;
	const struct pn_model_fit_params fitting = {
		.noise = flags->noise ? PN_MODEL_POISSON : PN_MODEL_GAUSS,
		.shape = flags->profile == 0   ? PN_MODEL_SHAPE_FIXED
			 : flags->profile == 1 ? PN_MODEL_SHAPE_B
					       : PN_MODEL_SHAPE_PROFILE,
		.fit_scale = flags->fit_scale,
		.fit_offset = flags->fit_offset,
		.fit_shift = flags->fit_shift,
		.clamp_A = flags->clamp_A,
		.iterations_max = (int)flags->iterations,
	};
	int rc = pn_model_fit(&job->model, &job->tilts.projections, job->tilt, &fitting,
			      job->sigma_pm, &job->result, err);

	return rc ? pn_error_wrap(err, "%s", flags->tilts.tilts) : PN_OK;
}

/* One Gaussian becomes a core and what is around it. */
static void spread(struct pn_atom_spot *spot, int gaussians)
{
	static const double part[][PN_SPOT_GAUSSIANS_MAX] = { { 0.8, 0.2 },
							      { 0.6, 0.3, 0.1 },
							      { 0.4, 0.4, 0.15, 0.05 } };
	static const double width[][PN_SPOT_GAUSSIANS_MAX] = { { 0.8, 4 },
							       { 0.6, 1.5, 6 },
							       { 0.5, 1, 3, 10 } };
	const struct pn_atom_spot one = *spot;

	spot->gaussians = gaussians;
	for (int g = 0; g < gaussians; g++) {
		spot->intensity[g] = one.intensity[0] * part[gaussians - 2][g];
		spot->variance_A2[g] = one.variance_A2[0] * width[gaussians - 2][g];
	}
}

/* Indices of the atoms to be asked about; those of no confidence column are all. */
static size_t list_doubtful(const struct job *job, size_t *list)
{
	static const char *const names[] = { "confidence", "species_confidence" };
	size_t count = 0;

	for (size_t i = 0; i < job->model.count; i++) {
		double least = INFINITY;

		for (size_t c = 0; c < PN_COUNT(names); c++) {
			const struct pn_model_column *column =
				pn_model_find_column(job->atoms, names[c]);

			if (column && column->type == 'R' && column->components == 1)
				least = fmin(least, column->values[i]);
		}
		if (!isfinite(least) || least <= job->flags->doubt)
			list[count++] = i;
	}
	return count;
}

static int flip(struct job *job, const size_t *list, size_t *changed, struct pn_error *err)
{
	const struct pn_flip_params flipping = { .no_atom = job->flags->flip_empty, .seed = 1 };
	struct pn_flip_result result = { 0 };
	struct pn_projections clean;
	int rc = undo_tilts(job, &clean, err);

	if (rc)
		return rc;
	rc = pn_flip(&job->model, list, job->doubtful, &clean, &flipping, &result, err);
	*changed = result.changed;
	free((void *)clean.image);
	free((void *)clean.pose);
	return rc;
}

static int fit_and_flip(struct job *job, struct pn_error *err)
{
	size_t *list = malloc(job->model.count * sizeof *list), changed = 1;
	int rc = list ? PN_OK
		      : pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", job->model.count);

	for (int s = 0; !rc && job->flags->profile > 1 && s < job->model.species_count; s++)
		spread(&job->model.spot[s], (int)job->flags->profile);
	if (!rc)
		rc = fit(job, err);

	if (!rc && (job->flags->flip || job->flags->flip_empty))
		job->doubtful = list_doubtful(job, list);
	while (!rc && job->doubtful && changed && job->flip_rounds < job->flags->flip_rounds) {
		rc = flip(job, list, &changed, err);
		job->flip_rounds++;
		if (!rc && changed)
			rc = fit(job, err);
	}
	for (size_t i = 0; !rc && i < job->model.count; i++) {
		job->flipped += job->model.species[i] != job->species_before[i];
		job->emptied += job->model.species[i] == PN_NO_ATOM;
	}
	free(list);
	return rc;
}

/* From where it was traced. */
static double moved_pm(const struct job *job, size_t atom)
{
	double sum = 0;

	for (int k = 0; k < 3; k++)
		sum += pow(job->model.position_A[atom][k] - job->atoms->position_A[atom][k], 2);
	return 100 * sqrt(sum);
}

static double moved_rms_pm(const struct job *job)
{
	double sum = 0;

	for (size_t i = 0; i < job->model.count; i++)
		if (job->model.species[i] != PN_NO_ATOM)
			sum += pow(moved_pm(job, i), 2);
	return sqrt(sum / (double)(job->model.count - job->emptied));
}

/* ---- the file ------------------------------------------------------------------------------ */

/* Columns of the traced model for the atoms that are left, but those that are written anew. */
static int copy_columns(struct pn_model *out, const struct job *job, const size_t *from,
			struct pn_error *err)
{
	for (size_t c = 0; c < job->atoms->columns_count; c++) {
		const struct pn_model_column *old = &job->atoms->columns[c];
		struct pn_model_column *column;
		size_t n = (size_t)old->components;

		if (pn_model_find_column(out, old->name))
			continue;
		int rc = pn_model_add_column(out, old->name, old->type, old->components, &column,
					     err);

		if (rc)
			return rc;
		for (size_t i = 0; i < out->count; i++) {
			if (old->values)
				memcpy(column->values + n * i, old->values + n * from[i],
				       n * sizeof *column->values);
			else
				memcpy(column->text + n * i, old->text + n * from[i],
				       n * sizeof *column->text);
		}
	}
	return PN_OK;
}

static int add_columns(struct pn_model *out, const struct job *job, const size_t *from,
		       struct pn_error *err)
{
	struct pn_model_column *column;
	int rc = pn_model_add_column(out, "sigma_pm", 'R', 3, &column, err);

	for (size_t i = 0; !rc && i < out->count; i++)
		memcpy(column->values + 3 * i, job->sigma_pm[from[i]], sizeof *job->sigma_pm);
	if (!rc)
		rc = pn_model_add_column(out, "moved_pm", 'R', 1, &column, err);
	for (size_t i = 0; !rc && i < out->count; i++)
		column->values[i] = moved_pm(job, from[i]);
	if (!rc)
		rc = pn_model_add_column(out, "flipped", 'L', 1, &column, err);
	for (size_t i = 0; !rc && i < out->count; i++)
		column->values[i] = job->model.species[from[i]] != job->species_before[from[i]];
	return rc;
}

static int write_atoms(const struct job *job, struct pn_error *err)
{
	size_t left = job->model.count - job->emptied, n = 0;
	size_t *from = malloc((left + 1) * sizeof *from);
	struct pn_model *out = NULL;
	int rc = from ? pn_model_create(&out, left, err)
		      : pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", left);

	for (size_t i = 0; !rc && i < job->model.count; i++) {
		if (job->model.species[i] == PN_NO_ATOM)
			continue;
		memcpy(out->position_A[n], job->model.position_A[i], sizeof *out->position_A);
		out->element[n] = job->element[job->model.species[i]];
		from[n++] = i;
	}
	if (!rc)
		out->time_s = job->atoms->time_s;
	if (!rc)
		rc = add_columns(out, job, from, err);
	if (!rc)
		rc = copy_columns(out, job, from, err);
	if (!rc)
		rc = pn_xyz_write(job->flags->out, out, 1, err);
	pn_model_destroy(out);
	free(from);
	return rc;
}

/* ---- the report ---------------------------------------------------------------------------- */

static size_t count_species(const struct job *job, int s)
{
	size_t count = 0;

	for (size_t i = 0; i < job->model.count; i++)
		count += job->model.species[i] == s;
	return count;
}

/* Height and B factor of the whole spot: its sum, and its mean variance. */
static void sum_up(const struct pn_atom_spot *spot, double *intensity, double *b_A2)
{
	double moment = 0;

	*intensity = 0;
	for (int g = 0; g < spot->gaussians; g++) {
		*intensity += spot->intensity[g];
		moment += spot->intensity[g] * spot->variance_A2[g];
	}
	*b_A2 = *intensity > 0 ? pn_b_factor_A2(moment / *intensity) : (double)NAN;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of the lengths of sigma_pm; NaN if no atom has one. */
static double median_sigma_pm(const struct job *job)
{
	double *length = malloc(job->model.count * sizeof *length), median = NAN;
	size_t n = 0;

	for (size_t i = 0; length && i < job->model.count; i++) {
		const double *s = job->sigma_pm[i];
		double sum = sqrt(s[0] * s[0] + s[1] * s[1] + s[2] * s[2]);

		if (isfinite(sum))
			length[n++] = sum;
	}
	if (n) {
		qsort(length, n, sizeof *length, compare);
		median = length[n / 2];
	}
	free(length);
	return median;
}

static void json_species(const struct job *job, struct pn_json *json)
{
	pn_json_array(json, "species");
	for (int s = 0; s < job->model.species_count; s++) {
		const struct pn_atom_spot *spot = &job->model.spot[s];
		double intensity, b_A2;

		sum_up(spot, &intensity, &b_A2);
		pn_json_object(json, NULL);
		pn_json_text(json, "element", pn_element_symbol(job->element[s]));
		pn_json_u64(json, "atoms", count_species(job, s));
		pn_json_f64(json, "height", intensity);
		pn_json_f64(json, "b_A2", b_A2);
		pn_json_array(json, "gaussians");
		for (int g = 0; g < spot->gaussians; g++) {
			pn_json_object(json, NULL);
			pn_json_f64(json, "height", spot->intensity[g]);
			pn_json_f64(json, "b_A2", pn_b_factor_A2(spot->variance_A2[g]));
			pn_json_end(json);
		}
		pn_json_end(json);
		pn_json_end(json);
	}
	pn_json_end(json);
}

static void json_tilts(const struct job *job, struct pn_json *json)
{
	const int x = job->flags->tilts.axis == PN_TILT_AXIS_X, y = !x; /* of the stored images */

	pn_json_array(json, "per_tilt");
	for (size_t k = 0; k < job->tilts.projections.count; k++) {
		pn_json_object(json, NULL);
		pn_json_f64(json, "theta_deg", job->tilts.angle_deg[k][1]);
		pn_json_f64(json, "r1_before", job->r1_before[k]);
		pn_json_f64(json, "r1_after", job->r1_after[k]);
		pn_json_f64(json, "scale", job->tilt[k].scale);
		pn_json_f64(json, "offset", job->tilt[k].offset);
		pn_json_f64(json, "shift_x_px", job->tilt[k].shift_px[x]);
		pn_json_f64(json, "shift_y_px", job->tilt[k].shift_px[y]);
		pn_json_end(json);
	}
	pn_json_end(json);
}

static void print_json(const struct job *job)
{
	struct pn_json json;

	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	pn_json_text(&json, "tilts", job->flags->tilts.tilts);
	pn_json_u64(&json, "count", job->tilts.projections.count);
	pn_json_u64(&json, "atoms", job->model.count - job->emptied);
	pn_json_text(&json, "noise", noise_choices[job->flags->noise]);
	pn_json_i64(&json, "iterations", job->result.iterations);
	pn_json_bool(&json, "converged", job->result.converged);
	pn_json_f64(&json, "chi2", job->flags->noise ? job->result.chi2 : (double)NAN);
	pn_json_f64(&json, "moved_rms_pm", moved_rms_pm(job));
	pn_json_u64(&json, "clamped", job->result.clamped);
	pn_json_f64(&json, "sigma_median_pm", median_sigma_pm(job));
	json_species(job, &json);
	pn_json_u64(&json, "doubtful", job->doubtful);
	pn_json_i64(&json, "flip_rounds", job->flip_rounds);
	pn_json_u64(&json, "flipped", job->flipped - job->emptied);
	pn_json_u64(&json, "emptied", job->emptied);
	pn_json_f64(&json, "r1_before", job->r1_mean_before);
	pn_json_f64(&json, "r1_after", job->r1_mean_after);
	pn_json_f64(&json, "seconds", job->seconds);
	json_tilts(job, &json);
	pn_json_text(&json, "out", job->flags->out);
	pn_json_end(&json);
}

static void print_species(const struct job *job)
{
	for (int s = 0; s < job->model.species_count; s++) {
		const struct pn_atom_spot *spot = &job->model.spot[s];
		double intensity, b_A2;

		sum_up(spot, &intensity, &b_A2);
		printf("%-2s       %zu atoms, height %.4g, B %.2f A^2",
		       pn_element_symbol(job->element[s]), count_species(job, s), intensity, b_A2);
		for (int g = 0; spot->gaussians > 1 && g < spot->gaussians; g++)
			printf("%s%.4g of B %.2f", g ? " + " : " = ", spot->intensity[g],
			       pn_b_factor_A2(spot->variance_A2[g]));
		printf("\n");
	}
}

static void print_text(const struct job *job)
{
	const struct pn_projections *p = &job->tilts.projections;
	int turned = job->flags->tilts.axis == PN_TILT_AXIS_X;
	size_t worst = 0;
	char took[PN_TEXT_SHORT];

	for (size_t k = 1; k < p->count; k++)
		if (job->r1_after[k] > job->r1_after[worst])
			worst = k;
	printf("%zu atoms fitted to %zu tilts of %zu x %zu px, %s noise: %d iterations%s, %s\n",
	       job->model.count, p->count, turned ? p->nx : p->ny, turned ? p->ny : p->nx,
	       noise_choices[job->flags->noise], job->result.iterations,
	       job->result.converged ? "" : " (did not converge)",
	       pn_text_duration(took, (int64_t)(job->seconds * 1e9)));
	printf("moved    %.1f pm rms, %zu atoms as far as they may%s\n", moved_rms_pm(job),
	       job->result.clamped,
	       10 * job->result.clamped > job->model.count
		       ? ": are tilt axis, angles, pixel size right?"
		       : "");
	printf("sigma    %.2f pm, the median", median_sigma_pm(job));
	if (job->flags->noise)
		printf("; chi^2 %.3f per pixel", job->result.chi2);
	printf("\n");
	print_species(job);
	if (job->flags->flip || job->flags->flip_empty)
		printf("flipped  %zu atoms, %zu found empty, of %zu doubtful, in %d rounds\n",
		       job->flipped - job->emptied, job->emptied, job->doubtful, job->flip_rounds);
	printf("R1       %.2f %% before, %.2f %% after; worst %.2f %% at %g deg\n",
	       100 * job->r1_mean_before, 100 * job->r1_mean_after, 100 * job->r1_after[worst],
	       job->tilts.angle_deg[worst][1]);
	printf("%s\n", job->flags->out);
}

/* ---- the command --------------------------------------------------------------------------- */

static int work(struct job *job, struct pn_error *err)
{
	int64_t start_ns = pn_now_ns();
	int rc = estimate(job, err);

	if (!rc)
		rc = estimate_offsets(job, err);
	if (!rc)
		rc = judge(job, job->r1_before, &job->r1_mean_before, err);
	if (!rc)
		rc = fit_and_flip(job, err);
	if (!rc)
		rc = judge(job, job->r1_after, &job->r1_mean_after, err);
	job->seconds = (double)(pn_now_ns() - start_ns) / 1e9;
	return rc;
}

static int run(void *options, char **extra, int extra_count, struct pn_error *err)
{
	struct job job = { .flags = options };
	int rc = pn_out_check(job.flags->out, job.flags->force, err);

	(void)extra;
	(void)extra_count;
	if (!rc)
		rc = load(&job, err);
	if (!rc)
		rc = work(&job, err);
	if (!rc)
		rc = write_atoms(&job, err);
	if (!rc && job.flags->json)
		print_json(&job);
	else if (!rc)
		print_text(&job);
	pn_tilts_free(&job.tilts);
	pn_models_free(job.atoms, job.frames);
	free(job.model.position_A);
	free(job.model.species);
	free(job.species_before);
	free(job.sigma_pm);
	free(job.tilt);
	free(job.r1_before);
	free(job.r1_after);
	return rc;
}

const struct pn_command pn_command_fit = {
	.name = "fit",
	.brief = "traced atoms fitted to the projections; R factor, flipping (R30)",
	.usage = "ATOMS.xyz TILTS --angles FILE --out FITTED.xyz [--noise gauss|poisson] [flags]",
	.params = params,
	.options_size = sizeof(struct fit_flags),
	.more_help = more_help,
	.run = run,
};
