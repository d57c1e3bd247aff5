/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The sums over pairs of candidates. Densities are over SO(3) of volume 1, so that being lost has
 * the density `lost` everywhere; the volume of a candidate's cell is a factor of every term.
 */
#include "path_model.h"

#include <math.h>
#include <string.h>

#define BLOCK 64 /* targets at a time: their sums stay in the nearest cache */

static const double rad_deg = M_PI / 180;
static const double near_cos = 0.99904822158185779; /* cos(2.5 deg): 5 deg apart      */
static const double unseen = 1e-10;                 /* a posterior                    */
static const size_t pairs_of_a_thread = 300000;     /* fewer are not worth waking one */

static size_t padded(size_t states)
{
	return (states + 15) / 16 * 16;
}

size_t pn_path_frame_bytes(size_t count, int candidates)
{
	size_t each = 9 * sizeof(float) + sizeof(uint64_t) + sizeof(uint16_t);

	return padded(count + PN_PATH_UNLISTED_MAX) * each +
	       (candidates ? padded(count) * sizeof(struct pn_pose_candidate) : 0);
}

void pn_path_frame_place(struct pn_path_frame *f, void *memory, size_t count, int candidates)
{
	size_t states = padded(count + PN_PATH_UNLISTED_MAX);
	unsigned char *next = memory;
	float *floats;

	if (candidates) {
		f->candidate = memory;
		next += padded(count) * sizeof *f->candidate;
	}
	f->origin = (uint64_t *)(void *)next;
	floats = (float *)(void *)(f->origin + states);
	for (int k = 0; k < 4; k++)
		f->q[k] = floats + (size_t)k * states;
	f->likelihood = floats + 4 * states;
	f->alpha = floats + 5 * states;
	f->diffused = floats + 6 * states;
	f->turned = floats + 7 * states;
	f->stay = floats + 8 * states;
	f->parent = (uint16_t *)(void *)(floats + 9 * states);
}

int pn_path_candidates_check(uint64_t frame, const struct pn_pose_candidate *candidate,
			     size_t count, struct pn_error *err)
{
	if (count < 1 || count > PN_PATH_CANDIDATES_MAX)
		return pn_error_set(err, PN_EARG, "frame %llu: %zu candidates: must be 1..%d",
				    (unsigned long long)frame, count, PN_PATH_CANDIDATES_MAX);
	for (size_t i = 0; i < count; i++) {
		const double *q = candidate[i].quaternion;
		double norm2 = q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3];

		if (!(fabs(norm2 - 1) < 1e-6))
			return pn_error_set(err, PN_EARG,
					    "frame %llu, candidate %zu: quaternion of norm %g",
					    (unsigned long long)frame, i, sqrt(norm2));
		if (!isfinite(candidate[i].log_likelihood))
			return pn_error_set(
				err, PN_EARG, "frame %llu, candidate %zu: log-likelihood %g",
				(unsigned long long)frame, i, candidate[i].log_likelihood);
	}
	return PN_OK;
}

void pn_path_frame_prepare(struct pn_path_frame *f)
{
	double best = f->candidate[0].log_likelihood;

	for (size_t i = 1; i < f->count; i++)
		best = fmax(best, f->candidate[i].log_likelihood);
	for (size_t i = 0; i < f->count; i++) {
		for (int k = 0; k < 4; k++)
			f->q[k][i] = (float)f->candidate[i].quaternion[k];
		f->likelihood[i] = (float)exp(f->candidate[i].log_likelihood - best);
		f->origin[i] = f->frame;
		f->parent[i] = 0;
		f->stay[i] = 0;
	}
	f->states = f->count;
}

/* mean of exp(-angle^2 / 2 variance) over all rotations, by Simpson's rule */
static double mean_weight(double variance)
{
	enum { intervals = 64 };
	double end = fmin(M_PI, 9 * sqrt(variance)), h = end / intervals, sum = 0;

	for (int i = 0; i <= intervals; i++) {
		double a = i * h, s = sin(a / 2);
		double f = 2 * s * s * exp(-a * a / (2 * variance)) / M_PI;

		sum += f * (i == 0 || i == intervals ? 1 : i % 2 ? 4 : 2);
	}
	return sum * h / 3;
}

