/*
 * Who has failed is left alone for a moment: 100 ms, twice as long with each further failure, at
 * most 1 s; one that worked, or that nobody has asked for in 10 s, begins anew. What comes first
 * after the pause tries again.
 *
 * Of a fixed size, and no list of all: two whose keys share a place displace each other, and the
 * one displaced is merely tried again sooner. Keys are hashes that no peer can choose. No clock of
 * its own; one thread.
 */
#ifndef ADIT_CORE_PAUSES_H
#define ADIT_CORE_PAUSES_H

#include <stdbool.h>
#include <stdint.h>

#define PAUSES 256

/* Zeroed: nobody has failed. */
struct pauses {
	struct pause {
		uint64_t	key, until;
		uint64_t	length;		/* ns; 0: unused */
	} v[PAUSES];
};

/* key has failed at now: its pause begins. */
void pauses_failed(struct pauses *p, uint64_t key, uint64_t now);

/* key has worked: there is none, and its next one is a short one. */
void pauses_worked(struct pauses *p, uint64_t key);

/* Whether key is in its pause at now. */
bool pauses_hold(const struct pauses *p, uint64_t key, uint64_t now);

#endif
