/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/image/background.h"

#include "perrin/image/filter.h"
#include "perrin/math/fft.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define F64(field_, unit_, def_, min_, max_, help_)                                             \
	{                                                                                       \
		.name = #field_, .unit = unit_, .help = help_, .type = PN_PARAM_F64,            \
		.off = offsetof(struct pn_background_params, field_), .def = def_, .min = min_, \
		.max = max_                                                                     \
	}
#define I64(field_, unit_, def_, min_, max_, help_)                                             \
	{                                                                                       \
		.name = #field_, .unit = unit_, .help = help_, .type = PN_PARAM_I64,            \
		.off = offsetof(struct pn_background_params, field_), .def = def_, .min = min_, \
		.max = max_                                                                     \
	}

const struct pn_param pn_background_param_table[] = {
	F64(pixel_pm, "pm", 35.8, 1, 1000, "pixel size at the specimen"),
	I64(size_px, "px", 512, 32, 4096, "side of the middle of the frame that is looked at"),
	I64(frames_min, NULL, 16, 1, 1e6, "frames before spots are named"),
	I64(memory_frames, NULL, 1000, 1, 1e9, "depth of the running mean"),
	F64(contrast_min, NULL, 1.5, 0.01, 1e6, "spot over its surroundings, less 1"),
	F64(sharpness_max, NULL, 0.35, 0, 1, "power 3 bins off a spot, as part of its own"),
	F64(lattice_A, "A", 2.46, 0, 20, "hexagonal lattice of the window (0: any spot)"),
	F64(tolerance, NULL, 0.015, 0.001, 0.2, "of lattice_A, relative"),
	I64(spots_max, NULL, PN_BACKGROUND_SPOTS_MAX, 1, PN_BACKGROUND_SPOTS_MAX,
	    "most spots named"),
	{ 0 },
};

#undef F64
#undef I64

static const double noise_sigmas = 6;

struct pn_background {
	struct pn_background_params params;
	size_t ny, nx;     /* frame                          */
	size_t py, px, nh; /* the part looked at; px / 2 + 1 */
	struct pn_fft *forward;
	float *image, *window_y, *window_x;
	float complex *wave;
	float *mean; /* [py][nh] mean power            */
	uint64_t frames;
};

struct background_head {
	char magic[8];
	uint32_t version, reserved;
	uint64_t py, px, frames;
	double pixel_pm;
};

static const char magic[8] = "PNBGSPOT";
enum { VERSION = 1 };

int pn_background_create(struct pn_background **bg, size_t ny, size_t nx,
			 const struct pn_background_params *params, struct pn_error *err)
{
	*bg = NULL;
	if (ny < 1 || nx < 1 || !(params->pixel_pm > 0) || params->size_px < 1 ||
	    params->memory_frames < 1 || params->spots_max < 1 ||
	    params->spots_max > PN_BACKGROUND_SPOTS_MAX)
		return pn_error_set(
			err, PN_EARG,
			"background: frames of %zu x %zu, pixel_pm = %g, "
			"size_px = %lld, memory_frames = %lld, spots_max = %lld: out of range",
			ny, nx, params->pixel_pm, (long long)params->size_px,
			(long long)params->memory_frames, (long long)params->spots_max);
	struct pn_background *b = calloc(1, sizeof *b);

	if (!b)
		return pn_error_set(err, PN_ENOMEM, "background: no memory");
	b->params = *params;
	b->ny = ny;
	b->nx = nx;
	b->py = ny < (size_t)params->size_px ? ny : (size_t)params->size_px;
	b->px = nx < (size_t)params->size_px ? nx : (size_t)params->size_px;
	b->nh = b->px / 2 + 1;
	int rc = pn_fft_plan(&b->forward, PN_FFT_R2C, b->py, b->px, 0, err);

	b->image = pn_fft_alloc(sizeof(float) * b->py * b->px);
	b->wave = pn_fft_alloc(sizeof(float complex) * b->py * b->nh);
	b->mean = pn_fft_alloc(sizeof(float) * b->py * b->nh);
	b->window_y = pn_fft_alloc(sizeof(float) * b->py);
	b->window_x = pn_fft_alloc(sizeof(float) * b->px);
	if (!rc && (!b->image || !b->wave || !b->mean || !b->window_y || !b->window_x))
		rc = pn_error_set(err, PN_ENOMEM, "background: no memory for %zu x %zu", b->py,
				  b->px);
	if (rc) {
		pn_background_destroy(b);
		return rc;
	}
	for (size_t i = 0; i < b->py; i++)
		b->window_y[i] = (float)pow(sin(M_PI * ((double)i + 0.5) / (double)b->py), 2);
	for (size_t i = 0; i < b->px; i++)
		b->window_x[i] = (float)pow(sin(M_PI * ((double)i + 0.5) / (double)b->px), 2);
	*bg = b;
	return PN_OK;
}

