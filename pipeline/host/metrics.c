/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/host/metrics.h"

#include "perrin/base/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define METRICS_MAGIC   UINT32_C(0x4d4e5031)
#define METRICS_VERSION 2

const char *const pn_stage_state_words[] = { "waiting", "running", "ended", "failed", NULL };

static int metrics_path(char *path, size_t size, const char *session, struct pn_error *err)
{
	if ((size_t)snprintf(path, size, "%s/metrics", session) >= size)
		return pn_error_set(err, PN_EARG, "session path of %zu bytes is too long",
				    strlen(session));
	return PN_OK;
}

static void name_stage(struct pn_stage_metrics *metrics, const struct pn_graph_stage *stage)
{
	snprintf(metrics->name, sizeof metrics->name, "%s", stage->name);
	for (unsigned i = 0; stage->ops->reasons && stage->ops->reasons[i] && i < PN_REASONS_MAX; i++)
		snprintf(metrics->reasons[i], sizeof metrics->reasons[i], "%s", stage->ops->reasons[i]);
	snprintf(metrics->reasons[PN_SKIP_BAD], sizeof metrics->reasons[0], "bad_message");
}

int pn_metrics_create(struct pn_metrics **page, const char *session, const struct pn_graph *graph,
		      struct pn_error *err)
{
	char path[4096];
	int rc = metrics_path(path, sizeof path, session, err);

	if (rc)
		return rc;
	int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return pn_error_errno(err, errno, "%s", path);
	/* blocks are taken now: a full disk must not keep the last numbers back */
	int errnum = posix_fallocate(fd, 0, sizeof **page);
	if (errnum) {
		close(fd);
		return pn_error_errno(err, errnum, "%s: %zu bytes", path, sizeof **page);
	}
	struct pn_metrics *m = mmap(NULL, sizeof *m, PROT_READ | PROT_WRITE,
				    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	errnum = errno;
	if (m == MAP_FAILED) {
		close(fd);
		return pn_error_errno(err, errnum, "metrics: %zu bytes", sizeof *m);
	}
	m->file = fd;
	snprintf(m->graph, sizeof m->graph, "%s", graph->name);
	m->stage_count = graph->stage_count;
	for (unsigned i = 0; i < graph->stage_count; i++)
		name_stage(&m->stages[i], &graph->stages[i]);
	m->start_wall_ns = pn_wall_ns();
	m->start_ns = pn_now_ns();
	m->host_pid = getpid();
	m->version = METRICS_VERSION;
	m->magic = METRICS_MAGIC;
	pn_metrics_publish(m);
	*page = m;
	return PN_OK;
}

void pn_metrics_publish(const struct pn_metrics *page)
{
	/* a reader may see half of one copy and half of the next: each number by itself is whole */
	if (pwrite(page->file, page, sizeof *page, 0) < 0)
		return; /* the next copy is due in a moment */
}

void pn_metrics_destroy(struct pn_metrics *page)
{
	if (!page)
		return;
	close(page->file);
	munmap(page, sizeof *page);
}

int pn_metrics_open(const struct pn_metrics **page, const char *session, struct pn_error *err)
{
	char path[4096];
	struct stat st;
	int rc = metrics_path(path, sizeof path, session, err);

	if (rc)
		return rc;
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st)) {
		int errnum = errno;

		if (fd >= 0)
			close(fd);
		return pn_error_errno(err, errnum, "%s", path);
	}
	if (st.st_size != sizeof **page) {
		close(fd);
		return pn_error_set(err, PN_EFORMAT, "%s: %lld bytes, need %zu: not metrics of this version",
				    path, (long long)st.st_size, sizeof **page);
	}
	const struct pn_metrics *m = mmap(NULL, sizeof *m, PROT_READ, MAP_SHARED, fd, 0);
	int errnum = errno;
	close(fd);
	if (m == MAP_FAILED)
		return pn_error_errno(err, errnum, "%s: cannot map", path);
	if (m->magic != METRICS_MAGIC || m->version != METRICS_VERSION ||
	    m->stage_count > PN_STAGES_MAX) {
		pn_metrics_close(m);
		return pn_error_set(err, PN_EFORMAT, "%s: not metrics of this version", path);
	}
	*page = m;
	return PN_OK;
}

void pn_metrics_close(const struct pn_metrics *page)
{
	if (page)
		munmap((void *)page, sizeof *page);
}

