/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/tomo/model_fit.h"

#include "model_kit.h"
#include "perrin/format/stack.h"
#include "perrin/format/xyz.h"
#include "perrin/math/linear.h"
#include "testkit.h"

#include <omp.h>
#include <stdlib.h>

enum { ATOMS = 24, TILTS = 15, SIDE = 48, PIXELS = SIDE * SIDE, COORDS = 3 * ATOMS };

static double truth[ATOMS][3], position[ATOMS][3], sigma_pm[ATOMS][3];
static uint8_t species[ATOMS];
static struct pn_pose pose[TILTS];
static float image[TILTS * PIXELS];
static const struct pn_projections projections = { TILTS, SIDE, SIDE, image, pose };

static struct pn_linear_model cluster(double (*at)[3])
{
	struct pn_linear_model m = {
		.count = ATOMS,
		.position_A = at,
		.species = species,
		.species_count = 2,
		.pixel_A = 0.34,
	};

	kit_ball(truth, species, ATOMS, 5, 2.2, 2, 1);
	kit_tilts(pose, TILTS, 70);
	pn_atom_spot_gauss(&m.spot[0], 200, 25);
	pn_atom_spot_gauss(&m.spot[1], 400, 30);
	return m;
}

/* Three-dimensional random offsets of this length in the root mean square. */
static void displace(double rms_pm, uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 0);
	for (int a = 0; a < ATOMS; a++)
		for (int i = 0; i < 3; i++)
			position[a][i] = truth[a][i] + rms_pm / 100 / sqrt(3) * pn_rng_gauss(&rng);
}

/* After taking out the common shift if asked. */
static double rmsd_pm(const double (*a)[3], const double (*b)[3], size_t count, int shifted)
{
	double mean[3] = { 0 }, sum = 0;

	for (size_t n = 0; n < count; n++)
		for (int i = 0; i < 3; i++)
			mean[i] += shifted * (a[n][i] - b[n][i]) / (double)count;
	for (size_t n = 0; n < count; n++)
		for (int i = 0; i < 3; i++)
			sum += pow(a[n][i] - b[n][i] - mean[i], 2);
	return 100 * sqrt(sum / (double)count);
}

/* Counts on a background of one, by the slow projector. */
static void expose(const struct pn_linear_model *m, uint64_t seed)
{
	struct pn_rng rng;

	pn_rng_init(&rng, seed, 0);
	for (int i = 0; i < TILTS * PIXELS; i++)
		image[i] =
			(float)pn_rng_poisson(&rng, 1 + kit_pixel(m, &pose[i / PIXELS], SIDE, SIDE,
								  i % PIXELS / SIDE, i % SIDE));
}

static void noise_free_positions_are_found(void **state)
{
	struct pn_linear_model m = cluster(truth);
	struct pn_model_fit_params params = { .shape = PN_MODEL_SHAPE_B };
	struct pn_model_fit_result result;

	(void)state;
	for (int i = 0; i < TILTS * PIXELS; i++)
		image[i] = (float)kit_pixel(&m, &pose[i / PIXELS], SIDE, SIDE, i % PIXELS / SIDE,
					    i % SIDE);
	displace(30, 2);
	m.position_A = position;
	/* heights and widths are to be found, too */
	pn_atom_spot_gauss(&m.spot[0], 1, 35);
	pn_atom_spot_gauss(&m.spot[1], 3, 20);
	assert_int_equal(pn_model_fit(&m, &projections, NULL, &params, sigma_pm, &result, NULL),
			 PN_OK);
	assert_true(result.converged && result.clamped == 0);
	assert_true(rmsd_pm((const double(*)[3])position, (const double(*)[3])truth, ATOMS, 0) <
		    0.1);
	assert_true(fabs(m.spot[0].intensity[0] / 200 - 1) < 1e-3);
	assert_true(fabs(m.spot[1].intensity[0] / 400 - 1) < 1e-3);
	assert_true(fabs(pn_b_factor_A2(m.spot[0].variance_A2[0]) - 25) < 0.05);
	assert_true(fabs(pn_b_factor_A2(m.spot[1].variance_A2[0]) - 30) < 0.05);
	assert_true(fabs(result.moved_rms_pm - 30) < 6);
}

