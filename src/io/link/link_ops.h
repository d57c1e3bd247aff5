/* SPDX-License-Identifier: GPL-3.0-or-later */
/* link_ops.h - what a transport does for links, and what links keep for it. Used inside
 * src/io/link. */
#ifndef PERRIN_LINK_LINK_OPS_H
#define PERRIN_LINK_LINK_OPS_H

#include "perrin/link/link.h"

#define PN_LINK_SILENCE_NS  INT64_C(200000000) /* ask again when nothing was heard for so long */
#define PN_LINK_SERVER_SLOT (PN_WINDOW_READERS_MAX - 1)

struct pn_link_server {
	const struct pn_serve_ops *ops;
	char *dir; /* or NULL */
	struct pn_window *window;
	uint64_t count;
	int ended;
	void *state; /* of the transport, ops->size zeroed bytes */
};

/**
 * The producer's side of a transport. No call blocks. close also runs after a failed open.
 * published and pump bring server->count and ->ended, as they are now, to whom they concern.
 */
struct pn_serve_ops {
	size_t size;
	int (*open)(struct pn_link_server *server, const char *endpoint, struct pn_error *err);
	int (*published)(struct pn_link_server *server, struct pn_error *err);
	int (*pump)(struct pn_link_server *server, struct pn_error *err);
	int (*fd)(const struct pn_link_server *server);
	void (*close)(struct pn_link_server *server);
};

struct pn_link {
	const struct pn_pull_ops *ops;
	struct pn_link_config config; /* endpoint and dir are copies of our own  */
	int by_name;                  /* records are read here, by their numbers */
	uint64_t next, available, renew_at;
	int ended;
	struct pn_log_reader *reader; /* opened when the stream is there         */
	void *state;
};

/**
 * The consumer's side of a transport. close also runs after a failed open.
 *
 * wait: ask when it is due (link->next has reached link->renew_at, or silence), take in what the
 * producer says into link->available and link->ended, waiting up to @timeout_ns for news. PN_OK if
 * there were any, PN_EAGAIN if not.
 *
 * take: the next message with its bytes, when records come through the transport itself; as
 * pn_link_pull, and moves link->next. NULL if it only carries names.
 */
struct pn_pull_ops {
	size_t size;
	int (*open)(struct pn_link *link, struct pn_error *err);
	int (*wait)(struct pn_link *link, int64_t timeout_ns, struct pn_error *err);
	int (*take)(struct pn_link *link, int64_t timeout_ns, struct pn_msg *msg, uint64_t *skipped,
		    struct pn_error *err);
	int (*fd)(const struct pn_link *link);
	void (*close)(struct pn_link *link);
};

extern const struct pn_serve_ops pn_mem_serve_ops, pn_zmq_serve_ops;
extern const struct pn_pull_ops pn_mem_pull_ops, pn_zmq_pull_ops;

/** pn_link_now_ns - CLOCK_MONOTONIC. */
int64_t pn_link_now_ns(void);

/** pn_link_heard - take in what the producer said; counts never go back. Returns 1 if it was news.
 */
int pn_link_heard(struct pn_link *link, uint64_t count, int ended);

#endif
