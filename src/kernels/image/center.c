/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/image/center.h"

#include <math.h>

static const double memory_frames = 20; /* of the tracker's error */
static const double error_A2 = 0.77;    /* its variance per axis  */
static const double lattice_A2 = 5.1;   /* variance of a measurement, times its peak */
static const double outlier = 4;

static void predict(struct pn_center *c, uint64_t frame)
{
	double passed = c->started && frame > c->frame ? (double)(frame - c->frame) : 0;
	double keeps = exp(-passed / memory_frames);

	if (!c->started)
		c->variance_A2 = error_A2;
	c->offset_A[0] *= keeps;
	c->offset_A[1] *= keeps;
	c->variance_A2 = keeps * keeps * c->variance_A2 + (1 - keeps * keeps) * error_A2;
	c->started = 1;
	c->frame = frame;
}

void pn_center_update(struct pn_center *c, uint64_t frame, const double *lattice, double peak)
{
	predict(c, frame);
	if (!lattice || !(peak > 0))
		return;
	double noise_A2 = lattice_A2 / peak;
	double dx = lattice[0] - c->offset_A[0], dy = lattice[1] - c->offset_A[1];
	double surprise = (dx * dx + dy * dy) / (c->variance_A2 + noise_A2);

	noise_A2 *= fmax(1, surprise / outlier);
	double gain = c->variance_A2 / (c->variance_A2 + noise_A2);
	c->offset_A[0] += gain * dx;
	c->offset_A[1] += gain * dy;
	c->variance_A2 *= 1 - gain;
}
