/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "text.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

char *pn_text_bytes(char buf[PN_TEXT_SHORT], double bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
	unsigned unit = 0;

	/* 1023.95 would be written as 1024.0 */
	while (bytes >= (unit ? 1023.95 : 1024) && unit + 1 < PN_COUNT(units)) {
		bytes /= 1024;
		unit++;
	}
	snprintf(buf, PN_TEXT_SHORT, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
	return buf;
}

char *pn_text_duration(char buf[PN_TEXT_SHORT], int64_t duration_ns)
{
	double s = (double)duration_ns / 1e9;
	long long whole = llround(s);

	if (fabs(s) < 60)
		snprintf(buf, PN_TEXT_SHORT, "%.2f s", s);
	else if (whole < 3600)
		snprintf(buf, PN_TEXT_SHORT, "%lld min %02lld s", whole / 60, whole % 60);
	else
		snprintf(buf, PN_TEXT_SHORT, "%lld h %02lld min", whole / 3600, whole / 60 % 60);
	return buf;
}

char *pn_text_rate(char buf[PN_TEXT_SHORT], double per_s)
{
	if (per_s >= 1e6)
		snprintf(buf, PN_TEXT_SHORT, "%.2fM", per_s / 1e6);
	else if (per_s >= 1e4)
		snprintf(buf, PN_TEXT_SHORT, "%.1fk", per_s / 1e3);
	else
		snprintf(buf, PN_TEXT_SHORT, per_s >= 100 || per_s == 0 ? "%.0f" : "%.1f", per_s);
	return buf;
}

char *pn_text_fixed(char buf[PN_TEXT_SHORT], double value, int digits)
{
	if (isnan(value))
		snprintf(buf, PN_TEXT_SHORT, "-");
	else
		snprintf(buf, PN_TEXT_SHORT, "%.*f", digits, value);
	return buf;
}

int pn_text_append(char *buf, size_t size, const char *text, struct pn_error *err)
{
	size_t used = strlen(buf);

	if (used + strlen(text) >= size)
		return pn_error_set(err, PN_EARG, "%.200s...: longer than %zu bytes", buf,
				    size - 1);
	strcpy(buf + used, text);
	return PN_OK;
}

int pn_text_escape(char *uri, size_t size, const char *text, struct pn_error *err)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;
		char piece[4];
		/* what RFC 3986 leaves unreserved, and the slash that makes paths readable */
		int plain = (isascii(c) && isalnum(c)) || strchr("-._~/", c);

		snprintf(piece, sizeof piece, plain ? "%c" : "%%%02X", c);
		int rc = pn_text_append(uri, size, piece, err);
		if (rc)
			return rc;
	}
	return PN_OK;
}
