/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin send - play the part of a camera: frames of any source over the native protocol. */
#include "command.h"
#include "common/text.h"
#include "perrin/base/clock.h"
#include "perrin/base/json.h"
#include "perrin/detector/sender.h"
#include "perrin/detector/source.h"
#include "perrin/stream/head.h"

#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#define SLICE_NS (50 * PN_NS_PER_MS) /* between two looks at signals and the terminal */

struct send_options {
	char source[PN_PARAM_TEXT_MAX];
	char to[PN_PARAM_TEXT_MAX];
	char name[PN_PARAM_TEXT_MAX];
	double fps, timeout_s;
	int64_t frames;
	int json;
};

#define OFF(field) offsetof(struct send_options, field)
static const struct pn_param params[] = {
	{ .name = "source",
	  .help = "URI of the frames; --help lists the kinds",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(source),
	  .positional = 1,
	  .required = 1 },
	{ .name = "to",
	  .unit = "ENDPOINT",
	  .help = "where a native: source listens: ipc:///PATH or tcp://HOST:PORT",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(to),
	  .required = 1 },
	{ .name = "name",
	  .help = "what the sender calls itself; the same after a restart",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(name),
	  .def_text = "perrin-send" },
	{ .name = "fps",
	  .unit = "1/s",
	  .help = "frames per second; 0: as the source gives them",
	  .type = PN_PARAM_F64,
	  .off = OFF(fps),
	  .max = 1e6 },
	{ .name = "frames",
	  .help = "stop after so many; 0: all",
	  .type = PN_PARAM_I64,
	  .off = OFF(frames),
	  .max = 1e15 },
	{ .name = "timeout_s",
	  .unit = "s",
	  .help = "how long to wait for the other side",
	  .type = PN_PARAM_F64,
	  .off = OFF(timeout_s),
	  .def = 30,
	  .min = 0.01,
	  .max = 1e6 },
	{ .name = "json",
	  .help = "print the result as JSON",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ 0 },
};

struct send {
	const struct send_options *options;
	struct pn_source *source;
	struct pn_sender *sender;
	sigset_t signals;
	int stop;
	uint64_t bad;   /* frames that the source could not give */
	uint64_t given; /* frames taken from the source */
	uint64_t end;   /* one more than the number of the last */
	int64_t start_ns, shown_ns;
};

static void look_around(struct send *s)
{
	static const struct timespec at_once = { 0 };
	int64_t now_ns = pn_now_ns();
	char text[PN_TEXT_SHORT];

	if (sigtimedwait(&s->signals, NULL, &at_once) > 0)
		s->stop = 1;
	if (now_ns - s->shown_ns < 200 * PN_NS_PER_MS || !isatty(STDERR_FILENO))
		return;
	fprintf(stderr, "\r%llu frames, %s/s\033[K", (unsigned long long)s->given,
		pn_text_rate(text, (double)s->given * 1e9 / (double)(now_ns - s->start_ns + 1)));
	s->shown_ns = now_ns;
}

/* Until it is taken: the other side may be busy writing, and may be dead for timeout_s. */
static int send_one(struct send *s, const struct pn_msg *msg, struct pn_error *err)
{
	int64_t until_ns = pn_now_ns() + (int64_t)(s->options->timeout_s * 1e9);

	for (;;) {
		int rc = pn_sender_message(s->sender, msg, SLICE_NS, err);

		look_around(s);
		if (rc != PN_EAGAIN || s->stop)
			return rc;
		if (pn_now_ns() > until_ns)
			return pn_error_set(err, PN_ETIMEOUT, "%s: took no frame for %g s",
					    s->options->to, s->options->timeout_s);
	}
}

/* Sleep until frame number @given is due. */
static int pace(struct send *s, struct pn_error *err)
{
	int64_t due_ns = s->start_ns + (int64_t)((double)s->given * 1e9 / s->options->fps);

	for (;;) {
		int64_t left_ns = due_ns - pn_now_ns();

		if (left_ns <= 0 || s->stop)
			return PN_OK;
		if (left_ns > PN_NS_PER_MS) {
			int rc = pn_sender_pump(s->sender, left_ns < SLICE_NS ? left_ns : SLICE_NS,
						err);

			if (rc)
				return rc;
			look_around(s);
		} else {
			pn_sleep_ns(left_ns);
		}
	}
}

static int take_one(struct send *s, struct pn_msg *msg, struct pn_error *err)
{
	for (;;) {
		int rc = pn_source_next(s->source, pn_now_ns(), msg, err);

		if (rc == PN_OK && msg->port == PN_PORT_FRAMES)
			return PN_OK;
		if (rc == PN_EFRAME) {
			/* one that is lost is no reason to keep the others back */
			fprintf(stderr, "perrin send: left out: %s\n", err->text);
			*err = (struct pn_error){ 0 };
			s->bad++;
			continue;
		}
		if (rc == PN_EAGAIN) {
			pn_source_wait(s->source, pn_now_ns(), SLICE_NS);
			look_around(s);
			rc = s->stop ? PN_EEND : pn_sender_pump(s->sender, 0, err);
		}
		if (rc)
			return rc;
	}
}

