/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "lattice_parts.h"

#include "perrin/math/linear.h"

/* ---- the atoms in the middle --------------------------------------------------------------- */

/* The nearest ones so far, in order: insertion sort with a threshold. */
struct nearest {
	uint32_t *atom;
	double *d2;
	size_t count, max;
};

static void nearest_add(struct nearest *n, uint32_t atom, double d2)
{
	size_t at = n->count;

	if (n->count == n->max) {
		if (!(d2 < n->d2[n->max - 1]))
			return;
		at--;
	} else {
		n->count++;
	}
	for (; at > 0 && n->d2[at - 1] > d2; at--) {
		n->d2[at] = n->d2[at - 1];
		n->atom[at] = n->atom[at - 1];
	}
	n->d2[at] = d2;
	n->atom[at] = atom;
}

static double distance2(const double a[3], const double b[3])
{
	double x = a[0] - b[0], y = a[1] - b[1], z = a[2] - b[2];

	return x * x + y * y + z * z;
}

void pn_lattice_centroid(double center_A[3], const struct pn_atoms *atoms)
{
	memset(center_A, 0, 3 * sizeof *center_A);
	for (size_t i = 0; i < atoms->count; i++)
		for (int k = 0; k < 3; k++)
			center_A[k] += atoms->position_A[i][k] / (double)atoms->count;
}

size_t pn_lattice_sample(uint32_t *sample, size_t max, const struct pn_atoms *atoms,
			 const double center_A[3])
{
	enum { MOST = 512 };
	double d2[MOST];
	struct nearest n = { sample, d2, 0, max < MOST ? max : MOST };

	for (size_t i = 0; i < atoms->count; i++)
		nearest_add(&n, (uint32_t)i, distance2(atoms->position_A[i], center_A));
	return n.count;
}

/* ---- spacing ------------------------------------------------------------------------------- */

/* Mean distance of the 6 nearest (or as many as there are), of atoms not at the same place. */
static double mean_of_six(const struct pn_atoms *atoms, const uint32_t *sample, size_t samples,
			  size_t at)
{
	uint32_t atom[6];
	double d2[6], sum = 0;
	struct nearest n = { atom, d2, 0, 6 };

	for (size_t j = 0; j < samples; j++) {
		double d = distance2(atoms->position_A[sample[at]], atoms->position_A[sample[j]]);

		if (j != at && d > 0)
			nearest_add(&n, sample[j], d);
	}
	for (size_t j = 0; j < n.count; j++)
		sum += sqrt(d2[j]);
	return n.count ? sum / (double)n.count : 0;
}

static double median(double *value, size_t count)
{
	for (size_t a = 1; a < count; a++) {
		double key = value[a];
		size_t b = a;

		for (; b > 0 && value[b - 1] > key; b--)
			value[b] = value[b - 1];
		value[b] = key;
	}
	return count ? value[count / 2] : 0;
}

double pn_lattice_spacing(const struct pn_atoms *atoms, const uint32_t *sample, size_t samples)
{
	enum { INNER = 128 };
	double six[INNER];
	size_t inner = samples / 2 + 1 < INNER ? samples / 2 + 1 : INNER, have = 0;

	for (size_t i = 0; i < inner && i < samples; i++) {
		six[have] = mean_of_six(atoms, sample, samples, i);
		have += six[have] > 0;
	}
	/* six of twelve are the nearer ones: where bonds scatter, the mean of the whole first shell
	 * is larger; it is found in a few rounds */
	double spacing = median(six, have);

	for (int round = 0; round < 20 && spacing > 0; round++) {
		double sum = 0, cut = PN_LATTICE_SHELL * spacing, least = 0.5 * spacing;
		size_t pairs = 0;

		for (size_t i = 0; i < inner && i < samples; i++)
			for (size_t j = 0; j < samples; j++) {
				double d2 = distance2(atoms->position_A[sample[i]],
						      atoms->position_A[sample[j]]);

				if (i == j || !(d2 < cut * cut) || d2 < least * least)
					continue;
				sum += sqrt(d2);
				pairs++;
			}
		if (!pairs)
			break;
		double next = sum / (double)pairs;
		int done = fabs(next - spacing) < 1e-6 * spacing;

		spacing = next;
		if (done)
			break;
	}
	return spacing;
}

/* ---- rotation ------------------------------------------------------------------------------ */

int pn_lattice_frame(double frame[3][3], const double a[3], const double b[3])
{
	double na = 0, nb = 0;

	for (int k = 0; k < 3; k++) {
		na += a[k] * a[k];
		nb += b[k] * b[k];
	}
	double n0 = 0, n1 = 0;

	for (int k = 0; k < 3; k++) {
		frame[0][k] = a[k] / sqrt(na) + b[k] / sqrt(nb);
		frame[1][k] = a[k] / sqrt(na) - b[k] / sqrt(nb);
		n0 += frame[0][k] * frame[0][k];
		n1 += frame[1][k] * frame[1][k];
	}
	if (!(n0 > 1e-12 && n1 > 1e-12))
		return 0;
	for (int k = 0; k < 3; k++) {
		frame[0][k] /= sqrt(n0);
		frame[1][k] /= sqrt(n1);
	}
	for (int k = 0; k < 3; k++)
		frame[2][k] = frame[0][(k + 1) % 3] * frame[1][(k + 2) % 3] -
			      frame[0][(k + 2) % 3] * frame[1][(k + 1) % 3];
	return 1;
}

