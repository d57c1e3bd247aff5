/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * denoise.h - what the benchmarks of the denoising network have in common: their ceiling, a bare
 * convolution; and its own, multiply-adds that never leave the registers.
 */
#ifndef PERRIN_TOOLS_BENCH_DENOISE_H
#define PERRIN_TOOLS_BENCH_DENOISE_H

#include "bench.h"
#include "perrin/denoise/conv.h"

#define BENCH_BARE_NAME "a bare 3x3, 32->32"

/** A 3x3 convolution of 32 channels to 32, as most of the network's work is, and nothing else. */
struct bench_bare {
	struct pn_conv *conv;
	struct pn_map in, out;
	void *memory;
	int passes;  /* of a step, between which no thread waits for another */
	double flop; /* of a step */
};

/** bench_bare_create - for images of @ny x @nx in the best arithmetic there is. @passes: of a step,
 * as many as lie between two waits of the threads in what it is the ceiling of */
int bench_bare_create(struct bench_bare *bare, int ny, int nx, int passes, struct pn_error *err);
void bench_bare_destroy(struct bench_bare *bare);

/** bench_bare_step - a step, its rows shared out to the threads. @bare: struct bench_bare */
void bench_bare_step(void *bare);

/** bench_fma_step - bench_fma_flop flops of float32 in each thread. @unused: NULL */
extern const double bench_fma_flop;
void bench_fma_step(void *unused);

/**
 * bench_threads_rate - calls of @step per second with @threads OpenMP threads, for about @seconds,
 * at least one: of CPU time for one thread (see bench_rate), else of the clock.
 */
double bench_threads_rate(void (*step)(void *arg), void *arg, int threads, double seconds);

/** bench_enough - 1 when all turns are done, or @seconds have passed since @start_ns. */
int bench_enough(const struct bench *bench, unsigned turn, int64_t start_ns, double seconds);

/** bench_train - the rows of training; @threads at most. */
int bench_train(struct bench *bench, int threads, struct pn_error *err);

#endif
