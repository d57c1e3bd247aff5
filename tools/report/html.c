/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "html.h"

#include <stdint.h>
#include <string.h>

/* The bytes of the UTF-8 character at @s; 0 if there is none. XML wants no U+FFFE and U+FFFF. */
static size_t utf8_length(const unsigned char *s)
{
	if (s[0] < 0x80)
		return 1;
	size_t length = s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : 2;
	uint32_t code = s[0] & (0xffu >> (length + 1));
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };

	if (s[0] < 0xc2 || s[0] > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if ((s[i] & 0xc0) != 0x80) /* the final NUL is none either */
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < least[length] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000) ||
	    code == 0xfffe || code == 0xffff)
		return 0;
	return length;
}

void report_put_text(FILE *out, const char *text)
{
	const unsigned char *s = (const unsigned char *)text;

	for (; s && *s; s++) {
		size_t length = utf8_length(s);

		if (*s == '&')
			fputs("&amp;", out);
		else if (*s == '<')
			fputs("&lt;", out);
		else if (*s == '>')
			fputs("&gt;", out);
		else if (*s == '"')
			fputs("&quot;", out);
		else if (*s == '\'')
			fputs("&#39;", out);
		else if (!length || (*s < 0x20 && *s != '\n' && *s != '\t') || *s == 0x7f)
			fputs("\xef\xbf\xbd", out);
		else {
			fwrite(s, 1, length, out);
			s += length - 1;
		}
	}
}

void report_put_json(FILE *out, const char *json, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		unsigned char c = (unsigned char)json[i];
		size_t length = utf8_length((const unsigned char *)json + i);

		if (c == '<' || c == '>' || c == '&')
			fprintf(out, "\\u%04x", c);
		else if (!length)
			fputs("\xef\xbf\xbd", out);
		else {
			fwrite(json + i, 1, length, out);
			i += length - 1;
		}
	}
}

void report_put_base64(FILE *out, const void *bytes, size_t count)
{
	static const char digit[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *s = bytes;
	char text[4096];
	size_t used = 0;

	for (size_t i = 0; i < count; i += 3) {
		uint32_t three = (uint32_t)s[i] << 16;

		three |= i + 1 < count ? (uint32_t)s[i + 1] << 8 : 0;
		three |= i + 2 < count ? s[i + 2] : 0;
		text[used++] = digit[three >> 18];
		text[used++] = digit[three >> 12 & 63];
		text[used++] = i + 1 < count ? digit[three >> 6 & 63] : '=';
		text[used++] = i + 2 < count ? digit[three & 63] : '=';
		if (used == sizeof text) {
			fwrite(text, 1, used, out);
			used = 0;
		}
	}
	fwrite(text, 1, used, out);
}

size_t report_text_length(const char *text)
{
	const unsigned char *s = (const unsigned char *)text;
	size_t count = 0;

	for (; s && *s; s++) {
		int continues = (*s & 0xc0) == 0x80;
		int combines = *s == 0xcc || (*s == 0xcd && s[1] < 0xb0); /* U+0300..036F */

		count += !continues && !combines;
	}
	return count;
}
