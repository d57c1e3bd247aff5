/* SPDX-License-Identifier: GPL-3.0-or-later */
/* MRC files of every mode, byte order and age are read; what is written says what MRC2014 asks. */
#include "stack_kit.h"

static const char *dir;

/* A header of 32-bit words in the byte order asked for, filled as by an old program: no magic. */
struct old_mrc {
	uint8_t bytes[1024];
	int swap;
};

static void set_word(struct old_mrc *mrc, int at, uint32_t word)
{
	if (mrc->swap)
		word = __builtin_bswap32(word);
	memcpy(mrc->bytes + at, &word, sizeof word);
}

static void set_float(struct old_mrc *mrc, int at, float value)
{
	uint32_t word;

	memcpy(&word, &value, sizeof word);
	set_word(mrc, at, word);
}

static struct old_mrc make_header(int swap, uint32_t nx, uint32_t ny, uint32_t nz, uint32_t mode)
{
	struct old_mrc mrc = { .swap = swap };
	const uint32_t words[4] = { nx, ny, nz, mode };

	for (int i = 0; i < 4; i++)
		set_word(&mrc, 4 * i, words[i]);
	for (int i = 0; i < 3; i++)
		set_word(&mrc, 28 + 4 * i, words[i]);
	return mrc;
}

static void set_magic(struct old_mrc *mrc, const char *stamp)
{
	memcpy(mrc->bytes + 208, "MAP ", 4);
	memcpy(mrc->bytes + 212, stamp, 2);
}

static const char *put_mrc(const char *name, const struct old_mrc *mrc, size_t extra,
			   const void *data, size_t bytes)
{
	const char *path = testkit_path(dir, name);
	FILE *f = fopen(path, "wb");

	assert_non_null(f);
	fwrite(mrc->bytes, 1, sizeof mrc->bytes, f);
	for (size_t i = 0; i < extra; i++)
		fputc(0xee, f);
	fwrite(data, 1, bytes, f);
	assert_int_equal(fclose(f), 0);
	return path;
}

static void every_mode_in_both_orders(void **state)
{
	(void)state;
	static const int8_t i8[6] = { -128, -1, 0, 1, 100, 127 };
	static const int16_t i16[6] = { -32768, -2, 0, 258, 1000, 32767 };
	static const uint16_t u16[6] = { 0, 1, 255, 258, 40000, 65535 };
	static const float f32[6] = { -1.5f, 0, 1e-30f, 3.25f, 1e30f, 7 };
	static const float c64[12] = { 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, 6, 1e-3f };
	static const int16_t ci16[12] = { 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, -32768, 32767 };
	static const float ci16_wide[12] = { 1, -1, 2, -2, 3, -3, 4, -4, 5, -5, -32768, 32767 };
	static const uint16_t f16[6] = { 0x3c00, 0xc000, 0x0001, 0x7bff, 0x3555, 0x0000 };
	static const float f16_wide[6] = { 1, -2, 0x1p-24f, 65504, 0x1.554p-2f, 0 };
	static const struct {
		uint32_t mode;
		enum pn_dtype dtype;
		size_t unit, bytes;
		const void *stored, *want;
	} modes[] = {
		{ 0, PN_I8, 1, sizeof i8, i8, i8 },
		{ 1, PN_I16, 2, sizeof i16, i16, i16 },
		{ 2, PN_F32, 4, sizeof f32, f32, f32 },
		{ 3, PN_C64, 2, sizeof ci16, ci16, ci16_wide },
		{ 4, PN_C64, 4, sizeof c64, c64, c64 },
		{ 6, PN_U16, 2, sizeof u16, u16, u16 },
		{ 12, PN_F32, 2, sizeof f16, f16, f16_wide },
	};

	for (size_t m = 0; m < PN_COUNT(modes); m++)
		for (int swap = 0; swap < 2; swap++) {
			struct old_mrc mrc = make_header(swap, 3, 1, 2, modes[m].mode);
			uint8_t data[64];

			for (size_t i = 0; i < modes[m].bytes; i++)
				data[i] =
					((const uint8_t *)modes[m]
						 .stored)[swap ? i / modes[m].unit * modes[m].unit +
									  modes[m].unit - 1 -
									  i % modes[m].unit
							       : i];
			must_hold(put_mrc("old", &mrc, 0, data, modes[m].bytes), "mrc",
				  modes[m].dtype, 2, 1, 3, modes[m].want);
			/* with magic: trailing bytes and an extended header are fine */
			set_magic(&mrc, swap ? "\x11\x11" : "\x44\x44");
			set_word(&mrc, 92, 160);
			must_hold(put_mrc("new", &mrc, 160, data, sizeof data), "mrc",
				  modes[m].dtype, 2, 1, 3, modes[m].want);
			/* a stamp of the wrong kind or of no kind does not matter */
			set_word(&mrc, 92, 0);
			set_magic(&mrc, swap ? "\x44\x41" : "\x11\x11");
			must_hold(put_mrc("wrong", &mrc, 0, data, modes[m].bytes), "mrc",
				  modes[m].dtype, 2, 1, 3, modes[m].want);
			set_magic(&mrc, "\x20\x20");
			must_hold(put_mrc("garbage", &mrc, 0, data, modes[m].bytes), "mrc",
				  modes[m].dtype, 2, 1, 3, modes[m].want);
		}
}

