/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/orient/symmetry.h"

#include "perrin/math/linear.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define HALF M_SQRT1_2

/* 1; 180 deg about <100>; 120 deg about <111>; 90 deg about <100>; 180 deg about <110> */
const double pn_cubic_rotations[PN_CUBIC_ROTATIONS][4] = {
	{ 1, 0, 0, 0 },           { 0, 1, 0, 0 },           { 0, 0, 1, 0 },
	{ 0, 0, 0, 1 },           { 0.5, 0.5, 0.5, 0.5 },   { 0.5, 0.5, 0.5, -0.5 },
	{ 0.5, 0.5, -0.5, 0.5 },  { 0.5, 0.5, -0.5, -0.5 }, { 0.5, -0.5, 0.5, 0.5 },
	{ 0.5, -0.5, 0.5, -0.5 }, { 0.5, -0.5, -0.5, 0.5 }, { 0.5, -0.5, -0.5, -0.5 },
	{ HALF, HALF, 0, 0 },     { HALF, -HALF, 0, 0 },    { HALF, 0, HALF, 0 },
	{ HALF, 0, -HALF, 0 },    { HALF, 0, 0, HALF },     { HALF, 0, 0, -HALF },
	{ 0, HALF, HALF, 0 },     { 0, HALF, -HALF, 0 },    { 0, HALF, 0, HALF },
	{ 0, HALF, 0, -HALF },    { 0, 0, HALF, HALF },     { 0, 0, HALF, -HALF },
};

static const double deg_rad = 180 / M_PI;
static const double right_deg = 5, common_deg = 10;
static const size_t modes_max = 512; /* frames whose own rotation is tried as the common one */

static double absolute_dot(const double a[4], const double b[4])
{
	return fabs(a[0] * b[0] + a[1] * b[1] + a[2] * b[2] + a[3] * b[3]);
}

/* @out = @a^-1 @b */
static void between(double out[4], const double a[4], const double b[4])
{
	double inverse[4];

	pn_quaternion_conjugate(inverse, a);
	pn_quaternion_multiply(out, inverse, b);
}

/* angle from @q to the nearest rotation of the cube */
static double nearest_deg(const double q[4])
{
	size_t nearest = 0;
	double largest = 0;

	for (size_t i = 0; i < PN_CUBIC_ROTATIONS; i++) {
		double dot = absolute_dot(q, pn_cubic_rotations[i]);

		if (dot > largest) {
			largest = dot;
			nearest = i;
		}
	}
	return pn_quaternion_angle_rad(q, pn_cubic_rotations[nearest]) * deg_rad;
}

double pn_cubic_angle_deg(const double a[4], const double b[4])
{
	double turn[4];

	between(turn, a, b);
	return nearest_deg(turn);
}

enum pn_pose_relation pn_pose_relate(const double a[4], const double b[4], const double crystal[4],
				     double tolerance_deg, double *angle_deg)
{
	static const double beam[2][4] = { { 1, 0, 0, 0 }, { 0, 0, 0, 1 } };
	double direct = pn_quaternion_angle_rad(a, b) * deg_rad, nearest = direct;

	for (int i = 0; i < 2; i++) {
		double turn[4];

		/* a = beam b C S C^-1 is C^-1 (a^-1 beam b) C = S^-1 */
		pn_quaternion_multiply(turn, beam[i], b);
		between(turn, a, turn);
		if (crystal) {
			pn_quaternion_multiply(turn, turn, crystal);
			between(turn, crystal, turn);
		}
		nearest = fmin(nearest, nearest_deg(turn));
	}
	if (angle_deg)
		*angle_deg = nearest;
	if (direct <= tolerance_deg)
		return PN_POSE_SAME;
	return nearest <= tolerance_deg ? PN_POSE_FLIP : PN_POSE_OTHER;
}

static int check(const char *what, const double (*q)[4], const double (*shift_px)[2], size_t count,
		 struct pn_error *err)
{
	for (size_t i = 0; i < count; i++) {
		double norm2 = 0;

		for (int k = 0; k < 4; k++)
			norm2 += q[i][k] * q[i][k];
		if (!(fabs(norm2 - 1) < 1e-6))
			return pn_error_set(err, PN_EARG, "%s pose %zu: quaternion of norm %g",
					    what, i, sqrt(norm2));
		if (shift_px && !(isfinite(shift_px[i][0]) && isfinite(shift_px[i][1])))
			return pn_error_set(err, PN_EARG, "%s pose %zu: shift (%g, %g) px", what, i,
					    shift_px[i][0], shift_px[i][1]);
	}
	return PN_OK;
}

/* the turn that most others are near, each within half of common_deg counting the more the nearer
 */
static void find_mode(double mode[4], const double (*turn)[4], size_t count)
{
	size_t tries = count < modes_max ? count : modes_max, best = 0;
	double edge = cos(common_deg / 4 / deg_rad), largest = -1;

	for (size_t n = 0; n < tries; n++) {
		size_t i = n * count / tries;
		double votes = 0;

		for (size_t k = 0; k < count; k++)
			votes += fmax(0, absolute_dot(turn[i], turn[k]) - edge);
		if (votes > largest) {
			largest = votes;
			best = i;
		}
	}
	memcpy(mode, turn[best], sizeof turn[best]);
}

