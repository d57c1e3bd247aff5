/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Why: heads are what other programs read and send; each value must survive, each malformation be
 * told. */
#include "perrin/base/json.h"
#include "perrin/base/rng.h"
#include "perrin/stream/head.h"
#include "testkit.h"

#include <math.h>
#include <msgpack.h>
#include <stdlib.h>
#include <string.h>

#define HEAD_MAX 16384 /* larger than any head's struct */

enum sample { LOWEST, HIGHEST, NOTHING_KNOWN, RANDOM, SAMPLES };

static double pick(const struct pn_field *field, enum sample sample, double lo, double hi,
		   unsigned salt)
{
	if (field->min != field->max) {
		lo = field->min;
		hi = field->max;
	}
	if (sample == LOWEST)
		return lo;
	if (sample == HIGHEST)
		return hi;
	return lo / 2 + hi / 2 + (hi / 4 - lo / 4) * sin(salt + 12.9898 * (double)field->off);
}

static void fill_number(const struct pn_field *field, enum sample sample, void *value,
			unsigned salt)
{
	const double wide = field->type == PN_FIELD_F64 ? 1.7e308 : 0;

	if (field->type == PN_FIELD_U64 && field->min == field->max)
		*(uint64_t *)value =
			sample == HIGHEST ? UINT64_MAX : sample * 1000003u * (salt + 1);
	else if (field->type == PN_FIELD_U64)
		*(uint64_t *)value = (uint64_t)pick(field, sample, 0, 0, salt);
	else if (field->type == PN_FIELD_I64 || field->type == PN_FIELD_I64S)
		*(int64_t *)value = (int64_t)pick(field, sample, -1e18, 1e18, salt);
	else
		*(double *)value = pick(field, sample, -wide, wide, salt);
}

static void fill_field(const struct pn_field *field, enum sample sample, char *head)
{
	void *value = head + field->off;
	int last = 0;

	switch (field->type) {
	case PN_FIELD_F64:
		fill_number(field, sample, value, 0);
		if (field->nullable && sample == NOTHING_KNOWN)
			*(double *)value = NAN;
		break;
	case PN_FIELD_WORD:
		while (field->words[last + 1])
			last++;
		*(int *)value = sample == HIGHEST ? last : 0;
		break;
	case PN_FIELD_DTYPE:
		*(enum pn_dtype *)value = sample == HIGHEST  ? PN_C64
					  : sample == RANDOM ? PN_U16
							     : PN_U8;
		break;
	case PN_FIELD_TEXT:
		if (sample != LOWEST)
			memset(value, 'r', sample == HIGHEST ? field->capacity - 1 : 7);
		break;
	case PN_FIELD_F64S:
	case PN_FIELD_I64S:
		*(uint64_t *)(head + field->count_off) = sample == LOWEST ? 0 : field->capacity;
		for (size_t i = 0; sample != LOWEST && i < field->capacity; i++)
			fill_number(field, sample, (double *)value + i, (unsigned)i);
		break;
	default:
		fill_number(field, sample, value, 0);
	}
}

/* A head with extreme values in each field, made to agree with itself where fields depend. */
static void fill(const struct pn_schema *schema, enum sample sample, void *head)
{
	assert_true(schema->size <= HEAD_MAX);
	memset(head, 0, HEAD_MAX);
	for (const struct pn_field *field = schema->fields; field->key; field++)
		fill_field(field, sample, head);
	if (schema == &pn_frames_schema) {
		struct pn_frames_head *h = head;

		h->offset_count = h->count;
		memset(h->offset_ns, 0, sizeof h->offset_ns);
		for (uint64_t i = 1; i < h->count; i++)
			h->offset_ns[i] = sample == HIGHEST ? (int64_t)1e18 : (int64_t)(i * 977);
	}
	if (schema == &pn_truth_schema) {
		struct pn_truth_head *h = head;
		const double turned[4] = { 0.5, -0.5, 0.5, -0.5 }, still[4] = { 1, 0, 0, 0 };

		memcpy(h->quaternion, sample == LOWEST ? still : turned, sizeof still);
		h->quaternion_count = 4;
		h->center_count = h->zone_count = 3;
	}
	if (schema == &pn_poses_schema) {
		struct pn_poses_head *h = head;
		const double turned[4] = { -0.1, 0.7, 0.7, -0.1 }, still[4] = { 0, 0, 1, 0 };

		memcpy(h->quaternion, sample == LOWEST ? still : turned, sizeof still);
		h->quaternion_count = 4;
	}
	if (schema == &pn_volumes_schema) {
		struct pn_volumes_head *h = head;

		if (h->fsc_count)
			h->nz = 2 * h->fsc_count - 2;
	}
}

