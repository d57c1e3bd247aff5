/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/twin/scene.h"

#include "perrin/math/fft.h"
#include "perrin/math/rotation.h"
#include "perrin/twin/camera.h"
#include "perrin/twin/etch.h"
#include "perrin/twin/lens.h"
#include "perrin/twin/liquid.h"
#include "perrin/twin/multislice.h"
#include "phase.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#define PATCH_MARGIN_A  8.0 /* around the particle: spread of the wave and of thermal motion */
#define TAPER_PX        6   /* soft edge of a patch                                          */
#define JOBS_PER_WORKER 8   /* frames prepared at a time, so that threads wait seldom         */

/* What draws random numbers; each has a key of its own, frames and particles are its streams. */
enum purpose {
	FOR_SPECIMEN,
	FOR_ETCHING,
	FOR_PLACES,
	FOR_MOTION,
	FOR_PHONONS,
	FOR_LIQUID,
	FOR_CAMERA,
};

/* A particle at the frame that the scene has come to. */
struct particle {
	struct pn_specimen *initial, *now;
	struct pn_etch *etch;
	struct pn_placement pose; /* relative to home */
	struct pn_rng rng;
	double home_A[3];
	uint32_t version;
};

/* All that a thread needs to image a frame, taken from the particles in order of frames. */
struct job {
	uint64_t frame;
	struct pn_scene_truth *truth; /* [particles]            */
	size_t *count;                /* [particles] atoms      */
	double (*lab)[3];             /* [particles][atoms_max] */
	uint8_t *atomic_number;       /* [particles][atoms_max] */
};

struct worker {
	struct pn_multislice_scratch *multislice;
	struct pn_camera_scratch *camera;
	float complex *patch; /* [patch][patch] */
	float complex *field; /* [ny][nx]       */
	float *image;         /* [ny][nx]       */
	struct pn_error err;
};

struct pn_scene {
	struct pn_scene_params p;
	double pixel_A;
	size_t patch, atoms_max;
	uint64_t at; /* frame that the particles are at */
	struct particle *particles;
	float *taper; /* [patch] */
	struct pn_multislice *multislice;
	struct pn_liquid *liquid;
	struct pn_lens *lens;
	struct pn_camera *camera;
	int worker_count, job_count;
	struct worker *workers;
	struct job *jobs;          /* [job_count] */
	struct pn_specimen *asked; /* last answer of pn_scene_specimen */
};

static uint64_t key_of(const struct pn_scene *scene, enum purpose purpose)
{
	return (uint64_t)scene->p.seed + (uint64_t)(purpose + 1) * UINT64_C(0x9E3779B97F4A7C15);
}

enum pn_dtype pn_scene_pixel_type(const struct pn_scene *scene)
{
	static const enum pn_dtype types[] = { PN_U8, PN_U16, PN_F32 };

	return types[scene->p.dtype];
}

void pn_scene_zone_angles(const struct pn_placement *pose, double angle_deg[3])
{
	double r[3][3], b[3], degree = 180 / M_PI;

	/* the beam, (0, 0, 1) of the lab, in the crystal: the last row of R; then by size */
	pn_placement_rotation(pose, r);
	for (int i = 0; i < 3; i++)
		b[i] = fabs(r[2][i]);
	double sum = b[0] + b[1] + b[2];
	double high = fmax(b[0], fmax(b[1], b[2])), low = fmin(b[0], fmin(b[1], b[2]));

	angle_deg[0] = degree * acos(fmin(1, high));
	angle_deg[1] = degree * acos(fmin(1, (sum - low) / sqrt(2)));
	angle_deg[2] = degree * acos(fmin(1, sum / sqrt(3)));
}

static void start_pose(struct pn_placement *pose, int start, struct pn_rng *rng)
{
	/* rows: axes of the lab in the crystal */
	static const double r110[3][3] = { { 0, 0, 1 },
					   { M_SQRT1_2, -M_SQRT1_2, 0 },
					   { M_SQRT1_2, M_SQRT1_2, 0 } };
	static const double third = 0.57735026918962576, sixth = 0.40824829046386302;
	const double r111[3][3] = { { M_SQRT1_2, -M_SQRT1_2, 0 },
				    { sixth, sixth, -2 * sixth },
				    { third, third, third } };

	pn_placement_identity(pose);
	if (start == PN_SCENE_START_RANDOM)
		pn_placement_random(pose, rng);
	else if (start == PN_SCENE_START_110)
		pn_quaternion_from_matrix(pose->quaternion, r110);
	else if (start == PN_SCENE_START_111)
		pn_quaternion_from_matrix(pose->quaternion, r111);
}

