/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "common/analysis.h"

#include "perrin/atoms/region.h"
#include "perrin/base/element.h"

static const char *const surface_rules[] = { "mesh", "cn", NULL };
static const char *const sro_forms[] = { "general", "ratio", NULL };
static const char *const region_shapes[] = { "cuboctahedron", "truncated_octahedron", "nearest",
					     NULL };

#define OFF(field) offsetof(struct pn_analysis_params, field)
#define NUMBER(row, u, text, field, d, lo, hi)                                                 \
	{                                                                                      \
		.name = row, .unit = u, .help = text, .type = PN_PARAM_F64, .off = OFF(field), \
		.def = d, .min = lo, .max = hi                                                 \
	}
#define WHOLE(row, text, field, d, lo, hi)                                                    \
	{                                                                                     \
		.name = row, .help = text, .type = PN_PARAM_I64, .off = OFF(field), .def = d, \
		.min = lo, .max = hi                                                          \
	}
#define CHOICE(row, text, field, words)                                              \
	{                                                                            \
		.name = row, .help = text, .type = PN_PARAM_ENUM, .off = OFF(field), \
		.choices = words                                                     \
	}
#define TEXT(row, u, text, field, d)                                                            \
	{                                                                                       \
		.name = row, .unit = u, .help = text, .type = PN_PARAM_TEXT, .off = OFF(field), \
		.def_text = d                                                                   \
	}

/* clang-format off */
const struct pn_param pn_analysis_param_table[] = {
	NUMBER("cutoff_A", "A", "neighbours are closer than this; 0 = first minimum of g(r)",
	       cutoff_A, 0, 0, 100),
	NUMBER("alpha_A", "A", "radius of the probe of the surface mesh; 0 = first peak of g(r)",
	       alpha_A, 0, 0, 100),
	NUMBER("reference_A", "A", "lattice constant without strain, 3.912 for Pt in the papers; "
	       "0 = of the bulk metals", reference_A, 0, 0, 100),
	CHOICE("surface", "which atoms are the surface: on the mesh, or fewer neighbours than in the "
	       "bulk", surface, surface_rules),
	WHOLE("cn_full", "neighbours of an atom in the bulk", cn_full, 12, 1, 100),
	NUMBER("s6_min", NULL, "a bond is crystalline if s6 is above this", s6_min, 0.8, -1, 1),
	WHOLE("sro_shell", "neighbour shell m of the order parameter alpha_ij", sro_shell, 1, 1, 12),
	CHOICE("sro_form", "alpha_ij as (p - C)/(delta - C), or as the ratio 1 - p/C",
	       sro_form, sro_forms),
	NUMBER("layer_A", "A", "thickness of the layers of the depth profiles", layer_A, 2, 0.05, 100),
	CHOICE("regions", "the 8 + 6 regions follow the facets of this shape", regions, region_shapes),
	TEXT("active", "ELEMENT", "whose surface atoms are active (default: Pt, else the first)",
	     active, ""),
	TEXT("ligand", "ELEMENT", "neighbours that weigh more in asgcn and masgcn", ligand, "Ni"),
	NUMBER("ligand_weight", NULL, "their weight", ligand_weight, 1.59, 0.01, 100),
	NUMBER("slope_1_eV", "eV", "volcano: first line per unit of gcn", slope_1_eV, 0.192, 1e-6, 100),
	NUMBER("intercept_1_eV", "eV", "volcano: first line at 0", intercept_1_eV, -0.724, -100, 100),
	NUMBER("slope_2_eV", "eV", "volcano: second line per unit of gcn", slope_2_eV, -0.178, -100,
	       -1e-6),
	NUMBER("intercept_2_eV", "eV", "volcano: second line at 0", intercept_2_eV, 2.345, -100, 100),
	NUMBER("gcn_reference", NULL, "gcn where ln(j / j_ref) is 0: 7.5 = Pt(111)", gcn_reference,
	       7.5, 0, 100),
	NUMBER("temperature_K", "K", "temperature of the activity", temperature_K, 298, 1, 5000),
	NUMBER("r_max_A", "A", "how far g(r) goes; 0 = none, then both radii are needed", r_max_A, 12,
	       0, 1000),
	WHOLE("threads", "threads; the result is the same for any number", threads, 1, 1, 256),
	{ 0 },
};
/* clang-format on */

static int element_of(uint8_t *z, const char *flag, const char *symbol, struct pn_error *err)
{
	int number = symbol[0] ? pn_element_of_symbol(symbol) : 0;

	if (symbol[0] && !number)
		return pn_error_set(err, PN_EARG, "--%s: '%.20s' is no element", flag, symbol);
	*z = (uint8_t)number;
	return PN_OK;
}

int pn_analysis_options_of(struct pn_analysis_options *options,
			   const struct pn_analysis_params *params, struct pn_error *err)
{
	static const double ratios[] = { PN_REGION_CUBOCTAHEDRON, PN_REGION_TRUNCATED_OCTAHEDRON,
					 PN_REGION_NEAREST_NORMAL };
	const struct pn_analysis_params *p = params;

	pn_analysis_defaults(options);
	options->cutoff_A = p->cutoff_A;
	options->alpha_A = p->alpha_A;
	options->reference_A = p->reference_A;
	options->layer_A = p->layer_A;
	options->r_max_A = p->r_max_A;
	options->s6_min = p->s6_min;
	options->cn_full = (uint32_t)p->cn_full;
	options->sro_shell = (int)p->sro_shell;
	options->sro_form = (enum pn_sro_form)p->sro_form;
	options->surface = (enum pn_surface_rule)p->surface;
	options->facet_ratio = ratios[p->regions];
	options->gcn.cn_full = (double)p->cn_full;
	options->gcn.ligand_weight = p->ligand_weight;
	options->volcano = (struct pn_volcano){ { p->slope_1_eV, p->slope_2_eV },
						{ p->intercept_1_eV, p->intercept_2_eV },
						p->gcn_reference,
						p->temperature_K };
	int rc = element_of(&options->active_element, "active", p->active, err);

	return rc ? rc : element_of(&options->gcn.ligand_element, "ligand", p->ligand, err);
}

void pn_analysis_help(FILE *out)
{
	fprintf(out, "columns of each atom:\n  %-20s %-5s %s\n", "id", "",
		"number in the file, from 1");
	fprintf(out, "  %-20s %-5s %s\n", "element", "", "symbol");
	fprintf(out, "  %-20s %-5s %s\n", "x_A y_A z_A", "A", "position");
	for (int c = 0; c < PN_COL_FIXED; c++)
		fprintf(out, "  %-20s %-5s %s\n", pn_analysis_columns[c].name,
			pn_analysis_columns[c].unit, pn_analysis_columns[c].brief);
	fprintf(out, "  %-20s %-5s %s\n", "c_X alpha_X", "",
		"of two species or more, for each X: its fraction among the neighbours of shell "
		"m,");
	fprintf(out, "  %-20s %-5s %s\n", "", "", "and the order parameter alpha_ij^m of j = X");
	fprintf(out, "\nnumbers of the model:\n");
	for (const struct pn_figure *row = pn_analysis_figures; row->name; row++)
		fprintf(out, "  %-20s %-5s %s\n", row->name, row->unit, row->brief);
}

struct pn_atoms pn_model_view(const struct pn_model *model)
{
	return (struct pn_atoms){ (const double(*)[3])model->position_A, model->element,
				  model->count };
}
