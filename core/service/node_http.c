#include "core/service/node_http.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <gnutls/gnutls.h>

#include "core/http/fields.h"
#include "core/http/uri.h"
#include "core/service/auth.h"
#include "core/service/regex.h"

struct node_http {
	const struct http_conf	*conf;		/* borrowed */
	gnutls_datum_t		 credentials;	/* in base64, as a request has them; owned, a
						 * secret; data NULL: none are asked for */
	struct regex		**rewrites;	/* of conf's rewrite_url; owned */
	uint8_t			 fail_codes[1000 / 8];
	bool			 judges;
};

/* ---- what the configuration says ------------------------------------------------------------- */

static int
http_take_credentials(struct node_http *h, const struct auth_conf *auth, struct adit_err *e)
{
	char *user = NULL, *password = NULL, *both = NULL;
	gnutls_datum_t plain;
	int n = -1, err = 0;

	if (auth->file)
		err = auth_read_file(auth->file, &user, &password, e);
	if (!err)
		n = asprintf(&both, "%s:%s", user ? user : auth->username ? auth->username : "",
			     password ? password : auth->password ? auth->password : "");
	plain = (gnutls_datum_t){ (unsigned char *)both, n > 0 ? (unsigned)n : 0 };
	if (!err && (n < 0 || gnutls_base64_encode2(&plain, &h->credentials) < 0))
		err = adit_err_set(e, -ENOMEM, "out of memory");
	if (n > 0)
		explicit_bzero(both, (size_t)n);
	if (password)
		explicit_bzero(password, strlen(password));
	if (n >= 0)
		free(both);
	free(user);
	free(password);
	return err;
}

static int
http_take_rewrites(struct node_http *h, const struct rewrite_list *list, const struct place *at)
{
	const struct tree_path rewrites = { .up = at->path, .key = "rewriteURL" };
	struct adit_err e;
	int failed = 0;
	size_t offset;

	h->rewrites = calloc(list->n + 1, sizeof(*h->rewrites));
	if (!h->rewrites)
		return place_say(at, -ENOMEM, "out of memory");
	for (size_t i = 0; i < list->n; i++) {
		const struct tree_path item = { .up = &rewrites, .index = i };
		const struct tree_path path = { .up = &item, .key = "match" };
		const struct adit_tree *match = tree_get(list->v[i].node, "match");
		struct config_problem problem = { .path = &path };

		e = (struct adit_err)ADIT_ERR_INIT;
		h->rewrites[i] = regex_new(list->v[i].match, strlen(list->v[i].match), &offset, &e);
		if (h->rewrites[i])
			continue;
		problem.pos = tree_pos_at(match, offset);
		config_errors_add(at->errs, &problem, "%s", e.text);
		failed = e.code;
	}
	return failed;
}

/* What the framing of a message or its connection is about is not for a node to set. */
static bool
is_settable(const char *name)
{
	static const char *const own[] = {
		"Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "TE", "Trailer",
		"Keep-Alive", NULL,
	};

	for (size_t i = 0; own[i]; i++)
		if (strcasecmp(own[i], name) == 0)
			return false;
	return true;
}

static int
http_check_host(const char *host, const struct place *there)
{
	struct adit_fields *scratch = adit_fields_new();
	int err = scratch ? adit_fields_set_control(scratch, ADIT_AUTHORITY, host, strlen(host)) :
			    -ENOMEM;

	adit_fields_free(scratch);
	if (err == -ENOMEM)
		return place_say(there, err, "out of memory");
	return err ? place_say(there, ADIT_ECONFIG, "no host: %s", host) : 0;
}

/* requestHeader's Host, in any case, is what the request's authority becomes. */
static bool
is_host(const char *key, const char *name)
{
	return strcmp(key, "requestHeader") == 0 && strcasecmp(name, "Host") == 0;
}

static int
http_check_header(const struct adit_pairs *pairs, const char *key, const struct place *at)
{
	const struct tree_path path = { .up = at->path, .key = key };
	const struct adit_tree *map = tree_get(at->node, key);
	struct adit_fields *scratch = adit_fields_new();
	int failed = scratch ? 0 : place_say(at, -ENOMEM, "out of memory");

	for (size_t i = 0; scratch && i < pairs->n; i++) {
		const char *name = pairs->name[i];
		const struct tree_path entry = { .up = &path, .key = name };
		const struct place there = {
			.node = tree_get(map, name), .path = &entry, .errs = at->errs,
		};

		if (!is_settable(name))
			failed = place_say(&there, ADIT_ECONFIG,
					   "a field of the connection, which is not the node's");
		else if (adit_fields_set(scratch, name, pairs->value[i]) < 0)
			failed = place_say(&there, ADIT_ECONFIG, "no header field: %s", name);
		else if (is_host(key, name) && *pairs->value[i] &&
			 http_check_host(pairs->value[i], &there) < 0)
			failed = ADIT_ECONFIG;
	}
	adit_fields_free(scratch);
	return failed;
}

