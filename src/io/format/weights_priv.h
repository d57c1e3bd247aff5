/* SPDX-License-Identifier: GPL-3.0-or-later */
/* weights_priv.h - the head of a network's weights; used by weights.c and weights_head.c only. */
#ifndef PERRIN_FORMAT_WEIGHTS_PRIV_H
#define PERRIN_FORMAT_WEIGHTS_PRIV_H

#include "perrin/format/weights.h"

#define WEIGHTS_VERSION  1
#define WEIGHTS_HEAD_MAX 32768 /* bytes: two full arrays of the curve are 18 kB */

/** weights_head_put - all but the parameters as msgpack, into WEIGHTS_HEAD_MAX bytes. PN_EARG. */
int weights_head_put(const struct pn_weights *weights, char *buf, size_t *bytes,
		     struct pn_error *err);

/** weights_head_take - all but the parameters, which become NULL and 0. PN_EFORMAT, PN_ENOMEM. */
int weights_head_take(struct pn_weights *weights, const void *buf, size_t bytes,
		      struct pn_error *err);

#endif
