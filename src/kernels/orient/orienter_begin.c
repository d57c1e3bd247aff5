/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * The first images, against pieces of perfect crystal. Where the particle's middle is in its
 * lattice is not known before: crystals cut about points all over the part of the unit cell that
 * symmetry leaves are tried, and the one that the images show best is kept.
 */
#include "orienter_parts.h"

#include <math.h>
#include <string.h>

#define SURE       10.0 /* log of a likelihood ratio                                   */
#define BEGIN_MOST 8    /* times as many images as the parameter begin tells, at most  */

/* Corners, edges' middles and the middle of the tetrahedron between an atom, an octahedral and a
 * tetrahedral gap and the middle of a bond, in lattice constants: none farther than 0.11 from any
 * point of it. */
static const double centers[][3] = {
	{ 0, 0, 0 },           { 0.5, 0, 0 },           { 0.25, 0.25, 0.25 },
	{ 0.25, 0.25, 0 },     { 0.25, 0, 0 },          { 0.125, 0.125, 0.125 },
	{ 0.125, 0.125, 0 },   { 0.375, 0.125, 0.125 }, { 0.375, 0.125, 0 },
	{ 0.25, 0.25, 0.125 }, { 0.25, 0.125, 0.0625 },
};

int pn_orienter_cut(struct pn_orienter *o, enum pn_start_shape shape, const double center[3],
		    struct pn_error *err)
{
	const struct pn_orienter_start *s = &o->start;
	const size_t bytes = o->edge * o->edge * o->edge * sizeof(float);
	int rc = pn_start_map(o->half[0].map, o->edge, o->pixel_A, s->lattice_A, s->diameter_A,
			      shape, center, s->sigma_A, NULL, err);

	if (!rc)
		memcpy(o->half[1].map, o->half[0].map, bytes);
	return rc;
}

/* Log of the likelihood of an image, whatever its orientation. */
static double evidence(const struct pn_orienter *o)
{
	double top = o->candidate[0].log_likelihood, sum = 0;

	for (size_t i = 0; i < o->candidates; i++)
		sum += exp(o->candidate[i].log_likelihood - top);
	return top + log(sum);
}

/* Of all images kept, each at the tracker's place. */
static double rate(struct pn_orienter *o)
{
	double sum = 0;

	for (size_t i = 0; i < (size_t)o->n.kept; i++) {
		const struct pn_orienter_kept *k = &o->kept[i];
		double shift[2];

		for (int a = 0; a < 2; a++)
			shift[a] = k->hint_px[a] - k->origin_px[a] - (double)(o->edge / 2);
		pn_orienter_look(o, 0, o->images + i * o->edge * o->edge, shift, o->n.last);
		sum += evidence(o);
	}
	return sum;
}

/* What the images show best. */
struct found {
	enum pn_start_shape shape;
	size_t center;
	double top, second; /* log of the likelihood, of it and of the next center's */
};

static int try_shape(struct pn_orienter *o, enum pn_start_shape shape, struct found *found,
		     struct pn_error *err)
{
	for (size_t i = 0; i < sizeof centers / sizeof *centers; i++) {
		int rc = pn_orienter_cut(o, shape, centers[i], err);

		if (!rc) {
			pn_slicer_prepare(o->half[0].slicer, o->half[0].map);
			rc = pn_match_set_map(o->half[0].match, o->half[0].slicer, err);
		}
		if (rc == PN_EARG)
			continue; /* so small that it has no atom */
		if (rc)
			return rc;
		double rated = rate(o);

		if (rated > found->top) {
			/* the same center in another shape is no rival */
			if (i != found->center)
				found->second = found->top;
			*found = (struct found){ shape, i, rated, found->second };
		} else if (i != found->center) {
			found->second = fmax(found->second, rated);
		}
	}
	return PN_OK;
}

int pn_orienter_begun(struct pn_orienter *o, struct pn_error *err)
{
	const uint64_t most = (uint64_t)(o->params.begin * BEGIN_MOST);
	struct found found = { .center = SIZE_MAX, .top = -INFINITY, .second = -INFINITY };
	int rc = try_shape(o, o->start.shape, &found, err);

	if (!rc && o->start.any_shape)
		rc = try_shape(o,
			       o->start.shape == PN_START_SPHERE ? PN_START_OCTAHEDRON
								 : PN_START_SPHERE,
			       &found, err);

	/* wait for more images, as long as they may tell and there is room for them */
	const int wait = found.top - found.second < SURE && 2 * o->n.images <= most &&
			 2 * o->n.images <= (uint64_t)o->params.keep;

	if (!rc)
		rc = pn_orienter_cut(o, found.shape, centers[wait ? 0 : found.center], err);
	if (rc)
		return rc;
	if (wait) {
		o->n.begin_next = 2 * o->n.images;
		return pn_orienter_use_maps(o, err);
	}
	o->n.walk.seen = 0; /* where the particle is begins with the tracker's place again */
	o->n.beginning = 0;
	o->n.since_refresh = 0;
	o->n.map++;
	pn_path_reset(o->path);
	return pn_orienter_use_maps(o, err);
}
