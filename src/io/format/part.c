/* SPDX-License-Identifier: GPL-3.0-or-later */
/* part.c - files that are written under a temporary name and take their own when whole. */
#include "model_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* What somebody else has put under the temporary name, a link or a pipe, is not written through. */
static FILE *open_part(const char *part)
{
	int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC,
		      0666);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "w");

	if (fd >= 0 && !file)
		close(fd);
	return file;
}

static int open_file(struct model_part *out, struct pn_error *err)
{
	struct stat st;

	/* opening /dev/stdout by name would cut off what a file holds that it is appended to */
	if (strcmp(out->path, "-") == 0) {
		int fd = dup(STDOUT_FILENO);

		out->file = fd < 0 ? NULL : fdopen(fd, "w");
		return out->file ? PN_OK : pn_error_errno(err, errno, "standard output");
	}
	int in_place = stat(out->path, &st) == 0 && !S_ISREG(st.st_mode);
	if (!in_place && asprintf(&out->part, "%s.part", out->path) < 0) {
		out->part = NULL;
		return pn_error_set(err, PN_ENOMEM, "%s: no memory", out->path);
	}
	out->file = in_place ? fopen(out->path, "we") : open_part(out->part);
	if (out->file)
		return PN_OK;
	int errnum = errno;
	free(out->part); /* not ours to remove */
	out->part = NULL;
	return pn_error_errno(err, errnum, "%s%s", out->path, in_place ? "" : ".part");
}

int model_part_open(struct model_part *out, const char *path, struct pn_error *err)
{
	*out = (struct model_part){ .path = strdup(path) };
	int status = out->path ? open_file(out, err)
			       : pn_error_set(err, PN_ENOMEM, "%s: no memory", path);

	if (status < 0)
		model_part_abandon(out);
	return status;
}

/* The name is on the disk only when its folder is. */
static int sync_folder(const char *path)
{
	char *copy = strdup(path);

	if (!copy) {
		errno = ENOMEM;
		return -1;
	}
	int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	free(copy);
	if (fd < 0)
		return -1;
	int status = fsync(fd);
	int errnum = errno;
	close(fd);
	errno = errnum;
	return status < 0 && errnum == EINVAL ? 0 : status; /* has nothing to sync */
}

static int settle(struct model_part *out, struct pn_error *err)
{
	int errnum = ferror(out->file) ? EIO : 0;

	if (fflush(out->file) == EOF)
		errnum = errno;
	/* a pipe or a device has nothing to sync and says so by EINVAL */
	if (!errnum && fsync(fileno(out->file)) < 0 && (out->part || errno != EINVAL))
		errnum = errno;
	FILE *file = out->file;
	out->file = NULL;
	if (fclose(file) == EOF && !errnum)
		errnum = errno;
	if (errnum)
		return pn_error_errno(err, errnum, "%s", out->path);
	if (!out->part)
		return PN_OK;
	if (rename(out->part, out->path) < 0)
		return pn_error_errno(err, errno, "%s: cannot take its name", out->path);
	free(out->part);
	out->part = NULL;
	if (sync_folder(out->path) < 0)
		return pn_error_errno(err, errno, "%s: complete, but its folder", out->path);
	return PN_OK;
}

int model_part_finish(struct model_part *out, struct pn_error *err)
{
	int status = settle(out, err);

	model_part_abandon(out); /* after success only memory is left to go */
	return status;
}

void model_part_abandon(struct model_part *out)
{
	if (out->file)
		fclose(out->file);
	if (out->part)
		unlink(out->part);
	free(out->part);
	free(out->path);
	*out = (struct model_part){ 0 };
}
