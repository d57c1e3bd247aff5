/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin score poses - poses and atoms of tumbling particles against the twin's truth. */
#include "common/session.h"
#include "perrin/atoms/align.h"
#include "perrin/atoms/score.h"
#include "perrin/host/host.h"
#include "score.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

struct true_pose {
	uint64_t frame, particle, version;
	int64_t time_ns;
	double quaternion[4], x_px, y_px;
};

struct found_pose {
	uint64_t frame, particle, segment, revision;
	double quaternion[4], x_px, y_px, weight, step_deg, rotation;
	const struct true_pose *truth; /* NULL: of no particle */
};

struct model {
	uint64_t particle, segment, version; /* version: of a specimen */
	double (*position_A)[3];
	uint8_t *element;
	size_t count;
};

/* What the streams say. */
struct seen {
	struct true_pose *truth;
	struct found_pose *pose;
	struct model *atoms; /* the last of each particle and segment */
	size_t truths, truth_room, poses, pose_room, models, model_room;
	double pixel_pm;
};

/* ---- reading ------------------------------------------------------------------------------- */

/* Room for one more at the end of a list; @items: of its first. */
static int grow(void *items, size_t count, size_t *room, size_t size, struct pn_error *err)
{
	const size_t more = *room ? 2 * *room : 256;
	void *fresh;

	if (count < *room)
		return PN_OK;
	memcpy(&fresh, items, sizeof fresh);
	fresh = realloc(fresh, more * size);
	if (!fresh)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu records", more);
	memcpy(items, &fresh, sizeof fresh);
	*room = more;
	return PN_OK;
}

static int take_truth(void *arg, const struct pn_msg *msg, struct pn_error *err)
{
	struct seen *s = arg;
	struct pn_truth_head h;
	int rc = pn_msg_decode(&pn_truth_schema, msg, &h, err);

	if (!rc)
		rc = grow(&s->truth, s->truths, &s->truth_room, sizeof *s->truth, err);
	if (rc)
		return rc;
	s->truth[s->truths] = (struct true_pose){ .frame = h.frame,
						  .particle = h.particle,
						  .version = h.version,
						  .time_ns = msg->time_ns,
						  .x_px = h.x_px,
						  .y_px = h.y_px };
	memcpy(s->truth[s->truths++].quaternion, h.quaternion, sizeof h.quaternion);
	return PN_OK;
}

static int take_pose(void *arg, const struct pn_msg *msg, struct pn_error *err)
{
	struct seen *s = arg;
	struct pn_poses_head h;
	int rc = pn_msg_decode(&pn_poses_schema, msg, &h, err);

	if (!rc)
		rc = grow(&s->pose, s->poses, &s->pose_room, sizeof *s->pose, err);
	if (rc)
		return rc;
	s->pose[s->poses] = (struct found_pose){ .frame = h.frame,
						 .particle = h.particle,
						 .segment = h.segment,
						 .revision = h.revision,
						 .x_px = h.x_px,
						 .y_px = h.y_px,
						 .weight = h.weight,
						 .step_deg = h.step_deg,
						 .rotation = h.rotation_rad2_per_s };
	memcpy(s->pose[s->poses++].quaternion, h.quaternion, sizeof h.quaternion);
	return PN_OK;
}

static void model_free(struct model *m)
{
	free(m->position_A);
	free(m->element);
	m->position_A = NULL;
	m->element = NULL;
}

/* Rows of numbers, x y z Z first. */
static int fill_model(struct model *m, const double *numbers, size_t per_atom, size_t count,
		      struct pn_error *err)
{
	model_free(m);
	m->count = count;
	m->position_A = malloc((count + 1) * sizeof *m->position_A);
	m->element = malloc(count + 1);
	if (!m->position_A || !m->element)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", count);
	for (size_t i = 0; i < count; i++) {
		memcpy(m->position_A[i], numbers + i * per_atom, sizeof m->position_A[i]);
		m->element[i] = (uint8_t)numbers[i * per_atom + 3];
	}
	return PN_OK;
}

static int take_atoms(void *arg, const struct pn_msg *msg, struct pn_error *err)
{
	struct seen *s = arg;
	struct pn_atoms_head h;
	size_t at = 0;
	int rc = pn_msg_decode(&pn_atoms_schema, msg, &h, err);

	if (rc)
		return rc;
	while (at < s->models &&
	       (s->atoms[at].particle != h.particle || s->atoms[at].segment != h.segment))
		at++;
	if (at == s->models) {
		rc = grow(&s->atoms, s->models, &s->model_room, sizeof *s->atoms, err);
		if (rc)
			return rc;
		s->atoms[s->models++] =
			(struct model){ .particle = h.particle, .segment = h.segment };
	}
	return fill_model(&s->atoms[at], msg->payload, PN_ATOM_NUMBERS, (size_t)h.atoms, err);
}

