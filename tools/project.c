/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin project - what a volume or atoms look like from given angles. */
#include "command.h"
#include "common/out.h"
#include "common/text.h"
#include "common/tilts.h"
#include "perrin/base/clock.h"
#include "perrin/format/angles.h"
#include "perrin/format/model.h"
#include "perrin/tomo/model.h"
#include "perrin/tomo/projector.h"
#include "perrin/tomo/slice.h"
#include "score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define MARGIN_SIGMA 4.5 /* where a spot ends */

enum spot { SPOT_ELEMENT, SPOT_GAUSSIAN };
static const char *const spot_choices[] = { "element", "gaussian", NULL };
static const char *const axis_choices[] = { "y", "x", NULL };

struct project_flags {
	char source[PN_PARAM_TEXT_MAX], angles[PN_PARAM_TEXT_MAX], out[PN_PARAM_TEXT_MAX];
	double pixel_A, b_factor_A2, source_fwhm_A, z_power;
	int64_t ny, nx;
	int axis, spot, center, force;
};

#define OFF(field) offsetof(struct project_flags, field)
static const struct pn_param params[] = {
	{ .name = "source",
	  .help = "a volume: .mrc, .npy or TIFF; or atoms: .xyz or .pdb, (0, 0, 0) in the "
		  "middle",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(source),
	  .positional = 1,
	  .required = 1 },
	{ .name = "angles",
	  .unit = "FILE",
	  .help = "CSV with theta_deg (phi_deg, psi_deg), or one angle "
		  "a line",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(angles),
	  .required = 1 },
	{ .name = "out",
	  .unit = "FILE",
	  .help = "the projections: .mrc, .npy or .tif",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(out),
	  .required = 1 },
	{ .name = "pixel_A",
	  .unit = "A",
	  .help = "of the images (default: what the volume says; atoms need "
		  "it)",
	  .type = PN_PARAM_F64,
	  .off = OFF(pixel_A),
	  .max = 1e6 },
	{ .name = "tilt_axis",
	  .help = "the axis of the images the stage tilts about; with x the images "
		  "are written transposed",
	  .type = PN_PARAM_ENUM,
	  .off = OFF(axis),
	  .choices = axis_choices },
	{ .name = "ny",
	  .unit = "px",
	  .help = "rows of an image; 0: as the volume, or all that the atoms "
		  "reach",
	  .type = PN_PARAM_I64,
	  .off = OFF(ny),
	  .max = 4096 },
	{ .name = "nx",
	  .unit = "px",
	  .help = "columns of an image; 0: likewise",
	  .type = PN_PARAM_I64,
	  .off = OFF(nx),
	  .max = 4096 },
	{ .name = "spot",
	  .help = "atoms: electron scattering factor of the element, or one Gaussian",
	  .type = PN_PARAM_ENUM,
	  .off = OFF(spot),
	  .choices = spot_choices },
	{ .name = "b_factor_A2",
	  .unit = "A^2",
	  .help = "atoms: 8 pi^2 times the mean square amplitude; of "
		  "a Gaussian all of its width but the source",
	  .type = PN_PARAM_F64,
	  .off = OFF(b_factor_A2),
	  .def = 5,
	  .min = 1,
	  .max = 200 },
	{ .name = "source_fwhm_A",
	  .unit = "A",
	  .help = "atoms: Gaussian size of the probe's source",
	  .type = PN_PARAM_F64,
	  .off = OFF(source_fwhm_A),
	  .def = 0.8,
	  .max = 10 },
	{ .name = "z_power",
	  .help = "atoms: an atom's pixels sum up to Z to this power",
	  .type = PN_PARAM_F64,
	  .off = OFF(z_power),
	  .def = 1.7,
	  .min = 0,
	  .max = 4 },
	{ .name = "center",
	  .help = "atoms: the middle of their extent is moved to (0, 0, 0)",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(center) },
	{ .name = "force",
	  .help = "replace a file that is there",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(force) },
	{ 0 },
};

static void more_help(FILE *out)
{
	fputs("A volume is projected as the band-limited function its voxels are samples of: by "
	      "windowed sinc for\ntilts about one axis, by central slices of its Fourier transform "
	      "otherwise. Atoms are projected\nas the linear incoherent model of ADF images. "
	      "`perrin reconstruct` with the same angles and\n--tilt-axis goes the way back.\n",
	      out);
}

