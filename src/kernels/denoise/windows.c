/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/denoise/windows.h"

#include "perrin/image/quality.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pn_windows {
	size_t tag_bytes;
	struct pn_window_entry **entries; /* [count], in the order they came */
	size_t count, capacity, asked;    /* asked: entries before this were looked at */
	uint64_t next_id, newest;         /* newest frame */
	int half;                         /* that was asked for last */
};

int pn_windows_create(struct pn_windows **windows, size_t tag_bytes, struct pn_error *err)
{
	struct pn_windows *w = calloc(1, sizeof *w);

	*windows = w;
	if (!w)
		return pn_error_set(err, PN_ENOMEM, "windows: no memory");
	w->tag_bytes = tag_bytes;
	w->next_id = 1;
	return PN_OK;
}

static void free_entry(struct pn_window_entry *entry)
{
	if (!entry)
		return;
	free(entry->image);
	free(entry->clean);
	free(entry->tag);
	free(entry);
}

static void clear(struct pn_windows *windows)
{
	for (size_t i = 0; i < windows->count; i++)
		free_entry(windows->entries[i]);
	windows->count = windows->asked = 0;
}

void pn_windows_destroy(struct pn_windows *windows)
{
	if (!windows)
		return;
	clear(windows);
	free(windows->entries);
	free(windows);
}

/* ---- what comes ------------------------------------------------------------------------------ */

static struct pn_window_entry *find(const struct pn_windows *windows, uint64_t particle,
				    uint64_t frame)
{
	for (size_t i = windows->count; i-- > 0;) {
		struct pn_window_entry *entry = windows->entries[i];

		if (entry->crop.particle == particle && entry->crop.frame == frame)
			return entry;
	}
	return NULL;
}

static int check(const struct pn_windows *windows, const struct pn_window_crop *crop,
		 const float *image, struct pn_error *err)
{
	size_t pixels = (size_t)crop->ny * (size_t)crop->nx, bad = 0;

	if (windows->next_id > 1 && crop->frame < windows->newest)
		return pn_error_set(err, PN_EFRAME, "frame %llu after frame %llu",
				    (unsigned long long)crop->frame,
				    (unsigned long long)windows->newest);
	if (find(windows, crop->particle, crop->frame))
		return pn_error_set(err, PN_EFRAME, "particle %llu a second time on frame %llu",
				    (unsigned long long)crop->particle,
				    (unsigned long long)crop->frame);
	for (size_t k = 0; k < pixels; k++)
		bad += !isfinite(image[k]);
	if (bad)
		return pn_error_set(err, PN_EFRAME,
				    "frame %llu: %zu of %d x %d pixels are not finite numbers",
				    (unsigned long long)crop->frame, bad, crop->ny, crop->nx);
	return PN_OK;
}

static struct pn_window_entry *new_entry(const struct pn_windows *windows,
					 const struct pn_window_crop *crop)
{
	size_t bytes = (size_t)crop->ny * (size_t)crop->nx * sizeof(float);
	struct pn_window_entry *entry = calloc(1, sizeof *entry);

	if (!entry)
		return NULL;
	entry->crop = *crop;
	entry->image = malloc(bytes);
	entry->clean = calloc(1, bytes);
	entry->tag = malloc(windows->tag_bytes + 1);
	if (!entry->image || !entry->clean || !entry->tag) {
		free_entry(entry);
		return NULL;
	}
	return entry;
}

static int append(struct pn_windows *windows, struct pn_window_entry *entry, struct pn_error *err)
{
	if (entry && windows->count == windows->capacity) {
		size_t more = windows->capacity ? 2 * windows->capacity : 16;
		void *grown = realloc(windows->entries, more * sizeof *windows->entries);

		if (!grown) {
			free_entry(entry);
			entry = NULL;
		} else {
			windows->entries = grown;
			windows->capacity = more;
		}
	}
	if (!entry)
		return pn_error_set(err, PN_ENOMEM, "windows: no memory for a crop after %zu",
				    windows->count);
	windows->entries[windows->count++] = entry;
	return PN_OK;
}

int pn_windows_add(struct pn_windows *windows, const struct pn_window_crop *crop,
		   const float *image, const void *tag, struct pn_error *err)
{
	int rc = check(windows, crop, image, err);

	if (rc)
		return rc;
	struct pn_window_entry *entry = new_entry(windows, crop);
	if (entry) {
		memcpy(entry->image, image, (size_t)crop->ny * (size_t)crop->nx * sizeof *image);
		memcpy(entry->tag, tag, windows->tag_bytes);
		entry->id = windows->next_id;
	}
	rc = append(windows, entry, err);
	if (rc)
		return rc;
	windows->next_id++;
	windows->newest = crop->frame;
	return PN_OK;
}

/* ---- what is complete --------------------------------------------------------------------------
 */

