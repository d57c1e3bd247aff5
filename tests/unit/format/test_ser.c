/* SPDX-License-Identifier: GPL-3.0-or-later */
/* TIA's series: both versions, every type, elements in any order, the bottom row first. */
#include "stack_kit.h"

static const char *dir;

struct ser {
	uint16_t version, type;
	uint32_t kind, total, valid, nx, ny;
	double delta_x, delta_y;
	size_t size;
	uint8_t bytes[4096];
};

static void put(struct ser *ser, const void *data, size_t count)
{
	assert_true(ser->size + count <= sizeof ser->bytes);
	memcpy(ser->bytes + ser->size, data, count);
	ser->size += count;
}

static void put_number(struct ser *ser, uint64_t value, size_t bytes)
{
	put(ser, &value, bytes);
}

static void put_element(struct ser *ser, const void *pixels, size_t bytes)
{
	const double offset = -1e-6;

	put(ser, &offset, 8);
	put(ser, &ser->delta_x, 8);
	put_number(ser, 0, 4);
	put(ser, &offset, 8);
	put(ser, &ser->delta_y, 8);
	put_number(ser, 0, 4);
	put_number(ser, ser->type, 2);
	put_number(ser, ser->nx, 4);
	put_number(ser, ser->ny, 4);
	put(ser, pixels, bytes);
}

/* Where the offset of element @index stands. */
static size_t offset_at(const struct ser *ser, uint64_t index)
{
	size_t word = ser->version == 0x220 ? 8 : 4;

	return 26 + word + 20 + index * word;
}

static void set_offset(struct ser *ser, uint64_t index, uint64_t value)
{
	memcpy(ser->bytes + offset_at(ser, index), &value, ser->version == 0x220 ? 8 : 4);
}

/* A header with one dimension of 20 bytes, an offset table, the images from the last to the first.
 */
static void make(struct ser *ser, const void *pixels, size_t image_bytes)
{
	size_t word = ser->version == 0x220 ? 8 : 4;

	ser->size = 0;
	put(ser, "II\x97\x01", 4);
	put_number(ser, ser->version, 2);
	put_number(ser, ser->kind, 4);
	put_number(ser, 0x4152, 4);
	put_number(ser, ser->total, 4);
	put_number(ser, ser->valid, 4);
	put_number(ser, offset_at(ser, 0), word);
	put_number(ser, 1, 4);
	put(ser, "dimension dimension ", 20);
	for (uint32_t i = 0; i < 2 * ser->total && ser->total < 100; i++)
		put_number(ser, 0, word);
	for (uint32_t i = ser->valid; i-- && ser->valid < 100;) {
		set_offset(ser, i, ser->size);
		put_element(ser, (const uint8_t *)pixels + i * image_bytes, image_bytes);
	}
}

static const char *save(const struct ser *ser, const char *name)
{
	const char *path = testkit_path(dir, name);

	testkit_write(path, ser->bytes, ser->size);
	return path;
}

static const uint16_t ramp[24] = { 0,  1,  2,  3,  4,  500, 6,  7,  8,  9,  10, 11,
				   12, 13, 14, 15, 16, 17,  18, 19, 20, 21, 22, 65535 };

static struct ser make_plain(uint16_t version)
{
	struct ser ser = { .version = version,
			   .type = 2,
			   .kind = 0x4122,
			   .total = 2,
			   .valid = 2,
			   .nx = 4,
			   .ny = 3,
			   .delta_x = 2e-11,
			   .delta_y = 2e-11 };

	make(&ser, ramp, 24);
	return ser;
}

/* Rows of every image from the last to the first. */
static void turn_over(uint8_t *dst, const uint8_t *src, size_t images, size_t rows, size_t bytes)
{
	for (size_t i = 0; i < images; i++)
		for (size_t y = 0; y < rows; y++)
			memcpy(dst + (i * rows + y) * bytes,
			       src + (i * rows + rows - 1 - y) * bytes, bytes);
}

