/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/lattice.h"

#include "lattice_grow.h"
#include "perrin/math/linear.h"

#include <stdlib.h>

enum { SAMPLE = 256, MIDDLE = 64, ROUNDS_MAX = 100000 };

void pn_lattice_defaults(struct pn_lattice_options *options)
{
	*options = (struct pn_lattice_options){
		.tolerance = 0.25,
		.seeds_max = 8,
		.rounds_max = 100,
		.assign = PN_LATTICE_AFFINE,
		.model = PN_LATTICE_ISOTROPIC,
	};
}

static int check_options(const struct pn_lattice_options *o, struct pn_error *err)
{
	if (!(o->spacing_A >= 0 && o->spacing_A < 1e6) || !(o->tolerance > 0 && o->tolerance < 0.5))
		return pn_error_set(
			err, PN_EARG,
			"lattice: spacing %g A, tolerance %g: must be >= 0, and in 0..0.5",
			o->spacing_A, o->tolerance);
	if (o->seeds_max < 1 || o->rounds_max < 1 || o->rounds_max > ROUNDS_MAX)
		return pn_error_set(err, PN_EARG,
				    "lattice: %d seeds, %d rounds: at least one of each",
				    o->seeds_max, o->rounds_max);
	if ((unsigned)o->assign >= PN_LATTICE_MODELS || (unsigned)o->model >= PN_LATTICE_MODELS)
		return pn_error_set(err, PN_EARG, "lattice: no such model: %d, %d", (int)o->assign,
				    (int)o->model);
	return PN_OK;
}

/* ---- the search ---------------------------------------------------------------------------- */

/* One model's search: what is tried, and the best so far. */
struct search {
	const struct pn_atoms *atoms;
	const struct pn_lattice_options *options;
	struct pn_grow grow;
	uint8_t *used;       /* [atoms] on some lattice, or a seed already */
	int32_t (*best)[3];  /* [atoms] */
	size_t count, left;  /* atoms on the best lattice, and on none so far */
	double rms_A, bonds; /* of the best lattice; neighbours per atom */
	int rounds, converged;
	size_t tried;
};

/* Is a lattice more than what a gas or a glass has by chance (19 atoms with 4.6 neighbours). */
static int believable(size_t count, size_t atoms, double bonds)
{
	return count >= 4 && (count == atoms || (2 * count >= atoms && bonds >= 4) || bonds >= 6);
}

static double rms_of(const struct pn_atoms *atoms, const int32_t (*site)[3], size_t count,
		     const double origin_A[3], const double cell_A[3][3])
{
	double sum = 0;

	for (size_t i = 0; i < atoms->count; i++) {
		if (site[i][0] == INT32_MIN)
			continue;
		for (int k = 0; k < 3; k++) {
			double d = atoms->position_A[i][k] - origin_A[k];

			for (int c = 0; c < 3; c++)
				d -= 0.5 * cell_A[k][c] * site[i][c];
			sum += d * d;
		}
	}
	return sqrt(sum / (double)count);
}

static void try_seed(struct search *s, const struct pn_lattice_seed *seed, uint32_t atom)
{
	struct pn_grow *grow = &s->grow;
	struct pn_lattice_moments m;
	struct pn_lattice_cell cell;

	pn_grow_from(grow, seed, atom);
	s->tried++;
	s->used[atom] = 1;
	s->left = 0;
	for (size_t i = 0; i < s->atoms->count; i++) {
		s->used[i] |= grow->site[i][0] != INT32_MIN;
		s->left += !s->used[i];
	}
	pn_lattice_sum(&m, s->atoms, (const int32_t(*)[3])grow->site, NULL);
	double bonds = grow->count ? (double)grow->bonds / (double)grow->count : 0;

	if (grow->count < s->count || !believable(grow->count, s->atoms->count, bonds) ||
	    pn_lattice_flat(&m) || !pn_lattice_solve(&cell, &m, PN_LATTICE_ISOTROPIC))
		return;
	double rms_A = rms_of(s->atoms, (const int32_t(*)[3])grow->site, grow->count, cell.origin_A,
			      (const double(*)[3])cell.cell_A);

	if (grow->count == s->count && rms_A >= s->rms_A)
		return;
	memcpy(s->best, grow->site, s->atoms->count * sizeof *s->best);
	s->count = grow->count;
	s->rms_A = rms_A;
	s->bonds = bonds;
	s->rounds = grow->rounds;
	s->converged = grow->converged;
}

