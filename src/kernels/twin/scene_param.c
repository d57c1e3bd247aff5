/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "perrin/twin/multislice.h"
#include "perrin/twin/scene.h"

static const char *const dtype_words[] = { "u8", "u16", "f32", NULL };
static const char *const start_words[] = { "random", "100", "110", "111", NULL };
static const char *const shape_words[] = { "sphere", "cuboctahedron", "truncated_octahedron",
					   "octahedron", NULL };
static const char *const model_words[] = { "kirkland", "lobato", NULL };

/* clang-format off */
#define OFF(field) offsetof(struct pn_scene_params, field)
#define NUMBER(name_, field, unit_, def_, min_, max_, help_)                                    \
	{ .name = name_, .unit = unit_, .help = help_, .type = PN_PARAM_F64, .off = OFF(field), \
	  .def = def_, .min = min_, .max = max_ }
#define WHOLE(name_, field, unit_, def_, min_, max_, help_)                                     \
	{ .name = name_, .unit = unit_, .help = help_, .type = PN_PARAM_I64, .off = OFF(field), \
	  .def = def_, .min = min_, .max = max_ }
#define CHOICE(name_, field, words, def_, help_)                                                \
	{ .name = name_, .help = help_, .type = PN_PARAM_ENUM, .off = OFF(field), .def = def_,  \
	  .choices = words }
#define TEXT(name_, field, def_, help_)                                                         \
	{ .name = name_, .help = help_, .type = PN_PARAM_TEXT, .off = OFF(field), .def_text = def_ }

