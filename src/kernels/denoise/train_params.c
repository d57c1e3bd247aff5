/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "train_params.h"

#include "perrin/denoise/train.h"
#include "sample.h"

#include <stdio.h>
#include <string.h>

/* clang-format off */
#define OFF(field) offsetof(struct pn_train_settings, field)
#define NUMBER(field, unit_, def_, min_, max_, help_)                                            \
	{ .name = #field, .unit = unit_, .help = help_, .type = PN_PARAM_F64, .off = OFF(field), \
	  .def = def_, .min = min_, .max = max_ }
#define WHOLE(field, unit_, def_, min_, max_, help_)                                             \
	{ .name = #field, .unit = unit_, .help = help_, .type = PN_PARAM_I64, .off = OFF(field), \
	  .def = def_, .min = min_, .max = max_ }

const struct pn_param pn_train_params[] = {
	WHOLE(crop_px, "px", 96, PN_CUT_MIN_PX, 1024,
	      "side of the pieces cut out of the images; memory goes with its square"),
	WHOLE(batch, NULL, 16, 1, 1024, "windows in a step, in whole clips"),
	WHOLE(targets, NULL, 4, 1, 64,
	      "windows that follow each other in a clip: with shared branches each is cheaper"),
	WHOLE(steps, NULL, 2000, 0, 1e12, "length of the training; 0: no end, the rate stays"),
	WHOLE(warmup, NULL, 100, 0, 1e12, "steps in which the rate rises"),
	NUMBER(rate, NULL, 1e-3, 1e-9, 1, "learning rate after the warm-up"),
	NUMBER(rate_end, NULL, 1e-5, 0, 1, "learning rate at the last step"),
	NUMBER(average, NULL, 0.99, 0, 0.999999,
	       "share of the old in the running mean of the parameters; 0: no mean"),
	WHOLE(seed, NULL, 1, 0, 0, "names all random numbers of the training"),
	{ 0 },
};
/* clang-format on */

enum { LINE_MAX_BYTES = 128 };

static int line_of(const struct pn_param *row, const void *base, char *line)
{
	char value[LINE_MAX_BYTES / 2];

	return snprintf(line, LINE_MAX_BYTES, "%s %s\n", row->name,
			pn_param_text(row, base, value, sizeof value));
}

int pn_rows_check(const struct pn_param *table, const void *base, struct pn_error *err)
{
	char value[LINE_MAX_BYTES], unused[sizeof(double)];
	int rc = PN_OK;

	for (const struct pn_param *row = table; row->name && !rc; row++) {
		struct pn_param alone[] = { *row, { 0 } };

		alone[0].off = 0;
		pn_param_text(row, base, value, sizeof value);
		rc = pn_param_set(alone, unused, row->name, value, err);
	}
	return rc;
}

int pn_rows_put(const struct pn_param *table, const void *base, struct pn_blob *out)
{
	char line[LINE_MAX_BYTES];
	uint64_t bytes = 0;

	for (const struct pn_param *row = table; row->name; row++)
		bytes += (uint64_t)line_of(row, base, line);
	int rc = pn_blob_put(out, &bytes, sizeof bytes);
	for (const struct pn_param *row = table; row->name && !rc; row++)
		rc = pn_blob_put(out, line, (size_t)line_of(row, base, line));
	return rc;
}

int pn_rows_same(const struct pn_param *table, const void *base, struct pn_blob_view *view,
		 struct pn_error *err)
{
	size_t left = 0;
	const char *saved = pn_blob_get_part(view, &left);
	char line[LINE_MAX_BYTES];

	for (const struct pn_param *row = table; row->name; row++) {
		size_t bytes = (size_t)line_of(row, base, line);
		const char *end = saved ? memchr(saved, '\n', left) : NULL;

		if (!end)
			return pn_error_set(err, PN_EFORMAT, "the saved training lacks %s",
					    row->name);
		if (bytes != (size_t)(end - saved) + 1 || memcmp(saved, line, bytes))
			return pn_error_set(err, PN_EVERSION, "trained with %.*s, here %.*s",
					    (int)(end - saved), saved, (int)bytes - 1, line);
		left -= bytes;
		saved = end + 1;
	}
	return left ? pn_error_set(err, PN_EVERSION, "saved by another version") : PN_OK;
}
