/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "sources.h"

#include "perrin/format/stack.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const struct pn_param pn_frame_known_params[] = {
	{ .name = "pixel_pm",
	  .unit = "pm",
	  .help = "pixel size; 0: as the file says",
	  .type = PN_PARAM_F64,
	  .off = offsetof(struct pn_frame_known, pixel_pm),
	  .max = 1e6 },
	{ .name = "dose_e_per_A2",
	  .unit = "e/A2",
	  .help = "dose of one frame; 0: unknown",
	  .type = PN_PARAM_F64,
	  .off = offsetof(struct pn_frame_known, dose_e_per_A2),
	  .max = 1e9 },
	{ .name = "energy_keV",
	  .unit = "keV",
	  .help = "energy of the beam; 0: unknown",
	  .type = PN_PARAM_F64,
	  .off = offsetof(struct pn_frame_known, energy_keV),
	  .max = 1e4 },
	{ 0 },
};

int pn_frame_reserve(struct pn_frame_buffer *buffer, uint64_t bytes, struct pn_error *err)
{
	if (bytes <= buffer->bytes)
		return PN_OK;
	if (bytes > SIZE_MAX - PN_FRAME_ALIGN)
		return pn_error_set(err, PN_ENOMEM, "a frame of %llu bytes",
				    (unsigned long long)bytes);
	size_t size = ((size_t)bytes + PN_FRAME_ALIGN - 1) / PN_FRAME_ALIGN * PN_FRAME_ALIGN;
	void *pixels = aligned_alloc(PN_FRAME_ALIGN, size);

	if (!pixels)
		return pn_error_set(err, PN_ENOMEM, "a frame of %zu bytes", size);
	free(buffer->pixels);
	buffer->pixels = pixels;
	buffer->bytes = size;
	return PN_OK;
}

int pn_frame_message(struct pn_frame_buffer *buffer, const void *pixels, int64_t time_ns,
		     struct pn_msg *msg, struct pn_error *err)
{
	size_t head_bytes;
	uint64_t payload_bytes;
	int rc = pn_head_encode(&pn_frames_schema, &buffer->values, buffer->head,
				sizeof buffer->head, &head_bytes, err);

	if (rc)
		return rc;
	rc = pn_frames_schema.payload_bytes(&buffer->values, &payload_bytes, err);
	if (rc)
		return rc;
	*msg = (struct pn_msg){
		.time_ns = time_ns,
		.port = PN_PORT_FRAMES,
		.head = buffer->head,
		.head_bytes = (uint32_t)head_bytes,
		.payload = pixels ? pixels : buffer->pixels,
		.payload_bytes = payload_bytes,
	};
	return PN_OK;
}

int pn_frame_of_stack(struct pn_frame_buffer *buffer, struct pn_stack *stack, uint64_t index,
		      const struct pn_frame_known *known, double tilt_deg, uint64_t frame,
		      int64_t time_ns, struct pn_msg *msg, struct pn_error *err)
{
	const struct pn_stack_info *info = pn_stack_info(stack);
	struct pn_frames_head *values = &buffer->values;
	uint64_t bytes;

	if (pn_array_bytes(info->dtype, 2, (const uint64_t[]){ info->ny, info->nx }, &bytes))
		return pn_error_set(err, PN_EFRAME, "frame %llu: %llu x %llu pixels",
				    (unsigned long long)frame, (unsigned long long)info->ny,
				    (unsigned long long)info->nx);
	int rc = pn_frame_reserve(buffer, bytes, err);

	if (rc)
		return rc;
	rc = pn_stack_read(stack, index, buffer->pixels, err);
	if (rc && rc != PN_ENOMEM && err)
		err->code = PN_EFRAME;
	if (rc)
		return rc == PN_ENOMEM ? rc : PN_EFRAME;
	values->frame = frame;
	values->count = 1;
	values->dtype = info->dtype;
	values->ny = info->ny;
	values->nx = info->nx;
	values->pixel_pm = pn_known(known->pixel_pm > 0 ? known->pixel_pm : info->pixel_pm);
	values->dose_e_per_A2 = pn_known(known->dose_e_per_A2);
	values->energy_keV = pn_known(known->energy_keV);
	values->tilt_deg = tilt_deg;
	values->offset_ns[0] = 0;
	values->offset_count = 1;
	rc = pn_frame_message(buffer, NULL, time_ns, msg, err);
	/* a head that is out of its schema's range is this frame's fault, not the source's */
	return rc == PN_EARG ? pn_error_set(err, PN_EFRAME, "frame %llu: its head is out of range",
					    (unsigned long long)frame)
			     : rc;
}

void pn_frame_finish(struct pn_frame_buffer *buffer)
{
	free(buffer->pixels);
	buffer->pixels = NULL;
	buffer->bytes = 0;
}

int64_t pn_frame_time_ns(uint64_t frame, double fps)
{
	uint64_t per_Ms = (uint64_t)llround(fps * 1e6);

	pn_assert(per_Ms > 0);
	return (int64_t)(((unsigned __int128)frame * 1000000000000000u + per_Ms / 2) / per_Ms);
}

double pn_known(double value)
{
	return value > 0 ? value : (double)NAN;
}
