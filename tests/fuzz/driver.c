/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * driver.c - the plain test of a fuzz_*.c: its seeds as they are, cut, changed byte by byte,
 * mutated with fixed random numbers, and noise; every run tries the same inputs. On a crash the
 * input is kept and told.
 */
#include "fuzz.h"
#include "perrin/base/rng.h"
#include "perrin/base/status.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SEEDS_MAX  64
#define SEED_ROOM  (1u << 18)
#define INPUT_ROOM (2 * SEED_ROOM)
#define MUTATIONS  2000
#define NOISE      300
#define NOISE_MAX  600

static struct seed {
	uint8_t *bytes;
	size_t size;
} seeds[SEEDS_MAX];
static unsigned seed_count;

/* the input under way, for the report of a crash */
static const uint8_t *input;
static size_t input_size;
static unsigned long tried;

void __sanitizer_set_death_callback(void (*callback)(void)) __attribute__((weak));

static void keep_input(void)
{
	char path[] = "/tmp/perrin-crash-XXXXXX", text[160];
	int fd = mkstemp(path);
	int n = snprintf(text, sizeof text, "fuzz: input %lu of %zu bytes: kept as %s\n", tried,
			 input_size, path);

	if (fd < 0 || write(fd, input, input_size) < 0 || write(2, text, (size_t)n) < 0)
		return;
	close(fd);
}

static void crashed(int number)
{
	keep_input();
	signal(number, SIG_DFL);
	raise(number);
}

/* The bytes are copied to memory of just their size, so that the sanitizer sees a read beyond. */
static void try_bytes(const uint8_t *bytes, size_t size)
{
	uint8_t *exact = malloc(size ? size : 1);

	pn_assert(exact);
	memcpy(exact, bytes, size);
	input = exact;
	input_size = size;
	LLVMFuzzerTestOneInput(exact, size);
	free(exact);
	tried++;
}

static void cut_and_change(const struct seed *seed, uint8_t *work)
{
	size_t step = seed->size / fuzz_places + 1;

	for (size_t at = 0; at < seed->size; at += step)
		try_bytes(seed->bytes, at);
	memcpy(work, seed->bytes, seed->size);
	for (size_t at = 0; at < seed->size; at += step) {
		const uint8_t old = seed->bytes[at];
		const uint8_t values[] = { 0, 0xff, old ^ 0x80, (uint8_t)(old + 1) };

		for (size_t i = 0; i < sizeof values; i++) {
			work[at] = values[i];
			try_bytes(work, seed->size);
		}
		work[at] = old;
	}
}

/* One change of a kind and at a place drawn by lot; returns the new size. */
static size_t mutate(struct pn_rng *rng, uint8_t *work, size_t size)
{
	size_t at = pn_rng_below(rng, (uint32_t)size + 1), run = 1 + pn_rng_below(rng, 16);
	const struct seed *other = &seeds[pn_rng_below(rng, seed_count)];

	if (run > size - at)
		run = size - at;
	switch (pn_rng_below(rng, 5)) {
	case 0: /* other bytes */
		for (size_t i = 0; i < run; i++)
			work[at + i] = (uint8_t)pn_rng_u32(rng);
		return size;
	case 1: /* one bit */
		if (run)
			work[at] ^= (uint8_t)(1u << pn_rng_below(rng, 8));
		return size;
	case 2: /* bytes twice */
		if (size + run > INPUT_ROOM)
			return size;
		memmove(work + at + run, work + at, size - at);
		return size + run;
	case 3: /* bytes gone */
		memmove(work + at, work + at + run, size - at - run);
		return size - run;
	default: { /* the rest is another seed's */
		size_t from = pn_rng_below(rng, (uint32_t)other->size + 1);
		size_t more = other->size - from;

		if (more > INPUT_ROOM - at)
			more = INPUT_ROOM - at;
		memcpy(work + at, other->bytes + from, more);
		return at + more;
	}
	}
}

static void try_mutations(uint8_t *work)
{
	for (unsigned i = 0; i < MUTATIONS; i++) {
		const struct seed *seed = &seeds[i % seed_count];
		size_t size = seed->size;
		struct pn_rng rng;

		pn_rng_init(&rng, 20, i);
		memcpy(work, seed->bytes, size);
		for (uint32_t n = 1 + pn_rng_below(&rng, 4); n; n--)
			size = mutate(&rng, work, size);
		try_bytes(work, size);
	}
}

static void try_noise(uint8_t *work)
{
	for (unsigned i = 0; i < NOISE; i++) {
		struct pn_rng rng;

		pn_rng_init(&rng, 21, i);
		size_t size = pn_rng_below(&rng, NOISE_MAX);
		for (size_t b = 0; b < size; b++)
			work[b] = (uint8_t)pn_rng_u32(&rng);
		try_bytes(work, size);
	}
}

static int write_seeds(const char *dir)
{
	for (unsigned i = 0; i < seed_count; i++) {
		char path[4096];

		snprintf(path, sizeof path, "%s/seed-%02u", dir, i);
		FILE *file = fopen(path, "wb");

		if (!file || fwrite(seeds[i].bytes, 1, seeds[i].size, file) != seeds[i].size ||
		    fclose(file)) {
			perror(path);
			return 1;
		}
	}
	return 0;
}

int main(int argc, char **argv)
{
	uint8_t *work = malloc(INPUT_ROOM);

	pn_assert(work);
	for (size_t size; seed_count < SEEDS_MAX; seed_count++) {
		size = fuzz_seed(seed_count, work, SEED_ROOM);
		if (!size)
			break;
		pn_assert(size <= SEED_ROOM);
		seeds[seed_count].size = size;
		seeds[seed_count].bytes = malloc(size);
		pn_assert(seeds[seed_count].bytes);
		memcpy(seeds[seed_count].bytes, work, size);
	}
	pn_assert(seed_count);
	int failed = argc == 3 && strcmp(argv[1], "--seeds") == 0 ? write_seeds(argv[2]) : -1;

	if (failed < 0) {
		signal(SIGSEGV, crashed);
		signal(SIGABRT, crashed);
		signal(SIGFPE, crashed);
		signal(SIGBUS, crashed);
		if (__sanitizer_set_death_callback)
			__sanitizer_set_death_callback(keep_input);
		for (unsigned i = 0; i < seed_count; i++) {
			try_bytes(seeds[i].bytes, seeds[i].size);
			cut_and_change(&seeds[i], work);
		}
		try_mutations(work);
		try_noise(work);
		printf("%u seeds, %lu inputs\n", seed_count, tried);
		failed = 0;
	}
	for (unsigned i = 0; i < seed_count; i++)
		free(seeds[i].bytes);
	free(work);
	return failed;
}
