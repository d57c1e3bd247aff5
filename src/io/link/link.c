/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/link/link.h"

#include "link_ops.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define CREDIT_DEFAULT 64
#define DISK_LATE_NS   INT64_C(2000000) /* between looks for a record told of but not on disk yet */

static const struct {
	const char *scheme;
	const struct pn_serve_ops *serve;
	const struct pn_pull_ops *pull;
} transports[] = {
	{ "mem:", &pn_mem_serve_ops, &pn_mem_pull_ops },
	{ "ipc://", &pn_zmq_serve_ops, &pn_zmq_pull_ops },
	{ "tcp://", &pn_zmq_serve_ops, &pn_zmq_pull_ops },
};

static int find_transport(const char *endpoint, struct pn_error *err)
{
	if (!endpoint || !strchr(endpoint, ':'))
		return pn_error_set(err, PN_EARG, "link: \"%s\" is no endpoint",
				    endpoint ? endpoint : "");
	for (int i = 0; i < (int)PN_COUNT(transports); i++)
		if (strncmp(endpoint, transports[i].scheme, strlen(transports[i].scheme)) == 0)
			return i;
	return pn_error_set(err, PN_EPERM, "link: %s: only mem:, ipc:// and tcp:// on loopback",
			    endpoint);
}

int64_t pn_link_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * INT64_C(1000000000) + ts.tv_nsec;
}

/* ---- producer's side ------------------------------------------------------------------------ */

int pn_link_serve(struct pn_link_server **out, const char *endpoint, const char *dir,
		  struct pn_window *window, struct pn_error *err)
{
	struct pn_link_server *server;
	int i = find_transport(endpoint, err), rc;

	*out = NULL;
	if (i < 0)
		return i;
	server = calloc(1, sizeof *server);
	if (!server)
		return pn_error_set(err, PN_ENOMEM, "link: %s: no memory", endpoint);
	server->ops = transports[i].serve;
	server->window = window;
	server->dir = dir ? strdup(dir) : NULL;
	server->state = calloc(1, server->ops->size);
	if (!server->state || (dir && !server->dir))
		rc = pn_error_set(err, PN_ENOMEM, "link: %s: no memory", endpoint);
	else
		rc = server->ops->open(server, endpoint, err);
	if (rc) {
		pn_link_stop(server);
		return rc;
	}
	*out = server;
	return PN_OK;
}

int pn_link_published(struct pn_link_server *server, uint64_t count, int ended,
		      struct pn_error *err)
{
	server->count = count;
	server->ended = ended != 0;
	return server->ops->published(server, err);
}

int pn_link_pump(struct pn_link_server *server, struct pn_error *err)
{
	return server->ops->pump(server, err);
}

int pn_link_server_fd(const struct pn_link_server *server)
{
	return server->ops->fd(server);
}

void pn_link_stop(struct pn_link_server *server)
{
	if (!server)
		return;
	if (server->state)
		server->ops->close(server);
	free(server->state);
	free(server->dir);
	free(server);
}

/* ---- consumer's side ------------------------------------------------------------------------ */

static int copy_config(struct pn_link *link, const struct pn_link_config *config,
		       struct pn_error *err)
{
	link->config = *config;
	link->config.endpoint = strdup(config->endpoint);
	link->config.dir = config->dir ? strdup(config->dir) : NULL;
	if (!link->config.credit)
		link->config.credit = CREDIT_DEFAULT;
	if (!link->config.endpoint || (config->dir && !link->config.dir))
		return pn_error_set(err, PN_ENOMEM, "link: %s: no memory", config->endpoint);
	return PN_OK;
}

static int check_config(const struct pn_link_config *config, const struct pn_pull_ops *ops,
			struct pn_error *err)
{
	if (config->policy != PN_LINK_EVERY && config->policy != PN_LINK_FRESHEST)
		return pn_error_set(err, PN_EARG, "link: there is no policy number %d",
				    config->policy);
	if (config->credit > 1000000000)
		return pn_error_set(err, PN_EARG, "link: credit %llu, 10^9 at most",
				    (unsigned long long)config->credit);
	if (config->window && config->slot >= PN_LINK_SERVER_SLOT)
		return pn_error_set(err, PN_EARG, "link: slot %u, readers have 0..%d", config->slot,
				    PN_LINK_SERVER_SLOT - 1);
	if (!config->dir && (config->window || !ops->take))
		return pn_error_set(err, PN_EARG, "link: %s: the stream's folder is not given",
				    config->endpoint);
	return PN_OK;
}

