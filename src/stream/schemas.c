/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * schemas.c - the tables of the message types, and the rules that tie their fields together.
 *
 * What one field may hold by itself stands in its row. What fields must say together is checked by
 * the type's payload_bytes, which the encoder and the decoder both call:
 *
 *	frames    offset_ns has count values, starts with 0 and never falls
 *	crops     spots_per_A has pairs
 *	crystal   gx_per_A and gy_per_A are both known or both not; so are the lattice's centre's
 *	poses     quaternion has 4 values and norm 1, runner_up 4 or none
 *	volumes   fsc has as many values as the longest edge has shells, or none
 *	truth     quaternion has 4 values and norm 1, center_A and zone_deg have 3 values
 */
#include "perrin/stream/head.h"

#include <inttypes.h>
#include <math.h>

#define SIDE_PX_MAX  65536.0 /* pixels along one axis of an image                      */
#define PLACE_PX_MAX 1e6     /* places on a frame, also outside of it                  */
#define TIME_NS_MAX  1e18    /* 31 years: further apart no frames of one message are   */

const char *const pn_track_words[] = { "new", "found", NULL };
const char *const pn_clean_words[] = { "recorded", "network", NULL };
const char *const pn_training_words[] = { "falling", "levelled", NULL };
const char *const pn_tilt_words[] = { "merged", "cleaned", "aligned", "withdrawn", NULL };
const char *const pn_pose_words[] = { "oriented", "uncertain", "beginning", NULL };
const char *const pn_relation_words[] = { "none", "same", "flip", "other", NULL };
const char *const pn_verdict_words[] = { "continue", "enough", "structure changed",
					 "no longer useful", NULL };
const char *const pn_volume_words[] = { "growing", "final", NULL };
const char *const pn_class_words[] = { "low", "high", NULL };

/* The C type of the member says the field's type: the two cannot disagree. */
#define TYPE_OF(s, m) \
	_Generic(((struct s *)0)->m, uint64_t: PN_FIELD_U64, int64_t: PN_FIELD_I64,          \
		 double: PN_FIELD_F64, int: PN_FIELD_WORD, enum pn_dtype: PN_FIELD_DTYPE,    \
		 char *: PN_FIELD_TEXT, double *: PN_FIELD_F64S, int64_t *: PN_FIELD_I64S)

#define FIELD(s, m, u, h) \
	.key = #m, .unit = u, .help = h, .type = TYPE_OF(s, m), .off = offsetof(struct s, m)
#define ARRAY(s, m, count, u, h)                                   \
	FIELD(s, m, u, h), .count_off = offsetof(struct s, count), \
			   .capacity = PN_COUNT(((struct s *)0)->m)
#define RANGE(lo, hi) .min = lo, .max = hi

/* ---- frames -------------------------------------------------------------------------------- */

static const struct pn_field frames_fields[] = {
	{ FIELD(pn_frames_head, frame, "", "index of the first frame of the message") },
	{ FIELD(pn_frames_head, count, "", "frames in the message"), RANGE(1, PN_BATCH_MAX) },
	{ FIELD(pn_frames_head, dtype, "", "element type of the payload, NumPy's name") },
	{ FIELD(pn_frames_head, ny, "px", "rows"), RANGE(1, SIDE_PX_MAX) },
	{ FIELD(pn_frames_head, nx, "px", "columns"), RANGE(1, SIDE_PX_MAX) },
	{ FIELD(pn_frames_head, pixel_pm, "pm", "pixel size"), RANGE(1e-3, 1e9), .nullable = 1 },
	{ FIELD(pn_frames_head, dose_e_per_A2, "e/A2", "electrons per area and frame"),
	  RANGE(0, 1e12), .nullable = 1 },
	{ FIELD(pn_frames_head, energy_keV, "keV", "energy of the electrons"), RANGE(1e-3, 1e5),
	  .nullable = 1 },
	{ FIELD(pn_frames_head, tilt_deg, "deg", "tilt of the stage"), RANGE(-360, 360),
	  .nullable = 1 },
	{ ARRAY(pn_frames_head, offset_ns, offset_count, "ns",
		"time of each frame after the record's time_ns; as many as count, from 0, not "
		"falling"),
	  RANGE(0, TIME_NS_MAX) },
	{ NULL },
};

