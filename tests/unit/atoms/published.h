/* SPDX-License-Identifier: GPL-3.0-or-later */
/* published.h - reads the published models of the shared reference data, and what belongs to them.
 */
#ifndef PERRIN_TESTS_ATOMS_PUBLISHED_H
#define PERRIN_TESTS_ATOMS_PUBLISHED_H

#include "kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One line of plain XYZ ("Pt x y z") or an ATOM record of PDB; 0 for any other line. */
static inline int published_line(double p[3], const char *line, int pdb)
{
	if (pdb)
		return !strncmp(line, "ATOM", 4) &&
		       sscanf(line + 30, "%8lf%8lf%8lf", &p[0], &p[1], &p[2]) == 3;
	return sscanf(line, "%*s %lf %lf %lf", &p[0], &p[1], &p[2]) == 3;
}

/** published_model - the atoms of a file, all said to be platinum; free with kit_free. */
static inline struct kit_model published_model(const char *path, int pdb)
{
	size_t bytes, lines = 1;
	char *text = testkit_read(path, &bytes), *save = NULL;

	for (size_t i = 0; i < bytes; i++)
		lines += text[i] == '\n';
	struct kit_model m = { malloc((lines + 1) * sizeof *m.position_A), malloc(lines + 1), 0 };

	assert_non_null(m.position_A);
	assert_non_null(m.element);
	memset(m.element, 78, lines + 1);
	char *line = strtok_r(text, "\n", &save);

	/* XYZ begins with a count and a comment */
	for (int at = 0; line; at++, line = strtok_r(NULL, "\n", &save))
		if (pdb || at >= 2)
			m.count += (size_t)published_line(m.position_A[m.count], line, pdb);
	free(text);
	return m;
}

/** published_npy - the @count numbers of a version 1 .npy file of doubles; free with free(). */
static inline double *published_npy(const char *path, size_t count)
{
	size_t bytes;
	char *text = testkit_read(path, &bytes);
	size_t header = 10 + (uint8_t)text[8] + 256 * (size_t)(uint8_t)text[9];
	double *v = malloc(count * sizeof *v);

	assert_non_null(v);
	assert_memory_equal(text, "\x93NUMPY\x01", 7);
	assert_non_null(strstr(text + 10, "'<f8', 'fortran_order': False"));
	assert_int_equal(bytes, header + count * sizeof *v);
	memcpy(v, text + header, count * sizeof *v);
	free(text);
	return v;
}

#endif
