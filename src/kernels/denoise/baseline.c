/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/denoise/train.h"
#include "perrin/image/filter.h"
#include "sample.h"

#include <stdlib.h>

/* Sums of the own pixels x and of what the filter says m, for a straight line. */
struct line {
	double n, x, m, xx, mm, xm;
};

/* One window: @room holds its own frame, the filter's output, and a scratch image. */
static int add_window(struct line *line, const struct pn_cut *cut,
		      const struct pn_train_source *source, float *room, struct pn_error *err)
{
	size_t pixels = (size_t)cut->side_px * (size_t)cut->side_px;
	float *own = room, *mean = room + pixels, *scratch = room + 2 * pixels;

	for (size_t k = 0; k < pixels; k++)
		mean[k] = 0;
	for (int i = 0; i < cut->images; i++) {
		int is_own = i == cut->images / 2;
		int rc = pn_cut_read(cut, source, i, is_own ? own : scratch, err);

		if (rc)
			return rc;
		for (size_t k = 0; k < pixels && !is_own; k++)
			mean[k] += scratch[k];
	}
	pn_gauss_blur(mean, mean, scratch, (size_t)cut->side_px, (size_t)cut->side_px,
		      PN_BASELINE_PX);
	for (size_t k = 0; k < pixels; k++) {
		double x = own[k], m = mean[k];

		line->n++;
		line->x += x;
		line->m += m;
		line->xx += x * x;
		line->mm += m * m;
		line->xm += x * m;
	}
	return PN_OK;
}

/* Mean square left over by the best straight line. */
static double left_over(const struct line *line)
{
	double xx = line->xx / line->n - (line->x / line->n) * (line->x / line->n);
	double mm = line->mm / line->n - (line->m / line->n) * (line->m / line->n);
	double xm = line->xm / line->n - line->x / line->n * (line->m / line->n);

	return mm > 0 ? xx - xm * xm / mm : xx;
}

int pn_train_baseline(const struct pn_train_source *source, uint64_t newest, int windows,
		      int frames, int crop_px, double scale, double *loss, struct pn_error *err)
{
	struct line line = { 0 };

	if (windows < 1)
		return pn_error_set(err, PN_EARG, "training: baseline of %d windows", windows);
	struct pn_cut *cuts = calloc((size_t)windows, sizeof *cuts);
	float *room = malloc(3 * (size_t)crop_px * (size_t)crop_px * sizeof *room);
	int found = cuts && room
			    ? pn_cut_spread(cuts, windows, source, newest, frames, crop_px, err)
			    : pn_error_set(err, PN_ENOMEM, "training: no memory for a baseline");
	int rc = found < 0 ? found : PN_OK;

	for (int i = 0; i < found && !rc; i++)
		rc = add_window(&line, &cuts[i], source, room, err);
	if (!rc)
		*loss = left_over(&line) / (scale * scale);
	free(room);
	free(cuts);
	return rc;
}
