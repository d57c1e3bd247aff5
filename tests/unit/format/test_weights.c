/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/format/weights.h"
#include "testkit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

/* A network of the smallest kind. All whole numbers are below 128: one byte of msgpack each. */
static void make(struct pn_weights *w)
{
	struct pn_net_layout *layout = malloc(sizeof *layout);
	struct pn_error err = { 0 };

	*w = (struct pn_weights){
		.spec = { .frames = 3,
			  .blocks = 1,
			  .channels = 8,
			  .spot_px = 3,
			  .shared = 1,
			  .tap_channels = 8,
			  .widening = 1 },
		.offset = -12.5,
		.scale = 0.3,
		.settings = { .crop_px = 64,
			      .batch = 4,
			      .targets = 2,
			      .steps = 100,
			      .warmup = 7,
			      .rate = 1e-3,
			      .rate_end = 1e-5,
			      .average = 0.99,
			      .seed = 21 },
		.steps = 101,
		.frames = 30,
		.first_frame = 5,
		.last_frame = 34,
		.source = "M\xc3\xa4rz/au.npy",
		.perrin = "0.1.0",
		.loss = 0.75,
		.validation = NAN,
	};
	assert_non_null(layout);
	if (pn_net_layout_make(layout, &w->spec, &err) != PN_OK)
		fail_msg("%s", err.text);
	pn_weights_curve_add(w, 0, 1.5);
	pn_weights_curve_add(w, 50, 0.9);
	w->param_count = layout->param_count;
	w->params = malloc(w->param_count * sizeof *w->params);
	assert_non_null(w->params);
	for (size_t i = 0; i < w->param_count; i++)
		w->params[i] = (float)sin((double)i);
	free(layout);
}

static struct pn_blob must_encode(const struct pn_weights *w)
{
	struct pn_blob blob = { 0 };
	struct pn_error err = { 0 };

	if (pn_weights_encode(w, &blob, &err) != PN_OK)
		fail_msg("%s", err.text);
	return blob;
}

/* ---- the same bytes by hand, as the header says, with what may be wrong in them ------------- */

/* kinds: u whole number below 128, f float64, n nil, s text, a array of two (the text's bytes, or
 * those of the losses), b array of one */
struct entry {
	const char *key;
	char kind;
	double value;
	const char *text;
};

static const struct entry good[] = {
	{ "type", 's', 0, "weights" },
	{ "v", 'u', 1 },
	{ "network_frames", 'u', 3 },
	{ "network_blocks", 'u', 1 },
	{ "network_channels", 'u', 8 },
	{ "network_spot_px", 'u', 3 },
	{ "network_shared", 's', 0, "yes" },
	{ "network_neighbor_channels", 'u', 0 },
	{ "network_tap_channels", 'u', 8 },
	{ "network_head1", 'u', 0 },
	{ "network_head2", 'u', 0 },
	{ "network_widening", 'u', 1 },
	{ "train_crop_px", 'u', 64 },
	{ "train_batch", 'u', 4 },
	{ "train_targets", 'u', 2 },
	{ "train_steps", 'u', 100 },
	{ "train_warmup", 'u', 7 },
	{ "train_rate", 'f', 1e-3 },
	{ "train_rate_end", 'f', 1e-5 },
	{ "train_average", 'f', 0.99 },
	{ "train_seed", 'u', 21 },
	{ "offset", 'f', -12.5 },
	{ "scale", 'f', 0.3 },
	{ "steps", 'u', 101 },
	{ "frames", 'u', 30 },
	{ "first_frame", 'u', 5 },
	{ "last_frame", 'u', 34 },
	{ "source", 's', 0, "M\xc3\xa4rz/au.npy" },
	{ "perrin", 's', 0, "0.1.0" },
	{ "loss", 'f', 0.75 },
	{ "validation", 'n' },
	{ "curve_step", 'a', 0, "\x00\x32" },
	{ "curve_loss", 'a' },
};

static size_t put_f64(uint8_t *at, double value)
{
	uint64_t bits;

	memcpy(&bits, &value, sizeof bits);
	*at = 0xcb;
	for (int i = 0; i < 8; i++)
		at[1 + i] = (uint8_t)(bits >> (56 - 8 * i));
	return 9;
}

static size_t put_text(uint8_t *at, const char *text)
{
	size_t length = strlen(text);

	assert_true(length < 32);
	*at = (uint8_t)(0xa0 | length);
	memcpy(at + 1, text, length);
	return 1 + length;
}