/* Mode 101: the low half of a byte comes first, a row of odd length leaves half a byte unused. */
static void four_bits(void **state)
{
	(void)state;
	static const uint8_t odd[] = { 0x21, 0x43, 0xf5, 0x76, 0x98, 0xfa };
	static const uint8_t odd_want[] = { 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 };
	static const uint8_t even_want[] = { 1, 2, 3, 4, 5, 15, 6, 7, 8, 9, 10, 15 };
	static const uint8_t narrow_want[] = { 1, 3, 5, 6, 8, 10 };
	struct old_mrc mrc = make_header(0, 5, 1, 2, 101);

	must_hold(put_mrc("odd", &mrc, 0, odd, 6), "mrc", PN_U8, 2, 1, 5, odd_want);
	mrc = make_header(1, 2, 2, 1, 101);
	must_hold(put_mrc("even", &mrc, 0, odd, 2), "mrc", PN_U8, 1, 2, 2, even_want);
	mrc = make_header(0, 6, 2, 1, 101);
	must_hold(put_mrc("even", &mrc, 0, odd, 6), "mrc", PN_U8, 1, 2, 6, even_want);
	mrc = make_header(0, 1, 6, 1, 101);
	must_hold(put_mrc("narrow", &mrc, 0, odd, 6), "mrc", PN_U8, 1, 6, 1, narrow_want);
}

static void bytes_with_imods_flag(void **state)
{
	(void)state;
	static const uint8_t data[4] = { 0, 127, 128, 255 };

	for (int swap = 0; swap < 2; swap++) {
		struct old_mrc mrc = make_header(swap, 2, 2, 1, 0);

		set_word(&mrc, 156, 0); /* no stamp: the flags mean nothing */
		must_hold(put_mrc("none", &mrc, 0, data, 4), "mrc", PN_I8, 1, 2, 2, data);
		set_word(&mrc, 152, 1146047817);
		must_hold(put_mrc("unsigned", &mrc, 0, data, 4), "mrc", PN_U8, 1, 2, 2, data);
		set_word(&mrc, 156, 1);
		must_hold(put_mrc("signed", &mrc, 0, data, 4), "mrc", PN_I8, 1, 2, 2, data);
		set_word(&mrc, 156, 6);
		must_hold(put_mrc("other", &mrc, 0, data, 4), "mrc", PN_U8, 1, 2, 2, data);
	}
}

static void expect_pixel(const struct old_mrc *mrc, double want_pm)
{
	static const uint8_t data[4];
	struct pn_stack *stack = must_open(put_mrc("pixel", mrc, 0, data, 4));

	assert_true(fabs(pn_stack_info(stack)->pixel_pm - want_pm) <= 1e-7 * want_pm);
	pn_stack_close(stack);
}

static void pixel_sizes(void **state)
{
	(void)state;
	for (int swap = 0; swap < 2; swap++) {
		struct old_mrc mrc = make_header(swap, 4, 1, 1, 0);

		expect_pixel(&mrc, 0);
		set_float(&mrc, 40, 3.0f); /* 3 Angstrom in 4 pixels */
		expect_pixel(&mrc, 75);
		set_word(&mrc, 28, 8); /* of a grid of 8 */
		expect_pixel(&mrc, 37.5);
		set_word(&mrc, 28, 0);
		expect_pixel(&mrc, 0);
		set_word(&mrc, 28, 4);
		set_float(&mrc, 40, -3.0f);
		expect_pixel(&mrc, 0);
		set_float(&mrc, 40, NAN);
		expect_pixel(&mrc, 0);
	}
}

