/* SPDX-License-Identifier: GPL-3.0-or-later */
/* `perrin score poses`: a session whose poses and atoms are wrong by what is known. */
#include "kit.h"

#include "perrin/base/rng.h"
#include "perrin/math/rotation.h"
#include "perrin/orient/symmetry.h"
#include "perrin/stream/head.h"
#include "perrin/stream/log.h"
#include "perrin/twin/specimen.h"
#include "score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define NEAR(a, b, tolerance) assert_true(fabs((a) - (b)) <= (tolerance))

enum { FRAMES = 200, CHANGE = 120 }; /* the second segment begins at CHANGE */
static const double step_deg = 6, pixel_pm = 36;
static const char *session;

/* ---- streams ------------------------------------------------------------------------------- */

static struct pn_log_writer *begin(const char *stream)
{
	struct pn_log_config config = { .dir = testkit_path(session, stream),
					.engine = PN_ENGINE_PLAIN,
					.align = 64 };
	struct pn_log_recovery recovery;
	struct pn_log_writer *writer = NULL;
	struct pn_error err = { 0 };

	if (pn_log_open(&writer, &config, &recovery, &err))
		fail_msg("%s", err.text);
	return writer;
}

static void put(struct pn_log_writer *writer, const struct pn_schema *schema, const void *head,
		int64_t time_ns, const void *payload, size_t payload_bytes)
{
	static unsigned char bytes[PN_HEAD_BYTES_MAX];
	struct pn_error err = { 0 };
	size_t head_bytes;

	if (pn_head_encode(schema, head, bytes, sizeof bytes, &head_bytes, &err))
		fail_msg("%s", err.text);
	struct pn_msg msg = { .time_ns = time_ns,
			      .head = bytes,
			      .head_bytes = (uint32_t)head_bytes,
			      .payload = payload,
			      .payload_bytes = payload_bytes };

	if (pn_log_append(writer, &msg, &err))
		fail_msg("%s", err.text);
}

static void end(struct pn_log_writer *writer)
{
	struct pn_error err = { 0 };

	assert_int_equal(pn_log_finish(writer, 1, &err), PN_OK);
}

/* ---- what is there ------------------------------------------------------------------------- */

static double truth[FRAMES][4]; /* a random walk with the step in all of its angles */
static const double common[4] = { 0.8, 0.6, 0, 0 };  /* how the map stands to the specimen */
static const double origin_px[3] = { 1.5, -2, 0.5 }; /* and where */

static void walk(void)
{
	struct pn_rng rng;

	pn_rng_init(&rng, 11, 0);
	pn_quaternion_random(truth[0], &rng);
	for (int i = 1; i < FRAMES; i++) {
		double turn[4], v[3], length = 0;

		for (int k = 0; k < 3; k++)
			v[k] = pn_rng_gauss(&rng);
		for (int k = 0; k < 3; k++)
			length += v[k] * v[k];
		for (int k = 0; k < 3; k++)
			v[k] *= step_deg * M_PI / 180 / sqrt(length);
		pn_quaternion_from_vector(turn, v);
		pn_quaternion_multiply(truth[i], turn, truth[i - 1]);
	}
}

static void write_truth(void)
{
	struct pn_log_writer *writer = begin("truth");

	for (uint64_t i = 0; i < FRAMES; i++)
		for (uint64_t p = 0; p < 2; p++) {
			struct pn_truth_head h = { .frame = i,
						   .particle = p,
						   .x_px = p ? 300 : 100,
						   .y_px = 80,
						   .quaternion = { 1 },
						   .quaternion_count = 4,
						   .center_count = 3,
						   .version = i < CHANGE ? 1 : 2,
						   .atoms = 79,
						   .diameter_nm = 1.3,
						   .lattice_A = 3.92,
						   .zone_count = 3,
						   .tilt_deg = (double)NAN };

			if (p == 1)
				memcpy(h.quaternion, truth[i], sizeof truth[i]);
			put(writer, &pn_truth_schema, &h, (int64_t)i * 2500000, NULL, 0);
		}
	end(writer);
}

