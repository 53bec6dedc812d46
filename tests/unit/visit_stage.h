/*
 * Visits without a network: visitors are pairs of which the test has one end, and so are the
 * streams that a tunnel's sessions open. The test plays the browser and the client's side, and
 * reads what either gets.
 *
 * a.example and a2.example belong to tunnel A, c.example to tunnel C, both with one session;
 * b.example to tunnel B, which nobody serves; p.example to A, but private. The visitor is
 * 192.0.2.1, this server's name is "here".
 */
#ifndef ADIT_TEST_VISIT_STAGE_H
#define ADIT_TEST_VISIT_STAGE_H

#include <adit/tunnel.h>

#include "core/service/component.h"
#include "core/tunnel/visit.h"
#include "tests/unit/loop.h"
#include "tests/unit/wire_end.h"

#define STAGE_STREAMS 32

struct stage_stream {
	struct wire_end		 end;
	char			 tunnel;	/* 'A' or 'C' */
	char			 host[64];
	uint16_t		 port;
	struct adit_addr	 from;
};

struct stage;

struct stage_member {
	struct stage		*stage;
	char			 tunnel;
	uint64_t		 number;
};

struct stage {
	struct loop		*loop;
	struct activities	 activities;
	struct adit_component	 component;
	struct entry_shared	 shared;
	char			 tally[8];
	struct stage_member	 a, b, c;	/* b has not joined */
	struct visit_start	 start;		/* of the next visitors */
	bool			 later;		/* streams are not open when they are given */
	int			 refuse;	/* opens fail with this code */
	struct adit_conn	*waiting;	/* the last stream that was given later */
	unsigned		 opens;
	struct stage_stream	 streams[STAGE_STREAMS];
	struct wire_end		*visitors[8];
	unsigned		 n_visitors;
};

/* cmocka fixtures: *state is the stage. Teardown fails where a visit has not ended or a reference
 * is held. */
int stage_setup(void **state);
int stage_teardown(void **state);

/* From now on sessions say that their side passes the visitor's address on. */
void stage_visitor_address(struct stage *t);

/* The session of tunnel A leaves, or joins again. */
void stage_leave(struct stage *t);
void stage_join(struct stage *t);

/* b joins tunnel A, beside a, and is the only one to be chosen: its weight is 255. */
void stage_join_exclusive(struct stage *t);

/* The next visitors come with a's session chosen for them. */
void stage_choose_a(struct stage *t);

/* A visitor, served by HTTP. ip NULL: 192.0.2.1. */
struct wire_end *stage_visitor(struct stage *t, const char *ip);

/* Turns until nothing more happens. */
void stage_settle(struct stage *t);

/* Writes all of it, turning where the pair is full; then settles. */
void stage_say(struct stage *t, struct wire_end *end, const char *text);
void stage_say_bytes(struct stage *t, struct wire_end *end, const void *bytes, size_t len);

/* Closes, politely or with a reason; then settles. */
void stage_close(struct stage *t, struct wire_end *end, int why);

/*
 * Settles; exactly that has come since the last time, and neither end nor failure. A Date is left
 * out, here and below.
 */
void stage_expect(struct stage *t, struct wire_end *end, const char *text);

/* The same, and then the end. */
void stage_expect_last(struct stage *t, struct wire_end *end, const char *text);

/* Settles; what has come begins with text: it is taken away. */
void stage_expect_begin(struct stage *t, struct wire_end *end, const char *text);

/* Throws away what has come. */
void stage_forget(struct wire_end *end);

/* Turns until something has come, or the end, or a failure; fails the test after a while. */
void stage_await(struct stage *t, struct wire_end *end);

#endif