static int take_specimen(void *arg, const struct pn_msg *msg, struct pn_error *err)
{
	struct model *wanted = arg;
	struct pn_specimen_head h;
	int rc = pn_msg_decode(&pn_specimen_schema, msg, &h, err);

	if (rc || h.particle != wanted->particle || h.version != wanted->version)
		return rc;
	return fill_model(wanted, msg->payload, 4, (size_t)h.atoms, err);
}

/* By the first record of a stream that tells. */
static int find_pixel(struct seen *s, const char *session, struct pn_error *err)
{
	static const char *const streams[] = { "volumes", "crops", "frames" };

	s->pixel_pm = (double)NAN;
	for (size_t i = 0; i < PN_COUNT(streams) && isnan(s->pixel_pm); i++) {
		struct pn_stream_facts facts;
		char dir[PATH_MAX];
		int rc = pn_path_join(dir, session, streams[i], err);

		if (rc)
			return rc;
		if (pn_stream_facts(&facts, dir, NULL) || !facts.has_head)
			continue;
		if (facts.schema == &pn_volumes_schema)
			s->pixel_pm = facts.head.volumes.pixel_pm;
		else if (facts.schema == &pn_crops_schema)
			s->pixel_pm = facts.head.crops.pixel_pm;
		else if (facts.schema == &pn_frames_schema)
			s->pixel_pm = facts.head.frames.pixel_pm;
	}
	return PN_OK;
}

#define ORDER(a, b) (((a) > (b)) - ((a) < (b)))

static int by_frame(const void *a, const void *b)
{
	const struct true_pose *x = a, *y = b;
	const int frame = ORDER(x->frame, y->frame);

	return frame ? frame : ORDER(x->particle, y->particle);
}

static int by_particle(const void *a, const void *b)
{
	const struct found_pose *x = a, *y = b;
	const int particle = ORDER(x->particle, y->particle), frame = ORDER(x->frame, y->frame);

	return particle ? particle : frame ? frame : ORDER(x->revision, y->revision);
}

static void match_truth(struct seen *s, double within_px)
{
	for (size_t i = 0; i < s->poses; i++) {
		struct found_pose *p = &s->pose[i];
		double nearest = within_px * within_px;
		size_t low = 0, high = s->truths;

		while (low < high) {
			const size_t middle = (low + high) / 2;

			if (s->truth[middle].frame < p->frame)
				low = middle + 1;
			else
				high = middle;
		}
		for (; low < s->truths && s->truth[low].frame == p->frame; low++) {
			const double dx = s->truth[low].x_px - p->x_px,
				     dy = s->truth[low].y_px - p->y_px;

			if (dx * dx + dy * dy <= nearest) {
				nearest = dx * dx + dy * dy;
				p->truth = &s->truth[low];
			}
		}
	}
}

static int read_all(struct seen *s, const struct pn_poses_options *o, struct pn_error *err)
{
	int rc = pn_session_check(o->session, err);

	if (!rc)
		rc = pn_session_check(o->truth, err);
	if (!rc)
		rc = pn_score_each(o->truth, "truth", take_truth, s, err);
	if (!rc)
		rc = pn_score_each(o->session, "poses", take_pose, s, err);
	if (!rc)
		rc = pn_score_each(o->session, "atoms", take_atoms, s, err);
	if (!rc && !s->truths)
		rc = pn_error_set(err, PN_ENOENT,
				  "%s/truth: no record; only movies of the twin have a truth",
				  o->truth);
	if (!rc && !s->poses)
		rc = pn_error_set(err, PN_ENOENT, "%s/poses: no record", o->session);
	if (!rc)
		rc = find_pixel(s, o->session, err);
	if (rc)
		return rc;
	qsort(s->truth, s->truths, sizeof *s->truth, by_frame);
	qsort(s->pose, s->poses, sizeof *s->pose, by_particle);
	match_truth(s, o->within_px);
	return PN_OK;
}

static void forget(struct seen *s)
{
	for (size_t i = 0; i < s->models; i++)
		model_free(&s->atoms[i]);
	free(s->atoms);
	free(s->truth);
	free(s->pose);
}

/* ---- poses --------------------------------------------------------------------------------- */

/* The poses of one set of one group, in order of the frames. */
struct chosen {
	const struct found_pose **pose;
	double (*found)[4], (*truth)[4], (*found_px)[2], (*truth_px)[2];
	size_t count, stray;
};

