/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/stream/head.h"

#include "pack.h"
#include "values.h"

#include <inttypes.h>
#include <math.h>
#include <msgpack.h>
#include <string.h>

/* NumPy's names, without the byte order. Perrin's own (pn_dtype_name) count bits. */
static const char *const numpy_names[] = {
	[PN_U8] = "u1",  [PN_I8] = "i1",  [PN_U16] = "u2", [PN_I16] = "i2",
	[PN_U32] = "u4", [PN_I32] = "i4", [PN_F32] = "f4", [PN_F64] = "f8",
	[PN_U64] = "u8", [PN_I64] = "i8", [PN_C64] = "c8",
};

const char *pn_value_dtype(enum pn_dtype dtype)
{
	return (unsigned)dtype < PN_COUNT(numpy_names) ? numpy_names[dtype] : NULL;
}

const char *pn_value_word(const struct pn_field *field, int word)
{
	for (int i = 0; word >= 0 && field->words[i]; i++)
		if (i == word)
			return field->words[i];
	return NULL;
}

/* ---- what may stand in a struct, for the encoder and the decoder alike ---------------------- */

static int check_number(const struct pn_schema *schema, const struct pn_field *field, double value,
			int code, struct pn_error *err)
{
	if (!isfinite(value))
		return pn_error_set(err, code, "%s.%s: %g is not a finite number", schema->type,
				    field->key, value);
	if (field->min != field->max && !(value >= field->min && value <= field->max))
		return pn_error_set(err, code, "%s.%s: %.17g is not within %.17g..%.17g",
				    schema->type, field->key, value, field->min, field->max);
	return PN_OK;
}

/* UTF-8 without control characters, so that it can go into JSON and CSV as it is. */
static int text_good(const char *text, size_t bytes)
{
	const unsigned char *p = (const unsigned char *)text, *end = p + bytes;

	while (p < end) {
		unsigned c = *p++;
		int more = c < 0x80   ? 0
			   : c < 0xc2 ? -1
			   : c < 0xe0 ? 1
			   : c < 0xf0 ? 2
			   : c < 0xf5 ? 3
				      : -1;
		unsigned long code = more > 0 ? c & (0x3fu >> more) : c;

		if (more < 0 || end - p < more || c < 0x20 || c == 0x7f)
			return 0;
		for (int i = 0; i < more; i++, p++) {
			if ((*p & 0xc0) != 0x80)
				return 0;
			code = code << 6 | (*p & 0x3f);
		}
		if ((more == 2 && (code < 0x800 || (code >= 0xd800 && code < 0xe000))) ||
		    (more == 3 && (code < 0x10000 || code > 0x10ffff)))
			return 0;
	}
	return 1;
}

static int check_array(const struct pn_schema *schema, const struct pn_field *field,
		       const void *head, int code, struct pn_error *err)
{
	const void *values = pn_value_at(field, head);
	uint64_t count = pn_value_count(field, head);

	if (count > field->capacity)
		return pn_error_set(err, code, "%s.%s: %" PRIu64 " values, at most %zu fit",
				    schema->type, field->key, count, field->capacity);
	for (uint64_t i = 0; i < count; i++) {
		double value = field->type == PN_FIELD_F64S ? ((const double *)values)[i]
							    : (double)((const int64_t *)values)[i];

		if (check_number(schema, field, value, code, err))
			return code;
	}
	return PN_OK;
}

