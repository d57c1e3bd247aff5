/* SPDX-License-Identifier: GPL-3.0-or-later */
/* models.c - atoms and what is known of them, as view.js reads it. */
#include "html.h"
#include "page.h"
#include "perrin/base/element.h"
#include "perrin/base/json.h"

#include <math.h>
#include <stdlib.h>

#define NO_CLASS 255 /* in the bytes of a class column */

/* ---- checks -------------------------------------------------------------------------------- */

static int check_class(const struct report_column *column, const struct report_model *model,
		       const double *value, struct pn_error *err)
{
	for (size_t i = 0; i < model->atoms; i++)
		if (!isnan(value[i]) && !(value[i] >= 0 && value[i] < column->labels_count &&
					  value[i] == floor(value[i])))
			return pn_error_set(err, PN_EARG,
					    "model \"%s\": column \"%s\": atom %zu has class %g "
					    "of %zu",
					    model->name ? model->name : "", column->name, i,
					    value[i], column->labels_count);
	return PN_OK;
}

static int check_model(const struct report_views *views, const struct report_model *model,
		       struct pn_error *err)
{
	const char *name = model->name ? model->name : "";

	if (model->atoms &&
	    (!model->position_A || !model->element || (views->columns_count && !model->values)))
		return pn_error_set(err, PN_EARG,
				    "model \"%s\": %zu atoms, but an array is missing", name,
				    model->atoms);
	for (size_t i = 0; i < model->atoms; i++)
		for (int k = 0; k < 3; k++)
			if (!(fabs(model->position_A[i][k]) < 1e6))
				return pn_error_set(
					err, PN_EARG, "model \"%s\": atom %zu is at %g, %g, %g A",
					name, i, model->position_A[i][0], model->position_A[i][1],
					model->position_A[i][2]);
	for (size_t c = 0; c < views->columns_count && model->atoms; c++) {
		int rc = PN_OK;

		if (!model->values[c])
			return pn_error_set(err, PN_EARG, "model \"%s\": no values of column %zu",
					    name, c);
		if (views->columns[c].kind == REPORT_CLASS)
			rc = check_class(&views->columns[c], model, model->values[c], err);
		if (rc)
			return rc;
	}
	return PN_OK;
}

static int check_views(const struct report_views *views, struct pn_error *err)
{
	for (size_t c = 0; c < views->columns_count; c++) {
		const struct report_column *column = &views->columns[c];

		if (!column->name)
			return pn_error_set(err, PN_EARG, "column %zu has no name", c);
		if (column->kind == REPORT_CLASS && column->labels_count > REPORT_LABELS_MAX)
			return pn_error_set(err, PN_EARG, "column \"%s\": %zu classes, at most %d",
					    column->name, column->labels_count, REPORT_LABELS_MAX);
		if (column->kind != REPORT_CLASS && column->kind != REPORT_NUMBER)
			return pn_error_set(err, PN_EARG, "column \"%s\": no kind %d", column->name,
					    column->kind);
	}
	for (size_t m = 0; m < views->models_count; m++) {
		int rc = check_model(views, &views->models[m], err);

		if (rc)
			return rc;
	}
	return PN_OK;
}

/* ---- arrays -------------------------------------------------------------------------------- */

/* An array as text of an element that is not run: view.js finds it by "<views>-<model>-<what>". */
static void put_array(FILE *out, unsigned id, size_t model, const char *what, const void *bytes,
		      size_t count)
{
	fprintf(out, "<script type=\"text/plain\" id=\"v%u-%zu-%s\">", id, model, what);
	report_put_base64(out, bytes, count);
	fputs("</script>\n", out);
}

/* Numbers beyond float32 end at its largest value: views show that they are off the scale. */
static float narrow(double value)
{
	return value > 3e38 ? 3e38f : value < -3e38 ? -3e38f : (float)value;
}

static void put_column(FILE *out, unsigned id, size_t m, const struct report_views *views, size_t c,
		       void *scratch)
{
	const struct report_model *model = &views->models[m];
	const double *value = model->values[c];
	int number = views->columns[c].kind == REPORT_NUMBER;
	char what[32];

	for (size_t i = 0; i < model->atoms; i++)
		if (number)
			((float *)scratch)[i] = narrow(value[i]);
		else
			((uint8_t *)scratch)[i] = isnan(value[i]) ? NO_CLASS : (uint8_t)value[i];
	snprintf(what, sizeof what, "c%zu", c);
	put_array(out, id, m, what, scratch, model->atoms * (number ? sizeof(float) : 1));
}

static int put_model(FILE *out, unsigned id, size_t m, const struct report_views *views,
		     struct pn_error *err)
{
	const struct report_model *model = &views->models[m];
	float *scratch = malloc(3 * sizeof *scratch * model->atoms + 1);

