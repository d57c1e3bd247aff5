/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The index of a segment: one offset a record. It is a help, never the truth: entries are checked
 * against the segment when they are used, and a failure to write one only makes readers walk.
 */
#include "log_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void index_off(struct log_index *index)
{
	if (index->fd >= 0)
		close(index->fd);
	index->fd = -1;
}

static void write_header(struct log_index *index, uint64_t synced)
{
	struct index_header header = { .magic = INDEX_MAGIC,
				       .version = INDEX_VERSION,
				       .entry_bytes = sizeof(struct index_entry),
				       .number = index->number,
				       .first_seq = index->first_seq,
				       .synced = synced };

	header.hash = log_hash64(&header, offsetof(struct index_header, hash));
	if (log_write_all(index->fd, &header, sizeof header, 0))
		index_off(index);
}

void index_open(struct log_index *index, const char *dir, uint64_t number, uint64_t first_seq,
		uint64_t keep)
{
	char path[LOG_PATH_MAX];

	index->fd = -1;
	index->number = number;
	index->first_seq = first_seq;
	index->count = keep;
	index->pending = 0;
	if (segment_path(path, dir, number, "idx", NULL))
		return;
	index->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
	if (index->fd < 0)
		return;
	if (ftruncate(index->fd,
		      (off_t)(keep ? sizeof(struct index_header) + keep * sizeof(struct index_entry)
				   : 0)))
		index_off(index);
	else
		write_header(index, keep);
}

void index_add(struct log_index *index, uint64_t offset, uint64_t header_hash)
{
	if (index->fd < 0)
		return;
	index->entries[index->pending++] = (struct index_entry){ offset, header_hash };
	index->count++;
	if (index->pending == INDEX_PENDING)
		index_flush(index);
}

void index_flush(struct log_index *index)
{
	uint64_t first = index->count - index->pending;

	if (index->fd < 0 || !index->pending)
		return;
	if (log_write_all(index->fd, index->entries, index->pending * sizeof *index->entries,
			  sizeof(struct index_header) + first * sizeof *index->entries))
		index_off(index);
	index->pending = 0;
}

void index_mark(struct log_index *index, uint64_t synced)
{
	index_flush(index);
	if (index->fd >= 0)
		write_header(index, synced < index->count ? synced : index->count);
}

void index_close(struct log_index *index)
{
	index_flush(index);
	index_off(index);
}

static int open_checked(const struct segment_view *view, const char *dir,
			struct index_header *header)
{
	char path[LOG_PATH_MAX];
	int fd;

	if (segment_path(path, dir, view->number, "idx", NULL))
		return -1;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	if (pread(fd, header, sizeof *header, 0) == (ssize_t)sizeof *header &&
	    memcmp(header->magic, INDEX_MAGIC, sizeof header->magic) == 0 &&
	    header->version == INDEX_VERSION && header->number == view->number &&
	    header->entry_bytes == sizeof(struct index_entry) &&
	    header->first_seq == view->first_seq &&
	    header->hash == log_hash64(header, offsetof(struct index_header, hash)))
		return fd;
	close(fd);
	return -1;
}

/* does the entry name a record of this number whose header is good? */
static int entry_holds(const struct segment_view *view, const struct index_entry *entry,
		       uint64_t seq)
{
	uint64_t bytes;

	if (entry->offset < view->align || entry->offset % view->align ||
	    entry->offset >= view->bytes)
		return 0;
	const struct pn_record *record = (const void *)(view->base + entry->offset);

	return record_check(record, view->bytes - entry->offset, view->align, seq, RECORD_HEADER,
			    &bytes) == RECORD_OK &&
	       record->header_hash == entry->header_hash && record->kind == PN_RECORD_DATA;
}

static int read_entry(int fd, uint64_t i, struct index_entry *entry)
{
	off_t at = (off_t)(sizeof(struct index_header) + i * sizeof *entry);

	return pread(fd, entry, sizeof *entry, at) == (ssize_t)sizeof *entry;
}

uint64_t index_find(const struct segment_view *view, const char *dir, uint64_t seq)
{
	struct index_header header;
	struct index_entry entry;
	uint64_t offset = LOG_NONE;
	int fd;

	if (seq < view->first_seq || seq - view->first_seq > view->bytes / view->align)
		return LOG_NONE;
	fd = open_checked(view, dir, &header);
	if (fd < 0)
		return LOG_NONE;
	if (read_entry(fd, seq - view->first_seq, &entry) && entry_holds(view, &entry, seq))
		offset = entry.offset;
	close(fd);
	return offset;
}

/* offsets must begin behind the header and rise */
static int entries_rise(int fd, uint32_t align, uint64_t count)
{
	struct index_entry some[256];
	uint64_t before = 0;

	for (uint64_t i = 0; i < count;) {
		uint64_t n = count - i < PN_COUNT(some) ? count - i : PN_COUNT(some);
		off_t at = (off_t)(sizeof(struct index_header) + i * sizeof *some);

		if (pread(fd, some, n * sizeof *some, at) != (ssize_t)(n * sizeof *some))
			return 0;
		for (uint64_t k = 0; k < n; k++) {
			if (some[k].offset % align || some[k].offset <= before ||
			    (i + k == 0 && some[k].offset != align))
				return 0;
			before = some[k].offset;
		}
		i += n;
	}
	return 1;
}

uint64_t index_synced(const struct segment_view *view, const char *dir, uint64_t *last_offset)
{
	struct index_header header;
	struct index_entry entry;
	uint64_t synced = 0;
	int fd = open_checked(view, dir, &header);

	if (fd < 0)
		return 0;
	if (header.synced && header.synced <= view->bytes / view->align &&
	    read_entry(fd, header.synced - 1, &entry) &&
	    entry_holds(view, &entry, view->first_seq + header.synced - 1) &&
	    entries_rise(fd, view->align, header.synced)) {
		synced = header.synced;
		*last_offset = entry.offset;
	}
	close(fd);
	return synced;
}