/* Found: the truth in the map's frame. @kind 1: turned by one of the cube's rotations; 2:
 * elsewhere. */
static struct pn_poses_head pose_of(uint64_t i, int kind, double off_deg)
{
	struct pn_poses_head h = { .frame = i,
				   .particle = 7,
				   .segment = i < CHANGE ? 1 : 2,
				   .quaternion_count = 4,
				   .score = 0.5,
				   .height = 1,
				   .angle_uncertainty_deg = (double)NAN,
				   .shift_uncertainty_px = (double)NAN,
				   .probability = (double)NAN,
				   .entropy = (double)NAN,
				   .runner_up_probability = (double)NAN,
				   .step_deg = 6.5,
				   .rotation_rad2_per_s = 0.9,
				   .translation_A2_per_s = (double)NAN,
				   .weight = kind == 2 ? 0 : 1 };
	const double half_turn[3] = { 1, 1.2, 0.3 };
	double turn[4], r[3][3], off_rad[3], length = 0;
	struct pn_rng rng;

	/* a turn about an axis of any direction, after the symmetry, after the map's frame */
	pn_rng_init(&rng, 17, i);
	for (int k = 0; k < 3; k++) {
		off_rad[k] = pn_rng_gauss(&rng);
		length += off_rad[k] * off_rad[k];
	}
	for (int k = 0; k < 3; k++)
		off_rad[k] *= off_deg * M_PI / 180 / sqrt(length);
	pn_quaternion_from_vector(turn, kind == 2 ? half_turn : off_rad);
	pn_quaternion_multiply(h.quaternion, turn, truth[i]);
	if (kind == 1)
		pn_quaternion_multiply(h.quaternion, h.quaternion, pn_cubic_rotations[3]);
	pn_quaternion_multiply(h.quaternion, h.quaternion, common);
	pn_quaternion_to_matrix(r, truth[i]);
	h.x_px = 300 + (i % 2 ? 0.25 : -0.25);
	h.y_px = 80 + (i / 2 % 2 ? 0.25 : -0.25);
	for (int k = 0; k < 3; k++) {
		h.x_px += r[0][k] * origin_px[k];
		h.y_px += r[1][k] * origin_px[k];
	}
	return h;
}

/*
 * Live, every fifth frame is elsewhere and not in the map, and every tenth but two is flipped. The
 * latest poses of those elsewhere are right, and are in the map; frame 9 is far from any particle.
 */
static void write_poses(void)
{
	struct pn_log_writer *writer = begin("poses");

	for (uint64_t i = 0; i < FRAMES; i++) {
		const int kind = i % 5 == 0 ? 2 : i % 10 == 2 ? 1 : 0;
		struct pn_poses_head h = pose_of(i, kind, 2);

		if (i == 9)
			h.x_px += 500;
		put(writer, &pn_poses_schema, &h, (int64_t)i, NULL, 0);
	}
	for (uint64_t i = 0; i < FRAMES; i += 5) {
		struct pn_poses_head h = pose_of(i, 0, 2);

		h.revision = 1;
		put(writer, &pn_poses_schema, &h, (int64_t)(FRAMES + i), NULL, 0);
	}
	end(writer);
}

static struct pn_specimen *specimen_of(uint64_t version)
{
	struct pn_specimen_params params;
	struct pn_specimen *specimen = NULL;

	pn_params_default(pn_specimen_param_table, &params);
	params.shape = PN_SHAPE_TRUNCATED_OCTAHEDRON;
	params.diameter_nm = 1.3;
	strcpy(params.element, "Pt");
	params.thermal_A = 0.05;
	assert_int_equal(pn_specimen_create(&specimen, &params, version, NULL), PN_OK);
	return specimen;
}