void pn_metrics_put_counts(struct pn_stage_metrics *stage, const struct pn_counts *counts)
{
	const uint64_t *from = (const uint64_t *)counts;

	for (unsigned i = 0; i < PN_COUNT(stage->counts); i++)
		atomic_store_explicit(&stage->counts[i], from[i], memory_order_relaxed);
}

void pn_metrics_get_counts(const struct pn_stage_metrics *stage, struct pn_counts *counts)
{
	uint64_t *to = (uint64_t *)counts;

	for (unsigned i = 0; i < PN_COUNT(stage->counts); i++)
		to[i] = atomic_load_explicit(&stage->counts[i], memory_order_relaxed);
}

uint64_t pn_counts_skipped(const struct pn_counts *counts)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < PN_COUNT(counts->skipped); i++)
		sum += counts->skipped[i];
	return sum;
}

uint64_t pn_counts_pending(const struct pn_counts *counts)
{
	return counts->taken - counts->done - pn_counts_skipped(counts);
}

void pn_metrics_error(struct pn_stage_metrics *stage, const char *text)
{
	snprintf(stage->last_error, sizeof stage->last_error, "%s", text);
	atomic_fetch_add_explicit(&stage->last_error_count, 1, memory_order_release);
}

static void latency_json(const struct pn_hist *hist, struct pn_json *json)
{
	static const struct {
		const char *key;
		double q;
	} rows[] = { { "p50_ms", 0.5 }, { "p90_ms", 0.9 }, { "p99_ms", 0.99 }, { "max_ms", 1 } };

	pn_json_object(json, "latency");
	pn_json_u64(json, "count", hist->count);
	for (unsigned i = 0; i < PN_COUNT(rows); i++)
		pn_json_f64(json, rows[i].key, (double)pn_hist_quantile(hist, rows[i].q) / 1e6);
	pn_json_end(json);
}

static void stage_json(const struct pn_stage_metrics *stage, int64_t elapsed_ns,
		       struct pn_json *json)
{
	struct pn_counts counts;

	pn_metrics_get_counts(stage, &counts);
	pn_json_object(json, NULL);
	pn_json_text(json, "name", stage->name);
	pn_json_i64(json, "pid", stage->pid);
	pn_json_text(json, "state", pn_stage_state_words[stage->state & 3]);
	pn_json_u64(json, "restarts", stage->restarts);
	pn_json_u64(json, "checkpoints", stage->checkpoints);
	pn_json_u64(json, "messages", counts.messages);
	pn_json_u64(json, "taken", counts.taken);
	pn_json_u64(json, "emitted_for", counts.done);
	pn_json_object(json, "skipped");
	for (unsigned i = 0; i < PN_SKIP_COUNT; i++)
		if (stage->reasons[i][0])
			pn_json_u64(json, stage->reasons[i], counts.skipped[i]);
	pn_json_end(json);
	pn_json_u64(json, "passed_over", counts.passed_over);
	pn_json_u64(json, "pending", pn_counts_pending(&counts));
	pn_json_u64(json, "emitted", counts.emitted);
	pn_json_u64(json, "bytes_in", counts.bytes_in);
	pn_json_u64(json, "bytes_out", counts.bytes_out);
	pn_json_u64(json, "queue", stage->queue);
	pn_json_f64(json, "time_s", (double)stage->time_ns / 1e9);
	pn_json_f64(json, "busy", elapsed_ns > 0 ? (double)stage->busy_ns / (double)elapsed_ns : 0);
	latency_json(&stage->latency, json);
	pn_json_text(json, "last_error", stage->last_error_count ? stage->last_error : NULL);
	pn_json_end(json);
}

void pn_metrics_members(const struct pn_metrics *page, struct pn_json *json)
{
	int64_t end_ns = page->ended ? page->end_ns : pn_now_ns();
	int64_t elapsed_ns = end_ns - page->start_ns;

	pn_json_text(json, "graph", page->graph);
	pn_json_i64(json, "host_pid", page->host_pid);
	/* a host that was killed never says that it has ended */
	pn_json_bool(json, "running", !page->ended && (!kill(page->host_pid, 0) || errno != ESRCH));
	pn_json_f64(json, "elapsed_s", (double)elapsed_ns / 1e9);
	pn_json_array(json, "stages");
	for (unsigned i = 0; i < page->stage_count; i++)
		stage_json(&page->stages[i], elapsed_ns, json);
	pn_json_end(json);
}

void pn_metrics_json(const struct pn_metrics *page, struct pn_json *json, const char *key)
{
	pn_json_object(json, key);
	pn_metrics_members(page, json);
	pn_json_end(json);
}
