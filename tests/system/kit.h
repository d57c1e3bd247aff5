/* SPDX-License-Identifier: GPL-3.0-or-later */
/* kit.h - run the program and see what it says. */
#ifndef PERRIN_TESTS_SYSTEM_KIT_H
#define PERRIN_TESTS_SYSTEM_KIT_H

#include "testkit.h"

/** What one run of the program did. */
struct kit_result {
	int code;        /* exit code; 128 + signal if one ended it */
	char *out, *err; /* what it wrote; kit_free frees them */
};

/**
 * kit_run - run `perrin` with @words, ended by NULL, and wait. Standard input is empty.
 */
void kit_run(struct kit_result *result, const char *const *words);
void kit_free(struct kit_result *result);

/** kit_binary - path of the program. */
const char *kit_binary(void);

/** PERRIN - run with the words given and fail the test, showing what was said, unless the exit code
 * is @wanted. kit_free the result. */
#define PERRIN(result, wanted, ...)                                          \
	do {                                                                 \
		kit_run(result, (const char *const[]){ __VA_ARGS__, NULL }); \
		kit_expect(result, wanted, __FILE__, __LINE__);              \
	} while (0)
void kit_expect(const struct kit_result *result, int wanted, const char *file, int line);

/** kit_says - @text is somewhere in @whole; fails the test showing both. */
void kit_says(const char *whole, const char *text);

/** kit_word - the word in column @column (from 0) of the line that begins with @first; a rotating
 * static buffer, "" if there is none. */
const char *kit_word(const char *table, const char *first, unsigned column);

/** kit_hashes - "stream hash\n" for each stream that `perrin verify` finds good; all must be. */
#define KIT_HASHES_BYTES 1024
void kit_hashes(const char *path, char hashes[KIT_HASHES_BYTES]);

/**
 * kit_movie - write @frames u16 images [96][96] with a bright, striped disc that wanders over
 * noise, as NumPy file.
 */
void kit_movie(const char *path, unsigned frames);

#endif