/* Back to frame 0. */
static int rewind_particles(struct pn_scene *scene, struct pn_error *err)
{
	for (int64_t i = 0; i < scene->p.particles; i++) {
		struct particle *particle = &scene->particles[i];
		uint64_t seed = key_of(scene, FOR_ETCHING) + (uint64_t)i;
		int rc;

		pn_specimen_destroy(particle->now);
		pn_etch_destroy(particle->etch);
		particle->now = NULL;
		particle->etch = NULL;
		rc = pn_specimen_copy(&particle->now, particle->initial, err);
		if (!rc)
			rc = pn_etch_create(&particle->etch, particle->initial, 0,
					    scene->p.etch_per_s, seed, err);
		if (rc)
			return rc;
		particle->version = 0;
		pn_rng_init(&particle->rng, key_of(scene, FOR_MOTION), (uint64_t)i);
		start_pose(&particle->pose, scene->p.start, &particle->rng);
	}
	scene->at = 0;
	return PN_OK;
}

static int go_to(struct pn_scene *scene, uint64_t frame, struct pn_error *err)
{
	double dt = 1 / scene->p.fps;

	if (frame < scene->at) {
		int rc = rewind_particles(scene, err);

		if (rc)
			return rc;
	}
	for (; scene->at < frame; scene->at++) {
		for (int64_t i = 0; i < scene->p.particles; i++) {
			struct particle *particle = &scene->particles[i];

			pn_brownian_step(&particle->pose, &scene->p.motion, dt, &particle->rng);
			particle->version +=
				(uint32_t)pn_etch_advance(particle->etch, particle->now, dt);
		}
	}
	return PN_OK;
}

/* One particle sits in the middle; several are placed at random, without overlap if there is room.
 */
static void place_particles(struct pn_scene *scene, double size_A)
{
	const struct pn_scene_params *p = &scene->p;
	double wide = fmax(0, p->nx * scene->pixel_A - size_A);
	double high = fmax(0, p->ny * scene->pixel_A - size_A);
	struct pn_rng rng;

	pn_rng_init(&rng, key_of(scene, FOR_PLACES), 0);
	for (int64_t i = 0; i < p->particles && p->particles > 1; i++) {
		double *home = scene->particles[i].home_A;
		int crowded = 1;

		for (int attempt = 0; attempt < 200 && crowded; attempt++) {
			home[0] = wide * (pn_rng_uniform(&rng) - 0.5);
			home[1] = high * (pn_rng_uniform(&rng) - 0.5);
			crowded = 0;
			for (int64_t j = 0; j < i; j++)
				crowded |= hypot(home[0] - scene->particles[j].home_A[0],
						 home[1] - scene->particles[j].home_A[1]) < size_A;
		}
	}
}

static size_t patch_for(double size_A, double pixel_A)
{
	static const size_t sizes[] = { 64,  80,  96,  128, 144, 160, 192, 240,
					256, 288, 320, 384, 480, 512, 640, 768 };

	for (size_t i = 0; i < PN_COUNT(sizes); i++)
		if (sizes[i] * pixel_A >= size_A)
			return sizes[i];
	return 1024;
}

static int make_particles(struct pn_scene *scene, uint8_t *elements, struct pn_error *err)
{
	const struct pn_scene_params *p = &scene->p;
	double radius = 0;
	int used = 0, rc = PN_OK;

	scene->particles = calloc((size_t)p->particles + 1, sizeof *scene->particles);
	if (!scene->particles)
		return pn_error_set(err, PN_ENOMEM, "scene: no memory for particles");
	for (int64_t i = 0; i < p->particles && !rc; i++) {
		struct particle *particle = &scene->particles[i];

		rc = pn_specimen_create(&particle->initial, &p->specimen,
					key_of(scene, FOR_SPECIMEN) + (uint64_t)i, err);
		for (size_t a = 0; !rc && a < particle->initial->count; a++) {
			const double *r = particle->initial->position_A[a];
			uint8_t z = particle->initial->atomic_number[a];

			radius = fmax(radius, sqrt(r[0] * r[0] + r[1] * r[1] + r[2] * r[2]));
			if (!memchr(elements, z, (size_t)used))
				elements[used++] = z;
		}
		if (!rc && particle->initial->count > scene->atoms_max)
			scene->atoms_max = particle->initial->count;
	}
	if (rc)
		return rc;
	scene->patch = p->patch_px ? (size_t)p->patch_px
				   : patch_for(2 * (radius + PATCH_MARGIN_A), scene->pixel_A);
	place_particles(scene, 2 * radius + PATCH_MARGIN_A);
	return rewind_particles(scene, err);
}

