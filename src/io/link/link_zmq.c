/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * link_zmq.c - "ipc://" and "tcp://": a ROUTER at the producer, a DEALER at each consumer.
 *
 * A pull names its position, so it may be sent again at any time: a consumer that hears nothing for
 * 200 ms does so, which is also how it finds a producer that came back. ZeroMQ gives each
 * connection a new identity, so that a producer knows nothing of a peer that it has not been told
 * by a pull of this very connection. What a connection's loss may double is dropped at the consumer
 * by its number.
 */
#include "link_ops.h"
#include "link_wire.h"
#include "perrin/link/socket.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HIGH_WATER   16 /* messages per peer in ZeroMQ's hands, each way: bounds its memory */
#define PEERS_MAX    256
#define PULLS_MAX    1024 /* taken in at once: a flood must not hold up the producer */
#define IDENTITY_MAX 255

/* ---- producer's side ------------------------------------------------------------------------ */

struct peer {
	uint8_t identity[IDENTITY_MAX];
	size_t identity_bytes;
	struct pn_wire_pull pull; /* the last one                                       */
	uint64_t sent;            /* with records: the next to be sent                  */
	uint64_t left;            /* freshest: records that may be sent                 */
	uint64_t told;            /* count it was told last                             */
	int told_ended, answer;   /* answer: a notice is due although nothing changed   */
};

struct zmq_server {
	struct pn_socket *socket;
	struct pn_log_reader *reader; /* one for all peers, made for the first that wants records */
	struct peer *peers;
	unsigned peer_count;
};

static int serve_open(struct pn_link_server *server, const char *endpoint, struct pn_error *err)
{
	struct zmq_server *state = server->state;

	state->peers = calloc(PEERS_MAX, sizeof *state->peers);
	if (!state->peers)
		return pn_error_set(err, PN_ENOMEM, "link: %s: no memory", endpoint);
	return pn_socket_open(&state->socket, PN_SOCKET_ROUTER, endpoint, 1, HIGH_WATER, err);
}

static void drop_peer(struct zmq_server *state, struct peer *peer)
{
	*peer = state->peers[--state->peer_count];
}

static struct peer *find_peer(struct zmq_server *state, const struct pn_part *identity)
{
	struct peer *peer;

	for (unsigned i = 0; i < state->peer_count; i++) {
		peer = &state->peers[i];
		if (peer->identity_bytes == identity->bytes &&
		    memcmp(peer->identity, identity->data, identity->bytes) == 0)
			return peer;
	}
	if (identity->bytes > IDENTITY_MAX)
		return NULL;
	if (state->peer_count == PEERS_MAX) {
		/* whoever cannot be told is gone: room for this one when it asks again */
		for (unsigned i = 0; i < PEERS_MAX; i++)
			state->peers[i].answer = 1;
		return NULL;
	}
	peer = &state->peers[state->peer_count++];
	memset(peer, 0, sizeof *peer);
	memcpy(peer->identity, identity->data, identity->bytes);
	peer->identity_bytes = identity->bytes;
	return peer;
}

/* A listener's malformed message is its own trouble: it gets no answer, the stream goes on. */
static void take_pull(struct zmq_server *state, const struct pn_part *parts, unsigned count)
{
	struct pn_wire_pull pull;
	struct peer *peer;

	if (count != 2 ||
	    pn_head_decode(&pn_wire_pull_schema, parts[1].data, parts[1].bytes, &pull, NULL))
		return;
	peer = find_peer(state, &parts[0]);
	if (!peer)
		return;
	if (pull.again || pull.from > peer->sent || !peer->pull.credit)
		peer->sent = pull.from;
	peer->pull = pull;
	peer->left = pull.credit;
	peer->answer = 1;
}

/* the first record that the peer's credit does not cover */
static uint64_t credit_end(const struct peer *peer)
{
	const struct pn_wire_pull *pull = &peer->pull;

	return pull->from > UINT64_MAX - pull->credit ? UINT64_MAX : pull->from + pull->credit;
}

static int send_notice(struct pn_link_server *server, struct peer *peer, struct pn_error *err)
{
	struct zmq_server *state = server->state;
	struct pn_wire_available available = { .count = server->count,
					       .ended = (uint64_t)server->ended };
	char bytes[PN_WIRE_BYTES_MAX];
	size_t count = 0;
	int rc = pn_head_encode(&pn_wire_available_schema, &available, bytes, sizeof bytes, &count,
				err);

	if (rc)
		return rc;
	rc = pn_socket_send(state->socket,
			    (const struct pn_part[]){ { peer->identity, peer->identity_bytes },
						      { bytes, count } },
			    2, err);
	if (rc)
		return rc;
	peer->told = server->count;
	peer->told_ended = server->ended;
	peer->answer = 0;
	return PN_OK;
}

