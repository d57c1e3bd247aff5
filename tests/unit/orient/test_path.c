/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Orientations through the frames: against the enumeration of all ways, and on simulated walks. */
#include "perrin/orient/path.h"

#include "perrin/base/rng.h"
#include "perrin/math/rotation.h"
#include "testkit.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

static const double rad_deg = M_PI / 180;

static struct pn_path_params defaults(void)
{
	struct pn_path_params p;

	pn_params_default(pn_path_param_table, &p);
	return p;
}

static void turn(double q[4], double sigma_deg, struct pn_rng *rng)
{
	double v[3], d[4];

	for (int k = 0; k < 3; k++)
		v[k] = sigma_deg * rad_deg * pn_rng_gauss(rng);
	pn_quaternion_from_vector(d, v);
	pn_quaternion_multiply(q, d, q);
}

/*
 * The model in double by brute force: every way through all frames. Nothing is shared with the
 * kernel but the formula of the header.
 */
enum { SMALL_FRAMES = 5, SMALL = 4 };

struct small {
	uint64_t frame[SMALL_FRAMES];
	struct pn_pose_candidate candidate[SMALL_FRAMES][SMALL];
	size_t count[SMALL_FRAMES];
};

static void make_small(struct small *s, uint64_t seed, double spread_deg)
{
	struct pn_rng rng;
	double q[4];

	memset(s, 0, sizeof *s);
	pn_rng_init(&rng, seed, 1);
	pn_quaternion_random(q, &rng);
	for (size_t t = 0; t < SMALL_FRAMES; t++) {
		s->frame[t] = 10 + t + (t > 2 ? 2 : 0); /* two frames are left out */
		s->count[t] = SMALL;
		for (size_t j = 0; j < SMALL; j++) {
			struct pn_pose_candidate *c = &s->candidate[t][j];

			memcpy(c->quaternion, q, sizeof q);
			turn(c->quaternion, spread_deg, &rng);
			c->log_likelihood = 500 + pn_rng_gauss(&rng);
			c->reference = 100 * t + j;
		}
	}
}

static double variance_of(double step_deg, double grid_deg, double dt)
{
	return (step_deg * step_deg * dt / 3 + grid_deg * grid_deg / 6) * rad_deg * rad_deg;
}

/* by the midpoint rule over the angle's distribution */
static double density(double angle, double variance)
{
	double z = 0;

	for (int i = 0; i < 20000; i++) {
		double a = (i + 0.5) * M_PI / 20000;

		z += (1 - cos(a)) * exp(-a * a / (2 * variance)) / 20000;
	}
	return exp(-angle * angle / (2 * variance)) / z;
}

/* sums over all ways through the first @frames */
struct enumeration {
	double posterior[SMALL_FRAMES][SMALL]; /* not normalised */
	double all, best_weight, turn2, diffused;
	size_t best[SMALL_FRAMES];
};

static void enumerate(struct enumeration *e, const struct small *s, size_t frames, double step_deg,
		      const struct pn_path_params *params)
{
	double t1[SMALL_FRAMES][SMALL][SMALL], a2[SMALL_FRAMES][SMALL][SMALL];
	size_t ways = 1;

	memset(e, 0, sizeof *e);
	for (size_t t = 0; t < frames; t++)
		ways *= SMALL;
	for (size_t t = 1; t < frames; t++)
		for (size_t n = 0; n < SMALL * SMALL; n++) {
			double dt = (double)(s->frame[t] - s->frame[t - 1]);
			double grid2 = params->grid_deg * rad_deg * params->grid_deg * rad_deg;
			double a =
				pn_quaternion_angle_rad(s->candidate[t - 1][n / SMALL].quaternion,
							s->candidate[t][n % SMALL].quaternion);

			t1[t][n / SMALL][n % SMALL] =
				(1 - params->lost) *
				density(a, variance_of(step_deg, params->grid_deg, dt));
			a2[t][n / SMALL][n % SMALL] = (a * a - grid2 / 2) / dt;
		}
	for (size_t n = 0; n < ways; n++) {
		size_t way[SMALL_FRAMES];
		double w = 1;

		for (size_t t = 0, rest = n; t < frames; t++, rest /= SMALL) {
			way[t] = rest % SMALL;
			w *= exp(s->candidate[t][way[t]].log_likelihood - 500);
			if (t)
				w *= t1[t][way[t - 1]][way[t]] + params->lost;
		}
		e->all += w;
		if (w > e->best_weight) {
			e->best_weight = w;
			memcpy(e->best, way, sizeof way);
		}
		for (size_t t = 0; t < frames; t++) {
			e->posterior[t][way[t]] += w;
			if (t) {
				double d = t1[t][way[t - 1]][way[t]];
				double share = w * d / (d + params->lost);

				e->diffused += share;
				e->turn2 += share * a2[t][way[t - 1]][way[t]];
			}
		}
	}
}

