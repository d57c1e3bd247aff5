/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A CIF, read again by the letter of what was promised, gives the model back. */
#include "perrin/format/cif.h"

#include "model_kit.h"
#include "perrin/base/element.h"
#include "perrin/base/rng.h"

#include <unistd.h>

/* What a strict reader finds: cell, fractions, and that every line is what it has to be. */
struct cif {
	double cell[6]; /* a b c, A; alpha beta gamma, degrees */
	size_t atoms;
	struct {
		int element;
		double place[3], occupancy;
	} atom[512];
};

/* the next line has to be this */
static char *expect(char *p, const char *line)
{
	size_t n = strlen(line);

	if (strncmp(p, line, n) || p[n] != '\n')
		fail_msg("want \"%s\", found \"%.60s\"", line, p);
	return p + n + 1;
}

static char *number(char *p, double *value)
{
	char *end;

	*value = strtod(p, &end);
	assert_ptr_not_equal(end, p);
	assert_true(isfinite(*value));
	return end;
}

static char *read_atom(char *p, struct cif *cif)
{
	size_t i = cif->atoms++;
	char want[16], label[16], symbol[4];
	int n = 0;

	assert_true(i < PN_COUNT(cif->atom));
	assert_int_equal(sscanf(p, "%15s %3s%n", label, symbol, &n), 2);
	snprintf(want, sizeof want, "%s%zu", symbol, i + 1);
	assert_string_equal(label, want);
	cif->atom[i].element = pn_element_of_symbol(symbol);
	assert_true(cif->atom[i].element > 0);
	p += n;
	for (int k = 0; k < 3; k++)
		p = number(p, &cif->atom[i].place[k]);
	if (strncmp(p, " ?", 2) == 0) {
		cif->atom[i].occupancy = (double)NAN;
		p += 2;
	} else {
		p = number(p, &cif->atom[i].occupancy);
	}
	assert_int_equal(*p, '\n');
	return p + 1;
}

static void read_cif(struct cif *cif, const char *path)
{
	static const char *const names[] = {
		"_cell_length_a ",    "_cell_length_b ",   "_cell_length_c ",
		"_cell_angle_alpha ", "_cell_angle_beta ", "_cell_angle_gamma ",
	};
	static const char *const lines[] = {
		"_space_group_name_H-M_alt 'P 1'",
		"_space_group_IT_number 1",
		"loop_",
		"_space_group_symop_operation_xyz",
		"'x, y, z'",
		"loop_",
		"_atom_site_label",
		"_atom_site_type_symbol",
		"_atom_site_fract_x",
		"_atom_site_fract_y",
		"_atom_site_fract_z",
		"_atom_site_occupancy",
	};
	size_t size;
	char *text = testkit_read(path, &size), *p = expect(text, "data_perrin");

	cif->atoms = 0;
	for (size_t i = 0; i < 6; i++) {
		assert_int_equal(strncmp(p, names[i], strlen(names[i])), 0);
		p = number(p + strlen(names[i]), &cif->cell[i]);
		assert_int_equal(*p++, '\n');
	}
	for (size_t i = 0; i < PN_COUNT(lines); i++)
		p = expect(p, lines[i]);
	while (*p)
		p = read_atom(p, cif);
	assert_int_equal(p - text, size);
	free(text);
}

/* Squared distance of two atoms from lengths and angles alone, by the metric tensor. */
static double distance2(const struct cif *cif, size_t i, size_t j)
{
	const double *c = cif->cell;
	double sum = 0;

	for (int a = 0; a < 3; a++)
		for (int b = 0; b < 3; b++) {
			double angle = a == b ? 0 : c[3 + (3 - a - b)] * M_PI / 180;

			sum += c[a] * c[b] * cos(angle) *
			       (cif->atom[i].place[a] - cif->atom[j].place[a]) *
			       (cif->atom[i].place[b] - cif->atom[j].place[b]);
		}
	return sum;
}

static void same_distances(const struct cif *cif, const struct pn_model *model)
{
	assert_int_equal(cif->atoms, model->count);
	for (size_t i = 0; i < model->count; i++) {
		assert_int_equal(cif->atom[i].element, model->element[i]);
		for (size_t j = 0; j < i; j++) {
			double d2 = 0;

			for (int k = 0; k < 3; k++)
				d2 += pow(model->position_A[i][k] - model->position_A[j][k], 2);
			assert_true(fabs(sqrt(distance2(cif, i, j)) - sqrt(d2)) < 1e-9);
		}
	}
}

static struct pn_model *some_atoms(size_t count)
{
	static const uint8_t elements[] = { 78, 26, 8, 103 };
	struct pn_model *model;
	struct pn_rng rng;

	assert_int_equal(pn_model_create(&model, count, NULL), PN_OK);
	pn_rng_init(&rng, 3, count);
	for (size_t i = 0; i < count; i++) {
		model->element[i] = elements[i % 4];
		for (int k = 0; k < 3; k++)
			model->position_A[i][k] = 40 * pn_rng_uniform(&rng) - 30;
	}
	return model;
}