struct job {
	const struct project_flags *flags;
	struct pn_angles angles;
	struct pn_pose *pose;
	size_t ny, nx; /* with the tilt axis along y, as the kernels have it */
	double pixel_A;
	float *image;
	size_t atoms, outside; /* outside: not in every image */
};

/* ---- images -------------------------------------------------------------------------------- */

static int load_angles(struct job *job, struct pn_error *err)
{
	int rc = pn_angles_read(&job->angles, job->flags->angles, NULL, err);

	if (rc)
		return rc;
	job->pose = malloc(job->angles.count * sizeof *job->pose);
	if (!job->pose)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu poses", job->angles.count);
	for (size_t k = 0; k < job->angles.count; k++)
		pn_pose_euler(&job->pose[k], job->angles.angle_deg[k][0],
			      job->angles.angle_deg[k][1], job->angles.angle_deg[k][2]);
	return PN_OK;
}

/* The shape asked for, else @ny x @nx with the axis along y; and memory for the images. */
static int make_images(struct job *job, size_t ny, size_t nx, struct pn_error *err)
{
	int turned = job->flags->axis == PN_TILT_AXIS_X;
	int64_t rows = turned ? job->flags->nx : job->flags->ny;
	int64_t columns = turned ? job->flags->ny : job->flags->nx;

	job->ny = rows ? (size_t)rows : ny;
	job->nx = columns ? (size_t)columns : nx;
	job->image = calloc(job->angles.count * job->ny * job->nx, sizeof *job->image);
	if (!job->image)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu images of %zu x %zu pixels",
				    job->angles.count, job->ny, job->nx);
	return PN_OK;
}

/* ---- a volume ------------------------------------------------------------------------------ */

static int project_one_axis(struct job *job, const float *volume, const struct pn_box *box,
			    struct pn_error *err)
{
	struct pn_projector *projector;
	int rc = pn_projector_plan(&projector, box, job->pose, job->angles.count, job->ny, job->nx,
				   PN_FOOTPRINT_SINC, err);

	if (rc)
		return rc;
	pn_project(projector, volume, job->image);
	pn_projector_destroy(projector);
	return PN_OK;
}

static int project_any_axis(struct job *job, const float *volume, const struct pn_box *box,
			    struct pn_error *err)
{
	struct pn_slicer *slicer;
	int rc = pn_slicer_plan(&slicer, box, job->ny, job->nx, 0, err);

	if (rc)
		return rc;
	pn_slicer_prepare(slicer, volume);
	pn_slicer_project(slicer, job->pose, job->angles.count, job->image);
	pn_slicer_destroy(slicer);
	return PN_OK;
}

static int check_voxels(const float *volume, const struct pn_box *box, const char *path,
			struct pn_error *err)
{
	size_t voxels = pn_box_voxels(box), plane = box->ny * box->nx;

	for (size_t i = 0; i < voxels; i++)
		if (!isfinite(volume[i]))
			return pn_error_set(err, PN_EARG, "%s: voxel (%zu, %zu, %zu) is %g", path,
					    i / plane, i % plane / box->nx, i % box->nx,
					    (double)volume[i]);
	return PN_OK;
}

static int project_volume(struct job *job, struct pn_error *err)
{
	struct pn_box box;
	float *volume;
	int rc = pn_volume_read(&volume, &box, &job->pixel_A, job->flags->source, err);

	if (rc)
		return rc;
	if (job->flags->pixel_A > 0)
		job->pixel_A = job->flags->pixel_A;
	rc = check_voxels(volume, &box, job->flags->source, err);
	if (!rc)
		rc = make_images(job, box.ny, box.nx, err);
	if (!rc)
		rc = pn_poses_single_axis(job->pose, job->angles.count)
			     ? project_one_axis(job, volume, &box, err)
			     : project_any_axis(job, volume, &box, err);
	free(volume);
	return rc;
}

/* ---- atoms --------------------------------------------------------------------------------- */

