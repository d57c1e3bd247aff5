/* SPDX-License-Identifier: GPL-3.0-or-later */
/* html.h - texts and arrays on their way into a page. */
#ifndef PERRIN_TOOLS_REPORT_HTML_H
#define PERRIN_TOOLS_REPORT_HTML_H

#include <stddef.h>
#include <stdio.h>

/**
 * report_put_text - plain text as HTML or XML, in an element or a quoted attribute. What is not
 * UTF-8, and control characters other than tab and newline, become U+FFFD. NULL: nothing.
 */
void report_put_text(FILE *out, const char *text);

/**
 * report_put_json - finished JSON as the content of a script element: < > & become \u003c and so
 * on, so that no text ends the element. They stand in strings only, as what is not UTF-8 does,
 * which becomes U+FFFD.
 */
void report_put_json(FILE *out, const char *json, size_t count);

/** report_put_base64 - without line breaks. */
void report_put_base64(FILE *out, const void *bytes, size_t count);

/** report_text_length - characters of @text that take room; combining ones take none. */
size_t report_text_length(const char *text);

#endif