static int send_record(struct pn_link_server *server, struct peer *peer, const struct pn_msg *msg,
		       struct pn_error *err)
{
	struct zmq_server *state = server->state;
	struct pn_wire_record record = { .seq = msg->seq,
					 .time_ns = msg->time_ns,
					 .arrival_ns = msg->arrival_ns };
	char bytes[PN_WIRE_BYTES_MAX];
	size_t count = 0;
	int rc = pn_head_encode(&pn_wire_record_schema, &record, bytes, sizeof bytes, &count, err);

	if (rc)
		return rc;
	return pn_socket_send(state->socket,
			      (const struct pn_part[]){ { peer->identity, peer->identity_bytes },
							{ bytes, count },
							{ msg->head, msg->head_bytes },
							{ msg->payload, msg->payload_bytes } },
			      4, err);
}

/* What is wrong with a record is the trouble of who wants it, not of the stream: it is told, and
 * has to pull again for anything more. */
static int send_failure(struct pn_link_server *server, struct peer *peer,
			const struct pn_error *why, struct pn_error *err)
{
	struct zmq_server *state = server->state;
	struct pn_wire_failure failure = { .code = why->code };
	char bytes[PN_WIRE_BYTES_MAX];
	size_t count = 0;
	int rc;

	snprintf(failure.text, sizeof failure.text, "%.*s", (int)sizeof failure.text - 1,
		 why->text);
	if (pn_head_encode(&pn_wire_failure_schema, &failure, bytes, sizeof bytes, &count, NULL)) {
		failure.text[0] = 0; /* a path that is no UTF-8, or cut within a character */
		rc = pn_head_encode(&pn_wire_failure_schema, &failure, bytes, sizeof bytes, &count,
				    err);
		if (rc)
			return rc;
	}
	rc = pn_socket_send(state->socket,
			    (const struct pn_part[]){ { peer->identity, peer->identity_bytes },
						      { bytes, count } },
			    2, err);
	return rc ? rc : PN_ENOENT; /* as a peer that is gone */
}

static int open_reader(struct pn_link_server *server, uint64_t seq, struct pn_error *err)
{
	struct zmq_server *state = server->state;
	int rc;

	if (state->reader)
		return PN_OK;
	if (!server->dir)
		return pn_error_set(
			err, PN_EARG,
			"link: a consumer wants records sent, the stream has no folder");
	rc = pn_log_read_open(&state->reader, server->dir, server->window, PN_LINK_SERVER_SLOT, seq,
			      err);
	if (rc)
		state->reader = NULL;
	return rc == PN_ENOENT ? PN_EAGAIN : rc;
}

/* PN_EAGAIN: no more now, for whatever reason */
static int send_next(struct pn_link_server *server, struct peer *peer, struct pn_error *err)
{
	struct zmq_server *state = server->state;
	uint64_t seq = peer->sent;
	struct pn_error why = { 0 };
	struct pn_msg msg;
	int rc;

	if (seq >= server->count)
		return PN_EAGAIN;
	if (peer->pull.policy == PN_LINK_FRESHEST) {
		if (!peer->left)
			return PN_EAGAIN;
		seq = server->count - 1;
	} else if (seq >= credit_end(peer)) {
		return PN_EAGAIN;
	}
	rc = open_reader(server, seq, &why);
	if (!rc)
		rc = pn_log_read_at(state->reader, seq, &msg, &why);
	if (rc == PN_EAGAIN || rc == PN_EEND) /* on its way to the disk */
		return PN_EAGAIN;
	if (rc)
		return send_failure(server, peer, &why, err);
	rc = send_record(server, peer, &msg, err);
	if (rc)
		return rc;
	peer->sent = seq + 1;
	if (peer->left)
		peer->left--;
	return PN_OK;
}

