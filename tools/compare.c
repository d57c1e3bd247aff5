/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin compare - one particle at several times, or several particles, atom by atom. */
#include "compare/compare.h"

#include "command.h"
#include "common/text.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct compare_options {
	char times[PN_PARAM_TEXT_MAX], particles[PN_PARAM_TEXT_MAX], out[PN_PARAM_TEXT_MAX];
	struct pn_param_list maps;
	int json, docked, method;
	double tolerance_A, moved_A, interface_A;
	int64_t diffusion_from, map_width, every;
	struct pn_analysis_params analysis;
};

static const char *const methods[] = { "nearest", "assignment", NULL };

#define OFF(field) offsetof(struct compare_options, field)
static const struct pn_param params[] = {
	{ .name = "out",
	  .unit = "DIR",
	  .help = "folder for the results; made if it is not there, files in it are replaced",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(out),
	  .required = 1 },
	{ .name = "times",
	  .unit = "T1,T2,...",
	  .help = "time of each model in s, ascending (default: what the files say)",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(times) },
	{ .name = "every",
	  .help = "of a file of several models take every so many, from the first on",
	  .type = PN_PARAM_I64,
	  .off = OFF(every),
	  .def = 1,
	  .min = 1,
	  .max = 1e9 },
	{ .name = "particles",
	  .unit = "FILE",
	  .help = "instead of models: a CSV of lines \"particle,time_s,model\"",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(particles) },
	{ .name = "map",
	  .unit = "FILE",
	  .help = "density map (MRC) of a model, once for each in order: correlates them, too",
	  .type = PN_PARAM_LIST,
	  .off = OFF(maps) },
	{ .name = "map_width",
	  .unit = "px",
	  .help = "edge of the cube of the local correlation, odd",
	  .type = PN_PARAM_I64,
	  .off = OFF(map_width),
	  .def = 7,
	  .min = 3,
	  .max = 999 },
	{ .name = "docked",
	  .help = "the models lie on each other already: do not turn or shift them",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(docked) },
	{ .name = "tolerance_A",
	  .unit = "A",
	  .help = "atoms closer than this are the same; 0 = half the cut-off",
	  .type = PN_PARAM_F64,
	  .off = OFF(tolerance_A),
	  .min = 0,
	  .max = 100 },
	{ .name = "moved_A",
	  .unit = "A",
	  .help = "an atom left over may have moved as far; 0 = the first peak of g(r)",
	  .type = PN_PARAM_F64,
	  .off = OFF(moved_A),
	  .min = 0,
	  .max = 100 },
	{ .name = "pairing",
	  .help = "where an atom lies near two: mutual nearest, or least sum of squares",
	  .type = PN_PARAM_ENUM,
	  .off = OFF(method),
	  .def = PN_PAIR_ASSIGNMENT,
	  .choices = methods },
	{ .name = "interface_A",
	  .unit = "A",
	  .help = "shells less deep than this tell the diffusion",
	  .type = PN_PARAM_F64,
	  .off = OFF(interface_A),
	  .def = 6,
	  .min = 0.1,
	  .max = 1e4 },
	{ .name = "diffusion_from",
	  .help = "first model of the diffusion, to leave out a change of shape at the beginning",
	  .type = PN_PARAM_I64,
	  .off = OFF(diffusion_from),
	  .def = 1,
	  .min = 1,
	  .max = 1e6 },
	{ .name = "json",
	  .help = "print summary.json, too",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ .name = "analysis", .off = OFF(analysis), .group = pn_analysis_param_table },
	{ 0 },
};

static void more_help(FILE *out)
{
	fprintf(out,
		"makes in DIR:\n"
		"  report.html        the page: tables, plots, models that can be turned\n"
		"  summary.json       every number of the models and of their comparison\n"
		"  models.csv         the numbers of each model\n"
		"  atoms_N.csv        the columns of each atom of model N\n"
		"  pairs_N_M.csv      the atoms of two successive models, pair by pair, and what "
		"changed\n"
		"  fates.csv          how many atoms came, went, moved; their coordination and "
		"depth\n"
		"  changes.csv        mean change of every quantity over the pairs\n"
		"  shells.csv layers.csv regions.csv\n"
		"                     composition, order and means of shells, layers of depth, "
		"regions\n"
		"  rdf.csv            g(r) of each model\n"
		"  trajectory.xyz     extended XYZ, a frame for each model, every column\n"
		"  map_correlation_N_M.csv .mrc  with --map\n"
		"with --particles a folder like this for each, and particles.csv, report.html\n"
		"with mean and s.d. over the particles.\n\n");
	pn_analysis_help(out);
}

/* ---- settings ------------------------------------------------------------------------------ */

