/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/link/socket.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
#include <zmq.h>

#define LINGER_MS    5000 /* a sender's last messages may take this long to leave             */
#define BIND_WAIT_MS 500 /* libzmq closes a listener some time after its socket is closed     */
#define ENDPOINT_MAX 256
#define PATH_BYTES   sizeof(((struct sockaddr_un *)0)->sun_path)

struct pn_socket {
	void *zmq;
	pid_t pid; /* of the process that opened it */
	char endpoint[ENDPOINT_MAX];
	char path[PATH_BYTES]; /* of the file of a bound ipc:// socket, else empty */
	zmq_msg_t parts[PN_PARTS_MAX];
	unsigned count;
};

/* ---- one context per process ---------------------------------------------------------------- */

/*
 * A context has a thread of its own, so it cannot be used after fork: the child forgets its
 * parent's (whose thread it has not got) and makes one when it needs it. With the last socket the
 * context is terminated, which is what makes a process wait for its last messages to leave.
 */
static struct {
	pthread_mutex_t lock;
	pthread_once_t once;
	void *zmq;
	unsigned sockets;
} context = { .lock = PTHREAD_MUTEX_INITIALIZER, .once = PTHREAD_ONCE_INIT };

static void before_fork(void)
{
	pthread_mutex_lock(&context.lock);
}

static void in_parent(void)
{
	pthread_mutex_unlock(&context.lock);
}

static void in_child(void)
{
	context.zmq = NULL;
	context.sockets = 0;
	pthread_mutex_unlock(&context.lock);
}

static void watch_forks(void)
{
	pthread_atfork(before_fork, in_parent, in_child);
}

static void *new_zmq(int type)
{
	void *zmq = NULL;

	pthread_once(&context.once, watch_forks);
	pthread_mutex_lock(&context.lock);
	if (!context.zmq)
		context.zmq = zmq_ctx_new();
	if (context.zmq)
		zmq = zmq_socket(context.zmq, type);
	if (zmq)
		context.sockets++;
	pthread_mutex_unlock(&context.lock);
	return zmq;
}

static void close_zmq(void *zmq)
{
	void *unused = NULL;

	pthread_mutex_lock(&context.lock);
	zmq_close(zmq);
	if (--context.sockets == 0) {
		unused = context.zmq;
		context.zmq = NULL;
	}
	pthread_mutex_unlock(&context.lock);
	while (unused && zmq_ctx_term(unused) && errno == EINTR)
		;
}

/* ---- endpoints ------------------------------------------------------------------------------ */

