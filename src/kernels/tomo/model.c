/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/model.h"

#include "perrin/math/fit.h"
#include "perrin/tomo/rfactor.h"
#include "perrin/twin/scattering.h"
#include "spots.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define FIT_POINTS    64
#define FIT_GAUSSIANS 3
#define FWHM_SIGMA    2.3548200450309493

double pn_b_factor_A2(double variance_A2)
{
	return 8 * M_PI * M_PI * variance_A2;
}

double pn_b_factor_variance_A2(double b_A2)
{
	return b_A2 / (8 * M_PI * M_PI);
}

void pn_atom_spot_gauss(struct pn_atom_spot *spot, double intensity, double b_A2)
{
	memset(spot, 0, sizeof *spot);
	spot->gaussians = 1;
	spot->intensity[0] = intensity;
	spot->variance_A2[0] = pn_b_factor_variance_A2(b_A2);
}

/* A blurred scattering factor and the Gaussians that are to follow it. */
struct element_fit {
	int z;
	double blur_A2; /* variance of everything that blurs */
	double q_max_per_A;
};

static double fit_q(const struct element_fit *f, int i)
{
	return f->q_max_per_A * (i + 0.5) / FIT_POINTS;
}

/* p: logarithms of the intensities and of the variances; a weight q, as the plane has it */
static int element_residual(const double *p, double *r, void *context)
{
	const struct element_fit *f = context;
	double f0 = pn_scattering_kirkland(f->z, 0);

	for (int i = 0; i < FIT_POINTS; i++) {
		double q = fit_q(f, i), k = 2 * M_PI * M_PI * q * q, sum = 0;

		for (int g = 0; g < FIT_GAUSSIANS; g++)
			sum += exp(p[g] - k * exp(p[FIT_GAUSSIANS + g]));
		r[i] = sqrt(q) * exp(-k * f->blur_A2) *
		       (sum - pn_scattering_kirkland(f->z, q) / f0);
	}
	return 0;
}

/* From several starts, narrow and wide, for there are false minima; the best of them. */
static int element_fit(struct pn_fit_result *best, struct element_fit *f, struct pn_error *err)
{
	static const double start_A2[] = { 0.03, 0.1, 0.3, 1 };
	const struct pn_fit_problem problem = {
		.points = FIT_POINTS,
		.parameters = 2 * FIT_GAUSSIANS,
		.residual = element_residual,
		.context = f,
	};

	best->chi2 = INFINITY;
	for (size_t i = 0; i < PN_COUNT(start_A2); i++) {
		double v = start_A2[i];
		struct pn_fit_result one = { { log(0.4), log(0.4), log(0.2), log(5 * v), log(v),
					       log(0.1 * v) } };
		int status = pn_fit(&one, &problem, err);

		if (status != PN_OK)
			return status;
		if (one.chi2 < best->chi2)
			*best = one;
	}
	return PN_OK;
}

int pn_atom_spot_element(struct pn_atom_spot *spot, int z, double intensity, double b_A2,
			 double source_fwhm_A, struct pn_error *err)
{
	double source = source_fwhm_A / FWHM_SIGMA, total = 0;
	struct element_fit f = { .z = z };
	struct pn_fit_result result;
	int status;

	if (z < 1 || z > 103 || !(b_A2 >= 1 && b_A2 <= 200) ||
	    !(source_fwhm_A >= 0 && source_fwhm_A <= 20) || !isfinite(intensity))
		return pn_error_set(err, PN_EARG,
				    "spot of element %d: intensity %g, B %g A^2 (1 to 200), source "
				    "%g A (0 to 20)",
				    z, intensity, b_A2, source_fwhm_A);
	f.blur_A2 = pn_b_factor_variance_A2(b_A2) + source * source;
	/* where the blur leaves 1e-3 */
	f.q_max_per_A = sqrt(log(1e3) / (2 * M_PI * M_PI * f.blur_A2));
	status = element_fit(&result, &f, err);
	if (status != PN_OK)
		return status;
	memset(spot, 0, sizeof *spot);
	spot->gaussians = FIT_GAUSSIANS;
	for (int g = 0; g < FIT_GAUSSIANS; g++)
		total += exp(result.value[g]);
	for (int g = 0; g < FIT_GAUSSIANS; g++) {
		spot->intensity[g] = intensity * exp(result.value[g]) / total;
		spot->variance_A2[g] = exp(result.value[FIT_GAUSSIANS + g]) + f.blur_A2;
	}
	return PN_OK;
}

