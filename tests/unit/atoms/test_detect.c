/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Atoms of a platinum particle of 314 atoms in maps of 1.5 A: all of them, no others, in place. */
#include "perrin/atoms/detect.h"

#include "perrin/twin/scattering.h"
#include "trace_kit.h"

enum { N = 96, RADII = 400 };
static const double pixel_A = 0.358, lattice_A = 3.912, reach_A = 7, resolution_A = 1.5;

/*
 * The potential of one atom, 1 at its middle, at RADII distances up to reach_A: cut at 1 / d, as
 * slices within a band are, or falling as a Gaussian to 1/e there.
 */
static void potential(double table[RADII], int sharp)
{
	const double limit = sharp ? 1 / resolution_A : 4 / resolution_A, step = limit / 600;

	for (int i = 0; i < RADII; i++) {
		const double r = reach_A * i / RADII;
		double sum = 0;

		for (int k = 1; k < 600; k++) {
			const double q = k * step, phase = 2 * M_PI * q * r;
			const double fall = sharp ? 1 : exp(-q * q * resolution_A * resolution_A);

			sum += pn_scattering_kirkland(78, q) * exp(-0.6 * q * q / 4) * fall * q *
			       q * (phase > 0 ? sin(phase) / phase : 1);
		}
		table[i] = i ? sum / table[0] : sum;
	}
	table[0] = 1;
}

/* A piece of platinum somewhere near the middle, turned at random, as places in voxels. */
static struct known particle(size_t edge, uint64_t seed)
{
	struct kit_model model = kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, 314, lattice_A, 78);
	struct known k = { .n = { edge, edge, edge },
			   .pixel_A = pixel_A,
			   .at = calloc(model.count + 20, sizeof *k.at),
			   .height = calloc(model.count + 20, sizeof *k.height),
			   .count = model.count,
			   .volume = calloc(edge * edge * edge, sizeof *k.volume) };
	double mean[3] = { 0 };
	static const double off_px[3] = { 5.3, -3.1, 2.2 };

	assert_true(k.at && k.height && k.volume);
	assert_int_equal(k.count, 314);
	kit_turn(&model, seed);
	kit_shake(&model, 0.05, seed);
	for (size_t i = 0; i < k.count; i++)
		for (int a = 0; a < 3; a++)
			mean[a] += model.position_A[i][a] / (double)k.count;
	for (size_t i = 0; i < k.count; i++) {
		k.height[i] = 1;
		for (int a = 0; a < 3; a++)
			k.at[i][a] = (model.position_A[i][a] - mean[a]) / pixel_A +
				     (double)(edge / 2) + off_px[a];
	}
	kit_free(&model);
	return k;
}

static void draw(struct known *k, const double table[RADII])
{
	const long edge = (long)k->n[0], reach = (long)(reach_A / pixel_A);

	for (size_t i = 0; i < k->count; i++) {
		const long at[3] = { lround(k->at[i][0]), lround(k->at[i][1]),
				     lround(k->at[i][2]) };

		for (long z = at[2] - reach; z <= at[2] + reach; z++)
			for (long y = at[1] - reach; y <= at[1] + reach; y++)
				for (long x = at[0] - reach; x <= at[0] + reach; x++) {
					const double dx = (double)x - k->at[i][0],
						     dy = (double)y - k->at[i][1],
						     dz = (double)z - k->at[i][2];
					const double r = sqrt(dx * dx + dy * dy + dz * dz) *
							 pixel_A * RADII / reach_A;

					if (x < 0 || y < 0 || z < 0 || x >= edge || y >= edge ||
					    z >= edge || r >= RADII - 1)
						continue;
					const int j = (int)r;
					const double v =
						table[j] + (r - j) * (table[j + 1] - table[j]);

					k->volume[(z * edge + y) * edge + x] +=
						(float)(k->height[i] * v);
				}
	}
}

static void noise(struct known *k, double sigma, uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 1);
	for (size_t i = 0; i < k->n[0] * k->n[1] * k->n[2]; i++)
		k->volume[i] += (float)(sigma * pn_rng_gauss(&rng));
}

static struct pn_detect_options options_of(void)
{
	struct pn_detect_options o;

	pn_detect_options_default(&o);
	o.factor = pn_scattering_lobato;
	o.z = 78;
	o.resolution_A = resolution_A;
	o.neighbor_A = lattice_A / sqrt(2);
	return o;
}

static struct pn_detect detect(const struct known *k, const struct pn_detect_options *o,
			       int threads)
{
	struct pn_error err = { 0 };
	struct pn_detect d;
	int rc = pn_detect_atoms(&d, k->volume, k->n[2], k->n[1], k->n[0], pixel_A, o, threads,
				 &err);

	if (rc)
		print_message("%s\n", err.text);
	assert_int_equal(rc, PN_OK);
	return d;
}

static struct found compare(const struct known *k, const struct pn_detect *d)
{
	const struct found f = known_compare(k, d->count ? d->atom[0].position_A : NULL,
					     sizeof *d->atom, d->count, 0.8);
	double least = 1;

