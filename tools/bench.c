/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin bench - how fast this build is on this machine, each figure against a ceiling. */
#include "bench/bench.h"

#include "command.h"
#include "common/session.h"
#include "common/text.h"
#include "perrin/base/clock.h"
#include "perrin/base/json.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/statfs.h>
#include <sys/utsname.h>
#include <unistd.h>

static const struct bench_row *const benches[] = {
	&bench_recording, &bench_hop,  &bench_small, &bench_crystal, &bench_track,
	&bench_latency,   &bench_twin, &bench_atoms, &bench_denoise,
	&bench_tomo,    &bench_orient, &bench_samples, NULL,
};

struct bench_options {
	int json, small;
	char only[PN_PARAM_TEXT_MAX], dir[PN_PARAM_TEXT_MAX];
	double seconds;
	int64_t turns;
};

#define OFF(field) offsetof(struct bench_options, field)
static const struct pn_param params[] = {
	{ .name = "json",
	  .help = "one JSON object instead of a table",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ .name = "only",
	  .unit = "NAME",
	  .help = "one benchmark, see below",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(only) },
	{ .name = "seconds",
	  .unit = "s",
	  .help = "how long latencies are watched",
	  .type = PN_PARAM_F64,
	  .off = OFF(seconds),
	  .def = 10,
	  .min = 0.5,
	  .max = 3600 },
	{ .name = "turns",
	  .help = "how often a figure and its ceiling are measured in turns",
	  .type = PN_PARAM_I64,
	  .off = OFF(turns),
	  .def = 5,
	  .min = 1,
	  .max = BENCH_TURNS_MAX },
	{ .name = "dir",
	  .help = "folder on the disk to be measured; some GB are written there and removed",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(dir),
	  .def_text = "." },
	{ .name = "small",
	  .help = "only see that the benchmarks work; the figures mean nothing",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(small) },
	{ 0 },
};

static void list_benches(FILE *out)
{
	fprintf(out, "benchmarks:\n");
	for (const struct bench_row *const *row = benches; *row; row++)
		fprintf(out, "  %-10s %s\n", (*row)->name, (*row)->brief);
}

/* ---- running ------------------------------------------------------------------------------- */

static int run_row(struct bench *bench, void *arg, struct pn_error *err)
{
	const struct bench_row *row = arg;

	return row->run(bench, err);
}

/* Each in a process of its own: what one leaves in memory or threads is none of the next. */
static int run_one(struct bench *bench, const char *dir, const struct bench_row *row,
		   struct pn_error *err)
{
	struct pn_error failure = { 0 };
	char real[PATH_MAX];
	pid_t child;

	if (!realpath(dir, real) || pn_path_join(bench->dir, real, "perrin-bench-XXXXXX", NULL) ||
	    !mkdtemp(bench->dir))
		return pn_error_errno(err, errno ? errno : ENAMETOOLONG, "%s", dir);
	fprintf(stderr, "%s: %s\n", row->name, row->brief);
	int rc = bench_fork(&child, bench, run_row, (void *)(uintptr_t)row, &failure);
	if (!rc)
		rc = bench_wait(child, bench, &failure);
	bench_remove(bench->dir);
	if (rc) {
		/* one that cannot run here leaves the others their turn */
		struct bench_result *result = bench_add(bench, NAN, "", "%s", row->name);

		bench_note(result, "failed: %s", failure.text);
		fprintf(stderr, "%s: %s\n", row->name, failure.text);
	}
	return rc ? PN_EXIT_FAILED : PN_EXIT_OK;
}

/* PN_OK, PN_EXIT_FAILED if a benchmark could not run, or an error. */
static int run_all(struct bench *bench, const struct bench_options *options, struct pn_error *err)
{
	unsigned found = 0;
	int failed = PN_EXIT_OK;

	for (const struct bench_row *const *row = benches; *row; row++) {
		if (options->only[0] && strcmp(options->only, (*row)->name) != 0)
			continue;
		found++;
		int rc = run_one(bench, options->dir, *row, err);
		if (rc < 0)
			return rc;
		failed = rc ? rc : failed;
	}
	return found ? failed
		     : pn_error_set(err, PN_EARG, "--only %.80s: no such benchmark; see --help",
				    options->only);
}

/* ---- the machine --------------------------------------------------------------------------- */

struct machine {
	char cpu[128], system[256], file_system[32];
	long cores;
	double memory_bytes, load;
};

static void describe_cpu(struct machine *m)
{
	FILE *in = fopen("/proc/cpuinfo", "r");
	char line[512], *colon;

	while (in && fgets(line, sizeof line, in))
		if (strncmp(line, "model name", 10) == 0 && (colon = strchr(line, ':'))) {
			snprintf(m->cpu, sizeof m->cpu, "%.*s", (int)strcspn(colon + 2, "\n"),
				 colon + 2);
			break;
		}
	if (in)
		fclose(in);
}

static void describe_machine(struct machine *m, const char *dir)
{
	struct utsname name;
	struct statfs fs;
	double loads[1];

	*m = (struct machine){ .cores = sysconf(_SC_NPROCESSORS_ONLN), .load = NAN };
	m->memory_bytes = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
	describe_cpu(m);
	if (uname(&name) == 0)
		snprintf(m->system, sizeof m->system, "%s %s %s", name.sysname, name.release,
			 name.machine);
	if (statfs(dir, &fs) == 0)
		snprintf(m->file_system, sizeof m->file_system, "%#lx", (unsigned long)fs.f_type);
	if (getloadavg(loads, 1) == 1)
		m->load = loads[0];
}