/* The Fisher matrix of all coordinates, by differences of the slow projector. */
static void fisher_matrix(double (*fisher)[COORDS], const struct pn_linear_model *model)
{
	static double slope[COORDS];

	memset(fisher, 0, COORDS * sizeof *fisher);
	for (int i = 0; i < TILTS * PIXELS; i++) {
		const struct pn_pose *at = &pose[i / PIXELS];
		long y = i % PIXELS / SIDE, x = i % SIDE;
		double mean = 1 + kit_pixel(model, at, SIDE, SIDE, y, x);

		for (int a = 0; a < ATOMS; a++) {
			struct pn_linear_model one = *model;
			double r[1][3];

			one.count = 1;
			one.position_A = r;
			one.species = &species[a];
			for (int c = 0; c < 3; c++) {
				memcpy(r, truth[a], sizeof r);
				r[0][c] += 1e-4;
				slope[3 * a + c] = kit_pixel(&one, at, SIDE, SIDE, y, x);
				r[0][c] -= 2e-4;
				slope[3 * a + c] -= kit_pixel(&one, at, SIDE, SIDE, y, x);
				slope[3 * a + c] /= 2e-4;
			}
		}
		for (int p = 0; p < COORDS; p++)
			for (int q = 0; q < COORDS; q++)
				fisher[p][q] += slope[p] * slope[q] / mean;
	}
}

static void noise_limits_the_positions(void **state)
{
	static double fisher[COORDS][COORDS];
	struct pn_linear_model m = cluster(truth);
	struct pn_model_fit_params params = { .noise = PN_MODEL_POISSON, .fit_offset = 1 };
	struct pn_model_fit_result result;
	double bound2 = 0, found2 = 0, told2 = 0;

	(void)state;
	fisher_matrix(fisher, &m);
	for (int p = 0; p < COORDS; p++) {
		double unit[COORDS] = { 0 }, column[COORDS];

		unit[p] = 1;
		assert_int_equal(pn_solve_positive(column, &fisher[0][0], unit, COORDS, NULL),
				 PN_OK);
		bound2 += 1e4 * column[p] / ATOMS;
	}
	for (uint64_t run = 0; run < 3; run++) {
		m.position_A = truth;
		expose(&m, 10 + run);
		displace(30, 20 + run);
		m.position_A = position;
		assert_int_equal(
			pn_model_fit(&m, &projections, NULL, &params, sigma_pm, &result, NULL),
			PN_OK);
		assert_true(result.converged);
		found2 += pow(rmsd_pm((const double(*)[3])position, (const double(*)[3])truth,
				      ATOMS, 0),
			      2) /
			  3;
		/* what the noise explains, no more */
		assert_true(fabs(result.chi2 - 1) < 0.03);
	}
	for (int a = 0; a < ATOMS; a++)
		for (int i = 0; i < 3; i++)
			told2 += sigma_pm[a][i] * sigma_pm[a][i] / ATOMS;
	assert_true(found2 < 1.3 * 1.3 * bound2);
	assert_true(found2 > 0.8 * 0.8 * bound2);
	assert_true(told2 < bound2 * 1.03 && told2 > 0.8 * bound2);
}

/* The likelihood by its definition, of the slow model. */
static double deviance(const struct pn_linear_model *m, const struct pn_model_tilt *tilt)
{
	double sum = 0;

	for (int i = 0; i < TILTS * PIXELS; i++) {
		int k = i / PIXELS;
		struct pn_pose p = pose[k];

		p.shift_px[0] += tilt[k].shift_px[0];
		p.shift_px[1] += tilt[k].shift_px[1];
		double mean =
			tilt[k].offset +
			tilt[k].scale * kit_pixel(m, &p, SIDE, SIDE, i % PIXELS / SIDE, i % SIDE);
		sum += mean - (image[i] > 0 ? (double)image[i] * log(mean) : 0);
	}
	return sum;
}

