/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "runner.h"

#include "checkpoint.h"
#include "order.h"
#include "perrin/base/clock.h"
#include "perrin/detector/source.h"

#include <limits.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define MARKS_MAX       64  /* checkpoints whose outputs are not durable yet */
#define SERVICE_EVERY   16  /* messages between two looks at disk and links, when busy */
#define CHECKPOINT_PART 20      /* a checkpoint of a second is followed by so many without */
#define ACK_EVERY       64  /* messages of a source after which a checkpoint lets it be acknowledged */
#define END_WAIT_NS     (2 * PN_NS_PER_S) /* for a producer to hear again that its end is known */
#define TELL_NS         (PN_NS_PER_MS / 4) /* between two notices of new records, when busy */
#define SIDE_MAX        16  /* side messages before one main message, which must not wait long */

struct input {
	struct pn_link *link;
	struct pn_msg msg; /* the next message, when held */
	int held, ended;
	uint64_t next;     /* first record not taken yet */
	uint64_t passed;   /* records that a link of policy `freshest` left out before msg */
	int side;          /* taken when it comes */
	enum pn_link_policy policy; /* of the link as it is now; a journal is obeyed with `every` */
	const struct pn_stage_metrics *producer;
};

struct output {
	struct pn_log_writer *writer; /* NULL: not connected */
	struct pn_link_server *server;
	void *scratch;                /* what an unconnected port's payload is written to */
	size_t scratch_bytes;
	unsigned reserved;            /* messages of the callback under way */
	uint64_t reserved_bytes;
	uint64_t final_count;         /* records, once the stream is closed */
	int news;                     /* records are published that the link was not told of */
};

/* Up to here the source's messages are safe once the outputs hold so many durable records. */
struct mark {
	uint64_t source_next;
	uint64_t durable[PN_PORTS_MAX];
};

struct pn_runner {
	struct pn_ctx ctx; /* first: the ctx a stage gives back is this runner */
	struct pn_runner_config config;
	const struct pn_graph_stage *stage;
	const struct pn_stage_ops *ops;
	struct pn_stage_metrics *metrics;
	void *state;
	struct pn_source *source;
	struct input inputs[PN_PORTS_MAX];
	unsigned input_count;
	struct output outputs[PN_PORTS_MAX];
	unsigned output_count;
	struct pn_counts counts, before; /* before: at the start of the callback under way */
	int64_t arrival_ns;              /* of the message under way */
	int64_t checkpoint_due_ns, tell_due_ns;
	uint64_t checkpoint_messages;    /* counts.messages at the last checkpoint */
	struct mark marks[MARKS_MAX];
	unsigned mark_first, mark_count;
	unsigned until_service;
	struct pn_checkpoint_files files;
	struct pn_order order;           /* open if there is a side input */
	uint64_t side_position, side_count; /* side messages taken at this position of the main ones */
	const struct input *under_way;   /* whose message the stage is at */
	struct input *offered;           /* whose message it refused for want of room, NULL: none's */
	int closing;                     /* had drained already: only its end is to be told */
	int source_ended;                /* known from the source, or from the checkpoint */
	int64_t source_end_ns;           /* when to stop waiting for a source that had ended before */
	int ended;
};

/* ---- what a stage calls -------------------------------------------------------------------- */

static int emit_nowhere(struct pn_runner *r, struct output *out, uint64_t payload_bytes,
			void **payload)
{
	if (out->scratch_bytes < payload_bytes) {
		free(out->scratch);
		out->scratch = aligned_alloc(64, (payload_bytes + 63) / 64 * 64);
		out->scratch_bytes = out->scratch ? payload_bytes : 0;
		if (!out->scratch)
			return pn_fail(&r->ctx, PN_ENOMEM, "no memory for %llu bytes",
				       (unsigned long long)payload_bytes);
	}
	*payload = payload_bytes ? out->scratch : NULL;
	return PN_OK;
}

static int ctx_emit(struct pn_ctx *ctx, unsigned port, const void *head, int64_t time_ns,
		    uint64_t payload_bytes, void **payload)
{
	struct pn_runner *r = (struct pn_runner *)ctx;
	unsigned char encoded[PN_HEAD_BYTES_MAX];
	size_t head_bytes;
	void *head_at, *payload_at;

	pn_assert(port < r->output_count);
	struct output *out = &r->outputs[port];
	if (r->config.full && r->config.full(r->config.fault_arg))
		return PN_EAGAIN;
	if (!out->writer)
		return emit_nowhere(r, out, payload_bytes, payload ? payload : &payload_at);
	int rc = pn_head_encode(r->ops->outputs[port].schema, head, encoded, sizeof encoded, &head_bytes,
				&ctx->err);
	if (rc)
		return rc;
	rc = pn_log_reserve(out->writer, (uint32_t)head_bytes, payload_bytes, &head_at, &payload_at,
			    &ctx->err);
	if (rc)
		return rc;
	memcpy(head_at, encoded, head_bytes);
	pn_log_stamp(out->writer, time_ns, r->arrival_ns);
	out->reserved++;
	out->reserved_bytes += payload_bytes;
	if (payload)
		*payload = payload_bytes ? payload_at : NULL;
	return PN_OK;
}