static size_t put_entry(uint8_t *at, const struct entry *e)
{
	size_t n = put_text(at, e->key);

	switch (e->kind) {
	case 'u':
		at[n++] = (uint8_t)e->value;
		break;
	case 'f':
		n += put_f64(at + n, e->value);
		break;
	case 'n':
		at[n++] = 0xc0;
		break;
	case 's':
		n += put_text(at + n, e->text);
		break;
	case 'b':
		at[n++] = 0x91;
		n += put_f64(at + n, e->value);
		break;
	default:
		at[n++] = 0x92;
		n += put_f64(at + n, e->text ? e->text[0] : 1.5);
		n += put_f64(at + n, e->text ? e->text[1] : 0.9);
	}
	return n;
}

static void rehash(uint8_t *bytes, size_t count)
{
	uint64_t hash = XXH3_64bits(bytes, count - 8);

	memcpy(bytes + count - 8, &hash, 8);
}

/* @count entries and the parameters; returns the bytes there are */
static size_t by_hand(uint8_t *bytes, const struct entry *entries, size_t count,
		      const float *params, uint64_t param_count)
{
	size_t n = 24;
	uint32_t version = 1;

	bytes[n++] = 0xde;
	bytes[n++] = 0;
	bytes[n++] = (uint8_t)count;
	for (size_t i = 0; i < count; i++)
		n += put_entry(bytes + n, &entries[i]);
	uint32_t head = (uint32_t)(n - 24);

	memcpy(bytes, "PNWEIGHT", 8);
	memcpy(bytes + 8, &version, 4);
	memcpy(bytes + 12, &head, 4);
	memcpy(bytes + 16, &param_count, 8);
	while (n % 64)
		bytes[n++] = 0;
	memcpy(bytes + n, params, param_count * 4);
	n += param_count * 4 + 8;
	rehash(bytes, n);
	return n;
}

/* ---- refusals ------------------------------------------------------------------------------ */

/* bytes of just their size, so that a look beyond is seen */
static void must_refuse(const void *bytes, size_t count, int code, const char *words)
{
	struct pn_weights w, zero = { 0 };
	struct pn_error err = { 0 };
	void *exact = malloc(count ? count : 1);

	assert_non_null(exact);
	memcpy(exact, bytes, count);
	int rc = pn_weights_decode(&w, exact, count, "these", &err);

	if (rc != code || err.code != code || !strstr(err.text, words) ||
	    strncmp(err.text, "these: ", 7) != 0)
		fail_msg("%s \"%s\", want %s \"%s\"", pn_status_name(rc), err.text,
			 pn_status_name(code), words);
	assert_memory_equal(&w, &zero, sizeof w);
	assert_int_equal(pn_weights_decode(&w, exact, count, "these", NULL), code);
	free(exact);
}

/* ---- tests --------------------------------------------------------------------------------- */

static void same(const struct pn_weights *a, const struct pn_weights *b)
{
	assert_memory_equal(&a->spec, &b->spec, sizeof a->spec);
	assert_memory_equal(&a->settings, &b->settings, sizeof a->settings);
	assert_true(a->offset == b->offset && a->scale == b->scale);
	assert_true(a->steps == b->steps && a->frames == b->frames);
	assert_true(a->first_frame == b->first_frame && a->last_frame == b->last_frame);
	assert_string_equal(a->source, b->source);
	assert_string_equal(a->perrin, b->perrin);
	assert_true(a->loss == b->loss && isnan(a->validation) && isnan(b->validation));
	assert_true(a->curve_count == b->curve_count && a->param_count == b->param_count);
	assert_memory_equal(a->curve_step, b->curve_step, a->curve_count * sizeof(double));
	assert_memory_equal(a->curve_loss, b->curve_loss, a->curve_count * sizeof(double));
	assert_memory_equal(a->params, b->params, a->param_count * sizeof(float));
}

static void round_trip_to_the_byte(void **state)
{
	struct pn_weights w, back;
	struct pn_error err = { 0 };

	(void)state;
	make(&w);
	struct pn_blob blob = must_encode(&w), again = { 0 };

	assert_int_equal(pn_blob_put(&again, "front", 5), PN_OK); /* appended, whatever is there */
	if (pn_weights_decode(&back, blob.data, blob.bytes, "blob", &err) != PN_OK)
		fail_msg("%s", err.text);
	same(&w, &back);
	assert_int_equal(pn_weights_encode(&back, &again, &err), PN_OK);
	assert_int_equal(again.bytes, blob.bytes + 5);
	assert_memory_equal(again.data + 5, blob.data, blob.bytes);
	pn_weights_free(&back);
	pn_weights_free(&back);
	pn_weights_free(&w);
	pn_blob_finish(&blob);
	pn_blob_finish(&again);
}

