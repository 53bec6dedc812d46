/*
 * Plugins: listeners, handlers, dialers, connectors, layers and ingresses. Each is a constant table
 * that begins with a struct adit_plugin. Built-ins stand in one array (plugins/builtin.c); a shared
 * object exports the same tables. An instance is one configured use; core allocates it zeroed,
 * fills its options by the rows, then calls init. Instances are immutable after init except for
 * what the plugin itself keeps per worker.
 *
 * Threads: init, fini, open and close run in the main thread. start and stop run on each worker.
 * The rest runs on the worker of the conn it is about.
 */
#ifndef ADIT_PLUGIN_H
#define ADIT_PLUGIN_H

#include <adit/conn.h>
#include <adit/mux.h>
#include <adit/opt.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ADIT_ABI 1

enum adit_kind {
	ADIT_LISTENER,
	ADIT_HANDLER,
	ADIT_DIALER,
	ADIT_CONNECTOR,
	ADIT_LAYER,
	ADIT_INGRESS,
	ADIT_STACK,
	ADIT_SESSION,
	ADIT_EITHER,
	ADIT_KINDS,
};

struct adit_plugin {
	uint32_t		 abi;		/* ADIT_ABI, checked before anything else is read */
	uint32_t		 size;		/* of the whole table: what lies beyond is NULL */
	enum adit_kind		 kind;
	const char		*name;		/* what `type:` and URL schemes call it */
	const char		*help;		/* one line */
	size_t			 instance;	/* bytes; the base struct of the kind comes first */
	const struct adit_opt	*opts;		/* rows, or NULL */
};

/*
 * Where an instance stands in the configuration: core's part of it. Reference counted; instances
 * are freed when the last conn that began with them has gone. Functions: any thread, unless said
 * otherwise.
 */
struct adit_component;

/* Takes and drops a reference: what outlives the call it was given p in holds one. */
void adit_component_get(struct adit_component *p);
void adit_component_put(struct adit_component *p);

/* The name of the service or node, and where to log; p's. */
const char *adit_component_name(const struct adit_component *p);
struct adit_log *adit_component_log(const struct adit_component *p);

/* The address of the node as it was written, for a dialer and its layers; p's. NULL: none. */
const char *adit_component_address(const struct adit_component *p);

/*
 * The `tls` block that belongs to this place. Paths are as written, relative to the working
 * directory.
 */
struct adit_tls_conf {
	const char		*cert_file, *key_file, *ca_file;
	bool			 secure;		/* verify the peer fully */
	const char		*server_name;
	const char		*min_version, *max_version;	/* "VersionTLS12" ... */
	struct adit_strings	 cipher_suites, alpn, server_names;
	bool			 reject_unknown_sni;
	const char		*common_name, *organization;	/* of a generated certificate */
	uint64_t		 validity;			/* ns */
};
const struct adit_tls_conf *adit_component_tls(const struct adit_component *p);	/* never NULL */

/* The credentials to present (dialers, connectors); false when none are configured. */
bool adit_component_auth(const struct adit_component *p, const char **user, const char **password);

/*
 * Checks credentials against `auth`, `auther` and `authers` of this place, in constant time. user
 * may be NULL: none were sent. Returns 0 (also where nothing is configured) or ADIT_EUNAUTH. It
 * does not block, so a password that is kept as a hash is right only for a while after it was
 * hashed.
 */
int adit_component_authenticate(const struct adit_component *p, const char *user, size_t user_len,
				const char *password, size_t password_len);

/*
 * For a listener or dialer of sessions: the protocol (ALPN) that the handler or connector behind it
 * speaks in them, to be offered before the transport's own ones; NULL: none. In init and later.
 */
const char *adit_component_protocol(const struct adit_component *p);

/*
 * For a handler with ports of its own: c, which came in there, counts among the connections of p's
 * service. 0, or ADIT_ELIMIT or -ENOMEM: it is to be refused. On c's worker.
 */
int adit_component_admit(struct adit_component *p, struct adit_conn *c);

/*
 * The same for a conn of users' bytes: it is as fast as p's service allows. 0 or -ENOMEM. On c's
 * worker.
 */
int adit_component_slow(struct adit_component *p, struct adit_conn *c);

/*
 * The same for a request, from who: 0, or in how many ns it would be let in: it is to be refused.
 * Any worker.
 */
uint64_t adit_component_delay(struct adit_component *p, const struct adit_addr *who);

/*
 * What is to be recorded of a connection, or of an HTTP request, that is over; all borrowed, and
 * left out where it is NULL or zero.
 */
