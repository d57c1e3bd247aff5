/* SPDX-License-Identifier: GPL-3.0-or-later */
/* advise_words.c - the reasons of an advice, in words with the numbers. */
#include "advise_parts.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

struct words {
	char *text;
	size_t used;
};

/* A part that does not fit whole is left out. */
__attribute__((format(printf, 2, 3))) static void say(struct words *w, const char *fmt, ...)
{
	const size_t room = PN_ADVISE_TEXT_BYTES - w->used;
	va_list ap;

	va_start(ap, fmt);
	const int bytes = vsnprintf(w->text + w->used, room, fmt, ap);
	va_end(ap);
	if (bytes > 0 && (size_t)bytes < room)
		w->used += (size_t)bytes;
	w->text[w->used] = 0;
}

static const char *images_of(const struct pn_advisor *a)
{
	return a->is_tilts ? "tilts" : "frames";
}

static void say_changed(struct words *w, const struct pn_advisor *a, const struct findings *f)
{
	if (f->changed_by == BY_SEGMENT)
		say(w, "The orientation has begun a new structure, segment %llu. ",
		    (unsigned long long)a->segment);
	else if (f->changed_by == BY_CUSUM)
		say(w,
		    "Scores of new frames fell from %.3f to %.3f at once (CUSUM %.3g, limit "
		    "%.3g): the map no longer fits them. ",
		    a->mean, a->score, a->cusum, a->options.cusum_limit);
	else
		say(w,
		    "The last %llu tilts fit worse than the trend: R %.3g before the last went "
		    "in; damage or a new structure. ",
		    (unsigned long long)a->r1_run, a->r1_new);
}

static void say_fading(struct words *w, const struct pn_advisor *a, const struct findings *f)
{
	const double dose_each = a->dose / (double)a->images;

	say(w, "Scores of new frames fade by %.3g +- %.1g %% per 1000 ",
	    -1e5 * f->fading.slope / (dose_each > 0 ? dose_each : 1),
	    1e5 * f->fading.uncertainty / (dose_each > 0 ? dose_each : 1));
	say(w, "%s",
	    dose_each > 0 ? "e/A^2: damage by the beam. "
			  : "frames (their dose is not known): damage by the beam? ");
}

static void say_useless(struct words *w, const struct pn_advisor *a, const struct findings *f)
{
	switch (f->useless_by) {
	case BY_FADING:
		say_fading(w, a, f);
		break;
	case BY_BLANK:
		say(w,
		    "The halves of the images have nothing in common (FSC %.2f where it is "
		    "coarsest) in %llu volumes: is there a particle at all? ",
		    a->fsc_low, (unsigned long long)a->blank_run);
		break;
	case BY_ORIENTED:
		say(w,
		    "Only %.0f %% of the last frames could be oriented after %llu frames: no "
		    "particle, empty frames, or a wrong pixel size? ",
		    100 * a->oriented, (unsigned long long)a->poses);
		break;
	case BY_SCORE:
		say(w, "The last frames score %.3f on average, as noise does (below %.3g). ",
		    a->score, a->options.score_min);
		break;
	default:
		say(w, "%.2f A now, worse than the %.2f A after %.0f %s. ", a->resolution_A,
		    a->best_A, a->best_images, images_of(a));
	}
}

static void say_resolution(struct words *w, const struct pn_advice *advice,
			   const struct pn_advisor *a, const struct findings *f)
{
	const unsigned long long images = (unsigned long long)advice->images;

	if (isnan(a->resolution_A))
		say(w, "Resolution not known after %llu %s", images, images_of(a));
	else
		say(w, "%.2f A after %llu %s", a->resolution_A, images, images_of(a));
	if (f->at_limit)
		say(w, ", as fine as pixels of %.1f pm show", a->pixel_pm);
	else if (f->gain_known && isfinite(f->gain.next_high_A))
		say(w, "; %.0f more would give %.2f A (%.2f-%.2f), %.1f +- %.1f pm better", f->more,
		    f->gain.next_A, f->gain.next_low_A, f->gain.next_high_A, f->gain_pm,
		    f->gain_sigma_pm);
	else if (!isnan(a->resolution_A))
		say(w, "; what more would give cannot be told yet");
	if (!isnan(a->resolution_A))
		say(w, "; target %.2f A", a->options.target_A);
	if (!isnan(a->ssnr_target))
		say(w, ", SSNR there %.2g", a->ssnr_target);
	say(w, ". ");
}

