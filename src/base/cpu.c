/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/base/cpu.h"

#if defined(__x86_64__) && defined(__linux__)

#include <cpuid.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#define XCR0_NEEDED        ((1u << 1) | (1u << 2) | (7u << 5) | (3u << 17)) /* to tile data, 18 */
#define XFEATURE_TILE_DATA 18
#ifndef ARCH_REQ_XCOMP_PERM
#define ARCH_REQ_XCOMP_PERM 0x1023
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static int has_tiles;

/* What the system saves of the registers on a switch of threads; asm, as the intrinsic wants a
 * flag. */
static uint32_t state_saved(void)
{
	uint32_t low, high;

	__asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
	(void)high;
	return low;
}

static void find_tiles(void)
{
	const unsigned ebx_needed = 1u << 16 | 1u << 17 | 1u << 30 | 1u << 31; /* F, DQ, BW, VL */
	const unsigned edx_needed = 1u << 22 | 1u << 24;                       /* AMX-BF16, -TILE */
	unsigned a, b, c, d;

	if (!__get_cpuid_count(1, 0, &a, &b, &c, &d) || !(c & 1u << 27)) /* OSXSAVE */
		return;
	if ((state_saved() & XCR0_NEEDED) != XCR0_NEEDED)
		return;
	if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || (b & ebx_needed) != ebx_needed ||
	    (d & edx_needed) != edx_needed || a < 1)
		return;
	if (!__get_cpuid_count(7, 1, &a, &b, &c, &d) || !(a & 1u << 5)) /* AVX512_BF16 */
		return;
	has_tiles = syscall(SYS_arch_prctl, ARCH_REQ_XCOMP_PERM, XFEATURE_TILE_DATA) == 0;
}

int pn_cpu_has_tiles(void)
{
	pthread_once(&once, find_tiles);
	return has_tiles;
}

#else

int pn_cpu_has_tiles(void)
{
	return 0;
}

#endif

#if defined(__AVX512F__)
#define WIDEST "AVX-512"
#elif defined(__AVX2__)
#define WIDEST "AVX2"
#elif defined(__AVX__)
#define WIDEST "AVX"
#elif defined(__SSE2__)
#define WIDEST "SSE2"
#elif defined(__ARM_NEON)
#define WIDEST "NEON"
#else
#define WIDEST "no vectors"
#endif

const char *pn_cpu_words(void)
{
	return pn_cpu_has_tiles() ? WIDEST ", tiles" : WIDEST ", no tiles";
}
