/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A movie through the network: its inside as long clips, its ends window by window. */
#include "internal.h"

#include <stdlib.h>
#include <string.h>

#define TARGETS_MAX 256 /* windows of a clip: more share no more to speak of */

struct movie {
	struct pn_cuda_net *net;
	int ny, nx, count, frames;
	const float *const *images;
	float *const *out;
	size_t bytes;
};

/* The image at place @k of the window of @own, or the one nearest to it in time (the earlier of
 * two): never the own one, whose pixel would show. */
static int image_at(const struct movie *m, int own, int k)
{
	for (int away = 0; away < m->frames; away++)
		for (int side = -1; side <= 1; side += 2) {
			int j = k + side * away, image = own - m->frames / 2 + j;

			if (j >= 0 && j < m->frames && j != m->frames / 2 && image >= 0 &&
			    image < m->count)
				return image;
		}
	return own;
}

/* Windows @first .. as @clips clips of @targets. */
static int run_clips(const struct movie *m, struct pn_cuda_clips *device, int first, int targets,
		     int clips, struct pn_error *err)
{
	size_t pixels = (size_t)m->ny * (size_t)m->nx;
	int each = targets + m->frames - 1, half = m->frames / 2;
	float *in = malloc((size_t)(clips * each) * pixels * sizeof *in);
	float *out = malloc((size_t)(clips * targets) * pixels * sizeof *out);
	int rc = in && out ? PN_OK
			   : pn_error_set(err, PN_ENOMEM,
					  "network on the GPU: no memory for %d "
					  "images of %d x %d",
					  clips * each, m->ny, m->nx);

	for (int c = 0; c < clips && !rc; c++)
		for (int i = 0; i < each; i++) {
			/* a clip of one window may have stand-ins, a longer one has none */
			int own = first + c * targets;
			int image = i == half || targets > 1 ? own - half + i : image_at(m, own, i);

			memcpy(in + (size_t)(c * each + i) * pixels, m->images[image],
			       pixels * sizeof *in);
		}
	if (!rc)
		rc = pn_cuda_clips_forward(device, in, out, err);
	for (int w = 0; w < clips * targets && !rc; w++)
		memcpy(m->out[first + w], out + (size_t)w * pixels, pixels * sizeof *out);
	free(in);
	free(out);
	return rc;
}

/* Windows @first .. @end - 1, each alone if @alone; as many at a time as there is memory for. */
static int run_range(const struct movie *m, int first, int end, int alone, struct pn_error *err)
{
	int most = end - first < TARGETS_MAX ? end - first : TARGETS_MAX;

	while (most > 1 && pn_cuda_clips_bytes(m->net, m->ny, m->nx, alone ? 1 : most,
					       alone ? most : 1, 0) > m->bytes)
		most /= 2;
	while (first < end) {
		struct pn_cuda_clips *device;
		int rc, now = end - first < most ? end - first : most;

		rc = pn_cuda_clips_create(&device, m->net, m->ny, m->nx, alone ? 1 : now,
					  alone ? now : 1, 0, err);
		if (rc == PN_ENOMEM && now > 1) {
			most = now / 2;
			continue;
		}
		for (; !rc && end - first >= now; first += now)
			rc = run_clips(m, device, first, alone ? 1 : now, alone ? now : 1, err);
		pn_cuda_clips_destroy(device);
		if (rc)
			return rc;
	}
	return PN_OK;
}

int pn_cuda_movie_run(struct pn_cuda_net *net, int ny, int nx, const float *const *images,
		      int count, size_t bytes, float *const *out, struct pn_error *err)
{
	int frames = (int)net->spec.frames, half = frames / 2;
	struct movie m = { net, ny, nx, count, frames, images, out, bytes };

	if (count < 1 || (frames > 1 && count < 2))
		return pn_error_set(err, PN_EARG,
				    "network on the GPU: a window of %d frames of %d images",
				    frames, count);
	int begin = half < count ? half : count, end = count - half > begin ? count - half : begin;
	int rc = run_range(&m, 0, begin, 1, err);
	if (!rc)
		rc = run_range(&m, begin, end, 0, err);
	return rc ? rc : run_range(&m, end, count, 1, err);
}
