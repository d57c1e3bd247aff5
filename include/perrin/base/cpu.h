/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/base/cpu.h - what the processor can do beyond what the build assumed. */
#ifndef PERRIN_BASE_CPU_H
#define PERRIN_BASE_CPU_H

/**
 * pn_cpu_has_tiles - 1 if matrix tiles of bfloat16 (AMX-TILE, AMX-BF16) and the AVX-512 that goes with
 * them (F, BW, DQ, VL, BF16) are there, and the kernel lets this process use them.
 *
 * The first call asks the kernel for the tiles' state (arch_prctl ARCH_REQ_XCOMP_PERM), which then holds
 * for all threads of the process made afterwards. Thread: safe. 0 where perrin was not built for x86-64.
 */
int pn_cpu_has_tiles(void);

/** pn_cpu_words - widest vectors of this build and tiles, as text: "AVX2, no tiles". Static. */
const char *pn_cpu_words(void);

#endif
