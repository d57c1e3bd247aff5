/* SPDX-License-Identifier: GPL-3.0-or-later */
/* fuzz.h - what a fuzz_*.c gives: one decoder to be tried, and good inputs to begin with. */
#ifndef PERRIN_TEST_FUZZ_H
#define PERRIN_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/** LLVMFuzzerTestOneInput - try @size bytes; a failure is a crash or an abort. Returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** fuzz_seed - good input number @index into @bytes; returns its size, 0 if there are no more. */
size_t fuzz_seed(unsigned index, uint8_t *bytes, size_t room);

/** fuzz_places - at how many places the plain test cuts and changes each seed (slow ones: fewer).
 */
extern const unsigned fuzz_places;

#endif
