/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/twin/lens.h"

#include "perrin/math/fft.h"
#include "perrin/twin/electron.h"
#include "phase.h"

#include <math.h>
#include <stdlib.h>

struct pn_lens {
	struct pn_lens_params p;
	float complex *transfer; /* [ny][nx], with the 1/(ny nx) of the FFT pair */
	struct pn_fft *forward, *backward;
};

/* H at frequency (u, v), 1/A */
static double complex transfer_at(const struct pn_lens_params *p, double wavelength, double u,
				  double v)
{
	double q2 = u * u + v * v, q = sqrt(q2), limit = 1 / (3 * p->pixel_A);
	double c3 = p->cs_um * 1e4, c5 = p->c5_mm * 1e7, l2q2 = wavelength * wavelength * q2;
	double angle = p->astigmatism_deg * M_PI / 180;
	/* q^2 cos 2(phi - angle), without dividing by q */
	double twofold = (u * u - v * v) * cos(2 * angle) + 2 * u * v * sin(2 * angle);

	if (q >= limit || (p->aperture_mrad > 0 && wavelength * q > 1e-3 * p->aperture_mrad))
		return 0;
	double chi = M_PI * wavelength *
		     (p->defocus_A * q2 + p->astigmatism_A * twofold + q2 * l2q2 * c3 / 2 +
		      q2 * l2q2 * l2q2 * c5 / 3);
	double temporal = M_PI * wavelength * p->focal_spread_A * q2;
	double slope = q * (p->defocus_A + l2q2 * c3 + l2q2 * l2q2 * c5);
	double spatial = M_PI * 1e-3 * p->convergence_mrad * slope;

	return cexp(-I * chi - temporal * temporal / 2 - spatial * spatial);
}

int pn_lens_plan(struct pn_lens **out, const struct pn_lens_params *params, struct pn_error *err)
{
	struct pn_lens *plan;
	size_t ny = params->ny, nx = params->nx;
	int rc;

	*out = NULL;
	if (ny < 8 || nx < 8 || ny > 16384 || nx > 16384)
		return pn_error_set(err, PN_EARG, "lens: field of %zu x %zu, must be 8..16384", ny,
				    nx);
	if (!(params->pixel_A > 0) || !(params->energy_keV > 0))
		return pn_error_set(err, PN_EARG, "lens: pixel %g A, energy %g keV: must be > 0",
				    params->pixel_A, params->energy_keV);
	plan = calloc(1, sizeof *plan);
	if (!plan)
		return pn_error_set(err, PN_ENOMEM, "lens: no memory for a plan");
	plan->p = *params;
	plan->transfer = pn_fft_alloc(ny * nx * sizeof *plan->transfer);
	if (!plan->transfer) {
		rc = pn_error_set(err, PN_ENOMEM, "lens: no memory for %zu x %zu", ny, nx);
		goto fail;
	}
	rc = pn_fft_plan(&plan->forward, PN_FFT_FORWARD, ny, nx, 1, err);
	if (!rc)
		rc = pn_fft_plan(&plan->backward, PN_FFT_BACKWARD, ny, nx, 1, err);
	if (rc)
		goto fail;

	double wavelength = pn_electron_wavelength_A(params->energy_keV);
	for (size_t y = 0; y < ny; y++) {
		double v = (y <= ny / 2 ? (double)y : (double)y - ny) / (ny * params->pixel_A);

		for (size_t x = 0; x < nx; x++) {
			double u =
				(x <= nx / 2 ? (double)x : (double)x - nx) / (nx * params->pixel_A);

			plan->transfer[y * nx + x] = (float complex)(
				transfer_at(params, wavelength, u, v) / ((double)ny * nx));
		}
	}
	*out = plan;
	return PN_OK;
fail:
	pn_lens_destroy(plan);
	return rc;
}

void pn_lens_destroy(struct pn_lens *plan)
{
	if (!plan)
		return;
	pn_fft_destroy(plan->forward);
	pn_fft_destroy(plan->backward);
	pn_fft_free(plan->transfer);
	free(plan);
}

void pn_lens_execute(const struct pn_lens *plan, float complex *wave, float *image)
{
	size_t pixels = plan->p.ny * plan->p.nx;

	pn_fft_execute(plan->forward, wave, wave);
	for (size_t i = 0; i < pixels; i++)
		wave[i] = pn_phase_mul(wave[i], plan->transfer[i]);
	pn_fft_execute(plan->backward, wave, wave);
	for (size_t i = 0; i < pixels; i++)
		image[i] = crealf(wave[i]) * crealf(wave[i]) + cimagf(wave[i]) * cimagf(wave[i]);
}

double pn_lens_white_defocus_A(double cs_um, double energy_keV)
{
	double c3 = cs_um * 1e4;

	return -copysign(1.2 * sqrt(fabs(c3) * pn_electron_wavelength_A(energy_keV)), c3);
}