static void ctx_done(struct pn_ctx *ctx, uint64_t count)
{
	((struct pn_runner *)ctx)->counts.done += count;
}

static void ctx_skip(struct pn_ctx *ctx, unsigned reason, uint64_t count)
{
	struct pn_runner *r = (struct pn_runner *)ctx;

	pn_assert(reason < PN_REASONS_MAX && r->ops->reasons && r->ops->reasons[reason]);
	r->counts.skipped[reason] += count;
}

static uint64_t ctx_behind(struct pn_ctx *ctx)
{
	const struct pn_runner *r = (const struct pn_runner *)ctx;
	const struct input *in = r->under_way;

	pn_assert(r->ops->timed);
	return in && in->link && !r->config.timeless ? pn_link_available(in->link) - in->msg.seq - 1
						     : 0;
}

static const struct pn_ctx_ops ctx_ops = {
	.emit = ctx_emit, .done = ctx_done, .skip = ctx_skip, .behind = ctx_behind
};

/* ---- opening ------------------------------------------------------------------------------- */

static void checkpoint_path(const struct pn_runner *r, char *path, size_t size)
{
	snprintf(path, size, "%s/checkpoints/%s", r->config.session, r->stage->name);
}

static void stream_path(const struct pn_runner *r, unsigned stream, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", r->config.session, r->config.graph->streams[stream].name);
}

static void link_path(const struct pn_runner *r, unsigned stream, char *path, size_t size)
{
	snprintf(path, size, "%s/%s", r->config.link_base, r->config.graph->streams[stream].name);
}

static struct pn_window *window_of(const struct pn_runner *r, unsigned stream)
{
	return r->config.windows ? r->config.windows[stream] : NULL;
}

#define FROM_THE_END UINT64_MAX

static int open_output(struct pn_runner *r, unsigned port, uint64_t next, struct pn_error *err)
{
	struct output *out = &r->outputs[port];
	int index = r->stage->outputs[port];
	char dir[PATH_MAX], endpoint[PATH_MAX];

	if (index < 0)
		return PN_OK;
	const struct pn_graph_stream *stream = &r->config.graph->streams[index];
	struct pn_log_recovery recovery = { 0 };

	stream_path(r, (unsigned)index, dir, sizeof dir);
	link_path(r, (unsigned)index, endpoint, sizeof endpoint);
	struct pn_log_config log = {
		.dir = dir,
		.durability = (enum pn_durability)stream->durability,
		.interval_ms = (unsigned)stream->interval_ms,
		.segment_bytes = (uint64_t)stream->segment_MiB << 20,
		.align = (uint32_t)stream->align,
		.engine = r->config.engine,
		.window = window_of(r, (unsigned)index),
		.chunk_bytes = (uint64_t)stream->chunk_MiB << 20,
		.chunk_count = (unsigned)stream->chunk_count,
		.fault = r->config.fault,
		.fault_arg = r->config.fault_arg,
	};
	int rc = pn_log_open(&out->writer, &log, &recovery, err);
	if (rc)
		return rc;
	if (recovery.bytes_cut) /* nothing goes without a word */
		pn_metrics_error(r->metrics, recovery.text);
	/* a link that skips gives other messages the second time, and a timed stage other results:
	 * what comes now is new */
	if (next == FROM_THE_END)
		next = pn_log_count(out->writer);
	rc = pn_log_rewind(out->writer, next, err);
	if (!rc)
		rc = pn_link_serve(&out->server, endpoint, dir, log.window, err);
	if (!rc)
		rc = pn_link_published(out->server, pn_log_count(out->writer), 0, err);
	return rc;
}

static const struct pn_stage_metrics *producer_of(const struct pn_runner *r, unsigned stream)
{
	const struct pn_graph *graph = r->config.graph;

	for (unsigned i = 0; i < graph->stage_count; i++)
		for (unsigned port = 0; port < PN_PORTS_MAX; port++)
			if (graph->stages[i].outputs[port] == (int)stream)
				return &r->config.metrics->stages[i];
	pn_assert(!"a stream has a writer");
	return NULL;
}

static int open_link(struct pn_runner *r, unsigned port, uint64_t next, enum pn_link_policy policy,
		     struct pn_error *err)
{
	const struct pn_graph_input *wire = &r->stage->inputs[port];
	char dir[PATH_MAX], endpoint[PATH_MAX];

