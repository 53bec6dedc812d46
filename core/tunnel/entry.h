/*
 * A public entry point of tunnels: one port for HTTP by Host and for TLS by SNI, told apart by the
 * first bytes. What is needed to know where a connection goes is read within a limit and given
 * back; TLS is not terminated.
 */
#ifndef ADIT_CORE_ENTRY_H
#define ADIT_CORE_ENTRY_H

#include <adit/plugin.h>

struct entry;
struct listen_book;

struct entry_conf {
	struct adit_component	*component;	/* the handler's */
	struct listen_book	*sockets;	/* the process's; must outlive the entry */
	const char		*addr;		/* to listen on */
	const char		*owner;		/* a name for the sockets: see listen_get_for */
	const char		*node;		/* this server's id, for the loop check; borrowed */

	/* The rule for a normalised host name, as that of an ingress. */
	int			(*lookup)(void *arg, struct adit_worker *w, const char *host,
					  struct adit_rule *out);
	/* After lookup's -EAGAIN: as that of an ingress; NULL: it has none. */
	int			(*wait)(void *arg, struct adit_worker *w, const char *host,
					struct adit_lookup *q);
	void			*arg;

	uint64_t		 read_timeout;	/* ns, for the first bytes of an answer */
	bool			 keepalive;	/* keep idle streams to clients for later */
	bool			 proxy_protocol;/* take a PROXY header in front, if there is one */
	struct adit_strings	 trusted;	/* addresses (a.b.c.d, a.b.c.d/n, v6) whose word
						 * about the client's is taken; borrowed */
};

/* Binds. NULL with e filled. Main thread; conf is copied. */
struct entry *entry_open(const struct entry_conf *conf, struct adit_err *e);
int entry_start(struct entry *n, struct adit_worker *w, struct adit_err *e);	/* on w */
void entry_stop(struct entry *n, struct adit_worker *w);			/* on w */
void entry_close(struct entry *n);		/* main thread; visits keep what they need */

/* Where it really listens. */
const struct adit_addr *entry_addr(const struct entry *n);

#endif
