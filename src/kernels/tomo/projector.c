/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/projector.h"

#include "perrin/math/fft.h"
#include "pose_parts.h"
#include "projector_parts.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>

/* modified Bessel function of the first kind, order 0, by its power series */
static double bessel_i0(double x)
{
	double term = 1, sum = 1;

	for (int k = 1; term > 1e-17 * sum; k++) {
		term *= (x / (2 * k)) * (x / (2 * k));
		sum += term;
	}
	return sum;
}

/* sinc under the Kaiser-Bessel window; exactly 0 at whole pixels, so that no shift is a copy */
static float *sinc_table(void)
{
	const size_t count = SINC_HALF * SINC_STEPS + 2;
	const double beta = 5.75;
	float *table = pn_fft_alloc(count * sizeof *table);

	if (!table)
		return NULL;
	table[0] = 1;
	for (size_t i = 1; i < SINC_HALF * SINC_STEPS; i++) {
		double x = (double)i / SINC_STEPS, u = x / SINC_HALF;

		if (i % SINC_STEPS)
			table[i] = (float)(sin(M_PI * x) / (M_PI * x) *
					   bessel_i0(beta * sqrt(1 - u * u)) / bessel_i0(beta));
	}
	return table;
}

static void view_of(const struct pn_projector *p, const struct pn_pose *pose, struct view *v)
{
	const size_t middle[3] = { p->box.nx / 2, p->box.ny / 2, p->box.nz / 2 };
	const size_t center[2] = { p->nx / 2, p->ny / 2 };

	for (int a = 0; a < 2; a++) {
		v->base[a] = (double)center[a] + pose->shift_px[a];
		for (int j = 0; j < 3; j++) {
			v->step[a][j] = pose->rotation[a][j];
			v->base[a] -= pose->rotation[a][j] * (double)middle[j];
		}
		v->offset[a][0] = (float)(0.25 * (pose->rotation[a][0] + pose->rotation[a][2]));
		v->offset[a][1] = (float)(0.25 * (pose->rotation[a][0] - pose->rotation[a][2]));
	}
}

double projector_reach(const struct pn_projector *p, const struct view *v, int axis)
{
	if (p->footprint == PN_FOOTPRINT_SINC)
		return SINC_HALF;
	return 1 + fmax(fabs((double)v->offset[axis][0]), fabs((double)v->offset[axis][1]));
}

static inline float triangle(float d)
{
	float t = 1 - fabsf(d);

	return t > 0 ? t : 0;
}

void projector_weights(const struct pn_projector *p, const float offset[2], const float *d,
		       float *w, size_t count)
{
	if (p->footprint == PN_FOOTPRINT_LINEAR) {
		const float a = offset[0], b = offset[1];

		for (size_t i = 0; i < count; i++)
			w[i] = 0.25f * ((triangle(d[i] - a) + triangle(d[i] + a)) +
					(triangle(d[i] - b) + triangle(d[i] + b)));
		return;
	}
	for (size_t i = 0; i < count; i++) {
		float x = fabsf(d[i]) * SINC_STEPS;

		x = x < SINC_HALF * SINC_STEPS ? x : SINC_HALF * SINC_STEPS;
		int at = (int)x;
		w[i] = p->sinc[at] + (x - (float)at) * (p->sinc[at + 1] - p->sinc[at]);
	}
}

static int check_shapes(const struct pn_box *box, size_t count, size_t ny, size_t nx,
			struct pn_error *err)
{
	const size_t n[5] = { box->nz, box->ny, box->nx, ny, nx };

	for (int i = 0; i < 5; i++)
		if (n[i] < 1 || n[i] > 4096)
			return pn_error_set(err, PN_EARG,
					    "projector for a volume of %zu x %zu x %zu voxels and "
					    "images of %zu "
					    "x %zu pixels: each must be 1..4096",
					    n[0], n[1], n[2], n[3], n[4]);
	if (count < 1)
		return pn_error_set(err, PN_EARG, "projector without projections");
	return PN_OK;
}

static int check_poses(const struct pn_pose *pose, size_t count, struct pn_error *err)
{
	for (size_t k = 0; k < count; k++) {
		int rc = pn_pose_check(&pose[k], k, err);

		if (rc)
			return rc;
		if (fabs(pose[k].shift_px[0]) > 4096 || fabs(pose[k].shift_px[1]) > 4096)
			return pn_error_set(err, PN_EARG,
					    "projection %zu: a shift of %g %g px, more than 4096",
					    k, pose[k].shift_px[0], pose[k].shift_px[1]);
	}
	return PN_OK;
}

int pn_projector_plan(struct pn_projector **projector, const struct pn_box *box,
		      const struct pn_pose *pose, size_t count, size_t ny, size_t nx,
		      enum pn_footprint footprint, struct pn_error *err)
{
	*projector = NULL;
	int rc = check_shapes(box, count, ny, nx, err);

	if (!rc)
		rc = check_poses(pose, count, err);
	if (rc)
		return rc;
	struct pn_projector *p = calloc(1, sizeof *p);
	if (!p)
		return pn_error_set(err, PN_ENOMEM, "no memory for a projector");
	p->box = *box;
	p->count = count;
	p->ny = ny;
	p->nx = nx;
	p->footprint = footprint;
	p->threads = omp_get_max_threads();
	p->view = calloc(count, sizeof *p->view);
	if (footprint == PN_FOOTPRINT_SINC)
		p->sinc = sinc_table();
	if (!p->view || (footprint == PN_FOOTPRINT_SINC && !p->sinc)) {
		rc = pn_error_set(err, PN_ENOMEM, "no memory for a projector in %zu poses", count);
	} else {
		for (size_t k = 0; k < count; k++)
			view_of(p, &pose[k], &p->view[k]);
		rc = pn_poses_single_axis(pose, count) ? axis_plan(p, err) : any_plan(p, err);
	}
	if (rc) {
		pn_projector_destroy(p);
		return rc;
	}
	*projector = p;
	return PN_OK;
}

void pn_projector_destroy(struct pn_projector *p)
{
	if (!p)
		return;
	axis_destroy(p->axis);
	any_destroy(p->any);
	pn_fft_free(p->sinc);
	free(p->view);
	free(p);
}

void pn_project(struct pn_projector *p, const float *volume, float *image)
{
	if (p->axis)
		axis_project(p, volume, image);
	else
		any_project(p, volume, image);
}

void pn_backproject(struct pn_projector *p, const float *image, float *volume)
{
	if (p->axis)
		axis_backproject(p, image, volume);
	else
		any_backproject(p, image, volume);
}
