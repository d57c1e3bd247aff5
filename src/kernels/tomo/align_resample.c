/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/align.h"

#include "perrin/math/fft.h"
#include "perrin/math/linear.h"

#include <complex.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double degree = M_PI / 180;

void pn_tilt_pose(struct pn_pose *pose, double angle_deg, double axis_deg, const double shift_px[2])
{
	double c = cos(axis_deg * degree), s = sin(axis_deg * degree);
	double turn[3][3] = { { c, -s, 0 }, { s, c, 0 }, { 0, 0, 1 } };

	pn_pose_tilt(pose, angle_deg);
	if (axis_deg != 0)
		pn_matrix3_multiply(pose->rotation, turn, pose->rotation);
	pose->shift_px[0] = shift_px[0];
	pose->shift_px[1] = shift_px[1];
}

/* A line of @count values moved by fractions of a pixel, zeros beyond both ends. */
struct mover {
	size_t length;
	struct pn_fft *forward, *backward;
	float *line;
	float complex *spectrum;
};

static void mover_finish(struct mover *m)
{
	pn_fft_destroy(m->forward);
	pn_fft_destroy(m->backward);
	pn_fft_free(m->line);
	pn_fft_free(m->spectrum);
}

static int mover_init(struct mover *m, size_t length, struct pn_error *err)
{
	*m = (struct mover){ .length = length };
	int rc = pn_fft_plan(&m->forward, PN_FFT_R2C, 1, length, 0, err);

	if (!rc)
		rc = pn_fft_plan(&m->backward, PN_FFT_C2R, 1, length, 0, err);
	m->line = pn_fft_alloc(length * sizeof *m->line);
	m->spectrum = pn_fft_alloc((length / 2 + 1) * sizeof *m->spectrum);
	if (!rc && (!m->line || !m->spectrum))
		rc = pn_error_set(err, PN_ENOMEM, "resampling: no memory for lines of %zu", length);
	return rc;
}

/* line(i) becomes line(i + shift); what stood at the Nyquist frequency keeps its real part. */
static void move_line(struct mover *m, double shift)
{
	size_t half = m->length / 2;
	double complex step = cexp(2 * M_PI * I * shift / (double)m->length), phase = 1;

	pn_fft_execute(m->forward, m->line, m->spectrum);
	for (size_t k = 0; k <= half; k++) {
		m->spectrum[k] *= (float complex)(phase / (double)m->length);
		phase *= step;
	}
	if (m->length % 2 == 0)
		m->spectrum[half] = crealf(m->spectrum[half]);
	pn_fft_execute(m->backward, m->spectrum, m->line);
}

/*
 * out(x, y) = in(x - slope y + shift, y) on rows of a field of twice the size, which starts at
 * -n/2 of the image along both axes; rows from..to.
 */
static void shear_rows(float *field, size_t ny, size_t nx, size_t from, size_t to, double slope,
		       double shift, struct mover *m)
{
	for (size_t y = from; y < to; y++) {
		float *row = field + y * 2 * nx;
		double v = (double)y - (double)(ny / 2) - (double)(ny / 2);

		memcpy(m->line, row, 2 * nx * sizeof *row);
		move_line(m, shift - slope * v);
		memcpy(row, m->line, 2 * nx * sizeof *row);
	}
}

/* out(x, y) = in(x, y + slope x + shift). */
static void shear_columns(float *field, size_t ny, size_t nx, double slope, double shift,
			  struct mover *m)
{
	for (size_t x = 0; x < 2 * nx; x++) {
		double u = (double)x - (double)(nx / 2) - (double)(nx / 2);

		for (size_t y = 0; y < 2 * ny; y++)
			m->line[y] = field[y * 2 * nx + x];
		move_line(m, shift + slope * u);
		for (size_t y = 0; y < 2 * ny; y++)
			field[y * 2 * nx + x] = m->line[y];
	}
}

/* Rz(a) = (1, -t; 0, 1) (1, 0; sin a, 1) (1, -t; 0, 1) with t = tan(a/2); the shift goes with the
 * first two. */
static void resample(float *out, const float *image, float *field, size_t ny, size_t nx,
		     double axis_deg, const double shift_px[2], struct mover *rows,
		     struct mover *columns)
{
	double t = tan(axis_deg * degree / 2), s = sin(axis_deg * degree);
	size_t y0 = ny / 2, x0 = nx / 2;

	memset(field, 0, 4 * ny * nx * sizeof *field);
	for (size_t y = 0; y < ny; y++)
		memcpy(field + (y0 + y) * 2 * nx + x0, image + y * nx, nx * sizeof *field);
	shear_rows(field, ny, nx, y0, y0 + ny, t, shift_px[0] + t * shift_px[1], rows);
	shear_columns(field, ny, nx, s, shift_px[1], columns);
	if (t != 0)
		shear_rows(field, ny, nx, y0, y0 + ny, t, 0, rows);
	for (size_t y = 0; y < ny; y++)
		memcpy(out + y * nx, field + (y0 + y) * 2 * nx + x0, nx * sizeof *field);
}

int pn_tilt_resample(float *out, const float *image, size_t ny, size_t nx, double axis_deg,
		     const double shift_px[2], struct pn_error *err)
{
	if (ny < 1 || nx < 1 || ny > 16384 || nx > 16384)
		return pn_error_set(err, PN_EARG, "resampling: an image of %zu x %zu pixels", ny,
				    nx);
	if (!(fabs(axis_deg) <= 45) || !(fabs(shift_px[0]) <= (double)nx / 2) ||
	    !(fabs(shift_px[1]) <= (double)ny / 2))
		return pn_error_set(err, PN_EARG,
				    "resampling: axis %g deg, shift %g %g px of %zu x %zu: must be "
				    "-45..45 deg and at most half of the image",
				    axis_deg, shift_px[0], shift_px[1], nx, ny);
	for (size_t i = 0; i < ny * nx; i++)
		if (!isfinite(image[i]))
			return pn_error_set(err, PN_EARG, "resampling: pixel %zu %zu is %g", i / nx,
					    i % nx, image[i]);
	struct mover rows = { 0 }, columns = { 0 };
	float *field = malloc(4 * ny * nx * sizeof *field);
	int rc = field ? mover_init(&rows, 2 * nx, err)
		       : pn_error_set(err, PN_ENOMEM, "resampling: no memory for %zu x %zu pixels",
				      ny, nx);

	if (!rc)
		rc = mover_init(&columns, 2 * ny, err);
	if (!rc)
		resample(out, image, field, ny, nx, axis_deg, shift_px, &rows, &columns);
	mover_finish(&rows);
	mover_finish(&columns);
	free(field);
	return rc;
}
