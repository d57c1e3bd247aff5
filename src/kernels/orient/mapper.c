/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/orient/mapper.h"

#include "mapper_parts.h"
#include "perrin/math/rotation.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define EDGE_MIN       16
#define EDGE_DIAMETERS 1.6  /* of the images                                                  */
#define SUPPORT_PART   1.15 /* of the particle's radius                                       */
#define RADIUS_MIN_PX  2.0
#define KERNEL_WIDTH   4     /* of the sums                                                    */
#define PIXEL_MAX      1e20f /* sums and their transforms stay within float32                  */
#define PLACE_MAX_PX   1e7
#define NORM_ERROR_MAX 1e-3 /* of a quaternion                                                */
#define SHARE_MIN      1e-3 /* of an image that can still be taken away                       */

#define FIELD(f) .name = #f, .off = offsetof(struct pn_mapper_params, f)

const struct pn_param pn_mapper_param_table[] = {
	{ FIELD(diameter_A), .unit = "A", .help = "of the particle", .type = PN_PARAM_F64,
	  .def = 25, .min = 1, .max = 10000 },
	{ FIELD(edge_px), .unit = "px",
	  .help = "of the images that go in, at most the crop's; 0: 1.6 diameters",
	  .type = PN_PARAM_I64, .def = 0, .min = 0, .max = PN_MAPPER_EDGE_MAX },
	{ FIELD(resolution_A), .unit = "A", .help = "finest spacing that goes in; 0: all there is",
	  .type = PN_PARAM_F64, .def = 0.8, .min = 0, .max = 100 },
	{ FIELD(iterations), .help = "for each growing volume", .type = PN_PARAM_I64, .def = 7,
	  .min = 1, .max = 100 },
	{ FIELD(iterations_max), .help = "of a last volume, if its held-out half does not stop it",
	  .type = PN_PARAM_I64, .def = 50, .min = 1, .max = 200 },
	{ FIELD(memory), .unit = "images", .help = "that are kept, so that poses can be revised",
	  .type = PN_PARAM_I64, .def = 1000, .min = 1, .max = 100000 },
	{ FIELD(trailing), .help = "part of the older images that each volume leaves; 1: all",
	  .type = PN_PARAM_F64, .def = 1, .min = 0.01, .max = 1 },
	{ FIELD(tau), .help = "damping of the halves' maps, as a part of the mean density",
	  .type = PN_PARAM_F64, .def = 0.1, .min = 1e-6, .max = 100 },
	{ 0 },
};

/* ---- plan ----------------------------------------------------------------------------------- */

size_t pn_mapper_edge(const struct pn_mapper_params *params, double pixel_A, size_t ny, size_t nx)
{
	size_t most = ny < nx ? ny : nx;
	double edge = (double)params->edge_px;

	if (most > PN_MAPPER_EDGE_MAX)
		most = PN_MAPPER_EDGE_MAX;
	if (!params->edge_px)
		edge = 16 * ceil(EDGE_DIAMETERS * params->diameter_A / pixel_A / 16);
	if (!(edge < (double)most))
		edge = (double)most;
	if (edge < EDGE_MIN)
		edge = most < EDGE_MIN ? 0 : EDGE_MIN;
	return (size_t)edge / 2 * 2;
}

static void fill_support(struct pn_mapper *m)
{
	const size_t n = m->box.nx;
	const double middle = (double)(n / 2);

	for (size_t i = 0; i < n * n * n; i++) {
		const double x = (double)(i % n) - middle, y = (double)(i / n % n) - middle,
			     z = (double)(i / n / n) - middle;

		m->support[i] = x * x + y * y + z * z <= m->radius_px * m->radius_px;
	}
}