	stream_path(r, wire->stream, dir, sizeof dir);
	link_path(r, wire->stream, endpoint, sizeof endpoint);
	struct pn_link_config config = {
		.endpoint = endpoint,
		.policy = policy,
		.from = next,
		.dir = dir,
		.window = window_of(r, wire->stream),
		.slot = wire->slot,
	};
	r->inputs[port].policy = policy;
	return pn_link_open(&r->inputs[port].link, &config, err);
}

static int open_input(struct pn_runner *r, unsigned port, uint64_t next, struct pn_error *err)
{
	struct input *in = &r->inputs[port];

	in->next = next;
	in->producer = producer_of(r, r->stage->inputs[port].stream);
	in->side = r->ops->inputs[port].side;
	return open_link(r, port, next, r->stage->inputs[port].policy, err);
}

/* The journal of the side inputs, if there are any. */
static int open_order(struct pn_runner *r, const struct pn_checkpoint *checkpoint,
		      struct pn_error *err)
{
	char path[PATH_MAX], said[160];
	uint64_t bytes_cut;
	int sides = 0;

	for (unsigned i = 0; i < r->input_count; i++)
		sides += r->inputs[i].side;
	if (!sides)
		return PN_OK;
	snprintf(path, sizeof path, "%s/checkpoints/%s.order", r->config.session, r->stage->name);
	int rc = pn_order_open(&r->order, path, checkpoint->next_in, &bytes_cut, err);
	if (!rc && bytes_cut) {
		snprintf(said, sizeof said,
			 "%s.order: a torn end of %llu bytes is cut, %llu entries stay", r->stage->name, (unsigned long long)bytes_cut,
			 (unsigned long long)r->order.count);
		pn_metrics_error(r->metrics, said);
	}
	return rc;
}

static int open_source(struct pn_runner *r, uint64_t next, struct pn_error *err)
{
	int rc = pn_source_open(&r->source, r->config.source_uri, err);

	r->inputs[0].next = next;
	if (!rc && next)
		rc = pn_source_seek(r->source, next, err);
	return rc;
}

/* Records on disk or in the window of an output; 0 if it is not there. */
static uint64_t records_of(const struct pn_runner *r, unsigned stream, int *ended)
{
	struct pn_log_reader *reader;
	char dir[PATH_MAX];
	uint64_t count;

	*ended = 0;
	stream_path(r, stream, dir, sizeof dir);
	if (pn_log_read_open(&reader, dir, window_of(r, stream), PN_WINDOW_READERS_MAX - 1, 0, NULL))
		return 0;
	count = pn_log_read_count(reader, ended);
	pn_log_read_close(reader);
	return count;
}

/* After a power cut a stream may be shorter than the checkpoint knew: then it is of no use. */
static int checkpoint_holds(const struct pn_runner *r, const struct pn_checkpoint *checkpoint)
{
	for (unsigned i = 0; i < PN_PORTS_MAX; i++) {
		int ended;

		if (r->stage->outputs[i] < 0)
			continue;
		uint64_t count = records_of(r, (unsigned)r->stage->outputs[i], &ended);
		if (count < checkpoint->next_out[i] || (checkpoint->complete && !ended))
			return 0;
	}
	return 1;
}

/* Streams are closed after the stage has drained, and readers may have seen the end. */
static int an_output_ended(const struct pn_runner *r)
{
	int any = 0, ended;

	for (unsigned i = 0; i < PN_PORTS_MAX; i++) {
		if (r->stage->outputs[i] < 0)
			continue;
		records_of(r, (unsigned)r->stage->outputs[i], &ended);
		any |= ended;
	}
	return any;
}

/* Without a checkpoint that holds the stage runs again from the start: slower, but right. */
static int load_checkpoint(struct pn_runner *r, struct pn_checkpoint *checkpoint,
			   struct pn_error *err)
{
	struct pn_blob blob = { 0 };
	char path[PATH_MAX];
	int rc;

	checkpoint_path(r, path, sizeof path);
	rc = pn_checkpoint_open(&r->files, path, err);
	if (rc)
		return rc;
	rc = pn_checkpoint_read(&r->files, checkpoint, &blob, err);
	if (rc == PN_ENOENT || (!rc && !checkpoint_holds(r, checkpoint))) {
		/* nor may it hold later, when the streams have grown again: side messages may have
		 * come elsewhere then */
		memset(checkpoint, 0, sizeof *checkpoint);
		memset(err, 0, sizeof *err);
		rc = pn_checkpoint_forget(&r->files, err);
	} else if (!rc && r->ops->load && blob.bytes) {
		rc = r->ops->load(r->state, &r->ctx, blob.data, blob.bytes);
		if (rc)
			*err = r->ctx.err;
	}
	pn_blob_finish(&blob);
	return rc;
}

