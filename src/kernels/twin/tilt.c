/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/twin/tilt.h"

#include "perrin/base/rng.h"
#include "perrin/math/fft.h"
#include "perrin/twin/adf.h"
#include "perrin/twin/brownian.h"
#include "perrin/twin/camera.h"

#include <math.h>
#include <stdlib.h>

enum purpose { FOR_SPECIMEN, FOR_ORIENTATION, FOR_STAGE, FOR_DRIFT, FOR_PHONONS, FOR_CAMERA };

struct pn_tilt_scene {
	struct pn_tilt_params p;
	struct pn_specimen *specimen; /* turned to its orientation at 0 degrees */
	uint64_t tilts;
	struct pn_camera *camera;
	struct pn_camera_scratch *scratch;
	double (*lab)[3]; /* [specimen->count] */
	float *image;     /* [ny][nx]          */
};

static const char *const dtype_words[] = { "u8", "u16", "f32", NULL };
static const char *const shape_words[] = { "sphere", "cuboctahedron", "truncated_octahedron",
					   "octahedron", NULL };

#define OFF(field) offsetof(struct pn_tilt_params, field)
#define NUMBER(name_, field, unit_, def_, min_, max_, help_)                       \
	{                                                                          \
		.name = name_, .unit = unit_, .help = help_, .type = PN_PARAM_F64, \
		.off = OFF(field), .def = def_, .min = min_, .max = max_           \
	}
#define WHOLE(name_, field, unit_, def_, min_, max_, help_)                        \
	{                                                                          \
		.name = name_, .unit = unit_, .help = help_, .type = PN_PARAM_I64, \
		.off = OFF(field), .def = def_, .min = min_, .max = max_           \
	}
#define CHOICE(name_, field, words, def_, help_)                                        \
	{                                                                               \
		.name = name_, .help = help_, .type = PN_PARAM_ENUM, .off = OFF(field), \
		.def = def_, .choices = words                                           \
	}
#define TEXT(name_, field, def_, help_)                                                 \
	{                                                                               \
		.name = name_, .help = help_, .type = PN_PARAM_TEXT, .off = OFF(field), \
		.def_text = def_                                                        \
	}

/* clang-format off */
const struct pn_param pn_tilt_param_table[] = {
	WHOLE("seed", seed, NULL, 1, 0, 0, "names all random numbers of the series"),
	WHOLE("ny", ny, "px", 256, 8, 8192, "rows of a frame"),
	WHOLE("nx", nx, "px", 256, 8, 8192, "columns of a frame"),
	NUMBER("pixel_A", pixel_A, "A", 0.34, 0.02, 5, "pixel at the specimen"),
	CHOICE("dtype", dtype, dtype_words, PN_SCENE_U16, "type of the pixels"),
	{ .name = "noise",
	  .help = "off: mean values instead of counted electrons",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(noise),
	  .def = 1 },
	CHOICE("shape", specimen.shape, shape_words, PN_SHAPE_TRUNCATED_OCTAHEDRON,
	       "outline of the particle"),
	TEXT("element", specimen.element, "Pt", "symbol of the metal"),
	TEXT("shell_element", specimen.shell_element, "", "symbol of the metal of the shell"),
	TEXT("alloy_element", specimen.alloy_element, "", "symbol of the metal mixed in at random"),
	NUMBER("diameter_nm", specimen.diameter_nm, "nm", 5, 0.1, 30,
	       "diameter of the sphere of equal volume"),
	NUMBER("lattice_A", specimen.lattice_A, "A", 0, 0, 20,
	       "edge of the cubic cell; 0: bulk value of the element"),
	NUMBER("shell_nm", specimen.shell_nm, "nm", 0, 0, 30, "depth of the shell"),
	NUMBER("alloy_fraction", specimen.alloy_fraction, NULL, 0, 0, 1,
	       "part of the core's atoms that are alloy_element"),
	NUMBER("vacancy_fraction", specimen.vacancy_fraction, NULL, 0, 0, 1,
	       "part of the sites that are empty"),
	NUMBER("static_A", specimen.thermal_A, "A", 0, 0, 2,
	       "rms displacement of atoms along each axis, for good"),
	{ .name = "random_orientation",
	  .help = "off: crystal axes along the axes of the stage",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(random_orientation),
	  .def = 1 },
	NUMBER("first_deg", first_deg, "deg", -73, -180, 180, "first tilt"),
	NUMBER("last_deg", last_deg, "deg", 73, -180, 180, "last tilt"),
	NUMBER("step_deg", step_deg, "deg", 3, 0.01, 360, "from tilt to tilt"),
	WHOLE("frames_per_tilt", frames_per_tilt, NULL, 3, 1, 1000, "frames at each tilt"),
	NUMBER("angle_jitter_deg", angle_jitter_deg, "deg", 0.1, 0, 10, "rms error of the stage"),
	NUMBER("drift_px", drift_px, "px", 0.5, 0, 100, "rms shift from frame to frame of a tilt"),
	NUMBER("offset_px", offset_px, "px", 3, 0, 1000, "rms position anew at each tilt"),
	NUMBER("phonon_A", phonon_A, "A", 0.07, 0, 1,
	       "rms displacement of atoms along each axis, new in each frame"),
	NUMBER("source_fwhm_A", source_fwhm_A, "A", 0.8, 0, 20, "Gaussian source"),
	NUMBER("probe_fwhm_A", probe_fwhm_A, "A", 0.7, 0.05, 20, "Gaussian probe"),
	NUMBER("z_power", z_power, NULL, 1.7, 0.5, 3, "exponent of the atomic number"),
	NUMBER("yield_A2", yield_A2, "A2", 1e-5, 1e-9, 1,
	       "cross-section to the detector / Z^power"),
	NUMBER("support", support, NULL, 0.005, 0, 1, "part of the beam scattered by the support"),
	NUMBER("dose_e_per_A2", dose_e_per_A2, "e/A2", 2000, 0, 1e9, "dose of a frame"),
	NUMBER("gain", gain, "1/e", 10, 1e-6, 1e6, "counts per electron on the detector"),
	NUMBER("readout_e", readout_e, "e", 0, 0, 1e4, "rms readout noise"),
	NUMBER("offset", offset, NULL, 0, -1e6, 1e6, "counts without beam"),
	NUMBER("saturation", saturation, NULL, 0, 0, 1e9, "highest value; 0: what the type holds"),
	{ 0 },
};
/* clang-format on */

