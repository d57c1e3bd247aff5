/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Heads come from disk and from other programs; no bytes may hurt, and what decodes is stable.
 */
#include "perrin/stream/head.h"

#include "fuzz.h"

#include <math.h>
#include <string.h>

static union {
	struct pn_frames_head frames;
	struct pn_crops_head crops;
	struct pn_crystal_head crystal;
	struct pn_truth_head truth;
	struct pn_specimen_head specimen;
	struct pn_weights_head weights;
	struct pn_tilts_head tilts;
	struct pn_poses_head poses;
	struct pn_volumes_head volumes;
	struct pn_atoms_head atoms;
	struct pn_advice_head advice;
} head, again;

static void try_schema(const struct pn_schema *schema, const uint8_t *data, size_t size)
{
	char bytes[PN_HEAD_BYTES_MAX];
	struct pn_error err;
	size_t count = 0;

	pn_assert(schema->size <= sizeof head);
	memset(&head, 0, sizeof head);
	memset(&again, 0, sizeof again);
	if (pn_head_decode(schema, data, size, &head, &err))
		return;
	pn_assert(pn_head_type(data, size) == schema);
	pn_assert(pn_head_encode(schema, &head, bytes, sizeof bytes, &count, &err) == PN_OK);
	pn_assert(pn_head_decode(schema, bytes, count, &again, &err) == PN_OK);
	pn_assert(memcmp(&head, &again, sizeof head) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	for (unsigned i = 0; pn_schemas[i]; i++)
		try_schema(pn_schemas[i], data, size);
	return 0;
}

static const struct pn_frames_head frames = { .frame = 41,
					      .count = 3,
					      .dtype = PN_U16,
					      .ny = 512,
					      .nx = 640,
					      .pixel_pm = 35.8,
					      .dose_e_per_A2 = 12.5,
					      .energy_keV = 300,
					      .tilt_deg = NAN,
					      .offset_ns = { 0, 2500000, 5000000 },
					      .offset_count = 3 };
static const struct pn_crops_head crops = { .frame = 70000,
					    .particle = 3,
					    .state = 1,
					    .x_px = 200.25,
					    .y_px = -3.5,
					    .x0_px = 120,
					    .y0_px = -70,
					    .contrast = 0.25,
					    .dtype = PN_F32,
					    .ny = 96,
					    .nx = 96,
					    .pixel_pm = NAN,
					    .spots_per_A = { 0.2, 0.4, -0.2, 0.4 },
					    .spot_count = 4 };
static const struct pn_crystal_head crystal = { .frame = 1,
						.particle = 2,
						.x_px = 7,
						.y_px = 8,
						.peak = 30.5,
						.class = 1,
						.spacing_pm = 226.6,
						.diameter_nm = 2.1,
						.gx_per_A = 0.3,
						.gy_per_A = -0.3,
						.width_px = 1.2,
						.threshold = 9,
						.peak_mean = 20,
						.lattice_x_px = NAN,
						.lattice_y_px = NAN };
static const struct pn_truth_head truth = { .frame = UINT64_MAX,
					    .particle = 1,
					    .x_px = 3,
					    .y_px = 4,
					    .quaternion = { 0.5, -0.5, 0.5, 0.5 },
					    .quaternion_count = 4,
					    .center_A = { 1, 2, 3 },
					    .center_count = 3,
					    .version = 5,
					    .atoms = 600,
					    .diameter_nm = 2.4,
					    .lattice_A = 3.92,
					    .defocus_A = -50,
					    .zone_deg = { 1, 2, 3 },
					    .zone_count = 3,
					    .tilt_deg = -12.5 };
static const struct pn_specimen_head specimen = {
	.particle = 1, .version = 2, .atoms = 700, .lattice_A = 3.92
};

static const struct pn_poses_head poses = { .frame = 17,
					    .particle = 1,
					    .segment = 2,
					    .quaternion = { 0.5, -0.5, 0.5, -0.5 },
					    .quaternion_count = 4,
					    .score = 0.31,
					    .height = 2.5,
					    .angle_uncertainty_deg = 1.2,
					    .shift_uncertainty_px = NAN,
					    .probability = 0.97,
					    .entropy = 0.4,
					    .runner_up = { 1, 0, 0, 0 },
					    .runner_up_count = 4,
					    .runner_up_probability = 0.02,
					    .runner_up_is = 2,
					    .step_deg = 3.5,
					    .rotation_rad2_per_s = NAN,
					    .translation_A2_per_s = NAN,
					    .half = 1,
					    .map = 3,
					    .weight = 1 };
static const struct pn_volumes_head volumes = { .volume = 4,
						.particle = 1,
						.segment = 2,
						.images = 400,
						.misfit = NAN,
						.r1 = NAN,
						.r1_new = NAN,
						.held_out = NAN,
						.nz = 8,
						.ny = 8,
						.nx = 8,
						.pixel_pm = 35.8,
						.dose_e_per_A2 = NAN,
						.resolution_A = 1.2,
						.fsc = { 1, 0.9, 0.5, 0.1, -0.02 },
						.fsc_count = 5,
						.scf = 0.8,
						.far = 0.5,
						.empty = 0.1 };
static const struct pn_advice_head advice = { .advice = 1,
					      .particle = 1,
					      .segment = 2,
					      .confidence = 0.9,
					      .images = 400,
					      .dose_e_per_A2 = NAN,
					      .resolution_A = 1.2,
					      .next_resolution_A = 1.1,
					      .next_images = 400,
					      .gain_pm_per_s = NAN,
					      .atoms_kept = 0.98,
					      .score_fading = NAN,
					      .next_theta_deg = NAN,
					      .reasons = "1.2 A after 400 frames." };

size_t fuzz_seed(unsigned index, uint8_t *bytes, size_t room)
{
	static struct pn_frames_head batch;
	const void *const heads[] = { &frames, &crops,   &crystal, &truth, &specimen,
				      &poses,  &volumes, &advice,  &batch };
	const struct pn_schema *const schemas[] = { &pn_frames_schema,   &pn_crops_schema,
						    &pn_crystal_schema,  &pn_truth_schema,
						    &pn_specimen_schema, &pn_poses_schema,
						    &pn_volumes_schema,  &pn_advice_schema,
						    &pn_frames_schema };
	size_t size = 0;

	if (index >= PN_COUNT(heads))
		return 0;
	batch = frames; /* the longest head there is */
	batch.count = batch.offset_count = PN_BATCH_MAX;
	for (int i = 0; i < PN_BATCH_MAX; i++)
		batch.offset_ns[i] = INT64_C(100000000000) * i;
	pn_assert(pn_head_encode(schemas[index], heads[index], bytes, room, &size, NULL) == PN_OK);
	return size;
}

const unsigned fuzz_places = 1000;
