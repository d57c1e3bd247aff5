/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * emd.c - two layouts of HDF5 files that share a name: Berkeley's (groups marked emd_group_type,
 * each with an array and vectors dim1, dim2, ... along its axes) and Velox's (/Data/Image/<hash>/
 * Data [y][x][frame] with the metadata as JSON). libhdf5 is used under one lock: it is not made
 * for threads. Links to other files, filters from plug-ins and arrays kept elsewhere are refused,
 * so that a file reads nothing but itself.
 */
#include "stack_priv.h"

#define H5_USE_110_API
#include <hdf5.h>

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define MAGIC           "\x89HDF\r\n\x1a\n"
#define MAGIC_BYTES     8
#define DEPTH_MAX       8    /* of groups that are searched                               */
#define GROUPS_MAX      4096 /* links may run in circles                                  */
#define FOUND_MAX       16   /* arrays that are told apart; more are counted              */
#define PATH_BYTES      256
#define TEXT_BYTES      64          /* of names and units                                        */
#define RATIO_MAX       65536       /* no compression does better: more is a lie                 */
#define JSON_BYTES_MAX  (16u << 20) /* of one frame's metadata; Velox writes 60000               */
#define CACHE_BYTES_MAX (1u << 30)
#define CACHE_SLOTS     12421 /* a prime well above the chunks of an image, as HDF5 advises */

static pthread_mutex_t hdf5_lock = PTHREAD_MUTEX_INITIALIZER;

/** An array that may be the images. */
struct found {
	char path[PATH_BYTES];
	int readable; /* its pixels are numbers */
	struct velox_image velox;
};

struct emd_search {
	struct pn_stack *stack;
	unsigned groups, depth;
	int marked; /* the group being visited is one of Berkeley's */
	char path[PATH_BYTES];
	unsigned count;
	struct found found[FOUND_MAX];
};

struct emd_reader {
	hid_t file, data, space; /* 0: not open, which is no valid identifier */
	hid_t native;            /* type of the pixels in memory, predefined  */
	unsigned axis_count;
	hsize_t axes[PN_DIM_MAX];
	unsigned axis_x, axis_y;
	void *scratch; /* [nx][ny], where x is the slower of the two; else NULL */
};

/* ---- the library --------------------------------------------------------------------------- */

static void lock(void)
{
	pthread_mutex_lock(&hdf5_lock);
	H5Eset_auto2(H5E_DEFAULT, NULL, NULL); /* print nothing; the setting is each thread's own */
	H5PLset_loading_state(0);
}

static void unlock(void)
{
	pthread_mutex_unlock(&hdf5_lock);
}

static herr_t keep_message(unsigned n, const H5E_error2_t *error, void *text)
{
	if (n == 0 && error->desc)
		snprintf(text, TEXT_BYTES * 2, "%s", error->desc);
	return 0;
}

/* What libhdf5 could not do, in the words of the place where it went wrong. */
static int hdf5_failed(struct pn_stack *stack, struct pn_error *err, const char *what)
{
	char text[TEXT_BYTES * 2] = "no reason given";

	H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_message, text);
	H5Eclear2(H5E_DEFAULT);
	return pn_error_set(err, PN_EFORMAT, "%s: %s: HDF5: %s", stack->path, what, text);
}

