/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * folder.c - a folder in which files of images arrive, watched with inotify.
 *
 * A file counts as complete when it is closed after writing or renamed into the folder; files that
 * are there at open are taken as complete. Those complete at the same time go in order of name.
 * Names that begin with '.' or end in ".part" or ".tmp" are somebody's unfinished work and passed
 * over; so is what is not a regular file. A name is taken once, even if the file is written again.
 *
 * Message n is the n-th image of the files in the order in which they were taken; a file that
 * cannot be opened is one bad message. Files must stay as long as a seek may come back to them.
 * After a restart only the folder itself tells the order: `order` says whether existing files go by
 * name or by time of modification, and a restarted reader finds its place if that is the order in
 * which they came.
 *
 * inotify does not see what other hosts write to a network file system.
 */
#include "perrin/base/clock.h"
#include "perrin/format/stack.h"
#include "sources.h"

#include <dirent.h>
#include <errno.h>
#include <math.h>
#include <fcntl.h>
#include <poll.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#define WATCHED (IN_CLOSE_WRITE | IN_MOVED_TO | IN_DELETE_SELF | IN_MOVE_SELF | IN_ONLYDIR)

enum { ORDER_NAME, ORDER_TIME };
static const char *const order_words[] = { "name", "time", NULL };

/** A file that is waiting or taken. */
struct item {
	char *name;
	int64_t mtime_ns;
	uint64_t first;    /* number of its first message                */
	uint64_t messages; /* images, or 1 if it is bad                  */
	char *bad;         /* why, as found when it was taken            */
};

struct list {
	struct item *at;
	size_t count, room;
};

struct folder {
	struct pn_frame_known known;
	double fps, idle_s;
	char end_name[PN_PARAM_TEXT_MAX], suffix[PN_PARAM_TEXT_MAX];
	int order;

	char *path;
	int opened; /* the descriptor below is one */
	int inotify_fd;
	int ended, gone; /* the end file came; the folder itself went */
	int sorted;      /* `waiting` is, last first */
	int64_t newest_ns;
	struct list waiting, taken;
	void *names; /* tsearch tree of every name known */

	uint64_t next;          /* message */
	size_t current;         /* of taken: where `next` is or will be found */
	struct pn_stack *stack; /* of the current file; NULL: not open */
	struct pn_frame_buffer buffer;
};

static const struct pn_param folder_params[] = {
	{ .name = "known", .group = pn_frame_known_params, .off = offsetof(struct folder, known) },
	{ .name = "fps",
	  .unit = "1/s",
	  .help = "frames per second, for the time stamps; 0: when the file was last changed",
	  .type = PN_PARAM_F64,
	  .off = offsetof(struct folder, fps),
	  .def = 400,
	  .max = 1e6 },
	{ .name = "idle_s",
	  .unit = "s",
	  .help = "end after so long without a new file; 0: never",
	  .type = PN_PARAM_F64,
	  .off = offsetof(struct folder, idle_s),
	  .max = 1e6 },
	{ .name = "end_name",
	  .help = "a file of this name ends the stream",
	  .type = PN_PARAM_TEXT,
	  .off = offsetof(struct folder, end_name),
	  .def_text = "end" },
	{ .name = "suffix",
	  .help = "only names that end so, '.tif' for one; empty: all",
	  .type = PN_PARAM_TEXT,
	  .off = offsetof(struct folder, suffix) },
	{ .name = "order",
	  .help = "of files that are there at the start",
	  .type = PN_PARAM_ENUM,
	  .off = offsetof(struct folder, order),
	  .choices = order_words },
	{ 0 },
};

/* ---- names --------------------------------------------------------------------------------- */

static int by_text(const void *a, const void *b)
{
	return strcmp(a, b);
}

static int by_name_last_first(const void *a, const void *b)
{
	return strcmp(((const struct item *)b)->name, ((const struct item *)a)->name);
}

static int by_time_last_first(const void *a, const void *b)
{
	int64_t ta = ((const struct item *)a)->mtime_ns, tb = ((const struct item *)b)->mtime_ns;

	return ta != tb ? (ta < tb) - (ta > tb) : by_name_last_first(a, b);
}

