/* SPDX-License-Identifier: GPL-3.0-or-later */
/* export.h - what the formats of `perrin export` share: a walk over the records of a stream. */
#ifndef PERRIN_TOOLS_EXPORT_H
#define PERRIN_TOOLS_EXPORT_H

#include "common/session.h"
#include "perrin/stream/head.h"
#include "perrin/stream/log.h"

struct pn_export {
	const char *stream; /* its folder */
	const char *out;    /* path of the file, "-": standard output */
	const char *format;
	int64_t particle;     /* only this one; -1: all */
	int64_t first, count; /* records: from, at most (0: all) */
	int last;             /* only the last one */

	const struct pn_schema *schema; /* of the stream */
	struct pn_log_reader *reader;
	struct pn_stream_facts facts;
	int64_t left;     /* records that may still be read */
	uint64_t written; /* records */
	uint64_t damaged; /* records left out */
};

/**
 * pn_export_next - the next record that is asked for, its head in facts.head. PN_EEND after the
 * last. Damaged records are left out and counted.
 */
int pn_export_next(struct pn_export *export, struct pn_msg *msg, struct pn_error *err);

/** pn_export_file - open the output for text; pn_export_close tells what could not be written. */
int pn_export_file(struct pn_export *export, FILE **file, struct pn_error *err);
int pn_export_close(struct pn_export *export, FILE *file, int rc, struct pn_error *err);

/** pn_export_latest - of a stream of tilts, the record (from 1; 0: none) that each tilt stands in last;
 * the reader is at the first record again. @latest: [out] [tilts], caller frees. */
int pn_export_latest(struct pn_export *export, uint64_t **latest, uint64_t *tilts,
		     struct pn_error *err);

/** One function per format; each writes the whole file. */
int pn_export_images(struct pn_export *export, struct pn_error *err);
int pn_export_csv(struct pn_export *export, struct pn_error *err);
int pn_export_ndjson(struct pn_export *export, struct pn_error *err);
int pn_export_xyz(struct pn_export *export, struct pn_error *err);
int pn_export_tlt(struct pn_export *export, struct pn_error *err);

#endif
