/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Tables of parameters as train.c wants them: checked, and saved so that a difference can be told.
 */
#ifndef PN_TRAIN_PARAMS_H
#define PN_TRAIN_PARAMS_H

#include "perrin/base/blob.h"
#include "perrin/base/param.h"

/** pn_rows_check - PN_EARG with name and range if a value is not what the table allows. */
int pn_rows_check(const struct pn_param *table, const void *base, struct pn_error *err);

/** pn_rows_put - append all values as one part, "name value" in lines. PN_OK or PN_ENOMEM. */
int pn_rows_put(const struct pn_param *table, const void *base, struct pn_blob *out);

/** pn_rows_same - take that part; PN_EVERSION with the first value that is another. */
int pn_rows_same(const struct pn_param *table, const void *base, struct pn_blob_view *view,
		 struct pn_error *err);

#endif
