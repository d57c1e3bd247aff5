/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Every format gives back what was written, and no damaged file or full disk goes unnoticed. */
#include "stack_kit.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT 3
#define NY    5
#define NX    7

static const char *const formats[] = { "npy", "mrc", "tiff" };

/* Pixels whose bytes are all different from each other's in every type, small enough for f32. */
static void *make_pixels(enum pn_dtype dtype, size_t count)
{
	uint8_t *p = calloc(count, pn_dtype_bytes(dtype));

	assert_non_null(p);
	for (size_t i = 0; i < count; i++) {
		double v = (double)(i * 2654435761u % 16777213) - (i % 2 ? 0 : 8e6);

		switch (dtype) {
		case PN_U32:
			((uint32_t *)p)[i] = (uint32_t)fabs(v);
			break;
		case PN_I32:
			((int32_t *)p)[i] = (int32_t)v;
			break;
		case PN_F32:
			((float *)p)[i] = (float)v / 3;
			break;
		case PN_F64:
			((double *)p)[i] = v / 1024;
			break;
		case PN_U64:
			((uint64_t *)p)[i] = (uint64_t)fabs(v) << 39;
			break;
		case PN_I64:
			((int64_t *)p)[i] = (int64_t)v * (1 << 20);
			break;
		case PN_C64:
			((float *)p)[2 * i] = (float)v;
			((float *)p)[2 * i + 1] = (float)i + 0.25f;
			break;
		case PN_U16:
		case PN_I16:
			((uint16_t *)p)[i] = (uint16_t)(i * 40503);
			break;
		default:
			p[i] = (uint8_t)(i * 151);
		}
	}
	return p;
}

static void write_stack(const char *path, const struct pn_stack_info *info, const void *pixels,
			uint64_t count)
{
	struct pn_error err = { 0 };
	struct pn_stack_writer *writer;
	size_t bytes = info->ny * info->nx * pn_dtype_bytes(info->dtype);

	if (pn_stack_create(&writer, path, info, &err) != PN_OK)
		fail_msg("%s", err.text);
	for (uint64_t i = 0; i < count; i++)
		if (pn_stack_write(writer, (const char *)pixels + i * bytes, &err) != PN_OK)
			fail_msg("%s", err.text);
	if (pn_stack_finish(writer, &err) != PN_OK)
		fail_msg("%s", err.text);
}

static struct pn_stack_info make_info(const char *format, enum pn_dtype dtype, uint64_t count,
				      uint64_t ny, uint64_t nx)
{
	struct pn_stack_info info = {
		.dtype = dtype, .count = count, .ny = ny, .nx = nx, .pixel_pm = 12.3456789
	};

	snprintf(info.format, sizeof info.format, "%s", format);
	return info;
}

static enum pn_dtype dtype_in(const char *format, enum pn_dtype dtype)
{
	if (strcmp(format, "mrc") == 0 && (dtype == PN_U32 || dtype == PN_I32 || dtype == PN_U64 ||
					   dtype == PN_I64 || dtype == PN_F64))
		return PN_F32;
	return dtype;
}

static void round_trip_in(const char *dir, const char *format, enum pn_dtype dtype, uint64_t hint)
{
	const char *path = testkit_path(dir, "round.dat"); /* the name tells nothing */
	struct pn_stack_info info = make_info(format, dtype, hint, NY, NX);
	enum pn_dtype kept = dtype_in(format, dtype);
	void *pixels = make_pixels(dtype, COUNT * NY * NX);

	write_stack(path, &info, pixels, COUNT);
	if (kept != dtype) {
		float *narrow = malloc(COUNT * NY * NX * sizeof *narrow);

		assert_non_null(narrow);
		pn_to_f32(narrow, pixels, dtype, COUNT * NY * NX);
		free(pixels);
		pixels = narrow;
	}
	must_hold(path, format, kept, COUNT, NY, NX, pixels);
	struct pn_stack *stack = must_open(path);
	double pixel_pm = pn_stack_info(stack)->pixel_pm;
	if (strcmp(format, "npy") == 0)
		assert_true(pixel_pm == 0);
	else if (strcmp(format, "tiff") == 0)
		assert_true(pixel_pm == info.pixel_pm);
	else /* a float32 product and a float32 quotient */
		assert_true(fabs(pixel_pm / info.pixel_pm - 1) < 1.2e-7);
	pn_stack_close(stack);
	free(pixels);
}

