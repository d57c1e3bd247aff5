/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/classes.h"

#include <math.h>
#include <stdlib.h>

/* ---- statistics ---------------------------------------------------------------------------- */

static int first_pass(struct pn_class_stat *stats, const double *values, const int32_t *class_of,
		      size_t atoms, size_t classes, struct pn_error *err)
{
	for (size_t i = 0; i < atoms; i++) {
		int32_t c = class_of ? class_of[i] : 0;

		if (c < 0)
			continue;
		if ((size_t)c >= classes)
			return pn_error_set(err, PN_EARG,
					    "atom %zu is in class %d, there are 0 .. %zu", i + 1, c,
					    classes - 1);
		struct pn_class_stat *s = &stats[c];

		if (isnan(values[i])) {
			s->nan++;
			continue;
		}
		s->min = s->count ? fmin(s->min, values[i]) : values[i];
		s->max = s->count ? fmax(s->max, values[i]) : values[i];
		s->mean += values[i];
		s->count++;
	}
	return PN_OK;
}

int pn_class_stats(struct pn_class_stat *stats, const double *values, const int32_t *class_of,
		   size_t atoms, size_t classes, struct pn_error *err)
{
	if (classes == 0)
		return pn_error_set(err, PN_EARG, "statistics of no classes");
	for (size_t c = 0; c < classes; c++)
		stats[c] = (struct pn_class_stat){ .min = NAN, .max = NAN };
	int rc = first_pass(stats, values, class_of, atoms, classes, err);

	if (rc)
		return rc;
	for (size_t c = 0; c < classes; c++)
		stats[c].mean = stats[c].count ? stats[c].mean / (double)stats[c].count : NAN;
	for (size_t i = 0; i < atoms; i++) {
		int32_t c = class_of ? class_of[i] : 0;

		if (c < 0 || isnan(values[i]))
			continue;
		double d = values[i] - stats[c].mean;

		stats[c].deviation += d * d;
	}
	for (size_t c = 0; c < classes; c++)
		stats[c].deviation =
			stats[c].count > 1 ? sqrt(stats[c].deviation / (double)(stats[c].count - 1))
					   : NAN;
	return PN_OK;
}

size_t pn_class_bins(int32_t *class_of, const double *values, size_t atoms, double first,
		     double width, size_t bins)
{
	size_t outside = 0;

	pn_assert(width > 0 && bins <= INT32_MAX);
	for (size_t i = 0; i < atoms; i++) {
		double k = floor((values[i] - first) / width);

		/* the edges decide, not the rounded quotient */
		if (values[i] < first + k * width)
			k--;
		else if (values[i] >= first + (k + 1) * width)
			k++;
		int inside = k >= 0 && k < (double)bins;

		class_of[i] = inside ? (int32_t)k : -1;
		outside += !inside;
	}
	return outside;
}

/* ---- species and composition ---------------------------------------------------------------- */

struct pn_species pn_species_of(const uint8_t *element, size_t atoms)
{
	struct pn_species species = { 0 };
	uint8_t seen[256] = { 0 };

	for (size_t i = 0; i < atoms; i++)
		seen[element[i]] = 1;
	for (int z = 0; z < 256; z++) {
		species.index[z] = -1;
		if (!seen[z])
			continue;
		pn_assert(z >= 1 && z <= PN_ELEMENT_Z_MAX);
		species.index[z] = (int16_t)species.count;
		species.element[species.count++] = (uint8_t)z;
	}
	return species;
}

static int count_species(struct pn_composition *c, const uint8_t *element, const int32_t *class_of,
			 size_t atoms, struct pn_error *err)
{
	for (size_t i = 0; i < atoms; i++) {
		int32_t k = class_of ? class_of[i] : 0;

		if (k < 0)
			continue;
		if ((size_t)k >= c->classes)
			return pn_error_set(err, PN_EARG,
					    "atom %zu is in class %d, there are 0 .. %zu", i + 1, k,
					    c->classes - 1);
		if (c->species.index[element[i]] < 0)
			return pn_error_set(err, PN_EARG,
					    "atom %zu: element %d is not among the %zu species",
					    i + 1, element[i], c->species.count);
		c->atoms[k]++;
		c->count[(size_t)k * c->species.count + (size_t)c->species.index[element[i]]]++;
	}
	return PN_OK;
}

static void fractions(struct pn_composition *c)
{
	for (size_t k = 0; k < c->classes; k++)
		for (size_t s = 0; s < c->species.count; s++) {
			size_t at = k * c->species.count + s;
			double n = (double)c->atoms[k], f = (double)c->count[at] / n;

			c->fraction[at] = c->atoms[k] ? f : NAN;
			c->deviation[at] = c->atoms[k] ? sqrt(f * (1 - f) / n) : NAN;
		}
}

int pn_composition_by_class(struct pn_composition *composition, const uint8_t *element,
			    const int32_t *class_of, size_t atoms, size_t classes,
			    const struct pn_species *species, struct pn_error *err)
{
	struct pn_composition *c = composition;

	*c = (struct pn_composition){ .classes = classes };
	if (classes == 0)
		return pn_error_set(err, PN_EARG, "composition of no classes");
	c->species = species ? *species : pn_species_of(element, atoms);
	size_t cells = classes * c->species.count;

	c->atoms = calloc(classes, sizeof *c->atoms);
	c->count = calloc(cells + 1, sizeof *c->count);
	c->fraction = calloc(cells + 1, sizeof *c->fraction);
	c->deviation = calloc(cells + 1, sizeof *c->deviation);
	int rc = c->atoms && c->count && c->fraction && c->deviation
			 ? count_species(c, element, class_of, atoms, err)
			 : pn_error_set(err, PN_ENOMEM,
					"no memory for the composition of %zu classes", classes);
	if (!rc)
		fractions(c);
	else
		pn_composition_free(c);
	return rc;
}

void pn_composition_free(struct pn_composition *composition)
{
	free(composition->atoms);
	free(composition->count);
	free(composition->fraction);
	free(composition->deviation);
	*composition = (struct pn_composition){ 0 };
}