static uint64_t key_of(const struct pn_tilt_scene *tilt, enum purpose purpose)
{
	return (uint64_t)tilt->p.seed + (uint64_t)(purpose + 1) * UINT64_C(0x9E3779B97F4A7C15);
}

enum pn_dtype pn_tilt_pixel_type(const struct pn_tilt_scene *tilt)
{
	static const enum pn_dtype types[] = { PN_U8, PN_U16, PN_F32 };

	return types[tilt->p.dtype];
}

uint64_t pn_tilt_frames(const struct pn_tilt_scene *tilt)
{
	return tilt->tilts * (uint64_t)tilt->p.frames_per_tilt;
}

const struct pn_specimen *pn_tilt_specimen(const struct pn_tilt_scene *tilt)
{
	return tilt->specimen;
}

static int check_params(const struct pn_tilt_params *p, struct pn_error *err)
{
	for (const struct pn_param *row = pn_tilt_param_table; row->name; row++) {
		const char *at = (const char *)p + row->off;
		double value = row->type == PN_PARAM_F64   ? *(const double *)at
			       : row->type == PN_PARAM_I64 ? (double)*(const int64_t *)at
							   : row->min;

		if (row->min != row->max && !(value >= row->min && value <= row->max))
			return pn_error_set(err, PN_EARG, "tilt series: %s = %g: must be %g..%g",
					    row->name, value, row->min, row->max);
	}
	if (p->last_deg < p->first_deg)
		return pn_error_set(err, PN_EARG, "tilt series: from %g to %g deg: must go up",
				    p->first_deg, p->last_deg);
	if (hypot(p->source_fwhm_A, p->probe_fwhm_A) > 90 * p->pixel_A)
		return pn_error_set(err, PN_EARG, "tilt series: a probe of %g A on pixels of %g A",
				    hypot(p->source_fwhm_A, p->probe_fwhm_A), p->pixel_A);
	if (p->dtype < PN_SCENE_U8 || p->dtype > PN_SCENE_F32)
		return pn_error_set(err, PN_EARG, "tilt series: dtype = %d", p->dtype);
	return PN_OK;
}

static void turn_specimen(struct pn_tilt_scene *tilt)
{
	struct pn_placement pose;
	struct pn_rng rng;
	double r[3][3];

	pn_rng_init(&rng, key_of(tilt, FOR_ORIENTATION), 0);
	pn_placement_random(&pose, &rng);
	pn_placement_rotation(&pose, r);
	for (size_t i = 0; i < tilt->specimen->count; i++) {
		double *a = tilt->specimen->position_A[i], b[3];

		for (int k = 0; k < 3; k++)
			b[k] = r[k][0] * a[0] + r[k][1] * a[1] + r[k][2] * a[2];
		for (int k = 0; k < 3; k++)
			a[k] = b[k];
	}
}

int pn_tilt_create(struct pn_tilt_scene **out, const struct pn_tilt_params *params,
		   struct pn_error *err)
{
	struct pn_camera_params camera = {
		.ny = (size_t)params->ny,
		.nx = (size_t)params->nx,
		.pixel_A = params->pixel_A,
		.dose_e_per_A2 = params->dose_e_per_A2,
		.dqe0 = 1,
		.gain = params->gain,
		.readout_e = params->readout_e,
		.offset = params->offset,
		.saturation = params->saturation,
		.noiseless = !params->noise,
	};
	int rc = check_params(params, err);