/* Any type of object; negative if there is none under the name in this very file. */
static hid_t open_object(hid_t at, const char *name)
{
	H5L_info_t link;

	if (H5Lexists(at, name, H5P_DEFAULT) <= 0 ||
	    H5Lget_info(at, name, &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD)
		return -1;
	return H5Oopen(at, name, H5P_DEFAULT);
}

static hid_t open_kind(hid_t at, const char *name, H5I_type_t kind)
{
	hid_t object = open_object(at, name);

	if (object >= 0 && H5Iget_type(object) != kind) {
		H5Oclose(object);
		return -1;
	}
	return object;
}

/* Number of axes, and their lengths if not more than PN_DIM_MAX; negative: it has none. */
static int get_axes(hid_t data, hsize_t axes[PN_DIM_MAX])
{
	hid_t space = H5Dget_space(data);
	int count = -1;

	if (space < 0)
		return -1;
	if (H5Sget_simple_extent_type(space) == H5S_SIMPLE)
		count = H5Sget_simple_extent_ndims(space);
	if (count > 0 && count <= PN_DIM_MAX)
		H5Sget_simple_extent_dims(space, axes, NULL);
	H5Sclose(space);
	return count;
}

/* PN_DTYPE_NONE if the elements are no real numbers. */
static enum pn_dtype get_dtype(hid_t data, hid_t *native, size_t *stored_bytes)
{
	hid_t type = H5Dget_type(data);
	enum pn_dtype dtype = PN_DTYPE_NONE;

	if (type < 0)
		return dtype;
	const struct {
		H5T_class_t class;
		size_t bytes;
		H5T_sign_t sign;
		enum pn_dtype dtype;
		hid_t native;
	} types[] = {
		{ H5T_INTEGER, 1, H5T_SGN_NONE, PN_U8, H5T_NATIVE_UINT8 },
		{ H5T_INTEGER, 1, H5T_SGN_2, PN_I8, H5T_NATIVE_INT8 },
		{ H5T_INTEGER, 2, H5T_SGN_NONE, PN_U16, H5T_NATIVE_UINT16 },
		{ H5T_INTEGER, 2, H5T_SGN_2, PN_I16, H5T_NATIVE_INT16 },
		{ H5T_INTEGER, 4, H5T_SGN_NONE, PN_U32, H5T_NATIVE_UINT32 },
		{ H5T_INTEGER, 4, H5T_SGN_2, PN_I32, H5T_NATIVE_INT32 },
		{ H5T_INTEGER, 8, H5T_SGN_NONE, PN_U64, H5T_NATIVE_UINT64 },
		{ H5T_INTEGER, 8, H5T_SGN_2, PN_I64, H5T_NATIVE_INT64 },
		{ H5T_FLOAT, 2, H5T_SGN_ERROR, PN_F32, H5T_NATIVE_FLOAT },
		{ H5T_FLOAT, 4, H5T_SGN_ERROR, PN_F32, H5T_NATIVE_FLOAT },
		{ H5T_FLOAT, 8, H5T_SGN_ERROR, PN_F64, H5T_NATIVE_DOUBLE },
	};
	H5T_class_t class = H5Tget_class(type);
	H5T_sign_t sign = class == H5T_INTEGER ? H5Tget_sign(type) : H5T_SGN_ERROR;

	*stored_bytes = H5Tget_size(type);
	for (size_t i = 0; i < PN_COUNT(types); i++)
		if (types[i].class == class && types[i].bytes == *stored_bytes &&
		    types[i].sign == sign) {
			dtype = types[i].dtype;
			*native = types[i].native;
		}
	H5Tclose(type);
	return dtype;
}

/* Product of what libhdf5 calls dimensions; UINT64_MAX if it is not below 2^64. */
static uint64_t product(const hsize_t *lengths, int count, uint64_t element_bytes)
{
	uint64_t bytes = element_bytes;

	for (int i = 0; i < count; i++)
		if (__builtin_mul_overflow(bytes, lengths[i], &bytes))
			return UINT64_MAX;
	return bytes;
}

/*
 * Hold the array against the file before anything of it is read: libhdf5 itself takes the memory
 * of a whole chunk, whatever the file says that is.
 */
static int check_stored(struct pn_stack *stack, hid_t data, const char *path, struct pn_error *err)
{
	hsize_t axes[H5S_MAX_RANK];
	hid_t type = H5Dget_type(data), space = H5Dget_space(data);
	hid_t plist = H5Dget_create_plist(data);
	uint64_t most, total, chunk = 0, element = H5Tget_size(type);
	H5D_layout_t layout = H5Pget_layout(plist);
	int elsewhere = layout == H5D_VIRTUAL || H5Pget_external_count(plist) > 0;
	int count = H5Sget_simple_extent_dims(space, axes, NULL);

	total = product(axes, count, element);
	if (layout == H5D_CHUNKED) {
		count = H5Pget_chunk(plist, H5S_MAX_RANK, axes);
		chunk = product(axes, count, element);
	}
	H5Pclose(plist);
	H5Sclose(space);
	H5Tclose(type);
	if (elsewhere)
		return pn_error_set(err, PN_EUNSUPPORTED, "%s: %s is kept in other files",
				    stack->path, path);
	if (__builtin_mul_overflow(stack->file_bytes, RATIO_MAX, &most))
		most = UINT64_MAX - 1;
	if (count < 0 || !element || total > most || chunk > most)
		return pn_error_set(err, PN_EFORMAT,
				    "%s: %s is said to have %" PRIu64
				    " bytes (in chunks of %" PRIu64 "), file has %" PRIu64,
				    stack->path, path, total, chunk, stack->file_bytes);
	return PN_OK;
}

/* A text; "" if there is none that fits. */
static void get_text(hid_t object, const char *name, char text[TEXT_BYTES])
{
	hid_t at = H5Aexists(object, name) > 0 ? H5Aopen(object, name, H5P_DEFAULT) : -1;
	char *loose = NULL, fixed[1024] = "";

	text[0] = 0;
	if (at < 0)
		return;
	hid_t type = H5Aget_type(at), space = H5Aget_space(at);
	if (type >= 0 && H5Tget_class(type) == H5T_STRING &&
	    H5Sget_simple_extent_npoints(space) == 1) {
		if (H5Tis_variable_str(type) > 0 && H5Aread(at, type, &loose) >= 0 && loose)
			snprintf(text, TEXT_BYTES, "%s", loose);
		else if (!H5Tis_variable_str(type) && H5Tget_size(type) < sizeof fixed &&
			 H5Aread(at, type, fixed) >= 0)
			snprintf(text, TEXT_BYTES, "%.*s", TEXT_BYTES - 1, fixed);
	}
	H5free_memory(loose);
	H5Sclose(space);
	H5Tclose(type);
	H5Aclose(at);
}

/* ---- Berkeley ------------------------------------------------------------------------------ */

static void keep_array(struct emd_search *search, hid_t data)
{
	size_t bytes;
	hid_t native;

	if (search->count < FOUND_MAX) {
		struct found *found = &search->found[search->count];

		memcpy(found->path, search->path, sizeof found->path);
		found->readable = get_dtype(data, &native, &bytes) != PN_DTYPE_NONE;
	}
	search->count++;
}

static herr_t visit(hid_t group, const char *name, const H5L_info_t *link, void *user)
{
	struct emd_search *search = user;
	size_t length = strlen(search->path);
	hsize_t axes[PN_DIM_MAX];
	int marked = search->marked;

	if (link->type != H5L_TYPE_HARD || length + strlen(name) + 2 > sizeof search->path)
		return 0;
	hid_t object = H5Oopen(group, name, H5P_DEFAULT);
	if (object < 0)
		return 0;
	snprintf(search->path + length, sizeof search->path - length, "/%s", name);
	if (H5Iget_type(object) == H5I_DATASET && marked && get_axes(object, axes) >= 2)
		keep_array(search, object);
	if (H5Iget_type(object) == H5I_GROUP && search->depth < DEPTH_MAX &&
	    search->groups++ < GROUPS_MAX) {
		search->marked = H5Aexists(object, "emd_group_type") > 0;
		search->depth++;
		H5Literate(object, H5_INDEX_NAME, H5_ITER_INC, NULL, visit, search);
		search->depth--;
		search->marked = marked;
	}
	search->path[length] = 0;
	H5Oclose(object);
	return 0;
}

/* Files of Prismatic call the array otherwise; where one is called "data", it is that. */
static void prefer_data(struct emd_search *search)
{
	unsigned kept = 0, held = search->count < FOUND_MAX ? search->count : FOUND_MAX;

	for (unsigned i = 0; i < held; i++)
		if (strcmp(strrchr(search->found[i].path, '/'), "/data") == 0)
			search->found[kept++] = search->found[i];
	if (kept)
		search->count = kept;
}

/* "[n_m]" is how the layout's authors write nm. */
static double step_unit_pm(const char *text)
{
	char unit[TEXT_BYTES];
	size_t n = 0;

	for (; *text; text++)
		if (!strchr("[]_ ", *text))
			unit[n++] = *text;
	unit[n] = 0;
	return stack_unit_pm(unit);
}

/* Mean step of a vector of @length positions, or of the first two if it is linear and has no more.
 */
static double get_step(hid_t vector, hsize_t length)
{
	hsize_t axes[PN_DIM_MAX] = { 0 }, start = 0, two = 2, stride = 1;
	double ends[2] = { 0, 0 };

	if (get_axes(vector, axes) != 1 || axes[0] < 2)
		return 0;
	if (axes[0] == length)
		stride = length - 1;
	hid_t space = H5Dget_space(vector), memory = H5Screate_simple(1, &two, NULL);
	if (space < 0 || memory < 0 ||
	    H5Sselect_hyperslab(space, H5S_SELECT_SET, &start, &stride, &two, NULL) < 0 ||
	    H5Dread(vector, H5T_NATIVE_DOUBLE, memory, space, H5P_DEFAULT, ends) < 0)
		ends[0] = ends[1] = 0;
	H5Sclose(memory);
	H5Sclose(space);
	return fabs(ends[1] - ends[0]) / (double)stride;
}

static int is_axis(const char *name, const char *letter)
{
	const char *last = strrchr(name, '_');

	return strcasecmp(last ? last + 1 : name, letter) == 0;
}

/*
 * The vectors along the axes give the size of a pixel, and their names tell which axes are x and y:
 * tomograms are often kept as [x][y][tilt]. Without names the last two are y and x.
 */
static void take_vectors(struct pn_stack *stack, const char *path)
{
	struct emd_reader *s = stack->state;
	double step_pm[PN_DIM_MAX] = { 0 };
	unsigned x_count = 0, y_count = 0, x = 0, y = 0;
	char name[PATH_BYTES + 16], text[TEXT_BYTES];
	int group_bytes = (int)(strrchr(path, '/') - path);

	snprintf(name, sizeof name, "%.*s/dim0", group_bytes, path);
	int first = H5Lexists(s->file, name, H5P_DEFAULT) > 0 ? 0 : 1;
	for (unsigned i = 0; i < s->axis_count; i++) {
		snprintf(name, sizeof name, "%.*s/dim%u", group_bytes, path, i + (unsigned)first);
		hid_t vector = open_kind(s->file, name, H5I_DATASET);
		if (vector < 0)
			continue;
		get_text(vector, "name", text);
		if (is_axis(text, "x"))
			x = i, x_count++;
		if (is_axis(text, "y"))
			y = i, y_count++;
		get_text(vector, "units", text);
		if (check_stored(stack, vector, name, NULL) == PN_OK)
			step_pm[i] = get_step(vector, s->axes[i]) * step_unit_pm(text);
		H5Oclose(vector);
	}
	if (x_count == 1 && y_count == 1) {
		s->axis_x = x;
		s->axis_y = y;
	}
	stack->info.pixel_pm = stack_square_pm(step_pm[s->axis_x], step_pm[s->axis_y]);
}

/* ---- Velox --------------------------------------------------------------------------------- */

/* The metadata of the first frame. */
static void read_metadata(struct emd_search *search, hid_t group, struct velox_image *image)
{
	hid_t data = open_kind(group, "Metadata", H5I_DATASET), native;
	hsize_t axes[PN_DIM_MAX], start[2] = { 0, 0 }, count[2] = { 0, 1 };
	size_t bytes;

	if (data < 0)
		return;
	if (get_axes(data, axes) == 2 && axes[0] <= JSON_BYTES_MAX && axes[1] >= 1 &&
	    get_dtype(data, &native, &bytes) == PN_U8 &&
	    check_stored(search->stack, data, "Metadata", NULL) == PN_OK) {
		char *json = calloc(1, axes[0] + 1);

		count[0] = axes[0];
		hid_t space = H5Dget_space(data), memory = H5Screate_simple(1, count, NULL);
		if (json &&
		    H5Sselect_hyperslab(space, H5S_SELECT_SET, start, NULL, count, NULL) >= 0 &&
		    H5Dread(data, H5T_NATIVE_UINT8, memory, space, H5P_DEFAULT, json) >= 0)
			velox_describe(image, json);
		H5Sclose(memory);
		H5Sclose(space);
		free(json);
	}
	H5Oclose(data);
}

static herr_t visit_velox(hid_t images, const char *name, const H5L_info_t *link, void *user)
{
	struct emd_search *search = user;
	hsize_t axes[PN_DIM_MAX];

	(void)link;
	hid_t group = open_kind(images, name, H5I_GROUP);
	if (group < 0)
		return 0;
	hid_t data = open_kind(group, "Data", H5I_DATASET);
	int n = snprintf(search->path, sizeof search->path, "/Data/Image/%s/Data", name);
	if (data >= 0 && n < (int)sizeof search->path && get_axes(data, axes) == 3) {
		keep_array(search, data);
		if (search->count <= FOUND_MAX)
			read_metadata(search, group, &search->found[search->count - 1].velox);
	}
	if (data >= 0)
		H5Oclose(data);
	H5Oclose(group);
	return 0;
}

/* ---- choosing ------------------------------------------------------------------------------ */

/* Of several arrays: the one that is numbers; of Velox's the only one by the HAADF detector. */
static const struct found *choose(const struct emd_search *search)
{
	const struct found *number = NULL, *haadf = NULL;
	unsigned numbers = 0, haadfs = 0;

	for (unsigned i = 0; i < search->count && i < FOUND_MAX; i++) {
		const struct found *f = &search->found[i];
		int is_haadf = f->readable && strncmp(f->velox.detector, "HAADF", 5) == 0;

		numbers += f->readable != 0;
		number = f->readable ? f : number;
		haadfs += is_haadf != 0;
		haadf = is_haadf ? f : haadf;
	}
	if (search->count > FOUND_MAX)
		return NULL;
	if (numbers <= 1)
		return number ? number : &search->found[0]; /* whose refusal says why */
	return haadfs == 1 ? haadf : NULL;
}

static int too_many(const struct emd_search *search, struct pn_error *err)
{
	char list[PN_ERROR_TEXT_MAX] = "";
	size_t n = 0;

	for (unsigned i = 0; i < search->count && i < FOUND_MAX && n < sizeof list; i++)
		n += (size_t)snprintf(list + n, sizeof list - n, "%s%s%s%s", i ? ", " : "",
				      search->found[i].path,
				      *search->found[i].velox.detector ? " by " : "",
				      search->found[i].velox.detector);
	return pn_error_set(err, PN_EUNSUPPORTED,
			    "%s: %u arrays of images, export the one you mean: %s",
			    search->stack->path, search->count, list);
}

/* Fill the search; *velox tells the layout. */
static int find_arrays(struct emd_search *search, int *velox, struct pn_error *err)
{
	struct pn_stack *stack = search->stack;
	struct emd_reader *s = stack->state;
	hid_t data = open_kind(s->file, "Data", H5I_GROUP);
	hid_t images = data >= 0 ? open_kind(data, "Image", H5I_GROUP) : -1;
	herr_t status;

	*velox = images >= 0;
	if (*velox)
		status = H5Literate(images, H5_INDEX_NAME, H5_ITER_INC, NULL, visit_velox, search);
	else
		status = H5Literate(s->file, H5_INDEX_NAME, H5_ITER_INC, NULL, visit, search);
	int failed = status < 0 ? hdf5_failed(stack, err, "groups") : PN_OK;
	if (images >= 0)
		H5Oclose(images);
	if (data >= 0)
		H5Oclose(data);
	if (failed < 0)
		return failed;
	if (!*velox)
		prefer_data(search);
	if (!search->count)
		return pn_error_set(
			err, PN_EUNSUPPORTED,
			"%s: HDF5, but not EMD: neither /Data/Image/.../Data of 3 axes "
			"(Velox) nor a group with emd_group_type and an array (Berkeley)",
			stack->path);
	return PN_OK;
}

/* ---- the array ----------------------------------------------------------------------------- */

static int take_type(struct pn_stack *stack, const char *path, struct pn_error *err)
{
	struct emd_reader *s = stack->state;
	size_t bytes = 0;

	stack->info.dtype = get_dtype(s->data, &s->native, &bytes);
	if (stack->info.dtype == PN_DTYPE_NONE)
		return pn_error_set(err, PN_EUNSUPPORTED,
				    "%s: %s: pixels of %zu bytes that are no real numbers of 8 to "
				    "64 bits (complex numbers, say): save their modulus instead",
				    stack->path, path, bytes);
	return PN_OK;
}

static int take_axes(struct pn_stack *stack, const char *path, int velox, struct pn_error *err)
{
	struct emd_reader *s = stack->state;
	int count = get_axes(s->data, s->axes);

	if (count < 2 || count > PN_DIM_MAX)
		return pn_error_set(err, PN_EUNSUPPORTED,
				    "%s: %s: %d axes: a stack of images has 2 ([y][x]) to %d",
				    stack->path, path, count, PN_DIM_MAX);
	s->axis_count = (unsigned)count;
	s->axis_y = velox ? 0 : s->axis_count - 2;
	s->axis_x = velox ? 1 : s->axis_count - 1;
	if (!velox)
		take_vectors(stack, path);
	stack->info.ny = s->axes[s->axis_y];
	stack->info.nx = s->axes[s->axis_x];
	stack->info.count = 1;
	for (unsigned i = 0; i < s->axis_count; i++) {
		if (!s->axes[i])
			return pn_error_set(err, PN_EFORMAT, "%s: %s: axis %u has length 0",
					    stack->path, path, i);
		if (i != s->axis_x && i != s->axis_y)
			stack->info.count *= s->axes[i]; /* below 2^64: see check_stored */
	}
	return PN_OK;
}

/* All pixels have to be there: to the byte if they lie in one piece. */
static int check_pixels(struct pn_stack *stack, const char *path, struct pn_error *err)
{
	struct emd_reader *s = stack->state;
	struct stack_raw raw = { .stored = STACK_PLAIN };
	hid_t plist = H5Dget_create_plist(s->data), type = H5Dget_type(s->data);
	H5D_layout_t layout = H5Pget_layout(plist);
	haddr_t offset = H5Dget_offset(s->data);
	hsize_t stored = H5Dget_storage_size(s->data);

	if (stack->info.dtype == PN_F32 && H5Tget_size(type) == 2)
		raw.stored = STACK_F16;
	H5Tclose(type);
	H5Pclose(plist);
	if (!stored)
		return pn_error_set(err, PN_EFORMAT, "%s: %s was declared but never written",
				    stack->path, path);
	if (layout != H5D_CONTIGUOUS)
		return check_stored(stack, s->data, path, err);
	raw.offset = offset;
	return stack_raw_check(stack, &raw, err);
}

/* Bytes of the chunks that one image lies in; 0 if there are no chunks. */
static uint64_t chunks_of_image(const struct emd_reader *s, uint64_t element_bytes)
{
	hsize_t chunk[PN_DIM_MAX];
	hid_t plist = H5Dget_create_plist(s->data);
	uint64_t bytes = element_bytes;
	int is_chunked = H5Pget_layout(plist) == H5D_CHUNKED &&
			 H5Pget_chunk(plist, PN_DIM_MAX, chunk) == (int)s->axis_count;

	H5Pclose(plist);
	for (unsigned i = 0; is_chunked && i < s->axis_count; i++) {
		uint64_t length = i == s->axis_x || i == s->axis_y ? s->axes[i] : 1;

		if (!chunk[i] ||
		    __builtin_mul_overflow(bytes, (length + chunk[i] - 1) / chunk[i] * chunk[i],
					   &bytes))
			return UINT64_MAX;
	}
	return is_chunked ? bytes : 0;
}

/*
 * Chunks often hold pieces of several images: with all those of one image in the cache a stack read
 * in order is decoded once and not once per image.
 */
static int enlarge_cache(struct pn_stack *stack, const char *path, struct pn_error *err)
{
	struct emd_reader *s = stack->state;
	uint64_t bytes = chunks_of_image(s, pn_dtype_bytes(stack->info.dtype));
	int status = PN_OK;

	if (bytes <= 1u << 20 || bytes > CACHE_BYTES_MAX) /* the library's own, or too much */
		return PN_OK;
	hid_t plist = H5Pcreate(H5P_DATASET_ACCESS);
	H5Pset_chunk_cache(plist, CACHE_SLOTS, bytes, 1);
	H5Oclose(s->data);
	s->data = H5Dopen2(s->file, path, plist);
	if (s->data < 0) {
		s->data = 0;
		status = hdf5_failed(stack, err, path);
	}
	H5Pclose(plist);
	return status;
}

static int take_array(struct pn_stack *stack, const struct found *found, int velox,
		      struct pn_error *err)
{
	struct emd_reader *s = stack->state;
	const char *path = found->path;
	int status;

	s->data = H5Dopen2(s->file, path, H5P_DEFAULT);
	if (s->data < 0) {
		s->data = 0;
		return hdf5_failed(stack, err, path);
	}
	stack->info.pixel_pm = found->velox.pixel_pm;
	status = check_stored(stack, s->data, path, err);
	if (status == PN_OK)
		status = take_type(stack, path, err);
	if (status == PN_OK)
		status = take_axes(stack, path, velox, err);
	if (status == PN_OK)
		status = check_pixels(stack, path, err);
	if (status == PN_OK)
		status = enlarge_cache(stack, path, err);
	if (status < 0)
		return status;
	s->space = H5Dget_space(s->data);
	if (s->space < 0) {
		s->space = 0;
		return hdf5_failed(stack, err, path);
	}
	if (s->axis_x > s->axis_y)
		return PN_OK;
	s->scratch = malloc(stack->info.ny * stack->info.nx * pn_dtype_bytes(stack->info.dtype));
	if (!s->scratch)
		return pn_error_set(err, PN_ENOMEM, "%s: no memory", stack->path);
	return PN_OK;
}

/* ---- files --------------------------------------------------------------------------------- */

static int emd_match(const struct stack_head *head)
{
	return head->count >= MAGIC_BYTES && memcmp(head->bytes, MAGIC, MAGIC_BYTES) == 0;
}

/* The very file that was found to be one, by its descriptor; no lock is taken on it. */
static int open_file(struct pn_stack *stack, struct pn_error *err)
{
	struct emd_reader *s = stack->state;
	char path[64];
	hid_t plist = H5Pcreate(H5P_FILE_ACCESS);
	int status = PN_OK;

	snprintf(path, sizeof path, "/proc/self/fd/%d", stack->fd);
	H5Pset_file_locking(plist, 0, 1);
	s->file = H5Fopen(path, H5F_ACC_RDONLY, plist);
	if (s->file < 0) {
		s->file = 0;
		status = hdf5_failed(stack, err, "cannot be opened");
	}
	H5Pclose(plist); /* later than the message: every call forgets the last one's errors */
	return status;
}

static int emd_open(struct pn_stack *stack, struct pn_error *err)
{
	struct emd_search *search = calloc(1, sizeof *search);
	int velox = 0, status;

	if (!search)
		return pn_error_set(err, PN_ENOMEM, "%s: no memory", stack->path);
	search->stack = stack;
	lock();
	status = open_file(stack, err);
	if (status == PN_OK)
		status = find_arrays(search, &velox, err);
	if (status == PN_OK) {
		const struct found *found = choose(search);

		status = found ? take_array(stack, found, velox, err) : too_many(search, err);
	}
	unlock();
	free(search);
	return status;
}

static void transpose(void *dst, const void *src, size_t element_bytes, size_t ny, size_t nx)
{
	enum { TILE = 32 }; /* both sides of a tile stay in the nearest cache */

	for (size_t y0 = 0; y0 < ny; y0 += TILE)
		for (size_t x0 = 0; x0 < nx; x0 += TILE)
			for (size_t y = y0; y < ny && y < y0 + TILE; y++)
				for (size_t x = x0; x < nx && x < x0 + TILE; x++)
					memcpy((char *)dst + (y * nx + x) * element_bytes,
					       (const char *)src + (x * ny + y) * element_bytes,
					       element_bytes);
}

static int emd_read(struct pn_stack *stack, uint64_t index, void *dst, struct pn_error *err)
{
	struct emd_reader *s = stack->state;
	hsize_t start[PN_DIM_MAX], count[PN_DIM_MAX];
	uint64_t rest = index;
	int status = PN_OK;

	for (unsigned i = s->axis_count; i--;) {
		int of_image = i == s->axis_x || i == s->axis_y;

		count[i] = of_image ? s->axes[i] : 1;
		start[i] = of_image ? 0 : rest % s->axes[i];
		rest = of_image ? rest : rest / s->axes[i];
	}
	lock();
	/* of the selection's shape: so whole chunks pass without a list of pixels */
	hid_t memory = H5Screate_simple((int)s->axis_count, count, NULL);
	if (memory < 0 ||
	    H5Sselect_hyperslab(s->space, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
	    H5Dread(s->data, s->native, memory, s->space, H5P_DEFAULT,
		    s->scratch ? s->scratch : dst) < 0)
		status = hdf5_failed(stack, err, "pixels");
	if (memory >= 0)
		H5Sclose(memory);
	unlock();
	if (status < 0)
		return pn_error_wrap(err, "image %" PRIu64, index);
	if (s->scratch)
		transpose(dst, s->scratch, pn_dtype_bytes(stack->info.dtype), stack->info.ny,
			  stack->info.nx);
	return PN_OK;
}

static void emd_close(struct pn_stack *stack)
{
	struct emd_reader *s = stack->state;

	lock();
	if (s->space)
		H5Sclose(s->space);
	if (s->data)
		H5Dclose(s->data);
	if (s->file)
		H5Fclose(s->file);
	unlock();
	free(s->scratch);
}

const struct stack_reader stack_emd_reader = {
	.name = "emd",
	.extensions = " .emd ",
	.state_bytes = sizeof(struct emd_reader),
	.match = emd_match,
	.open = emd_open,
	.read = emd_read,
	.close = emd_close,
};
