/*
 * Connection ids: what ours look like, and the table from an id to its session.
 *
 *	byte 0		the worker's number
 *	byte 1		the generation of the process
 *	bytes 2..9	random
 *
 * The table also holds the ids that clients chose for their first packet, so its hash is keyed.
 */
#ifndef ADIT_CORE_QUIC_CID_H
#define ADIT_CORE_QUIC_CID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define QUIC_CID_LEN 10
#define QUIC_CID_MAX 20

struct quic_session;

struct quic_cid {
	uint8_t			 len, bytes[QUIC_CID_MAX];
	struct quic_session	*session;
	struct quic_cid		*next;		/* in its bucket */
	struct quic_cid		*sibling;	/* the next of the same session */
};

struct quic_cids {
	struct quic_cid	**buckets;
	unsigned	  bits;
	size_t		  n;
	uint64_t	  key[2];
};

/* 0 or -ENOMEM. */
int quic_cids_init(struct quic_cids *t);
void quic_cids_fini(struct quic_cids *t);	/* must be empty */

/* NULL: unknown. */
struct quic_cid *quic_cids_find(const struct quic_cids *t, const uint8_t *bytes, size_t len);

/* A new entry for an id that is not in t, or NULL: out of memory. */
struct quic_cid *quic_cids_add(struct quic_cids *t, const uint8_t *bytes, size_t len,
			       struct quic_session *s);

/* Takes it out and frees it. */
void quic_cids_remove(struct quic_cids *t, struct quic_cid *cid);

/* Writes a new one of ours: QUIC_CID_LEN bytes. */
void quic_cid_make(uint8_t *bytes, unsigned worker, unsigned generation);

/* Whose it is, if it has our length. */
bool quic_cid_owner(const uint8_t *bytes, size_t len, unsigned *worker, unsigned *generation);

#endif
