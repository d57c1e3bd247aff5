/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin advise - what the advice of a session was, or is as it comes; told on to who can act on
 * it. */
#include "command.h"
#include "common/session.h"
#include "perrin/base/clock.h"
#include "perrin/base/json.h"
#include "perrin/host/host.h"
#include "perrin/host/metrics.h"
#include "perrin/link/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#define LOOK_NS    (50 * PN_NS_PER_MS)
#define HIGH_WATER 1000

extern char **environ;

struct advise_options {
	char session[PN_PARAM_TEXT_MAX], stream[PN_PARAM_TEXT_MAX];
	char publish[PN_PARAM_TEXT_MAX], on_advice[PN_PARAM_TEXT_MAX];
	double limit_s;
	int follow, every, json;
};

#define OFF(field) offsetof(struct advise_options, field)
/* clang-format off */
static const struct pn_param params[] = {
	{ .name = "session", .help = "the session, running or over", .type = PN_PARAM_TEXT,
	  .off = OFF(session), .positional = 1, .required = 1 },
	{ .name = "follow", .help = "go on as advice comes, until the run is over",
	  .type = PN_PARAM_BOOL, .off = OFF(follow) },
	{ .name = "stream", .help = "of its streams this one (default: the first of advice)",
	  .type = PN_PARAM_TEXT, .off = OFF(stream) },
	{ .name = "publish", .unit = "ENDPOINT", .help = "a ZeroMQ PUB socket there: verdict, JSON",
	  .type = PN_PARAM_TEXT, .off = OFF(publish) },
	{ .name = "on_advice", .unit = "COMMAND",
	  .help = "for the shell, when the verdict on a particle changes (it begins with continue)",
	  .type = PN_PARAM_TEXT, .off = OFF(on_advice) },
	{ .name = "every", .help = "run the command for each advice", .type = PN_PARAM_BOOL,
	  .off = OFF(every) },
	{ .name = "limit_s", .unit = "s", .help = "a command that takes longer is ended",
	  .type = PN_PARAM_F64, .off = OFF(limit_s), .def = 60, .min = 0.01, .max = 1e6 },
	{ .name = "json", .help = "one JSON object a line", .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ 0 },
};
/* clang-format on */

static void more_help(FILE *out)
{
	fputs("The command gets the advice as JSON on its standard input, and in its environment\n"
	      "PERRIN_VERDICT, PERRIN_CONFIDENCE, PERRIN_REASONS and PERRIN_PARTICLE. What it "
	      "prints\n"
	      "goes to standard error. If it fails that is told, and the next advice is waited "
	      "for.\n"
	      "Verdicts: continue, enough, structure changed, no longer useful.\n\n"
	      "To listen with Python:\n\n"
	      "\tsocket = zmq.Context().socket(zmq.SUB)\n"
	      "\tsocket.connect(\"tcp://127.0.0.1:5570\")\n"
	      "\tsocket.subscribe(b\"\")            # or b\"enough\"\n"
	      "\tverdict, advice = socket.recv_multipart()\n",
	      out);
}

struct follower {
	const struct advise_options *options;
	char dir[PATH_MAX]; /* of the stream; "": not there yet */
	struct pn_log_reader *reader;
	struct pn_socket *socket;
	struct verdict {
		uint64_t particle;
		int verdict;
	} * last;
	size_t count;
	uint64_t told, damaged;
};

/* ---- the stream ---------------------------------------------------------------------------- */

static int is_advice(const char *dir)
{
	static struct pn_stream_facts facts;

	return pn_stream_facts(&facts, dir, NULL) == PN_OK && facts.schema == &pn_advice_schema;
}

/* PN_ENOENT while no stream of the session holds advice. */
static int find_stream(struct follower *f, struct pn_error *err)
{
	static struct pn_session_streams streams;
	const struct advise_options *o = f->options;
	int rc = pn_session_streams(&streams, o->session, err);

	for (unsigned i = 0; i < streams.count && !rc; i++) {
		if (o->stream[0] && strcmp(streams.stream[i].name, o->stream) != 0)
			continue;
		if (is_advice(streams.stream[i].dir)) {
			snprintf(f->dir, sizeof f->dir, "%s", streams.stream[i].dir);
			return PN_OK;
		}
		if (o->stream[0])
			return pn_error_set(err, PN_EARG, "%s/%s: holds no advice", o->session,
					    o->stream);
	}
	if (rc)
		return rc;
	return pn_error_set(
		err, PN_ENOENT,
		"%s: no %s%s of advice; a graph with the stage advise, or advise_tilts, "
		"makes one",
		o->session, o->stream[0] ? "stream " : "stream", o->stream);
}

