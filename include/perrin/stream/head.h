/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * perrin/stream/head.h - the message types: one schema each, from which come the encoder, the strict
 * decoder, CSV and NDJSON columns and the documentation (`perrin info --schemas`).
 *
 * A head is a msgpack map. Its first two keys are "type" (text) and "v" (version of the schema); the
 * others are the schema's, in any order. To listen with Python:
 *
 *	head = msgpack.unpackb(head_bytes)
 *	image = numpy.frombuffer(payload, head["dtype"]).reshape(head["ny"], head["nx"])
 *
 * with dtype as NumPy's names without the byte order ("u2", "f4"); payloads are little-endian.
 */
#ifndef PERRIN_STREAM_HEAD_H
#define PERRIN_STREAM_HEAD_H

#include "perrin/base/dtype.h"
#include "perrin/base/status.h"
#include "perrin/stream/message.h"

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define PN_BATCH_MAX 256 /* frames in one message                       */
#define PN_SPOTS_MAX 32  /* static background lattice spots in a head   */
#define PN_REASONS_BYTES 512 /* of an advice's reasons, with the NUL    */

enum pn_field_type {
	PN_FIELD_U64,   /* uint64_t                                                            */
	PN_FIELD_I64,   /* int64_t                                                             */
	PN_FIELD_F64,   /* double; finite, or NaN = "not known" where the field is nullable    */
	PN_FIELD_TEXT,  /* char [capacity]                                                     */
	PN_FIELD_WORD,  /* int, index into words; as text on the wire                          */
	PN_FIELD_DTYPE, /* enum pn_dtype; as NumPy's name ("u2") on the wire                   */
	PN_FIELD_F64S,  /* double [capacity] with a uint64_t count                             */
	PN_FIELD_I64S,  /* int64_t [capacity] with a uint64_t count                            */
};

/** One field of a head. Tables end with a row whose key is NULL. */
struct pn_field {
	const char *key, *unit, *help;
	enum pn_field_type type;
	size_t off;                /* offset of the value in the head's struct               */
	size_t count_off;          /* arrays: offset of their uint64_t count                 */
	size_t capacity;           /* texts: bytes with the NUL; arrays: elements            */
	double min, max;           /* range of numbers; min == max: none                     */
	const char *const *words;  /* NULL-terminated                                        */
	int nullable;              /* F64: NaN allowed, nil on the wire                      */
};

/** A message type. */
struct pn_schema {
	const char *type, *help;
	unsigned version;
	size_t size;               /* sizeof the head's struct                               */
	const struct pn_field *fields;
	/* bytes the payload must have, by the head; errors say why a head contradicts itself */
	int (*payload_bytes)(const void *head, uint64_t *bytes, struct pn_error *err);
};

/* ---- the types ----------------------------------------------------------------------------- */

/** frames: what came from the detector. Payload: dtype [count][ny][nx]. */
struct pn_frames_head {
	uint64_t frame;            /* index of the first frame of the message                */
	uint64_t count;            /* frames in it, 1..PN_BATCH_MAX                          */
	enum pn_dtype dtype;
	uint64_t ny, nx;
	double pixel_pm;           /* nullable                                               */
	double dose_e_per_A2;      /* per frame; nullable                                    */
	double energy_keV;         /* nullable                                               */
	double tilt_deg;           /* nullable                                               */
	int64_t offset_ns[PN_BATCH_MAX]; /* time of each frame after the message's time_ns   */
	uint64_t offset_count;     /* = count                                                */
};

