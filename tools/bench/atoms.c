/* SPDX-License-Identifier: GPL-3.0-or-later */
/* atoms - the kernels of one atomic model on one core, each alone and all together; growth with N.
 */
#include "bench.h"

#include "perrin/atoms/analysis.h"
#include "perrin/atoms/cells.h"
#include "perrin/atoms/csp.h"
#include "perrin/atoms/curvature.h"
#include "perrin/atoms/shells.h"
#include "perrin/twin/specimen.h"

#include <math.h>
#include <stdlib.h>
#include <time.h>

#define LATTICE_A 3.912
#define CUTOFF_A  3.339
#define ALPHA_A   2.766
#define GOAL_S    5.0   /* of everything but g(r), for ATOMS atoms on one core */
#define ATOMS     94376 /* the particle that others were measured with */

struct subject {
	struct pn_specimen *spec;
	struct pn_atoms atoms;
	struct pn_analysis analysis; /* what the single kernels start from */
	double *one, *two, *three;   /* [atoms] */
	int32_t *shell;
};

/* A sphere of about @count atoms, at room temperature. */
static int make(struct subject *s, double count, struct pn_error *err)
{
	struct pn_specimen_params params;

	*s = (struct subject){ 0 };
	pn_params_default(pn_specimen_param_table, &params);
	params.shape = PN_SHAPE_SPHERE;
	params.lattice_A = LATTICE_A;
	params.thermal_A = 0.07;
	params.alloy_fraction = 0.3;
	snprintf(params.alloy_element, sizeof params.alloy_element, "Ni");
	params.diameter_nm = 0.1 * LATTICE_A * cbrt(6 * count / (4 * M_PI));
	int rc = pn_specimen_create(&s->spec, &params, 1, err);

	if (rc)
		return rc;
	s->atoms = (struct pn_atoms){ (const double(*)[3])s->spec->position_A,
				      s->spec->atomic_number, s->spec->count };
	s->one = malloc(s->atoms.count * sizeof *s->one);
	s->two = malloc(s->atoms.count * sizeof *s->two);
	s->three = malloc(s->atoms.count * sizeof *s->three);
	s->shell = malloc(s->atoms.count * sizeof *s->shell);
	if (!s->one || !s->two || !s->three || !s->shell)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu atoms", s->atoms.count);
	return PN_OK;
}

static void drop(struct subject *s)
{
	pn_analysis_free(&s->analysis);
	pn_specimen_destroy(s->spec);
	free(s->one);
	free(s->two);
	free(s->three);
	free(s->shell);
}

