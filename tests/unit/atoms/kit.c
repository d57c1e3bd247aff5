/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kit.h"

#include "perrin/base/element.h"
#include "perrin/math/rotation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct kit_model make(size_t count)
{
	struct kit_model model = { malloc((count + 1) * sizeof *model.position_A),
				   malloc(count + 1), count };

	assert_non_null(model.position_A);
	assert_non_null(model.element);
	return model;
}

struct kit_model kit_solid(enum pn_shape shape, size_t count, double a_A, uint8_t z)
{
	struct pn_specimen_params params;
	struct pn_specimen *spec;
	struct pn_error err = { 0 };

	pn_params_default(pn_specimen_param_table, &params);
	params.shape = (int)shape;
	snprintf(params.element, sizeof params.element, "%s", pn_element_symbol(z));
	params.lattice_A = a_A;
	params.diameter_nm = 0.1 * cbrt(6 * (double)count * a_A * a_A * a_A / (4 * M_PI));
	params.vacancy_fraction = params.alloy_fraction = params.shell_nm = params.thermal_A = 0;
	if (pn_specimen_create(&spec, &params, 1, &err))
		fail_msg("%s", err.text);
	struct kit_model model = make(spec->count);

	memcpy(model.position_A, spec->position_A, spec->count * sizeof *model.position_A);
	memset(model.element, z, spec->count);
	pn_specimen_destroy(spec);
	return model;
}

struct kit_model kit_gas(size_t count, double radius_A, uint8_t z, uint64_t seed)
{
	struct kit_model model = make(count);
	struct pn_rng rng;
	size_t have = 0;

	pn_rng_init(&rng, seed, 0);
	while (have < count) {
		double p[3], r2 = 0;
		int good = 1;

		for (int k = 0; k < 3; k++) {
			p[k] = radius_A * (2 * pn_rng_uniform(&rng) - 1);
			r2 += p[k] * p[k];
		}
		if (r2 > radius_A * radius_A)
			continue;
		for (size_t i = 0; i < have && good; i++) {
			const double *q = model.position_A[i];
			double d2 = (p[0] - q[0]) * (p[0] - q[0]) + (p[1] - q[1]) * (p[1] - q[1]) +
				    (p[2] - q[2]) * (p[2] - q[2]);

			good = d2 >= 4;
		}
		if (good)
			memcpy(model.position_A[have++], p, sizeof p);
	}
	memset(model.element, z, count);
	return model;
}

struct kit_model kit_copy(const struct kit_model *model)
{
	struct kit_model copy = make(model->count);

	memcpy(copy.position_A, model->position_A, model->count * sizeof *copy.position_A);
	memcpy(copy.element, model->element, model->count);
	return copy;
}

void kit_free(struct kit_model *model)
{
	free(model->position_A);
	free(model->element);
	*model = (struct kit_model){ 0 };
}

struct pn_atoms kit_view(const struct kit_model *model)
{
	return (struct pn_atoms){ (const double(*)[3])model->position_A, model->element,
				  model->count };
}

void kit_turn(struct kit_model *model, uint64_t seed)
{
	struct pn_rng rng;
	double q[4], r[3][3], shift[3];

	pn_rng_init(&rng, seed, 1);
	pn_quaternion_random(q, &rng);
	pn_quaternion_to_matrix(r, q);
	for (int k = 0; k < 3; k++)
		shift[k] = 100 * pn_rng_gauss(&rng);
	for (size_t i = 0; i < model->count; i++) {
		double p[3];

		memcpy(p, model->position_A[i], sizeof p);
		for (int k = 0; k < 3; k++)
			model->position_A[i][k] =
				r[k][0] * p[0] + r[k][1] * p[1] + r[k][2] * p[2] + shift[k];
	}
}

void kit_shuffle(struct kit_model *model, uint64_t seed, uint32_t *from)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 2);
	for (size_t i = 0; from && i < model->count; i++)
		from[i] = (uint32_t)i;
	for (size_t i = model->count; i > 1; i--) {
		size_t j = pn_rng_below(&rng, (uint32_t)i);
		double p[3];
		uint8_t z = model->element[j];

		memcpy(p, model->position_A[j], sizeof p);
		memcpy(model->position_A[j], model->position_A[i - 1], sizeof p);
		memcpy(model->position_A[i - 1], p, sizeof p);
		model->element[j] = model->element[i - 1];
		model->element[i - 1] = z;
		if (from) {
			uint32_t f = from[j];

			from[j] = from[i - 1];
			from[i - 1] = f;
		}
	}
}

void kit_shake(struct kit_model *model, double sigma_A, uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 3);
	for (size_t i = 0; i < model->count; i++)
		for (int k = 0; k < 3; k++)
			model->position_A[i][k] += sigma_A * pn_rng_gauss(&rng);
}

void kit_near_at(double a, double b, double tolerance, const char *what, const char *file, int line)
{
	double scale = fabs(b) > 1 ? fabs(b) : 1;

	if ((isnan(a) && isnan(b)) || a == b || fabs(a - b) <= tolerance * scale)
		return;
	print_error("%s = %.17g, should be %.17g; off by %.3g\n", what, a, b, a - b);
	_fail(file, line);
}
