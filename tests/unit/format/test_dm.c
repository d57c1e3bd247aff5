/* SPDX-License-Identifier: GPL-3.0-or-later */
/* DigitalMicrograph 3 and 4: the right image of the list, whatever tags lie around it. */
#include "stack_kit.h"

static const char *dir;

/* ---- files made here ------------------------------------------------------------------------ */

struct dm {
	int version, big;
	size_t size;
	uint8_t bytes[8192];
};

static void put_byte(struct dm *dm, int byte)
{
	assert_true(dm->size < sizeof dm->bytes);
	dm->bytes[dm->size++] = (uint8_t)byte;
}

static void put_number(struct dm *dm, uint64_t value, int bytes)
{
	while (bytes--)
		put_byte(dm, (int)(value >> 8 * bytes & 255));
}

static void put_word(struct dm *dm, uint64_t value)
{
	put_number(dm, value, dm->version == 4 ? 8 : 4);
}

static void put_group_head(struct dm *dm, uint64_t tags)
{
	put_number(dm, 0x0100, 2); /* sorted, closed */
	put_word(dm, tags);
}

static void begin(struct dm *dm, int version, int big, uint64_t tags)
{
	*dm = (struct dm){ .version = version, .big = big };
	put_number(dm, (uint64_t)version, 4);
	put_word(dm, 0);
	put_number(dm, !big, 4);
	put_group_head(dm, tags);
}

static void put_tag(struct dm *dm, int kind, const char *name)
{
	put_byte(dm, kind);
	put_number(dm, strlen(name), 2);
	for (; *name; name++)
		put_byte(dm, *name);
	if (dm->version == 4)
		put_word(dm, 0); /* its length, which no reader needs */
}

static void put_group(struct dm *dm, const char *name, uint64_t tags)
{
	put_tag(dm, 20, name);
	put_group_head(dm, tags);
}

/* A value by the words that describe it and its bytes, which are turned if the file is big-endian.
 */
static void put_value(struct dm *dm, const char *name, unsigned words, const uint64_t *info,
		      const void *data, size_t unit, size_t count)
{
	put_tag(dm, 21, name);
	for (int i = 0; i < 4; i++)
		put_byte(dm, '%');
	put_word(dm, words);
	for (unsigned i = 0; i < words; i++)
		put_word(dm, info[i]);
	for (size_t i = 0; i < unit * count; i++)
		put_byte(dm, ((const uint8_t *)
				      data)[dm->big ? i / unit * unit + unit - 1 - i % unit : i]);
}

static void put_u32(struct dm *dm, const char *name, uint32_t value)
{
	put_value(dm, name, 1, (uint64_t[]){ 5 }, &value, 4, 1);
}

static void put_f32(struct dm *dm, const char *name, float value)
{
	put_value(dm, name, 1, (uint64_t[]){ 6 }, &value, 4, 1);
}

static void put_array(struct dm *dm, const char *name, unsigned kind, const void *data, size_t unit,
		      size_t count)
{
	put_value(dm, name, 3, (uint64_t[]){ 20, kind, count }, data, unit, count);
}

static void put_axis(struct dm *dm, float scale, const uint16_t *unit)
{
	size_t length = 0;

	while (unit[length])
		length++;
	put_group(dm, "", 3);
	put_f32(dm, "Origin", 7);
	put_f32(dm, "Scale", scale);
	put_array(dm, "Units", 4, unit, 2, length);
}

/** An image of the list; axes with length 0 are left out. */
struct image {
	unsigned data_type, kind;
	uint32_t axes[5];
	const void *data;
	size_t unit, count;
	float scale[2];
	const uint16_t *units[2]; /* NULL: no calibration */
};

