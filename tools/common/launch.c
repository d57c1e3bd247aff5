/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "launch.h"

#include "perrin/base/file.h"
#include "perrin/detector/source.h"
#include "perrin/host/host.h"
#include "progress.h"
#include "session.h"
#include "summary.h"
#include "text.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const place_choices[] = { "graph", "thread", "threads", "processes", NULL };

#define OFF(field) offsetof(struct pn_launch_flags, field)
const struct pn_param pn_launch_params[] = {
	{ .name = "session",
	  .unit = "DIR",
	  .help = "folder to record into; must not be there yet",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(session),
	  .required = 1 },
	{ .name = "set",
	  .unit = "STAGE.PARAM=VALUE",
	  .help = "set a parameter of a stage or stream",
	  .type = PN_PARAM_LIST,
	  .off = OFF(set) },
	{ .name = "place",
	  .help = "where stages run",
	  .type = PN_PARAM_ENUM,
	  .off = OFF(place),
	  .choices = place_choices },
	{ .name = "retrain",
	  .help = "of a replay: run what depends on time again instead of taking its recorded streams",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(retrain) },
	{ .name = "json",
	  .help = "print the summary as JSON",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ 0 },
};

/* ---- graphs -------------------------------------------------------------------------------- */

#define FOLDERS_MAX 4

/* Where graphs may stand, best first. */
static unsigned graph_folders(char folders[FOLDERS_MAX][PATH_MAX])
{
	const char *env = getenv("PERRIN_GRAPHS");
	char exe[PATH_MAX - 64];
	unsigned count = 0;

	if (env && env[0])
		snprintf(folders[count++], PATH_MAX, "%s", env);
	ssize_t length = readlink("/proc/self/exe", exe, sizeof exe - 1);
	if (length > 0) {
		exe[length] = 0;
		char *slash = strrchr(exe, '/');

		if (slash)
			*slash = 0;
		snprintf(folders[count++], PATH_MAX, "%s/graphs", exe);
		snprintf(folders[count++], PATH_MAX, "%s/../share/perrin/graphs", exe);
	}
	snprintf(folders[count++], PATH_MAX, "%s", PERRIN_GRAPHS);
	return count;
}

static int no_graph(const char *name, char folders[FOLDERS_MAX][PATH_MAX], unsigned count,
		    struct pn_error *err)
{
	char known[256] = "";

	for (unsigned i = 0; i < count; i++) {
		DIR *dir = opendir(folders[i]);
		struct dirent *entry;

		while (dir && (entry = readdir(dir))) {
			const char *dot = strrchr(entry->d_name, '.');
			size_t used = strlen(known);

			if (dot && dot > entry->d_name && strcmp(dot, ".yaml") == 0)
				snprintf(known + used, sizeof known - used, "%s%.*s",
					 used ? ", " : "; there are: ", (int)(dot - entry->d_name),
					 entry->d_name);
		}
		if (dir)
			closedir(dir);
		if (known[0])
			break;
	}
	return pn_error_set(err, PN_ENOENT,
			    "%.120s: no such graph file, and no graph of that name%s", name, known);
}

int pn_launch_graph(char path[PATH_MAX], const char *name, struct pn_error *err)
{
	char folders[FOLDERS_MAX][PATH_MAX];
	size_t length = strlen(name);

	if (strchr(name, '/') || (length > 5 && strcmp(name + length - 5, ".yaml") == 0) ||
	    access(name, F_OK) == 0) {
		snprintf(path, PATH_MAX, "%s", name);
		if (access(path, R_OK))
			return pn_error_errno(err, errno, "%s", path);
		return PN_OK;
	}
	unsigned count = graph_folders(folders);
	for (unsigned i = 0; i < count; i++) {
		int n = snprintf(path, PATH_MAX, "%.*s/%s.yaml", PATH_MAX - 300, folders[i], name);

		if (n < PATH_MAX && access(path, R_OK) == 0)
			return PN_OK;
	}
	return no_graph(name, folders, count, err);
}

/* ---- URIs ---------------------------------------------------------------------------------- */

int pn_uri_set(char *uri, size_t size, const char *name, const char *value, struct pn_error *err)
{
	int rc = pn_text_append(uri, size, strchr(uri, '?') ? "&" : "?", err);

	if (!rc)
		rc = pn_text_append(uri, size, name, err);
	if (!rc)
		rc = pn_text_append(uri, size, "=", err);
	return rc ? rc : pn_text_escape(uri, size, value, err);
}

int pn_uri_speed(char *uri, size_t size, const char *speed, struct pn_error *err)
{
	char *end;

	if (!speed[0])
		return PN_OK;
	if (strcmp(speed, "max") == 0)
		return pn_uri_set(uri, size, "speed", "0", err);
	double value = strtod(speed, &end);
	if (end == speed || *end || !(value > 0) || value > 1e6)
		return pn_error_set(
			err, PN_EARG,
			"speed = %.80s: must be a number above 0, at most 1e6, or 'max'", speed);
	return pn_uri_set(uri, size, "speed", speed, err);
}