static void headers_that_lie(void **state)
{
	(void)state;
	uint8_t data[1000] = { 0 };
	struct old_mrc mrc = make_header(0, 512, 512, 30, 6);

	/* without magic only the name tells what it was meant to be */
	must_refuse(put_mrc("lie.mrc", &mrc, 0, data, sizeof data), PN_EFORMAT,
		    "header says 30x512x512 u16 (15728640 bytes), file has 1000 ");
	must_refuse(put_mrc("lie", &mrc, 0, data, sizeof data), PN_EFORMAT, "neither npy");
	set_magic(&mrc, "\x44\x44");
	must_refuse(put_mrc("lie", &mrc, 0, data, sizeof data), PN_EFORMAT, "has 1000 ");
	mrc = make_header(0, 2147483647, 2147483647, 2147483647, 4);
	set_magic(&mrc, "\x44\x44");
	must_refuse(put_mrc("lie", &mrc, 0, data, sizeof data), PN_EFORMAT, "2^62");
	static const uint32_t none[][4] = {
		{ 0, 1, 1, 0 },          { 1, 0, 1, 0 }, { 1, 1, 0, 0 },
		{ 0xffffffff, 1, 1, 0 }, { 1, 1, 1, 5 }, { 1, 1, 1, 7 },
	};
	for (size_t i = 0; i < PN_COUNT(none); i++) {
		mrc = make_header(0, none[i][0], none[i][1], none[i][2], none[i][3]);
		set_magic(&mrc, "\x44\x44");
		must_refuse(put_mrc("none", &mrc, 0, data, sizeof data), PN_EFORMAT, "mode");
	}
	mrc = make_header(0, 10, 10, 10, 0);
	set_magic(&mrc, "\x44\x44");
	set_word(&mrc, 92, 1);
	must_refuse(put_mrc("extra", &mrc, 0, data, sizeof data), PN_EFORMAT, "byte 1025");
	set_word(&mrc, 92, 0x80000000);
	must_refuse(put_mrc("extra", &mrc, 0, data, sizeof data), PN_EFORMAT, "-2147483648");
	/* too short for either byte order: the stamp says which numbers to quote */
	for (int swap = 0; swap < 2; swap++) {
		mrc = make_header(swap, 30, 40, 50, 0);
		set_magic(&mrc, swap ? "\x11\x11" : "\x44\x44");
		must_refuse(put_mrc("short", &mrc, 0, data, sizeof data), PN_EFORMAT,
			    "50x40x30 i8 (60000 bytes)");
	}
	testkit_write(testkit_path(dir, "stub.mrc"), data, sizeof data);
	must_refuse(testkit_path(dir, "stub.mrc"), PN_EFORMAT, "file has 1000");
}

static void other_modes_survive_mutations(void **state)
{
	(void)state;
	static const uint32_t modes[] = { 3, 12, 101 };
	uint8_t data[24] = { 1, 2, 3 };

	for (size_t i = 0; i < PN_COUNT(modes); i++) {
		struct old_mrc mrc = make_header(1, 3, 2, 1, modes[i]);

		set_magic(&mrc, "\x11\x11");
		must_survive_mutations(put_mrc("m.mrc", &mrc, 0, data, sizeof data), 2048);
	}
}

static double word_as_float(const char *bytes, int at)
{
	float value;

	memcpy(&value, bytes + at, sizeof value);
	return (double)value;
}

static int32_t word(const char *bytes, int at)
{
	int32_t value;

	memcpy(&value, bytes + at, sizeof value);
	return value;
}

