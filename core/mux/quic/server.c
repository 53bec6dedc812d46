#include <errno.h>
#include <stdlib.h>

#include <gnutls/crypto.h>

#include "core/mux/quic/internal.h"

struct quic_server *
quic_server_current(const struct quic_endpoint *ep)
{
	struct quic_server *first = TAILQ_FIRST(&ep->servers);

	return first && !first->stopped ? first : NULL;
}

/* Tokens and resets are made with the keys of who takes what comes in. */
static void
servers_changed(struct quic_endpoint *ep)
{
	struct quic_server *now = quic_server_current(ep);

	if (now)
		ep->keys = now->keys;
}

static void
server_free(struct quic_server *s)
{
	TAILQ_REMOVE(&s->ep->servers, s, entry);
	gnutls_memset(&s->keys, 0, sizeof(s->keys));
	free(s);
}

struct quic_server *
quic_endpoint_serve(struct quic_endpoint *ep, const struct quic_conf *conf, struct adit_err *e)
{
	struct quic_server *s;
	int err;

	if (!conf->params.n_alpn) {
		adit_err_set(e, -EINVAL, "a QUIC listener needs an application protocol");
		return NULL;
	}
	s = calloc(1, sizeof(*s));
	if (!s) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	s->ep = ep;
	s->conf = (struct quic_conf){
		.accept = conf->accept, .failed = conf->failed, .over = conf->over,
		.admit = conf->admit, .arg = conf->arg, .params = conf->params,
	};
	err = quic_keys_derive(&s->keys, conf->secret, conf->secret_len);
	if (err < 0) {
		free(s);
		adit_err_set(e, err, "the secret for resets and tokens: at least 16 bytes");
		return NULL;
	}
	TAILQ_INSERT_HEAD(&ep->servers, s, entry);
	ep->serves = true;
	servers_changed(ep);
	return s;
}

void
quic_server_expect(struct quic_server *server, struct quic_session *s)
{
	s->taker = server;
	server->under_way++;
}

void
quic_server_settle(struct quic_session *s)
{
	struct quic_server *server = s->taker;

	s->taker = NULL;
	if (server && --server->under_way == 0 && server->stopped)
		io_ready(&server->ep->io, ADIT_WRITE);	/* who is told may close the endpoint */
}

static void
server_cut(struct quic_server *server)
{
	static const struct adit_reason stopped = { .err = ADIT_ESTOPPED };
	struct quic_session *s, *next;
	uint64_t now = adit_now();
	ngtcp2_ccerr words;

	ngtcp2_ccerr_default(&words);
	for (s = TAILQ_FIRST(&server->ep->sessions); s; s = next) {
		next = TAILQ_NEXT(s, all);
		if (s->taker == server)
			quic_session_end(s, &stopped, &words, now);
	}
}

bool
quic_server_stop(struct quic_server *s, bool cut)
{
	struct quic_endpoint *ep = s->ep;

	if (!s->stopped) {
		s->stopped = true;
		TAILQ_REMOVE(&ep->servers, s, entry);
		TAILQ_INSERT_TAIL(&ep->servers, s, entry);
		servers_changed(ep);
	}
	if (cut)
		server_cut(s);
	if (s->under_way)
		return false;
	server_free(s);
	return true;
}

void
quic_servers_reap(struct quic_endpoint *ep)
{
	struct quic_server *s, *next;

	for (s = TAILQ_FIRST(&ep->servers); s && !ep->io.closed; s = next) {
		struct quic_conf conf = s->conf;

		next = TAILQ_NEXT(s, entry);
		if (!s->stopped || s->under_way)
			continue;
		server_free(s);
		if (conf.over)
			conf.over(conf.arg);
	}
}

void
quic_servers_free(struct quic_endpoint *ep)
{
	while (!TAILQ_EMPTY(&ep->servers))
		server_free(TAILQ_FIRST(&ep->servers));
}
