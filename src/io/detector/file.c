/* SPDX-License-Identifier: GPL-3.0-or-later */
/* file.c - a stack of images in one file, played in order. Message n is image first + n % count. */
#include "perrin/format/angles.h"
#include "perrin/format/stack.h"
#include "sources.h"

#include <math.h>

struct file {
	struct pn_frame_known known;
	double fps;
	int64_t first, count, loop, frames_per_tilt;
	char angles_path[PN_PARAM_TEXT_MAX];

	struct pn_angles angles; /* count 0: not known */
	struct pn_stack *stack;
	uint64_t images; /* played per round */
	uint64_t total;  /* messages         */
	uint64_t next;
	struct pn_frame_buffer buffer;
};

static const struct pn_param file_params[] = {
	{ .name = "known", .group = pn_frame_known_params, .off = offsetof(struct file, known) },
	{ .name = "fps",
	  .unit = "1/s",
	  .help = "frames per second, for the time stamps",
	  .type = PN_PARAM_F64,
	  .off = offsetof(struct file, fps),
	  .def = 400,
	  .min = 1e-3,
	  .max = 1e6 },
	{ .name = "first",
	  .help = "index of the first image played",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct file, first),
	  .max = 1e15 },
	{ .name = "count",
	  .help = "images played; 0: all",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct file, count),
	  .max = 1e15 },
	{ .name = "angles",
	  .unit = "FILE",
	  .help = "of a tilt series: CSV with theta_deg, or one angle a line",
	  .type = PN_PARAM_TEXT,
	  .off = offsetof(struct file, angles_path) },
	{ .name = "frames_per_tilt",
	  .help = "images that share an angle",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct file, frames_per_tilt),
	  .def = 1,
	  .min = 1,
	  .max = 1e6 },
	{ .name = "loop",
	  .help = "how many times; frame numbers and time go on",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct file, loop),
	  .def = 1,
	  .min = 1,
	  .max = 1e9 },
	{ 0 },
};

/* One angle for every frames_per_tilt images of the whole stack. */
static int read_angles(struct file *f, const char *path, uint64_t there, struct pn_error *err)
{
	const struct pn_angles_rules rules = { .count = there / (uint64_t)f->frames_per_tilt,
					       .stack = path };

	if (!f->angles_path[0])
		return PN_OK;
	if (there % (uint64_t)f->frames_per_tilt)
		return pn_error_set(err, PN_EARG,
				    "%s: %llu images are no whole number of tilts of %lld", path,
				    (unsigned long long)there, (long long)f->frames_per_tilt);
	return pn_angles_read(&f->angles, f->angles_path, &rules, err);
}

static int file_open(void *self, const char *path, struct pn_error *err)
{
	struct file *f = self;
	int rc = pn_stack_open(&f->stack, path, err);

	if (rc)
		return rc;
	uint64_t there = pn_stack_info(f->stack)->count, first = (uint64_t)f->first;
	uint64_t wanted = (uint64_t)f->count;

	if (first >= there || wanted > there - first)
		return pn_error_set(err, PN_EARG,
				    "%s: first = %llu, count = %llu, but it holds %llu images",
				    path, (unsigned long long)first, (unsigned long long)wanted,
				    (unsigned long long)there);
	rc = read_angles(f, path, there, err);
	if (rc)
		return rc;
	f->images = wanted ? wanted : there - first;
	if (__builtin_mul_overflow(f->images, (uint64_t)f->loop, &f->total))
		return pn_error_set(err, PN_EARG, "%s: %llu images %lld times is too many", path,
				    (unsigned long long)f->images, (long long)f->loop);
	return PN_OK;
}

static int file_next(void *self, struct pn_msg *msg, struct pn_error *err)
{
	struct file *f = self;

	if (f->next == f->total)
		return PN_EEND;
	uint64_t image = (uint64_t)f->first + f->next % f->images;
	double tilt_deg = f->angles.count
				  ? f->angles.angle_deg[image / (uint64_t)f->frames_per_tilt][1]
				  : (double)NAN;
	int rc = pn_frame_of_stack(&f->buffer, f->stack, image, &f->known, tilt_deg, f->next,
				   pn_frame_time_ns(f->next, f->fps), msg, err);

	if (rc == PN_OK || rc == PN_EFRAME)
		f->next++;
	return rc;
}

static int file_seek(void *self, uint64_t seq, struct pn_error *err)
{
	struct file *f = self;

	if (seq > f->total)
		return pn_error_set(err, PN_EARG, "message %llu: the file gives %llu",
				    (unsigned long long)seq, (unsigned long long)f->total);
	f->next = seq;
	return PN_OK;
}

static void file_close(void *self)
{
	struct file *f = self;

	pn_stack_close(f->stack);
	pn_angles_free(&f->angles);
	pn_frame_finish(&f->buffer);
}

const struct pn_source_ops pn_source_file = {
	.scheme = "file",
	.brief = "a stack of images: NumPy, MRC, TIFF, DM3, DM4, SER, EMD",
	.state_size = sizeof(struct file),
	.params = file_params,
	.open = file_open,
	.next = file_next,
	.seek = file_seek,
	.close = file_close,
};
