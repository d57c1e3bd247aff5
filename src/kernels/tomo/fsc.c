/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/fsc.h"

#include "perrin/math/fft.h"
#include "perrin/math/fft3.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a shell adds up. */
struct shell {
	double cross, a, b, samples;
};

struct pair {
	const struct pn_box *box;
	const float complex *a, *b;
	size_t edge, shells;
	double axis[3], cosine; /* of the cone; cosine 0: none */
};

static size_t longest(const struct pn_box *box)
{
	size_t n = box->nz > box->ny ? box->nz : box->ny;

	return n > box->nx ? n : box->nx;
}

size_t pn_fsc_shells(const struct pn_box *box)
{
	return longest(box) / 2 + 1;
}

static double frequency(size_t k, size_t n)
{
	return ((double)k - (2 * k > n ? (double)n : 0)) / (double)n;
}

static int in_cone(const struct pair *p, const double f[3], double length)
{
	double along = fabs(f[0] * p->axis[0] + f[1] * p->axis[1] + f[2] * p->axis[2]);

	/* the mean has no direction; rounding does not exclude what lies on the border */
	return p->cosine == 0 || along >= p->cosine * length - 1e-12;
}

static void add_plane(const struct pair *p, size_t z, struct shell *shell)
{
	const size_t ny = p->box->ny, nx = p->box->nx, half = nx / 2 + 1;

	for (size_t y = 0; y < ny; y++)
		for (size_t x = 0; x < half; x++) {
			const size_t at = (z * ny + y) * half + x;
			const double f[3] = { frequency(x, nx), frequency(y, ny),
					      frequency(z, p->box->nz) };
			const double length = sqrt(f[0] * f[0] + f[1] * f[1] + f[2] * f[2]);
			const size_t s = (size_t)(length * (double)p->edge + 0.5);

			if (s >= p->shells || !in_cone(p, f, length))
				continue;
			/* of the others both F and -F stand in the half spectrum */
			const double w = x > 0 && 2 * x < nx ? 1 : 0.5;
			const double ar = crealf(p->a[at]), ai = cimagf(p->a[at]);
			const double br = crealf(p->b[at]), bi = cimagf(p->b[at]);

			shell[s].cross += w * (ar * br + ai * bi);
			shell[s].a += w * (ar * ar + ai * ai);
			shell[s].b += w * (br * br + bi * bi);
			shell[s].samples += w;
		}
}

/* Planes apart, then in their order: the sums do not depend on who made them. */
static void correlate(const struct pair *p, struct shell *shell, double *fsc, double *samples)
{
	const size_t nz = p->box->nz;

#pragma omp parallel for schedule(static)
	for (size_t z = 0; z < nz; z++)
		add_plane(p, z, shell + z * p->shells);
	for (size_t s = 0; s < p->shells; s++) {
		struct shell sum = { 0 };

		for (size_t z = 0; z < nz; z++) {
			sum.cross += shell[z * p->shells + s].cross;
			sum.a += shell[z * p->shells + s].a;
			sum.b += shell[z * p->shells + s].b;
			sum.samples += shell[z * p->shells + s].samples;
		}
		fsc[s] = sum.a > 0 && sum.b > 0 ? sum.cross / sqrt(sum.a * sum.b) : NAN;
		if (samples)
			samples[s] = sum.samples;
	}
}

static int check_volume(const float *volume, const char *name, const struct pn_box *box,
			struct pn_error *err)
{
	for (size_t i = 0; i < pn_box_voxels(box); i++)
		if (!isfinite(volume[i]))
			return pn_error_set(err, PN_EARG,
					    "FSC: voxel %zu %zu %zu (z y x) of the %s volume is %g",
					    i / box->nx / box->ny, i / box->nx % box->ny,
					    i % box->nx, name, (double)volume[i]);
	return PN_OK;
}

static int set_cone(struct pair *p, const struct pn_cone *cone, struct pn_error *err)
{
	const double *axis = cone->axis;
	double length = sqrt(axis[0] * axis[0] + axis[1] * axis[1] + axis[2] * axis[2]);

	if (!(cone->half_angle_deg > 0 && cone->half_angle_deg <= 90) || !(length > 0) ||
	    !isfinite(length))
		return pn_error_set(
			err, PN_EARG,
			"FSC: a cone of %g deg about %g %g %g: the angle must be above 0, 90 at "
			"most, the axis not 0",
			cone->half_angle_deg, axis[0], axis[1], axis[2]);
	for (int i = 0; i < 3; i++)
		p->axis[i] = axis[i] / length;
	p->cosine = cos(cone->half_angle_deg * (M_PI / 180));
	return PN_OK;
}

int pn_fsc(const float *a, const float *b, const struct pn_box *box, const struct pn_cone *cone,
	   double *fsc, double *samples, struct pn_error *err)
{
	struct pair p = { .box = box, .edge = longest(box), .shells = pn_fsc_shells(box) };
	struct pn_fft3 *fft;
	int rc = pn_fft3_plan(&fft, box->nz, box->ny, box->nx, err);

	if (!rc)
		rc = check_volume(a, "first", box, err);
	if (!rc)
		rc = check_volume(b, "second", box, err);
	if (!rc && cone)
		rc = set_cone(&p, cone, err);
	if (rc) {
		pn_fft3_destroy(fft);
		return rc;
	}
	const size_t bytes = pn_fft3_spectrum(fft) * sizeof(float complex);
	float complex *first = pn_fft_alloc(bytes), *second = pn_fft_alloc(bytes);
	struct shell *shell = calloc(box->nz * p.shells, sizeof *shell);

	if (first && second && shell) {
		pn_fft3_forward(fft, a, box->nz, box->ny, box->nx, first);
		pn_fft3_forward(fft, b, box->nz, box->ny, box->nx, second);
		p.a = first;
		p.b = second;
		correlate(&p, shell, fsc, samples);
	} else {
		rc = pn_error_set(err, PN_ENOMEM, "no memory for the FSC of %zu x %zu x %zu voxels",
				  box->nz, box->ny, box->nx);
	}
	pn_fft_free(first);
	pn_fft_free(second);
	free(shell);
	pn_fft3_destroy(fft);
	return rc;
}

static double threshold_at(enum pn_fsc_threshold threshold, double samples)
{
	if (threshold == PN_FSC_0_143)
		return 0.143;
	if (threshold == PN_FSC_0_5)
		return 0.5;
	const double root = 1 / sqrt(samples);
	return (0.2071 + 1.9102 * root) / (1.2071 + 0.9102 * root);
}

double pn_fsc_frequency(const double *fsc, const double *samples, size_t shells, size_t edge,
			enum pn_fsc_threshold threshold)
{
	double before = 0;
	size_t last = 0;

	for (size_t s = 1; s < shells; s++) {
		if (isnan(fsc[s]))
			continue;
		const double above = fsc[s] - threshold_at(threshold, samples ? samples[s] : 1);
		if (above < 0) {
			if (!last)
				return 0;
			return ((double)last + (double)(s - last) * before / (before - above)) /
			       (double)edge;
		}
		before = above;
		last = s;
	}
	return last ? (double)(shells - 1) / (double)edge : 0;
}
