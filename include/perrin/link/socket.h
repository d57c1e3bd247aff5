/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/link/socket.h - ZeroMQ sockets for whoever speaks a protocol of his own; zmq.h stays inside. */
#ifndef PERRIN_LINK_SOCKET_H
#define PERRIN_LINK_SOCKET_H

#include "perrin/base/status.h"

#include <stddef.h>
#include <stdint.h>

#define PN_PARTS_MAX 16

enum pn_socket_kind {
	PN_SOCKET_PUSH,
	PN_SOCKET_PULL,
	PN_SOCKET_DEALER,
	PN_SOCKET_ROUTER,
	PN_SOCKET_PUB, /* to all who are connected and keep up; sending never waits, nor fails  */
	PN_SOCKET_SUB, /* takes everything                                                      */
};

struct pn_socket;

/** One part of a multipart message; borrowed. */
struct pn_part {
	const void *data;
	size_t bytes;
};

/**
 * pn_socket_open - bind or connect one socket. Caller closes.
 *
 * @high_water: messages queued before send says PN_EAGAIN, each way
 *
 * Only ipc:// and tcp:// on loopback addresses are accepted: anything else is refused with PN_EPERM
 * until keys are configured. Errors: PN_EARG, PN_EPERM, PN_EIO ("address in use" and the like).
 * Thread: a socket belongs to one thread at a time.
 */
int pn_socket_open(struct pn_socket **socket, enum pn_socket_kind kind, const char *endpoint,
		   int bind, int high_water, struct pn_error *err);
void pn_socket_close(struct pn_socket *socket);

/** pn_socket_send - send parts as one message; copies them. PN_EAGAIN if it would block. */
int pn_socket_send(struct pn_socket *socket, const struct pn_part *parts, unsigned count,
		   struct pn_error *err);

/**
 * pn_socket_receive - the next message within @timeout_ns; parts stay until the next call.
 * Errors: PN_EAGAIN (nothing came), PN_EFRAME (more than PN_PARTS_MAX parts; it is discarded).
 */
int pn_socket_receive(struct pn_socket *socket, int64_t timeout_ns, struct pn_part *parts,
		      unsigned *count, struct pn_error *err);

/** pn_socket_fd - edge-triggered descriptor of libzmq: read until PN_EAGAIN before polling it. */
int pn_socket_fd(const struct pn_socket *socket);

/** pn_socket_endpoint - the endpoint bound, with the port that "tcp://127.0.0.1:*" got. */
const char *pn_socket_endpoint(const struct pn_socket *socket);

#endif
