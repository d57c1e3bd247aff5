/* SPDX-License-Identifier: GPL-3.0-or-later */
/* What is said of the processor is what the kernel says of it, to every thread. */
#include "perrin/base/cpu.h"

#include "testkit.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* 1 if /proc/cpuinfo lists the flag: the kernel lists tiles only where it can save them. */
static int kernel_lists(const char *flag)
{
	FILE *file = fopen("/proc/cpuinfo", "r");
	char *line = NULL;
	size_t size = 0;
	int found = 0;

	assert_non_null(file);
	while (!found && getline(&line, &size, file) > 0) {
		if (strncmp(line, "flags", 5) != 0)
			continue;
		for (char *rest = line, *word; !found && (word = strsep(&rest, " \n"));)
			found = strcmp(word, flag) == 0;
		break;
	}
	free(line);
	fclose(file);
	return found;
}

static void tiles_are_what_the_kernel_lists(void **state)
{
	static const char *const flags[] = { "amx_tile", "amx_bf16", "avx512f",    "avx512bw",
					     "avx512dq", "avx512vl", "avx512_bf16" };
	int all = 1;

	(void)state;
	for (unsigned i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		all &= kernel_lists(flags[i]);
#if !defined(__x86_64__)
	all = 0;
#endif
	assert_int_equal(pn_cpu_has_tiles(), all);
	assert_int_equal(pn_cpu_has_tiles(), all);
}

static void words_name_tiles_and_vectors(void **state)
{
	const char *words = pn_cpu_words();

	(void)state;
	assert_string_equal(strchr(words, ',') + 1, pn_cpu_has_tiles() ? " tiles" : " no tiles");
#if defined(__AVX512F__)
	assert_true(strncmp(words, "AVX-512,", 8) == 0);
#elif defined(__AVX2__)
	assert_true(strncmp(words, "AVX2,", 5) == 0);
	assert_true(kernel_lists("avx2"));
#endif
	assert_ptr_equal(words, pn_cpu_words());
}

static void *ask(void *answer)
{
	*(int *)answer = pn_cpu_has_tiles();
	return NULL;
}

/* Runs first, so that the threads race for the first call. */
static void threads_agree(void **state)
{
	enum { THREADS = 8 };
	pthread_t threads[THREADS];
	int answers[THREADS];

	(void)state;
	memset(answers, 0xff, sizeof(answers));
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, ask, &answers[i]), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(threads[i], NULL), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(answers[i], pn_cpu_has_tiles());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_agree),
		cmocka_unit_test(tiles_are_what_the_kernel_lists),
		cmocka_unit_test(words_name_tiles_and_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
