/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/status.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int pn_error_setv(struct pn_error *err, int code, const char *fmt, va_list ap)
{
	if (err) {
		err->code = code;
		vsnprintf(err->text, sizeof err->text, fmt, ap);
	}
	return code;
}

int pn_error_set(struct pn_error *err, int code, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	pn_error_setv(err, code, fmt, ap);
	va_end(ap);
	return code;
}

static int code_of_errno(int errnum)
{
	switch (errnum) {
	case ENOMEM:
		return PN_ENOMEM;
	case ENOENT:
	case ENOTDIR:
		return PN_ENOENT;
	case EEXIST:
	case ENOTEMPTY:
		return PN_EEXIST;
	case ENOSPC:
	case EDQUOT:
		return PN_ENOSPC;
	case EACCES:
	case EPERM:
	case EROFS:
		return PN_EPERM;
	case ETIMEDOUT:
		return PN_ETIMEOUT;
	default:
		return PN_EIO;
	}
}

int pn_error_errno(struct pn_error *err, int errnum, const char *fmt, ...)
{
	int code = code_of_errno(errnum);
	va_list ap;

	va_start(ap, fmt);
	pn_error_setv(err, code, fmt, ap);
	va_end(ap);
	if (err) {
		size_t used = strlen(err->text);

		snprintf(err->text + used, sizeof err->text - used, ": %s", strerror(errnum));
	}
	return code;
}

int pn_error_wrap(struct pn_error *err, const char *fmt, ...)
{
	char front[PN_ERROR_TEXT_MAX], back[PN_ERROR_TEXT_MAX];
	va_list ap;

	if (!err)
		return PN_EIO;
	va_start(ap, fmt);
	vsnprintf(front, sizeof front, fmt, ap);
	va_end(ap);
	memcpy(back, err->text, sizeof back);
	/* the inner text is cut from its end when both do not fit: the place matters most */
	snprintf(err->text, sizeof err->text, "%.200s: %.300s", front, back);
	return err->code;
}

const char *pn_status_name(int code)
{
	static const char *const names[] = {
		"PN_OK",     "PN_EARG",     "PN_ENOMEM",  "PN_EIO",      "PN_EFORMAT", "PN_EFRAME",
		"PN_EAGAIN", "PN_EEXIST",   "PN_ENOENT",  "PN_ENOSPC",   "PN_EPERM",   "PN_EEND",
		"PN_ECORRUPT", "PN_EVERSION", "PN_ETIMEOUT", "PN_EUNSUPPORTED",
	};

	if (code > 0 || -code >= (int)PN_COUNT(names))
		return "PN_E?";
	return names[-code];
}

void pn_assert_failed(const char *cond, const char *file, int line, const char *func)
{
	fprintf(stderr, "%s:%d: %s: bug: %s does not hold\n", file, line, func, cond);
	abort();
}
