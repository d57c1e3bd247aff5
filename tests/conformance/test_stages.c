/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What every stage promises by the contract of perrin/host/stage.h, asked of all of them alike:
 * same bytes after restarts and full queues, every frame accounted for, nothing odd that hurts. */
#include "perrin/base/rng.h"
#include "perrin/format/weights.h"
#include "rig.h"
#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 96, LONG_SIDE = 1100, MESSAGES = 15 };

static const double pixel_pm = 35.8, spacing_pm = 226.6;

/* ---- settings each stage is tried with ----------------------------------------------------- */

/* in place of the defaults, where those take long */
static const struct {
	const char *stage, *settings;
} quick[] = {
	{ "reconstruct", "iterations=2&iterations_max=6" },
	{ "clean", "denoise=fast" },
	{ "orient", "diameter_A=4&views=64&candidates=8&keep=4&begin=2&start=1&refresh=3&again=2&"
		    "resolution_low_A=6&particles=2&shape=sphere" },
	{ "map", "diameter_A=3&edge_px=16&every=2&iterations=1&iterations_max=2&memory=3" },
};

/* more than the defaults; a stage that is not here is tried with its defaults */
static const struct {
	const char *stage, *settings;
} variants[] = {
	{ "ingest", "batch=4" },
	{ "track", "box_px=64&diameter_nm=2&particles_max=2&background_every=3&confirm_frames=1" },
	{ "crystal", "mean_frames=5&lowpass_A=1.2&lattice_A=3.92" },
};

struct setup {
	const struct pn_stage_ops *ops;
	const char *settings; /* NULL: defaults */
	unsigned port;
};

static void for_all(void (*test)(const struct setup *setup))
{
	for (unsigned s = 0; pn_stages[s]; s++) {
		struct setup setup = { .ops = pn_stages[s] };

		for (unsigned v = 0; v <= PN_COUNT(variants); v++) {
			if (v && strcmp(variants[v - 1].stage, setup.ops->name) != 0)
				continue;
			setup.settings = v ? variants[v - 1].settings : NULL;
			for (unsigned q = 0; !v && q < PN_COUNT(quick); q++)
				if (strcmp(quick[q].stage, setup.ops->name) == 0)
					setup.settings = quick[q].settings;
			for (setup.port = 0; setup.ops->inputs[setup.port].name; setup.port++)
				test(&setup);
		}
	}
}

/* ---- messages ------------------------------------------------------------------------------ */

enum kind {
	GOOD,
	SHAPE, /* other shape from here on                      */
	TYPE,  /* other element type                            */
	NANS,
	INFINITE,
	HUGE_F32, /* finite, but its squares are not               */
	SATURATED,
	CONSTANT,
	ONE_PIXEL,
	LINE,     /* one row, longer than kernels like             */
	FAR,      /* coordinates at the end of their range         */
	FINE,     /* smallest pixel size there is                  */
	COARSE,   /* largest                                       */
	NO_PIXEL, /* pixel size not known                          */
	BATCH,    /* several frames in one message                 */
	AGAIN,    /* a frame index that was there                  */
	GAP,      /* frames missing                                */
	PAST,     /* time goes back                                */
	AGES,     /* time goes on by centuries                     */
	MANY,     /* another particle each time                    */
	SHORT,    /* payload: a byte less than the head tells      */
	EMPTY,    /* no payload                                    */
	EXCESS,   /* a byte more                                   */
	KINDS
};

static const char *const kind_words[] = {
	"good", "shape", "type", "nans", "infinite", "huge_f32", "saturated", "constant",
	"one",  "line",  "far",  "fine", "coarse",   "no_pixel", "batch",     "again",
	"gap",  "past",  "ages", "many", "short",    "empty",    "excess",
};

union any_head {
	struct pn_frames_head frames;
	struct pn_crops_head crops;
	struct pn_crystal_head crystal;
	struct pn_truth_head truth;
	struct pn_specimen_head specimen;
	struct pn_weights_head weights;
	struct pn_tilts_head tilts;
	struct pn_volumes_head volumes;
	struct pn_atoms_head atoms;
	struct pn_poses_head poses;
};

struct message {
	union any_head head;
	int64_t time_ns;
	uint64_t frames; /* it stands for */
	uint64_t bytes;
	unsigned char *payload; /* free() */
};

/* A disc of fringes that wanders and turns, in Poisson noise; in every third frame without fringes.
 */
static void paint(double *image, uint64_t frame, uint64_t ny, uint64_t nx)
{
	double cx = (double)nx / 2 + 5 * sin((double)frame * 0.3);
	double cy = (double)ny / 2 + 4 * cos((double)frame * 0.2), angle = 0.1 * (double)frame;
	struct pn_rng rng;

	pn_rng_init(&rng, 31, frame);
	for (uint64_t y = 0; y < ny; y++) {
		for (uint64_t x = 0; x < nx; x++) {
			double dx = (double)x - cx, dy = (double)y - cy;
			double inside = hypot(dx, dy) * pixel_pm < 1000 ? 1 : 0;
			double phase = 2 * M_PI * (dx * cos(angle) + dy * sin(angle)) * pixel_pm /
				       spacing_pm;

			image[y * nx + x] = pn_rng_poisson(
				&rng, 12 * (1 + (frame % 3 ? 0.6 : 0) * inside * cos(phase)));
		}
	}
}

