/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The network once more, slowly and in double, written from the description in
 * perrin/denoise/spec.h. */
#ifndef PN_NET_REFERENCE_H
#define PN_NET_REFERENCE_H

#include "perrin/denoise/spec.h"

#include <stdlib.h>

/** Feature maps [ny][nx][channels] of one layer; outside they are zero. */
struct ref_map {
	int ny, nx, channels;
	double *v;
};

static struct ref_map ref_new(int ny, int nx, int channels)
{
	struct ref_map map = { ny, nx, channels, NULL };

	map.v = calloc((size_t)(ny * nx * channels), sizeof *map.v);
	pn_assert(map.v);
	return map;
}

static double ref_at(const struct ref_map *map, int y, int x, int c)
{
	if (y < 0 || x < 0 || y >= map->ny || x >= map->nx)
		return 0;
	return map->v[(y * map->nx + x) * map->channels + c];
}

/** One layer over @count inputs taken as one. */
static struct ref_map ref_layer(const struct pn_layer *layer, const double *params,
				const struct ref_map *const *in, int count)
{
	const struct pn_taps *taps = &layer->shape.taps;
	struct ref_map out = ref_new(in[0]->ny, in[0]->nx, (int)layer->bias_count);

	for (int y = 0; y < out.ny; y++)
		for (int x = 0; x < out.nx; x++)
			for (int o = 0; o < out.channels; o++) {
				const double *w = params + layer->weights + o;
				double sum = params[layer->bias + (size_t)o];

				for (int t = 0; t < taps->count; t++)
					for (int i = 0; i < count; i++)
						for (int c = 0; c < in[i]->channels;
						     c++, w += out.channels)
							sum += *w * ref_at(in[i], y + taps->dy[t],
									   x + taps->dx[t], c);
				if (layer->leaky && sum < 0)
					sum *= (double)PN_LEAK;
				out.v[(y * out.nx + x) * out.channels + o] = sum;
			}
	return out;
}

/* All levels of one branch. */
static void ref_branch(const struct pn_net_layout *layout, const double *params, int branch,
		       const struct ref_map *image, struct ref_map *levels)
{
	levels[0] = ref_layer(pn_layer_find(layout, PN_ROLE_STEM, branch, 0), params, &image, 1);
	for (int b = 1; b <= layout->levels; b++) {
		const struct ref_map *below = &levels[b - 1];

		levels[b] = ref_layer(pn_layer_find(layout, PN_ROLE_BRANCH, branch, b), params,
				      &below, 1);
	}
}

/* Channels @first .. of a map as one of its own. */
static struct ref_map ref_slice(const struct ref_map *map, int first, int channels)
{
	struct ref_map out = ref_new(map->ny, map->nx, channels);

	for (int p = 0; p < map->ny * map->nx; p++)
		for (int c = 0; c < channels; c++)
			out.v[p * channels + c] = map->v[p * map->channels + first + c];
	return out;
}

/** ref_window - output [ny][nx] of one window of spec->frames images; caller frees it. */
static double *ref_window(const struct pn_net_spec *spec, const struct pn_net_layout *layout,
			  const double *params, const struct ref_map *images)
{
	int frames = (int)spec->frames, half = frames / 2, collected_count = 0;
	struct ref_map levels[PN_NET_FRAMES_MAX][PN_NET_BLOCKS_MAX + 4],
		collected[PN_NET_BLOCKS_MAX];

	for (int r = 0; r < frames; r++) {
		int image = r == 0 ? half : r <= half ? r - 1 : r;

		ref_branch(layout, params, spec->shared ? 0 : r, &images[image], levels[r]);
	}
	for (int b = 1; b <= spec->blocks; b++) {
		const struct pn_layer *project = pn_layer_find(layout, PN_ROLE_PROJECT, 0, b);
		const struct ref_map *in[PN_NET_FRAMES_MAX] = { &levels[0][b] };
		struct ref_map entering[PN_NET_FRAMES_MAX];

		for (int r = 1; r < frames; r++) {
			const struct ref_map *from = &levels[r][b + layout->lead];

			if (project) {
				struct ref_map all = ref_layer(project, params, &from, 1);
				int channels = (int)spec->neighbor_channels;

				entering[r] = ref_slice(&all, (r - 1) * channels, channels);
				free(all.v);
				from = &entering[r];
			}
			in[r] = from;
		}
		struct ref_map fused =
			ref_layer(pn_layer_find(layout, PN_ROLE_FUSE, 0, b), params, in, frames);
		const struct ref_map *tapped = &fused;

		collected[collected_count++] =
			ref_layer(pn_layer_find(layout, PN_ROLE_TAP, 0, b), params, &tapped, 1);
		free(fused.v);
		for (int r = 1; r < frames && project; r++)
			free(entering[r].v);
	}
	const struct ref_map *in[PN_NET_BLOCKS_MAX];
	struct ref_map last = { 0 };
	int count = collected_count;

	for (int b = 0; b < count; b++)
		in[b] = &collected[b];
	for (int h = 1; h <= 3; h++) {
		const struct pn_layer *layer = h < 3 ? pn_layer_find(layout, PN_ROLE_HEAD, 0, h)
						     : pn_layer_find(layout, PN_ROLE_READOUT, 0, 0);
		if (!layer)
			continue;
		struct ref_map next = ref_layer(layer, params, in, count);

		free(last.v);
		last = next;
		in[0] = &last;
		count = 1;
	}
	for (int b = 0; b < collected_count; b++)
		free(collected[b].v);
	for (int r = 0; r < frames; r++)
		for (int b = 0; b <= layout->levels; b++)
			free(levels[r][b].v);
	return last.v;
}

#endif