static void expect_pose(const struct pn_path_pose *pose, const struct small *s,
			const struct enumeration *e, size_t t)
{
	const double *p = e->posterior[t];
	double entropy = 0, near = 0, second = 0, second_near = 0;
	size_t best = 0, other = SMALL;

	for (size_t j = 0; j < SMALL; j++) {
		entropy -= p[j] / e->all * log(p[j] / e->all);
		if (p[j] > p[best])
			best = j;
	}
	for (size_t j = 0; j < SMALL; j++) {
		double a = pn_quaternion_angle_rad(s->candidate[t][j].quaternion,
						   s->candidate[t][best].quaternion);

		if (a <= 5 * rad_deg)
			near += p[j] / e->all;
		else if (p[j] > second) {
			second = p[j];
			other = j;
		}
	}
	assert_int_equal(pose->frame, s->frame[t]);
	assert_int_equal(pose->best, best);
	assert_int_equal(pose->reference, 100 * t + best);
	assert_memory_equal(pose->quaternion, s->candidate[t][best].quaternion, 32);
	assert_true(fabs(pose->probability - near) < 2e-5);
	assert_true(fabs(pose->entropy - entropy) < 5e-5);
	assert_true(pose->unlisted == 0);
	assert_int_equal(pose->has_runner_up, other < SMALL);
	if (other == SMALL)
		return;
	assert_memory_equal(pose->runner_up, s->candidate[t][other].quaternion, 32);
	for (size_t j = 0; j < SMALL; j++)
		if (pn_quaternion_angle_rad(s->candidate[t][j].quaternion,
					    s->candidate[t][other].quaternion) <= 5 * rad_deg)
			second_near += p[j] / e->all;
	assert_true(fabs(pose->runner_up_probability - second_near) < 2e-5);
}

static struct pn_path_params small_params(uint64_t seed)
{
	struct pn_path_params params = defaults();

	params.lag = 2;
	params.memory = 0;
	params.missed = 0;
	params.lost = seed % 3 ? 1e-3 : 0.2;
	params.grid_deg = seed % 2 ? 4 : 0;
	params.step_deg = seed % 5 ? 6 : 40;
	return params;
}

static void test_filter_by_brute_force(void **state)
{
	(void)state;
	for (uint64_t seed = 0; seed < 30; seed++) {
		struct pn_path_params params = small_params(seed);
		struct pn_path *path;
		struct enumeration e;
		struct small s;
		struct pn_path_pose pose, smoothed;
		int ready;

		make_small(&s, seed, seed % 4 ? 5 : 60);
		assert_int_equal(pn_path_create(&path, &params, NULL), PN_OK);
		for (size_t t = 0; t < SMALL_FRAMES; t++) {
			assert_int_equal(pn_path_push(path, s.frame[t], s.candidate[t], SMALL,
						      &pose, &smoothed, &ready, NULL),
					 PN_OK);
			enumerate(&e, &s, t + 1, params.step_deg, &params);
			expect_pose(&pose, &s, &e, t);
			assert_int_equal(ready, t >= 2);
			if (ready)
				expect_pose(&smoothed, &s, &e, t - 2);
		}
		for (size_t t = SMALL_FRAMES - 2; t < SMALL_FRAMES; t++) {
			assert_int_equal(pn_path_flush(path, &smoothed, NULL), PN_OK);
			expect_pose(&smoothed, &s, &e, t);
		}
		assert_int_equal(pn_path_flush(path, &smoothed, NULL), PN_EEND);
		pn_path_destroy(path);
	}
}