static size_t encode(const struct pn_schema *schema, const void *head, void *buf)
{
	struct pn_error err = { 0 };
	size_t bytes = 0;

	if (pn_head_encode(schema, head, buf, PN_HEAD_BYTES_MAX, &bytes, &err))
		fail_msg("%s", err.text);
	return bytes;
}

static void refused(const struct pn_schema *schema, const void *buf, size_t bytes, const char *text)
{
	struct pn_error err = { 0 };
	char head[HEAD_MAX];

	if (pn_head_decode(schema, buf, bytes, head, &err) != PN_EFRAME)
		fail_msg("%s: accepted, \"%s\" was expected", schema->type, text);
	assert_int_equal(err.code, PN_EFRAME);
	if (!strstr(err.text, text))
		fail_msg("\"%s\" does not tell of \"%s\"", err.text, text);
}

static void test_round_trip(void **state)
{
	(void)state;
	for (unsigned s = 0; pn_schemas[s]; s++)
		for (enum sample sample = 0; sample < SAMPLES; sample++) {
			const struct pn_schema *schema = pn_schemas[s];
			char head[HEAD_MAX], back[HEAD_MAX] = { 0 };
			char bytes[PN_HEAD_BYTES_MAX], again[PN_HEAD_BYTES_MAX];
			struct pn_error err = { 0 };

			fill(schema, sample, head);
			size_t count = encode(schema, head, bytes);

			if (pn_head_decode(schema, bytes, count, back, &err))
				fail_msg("%s", err.text);
			assert_memory_equal(head, back, schema->size);
			assert_int_equal(encode(schema, back, again), count);
			assert_memory_equal(bytes, again, count);
			assert_ptr_equal(pn_head_type(bytes, count), schema);
		}
	assert_ptr_equal(pn_schema_find("crops"), &pn_crops_schema);
	assert_null(pn_schema_find("crop"));
}

/* the layout others rely on: a map, "type" and "v" first, float64 always, integers as short as they
 * go */
static void test_bytes(void **state)
{
	const struct pn_specimen_head head = {
		.particle = 3, .version = 300, .atoms = 0, .lattice_A = 4
	};
	const unsigned char want[] = "\x86\xa4type\xa8specimen\xa1v\x01\xa8particle\x03\xa7version"
				     "\xcd\x01\x2c\xa5"
				     "atoms\x00\xa9lattice_A\xcb\x40\x10\0\0\0\0\0\0";
	unsigned char bytes[128];
	size_t count = 0;

	(void)state;
	assert_int_equal(
		pn_head_encode(&pn_specimen_schema, &head, bytes, sizeof bytes, &count, NULL), 0);
	assert_int_equal(count, sizeof want - 1);
	assert_memory_equal(bytes, want, count);
	for (size_t size = 0; size < count; size++) {
		size_t used;

		assert_int_equal(
			pn_head_encode(&pn_specimen_schema, &head, bytes, size, &used, NULL),
			PN_EARG);
	}
}

/* ---- malformed heads ----------------------------------------------------------------------- */

enum change { DROP, REPEAT, RENAME, REPLACE, ADD, SWAP };

