/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/twin/brownian.h"

#include "perrin/base/status.h"
#include "perrin/math/rotation.h"

#include <math.h>
#include <string.h>

#define STEP_VARIANCE_MAX  0.01 /* rad^2 per axis of one small rotation  */
#define FORGOTTEN_VARIANCE 40.0 /* exp(-40): nothing is left of the start */

#define ROW(field, unit_, help_, def_, max_)                                              \
	{                                                                                 \
		.name = #field, .unit = unit_, .help = help_, .type = PN_PARAM_F64,       \
		.off = offsetof(struct pn_brownian_params, field), .def = def_, .min = 0, \
		.max = max_                                                               \
	}

const struct pn_param pn_brownian_param_table[] = {
	ROW(rotation_rad2_per_s, "rad2/s", "rotational diffusion constant", 0.5, 1e6),
	ROW(translation_A2_per_s, "A2/s", "translational diffusion constant", 20, 1e9),
	ROW(confine_A, "A", "rms wandering in x and in y; 0 = free", 5, 1e6),
	ROW(z_confine_A, "A", "rms wandering along the beam; 0 = free", 20, 1e6),
	{ 0 },
};

void pn_placement_identity(struct pn_placement *pose)
{
	*pose = (struct pn_placement){ .quaternion = { 1, 0, 0, 0 } };
}

void pn_placement_random(struct pn_placement *pose, struct pn_rng *rng)
{
	pn_placement_identity(pose);
	pn_quaternion_random(pose->quaternion, rng);
}

void pn_placement_rotation(const struct pn_placement *pose, double r[3][3])
{
	pn_quaternion_to_matrix(r, pose->quaternion);
}

static void rotate(double q[4], double variance, struct pn_rng *rng)
{
	if (variance > FORGOTTEN_VARIANCE) {
		pn_quaternion_random(q, rng);
		return;
	}
	int pieces = (int)ceil(variance / STEP_VARIANCE_MAX);
	double sigma = pieces ? sqrt(variance / pieces) : 0;

	for (int i = 0; i < pieces; i++) {
		double vector[3], step[4];

		for (int k = 0; k < 3; k++)
			vector[k] = sigma * pn_rng_gauss(rng);
		pn_quaternion_from_vector(step, vector);
		pn_quaternion_multiply(q, step, q);
	}
	pn_quaternion_normalize(q);
}

static double wander(double x, double diffusion, double confine, double dt, struct pn_rng *rng)
{
	double g = pn_rng_gauss(rng);

	if (confine <= 0)
		return x + sqrt(2 * diffusion * dt) * g;
	double kt = diffusion / (confine * confine) * dt;

	return x * exp(-kt) + confine * sqrt(-expm1(-2 * kt)) * g;
}

void pn_brownian_step(struct pn_placement *pose, const struct pn_brownian_params *params,
		      double dt_s, struct pn_rng *rng)
{
	pn_assert(dt_s >= 0);
	rotate(pose->quaternion, 2 * params->rotation_rad2_per_s * dt_s, rng);
	for (int k = 0; k < 3; k++)
		pose->center_A[k] =
			wander(pose->center_A[k], params->translation_A2_per_s,
			       k < 2 ? params->confine_A : params->z_confine_A, dt_s, rng);
}
