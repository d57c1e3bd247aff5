/* SPDX-License-Identifier: GPL-3.0-or-later */
/* models.h - the last model of each particle, for the stage that follows atoms. */
#ifndef PERRIN_STAGES_MODELS_H
#define PERRIN_STAGES_MODELS_H

#include "perrin/atoms/pair.h"
#include "perrin/base/blob.h"
#include "perrin/stream/head.h"

#include <stdlib.h>
#include <string.h>

/** The atoms of one map, as they stand in a payload. */
struct model {
	uint64_t particle, segment, count;
	double (*atom)[PN_ATOM_NUMBERS]; /* owned */
};

/** One of each particle. Zero to start; models_forget frees it. */
struct models {
	struct model *item;
	size_t count;
};

static inline void models_forget(struct models *models)
{
	for (size_t i = 0; i < models->count; i++)
		free(models->item[i].atom);
	free(models->item);
}

/** models_last - of a particle; NULL if there is none. */
static inline struct model *models_last(const struct models *models, uint64_t particle)
{
	for (size_t i = 0; i < models->count; i++)
		if (models->item[i].particle == particle)
			return &models->item[i];
	return NULL;
}

/** models_put - the new last model of its particle. Takes model->atom over, but not with an error.
 */
static inline int models_put(struct models *models, const struct model *model, struct pn_error *err)
{
	struct model *last = models_last(models, model->particle);

	if (!last) {
		struct model *more = realloc(models->item, (models->count + 1) * sizeof *more);

		if (!more)
			return pn_error_set(err, PN_ENOMEM, "no memory for %zu models",
					    models->count + 1);
		models->item = more;
		last = &models->item[models->count++];
		last->atom = NULL;
	}
	free(last->atom);
	*last = *model;
	return PN_OK;
}

static inline int models_save(const struct models *models, struct pn_blob *out)
{
	int rc = PN_OK;

	for (size_t i = 0; i < models->count && !rc; i++) {
		const struct model *m = &models->item[i];

		rc = pn_blob_put_part(out, m, sizeof *m);
		if (!rc)
			rc = pn_blob_put_part(out, m->atom, m->count * sizeof *m->atom);
	}
	return rc;
}

/** models_load - what models_save wrote; PN_EVERSION if it is none of that. */
static inline int models_load(struct models *models, const void *data, size_t bytes,
			      struct pn_error *err)
{
	struct pn_blob_view left = { data, bytes };
	int rc = PN_OK;

	while (left.bytes && !rc) {
		size_t head_bytes = 0, size = 0;
		const void *head = pn_blob_get_part(&left, &head_bytes);
		const void *part = head ? pn_blob_get_part(&left, &size) : NULL;
		struct model m = { 0 };

		if (part && head_bytes == sizeof m)
			memcpy(&m, head, sizeof m);
		if (!part || head_bytes != sizeof m || size % sizeof *m.atom ||
		    size / sizeof *m.atom != m.count)
			return pn_error_set(err, PN_EVERSION, "checkpoint of %zu bytes", bytes);
		m.atom = malloc(size + 1);
		if (!m.atom)
			return pn_error_set(err, PN_ENOMEM, "no memory for %zu bytes", size);
		memcpy(m.atom, part, size);
		rc = models_put(models, &m, err);
		if (rc)
			free(m.atom);
	}
	return rc;
}

/** models_view - atoms as the kernels see them; freed with their position. */
static inline struct pn_atoms models_view(const double (*numbers)[PN_ATOM_NUMBERS], uint64_t count)
{
	double(*position_A)[3] = malloc((count + 1) * (sizeof *position_A + 1));
	uint8_t *element = position_A ? (uint8_t *)(position_A + count) : NULL;

	for (uint64_t i = 0; position_A && i < count; i++) {
		memcpy(position_A[i], numbers[i], sizeof position_A[i]);
		element[i] = (uint8_t)numbers[i][3];
	}
	return (struct pn_atoms){ (const double(*)[3])position_A, element, count };
}

#endif