/* The head again with pair @at changed; @value: what REPLACE puts there. */
static size_t rebuild(const void *in, size_t bytes, enum change change, unsigned at,
		      const msgpack_object *value, char *out)
{
	msgpack_unpacked head;
	msgpack_sbuffer buf;
	msgpack_packer packer;
	size_t off = 0, count;

	msgpack_unpacked_init(&head);
	assert_int_equal(msgpack_unpack_next(&head, in, bytes, &off), MSGPACK_UNPACK_SUCCESS);
	msgpack_sbuffer_init(&buf);
	msgpack_packer_init(&packer, &buf, msgpack_sbuffer_write);
	msgpack_object_map map = head.data.via.map;

	msgpack_pack_map(&packer,
			 map.size + (change == REPEAT || change == ADD) - (change == DROP));
	for (unsigned i = 0; i < map.size; i++) {
		const msgpack_object_kv *kv = &map.ptr[change == SWAP && i < 2 ? 1 - i : i];

		if (i == at && change == DROP)
			continue;
		if (i == at && change == RENAME)
			msgpack_pack_str_with_body(&packer, "nonsense", 8);
		else
			msgpack_pack_object(&packer, kv->key);
		msgpack_pack_object(&packer, i == at && change == REPLACE ? *value : kv->val);
		if (i == at && change == REPEAT) {
			msgpack_pack_object(&packer, kv->key);
			msgpack_pack_object(&packer, kv->val);
		}
	}
	if (change == ADD) {
		msgpack_pack_str_with_body(&packer, "nonsense", 8);
		msgpack_pack_int(&packer, 1);
	}
	count = buf.size;
	assert_true(count <= 2 * PN_HEAD_BYTES_MAX);
	memcpy(out, buf.data, count);
	msgpack_sbuffer_destroy(&buf);
	msgpack_unpacked_destroy(&head);
	return count;
}

static void test_keys(void **state)
{
	(void)state;
	for (unsigned s = 0; pn_schemas[s]; s++) {
		const struct pn_schema *schema = pn_schemas[s];
		char head[HEAD_MAX], good[PN_HEAD_BYTES_MAX], bad[2 * PN_HEAD_BYTES_MAX];

		fill(schema, RANDOM, head);
		size_t count = encode(schema, head, good);

		for (unsigned i = 0; schema->fields[i].key; i++) {
			refused(schema, bad, rebuild(good, count, DROP, i + 2, NULL, bad),
				"missing");
			refused(schema, bad, rebuild(good, count, REPEAT, i + 2, NULL, bad),
				"twice");
			refused(schema, bad, rebuild(good, count, RENAME, i + 2, NULL, bad),
				"unknown");
		}
		refused(schema, bad, rebuild(good, count, ADD, 0, NULL, bad), "nonsense");
		refused(schema, bad, rebuild(good, count, SWAP, 99, NULL, bad), "first two");
		refused(schema, bad, rebuild(good, count, DROP, 0, NULL, bad), "first two");
		refused(schema, bad, rebuild(good, count, DROP, 1, NULL, bad), "first two");
	}
}

static const msgpack_object some_true = { .type = MSGPACK_OBJECT_BOOLEAN, .via.boolean = true };
static const msgpack_object some_nil = { .type = MSGPACK_OBJECT_NIL };
static const msgpack_object some_int = { .type = MSGPACK_OBJECT_POSITIVE_INTEGER, .via.u64 = 1 };
static const msgpack_object some_huge = { .type = MSGPACK_OBJECT_POSITIVE_INTEGER,
					  .via.u64 = UINT64_MAX };
static const msgpack_object some_minus = { .type = MSGPACK_OBJECT_NEGATIVE_INTEGER, .via.i64 = -7 };
static const msgpack_object some_f64 = { .type = MSGPACK_OBJECT_FLOAT64, .via.f64 = 1 };
static const msgpack_object some_f32 = { .type = MSGPACK_OBJECT_FLOAT32, .via.f64 = 1 };
static const msgpack_object some_nan = { .type = MSGPACK_OBJECT_FLOAT64, .via.f64 = NAN };
static const msgpack_object some_inf = { .type = MSGPACK_OBJECT_FLOAT64, .via.f64 = INFINITY };
static const msgpack_object some_text = { .type = MSGPACK_OBJECT_STR,
					  .via.str = { .ptr = "u3", .size = 2 } };
static const msgpack_object some_empty = { .type = MSGPACK_OBJECT_ARRAY };