static int complete(const struct pn_windows *windows, const struct pn_window_entry *entry, int half)
{
	uint64_t since = windows->newest - entry->crop.frame; /* frames never fall */

	return half < 0 || since > (uint64_t)half ||
	       (since == (uint64_t)half && find(windows, entry->crop.particle, windows->newest));
}

struct pn_window_entry *pn_windows_next(struct pn_windows *windows, int half)
{
	windows->half = half < 0 ? windows->half : half;
	while (windows->asked < windows->count) {
		struct pn_window_entry *entry = windows->entries[windows->asked++];

		if (!entry->passed && complete(windows, entry, half)) {
			entry->passed = -1; /* asked for; pn_windows_pass makes it done */
			return entry;
		}
	}
	return NULL;
}

void pn_windows_again(struct pn_windows *windows)
{
	for (size_t i = 0; i < windows->count; i++)
		if (windows->entries[i]->passed < 0)
			windows->entries[i]->passed = 0;
	windows->asked = 0;
}

void pn_windows_pass(struct pn_windows *windows)
{
	/* windows to come are of frame newest - half or later, and need as many before; the SNR one
	 */
	uint64_t keep = windows->half > 0 ? 2 * (uint64_t)windows->half : 1;
	size_t kept = 0;

	for (size_t i = 0; i < windows->count; i++) {
		struct pn_window_entry *entry = windows->entries[i];

		if (entry->passed)
			entry->passed = 1;
		if (entry->passed && windows->newest - entry->crop.frame > keep)
			free_entry(entry);
		else
			windows->entries[kept++] = entry;
	}
	windows->count = kept;
	windows->asked = 0;
}

/* A frame recorded twice: its pixels are the own ones, and would show what must not be seen. */
static int repeats(const struct pn_window_entry *at, const struct pn_window_entry *own, int dy,
		   int dx)
{
	int ny = own->crop.ny, nx = own->crop.nx;
	int y0 = dy < 0 ? -dy : 0, y1 = ny - (dy > 0 ? dy : 0);
	int x0 = dx < 0 ? -dx : 0, x1 = nx - (dx > 0 ? dx : 0);

	for (int y = y0; y < y1; y++)
		if (memcmp(own->image + (size_t)y * nx + x0,
			   at->image + (size_t)(y + dy) * nx + x0 + dx,
			   (size_t)(x1 - x0) * sizeof *own->image) != 0)
			return 0;
	return 1;
}

int pn_windows_frames(const struct pn_windows *windows, const struct pn_window_entry *entry,
		      int half, struct pn_window_frame *frames)
{
	int neighbors = 0;

	for (int k = 0; k <= 2 * half; k++) {
		uint64_t away = (uint64_t)abs(k - half), own = entry->crop.frame;
		int there = k < half ? own >= away : own <= UINT64_MAX - away;
		const struct pn_window_entry *at =
			k == half ? entry
			: there   ? find(windows, entry->crop.particle,
                                       k < half ? own - away : own + away)
				  : NULL;

		frames[k] = (struct pn_window_frame){ 0 };
		if (!at || at->crop.ny != entry->crop.ny || at->crop.nx != entry->crop.nx)
			continue;
		int64_t dy = entry->crop.y0_px - at->crop.y0_px,
			dx = entry->crop.x0_px - at->crop.x0_px;

		/* a tracker that jumped looks at another place */
		if (llabs(dy) > PN_SHIFT_MAX_PX || llabs(dx) > PN_SHIFT_MAX_PX ||
		    llabs(dy) >= entry->crop.ny || llabs(dx) >= entry->crop.nx)
			continue;
		if (k != half && repeats(at, entry, (int)dy, (int)dx))
			continue;
		frames[k] = (struct pn_window_frame){ at->id, at->image, (int)dy, (int)dx };
		neighbors += k != half;
	}
	return neighbors;
}

/* ---- how good it is -------------------------------------------------------------------------- */

double pn_windows_snr_db(const struct pn_windows *windows, const struct pn_window_entry *entry,
			 int clean)
{
	struct pn_window_frame frames[3];
	int ny = entry->crop.ny, nx = entry->crop.nx;
	const struct pn_window_entry *before =
		entry->crop.frame ? find(windows, entry->crop.particle, entry->crop.frame - 1)
				  : NULL;

	pn_windows_frames(windows, entry, 1, frames);
	if (!before || !frames[0].image || (clean && !before->cleaned))
		return NAN;
	int dy = frames[0].dy, dx = frames[0].dx, rows = ny - abs(dy), columns = nx - abs(dx);

	if (rows < 1 || columns < 1)
		return NAN;
	float *pair = malloc(2 * (size_t)rows * (size_t)columns * sizeof *pair);
	if (!pair)
		return NAN;
	const float *images[2] = { clean ? before->clean : before->image,
				   clean ? entry->clean : entry->image };

	for (int k = 0; k < 2; k++) {
		/* the own pixel (y, x) lies at (y + dy, x + dx) of the one before */
		int y0 = k ? (dy < 0 ? -dy : 0) : (dy > 0 ? dy : 0);
		int x0 = k ? (dx < 0 ? -dx : 0) : (dx > 0 ? dx : 0);

		for (int y = 0; y < rows; y++)
			memcpy(pair + ((size_t)k * rows + y) * columns,
			       images[k] + (size_t)(y + y0) * nx + x0,
			       (size_t)columns * sizeof *pair);
	}
	size_t pixels = (size_t)rows * (size_t)columns;
	double snr_db = pn_snr_of_pair_db(pair, pair + pixels, pixels);

	free(pair);
	return isfinite(snr_db) ? snr_db : NAN;
}

