#include "core/conn/ws_handshake.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <adit/worker.h>

#include "core/http/fields.h"
#include "core/http/h1.h"
#include "core/http/h1_write.h"

#define GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define VERSION "13"

/* ---- policies ------------------------------------------------------------------- */

static bool
is_ours(const char *name)
{
	static const char *const ours[] = {
		"Host", "Connection", "Upgrade", "Content-Length", "Transfer-Encoding",
		"Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Accept",
		"Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol",
	};

	for (size_t i = 0; i < sizeof(ours) / sizeof(*ours); i++)
		if (strcasecmp(name, ours[i]) == 0)
			return true;
	return false;
}

static struct adit_text
text_of(const char *s)
{
	return (struct adit_text){ s, strlen(s) };
}

static int
policy_add_header(struct ws_policy *p, const struct adit_pairs *header, struct adit_err *e)
{
	for (size_t i = 0; i < header->n; i++) {
		const char *name = header->name[i], *value = header->value[i];
		int err;

		if (is_ours(name))
			return adit_err_set(e, ADIT_ECONFIG,
					    "header: %s is said by the handshake itself", name);
		err = adit_fields_add(p->extra, text_of(name), text_of(value));
		if (err == -ENOMEM)
			return adit_err_set(e, err, "out of memory");
		if (err < 0)
			return adit_err_set(e, ADIT_ECONFIG, "header: %s: no such field", name);
	}
	return 0;
}

/* Of what a request line and a Host field can carry: RFC 3986, 2; a target is ASCII. */
static bool
is_plain(const char *s)
{
	for (; *s; s++)
		if (*s <= ' ' || *s >= 127 || *s == '#')
			return false;
	return true;
}

static int
policy_fill(struct ws_policy *p, const struct ws_conf *conf, struct adit_err *e)
{
	const char *path = conf->path && *conf->path ? conf->path : "/ws";

	if (*path != '/' || !is_plain(path) || strchr(path, '?'))
		return adit_err_set(e, ADIT_ECONFIG, "path: expected one like \"/ws\", not \"%s\"",
				    path);
	if (conf->host && !is_plain(conf->host))
		return adit_err_set(e, ADIT_ECONFIG, "host: expected a name, not \"%s\"",
				    conf->host);
	p->conf.path = strdup(path);
	p->conf.host = conf->host && *conf->host ? strdup(conf->host) : NULL;
	p->extra = adit_fields_new();
	if (!p->conf.path || !p->extra || (conf->host && *conf->host && !p->conf.host))
		return adit_err_set(e, -ENOMEM, "out of memory");
	return policy_add_header(p, &conf->header, e);
}

struct ws_policy *
ws_policy_new(const struct ws_conf *conf, struct adit_err *e)
{
	struct ws_policy *p = calloc(1, sizeof(*p));

	if (!p) {
		adit_err_set(e, -ENOMEM, "out of memory");
		return NULL;
	}
	atomic_init(&p->refs, 1);
	p->conf = *conf;
	p->conf.path = p->conf.host = NULL;
	p->conf.header = (struct adit_pairs){ .n = 0 };
	if (!p->conf.random)
		p->conf.random = adit_random;
	if (policy_fill(p, conf, e) == 0)
		return p;
	ws_policy_put(p);
	return NULL;
}

struct ws_policy *
ws_policy_get(struct ws_policy *p)
{
	atomic_fetch_add_explicit(&p->refs, 1, memory_order_relaxed);
	return p;
}

void
ws_policy_put(struct ws_policy *p)
{
	if (!p || atomic_fetch_sub_explicit(&p->refs, 1, memory_order_acq_rel) != 1)
		return;
	free((void *)(uintptr_t)p->conf.path);
	free((void *)(uintptr_t)p->conf.host);
	adit_fields_free(p->extra);
	free(p);
}

/* ---- keys ----------------------------------------------------------------------- */

/* 0 or -ENOMEM; out has room for it and the terminator. */
static int
to_base64(const void *bytes, size_t len, char *out, size_t size)
{
	const gnutls_datum_t raw = { (void *)(uintptr_t)bytes, (unsigned)len };
	gnutls_datum_t text;

	if (gnutls_base64_encode2(&raw, &text) < 0)
		return -ENOMEM;
	snprintf(out, size, "%.*s", (int)text.size, (const char *)text.data);
	gnutls_free(text.data);
	return 0;
}

/* RFC 6455, 4.2.2: SHA-1 here proves that a WebSocket was meant, and nothing else. */
static int
answer_key(const char *key, size_t len, char accept[WS_ACCEPT_TEXT])
{
	char joined[WS_KEY_TEXT + sizeof(GUID)];
	uint8_t digest[20];

	snprintf(joined, sizeof(joined), "%.*s" GUID, (int)len, key);
	if (gnutls_hash_fast(GNUTLS_DIG_SHA1, joined, strlen(joined), digest) < 0)
		return -ENOMEM;
	return to_base64(digest, sizeof(digest), accept, WS_ACCEPT_TEXT);
}

