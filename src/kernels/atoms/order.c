/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/atoms/order.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/*
 * The working form of q_lm: real harmonics with Racah's normalisation, one row per atom. The sum of
 * the squares of a row's part is then q_l^2, and the product of two parts is s6 but for the norms.
 */
enum {
	AT6 = 0,
	COUNT6 = 13,
	AT4 = 13,
	COUNT4 = 9,
	SUMS = 22,
	INVERSE_NORM6 = 22,
	HAS_Q = 23,
	ROW = 24
};
enum { LANES = 8 };

static const double coincident_A = 1e-6;

/* The symbols (l l l; a b -a-b) for a >= b >= 0: with their symmetries, all of them. */
static const double wigner4[5][3] = {
	{ 0.13409704688030227304 },
	{ -0.06704852344015113652, 0.14135069854804391265 },
	{ -0.08194819531574026872, -0.06232979933389714428, 0.18698939800169142589 },
	{ 0.15644655469368595746, -0.16490914830605121755 },
	{ 0.10429770312912398089 },
};
static const double wigner6[7][4] = {
	{ -0.09305950021129075211 },
	{ 0.04652975010564537606, -0.09535761169699032147 },
	{ 0.05118272511620991505, 0.04523208677946051470, -0.10445902991252016545 },
	{ -0.10003896272713755367, 0.06881842847817146169, 0.04082969001312929808,
	  -0.14143819512005506578 },
	{ 0.01861190004225814904, -0.10607864634004129933, 0.12911481660011878136 },
	{ 0.12795681279052478763, -0.09575411075314348153 },
	{ 0.05118272511620991505 },
};

static inline double wigner(int l, int a, int b)
{
	return l == 4 ? wigner4[a][b] : wigner6[a][b];
}

double pn_order_wigner3j(int l, int m1, int m2)
{
	int m[3] = { abs(m1), abs(m2), 0 };

	if (l != 4 && l != 6)
		return NAN;
	if (m[0] > l || m[1] > l || abs(m1 + m2) > l)
		return 0;
	m[2] = abs(m1 + m2);
	/* the largest is the sum of the two others; neither order nor the common sign matters */
	for (int i = 0; i < 2; i++)
		for (int k = 0; k < 2; k++)
			if (m[k] < m[k + 1]) {
				int swap = m[k];

				m[k] = m[k + 1];
				m[k + 1] = swap;
			}
	return wigner(l, m[1], m[2]);
}

/* Harmonics of (x, y, z) into y[0], y[stride], ...; all 0 for x = y = z = one = 0. */
static inline void harmonics(double *restrict out, size_t stride, double x, double y, double z,
			     double one)
{
	double zz = z * z;
	double c2 = x * x - y * y, s2 = 2 * x * y;
	double c3 = c2 * x - s2 * y, s3 = s2 * x + c2 * y;
	double c4 = c2 * c2 - s2 * s2, s4 = 2 * c2 * s2;
	double c5 = c4 * x - s4 * y, s5 = s4 * x + c4 * y;
	double c6 = c3 * c3 - s3 * s3, s6 = 2 * c3 * s3;
	double p1 = 0.57282196186948000 * z * ((33 * zz - 30) * zz + 5); /* sqrt21 / 8 */
	double p2 = 0.45285552331841995 * ((33 * zz - 18) * zz + 1);     /* sqrt210 / 32 */
	double p3 = 0.90571104663683990 * z * (11 * zz - 3);             /* sqrt210 / 16 */
	double p4 = 0.49607837082461076 * (11 * zz - 1);                 /* 3 sqrt7 / 16 */
	double p5 = 2.32681380862328565 * z;                             /* 3 sqrt154 / 16 */
	double p6 = 0.67169328938139615;                                 /* sqrt462 / 32 */
	double *six = out + AT6 * stride, *four = out + AT4 * stride;

	six[0] = (((231 * zz - 315) * zz + 105) * zz - 5 * one) * 0.0625;
	six[1 * stride] = p1 * x;
	six[2 * stride] = p1 * y;
	six[3 * stride] = p2 * c2;
	six[4 * stride] = p2 * s2;
	six[5 * stride] = p3 * c3;
	six[6 * stride] = p3 * s3;
	six[7 * stride] = p4 * c4;
	six[8 * stride] = p4 * s4;
	six[9 * stride] = p5 * c5;
	six[10 * stride] = p5 * s5;
	six[11 * stride] = p6 * c6;
	six[12 * stride] = p6 * s6;
	p1 = 0.79056941504209483 * z * (7 * zz - 3); /* sqrt10 / 4 */
	p2 = 0.55901699437494742 * (7 * zz - 1);     /* sqrt5 / 4 */
	p3 = 2.09165006633518887 * z;                /* sqrt70 / 4 */
	p4 = 0.73950997288745200;                    /* sqrt35 / 8 */
	four[0] = ((35 * zz - 30) * zz + 3 * one) * 0.125;
	four[1 * stride] = p1 * x;
	four[2 * stride] = p1 * y;
	four[3 * stride] = p2 * c2;
	four[4 * stride] = p2 * s2;
	four[5 * stride] = p3 * c3;
	four[6 * stride] = p3 * s3;
	four[7 * stride] = p4 * c4;
	four[8 * stride] = p4 * s4;
}

