/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "kit.h"
#include "perrin/atoms/analysis.h"
#include "perrin/base/rng.h"
#include "perrin/format/model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct pn_analysis analyze(const struct kit_model *model,
				  const struct pn_analysis_options *options, int threads)
{
	struct pn_atoms atoms = kit_view(model);
	struct pn_error err = { 0 };
	struct pn_analysis a;

	if (pn_analyze(&a, &atoms, options, threads, &err))
		fail_msg("%s", err.text);
	return a;
}

/* A shaken core-shell particle of two species with a few vacancies: nothing in it is special. */
static struct kit_model ordinary(size_t count)
{
	struct kit_model model = kit_solid(PN_SHAPE_TRUNCATED_OCTAHEDRON, count, 3.9, 46);
	struct pn_rng rng;

	pn_rng_init(&rng, 11, 0);
	for (size_t i = 0; i < model.count; i++) {
		const double *p = model.position_A[i];

		if (p[0] * p[0] + p[1] * p[1] + p[2] * p[2] > 80 || pn_rng_uniform(&rng) < 0.2)
			model.element[i] = 78;
	}
	kit_shake(&model, 0.12, 12);
	model.count -= 7;
	return model;
}

/* ---- the perfect solid --------------------------------------------------------------------- */

static void cuboctahedron_has_the_known_numbers(void **state)
{
	struct kit_model solid = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 309, 3.912, 78);
	struct pn_analysis_options options;
	static const uint64_t peeled[] = { 0, 162, 92, 42, 12, 1 };

	(void)state;
	pn_analysis_defaults(&options);
	options.reference_A = 3.912;
	kit_turn(&solid, 3);
	struct pn_analysis a = analyze(&solid, &options, 1);
	const struct pn_figures *f = &a.figures;

	kit_near(f->volume_A3, 3192.973148, 1e-9);
	kit_near(f->area_A2, 1158.689506, 1e-9);
	kit_near(f->sphericity, 0.90499718, 1e-8);
	assert_true(f->surface_atoms_mesh == 162 && f->surface_atoms_cn == 162);
	kit_near(f->q6_mean, 0.5799002, 1e-7);
	kit_near(f->Q6_mean, 0.5758236, 1e-7);
	kit_near(f->gcn_mean, 8.197411, 1e-6);
	kit_near(f->a_A, 3.912, 1e-10);
	kit_near(f->a_x_A, 3.912, 1e-10);
	assert_true(fabs(f->strain_mean) < 1e-12 && fabs(f->strain_sd) < 1e-12);
	assert_true(f->lattice_atoms == 309 && f->disordered_atoms == 0);
	assert_true(f->shells == 5);
	for (size_t k = 0; k <= 5; k++)
		assert_int_equal(a.by_shell.atoms[k], peeled[k]);
	assert_int_equal(a.cn_histogram[12], 147);
	assert_int_equal(a.cn_surface_histogram[12], 0);
	/* between the shells at a/sqrt 2 and a */
	assert_true(fabs(f->first_minimum_A - (M_SQRT1_2 + 1) / 2 * 3.912) < 0.01);
	assert_true(fabs(f->first_peak_A - M_SQRT1_2 * 3.912) < 0.01);
	/* 6 squares of edge 4 d, 8 triangles */
	kit_near(f->area_100_A2, 6 * pow(4 * M_SQRT1_2 * 3.912, 2), 1e-9);
	kit_near(f->area_100_A2 + f->area_111_A2, f->area_A2, 1e-9);
	pn_analysis_free(&a);
	kit_free(&solid);
}

static void scale_scales_the_lattice(void **state)
{
	struct kit_model model = ordinary(1289);
	struct pn_analysis a = analyze(&model, NULL, 1);
	const double by = 1.0375;

	(void)state;
	for (size_t i = 0; i < model.count; i++)
		for (int k = 0; k < 3; k++)
			model.position_A[i][k] *= by;
	struct pn_analysis_options options = a.options;

	options.cutoff_A *= by;
	options.alpha_A *= by;
	struct pn_analysis b = analyze(&model, &options, 1);

	kit_near(b.figures.a_A, by * a.figures.a_A, 1e-10);
	kit_near(b.figures.volume_A3, by * by * by * a.figures.volume_A3, 1e-10);
	kit_near(b.figures.diameter_A, by * a.figures.diameter_A, 1e-10);
	kit_near(b.figures.cn_mean, a.figures.cn_mean, 1e-12);
	kit_near(b.figures.Q6_mean, a.figures.Q6_mean, 1e-10);
	pn_analysis_free(&a);
	pn_analysis_free(&b);
	kit_free(&model);
}

/* ---- invariance ---------------------------------------------------------------------------- */

/* What names the axes of the crystal: which of 24 equal ones they are depends on how it lies. */
static int depends_on_axes(size_t column)
{
	return column == PN_COL_REGION ||
	       (column >= PN_COL_STRAIN_XX && column <= PN_COL_STRAIN_ZX);
}

static int names_an_axis(const struct pn_figure *row)
{
	return row->name[0] == 'a' && row->name[1] == '_' && row->name[3] == '_';
}

