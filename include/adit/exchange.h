/*
 * An exchange: one HTTP request and its response, from either side, in any version of HTTP. It is a
 * conn whose bytes are the two bodies, plus heads and trailers: what is read is the peer's body,
 * what is written is ours, adit_conn_shutdown ends ours, adit_conn_close(why) aborts this exchange
 * and, where the version can, nothing else. After a 101, or a 2xx to CONNECT, the same conn is the
 * tunnel.
 *
 * Order. Client: send_head (request), write, shutdown; wait for ADIT_HEAD, take heads until one
 * that is not 1xx (101 is final), then read to the end, then trailers. Server: take the head, read;
 * send_head any number of 1xx, then one final; write; trailers; shutdown. A read answers -EAGAIN
 * until the head was taken, a write until the final head was sent. Sources: RFC 9110, 9112, 9113,
 * 9114.
 */
#ifndef ADIT_EXCHANGE_H
#define ADIT_EXCHANGE_H

#include <adit/conn.h>
#include <adit/mux.h>

#ifdef __cplusplus
extern "C" {
#endif

struct adit_text {
	const char	*s;		/* terminated as well; may be NULL: absent */
	size_t		 len;
};

struct adit_field {
	struct adit_text name, value;	/* names as sent; compared without case */
};

/*
 * A head, or trailers: control data and fields in order. Copies what it is given. Not shared by
 * threads.
 */
struct adit_fields;

struct adit_fields *adit_fields_new(void);			/* empty; NULL: out of memory */
struct adit_fields *adit_fields_copy(const struct adit_fields *f);	/* NULL: out of memory */
void adit_fields_free(struct adit_fields *f);			/* NULL is fine */

/* Which of the control data (RFC 9110, 6.2) to get or set. */
enum adit_control {
	ADIT_METHOD,
	ADIT_TARGET,		/* the path and query; "*"; NULL for CONNECT */
	ADIT_AUTHORITY,		/* HTTP/1: Host, or the authority of an absolute target */
	ADIT_SCHEME,
	ADIT_PROTOCOL,		/* of an extended CONNECT (RFC 8441) */
	ADIT_REASON,		/* HTTP/1 reason phrase */
	ADIT_CONTROLS,
};

/*
 * Set: 0, or -ENOMEM, or -EINVAL for bytes that no HTTP version may carry there (CR, LF, NUL,
 * blanks in method ...). s may be NULL: removes it. Get: the text, f's until that is changed; empty
 * (s NULL) when absent.
 */
int adit_fields_set_control(struct adit_fields *f, enum adit_control which, const char *s,
			    size_t len);
struct adit_text adit_fields_control(const struct adit_fields *f, enum adit_control which);

/* The status, 100..999; 0: a request or trailers. */
void adit_fields_set_status(struct adit_fields *f, int status);
int adit_fields_status(const struct adit_fields *f);

/* The version of HTTP it arrived with: 10, 11, 20, 30; 0: unknown. */
void adit_fields_set_version(struct adit_fields *f, int version);
int adit_fields_version(const struct adit_fields *f);

/*
 * Adds a field behind the others; set replaces all of that name. 0, -ENOMEM, -EINVAL (not a token;
 * a value with CR, LF or NUL) or -E2BIG (beyond the limit of 64 KiB, 256 fields).
 */
int adit_fields_add(struct adit_fields *f, struct adit_text name, struct adit_text value);
int adit_fields_set(struct adit_fields *f, const char *name, const char *value);
unsigned adit_fields_remove(struct adit_fields *f, const char *name);	/* how many there were */

/* The first value of that name, or NULL text; f's until it is changed. */
struct adit_text adit_fields_get(const struct adit_fields *f, const char *name);

/* Whether any field of that name has word as an element of its comma list, without case. */
bool adit_fields_has(const struct adit_fields *f, const char *name, const char *word);

/* How many fields there are, and each of them in order; NULL beyond the last. */
size_t adit_fields_count(const struct adit_fields *f);
const struct adit_field *adit_fields_at(const struct adit_fields *f, size_t i);

struct adit_exchange;

enum adit_head_flag {
	ADIT_HEAD_END = 1,	/* nothing follows this head: no body, no trailers */
};

struct adit_exchange_ops {
	struct adit_conn_ops body;

	/*
	 * Sends a request, interim or final response. Taken whole (0), -EAGAIN, or a failure.
	 * Copies f.
	 */
	int		(*send_head)(struct adit_exchange *x, const struct adit_fields *f,
				     unsigned flags);

	/*
	 * The next head that arrived, or (after the body's end) the trailers; owned by x until the
	 * next call (also one that finds none) or close. NULL: none yet.
	 */
	const struct adit_fields *(*head)(struct adit_exchange *x);

	/* Sends trailers, before shutdown; 0, -EAGAIN, -ENOTSUP (this message cannot carry any). */
	int		(*trailers)(struct adit_exchange *x, const struct adit_fields *f);

	int		 version;	/* adit_exchange_version */
};

struct adit_exchange {			/* first member of every kind */
	struct adit_conn body;		/* its ops are the first member of an adit_exchange_ops */
};

/*
 * As the operations above, on x's worker. Before x is open send_head and trailers answer -EAGAIN;
 * after it failed, why. flags: of enum adit_head_flag.
 */
int adit_exchange_send_head(struct adit_exchange *x, const struct adit_fields *f, unsigned flags);
const struct adit_fields *adit_exchange_head(struct adit_exchange *x);
int adit_exchange_trailers(struct adit_exchange *x, const struct adit_fields *f);

/*
 * The version of HTTP that it is carried by: 11, 20, 30. The last two ask for another protocol by
 * an extended CONNECT, the first by Upgrade.
 */
int adit_exchange_version(const struct adit_exchange *x);

/* The exchange that c is the body of, or NULL: c has not ADIT_CONN_EXCHANGE. */
struct adit_exchange *adit_exchange_of(struct adit_conn *c);

/* For implementers: as adit_conn_new, with ADIT_CONN_EXCHANGE. */
void *adit_exchange_new(struct adit_worker *w, const struct adit_exchange_ops *ops, size_t size,
			unsigned flags);

#ifdef __cplusplus
}
#endif
#endif
