/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "order.h"

#include "perrin/stream/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define ORDER_SEED UINT64_C(0x31524f4e50000000) /* of the format: "1RONP" and the entry's number \
						 */
#define POSITION_NEVER UINT64_MAX

enum { ENTRY_BYTES = sizeof(struct pn_order_entry) };
_Static_assert(ENTRY_BYTES == 40, "the entry's layout is the file's");

static uint64_t check_of(const struct pn_order_entry *entry, uint64_t number)
{
	return pn_hash64(entry, offsetof(struct pn_order_entry, check), ORDER_SEED + number);
}

static int is_seal(const struct pn_order_entry *entry)
{
	return entry->input == PN_PORTS_MAX && entry->position == POSITION_NEVER;
}

static int is_whole(const struct pn_order_entry *entry, uint64_t number)
{
	return entry->check == check_of(entry, number) &&
	       (entry->input < PN_PORTS_MAX || is_seal(entry));
}

uint64_t pn_order_content(const struct pn_msg *msg)
{
	uint64_t hash = pn_hash64(msg->head, msg->head_bytes, (uint64_t)msg->time_ns);

	return pn_hash64(msg->payload, msg->payload_bytes, hash);
}

/* ---- opening ------------------------------------------------------------------------------- */

static int read_entries(struct pn_order *order, uint64_t bytes, struct pn_error *err)
{
	order->capacity = bytes / ENTRY_BYTES + 16;
	order->entries = malloc(order->capacity * ENTRY_BYTES);
	if (!order->entries)
		return pn_error_set(err, PN_ENOMEM, "%s: no memory for %llu entries", order->path,
				    (unsigned long long)order->capacity);
	uint64_t want = bytes / ENTRY_BYTES * ENTRY_BYTES, have = 0;
	while (have < want) {
		ssize_t n =
			pread(order->fd, (char *)order->entries + have, want - have, (off_t)have);

		if (n <= 0)
			return pn_error_errno(err, n ? errno : EIO, "%s", order->path);
		have += (uint64_t)n;
	}
	while (order->count < want / ENTRY_BYTES &&
	       is_whole(&order->entries[order->count], order->count))
		order->count++;
	return PN_OK;
}

static int truncate_to(struct pn_order *order, uint64_t count, struct pn_error *err)
{
	if (ftruncate(order->fd, (off_t)(count * ENTRY_BYTES)))
		return pn_error_errno(err, errno, "%s: cut to %llu entries", order->path,
				      (unsigned long long)count);
	order->count = count;
	return PN_OK;
}

/* A new file must not lose its name in a power cut, or its entries would be gone with it. */
static int keep_name(const char *path, struct pn_error *err)
{
	char dir[4096];

	snprintf(dir, sizeof dir, "%s", path);
	char *slash = strrchr(dir, '/');
	if (slash)
		slash[0] = 0;
	int fd = open(slash ? dir : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int bad = fd < 0 || fsync(fd), errnum = errno;

	if (fd >= 0)
		close(fd);
	return bad ? pn_error_errno(err, errnum, "%s: the folder of %s", dir, path) : PN_OK;
}

int pn_order_open(struct pn_order *order, const char *path, const uint64_t next_in[PN_PORTS_MAX],
		  uint64_t *bytes_cut, struct pn_error *err)
{
	struct stat st;

	memset(order, 0, sizeof *order);
	*bytes_cut = 0;
	snprintf(order->path, sizeof order->path, "%s", path);
	memcpy(order->next_in, next_in, sizeof order->next_in);
	order->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	if (order->fd < 0)
		return pn_error_errno(err, errno, "%s", path);
	order->open = 1;
	int rc = fstat(order->fd, &st) ? pn_error_errno(err, errno, "%s", path)
				       : read_entries(order, (uint64_t)st.st_size, err);

	if (!rc && (uint64_t)st.st_size > order->count * ENTRY_BYTES) {
		*bytes_cut = (uint64_t)st.st_size - order->count * ENTRY_BYTES;
		rc = truncate_to(order, order->count, err);
	}
	if (!rc && !order->count)
		rc = keep_name(path, err);
	if (rc)
		pn_order_close(order);
	return rc;
}

void pn_order_close(struct pn_order *order)
{
	if (order->open)
		close(order->fd);
	free(order->entries);
	order->entries = NULL;
	order->open = 0;
	order->count = order->at = 0;
}

/* ---- obeying ------------------------------------------------------------------------------- */

const struct pn_order_entry *pn_order_due(struct pn_order *order)
{
	while (order->at < order->count) {
		const struct pn_order_entry *entry = &order->entries[order->at];

		if (is_seal(entry) || entry->seq >= order->next_in[entry->input])
			return entry;
		order->at++;
	}
	return NULL;
}

void pn_order_obeyed(struct pn_order *order)
{
	pn_assert(order->at < order->count);
	order->at++;
}

int pn_order_cut(struct pn_order *order, struct pn_error *err)
{
	return truncate_to(order, order->at, err);
}

/* ---- writing ------------------------------------------------------------------------------- */

static int append(struct pn_order *order, struct pn_order_entry entry, struct pn_error *err)
{
	if (order->count == order->capacity) {
		uint64_t capacity = 2 * order->capacity;
		void *more = realloc(order->entries, capacity * ENTRY_BYTES);

		if (!more)
			return pn_error_set(err, PN_ENOMEM, "%s: no memory for %llu entries",
					    order->path, (unsigned long long)capacity);
		order->entries = more;
		order->capacity = capacity;
	}
	entry.check = check_of(&entry, order->count);
	ssize_t n = pwrite(order->fd, &entry, ENTRY_BYTES, (off_t)(order->count * ENTRY_BYTES));

	if (n != ENTRY_BYTES || fdatasync(order->fd))
		return pn_error_errno(err, n >= 0 && n != ENTRY_BYTES ? ENOSPC : errno,
				      "%s: entry %llu", order->path,
				      (unsigned long long)order->count);
	order->entries[order->count++] = entry;
	return PN_OK;
}

int pn_order_append(struct pn_order *order, const struct pn_msg *msg, uint64_t position,
		    struct pn_error *err)
{
	pn_assert(!pn_order_due(order));
	int rc = append(order,
			(struct pn_order_entry){ .input = msg->port,
						 .seq = msg->seq,
						 .position = position,
						 .content = pn_order_content(msg) },
			err);

	if (!rc)
		order->at = order->count;
	return rc;
}

int pn_order_seal(struct pn_order *order, struct pn_error *err)
{
	if (order->count && is_seal(&order->entries[order->count - 1]))
		return PN_OK;
	return append(order,
		      (struct pn_order_entry){ .input = PN_PORTS_MAX, .position = POSITION_NEVER },
		      err);
}