static int series_options(struct pn_series_options *series, const struct compare_options *options,
			  struct pn_error *err)
{
	pn_series_defaults(series);
	series->tolerance_A = options->tolerance_A;
	series->moved_A = options->moved_A;
	series->method = (enum pn_pair_method)options->method;
	series->align = options->docked ? PN_ALIGN_KEEP : PN_ALIGN_SEARCH;
	series->interface_A = options->interface_A;
	series->diffusion_from = (size_t)options->diffusion_from - 1;
	return pn_analysis_options_of(&series->analysis, &options->analysis, err);
}

/* "2.56,16" into the sources; as many times as models, or none. */
static int parse_times(struct compare_source *source, size_t count, const char *text,
		       struct pn_error *err)
{
	size_t n = 0;

	for (const char *at = text; *at;) {
		char *end;
		double time_s = strtod(at, &end);

		if (end == at || !isfinite(time_s) || (*end && *end != ',') || (*end && !end[1]))
			return pn_error_set(err, PN_EARG,
					    "--times %.80s: must be numbers with commas", text);
		if (n < count)
			source[n].time_s = time_s;
		n++;
		at = *end ? end + 1 : end;
	}
	if (n && n != count)
		return pn_error_set(err, PN_EARG, "--times has %zu times for %zu models", n, count);
	return PN_OK;
}

static void footer_of(char *buf, size_t size, const struct compare_options *options,
		      const struct compare_particle *particle)
{
	const struct pn_analysis *first = &particle->series.analysis[0];

	snprintf(buf, size,
		 "perrin %s compare. Neighbours closer than %.4f A, probe of %.4f A, pairs within "
		 "%.4f A%s, g(r) to %g A.",
		 PERRIN_VERSION, first->figures.cutoff_A, first->figures.alpha_A,
		 particle->series.tolerance_A,
		 options->docked ? ", models taken as docked" : ", models aligned",
		 options->analysis.r_max_A);
}

/* ---- one particle -------------------------------------------------------------------------- */

static int make_folder(const char *path, struct pn_error *err)
{
	struct stat status;

	if (mkdir(path, 0777) == 0)
		return PN_OK;
	if (errno != EEXIST)
		return pn_error_errno(err, errno, "%s", path);
	if (stat(path, &status) || !S_ISDIR(status.st_mode))
		return pn_error_set(err, PN_EEXIST, "%s: is there and is no folder", path);
	return PN_OK;
}

/* A JSON file under its name only when it is whole. */
static int write_summary(const char *dir, const struct compare_particle *particle,
			 const struct compare_group *group, struct pn_error *err)
{
	char path[PATH_MAX], part[PATH_MAX];
	struct pn_json json;
	int rc = compare_path(path, sizeof path, err, dir, "summary.json");

	if (!rc)
		rc = compare_path(part, sizeof part, err, dir, "summary.json.part");
	if (rc)
		return rc;
	FILE *out = fopen(part, "we");

	if (!out)
		return pn_error_errno(err, errno, "%s", part);
	pn_json_init(&json, out, 1);
	pn_json_object(&json, NULL);
	if (group)
		compare_group_json(&json, group);
	else
		compare_json(&json, particle);
	pn_json_end(&json);
	int failed = ferror(out);

	if (fclose(out) || failed || rename(part, path)) {
		int number = errno;

		remove(part);
		return pn_error_errno(err, number, "%s", path);
	}
	return PN_OK;
}

static int write_particle(const char *dir, const struct compare_options *options,
			  const struct compare_particle *particle, struct pn_error *err)
{
	char footer[512];
	int rc = make_folder(dir, err);

	footer_of(footer, sizeof footer, options, particle);
	if (!rc)
		rc = compare_write_tables(dir, particle, err);
	if (!rc)
		rc = compare_write_trajectory(dir, particle, err);
	if (!rc)
		rc = compare_write_maps(dir, particle, err);
	if (!rc)
		rc = write_summary(dir, particle, NULL, err);
	return rc ? rc : compare_write_page(dir, particle, footer, err);
}

