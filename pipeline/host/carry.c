/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "carry.h"

#include "checkpoint.h"
#include "order.h"
#include "perrin/base/file.h"
#include "perrin/stream/log.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const checkpoint_ends[] = { ".0", ".1", ".order" };
enum { CHECKPOINT_FILES = 2 }; /* of the three: the others are the journal */

struct carry {
	struct pn_carried *carried;
	const struct pn_graph *graph;
	const char *session;
	char recording[PATH_MAX - 512];
	struct pn_error *err;
};

static void join(char path[PATH_MAX], const char *dir, const char *name, const char *end)
{
	snprintf(path, PATH_MAX, "%.*s/%s%s", PATH_MAX - 512, dir, name, end);
}

static void checkpoint_path(char path[PATH_MAX], const char *session, const char *stage,
			    const char *end)
{
	snprintf(path, PATH_MAX, "%.*s/checkpoints/%s%s", PATH_MAX - 512, session, stage, end);
}

/* ---- the recording ------------------------------------------------------------------------- */

/* The folder that replay:FOLDER?name=value names; bytes may be written %XX there. 0: another
 * source, or a single stream. */
static int find_recording(struct carry *c, const char *uri)
{
	static const char scheme[] = "replay:";
	char stream[PATH_MAX];
	size_t used = 0;

	if (strncmp(uri, scheme, sizeof scheme - 1))
		return 0;
	for (const char *p = uri + sizeof scheme - 1; *p && *p != '?'; p++) {
		unsigned byte = (unsigned char)*p;

		if (used + 1 == sizeof c->recording)
			return 0;
		if (*p == '%') {
			if (sscanf(p + 1, "%2x", &byte) != 1)
				return 0;
			p += 2;
		}
		c->recording[used++] = (char)byte;
	}
	c->recording[used] = 0;
	join(stream, c->recording, "000000.seg", "");
	return used && access(stream, F_OK) != 0;
}

/* Whether the recording has a stream of this name that is, as far as can be seen, of this type. */
static int has_stream(const struct carry *c, const struct pn_graph_stream *stream)
{
	struct pn_log_reader *reader;
	struct pn_error ignored;
	struct pn_msg msg;
	char dir[PATH_MAX];
	int has = 1;

	join(dir, c->recording, stream->name, "");
	if (pn_log_read_open(&reader, dir, NULL, 0, 0, &ignored))
		return 0;
	if (pn_log_read(reader, &msg, &ignored) == PN_OK)
		has = pn_head_type(msg.head, msg.head_bytes) == stream->schema;
	pn_log_read_close(reader);
	return has;
}

static int may_be_carried(const struct carry *c, const struct pn_graph_stage *stage)
{
	int connected = 0;

	if (!stage->ops->timed)
		return 0;
	for (unsigned port = 0; port < PN_PORTS_MAX; port++) {
		if (stage->outputs[port] < 0)
			continue;
		connected = 1;
		if (!has_stream(c, &c->graph->streams[stage->outputs[port]]))
			return 0;
	}
	return connected;
}

/* ---- streams ------------------------------------------------------------------------------- */

static int copy_durably(const char *from, const char *to, struct pn_error *err)
{
	int rc = pn_file_copy(from, to, err);

	if (rc)
		return rc;
	int fd = open(to, O_RDONLY | O_CLOEXEC);
	int bad = fd < 0 || fsync(fd), errnum = errno;

	if (fd >= 0)
		close(fd);
	return bad ? pn_error_errno(err, errnum, "%s", to) : PN_OK;
}

static int is_stream_file(const struct dirent *entry)
{
	const char *dot = strrchr(entry->d_name, '.');

	return dot && (strcmp(dot, ".seg") == 0 || strcmp(dot, ".idx") == 0);
}

/* In order of name, so that an index is older than its segment if the recording still grows: it
 * then promises nothing that the copy has not. */
