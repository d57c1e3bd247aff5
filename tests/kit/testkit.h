/* SPDX-License-Identifier: GPL-3.0-or-later */
/* testkit.h - cmocka with what it wants included, temporary directories, reference data. */
#ifndef PERRIN_TESTKIT_H
#define PERRIN_TESTKIT_H

/* cmocka asks for these four before its own header */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define TESTKIT_SKIP 77 /* exit code of a test program that could not run here */

/**
 * testkit_tempdir - a fresh directory of this test's own; static storage, removed with everything
 * in it when the program exits normally. Each call makes another one.
 */
const char *testkit_tempdir(void);

/**
 * testkit_path - "<dir>/<name>" in one of 16 rotating static buffers.
 */
const char *testkit_path(const char *dir, const char *name);

/**
 * testkit_data - path of a file of the shared reference data, or NULL if the data are not on this
 * machine (then the test is to skip). Rotating static buffers.
 */
const char *testkit_data(const char *name);

/** testkit_write - write bytes to a file; fails the test if that is not possible. */
void testkit_write(const char *path, const void *bytes, size_t count);

/** testkit_read - a whole file, NUL-terminated; caller frees with free(). */
char *testkit_read(const char *path, size_t *count);

#endif
