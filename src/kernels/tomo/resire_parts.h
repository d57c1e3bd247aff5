/* SPDX-License-Identifier: GPL-3.0-or-later */
/* resire_parts.h - the two ways RESIRE's operators are applied. */
#ifndef PERRIN_TOMO_RESIRE_PARTS_H
#define PERRIN_TOMO_RESIRE_PARTS_H

#include "perrin/tomo/resire.h"

/** What is reconstructed from what; the lengths of the padded grid. */
struct pn_resire_job {
	const struct pn_box *box;
	const struct pn_projections *projections;
	const float *initial;   /* or NULL */
	const uint8_t *support; /* or NULL */
	size_t mz, my, mx;
};

/** A volume on its way. The engines differ in how they hold it. */
struct pn_resire_engine {
	/* *self: [out]; after a failure there is nothing to close */
	int (*open)(void **self, const struct pn_resire_job *job, struct pn_error *err);
	/* A_k u - b_k of all k, kept; sum1[k] = sum |.|, sum2[k] = sum (.)^2 */
	void (*project)(void *self, double *sum1, double *sum2);
	/* u <- max(0, u - dt sum B_k (A_k u - b_k)) of the differences kept */
	void (*update)(void *self, float dt);
	void (*export)(const void *self, float *volume);
	void (*close)(void *self);
};

/* all tilts about y, images as high as the box, no shift along y */
extern const struct pn_resire_engine pn_resire_planes;
/* any pose */
extern const struct pn_resire_engine pn_resire_slices;

#endif