/* Everything this peer may have and ZeroMQ takes. */
static int serve_peer(struct pn_link_server *server, struct peer *peer, struct pn_error *err)
{
	int done, changed, rc = PN_OK;

	while (peer->pull.with_records && rc == PN_OK)
		rc = send_next(server, peer, err);
	if (rc && rc != PN_EAGAIN)
		return rc;
	if (peer->pull.with_records) {
		/* with its records only the end is news to it, and that behind the last of them */
		done = server->ended && peer->sent >= server->count;
		changed = done && !(peer->told_ended && peer->told == server->count);
	} else {
		changed = (peer->told < server->count && peer->told < credit_end(peer)) ||
			  peer->told_ended != server->ended;
	}
	return changed || peer->answer ? send_notice(server, peer, err) : PN_EAGAIN;
}

static int serve_all(struct pn_link_server *server, struct pn_error *err)
{
	struct zmq_server *state = server->state;
	int failed = PN_OK;

	for (unsigned i = state->peer_count; i-- > 0;) {
		int rc = serve_peer(server, &state->peers[i], err);

		if (rc == PN_ENOENT)
			drop_peer(state, &state->peers[i]);
		else if (rc && rc != PN_EAGAIN)
			failed = rc;
	}
	return failed;
}

/* PN_EAGAIN: there was none */
static int take_pulls(struct zmq_server *state, struct pn_error *err)
{
	struct pn_part parts[PN_PARTS_MAX];
	unsigned count, taken = 0;
	int rc;

	do {
		rc = pn_socket_receive(state->socket, 0, parts, &count, err);
		if (rc == PN_OK)
			take_pull(state, parts, count);
		taken += rc == PN_OK;
	} while ((rc == PN_OK || rc == PN_EFRAME) && taken < PULLS_MAX);
	return taken && (rc == PN_OK || rc == PN_EAGAIN) ? PN_OK : rc;
}

/* Sending can swallow the signal of a pull that came meanwhile: look again before leaving. */
static int serve_pump(struct pn_link_server *server, struct pn_error *err)
{
	struct zmq_server *state = server->state;
	int failed = PN_OK, rc = take_pulls(state, err);

	for (int round = 0; round < PULLS_MAX && (rc == PN_OK || !round); round++) {
		if (rc && rc != PN_EAGAIN)
			return rc;
		failed = serve_all(server, err);
		rc = take_pulls(state, err);
	}
	return failed ? failed : rc == PN_EAGAIN ? PN_OK : rc;
}

static int serve_fd(const struct pn_link_server *server)
{
	const struct zmq_server *state = server->state;

	return pn_socket_fd(state->socket);
}

static void serve_close(struct pn_link_server *server)
{
	struct zmq_server *state = server->state;

	if (state->socket)
		serve_pump(server, NULL);
	pn_socket_close(state->socket);
	pn_log_read_close(state->reader);
	free(state->peers);
}

const struct pn_serve_ops pn_zmq_serve_ops = {
	.size = sizeof(struct zmq_server),
	.open = serve_open,
	.published = serve_pump,
	.pump = serve_pump,
	.fd = serve_fd,
	.close = serve_close,
};

/* ---- consumer's side ------------------------------------------------------------------------ */

struct zmq_pull {
	struct pn_socket *socket;
	int64_t heard_ns, asked_ns;
	int gap;        /* a record came that is not the next                   */
	uint8_t *bytes; /* head and payload of the record delivered last        */
	size_t room;
};

/* A full queue is no failure: pulls for nobody wait in it already. */
static int ask(struct pn_link *link, int again, struct pn_error *err)
{
	struct zmq_pull *state = link->state;
	const struct pn_link_config *config = &link->config;
	int freshest = config->policy == PN_LINK_FRESHEST;
	struct pn_wire_pull pull = {
		.from = link->next,
		/* what was sent ahead would not be the newest any more when it is wanted */
		.credit = freshest && !link->by_name ? 1 : config->credit,
		.policy = config->policy,
		.with_records = !link->by_name,
		.again = again,
	};
	char bytes[PN_WIRE_BYTES_MAX];
	size_t count = 0;
	int rc = pn_head_encode(&pn_wire_pull_schema, &pull, bytes, sizeof bytes, &count, err);

	if (rc)
		return rc;
	rc = pn_socket_send(state->socket, &(struct pn_part){ bytes, count }, 1, err);
	if (rc && rc != PN_EAGAIN)
		return rc;
	state->asked_ns = pn_link_now_ns();
	state->gap = 0;
	if (rc == PN_OK)
		link->renew_at = link->next + (pull.credit > 1 ? pull.credit / 2 : 1);
	return PN_OK;
}