/* Most pictures are asked for again and again. Borrowed until the next call. */
static const double *picture(uint64_t frame, uint64_t ny, uint64_t nx)
{
	static double kept[MESSAGES + 3][SIDE * SIDE], other[SIDE * SIDE];
	static int painted[MESSAGES + 3];

	assert_true(ny * nx <= SIDE * SIDE);
	if (frame >= PN_COUNT(kept) || ny != SIDE || nx != SIDE) {
		paint(other, frame, ny, nx);
		return other;
	}
	if (!painted[frame])
		paint(kept[frame], frame, ny, nx);
	painted[frame] = 1;
	return kept[frame];
}

/* Pixels of one image at @to: float32 if that is the type, else uint16. */
static void draw(unsigned char *to, enum kind kind, enum pn_dtype dtype, uint64_t frame,
		 uint64_t ny, uint64_t nx)
{
	const double *image = picture(frame, ny, nx);

	for (uint64_t i = 0; i < ny * nx; i++) {
		double v = kind == NANS        ? NAN
			   : kind == INFINITE  ? (i % 7 ? -INFINITY : INFINITY)
			   : kind == HUGE_F32  ? 3e38 * (i % 2 ? 1 : -1) * image[i] / 60
			   : kind == SATURATED ? 65535
			   : kind == CONSTANT  ? 0
					       : image[i];

		if (dtype == PN_F32)
			((float *)to)[i] = (float)v;
		else
			((uint16_t *)to)[i] = (uint16_t)v;
	}
}

static uint64_t side_of(enum kind kind)
{
	return kind == SHAPE       ? SIDE / 2 + 3
	       : kind == ONE_PIXEL ? 1
	       : kind == LINE      ? LONG_SIDE
				   : SIDE;
}

static enum pn_dtype type_of(enum kind kind)
{
	int floats = kind == TYPE || kind == NANS || kind == INFINITE || kind == HUGE_F32;

	return floats ? PN_F32 : PN_U16;
}

static double pixel_of(enum kind kind)
{
	return kind == FINE ? 1e-3 : kind == COARSE ? 1e9 : kind == NO_PIXEL ? NAN : pixel_pm;
}

static void make_frames(struct message *m, enum kind kind, uint64_t frame)
{
	struct pn_frames_head *h = &m->head.frames;

	m->frames = kind == BATCH ? 3 : 1;
	*h = (struct pn_frames_head){ .frame = frame,
				      .count = m->frames,
				      .dtype = type_of(kind),
				      .ny = kind == LINE ? 1 : side_of(kind),
				      .nx = side_of(kind),
				      .pixel_pm = pixel_of(kind),
				      .dose_e_per_A2 = NAN,
				      .energy_keV = 300,
				      .tilt_deg = -60 + 4.0 * (double)(frame / 4 % 31),
				      .offset_count = m->frames };
	for (uint64_t i = 0; i < m->frames; i++)
		h->offset_ns[i] = (int64_t)i * 2500000;
	uint64_t one = h->ny * h->nx * pn_dtype_bytes(h->dtype);

	m->bytes = m->frames * one;
	m->payload = malloc(m->bytes + 1);
	assert_non_null(m->payload);
	for (uint64_t i = 0; i < m->frames; i++)
		draw(m->payload + i * one, kind, h->dtype, frame + i, h->ny, h->nx);
}

static void make_crops(struct message *m, enum kind kind, uint64_t frame)
{
	struct pn_crops_head *h = &m->head.crops;
	uint64_t side = side_of(kind);

	*h = (struct pn_crops_head){ .frame = frame,
				     .particle = kind == MANY ? 1000 + frame : frame % 2,
				     .state = 1,
				     .x_px = 200,
				     .y_px = 100,
				     .x0_px = 152,
				     .y0_px = 52,
				     .dtype = type_of(kind),
				     .ny = kind == LINE ? 1 : side,
				     .nx = side,
				     .pixel_pm = pixel_of(kind),
				     .spots_per_A = { 0.3, 0.35 },
				     .spot_count = 2 };
	if (kind == FAR) {
		h->x_px = h->y_px = 1e6;
		h->x0_px = h->y0_px = 1000000;
		h->contrast = 1e300;
		for (h->spot_count = 0; h->spot_count < 2 * PN_SPOTS_MAX; h->spot_count++)
			h->spots_per_A[h->spot_count] = h->spot_count % 3 ? 1e3 : -1e3;
	}
	m->bytes = h->ny * h->nx * pn_dtype_bytes(h->dtype);
	m->payload = malloc(m->bytes + 1);
	assert_non_null(m->payload);
	draw(m->payload, kind, h->dtype, frame, h->ny, h->nx);
}

static void make_truth(struct message *m, enum kind kind, uint64_t frame)
{
	double place = kind == FAR ? -1e6 : 30;

	m->head.truth = (struct pn_truth_head){ .frame = frame,
						.x_px = place,
						.y_px = place,
						.quaternion = { 1 },
						.quaternion_count = 4,
						.center_count = 3,
						.zone_count = 3,
						.atoms = 2,
						.diameter_nm = 2,
						.lattice_A = 3.92,
						.tilt_deg = NAN };
	m->payload = calloc(1, 1);
	assert_non_null(m->payload);
}

static void make_specimen(struct message *m, enum kind kind, uint64_t frame)
{
	uint64_t atoms = kind == ONE_PIXEL ? 0 : kind == SHAPE ? 3 : 2;

	m->head.specimen =
		(struct pn_specimen_head){ .version = frame, .atoms = atoms, .lattice_A = 3.92 };
	m->bytes = atoms * 4 * sizeof(double);
	m->payload = calloc(1, m->bytes + 1);
	assert_non_null(m->payload);
	for (uint64_t i = 0; i < 4 * atoms; i++)
		((double *)(void *)m->payload)[i] = kind == NANS ? NAN : (double)i;
}

