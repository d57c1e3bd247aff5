/* SPDX-License-Identifier: GPL-3.0-or-later */
#ifndef TOMO_POSE_PARTS_H
#define TOMO_POSE_PARTS_H

#include "perrin/tomo/pose.h"

/* Finite, and a rotation to 1e-6; PN_EARG with the number of the projection. */
int pn_pose_check(const struct pn_pose *pose, size_t number, struct pn_error *err);

#endif
