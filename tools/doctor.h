/* SPDX-License-Identifier: GPL-3.0-or-later */
/* doctor.h - what `perrin doctor` finds out. */
#ifndef PERRIN_TOOLS_DOCTOR_H
#define PERRIN_TOOLS_DOCTOR_H

#include "perrin/base/status.h"

struct pn_doctor {
	long cores, huge_pages;
	int avx512, amx;
	char cpu[128], gpu[160], transparent[32];
	double memory_bytes, available_bytes;
	double disk_bytes, free_bytes;
	double write_bytes_per_s; /* 0: not measured, write_error says why */
	int direct;               /* measured with O_DIRECT */
	char write_error[PN_ERROR_TEXT_MAX];
	char engine[PN_ERROR_TEXT_MAX]; /* how a stream would be written there */
};

/**
 * pn_doctor_disk - space and speed of the disk of @dir, and how a stream is written there.
 *
 * Writes 256 MiB in blocks of 4 MiB to a file that has no name, and a stream of one record in a
 * folder that is removed. Errors: what keeps @dir from being looked at; that it cannot be written
 * to is a finding.
 */
int pn_doctor_disk(struct pn_doctor *doctor, const char *dir, struct pn_error *err);

#endif