static void put_image(struct dm *dm, const struct image *image)
{
	unsigned axes = 0;

	while (axes < 5 && image->axes[axes])
		axes++;
	put_group(dm, "", 2);
	put_u32(dm, "Name", 1);
	put_group(dm, "ImageData", image->units[0] ? 4 : 3);
	if (image->units[0]) {
		put_group(dm, "Calibrations", 2);
		put_group(dm, "Brightness", 1);
		put_f32(dm, "Scale", 3);
		put_group(dm, "Dimension", 2);
		for (int i = 0; i < 2; i++)
			put_axis(dm, image->scale[i], image->units[i]);
	}
	put_array(dm, "Data", image->kind, image->data, image->unit, image->count);
	put_u32(dm, "DataType", image->data_type);
	put_group(dm, "Dimensions", axes);
	for (unsigned i = 0; i < axes; i++)
		put_u32(dm, "", image->axes[i]);
}

static const char *save(const struct dm *dm, const char *name)
{
	const char *path = testkit_path(dir, name);

	testkit_write(path, dm->bytes, dm->size);
	return path;
}

static const char *save_one(const struct image *image, int version, int big)
{
	struct dm dm;

	begin(&dm, version, big, 1);
	put_group(&dm, "ImageList", 1);
	put_image(&dm, image);
	return save(&dm, version == 4 ? "one.dm4" : "one.dm3");
}

static const uint16_t ramp[24] = { 0,  1,  2,  3,  4,  500, 6,  7,  8,  9,  10, 11,
				   12, 13, 14, 15, 16, 17,  18, 19, 20, 21, 22, 65535 };
static const struct image plain = {
	.data_type = 10, .kind = 4, .axes = { 4, 3, 2 }, .data = ramp, .unit = 2, .count = 24
};

/* ---- tests ---------------------------------------------------------------------------------- */

static void every_type_version_and_order(void **state)
{
	(void)state;
	static const int8_t i8[6] = { -128, -1, 0, 1, 100, 127 };
	static const int16_t i16[6] = { -32768, -2, 0, 258, 1000, 32767 };
	static const int32_t i32[6] = { INT32_MIN, -2, 0, 258, 70000, INT32_MAX };
	static const int64_t i64[6] = { INT64_MIN, -2, 0, 258, 70000, INT64_MAX };
	static const float f32[6] = { -1.5f, 0, 1e-30f, 3.25f, 1e30f, 7 };
	static const double f64[6] = { -1.5, 0, 1e-300, 3.25, 1e300, 7 };
	static const struct {
		unsigned data_type, kind;
		enum pn_dtype dtype;
		size_t unit;
		const void *data;
	} types[] = {
		{ 1, 2, PN_I16, 2, i16 },   { 2, 6, PN_F32, 4, f32 },   { 6, 10, PN_U8, 1, i8 },
		{ 7, 3, PN_I32, 4, i32 },   { 9, 9, PN_I8, 1, i8 },     { 10, 4, PN_U16, 2, i16 },
		{ 11, 5, PN_U32, 4, i32 },  { 12, 7, PN_F64, 8, f64 },  { 14, 8, PN_U8, 1, i8 },
		{ 39, 11, PN_I64, 8, i64 }, { 40, 12, PN_U64, 8, i64 },
	};

	for (size_t t = 0; t < PN_COUNT(types); t++)
		for (int version = 3; version <= 4; version++)
			for (int big = 0; big < 2; big++) {
				struct image image = { .data_type = types[t].data_type,
						       .kind = types[t].kind,
						       .axes = { 3, 2 },
						       .data = types[t].data,
						       .unit = types[t].unit,
						       .count = 6 };
				const char *format = version == 4 ? "dm4" : "dm3";

				must_hold(save_one(&image, version, big), format, types[t].dtype, 1,
					  2, 3, types[t].data);
				image.axes[1] = 1;
				image.axes[2] = 2;
				must_hold(save_one(&image, version, big), format, types[t].dtype, 2,
					  1, 3, types[t].data);
			}
}