/* If this fails because a table of parameters has changed, so has the format: raise
 * WEIGHTS_VERSION. */
static void bytes_are_those_of_the_header(void **state)
{
	struct entry turned[PN_COUNT(good)];
	struct pn_weights w, back;
	struct pn_error err = { 0 };

	(void)state;
	make(&w);
	struct pn_blob blob = must_encode(&w);
	uint8_t *bytes = malloc(2 * blob.bytes + 4096);
	size_t n = by_hand(bytes, good, PN_COUNT(good), w.params, w.param_count);

	assert_int_equal(n, blob.bytes);
	assert_memory_equal(bytes, blob.data, n);
	memcpy(turned, good, sizeof good);
	for (size_t i = 2; i < PN_COUNT(good); i++)
		turned[i] = good[PN_COUNT(good) + 1 - i];
	n = by_hand(bytes, turned, PN_COUNT(good), w.params, w.param_count);
	if (pn_weights_decode(&back, bytes, n, "turned", &err) != PN_OK)
		fail_msg("%s", err.text);
	same(&w, &back);
	pn_weights_free(&back);
	pn_weights_free(&w);
	pn_blob_finish(&blob);
	free(bytes);
}

static void cut_at_every_byte(void **state)
{
	struct pn_weights w;

	(void)state;
	make(&w);
	struct pn_blob blob = must_encode(&w);

	for (size_t n = 0; n < blob.bytes; n++)
		must_refuse(blob.data, n, PN_EFORMAT, n < 8 ? "PNWEIGHT" : "cut short");
	assert_int_equal(pn_blob_put(&blob, "more", 4), PN_OK);
	for (size_t n = 1; n <= 4; n++)
		must_refuse(blob.data, blob.bytes - 4 + n, PN_EFORMAT, "something behind them");
	pn_weights_free(&w);
	pn_blob_finish(&blob);
}

static void every_flipped_bit_is_found(void **state)
{
	struct pn_weights w;

	(void)state;
	make(&w);
	struct pn_blob blob = must_encode(&w);

	for (size_t i = 0; i < 8 * blob.bytes; i++) {
		int code = i < 64 ? PN_EFORMAT : i < 96 ? PN_EVERSION : PN_ECORRUPT;

		blob.data[i / 8] ^= (unsigned char)(1u << i % 8);
		/* another length of the head is noticed by the sizes or, within the padding, the
		 * hash */
		if (i >= 96 && i < 192) {
			struct pn_weights back;
			int rc = pn_weights_decode(&back, blob.data, blob.bytes, "bit", NULL);

			assert_true(rc == PN_EFORMAT || rc == PN_ECORRUPT);
		} else {
			must_refuse(blob.data, blob.bytes, code, "");
		}
		blob.data[i / 8] ^= (unsigned char)(1u << i % 8);
	}
	pn_weights_free(&w);
	pn_blob_finish(&blob);
}

static void one_wrong_entry(const struct pn_weights *w, const char *key, struct entry wrong,
			    const char *words)
{
	struct entry entries[PN_COUNT(good)];
	uint8_t *bytes = malloc(4096 + 4 * w->param_count);
	int found = 0;

	assert_non_null(bytes);
	memcpy(entries, good, sizeof good);
	for (size_t i = 0; i < PN_COUNT(good); i++)
		if (strcmp(entries[i].key, key) == 0) {
			entries[i] = wrong;
			found = 1;
		}
	assert_true(found);
	must_refuse(bytes, by_hand(bytes, entries, PN_COUNT(good), w->params, w->param_count),
		    PN_EFORMAT, words);
	free(bytes);
}