/* Two images of (offset + 1 .. offset + 6): mean offset + 3.5, variance 35/12. */
static void what_is_written(void **state)
{
	(void)state;
	const char *path = testkit_path(dir, "written.mrc");
	struct pn_stack_info info = {
		.dtype = PN_F32, .ny = 2, .nx = 3, .pixel_pm = 50, .format = "mrc"
	};
	struct pn_stack_writer *writer;
	struct pn_error err;
	size_t size;

	for (int offset = 0; offset <= 1000000; offset += 1000000) {
		float image[6];

		assert_int_equal(pn_stack_create(&writer, path, &info, &err), PN_OK);
		for (int i = 0; i < 6; i++)
			image[i] = (float)(offset + 1 + i);
		assert_int_equal(pn_stack_write(writer, image, &err), PN_OK);
		for (int i = 0; i < 6; i++)
			image[i] = (float)(offset + 6 - i);
		assert_int_equal(pn_stack_write(writer, image, &err), PN_OK);
		assert_int_equal(pn_stack_finish(writer, &err), PN_OK);
		char *b = testkit_read(path, &size);
		assert_int_equal(size, 1024 + 48);
		assert_int_equal(word(b, 8), 2);
		assert_int_equal(word(b, 12), 2);
		assert_int_equal(word(b, 36), 1); /* MZ of a stack of images */
		assert_int_equal(word(b, 88), 0); /* ISPG */
		assert_int_equal(word(b, 108), 20141);
		assert_memory_equal(b + 208, "MAP \x44\x44\0\0", 8);
		assert_true(word_as_float(b, 40) == 1.5 && word_as_float(b, 44) == 1);
		assert_true(word_as_float(b, 76) == offset + 1);
		assert_true(word_as_float(b, 80) == offset + 6);
		assert_true(word_as_float(b, 84) == offset + 3.5);
		assert_true(fabs(word_as_float(b, 216) - sqrt(35.0 / 12)) < 1e-6);
		free(b);
	}
	/* nothing finite: the statistics say that they are not known */
	const float nans[6] = { NAN, NAN, NAN, INFINITY, NAN, -INFINITY };
	assert_int_equal(pn_stack_create(&writer, path, &info, &err), PN_OK);
	assert_int_equal(pn_stack_write(writer, nans, &err), PN_OK);
	assert_int_equal(pn_stack_finish(writer, &err), PN_OK);
	char *b = testkit_read(path, &size);
	assert_true(word_as_float(b, 80) < word_as_float(b, 76));
	assert_true(word_as_float(b, 84) < word_as_float(b, 80));
	assert_true(word_as_float(b, 216) < 0);
	free(b);
}

/* Large images of every type against long double sums. */
static void statistics_of_large_images(void **state)
{
	(void)state;
	const char *path = testkit_path(dir, "large.mrc");
	static const enum pn_dtype dtypes[] = { PN_U8, PN_I8, PN_U16, PN_I16, PN_F32 };
	enum { NY = 101, NX = 131, N = NY * NX };

	for (size_t d = 0; d < PN_COUNT(dtypes); d++) {
		struct pn_stack_info info = {
			.dtype = dtypes[d], .ny = NY, .nx = NX, .format = "mrc"
		};
		size_t bytes = pn_dtype_bytes(dtypes[d]), size;
		struct pn_stack_writer *writer;
		struct pn_error err;
		uint8_t *image = malloc(N * bytes);
		float *f = malloc(N * sizeof *f);
		long double sum = 0, squares = 0;
		double min = INFINITY, max = -INFINITY;

		assert_non_null(image);
		assert_non_null(f);
		for (size_t i = 0; i < N * bytes; i++)
			image[i] = (uint8_t)(i * i * 31 + i / 7);
		for (size_t i = 0; dtypes[d] == PN_F32 && i < N; i++)
			((float *)image)[i] = 1000 + (float)(i * i % 977) / 3;
		pn_to_f32(f, image, dtypes[d], N);
		for (size_t i = 0; i < N; i++) {
			sum += (long double)f[i];
			min = fmin(min, (double)f[i]);
			max = fmax(max, (double)f[i]);
		}
		for (size_t i = 0; i < N; i++)
			squares += ((long double)f[i] - sum / N) * ((long double)f[i] - sum / N);
		assert_int_equal(pn_stack_create(&writer, path, &info, &err), PN_OK);
		assert_int_equal(pn_stack_write(writer, image, &err), PN_OK);
		assert_int_equal(pn_stack_write(writer, image, &err), PN_OK);
		assert_int_equal(pn_stack_finish(writer, &err), PN_OK);
		char *b = testkit_read(path, &size);
		assert_true(word_as_float(b, 76) == min);
		assert_true(word_as_float(b, 80) == max);
		/* stored as float32: half a unit in the last place, 2^-24 */
		double mean = (double)(sum / N), rms = (double)sqrtl(squares / N);
		assert_true(fabs(word_as_float(b, 84) - mean) <= fabs(mean) * 0x1p-24);
		assert_true(fabs(word_as_float(b, 216) - rms) <= rms * 0x1p-24);
		free(b);
		free(f);
		free(image);
	}
}

