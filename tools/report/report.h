/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report/report.h - one HTML page with figures, tables, plots and models that can be turned. */
#ifndef PERRIN_TOOLS_REPORT_H
#define PERRIN_TOOLS_REPORT_H

#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

/*
 * A page is written from top to bottom: report_create, then for each section report_section and
 * what stands in it, then report_write and report_free. It is one file that needs nothing else and
 * asks the network for nothing; its Content-Security-Policy forbids both.
 *
 * Every call turns what it is given into text at once: nothing is borrowed after it returns. Texts
 * are UTF-8 and plain: they are escaped here, for HTML, SVG and JSON alike; bytes that are not
 * UTF-8 and control characters become U+FFFD. A NULL text is an empty one unless a comment says
 * otherwise.
 *
 * Errors: the calls between create and write return nothing. The first error stays with the page
 * (PN_ENOMEM; PN_EARG with the title of the part and the numbers), the calls after it do nothing,
 * and report_write returns it. NaN is "no value" everywhere and leaves a gap.
 *
 * Thread: one page, one thread; pages are independent. Cost: 50 MB of page per second and more.
 */
struct report;

/** A label and what it says: "Atoms", "314, 264, 236". */
struct report_fact {
	const char *label, *text;
};

/** The top of the page. Arrays are borrowed during the call only. */
struct report_header {
	const char *title;               /* the particle; also the title of the window */
	const char *subtitle;            /* one sentence */
	const struct report_fact *facts; /* times, atoms, element, source, date, ... */
	size_t facts_count;
	const char *footer; /* how it was made: program, version, parameters, hashes of the input */
};

/** report_create - begin a page. Errors: PN_ENOMEM. Caller frees. */
int report_create(struct report **report, const struct report_header *header, struct pn_error *err);

/** report_section - a heading, an entry in the list of contents, and a sentence that introduces. */
void report_section(struct report *report, const char *title, const char *introduction);

/** report_text - a paragraph: method, remark, warning. */
void report_text(struct report *report, const char *text);

/** One figure that matters: "Atoms lost" "78" "of 314" "5.2 per s". */
struct report_card {
	const char *label, *value, *unit;
	const char *note; /* small, below */
};

/** report_cards - a row of cards, wrapped where the page is narrow. */
void report_cards(struct report *report, const struct report_card *cards, size_t count);

/**
 * A table of texts. @align has a letter per column: 'l' left, 'r' right, 'c' middle; '.' right with
 * figures of equal width, for numbers of the same precision. NULL: first column left, others '.'.
 * A NULL cell shows a dash.
 */
struct report_table {
	const char *title, *caption;
	const char *const *header; /* [columns] */
	size_t columns;
	const char *const *cells; /* [rows][columns] */
	size_t rows;
	const char *align; /* [columns] letters */
};

void report_table(struct report *report, const struct report_table *table);

/* ---- plots --------------------------------------------------------------------------------- */

enum report_series_kind {
	REPORT_LINE,   /* y over x; error bars if `error` is given */
	REPORT_POINTS, /* the same without the line */
	REPORT_MARKED, /* line and points */
	REPORT_BARS,   /* from 0 to y at x, or at category 0, 1, ... where x is NULL */
	REPORT_STEPS,  /* histogram: y[i] from edge x[i] to x[i + 1]; x has count + 1 values */
	REPORT_HLINE,  /* a horizontal line at each y */
	REPORT_VLINE,  /* a vertical line at each x */
	REPORT_MARKS,  /* a cross at (x, y), labels[i] beside it */
	REPORT_MAP,    /* 2D histogram of (x, y) on map_bins squared bins over the axes */
};

#define REPORT_COLORS 8 /* the palette of Okabe and Ito, grey for black */

/**
 * One series. All arrays have `count` values. Values that are infinite, beyond 1e200, not above 0
 * on a logarithmic axis, or outside fixed axes are not drawn; the lower left corner tells how many.
 */
struct report_series {
	const char *name; /* in the legend; NULL: not there */
	int kind;         /* enum report_series_kind */
	int color;        /* 1..REPORT_COLORS; 0: the place among the series */
	int dashed;
	size_t count;
	const double *x, *y;
	const double *error; /* half the length of the bar along y: s.d.; NULL: none */
	double offset;       /* added to every y: curves above each other, labelled at their ends */
	const char *const *labels; /* of REPORT_MARKS */
	size_t map_bins;           /* along each axis; 0: 50 */
	int map_log;               /* shades by log10 of the count */
};