/* ---- the run ------------------------------------------------------------------------------- */

static int check_flags(const struct pn_launch_flags *flags, struct pn_error *err)
{
	if (access(flags->session, F_OK) == 0)
		return pn_error_set(err, PN_EEXIST,
				    "%s: is there already; a session never writes over another",
				    flags->session);
	return PN_OK;
}

/* A mistake in the source must not leave a session behind that has to be removed first. What is a
 * file is opened for a moment; a socket or a scene is not. */
static int check_source(const char *uri, struct pn_error *err)
{
	static const char *const on_disk[] = { "file:", "folder:", "replay:" };
	int rc = pn_source_check(uri, err);

	for (size_t i = 0; !rc && i < PN_COUNT(on_disk); i++) {
		struct pn_source *source = NULL;

		if (strncmp(uri, on_disk[i], strlen(on_disk[i])))
			continue;
		rc = pn_source_open(&source, uri, err);
		pn_source_close(source);
	}
	return rc;
}

static int set_graph(struct pn_graph *graph, const struct pn_launch_flags *flags,
		     struct pn_error *err)
{
	for (int i = 0; i < flags->set.count; i++) {
		int rc = pn_graph_set(graph, flags->set.items[i], err);

		if (rc)
			return pn_error_wrap(err, "--set");
	}
	if (flags->place)
		graph->place = (enum pn_place)(flags->place - 1);
	return PN_OK;
}

static int copy_summary(const char *session, struct pn_error *err)
{
	char path[PATH_MAX], buffer[4096];
	size_t bytes;
	int rc = pn_path_join(path, session, "summary.json", err);

	if (rc)
		return rc;
	FILE *file = fopen(path, "re");
	if (!file)
		return pn_error_errno(err, errno, "%s", path);
	while ((bytes = fread(buffer, 1, sizeof buffer, file)))
		fwrite(buffer, 1, bytes, stdout);
	int bad = ferror(file);
	fclose(file);
	return bad ? pn_error_set(err, PN_EIO, "%s: cannot be read", path) : PN_OK;
}

/*
 * FFT plans take seconds to find and are the same for every session of a machine: they are kept in the
 * user's cache, so that only the first session ever waits for them.
 */
static int plan_cache(char path[PATH_MAX])
{
	const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");

	if (cache && cache[0])
		snprintf(path, PATH_MAX, "%.3000s/perrin", cache);
	else if (home && home[0])
		snprintf(path, PATH_MAX, "%.3000s/.cache/perrin", home);
	else
		return -1;
	char *slash = strrchr(path, '/');
	*slash = 0;
	mkdir(path, 0755);
	*slash = '/';
	mkdir(path, 0755);
	strcat(path, "/wisdom");
	return 0;
}

/* Plans only ever get more; a run's own are the cache's it began with and what it had to add. */
static void keep_plans(const char *cache, const char *session)
{
	char wisdom[PATH_MAX], fresh[PATH_MAX];
	struct stat had, has;

	if (pn_path_join(wisdom, session, "wisdom", NULL) || stat(wisdom, &has) ||
	    (stat(cache, &had) == 0 && had.st_size >= has.st_size))
		return;
	snprintf(fresh, sizeof fresh, "%.4000s.%ld", cache, (long)getpid());
	unlink(fresh);
	if (pn_file_copy(wisdom, fresh, NULL) || rename(fresh, cache))
		unlink(fresh); /* a cache that cannot be kept costs the next run a second, no more */
}

int pn_launch(const struct pn_launch *launch, struct pn_error *err)
{
	const struct pn_launch_flags *flags = launch->flags;
	struct pn_progress progress = { 0 };
	struct pn_graph *graph;
	char summary[PATH_MAX], cache[PATH_MAX];
	int cached = plan_cache(cache) == 0;
	int rc = check_flags(flags, err);

	if (!rc)
		rc = pn_path_join(summary, flags->session, "summary.json", err);
	if (!rc)
		rc = check_source(launch->source_uri, err);
	if (!rc)
		rc = pn_graph_read(&graph, launch->graph, err);
	if (rc)
		return rc;
	rc = set_graph(graph, flags, err);
	if (rc) {
		pn_graph_destroy(graph);
		return rc;
	}
	struct pn_run_config config = {
		.graph = graph,
		.session = flags->session,
		.source_uri = launch->source_uri,
		.retrain = flags->retrain,
		.wisdom = launch->wisdom ? launch->wisdom : cached ? cache : NULL,
		.progress = pn_progress_show,
		.progress_arg = &progress,
	};
	rc = pn_run(&config, err);
	pn_progress_clear(&progress);
	if (cached && !launch->wisdom)
		keep_plans(cache, flags->session);
	pn_graph_destroy(graph);
	/* also a run in which a stage has failed has something to tell */
	if (access(summary, R_OK) == 0) {
		struct pn_error late = { 0 };
		int told = flags->json ? copy_summary(flags->session, &late)
				       : pn_summary_print(flags->session, stdout, &late);

		if (!rc && told) {
			*err = late;
			rc = told;
		}
	}
	return rc;
}
