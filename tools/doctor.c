/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin doctor - is this machine fit to record and to compute? */
#include "doctor.h"
#include "command.h"
#include "common/text.h"
#include "perrin/base/json.h"

#include <glob.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct doctor_options {
	char dir[PN_PARAM_TEXT_MAX];
	int json;
};

#define OFF(field) offsetof(struct doctor_options, field)
static const struct pn_param params[] = {
	{ .name = "dir",
	  .unit = "DIR",
	  .help = "folder whose disk is looked at and written to",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(dir),
	  .def_text = "." },
	{ .name = "json",
	  .help = "print the result as JSON",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ 0 },
};

/* ---- the machine --------------------------------------------------------------------------- */

/* The rest of the first line of a file that begins with @key (spaces and ':' left out); "" if none.
 */
static void line_of(const char *path, const char *key, char *value, size_t size)
{
	char *line = NULL;
	size_t room = 0;
	FILE *file = fopen(path, "re");

	value[0] = 0;
	while (file && getline(&line, &room, file) > 0) {
		if (strncmp(line, key, strlen(key)))
			continue;
		const char *rest = line + strlen(key);

		rest += strspn(rest, " \t:");
		snprintf(value, size, "%.*s", (int)strcspn(rest, "\n"), rest);
		break;
	}
	free(line);
	if (file)
		fclose(file);
}

/* Is @word one of the words of @list? */
static int has_word(const char *list, const char *word)
{
	size_t length = strlen(word);

	for (const char *p = list; (p = strstr(p, word)); p += length)
		if ((p == list || p[-1] == ' ') && (p[length] == ' ' || !p[length]))
			return 1;
	return 0;
}

static void look_at_cpu(struct pn_doctor *d)
{
	char flags[8192];

	d->cores = sysconf(_SC_NPROCESSORS_ONLN);
	line_of("/proc/cpuinfo", "model name", d->cpu, sizeof d->cpu);
	line_of("/proc/cpuinfo", "flags", flags, sizeof flags);
	d->avx512 = has_word(flags, "avx512f");
	d->amx = has_word(flags, "amx_tile");
}

static void look_at_memory(struct pn_doctor *d)
{
	char text[128];

	line_of("/proc/meminfo", "MemTotal", text, sizeof text);
	d->memory_bytes = strtod(text, NULL) * 1024;
	line_of("/proc/meminfo", "MemAvailable", text, sizeof text);
	d->available_bytes = strtod(text, NULL) * 1024;
	line_of("/proc/meminfo", "HugePages_Total", text, sizeof text);
	d->huge_pages = strtol(text, NULL, 10);
	/* "always [madvise] never": the word in brackets is in force */
	line_of("/sys/kernel/mm/transparent_hugepage/enabled", "", text, sizeof text);
	const char *open = strchr(text, '[');
	snprintf(d->transparent, sizeof d->transparent, "%.*s",
		 open ? (int)strcspn(open + 1, "]") : 7, open ? open + 1 : "unknown");
}

static void look_for_gpu(struct pn_doctor *d)
{
	glob_t found;
	char model[128] = "";

	if (glob("/proc/driver/nvidia/gpus/*/information", 0, NULL, &found) == 0) {
		line_of(found.gl_pathv[0], "Model", model, sizeof model);
		snprintf(d->gpu, sizeof d->gpu, "%zu x %s", found.gl_pathc,
			 model[0] ? model : "NVIDIA");
		globfree(&found);
		return;
	}
	if (glob("/dev/nvidia[0-9]*", 0, NULL, &found) == 0) {
		snprintf(d->gpu, sizeof d->gpu, "%zu x NVIDIA (/dev/nvidia*)", found.gl_pathc);
		globfree(&found);
	}
}

/* ---- telling ------------------------------------------------------------------------------- */