/* At the end the likelihood is flat in every parameter, measured in its uncertainty. */
static double flatness(double *parameter, double step, const struct pn_linear_model *m,
		       const struct pn_model_tilt *tilt)
{
	double at = *parameter, middle = deviance(m, tilt), up, down, slope, bend;

	*parameter = at + step;
	up = deviance(m, tilt);
	*parameter = at - step;
	down = deviance(m, tilt);
	*parameter = at;
	slope = (up - down) / (2 * step);
	bend = (up - 2 * middle + down) / (step * step);
	assert_true(bend > 0);
	return fabs(slope) / sqrt(bend);
}

static void likelihood_is_flat_at_the_end(void **state)
{
	struct pn_linear_model m = cluster(truth);
	struct pn_model_fit_params params = { .noise = PN_MODEL_POISSON,
					      .shape = PN_MODEL_SHAPE_PROFILE,
					      .fit_scale = 1,
					      .fit_offset = 1,
					      .fit_shift = 1 };
	struct pn_model_fit_result result;
	struct pn_model_tilt tilt[TILTS];
	double scale = 0;

	(void)state;
	/* tilts that are off, which the fit has to find */
	for (int k = 0; k < TILTS; k++) {
		tilt[k] = (struct pn_model_tilt){ 1, 0, { 0, 0 } };
		pose[k].shift_px[0] = 0.3 * sin(k);
		pose[k].shift_px[1] = 0.3 * cos(3 * k);
	}
	expose(&m, 40);
	for (int k = 0; k < TILTS; k++)
		pose[k].shift_px[0] = pose[k].shift_px[1] = 0;
	displace(20, 41);
	m.position_A = position;
	assert_int_equal(pn_model_fit(&m, &projections, tilt, &params, sigma_pm, &result, NULL),
			 PN_OK);
	assert_true(result.converged);
	for (int a = 0; a < ATOMS; a += 11)
		for (int i = 0; i < 3; i++)
			assert_true(flatness(&position[a][i], 1e-3, &m, tilt) < 0.1);
	for (int s = 0; s < 2; s++) {
		assert_true(flatness(&m.spot[s].intensity[0], 0.1, &m, tilt) < 0.1);
		assert_true(flatness(&m.spot[s].variance_A2[0], 1e-4, &m, tilt) < 0.1);
	}
	for (int k = 0; k < TILTS; k += 7) {
		assert_true(flatness(&tilt[k].scale, 1e-3, &m, tilt) < 0.1);
		assert_true(flatness(&tilt[k].offset, 1e-3, &m, tilt) < 0.1);
		assert_true(flatness(&tilt[k].shift_px[0], 1e-3, &m, tilt) < 0.1);
		assert_true(flatness(&tilt[k].shift_px[1], 1e-3, &m, tilt) < 0.1);
	}
	for (int k = 0; k < TILTS; k++)
		scale += tilt[k].scale / TILTS;
	assert_true(fabs(scale - 1) < 1e-9);
	/* shifts are found up to that of the whole particle: their differences along the axis */
	for (int k = 1; k < TILTS; k++) {
		double found = tilt[k].shift_px[1] - tilt[0].shift_px[1];

		assert_true(fabs(found - 0.3 * (cos(3 * k) - 1)) < 0.1);
	}
	assert_true(rmsd_pm((const double(*)[3])position, (const double(*)[3])truth, ATOMS, 1) < 8);
}

static void atoms_keep_to_their_leash(void **state)
{
	struct pn_linear_model m = cluster(truth);
	struct pn_model_fit_params params = { .clamp_A = 0.1 };
	struct pn_model_fit_result result;
	double start[ATOMS][3];

	(void)state;
	assert_int_equal(pn_linear_model_project(&m, pose, TILTS, SIDE, SIDE, image, NULL), PN_OK);
	displace(2, 3);
	/* one far off, one empty site, one nowhere to be seen */
	position[4][0] += 0.5;
	species[7] = PN_NO_ATOM;
	position[9][1] = 500;
	memcpy(start, position, sizeof start);
	m.position_A = position;
	assert_int_equal(pn_model_fit(&m, &projections, NULL, &params, sigma_pm, &result, NULL),
			 PN_OK);
	assert_true(result.converged);
	double pull = position[4][0] - start[4][0];
	assert_true(pull < -0.09 && pull > -0.1000001);
	assert_true(result.clamped >= 2);
	assert_memory_equal(position[7], start[7], sizeof start[7]);
	assert_memory_equal(position[9], start[9], sizeof start[9]);
	assert_true(isnan(sigma_pm[7][0]) && isnan(sigma_pm[9][2]) && sigma_pm[4][0] > 0);
}