static void say_coverage(struct words *w, const struct pn_advisor *a, const struct findings *f)
{
	if (a->is_tilts && !isnan(f->gap_deg)) {
		say(w, "Next tilt %+.1f deg: none from %+.1f to %+.1f", f->next_theta_deg,
		    f->gap_from_deg, f->gap_from_deg + f->gap_deg);
		if (!isnan(f->step_deg))
			say(w, ", steps of %.1f would do", f->step_deg);
		say(w, ". ");
		if (!isnan(f->uncovered))
			say(w, "%.0f %% of Fourier space is covered. ", 100 * (1 - f->uncovered));
		return;
	}
	if (isnan(a->empty) && isnan(a->scf) && isnan(a->far)) {
		say(w, "Coverage not known. ");
		return;
	}
	const char *between = f->coverage == MISSED ? "Other views would help: " : "";

	if (!isnan(a->empty))
		say(w, "%s%.0f %% of directions covered", between, 100 * (1 - a->empty));
	else
		say(w, "%sCoverage:", between);
	if (!isnan(a->scf))
		say(w, ", SCF %.2f", a->scf);
	if (!isnan(a->far))
		say(w, ", cFAR %.2f", a->far);
	say(w, ". ");
}

static void say_atoms(struct words *w, const struct pn_advisor *a)
{
	if (!a->atoms_known) {
		say(w, "Atoms not known. ");
		return;
	}
	if (!a->atoms) {
		say(w, "No atom found. ");
		return;
	}
	if (!a->kept_known)
		say(w, "%llu atoms", (unsigned long long)a->atoms);
	else
		say(w, "%llu of %llu atoms as before", (unsigned long long)a->kept,
		    (unsigned long long)a->atoms);
	if (!isnan(a->moved_pm))
		say(w, ", moved by %.0f pm rms", a->moved_pm);
	if (!isnan(a->disordered))
		say(w, ", %.0f %% disordered", 100 * a->disordered);
	say(w, ". ");
}

void pn_advise_words(struct pn_advice *advice, const struct pn_advisor *a, const struct findings *f)
{
	struct words w = { advice->reasons, 0 };

	w.text[0] = 0;
	if (pn_advise_pixel_is_odd(a))
		say(&w, "A pixel of %.3g pm, wrong by ten? All lengths go by it. ", a->pixel_pm);
	if (advice->verdict == PN_ADVISE_CHANGED)
		say_changed(&w, a, f);
	else if (advice->verdict == PN_ADVISE_USELESS)
		say_useless(&w, a, f);
	if (a->volumes)
		say_resolution(&w, advice, a, f);
	else
		say(&w, "No volume yet. ");
	if (a->volumes || a->tilt_count)
		say_coverage(&w, a, f);
	if (a->volumes)
		say_atoms(&w, a);
	if (a->is_tilts && !isnan(a->r1_new))
		say(&w, "R of the newest tilt %.3g before it went in. ", a->r1_new);
	if (!isnan(a->held_out))
		say(&w, "Held-out images: %.3g. ", a->held_out);
	if (a->scored)
		say(&w, "New frames score %.3f. ", a->score);
	if (!isnan(a->dose))
		say(&w, "Dose %.3g e/A^2. ", a->dose);
	else if (a->volumes)
		say(&w, "Dose not known. ");
	if (w.used)
		w.text[--w.used] = 0;
}