/* Neither the first of the list, nor the largest: the one that is no thumbnail, and no colors. */
static void the_right_one_of_several(void **state)
{
	(void)state;
	static const uint32_t colors[30];
	static const uint16_t other[30] = { 9, 9, 9 };
	struct image thumbnail = {
		.data_type = 23, .kind = 3, .axes = { 6, 5 }, .data = colors, .unit = 4, .count = 30
	};
	struct image large = {
		.data_type = 10, .kind = 4, .axes = { 6, 5 }, .data = other, .unit = 2, .count = 30
	};
	struct image empty = {
		.data_type = 10, .kind = 4, .axes = { 0 }, .data = other, .unit = 2
	};
	struct dm dm;

	begin(&dm, 3, 0, 1); /* colors are passed over without being named */
	put_group(&dm, "ImageList", 3);
	put_image(&dm, &plain);
	put_image(&dm, &thumbnail);
	put_image(&dm, &empty);
	must_hold(save(&dm, "colors"), "dm3", PN_U16, 2, 3, 4, ramp);
	for (uint32_t named = 0; named < 2; named++) {
		begin(&dm, 4, 1, 2); /* a thumbnail in gray, larger than the image */
		put_group(&dm, "ImageList", 2);
		put_image(&dm, named ? &plain : &large);
		put_image(&dm, named ? &large : &plain);
		put_group(&dm, "Thumbnails", 1);
		put_group(&dm, "", 1);
		put_u32(&dm, "ImageIndex", named);
		must_hold(save(&dm, "named"), "dm4", PN_U16, 2, 3, 4, ramp);
	}
	begin(&dm, 3, 0, 1); /* two of a kind: the larger one */
	put_group(&dm, "ImageList", 2);
	put_image(&dm, &large);
	put_image(&dm, &plain);
	must_hold(save(&dm, "large"), "dm3", PN_U16, 1, 5, 6, other);
	/* the same size: the last */
	struct image twin = plain;
	uint16_t turned[24];
	for (int i = 0; i < 24; i++)
		turned[i] = ramp[23 - i];
	twin.data = turned;
	begin(&dm, 3, 0, 1);
	put_group(&dm, "ImageList", 2);
	put_image(&dm, &twin);
	put_image(&dm, &plain);
	must_hold(save(&dm, "last"), "dm3", PN_U16, 2, 3, 4, ramp);
}

static double pixel_of(const char *path)
{
	struct pn_stack *stack = must_open(path);
	double pm = pn_stack_info(stack)->pixel_pm;

	pn_stack_close(stack);
	return pm;
}

static void pixel_sizes(void **state)
{
	(void)state;
	static const struct {
		uint16_t unit[8];
		double pm;
	} units[] = {
		{ { 'p', 'm' }, 1 },
		{ { 'n', 'm' }, 1000 },
		{ { 'u', 'm' }, 1e6 },
		{ { 0xb5, 'm' }, 1e6 },
		{ { 0x3bc, 'm' }, 1e6 },
		{ { 'A' }, 100 },
		{ { 0xc5 }, 100 },
		{ { 0x212b }, 100 },
		{ { 'm', 'm' }, 1e9 },
		{ { '1', '/', 'n', 'm' }, 0 },
		{ { 0 }, 0 },
		{ { 'e', 'V' }, 0 },
		{ { 'n', 'm', 'n', 'm', 'n', 'm', 'n' }, 0 },
	};
	struct image image = plain;

	for (size_t i = 0; i < PN_COUNT(units); i++)
		for (int big = 0; big < 2; big++) {
			image.scale[0] = image.scale[1] = 0.25f;
			image.units[0] = image.units[1] = units[i].unit;
			double pm = pixel_of(save_one(&image, 3 + big, big));
			assert_true(fabs(pm - units[i].pm / 4) <= 1e-12 * pm);
		}
	assert_true(pixel_of(save_one(&plain, 3, 0)) == 0);
	/* pixels that are not square have no size; the same in two units are square */
	image.scale[0] = 0.5f;
	image.scale[1] = 0.25f;
	image.units[0] = image.units[1] = units[1].unit;
	assert_true(pixel_of(save_one(&image, 3, 0)) == 0);
	image.scale[1] = 500;
	image.units[1] = units[0].unit;
	assert_true(pixel_of(save_one(&image, 3, 0)) == 500);
	image.scale[0] = image.scale[1] = -1;
	assert_true(pixel_of(save_one(&image, 3, 0)) == 0);
	image.scale[0] = image.scale[1] = NAN;
	assert_true(pixel_of(save_one(&image, 3, 0)) == 0);
}

