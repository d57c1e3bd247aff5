/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "session.h"

#include "perrin/host/graph.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int has(const char *dir, const char *name)
{
	char path[PATH_MAX];

	return pn_path_join(path, dir, name, NULL) == PN_OK && access(path, F_OK) == 0;
}

int pn_path_join(char path[PATH_MAX], const char *dir, const char *name, struct pn_error *err)
{
	if (snprintf(path, PATH_MAX, "%s/%s", dir, name) >= PATH_MAX)
		return pn_error_set(err, PN_EARG, "%.200s...: a path of more than %d bytes", dir,
				    PATH_MAX - 1);
	return PN_OK;
}

int pn_path_kind(const char *path, enum pn_path_kind *kind, struct pn_error *err)
{
	struct stat st;

	if (stat(path, &st))
		return pn_error_errno(err, errno, "%s", path);
	if (!S_ISDIR(st.st_mode))
		*kind = PN_PATH_FILE;
	else if (has(path, "session.json"))
		*kind = PN_PATH_SESSION;
	else if (has(path, "000000.seg"))
		*kind = PN_PATH_STREAM;
	else
		return pn_error_set(
			err, PN_EARG,
			"%s: neither a session (session.json) nor a stream (000000.seg)", path);
	return PN_OK;
}

int pn_path_free(const char *path, int force, struct pn_error *err)
{
	struct stat st;

	if (strcmp(path, "-") == 0 || stat(path, &st))
		return PN_OK;
	if (S_ISDIR(st.st_mode))
		return pn_error_set(err, PN_EEXIST, "%s: is a folder", path);
	if (S_ISREG(st.st_mode) && !force)
		return pn_error_set(err, PN_EEXIST, "%s: is there already (--force replaces it)",
				    path);
	return PN_OK;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct pn_session_stream *)a)->name,
		      ((const struct pn_session_stream *)b)->name);
}

static int list_session(struct pn_session_streams *streams, const char *path, struct pn_error *err)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	int rc = PN_OK;

	if (!dir)
		return pn_error_errno(err, errno, "%s", path);
	while (!rc && (entry = readdir(dir))) {
		struct pn_session_stream *stream = &streams->stream[streams->count];

		if (streams->count == PN_SESSION_STREAMS_MAX) {
			rc = pn_error_set(err, PN_EUNSUPPORTED, "%s: more than %d streams", path,
					  PN_SESSION_STREAMS_MAX);
			break;
		}
		if (entry->d_name[0] == '.')
			continue;
		rc = pn_path_join(stream->dir, path, entry->d_name, err);
		if (!rc && has(stream->dir, "000000.seg")) {
			snprintf(stream->name, sizeof stream->name, "%s", entry->d_name);
			streams->count++;
		}
	}
	closedir(dir);
	qsort(streams->stream, streams->count, sizeof *streams->stream, by_name);
	return rc;
}

int pn_session_streams(struct pn_session_streams *streams, const char *path, struct pn_error *err)
{
	enum pn_path_kind kind;
	int rc = pn_path_kind(path, &kind, err);

	streams->count = 0;
	if (rc)
		return rc;
	if (kind == PN_PATH_SESSION)
		return list_session(streams, path, err);
	if (kind == PN_PATH_FILE)
		return pn_error_set(err, PN_EARG, "%s: a file, neither a session nor a stream",
				    path);
	struct pn_session_stream *stream = &streams->stream[0];

	if ((size_t)snprintf(stream->dir, sizeof stream->dir, "%s", path) >= sizeof stream->dir)
		return pn_error_set(err, PN_EARG, "%.200s...: too long a path", path);
	/* its name is the last part of the path; "." and the like have none to show */
	char *end = stream->dir + strlen(stream->dir);
	while (end > stream->dir + 1 && end[-1] == '/')
		*--end = 0;
	const char *slash = strrchr(stream->dir, '/');
	snprintf(stream->name, sizeof stream->name, "%.255s",
		 slash && slash[1] ? slash + 1 : stream->dir);
	streams->count = 1;
	return PN_OK;
}

/* ---- session.json -------------------------------------------------------------------------- */