	*out = NULL;
	if (rc)
		return rc;
	struct pn_tilt_scene *tilt = calloc(1, sizeof *tilt);
	if (!tilt)
		return pn_error_set(err, PN_ENOMEM, "tilt series: no memory");
	tilt->p = *params;
	tilt->tilts = 1 + (uint64_t)floor(
				  (params->last_deg - params->first_deg) / params->step_deg + 1e-9);
	camera.dtype = pn_tilt_pixel_type(tilt);
	rc = pn_specimen_create(&tilt->specimen, &params->specimen, key_of(tilt, FOR_SPECIMEN),
				err);
	if (!rc)
		rc = pn_camera_plan(&tilt->camera, &camera, err);
	if (!rc)
		rc = pn_camera_scratch_create(&tilt->scratch, tilt->camera, err);
	if (rc)
		goto fail;
	if (params->random_orientation)
		turn_specimen(tilt);
	tilt->lab = calloc(tilt->specimen->count + 1, sizeof *tilt->lab);
	tilt->image = pn_fft_alloc(camera.ny * camera.nx * sizeof *tilt->image);
	if (!tilt->lab || !tilt->image) {
		rc = pn_error_set(err, PN_ENOMEM, "tilt series: no memory for %zu x %zu frames",
				  camera.ny, camera.nx);
		goto fail;
	}
	*out = tilt;
	return PN_OK;
fail:
	pn_tilt_destroy(tilt);
	return rc;
}

void pn_tilt_destroy(struct pn_tilt_scene *tilt)
{
	if (!tilt)
		return;
	pn_specimen_destroy(tilt->specimen);
	pn_camera_scratch_destroy(tilt->scratch);
	pn_camera_destroy(tilt->camera);
	free(tilt->lab);
	pn_fft_free(tilt->image);
	free(tilt);
}

static void fill_truth(const struct pn_tilt_scene *tilt, uint64_t frame,
		       struct pn_tilt_truth *truth)
{
	const struct pn_tilt_params *p = &tilt->p;
	uint64_t k = frame % (uint64_t)p->frames_per_tilt;
	struct pn_rng rng;

	truth->frame = frame;
	truth->tilt = (uint32_t)(frame / (uint64_t)p->frames_per_tilt);
	truth->nominal_deg = p->first_deg + truth->tilt * p->step_deg;
	pn_rng_init(&rng, key_of(tilt, FOR_STAGE), truth->tilt);
	truth->angle_deg = truth->nominal_deg + p->angle_jitter_deg * pn_rng_gauss(&rng);
	truth->x_px = (double)(p->nx / 2) + p->offset_px * pn_rng_gauss(&rng);
	truth->y_px = (double)(p->ny / 2) + p->offset_px * pn_rng_gauss(&rng);
	/* drift is a walk within the tilt */
	pn_rng_init(&rng, key_of(tilt, FOR_DRIFT), truth->tilt);
	for (uint64_t i = 0; i < k; i++) {
		truth->x_px += p->drift_px * pn_rng_gauss(&rng);
		truth->y_px += p->drift_px * pn_rng_gauss(&rng);
	}
}

int pn_tilt_frame(struct pn_tilt_scene *tilt, uint64_t frame, void *pixels,
		  struct pn_tilt_truth *out, struct pn_error *err)
{
	const struct pn_tilt_params *p = &tilt->p;
	const struct pn_adf_params adf = {
		.ny = (size_t)p->ny,
		.nx = (size_t)p->nx,
		.pixel_A = p->pixel_A,
		.source_fwhm_A = p->source_fwhm_A,
		.probe_fwhm_A = p->probe_fwhm_A,
		.z_power = p->z_power,
		.yield_A2 = p->yield_A2,
	};
	size_t count = tilt->specimen->count;
	struct pn_tilt_truth truth;
	struct pn_rng rng;

	if (frame >= pn_tilt_frames(tilt))
		return pn_error_set(err, PN_EEND, "tilt series: frame %llu of %llu",
				    (unsigned long long)frame,
				    (unsigned long long)pn_tilt_frames(tilt));
	fill_truth(tilt, frame, &truth);
	pn_adf_tilt(tilt->lab, (const double(*)[3])tilt->specimen->position_A, count,
		    truth.angle_deg);
	pn_rng_init(&rng, key_of(tilt, FOR_PHONONS), frame);
	for (size_t i = 0; i < count; i++) {
		for (int k = 0; k < 3 && p->phonon_A > 0; k++)
			tilt->lab[i][k] += p->phonon_A * pn_rng_gauss(&rng);
		tilt->lab[i][0] += (truth.x_px - (double)(p->nx / 2)) * p->pixel_A;
		tilt->lab[i][1] += (truth.y_px - (double)(p->ny / 2)) * p->pixel_A;
	}
	pn_adf_image(&adf, (const double(*)[3])tilt->lab, tilt->specimen->atomic_number, count,
		     tilt->image);
	for (size_t i = 0; i < adf.ny * adf.nx; i++)
		tilt->image[i] += (float)p->support;
	pn_camera_execute(tilt->camera, tilt->scratch, tilt->image, key_of(tilt, FOR_CAMERA), frame,
			  pixels);
	if (out)
		*out = truth;
	return PN_OK;
}
