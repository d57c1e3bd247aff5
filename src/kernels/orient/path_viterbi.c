/* SPDX-License-Identifier: GPL-3.0-or-later */
/* All frames at once: the most probable way, and every frame by what came before and after. */
#include "path_model.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct sequence {
	const struct pn_path_params *params;
	size_t frames, total; /* total: states that they may have */
	struct pn_path_frame *frame;
	void *memory;
	float *beta;    /* [total] */
	uint16_t *from; /* [total] Viterbi: the state before */
	size_t *first;  /* [frames] of each frame's in beta and from */
	double step_deg;
};

static void release(struct sequence *s)
{
	free(s->frame);
	free(s->memory);
	free(s->beta);
	free(s->from);
	free(s->first);
}

static int reserve(struct sequence *s, const size_t *count, struct pn_error *err)
{
	size_t bytes = 0;

	s->first = calloc(s->frames, sizeof *s->first);
	s->frame = calloc(s->frames, sizeof *s->frame);
	for (size_t t = 0; s->first && t < s->frames; t++) {
		s->first[t] = s->total;
		s->total += count[t] + PN_PATH_UNLISTED_MAX;
		bytes += pn_path_frame_bytes(count[t], 0);
	}
	s->memory = malloc(bytes);
	s->beta = malloc(s->total * sizeof *s->beta);
	s->from = malloc(s->total * sizeof *s->from);
	if (!s->first || !s->frame || !s->memory || !s->beta || !s->from)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu states of %zu frames",
				    s->total, s->frames);
	return PN_OK;
}

static int fill(struct sequence *s, const uint64_t *frame,
		const struct pn_pose_candidate *candidate, const size_t *count,
		struct pn_error *err)
{
	unsigned char *memory = s->memory;
	struct pn_pose_candidate *next = (struct pn_pose_candidate *)(uintptr_t)candidate;

	for (size_t t = 0; t < s->frames; t++) {
		struct pn_path_frame *f = &s->frame[t];

		if (t && frame[t] <= frame[t - 1])
			return pn_error_set(err, PN_EARG, "frame %llu comes after frame %llu",
					    (unsigned long long)frame[t],
					    (unsigned long long)frame[t - 1]);
		if (pn_path_candidates_check(frame[t], next, count[t], err))
			return PN_EARG;
		pn_path_frame_place(f, memory, count[t], 0);
		memory += pn_path_frame_bytes(count[t], 0);
		f->frame = frame[t];
		f->count = count[t];
		f->candidate = next; /* only read */
		next += count[t];
		pn_path_frame_prepare(f);
	}
	return PN_OK;
}

static void forward_backward(struct sequence *s)
{
	int prior = s->step_deg <= s->params->step_max_deg;
	const struct pn_path_frame *last = &s->frame[s->frames - 1];

	for (size_t t = 0; t < s->frames; t++)
		pn_path_forward(&s->frame[t], t ? &s->frame[t - 1] : NULL, s->params, s->step_deg,
				prior);
	for (size_t i = 0; i < last->states; i++)
		s->beta[s->first[s->frames - 1] + i] = 1;
	for (size_t t = s->frames - 1; t > 0; t--)
		pn_path_backward(s->beta + s->first[t - 1], &s->frame[t - 1], &s->frame[t],
				 s->beta + s->first[t], s->params);
}

/* the maximisation of Baum and Welch */
static double expected_step_deg(const struct sequence *s)
{
	double sum = 0, weights = 0, least = PN_PATH_STEP_MIN_DEG;

	for (size_t t = 1; t < s->frames; t++) {
		double turn2_deg2;
		double weight = pn_path_turn(&s->frame[t], s->beta + s->first[t], s->params->lost,
					     &turn2_deg2);

		sum += weight * turn2_deg2;
		weights += weight;
	}
	if (!(weights > 0))
		return s->step_deg;
	return fmin(180, sqrt(fmax(sum / weights, least * least)));
}

static double lowest(const struct pn_path_frame *f)
{
	double least = f->candidate[0].log_likelihood;

	for (size_t i = 1; i < f->count; i++)
		least = fmin(least, f->candidate[i].log_likelihood);
	return least;
}

static void viterbi(struct sequence *s, size_t *best)
{
	double score[PN_PATH_STATES_MAX];
	float weight[PN_PATH_STATES_MAX], value[PN_PATH_STATES_MAX];
	size_t j = 0;

	for (size_t t = 0; t < s->frames; t++) {
		const struct pn_path_frame *f = &s->frame[t];
		double largest = -INFINITY;

		if (t)
			pn_path_maximum(value, s->from + s->first[t], f, f - 1, weight, s->params);
		j = 0;
		for (size_t i = 0; i < f->states; i++) {
			score[i] = i < f->count ? f->candidate[i].log_likelihood : lowest(f);
			score[i] += t ? log((double)value[i]) : 0;
			if (score[i] > largest) {
				largest = score[i];
				j = i;
			}
		}
		for (size_t i = 0; i < f->states; i++)
			weight[i] = (float)exp(score[i] - largest);
	}
	for (size_t t = s->frames; t-- > 0;) {
		best[t] = j < s->frame[t].count ? j : PN_PATH_UNLISTED;
		if (t)
			j = s->from[s->first[t] + j];
	}
}

static void solve(struct sequence *s, int rounds, double *step_deg, size_t *best,
		  struct pn_path_pose *posterior)
{
	s->step_deg = *step_deg;
	for (int i = 0; i < rounds; i++) {
		forward_backward(s);
		s->step_deg = expected_step_deg(s);
	}
	*step_deg = s->step_deg;
	forward_backward(s);
	viterbi(s, best);
	for (size_t t = 0; posterior && t < s->frames; t++)
		pn_path_describe(&posterior[t], &s->frame[t], s->beta + s->first[t],
				 s->params->lost);
}

int pn_path_viterbi(const uint64_t *frame, const struct pn_pose_candidate *candidate,
		    const size_t *count, size_t frames, const struct pn_path_params *params,
		    int rounds, double *step_deg, size_t *best, struct pn_path_pose *posterior,
		    struct pn_error *err)
{
	struct sequence s = { .params = params, .frames = frames };
	int rc = pn_path_params_check(params, err);

	if (rc)
		return rc;
	if (frames < 1 || rounds < 0)
		return pn_error_set(err, PN_EARG, "%zu frames, %d rounds", frames, rounds);
	if (!(*step_deg >= PN_PATH_STEP_MIN_DEG && *step_deg <= 180))
		return pn_error_set(err, PN_EARG, "step_deg = %g: must be %g..180 deg", *step_deg,
				    PN_PATH_STEP_MIN_DEG);
	for (size_t t = 0; t < frames; t++)
		if (count[t] < 1 || count[t] > PN_PATH_CANDIDATES_MAX)
			return pn_error_set(
				err, PN_EARG, "frame %llu: %zu candidates: must be 1..%d",
				(unsigned long long)frame[t], count[t], PN_PATH_CANDIDATES_MAX);
	rc = reserve(&s, count, err);
	rc = rc ? rc : fill(&s, frame, candidate, count, err);
	if (!rc)
		solve(&s, rounds, step_deg, best, posterior);
	release(&s);
	return rc;
}