int pn_mapper_create(struct pn_mapper **mapper, const struct pn_mapper_params *params, size_t edge,
		     double pixel_A, struct pn_error *err)
{
	*mapper = NULL;
	if (edge < EDGE_MIN || edge > PN_MAPPER_EDGE_MAX || edge % 2 || !(pixel_A > 0) ||
	    params->memory < 1)
		return pn_error_set(err, PN_EARG,
				    "a map of images of %zu px of %g A, of which %lld are kept: "
				    "must be even, %d..%d, above 0 and 1 or more",
				    edge, pixel_A, (long long)params->memory, EDGE_MIN,
				    PN_MAPPER_EDGE_MAX);
	struct pn_mapper *m = calloc(1, sizeof *m);

	if (!m)
		return pn_error_set(err, PN_ENOMEM, "no memory for a map");
	const double n = (double)edge;
	const double radius = SUPPORT_PART * params->diameter_A / 2 / pixel_A;
	const double finest = params->resolution_A > 0 ? pixel_A / params->resolution_A : 0.5;

	m->params = *params;
	m->edge = edge;
	m->pixel_A = pixel_A;
	m->frequency_max = fmin(fmax(finest, 4 / n), 0.5);
	m->radius_px = fmin(fmax(radius, RADIUS_MIN_PX), n / 2 - 2);
	size_t box = (3 * edge + 7) / 8 * 2;

	if (m->radius_px > (double)(box / 2) - 1)
		box = edge;
	m->box = (struct pn_box){ box, box, box };
	m->kept = calloc((size_t)params->memory, sizeof *m->kept);
	m->cut = malloc(edge * edge * sizeof *m->cut);
	if (!m->kept || !m->cut) {
		pn_mapper_destroy(m);
		return pn_error_set(err, PN_ENOMEM, "no memory for %lld images to be kept",
				    (long long)params->memory);
	}
	*mapper = m;
	return PN_OK;
}

void pn_mapper_destroy(struct pn_mapper *m)
{
	if (!m)
		return;
	for (int h = 0; h < 2; h++) {
		pn_accumulator_destroy(m->half[h]);
		free(m->half_map[h]);
	}
	pn_accumulator_destroy(m->all);
	pn_normal_destroy(m->normal);
	pn_normal_destroy(m->held_out);
	pn_fista_destroy(m->fista);
	free(m->support);
	free(m->volume);
	free(m->cut);
	for (size_t i = 0; m->kept && i < (size_t)m->params.memory; i++)
		free((void *)m->kept[i].crop.image);
	free(m->kept);
	free(m->view);
	free(m);
}

/* Sums in a unit, and what solves for the volume. */
static int begin(struct pn_mapper *m, double largest_pixel, struct pn_error *err)
{
	const struct pn_accumulate_params sums = { .edge = m->edge,
						   .frequency_max = m->frequency_max,
						   .largest_pixel = largest_pixel,
						   .kernel_width = KERNEL_WIDTH };
	struct pn_accumulator **sum[] = { &m->half[0], &m->half[1], &m->all };
	const size_t voxels = pn_box_voxels(&m->box);
	int rc = PN_OK;

	for (int i = 0; !rc && i < 3; i++)
		rc = pn_accumulator_create(sum[i], &sums, err);
	if (!rc)
		rc = pn_normal_create(&m->normal, &m->box, 0, largest_pixel, err);
	if (!rc)
		rc = pn_normal_create(&m->held_out, &m->box, 0, largest_pixel, err);
	if (!rc)
		rc = pn_fista_create(&m->fista, &m->box, 0, err);
	if (rc)
		return rc;
	m->support = malloc(voxels);
	m->volume = calloc(voxels, sizeof *m->volume);
	for (int h = 0; h < 2; h++)
		m->half_map[h] = malloc(voxels * sizeof *m->half_map[h]);
	if (!m->support || !m->volume || !m->half_map[0] || !m->half_map[1])
		return pn_error_set(err, PN_ENOMEM, "no memory for maps of %zu voxels", voxels);
	fill_support(m);
	m->largest_pixel = largest_pixel;
	return PN_OK;
}

/* ---- images --------------------------------------------------------------------------------- */

