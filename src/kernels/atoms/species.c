/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/species.h"

#include "perrin/atoms/neighbors.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPS = 256, GROUP_PER_CLASS = 4 };

/* ---- k-means, in all or group by group --------------------------------------------------------
 */

/* What the atoms of one class of one group look like. */
struct moments {
	double count, mean, deviation;
};

static void find_moments(struct moments m[PN_SPECIES_MAX], const int32_t *class_of,
			 const double *value, size_t count, int classes)
{
	double range = 0;

	memset(m, 0, PN_SPECIES_MAX * sizeof *m);
	for (size_t i = 0; i < count; i++) {
		m[class_of[i]].count++;
		m[class_of[i]].mean += value[i];
		range = fmax(range, fabs(value[i]));
	}
	for (int c = 0; c < classes; c++)
		m[c].mean /= m[c].count;
	for (size_t i = 0; i < count; i++) {
		double x = value[i] - m[class_of[i]].mean;

		m[class_of[i]].deviation += x * x;
	}
	for (int c = 0; c < classes; c++)
		m[c].deviation = fmax(sqrt(m[c].deviation / m[c].count), 1e-9 * range);
}

/* Logarithm of number times density: far from a class the density itself is 0. */
static double log_density(const struct moments *m, double value)
{
	double z = (value - m->mean) / m->deviation;

	return m->count > 0 ? log(m->count / m->deviation) - z * z / 2 : -INFINITY;
}

static double confidence_of(const struct moments *m, int classes, int own, double value)
{
	double best = -INFINITY;

	for (int c = 0; c < classes; c++)
		if (c != own)
			best = fmax(best, log_density(&m[c], value));
	return 1 / (1 + exp(best - log_density(&m[own], value)));
}

/* One group's atoms, gathered; scattered back by pick. */
struct gathered {
	double *value;
	int32_t *class_of;
	size_t *pick;
	size_t count;
};

static int classify_gathered(struct gathered *g, int32_t *species_of, double *confidence,
			     int classes, int no_atom, struct pn_error *err)
{
	double mean[PN_SPECIES_MAX];
	struct moments m[PN_SPECIES_MAX];
	int rc = pn_kmeans_1d(g->class_of, mean, g->value, g->count, classes, NULL, err);

	if (rc != PN_OK)
		return rc;
	if (isnan(mean[classes - 1]))
		return pn_error_set(err, PN_EARG, "species: fewer than %d different intensities",
				    classes);
	find_moments(m, g->class_of, g->value, g->count, classes);
	for (size_t i = 0; i < g->count; i++) {
		species_of[g->pick[i]] = g->class_of[i] - (no_atom ? 1 : 0);
		if (confidence)
			confidence[g->pick[i]] =
				confidence_of(m, classes, g->class_of[i], g->value[i]);
	}
	return PN_OK;
}

static void gather(struct gathered *g, const double *intensity, size_t count, const uint8_t *group,
		   int which)
{
	g->count = 0;
	for (size_t i = 0; i < count; i++)
		if (which < 0 || group[i] == which) {
			g->value[g->count] = intensity[i];
			g->pick[g->count++] = i;
		}
}

int pn_species_classify(int32_t *species_of, double *confidence, const double *intensity,
			size_t count, int species, int no_atom, const uint8_t *group,
			struct pn_error *err)
{
	int classes = species + (no_atom ? 1 : 0);

	if (species < 1 || classes > PN_SPECIES_MAX || count < 1)
		return pn_error_set(err, PN_EARG, "species: %zu atoms, %d species (1..%d)", count,
				    species, PN_SPECIES_MAX - 1);
	struct gathered g = { .value = malloc(count * sizeof *g.value),
			      .class_of = malloc(count * sizeof *g.class_of),
			      .pick = malloc(count * sizeof *g.pick) };
	int rc = g.value && g.class_of && g.pick
			 ? PN_OK
			 : pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", count);

