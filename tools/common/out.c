/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "out.h"

#include "tilts.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

int pn_out_check(const char *path, int force, struct pn_error *err)
{
	if (!force && access(path, F_OK) == 0)
		return pn_error_set(err, PN_EEXIST, "%s is there already; --force replaces it",
				    path);
	return PN_OK;
}

int pn_out_check_stack(const char *path, int force, struct pn_error *err)
{
	static const char *const endings[] = { ".mrc", ".rec", ".npy", ".tif", ".tiff" };
	const char *dot = strrchr(path, '.');

	for (size_t i = 0; dot && i < PN_COUNT(endings); i++)
		if (strcasecmp(dot, endings[i]) == 0)
			return pn_out_check(path, force, err);
	return pn_error_set(err, PN_EARG, "%s: a stack is written as .mrc, .npy or .tif", path);
}

int pn_out_tilts(const char *path, const float *image, size_t count, size_t ny, size_t nx,
		 int turned, double pixel_A, struct pn_error *err)
{
	const struct pn_box box = { count, turned ? nx : ny, turned ? ny : nx };
	float *other;

	if (!turned)
		return pn_volume_write(path, image, &box, pixel_A, err);
	other = malloc(count * ny * nx * sizeof *other);
	if (!other)
		return pn_error_set(err, PN_ENOMEM, "no memory to transpose %zu images", count);
	for (size_t k = 0; k < count; k++)
		for (size_t y = 0; y < ny; y++)
			for (size_t x = 0; x < nx; x++)
				other[(k * nx + x) * ny + y] = image[(k * ny + y) * nx + x];
	int rc = pn_volume_write(path, other, &box, pixel_A, err);

	free(other);
	return rc;
}
