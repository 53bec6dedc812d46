/* The sessions "h2" and "h2c": HTTP/2 at the end of a stack. */
#include "core/mux/h2/h2_session.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include <nghttp2/nghttp2.h>

#include "core/mux/h2/h2.h"

#define HEADER_MAX 32			/* fields that may be added */

struct h2_session {
	struct adit_session	 base;
	char			*path, *host;
	struct adit_pairs	 header;
	int64_t			 streams, backlog;
	uint64_t		 handshake_timeout;	/* ns */
	struct h2_transport_conf		 conf;
};

#define AT(field) .offset = offsetof(struct h2_session, field)
static const struct adit_opt h2_opts[] = {
	{ .name = "path", .type = ADIT_OPT_STRING, AT(path),
	  .help = "streams are asked for by GET of this path, and a listener answers any other "
		  "with 400; without it by CONNECT" },
	{ .name = "host", .type = ADIT_OPT_STRING, AT(host),
	  .help = "dialers: what :authority says, instead of the node's address" },
	{ .name = "header", .type = ADIT_OPT_MAP, AT(header),
	  .help = "dialers: fields to add to each request" },
	{ .name = "maxStreams", .type = ADIT_OPT_INT, AT(streams), .def = "250", .min = 1,
	  .max = 65536,
	  .help = "listeners: streams of a session at a time; a client that needs more makes "
		  "another session" },
	{ .name = "backlog", .type = ADIT_OPT_INT, AT(backlog), .def = "128", .min = 1,
	  .max = 65536, .help = "listeners: streams not yet accepted; more are refused" },
	{ .name = "handshakeTimeout", .type = ADIT_OPT_DURATION, AT(handshake_timeout),
	  .min = 1000000, .max = 600 * 1000000000ll, .def = "15s",
	  .help = "how long a peer may say nothing in a new session, or to a request" },
	ADIT_OPT_END,
};

static struct h2_session *
session_of(struct adit_session *s)
{
	return adit_container_of(s, struct h2_session, base);
}

/* RFC 9113, 8.2.2; and what the session says itself. */
static bool
is_forbidden(const char *name)
{
	static const char *const names[] = {
		"connection", "proxy-connection", "keep-alive", "transfer-encoding", "upgrade",
		"host", "te", "content-length", NULL,
	};

	for (size_t i = 0; names[i]; i++)
		if (strcmp(names[i], name) == 0)
			return true;
	return !nghttp2_check_header_name((const uint8_t *)name, strlen(name)) || *name == ':';
}

static int
session_take_header(struct h2_session *h, struct adit_err *e)
{
	if (h->header.n > HEADER_MAX)
		return adit_err_set(e, ADIT_ECONFIG, "header: more than %d fields", HEADER_MAX);
	for (size_t i = 0; i < h->header.n; i++) {
		const char *value = h->header.value[i];

		for (char *c = h->header.name[i]; *c; c++)
			*c = (char)tolower((unsigned char)*c);
		if (is_forbidden(h->header.name[i]))
			return adit_err_set(e, ADIT_ECONFIG, "header: no field for a request: %s",
					    h->header.name[i]);
		if (!nghttp2_check_header_value((const uint8_t *)value, strlen(value)))
			return adit_err_set(e, ADIT_ECONFIG, "header: %s: no value for a field",
					    h->header.name[i]);
	}
	return 0;
}

static int
session_check_path(const char *path, struct adit_err *e)
{
	if (!path || (*path == '/' && nghttp2_check_path((const uint8_t *)path, strlen(path))))
		return 0;
	return adit_err_set(e, ADIT_ECONFIG, "path: expected one like \"/h2\", not \"%s\"", path);
}

static int
session_check_host(const char *host, struct adit_err *e)
{
	if (!host || nghttp2_check_authority((const uint8_t *)host, strlen(host)))
		return 0;
	return adit_err_set(e, ADIT_ECONFIG, "host: expected a name, not \"%s\"", host);
}

static const char *
given(const char *text)
{
	return text && *text ? text : NULL;
}

static int
session_init(struct h2_session *h, bool secure, struct adit_err *e)
{
	const char *address = adit_component_address(h->base.component);
	const char *host = given(h->host);
	int err = session_check_path(given(h->path), e);

	if (!err)
		err = session_check_host(host, e);
	if (!err)
		err = session_take_header(h, e);
	h->base.patience = h->handshake_timeout;
	h->conf = (struct h2_transport_conf){
		.authority = host ? host : address ? address : "", .path = given(h->path),
		.header = &h->header, .secure = secure, .client = !h->base.server,
		.streams = (unsigned)h->streams, .backlog = (unsigned)h->backlog,
		.open_ms = (unsigned)(h->handshake_timeout / 1000000),
	};
	return err;
}

static int
h2_session_init(struct adit_session *s, struct adit_err *e)
{
	return session_init(session_of(s), true, e);
}

static int
h2c_session_init(struct adit_session *s, struct adit_err *e)
{
	return session_init(session_of(s), false, e);
}

static struct adit_mux *
h2_session_over(struct adit_session *s, struct adit_conn *lower, struct adit_err *e)
{
	struct adit_mux *m = h2_transport(lower, &session_of(s)->conf);

	if (!m)
		adit_err_set(e, -ENOMEM, "out of memory");
	return m;
}

static struct adit_mux *
h2_session_client(struct adit_session *s, struct adit_conn *lower, const char *host,
		  struct adit_err *e)
{
	(void)host;
	return h2_session_over(s, lower, e);
}

#define H2_SESSION(call, text, made) { \
	.base = { \
		.abi = ADIT_ABI, \
		.size = sizeof(struct adit_session_ops), \
		.kind = ADIT_SESSION, \
		.name = call, \
		.help = text, \
		.instance = sizeof(struct h2_session), \
		.opts = h2_opts, \
	}, \
	.client = h2_session_client, \
	.server = h2_session_over, \
	.init = made, \
}

const struct adit_session_ops session_h2 =
	H2_SESSION("h2", "streams in HTTP/2, as gost speaks it", h2_session_init);
const struct adit_session_ops session_h2c =
	H2_SESSION("h2c", "the same without TLS", h2c_session_init);