/* Of a small network, in random numbers; of another one from SHAPE on. */
static void make_weights(struct message *m, enum kind kind, uint64_t frame)
{
	struct pn_net_spec spec = { .frames = 3,
				    .blocks = kind == SHAPE ? 3 : 2,
				    .channels = 8,
				    .spot_px = 1,
				    .tap_channels = 8 };
	static struct pn_net_layout layout;
	static struct pn_weights weights;
	struct pn_blob blob = { 0 };
	struct pn_rng rng;

	assert_int_equal(pn_net_layout_make(&layout, &spec, NULL), PN_OK);
	float *params = calloc(layout.param_count, sizeof *params);
	assert_non_null(params);
	pn_rng_init(&rng, 5, frame);
	pn_net_params_init(&layout, params, &rng);
	weights = (struct pn_weights){ .spec = spec,
				       .offset = 10,
				       .scale = 5,
				       .loss = NAN,
				       .validation = NAN,
				       .param_count = layout.param_count,
				       .params = params };
	pn_params_default(pn_train_params, &weights.settings);
	assert_int_equal(pn_weights_encode(&weights, &blob, NULL), PN_OK);
	free(params);
	m->head.weights = (struct pn_weights_head){ .version = frame + 1,
						    .loss = NAN,
						    .validation = NAN,
						    .baseline = NAN,
						    .bytes = blob.bytes };
	m->bytes = blob.bytes;
	m->payload = malloc(m->bytes + 1);
	assert_non_null(m->payload);
	memcpy(m->payload, blob.data, blob.bytes);
	if (kind == NANS) /* what its hash finds */
		memset(m->payload + m->bytes / 2, 0xff, 4);
	pn_blob_finish(&blob);
}

/* A bright disc on nothing: what a stage takes that wants tilts or a volume to be of something. */
static void draw_f32(unsigned char *to, enum kind kind, uint64_t seed, uint64_t planes, uint64_t ny,
		     uint64_t nx)
{
	struct pn_rng rng;

	pn_rng_init(&rng, 17, seed);
	for (uint64_t i = 0; i < planes * ny * nx; i++) {
		double z = planes > 1 ? (double)(i / (ny * nx)) - (double)planes / 2 : 0;
		double y = (double)(i / nx % ny) - (double)ny / 2,
		       x = (double)(i % nx) - (double)nx / 2;
		double r = sqrt(x * x + y * y + z * z) / (double)ny;
		double v = r < 0.2 ? 40 + 20 * sin(0.9 * x) * sin(0.9 * y) * cos(0.9 * z) +
					     2 * pn_rng_gauss(&rng)
				   : 0.4 * pn_rng_gauss(&rng);

		v = kind == NANS        ? NAN
		    : kind == INFINITE  ? (i % 7 ? -INFINITY : INFINITY)
		    : kind == HUGE_F32  ? 3e38 * (i % 2 ? 1 : -1) * v / 70
		    : kind == SATURATED ? 65535
		    : kind == CONSTANT  ? 0
					: v;
		((float *)(void *)to)[i] = (float)v;
	}
}

static void make_tilts(struct message *m, enum kind kind, uint64_t tilt)
{
	struct pn_tilts_head *h = &m->head.tilts;
	uint64_t side = kind == ONE_PIXEL ? 1 : kind == SHAPE ? 27 : kind == LINE ? 150 : 40;

	*h = (struct pn_tilts_head){ .tilt = tilt,
				     .theta_deg = -60 + 4.0 * (double)(tilt % 31),
				     .frames = 1,
				     .ny = kind == LINE ? 1 : side,
				     .nx = side,
				     .pixel_pm = pixel_of(kind),
				     .dose_e_per_A2 = NAN,
				     .drift_px = NAN,
				     .gain = NAN,
				     .readout = NAN,
				     .background = NAN,
				     .axis_deg = NAN,
				     .shift_x_px = NAN,
				     .shift_y_px = NAN,
				     .correlation = NAN };
	if (kind == FAR)
		h->phi_deg = h->theta_deg = h->psi_deg = 360;
	m->bytes = h->ny * h->nx * sizeof(float);
	m->payload = malloc(m->bytes + 1);
	assert_non_null(m->payload);
	draw_f32(m->payload, kind, tilt, 1, h->ny, h->nx);
}

static void make_volumes(struct message *m, enum kind kind, uint64_t volume)
{
	struct pn_volumes_head *h = &m->head.volumes;
	uint64_t side = kind == ONE_PIXEL ? 1 : kind == SHAPE ? 19 : 24;

	*h = (struct pn_volumes_head){ .volume = 1 + volume,
				       .images = 1 + volume,
				       .dose_e_per_A2 = NAN,
				       .resolution_A = NAN,
				       .scf = NAN,
				       .far = NAN,
				       .empty = NAN,
				       .misfit = NAN,
				       .r1 = NAN,
				       .r1_new = NAN,
				       .held_out = NAN,
				       .nz = side,
				       .ny = kind == LINE ? 1 : side,
				       .nx = kind == LINE ? LONG_SIDE : side,
				       .pixel_pm = pixel_of(kind) };
	m->bytes = h->nz * h->ny * h->nx * sizeof(float);
	m->payload = malloc(m->bytes + 1);
	assert_non_null(m->payload);
	draw_f32(m->payload, kind, volume, h->nz, h->ny, h->nx);
}

