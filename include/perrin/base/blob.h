/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/base/blob.h - bytes that grow as they are put in: checkpoints. */
#ifndef PERRIN_BASE_BLOB_H
#define PERRIN_BASE_BLOB_H

#include <stddef.h>
#include <stdint.h>

/** Zero to start; pn_blob_finish frees the bytes. */
struct pn_blob {
	unsigned char *data;
	size_t bytes, capacity;
};

/** What of a blob's bytes has not been read yet. Borrowed. */
struct pn_blob_view {
	const unsigned char *data;
	size_t bytes;
};

/** pn_blob_put - append bytes. PN_OK or PN_ENOMEM. */
int pn_blob_put(struct pn_blob *blob, const void *data, size_t bytes);

/** pn_blob_put_part - append bytes that pn_blob_get_part will find again with their length. */
int pn_blob_put_part(struct pn_blob *blob, const void *data, size_t bytes);

/** pn_blob_get_part - the next part, borrowed; NULL if none is whole. */
const void *pn_blob_get_part(struct pn_blob_view *view, size_t *bytes);

void pn_blob_finish(struct pn_blob *blob);

#endif
