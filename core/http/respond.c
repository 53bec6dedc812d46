#include "core/http/respond.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/http/fields.h"

#define BODY_MAX 1024

static const struct {
	int		 status;
	const char	*text;
} statuses[] = {
	{ 100, "Continue" }, { 101, "Switching Protocols" }, { 103, "Early Hints" },
	{ 200, "OK" }, { 201, "Created" }, { 202, "Accepted" }, { 204, "No Content" },
	{ 206, "Partial Content" }, { 301, "Moved Permanently" }, { 302, "Found" },
	{ 303, "See Other" }, { 304, "Not Modified" }, { 307, "Temporary Redirect" },
	{ 308, "Permanent Redirect" }, { 400, "Bad Request" }, { 401, "Unauthorized" },
	{ 403, "Forbidden" }, { 404, "Not Found" }, { 405, "Method Not Allowed" },
	{ 407, "Proxy Authentication Required" }, { 408, "Request Timeout" },
	{ 413, "Content Too Large" }, { 414, "URI Too Long" }, { 417, "Expectation Failed" },
	{ 421, "Misdirected Request" }, { 426, "Upgrade Required" },
	{ 429, "Too Many Requests" }, { 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },
	{ 501, "Not Implemented" }, { 502, "Bad Gateway" }, { 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" }, { 505, "HTTP Version Not Supported" },
	{ 508, "Loop Detected" },
};

const char *
http_status_text(int status)
{
	for (size_t i = 0; i < sizeof(statuses) / sizeof(*statuses); i++)
		if (statuses[i].status == status)
			return statuses[i].text;
	return "Unknown";
}

/* RFC 9110, 6.6.1. */
static int
add_date(struct adit_fields *f)
{
	time_t now = time(NULL);
	char date[40];
	struct tm tm;

	if (!gmtime_r(&now, &tm) || !strftime(date, sizeof(date), "%a, %d %b %Y %H:%M:%S GMT", &tm))
		return 0;
	return adit_fields_set(f, "Date", date);
}

/* The fields that are there whatever the response is. */
static int
add_fixed(struct adit_fields *f, const char *type, size_t len)
{
	char length[24];
	int err = type ? adit_fields_set(f, "Content-Type", type) : 0;

	snprintf(length, sizeof(length), "%zu", len);
	if (err == 0)
		err = adit_fields_set(f, "Content-Length", length);
	return err < 0 ? err : add_date(f);
}

static int
send_response(struct adit_exchange *x, const struct adit_fields *f, const char *body, size_t len)
{
	int err = adit_exchange_send_head(x, f, 0);
	ssize_t n;

	if (err < 0)
		return err;
	n = adit_conn_write(&x->body, body, len);
	if (n < 0 && n != -EAGAIN)
		return (int)n;
	if (n != (ssize_t)len)
		return -ENOBUFS;
	return adit_conn_shutdown(&x->body);
}

int
http_respond(struct adit_exchange *x, int status, const char *text, const struct adit_fields *extra)
{
	struct adit_fields *f = extra ? adit_fields_copy(extra) : adit_fields_new();
	char body[BODY_MAX];
	int len = snprintf(body, sizeof(body) - 1, "%s", text), err;

	if (!f)
		return -ENOMEM;
	if (len < 0 || (size_t)len > sizeof(body) - 2)
		len = sizeof(body) - 2;
	body[len++] = '\n';
	adit_fields_set_status(f, status);
	err = add_fixed(f, "text/plain; charset=utf-8", (size_t)len);
	if (err == 0)
		err = send_response(x, f, body, (size_t)len);
	adit_fields_free(f);
	return err;
}

int
http_respond_head(struct adit_exchange *x, int status, const char *type, size_t len,
		  const struct adit_fields *extra)
{
	struct adit_fields *f = extra ? adit_fields_copy(extra) : adit_fields_new();
	int err;

	if (!f)
		return -ENOMEM;
	adit_fields_set_status(f, status);
	err = status == 204 ? add_date(f) : add_fixed(f, type, len);
	if (err == 0)
		err = adit_exchange_send_head(x, f, type && len ? 0 : ADIT_HEAD_END);
	adit_fields_free(f);
	return err;
}

void
http_refuse_with(struct adit_exchange *x, int status, const struct adit_fields *extra)
{
	char text[64];
	int err;

	snprintf(text, sizeof(text), "%d %s", status, http_status_text(status));
	/* It is short: who cannot take it at once is not worth waiting for. */
	err = http_respond(x, status, text, extra);
	adit_conn_close(&x->body, err ? ADIT_EREFUSED : 0);
}

/* The field that a status asks for, or NULL. */
static const char *
status_field(int status, const char **value)
{
	switch (status) {
	case 401:
		*value = "Basic realm=\"adit\"";
		return "WWW-Authenticate";
	case 405:
		*value = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
		return "Allow";
	case 408:		/* what he may still send is no request */
		*value = "close";
		return "Connection";
	default:
		*value = NULL;
		return NULL;
	}
}

void
http_refuse(struct adit_exchange *x, int status, unsigned retry_after)
{
	const char *value, *name = status_field(status, &value);
	struct adit_fields *extra = name || retry_after ? adit_fields_new() : NULL;
	char seconds[16];

	snprintf(seconds, sizeof(seconds), "%u", retry_after);
	if (extra && name)
		adit_fields_set(extra, name, value);
	if (extra && retry_after)
		adit_fields_set(extra, "Retry-After", seconds);
	http_refuse_with(x, status, extra);
	adit_fields_free(extra);
}

size_t
http_last_words(int status, const char *why, char out[HTTP_LAST_WORDS])
{
	int n = snprintf(out, HTTP_LAST_WORDS,
			 "HTTP/1.1 %d %s\r\nContent-Type: text/plain; charset=utf-8\r\n"
			 "Content-Length: %zu\r\n%sConnection: close\r\n\r\n%s\n",
			 status, http_status_text(status), strlen(why) + 1,
			 status == 503 ? "Retry-After: 1\r\n" : "", why);

	return n > 0 && n < HTTP_LAST_WORDS ? (size_t)n : 0;
}

/* Those that are safe come first. */
static const char *const idempotent[] = { "GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE" };

enum { SAFE = 4 };

static bool
method_is_one_of_first(struct adit_text method, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (method.len == strlen(idempotent[i]) &&
		    !memcmp(method.s, idempotent[i], method.len))
			return true;
	return false;
}

bool
http_is_safe(struct adit_text method)
{
	return method_is_one_of_first(method, SAFE);
}

bool
http_is_idempotent(struct adit_text method)
{
	return method_is_one_of_first(method, sizeof(idempotent) / sizeof(*idempotent));
}

int
http_status_of(int err)
{
	switch (err) {
	case -ETIMEDOUT:
	case ADIT_EPEERDEAD:
		return 504;
	case ADIT_ENOTUNNEL:
	case ADIT_EDRAINING:
	case ADIT_ELIMIT:
	case ADIT_ENORULES:
	case -ENOMEM:
		return 503;
	case -ENOTSUP:
		return 501;
	default:
		return 502;
	}
}