static int check_field(const struct pn_schema *schema, const struct pn_field *field,
		       const void *head, int code, struct pn_error *err)
{
	const void *value = pn_value_at(field, head);

	switch (field->type) {
	case PN_FIELD_U64:
		return check_number(schema, field, (double)*(const uint64_t *)value, code, err);
	case PN_FIELD_I64:
		return check_number(schema, field, (double)*(const int64_t *)value, code, err);
	case PN_FIELD_F64:
		if (field->nullable && isnan(*(const double *)value))
			return PN_OK;
		return check_number(schema, field, *(const double *)value, code, err);
	case PN_FIELD_TEXT: {
		size_t bytes = strnlen(value, field->capacity);

		if (bytes == field->capacity || !text_good(value, bytes))
			return pn_error_set(err, code,
					    "%s.%s: not a text in UTF-8 of at most %zu bytes",
					    schema->type, field->key, field->capacity - 1);
		return PN_OK;
	}
	case PN_FIELD_WORD:
		if (!pn_value_word(field, *(const int *)value))
			return pn_error_set(err, code, "%s.%s: there is no word number %d",
					    schema->type, field->key, *(const int *)value);
		return PN_OK;
	case PN_FIELD_DTYPE:
		if (!pn_value_dtype(*(const enum pn_dtype *)value))
			return pn_error_set(err, code, "%s.%s: there is no element type number %d",
					    schema->type, field->key, *(const int *)value);
		return PN_OK;
	case PN_FIELD_F64S:
	case PN_FIELD_I64S:
		return check_array(schema, field, head, code, err);
	}
	pn_assert(!"known field type");
	return PN_EARG;
}

static int check_head(const struct pn_schema *schema, const void *head, int code,
		      struct pn_error *err)
{
	uint64_t bytes;

	for (const struct pn_field *field = schema->fields; field->key; field++)
		if (check_field(schema, field, head, code, err))
			return code;
	if (schema->payload_bytes && schema->payload_bytes(head, &bytes, err)) {
		if (err)
			err->code = code;
		return code;
	}
	return PN_OK;
}

/* ---- encoding ------------------------------------------------------------------------------ */

struct sink {
	char *buf;
	size_t size, used;
};

static int sink_write(void *arg, const char *bytes, size_t count)
{
	struct sink *sink = arg;

	if (count > sink->size - sink->used)
		return -1;
	memcpy(sink->buf + sink->used, bytes, count);
	sink->used += count;
	return 0;
}

static int pack_text(msgpack_packer *packer, const char *text)
{
	return msgpack_pack_str_with_body(packer, text, strlen(text));
}

static int pack_f64(msgpack_packer *packer, double value)
{
	return isnan(value) ? msgpack_pack_nil(packer) : msgpack_pack_double(packer, value);
}

static int pack_field(msgpack_packer *packer, const struct pn_field *field, const void *head)
{
	const void *value = pn_value_at(field, head);
	int full = pack_text(packer, field->key);

	switch (field->type) {
	case PN_FIELD_U64:
		return full | msgpack_pack_uint64(packer, *(const uint64_t *)value);
	case PN_FIELD_I64:
		return full | msgpack_pack_int64(packer, *(const int64_t *)value);
	case PN_FIELD_F64:
		return full | pack_f64(packer, *(const double *)value);
	case PN_FIELD_TEXT:
		return full | pack_text(packer, value);
	case PN_FIELD_WORD:
		return full | pack_text(packer, pn_value_word(field, *(const int *)value));
	case PN_FIELD_DTYPE:
		return full | pack_text(packer, pn_value_dtype(*(const enum pn_dtype *)value));
	case PN_FIELD_F64S:
	case PN_FIELD_I64S: {
		uint64_t count = pn_value_count(field, head);

		full |= msgpack_pack_array(packer, count);
		for (uint64_t i = 0; i < count; i++)
			full |= field->type == PN_FIELD_F64S
					? msgpack_pack_double(packer, ((const double *)value)[i])
					: msgpack_pack_int64(packer, ((const int64_t *)value)[i]);
		return full;
	}
	}
	return -1;
}

int pn_head_encode(const struct pn_schema *schema, const void *head, void *buf, size_t size,
		   size_t *bytes, struct pn_error *err)
{
	struct sink sink = { .buf = buf, .size = size };
	msgpack_packer packer;
	size_t count = 0;
	int full;

	if (check_head(schema, head, PN_EARG, err))
		return PN_EARG;
	while (schema->fields[count].key)
		count++;
	msgpack_packer_init(&packer, &sink, sink_write);
	full = msgpack_pack_map(&packer, count + 2);
	full |= pack_text(&packer, "type");
	full |= pack_text(&packer, schema->type);
	full |= pack_text(&packer, "v");
	full |= msgpack_pack_uint64(&packer, schema->version);
	for (size_t i = 0; i < count && !full; i++)
		full |= pack_field(&packer, &schema->fields[i], head);
	if (full)
		return pn_error_set(err, PN_EARG, "%s: the head does not fit %zu bytes",
				    schema->type, size);
	*bytes = sink.used;
	return PN_OK;
}