static void every_type_comes_back(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();

	for (size_t f = 0; f < PN_COUNT(formats); f++)
		for (int dtype = PN_U8; dtype <= PN_C64; dtype++) {
			if (strcmp(formats[f], "tiff") == 0 && dtype == PN_C64)
				continue;
			round_trip_in(dir, formats[f], (enum pn_dtype)dtype, 0);
			round_trip_in(dir, formats[f], (enum pn_dtype)dtype, COUNT);
			round_trip_in(dir, formats[f], (enum pn_dtype)dtype, 1);
		}
}

static void one_pixel_is_a_stack(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	const uint16_t pixel = 0xabcd;

	for (size_t f = 0; f < PN_COUNT(formats); f++) {
		struct pn_stack_info info = make_info(formats[f], PN_U16, 1, 1, 1);
		const char *path = testkit_path(dir, formats[f]);

		write_stack(path, &info, &pixel, 1);
		must_hold(path, formats[f], PN_U16, 1, 1, 1, &pixel);
	}
}

static void images_come_in_any_order(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	static const uint64_t order[] = { 2, 0, 1, 1, 2, 0 };
	uint16_t *pixels = make_pixels(PN_U16, COUNT * NY * NX), image[NY * NX];
	struct pn_error err;

	for (size_t f = 0; f < PN_COUNT(formats); f++) {
		const char *path = testkit_path(dir, formats[f]);
		struct pn_stack_info info = make_info(formats[f], PN_U16, 0, NY, NX);

		write_stack(path, &info, pixels, COUNT);
		struct pn_stack *stack = must_open(path);
		for (size_t i = 0; i < PN_COUNT(order); i++) {
			assert_int_equal(pn_stack_read(stack, order[i], image, &err), PN_OK);
			assert_memory_equal(image, pixels + order[i] * NY * NX, sizeof image);
		}
		assert_int_equal(pn_stack_read(stack, COUNT, image, &err), PN_EARG);
		assert_non_null(strstr(err.text, "image 3 of 3"));
		assert_int_equal(pn_stack_read(stack, UINT64_MAX, image, NULL), PN_EARG);
		pn_stack_close(stack);
	}
	pn_stack_close(NULL);
	free(pixels);
}

/* A TIFF may lose a tail of no importance; then all its images have to be right still. */
static void truncated_files_are_refused(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	uint16_t *pixels = make_pixels(PN_U16, 2 * 3 * 4);

	for (size_t f = 0; f < PN_COUNT(formats); f++)
		for (int named = 0; named < 2; named++) {
			char name[32];
			snprintf(name, sizeof name, "short%s%s", named ? "." : "-", formats[f]);
			const char *path = testkit_path(dir, name);
			struct pn_stack_info info = make_info(formats[f], PN_U16, 2, 3, 4);
			struct pn_error err = { 0 };
			struct stat st;

			write_stack(path, &info, pixels, 2);
			assert_int_equal(stat(path, &st), 0);
			for (off_t size = st.st_size - 1; size >= 0; size--) {
				struct pn_stack *stack;

				assert_int_equal(truncate(path, size), 0);
				if (pn_stack_open(&stack, path, &err) == PN_OK) {
					assert_string_equal(formats[f], "tiff");
					pn_stack_close(stack);
					must_hold(path, "tiff", PN_U16, 2, 3, 4, pixels);
				} else if (err.code != PN_EFORMAT || !strstr(err.text, name)) {
					fail_msg("%ld bytes: %d %s", (long)size, err.code,
						 err.text);
				}
			}
		}
	free(pixels);
}

