/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The kernels on the device. The C headers of Perrin are not for C++, so this file sees args.h
 * only. */
#include "kernels.h"

#include <cuda_runtime.h>

#define SHARED_MAX (96 << 10) /* what every device from 8.0 on gives to a block */

#define BLOCKS_MIN 3 /* at a time on a multiprocessor: up to 168 registers */

#define DEFINE(id, name, type, call)                                                          \
	extern "C" __global__ void __launch_bounds__(PN_GPU_THREADS, BLOCKS_MIN)              \
		pn_gpu_##name(const __grid_constant__ type args)                              \
	{                                                                                     \
		extern __shared__ __align__(16) char shared[];                                \
		const type *a = &args;                                                        \
		struct pn_gpu_block at = { (int)blockIdx.x, (int)blockIdx.y, (int)blockIdx.z, \
					   shared };                                          \
                                                                                              \
		call;                                                                         \
	}
PN_GPU_KERNEL_ROWS(DEFINE)

static const void *kernel_at(enum pn_gpu_kernel kernel)
{
#define CASE(id, name, type, call) \
	case id:                   \
		return (const void *)pn_gpu_##name;

	switch ((int)kernel) {
		PN_GPU_KERNEL_ROWS(CASE)
	}
	return NULL;
}

static const char *text_of(cudaError_t rc)
{
	return rc == cudaSuccess ? NULL : cudaGetErrorString(rc);
}

static const char *device_alloc(void **memory, size_t bytes)
{
	cudaError_t rc = cudaMalloc(memory, bytes);

	if (rc == cudaSuccess)
		rc = cudaMemset(*memory, 0, bytes);
	return text_of(rc);
}

static void device_release(void *memory)
{
	cudaFree(memory);
}

static const char *device_put(void *to, const void *from, size_t bytes)
{
	return text_of(cudaMemcpy(to, from, bytes, cudaMemcpyHostToDevice));
}

static const char *device_get(void *to, const void *from, size_t bytes)
{
	return text_of(cudaMemcpy(to, from, bytes, cudaMemcpyDeviceToHost));
}

static const char *device_zero(void *memory, size_t bytes)
{
	return text_of(cudaMemsetAsync(memory, 0, bytes));
}

static const char *device_launch(enum pn_gpu_kernel kernel, int blocks_x, int blocks_y,
				 int blocks_z, size_t shared_bytes, const void *args)
{
	void *argv[1] = { (void *)args };
	dim3 grid(blocks_x, blocks_y, blocks_z), block(PN_GPU_THREADS);

	return text_of(cudaLaunchKernel(kernel_at(kernel), grid, block, argv, shared_bytes, 0));
}

/* NULL if the present device will do. */
static const char *prepare(void)
{
	int count = 0, device = 0, major = 0;

	if (cudaGetDeviceCount(&count) != cudaSuccess || count < 1) {
		cudaGetLastError();
		return "no CUDA device, or no driver for it";
	}
	cudaError_t rc = cudaGetDevice(&device);
	if (rc == cudaSuccess)
		rc = cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device);
	if (rc == cudaSuccess && major < 8)
		return "the CUDA device is older than compute capability 8.0";
	for (int k = 0; k < 4 && rc == cudaSuccess; k++)
		rc = cudaFuncSetAttribute(kernel_at((enum pn_gpu_kernel)(PN_GPU_CONV_STAGED + k)),
					  cudaFuncAttributeMaxDynamicSharedMemorySize, SHARED_MAX);
	return text_of(rc);
}

const struct pn_gpu_engine *pn_gpu_device(const char **why)
{
	static const struct pn_gpu_engine engine = { device_alloc, device_release, device_put,
						     device_get,   device_zero,    device_launch };

	*why = prepare();
	return *why ? NULL : &engine;
}