/* Particle 1 loses its first four atoms from one version to the next. */
static void write_specimens(void)
{
	struct pn_log_writer *writer = begin("specimen");

	for (uint64_t version = 1; version <= 2; version++)
		for (uint64_t p = 0; p < 2; p++) {
			struct pn_specimen *s = specimen_of(5);
			const size_t gone = version == 2 ? 4 : 0;
			double rows[200][4];
			struct pn_specimen_head h = { .particle = p,
						      .version = version,
						      .atoms = s->count - gone,
						      .lattice_A = 3.92 };

			for (size_t i = 0; i < s->count; i++) {
				memcpy(rows[i], s->position_A[i], 3 * sizeof rows[i][0]);
				rows[i][3] = 78;
			}
			put(writer, &pn_specimen_schema, &h, (int64_t)version, rows[gone],
			    (s->count - gone) * sizeof *rows);
			pn_specimen_destroy(s);
		}
	end(writer);
}

/* The atoms of both segments in the map's frame: of the first an early volume without any, then
 * one that lacks two and has one more; all of the second, each 20 pm off. */
static void write_atoms(void)
{
	struct pn_log_writer *writer = begin("atoms");
	struct pn_specimen *s = specimen_of(5);
	double inverse[4], r[3][3], rows[200][PN_ATOM_NUMBERS] = { { 0 } };
	struct pn_rng rng;

	pn_rng_init(&rng, 3, 0);
	pn_quaternion_conjugate(inverse, common);
	pn_quaternion_to_matrix(r, inverse);
	for (uint64_t volume = 1; volume <= 3; volume++) {
		const size_t gone = volume == 3 ? 4 : volume == 2 ? 2 : s->count - 1;
		struct pn_atoms_head h = { .volume = volume,
					   .particle = 7,
					   .segment = volume == 3 ? 2 : 1,
					   .atoms = s->count - gone + (volume == 2),
					   .strength_min = (double)NAN,
					   .moved_pm = (double)NAN,
					   .disordered = (double)NAN,
					   .diameter_nm = (double)NAN,
					   .images = 100 };

		for (size_t i = 0; i < s->count; i++) {
			double v[3], length = 0;

			for (int k = 0; k < 3; k++) {
				v[k] = pn_rng_gauss(&rng);
				length += v[k] * v[k];
			}
			for (int k = 0; k < 3; k++) {
				rows[i][k] = volume == 3 ? 0.2 * v[k] / sqrt(length) : 0;
				for (int j = 0; j < 3; j++)
					rows[i][k] += r[k][j] * s->position_A[i][j];
			}
			rows[i][3] = 78;
		}
		rows[s->count][0] = 15;
		rows[s->count][3] = 78;
		put(writer, &pn_atoms_schema, &h, (int64_t)volume, rows[gone],
		    h.atoms * sizeof *rows);
	}
	end(writer);
	pn_specimen_destroy(s);
}

static void write_crop(void)
{
	struct pn_log_writer *writer = begin("crops");
	struct pn_crops_head h = { .dtype = PN_U8,
				   .ny = 1,
				   .nx = 1,
				   .pixel_pm = pixel_pm,
				   .noise = (double)NAN,
				   .snr_db = (double)NAN,
				   .raw_snr_db = (double)NAN };

	put(writer, &pn_crops_schema, &h, 0, "", 1);
	end(writer);
}

static int make_session(void **state)
{
	(void)state;
	session = testkit_path(testkit_tempdir(), "session");
	session = strdup(session);
	assert_int_equal(mkdir(session, 0777), 0);
	testkit_write(testkit_path(session, "session.json"), "{}", 2);
	walk();
	write_truth();
	write_poses();
	write_specimens();
	write_atoms();
	write_crop();
	return 0;
}

/* ---- what is told -------------------------------------------------------------------------- */

static struct pn_poses_scores score(uint64_t segment)
{
	struct pn_poses_options options = { .session = session,
					    .truth = session,
					    .segment = segment,
					    .within_px = 30,
					    .tolerance_A = 1 };
	struct pn_poses_scores scores;
	struct pn_error err = { 0 };

	if (pn_score_poses(&scores, &options, &err))
		fail_msg("%s", err.text);
	return scores;
}

