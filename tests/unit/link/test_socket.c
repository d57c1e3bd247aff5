/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Sockets for other protocols: who may be spoken to, whole messages only, full queues, forks. */
#include "perrin/link/socket.h"
#include "testkit.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SECOND INT64_C(1000000000)

static struct pn_socket *open_good(enum pn_socket_kind kind, const char *endpoint, int bind,
				   int water)
{
	struct pn_socket *socket;
	struct pn_error err;

	if (pn_socket_open(&socket, kind, endpoint, bind, water, &err))
		fail_msg("%s", err.text);
	return socket;
}

static const char *ipc_endpoint(void)
{
	static char endpoint[128];

	snprintf(endpoint, sizeof endpoint, "ipc://%.90s/s", testkit_tempdir());
	return endpoint;
}

static void send_text(struct pn_socket *socket, const char *text)
{
	struct pn_error err;

	if (pn_socket_send(socket, &(struct pn_part){ text, strlen(text) }, 1, &err))
		fail_msg("%s", err.text);
}

static void receive_text(struct pn_socket *socket, const char *text)
{
	struct pn_part parts[PN_PARTS_MAX];
	unsigned count;

	assert_int_equal(pn_socket_receive(socket, 10 * SECOND, parts, &count, NULL), PN_OK);
	assert_int_equal(count, 1);
	assert_int_equal(parts[0].bytes, strlen(text));
	assert_memory_equal(parts[0].data, text, strlen(text));
}

static void test_endpoints(void **state)
{
	static const struct {
		const char *endpoint;
		int bind, rc;
	} rows[] = {
		{ NULL, 1, PN_EARG },
		{ "", 1, PN_EPERM },
		{ "ipc://", 0, PN_EARG },
		{ "ipc://*", 1, PN_EARG },
		{ "ipc://@abstract", 1, PN_EARG },
		{ "tcp://127.0.0.1", 0, PN_EARG },
		{ "tcp://127.0.0.1:", 0, PN_EARG },
		{ "tcp://127.0.0.1:0", 0, PN_EARG },
		{ "tcp://127.0.0.1:65536", 0, PN_EARG },
		{ "tcp://127.0.0.1:8080x", 0, PN_EARG },
		{ "tcp://127.0.0.1:-1", 0, PN_EARG },
		{ "tcp://127.0.0.1:*", 0, PN_EARG },
		{ "tcp://*:5555", 1, PN_EPERM },
		{ "tcp://0.0.0.0:5555", 1, PN_EPERM },
		{ "tcp://0:5555", 1, PN_EPERM },
		{ "tcp://:5555", 1, PN_EPERM },
		{ "tcp://[::]:5555", 1, PN_EPERM },
		{ "tcp://[::1:5555", 1, PN_EPERM },
		{ "tcp://10.0.0.1:5555", 0, PN_EPERM },
		{ "tcp://126.255.255.255:5555", 0, PN_EPERM },
		{ "tcp://128.0.0.1:5555", 0, PN_EPERM },
		{ "tcp://127.0.0.1.example.org:5555", 0, PN_EPERM },
		{ "tcp://127.0.0.1:5;10.0.0.1:5555", 0, PN_EPERM },
		{ "tcp://10.0.0.1:5;127.0.0.1:5555", 0, PN_EPERM },
		{ "tcp://eth0:5555", 1, PN_EPERM },
		{ "tcp://example.org:5555", 0, PN_EPERM },
		{ "udp://127.0.0.1:5555", 1, PN_EPERM },
		{ "inproc://name", 1, PN_EPERM },
		{ "mem:name", 1, PN_EPERM },
		{ "/tmp/socket", 1, PN_EPERM },
	};
	struct pn_socket *socket;
	char text[600];

	(void)state;
	for (unsigned i = 0; i < PN_COUNT(rows); i++) {
		struct pn_error err = { 0 };
		int rc = pn_socket_open(&socket, PN_SOCKET_DEALER, rows[i].endpoint, rows[i].bind,
					1, &err);

		if (rc != rows[i].rc || err.code != rc || socket)
			fail_msg("%s: %s", rows[i].endpoint, pn_status_name(rc));
	}
	memset(text, 'x', sizeof text);
	memcpy(text, "ipc:///", 7);
	text[599] = 0;
	assert_int_equal(pn_socket_open(&socket, PN_SOCKET_PULL, text, 1, 1, NULL), PN_EARG);
	text[6 + 108] = 0;
	assert_int_equal(pn_socket_open(&socket, PN_SOCKET_PULL, text, 1, 1, NULL), PN_EARG);
	assert_int_equal(pn_socket_open(&socket, PN_SOCKET_PULL, "tcp://127.0.0.1:*", 1, 0, NULL),
			 PN_EARG);
	assert_int_equal(
		pn_socket_open(&socket, (enum pn_socket_kind)6, "tcp://127.0.0.1:*", 1, 1, NULL),
		PN_EARG);
	pn_socket_close(NULL);
}