static void test_viterbi_by_brute_force(void **state)
{
	(void)state;
	for (uint64_t seed = 100; seed < 130; seed++) {
		struct pn_path_params params = small_params(seed);
		struct pn_path_pose pose[SMALL_FRAMES];
		size_t best[SMALL_FRAMES];
		struct enumeration e;
		struct small s;
		double step = params.step_deg;

		make_small(&s, seed, seed % 4 ? 5 : 60);
		enumerate(&e, &s, SMALL_FRAMES, step, &params);
		assert_int_equal(pn_path_viterbi(s.frame, s.candidate[0], s.count, SMALL_FRAMES,
						 &params, 0, &step, best, pose, NULL),
				 PN_OK);
		assert_true(step == params.step_deg);
		for (size_t t = 0; t < SMALL_FRAMES; t++) {
			assert_int_equal(best[t], e.best[t]);
			expect_pose(&pose[t], &s, &e, t);
		}
		/* one round of Baum and Welch */
		assert_int_equal(pn_path_viterbi(s.frame, s.candidate[0], s.count, SMALL_FRAMES,
						 &params, 1, &step, best, NULL, NULL),
				 PN_OK);
		step -= sqrt(fmax(e.turn2 / e.diffused, 0)) / rad_deg;
		assert_true(fabs(step) < 2e-4 || e.turn2 < 1e-3 * rad_deg * rad_deg);
	}
}

/* One candidate of this frame is where the last one was, the other is far from either: how much
 * stays with the unlisted is a short formula. */
static void test_unlisted(void **state)
{
	struct pn_path_params params = defaults();
	struct pn_pose_candidate c[2] = { { { 1, 0, 0, 0 }, 0, 1 }, { { 0, 1, 0, 0 }, -2, 2 } };
	struct pn_path_pose pose;
	struct pn_path *path;

	(void)state;
	params.grid_deg = 4;
	params.step_deg = 3;
	params.memory = 0;
	for (int there = 0; there < 2; there++) {
		double variance = variance_of(3, 4, 1),
		       v = 64 * pow(rad_deg, 3) / (8 * M_PI * M_PI);
		double peak = (1 - params.lost) * density(0, variance);
		double open = 1 - there * v * peak, listed, stays;

		assert_int_equal(pn_path_create(&path, &params, NULL), PN_OK);
		pn_path_push(path, 0, c, 1, &pose, NULL, NULL, NULL);
		assert_true(pose.unlisted == 0);
		/* the second frame's best is near, or far; the worst is 2 nats below */
		double q[2][4] = { { 0, 0, 1, 0 }, { 0, 0, 0, 1 } };
		struct pn_pose_candidate d[2] = { c[0], c[1] };

		for (int j = there; j < 2; j++)
			memcpy(d[j].quaternion, q[j], sizeof q[j]);
		pn_path_push(path, 1, d, 2, &pose, NULL, NULL, NULL);
		stays = exp(-2) * params.missed * open / v;
		listed = there * peak + params.lost * (1 + exp(-2));
		assert_true(fabs(pose.unlisted / (stays / (stays + listed)) - 1) < 1e-4);
		assert_int_equal(pose.best, 0);
		/* back again after two frames: the way there goes on */
		pn_path_push(path, 2, c, 1, &pose, NULL, NULL, NULL);
		assert_true(pose.probability > 0.6 && !pose.independent);
		pn_path_destroy(path);
	}
}

/*
 * A simulated walk. The likelihoods are those of a matched filter in white noise: a wrong
 * orientation that differs from the right one by the energy 2 D has log-likelihoods -D +-
 * sqrt(2 D) over it. Candidates are the best of 320000 on a grid: the right one, pseudo-symmetric
 * ones that go with it, neighbours of them all, and the tail of those that are just wrong.
 */
enum { WALK = 300, MANY = 400 };

struct walk {
	uint64_t frame[WALK];
	double truth[WALK][4];
	struct pn_pose_candidate *candidate;
	size_t count[WALK];
	size_t listed; /* frames whose right orientation is among the candidates */
};

struct scene {
	double step_deg, grid_deg, energy, flip; /* flip: energy of flips over that of the rest */
	double spread;                           /* of the energy from frame to frame           */
	int jump_at, blank_from, blank_to;
};