static int make_optics(struct pn_scene *scene, const uint8_t *elements, struct pn_error *err)
{
	const struct pn_scene_params *p = &scene->p;
	size_t ny = (size_t)p->ny, nx = (size_t)p->nx;
	struct pn_multislice_params multislice = {
		.ny = scene->patch,
		.nx = scene->patch,
		.pixel_A = scene->pixel_A,
		.energy_keV = p->energy_keV,
		.slice_A = p->slice_A,
		.model = (enum pn_multislice_model)p->scattering,
	};
	struct pn_liquid_params liquid = {
		.ny = ny,
		.nx = nx,
		.pixel_A = scene->pixel_A,
		.energy_keV = p->energy_keV,
		.water_nm = p->water_nm,
		.water_contrast = p->water_contrast,
		.graphene_layers = (int)p->graphene_layers,
		.graphene_angle_deg = p->graphene_angle_deg,
		.graphene_twist_deg = p->graphene_twist_deg,
		.seed = key_of(scene, FOR_LIQUID),
	};
	struct pn_lens_params lens = {
		.ny = ny,
		.nx = nx,
		.pixel_A = scene->pixel_A,
		.energy_keV = p->energy_keV,
		.defocus_A = p->defocus_A,
		.cs_um = p->cs_um,
		.c5_mm = p->c5_mm,
		.astigmatism_A = p->astigmatism_A,
		.astigmatism_deg = p->astigmatism_deg,
		.focal_spread_A = p->focal_spread_A,
		.convergence_mrad = p->convergence_mrad,
		.aperture_mrad = p->aperture_mrad,
	};
	struct pn_camera_params camera = {
		.ny = ny,
		.nx = nx,
		.pixel_A = scene->pixel_A,
		.dose_e_per_A2 = p->dose_e_per_A2,
		.vibration_A = p->vibration_A,
		.dqe0 = p->dqe0,
		.mtf_gauss = p->mtf_gauss,
		.mtf_gauss_width = p->mtf_gauss_width,
		.mtf_lorentz_width = p->mtf_lorentz_width,
		.noise_blur = p->noise_blur,
		.gain = p->gain,
		.readout_e = p->readout_e,
		.offset = p->offset,
		.saturation = p->saturation,
		.noiseless = !p->noise,
		.dtype = pn_scene_pixel_type(scene),
	};
	int rc = PN_OK;

	memcpy(multislice.elements, elements, sizeof multislice.elements);
	if (elements[0])
		rc = pn_multislice_plan(&scene->multislice, &multislice, err);
	if (!rc)
		rc = pn_liquid_plan(&scene->liquid, &liquid, err);
	if (!rc)
		rc = pn_lens_plan(&scene->lens, &lens, err);
	if (!rc)
		rc = pn_camera_plan(&scene->camera, &camera, err);
	return rc;
}

static int make_job(struct pn_scene *scene, struct job *job)
{
	size_t particles = (size_t)scene->p.particles + 1, atoms = particles * scene->atoms_max + 1;

	job->truth = calloc(particles, sizeof *job->truth);
	job->count = calloc(particles, sizeof *job->count);
	job->lab = calloc(atoms, sizeof *job->lab);
	job->atomic_number = calloc(atoms, sizeof *job->atomic_number);
	return job->truth && job->count && job->lab && job->atomic_number;
}

