/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * perrin/denoise/windows.h - from crops as they come, one particle after another and frame by
 * frame, to windows of frames around each: late, missing and moving ones are handled here.
 */
#ifndef PERRIN_DENOISE_WINDOWS_H
#define PERRIN_DENOISE_WINDOWS_H

#include "perrin/base/blob.h"
#include "perrin/denoise/net.h"

#define PN_WINDOW_HALF_MAX (PN_NET_FRAMES_MAX / 2)

/** One particle's image on one frame. */
struct pn_window_crop {
	uint64_t particle, frame;
	int64_t y0_px, x0_px; /* of its first pixel on the frame */
	int ny, nx;
};

/** A crop that is kept: for its own window, and for those of its neighbours in time. */
struct pn_window_entry {
	struct pn_window_crop crop;
	float *image;   /* [ny][nx] as recorded */
	float *clean;   /* [ny][nx]; filled by the caller when `cleaned` is set */
	void *tag;      /* the caller's bytes */
	uint64_t id;    /* of the image: 1, 2, ... in the order of coming */
	int cleaned;    /* clean holds the result, */
	int by_network; /* made by the network */
	int passed;     /* and the caller is through with it */
};

struct pn_windows;

/**
 * pn_windows_create - caller destroys. @tag_bytes: kept with each crop for the caller.
 * Errors: PN_ENOMEM. Thread: one at a time.
 */
int pn_windows_create(struct pn_windows **windows, size_t tag_bytes, struct pn_error *err);
void pn_windows_destroy(struct pn_windows *windows);

/**
 * pn_windows_add - one more crop; frames never fall, and a particle is on a frame once.
 *
 * @image: [ny][nx], copied; @tag: copied
 *
 * Errors: PN_EFRAME (a frame before the newest, a second crop of this particle on it, not finite;
 * nothing has changed), PN_ENOMEM.
 */
int pn_windows_add(struct pn_windows *windows, const struct pn_window_crop *crop,
		   const float *image, const void *tag, struct pn_error *err);

/**
 * pn_windows_next - the next crop whose window is complete and that was not yet asked for since the
 * last pn_windows_pass; NULL if none.
 *
 * Complete: the particle's crop @half frames later has come, or a frame later than that; @half < 0:
 * nothing more will come, all are.
 */
struct pn_window_entry *pn_windows_next(struct pn_windows *windows, int half);

/** pn_windows_again - ask for the same ones again; what is cleaned stays so. */
void pn_windows_again(struct pn_windows *windows);

/** pn_windows_pass - those asked for are done; what no window can need any more goes. */
void pn_windows_pass(struct pn_windows *windows);

/**
 * pn_windows_frames - the window of @entry: frames t - @half .. t + @half of its particle, laid
 * over each other by their places on the frame; missing ones, those of another size, those more
 * than PN_SHIFT_MAX_PX away and those that repeat the own frame (recorded twice: its noise would
 * show) without image.
 *
 * Returns how many neighbours there are.
 */
int pn_windows_frames(const struct pn_windows *windows, const struct pn_window_entry *entry,
		      int half, struct pn_window_frame *frames);

/**
 * pn_windows_snr_db - SNR of @entry by the particle's crop on the frame before, where they overlap
 * (pn_snr_of_pair_db, methods R3); NaN if there is none, or for no correlation.
 *
 * @clean: 1 = of the denoised images, 0 = as recorded
 */
double pn_windows_snr_db(const struct pn_windows *windows, const struct pn_window_entry *entry,
			 int clean);

/** pn_windows_save, pn_windows_load - all crops kept. PN_EVERSION if the bytes are not whole. */
int pn_windows_save(const struct pn_windows *windows, struct pn_blob *out);
int pn_windows_load(struct pn_windows *windows, const void *data, size_t bytes,
		    struct pn_error *err);

#endif
