/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin score - how near a session's results are to the twin's truth. */
#include "score.h"

#include "command.h"
#include "common/text.h"
#include "perrin/base/json.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

struct score_options {
	char session[PN_PARAM_TEXT_MAX], truth[PN_PARAM_TEXT_MAX];
	char crops[PN_PARAM_TEXT_MAX], crystal[PN_PARAM_TEXT_MAX];
	struct pn_score_limits limits;
	double tolerance_A;
	int64_t segment;
	int json;
};

#define OFF(field) offsetof(struct score_options, field)
static const struct pn_param params[] = {
	{ .name = "session",
	  .help = "the session with the results; or a file of traced atoms, then one of the true "
		  "ones; or the word poses, then a session",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(session),
	  .positional = 1,
	  .required = 1 },
	{ .name = "truth",
	  .unit = "SESSION",
	  .help = "the session with the truth (default: the same)",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(truth) },
	{ .name = "crops",
	  .unit = "STREAM",
	  .help = "stream of crops",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(crops),
	  .def_text = "crops" },
	{ .name = "crystal",
	  .unit = "STREAM",
	  .help = "stream of crystal",
	  .type = PN_PARAM_TEXT,
	  .off = OFF(crystal),
	  .def_text = "crystal" },
	{ .name = "within_px",
	  .unit = "px",
	  .help = "a crop further from a particle does not find it",
	  .type = PN_PARAM_F64,
	  .off = OFF(limits.within_px),
	  .def = 30,
	  .min = 0.1,
	  .max = 1e5 },
	{ .name = "aligned",
	  .help = "least |g_z| x diameter of {111}, {200}, {220}: below it fringes are seen",
	  .type = PN_PARAM_F64,
	  .off = OFF(limits.aligned),
	  .def = 0.5,
	  .min = 0.01,
	  .max = 10 },
	{ .name = "misaligned",
	  .help = "the same: above it they are not, and in between is not judged",
	  .type = PN_PARAM_F64,
	  .off = OFF(limits.tilted),
	  .def = 1,
	  .min = 0.01,
	  .max = 10 },
	{ .name = "tolerance_A",
	  .unit = "A",
	  .help = "of atoms: pairs nearer than this are the same atom",
	  .type = PN_PARAM_F64,
	  .off = OFF(tolerance_A),
	  .def = 1,
	  .min = 0.001,
	  .max = 1000 },
	{ .name = "segment",
	  .help = "of poses: this one alone; 0: all",
	  .type = PN_PARAM_I64,
	  .off = OFF(segment),
	  .max = 1e18 },
	{ .name = "json",
	  .help = "print the result as JSON",
	  .type = PN_PARAM_BOOL,
	  .off = OFF(json) },
	{ 0 },
};

/* ---- telling ------------------------------------------------------------------------------- */

static double part(uint64_t some, uint64_t all)
{
	return all ? (double)some / (double)all : (double)NAN;
}

static const char *percent(char buf[PN_TEXT_SHORT], double fraction, int digits)
{
	if (isnan(fraction))
		return "-";
	snprintf(buf, PN_TEXT_SHORT, "%.*f %%", digits, 100 * fraction);
	return buf;
}

static void print_class(const char *name, const struct pn_score_class *class)
{
	char a[PN_TEXT_SHORT], b[PN_TEXT_SHORT];

	printf("  %-10s %" PRIu64 " of them, %s high, mean peak %s\n", name, class->count,
	       percent(a, part(class->high, class->count), 1),
	       pn_text_fixed(b, class->mean_peak, 2));
}

static void print_centre(const char *what, const struct pn_score_centre *centre)
{
	char a[PN_TEXT_SHORT], b[PN_TEXT_SHORT];

	if (centre->count)
		printf("%s rms %s px, median %s px\n", what, pn_text_fixed(a, centre->rms_px, 2),
		       pn_text_fixed(b, centre->median_px, 2));
}

static void centre_json(struct pn_json *json, const char *key, const struct pn_score_centre *centre)
{
	pn_json_object(json, key);
	pn_json_u64(json, "count", centre->count);
	pn_json_f64(json, "rms_px", centre->rms_px);
	pn_json_f64(json, "median_px", centre->median_px);
	pn_json_end(json);
}

static void print_text(const struct pn_scores *s, const struct pn_score_limits *limits)
{
	char a[PN_TEXT_SHORT], b[PN_TEXT_SHORT], c[PN_TEXT_SHORT];

	printf("truth        %" PRIu64 " particles on %" PRIu64 " frames\n", s->truths, s->frames);
	printf("found        %" PRIu64 " (%s), %" PRIu64 " crops further than %g px from any\n",
	       s->found, percent(a, part(s->found, s->truths), 2), s->stray, limits->within_px);
	print_centre("centre       of crops:  ", &s->centre);
	print_centre("             by lattice:", &s->lattice);
	print_centre("             high only: ", &s->high);
	printf("spacing      %" PRIu64 " high frames: rms %s, mean %s, %s within 1 %%\n",
	       s->spacing.count, percent(a, s->spacing.rms, 2), percent(b, s->spacing.mean, 2),
	       percent(c, s->spacing.within_1_percent, 1));
	printf("diameter     %" PRIu64 " high frames: rms %s, mean %s\n", s->diameter.count,
	       percent(a, s->diameter.rms, 1), percent(b, s->diameter.mean, 1));
	printf("crystal      %" PRIu64
	       " records, AUC of the peak %s; tilt explains %s of ln peak\n",
	       s->crystals, pn_text_fixed(a, s->auc, 3), percent(b, s->explained, 0));
	print_class("aligned", &s->aligned);
	print_class("misaligned", &s->tilted);
	printf("  %-10s %" PRIu64 " of them\n", "between", s->between);
}