static void mutations_do_no_harm(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	uint16_t *pixels = make_pixels(PN_U16, 2 * 3 * 4);

	for (size_t f = 0; f < PN_COUNT(formats); f++) {
		const char *path = testkit_path(dir, formats[f]);
		struct pn_stack_info info = make_info(formats[f], PN_U16, 2, 3, 4);
		struct stat st;

		write_stack(path, &info, pixels, 2);
		assert_int_equal(stat(path, &st), 0);
		/* npy and mrc widen by two at most; TIFF's worst codec is bound by 2^16 */
		must_survive_mutations(path, (size_t)st.st_size *
						     (strcmp(formats[f], "tiff") ? 2 : 65536));
		must_hold(path, formats[f], PN_U16, 2, 3, 4, pixels);
	}
	free(pixels);
}

static void foreign_files_are_refused(void **state)
{
	(void)state;
	const char *dir = testkit_tempdir();
	uint8_t noise[4096];

	for (size_t i = 0; i < sizeof noise; i++)
		noise[i] = (uint8_t)(i * 197 + i / 256 * 31 + 77);
	must_refuse(testkit_path(dir, "absent.npy"), PN_ENOENT, "absent.npy");
	must_refuse(dir, PN_EUNSUPPORTED, "not a regular file");
	testkit_write(testkit_path(dir, "empty"), "", 0);
	must_refuse(testkit_path(dir, "empty"), PN_EFORMAT, "0 bytes");
	testkit_write(testkit_path(dir, "noise"), noise, sizeof noise);
	must_refuse(testkit_path(dir, "noise"), PN_EFORMAT, "neither npy, tiff, mrc, dm3, dm4, ser nor emd");
	testkit_write(testkit_path(dir, "noise.NPY"), noise, sizeof noise);
	must_refuse(testkit_path(dir, "noise.NPY"), PN_EFORMAT, "not a .npy file");
	testkit_write(testkit_path(dir, "noise.tif"), noise, sizeof noise);
	must_refuse(testkit_path(dir, "noise.tif"), PN_EFORMAT, "not a TIFF file");
	testkit_write(testkit_path(dir, "noise.mrcs"), noise, sizeof noise);
	must_refuse(testkit_path(dir, "noise.mrcs"), PN_EFORMAT, "mode");
	/* an extension that lies does not matter */
	const float pixel = 2.5f;
	struct pn_stack_info info = make_info("mrc", PN_F32, 0, 1, 1);
	write_stack(testkit_path(dir, "liar.npy"), &info, &pixel, 1);
	must_hold(testkit_path(dir, "liar.npy"), "mrc", PN_F32, 1, 1, 1, &pixel);
}

static void refuse_create(const struct pn_stack_info *info, int code, const char *words)
{
	const char *dir = testkit_tempdir();
	const char *path = testkit_path(dir, "refused");
	struct pn_error err = { 0 };
	struct pn_stack_writer *writer;

	assert_int_equal(pn_stack_create(&writer, path, info, &err), code);
	assert_null(writer);
	assert_non_null(strstr(err.text, words));
	assert_int_not_equal(access(path, F_OK), 0);
	assert_int_not_equal(access(testkit_path(dir, "refused.part"), F_OK), 0);
}

static void impossible_stacks_are_not_begun(void **state)
{
	(void)state;
	struct pn_stack_info info = make_info("npy", PN_U8, 0, 4, 4);

	snprintf(info.format, sizeof info.format, "jpg");
	refuse_create(&info, PN_EARG, "\"jpg\"");
	info = make_info("npy", PN_DTYPE_NONE, 0, 4, 4);
	refuse_create(&info, PN_EARG, "dtype");
	info = make_info("npy", PN_U8, 0, 0, 4);
	refuse_create(&info, PN_EARG, "0x4");
	info = make_info("mrc", PN_U8, 0, 1, UINT64_C(1) << 31);
	refuse_create(&info, PN_EUNSUPPORTED, "2^31");
	info = make_info("tiff", PN_C64, 0, 4, 4);
	refuse_create(&info, PN_EUNSUPPORTED, "c64");
	info = make_info("mrc", PN_U8, 0, 4, 4);
	info.pixel_pm = NAN;
	refuse_create(&info, PN_EARG, "pm");
}