static void turn_cell(double q[4], double edge_deg, struct pn_rng *rng)
{
	double v[3], d[4];

	for (int k = 0; k < 3; k++)
		v[k] = edge_deg * rad_deg * (pn_rng_uniform(rng) - 0.5);
	pn_quaternion_from_vector(d, v);
	pn_quaternion_multiply(q, d, q);
}

static void wrong(struct pn_pose_candidate *c, double energy, struct pn_rng *rng)
{
	double z;

	/* a normal deviate over 3.02, the best 400 of 320000 */
	do
		z = 3.02 - log(1 - pn_rng_uniform(rng)) / 3.02;
	while (pn_rng_uniform(rng) > exp(-(z - 3.02) * (z - 3.02) / 2));
	pn_quaternion_random(c->quaternion, rng);
	c->log_likelihood = -energy + sqrt(2 * energy) * z;
}

/* rotations of the cube by their axes: 8 of them will do here */
static const double flips[8][4] = { { 1, 0, 0, 0 },
				    { 0, 1, 0, 0 },
				    { 0, 0, 1, 0 },
				    { 0, 0, 0, 1 },
				    { 0.5, 0.5, 0.5, 0.5 },
				    { 0.5, -0.5, 0.5, 0.5 },
				    { M_SQRT1_2, M_SQRT1_2, 0, 0 },
				    { M_SQRT1_2, 0, 0, M_SQRT1_2 } };

static void make_frame(struct walk *w, int t, const struct scene *scene, struct pn_rng *rng)
{
	int blank = t >= scene->blank_from && t < scene->blank_to;
	double energy = scene->energy * (1 + scene->spread * (2 * pn_rng_uniform(rng) - 1));
	double cut = -energy + 3.02 * sqrt(2 * energy);

	w->listed += !blank && cut <= 0;
	for (int j = 0; j < MANY; j++) {
		struct pn_pose_candidate *c = &w->candidate[t * MANY + j];
		double d = energy * ((j / 3 ? scene->flip : 0) + (j % 3 ? 0.3 : 0));

		if (j < 24) {
			pn_quaternion_multiply(c->quaternion, w->truth[t], flips[j / 3]);
			turn_cell(c->quaternion, scene->grid_deg * (j % 3 ? 3 : 1), rng);
			c->log_likelihood = -d + sqrt(2 * d) * pn_rng_gauss(rng);
		}
		if (blank || j >= 24 || c->log_likelihood < cut)
			wrong(c, energy, rng);
		c->reference = (uint64_t)j;
	}
	for (int j = MANY - 1; j > 0; j--) {
		int k = (int)pn_rng_below(rng, (uint32_t)j + 1);
		struct pn_pose_candidate *a = &w->candidate[t * MANY], x = a[j];

		a[j] = a[k];
		a[k] = x;
	}
}

static struct walk *make_walk(const struct scene *scene, uint64_t seed)
{
	struct walk *w = calloc(1, sizeof *w);
	struct pn_rng rng;

	w->candidate = calloc((size_t)WALK * MANY, sizeof *w->candidate);
	pn_rng_init(&rng, seed, 2);
	pn_quaternion_random(w->truth[0], &rng);
	for (int t = 0; t < WALK; t++) {
		w->frame[t] = (uint64_t)t;
		w->count[t] = MANY;
		if (t)
			memcpy(w->truth[t], w->truth[t - 1], sizeof w->truth[t]);
		turn(w->truth[t], scene->step_deg / sqrt(3), &rng);
		if (t && t == scene->jump_at)
			pn_quaternion_random(w->truth[t], &rng);
		make_frame(w, t, scene, &rng);
	}
	return w;
}

static void drop(struct walk *w)
{
	free(w->candidate);
	free(w);
}

static int right(const struct walk *w, size_t t, const double q[4])
{
	return pn_quaternion_angle_rad(w->truth[t], q) < 5 * rad_deg;
}

/* frames right within 5 deg, by each method; steps */
struct result {
	size_t independent, filtered, smoothed, viterbi, posterior;
	double online_deg, offline_deg;
	int missed[WALK]; /* frame by frame, of the filter: not right; used no prior */
	int alone[WALK];
};

