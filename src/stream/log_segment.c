/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "log_internal.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* a file that grows is mapped with room to grow, so that its pages need not be mapped again */
#define VIEW_HEADROOM (UINT64_C(256) << 20)

const char *log_name(const char *dir)
{
	const char *slash = strrchr(dir, '/');

	return slash && slash[1] ? slash + 1 : dir;
}

int log_write_all(int fd, const void *bytes, uint64_t count, uint64_t offset)
{
	const uint8_t *at = bytes;

	while (count) {
		ssize_t n = pwrite(fd, at, count, (off_t)offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? errno : ENOSPC;
		at += n;
		offset += (uint64_t)n;
		count -= (uint64_t)n;
	}
	return 0;
}

int log_sync_dir(const char *dir)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int errnum;

	if (fd < 0)
		return errno;
	/* some file systems cannot sync folders (EINVAL); they have no names to lose then */
	errnum = fsync(fd) && errno != EINVAL ? errno : 0;
	close(fd);
	return errnum;
}

int segment_path(char path[LOG_PATH_MAX], const char *dir, uint64_t number, const char *suffix,
		 struct pn_error *err)
{
	int n = snprintf(path, LOG_PATH_MAX, "%s/%06" PRIu64 ".%s", dir, number, suffix);

	if (n >= LOG_PATH_MAX)
		return pn_error_set(err, PN_EARG, "stream folder: path of %d bytes is too long", n);
	return PN_OK;
}

/* "000012.seg" gives 12; anything else LOG_NONE */
static uint64_t number_of_name(const char *name)
{
	char *end;
	size_t digits = strspn(name, "0123456789");

	if (digits < 6 || digits > 18 || strcmp(name + digits, ".seg") != 0)
		return LOG_NONE;
	return strtoull(name, &end, 10);
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int segment_list_read(struct segment_list *list, const char *dir, struct pn_error *err)
{
	DIR *d = opendir(dir);
	size_t room = 0;
	struct dirent *entry;

	*list = (struct segment_list){ 0 };
	if (!d)
		return pn_error_errno(err, errno, "%s", dir);
	while ((entry = readdir(d))) {
		uint64_t number = number_of_name(entry->d_name);

		if (number == LOG_NONE)
			continue;
		if (list->count == room) {
			room = room ? 2 * room : 64;
			uint64_t *more = realloc(list->numbers, room * sizeof *more);

			if (!more) {
				closedir(d);
				segment_list_free(list);
				return pn_error_set(err, PN_ENOMEM, "%s: list of %zu segments", dir,
						    room);
			}
			list->numbers = more;
		}
		list->numbers[list->count++] = number;
	}
	closedir(d);
	if (list->count)
		qsort(list->numbers, list->count, sizeof *list->numbers, by_number);
	return PN_OK;
}

void segment_list_free(struct segment_list *list)
{
	free(list->numbers);
	*list = (struct segment_list){ 0 };
}

void segment_header_make(struct segment_header *header, uint32_t align, uint64_t number,
			 uint64_t first_seq)
{
	*header = (struct segment_header){ .magic = SEGMENT_MAGIC,
					   .version = SEGMENT_VERSION,
					   .align = align,
					   .number = number,
					   .first_seq = first_seq };
	header->hash = log_hash64(header, offsetof(struct segment_header, hash));
}

int segment_header_read(int fd, const char *path, uint64_t number, struct segment_header *header,
			struct pn_error *err)
{
	ssize_t n = pread(fd, header, sizeof *header, 0);

	if (n < 0)
		return pn_error_errno(err, errno, "%s", path);
	if ((size_t)n < sizeof *header)
		return pn_error_set(err, PN_EFORMAT, "%s: %zd bytes are too few for a segment",
				    path, n);
	if (memcmp(header->magic, SEGMENT_MAGIC, sizeof header->magic) != 0 ||
	    header->hash != log_hash64(header, offsetof(struct segment_header, hash)))
		return pn_error_set(err, PN_EFORMAT, "%s: no segment header, or it is damaged",
				    path);
	if (header->version != SEGMENT_VERSION)
		return pn_error_set(err, PN_EVERSION, "%s: format version %u, this is for %u", path,
				    header->version, SEGMENT_VERSION);
	if (header->align < 64 || header->align > LOG_ALIGN_MAX ||
	    (header->align & (header->align - 1)) || header->number != number ||
	    header->first_seq == LOG_NONE)
		return pn_error_set(err, PN_EFORMAT,
				    "%s: header says align %u, segment %" PRIu64
				    ", first record %" PRIu64,
				    path, header->align, header->number, header->first_seq);
	return PN_OK;
}

void segment_view_init(struct segment_view *view)
{
	*view = (struct segment_view){ .fd = -1, .number = LOG_NONE };
}

void segment_view_close(struct segment_view *view)
{
	if (view->base)
		munmap((void *)view->base, view->mapped);
	if (view->fd >= 0)
		close(view->fd);
	segment_view_init(view);
}

int segment_view_open(struct segment_view *view, const char *dir, uint64_t number,
		      struct pn_error *err)
{
	char path[LOG_PATH_MAX];
	struct segment_header header;
	int rc = segment_path(path, dir, number, "seg", err);

	segment_view_init(view);
	if (rc)
		return rc;
	view->fd = open(path, O_RDONLY | O_CLOEXEC);
	if (view->fd < 0)
		return pn_error_errno(err, errno, "%s", path);
	rc = segment_header_read(view->fd, path, number, &header, err);
	if (!rc) {
		view->number = number;
		view->first_seq = header.first_seq;
		view->align = header.align;
		rc = segment_view_refresh(view, err);
	}
	if (rc)
		segment_view_close(view);
	return rc;
}

int segment_view_refresh(struct segment_view *view, struct pn_error *err)
{
	struct stat st;

	if (fstat(view->fd, &st))
		return pn_error_errno(err, errno, "segment %" PRIu64, view->number);
	view->bytes = (uint64_t)st.st_size;
	if (view->base && view->bytes <= view->mapped)
		return PN_OK;
	if (view->base)
		munmap((void *)view->base, view->mapped);
	view->mapped = view->bytes + VIEW_HEADROOM;
	void *base = mmap(NULL, view->mapped, PROT_READ, MAP_SHARED, view->fd, 0);
	view->base = base == MAP_FAILED ? NULL : base;
	if (!view->base)
		return pn_error_errno(err, errno, "segment %" PRIu64 ": map of %" PRIu64 " bytes",
				      view->number, view->mapped);
	return PN_OK;
}

int segment_view_reread(struct segment_view *view, uint64_t offset, struct pn_error *err)
{
	if (view->base)
		munmap((void *)view->base, view->mapped);
	view->base = NULL;
	posix_fadvise(view->fd, (off_t)offset, 0, POSIX_FADV_DONTNEED);
	return segment_view_refresh(view, err);
}
