/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "internal.h"

#include <stdlib.h>

struct pn_cuda_learner {
	struct pn_cuda_net *net;
	struct pn_cuda_clips *clips; /* NULL: none yet */
	int asked;                   /* for so many; there are fewer if memory is short */
};

int pn_cuda_learner_create(struct pn_cuda_learner **learner, const struct pn_net_spec *spec,
			   enum pn_cuda_engine engine, struct pn_error *err)
{
	*learner = NULL;
	struct pn_cuda_learner *l = calloc(1, sizeof *l);
	if (!l)
		return pn_error_set(err, PN_ENOMEM, "training on the GPU: no memory");
	int rc = pn_cuda_net_create(&l->net, spec, engine, err);
	if (rc) {
		free(l);
		return rc;
	}
	*learner = l;
	return PN_OK;
}

void pn_cuda_learner_destroy(struct pn_cuda_learner *learner)
{
	if (!learner)
		return;
	pn_cuda_clips_destroy(learner->clips);
	pn_cuda_net_destroy(learner->net);
	free(learner);
}

int pn_cuda_learner_load(void *arg, const float *params, struct pn_error *err)
{
	const struct pn_cuda_learner *learner = arg;

	return pn_cuda_net_load(learner->net, params, 0, 1, err);
}

/* Room for up to @count clips: what is at hand if it fits, else as many as there is memory for. */
static int find_room(struct pn_cuda_learner *l, int side_px, int targets, int count,
		     struct pn_error *err)
{
	const struct pn_cuda_clips *old = l->clips;

	if (old && old->ny == side_px && old->targets == targets &&
	    (old->clips == count || l->asked == count))
		return PN_OK;
	pn_cuda_clips_destroy(l->clips);
	l->clips = NULL;
	l->asked = count;
	int rc = PN_ENOMEM;
	for (; rc == PN_ENOMEM && count >= 1; count /= 2)
		rc = pn_cuda_clips_create(&l->clips, l->net, side_px, side_px, targets, count, 1,
					  err);
	return rc;
}

int pn_cuda_learner_learn(void *arg, int side_px, int targets, int count, const float *images,
			  double slope, double *squares, float *d_params, struct pn_error *err)
{
	struct pn_cuda_learner *learner = arg;
	size_t each = (size_t)(targets + learner->net->spec.frames - 1) * (size_t)side_px *
		      (size_t)side_px;
	int most = count;

	for (int done = 0; done < count;) {
		int left = count - done;
		int rc = find_room(learner, side_px, targets, left < most ? left : most, err);

		if (!rc)
			rc = pn_cuda_clips_learn(learner->clips, images + (size_t)done * each,
						 slope, squares + done, d_params, err);
		if (rc)
			return rc;
		most = learner->clips->clips;
		done += most;
	}
	return PN_OK;
}
