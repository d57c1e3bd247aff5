/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "rig.h"

#include "testkit.h"

#include <stdlib.h>
#include <string.h>

static int rig_emit(struct pn_ctx *ctx, unsigned port, const void *head, int64_t time_ns,
		    uint64_t payload_bytes, void **payload)
{
	struct rig *rig = (struct rig *)ctx;
	const struct pn_schema *schema = rig->ops->outputs[port].schema;
	unsigned char encoded[PN_HEAD_BYTES_MAX];
	size_t bytes;

	rig->emissions++;
	if (rig->refuse_every && rig->emissions % rig->refuse_every == 0)
		return PN_EAGAIN;
	assert_true(rig->out_count < RIG_OUT_MAX);
	struct rig_out *out = &rig->out[rig->out_count++];

	*out = (struct rig_out){ .port = port, .time_ns = time_ns, .payload_bytes = payload_bytes };
	out->head = calloc(1, schema->size);
	out->payload = aligned_alloc(64, payload_bytes / 64 * 64 + 64);
	memset(out->payload, 0xa5, payload_bytes);
	if (pn_head_encode(schema, head, encoded, sizeof encoded, &bytes, &ctx->err) ||
	    pn_head_decode(schema, encoded, bytes, out->head, &ctx->err))
		fail_msg("%s", ctx->err.text);
	if (schema->payload_bytes) {
		uint64_t wanted;

		assert_int_equal(schema->payload_bytes(out->head, &wanted, &ctx->err), PN_OK);
		assert_int_equal(wanted, payload_bytes);
	}
	if (payload)
		*payload = payload_bytes ? out->payload : NULL;
	return PN_OK;
}

static void rig_done(struct pn_ctx *ctx, uint64_t count)
{
	((struct rig *)ctx)->done += count;
}

static void rig_skip(struct pn_ctx *ctx, unsigned reason, uint64_t count)
{
	struct rig *rig = (struct rig *)ctx;

	assert_non_null(rig->ops->reasons);
	rig->skipped_by[reason] += count;
	rig->skipped += count;
}

static uint64_t rig_behind(struct pn_ctx *ctx)
{
	assert_true(((struct rig *)ctx)->ops->timed);
	return 0;
}

static const struct pn_ctx_ops rig_ops = {
	.emit = rig_emit, .done = rig_done, .skip = rig_skip, .behind = rig_behind
};

static void open_state(struct rig *rig, const char *settings)
{
	rig->state = calloc(1, rig->ops->state_size);
	assert_non_null(rig->state);
	pn_params_default(rig->ops->params, rig->state);
	if (settings && pn_params_parse_query(rig->ops->params, rig->state, settings, &rig->ctx.err))
		fail_msg("%s", rig->ctx.err.text);
	if (rig->ops->open && rig->ops->open(rig->state, &rig->ctx))
		fail_msg("%s", rig->ctx.err.text);
}

void rig_open(struct rig *rig, const struct pn_stage_ops *ops, const char *settings)
{
	memset(rig, 0, sizeof *rig);
	rig->ctx.ops = &rig_ops;
	rig->ops = ops;
	open_state(rig, settings);
}

static void drop_uncommitted(struct rig *rig)
{
	while (rig->out_count > rig->committed) {
		rig->out_count--;
		free(rig->out[rig->out_count].head);
		free(rig->out[rig->out_count].payload);
	}
}

int rig_push(struct rig *rig, unsigned port, const void *head, int64_t time_ns, const void *payload,
	     uint64_t payload_bytes)
{
	unsigned char encoded[PN_HEAD_BYTES_MAX];
	struct pn_msg msg = { .seq = rig->pushed[port]++, .time_ns = time_ns, .port = port, .head = encoded, .payload = payload,
			      .payload_bytes = payload_bytes };
	size_t bytes;
	uint64_t done = rig->done, skipped = rig->skipped;
	int rc;

	if (pn_head_encode(rig->ops->inputs[port].schema, head, encoded, sizeof encoded, &bytes,
			   &rig->ctx.err))
		fail_msg("%s", rig->ctx.err.text);
	msg.head_bytes = (uint32_t)bytes;
	while ((rc = rig->ops->take(rig->state, &rig->ctx, &msg)) == PN_EAGAIN) {
		drop_uncommitted(rig);
		rig->done = done;
		rig->skipped = skipped;
	}
	if (rc)
		drop_uncommitted(rig);
	rig->committed = rig->out_count;
	rig->taken++;
	return rc;
}

int rig_drain(struct rig *rig)
{
	int rc = PN_OK;

	while (rig->ops->drain && (rc = rig->ops->drain(rig->state, &rig->ctx)) == PN_EAGAIN)
		drop_uncommitted(rig);
	rig->committed = rig->out_count;
	return rc;
}

static void close_state(struct rig *rig)
{
	if (rig->ops->close)
		rig->ops->close(rig->state);
	free(rig->state);
	rig->state = NULL;
}

void rig_reopen(struct rig *rig, const char *settings)
{
	struct pn_blob blob = { 0 };

	if (rig->ops->save)
		assert_int_equal(rig->ops->save(rig->state, &rig->ctx, &blob), PN_OK);
	close_state(rig);
	open_state(rig, settings);
	if (rig->ops->load && blob.bytes &&
	    rig->ops->load(rig->state, &rig->ctx, blob.data, blob.bytes))
		fail_msg("%s", rig->ctx.err.text);
	pn_blob_finish(&blob);
}

static int same_message(const struct rig_out *x, const struct rig_out *y, size_t head_bytes)
{
	return x->time_ns == y->time_ns && x->payload_bytes == y->payload_bytes &&
	       !memcmp(x->head, y->head, head_bytes) &&
	       !memcmp(x->payload, y->payload, x->payload_bytes);
}

/* The next message of a port, from @i on; out_count if there is none. */
static unsigned next_of(const struct rig *rig, unsigned port, unsigned i)
{
	while (i < rig->out_count && rig->out[i].port != port)
		i++;
	return i;
}

int rig_same(const struct rig *a, const struct rig *b)
{
	if (a->out_count != b->out_count)
		return 0;
	for (unsigned port = 0; a->ops->outputs[port].name; port++) {
		unsigned i = next_of(a, port, 0), k = next_of(b, port, 0);

		while (i < a->out_count && k < b->out_count &&
		       same_message(&a->out[i], &b->out[k], a->ops->outputs[port].schema->size)) {
			i = next_of(a, port, i + 1);
			k = next_of(b, port, k + 1);
		}
		if (i < a->out_count || k < b->out_count)
			return 0;
	}
	return 1;
}

void rig_close(struct rig *rig)
{
	close_state(rig);
	rig->committed = 0;
	drop_uncommitted(rig);
}