/* Largest deviation from the mean; NaN if a pixel is not finite or too large. */
static double deviation(const struct pn_mapper_crop *crop)
{
	const size_t pixels = crop->ny * crop->nx;
	double sum = 0, most = 0;

	for (size_t i = 0; i < pixels; i++) {
		if (!(fabsf(crop->image[i]) <= PIXEL_MAX))
			return (double)NAN;
		sum += (double)crop->image[i];
	}
	for (size_t i = 0; i < pixels; i++)
		most = fmax(most, fabs((double)crop->image[i] - sum / (double)pixels));
	return most;
}

/* Mean of what is outside of the support about (x, y) of the crop; NaN if nothing is. */
static double background(const struct pn_mapper *m, const struct pn_mapper_crop *crop, double x,
			 double y)
{
	const double limit = m->radius_px * m->radius_px;
	double sum = 0;
	size_t count = 0;

	for (size_t j = 0; j < crop->ny; j++) {
		const double dy = (double)j - y;
		const float *row = crop->image + j * crop->nx;

		for (size_t i = 0; i < crop->nx; i++) {
			const double dx = (double)i - x;

			if (dx * dx + dy * dy > limit) {
				sum += (double)row[i];
				count++;
			}
		}
	}
	return count ? sum / (double)count : (double)NAN;
}

static int pose_is_sound(const struct pn_mapper_pose *pose)
{
	const double *q = pose->quaternion;
	const double norm = q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3];

	return fabs(norm - 1) <= NORM_ERROR_MAX && fabs(pose->position_px[0]) <= PLACE_MAX_PX &&
	       fabs(pose->position_px[1]) <= PLACE_MAX_PX && pose->weight >= 0 &&
	       (pose->half == 0 || pose->half == 1);
}

static void rotation_of(const struct pn_mapper_pose *pose, double rotation[3][3])
{
	double q[4];

	memcpy(q, pose->quaternion, sizeof q);
	pn_quaternion_normalize(q);
	pn_quaternion_to_matrix(rotation, q);
}

/* The image about the pose's position into m->cut, and the pose on it. */
static enum pn_mapper_answer cut(struct pn_mapper *m, const struct pn_mapper_crop *crop,
				 const struct pn_mapper_pose *from, struct pn_pose *pose)
{
	const double quarter = (double)m->edge / 4;
	const double x = from->position_px[0] - (double)crop->x0_px;
	const double y = from->position_px[1] - (double)crop->y0_px;

	if (!(x >= quarter && x <= (double)crop->nx - 1 - quarter && y >= quarter &&
	      y <= (double)crop->ny - 1 - quarter))
		return PN_MAPPER_NO_PLACE;
	const double mean = background(m, crop, x, y);

	if (isnan(mean))
		return PN_MAPPER_NO_PLACE;
	const ptrdiff_t edge = (ptrdiff_t)m->edge, x0 = (ptrdiff_t)lround(x) - edge / 2,
			y0 = (ptrdiff_t)lround(y) - edge / 2;

	for (ptrdiff_t j = 0; j < edge; j++)
		for (ptrdiff_t i = 0; i < edge; i++) {
			const ptrdiff_t at_x = x0 + i, at_y = y0 + j;
			const int in = at_x >= 0 && at_x < (ptrdiff_t)crop->nx && at_y >= 0 &&
				       at_y < (ptrdiff_t)crop->ny;

			m->cut[j * edge + i] =
				in ? (float)((double)crop
						     ->image[at_y * (ptrdiff_t)crop->nx + at_x] -
					     mean)
				   : 0;
		}
	rotation_of(from, pose->rotation);
	pose->shift_px[0] = x - (double)(x0 + edge / 2);
	pose->shift_px[1] = y - (double)(y0 + edge / 2);
	return PN_MAPPER_IN;
}

static int counts(const struct pn_mapper_pose *pose)
{
	return pose->weight >= PN_MAPPER_WEIGHT_MIN;
}