static void test_types(void **state)
{
	const struct {
		const msgpack_object *object;
		unsigned fits; /* bit per field type that it could be, by its type alone */
	} objects[] = {
		{ &some_true, 0 },
		{ &some_nil, 0 },
		{ &some_int, 1 << PN_FIELD_U64 | 1 << PN_FIELD_I64 },
		{ &some_huge, 1 << PN_FIELD_U64 },
		{ &some_minus, 1 << PN_FIELD_I64 },
		{ &some_f64, 1 << PN_FIELD_F64 },
		{ &some_f32, 0 },
		{ &some_nan, 0 },
		{ &some_inf, 0 },
		{ &some_text, 1 << PN_FIELD_TEXT },
		{ &some_empty, 1 << PN_FIELD_F64S | 1 << PN_FIELD_I64S },
	};

	(void)state;
	for (unsigned s = 0; pn_schemas[s]; s++) {
		const struct pn_schema *schema = pn_schemas[s];
		char head[HEAD_MAX], good[PN_HEAD_BYTES_MAX], bad[2 * PN_HEAD_BYTES_MAX];

		fill(schema, RANDOM, head);
		size_t count = encode(schema, head, good);

		for (unsigned i = 0; schema->fields[i].key; i++)
			for (unsigned k = 0; k < PN_COUNT(objects); k++) {
				const struct pn_field *field = &schema->fields[i];

				if ((objects[k].fits & 1u << field->type) ||
				    (field->nullable && objects[k].object == &some_nil))
					continue;
				size_t n = rebuild(good, count, REPLACE, i + 2, objects[k].object,
						   bad);

				refused(schema, bad, n, field->key);
				refused(schema, bad, n,
					field->type == PN_FIELD_TEXT ? "not a text" : "wrong type");
			}
		refused(schema, bad, rebuild(good, count, REPLACE, 0, &some_text, bad),
			"another type");
		refused(schema, bad, rebuild(good, count, REPLACE, 0, &some_int, bad),
			"another type");
		refused(schema, bad, rebuild(good, count, REPLACE, 1, &some_huge, bad), "version");
		refused(schema, bad, rebuild(good, count, REPLACE, 1, &some_f64, bad),
			"wrong type");
		assert_null(pn_head_type(bad, rebuild(good, count, REPLACE, 0, &some_text, bad)));
	}
}

static void test_ranges(void **state)
{
	(void)state;
	for (unsigned s = 0; pn_schemas[s]; s++) {
		const struct pn_schema *schema = pn_schemas[s];
		char head[HEAD_MAX], good[PN_HEAD_BYTES_MAX], bad[2 * PN_HEAD_BYTES_MAX];

		fill(schema, RANDOM, head);
		size_t count = encode(schema, head, good);

		for (unsigned i = 0; schema->fields[i].key; i++) {
			const struct pn_field *field = &schema->fields[i];
			double outer[2] = { field->min - 1 - 1e-9 * fabs(field->min),
					    field->max + 1 + 1e-9 * fabs(field->max) };

			for (unsigned side = 0; side < 2; side++) {
				msgpack_object value = { .type = MSGPACK_OBJECT_FLOAT64,
							 .via.f64 = outer[side] };
				msgpack_object list = { .type = MSGPACK_OBJECT_ARRAY,
							.via.array = { .size = 1, .ptr = &value } };
				int array = field->type >= PN_FIELD_F64S;

				if (field->min == field->max ||
				    (field->type == PN_FIELD_U64 && outer[side] < 0))
					continue;
				if (field->type != PN_FIELD_F64 && field->type != PN_FIELD_F64S) {
					value.type = outer[side] < 0
							     ? MSGPACK_OBJECT_NEGATIVE_INTEGER
							     : MSGPACK_OBJECT_POSITIVE_INTEGER;
					value.via.i64 = (int64_t)outer[side];
				}
				size_t n = rebuild(good, count, REPLACE, i + 2,
						   array ? &list : &value, bad);

				refused(schema, bad, n, field->key);
				refused(schema, bad, n, "not within");
			}
		}
	}
}

