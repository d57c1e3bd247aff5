/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "testkit.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DIRS_MAX 64
#define PATH_BYTES 4096

static char dirs[DIRS_MAX][256];
static int dir_count;
static pid_t owner;

static int remove_entry(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
	(void)st, (void)flag, (void)ftw;
	return remove(path);
}

/* a forked child that exits must not take its parent's directories along */
static void remove_all(void)
{
	if (getpid() != owner)
		return;
	for (int i = 0; i < dir_count; i++)
		nftw(dirs[i], remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

const char *testkit_tempdir(void)
{
	const char *base = getenv("TMPDIR");

	assert_true(dir_count < DIRS_MAX);
	if (!dir_count) {
		owner = getpid();
		atexit(remove_all);
	}
	char *dir = dirs[dir_count];
	snprintf(dir, sizeof dirs[0], "%s/perrin-test-XXXXXX", base ? base : "/tmp");
	assert_non_null(mkdtemp(dir));
	dir_count++;
	return dir;
}

static char *rotating(void)
{
	static char buffers[16][PATH_BYTES];
	static unsigned next;

	return buffers[next++ % 16];
}

const char *testkit_path(const char *dir, const char *name)
{
	char *path = rotating();

	snprintf(path, PATH_BYTES, "%s/%s", dir, name);
	return path;
}

const char *testkit_data(const char *name)
{
	const char *root = getenv("PERRIN_DATA");
	char *path = rotating();

	if (!root)
		return NULL;
	snprintf(path, PATH_BYTES, "%s/%s", root, name);
	return access(path, R_OK) == 0 ? path : NULL;
}

void testkit_write(const char *path, const void *bytes, size_t count)
{
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	assert_int_equal(fwrite(bytes, 1, count, f), count);
	assert_int_equal(fclose(f), 0);
}

char *testkit_read(const char *path, size_t *count)
{
	FILE *f = fopen(path, "rb");

	assert_non_null(f);
	assert_int_equal(fseek(f, 0, SEEK_END), 0);
	long size = ftell(f);
	assert_true(size >= 0);
	rewind(f);
	char *bytes = malloc((size_t)size + 1);
	assert_non_null(bytes);
	assert_int_equal(fread(bytes, 1, (size_t)size, f), (size_t)size);
	bytes[size] = 0;
	fclose(f);
	*count = (size_t)size;
	return bytes;
}
