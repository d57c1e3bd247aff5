/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/math/fft.h"

#include <errno.h>
#include <fcntl.h>
#include <fftw3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define STRIP_MAX 16 /* columns */

struct pn_fft {
	enum pn_fft_kind kind;
	fftwf_plan plan;
};

/* FFTW has one planner for the process: this lock and path are its state, not ours */
static pthread_mutex_t planner_lock = PTHREAD_MUTEX_INITIALIZER;
static char wisdom_path[4096];

void *pn_fft_alloc(size_t bytes)
{
	/* strides through large arrays miss the TLB less with large pages, where the system has
	 * them */
	const size_t huge = 2 << 20, align = bytes >= 2 * huge ? huge : 64;
	size_t rounded = (bytes + align - 1) / align * align;
	void *array = aligned_alloc(align, rounded ? rounded : align);

	if (array) {
		if (align == huge)
			madvise(array, rounded, MADV_HUGEPAGE);
		memset(array, 0, rounded);
	}
	return array;
}

void pn_fft_free(void *array)
{
	free(array);
}

/* The wisdom file is replaced by rename, so a reader without the lock sees a whole one. */
static int save_wisdom(struct pn_error *err)
{
	char fresh[sizeof wisdom_path + 32];

	snprintf(fresh, sizeof fresh, "%s.%ld", wisdom_path, (long)getpid());
	if (!fftwf_export_wisdom_to_filename(fresh))
		return pn_error_errno(err, errno, "%s: cannot write FFT plans", fresh);
	if (rename(fresh, wisdom_path)) {
		int errnum = errno;

		unlink(fresh);
		return pn_error_errno(err, errnum, "%s: cannot write FFT plans", wisdom_path);
	}
	return PN_OK;
}

static int lock_wisdom(struct pn_error *err)
{
	char path[sizeof wisdom_path + 8];

	snprintf(path, sizeof path, "%s.lock", wisdom_path);
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0) {
		pn_error_errno(err, errno, "%s: cannot create", path);
		return -1;
	}
	while (flock(fd, LOCK_EX) && errno == EINTR)
		;
	return fd;
}

/* What is asked of FFTW: one image [ny][nx], or with @lines the rows or columns of it. */
struct shape {
	enum pn_fft_kind kind;
	int ny, nx, lines;
};

static fftwf_plan plan_image(const struct shape *s, void *in, void *out, unsigned flags)
{
	switch (s->kind) {
	case PN_FFT_R2C:
		return fftwf_plan_dft_r2c_2d(s->ny, s->nx, in, out, flags);
	case PN_FFT_C2R:
		return fftwf_plan_dft_c2r_2d(s->ny, s->nx, in, out, flags);
	case PN_FFT_FORWARD:
		return fftwf_plan_dft_2d(s->ny, s->nx, in, out, FFTW_FORWARD, flags);
	case PN_FFT_BACKWARD:
		return fftwf_plan_dft_2d(s->ny, s->nx, in, out, FFTW_BACKWARD, flags);
	}
	return NULL;
}

/* Real kinds transform the rows of [ny][nx], complex kinds its columns. */
static fftwf_plan plan_lines(const struct shape *s, void *in, void *out, unsigned flags)
{
	const int ny = s->ny, nx = s->nx;

	switch (s->kind) {
	case PN_FFT_R2C:
		return fftwf_plan_many_dft_r2c(1, &nx, ny, in, NULL, 1, nx, out, NULL, 1,
					       nx / 2 + 1, flags);
	case PN_FFT_C2R:
		return fftwf_plan_many_dft_c2r(1, &nx, ny, in, NULL, 1, nx / 2 + 1, out, NULL, 1,
					       nx, flags);
	case PN_FFT_FORWARD:
		return fftwf_plan_many_dft(1, &ny, nx, in, NULL, nx, 1, out, NULL, nx, 1,
					   FFTW_FORWARD, flags);
	case PN_FFT_BACKWARD:
		return fftwf_plan_many_dft(1, &ny, nx, in, NULL, nx, 1, out, NULL, nx, 1,
					   FFTW_BACKWARD, flags);
	}
	return NULL;
}

static fftwf_plan make_plan(const struct shape *s, void *in, void *out, unsigned flags)
{
	return s->lines ? plan_lines(s, in, out, flags) : plan_image(s, in, out, flags);
}

/*
 * Strips of a few columns, which transforms in 3D are made of, are worth a wider search: of 8
 * columns of 512 it finds a plan that takes 6 us instead of 11, in half a second, once.
 */
static unsigned effort(const struct shape *s)
{
	int strip = s->lines && s->nx <= STRIP_MAX &&
		    (s->kind == PN_FFT_FORWARD || s->kind == PN_FFT_BACKWARD);

	return strip ? FFTW_PATIENT : FFTW_MEASURE;
}

