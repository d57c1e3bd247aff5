/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "host.h"

#include "carry.h"
#include "perrin/base/clock.h"
#include "perrin/base/file.h"
#include "perrin/math/fft.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define IDLE_NS      (20 * PN_NS_PER_MS)
#define PROGRESS_NS  (100 * PN_NS_PER_MS)
#define LIVED_NS     (2 * PN_NS_PER_S)
#define RESERVE_BYTES (256 << 10)

/* ---- the session's folder ------------------------------------------------------------------ */

static int make_folder(const char *path, struct pn_error *err)
{
	return mkdir(path, 0755) ? pn_error_errno(err, errno, "%s", path) : PN_OK;
}

static FILE *create_file(const char *session, const char *name, struct pn_error *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/%s", session, name);
	FILE *file = fopen(path, "wx");
	if (!file)
		pn_error_errno(err, errno, "%s", path);
	return file;
}

static int close_file(FILE *file, const char *name, struct pn_error *err)
{
	int bad = ferror(file);
	int errnum = bad ? EIO : 0;

	if (fclose(file))
		errnum = errno;
	return errnum ? pn_error_errno(err, errnum, "%s", name) : PN_OK;
}

static int write_description(const struct pn_run_config *config, struct pn_error *err)
{
	struct pn_json json;
	char when[64];
	time_t now = time(NULL);
	struct tm utc;

	FILE *file = create_file(config->session, "graph.yaml", err);
	if (!file)
		return err->code;
	pn_graph_write(config->graph, file);
	int rc = close_file(file, "graph.yaml", err);
	if (rc)
		return rc;
	file = create_file(config->session, "session.json", err);
	if (!file)
		return err->code;
	strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &utc));
	pn_json_init(&json, file, 1);
	pn_json_object(&json, NULL);
	pn_json_text(&json, "perrin", PERRIN_VERSION);
	pn_json_u64(&json, "format", 1);
	pn_json_text(&json, "graph", config->graph->name);
	pn_json_text(&json, "source", config->source_uri);
	pn_json_text(&json, "started", when);
	pn_json_end(&json);
	return close_file(file, "session.json", err);
}

/* Held back so that a session that fills the disk can still say so in its summary. */
static int reserve_space(const char *session, struct pn_error *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/reserve", session);
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
	if (fd < 0)
		return pn_error_errno(err, errno, "%s", path);
	int errnum = posix_fallocate(fd, 0, RESERVE_BYTES);
	close(fd);
	return errnum ? pn_error_errno(err, errnum, "%s: %d bytes", path, RESERVE_BYTES) : PN_OK;
}

static void release_space(const char *session)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%s/reserve", session);
	unlink(path);
}

/* A run that never began leaves no session behind that would stand in the way of the next try. */
static void unmake_session(const char *session)
{
	static const char *const names[] = { "graph.yaml", "session.json", "reserve", "metrics",
					     "wisdom",     "wisdom.lock",  "checkpoints", "" };
	char path[PATH_MAX];

	for (unsigned i = 0; i < PN_COUNT(names); i++) {
		snprintf(path, sizeof path, "%s/%s", session, names[i]);
		remove(path);
	}
}

static int make_session(const struct pn_run_config *config, struct pn_error *err)
{
	char path[PATH_MAX], wisdom[PATH_MAX];

	if (strlen(config->session) > PATH_MAX - 256)
		return pn_error_set(err, PN_EARG, "session path of %zu bytes is too long",
				    strlen(config->session));
	int rc = make_folder(config->session, err);
	if (rc == PN_EEXIST)
		return pn_error_set(err, PN_EEXIST,
				    "%s is there already: a session never writes over another",
				    config->session);
	if (rc)
		return rc;
	snprintf(path, sizeof path, "%s/checkpoints", config->session);
	rc = make_folder(path, err);
	if (!rc)
		rc = write_description(config, err);
	if (!rc)
		rc = reserve_space(config->session, err);
	snprintf(wisdom, sizeof wisdom, "%s/wisdom", config->session);
	if (!rc && config->wisdom && access(config->wisdom, R_OK) == 0)
		rc = pn_file_copy(config->wisdom, wisdom, err);
	if (rc)
		unmake_session(config->session);
	return rc;
}