static void every_type_and_version(void **state)
{
	(void)state;
	static const enum pn_dtype types[] = { PN_U8,  PN_U16, PN_U32, PN_I8,
					       PN_I16, PN_I32, PN_F32, PN_F64 };
	uint8_t pixels[2 * 3 * 4 * 8], want[sizeof pixels];

	for (size_t i = 0; i < sizeof pixels; i++)
		pixels[i] = (uint8_t)(i * 37 + 5);
	for (size_t t = 0; t < PN_COUNT(types); t++)
		for (uint32_t rows = 1; rows <= 3; rows++)
			for (int version = 0x210; version <= 0x220; version += 0x10) {
				size_t unit = pn_dtype_bytes(types[t]);
				struct ser ser = { .version = (uint16_t)version,
						   .type = (uint16_t)(t + 1),
						   .kind = 0x4122,
						   .total = 3,
						   .valid = 2,
						   .nx = 4,
						   .ny = rows };

				make(&ser, pixels, 4 * rows * unit);
				turn_over(want, pixels, 2, rows, 4 * unit);
				must_hold(save(&ser, "types"), "ser", types[t], 2, rows, 4, want);
			}
}

static void pixel_sizes(void **state)
{
	(void)state;
	static const struct {
		double x_m, y_m, pm;
	} cases[] = {
		{ 2e-11, 2e-11, 20 },
		{ 1e-9, 1e-9, 1000 },
		{ 0, 0, 0 },
		{ -1e-9, -1e-9, 0 },
		{ 1e-9, 2e-9, 0 },
		{ 4e7, 4e7, 0 }, /* 1/m: diffraction */
		{ (double)NAN, 1e-9, 0 },
		{ 1e-9, (double)INFINITY, 0 },
	};

	for (size_t i = 0; i < PN_COUNT(cases); i++) {
		struct ser ser = make_plain(0x220);

		ser.delta_x = cases[i].x_m;
		ser.delta_y = cases[i].y_m;
		make(&ser, ramp, 24);
		struct pn_stack *stack = must_open(save(&ser, "pixel"));
		assert_true(fabs(pn_stack_info(stack)->pixel_pm - cases[i].pm) <=
			    1e-12 * cases[i].pm);
		pn_stack_close(stack);
	}
}

static void refuse(const struct ser *ser, int code, const char *words)
{
	must_refuse(save(ser, "refused"), code, words);
}

static void headers_that_lie(void **state)
{
	(void)state;
	for (int version = 0x210; version <= 0x220; version += 0x10) {
		const struct ser good = make_plain((uint16_t)version);
		struct ser ser = good;
		size_t element = good.size - 74; /* of the first image, written last */

		ser.bytes[4] = 0x30;
		refuse(&ser, PN_EVERSION, "0x0230");
		ser = good;
		ser.bytes[6] = 0x20;
		refuse(&ser, PN_EUNSUPPORTED, "spectra");
		ser.bytes[6] = 0x21;
		refuse(&ser, PN_EFORMAT, "0x4121");
		ser = good;
		ser.bytes[18] = 0;
		refuse(&ser, PN_EFORMAT, "2 images of which 0");
		ser.bytes[18] = 3;
		refuse(&ser, PN_EFORMAT, "2 images of which 3");
		ser.bytes[21] = 0x80;
		refuse(&ser, PN_EFORMAT, "of which -2147483645");
		memcpy(ser.bytes + 14, "\xff\xff\xff\x7f\xff\xff\xff\x7f", 8);
		refuse(&ser, PN_EFORMAT, "2147483647 offsets");
		ser = good;
		memset(ser.bytes + 22, 0xff, version == 0x220 ? 8 : 4);
		refuse(&ser, PN_EFORMAT, "2 offsets from byte");
		ser = good;
		set_offset(&ser, 1, good.size - 49);
		refuse(&ser, PN_EFORMAT, "image 1 begins at byte");
		ser = good;
		set_offset(&ser, 1, UINT64_MAX);
		refuse(&ser, PN_EFORMAT, "image 1 begins at byte");
		ser = good;
		memset(ser.bytes + element + 42, 0xff, 4);
		refuse(&ser, PN_EFORMAT, "3x-1 pixels");
		memcpy(ser.bytes + element + 42, "\0\0\0\0", 4);
		refuse(&ser, PN_EFORMAT, "3x0 pixels");
		memcpy(ser.bytes + element + 42, "\xff\xff\xff\x7f\xff\xff\xff\x7f", 8);
		refuse(&ser, PN_EFORMAT, "2^62");
		memcpy(ser.bytes + element + 42, "\0\1\0\0\0\1\0\0", 8);
		refuse(&ser, PN_EFORMAT, "2x256x256 u16 (262144 bytes), file has");
		ser = good;
		ser.bytes[element + 42] = 3;
		refuse(&ser, PN_EUNSUPPORTED, "image 1 is 3x4 of type 2, image 0 is 3x3");
		ser = good;
		ser.bytes[element + 40] = 9;
		refuse(&ser, PN_EUNSUPPORTED, "complex");
		ser.bytes[element + 40] = 10;
		refuse(&ser, PN_EUNSUPPORTED, "complex");
		ser.bytes[element + 40] = 11;
		refuse(&ser, PN_EFORMAT, "type 11");
		ser.bytes[element + 40] = 0;
		refuse(&ser, PN_EFORMAT, "type 0");
		/* every image the same one: more pixels claimed than there are bytes */
		ser = good;
		ser.total = ser.valid = 20;
		make(&ser, ramp, 0);
		for (uint32_t i = 0; i < 20; i++)
			set_offset(&ser, i, ser.size);
		ser.nx = ser.ny = 20;
		put_element(&ser, ser.bytes, 800);
		refuse(&ser, PN_EFORMAT, "20x20x20 u16 (16000 bytes), file has");
	}
	testkit_write(testkit_path(dir, "noise.ser"), ramp, sizeof ramp);
	must_refuse(testkit_path(dir, "noise.ser"), PN_EFORMAT, "not a SER file");
	testkit_write(testkit_path(dir, "short.ser"), ramp, 5);
	must_refuse(testkit_path(dir, "short.ser"), PN_EFORMAT, "ends after 5 of 34 bytes");
}

