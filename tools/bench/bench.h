/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * bench.h - benchmarks of `perrin bench`: one file each, one row in bench.c.
 *
 * A machine is never quiet, so no figure stands alone: each is measured in turns with its ceiling
 * (A B A B ...) and given as the median, together with the ratio of the two.
 */
#ifndef PERRIN_TOOLS_BENCH_H
#define PERRIN_TOOLS_BENCH_H

#include "perrin/base/status.h"

#include <limits.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define BENCH_RESULTS_MAX 128
#define BENCH_TURNS_MAX   16

/* the frames of the direct-detection camera of the liquid-cell recordings, uncropped */
#define BENCH_NY 1728
#define BENCH_NX 1920

enum bench_goal { BENCH_NO_GOAL, BENCH_RATIO_AT_LEAST, BENCH_VALUE_AT_LEAST, BENCH_VALUE_BELOW };

struct bench_result {
	char name[40], unit[16];
	double value;
	char ceiling_name[40]; /* what the ceiling is; "" if there is none */
	double ceiling;        /* in the same unit; NaN                    */
	double ratio;          /* value / ceiling; NaN                     */
	enum bench_goal goal_kind;
	double goal;
	uint64_t hash; /* of what was computed; 0: nothing was     */
	char note[240];
};

/** What one benchmark is told, and where it puts its results. In memory shared with its child
 * processes. */
struct bench {
	char dir[PATH_MAX]; /* a folder of its own, empty; removed afterwards   */
	double seconds;     /* of a run that takes as long as it is told        */
	int small;          /* 1: only see that everything works                */
	unsigned turns;     /* A B A B: how often                               */
	struct bench_result results[BENCH_RESULTS_MAX];
	unsigned count;
	struct pn_error err;
	/* messages the consumer has read: a window without a disk forgets what is not read in time,
	 * so a producer that writes to no disk waits for it                                   */
	_Atomic uint64_t taken;
};

struct bench_row {
	const char *name, *brief;
	int (*run)(struct bench *bench, struct pn_error *err);
};

extern const struct bench_row bench_recording, bench_hop, bench_small, bench_crystal, bench_track,
	bench_latency, bench_twin, bench_atoms, bench_denoise,
	bench_tomo, bench_orient, bench_samples;

/** bench_add - a result without ceiling and goal, to be filled in further. */
__attribute__((format(printf, 4, 5))) struct bench_result *
bench_add(struct bench *bench, double value, const char *unit, const char *fmt, ...);

/** bench_ceiling - set ceiling and ratio. */
void bench_ceiling(struct bench_result *result, const char *name, double ceiling);

__attribute__((format(printf, 2, 3))) void bench_note(struct bench_result *result, const char *fmt,
						      ...);

/** bench_median - of @count numbers, which are sorted. */
double bench_median(double *values, unsigned count);

/** bench_path - "dir/name" in one of 8 rotating static buffers. */
const char *bench_path(const struct bench *bench, const char *name);

/** bench_remove - a folder and all in it. */
void bench_remove(const char *dir);

/** bench_random - @bytes random bytes aligned to 4096, which no disk can squeeze. */
void *bench_random(size_t bytes, uint64_t seed);

/** bench_sum - read every byte: the sum of its 64-bit words. @data aligned to 8. */
uint64_t bench_sum(const void *data, size_t bytes);

/** bench_rate - call @step for about @seconds of this thread's CPU time, which other load does not
 * use up; calls per second of it. */
double bench_rate(void (*step)(void *arg), void *arg, double seconds);

/**
 * bench_fork - run @step in a child process, which is killed if this one dies.
 * bench_wait - wait for it; its failure with its text (from bench->err).
 */
int bench_fork(pid_t *child, struct bench *bench,
	       int (*step)(struct bench *bench, void *arg, struct pn_error *err), void *arg,
	       struct pn_error *err);
int bench_wait(pid_t child, struct bench *bench, struct pn_error *err);

/** bench_part - the end of a child whose partner here came to @rc: wait for it, or kill it if @rc
 * is a failure. The first cause is told: the child's, if it failed by itself. */
int bench_part(pid_t child, struct bench *bench, int rc, struct pn_error *err);

/**
 * A producer in a child process and a consumer here start together, when both are connected.
 *
 * init, then in the child: ready, which waits for go; and hold at its end, until the consumer is
 * through. Here: wait for the child to be ready; go; finish, which lets the child end.
 */
struct bench_gate {
	int ready[2], go[2];
};
int bench_gate_init(struct bench_gate *gate, struct pn_error *err);
void bench_gate_ready(struct bench_gate *gate);
void bench_gate_hold(const struct bench_gate *gate);
void bench_gate_wait(struct bench_gate *gate);
void bench_gate_go(const struct bench_gate *gate);
void bench_gate_finish(struct bench_gate *gate);

/** bench_particle - float32 [ny][nx]: a disc of lattice fringes about (y, x) on Poisson noise. */
void bench_particle(float *image, size_t ny, size_t nx, double y, double x, uint64_t seed);

#endif
