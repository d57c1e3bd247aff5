/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/math/fft.h"
#include "perrin/tomo/flip.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define COLUMN_ATOMS_MAX 4096

/* What one thread works with. */
struct bench {
	struct pn_multislice_scratch *scratch;
	float complex *wave;
	float *image;
	double (*position_A)[3];
	uint8_t *element;
};

struct multislice {
	struct pn_flip_engine engine;
	struct pn_flip_multislice_params p;
	struct pn_multislice *plan;
	struct pn_lens *lens;
	struct bench *bench; /* [threads] */
	int threads;
};

static void bench_finish(struct bench *b)
{
	pn_multislice_scratch_destroy(b->scratch);
	pn_fft_free(b->wave);
	free(b->image);
	free(b->position_A);
	free(b->element);
}

static int bench_init(struct bench *b, const struct multislice *m, struct pn_error *err)
{
	size_t pixels = m->p.wave.ny * m->p.wave.nx;
	int status = pn_multislice_scratch_create(&b->scratch, m->plan, COLUMN_ATOMS_MAX, err);

	if (status != PN_OK)
		return status;
	b->wave = pn_fft_alloc(pixels * sizeof *b->wave);
	b->image = malloc(pixels * sizeof *b->image);
	b->position_A = malloc(COLUMN_ATOMS_MAX * sizeof *b->position_A);
	b->element = malloc(COLUMN_ATOMS_MAX);
	if (!b->wave || !b->image || !b->position_A || !b->element)
		return pn_error_set(err, PN_ENOMEM, "no memory for columns of %zu x %zu pixels",
				    m->p.wave.ny, m->p.wave.nx);
	return PN_OK;
}

/*
 * The atoms as the microscope sees them, in A from the pixel of the field that the middle of the
 * window falls on.
 */
static void place(const struct multislice *m, struct bench *b, const double (*position_A)[3],
		  const uint8_t *species, size_t count, const struct pn_flip_window *w)
{
	const double(*r)[3] = w->pose->rotation;
	double pixel = m->p.wave.pixel_A;
	double x0 = (double)(w->image_nx / 2) + w->pose->shift_px[0] -
		    (double)(w->x0 + (long)(w->nx / 2));
	double y0 = (double)(w->image_ny / 2) + w->pose->shift_px[1] -
		    (double)(w->y0 + (long)(w->ny / 2));

	for (size_t a = 0; a < count; a++) {
		for (int i = 0; i < 3; i++)
			b->position_A[a][i] = r[i][0] * position_A[a][0] +
					      r[i][1] * position_A[a][1] +
					      r[i][2] * position_A[a][2];
		b->position_A[a][0] += x0 * pixel;
		b->position_A[a][1] += y0 * pixel;
		b->element[a] = m->p.element[species[a]];
	}
}

static int patch(void *context, const double (*position_A)[3], const uint8_t *species, size_t count,
		 const struct pn_flip_window *w, float *image, struct pn_error *err)
{
	const struct multislice *m = context;
	struct bench *b = &m->bench[omp_get_thread_num()];
	struct pn_multislice_atoms atoms = {
		.position_A = (const double(*)[3])b->position_A,
		.atomic_number = b->element,
		.count = count,
		.b_iso_A2 = m->p.b_iso_A2,
		.plane_A = m->p.plane_A,
	};
	size_t ny = m->p.wave.ny, nx = m->p.wave.nx;
	int status;

	pn_assert(omp_get_thread_num() < m->threads);
	if (w->ny > ny || w->nx > nx || count > COLUMN_ATOMS_MAX)
		return pn_error_set(
			err, PN_EARG,
			"multislice of a column: window of %zu x %zu pixels in a field of "
			"%zu x %zu, %zu atoms (at most %d)",
			w->ny, w->nx, ny, nx, count, COLUMN_ATOMS_MAX);
	for (size_t a = 0; a < count; a++)
		if (species[a] >= m->p.species_count)
			return pn_error_set(err, PN_EARG,
					    "multislice of a column: species %d of %d", species[a],
					    m->p.species_count);
	place(m, b, position_A, species, count, w);
	status = pn_multislice_execute(m->plan, b->scratch, &atoms, b->wave, err);
	if (status != PN_OK)
		return status;
	pn_lens_execute(m->lens, b->wave, b->image);
	for (size_t j = 0; j < w->ny; j++)
		for (size_t i = 0; i < w->nx; i++)
			image[j * w->nx + i] =
				b->image[(ny / 2 - w->ny / 2 + j) * nx + nx / 2 - w->nx / 2 + i] -
				1;
	return PN_OK;
}

static void multislice_destroy(struct multislice *m)
{
	for (int t = 0; m->bench && t < m->threads; t++)
		bench_finish(&m->bench[t]);
	free(m->bench);
	pn_lens_destroy(m->lens);
	pn_multislice_destroy(m->plan);
	free(m);
}

void pn_flip_multislice_destroy(struct pn_flip_engine *engine)
{
	if (engine)
		multislice_destroy(engine->context);
}

static int multislice_init(struct multislice *m, struct pn_error *err)
{
	struct pn_lens_params lens = m->p.lens;
	int status;

	if (m->p.species_count < 1 || m->p.species_count > PN_MODEL_SPECIES_MAX ||
	    !(m->p.cylinder_A >= 0 && m->p.buffer_A >= 0))
		return pn_error_set(err, PN_EARG,
				    "flipping by multislice: %d species, cylinder %g A + %g A",
				    m->p.species_count, m->p.cylinder_A, m->p.buffer_A);
	memset(m->p.wave.elements, 0, sizeof m->p.wave.elements);
	memcpy(m->p.wave.elements, m->p.element, (size_t)m->p.species_count);
	lens.ny = m->p.wave.ny;
	lens.nx = m->p.wave.nx;
	lens.pixel_A = m->p.wave.pixel_A;
	lens.energy_keV = m->p.wave.energy_keV;
	status = pn_multislice_plan(&m->plan, &m->p.wave, err);
	if (status == PN_OK)
		status = pn_lens_plan(&m->lens, &lens, err);
	if (status != PN_OK)
		return status;
	m->threads = omp_get_max_threads();
	m->bench = calloc((size_t)m->threads, sizeof *m->bench);
	if (!m->bench)
		return pn_error_set(err, PN_ENOMEM, "no memory for %d threads", m->threads);
	for (int t = 0; t < m->threads && status == PN_OK; t++)
		status = bench_init(&m->bench[t], m, err);
	return status;
}

int pn_flip_multislice_create(struct pn_flip_engine **engine,
			      const struct pn_flip_multislice_params *params, struct pn_error *err)
{
	struct multislice *m = calloc(1, sizeof *m);
	int status;

	*engine = NULL;
	if (!m)
		return pn_error_set(err, PN_ENOMEM, "no memory to flip by multislice");
	m->p = *params;
	m->p.cylinder_A = params->cylinder_A != 0 ? params->cylinder_A : 4;
	m->p.buffer_A = params->buffer_A != 0 ? params->buffer_A : 1;
	status = multislice_init(m, err);
	if (status != PN_OK) {
		multislice_destroy(m);
		return status;
	}
	m->engine.reach_A = m->p.cylinder_A + m->p.buffer_A;
	m->engine.patch = patch;
	m->engine.context = m;
	*engine = &m->engine;
	return PN_OK;
}