struct adit_record {
	size_t				 size;		/* sizeof(struct adit_record) */
	uint64_t			 conn;		/* its id */
	const struct adit_addr		*remote;
	const char			*host, *user, *tunnel;
	const char			*err;		/* why it did not end well */
	struct adit_traffic		 traffic;
	uint64_t			 duration;	/* ns, until now */
	const struct adit_fields	*request;	/* of HTTP: its head */
	int				 status;	/* the same: of the response; 0: none */
};

/* Whether p's service records what its handler serves; then the other one does. Any thread. */
bool adit_component_records(const struct adit_component *p);
void adit_component_record(const struct adit_component *p, const struct adit_record *record);

/* Keeps p referenced for c's life and gives c its service name. */
void adit_conn_set_component(struct adit_conn *c, struct adit_component *p);

/*
 * Something that goes on for a service on one worker: a handshake, a session, a joined pair of
 * conns. It is counted while it lasts, so that a service that stops knows when it is done, and is
 * stopped when the limit for that is over. Embedded in what goes on; all on its worker.
 */
struct adit_activity {
	/*
	 * why 0: the service drains, begin nothing new and end when what is open has ended (asked
	 * again and again). Else end now, with that reason. Ends as it always does, with
	 * adit_activity_end, in this call or soon after. Called by the loop.
	 */
	void			(*stop)(struct adit_activity *a, int why);
	struct adit_component	*component;			/* core's, below too; referenced */
	struct adit_activity	*next, **prev;
	bool			 idle;	/* set before begin: nobody waits for it, and it is ended
					 * (why not 0) once all has that is waited for */
};

/* Counts a, whose stop is set, from now on; end does so no more, also before begin, or twice. */
void adit_activity_begin(struct adit_activity *a, struct adit_component *p, struct adit_worker *w);
void adit_activity_end(struct adit_activity *a);

/*
 * Whether p's service drains because another one of its name has just taken its place: who is told
 * finds that one, so for these seconds nobody need be sent away who is not through, or was not told
 * yet. Any thread.
 */
bool adit_component_has_grace(const struct adit_component *p);

/* ---- where to ------------------------------------------------------------------ */

enum adit_network { ADIT_TCP, ADIT_UDP, ADIT_UNIX };

/*
 * Whose session it is: 16 bytes, random, that all sessions of one client's bind share, which then
 * count as one when visitors are spread by weight. All zero: it is alone.
 */
struct adit_client {
	uint8_t	id[16];
};

/* Of datagrams that come in for many, who are told apart by their addresses alone. */
struct adit_flow_limits {
	uint64_t	ttl;		/* ns of silence that end a flow */
	unsigned	backlog;	/* flows that nobody has read yet */
	unsigned	queue;		/* datagrams of one flow that wait to be read */
	size_t		largest;	/* bytes of a datagram; longer ones are dropped */
};

struct adit_target {
	enum adit_network	 network;
	const char		*host;		/* a name or a literal; for ADIT_UNIX a path */
	uint16_t		 port;
	const char		*name;		/* what host was looked up from, where it was */
	const struct adit_addr	*addrs;		/* all that was found then; else NULL */
	size_t			 n_addrs;
	bool			 visitor_address;	/* of a bind: what becomes of a conn depends
							 * on who it is of: it must not serve one
							 * visitor after another */
	struct adit_client	 client;	/* to bind: whose session it will be; zero: alone */
	unsigned		 lane;		/* to bind: as adit_dial's */
	struct adit_flow_limits	 flows;		/* to bind for UDP: where the node does not say
						 * whose what is, and when he is through */
};

/* ---- layers ---------------------------------------------------------------------- */

struct adit_layer;

struct adit_layer_ops {
	struct adit_plugin base;

	/*
	 * A conn over lower, which it owns from now on, also on failure (NULL, e filled). lower may
	 * still be opening. host: the name that was dialed, for what the layer verifies or sends.
	 */
	struct adit_conn *(*client)(struct adit_layer *l, struct adit_conn *lower, const char *host,
				    struct adit_err *e);
	struct adit_conn *(*server)(struct adit_layer *l, struct adit_conn *lower,
				    struct adit_err *e);

	/* optional */
	int	(*init)(struct adit_layer *l, struct adit_err *e);
	void	(*fini)(struct adit_layer *l);		/* also after a failed init */

	/*
	 * Whether a client that begins with these bytes (at least one) speaks this layer: 1, 0, or
	 * -EAGAIN: that takes more of them. For listeners that serve clients with and without it.
	 */
	int	(*begins)(struct adit_layer *l, const uint8_t *bytes, size_t len);
};