/* Nothing more will come: the run has ended, or its host has died. */
static int is_over(const char *session)
{
	const struct pn_metrics *metrics;
	int over;

	if (pn_metrics_open(&metrics, session, NULL))
		return 0; /* the stream's own end has to tell */
	over = metrics->ended || (kill(metrics->host_pid, 0) && errno == ESRCH);
	pn_metrics_close(metrics);
	return over;
}

/* ---- the command --------------------------------------------------------------------------- */

/* Its standard input: a file in memory, so that it need not read it. */
static int input_of(const char *json, size_t bytes)
{
	int fd = memfd_create("advice", MFD_CLOEXEC);

	if (fd < 0)
		return -1;
	if (write(fd, json, bytes) != (ssize_t)bytes || lseek(fd, 0, SEEK_SET)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int start(pid_t *pid, const char *command, int input)
{
	char *const words[] = { (char[]){ "sh" }, (char[]){ "-c" }, (char *)command, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, input, 0);
	posix_spawn_file_actions_adddup2(&actions, 2, 1);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
	int errnum = posix_spawn(pid, "/bin/sh", &actions, &attributes, words, environ);

	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	return errnum;
}

/* The status of waitpid; -1 if it took too long and was ended. */
static int wait_for(pid_t pid, double limit_s)
{
	const int64_t until_ns = pn_now_ns() + (int64_t)(limit_s * 1e9);
	int status = 0;

	while (waitpid(pid, &status, WNOHANG) == 0) {
		if (pn_now_ns() > until_ns) {
			kill(-pid, SIGKILL);
			waitpid(pid, &status, 0);
			return -1;
		}
		pn_sleep_ns(5 * PN_NS_PER_MS);
	}
	return status;
}

static void run_command(const struct follower *f, const struct pn_advice_head *head,
			const char *json, size_t bytes)
{
	const struct advise_options *o = f->options;
	char number[32];
	pid_t pid;

	setenv("PERRIN_VERDICT", pn_verdict_words[head->verdict], 1);
	setenv("PERRIN_REASONS", head->reasons, 1);
	snprintf(number, sizeof number, "%.6f", head->confidence);
	setenv("PERRIN_CONFIDENCE", number, 1);
	snprintf(number, sizeof number, "%" PRIu64, head->particle);
	setenv("PERRIN_PARTICLE", number, 1);
	fflush(stdout);
	int input = input_of(json, bytes);
	int errnum = input < 0 ? errno : start(&pid, o->on_advice, input);

	if (input >= 0)
		close(input);
	if (errnum) {
		fprintf(stderr, "perrin advise: the command could not be started: %s\n",
			strerror(errnum));
		return;
	}
	int status = wait_for(pid, o->limit_s);

	if (status == -1)
		fprintf(stderr, "perrin advise: the command took more than %g s and was ended\n",
			o->limit_s);
	else if (WIFSIGNALED(status))
		fprintf(stderr, "perrin advise: the command was ended by signal %d\n",
			WTERMSIG(status));
	else if (WEXITSTATUS(status))
		fprintf(stderr, "perrin advise: the command failed with code %d\n",
			WEXITSTATUS(status));
}

/* ---- one advice ---------------------------------------------------------------------------- */

/* Whether the verdict on this particle is another than before; the first is if not continue. */
static int changes(struct follower *f, const struct pn_advice_head *head, int *changed,
		   struct pn_error *err)
{
	size_t i = 0;

	while (i < f->count && f->last[i].particle != head->particle)
		i++;
	if (i == f->count) {
		struct verdict *more = realloc(f->last, (i + 1) * sizeof *more);

		if (!more)
			return pn_error_set(err, PN_ENOMEM, "no memory for %zu particles", i + 1);
		f->last = more;
		f->last[i] = (struct verdict){ head->particle, PN_VERDICT_CONTINUE };
		f->count++;
	}
	*changed = f->last[i].verdict != head->verdict;
	f->last[i].verdict = head->verdict;
	return PN_OK;
}

static char *json_of(const struct pn_msg *msg, const struct pn_advice_head *head, size_t *bytes)
{
	struct pn_json json;
	char *text = NULL;
	FILE *file = open_memstream(&text, bytes);

	if (!file)
		return NULL;
	pn_json_init(&json, file, 0);
	pn_json_object(&json, NULL);
	pn_json_u64(&json, "seq", msg->seq);
	pn_json_i64(&json, "time_ns", msg->time_ns);
	pn_head_json(&pn_advice_schema, head, &json);
	pn_json_end(&json);
	if (fclose(file)) {
		free(text);
		return NULL;
	}
	return text;
}

static void print(const struct pn_msg *msg, const struct pn_advice_head *head)
{
	printf("%10.3f s  ", (double)msg->time_ns * 1e-9);
	if (head->segment)
		printf("particle %" PRIu64 "  ", head->particle);
	printf("%s (%.2f): %s\n", pn_verdict_words[head->verdict], head->confidence, head->reasons);
}

static int tell(struct follower *f, const struct pn_msg *msg, const struct pn_advice_head *head,
		struct pn_error *err)
{
	const char *verdict = pn_verdict_words[head->verdict];
	size_t bytes = 0;
	int changed = 0;
	int rc = changes(f, head, &changed, err);

	if (rc)
		return rc;
	char *json = json_of(msg, head, &bytes);
	if (!json)
		return pn_error_set(err, PN_ENOMEM, "no memory for an advice as JSON");
	if (f->options->json)
		fputs(json, stdout);
	else
		print(msg, head);
	if (f->options->follow)
		fflush(stdout);
	if (f->socket) {
		const struct pn_part parts[] = { { verdict, strlen(verdict) }, { json, bytes } };

		rc = pn_socket_send(f->socket, parts, 2, err);
	}
	if (f->options->on_advice[0] && (changed || f->options->every))
		run_command(f, head, json, bytes);
	f->told++;
	free(json);
	return rc == PN_EAGAIN ? PN_OK : rc;
}

/* All there is; PN_EEND when the stream is closed behind it, PN_EAGAIN when it may grow. */
static int tell_what_is_there(struct follower *f, struct pn_error *err)
{
	struct pn_advice_head head;
	struct pn_msg msg;
	int ended = 0;

	if (!f->dir[0]) {
		int rc = find_stream(f, err);
		if (rc == PN_ENOENT && f->options->follow)
			return PN_EAGAIN;
		if (rc)
			return rc;
	}
	if (!f->reader) {
		int rc = pn_log_read_open(&f->reader, f->dir, NULL, 0, 0, err);
		if (rc)
			return rc;
	}
	for (;;) {
		const uint64_t seq = pn_log_read_seq(f->reader);
		int rc = pn_log_read(f->reader, &msg, err);

		if (rc == PN_EEND || rc == PN_EAGAIN)
			break;
		if (!rc)
			rc = pn_msg_decode(&pn_advice_schema, &msg, &head, err);
		if (!rc) {
			rc = tell(f, &msg, &head, err);
		} else if ((rc == PN_ECORRUPT || rc == PN_EFRAME) &&
			   seq < pn_log_read_count(f->reader, NULL)) {
			if (!f->damaged++)
				fprintf(stderr, "perrin advise: left out: %s\n", err->text);
			*err = (struct pn_error){ 0 };
			pn_log_read_seek(f->reader, seq + 1);
			rc = PN_OK;
		}
		if (rc)
			return rc;
	}
	pn_log_read_count(f->reader, &ended);
	return ended ? PN_EEND : PN_EAGAIN;
}

static int follow(struct follower *f, struct pn_error *err)
{
	for (;;) {
		/* looked at first: what was written before the end is read after it */
		const int over = !f->options->follow || is_over(f->options->session);
		int rc = tell_what_is_there(f, err);

		if (rc != PN_EAGAIN)
			return rc == PN_EEND ? PN_OK : rc;
		if (over && !f->dir[0]) /* then it is an error after all */
			return find_stream(f, err);
		if (over || ferror(stdout))
			return PN_OK;
		*err = (struct pn_error){ 0 };
		pn_sleep_ns(LOOK_NS);
	}
}

static int run(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	struct follower f = { .options = arg };
	int rc = pn_session_check(f.options->session, err);

	(void)extra, (void)extra_count;
	if (!rc && f.options->publish[0])
		rc = pn_socket_open(&f.socket, PN_SOCKET_PUB, f.options->publish, 1, HIGH_WATER,
				    err);
	if (!rc)
		rc = follow(&f, err);
	if (!rc && f.damaged)
		rc = pn_error_set(err, PN_ECORRUPT, "%s: %" PRIu64 " damaged records are left out",
				  f.dir, f.damaged);
	if (!rc && !f.told)
		fprintf(stderr, "perrin advise: %s: no advice yet\n", f.dir);
	pn_socket_close(f.socket);
	pn_log_read_close(f.reader);
	free(f.last);
	return rc;
}

const struct pn_command pn_command_advise = {
	.name = "advise",
	.brief = "whether to go on: the verdicts of a session; run a command when they change",
	.usage = "SESSION [--follow] [--publish ENDPOINT] [--on-advice COMMAND] [flags]",
	.params = params,
	.options_size = sizeof(struct advise_options),
	.more_help = more_help,
	.run = run,
};