static void follow(struct result *r, const struct walk *w, const struct pn_path_params *params)
{
	struct pn_path_pose pose, smoothed, *all = calloc(WALK, sizeof *all);
	size_t best[WALK], next = 0;
	struct pn_path *path;
	int ready;

	memset(r, 0, sizeof *r);
	assert_int_equal(pn_path_create(&path, params, NULL), PN_OK);
	for (size_t t = 0; t < WALK; t++) {
		const struct pn_pose_candidate *c = w->candidate + t * MANY;
		size_t top = 0;

		for (size_t j = 1; j < MANY; j++)
			if (c[j].log_likelihood > c[top].log_likelihood)
				top = j;
		r->independent += right(w, t, c[top].quaternion);
		assert_int_equal(pn_path_push(path, t, c, MANY, &pose, &smoothed, &ready, NULL),
				 PN_OK);
		r->filtered += right(w, t, pose.quaternion);
		r->missed[t] = !right(w, t, pose.quaternion);
		r->alone[t] = pose.independent;
		if (ready)
			r->smoothed += right(w, next++, smoothed.quaternion);
	}
	r->online_deg = pn_path_step_deg(path);
	while (pn_path_flush(path, &smoothed, NULL) == PN_OK)
		r->smoothed += right(w, next++, smoothed.quaternion);
	assert_int_equal(next, WALK);
	pn_path_destroy(path);
	r->offline_deg = params->step_deg;
	assert_int_equal(pn_path_viterbi(w->frame, w->candidate, w->count, WALK, params, 5,
					 &r->offline_deg, best, all, NULL),
			 PN_OK);
	for (size_t t = 0; t < WALK; t++) {
		r->viterbi += best[t] != PN_PATH_UNLISTED &&
			      right(w, t, w->candidate[t * MANY + best[t]].quaternion);
		r->posterior += right(w, t, all[t].quaternion);
	}
	free(all);
}

/* independent < filtered <= smoothed, and the step within 20 %, started at half or twice of it;
 * where frames lack the right one, those that have it are found all the same */
static void test_walks(void **state)
{
	static const struct scene scene[] = {
		{ 3, 4, 50, 0.15, 0, 0, 0, 0 },    { 10, 4, 50, 0.15, 0, 0, 0, 0 },
		{ 3, 0.5, 45, 0.1, 0.3, 0, 0, 0 }, { 3, 4, 30, 0.15, 0.6, 0, 0, 0 },
		{ 10, 4, 40, 0.1, 0.4, 0, 0, 0 },
	};

	(void)state;
	for (size_t n = 0; n < PN_COUNT(scene); n++) {
		struct pn_path_params params = defaults();
		struct walk *w = make_walk(&scene[n], 40 + n);
		struct result r;

		params.step_deg = scene[n].step_deg * (n % 2 ? 0.5 : 2);
		params.grid_deg = scene[n].grid_deg;
		follow(&r, w, &params);
		print_message("%g deg, %zu of %d listed: %zu alone, %zu filtered, %zu smoothed, "
			      "%zu Viterbi, %zu posterior; step %.2f %.2f\n",
			      scene[n].step_deg, w->listed, WALK, r.independent, r.filtered,
			      r.smoothed, r.viterbi, r.posterior, r.online_deg, r.offline_deg);
		assert_true(r.independent < 0.85 * (double)w->listed);
		assert_true(r.filtered > r.independent && r.filtered <= r.smoothed + 1);
		assert_true((double)r.filtered > 0.92 * (double)w->listed);
		assert_true((double)r.smoothed > 0.97 * (double)w->listed);
		assert_true((double)r.viterbi > 0.96 * (double)w->listed);
		assert_true(r.posterior + 1 >= r.smoothed && r.posterior <= w->listed);
		assert_true(fabs(r.online_deg / scene[n].step_deg - 1) < 0.2);
		assert_true(fabs(r.offline_deg / scene[n].step_deg - 1) < 0.2);
		drop(w);
	}
}

/* lost at once, or behind 20 blank frames: found again within a few */
static void test_recovery(void **state)
{
	static const struct scene scene[] = {
		{ 3, 4, 60, 0.25, 0, 150, 0, 0 },
		{ 3, 4, 60, 0.25, 0, 0, 130, 150 },
		{ 3, 4, 60, 0.25, 0, 150, 130, 150 },
	};

	(void)state;
	for (size_t n = 0; n < PN_COUNT(scene); n++) {
		struct pn_path_params params = defaults();
		struct walk *w = make_walk(&scene[n], 60 + n);
		struct result r;
		int wrongs = 0, alone = 0;

		params.grid_deg = 4;
		follow(&r, w, &params);
		for (int t = 100; t < WALK; t++)
			if (t < 130 || t >= 155)
				wrongs += r.missed[t];
		for (int t = 130; t < 155; t++)
			alone += r.alone[t];
		assert_in_range(wrongs, 0, 2);
		if (scene[n].jump_at) /* and the filter says so */
			assert_in_range(alone, 1, 6);
		assert_true(r.online_deg < 5);
		drop(w);
	}
}