static int is_loopback(const char *host)
{
	struct in6_addr six;
	struct in_addr four;
	size_t bytes = strlen(host);
	char inner[INET6_ADDRSTRLEN];

	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	if (bytes < 3 || bytes - 2 >= sizeof inner || host[0] != '[' || host[bytes - 1] != ']')
		return 0;
	memcpy(inner, host + 1, bytes - 2);
	inner[bytes - 2] = 0;
	return inet_pton(AF_INET6, inner, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

static int is_port(const char *port, int bind)
{
	size_t digits = strspn(port, "0123456789");

	if (bind && strcmp(port, "*") == 0)
		return 1;
	return digits > 0 && digits <= 5 && !port[digits] && atoi(port) > 0 && atoi(port) < 65536;
}

/* "localhost" is written out: what a name resolves to is not for us to trust */
static int check_tcp(const char *rest, int bind, char *endpoint, struct pn_error *err)
{
	const char *colon = strrchr(rest, ':');
	char host[ENDPOINT_MAX];

	if (!colon || !is_port(colon + 1, bind))
		return pn_error_set(err, PN_EARG, "socket: tcp://%s: no port from 1 to 65535",
				    rest);
	snprintf(host, sizeof host, "%.*s", (int)(colon - rest), rest);
	if (strcmp(host, "localhost") == 0)
		strcpy(host, "127.0.0.1");
	if (!is_loopback(host))
		return pn_error_set(
			err, PN_EPERM,
			"socket: tcp://%s: not a loopback address, and there are no keys", rest);
	snprintf(endpoint, ENDPOINT_MAX, "tcp://%.200s:%.5s", host, colon + 1);
	return PN_OK;
}

static int check_endpoint(const char *text, int bind, char *endpoint, struct pn_error *err)
{
	if (!text || strlen(text) >= ENDPOINT_MAX - 16)
		return pn_error_set(err, PN_EARG,
				    "socket: no endpoint, or one of more than %d bytes",
				    ENDPOINT_MAX - 17);
	if (strncmp(text, "tcp://", 6) == 0)
		return check_tcp(text + 6, bind, endpoint, err);
	if (strncmp(text, "ipc://", 6) != 0)
		return pn_error_set(err, PN_EPERM,
				    "socket: %s: neither ipc:// nor tcp:// on loopback", text);
	if (!text[6] || text[6] == '*' || text[6] == '@' || strlen(text + 6) >= PATH_BYTES)
		return pn_error_set(err, PN_EARG, "socket: %s: needs a path of 1 to %zu bytes",
				    text, PATH_BYTES - 1);
	strcpy(endpoint, text);
	return PN_OK;
}

/* libzmq unlinks the path before it binds, whoever listens there: look first */
static int somebody_listens(const char *path)
{
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), answered;

	if (fd < 0)
		return 0;
	memcpy(un.sun_path, path, sizeof un.sun_path);
	answered = connect(fd, (struct sockaddr *)&un, sizeof un) == 0 || errno == EAGAIN;
	close(fd);
	return answered;
}

static int bind_once(struct pn_socket *socket)
{
	if (socket->path[0] && somebody_listens(socket->path)) {
		errno = EADDRINUSE;
		return -1;
	}
	return zmq_bind(socket->zmq, socket->endpoint);
}

static int bind_socket(struct pn_socket *socket, struct pn_error *err)
{
	const struct timespec pause = { .tv_nsec = 5000000 };
	size_t bytes = sizeof socket->endpoint;
	int rc;

	if (strncmp(socket->endpoint, "ipc://", 6) == 0)
		snprintf(socket->path, PATH_BYTES, "%s", socket->endpoint + 6);
	rc = bind_once(socket);
	for (int ms = 0; rc && errno == EADDRINUSE && ms < BIND_WAIT_MS; ms += 5) {
		nanosleep(&pause, NULL);
		rc = bind_once(socket);
	}
	if (rc) {
		socket->path[0] = 0; /* not ours to remove */
		return pn_error_set(err, PN_EIO, "socket: bind %s: %s", socket->endpoint,
				    zmq_strerror(errno));
	}
	zmq_getsockopt(socket->zmq, ZMQ_LAST_ENDPOINT, socket->endpoint, &bytes);
	return PN_OK;
}

/* ---- life ----------------------------------------------------------------------------------- */

static const int zmq_types[] = {
	[PN_SOCKET_PUSH] = ZMQ_PUSH,
	[PN_SOCKET_PULL] = ZMQ_PULL,
	[PN_SOCKET_DEALER] = ZMQ_DEALER,
	[PN_SOCKET_ROUTER] = ZMQ_ROUTER, [PN_SOCKET_PUB] = ZMQ_PUB,
	[PN_SOCKET_SUB] = ZMQ_SUB,
};

static int set_options(struct pn_socket *socket, enum pn_socket_kind kind, int high_water)
{
	const int sender = kind == PN_SOCKET_PUSH || kind == PN_SOCKET_ROUTER ||
			   kind == PN_SOCKET_PUB;
	const struct {
		int name, value, wanted;
	} options[] = {
		{ ZMQ_SNDHWM, high_water, 1 },
		{ ZMQ_RCVHWM, high_water, 1 },
		{ ZMQ_LINGER, sender ? LINGER_MS : 0, 1 },
		{ ZMQ_RECONNECT_IVL, 20, 1 },
		{ ZMQ_RECONNECT_IVL_MAX, 500, 1 },
		{ ZMQ_IPV6, 1, strncmp(socket->endpoint, "tcp://[", 7) == 0 },
		{ ZMQ_ROUTER_MANDATORY, 1, kind == PN_SOCKET_ROUTER },
	};

	for (unsigned i = 0; i < PN_COUNT(options); i++)
		if (options[i].wanted &&
		    zmq_setsockopt(socket->zmq, options[i].name, &options[i].value, sizeof(int)))
			return -1;
	return kind == PN_SOCKET_SUB ? zmq_setsockopt(socket->zmq, ZMQ_SUBSCRIBE, "", 0) : 0;
}

int pn_socket_open(struct pn_socket **out, enum pn_socket_kind kind, const char *endpoint, int bind,
		   int high_water, struct pn_error *err)
{
	struct pn_socket *socket;
	int rc;

	*out = NULL;
	if ((unsigned)kind >= PN_COUNT(zmq_types) || high_water < 1)
		return pn_error_set(err, PN_EARG,
				    "socket: kind %d, high water %d: 1 or more is needed", kind,
				    high_water);
	socket = calloc(1, sizeof *socket);
	if (!socket)
		return pn_error_set(err, PN_ENOMEM, "socket: no memory");
	rc = check_endpoint(endpoint, bind, socket->endpoint, err);
	if (rc) {
		free(socket);
		return rc;
	}
	socket->pid = getpid();
	socket->zmq = new_zmq(zmq_types[kind]);
	if (!socket->zmq || set_options(socket, kind, high_water))
		rc = pn_error_set(err, PN_EIO, "socket: %s: %s", endpoint, zmq_strerror(errno));
	else if (bind)
		rc = bind_socket(socket, err);
	else if (zmq_connect(socket->zmq, socket->endpoint))
		rc = pn_error_set(err, PN_EIO, "socket: connect %s: %s", socket->endpoint,
				  zmq_strerror(errno));
	if (rc) {
		pn_socket_close(socket);
		return rc;
	}
	*out = socket;
	return PN_OK;
}

static void drop_parts(struct pn_socket *socket)
{
	for (unsigned i = 0; i < socket->count; i++)
		zmq_msg_close(&socket->parts[i]);
	socket->count = 0;
}

void pn_socket_close(struct pn_socket *socket)
{
	if (!socket)
		return;
	if (socket->zmq && socket->pid == getpid()) {
		drop_parts(socket);
		/* while we still listen nobody else can have taken the path */
		if (socket->path[0])
			unlink(socket->path);
		close_zmq(socket->zmq);
	}
	free(socket);
}

static int check_process(const struct pn_socket *socket, struct pn_error *err)
{
	if (socket->pid == getpid())
		return PN_OK;
	return pn_error_set(err, PN_EIO, "socket: %s was opened before fork, by process %d",
			    socket->endpoint, (int)socket->pid);
}

/* ---- messages ------------------------------------------------------------------------------- */

static int send_failed(const struct pn_socket *socket, struct pn_error *err)
{
	if (errno == EAGAIN || errno == EINTR)
		return PN_EAGAIN;
	if (errno == EHOSTUNREACH)
		return pn_error_set(err, PN_ENOENT, "socket: %s: that peer is gone",
				    socket->endpoint);
	return pn_error_set(err, PN_EIO, "socket: send to %s: %s", socket->endpoint,
			    zmq_strerror(errno));
}

int pn_socket_send(struct pn_socket *socket, const struct pn_part *parts, unsigned count,
		   struct pn_error *err)
{
	if (check_process(socket, err))
		return PN_EIO;
	if (count < 1 || count > PN_PARTS_MAX)
		return pn_error_set(err, PN_EARG, "socket: %u parts, 1..%d can be sent", count,
				    PN_PARTS_MAX);
	for (unsigned i = 0; i < count; i++) {
		/* only the first part can find the queue full: a message is queued whole */
		int flags = ZMQ_DONTWAIT | (i + 1 < count ? ZMQ_SNDMORE : 0), rc;

		do
			rc = zmq_send(socket->zmq, parts[i].data, parts[i].bytes, flags);
		while (rc < 0 && errno == EINTR && i > 0);
		if (rc < 0)
			return send_failed(socket, err);
	}
	return PN_OK;
}

/* One message, without waiting. Parts beyond the last that fits are read and dropped. */
static int receive_now(struct pn_socket *socket, struct pn_error *err)
{
	unsigned excess = 0;
	int more = 1;

	while (more) {
		zmq_msg_t spare, *part = &spare;

		if (socket->count < PN_PARTS_MAX)
			part = &socket->parts[socket->count];
		zmq_msg_init(part);
		if (zmq_msg_recv(part, socket->zmq, ZMQ_DONTWAIT) < 0) {
			int errnum = errno;

			zmq_msg_close(part);
			if (errnum == EINTR && socket->count)
				continue;
			if (errnum == EAGAIN || errnum == EINTR)
				return PN_EAGAIN;
			return pn_error_set(err, PN_EIO, "socket: receive from %s: %s",
					    socket->endpoint, zmq_strerror(errnum));
		}
		more = zmq_msg_more(part);
		if (part == &spare) {
			zmq_msg_close(part);
			excess++;
		} else {
			socket->count++;
		}
	}
	if (!excess)
		return PN_OK;
	drop_parts(socket);
	return pn_error_set(err, PN_EFRAME,
			    "socket: %s: a message of %u parts, at most %d are taken",
			    socket->endpoint, PN_PARTS_MAX + excess, PN_PARTS_MAX);
}

static void wait_readable(struct pn_socket *socket, int64_t timeout_ns)
{
	zmq_pollitem_t item = { .socket = socket->zmq, .events = ZMQ_POLLIN };

	zmq_poll(&item, 1, (long)(timeout_ns / 1000000 + (timeout_ns % 1000000 != 0)));
}

int pn_socket_receive(struct pn_socket *socket, int64_t timeout_ns, struct pn_part *parts,
		      unsigned *count, struct pn_error *err)
{
	int rc;

	*count = 0;
	if (check_process(socket, err))
		return PN_EIO;
	drop_parts(socket);
	rc = receive_now(socket, err);
	if (rc == PN_EAGAIN && timeout_ns > 0) {
		wait_readable(socket, timeout_ns);
		rc = receive_now(socket, err);
	}
	if (rc)
		return rc;
	for (unsigned i = 0; i < socket->count; i++)
		parts[i] = (struct pn_part){ .data = zmq_msg_data(&socket->parts[i]),
					     .bytes = zmq_msg_size(&socket->parts[i]) };
	*count = socket->count;
	return PN_OK;
}

int pn_socket_fd(const struct pn_socket *socket)
{
	size_t bytes = sizeof(int);
	int fd = -1;

	if (socket->pid != getpid() || zmq_getsockopt(socket->zmq, ZMQ_FD, &fd, &bytes))
		return -1;
	return fd;
}

const char *pn_socket_endpoint(const struct pn_socket *socket)
{
	return socket->endpoint;
}
