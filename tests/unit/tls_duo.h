/*
 * Two ends of TLS and a wire between them that the test may cut, stall and change at any byte; and
 * the certificates that TLS tests share.
 */
#ifndef ADIT_TEST_TLS_DUO_H
#define ADIT_TEST_TLS_DUO_H

#include "core/conn/tls.h"
#include "tests/unit/loop.h"
#include "tests/unit/pki.h"

#define LIMIT 20000		/* ms: of a test that fails */
#define CAP 65536		/* of a wire's pairs */

/* Certificates and files; a group fixture. `server` is for gw.test and 127.0.0.1. */
struct duo_kit {
	char		*dir, *ca, *other_ca;
	struct pki_cert	*root, *other_root, *server, *expired, *client, *stray;
	char		*server_cert, *server_key, *expired_cert, *expired_key;
	char		*client_cert, *client_key, *stray_cert, *stray_key;
};
extern struct duo_kit duo_kit;

int duo_kit_setup(void **state);
int duo_kit_teardown(void **state);

/* Credentials that live until they are put. */
struct tls_creds *duo_creds(const struct adit_tls_conf *conf, enum tls_side side);

/* With the kit's server certificate. */
struct adit_tls_conf duo_server_conf(void);

/* "VersionTLS12" and "VersionTLS13", for a client's max_version. */
extern const char *const duo_versions[2];
#define EACH_VERSION(v) for (int v = 0; v < 2; v++)

/* One direction: how many bytes may pass, and what happens then. */
struct lane {
	struct adit_conn	*from, *to;
	size_t			 limit, passed;
	bool			 full, done;	/* `to` takes no more now; the end was passed on */
	bool			 stall;		/* at the limit: nothing more; else `why` */
	int			 why;		/* both far ends are closed with it, 0 politely */
	uint8_t			 flip;		/* changes the last byte that passes */
};

struct wire {
	struct lane	 up, down;		/* from the client, to the client */
	bool		 cut;
};

struct side {
	struct adit_conn	*c;
	bool			 open, ended;
	int			 err;
	uint8_t			*in;
	size_t			 in_len, in_stop;	/* reads until it has that much */
};

struct duo {
	struct loop	*l;
	struct wire	 wire;
	struct side	 client, server;
	struct adit_err	 e;
};

/* Cuts the wire: closes what both ends have below them. */
void wire_cut(struct wire *w, int why);

/* Makes s its conn's owner and waits for it to open; then side_wants has it read len bytes more. */
void side_own(struct side *s);
void side_wants(struct side *s, size_t len);

/* Conditions for loop_until; arg is the side. */
bool side_full(void *arg);		/* has what it wants, or no more will come */
bool side_done(void *arg);		/* the end or a failure was read */
bool side_failed(void *arg);

/*
 * Starts a handshake, over d's wire (zeroed, or with limits set). duo_start borrows credentials,
 * duo_open makes them, waits until both ends are open, and fails the test else.
 */
void duo_start(struct duo *d, struct loop *l, struct tls_creds *client, struct tls_creds *server,
	       const char *host);
void duo_new(struct duo *d, struct loop *l, const struct adit_tls_conf *client,
	     const struct adit_tls_conf *server);
void duo_open(struct duo *d, struct loop *l, const char *version);
void duo_free(struct duo *d);

/* Conditions for loop_until; arg is the duo. */
bool duo_settled(void *arg);		/* each end is open or has failed */
bool duo_failed(void *arg);		/* both have */

/* Sends text through. */
void duo_passes(struct side *from, struct side *to, const char *text, struct loop *l);

/* Fails the test unless want is in have. */
void duo_says(const char *have, const char *want);

#endif