static void errors_json(struct pn_json *json, const char *key, const struct pn_score_errors *errors)
{
	pn_json_object(json, key);
	pn_json_u64(json, "count", errors->count);
	pn_json_f64(json, "rms_relative", errors->rms);
	pn_json_f64(json, "mean_relative", errors->mean);
	pn_json_f64(json, "within_1_percent", errors->within_1_percent);
	pn_json_end(json);
}

static void class_json(struct pn_json *json, const char *key, const struct pn_score_class *class)
{
	pn_json_object(json, key);
	pn_json_u64(json, "count", class->count);
	pn_json_u64(json, "high", class->high);
	pn_json_f64(json, "high_rate", part(class->high, class->count));
	pn_json_f64(json, "mean_peak", class->mean_peak);
	pn_json_end(json);
}

static void print_json(const struct pn_scores *s, const struct pn_score_limits *limits)
{
	struct pn_json json;

	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	pn_json_u64(&json, "frames", s->frames);
	pn_json_u64(&json, "truths", s->truths);
	pn_json_f64(&json, "within_px", limits->within_px);
	pn_json_u64(&json, "crops", s->crops);
	pn_json_u64(&json, "crops_stray", s->stray);
	pn_json_u64(&json, "found", s->found);
	pn_json_f64(&json, "found_rate", part(s->found, s->truths));
	centre_json(&json, "centre", &s->centre);
	centre_json(&json, "centre_lattice", &s->lattice);
	centre_json(&json, "centre_high", &s->high);
	pn_json_u64(&json, "crystals", s->crystals);
	pn_json_u64(&json, "crystals_stray", s->crystals_stray);
	errors_json(&json, "spacing", &s->spacing);
	errors_json(&json, "diameter", &s->diameter);
	pn_json_f64(&json, "aligned_below", limits->aligned);
	pn_json_f64(&json, "misaligned_above", limits->tilted);
	class_json(&json, "aligned", &s->aligned);
	class_json(&json, "misaligned", &s->tilted);
	pn_json_u64(&json, "between", s->between);
	pn_json_f64(&json, "auc", s->auc);
	pn_json_f64(&json, "peak_explained", s->explained);
	pn_json_end(&json);
}

static int run_poses(const struct score_options *options, const char *session, struct pn_error *err)
{
	struct pn_poses_scores scores;
	const struct pn_poses_options poses = {
		.session = session,
		.truth = options->truth[0] ? options->truth : session,
		.segment = (uint64_t)options->segment,
		.within_px = options->limits.within_px,
		.tolerance_A = options->tolerance_A,
	};
	int rc = pn_score_poses(&scores, &poses, err);

	if (!rc)
		pn_poses_print(&scores, options->json);
	pn_poses_forget(&scores);
	return rc;
}

static int run(void *arg, char **extra, int extra_count, struct pn_error *err)
{
	const struct score_options *options = arg;
	struct pn_score_lists lists = { 0 };
	struct pn_scores scores;
	const struct pn_score_paths paths = {
		.session = options->session,
		.truth = options->truth[0] ? options->truth : options->session,
		.crops = options->crops,
		.crystal = options->crystal,
	};

	if (!strcmp(options->session, "poses") && extra_count == 1)
		return run_poses(options, extra[0], err);
	if (pn_score_is_model(options->session) && extra_count == 1)
		return pn_score_models(options->session, extra[0], options->tolerance_A,
				       options->json, err);
	if (pn_score_is_model(options->session) || extra_count)
		return pn_error_set(err, PN_EARG,
				    "one session, or a file of atoms and one of true atoms, or "
				    "poses and a session");

	int rc = pn_score_read(&lists, &paths, err);

	if (!rc)
		rc = pn_score(&scores, &lists.truths, &lists.crops, &lists.crystals,
			      &options->limits, err);
	if (!rc && options->json)
		print_json(&scores, &options->limits);
	else if (!rc)
		print_text(&scores, &options->limits);
	pn_score_forget(&lists);
	return rc;
}

const struct pn_command pn_command_score = {
	.name = "score",
	.brief = "compare results with the truth of the twin",
	.usage = "SESSION [--truth SESSION2] | ATOMS.xyz TRUTH.xyz | poses SESSION [flags]",
	.params = params,
	.takes_extra = 1,
	.options_size = sizeof(struct score_options),
	.run = run,
};