void pn_order_harmonics(double c4[9], double c6[13], const double unit[3])
{
	double out[SUMS];

	harmonics(out, 1, unit[0], unit[1], unit[2], 1);
	memcpy(c6, out + AT6, COUNT6 * sizeof *c6);
	memcpy(c4, out + AT4, COUNT4 * sizeof *c4);
}

/* Add the harmonics of up to LANES bonds to a row; returns how many of them have a direction. */
static uint32_t add_bonds(double row[ROW], const double (*bond_A)[3], uint32_t count)
{
	double x[LANES] = { 0 }, y[LANES] = { 0 }, z[LANES] = { 0 }, one[LANES];
	double h[SUMS][LANES];
	uint32_t used = 0;

	for (uint32_t b = 0; b < count; b++) {
		x[b] = bond_A[b][0];
		y[b] = bond_A[b][1];
		z[b] = bond_A[b][2];
	}
	for (int b = 0; b < LANES; b++) {
		double r2 = x[b] * x[b] + y[b] * y[b] + z[b] * z[b];
		int good = r2 >= coincident_A * coincident_A;
		double length = good ? sqrt(r2) : INFINITY;

		one[b] = good ? 1 : 0;
		/* quotients: a bond along an axis becomes exactly 1 */
		x[b] /= length;
		y[b] /= length;
		z[b] /= length;
	}
	for (int b = 0; b < LANES; b++)
		harmonics(&h[0][b], LANES, x[b], y[b], z[b], one[b]);
	for (int k = 0; k < SUMS; k++)
		row[k] += ((h[k][0] + h[k][4]) + (h[k][1] + h[k][5])) +
			  ((h[k][2] + h[k][6]) + (h[k][3] + h[k][7]));
	for (int b = 0; b < LANES; b++)
		used += one[b] != 0;
	return used;
}

static double square(const double *v, int count)
{
	double sum = 0;

	for (int k = 0; k < count; k++)
		sum += v[k] * v[k];
	return sum;
}

static void own_row(double row[ROW], const double (*bond_A)[3], uint32_t count)
{
	uint32_t used = 0;

	memset(row, 0, ROW * sizeof *row);
	for (uint32_t b = 0; b < count; b += LANES)
		used += add_bonds(row, bond_A + b, count - b < LANES ? count - b : LANES);
	if (!used)
		return;
	for (int k = 0; k < SUMS; k++)
		row[k] /= used;
	double norm = sqrt(square(row + AT6, COUNT6));

	row[INVERSE_NORM6] = norm > 0 ? 1 / norm : 0;
	row[HAS_Q] = 1;
}

/*
 * The invariant of third order in Racah's normalisation. Triples (a, b, -a-b) stand for all their
 * permutations and their negatives, whose terms are equal or conjugate.
 */
static double third_order(const double *v, int l)
{
	double re[7], im[7], sum;

	re[0] = v[0];
	im[0] = 0;
	for (int m = 1; m <= l; m++) {
		re[m] = M_SQRT1_2 * v[2 * m - 1];
		im[m] = M_SQRT1_2 * v[2 * m];
	}
	sum = wigner(l, 0, 0) * re[0] * re[0] * re[0];
	for (int b = 0; 2 * b <= l; b++)
		for (int a = b > 0 ? b : 1; a + b <= l; a++) {
			int c = a + b, odd = c % 2, twin = b == 0 || a == b;
			double pr = re[a] * re[b] - im[a] * im[b];
			double pi = re[a] * im[b] + im[a] * re[b];
			double term = wigner(l, a, b) * (pr * re[c] + pi * im[c]);

			sum += (odd ? -1 : 1) * (twin ? 6 : 12) * term;
		}
	return sum;
}

