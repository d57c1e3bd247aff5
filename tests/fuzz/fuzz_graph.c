/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A graph file is written by hand: any text is read or refused, and what is read writes and reads
 * back. */
#include "perrin/host/graph.h"

#include "fuzz.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Written with every parameter's value, and read again: the same text comes out. */
static char *rewrite(const struct pn_graph *graph, struct pn_graph **again)
{
	char *text = NULL, path[64];
	size_t size = 0;
	FILE *out = open_memstream(&text, &size);
	int fd = memfd_create("fuzz_graph", MFD_CLOEXEC);
	struct pn_error err = { 0 };

	pn_assert(out && fd >= 0);
	pn_graph_write(graph, out);
	fclose(out);
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	pn_assert(write(fd, text, size) == (ssize_t)size);
	if (pn_graph_read(again, path, &err)) {
		fprintf(stderr, "%s\n%s", err.text, text);
		abort();
	}
	close(fd);
	return text;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int fd = memfd_create("fuzz_graph", MFD_CLOEXEC);
	struct pn_graph *graph, *again, *third;
	struct pn_error err = { 0 };
	char path[64];

	if (fd < 0)
		return 0;
	snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
	if (write(fd, data, size) == (ssize_t)size) {
		if (pn_graph_read(&graph, path, &err) == PN_OK) {
			char *once = rewrite(graph, &again), *twice = rewrite(again, &third);

			pn_assert(strcmp(once, twice) == 0);
			free(once);
			free(twice);
			pn_graph_destroy(graph);
			pn_graph_destroy(again);
			pn_graph_destroy(third);
		} else {
			pn_assert(!graph && err.code && err.text[0]);
		}
	}
	close(fd);
	return 0;
}

size_t fuzz_seed(unsigned index, uint8_t *bytes, size_t room)
{
	static const char whole[] =
		"graph: liquid-cell\nplace: processes\nstages:\n"
		"  - stage: ingest\n    input: source\n    output: [frames, truth, specimen]\n"
		"  - {stage: track, input: [frames], output: [crops], set: {box_px: 160}, "
		"threads: 0}\n"
		"  - stage: crystal\n    name: c2\n"
		"    input: [{stream: crops, policy: freshest}]\n    output: [crystal]\n"
		"    set: {mean_frames: 7, atom_sd_A: '0'}\n"
		"streams:\n  frames: {durability: interval, interval_ms: 50, chunk_MiB: 16}\n"
		"  truth: {align: 64, chunk_MiB: 1}\n";
	static const char brief[] =
		"graph: r\nplace: thread\nstages: [{stage: ingest, input: source, output: [a]}]\n";
	static const char knotted[] =
		"graph: &a r\nstages: &s\n  - {stage: *a, input: *s, output: &o [*o, *a]}\n";
	static const char *const texts[] = { whole, brief, knotted };

	if (index >= PN_COUNT(texts))
		return 0;
	size_t size = strlen(texts[index]);

	pn_assert(size <= room);
	memcpy(bytes, texts[index], size);
	return size;
}

const unsigned fuzz_places = 1000;