static void refuse_value(enum pn_dtype dtype, const void *good, const void *bad)
{
	const char *path = testkit_path(dir, "narrow.mrc");
	struct pn_stack_info info = { .dtype = dtype, .ny = 1, .nx = 1, .format = "mrc" };
	struct pn_stack_writer *writer;
	struct pn_error err;

	assert_int_equal(pn_stack_create(&writer, path, &info, &err), PN_OK);
	assert_int_equal(pn_stack_write(writer, good, &err), PN_OK);
	assert_int_equal(pn_stack_write(writer, bad, &err), PN_EUNSUPPORTED);
	assert_non_null(strstr(err.text, "image 1, pixel 0"));
	/* the writer goes on, the refused image is not in the file */
	assert_int_equal(pn_stack_write(writer, good, &err), PN_OK);
	assert_int_equal(pn_stack_finish(writer, &err), PN_OK);
	float want[2];
	pn_to_f32(&want[0], good, dtype, 1);
	want[1] = want[0];
	must_hold(path, "mrc", PN_F32, 2, 1, 1, want);
}

static void values_that_are_no_float32(void **state)
{
	(void)state;
	static const uint32_t u32[2] = { 1u << 31, (1u << 24) + 1 };
	static const int32_t i32[2] = { INT32_MIN, INT32_MAX };
	static const uint64_t u64[2] = { UINT64_C(1) << 63, UINT64_MAX };
	static const int64_t i64[2] = { INT64_MIN, INT64_MAX };
	static const double f64[2] = { 0x1.fffffep127, 1e39 }, third[2] = { 0.25, 1.0 / 3 };

	refuse_value(PN_U32, &u32[0], &u32[1]);
	refuse_value(PN_I32, &i32[0], &i32[1]);
	refuse_value(PN_U64, &u64[0], &u64[1]);
	refuse_value(PN_I64, &i64[0], &i64[1]);
	refuse_value(PN_F64, &f64[0], &f64[1]);
	refuse_value(PN_F64, &third[0], &third[1]);
}

/* float16.mrc: cella 230.1 Angstrom on 64 pixels; temp.mrc has no magic; ROI has a cell below 0. */
static void files_of_other_programs(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		enum pn_dtype dtype;
		uint64_t count, ny, nx;
		double pixel_pm, want[4];
	} files[] = {
		{ "formats/mrc/ROI_Random_Scan_movie.mrc",
		  PN_U16,
		  348,
		  16,
		  16,
		  0,
		  { 681, 1596, 104477835, 52685197850 } },
		{ "formats/mrc/float16.mrc",
		  PN_F32,
		  1,
		  64,
		  64,
		  359.53124,
		  { -4.33984375, 3.8203125, 168.48581314086914, 87940.77821922302 } },
		{ "formats/mrc/temp.mrc",
		  PN_F32,
		  3,
		  128,
		  128,
		  200,
		  { 5.613289977191016e-05, 0.999992847442627, 24435.3063046194,
		    12278002.054933393 } },
	};

	for (size_t i = 0; i < PN_COUNT(files); i++) {
		const char *path = testkit_data(files[i].name);

		if (!path)
			skip();
		must_measure(path, "mrc", files[i].dtype, files[i].count, files[i].ny, files[i].nx,
			     files[i].want);
		struct pn_stack *stack = must_open(path);
		assert_true(fabs(pn_stack_info(stack)->pixel_pm - files[i].pixel_pm) <= 1e-4);
		pn_stack_close(stack);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_mode_in_both_orders),
		cmocka_unit_test(four_bits),
		cmocka_unit_test(bytes_with_imods_flag),
		cmocka_unit_test(pixel_sizes),
		cmocka_unit_test(headers_that_lie),
		cmocka_unit_test(other_modes_survive_mutations),
		cmocka_unit_test(what_is_written),
		cmocka_unit_test(statistics_of_large_images),
		cmocka_unit_test(values_that_are_no_float32),
		cmocka_unit_test(files_of_other_programs),
	};

	dir = testkit_tempdir();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