static int spot_check(const struct pn_linear_model *model, int s, struct pn_error *err)
{
	const struct pn_atom_spot *spot = &model->spot[s];

	if (spot->gaussians < 1 || spot->gaussians > PN_SPOT_GAUSSIANS_MAX)
		return pn_error_set(err, PN_EARG, "species %d: %d Gaussians, 1 to %d", s,
				    spot->gaussians, PN_SPOT_GAUSSIANS_MAX);
	for (int g = 0; g < spot->gaussians; g++) {
		double sigma_px = sqrt(spot->variance_A2[g]) / model->pixel_A;

		if (!isfinite(spot->intensity[g]) || !(sigma_px >= 0.2 && sigma_px <= 64))
			return pn_error_set(
				err, PN_EARG,
				"species %d, Gaussian %d: intensity %g, sigma %g pixels "
				"(0.2 to 64)",
				s, g, spot->intensity[g], sigma_px);
	}
	return PN_OK;
}

int pn_linear_model_check(const struct pn_linear_model *model, struct pn_error *err)
{
	if (!(model->pixel_A > 0 && isfinite(model->pixel_A)))
		return pn_error_set(err, PN_EARG, "model: pixels of %g A", model->pixel_A);
	if (model->species_count < 1 || model->species_count > PN_MODEL_SPECIES_MAX)
		return pn_error_set(err, PN_EARG, "model: %d species, 1 to %d",
				    model->species_count, PN_MODEL_SPECIES_MAX);
	for (int s = 0; s < model->species_count; s++) {
		int status = spot_check(model, s, err);

		if (status != PN_OK)
			return status;
	}
	for (size_t a = 0; a < model->count; a++) {
		const double *r = model->position_A[a];

		if (model->species[a] >= model->species_count && model->species[a] != PN_NO_ATOM)
			return pn_error_set(err, PN_EARG, "atom %zu: species %d of %d", a,
					    model->species[a], model->species_count);
		if (!isfinite(r[0]) || !isfinite(r[1]) || !isfinite(r[2]))
			return pn_error_set(err, PN_EARG, "atom %zu is at %g %g %g A", a, r[0],
					    r[1], r[2]);
	}
	return PN_OK;
}

static int shape_check(const struct pn_linear_model *model, size_t count, size_t ny, size_t nx,
		       struct pn_error *err)
{
	if (count == 0 || ny == 0 || nx == 0 || ny > 65536 || nx > 65536)
		return pn_error_set(err, PN_EARG, "model: %zu projections of %zu x %zu pixels",
				    count, ny, nx);
	return pn_linear_model_check(model, err);
}

int pn_linear_model_project(const struct pn_linear_model *model, const struct pn_pose *pose,
			    size_t count, size_t ny, size_t nx, float *image, struct pn_error *err)
{
	struct pn_spot_plan plan;
	int status = shape_check(model, count, ny, nx, err), starved = 0;

	if (status != PN_OK)
		return status;
	pn_spot_plan_init(&plan, model, ny, nx);
#pragma omp parallel reduction(| : starved)
	{
		float *canvas = pn_spot_canvas_create(&plan);

#pragma omp for schedule(dynamic)
		for (size_t k = 0; k < count; k++) {
			if (!canvas) {
				starved = 1;
				continue;
			}
			pn_spot_draw(&plan, &pose[k], canvas);
			for (size_t y = 0; y < ny; y++)
				memcpy(image + (k * ny + y) * nx,
				       canvas + pn_spot_corner(&plan) + y * plan.stride,
				       nx * sizeof *image);
		}
		free(canvas);
	}
	return starved ? pn_error_set(err, PN_ENOMEM, "no memory for an image of %zu bytes",
				      pn_spot_canvas(&plan) * sizeof(float))
		       : PN_OK;
}

/* One tilt of the adjoint; the margin of the canvas stays zero. */
static void adjoint_tilt(const struct pn_spot_plan *plan, const struct pn_pose *pose,
			 const float *residual, float *canvas, double (*seen)[2],
			 struct pn_spot_sums *sums)
{
	for (size_t y = 0; y < plan->ny; y++)
		memcpy(canvas + pn_spot_corner(plan) + y * plan->stride, residual + y * plan->nx,
		       plan->nx * sizeof *residual);
	pn_spot_gather(plan, pose, canvas, seen, sums);
}

