/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/pose.h"

#include "perrin/math/linear.h"
#include "pose_parts.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

size_t pn_box_voxels(const struct pn_box *box)
{
	return box->nz * box->ny * box->nx;
}

/* Cosine and sine of degrees: within 45 degrees of a multiple of 90, whose own are exact. */
static void turn(double angle_deg, double *c, double *s)
{
	double quarters = rint(angle_deg / 90);
	double rest = (angle_deg - 90 * quarters) * (M_PI / 180);
	double cr = cos(rest), sr = sin(rest);

	switch ((int)fmod(quarters, 4)) {
	case 0:
		*c = cr;
		*s = sr;
		break;
	case 1:
	case -3:
		*c = -sr;
		*s = cr;
		break;
	case 2:
	case -2:
		*c = -cr;
		*s = -sr;
		break;
	default:
		*c = sr;
		*s = -cr;
		break;
	}
}

void pn_pose_tilt(struct pn_pose *pose, double angle_deg)
{
	pn_pose_euler(pose, 0, angle_deg, 0);
}

void pn_pose_euler(struct pn_pose *pose, double phi_deg, double theta_deg, double psi_deg)
{
	double c, s;

	turn(phi_deg, &c, &s);
	const double rz[3][3] = { { c, -s, 0 }, { s, c, 0 }, { 0, 0, 1 } };
	turn(theta_deg, &c, &s);
	const double ry[3][3] = { { c, 0, s }, { 0, 1, 0 }, { -s, 0, c } };
	turn(psi_deg, &c, &s);
	const double rx[3][3] = { { 1, 0, 0 }, { 0, c, -s }, { 0, s, c } };

	pn_matrix3_multiply(pose->rotation, rz, ry);
	pn_matrix3_multiply(pose->rotation, pose->rotation, rx);
	pn_matrix3_transpose(pose->rotation, pose->rotation);
	pose->shift_px[0] = pose->shift_px[1] = 0;
}

void pn_pose_to_euler(const struct pn_pose *pose, double *phi_deg, double *theta_deg,
		      double *psi_deg)
{
	const double(*r)[3] = pose->rotation;
	const double cos_theta = hypot(r[0][0], r[0][1]), deg = 180 / M_PI;

	*theta_deg = atan2(-r[0][2], cos_theta) * deg;
	/* where the other two angles turn about the same axis, rounding would share them out */
	if (cos_theta < 1e-9) {
		*phi_deg = atan2(-r[1][0], r[1][1]) * deg;
		*psi_deg = 0;
	} else {
		*phi_deg = atan2(r[0][1], r[0][0]) * deg;
		*psi_deg = atan2(r[1][2], r[2][2]) * deg;
	}
}

int pn_poses_single_axis(const struct pn_pose *pose, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		const double *y = pose[i].rotation[1];

		if (!(fabs(y[0]) <= 1e-12 && fabs(y[1] - 1) <= 1e-12 && fabs(y[2]) <= 1e-12))
			return 0;
	}
	return 1;
}

int pn_pose_check(const struct pn_pose *pose, size_t number, struct pn_error *err)
{
	double transposed[3][3], product[3][3], worst = 0;

	if (!isfinite(pose->shift_px[0]) || !isfinite(pose->shift_px[1]))
		return pn_error_set(err, PN_EARG,
				    "projection %zu: its shift of %g %g px is not finite", number,
				    pose->shift_px[0], pose->shift_px[1]);
	pn_matrix3_transpose(transposed, pose->rotation);
	pn_matrix3_multiply(product, pose->rotation, transposed);
	for (int i = 0; i < 9; i++) {
		double off = fabs(product[i / 3][i % 3] - (i / 3 == i % 3));

		/* written so that NaN is kept */
		if (!(off <= worst))
			worst = off;
	}
	double det = pn_matrix3_determinant(pose->rotation);
	if (!(worst <= 1e-6) || !(fabs(det - 1) <= 1e-6))
		return pn_error_set(
			err, PN_EARG,
			"projection %zu: not a rotation (R R^T is %.3g off the unit matrix, "
			"det R = %.6g)",
			number, worst, det);
	return PN_OK;
}

static int check_image(const float *image, size_t ny, size_t nx, size_t number,
		       struct pn_error *err)
{
	const size_t count = ny * nx;
	uint32_t any = 0, bad = 0;

	for (size_t i = 0; i < count; i++) {
		uint32_t bits;

		memcpy(&bits, image + i, sizeof bits);
		bits &= 0x7fffffff;
		any |= bits;
		bad |= bits >= 0x7f800000;
	}
	if (bad) {
		size_t i = 0;

		while (isfinite(image[i]))
			i++;
		return pn_error_set(err, PN_EARG, "projection %zu: pixel %zu %zu (y x) is %g",
				    number, i / nx, i % nx, (double)image[i]);
	}
	if (!any)
		return pn_error_set(err, PN_EARG, "projection %zu: all pixels are 0", number);
	return PN_OK;
}

int pn_projections_check(const struct pn_projections *p, struct pn_error *err)
{
	if (!p->count)
		return pn_error_set(err, PN_EARG, "no projections");
	if (!p->ny || !p->nx)
		return pn_error_set(err, PN_EARG, "projection 0: an image of %zu x %zu pixels",
				    p->ny, p->nx);
	for (size_t i = 0; i < p->count; i++) {
		int rc = pn_pose_check(&p->pose[i], i, err);

		if (!rc)
			rc = check_image(p->image + i * p->ny * p->nx, p->ny, p->nx, i, err);
		if (rc)
			return rc;
	}
	return PN_OK;
}
