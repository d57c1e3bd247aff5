/* SPDX-License-Identifier: GPL-3.0-or-later */
/* page.h - a page under way, and the files that are built into it. */
#ifndef PERRIN_TOOLS_REPORT_PAGE_H
#define PERRIN_TOOLS_REPORT_PAGE_H

#include "report.h"

/** A growing text in memory. */
struct report_buffer {
	FILE *out;
	char *text;
	size_t count;
};

struct report {
	struct pn_error error;      /* the first one */
	struct report_buffer title; /* escaped */
	struct report_buffer head, contents, body, footer;
	unsigned sections, views;
	int in_section, in_figures; /* elements that are open in the body */
};

/** report_part - close the figures that stand side by side; the body, or NULL after an error. */
FILE *report_part(struct report *report);

/** report_figure - as report_part, but stay in the row of figures, or begin one. */
FILE *report_figure(struct report *report);

/** A file of the page as it is in the program: text, without a final NUL. */
struct report_asset {
	const char *text, *end;
};

/** report_asset - style, scripts, the three.js library and its license, in this order. */
enum report_asset_name {
	REPORT_STYLE,
	REPORT_PAGE_JS,
	REPORT_COLORS_JS,
	REPORT_PAINT_JS,
	REPORT_VIEW_JS,
	REPORT_LEGEND_JS,
	REPORT_MODELS_JS,
	REPORT_THREE_JS,
	REPORT_THREE_LICENSE,
	REPORT_ASSETS
};
struct report_asset report_asset(enum report_asset_name name);

#endif