/* "429,5xx". */
static int
http_take_fail_codes(struct node_http *h, const char *text)
{
	size_t len;

	for (;; text += len + 1) {
		unsigned low, high;
		bool any;

		text += strspn(text, " ");
		len = strcspn(text, ", ");
		if (len != 3 || text[0] < '1' || text[0] > '9')
			return -EINVAL;
		any = strncasecmp(text + 1, "xx", 2) == 0;
		if (!any && !(isdigit((unsigned char)text[1]) && isdigit((unsigned char)text[2])))
			return -EINVAL;
		low = any ? (unsigned)(text[0] - '0') * 100 : (unsigned)strtoul(text, NULL, 10);
		high = any ? low + 99 : low;
		for (unsigned code = low; code <= high; code++)
			h->fail_codes[code / 8] |= (uint8_t)(1 << code % 8);
		len += strspn(text + len, " ");
		if (!text[len])
			return 0;
		if (text[len] != ',')
			return -EINVAL;
	}
}

static int
http_take(struct node_http *h, const struct http_conf *conf, const struct place *at)
{
	static const char *const unavailable[] = {
		"rewriteRequestBody", "rewriteResponseBody", "rewriteBody", NULL,
	};
	struct adit_err e = ADIT_ERR_INIT;
	int failed = place_unavailable(at, unavailable), err;
	struct place_step host;

	if (conf->host && *conf->host &&
	    http_check_host(conf->host, place_step(&host, at, "host",
						   tree_get(at->node, "host"))) < 0)
		failed = ADIT_ECONFIG;
	err = http_take_rewrites(h, &conf->rewrite_url, at);
	failed = err ? err : failed;
	err = http_check_header(&conf->request_header, "requestHeader", at);
	failed = err ? err : failed;
	err = http_check_header(&conf->response_header, "responseHeader", at);
	failed = err ? err : failed;
	if (conf->auth && http_take_credentials(h, conf->auth, &e) < 0) {
		adit_err_context(&e, "auth");
		failed = place_refuse(at, &e);
	}
	h->judges = conf->fail_codes && *conf->fail_codes;
	if (h->judges && http_take_fail_codes(h, conf->fail_codes) < 0)
		failed = place_say(at, ADIT_ECONFIG, "failCodes: expected statuses, as 429,5xx");
	return failed;
}

struct node_http *
node_http_new(const struct http_conf *conf, const struct place *at)
{
	struct node_http *h = calloc(1, sizeof(*h));

	if (!h) {
		place_say(at, -ENOMEM, "out of memory");
		return NULL;
	}
	h->conf = conf;
	if (http_take(h, conf, at) == 0)
		return h;
	node_http_free(h);
	return NULL;
}

void
node_http_free(struct node_http *h)
{
	if (!h)
		return;
	for (size_t i = 0; h->rewrites && i < h->conf->rewrite_url.n; i++)
		regex_free(h->rewrites[i]);
	free(h->rewrites);
	if (h->credentials.data)
		explicit_bzero(h->credentials.data, h->credentials.size);
	gnutls_free(h->credentials.data);
	free(h);
}

/* ---- requests -------------------------------------------------------------------------------- */

bool
node_http_asks(const struct node_http *h)
{
	return h && h->credentials.data;
}

bool
node_http_admits(const struct node_http *h, const struct adit_fields *request)
{
	struct adit_text given;

	if (!node_http_asks(h))
		return true;
	given = adit_fields_get(request, "Authorization");
	if (given.len < 6 || strncasecmp(given.s, "Basic ", 6) != 0)
		return false;
	given.s += 6;
	given.len -= 6;
	while (given.len && *given.s == ' ') {
		given.s++;
		given.len--;
	}
	return given.len == h->credentials.size &&
	       gnutls_memcmp(given.s, h->credentials.data, given.len) == 0;
}

/* A target that is being written: counted first, then written. */
struct rewriting {
	char	*out;		/* NULL: it is counted */
	size_t	 len;
	bool	 query;		/* the replacement has come to a '?' of its own */
};

static void
rewriting_add(struct rewriting *r, const char *s, size_t len)
{
	if (r->out)
		memcpy(r->out + r->len, s, len);
	r->len += len;
}