static void make_atoms(struct message *m, enum kind kind, uint64_t volume)
{
	struct pn_atoms_head *h = &m->head.atoms;

	*h = (struct pn_atoms_head){ .volume = 1 + volume,
				     .particle = kind == MANY ? 1000 + volume : 0,
				     .images = 1 + volume,
				     .atoms = kind == ONE_PIXEL ? 1
					      : kind == SHAPE   ? 7
								: 5,
				     .kept = kind == FAR ? 1000000 : 4,
				     .strength_min = NAN,
				     .moved_pm = kind == CONSTANT ? NAN
						 : kind == FAR    ? 1e12
								  : 10,
				     .disordered = NAN,
				     .diameter_nm = kind == FINE     ? 1e-9
						    : kind == COARSE ? 1e9
								     : 2 };
	m->bytes = h->atoms * PN_ATOM_NUMBERS * sizeof(double);
	m->payload = malloc(m->bytes + 1);
	assert_non_null(m->payload);
	for (uint64_t i = 0; i < h->atoms * PN_ATOM_NUMBERS; i++)
		((double *)(void *)m->payload)[i] = kind == NANS       ? NAN
						    : kind == INFINITE ? INFINITY
								       : (double)(i % 7);
}

static void make_crystal(struct message *m, enum kind kind, uint64_t frame)
{
	m->head.crystal =
		(struct pn_crystal_head){ .frame = frame,
					  .particle = kind == MANY ? 1000 + frame : frame % 2,
					  .class = 1,
					  .x_px = 200,
					  .y_px = 100,
					  .spacing_pm = NAN,
					  .diameter_nm = kind == CONSTANT ? NAN
							 : kind == FINE   ? 1e-9
							 : kind == COARSE ? 1e9
									  : 2,
					  .gx_per_A = NAN,
					  .gy_per_A = NAN,
					  .width_px = NAN,
					  .lattice_x_px = NAN,
					  .lattice_y_px = NAN };
	m->payload = calloc(1, 1);
	assert_non_null(m->payload);
}

/* A particle that turns about z; of the crops of the same frames. */
static void make_poses(struct message *m, enum kind kind, uint64_t frame)
{
	double half = 0.05 * (double)frame, place = kind == FAR ? 1e6 : 200;

	m->head.poses = (struct pn_poses_head){ .frame = frame,
						.particle = kind == MANY ? 1000 + frame : frame % 2,
						.segment = kind == SHAPE ? 2 : 1,
						.state = kind == TYPE ? PN_POSED_BEGINNING
								      : PN_POSED_ORIENTED,
						.quaternion = { cos(half), 0, 0, sin(half) },
						.quaternion_count = 4,
						.x_px = place,
						.y_px = place / 2,
						.score = kind == CONSTANT ? 0 : 0.3,
						.height = kind == SATURATED ? 1e300 : 1,
						.angle_uncertainty_deg = NAN,
						.shift_uncertainty_px = NAN,
						.probability = 0.9,
						.entropy = NAN,
						.runner_up_probability = NAN,
						.step_deg = NAN,
						.rotation_rad2_per_s = NAN,
						.translation_A2_per_s = NAN,
						.half = frame / 2 % 2,
						.map = 1,
						.weight = kind == ONE_PIXEL ? 0 : 1 };
	m->payload = calloc(1, 1);
	assert_non_null(m->payload);
}

static void make(struct message *m, const struct pn_schema *schema, enum kind kind, uint64_t i)
{
	uint64_t frame = kind == AGAIN ? 1 : kind == GAP ? 1000 + 7 * i : i;

	memset(m, 0, sizeof *m);
	m->frames = 1;
	m->time_ns = (int64_t)i * 2500000;
	if (kind == PAST)
		m->time_ns = -m->time_ns;
	if (kind == AGES)
		m->time_ns = i % 2 ? INT64_MAX : INT64_MIN;
	if (schema == &pn_frames_schema)
		make_frames(m, kind, frame);
	else if (schema == &pn_crops_schema)
		make_crops(m, kind, frame);
	else if (schema == &pn_truth_schema)
		make_truth(m, kind, frame);
	else if (schema == &pn_specimen_schema)
		make_specimen(m, kind, frame);
	else if (schema == &pn_weights_schema)
		make_weights(m, kind, frame);
	else if (schema == &pn_tilts_schema)
		make_tilts(m, kind, frame);
	else if (schema == &pn_volumes_schema)
		make_volumes(m, kind, frame);
	else if (schema == &pn_atoms_schema)
		make_atoms(m, kind, frame);
	else if (schema == &pn_poses_schema)
		make_poses(m, kind, frame);
	else if (schema == &pn_crystal_schema)
		make_crystal(m, kind, frame);
	else
		fail_msg("a stage takes %s now: messages of that type are to be made here",
			 schema->type);
	if (kind == SHORT && m->bytes)
		m->bytes--;
	if (kind == EMPTY)
		m->bytes = 0;
	if (kind == EXCESS)
		m->bytes++;
}

/* ---- between the stage and the rig --------------------------------------------------------- */

static unsigned long alloc_count, alloc_fail_at; /* 0: none fails */

/*
 * Stands between the two. With @refuse, attempt 0 at a message finds no room for its first
 * emission, attempt 1 none for its second, and so on until one gets through.
 */
static struct shim {
	struct rig rig;
	const struct pn_stage_ops *real;
	struct pn_stage_ops ops;
	const struct pn_ctx_ops *rig_ops;
	struct pn_ctx_ops ctx_ops;
	int refuse;
	unsigned attempt, emission;
	uint64_t frames;   /* taken in, without PN_EFRAME */
	unsigned restarts; /* for which the stage was ready */
} * current;

