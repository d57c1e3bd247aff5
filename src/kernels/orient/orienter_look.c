/* SPDX-License-Identifier: GPL-3.0-or-later */
/* One image against the references: candidates, the place of the particle, the pose. */
#include "orienter_parts.h"

#include "perrin/math/rotation.h"

#include <math.h>
#include <string.h>

enum { SETTLE_TRIED = 12 }; /* candidates whose shifts are tried where the place is not known */

#define SCORE_MOST      0.9999
#define POLISH_TURN_DEG 8.0 /* no farther than about two views */

static void search(struct pn_orienter *o, int half, const double shift_px[2])
{
	const float complex *const order[] = { o->order };
	const size_t all = o->directions.count * 2;

	pn_polar_move(o->polar, o->ring, shift_px, o->moved);
	pn_polar_orders(o->polar, o->moved, o->order, &(double){ 0 });
	pn_match_search(o->half[half].match, order, 1, NULL, 0, 0, o->hit);
	o->candidates = pn_match_top(o->hit, all, (size_t)o->params.candidates);
}

/*
 * White noise of unknown strength and a map of unknown height: the likelihood of a pose is
 * (1 - score^2)^(-samples/2).
 */
static void weigh(struct pn_orienter *o, const double near[4])
{
	for (size_t i = 0; i < o->candidates; i++) {
		struct pn_pose_candidate *c = &o->candidate[i];
		const double score = fmin(fmax((double)o->hit[i].score, 0), SCORE_MOST);
		double rotation[3][3];

		pn_match_rotation(&o->directions, &o->hit[i], rotation);
		pn_quaternion_from_matrix(c->quaternion, (const double(*)[3])rotation);
		if (o->n.symmetry.count && i == 0 && !o->n.images)
			memcpy(o->n.last, c->quaternion, sizeof o->n.last);
		if (o->n.symmetry.count)
			pn_orienter_fold(o, near, c->quaternion);
		c->log_likelihood = -0.5 * o->polar->samples * log(1 - score * score);
		c->reference = i;
	}
}

void pn_orienter_look(struct pn_orienter *o, int half, const float *image, const double shift_px[2],
		      const double near[4])
{
	pn_polar_image(o->polar, image, shift_px, o->ring);
	search(o, half, shift_px);
	weigh(o, near);
}

void pn_orienter_settle(struct pn_orienter *o, int half, const float *image, double reach_px,
			const double near[4], double shift_px[2])
{
	double best = -1, place[2] = { shift_px[0], shift_px[1] };

	pn_polar_image(o->polar, image, shift_px, o->ring);
	search(o, half, shift_px);
	for (size_t i = 0; i < o->candidates && i < SETTLE_TRIED; i++) {
		struct pn_polished polished;
		struct pn_pose pose;

		pn_match_rotation(&o->directions, &o->hit[i], pose.rotation);
		memcpy(pose.shift_px, shift_px, sizeof pose.shift_px);
		pn_polish_shift(o->polisher, o->half[half].slicer, o->ring, reach_px, &pose,
				&polished);
		if (polished.score > best) {
			best = polished.score;
			memcpy(place, pose.shift_px, sizeof place);
		}
	}
	memcpy(shift_px, place, sizeof place);
	search(o, half, shift_px);
	weigh(o, near);
}

void pn_orienter_polish(struct pn_orienter *o, int half, const double quaternion[4],
			const double shift_px[2], struct pn_pose *pose,
			struct pn_polished *polished)
{
	pn_quaternion_to_matrix(pose->rotation, quaternion);
	memcpy(pose->shift_px, shift_px, sizeof pose->shift_px);
	pn_polish_pose(o->polisher, o->half[half].slicer, o->ring, (int)o->params.polish,
		       POLISH_TURN_DEG, pose, polished);
}