static int make_spot(struct pn_atom_spot *spot, const struct project_flags *flags, int element,
		     struct pn_error *err)
{
	double intensity = pow(element, flags->z_power);
	double sigma_A = flags->source_fwhm_A / sqrt(8 * M_LN2);

	if (flags->spot == SPOT_ELEMENT)
		return pn_atom_spot_element(spot, element, intensity, flags->b_factor_A2,
					    flags->source_fwhm_A, err);
	pn_atom_spot_gauss(spot, intensity, flags->b_factor_A2);
	spot->variance_A2[0] += sigma_A * sigma_A;
	return PN_OK;
}

/* Elements in the order they come become species. */
static int name_species(struct pn_linear_model *m, const struct pn_model *atoms,
			const struct project_flags *flags, struct pn_error *err)
{
	uint8_t element[PN_MODEL_SPECIES_MAX];

	for (size_t i = 0; i < atoms->count; i++) {
		int s = 0;

		while (s < m->species_count && element[s] != atoms->element[i])
			s++;
		m->species[i] = (uint8_t)s;
		if (s < m->species_count)
			continue;
		if (!atoms->element[i])
			return pn_error_set(err, PN_EARG, "%s: atom %zu is of no known element",
					    flags->source, i + 1);
		if (s == PN_MODEL_SPECIES_MAX)
			return pn_error_set(err, PN_EARG, "%s: more than %d elements",
					    flags->source, PN_MODEL_SPECIES_MAX);
		int rc = make_spot(&m->spot[s], flags, atoms->element[i], err);

		if (rc)
			return rc;
		element[m->species_count++] = atoms->element[i];
	}
	return PN_OK;
}

static void put_in_the_middle(struct pn_model *atoms)
{
	for (int k = 0; k < 3; k++) {
		double least = INFINITY, most = -INFINITY;

		for (size_t i = 0; i < atoms->count; i++) {
			least = fmin(least, atoms->position_A[i][k]);
			most = fmax(most, atoms->position_A[i][k]);
		}
		for (size_t i = 0; i < atoms->count; i++)
			atoms->position_A[i][k] -= (least + most) / 2;
	}
}

static double margin_px(const struct pn_linear_model *m)
{
	double variance_A2 = 0;

	for (int s = 0; s < m->species_count; s++)
		for (int g = 0; g < m->spot[s].gaussians; g++)
			variance_A2 = fmax(variance_A2, m->spot[s].variance_A2[g]);
	return MARGIN_SIGMA * sqrt(variance_A2) / m->pixel_A;
}

/* Where an atom is seen, from the origin of the image. */
static void seen_at(double at_px[2], const struct job *job, const struct pn_linear_model *m,
		    size_t atom, size_t k)
{
	for (int i = 0; i < 2; i++) {
		at_px[i] = 0;
		for (int j = 0; j < 3; j++)
			at_px[i] += job->pose[k].rotation[i][j] * m->position_A[atom][j];
		at_px[i] /= m->pixel_A;
	}
}

/* Even sides that hold every spot in every image. */
static int measure_field(const struct job *job, const struct pn_linear_model *m, size_t side[2],
			 struct pn_error *err)
{
	double reach[2] = { 0, 0 }, at_px[2], margin = margin_px(m);

	for (size_t k = 0; k < job->angles.count; k++)
		for (size_t a = 0; a < m->count; a++) {
			seen_at(at_px, job, m, a, k);
			for (int i = 0; i < 2; i++)
				reach[i] = fmax(reach[i], fabs(at_px[i]));
		}
	for (int i = 0; i < 2; i++) {
		double wanted = 2 * (ceil(reach[i] + margin) + 1);

		if (wanted > 4096)
			return pn_error_set(err, PN_EARG,
					    "%s: the atoms reach over %.0f pixels of %g A; "
					    "--pixel-A, --center, or --ny and --nx",
					    job->flags->source, wanted, job->pixel_A);
		side[i] = (size_t)wanted;
	}
	return PN_OK;
}

