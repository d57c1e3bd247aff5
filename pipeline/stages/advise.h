/* SPDX-License-Identifier: GPL-3.0-or-later */
/* advise.h - what the stages advise and advise_tilts share: all but their third input. */
#ifndef PERRIN_STAGES_ADVISE_H
#define PERRIN_STAGES_ADVISE_H

#include "perrin/host/stage.h"
#include "perrin/orient/advise.h"

/** One particle, or the tilt series. */
struct advise_seat {
	uint64_t particle;
	int64_t time_ns; /* of the newest message */
	int news;        /* that no advice has told */
	struct pn_advisor advisor;
};

struct advise {
	struct pn_advise_options options;
	int64_t particles_max;

	struct advise_seat *seat; /* [particles_max] */
	uint64_t count, advices;
	struct advise_seat spare; /* the seat as the message under way leaves it */
};

extern const struct pn_param advise_params[];
extern const struct pn_port advise_outputs[];
extern const char *const advise_reasons[];

/** An input's message by the schema of its port; @inputs: of the stage. */
int advise_take(struct advise *s, struct pn_ctx *ctx, const struct pn_msg *in,
		const struct pn_port *inputs);
int advise_open(void *self, struct pn_ctx *ctx);
int advise_drain(void *self, struct pn_ctx *ctx);
int advise_save(void *self, struct pn_ctx *ctx, struct pn_blob *out);
int advise_load(void *self, struct pn_ctx *ctx, const void *data, size_t bytes);
void advise_close(void *self);

#endif