/* A walk without memory: the step grows over what is allowed and the frames count alone. */
static void test_no_prior(void **state)
{
	static const struct scene scene = { 130, 4, 60, 0.25, 0, 0, 0, 0 };
	struct pn_path_params params = defaults();
	struct walk *w = make_walk(&scene, 70);
	struct result r;
	size_t alone = 0;

	(void)state;
	params.grid_deg = 4;
	params.step_deg = 30;
	follow(&r, w, &params);
	for (int t = 200; t < WALK; t++)
		alone += (size_t)r.alone[t];
	assert_true(r.online_deg > params.step_max_deg);
	assert_true(r.online_deg <= 1.5 * params.step_max_deg);
	assert_true(alone > 90);
	assert_true(r.filtered + 15 > r.independent);
	drop(w);
}

/* nothing in the frames: no prior after them, and the filter says so */
static void test_flat(void **state)
{
	struct pn_pose_candidate c[50];
	struct pn_path_params params = defaults();
	struct pn_path_pose pose;
	struct pn_path *path;
	struct pn_rng rng;

	(void)state;
	pn_rng_init(&rng, 80, 0);
	assert_int_equal(pn_path_create(&path, &params, NULL), PN_OK);
	assert_false(pn_path_prior_ok(path));
	for (uint64_t t = 0; t < 10; t++) {
		for (size_t j = 0; j < 50; j++) {
			pn_quaternion_random(c[j].quaternion, &rng);
			c[j].log_likelihood = t == 9 && j == 7 ? 30 : 0.1 * pn_rng_gauss(&rng);
			c[j].reference = j;
		}
		assert_int_equal(pn_path_push(path, t, c, 50, &pose, NULL, NULL, NULL), PN_OK);
		assert_true(pose.independent);
		assert_int_equal(pn_path_prior_ok(path), t == 9);
		assert_true(t == 9 || pose.entropy > log(45));
	}
	assert_int_equal(pose.best, 7);
	assert_true(pn_path_step_deg(path) == 5); /* learnt nothing */
	pn_path_destroy(path);
}

/* One candidate that says otherwise is believed once it has said so often enough. */
static void test_single_candidate(void **state)
{
	struct pn_pose_candidate here = { { 1, 0, 0, 0 }, 0, 1 }, there = { { 0, 1, 0, 0 }, 0, 2 };
	struct pn_path_params params = defaults();
	struct pn_path_pose pose;
	struct pn_path *path;

	(void)state;
	assert_int_equal(pn_path_create(&path, &params, NULL), PN_OK);
	for (uint64_t t = 0; t < 20; t++) {
		assert_int_equal(pn_path_push(path, t, &here, 1, &pose, NULL, NULL, NULL), PN_OK);
		assert_int_equal(pose.reference, 1);
	}
	assert_true(pose.probability > 0.99 && pose.unlisted < 0.01);
	pn_path_push(path, 20, &there, 1, &pose, NULL, NULL, NULL);
	assert_true(pose.unlisted > 0.99);
	for (uint64_t t = 21; t < 50; t++)
		pn_path_push(path, t, &there, 1, &pose, NULL, NULL, NULL);
	assert_true(pose.unlisted < 0.01 && !pose.independent);
	pn_path_destroy(path);
}

static void push_and_keep(struct pn_path *path, const struct walk *w, size_t t,
			  struct pn_path_pose out[2])
{
	int ready;

	memset(out, 0, 2 * sizeof *out);
	assert_int_equal(pn_path_push(path, t, w->candidate + t * MANY, MANY - t % 7, &out[0],
				      &out[1], &ready, NULL),
			 PN_OK);
}