static int frames_payload(const void *head, uint64_t *bytes, struct pn_error *err)
{
	const struct pn_frames_head *h = head;

	if (h->offset_count != h->count)
		return pn_error_set(err, PN_EFRAME,
				    "frames.offset_ns: %" PRIu64 " values for %" PRIu64 " frames",
				    h->offset_count, h->count);
	if (h->offset_ns[0] != 0)
		return pn_error_set(err, PN_EFRAME,
				    "frames.offset_ns: starts with %" PRId64 ", not 0",
				    h->offset_ns[0]);
	for (uint64_t i = 1; i < h->count; i++)
		if (h->offset_ns[i] < h->offset_ns[i - 1])
			return pn_error_set(err, PN_EFRAME,
					    "frames.offset_ns: falls from %" PRId64 " to %" PRId64
					    " at value %" PRIu64,
					    h->offset_ns[i - 1], h->offset_ns[i], i);
	if (pn_array_bytes(h->dtype, 3, (const uint64_t[]){ h->count, h->ny, h->nx }, bytes))
		return pn_error_set(err, PN_EFRAME,
				    "frames: [%" PRIu64 "][%" PRIu64 "][%" PRIu64
				    "] of type %d is no array",
				    h->count, h->ny, h->nx, h->dtype);
	return PN_OK;
}

const struct pn_schema pn_frames_schema = {
	.type = "frames",
	.help = "What came from the detector. Payload: dtype [count][ny][nx].",
	.version = 1,
	.size = sizeof(struct pn_frames_head),
	.fields = frames_fields,
	.payload_bytes = frames_payload,
};

/* ---- crops --------------------------------------------------------------------------------- */

static const struct pn_field crops_fields[] = {
	{ FIELD(pn_crops_head, frame, "", "index of the frame") },
	{ FIELD(pn_crops_head, particle, "", "number of the particle, never used again") },
	{ FIELD(pn_crops_head, state, "", "seen for the first time, or found again"),
	  .words = pn_track_words },
	{ FIELD(pn_crops_head, x_px, "px",
		"centre of mass on the frame, pixel centres at whole numbers"),
	  RANGE(-PLACE_PX_MAX, PLACE_PX_MAX) },
	{ FIELD(pn_crops_head, y_px, "px", "centre of mass on the frame"),
	  RANGE(-PLACE_PX_MAX, PLACE_PX_MAX) },
	{ FIELD(pn_crops_head, x0_px, "px", "frame pixel of the first column"),
	  RANGE(-PLACE_PX_MAX, PLACE_PX_MAX) },
	{ FIELD(pn_crops_head, y0_px, "px", "frame pixel of the first row"),
	  RANGE(-PLACE_PX_MAX, PLACE_PX_MAX) },
	{ FIELD(pn_crops_head, contrast, "",
		"how far the particle stands out from its background") },
	{ FIELD(pn_crops_head, dtype, "", "element type of the payload, NumPy's name") },
	{ FIELD(pn_crops_head, ny, "px", "rows"), RANGE(1, SIDE_PX_MAX) },
	{ FIELD(pn_crops_head, nx, "px", "columns"), RANGE(1, SIDE_PX_MAX) },
	{ FIELD(pn_crops_head, pixel_pm, "pm", "pixel size"), RANGE(1e-3, 1e9), .nullable = 1 },
	{ ARRAY(pn_crops_head, spots_per_A, spot_count, "1/A",
		"gx, gy of each static lattice spot of the background"),
	  RANGE(-1e3, 1e3) },
	{ FIELD(pn_crops_head, made_by, "",
		"as recorded, or denoised by the network"),
	  .words = pn_clean_words },
	{ FIELD(pn_crops_head, weights, "", "record of the network's weights in their stream, from 1; 0 if none") },
	{ FIELD(pn_crops_head, neighbors, "", "frames before and after that went in") },
	{ FIELD(pn_crops_head, noise, "", "rms of recorded less denoised"), RANGE(0, 1e300),
	  .nullable = 1 },
	{ FIELD(pn_crops_head, snr_db, "dB", "signal to noise, by this frame and the one before"),
	  RANGE(-1e3, 1e3), .nullable = 1 },
	{ FIELD(pn_crops_head, raw_snr_db, "dB", "the same before denoising"), RANGE(-1e3, 1e3),
	  .nullable = 1 },
	{ NULL },
};

static int crops_payload(const void *head, uint64_t *bytes, struct pn_error *err)
{
	const struct pn_crops_head *h = head;

	if (h->spot_count % 2)
		return pn_error_set(err, PN_EFRAME,
				    "crops.spots_per_A: %" PRIu64 " values are not pairs",
				    h->spot_count);
	if (pn_array_bytes(h->dtype, 2, (const uint64_t[]){ h->ny, h->nx }, bytes))
		return pn_error_set(err, PN_EFRAME,
				    "crops: [%" PRIu64 "][%" PRIu64 "] of type %d is no array",
				    h->ny, h->nx, h->dtype);
	return PN_OK;
}