static int open_state(struct pn_runner *r, struct pn_checkpoint *checkpoint, struct pn_error *err)
{
	pn_params_default(r->ops->params, r->state);
	for (unsigned i = 0; i < r->stage->setting_count; i++) {
		int rc = pn_param_set(r->ops->params, r->state, r->stage->settings[i].name,
				      r->stage->settings[i].value, err);
		if (rc)
			return rc;
	}
	int rc = r->ops->open ? r->ops->open(r->state, &r->ctx) : PN_OK;
	if (rc) {
		*err = r->ctx.err;
		return rc;
	}
	return load_checkpoint(r, checkpoint, err);
}

static int open_all(struct pn_runner *r, struct pn_error *err)
{
	struct pn_checkpoint checkpoint = { 0 };
	int rc = open_state(r, &checkpoint, err), exact = !r->ops->timed;

	if (rc)
		return rc;
	r->counts = checkpoint.counts;
	r->source_ended = checkpoint.source_ended != 0;
	if (checkpoint.complete) {
		r->ended = 1;
		return PN_OK;
	}
	for (unsigned i = 0; i < r->stage->input_count; i++)
		exact &= r->stage->inputs[i].policy != PN_LINK_FRESHEST || r->ops->inputs[i].side;
	/* what would compare itself with its streams finds out by itself that it has drained */
	r->closing = !exact && an_output_ended(r);
	while (r->ops->outputs && r->ops->outputs[r->output_count].name) {
		unsigned port = r->output_count++;

		rc = open_output(r, port, exact ? checkpoint.next_out[port] : FROM_THE_END, err);
		if (rc)
			return rc;
	}
	r->input_count = r->stage->from_source ? 1 : r->stage->input_count;
	if (r->stage->from_source)
		return open_source(r, checkpoint.next_in[0], err);
	for (unsigned i = 0; i < r->input_count; i++) {
		rc = open_input(r, i, checkpoint.next_in[i], err);
		if (rc)
			return rc;
	}
	return open_order(r, &checkpoint, err);
}