int pn_session_check(const char *session, struct pn_error *err)
{
	char path[PATH_MAX];

	snprintf(path, sizeof path, "%.*s/session.json", PATH_MAX - 32, session);
	if (access(path, R_OK))
		return pn_error_set(err, PN_ENOENT, "%s: not a session (no session.json in it)", session);
	return PN_OK;
}

/* ---- what all ways to run share ------------------------------------------------------------ */

void pn_run_stage_config(const struct pn_run *run, unsigned stage, struct pn_runner_config *config)
{
	*config = (struct pn_runner_config){
		.graph = run->config->graph,
		.stage = stage,
		.session = run->config->session,
		.source_uri = run->config->source_uri,
		.windows = run->windows,
		.link_base = run->link_base,
		.metrics = run->metrics,
		.checkpoint_ms = run->checkpoint_ms,
		.engine = run->config->engine,
	};
}

int pn_run_loop(const struct pn_run *run, unsigned stage, struct pn_error *err)
{
	struct pn_runner_config config;
	struct pn_runner *runner;
	int64_t now_ns = pn_now_ns();

	pn_run_stage_config(run, stage, &config);
	int rc = pn_runner_open(&runner, &config, now_ns, err);
	if (rc)
		return rc;
	for (rc = PN_OK; !run->quit;) {
		rc = pn_runner_step(runner, now_ns, err);
		now_ns = pn_now_ns();
		if (rc == PN_EAGAIN) {
			pn_runner_wait(runner, now_ns, IDLE_NS);
			now_ns = pn_now_ns();
		} else if (rc) {
			break;
		}
	}
	if (rc == PN_EEND || run->quit)
		return pn_runner_close(runner, err);
	pn_runner_close(runner, NULL);
	return rc;
}

int pn_run_may_restart(const struct pn_run *run, unsigned stage, struct pn_restart *restart,
		       int code)
{
	struct pn_stage_metrics *metrics = &run->metrics->stages[stage];
	struct pn_counts counts;

	/* these do not go away by trying again */
	if (code == PN_ENOSPC || code == PN_EARG || code == PN_EPERM || code == PN_ECORRUPT ||
	    code == PN_EUNSUPPORTED)
		return 0;
	pn_metrics_get_counts(metrics, &counts);
	int64_t now_ns = pn_now_ns();

	/* one that has lived for a while was idle, not broken */
	if (counts.taken > restart->taken || now_ns - restart->failed_ns > LIVED_NS)
		restart->without_progress = 0;
	restart->taken = counts.taken;
	restart->failed_ns = now_ns;
	if (++restart->without_progress > run->restart_limit)
		return 0;
	atomic_fetch_add(&metrics->restarts, 1);
	return 1;
}

int pn_run_watch(struct pn_run *run, int64_t timeout_ns)
{
	int64_t now_ns = pn_now_ns();
	int64_t wait_ns = run->progress_due_ns - now_ns < timeout_ns ? run->progress_due_ns - now_ns
								     : timeout_ns;
	if (wait_ns < 0)
		wait_ns = 0;
	struct timespec timeout = { wait_ns / PN_NS_PER_S, wait_ns % PN_NS_PER_S };
	int number = sigtimedwait(&run->signals, NULL, &timeout);

	if (number == SIGINT || number == SIGTERM || number == SIGHUP)
		atomic_fetch_add(&run->metrics->stop, 1);
	now_ns = pn_now_ns();
	if (now_ns >= run->progress_due_ns) {
		pn_metrics_publish(run->metrics);
		if (run->config->progress)
			run->config->progress(run->config->progress_arg, run->metrics);
		run->progress_due_ns = now_ns + PROGRESS_NS;
	}
	return number > 0 ? number : 0;
}