const struct pn_schema pn_crops_schema = {
	.type = "crops",
	.help = "One particle on one frame, as recorded or denoised. Payload: dtype [ny][nx].",
	.version = 2,
	.size = sizeof(struct pn_crops_head),
	.fields = crops_fields,
	.payload_bytes = crops_payload,
};

/* ---- crystal ------------------------------------------------------------------------------- */

static const struct pn_field crystal_fields[] = {
	{ FIELD(pn_crystal_head, frame, "", "index of the frame") },
	{ FIELD(pn_crystal_head, particle, "", "number of the particle") },
	{ FIELD(pn_crystal_head, x_px, "px",
		"centre on the frame: that of crops, corrected by the lattice"),
	  RANGE(-PLACE_PX_MAX, PLACE_PX_MAX) },
	{ FIELD(pn_crystal_head, y_px, "px", "centre on the frame"),
	  RANGE(-PLACE_PX_MAX, PLACE_PX_MAX) },
	{ FIELD(pn_crystal_head, peak, "",
		"largest intensity of the Fourier transform over its local background"),
	  RANGE(0, 1e300) },
	{ FIELD(pn_crystal_head, class, "", "how crystalline, of two classes"),
	  .words = pn_class_words },
	{ FIELD(pn_crystal_head, spacing_pm, "pm", "lattice spacing of the strongest peak"),
	  RANGE(0, 1e9), .nullable = 1 },
	{ FIELD(pn_crystal_head, diameter_nm, "nm",
		"diameter of the lattice area, if class is high"),
	  RANGE(0, 1e9), .nullable = 1 },
	{ FIELD(pn_crystal_head, gx_per_A, "1/A", "strongest peak"), RANGE(-1e3, 1e3),
	  .nullable = 1 },
	{ FIELD(pn_crystal_head, gy_per_A, "1/A", "strongest peak"), RANGE(-1e3, 1e3),
	  .nullable = 1 },
	{ FIELD(pn_crystal_head, width_px, "px", "fitted standard deviation of the strongest peak"),
	  RANGE(0, PLACE_PX_MAX), .nullable = 1 },
	{ FIELD(pn_crystal_head, threshold, "",
		"peak between the classes, as known at this frame") },
	{ FIELD(pn_crystal_head, peak_mean, "", "moving mean of peak") },
	{ FIELD(pn_crystal_head, lattice_x_px, "px", "centre of the lattice area on the frame"),
	  RANGE(-PLACE_PX_MAX, PLACE_PX_MAX), .nullable = 1 },
	{ FIELD(pn_crystal_head, lattice_y_px, "px", "centre of the lattice area on the frame"),
	  RANGE(-PLACE_PX_MAX, PLACE_PX_MAX), .nullable = 1 },
	{ NULL },
};

static int crystal_payload(const void *head, uint64_t *bytes, struct pn_error *err)
{
	const struct pn_crystal_head *h = head;

	if (isnan(h->gx_per_A) != isnan(h->gy_per_A))
		return pn_error_set(err, PN_EFRAME, "crystal: gx_per_A %g with gy_per_A %g",
				    h->gx_per_A, h->gy_per_A);
	if (isnan(h->lattice_x_px) != isnan(h->lattice_y_px))
		return pn_error_set(err, PN_EFRAME, "crystal: lattice_x_px %g with lattice_y_px %g",
				    h->lattice_x_px, h->lattice_y_px);
	*bytes = 0;
	return PN_OK;
}

const struct pn_schema pn_crystal_schema = {
	.type = "crystal",
	.help = "How crystalline one particle is on one frame. No payload.",
	.version = 1,
	.size = sizeof(struct pn_crystal_head),
	.fields = crystal_fields,
	.payload_bytes = crystal_payload,
};

/* ---- truth --------------------------------------------------------------------------------- */

