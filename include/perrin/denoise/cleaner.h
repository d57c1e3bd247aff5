/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/denoise/cleaner.h - windows of crops to clean ones, as soon as there is a network. */
#ifndef PERRIN_DENOISE_CLEANER_H
#define PERRIN_DENOISE_CLEANER_H

#include "perrin/denoise/windows.h"

struct pn_cleaner;

/**
 * pn_cleaner_create - without a network yet; caller destroys.
 *
 * @cache_bytes: for the features of the particles' last frames; those of one particle are kept in
 * any case
 *
 * Errors: PN_ENOMEM. Thread: one at a time.
 */
int pn_cleaner_create(struct pn_cleaner **cleaner, uint64_t cache_bytes, struct pn_error *err);
void pn_cleaner_destroy(struct pn_cleaner *cleaner);

/**
 * pn_cleaner_use - this network from now on.
 *
 * @params: [param_count], copied; @offset, @scale: as in pn_denoiser_create
 *
 * Errors: those of pn_net_create, and PN_EARG; the network before stays in use then.
 */
int pn_cleaner_use(struct pn_cleaner *cleaner, const struct pn_net_spec *spec, enum pn_arith arith,
		   const float *params, double offset, double scale, struct pn_error *err);

/** pn_cleaner_half - frames before and after that a window should have; 0 without a network. */
int pn_cleaner_half(const struct pn_cleaner *cleaner);

/** What has become of a crop. */
struct pn_cleaned {
	int network;   /* 0: as recorded: no network, no neighbor, or a pixel beyond it */
	int neighbors; /* frames before and after that went in */
	double noise;  /* rms of recorded less clean, in the image's unit */
	double snr_db, raw_snr_db; /* pn_windows_snr_db after and before; NaN: not known */
};

/**
 * pn_cleaner_run - fill entry->clean and tell of it; nothing is computed again if it is cleaned
 * already.
 *
 * Errors: PN_ENOMEM. What comes out does not depend on what is cached.
 * Cost: that of pn_denoiser_run.
 */
int pn_cleaner_run(struct pn_cleaner *cleaner, const struct pn_windows *windows,
		   struct pn_window_entry *entry, struct pn_cleaned *cleaned, struct pn_error *err);

#endif