int pn_link_open(struct pn_link **out, const struct pn_link_config *config, struct pn_error *err)
{
	struct pn_link *link;
	int i = find_transport(config->endpoint, err), rc;

	*out = NULL;
	if (i < 0)
		return i;
	rc = check_config(config, transports[i].pull, err);
	if (rc)
		return rc;
	link = calloc(1, sizeof *link);
	if (!link)
		return pn_error_set(err, PN_ENOMEM, "link: %s: no memory", config->endpoint);
	link->ops = transports[i].pull;
	link->next = link->renew_at = config->from;
	link->by_name = config->dir != NULL;
	link->state = calloc(1, link->ops->size);
	rc = copy_config(link, config, err);
	if (!rc && !link->state)
		rc = pn_error_set(err, PN_ENOMEM, "link: %s: no memory", config->endpoint);
	if (!rc)
		rc = link->ops->open(link, err);
	if (rc) {
		pn_link_close(link);
		return rc;
	}
	*out = link;
	return PN_OK;
}

int pn_link_heard(struct pn_link *link, uint64_t count, int ended)
{
	int news = count > link->available || ended != link->ended;

	if (count > link->available)
		link->available = count;
	link->ended = ended;
	return news;
}

/* The stream may not be there before its producer is. */
static int open_reader(struct pn_link *link, struct pn_error *err)
{
	int rc;

	if (link->reader)
		return PN_OK;
	rc = pn_log_read_open(&link->reader, link->config.dir, link->config.window,
			      link->config.slot, link->next, err);
	if (rc)
		link->reader = NULL;
	return rc == PN_ENOENT ? PN_EAGAIN : rc;
}

/* What is published is known from two sides: the producer's word, and the stream itself, which
 * tells more when its producer has died after the last word. */
static int read_by_name(struct pn_link *link, struct pn_msg *msg, uint64_t *skipped,
			struct pn_error *err)
{
	uint64_t count, seq = link->next;
	int closed = 0, rc = open_reader(link, err);

	if (rc == PN_EAGAIN && link->ended && link->next >= link->available)
		return PN_EEND;
	if (rc)
		return rc;
	count = pn_log_read_count(link->reader, &closed);
	if (count > link->available)
		link->available = count;
	if (link->config.policy == PN_LINK_FRESHEST && count > seq)
		seq = count - 1;
	rc = seq == link->next ? pn_log_read(link->reader, msg, err)
			       : pn_log_read_at(link->reader, seq, msg, err);
	if (rc == PN_OK) {
		*skipped = seq - link->next;
		link->next = seq + 1;
		if (link->next > link->available)
			link->available = link->next;
		return PN_OK;
	}
	if (rc != PN_EEND && rc != PN_EAGAIN)
		return rc;
	pn_log_read_seek(link->reader, link->next);
	closed = closed && link->next >= count;
	return closed || (link->ended && link->next >= link->available) ? PN_EEND : PN_EAGAIN;
}

/* How long to sleep before the stream is looked at again although nobody said anything. */
static int64_t slice_ns(const struct pn_link *link, int64_t left)
{
	int64_t slice = link->available > link->next ? DISK_LATE_NS : PN_LINK_SILENCE_NS;

	return left < slice ? left : slice;
}

static int pull_by_name(struct pn_link *link, int64_t timeout_ns, struct pn_msg *msg,
			uint64_t *skipped, struct pn_error *err)
{
	int64_t deadline = timeout_ns > 0 ? pn_link_now_ns() + timeout_ns : 0, left = 0;
	int rc;

	for (;;) {
		rc = read_by_name(link, msg, skipped, err);
		/* the message is delivered: what fails here fails again in the next wait */
		if (rc == PN_OK && link->next >= link->renew_at)
			link->ops->wait(link, 0, NULL);
		if (rc != PN_EAGAIN)
			return rc;
		if (timeout_ns > 0) {
			left = deadline - pn_link_now_ns();
			left = left > 0 ? left : 0;
		}
		rc = link->ops->wait(link, slice_ns(link, left), err);
		if (rc && rc != PN_EAGAIN)
			return rc;
		if (rc == PN_EAGAIN && left == 0)
			return PN_EAGAIN;
	}
}

int pn_link_pull(struct pn_link *link, int64_t timeout_ns, struct pn_msg *msg, uint64_t *skipped,
		 struct pn_error *err)
{
	uint64_t passed = 0;
	int rc = link->by_name ? pull_by_name(link, timeout_ns, msg, &passed, err)
			       : link->ops->take(link, timeout_ns, msg, &passed, err);

	if (skipped)
		*skipped = rc == PN_OK ? passed : 0;
	return rc;
}

uint64_t pn_link_next(const struct pn_link *link)
{
	return link->next;
}

uint64_t pn_link_available(const struct pn_link *link)
{
	return link->available;
}

int pn_link_fd(const struct pn_link *link)
{
	return link->ops->fd(link);
}

void pn_link_close(struct pn_link *link)
{
	if (!link)
		return;
	if (link->state)
		link->ops->close(link);
	pn_log_read_close(link->reader);
	free(link->state);
	free((char *)link->config.endpoint);
	free((char *)link->config.dir);
	free(link);
}
