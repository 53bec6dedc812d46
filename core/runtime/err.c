#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <adit/err.h>

static const struct {
	int		 code;
	const char	*text;
} texts[] = {
	{ -ESHUTDOWN, "ended" },	/* in order, by whoever it is said of */
	{ ADIT_ETLS, "TLS failure" },
	{ ADIT_ETRUNCATED, "stream truncated" },
	{ ADIT_EREFUSED, "refused by the peer" },
	{ ADIT_EUNAUTH, "unauthorized" },
	{ ADIT_EFORBIDDEN, "forbidden" },
	{ ADIT_ENOROUTE, "no route to host" },
	{ ADIT_ENOTUNNEL, "tunnel not available" },
	{ ADIT_ETARGET, "target not reachable" },
	{ ADIT_EPEERDEAD, "peer does not answer" },
	{ ADIT_EDRAINING, "draining" },
	{ ADIT_ELIMIT, "limit reached" },
	{ ADIT_ECONFIG, "invalid configuration" },
	{ ADIT_EUNSUPPORTED, "not available in this build" },
	{ ADIT_ESTOPPED, "stopped" },
	{ ADIT_ENOHOST, "no such host" },
	{ ADIT_ERESOLVE, "name resolution failed" },
	{ ADIT_ENORULES, "rules not known" },
};

const char *
adit_strerror(int code)
{
	const char *text;

	if (!code)
		return "no error";
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		if (texts[i].code == code)
			return texts[i].text;
	text = strerrordesc_np(code < 0 ? -code : code);
	return text ? text : "unknown error";
}

int
adit_err_set(struct adit_err *e, int code, const char *fmt, ...)
{
	va_list ap;

	if (!e)
		return code;
	e->code = code;
	va_start(ap, fmt);
	vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	return code;
}

int
adit_err_context(struct adit_err *e, const char *fmt, ...)
{
	struct adit_err old;
	va_list ap;
	int n;

	if (!e)
		return 0;
	old = *e;
	va_start(ap, fmt);
	n = vsnprintf(e->text, sizeof(e->text), fmt, ap);
	va_end(ap);
	if (n < 0)
		n = 0;
	if ((size_t)n < sizeof(e->text))
		snprintf(e->text + n, sizeof(e->text) - (size_t)n, ": %s", old.text);
	return e->code;
}