/* From the frames of the detector to that of the specimen, in the order of the tilts. */
static void adjoint_collect(struct pn_linear_gradient *gradient,
			    const struct pn_linear_model *model, const struct pn_pose *pose,
			    size_t count, double (*seen)[2], const struct pn_spot_sums *sums)
{
	memset(gradient->intensity, 0, sizeof gradient->intensity);
	memset(gradient->variance_A2, 0, sizeof gradient->variance_A2);
	for (size_t k = 0; k < count; k++)
		for (int s = 0; s < PN_MODEL_SPECIES_MAX; s++)
			for (int g = 0; g < PN_SPOT_GAUSSIANS_MAX; g++) {
				gradient->intensity[s][g] += sums[k].intensity[s][g];
				gradient->variance_A2[s][g] += sums[k].variance_A2[s][g];
			}
	if (!gradient->position_A)
		return;
#pragma omp parallel for
	for (size_t a = 0; a < model->count; a++)
		for (int i = 0; i < 3; i++) {
			double sum = 0;

			for (size_t k = 0; k < count; k++) {
				const double *d = seen[k * model->count + a];

				sum += pose[k].rotation[0][i] * d[0] +
				       pose[k].rotation[1][i] * d[1];
			}
			gradient->position_A[a][i] = sum / model->pixel_A;
		}
}

int pn_linear_model_adjoint(const struct pn_linear_model *model, const struct pn_pose *pose,
			    size_t count, size_t ny, size_t nx, const float *residual,
			    struct pn_linear_gradient *gradient, struct pn_error *err)
{
	struct pn_spot_plan plan;
	int status = shape_check(model, count, ny, nx, err), starved = 0;

	if (status != PN_OK)
		return status;
	pn_spot_plan_init(&plan, model, ny, nx);
	double(*seen)[2] = malloc((model->count * count + 1) * sizeof *seen);
	struct pn_spot_sums *sums = malloc(count * sizeof *sums);

	starved = !seen || !sums;
#pragma omp parallel reduction(| : starved)
	{
		float *canvas = pn_spot_canvas_create(&plan);

#pragma omp for schedule(dynamic)
		for (size_t k = 0; k < count; k++)
			if (canvas && seen && sums)
				adjoint_tilt(&plan, &pose[k], residual + k * ny * nx, canvas,
					     seen + k * model->count, &sums[k]);
			else
				starved = 1;
		free(canvas);
	}
	if (!starved)
		adjoint_collect(gradient, model, pose, count, seen, sums);
	free(seen);
	free(sums);
	return starved ? pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms in %zu projections",
				      model->count, count)
		       : PN_OK;
}

int pn_linear_model_rfactor(const struct pn_linear_model *model,
			    const struct pn_projections *measured, struct pn_model_rfactor *r,
			    double *r1, struct pn_error *err)
{
	size_t pixels = measured->ny * measured->nx, all = measured->count * pixels;
	double mb = 0, mm = 0, sum = 0;
	int status = pn_projections_check(measured, err);

	if (status != PN_OK)
		return status;
	float *image = malloc(all * sizeof *image);
	if (!image)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu pixels", all);
	status = pn_linear_model_project(model, measured->pose, measured->count, measured->ny,
					 measured->nx, image, err);
	for (size_t i = 0; status == PN_OK && i < all; i++) {
		mb += (double)image[i] * measured->image[i];
		mm += (double)image[i] * image[i];
	}
	if (status == PN_OK && !(mm > 0))
		status = pn_error_set(err, PN_EARG, "R factor of a model that is 0 everywhere");
	for (size_t i = 0; status == PN_OK && i < all; i++)
		image[i] *= (float)(mb / mm);
	for (size_t k = 0; status == PN_OK && k < measured->count; k++) {
		double one, two;

		pn_rfactor(&one, &two, image + k * pixels, measured->image + k * pixels, pixels);
		sum += one;
		if (r1)
			r1[k] = one;
	}
	if (status == PN_OK) {
		r->scale = mb / mm;
		r->r1_mean = sum / (double)measured->count;
	}
	free(image);
	return status;
}