static int shim_emit(struct pn_ctx *ctx, unsigned port, const void *head, int64_t time_ns,
		     uint64_t payload_bytes, void **payload)
{
	unsigned long fail_at = alloc_fail_at;

	if (current->refuse && current->emission++ == current->attempt)
		return PN_EAGAIN;
	alloc_fail_at = 0; /* the rig's own are not meant */
	int rc = current->rig_ops->emit(ctx, port, head, time_ns, payload_bytes, payload);

	alloc_fail_at = fail_at;
	return rc;
}

/* As the host does: what did not go through was never told. */
static int settle(int rc, uint64_t done, uint64_t skipped)
{
	if (rc) {
		current->rig.done = done;
		current->rig.skipped = skipped;
	}
	if (rc == PN_EAGAIN)
		current->attempt++;
	return rc;
}

static int shim_take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	uint64_t done = current->rig.done, skipped = current->rig.skipped;

	current->emission = 0;
	return settle(current->real->take(self, ctx, in), done, skipped);
}

static int shim_drain(void *self, struct pn_ctx *ctx)
{
	uint64_t done = current->rig.done, skipped = current->rig.skipped;

	current->emission = 0;
	return settle(current->real->drain(self, ctx), done, skipped);
}

static void shim_open(struct shim *shim, const struct setup *setup)
{
	memset(shim, 0, sizeof *shim);
	current = shim;
	shim->real = setup->ops;
	shim->ops = *setup->ops;
	shim->ops.take = shim_take;
	shim->ops.drain = setup->ops->drain ? shim_drain : NULL;
	rig_open(&shim->rig, &shim->ops, setup->settings);
	shim->rig_ops = shim->rig.ctx.ops;
	shim->ctx_ops = *shim->rig_ops;
	shim->ctx_ops.emit = shim_emit;
	shim->rig.ctx.ops = &shim->ctx_ops;
}

/* An input that a stage cannot do without, besides the one that is tried. */
static int goes_along(const struct setup *setup, unsigned port)
{
	const struct pn_port *input = &setup->ops->inputs[port];

	return port != setup->port && !input->optional && !input->side;
}

static int shim_push_one(struct shim *shim, const struct setup *setup, unsigned port,
			 enum kind kind, uint64_t i)
{
	struct message m;

	make(&m, setup->ops->inputs[port].schema, kind, i);
	shim->attempt = 0;
	memset(&shim->rig.ctx.err, 0, sizeof shim->rig.ctx.err);
	int rc =
		rig_push(&shim->rig, port, &m.head, m.time_ns, m.bytes ? m.payload : NULL, m.bytes);

	if (rc == PN_OK && !setup->ops->inputs[port].side)
		shim->frames += m.frames;
	free(m.payload);
	return rc;
}

static int shim_push(struct shim *shim, const struct setup *setup, enum kind kind, uint64_t i)
{
	for (unsigned port = 0; setup->ops->inputs[port].name; port++)
		if (goes_along(setup, port) && shim_push_one(shim, setup, port, GOOD, i))
			fail_msg("stage %s: %s: %s", setup->ops->name,
				 setup->ops->inputs[port].name, shim->rig.ctx.err.text);
	return shim_push_one(shim, setup, setup->port, kind, i);
}

static void explain(const struct setup *setup, enum kind kind, uint64_t i, const char *what,
		    const struct pn_error *err)
{
	fail_msg("stage %s (%s), input %s, %s message %u: %s: %s %s", setup->ops->name,
		 setup->settings ? setup->settings : "defaults",
		 setup->ops->inputs[setup->port].name, kind_words[kind], (unsigned)i, what,
		 pn_status_name(err->code), err->text);
}

static void shim_drain_all(struct shim *shim, const struct setup *setup, enum kind kind)
{
	shim->attempt = 0;
	if (rig_drain(&shim->rig))
		explain(setup, kind, 0, "drain", &shim->rig.ctx.err);
	if (shim->frames != shim->rig.done + shim->rig.skipped)
		fail_msg("stage %s (%s), input %s, %s: %u frames taken, %u done, %u skipped",
			 setup->ops->name, setup->settings ? setup->settings : "defaults",
			 setup->ops->inputs[setup->port].name, kind_words[kind],
			 (unsigned)shim->frames, (unsigned)shim->rig.done,
			 (unsigned)shim->rig.skipped);
}

/* What a restart does, if the stage is ready for one. */
static void shim_reopen(struct shim *shim, const struct setup *setup)
{
	struct pn_blob blob = { 0 };
	int rc =
		setup->ops->save ? setup->ops->save(shim->rig.state, &shim->rig.ctx, &blob) : PN_OK;

	pn_blob_finish(&blob);
	if (rc == PN_EAGAIN)
		return;
	assert_int_equal(rc, PN_OK);
	rig_reopen(&shim->rig, setup->settings);
	shim->restarts++;
}

/* ---- scenarios ----------------------------------------------------------------------------- */

enum how { PLAIN, REFUSED, RESTARTED };