	for (size_t i = 0; i < d->count; i++)
		least = fmin(least, d->atom[i].pearson);
	print_message("  %zu of %zu, %zu false, %zu twice, rms %.2f pm; %zu not alike, %zu lonely; "
		      "least correlation %.3f\n",
		      f.matched, k->count, f.false_atoms, f.twice, f.rms_pm, d->not_like, d->lonely,
		      least);
	return f;
}

static void all_of_them_and_no_others(void **state)
{
	(void)state;
	double table[RADII];
	const struct pn_detect_options o = options_of();

	for (int sharp = 0; sharp < 2; sharp++) {
		potential(table, sharp);
		for (int noisy = 0; noisy < 2; noisy++) {
			struct known k = particle(N, 7);

			draw(&k, table);
			noise(&k, noisy ? sharp ? 0.3 : 0.25 : 0, 8);
			struct pn_detect d = detect(&k, &o, 2);
			const struct found f = compare(&k, &d);

			assert_true(f.matched >= (noisy ? 311 : 314));
			assert_true(f.false_atoms + f.twice <= (noisy ? 3 : 0));
			assert_true(f.rms_pm < (noisy ? 15 : 3.5));
			pn_detect_free(&d);
			known_free(&k);
		}
	}
}

/* Where an atom more would sit: a site of the lattice outside, next to three or four atoms. */
static size_t hollow_sites(const struct known *k, double (*site)[3], size_t most)
{
	const double near = lattice_A / sqrt(2) / pixel_A;
	size_t count = 0;

	/* the lattice goes on: what is as far from an atom as another one is, on its other side */
	for (size_t i = 0; i < k->count && count < most; i++)
		for (size_t j = 0; j < k->count && count < most; j++) {
			double at[3], apart = 0;
			size_t touching = 0;
			int free_site = 1;

			for (int a = 0; a < 3; a++) {
				at[a] = 2 * k->at[i][a] - k->at[j][a];
				apart += pow(k->at[i][a] - k->at[j][a], 2);
			}
			if (i == j || sqrt(apart) > 1.1 * near)
				continue;
			for (size_t n = 0; n < k->count + count; n++) {
				const double *other = n < k->count ? k->at[n] : site[n - k->count];
				const double d =
					sqrt(pow(at[0] - other[0], 2) + pow(at[1] - other[1], 2) +
					     pow(at[2] - other[2], 2));

				free_site = free_site && d > (n < k->count ? 0.8 : 3) * near;
				touching += n < k->count && d < 1.15 * near;
			}
			if (free_site && touching >= 3)
				memcpy(site[count++], at, sizeof at);
		}
	return count;
}

/* The farthest atoms, corners, are gone; atoms sit alone on facets; peaks of half an atom's height
 * stand about the surface. */
static void atoms_on_the_surface(void **state)
{
	(void)state;
	enum { SOME = 5 };
	const struct pn_detect_options o = options_of();
	double table[RADII], site[SOME][3];
	struct known k = particle(N, 3);

	potential(table, 0);
	for (int gone = 0; gone < SOME; gone++) {
		size_t far = 0;
		double largest = 0;

		for (size_t i = 0; i < k.count; i++) {
			const double d = pow(k.at[i][0] - N / 2 - 5.3, 2) +
					 pow(k.at[i][1] - N / 2 + 3.1, 2) +
					 pow(k.at[i][2] - N / 2 - 2.2, 2);

			far = d > largest ? i : far;
			largest = fmax(largest, d);
		}
		memcpy(k.at[far], k.at[--k.count], sizeof k.at[far]);
	}
	assert_int_equal(hollow_sites(&k, site, SOME), SOME);
	for (int i = 0; i < SOME; i++) {
		k.height[k.count] = 1;
		memcpy(k.at[k.count++], site[i], sizeof site[i]);
	}
	draw(&k, table);

	/* outside, from each of some directions, 2.4 A from the nearest atom */
	struct known blobs = { .n = { N, N, N }, .volume = k.volume, .count = SOME };
	double at[SOME][3], height[SOME];

	blobs.at = at;
	blobs.height = height;
	for (int i = 0; i < SOME; i++) {
		static const double way[SOME][3] = { { 1, 0.1, 0 },
						     { -0.8, 0.6, 0 },
						     { 0.1, -0.7, 0.7 },
						     { 0, 0.2, 1 },
						     { -0.3, -0.4, -0.87 } };

		height[i] = 0.5;
		for (double r = 60; r > 0; r -= 0.1) {
			double least = INFINITY;

			for (int a = 0; a < 3; a++)
				at[i][a] = N / 2 +
					   (a == 0   ? 5.3
					    : a == 1 ? -3.1
						     : 2.2) +
					   r * way[i][a];
			for (size_t n = 0; n < k.count; n++)
				least = fmin(least, sqrt(pow(at[i][0] - k.at[n][0], 2) +
							 pow(at[i][1] - k.at[n][1], 2) +
							 pow(at[i][2] - k.at[n][2], 2)));
			if (least * pixel_A < 2.4)
				break;
		}
	}
	draw(&blobs, table);

	struct pn_detect d = detect(&k, &o, 1);
	const struct found f = compare(&k, &d);

	assert_int_equal(f.matched, 314);
	assert_int_equal(f.false_atoms, 0);
	assert_true(d.lonely >= 4); /* all that were peaks at all */
	pn_detect_free(&d);

	/* without the rule they are atoms */
	struct pn_detect_options all = o;

	all.outer_part = 0;
	all.contact_max = 0;
	d = detect(&k, &all, 1);
	assert_true(compare(&k, &d).false_atoms >= 4);
	pn_detect_free(&d);
	known_free(&k);
}