/* Whether it is 16 bytes in base64. */
static bool
is_key(struct adit_text key)
{
	const gnutls_datum_t text = { (void *)(uintptr_t)key.s, (unsigned)key.len };
	gnutls_datum_t raw;
	bool right;

	if (key.len != WS_KEY_TEXT - 1 || gnutls_base64_decode2(&text, &raw) < 0)
		return false;
	right = raw.size == WS_NONCE;
	gnutls_free(raw.data);
	return right;
}

int
ws_answer_key(struct adit_text key, char accept[WS_ACCEPT_TEXT])
{
	return is_key(key) ? answer_key(key.s, key.len, accept) : -EBADMSG;
}

int
ws_make_key(const uint8_t nonce[WS_NONCE], char key[WS_KEY_TEXT], char accept[WS_ACCEPT_TEXT])
{
	int err = to_base64(nonce, WS_NONCE, key, WS_KEY_TEXT);

	return err ? err : answer_key(key, strlen(key), accept);
}

/* ---- what both check ------------------------------------------------------------ */

/* The value of a field that must stand there once; NULL text else. */
static struct adit_text
only(const struct adit_fields *f, const char *name)
{
	struct adit_text found = { NULL, 0 };
	unsigned n = 0;

	for (size_t i = 0; i < adit_fields_count(f); i++) {
		const struct adit_field *field = adit_fields_at(f, i);

		if (http_text_equal(field->name, name, strlen(name)) && !n++)
			found = field->value;
	}
	return n == 1 ? found : (struct adit_text){ NULL, 0 };
}

static bool
equals(struct adit_text t, const char *s)
{
	return t.s && t.len == strlen(s) && memcmp(t.s, s, t.len) == 0;
}

static bool
is_websocket(const struct adit_fields *f)
{
	return adit_fields_has(f, "Connection", "upgrade") &&
	       adit_fields_has(f, "Upgrade", "websocket");
}

/* ---- the client ----------------------------------------------------------------- */

/* Fields that were added win over ours: 0 if there is one. */
static int
add_unless(struct adit_fields *f, const struct adit_fields *extra, const char *name,
	   const char *value)
{
	struct adit_text given = adit_fields_get(extra, name);

	return adit_fields_add(f, text_of(name), given.s ? given : text_of(value));
}

static int
add_extra(struct adit_fields *f, const struct adit_fields *extra, const char *but)
{
	int err = 0;

	for (size_t i = 0; !err && i < adit_fields_count(extra); i++) {
		const struct adit_field *field = adit_fields_at(extra, i);

		if (!but || !http_text_equal(field->name, but, strlen(but)))
			err = adit_fields_add(f, field->name, field->value);
	}
	return err;
}

static int
fill_request(struct adit_fields *f, const struct ws_policy *p, const char *host, const char *key)
{
	const char *authority = p->conf.host ? p->conf.host : host ? host : "";
	int err = adit_fields_set_control(f, ADIT_METHOD, "GET", 3);

	if (!err)
		err = adit_fields_set_control(f, ADIT_TARGET, p->conf.path, strlen(p->conf.path));
	if (!err)
		err = adit_fields_set_control(f, ADIT_AUTHORITY, authority, strlen(authority));
	if (!err)
		err = add_unless(f, p->extra, "User-Agent", "adit/" ADIT_VERSION);
	if (!err)
		err = adit_fields_set(f, "Connection", "Upgrade");
	if (!err)
		err = adit_fields_set(f, "Sec-WebSocket-Key", key);
	if (!err)
		err = adit_fields_set(f, "Sec-WebSocket-Version", VERSION);
	if (!err)
		err = adit_fields_set(f, "Upgrade", "websocket");
	return err ? err : add_extra(f, p->extra, "User-Agent");
}

int
ws_write_request(struct queue *q, const struct ws_policy *p, const char *host,
		 char accept[WS_ACCEPT_TEXT])
{
	struct h1_message m = { .asked = H1_ASKED_UPGRADE, .end = true, .keep = true };
	struct adit_fields *f = adit_fields_new();
	uint8_t nonce[WS_NONCE];
	char key[WS_KEY_TEXT];
	int err = f ? 0 : -ENOMEM;

	p->conf.random(nonce, sizeof(nonce));
	if (!err)
		err = ws_make_key(nonce, key, accept);
	if (!err)
		err = fill_request(f, p, host, key);
	if (!err)
		err = h1_write_request(q, f, &m);
	adit_fields_free(f);
	return err;
}

