/*
 * Two QUIC endpoints of one worker over 127.0.0.1, with weather between them: packets get lost,
 * late, or come twice, by a seed of the test's own.
 */
#ifndef ADIT_TEST_QUIC_RIG_H
#define ADIT_TEST_QUIC_RIG_H

#include "core/conn/udp.h"
#include "core/mux/quic/quic.h"
#include "tests/unit/loop.h"

#define RIG_LIMIT 20000		/* ms, of a test that fails */
#define RIG_SESSIONS 64

/* Of 1000 datagrams sent. */
struct weather {
	unsigned	lost, late, twice;
	bool		cut;		/* nothing gets out */
	uint32_t	seed;
	unsigned	sent;		/* datagrams that were to leave */
	uint32_t	first, last;	/* versions of those with a long header */
	uint8_t		quote[ADIT_QUOTE_MAX];	/* how the last with a short one began */
	bool		deaf;		/* what the network says of peers does not get in; set
					 * before weather_new */
	struct adit_packet_conn *conn;	/* the one made with it last */
};

/* Takes lower. w is the test's and may change while it lasts. */
struct adit_packet_conn *weather_new(struct adit_packet_conn *lower, struct weather *w);

/* What comes in stays in the socket, until it may come again. On the worker of w->conn. */
void weather_dam(struct weather *w, bool dammed);

/* Somebody says t, as an ICMP message would. On the worker of w->conn. */
void weather_forge(struct weather *w, const struct adit_trouble *t);

struct quic_rig {
	struct loop		*l;
	struct tls_source	*server_tls, *client_tls;
	struct udp_conf		 udp;		/* of both */
	struct weather		 up, down;	/* what the client sends; what the server does */
	struct quic_conf	 conf;		/* of the server */
	struct quic_params	 params;	/* of the client's sessions */
	struct quic_endpoint	*server, *client;
	struct adit_addr	 at;		/* the server's */
	struct adit_mux		*accepted[RIG_SESSIONS];
	unsigned		 n_accepted;
};

/* cmocka fixtures: *state is the rig, whose confs may be changed before quic_rig_start. */
int quic_rig_setup(void **state);
int quic_rig_teardown(void **state);

/* The same on a loop of somebody else's. */
struct quic_rig *quic_rig_new(struct loop *l);
void quic_rig_free(struct quic_rig *r);

void quic_rig_start(struct quic_rig *r);
void quic_rig_start_server(struct quic_rig *r);	/* at r->at, if that has a port */
void quic_rig_stop_server(struct quic_rig *r);

/* One more endpoint, at a free port where at is NULL; the test's. */
struct quic_endpoint *quic_rig_endpoint(struct quic_rig *r, const struct quic_conf *conf,
					const struct adit_addr *at, struct weather *w);

struct adit_mux *quic_rig_connect(struct quic_rig *r);
struct adit_mux *quic_rig_connect_from(struct quic_rig *r, struct quic_endpoint *client);

/* Both ends of a session, open. */
void quic_rig_session(struct quic_rig *r, struct adit_mux **client, struct adit_mux **server);

bool quic_rig_until_open(struct quic_rig *r, struct adit_mux *m);
bool quic_rig_until_ended(struct quic_rig *r, struct adit_mux *m);

/* The next conn that the peer opened. */
struct adit_conn *quic_rig_accept(struct quic_rig *r, struct adit_mux *m);

/* A read that waits until it has something, an end or a failure. */
ssize_t quic_rig_read(struct quic_rig *r, struct adit_conn *c, void *buf, size_t len);

/* Both ends of a stream, of which one byte has passed. */
void quic_rig_stream(struct quic_rig *r, struct adit_mux *from, struct adit_mux *to,
                     struct adit_conn **a, struct adit_conn **b);

/* The server takes no more sessions; those there are go on. */
void quic_rig_drain(struct quic_rig *r);

/* Bytes that pass between a and b, each way, with ends; checks that they are intact. */
struct crossing {
	struct adit_conn	*from, *to;
	size_t			 want, sent, got;
	uint32_t		 seed;
	size_t			 piece;		/* bytes per write and read; 0: 16 KiB */
	bool			 shut, ended;
	bool			 bad;		/* a byte was not what it should be */
	int			 failed;
};

void crossing_start(struct crossing *x, struct adit_conn *from, struct adit_conn *to, size_t want);

/* Turns until all have ended, failed or limit ms have passed. */
bool crossings_run(struct quic_rig *r, struct crossing *x, size_t n, unsigned limit);

/* For loop_until: whether m has been heard since then. */
struct hearing {
	struct adit_mux	*m;
	uint64_t	 last;
};
bool has_heard(void *hearing);

/* n bytes in a stream that from opens, and half as many back; all must arrive whole. */
void quic_rig_cross(struct quic_rig *r, struct adit_mux *from, struct adit_mux *to, size_t n);

#endif