/*
 * How many of the 12 neighbours a rotation finds, each within tolerance of a bond, and the root
 * mean square of those, in units of the spacing. @match: [out] bond of each neighbour, or -1.
 */
static int count_hits(int match[12], double *misfit, const double rotation[3][3],
		      const double (*bond)[3], int bonds, double spacing_A, double tolerance)
{
	double best2[12], sum = 0;
	int hits = 0;

	for (int d = 0; d < 12; d++) {
		best2[d] = tolerance * tolerance;
		match[d] = -1;
	}
	for (int j = 0; j < bonds; j++) {
		double x[3], d2 = 0;
		int32_t site[3];

		/* the spacing is sqrt 2 in units of a/2 */
		for (int k = 0; k < 3; k++)
			x[k] = M_SQRT2 / spacing_A *
			       (rotation[0][k] * bond[j][0] + rotation[1][k] * bond[j][1] +
				rotation[2][k] * bond[j][2]);
		if (!pn_site_nearest(site, x))
			continue;
		for (int k = 0; k < 3; k++)
			d2 += 0.5 * (x[k] - site[k]) * (x[k] - site[k]);
		for (int d = 0; d < 12; d++)
			if (!memcmp(site, pn_lattice_bonds[d], sizeof site) && d2 < best2[d]) {
				best2[d] = d2;
				match[d] = j;
			}
	}
	for (int d = 0; d < 12; d++)
		if (match[d] >= 0) {
			hits++;
			sum += best2[d];
		}
	*misfit = hits ? sqrt(sum / hits) : INFINITY;
	return hits;
}

/* Least squares of rotation and spacing on the bonds that were found. */
static int refine(double rotation[3][3], double *spacing_A, const int match[12],
		  const double (*bond)[3])
{
	double xs[3][3] = { 0 }, sum = 0, square = 0;

	for (int d = 0; d < 12; d++)
		for (int r = 0; r < 3 && match[d] >= 0; r++)
			for (int c = 0; c < 3; c++)
				xs[r][c] += bond[match[d]][r] * pn_lattice_bonds[d][c];
	if (!pn_polar_rotation(rotation, xs))
		return 0;
	for (int d = 0; d < 12; d++)
		square += match[d] >= 0 ? 2 : 0;
	for (int r = 0; r < 3; r++)
		for (int c = 0; c < 3; c++)
			sum += rotation[r][c] * xs[r][c];
	*spacing_A = M_SQRT2 * sum / square;
	return *spacing_A > 0;
}

int pn_lattice_seed_match(struct pn_lattice_seed *seed, const double (*bond_A)[3], int bonds,
			  double spacing_A, double tolerance)
{
	static const double a[3] = { 1, 1, 0 }, b[3] = { 0, 1, 1 };
	double crystal[3][3], found[3][3], rotation[3][3], misfit;
	int match[12];

	seed->hits = 0;
	seed->misfit = INFINITY;
	pn_lattice_frame(crystal, a, b);
	/* two neighbours that touch each other: any such pair is the chosen one, turned by one of
	 * the 24 rotations, in one order or the other */
	for (int i = 0; i < bonds; i++)
		for (int j = 0; j < bonds; j++) {
			double d2 = distance2(bond_A[i], bond_A[j]) / (spacing_A * spacing_A);

			if (i == j || !(d2 > 0.5 && d2 < 1.5) ||
			    !pn_lattice_frame(found, bond_A[i], bond_A[j]))
				continue;
			for (int r = 0; r < 3; r++)
				for (int c = 0; c < 3; c++)
					rotation[r][c] = found[0][r] * crystal[0][c] +
							 found[1][r] * crystal[1][c] +
							 found[2][r] * crystal[2][c];
			int hits = count_hits(match, &misfit, rotation, bond_A, bonds, spacing_A,
					      tolerance);

			if (hits < seed->hits || (hits == seed->hits && misfit >= seed->misfit))
				continue;
			seed->hits = hits;
			seed->misfit = misfit;
			memcpy(seed->rotation, rotation, sizeof rotation);
		}
	seed->spacing_A = spacing_A;
	for (int round = 0; round < 3 && seed->hits >= 3; round++) {
		count_hits(match, &misfit, seed->rotation, bond_A, bonds, seed->spacing_A,
			   tolerance);
		if (!refine(seed->rotation, &seed->spacing_A, match, bond_A))
			break;
		seed->hits = count_hits(match, &seed->misfit, seed->rotation, bond_A, bonds,
					seed->spacing_A, tolerance);
	}
	return seed->hits >= 3;
}