	if (rc == PN_OK) {
		gather(&g, intensity, count, group, -1);
		rc = classify_gathered(&g, species_of, confidence, classes, no_atom, err);
	}
	for (int which = 0; rc == PN_OK && group && which < GROUPS; which++) {
		gather(&g, intensity, count, group, which);
		if (g.count < (size_t)(GROUP_PER_CLASS * classes) || g.count == count)
			continue;
		rc = classify_gathered(&g, species_of, confidence, classes, no_atom, NULL);
		/* a group of too few different intensities stays with the classes of all */
		rc = rc == PN_EARG ? PN_OK : rc;
	}
	if (rc == PN_ENOMEM)
		pn_error_set(err, rc, "no memory for %zu atoms", count);
	free(g.value);
	free(g.class_of);
	free(g.pick);
	return rc;
}

/* ---- local re-classification ------------------------------------------------------------------
 */

struct local {
	const float *feature;
	size_t length, count;
	int species, threads;
	struct pn_neighbors near;
	int32_t *now, *next;            /* [count] */
	double *means;                  /* [threads][species][length] */
	double *first, *second, *along; /* [count] squared distances to the two means; see below */
	double least_separation[PN_SPECIES_MAX][PN_SPECIES_MAX]; /* of means that count as two */
};

void pn_species_options_default(struct pn_species_options *options)
{
	*options = (struct pn_species_options){ .radius_A = 6.75,
						.rounds_max = 100,
						.separation_min = 0.5 };
}

static double squared_distance(const float *x, const double *mean, size_t length)
{
	double sum = 0;

	for (size_t k = 0; k < length; k++)
		sum += (x[k] - mean[k]) * (x[k] - mean[k]);
	return sum;
}

/* Means of the species among the neighbours of atom i. @atoms: [out] how many of each. */
static void local_means(const struct local *l, size_t i, double *means,
			size_t atoms[PN_SPECIES_MAX])
{
	memset(atoms, 0, PN_SPECIES_MAX * sizeof *atoms);
	memset(means, 0, (size_t)l->species * l->length * sizeof *means);
	for (uint32_t e = l->near.start[i]; e < l->near.start[i + 1]; e++) {
		size_t j = l->near.atom[e];
		const float *x = l->feature + j * l->length;

		if (l->now[j] < 0)
			continue;
		double *mean = means + (size_t)l->now[j] * l->length;

		atoms[l->now[j]]++;
		for (size_t k = 0; k < l->length; k++)
			mean[k] += x[k];
	}
	for (int s = 0; s < l->species; s++)
		for (size_t k = 0; atoms[s] && k < l->length; k++)
			means[(size_t)s * l->length + k] /= (double)atoms[s];
}

/* |b - a| / (|a| + |b|): how different two means are, whatever the brightness about them. */
static double separation(const double *a, const double *b, size_t length)
{
	double gap = 0, aa = 0, bb = 0;

	for (size_t k = 0; k < length; k++) {
		gap += (b[k] - a[k]) * (b[k] - a[k]);
		aa += a[k] * a[k];
		bb += b[k] * b[k];
	}
	return aa + bb > 0 ? sqrt(gap) / (sqrt(aa) + sqrt(bb)) : 0;
}

/* Separations of the species as they were given, [species][species]. Uses the first means. */
static void whole_separations(struct local *l, double separation_min)
{
	double *means = l->means;
	size_t atoms[PN_SPECIES_MAX] = { 0 }, n = l->length;

	memset(means, 0, (size_t)l->species * n * sizeof *means);
	for (size_t i = 0; i < l->count; i++) {
		if (l->now[i] < 0)
			continue;
		atoms[l->now[i]]++;
		for (size_t k = 0; k < n; k++)
			means[(size_t)l->now[i] * n + k] += l->feature[i * n + k];
	}
	for (int s = 0; s < l->species; s++)
		for (size_t k = 0; atoms[s] && k < n; k++)
			means[(size_t)s * n + k] /= (double)atoms[s];
	for (int a = 0; a < l->species; a++)
		for (int b = 0; b < l->species; b++)
			l->least_separation[a][b] =
				atoms[a] && atoms[b]
					? separation_min * separation(means + (size_t)a * n,
								      means + (size_t)b * n, n)
					: 0;
}

