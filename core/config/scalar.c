#include <arpa/inet.h>
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/config/scalar.h"

bool
scalar_one_of(const char *text, const char *const *words)
{
	for (size_t i = 0; words[i]; i++)
		if (strcmp(text, words[i]) == 0)
			return true;
	return false;
}

/* ---- what YAML makes of it ------------------------------------------------ */

static bool
looks_float(const char *text)
{
	static const char *const words[] = {
		".inf", ".Inf", ".INF", "-.inf", "-.Inf", "-.INF", "+.inf", "+.Inf", "+.INF",
		".nan", ".NaN", ".NAN", NULL,
	};
	const char *p = text;
	bool digits = false;

	if (scalar_one_of(text, words))
		return true;
	if (*p == '-' || *p == '+')
		p++;
	for (; isdigit((unsigned char)*p) || *p == '_'; p++)
		digits |= *p != '_';
	if (*p == '.')
		for (p++; isdigit((unsigned char)*p); p++)
			digits = true;
	if (digits && (*p == 'e' || *p == 'E')) {
		p++;
		if (*p == '-' || *p == '+')
			p++;
		if (!isdigit((unsigned char)*p))
			return false;
		while (isdigit((unsigned char)*p))
			p++;
	}
	return digits && !*p;
}

/* Also 1_000 and the base 60 of YAML 1.1 (1:30), to be quoted for readers of that. */
static bool
looks_int(const char *text)
{
	const char *p = text;
	int64_t n;

	if (scalar_int(text, &n) != -EINVAL)
		return true;
	if (*p == '-' || *p == '+')
		p++;
	if (!isdigit((unsigned char)*p))
		return false;
	while (isdigit((unsigned char)*p) || *p == '_' || *p == ':')
		p++;
	return !*p;
}

enum scalar_kind
scalar_kind(const char *text)
{
	static const char *const nulls[] = { "", "~", "null", NULL };
	static const char *const bools[] = {
		"true", "false", "yes", "no", "on", "off", "y", "n", NULL,
	};
	char lower[8];
	size_t len = strlen(text);

	if (len < sizeof(lower)) {
		for (size_t i = 0; i <= len; i++)
			lower[i] = (char)tolower((unsigned char)text[i]);
		if (scalar_one_of(lower, nulls))
			return SCALAR_NULL;
		if (scalar_one_of(lower, bools))
			return SCALAR_BOOL;
	}
	if (looks_int(text))
		return SCALAR_INT;
	return looks_float(text) ? SCALAR_FLOAT : SCALAR_TEXT;
}

/* ---- bool and int --------------------------------------------------------- */

int
scalar_bool(const char *text, bool *out)
{
	static const char *const yes[] = { "1", "t", "T", "TRUE", "true", "True", NULL };
	static const char *const no[] = { "0", "f", "F", "FALSE", "false", "False", NULL };
	int64_t n;

	if (scalar_one_of(text, yes)) {
		*out = true;
		return 0;
	}
	if (scalar_one_of(text, no)) {
		*out = false;
		return 0;
	}
	if (scalar_int(text, &n) < 0)
		return -EINVAL;
	*out = n != 0;
	return 0;
}

int
scalar_int(const char *text, int64_t *out)
{
	const char *digits = text + (*text == '-' || *text == '+');
	bool negative = *text == '-';
	unsigned long long n;
	int base = 10;
	char *end;

	if (digits[0] == '0' && digits[1]) {
		int mark = tolower((unsigned char)digits[1]);

		base = mark == 'x' ? 16 : mark == 'b' ? 2 : 8;
		digits += mark == 'x' || mark == 'b' || mark == 'o' ? 2 : 1;
	}
	/* strtoull takes signs, blanks and prefixes of its own. */
	if (!isxdigit((unsigned char)*digits) ||
	    (digits[0] == '0' && tolower((unsigned char)digits[1]) == 'x'))
		return -EINVAL;
	errno = 0;
	n = strtoull(digits, &end, base);
	if (*end || end == digits)
		return -EINVAL;
	if (errno == ERANGE || n > (unsigned long long)INT64_MAX + negative)
		return -ERANGE;
	*out = negative ? (int64_t)(0 - n) : (int64_t)n;
	return 0;
}

/* ---- numbers with units --------------------------------------------------- */

struct unit {
	const char	*name;
	uint64_t	 factor;
};

