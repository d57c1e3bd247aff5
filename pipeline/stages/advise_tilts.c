/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * advise_tilts - whether more tilts of a series would help, and which: after each volume (R62). A
 * stage of its own since inputs go by their place, and a series has no poses.
 */
#include "advise.h"

static const struct pn_port inputs[] = {
	/* of messages of one time the first port's comes first: a volume's last tilt before it */
	{ .name = "tilts", .schema = &pn_tilts_schema },
	{ .name = "volumes", .schema = &pn_volumes_schema },
	{ .name = "atoms", .schema = &pn_atoms_schema, .optional = 1 },
	{ 0 },
};

static int take(void *self, struct pn_ctx *ctx, const struct pn_msg *in)
{
	return advise_take(self, ctx, in, inputs);
}

const struct pn_stage_ops pn_stage_advise_tilts = {
	.name = "advise_tilts",
	.brief = "tells whether more tilts would help, and which",
	.state_size = sizeof(struct advise),
	.params = advise_params,
	.inputs = inputs,
	.outputs = advise_outputs,
	.reasons = advise_reasons,
	.open = advise_open,
	.take = take,
	.drain = advise_drain,
	.save = advise_save,
	.load = advise_load,
	.close = advise_close,
};