static double cpu_s(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static void settings(struct pn_analysis_options *options)
{
	pn_analysis_defaults(options);
	options->cutoff_A = CUTOFF_A;
	options->alpha_A = ALPHA_A;
	options->r_max_A = 0;
}

/* ---- the kernels --------------------------------------------------------------------------- */

static int neighbors(struct subject *s)
{
	struct pn_neighbors n;
	int rc = pn_neighbors_build(&n, &s->atoms, CUTOFF_A, 1, NULL);

	pn_neighbors_free(&n);
	return rc;
}

static int csp(struct subject *s)
{
	struct pn_cells cells;
	int rc = pn_csp_shell(s->one, &s->analysis.neighbors, 1, NULL);

	if (!rc)
		rc = pn_cells_build(&cells, s->atoms.position_A, s->atoms.count, CUTOFF_A, NULL);
	if (!rc) {
		rc = pn_csp_nearest(s->two, &cells, &s->atoms, 12, 1, NULL);
		pn_cells_free(&cells);
	}
	return rc;
}

static int order(struct subject *s)
{
	struct pn_order o;
	int rc = pn_order_build(&o, &s->analysis.neighbors, NULL, 1, NULL);

	pn_order_free(&o);
	return rc;
}

static int mesh(struct subject *s)
{
	struct pn_surface surface;
	int rc = pn_surface_build(&surface, &s->atoms, ALPHA_A, 1, NULL);

	pn_surface_free(&surface);
	return rc;
}

static int mesh_by_qhull(struct subject *s)
{
	struct pn_surface surface;
	int rc = pn_surface_by_delaunay(&surface, &s->atoms, ALPHA_A, NULL);

	pn_surface_free(&surface);
	return rc;
}

static int depth(struct subject *s)
{
	int rc = pn_surface_distance(&s->analysis.surface, &s->atoms, s->one, 1, NULL);

	return rc ? rc
		  : pn_surface_atom_distance(&s->atoms, s->analysis.surface.on_mesh, s->two, 1,
					     NULL);
}

static int curvature(struct subject *s)
{
	int rc = pn_curvature(s->one, s->two, s->three, NULL, &s->analysis.surface, &s->atoms, 1,
			      NULL);

	return rc ? rc
		  : pn_surface_average(s->two, s->one, 1, s->three, LATTICE_A, &s->atoms, 1, NULL);
}

static int lattice(struct subject *s)
{
	struct pn_lattice l;
	int rc = pn_lattice_fit(&l, &s->atoms, NULL, 1, NULL);

	if (!rc)
		rc = pn_lattice_local(s->one, s->two, NULL, s->three, &s->analysis.neighbors, &l,
				      LATTICE_A, 1, NULL);
	pn_lattice_free(&l);
	return rc;
}

static int shells(struct subject *s)
{
	uint32_t count;

	return pn_shells_by_probe(s->shell, &count, &s->atoms, ALPHA_A, 1, NULL);
}

static int rdf(struct subject *s)
{
	struct pn_rdf r;
	int rc = pn_rdf_build(&r, &s->atoms, &s->analysis.surface, NULL, 1, NULL);

	pn_rdf_free(&r);
	return rc;
}

static int everything(struct subject *s)
{
	struct pn_analysis_options options;
	struct pn_analysis a;

	settings(&options);
	int rc = pn_analyze(&a, &s->atoms, &options, 1, NULL);

	if (!rc)
		pn_analysis_free(&a);
	return rc;
}

static const struct kernel {
	const char *name;
	int (*run)(struct subject *s);
	int slow; /* measured once */
} kernels[] = {
	{ "neighbors", neighbors, 0 },
	{ "csp", csp, 0 },
	{ "order", order, 0 },
	{ "mesh", mesh, 0 },
	{ "depth", depth, 0 },
	{ "curvature", curvature, 0 },
	{ "lattice", lattice, 0 },
	{ "shells", shells, 0 },
	{ "everything", everything, 0 },
	{ "g(r)", rdf, 1 },
	{ "mesh-qhull", mesh_by_qhull, 1 },
};
enum { EVERYTHING = 8, KERNELS = PN_COUNT(kernels) };

/* ---- measuring ----------------------------------------------------------------------------- */

/* CPU seconds of a kernel; NaN if it failed. */
static double seconds_of(const struct kernel *kernel, struct subject *s)
{
	double start = cpu_s();

	return kernel->run(s) ? NAN : cpu_s() - start;
}

/* In turns, so that a slow minute of the machine meets all of them. */
static void measure_kernels(struct bench *bench, struct subject *s)
{
	double seconds[KERNELS][BENCH_TURNS_MAX], median[KERNELS];

	for (unsigned turn = 0; turn < bench->turns; turn++)
		for (size_t k = 0; k < KERNELS; k++)
			seconds[k][turn] = kernels[k].slow && turn ? seconds[k][0]
								   : seconds_of(&kernels[k], s);
	for (size_t k = 0; k < KERNELS; k++)
		median[k] = bench_median(seconds[k], bench->turns);
	for (size_t k = 0; k < KERNELS; k++) {
		struct bench_result *result = bench_add(bench, median[k], "s", "atoms/%zu/%s",
							s->atoms.count, kernels[k].name);

		bench_ceiling(result, "everything but g(r)", median[EVERYTHING]);
		bench_note(result, "CPU time of one core, %.2f us per atom",
			   1e6 * median[k] / (double)s->atoms.count);
		if (k == EVERYTHING && !bench->small) {
			result->goal_kind = BENCH_VALUE_BELOW;
			result->goal = GOAL_S;
		}
	}
}

/* The same work for more and more atoms: time per atom against that of the particle above. */
static int measure_growth(struct bench *bench, struct pn_error *err)
{
	static const double counts[] = { 1e3, 1e4, 1e5, 1e6 };
	double first = NAN;

	for (size_t n = 0; n < (bench->small ? 1 : PN_COUNT(counts)); n++) {
		struct subject s;
		int rc = make(&s, counts[n], err);

		if (!rc) {
			double seconds = seconds_of(&kernels[EVERYTHING], &s);
			double each_us = 1e6 * seconds / (double)s.atoms.count;
			struct bench_result *result =
				bench_add(bench, each_us, "us/atom", "atoms/growth/%g", counts[n]);

			if (n == 1)
				first = each_us;
			if (n > 1)
				bench_ceiling(result, "1e4 atoms", first);
			bench_note(result, "%zu atoms, everything but g(r): %.3f s", s.atoms.count,
				   seconds);
		}
		drop(&s);
		if (rc)
			return rc;
	}
	return PN_OK;
}

static int run(struct bench *bench, struct pn_error *err)
{
	struct pn_analysis_options options;
	struct subject s;
	int rc = make(&s, bench->small ? 500 : ATOMS, err);

	settings(&options);
	if (!rc)
		rc = pn_analyze(&s.analysis, &s.atoms, &options, 1, err);
	if (!rc)
		measure_kernels(bench, &s);
	drop(&s);
	return rc ? rc : measure_growth(bench, err);
}

const struct bench_row bench_atoms = {
	.name = "atoms",
	.brief = "an atomic model: structure, surface, order, strain; growth with its size",
	.run = run,
};
