/*
 * Tunnels: a tunnel is a pool of sessions under one name (a UUID's text, a group). The table is
 * shared by all workers: changes take its lock, readers follow an immutable snapshot. A session
 * belongs to one worker; from another one it is reached by number, through an in-process pair.
 */
#ifndef ADIT_TUNNEL_H
#define ADIT_TUNNEL_H

#include <adit/conn.h>
#include <adit/plugin.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ADIT_TUNNEL_NAME_MAX 255
#define ADIT_WEIGHT_EXCLUSIVE 255

/* What is asked of a tunnel. Borrowed for the call. */
struct adit_open {
	const char		*tunnel;	/* its name */
	enum adit_network	 network;
	struct adit_addr	 from;		/* the visitor; family 0: unknown */
	const char		*host;		/* what the visitor asked for; "" if nothing */
	uint16_t		 port;
	uint64_t		 session;	/* of adit_tunnel_pick, tried first; 0: none */

	/*
	 * The first bytes may be sent to more than one session, one after another, and to one that
	 * never answers: the conn, while it opens, takes some of them, which saves a round trip
	 * where the protocol can use that.
	 */
	bool			 early;

	/*
	 * A session whose conns are exchanges may answer with one (ADIT_CONN_EXCHANGE). Without
	 * that, or from another worker, it is a stream over which one request of HTTP/1.1 is
	 * served.
	 */
	bool			 exchange;
};

/* How a session opens a conn for a visitor; runs on the session's worker. */
typedef struct adit_conn *adit_session_open(void *session, const struct adit_open *req,
					    struct adit_err *e);

/* A session joining a tunnel. Strings are copied. */
struct adit_member {
	const char		*tunnel;
	enum adit_network	 network;
	unsigned		 weight;	/* 0: as 1; ADIT_WEIGHT_EXCLUSIVE: such alone */
	bool			 visitor_address;	/* its side passes the visitor's address on:
							 * never reuse one visitor's stream for
							 * another */
	struct adit_client	 client;
	adit_session_open	*open;
	void			*session;	/* open's; lives until adit_tunnel_leave */
};

/* Joins, on the session's worker. Returns its number (never 0), or 0: out of memory or a limit. */
uint64_t adit_tunnel_join(struct adit_worker *w, const struct adit_member *m);

/* Leaves; after this open is not called again. Same worker. 0 is fine. */
void adit_tunnel_leave(struct adit_worker *w, uint64_t number);

/*
 * A session in trouble (not answering) is out of rotation until it is well again: chosen only where
 * there is no other. Same worker.
 */
void adit_tunnel_set_usable(struct adit_worker *w, uint64_t number, bool usable);

/* A session that was chosen. */
struct adit_choice {
	uint64_t	session;	/* its number */
	unsigned	worker;		/* index of the one it belongs to */
	bool		visitor_address;	/* as its member's */
	bool		fresh;		/* heard within the last second: may be sent a request */
};

/*
 * Chooses a client by weight, and one of its sessions: one of w's, if there is any. 0, or
 * ADIT_ENOTUNNEL. Any worker; reads the snapshot only.
 */
int adit_tunnel_pick(struct adit_worker *w, const char *tunnel, enum adit_network network,
		     struct adit_choice *out);

/*
 * Opens a conn to a session of the tunnel, trying up to 3 of them. It may still be opening (a
 * session of another worker); it fails with ADIT_ENOTUNNEL when none is left. NULL with e filled.
 * served (may be NULL) tells which session was taken: written now, and again when another one had
 * to do it, so it has to stay where it is until the conn is open or closed.
 */
struct adit_conn *adit_tunnel_open(struct adit_worker *w, const struct adit_open *req,
				   struct adit_choice *served, struct adit_err *e);

#ifdef __cplusplus
}
#endif
#endif