const struct pn_param pn_scene_param_table[] = {
	WHOLE("seed", seed, NULL, 1, 0, 0, "names all random numbers of the scene"),
	WHOLE("frames", frames, NULL, 0, 0, 1e12, "length of the movie; 0: endless"),
	NUMBER("fps", fps, "1/s", 400, 1e-3, 1e6, "frames per second"),
	WHOLE("ny", ny, "px", 256, 32, 8192, "rows of a frame"),
	WHOLE("nx", nx, "px", 256, 32, 8192, "columns of a frame"),
	NUMBER("pixel_pm", pixel_pm, "pm", 35.8, 5, 500, "pixel at the specimen"),
	NUMBER("energy_keV", energy_keV, "keV", 300, 20, 1500, "energy of the beam"),
	CHOICE("dtype", dtype, dtype_words, PN_SCENE_U16, "type of the pixels"),
	{ .name = "noise", .help = "off: mean values instead of counted electrons",
	  .type = PN_PARAM_BOOL, .off = OFF(noise), .def = 1 },
	WHOLE("particles", particles, NULL, 1, 0, 1000, "number of particles"),
	CHOICE("shape", specimen.shape, shape_words, PN_SHAPE_TRUNCATED_OCTAHEDRON,
	       "outline of the particle"),
	TEXT("element", specimen.element, "Pt", "symbol of the metal"),
	TEXT("shell_element", specimen.shell_element, "", "symbol of the metal of the shell"),
	TEXT("alloy_element", specimen.alloy_element, "", "symbol of the metal mixed in at random"),
	NUMBER("diameter_nm", specimen.diameter_nm, "nm", 2.4, 0.1, 30,
	       "diameter of the sphere of equal volume"),
	NUMBER("lattice_A", specimen.lattice_A, "A", 0, 0, 20,
	       "edge of the cubic cell; 0: bulk value of the element"),
	NUMBER("shell_nm", specimen.shell_nm, "nm", 0, 0, 30, "depth of the shell"),
	NUMBER("alloy_fraction", specimen.alloy_fraction, NULL, 0, 0, 1,
	       "part of the core's atoms that are alloy_element"),
	NUMBER("vacancy_fraction", specimen.vacancy_fraction, NULL, 0, 0, 1,
	       "part of the sites that are empty"),
	NUMBER("static_A", specimen.thermal_A, "A", 0, 0, 2,
	       "rms displacement of atoms along each axis, for good"),
	NUMBER("phonon_A", phonon_A, "A", 0.07, 0, 1,
	       "rms displacement of atoms along each axis, new in each frame"),
	NUMBER("etch_per_s", etch_per_s, "1/s", 0, 0, 1e6, "atoms dissolved per second"),
	NUMBER("rotation_rad2_per_s", motion.rotation_rad2_per_s, "rad2/s", 0.1, 0, 1e6,
	       "rotational diffusion constant"),
	NUMBER("translation_A2_per_s", motion.translation_A2_per_s, "A2/s", 20, 0, 1e9,
	       "translational diffusion constant"),
	NUMBER("confine_A", motion.confine_A, "A", 5, 0, 1e6,
	       "rms wandering in x and in y; 0: free"),
	NUMBER("z_confine_A", motion.z_confine_A, "A", 5, 0, 1e6,
	       "rms wandering along the beam; 0: free"),
	CHOICE("start", start, start_words, PN_SCENE_START_RANDOM, "orientation in frame 0"),
	NUMBER("water_nm", water_nm, "nm", 10, 0, 1000, "thickness of the liquid"),
	NUMBER("water_contrast", water_contrast, NULL, 1, 0, 10,
	       "of the liquid, 1: frozen, 0: averaged out within the exposure"),
	WHOLE("graphene_layers", graphene_layers, NULL, 2, 0, 100, "sheets of the windows"),
	NUMBER("graphene_angle_deg", graphene_angle_deg, "deg", 10, -360, 360,
	       "zigzag direction of the first sheet, from x to y"),
	NUMBER("graphene_twist_deg", graphene_twist_deg, "deg", 17, -360, 360,
	       "of each further sheet against the one before"),
	NUMBER("slice_A", slice_A, "A", 2, 0.1, 20, "slice of the multislice calculation"),
	WHOLE("patch_px", patch_px, "px", 0, 0, 4096,
	      "field that a particle is calculated in; 0: by its size"),
	CHOICE("scattering", scattering, model_words, PN_MULTISLICE_KIRKLAND,
	       "tables of scattering factors"),
	NUMBER("defocus_A", defocus_A, "A", 56, -1e5, 1e5, "C1, positive: overfocus"),
	NUMBER("cs_um", cs_um, "um", -11, -1e4, 1e4, "C3"),
	NUMBER("c5_mm", c5_mm, "mm", 0, -1e3, 1e3, "C5"),
	NUMBER("astigmatism_A", astigmatism_A, "A", 0, 0, 1e4, "twofold astigmatism A1"),
	NUMBER("astigmatism_deg", astigmatism_deg, "deg", 0, -360, 360, "direction of A1"),
	NUMBER("focal_spread_A", focal_spread_A, "A", 10, 0, 1e3, "rms focal spread"),
	NUMBER("convergence_mrad", convergence_mrad, "mrad", 0.2, 0, 50,
	       "semi-angle of the illumination"),
	NUMBER("vibration_A", vibration_A, "A", 0.25, 0, 100,
	       "rms wandering of the image within the exposure"),
	NUMBER("aperture_mrad", aperture_mrad, "mrad", 0, 0, 500, "objective aperture; 0: none"),
	NUMBER("dose_e_per_A2", dose_e_per_A2, "e/A2", 15, 0, 1e7, "dose of a frame"),
	NUMBER("gain", gain, "1/e", 16, 1e-6, 1e6, "counts per electron"),
	NUMBER("readout_e", readout_e, "e", 0, 0, 1e4, "rms readout noise"),
	NUMBER("offset", offset, NULL, 0, -1e6, 1e6, "counts without beam"),
	NUMBER("saturation", saturation, NULL, 0, 0, 1e9, "highest value; 0: what the type holds"),
	NUMBER("dqe0", dqe0, NULL, 0.8, 0.01, 1, "detective quantum efficiency at frequency 0"),
	NUMBER("mtf_gauss", mtf_gauss, NULL, 0.9, 0, 1, "weight of the Gaussian part of the MTF"),
	NUMBER("mtf_gauss_width", mtf_gauss_width, NULL, 1, 0, 100,
	       "width of that part in Nyquist frequencies; 0: MTF = 1"),
	NUMBER("mtf_lorentz_width", mtf_lorentz_width, NULL, 1, 0, 100,
	       "width of the other part in Nyquist frequencies"),
	/* 0.8: neighbours correlate by 0.27, as measured in movies of gold in such cells (0.26) */
	NUMBER("noise_blur", noise_blur, NULL, 0.8, 0, 1,
	       "noise transfer = MTF to this power; 0: counting camera, 1: integrating"),
	{ 0 },
};
/* clang-format on */
