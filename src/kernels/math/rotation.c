/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/math/rotation.h"

#include <math.h>
#include <string.h>

void pn_quaternion_multiply(double out[4], const double a[4], const double b[4])
{
	const double p[4] = {
		a[0] * b[0] - a[1] * b[1] - a[2] * b[2] - a[3] * b[3],
		a[0] * b[1] + a[1] * b[0] + a[2] * b[3] - a[3] * b[2],
		a[0] * b[2] - a[1] * b[3] + a[2] * b[0] + a[3] * b[1],
		a[0] * b[3] + a[1] * b[2] - a[2] * b[1] + a[3] * b[0],
	};

	memcpy(out, p, sizeof p);
}

void pn_quaternion_conjugate(double out[4], const double q[4])
{
	out[0] = q[0];
	for (int i = 1; i < 4; i++)
		out[i] = -q[i];
}

void pn_quaternion_normalize(double q[4])
{
	double norm = sqrt(q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);

	if (!(norm > 0)) {
		q[0] = 1;
		q[1] = q[2] = q[3] = 0;
		return;
	}
	for (int i = 0; i < 4; i++)
		q[i] /= norm;
}

void pn_quaternion_from_vector(double q[4], const double vector_rad[3])
{
	double x = vector_rad[0], y = vector_rad[1], z = vector_rad[2];
	double angle = sqrt(x * x + y * y + z * z);
	/* sin(a/2)/a; below 1e-4 rad the next term of its series is under 1e-18 of it */
	double s = angle > 1e-4 ? sin(angle / 2) / angle : 0.5 - angle * angle / 48;

	q[0] = cos(angle / 2);
	q[1] = s * x;
	q[2] = s * y;
	q[3] = s * z;
}

void pn_quaternion_to_vector(double vector_rad[3], const double q[4])
{
	double s = sqrt(q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
	/* q and -q are one rotation; the sign of w picks the way round that is at most pi */
	double sign = q[0] < 0 ? -1 : 1;
	double scale = s > 0 ? sign * 2 * atan2(s, fabs(q[0])) / s : 2 * sign;

	for (int i = 0; i < 3; i++)
		vector_rad[i] = scale * q[i + 1];
}

double pn_quaternion_angle_rad(const double a[4], const double b[4])
{
	double inverse[4], d[4];

	pn_quaternion_conjugate(inverse, a);
	pn_quaternion_multiply(d, b, inverse);
	return 2 * atan2(sqrt(d[1] * d[1] + d[2] * d[2] + d[3] * d[3]), fabs(d[0]));
}

void pn_quaternion_to_matrix(double r[3][3], const double q[4])
{
	double w = q[0], x = q[1], y = q[2], z = q[3];

	r[0][0] = 1 - 2 * (y * y + z * z);
	r[0][1] = 2 * (x * y - w * z);
	r[0][2] = 2 * (x * z + w * y);
	r[1][0] = 2 * (x * y + w * z);
	r[1][1] = 1 - 2 * (x * x + z * z);
	r[1][2] = 2 * (y * z - w * x);
	r[2][0] = 2 * (x * z - w * y);
	r[2][1] = 2 * (y * z + w * x);
	r[2][2] = 1 - 2 * (x * x + y * y);
}

void pn_quaternion_from_matrix(double q[4], const double r[3][3])
{
	double trace = r[0][0] + r[1][1] + r[2][2];
	int i = 0; /* the largest of w, x, y, z */

	if (r[1][1] > r[i][i])
		i = 1;
	if (r[2][2] > r[i][i])
		i = 2;
	if (trace >= r[i][i]) {
		q[0] = 1 + trace;
		q[1] = r[2][1] - r[1][2];
		q[2] = r[0][2] - r[2][0];
		q[3] = r[1][0] - r[0][1];
	} else {
		int j = (i + 1) % 3, k = (i + 2) % 3;

		q[0] = r[k][j] - r[j][k];
		q[i + 1] = 1 + 2 * r[i][i] - trace;
		q[j + 1] = r[j][i] + r[i][j];
		q[k + 1] = r[k][i] + r[i][k];
	}
	pn_quaternion_normalize(q);
	if (q[0] < 0)
		for (int n = 0; n < 4; n++)
			q[n] = -q[n];
}

void pn_quaternion_random(double q[4], struct pn_rng *rng)
{
	double norm2;

	do {
		norm2 = 0;
		for (int i = 0; i < 4; i++) {
			q[i] = pn_rng_gauss(rng);
			norm2 += q[i] * q[i];
		}
	} while (norm2 < 1e-20);
	pn_quaternion_normalize(q);
}