static void heads_are_read_strictly(void **state)
{
	static const struct {
		struct entry wrong;
		const char *key, *words; /* key NULL: the wrong entry's */
	} cases[] = {
		{ { "type", 's', 0, "frames" }, NULL, "another type" },
		{ { "v", 'u', 2 }, NULL, "version 2" },
		{ { "network_frames", 'f', 3 }, NULL, "weights.network_frames: wrong type" },
		{ { "network_frames", 'u', 4 }, NULL, "frames" },
		{ { "network_frames", 'u', 9 }, NULL, "weights.network_frames: 9" },
		{ { "network_channels", 'u', 9 }, NULL, "channels" },
		{ { "network_shared", 's', 0, "maybe" }, NULL, "weights.network_shared" },
		{ { "network_shared", 'u', 1 }, NULL, "weights.network_shared" },
		{ { "train_rate", 'f', 2 }, NULL, "weights.train_rate: 2" },
		{ { "train_batch", 'u', 0 }, NULL, "weights.train_batch: 0" },
		{ { "offset", 'f', NAN }, NULL, "weights.offset" },
		{ { "offset", 'n' }, NULL, "weights.offset" },
		{ { "scale", 'f', 0 }, NULL, "weights.scale: 0" },
		{ { "scale", 'f', -1 }, NULL, "weights.scale: -1" },
		{ { "scale", 'f', INFINITY }, NULL, "weights.scale" },
		{ { "source", 's', 0, "a\nb" }, NULL, "weights.source" },
		{ { "source", 's', 0, "\xff" }, NULL, "weights.source" },
		{ { "loss", 'f', NAN }, NULL, "weights.loss" },
		{ { "loss", 'f', INFINITY }, NULL, "weights.loss" },
		{ { "curve_loss", 'f', 1 }, NULL, "weights.curve_loss" },
		{ { "curve_loss", 'b', 1 }, NULL, "weights.curve_loss: 1 values for 2 steps" },
		{ { "curve_step", 'b', 1 }, NULL, "weights.curve_loss: 2 values for 1 steps" },
		{ { "rubbish", 'u', 1 }, "perrin", "unknown key \"rubbish\"" },
		{ { "offset", 'f', 1 }, "scale", "weights.offset: the key is there twice" },
	};
	struct pn_weights w;

	(void)state;
	make(&w);
	for (size_t i = 0; i < PN_COUNT(cases); i++)
		one_wrong_entry(&w, cases[i].key ? cases[i].key : cases[i].wrong.key,
				cases[i].wrong, cases[i].words);
	uint8_t *bytes = malloc(4096 + 4 * w.param_count);

	for (size_t i = 2; i < PN_COUNT(good); i++) { /* each key missing */
		struct entry entries[PN_COUNT(good)];
		char words[80];

		memcpy(entries, good, sizeof good);
		memmove(entries + i, entries + i + 1, (PN_COUNT(good) - 1 - i) * sizeof *entries);
		snprintf(words, sizeof words, "weights.%s: the key is missing", good[i].key);
		must_refuse(bytes,
			    by_hand(bytes, entries, PN_COUNT(good) - 1, w.params, w.param_count),
			    PN_EFORMAT, words);
	}
	free(bytes);
	pn_weights_free(&w);
}

/* Whole and with the right hash, and still wrong. */
static void what_no_hash_can_see(void **state)
{
	uint8_t *bytes = malloc(1 << 20);
	struct pn_weights w;

	(void)state;
	make(&w);
	assert_true(bytes && w.param_count > 100);
	size_t n = by_hand(bytes, good, PN_COUNT(good), w.params, w.param_count);

	bytes[8] = 2; /* the version is told even if the rest makes no sense */
	must_refuse(bytes, n, PN_EVERSION, "version 2");
	must_refuse(bytes, 24, PN_EVERSION, "version 2");
	n = by_hand(bytes, good, PN_COUNT(good), w.params, w.param_count);
	bytes[n - 8 - 4 * w.param_count - 1] ^= 1;
	rehash(bytes, n);
	must_refuse(bytes, n, PN_EFORMAT, "before the parameters is not zero");
	n = by_hand(bytes, good, PN_COUNT(good), w.params, w.param_count - 1);
	must_refuse(bytes, n, PN_EFORMAT, "parameters for a network that has");
	n = by_hand(bytes, good, PN_COUNT(good), w.params, 0);
	must_refuse(bytes, n, PN_EFORMAT, "0 parameters for a network that has");
	for (int k = 0; k < 3; k++) {
		const float bad[] = { NAN, INFINITY, -INFINITY };
		const float kept = w.params[70];

		w.params[70] = bad[k];
		n = by_hand(bytes, good, PN_COUNT(good), w.params, w.param_count);
		must_refuse(bytes, n, PN_EFORMAT, "parameter 70 of");
		w.params[70] = kept;
	}
	n = by_hand(bytes, good, PN_COUNT(good), w.params, w.param_count);
	memset(bytes + 16, 0xff, 8); /* 2^64 - 1 parameters: four times as many bytes overflow */
	must_refuse(bytes, n, PN_EFORMAT, "18446744073709551615 parameters");
	memset(bytes + 16, 0, 8);
	bytes[16 + 7] = 0x40; /* 2^62 of them are 2^64 bytes: none, if they overflow */
	must_refuse(bytes, n - 4 * w.param_count, PN_EFORMAT, "4611686018427387904 parameters");
	n = by_hand(bytes, good, PN_COUNT(good), w.params, w.param_count);
	memset(bytes + 12, 0xff, 4);
	must_refuse(bytes, n, PN_EFORMAT, "a head of 4294967295 bytes");
	/* and as many parameters as are left if less than nothing is left */
	uint64_t left = (n - ((24 + UINT64_C(0xffffffff) + 63) / 64 * 64 + 8)) / 4;
	memcpy(bytes + 16, &left, 8);
	must_refuse(bytes, n, PN_EFORMAT, "a head of 4294967295 bytes");
	free(bytes);
	pn_weights_free(&w);
}