/* The value of a member that a run wrote, a text without \u escapes; "" if it is not there. */
static void member(const char *json, const char *key, char *value, size_t size)
{
	char quoted[64];
	size_t used = 0;

	value[0] = 0;
	snprintf(quoted, sizeof quoted, "\"%s\": \"", key);
	const char *p = strstr(json, quoted);
	if (!p)
		return;
	for (p += strlen(quoted); *p && *p != '"' && used + 1 < size; p++) {
		if (*p == '\\' && p[1])
			p++;
		value[used++] = *p;
	}
	value[used] = 0;
}

int pn_session_describe(struct pn_session_description *description, const char *session,
			struct pn_error *err)
{
	char path[PATH_MAX], json[8192];
	int rc = pn_path_join(path, session, "session.json", err);

	if (rc)
		return rc;
	FILE *file = fopen(path, "re");
	if (!file)
		return pn_error_errno(err, errno, "%s", path);
	size_t bytes = fread(json, 1, sizeof json - 1, file);
	int bad = ferror(file);
	fclose(file);
	if (bad)
		return pn_error_set(err, PN_EIO, "%s: cannot be read", path);
	json[bytes] = 0;
	member(json, "perrin", description->perrin, sizeof description->perrin);
	member(json, "graph", description->graph, sizeof description->graph);
	member(json, "source", description->source, sizeof description->source);
	member(json, "started", description->started, sizeof description->started);
	if (!description->perrin[0] || !description->source[0])
		return pn_error_set(err, PN_EFORMAT, "%s: names no source; not written by perrin?",
				    path);
	return PN_OK;
}

/* ---- a stream ------------------------------------------------------------------------------ */

static uint64_t segment_bytes(const char *dir)
{
	uint64_t bytes = 0;
	struct stat st;

	for (unsigned i = 0;; i++) {
		char name[32], path[PATH_MAX];

		snprintf(name, sizeof name, "%06u.seg", i);
		if (pn_path_join(path, dir, name, NULL) || stat(path, &st))
			return bytes;
		bytes += (uint64_t)st.st_size;
	}
}

static void first_record(struct pn_stream_facts *facts, const struct pn_msg *msg,
			 struct pn_error *damage)
{
	facts->first_ns = facts->last_ns = msg->time_ns;
	facts->schema = pn_head_type(msg->head, msg->head_bytes);
	if (!facts->schema)
		return;
	pn_assert(facts->schema->size <= sizeof facts->head);
	facts->has_head = pn_msg_decode(facts->schema, msg, &facts->head, damage) == PN_OK;
}

static void ends_of(struct pn_stream_facts *facts, struct pn_log_reader *reader)
{
	struct pn_error damage = { 0 };
	struct pn_msg msg;

	if (pn_log_read_at(reader, 0, &msg, &damage) == PN_OK)
		first_record(facts, &msg, &damage);
	if (pn_log_read_at(reader, facts->records - 1, &msg, &damage) == PN_OK)
		facts->last_ns = msg.time_ns;
	snprintf(facts->damage, sizeof facts->damage, "%s", damage.text);
}

/* The type that the graph of the session gives to a stream that does not tell it. */
static const struct pn_schema *planned_schema(const char *dir)
{
	const struct pn_schema *schema = NULL;
	struct pn_graph *graph;
	char path[PATH_MAX];
	struct pn_error error;
	const char *name = strrchr(dir, '/');

	name = name ? name + 1 : dir;
	if (snprintf(path, sizeof path, "%s/../graph.yaml", dir) >= PATH_MAX ||
	    pn_graph_read(&graph, path, &error))
		return NULL;
	for (unsigned i = 0; i < graph->stream_count; i++)
		if (strcmp(graph->streams[i].name, name) == 0)
			schema = graph->streams[i].schema;
	pn_graph_destroy(graph);
	return schema;
}

int pn_stream_facts(struct pn_stream_facts *facts, const char *dir, struct pn_error *err)
{
	struct pn_log_reader *reader = NULL;
	int rc = pn_log_read_open(&reader, dir, NULL, 0, 0, err);

	memset(facts, 0, sizeof *facts);
	facts->disk_bytes = segment_bytes(dir);
	if (rc)
		return pn_error_wrap(err, "%s", dir);
	facts->records = pn_log_read_count(reader, &facts->closed);
	if (facts->records)
		ends_of(facts, reader);
	if (!facts->schema)
		facts->schema = planned_schema(dir);
	pn_log_read_close(reader);
	return PN_OK;
}
