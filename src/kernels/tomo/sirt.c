/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/sirt.h"

#include "perrin/math/fft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sirt {
	size_t voxels, pixels; /* of all images */
	float *volume;         /* [voxels] u                      */
	float *step;           /* [voxels] C, then its use        */
	float *gradient;       /* [voxels] A^T R (b - A u)        */
	float *images;         /* [pixels] A u, then R (b - A u)  */
	float *rows;           /* [pixels] R                      */
	double *r;             /* [2][count]                      */
};

void pn_sirt_defaults(struct pn_sirt_options *options)
{
	*options = (struct pn_sirt_options){
		.relaxation = 1, .iterations = 100, .record_every = 1, .positive = 1
	};
}

static int check(const struct pn_box *box, const struct pn_projections *projections,
		 const struct pn_sirt_options *o, struct pn_error *err)
{
	int rc = pn_projections_check(projections, err);

	if (rc)
		return rc;
	if (box->nz < 1 || box->ny < 1 || box->nx < 1)
		return pn_error_set(err, PN_EARG, "SIRT: a volume of %zu x %zu x %zu voxels",
				    box->nz, box->ny, box->nx);
	if (!(o->relaxation > 0 && o->relaxation < 2))
		return pn_error_set(err, PN_EARG, "SIRT: relaxation %g, must be between 0 and 2",
				    o->relaxation);
	if (o->iterations < 1 || o->record_every < 0)
		return pn_error_set(err, PN_EARG, "SIRT: %d iterations, a record every %d",
				    o->iterations, o->record_every);
	for (size_t i = 0; o->initial && i < pn_box_voxels(box); i++)
		if (!isfinite(o->initial[i]))
			return pn_error_set(err, PN_EARG,
					    "SIRT: voxel %zu of the volume to start from is %g", i,
					    (double)o->initial[i]);
	return PN_OK;
}

static void sirt_free(struct sirt *s)
{
	pn_fft_free(s->volume);
	pn_fft_free(s->step);
	pn_fft_free(s->gradient);
	pn_fft_free(s->images);
	pn_fft_free(s->rows);
	free(s->r);
}

static int allocate(struct sirt *s, size_t count, struct pn_error *err)
{
	size_t voxels = s->voxels * sizeof(float), pixels = s->pixels * sizeof(float);

	s->volume = pn_fft_alloc(voxels);
	s->step = pn_fft_alloc(voxels);
	s->gradient = pn_fft_alloc(voxels);
	s->images = pn_fft_alloc(pixels);
	s->rows = pn_fft_alloc(pixels);
	s->r = malloc(2 * count * sizeof *s->r);
	if (!s->volume || !s->step || !s->gradient || !s->images || !s->rows || !s->r)
		return pn_error_set(
			err, PN_ENOMEM, "SIRT: %zu voxels from %zu projections need %zu bytes",
			s->voxels, count, 3 * voxels + 2 * pixels + 2 * count * sizeof *s->r);
	return PN_OK;
}

/* sums -> their inverses */
static int invert(float *sum, size_t count, const char *what, struct pn_error *err)
{
	float largest = 0;

	for (size_t i = 0; i < count; i++) {
		if (!isfinite(sum[i]))
			return pn_error_set(err, PN_EARG,
					    "SIRT: the sum of %s %zu of the operator is %g", what,
					    i, (double)sum[i]);
		largest = sum[i] > largest ? sum[i] : largest;
	}
	if (largest <= 0)
		return pn_error_set(err, PN_EARG, "SIRT: the sums of the operator's %ss are all 0",
				    what);
	for (size_t i = 0; i < count; i++)
		sum[i] = sum[i] > 1e-6f * largest ? 1 / sum[i] : 0;
	return PN_OK;
}

static int normalize(struct sirt *s, const struct pn_sirt_operator *a,
		     const struct pn_sirt_options *o, struct pn_error *err)
{
	for (size_t i = 0; i < s->voxels; i++)
		s->gradient[i] = 1;
	for (size_t i = 0; i < s->pixels; i++)
		s->images[i] = 1;
	a->forward(a->context, s->gradient, s->rows);
	a->backward(a->context, s->images, s->step);
	int rc = invert(s->rows, s->pixels, "row", err);
	if (!rc)
		rc = invert(s->step, s->voxels, "column", err);
	for (size_t i = 0; i < s->voxels; i++) {
		int in = !o->support || o->support[i];

		s->step[i] *= in ? (float)o->relaxation : 0;
		s->volume[i] = in && o->initial ? o->initial[i] : 0;
	}
	return rc;
}

static void iterate(struct sirt *s, const struct pn_projections *p,
		    const struct pn_sirt_operator *a, const struct pn_sirt_options *o,
		    struct pn_rfactors *history)
{
	size_t each = p->ny * p->nx;

	for (int i = 1; i <= o->iterations; i++) {
		a->forward(a->context, s->volume, s->images);
		if (o->record_every && i % o->record_every == 0) {
			for (size_t k = 0; k < p->count; k++)
				pn_rfactor(&s->r[k], &s->r[p->count + k], s->images + k * each,
					   p->image + k * each, each);
			double r1 = pn_rfactors_add(history, i, s->r, s->r + p->count);
			if (o->progress && o->progress(o->context, i, r1))
				return;
		}
		for (size_t j = 0; j < s->pixels; j++)
			s->images[j] = s->rows[j] * (p->image[j] - s->images[j]);
		a->backward(a->context, s->images, s->gradient);
		for (size_t j = 0; j < s->voxels; j++) {
			float u = s->volume[j] + s->step[j] * s->gradient[j];

			s->volume[j] = o->positive && !(u > 0) ? 0 : u;
		}
		history->iterations = i;
	}
}

int pn_sirt(float *volume, const struct pn_box *box, const struct pn_projections *projections,
	    const struct pn_sirt_operator *a, const struct pn_sirt_options *options,
	    struct pn_rfactors *history, struct pn_error *err)
{
	struct sirt s = { 0 };
	struct pn_rfactors own = { 0 };
	int rc = check(box, projections, options, err);

	if (rc)
		return rc;
	s.voxels = pn_box_voxels(box);
	s.pixels = projections->count * projections->ny * projections->nx;
	rc = pn_rfactors_init(
		&own,
		options->record_every ? (size_t)(options->iterations / options->record_every) : 0,
		projections->count, err);
	if (!rc)
		rc = allocate(&s, projections->count, err);
	if (!rc)
		rc = normalize(&s, a, options, err);
	if (!rc) {
		iterate(&s, projections, a, options, &own);
		memcpy(volume, s.volume, s.voxels * sizeof *volume);
	}
	sirt_free(&s);
	if (!rc && history)
		*history = own;
	else
		pn_rfactors_free(&own);
	return rc;
}