/* ---- telling ------------------------------------------------------------------------------- */

static int meets(const struct bench_result *r)
{
	switch (r->goal_kind) {
	case BENCH_RATIO_AT_LEAST:
		return r->ratio >= r->goal;
	case BENCH_VALUE_AT_LEAST:
		return r->value >= r->goal;
	case BENCH_VALUE_BELOW:
		return r->value < r->goal;
	default:
		return 0;
	}
}

static const char *const goal_words[] = { NULL, "ratio at least", "value at least", "value below" };

static void print_number(struct pn_table *table, double value)
{
	if (!isfinite(value))
		pn_table_cell(table, "-");
	else
		pn_table_cell(table, "%.*f", fabs(value) < 100 ? 2 : 0, value);
}

static void print_row(struct pn_table *table, const struct bench_result *r)
{
	static const char *const signs[] = { "", "ratio >=", ">=", "<" };

	pn_table_cell(table, "%s", r->name);
	print_number(table, r->value);
	pn_table_cell(table, "%s", r->unit);
	print_number(table, r->ceiling);
	pn_table_cell(table, "%s", r->ceiling_name[0] ? r->ceiling_name : "-");
	print_number(table, r->ratio);
	if (r->goal_kind) {
		pn_table_cell(table, "%s %g", signs[r->goal_kind], r->goal);
		pn_table_cell(table, "%s", meets(r) ? "yes" : "no");
	} else {
		pn_table_cell(table, "-");
		pn_table_cell(table, "-");
	}
	if (r->hash)
		pn_table_cell(table, "%016" PRIx64, r->hash);
	else
		pn_table_cell(table, "-");
	pn_table_cell(table, "%s", r->note);
}

static int print_table(const struct bench *bench, const struct machine *m, struct pn_error *err)
{
	struct pn_table *table =
		pn_table_create("<name|measured|<unit|ceiling|<of|ratio|goal|<met|<hash|<note");

	if (!table)
		return pn_error_set(err, PN_ENOMEM, "no memory for a table");
	printf("%s, %ld cores, %.1f GB, %s; load %.2f\n\n", m->cpu, m->cores,
	       m->memory_bytes * 1e-9, m->system, m->load);
	for (unsigned i = 0; i < bench->count; i++)
		print_row(table, &bench->results[i]);
	pn_table_print(table, stdout);
	pn_table_destroy(table);
	return PN_OK;
}

static void write_result(struct pn_json *json, const struct bench_result *r)
{
	char hash[32];

	pn_json_object(json, NULL);
	pn_json_text(json, "name", r->name);
	pn_json_f64(json, "value", r->value);
	pn_json_text(json, "unit", r->unit);
	pn_json_f64(json, "ceiling", r->ceiling);
	pn_json_text(json, "ceiling_of", r->ceiling_name[0] ? r->ceiling_name : NULL);
	pn_json_f64(json, "ratio", r->ratio);
	pn_json_f64(json, "goal", r->goal_kind ? r->goal : NAN);
	pn_json_text(json, "goal_for", goal_words[r->goal_kind]);
	if (r->goal_kind)
		pn_json_bool(json, "met", meets(r));
	else
		pn_json_text(json, "met", NULL);
	snprintf(hash, sizeof hash, "%016" PRIx64, r->hash);
	pn_json_text(json, "hash", r->hash ? hash : NULL);
	pn_json_text(json, "note", r->note);
	pn_json_end(json);
}

static void write_json(const struct bench *bench, const struct machine *m)
{
	struct pn_json json;

	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	pn_json_object(&json, "machine");
	pn_json_text(&json, "perrin", PERRIN_VERSION);
	pn_json_text(&json, "compiler", PERRIN_COMPILER);
	pn_json_text(&json, "cpu", m->cpu);
	pn_json_i64(&json, "cores", m->cores);
	pn_json_f64(&json, "memory_bytes", m->memory_bytes);
	pn_json_text(&json, "system", m->system);
	pn_json_text(&json, "file_system", m->file_system);
	pn_json_f64(&json, "load_before", m->load);
	pn_json_end(&json);
	pn_json_bool(&json, "small", bench->small);
	pn_json_array(&json, "results");
	for (unsigned i = 0; i < bench->count; i++)
		write_result(&json, &bench->results[i]);
	pn_json_end(&json);
	pn_json_end(&json);
}

static int run(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	const struct bench_options *options = arg;
	struct machine machine;
	/* child processes write their results into it */
	struct bench *bench = mmap(NULL, sizeof *bench, PROT_READ | PROT_WRITE,
				   MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	(void)extra, (void)extra_count;
	if (bench == MAP_FAILED)
		return pn_error_errno(err, errno, "shared memory");
	bench->small = options->small;
	bench->seconds = options->seconds;
	bench->turns = options->small ? 1 : (unsigned)options->turns;
	describe_machine(&machine, options->dir);
	int rc = run_all(bench, options, err), printed = PN_OK;
	if (rc >= 0 && options->json)
		write_json(bench, &machine);
	else if (rc >= 0)
		printed = print_table(bench, &machine, err);
	munmap(bench, sizeof *bench);
	return printed ? printed : rc;
}

const struct pn_command pn_command_bench = {
	.name = "bench",
	.brief = "how fast this build is on this machine, against its ceilings",
	.usage = "[flags]",
	.params = params,
	.options_size = sizeof(struct bench_options),
	.more_help = list_benches,
	.run = run,
};