static int make_workers(struct pn_scene *scene, struct pn_error *err)
{
	size_t pixels = (size_t)scene->p.ny * (size_t)scene->p.nx;
	int count = omp_get_max_threads(), rc = PN_OK;

	scene->taper = calloc(scene->patch + 1, sizeof *scene->taper);
	scene->workers = calloc((size_t)count, sizeof *scene->workers);
	scene->jobs = calloc((size_t)count * JOBS_PER_WORKER, sizeof *scene->jobs);
	if (!scene->taper || !scene->workers || !scene->jobs)
		return pn_error_set(err, PN_ENOMEM, "scene: no memory for %d threads", count);
	scene->worker_count = count;
	scene->job_count = count * JOBS_PER_WORKER;
	for (int i = 0; i < scene->job_count; i++)
		if (!make_job(scene, &scene->jobs[i]))
			return pn_error_set(err, PN_ENOMEM, "scene: no memory for %d frames",
					    scene->job_count);
	for (size_t i = 0; i < scene->patch; i++) {
		double edge = (double)(i < scene->patch - 1 - i ? i : scene->patch - 1 - i);

		scene->taper[i] = edge < TAPER_PX
					  ? (float)(0.5 - 0.5 * cos(M_PI * (edge + 0.5) / TAPER_PX))
					  : 1;
	}
	for (int i = 0; i < count && !rc; i++) {
		struct worker *w = &scene->workers[i];

		w->patch = pn_fft_alloc(scene->patch * scene->patch * sizeof *w->patch);
		w->field = pn_fft_alloc(pixels * sizeof *w->field);
		w->image = pn_fft_alloc(pixels * sizeof *w->image);
		if (!w->patch || !w->field || !w->image)
			return pn_error_set(err, PN_ENOMEM, "scene: no memory for %d threads",
					    count);
		if (scene->multislice)
			rc = pn_multislice_scratch_create(&w->multislice, scene->multislice,
							  scene->atoms_max, err);
		if (!rc)
			rc = pn_camera_scratch_create(&w->camera, scene->camera, err);
	}
	return rc;
}

/* Tables are checked where texts are read; a struct filled by a program is checked here. */
static int check_params(const struct pn_scene_params *p, struct pn_error *err)
{
	for (const struct pn_param *row = pn_scene_param_table; row->name; row++) {
		const char *at = (const char *)p + row->off;
		double value = row->type == PN_PARAM_F64   ? *(const double *)at
			       : row->type == PN_PARAM_I64 ? (double)*(const int64_t *)at
							   : row->min;

		if (row->min != row->max && !(value >= row->min && value <= row->max))
			return pn_error_set(err, PN_EARG, "scene: %s = %g: must be %g..%g",
					    row->name, value, row->min, row->max);
	}
	if (p->patch_px && p->patch_px < 16)
		return pn_error_set(err, PN_EARG, "scene: patch_px = %ld: must be 0 or 16..4096",
				    (long)p->patch_px);
	if (p->dtype < PN_SCENE_U8 || p->dtype > PN_SCENE_F32)
		return pn_error_set(err, PN_EARG, "scene: dtype = %d", p->dtype);
	return PN_OK;
}

int pn_scene_create(struct pn_scene **out, const struct pn_scene_params *params,
		    struct pn_error *err)
{
	uint8_t elements[PN_MULTISLICE_ELEMENTS_MAX] = { 0 };
	struct pn_scene *scene;
	int rc = check_params(params, err);

	*out = NULL;
	if (rc)
		return rc;
	scene = calloc(1, sizeof *scene);
	if (!scene)
		return pn_error_set(err, PN_ENOMEM, "scene: no memory");
	scene->p = *params;
	scene->pixel_A = params->pixel_pm / 100;
	rc = make_particles(scene, elements, err);
	if (!rc)
		rc = make_optics(scene, elements, err);
	if (!rc)
		rc = make_workers(scene, err);
	if (rc) {
		pn_scene_destroy(scene);
		return rc;
	}
	*out = scene;
	return PN_OK;
}

void pn_scene_destroy(struct pn_scene *scene)
{
	if (!scene)
		return;
	for (int i = 0; i < scene->worker_count; i++) {
		struct worker *w = &scene->workers[i];

		pn_multislice_scratch_destroy(w->multislice);
		pn_camera_scratch_destroy(w->camera);
		pn_fft_free(w->patch);
		pn_fft_free(w->field);
		pn_fft_free(w->image);
	}
	for (int i = 0; i < scene->job_count; i++) {
		free(scene->jobs[i].truth);
		free(scene->jobs[i].count);
		free(scene->jobs[i].lab);
		free(scene->jobs[i].atomic_number);
	}
	for (int64_t i = 0; scene->particles && i < scene->p.particles; i++) {
		pn_specimen_destroy(scene->particles[i].initial);
		pn_specimen_destroy(scene->particles[i].now);
		pn_etch_destroy(scene->particles[i].etch);
	}
	pn_specimen_destroy(scene->asked);
	pn_multislice_destroy(scene->multislice);
	pn_liquid_destroy(scene->liquid);
	pn_lens_destroy(scene->lens);
	pn_camera_destroy(scene->camera);
	free(scene->taper);
	free(scene->workers);
	free(scene->jobs);
	free(scene->particles);
	free(scene);
}