/** crops: one particle on one frame, as recorded or denoised. Payload: dtype [ny][nx]. */
struct pn_crops_head {
	uint64_t frame, particle;
	int state;                 /* pn_track_words                                         */
	double x_px, y_px;         /* centre of mass on the frame, pixel centres at integers */
	int64_t x0_px, y0_px;      /* frame pixel of the crop's first pixel                  */
	double contrast;
	enum pn_dtype dtype;
	uint64_t ny, nx;
	double pixel_pm;           /* nullable                                               */
	double spots_per_A[2 * PN_SPOTS_MAX]; /* gx, gy of static background spots           */
	uint64_t spot_count;       /* numbers in spots_per_A (two per spot)                  */
	int made_by;               /* pn_clean_words                                         */
	uint64_t weights;          /* their record in the stream weights, from 1; 0: none    */
	uint64_t neighbors;        /* frames before and after that went in                   */
	double noise;              /* rms of recorded less denoised; nullable                */
	double snr_db, raw_snr_db; /* by this frame and the one before; nullable             */
};
extern const char *const pn_track_words[]; /* "new", "found" */
extern const char *const pn_clean_words[]; /* "recorded", "network" */
enum { PN_CLEAN_RECORDED, PN_CLEAN_NETWORK };

/** weights: of the denoising network, as training goes on. Payload: perrin/format/weights.h. */
struct pn_weights_head {
	uint64_t version;          /* 1, 2, ...                                              */
	uint64_t steps;            /* of training                                            */
	uint64_t last_frame;       /* newest frame seen                                      */
	double loss, validation;   /* in units of the frames' variance; nullable             */
	double baseline;           /* of a filter, in place of validation; nullable          */
	int levelled;              /* pn_training_words                                      */
	uint64_t bytes;            /* of the payload                                         */
};
extern const char *const pn_training_words[]; /* "falling", "levelled" */

/** crystal: how crystalline one particle is on one frame. No payload. */
struct pn_crystal_head {
	uint64_t frame, particle;
	double x_px, y_px;         /* centre: that of crops, corrected by the lattice        */
	double peak;               /* maximum FFT peak intensity over its local background   */
	int class;                 /* pn_class_words                                         */
	double spacing_pm;         /* of the strongest peak; nullable                        */
	double diameter_nm;        /* nullable: only measured when class is high             */
	double gx_per_A, gy_per_A; /* strongest peak; nullable                               */
	double width_px;           /* its fitted standard deviation; nullable                */
	double threshold;          /* between the two classes, as known at this frame        */
	double peak_mean;          /* moving mean of peak                                    */
	double lattice_x_px, lattice_y_px; /* centre of the lattice area on the frame; nullable */
};
extern const char *const pn_class_words[]; /* "low", "high" */

/** truth: what the twin knows of one particle on one frame. No payload. */
struct pn_truth_head {
	uint64_t frame, particle;
	double x_px, y_px;
	double quaternion[4];      /* w x y z, turns the specimen into the laboratory frame  */
	uint64_t quaternion_count; /* 4                                                      */
	double center_A[3];        /* laboratory, from the field's centre, z along the beam  */
	uint64_t center_count;     /* 3                                                      */
	uint64_t version;          /* of the specimen: names a record of the specimen stream */
	uint64_t atoms;
	double diameter_nm;        /* of the projection                                      */
	double lattice_A, defocus_A;
	double zone_deg[3];        /* smallest angle of the beam to <100>, <110>, <111>      */
	uint64_t zone_count;       /* 3                                                      */
	double tilt_deg;           /* nullable                                               */
};

/** specimen: the atoms of a particle at one version. Payload: f64 [atoms][4], x y z (A) and Z. */
struct pn_specimen_head {
	uint64_t particle, version, atoms;
	double lattice_A;
};