/* mean of the turns within common_deg of the mean, again and again until they are the same ones */
static void find_common(double common[4], const double (*turn)[4], size_t count)
{
	double edge = cos(common_deg / 2 / deg_rad);

	find_mode(common, turn, count);
	for (int round = 0; round < 20; round++) {
		double sum[4] = { 0 };

		for (size_t k = 0; k < count; k++) {
			double dot = 0;

			for (int i = 0; i < 4; i++)
				dot += turn[k][i] * common[i];
			for (int i = 0; i < 4 && fabs(dot) >= edge; i++)
				sum[i] += dot < 0 ? -turn[k][i] : turn[k][i];
		}
		pn_quaternion_normalize(sum);
		if (absolute_dot(sum, common) > 1 - 1e-15)
			break;
		memcpy(common, sum, sizeof sum);
	}
	if (common[0] < 0)
		for (int i = 0; i < 4; i++)
			common[i] = -common[i];
}

static int ascending(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void score_angles(struct pn_pose_score *score, const double (*found)[4],
			 const double (*truth)[4], double *error_deg, double *right)
{
	double crystal[4], sum = 0;

	pn_quaternion_conjugate(crystal, score->common);
	for (size_t k = 0; k < score->count; k++) {
		double expected[4];

		pn_quaternion_multiply(expected, truth[k], score->common);
		error_deg[k] = pn_quaternion_angle_rad(expected, found[k]) * deg_rad;
		sum += error_deg[k];
		if (error_deg[k] <= right_deg)
			right[score->within_5deg++] = error_deg[k];
		else if (pn_pose_relate(found[k], expected, crystal, right_deg, NULL) ==
			 PN_POSE_FLIP)
			score->flipped++;
	}
	score->mean_deg = sum / (double)score->count;
	score->median_deg = NAN;
	if (score->within_5deg) {
		size_t n = score->within_5deg;

		qsort(right, n, sizeof *right, ascending);
		score->median_deg = (right[(n - 1) / 2] + right[n / 2]) / 2;
	}
}

/* least |a c - b|^2 by a^T a and a^T b; what a says nothing about gets 0 */
static void solve_shift(double c[3], const double ata[3][3], const double atb[3])
{
	double value[3], vector[3][3];

	pn_symmetric3_eigen(value, vector, ata);
	memset(c, 0, 3 * sizeof *c);
	for (int i = 0; i < 3; i++) {
		double along = 0;

		if (value[i] <= 1e-9 * value[2])
			continue;
		for (int k = 0; k < 3; k++)
			along += vector[i][k] * atb[k];
		for (int k = 0; k < 3; k++)
			c[k] += along / value[i] * vector[i][k];
	}
}

static void score_shifts(struct pn_pose_score *score, const double (*truth)[4],
			 const double (*found_px)[2], const double (*truth_px)[2],
			 const double *error_deg)
{
	double ata[3][3] = { { 0 } }, atb[3] = { 0 }, c[3] = { 0 }, sum2 = 0;

	for (int pass = 0; pass < 2; pass++) {
		for (size_t k = 0; k < score->count; k++) {
			double r[3][3];

			if (error_deg[k] > right_deg)
				continue;
			pn_quaternion_to_matrix(r, truth[k]);
			for (int row = 0; row < 2; row++) {
				double d = found_px[k][row] - truth_px[k][row];
				double rest =
					d - r[row][0] * c[0] - r[row][1] * c[1] - r[row][2] * c[2];

				sum2 += pass * rest * rest;
				for (int i = 0; i < 3; i++) {
					atb[i] += r[row][i] * d;
					for (int j = 0; j < 3; j++)
						ata[i][j] += r[row][i] * r[row][j];
				}
			}
		}
		if (pass == 0)
			solve_shift(c, ata, atb);
	}
	memcpy(score->shift_common_px, c, sizeof c);
	score->shift_rms_px =
		score->within_5deg ? sqrt(sum2 / (2 * (double)score->within_5deg)) : NAN;
}

int pn_pose_score(struct pn_pose_score *score, const double (*found)[4], const double (*truth)[4],
		  const double (*found_shift_px)[2], const double (*truth_shift_px)[2],
		  size_t count, double *error_deg, struct pn_error *err)
{
	double(*turn)[4], *error, *right;

	memset(score, 0, sizeof *score);
	if (count == 0)
		return pn_error_set(err, PN_EARG, "no poses to compare");
	if (!found_shift_px != !truth_shift_px)
		return pn_error_set(err, PN_EARG, "shifts of the %s poses only",
				    found_shift_px ? "found" : "true");
	if (check("found", found, found_shift_px, count, err) ||
	    check("true", truth, truth_shift_px, count, err))
		return PN_EARG;
	turn = malloc(count * sizeof *turn);
	error = malloc(count * sizeof *error);
	right = malloc(count * sizeof *right);
	if (turn && error && right) {
		score->count = count;
		for (size_t k = 0; k < count; k++)
			between(turn[k], truth[k], found[k]);
		find_common(score->common, (const double(*)[4])turn, count);
		score_angles(score, found, truth, error, right);
		if (found_shift_px)
			score_shifts(score, truth, found_shift_px, truth_shift_px, error);
		if (error_deg)
			memcpy(error_deg, error, count * sizeof *error);
	}
	int short_of = !turn || !error || !right;

	free(turn);
	free(error);
	free(right);
	return short_of ? pn_error_set(err, PN_ENOMEM, "no memory to compare %zu poses", count)
			: PN_OK;
}