/* variance along each axis of the turn from what was at @origin; a cell at either end adds its own
 */
static double turn_variance(const struct pn_path_frame *f, uint64_t origin)
{
	double step = f->step_deg * rad_deg, grid = f->grid_deg * rad_deg;

	return step * step * (double)(f->frame - origin) / 3 + grid * grid / 6;
}

/* exp(x) for -1e9 < x <= 0 to 5e-6 of itself; below -87 it is 0 */
static inline float exp_negative(float x)
{
	float y = x * 1.44269504f, r;
	int32_t n = (int32_t)(y - 0.5f);
	float f = y - (float)n;
	/* a mask and not a branch, so that it is done eight at a time */
	int32_t bits = (int32_t)((uint32_t)(n + 127) << 23) & -(n > -127);
	float p = 1.54035304e-4f;

	p = p * f + 1.33335581e-3f;
	p = p * f + 9.61812911e-3f;
	p = p * f + 5.55041087e-2f;
	p = p * f + 2.40226507e-1f;
	p = p * f + 6.93147181e-1f;
	p = p * f + 1;
	memcpy(&r, &bits, sizeof r);
	return p * r;
}

/*
 * Square of the angle between unit quaternions. With h = 1 - |q.q'| = |q -+ q'|^2 / 2, which keeps
 * its digits where q.q' has lost them,
 *
 *	angle^2 = 4 acos^2(1 - h) = 8 sum_n (2 h)^n / (n^2 binomial(2n, n));
 *
 * the last term kept takes in what is left at 180 deg.
 */
static inline float angle2(const float a[4], float w, float x, float y, float z)
{
	float dot = a[0] * w + a[1] * x + a[2] * y + a[3] * z;
	float sign = copysignf(1, dot);
	float dw = w - sign * a[0], dx = x - sign * a[1];
	float dy = y - sign * a[2], dz = z - sign * a[3];
	float h = 0.5f * ((dw * dw + dx * dx) + (dy * dy + dz * dz));
	float p = 4.3133e-3f;

	p = p * h + 6.08915e-3f;
	p = p * h + 1.53920e-2f;
	p = p * h + 4.06349e-2f;
	p = p * h + 1.14285714e-1f;
	p = p * h + 3.55555556e-1f;
	p = p * h + 1.33333333f;
	p = p * h + 8;
	return p * h;
}

/* a term of a sum over pairs */
struct source {
	float q[4], weight, scale; /* scale: 1 / 2 s^2, or 1 if the targets have one          */
	float rate;                /* 1 / frames that the turn took                           */
	uint16_t index;
};

struct targets {
	float *q[4];
	const float *scale; /* NULL: 1 */
	size_t count;
};

static void load(float *to, const float *from, size_t count)
{
	memcpy(to, from, count * sizeof *to);
	memset(to + count, 0, (BLOCK - count) * sizeof *to);
}

/* sum[j] = sum_i weight[i] W(i, j) for one block of targets; @turned the same times rate[i]
 * (angle^2 - @grid2) */
static void diffuse_block(float *sum, float *turned, const struct targets *to, size_t first,
			  size_t count, const struct source *source, size_t sources, float grid2)
{
	float w[BLOCK], x[BLOCK], y[BLOCK], z[BLOCK], c[BLOCK];
	float s[BLOCK] = { 0 }, t[BLOCK] = { 0 };

	load(w, to->q[0] + first, count);
	load(x, to->q[1] + first, count);
	load(y, to->q[2] + first, count);
	load(z, to->q[3] + first, count);
	for (size_t j = 0; j < BLOCK; j++)
		c[j] = -1;
	for (size_t j = 0; to->scale && j < count; j++)
		c[j] = -to->scale[first + j];
	for (size_t i = 0; i < sources; i++) {
		struct source a = source[i];

		for (int j = 0; j < BLOCK; j++) {
			float a2 = angle2(a.q, w[j], x[j], y[j], z[j]);
			float v = a.weight * exp_negative(a.scale * c[j] * a2);

			s[j] += v;
			t[j] += v * a.rate * (a2 - grid2);
		}
	}
	memcpy(sum + first, s, count * sizeof *s);
	if (turned)
		memcpy(turned + first, t, count * sizeof *t);
}

