/* SPDX-License-Identifier: GPL-3.0-or-later */
/* denoise_checkpoint.c - a training to go on with later, and the weights it has got. */
#include "denoise.h"

#include "perrin/stream/hash.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHECKPOINT_MAX_BYTES (UINT64_C(1) << 32)

static const char made_by[8] = "PNDNTRN1";

/* What must be the same for the next step to be the same. */
struct identity {
	uint64_t images, runs, first_frame, last_frame;
	int64_t ny_min, nx_min, ny_max, nx_max;
	int64_t arith, validate, validate_every;
};

static struct identity identity_of(const struct pn_training *t)
{
	return (struct identity){
		.images = t->info.count,
		.runs = t->info.runs,
		.first_frame = t->info.first_frame,
		.last_frame = t->info.last_frame,
		.ny_min = t->info.ny_min,
		.nx_min = t->info.nx_min,
		.ny_max = t->info.ny_max,
		.nx_max = t->info.nx_max,
		.arith = t->arith,
		.validate = t->flags->validate,
		.validate_every = t->flags->validate_every,
	};
}

/* ---- writing ------------------------------------------------------------------------------- */

static int encode(const struct pn_training *t, struct pn_blob *out, struct pn_error *err)
{
	struct identity identity = identity_of(t);
	int rc = pn_blob_put_part(out, made_by, sizeof made_by);

	if (!rc)
		rc = pn_blob_put_part(out, &identity, sizeof identity);
	if (!rc)
		rc = pn_blob_put_part(out, t->at, sizeof *t->at);
	if (!rc)
		rc = pn_trainer_save(t->trainer, out, err);
	if (!rc) {
		uint64_t hash = pn_hash64(out->data, out->bytes, 0);

		rc = pn_blob_put(out, &hash, sizeof hash);
	}
	return rc ? pn_error_set(err, rc, "no memory for a checkpoint") : PN_OK;
}

static int write_bytes(int fd, const struct pn_blob *blob)
{
	for (size_t done = 0; done < blob->bytes;) {
		ssize_t n = write(fd, blob->data + done, blob->bytes - done);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? errno : ENOSPC;
		done += (size_t)n;
	}
	return fsync(fd) ? errno : 0;
}

int pn_training_save(const struct pn_training *training, const char *path, struct pn_error *err)
{
	struct pn_blob blob = { 0 };
	char *part = NULL;
	int rc = encode(training, &blob, err), errnum = 0;

	if (!rc && asprintf(&part, "%s.part", path) < 0) {
		part = NULL;
		rc = pn_error_set(err, PN_ENOMEM, "no memory");
	}
	if (!rc) {
		int fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);

		errnum = fd < 0 ? errno : write_bytes(fd, &blob);
		if (fd >= 0 && close(fd) && !errnum)
			errnum = errno;
		if (!errnum && rename(part, path))
			errnum = errno;
		if (errnum && fd >= 0)
			unlink(part);
	}
	if (errnum)
		rc = pn_error_errno(err, errnum, "%s: checkpoint of %zu bytes", path, blob.bytes);
	free(part);
	pn_blob_finish(&blob);
	return rc;
}

/* ---- reading ------------------------------------------------------------------------------- */

static int read_file(struct pn_blob *blob, const char *path, struct pn_error *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc = PN_OK;
	unsigned char buffer[65536];
	struct stat st;
	ssize_t n = 0;

	if (fd < 0 || fstat(fd, &st)) {
		int errnum = errno;

		if (fd >= 0)
			close(fd);
		return pn_error_errno(err, errnum, "%s", path);
	}
	if (!S_ISREG(st.st_mode) || (uint64_t)st.st_size > CHECKPOINT_MAX_BYTES)
		rc = pn_error_set(err, PN_EFORMAT, "%s: no checkpoint of a training", path);
	while (!rc && (n = read(fd, buffer, sizeof buffer)) > 0)
		if (pn_blob_put(blob, buffer, (size_t)n))
			rc = pn_error_set(err, PN_ENOMEM, "%s: no memory", path);
	if (!rc && n < 0)
		rc = pn_error_errno(err, errno, "%s", path);
	close(fd);
	return rc;
}

static int check_hash(struct pn_blob_view *view, const char *path, struct pn_error *err)
{
	uint64_t hash;

	/* the first part with its length */
	if (view->bytes < 2 * sizeof made_by + sizeof hash ||
	    memcmp(view->data + sizeof(uint64_t), made_by, sizeof made_by))
		return pn_error_set(err, PN_EFORMAT, "%s: no checkpoint of a training", path);
	view->bytes -= sizeof hash;
	memcpy(&hash, view->data + view->bytes, sizeof hash);
	if (hash != pn_hash64(view->data, view->bytes, 0))
		return pn_error_set(err, PN_ECORRUPT,
				    "%s: the hash of its %zu bytes does not match: damaged, or cut "
				    "short",
				    path, view->bytes);
	return PN_OK;
}

