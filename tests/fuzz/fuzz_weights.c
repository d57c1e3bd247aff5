/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * Any bytes may come as a network's weights: they are refused, or read and written again the same.
 * As they are, and once more with the hash put right, since it would keep nearly all from the
 * decoder.
 */
#include "perrin/format/weights.h"

#include "fuzz.h"
#include "perrin/stream/hash.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void try_decode(const uint8_t *data, size_t size)
{
	struct pn_weights weights, again;
	struct pn_error err = { 0 };
	struct pn_blob blob = { 0 }, second = { 0 };

	if (pn_weights_decode(&weights, data, size, "fuzz", &err)) {
		pn_assert(err.code && err.text[0] && !weights.params && !weights.param_count);
		return;
	}
	pn_assert(weights.scale > 0 && weights.param_count);
	pn_assert(pn_weights_encode(&weights, &blob, &err) == PN_OK);
	pn_assert(pn_weights_decode(&again, blob.data, blob.bytes, "again", &err) == PN_OK);
	pn_assert(pn_weights_encode(&again, &second, &err) == PN_OK);
	pn_assert(blob.bytes == second.bytes && !memcmp(blob.data, second.data, blob.bytes));
	pn_weights_free(&weights);
	pn_weights_free(&again);
	pn_blob_finish(&blob);
	pn_blob_finish(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_decode(data, size);
	if (size < sizeof(uint64_t))
		return 0;
	uint8_t *copy = malloc(size);
	uint64_t hash = pn_hash64(data, size - sizeof hash, 0);

	pn_assert(copy);
	memcpy(copy, data, size);
	memcpy(copy + size - sizeof hash, &hash, sizeof hash);
	try_decode(copy, size);
	free(copy);
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *bytes, size_t room)
{
	static const struct pn_net_spec specs[] = {
		{ .frames = 1, .blocks = 1, .channels = 8, .spot_px = 1, .tap_channels = 8 },
		{ .frames = 3,
		  .blocks = 1,
		  .channels = 8,
		  .spot_px = 3,
		  .shared = 1,
		  .neighbor_channels = 8,
		  .tap_channels = 8,
		  .head1 = 8,
		  .widening = 2 },
	};
	struct pn_weights weights = { .scale = 1, .loss = NAN, .source = "seed" };
	struct pn_net_layout *layout;
	struct pn_blob blob = { 0 };

	if (index >= PN_COUNT(specs))
		return 0;
	layout = malloc(sizeof *layout);
	pn_assert(layout && pn_net_layout_make(layout, &specs[index], NULL) == PN_OK);
	weights.spec = specs[index];
	pn_params_default(pn_train_params, &weights.settings);
	pn_weights_curve_add(&weights, 10, 0.5);
	weights.param_count = layout->param_count;
	weights.params = calloc(layout->param_count, sizeof *weights.params);
	free(layout);
	pn_assert(weights.params && pn_weights_encode(&weights, &blob, NULL) == PN_OK);
	pn_weights_free(&weights);
	pn_assert(blob.bytes <= room);
	size_t size = blob.bytes;

	memcpy(bytes, blob.data, size);
	pn_blob_finish(&blob);
	return size;
}

const unsigned fuzz_places = 1500;
