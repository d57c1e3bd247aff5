/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The ceilings of the denoising network. */
#include "denoise.h"

#include "perrin/base/clock.h"
#include "perrin/base/rng.h"
#include "perrin/denoise/net.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#if defined(__AVX512F__) || defined(__FMA__)
#include <immintrin.h>
#endif

#define BARE_CHANNELS 32
#define BARE_WEIGHTS  (9 * BARE_CHANNELS * BARE_CHANNELS)

/* ---- registers only ------------------------------------------------------------------------- */

#if defined(__AVX512F__)
#define LANES        16
#define FMA(a, b, c) ((vec)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#elif defined(__FMA__)
#define LANES        8
#define FMA(a, b, c) ((vec)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#else
#define LANES        4
#define FMA(a, b, c) ((a) * (b) + (c))
#endif

typedef float vec __attribute__((vector_size(LANES * sizeof(float))));

/* enough chains to hide the latency of two units, few enough for 16 registers */
#define CHAINS 12
#define EACH(do) \
	do       \
	(0) do(1) do(2) do(3) do(4) do(5) do(6) do(7) do(8) do(9) do(10) do(11)
#define FMA_TURNS 2000000

const double bench_fma_flop = 2.0 * LANES * CHAINS * FMA_TURNS;

static float multiply_add(void)
{
	vec factor = (vec){ 0 } + 0.999f, term = (vec){ 0 } + 1e-3f;

#define BEGIN(k) vec sum##k = term * (float)k;
#define STEP(k)  sum##k = FMA(sum##k, factor, term);
#define TOTAL(k) +sum##k[0]
	EACH(BEGIN)
	for (int i = 0; i < FMA_TURNS; i++) {
		EACH(STEP)
	}
	return 0 EACH(TOTAL);
#undef BEGIN
#undef STEP
#undef TOTAL
}

void bench_fma_step(void *unused)
{
	int threads = omp_get_max_threads();
	float total = 0;

	(void)unused;
#pragma omp parallel for num_threads(threads) reduction(+ : total)
	for (int k = 0; k < threads; k++)
		total += multiply_add();
	/* used, so that it is computed */
	pn_assert(isfinite(total));
}

/* ---- a bare convolution --------------------------------------------------------------------- */

static void load_weights(struct pn_conv *conv)
{
	static float weights[BARE_WEIGHTS], bias[BARE_CHANNELS];
	struct pn_rng rng;

	pn_rng_init(&rng, 1, 0);
	for (int i = 0; i < BARE_WEIGHTS; i++)
		weights[i] = 0.05f * (float)pn_rng_gauss(&rng);
	pn_conv_load(conv, weights, bias);
}

static void fill(const struct pn_map *map)
{
	struct pn_rng rng;

	pn_rng_init(&rng, 2, 0);
	for (int y = 0; y < map->ny; y++)
		for (int x = 0; x < map->nx; x++)
			for (int c = 0; c < map->channels; c++)
				pn_map_put(map, y, x, c, (float)pn_rng_uniform(&rng));
}

int bench_bare_create(struct bench_bare *bare, int ny, int nx, int passes, struct pn_error *err)
{
	const struct pn_conv_shape shape = {
		.taps = pn_taps_square(3, 1, 0),
		.inputs = 1,
		.outputs = 1,
		.in_channels = { BARE_CHANNELS },
		.out_channels = { BARE_CHANNELS },
	};
	enum pn_arith arith = pn_arith_best();
	size_t bytes = pn_map_bytes(arith, ny, nx, 1, BARE_CHANNELS);

	*bare = (struct bench_bare){ .passes = passes,
				     .flop = 2.0 * BARE_WEIGHTS * ny * nx * passes };
	int rc = pn_conv_create(&bare->conv, &shape, arith, err);
	if (rc)
		return rc;
	bare->memory = aligned_alloc(64, 2 * bytes);
	if (!bare->memory) {
		bench_bare_destroy(bare);
		return pn_error_set(err, PN_ENOMEM, "no memory for maps of %d x %d", ny, nx);
	}
	memset(bare->memory, 0, 2 * bytes);
	bare->in = pn_map_place(bare->memory, arith, ny, nx, 1, BARE_CHANNELS);
	bare->out = pn_map_place((char *)bare->memory + bytes, arith, ny, nx, 1, BARE_CHANNELS);
	load_weights(bare->conv);
	fill(&bare->in);
	return PN_OK;
}

void bench_bare_destroy(struct bench_bare *bare)
{
	pn_conv_destroy(bare->conv);
	free(bare->memory);
	*bare = (struct bench_bare){ 0 };
}

void bench_bare_step(void *arg)
{
	const struct bench_bare *bare = arg;
	int threads = omp_get_max_threads(), ny = bare->in.ny;

#pragma omp parallel for schedule(static) num_threads(threads)
	for (int k = 0; k < threads; k++)
		for (int pass = 0; pass < bare->passes; pass++)
			pn_conv_forward(bare->conv, &bare->in, &bare->out, 1, ny * k / threads,
					ny * (k + 1) / threads);
}

/* ---- rates ---------------------------------------------------------------------------------- */

double bench_threads_rate(void (*step)(void *arg), void *arg, int threads, double seconds)
{
	omp_set_num_threads(threads);
	if (threads == 1)
		return bench_rate(step, arg, seconds);
	int64_t start_ns = pn_now_ns(), now_ns;
	uint64_t count = 0;

	do {
		step(arg);
		count++;
		now_ns = pn_now_ns();
	} while (now_ns < start_ns + (int64_t)(seconds * 1e9));
	return (double)count * 1e9 / (double)(now_ns - start_ns + 1);
}

int bench_enough(const struct bench *bench, unsigned turn, int64_t start_ns, double seconds)
{
	return turn >= bench->turns ||
	       (turn > 0 && pn_now_ns() - start_ns > (int64_t)(seconds * 1e9));
}