/* what the encoder must refuse: a bug of the caller, told with the field's name */
static void test_encoder_refuses(void **state)
{
	union {
		char bytes[HEAD_MAX];
		struct pn_frames_head frames;
		struct pn_crops_head crops;
		struct pn_crystal_head crystal;
		struct pn_truth_head truth;
		struct pn_poses_head poses;
		struct pn_volumes_head volumes;
	} head;
	char buf[PN_HEAD_BYTES_MAX];
	size_t bytes;

	(void)state;
#define REFUSE(schema, change, named)                                                           \
	do {                                                                                    \
		struct pn_error err = { 0 };                                                    \
		fill(&schema, RANDOM, &head);                                                   \
		change;                                                                         \
		assert_int_equal(pn_head_encode(&schema, &head, buf, sizeof buf, &bytes, &err), \
				 PN_EARG);                                                      \
		assert_int_equal(err.code, PN_EARG);                                            \
		assert_non_null(strstr(err.text, named));                                       \
	} while (0)
	REFUSE(pn_frames_schema, head.frames.count = 0, "count");
	REFUSE(pn_frames_schema, head.frames.count = 257, "count");
	REFUSE(pn_frames_schema, head.frames.offset_count = 300, "offset_ns");
	REFUSE(pn_frames_schema, head.frames.offset_count--, "offset_ns");
	REFUSE(pn_frames_schema, head.frames.offset_ns[0] = 1, "starts with 1");
	REFUSE(pn_frames_schema, head.frames.offset_ns[5] = 0, "falls");
	REFUSE(pn_frames_schema, head.frames.dtype = PN_DTYPE_NONE, "dtype");
	REFUSE(pn_frames_schema, head.frames.dtype = (enum pn_dtype)12, "dtype");
	REFUSE(pn_frames_schema, head.frames.pixel_pm = INFINITY, "finite");
	REFUSE(pn_crops_schema, head.crops.state = 2, "state");
	REFUSE(pn_crops_schema, head.crops.state = -1, "state");
	REFUSE(pn_crops_schema, head.crops.spot_count = 5, "pairs");
	REFUSE(pn_crops_schema, head.crops.spot_count = 66, "spots_per_A");
	REFUSE(pn_crops_schema, head.crops.spots_per_A[1] = NAN, "spots_per_A");
	REFUSE(pn_crops_schema, head.crops.contrast = NAN, "contrast");
	REFUSE(pn_crystal_schema, head.crystal.gx_per_A = NAN, "gy_per_A");
	REFUSE(pn_crystal_schema, head.crystal.lattice_y_px = NAN, "lattice_x_px");
	REFUSE(pn_truth_schema, head.truth.quaternion_count = 3, "quaternion");
	REFUSE(pn_truth_schema, head.truth.quaternion[0] = 0.51, "norm");
	REFUSE(pn_truth_schema, head.truth.zone_count = 2, "zone_deg");
	REFUSE(pn_poses_schema, head.poses.quaternion_count = 3, "quaternion");
	REFUSE(pn_poses_schema, head.poses.quaternion[1] = 0.51, "norm");
	REFUSE(pn_poses_schema, head.poses.runner_up_count = 2, "runner_up");
	REFUSE(pn_volumes_schema, head.volumes.fsc_count = 2, "shells");
#undef REFUSE
}

static void test_truncated_and_trailing(void **state)
{
	(void)state;
	for (unsigned s = 0; pn_schemas[s]; s++) {
		const struct pn_schema *schema = pn_schemas[s];
		char head[HEAD_MAX], good[PN_HEAD_BYTES_MAX + 1];

		fill(schema, HIGHEST, head);
		size_t count = encode(schema, head, good);

		for (size_t n = 0; n < count; n++) {
			char *exact = malloc(n + !n); /* so that a sanitizer sees the end */

			memcpy(exact, good, n);
			refused(schema, exact, n, "head");
			free(exact);
		}
		good[count] = 0;
		refused(schema, good, count + 1, "left over");
	}
}

/* declared sizes and depths that would cost memory or stack before anything is checked */
static void test_hostile(void **state)
{
	const struct pn_schema *schema = &pn_frames_schema;
	char deep[512];

	(void)state;
	refused(schema, "", 0, "not a msgpack map");
	refused(schema, "\xc0", 1, "not a msgpack map");
	refused(schema, "\xdf\xff\xff\xff\xff", 5, "keys");
	refused(schema, "\xde\xff\xff", 3, "keys");
	refused(schema, "\x81\xa1k\xdd\xff\xff\xff\xff", 8, "declares");
	refused(schema, "\x81\xa1k\xdb\xff\xff\xff\xff", 8, "truncated");
	refused(schema, "\x81\xa1k\xc6\xff\xff\xff\xff", 8, "type no head has");
	refused(schema, "\x81\xa1k\xc1", 4, "type no head has");
	refused(schema, "\x81\xa1k\x81\xa1k\x01", 7, "type no head has");
	refused(schema, "\x81\x01\x01", 3, "first two");
	memset(deep, '\x91', sizeof deep);
	memcpy(deep, "\x81\xa1k", 3);
	refused(schema, deep, sizeof deep, "not a scalar");
}