static void poses_are_counted_by_hand(void **state)
{
	(void)state;
	struct pn_poses_scores scores = score(0);

	assert_int_equal(scores.count, 2);
	const struct pn_poses_group *g = &scores.group[0];
	const struct pn_pose_score *s = g->score;

	assert_int_equal(g->particle, 7);
	assert_int_equal(g->segment, 1);
	assert_int_equal(g->truth_particle, 1);
	assert_int_equal(g->stray, 1);
	assert_int_equal(g->first_frame, 0);
	assert_int_equal(g->last_frame, CHANGE - 1);
	/* of 120 frames 24 are elsewhere, 12 flipped, one far away */
	assert_int_equal(s[PN_POSES_LIVE].count, 119);
	assert_int_equal(s[PN_POSES_LIVE].within_5deg, 119 - 24 - 12);
	assert_int_equal(s[PN_POSES_LIVE].flipped, 12);
	assert_int_equal(s[PN_POSES_LIVE_USED].count, 95);
	assert_int_equal(s[PN_POSES_LIVE_USED].within_5deg, 83);
	assert_int_equal(s[PN_POSES_LATEST].count, 119);
	assert_int_equal(s[PN_POSES_LATEST].within_5deg, 107);
	assert_int_equal(s[PN_POSES_LATEST].flipped, 12);
	assert_int_equal(s[PN_POSES_LATEST_USED].count, 119);
	/* turned by 2 deg each; shifts of a quarter of a pixel about an origin that is taken out */
	NEAR(s[PN_POSES_LATEST].median_deg, 2, 0.2);
	NEAR(s[PN_POSES_LATEST].shift_rms_px, 0.25, 0.01);
	NEAR(g->pixel_pm, pixel_pm, 0);
	NEAR(g->step_deg, 6.5, 1e-12);
	/* one frame is missing: a turn of two steps is not the sum of their squares */
	NEAR(g->true_step_deg, step_deg, 0.06);
	NEAR(g->rotation_rad2_per_s, 0.9, 1e-12);
	NEAR(g->true_rotation_rad2_per_s, pow(step_deg * M_PI / 180, 2) / (6 * 0.0025), 0.015);
	assert_int_equal(scores.group[1].segment, 2);
	assert_int_equal(scores.group[1].score[PN_POSES_LATEST].count, 80);
	pn_poses_forget(&scores);

	scores = score(2);
	assert_int_equal(scores.count, 1);
	assert_int_equal(scores.group[0].first_frame, CHANGE);
	pn_poses_forget(&scores);
}

static void atoms_are_docked(void **state)
{
	(void)state;
	struct pn_poses_scores scores = score(0);
	const struct pn_poses_atoms *a = &scores.group[0].atoms, *b = &scores.group[1].atoms;

	assert_int_equal(a->compared, 1);
	assert_int_equal(a->version, 1);
	assert_int_equal(a->truth, 79);
	assert_int_equal(a->found, 78);
	assert_int_equal(a->matched, 77);
	assert_int_equal(a->missed, 2);
	assert_int_equal(a->false_atoms, 1);
	assert_true(a->rmsd_pm < 0.1);
	assert_int_equal(b->version, 2);
	assert_int_equal(b->truth, 75);
	assert_int_equal(b->matched, 75);
	assert_true(b->rmsd_pm > 17 && b->rmsd_pm < 20.1);
	pn_poses_forget(&scores);
}

static void it_is_printed(void **state)
{
	(void)state;
	struct kit_result r;

	PERRIN(&r, 0, "score", "poses", session, "--segment", "1");
	kit_says(r.out, "particle 7, segment 1: frames 0 to 119, particle 1 of the truth; 1 far");
	kit_says(r.out, "77 of 79");
	assert_null(strstr(r.out, "segment 2"));
	kit_free(&r);
	PERRIN(&r, 0, "score", "poses", session, "--json");
	kit_says(r.out, "\"within_5deg\": 107");
	kit_free(&r);
	PERRIN(&r, 1, "score", "poses", session, "--segment", "9");
	kit_says(r.err, "no poses of segment 9");
	kit_free(&r);
	PERRIN(&r, 1, "score", "poses", "/nowhere");
	kit_free(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(poses_are_counted_by_hand),
		cmocka_unit_test(atoms_are_docked),
		cmocka_unit_test(it_is_printed),
	};

	return cmocka_run_group_tests(tests, make_session, NULL);
}
