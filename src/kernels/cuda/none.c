/* SPDX-License-Identifier: GPL-3.0-or-later */
/* Stands in for device.cu where Perrin is built without CUDA. */
#include "args.h"

const struct pn_gpu_engine *pn_gpu_device(const char **why)
{
	*why = "perrin was built without CUDA (PERRIN_CUDA)";
	return NULL;
}
