#include "core/http/upgrade.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include <adit/worker.h>

#include "core/http/fields.h"
#include "core/http/h1.h"

#define WEBSOCKET "websocket"

static bool
text_is(struct adit_text t, const char *s)
{
	return http_text_equal(t, s, strlen(s));
}

bool
http_upgrade_differs(const struct adit_fields *request, int from, int to)
{
	if (from < 20 && to >= 20)
		return h1_wants_upgrade(request);
	return from >= 20 && to < 20 && adit_fields_control(request, ADIT_PROTOCOL).s;
}

/* ---- Upgrade to CONNECT -------------------------------------------------------------------- */

/* Whether it opens a WebSocket, as HTTP/1 has it: nothing else is known to be translatable. */
static bool
opens_websocket(const struct adit_fields *f)
{
	struct adit_text list = adit_fields_get(f, "Upgrade"), protocol, more;

	return text_is(adit_fields_control(f, ADIT_METHOD), "GET") &&
	       http_list_next(&list, &protocol) && text_is(protocol, WEBSOCKET) &&
	       !http_list_next(&list, &more);
}

static int
upgrade_to_connect(struct http_upgrade *u, struct adit_fields *f, bool body)
{
	struct adit_text key = adit_fields_get(f, "Sec-WebSocket-Key");
	int err = opens_websocket(f) && !body ? ws_answer_key(key, u->accept) : -EBADMSG;

	adit_fields_remove(f, "Connection");
	adit_fields_remove(f, "Upgrade");
	if (err)	/* the target says what it thinks of the rest */
		return err == -EBADMSG ? 0 : err;
	adit_fields_remove(f, "Sec-WebSocket-Key");
	u->way = UPGRADE_TO_CONNECT;
	err = adit_fields_set_control(f, ADIT_METHOD, "CONNECT", 7);
	return err ? err : adit_fields_set_control(f, ADIT_PROTOCOL, WEBSOCKET, strlen(WEBSOCKET));
}

/* RFC 8441, 5.1: 2xx there is what 101 is here. Any other is a refusal in both. */
static int
connected_to_upgraded(const struct http_upgrade *u, struct adit_fields *f)
{
	int err;

	if (adit_fields_status(f) / 100 != 2)
		return 0;
	adit_fields_set_status(f, 101);
	adit_fields_remove(f, "Content-Length");
	adit_fields_set_control(f, ADIT_REASON, NULL, 0);
	err = adit_fields_set(f, "Upgrade", WEBSOCKET);
	if (!err)
		err = adit_fields_set(f, "Connection", "Upgrade");
	return err ? err : adit_fields_set(f, "Sec-WebSocket-Accept", u->accept);
}

/* ---- CONNECT to Upgrade -------------------------------------------------------------------- */

static int
add_key(struct http_upgrade *u, struct adit_fields *f)
{
	uint8_t nonce[WS_NONCE];
	char key[WS_KEY_TEXT];
	int err;

	adit_random(nonce, sizeof(nonce));
	err = ws_make_key(nonce, key, u->accept);
	return err ? err : adit_fields_set(f, "Sec-WebSocket-Key", key);
}

/*
 * protocol = name ["/" version], both tokens (RFC 9110, 7.8): one element of the field's list. Not
 * another HTTP, in which requests would come that nobody here looks at.
 */
static bool
is_upgrade_token(struct adit_text t)
{
	const char *slash = memchr(t.s, '/', t.len);
	const struct adit_text name = { t.s, slash ? (size_t)(slash - t.s) : t.len };

	return http_is_token(name.s, name.len) && !text_is(name, "h2c") && !text_is(name, "HTTP") &&
	       (!slash || http_is_token(slash + 1, t.len - name.len - 1));
}

static int
connect_to_upgrade(struct http_upgrade *u, struct adit_fields *f)
{
	struct adit_text protocol = adit_fields_control(f, ADIT_PROTOCOL);
	int err = 0;

	if (protocol.len >= sizeof(u->protocol) || !is_upgrade_token(protocol))
		return -ENOTSUP;
	snprintf(u->protocol, sizeof(u->protocol), "%s", protocol.s);
	u->way = UPGRADE_TO_UPGRADE;
	adit_fields_set_control(f, ADIT_PROTOCOL, NULL, 0);
	err = adit_fields_set_control(f, ADIT_METHOD, "GET", 3);
	if (!err)
		err = adit_fields_set(f, "Upgrade", u->protocol);
	if (!err)
		err = adit_fields_set(f, "Connection", "Upgrade");
	if (!err && strcasecmp(u->protocol, WEBSOCKET) == 0)
		err = add_key(u, f);
	return err;
}

/*
 * Success is to be said only of what succeeded: a 2xx means that the Upgrade was ignored, and would
 * open a tunnel to who sent CONNECT.
 */
static int
upgraded_to_connected(const struct http_upgrade *u, struct adit_fields *f)
{
	int status = adit_fields_status(f);
	struct adit_text accept;

	if (status / 100 == 2)
		return -EBADMSG;
	if (status != 101)
		return 0;
	accept = adit_fields_get(f, "Sec-WebSocket-Accept");
	if (!text_is(adit_fields_get(f, "Upgrade"), u->protocol) ||
	    (*u->accept && (!accept.s || strcmp(accept.s, u->accept) != 0)))
		return -EBADMSG;
	adit_fields_set_status(f, 200);
	adit_fields_set_control(f, ADIT_REASON, NULL, 0);
	adit_fields_remove(f, "Upgrade");
	adit_fields_remove(f, "Connection");
	adit_fields_remove(f, "Content-Length");	/* RFC 9110, 8.6 */
	adit_fields_remove(f, "Sec-WebSocket-Accept");
	return 0;
}

/* ---- both ways ------------------------------------------------------------------------------ */

int
http_upgrade_request(struct http_upgrade *u, struct adit_fields *request, bool body)
{
	*u = (struct http_upgrade){ .way = UPGRADE_NONE };
	if (adit_fields_control(request, ADIT_PROTOCOL).s)
		return connect_to_upgrade(u, request);
	return upgrade_to_connect(u, request, body);
}

int
http_upgrade_response(const struct http_upgrade *u, struct adit_fields *response)
{
	switch (u->way) {
	case UPGRADE_TO_CONNECT:
		return connected_to_upgraded(u, response);
	case UPGRADE_TO_UPGRADE:
		return upgraded_to_connected(u, response);
	case UPGRADE_NONE:
		break;
	}
	return 0;
}