static void compare_renumbered(const struct pn_analysis *a, const struct pn_analysis *b,
			       const uint32_t *from)
{
	for (const struct pn_figure *row = pn_analysis_figures; row->name; row++) {
		double u = pn_figure_of(&a->figures, row), v = pn_figure_of(&b->figures, row);

		if (!names_an_axis(row))
			kit_near_at(v, u, 1e-10, row->name, __FILE__, __LINE__);
	}
	assert_int_equal(a->columns, b->columns);
	for (size_t c = 0; c < a->columns; c++)
		for (size_t i = 0; i < a->atoms && !depends_on_axes(c); i++)
			kit_near_at(b->column[c].value[i], a->column[c].value[from[i]], 1e-9,
				    a->column[c].name, __FILE__, __LINE__);
	for (size_t k = 0; k < a->species.count * a->species.count; k++)
		kit_near(b->sro.alpha[k], a->sro.alpha[k], 1e-12);
}

static void nothing_depends_on_place_turn_or_number(void **state)
{
	struct kit_model model = ordinary(1289), other = kit_copy(&model);
	uint32_t *from = malloc(model.count * sizeof *from);

	(void)state;
	assert_non_null(from);
	kit_turn(&other, 21);
	kit_shuffle(&other, 22, from);
	struct pn_analysis a = analyze(&model, NULL, 1), b = analyze(&other, NULL, 1);

	compare_renumbered(&a, &b, from);
	pn_analysis_free(&a);
	pn_analysis_free(&b);
	kit_free(&model);
	kit_free(&other);
	free(from);
}

static void axes_given_make_the_rest_follow(void **state)
{
	static const double identity[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } };
	struct kit_model model = ordinary(586), other = kit_copy(&model);
	uint32_t *from = malloc(model.count * sizeof *from);
	struct pn_analysis_options options;

	(void)state;
	assert_non_null(from);
	pn_analysis_defaults(&options);
	options.rotation = identity;
	kit_shuffle(&other, 23, from);
	struct pn_analysis a = analyze(&model, &options, 1), b = analyze(&other, &options, 1);

	for (size_t i = 0; i < model.count; i++)
		kit_near(b.column[PN_COL_REGION].value[i], a.column[PN_COL_REGION].value[from[i]],
			 0);
	pn_analysis_free(&a);
	pn_analysis_free(&b);
	kit_free(&model);
	kit_free(&other);
	free(from);
}

static void threads_give_the_same_bytes(void **state)
{
	struct kit_model model = ordinary(1289);
	struct pn_analysis a = analyze(&model, NULL, 1), b = analyze(&model, NULL, 2);

	(void)state;
	assert_memory_equal(&a.figures, &b.figures, sizeof a.figures);
	for (size_t c = 0; c < a.columns; c++)
		assert_memory_equal(a.column[c].value, b.column[c].value, a.atoms * sizeof(double));
	assert_memory_equal(a.rdf.g, b.rdf.g, a.rdf.count * sizeof(double));
	pn_analysis_free(&a);
	pn_analysis_free(&b);
	kit_free(&model);
}

/* ---- little or bad input ------------------------------------------------------------------- */

static int analyze_points(double (*position_A)[3], size_t count, double radius_A,
			  struct pn_error *err)
{
	uint8_t element[64];
	struct pn_atoms atoms = { (const double(*)[3])position_A, element, count };
	struct pn_analysis_options options;
	struct pn_analysis a;

	memset(element, 78, sizeof element);
	pn_analysis_defaults(&options);
	options.cutoff_A = options.alpha_A = radius_A;
	int rc = pn_analyze(&a, &atoms, &options, 1, err);

	if (!rc) {
		assert_int_equal(a.atoms, count);
		pn_analysis_free(&a);
	}
	return rc;
}

static void few_atoms_are_no_error(void **state)
{
	double line[9][3], plane[9][3], same[9][3] = { { 0 } };
	struct pn_error err = { 0 };

	(void)state;
	for (int i = 0; i < 9; i++)
		for (int k = 0; k < 3; k++) {
			line[i][k] = 2.77 * i;
			plane[i][k] = k == 0 ? 2.77 * (i % 3) : k == 1 ? 2.77 * (i / 3) : 0;
		}
	for (size_t count = 1; count <= 9; count++) {
		assert_int_equal(analyze_points(line, count, 3.4, &err), PN_OK);
		assert_int_equal(analyze_points(plane, count, 3.4, &err), PN_OK);
		assert_int_equal(analyze_points(same, count, 3.4, &err), PN_OK);
	}
	/* without radii there must be a distance to begin with */
	assert_int_equal(analyze_points(line, 1, 0, &err), PN_EARG);
	assert_non_null(strstr(err.text, "give the cut-off"));
	assert_int_equal(analyze_points(same, 5, 0, &err), PN_EARG);
	assert_int_equal(analyze_points(plane, 9, 0, &err), PN_OK);
}