static void must_not_encode(const struct pn_weights *w, const char *words)
{
	struct pn_blob blob = { 0 };
	struct pn_error err = { 0 };

	assert_int_equal(pn_blob_put(&blob, "kept", 4), PN_OK);
	int rc = pn_weights_encode(w, &blob, &err);

	if (rc != PN_EARG || err.code != PN_EARG || !strstr(err.text, words))
		fail_msg("%s \"%s\", want \"%s\"", pn_status_name(rc), err.text, words);
	assert_int_equal(pn_weights_encode(w, &blob, NULL), PN_EARG);
	assert_int_equal(blob.bytes, 4);
	assert_memory_equal(blob.data, "kept", 4);
	pn_blob_finish(&blob);
}

static void what_could_not_be_read_is_not_written(void **state)
{
	struct pn_weights w, bad;

	(void)state;
	make(&w);
	bad = w;
	bad.param_count--;
	must_not_encode(&bad, "parameters for a network that has");
	bad = w;
	bad.spec.frames = 2;
	must_not_encode(&bad, "frames");
	bad = w;
	bad.scale = 0;
	must_not_encode(&bad, "weights.scale");
	bad = w;
	bad.offset = NAN;
	must_not_encode(&bad, "weights.offset");
	bad = w;
	bad.settings.average = 1;
	must_not_encode(&bad, "weights.train_average");
	bad = w;
	bad.loss = INFINITY;
	must_not_encode(&bad, "weights.loss");
	bad = w;
	strcpy(bad.source, "tab\t");
	must_not_encode(&bad, "weights.source");
	bad = w;
	memset(bad.source, 'a', sizeof bad.source);
	must_not_encode(&bad, "weights.source");
	bad = w;
	bad.curve_loss[1] = NAN;
	must_not_encode(&bad, "weights.curve_loss");
	bad = w;
	bad.curve_count = PN_WEIGHTS_CURVE_MAX + 1;
	must_not_encode(&bad, "weights.curve_step: 1025");
	w.params[3] = NAN;
	must_not_encode(&w, "parameter 3 of");
	pn_weights_free(&w);
}

static void full_curve_is_thinned(void **state)
{
	struct pn_weights w, back;
	struct pn_error err = { 0 };

	(void)state;
	make(&w);
	w.curve_count = 0;
	pn_weights_curve_add(&w, 1, NAN);
	pn_weights_curve_add(&w, INFINITY, 1);
	assert_int_equal(w.curve_count, 0);
	for (int i = 0; i < 5000; i++) {
		pn_weights_curve_add(&w, i, 1.0 / (i + 1));
		assert_true(w.curve_count <= PN_WEIGHTS_CURVE_MAX);
	}
	assert_true(w.curve_count > PN_WEIGHTS_CURVE_MAX / 2);
	assert_true(w.curve_step[0] == 0 && w.curve_step[w.curve_count - 1] == 4999);
	for (uint64_t i = 0; i < w.curve_count; i++) {
		assert_true(w.curve_loss[i] == 1 / (w.curve_step[i] + 1));
		assert_true(!i || w.curve_step[i] > w.curve_step[i - 1]);
	}
	w.curve_count = PN_WEIGHTS_CURVE_MAX; /* as many as there can be still fit the head */
	struct pn_blob blob = must_encode(&w);

	assert_int_equal(pn_weights_decode(&back, blob.data, blob.bytes, "full", &err), PN_OK);
	same(&w, &back);
	pn_weights_free(&back);
	pn_weights_free(&w);
	pn_blob_finish(&blob);
}

