/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * perrin/host/stage.h - the stage contract: a stage is a deterministic function
 * (state, message) -> (state, messages). It owns no clock, thread, socket or file.
 *
 * To write a stage: pipeline/stages/NAME.c with one `const struct pn_stage_ops pn_stage_NAME`,
 * tests/stages/test_NAME.c, and its name in pipeline/stages/CMakeLists.txt.
 */
#ifndef PERRIN_HOST_STAGE_H
#define PERRIN_HOST_STAGE_H

#include "perrin/base/blob.h"
#include "perrin/base/param.h"
#include "perrin/base/status.h"
#include "perrin/stream/head.h"
#include "perrin/stream/message.h"

#include <stddef.h>
#include <stdint.h>

#define PN_PORTS_MAX   8
#define PN_REASONS_MAX 8

/** One input or output. Tables end with a row whose name is NULL. */
struct pn_port {
	const char *name;
	const struct pn_schema *schema;
	int optional;     /* the graph may leave it unconnected                        */
	/* An input's messages are taken when they come, and never waited for; where one came is
	 * journalled, so that it comes there again after a restart and in a replay. It comes just
	 * before a message of another input, never at the end: the stage drains when its other
	 * inputs have ended. It is no frame: the stage tells neither done nor skipped of it.     */
	int side;
};

struct pn_ctx;

/** What the host does for a stage; reached through the functions below. */
struct pn_ctx_ops {
	int (*emit)(struct pn_ctx *ctx, unsigned port, const void *head, int64_t time_ns,
		    uint64_t payload_bytes, void **payload);
	void (*done)(struct pn_ctx *ctx, uint64_t count);
	void (*skip)(struct pn_ctx *ctx, unsigned reason, uint64_t count);
	uint64_t (*behind)(struct pn_ctx *ctx);
};

struct pn_ctx {
	const struct pn_ctx_ops *ops;
	struct pn_error err;
};

/**
 * A kind of stage. The host allocates and zeroes the state, fills the parameters, and calls in this
 * order: open, (load), take..., drain, close. It always calls close, also after a failed open. It calls
 * from one thread at a time. What one call emits is published together, after it has returned PN_OK.
 */
struct pn_stage_ops {
	const char *name, *brief;
	size_t state_size;
	const struct pn_param *params;       /* offsets into the state; NULL: none             */
	const struct pn_port *inputs, *outputs;
	const char *const *reasons;          /* why a message may be skipped; NULL-ended       */
	/* What it gives depends on how much time it had: it is recorded, never made again. After a
	 * restart it goes on behind what its streams hold; a replay takes them from the recording
	 * and does not run it. For stages whose results are of use whenever they come.          */
	int timed;

	/* the only place to allocate big things */
	int (*open)(void *self, struct pn_ctx *ctx);
	/* One message of input in->port; its bytes are borrowed until return.
	 * PN_OK; PN_EFRAME: a bad message, counted and gone on from; PN_EAGAIN (from pn_emit): no
	 * room to emit, nothing may have changed, the same message comes again, before any other
	 * and before save; else the stage has failed and is restarted by policy.               */
	int (*take)(void *self, struct pn_ctx *ctx, const struct pn_msg *in);
	/* end of all inputs: emit what is still held; PN_EAGAIN: call again; may be NULL         */
	int (*drain)(void *self, struct pn_ctx *ctx);
	/* everything that decides what will be emitted; PN_EAGAIN: not now, ask after the next
	 * message; NULL: the stage has no state beyond its parameters                          */
	int (*save)(void *self, struct pn_ctx *ctx, struct pn_blob *out);
	int (*load)(void *self, struct pn_ctx *ctx, const void *data, size_t bytes);
	void (*close)(void *self);
};

/** pn_fail - tell what failed, with the numbers, and leave: return pn_fail(ctx, PN_EIO, "..."). */
__attribute__((format(printf, 3, 4))) static inline int pn_fail(struct pn_ctx *ctx, int code,
								const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	pn_error_setv(&ctx->err, code, fmt, ap);
	va_end(ap);
	return code;
}

/**
 * pn_emit - reserve one output message; fill @payload before returning from the callback.
 *
 * @head:    [in] struct of the port's schema
 * @payload: [out] @payload_bytes bytes aligned to 64 in the stream's window; NULL if 0 bytes
 *
 * An unconnected optional port takes the message and forgets it (the payload is scratch memory).
 * Returns PN_EAGAIN when there is no room: return it before changing state.
 */
static inline int pn_emit(struct pn_ctx *ctx, unsigned port, const void *head, int64_t time_ns,
			  uint64_t payload_bytes, void **payload)
{
	return ctx->ops->emit(ctx, port, head, time_ns, payload_bytes, payload);
}

/**
 * pn_done - @count frames taken are answered by what was emitted now or before.
 * pn_skip - @count frames taken are left out, for reasons[@reason].
 *
 * Every frame taken must be told of exactly once, in this or a later callback; the host keeps
 * taken = done + skipped + pending, and pending must be 0 after drain.
 */
static inline void pn_done(struct pn_ctx *ctx, uint64_t count)
{
	ctx->ops->done(ctx, count);
}

static inline void pn_skip(struct pn_ctx *ctx, unsigned reason, uint64_t count)
{
	ctx->ops->skip(ctx, reason, count);
}

/**
 * pn_behind - messages that wait on the input of the message under way, behind it; so the stage can
 * choose how long it may still work on this one. Only for timed stages (asserted): it is not the
 * same in another run. 0 in drain, in the rig and in the simulation.
 */
static inline uint64_t pn_behind(struct pn_ctx *ctx)
{
	return ctx->ops->behind(ctx);
}

/** pn_stages - every stage, ended by NULL; made by CMake from pipeline/stages/CMakeLists.txt. */
extern const struct pn_stage_ops *const pn_stages[];
const struct pn_stage_ops *pn_stage_find(const char *name);

#endif