/* Structures, arrays of them, texts and long names lie between the tags that matter. */
static void other_tags_are_passed(void **state)
{
	(void)state;
	char longest[3000];
	const uint8_t bytes[64] = { 1 };

	memset(longest, 'x', sizeof longest - 1);
	longest[sizeof longest - 1] = 0;
	for (int version = 3; version <= 4; version++) {
		struct dm dm;

		begin(&dm, version, 0, 8);
		put_value(&dm, "Bounds", 7, (uint64_t[]){ 15, 0, 2, 0, 3, 0, 7 }, bytes, 1, 12);
		/* five points of i16 and f32; two lines of three u16; a text of ten bytes */
		put_value(&dm, "Curve", 9, (uint64_t[]){ 20, 15, 0, 2, 0, 2, 0, 6, 5 }, bytes, 1,
			  30);
		put_value(&dm, "Lines", 5, (uint64_t[]){ 20, 20, 4, 3, 2 }, bytes, 1, 12);
		put_value(&dm, "Text", 2, (uint64_t[]){ 18, 10 }, bytes, 1, 10);
		put_u32(&dm, longest, 5);
		put_group(&dm, longest, 1);
		put_u32(&dm, "inside", 5);
		put_group(&dm, "ImageList", 1);
		put_image(&dm, &plain);
		put_u32(&dm, "InImageMode", 1);
		for (int i = 0; i < 8; i++)
			put_byte(&dm, 0);
		must_hold(save(&dm, "others"), version == 4 ? "dm4" : "dm3", PN_U16, 2, 3, 4, ramp);
	}
}

static void refuse(const struct image *image, int code, const char *words)
{
	must_refuse(save_one(image, 3, 0), code, words);
	must_refuse(save_one(image, 4, 1), code, words);
}

static void what_is_not_read(void **state)
{
	(void)state;
	struct image image = plain;
	struct dm dm;

	image.data_type = 3;
	refuse(&image, PN_EUNSUPPORTED, "complex");
	image.data_type = 13;
	refuse(&image, PN_EUNSUPPORTED, "complex");
	image.data_type = 23;
	refuse(&image, PN_EUNSUPPORTED, "colors");
	image.data_type = 8;
	refuse(&image, PN_EUNSUPPORTED, "colors");
	image.data_type = 99;
	refuse(&image, PN_EUNSUPPORTED, "type 99");
	image.data_type = 7;
	refuse(&image, PN_EFORMAT, "type 7 (i32), but 2 bytes each");
	image = plain;
	image.axes[2] = 3;
	refuse(&image, PN_EFORMAT, "says 3x3x4 pixels, but their array has 24");
	image.axes[2] = 1;
	refuse(&image, PN_EFORMAT, "says 1x3x4 pixels, but their array has 24");
	image = (struct image){ 10, 4, { 24 }, ramp, 2, 24, { 0 }, { 0 } };
	refuse(&image, PN_EUNSUPPORTED, "1 axes");
	image = (struct image){ 10, 4, { 2, 3, 2, 2 }, ramp, 2, 24, { 0 }, { 0 } };
	refuse(&image, PN_EUNSUPPORTED, "4 axes");
	image = (struct image){ 10, 4, { 1, 2, 3, 2, 2 }, ramp, 2, 24, { 0 }, { 0 } };
	refuse(&image, PN_EUNSUPPORTED, "or more");
	image = (struct image){ 10, 4, { 4, 3, 2 }, ramp, 2, 0, { 0 }, { 0 } };
	refuse(&image, PN_EFORMAT, "no tag holds an image");
	/* lengths whose product is 24 only after 2^64 was passed */
	image = (struct image){
		10, 4, { 1u << 31, 1u << 31, 1u << 31 }, ramp, 2, 24, { 0 }, { 0 }
	};
	refuse(&image, PN_EFORMAT, "array has 24");
	begin(&dm, 3, 0, 0);
	must_refuse(save(&dm, "none.dm3"), PN_EFORMAT, "no tag holds an image");
	begin(&dm, 5, 0, 1);
	put_u32(&dm, "a", 1);
	must_refuse(save(&dm, "five.dm3"), PN_EFORMAT, "version 5");
	begin(&dm, 3, 0, 1);
	put_byte(&dm, 21);
	put_number(&dm, 1, 2);
	put_byte(&dm, 'a');
	put_number(&dm, 0, 4);
	must_refuse(save(&dm, "mark"), PN_EFORMAT, "%%%% missing");
	begin(&dm, 3, 0, 1);
	put_value(&dm, "a", 1, (uint64_t[]){ 13 }, ramp, 1, 4);
	must_refuse(save(&dm, "kind"), PN_EFORMAT, "unknown kind");
}