static int ask_if_due(struct pn_link *link, struct pn_error *err)
{
	return link->next >= link->renew_at ? ask(link, 0, err) : PN_OK;
}

/* To be called when nothing lies in the queue: what does is not silence. PN_EAGAIN: no need to ask.
 * Having asked, look into the queue again: sending can swallow the signal of what came meanwhile.
 */
static int ask_if_silent(struct pn_link *link, struct pn_error *err)
{
	const struct zmq_pull *state = link->state;
	int64_t last = state->heard_ns > state->asked_ns ? state->heard_ns : state->asked_ns;

	if (state->gap)
		last = state->asked_ns;
	return pn_link_now_ns() - last >= PN_LINK_SILENCE_NS ? ask(link, 1, err) : PN_EAGAIN;
}

static int pull_open(struct pn_link *link, struct pn_error *err)
{
	struct zmq_pull *state = link->state;
	int rc = pn_socket_open(&state->socket, PN_SOCKET_DEALER, link->config.endpoint, 0,
				HIGH_WATER, err);

	return rc ? rc : ask(link, 0, err);
}

static int hear_failure(struct pn_link *link, const struct pn_part *part, struct pn_error *err)
{
	struct pn_wire_failure failure;
	int code = PN_EFORMAT;

	if (pn_head_decode(&pn_wire_failure_schema, part->data, part->bytes, &failure, err))
		return pn_error_set(err, PN_EFORMAT, "link: %s: a failure that cannot be read",
				    link->config.endpoint);
	if (failure.code != PN_EAGAIN && failure.code != PN_EEND)
		code = (int)failure.code;
	return pn_error_set(err, code, "link: %s: its producer says: %s", link->config.endpoint,
			    failure.text);
}

static int hear_available(struct pn_link *link, const struct pn_part *part, struct pn_error *err)
{
	struct pn_wire_available available;

	if (pn_head_decode(&pn_wire_available_schema, part->data, part->bytes, &available, err))
		return pn_error_set(err, PN_EFORMAT, "link: %s: a notice that cannot be read",
				    link->config.endpoint);
	return pn_link_heard(link, available.count, (int)available.ended) ? PN_OK : PN_EAGAIN;
}

/* ZeroMQ's bytes lie at any address; a payload is aligned to 64. */
static int keep_record(struct pn_link *link, const struct pn_wire_record *record,
		       const struct pn_part *parts, struct pn_msg *msg, struct pn_error *err)
{
	struct zmq_pull *state = link->state;
	size_t head_at = (parts[2].bytes + 63) / 64 * 64;
	size_t bytes = (head_at + parts[1].bytes + 63) / 64 * 64;

	if (bytes > state->room) {
		free(state->bytes);
		state->bytes = aligned_alloc(64, bytes);
		state->room = state->bytes ? bytes : 0;
		if (!state->bytes)
			return pn_error_set(err, PN_ENOMEM,
					    "link: no memory for a record of %zu bytes", bytes);
	}
	if (parts[2].bytes)
		memcpy(state->bytes, parts[2].data, parts[2].bytes);
	memcpy(state->bytes + head_at, parts[1].data, parts[1].bytes);
	*msg = (struct pn_msg){
		.seq = record->seq,
		.time_ns = record->time_ns,
		.arrival_ns = record->arrival_ns,
		.head_bytes = (uint32_t)parts[1].bytes,
		.payload_bytes = parts[2].bytes,
		.head = state->bytes + head_at,
		.payload = parts[2].bytes ? state->bytes : NULL,
	};
	return PN_OK;
}

static int hear_record(struct pn_link *link, const struct pn_part *parts, struct pn_msg *msg,
		       uint64_t *skipped, struct pn_error *err)
{
	struct zmq_pull *state = link->state;
	struct pn_wire_record record;
	int rc;

	if (pn_head_decode(&pn_wire_record_schema, parts[0].data, parts[0].bytes, &record, err) ||
	    parts[1].bytes < 1 || parts[1].bytes > PN_HEAD_BYTES_MAX)
		return pn_error_set(
			err, PN_EFORMAT,
			"link: %s: a record that cannot be read, its head has %zu bytes",
			link->config.endpoint, parts[1].bytes);
	if (record.seq < link->next)
		return PN_EAGAIN;
	if (record.seq > link->next && link->config.policy == PN_LINK_EVERY) {
		state->gap = 1;
		return PN_EAGAIN;
	}
	rc = keep_record(link, &record, parts, msg, err);
	if (rc)
		return rc;
	*skipped = record.seq - link->next;
	link->next = record.seq + 1;
	if (link->next > link->available)
		link->available = link->next;
	return PN_OK;
}