int pn_runner_open(struct pn_runner **runner, const struct pn_runner_config *config,
		   int64_t now_ns, struct pn_error *err)
{
	const struct pn_graph_stage *stage = &config->graph->stages[config->stage];
	struct pn_runner *r = calloc(1, sizeof *r);

	*runner = NULL;
	if (!r)
		return pn_error_set(err, PN_ENOMEM, "stage %s: no memory", stage->name);
	r->ctx.ops = &ctx_ops;
	r->config = *config;
	r->stage = stage;
	r->ops = stage->ops;
	r->metrics = &config->metrics->stages[config->stage];
	r->checkpoint_due_ns = now_ns + config->checkpoint_ms * PN_NS_PER_MS;
	r->source_end_ns = now_ns + END_WAIT_NS;
	r->state = calloc(1, r->ops->state_size);
	int rc = r->state ? open_all(r, err)
			  : pn_error_set(err, PN_ENOMEM, "no memory for %zu bytes of state",
					 r->ops->state_size);
	if (rc) {
		pn_error_wrap(err, "stage %s", stage->name);
		pn_runner_kill(r);
		return rc;
	}
	pn_metrics_put_counts(r->metrics, &r->counts);
	*runner = r;
	return PN_OK;
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static void remember_mark(struct pn_runner *r, const struct pn_checkpoint *checkpoint)
{
	if (!r->source)
		return;
	/* when all places are taken the newest is overwritten: later acks only come later */
	unsigned place = (r->mark_first + (r->mark_count < MARKS_MAX ? r->mark_count++
								     : MARKS_MAX - 1)) %
			 MARKS_MAX;

	r->marks[place].source_next = checkpoint->next_in[0];
	memcpy(r->marks[place].durable, checkpoint->next_out, sizeof r->marks[place].durable);
}

/* PN_EAGAIN: the stage cannot now, but perhaps after its next message. */
static int save_checkpoint(struct pn_runner *r, int complete, struct pn_error *err)
{
	struct pn_checkpoint checkpoint = { .complete = (uint64_t)complete,
					    .source_ended = (uint64_t)r->source_ended,
					    .counts = r->counts };
	struct pn_blob blob = { 0 };
	int rc = r->ops->save ? r->ops->save(r->state, &r->ctx, &blob) : PN_OK;

	if (rc) {
		pn_blob_finish(&blob);
		*err = r->ctx.err;
		return rc;
	}
	for (unsigned i = 0; i < r->input_count; i++)
		checkpoint.next_in[i] = r->inputs[i].next;
	for (unsigned i = 0; i < r->output_count; i++)
		checkpoint.next_out[i] = r->outputs[i].writer ? pn_log_next(r->outputs[i].writer)
							     : r->outputs[i].final_count;
	rc = pn_checkpoint_write(&r->files, &checkpoint, &blob, err);
	pn_blob_finish(&blob);
	if (rc)
		return rc;
	remember_mark(r, &checkpoint);
	r->checkpoint_messages = r->counts.messages;
	atomic_fetch_add(&r->metrics->checkpoints, 1);
	return PN_OK;
}

static int mark_is_durable(const struct pn_runner *r, const struct mark *mark)
{
	for (unsigned i = 0; i < r->output_count; i++)
		if (r->outputs[i].writer && pn_log_durable(r->outputs[i].writer) < mark->durable[i])
			return 0;
	return 1;
}

static int acknowledge(struct pn_runner *r, struct pn_error *err)
{
	uint64_t next = 0;

	while (r->mark_count && mark_is_durable(r, &r->marks[r->mark_first])) {
		next = r->marks[r->mark_first].source_next;
		r->mark_first = (r->mark_first + 1) % MARKS_MAX;
		r->mark_count--;
	}
	return next ? pn_source_ack(r->source, next, err) : PN_OK;
}

/* ---- one step ------------------------------------------------------------------------------ */

/* A stage of much memory is not to spend its time on checkpoints: they take a part of it at most. */
static int64_t next_checkpoint_ns(const struct pn_runner *r, int64_t begun_ns)
{
	int64_t ended_ns = pn_now_ns(), took_ns = ended_ns - begun_ns;
	int64_t rest_ns = r->config.checkpoint_ms * PN_NS_PER_MS;

	return ended_ns + (rest_ns > CHECKPOINT_PART * took_ns ? rest_ns : CHECKPOINT_PART * took_ns);
}

static int service(struct pn_runner *r, int64_t now_ns, struct pn_error *err)
{
	for (unsigned i = 0; i < r->output_count; i++) {
		struct output *out = &r->outputs[i];

		if (!out->writer)
			continue;
		int rc = pn_log_poll(out->writer, now_ns, 0, err);
		if (!rc)
			rc = pn_link_pump(out->server, err);
		if (rc)
			return rc;
	}
	uint64_t since = r->counts.messages - r->checkpoint_messages;
	if (since && (now_ns >= r->checkpoint_due_ns || (r->source && since >= ACK_EVERY))) {
		/* between two offers of a message a stage may hold what it has made of it */
		int rc = r->offered ? PN_EAGAIN : save_checkpoint(r, 0, err);

		if (rc == PN_EAGAIN)
			r->until_service = 0; /* asked again after the next message */
		else if (rc)
			return rc;
		else
			r->checkpoint_due_ns = next_checkpoint_ns(r, now_ns);
	}
	return r->source ? acknowledge(r, err) : PN_OK;
}

/* The next message of one input into its place, or the news that it has ended. */
static int pull(struct pn_runner *r, unsigned port, int64_t timeout_ns, struct pn_error *err)
{
	struct input *in = &r->inputs[port];
	uint64_t skipped = 0;
	/* A producer that has given up will publish no more, and cannot say so itself. Asked first: what
	 * it published before is still to be taken. */
	int failed = atomic_load(&in->producer->state) == PN_STAGE_FAILED;
	int rc = pn_link_pull(in->link, timeout_ns, &in->msg, &skipped, err);

	if (rc == PN_EEND || (rc == PN_EAGAIN && failed)) {
		in->ended = 1;
		return PN_OK;
	}
	if (rc)
		return rc;
	in->held = 1;
	in->msg.port = port;
	in->passed = skipped;
	return PN_OK;
}

/* Make sure that every main input that has not ended holds its next message, if there is one. */
static int fill_inputs(struct pn_runner *r, struct pn_error *err)
{
	int waiting = 0;

	for (unsigned i = 0; i < r->input_count; i++) {
		struct input *in = &r->inputs[i];

		if (in->held || in->ended || in->side)
			continue;
		int rc = pull(r, i, 0, err);
		if (rc && rc != PN_EAGAIN)
			return rc;
		waiting |= rc == PN_EAGAIN;
	}
	return waiting ? PN_EAGAIN : PN_OK;
}

/* Of the messages held, the next in order of time, then of port; NULL if none is. */
static struct input *earliest(struct pn_runner *r, int side)
{
	struct input *from = NULL;

	for (unsigned i = 0; i < r->input_count; i++) {
		struct input *in = &r->inputs[i];

		if (in->side == side && in->held && (!from || in->msg.time_ns < from->msg.time_ns))
			from = in;
	}
	return from;
}

/* Let a side input's link give message @seq next. */
static int aim(struct pn_runner *r, unsigned port, uint64_t seq, enum pn_link_policy policy,
	       struct pn_error *err)
{
	struct input *in = &r->inputs[port];

	if (in->link && in->policy == policy && pn_link_next(in->link) == seq)
		return PN_OK;
	pn_link_close(in->link);
	in->link = NULL;
	in->ended = 0;
	return open_link(r, port, seq, policy, err);
}

/* The journal tells of a message that is not the one there, or not there at all: it ends here. */
static int cut_order(struct pn_runner *r, const struct pn_order_entry *entry, const char *why,
		     struct pn_error *err)
{
	char said[256];

	snprintf(said, sizeof said,
		 "%s.order: cut to %llu entries of %llu: message %llu of input %llu, taken before "
		 "main message %llu, %s",
		 r->stage->name, (unsigned long long)r->order.at,
		 (unsigned long long)r->order.count,
		 (unsigned long long)entry->seq, (unsigned long long)entry->input,
		 (unsigned long long)entry->position, why);
	pn_metrics_error(r->metrics, said);
	return pn_order_cut(&r->order, err);
}

/* The message that the journal names; PN_OK without one if the journal had to be cut. */
static int obey(struct pn_runner *r, const struct pn_order_entry *entry, struct input **from,
		struct pn_error *err)
{
	if (entry->input >= r->input_count || !r->inputs[entry->input].side)
		return cut_order(r, entry, "is of no side input", err);
	struct input *in = &r->inputs[entry->input];
	int rc = aim(r, (unsigned)entry->input, entry->seq, PN_LINK_EVERY, err);

	if (!rc)
		rc = pull(r, (unsigned)entry->input, 0, err);
	if (rc) /* PN_EAGAIN: it is not there yet */
		return rc;
	if (in->ended) {
		in->ended = 0;
		return cut_order(r, entry, "is not in its stream", err);
	}
	if (pn_order_content(&in->msg) != entry->content) {
		in->held = 0;
		return cut_order(r, entry, "is not the one that was taken", err);
	}
	in->passed = entry->seq - in->next;
	pn_order_obeyed(&r->order);
	*from = in;
	return PN_OK;
}

/* What is made again must be made of the same messages: where the journal names none, none was
 * taken. */
static int makes_again(const struct pn_runner *r)
{
	for (unsigned i = 0; i < r->output_count; i++) {
		const struct pn_log_writer *writer = r->outputs[i].writer;

		if (writer && pn_log_next(writer) < pn_log_count(writer))
			return 1;
	}
	return 0;
}

/* A side message that has come, noted in the journal; without one it is PN_OK, too. */
static int poll_sides(struct pn_runner *r, uint64_t position, struct input **from,
		      struct pn_error *err)
{
	if (r->side_position != position)
		r->side_count = 0;
	r->side_position = position;
	if (makes_again(r) || r->side_count == SIDE_MAX)
		return PN_OK;
	for (unsigned i = 0; i < r->input_count; i++) {
		struct input *in = &r->inputs[i];

		if (!in->side || in->held || in->ended)
			continue;
		int rc = aim(r, i, in->next, r->stage->inputs[i].policy, err);
		if (!rc)
			rc = pull(r, i, 0, err);
		if (rc && rc != PN_EAGAIN)
			return rc;
	}
	struct input *in = earliest(r, 1);
	int rc = in ? pn_order_append(&r->order, &in->msg, position, err) : PN_OK;

	if (in && !rc) {
		r->side_count++;
			*from = in;
	}
	return rc;
}

/* The side message to be taken before the next main message; *from stays NULL if none is. */
static int next_side(struct pn_runner *r, struct input **from, struct pn_error *err)
{
	uint64_t position = 0;

	if (!r->order.open)
		return PN_OK;
	if (r->offered) { /* between two offers of one message nothing else comes */
		*from = r->offered;
		return PN_OK;
	}
	for (unsigned i = 0; i < r->input_count; i++)
		position += r->inputs[i].side ? 0 : r->inputs[i].next;
	const struct pn_order_entry *entry = pn_order_due(&r->order);

	if (!entry)
		return poll_sides(r, position, from, err);
	return entry->position <= position ? obey(r, entry, from, err) : PN_OK;
}

/* The next message in order of time, then of port: the same order in a replay. What came in at the
 * side goes before it. */
static int next_from_links(struct pn_runner *r, struct input **from, struct pn_error *err)
{
	int rc = fill_inputs(r, err);

	*from = NULL;
	if (rc)
		return rc;
	struct input *main = earliest(r, 0);
	if (!main)
		return PN_EEND;
	rc = next_side(r, from, err);
	if (!rc && !*from)
		*from = main;
	return rc;
}

static int next_from_source(struct pn_runner *r, int64_t now_ns, struct input **from,
			    struct pn_error *err)
{
	struct input *in = &r->inputs[0];

	*from = in;
	if (in->held)
		return PN_OK;
	if (atomic_load(&r->config.metrics->stop))
		return PN_EEND;
	int rc = pn_source_next(r->source, now_ns, &in->msg, err);

	/* it had ended before this process began: its producer may be gone, or may ask once more */
	if (rc == PN_EAGAIN && r->source_ended && now_ns >= r->source_end_ns)
		return PN_EEND;
	if (rc == PN_EEND)
		r->source_ended = 1;

	if (rc == PN_EFRAME) {
		r->counts.taken++;
		r->counts.messages++;
		r->counts.skipped[PN_SKIP_BAD]++;
		in->next++;
		pn_metrics_error(r->metrics, err->text);
		pn_metrics_put_counts(r->metrics, &r->counts);
		*from = NULL;
		return PN_OK;
	}
	in->held = rc == PN_OK;
	return rc;
}

static void abort_outputs(struct pn_runner *r)
{
	for (unsigned i = 0; i < r->output_count; i++) {
		if (r->outputs[i].reserved)
			pn_log_abort(r->outputs[i].writer);
		r->outputs[i].reserved = 0;
		r->outputs[i].reserved_bytes = 0;
	}
}

static int commit_outputs(struct pn_runner *r, struct pn_error *err)
{
	for (unsigned i = 0; i < r->output_count; i++) {
		struct output *out = &r->outputs[i];

		if (!out->reserved)
			continue;
		int rc = pn_log_commit(out->writer, err);
		if (rc)
			return rc;
		out->news = 1;
		r->counts.emitted += out->reserved;
		r->counts.bytes_out += out->reserved_bytes;
		out->reserved = 0;
		out->reserved_bytes = 0;
	}
	return PN_OK;
}

/* One notice for all records since the last: at small frames it costs as much as a frame. PN_OK,
 * PN_EAGAIN if there was nothing to tell. */
static int tell(struct pn_runner *r, int64_t now_ns, struct pn_error *err)
{
	int told = 0;

	for (unsigned i = 0; i < r->output_count; i++) {
		struct output *out = &r->outputs[i];

		if (!out->news)
			continue;
		int rc = pn_link_published(out->server, pn_log_count(out->writer), 0, err);
		if (rc)
			return rc;
		out->news = 0;
		told = 1;
	}
	r->tell_due_ns = now_ns + TELL_NS;
	return told ? PN_OK : PN_EAGAIN;
}

/* After a callback: publish or take back what it emitted. PN_OK, PN_EAGAIN or a failure. */
static int settle(struct pn_runner *r, int rc, struct pn_error *err)
{
	if (rc == PN_OK) {
		uint64_t emitted = r->counts.emitted;

		rc = commit_outputs(r, err);
		if (!rc && r->counts.emitted != emitted && r->arrival_ns)
			pn_hist_add(&r->metrics->latency, pn_now_ns() - r->arrival_ns);
		return rc;
	}
	abort_outputs(r);
	r->counts.done = r->before.done;
	memcpy(r->counts.skipped, r->before.skipped, sizeof r->counts.skipped);
	if (rc != PN_EAGAIN)
		*err = r->ctx.err;
	return rc;
}

/* How many frames a message stands for: batches of frames count each. */
static uint64_t frames_in(const struct pn_runner *r, const struct pn_msg *msg)
{
	struct pn_frames_head head;

	if (r->ops->inputs[msg->port].schema != &pn_frames_schema ||
	    pn_head_decode(&pn_frames_schema, msg->head, msg->head_bytes, &head, NULL))
		return 1;
	return head.count;
}

static int take(struct pn_runner *r, struct input *in, struct pn_error *err)
{
	uint64_t frames = in->side ? 0 : frames_in(r, &in->msg);
	int64_t start_ns = pn_now_ns();

	r->under_way = in;
	r->arrival_ns = in->msg.arrival_ns;
	r->before = r->counts;
	r->counts.taken += frames;
	int rc = settle(r, r->ops->take(r->state, &r->ctx, &in->msg), err);

	atomic_fetch_add_explicit(&r->metrics->busy_ns, pn_now_ns() - start_ns, memory_order_relaxed);
	r->offered = rc == PN_EAGAIN ? in : NULL;
	if (rc == PN_EAGAIN) {
		r->counts.taken -= frames;
		return rc;
	}
	if (rc == PN_EFRAME) {
		r->counts.skipped[PN_SKIP_BAD] += frames;
		pn_metrics_error(r->metrics, err->text);
		rc = PN_OK;
	}
	if (rc)
		return rc;
	r->counts.messages++;
	r->counts.passed_over += in->passed;
	r->counts.bytes_in += in->msg.payload_bytes;
	if (!in->side)
		atomic_store_explicit(&r->metrics->time_ns, in->msg.time_ns, memory_order_relaxed);
	if (in->link && !in->side)
		atomic_store_explicit(&r->metrics->queue, pn_link_available(in->link) - in->msg.seq - 1,
				      memory_order_relaxed);
	in->next = in->msg.seq + 1;
	in->held = 0;
	pn_metrics_put_counts(r->metrics, &r->counts);
	return PN_OK;
}

static int finish(struct pn_runner *r, struct pn_error *err)
{
	r->before = r->counts;
	r->arrival_ns = 0;
	r->under_way = NULL;
	int drains = r->ops->drain && !r->closing;
	int rc = settle(r, drains ? r->ops->drain(r->state, &r->ctx) : PN_OK, err);

	if (rc)
		return rc;
	for (unsigned i = 0; i < r->output_count; i++) {
		if (!r->outputs[i].writer)
			continue;
		rc = pn_log_flush(r->outputs[i].writer, err);
		if (rc)
			return rc;
	}
	rc = save_checkpoint(r, 0, err);
	/* now the end is known for good, and the producer may go */
	if (!rc && r->source)
		rc = pn_source_ack(r->source, r->inputs[0].next, err);
	for (unsigned i = 0; i < r->output_count && !rc; i++) {
		struct output *out = &r->outputs[i];

		if (!out->writer)
			continue;
		struct pn_log_writer *writer = out->writer;

		out->final_count = pn_log_count(writer);
		out->writer = NULL;
		out->news = 0;
		rc = pn_log_finish(writer, 1, err);
		if (!rc)
			rc = pn_link_published(out->server, out->final_count, 1, err);
	}
	r->mark_count = 0;
	if (!rc)
		rc = save_checkpoint(r, 1, err);
	pn_metrics_put_counts(r->metrics, &r->counts);
	if (!rc)
		r->ended = 1;
	return rc ? rc : PN_EEND;
}

int pn_runner_step(struct pn_runner *r, int64_t now_ns, struct pn_error *err)
{
	struct input *from = NULL;
	int rc = PN_OK;

	if (r->ended)
		return PN_EEND;
	/* stages that share a thread have each their own number */
	omp_set_num_threads(r->stage->threads ? r->stage->threads : omp_get_num_procs());
	if (!r->until_service--) {
		r->until_service = SERVICE_EVERY;
		rc = service(r, now_ns, err);
	}
	if (!rc)
		rc = r->closing  ? PN_EEND
		     : r->source ? next_from_source(r, now_ns, &from, err)
				 : next_from_links(r, &from, err);
	if (!rc && now_ns >= r->tell_due_ns) {
		rc = tell(r, now_ns, err);
		rc = rc == PN_EAGAIN ? PN_OK : rc;
	}
	if (!rc && from)
		rc = take(r, from, err);
	else if (rc == PN_EEND)
		rc = finish(r, err);
	if (rc == PN_EAGAIN) {
		r->until_service = 0;
		rc = tell(r, now_ns, err);
	}
	if (rc != PN_OK && rc != PN_EAGAIN && rc != PN_EEND)
		pn_error_wrap(err, "stage %s", r->stage->name);
	return rc;
}

void pn_runner_wait(struct pn_runner *r, int64_t now_ns, int64_t timeout_ns)
{
	if (r->source) {
		if (r->inputs[0].held) /* waits for room: the disk decides */
			pn_sleep_ns(PN_NS_PER_MS / 4);
		else
			pn_source_wait(r->source, now_ns, timeout_ns);
		return;
	}
	for (unsigned i = 0; i < r->input_count; i++) {
		struct input *in = &r->inputs[i];
		struct pn_error err;

		if (in->held || in->ended || in->side)
			continue;
		pull(r, i, timeout_ns, &err);
		return; /* a failure comes again in the next step */
	}
	pn_sleep_ns(PN_NS_PER_MS / 4);
}

uint64_t pn_runner_taken(const struct pn_runner *r)
{
	return r->counts.taken;
}

/* ---- closing ------------------------------------------------------------------------------- */

static int release(struct pn_runner *r, int flush, struct pn_error *err)
{
	int rc = PN_OK;

	for (unsigned i = 0; i < r->input_count; i++)
		pn_link_close(r->inputs[i].link);
	pn_source_close(r->source);
	for (unsigned i = 0; i < r->output_count; i++) {
		struct output *out = &r->outputs[i];

		if (flush && out->writer) {
			int failed = pn_log_finish(out->writer, 0, rc ? NULL : err);

			rc = rc ? rc : failed;
		} else {
			pn_log_drop(out->writer);
		}
		pn_link_stop(out->server);
		free(out->scratch);
	}
	pn_order_close(&r->order);
	pn_checkpoint_close(&r->files);
	if (r->ops->close && r->state)
		r->ops->close(r->state);
	free(r->state);
	free(r);
	return rc;
}

int pn_runner_close(struct pn_runner *r, struct pn_error *err)
{
	return r ? release(r, 1, err) : PN_OK;
}

void pn_runner_kill(struct pn_runner *r)
{
	if (r)
		release(r, 0, NULL);
}
