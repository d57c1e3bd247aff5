/* SPDX-License-Identifier: GPL-3.0-or-later */
/* images.h - noisy images in order of time, from a stack or a session's streams. */
#ifndef PERRIN_TOOLS_IMAGES_H
#define PERRIN_TOOLS_IMAGES_H

#include "perrin/base/dtype.h"
#include "perrin/denoise/spot.h"
#include "perrin/denoise/train.h"

struct pn_images;

/**
 * pn_images_open - find all images at @path; caller closes.
 *
 * A stack (.npy, MRC, TIFF) is one run of images. Of a session the stream @stream is taken, or
 * @path is the folder of one stream: `crops` by particle and frame, those of a particle on frames
 * without a gap are a run; `frames` by frame, likewise. Damaged records are left out and counted.
 *
 * @memory_bytes: images are kept as recorded while they fit, the others read again each time
 *
 * Errors: PN_ENOENT (no such stream, with those there are), PN_EARG (a stream without images),
 * those of reading; each with the path. Thread: one at a time. Cost: a stack: its header; a stream:
 * one pass over it.
 */
int pn_images_open(struct pn_images **images, const char *path, const char *stream,
		   uint64_t memory_bytes, struct pn_error *err);
void pn_images_close(struct pn_images *images);

/** What there is. */
struct pn_images_info {
	const char *kind;   /* "stack", "crops", "frames" */
	const char *source; /* path, with the stream's name if it is of a session */
	uint64_t count, runs, particles, longest_run, damaged;
	uint64_t first_frame, last_frame; /* least and largest; of a stack 0 and count - 1 */
	int ny_min, nx_min, ny_max, nx_max;
	double pixel_pm; /* 0: not known */
};
struct pn_images_info pn_images_info(const struct pn_images *images);

/** One image. Images of one particle follow each other, in order of their frames; images that are
 * no crops are all of particle 0. */
struct pn_images_entry {
	uint64_t particle, frame, run;
	int64_t y0_px, x0_px;
	int ny, nx;
	enum pn_dtype dtype;
};
struct pn_images_entry pn_images_entry(const struct pn_images *images, uint64_t image);

/** pn_images_read - a whole image. @out: [ny][nx] of its entry. */
int pn_images_read(struct pn_images *images, uint64_t image, float *out, struct pn_error *err);

/** pn_images_source - the images as a trainer takes them. Borrows them. */
struct pn_train_source pn_images_source(struct pn_images *images);

/** pn_images_noise - correlation of the noise from up to 64 pairs of adjacent images spread over
 * all, where they lie on the same pixels of the detector. Images too small for it are left out. */
int pn_images_noise(struct pn_images *images, struct pn_noise *noise, struct pn_error *err);

#endif