static void test_tcp(void **state)
{
	static const char *const hosts[] = { "tcp://127.0.0.1:*", "tcp://localhost:*",
					     "tcp://127.1.2.3:*" };

	(void)state;
	for (unsigned i = 0; i < PN_COUNT(hosts); i++) {
		struct pn_socket *pull = open_good(PN_SOCKET_PULL, hosts[i], 1, 4), *other;
		const char *endpoint = pn_socket_endpoint(pull);
		struct pn_error err;

		assert_memory_equal(endpoint, "tcp://127.", 10);
		assert_null(strchr(endpoint, '*'));
		assert_int_equal(pn_socket_open(&other, PN_SOCKET_PULL, endpoint, 1, 1, &err),
				 PN_EIO);
		assert_non_null(strstr(err.text, "in use"));
		struct pn_socket *push = open_good(PN_SOCKET_PUSH, endpoint, 0, 4);

		send_text(push, "over tcp");
		receive_text(pull, "over tcp");
		pn_socket_close(push);
		pn_socket_close(pull);
	}
}

static void test_parts(void **state)
{
	const char *endpoint = ipc_endpoint();
	struct pn_socket *router = open_good(PN_SOCKET_ROUTER, endpoint, 1, 4);
	struct pn_socket *dealer = open_good(PN_SOCKET_DEALER, endpoint, 0, 4);
	struct pn_part parts[PN_PARTS_MAX], sent[PN_PARTS_MAX + 1];
	char identity[256], bytes[] = "0123456789abcdef";
	unsigned count;

	(void)state;
	for (unsigned i = 0; i < PN_COUNT(sent); i++)
		sent[i] = (struct pn_part){ bytes + i, 16 - i };
	assert_int_equal(pn_socket_send(dealer, sent, 0, NULL), PN_EARG);
	assert_int_equal(pn_socket_send(dealer, sent, 17, NULL), PN_EARG);
	assert_int_equal(pn_socket_send(dealer, sent, 15, NULL), PN_OK);
	memset(bytes, '-', 16); /* it was copied */
	assert_int_equal(pn_socket_receive(router, 10 * SECOND, parts, &count, NULL), PN_OK);
	assert_int_equal(count, 16);
	for (unsigned i = 0; i < 15; i++) {
		assert_int_equal(parts[i + 1].bytes, 16 - i);
		assert_memory_equal(parts[i + 1].data, &"0123456789abcdef"[i], 16 - i);
	}
	parts[1] = (struct pn_part){ "answer", 6 };
	assert_true(parts[0].bytes < sizeof identity);
	memcpy(identity, parts[0].data, parts[0].bytes);
	parts[0].data = identity;
	assert_int_equal(pn_socket_send(router, parts, 2, NULL), PN_OK);
	receive_text(dealer, "answer");

	/* one part too many for the receiver: dropped whole, the next message is whole again */
	assert_int_equal(pn_socket_send(dealer, sent, 16, NULL), PN_OK);
	send_text(dealer, "after");
	unsigned again;

	assert_int_equal(pn_socket_receive(router, 10 * SECOND, parts, &again, NULL), PN_EFRAME);
	assert_int_equal(again, 0);
	assert_int_equal(pn_socket_receive(router, 10 * SECOND, parts, &again, NULL), PN_OK);
	assert_int_equal(again, 2);
	assert_memory_equal(parts[1].data, "after", 5);

	parts[0] = (struct pn_part){ "nobody", 6 };
	assert_int_equal(pn_socket_send(router, parts, 2, NULL), PN_ENOENT);
	assert_int_equal(pn_socket_receive(router, 0, parts, &again, NULL), PN_EAGAIN);
	pn_socket_close(dealer);
	pn_socket_close(router);
}

/* nobody reads: send must say so instead of waiting, and lose nothing that it took */
static void test_full(void **state)
{
	const char *endpoint = ipc_endpoint();
	struct pn_socket *push = open_good(PN_SOCKET_PUSH, endpoint, 0, 3);
	struct pn_part parts[PN_PARTS_MAX];
	unsigned sent = 0, count;
	int rc;

	(void)state;
	do
		rc = pn_socket_send(push, &(struct pn_part){ &sent, sizeof sent }, 1, NULL);
	while (rc == PN_OK && ++sent < 1000);
	assert_int_equal(rc, PN_EAGAIN);
	assert_int_equal(sent, 3);
	struct pn_socket *pull = open_good(PN_SOCKET_PULL, endpoint, 1, 3);

	for (unsigned i = 0; i < sent; i++) {
		assert_int_equal(pn_socket_receive(pull, 10 * SECOND, parts, &count, NULL), PN_OK);
		assert_int_equal(count, 1);
		assert_memory_equal(parts[0].data, &i, sizeof i);
	}
	assert_int_equal(pn_socket_receive(pull, 1000, parts, &count, NULL), PN_EAGAIN);
	pn_socket_close(push);
	pn_socket_close(pull);
}