static const struct pn_field truth_fields[] = {
	{ FIELD(pn_truth_head, frame, "", "index of the frame") },
	{ FIELD(pn_truth_head, particle, "", "number of the particle") },
	{ FIELD(pn_truth_head, x_px, "px",
		"centre of mass on the frame, pixel centres at whole numbers"),
	  RANGE(-PLACE_PX_MAX, PLACE_PX_MAX) },
	{ FIELD(pn_truth_head, y_px, "px", "centre of mass on the frame"),
	  RANGE(-PLACE_PX_MAX, PLACE_PX_MAX) },
	{ ARRAY(pn_truth_head, quaternion, quaternion_count, "",
		"w x y z of norm 1, turns the specimen into the laboratory frame"),
	  RANGE(-1.000001, 1.000001) },
	{ ARRAY(pn_truth_head, center_A, center_count, "A",
		"x y z in the laboratory from the field's centre, z along the beam"),
	  RANGE(-1e12, 1e12) },
	{ FIELD(pn_truth_head, version, "", "of the specimen: a record of the specimen stream") },
	{ FIELD(pn_truth_head, atoms, "", "atoms left") },
	{ FIELD(pn_truth_head, diameter_nm, "nm", "diameter of the projection"), RANGE(0, 1e9) },
	{ FIELD(pn_truth_head, lattice_A, "A", "lattice constant"), RANGE(0, 1e6) },
	{ FIELD(pn_truth_head, defocus_A, "A", "defocus"), RANGE(-1e12, 1e12) },
	{ ARRAY(pn_truth_head, zone_deg, zone_count, "deg",
		"smallest angle of the beam to <100>, <110>, <111>"),
	  RANGE(0, 90) },
	{ FIELD(pn_truth_head, tilt_deg, "deg", "tilt of the stage"), RANGE(-360, 360),
	  .nullable = 1 },
	{ NULL },
};

static int truth_payload(const void *head, uint64_t *bytes, struct pn_error *err)
{
	const struct pn_truth_head *h = head;
	double norm = 0;

	if (h->quaternion_count != 4 || h->center_count != 3 || h->zone_count != 3)
		return pn_error_set(err, PN_EFRAME,
				    "truth: %" PRIu64 " quaternion, %" PRIu64 " center_A, %" PRIu64
				    " zone_deg values; 4, 3 and 3 are needed",
				    h->quaternion_count, h->center_count, h->zone_count);
	for (unsigned i = 0; i < 4; i++)
		norm += h->quaternion[i] * h->quaternion[i];
	if (fabs(norm - 1) > 1e-6)
		return pn_error_set(err, PN_EFRAME, "truth.quaternion: squared norm %.9g, not 1",
				    norm);
	*bytes = 0;
	return PN_OK;
}

const struct pn_schema pn_truth_schema = {
	.type = "truth",
	.help = "What the twin knows of one particle on one frame. No payload.",
	.version = 1,
	.size = sizeof(struct pn_truth_head),
	.fields = truth_fields,
	.payload_bytes = truth_payload,
};

/* ---- weights ------------------------------------------------------------------------------- */

static const struct pn_field weights_fields[] = {
	{ FIELD(pn_weights_head, version, "", "1, 2, ..."), RANGE(1, 1e18) },
	{ FIELD(pn_weights_head, steps, "", "of training") },
	{ FIELD(pn_weights_head, last_frame, "", "newest frame seen") },
	{ FIELD(pn_weights_head, loss, "", "of the last batches, in units of the frames' variance"),
	  RANGE(0, 1e300), .nullable = 1 },
	{ FIELD(pn_weights_head, validation, "", "loss on the newest frames"), RANGE(0, 1e300),
	  .nullable = 1 },
	{ FIELD(pn_weights_head, baseline, "",
		"loss on the same frames of the best scaled, blurred mean of the neighbours"),
	  RANGE(0, 1e300), .nullable = 1 },
	{ FIELD(pn_weights_head, levelled, "", "whether the loss still falls"),
	  .words = pn_training_words },
	{ FIELD(pn_weights_head, bytes, "B", "of the payload") },
	{ NULL },
};

static int weights_payload(const void *head, uint64_t *bytes, struct pn_error *err)
{
	(void)err;
	*bytes = ((const struct pn_weights_head *)head)->bytes;
	return PN_OK;
}

const struct pn_schema pn_weights_schema = {
	.type = "weights",
	.help = "Weights of the denoising network. Payload: perrin/format/weights.h.",
	.version = 1,
	.size = sizeof(struct pn_weights_head),
	.fields = weights_fields,
	.payload_bytes = weights_payload,
};

/* ---- tilts --------------------------------------------------------------------------------- */

