#include "core/proxy/auto_proxy.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/conn/conn.h"
#include "core/conn/peek.h"
#include "core/proxy/errand.h"
#include "core/wire/clienthello.h"
#include "core/wire/socks.h"

#define TLS_HANDSHAKE 0x16	/* how a record with a ClientHello begins (RFC 8446, 5.1) */

struct newcomer {
	struct adit_activity	 activity;
	const struct auto_conf	*conf;
	struct adit_conn	*conn;		/* owned, until it is given away */
	struct peek		 seen;
};

static void
newcomer_free(struct newcomer *n)
{
	adit_activity_end(&n->activity);
	peek_fini(&n->seen);
	free(n);
}

/* how: the conn is closed, after last words without an error: a reset would take them back. */
static void
newcomer_end(struct newcomer *n, int err, const char *text, int how)
{
	errand_log_none(n->activity.component, n->conn, err, text);
	adit_conn_close(n->conn, how);
	newcomer_free(n);
}

static void
newcomer_lose(struct newcomer *n, int err, const char *text)
{
	newcomer_end(n, err, text, err == -ETIMEDOUT ? 0 : err);
}

static void
newcomer_stop(struct adit_activity *a, int why)
{
	newcomer_lose(adit_container_of(a, struct newcomer, activity),
		      why ? why : ADIT_EDRAINING, NULL);
}

/* What was read goes back to the conn, which is the caller's. NULL: it could not; all is over. */
static struct adit_conn *
newcomer_release(struct newcomer *n)
{
	struct adit_conn *c = n->conn;
	int err = peek_give_back(&n->seen, c);

	if (err) {
		newcomer_lose(n, err, NULL);
		return NULL;
	}
	adit_conn_deadline(c, 0);
	adit_conn_own(c, NULL, NULL);
	adit_conn_want(c, 0);
	newcomer_free(n);
	return c;
}

/* ---- TLS --------------------------------------------------------------------------------- */

/*
 * The target's own words are the first. It may be this very service, to which the same hello would
 * go again, and again: anybody may send one, so that is noticed here.
 */
static int
tls_agree(void *arg, struct adit_conn **near, struct adit_conn *far)
{
	const struct adit_addr *here = adit_conn_local(*near);

	(void)arg;
	return here->port && adit_addr_equal(here, adit_conn_remote(far)) ? -ELOOP : 0;
}

static void
tls_send_alert(struct adit_conn *c, enum tls_alert alert)
{
	uint8_t record[CLIENTHELLO_ALERT_LEN];

	clienthello_alert(alert, record);
	conn_write_now(c, record, sizeof(record));
}

static void
tls_refuse(void *arg, struct adit_conn *near, int err)
{
	(void)arg;
	(void)err;
	tls_send_alert(near, TLS_ALERT_INTERNAL_ERROR);
	adit_conn_close(near, 0);
}

static const struct errand_ops tls_ops = { .agree = tls_agree, .refuse = tls_refuse };

static void
newcomer_refuse_tls(struct newcomer *n, int err, enum tls_alert alert, const char *text)
{
	tls_send_alert(n->conn, alert);
	newcomer_end(n, err, text, 0);
}

/* To the server that the hello names. It cannot be asked for credentials. True: n is settled. */
static bool
newcomer_look_tls(struct newcomer *n)
{
	struct adit_target to = { .network = ADIT_TCP, .port = 443 };
	const struct errand_conf conf = {
		.ops = &tls_ops, .handler = n->conf->handler, .to = &to,
		.idle = n->conf->idle_timeout,
	};
	struct clienthello hello;
	enum clienthello_result result = clienthello_parse(n->seen.buf, n->seen.len, &hello);
	struct adit_conn *c = NULL;

	if (result == CLIENTHELLO_MORE)
		return false;
	if (result == CLIENTHELLO_NO_NAME)
		newcomer_refuse_tls(n, ADIT_ENOROUTE, TLS_ALERT_UNRECOGNIZED_NAME,
				    "TLS without a server name");
	else if (result != CLIENTHELLO_FOUND)
		newcomer_refuse_tls(n, -EBADMSG, TLS_ALERT_DECODE_ERROR, "malformed TLS");
	else if (adit_component_authenticate(n->activity.component, NULL, 0, NULL, 0) != 0)
		newcomer_refuse_tls(n, ADIT_EUNAUTH, TLS_ALERT_INTERNAL_ERROR,
				    "TLS cannot be asked for credentials");
	else
		c = newcomer_release(n);
	to.host = hello.name;
	if (c)
		errand(c, &conf);
	return true;
}

/* ---- the first bytes ------------------------------------------------------------------------ */

/* True: n is settled, and nothing of it may be touched. */
static bool
newcomer_look(struct newcomer *n)
{
	const struct auto_conf *conf = n->conf;
	uint8_t first = n->seen.buf[0];
	struct adit_conn *c;

	if (first == TLS_HANDSHAKE)
		return newcomer_look_tls(n);
	c = newcomer_release(n);
	if (!c)
		return true;
	if ((first == SOCKS4_VERSION && conf->socks.v4) ||
	    (first == SOCKS5_VERSION && conf->socks.v5))
		socks_server(c, &conf->socks);
	else
		http_proxy(c, &conf->http);
	return true;
}

static void
newcomer_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct newcomer *n = owner;
	int err;

	(void)c;
	(void)events;
	for (;;) {
		err = peek_read(&n->seen, n->conn, CLIENTHELLO_MAX);
		if (err == -EAGAIN)
			return;
		if (err) {
			newcomer_lose(n, err, NULL);
			return;
		}
		if (newcomer_look(n))
			return;
	}
}

void
auto_proxy(struct adit_conn *c, const struct auto_conf *conf)
{
	struct newcomer *n = calloc(1, sizeof(*n));

	if (!n) {
		adit_conn_close(c, -ENOMEM);
		return;
	}
	n->conf = conf;
	n->conn = c;
	n->activity.stop = newcomer_stop;
	adit_activity_begin(&n->activity, conf->handler->component, adit_conn_worker(c));
	adit_conn_own(c, newcomer_event, n);
	adit_conn_deadline(c, (unsigned)(conf->read_timeout / ADIT_MS(1)));
	adit_conn_want(c, ADIT_READ);
}