/* Nothing under the name before all is written; what was there stays until then. */
static void unfinished_files_leave_nothing(void **state)
{
	(void)state;
	struct pn_error err = { 0 };
	const uint8_t image[4] = { 1, 2, 3, 4 };

	for (size_t f = 0; f < PN_COUNT(formats); f++) {
		const char *dir = testkit_tempdir();
		const char *path = testkit_path(dir, "stack");
		const char *part = testkit_path(dir, "stack.part");
		struct pn_stack_info info = make_info(formats[f], PN_U8, 0, 2, 2);
		struct pn_stack_writer *writer;
		size_t size;

		testkit_write(path, "old", 3);
		assert_int_equal(pn_stack_create(&writer, path, &info, &err), PN_OK);
		assert_int_equal(pn_stack_write(writer, image, &err), PN_OK);
		pn_stack_abandon(writer);
		assert_int_equal(pn_stack_create(&writer, path, &info, &err), PN_OK);
		assert_int_equal(pn_stack_finish(writer, &err), PN_EARG);
		assert_non_null(strstr(err.text, "no image"));
		char *bytes = testkit_read(path, &size);
		assert_string_equal(bytes, "old");
		free(bytes);
		assert_int_not_equal(access(part, F_OK), 0);
		write_stack(path, &info, image, 1);
		must_hold(path, formats[f], PN_U8, 1, 2, 2, image);
		assert_int_not_equal(access(part, F_OK), 0);
		assert_int_equal(
			pn_stack_create(&writer, testkit_path(dir, "no/folder"), &info, &err),
			PN_ENOENT);
	}
	pn_stack_abandon(NULL);
}

static void full_disk_is_told(void **state)
{
	(void)state;
	struct pn_error err = { 0 };
	struct pn_stack_writer *writer;
	uint8_t *image = calloc(1, 1 << 16);

	assert_non_null(image);
	for (size_t f = 0; f < PN_COUNT(formats); f++) {
		struct pn_stack_info info = make_info(formats[f], PN_U8, 0, 256, 256);

		/* a device that is always full; the header is the first that does not fit */
		assert_int_equal(pn_stack_create(&writer, "/dev/full", &info, &err), PN_ENOSPC);
		assert_null(writer);
		assert_non_null(strstr(err.text, "0 bytes written, then: No space left"));
	}
	free(image);
}

/* A file that may not grow stands for a disk that fills up on the way. */
static void partial_writes_are_counted_and_removed(void **state)
{
	(void)state;
	struct pn_error err = { 0 };
	struct rlimit before, limit;
	uint8_t *image = calloc(1, 1 << 16);

	assert_non_null(image);
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	for (size_t f = 0; f < PN_COUNT(formats); f++) {
		const char *dir = testkit_tempdir();
		const char *path = testkit_path(dir, "stack");
		struct pn_stack_info info = make_info(formats[f], PN_U8, 0, 256, 256);
		struct pn_stack_writer *writer;

		limit = before;
		limit.rlim_cur = 100000; /* one image and a half */
		assert_int_equal(pn_stack_create(&writer, path, &info, &err), PN_OK);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
		int first = pn_stack_write(writer, image, &err);
		int second = pn_stack_write(writer, image, &err);
		char text[PN_ERROR_TEXT_MAX];
		memcpy(text, err.text, sizeof text);
		int third = pn_stack_write(writer, image, &err);
		int last = pn_stack_finish(writer, &err);
		assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
		assert_int_equal(first, PN_OK);
		assert_int_equal(second, PN_EIO);
		assert_non_null(strstr(text, "100000 bytes written, then: File too large"));
		assert_int_equal(third, PN_EIO);
		assert_int_equal(last, PN_EIO);
		assert_int_not_equal(access(path, F_OK), 0);
		assert_int_not_equal(access(testkit_path(dir, "stack.part"), F_OK), 0);
	}
	signal(SIGXFSZ, SIG_DFL);
	free(image);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_comes_back),
		cmocka_unit_test(one_pixel_is_a_stack),
		cmocka_unit_test(images_come_in_any_order),
		cmocka_unit_test(truncated_files_are_refused),
		cmocka_unit_test(mutations_do_no_harm),
		cmocka_unit_test(foreign_files_are_refused),
		cmocka_unit_test(impossible_stacks_are_not_begun),
		cmocka_unit_test(unfinished_files_leave_nothing),
		cmocka_unit_test(full_disk_is_told),
		cmocka_unit_test(partial_writes_are_counted_and_removed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