static const struct pn_field tilts_fields[] = {
	{ FIELD(pn_tilts_head, tilt, "", "number of the tilt, from 0, as acquired") },
	{ FIELD(pn_tilts_head, revision, "",
		"0, 1, ...: a later record of the same tilt takes the place of the earlier") },
	{ FIELD(pn_tilts_head, state, "", "what has been done; withdrawn: do without this tilt"),
	  .words = pn_tilt_words },
	{ FIELD(pn_tilts_head, phi_deg, "deg", "Euler angle about z"), RANGE(-360, 360) },
	{ FIELD(pn_tilts_head, theta_deg, "deg", "tilt of the stage, about y"), RANGE(-360, 360) },
	{ FIELD(pn_tilts_head, psi_deg, "deg", "Euler angle about x"), RANGE(-360, 360) },
	{ FIELD(pn_tilts_head, first_frame, "", "index of the first of its frames") },
	{ FIELD(pn_tilts_head, frames, "", "frames merged into it"), RANGE(0, 1e9) },
	{ FIELD(pn_tilts_head, ny, "px", "rows"), RANGE(1, SIDE_PX_MAX) },
	{ FIELD(pn_tilts_head, nx, "px", "columns"), RANGE(1, SIDE_PX_MAX) },
	{ FIELD(pn_tilts_head, pixel_pm, "pm", "pixel size"), RANGE(1e-3, 1e9), .nullable = 1 },
	{ FIELD(pn_tilts_head, dose_e_per_A2, "e/A2", "electrons per area, all frames"),
	  RANGE(0, 1e12), .nullable = 1 },
	{ FIELD(pn_tilts_head, drift_px, "px", "largest shift of a frame from the first"),
	  RANGE(0, PLACE_PX_MAX), .nullable = 1 },
	{ FIELD(pn_tilts_head, gain, "", "variance per value of the noise"), RANGE(0, 1e300),
	  .nullable = 1 },
	{ FIELD(pn_tilts_head, readout, "", "standard deviation of the noise at value 0"),
	  RANGE(0, 1e300), .nullable = 1 },
	{ FIELD(pn_tilts_head, background, "", "mean that was subtracted inside the mask"),
	  .nullable = 1 },
	{ FIELD(pn_tilts_head, axis_deg, "deg", "in-plane angle of the tilt axis that was undone"),
	  RANGE(-90, 90), .nullable = 1 },
	{ FIELD(pn_tilts_head, shift_x_px, "px", "shift that was undone, of the image as merged"),
	  RANGE(-PLACE_PX_MAX, PLACE_PX_MAX), .nullable = 1 },
	{ FIELD(pn_tilts_head, shift_y_px, "px", "the same, along the tilt axis"),
	  RANGE(-PLACE_PX_MAX, PLACE_PX_MAX), .nullable = 1 },
	{ FIELD(pn_tilts_head, correlation, "", "of its common line with that of the others"),
	  RANGE(-1.001, 1.001), .nullable = 1 },
	{ NULL },
};

static int tilts_payload(const void *head, uint64_t *bytes, struct pn_error *err)
{
	const struct pn_tilts_head *h = head;

	if (pn_array_bytes(PN_F32, 2, (const uint64_t[]){ h->ny, h->nx }, bytes))
		return pn_error_set(err, PN_EFRAME, "tilts: [%" PRIu64 "][%" PRIu64 "] is no image",
				    h->ny, h->nx);
	return PN_OK;
}

const struct pn_schema pn_tilts_schema = {
	.type = "tilts",
	.help = "One tilt of a series. Payload: f4 [ny][nx], the tilt axis along y.",
	.version = 1,
	.size = sizeof(struct pn_tilts_head),
	.fields = tilts_fields,
	.payload_bytes = tilts_payload,
};

/* ---- poses --------------------------------------------------------------------------------- */