/* Atoms and truth of the frame that the particles are at. */
static void fill_job(const struct pn_scene *scene, struct job *job)
{
	job->frame = scene->at;
	for (int64_t i = 0; i < scene->p.particles; i++) {
		const struct particle *particle = &scene->particles[i];
		const struct pn_specimen *spec = particle->now;
		struct pn_scene_truth *truth = &job->truth[i];
		double(*lab)[3] = job->lab + (size_t)i * scene->atoms_max;
		double r[3][3], sum[2] = { 0, 0 };

		*truth = (struct pn_scene_truth){ .frame = scene->at,
						  .time_s = (double)scene->at / scene->p.fps,
						  .particle = (uint32_t)i,
						  .specimen_version = particle->version,
						  .atoms = (uint32_t)spec->count,
						  .pose = particle->pose,
						  .lattice_A = spec->lattice_A };
		for (int k = 0; k < 3; k++)
			truth->pose.center_A[k] += particle->home_A[k];
		truth->defocus_A = scene->p.defocus_A - truth->pose.center_A[2];
		pn_scene_zone_angles(&truth->pose, truth->beam_zone_angle_deg);
		pn_placement_rotation(&truth->pose, r);
		for (size_t a = 0; a < spec->count; a++) {
			const double *s = spec->position_A[a];

			for (int k = 0; k < 3; k++)
				lab[a][k] = r[k][0] * s[0] + r[k][1] * s[1] + r[k][2] * s[2] +
					    truth->pose.center_A[k];
			sum[0] += lab[a][0];
			sum[1] += lab[a][1];
		}
		if (spec->count) {
			truth->x_px = sum[0] / ((double)spec->count * scene->pixel_A);
			truth->y_px = sum[1] / ((double)spec->count * scene->pixel_A);
		} else {
			truth->x_px = truth->pose.center_A[0] / scene->pixel_A;
			truth->y_px = truth->pose.center_A[1] / scene->pixel_A;
		}
		truth->x_px += (double)(scene->p.nx / 2);
		truth->y_px += (double)(scene->p.ny / 2);
		job->count[i] = spec->count;
		memcpy(job->atomic_number + (size_t)i * scene->atoms_max, spec->atomic_number,
		       spec->count);
	}
}

/* field <- field (1 + taper (patch - 1)), the patch's middle at pixel (y, x) */
static void put_patch(const struct pn_scene *scene, const float complex *patch, int64_t y,
		      int64_t x, float complex *field)
{
	int64_t n = (int64_t)scene->patch, ny = scene->p.ny, nx = scene->p.nx;

	y -= n / 2;
	x -= n / 2;
	int64_t first = x < 0 ? -x : 0, end = x + n > nx ? nx - x : n;

	for (int64_t j = y < 0 ? -y : 0; j < n && y + j < ny; j++) {
		const float complex *src = patch + j * n;
		float complex *dst = field + (y + j) * nx + x;

		for (int64_t i = first; i < end; i++) {
			float weight = scene->taper[j] * scene->taper[i];

			dst[i] = pn_phase_mul(dst[i], 1 + weight * (src[i] - 1));
		}
	}
}

static double silhouette_nm(struct job *job, const struct pn_scene *scene, int64_t particle)
{
	static const double identity[3][3] = { { 1, 0, 0 }, { 0, 1, 0 }, { 0, 0, 1 } };
	struct pn_specimen view = { .count = job->count[particle],
				    .position_A = job->lab + (size_t)particle * scene->atoms_max,
				    .lattice_A = job->truth[particle].lattice_A };

	return pn_specimen_projected_diameter_A(&view, identity) / 10;
}

/* The wave of one particle, multiplied into the field. */
static int add_particle(const struct pn_scene *scene, struct worker *w, struct job *job, int64_t i)
{
	double(*lab)[3] = job->lab + (size_t)i * scene->atoms_max;
	struct pn_multislice_atoms atoms = {
		.position_A = lab,
		.atomic_number = job->atomic_number + (size_t)i * scene->atoms_max,
		.count = job->count[i],
	};
	const double *center = job->truth[i].pose.center_A;
	double limit = 2.0 * (double)(scene->p.nx + scene->p.ny + (int64_t)scene->patch);
	double x = rint(center[0] / scene->pixel_A), y = rint(center[1] / scene->pixel_A);
	struct pn_rng rng;
	int rc;

	/* a free particle may have left the field long ago */
	if (!(fabs(x) < limit) || !(fabs(y) < limit) || !atoms.count)
		return PN_OK;
	pn_rng_init(&rng, key_of(scene, FOR_PHONONS),
		    job->frame * (uint64_t)scene->p.particles + (uint64_t)i);
	for (size_t a = 0; a < atoms.count; a++) {
		lab[a][0] -= x * scene->pixel_A;
		lab[a][1] -= y * scene->pixel_A;
		for (int k = 0; k < 3 && scene->p.phonon_A > 0; k++)
			lab[a][k] += scene->p.phonon_A * pn_rng_gauss(&rng);
	}
	rc = pn_multislice_execute(scene->multislice, w->multislice, &atoms, w->patch, &w->err);
	if (!rc)
		put_patch(scene, w->patch, scene->p.ny / 2 + (int64_t)y,
			  scene->p.nx / 2 + (int64_t)x, w->field);
	return rc;
}