/* the file of a dead process is taken over; that of a living one is not */
static void test_stale_ipc(void **state)
{
	const char *endpoint = ipc_endpoint();
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	struct pn_socket *second;
	struct pn_error err;

	(void)state;
	memcpy(un.sun_path, endpoint + 6, strlen(endpoint + 6));
	int fd = socket(AF_UNIX, SOCK_STREAM, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&un, sizeof un), 0);
	assert_int_equal(listen(fd, 1), 0);
	assert_int_equal(pn_socket_open(&second, PN_SOCKET_PULL, endpoint, 1, 1, &err), PN_EIO);
	assert_non_null(strstr(err.text, "in use"));
	assert_int_equal(access(endpoint + 6, F_OK), 0);
	close(fd);
	assert_int_equal(access(endpoint + 6, F_OK), 0);
	struct pn_socket *pull = open_good(PN_SOCKET_PULL, endpoint, 1, 1);
	struct pn_socket *push = open_good(PN_SOCKET_PUSH, endpoint, 0, 1);

	send_text(push, "taken over");
	receive_text(pull, "taken over");
	pn_socket_close(push);
	pn_socket_close(pull);
	assert_int_not_equal(access(endpoint + 6, F_OK), 0);
	pull = open_good(PN_SOCKET_PULL, endpoint, 1, 1); /* at once, while the old one closes */
	push = open_good(PN_SOCKET_PUSH, endpoint, 0, 1);
	send_text(push, "again");
	receive_text(pull, "again");
	pn_socket_close(pull);
	pn_socket_close(push);
}

static void test_fd(void **state)
{
	const char *endpoint = ipc_endpoint();
	struct pn_socket *pull = open_good(PN_SOCKET_PULL, endpoint, 1, 4);
	struct pn_socket *push = open_good(PN_SOCKET_PUSH, endpoint, 0, 4);
	struct pn_part parts[PN_PARTS_MAX];
	struct pollfd fd = { .fd = pn_socket_fd(pull), .events = POLLIN };
	unsigned count;
	int rc;

	(void)state;
	assert_int_equal(pn_socket_receive(pull, 0, parts, &count, NULL), PN_EAGAIN);
	send_text(push, "wake");
	do {
		assert_int_equal(poll(&fd, 1, 10000), 1);
		rc = pn_socket_receive(pull, 0, parts, &count, NULL);
	} while (rc == PN_EAGAIN);
	assert_int_equal(rc, PN_OK);
	pn_socket_close(push);
	pn_socket_close(pull);
}

/* a child has its own context, and may close what it inherited without harm to its parent */
static void test_fork(void **state)
{
	const char *endpoint = ipc_endpoint();
	struct pn_socket *pull = open_good(PN_SOCKET_PULL, endpoint, 1, 4);
	int status;
	pid_t pid = fork();

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0) {
		struct pn_part parts[PN_PARTS_MAX], word = { "from the child", 14 };
		struct pn_socket *push;
		unsigned count;

		if (pn_socket_receive(pull, 0, parts, &count, NULL) != PN_EIO ||
		    pn_socket_send(pull, &word, 1, NULL) != PN_EIO || pn_socket_fd(pull) != -1)
			_exit(1);
		pn_socket_close(pull);
		if (pn_socket_open(&push, PN_SOCKET_PUSH, endpoint, 0, 4, NULL) ||
		    pn_socket_send(push, &word, 1, NULL))
			_exit(2);
		pn_socket_close(push); /* waits until it has left */
		_exit(0);
	}
	receive_text(pull, "from the child");
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 0);
	assert_int_equal(access(endpoint + 6, F_OK), 0);
	pn_socket_close(pull);
}

/* Each of those who listen gets all of it; without any it goes nowhere, and that is no error. */
static void test_publish(void **state)
{
	const char *endpoint = ipc_endpoint();

	(void)state;
	struct pn_socket *pub = open_good(PN_SOCKET_PUB, endpoint, 1, 4), *sub[2];
	struct pn_part parts[PN_PARTS_MAX];
	unsigned count;

	for (int i = 0; i < 100; i++)
		send_text(pub, "to nobody");
	for (int i = 0; i < 2; i++) {
		sub[i] = open_good(PN_SOCKET_SUB, endpoint, 0, 4);
		for (int turn = 0; turn < 1000; turn++) { /* until it has been heard of */
			send_text(pub, "are you there");
			if (pn_socket_receive(sub[i], SECOND / 100, parts, &count, NULL) == PN_OK)
				break;
		}
		assert_int_equal(count, 1);
	}
	for (int i = 0; i < 2; i++)
		while (pn_socket_receive(sub[i], SECOND / 10, parts, &count, NULL) == PN_OK)
			;
	send_text(pub, "to all");
	for (int i = 0; i < 2; i++) {
		receive_text(sub[i], "to all");
		pn_socket_close(sub[i]);
	}
	pn_socket_close(pub);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_endpoints), cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_parts),     cmocka_unit_test(test_full),
		cmocka_unit_test(test_stale_ipc), cmocka_unit_test(test_fd),
		cmocka_unit_test(test_fork),      cmocka_unit_test(test_publish),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