static const struct pn_field poses_fields[] = {
	{ FIELD(pn_poses_head, frame, "", "index of the frame") },
	{ FIELD(pn_poses_head, particle, "", "number of the particle") },
	{ FIELD(pn_poses_head, segment, "", "a new one where the structure has changed"),
	  RANGE(1, 1e18) },
	{ FIELD(pn_poses_head, revision, "", "0: the frame's first pose; a later one replaces it") },
	{ FIELD(pn_poses_head, state, "", "whether the pose is to be believed"),
	  .words = pn_pose_words },
	{ ARRAY(pn_poses_head, quaternion, quaternion_count, "",
		"w x y z of norm 1, turns the map into the laboratory frame"),
	  RANGE(-1.000001, 1.000001) },
	{ FIELD(pn_poses_head, x_px, "px", "the map's origin on the frame"),
	  RANGE(-PLACE_PX_MAX, PLACE_PX_MAX) },
	{ FIELD(pn_poses_head, y_px, "px", "the map's origin on the frame"),
	  RANGE(-PLACE_PX_MAX, PLACE_PX_MAX) },
	{ FIELD(pn_poses_head, score, "", "correlation with the map before the frame went into it"),
	  RANGE(-1.000001, 1.000001) },
	{ FIELD(pn_poses_head, height, "", "factor of the map in the image"), RANGE(-1e300, 1e300) },
	{ FIELD(pn_poses_head, angle_uncertainty_deg, "deg", "rms of the three angles"),
	  RANGE(0, 1e6), .nullable = 1 },
	{ FIELD(pn_poses_head, shift_uncertainty_px, "px", "rms of x and y"), RANGE(0, 1e6),
	  .nullable = 1 },
	{ FIELD(pn_poses_head, probability, "", "of all orientations within 5 deg"), RANGE(0, 1.000001),
	  .nullable = 1 },
	{ FIELD(pn_poses_head, entropy, "", "of the posterior over the candidates, in nats"),
	  RANGE(0, 1e3), .nullable = 1 },
	{ ARRAY(pn_poses_head, runner_up, runner_up_count, "",
		"best orientation farther than 5 deg, w x y z"),
	  RANGE(-1.000001, 1.000001) },
	{ FIELD(pn_poses_head, runner_up_probability, "", "of orientations within 5 deg of it"),
	  RANGE(0, 1.000001), .nullable = 1 },
	{ FIELD(pn_poses_head, runner_up_is, "", "the same but for a symmetry of the crystal, or not"),
	  .words = pn_relation_words },
	{ FIELD(pn_poses_head, step_deg, "deg", "rms turn from frame to frame"), RANGE(0, 1e3),
	  .nullable = 1 },
	{ FIELD(pn_poses_head, rotation_rad2_per_s, "rad^2/s", "rotational diffusion"),
	  RANGE(0, 1e12), .nullable = 1 },
	{ FIELD(pn_poses_head, translation_A2_per_s, "A^2/s", "translational diffusion"),
	  RANGE(0, 1e18), .nullable = 1 },
	{ FIELD(pn_poses_head, half, "", "of the map"), RANGE(0, 1) },
	{ FIELD(pn_poses_head, map, "", "references it was matched with; 0: the start map") },
	{ FIELD(pn_poses_head, weight, "", "in the map; 0: left out"), RANGE(0, 1e6) },
	{ NULL },
};

static int poses_payload(const void *head, uint64_t *bytes, struct pn_error *err)
{
	const struct pn_poses_head *h = head;
	double norm = 0;

	if (h->quaternion_count != 4 || h->runner_up_count % 4)
		return pn_error_set(err, PN_EFRAME,
				    "poses: %" PRIu64 " quaternion, %" PRIu64
				    " runner_up values; 4, and 4 or none are needed",
				    h->quaternion_count, h->runner_up_count);
	for (unsigned i = 0; i < 4; i++)
		norm += h->quaternion[i] * h->quaternion[i];
	if (fabs(norm - 1) > 1e-6)
		return pn_error_set(err, PN_EFRAME, "poses.quaternion: squared norm %.9g, not 1",
				    norm);
	*bytes = 0;
	return PN_OK;
}

const struct pn_schema pn_poses_schema = {
	.type = "poses",
	.help = "How a particle stood on one frame. No payload.",
	.version = 1,
	.size = sizeof(struct pn_poses_head),
	.fields = poses_fields,
	.payload_bytes = poses_payload,
};

/* ---- volumes ------------------------------------------------------------------------------- */

static const struct pn_field volumes_fields[] = {
	{ FIELD(pn_volumes_head, volume, "", "1, 2, ..."), RANGE(1, 1e18) },
	{ FIELD(pn_volumes_head, state, "", "more tilts may come, or not"), .words = pn_volume_words },
	{ FIELD(pn_volumes_head, particle, "", "number of the particle") },
	{ FIELD(pn_volumes_head, segment, "", "of a tumbling particle, from 1; 0: a tilt series") },
	{ FIELD(pn_volumes_head, images, "", "tilts or frames in it"), RANGE(1, 1e12) },
	{ FIELD(pn_volumes_head, last_image, "", "number of the one that came last") },
	{ FIELD(pn_volumes_head, iterations, "", "done since the last volume") },
	{ FIELD(pn_volumes_head, misfit, "", "|A u - p| / |p| over all images"), RANGE(0, 1e300),
	  .nullable = 1 },
	{ FIELD(pn_volumes_head, r1, "", "mean over the images of sum |A u - p| / sum |p|"),
	  RANGE(0, 1e300), .nullable = 1 },
	{ FIELD(pn_volumes_head, r1_new, "", "the same of the newest tilt, before it went in"),
	  RANGE(0, 1e300), .nullable = 1 },
	{ FIELD(pn_volumes_head, held_out, "", "misfit of tilts that were left out of a trial"),
	  RANGE(0, 1e300), .nullable = 1 },
	{ FIELD(pn_volumes_head, nz, "px", "sections"), RANGE(1, SIDE_PX_MAX) },
	{ FIELD(pn_volumes_head, ny, "px", "rows"), RANGE(1, SIDE_PX_MAX) },
	{ FIELD(pn_volumes_head, nx, "px", "columns"), RANGE(1, SIDE_PX_MAX) },
	{ FIELD(pn_volumes_head, pixel_pm, "pm", "voxel size"), RANGE(1e-3, 1e9), .nullable = 1 },
	{ FIELD(pn_volumes_head, dose_e_per_A2, "e/A^2", "of the images in it"), RANGE(0, 1e18),
	  .nullable = 1 },
	{ FIELD(pn_volumes_head, resolution_A, "A", "where the FSC of the halves falls below 0.143"),
	  RANGE(0, 1e9), .nullable = 1 },
	{ ARRAY(pn_volumes_head, fsc, fsc_count, "",
		"Fourier shell correlation of the halves, by cycles per longest edge"),
	  RANGE(-1.000001, 1.000001) },
	{ FIELD(pn_volumes_head, scf, "", "sampling compensation factor, 1: even coverage"),
	  RANGE(0, 1.1), .nullable = 1 },
	{ FIELD(pn_volumes_head, far, "", "conical FSC areas, smallest over largest"), RANGE(0, 1),
	  .nullable = 1 },
	{ FIELD(pn_volumes_head, empty, "", "part of the views that no image is near to"),
	  RANGE(0, 1), .nullable = 1 },
	{ NULL },
};

