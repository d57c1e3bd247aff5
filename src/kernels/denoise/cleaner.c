/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/denoise/cleaner.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define KEPT_MAX 64 /* particles */

/* Features of one particle's last frames. */
struct kept {
	struct pn_denoiser *denoiser;
	uint64_t particle, last_used;
	int ny, nx;
};

struct pn_cleaner {
	uint64_t cache_bytes, runs;
	struct pn_net *net; /* NULL: none yet */
	double offset, scale;
	struct kept kept[KEPT_MAX];
};

int pn_cleaner_create(struct pn_cleaner **cleaner, uint64_t cache_bytes, struct pn_error *err)
{
	struct pn_cleaner *c = calloc(1, sizeof *c);

	*cleaner = c;
	if (!c)
		return pn_error_set(err, PN_ENOMEM, "cleaner: no memory");
	c->cache_bytes = cache_bytes;
	return PN_OK;
}

static void forget_kept(struct pn_cleaner *cleaner)
{
	for (unsigned i = 0; i < KEPT_MAX; i++) {
		pn_denoiser_destroy(cleaner->kept[i].denoiser);
		cleaner->kept[i] = (struct kept){ 0 };
	}
}

void pn_cleaner_destroy(struct pn_cleaner *cleaner)
{
	if (!cleaner)
		return;
	forget_kept(cleaner);
	pn_net_destroy(cleaner->net);
	free(cleaner);
}

int pn_cleaner_use(struct pn_cleaner *cleaner, const struct pn_net_spec *spec, enum pn_arith arith,
		   const float *params, double offset, double scale, struct pn_error *err)
{
	struct pn_net *net;

	if (!isfinite(offset) || !(scale > 0) || !isfinite((float)scale) ||
	    !isfinite((float)(1 / scale)))
		return pn_error_set(err, PN_EARG, "weights: offset %g, scale %g", offset, scale);
	int rc = pn_net_create(&net, spec, arith, err);
	if (rc)
		return rc;
	pn_net_load(net, params);
	forget_kept(cleaner);
	pn_net_destroy(cleaner->net);
	cleaner->net = net;
	cleaner->offset = offset;
	cleaner->scale = scale;
	return PN_OK;
}

int pn_cleaner_half(const struct pn_cleaner *cleaner)
{
	return cleaner->net ? (int)pn_net_spec_of(cleaner->net)->frames / 2 : 0;
}

/* The place of a particle; the one unused for longest gives way when the memory is spent. */
static struct kept *place_for(struct pn_cleaner *cleaner, const struct pn_window_crop *crop)
{
	uint64_t places =
		cleaner->cache_bytes / pn_denoiser_bytes(cleaner->net, crop->ny, crop->nx);
	struct kept *place = &cleaner->kept[0];

	places = places < 1 ? 1 : places > KEPT_MAX ? KEPT_MAX : places;
	for (uint64_t i = 0; i < places; i++) {
		struct kept *k = &cleaner->kept[i];

		if (k->denoiser && k->particle == crop->particle)
			return k;
		if (place->denoiser && (!k->denoiser || k->last_used < place->last_used))
			place = k;
	}
	return place;
}

static int denoiser_for(struct pn_cleaner *cleaner, const struct pn_window_crop *crop,
			struct pn_denoiser **denoiser, struct pn_error *err)
{
	struct kept *place = place_for(cleaner, crop);
	int rc = PN_OK;

	if (!place->denoiser || place->ny != crop->ny || place->nx != crop->nx) {
		pn_denoiser_destroy(place->denoiser);
		*place = (struct kept){ .ny = crop->ny, .nx = crop->nx };
		rc = pn_denoiser_create(&place->denoiser, cleaner->net, crop->ny, crop->nx,
					cleaner->offset, cleaner->scale, err);
	}
	place->particle = crop->particle;
	place->last_used = ++cleaner->runs;
	*denoiser = place->denoiser;
	return rc;
}

static double rms_difference(const float *a, const float *b, size_t count)
{
	double sum = 0;

	for (size_t k = 0; k < count; k++)
		sum += ((double)a[k] - b[k]) * ((double)a[k] - b[k]);
	return sqrt(sum / (double)count);
}

static int all_finite(const float *image, size_t pixels)
{
	int finite = 1;

	for (size_t k = 0; k < pixels; k++)
		finite &= isfinite(image[k]) != 0;
	return finite;
}

/* PN_EAGAIN: not this window. A pixel that is too much for the network, or frames that repeat each
 * other, are the images' fault and no failure. */
static int by_network(struct pn_cleaner *cleaner, const struct pn_window_frame *frames,
		      struct pn_window_entry *entry, struct pn_error *err)
{
	struct pn_denoiser *denoiser;
	int rc = denoiser_for(cleaner, &entry->crop, &denoiser, err);

	if (rc)
		return rc;
	rc = pn_denoiser_run(denoiser, frames, entry->clean, err);
	if (rc == PN_EARG || rc == PN_EFRAME ||
	    (!rc && !all_finite(entry->clean, (size_t)entry->crop.ny * (size_t)entry->crop.nx)))
		return PN_EAGAIN;
	return rc;
}

int pn_cleaner_run(struct pn_cleaner *cleaner, const struct pn_windows *windows,
		   struct pn_window_entry *entry, struct pn_cleaned *cleaned, struct pn_error *err)
{
	struct pn_window_frame frames[PN_NET_FRAMES_MAX];
	size_t pixels = (size_t)entry->crop.ny * (size_t)entry->crop.nx;
	int half = pn_cleaner_half(cleaner), rc = PN_EAGAIN;

	cleaned->neighbors = pn_windows_frames(windows, entry, half, frames);
	/* a frame without any neighbor is more than the network can be asked for */
	if (entry->cleaned)
		rc = entry->by_network ? PN_OK : PN_EAGAIN;
	else if (cleaner->net && (cleaned->neighbors || half == 0))
		rc = by_network(cleaner, frames, entry, err);
	if (rc && rc != PN_EAGAIN)
		return rc;
	/* the mean of some frames is no way out: a lattice that comes and goes smears over them */
	if (rc == PN_EAGAIN)
		memcpy(entry->clean, entry->image, pixels * sizeof *entry->clean);
	entry->cleaned = 1;
	entry->by_network = cleaned->network = rc == PN_OK;
	cleaned->noise = rms_difference(entry->image, entry->clean, pixels);
	cleaned->snr_db = pn_windows_snr_db(windows, entry, 1);
	cleaned->raw_snr_db = pn_windows_snr_db(windows, entry, 0);
	return PN_OK;
}