static void diffuse(float *sum, float *turned, const struct targets *to,
		    const struct source *source, size_t sources, double grid2)
{
#pragma omp parallel for schedule(static) if (sources * to->count > pairs_of_a_thread)
	for (size_t first = 0; first < to->count; first += BLOCK)
		diffuse_block(sum, turned, to, first,
			      to->count - first < BLOCK ? to->count - first : BLOCK, source,
			      sources, (float)grid2);
}

static struct source source_of(const struct pn_path_frame *f, size_t i, double weight, double scale)
{
	struct source s = { { f->q[0][i], f->q[1][i], f->q[2][i], f->q[3][i] },
			    (float)weight,
			    (float)scale,
			    1,
			    (uint16_t)i };

	return s;
}

enum { turns_known = 64 };

/* turns to a frame: of unlisted states it took longer, but there are few different times */
struct turns {
	const struct pn_path_frame *to;
	double lost;
	double gain[turns_known]; /* by frames that it took; 0: not known yet */
};

static struct turns turns_to(const struct pn_path_frame *to, double lost)
{
	return (struct turns){ .to = to, .lost = lost };
}

/* scale and gain of the turn from a state of the frame before */
static void turn_of(struct turns *turns, const struct pn_path_frame *previous, size_t i,
		    double *scale, double *gain)
{
	const struct pn_path_frame *f = turns->to;
	uint64_t dt = f->frame - previous->origin[i];
	double variance = f->variance, *known = dt < turns_known ? &turns->gain[dt] : NULL;

	*gain = f->gain;
	if (i >= previous->count) {
		variance = turn_variance(f, previous->origin[i]);
		*gain = known && *known > 0 ? *known : (1 - turns->lost) / mean_weight(variance);
		if (known)
			*known = *gain;
	}
	*scale = 0.5 / variance;
}

/* prior density of a state over that of a rotation that might be any */
static double prior_density(const struct pn_path_frame *f, size_t j, double lost)
{
	if (!f->prior)
		return 1;
	return (double)f->diffused[j] + (j < f->count ? lost : 0);
}

/* entropy of weights in nats; @sum: of them */
static double entropy(const double *weight, size_t count, double sum)
{
	double s = 0;

	for (size_t i = 0; i < count; i++)
		if (weight[i] > 0)
			s -= weight[i] / sum * log(weight[i] / sum);
	return s;
}

/* as good as nothing known: more than half of the candidates share the posterior */
static int is_flat(double entropy_nats, size_t count)
{
	return count >= 8 && entropy_nats > log((double)count / 2);
}

/* volume that a candidate stands for, that of SO(3) being 1; a polished one stands for the turn's
 */
static double cell_volume(const struct pn_path_frame *f, double gain)
{
	double edge = f->grid_deg * rad_deg;

	return edge > 0 ? fmin(edge * edge * edge / (8 * M_PI * M_PI), 1 / gain) : 1 / gain;
}

static void predict(struct pn_path_frame *f, const struct pn_path_frame *previous, double lost)
{
	struct source source[PN_PATH_STATES_MAX];
	struct targets to = { { f->q[0], f->q[1], f->q[2], f->q[3] }, NULL, f->count };
	struct turns turns = turns_to(f, lost);
	double grid = f->grid_deg * rad_deg;
	size_t sources = 0;

	for (size_t i = 0; i < previous->states; i++) {
		double alpha = (double)previous->alpha[i], scale, gain;

		/* far below the share of the lost it is not seen */
		if (alpha * f->gain <= 1e-5 * lost)
			continue;
		turn_of(&turns, previous, i, &scale, &gain);
		source[sources] = source_of(previous, i, alpha * gain, scale);
		source[sources++].rate = 1 / (float)(f->frame - previous->origin[i]);
	}
	diffuse(f->diffused, f->turned, &to, source, sources, grid * grid / 2);
}

/*
 * The orientation may be none of the candidates, the best of the many that the frame was compared
 * with. What of the turn's density around a state no candidate's cell takes up stays with it, in
 * a state that is as likely as the worst candidate: nothing unlisted can be better.
 */
