/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/species.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A number and where it stood. */
struct entry {
	double value;
	size_t from;
};

/* Different numbers in ascending order, with running sums of count, value and square about a
 * common offset. */
struct kmeans {
	struct entry *entry;   /* [count] */
	size_t *first;         /* [values + 1] first entry of each different number */
	double *sum, *square;  /* [values + 1] */
	double *cost, *before; /* [values + 1] D(k, .), D(k - 1, .) */
	uint32_t *cut;         /* [classes][values + 1] */
	size_t count, values;
};

static int compare_entry(const void *a, const void *b)
{
	const struct entry *s = a, *t = b;

	if (s->value != t->value)
		return s->value < t->value ? -1 : 1;
	return (s->from > t->from) - (s->from < t->from);
}

static void kmeans_free(struct kmeans *k)
{
	free(k->entry);
	free(k->first);
	free(k->sum);
	free(k->square);
	free(k->cost);
	free(k->before);
	free(k->cut);
}

static int kmeans_allocate(struct kmeans *k, size_t count, int classes, struct pn_error *err)
{
	k->count = count;
	k->entry = malloc(count * sizeof *k->entry);
	k->first = malloc((count + 1) * sizeof *k->first);
	k->sum = malloc((count + 1) * sizeof *k->sum);
	k->square = malloc((count + 1) * sizeof *k->square);
	k->cost = malloc((count + 1) * sizeof *k->cost);
	k->before = malloc((count + 1) * sizeof *k->before);
	k->cut = calloc((size_t)classes * (count + 1), sizeof *k->cut);
	if (k->entry && k->first && k->sum && k->square && k->cost && k->before && k->cut)
		return PN_OK;
	return pn_error_set(err, PN_ENOMEM, "no memory for k-means of %zu numbers", count);
}

static void kmeans_sort(struct kmeans *k, const double *value)
{
	double offset = 0;

	for (size_t i = 0; i < k->count; i++)
		k->entry[i] = (struct entry){ value[i], i };
	qsort(k->entry, k->count, sizeof *k->entry, compare_entry);
	offset = k->entry[k->count / 2].value;
	k->sum[0] = k->square[0] = 0;
	for (size_t i = 0; i < k->count; i++) {
		double x = k->entry[i].value - offset;

		if (i == 0 || k->entry[i].value != k->entry[i - 1].value) {
			size_t v = k->values++;

			k->first[v] = i;
			k->sum[v + 1] = k->sum[v];
			k->square[v + 1] = k->square[v];
		}
		k->sum[k->values] += x;
		k->square[k->values] += x * x;
	}
	k->first[k->values] = k->count;
}

/* Sum of squares of the different numbers i .. j - 1 about their mean. */
static double spread(const struct kmeans *k, size_t i, size_t j)
{
	double n = (double)(k->first[j] - k->first[i]), s = k->sum[j] - k->sum[i];

	return fmax(0, k->square[j] - k->square[i] - s * s / n);
}

/* D of one class more for j = low .. high, the best cut being within from .. to. */
static void one_class_more(struct kmeans *k, uint32_t *cut, size_t low, size_t high, size_t from,
			   size_t to)
{
	size_t j = low + (high - low) / 2, best = from;
	double least = INFINITY;

	for (size_t i = from; i <= to && i < j; i++) {
		double cost = k->before[i] + spread(k, i, j);

		if (cost < least) {
			least = cost;
			best = i;
		}
	}
	k->cost[j] = least;
	cut[j] = (uint32_t)best;
	if (j > low)
		one_class_more(k, cut, low, j - 1, from, best);
	if (j < high)
		one_class_more(k, cut, j + 1, high, best, to);
}

/* Which entries belong to which class, from the last cut back. */
static void trace_back(const struct kmeans *k, int32_t *class_of, double *mean, int classes)
{
	size_t high = k->values;

	for (int c = classes - 1; c >= 0; c--) {
		size_t low = k->cut[(size_t)c * (k->count + 1) + high];
		double sum = 0;

		for (size_t e = k->first[low]; e < k->first[high]; e++) {
			class_of[k->entry[e].from] = c;
			sum += k->entry[e].value;
		}
		mean[c] = sum / (double)(k->first[high] - k->first[low]);
		high = low;
	}
}

int pn_kmeans_1d(int32_t *class_of, double *mean, const double *value, size_t count, int classes,
		 double *within, struct pn_error *err)
{
	struct kmeans k = { 0 };

	if (classes < 1 || classes > PN_SPECIES_MAX || count < 1 || count >= UINT32_MAX)
		return pn_error_set(err, PN_EARG, "k-means: %zu numbers in %d classes (1..%d)",
				    count, classes, PN_SPECIES_MAX);
	for (size_t i = 0; i < count; i++)
		if (!isfinite(value[i]))
			return pn_error_set(err, PN_EARG, "k-means: number %zu is %g", i, value[i]);
	int rc = kmeans_allocate(&k, count, classes, err);

	if (rc == PN_OK) {
		kmeans_sort(&k, value);
		int used = (size_t)classes < k.values ? classes : (int)k.values;

		k.cost[0] = INFINITY; /* no class is empty */
		for (size_t j = 1; j <= k.values; j++)
			k.cost[j] = spread(&k, 0, j);
		for (int c = 1; c < used; c++) {
			double *swap = k.before;

			k.before = k.cost;
			k.cost = swap;
			for (size_t j = 0; j <= (size_t)c; j++)
				k.cost[j] = INFINITY;
			one_class_more(&k, k.cut + (size_t)c * (count + 1), (size_t)c + 1, k.values,
				       (size_t)c, k.values - 1);
		}
		trace_back(&k, class_of, mean, used);
		for (int c = used; c < classes; c++)
			mean[c] = NAN;
		if (within)
			*within = k.cost[k.values];
	}
	kmeans_free(&k);
	return rc;
}
