/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "common/text.h"
#include "perrin/base/json.h"
#include "score.h"

#include <inttypes.h>
#include <math.h>

static const char *const set_words[PN_POSES_SETS] = { "latest", "latest, in the map", "live",
						      "live, in the map" };
static const char *const set_keys[PN_POSES_SETS] = { "latest", "latest_used", "live", "live_used" };

static double percent(size_t some, size_t all)
{
	return all ? 100.0 * (double)some / (double)all : (double)NAN;
}

static void number(struct pn_table *table, double value, int digits)
{
	char text[PN_TEXT_SHORT];

	pn_table_cell(table, "%s", pn_text_fixed(text, value, digits));
}

static void print_scores(const struct pn_poses_group *g)
{
	struct pn_table *table = pn_table_create("<poses|frames|within 5 deg %|but for symmetry %|"
						 "flipped|median deg|shift px|shift pm");

	for (int set = 0; set < PN_POSES_SETS; set++) {
		const struct pn_pose_score *s = &g->score[set];
		const double median = s->count ? s->median_deg : (double)NAN;
		const double shift = s->count ? s->shift_rms_px : (double)NAN;

		pn_table_cell(table, "%s", set_words[set]);
		pn_table_cell(table, "%zu", s->count);
		number(table, percent(s->within_5deg, s->count), 1);
		number(table, percent(s->within_5deg + s->flipped, s->count), 1);
		pn_table_cell(table, "%zu", s->flipped);
		number(table, median, 2);
		number(table, shift, 3);
		number(table, shift * g->pixel_pm, 1);
	}
	pn_table_print(table, stdout);
	pn_table_destroy(table);
}

static void print_group(const struct pn_poses_group *g)
{
	char a[PN_TEXT_SHORT], b[PN_TEXT_SHORT], c[PN_TEXT_SHORT];

	printf("particle %" PRIu64 ", segment %" PRIu64 ": frames %" PRIu64 " to %" PRIu64
	       ", particle %" PRIu64 " of the truth; %zu far from any\n",
	       g->particle, g->segment, g->first_frame, g->last_frame, g->truth_particle, g->stray);
	print_scores(g);
	printf("step     %s deg per frame, in truth %s\n", pn_text_fixed(a, g->step_deg, 2),
	       pn_text_fixed(b, g->true_step_deg, 2));
	printf("D_r      %s rad^2/s, in truth %s\n", pn_text_fixed(a, g->rotation_rad2_per_s, 4),
	       pn_text_fixed(b, g->true_rotation_rad2_per_s, 4));
	if (g->atoms.compared)
		printf("atoms    %zu of %zu (%s %%) within reach, %zu missed, %zu false; rmsd %s "
		       "pm; version %" PRIu64 ", turned by %s deg\n",
		       g->atoms.matched, g->atoms.truth,
		       pn_text_fixed(a, percent(g->atoms.matched, g->atoms.truth), 1),
		       g->atoms.missed, g->atoms.false_atoms, pn_text_fixed(b, g->atoms.rmsd_pm, 1),
		       g->atoms.version, pn_text_fixed(c, g->atoms.angle_deg, 1));
}

static void set_json(struct pn_json *json, const char *key, const struct pn_pose_score *s,
		     double pixel_pm)
{
	pn_json_object(json, key);
	pn_json_u64(json, "frames", s->count);
	pn_json_u64(json, "within_5deg", s->within_5deg);
	pn_json_u64(json, "flipped", s->flipped);
	if (s->count) {
		pn_json_f64(json, "median_deg", s->median_deg);
		pn_json_f64(json, "mean_deg", s->mean_deg);
		pn_json_f64(json, "shift_rms_px", s->shift_rms_px);
		pn_json_f64(json, "shift_rms_pm", s->shift_rms_px * pixel_pm);
	}
	pn_json_end(json);
}

static void group_json(struct pn_json *json, const struct pn_poses_group *g)
{
	pn_json_object(json, NULL);
	pn_json_u64(json, "particle", g->particle);
	pn_json_u64(json, "segment", g->segment);
	pn_json_u64(json, "truth_particle", g->truth_particle);
	pn_json_u64(json, "first_frame", g->first_frame);
	pn_json_u64(json, "last_frame", g->last_frame);
	pn_json_u64(json, "stray", g->stray);
	for (int set = 0; set < PN_POSES_SETS; set++)
		set_json(json, set_keys[set], &g->score[set], g->pixel_pm);
	pn_json_f64(json, "step_deg", g->step_deg);
	pn_json_f64(json, "true_step_deg", g->true_step_deg);
	pn_json_f64(json, "rotation_rad2_per_s", g->rotation_rad2_per_s);
	pn_json_f64(json, "true_rotation_rad2_per_s", g->true_rotation_rad2_per_s);
	if (g->atoms.compared) {
		pn_json_object(json, "atoms");
		pn_json_u64(json, "version", g->atoms.version);
		pn_json_u64(json, "found", g->atoms.found);
		pn_json_u64(json, "truth", g->atoms.truth);
		pn_json_u64(json, "matched", g->atoms.matched);
		pn_json_u64(json, "missed", g->atoms.missed);
		pn_json_u64(json, "false", g->atoms.false_atoms);
		pn_json_f64(json, "rmsd_pm", g->atoms.rmsd_pm);
		pn_json_f64(json, "angle_deg", g->atoms.angle_deg);
		pn_json_end(json);
	}
	pn_json_end(json);
}

void pn_poses_print(const struct pn_poses_scores *scores, int as_json)
{
	struct pn_json json;

	if (!as_json) {
		for (size_t i = 0; i < scores->count; i++) {
			printf("%s", i ? "\n" : "");
			print_group(&scores->group[i]);
		}
		return;
	}
	pn_json_init(&json, stdout, 1);
	pn_json_object(&json, NULL);
	pn_json_array(&json, "groups");
	for (size_t i = 0; i < scores->count; i++)
		group_json(&json, &scores->group[i]);
	pn_json_end(&json);
	pn_json_end(&json);
}
