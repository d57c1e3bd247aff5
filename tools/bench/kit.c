/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "bench.h"

#include "perrin/base/clock.h"
#include "perrin/base/rng.h"

#include <errno.h>
#include <ftw.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* ---- results ------------------------------------------------------------------------------- */

struct bench_result *bench_add(struct bench *bench, double value, const char *unit, const char *fmt,
			       ...)
{
	pn_assert(bench->count < BENCH_RESULTS_MAX);
	struct bench_result *result = &bench->results[bench->count++];
	va_list ap;

	*result = (struct bench_result){ .value = value, .ceiling = NAN, .ratio = NAN };
	snprintf(result->unit, sizeof result->unit, "%s", unit);
	va_start(ap, fmt);
	vsnprintf(result->name, sizeof result->name, fmt, ap);
	va_end(ap);
	return result;
}

void bench_ceiling(struct bench_result *result, const char *name, double ceiling)
{
	snprintf(result->ceiling_name, sizeof result->ceiling_name, "%s", name);
	result->ceiling = ceiling;
	result->ratio = result->value / ceiling;
}

void bench_note(struct bench_result *result, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(result->note, sizeof result->note, fmt, ap);
	va_end(ap);
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

double bench_median(double *values, unsigned count)
{
	qsort(values, count, sizeof *values, by_size);
	return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

static int64_t cpu_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return time.tv_sec * PN_NS_PER_S + time.tv_nsec;
}

double bench_rate(void (*step)(void *arg), void *arg, double seconds)
{
	int64_t start_ns = cpu_ns(), now_ns;
	int64_t end_ns = start_ns + (int64_t)(seconds * 1e9);
	uint64_t count = 0;

	do {
		step(arg);
		count++;
		now_ns = cpu_ns();
	} while (now_ns < end_ns);
	return (double)count * 1e9 / (double)(now_ns - start_ns + 1);
}

/* ---- files --------------------------------------------------------------------------------- */

const char *bench_path(const struct bench *bench, const char *name)
{
	static char paths[8][PATH_MAX + 64];
	static unsigned next;
	char *path = paths[next++ % PN_COUNT(paths)];

	snprintf(path, sizeof paths[0], "%s/%s", bench->dir, name);
	return path;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	remove(path);
	return 0;
}

void bench_remove(const char *dir)
{
	nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- data ---------------------------------------------------------------------------------- */

void *bench_random(size_t bytes, uint64_t seed)
{
	size_t size = (bytes + 4095) / 4096 * 4096;
	uint64_t *data = aligned_alloc(4096, size);
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 0);
	for (size_t i = 0; data && i < size / sizeof *data; i++)
		data[i] = pn_rng_u64(&rng);
	return data;
}

uint64_t bench_sum(const void *data, size_t bytes)
{
	const uint64_t *words = data;
	const unsigned char *rest = (const unsigned char *)data + bytes / 8 * 8;
	uint64_t sum = 0;

	for (size_t i = 0; i < bytes / 8; i++)
		sum += words[i];
	for (size_t i = 0; i < bytes % 8; i++)
		sum += rest[i];
	return sum;
}

void bench_particle(float *image, size_t ny, size_t nx, double y, double x, uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 1);
	for (size_t i = 0; i < ny * nx; i++) {
		double dy = (double)(i / nx) - y, dx = (double)(i % nx) - x;
		double mean = 15; /* counts; fringes of 6.3 px are 2.26 A at 35.8 pm a pixel */

		if (dy * dy + dx * dx < 30.0 * 30.0)
			mean += 4 * cos(2 * M_PI * dx / 6.3) - 2;
		image[i] = (float)pn_rng_poisson(&rng, mean);
	}
}

/* ---- processes ----------------------------------------------------------------------------- */

int bench_fork(pid_t *child, struct bench *bench,
	       int (*step)(struct bench *bench, void *arg, struct pn_error *err), void *arg,
	       struct pn_error *err)
{
	pid_t parent = getpid();

	fflush(NULL);
	memset(&bench->err, 0, sizeof bench->err);
	*child = fork();
	if (*child < 0)
		return pn_error_errno(err, errno, "fork");
	if (*child)
		return PN_OK;
	struct pn_error failure = { 0 };
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	int rc = step(bench, arg, &failure);
	if (rc)
		bench->err = failure;
	_exit(rc ? 1 : 0);
}

int bench_wait(pid_t child, struct bench *bench, struct pn_error *err)
{
	int status;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return pn_error_errno(err, errno, "wait for a child process");
	if (WIFSIGNALED(status))
		return pn_error_set(err, PN_EIO, "a child process was ended by %s",
				    strsignal(WTERMSIG(status)));
	if (WEXITSTATUS(status))
		return pn_error_set(err, bench->err.code ? bench->err.code : PN_EIO, "%s",
				    bench->err.text[0] ? bench->err.text : "a child failed");
	return PN_OK;
}

int bench_part(pid_t child, struct bench *bench, int rc, struct pn_error *err)
{
	struct pn_error failure = { 0 };

	if (rc)
		kill(child, SIGKILL);
	int ended = bench_wait(child, bench, &failure);
	if (bench->err.code || (!rc && ended)) {
		*err = bench->err.code ? bench->err : failure;
		return err->code;
	}
	if (rc == PN_EAGAIN)
		return pn_error_set(err, PN_ETIMEOUT, "the child process sends nothing");
	return rc;
}

static void pass_byte(int fd)
{
	if (write(fd, "g", 1) != 1)
		perror("pipe"); /* the other side is gone; its own failure tells why */
}

static void wait_for_byte(int fd)
{
	char byte;

	while (read(fd, &byte, 1) < 0 && errno == EINTR)
		;
}

int bench_gate_init(struct bench_gate *gate, struct pn_error *err)
{
	if (pipe(gate->ready))
		return pn_error_errno(err, errno, "pipe");
	if (pipe(gate->go) == 0)
		return PN_OK;
	int errnum = errno;
	close(gate->ready[0]);
	close(gate->ready[1]);
	return pn_error_errno(err, errnum, "pipe");
}

void bench_gate_ready(struct bench_gate *gate)
{
	close(gate->ready[0]);
	close(gate->go[1]);
	pass_byte(gate->ready[1]);
	wait_for_byte(gate->go[0]);
}

void bench_gate_hold(const struct bench_gate *gate)
{
	wait_for_byte(gate->go[0]);
}

void bench_gate_wait(struct bench_gate *gate)
{
	close(gate->ready[1]);
	close(gate->go[0]);
	wait_for_byte(gate->ready[0]); /* or its end, if the child failed */
}

void bench_gate_go(const struct bench_gate *gate)
{
	pass_byte(gate->go[1]);
}

void bench_gate_finish(struct bench_gate *gate)
{
	close(gate->ready[0]);
	close(gate->go[1]);
}