/* No other lattice can hold more: this one has most of the atoms, or most of those left. */
static int enough(const struct search *s)
{
	return 2 * s->count > s->atoms->count || (s->count && s->count >= s->left);
}

/* Seeds among the atoms nearest to the centroid, those first whose neighbours fit best. */
static void search_middle(struct search *s, const uint32_t *sample, size_t samples,
			  double spacing_A)
{
	struct pn_lattice_seed seed[MIDDLE];
	size_t seeds = samples < MIDDLE ? samples : MIDDLE;
	double cut = PN_LATTICE_SHELL * spacing_A;

	for (size_t i = 0; i < seeds; i++) {
		const double *at = s->atoms->position_A[sample[i]];
		double bond[PN_SEED_BONDS][3];
		int bonds = 0;

		for (size_t j = 0; j < samples && bonds < PN_SEED_BONDS; j++) {
			const double *x = s->atoms->position_A[sample[j]];
			double d2 = 0;

			for (int k = 0; k < 3; k++) {
				bond[bonds][k] = x[k] - at[k];
				d2 += bond[bonds][k] * bond[bonds][k];
			}
			bonds += d2 < cut * cut && d2 > 0.25 * spacing_A * spacing_A;
		}
		if (!pn_lattice_seed_match(&seed[i], (const double(*)[3])bond, bonds, spacing_A,
					   s->options->tolerance))
			seed[i].hits = 0;
	}
	for (int tried = 0; tried < s->options->seeds_max && !enough(s); tried++) {
		size_t best = seeds;

		for (size_t i = 0; i < seeds; i++)
			if (seed[i].hits && !s->used[sample[i]] &&
			    (best == seeds || seed[i].hits > seed[best].hits ||
			     (seed[i].hits == seed[best].hits &&
			      seed[i].misfit < seed[best].misfit)))
				best = i;
		if (best == seeds)
			break;
		try_seed(s, &seed[best], sample[best]);
	}
}

/*
 * How little the neighbours of an atom lie opposite to each other: the six smallest |u + v|^2 over
 * pairs of bonds, each at most 1 in units of the spacing squared; 0 in the bulk of fcc, 3 on {111}.
 */
static double asymmetry(const struct pn_neighbors *n, size_t i, double spacing_A)
{
	double least[6] = { 1, 1, 1, 1, 1, 1 }, sum = 0;

	for (uint32_t a = n->start[i]; a < n->start[i + 1]; a++)
		for (uint32_t b = a + 1; b < n->start[i + 1]; b++) {
			double d2 = 0;
			int at = 5;

			for (int k = 0; k < 3; k++) {
				double d = (n->bond_A[a][k] + n->bond_A[b][k]) / spacing_A;

				d2 += d * d;
			}
			if (!(d2 < least[5]))
				continue;
			for (; at > 0 && least[at - 1] > d2; at--)
				least[at] = least[at - 1];
			least[at] = d2;
		}
	for (int k = 0; k < 6; k++)
		sum += least[k];
	return sum;
}

/* Seeds all over the model, the best ordered first. */
static int search_everywhere(struct search *s, double spacing_A, struct pn_error *err)
{
	size_t atoms = s->atoms->count;
	struct pn_neighbors n = { 0 };
	double *order = malloc(atoms * sizeof *order);
	int rc = pn_neighbors_build(&n, s->atoms, PN_LATTICE_SHELL * spacing_A, s->grow.threads,
				    err);

	if (rc == PN_OK && !order)
		rc = pn_error_set(err, PN_ENOMEM, "lattice: no memory for %zu atoms", atoms);
	if (rc == PN_OK) {
#pragma omp parallel for num_threads(s->grow.threads) schedule(static)
		for (size_t i = 0; i < atoms; i++)
			order[i] = asymmetry(&n, i, spacing_A);
	}
	for (int tried = 0; rc == PN_OK && tried < s->options->seeds_max && !enough(s); tried++) {
		struct pn_lattice_seed seed;
		size_t best = atoms;

		for (size_t i = 0; i < atoms; i++)
			if (!s->used[i] && (best == atoms || order[i] < order[best]))
				best = i;
		if (best == atoms)
			break;
		uint32_t bonds = pn_neighbors_count(&n, best);

		s->used[best] = 1;
		if (pn_lattice_seed_match(&seed, (const double(*)[3])(n.bond_A + n.start[best]),
					  bonds < PN_SEED_BONDS ? (int)bonds : PN_SEED_BONDS,
					  spacing_A, s->options->tolerance))
			try_seed(s, &seed, (uint32_t)best);
	}
	free(order);
	pn_neighbors_free(&n);
	return rc;
}