/* ---- one thread ---------------------------------------------------------------------------- */

struct fused {
	struct pn_runner *runner;
	struct pn_restart restart;
	int over;
};

/* A stage has ended or failed: close it, and start it again if it may. */
static void settle_stage(struct pn_run *run, unsigned stage, struct fused *f, int rc,
			 struct pn_error *err)
{
	struct pn_stage_metrics *metrics = &run->metrics->stages[stage];
	struct pn_runner_config config;

	if (rc == PN_EEND)
		rc = pn_runner_close(f->runner, err);
	else
		pn_runner_close(f->runner, NULL);
	f->runner = NULL;
	while (rc) {
		pn_metrics_error(metrics, err->text);
		if (!pn_run_may_restart(run, stage, &f->restart, rc)) {
			metrics->state = PN_STAGE_FAILED;
			f->over = 1;
			return;
		}
		pn_run_stage_config(run, stage, &config);
		rc = pn_runner_open(&f->runner, &config, pn_now_ns(), err);
		if (!rc)
			return;
	}
	metrics->state = PN_STAGE_ENDED;
	f->over = 1;
}

int pn_run_in_thread(struct pn_run *run)
{
	unsigned count = run->config->graph->stage_count, over = 0;
	struct fused *fused = calloc(count, sizeof *fused);
	struct pn_runner_config config;

	if (!fused)
		return PN_ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		struct pn_error err = { 0 };

		run->metrics->stages[i].state = PN_STAGE_RUNNING;
		run->metrics->stages[i].pid = getpid();
		pn_run_stage_config(run, i, &config);
		int rc = pn_runner_open(&fused[i].runner, &config, pn_now_ns(), &err);
		if (rc)
			settle_stage(run, i, &fused[i], rc, &err);
	}
	while (over < count) {
		int busy = 0;

		over = 0;
		for (unsigned i = 0; i < count; i++) {
			struct pn_error err = { 0 };

			if (fused[i].over) {
				over++;
				continue;
			}
			int rc = pn_runner_step(fused[i].runner, pn_now_ns(), &err);
			if (rc && rc != PN_EAGAIN)
				settle_stage(run, i, &fused[i], rc, &err);
			busy |= rc != PN_EAGAIN;
		}
		if (pn_now_ns() >= run->progress_due_ns)
			pn_run_watch(run, 0);
		if (!busy)
			pn_sleep_ns(PN_NS_PER_MS / 4);
		if (run->metrics->stop > 1)
			break;
	}
	for (unsigned i = 0; i < count; i++) {
		if (!fused[i].over) {
			run->metrics->stages[i].state = PN_STAGE_FAILED;
			pn_metrics_error(&run->metrics->stages[i], "ended at once, by a second signal");
		}
		pn_runner_close(fused[i].runner, NULL);
	}
	free(fused);
	return PN_OK;
}

/* ---- threads ------------------------------------------------------------------------------- */

struct threaded {
	struct pn_run *run;
	unsigned stage;
	pthread_t thread;
	_Atomic int over;
};

static void *stage_thread(void *arg)
{
	struct threaded *t = arg;
	struct pn_stage_metrics *metrics = &t->run->metrics->stages[t->stage];
	struct pn_restart restart = { 0 };
	struct pn_error err = { 0 };
	int rc;

	metrics->state = PN_STAGE_RUNNING;
	metrics->pid = getpid();
	while ((rc = pn_run_loop(t->run, t->stage, &err))) {
		pn_metrics_error(metrics, err.text);
		if (!pn_run_may_restart(t->run, t->stage, &restart, rc))
			break;
	}
	if (!rc && t->run->quit) {
		rc = PN_EIO;
		pn_metrics_error(metrics, "ended at once, by a second signal");
	}
	metrics->state = rc ? PN_STAGE_FAILED : PN_STAGE_ENDED;
	t->over = 1;
	return NULL;
}

