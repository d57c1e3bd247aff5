/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The network's layers as the kernels want them, and the launches that forward.c and backward.c are
 * made of. */
#ifndef PN_CUDA_INTERNAL_H
#define PN_CUDA_INTERNAL_H

#include "args.h"
#include "perrin/cuda/denoise.h"

#define PN_GPU_LEVELS_MAX (PN_NET_BLOCKS_MAX + 4)

/** A packed matrix, and what its chunks see. */
struct pn_gpu_product {
	size_t first; /* of its values among all packed ones */
	int frags, blocks, chunks, groups;
	struct pn_gpu_chunk chunk[PN_GPU_CHUNKS_MAX];
};

struct pn_gpu_layer {
	const struct pn_layer *plan;
	int in_channels, out_channels; /* of all inputs, outputs */
	struct pn_gpu_product forward;
	struct pn_gpu_product backward[PN_GPU_INPUTS_MAX]; /* [input] */
	struct pn_gpu_product
		chained; /* its rows are the outputs of the layer below, in registers */
};

struct pn_cuda_net {
	struct pn_net_spec spec;
	struct pn_net_layout layout;
	const struct pn_gpu_engine *gpu;
	struct pn_gpu_layer layers[PN_NET_LAYERS_MAX];
	/* the same by their place; [level] and [block] from 1 */
	struct pn_gpu_layer *stem[PN_NET_FRAMES_MAX];
	struct pn_gpu_layer *branch[PN_NET_FRAMES_MAX][PN_GPU_LEVELS_MAX];
	struct pn_gpu_layer *project[PN_GPU_LEVELS_MAX], *fuse[PN_GPU_LEVELS_MAX];
	struct pn_gpu_layer *tap[PN_GPU_LEVELS_MAX], *head[2], *readout;
	int chain_project; /* 1: in one pass with the branch's convolution */
	int chain_head;    /* 1: head_kernel does the whole head */
	enum pn_gpu_kernel head_kernel;
	double offset, scale;
	/* on the device */
	float *params, *d_params; /* [param_count] */
	uint16_t *packed;
	int32_t *from; /* which parameter each packed value is */
	int32_t packed_count;
};

/** Maps of a batch, one after another. */
struct pn_gpu_maps {
	void *data;
	int channels;
};

struct pn_gpu_features {
	struct pn_gpu_maps level[PN_GPU_LEVELS_MAX];
	struct pn_gpu_maps projected[PN_GPU_LEVELS_MAX];
};
struct pn_gpu_window {
	struct pn_gpu_maps fused[PN_GPU_LEVELS_MAX], collected, head[2];
};

struct pn_cuda_clips {
	struct pn_cuda_net *net;
	int ny, nx, targets, clips, images, train;
	int branches; /* sets of features that an image or a window has launches for */
	int sets;     /* of features, of one clip */
	struct pn_gpu_maps image, out, d_out; /* float32 */
	struct pn_gpu_features features, d_features;
	struct pn_gpu_window window, d_window;
	float *partial;
	double *squares;
	void *memory;
	size_t bytes, gradients, gradients_end; /* where those of the features are */
	const char *failed;                     /* what the device said first; NULL: nothing */
};

/** What a kernel's z runs over: @count of them, @items in a clip. */
struct pn_gpu_batch {
	int count, items;
};
struct pn_gpu_batch pn_gpu_sets(const struct pn_cuda_clips *clips);
struct pn_gpu_batch pn_gpu_windows(const struct pn_cuda_clips *clips);

/** Maps as a batch of sets of @branch sees them; of windows, that each have one; of windows, as
 * their input @n. */
struct pn_gpu_view pn_gpu_of_sets(const struct pn_cuda_clips *clips, struct pn_gpu_maps maps,
				  int branch);
struct pn_gpu_view pn_gpu_of_windows(const struct pn_cuda_clips *clips, struct pn_gpu_maps maps);
struct pn_gpu_view pn_gpu_of_inputs(const struct pn_cuda_clips *clips, struct pn_gpu_maps maps,
				    int n);
/** Images as the sets of @branch see them, or (@branch = 0) the windows: their own frames. */
struct pn_gpu_view pn_gpu_images_of_sets(const struct pn_cuda_clips *clips, int branch);
struct pn_gpu_view pn_gpu_own_images(const struct pn_cuda_clips *clips);

/** Channels from @first on. */
struct pn_gpu_view pn_gpu_slice(struct pn_gpu_view view, int first);
/** Input @n of the fusion of @block: features or gradients. */
struct pn_gpu_view pn_gpu_fusion_input(const struct pn_cuda_clips *clips,
				       const struct pn_gpu_features *features, int block, int n);

void pn_gpu_run(struct pn_cuda_clips *clips, enum pn_gpu_kernel kernel, int x, int y, int z,
		size_t shared_bytes, const void *args);
/** Fills what depends on the product and the sizes, and runs it. @conv: the views and options */
void pn_gpu_convolve(struct pn_cuda_clips *clips, struct pn_gpu_conv *conv,
		     const struct pn_gpu_product *product, int in_channels,
		     struct pn_gpu_batch batch);

/** All launches of a forward pass, and of a backward pass, of images and gradients in place. */
void pn_gpu_forward(struct pn_cuda_clips *clips);
void pn_gpu_backward(struct pn_cuda_clips *clips);

/** pn_gpu_layers_make - layers and the table of what to pack; *from: caller frees. */
int pn_gpu_layers_make(struct pn_cuda_net *net, int32_t **from, struct pn_error *err);

#endif