static void print_disk(const struct pn_doctor *d, const char *dir)
{
	char a[PN_TEXT_SHORT], b[PN_TEXT_SHORT];

	printf("disk         %s: %s free of %s\n", dir, pn_text_bytes(a, d->free_bytes),
	       pn_text_bytes(b, d->disk_bytes));
	if (d->write_bytes_per_s > 0)
		printf("writes       %s/s%s\n", pn_text_bytes(a, d->write_bytes_per_s),
		       d->direct ? " past the page cache (O_DIRECT)"
				 : " with a sync (no O_DIRECT here)");
	else
		printf("writes       not measured: %s\n", d->write_error);
	printf("recording    %s\n", d->engine);
}

static void print_text(const struct pn_doctor *d, const char *dir)
{
	char a[PN_TEXT_SHORT], b[PN_TEXT_SHORT];

	printf("perrin       %s, built with %s\n", PERRIN_VERSION, PERRIN_COMPILER);
	printf("libraries    %s\n", PERRIN_LIBRARIES);
	printf("processor    %ld cores, %s\n", d->cores, d->cpu[0] ? d->cpu : "unknown model");
	printf("AVX-512      %s\n", d->avx512 ? "yes" : "no");
	printf("AMX          %s\n", d->amx ? "yes" : "no");
	printf("GPU          %s\n", d->gpu[0] ? d->gpu : "none found");
	printf("memory       %s, %s available\n", pn_text_bytes(a, d->memory_bytes),
	       pn_text_bytes(b, d->available_bytes));
	printf("huge pages   transparent: %s; reserved: %ld\n", d->transparent, d->huge_pages);
	print_disk(d, dir);
}

static void print_json(const struct pn_doctor *d, const char *dir)
{
	struct pn_json json;

	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	pn_json_text(&json, "perrin", PERRIN_VERSION);
	pn_json_text(&json, "compiler", PERRIN_COMPILER);
	pn_json_text(&json, "libraries", PERRIN_LIBRARIES);
	pn_json_i64(&json, "cores", d->cores);
	pn_json_text(&json, "cpu", d->cpu[0] ? d->cpu : NULL);
	pn_json_bool(&json, "avx512", d->avx512);
	pn_json_bool(&json, "amx", d->amx);
	pn_json_text(&json, "gpu", d->gpu[0] ? d->gpu : NULL);
	pn_json_f64(&json, "memory_bytes", d->memory_bytes);
	pn_json_f64(&json, "memory_available_bytes", d->available_bytes);
	pn_json_text(&json, "transparent_huge_pages", d->transparent);
	pn_json_i64(&json, "reserved_huge_pages", d->huge_pages);
	pn_json_object(&json, "disk");
	pn_json_text(&json, "dir", dir);
	pn_json_f64(&json, "bytes", d->disk_bytes);
	pn_json_f64(&json, "free_bytes", d->free_bytes);
	pn_json_f64(&json, "write_bytes_per_s", d->write_bytes_per_s);
	pn_json_bool(&json, "o_direct", d->direct);
	pn_json_text(&json, "write_error", d->write_error[0] ? d->write_error : NULL);
	pn_json_text(&json, "recording", d->engine);
	pn_json_end(&json);
	pn_json_end(&json);
}

static int run(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	const struct doctor_options *options = arg;
	struct pn_doctor d = { 0 };
	int rc = pn_doctor_disk(&d, options->dir, err);

	(void)extra, (void)extra_count;
	if (rc)
		return rc;
	look_at_cpu(&d);
	look_at_memory(&d);
	look_for_gpu(&d);
	if (options->json)
		print_json(&d, options->dir);
	else
		print_text(&d, options->dir);
	return PN_OK;
}

const struct pn_command pn_command_doctor = {
	.name = "doctor",
	.brief = "is this machine fit to record and to compute?",
	.usage = "[--dir DIR] [--json]",
	.params = params,
	.options_size = sizeof(struct doctor_options),
	.run = run,
};