/** An axis. Where min = max = 0 or NaN the data say; a fixed log axis has 0 < min < max. */
struct report_axis {
	const char *title; /* with its unit: "Depth (A)" */
	double min, max;
	int log;
	int hide_labels; /* arbitrary units: ticks without numbers */
	const char *const
		*categories; /* names instead of numbers; the axis has one place for each */
	size_t categories_count;
};

struct report_plot {
	const char *title, *caption;
	struct report_axis x, y;
	const struct report_series *series;
	size_t series_count;
	int stacked;             /* bars stand on each other instead of side by side */
	int wide;                /* the whole width of the page instead of half of it */
	const char *color_title; /* of the bar beside a REPORT_MAP; NULL: "Atoms per bin" */
};

/** report_plot - a figure; figures that follow each other stand side by side where there is room.
 */
void report_plot(struct report *report, const struct report_plot *plot);

/** Small multiples: plots of one kind in a grid, as one figure. */
struct report_panels {
	const char *title, *caption;
	const struct report_plot *plots; /* captions are not shown */
	size_t count;
	size_t columns;       /* 0: 3 */
	int share_x, share_y; /* one range for all */
};

void report_panels(struct report *report, const struct report_panels *panels);

/**
 * report_svg - one plot as an SVG image that stands alone. @width and @height in pixels at a text
 * size of 12 px; at least 160 and 120. Errors: PN_EARG (no array where a count says there are some
 * values, log axis with min <= 0, min > max, unknown kind or color, map_bins > 1000). Write errors
 * stay with @out.
 */
int report_svg(FILE *out, const struct report_plot *plot, double width, double height,
	       struct pn_error *err);

/* ---- models -------------------------------------------------------------------------------- */

enum report_kind { REPORT_NUMBER, REPORT_CLASS };

#define REPORT_LABELS_MAX 255

/** What is known of each atom; the same list for all models. */
struct report_column {
	const char *name, *unit, *brief;
	int kind;                  /* enum report_kind */
	const char *const *labels; /* of the classes; at most REPORT_LABELS_MAX */
	size_t labels_count;
};

struct report_model {
	const char *name;
	double time_s; /* NaN: none */
	size_t atoms;
	const double (*position_A)[3];
	const uint8_t *element;      /* atomic numbers; 0: unknown */
	const uint32_t *id;          /* NULL: 0, 1, 2, ... */
	const double *const *values; /* [columns][atoms]; NaN: none; of classes the index */
};

/** Models side by side in time, turned together. */
struct report_views {
	const char *title, *caption;
	const struct report_column *columns;
	size_t columns_count;
	const struct report_model *models;
	size_t models_count;
	const char *color_by; /* name of a column; NULL: elements */
};

/**
 * report_views - a view of each model: turned, moved and zoomed together, colored by a column or by
 * element, cut by a plane; an atom under the pointer tells its values, a click keeps them.
 *
 * Drawn by WebGL (three.js), or by the page's own renderer where that is missing or slow; both show
 * the same. "#webgl" or "#canvas" at the end of the address chooses one. Models that lie over each
 * other keep their common frame, others are shown each about its own middle.
 *
 * Positions and numbers are kept as float32, classes as a byte: 13 bytes per atom and 4 or 1 per
 * column, 4/3 of that in the page. Models without atoms are fine, as are atoms at the same place.
 *
 * Errors: PN_EARG: a position that is not finite, a class that is no index, too many labels.
 */
void report_views(struct report *report, const struct report_views *views);

/* -------------------------------------------------------------------------------------------- */

/**
 * report_write - finish the page as a file. A file of that name is replaced at once or not at all;
 * what is there and no regular file (a device) is written in place. The page may be added to and
 * written again.
 *
 * Errors: the first one of the page; PN_EIO, PN_ENOENT, PN_EPERM, PN_ENOSPC.
 */
int report_write(struct report *report, const char *path, struct pn_error *err);

/** report_free - NULL is fine. */
void report_free(struct report *report);

#endif