static void add_unlisted(struct pn_path_frame *f, const struct pn_path_frame *previous,
			 const struct pn_path_params *params)
{
	struct source source[PN_PATH_CANDIDATES_MAX];
	float near[4][PN_PATH_UNLISTED_MAX], scale[PN_PATH_UNLISTED_MAX];
	float covered[PN_PATH_UNLISTED_MAX];
	double gain[PN_PATH_UNLISTED_MAX], least = 1;
	struct turns turns = turns_to(f, params->lost);
	uint16_t index[PN_PATH_UNLISTED_MAX];
	struct targets to = { { near[0], near[1], near[2], near[3] }, scale, 0 };

	/* as alpha has the sum 1, there cannot be too many */
	for (size_t i = 0; i < previous->states && to.count < PN_PATH_UNLISTED_MAX; i++) {
		double c;

		if (previous->alpha[i] * PN_PATH_UNLISTED_MAX < 1)
			continue;
		turn_of(&turns, previous, i, &c, &gain[to.count]);
		for (int k = 0; k < 4; k++)
			near[k][to.count] = previous->q[k][i];
		scale[to.count] = (float)c;
		index[to.count++] = (uint16_t)i;
	}
	for (size_t j = 0; j < f->count; j++) {
		source[j] = source_of(f, j, 1, 1);
		least = fmin(least, (double)f->likelihood[j]);
	}
	diffuse(covered, NULL, &to, source, f->count, 0);
	for (size_t n = 0; n < to.count; n++) {
		size_t g = f->states, i = index[n];
		double cell = cell_volume(f, gain[n]);
		double open = 1 - cell * gain[n] * (double)covered[n];

		if (open < 1e-3)
			continue;
		for (int k = 0; k < 4; k++)
			f->q[k][g] = previous->q[k][i];
		f->origin[g] = previous->origin[i];
		f->parent[g] = (uint16_t)i;
		f->stay[g] = (float)(params->missed * open / cell);
		f->likelihood[g] = (float)least;
		f->diffused[g] = f->stay[g] * previous->alpha[i];
		f->turned[g] = 0;
		f->states++;
	}
}

void pn_path_forward(struct pn_path_frame *f, const struct pn_path_frame *previous,
		     const struct pn_path_params *params, double step_deg, int prior)
{
	double posterior[PN_PATH_STATES_MAX], sum = 0;

	f->step_deg = step_deg;
	f->grid_deg = params->grid_deg;
	f->variance = turn_variance(f, previous ? previous->frame : f->frame - 1);
	f->gain = (1 - params->lost) / mean_weight(f->variance);
	f->paired = previous != NULL;
	f->prior = previous && prior;
	f->states = f->count;
	memset(f->diffused, 0, f->count * sizeof *f->diffused);
	memset(f->turned, 0, f->count * sizeof *f->turned);
	if (previous)
		predict(f, previous, params->lost);
	if (f->prior && params->missed > 0)
		add_unlisted(f, previous, params);
	for (size_t j = 0; j < f->states; j++) {
		posterior[j] = (double)f->likelihood[j] * prior_density(f, j, params->lost);
		sum += posterior[j];
	}
	for (size_t j = 0; j < f->states; j++)
		f->alpha[j] = (float)(posterior[j] / sum);
	f->flat = is_flat(entropy(posterior, f->states, sum), f->states);
}

/*
 * The smoothed posterior of state j is w_j prior_j / sum with w = likelihood beta: below `unseen`
 * it may be left out as a source. That of a state of the frame before is at most
 * alpha (gain + lost) sum(w) / sum(w prior): below it, its beta need not be known.
 */