static void a_box_around_the_atoms(void **state)
{
	(void)state;
	static struct cif cif;
	const char *path = testkit_path(testkit_tempdir(), "box.cif");
	struct pn_error err = { 0 };
	struct pn_model *model = some_atoms(300);

	assert_int_equal(pn_cif_write(path, model, 2.5, &err), PN_OK);
	read_cif(&cif, path);
	same_distances(&cif, model);
	for (int k = 0; k < 3; k++) {
		double low = 1, high = 0;

		assert_true(cif.cell[3 + k] == 90);
		for (size_t i = 0; i < cif.atoms; i++) {
			low = fmin(low, cif.atom[i].place[k]);
			high = fmax(high, cif.atom[i].place[k]);
			assert_true(cif.atom[i].occupancy == 1);
		}
		assert_true(fabs(low * cif.cell[k] - 2.5) < 1e-12);
		assert_true(fabs((1 - high) * cif.cell[k] - 2.5) < 1e-12);
	}
	pn_model_destroy(model);
	/* one atom is the middle of its box */
	model = some_atoms(1);
	assert_int_equal(pn_cif_write(path, model, 4, &err), PN_OK);
	read_cif(&cif, path);
	assert_true(cif.cell[1] == 8 && fabs(cif.atom[0].place[1] - 0.5) < 1e-15);
	pn_model_destroy(model);
}

static void the_cell_of_the_model(void **state)
{
	(void)state;
	/* triclinic, and turned: a is not along x */
	static const double vectors[3][3] = { { 3, 9, -1 }, { -8, 2, 3 }, { 1, 1, 12 } };
	static struct cif cif;
	const char *path = testkit_path(testkit_tempdir(), "cell.cif");
	struct pn_error err = { 0 };
	struct pn_model *model = some_atoms(100);
	struct pn_model_column *occupancy;

	memcpy(model->cell_A, vectors, sizeof vectors);
	model->has_cell = 1;
	assert_int_equal(pn_model_add_column(model, "occupancy", 'R', 1, &occupancy, &err), PN_OK);
	for (size_t i = 0; i < 100; i++)
		occupancy->values[i] = i ? (double)i / 100 : (double)NAN;
	assert_int_equal(pn_cif_write(path, model, -1, &err), PN_OK);
	read_cif(&cif, path);
	same_distances(&cif, model);
	assert_true(fabs(cif.cell[0] - sqrt(91)) < 1e-14);
	assert_true(fabs(cif.cell[5] - acos(-9 / sqrt(91. * 77.)) * 180 / M_PI) < 1e-12);
	assert_true(isnan(cif.atom[0].occupancy));
	for (size_t i = 0; i < 100; i++) {
		assert_true(!i || cif.atom[i].occupancy == (double)i / 100);
		for (int k = 0; k < 3; k++) {
			double x = 0;

			for (int v = 0; v < 3; v++)
				x += cif.atom[i].place[v] * vectors[v][k];
			assert_true(fabs(x - model->position_A[i][k]) < 1e-12);
		}
	}
	pn_model_destroy(model);
}

static void refuses(const struct pn_model *model, double margin_A, const char *words)
{
	const char *path = testkit_path(testkit_tempdir(), "no.cif");
	struct pn_error err = { 0 };

	if (pn_cif_write(path, model, margin_A, &err) != PN_EARG || !strstr(err.text, words))
		fail_msg("\"%s\", want \"%s\"", err.text, words);
	assert_int_equal(access(path, F_OK), -1);
}

static void what_has_no_cell(void **state)
{
	(void)state;
	struct pn_model *model = some_atoms(0);

	refuses(model, 1, "without atoms");
	pn_model_destroy(model);
	model = some_atoms(1);
	refuses(model, 0, "flat along x");
	refuses(model, -1, "margin of -1");
	refuses(model, (double)NAN, "margin of");
	pn_model_destroy(model);
	model = some_atoms(3);
	for (int i = 0; i < 3; i++)
		model->position_A[i][1] = 7;
	refuses(model, 0, "flat along y");
	model->has_cell = 1;
	refuses(model, 1, "volume of 0");
	model->cell_A[0][0] = model->cell_A[2][2] = 5;
	model->cell_A[1][1] = -5;
	refuses(model, 1, "left-handed");
	model->cell_A[1][1] = (double)INFINITY;
	refuses(model, 1, "component 5 of the cell is inf");
	model->cell_A[1][1] = 5;
	model->element[2] = 104;
	refuses(model, 1, "atom 3: no element has the number 104");
	model->element[2] = 0;
	refuses(model, 1, "atom 3: no element has the number 0");
	model->element[2] = 1;
	model->position_A[1][2] = (double)NAN;
	refuses(model, 1, "atom 2 is at");
	pn_model_destroy(model);
}

static void a_full_disk_is_told(void **state)
{
	(void)state;
	struct pn_error err = { 0 };
	struct pn_model *model = some_atoms(1000);

	assert_int_equal(pn_cif_write("/dev/full", model, 1, &err), PN_ENOSPC);
	assert_int_equal(pn_cif_write("/dev/null", model, 1, &err), PN_OK);
	assert_int_equal(pn_cif_write(testkit_path(testkit_tempdir(), "no/a.cif"), model, 1, &err),
			 PN_ENOENT);
	model->count = 1;
	assert_int_equal(pn_cif_write("/dev/full", model, 1, &err), PN_ENOSPC);
	model->count = 1000;
	pn_model_destroy(model);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_box_around_the_atoms),
		cmocka_unit_test(the_cell_of_the_model),
		cmocka_unit_test(what_has_no_cell),
		cmocka_unit_test(a_full_disk_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