/** tilts: one tilt of a series, its tilt axis along y. Payload: f32 [ny][nx]. */
struct pn_tilts_head {
	uint64_t tilt, revision;
	int state;                 /* pn_tilt_words                                          */
	double phi_deg, theta_deg, psi_deg; /* perrin/tomo/pose.h                            */
	uint64_t first_frame, frames;
	uint64_t ny, nx;
	double pixel_pm;           /* nullable                                               */
	double dose_e_per_A2;      /* of all frames; nullable                                */
	double drift_px;           /* largest shift of a frame from the first; nullable      */
	double gain, readout;      /* of the noise; nullable                                 */
	double background;         /* mean subtracted; nullable                              */
	double axis_deg, shift_x_px, shift_y_px; /* undone by the alignment; nullable        */
	double correlation;        /* of the common line; nullable                           */
};
extern const char *const pn_tilt_words[]; /* "merged", "cleaned", "aligned", "withdrawn" */
enum { PN_TILT_MERGED, PN_TILT_CLEANED, PN_TILT_ALIGNED, PN_TILT_WITHDRAWN };

#define PN_SHELLS_MAX 257 /* of a Fourier shell correlation in a head */

/** poses: how a particle stood on one frame. No payload. */
struct pn_poses_head {
	uint64_t frame, particle;
	uint64_t segment;          /* 1, 2, ...: a new one where the structure has changed   */
	uint64_t revision;         /* 0: the first pose of the frame; a later one replaces it */
	int state;                 /* pn_pose_words                                          */
	double quaternion[4];      /* w x y z, turns the map into the laboratory frame       */
	uint64_t quaternion_count; /* 4                                                      */
	double x_px, y_px;         /* of the map's origin on the frame                       */
	double score, height;      /* correlation with the map; the map's factor in the image */
	double angle_uncertainty_deg, shift_uncertainty_px; /* nullable                      */
	double probability, entropy; /* nullable                                             */
	double runner_up[4];
	uint64_t runner_up_count;  /* 0 or 4                                                 */
	double runner_up_probability; /* nullable                                            */
	int runner_up_is;          /* pn_relation_words                                      */
	double step_deg;           /* rms turn per frame, as estimated; nullable             */
	double rotation_rad2_per_s, translation_A2_per_s; /* diffusion; nullable             */
	uint64_t half;             /* 0, 1: of the map it is matched with and goes into      */
	uint64_t map;              /* references it was matched with; 0: the start map       */
	double weight;             /* in the map; 0: left out                                */
};
extern const char *const pn_pose_words[]; /* "oriented", "uncertain", "beginning" */
extern const char *const pn_relation_words[]; /* "none", "same", "flip", "other" */
enum { PN_POSED_ORIENTED, PN_POSED_UNCERTAIN, PN_POSED_BEGINNING };

/** volumes: a reconstruction as it grows. Payload: f32 [nz][ny][nx]. */
struct pn_volumes_head {
	uint64_t volume;           /* 1, 2, ...                                              */
	int state;                 /* pn_volume_words                                        */
	uint64_t particle, segment; /* of a tumbling particle; 0, 0: a tilt series           */
	uint64_t images, last_image, iterations; /* tilts, or frames                         */
	double misfit, r1, r1_new, held_out; /* nullable                                     */
	uint64_t nz, ny, nx;
	double pixel_pm;           /* nullable                                               */
	double dose_e_per_A2;      /* of the images in it; nullable                          */
	/* of the halves of the images, each with a map of its own: */
	double resolution_A;       /* where the correlation falls below 0.143; nullable      */
	double fsc[PN_SHELLS_MAX]; /* by cycles per longest edge, from 0                     */
	uint64_t fsc_count;        /* 0: no halves                                           */
	double scf, far, empty;    /* coverage: perrin/orient/sampling.h; nullable           */
};
extern const char *const pn_volume_words[]; /* "growing", "final" */
enum { PN_VOLUME_GROWING, PN_VOLUME_FINAL };

#define PN_ATOM_NUMBERS 6 /* of an atom in a payload of atoms: x y z (A), Z, intensity, confidence */