static void print_particle(const struct compare_particle *p)
{
	char from[COMPARE_NAME_MAX], to[COMPARE_NAME_MAX];

	if (p->name[0])
		printf("%s\n", p->name);
	for (size_t m = 0; m < p->count; m++) {
		const struct pn_figures *f = &p->series.analysis[m].figures;

		char lattice[PN_TEXT_SHORT];

		printf("%-12s %6.0f atoms, diameter %.3f A, a %s A, %.0f disordered, surface "
		       "%.0f\n",
		       compare_label(from, sizeof from, p, m), f->atoms, f->diameter_A,
		       pn_text_fixed(lattice, f->a_A, 4), f->disordered_atoms,
		       f->surface_atoms_mesh);
	}
	for (size_t k = 0; k + 1 < p->count; k++) {
		const struct pn_series_step *step = &p->series.step[k];
		const size_t *fates = step->pairing.fates;

		printf("%s to %s: %zu common (%zu of another species), %zu moved, %zu disappeared, "
		       "%zu new; RMSD %.3f A\n",
		       compare_label(from, sizeof from, p, k),
		       compare_label(to, sizeof to, p, k + 1), pn_pairing_common(&step->pairing),
		       fates[PN_FATE_INCONSISTENT], fates[PN_FATE_MOVED],
		       fates[PN_FATE_DISAPPEARED], fates[PN_FATE_NEW], step->pairing.rmsd_A);
		if (step->alignment.equals)
			printf("  %zu other positions fit about as well: this one is the nearest "
			       "to "
			       "how the files lie\n",
			       step->alignment.equals);
	}
	if (p->series.has_etch && isnan(p->series.etch.b_uncertainty))
		printf("etch rate    %.3f atoms/s\n", -p->series.etch.b);
	else if (p->series.has_etch)
		printf("etch rate    %.3f +- %.3f atoms/s\n", -p->series.etch.b,
		       p->series.etch.b_uncertainty);
}

static int run_models(const struct compare_options *options, char **paths, size_t count,
		      struct pn_error *err)
{
	struct compare_source *source = calloc(count, sizeof *source);
	struct compare_particle particle = { 0 };
	struct pn_series_options series;
	int threads = (int)options->analysis.threads;
	int rc = source ? series_options(&series, options, err)
			: pn_error_set(err, PN_ENOMEM, "no memory for %zu models", count);

	for (size_t k = 0; !rc && k < count; k++)
		source[k] = (struct compare_source){ paths[k], NAN, (size_t)options->every };
	if (!rc)
		rc = parse_times(source, count, options->times, err);
	if (!rc)
		rc = compare_load(&particle, "", source, count, err);
	free(source);
	if (rc)
		return rc;
	rc = compare_build(&particle, &series, threads, err);
	if (!rc && options->maps.count)
		rc = compare_maps_load(&particle, options->maps.items, (size_t)options->maps.count,
				       (size_t)options->map_width, threads, err);
	if (!rc)
		rc = write_particle(options->out, options, &particle, err);
	if (!rc && options->json) {
		struct pn_json json;

		pn_json_init(&json, stdout, 1);
		pn_json_object(&json, NULL);
		compare_json(&json, &particle);
		pn_json_end(&json);
	} else if (!rc) {
		print_particle(&particle);
		printf("made         %s/report.html and the tables beside it\n", options->out);
	}
	compare_free(&particle);
	return rc;
}

/* ---- several particles --------------------------------------------------------------------- */

static int run_particles(const struct compare_options *options, struct pn_error *err)
{
	struct compare_group group;
	struct pn_series_options series;
	int rc = series_options(&series, options, err);

	if (!rc)
		rc = compare_group_read(&group, options->particles, err);
	if (rc)
		return rc;
	rc = make_folder(options->out, err);
	for (size_t p = 0; !rc && p < group.count; p++) {
		char dir[PATH_MAX];

		rc = compare_build(&group.particle[p], &series, (int)options->analysis.threads,
				   err);
		if (!rc)
			rc = compare_path(dir, sizeof dir, err, options->out, "%s",
					  group.particle[p].name);
		if (!rc)
			rc = write_particle(dir, options, &group.particle[p], err);
		if (!rc && !options->json)
			print_particle(&group.particle[p]);
	}
	if (!rc)
		rc = write_summary(options->out, NULL, &group, err);
	if (!rc) {
		char footer[512];

		footer_of(footer, sizeof footer, options, &group.particle[0]);
		rc = compare_write_group(options->out, &group, footer, err);
	}
	if (!rc && options->json) {
		struct pn_json json;

		pn_json_init(&json, stdout, 1);
		pn_json_object(&json, NULL);
		compare_group_json(&json, &group);
		pn_json_end(&json);
	}
	compare_group_free(&group);
	return rc;
}

static int run_compare(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	const struct compare_options *options = arg;

	if (!options->particles[0] && !extra_count)
		return pn_error_set(err, PN_EARG, "no models: name some, or --particles FILE");
	if (options->particles[0] && (extra_count || options->times[0] || options->maps.count))
		return pn_error_set(
			err, PN_EARG,
			"--particles says which models at which times: no models, --times "
			"or --map beside it");
	if (options->particles[0])
		return run_particles(options, err);
	return run_models(options, extra, (size_t)extra_count, err);
}

const struct pn_command pn_command_compare = {
	.name = "compare",
	.brief = "one particle at several times, or several particles, atom by atom",
	.usage = "MODEL [MODEL...] --out DIR [--times T1,T2,...] [--particles FILE] [flags]",
	.params = params,
	.options_size = sizeof(struct compare_options),
	.takes_extra = 1,
	.more_help = more_help,
	.run = run_compare,
};
