/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Errors are measured against the twin's truth, so it must belong to the frame and never change. */
#include "kit.h"

#include "perrin/twin/scene.h"
#include "perrin/twin/tilt.h"

#define MESSAGES_MAX 256

/** A message, copied. */
struct kept {
	struct pn_msg msg;
	char head[PN_HEAD_BYTES_MAX];
	char *payload;
};

static struct kept all[MESSAGES_MAX];
static unsigned all_count;

static void forget_all(void)
{
	for (unsigned i = 0; i < all_count; i++)
		free(all[i].payload);
	all_count = 0;
}

static void keep_all(struct pn_source *source)
{
	struct pn_error err = { 0 };
	struct pn_msg msg;
	int rc;

	forget_all();
	while ((rc = pn_source_next(source, 0, &msg, &err)) == PN_OK) {
		struct kept *kept = &all[all_count++];

		assert_true(all_count < MESSAGES_MAX);
		assert_int_equal(msg.seq, all_count - 1);
		assert_int_equal((uintptr_t)msg.payload % 64, 0);
		kept->msg = msg;
		memcpy(kept->head, msg.head, msg.head_bytes);
		kept->payload = malloc(msg.payload_bytes + 1);
		assert_non_null(kept->payload);
		if (msg.payload_bytes)
			memcpy(kept->payload, msg.payload, msg.payload_bytes);
	}
	if (rc != PN_EEND)
		fail_msg("%s", err.text);
}

static void expect_same(struct pn_source *source, unsigned seq)
{
	struct pn_error err = { 0 };
	const struct kept *kept = &all[seq];
	struct pn_msg msg;

	if (pn_source_next(source, 0, &msg, &err))
		fail_msg("message %u: %s", seq, err.text);
	assert_int_equal(msg.seq, seq);
	assert_int_equal(msg.port, kept->msg.port);
	assert_int_equal(msg.time_ns, kept->msg.time_ns);
	assert_int_equal(msg.head_bytes, kept->msg.head_bytes);
	assert_int_equal(msg.payload_bytes, kept->msg.payload_bytes);
	assert_memory_equal(msg.head, kept->head, msg.head_bytes);
	if (msg.payload_bytes)
		assert_memory_equal(msg.payload, kept->payload, msg.payload_bytes);
}

/* From any message on the stream is the same, in the same source and in a fresh one. */
static void check_seeks(struct pn_source *source, const char *uri)
{
	struct pn_error err = { 0 };

	for (unsigned seq = all_count; seq-- > 0;) {
		kit_seek(source, seq);
		expect_same(source, seq);
		if (seq + 1 < all_count)
			expect_same(source, seq + 1);
	}
	kit_seek(source, all_count);
	kit_expect(source, PN_EEND, "");
	assert_int_equal(pn_source_seek(source, all_count + 1, &err), PN_EARG);
	struct pn_source *fresh = kit_open(uri);

	for (unsigned seq = all_count / 2; seq < all_count; seq++) {
		if (seq == all_count / 2)
			kit_seek(fresh, seq);
		expect_same(fresh, seq);
	}
	kit_expect(fresh, PN_EEND, "");
	pn_source_close(fresh);
}

#define SMALL                                                                                 \
	"ny=34&nx=33&frames=9&diameter_nm=0.9&water_nm=0&graphene_layers=0&dose_e_per_A2=50&" \
	"patch_px=32&seed=5"

static void set(struct pn_scene_params *params, const char *query)
{
	struct pn_error err = { 0 };

	pn_params_default(pn_scene_param_table, params);
	if (pn_params_parse_query(pn_scene_param_table, params, query, &err))
		fail_msg("%s", err.text);
}

