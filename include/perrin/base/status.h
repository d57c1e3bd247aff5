/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/base/status.h - status codes, error texts, assertions. */
#ifndef PERRIN_BASE_STATUS_H
#define PERRIN_BASE_STATUS_H

#include <stdarg.h>
#include <stddef.h>

/**
 * Every function that can fail returns one of these; 0 is success, errors are negative. The numbers
 * are part of the file and wire formats (checkpoints, metrics): never renumber.
 */
enum pn_status {
	PN_OK = 0,
	PN_EARG = -1,         /* the caller's or user's words are off (exit code 2)             */
	PN_ENOMEM = -2,       /* no memory                                                      */
	PN_EIO = -3,          /* the outside world failed                                       */
	PN_EFORMAT = -4,      /* bytes are not what they claim to be                            */
	PN_EFRAME = -5,       /* one bad message: the host counts it and goes on                */
	PN_EAGAIN = -6,       /* not now: nothing to read yet, or no room to write; call again  */
	PN_EEXIST = -7,       /* it is there already                                            */
	PN_ENOENT = -8,       /* it is not there                                                */
	PN_ENOSPC = -9,       /* no space left                                                  */
	PN_EPERM = -10,       /* not allowed                                                    */
	PN_EEND = -11,        /* end of stream, not an error                                    */
	PN_ECORRUPT = -12,    /* a hash does not match                                          */
	PN_EVERSION = -13,    /* made by another version                                        */
	PN_ETIMEOUT = -14,    /* waited long enough                                             */
	PN_EUNSUPPORTED = -15 /* understood, but not something Perrin does                      */
};

#define PN_ERROR_TEXT_MAX 512

/** One failure: what, where, the numbers. Zero-initialised means "no error". Caller owns. */
struct pn_error {
	int code; /* enum pn_status */
	char text[PN_ERROR_TEXT_MAX];
};

/**
 * pn_error_set - record a failure and return its code, so that one line both tells and leaves:
 *
 *	return pn_error_set(err, PN_EFORMAT, "%s: header says %zu bytes, file has %zu", path, a, b);
 *
 * @err: [out] may be NULL (the text is lost then, the code is still returned).
 *
 * Thread: reentrant. Allocates: nothing.
 */
int pn_error_set(struct pn_error *err, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
int pn_error_setv(struct pn_error *err, int code, const char *fmt, va_list ap);

/** pn_error_errno - as pn_error_set, with the code and ": text" that fit @errnum (an errno). */
int pn_error_errno(struct pn_error *err, int errnum, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/** pn_error_wrap - put "context: " in front of an error already set; returns its code. */
int pn_error_wrap(struct pn_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** pn_status_name - "PN_EIO" and so on; "PN_E?" for an unknown code. Static storage. */
const char *pn_status_name(int code);

/** pn_assert - a bug if it does not hold; never compiled out; prints and aborts. */
#define pn_assert(cond) ((cond) ? (void)0 : pn_assert_failed(#cond, __FILE__, __LINE__, __func__))
_Noreturn void pn_assert_failed(const char *cond, const char *file, int line, const char *func);

#define PN_COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
