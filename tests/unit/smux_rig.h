/*
 * One smux session, with the test as its peer: frames go in, what the session sends is looked at
 * frame by frame. All of it fails the running test when something else comes than was expected.
 */
#ifndef ADIT_TEST_SMUX_RIG_H
#define ADIT_TEST_SMUX_RIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/mux/smux_int.h"
#include "tests/unit/loop.h"

#define MIB 1048576u
#define LOOP_TEST(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)

struct rig {
	struct loop		*loop;
	struct adit_conn	*wire;		/* the peer's end; NULL once closed */
	struct adit_mux		*mux;
	uint8_t			*got;		/* what it sent and was not looked at yet */
	size_t			 got_len, got_cap, want;
	bool			 ended;		/* the session closed the wire */
};

/* gost's sizes for a tunnel, and nothing that depends on time. */
struct smux_conf quiet(bool client, unsigned version);

/* A session at the other end of a pair of cap bytes. */
struct rig rig_new(struct loop *l, const struct smux_conf *conf, size_t cap);

/* Begins to read what it sends; *r must not move from here on. */
void rig_start(struct rig *r);

/* Closes both ends that are still there. */
void rig_end(struct rig *r);

/* Stops reading the wire, or goes on. */
void rig_hold(struct rig *r, bool hold);

/* As the peer: bytes, a frame, a UPD. They turn the loop afterwards. */
void rig_send(struct rig *r, const void *buf, size_t len);
void rig_frame(struct rig *r, unsigned version, enum smux_cmd cmd, uint32_t id, const void *payload,
	       size_t len);
void rig_update(struct rig *r, uint32_t id, uint32_t consumed, uint32_t window);

/* Takes the next frame off r->got, if it is there whole; *payload lives until the next call. */
bool rig_next(struct rig *r, unsigned version, struct smux_frame *f, const uint8_t **payload);

/* The next frame must be this one; no frame must be there. */
void rig_expect(struct rig *r, unsigned version, enum smux_cmd cmd, uint32_t id, size_t len);
void rig_expect_update(struct rig *r, uint32_t id, uint32_t consumed, uint32_t window);
void rig_expect_nothing(struct rig *r);

/* A stream that the peer, or the session, opens; it must get that id. */
struct adit_conn *rig_peer_opens(struct rig *r, unsigned version, uint32_t id);
struct adit_conn *rig_opens(struct rig *r, unsigned version, uint32_t id);

/* len bytes that differ; the caller frees them. */
uint8_t *pattern(size_t len, unsigned seed);

/* Writes until the stream takes no more, at most len; returns how much it took. */
size_t fill(struct loop *l, struct adit_conn *c, size_t len);

/* Takes all frames that are there, which must be data of that stream; returns how many bytes. */
size_t count_data(struct rig *r, unsigned version, uint32_t id);

#endif