/* One image says nothing of the depth: it stays, and is told to be unknown. */
static void one_tilt_leaves_the_depth_alone(void **state)
{
	struct pn_linear_model m = cluster(truth);
	struct pn_projections one = { 1, SIDE, SIDE, image, pose };
	struct pn_model_fit_params params = { 0 };
	struct pn_model_fit_result result;
	double start[ATOMS][3];

	(void)state;
	kit_tilts(pose, 1, 0);
	assert_int_equal(pn_linear_model_project(&m, pose, 1, SIDE, SIDE, image, NULL), PN_OK);
	displace(10, 61);
	memcpy(start, position, sizeof start);
	m.position_A = position;
	assert_int_equal(pn_model_fit(&m, &one, NULL, &params, sigma_pm, &result, NULL), PN_OK);
	for (int a = 0; a < ATOMS; a++) {
		assert_true(position[a][2] == start[a][2]);
		assert_true(sigma_pm[a][2] > 1e3 * sigma_pm[a][0]);
	}
	assert_true(result.objective < 1e-3 && result.clamped == 0);
}

static void threads_do_not_matter(void **state)
{
	struct pn_linear_model m = cluster(truth), n;
	struct pn_model_fit_params params = { .noise = PN_MODEL_POISSON,
					      .shape = PN_MODEL_SHAPE_B,
					      .fit_offset = 1,
					      .iterations_max = 6 };
	struct pn_model_fit_result one, two;
	double alone[ATOMS][3];
	int threads = omp_get_max_threads();

	(void)state;
	expose(&m, 50);
	m.position_A = position;
	n = m;
	omp_set_num_threads(1);
	displace(30, 51);
	assert_int_equal(pn_model_fit(&m, &projections, NULL, &params, NULL, &one, NULL), PN_OK);
	memcpy(alone, position, sizeof alone);
	omp_set_num_threads(3);
	displace(30, 51);
	assert_int_equal(pn_model_fit(&n, &projections, NULL, &params, NULL, &two, NULL), PN_OK);
	omp_set_num_threads(threads);
	assert_memory_equal(alone, position, sizeof alone);
	assert_memory_equal(&m.spot, &n.spot, sizeof m.spot);
	assert_true(one.objective == two.objective && !one.converged);
}

static void what_cannot_be_fitted_is_told(void **state)
{
	struct pn_linear_model m = cluster(truth);
	struct pn_model_fit_params params = { .noise = PN_MODEL_POISSON };
	struct pn_model_fit_result result;
	struct pn_error err = { 0 };
	double weight[TILTS] = { 1, -1 };

	(void)state;
	assert_int_equal(pn_linear_model_project(&m, pose, TILTS, SIDE, SIDE, image, NULL), PN_OK);
	image[PIXELS + 5] = -1;
	displace(10, 1);
	m.position_A = position;
	assert_int_equal(pn_model_fit(&m, &projections, NULL, &params, NULL, &result, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "pixel 5 of projection 1"));
	params = (struct pn_model_fit_params){ .weight = weight };
	assert_int_equal(pn_model_fit(&m, &projections, NULL, &params, NULL, &result, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "tilt 1"));
	params = (struct pn_model_fit_params){ .clamp_A = -1 };
	assert_int_equal(pn_model_fit(&m, &projections, NULL, &params, NULL, &result, &err),
			 PN_EARG);
	params = (struct pn_model_fit_params){ .b_min_A2 = 30, .b_max_A2 = 20 };
	assert_int_equal(pn_model_fit(&m, &projections, NULL, &params, NULL, &result, &err),
			 PN_EARG);
	params = (struct pn_model_fit_params){ 0 };
	position[2][1] = INFINITY;
	assert_int_equal(pn_model_fit(&m, &projections, NULL, &params, NULL, &result, &err),
			 PN_EARG);
	memset(species, PN_NO_ATOM, sizeof species);
	position[2][1] = 0;
	assert_int_equal(pn_model_fit(&m, &projections, NULL, &params, NULL, &result, &err),
			 PN_EARG);
	assert_non_null(strstr(err.text, "no atom"));
}