/* Good messages with odd ones between; the odd are taken, skipped or said to be bad. */
static void play(struct shim *shim, const struct setup *setup, enum kind kind, enum how how)
{
	shim_open(shim, setup);
	shim->refuse = how == REFUSED;
	for (uint64_t i = 0; i < MESSAGES; i++) {
		enum kind now = i % 5 >= 3 ? kind : GOOD;
		int rc = shim_push(shim, setup, now, i);

		if (rc &&
		    (rc != PN_EFRAME || shim->rig.ctx.err.code != rc || !shim->rig.ctx.err.text[0]))
			explain(setup, now, i, "the stage would fail", &shim->rig.ctx.err);
		if (now == GOOD && kind == GOOD && rc)
			explain(setup, now, i, "a good message", &shim->rig.ctx.err);
		if (how == RESTARTED)
			shim_reopen(shim, setup);
	}
	/* a stage that is never ready would lose everything at its first failure */
	if (how == RESTARTED && kind == GOOD && !shim->restarts)
		explain(setup, kind, 0, "never ready for a checkpoint", &(struct pn_error){ 0 });
	shim_drain_all(shim, setup, kind);
}

static struct shim first, second;

static void same_bytes(const struct setup *setup, enum kind kind, enum how how, const char *what)
{
	play(&second, setup, kind, how);
	/* what a timed stage gives is never made again: it has only to go on */
	if (!setup->ops->timed && !rig_same(&first.rig, &second.rig))
		explain(setup, kind, 0, what, &(struct pn_error){ 0 });
	if (!setup->ops->timed) {
		assert_int_equal(first.rig.done, second.rig.done);
		assert_int_equal(first.rig.skipped, second.rig.skipped);
	}
	rig_close(&second.rig);
}

static void an_empty_stream(const struct setup *setup)
{
	shim_open(&first, setup);
	shim_reopen(&first, setup);
	shim_drain_all(&first, setup, GOOD);
	assert_int_equal(first.rig.out_count, 0);
	assert_int_equal(first.rig.done, 0);
	rig_close(&first.rig);
}

static void all_kinds(const struct setup *setup)
{
	for (enum kind kind = GOOD; kind < KINDS; kind++) {
		play(&first, setup, kind, PLAIN);
		/* of side messages alone nothing comes; of a timed stage when it has had time */
		if (kind == GOOD && !setup->ops->timed && !setup->ops->inputs[setup->port].side &&
		    !first.rig.out_count)
			explain(setup, kind, 0, "nothing comes of them", &(struct pn_error){ 0 });
		same_bytes(setup, kind, PLAIN, "another run gives other bytes");
		same_bytes(setup, kind, RESTARTED, "with restarts it gives other bytes");
		same_bytes(setup, kind, REFUSED, "with full queues it gives other bytes");
		rig_close(&first.rig);
	}
}

/* Bad bytes leave no trace: what comes of the good ones is as without them. */
static void bad_payloads_leave_no_trace(const struct setup *setup)
{
	static const enum kind bad[] = { SHORT, EMPTY, EXCESS };

	shim_open(&first, setup);
	for (uint64_t i = 0; i < MESSAGES; i++)
		assert_int_equal(shim_push(&first, setup, GOOD, i), PN_OK);
	shim_drain_all(&first, setup, GOOD);
	shim_open(&second, setup);
	for (uint64_t i = 0; i < MESSAGES; i++) {
		for (unsigned b = 0; b < PN_COUNT(bad); b++) {
			struct message m;

			make(&m, setup->ops->inputs[setup->port].schema, GOOD, i);
			int none = m.bytes == 0;

			free(m.payload);
			/* a type without payload cannot have too little of it */
			if (none && bad[b] != EXCESS)
				continue;
			assert_int_equal(shim_push_one(&second, setup, setup->port, bad[b], i),
					 PN_EFRAME);
		}
		assert_int_equal(shim_push(&second, setup, GOOD, i), PN_OK);
	}
	shim_drain_all(&second, setup, GOOD);
	assert_true(setup->ops->timed || rig_same(&first.rig, &second.rig));
	rig_close(&first.rig);
	rig_close(&second.rig);
}

/* Heads cut short, of another type, or no heads at all: bad messages, and told in words. */
static void strange_heads(const struct setup *setup)
{
	static const struct pn_specimen_head specimen = { .atoms = 0 };
	static const struct pn_crystal_head crystal = { .gx_per_A = NAN, .gy_per_A = NAN };
	const struct pn_schema *schema = setup->ops->inputs[setup->port].schema;
	const struct pn_schema *other =
		schema == &pn_specimen_schema ? &pn_crystal_schema : &pn_specimen_schema;
	const void *other_head = other == &pn_crystal_schema ? (const void *)&crystal : &specimen;
	unsigned char head[PN_HEAD_BYTES_MAX];
	struct message m;
	size_t bytes, whole;

	shim_open(&first, setup);
	make(&m, schema, GOOD, 0);
	assert_int_equal(pn_head_encode(schema, &m.head, head, sizeof head, &whole, NULL), PN_OK);
	struct pn_msg msg = {
		.port = setup->port, .head = head, .payload = m.payload, .payload_bytes = m.bytes
	};

	for (bytes = 0; bytes <= whole; bytes++) {
		struct pn_ctx *ctx = &first.rig.ctx;

		memset(&ctx->err, 0, sizeof ctx->err);
		msg.head_bytes = (uint32_t)bytes;
		if (bytes == whole) { /* not cut, but another's */
			assert_int_equal(
				pn_head_encode(other, other_head, head, sizeof head, &whole, NULL),
				PN_OK);
			msg.head_bytes = (uint32_t)whole;
			bytes = whole;
		}
		assert_int_equal(setup->ops->take(first.rig.state, ctx, &msg), PN_EFRAME);
		assert_true(ctx->err.code == PN_EFRAME && ctx->err.text[0]);
	}
	free(m.payload);
	assert_int_equal(first.rig.out_count, 0);
	rig_close(&first.rig);
}

