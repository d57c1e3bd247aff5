/* SPDX-License-Identifier: GPL-3.0-or-later */
/* compare.h - the parts of `perrin compare`: models in, tables, trajectory and page out. */
#ifndef PERRIN_TOOLS_COMPARE_H
#define PERRIN_TOOLS_COMPARE_H

#include "common/analysis.h"
#include "perrin/atoms/map.h"
#include "perrin/atoms/series.h"

#define COMPARE_NAME_MAX 64

/** One model of a particle. */
struct compare_model {
	const char *path;
	char name[COMPARE_NAME_MAX]; /* file name without its ending */
	size_t frame;                /* counted from 1 */
	const struct pn_model *model;
};

/** Local and directional correlation of the maps of two successive models. */
struct compare_maps {
	size_t shifts;
	double *shift_A;     /* [shifts] */
	double *along[3];    /* [shifts] mean over <100>, <110>, <111> */
	double all;          /* of the whole maps */
	float *local;        /* [nz][ny][nx] */
	double local_median; /* of voxels that have one */
	size_t nx, ny, nz;
	double voxel_A;
};

/** One particle with its series. Made by compare_load, freed by compare_free. */
struct compare_particle {
	char name[COMPARE_NAME_MAX];
	size_t count;
	struct compare_model *model; /* [count] */
	double *time_s;              /* [count] NaN = not known */
	struct compare_file {
		struct pn_model *models;
		size_t frames;
	} * file; /* [files] what the models are borrowed from */
	size_t files;
	struct pn_series series;
	struct compare_maps *maps; /* [count - 1], NULL without maps */
	uint32_t **track;          /* [count][atoms] the same number for the same atom over time */
};

/** One file that the user named. */
struct compare_source {
	const char *path;
	double time_s; /* NaN = as in the file */
	size_t every;  /* of a file of several models every so many, from the first on */
};

/**
 * compare_load - read the files of one particle, in order; a file of several frames is several
 * models, which then have their own times.
 */
int compare_load(struct compare_particle *particle, const char *name,
		 const struct compare_source *sources, size_t count, struct pn_error *err);

/** compare_build - the series of a loaded particle, and the numbers of its atoms over time. */
int compare_build(struct compare_particle *particle, const struct pn_series_options *options,
		  int threads, struct pn_error *err);
void compare_free(struct compare_particle *particle);

/** compare_label - "2.56 s" or the name of the model; into @buf of @size bytes. */
const char *compare_label(char *buf, size_t size, const struct compare_particle *particle,
			  size_t model);

/**
 * compare_maps_load - correlate the maps of successive models. @paths: [count] MRC files of one
 * shape that lie on each other as they are; local correlation in cubes of @width voxels.
 */
int compare_maps_load(struct compare_particle *particle, const char *const *paths, size_t count,
		      size_t width, int threads, struct pn_error *err);

/** What became of an atom over its whole life; a column of the trajectory and of the 3D views. */
enum compare_history {
	COMPARE_STAYS,
	COMPARE_CHANGES,  /* the next model has another species there */
	COMPARE_MOVES,    /* farther than a pair */
	COMPARE_GOES,     /* not in the next model */
	COMPARE_NEW,      /* not in the model before */
	COMPARE_NEW_GOES, /* neither before nor after */
	COMPARE_HISTORIES
};
const char *compare_history_name(int history);

/** compare_history - of each atom of a model. @history: [out] [atoms] */
void compare_history(double *history, const struct compare_particle *particle, size_t model);

/** Files in @dir; each says what it could not write. */
int compare_write_tables(const char *dir, const struct compare_particle *particle,
			 struct pn_error *err);
int compare_write_trajectory(const char *dir, const struct compare_particle *particle,
			     struct pn_error *err);
int compare_write_maps(const char *dir, const struct compare_particle *particle,
		       struct pn_error *err);
int compare_write_page(const char *dir, const struct compare_particle *particle, const char *footer,
		       struct pn_error *err);
void compare_json(struct pn_json *json, const struct compare_particle *particle);

/** Several particles at the same stages. */
struct compare_group {
	size_t count;
	struct compare_particle *particle; /* [count] */
};

/** compare_group_read - a CSV of lines "particle,time_s,model"; paths are relative to it. */
int compare_group_read(struct compare_group *group, const char *path, struct pn_error *err);
void compare_group_free(struct compare_group *group);

/** compare_write_group - mean and s.d. over the particles at each stage, as table and page. */
int compare_write_group(const char *dir, const struct compare_group *group, const char *footer,
			struct pn_error *err);
void compare_group_json(struct pn_json *json, const struct compare_group *group);

/** compare_path - "<dir>/<name>" into @buf; PN_EARG if it is too long. */
int compare_path(char *buf, size_t size, struct pn_error *err, const char *dir, const char *fmt,
		 ...) __attribute__((format(printf, 5, 6)));

#endif
