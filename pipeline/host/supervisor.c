/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * supervisor.c - one process per stage. The supervisor holds the windows and the metrics page and does
 * nothing that could fail: it forks, waits, and forks again. It makes no thread and no socket, so that
 * a child forked at any time is as clean as the first.
 */
#include "host.h"

#include "perrin/base/clock.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define EXIT_FAILED 64 /* exit status of a stage that failed: this minus its code */
#define WATCH_NS    (100 * PN_NS_PER_MS)
#define TIMED_NICE  10 /* priority of a timed stage's process */

struct child {
	pid_t pid; /* 0: none */
	struct pn_restart restart;
};

/* The run of this stage's process; a signal handler can reach nothing else. */
static struct pn_run *child_run;

/* Only the host may end a stage, and it does so by dying: a signal to the whole group (a time limit, a
 * service manager) is for the host to answer, which drains. */
static void quit(int number)
{
	(void)number;
	if (getppid() != child_run->metrics->host_pid)
		child_run->quit = 1;
}

static _Noreturn void child_main(struct pn_run *run, unsigned stage, pid_t parent)
{
	struct pn_stage_metrics *metrics = &run->metrics->stages[stage];
	struct pn_error err = { 0 };

	/* a terminal's Ctrl-C reaches the whole group: the host decides what it means. SIGTERM comes when
	 * the host is dead, and with it the window's last holder: what is in it goes to disk now. */
	child_run = run;
	signal(SIGINT, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	sigaction(SIGTERM, &(struct sigaction){ .sa_handler = quit }, NULL);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(0);
	prctl(PR_SET_NAME, metrics->name);
	/* what uses the time there is leaves it first to those that must keep up */
	if (run->config->graph->stages[stage].ops->timed)
		setpriority(PRIO_PROCESS, 0, TIMED_NICE);
	sigprocmask(SIG_SETMASK, &run->old_signals, NULL);
	int rc = pn_run_loop(run, stage, &err);

	if (rc)
		pn_metrics_error(metrics, err.text);
	_exit(rc ? EXIT_FAILED - rc : 0);
}

static int start(struct pn_run *run, struct child *children, unsigned stage)
{
	struct pn_stage_metrics *metrics = &run->metrics->stages[stage];
	pid_t parent = getpid();

	fflush(NULL);
	pid_t pid = fork();
	if (pid == 0)
		child_main(run, stage, parent);
	if (pid < 0) {
		pn_metrics_error(metrics, strerror(errno));
		metrics->state = PN_STAGE_FAILED;
		return PN_EIO;
	}
	children[stage].pid = pid;
	metrics->pid = pid;
	metrics->state = PN_STAGE_RUNNING;
	pn_metrics_publish(run->metrics);
	return PN_OK;
}

/* What a dead reader held must not keep its producer waiting. */
static void release_windows(struct pn_run *run, unsigned stage)
{
	const struct pn_graph_stage *s = &run->config->graph->stages[stage];

	for (unsigned i = 0; i < s->input_count; i++)
		if (run->windows[s->inputs[i].stream])
			pn_window_release(run->windows[s->inputs[i].stream], s->inputs[i].slot);
	for (unsigned i = 0; i < PN_PORTS_MAX; i++)
		if (s->outputs[i] >= 0 && run->windows[s->outputs[i]])
			pn_window_release(run->windows[s->outputs[i]], PN_WINDOW_READERS_MAX - 1);
}

/* One child is gone: note how, and start its stage again if it may. */
static void settle_child(struct pn_run *run, struct child *children, unsigned stage, int status)
{
	struct pn_stage_metrics *metrics = &run->metrics->stages[stage];
	char text[128];
	int code = PN_EIO;

	children[stage].pid = 0;
	metrics->pid = 0;
	release_windows(run, stage);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		metrics->state = PN_STAGE_ENDED;
		return;
	}
	if (WIFEXITED(status)) {
		code = EXIT_FAILED - WEXITSTATUS(status);
	} else {
		snprintf(text, sizeof text, "stage %s was ended by signal %d (%s)", metrics->name,
			 WTERMSIG(status), strsignal(WTERMSIG(status)));
		pn_metrics_error(metrics, text);
	}
	if (run->metrics->stop > 1 ||
	    !pn_run_may_restart(run, stage, &children[stage].restart, code)) {
		metrics->state = PN_STAGE_FAILED;
		return;
	}
	start(run, children, stage);
}

static void reap(struct pn_run *run, struct child *children)
{
	int status;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
		for (unsigned i = 0; i < run->config->graph->stage_count; i++)
			if (children[i].pid == pid)
				settle_child(run, children, i, status);
}

int pn_run_in_processes(struct pn_run *run)
{
	struct child children[PN_STAGES_MAX] = { 0 };
	unsigned count = run->config->graph->stage_count, alive;

	/* consumers first: they wait for their producers, not the other way round */
	for (unsigned i = count; i-- > 0;)
		start(run, children, i);
	do {
		pn_run_watch(run, WATCH_NS);
		reap(run, children);
		alive = 0;
		for (unsigned i = 0; i < count; i++) {
			alive += children[i].pid != 0;
			if (children[i].pid && run->metrics->stop > 1)
				kill(children[i].pid, SIGKILL);
		}
	} while (alive);
	return PN_OK;
}