/* q_l, raw and normalised w_l of a row's part. */
static void invariants(const double *v, int l, double *q, double *w, double *w_raw)
{
	double q2 = square(v, 2 * l + 1), third = third_order(v, l);
	double unit = (2 * l + 1) / (4 * M_PI), length = sqrt(q2);

	*q = length;
	*w_raw = unit * sqrt(unit) * third;
	*w = length > 0 ? third / (q2 * length) : NAN;
}

static double dot6(const double *a, const double *b)
{
	double part[4];

	for (int k = 0; k < 4; k++)
		part[k] = a[AT6 + k] * b[AT6 + k];
	for (int k = 4; k < 12; k += 4)
		for (int p = 0; p < 4; p++)
			part[p] += a[AT6 + k + p] * b[AT6 + k + p];
	return ((part[0] + part[1]) + (part[2] + part[3])) + a[AT6 + 12] * b[AT6 + 12];
}

/* Sum of the rows of the neighbours; s6 and the number of crystalline bonds on the way. */
static void visit_bonds(struct pn_order *order, double sum[ROW], const double (*row)[ROW],
			const struct pn_neighbors *neighbors, size_t i, double s6_min)
{
	uint32_t crystalline = 0;

	memset(sum, 0, ROW * sizeof *sum);
	for (uint32_t at = neighbors->start[i]; at < neighbors->start[i + 1]; at++) {
		const double *other = row[neighbors->atom[at]];
		double norms = row[i][INVERSE_NORM6] * other[INVERSE_NORM6];
		double s6 = norms > 0 ? norms * dot6(row[i], other) : NAN;

		for (int k = 0; k < ROW; k++)
			sum[k] += other[k];
		order->s6[at] = s6;
		crystalline += s6 > s6_min;
	}
	order->crystalline_bonds[i] = crystalline;
}

static void own_values(struct pn_order *order, size_t i, const double row[ROW])
{
	invariants(row + AT4, 4, &order->q4[i], &order->w4[i], &order->w4_raw[i]);
	invariants(row + AT6, 6, &order->q6[i], &order->w6[i], &order->w6_raw[i]);
	if (row[HAS_Q] == 0)
		order->q4[i] = order->q6[i] = order->w4[i] = order->w6[i] = order->w4_raw[i] =
			order->w6_raw[i] = NAN;
}

static void mean_values(struct pn_order *order, size_t i, double sum[ROW], const double row[ROW])
{
	static const double fcc = 0.60542240795745250; /* sqrt(0.190941^2 + 0.574524^2) */
	double others = sum[HAS_Q], all = others + row[HAS_Q];

	/* 0 / 0 is the NaN that is wanted */
	order->Q4_noself[i] = sqrt(square(sum + AT4, COUNT4)) / others;
	order->Q6_noself[i] = sqrt(square(sum + AT6, COUNT6)) / others;
	for (int k = 0; k < SUMS; k++)
		sum[k] = (sum[k] + row[k]) / all;
	invariants(sum + AT4, 4, &order->Q4[i], &order->W4[i], &order->W4_raw[i]);
	invariants(sum + AT6, 6, &order->Q6[i], &order->W6[i], &order->W6_raw[i]);
	order->scaled[i] = sqrt(order->Q4[i] * order->Q4[i] + order->Q6[i] * order->Q6[i]) / fcc;
}

static double distance2(const struct pn_order *order, size_t i, double q4, double q6)
{
	double d4 = order->Q4[i] - q4, d6 = order->Q6[i] - q6;

	return d4 * d4 + d6 * d6;
}

static void classify(struct pn_order *order, size_t i, uint32_t neighbors,
		     const struct pn_order_options *options)
{
	enum pn_order_class found = PN_ORDER_DISORDERED;

	order->crystalline[i] = order->crystalline_bonds[i] > options->crystalline_part * neighbors;
	if (isnan(order->q6[i]))
		found = PN_ORDER_NONE;
	else if (options->surface && options->surface[i])
		found = PN_ORDER_SURFACE;
	else if (neighbors >= options->neighbors_min && order->w6_raw[i] <= options->w6_raw_max)
		found = PN_ORDER_ICOSAHEDRAL;
	else if (order->crystalline[i])
		found = distance2(order, i, PN_ORDER_FCC_Q4, PN_ORDER_FCC_Q6) <=
					distance2(order, i, PN_ORDER_HCP_Q4, PN_ORDER_HCP_Q6)
				? PN_ORDER_FCC
				: PN_ORDER_HCP;
	order->order_class[i] = (uint8_t)found;
}

