/*
 * HTTP/3 over two QUIC sessions of one process: an exchange's two ends, or one of them and a raw
 * peer that writes bytes on streams. Either end may have dialled.
 */
#ifndef ADIT_TEST_H3_RIG_H
#define ADIT_TEST_H3_RIG_H

#include <adit/exchange.h>

#include "core/http/h3.h"
#include "tests/unit/quic_rig.h"

struct h3_rig {
	struct quic_rig		*quic;
	struct h3_conf		 client_conf, server_conf;
	struct adit_mux		*client, *server;	/* NULL: closed, or that end is raw */
	struct adit_mux		*raw;			/* the session of a raw end */
};

int h3_rig_setup(void **state);
int h3_rig_teardown(void **state);

enum h3_rig_ends { H3_BOTH, H3_SERVER_ALONE, H3_CLIENT_ALONE };

/* crossed: HTTP's server has dialled. */
void h3_rig_start(struct h3_rig *r, enum h3_rig_ends ends, bool crossed);

/* An exchange of the client's. */
struct adit_exchange *h3_rig_open(struct h3_rig *r);

/* Sends a head (see side_fields) and waits as long as it answers -EAGAIN. Its result. */
int h3_rig_send(struct h3_rig *r, struct adit_exchange *x, const char *head, unsigned flags);

/* The next exchange at the server, its head not taken. */
struct adit_exchange *h3_rig_accept(struct h3_rig *r);

/* The next head or trailers; NULL: x has failed. */
const struct adit_fields *h3_rig_head(struct h3_rig *r, struct adit_exchange *x);

/* Both ends of a request whose head has been taken. */
void h3_rig_ask(struct h3_rig *r, const char *head, unsigned flags, struct adit_exchange **client,
		struct adit_exchange **server);

/* Writes all of text, and ends there if end. */
void h3_rig_write(struct h3_rig *r, struct adit_exchange *x, const char *text, bool end);

/* Reads up to the end, which has to be just behind text. */
void h3_rig_expect(struct h3_rig *r, struct adit_exchange *x, const char *text);

/* Turns until x has failed; how. */
int h3_rig_failure(struct h3_rig *r, struct adit_exchange *x);

void h3_rig_close(struct adit_exchange *x, int why);

#endif