/* any single changed byte: refused, or another good head that comes back the same */
static void test_flipped(void **state)
{
	(void)state;
	for (unsigned s = 0; pn_schemas[s]; s++) {
		const struct pn_schema *schema = pn_schemas[s];
		char head[HEAD_MAX], again[HEAD_MAX], good[PN_HEAD_BYTES_MAX],
			bytes[PN_HEAD_BYTES_MAX];

		fill(schema, NOTHING_KNOWN, head);
		size_t count = encode(schema, head, good);

		for (size_t at = 0; at < count && at < 600; at++)
			for (int bit = 0; bit < 8; bit++) {
				good[at] ^= (char)(1 << bit);
				memset(head, 0, sizeof head);
				if (pn_head_decode(schema, good, count, head, NULL) == PN_OK) {
					size_t n = encode(schema, head, bytes);

					memset(again, 0, sizeof again);
					assert_int_equal(
						pn_head_decode(schema, bytes, n, again, NULL), 0);
					assert_memory_equal(head, again, schema->size);
				}
				good[at] ^= (char)(1 << bit);
			}
	}
}

/* ---- what the schemas do not have: texts ---------------------------------------------------- */

struct note {
	char text[8];
};

static void test_text_field(void **state)
{
	static const struct pn_field fields[] = {
		{ .key = "text", .unit = "", .help = "", .type = PN_FIELD_TEXT, .capacity = 8 },
		{ NULL },
	};
	static const struct pn_schema schema = { .type = "note",
						 .help = "",
						 .version = 7,
						 .size = sizeof(struct note),
						 .fields = fields };
	const struct {
		const char *text;
		int good;
	} rows[] = {
		{ "", 1 },
		{ "1234567", 1 },
		{ "\xc3\xa9t\xc3\xa9", 1 },
		{ "\xe2\x82\xac", 1 },
		{ "\xf0\x9f\x94\xac", 1 },
		{ "a\nb", 0 },
		{ "\x7f", 0 },
		{ "\xc3", 0 },
		{ "\xa9", 0 },
		{ "\xc0\x80", 0 },
		{ "\xe0\x80\x80", 0 },
		{ "\xed\xa0\x80", 0 },
		{ "\xf4\x90\x80\x80", 0 },
		{ "\xff", 0 },
	};
	char buf[64], back[HEAD_MAX];
	size_t bytes;

	(void)state;
	for (unsigned i = 0; i < PN_COUNT(rows); i++) {
		struct note note = { 0 };

		strcpy(note.text, rows[i].text);
		assert_int_equal(pn_head_encode(&schema, &note, buf, sizeof buf, &bytes, NULL),
				 rows[i].good ? PN_OK : PN_EARG);
		if (!rows[i].good)
			continue;
		assert_int_equal(pn_head_decode(&schema, buf, bytes, back, NULL), PN_OK);
		assert_memory_equal(back, &note, sizeof note);
	}
	struct note full = { "1234567" };

	full.text[7] = '8'; /* no NUL */
	assert_int_equal(pn_head_encode(&schema, &full, buf, sizeof buf, &bytes, NULL), PN_EARG);
	refused(&schema,
		"\x83\xa4type\xa4note\xa1v\x07\xa4text\xa8"
		"12345678",
		28, "text");
	refused(&schema,
		"\x83\xa4type\xa4note\xa1v\x07\xa4text\xa3"
		"1\0003",
		23, "text");
	refused(&schema, "\x83\xa4type\xa4note\xa1v\x07\xa4text\xa1\xff", 21, "UTF-8");
}

/* ---- payloads, JSON, documentation ---------------------------------------------------------- */

