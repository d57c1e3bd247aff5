/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "tilts.h"

#include "perrin/format/angles.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

static const char *const axis_choices[] = { "y", "x", NULL };

#define OFF(field) offsetof(struct pn_tilts_flags, field)
/* clang-format off */
const struct pn_param pn_tilts_params[] = {
	{ .name = "tilts", .help = "stack of projections: .npy, MRC, TIFF, DM3, DM4, SER, EMD; "
	  "background 0", .type = PN_PARAM_TEXT, .off = OFF(tilts), .positional = 1, .required = 1 },
	{ .name = "angles", .unit = "FILE", .help = "CSV with theta_deg (phi_deg, psi_deg), or one angle "
	  "a line", .type = PN_PARAM_TEXT, .off = OFF(angles), .required = 1 },
	{ .name = "pixel_A", .unit = "A", .help = "of images and volume (default: what the stack says)",
	  .type = PN_PARAM_F64, .off = OFF(pixel_A), .min = 0, .max = 1e6 },
	{ .name = "tilt_axis", .help = "the axis of the images the stage tilts about; with x the images "
	  "are transposed, and so is the volume", .type = PN_PARAM_ENUM, .off = OFF(axis),
	  .choices = axis_choices },
	{ 0 },
};
/* clang-format on */

/* ---- stacks -------------------------------------------------------------------------------- */

/* Every image of a stack as float32, one behind the other; caller frees. */
static int read_all(float **images, struct pn_stack_info *info, const char *path,
		    struct pn_error *err)
{
	struct pn_stack *stack;
	int rc = pn_stack_open(&stack, path, err);

	*images = NULL;
	if (rc)
		return rc;
	*info = *pn_stack_info(stack);
	size_t pixels = info->ny * info->nx;
	void *raw = malloc(pixels * pn_dtype_bytes(info->dtype));

	*images = malloc(info->count * pixels * sizeof **images);
	if (info->dtype == PN_C64)
		rc = pn_error_set(err, PN_EUNSUPPORTED, "%s: complex images are no projections",
				  path);
	else if (!raw || !*images)
		rc = pn_error_set(err, PN_ENOMEM, "%s: %zu bytes for %zu images", path,
				  info->count * pixels * sizeof **images, info->count);
	for (size_t k = 0; !rc && k < info->count; k++) {
		rc = pn_stack_read(stack, k, raw, err);
		if (!rc)
			pn_to_f32(*images + k * pixels, raw, info->dtype, pixels);
	}
	free(raw);
	pn_stack_close(stack);
	if (rc) {
		free(*images);
		*images = NULL;
	}
	return rc;
}

static int transpose_all(struct pn_tilts *t, size_t count, size_t ny, size_t nx,
			 struct pn_error *err)
{
	float *turned = malloc(count * ny * nx * sizeof *turned);

	if (!turned)
		return pn_error_set(err, PN_ENOMEM, "no memory to transpose %zu images", count);
	for (size_t k = 0; k < count; k++)
		for (size_t y = 0; y < ny; y++)
			for (size_t x = 0; x < nx; x++)
				turned[(k * nx + x) * ny + y] = t->image[(k * ny + y) * nx + x];
	free(t->image);
	t->image = turned;
	return PN_OK;
}

/* ---- the series ---------------------------------------------------------------------------- */

static int load_angles(struct pn_tilts *t, const struct pn_tilts_flags *flags, size_t count,
		       struct pn_error *err)
{
	const struct pn_angles_rules rules = { .count = count, .stack = flags->tilts };
	struct pn_angles angles;
	int rc = pn_angles_read(&angles, flags->angles, &rules, err);

	if (rc)
		return rc;
	t->angle_deg = angles.angle_deg;
	t->unsorted = angles.unsorted;
	t->pose = calloc(count, sizeof *t->pose);
	if (!t->pose)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu poses", count);
	for (size_t k = 0; k < count; k++)
		pn_pose_euler(&t->pose[k], t->angle_deg[k][0], t->angle_deg[k][1],
			      t->angle_deg[k][2]);
	t->single_axis = pn_poses_single_axis(t->pose, count);
	return PN_OK;
}

int pn_tilts_load(struct pn_tilts *t, const struct pn_tilts_flags *flags, struct pn_error *err)
{
	struct pn_stack_info info;

	memset(t, 0, sizeof *t);
	int rc = read_all(&t->image, &info, flags->tilts, err);

	if (!rc)
		rc = load_angles(t, flags, info.count, err);
	if (!rc && flags->axis == PN_TILT_AXIS_X)
		rc = transpose_all(t, info.count, info.ny, info.nx, err);
	if (!rc) {
		int turned = flags->axis == PN_TILT_AXIS_X;

		t->pixel_A = flags->pixel_A > 0 ? flags->pixel_A : info.pixel_pm / 100;
		t->projections = (struct pn_projections){ .count = info.count,
							  .ny = turned ? info.nx : info.ny,
							  .nx = turned ? info.ny : info.nx,
							  .image = t->image,
							  .pose = t->pose };
		if (pn_projections_check(&t->projections, err))
			rc = pn_error_wrap(err, "%s", flags->tilts);
		for (size_t i = 0; !rc && i < info.count * info.ny * info.nx; i++)
			t->largest_pixel = fmax(t->largest_pixel, fabs((double)t->image[i]));
	}
	if (rc)
		pn_tilts_free(t);
	return rc;
}

void pn_tilts_free(struct pn_tilts *t)
{
	free(t->image);
	free(t->pose);
	free(t->angle_deg);
	memset(t, 0, sizeof *t);
}

/* ---- volumes ------------------------------------------------------------------------------- */

int pn_volume_write(const char *path, const float *volume, const struct pn_box *box, double pixel_A,
		    struct pn_error *err)
{
	struct pn_stack_info info = { .dtype = PN_F32,
				      .count = box->nz,
				      .ny = box->ny,
				      .nx = box->nx,
				      .pixel_pm = pixel_A * 100 };
	const char *dot = strrchr(path, '.');
	struct pn_stack_writer *writer;

	if (dot && strcasecmp(dot, ".npy") == 0)
		strcpy(info.format, "npy");
	else if (dot && (strcasecmp(dot, ".tif") == 0 || strcasecmp(dot, ".tiff") == 0))
		strcpy(info.format, "tiff");
	else if (dot && (strcasecmp(dot, ".mrc") == 0 || strcasecmp(dot, ".rec") == 0))
		strcpy(info.format, "mrc");
	else
		return pn_error_set(err, PN_EARG, "%s: a volume is written as .mrc, .npy or .tif",
				    path);
	int rc = pn_stack_create(&writer, path, &info, err);

	if (rc)
		return rc;
	for (size_t z = 0; !rc && z < box->nz; z++)
		rc = pn_stack_write(writer, volume + z * box->ny * box->nx, err);
	if (rc) {
		pn_stack_abandon(writer);
		return rc;
	}
	return pn_stack_finish(writer, err);
}

int pn_volume_read(float **volume, struct pn_box *box, double *pixel_A, const char *path,
		   struct pn_error *err)
{
	struct pn_stack_info info;
	int rc = read_all(volume, &info, path, err);

	if (rc)
		return rc;
	*box = (struct pn_box){ info.count, info.ny, info.nx };
	*pixel_A = info.pixel_pm / 100;
	return PN_OK;
}