/*
 * One message from the producer. PN_OK: a notice with news (@heard is 1), or a record in @msg;
 * PN_EAGAIN: nothing came (@heard is 0), or nothing new.
 */
static int hear(struct pn_link *link, int64_t timeout_ns, struct pn_msg *msg, uint64_t *skipped,
		int *heard, struct pn_error *err)
{
	struct zmq_pull *state = link->state;
	struct pn_part parts[PN_PARTS_MAX];
	unsigned count;
	int rc = pn_socket_receive(state->socket, timeout_ns, parts, &count, err);

	*heard = 0;
	if (rc == PN_EFRAME)
		return pn_error_set(err, PN_EFORMAT, "link: %s: a message of too many parts",
				    link->config.endpoint);
	if (rc)
		return rc;
	*heard = 1;
	state->heard_ns = pn_link_now_ns();
	if (count == 3 && msg &&
	    pn_wire_kind(parts[0].data, parts[0].bytes) == &pn_wire_record_schema) {
		*heard = 2;
		return hear_record(link, parts, msg, skipped, err);
	}
	if (count == 1 && pn_wire_kind(parts[0].data, parts[0].bytes) == &pn_wire_failure_schema)
		return hear_failure(link, &parts[0], err);
	if (count == 1)
		return hear_available(link, &parts[0], err);
	return pn_error_set(err, PN_EFORMAT, "link: %s: a message of %u parts that is no answer",
			    link->config.endpoint, count);
}

/* Everything that lies in the queue, for a link that only wants names. */
static int drain(struct pn_link *link, int *news, struct pn_error *err)
{
	int heard, rc;

	do {
		rc = hear(link, 0, NULL, NULL, &heard, err);
		*news |= rc == PN_OK;
	} while (rc == PN_OK || (rc == PN_EAGAIN && heard));
	return rc == PN_EAGAIN ? PN_OK : rc;
}

static int pull_wait(struct pn_link *link, int64_t timeout_ns, struct pn_error *err)
{
	int news = 0, heard, rc = ask_if_due(link, err);

	while (!rc) {
		rc = drain(link, &news, err);
		if (!rc && news)
			return PN_OK;
		if (!rc)
			rc = ask_if_silent(link, err);
	}
	if (rc != PN_EAGAIN || timeout_ns <= 0)
		return rc;
	return hear(link, timeout_ns, NULL, NULL, &heard, err);
}

static int pull_take(struct pn_link *link, int64_t timeout_ns, struct pn_msg *msg,
		     uint64_t *skipped, struct pn_error *err)
{
	int64_t deadline = timeout_ns > 0 ? pn_link_now_ns() + timeout_ns : 0, left = 0;
	int heard, rc;

	for (;;) {
		rc = ask_if_due(link, err);
		while (!rc) {
			rc = hear(link, left, msg, skipped, &heard, err);
			if (rc == PN_OK && heard == 2)
				return PN_OK;
			if (rc != PN_OK && rc != PN_EAGAIN)
				return rc;
			left = 0;
			rc = heard ? PN_OK : PN_EAGAIN;
		}
		if (rc != PN_EAGAIN)
			return rc;
		if (link->ended && link->next >= link->available)
			return PN_EEND;
		rc = ask_if_silent(link, err);
		if (rc == PN_OK)
			continue;
		if (rc != PN_EAGAIN)
			return rc;
		if (timeout_ns > 0)
			left = deadline - pn_link_now_ns();
		if (left <= 0)
			return PN_EAGAIN;
		if (left > PN_LINK_SILENCE_NS)
			left = PN_LINK_SILENCE_NS;
	}
}

static int pull_fd(const struct pn_link *link)
{
	const struct zmq_pull *state = link->state;

	return pn_socket_fd(state->socket);
}

static void pull_close(struct pn_link *link)
{
	struct zmq_pull *state = link->state;

	pn_socket_close(state->socket);
	free(state->bytes);
}

const struct pn_pull_ops pn_zmq_pull_ops = {
	.size = sizeof(struct zmq_pull),
	.open = pull_open,
	.wait = pull_wait,
	.take = pull_take,
	.fd = pull_fd,
	.close = pull_close,
};