struct adit_layer {				/* first member of every instance */
	const struct adit_layer_ops	*ops;
	struct adit_component		*component;
	bool				 server;	/* whether server or client will be called;
							 * set before init, which may fail for one
							 * and not the other */
	uint64_t			 patience;	/* ns for its handshake, as a server's: core
							 * adds those of a stack; set by init; 0:
							 * core's default */
};

/* ---- sessions ------------------------------------------------------------------- */

struct adit_session;

struct adit_session_ops {
	struct adit_plugin base;

	/*
	 * A session over lower, which it owns from now on, also on failure (NULL, e filled). lower
	 * may still be opening; streams may be opened at once, and are open with it. host: as for
	 * layers. What the server's side accepts is open.
	 */
	struct adit_mux	*(*client)(struct adit_session *s, struct adit_conn *lower,
				   const char *host, struct adit_err *e);
	struct adit_mux	*(*server)(struct adit_session *s, struct adit_conn *lower,
				   struct adit_err *e);

	/* optional */
	int	(*init)(struct adit_session *s, struct adit_err *e);
	void	(*fini)(struct adit_session *s);	/* also after a failed init */
};

struct adit_session {				/* first member of every instance */
	const struct adit_session_ops	*ops;
	struct adit_component		*component;
	bool				 server;	/* as a layer's */
	uint64_t			 patience;	/* ns for a peer's first word: a client's
							 * first stream, a server's first byte; set
							 * by init; 0: core's default */
};

/*
 * A listener and dialer that is nothing but a base, layers over it and perhaps a session at the
 * end: tls, ws, wss, mtcp, mtls, mws, mwss are rows of this. Its options are those of all its
 * parts.
 */
struct adit_stack {
	struct adit_plugin	 base;		/* instance 0, opts NULL */
	const char		*over;		/* a listener and dialer of streams, as "tcp" */
	const char		*layers[4];	/* from below to above; ended by NULL */
	const char		*mux;		/* NULL, or the session at the end */
};

/*
 * A listener and dialer that is several others (auto). The listener takes streams, with each layer
 * of `told` only where a client's first bytes say so, and listens at the same address as `beside`.
 * The dialer tries the others, the first ones first, and goes by what gets through. Its options are
 * those of all.
 */
struct adit_either {
	struct adit_plugin	 base;		/* instance 0; opts: of the dialer's choosing */
	const struct adit_stack	*told;		/* of this alone: it needs no name; NULL: no
						 * listener */
	const char		*beside;	/* a listener of another network than told's */
	const char		*dialers[4];	/* ended by NULL; none: no dialer */
};

/* ---- listeners ------------------------------------------------------------------- */

struct adit_listener;

struct adit_listener_ops {
	struct adit_plugin base;

	/*
	 * Makes it ready to accept (binds sockets) without accepting yet. 0, or a failure with e
	 * filled, here and below. Main thread.
	 */
	int	(*open)(struct adit_listener *l, struct adit_err *e);
	/* Accepts on that worker, handing each conn to adit_accept. */
	int	(*start)(struct adit_listener *l, struct adit_worker *w, struct adit_err *e);
	/* Accepts no more there; what was accepted goes on. */
	void	(*stop)(struct adit_listener *l, struct adit_worker *w);
	/* After stop on all workers. Main thread. */
	void	(*close)(struct adit_listener *l);

	/* optional; fini also after a failed init */
	int	(*init)(struct adit_listener *l, struct adit_err *e);
	void	(*fini)(struct adit_listener *l);
	/*
	 * Where it really listens, between open and close: the log says it. NULL: nowhere of its
	 * own. Any thread.
	 */
	const struct adit_addr *(*local)(const struct adit_listener *l);
	/* "tcp" or "udp", for the log; NULL: "tcp". */
	const char *network;
	/*
	 * The configuration that it is part of is in force now, and cannot be refused any more:
	 * only from here on may it change what it took over from the one before (a socket). Main
	 * thread.
	 */
	void	(*settle)(struct adit_listener *l);
	/*
	 * Whether it accepts by now, where that takes more than start: what it replaces at a reload
	 * goes on until then, for some seconds. NULL: yes. Any thread.
	 */
	bool	(*ready)(const struct adit_listener *l);
};

struct adit_listener {				/* first member of every instance */
	const struct adit_listener_ops	*ops;
	struct adit_component		*component;
	const char			*addr;		/* as configured */
};

