/* SPDX-License-Identifier: GPL-3.0-or-later */
/*
 * order.h - where the messages of side inputs came: a journal of a stage, kept so that a restart
 * and a replay let them come there again.
 *
 * SESSION/checkpoints/STAGE.order is a row of entries of 40 bytes, in the order in which the
 * messages were taken. Each is on stable storage before its message is taken, so whatever was made
 * with a message is never there without the entry. Entries are checked by a hash that knows their
 * number: the first one that is not whole ends the journal.
 *
 * A journal that was carried over to a replay ends with a seal: an entry whose position never
 * comes. What the recorded run did not take is then not taken either, although it has come long
 * ago.
 */
#ifndef PERRIN_PIPELINE_ORDER_H
#define PERRIN_PIPELINE_ORDER_H

#include "perrin/base/status.h"
#include "perrin/host/stage.h"
#include "perrin/stream/message.h"

#include <stdint.h>

/** Message @seq of @input came before message @position of the main inputs. Little-endian. */
struct pn_order_entry {
	uint64_t input;    /* port of the stage; PN_PORTS_MAX: a seal                          */
	uint64_t seq;      /* of the message in its stream                                     */
	uint64_t position; /* messages of main inputs taken before it; UINT64_MAX: a seal      */
	uint64_t content;  /* pn_order_content of the message                                  */
	uint64_t check;    /* of the four before and the entry's number                        */
};

/** An open journal. Zero to start. */
struct pn_order {
	int open, fd;
	char path[4096];
	struct pn_order_entry *entries; /* all that the file holds                           */
	uint64_t count, capacity;
	uint64_t at;                    /* the first that is still to be obeyed            */
	uint64_t next_in[PN_PORTS_MAX]; /* messages before these were taken, by input       */
};

/**
 * pn_order_open - open the journal of a stage, make it if it is not there, cut a torn end.
 *
 * @next_in:   first message not taken yet, by input: entries before it are not obeyed again
 * @bytes_cut: [out] bytes behind the last whole entry, removed
 *
 * Errors: PN_EIO, PN_ENOMEM, PN_EPERM, ... with the path; then nothing is open.
 */
int pn_order_open(struct pn_order *order, const char *path, const uint64_t next_in[PN_PORTS_MAX],
		  uint64_t *bytes_cut, struct pn_error *err);
void pn_order_close(struct pn_order *order); /* one that is not open is fine */

/** pn_order_due - the entry to be obeyed next; NULL: all are, messages may come as they come.
 * Borrowed until the next call on this journal. */
const struct pn_order_entry *pn_order_due(struct pn_order *order);

/** pn_order_obeyed - the message of the entry due is at hand. */
void pn_order_obeyed(struct pn_order *order);

/** pn_order_append - note that message @msg of input msg->port comes at @position; it is on stable
 * storage when PN_OK is returned. Nothing may be due. Errors: PN_EIO, PN_ENOSPC, PN_ENOMEM. */
int pn_order_append(struct pn_order *order, const struct pn_msg *msg, uint64_t position,
		    struct pn_error *err);

/** pn_order_seal - append the seal, if the journal does not end with one. */
int pn_order_seal(struct pn_order *order, struct pn_error *err);

/** pn_order_cut - the entry due cannot be obeyed: remove it and all behind it. */
int pn_order_cut(struct pn_order *order, struct pn_error *err);

/** pn_order_content - XXH3 of time stamp, head and payload: what a stage sees of a message. */
uint64_t pn_order_content(const struct pn_msg *msg);

#endif