/* A checkpoint of another version may be shorter: it is refused in words, or harmless. */
static void cut_checkpoints(const struct setup *setup)
{
	enum { CUTS = 40 };
	struct pn_blob blob = { 0 };

	if (!setup->ops->save)
		return;
	shim_open(&first, setup);
	for (uint64_t i = 0; i < MESSAGES && !blob.bytes; i++) {
		shim_push(&first, setup, GOOD, i);
		if (i > 4)
			(void)setup->ops->save(first.rig.state, &first.rig.ctx, &blob);
	}
	rig_close(&first.rig);
	for (size_t i = 0; i < CUTS && blob.bytes; i++) {
		size_t bytes = i < CUTS / 2 ? blob.bytes * i / (CUTS / 2) : blob.bytes - 1 - i;
		unsigned char *exact = malloc(bytes ? bytes : 1);

		assert_non_null(exact);
		memcpy(exact, blob.data, bytes);
		shim_open(&first, setup);
		struct pn_error *err = &first.rig.ctx.err;
		int rc = setup->ops->load(first.rig.state, &first.rig.ctx, exact, bytes);

		free(exact);
		if (rc)
			assert_true(err->code == rc && err->text[0]);
		else
			assert_int_equal(shim_push(&first, setup, GOOD, 5), PN_OK);
		rig_close(&first.rig);
	}
	pn_blob_finish(&blob);
}

/* What need not be looked at by any stage: an image without pixels is no message. */
static void no_pixels_no_message(void **state)
{
	(void)state;
	unsigned char head[PN_HEAD_BYTES_MAX];
	struct message m;
	size_t bytes;

	make(&m, &pn_frames_schema, GOOD, 0);
	m.head.frames.ny = m.head.frames.nx = 0;
	assert_int_equal(
		pn_head_encode(&pn_frames_schema, &m.head, head, sizeof head, &bytes, NULL),
		PN_EARG);
	free(m.payload);
	make(&m, &pn_crops_schema, GOOD, 0);
	m.head.crops.nx = 0;
	assert_int_equal(pn_head_encode(&pn_crops_schema, &m.head, head, sizeof head, &bytes, NULL),
			 PN_EARG);
	free(m.payload);
}

/* ---- parameters ---------------------------------------------------------------------------- */

/* Open with one more setting and take a few messages; refusals must say why. */
static void try_settings(const struct setup *setup, const char *more)
{
	char settings[8192];
	struct setup with = *setup;
	struct pn_error err = { 0 };
	struct pn_ctx ctx = { 0 };

	snprintf(settings, sizeof settings, "%s%s%s", setup->settings ? setup->settings : "",
		 setup->settings ? "&" : "", more);
	with.settings = settings;
	void *state = calloc(1, setup->ops->state_size);
	assert_non_null(state);
	pn_params_default(setup->ops->params, state);
	if (pn_params_parse_query(setup->ops->params, state, settings, &err))
		fail_msg("stage %s: %s: %s", setup->ops->name, settings, err.text);
	int rc = setup->ops->open ? setup->ops->open(state, &ctx) : PN_OK;

	if (setup->ops->close)
		setup->ops->close(state);
	free(state);
	if (rc) { /* parameters that contradict each other may be refused, in words */
		assert_int_equal(rc, PN_EARG);
		assert_true(ctx.err.code == rc && ctx.err.text[0]);
		return;
	}
	shim_open(&first, &with);
	for (uint64_t i = 0; i < 3; i++)
		if (shim_push(&first, &with, GOOD, i))
			explain(&with, GOOD, i, "take", &first.rig.ctx.err);
	shim_drain_all(&first, &with, GOOD);
	rig_close(&first.rig);
}

static int number_text(const struct pn_param *row, double value, char *text, size_t size)
{
	if (row->type == PN_PARAM_I64)
		return snprintf(text, size, "%s=%lld", row->name, (long long)value);
	return snprintf(text, size, "%s=%.17g", row->name, value);
}

static void parameters_at_their_ends(const struct setup *setup)
{
	struct pn_param rows[PN_PARAM_ROWS_MAX];
	char text[2048];

	if (setup->port || !setup->ops->params)
		return;
	pn_params_flatten(setup->ops->params, rows, PN_COUNT(rows));
	for (const struct pn_param *row = rows; row->name; row++) {
		if ((row->type == PN_PARAM_I64 || row->type == PN_PARAM_F64) &&
		    row->min < row->max) {
			number_text(row, row->min, text, sizeof text);
			try_settings(setup, text);
			number_text(row, row->max, text, sizeof text);
			try_settings(setup, text);
		}
		for (unsigned w = 0; row->type == PN_PARAM_ENUM && row->choices[w]; w++) {
			snprintf(text, sizeof text, "%s=%s", row->name, row->choices[w]);
			try_settings(setup, text);
		}
		for (unsigned b = 0; row->type == PN_PARAM_BOOL && b < 2; b++) {
			snprintf(text, sizeof text, "%s=%u", row->name, b);
			try_settings(setup, text);
		}
	}
	for (unsigned end = 0; end < 2; end++) {
		size_t used = 0;

		text[0] = 0;
		for (const struct pn_param *row = rows; row->name; row++) {
			if ((row->type != PN_PARAM_I64 && row->type != PN_PARAM_F64) ||
			    row->min == row->max)
				continue;
			used += (size_t)snprintf(text + used, sizeof text - used, "%s",
						 used ? "&" : "");
			used += (size_t)number_text(row, end ? row->max : row->min, text + used,
						    sizeof text - used);
		}
		assert_true(used < sizeof text);
		if (used)
			try_settings(setup, text);
	}
}

