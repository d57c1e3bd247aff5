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
#include <sys/stat.h>
#include <unistd.h>

struct pn_fft {
	enum pn_fft_kind kind;
	fftwf_plan plan;
};

/* FFTW has one planner for the process: this lock and path are its state, not ours */
static pthread_mutex_t planner_lock = PTHREAD_MUTEX_INITIALIZER;
static char wisdom_path[4096];

void *pn_fft_alloc(size_t bytes)
{
	size_t rounded = (bytes + 63) / 64 * 64;
	void *array = aligned_alloc(64, rounded ? rounded : 64);

	if (array)
		memset(array, 0, rounded);
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

static fftwf_plan make_plan(enum pn_fft_kind kind, int ny, int nx, void *in, void *out,
			    unsigned flags)
{
	switch (kind) {
	case PN_FFT_R2C:
		return fftwf_plan_dft_r2c_2d(ny, nx, in, out, flags);
	case PN_FFT_C2R:
		return fftwf_plan_dft_c2r_2d(ny, nx, in, out, flags);
	case PN_FFT_FORWARD:
		return fftwf_plan_dft_2d(ny, nx, in, out, FFTW_FORWARD, flags);
	case PN_FFT_BACKWARD:
		return fftwf_plan_dft_2d(ny, nx, in, out, FFTW_BACKWARD, flags);
	}
	return NULL;
}

/* Plan from wisdom, or by measurement; with a wisdom file, what others planned meanwhile wins. */
static fftwf_plan plan_locked(enum pn_fft_kind kind, int ny, int nx, void *in, void *out,
			      struct pn_error *err)
{
	fftwf_plan plan = make_plan(kind, ny, nx, in, out, FFTW_MEASURE | FFTW_WISDOM_ONLY);
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
	plan = make_plan(kind, ny, nx, in, out, FFTW_MEASURE);
	if (!plan)
		pn_error_set(err, PN_ENOMEM, "no FFT plan for %d x %d", ny, nx);
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

int pn_fft_plan(struct pn_fft **plan, enum pn_fft_kind kind, size_t ny, size_t nx, int inplace,
		struct pn_error *err)
{
	*plan = NULL;
	if (ny < 1 || nx < 1 || ny > 65536 || nx > 65536)
		return pn_error_set(err, PN_EARG, "FFT of %zu x %zu pixels: each must be 1..65536", ny, nx);
	pn_assert(!inplace || kind == PN_FFT_FORWARD || kind == PN_FFT_BACKWARD);

	struct pn_fft *p = calloc(1, sizeof *p);
	size_t bytes = ny * (nx / 2 + 1) * 2 * sizeof(float complex);
	void *in = pn_fft_alloc(bytes), *out = inplace ? in : pn_fft_alloc(bytes);

	if (p && in && out) {
		p->kind = kind;
		pthread_mutex_lock(&planner_lock);
		p->plan = plan_locked(kind, (int)ny, (int)nx, in, out, err);
		pthread_mutex_unlock(&planner_lock);
	} else {
		pn_error_set(err, PN_ENOMEM, "no memory to plan an FFT of %zu x %zu", ny, nx);
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
		rc = pn_error_set(err, PN_EARG, "wisdom path of %zu bytes is too long", strlen(path));
	} else if (path) {
		/* plans measured before would stand beside those of the file */
		fftwf_forget_wisdom();
		strcpy(wisdom_path, path);
		if (access(path, F_OK) == 0) {
			if (!fftwf_import_wisdom_from_filename(path))
				rc = pn_error_set(err, PN_EFORMAT, "%s: not FFT plans of this FFTW", path);
		} else {
			rc = save_wisdom(err);
		}
	}
	pthread_mutex_unlock(&planner_lock);
	return rc;
}
