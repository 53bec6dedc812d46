#include "core/http/websocket.h"

#include <errno.h>
#include <string.h>

#include "core/http/fields.h"
#include "core/http/h1.h"
#include "core/http/section.h"
#include "core/runtime/worker.h"

bool
websocket_is_asked(const struct adit_fields *request)
{
	struct adit_text protocol = adit_fields_control(request, ADIT_PROTOCOL);

	return section_asked(request) == SECTION_ASKED_CONNECT && protocol.s &&
	       http_text_equal(protocol, "websocket", 9);
}

int
websocket_ask(struct adit_fields *request, char accept[WS_ACCEPT_TEXT])
{
	uint8_t nonce[WS_NONCE];
	char key[WS_KEY_TEXT];
	int err;

	adit_random(nonce, sizeof(nonce));
	err = ws_make_key(nonce, key, accept);
	if (!err)
		err = adit_fields_set_control(request, ADIT_METHOD, "GET", 3);
	if (!err)
		err = adit_fields_set_control(request, ADIT_PROTOCOL, NULL, 0);
	if (!err)
		err = adit_fields_set(request, "Connection", "Upgrade");
	if (!err)
		err = adit_fields_set(request, "Upgrade", "websocket");
	return err ? err : adit_fields_set(request, "Sec-WebSocket-Key", key);
}

int
websocket_answer(struct adit_fields *response, const char *accept)
{
	int status = adit_fields_status(response);
	struct adit_text answer = adit_fields_get(response, "Sec-WebSocket-Accept");

	if (status != 101)
		return status / 100 == 2 ? -EBADMSG : 0;
	if (!h1_wants_upgrade(response) || !adit_fields_has(response, "Upgrade", "websocket") ||
	    answer.len != strlen(accept) || memcmp(answer.s, accept, answer.len) != 0)
		return -EBADMSG;
	adit_fields_remove(response, "Connection");
	adit_fields_remove(response, "Upgrade");
	adit_fields_remove(response, "Sec-WebSocket-Accept");
	adit_fields_set_status(response, 200);
	return 0;
}