/* ---- memory -------------------------------------------------------------------------------- */

/* The linker sends every allocation of our own code here (not those inside shared libraries). */
void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_aligned_alloc(size_t align, size_t bytes);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_aligned_alloc(size_t align, size_t bytes);

static int fails(void)
{
	return alloc_fail_at && ++alloc_count == alloc_fail_at;
}

void *__wrap_malloc(size_t bytes)
{
	return fails() ? NULL : __real_malloc(bytes);
}

void *__wrap_calloc(size_t count, size_t bytes)
{
	return fails() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
	return fails() ? NULL : __real_realloc(old, bytes);
}

void *__wrap_aligned_alloc(size_t align, size_t bytes)
{
	return fails() ? NULL : __real_aligned_alloc(align, bytes);
}

/* Open, three messages, a save, in which allocation @n fails; 1 if that many were made. */
static int fail_at(const struct setup *setup, unsigned long n)
{
	struct rig *rig = &first.rig;
	struct pn_blob blob = { 0 };
	unsigned char head[PN_HEAD_BYTES_MAX];
	unsigned inputs = 0;

	while (setup->ops->inputs[inputs].name)
		inputs++;
	shim_open(&first, setup);
	if (setup->ops->close)
		setup->ops->close(rig->state);
	memset(rig->state, 0, setup->ops->state_size);
	pn_params_default(setup->ops->params, rig->state);
	if (setup->settings)
		assert_int_equal(pn_params_parse_query(setup->ops->params, rig->state,
						       setup->settings, NULL),
				 PN_OK);
	alloc_count = 0;
	alloc_fail_at = n;
	int rc = setup->ops->open ? setup->ops->open(rig->state, &rig->ctx) : PN_OK;

	for (uint64_t i = 0; i < 3 * inputs && !rc; i++) {
		const unsigned port = (unsigned)(i % inputs);
		const struct pn_schema *schema = setup->ops->inputs[port].schema;
		struct message m;
		size_t bytes;

		if (port != setup->port && !goes_along(setup, port))
			continue;
		alloc_fail_at = 0;
		make(&m, schema, GOOD, i / inputs);
		assert_int_equal(pn_head_encode(schema, &m.head, head, sizeof head, &bytes, NULL),
				 PN_OK);
		const struct pn_msg msg = { .seq = i / inputs,
					    .time_ns = m.time_ns,
					    .port = port,
					    .head_bytes = (uint32_t)bytes,
					    .payload_bytes = m.bytes,
					    .head = head,
					    .payload = m.bytes ? m.payload : NULL };
		alloc_fail_at = n;
		rc = setup->ops->take(rig->state, &rig->ctx, &msg);
		free(m.payload);
	}
	if (!rc && setup->ops->save) {
		rc = setup->ops->save(rig->state, &rig->ctx, &blob);
		if (rc == PN_EAGAIN)
			rc = PN_OK;
		/* a blob that has no room says so by its code alone */
		if (rc == PN_ENOMEM && !rig->ctx.err.code)
			pn_error_set(&rig->ctx.err, rc, "blob");
	}
	alloc_fail_at = 0;
	int reached = alloc_count >= n;

	pn_blob_finish(&blob);
	if (reached && (rc != PN_ENOMEM || rig->ctx.err.code != rc || !rig->ctx.err.text[0]))
		fail_msg("stage %s, input %s, allocation %lu fails: returned %s, text %s '%s'",
			 setup->ops->name, setup->ops->inputs[setup->port].name, n,
			 pn_status_name(rc), pn_status_name(rig->ctx.err.code), rig->ctx.err.text);
	if (!reached)
		assert_int_equal(rc, PN_OK);
	rig_close(rig);
	return reached;
}

static void allocations_fail(const struct setup *setup)
{
	unsigned long n = 1;

	if (setup->port && goes_along(setup, 0))
		return; /* the same messages came with the first input's */
	while (fail_at(setup, n))
		n++;
	printf("stage %s, input %s: %lu allocations\n", setup->ops->name,
	       setup->ops->inputs[setup->port].name, n - 1);
}

/* ---- threads ------------------------------------------------------------------------------- */

static void two_threads(const struct setup *setup)
{
#ifdef __SANITIZE_THREAD__ /* it does not see what OpenMP's threads agree upon */
	(void)setup;
	skip();
#endif
	omp_set_num_threads(1);
	play(&first, setup, GOOD, PLAIN);
	omp_set_num_threads(2);
	same_bytes(setup, GOOD, PLAIN, "two threads give other bytes than one");
	omp_set_num_threads(1);
	rig_close(&first.rig);
}

#define TEST(name)                            \
	static void test_##name(void **state) \
	{                                     \
		(void)state;                  \
		for_all(name);                \
	}
TEST(an_empty_stream)
TEST(all_kinds)
TEST(bad_payloads_leave_no_trace)
TEST(strange_heads)
TEST(cut_checkpoints)
TEST(parameters_at_their_ends)
TEST(allocations_fail)
TEST(two_threads)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_an_empty_stream),
		cmocka_unit_test(test_all_kinds),
		cmocka_unit_test(test_bad_payloads_leave_no_trace),
		cmocka_unit_test(test_strange_heads),
		cmocka_unit_test(test_cut_checkpoints),
		cmocka_unit_test(no_pixels_no_message),
		cmocka_unit_test(test_parameters_at_their_ends),
		cmocka_unit_test(test_allocations_fail),
		cmocka_unit_test(test_two_threads),
	};

	omp_set_num_threads(1);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