int pn_run_in_threads(struct pn_run *run)
{
	unsigned count = run->config->graph->stage_count, started = 0, over;
	struct threaded *threads = calloc(count, sizeof *threads);
	int errnum = 0;

	if (!threads)
		return PN_ENOMEM;
	for (; started < count; started++) {
		threads[started].run = run;
		threads[started].stage = started;
		errnum = pthread_create(&threads[started].thread, NULL, stage_thread, &threads[started]);
		if (errnum) {
			run->metrics->stages[started].state = PN_STAGE_FAILED;
			pn_metrics_error(&run->metrics->stages[started], strerror(errnum));
			run->metrics->stop = 1;
			break;
		}
	}
	do {
		pn_run_watch(run, IDLE_NS);
		if (run->metrics->stop > 1)
			run->quit = 1;
		over = 0;
		for (unsigned i = 0; i < started; i++)
			over += (unsigned)threads[i].over;
	} while (over < started);
	for (unsigned i = 0; i < started; i++)
		pthread_join(threads[i].thread, NULL);
	free(threads);
	return errnum ? PN_EIO : PN_OK;
}

/* ---- the run ------------------------------------------------------------------------------- */

static int make_windows(struct pn_run *run, const struct pn_carried *carried, struct pn_error *err)
{
	const struct pn_graph *graph = run->config->graph;

	for (unsigned i = 0; i < graph->stream_count; i++) {
		const struct pn_graph_stream *s = &graph->streams[i];

		if (carried->streams[i]) /* read from disk: nobody writes it */
			continue;
		/* each reader may hold a chunk; the writer needs two more to go on */
		unsigned least = s->reader_count + 3;
		unsigned count = s->chunk_count > least ? (unsigned)s->chunk_count : least;
		int rc = pn_window_create(&run->windows[i], (uint64_t)s->chunk_MiB << 20, count, err);

		if (rc)
			return pn_error_wrap(err, "stream %s", s->name);
	}
	return PN_OK;
}

/* Sockets stand in a folder of their own: their paths must be short, sessions' may be long. */
static int make_link_base(struct pn_run *run, struct pn_error *err)
{
	const char *runtime = getenv("XDG_RUNTIME_DIR");
	char folder[64];

	if (run->config->graph->place != PN_PLACE_PROCESSES) {
		snprintf(run->link_base, sizeof run->link_base, "mem:%d-%p", (int)getpid(), (void *)run);
		return PN_OK;
	}
	if (!runtime || strlen(runtime) > 32 || access(runtime, W_OK))
		runtime = "/tmp";
	snprintf(folder, sizeof folder, "%s/perrin-XXXXXX", runtime);
	if (!mkdtemp(folder))
		return pn_error_errno(err, errno, "%s", folder);
	snprintf(run->link_base, sizeof run->link_base, "ipc://%s", folder);
	return PN_OK;
}

static void remove_link_base(struct pn_run *run)
{
	char path[PATH_MAX];

	if (strncmp(run->link_base, "ipc://", 6))
		return;
	for (unsigned i = 0; i < run->config->graph->stream_count; i++) {
		snprintf(path, sizeof path, "%s/%s", run->link_base + 6,
			 run->config->graph->streams[i].name);
		unlink(path);
	}
	rmdir(run->link_base + 6);
}

/* What a dead stage had published but not brought to disk is still in its window: save it. */
static int rescue_streams(const struct pn_run *run, struct pn_error *err)
{
	const struct pn_graph *graph = run->config->graph;
	int rc = PN_OK;

	for (unsigned i = 0; i < graph->stage_count; i++) {
		if (run->metrics->stages[i].state != PN_STAGE_FAILED)
			continue;
		for (unsigned port = 0; port < PN_PORTS_MAX; port++) {
			int stream = graph->stages[i].outputs[port];
			struct pn_log_writer *writer;
			char dir[PATH_MAX];

			if (stream < 0)
				continue;
			snprintf(dir, sizeof dir, "%s/%s", run->config->session,
				 graph->streams[stream].name);
			struct pn_log_config log = {
				.dir = dir,
				.align = (uint32_t)graph->streams[stream].align,
				.engine = run->config->engine,
				.window = run->windows[stream],
			};
			struct pn_error why;
			int bad = pn_log_open(&writer, &log, NULL, &why);
			if (!bad)
				bad = pn_log_finish(writer, 0, &why);
			if (bad && !rc) {
				rc = bad;
				*err = why;
			}
		}
	}
	return rc;
}

