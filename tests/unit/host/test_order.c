/* SPDX-License-Identifier: GPL-3.0-or-later */
/* A journal gives back what was noted, up to the first entry that is not whole. */
#include "../../../pipeline/host/order.h"

#include "testkit.h"

#include <stdlib.h>
#include <string.h>

enum { ENTRIES = 7, BYTES = sizeof(struct pn_order_entry), SIDE = 1, OTHER_SIDE = 3 };

static const uint64_t from_start[PN_PORTS_MAX];

/* Message n of a side input; every third one is of another. */
static struct pn_msg message(uint64_t n)
{
	static unsigned char head[4], payload[64];

	memset(head, (int)n + 1, sizeof head);
	memset(payload, (int)n + 100, sizeof payload);
	return (struct pn_msg){ .seq = n,
				.time_ns = (int64_t)(1000 * n),
				.port = n % 3 == 2 ? OTHER_SIDE : SIDE,
				.head_bytes = sizeof head,
				.payload_bytes = n % 2 ? sizeof payload : 0,
				.head = head,
				.payload = n % 2 ? payload : NULL };
}

static uint64_t position(uint64_t n)
{
	return n * n;
}

static uint64_t open_order(struct pn_order *order, const char *path, const uint64_t *next_in)
{
	struct pn_error err = { 0 };
	uint64_t cut;

	if (pn_order_open(order, path, next_in, &cut, &err))
		fail_msg("%s", err.text);
	return cut;
}

static void append(struct pn_order *order, uint64_t n)
{
	struct pn_error err = { 0 };
	struct pn_msg msg = message(n);

	if (pn_order_append(order, &msg, position(n), &err))
		fail_msg("%s", err.text);
}

static void make(const char *path, uint64_t entries)
{
	struct pn_order order;

	open_order(&order, path, from_start);
	for (uint64_t n = 0; n < entries; n++)
		append(&order, n);
	pn_order_close(&order);
}

static void expect_entry(const struct pn_order_entry *entry, uint64_t n)
{
	struct pn_msg msg = message(n);

	assert_non_null(entry);
	assert_int_equal(entry->seq, n);
	assert_int_equal(entry->input, msg.port);
	assert_int_equal(entry->position, position(n));
	assert_true(entry->content == pn_order_content(&msg));
}

/* Entries of the file in freshly opened state are 0, 1, ... @count - 1. */
static void expect_entries(const char *path, uint64_t count, uint64_t cut)
{
	struct pn_order order;

	assert_int_equal(open_order(&order, path, from_start), cut);
	for (uint64_t n = 0; n < count; n++) {
		expect_entry(pn_order_due(&order), n);
		expect_entry(pn_order_due(&order), n); /* until it is obeyed */
		pn_order_obeyed(&order);
	}
	assert_null(pn_order_due(&order));
	pn_order_close(&order);
}

static void what_was_noted_is_due_again(void **state)
{
	(void)state;
	const char *path = testkit_path(testkit_tempdir(), "mix.order");
	struct pn_order order;

	expect_entries(path, 0, 0);
	for (uint64_t n = 0; n < ENTRIES; n++) {
		expect_entries(path, n, 0);
		open_order(&order, path, from_start);
		while (pn_order_due(&order))
			pn_order_obeyed(&order);
		append(&order, n);
		assert_null(pn_order_due(&order)); /* its message is at hand */
		pn_order_close(&order);
	}
	expect_entries(path, ENTRIES, 0);
	pn_order_close(&order); /* twice is fine */
}

static void what_a_checkpoint_has_taken_is_not_due(void **state)
{
	(void)state;
	const char *path = testkit_path(testkit_tempdir(), "mix.order");
	uint64_t next_in[PN_PORTS_MAX] = { 0 };
	struct pn_order order;

	make(path, ENTRIES);
	/* inputs have each their own numbers: 0 1 3 4 6 of the one, 2 5 of the other */
	next_in[SIDE] = 4;
	open_order(&order, path, next_in);
	static const uint64_t left[] = { 2, 4, 5, 6 };
	for (size_t i = 0; i < PN_COUNT(left); i++) {
		expect_entry(pn_order_due(&order), left[i]);
		pn_order_obeyed(&order);
	}
	assert_null(pn_order_due(&order));
	append(&order, ENTRIES);
	pn_order_close(&order);
	expect_entries(path, ENTRIES + 1, 0); /* nothing is lost for one that begins anew */
}

