/* SPDX-License-Identifier: GPL-3.0-or-later */
/* report.c - the page from its top to its bottom, and into a file. */
#include "report.h"
#include "html.h"
#include "page.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* Scripts and styles stand in the page; whatever else it might ask for is refused. */
static const char policy[] = "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src "
			     "'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
			     "img-src data:\"/>\n";

static struct report_buffer *buffers(struct report *report, int i)
{
	struct report_buffer *all[] = { &report->title, &report->head, &report->contents,
					&report->body, &report->footer };

	return i < PN_COUNT(all) ? all[i] : NULL;
}

static void put_facts(FILE *out, const struct report_header *header)
{
	if (!header->facts_count)
		return;
	fputs("<dl class=\"facts\">\n", out);
	for (size_t i = 0; i < header->facts_count; i++) {
		fputs("<div><dt>", out);
		report_put_text(out, header->facts[i].label);
		fputs("</dt><dd>", out);
		report_put_text(out, header->facts[i].text);
		fputs("</dd></div>\n", out);
	}
	fputs("</dl>\n", out);
}

int report_create(struct report **out, const struct report_header *header, struct pn_error *err)
{
	struct report *report = calloc(1, sizeof *report);
	int failed = !report;
	struct report_buffer *buffer;

	*out = NULL;
	for (int i = 0; report && (buffer = buffers(report, i)); i++) {
		buffer->out = open_memstream(&buffer->text, &buffer->count);
		failed |= !buffer->out;
	}
	if (failed) {
		report_free(report);
		return pn_error_set(err, PN_ENOMEM, "no memory for a report");
	}
	report_put_text(report->title.out, header->title);
	fputs("<h1>", report->head.out);
	report_put_text(report->head.out, header->title);
	fputs("</h1>\n", report->head.out);
	if (header->subtitle) {
		fputs("<p class=\"subtitle\">", report->head.out);
		report_put_text(report->head.out, header->subtitle);
		fputs("</p>\n", report->head.out);
	}
	put_facts(report->head.out, header);
	report_put_text(report->footer.out, header->footer);
	*out = report;
	return PN_OK;
}

void report_free(struct report *report)
{
	struct report_buffer *buffer;

	for (int i = 0; report && (buffer = buffers(report, i)); i++) {
		if (buffer->out)
			fclose(buffer->out);
		free(buffer->text);
	}
	free(report);
}

FILE *report_part(struct report *report)
{
	if (report->error.code)
		return NULL;
	if (report->in_figures)
		fputs("</div>\n", report->body.out);
	report->in_figures = 0;
	return report->body.out;
}

FILE *report_figure(struct report *report)
{
	if (report->error.code)
		return NULL;
	if (!report->in_figures)
		fputs("<div class=\"figures\">\n", report->body.out);
	report->in_figures = 1;
	return report->body.out;
}

void report_section(struct report *report, const char *title, const char *introduction)
{
	FILE *out = report_part(report);

	if (!out)
		return;
	if (report->in_section)
		fputs("</section>\n", out);
	report->in_section = 1;
	fprintf(out, "<section id=\"s%u\">\n<h2>", ++report->sections);
	report_put_text(out, title);
	fputs("</h2>\n", out);
	fprintf(report->contents.out, "<a href=\"#s%u\">", report->sections);
	report_put_text(report->contents.out, title);
	fputs("</a>\n", report->contents.out);
	if (introduction) {
		fputs("<p class=\"introduction\">", out);
		report_put_text(out, introduction);
		fputs("</p>\n", out);
	}
}

/* ---- the file ------------------------------------------------------------------------------ */

static void put_buffer(FILE *out, const struct report_buffer *buffer)
{
	fwrite(buffer->text, 1, buffer->count, out);
}

static void put_asset(FILE *out, const char *before, enum report_asset_name name, const char *after)
{
	struct report_asset asset = report_asset(name);

	fputs(before, out);
	fwrite(asset.text, 1, (size_t)(asset.end - asset.text), out);
	fputs(after, out);
}

static void put_scripts(FILE *out, const struct report *report)
{
	put_asset(out, "<script>\n", REPORT_PAGE_JS, "</script>\n");
	if (!report->views)
		return;
	put_asset(out, "<!--\n", REPORT_THREE_LICENSE, "-->\n");
	put_asset(out, "<script>", REPORT_THREE_JS, "</script>\n");
	put_asset(out, "<script>\n", REPORT_COLORS_JS, "</script>\n");
	put_asset(out, "<script>\n", REPORT_PAINT_JS, "</script>\n");
	put_asset(out, "<script>\n", REPORT_VIEW_JS, "</script>\n");
	put_asset(out, "<script>\n", REPORT_LEGEND_JS, "</script>\n");
	put_asset(out, "<script>\n", REPORT_MODELS_JS, "</script>\n");
}

static void put_page(FILE *out, const struct report *report)
{
	fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n", out);
	fputs(policy, out);
	fputs("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
	      "<meta name=\"color-scheme\" content=\"light dark\"/>\n"
	      "<meta name=\"generator\" content=\"Perrin " PERRIN_VERSION "\"/>\n<title>",
	      out);
	put_buffer(out, &report->title);
	fputs("</title>\n", out);
	put_asset(out, "<style>\n", REPORT_STYLE, "</style>\n");
	fputs("</head>\n<body>\n<header>\n", out);
	put_buffer(out, &report->head);
	fputs("</header>\n", out);
	if (report->sections > 1) {
		fputs("<nav>\n", out);
		put_buffer(out, &report->contents);
		fputs("</nav>\n", out);
	}
	fputs("<main>\n", out);
	put_buffer(out, &report->body);
	fprintf(out, "%s%s</main>\n<footer>", report->in_figures ? "</div>\n" : "",
		report->in_section ? "</section>\n" : "");
	put_buffer(out, &report->footer);
	fputs("</footer>\n", out);
	put_scripts(out, report);
	fputs("</body>\n</html>\n", out);
}

static int write_failed(const char *fresh, const char *path, int number, struct pn_error *err)
{
	if (fresh != path)
		unlink(fresh);
	return pn_error_errno(err, number, "%s: cannot write the report", path);
}

int report_write(struct report *report, const char *path, struct pn_error *err)
{
	char beside[PATH_MAX];
	struct report_buffer *buffer;
	struct stat st;

	for (int i = 0; !report->error.code && (buffer = buffers(report, i)); i++)
		if (fflush(buffer->out) || ferror(buffer->out))
			pn_error_set(&report->error, PN_ENOMEM, "no memory for the report");
	if (report->error.code)
		return pn_error_set(err, report->error.code, "%s", report->error.text);
	if (snprintf(beside, sizeof beside, "%s.%ld.new", path, (long)getpid()) >= sizeof beside)
		return pn_error_set(err, PN_EARG, "path of %zu bytes and more is too long",
				    sizeof beside);
	/* a page that took the name of a device would remove it */
	const char *fresh = stat(path, &st) == 0 && !S_ISREG(st.st_mode) ? path : beside;
	FILE *out = fopen(fresh, "we");

	if (!out)
		return pn_error_errno(err, errno, "%s: cannot write the report", path);
	put_page(out, report);
	/* on disk before it takes the name: the name never stands for half a page */
	if (fflush(out) || (fsync(fileno(out)) && (fresh != path || errno != EINVAL))) {
		int number = errno;

		fclose(out);
		return write_failed(fresh, path, number, err);
	}
	if (fclose(out) || (fresh != path && rename(fresh, path)))
		return write_failed(fresh, path, errno, err);
	return PN_OK;
}
