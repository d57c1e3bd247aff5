/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/format/model.h"

#include "model_priv.h"
#include "perrin/base/element.h"
#include "perrin/format/pdb.h"
#include "perrin/format/xyz.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- life ---------------------------------------------------------------------------------- */

static void clear(struct pn_model *model)
{
	for (size_t i = 0; i < model->columns_count; i++) {
		free(model->columns[i].values);
		free(model->columns[i].text);
	}
	free(model->columns);
	free(model->position_A);
	free(model->element);
	free(model->comment);
	free(model->pairs);
}

/* calloc checks the product; a size of 0 may give NULL */
static void *zeroed(size_t count, size_t bytes)
{
	return calloc(count ? count : 1, bytes);
}

static int init(struct pn_model *model, size_t count)
{
	*model = (struct pn_model){ .count = count, .time_s = (double)NAN };
	/* more than this no address space holds, and no allocator need be asked */
	if (count > PTRDIFF_MAX / sizeof *model->position_A)
		return -1;
	model->position_A = zeroed(count, sizeof *model->position_A);
	model->element = zeroed(count, 1);
	if (model->position_A && model->element)
		return 0;
	clear(model);
	return -1;
}

int pn_model_create(struct pn_model **out, size_t count, struct pn_error *err)
{
	struct pn_model *model = malloc(sizeof *model);

	*out = NULL;
	if (!model || init(model, count) < 0) {
		free(model);
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", count);
	}
	*out = model;
	return PN_OK;
}

void pn_model_destroy(struct pn_model *model)
{
	pn_models_free(model, 1);
}

void pn_models_free(struct pn_model *models, size_t frames)
{
	for (size_t i = 0; models && i < frames; i++)
		clear(&models[i]);
	free(models);
}

struct pn_model *model_list_add(struct model_list *list, size_t atoms)
{
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 4;
		struct pn_model *models = reallocarray(list->models, room, sizeof *models);

		if (!models)
			return NULL;
		list->models = models;
		list->room = room;
	}
	if (init(&list->models[list->count], atoms) < 0)
		return NULL;
	return &list->models[list->count++];
}

int model_list_give(struct model_list *list, int status, struct pn_model **models, size_t *frames)
{
	*models = NULL;
	*frames = 0;
	if (status < 0) {
		pn_models_free(list->models, list->count);
	} else {
		*models = list->models;
		*frames = list->count;
	}
	*list = (struct model_list){ 0 };
	return status;
}

/* ---- columns ------------------------------------------------------------------------------- */

struct pn_model_column *model_column_append(struct pn_model *model, const char *name, char type,
					    int components)
{
	size_t bytes = type == 'S' ? PN_MODEL_TEXT_MAX : sizeof(double);
	struct pn_model_column *columns =
		reallocarray(model->columns, model->columns_count + 1, sizeof *columns);

	if (!columns)
		return NULL;
	model->columns = columns;
	void *values = zeroed(model->count, bytes * (size_t)components);
	if (!values)
		return NULL;
	struct pn_model_column *column = &columns[model->columns_count++];
	*column = (struct pn_model_column){ .components = components, .type = type };
	snprintf(column->name, sizeof column->name, "%s", name);
	if (type == 'S')
		column->text = values;
	else
		column->values = values;
	return column;
}

int pn_model_add_column(struct pn_model *model, const char *name, char type, int components,
			struct pn_model_column **out, struct pn_error *err)
{
	size_t n = strlen(name);

	if (!n || n >= PN_MODEL_NAME_MAX || name[strspn(name, MODEL_NAME_CHARACTERS)])
		return pn_error_set(err, PN_EARG,
				    "column \"%s\": a name has 1 to %d letters, digits or _", name,
				    PN_MODEL_NAME_MAX - 1);
	if (!type || !strchr("RILS", type))
		return pn_error_set(err, PN_EARG, "column %s: type %d is not R, I, L or S", name,
				    type);
	if (components < 1 || components > PN_MODEL_COMPONENTS_MAX)
		return pn_error_set(err, PN_EARG, "column %s: %d components, 1 to %d are possible",
				    name, components, PN_MODEL_COMPONENTS_MAX);
	if (model->columns_count >= PN_MODEL_COLUMNS_MAX)
		return pn_error_set(err, PN_EARG, "column %s: the model has %zu already", name,
				    model->columns_count);
	if (strcmp(name, "pos") == 0 || strcmp(name, "species") == 0 ||
	    pn_model_find_column(model, name))
		return pn_error_set(err, PN_EEXIST, "column %s is there already", name);
	struct pn_model_column *column = model_column_append(model, name, type, components);
	if (!column)
		return pn_error_set(err, PN_ENOMEM, "column %s: no memory for %zu atoms", name,
				    model->count);
	if (out)
		*out = column;
	return PN_OK;
}

struct pn_model_column *pn_model_find_column(const struct pn_model *model, const char *name)
{
	for (size_t i = 0; i < model->columns_count; i++)
		if (strcmp(model->columns[i].name, name) == 0)
			return &model->columns[i];
	return NULL;
}

int pn_model_set_comment(struct pn_model *model, const char *text, struct pn_error *err)
{
	char *copy = NULL;

	if (text && *text) {
		if (strpbrk(text, "\r\n"))
			return pn_error_set(err, PN_EARG, "a comment is one line");
		copy = strdup(text);
		if (!copy)
			return pn_error_set(err, PN_ENOMEM, "comment: no memory");
	}
	free(model->comment);
	model->comment = copy;
	return PN_OK;
}

/* ---- atoms --------------------------------------------------------------------------------- */

int model_element(const char *symbol, size_t length)
{
	char name[3] = { 0 };

	if (length < 1 || length > 2)
		return 0;
	name[0] = (char)toupper((unsigned char)symbol[0]);
	if (length > 1)
		name[1] = (char)tolower((unsigned char)symbol[1]);
	return pn_element_of_symbol(name);
}

int model_check_atom(const struct pn_model *model, size_t i, int element_min, const char *path,
		     struct pn_error *err)
{
	const double *r = model->position_A[i];

	if (!isfinite(r[0]) || !isfinite(r[1]) || !isfinite(r[2]))
		return pn_error_set(err, PN_EARG, "%s: atom %zu is at %g %g %g A", path, i + 1,
				    r[0], r[1], r[2]);
	if (model->element[i] < element_min || model->element[i] > PN_ELEMENT_Z_MAX)
		return pn_error_set(err, PN_EARG, "%s: atom %zu: no element has the number %d",
				    path, i + 1, model->element[i]);
	return PN_OK;
}

/* ---- files --------------------------------------------------------------------------------- */

static const struct {
	const char *extension;
	int (*read)(struct pn_model **models, size_t *frames, const char *path,
		    struct pn_error *err);
} formats[] = {
	{ ".xyz", pn_xyz_read },
	{ ".extxyz", pn_xyz_read },
	{ ".pdb", pn_pdb_read },
	{ ".ent", pn_pdb_read },
};

int pn_model_open(struct pn_model **models, size_t *frames, const char *path, struct pn_error *err)
{
	const char *slash = strrchr(path, '/');
	const char *dot = strrchr(slash ? slash : path, '.');

	*models = NULL;
	*frames = 0;
	for (size_t i = 0; dot && i < PN_COUNT(formats); i++)
		if (strcasecmp(dot, formats[i].extension) == 0)
			return formats[i].read(models, frames, path, err);
	return pn_error_set(err, PN_EUNSUPPORTED,
			    "%s: models are read from .xyz, .extxyz, .pdb and .ent files", path);
}
