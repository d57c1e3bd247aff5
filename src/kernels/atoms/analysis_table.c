/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The names, units and meanings of what pn_analyze finds. */
#include "perrin/atoms/analysis.h"

#include "perrin/atoms/region.h"

static const char *order_name(int order_class)
{
	static const char *const names[PN_ORDER_CLASSES] = {
		[PN_ORDER_NONE] = "none",
		[PN_ORDER_SURFACE] = "surface",
		[PN_ORDER_ICOSAHEDRAL] = "icosahedral",
		[PN_ORDER_FCC] = "fcc",
		[PN_ORDER_HCP] = "hcp",
		[PN_ORDER_DISORDERED] = "disordered",
	};

	return order_class >= 0 && order_class < PN_ORDER_CLASSES ? names[order_class] : NULL;
}

#define REAL(text, u, b)                                                    \
	{                                                                   \
		.name = text, .unit = u, .brief = b, .kind = PN_COLUMN_REAL \
	}
#define WHOLE(text, b)                                                        \
	{                                                                     \
		.name = text, .unit = "", .brief = b, .kind = PN_COLUMN_WHOLE \
	}
#define FLAG(text, b)                                                        \
	{                                                                    \
		.name = text, .unit = "", .brief = b, .kind = PN_COLUMN_FLAG \
	}
#define CLASS(text, b, f, n)                                                               \
	{                                                                                  \
		.name = text, .unit = "", .brief = b, .kind = PN_COLUMN_CLASS, .label = f, \
		.labels = n                                                                \
	}