/* Into the sums of its half, or not at all. */
static enum pn_mapper_answer add(struct pn_mapper *m, const struct pn_mapper_crop *crop,
				 const struct pn_mapper_pose *pose, double share)
{
	struct pn_pose on_cut;
	enum pn_mapper_answer answer = cut(m, crop, pose, &on_cut);

	if (answer == PN_MAPPER_IN && pn_accumulator_add(m->half[pose->half], &on_cut, m->cut,
							 pose->weight * share, NULL, NULL))
		answer = PN_MAPPER_RANGE;
	return answer;
}

double pn_mapper_share(const struct pn_mapper *m, const struct pn_mapper_view *view)
{
	return pow(m->params.trailing, (double)(m->decays - view->decays));
}

uint64_t pn_mapper_images(const struct pn_mapper *m)
{
	return m->largest_pixel > 0
		       ? pn_accumulator_images(m->half[0]) + pn_accumulator_images(m->half[1])
		       : 0;
}

/* ---- what is kept --------------------------------------------------------------------------- */

static struct pn_mapper_kept *kept_at(const struct pn_mapper *m, size_t i)
{
	return &m->kept[(m->oldest + i) % (size_t)m->params.memory];
}

static struct pn_mapper_kept *find(const struct pn_mapper *m, uint64_t frame)
{
	for (size_t i = m->kept_count; i > 0; i--)
		if (kept_at(m, i - 1)->crop.frame == frame)
			return kept_at(m, i - 1);
	return NULL;
}

static int reserve_view(struct pn_mapper *m, struct pn_error *err)
{
	const size_t capacity = m->views_capacity ? 2 * m->views_capacity : 256;

	if (m->views < m->views_capacity)
		return PN_OK;
	void *grown = realloc(m->view, capacity * sizeof *m->view);

	if (!grown)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu views", capacity);
	m->view = grown;
	m->views_capacity = capacity;
	return PN_OK;
}

/* Takes the image over. The oldest makes room. */
static struct pn_mapper_kept *keep(struct pn_mapper *m, const struct pn_mapper_crop *crop,
				   float *image)
{
	if (m->kept_count == (size_t)m->params.memory) {
		free((void *)kept_at(m, 0)->crop.image);
		kept_at(m, 0)->crop.image = NULL;
		m->oldest = (m->oldest + 1) % (size_t)m->params.memory;
		m->kept_count--;
	}
	struct pn_mapper_kept *k = kept_at(m, m->kept_count++);

	*k = (struct pn_mapper_kept){ .crop = *crop };
	k->crop.image = image;
	return k;
}

static void note_view(struct pn_mapper *m, struct pn_mapper_kept *k,
		      const struct pn_mapper_pose *pose, int in)
{
	double rotation[3][3];

	rotation_of(pose, rotation);
	k->pose = *pose;
	memcpy(m->view[k->view].direction, rotation[2], sizeof rotation[2]);
	m->view[k->view].in = (uint64_t)in;
}

/* Everything but the memory for it. */
static enum pn_mapper_answer put(struct pn_mapper *m, const struct pn_mapper_crop *crop,
				 const struct pn_mapper_pose *pose)
{
	if (!counts(pose))
		return PN_MAPPER_KEPT;
	if (!(m->params.trailing < 1) || !m->solved || !pn_mapper_images(m))
		return add(m, crop, pose, 1);
	/* in at the weight that the decay makes 1: a refusal leaves all as it was */
	enum pn_mapper_answer answer = add(m, crop, pose, 1 / m->params.trailing);

	if (answer == PN_MAPPER_IN) {
		for (int h = 0; h < 2; h++)
			pn_accumulator_decay(m->half[h], m->params.trailing);
		m->decays++;
	}
	return answer;
}

int pn_mapper_put(struct pn_mapper *m, const struct pn_mapper_crop *crop,
		  const struct pn_mapper_pose *pose, enum pn_mapper_answer *answer,
		  struct pn_error *err)
{
	const size_t bytes = crop->ny * crop->nx * sizeof(float);
	const double largest = deviation(crop);

