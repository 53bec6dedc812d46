/*
 * A session of adit/1 between two endpoints of one worker, of which the test plays one side byte
 * for byte.
 */
#ifndef ADIT_TEST_NATIVE_RIG_H
#define ADIT_TEST_NATIVE_RIG_H

#include "core/service/component.h"
#include "core/wire/native.h"
#include "tests/unit/quic_rig.h"

#define NATIVE_TUNNEL "4d21094e-b74c-4916-86c1-d9fa36ea677b"

struct native_rig {
	struct quic_rig		*quic;
	struct loop		*loop;
	struct adit_mux		*client, *server;
	struct activities	 activities;
	struct adit_component	 component;	/* the handler's */
};

/* cmocka fixtures: *state is the rig. Teardown ends what is left of the component's activities. */
int native_rig_setup(void **state);
int native_rig_teardown(void **state);

/* A stream of m's own that begins with these bytes. */
struct adit_conn *native_rig_open(struct native_rig *t, struct adit_mux *m, const void *bytes,
				  size_t len);
void native_rig_send(struct native_rig *t, struct adit_conn *c, const void *bytes, size_t len);

/* Reads so many bytes, which must be these. */
void native_rig_expect(struct native_rig *t, struct adit_conn *c, const void *bytes, size_t len);

/* Reads one message. */
struct native_msg native_rig_message(struct native_rig *t, struct adit_conn *c);

/* Reads up to the end or the failure: 0, or that; the code of a reset in *code. */
int native_rig_end(struct native_rig *t, struct adit_conn *c, uint64_t *code);

bool native_rig_is_open(void *conn);	/* or has failed; for loop_until */

#endif
