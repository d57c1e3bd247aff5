/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernels without a device: block after block, phase after phase, lane after lane. For tests of
 * everything but speed. */
#include "kernels.h"

#include <stdlib.h>

#define SHARED_MAX (96 << 10) /* as device.cu has it */

static const char *const no_memory = "no memory";

#define RUN(id, name, type, call)                                        \
	static void run_##name(const void *args, struct pn_gpu_block at) \
	{                                                                \
		const type *a = args;                                    \
                                                                         \
		call;                                                    \
	}
PN_GPU_KERNEL_ROWS(RUN)

#define ENTER(id, name, type, call) [id] = run_##name,
static void (*const kernels[PN_GPU_KERNELS])(const void *,
					     struct pn_gpu_block) = { PN_GPU_KERNEL_ROWS(ENTER) };

static const char *emulated_alloc(void **memory, size_t bytes)
{
	*memory = aligned_alloc(64, (bytes + 63) / 64 * 64);
	if (!*memory)
		return no_memory;
	memset(*memory, 0, bytes);
	return NULL;
}

static const char *emulated_copy(void *to, const void *from, size_t bytes)
{
	memcpy(to, from, bytes);
	return NULL;
}

static const char *emulated_zero(void *memory, size_t bytes)
{
	memset(memory, 0, bytes);
	return NULL;
}

static const char *emulated_launch(enum pn_gpu_kernel kernel, int blocks_x, int blocks_y,
				   int blocks_z, size_t shared_bytes, const void *args)
{
	int64_t blocks = (int64_t)blocks_x * blocks_y * blocks_z;

	if (shared_bytes > SHARED_MAX)
		return "more shared memory than a block has";
	char *shared = aligned_alloc(64, SHARED_MAX);
	if (!shared)
		return no_memory;
	for (int64_t k = 0; k < blocks; k++) {
		struct pn_gpu_block at = { (int)(k % blocks_x), (int)(k / blocks_x % blocks_y),
					   (int)(k / blocks_x / blocks_y), shared };

		/* as on the device: whatever was there */
		memset(shared, 0xff, shared_bytes);
		kernels[kernel](args, at);
	}
	free(shared);
	return NULL;
}

const struct pn_gpu_engine *pn_gpu_emulated(void)
{
	static const struct pn_gpu_engine engine = {
		.alloc = emulated_alloc,
		.release = free,
		.put = emulated_copy,
		.get = emulated_copy,
		.zero = emulated_zero,
		.launch = emulated_launch,
	};

	return &engine;
}
