/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/base/file.h - what the C library lacks for files. */
#ifndef PERRIN_BASE_FILE_H
#define PERRIN_BASE_FILE_H

#include "perrin/base/status.h"

/** pn_file_copy - copy a file to a new one. PN_EEXIST if @to is there; PN_ENOENT, PN_EIO, PN_ENOSPC, then
 * nothing is left at @to. */
int pn_file_copy(const char *from, const char *to, struct pn_error *err);

#endif
