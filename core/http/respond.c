#include <stdio.h>
#include <string.h>

#include "core/http/respond.h"

static const struct {
	int		 status;
	const char	*text;
} statuses[] = {
	{ 400, "Bad Request" },		{ 403, "Forbidden" },
	{ 404, "Not Found" },		{ 405, "Method Not Allowed" },
	{ 408, "Request Timeout" },	{ 413, "Content Too Large" },
	{ 421, "Misdirected Request" },	{ 431, "Request Header Fields Too Large" },
	{ 500, "Internal Server Error" },	{ 501, "Not Implemented" },
	{ 502, "Bad Gateway" },		{ 503, "Service Unavailable" },
	{ 504, "Gateway Timeout" },	{ 505, "HTTP Version Not Supported" },
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

static int
refusal_fill(struct adit_fields *f, int status, unsigned retry_after, size_t len)
{
	const char *text = http_status_text(status);
	char number[24];
	int err;

	adit_fields_set_status(f, status);
	err = adit_fields_set_control(f, ADIT_REASON, text, strlen(text));
	if (!err)
		err = adit_fields_set(f, "Content-Type", "text/plain; charset=utf-8");
	snprintf(number, sizeof(number), "%zu", len);
	if (!err)
		err = adit_fields_set(f, "Content-Length", number);
	if (err || !retry_after)
		return err;
	snprintf(number, sizeof(number), "%u", retry_after);
	return adit_fields_set(f, "Retry-After", number);
}

void
http_refuse(struct adit_exchange *x, int status, unsigned retry_after)
{
	struct adit_fields *f = adit_fields_new();
	char body[64];
	int len = snprintf(body, sizeof(body), "%d %s\n", status, http_status_text(status)), err;

	err = f ? refusal_fill(f, status, retry_after, (size_t)len) : -1;
	if (!err)
		err = adit_exchange_send_head(x, f, 0);
	adit_fields_free(f);
	/* It is short: a conn that cannot take it at once is not worth waiting for. */
	if (!err)
		err = adit_conn_write(&x->body, body, (size_t)len) == len ? 0 : -1;
	if (!err)
		err = adit_conn_shutdown(&x->body);
	adit_conn_close(&x->body, err ? ADIT_EREFUSED : 0);
}