static const struct unit duration_units[] = {
	{ "ns", 1 },
	{ "us", 1000 },
	{ "\xc2\xb5s", 1000 },		/* micro sign */
	{ "\xce\xbcs", 1000 },		/* Greek mu */
	{ "ms", 1000000 },
	{ "s", UINT64_C(1000000000) },
	{ "m", UINT64_C(60000000000) },
	{ "h", UINT64_C(3600000000000) },
	{ NULL, 0 },
};

static const struct unit size_units[] = {
	{ "B", 1 },
	{ "KB", UINT64_C(1) << 10 },
	{ "MB", UINT64_C(1) << 20 },
	{ "GB", UINT64_C(1) << 30 },
	{ "TB", UINT64_C(1) << 40 },
	{ "PB", UINT64_C(1) << 50 },
	{ "EB", UINT64_C(1) << 60 },
	{ "KiB", UINT64_C(1) << 10 },
	{ "MiB", UINT64_C(1) << 20 },
	{ "GiB", UINT64_C(1) << 30 },
	{ "TiB", UINT64_C(1) << 40 },
	{ "PiB", UINT64_C(1) << 50 },
	{ "EiB", UINT64_C(1) << 60 },
	{ NULL, 0 },
};

/* The longest unit that text begins with, or NULL. */
static const struct unit *
find_unit(const struct unit *units, const char *text)
{
	const struct unit *best = NULL;

	for (; units->name; units++)
		if (strncmp(text, units->name, strlen(units->name)) == 0 &&
		    (!best || strlen(units->name) > strlen(best->name)))
			best = units;
	return best;
}

static int
add_term(uint64_t *sum, uint64_t whole, double fraction, uint64_t factor)
{
	uint64_t term;

	if (__builtin_mul_overflow(whole, factor, &term) ||
	    __builtin_add_overflow(term, (uint64_t)(fraction * (double)factor), &term) ||
	    __builtin_add_overflow(*sum, term, sum))
		return -ERANGE;
	return 0;
}

/* One number and its unit from *text on; moves *text behind them. */
static int
read_term(const char **text, const struct unit *units, uint64_t *sum)
{
	const char *p = *text;
	const struct unit *unit;
	uint64_t whole = 0;
	double fraction = 0, place = 0.1;
	bool digits = false;

	for (; isdigit((unsigned char)*p); p++, digits = true)
		if (__builtin_mul_overflow(whole, UINT64_C(10), &whole) ||
		    __builtin_add_overflow(whole, (uint64_t)(*p - '0'), &whole))
			return -ERANGE;
	if (*p == '.')
		for (p++; isdigit((unsigned char)*p); p++, digits = true, place /= 10)
			fraction += place * (*p - '0');
	unit = digits ? find_unit(units, p) : NULL;
	if (!unit)
		return -EINVAL;
	*text = p + strlen(unit->name);
	return add_term(sum, whole, fraction, unit->factor);
}

static int
read_terms(const char *text, const struct unit *units, uint64_t *sum)
{
	int err;

	*sum = 0;
	do {
		err = read_term(&text, units, sum);
	} while (!err && *text);
	return err;
}

static int
bare_duration(int64_t n, enum scalar_bare bare, int64_t *out)
{
	if (bare == BARE_REFUSED && n)
		return -EINVAL;
	*out = n;
	if (bare == BARE_SECONDS && __builtin_mul_overflow(n, INT64_C(1000000000), out))
		return -ERANGE;
	return 0;
}

int
scalar_duration(const char *text, enum scalar_bare bare, int64_t *out)
{
	bool negative = *text == '-';
	uint64_t sum;
	int64_t n;
	int err;

	if (scalar_int(text, &n) == 0)
		return bare_duration(n, bare, out);
	err = read_terms(text + (*text == '-' || *text == '+'), duration_units, &sum);
	if (err)
		return err;
	if (sum > INT64_MAX)
		return -ERANGE;
	*out = negative ? -(int64_t)sum : (int64_t)sum;
	return 0;
}

/* value in thousandths of unit, without trailing zeros: "1.5ms". */
static void
format_fraction(uint64_t value, uint64_t unit, const char *name, char *buf)
{
	char digits[16];
	size_t n;

	snprintf(digits, sizeof(digits), "%09" PRIu64, value % unit * (1000000000 / unit));
	for (n = 9; n > 0 && digits[n - 1] == '0'; n--)
		;
	sprintf(buf, "%" PRIu64 "%s%.*s%s", value / unit, n ? "." : "", (int)n, digits, name);
}

