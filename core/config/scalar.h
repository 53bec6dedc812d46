/* Scalars of the configuration: what a text means as a bool, number, duration, size or address.
 * Nothing is kept; any thread. */
#ifndef ADIT_CORE_CONFIG_SCALAR_H
#define ADIT_CORE_CONFIG_SCALAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <adit/err.h>

/* True when text is one of words (ended by NULL). */
bool scalar_one_of(const char *text, const char *const *words);

/* What YAML takes a plain text for. */
enum scalar_kind { SCALAR_TEXT, SCALAR_NULL, SCALAR_BOOL, SCALAR_INT, SCALAR_FLOAT };

/* Also says SCALAR_BOOL for yes, on and their like, which other YAML readers take for one. */
enum scalar_kind scalar_kind(const char *text);

/* gost's words (1 t T TRUE true True 0 f F FALSE false False) or an integer. Returns 0 or
 * -EINVAL. */
int scalar_bool(const char *text, bool *out);

/* Decimal, 0x, 0o, 0b, or octal with a leading 0. Returns 0, -EINVAL or -ERANGE. */
int scalar_int(const char *text, int64_t *out);

/* What a number without unit means in a duration. */
enum scalar_bare { BARE_REFUSED, BARE_SECONDS, BARE_NANOSECONDS };

/* "1m30s", "-1s", ".5s", "0"; units ns us ms s m h. Nanoseconds. Returns 0, -EINVAL or -ERANGE. */
int scalar_duration(const char *text, enum scalar_bare bare, int64_t *out);

/* Writes "1m30s" as Go does, so that what is printed can be read again. */
void scalar_duration_format(int64_t ns, char buf[40]);

/* "64KB", "1.5MiB", "1MB512KB": all powers of 1024; a bare number is bytes. Returns 0, -EINVAL,
 * -ERANGE. */
int scalar_size(const char *text, uint64_t *out);

enum scalar_addr_flags {
	ADDR_NO_PORT = 1,	/* the port may be missing */
};

/*
 * Checks host:port, :port, [v6]:port; the port is 0 to 65535. Returns 0, or ADIT_ECONFIG with e,
 * and the offset of what is wrong in *at (unless NULL).
 */
int scalar_addr(const char *text, unsigned flags, size_t *at, struct adit_err *e);

#endif
