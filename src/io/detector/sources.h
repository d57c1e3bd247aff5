/* SPDX-License-Identifier: GPL-3.0-or-later */
/* sources.h - the kinds of source, and what those that make frame messages share. */
#ifndef PERRIN_DETECTOR_SOURCES_H
#define PERRIN_DETECTOR_SOURCES_H

#include "perrin/detector/source.h"
#include "perrin/stream/head.h"

#include <stddef.h>
#include <stdint.h>

extern const struct pn_source_ops pn_source_file, pn_source_folder, pn_source_replay,
	pn_source_native, pn_source_twin_liquid, pn_source_twin_tilt;

#define PN_FRAME_ALIGN 64 /* of payloads, see perrin/stream/message.h */

/** What one frame message is made of; zeroed to begin with. pn_frame_finish frees the memory. */
struct pn_frame_buffer {
	void *pixels; /* aligned to PN_FRAME_ALIGN */
	size_t bytes;
	uint8_t head[PN_HEAD_BYTES_MAX];
	struct pn_frames_head values; /* large (offset_ns), so kept and used again */
};

/** What files do not say of their frames: the parameters; 0 = unknown. */
struct pn_frame_known {
	double pixel_pm, dose_e_per_A2, energy_keV;
};

/** pn_frame_known_params - its rows, to be a group in the table of a source. */
extern const struct pn_param pn_frame_known_params[];

struct pn_stack;

/**
 * pn_frame_of_stack - read image @index of @stack as frame @frame and fill @msg.
 *
 * @tilt_deg: of the stage; NaN if it is not known
 *
 * Errors: PN_EFRAME with the reason if this image cannot be read, PN_ENOMEM.
 */
int pn_frame_of_stack(struct pn_frame_buffer *buffer, struct pn_stack *stack, uint64_t index,
		      const struct pn_frame_known *known, double tilt_deg, uint64_t frame,
		      int64_t time_ns, struct pn_msg *msg, struct pn_error *err);

/** pn_frame_reserve - room for @bytes of pixels; what was there is lost. Errors: PN_ENOMEM. */
int pn_frame_reserve(struct pn_frame_buffer *buffer, uint64_t bytes, struct pn_error *err);

/**
 * pn_frame_message - encode buffer->values and fill @msg of port 0; seq and arrival stay 0. @pixels
 * NULL: the buffer's own. The message borrows buffer and pixels.
 */
int pn_frame_message(struct pn_frame_buffer *buffer, const void *pixels, int64_t time_ns,
		     struct pn_msg *msg, struct pn_error *err);
void pn_frame_finish(struct pn_frame_buffer *buffer);

/**
 * pn_frame_time_ns - when frame @frame begins: frame * 1e9/fps, rounded to the nearest ns (halves
 * up).
 *
 * Integer arithmetic throughout; @fps is taken as a whole number of millionths, so that 29.97 is
 * 2997/100 and not the nearest double. Frame 0 is at 0. fps >= 1e-3.
 */
int64_t pn_frame_time_ns(uint64_t frame, double fps);

/** pn_known - parameters say "unknown" as 0, heads as NaN. */
double pn_known(double value);

#endif