static void must_not_read(const char *path, int code, const char *words)
{
	struct pn_weights w, zero = { 0 };
	struct pn_error err = { 0 };
	int rc = pn_weights_read(&w, path, &err);

	if (rc != code || err.code != code || !strstr(err.text, words) || !strstr(err.text, path))
		fail_msg("%s \"%s\", want %s \"%s\"", pn_status_name(rc), err.text,
			 pn_status_name(code), words);
	assert_memory_equal(&w, &zero, sizeof w);
}

static void files_are_read_as_they_were_written(void **state)
{
	const char *dir = testkit_tempdir(), *path = testkit_path(dir, "net.weights");
	struct pn_weights w, back;
	struct pn_error err = { 0 };
	size_t count;

	(void)state;
	make(&w);
	struct pn_blob blob = must_encode(&w);

	testkit_write(path, "old", 3);
	if (pn_weights_write(&w, path, &err) != PN_OK ||
	    pn_weights_read(&back, path, &err) != PN_OK)
		fail_msg("%s", err.text);
	same(&w, &back);
	char *file = testkit_read(path, &count);

	assert_int_equal(count, blob.bytes);
	assert_memory_equal(file, blob.data, count);
	assert_int_equal(access(testkit_path(dir, "net.weights.part"), F_OK), -1);
	w.scale = 0; /* nothing happens to a good file */
	assert_int_equal(pn_weights_write(&w, path, &err), PN_EARG);
	assert_non_null(strstr(err.text, path));
	pn_weights_free(&back);
	assert_int_equal(pn_weights_read(&back, path, &err), PN_OK);
	free(file);
	pn_weights_free(&back);
	pn_weights_free(&w);
	pn_blob_finish(&blob);
}

static void files_that_are_none(void **state)
{
	const char *dir = testkit_tempdir(), *path = testkit_path(dir, "bad"),
		   *pipe = testkit_path(dir, "pipe");
	struct pn_error err = { 0 };
	struct pn_weights w;

	(void)state;
	make(&w);
	struct pn_blob blob = must_encode(&w);

	must_not_read(testkit_path(dir, "missing"), PN_ENOENT, "missing");
	must_not_read(dir, PN_EUNSUPPORTED, "not a regular file");
	assert_int_equal(mkfifo(pipe, 0600), 0);
	must_not_read(pipe, PN_EUNSUPPORTED, "not a regular file");
	testkit_write(path, "", 0);
	must_not_read(path, PN_EFORMAT, "0 bytes that do not begin");
	testkit_write(path, blob.data, blob.bytes - 1);
	must_not_read(path, PN_EFORMAT, "cut short");
	blob.data[blob.bytes - 9] ^= 1;
	testkit_write(path, blob.data, blob.bytes);
	must_not_read(path, PN_ECORRUPT, "hash");
	/* 1 GB, of which no byte is read but the first */
	assert_int_equal(truncate(path, 1 << 30), 0);
	must_not_read(path, PN_EFORMAT, "1073741824 bytes");
	assert_int_equal(pn_weights_write(&w, dir, &err), PN_EIO);
	assert_int_equal(pn_weights_write(&w, testkit_path(dir, "no/such"), &err), PN_ENOENT);
	if (access("/dev/full", W_OK) == 0)
		assert_int_equal(pn_weights_write(&w, "/dev/full", &err), PN_ENOSPC);
	pn_weights_free(&w);
	pn_blob_finish(&blob);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip_to_the_byte),
		cmocka_unit_test(bytes_are_those_of_the_header),
		cmocka_unit_test(cut_at_every_byte),
		cmocka_unit_test(every_flipped_bit_is_found),
		cmocka_unit_test(heads_are_read_strictly),
		cmocka_unit_test(what_no_hash_can_see),
		cmocka_unit_test(what_could_not_be_read_is_not_written),
		cmocka_unit_test(full_curve_is_thinned),
		cmocka_unit_test(files_are_read_as_they_were_written),
		cmocka_unit_test(files_that_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