void pn_background_destroy(struct pn_background *bg)
{
	if (!bg)
		return;
	pn_fft_destroy(bg->forward);
	pn_fft_free(bg->image);
	pn_fft_free(bg->wave);
	pn_fft_free(bg->mean);
	pn_fft_free(bg->window_y);
	pn_fft_free(bg->window_x);
	free(bg);
}

size_t pn_background_frames(const struct pn_background *bg)
{
	return bg->frames;
}

void pn_background_update(struct pn_background *bg, const float *frame)
{
	struct pn_frame_stats stats;
	const float *corner = frame + (bg->ny - bg->py) / 2 * bg->nx + (bg->nx - bg->px) / 2;

	for (size_t y = 0; y < bg->py; y++)
		memcpy(bg->image + y * bg->px, corner + y * bg->nx, sizeof(float) * bg->px);
	pn_frame_stats(bg->image, bg->py * bg->px, INFINITY, &stats);
	if (!(stats.max > stats.min) || !(stats.sd > 0) || !isfinite(stats.sd))
		return;
	for (size_t y = 0; y < bg->py; y++) {
		for (size_t x = 0; x < bg->px; x++) {
			float *v = &bg->image[y * bg->px + x];
			double unit = isfinite(*v) ? (*v - stats.mean) / stats.sd : 0;

			*v = (float)unit * bg->window_y[y] * bg->window_x[x];
		}
	}
	pn_fft_execute(bg->forward, bg->image, bg->wave);
	bg->frames++;
	double depth = fmin((double)bg->frames, (double)bg->params.memory_frames);
	float part = (float)(1 / depth);

	for (size_t i = 0; i < bg->py * bg->nh; i++) {
		float re = crealf(bg->wave[i]), im = cimagf(bg->wave[i]);

		bg->mean[i] += part * (re * re + im * im - bg->mean[i]);
	}
}

/* Mean power at (ky, kx), any signs. */
static double power_at(const struct pn_background *bg, long ky, long kx)
{
	if (kx < 0) {
		kx = -kx;
		ky = -ky;
	}
	long y = (ky % (long)bg->py + (long)bg->py) % (long)bg->py;

	return bg->mean[y * (long)bg->nh + kx];
}

