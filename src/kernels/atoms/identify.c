/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/identify.h"

#include "perrin/atoms/species.h"
#include "perrin/base/element.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the classifications are made from, and their result. */
struct features {
	double *intensity;
	float *feature;
	double (*position_A)[3];
	int32_t *species;
};

static void free_features(struct features *f)
{
	free(f->intensity);
	free(f->feature);
	free(f->position_A);
	free(f->species);
}

static int gather(struct features *f, const struct pn_trace *trace, struct pn_error *err)
{
	size_t room = trace->count + 1;

	f->intensity = malloc(room * sizeof *f->intensity);
	f->feature = malloc(room * sizeof *f->feature);
	f->position_A = malloc(room * sizeof *f->position_A);
	f->species = calloc(room, sizeof *f->species);
	if (!f->intensity || !f->feature || !f->position_A || !f->species)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", trace->count);
	for (size_t i = 0; i < trace->count; i++) {
		f->intensity[i] = trace->atom[i].intensity;
		f->feature[i] = (float)trace->atom[i].intensity;
		memcpy(f->position_A[i], trace->atom[i].position_A, sizeof f->position_A[i]);
	}
	return PN_OK;
}

static int classify(struct pn_identity *identity, struct features *f, size_t count, int elements,
		    double local_A, int threads, struct pn_error *err)
{
	struct pn_species_options options;
	int rc = pn_species_classify(f->species, identity->confidence, f->intensity, count,
				     elements, 0, NULL, err);

	if (rc || !(local_A > 0))
		return rc;
	pn_species_options_default(&options);
	options.radius_A = local_A;
	return pn_species_local(f->species, identity->confidence, &identity->rounds, f->feature, 1,
				(const double(*)[3])f->position_A, count, elements, &options,
				threads, err);
}

int pn_identify(struct pn_identity *identity, const struct pn_trace *trace, const uint8_t *element,
		int elements, double local_A, int threads, struct pn_error *err)
{
	struct features f = { 0 };

	memset(identity, 0, sizeof *identity);
	if (elements < 1 || elements > PN_IDENTIFY_ELEMENTS_MAX)
		return pn_error_set(err, PN_EARG, "%d elements: 1 to %d", elements,
				    PN_IDENTIFY_ELEMENTS_MAX);
	for (int s = 1; s < elements; s++)
		if (element[s] <= element[s - 1])
			return pn_error_set(err, PN_EARG,
					    "elements %d after %d: ascending is needed", element[s],
					    element[s - 1]);
	identity->count = trace->count;
	identity->element = malloc(trace->count + 1);
	identity->confidence = malloc((trace->count + 1) * sizeof *identity->confidence);
	int rc = gather(&f, trace, err);

	if (!rc && (!identity->element || !identity->confidence))
		rc = pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", trace->count);
	for (size_t i = 0; !rc && i < trace->count; i++)
		identity->confidence[i] = 1.0;
	if (!rc && elements > 1 && trace->count)
		rc = classify(identity, &f, trace->count, elements, local_A, threads, err);
	for (size_t i = 0; !rc && i < trace->count; i++) {
		identity->element[i] = element[f.species[i]];
		identity->of[f.species[i]]++;
	}
	free_features(&f);
	return rc;
}

void pn_identity_free(struct pn_identity *identity)
{
	free(identity->element);
	free(identity->confidence);
	memset(identity, 0, sizeof *identity);
}

static int ascending(const void *a, const void *b)
{
	return *(const uint8_t *)a - *(const uint8_t *)b;
}

int pn_elements_parse(uint8_t *element, int *elements, const char *text, struct pn_error *err)
{
	char word[8];

	*elements = 0;
	for (const char *rest = text; rest;
	     rest = strchr(rest, ',') ? strchr(rest, ',') + 1 : NULL) {
		size_t length = strcspn(rest, ",");

		snprintf(word, sizeof word, "%.*s", (int)(length < 7 ? length : 7), rest);
		int z = length < 3 ? pn_element_of_symbol(word) : 0;

		if (!z)
			return pn_error_set(err, PN_EARG, "elements \"%s\": \"%s\" is no element",
					    text, word);
		if (*elements == PN_IDENTIFY_ELEMENTS_MAX)
			return pn_error_set(err, PN_EARG, "elements \"%s\": %d at most", text,
					    PN_IDENTIFY_ELEMENTS_MAX);
		element[(*elements)++] = (uint8_t)z;
	}
	qsort(element, (size_t)*elements, 1, ascending);
	for (int i = 1; i < *elements; i++)
		if (element[i] == element[i - 1])
			return pn_error_set(err, PN_EARG, "elements \"%s\": %s twice", text,
					    pn_element_symbol(element[i]));
	return PN_OK;
}