static int volumes_payload(const void *head, uint64_t *bytes, struct pn_error *err)
{
	const struct pn_volumes_head *h = head;

	if (pn_array_bytes(PN_F32, 3, (const uint64_t[]){ h->nz, h->ny, h->nx }, bytes))
		return pn_error_set(err, PN_EFRAME,
				    "volumes: [%" PRIu64 "][%" PRIu64 "][%" PRIu64 "] is no volume",
				    h->nz, h->ny, h->nx);
	if (h->fsc_count && h->fsc_count != (h->nx > h->ny ? h->nx : h->ny) / 2 + 1 &&
	    h->fsc_count != h->nz / 2 + 1)
		return pn_error_set(err, PN_EFRAME,
				    "volumes: %" PRIu64 " shells of %" PRIu64 " x %" PRIu64
				    " x %" PRIu64 " voxels",
				    h->fsc_count, h->nz, h->ny, h->nx);
	return PN_OK;
}

const struct pn_schema pn_volumes_schema = {
	.type = "volumes",
	.help = "A reconstruction as it grows. Payload: f4 [nz][ny][nx]; of a tilt series the axis along y.",
	.version = 2,
	.size = sizeof(struct pn_volumes_head),
	.fields = volumes_fields,
	.payload_bytes = volumes_payload,
};

/* ---- atoms --------------------------------------------------------------------------------- */

static const struct pn_field atoms_fields[] = {
	{ FIELD(pn_atoms_head, volume, "", "number of the volume they were found in"), RANGE(1, 1e18) },
	{ FIELD(pn_atoms_head, state, "", "as the volume's"), .words = pn_volume_words },
	{ FIELD(pn_atoms_head, particle, "", "as the volume's") },
	{ FIELD(pn_atoms_head, segment, "", "as the volume's") },
	{ FIELD(pn_atoms_head, images, "", "in that volume") },
	{ FIELD(pn_atoms_head, atoms, "", "in the payload"), RANGE(0, 1e12) },
	{ FIELD(pn_atoms_head, second_pass, "", "of them found by the second pass") },
	{ FIELD(pn_atoms_head, strength_min, "", "weaker peaks were none"), .nullable = 1 },
	{ FIELD(pn_atoms_head, moved_pm, "pm",
		"rms displacement of the atoms that the last volume had too"),
	  RANGE(0, 1e12), .nullable = 1 },
	{ FIELD(pn_atoms_head, kept, "", "atoms that the last volume had too") },
	{ FIELD(pn_atoms_head, disordered, "", "part of the atoms, by bond order"), RANGE(0, 1),
	  .nullable = 1 },
	{ FIELD(pn_atoms_head, diameter_nm, "nm", "of the sphere of as many atoms of the bulk"),
	  RANGE(0, 1e9), .nullable = 1 },
	{ NULL },
};

static int atoms_payload(const void *head, uint64_t *bytes, struct pn_error *err)
{
	const struct pn_atoms_head *h = head;

	if (pn_array_bytes(PN_F64, 2, (const uint64_t[]){ h->atoms, PN_ATOM_NUMBERS }, bytes))
		return pn_error_set(err, PN_EFRAME, "atoms.atoms: %" PRIu64 " are too many", h->atoms);
	return PN_OK;
}

