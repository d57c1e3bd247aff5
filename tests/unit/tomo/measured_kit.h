/* SPDX-License-Identifier: GPL-3.0-or-later */
/* measured_kit.h - the tilt series of the shared data, in the geometry of perrin/tomo/pose.h. */
#ifndef PERRIN_TESTS_TOMO_MEASURED_KIT_H
#define PERRIN_TESTS_TOMO_MEASURED_KIT_H

#include "perrin/format/stack.h"
#include "perrin/tomo/pose.h"
#include "testkit.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

struct kit_series {
	struct pn_box box;
	struct pn_projections projections;
	float *image;
	struct pn_pose *pose;
};

/* [projection][x][y] of @folder, with its angles.csv; 0 if the data are not here. */
static inline int kit_series_load(struct kit_series *s, const char *folder, const char *name)
{
	const char *path = testkit_data(testkit_path(folder, name)),
		   *angles = testkit_data(testkit_path(folder, "angles.csv"));
	struct pn_stack *stack;

	if (!path || !angles)
		return 0;
	assert_int_equal(pn_stack_open(&stack, path, NULL), PN_OK);
	size_t count = pn_stack_info(stack)->count, nx = pn_stack_info(stack)->ny,
	       ny = pn_stack_info(stack)->nx;
	float *turned = malloc(ny * nx * sizeof *turned);

	assert_int_equal(pn_stack_info(stack)->dtype, PN_F32);
	s->image = malloc(count * ny * nx * sizeof *s->image);
	s->pose = malloc(count * sizeof *s->pose);
	for (size_t k = 0; k < count; k++) {
		assert_int_equal(pn_stack_read(stack, k, turned, NULL), PN_OK);
		for (size_t i = 0; i < ny * nx; i++)
			s->image[k * ny * nx + i] = turned[i % nx * ny + i / nx];
	}
	pn_stack_close(stack);
	free(turned);
	char *text = testkit_read(angles, &(size_t){ 0 }), *line = strchr(text, '\n');

	for (size_t k = 0; k < count; k++) {
		double phi, theta, psi;

		assert_non_null(line);
		assert_int_equal(sscanf(line + 1, "%lf,%lf,%lf", &phi, &theta, &psi), 3);
		pn_pose_euler(&s->pose[k], phi, theta, psi);
		line = strchr(line + 1, '\n');
	}
	free(text);
	s->box = (struct pn_box){ .nz = nx, .ny = ny, .nx = nx };
	s->projections = (struct pn_projections){
		.count = count, .ny = ny, .nx = nx, .image = s->image, .pose = s->pose
	};
	return 1;
}

static inline void kit_series_free(struct kit_series *s)
{
	free(s->image);
	free(s->pose);
}

/* The truth volume: the file says [x][y][z] in Fortran order, so its bytes are [z][y][x]. */
static inline float *kit_truth(size_t voxels)
{
	const char *path = testkit_data("sim_mg_sample64/truth_volume.npy");
	size_t bytes;

	assert_non_null(path);
	char *file = testkit_read(path, &bytes);
	float *truth = malloc(voxels * sizeof *truth);

	assert_true(bytes > voxels * sizeof *truth);
	assert_non_null(strstr(file + 10, "'fortran_order': True"));
	memcpy(truth, file + bytes - voxels * sizeof *truth, voxels * sizeof *truth);
	free(file);
	return truth;
}

/* ||u - truth|| / ||truth|| */
static inline double kit_l2(const float *u, const float *truth, size_t voxels)
{
	double difference = 0, sum = 0;

	for (size_t i = 0; i < voxels; i++) {
		difference += pow((double)u[i] - truth[i], 2);
		sum += pow(truth[i], 2);
	}
	return sqrt(difference / sum);
}

/* Sanitizers reserve the address space for themselves, and do not return when it is used up. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KIT_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define KIT_SANITIZED 1
#endif
#endif
#ifndef KIT_SANITIZED
#define KIT_SANITIZED 0
#endif

/* The most memory this process may ask for, over what it has; returns what was allowed before. */
static inline rlim_t kit_limit_memory(rlim_t more)
{
	struct rlimit limit;
	size_t pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	assert_non_null(f);
	assert_int_equal(fscanf(f, "%zu", &pages), 1);
	fclose(f);
	assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
	rlim_t before = limit.rlim_cur;

	limit.rlim_cur = pages * 4096 + more;
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
	return before;
}

static inline void kit_allow_memory(rlim_t before)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_AS, &limit), 0);
	limit.rlim_cur = before;
	assert_int_equal(setrlimit(RLIMIT_AS, &limit), 0);
}

#endif