/* The nearest local mean; and how clear that is: squared distances to it and to the next, and the
 * square of how far from it the atom lies along the line between the two. */
static void judge(struct local *l, size_t i, double *means)
{
	size_t atoms[PN_SPECIES_MAX];
	const float *x = l->feature + i * l->length;
	int best = l->now[i], other = -1;
	double least = INFINITY, next = INFINITY;

	l->next[i] = best;
	l->first[i] = l->second[i] = l->along[i] = NAN;
	if (best < 0)
		return;
	local_means(l, i, means, atoms);
	for (int s = 0; s < l->species; s++) {
		if (!atoms[s])
			continue;
		double d = squared_distance(x, means + (size_t)s * l->length, l->length);

		if (d < least) {
			next = least;
			other = least < INFINITY ? best : -1;
			least = d;
			best = s;
		} else if (d < next) {
			next = d;
			other = s;
		}
	}
	if (other < 0)
		return;
	const double *a = means + (size_t)best * l->length, *b = means + (size_t)other * l->length;
	double dot = 0, gap = 0;

	/* two means of one species, cut in two by chance: nothing to be learnt here */
	if (separation(a, b, l->length) < l->least_separation[best][other])
		return;
	for (size_t k = 0; k < l->length; k++) {
		dot += (x[k] - a[k]) * (b[k] - a[k]);
		gap += (b[k] - a[k]) * (b[k] - a[k]);
	}
	l->next[i] = best;
	l->first[i] = least;
	l->second[i] = next;
	l->along[i] = gap > 0 ? dot * dot / gap : 0;
}

static void one_round(struct local *l)
{
	long count = (long)l->count, size = (long)((size_t)l->species * l->length);

#pragma omp parallel num_threads(l->threads)
	{
		double *means = l->means + omp_get_thread_num() * size;

#pragma omp for schedule(static)
		for (long i = 0; i < count; i++)
			judge(l, (size_t)i, means);
	}
}

/* FNV-1a of the species. */
static uint64_t state_hash(const struct local *l)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < l->count; i++)
		h = (h ^ (uint32_t)l->now[i]) * 1099511628211u;
	return h;
}

/* Until no atom changes, a state comes back, or the rounds are used up. */
static int settle(struct local *l, int rounds_max, uint64_t *seen)
{
	int rounds = 0;

	for (;;) {
		int back = 0;

		seen[rounds] = state_hash(l);
		for (int r = 0; r < rounds; r++)
			back |= seen[r] == seen[rounds];
		one_round(l);
		if (back || rounds == rounds_max ||
		    memcmp(l->now, l->next, l->count * sizeof *l->now) == 0)
			return rounds;
		memcpy(l->now, l->next, l->count * sizeof *l->now);
		rounds++;
	}
}

static void hand_confidence(double *confidence, const struct local *l)
{
	double sum = 0, n = 0;

	for (size_t i = 0; i < l->count; i++)
		if (!isnan(l->along[i])) {
			sum += l->along[i];
			n++;
		}
	double variance = n > 0 ? sum / n : 0;

	for (size_t i = 0; i < l->count; i++) {
		double lead = l->second[i] - l->first[i];

		confidence[i] = l->now[i] < 0 ? NAN
				: isnan(lead) || variance == 0
					? 1
					: 1 / (1 + exp(-lead / (2 * variance)));
		/* left in a state that would go on: what it is now is what has less of a claim */
		if (l->now[i] >= 0 && l->next[i] != l->now[i])
			confidence[i] = 1 - confidence[i];
	}
}

