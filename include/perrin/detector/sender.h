/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * perrin/detector/sender.h - the native protocol: send frames to a `native:` source so that none is
 * lost when either side dies.
 *
 * The source binds a ZeroMQ ROUTER, the producer connects a DEALER. A message is one part, a
 * msgpack map whose first two keys are "type" and "v" (1) and which has all keys of its type and no
 * others, in any order; `frame` has the pixels as its second part. Numbers with a point are float64,
 * and nil where they are not known. Frames are numbered 0, 1, 2, ...
 *
 * producer to source
 *	hello   id, name, frames, first
 *		I am here. id: any number, comes back in the welcome; name: a text, the same each
 *		time; frames: how many there will be, 0 if not known; first: oldest frame I can
 *		still send
 *	frame   frame, time_ns, dtype ("u2"), shape ([ny, nx]), pixel_pm, dose_e_per_A2,
 *		energy_keV, tilt_deg
 *		and the pixels as a part of their own: C order, little-endian
 *	end     frames
 *		there were so many frames, and no more will come
 *
 * source to producer
 *	welcome id, next, window
 *		answer to hello: go on with frame `next`, and have at most `window` frames on their
 *		way that are not acknowledged
 *	ack     next
 *		every frame below next is recorded (as durably as its stream is set to be): forget
 *		it. May come late, and need not come for each frame
 *	refused frame, reason
 *		not taken; do not send it again, it counts as lost. As an answer to hello: go away
 *	again   -
 *		I do not know you (I was restarted, or your connection was lost): say hello again,
 *		with another id
 *	ended   frames
 *		answer to end, given when it will be known even if I am killed now: you may go
 *
 * Rules. The producer sends frames in order of their numbers after the welcome to its latest hello,
 * beginning with `next`, also if it has sent them before; it keeps each until it is acknowledged.
 * When it has heard nothing for a while it says hello again, which is always safe. Frames below
 * `next` are dropped in silence. A number that is passed over is a lost frame; more than 100000 at
 * one place are refused. Frames of another shape or type than the first are left out by the stage
 * that records them, and counted. One producer at a time: a hello of another name is refused, of the
 * same name takes the place of the one before.
 *
 * A producer of 30 lines of Python is in src/io/detector/README.md.
 */
#ifndef PERRIN_DETECTOR_SENDER_H
#define PERRIN_DETECTOR_SENDER_H

#include "perrin/base/dtype.h"
#include "perrin/base/status.h"
#include "perrin/stream/message.h"

#include <stdint.h>

struct pn_sender;

struct pn_sender_config {
	const char *endpoint; /* "ipc:///run/perrin/camera", "tcp://127.0.0.1:5555"              */
	const char *name;     /* up to 63 bytes of UTF-8; the same after a restart               */
	uint64_t first;       /* oldest frame that can be given                                  */
	uint64_t frames;      /* how many there will be; 0: not known                            */
	uint64_t window;      /* frames kept at most; 0: as the source says                      */
	int64_t retry_ns;     /* hello again after so long without a word; 0: 1 s                */
};

/** One frame. Numbers that are not known are NaN. */
struct pn_sender_frame {
	uint64_t frame;
	int64_t time_ns;
	enum pn_dtype dtype;
	uint64_t ny, nx;
	double pixel_pm, dose_e_per_A2, energy_keV, tilt_deg;
	const void *pixels; /* dtype [ny][nx] */
};

struct pn_sender_stats {
	uint64_t sent, resent; /* frames given to the socket for the first time, and once more  */
	uint64_t refused;      /* frames refused                                                */
	uint64_t acked;        /* all frames below are on stable storage                        */
	uint64_t kept;         /* frames in memory, not acknowledged                            */
	char reason[256];      /* of the last refusal                                           */
};

/**
 * pn_sender_open - connect; works before the source is there. Caller closes.
 *
 * Errors: PN_EARG (name), as pn_socket_open. Thread: a sender belongs to one thread at a time.
 * Never waits.
 */
int pn_sender_open(struct pn_sender **sender, const struct pn_sender_config *config,
		   struct pn_error *err);

/**
 * pn_sender_pump - take in answers and send what may be sent, waiting at most @timeout_ns for the
 * first answer. To be called now and then while there is nothing to send.
 *
 * Errors, after which the sender is of no use: PN_EPERM (the source does not want this producer),
 * PN_EIO (it wants frames that it has acknowledged before; the socket), with a text. PN_OK also if
 * nothing came.
 */
int pn_sender_pump(struct pn_sender *sender, int64_t timeout_ns, struct pn_error *err);

/**
 * pn_sender_ready - wait for the source's welcome.
 *
 * @next: [out] first frame that it wants; those before need not be given (may be NULL)
 *
 * Errors: PN_ETIMEOUT; as pn_sender_pump.
 */
int pn_sender_ready(struct pn_sender *sender, int64_t timeout_ns, uint64_t *next,
		    struct pn_error *err);

/**
 * pn_sender_send - give one frame; it is copied. Numbers must rise; passing one over loses it.
 *
 * A frame that the source has already is dropped with PN_OK. Before the first welcome the caller's
 * `window` frames are kept, or 16.
 *
 * Errors: PN_EAGAIN: as many frames as may be are unacknowledged after @timeout_ns (nothing has
 * changed; call again); PN_EARG (number not above the last, type, size), PN_ENOMEM; as
 * pn_sender_pump.
 */
int pn_sender_send(struct pn_sender *sender, const struct pn_sender_frame *frame,
		   int64_t timeout_ns, struct pn_error *err);

/** pn_sender_message - as pn_sender_send for a message of type frames, of one frame. PN_EFRAME: it
 * is not one. */
int pn_sender_message(struct pn_sender *sender, const struct pn_msg *msg, int64_t timeout_ns,
		      struct pn_error *err);

/**
 * pn_sender_finish - say that there were @frames frames, wait until all are on stable storage.
 *
 * Errors: PN_ETIMEOUT with what is missing (call again to wait on); PN_EARG (frames below the last
 * one sent); as pn_sender_pump. Refused frames are no error here: see the stats.
 */
int pn_sender_finish(struct pn_sender *sender, uint64_t frames, int64_t timeout_ns,
		     struct pn_error *err);

void pn_sender_stats(const struct pn_sender *sender, struct pn_sender_stats *stats);

/** pn_sender_close - frames not acknowledged are forgotten. NULL is fine. */
void pn_sender_close(struct pn_sender *sender);

#endif