static size_t count_outside(const struct job *job, const struct pn_linear_model *m)
{
	size_t outside = 0;

	for (size_t a = 0; a < m->count; a++) {
		int gone = 0;

		for (size_t k = 0; !gone && k < job->angles.count; k++) {
			double at_px[2];

			seen_at(at_px, job, m, a, k);
			gone = at_px[0] < -(double)(job->nx / 2) ||
			       at_px[0] > (double)(job->nx - 1 - job->nx / 2) ||
			       at_px[1] < -(double)(job->ny / 2) ||
			       at_px[1] > (double)(job->ny - 1 - job->ny / 2);
		}
		outside += (size_t)gone;
	}
	return outside;
}

static int project_model(struct job *job, struct pn_model *atoms, struct pn_error *err)
{
	struct pn_linear_model m = { .count = atoms->count,
				     .position_A = atoms->position_A,
				     .species = malloc(atoms->count + 1),
				     .pixel_A = job->pixel_A };
	size_t side[2] = { 0, 0 };
	int rc = m.species ? name_species(&m, atoms, job->flags, err)
			   : pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", m.count);

	if (!rc && job->flags->center)
		put_in_the_middle(atoms);
	if (!rc && !(job->flags->ny && job->flags->nx))
		rc = measure_field(job, &m, side, err);
	if (!rc)
		rc = make_images(job, side[1], side[0], err);
	if (!rc)
		rc = pn_linear_model_project(&m, job->pose, job->angles.count, job->ny, job->nx,
					     job->image, err);
	if (!rc) {
		job->atoms = m.count;
		job->outside = count_outside(job, &m);
	}
	free(m.species);
	return rc;
}

static int project_atoms(struct job *job, struct pn_error *err)
{
	struct pn_model *atoms = NULL;
	size_t frames = 0;

	job->pixel_A = job->flags->pixel_A;
	if (!(job->pixel_A > 0))
		return pn_error_set(err, PN_EARG, "%s: atoms have no pixels: --pixel-A",
				    job->flags->source);
	int rc = pn_model_open(&atoms, &frames, job->flags->source, err);

	if (!rc && (frames != 1 || !atoms->count))
		rc = pn_error_set(err, PN_EARG,
				  "%s: %zu models, the first of %zu atoms; one is "
				  "projected, and has some",
				  job->flags->source, frames, atoms->count);
	if (!rc)
		rc = project_model(job, atoms, err);
	pn_models_free(atoms, frames);
	return rc;
}

/* ---- the command --------------------------------------------------------------------------- */

static void print_text(const struct job *job, int64_t took_ns)
{
	int turned = job->flags->axis == PN_TILT_AXIS_X;
	char took[PN_TEXT_SHORT];

	if (job->atoms)
		printf("%zu atoms, ", job->atoms);
	printf("%zu projections of %zu x %zu px", job->angles.count, turned ? job->nx : job->ny,
	       turned ? job->ny : job->nx);
	if (job->pixel_A > 0)
		printf(" of %g A", job->pixel_A);
	printf(", %s\n", pn_text_duration(took, took_ns));
	if (job->outside)
		printf("%zu atoms leave the field in some of them\n", job->outside);
	printf("%s\n", job->flags->out);
}

static int run(void *options, char **extra, int extra_count, struct pn_error *err)
{
	struct job job = { .flags = options };
	int rc = pn_out_check_stack(job.flags->out, job.flags->force, err);
	int64_t start_ns = pn_now_ns();

	(void)extra;
	(void)extra_count;
	if (!rc)
		rc = load_angles(&job, err);
	if (!rc)
		rc = pn_score_is_model(job.flags->source) ? project_atoms(&job, err)
							  : project_volume(&job, err);
	if (!rc)
		rc = pn_out_tilts(job.flags->out, job.image, job.angles.count, job.ny, job.nx,
				  job.flags->axis == PN_TILT_AXIS_X, job.pixel_A, err);
	if (!rc)
		print_text(&job, pn_now_ns() - start_ns);
	pn_angles_free(&job.angles);
	free(job.pose);
	free(job.image);
	return rc;
}

const struct pn_command pn_command_project = {
	.name = "project",
	.brief = "projections of a volume, or of atoms",
	.usage = "VOLUME|ATOMS.xyz --angles FILE --out STACK [--pixel-A A] [flags]",
	.params = params,
	.options_size = sizeof(struct project_flags),
	.more_help = more_help,
	.run = run,
};