static int first_failure(const struct pn_run *run, struct pn_error *err)
{
	for (unsigned i = 0; i < run->metrics->stage_count; i++) {
		const struct pn_stage_metrics *stage = &run->metrics->stages[i];

		if (stage->state == PN_STAGE_FAILED)
			return pn_error_set(err, PN_EIO, "stage %s gave up: %s", stage->name,
					    stage->last_error);
	}
	return PN_OK;
}

static int run_graph(struct pn_run *run, struct pn_error *err)
{
	static int (*const ways[])(struct pn_run *) = {
		[PN_PLACE_THREAD] = pn_run_in_thread,
		[PN_PLACE_THREADS] = pn_run_in_threads,
		[PN_PLACE_PROCESSES] = pn_run_in_processes,
	};

	sigemptyset(&run->signals);
	sigaddset(&run->signals, SIGINT);
	sigaddset(&run->signals, SIGTERM);
	sigaddset(&run->signals, SIGHUP);
	sigaddset(&run->signals, SIGCHLD);
	pthread_sigmask(SIG_BLOCK, &run->signals, &run->old_signals);
	int rc = ways[run->config->graph->place](run);
	pthread_sigmask(SIG_SETMASK, &run->old_signals, NULL);
	if (rc)
		return pn_error_set(err, rc, "cannot start the stages");
	run->metrics->end_ns = pn_now_ns();
	run->metrics->ended = 1;
	pn_metrics_publish(run->metrics);
	if (run->config->progress)
		run->config->progress(run->config->progress_arg, run->metrics);
	release_space(run->config->session);
	/* what failed first is told first: a full disk fails the rest as well */
	struct pn_error late = { 0 };
	rc = first_failure(run, err);
	int rescued = rescue_streams(run, &late);
	int written = pn_run_summary(run, rescued ? NULL : &late);

	if (!rc && (rescued || written)) {
		*err = late;
		rc = late.code;
	}
	return rc;
}

int pn_run(const struct pn_run_config *config, struct pn_error *err)
{
	struct pn_run run = {
		.config = config,
		.restart_limit = config->restart_limit ? config->restart_limit : 10,
		.checkpoint_ms = config->checkpoint_ms ? config->checkpoint_ms : 200,
	};
	struct pn_carried carried = { 0 };
	char wisdom[PATH_MAX];
	int rc = make_session(config, err);

	if (rc)
		return rc;
	snprintf(wisdom, sizeof wisdom, "%s/wisdom", config->session);
	rc = pn_fft_use_wisdom(wisdom, err);
	if (rc == PN_EFORMAT && unlink(wisdom) == 0) /* of another FFTW: plan anew */
		rc = pn_fft_use_wisdom(wisdom, err);
	if (!rc)
		rc = pn_metrics_create(&run.metrics, config->session, config->graph, err);
	if (!rc)
		rc = make_link_base(&run, err);
	if (!rc && !config->retrain)
		rc = pn_carry(&carried, config->graph, config->session, config->source_uri, err);
	if (!rc)
		rc = make_windows(&run, &carried, err);
	if (rc) {
		pn_carry_undo(&carried, config->graph, config->session);
		unmake_session(config->session);
	} else {
		rc = run_graph(&run, err);
	}
	remove_link_base(&run);
	for (unsigned i = 0; i < config->graph->stream_count; i++)
		pn_window_destroy(run.windows[i]);
	pn_metrics_destroy(run.metrics);
	pn_fft_use_wisdom(NULL, NULL);
	return rc;
}