static int image_job(const struct pn_scene *scene, struct worker *w, struct job *job, void *pixels,
		     struct pn_scene_truth *truth)
{
	pn_liquid_wave(scene->liquid, job->frame, w->field);
	for (int64_t i = 0; i < scene->p.particles; i++) {
		if (truth) {
			job->truth[i].diameter_nm = silhouette_nm(job, scene, i);
			truth[i] = job->truth[i];
		}
		int rc = add_particle(scene, w, job, i);

		if (rc)
			return rc;
	}
	pn_lens_execute(scene->lens, w->field, w->image);
	pn_camera_execute(scene->camera, w->camera, w->image, key_of(scene, FOR_CAMERA), job->frame,
			  pixels);
	return PN_OK;
}

int pn_scene_render(struct pn_scene *scene, uint64_t first, size_t count, void *pixels,
		    struct pn_scene_truth *truth, struct pn_error *err)
{
	size_t particles = (size_t)scene->p.particles;
	size_t bytes = pn_dtype_bytes(pn_scene_pixel_type(scene)) * (size_t)scene->p.ny *
		       (size_t)scene->p.nx;
	int threads = omp_get_max_threads();

	if (scene->p.frames &&
	    (first >= (uint64_t)scene->p.frames || count > (uint64_t)scene->p.frames - first))
		return pn_error_set(err, PN_EEND, "scene: frame %llu of %lld",
				    (unsigned long long)(first + count - 1),
				    (long long)scene->p.frames);
	threads = threads < scene->worker_count ? threads : scene->worker_count;
	for (size_t done = 0, batch; done < count; done += batch) {
		int rc = PN_OK;

		batch = count - done;
		if (batch > (size_t)scene->job_count)
			batch = (size_t)scene->job_count;
		if (batch < (size_t)threads)
			threads = (int)batch;
		for (size_t i = 0; i < batch; i++) {
			rc = go_to(scene, first + done + i, err);
			if (rc)
				return rc;
			fill_job(scene, &scene->jobs[i]);
		}
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1) reduction(min : rc)
		for (size_t i = 0; i < batch; i++) {
			struct worker *worker = &scene->workers[omp_get_thread_num()];
			int failed = image_job(scene, worker, &scene->jobs[i],
					       (char *)pixels + (done + i) * bytes,
					       truth ? truth + (done + i) * particles : NULL);

			rc = failed < rc ? failed : rc;
		}
		for (int i = 0; i < threads && rc; i++)
			if (scene->workers[i].err.code)
				return pn_error_set(err, scene->workers[i].err.code, "scene: %s",
						    scene->workers[i].err.text);
	}
	return PN_OK;
}

int pn_scene_frame(struct pn_scene *scene, uint64_t frame, void *pixels,
		   struct pn_scene_truth *truth, struct pn_error *err)
{
	return pn_scene_render(scene, frame, 1, pixels, truth, err);
}

const struct pn_specimen *pn_scene_specimen(struct pn_scene *scene, uint32_t particle,
					    uint32_t version)
{
	struct pn_specimen *spec = NULL;
	struct pn_etch *etch = NULL;

	if (particle >= (uint64_t)scene->p.particles ||
	    version > scene->particles[particle].initial->count)
		return NULL;
	/* at one atom per second, the order of removal is that of the scene */
	if (pn_specimen_copy(&spec, scene->particles[particle].initial, NULL) == PN_OK &&
	    pn_etch_create(&etch, spec, 0, 1, key_of(scene, FOR_ETCHING) + particle, NULL) ==
		    PN_OK) {
		pn_etch_advance(etch, spec, version);
		pn_specimen_destroy(scene->asked);
		scene->asked = spec;
	} else {
		pn_specimen_destroy(spec);
		spec = NULL;
	}
	pn_etch_destroy(etch);
	return spec;
}