/* Every message of all[] against the scene itself. */
static void check_scene(const char *query)
{
	static struct pn_scene_params params;
	static struct pn_frames_head frame;
	struct pn_scene_truth truth[4];
	struct pn_error err = { 0 };
	struct pn_scene *scene;
	uint16_t pixels[34 * 33];
	uint32_t versions[4] = { 0 };
	unsigned seq = 0;

	set(&params, query);
	assert_int_equal(pn_scene_create(&scene, &params, &err), PN_OK);
	for (uint64_t f = 0; f < 9; f++) {
		const int64_t time_ns = (int64_t)f * 2500000;

		assert_int_equal(pn_scene_frame(scene, f, pixels, truth, &err), PN_OK);
		for (uint32_t p = 0; p < params.particles; p++) {
			if (f && truth[p].specimen_version == versions[p])
				continue;
			versions[p] = truth[p].specimen_version;
			const struct pn_specimen *spec = pn_scene_specimen(scene, p, versions[p]);
			struct kept *kept = &all[seq++];
			struct pn_specimen_head head;
			double(*atoms)[4] = (void *)kept->payload;

			kept->msg.head = kept->head;
			kept->msg.payload = kept->payload;
			assert_int_equal(kept->msg.port, PN_PORT_SPECIMEN);
			assert_int_equal(kept->msg.time_ns, time_ns);
			assert_int_equal(
				pn_msg_decode(&pn_specimen_schema, &kept->msg, &head, &err), PN_OK);
			assert_int_equal(head.particle, p);
			assert_int_equal(head.version, versions[p]);
			assert_int_equal(head.atoms, spec->count);
			assert_true(head.lattice_A == spec->lattice_A);
			for (size_t a = 0; a < spec->count; a++) {
				assert_memory_equal(atoms[a], spec->position_A[a],
						    3 * sizeof(double));
				assert_true(atoms[a][3] == spec->atomic_number[a]);
			}
		}
		for (uint32_t p = 0; p < params.particles; p++) {
			struct kept *kept = &all[seq++];
			struct pn_truth_head head;

			kept->msg.head = kept->head;
			assert_int_equal(kept->msg.port, PN_PORT_TRUTH);
			assert_int_equal(kept->msg.time_ns, time_ns);
			assert_int_equal(pn_msg_decode(&pn_truth_schema, &kept->msg, &head, &err),
					 PN_OK);
			assert_int_equal(head.frame, f);
			assert_int_equal(head.particle, p);
			assert_int_equal(head.version, truth[p].specimen_version);
			assert_int_equal(head.atoms, truth[p].atoms);
			assert_true(head.x_px == truth[p].x_px && head.y_px == truth[p].y_px);
			assert_memory_equal(head.quaternion, truth[p].pose.quaternion,
					    sizeof head.quaternion);
			assert_memory_equal(head.center_A, truth[p].pose.center_A,
					    sizeof head.center_A);
			assert_memory_equal(head.zone_deg, truth[p].beam_zone_angle_deg,
					    sizeof head.zone_deg);
			assert_true(head.diameter_nm == truth[p].diameter_nm);
			assert_true(head.defocus_A == truth[p].defocus_A && isnan(head.tilt_deg));
		}
		struct kept *kept = &all[seq++];

		kept->msg.head = kept->head;
		kept->msg.payload = kept->payload;
		assert_int_equal(kept->msg.port, PN_PORT_FRAMES);
		assert_int_equal(kept->msg.time_ns, time_ns);
		assert_int_equal(pn_msg_decode(&pn_frames_schema, &kept->msg, &frame, &err), PN_OK);
		assert_int_equal(frame.frame, f);
		assert_int_equal(frame.ny, 34);
		assert_int_equal(frame.nx, 33);
		assert_true(frame.pixel_pm == 35.8 && frame.dose_e_per_A2 == 50);
		assert_true(frame.energy_keV == 300 && isnan(frame.tilt_deg));
		assert_memory_equal(kept->payload, pixels, sizeof pixels);
	}
	assert_int_equal(seq, all_count);
	pn_scene_destroy(scene);
}

static void check_liquid(const char *query, unsigned messages)
{
	char uri[512];

	snprintf(uri, sizeof uri, "twin:liquid-cell?%s", query);
	struct pn_source *source = kit_open(uri);

	keep_all(source);
	assert_int_equal(all_count, messages);
	check_scene(query);
	check_seeks(source, uri);
	pn_source_close(source);
	forget_all();
}

static void test_liquid_cell(void **state)
{
	(void)state;
	check_liquid(SMALL "&particles=2", 9 * 3 + 2);
	check_liquid(SMALL "&particles=1", 9 * 2 + 1);
	check_liquid(SMALL "&particles=0", 9);
}

/* 150 atoms per second are 0.375 a frame: new specimens at frames 0 3 6 8. */
static void test_dissolution(void **state)
{
	(void)state;
	check_liquid(SMALL "&particles=2&etch_per_s=150", 9 * 3 + 2 * 4);
	/* more than there are: gone in frame 1, and nothing changes any more */
	check_liquid(SMALL "&particles=1&etch_per_s=1e6", 9 * 2 + 2);
}