/* ---- the result ---------------------------------------------------------------------------- */

/*
 * Of the 24 equivalent rotations the one nearest to the identity. Against a frame a little off the
 * axes, so that orientations half-way between two of them do not depend on rounding.
 */
static void choose_axes(struct search *s, const double rotation[3][3])
{
	static const double frame[3][3] = { { 1, -3e-7, 2e-7 },
					    { 3e-7, 1, -1e-7 },
					    { -2e-7, 1e-7, 1 } };
	int8_t cube[24][3][3];
	double most = -INFINITY;
	int best = 0;

	pn_octahedral(cube);
	for (int g = 0; g < 24; g++) {
		double trace = 0;

		for (int r = 0; r < 3; r++)
			for (int c = 0; c < 3; c++)
				for (int k = 0; k < 3; k++)
					trace += frame[r][c] * rotation[r][k] * cube[g][k][c];
		if (trace > most) {
			most = trace;
			best = g;
		}
	}
	for (size_t i = 0; i < s->atoms->count; i++) {
		int32_t old[3];

		if (s->best[i][0] == INT32_MIN)
			continue;
		memcpy(old, s->best[i], sizeof old);
		for (int c = 0; c < 3; c++)
			s->best[i][c] = cube[best][0][c] * old[0] + cube[best][1][c] * old[1] +
					cube[best][2][c] * old[2];
	}
}

/* Move site (0, 0, 0) next to the centroid, again a little off, against ties. */
static void choose_origin(struct search *s)
{
	static const double aside[3] = { 3e-6, 2e-6, 1e-6 };
	double mean[3] = { 0 };
	int32_t shift[3];

	for (size_t i = 0; i < s->atoms->count; i++)
		for (int k = 0; k < 3 && s->best[i][0] != INT32_MIN; k++)
			mean[k] += s->best[i][k];
	for (int k = 0; k < 3; k++)
		mean[k] = mean[k] / (double)s->count + aside[k];
	if (!pn_site_nearest(shift, mean))
		return;
	for (size_t i = 0; i < s->atoms->count; i++)
		for (int k = 0; k < 3 && s->best[i][0] != INT32_MIN; k++)
			s->best[i][k] -= shift[k];
}

static void fill_nan(double *value, size_t count)
{
	for (size_t i = 0; i < count; i++)
		value[i] = NAN;
}

static void clear_result(struct pn_lattice *lattice)
{
	fill_nan(&lattice->origin_A[0][0], PN_LATTICE_MODELS * 3);
	fill_nan(&lattice->cell_A[0][0][0], PN_LATTICE_MODELS * 9);
	fill_nan(lattice->rms_A, PN_LATTICE_MODELS);
	fill_nan(&lattice->rotation[0][0], 9);
	fill_nan(&lattice->axes_rotation[0][0], 9);
	fill_nan(lattice->axes_A, 3);
	lattice->a_A = lattice->a_sd_A = NAN;
	fill_nan(&lattice->displacement_A[0][0], 3 * lattice->atoms);
	for (size_t i = 0; i < lattice->atoms; i++)
		lattice->site[i][0] = lattice->site[i][1] = lattice->site[i][2] = INT32_MIN;
}