void pn_path_backward(float *previous_beta, const struct pn_path_frame *previous,
		      const struct pn_path_frame *f, const float *beta,
		      const struct pn_path_params *params)
{
	struct source source[PN_PATH_CANDIDATES_MAX];
	float near[4][PN_PATH_STATES_MAX], scale[PN_PATH_STATES_MAX], sum_of[PN_PATH_STATES_MAX];
	double gain[PN_PATH_STATES_MAX], raw[PN_PATH_STATES_MAX] = { 0 };
	double lost = params->lost, sum = 0, joint = 0, largest = 0;
	struct targets to = { { near[0], near[1], near[2], near[3] }, scale, 0 };
	struct turns turns = turns_to(f, lost);
	uint16_t index[PN_PATH_STATES_MAX];
	size_t sources = 0;

	for (size_t i = 0; i < previous->states; i++)
		previous_beta[i] = !f->prior;
	if (!f->prior)
		return;
	for (size_t j = 0; j < f->states; j++) {
		double w = (double)f->likelihood[j] * (beta ? (double)beta[j] : 1);

		joint += w * prior_density(f, j, lost);
		sum += j < f->count ? w : 0;
		if (j >= f->count)
			raw[f->parent[j]] += w * (double)f->stay[j];
	}
	for (size_t j = 0; j < f->count; j++) {
		double w = (double)f->likelihood[j] * (beta ? (double)beta[j] : 1);

		if (w * prior_density(f, j, lost) >= unseen * joint)
			source[sources++] = source_of(f, j, w, 1);
	}
	for (size_t i = 0; i < previous->states; i++) {
		double c;

		if ((double)previous->alpha[i] * (f->gain + lost) * sum < unseen * joint)
			continue;
		turn_of(&turns, previous, i, &c, &gain[to.count]);
		for (int k = 0; k < 4; k++)
			near[k][to.count] = previous->q[k][i];
		scale[to.count] = (float)c;
		index[to.count++] = (uint16_t)i;
	}
	diffuse(sum_of, NULL, &to, source, sources, 0);
	for (size_t n = 0; n < to.count; n++)
		raw[index[n]] += (double)sum_of[n] * gain[n] + lost * sum;
	for (size_t i = 0; i < previous->states; i++)
		largest = fmax(largest, raw[i]);
	for (size_t i = 0; i < previous->states; i++)
		previous_beta[i] = (float)(raw[i] / largest);
}

/* probability that the orientation was not lost on the way here; expected squared turn */
static double diffusion(const struct pn_path_frame *f, const float *beta, double lost,
			double *turn2_rad2)
{
	double sum = 0, all = 0, turn2 = 0;

	for (size_t j = 0; j < f->states; j++) {
		double w = (double)f->likelihood[j] * (beta ? (double)beta[j] : 1);

		all += w * ((double)f->diffused[j] + (j < f->count ? lost : 0));
		if (j < f->count) {
			sum += w * (double)f->diffused[j];
			turn2 += w * (double)f->turned[j];
		}
	}
	*turn2_rad2 = sum > 0 ? turn2 / sum : 0;
	return all > 0 ? sum / all : 0;
}

static double absolute_dot(const struct pn_pose_candidate *a, const struct pn_pose_candidate *b)
{
	double dot = 0;

	for (int k = 0; k < 4; k++)
		dot += a->quaternion[k] * b->quaternion[k];
	return fabs(dot);
}

/* posterior of all within 5 deg of @center */
static double probability_near(const struct pn_path_frame *f, const double *posterior, double sum,
			       size_t center)
{
	double inside = 0;

	for (size_t i = 0; i < f->count; i++)
		if (i == center ||
		    absolute_dot(&f->candidate[i], &f->candidate[center]) >= near_cos)
			inside += posterior[i];
	return inside / sum;
}

void pn_path_describe(struct pn_path_pose *pose, const struct pn_path_frame *f, const float *beta,
		      double lost)
{
	double posterior[PN_PATH_STATES_MAX], sum = 0, turn2;
	size_t best = 0, second = SIZE_MAX;

	memset(pose, 0, sizeof *pose);
	for (size_t i = 0; i < f->states; i++) {
		posterior[i] = (double)f->alpha[i] * (beta ? (double)beta[i] : 1);
		sum += posterior[i];
		if (i < f->count && posterior[i] > posterior[best])
			best = i;
		pose->unlisted += i < f->count ? 0 : posterior[i];
	}
	for (size_t i = 0; i < f->count; i++)
		if (absolute_dot(&f->candidate[i], &f->candidate[best]) < near_cos &&
		    (second == SIZE_MAX || posterior[i] > posterior[second]))
			second = i;
	pose->frame = f->frame;
	pose->best = best;
	memcpy(pose->quaternion, f->candidate[best].quaternion, sizeof pose->quaternion);
	pose->reference = f->candidate[best].reference;
	pose->probability = probability_near(f, posterior, sum, best);
	pose->unlisted /= sum;
	pose->entropy = entropy(posterior, f->states, sum);
	if (second != SIZE_MAX) {
		pose->has_runner_up = 1;
		memcpy(pose->runner_up, f->candidate[second].quaternion, sizeof pose->runner_up);
		pose->runner_up_probability = probability_near(f, posterior, sum, second);
	}
	pose->step_deg = f->step_deg;
	pose->independent = !f->prior || is_flat(pose->entropy, f->states) ||
			    diffusion(f, beta, lost, &turn2) + pose->unlisted < 0.5;
}