static int ends_in(const char *name, const char *suffix)
{
	size_t length = strlen(name), tail = strlen(suffix);

	return length >= tail && strcmp(name + length - tail, suffix) == 0;
}

static int is_wanted(const struct folder *f, const char *name)
{
	return name[0] != '.' && !ends_in(name, ".part") && !ends_in(name, ".tmp") &&
	       ends_in(name, f->suffix);
}

static int push(struct list *list, const struct item *entry, struct pn_error *err)
{
	if (list->count == list->room) {
		size_t room = list->room ? 2 * list->room : 64;
		void *at = realloc(list->at, room * sizeof *list->at);

		if (!at)
			return pn_error_set(err, PN_ENOMEM, "a list of %zu files", room);
		list->at = at;
		list->room = room;
	}
	list->at[list->count++] = *entry;
	return PN_OK;
}

static char *full_path(const struct folder *f, const char *name)
{
	char *path = NULL;

	return asprintf(&path, "%s/%s", f->path, name) < 0 ? NULL : path;
}

/* A name that was seen in the folder, complete. */
static int add_name(struct folder *f, const char *name, struct pn_error *err)
{
	struct stat st;

	if (f->ended)
		return PN_OK;
	if (f->end_name[0] && strcmp(name, f->end_name) == 0) {
		f->ended = 1;
		return PN_OK;
	}
	if (!is_wanted(f, name) || tfind(name, &f->names, by_text))
		return PN_OK;
	char *path = full_path(f, name);

	if (!path)
		return pn_error_set(err, PN_ENOMEM, "%s: a name", f->path);
	int missing = stat(path, &st) != 0;

	free(path);
	if (missing || !S_ISREG(st.st_mode))
		return PN_OK;
	struct item entry = {
		.name = strdup(name),
		.mtime_ns = (int64_t)st.st_mtim.tv_sec * PN_NS_PER_S + st.st_mtim.tv_nsec,
	};

	if (!entry.name || !tsearch(entry.name, &f->names, by_text)) {
		free(entry.name);
		return pn_error_set(err, PN_ENOMEM, "%s: a name", f->path);
	}
	int rc = push(&f->waiting, &entry, err);

	if (rc) {
		tdelete(entry.name, &f->names, by_text);
		free(entry.name);
		return rc;
	}
	f->sorted = 0;
	f->newest_ns = pn_now_ns();
	return PN_OK;
}

static int scan(struct folder *f, struct pn_error *err)
{
	DIR *dir = opendir(f->path);
	struct dirent *item;
	int rc = PN_OK, ended = 0;

	if (!dir)
		return pn_error_errno(err, errno, "%s", f->path);
	/* the end file may be listed before others that were there as well */
	while (!rc && (item = readdir(dir)) != NULL) {
		if (f->end_name[0] && strcmp(item->d_name, f->end_name) == 0)
			ended = 1;
		else
			rc = add_name(f, item->d_name, err);
	}
	closedir(dir);
	f->ended |= ended;
	return rc;
}

/* ---- arrivals ------------------------------------------------------------------------------ */

static int take_event(struct folder *f, const struct inotify_event *event, struct pn_error *err)
{
	if (event->mask & IN_Q_OVERFLOW)
		return scan(f, err); /* the kernel has dropped names: look for them */
	if (event->mask & (IN_DELETE_SELF | IN_MOVE_SELF | IN_UNMOUNT | IN_IGNORED)) {
		f->gone = 1;
		return PN_OK;
	}
	if (event->mask & IN_ISDIR || event->len == 0)
		return PN_OK;
	return add_name(f, event->name, err);
}

/* Read what inotify has; never waits. */
static int gather(struct folder *f, struct pn_error *err)
{
	char events[16384] __attribute__((aligned(__alignof__(struct inotify_event))));

	for (;;) {
		ssize_t got = read(f->inotify_fd, events, sizeof events);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return PN_OK;
		if (got <= 0)
			return pn_error_errno(err, got ? errno : EIO, "%s: inotify", f->path);
		for (char *at = events; at < events + got;) {
			const struct inotify_event *event = (const void *)at;
			int rc = take_event(f, event, err);

			if (rc)
				return rc;
			at += sizeof *event + event->len;
		}
	}
}