/* The three models on the final assignment. */
static void fill_result(struct pn_lattice *lattice, struct search *s)
{
	struct pn_lattice_moments m;
	struct pn_lattice_cell cell;
	const int32_t(*site)[3] = (const int32_t(*)[3])s->best;

	pn_lattice_sum(&m, s->atoms, site, NULL);
	pn_lattice_solve(&cell, &m, PN_LATTICE_ISOTROPIC);
	choose_axes(s, (const double(*)[3])cell.rotation);
	choose_origin(s);
	pn_lattice_sum(&m, s->atoms, site, NULL);
	for (int model = 0; model < PN_LATTICE_MODELS; model++) {
		if (!pn_lattice_solve(&cell, &m, (enum pn_lattice_model)model))
			continue;
		memcpy(lattice->origin_A[model], cell.origin_A, sizeof cell.origin_A);
		memcpy(lattice->cell_A[model], cell.cell_A, sizeof cell.cell_A);
		lattice->rms_A[model] = rms_of(s->atoms, site, s->count, cell.origin_A,
					       (const double(*)[3])cell.cell_A);
		if (model == PN_LATTICE_ISOTROPIC) {
			lattice->a_A = cell.axes_A[0];
			memcpy(lattice->rotation, cell.rotation, sizeof cell.rotation);
		}
		if (model == PN_LATTICE_AXES) {
			memcpy(lattice->axes_A, cell.axes_A, sizeof cell.axes_A);
			memcpy(lattice->axes_rotation, cell.rotation, sizeof cell.rotation);
		}
	}
	double n = (double)s->count, rms_A = lattice->rms_A[PN_LATTICE_ISOTROPIC];

	if (s->count > 2)
		lattice->a_sd_A = sqrt(rms_A * rms_A * n / (3 * n - 7) /
				       (m.ss[0][0] + m.ss[1][1] + m.ss[2][2]));
	memcpy(lattice->site, s->best, s->atoms->count * sizeof *s->best);
	for (size_t i = 0; i < s->atoms->count; i++) {
		double at[3];

		if (!pn_lattice_is_on(lattice, i))
			continue;
		pn_lattice_position(at, lattice, lattice->model, site[i]);
		for (int k = 0; k < 3; k++)
			lattice->displacement_A[i][k] = s->atoms->position_A[i][k] - at[k];
	}
	lattice->on_lattice = s->count;
	lattice->neighbors = s->bonds;
	lattice->rounds = s->rounds;
	lattice->converged = s->converged;
}

/* ---- public -------------------------------------------------------------------------------- */

static int run_search(struct pn_lattice *lattice, struct search *s, struct pn_error *err)
{
	uint32_t sample[SAMPLE];
	double center_A[3], spacing_A = s->options->spacing_A;

	pn_lattice_centroid(center_A, s->atoms);
	size_t samples = pn_lattice_sample(sample, SAMPLE, s->atoms, center_A);

	if (!(spacing_A > 0))
		spacing_A = pn_lattice_spacing(s->atoms, sample, samples);
	lattice->spacing_A = spacing_A;
	if (!(spacing_A > 0))
		return PN_OK;
	search_middle(s, sample, samples, spacing_A);
	int rc = enough(s) ? PN_OK : search_everywhere(s, spacing_A, err);

	lattice->seeds = s->tried;
	if (rc == PN_OK && s->count)
		fill_result(lattice, s);
	return rc;
}

int pn_lattice_fit(struct pn_lattice *lattice, const struct pn_atoms *atoms,
		   const struct pn_lattice_options *options, int threads, struct pn_error *err)
{
	struct pn_lattice_options defaults;
	struct search s = { .atoms = atoms };

	pn_lattice_defaults(&defaults);
	s.options = options ? options : &defaults;
	*lattice = (struct pn_lattice){ .atoms = atoms->count, .model = s.options->model };
	int rc = check_options(s.options, err);

	if (rc != PN_OK)
		return rc;
	lattice->site = malloc((atoms->count + 1) * sizeof *lattice->site);
	lattice->displacement_A = malloc((atoms->count + 1) * sizeof *lattice->displacement_A);
	s.used = calloc(atoms->count + 1, 1);
	s.best = malloc((atoms->count + 1) * sizeof *s.best);
	if (!lattice->site || !lattice->displacement_A || !s.used || !s.best) {
		rc = pn_error_set(err, PN_ENOMEM, "lattice: no memory for %zu atoms", atoms->count);
	} else {
		clear_result(lattice);
		rc = atoms->count < 4 ? PN_OK
				      : pn_grow_init(&s.grow, atoms, s.options, threads, err);
		if (rc == PN_OK && atoms->count >= 4)
			rc = run_search(lattice, &s, err);
	}
	pn_grow_free(&s.grow);
	free(s.used);
	free(s.best);
	return rc;
}

void pn_lattice_free(struct pn_lattice *lattice)
{
	free(lattice->site);
	free(lattice->displacement_A);
	*lattice = (struct pn_lattice){ 0 };
}

void pn_lattice_position(double out_A[3], const struct pn_lattice *lattice,
			 enum pn_lattice_model model, const int32_t site[3])
{
	for (int k = 0; k < 3; k++) {
		out_A[k] = lattice->origin_A[model][k];
		for (int c = 0; c < 3; c++)
			out_A[k] += 0.5 * lattice->cell_A[model][k][c] * site[c];
	}
}