static int copy_files(const char *from, const char *to, struct pn_error *err)
{
	char old[PATH_MAX], fresh[PATH_MAX];
	struct dirent **entries;
	int rc = mkdir(to, 0755) ? pn_error_errno(err, errno, "%s", to) : PN_OK;
	int count = rc ? 0 : scandir(from, &entries, is_stream_file, alphasort);

	if (rc)
		return rc;
	if (count < 0)
		return pn_error_errno(err, errno, "%s", from);
	for (int i = 0; i < count; i++) {
		join(old, from, entries[i]->d_name, "");
		join(fresh, to, entries[i]->d_name, "");
		if (!rc)
			rc = copy_durably(old, fresh, err);
		free(entries[i]);
	}
	free(entries);
	return rc;
}

/* How many records a stream has; one that a crash left open is recovered and closed. */
static int close_stream(const char *dir, uint64_t *count, struct pn_error *err)
{
	struct pn_log_writer *writer;
	struct pn_log_reader *reader;
	int ended, rc = pn_log_read_open(&reader, dir, NULL, 0, 0, err);

	if (rc)
		return rc;
	*count = pn_log_read_count(reader, &ended);
	pn_log_read_close(reader);
	if (ended)
		return PN_OK;
	rc = pn_log_open(&writer, &(struct pn_log_config){ .dir = dir, .engine = PN_ENGINE_PLAIN },
			 NULL, err);
	if (rc)
		return rc;
	*count = pn_log_count(writer);
	return pn_log_finish(writer, 1, err);
}

static int carry_stream(struct carry *c, unsigned index, uint64_t *count)
{
	const char *name = c->graph->streams[index].name;
	char from[PATH_MAX], to[PATH_MAX];

	join(from, c->recording, name, "");
	join(to, c->session, name, "");
	c->carried->streams[index] = 1;
	int rc = copy_files(from, to, c->err);

	return rc ? rc : close_stream(to, count, c->err);
}

/* ---- checkpoints --------------------------------------------------------------------------- */

static int copy_checkpoint_file(const struct carry *c, const char *stage, const char *end)
{
	char from[PATH_MAX], to[PATH_MAX];

	checkpoint_path(from, c->recording, stage, end);
	checkpoint_path(to, c->session, stage, end);
	if (access(from, F_OK))
		return PN_OK;
	return copy_durably(from, to, c->err);
}

/* The recorded stage's counts, if they can be read, and that it has ended. */
static int write_complete(const struct carry *c, const struct pn_graph_stage *stage,
			  const uint64_t next_out[PN_PORTS_MAX])
{
	struct pn_checkpoint_files files = { 0 };
	struct pn_checkpoint checkpoint = { 0 };
	struct pn_blob state = { 0 }, none = { 0 };
	char path[PATH_MAX];
	int rc = PN_OK;

	for (unsigned i = 0; i < CHECKPOINT_FILES && !rc; i++)
		rc = copy_checkpoint_file(c, stage->name, checkpoint_ends[i]);
	checkpoint_path(path, c->session, stage->name, "");
	if (!rc)
		rc = pn_checkpoint_open(&files, path, c->err);
	if (rc)
		return rc;
	rc = pn_checkpoint_read(&files, &checkpoint, &state, c->err);
	pn_blob_finish(&state);
	if (rc == PN_ENOENT) {
		memset(c->err, 0, sizeof *c->err);
		rc = PN_OK;
	}
	memcpy(checkpoint.next_out, next_out, sizeof checkpoint.next_out);
	checkpoint.complete = 1;
	if (!rc)
		rc = pn_checkpoint_write(&files, &checkpoint, &none, c->err);
	pn_checkpoint_close(&files);
	return rc;
}

static int carry_stage(struct carry *c, unsigned index)
{
	const struct pn_graph_stage *stage = &c->graph->stages[index];
	uint64_t next_out[PN_PORTS_MAX] = { 0 };
	int rc = PN_OK;

	c->carried->stages[index] = 1;
	for (unsigned port = 0; port < PN_PORTS_MAX && !rc; port++)
		if (stage->outputs[port] >= 0)
			rc = carry_stream(c, (unsigned)stage->outputs[port], &next_out[port]);
	return rc ? rc : write_complete(c, stage, next_out);
}