/* Trees made to take memory or stack: refused, and nothing large is ever asked for. */
static void bombs(void **state)
{
	(void)state;
	for (int version = 3; version <= 4; version++) {
		struct dm dm;
		const uint64_t huge = version == 4 ? UINT64_MAX : UINT32_MAX;

		begin(&dm, version, 0, 1); /* groups in groups */
		for (int i = 0; i < 300; i++)
			put_group(&dm, "g", 1);
		must_refuse(save(&dm, "deep"), PN_EFORMAT, "nested deeper than 32");
		begin(&dm, version, 0, huge); /* tags without end */
		put_u32(&dm, "a", 1);
		must_refuse(save(&dm, "many"), PN_EFORMAT, "the file ends here");
		begin(&dm, version, 0, 1);
		put_array(&dm, "a", 7, ramp, 1, 0);
		dm.size -= version == 4 ? 8 : 4;
		put_word(&dm, huge); /* elements without end */
		must_refuse(save(&dm, "array"), PN_EFORMAT,
			    version == 4 ? "unknown kind" : "bytes");
		begin(&dm, version, 0, 1);
		put_value(&dm, "a", 2, (uint64_t[]){ 18, huge - 1 }, ramp, 1, 0);
		must_refuse(save(&dm, "text"), PN_EFORMAT, "bytes from byte");
		begin(&dm, version, 0, 1);
		put_value(&dm, "a", 3, (uint64_t[]){ 15, 0, huge }, ramp, 1, 0);
		must_refuse(save(&dm, "fields"), PN_EFORMAT, "unknown kind");
		begin(&dm, version, 0, 1); /* arrays in arrays */
		uint64_t nested[200];
		for (int i = 0; i < 200; i++)
			nested[i] = 20;
		put_value(&dm, "a", 200, nested, ramp, 1, 0);
		must_refuse(save(&dm, "nested"), PN_EFORMAT, "unknown kind");
		begin(&dm, version, 0, 1);
		put_tag(&dm, 21, "a");
		put_number(&dm, 0x25252525, 4);
		put_word(&dm, huge); /* words without end */
		must_refuse(save(&dm, "words"), PN_EFORMAT, "256 words");
		begin(&dm, version, 0, 1); /* the image of a number without end */
		put_group(&dm, "ImageList", 1);
		put_group(&dm, "1000000000000", 1);
		put_group(&dm, "ImageData", 1);
		put_u32(&dm, "DataType", 1);
		must_refuse(save(&dm, "number"), PN_EFORMAT, "4096 images");
	}
}