/* What was the path is encoded anew; of what the configuration says '?' and '%' mean themselves. */
static void
rewriting_put(void *arg, const char *s, size_t len, bool written)
{
	struct rewriting *r = arg;
	char code[3];

	for (size_t i = 0; i < len; i++) {
		bool as_is = written && (s[i] == '?' || s[i] == '%');

		r->query |= as_is && s[i] == '?';
		if (as_is)
			rewriting_add(r, &s[i], 1);
		else
			rewriting_add(r, code, uri_encode(s[i], code));
	}
}

/* 1: target is the new one, malloc'ed; 0: the expression does not match; or a failure. */
static int
rewrite(const struct regex *re, const char *replacement, struct adit_text path,
	struct adit_text query, struct adit_text *target)
{
	struct rewriting r = { .out = NULL };
	int found = regex_replace(re, path.s, path.len, replacement, rewriting_put, &r);

	if (found <= 0)
		return found;
	r = (struct rewriting){ .out = malloc(r.len + query.len + 2) };
	if (!r.out)
		return -ENOMEM;
	found = regex_replace(re, path.s, path.len, replacement, rewriting_put, &r);
	if (found > 0 && (!r.len || *r.out != '/')) {
		memmove(r.out + 1, r.out, r.len);
		*r.out = '/';
		r.len++;
	}
	if (found > 0 && query.s && !r.query) {
		rewriting_add(&r, "?", 1);
		rewriting_add(&r, query.s, query.len);
	}
	if (found <= 0)
		free(r.out);
	else
		*target = (struct adit_text){ r.out, r.len };
	return found;
}

static int
http_rewrite_path(const struct node_http *h, struct adit_fields *request, char *decoded)
{
	const struct rewrite_list *list = &h->conf->rewrite_url;
	struct adit_text old = adit_fields_control(request, ADIT_TARGET), new = { .s = NULL };
	const struct adit_text path = { decoded, uri_decode(uri_path(old), false, decoded) };
	int found = 0, err;

	for (size_t i = 0; i < list->n && found == 0; i++) {
		const char *replacement = list->v[i].replacement;

		found = rewrite(h->rewrites[i], replacement ? replacement : "", path,
				uri_query(old), &new);
	}
	if (found <= 0)
		return found;
	err = adit_fields_set_control(request, ADIT_TARGET, new.s, new.len);
	free((char *)(uintptr_t)new.s);
	return err;
}

static int
http_rewrite_target(const struct node_http *h, struct adit_fields *request)
{
	struct adit_text target = adit_fields_control(request, ADIT_TARGET);
	char *decoded;
	int err;

	if (!h->conf->rewrite_url.n || !target.len || *target.s != '/')
		return 0;
	decoded = malloc(target.len);
	if (!decoded)
		return -ENOMEM;
	err = http_rewrite_path(h, request, decoded);
	free(decoded);
	return err;
}

int
node_http_edit_request(const struct node_http *h, struct adit_fields *request)
{
	const struct adit_pairs *set;
	int err = 0;

	if (!h)
		return 0;
	if (h->conf->host && *h->conf->host)
		err = adit_fields_set_control(request, ADIT_AUTHORITY, h->conf->host,
					      strlen(h->conf->host));
	set = &h->conf->request_header;
	for (size_t i = 0; err == 0 && i < set->n; i++) {
		if (!*set->value[i])
			adit_fields_remove(request, set->name[i]);
		else if (strcasecmp(set->name[i], "Host") == 0)
			err = adit_fields_set_control(request, ADIT_AUTHORITY, set->value[i],
						      strlen(set->value[i]));
		else
			err = adit_fields_set(request, set->name[i], set->value[i]);
	}
	return err ? err : http_rewrite_target(h, request);
}

/* ---- responses ------------------------------------------------------------------------------- */

int
node_http_edit_response(const struct node_http *h, struct adit_fields *response)
{
	const struct adit_pairs *set = h ? &h->conf->response_header : NULL;
	int err = 0;

	if (!set || adit_fields_status(response) < 200)
		return 0;
	for (size_t i = 0; err == 0 && i < set->n; i++)
		err = adit_fields_set(response, set->name[i], set->value[i]);
	return err;
}

bool
node_http_judges(const struct node_http *h)
{
	return h && h->judges;
}

bool
node_http_fails(const struct node_http *h, int status)
{
	return node_http_judges(h) && status > 0 && status < 1000 &&
	       h->fail_codes[status / 8] >> status % 8 & 1;
}