static void truncated_at_every_byte(void **state)
{
	(void)state;
	for (int version = 0x210; version <= 0x220; version += 0x10)
		for (int named = 0; named < 2; named++) {
			struct ser ser = make_plain((uint16_t)version);

			while (ser.size--)
				must_refuse(save(&ser, named ? "cut.ser" : "cut"), PN_EFORMAT,
					    "cut");
		}
}

static void mutations_do_no_harm(void **state)
{
	(void)state;
	for (int version = 0x210; version <= 0x220; version += 0x10) {
		struct ser ser = make_plain((uint16_t)version);
		uint8_t want[sizeof ramp];

		must_survive_mutations(save(&ser, "mutant"), ser.size);
		turn_over(want, (const uint8_t *)ramp, 2, 3, 8);
		must_hold(testkit_path(dir, "mutant"), "ser", PN_U16, 2, 3, 4, want);
	}
}

/* Hashes by ncempy 1.11, which turns the images over as well. */
static void files_of_the_microscope(void **state)
{
	(void)state;
	static const struct {
		const char *name;
		enum pn_dtype dtype;
		uint64_t count, n;
		double pixel_pm, want[3];
		const char *hash;
	} files[] = {
		{ "formats/ser/128x128-TEM_search_1.ser",
		  PN_I32,
		  1,
		  128,
		  5261.214205047081,
		  { 255, 14171, 169637782 },
		  "05cde6f1d478aedbd6357e1d8c481c4a9eee19fdf2aff2eac174652968a3e099" },
		{ "formats/ser/64x64x5_TEM_preview_1.ser",
		  PN_F32,
		  5,
		  64,
		  6281.833616298531,
		  { 345.9388122558594, 2818.5380859375, 42890461.547698975 },
		  "d40b352884e4bc80b24abaf4192c68f6139411038c2fea45f0ed142d0f49f5c5" },
	};

	for (size_t i = 0; i < PN_COUNT(files); i++) {
		const char *path = testkit_data(files[i].name);

		if (!path)
			skip();
		must_be(path, "ser", files[i].dtype, files[i].count, files[i].n, files[i].n,
			files[i].want, files[i].hash);
		struct pn_stack *stack = must_open(path);
		assert_true(fabs(pn_stack_info(stack)->pixel_pm - files[i].pixel_pm) <=
			    1e-9 * files[i].pixel_pm);
		pn_stack_close(stack);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_and_version), cmocka_unit_test(pixel_sizes),
		cmocka_unit_test(headers_that_lie),       cmocka_unit_test(truncated_at_every_byte),
		cmocka_unit_test(mutations_do_no_harm),   cmocka_unit_test(files_of_the_microscope),
	};

	dir = testkit_tempdir();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
