/* SPDX-License-Identifier: GPL-3.0-or-later */
/* weights.c - the bytes of a network's weights, and files of them; their head is weights_head.c's.
 */
#include "perrin/format/weights.h"

#include "model_priv.h"
#include "perrin/stream/hash.h"
#include "weights_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "weights are little-endian");

enum { ALIGN = 64 };

struct prefix {
	char magic[8];
	uint32_t version, head_bytes;
	uint64_t param_count;
};
_Static_assert(sizeof(struct prefix) == 24, "no padding");

static const char magic[8] = { 'P', 'N', 'W', 'E', 'I', 'G', 'H', 'T' };

/* where the parameters begin */
static size_t params_at(const struct prefix *prefix)
{
	return (sizeof *prefix + (size_t)prefix->head_bytes + ALIGN - 1) / ALIGN * ALIGN;
}

void pn_weights_curve_add(struct pn_weights *weights, double step, double loss)
{
	if (!isfinite(step) || !isfinite(loss))
		return;
	if (weights->curve_count == PN_WEIGHTS_CURVE_MAX) {
		weights->curve_count /= 2;
		for (uint64_t i = 0; i < weights->curve_count; i++) {
			weights->curve_step[i] = weights->curve_step[2 * i];
			weights->curve_loss[i] = weights->curve_loss[2 * i];
		}
	}
	weights->curve_step[weights->curve_count] = step;
	weights->curve_loss[weights->curve_count++] = loss;
}

void pn_weights_free(struct pn_weights *weights)
{
	free(weights->params);
	*weights = (struct pn_weights){ 0 };
}

/* ---- what is the same in writing and in reading -------------------------------------------- */

static int check_network(const struct pn_net_spec *spec, uint64_t param_count, int code,
			 struct pn_error *err)
{
	struct pn_net_layout *layout = malloc(sizeof *layout);
	int rc = layout ? pn_net_layout_make(layout, spec, err)
			: pn_error_set(err, PN_ENOMEM, "no memory to lay the network out");

	if (rc == PN_EARG && err)
		err->code = code;
	if (rc == PN_EARG)
		rc = code;
	if (!rc && param_count != layout->param_count)
		rc = pn_error_set(err, code, "%" PRIu64 " parameters for a network that has %zu",
				  param_count, layout->param_count);
	free(layout);
	return rc;
}

static int check_params(const float *params, uint64_t count, int code, struct pn_error *err)
{
	for (uint64_t i = 0; i < count; i++)
		if (!isfinite(params[i]))
			return pn_error_set(err, code, "parameter %" PRIu64 " of %" PRIu64 " is %g",
					    i, count, (double)params[i]);
	return PN_OK;
}

/* ---- writing ------------------------------------------------------------------------------- */

int pn_weights_encode(const struct pn_weights *weights, struct pn_blob *out, struct pn_error *err)
{
	static const char zeros[ALIGN];
	struct prefix prefix = { .version = WEIGHTS_VERSION, .param_count = weights->param_count };
	char head[WEIGHTS_HEAD_MAX];
	const size_t start = out->bytes;
	size_t head_bytes = 0;

	int rc = check_network(&weights->spec, weights->param_count, PN_EARG, err);
	if (!rc)
		rc = check_params(weights->params, weights->param_count, PN_EARG, err);
	if (!rc)
		rc = weights_head_put(weights, head, &head_bytes, err);
	if (rc)
		return rc;
	memcpy(prefix.magic, magic, sizeof magic);
	prefix.head_bytes = (uint32_t)head_bytes;
	size_t pad = params_at(&prefix) - sizeof prefix - head_bytes;

	rc = pn_blob_put(out, &prefix, sizeof prefix);
	if (!rc)
		rc = pn_blob_put(out, head, head_bytes);
	if (!rc)
		rc = pn_blob_put(out, zeros, pad);
	if (!rc)
		rc = pn_blob_put(out, weights->params,
				 weights->param_count * sizeof *weights->params);
	if (!rc) {
		uint64_t hash = pn_hash64(out->data + start, out->bytes - start, 0);

		rc = pn_blob_put(out, &hash, sizeof hash);
	}
	if (!rc)
		return PN_OK;
	out->bytes = start;
	return pn_error_set(err, rc, "weights: no memory for %zu parameters", weights->param_count);
}

/* ---- reading ------------------------------------------------------------------------------- */

/* Does the beginning of @have bytes belong to weights of @bytes in all? */
static int check_prefix(struct prefix *prefix, const void *data, size_t have, uint64_t bytes,
			struct pn_error *err)
{
	if (have < sizeof magic || memcmp(data, magic, sizeof magic) != 0)
		return pn_error_set(err, PN_EFORMAT,
				    "%" PRIu64 " bytes that do not begin with PNWEIGHT: no weights",
				    bytes);
	if (have < sizeof *prefix)
		return pn_error_set(err, PN_EFORMAT, "cut short: %zu bytes of a prefix of %zu",
				    have, sizeof *prefix);
	memcpy(prefix, data, sizeof *prefix);
	if (prefix->version != WEIGHTS_VERSION)
		return pn_error_set(err, PN_EVERSION,
				    "weights of version %" PRIu32 ", this program knows %d",
				    prefix->version, WEIGHTS_VERSION);
	uint64_t fixed = params_at(prefix) + sizeof(uint64_t);