static void test_same_bytes(void **state)
{
	static const struct scene scene = { 5, 4, 35, 0.15, 0.6, 20, 0, 0 };
	struct pn_path_params params = defaults();
	struct walk *w = make_walk(&scene, 90);
	struct pn_path *one, *other;
	struct pn_blob a = { 0 }, b = { 0 };
	int threads = omp_get_max_threads();

	(void)state;
	params.lag = 4;
	params.grid_deg = 4;
	assert_int_equal(pn_path_create(&one, &params, NULL), PN_OK);
	assert_int_equal(pn_path_create(&other, &params, NULL), PN_OK);
	assert_int_equal(pn_path_save(one, &a), PN_OK); /* before the first frame too */
	assert_int_equal(pn_path_load(other, a.data, a.bytes, NULL), PN_OK);
	pn_blob_finish(&a);
	for (size_t t = 0; t < 40; t++) {
		struct pn_path_pose x[2], y[2];

		/* one goes on, with one thread; the other is loaded at every frame and has three */
		omp_set_num_threads(1);
		push_and_keep(one, w, t, x);
		omp_set_num_threads(3);
		push_and_keep(other, w, t, y);
		assert_memory_equal(x, y, sizeof x);
		assert_int_equal(pn_path_save(one, &a), PN_OK);
		assert_int_equal(pn_path_save(other, &b), PN_OK);
		assert_int_equal(a.bytes, b.bytes);
		assert_memory_equal(a.data, b.data, a.bytes);
		pn_path_reset(other);
		assert_int_equal(pn_path_load(other, a.data, a.bytes, NULL), PN_OK);
		pn_blob_finish(&a);
		pn_blob_finish(&b);
	}
	omp_set_num_threads(threads);
	/* and anew after a reset, as after being created */
	struct pn_path_pose x[2], y[2];

	pn_path_reset(one);
	pn_path_destroy(other);
	assert_int_equal(pn_path_create(&other, &params, NULL), PN_OK);
	for (size_t t = 0; t < 10; t++) {
		push_and_keep(one, w, t, x);
		push_and_keep(other, w, t, y);
		assert_memory_equal(x, y, sizeof x);
	}
	pn_path_destroy(one);
	pn_path_destroy(other);
	drop(w);
}

static void test_bad_checkpoint(void **state)
{
	static const struct scene scene = { 5, 4, 35, 0.15, 0.6, 0, 0, 0 };
	struct pn_path_params params = defaults();
	struct walk *w = make_walk(&scene, 91);
	struct pn_path *path, *other;
	struct pn_path_pose x[2], y[2];
	struct pn_blob a = { 0 };
	uint64_t version = 99;

	(void)state;
	params.lag = 1;
	assert_int_equal(pn_path_create(&path, &params, NULL), PN_OK);
	for (size_t t = 0; t < 3; t++)
		push_and_keep(path, w, t, x);
	assert_int_equal(pn_path_save(path, &a), PN_OK);
	for (size_t bytes = 0; bytes < a.bytes; bytes += bytes < 500 ? 1 : 997)
		assert_int_equal(pn_path_load(path, a.data, bytes, NULL), PN_EFORMAT);
	memcpy(a.data + 8, &version, sizeof version);
	assert_int_equal(pn_path_load(path, a.data, a.bytes, NULL), PN_EVERSION);
	version = 1;
	memcpy(a.data + 8, &version, sizeof version);
	params.lost = 1e-4;
	assert_int_equal(pn_path_create(&other, &params, NULL), PN_OK);
	assert_int_equal(pn_path_load(other, a.data, a.bytes, NULL), PN_EFORMAT);
	pn_path_destroy(other);
	/* bytes that were changed are noticed or do no harm */
	for (size_t at = 0; at < a.bytes; at += 61) {
		params.lost = 1e-5;
		a.data[at] ^= 0xff;
		assert_int_equal(pn_path_create(&other, &params, NULL), PN_OK);
		if (pn_path_load(other, a.data, a.bytes, NULL) == PN_OK)
			pn_path_flush(other, y, NULL);
		pn_path_destroy(other);
		a.data[at] ^= 0xff;
	}
	/* the path is as it was */
	assert_int_equal(pn_path_create(&other, &params, NULL), PN_OK);
	assert_int_equal(pn_path_load(other, a.data, a.bytes, NULL), PN_OK);
	push_and_keep(path, w, 3, x);
	push_and_keep(other, w, 3, y);
	assert_memory_equal(x, y, sizeof x);
	pn_path_destroy(other);
	pn_path_destroy(path);
	pn_blob_finish(&a);
	drop(w);
}

