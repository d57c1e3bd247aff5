/* SPDX-License-Identifier: GPL-3.0-or-later */
/* The schedule of conv_tiles.c with tiles in plain C: proves its indices on every machine. */
#define PN_TILES_EMULATED 1
#include "conv_tiles.c"