static void coincident_atoms_are_reported(void **state)
{
	struct kit_model model = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 147, 3.912, 78);

	(void)state;
	memcpy(model.position_A[5], model.position_A[6], sizeof model.position_A[5]);
	model.position_A[70][0] = model.position_A[71][0] + 0.8;
	model.position_A[70][1] = model.position_A[71][1];
	model.position_A[70][2] = model.position_A[71][2];
	struct pn_analysis a = analyze(&model, NULL, 1);

	assert_true(a.figures.duplicates == 2);
	assert_true(a.column[PN_COL_DUPLICATE].value[5] == 1);
	assert_true(a.column[PN_COL_DUPLICATE].value[71] == 1);
	assert_true(a.column[PN_COL_DUPLICATE].value[0] == 0);
	pn_analysis_free(&a);
	kit_free(&model);
}

static void bad_settings_are_told(void **state)
{
	struct kit_model model = kit_solid(PN_SHAPE_CUBOCTAHEDRON, 55, 3.912, 78);
	struct pn_atoms atoms = kit_view(&model);
	struct pn_analysis_options options;
	struct pn_error err = { 0 };
	struct pn_analysis a;

	(void)state;
	pn_analysis_defaults(&options);
	options.r_max_A = 0;
	assert_int_equal(pn_analyze(&a, &atoms, &options, 1, &err), PN_EARG);
	pn_analysis_defaults(&options);
	options.cutoff_A = -1;
	assert_int_equal(pn_analyze(&a, &atoms, &options, 1, &err), PN_EARG);
	pn_analysis_defaults(&options);
	options.sro_shell = 13;
	assert_int_equal(pn_analyze(&a, &atoms, &options, 1, &err), PN_EARG);
	pn_analysis_defaults(&options);
	options.layer_A = 1e-6;
	assert_int_equal(pn_analyze(&a, &atoms, &options, 1, &err), PN_EARG);
	assert_non_null(strstr(err.text, "layers"));
	model.position_A[3][1] = NAN;
	assert_int_equal(pn_analyze(&a, &atoms, NULL, 1, &err), PN_EFORMAT);
	kit_free(&model);
}

/* ---- tables -------------------------------------------------------------------------------- */

static void every_row_has_its_words(void **state)
{
	struct kit_model model = ordinary(201);
	struct pn_analysis a = analyze(&model, NULL, 1);
	size_t figures = 0;

	(void)state;
	assert_int_equal(a.columns, PN_COL_FIXED + 4);
	assert_string_equal(a.column[PN_COL_FIXED].name, "c_Pd");
	assert_string_equal(a.column[PN_COL_FIXED + 3].name, "alpha_Pt");
	for (size_t c = 0; c < a.columns; c++) {
		const struct pn_column *column = &a.column[c];

		assert_true(column->name[0] && column->brief && column->brief[0] && column->unit);
		assert_ptr_equal(pn_analysis_column(&a, column->name), column);
		for (size_t i = 0; column->kind == PN_COLUMN_CLASS && i < a.atoms; i++)
			assert_true(isnan(column->value[i]) ||
				    column->label((int)column->value[i]) != NULL);
	}
	assert_null(pn_analysis_column(&a, "c_Xx"));
	for (const struct pn_figure *row = pn_analysis_figures; row->name; row++)
		figures++;
	assert_int_equal(figures, sizeof(struct pn_figures) / sizeof(double));
	pn_analysis_free(&a);
	kit_free(&model);
}

/* ---- real models --------------------------------------------------------------------------- */

static void published_platinum_crystal(void **state)
{
	const char *path = testkit_data("models/pt_4d/stage1_docked_ATMS.pdb");
	struct pn_model *models;
	struct pn_error err = { 0 };
	struct pn_analysis a;
	size_t frames;

	(void)state;
	if (!path)
		skip();
	if (pn_model_open(&models, &frames, path, &err))
		fail_msg("%s", err.text);
	struct pn_atoms atoms = { (const double(*)[3])models->position_A, models->element,
				  models->count };

	assert_int_equal(pn_analyze(&a, &atoms, NULL, 1, &err), PN_OK);
	assert_true(a.figures.atoms == 314);
	assert_true(a.figures.disordered_atoms == 2);
	assert_true(fabs(a.figures.diameter_A - 19.688) < 0.0005);
	/* paper 004 takes 3.41 A for the first minimum of g(r) */
	assert_true(fabs(a.figures.first_minimum_A - 3.41) < 0.05);
	pn_analysis_free(&a);
	pn_models_free(models, frames);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cuboctahedron_has_the_known_numbers),
		cmocka_unit_test(scale_scales_the_lattice),
		cmocka_unit_test(nothing_depends_on_place_turn_or_number),
		cmocka_unit_test(axes_given_make_the_rest_follow),
		cmocka_unit_test(threads_give_the_same_bytes),
		cmocka_unit_test(few_atoms_are_no_error),
		cmocka_unit_test(coincident_atoms_are_reported),
		cmocka_unit_test(bad_settings_are_told),
		cmocka_unit_test(every_row_has_its_words),
		cmocka_unit_test(published_platinum_crystal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
