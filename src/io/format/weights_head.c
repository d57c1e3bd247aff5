/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * weights_head.c - the head of a network's weights, by the codec of message heads. Its fields are
 * those of the tables of parameters, so that a parameter still has one home, and a few more. A
 * table with another row makes another head: then WEIGHTS_VERSION is to be raised (test_weights.c
 * notices).
 */
#include "perrin/stream/head.h"
#include "weights_priv.h"

#include <float.h>
#include <string.h>

#define KEY_MAX 40

/* What the codec sees: each array has a count of its own, so that a difference is found. */
struct head {
	struct pn_weights weights;
	uint64_t loss_count;
};

#define WEIGHTS(m) offsetof(struct head, weights.m)
#define U64(m)     .key = #m, .type = PN_FIELD_U64, .off = WEIGHTS(m)
#define F64(m)     .key = #m, .type = PN_FIELD_F64, .off = WEIGHTS(m)
#define TEXT(m, n) .key = #m, .type = PN_FIELD_TEXT, .off = WEIGHTS(m), .capacity = n
#define CURVE(m) \
	.key = #m, .type = PN_FIELD_F64S, .off = WEIGHTS(m), .capacity = PN_WEIGHTS_CURVE_MAX

static const struct pn_field own_fields[] = {
	{ F64(offset) },
	{ F64(scale), .min = DBL_MIN, .max = DBL_MAX },
	{ U64(steps) },
	{ U64(frames) },
	{ U64(first_frame) },
	{ U64(last_frame) },
	{ TEXT(source, PN_WEIGHTS_TEXT_MAX) },
	{ TEXT(perrin, sizeof(((struct pn_weights *)0)->perrin)) },
	{ F64(loss), .nullable = 1 },
	{ F64(validation), .nullable = 1 },
	{ CURVE(curve_step), .count_off = WEIGHTS(curve_count) },
	{ CURVE(curve_loss), .count_off = offsetof(struct head, loss_count) },
};

/** The schema, with room for what is made of the tables of parameters. */
struct made {
	struct pn_schema schema;
	struct pn_field fields[64];
	char keys[64][KEY_MAX];
	size_t count;
};

static void add_rows(struct made *made, const struct pn_param *rows, const char *prefix,
		     size_t base)
{
	static const char *const yes_no[] = { "no", "yes", NULL };

	for (const struct pn_param *row = rows; row->name; row++) {
		pn_assert(made->count + PN_COUNT(own_fields) + 1 < PN_COUNT(made->fields));
		struct pn_field *field = &made->fields[made->count];
		char *key = made->keys[made->count++];
		int length = snprintf(key, KEY_MAX, "%s_%s", prefix, row->name);

		pn_assert(length < KEY_MAX && !row->group);
		*field = (struct pn_field){
			.key = key, .off = base + row->off, .min = row->min, .max = row->max
		};
		switch (row->type) {
		case PN_PARAM_I64:
			field->type = PN_FIELD_I64;
			break;
		case PN_PARAM_F64:
			field->type = PN_FIELD_F64;
			break;
		case PN_PARAM_BOOL:
			field->type = PN_FIELD_WORD;
			field->words = yes_no;
			break;
		default:
			pn_assert(!"a parameter of a type that weights have");
		}
	}
}

static void make_schema(struct made *made)
{
	*made = (struct made){ 0 };
	add_rows(made, pn_net_spec_params, "network", WEIGHTS(spec));
	add_rows(made, pn_train_params, "train", WEIGHTS(settings));
	memcpy(made->fields + made->count, own_fields, sizeof own_fields);
	made->schema = (struct pn_schema){
		.type = "weights",
		.version = WEIGHTS_VERSION,
		.size = sizeof(struct head),
		.fields = made->fields,
	};
}

int weights_head_put(const struct pn_weights *weights, char *buf, size_t *bytes,
		     struct pn_error *err)
{
	struct head head = { .weights = *weights, .loss_count = weights->curve_count };
	struct made made;

	make_schema(&made);
	return pn_head_encode(&made.schema, &head, buf, WEIGHTS_HEAD_MAX, bytes, err);
}

int weights_head_take(struct pn_weights *weights, const void *buf, size_t bytes,
		      struct pn_error *err)
{
	struct head head;
	struct made made;

	make_schema(&made);
	int rc = pn_head_decode(&made.schema, buf, bytes, &head, err);
	if (!rc && head.loss_count != head.weights.curve_count)
		rc = pn_error_set(err, PN_EFRAME, "weights.curve_loss: %llu values for %llu steps",
				  (unsigned long long)head.loss_count,
				  (unsigned long long)head.weights.curve_count);
	if (rc && rc != PN_ENOMEM) {
		rc = PN_EFORMAT; /* for the codec a message is bad, here a file is */
		if (err)
			err->code = rc;
	}
	if (!rc)
		*weights = head.weights;
	return rc;
}