static int send_all(struct send *s, struct pn_error *err)
{
	struct pn_frames_head *head = malloc(sizeof *head);
	int rc = head ? PN_OK : pn_error_set(err, PN_ENOMEM, "no memory");

	while (!rc && !s->stop &&
	       (!s->options->frames || s->given < (uint64_t)s->options->frames)) {
		struct pn_msg msg;

		rc = take_one(s, &msg, err);
		if (rc)
			break;
		rc = pn_head_decode(&pn_frames_schema, msg.head, msg.head_bytes, head, err);
		if (!rc && s->options->fps > 0)
			rc = pace(s, err);
		if (rc || s->stop)
			break;
		rc = send_one(s, &msg, err);
		if (!rc) {
			s->given++;
			s->end = head->frame + 1;
		}
	}
	free(head);
	return rc == PN_EEND || s->stop ? PN_OK : rc;
}

static void print_result(const struct send *s)
{
	double elapsed_s = (double)(pn_now_ns() - s->start_ns) / 1e9;
	struct pn_sender_stats stats;
	char rate[PN_TEXT_SHORT];

	pn_sender_stats(s->sender, &stats);
	if (s->options->json) {
		struct pn_json json;

		pn_json_init(&json, stdout, 1);
		pn_json_object(&json, NULL);
		pn_json_u64(&json, "frames", s->given);
		pn_json_u64(&json, "left_out", s->bad);
		pn_json_u64(&json, "sent", stats.sent);
		pn_json_u64(&json, "resent", stats.resent);
		pn_json_u64(&json, "refused", stats.refused);
		pn_json_text(&json, "reason", stats.refused ? stats.reason : NULL);
		pn_json_u64(&json, "acknowledged", stats.acked);
		pn_json_f64(&json, "elapsed_s", elapsed_s);
		pn_json_end(&json);
		return;
	}
	printf("%llu frames to %s, %s/s; left out: %llu, sent again: %llu, refused: %llu%s%s\n",
	       (unsigned long long)s->given, s->options->to,
	       pn_text_rate(rate, elapsed_s > 0 ? (double)s->given / elapsed_s : 0),
	       (unsigned long long)s->bad, (unsigned long long)stats.resent,
	       (unsigned long long)stats.refused, stats.refused ? ", last because: " : "",
	       stats.refused ? stats.reason : "");
}

static int greet(struct send *s, struct pn_error *err)
{
	return pn_sender_ready(s->sender, SLICE_NS, NULL, err);
}

static int finish(struct send *s, struct pn_error *err)
{
	return pn_sender_finish(s->sender, s->end, SLICE_NS, err);
}

/* In slices, so that a signal is heard. */
static int wait_for(struct send *s, int (*step)(struct send *s, struct pn_error *err),
		    struct pn_error *err)
{
	int64_t until_ns = pn_now_ns() + (int64_t)(s->options->timeout_s * 1e9);
	int stopped = s->stop;

	for (;;) {
		int rc = step(s, err);

		if (rc != PN_ETIMEOUT || pn_now_ns() > until_ns)
			return rc;
		s->stop = 0;
		look_around(s);
		if (s->stop)
			return pn_error_set(err, PN_EIO,
					    "stopped by a signal before the other side answered");
		s->stop = stopped;
	}
}

static int exchange(struct send *s, struct pn_error *err)
{
	struct pn_sender_stats stats;
	int rc = wait_for(s, greet, err);

	if (rc)
		return pn_error_wrap(err, "%s", s->options->to);
	s->start_ns = pn_now_ns();
	rc = send_all(s, err);
	if (isatty(STDERR_FILENO))
		fputs("\r\033[K", stderr);
	if (!rc)
		rc = wait_for(s, finish, err);
	print_result(s);
	pn_sender_stats(s->sender, &stats);
	return rc ? rc : stats.refused || s->bad ? PN_EXIT_FAILED : PN_OK;
}

static int run(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	struct send s = { .options = arg };
	struct pn_sender_config config = { .endpoint = s.options->to, .name = s.options->name };
	sigset_t old;
	int rc = pn_source_open(&s.source, s.options->source, err);

	(void)extra, (void)extra_count;
	if (rc)
		return rc;
	sigemptyset(&s.signals);
	sigaddset(&s.signals, SIGINT);
	sigaddset(&s.signals, SIGTERM);
	sigprocmask(SIG_BLOCK, &s.signals, &old);
	rc = pn_sender_open(&s.sender, &config, err);
	if (!rc)
		rc = exchange(&s, err);
	pn_sender_close(s.sender);
	pn_source_close(s.source);
	sigprocmask(SIG_SETMASK, &old, NULL);
	return rc;
}

const struct pn_command pn_command_send = {
	.name = "send",
	.brief = "play the part of a camera: send frames of any source",
	.usage = "SOURCE_URI --to ENDPOINT [flags]",
	.params = params,
	.options_size = sizeof(struct send_options),
	.more_help = pn_sources_help,
	.run = run,
};