static int same(const struct pn_training *t, const struct identity *saved, struct pn_error *err)
{
	struct identity now = identity_of(t);

	if (memcmp(&now, saved, sizeof now) == 0)
		return PN_OK;
	if (now.arith != saved->arith)
		return pn_error_set(err, PN_EVERSION, "trained in %s, here %s",
				    pn_arith_words[saved->arith == PN_ARITH_BF16 ? PN_ARITH_BF16
										 : PN_ARITH_F32],
				    pn_arith_words[now.arith]);
	if (now.validate != saved->validate || now.validate_every != saved->validate_every)
		return pn_error_set(err, PN_EVERSION,
				    "validated on %" PRId64 " windows every %" PRId64
				    " steps, here %" PRId64 " every %" PRId64,
				    saved->validate, saved->validate_every, now.validate,
				    now.validate_every);
	return pn_error_set(err, PN_EVERSION,
			    "trained on %" PRIu64 " images of up to %" PRId64 "x%" PRId64
			    " px in %" PRIu64 " runs, here %" PRIu64 " of %" PRId64 "x%" PRId64
			    " in %" PRIu64,
			    saved->images, saved->ny_max, saved->nx_max, saved->runs, now.images,
			    now.ny_max, now.nx_max, now.runs);
}

int pn_training_resume(struct pn_training *t, const char *path, struct pn_error *err)
{
	struct pn_blob blob = { 0 };
	size_t bytes = 0, identity_bytes = 0, at_bytes = 0;
	struct identity identity;
	int rc = read_file(&blob, path, err);
	struct pn_blob_view view = { blob.data, blob.bytes };

	if (!rc)
		rc = check_hash(&view, path, err);
	if (rc) {
		pn_blob_finish(&blob);
		return rc;
	}
	const void *maker = pn_blob_get_part(&view, &bytes);
	const void *saved = maker ? pn_blob_get_part(&view, &identity_bytes) : NULL;
	const void *at = saved ? pn_blob_get_part(&view, &at_bytes) : NULL;
	if (!at || identity_bytes != sizeof identity || at_bytes != sizeof *t->at) {
		rc = pn_error_set(err, PN_EVERSION, "made by another version");
	} else {
		memcpy(&identity, saved, sizeof identity);
		rc = same(t, &identity, err);
	}
	if (!rc)
		rc = pn_trainer_load(t->trainer, view.data, view.bytes, err);
	if (!rc)
		memcpy(t->at, at, sizeof *t->at);
	pn_blob_finish(&blob);
	return rc ? pn_error_wrap(err, "%s", path) : PN_OK;
}

/* ---- weights ------------------------------------------------------------------------------- */

/* The end of a long path says more than its beginning; what is no plain text becomes '?'. */
static void put_source(char out[PN_WEIGHTS_TEXT_MAX], const char *source)
{
	size_t length = strlen(source);
	const char *from =
		length < PN_WEIGHTS_TEXT_MAX ? source : source + length - (PN_WEIGHTS_TEXT_MAX - 1);

	snprintf(out, PN_WEIGHTS_TEXT_MAX, "%s", from);
	for (unsigned char *c = (unsigned char *)out; *c; c++)
		if (*c < 0x20 || *c > 0x7e)
			*c = '?';
}

int pn_training_weights(const struct pn_training *t, const char *path, struct pn_error *err)
{
	struct pn_trained trained = pn_trainer_result(t->trainer);
	struct pn_weights *w = calloc(1, sizeof *w);

	if (!w)
		return pn_error_set(err, PN_ENOMEM, "no memory");
	w->spec = t->spec;
	w->settings = t->settings;
	w->offset = trained.offset;
	w->scale = trained.scale;
	w->steps = t->at->steps;
	w->frames = t->info.count;
	w->first_frame = t->info.first_frame;
	w->last_frame = t->info.last_frame;
	put_source(w->source, t->info.source);
	snprintf(w->perrin, sizeof w->perrin, "%s", PERRIN_VERSION);
	w->loss = pn_training_loss(t);
	w->validation = t->at->validation;
	w->curve_count = t->at->looks;
	memcpy(w->curve_step, t->at->look_step, sizeof w->curve_step);
	memcpy(w->curve_loss, t->at->look_loss, sizeof w->curve_loss);
	w->param_count = trained.layout->param_count;
	w->params = (float *)trained.params; /* borrowed, only read */
	int rc = pn_weights_write(w, path, err);
	free(w);
	return rc;
}