/* clang-format off */
const struct pn_column pn_analysis_columns[PN_COL_FIXED] = {
	[PN_COL_CN] = WHOLE("cn", "coordination number: neighbours within the cut-off"),
	[PN_COL_CSP] = REAL("csp", "A2", "centro-symmetry of the first shell, 6 smallest pair sums"),
	[PN_COL_CSP12] = REAL("csp12", "A2", "centro-symmetry of the 12 nearest atoms"),
	[PN_COL_Q4] = REAL("q4", "", "bond order q4 of the atom's own bonds"),
	[PN_COL_Q6] = REAL("q6", "", "bond order q6 of the atom's own bonds"),
	[PN_COL_W4] = REAL("w4", "", "w4, normalised"),
	[PN_COL_W6] = REAL("w6", "", "w6, normalised"),
	[PN_COL_W4_RAW] = REAL("w4_raw", "", "w4 as in paper 004, equation 10"),
	[PN_COL_W6_RAW] = REAL("w6_raw", "", "w6 as in paper 004, equation 10"),
	[PN_COL_Q4_BAR] = REAL("Q4", "", "Q4, averaged over the neighbours and the atom"),
	[PN_COL_Q6_BAR] = REAL("Q6", "", "Q6, averaged over the neighbours and the atom"),
	[PN_COL_Q4_NOSELF] = REAL("Q4_noself", "", "Q4, averaged over the neighbours alone"),
	[PN_COL_Q6_NOSELF] = REAL("Q6_noself", "", "Q6, averaged over the neighbours alone"),
	[PN_COL_ORDER] = REAL("order", "", "sqrt(Q4^2 + Q6^2) over that of fcc; 0.5 and more is ordered"),
	[PN_COL_S6_BONDS] = WHOLE("s6_bonds", "bonds with s6 above 0.8 (--s6-min)"),
	[PN_COL_CRYSTALLINE] = FLAG("crystalline", "1 = more than half of the bonds are such"),
	[PN_COL_ORDER_CLASS] = CLASS("order_class", "surface, icosahedral, fcc, hcp or disordered",
				     order_name, PN_ORDER_CLASSES),
	[PN_COL_GCN] = REAL("gcn", "", "generalised coordination number, sum of CN / 12"),
	[PN_COL_GCN_STRAINED] = REAL("gcn_strained", "", "gcn / (1 + strain)"),
	[PN_COL_ASGCN] = REAL("asgcn", "", "gcn_strained with ligand neighbours weighted"),
	[PN_COL_MASGCN] = REAL("masgcn", "", "asgcn with only those ligands weighted that lie below the surface"),
	[PN_COL_LN_ACTIVITY] = REAL("ln_activity", "", "ln(j / j_Pt(111)) of active surface atoms, "
				    "from masgcn if there are ligands, else gcn"),
	[PN_COL_DEPTH] = REAL("depth_A", "A", "distance to the surface mesh"),
	[PN_COL_DEPTH_ATOM] = REAL("depth_atom_A", "A", "distance to the nearest surface atom"),
	[PN_COL_ON_MESH] = FLAG("on_mesh", "1 = corner of the surface mesh"),
	[PN_COL_SURFACE] = FLAG("surface", "1 = surface atom by the rule in force (--surface)"),
	[PN_COL_MEAN_CURVATURE] = REAL("mean_curvature", "1/A", "mean of the two principal "
				       "curvatures of the mesh; convex is positive"),
	[PN_COL_GAUSSIAN_CURVATURE] = REAL("gaussian_curvature", "1/A2",
					   "product of the two principal curvatures"),
	[PN_COL_CURVATURE_SMOOTH] = REAL("curvature_smooth", "1/A",
					 "mean curvature averaged over the surface within about a"),
	[PN_COL_FACET] = CLASS("facet", "facet by coordination and centro-symmetry",
			       pn_facet_name, PN_FACET_KINDS),
	[PN_COL_FACET_NORMAL] = CLASS("facet_normal", "facet by the averaged surface normal",
				      pn_facet_name, PN_FACET_KINDS),
	[PN_COL_FACET_ANGLE] = REAL("facet_angle_deg", "deg", "angle of that normal to the facet's"),
	[PN_COL_REGION] = CLASS("region", "which of the 8 {111} and 6 {100} regions of the surface",
				pn_region_name, PN_REGIONS),
	[PN_COL_SHELL] = WHOLE("shell", "1 = surface, 2 = surface without shell 1, ... by the probe"),
	[PN_COL_SHELL_CN] = WHOLE("shell_cn", "the same by coordination below that of the bulk"),
	[PN_COL_ON_LATTICE] = FLAG("on_lattice", "1 = on a site of the fcc lattice"),
	[PN_COL_DISPLACEMENT] = REAL("displacement_A", "A", "distance from its site of the lattice "
				     "of one constant"),
	[PN_COL_A_LOCAL] = REAL("a_local_A", "A", "lattice constant of the atom and its neighbours"),
	[PN_COL_STRAIN] = REAL("strain", "", "a_local / reference - 1"),
	[PN_COL_VOLUME_STRAIN] = REAL("volume_strain", "", "relative change of the local volume"),
	[PN_COL_STRAIN_XX] = REAL("strain_xx", "", "strain tensor in crystal axes"),
	[PN_COL_STRAIN_YY] = REAL("strain_yy", "", "strain tensor in crystal axes"),
	[PN_COL_STRAIN_ZZ] = REAL("strain_zz", "", "strain tensor in crystal axes"),
	[PN_COL_STRAIN_XY] = REAL("strain_xy", "", "strain tensor in crystal axes"),
	[PN_COL_STRAIN_YZ] = REAL("strain_yz", "", "strain tensor in crystal axes"),
	[PN_COL_STRAIN_ZX] = REAL("strain_zx", "", "strain tensor in crystal axes"),
	[PN_COL_RADIAL_STRAIN] = REAL("radial_strain", "", "strain along the radius"),
	[PN_COL_RADIUS] = REAL("radius_A", "A", "distance from the mean of all positions"),
	[PN_COL_BOND] = REAL("bond_A", "A", "mean distance to the neighbours"),
	[PN_COL_DUPLICATE] = FLAG("duplicate", "1 = another atom is nearer than 0.4 of the first peak"),
	[PN_COL_HETEROGENEOUS] = FLAG("heterogeneous", "1 = neighbours of two species or more, within "
				      "shell m (--sro-shell)"),
	[PN_COL_DISCRETE] = FLAG("discrete", "1 = 12 neighbours, at most one of its own kind"),
};

#define FIGURE(field, u, b) { #field, u, b, offsetof(struct pn_figures, field) }

