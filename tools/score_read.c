/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "common/session.h"
#include "perrin/host/host.h"
#include "score.h"

#include <stdlib.h>
#include <unistd.h>

/* One more place at the end of a list; both kinds of list have the same three members. */
#define GROW(list, err)                   \
	((list)->count < (list)->capacity \
		 ? PN_OK                  \
		 : grow((void **)&(list)->item, &(list)->capacity, sizeof *(list)->item, err))

static int grow(void **items, size_t *capacity, size_t size, struct pn_error *err)
{
	size_t more = *capacity ? 2 * *capacity : 1024;
	void *fresh = realloc(*items, more * size);

	if (!fresh)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu records", more);
	*items = fresh;
	*capacity = more;
	return PN_OK;
}

static int take_truth(void *arg, const struct pn_msg *msg, struct pn_error *err)
{
	struct pn_score_lists *lists = arg;
	struct pn_truth_head h;
	int rc = pn_msg_decode(&pn_truth_schema, msg, &h, err);

	if (!rc)
		rc = GROW(&lists->truths, err);
	if (rc)
		return rc;
	lists->truths.item[lists->truths.count++] = (struct pn_score_truth){
		.frame = h.frame,
		.particle = h.particle,
		.x_px = h.x_px,
		.y_px = h.y_px,
		.diameter_nm = h.diameter_nm,
		.lattice_A = h.lattice_A,
		.tilt = pn_score_tilt(h.quaternion, h.lattice_A, h.diameter_nm),
	};
	return PN_OK;
}

static int take_crop(void *arg, const struct pn_msg *msg, struct pn_error *err)
{
	struct pn_score_lists *lists = arg;
	struct pn_crops_head h;
	int rc = pn_msg_decode(&pn_crops_schema, msg, &h, err);

	if (!rc)
		rc = GROW(&lists->crops, err);
	if (rc)
		return rc;
	lists->crops.item[lists->crops.count++] =
		(struct pn_score_seen){ .frame = h.frame, .x_px = h.x_px, .y_px = h.y_px };
	return PN_OK;
}

static int take_crystal(void *arg, const struct pn_msg *msg, struct pn_error *err)
{
	struct pn_score_lists *lists = arg;
	struct pn_crystal_head h;
	int rc = pn_msg_decode(&pn_crystal_schema, msg, &h, err);

	if (!rc)
		rc = GROW(&lists->crystals, err);
	if (rc)
		return rc;
	lists->crystals.item[lists->crystals.count++] = (struct pn_score_seen){
		.frame = h.frame,
		.x_px = h.x_px,
		.y_px = h.y_px,
		.peak = h.peak,
		.spacing_pm = h.spacing_pm,
		.diameter_nm = h.diameter_nm,
		.high = h.class == 1,
	};
	return PN_OK;
}

int pn_score_each(const char *session, const char *stream, pn_score_take *take, void *arg,
		  struct pn_error *err)
{
	struct pn_log_reader *reader = NULL;
	struct pn_msg msg;
	char dir[PATH_MAX];
	int rc = pn_path_join(dir, session, stream, err);

	if (!rc && access(dir, F_OK))
		return PN_OK;
	if (!rc)
		rc = pn_log_read_open(&reader, dir, NULL, 0, 0, err);
	if (rc)
		return rc;
	while (!(rc = pn_log_read(reader, &msg, err)) && !(rc = take(arg, &msg, err)))
		;
	pn_log_read_close(reader);
	return rc == PN_EEND || rc == PN_EAGAIN ? PN_OK : pn_error_wrap(err, "%s", dir);
}

/* The same; counted if the stream is there. */
static int read_stream(struct pn_score_lists *lists, const char *session, const char *stream,
		       pn_score_take *take, struct pn_error *err)
{
	char dir[PATH_MAX];
	int rc = pn_path_join(dir, session, stream, err);

	if (rc)
		return rc;
	lists->streams += !access(dir, F_OK);
	return pn_score_each(session, stream, take, lists, err);
}

static int by_frame(const void *a, const void *b)
{
	const struct pn_score_truth *x = a, *y = b;

	if (x->frame != y->frame)
		return x->frame < y->frame ? -1 : 1;
	return (x->particle > y->particle) - (x->particle < y->particle);
}

int pn_score_read(struct pn_score_lists *lists, const struct pn_score_paths *paths,
		  struct pn_error *err)
{
	int rc = pn_session_check(paths->session, err);

	if (!rc)
		rc = pn_session_check(paths->truth, err);
	if (!rc)
		rc = read_stream(lists, paths->truth, "truth", take_truth, err);
	if (!rc && !lists->truths.count)
		return pn_error_set(err, PN_ENOENT,
				    "%s/truth: no record; only movies of the twin have a truth",
				    paths->truth);
	if (!rc)
		rc = read_stream(lists, paths->session, paths->crops, take_crop, err);
	if (!rc)
		rc = read_stream(lists, paths->session, paths->crystal, take_crystal, err);
	if (!rc && lists->streams < 2)
		return pn_error_set(err, PN_ENOENT, "%s: has neither a stream %s nor %s",
				    paths->session, paths->crops, paths->crystal);
	if (!rc)
		qsort(lists->truths.item, lists->truths.count, sizeof *lists->truths.item,
		      by_frame);
	return rc;
}

void pn_score_forget(struct pn_score_lists *lists)
{
	free(lists->truths.item);
	free(lists->crops.item);
	free(lists->crystals.item);
}