static void test_bad(void **state)
{
	struct pn_path_params params = defaults();
	struct pn_pose_candidate c = { { 1, 0, 0, 0 }, 0, 0 }, two[2] = { c, c };
	struct pn_path_pose pose;
	struct pn_error err = { 0 };
	struct pn_path *path;
	uint64_t frame[2] = { 4, 4 };
	size_t count[2] = { 1, 1 }, best[2];
	double step = 5;

	(void)state;
	params.lost = 0;
	assert_int_equal(pn_path_create(&path, &params, &err), PN_EARG);
	assert_non_null(strstr(err.text, "lost"));
	assert_null(path);
	pn_path_destroy(path);
	params = defaults();
	params.lag = PN_PATH_LAG_MAX + 1;
	assert_int_equal(pn_path_create(&path, &params, NULL), PN_EARG);
	params = defaults();
	params.step_deg = NAN;
	assert_int_equal(pn_path_create(&path, &params, NULL), PN_EARG);
	params = defaults();
	assert_int_equal(pn_path_create(&path, &params, NULL), PN_OK);
	assert_int_equal(pn_path_flush(path, &pose, NULL), PN_EEND);
	assert_int_equal(pn_path_push(path, 3, &c, 0, &pose, NULL, NULL, NULL), PN_EARG);
	assert_int_equal(pn_path_push(path, 3, &c, 1025, &pose, NULL, NULL, NULL), PN_EARG);
	c.log_likelihood = INFINITY;
	assert_int_equal(pn_path_push(path, 3, &c, 1, &pose, NULL, NULL, &err), PN_EARG);
	assert_non_null(strstr(err.text, "frame 3, candidate 0"));
	c.log_likelihood = 0;
	c.quaternion[1] = NAN;
	assert_int_equal(pn_path_push(path, 3, &c, 1, &pose, NULL, NULL, NULL), PN_EARG);
	c.quaternion[1] = 0.1;
	assert_int_equal(pn_path_push(path, 3, &c, 1, &pose, NULL, NULL, NULL), PN_EARG);
	c.quaternion[1] = 0;
	assert_int_equal(pn_path_push(path, 3, &c, 1, &pose, NULL, NULL, NULL), PN_OK);
	assert_int_equal(pn_path_push(path, 3, &c, 1, &pose, NULL, NULL, &err), PN_EARG);
	assert_non_null(strstr(err.text, "frame 3 comes after frame 3"));
	assert_int_equal(pn_path_push(path, 1000000000, &c, 1, &pose, NULL, NULL, NULL), PN_OK);
	assert_true(pose.probability == 1);
	pn_path_destroy(path);
	assert_int_equal(pn_path_viterbi(frame, two, count, 2, &params, 1, &step, best, NULL, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "comes after"));
	frame[1] = 5;
	assert_int_equal(pn_path_viterbi(frame, two, count, 0, &params, 1, &step, best, NULL, NULL),
			 PN_EARG);
	step = 0;
	assert_int_equal(pn_path_viterbi(frame, two, count, 2, &params, 1, &step, best, NULL, NULL),
			 PN_EARG);
	step = 5;
	count[1] = 2000;
	assert_int_equal(pn_path_viterbi(frame, two, count, 2, &params, 1, &step, best, NULL, NULL),
			 PN_EARG);
	count[1] = 1;
	assert_int_equal(pn_path_viterbi(frame, two, count, 2, &params, 1, &step, best, NULL, NULL),
			 PN_OK);
	assert_true(best[0] == 0 && best[1] == 0 && step >= 0.1 && step < 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter_by_brute_force),
		cmocka_unit_test(test_viterbi_by_brute_force),
		cmocka_unit_test(test_unlisted),
		cmocka_unit_test(test_walks),
		cmocka_unit_test(test_recovery),
		cmocka_unit_test(test_no_prior),
		cmocka_unit_test(test_flat),
		cmocka_unit_test(test_single_candidate),
		cmocka_unit_test(test_same_bytes),
		cmocka_unit_test(test_bad_checkpoint),
		cmocka_unit_test(test_bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