	if (fixed > bytes || prefix->param_count != (bytes - fixed) / sizeof(float) ||
	    (bytes - fixed) % sizeof(float))
		return pn_error_set(err, PN_EFORMAT,
				    "%" PRIu64 " bytes, but a head of %" PRIu32
				    " bytes and %" PRIu64 " parameters are declared: cut short, or "
				    "something behind them",
				    bytes, prefix->head_bytes, prefix->param_count);
	return PN_OK;
}

static int check_hash(const unsigned char *data, size_t bytes, struct pn_error *err)
{
	uint64_t stored, found = pn_hash64(data, bytes - sizeof stored, 0);

	memcpy(&stored, data + bytes - sizeof stored, sizeof stored);
	if (stored == found)
		return PN_OK;
	return pn_error_set(err, PN_ECORRUPT,
			    "damaged: the hash of %zu bytes is %016" PRIx64 ", not %016" PRIx64,
			    bytes, found, stored);
}

static int take_params(struct pn_weights *weights, const struct prefix *prefix,
		       const unsigned char *data, struct pn_error *err)
{
	for (size_t i = sizeof *prefix + prefix->head_bytes; i < params_at(prefix); i++)
		if (data[i])
			return pn_error_set(err, PN_EFORMAT,
					    "byte %zu before the parameters is not zero", i);
	weights->param_count = prefix->param_count;
	weights->params = malloc(prefix->param_count * sizeof *weights->params);
	if (!weights->params)
		return pn_error_set(err, PN_ENOMEM, "no memory for %" PRIu64 " parameters",
				    prefix->param_count);
	memcpy(weights->params, data + params_at(prefix),
	       prefix->param_count * sizeof *weights->params);
	return check_params(weights->params, weights->param_count, PN_EFORMAT, err);
}

int pn_weights_decode(struct pn_weights *weights, const void *data, size_t bytes, const char *name,
		      struct pn_error *err)
{
	const unsigned char *p = data;
	struct prefix prefix;

	*weights = (struct pn_weights){ 0 };
	int rc = check_prefix(&prefix, p, bytes, bytes, err);
	if (!rc)
		rc = check_hash(p, bytes, err);
	if (!rc)
		rc = weights_head_take(weights, p + sizeof prefix, prefix.head_bytes, err);
	if (!rc)
		rc = check_network(&weights->spec, prefix.param_count, PN_EFORMAT, err);
	if (!rc)
		rc = take_params(weights, &prefix, p, err);
	if (rc) {
		pn_weights_free(weights);
		pn_error_wrap(err, "%s", name);
	}
	return rc;
}

/* ---- files --------------------------------------------------------------------------------- */

/* Bytes @done .. @count - 1 of a file into @dst; a file that has become shorter is PN_EFORMAT. */
static int read_rest(int fd, unsigned char *dst, size_t done, size_t count, struct pn_error *err)
{
	while (done < count) {
		ssize_t n = pread(fd, dst + done, count - done, (off_t)done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return pn_error_errno(err, errno, "reading at byte %zu", done);
		if (n == 0)
			return pn_error_set(err, PN_EFORMAT, "ends at byte %zu of %zu", done,
					    count);
		done += (size_t)n;
	}
	return PN_OK;
}

/* The prefix is looked at first: of a large file that holds no weights nothing more is read. */
static int read_file(struct pn_blob *blob, int fd, struct pn_error *err)
{
	struct prefix prefix;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return pn_error_errno(err, errno, "asking for its size");
	if (!S_ISREG(st.st_mode))
		return pn_error_set(err, PN_EUNSUPPORTED, "not a regular file");
	size_t bytes = (size_t)st.st_size, have = bytes < sizeof prefix ? bytes : sizeof prefix;
	unsigned char first[sizeof prefix];

	int rc = read_rest(fd, first, 0, have, err);
	if (!rc)
		rc = check_prefix(&prefix, first, have, bytes, err);
	if (rc)
		return rc;
	blob->data = malloc(bytes);
	if (!blob->data)
		return pn_error_set(err, PN_ENOMEM, "no memory for %zu bytes", bytes);
	blob->bytes = bytes;
	return read_rest(fd, blob->data, 0, bytes, err);
}

int pn_weights_read(struct pn_weights *weights, const char *path, struct pn_error *err)
{
	struct pn_blob blob = { 0 };

	*weights = (struct pn_weights){ 0 };
	/* without O_NONBLOCK a pipe would wait for its writer before it could be refused */
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return pn_error_errno(err, errno, "%s", path);
	int rc = read_file(&blob, fd, err);

	close(fd);
	if (rc)
		pn_error_wrap(err, "%s", path);
	else
		rc = pn_weights_decode(weights, blob.data, blob.bytes, path, err);
	pn_blob_finish(&blob);
	return rc;
}

static int write_file(const struct pn_blob *blob, const char *path, struct pn_error *err)
{
	struct model_part part;
	int rc = model_part_open(&part, path, err);

	if (rc)
		return rc;
	if (fwrite(blob->data, 1, blob->bytes, part.file) == blob->bytes)
		return model_part_finish(&part, err);
	int errnum = errno;
	model_part_abandon(&part);
	return pn_error_errno(err, errnum, "%s: writing %zu bytes", path, blob->bytes);
}

int pn_weights_write(const struct pn_weights *weights, const char *path, struct pn_error *err)
{
	struct pn_blob blob = { 0 };
	int rc = pn_weights_encode(weights, &blob, err);

	if (rc)
		pn_error_wrap(err, "%s", path);
	else
		rc = write_file(&blob, path, err);
	pn_blob_finish(&blob);
	return rc;
}
