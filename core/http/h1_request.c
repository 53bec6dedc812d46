#include "core/http/h1_parse.h"

#include <errno.h>
#include <string.h>

#include "core/http/fields.h"

static int
refuse(struct h1_fault *fault, const char *why)
{
	*fault = (struct h1_fault){ 400, why };
	return -EBADMSG;
}

static int
told(int err, enum adit_control which, struct h1_fault *fault)
{
	if (err == -EINVAL)
		return refuse(fault,
			      which == ADIT_AUTHORITY ? "malformed host" : "malformed target");
	if (err == -E2BIG) {
		*fault = (struct h1_fault){ 431, "head too large" };
		return -EBADMSG;
	}
	return err;
}

/* t is the whole of a text of f, or a literal: it need not be copied. */
static int
set(struct adit_fields *f, enum adit_control which, struct adit_text t, struct h1_fault *fault)
{
	return told(fields_control(f, which, t), which, fault);
}

static int
set_part(struct adit_fields *f, enum adit_control which, struct adit_text t, struct h1_fault *fault)
{
	return told(adit_fields_set_control(f, which, t.s, t.len), which, fault);
}

/* Takes the one Host field out of f; s is NULL when there is none. */
static int
take_host(struct adit_fields *f, struct adit_text *host, struct h1_fault *fault)
{
	*host = adit_fields_get(f, "Host");
	if (adit_fields_remove(f, "Host") > 1)
		return refuse(fault, "more than one Host");
	if (!host->s && adit_fields_version(f) > 10)
		return refuse(fault, "no Host");
	return 0;
}

/* A query without a path before it: the path is "/" then (RFC 9112, 3.2.1). */
static int
set_query(struct adit_fields *f, struct adit_text query, struct h1_fault *fault)
{
	struct adit_text target;
	int err = fields_append(f, "/", 1);

	if (err == 0)
		err = fields_append(f, query.s, query.len);
	if (err == 0)
		err = fields_finish(f, &target);
	return err < 0 ? told(err, ADIT_TARGET, fault) : set(f, ADIT_TARGET, target, fault);
}

/* RFC 9112, 3.2.2: the target's authority counts, and what Host says does not. */
static int
set_absolute(struct adit_fields *f, struct adit_text t, struct h1_fault *fault)
{
	const char *colon = memchr(t.s, ':', t.len), *end = t.s + t.len, *host, *path;
	bool options = http_text_equal(adit_fields_control(f, ADIT_METHOD), "OPTIONS", 7);
	struct adit_text authority, rest;
	int err;

	if (!colon || end - colon < 3 || memcmp(colon, "://", 3) != 0)
		return refuse(fault, "malformed target");
	host = colon + 3;
	for (path = host; path < end && *path != '/' && *path != '?'; path++)
		;
	authority = (struct adit_text){ host, (size_t)(path - host) };
	rest = (struct adit_text){ path, (size_t)(end - path) };
	if (!http_is_authority(authority, false))
		return refuse(fault, "malformed host");
	if (!rest.len)		/* RFC 9112, 3.2.4 and RFC 9110, 4.2.3 */
		rest = options ? (struct adit_text){ "*", 1 } : (struct adit_text){ "/", 1 };
	err = set_part(f, ADIT_SCHEME, (struct adit_text){ t.s, (size_t)(colon - t.s) }, fault);
	if (err == 0)
		err = set_part(f, ADIT_AUTHORITY, authority, fault);
	if (err == 0 && rest.s[0] == '?')
		return set_query(f, rest, fault);
	return err < 0 ? err : set_part(f, ADIT_TARGET, rest, fault);
}

/* Origin-form, or "*" (which is for OPTIONS alone): the authority is what Host says. */
static int
set_origin(struct adit_fields *f, struct adit_text target, struct adit_text host, bool secure,
	   struct h1_fault *fault)
{
	struct adit_text scheme = { secure ? "https" : "http", secure ? 5 : 4 };
	bool options = http_text_equal(adit_fields_control(f, ADIT_METHOD), "OPTIONS", 7);
	int err;

	if (target.s[0] == '*' && (target.len > 1 || !options))
		return refuse(fault, "malformed target");
	if (host.s && !http_is_authority(host, false))
		return refuse(fault, "malformed host");
	err = host.s ? set(f, ADIT_AUTHORITY, host, fault) : 0;
	if (err == 0)
		err = set(f, ADIT_SCHEME, scheme, fault);
	return err < 0 ? err : set(f, ADIT_TARGET, target, fault);
}

static int
set_connect(struct adit_fields *f, struct adit_text target, struct h1_fault *fault)
{
	if (!http_is_authority(target, true))
		return refuse(fault, "malformed target of CONNECT");
	return set(f, ADIT_AUTHORITY, target, fault);
}

int
h1_check_request(struct adit_fields *f, struct adit_text target, bool secure,
		 struct h1_fault *fault)
{
	struct adit_text host;
	int err = take_host(f, &host, fault);

	if (err < 0)
		return err;
	if (!target.len)
		return refuse(fault, "malformed target");
	if (http_text_equal(adit_fields_control(f, ADIT_METHOD), "CONNECT", 7))
		return set_connect(f, target, fault);
	if (target.s[0] == '/' || target.s[0] == '*')
		return set_origin(f, target, host, secure, fault);
	if (host.len && !http_is_authority(host, false))
		return refuse(fault, "malformed host");
	err = host.len ? set(f, ADIT_AUTHORITY, host, fault) : 0; /* for its characters' sake */
	if (err < 0)
		return err;
	return set_absolute(f, target, fault);
}
