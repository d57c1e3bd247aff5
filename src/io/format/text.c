/* SPDX-License-Identifier: GPL-3.0-or-later */
/* text.c - whole text files in memory, for the readers of atomic models. */
#include "model_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes that are there, of @count at most; -1 with errno on failure. */
static ssize_t read_all(int fd, char *dst, size_t count)
{
	size_t done = 0;

	while (done < count) {
		ssize_t n = read(fd, dst + done, count - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -1;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

static int read_file(struct model_text *text, int fd, struct pn_error *err)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return pn_error_errno(err, errno, "%s", text->path);
	if (!S_ISREG(st.st_mode))
		return pn_error_set(err, PN_EUNSUPPORTED, "%s: not a regular file", text->path);
	text->bytes = malloc((size_t)st.st_size + 1);
	if (!text->bytes)
		return pn_error_set(err, PN_ENOMEM, "%s: no memory for %lld bytes", text->path,
				    (long long)st.st_size);
	/* through /proc the offset may be shared and stand anywhere */
	if (lseek(fd, 0, SEEK_SET) < 0)
		return pn_error_errno(err, errno, "%s", text->path);
	ssize_t got = read_all(fd, text->bytes, (size_t)st.st_size);
	if (got < 0)
		return pn_error_errno(err, errno, "%s", text->path);
	text->count = (size_t)got;
	text->bytes[got] = 0;
	const char *nul = memchr(text->bytes, 0, text->count);
	if (nul)
		return pn_error_set(err, PN_EFORMAT, "%s: byte %td is NUL: not a text in UTF-8",
				    text->path, nul - text->bytes);
	return PN_OK;
}

int model_text_read(struct model_text *text, const char *path, struct pn_error *err)
{
	int fd, status;

	*text = (struct model_text){ .path = path };
	/* without O_NONBLOCK a pipe would wait for its writer before it could be refused */
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return pn_error_errno(err, errno, "%s", path);
	status = read_file(text, fd, err);
	close(fd);
	if (status < 0)
		model_text_free(text);
	return status;
}

void model_text_free(struct model_text *text)
{
	free(text->bytes);
	text->bytes = NULL;
	text->count = 0;
}

void model_cursor_init(struct model_cursor *cursor, const struct model_text *text)
{
	*cursor = (struct model_cursor){
		.text = text,
		.p = text->bytes,
		.end = text->bytes + text->count,
		.line = 1,
	};
	if (strncmp(cursor->p, "\xef\xbb\xbf", 3) == 0)
		cursor->p += 3;
}