	if (!scratch)
		return pn_error_set(err, PN_ENOMEM, "model \"%s\": %zu atoms",
				    model->name ? model->name : "", model->atoms);
	for (size_t i = 0; i < model->atoms; i++)
		for (int k = 0; k < 3; k++)
			scratch[3 * i + (size_t)k] = (float)model->position_A[i][k];
	put_array(out, id, m, "position", scratch, 3 * sizeof *scratch * model->atoms);
	put_array(out, id, m, "element", model->element, model->atoms);
	if (model->id)
		put_array(out, id, m, "id", model->id, sizeof *model->id * model->atoms);
	for (size_t c = 0; c < views->columns_count && model->atoms; c++)
		put_column(out, id, m, views, c, scratch);
	free(scratch);
	return PN_OK;
}

/* ---- what the arrays are ------------------------------------------------------------------- */

static void put_columns_json(struct pn_json *json, const struct report_views *views)
{
	pn_json_array(json, "columns");
	for (size_t c = 0; c < views->columns_count; c++) {
		const struct report_column *column = &views->columns[c];

		pn_json_object(json, NULL);
		pn_json_text(json, "name", column->name);
		pn_json_text(json, "unit", column->unit ? column->unit : "");
		pn_json_text(json, "brief", column->brief ? column->brief : "");
		if (column->kind == REPORT_CLASS) {
			pn_json_array(json, "labels");
			for (size_t i = 0; i < column->labels_count; i++)
				pn_json_text(json, NULL,
					     column->labels[i] ? column->labels[i] : "");
			pn_json_end(json);
		}
		pn_json_end(json);
	}
	pn_json_end(json);
}

static void put_models_json(struct pn_json *json, const struct report_views *views)
{
	int used[256] = { 0 };

	pn_json_array(json, "models");
	for (size_t m = 0; m < views->models_count; m++) {
		const struct report_model *model = &views->models[m];

		pn_json_object(json, NULL);
		pn_json_text(json, "name", model->name ? model->name : "");
		pn_json_f64(json, "time_s", model->time_s);
		pn_json_u64(json, "atoms", model->atoms);
		pn_json_bool(json, "ids", model->id != NULL);
		pn_json_end(json);
		for (size_t i = 0; i < model->atoms; i++)
			used[model->element[i]] = 1;
	}
	pn_json_end(json);
	pn_json_object(json, "elements");
	for (int z = 0; z < 256; z++) {
		const char *symbol = pn_element_symbol(z);
		char number[8];

		snprintf(number, sizeof number, "%d", z);
		if (used[z])
			pn_json_text(json, number, symbol ? symbol : "?");
	}
	pn_json_end(json);
}

static void put_manifest(FILE *out, unsigned id, const struct report_views *views,
			 struct pn_error *err)
{
	struct report_buffer text = { 0 };
	struct pn_json json;

	text.out = open_memstream(&text.text, &text.count);
	if (!text.out) {
		pn_error_set(err, PN_ENOMEM, "no memory for a list of models");
		return;
	}
	pn_json_init(&json, text.out, 0);
	pn_json_object(&json, NULL);
	pn_json_text(&json, "color_by", views->color_by);
	put_columns_json(&json, views);
	put_models_json(&json, views);
	pn_json_end(&json);
	if (fclose(text.out))
		pn_error_set(err, PN_ENOMEM, "no memory for a list of models");
	fprintf(out, "<script type=\"application/json\" id=\"v%u\">", id);
	report_put_json(out, text.text, text.count);
	fputs("</script>\n", out);
	free(text.text);
}

void report_views(struct report *report, const struct report_views *views)
{
	FILE *out = report_part(report);

	if (!out)
		return;
	if (check_views(views, &report->error)) {
		pn_error_wrap(&report->error, "views \"%s\"", views->title ? views->title : "");
		return;
	}
	unsigned id = ++report->views;

	fputs("<figure class=\"figure wide\">\n", out);
	if (views->title) {
		fputs("<h3>", out);
		report_put_text(out, views->title);
		fputs("</h3>\n", out);
	}
	fprintf(out,
		"<div class=\"views\" data-views=\"v%u\"><noscript>The models are drawn by a "
		"script, and scripts are off.</noscript></div>\n",
		id);
	if (views->caption) {
		fputs("<figcaption>", out);
		report_put_text(out, views->caption);
		fputs("</figcaption>\n", out);
	}
	fputs("</figure>\n", out);
	put_manifest(out, id, views, &report->error);
	for (size_t m = 0; m < views->models_count && !report->error.code; m++)
		put_model(out, id, m, views, &report->error);
}
