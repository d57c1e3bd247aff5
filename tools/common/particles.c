/* SPDX-License-Identifier: GPL-3.0-or-later */
#include "particles.h"

#include "perrin/stream/log.h"
#include "session.h"
#include "text.h"

#include <math.h>
#include <string.h>

/* The place of a particle; when all are taken the one unseen for longest gives way. */
static struct pn_particle *place_of(struct pn_particles *all, const struct pn_crystal_head *head)
{
	struct pn_particle *oldest = &all->particle[0];

	for (unsigned i = 0; i < all->count; i++) {
		if (all->particle[i].last.particle == head->particle)
			return &all->particle[i];
		if (all->particle[i].last.frame < oldest->last.frame)
			oldest = &all->particle[i];
	}
	if (all->count < PN_PARTICLES_SHOWN)
		oldest = &all->particle[all->count++];
	memset(oldest, 0, sizeof *oldest);
	oldest->diameter_nm = oldest->spacing_pm = NAN;
	return oldest;
}

static void take(struct pn_particles *all, const struct pn_crystal_head *head)
{
	struct pn_particle *p = place_of(all, head);

	p->last = *head;
	p->high[p->records++ % PN_RECENT_FRAMES] = head->class == 1;
	if (head->class == 1 && !isnan(head->spacing_pm))
		p->spacing_pm = head->spacing_pm;
	if (!isnan(head->diameter_nm))
		p->diameter_nm = head->diameter_nm;
}

void pn_particles_update(struct pn_particles *particles, const char *session)
{
	struct pn_log_reader *reader;
	struct pn_crystal_head head;
	struct pn_msg msg;
	char dir[PATH_MAX];

	if (pn_path_join(dir, session, "crystal", NULL) ||
	    pn_log_read_open(&reader, dir, NULL, 0, particles->next, NULL))
		return;
	while (pn_log_read(reader, &msg, NULL) == PN_OK) {
		particles->next = msg.seq + 1;
		if (pn_msg_decode(&pn_crystal_schema, &msg, &head, NULL) == PN_OK)
			take(particles, &head);
	}
	pn_log_read_close(reader);
}

static double high_share(const struct pn_particle *p)
{
	unsigned known = p->records < PN_RECENT_FRAMES ? (unsigned)p->records : PN_RECENT_FRAMES;
	unsigned high = 0;

	for (unsigned i = 0; i < known; i++)
		high += p->high[i];
	return known ? (double)high / known : 0;
}

void pn_particles_table(const struct pn_particles *particles, FILE *out)
{
	char text[PN_TEXT_SHORT];

	if (!particles->count)
		return;
	struct pn_table *table = pn_table_create(
		"particle|frame|x px|y px|peak|<class|high|spacing A|diameter nm");
	for (unsigned i = 0; i < particles->count; i++) {
		const struct pn_particle *p = &particles->particle[i];

		pn_table_cell(table, "%llu", (unsigned long long)p->last.particle);
		pn_table_cell(table, "%llu", (unsigned long long)p->last.frame);
		pn_table_cell(table, "%.1f", p->last.x_px);
		pn_table_cell(table, "%.1f", p->last.y_px);
		pn_table_cell(table, "%.1f", p->last.peak);
		pn_table_cell(table, "%s", pn_class_words[p->last.class]);
		pn_table_cell(table, "%.0f %%", 100 * high_share(p));
		pn_table_cell(table, "%s", pn_text_fixed(text, p->spacing_pm / 100, 3));
		pn_table_cell(table, "%s", pn_text_fixed(text, p->diameter_nm, 2));
	}
	fputc('\n', out);
	pn_table_print(table, out);
	pn_table_destroy(table);
}

void pn_particles_json(const struct pn_particles *particles, struct pn_json *json)
{
	pn_json_array(json, "particles");
	for (unsigned i = 0; i < particles->count; i++) {
		const struct pn_particle *p = &particles->particle[i];

		pn_json_object(json, NULL);
		pn_json_u64(json, "particle", p->last.particle);
		pn_json_u64(json, "frame", p->last.frame);
		pn_json_f64(json, "x_px", p->last.x_px);
		pn_json_f64(json, "y_px", p->last.y_px);
		pn_json_f64(json, "peak", p->last.peak);
		pn_json_text(json, "class", pn_class_words[p->last.class]);
		pn_json_f64(json, "high_share", high_share(p));
		pn_json_f64(json, "spacing_pm", p->spacing_pm);
		pn_json_f64(json, "diameter_nm", p->diameter_nm);
		pn_json_end(json);
	}
	pn_json_end(json);
}