/* ---- journals ------------------------------------------------------------------------------ */

static const struct pn_graph_stage *producer_of(const struct carry *c, unsigned stream,
						unsigned *index)
{
	for (*index = 0; *index < c->graph->stage_count; ++*index)
		for (unsigned port = 0; port < PN_PORTS_MAX; port++)
			if (c->graph->stages[*index].outputs[port] == (int)stream)
				return &c->graph->stages[*index];
	pn_assert(!"a stream has a writer");
	return NULL;
}

/* Side inputs whose messages are those of the recording, as far as can be told beforehand. */
static int may_obey(const struct carry *c, const struct pn_graph_stage *stage)
{
	int sides = 0;

	for (unsigned i = 0; i < stage->input_count; i++) {
		unsigned index;

		if (!stage->ops->inputs[i].side)
			continue;
		sides = 1;
		if (producer_of(c, stage->inputs[i].stream, &index)->ops->timed &&
		    !c->carried->stages[index])
			return 0;
	}
	return sides;
}

static int carry_order(struct carry *c, unsigned index)
{
	static const uint64_t nothing_taken[PN_PORTS_MAX];
	const char *name = c->graph->stages[index].name;
	struct pn_order order;
	uint64_t bytes_cut;
	char path[PATH_MAX];

	checkpoint_path(path, c->recording, name, ".order");
	if (access(path, F_OK))
		return PN_OK;
	c->carried->orders[index] = 1;
	int rc = copy_checkpoint_file(c, name, ".order");
	if (rc)
		return rc;
	checkpoint_path(path, c->session, name, ".order");
	rc = pn_order_open(&order, path, nothing_taken, &bytes_cut, c->err);
	if (rc)
		return rc;
	rc = pn_order_seal(&order, c->err);
	pn_order_close(&order);
	return rc;
}

/* ---- the whole ----------------------------------------------------------------------------- */

int pn_carry(struct pn_carried *carried, const struct pn_graph *graph, const char *session,
	     const char *source_uri, struct pn_error *err)
{
	struct carry c = { .carried = carried, .graph = graph, .session = session, .err = err };
	int rc = PN_OK;

	memset(carried, 0, sizeof *carried);
	if (!find_recording(&c, source_uri))
		return PN_OK;
	for (unsigned i = 0; i < graph->stage_count && !rc; i++)
		if (may_be_carried(&c, &graph->stages[i]))
			rc = carry_stage(&c, i);
	for (unsigned i = 0; i < graph->stage_count && !rc; i++)
		if (!carried->stages[i] && may_obey(&c, &graph->stages[i]))
			rc = carry_order(&c, i);
	return rc ? pn_error_wrap(err, "carry over from %.200s", c.recording) : PN_OK;
}

static void remove_flat(const char *dir)
{
	char path[PATH_MAX];
	struct dirent *entry;
	DIR *open_dir = opendir(dir);

	while (open_dir && (entry = readdir(open_dir))) {
		join(path, dir, entry->d_name, "");
		unlink(path); /* "." and ".." stay */
	}
	if (open_dir)
		closedir(open_dir);
	rmdir(dir);
}

void pn_carry_undo(const struct pn_carried *carried, const struct pn_graph *graph,
		   const char *session)
{
	char path[PATH_MAX];

	for (unsigned i = 0; i < graph->stream_count; i++) {
		if (!carried->streams[i])
			continue;
		join(path, session, graph->streams[i].name, "");
		remove_flat(path);
	}
	for (unsigned i = 0; i < graph->stage_count; i++) {
		if (!carried->stages[i] && !carried->orders[i])
			continue;
		for (unsigned f = 0; f < PN_COUNT(checkpoint_ends); f++) {
			checkpoint_path(path, session, graph->stages[i].name, checkpoint_ends[f]);
			unlink(path);
		}
	}
}