/*
 * Hands over a conn that was accepted (it may still be opening: a handshake). Core puts the layers
 * of the stack over it and gives it to the service's handler when open, within the handshake's
 * limit.
 */
void adit_accept(struct adit_listener *l, struct adit_conn *c);

/*
 * Whether the service's admissions let in who stands there, as far as that is known before there is
 * a conn: adit_accept asks them in any case. For listeners whom a conn costs something. Any worker.
 */
bool adit_listener_admits(const struct adit_listener *l, const struct adit_addr *peer);

/* ---- handlers -------------------------------------------------------------------- */

struct adit_handler;

struct adit_handler_ops {
	struct adit_plugin base;

	/* Takes c, open, on its worker. */
	void	(*handle)(struct adit_handler *h, struct adit_conn *c);

	/* optional, as for listeners: a handler may have ports of its own */
	int	(*init)(struct adit_handler *h, struct adit_err *e);
	void	(*fini)(struct adit_handler *h);
	int	(*open)(struct adit_handler *h, struct adit_err *e);
	int	(*start)(struct adit_handler *h, struct adit_worker *w, struct adit_err *e);
	/* Drain: no new work on w; sessions are told; what is open goes on until the limit. */
	void	(*stop)(struct adit_handler *h, struct adit_worker *w);
	void	(*close)(struct adit_handler *h);
	/* Whether it passes a conn's remote address on, as in a PROXY header. NULL: no. */
	bool	(*shows_visitor)(const struct adit_handler *h);

	/* optional: a protocol (ALPN) of its own in sessions, beside what it speaks in streams */
	const char *protocol;

	/* It asks who comes for credentials (adit_component_authenticate): `auth` may be given. */
	bool authenticates;
};

struct adit_handler {				/* first member of every instance */
	const struct adit_handler_ops	*ops;
	struct adit_component		*component;
};

/* Which nodes of a forwarder were tried for one visitor. Zeroed: none. To be handed on alone. */
struct adit_tried {
	unsigned		n;
	uint64_t		nodes[4];	/* by their index, as far as that is known */
};

/*
 * Opens a conn to one of the nodes of the handler's forwarder (filter, matcher, selector) through
 * the handler's chain. visitor says who asks for what (adit_conn_asked), borrowed for the call. The
 * node is none of tried, which it is added to: called again when the conn that it gave could not be
 * opened, it gives another. NULL with e filled: there is no node, or none left that can be dialed.
 */
struct adit_conn *adit_forward(struct adit_handler *h, struct adit_conn *visitor,
			       struct adit_tried *tried, struct adit_err *e);

/*
 * Whether the bypasses of the service that p is of leave that target to it; a host NULL or "" is
 * not known, and passes. Any worker.
 */
bool adit_component_allows(const struct adit_component *p, const struct adit_target *to);

/*
 * Opens a conn to a target of the handler's own choice, through its chain. visitor says who asks,
 * borrowed for the call. It may still be opening; NULL with e filled: ADIT_EFORBIDDEN where
 * adit_component_allows says no. On visitor's worker.
 */
struct adit_conn *adit_handler_dial(struct adit_handler *h, const struct adit_conn *visitor,
				    const struct adit_target *to, struct adit_err *e);

/* ---- dialers ---------------------------------------------------------------------- */

struct adit_dialer;

/* What a dialer is asked for; borrowed for the call. */
struct adit_dial {
	struct adit_worker	*worker;	/* the calling one */
	const char		*host;		/* of the node's address; a name or a literal */
	uint16_t		 port;
	const struct adit_addr	*addrs;		/* host's, that were looked up already, best first;
						 * NULL: the dialer looks it up */
	size_t			 n_addrs;
	struct adit_conn	*via;		/* what the hops before opened to that address, the
						 * dialer's from now on (also on failure); NULL:
						 * dial it */
	unsigned		 lane;		/* conns of different lanes share no connection and,
						 * where the server can tell, no core of it */
};

struct adit_dialer_ops {
	struct adit_plugin base;

	/* A conn that is still opening, or NULL with e filled. */
	struct adit_conn *(*dial)(struct adit_dialer *d, const struct adit_dial *req,
				  struct adit_err *e);

	/* optional, as for listeners */
	int	(*init)(struct adit_dialer *d, struct adit_err *e);
	void	(*fini)(struct adit_dialer *d);
	/*
	 * What it keeps on that worker (sessions) is let go, for good: no service dials by it any
	 * more. Conns that are streams of such a session end with it.
	 */
	void	(*stop)(struct adit_dialer *d, struct adit_worker *w);
	/* "udp": what other hops opened is no way for it, if that are bytes; NULL: "tcp". */
	const char *network;
};