	*answer = PN_MAPPER_AGAIN;
	if (find(m, crop->frame))
		return PN_OK;
	*answer = PN_MAPPER_RANGE;
	if (!pose_is_sound(pose) || isnan(largest) || (!(largest > 0) && !(m->largest_pixel > 0)))
		return PN_OK;
	int rc = m->largest_pixel > 0 ? PN_OK : begin(m, largest, err);

	if (!rc)
		rc = reserve_view(m, err);
	if (rc)
		return rc;
	float *image = malloc(bytes ? bytes : 1);

	if (!image)
		return pn_error_set(err, PN_ENOMEM, "no memory for a crop of %zu bytes", bytes);
	*answer = put(m, crop, pose);
	if (*answer != PN_MAPPER_IN && *answer != PN_MAPPER_KEPT) {
		free(image);
		return PN_OK;
	}
	memcpy(image, crop->image, bytes);
	struct pn_mapper_kept *k = keep(m, crop, image);

	k->view = m->views;
	m->view[m->views++].decays = m->decays;
	note_view(m, k, pose, *answer == PN_MAPPER_IN);
	if (*answer == PN_MAPPER_IN)
		m->solved = 0;
	return PN_OK;
}

int pn_mapper_revise(struct pn_mapper *m, uint64_t frame, const struct pn_mapper_pose *pose,
		     enum pn_mapper_answer *answer, struct pn_error *err)
{
	struct pn_mapper_kept *k = find(m, frame);
	const double share = k ? pn_mapper_share(m, &m->view[k->view]) : 0;
	struct pn_pose on_cut;

	*answer = PN_MAPPER_GONE;
	if (share < SHARE_MIN)
		return PN_OK;
	*answer = PN_MAPPER_RANGE;
	if (!pose_is_sound(pose))
		return PN_OK;
	/* first in, then out: a refusal leaves all as it was */
	*answer = counts(pose) ? add(m, &k->crop, pose, share) : PN_MAPPER_KEPT;
	if (*answer != PN_MAPPER_IN && *answer != PN_MAPPER_KEPT)
		return PN_OK;
	if (m->view[k->view].in) {
		cut(m, &k->crop, &k->pose, &on_cut);
		int rc = pn_accumulator_subtract(m->half[k->pose.half], &on_cut, m->cut,
						 k->pose.weight * share, NULL, err);

		if (rc)
			return rc;
	}
	note_view(m, k, pose, *answer == PN_MAPPER_IN);
	return PN_OK;
}

/* ---- checkpoints ---------------------------------------------------------------------------- */

/* Written as they stand in memory: a checkpoint is read where it was made. */
struct saved {
	uint64_t edge, voxels, memory, kept, views, decays, solved;
	double pixel_A, radius_px, frequency_max, largest_pixel;
};

static void describe(const struct pn_mapper *m, struct saved *saved)
{
	*saved = (struct saved){ .edge = m->edge,
				 .voxels = pn_box_voxels(&m->box),
				 .memory = (uint64_t)m->params.memory,
				 .kept = m->kept_count,
				 .views = m->views,
				 .decays = m->decays,
				 .solved = (uint64_t)m->solved,
				 .pixel_A = m->pixel_A,
				 .radius_px = m->radius_px,
				 .frequency_max = m->frequency_max,
				 .largest_pixel = m->largest_pixel };
}

static int save_kept(const struct pn_mapper_kept *k, struct pn_blob *out)
{
	struct pn_mapper_kept plain = *k;

	plain.crop.image = NULL;
	int rc = pn_blob_put_part(out, &plain, sizeof plain);

	return rc ? rc
		  : pn_blob_put_part(out, k->crop.image,
				     k->crop.ny * k->crop.nx * sizeof *k->crop.image);
}