static void test_payload(void **state)
{
	struct pn_frames_head head = { .count = 2,
				       .dtype = PN_U16,
				       .ny = 3,
				       .nx = 5,
				       .pixel_pm = NAN,
				       .dose_e_per_A2 = NAN,
				       .energy_keV = 300,
				       .tilt_deg = NAN,
				       .offset_ns = { 0, 1000 },
				       .offset_count = 2 };
	char bytes[PN_HEAD_BYTES_MAX], payload[60] = { 0 }, back[HEAD_MAX];
	struct pn_msg msg = { .head = bytes, .payload = payload, .payload_bytes = sizeof payload };
	struct pn_specimen_head none = { 0 };
	uint64_t want = 1;

	(void)state;
	msg.head_bytes = (uint32_t)encode(&pn_frames_schema, &head, bytes);
	assert_int_equal(pn_msg_decode(&pn_frames_schema, &msg, back, NULL), PN_OK);
	msg.payload_bytes = 59;
	assert_int_equal(pn_msg_decode(&pn_frames_schema, &msg, back, NULL), PN_EFRAME);
	msg.payload_bytes = 60;
	msg.payload = NULL;
	assert_int_equal(pn_msg_decode(&pn_frames_schema, &msg, back, NULL), PN_EFRAME);
	msg.head_bytes = PN_HEAD_BYTES_MAX + 1;
	assert_int_equal(pn_msg_decode(&pn_frames_schema, &msg, back, NULL), PN_EFRAME);
	msg.head_bytes = 0;
	assert_int_equal(pn_msg_decode(&pn_frames_schema, &msg, back, NULL), PN_EFRAME);
	assert_int_equal(pn_specimen_schema.payload_bytes(&none, &want, NULL), PN_OK);
	assert_int_equal(want, 0);
	none.atoms = 309;
	assert_int_equal(pn_specimen_schema.payload_bytes(&none, &want, NULL), PN_OK);
	assert_int_equal(want, 309 * 32);
}

static void test_json(void **state)
{
	struct pn_crops_head head = { .frame = 7,
				      .particle = 1,
				      .state = 1,
				      .x_px = 2.5,
				      .x0_px = -3,
				      .dtype = PN_F32,
				      .ny = 8,
				      .nx = 9,
				      .pixel_pm = 20,
				      .spots_per_A = { 0.25, -0.5 },
				      .spot_count = 2,
				      .noise = NAN,
				      .snr_db = -7.5,
				      .raw_snr_db = NAN };
	char *text = NULL;
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	struct pn_json json;

	(void)state;
	pn_json_init(&json, out, 0);
	pn_json_object(&json, NULL);
	pn_head_json(&pn_crops_schema, &head, &json);
	pn_json_end(&json);
	fclose(out);
	assert_string_equal(
		text, "{\"frame\":7,\"particle\":1,\"state\":\"found\",\"x_px\":2.5,\"y_px\":0,"
		      "\"x0_px\":-3,\"y0_px\":0,\"contrast\":0,\"dtype\":\"f4\",\"ny\":8,"
		      "\"nx\":9,\"pixel_pm\":20,\"spots_per_A\":[0.25,-0.5],"
		      "\"made_by\":\"recorded\",\"weights\":0,\"neighbors\":0,\"noise\":null,"
		      "\"snr_db\":-7.5,\"raw_snr_db\":null}\n");
	free(text);
}

static void test_doc(void **state)
{
	(void)state;
	for (unsigned s = 0; pn_schemas[s]; s++) {
		char *text = NULL;
		size_t size = 0;
		FILE *out = open_memstream(&text, &size);

		pn_schema_doc(out, pn_schemas[s]);
		fclose(out);
		assert_non_null(strstr(text, pn_schemas[s]->help));
		for (const struct pn_field *field = pn_schemas[s]->fields; field->key; field++) {
			assert_non_null(strstr(text, field->key));
			assert_non_null(strstr(text, field->help));
			assert_true(strlen(field->help) > 0);
		}
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_types),
		cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_encoder_refuses),
		cmocka_unit_test(test_truncated_and_trailing),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_flipped),
		cmocka_unit_test(test_text_field),
		cmocka_unit_test(test_payload),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_doc),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