int
ws_check_response(const struct adit_fields *f, const char *accept, char *why, size_t size)
{
	int status = adit_fields_status(f);
	struct adit_text reason = adit_fields_control(f, ADIT_REASON);

	if (status != 101)
		snprintf(why, size, "the server refused the WebSocket: %d %.*s", status,
			 (int)(reason.len < 64 ? reason.len : 64), reason.s ? reason.s : "");
	else if (!is_websocket(f))
		snprintf(why, size, "the server's 101 is not for a WebSocket");
	else if (!equals(only(f, "Sec-WebSocket-Accept"), accept))
		snprintf(why, size, "the server's Sec-WebSocket-Accept does not answer our key");
	else if (adit_fields_get(f, "Sec-WebSocket-Extensions").s)
		snprintf(why, size, "the server uses a WebSocket extension that was not offered");
	else if (adit_fields_get(f, "Sec-WebSocket-Protocol").s)
		snprintf(why, size, "the server chose a subprotocol, and none was offered");
	else
		return 0;
	return -EPROTO;
}

/* ---- the server ----------------------------------------------------------------- */

/* Whether the target's path, without a query, is that one. */
static bool
path_is(const struct adit_fields *f, const char *path)
{
	struct adit_text target = adit_fields_control(f, ADIT_TARGET);
	const char *query = target.s ? memchr(target.s, '?', target.len) : NULL;

	if (query)
		target.len = (size_t)(query - target.s);
	return equals(target, path);
}

static int
refuse(int status, const char *text, const char **why)
{
	*why = text;
	return status;
}

int
ws_check_request(const struct adit_fields *f, const struct ws_policy *p,
		 char accept[WS_ACCEPT_TEXT], const char **why)
{
	struct adit_text key = only(f, "Sec-WebSocket-Key");
	int err;

	if (!path_is(f, p->conf.path))
		return refuse(404, "404 page not found", why);
	if (!equals(adit_fields_control(f, ADIT_METHOD), "GET"))
		return refuse(405, "a WebSocket begins with GET", why);
	if (adit_fields_version(f) < 11 || !is_websocket(f))
		return refuse(400, "no upgrade to websocket was asked for", why);
	if (!equals(only(f, "Sec-WebSocket-Version"), VERSION))
		return refuse(426, "another version of the WebSocket protocol", why);
	if (!key.s && adit_fields_get(f, "Sec-WebSocket-Key").s)
		return refuse(400, "more than one Sec-WebSocket-Key", why);
	if (!key.s)
		return refuse(400, "Sec-WebSocket-Key is missing", why);
	err = ws_answer_key(key, accept);
	if (err == -EBADMSG)
		return refuse(400, "Sec-WebSocket-Key is not 16 bytes in base64", why);
	if (err < 0)
		return refuse(503, "out of memory", why);
	*why = NULL;
	return 101;
}

static int
fill_refusal(struct adit_fields *f, int status, const char *text)
{
	char length[24];
	int err = adit_fields_set(f, "Content-Type", "text/plain; charset=utf-8");

	if (!err && (status == 400 || status == 426))
		err = adit_fields_set(f, "Sec-WebSocket-Version", VERSION);
	if (!err && status == 426)		/* RFC 9110, 15.5.22 */
		err = adit_fields_set(f, "Upgrade", "websocket");
	if (!err && status == 426)
		err = adit_fields_set(f, "Connection", "Upgrade");
	if (!err && status == 405)
		err = adit_fields_set(f, "Allow", "GET");
	snprintf(length, sizeof(length), "%zu", strlen(text) + 1);
	return err ? err : adit_fields_set(f, "Content-Length", length);
}

static int
fill_agreement(struct adit_fields *f, const struct ws_policy *p, const char *accept)
{
	int err = adit_fields_set(f, "Upgrade", "websocket");

	if (!err)
		err = adit_fields_set(f, "Connection", "Upgrade");
	if (!err)
		err = adit_fields_set(f, "Sec-WebSocket-Accept", accept);
	return err ? err : add_extra(f, p->extra, NULL);
}

int
ws_write_response(struct queue *q, const struct ws_policy *p, int status, const char *accept,
		  const char *why)
{
	struct h1_message m = {
		.asked = H1_ASKED_UPGRADE, .peer_version = 11, .keep = status == 101,
	};
	struct adit_fields *f = adit_fields_new();
	int err = f ? 0 : -ENOMEM;

	if (!err)
		err = status == 101 ? fill_agreement(f, p, accept) : fill_refusal(f, status, why);
	if (!err) {
		adit_fields_set_status(f, status);
		err = h1_write_response(q, f, &m);
	}
	if (!err && status != 101 &&
	    (queue_add(q, why, strlen(why)) < strlen(why) || queue_add(q, "\n", 1) < 1))
		err = -ENOMEM;
	adit_fields_free(f);
	return err;
}