static int take_chosen(struct chosen *c, size_t most, struct pn_error *err)
{
	*c = (struct chosen){ .pose = malloc(most * sizeof *c->pose),
			      .found = malloc(most * sizeof *c->found),
			      .truth = malloc(most * sizeof *c->truth),
			      .found_px = malloc(most * sizeof *c->found_px),
			      .truth_px = malloc(most * sizeof *c->truth_px) };
	return c->pose && c->found && c->truth && c->found_px && c->truth_px
		       ? PN_OK
		       : pn_error_set(err, PN_ENOMEM, "no memory for %zu poses", most);
}

static void free_chosen(struct chosen *c)
{
	free(c->pose);
	free(c->found);
	free(c->truth);
	free(c->found_px);
	free(c->truth_px);
}

static void choose(struct chosen *c, const struct seen *s, const struct pn_poses_group *g,
		   enum pn_poses_set set)
{
	const int live = set == PN_POSES_LIVE || set == PN_POSES_LIVE_USED;
	const int used = set == PN_POSES_LATEST_USED || set == PN_POSES_LIVE_USED;

	c->count = c->stray = 0;
	for (size_t first = 0, end; first < s->poses; first = end) {
		for (end = first + 1;
		     end < s->poses && s->pose[end].particle == s->pose[first].particle &&
		     s->pose[end].frame == s->pose[first].frame;
		     end++)
			;
		const struct found_pose *p = &s->pose[live ? first : end - 1];

		if (p->particle != g->particle || p->segment != g->segment ||
		    (used && !(p->weight > 0)))
			continue;
		if (!p->truth) {
			c->stray++;
			continue;
		}
		c->pose[c->count] = p;
		memcpy(c->found[c->count], p->quaternion, sizeof *c->found);
		memcpy(c->truth[c->count], p->truth->quaternion, sizeof *c->truth);
		c->found_px[c->count][0] = p->x_px;
		c->found_px[c->count][1] = p->y_px;
		c->truth_px[c->count][0] = p->truth->x_px;
		c->truth_px[c->count++][1] = p->truth->y_px;
	}
}

static int rising(const void *a, const void *b)
{
	return ORDER(*(const double *)a, *(const double *)b);
}

/* Of what is known of the poses. */
static int median(double *result, const struct chosen *c, size_t off, struct pn_error *err)
{
	double *value = malloc((c->count + 1) * sizeof *value);
	size_t count = 0;

	if (!value)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu figures", c->count);
	for (size_t i = 0; i < c->count; i++) {
		memcpy(&value[count], (const char *)c->pose[i] + off, sizeof *value);
		count += !isnan(value[count]);
	}
	qsort(value, count, sizeof *value, rising);
	*result = count ? (value[(count - 1) / 2] + value[count / 2]) / 2 : (double)NAN;
	free(value);
	return PN_OK;
}

static void true_diffusion(struct pn_poses_group *g, const struct chosen *c)
{
	double square = 0, frames = 0, seconds = 0;

	for (size_t i = 1; i < c->count; i++) {
		const struct true_pose *a = c->pose[i - 1]->truth, *b = c->pose[i]->truth;

		if (a->particle != b->particle)
			continue;
		square += pow(pn_quaternion_angle_rad(a->quaternion, b->quaternion), 2);
		frames += (double)(b->frame - a->frame);
		seconds += 1e-9 * (double)(b->time_ns - a->time_ns);
	}
	g->true_step_deg = frames > 0 ? sqrt(square / frames) * 180 / M_PI : (double)NAN;
	g->true_rotation_rad2_per_s = seconds > 0 ? square / (6 * seconds) : (double)NAN;
}

static int score_poses(struct pn_poses_group *g, const struct seen *s, struct chosen *c,
		       struct pn_error *err)
{
	int rc = PN_OK;

	/* the latest last: what is chosen then is needed below */
	for (int set = PN_POSES_SETS - 1; set >= 0 && !rc; set--) {
		choose(c, s, g, (enum pn_poses_set)set);
		if (c->count)
			rc = pn_pose_score(&g->score[set], (const double(*)[4])c->found,
					   (const double(*)[4])c->truth,
					   (const double(*)[2])c->found_px,
					   (const double(*)[2])c->truth_px, c->count, NULL, err);
	}
	g->stray = c->stray;
	g->pixel_pm = s->pixel_pm;
	true_diffusion(g, c);
	if (!rc)
		rc = median(&g->step_deg, c, offsetof(struct found_pose, step_deg), err);
	if (!rc)
		rc = median(&g->rotation_rad2_per_s, c, offsetof(struct found_pose, rotation), err);
	if (rc || !c->count)
		return rc;
	const struct true_pose *middle = c->pose[c->count / 2]->truth;

