/* SPDX-License-Identifier: GPL-3.0-or-later */
/* EMD files of Berkeley and of Velox: the right array, image by image; HDF5's traps are closed. */
#include "stack_kit.h"

#define H5_USE_110_API
#include <dirent.h>
#include <hdf5.h>
#include <pthread.h>
#include <unistd.h>

static const char *dir;

/* ---- files made here ------------------------------------------------------------------------ */

static hid_t begin(const char *name)
{
	hid_t file = H5Fcreate(testkit_path(dir, name), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);

	assert_true(file >= 0);
	return file;
}

static const char *end(hid_t file, const char *name)
{
	assert_true(H5Fclose(file) >= 0);
	return testkit_path(dir, name);
}

static hid_t put_group(hid_t at, const char *name)
{
	hid_t group = H5Gcreate2(at, name, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);

	assert_true(group >= 0);
	return group;
}

static void put_attribute(hid_t at, const char *name, hid_t type, const void *value)
{
	hid_t space = H5Screate(H5S_SCALAR);
	hid_t attribute = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);

	assert_true(H5Awrite(attribute, type, value) >= 0);
	H5Aclose(attribute);
	H5Sclose(space);
}

/* As a text of 20 bytes, or of its own length. */
static void put_text(hid_t at, const char *name, const char *text, int loose)
{
	hid_t type = H5Tcopy(H5T_C_S1);
	char fixed[20] = "";

	H5Tset_size(type, loose ? H5T_VARIABLE : sizeof fixed);
	snprintf(fixed, sizeof fixed, "%s", text);
	put_attribute(at, name, type, loose ? (const void *)&text : fixed);
	H5Tclose(type);
}

