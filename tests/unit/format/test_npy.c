/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The .npy reader takes every spelling of the header NumPy may write, and no other. */
#include "stack_kit.h"

static const char *dir;

/* version 1: two bytes of length, 2 and 3: four */
static const char *put_npy(const char *name, int version, const char *dict, const void *data,
			   size_t bytes)
{
	const char *path = testkit_path(dir, name);
	FILE *f = fopen(path, "wb");
	size_t n = strlen(dict);

	assert_non_null(f);
	fprintf(f, "\x93NUMPY%c%c", version, 0);
	for (int i = 0; i < (version == 1 ? 2 : 4); i++)
		fputc((int)(n >> 8 * i & 255), f);
	fwrite(dict, 1, n, f);
	fwrite(data, 1, bytes, f);
	assert_int_equal(fclose(f), 0);
	return path;
}

static const uint8_t ramp[64] = { 0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08, 0x11, 0x12, 0x13,
				  0x14, 0x15, 0x16, 0x17, 0x18, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26,
				  0x27, 0x28, 0x31, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37, 0x38 };

static void spellings_that_are_good(void **state)
{
	(void)state;
	static const struct {
		const char *dict;
		int version;
		uint64_t count, ny, nx;
	} good[] = {
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }   \n", 1, 1, 2, 3 },
		{ "{'descr': '<u1', 'fortran_order': False, 'shape': (2, 3)}", 2, 1, 2, 3 },
		{ "{\"shape\":(4,2,3),\"descr\":\"=u1\",\"fortran_order\":False}\n", 3, 4, 2, 3 },
		{ "{ 'fortran_order' : False , 'shape' : ( 4L , 2L , 3L , ) , 'descr' : '>u1' }", 1,
		  4, 2, 3 },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 2, 3), }", 1, 6, 2, 3 },
		{ "{'descr': '|b1', 'fortran_order': False, 'shape': (1, 1), }", 1, 1, 1, 1 },
	};

	for (size_t i = 0; i < PN_COUNT(good); i++)
		must_hold(put_npy("good", good[i].version, good[i].dict, ramp, sizeof ramp), "npy",
			  PN_U8, good[i].count, good[i].ny, good[i].nx, ramp);
}

static void spellings_that_are_not(void **state)
{
	(void)state;
	static const struct {
		const char *dict;
		int code;
		const char *words;
	} bad[] = {
		{ "", PN_EFORMAT, "expected {" },
		{ "{}", PN_EFORMAT, "descr, fortran_order and shape" },
		{ "{'descr': '|u1', 'fortran_order': False}", PN_EFORMAT, "shape before this" },
		{ "{'descr': '|u1', 'descr': '|u1', 'shape': (2, 3)}", PN_EFORMAT, "once each" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), 'x': 1}", PN_EFORMAT,
		  "once each" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)", PN_EFORMAT,
		  "its end" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3)} x", PN_EFORMAT,
		  "0x78" },
		{ "{'descr': '|u1' 'fortran_order': False, 'shape': (2, 3)}", PN_EFORMAT,
		  ", or }" },
		{ "{'descr': '|u1', 'fortran_order': false, 'shape': (2, 3)}", PN_EFORMAT,
		  "False" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (2 3)}", PN_EFORMAT, ", " },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (,)}", PN_EFORMAT,
		  "a number" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (-2, 3)}", PN_EFORMAT,
		  "number" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (18446744073709551616, 3)}",
		  PN_EFORMAT, "2^64" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': [2, 3]}", PN_EFORMAT, "(" },
		{ "{'descr': '|u1, 'fortran_order': False, 'shape': (2, 3)}", PN_EFORMAT,
		  "expected" },
		{ "{'descr': '\\x7cu1', 'fortran_order': False, 'shape': (2, 3)}", PN_EFORMAT,
		  "plain string" },
		{ "{'descr': [('a', '|u1')], 'fortran_order': False, 'shape': (2, 3)}",
		  PN_EUNSUPPORTED, "structured" },
		{ "{'descr': '<c16', 'fortran_order': False, 'shape': (2, 3)}", PN_EUNSUPPORTED,
		  "<c16" },
		{ "{'descr': '|O', 'fortran_order': False, 'shape': (2, 3)}", PN_EUNSUPPORTED,
		  "|O" },
		{ "{'descr': '!u2', 'fortran_order': False, 'shape': (2, 3)}", PN_EUNSUPPORTED,
		  "!u2" },
		{ "{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3)}", PN_EUNSUPPORTED,
		  "Fortran order" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': ()}", PN_EUNSUPPORTED,
		  "0 axes" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (3,)}", PN_EUNSUPPORTED,
		  "1 axes" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (3)}", PN_EFORMAT, "tuple" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1, 2, 3)}",
		  PN_EUNSUPPORTED, "5 axes" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 3)}", PN_EFORMAT,
		  "1x0x3 u8: a stack needs at least one image" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (0, 2, 3)}", PN_EFORMAT,
		  "0x2x3 u8: a stack needs" },
		{ "{'descr': '<f8', 'fortran_order': False, 'shape': (4294967296, 4294967296)}",
		  PN_EFORMAT, "2^62" },
		{ "{'descr': '|u1', 'fortran_order': False, 'shape': (4294967296, 4294967296, 1, "
		  "1)}",
		  PN_EFORMAT, "2^64 images" },
	};

	for (size_t i = 0; i < PN_COUNT(bad); i++)
		must_refuse(put_npy("bad.npy", 1, bad[i].dict, ramp, sizeof ramp), bad[i].code,
			    bad[i].words);
}

