/* SPDX-License-Identifier: GPL-3.0-or-later */
/* export_images.c - frames, crops, tilts and volumes as NumPy, MRC or TIFF stacks. */
#include "export.h"
#include "perrin/format/stack.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define TILTS_MAX 1000000 /* numbers of tilts that a stack is made of */

/* The array of the present record: info of one image, and how many there are. */
static uint64_t images_of(const struct pn_export *export, struct pn_stack_info *info)
{
	double pixel_pm;
	uint64_t count = 1;

	if (export->schema == &pn_frames_schema) {
		const struct pn_frames_head *h = &export->facts.head.frames;

		info->dtype = h->dtype;
		info->ny = h->ny;
		info->nx = h->nx;
		pixel_pm = h->pixel_pm;
		count = h->count;
	} else if (export->schema == &pn_tilts_schema) {
		const struct pn_tilts_head *h = &export->facts.head.tilts;

		info->dtype = PN_F32;
		info->ny = h->ny;
		info->nx = h->nx;
		pixel_pm = h->pixel_pm;
	} else if (export->schema == &pn_volumes_schema) {
		const struct pn_volumes_head *h = &export->facts.head.volumes;

		info->dtype = PN_F32;
		info->ny = h->ny;
		info->nx = h->nx;
		pixel_pm = h->pixel_pm;
		count = h->nz;
	} else {
		const struct pn_crops_head *h = &export->facts.head.crops;

		info->dtype = h->dtype;
		info->ny = h->ny;
		info->nx = h->nx;
		pixel_pm = h->pixel_pm;
	}
	info->pixel_pm = isnan(pixel_pm) ? 0 : pixel_pm;
	return count;
}

static int other_shape(const struct pn_export *export, const struct pn_stack_info *is,
		       const struct pn_stack_info *was, uint64_t seq, struct pn_error *err)
{
	return pn_error_set(err, PN_EFORMAT,
			    "%s: record %" PRIu64 " is %s [%" PRIu64 "][%" PRIu64
			    "], those before it %s [%" PRIu64 "][%" PRIu64
			    "]: a stack has one shape",
			    export->stream, seq, pn_dtype_name(is->dtype), is->ny, is->nx,
			    pn_dtype_name(was->dtype), was->ny, was->nx);
}

/*
 * A tilt that was revised stands in the stream more than once; in a stack it is there once, as it
 * was in the end. latest[tilt] is the record, from 1.
 */
int pn_export_latest(struct pn_export *export, uint64_t **latest, uint64_t *tilts,
		     struct pn_error *err)
{
	struct pn_msg msg;
	int64_t left = export->left;
	int rc;

	*latest = NULL;
	*tilts = 0;
	while (!(rc = pn_export_next(export, &msg, err))) {
		uint64_t tilt = export->facts.head.tilts.tilt;

		if (tilt >= *tilts && tilt < TILTS_MAX) {
			void *grown = realloc(*latest, (tilt + 1) * sizeof **latest);

			if (!grown)
				return pn_error_set(err, PN_ENOMEM,
						    "no memory for %" PRIu64 " tilts", tilt);
			*latest = grown;
			memset(*latest + *tilts, 0, (tilt + 1 - *tilts) * sizeof **latest);
			*tilts = tilt + 1;
		}
		if (tilt < *tilts)
			(*latest)[tilt] = export->facts.head.tilts.state == PN_TILT_WITHDRAWN
						  ? 0
						  : msg.seq + 1;
	}
	pn_log_read_seek(export->reader, (uint64_t) export->first);
	export->left = left;
	export->written = 0;
	return rc == PN_EEND ? PN_OK : rc;
}

static int write_tilts(struct pn_stack_writer **writer, struct pn_export *export,
		       struct pn_error *err)
{
	struct pn_stack_info info = { 0 };
	uint64_t *latest, tilts, count = 0;
	struct pn_msg msg;
	int rc = pn_export_latest(export, &latest, &tilts, err);

	for (uint64_t t = 0; t < tilts; t++)
		count += latest[t] > 0;
	for (uint64_t t = 0; !rc && t < tilts; t++) {
		if (!latest[t])
			continue;
		pn_log_read_seek(export->reader, latest[t] - 1);
		export->left = 1;
		rc = pn_export_next(export, &msg, err);
		if (rc)
			break;
		images_of(export, &info);
		if (!*writer) {
			info.count = count;
			snprintf(info.format, sizeof info.format, "%s", export->format);
			rc = pn_stack_create(writer, export->out, &info, err);
		}
		if (!rc)
			rc = pn_stack_write(*writer, msg.payload, err);
	}
	free(latest);
	return rc == PN_EEND ? PN_OK : rc;
}

static int write_images(struct pn_stack_writer **writer, struct pn_export *export,
			struct pn_error *err)
{
	struct pn_stack_info info = { 0 }, first = { 0 };
	struct pn_msg msg;
	int rc;

	while (!(rc = pn_export_next(export, &msg, err))) {
		uint64_t images = images_of(export, &info);
		size_t bytes = info.ny * info.nx * pn_dtype_bytes(info.dtype);

		if (!*writer) {
			first = info;
			snprintf(first.format, sizeof first.format, "%s", export->format);
			if (export->particle < 0)
				first.count = images * export->facts.records;
			rc = pn_stack_create(writer, export->out, &first, err);
			if (rc)
				return rc;
		}
		if (info.dtype != first.dtype || info.ny != first.ny || info.nx != first.nx)
			return other_shape(export, &info, &first, msg.seq, err);
		for (uint64_t i = 0; i < images; i++) {
			rc = pn_stack_write(*writer, (const char *)msg.payload + i * bytes, err);
			if (rc)
				return rc;
		}
	}
	return rc == PN_EEND ? PN_OK : rc;
}

int pn_export_images(struct pn_export *export, struct pn_error *err)
{
	struct pn_stack_writer *writer = NULL;

	if (export->schema != &pn_frames_schema && export->schema != &pn_crops_schema &&
	    export->schema != &pn_tilts_schema && export->schema != &pn_volumes_schema)
		return pn_error_set(err, PN_EARG,
				    "%s: messages of type %s hold no images; csv and ndjson "
				    "take them",
				    export->stream, export->schema->type);
	if (strcmp(export->out, "-") == 0)
		return pn_error_set(err, PN_EARG, "out = -: %s needs a file", export->format);
	int rc = export->schema == &pn_tilts_schema ? write_tilts(&writer, export, err)
						    : write_images(&writer, export, err);
	if (!rc && !writer)
		return pn_error_set(err, PN_ENOENT, "%s: none of its %" PRIu64 " records is meant",
				    export->stream, export->facts.records);
	if (!rc)
		return pn_stack_finish(writer, err);
	pn_stack_abandon(writer);
	return rc;
}