static int rising(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Median over the bins between the radii, and the mean over those at radius 3. */
static void surroundings(const struct pn_background *bg, long ky, long kx, double *median,
			 double *shoulder)
{
	double far[256], near = 0;
	size_t n = 0, n_near = 0;

	for (long dy = -8; dy <= 8; dy++) {
		for (long dx = -8; dx <= 8; dx++) {
			long r2 = dy * dy + dx * dx;
			int held = labs(kx + dx) < (long)bg->nh;

			if (held && r2 >= 30 && r2 <= 64 && n < PN_COUNT(far))
				far[n++] = power_at(bg, ky + dy, kx + dx);
			if (held && r2 >= 8 && r2 <= 10) {
				near += power_at(bg, ky + dy, kx + dx);
				n_near++;
			}
		}
	}
	qsort(far, n, sizeof *far, rising);
	*median = n ? far[n / 2] : 0;
	*shoulder = n_near ? near / (double)n_near : 0;
}

static int on_lattice(const struct pn_background_params *p, double k)
{
	if (p->lattice_A <= 0)
		return 1;
	double g10 = 2 / (sqrt(3) * p->lattice_A);

	return fabs(k / g10 - 1) <= p->tolerance || fabs(k / (g10 * sqrt(3)) - 1) <= p->tolerance;
}

static int local_maximum(const struct pn_background *bg, long ky, long kx)
{
	double here = power_at(bg, ky, kx);

	for (long dy = -1; dy <= 1; dy++)
		for (long dx = -1; dx <= 1; dx++)
			if ((dy || dx) && power_at(bg, ky + dy, kx + dx) > here)
				return 0;
	return 1;
}

/* Judge one bin; fills @spot and returns 1 if it is a spot. */
static int judge(const struct pn_background *bg, long ky, long kx, struct pn_spot *spot)
{
	double pixel_A = bg->params.pixel_pm / 100, median, shoulder, wy = 0, wx = 0, sum = 0;
	double here = power_at(bg, ky, kx);
	double side_y = pixel_A * (double)bg->py, side_x = pixel_A * (double)bg->px;
	double depth = fmin((double)bg->frames, (double)bg->params.memory_frames);

	if (!on_lattice(&bg->params, hypot((double)ky / side_y, (double)kx / side_x)) ||
	    !local_maximum(bg, ky, kx))
		return 0;
	surroundings(bg, ky, kx, &median, &shoulder);
	double contrast = median > 0 ? here / median - 1 : 0;

	if (contrast < bg->params.contrast_min || contrast * sqrt(depth) < noise_sigmas ||
	    shoulder - median > bg->params.sharpness_max * (here - median))
		return 0;
	for (long dy = -1; dy <= 1; dy++) {
		for (long dx = -1; dx <= 1; dx++) {
			double w = fmax(0, power_at(bg, ky + dy, kx + dx) - median);

			sum += w;
			wy += w * (double)dy;
			wx += w * (double)dx;
		}
	}
	*spot = (struct pn_spot){ ((double)kx + wx / sum) / side_x,
				  ((double)ky + wy / sum) / side_y, contrast };
	return 1;
}

/* Insert by falling contrast; the weakest falls off the end. */
static size_t insert(struct pn_spot *spots, size_t count, size_t room, const struct pn_spot *spot)
{
	size_t at = count;

	while (at > 0 && spots[at - 1].contrast < spot->contrast)
		at--;
	if (at >= room)
		return count;
	size_t moved = (count < room ? count : room - 1) - at;

	memmove(spots + at + 1, spots + at, moved * sizeof *spots);
	spots[at] = *spot;
	return count < room ? count + 1 : count;
}

size_t pn_background_find(const struct pn_background *bg, struct pn_spot *spots)
{
	size_t count = 0, room = (size_t)bg->params.spots_max;
	long ry = ((long)bg->py - 1) / 2 - 1, rx = ((long)bg->px - 1) / 2 - 1;

	if (bg->frames < (uint64_t)bg->params.frames_min || bg->py < 32 || bg->px < 32)
		return 0;
	for (long ky = -ry; ky <= ry; ky++) {
		for (long kx = ky > 0 ? 0 : 1; kx <= rx; kx++) {
			struct pn_spot spot;

			if (judge(bg, ky, kx, &spot))
				count = insert(spots, count, room, &spot);
		}
	}
	return count;
}

int pn_background_save(const struct pn_background *bg, void *blob, size_t *size,
		       struct pn_error *err)
{
	size_t bytes = sizeof(float) * bg->py * bg->nh,
	       need = sizeof(struct background_head) + bytes;
	struct background_head head = { .version = VERSION,
					.py = bg->py,
					.px = bg->px,
					.frames = bg->frames,
					.pixel_pm = bg->params.pixel_pm };

	if (blob && *size < need)
		return pn_error_set(err, PN_EARG, "background state: %zu bytes of room, %zu needed",
				    *size, need);
	*size = need;
	if (!blob)
		return PN_OK;
	memcpy(head.magic, magic, sizeof magic);
	memcpy(blob, &head, sizeof head);
	memcpy((char *)blob + sizeof head, bg->mean, bytes);
	return PN_OK;
}

int pn_background_load(struct pn_background *bg, const void *blob, size_t size,
		       struct pn_error *err)
{
	size_t bytes = sizeof(float) * bg->py * bg->nh;
	struct background_head head;

	if (size < sizeof head)
		return pn_error_set(err, PN_EFORMAT, "background state: %zu bytes only", size);
	memcpy(&head, blob, sizeof head);
	if (memcmp(head.magic, magic, sizeof magic))
		return pn_error_set(err, PN_EFORMAT, "background state: not one");
	if (head.version != VERSION)
		return pn_error_set(err, PN_EVERSION, "background state: version %u, this is %d",
				    head.version, VERSION);
	if (head.py != bg->py || head.px != bg->px || head.pixel_pm != bg->params.pixel_pm ||
	    size != sizeof head + bytes)
		return pn_error_set(err, PN_EFORMAT,
				    "background state: for %llu x %llu pixels of %g pm, "
				    "this is %zu x %zu of %g",
				    (unsigned long long)head.py, (unsigned long long)head.px,
				    head.pixel_pm, bg->py, bg->px, bg->params.pixel_pm);
	bg->frames = head.frames;
	memcpy(bg->mean, (const char *)blob + sizeof head, bytes);
	return PN_OK;
}