const struct pn_figure pn_analysis_figures[] = {
	FIGURE(atoms, "", "number of atoms"),
	FIGURE(cutoff_A, "A", "neighbours are closer than this"),
	FIGURE(alpha_A, "A", "radius of the probe of the surface mesh"),
	FIGURE(reference_A, "A", "lattice constant that counts as without strain"),
	FIGURE(first_peak_A, "A", "first peak of g(r)"),
	FIGURE(first_minimum_A, "A", "first minimum of g(r)"),
	FIGURE(second_peak_A, "A", "second peak of g(r)"),
	FIGURE(second_minimum_A, "A", "second minimum of g(r)"),
	FIGURE(first_peak_mean_A, "A", "centre of the Gaussian fitted to the first peak"),
	FIGURE(first_peak_mean_sd_A, "A", "its standard error"),
	FIGURE(first_peak_sigma_A, "A", "its width"),
	FIGURE(duplicates, "", "pairs of atoms nearer than 0.4 of the first peak"),
	FIGURE(cn_mean, "", "mean coordination number"),
	FIGURE(bond_mean_A, "A", "mean distance of neighbours"),
	FIGURE(bond_surface_mean_A, "A", "mean distance of surface atoms to their neighbours"),
	FIGURE(surface_atoms_mesh, "", "atoms on the surface mesh"),
	FIGURE(surface_atoms_cn, "", "atoms with fewer neighbours than in the bulk"),
	FIGURE(area_A2, "A2", "area of the surface mesh"),
	FIGURE(volume_A3, "A3", "volume inside the surface mesh"),
	FIGURE(specific_area_per_A, "1/A", "area / volume"),
	FIGURE(sphericity, "", "pi^(1/3) (6 V)^(2/3) / area; 1 = sphere"),
	FIGURE(hull_volume_A3, "A3", "volume of the convex hull"),
	FIGURE(hull_area_A2, "A2", "area of the convex hull"),
	FIGURE(diameter_A, "A", "of the sphere with the volume of the convex hull"),
	FIGURE(area_111_A2, "A2", "area of the mesh that faces {111}"),
	FIGURE(area_100_A2, "A2", "area of the mesh that faces {100}"),
	FIGURE(area_110_A2, "A2", "area of the mesh that faces {110}"),
	FIGURE(area_other_A2, "A2", "area of the mesh more than 10 degrees off these"),
	FIGURE(lattice_atoms, "", "atoms on the fcc lattice"),
	FIGURE(a_A, "A", "lattice constant"),
	FIGURE(a_sd_A, "A", "its standard deviation"),
	FIGURE(a_x_A, "A", "lattice constant along x of three"),
	FIGURE(a_y_A, "A", "lattice constant along y of three"),
	FIGURE(a_z_A, "A", "lattice constant along z of three"),
	FIGURE(rms_one_A, "A", "rms distance from the sites, one constant"),
	FIGURE(rms_three_A, "A", "rms distance from the sites, three constants"),
	FIGURE(rms_affine_A, "A", "rms distance from the sites, full affine matrix"),
	FIGURE(strain_mean, "", "mean local strain"),
	FIGURE(strain_sd, "", "standard deviation of the local strain"),
	FIGURE(radial_strain_mean, "", "mean radial strain"),
	FIGURE(radial_strain_sd, "", "standard deviation of the radial strain"),
	FIGURE(q4_mean, "", "mean q4"),
	FIGURE(q6_mean, "", "mean q6"),
	FIGURE(Q4_mean, "", "mean Q4, the atom itself included"),
	FIGURE(Q6_mean, "", "mean Q6, the atom itself included"),
	FIGURE(crystalline_atoms, "", "atoms with more than half of their bonds crystalline"),
	FIGURE(disordered_atoms, "", "the others"),
	FIGURE(disordered_fraction, "", "disordered atoms / atoms"),
	FIGURE(ordered_atoms, "", "atoms with order 0.5 and more"),
	FIGURE(icosahedral_atoms, "", "atoms in the centre of an icosahedron"),
	FIGURE(fcc_atoms, "", "crystalline atoms below the surface nearer to fcc"),
	FIGURE(hcp_atoms, "", "crystalline atoms below the surface nearer to hcp"),
	FIGURE(gcn_mean, "", "mean generalised coordination number"),
	FIGURE(gcn_surface_mean, "", "the same of surface atoms"),
	FIGURE(active_atoms, "", "surface atoms of the active element"),
	FIGURE(ln_activity_of_mean, "", "ln of the mean of j / j_Pt(111) over them"),
	FIGURE(ln_activity_mean, "", "mean of ln(j / j_Pt(111)) over them"),
	FIGURE(shells, "", "shells, peeled by the probe"),
	FIGURE(shells_cn, "", "shells, peeled by coordination"),
	FIGURE(heterogeneous_atoms, "", "atoms with neighbours of two species or more"),
	FIGURE(discrete_atoms, "", "atoms with 12 neighbours, at most one of their own kind"),
	FIGURE(curvature_mean_per_A, "1/A", "mean curvature averaged over the area"),
	{ 0 },
};
/* clang-format on */