struct adit_dialer {				/* first member of every instance */
	const struct adit_dialer_ops	*ops;
	struct adit_component		*component;
};

/*
 * The node has said that it goes: others of its hop are taken first for a while, as after a
 * failure. Any thread.
 */
void adit_dialer_say_leaving(struct adit_dialer *d);

/* ---- connectors -------------------------------------------------------------------- */

struct adit_connector;

struct adit_connector_ops {
	struct adit_plugin base;

	/*
	 * Asks the node behind lower (owned from now on, also on failure; perhaps still opening) to
	 * reach to. The conn returned is open when the node agreed; NULL with e filled. visitor:
	 * who it is for, or NULL.
	 */
	struct adit_conn *(*connect)(struct adit_connector *n, struct adit_conn *lower,
				     const struct adit_target *to, const struct adit_addr *visitor,
				     struct adit_err *e);

	/*
	 * Asks the node to send us what arrives at address; NULL (ops) where the protocol cannot.
	 * The mux is open when the node agreed; its conns carry remote and asked. NULL with e
	 * filled on failure.
	 */
	struct adit_mux *(*bind)(struct adit_connector *n, struct adit_conn *lower,
				 const struct adit_target *address, struct adit_err *e);

	/* optional, as for listeners */
	int	(*init)(struct adit_connector *n, struct adit_err *e);
	void	(*fini)(struct adit_connector *n);

	/* optional: as a handler's */
	const char *protocol;
};

struct adit_connector {				/* first member of every instance */
	const struct adit_connector_ops	*ops;
	struct adit_component		*component;
};

/*
 * Binds address through the listener's chain: dials its nodes, then the last connector's bind. NULL
 * with e filled. On w.
 */
struct adit_mux *adit_listener_bind(struct adit_listener *l, struct adit_worker *w,
				    const struct adit_target *address, struct adit_err *e);

/*
 * Whether it could, as far as the configuration says: for init. 0, or ADIT_ECONFIG with e filled.
 */
int adit_listener_can_bind(const struct adit_listener *l, struct adit_err *e);

/* ---- ingresses ---------------------------------------------------------------------- */

struct adit_ingress;

/* Where a host name leads. */
struct adit_rule {
	struct adit_uuid	tunnel;
	bool			private_;	/* not for public entry points */
};

/* Somebody who waits for what an ingress does not know yet: embedded, zeroed. All on one worker. */
struct adit_lookup {
	void			(*known)(struct adit_lookup *q);	/* set by who waits */
	const char		*service;	/* for whom: its name; borrowed */
	uint16_t		 port;		/* that came with the host, or is meant; 0: none */
	struct adit_lookup	*next, **prev;	/* the ingress's */
};

/* Waits no more; also of one that does not wait. */
void adit_lookup_end(struct adit_lookup *q);

/* A tunnel that is there, and a name that it may be reached by. Borrowed for the call. */
struct adit_offer {
	const char		*host, *service;
	struct adit_uuid	 tunnel;
};

struct adit_ingress_ops {
	struct adit_plugin base;

	/*
	 * The rule for host (normalised: lower case, no port, no trailing dot) at the service of
	 * that name. 0; ADIT_ENOROUTE; ADIT_ENORULES: it cannot be said now; -EAGAIN, where there
	 * is wait: that has to be waited for. On any worker, at the same time.
	 */
	int	(*lookup)(struct adit_ingress *i, struct adit_worker *w, const char *service,
			  const char *host, struct adit_rule *out);

	/* optional, as for listeners */
	int	(*init)(struct adit_ingress *i, struct adit_err *e);
	void	(*fini)(struct adit_ingress *i);

	/*
	 * After lookup's -EAGAIN: 0, and q->known is called by the loop, once, when lookup knows
	 * more, unless adit_lookup_end(q) before; or a failure, and it is not. On w.
	 */
	int	(*wait)(struct adit_ingress *i, struct adit_worker *w, const char *host,
			struct adit_lookup *q);

	/* A tunnel was bound that may get a rule, where rules can be made. On w. */
	void	(*offer)(struct adit_ingress *i, struct adit_worker *w,
			 const struct adit_offer *offer);
};

struct adit_ingress {				/* first member of every instance */
	const struct adit_ingress_ops	*ops;
	struct adit_component		*component;
};

#ifdef __cplusplus
}
#endif
#endif
