/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kit.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define WORDS_MAX 64
#define SIDE      96

static void become(const char *const *words, const char *out, const char *err)
{
	char *argv[WORDS_MAX] = { PERRIN_BINARY };

	for (int i = 0; words[i] && i + 2 < WORDS_MAX; i++)
		argv[i + 1] = (char *)words[i];
	if (dup2(open("/dev/null", O_RDONLY), 0) < 0 ||
	    dup2(open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600), 1) < 0 ||
	    dup2(open(err, O_WRONLY | O_CREAT | O_TRUNC, 0600), 2) < 0)
		_exit(126);
	execv(argv[0], argv);
	_exit(127);
}

void kit_run(struct kit_result *result, const char *const *words)
{
	static const char *dir;
	char out[4096], err[4096];
	size_t bytes;
	int status;

	if (!dir)
		dir = testkit_tempdir();
	/* a test's forked child writes to files of its own */
	snprintf(out, sizeof out, "%s/out.%d", dir, (int)getpid());
	snprintf(err, sizeof err, "%s/err.%d", dir, (int)getpid());
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (!pid)
		become(words, out, err);
	while (waitpid(pid, &status, 0) < 0)
		assert_int_equal(errno, EINTR);
	result->code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	result->out = testkit_read(out, &bytes);
	result->err = testkit_read(err, &bytes);
}

void kit_free(struct kit_result *result)
{
	free(result->out);
	free(result->err);
	result->out = result->err = NULL;
}

void kit_expect(const struct kit_result *result, int wanted, const char *file, int line)
{
	if (result->code == wanted)
		return;
	print_error("%s:%d: exit code %d, not %d\nout: %s\nerr: %s\n", file, line, result->code,
		    wanted, result->out, result->err);
	fail();
}

void kit_says(const char *whole, const char *text)
{
	if (strstr(whole, text))
		return;
	print_error("'%s' is not in:\n%s\n", text, whole);
	fail();
}

const char *kit_word(const char *table, const char *first, unsigned column)
{
	static char words[8][256];
	static unsigned next;
	char *word = words[next++ % 8];

	word[0] = 0;
	for (const char *line = table; *line; line += strcspn(line, "\n"), line += *line == '\n') {
		size_t length = strcspn(line, " \n");
		const char *p = line;

		if (length != strlen(first) || strncmp(line, first, length))
			continue;
		for (unsigned i = 0; i < column; i++) {
			p += strcspn(p, " \n");
			p += strspn(p, " ");
		}
		snprintf(word, sizeof words[0], "%.*s", (int)strcspn(p, " \n"), p);
		break;
	}
	return word;
}

void kit_hashes(const char *path, char hashes[KIT_HASHES_BYTES])
{
	struct kit_result r;
	size_t used = 0;

	PERRIN(&r, 0, "verify", path);
	const char *line = strchr(r.out, '\n');
	assert_non_null(line);
	hashes[0] = 0;
	/* from its second line on: name state ... hash */
	while (*++line) {
		size_t length = strcspn(line, "\n"), name = strcspn(line, " ");
		const char *hash = line + length;

		while (hash > line && hash[-1] != ' ')
			hash--;
		assert_int_equal(line + length - hash, 32);
		used += (size_t)snprintf(hashes + used, KIT_HASHES_BYTES - used, "%.*s %.32s\n",
					 (int)name, line, hash);
		assert_true(used < KIT_HASHES_BYTES);
		line += length;
	}
	assert_null(strstr(r.out, "BAD"));
	kit_free(&r);
}

/* An NPY header of version 1, padded to 128 bytes. */
static void write_header(FILE *file, unsigned frames)
{
	char header[128];
	int n = snprintf(
		header, sizeof header,
		"%cNUMPY%c%c%c%c{'descr': '<u2', 'fortran_order': False, 'shape': (%u, %d, %d), }",
		0x93, 1, 'v', 'v', 0, frames, SIDE, SIDE);

	memset(header + n, ' ', sizeof header - (size_t)n);
	header[7] = 0;
	header[8] = (char)(sizeof header - 10);
	header[9] = 0;
	header[sizeof header - 1] = '\n';
	assert_int_equal(fwrite(header, 1, sizeof header, file), sizeof header);
}

void kit_movie(const char *path, unsigned frames)
{
	static uint16_t image[SIDE][SIDE];
	FILE *file = fopen(path, "wb");
	uint32_t state = 12345;

	assert_non_null(file);
	write_header(file, frames);
	for (unsigned t = 0; t < frames; t++) {
		int cy = 46 + (int)(t % 3), cx = 50 - (int)(t % 4);

		for (int y = 0; y < SIDE; y++) {
			for (int x = 0; x < SIDE; x++) {
				int inside = (y - cy) * (y - cy) + (x - cx) * (x - cx) < 20 * 20;

				state = state * 1664525u + 1013904223u;
				image[y][x] = (uint16_t)(200 + (state >> 26) -
							 (inside ? 60 + 40 * (x % 6 < 3) : 0));
			}
		}
		assert_int_equal(fwrite(image, sizeof image, 1, file), 1);
	}
	assert_int_equal(fclose(file), 0);
}

const char *kit_binary(void)
{
	return PERRIN_BINARY;
}