/* Multislice ADF images of amorphous silicon by others, 60 tilts, Poisson counts. */
enum { SI_TILTS = 60, SI_SIDE = 128, SI_ATOMS = 208 };

static float si_image[SI_TILTS][SI_SIDE][SI_SIDE];

/* Stored as [projection][x][y]. */
static void si_counts(const char *name)
{
	static uint8_t one[SI_SIDE][SI_SIDE];
	struct pn_stack *stack;

	assert_int_equal(pn_stack_open(&stack, testkit_data(name), NULL), PN_OK);
	assert_int_equal(pn_stack_info(stack)->count, SI_TILTS);
	assert_int_equal(pn_stack_info(stack)->dtype, PN_U8);
	for (size_t k = 0; k < SI_TILTS; k++) {
		assert_int_equal(pn_stack_read(stack, k, one, NULL), PN_OK);
		for (int x = 0; x < SI_SIDE; x++)
			for (int y = 0; y < SI_SIDE; y++)
				si_image[k][y][x] = one[x][y];
	}
	pn_stack_close(stack);
}

static double si_fit(const char *name, double (*si_truth)[3])
{
	static double at[SI_ATOMS][3];
	static uint8_t kind[SI_ATOMS];
	struct pn_pose si_pose[SI_TILTS];
	struct pn_projections p = { SI_TILTS, SI_SIDE, SI_SIDE, &si_image[0][0][0], si_pose };
	struct pn_linear_model m = { SI_ATOMS, at, kind, 1, .pixel_A = 0.195 };
	struct pn_model_fit_params params = { .noise = PN_MODEL_POISSON,
					      .shape = PN_MODEL_SHAPE_PROFILE,
					      .fit_offset = 1 };
	struct pn_model_fit_result result;
	struct pn_rng rng;

	si_counts(name);
	pn_rng_init(&rng, 3, 0);
	for (int k = 0; k < SI_TILTS; k++)
		pn_pose_tilt(&si_pose[k], 3 * k);
	for (int a = 0; a < SI_ATOMS; a++)
		for (int i = 0; i < 3; i++)
			at[a][i] = si_truth[a][i] + 0.25 / sqrt(3) * pn_rng_gauss(&rng);
	m.spot[0] = (struct pn_atom_spot){ 2, { 1, 0.2 }, { 0.2, 1 } };
	assert_int_equal(pn_model_fit(&m, &p, NULL, &params, NULL, &result, NULL), PN_OK);
	assert_true(result.converged && result.clamped == 0);
	return rmsd_pm((const double(*)[3])at, (const double(*)[3])si_truth, SI_ATOMS, 1);
}

/* Published after tracing a reconstruction: 4.24 pm and 17.31 pm. The bounds of Cramer and Rao are
 * 2.08 pm and 9.40 pm. */
static void silicon_of_others(void **state)
{
	const char *path = testkit_data("sim_aSi208/ground_truth_208.xyz");
	double si_truth[SI_ATOMS][3];
	struct pn_model *model;
	size_t frames;

	(void)state;
	if (!path)
		skip();
	assert_int_equal(pn_xyz_read(&model, &frames, path, NULL), PN_OK);
	assert_int_equal(model->count, SI_ATOMS);
	memcpy(si_truth, model->position_A, sizeof si_truth);
	pn_models_free(model, frames);
	assert_true(si_fit("sim_aSi208/counts_dose1p6e5_u1.npy", si_truth) < 3.2);
	assert_true(si_fit("sim_aSi208/counts_dose1p6e4_u1.npy", si_truth) < 9.8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(noise_free_positions_are_found),
		cmocka_unit_test(noise_limits_the_positions),
		cmocka_unit_test(likelihood_is_flat_at_the_end),
		cmocka_unit_test(atoms_keep_to_their_leash),
		cmocka_unit_test(one_tilt_leaves_the_depth_alone),
		cmocka_unit_test(threads_do_not_matter),
		cmocka_unit_test(what_cannot_be_fitted_is_told),
		cmocka_unit_test(silicon_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
