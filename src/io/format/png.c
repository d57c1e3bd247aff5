/* SPDX-License-Identifier: GPL-3.0-or-later */
/* png.c - the only file that includes png.h of libpng. */
#include "perrin/format/png.h"

#include "model_priv.h"

#include <errno.h>
#include <png.h>

static int check(const char *path, size_t ny, size_t nx, int channels, struct pn_error *err)
{
	if (channels != 1 && channels != 3)
		return pn_error_set(err, PN_EARG, "%s: %d channels, a PNG here has 1 or 3", path,
				    channels);
	if (!ny || !nx || ny > PN_PNG_SIDE_MAX || nx > PN_PNG_SIDE_MAX ||
	    ny * nx * (size_t)channels > INT32_MAX)
		return pn_error_set(err, PN_EARG,
				    "%s: %zu x %zu pixels of %d bytes, a PNG here has 1..%d each "
				    "way and at most %d bytes",
				    path, ny, nx, channels, PN_PNG_SIDE_MAX, INT32_MAX);
	return PN_OK;
}

int pn_png_write(const char *path, const uint8_t *pixels, size_t ny, size_t nx, int channels,
		 struct pn_error *err)
{
	png_image image = {
		.version = PNG_IMAGE_VERSION,
		.width = (png_uint_32)nx,
		.height = (png_uint_32)ny,
		.format = channels == 1 ? PNG_FORMAT_GRAY : PNG_FORMAT_RGB,
	};
	struct model_part part;
	int rc = check(path, ny, nx, channels, err);

	if (!rc)
		rc = model_part_open(&part, path, err);
	if (rc)
		return rc;
	errno = 0;
	if (png_image_write_to_stdio(&image, part.file, 0, pixels, 0, NULL))
		return model_part_finish(&part, err);
	int errnum = errno ? errno : EIO;

	model_part_abandon(&part);
	return pn_error_errno(err, errnum, "%s: %s", path, image.message);
}