/* @type is that of the values and of the file, but for its byte order there. */
static hid_t put_array(hid_t at, const char *name, int rank, const hsize_t *axes,
		       const hsize_t *chunk, int deflate, int big, hid_t type, const void *values)
{
	hid_t space = H5Screate_simple(rank, axes, NULL), stored = H5Tcopy(type);
	hid_t plist = H5Pcreate(H5P_DATASET_CREATE);

	if (big)
		H5Tset_order(stored, H5T_ORDER_BE);
	if (chunk)
		H5Pset_chunk(plist, rank, chunk);
	if (deflate) {
		H5Pset_shuffle(plist);
		H5Pset_deflate(plist, 6);
		H5Pset_fletcher32(plist);
	}
	hid_t data = H5Dcreate2(at, name, stored, space, H5P_DEFAULT, plist, H5P_DEFAULT);
	assert_true(data >= 0);
	if (values)
		assert_true(H5Dwrite(data, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
	H5Pclose(plist);
	H5Tclose(stored);
	H5Sclose(space);
	return data;
}

static hid_t put_marked(hid_t at, const char *name)
{
	hid_t group = put_group(at, name);
	int one = 1;

	put_attribute(group, "emd_group_type", H5T_NATIVE_INT, &one);
	return group;
}

static void put_vector(hid_t group, int number, hsize_t length, double step, const char *name,
		       const char *unit)
{
	char text[16];
	double *values = calloc(length, sizeof *values);

	assert_non_null(values);
	for (hsize_t i = 0; i < length; i++)
		values[i] = 100 + (double)i * step;
	snprintf(text, sizeof text, "dim%d", number);
	hid_t data = put_array(group, text, 1, &length, NULL, 0, 0, H5T_NATIVE_DOUBLE, values);
	put_text(data, "name", name, number % 2);
	put_text(data, "units", unit, number % 2);
	H5Dclose(data);
	free(values);
}

static const uint16_t ramp[24] = { 0,  1,  2,  3,  4,  500, 6,  7,  8,  9,  10, 11,
				   12, 13, 14, 15, 16, 17,  18, 19, 20, 21, 22, 65535 };

/* One array [2][3][4] of u16 in /data/a. */
static hid_t put_plain(hid_t file, const char *name)
{
	const hsize_t axes[3] = { 2, 3, 4 };
	hid_t data = put_group(file, "data"), group = put_marked(data, name);

	H5Dclose(put_array(group, "data", 3, axes, NULL, 0, 0, H5T_NATIVE_UINT16, ramp));
	H5Gclose(data);
	return group;
}

/* ---- Berkeley's ----------------------------------------------------------------------------- */

static void every_type_order_and_layout(void **state)
{
	(void)state;
	static const double f64[8] = { -1.5, 0, 1e-300, 3.25, 1e300, 7, 8, 9 };
	static const float f32[8] = { -1.5f, 0, 1e-30f, 3.25f, 1e30f, 7, 8, 9 };
	static const int64_t i64[8] = { INT64_MIN, -2, 0x0123456789abcdef, 258, 70000, INT64_MAX };
	const struct {
		hid_t type;
		enum pn_dtype dtype;
		const void *values;
	} types[] = {
		{ H5T_NATIVE_UINT8, PN_U8, i64 },   { H5T_NATIVE_INT8, PN_I8, i64 },
		{ H5T_NATIVE_UINT16, PN_U16, i64 }, { H5T_NATIVE_INT16, PN_I16, i64 },
		{ H5T_NATIVE_UINT32, PN_U32, i64 }, { H5T_NATIVE_INT32, PN_I32, i64 },
		{ H5T_NATIVE_UINT64, PN_U64, i64 }, { H5T_NATIVE_INT64, PN_I64, i64 },
		{ H5T_NATIVE_FLOAT, PN_F32, f32 },  { H5T_NATIVE_DOUBLE, PN_F64, f64 },
	};
	const hsize_t axes[3][4] = { { 2, 4 }, { 2, 2, 2 }, { 2, 1, 2, 2 } };
	const hsize_t chunk[4] = { 1, 1, 2, 2 };

	for (size_t t = 0; t < PN_COUNT(types); t++)
		for (int layout = 0; layout < 4; layout++)
			for (int rank = 2; rank <= 4; rank++) {
				hid_t file = begin("types"), group = put_marked(file, "g");

				H5Dclose(put_array(group, "data", rank, axes[rank - 2],
						   layout > 1 ? chunk : NULL, layout == 3,
						   layout & 1, types[t].type, types[t].values));
				H5Gclose(group);
				must_hold(end(file, "types"), "emd", types[t].dtype,
					  rank == 2 ? 1 : 2, 2, rank == 2 ? 4 : 2, types[t].values);
			}
}

static void half_floats_are_widened(void **state)
{
	(void)state;
	static const float values[4] = { 1, -2, 0x1.554p-2f, 65504 };
	const hsize_t axes[2] = { 2, 2 };
	hid_t half = H5Tcopy(H5T_IEEE_F32LE), space = H5Screate_simple(2, axes, NULL);
	hid_t file = begin("half"), group = put_marked(file, "g");

	H5Tset_fields(half, 15, 10, 5, 0, 10);
	H5Tset_size(half, 2);
	H5Tset_ebias(half, 15);
	hid_t data = H5Dcreate2(group, "data", half, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
	assert_true(H5Dwrite(data, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
	H5Dclose(data);
	H5Gclose(group);
	H5Sclose(space);
	H5Tclose(half);
	must_hold(end(file, "half"), "emd", PN_F32, 1, 2, 2, values);
}

/* Where the names of the axes say which are x and y, these are the images' axes. */
static void axes_by_name(void **state)
{
	(void)state;
	static const struct {
		const char *names[3];
		unsigned y, x;
	} cases[] = {
		{ { "", "", "" }, 1, 2 },        { { "tilt", "y", "x" }, 1, 2 },
		{ { "z", "x", "y" }, 2, 1 },     { { "X", "Y", "angles" }, 1, 0 },
		{ { "y", "x", "tilt" }, 0, 1 },  { { "x", "angle", "y" }, 2, 0 },
		{ { "R_y", "n", "R_x" }, 0, 2 }, { { "R_x", "Q_x", "y" }, 1, 2 },
		{ { "x", "a", "b" }, 1, 2 },
	};
	const hsize_t axes[3] = { 2, 3, 4 }, strides[3] = { 12, 4, 1 };

	for (size_t i = 0; i < PN_COUNT(cases); i++)
		for (int chunked = 0; chunked < 2; chunked++) {
			hid_t file = begin("axes"), group = put_marked(file, "g");
			unsigned y = cases[i].y, x = cases[i].x, n = 3 - x - y;
			const hsize_t chunk[3] = { 2, 2, 3 };
			uint16_t want[24], *p = want;

			for (int k = 0; k < 3; k++)
				put_vector(group, k + 1, axes[k], 1, cases[i].names[k],
					   k == (int)n ? "[deg]" : "[n_m]");
			H5Dclose(put_array(group, "data", 3, axes, chunked ? chunk : NULL, 0, 0,
					   H5T_NATIVE_UINT16, ramp));
			H5Gclose(group);
			for (hsize_t a = 0; a < axes[n]; a++)
				for (hsize_t b = 0; b < axes[y]; b++)
					for (hsize_t c = 0; c < axes[x]; c++)
						*p++ = ramp[a * strides[n] + b * strides[y] +
							    c * strides[x]];
			const char *path = end(file, "axes");
			must_hold(path, "emd", PN_U16, axes[n], axes[y], axes[x], want);
			struct pn_stack *stack = must_open(path);
			assert_true(pn_stack_info(stack)->pixel_pm == 1000);
			pn_stack_close(stack);
		}
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
		const char *unit_y, *unit_x;
		double step_y, step_x, pm;
		hsize_t length; /* of the vector along x, which has 4 pixels */
	} cases[] = {
		{ "[n_m]", "[n_m]", 0.25, 0.25, 250, 4 },
		{ "nm", "nm", 0.25, 0.25, 250, 4 },
		{ "[\xc3\x85]", "[pm]", 2, 200, 200, 4 },
		{ "[u_m]", "[\xc2\xb5_m]", 1, 1, 1e6, 4 },
		{ "nm", "nm", -0.25, 0.25, 250, 4 },
		{ "nm", "nm", 0.25, 0.25, 250, 2 },
		{ "nm", "nm", 0.25, 0.5, 0, 4 },
		{ "nm", "mrad", 0.25, 0.25, 0, 4 },
		{ "[]", "[]", 1, 1, 0, 4 },
		{ "nm", "nm", 0.25, 0.25, 0, 1 },
		{ "nm", "nm", 0.25, (double)NAN, 0, 4 },
	};

	for (size_t i = 0; i < PN_COUNT(cases); i++) {
		hid_t file = begin("pixel"), group = put_plain(file, "a");

		put_vector(group, 2, 3, cases[i].step_y, "", cases[i].unit_y);
		put_vector(group, 3, cases[i].length, cases[i].step_x, "", cases[i].unit_x);
		H5Gclose(group);
		double pm = pixel_of(end(file, "pixel"));
		assert_true(fabs(pm - cases[i].pm) <= 1e-9 * cases[i].pm);
	}
	hid_t file = begin("pixel"), group = put_plain(file, "a"); /* of version 1: from dim0 on */
	for (int k = 0; k < 3; k++)
		put_vector(group, k, 2, 0.5, "", k ? "A" : "");
	H5Gclose(group);
	assert_true(fabs(pixel_of(end(file, "pixel")) - 50) < 1e-9);
}

static void the_right_array(void **state)
{
	(void)state;
	const hsize_t axes[3] = { 1, 2, 2 }, four = 4;
	hid_t file, group, other;

	/* among others in the same group, deep down, called otherwise */
	file = begin("named");
	group = put_plain(file, "a");
	H5Dclose(put_array(group, "mask", 3, axes, NULL, 0, 0, H5T_NATIVE_UINT16, ramp));
	H5Dclose(put_array(group, "dim1", 1, &four, NULL, 0, 0, H5T_NATIVE_UINT16, ramp));
	H5Gclose(group);
	must_hold(end(file, "named"), "emd", PN_U16, 2, 3, 4, ramp);
	file = begin("deep");
	group = put_group(file, "a");
	other = put_group(group, "b");
	H5Gclose(group);
	group = put_marked(other, "c");
	H5Dclose(put_array(group, "realslice", 3, axes, NULL, 0, 0, H5T_NATIVE_UINT16, ramp));
	H5Gclose(group);
	group = put_group(other, "d"); /* not marked */
	H5Dclose(put_array(group, "data", 3, axes, NULL, 0, 0, H5T_NATIVE_UINT16, ramp + 4));
	H5Gclose(group);
	H5Gclose(other);
	must_hold(end(file, "deep"), "emd", PN_U16, 1, 2, 2, ramp);
	/* two that could be meant */
	file = begin("two");
	H5Gclose(put_plain(file, "a"));
	group = put_marked(file, "b");
	H5Dclose(put_array(group, "data", 3, axes, NULL, 0, 0, H5T_NATIVE_UINT16, ramp));
	H5Gclose(group);
	must_refuse(end(file, "two"), PN_EUNSUPPORTED, "2 arrays of images");
	must_refuse(testkit_path(dir, "two"), PN_EUNSUPPORTED, "/b/data, /data/a/data");
	file = begin("many");
	for (int i = 0; i < 40; i++) {
		char name[8];

		snprintf(name, sizeof name, "g%02d", i);
		group = put_marked(file, name);
		H5Dclose(put_array(group, "x", 3, axes, NULL, 0, 0, H5T_NATIVE_UINT16, ramp));
		H5Gclose(group);
	}
	must_refuse(end(file, "many"), PN_EUNSUPPORTED, "40 arrays of images");
	/* groups that hold themselves */
	file = begin("circle");
	H5Gclose(put_plain(file, "a"));
	assert_true(H5Lcreate_hard(file, "/", file, "/data/root", H5P_DEFAULT, H5P_DEFAULT) >= 0);
	must_refuse(end(file, "circle"), PN_EUNSUPPORTED, "arrays of images");
}

/* ---- Velox's -------------------------------------------------------------------------------- */

/* Frames [3][4] x 2 or more of u16, pixel n of frame f being 100 f + n. */
static void put_velox(hid_t images, const char *hash, hsize_t frames, const hsize_t *chunk,
		      int deflate, const char *json)
{
	const hsize_t axes[3] = { 3, 4, frames }, text[2] = { 600, 2 }, column[2] = { 600, 1 };
	uint16_t *values = calloc(12 * frames, sizeof *values);
	uint8_t metadata[1200] = { 0 };
	hid_t group = put_group(images, hash);

	assert_non_null(values);
	for (hsize_t n = 0; n < 12; n++)
		for (hsize_t f = 0; f < frames; f++)
			values[n * frames + f] = (uint16_t)(100 * f + n);
	H5Dclose(put_array(group, "Data", 3, axes, chunk, deflate, 0, H5T_NATIVE_UINT16, values));
	if (json) {
		for (size_t i = 0; json[i]; i++)
			metadata[2 * i] = (uint8_t)json[i];
		H5Dclose(put_array(group, "Metadata", 2, text, column, 0, 0, H5T_NATIVE_UINT8,
				   metadata));
	}
	H5Gclose(group);
	free(values);
}

static hid_t begin_velox(const char *name, hid_t *images)
{
	hid_t file = begin(name), data = put_group(file, "Data");

	*images = put_group(data, "Image");
	H5Gclose(data);
	return file;
}

static void must_hold_frames(const char *path, uint64_t frames)
{
	uint16_t *want = calloc(12 * frames, sizeof *want);

	assert_non_null(want);
	for (uint64_t f = 0; f < frames; f++)
		for (uint64_t n = 0; n < 12; n++)
			want[12 * f + n] = (uint16_t)(100 * f + n);
	must_hold(path, "emd", PN_U16, frames, 3, 4, want);
	free(want);
}

static void frames_are_the_last_axis(void **state)
{
	(void)state;
	const hsize_t chunks[][3] = { { 3, 4, 1 }, { 3, 4, 3 }, { 2, 3, 4 }, { 1, 1, 1 } };
	hid_t images;

	for (int deflate = 0; deflate < 2; deflate++)
		for (size_t i = 0; i < PN_COUNT(chunks); i++) {
			hid_t file = begin_velox("frames", &images);

			put_velox(images, "hash", 5, chunks[i], deflate, NULL);
			H5Gclose(images);
			must_hold_frames(end(file, "frames"), 5);
		}
	hid_t file = begin_velox("frames", &images);
	put_velox(images, "hash", 7, NULL, 0, NULL);
	H5Gclose(images);
	must_hold_frames(end(file, "frames"), 7);
}

#define SIZE(w, h, x, y)                                                       \
	"\"PixelSize\":{\"width\":" w ",\"height\":" h "},\"PixelUnitX\":\"" x \
	"\",\"PixelUnitY\":\"" y "\""

static void pixel_sizes_of_velox(void **state)
{
	(void)state;
	static const struct {
		const char *json;
		double pm;
	} cases[] = {
		{ "{\"BinaryResult\":{" SIZE("\"2.5e-11\"", "\"2.5e-11\"", "m", "m") "}}", 25 },
		{ "{\"Core\":{\"a\":[1,{\"b\":\"}\\\"]\"}],\"BinaryResult\":3}, \"x\" : true ,\n"
		  "\"BinaryResult\" : { \"Detector\" : \"BF\", " SIZE(" 2.5e-11 ", "2.5e-11", "m",
								      "m") " } }",
		  25 },
		{ "{\"BinaryResult\":{" SIZE("\"0.5\"", "\"0.5\"", "nm", "nm") "}}", 500 },
		{ "{\"BinaryResult\":{" SIZE("\"1e9\"", "\"1e9\"", "1/m", "1/m") "}}", 0 },
		{ "{\"BinaryResult\":{" SIZE("\"1e-9\"", "\"2e-9\"", "m", "m") "}}", 0 },
		{ "{\"BinaryResult\":{" SIZE("\"x\"", "\"x\"", "m", "m") "}}", 0 },
		{ "{\"BinaryResult\":{" SIZE("\"1e-9 \"", "\"1e-9 \"", "m", "m") "}}", 0 },
		{ "{\"BinaryResult\":[1]}", 0 },
		{ "{\"BinaryResult\":{\"PixelSize\":{\"width\":\"1", 0 },
		{ "{\"BinaryResult\":{\"PixelSize", 0 },
		{ "{\"BinaryResult\"", 0 },
		{ "{\"a\":{{{[[[", 0 },
		{ "{\"a\":\"\\", 0 },
		{ "{,}", 0 },
		{ "[]", 0 },
		{ "", 0 },
		{ NULL, 0 },
	};

	for (size_t i = 0; i < PN_COUNT(cases); i++) {
		hid_t images, file = begin_velox("json", &images);

		put_velox(images, "hash", 1, NULL, 0, cases[i].json);
		H5Gclose(images);
		double pm = pixel_of(end(file, "json"));
		assert_true(fabs(pm - cases[i].pm) <= 1e-9 * cases[i].pm);
	}
}

static void one_detector_of_several(void **state)
{
	(void)state;
	static const char haadf[] = "{\"BinaryResult\":{\"Detector\":\"HAADF\"}}";
	static const char bf[] = "{\"BinaryResult\":{\"Detector\":\"BF-S\"}}";
	const hsize_t axes[3] = { 3, 4, 1 };
	hid_t images, file = begin_velox("detectors", &images);

	put_velox(images, "1", 2, NULL, 0, bf);
	put_velox(images, "2", 3, NULL, 0, haadf);
	put_velox(images, "3", 4, NULL, 0, NULL);
	H5Gclose(images);
	must_hold_frames(end(file, "detectors"), 3);
	file = begin_velox("detectors", &images);
	put_velox(images, "1", 2, NULL, 0, bf);
	put_velox(images, "2", 3, NULL, 0, NULL);
	H5Gclose(images);
	must_refuse(end(file, "detectors"), PN_EUNSUPPORTED,
		    "/Data/Image/1/Data by BF-S, /Data/Image/2/Data");
	file = begin_velox("detectors", &images);
	put_velox(images, "1", 2, NULL, 0, haadf);
	put_velox(images, "2", 3, NULL, 0, haadf);
	H5Gclose(images);
	must_refuse(end(file, "detectors"), PN_EUNSUPPORTED, "2 arrays");
	/* a Fourier transform beside the image is passed over; alone it is refused */
	hid_t complex = H5Tcreate(H5T_COMPOUND, 8);
	H5Tinsert(complex, "realFloatHalfEven", 0, H5T_NATIVE_FLOAT);
	H5Tinsert(complex, "imagFloatHalfEven", 4, H5T_NATIVE_FLOAT);
	for (int alone = 0; alone < 2; alone++) {
		static const float zeros[24];

		file = begin_velox("fourier", &images);
		hid_t group = put_group(images, "0");
		H5Dclose(put_array(group, "Data", 3, axes, NULL, 0, 0, complex, zeros));
		H5Gclose(group);
		if (!alone)
			put_velox(images, "1", 2, NULL, 0, NULL);
		H5Gclose(images);
		if (alone)
			must_refuse(end(file, "fourier"), PN_EUNSUPPORTED, "complex numbers, say");
		else
			must_hold_frames(end(file, "fourier"), 2);
	}
	H5Tclose(complex);
}

/* ---- what is refused ------------------------------------------------------------------------ */

static void what_is_no_emd(void **state)
{
	(void)state;
	const hsize_t axes[5] = { 1, 2, 2, 1, 1 };
	hid_t file = begin("plain.h5"), group;

	H5Dclose(put_array(file, "data", 3, axes, NULL, 0, 0, H5T_NATIVE_UINT16, ramp));
	must_refuse(end(file, "plain.h5"), PN_EUNSUPPORTED, "HDF5, but not EMD");
	file = begin("one");
	group = put_marked(file, "g");
	H5Dclose(put_array(group, "data", 1, axes + 1, NULL, 0, 0, H5T_NATIVE_UINT16, ramp));
	H5Gclose(group);
	must_refuse(end(file, "one"), PN_EUNSUPPORTED, "HDF5, but not EMD");
	file = begin("five");
	group = put_marked(file, "g");
	H5Dclose(put_array(group, "data", 5, axes, NULL, 0, 0, H5T_NATIVE_UINT16, ramp));
	H5Gclose(group);
	must_refuse(end(file, "five"), PN_EUNSUPPORTED, "/g/data: 5 axes");
	testkit_write(testkit_path(dir, "noise.emd"), ramp, sizeof ramp);
	must_refuse(testkit_path(dir, "noise.emd"), PN_EFORMAT, "file signature not found");
	testkit_write(testkit_path(dir, "magic"), "\x89HDF\r\n\x1a\n", 8);
	must_refuse(testkit_path(dir, "magic"), PN_EFORMAT, "cannot be opened: HDF5: ");
}

static void put_sized(hid_t file, const hsize_t *axes, const hsize_t *chunk, const hsize_t *written)
{
	hid_t group = put_marked(file, "g"), data, space, memory;
	const hsize_t start[3] = { 0, 0, 0 };

	data = put_array(group, "data", 3, axes, chunk, chunk != NULL, 0, H5T_NATIVE_UINT16, NULL);
	if (written) {
		space = H5Dget_space(data);
		memory = H5Screate_simple(3, written, NULL);
		H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, written, NULL);
		assert_true(H5Dwrite(data, H5T_NATIVE_UINT16, memory, space, H5P_DEFAULT, ramp) >=
			    0);
		H5Sclose(memory);
		H5Sclose(space);
	}
	H5Dclose(data);
	H5Gclose(group);
}

/* Files of a few kilobytes that claim terabytes. */
static void sizes_that_cannot_be(void **state)
{
	(void)state;
	const hsize_t huge[3] = { 1u << 20, 1u << 20, 1u << 20 }, one[3] = { 1, 1, 1 };
	const hsize_t wrap[3] = { 1u << 31, 1u << 31, 4 }, tall[3] = { 1u << 16, 1u << 14, 1 };
	const hsize_t none[3] = { 0, 3, 4 }, flat[3] = { 2, 3, 4 };
	hid_t file = begin("huge");
	size_t size;

	put_sized(file, huge, one, one);
	must_refuse(end(file, "huge"), PN_EFORMAT, "is said to have 2305843009213693952 bytes");
	/* the number of elements is 0 modulo 2^64: libhdf5 writes no such file, so it is changed */
	file = begin("wrap");
	put_sized(file, flat, flat, flat);
	char *bytes = testkit_read(end(file, "wrap"), &size);
	char *extent = memmem(bytes, size, flat, sizeof flat);
	assert_non_null(extent);
	memcpy(extent, wrap, sizeof wrap);
	testkit_write(testkit_path(dir, "wrap"), bytes, size);
	free(bytes);
	must_refuse(testkit_path(dir, "wrap"), PN_EFORMAT,
		    "is said to have 18446744073709551615 bytes");
	file = begin("chunk"); /* one chunk of 2 GiB, which was never written */
	put_sized(file, tall, tall, NULL);
	must_refuse(end(file, "chunk"), PN_EFORMAT, "in chunks of 2147483648");
	file = begin("never");
	put_sized(file, flat, NULL, NULL);
	must_refuse(end(file, "never"), PN_EFORMAT, "declared but never written");
	file = begin("never");
	put_sized(file, flat, one, NULL);
	must_refuse(end(file, "never"), PN_EFORMAT, "declared but never written");
	file = begin("none");
	put_sized(file, none, NULL, NULL);
	must_refuse(end(file, "none"), PN_EFORMAT, "axis 0 has length 0");
	/* a recording that ended early: what was not written is 0 */
	uint16_t want[24] = { 0 };
	file = begin("early");
	put_sized(file, flat, one, one);
	must_hold(end(file, "early"), "emd", PN_U16, 2, 3, 4, want);
}

/* A file gives its own bytes only, whatever it points to. */
static void other_files_are_not_read(void **state)
{
	(void)state;
	const hsize_t axes[3] = { 2, 3, 4 };
	const char *secret = testkit_path(dir, "secret");
	hid_t file, group, plist, space, data;

	testkit_write(secret, ramp, sizeof ramp);
	file = begin("elsewhere");
	group = put_marked(file, "g");
	plist = H5Pcreate(H5P_DATASET_CREATE);
	space = H5Screate_simple(3, axes, NULL);
	H5Pset_external(plist, secret, 0, sizeof ramp);
	data = H5Dcreate2(group, "data", H5T_NATIVE_UINT16, space, H5P_DEFAULT, plist, H5P_DEFAULT);
	assert_true(data >= 0);
	H5Dclose(data);
	H5Sclose(space);
	H5Pclose(plist);
	H5Gclose(group);
	must_refuse(end(file, "elsewhere"), PN_EUNSUPPORTED, "/g/data is kept in other files");
	file = begin("target.emd");
	H5Gclose(put_plain(file, "a"));
	const char *target = end(file, "target.emd");
	file = begin("virtual");
	group = put_marked(file, "g");
	plist = H5Pcreate(H5P_DATASET_CREATE);
	space = H5Screate_simple(3, axes, NULL);
	H5Pset_virtual(plist, space, target, "/data/a/data", space);
	data = H5Dcreate2(group, "data", H5T_NATIVE_UINT16, space, H5P_DEFAULT, plist, H5P_DEFAULT);
	assert_true(data >= 0);
	H5Dclose(data);
	H5Sclose(space);
	H5Pclose(plist);
	H5Gclose(group);
	must_refuse(end(file, "virtual"), PN_EUNSUPPORTED, "/g/data is kept in other files");
	file = begin("link");
	group = put_marked(file, "g");
	H5Lcreate_external(target, "/data/a/data", group, "data", H5P_DEFAULT, H5P_DEFAULT);
	H5Gclose(group);
	H5Lcreate_external(target, "/data", file, "Data", H5P_DEFAULT, H5P_DEFAULT);
	must_refuse(end(file, "link"), PN_EUNSUPPORTED, "HDF5, but not EMD");
}

static unsigned count_entries(const char *folder)
{
	DIR *d = opendir(folder);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* Nothing is printed, and nothing stays open after a failure. */
static void truncated_at_every_byte(void **state)
{
	(void)state;
	const char *log = testkit_path(dir, "stderr"), *cut = testkit_path(dir, "cut.emd");
	hid_t file = begin("whole");
	size_t size, left;

	H5Gclose(put_plain(file, "a"));
	char *whole = testkit_read(end(file, "whole"), &size);
	unsigned open_before = count_entries("/proc/self/fd");
	int keep = dup(STDERR_FILENO);
	fflush(stderr);
	assert_non_null(freopen(log, "w", stderr));
	testkit_write(cut, whole, size);
	for (left = size; left--;) {
		assert_int_equal(truncate(cut, (off_t)left), 0);
		must_refuse(cut, PN_EFORMAT, "cut.emd");
	}
	fflush(stderr);
	dup2(keep, STDERR_FILENO);
	close(keep);
	free(whole);
	char *text = testkit_read(log, &size);
	assert_string_equal(text, "");
	free(text);
	assert_int_equal(count_entries("/proc/self/fd"), open_before);
	assert_int_equal(H5Fget_obj_count(H5F_OBJ_ALL, H5F_OBJ_ALL), 0);
}

/* ---- threads -------------------------------------------------------------------------------- */

static void *read_again_and_again(void *path)
{
	for (int i = 0; i < 100; i++) {
		struct pn_error err;
		struct pn_stack *stack;
		uint16_t image[12];

		if (pn_stack_open(&stack, path, &err) != PN_OK)
			return "does not open";
		for (uint64_t f = 0; f < 5; f++)
			if (pn_stack_read(stack, f, image, &err) != PN_OK ||
			    image[7] != 100 * f + 7)
				return "reads wrong";
		pn_stack_close(stack);
	}
	return NULL;
}

static void several_threads(void **state)
{
	(void)state;
	static char paths[4][256];
	const hsize_t chunk[3] = { 2, 3, 4 };
	pthread_t threads[4];

	assert_int_equal(count_entries("/proc/self/task"),
			 3); /* with . and ..: the library has none */
	for (int i = 0; i < 4; i++) {
		char name[16];
		hid_t images, file;

		snprintf(name, sizeof name, "file%d", i);
		if (i < 3) { /* two share the last one */
			file = begin_velox(name, &images);
			put_velox(images, "hash", 5, chunk, 1, NULL);
			H5Gclose(images);
			end(file, name);
		}
		snprintf(paths[i], sizeof paths[i], "%s/file%d", dir, i < 3 ? i : 2);
	}
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, read_again_and_again, paths[i]),
				 0);
	for (int i = 0; i < 4; i++) {
		void *wrong;

		pthread_join(threads[i], &wrong);
		assert_null(wrong);
	}
}

/* ---- reference data ------------------------------------------------------------------------- */

/* Hashes by HyperSpy 1.7.3, which makes float64 of Velox's int16 and turns 3x3 images over. */
static void files_of_other_programs(void **state)
{
	(void)state;
	static const double silicon[3] = { 0, 0.1446915566921234, 442.4281393258789 };
	const char *path = testkit_data("formats/emd_berkeley/Si100_3D.emd");
	char hash[65];

	if (!path)
		skip();
	must_be(path, "emd", PN_F32, 37, 22, 22, silicon,
		"2467ff4d52e8e8aaf325ac32d4de316903319bb208b315aebf24ea28985ec5f7");
	assert_true(fabs(pixel_of(path) - 250) < 1e-3); /* positions are float32 */
	static const int32_t nine[9] = { 0, 1, 2, 3, 4, 5, 6, 7, 8 };
	path = testkit_data("formats/emd_berkeley/example_image.emd");
	must_hold(path, "emd", PN_I32, 1, 3, 3, nine);
	assert_true(pixel_of(path) == 0);
	int32_t turned[9];
	for (int i = 0; i < 9; i++)
		turned[i] = nine[i % 3 * 3 + i / 3];
	sha256(hash, turned, sizeof turned);
	assert_string_equal(hash,
			    "7fe090a7202239aba37d689bdd40da5989cd1b122e5053040bf248bc9cb83338");
	static const struct {
		const char *name;
		uint64_t count, n;
		double pixel_pm;
		const char *hash;
	} files[] = {
		{ "formats/emd_velox/Camera_Ceta_Imaging_Micro.emd", 1, 512, 3138.8370544495516,
		  "d99fce5078b2cbce3d3612f45043e70a5f2eba468dae54c7d5ace3250ee68275" },
		{ "formats/emd_velox/fei_example_tem_stack.emd", 2, 3, 8.172883192297851,
		  "e4055b971f2083a1f3768864e08c365f6d3c6be08a4df0590dbdb4e8a8a68733" },
	};
	for (size_t i = 0; i < PN_COUNT(files); i++) {
		struct pn_stack *stack = must_open(testkit_data(files[i].name));
		size_t n = files[i].count * files[i].n * files[i].n;

		check_info_is(stack, "emd", PN_I16, files[i].count, files[i].n, files[i].n);
		assert_true(fabs(pn_stack_info(stack)->pixel_pm - files[i].pixel_pm) <=
			    1e-9 * files[i].pixel_pm);
		int16_t *pixels = read_all(stack);
		double *wide = calloc(n, sizeof *wide);
		assert_non_null(wide);
		for (size_t k = 0; k < n; k++)
			wide[k] = pixels[k];
		sha256(hash, wide, n * sizeof *wide);
		assert_string_equal(hash, files[i].hash);
		free(wide);
		free(pixels);
		pn_stack_close(stack);
	}
}

/* An HDF5 file that is no EMD. */
static void the_detectors_master_file(void **state)
{
	(void)state;
	const char *path = testkit_data("formats/dectris_arina/test_00_master.h5");

	if (!path)
		skip();
	must_refuse(path, PN_EUNSUPPORTED, "HDF5, but not EMD");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_type_order_and_layout),
		cmocka_unit_test(half_floats_are_widened),
		cmocka_unit_test(axes_by_name),
		cmocka_unit_test(pixel_sizes),
		cmocka_unit_test(the_right_array),
		cmocka_unit_test(frames_are_the_last_axis),
		cmocka_unit_test(pixel_sizes_of_velox),
		cmocka_unit_test(one_detector_of_several),
		cmocka_unit_test(what_is_no_emd),
		cmocka_unit_test(sizes_that_cannot_be),
		cmocka_unit_test(other_files_are_not_read),
		cmocka_unit_test(truncated_at_every_byte),
		cmocka_unit_test(several_threads),
		cmocka_unit_test(files_of_other_programs),
		cmocka_unit_test(the_detectors_master_file),
	};

	dir = testkit_tempdir();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