static void sizes_that_lie(void **state)
{
	(void)state;
	uint8_t data[1234] = { 0 };

	must_refuse(put_npy("lie.npy", 1,
			    "{'descr': '<u2', 'fortran_order': False, 'shape': (30, 512, 512), }",
			    data, sizeof data),
		    PN_EFORMAT,
		    "lie.npy: header says 30x512x512 u16 (15728640 bytes), file has 1234 ");
	testkit_write(testkit_path(dir, "long"), "\x93NUMPY\x01\x00\xff\xff{}", 12);
	must_refuse(testkit_path(dir, "long"), PN_EFORMAT, "65535 bytes");
	testkit_write(testkit_path(dir, "longer"), "\x93NUMPY\x02\x00\xff\xff\xff\xff{}", 14);
	must_refuse(testkit_path(dir, "longer"), PN_EFORMAT, "4294967295 bytes");
	testkit_write(testkit_path(dir, "version"), "\x93NUMPY\x04\x00\x02\x00{}", 12);
	must_refuse(testkit_path(dir, "version"), PN_EVERSION, "version 4.0");
}

/* The same numbers in both byte orders, for all types; the halves of a complex keep their places.
 */
static void both_byte_orders(void **state)
{
	(void)state;
	static const struct {
		const char *type;
		enum pn_dtype dtype;
		size_t unit, bytes;
	} types[] = {
		{ "u1", PN_U8, 1, 1 },  { "i1", PN_I8, 1, 1 },  { "u2", PN_U16, 2, 2 },
		{ "i2", PN_I16, 2, 2 }, { "u4", PN_U32, 4, 4 }, { "i4", PN_I32, 4, 4 },
		{ "u8", PN_U64, 8, 8 }, { "i8", PN_I64, 8, 8 }, { "f4", PN_F32, 4, 4 },
		{ "f8", PN_F64, 8, 8 }, { "c8", PN_C64, 4, 8 },
	};

	for (size_t t = 0; t < PN_COUNT(types); t++) {
		uint8_t swapped[4 * 8];
		char dict[96];
		size_t bytes = 4 * types[t].bytes, unit = types[t].unit;

		for (size_t i = 0; i < bytes; i++)
			swapped[i] = ramp[i / unit * unit + unit - 1 - i % unit];
		snprintf(dict, sizeof dict,
			 "{'descr': '<%s', 'fortran_order': False, 'shape': (2, 2)}",
			 types[t].type);
		must_hold(put_npy("le", 1, dict, ramp, bytes), "npy", types[t].dtype, 1, 2, 2,
			  ramp);
		dict[11] = '>';
		must_hold(put_npy("be", 1, dict, swapped, bytes), "npy", types[t].dtype, 1, 2, 2,
			  ramp);
	}
}

/* All 65536 half floats against their definition. */
static void half_floats(void **state)
{
	(void)state;
	uint16_t *half = malloc(65536 * sizeof *half);

	assert_non_null(half);
	for (int swap = 0; swap < 2; swap++) {
		for (unsigned i = 0; i < 65536; i++)
			half[i] = (uint16_t)(swap ? i << 8 | i >> 8 : i);
		const char *dict =
			swap ? "{'descr': '>f2', 'fortran_order': False, 'shape': (256, 256)}"
			     : "{'descr': '<f2', 'fortran_order': False, 'shape': (256, 256)}";
		struct pn_stack *stack = must_open(put_npy("half", 1, dict, half, 2 * 65536));
		check_info_is(stack, "npy", PN_F32, 1, 256, 256);
		float *got = read_all(stack);
		for (unsigned i = 0; i < 65536; i++) {
			int e = i >> 10 & 31, m = i & 1023;
			double want = e == 31 ? (m ? (double)NAN : (double)INFINITY)
				      : e     ? ldexp(1024 + m, e - 25)
					      : ldexp(m, -24);

			if (isnan(want)) {
				assert_true(isnan(got[i]));
				continue;
			}
			assert_true((double)got[i] == (i >> 15 ? -want : want));
			assert_int_equal(!!signbit(got[i]), i >> 15);
		}
		free(got);
		pn_stack_close(stack);
	}
	free(half);
}

static void measured_movie(void **state)
{
	(void)state;
	static const double want[4] = { 4, 848, 577162828, 291438702125 };
	const char *path = testkit_data("movie_au_glc/frames00-29_512x512_u16.npy");

	if (!path)
		skip();
	must_measure(path, "npy", PN_U16, 30, 512, 512, want);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(spellings_that_are_good),
		cmocka_unit_test(spellings_that_are_not),
		cmocka_unit_test(sizes_that_lie),
		cmocka_unit_test(both_byte_orders),
		cmocka_unit_test(half_floats),
		cmocka_unit_test(measured_movie),
	};

	dir = testkit_tempdir();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