int pn_mapper_save(const struct pn_mapper *m, struct pn_blob *out)
{
	struct saved saved;

	describe(m, &saved);
	int rc = pn_blob_put_part(out, &saved, sizeof saved);

	if (rc || !(m->largest_pixel > 0))
		return rc;
	for (int h = 0; !rc && h < 2; h++) {
		struct pn_blob sums = { 0 };

		rc = pn_accumulator_save(m->half[h], &sums);
		if (!rc)
			rc = pn_blob_put_part(out, sums.data, sums.bytes);
		pn_blob_finish(&sums);
	}
	if (!rc)
		rc = pn_blob_put_part(out, m->view, m->views * sizeof *m->view);
	for (size_t i = 0; !rc && i < m->kept_count; i++)
		rc = save_kept(kept_at(m, i), out);
	return rc;
}

static int bad(struct pn_error *err, const char *what)
{
	return pn_error_set(err, PN_EFORMAT, "a saved map: %s", what);
}

static int load_kept(struct pn_mapper *m, struct pn_blob_view *view, struct pn_error *err)
{
	struct pn_mapper_kept plain;
	size_t bytes = 0, image_bytes = 0;
	const void *part = pn_blob_get_part(view, &bytes);
	const void *pixels = part ? pn_blob_get_part(view, &image_bytes) : NULL;

	if (!pixels || bytes != sizeof plain)
		return bad(err, "a kept image is cut off");
	memcpy(&plain, part, sizeof plain);
	const size_t row = plain.crop.nx * sizeof(float);

	/* of bytes that are there: products cannot wrap */
	if (!plain.crop.nx || plain.crop.nx > image_bytes || image_bytes % row ||
	    image_bytes / row != plain.crop.ny || plain.view >= m->views ||
	    !pose_is_sound(&plain.pose))
		return bad(err, "a kept image is damaged");
	float *image = malloc(image_bytes);

	if (!image)
		return pn_error_set(err, PN_ENOMEM, "no memory for a crop of %zu bytes",
				    image_bytes);
	memcpy(image, pixels, image_bytes);
	struct pn_mapper_kept *k = keep(m, &plain.crop, image);

	k->pose = plain.pose;
	k->view = plain.view;
	return PN_OK;
}

/* Sums and views. */
static int load_sums(struct pn_mapper *m, const struct saved *saved, struct pn_blob_view *view,
		     struct pn_error *err)
{
	const void *part[3];
	size_t bytes[3];

	for (int i = 0; i < 3; i++) {
		part[i] = pn_blob_get_part(view, &bytes[i]);
		if (!part[i])
			return bad(err, "the sums are cut off");
	}
	if (bytes[2] % sizeof *m->view || bytes[2] / sizeof *m->view != saved->views)
		return bad(err, "the views are damaged");
	int rc = begin(m, saved->largest_pixel, err);

	for (int h = 0; !rc && h < 2; h++)
		rc = pn_accumulator_load(m->half[h], part[h], bytes[h], err);
	if (rc)
		return rc;
	m->view = malloc(bytes[2] ? bytes[2] : 1);
	if (!m->view)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu bytes of views", bytes[2]);
	memcpy(m->view, part[2], bytes[2]);
	m->views = m->views_capacity = saved->views;
	return PN_OK;
}

int pn_mapper_load(struct pn_mapper *m, const void *data, size_t bytes, struct pn_error *err)
{
	struct pn_blob_view view = { data, bytes };
	struct saved saved, mine;
	size_t size = 0;
	const void *part = pn_blob_get_part(&view, &size);

	if (!part || size != sizeof saved)
		return bad(err, "its beginning is cut off");
	memcpy(&saved, part, sizeof saved);
	describe(m, &mine);
	if (saved.edge != mine.edge || saved.voxels != mine.voxels || saved.memory != mine.memory ||
	    saved.pixel_A != mine.pixel_A || saved.radius_px != mine.radius_px ||
	    saved.frequency_max != mine.frequency_max || saved.kept > saved.memory)
		return bad(err, "of other parameters");
	if (!(saved.largest_pixel > 0) || !isfinite(saved.largest_pixel))
		return PN_OK;
	int rc = load_sums(m, &saved, &view, err);

	for (uint64_t i = 0; !rc && i < saved.kept; i++)
		rc = load_kept(m, &view, err);
	m->decays = saved.decays;
	m->solved = saved.solved != 0;
	return rc;
}