static void a_torn_end_is_cut(void **state)
{
	(void)state;
	const char *path = testkit_path(testkit_tempdir(), "mix.order");
	struct pn_order order;
	size_t count;

	make(path, ENTRIES);
	char *bytes = testkit_read(path, &count);
	assert_int_equal(count, ENTRIES * BYTES);
	for (size_t n = 0; n <= count; n++) {
		testkit_write(path, bytes, n);
		expect_entries(path, n / BYTES, n % BYTES);
		expect_entries(path, n / BYTES, 0); /* it is gone, and the rest can go on */
		open_order(&order, path, from_start);
		while (pn_order_due(&order))
			pn_order_obeyed(&order);
		append(&order, n / BYTES);
		pn_order_close(&order);
		expect_entries(path, n / BYTES + 1, 0);
	}
	free(bytes);
}

static void a_changed_byte_ends_it(void **state)
{
	(void)state;
	const char *path = testkit_path(testkit_tempdir(), "mix.order");
	size_t count;

	make(path, ENTRIES);
	char *bytes = testkit_read(path, &count);
	for (size_t n = 0; n < count; n++) {
		bytes[n] ^= 0x10;
		testkit_write(path, bytes, count);
		expect_entries(path, n / BYTES, count - n / BYTES * BYTES);
		bytes[n] ^= 0x10;
	}
	/* whole entries in other places are not believed either: a hole, then the rest */
	memmove(bytes + BYTES, bytes + 2 * BYTES, count - 2 * BYTES);
	testkit_write(path, bytes, count - BYTES);
	expect_entries(path, 1, count - 2 * BYTES);
	free(bytes);
}

static void what_cannot_be_obeyed_is_cut(void **state)
{
	(void)state;
	const char *path = testkit_path(testkit_tempdir(), "mix.order");
	struct pn_error err = { 0 };
	struct pn_order order;

	make(path, ENTRIES);
	open_order(&order, path, from_start);
	for (uint64_t n = 0; n < 3; n++) {
		expect_entry(pn_order_due(&order), n);
		pn_order_obeyed(&order);
	}
	expect_entry(pn_order_due(&order), 3);
	assert_int_equal(pn_order_cut(&order, &err), PN_OK);
	assert_null(pn_order_due(&order));
	append(&order, 3);
	pn_order_close(&order);
	expect_entries(path, 4, 0);
}

static void a_seal_is_never_obeyed(void **state)
{
	(void)state;
	const char *path = testkit_path(testkit_tempdir(), "mix.order");
	struct pn_error err = { 0 };
	struct pn_order order;
	size_t count;

	make(path, 2);
	for (int again = 0; again < 2; again++) {
		open_order(&order, path, from_start);
		assert_int_equal(pn_order_seal(&order, &err), PN_OK);
		pn_order_close(&order);
	}
	free(testkit_read(path, &count));
	assert_int_equal(count, 3 * BYTES); /* once */
	open_order(&order, path, (const uint64_t[PN_PORTS_MAX]){ 99, 99, 99, 99 });
	assert_non_null(pn_order_due(&order));
	assert_true(pn_order_due(&order)->position == UINT64_MAX);
	pn_order_close(&order);
}

static void content_is_all_a_stage_sees(void **state)
{
	(void)state;
	struct pn_msg a = message(1), b = a;
	unsigned char payload[64];
	uint64_t hash = pn_order_content(&a);

	b.arrival_ns = 5; /* not part of the data */
	assert_true(pn_order_content(&b) == hash);
	b.time_ns++;
	assert_true(pn_order_content(&b) != hash);
	b = a;
	b.head_bytes--;
	assert_true(pn_order_content(&b) != hash);
	b = a;
	b.payload_bytes--;
	assert_true(pn_order_content(&b) != hash);
	b = a;
	memcpy(payload, a.payload, sizeof payload);
	payload[63] ^= 1;
	b.payload = payload;
	assert_true(pn_order_content(&b) != hash);
}

static void where_it_cannot_be(void **state)
{
	(void)state;
	struct pn_error err = { 0 };
	struct pn_order order;
	uint64_t cut;

	assert_int_equal(pn_order_open(&order, "/no/such/dir/x.order", from_start, &cut, &err),
			 PN_ENOENT);
	assert_non_null(strstr(err.text, "/no/such/dir/x.order"));
	pn_order_close(&order);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_was_noted_is_due_again),
		cmocka_unit_test(what_a_checkpoint_has_taken_is_not_due),
		cmocka_unit_test(a_torn_end_is_cut),
		cmocka_unit_test(a_changed_byte_ends_it),
		cmocka_unit_test(what_cannot_be_obeyed_is_cut),
		cmocka_unit_test(a_seal_is_never_obeyed),
		cmocka_unit_test(content_is_all_a_stage_sees),
		cmocka_unit_test(where_it_cannot_be),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
