/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * link_mem.c - "mem:NAME", the transport within one process: producer and consumers meet at a hub,
 * which lives as long as one of them. A hub holds what a notice would carry, so nothing is queued.
 */
#include "link_ops.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct hub {
	char *name;
	unsigned refs;
	int serving, ended;
	uint64_t count, changes;
	pthread_cond_t changed;
	struct hub *next;
};

/* Names are the process's: this is where threads that know nothing else of each other meet. */
static struct {
	pthread_mutex_t lock; /* also of everything in the hubs */
	struct hub *hubs;
} registry = { .lock = PTHREAD_MUTEX_INITIALIZER };

static struct hub *make_hub(const char *name)
{
	struct hub *hub = calloc(1, sizeof *hub);
	pthread_condattr_t attr;

	if (!hub)
		return NULL;
	hub->name = strdup(name);
	if (!hub->name) {
		free(hub);
		return NULL;
	}
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&hub->changed, &attr);
	pthread_condattr_destroy(&attr);
	hub->next = registry.hubs;
	registry.hubs = hub;
	return hub;
}

static int join(const char *endpoint, int serving, struct hub **out, struct pn_error *err)
{
	const char *name = endpoint + strlen("mem:");
	struct hub *hub;
	int rc = PN_OK;

	if (!*name)
		return pn_error_set(err, PN_EARG, "link: mem: needs a name behind it");
	pthread_mutex_lock(&registry.lock);
	for (hub = registry.hubs; hub && strcmp(hub->name, name) != 0; hub = hub->next)
		;
	if (!hub)
		hub = make_hub(name);
	if (!hub)
		rc = pn_error_set(err, PN_ENOMEM, "link: %s: no memory", endpoint);
	else if (serving && hub->serving)
		rc = pn_error_set(err, PN_EIO, "link: %s: it has a producer", endpoint);
	else {
		hub->refs++;
		hub->serving |= serving;
		*out = hub;
	}
	pthread_mutex_unlock(&registry.lock);
	return rc;
}

static void leave(struct hub *hub, int serving)
{
	struct hub **at = &registry.hubs;

	pthread_mutex_lock(&registry.lock);
	if (serving)
		hub->serving = 0;
	if (--hub->refs == 0) {
		while (*at != hub)
			at = &(*at)->next;
		*at = hub->next;
		pthread_cond_destroy(&hub->changed);
		free(hub->name);
		free(hub);
	}
	pthread_mutex_unlock(&registry.lock);
}

/* ---- producer's side ------------------------------------------------------------------------ */

struct mem_server {
	struct hub *hub;
};

static int serve_open(struct pn_link_server *server, const char *endpoint, struct pn_error *err)
{
	struct mem_server *state = server->state;

	return join(endpoint, 1, &state->hub, err);
}

static int serve_published(struct pn_link_server *server, struct pn_error *err)
{
	struct hub *hub = ((struct mem_server *)server->state)->hub;

	(void)err;
	pthread_mutex_lock(&registry.lock);
	hub->count = server->count;
	hub->ended = server->ended;
	hub->changes++;
	pthread_cond_broadcast(&hub->changed);
	pthread_mutex_unlock(&registry.lock);
	return PN_OK;
}

static int serve_pump(struct pn_link_server *server, struct pn_error *err)
{
	(void)server;
	(void)err;
	return PN_OK;
}

static int serve_fd(const struct pn_link_server *server)
{
	(void)server;
	return -1;
}

static void serve_close(struct pn_link_server *server)
{
	struct mem_server *state = server->state;

	if (state->hub)
		leave(state->hub, 1);
}

const struct pn_serve_ops pn_mem_serve_ops = {
	.size = sizeof(struct mem_server),
	.open = serve_open,
	.published = serve_published,
	.pump = serve_pump,
	.fd = serve_fd,
	.close = serve_close,
};

/* ---- consumer's side ------------------------------------------------------------------------ */

struct mem_pull {
	struct hub *hub;
	uint64_t changes; /* of the hub, as last seen */
};

static int pull_open(struct pn_link *link, struct pn_error *err)
{
	struct mem_pull *state = link->state;

	link->renew_at = UINT64_MAX; /* a hub counts no credit: nothing is sent ahead */
	return join(link->config.endpoint, 0, &state->hub, err);
}

static int pull_wait(struct pn_link *link, int64_t timeout_ns, struct pn_error *err)
{
	struct mem_pull *state = link->state;
	struct hub *hub = state->hub;
	int64_t until = pn_link_now_ns() + (timeout_ns > 0 ? timeout_ns : 0);
	struct timespec ts = { .tv_sec = until / 1000000000, .tv_nsec = until % 1000000000 };
	int late = timeout_ns <= 0, news = 0;

	(void)err;
	pthread_mutex_lock(&registry.lock);
	while (!late && hub->changes == state->changes)
		late = pthread_cond_timedwait(&hub->changed, &registry.lock, &ts) != 0;
	if (hub->changes != state->changes) {
		state->changes = hub->changes;
		news = pn_link_heard(link, hub->count, hub->ended);
	}
	pthread_mutex_unlock(&registry.lock);
	return news ? PN_OK : PN_EAGAIN;
}

static int pull_fd(const struct pn_link *link)
{
	(void)link;
	return -1;
}

static void pull_close(struct pn_link *link)
{
	struct mem_pull *state = link->state;

	if (state->hub)
		leave(state->hub, 0);
}

const struct pn_pull_ops pn_mem_pull_ops = {
	.size = sizeof(struct mem_pull),
	.open = pull_open,
	.wait = pull_wait,
	.fd = pull_fd,
	.close = pull_close,
};