enum { COLUMNS = 15 };

static void columns(struct pn_order *order, double **list[COLUMNS])
{
	double **all[COLUMNS] = {
		&order->q4,        &order->q6,        &order->w4,     &order->w6,
		&order->w4_raw,    &order->w6_raw,    &order->Q4,     &order->Q6,
		&order->W4,        &order->W6,        &order->W4_raw, &order->W6_raw,
		&order->Q4_noself, &order->Q6_noself, &order->scaled,
	};

	memcpy(list, all, sizeof all);
}

static int allocate(struct pn_order *order, size_t atoms, size_t bonds, struct pn_error *err)
{
	double **column[COLUMNS];
	int missing = 0;

	order->atoms = atoms;
	order->bonds = bonds;
	columns(order, column);
	for (int c = 0; c < COLUMNS; c++) {
		*column[c] = malloc((atoms + 1) * sizeof **column[c]);
		missing |= !*column[c];
	}
	order->s6 = malloc((bonds + 1) * sizeof *order->s6);
	order->crystalline_bonds = malloc((atoms + 1) * sizeof *order->crystalline_bonds);
	order->crystalline = malloc(atoms + 1);
	order->order_class = malloc(atoms + 1);
	if (missing || !order->s6 || !order->crystalline_bonds || !order->crystalline ||
	    !order->order_class)
		return pn_error_set(err, PN_ENOMEM, "bond order of %zu atoms", atoms);
	return PN_OK;
}

void pn_order_free(struct pn_order *order)
{
	double **column[COLUMNS];

	columns(order, column);
	for (int c = 0; c < COLUMNS; c++)
		free(*column[c]);
	free(order->s6);
	free(order->crystalline_bonds);
	free(order->crystalline);
	free(order->order_class);
	*order = (struct pn_order){ 0 };
}

void pn_order_options_default(struct pn_order_options *options)
{
	*options = (struct pn_order_options){ .s6_min = 0.8,
					      .crystalline_part = 0.5,
					      .scaled_min = 0.5,
					      .w6_raw_max = 0.5 * PN_ORDER_ICOSAHEDRON_W6_RAW,
					      .neighbors_min = 12 };
}

static int check(const struct pn_order_options *options, struct pn_error *err)
{
	if (!isfinite(options->s6_min) || !isfinite(options->scaled_min) ||
	    !isfinite(options->w6_raw_max))
		return pn_error_set(err, PN_EARG,
				    "bond order: thresholds s6 %g, scaled %g, raw w6 %g: not all "
				    "are numbers",
				    options->s6_min, options->scaled_min, options->w6_raw_max);
	if (!(options->crystalline_part >= 0 && options->crystalline_part <= 1))
		return pn_error_set(err, PN_EARG,
				    "bond order: crystalline part %g of the bonds is not in 0..1",
				    options->crystalline_part);
	return PN_OK;
}

int pn_order_build(struct pn_order *order, const struct pn_neighbors *neighbors,
		   const struct pn_order_options *options, int threads, struct pn_error *err)
{
	struct pn_order_options standard;
	size_t atoms = neighbors->atoms;

	pn_order_options_default(&standard);
	if (!options)
		options = &standard;
	*order = (struct pn_order){ 0 };
	int code = check(options, err);

	if (!code)
		code = allocate(order, atoms, neighbors->start[atoms], err);
	if (code)
		return code;
	double(*row)[ROW] = aligned_alloc(64, (atoms + 1) * sizeof *row);

	if (!row)
		return pn_error_set(err, PN_ENOMEM, "bond order of %zu atoms", atoms);
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < atoms; i++)
		own_row(row[i], (const double(*)[3])neighbors->bond_A + neighbors->start[i],
			pn_neighbors_count(neighbors, i));
#pragma omp parallel for num_threads(threads) schedule(static)
	for (size_t i = 0; i < atoms; i++) {
		double sum[ROW];

		visit_bonds(order, sum, (const double(*)[ROW])row, neighbors, i, options->s6_min);
		own_values(order, i, row[i]);
		mean_values(order, i, sum, row[i]);
		classify(order, i, pn_neighbors_count(neighbors, i), options);
	}
	free(row);
	for (size_t i = 0; i < atoms; i++) {
		order->crystalline_atoms += order->crystalline[i];
		order->ordered_atoms += order->scaled[i] >= options->scaled_min;
		order->class_atoms[order->order_class[i]]++;
	}
	return PN_OK;
}
