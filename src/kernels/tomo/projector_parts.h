/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TOMO_PROJECTOR_PARTS_H
#define TOMO_PROJECTOR_PARTS_H

#include "perrin/tomo/projector.h"

#include <stdint.h>

#define PROJECTOR_LANES 8
typedef float lanes __attribute__((vector_size(PROJECTOR_LANES * sizeof(float)), aligned(4)));

enum {
	SINC_HALF = 18,            /* px */
	SINC_TAPS = 2 * SINC_HALF, /* pixels along x or y that one voxel reaches */
	SINC_STEPS = 512,          /* of the table, per px; linear between them: 2e-6 off */
};

/* One pose, in pixels: the voxel of index X, Y, Z is at base + step . (X, Y, Z). */
struct view {
	double base[2], step[2][3];
	float offset[2][2]; /* of the points of the linear footprint, x and y: +-[0], +-[1] */
};

struct axis_work; /* single-axis */
struct any_work;  /* any poses */

struct pn_projector {
	struct pn_box box;
	size_t count, ny, nx;
	enum pn_footprint footprint;
	int threads;
	struct view *view; /* [count] */
	float *sinc;       /* [SINC_HALF SINC_STEPS + 2], NULL if linear */
	struct axis_work *axis;
	struct any_work *any;
};

/* In this order, so that both directions get the very same number. */
static inline double view_at(const struct view *v, int axis, double x, double y, double z)
{
	return ((v->base[axis] + v->step[axis][2] * z) + v->step[axis][1] * y) +
	       v->step[axis][0] * x;
}

/* Half of the width of the footprint along an axis of the detector. */
double projector_reach(const struct pn_projector *p, const struct view *v, int axis);

/* Weights of pixels @d px from the voxel, along one axis of the detector. */
void projector_weights(const struct pn_projector *p, const float offset[2], const float *d,
		       float *w, size_t count);

int axis_plan(struct pn_projector *p, struct pn_error *err);
void axis_destroy(struct axis_work *work);
void axis_project(struct pn_projector *p, const float *volume, float *image);
void axis_backproject(struct pn_projector *p, const float *image, float *volume);

int any_plan(struct pn_projector *p, struct pn_error *err);
void any_destroy(struct any_work *work);
void any_project(struct pn_projector *p, const float *volume, float *image);
void any_backproject(struct pn_projector *p, const float *image, float *volume);

#endif