static int check_local(const struct local *l, const struct pn_species_options *o,
		       const int32_t *species_of, struct pn_error *err)
{
	if (l->species < 1 || l->species > PN_SPECIES_MAX || l->length < 1 || l->threads < 1 ||
	    !(o->radius_A > 0 && o->radius_A < INFINITY) || o->rounds_max < 1 ||
	    o->rounds_max > 10000 || !(o->separation_min >= 0 && o->separation_min <= 1))
		return pn_error_set(err, PN_EARG,
				    "species: %d of them (1..%d), %zu numbers each, within %g A, "
				    "%d rounds, separation %g, %d threads",
				    l->species, PN_SPECIES_MAX, l->length, o->radius_A,
				    o->rounds_max, o->separation_min, l->threads);
	for (size_t i = 0; i < l->count; i++) {
		if (species_of[i] < PN_SPECIES_NONE || species_of[i] >= l->species)
			return pn_error_set(err, PN_EARG, "species: atom %zu is of species %d",
					    i + 1, (int)species_of[i]);
		for (size_t k = 0; k < l->length; k++)
			if (!isfinite(l->feature[i * l->length + k]))
				return pn_error_set(err, PN_EARG,
						    "species: number %zu of atom %zu is %g", k,
						    i + 1, (double)l->feature[i * l->length + k]);
	}
	return PN_OK;
}

static int local_allocate(struct local *l, struct pn_error *err)
{
	size_t count = l->count + 1;

	l->now = malloc(count * sizeof *l->now);
	l->next = malloc(count * sizeof *l->next);
	l->means = malloc((size_t)l->threads * (size_t)l->species * l->length * sizeof *l->means);
	l->first = malloc(count * sizeof *l->first);
	l->second = malloc(count * sizeof *l->second);
	l->along = malloc(count * sizeof *l->along);
	if (l->now && l->next && l->means && l->first && l->second && l->along)
		return PN_OK;
	return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", l->count);
}

int pn_species_local(int32_t *species_of, double *confidence, int *rounds, const float *feature,
		     size_t length, const double (*position_A)[3], size_t count, int species,
		     const struct pn_species_options *options, int threads, struct pn_error *err)
{
	struct pn_species_options o;
	struct local l = { .feature = feature,
			   .length = length,
			   .count = count,
			   .species = species,
			   .threads = threads };
	struct pn_atoms atoms = { position_A, NULL, count };
	uint64_t *seen = NULL;

	pn_species_options_default(&o);
	if (options)
		o = *options;
	int rc = check_local(&l, &o, species_of, err);

	if (rc != PN_OK || count == 0)
		return rc;
	rc = local_allocate(&l, err);
	seen = malloc(((size_t)o.rounds_max + 1) * sizeof *seen);
	if (rc == PN_OK && !seen)
		rc = pn_error_set(err, PN_ENOMEM, "no memory for %d rounds", o.rounds_max);
	if (rc == PN_OK)
		rc = pn_neighbors_build(&l.near, &atoms, o.radius_A, threads, err);
	if (rc == PN_OK) {
		memcpy(l.now, species_of, count * sizeof *l.now);
		whole_separations(&l, o.separation_min);
		int used = settle(&l, o.rounds_max, seen);

		memcpy(species_of, l.now, count * sizeof *l.now);
		if (confidence)
			hand_confidence(confidence, &l);
		if (rounds)
			*rounds = used;
	}
	pn_neighbors_free(&l.near);
	free(l.now);
	free(l.next);
	free(l.means);
	free(l.first);
	free(l.second);
	free(l.along);
	free(seen);
	return rc;
}

size_t pn_species_outside(int32_t *species_of, const double (*position_A)[3], size_t count,
			  const uint8_t *mask, size_t nz, size_t ny, size_t nx, double pixel_A)
{
	size_t n[3] = { nx, ny, nz }, dropped = 0;

	for (size_t i = 0; i < count; i++) {
		size_t at[3];
		int inside = 1;

		for (int k = 0; k < 3; k++) {
			double x = floor(position_A[i][k] / pixel_A + (double)(n[k] / 2) + 0.5);

			inside &= x >= 0 && x < (double)n[k];
			at[k] = inside ? (size_t)x : 0;
		}
		if (inside && mask[(at[2] * ny + at[1]) * nx + at[0]])
			continue;
		dropped += species_of[i] != PN_SPECIES_NONE;
		species_of[i] = PN_SPECIES_NONE;
	}
	return dropped;
}