/* Plan from wisdom, or by measurement; with a wisdom file, what others planned meanwhile wins. */
static fftwf_plan plan_locked(const struct shape *s, void *in, void *out, struct pn_error *err)
{
	fftwf_plan plan = make_plan(s, in, out, effort(s) | FFTW_WISDOM_ONLY);
	int fd = -1, failed = 0;

	if (plan)
		return plan;
	if (wisdom_path[0]) {
		fd = lock_wisdom(err);
		if (fd < 0)
			return NULL;
		if (access(wisdom_path, R_OK) == 0)
			fftwf_import_wisdom_from_filename(wisdom_path);
	}
	plan = make_plan(s, in, out, effort(s));
	if (!plan)
		pn_error_set(err, PN_ENOMEM, "no FFT plan for %d x %d", s->ny, s->nx);
	else if (wisdom_path[0])
		failed = save_wisdom(err);
	if (fd >= 0)
		close(fd);
	if (failed) {
		fftwf_destroy_plan(plan);
		return NULL;
	}
	return plan;
}

static int plan_shape(struct pn_fft **plan, const struct shape *s, int inplace,
		      struct pn_error *err)
{
	struct pn_fft *p = calloc(1, sizeof *p);
	size_t bytes = (size_t)s->ny * (s->nx / 2 + 1) * 2 * sizeof(float complex);
	void *in = pn_fft_alloc(bytes), *out = inplace ? in : pn_fft_alloc(bytes);

	pn_assert(!inplace || s->kind == PN_FFT_FORWARD || s->kind == PN_FFT_BACKWARD);
	if (p && in && out) {
		p->kind = s->kind;
		pthread_mutex_lock(&planner_lock);
		p->plan = plan_locked(s, in, out, err);
		pthread_mutex_unlock(&planner_lock);
	} else {
		pn_error_set(err, PN_ENOMEM, "no memory to plan an FFT of %d x %d", s->ny, s->nx);
	}
	if (!inplace)
		pn_fft_free(out);
	pn_fft_free(in);
	if (!p || !p->plan) {
		free(p);
		return err && err->code ? err->code : PN_ENOMEM;
	}
	*plan = p;
	return PN_OK;
}

int pn_fft_plan(struct pn_fft **plan, enum pn_fft_kind kind, size_t ny, size_t nx, int inplace,
		struct pn_error *err)
{
	*plan = NULL;
	if (ny < 1 || nx < 1 || ny > 65536 || nx > 65536)
		return pn_error_set(err, PN_EARG, "FFT of %zu x %zu pixels: each must be 1..65536",
				    ny, nx);
	return plan_shape(plan, &(struct shape){ kind, (int)ny, (int)nx, 0 }, inplace, err);
}

int pn_fft_plan_lines(struct pn_fft **plan, enum pn_fft_kind kind, size_t length, size_t count,
		      int inplace, struct pn_error *err)
{
	const int real = kind == PN_FFT_R2C || kind == PN_FFT_C2R;

	*plan = NULL;
	if (length < 1 || count < 1 || length > 65536 || count > 65536)
		return pn_error_set(err, PN_EARG, "FFT of %zu lines of %zu: each must be 1..65536",
				    count, length);
	struct shape s = { kind, (int)(real ? count : length), (int)(real ? length : count), 1 };
	return plan_shape(plan, &s, inplace, err);
}

void pn_fft_destroy(struct pn_fft *plan)
{
	if (!plan)
		return;
	pthread_mutex_lock(&planner_lock);
	fftwf_destroy_plan(plan->plan);
	pthread_mutex_unlock(&planner_lock);
	free(plan);
}

void pn_fft_execute(const struct pn_fft *plan, void *in, void *out)
{
	switch (plan->kind) {
	case PN_FFT_R2C:
		fftwf_execute_dft_r2c(plan->plan, in, out);
		break;
	case PN_FFT_C2R:
		fftwf_execute_dft_c2r(plan->plan, in, out);
		break;
	default:
		fftwf_execute_dft(plan->plan, in, out);
		break;
	}
}

int pn_fft_use_wisdom(const char *path, struct pn_error *err)
{
	int rc = PN_OK;

	pthread_mutex_lock(&planner_lock);
	wisdom_path[0] = 0;
	if (path && strlen(path) >= sizeof wisdom_path) {
		rc = pn_error_set(err, PN_EARG, "wisdom path of %zu bytes is too long",
				  strlen(path));
	} else if (path) {
		/* plans measured before would stand beside those of the file */
		fftwf_forget_wisdom();
		strcpy(wisdom_path, path);
		if (access(path, F_OK) == 0) {
			if (!fftwf_import_wisdom_from_filename(path))
				rc = pn_error_set(err, PN_EFORMAT, "%s: not FFT plans of this FFTW",
						  path);
		} else {
			rc = save_wisdom(err);
		}
	}
	pthread_mutex_unlock(&planner_lock);
	return rc;
}
