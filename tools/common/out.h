/* SPDX-License-Identifier: GPL-3.0-or-later */
/* out.h - where a command's results go: nothing is replaced unasked, nothing is half-written. */
#ifndef PERRIN_TOOLS_OUT_H
#define PERRIN_TOOLS_OUT_H

#include "perrin/base/status.h"

#include <stddef.h>

/** pn_out_check - PN_EEXIST if @path is there and @force is 0. */
int pn_out_check(const char *path, int force, struct pn_error *err);

/** pn_out_check_stack - the same; PN_EARG if its ending is none that pn_volume_write knows. To be
 * asked before anything is computed. */
int pn_out_check_stack(const char *path, int force, struct pn_error *err);

/**
 * pn_out_tilts - write a tilt series as a stack, as pn_volume_write.
 *
 * @image:  float32 [count][ny][nx], the tilt axis along y
 * @turned: 1: the file gets every image transposed, the tilt axis along x
 */
int pn_out_tilts(const char *path, const float *image, size_t count, size_t ny, size_t nx,
		 int turned, double pixel_A, struct pn_error *err);

#endif
