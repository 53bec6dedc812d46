/*
 * Options: one table of rows per plugin says every key it takes. The same rows fill the instance,
 * check the configuration, and print the reference (`adit help listener quic`), so none of them can
 * be out of date. A plugin never walks YAML; a row of type ADIT_OPT_TREE is the one exception.
 */
#ifndef ADIT_OPT_H
#define ADIT_OPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <adit/err.h>

#ifdef __cplusplus
extern "C" {
#endif

enum adit_opt_type {
	ADIT_OPT_BOOL,		/* bool: true false 1 0 t f T F (gost's set), or an integer */
	ADIT_OPT_INT,		/* int64_t within min..max */
	ADIT_OPT_DURATION,	/* uint64_t, nanoseconds: "1m30s"; a bare number is seconds */
	ADIT_OPT_SIZE,		/* uint64_t, bytes: "64KB" (powers of 1024) or a bare number */
	ADIT_OPT_STRING,	/* char *, owned by the instance, NULL when absent */
	ADIT_OPT_LIST,		/* struct adit_strings: a YAML list or one text with commas */
	ADIT_OPT_MAP,		/* struct adit_pairs: a YAML map of scalars */
	ADIT_OPT_ADDR,		/* char *: host:port or :port, checked (port 0..65535) */
	ADIT_OPT_UUID,		/* struct adit_uuid; with dashes, braces, urn:uuid: as in gost */
	ADIT_OPT_ENUM,		/* int: index into values */
	ADIT_OPT_NAME,		/* char *: the name of another object; refers says of which kind */
	ADIT_OPT_TREE,		/* const struct adit_tree *: the configuration's node, borrowed */
};

enum adit_opt_flags {
	ADIT_OPT_REQUIRED = 1,	/* absence is an error */
	ADIT_OPT_SECRET = 2,	/* never printed or logged */
};

struct adit_uuid { uint8_t b[16]; };		/* in text order */
struct adit_strings { size_t n; char **v; };
struct adit_pairs { size_t n; char **name; char **value; };	/* in the file's order and case */
struct adit_tree;				/* core/config/tree.h; opaque to plugins */

struct adit_opt {
	const char		*name;		/* as documented; compared without case */
	const char *const	*aliases;	/* NULL-terminated, or NULL; the first there wins */
	enum adit_opt_type	 type;
	size_t			 offset;	/* of the field in the instance */
	const char		*def;		/* as text, or NULL: zero */
	int64_t			 min, max;	/* _INT, _DURATION (ns), _SIZE; both 0: any >= 0 */
	const char *const	*values;	/* ADIT_OPT_ENUM: NULL-terminated words */
	const char		*refers;	/* ADIT_OPT_NAME: "ingresses", "authers", ... */
	unsigned		 flags;		/* of enum adit_opt_flags */
	const char		*help;		/* one line */
	size_t			 given;		/* offset of a bool, set by a key; 0: none */

	/*
	 * Optional, of _STRING and of each item of _LIST: whether it can be used, so that a mistake
	 * is told with its place and together with all others. Returns 0, or a negative code and e.
	 */
	int			(*check)(const char *text, struct adit_err *e);
};
#define ADIT_OPT_END { .name = NULL }

/*
 * Sets one field of instance from text, as for a URL parameter. Returns 0 or ADIT_ECONFIG with e
 * saying what was expected ("expected a duration like \"30s\", not \"soon\""), without position:
 * the caller knows it.
 */
int adit_opt_set(const struct adit_opt *opt, void *instance, const char *text, struct adit_err *e);

/* Writes the default of every row to instance (zeroed before). */
void adit_opt_defaults(const struct adit_opt *opts, void *instance);

/* Frees what the fields of instance own and zeroes them. opts may be NULL. */
void adit_opt_fini(const struct adit_opt *opts, void *instance);

/* Returns the row called name (or so aliased), compared without case, or NULL. opts may be NULL. */
const struct adit_opt *adit_opt_find(const struct adit_opt *opts, const char *name);

/* UUID text, 8-4-4-4-12, any case; loose also takes gost's other forms. Returns 0 or -EINVAL. */
int adit_uuid_parse(const char *text, bool loose, struct adit_uuid *out);

/* Writes the 36 lower-case characters and a terminator. */
void adit_uuid_format(const struct adit_uuid *u, char out[37]);

/* A new random (version 4) UUID. */
struct adit_uuid adit_uuid_random(void);

#ifdef __cplusplus
}
#endif
#endif
