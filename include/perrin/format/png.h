/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/format/png.h - pictures for people, as PNG. Data go into stacks (perrin/format/stack.h).
 */
#ifndef PERRIN_FORMAT_PNG_H
#define PERRIN_FORMAT_PNG_H

#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define PN_PNG_SIDE_MAX 65535 /* pixels */

/**
 * pn_png_write - one picture to a file, 8 bits a channel; equal pixels give equal bytes.
 *
 * The bytes go to "<path>.part", synced, which then takes the name @path. (If @path is there
 * already and is no regular file, a device say, it is written in place; "-" is standard output.)
 * One writer per path at a time.
 *
 * @pixels:   [ny][nx][channels], the first row on top; sRGB
 * @channels: 1 = gray, 3 = red, green, blue
 *
 * Errors: PN_EARG (channels, no pixels, a side above PN_PNG_SIDE_MAX, more than 2 GiB); what the
 * file system says; @path is as it was then. Thread: reentrant. Cost: zlib's default level, some 20
 * ms for 512 x 512 in gray.
 */
int pn_png_write(const char *path, const uint8_t *pixels, size_t ny, size_t nx, int channels,
		 struct pn_error *err);

#endif