const struct pn_schema pn_atoms_schema = {
	.type = "atoms",
	.help = "The atoms of a volume. Payload: f8 [atoms][6]: x y z in A from the voxel n/2 of each "
		"axis, atomic number, integrated intensity, confidence.",
	.version = 2,
	.size = sizeof(struct pn_atoms_head),
	.fields = atoms_fields,
	.payload_bytes = atoms_payload,
};

/* ---- advice -------------------------------------------------------------------------------- */

static const struct pn_field advice_fields[] = {
	{ FIELD(pn_advice_head, advice, "", "1, 2, ..."), RANGE(1, 1e18) },
	{ FIELD(pn_advice_head, particle, "", "number of the particle") },
	{ FIELD(pn_advice_head, segment, "", "of a tumbling particle, from 1; 0: a tilt series") },
	{ FIELD(pn_advice_head, verdict, "", "go on or not"), .words = pn_verdict_words },
	{ FIELD(pn_advice_head, confidence, "", "of the verdict"), RANGE(0, 1) },
	{ FIELD(pn_advice_head, images, "", "tilts, or frames of the segment") },
	{ FIELD(pn_advice_head, dose_e_per_A2, "e/A^2", "that the particle has had"), RANGE(0, 1e18),
	  .nullable = 1 },
	{ FIELD(pn_advice_head, resolution_A, "A", "now"), RANGE(0, 1e9), .nullable = 1 },
	{ FIELD(pn_advice_head, next_resolution_A, "A", "after next_images more"), RANGE(0, 1e9),
	  .nullable = 1 },
	{ FIELD(pn_advice_head, next_images, "", "that the prediction is for") },
	{ FIELD(pn_advice_head, gain_pm_per_s, "pm/s", "of resolution, as predicted"),
	  RANGE(-1e12, 1e12), .nullable = 1 },
	{ FIELD(pn_advice_head, atoms_kept, "", "part of the atoms that the last map had too"),
	  RANGE(0, 1), .nullable = 1 },
	{ FIELD(pn_advice_head, score_fading, "A^2/e",
		"relative change of the score of new images per 1000 e/A^2"),
	  RANGE(-1e12, 1e12), .nullable = 1 },
	{ FIELD(pn_advice_head, next_theta_deg, "deg", "tilt that would tell most"),
	  RANGE(-360, 360), .nullable = 1 },
	{ FIELD(pn_advice_head, reasons, "", "in words, with the numbers"),
	  .capacity = PN_REASONS_BYTES },
	{ NULL },
};

static int no_payload(const void *head, uint64_t *bytes, struct pn_error *err)
{
	(void)head;
	(void)err;
	*bytes = 0;
	return PN_OK;
}

const struct pn_schema pn_advice_schema = {
	.type = "advice",
	.help = "Whether to go on. No payload.",
	.version = 1,
	.size = sizeof(struct pn_advice_head),
	.fields = advice_fields,
	.payload_bytes = no_payload,
};

/* ---- specimen ------------------------------------------------------------------------------ */

static const struct pn_field specimen_fields[] = {
	{ FIELD(pn_specimen_head, particle, "", "number of the particle") },
	{ FIELD(pn_specimen_head, version, "", "rises with every change of the atoms") },
	{ FIELD(pn_specimen_head, atoms, "", "atoms in the payload"), RANGE(0, 1e12) },
	{ FIELD(pn_specimen_head, lattice_A, "A", "lattice constant"), RANGE(0, 1e6) },
	{ NULL },
};

static int specimen_payload(const void *head, uint64_t *bytes, struct pn_error *err)
{
	const struct pn_specimen_head *h = head;

	if (pn_array_bytes(PN_F64, 2, (const uint64_t[]){ h->atoms, 4 }, bytes))
		return pn_error_set(err, PN_EFRAME, "specimen.atoms: %" PRIu64 " are too many",
				    h->atoms);
	return PN_OK;
}

const struct pn_schema pn_specimen_schema = {
	.type = "specimen",
	.help = "The atoms of a particle at one version. Payload: f8 [atoms][4], x y z in A and Z.",
	.version = 1,
	.size = sizeof(struct pn_specimen_head),
	.fields = specimen_fields,
	.payload_bytes = specimen_payload,
};

const struct pn_schema *const pn_schemas[] = {
	&pn_frames_schema,  &pn_crops_schema,   &pn_crystal_schema, &pn_truth_schema,
	&pn_specimen_schema, &pn_weights_schema, &pn_tilts_schema,   &pn_poses_schema,
	&pn_volumes_schema, &pn_atoms_schema,   &pn_advice_schema,  NULL,
};
