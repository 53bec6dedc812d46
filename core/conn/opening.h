/*
 * A conn whose lower conn arrives later: what a route or a tunnel answers while it still looks for
 * a way. It opens when lower is there and open, and passes everything through from then on; to fail
 * it before, use adit_conn_fail. Owned as any conn; its maker keeps a borrowed pointer until lower
 * was given, it failed, or cancel was called.
 */
#ifndef ADIT_CORE_OPENING_H
#define ADIT_CORE_OPENING_H

#include <adit/conn.h>

/*
 * NULL if out of memory. cancel(arg) is called once when the owner closes it before opening_set or
 * opening_fail.
 */
struct adit_conn *opening_new(struct adit_worker *w, void (*cancel)(void *arg), void *arg);

/*
 * c may be written to before it is open (conn_set_early): OPENING_KEPT bytes at most, which are
 * kept until it is, and are the first that its lower conn gets.
 */
#define OPENING_KEPT 16384
void opening_take_early(struct adit_conn *c);

/*
 * Of such a one: lower, which is opening and may become c's, gets what is kept and what is written
 * next already now, if it takes that early. Borrowed until opening_set or opening_fail, or until
 * another try, which begins with the first byte again (NULL: with none). Of any other c: nothing.
 */
void opening_try(struct adit_conn *c, struct adit_conn *lower);

/*
 * Gives c its lower conn, of the same worker, open or still opening, owned from now on. Flags,
 * addresses and the name asked for are taken from it when it is open. Not for exchanges.
 */
void opening_set(struct adit_conn *c, struct adit_conn *lower);

/*
 * For an owner that will keep c for long: the lower conn of one that is open, which is closed in
 * exchange, without an owner and nothing wanted; what was given back to c is given back to it. Any
 * other conn is answered as it is.
 */
struct adit_conn *opening_unwrap(struct adit_conn *c);

/* Fails it instead. */
void opening_fail(struct adit_conn *c, int err);

#endif
