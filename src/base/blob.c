/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/blob.h"

#include "perrin/base/status.h"

#include <stdlib.h>
#include <string.h>

int pn_blob_put(struct pn_blob *blob, const void *data, size_t bytes)
{
	if (blob->capacity - blob->bytes < bytes) {
		size_t capacity = (blob->bytes + bytes) * 2;
		void *grown = realloc(blob->data, capacity);

		if (!grown)
			return PN_ENOMEM;
		blob->data = grown;
		blob->capacity = capacity;
	}
	if (bytes)
		memcpy(blob->data + blob->bytes, data, bytes);
	blob->bytes += bytes;
	return PN_OK;
}

int pn_blob_put_part(struct pn_blob *blob, const void *data, size_t bytes)
{
	uint64_t length = bytes;
	int rc = pn_blob_put(blob, &length, sizeof length);

	return rc ? rc : pn_blob_put(blob, data, bytes);
}

const void *pn_blob_get_part(struct pn_blob_view *view, size_t *bytes)
{
	const unsigned char *part = view->data + sizeof(uint64_t);
	uint64_t length;

	if (view->bytes < sizeof length)
		return NULL;
	memcpy(&length, view->data, sizeof length);
	if (view->bytes - sizeof length < length)
		return NULL;
	view->data = part + length;
	view->bytes -= sizeof length + length;
	*bytes = length;
	return part;
}

void pn_blob_finish(struct pn_blob *blob)
{
	free(blob->data);
	memset(blob, 0, sizeof *blob);
}
