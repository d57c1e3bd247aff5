/* SPDX-License-Identifier: GPL-3.0-or-later */
/* export_images.c - frames, crops, tilts and volumes as NumPy, MRC or TIFF stacks. */
#include "export.h"
#include "perrin/format/stack.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

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
	int rc = write_images(&writer, export, err);
	if (!rc && !writer)
		return pn_error_set(err, PN_ENOENT, "%s: none of its %" PRIu64 " records is meant",
				    export->stream, export->facts.records);
	if (!rc)
		return pn_stack_finish(writer, err);
	pn_stack_abandon(writer);
	return rc;
}
