/* SPDX-License-Identifier: GPL-3.0-or-later */
/* particles.h - the newest result of each particle, read from a session's crystal streams as they grow. */
#ifndef PERRIN_TOOLS_PARTICLES_H
#define PERRIN_TOOLS_PARTICLES_H

#include "perrin/base/json.h"
#include "perrin/stream/head.h"

#include <stdio.h>

#define PN_PARTICLES_SHOWN 16
#define PN_RECENT_FRAMES   100 /* over which a particle's share of high frames is told */

struct pn_particle {
	struct pn_crystal_head last;
	uint64_t records;
	unsigned char high[PN_RECENT_FRAMES]; /* class of the last records, a ring */
	double diameter_nm, spacing_pm;       /* of the last frame that had one; NaN */
};

/** Zero to start. */
struct pn_particles {
	struct pn_particle particle[PN_PARTICLES_SHOWN];
	unsigned count;
	uint64_t next; /* record to read next */
};

/** pn_particles_update - read what the session's stream `crystal` has got since the last call. A session
 * without that stream has no particles. */
void pn_particles_update(struct pn_particles *particles, const char *session);

/** pn_particles_table - a line each; nothing if there are none. */
void pn_particles_table(const struct pn_particles *particles, FILE *out);

/** pn_particles_json - as array "particles" of the open object. */
void pn_particles_json(const struct pn_particles *particles, struct pn_json *json);

#endif