void
scalar_duration_format(int64_t ns, char buf[40])
{
	uint64_t n = ns < 0 ? 0 - (uint64_t)ns : (uint64_t)ns;
	uint64_t minutes = n / UINT64_C(60000000000);

	if (ns < 0)
		*buf++ = '-';
	if (n == 0)
		strcpy(buf, "0s");
	else if (n < 1000)
		sprintf(buf, "%" PRIu64 "ns", n);
	else if (n < 1000000)
		format_fraction(n, 1000, "us", buf);
	else if (n < 1000000000)
		format_fraction(n, 1000000, "ms", buf);
	else {
		if (minutes >= 60)
			buf += sprintf(buf, "%" PRIu64 "h", minutes / 60);
		if (minutes)
			buf += sprintf(buf, "%" PRIu64 "m", minutes % 60);
		format_fraction(n % UINT64_C(60000000000), 1000000000, "s", buf);
	}
}

int
scalar_size(const char *text, uint64_t *out)
{
	int64_t n;

	if (scalar_int(text, &n) < 0)
		return read_terms(text, size_units, out);
	if (n < 0)
		return -EINVAL;
	*out = (uint64_t)n;
	return 0;
}

/* ---- addresses ------------------------------------------------------------ */

static int
check_port(const char *text, const char *port, size_t *at, struct adit_err *e)
{
	size_t n = strspn(port, "0123456789");

	*at = (size_t)(port - text);
	if (!*port)
		return adit_err_set(e, ADIT_ECONFIG, "no port after \":\" in \"%s\"", text);
	if (port[n] || n > 5 || strtoul(port, NULL, 10) > 65535)
		return adit_err_set(e, ADIT_ECONFIG, "bad port \"%s\", expected 0 to 65535", port);
	return 0;
}

static int
no_port(const char *text, unsigned flags, size_t *at, struct adit_err *e)
{
	*at = 0;
	if (flags & ADDR_NO_PORT)
		return 0;
	return adit_err_set(e, ADIT_ECONFIG, "no port in address \"%s\"", text);
}

static int
check_bracketed(const char *text, unsigned flags, size_t *at, struct adit_err *e)
{
	const char *end = strchr(text, ']');
	char host[INET6_ADDRSTRLEN + 1] = "";
	struct in6_addr v6;
	size_t n = end ? strcspn(text + 1, "]%") : 0;

	*at = 0;
	if (n < sizeof(host))
		memcpy(host, text + 1, n);
	if (!end || n >= sizeof(host) || inet_pton(AF_INET6, host, &v6) != 1 ||
	    (text[1 + n] == '%' && text[2 + n] == ']'))
		return adit_err_set(e, ADIT_ECONFIG, "bad IPv6 address in \"%s\"", text);
	if (!end[1])
		return no_port(text, flags, at, e);
	*at = (size_t)(end + 1 - text);
	if (end[1] != ':')
		return adit_err_set(e, ADIT_ECONFIG, "expected \":\" after \"]\" in \"%s\"", text);
	return check_port(text, end + 2, at, e);
}

static int
check_addr(const char *text, unsigned flags, size_t *at, struct adit_err *e)
{
	const char *colon = strrchr(text, ':');
	struct in6_addr v6;

	*at = 0;
	for (const char *p = text; *p; p++) {
		*at = (size_t)(p - text);
		if ((unsigned char)*p <= ' ' || *p == '/' || *p == 127)
			return adit_err_set(e, ADIT_ECONFIG,
					    "expected an address like \"host:443\", not \"%s\"",
					    text);
	}
	if (*text == '[')
		return check_bracketed(text, flags, at, e);
	if (!colon)
		return no_port(text, flags, at, e);
	if (strchr(text, ':') == colon)
		return check_port(text, colon + 1, at, e);
	*at = 0;
	if (inet_pton(AF_INET6, text, &v6) == 1)
		return no_port(text, flags, at, e);
	return adit_err_set(e, ADIT_ECONFIG, "too many colons in \"%s\", write [v6]:port", text);
}

int
scalar_addr(const char *text, unsigned flags, size_t *at, struct adit_err *e)
{
	size_t offset;
	int err = check_addr(text, flags, &offset, e);

	if (at)
		*at = offset;
	return err;
}