static void test_endless(void **state)
{
	struct pn_source *source = kit_open("twin:liquid-cell?" SMALL "&frames=0");
	struct pn_error err = { 0 };
	struct pn_msg msg;

	(void)state;
	kit_seek(source, 2000);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(pn_source_next(source, 0, &msg, &err), PN_OK);
	/* 3 messages in frame 0, 2 in each other: 2004 is the truth of frame 1001 */
	assert_int_equal(msg.port, PN_PORT_FRAMES);
	assert_int_equal(msg.time_ns, 1001 * INT64_C(2500000));
	pn_source_close(source);
}

#define TILTS \
	"ny=40&nx=41&diameter_nm=1&first_deg=-20&last_deg=20&step_deg=20&frames_per_tilt=2&seed=3"

static void test_tilt_series(void **state)
{
	struct pn_source *source = kit_open("twin:tilt?" TILTS);
	static struct pn_tilt_params params;
	static struct pn_frames_head frame;
	struct pn_tilt_scene *tilt;
	struct pn_tilt_truth truth;
	struct pn_truth_head head;
	struct pn_error err = { 0 };
	uint16_t pixels[40 * 41];

	(void)state;
	keep_all(source);
	assert_int_equal(all_count, 1 + 6 * 2);
	pn_params_default(pn_tilt_param_table, &params);
	assert_int_equal(pn_params_parse_query(pn_tilt_param_table, &params, TILTS, &err), PN_OK);
	assert_int_equal(pn_tilt_create(&tilt, &params, &err), PN_OK);
	const struct pn_specimen *spec = pn_tilt_specimen(tilt);

	assert_int_equal(all[0].msg.port, PN_PORT_SPECIMEN);
	assert_int_equal(all[0].msg.payload_bytes, spec->count * 32);
	for (unsigned f = 0; f < 6; f++) {
		struct kept *t = &all[1 + 2 * f], *p = &all[2 + 2 * f];

		assert_int_equal(pn_tilt_frame(tilt, f, pixels, &truth, &err), PN_OK);
		t->msg.head = t->head;
		p->msg.head = p->head;
		p->msg.payload = p->payload;
		assert_int_equal(t->msg.port, PN_PORT_TRUTH);
		assert_int_equal(p->msg.port, PN_PORT_FRAMES);
		assert_int_equal(p->msg.time_ns, f * PN_NS_PER_S);
		assert_int_equal(pn_msg_decode(&pn_truth_schema, &t->msg, &head, &err), PN_OK);
		assert_int_equal(pn_msg_decode(&pn_frames_schema, &p->msg, &frame, &err), PN_OK);
		assert_memory_equal(p->payload, pixels, sizeof pixels);
		assert_true(frame.tilt_deg == truth.nominal_deg);
		assert_true(frame.tilt_deg == (f / 2) * 20.0 - 20);
		assert_true(head.tilt_deg == truth.angle_deg);
		assert_true(fabs(frame.pixel_pm - 34) < 1e-9);
		/* the pose turns (X, Y, Z) to x = X cos - Z sin, y = Y, as pn_tilt_create says */
		struct pn_placement pose;
		double r[3][3], angle = truth.angle_deg * M_PI / 180;

		memcpy(pose.quaternion, head.quaternion, sizeof pose.quaternion);
		pn_placement_rotation(&pose, r);
		assert_true(fabs(r[0][0] - cos(angle)) < 1e-12 && fabs(r[0][1]) < 1e-12 &&
			    fabs(r[0][2] + sin(angle)) < 1e-12);
		assert_true(fabs(r[1][1] - 1) < 1e-12);
	}
	pn_tilt_destroy(tilt);
	check_seeks(source, "twin:tilt?" TILTS);
	pn_source_close(source);
	forget_all();
}

static void test_bad_words(void **state)
{
	(void)state;
	kit_refuse("twin:liquid-cell?element=Xx", PN_EARG, "Xx");
	kit_refuse("twin:liquid-cell?frames=-1", PN_EARG, "frames");
	kit_refuse("twin:tilt?element=Xx", PN_EARG, "Xx");
	kit_refuse("twin:tilt?step_deg=0", PN_EARG, "step_deg");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_liquid_cell), cmocka_unit_test(test_dissolution),
		cmocka_unit_test(test_endless),     cmocka_unit_test(test_tilt_series),
		cmocka_unit_test(test_bad_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