/* The next waiting file becomes a taken one, opened to learn how many messages it gives.
 * PN_EAGAIN: none is waiting. */
static int take_file(struct folder *f, struct pn_error *err)
{
	struct pn_error why = { 0 };
	int rc;

	if (f->waiting.count == 0)
		return PN_EAGAIN;
	if (!f->sorted)
		qsort(f->waiting.at, f->waiting.count, sizeof *f->waiting.at, by_name_last_first);
	f->sorted = 1;
	struct item entry = f->waiting.at[f->waiting.count - 1];
	const struct item *before = f->taken.count ? &f->taken.at[f->taken.count - 1] : NULL;
	char *path = full_path(f, entry.name);

	if (!path)
		return pn_error_set(err, PN_ENOMEM, "%s: a name", f->path);
	pn_stack_close(f->stack);
	f->stack = NULL;
	rc = pn_stack_open(&f->stack, path, &why);
	free(path);
	if (rc == PN_ENOMEM)
		return pn_error_set(err, rc, "%s", why.text);
	entry.first = before ? before->first + before->messages : 0;
	entry.messages = rc ? 1 : pn_stack_info(f->stack)->count;
	entry.bad = rc ? strdup(why.text) : NULL;
	if (rc && !entry.bad)
		return pn_error_set(err, PN_ENOMEM, "%s: a text", f->path);
	rc = push(&f->taken, &entry, err);
	if (rc) {
		free(entry.bad);
		return rc;
	}
	f->waiting.count--;
	f->current = f->taken.count - 1;
	return PN_OK;
}

static int open_current(struct folder *f, struct pn_error *err)
{
	const struct item *entry = &f->taken.at[f->current];
	char *path = full_path(f, entry->name);

	if (!path)
		return pn_error_set(err, PN_ENOMEM, "%s: a name", f->path);
	int rc = pn_stack_open(&f->stack, path, err);

	if (!rc && pn_stack_info(f->stack)->count != entry->messages) {
		rc = pn_error_set(err, PN_EFRAME, "%s: %llu images, had %llu when it came", path,
				  (unsigned long long)pn_stack_info(f->stack)->count,
				  (unsigned long long)entry->messages);
		pn_stack_close(f->stack);
		f->stack = NULL;
	}
	free(path);
	if (rc && rc != PN_ENOMEM && err)
		err->code = PN_EFRAME;
	return rc && rc != PN_ENOMEM ? PN_EFRAME : rc;
}

/* ---- the ops ------------------------------------------------------------------------------- */

static int folder_open(void *self, const char *path, struct pn_error *err)
{
	struct folder *f = self;

	f->path = strdup(path);
	if (!f->path)
		return pn_error_set(err, PN_ENOMEM, "%s", path);
	f->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	if (f->inotify_fd < 0)
		return pn_error_errno(err, errno, "%s: inotify", path);
	f->opened = 1;
	/* watch first, then look: what arrives between the two is seen by one or by both */
	if (inotify_add_watch(f->inotify_fd, path, WATCHED) < 0)
		return pn_error_errno(err, errno, "%s", path);
	f->newest_ns = pn_now_ns();
	int rc = scan(f, err);

	if (!rc && f->order == ORDER_TIME) {
		qsort(f->waiting.at, f->waiting.count, sizeof *f->waiting.at, by_time_last_first);
		while (!rc && f->waiting.count) {
			f->sorted = 1;
			rc = take_file(f, err);
		}
		f->current = 0;
		pn_stack_close(f->stack);
		f->stack = NULL;
	}
	return rc;
}