/* ---- checkpoints -------------------------------------------------------------------------------
 */

/* Before the entries, and before each. */
struct saved {
	uint64_t next_id, newest, count, tag_bytes;
};

struct saved_entry {
	struct pn_window_crop crop;
	uint64_t id, cleaned, by_network, passed;
};

int pn_windows_save(const struct pn_windows *windows, struct pn_blob *out)
{
	struct saved head = { windows->next_id, windows->newest, windows->count,
			      windows->tag_bytes };
	int rc = pn_blob_put(out, &head, sizeof head);

	for (size_t i = 0; i < windows->count && !rc; i++) {
		const struct pn_window_entry *entry = windows->entries[i];
		struct saved_entry saved = { .crop = entry->crop,
					     .id = entry->id,
					     .cleaned = (uint64_t)(entry->cleaned != 0),
					     .by_network = (uint64_t)(entry->by_network != 0),
					     .passed = entry->passed > 0 };
		size_t bytes = (size_t)entry->crop.ny * (size_t)entry->crop.nx * sizeof(float);

		rc = pn_blob_put(out, &saved, sizeof saved);
		if (!rc)
			rc = pn_blob_put(out, entry->tag, windows->tag_bytes);
		if (!rc)
			rc = pn_blob_put(out, entry->image, bytes);
		if (!rc && entry->cleaned)
			rc = pn_blob_put(out, entry->clean, bytes);
	}
	return rc;
}

/* The next @bytes of the view, or NULL. */
static const void *get(struct pn_blob_view *view, size_t bytes)
{
	const void *at = view->data;

	if (view->bytes < bytes)
		return NULL;
	view->data += bytes;
	view->bytes -= bytes;
	return at;
}

static int load_entry(struct pn_windows *windows, struct pn_blob_view *view, struct pn_error *err)
{
	const void *at = get(view, sizeof(struct saved_entry));
	struct saved_entry saved;

	if (!at)
		return PN_EVERSION;
	memcpy(&saved, at, sizeof saved);
	if (saved.crop.ny < 1 || saved.crop.nx < 1 || saved.crop.ny > 65536 ||
	    saved.crop.nx > 65536)
		return PN_EVERSION;
	size_t bytes = (size_t)saved.crop.ny * (size_t)saved.crop.nx * sizeof(float);
	const void *tag = get(view, windows->tag_bytes), *image = tag ? get(view, bytes) : NULL;
	const void *clean = image && saved.cleaned ? get(view, bytes) : NULL;

	if (!image || (saved.cleaned && !clean))
		return PN_EVERSION;
	struct pn_window_entry *entry = new_entry(windows, &saved.crop);
	if (entry) {
		memcpy(entry->tag, tag, windows->tag_bytes);
		memcpy(entry->image, image, bytes);
		if (clean)
			memcpy(entry->clean, clean, bytes);
		entry->id = saved.id;
		entry->cleaned = saved.cleaned != 0;
		entry->by_network = saved.by_network != 0;
		entry->passed = saved.passed != 0;
	}
	return append(windows, entry, err);
}

int pn_windows_load(struct pn_windows *windows, const void *data, size_t bytes,
		    struct pn_error *err)
{
	struct pn_blob_view view = { data, bytes };
	const void *at = get(&view, sizeof(struct saved));
	struct saved head = { 0 };
	int rc = PN_OK;

	if (at)
		memcpy(&head, at, sizeof head);
	if (!at || head.tag_bytes != windows->tag_bytes)
		rc = PN_EVERSION;
	clear(windows);
	for (uint64_t i = 0; i < head.count && !rc; i++)
		rc = load_entry(windows, &view, err);
	if (!rc && view.bytes)
		rc = PN_EVERSION;
	if (rc == PN_EVERSION)
		return pn_error_set(err, PN_EVERSION,
				    "windows: %zu bytes are not %llu whole crops with tags of %zu",
				    bytes, (unsigned long long)head.count, windows->tag_bytes);
	windows->next_id = head.next_id;
	windows->newest = head.newest;
	return rc;
}