/* Atoms that noise hides nearly leave no false ones behind; noise that looks like atoms, as it does
 * within the band of a map; and lighter atoms, as low as that, but none of it. */
static void noise_is_told_from_light_atoms(void **state)
{
	(void)state;
	const struct pn_detect_options o = options_of();
	double table[RADII];
	struct known k = particle(N, 11);

	potential(table, 1);
	draw(&k, table);
	noise(&k, 0.5, 12);
	struct pn_detect d = detect(&k, &o, 2);
	struct found f = compare(&k, &d);

	assert_true(f.matched >= 280);
	assert_true(f.false_atoms + f.twice <= 10);
	pn_detect_free(&d);
	known_free(&k);

	/* noise within the band of the map: the template of an atom, of either sign, everywhere */
	enum { GRAINS = 2500 };
	static double grain[GRAINS][3], height[GRAINS];
	struct pn_rng rng;

	k = particle(N, 11);
	struct known grains = { .n = { N, N, N }, .volume = k.volume, .count = GRAINS };

	grains.at = grain;
	grains.height = height;
	pn_rng_init(&rng, 13, 0);
	for (int i = 0; i < GRAINS; i++) {
		height[i] = 0.3 * pn_rng_gauss(&rng);
		for (int a = 0; a < 3; a++)
			grain[i][a] = N / 2 + 45 * (2 * pn_rng_uniform(&rng) - 1);
	}
	draw(&k, table);
	draw(&grains, table);
	d = detect(&k, &o, 2);
	f = compare(&k, &d);
	assert_true(d.not_like > 50);
	assert_true(f.matched >= 311);
	assert_true(f.false_atoms <= 6);
	pn_detect_free(&d);
	known_free(&k);

	k = particle(N, 11);
	for (size_t i = 0; i < k.count; i += 2)
		k.height[i] = 0.4;
	draw(&k, table);
	noise(&k, 0.03, 12);
	d = detect(&k, &o, 2);
	f = compare(&k, &d);
	assert_true(f.matched >= 295); /* light ones at corners have little contact */
	assert_int_equal(f.false_atoms, 0);
	pn_detect_free(&d);
	known_free(&k);
}

static void threads_change_nothing(void **state)
{
	(void)state;
	const struct pn_detect_options o = options_of();
	double table[RADII];
	struct known k = particle(72, 5);

	potential(table, 1);
	draw(&k, table);
	noise(&k, 0.2, 6);
	struct pn_detect one = detect(&k, &o, 1), three = detect(&k, &o, 3);

	assert_int_equal(one.count, three.count);
	assert_memory_equal(one.atom, three.atom, one.count * sizeof *one.atom);
	pn_detect_free(&one);
	pn_detect_free(&three);
	known_free(&k);
}

static void nothing_and_nonsense(void **state)
{
	(void)state;
	struct known k = particle(72, 5);
	struct pn_detect_options o = options_of();
	struct pn_error err = { 0 };
	struct pn_detect d = detect(&k, &o, 1);

	assert_int_equal(d.count, 0);
	pn_detect_free(&d);
	noise(&k, 1, 6); /* nothing but noise: no crash, whatever is found */
	d = detect(&k, &o, 1);
	pn_detect_free(&d);
	o.factor = NULL;
	assert_int_equal(pn_detect_atoms(&d, k.volume, 72, 72, 72, pixel_A, &o, 1, &err), PN_EARG);
	o = options_of();
	o.resolution_A = (double)NAN;
	assert_int_equal(pn_detect_atoms(&d, k.volume, 72, 72, 72, pixel_A, &o, 1, &err), PN_EARG);
	o = options_of();
	o.neighbor_A = 3 * pixel_A;
	assert_int_equal(pn_detect_atoms(&d, k.volume, 72, 72, 72, pixel_A, &o, 1, &err), PN_EARG);
	o = options_of();
	k.volume[100] = (float)NAN;
	assert_int_equal(pn_detect_atoms(&d, k.volume, 72, 72, 72, pixel_A, &o, 1, &err), PN_EARG);
	pn_detect_free(&d);
	known_free(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_of_them_and_no_others),
		cmocka_unit_test(atoms_on_the_surface),
		cmocka_unit_test(noise_is_told_from_light_atoms),
		cmocka_unit_test(threads_change_nothing),
		cmocka_unit_test(nothing_and_nonsense),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
