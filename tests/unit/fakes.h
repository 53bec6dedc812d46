/*
 * Plugins of every kind, through the public tables alone, that write down what they are asked for
 * and fail where their options say. Listener, handler, dialer, connector and layer "fake";
 * connector "fake1" cannot bind; stack "faked" is layer "fake" over "fake". Options of all: `fail`
 * (init, open, start, dial, connect, bind, layer), `file`, which a failing init names.
 */
#ifndef ADIT_TEST_FAKES_H
#define ADIT_TEST_FAKES_H

#include "core/service/registry.h"

/* Adds them to r, and forgets what was written down. */
void fakes_register(struct registry *r);

/*
 * Fails the test unless exactly this was written down since the last call, in this order, entries
 * separated by "; ". What workers wrote at the same time is in no order: ask when there is one.
 */
void fakes_expect(const char *expected);

/* How often an entry that begins so was written down since the last fakes_expect. Any thread. */
unsigned fakes_count(const char *beginning);

/* The conn that was made last: by a dialer, a connector, a layer. It opens or fails as told. */
struct adit_conn *fakes_last_conn(void);

/* What c, a conn of these plugins, is over; NULL: nothing. */
struct adit_conn *fakes_lower(const struct adit_conn *c);

/* A conn of the kind that a listener would accept, still opening, called so in what is written. */
struct adit_conn *fakes_conn(struct adit_worker *w, const char *name);

/* The conn that a handler got last, without an owner; NULL: none. The caller closes it. */
struct adit_conn *fakes_handled(void);

/* The listener "fake" that was opened last and is still open; NULL: none. */
struct adit_listener *fakes_listener(void);

/* The handler "fake" that was made last and lives; NULL: none. */
struct adit_handler *fakes_handler(void);

/* What handlers' shows_visitor answers from now on. */
void fakes_show_visitor(bool shows);

#endif
