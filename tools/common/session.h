/* SPDX-License-Identifier: GPL-3.0-or-later */
/* session.h - what a path holds: a session, a stream, or something else; and what stands in it. */
#ifndef PERRIN_TOOLS_SESSION_H
#define PERRIN_TOOLS_SESSION_H

#include "perrin/base/status.h"
#include "perrin/stream/head.h"
#include "perrin/stream/log.h"

#include <limits.h>

#define PN_SESSION_STREAMS_MAX 64

enum pn_path_kind { PN_PATH_SESSION, PN_PATH_STREAM, PN_PATH_FILE };

/** pn_path_kind - a folder with session.json, one with 000000.seg, or a file. PN_ENOENT with the
 * path if there is nothing, PN_EARG for a folder that is neither. */
int pn_path_kind(const char *path, enum pn_path_kind *kind, struct pn_error *err);

/** pn_path_join - "dir/name"; PN_EARG if that is too long. */
int pn_path_join(char path[PATH_MAX], const char *dir, const char *name, struct pn_error *err);

/** pn_path_free - PN_EEXIST if there is something at @path and not @force; devices and "-" pass. */
int pn_path_free(const char *path, int force, struct pn_error *err);

struct pn_session_stream {
	char name[256];
	char dir[PATH_MAX];
};

/** The streams of a session in the order of their names, or the one stream that a path is. */
struct pn_session_streams {
	struct pn_session_stream stream[PN_SESSION_STREAMS_MAX];
	unsigned count;
};

/** pn_session_streams - list them; PN_EARG for a path that is neither session nor stream. */
int pn_session_streams(struct pn_session_streams *streams, const char *path, struct pn_error *err);

/** What session.json says; "" for what is not there. */
struct pn_session_description {
	char perrin[64], graph[64], source[4096], started[64];
};

/** pn_session_describe - read session.json. PN_EFORMAT if it is not what a run writes. */
int pn_session_describe(struct pn_session_description *description, const char *session,
			struct pn_error *err);

/** What can be told of a stream without reading all of it. */
struct pn_stream_facts {
	const struct pn_schema *schema; /* NULL: not known; without a record, as the graph says */
	uint64_t records;
	uint64_t disk_bytes; /* of its segment files */
	int closed;
	int64_t first_ns, last_ns;      /* time stamps of the first and the last record */
	char damage[PN_ERROR_TEXT_MAX]; /* why one of these two cannot be read; "": it can */
	int has_head;                   /* head is that of the first record */
	union {
		struct pn_frames_head frames;
		struct pn_crops_head crops;
		struct pn_crystal_head crystal;
		struct pn_truth_head truth;
		struct pn_specimen_head specimen;
		struct pn_weights_head weights;
		struct pn_tilts_head tilts;
		struct pn_poses_head poses;
		struct pn_volumes_head volumes;
		struct pn_atoms_head atoms;
		struct pn_advice_head advice;
	} head;
};

/** pn_stream_facts - a damaged record is told of in facts->damage; errors are those of the folder.
 */
int pn_stream_facts(struct pn_stream_facts *facts, const char *dir, struct pn_error *err);

#endif