/* ---- decoding ------------------------------------------------------------------------------ */

static int is_text(const msgpack_object *object, const char *text)
{
	return object->type == MSGPACK_OBJECT_STR && object->via.str.size == strlen(text) &&
	       memcmp(object->via.str.ptr, text, object->via.str.size) == 0;
}

static int wrong_type(const struct pn_schema *schema, const struct pn_field *field,
		      const char *want, struct pn_error *err)
{
	return pn_error_set(err, PN_EFRAME, "%s.%s: wrong type, it is to be %s", schema->type,
			    field->key, want);
}

static int take_u64(const msgpack_object *object, uint64_t *value)
{
	if (object->type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		return -1;
	*value = object->via.u64;
	return 0;
}

static int take_i64(const msgpack_object *object, int64_t *value)
{
	if (object->type == MSGPACK_OBJECT_NEGATIVE_INTEGER)
		*value = object->via.i64;
	else if (object->type == MSGPACK_OBJECT_POSITIVE_INTEGER && object->via.u64 <= INT64_MAX)
		*value = (int64_t)object->via.u64;
	else
		return -1;
	return 0;
}

/* NaN has one spelling on the wire, nil: a float64 NaN is refused with the infinities */
static int take_f64(const msgpack_object *object, int nullable, double *value)
{
	if (object->type == MSGPACK_OBJECT_NIL && nullable)
		*value = NAN;
	else if (object->type == MSGPACK_OBJECT_FLOAT64 && isfinite(object->via.f64))
		*value = object->via.f64;
	else
		return -1;
	return 0;
}

static int take_text(const msgpack_object *object, size_t capacity, char *value)
{
	if (object->type != MSGPACK_OBJECT_STR || object->via.str.size >= capacity ||
	    memchr(object->via.str.ptr, 0, object->via.str.size))
		return -1;
	memcpy(value, object->via.str.ptr, object->via.str.size);
	return 0;
}

static int take_word(const msgpack_object *object, const struct pn_field *field, int *value)
{
	for (int i = 0; field->words[i]; i++)
		if (is_text(object, field->words[i])) {
			*value = i;
			return 0;
		}
	return -1;
}

static int take_dtype(const msgpack_object *object, enum pn_dtype *value)
{
	for (unsigned i = 1; i < PN_COUNT(numpy_names); i++)
		if (is_text(object, numpy_names[i])) {
			*value = (enum pn_dtype)i;
			return 0;
		}
	return -1;
}

static int take_array(const struct pn_schema *schema, const struct pn_field *field,
		      const msgpack_object *object, void *head, struct pn_error *err)
{
	void *values = (char *)head + field->off;

	if (object->type != MSGPACK_OBJECT_ARRAY)
		return wrong_type(schema, field, "an array", err);
	if (object->via.array.size > field->capacity)
		return pn_error_set(err, PN_EFRAME, "%s.%s: %u values, at most %zu are allowed",
				    schema->type, field->key, object->via.array.size,
				    field->capacity);
	for (uint32_t i = 0; i < object->via.array.size; i++) {
		const msgpack_object *item = &object->via.array.ptr[i];

		if (field->type == PN_FIELD_F64S ? take_f64(item, 0, (double *)values + i)
						 : take_i64(item, (int64_t *)values + i))
			return wrong_type(schema, field,
					  field->type == PN_FIELD_F64S
						  ? "an array of finite float64"
						  : "an array of integers",
					  err);
	}
	memcpy((char *)head + field->count_off, &(uint64_t){ object->via.array.size },
	       sizeof(uint64_t));
	return PN_OK;
}

static int take_field(const struct pn_schema *schema, const struct pn_field *field,
		      const msgpack_object *object, void *head, struct pn_error *err)
{
	void *value = (char *)head + field->off;

	switch (field->type) {
	case PN_FIELD_U64:
		return take_u64(object, value)
			       ? wrong_type(schema, field, "an integer from 0 to 2^64-1", err)
			       : PN_OK;
	case PN_FIELD_I64:
		return take_i64(object, value)
			       ? wrong_type(schema, field, "an integer from -2^63 to 2^63-1", err)
			       : PN_OK;
	case PN_FIELD_F64:
		return take_f64(object, field->nullable, value)
			       ? wrong_type(schema, field,
					    field->nullable ? "a finite float64 or nil"
							    : "a finite float64",
					    err)
			       : PN_OK;
	case PN_FIELD_TEXT:
		return take_text(object, field->capacity, value)
			       ? pn_error_set(err, PN_EFRAME,
					      "%s.%s: not a text of at most %zu bytes",
					      schema->type, field->key, field->capacity - 1)
			       : PN_OK;
	case PN_FIELD_WORD:
		return take_word(object, field, value)
			       ? wrong_type(schema, field, "one of its words", err)
			       : PN_OK;
	case PN_FIELD_DTYPE:
		return take_dtype(object, value)
			       ? wrong_type(schema, field, "the name of an element type", err)
			       : PN_OK;
	case PN_FIELD_F64S:
	case PN_FIELD_I64S:
		return take_array(schema, field, object, head, err);
	}
	pn_assert(!"known field type");
	return PN_EARG;
}

static int take_version(const struct pn_schema *schema, const msgpack_object_map *map,
			struct pn_error *err)
{
	const msgpack_object_kv *kv = map->ptr;

	if (map->size < 2 || !is_text(&kv[0].key, "type") || !is_text(&kv[1].key, "v"))
		return pn_error_set(err, PN_EFRAME,
				    "%s: the first two keys of a head are \"type\" and \"v\"",
				    schema->type);
	if (!is_text(&kv[0].val, schema->type))
		return pn_error_set(err, PN_EFRAME, "%s: the head is of another type",
				    schema->type);
	if (kv[1].val.type != MSGPACK_OBJECT_POSITIVE_INTEGER)
		return pn_error_set(err, PN_EFRAME, "%s.v: wrong type, it is to be an integer",
				    schema->type);
	if (kv[1].val.via.u64 != schema->version)
		return pn_error_set(err, PN_EFRAME,
				    "%s.v: version %" PRIu64 ", this program knows %u",
				    schema->type, kv[1].val.via.u64, schema->version);
	return PN_OK;
}

static const struct pn_field *find_field(const struct pn_schema *schema, const msgpack_object *key)
{
	for (const struct pn_field *field = schema->fields; field->key; field++)
		if (is_text(key, field->key))
			return field;
	return NULL;
}

static int unknown_key(const struct pn_schema *schema, const msgpack_object *key,
		       struct pn_error *err)
{
	if (key->type != MSGPACK_OBJECT_STR)
		return pn_error_set(err, PN_EFRAME, "%s: a key that is not a text", schema->type);
	return pn_error_set(err, PN_EFRAME, "%s: unknown key \"%.*s\"", schema->type,
			    key->via.str.size < 64 ? (int)key->via.str.size : 64, key->via.str.ptr);
}

static int take_map(const struct pn_schema *schema, const msgpack_object_map *map, void *head,
		    struct pn_error *err)
{
	uint64_t seen = 0;

	if (take_version(schema, map, err))
		return PN_EFRAME;
	for (uint32_t i = 2; i < map->size; i++) {
		const struct pn_field *field = find_field(schema, &map->ptr[i].key);

		if (!field)
			return unknown_key(schema, &map->ptr[i].key, err);
		if (seen & UINT64_C(1) << (field - schema->fields))
			return pn_error_set(err, PN_EFRAME, "%s.%s: the key is there twice",
					    schema->type, field->key);
		seen |= UINT64_C(1) << (field - schema->fields);
		if (take_field(schema, field, &map->ptr[i].val, head, err))
			return PN_EFRAME;
	}
	for (const struct pn_field *field = schema->fields; field->key; field++) {
		pn_assert(field - schema->fields < PN_PACK_FIELDS_MAX);
		if (!(seen & UINT64_C(1) << (field - schema->fields)))
			return pn_error_set(err, PN_EFRAME, "%s.%s: the key is missing",
					    schema->type, field->key);
	}
	return check_head(schema, head, PN_EFRAME, err);
}

int pn_head_decode(const struct pn_schema *schema, const void *buf, size_t bytes, void *head,
		   struct pn_error *err)
{
	msgpack_unpacked unpacked;
	size_t off = 0;
	int rc;

	memset(head, 0, schema->size);
	rc = pn_pack_scan(buf, bytes, err);
	if (rc)
		return rc;
	msgpack_unpacked_init(&unpacked);
	switch (msgpack_unpack_next(&unpacked, buf, bytes, &off)) {
	case MSGPACK_UNPACK_SUCCESS:
		rc = take_map(schema, &unpacked.data.via.map, head, err);
		break;
	case MSGPACK_UNPACK_NOMEM_ERROR:
		rc = pn_error_set(err, PN_ENOMEM, "%s: no memory for a head of %zu bytes",
				  schema->type, bytes);
		break;
	default:
		rc = pn_error_set(err, PN_EFRAME, "%s: not msgpack, at byte %zu of %zu",
				  schema->type, off, bytes);
		break;
	}
	msgpack_unpacked_destroy(&unpacked);
	return rc;
}

int pn_msg_decode(const struct pn_schema *schema, const struct pn_msg *msg, void *head,
		  struct pn_error *err)
{
	uint64_t bytes = 0;
	int rc;

	if (!msg->head || msg->head_bytes < 1 || msg->head_bytes > PN_HEAD_BYTES_MAX)
		return pn_error_set(err, PN_EFRAME,
				    "%s: a head of %" PRIu32 " bytes, 1..%d are allowed",
				    schema->type, msg->head_bytes, PN_HEAD_BYTES_MAX);
	rc = pn_head_decode(schema, msg->head, msg->head_bytes, head, err);
	if (rc)
		return rc;
	if (schema->payload_bytes)
		schema->payload_bytes(head, &bytes, NULL);
	if (msg->payload_bytes != bytes)
		return pn_error_set(err, PN_EFRAME,
				    "%s: a payload of %" PRIu64
				    " bytes, the head tells of %" PRIu64,
				    schema->type, msg->payload_bytes, bytes);
	if (bytes && !msg->payload)
		return pn_error_set(err, PN_EFRAME,
				    "%s: the payload of %" PRIu64 " bytes is not there",
				    schema->type, bytes);
	return PN_OK;
}

/* ---- finding ------------------------------------------------------------------------------- */

const struct pn_schema *pn_schema_find(const char *type)
{
	for (unsigned i = 0; pn_schemas[i]; i++)
		if (strcmp(pn_schemas[i]->type, type) == 0)
			return pn_schemas[i];
	return NULL;
}

static int token_is(const struct pn_token *token, const char *text)
{
	return token->kind == PN_TOKEN_TEXT && token->count == strlen(text) &&
	       memcmp(token->text, text, token->count) == 0;
}

const struct pn_schema *pn_head_type(const void *buf, size_t bytes)
{
	size_t off = 0;
	struct pn_token map = pn_token_next(buf, bytes, &off);
	struct pn_token key = pn_token_next(buf, bytes, &off);
	struct pn_token value = pn_token_next(buf, bytes, &off);

	if (map.kind != PN_TOKEN_MAP || map.count < 2 || !token_is(&key, "type"))
		return NULL;
	for (unsigned i = 0; pn_schemas[i]; i++)
		if (token_is(&value, pn_schemas[i]->type))
			return pn_schemas[i];
	return NULL;
}