static void truncated_at_every_byte(void **state)
{
	(void)state;
	static const uint16_t nm[] = { 'n', 'm', 0 };
	struct image image = plain;
	struct dm dm;

	image.scale[0] = image.scale[1] = 1;
	image.units[0] = image.units[1] = nm;
	for (int version = 3; version <= 4; version++)
		for (int named = 0; named < 2; named++) {
			begin(&dm, version, 1, 2);
			put_group(&dm, "ImageList", 1);
			put_image(&dm, &image);
			put_u32(&dm, "last", 1);
			for (size_t size = dm.size; size--;) {
				dm.size = size;
				must_refuse(save(&dm, named ? "cut.dm3" : "cut"), PN_EFORMAT,
					    "cut");
			}
		}
}

static void mutations_do_no_harm(void **state)
{
	(void)state;
	static const uint16_t nm[] = { 'n', 'm', 0 };
	struct image image = plain;

	image.scale[0] = image.scale[1] = 1;
	image.units[0] = image.units[1] = nm;
	for (int version = 3; version <= 4; version++) {
		const char *path = save_one(&image, version, version == 3);
		size_t size;

		free(testkit_read(path, &size));
		must_survive_mutations(path, size);
		must_hold(path, version == 4 ? "dm4" : "dm3", PN_U16, 2, 3, 4, ramp);
	}
}

/* Hashes by ncempy 1.11; the needle's numbers by NumPy from its bytes. */
static void files_of_the_microscope(void **state)
{
	(void)state;
	static const char cube[] =
		"74d18841e7c66eb3f07f5826c159245d6535024b80196097c6a5c64554159291";
	static const char stem[] =
		"6537058151245e5ccb592d9b7f25bda16d72f083aae0ef8416758c9d00422319";
	static const char needle[] =
		"454702b62744086f1e3f1aff8f2c37513fe1226cf8f68e2cd55f790452df499c";
	static const struct {
		const char *name, *format;
		enum pn_dtype dtype;
		uint64_t count, ny, nx;
		double pixel_pm, want[3];
		const char *hash;
	} files[] = {
		/* 2 pm x 3 nm x 4 um: not square */
		{ "formats/dm3/dmTest_3D_int16_64x65x66.dm3",
		  "dm3",
		  PN_I16,
		  66,
		  65,
		  64,
		  0,
		  { 0, 63, 8648640 },
		  cube },
		{ "formats/dm4/dmTest_3D_int16_64x65x66.dm4",
		  "dm4",
		  PN_I16,
		  66,
		  65,
		  64,
		  0,
		  { 0, 63, 8648640 },
		  cube },
		{ "formats/dm3/test_STEM_image.dm3",
		  "dm3",
		  PN_U32,
		  1,
		  68,
		  68,
		  248.53802,
		  { 29407, 36106, 150998555 },
		  stem },
		{ "tilt_haadf_needle64/HAADF.dm3",
		  "dm3",
		  PN_U16,
		  91,
		  64,
		  64,
		  17994.916,
		  { 513, 39459, 1740283202 },
		  needle },
	};

	for (size_t i = 0; i < PN_COUNT(files); i++) {
		const char *path = testkit_data(files[i].name);

		if (!path)
			skip();
		must_be(path, files[i].format, files[i].dtype, files[i].count, files[i].ny,
			files[i].nx, files[i].want, files[i].hash);
		assert_true(fabs(pixel_of(path) - files[i].pixel_pm) <= 1e-6 * files[i].pixel_pm);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_version_and_order),
		cmocka_unit_test(the_right_one_of_several),
		cmocka_unit_test(pixel_sizes),
		cmocka_unit_test(other_tags_are_passed),
		cmocka_unit_test(what_is_not_read),
		cmocka_unit_test(bombs),
		cmocka_unit_test(truncated_at_every_byte),
		cmocka_unit_test(mutations_do_no_harm),
		cmocka_unit_test(files_of_the_microscope),
	};

	dir = testkit_tempdir();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