	g->first_frame = c->pose[0]->frame;
	g->last_frame = c->pose[c->count - 1]->frame;
	g->truth_particle = middle->particle;
	g->atoms.version = middle->version;
	return PN_OK;
}

/* ---- atoms --------------------------------------------------------------------------------- */

static int dock(struct pn_poses_atoms *out, const struct model *found, const struct model *truth,
		double tolerance_A, struct pn_error *err)
{
	const int threads = omp_get_max_threads();
	const struct pn_atoms there = { (const double(*)[3])truth->position_A, truth->element,
					truth->count };
	const struct pn_atoms here = { (const double(*)[3])found->position_A, found->element,
				       found->count };
	struct pn_score_options options;
	struct pn_align_options docking;
	struct pn_alignment motion;
	struct pn_score score = { 0 };

	/* the best motion, not the one that is as good within chance and nearest to none */
	pn_align_defaults(&docking);
	docking.tie = 0;
	int rc = pn_align(&motion, &there, &here, &docking, threads, err);

	if (rc)
		return rc;
	pn_align_apply(&motion, (const double(*)[3])found->position_A, found->position_A,
		       found->count);
	pn_score_options_default(&options);
	options.tolerance_A = tolerance_A;
	rc = pn_score_atoms(&score, &here, &there, &options, threads, err);
	const double trace = motion.rotation[0][0] + motion.rotation[1][1] + motion.rotation[2][2];

	*out = (struct pn_poses_atoms){ .compared = 1,
					.version = out->version,
					.found = found->count,
					.truth = truth->count,
					.matched = score.matched,
					.missed = score.missed,
					.false_atoms = score.false_atoms,
					.rmsd_pm = 100 * score.rmsd_A,
					.angle_deg = acos(fmax(-1, fmin(1, (trace - 1) / 2))) *
						     180 / M_PI };
	pn_score_free(&score);
	return rc;
}

static int score_atoms(struct pn_poses_group *g, const struct seen *s,
		       const struct pn_poses_options *o, struct pn_error *err)
{
	struct model truth = { .particle = g->truth_particle, .version = g->atoms.version };
	int rc = PN_OK;

	for (size_t i = 0; i < s->models && !rc; i++) {
		const struct model *m = &s->atoms[i];

		if (m->particle != g->particle || m->segment != g->segment || !m->count)
			continue;
		rc = pn_score_each(o->truth, "specimen", take_specimen, &truth, err);
		if (!rc && truth.count)
			rc = dock(&g->atoms, m, &truth, o->tolerance_A, err);
	}
	model_free(&truth);
	return rc;
}

/* ---- all ----------------------------------------------------------------------------------- */

static int find_groups(struct pn_poses_scores *scores, const struct seen *s, uint64_t segment,
		       struct pn_error *err)
{
	size_t room = 0;

	for (size_t i = 0; i < s->poses; i++) {
		const struct found_pose *p = &s->pose[i];
		size_t at = 0;

		while (at < scores->count && (scores->group[at].particle != p->particle ||
					      scores->group[at].segment != p->segment))
			at++;
		if (at < scores->count || (segment && p->segment != segment))
			continue;
		int rc = grow(&scores->group, scores->count, &room, sizeof *scores->group, err);

		if (rc)
			return rc;
		scores->group[scores->count++] =
			(struct pn_poses_group){ .particle = p->particle, .segment = p->segment };
	}
	return scores->count ? PN_OK
			     : pn_error_set(err, PN_ENOENT, "no poses of segment %llu",
					    (unsigned long long)segment);
}

int pn_score_poses(struct pn_poses_scores *scores, const struct pn_poses_options *options,
		   struct pn_error *err)
{
	struct seen seen = { 0 };
	struct chosen chosen = { 0 };

	*scores = (struct pn_poses_scores){ 0 };
	int rc = read_all(&seen, options, err);

	if (!rc)
		rc = find_groups(scores, &seen, options->segment, err);
	if (!rc)
		rc = take_chosen(&chosen, seen.poses, err);
	for (size_t i = 0; i < scores->count && !rc; i++) {
		rc = score_poses(&scores->group[i], &seen, &chosen, err);
		if (!rc && scores->group[i].score[PN_POSES_LATEST].count)
			rc = score_atoms(&scores->group[i], &seen, options, err);
	}
	free_chosen(&chosen);
	forget(&seen);
	return rc;
}

void pn_poses_forget(struct pn_poses_scores *scores)
{
	free(scores->group);
	*scores = (struct pn_poses_scores){ 0 };
}
