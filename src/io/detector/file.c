/* SPDX-License-Identifier: GPL-3.0-or-later */
/* file.c - a stack of images in one file, played in order. Message n is image first + n % count. */
#include "perrin/format/stack.h"
#include "sources.h"

struct file {
	struct pn_frame_known known;
	double fps;
	int64_t first, count, loop;

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
	{ .name = "loop",
	  .help = "how many times; frame numbers and time go on",
	  .type = PN_PARAM_I64,
	  .off = offsetof(struct file, loop),
	  .def = 1,
	  .min = 1,
	  .max = 1e9 },
	{ 0 },
};

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
	int rc = pn_frame_of_stack(&f->buffer, f->stack, (uint64_t)f->first + f->next % f->images,
				   &f->known, f->next, pn_frame_time_ns(f->next, f->fps), msg, err);

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
	pn_frame_finish(&f->buffer);
}

const struct pn_source_ops pn_source_file = {
	.scheme = "file",
	.brief = "a stack of images: NumPy, MRC or TIFF",
	.state_size = sizeof(struct file),
	.params = file_params,
	.open = file_open,
	.next = file_next,
	.seek = file_seek,
	.close = file_close,
};