/** atoms: found in a volume. Payload: f64 [atoms][PN_ATOM_NUMBERS]. */
struct pn_atoms_head {
	uint64_t volume;
	int state;                 /* pn_volume_words                                        */
	uint64_t particle, segment; /* as the volume's                                       */
	uint64_t images, atoms, second_pass;
	double strength_min;       /* nullable                                               */
	double moved_pm;           /* rms, since the last volume; nullable                   */
	uint64_t kept;             /* atoms the last volume had too                          */
	double disordered;         /* part of the atoms, by bond order; nullable             */
	double diameter_nm;        /* of the sphere of as many atoms of the bulk; nullable   */
};

/** advice: whether to go on. No payload. */
struct pn_advice_head {
	uint64_t advice;           /* 1, 2, ...                                              */
	uint64_t particle, segment; /* 0, 0: a tilt series                                   */
	int verdict;               /* pn_verdict_words                                       */
	double confidence;         /* 0..1                                                   */
	uint64_t images;           /* tilts, or frames of the segment                        */
	double dose_e_per_A2;      /* that the particle has had; nullable                    */
	double resolution_A, next_resolution_A; /* now, and after next_images more; nullable */
	uint64_t next_images;
	double gain_pm_per_s;      /* of resolution, as predicted; nullable                  */
	double atoms_kept;         /* part of the atoms that the last map had too; nullable  */
	double score_fading;       /* relative change of the score of new images per 1000
				    * e/A^2; nullable                                         */
	double next_theta_deg;     /* tilt that would tell most; nullable                    */
	char reasons[PN_REASONS_BYTES]; /* in words, with the numbers                        */
};
extern const char *const pn_verdict_words[];
enum { PN_VERDICT_CONTINUE, PN_VERDICT_ENOUGH, PN_VERDICT_CHANGED, PN_VERDICT_USELESS };

/** pn_schemas - all types, ended by NULL. */
extern const struct pn_schema *const pn_schemas[];
extern const struct pn_schema pn_frames_schema, pn_crops_schema, pn_crystal_schema,
	pn_truth_schema, pn_specimen_schema, pn_weights_schema, pn_tilts_schema,
	pn_poses_schema, pn_volumes_schema, pn_atoms_schema, pn_advice_schema;

/** pn_schema_find - by the type's name; NULL if there is none. */
const struct pn_schema *pn_schema_find(const char *type);

/**
 * pn_head_encode - write a head as msgpack.
 *
 * @head:  [in] the schema's struct
 * @buf:   [out] @size bytes; @bytes receives how many were used
 *
 * Equal structs give equal bytes. Errors: PN_EARG if a value is out of the schema's range or the
 * head does not fit (bugs of the caller, with field and numbers).
 * Thread: reentrant. Allocates: nothing.
 */
int pn_head_encode(const struct pn_schema *schema, const void *head, void *buf, size_t size,
		   size_t *bytes, struct pn_error *err);

/**
 * pn_head_decode - read a head from msgpack; every byte is checked.
 *
 * @head: [out] the schema's struct, zeroed first
 *
 * Errors, all PN_EFRAME with the key and the numbers: not a map; another type or version; a key
 * missing, unknown or twice; wrong type or range; text too long; bytes left over; truncated.
 * Thread: reentrant. Allocates: nothing that outlives the call.
 */
int pn_head_decode(const struct pn_schema *schema, const void *buf, size_t bytes, void *head,
		   struct pn_error *err);

/** pn_head_type - the schema named in an encoded head, or NULL if it cannot be told. */
const struct pn_schema *pn_head_type(const void *buf, size_t bytes);

/** pn_msg_decode - pn_head_decode of a message, and its payload has the bytes the head tells. */
int pn_msg_decode(const struct pn_schema *schema, const struct pn_msg *msg, void *head,
		  struct pn_error *err);

/** pn_head_json - write the fields of a decoded head as members of the open object of @json. */
struct pn_json;
void pn_head_json(const struct pn_schema *schema, const void *head, struct pn_json *json);

/** pn_schema_doc - one page of text on a message type. */
void pn_schema_doc(FILE *out, const struct pn_schema *schema);

#endif