static int read_current(struct folder *f, struct pn_msg *msg, struct pn_error *err)
{
	const struct item *entry = &f->taken.at[f->current];
	uint64_t frame = f->next;
	int rc = PN_OK;

	if (entry->bad)
		rc = pn_error_set(err, PN_EFRAME, "%s", entry->bad);
	else if (!f->stack)
		rc = open_current(f, err);
	if (!rc)
		rc = pn_frame_of_stack(&f->buffer, f->stack, frame - entry->first, &f->known, (double)NAN, frame,
				       f->fps >= 1e-3 ? pn_frame_time_ns(frame, f->fps)
						      : entry->mtime_ns,
				       msg, err);
	if (rc == PN_OK || rc == PN_EFRAME)
		f->next++;
	return rc;
}

/* Until `current` holds message `next`; PN_EAGAIN: it has not come. */
static int find_current(struct folder *f, struct pn_error *err)
{
	for (;;) {
		if (f->current < f->taken.count) {
			const struct item *entry = &f->taken.at[f->current];

			if (f->next < entry->first + entry->messages)
				return PN_OK;
			pn_stack_close(f->stack);
			f->stack = NULL;
			f->current++;
			continue;
		}
		int rc = gather(f, err);

		if (!rc)
			rc = take_file(f, err);
		if (rc)
			return rc;
	}
}

static int folder_next(void *self, struct pn_msg *msg, struct pn_error *err)
{
	struct folder *f = self;
	int rc = find_current(f, err);

	if (rc == PN_OK)
		return read_current(f, msg, err);
	if (rc != PN_EAGAIN)
		return rc;
	if (!f->ended && f->gone)
		return pn_error_set(err, PN_EIO, "%s: the folder has been moved or removed",
				    f->path);
	if (f->idle_s > 0 && (double)(pn_now_ns() - f->newest_ns) >= f->idle_s * 1e9)
		f->ended = 1;
	return f->ended ? PN_EEND : PN_EAGAIN;
}

static int folder_seek(void *self, uint64_t seq, struct pn_error *err)
{
	struct folder *f = self;
	uint64_t next = f->next;

	/* walking forward takes files in the very order in which next would have */
	f->next = seq;
	if (seq < next)
		f->current = 0;
	int rc = find_current(f, err);
	const struct item *last = f->taken.count ? &f->taken.at[f->taken.count - 1] : NULL;

	if (rc == PN_EAGAIN && seq == (last ? last->first + last->messages : 0))
		rc = PN_OK;
	/* the stack that is open may be another file's now */
	pn_stack_close(f->stack);
	f->stack = NULL;
	if (!rc)
		return PN_OK;
	f->next = next;
	f->current = 0;
	if (rc != PN_EAGAIN)
		return rc;
	return pn_error_set(err, PN_ENOENT, "%s: message %llu has not come", f->path,
			    (unsigned long long)seq);
}

static void folder_wait(void *self, int64_t timeout_ns)
{
	struct folder *f = self;
	struct pollfd fd = { .fd = f->inotify_fd, .events = POLLIN };

	if (f->idle_s > 0) {
		int64_t left = f->newest_ns + (int64_t)(f->idle_s * 1e9) - pn_now_ns();

		if (left < timeout_ns)
			timeout_ns = left > 0 ? left : 0;
	}
	struct timespec time = { .tv_sec = timeout_ns / PN_NS_PER_S,
				 .tv_nsec = timeout_ns % PN_NS_PER_S };

	ppoll(&fd, 1, &time, NULL);
}

static void free_list(struct list *list)
{
	for (size_t i = 0; i < list->count; i++) {
		free(list->at[i].name);
		free(list->at[i].bad);
	}
	free(list->at);
}

static void keep(void *name)
{
	(void)name; /* the names in the tree belong to the lists */
}

static void folder_close(void *self)
{
	struct folder *f = self;

	if (f->opened)
		close(f->inotify_fd);
	tdestroy(f->names, keep);
	free_list(&f->waiting);
	free_list(&f->taken);
	pn_stack_close(f->stack);
	pn_frame_finish(&f->buffer);
	free(f->path);
}

const struct pn_source_ops pn_source_folder = {
	.scheme = "folder",
	.brief = "a folder in which files of images arrive",
	.state_size = sizeof(struct folder),
	.params = folder_params,
	.open = folder_open,
	.next = folder_next,
	.seek = folder_seek,
	.wait = folder_wait,
	.close = folder_close,
};
