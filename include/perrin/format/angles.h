/* SPDX-License-Identifier: GPL-3.0-or-later */
/* perrin/format/angles.h - the angles of a tilt series, from a text file. */
#ifndef PERRIN_FORMAT_ANGLES_H
#define PERRIN_FORMAT_ANGLES_H

#include "perrin/base/status.h"

#include <stddef.h>

#define PN_ANGLES_MAX 65536 /* of one file */

/** One orientation per image. Zero is none; pn_angles_free frees. */
struct pn_angles {
	double (*angle_deg)[3]; /* [count] phi, theta, psi, as pn_pose_euler takes them */
	size_t count;
	int unsorted; /* 1: theta neither rises nor falls from image to image; no error */
};

/** What the file has to fit. Zeroed: nothing. */
struct pn_angles_rules {
	size_t count;      /* images of the series; 0: any number                        */
	const char *stack; /* its name for the message, borrowed for the call; may be NULL */
	int doubles;       /* 1: two images of the same orientation are meant            */
};

/**
 * pn_angles_read - read the angles of a tilt series, in degrees.
 *
 * Either a CSV whose first line names the columns: theta_deg, and if there are any phi_deg and
 * psi_deg (else 0), in any order; or, without such a line, one theta per line, as IMOD's .tlt and
 * .rawtlt. Empty lines and lines that begin with # do not count. The tilt axis is y.
 *
 * @angles: [out] the caller frees with pn_angles_free; zeroed on failure
 * @rules:  [in] may be NULL
 *
 * Errors: what the file system says; PN_EFORMAT with the number of the line: not a number, too few
 * or too many, |angle| > 360, the same orientation (all three to 0.001 degrees) as on another line
 * unless rules allow it; PN_EFORMAT if the angles look like radians (more than 5, all |theta| <=
 * 3.15, mean step below 0.2, largest above 0.3); PN_EARG if their number is not that of the images.
 *
 * Thread: reentrant. Allocates: the file and the angles. Cost: O(n log n).
 */
int pn_angles_read(struct pn_angles *angles, const char *path, const struct pn_angles_rules *rules,
		   struct pn_error *err);

/** pn_angles_free - free and zero; a zeroed one is fine. */
void pn_angles_free(struct pn_angles *angles);

#endif