double pn_path_turn(const struct pn_path_frame *f, const float *beta, double lost,
		    double *turn2_deg2)
{
	double turn2 = 0, weight = 0;

	if (f->paired && !f->flat)
		weight = diffusion(f, beta, lost, &turn2);
	*turn2_deg2 = turn2 / (rad_deg * rad_deg);
	return weight;
}

/* of one block: weight (gain W + lost), where source.rate is weight lost / (weight gain) */
static void maximum_block(float *value, uint16_t *from, const struct targets *to, size_t first,
			  size_t count, const struct source *source, size_t sources)
{
	float w[BLOCK], x[BLOCK], y[BLOCK], z[BLOCK], best[BLOCK];
	int32_t which[BLOCK] = { 0 };

	load(w, to->q[0] + first, count);
	load(x, to->q[1] + first, count);
	load(y, to->q[2] + first, count);
	load(z, to->q[3] + first, count);
	for (int j = 0; j < BLOCK; j++)
		best[j] = -1;
	for (size_t i = 0; i < sources; i++) {
		struct source a = source[i];

		for (int j = 0; j < BLOCK; j++) {
			float e = exp_negative(-a.scale * angle2(a.q, w[j], x[j], y[j], z[j]));
			float v = a.weight * (e + a.rate);
			int32_t more = v > best[j];

			which[j] += more * ((int32_t)i - which[j]);
			best[j] = more ? v : best[j];
		}
	}
	for (size_t j = 0; j < count; j++) {
		value[first + j] = best[j];
		from[first + j] = source[which[j]].index;
	}
}

void pn_path_maximum(float *value, uint16_t *from, const struct pn_path_frame *f,
		     const struct pn_path_frame *previous, const float *weight,
		     const struct pn_path_params *params)
{
	struct source source[PN_PATH_STATES_MAX];
	const struct targets to = { { f->q[0], f->q[1], f->q[2], f->q[3] }, NULL, f->count };
	double lost = params->lost;
	struct turns turns = turns_to(f, lost);
	/* a lower one is beaten everywhere by the largest, of weight 1, getting lost */
	double least = f->prior ? 0.5 * lost / (f->gain + lost) : 0.5;
	size_t sources = 0;

	for (size_t i = 0; i < previous->states; i++) {
		double scale, gain;

		if ((double)weight[i] <= least)
			continue;
		turn_of(&turns, previous, i, &scale, &gain);
		source[sources] = source_of(previous, i, (double)weight[i] * gain, scale);
		source[sources++].rate = (float)(lost / gain);
		if (!f->prior) {
			/* the largest alone, wherever it is */
			source[sources - 1].weight = (float)gain * weight[i];
			source[sources - 1].rate = (float)(1 / gain);
			source[sources - 1].scale = 1e6f;
		}
	}
#pragma omp parallel for schedule(static) if (sources * f->count > pairs_of_a_thread)
	for (size_t first = 0; first < f->count; first += BLOCK)
		maximum_block(value, from, &to, first,
			      f->count - first < BLOCK ? f->count - first : BLOCK, source, sources);
	for (size_t g = f->count; g < f->states; g++) {
		double scale, gain;

		/* one cell of the many that an unlisted state stands for, as the others are one */
		turn_of(&turns, previous, f->parent[g], &scale, &gain);
		value[g] = weight[f->parent[g]] * f->stay[g] * (float)(gain * cell_volume(f, gain));
		from[g] = f->parent[g];
	}
}
