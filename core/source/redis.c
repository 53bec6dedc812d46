#include "core/source/redis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <adit/addr.h>
#include <adit/conn.h>

#include "core/conn/conn.h"
#include "core/conn/dial.h"
#include "core/conn/tls.h"
#include "core/wire/resp.h"

#define REDIS_PORT 6379
#define KEY_DEFAULT "gost"

/* The kinds of keys, and how each is read. */
static const struct redis_kind {
	const char	*name;
	const char	*words[4];	/* %: the key */
	unsigned	 per_line;	/* elements; 0: the value is the text */
} kinds[] = {
	{ "hash", { "HGETALL", "%" }, 2 },
	{ "set", { "SMEMBERS", "%" }, 1 },
	{ "list", { "LRANGE", "%", "0", "-1" }, 1 },
	{ "string", { "GET", "%" }, 0 },
};

/* The same for adding a text, which is $. */
static const struct redis_addition {
	const char	*name;
	const char	*words[4];
} additions[] = {
	{ "set", { "SADD", "%", "$" } },
	{ "list", { "LPUSH", "%", "$" } },
	{ "sset", { "ZINCRBY", "%", "1", "$" } },
};

/* Bytes that may be secret: wiped whenever they move. */
struct bytes {
	char	*p;
	size_t	 len, room;
};

struct redis_talk {
	struct adit_worker	*worker;
	struct adit_conn	*conn;
	struct adit_timer	*timer;
	redis_done		*done;
	redis_added		*added;		/* instead of done: it adds */
	void			*arg;
	uint64_t		 limit;
	size_t			 max;
	const struct redis_kind	*kind;

	struct bytes		 out, in, text;
	size_t			 sent;
	unsigned		 agreements;	/* to AUTH and SELECT, still to come */
	bool			 authenticates;	/* the first of them is AUTH's */
	bool			 counted;	/* the array has begun */
	int64_t			 left;		/* elements of it; of adding, answers */
	size_t			 n_added;
};

/* ---- bytes ------------------------------------------------------------------------------ */

static void
bytes_fini(struct bytes *b)
{
	if (b->p)
		explicit_bzero(b->p, b->room);
	free(b->p);
	*b = (struct bytes){ .p = NULL };
}

/* Room for n more. */
static int
bytes_reserve(struct bytes *b, size_t n)
{
	struct bytes more = { .len = b->len, .room = b->room ? b->room : 1024 };

	if (b->room - b->len >= n)
		return 0;
	while (more.room - b->len < n)
		more.room *= 2;
	more.p = malloc(more.room);
	if (!more.p)
		return -ENOMEM;
	if (b->len)
		memcpy(more.p, b->p, b->len);
	bytes_fini(b);
	*b = more;
	return 0;
}

static int
bytes_add(struct bytes *b, const char *p, size_t n)
{
	int err = bytes_reserve(b, n);

	if (!err && n)
		memcpy(b->p + b->len, p, n);
	b->len += err ? 0 : n;
	return err;
}

static void
bytes_cut_front(struct bytes *b, size_t n)
{
	b->len -= n;
	if (b->len)
		memmove(b->p, b->p + n, b->len);
}

/* ---- the end ---------------------------------------------------------------------------- */

void
redis_cancel(struct redis_talk *r)
{
	if (!r)
		return;
	adit_conn_close(r->conn, 0);
	adit_timer_free(r->timer);
	bytes_fini(&r->out);
	bytes_fini(&r->in);
	bytes_fini(&r->text);
	free(r);
}

/* e NULL: the text is whole. */
static void
redis_end(struct redis_talk *r, const struct adit_err *e)
{
	struct bytes text = r->text;
	redis_done *done = r->done;
	redis_added *added = r->added;
	size_t n = r->n_added;
	void *arg = r->arg;

	r->text = (struct bytes){ .p = NULL };
	redis_cancel(r);
	if (added)
		added(arg, n, e);
	else
		done(arg, e ? NULL : text.p, e ? 0 : text.len - 1, e);
	bytes_fini(&text);
}

static void
redis_fail(struct redis_talk *r, int err, const char *text)
{
	struct adit_err e = ADIT_ERR_INIT;

	adit_err_set(&e, err, "%s", text ? text : adit_strerror(err));
	redis_end(r, &e);
}

static void
redis_late(void *arg)
{
	struct redis_talk *r = arg;
	struct adit_err e = ADIT_ERR_INIT;

	adit_err_set(&e, -ETIMEDOUT, "no answer within %llu ms",
		     (unsigned long long)(r->limit / ADIT_MS(1)));
	redis_end(r, &e);
}

/* ---- answers ------------------------------------------------------------------------------ */

/* What the server says against AUTH may repeat the password: its first word is enough. */
static void
redis_refused(struct redis_talk *r, const struct resp *answer)
{
	bool secret = r->agreements && r->authenticates;
	const char *blank = memchr(answer->text, ' ', answer->len);
	size_t len = secret && blank ? (size_t)(blank - answer->text) : answer->len;
	struct adit_err e = ADIT_ERR_INIT;

	adit_err_set(&e, ADIT_EREFUSED, "%s%.*s", secret ? "AUTH: " : "",
		     (int)(len > 200 ? 200 : len), answer->text);
	redis_end(r, &e);
}

/* An element becomes part of a line, which has no other line in it. */
static int
redis_add(struct redis_talk *r, const char *p, size_t len, char after)
{
	int err;

	if (memchr(p, '\n', len) || memchr(p, '\0', len))
		return -EBADMSG;
	if (r->text.len + len + 1 > r->max)
		return -EMSGSIZE;
	err = bytes_add(&r->text, p, len);
	return err ? err : bytes_add(&r->text, &after, 1);
}

/* Returns 1 when all is there. */
static int
redis_take_element(struct redis_talk *r, const struct resp *answer)
{
	unsigned per_line = r->kind->per_line;
	int err;

	if (answer->type != RESP_BULK)
		return -EBADMSG;
	r->left--;
	err = redis_add(r, answer->text, answer->len,
			r->left % (int64_t)per_line ? ' ' : '\n');
	return err ? err : r->left == 0;
}

static int
redis_take_value(struct redis_talk *r, const struct resp *answer)
{
	if (answer->type == RESP_NIL)		/* there is no such key */
		return 1;
	if (r->kind->per_line == 0) {
		if (answer->type != RESP_BULK || memchr(answer->text, '\0', answer->len))
			return -EBADMSG;
		return bytes_add(&r->text, answer->text, answer->len) < 0 ? -ENOMEM : 1;
	}
	if (answer->type != RESP_ARRAY || answer->number % (int64_t)r->kind->per_line)
		return -EBADMSG;
	r->counted = true;
	r->left = answer->number;
	return r->left == 0;
}

/* That a text was added, with how many there are or what its score is. As redis_take_element. */
static int
redis_take_added(struct redis_talk *r, const struct resp *answer)
{
	if (answer->type != RESP_NUMBER && answer->type != RESP_BULK)
		return -EBADMSG;
	r->n_added++;
	return --r->left == 0;
}

/* Returns 1 when all is there, 2 when r has ended. */
static int
redis_take(struct redis_talk *r, const struct resp *answer)
{
	if (answer->type == RESP_ERROR && !r->counted) {
		redis_refused(r, answer);
		return 2;
	}
	if (r->agreements) {
		r->agreements--;
		r->authenticates = false;
		return answer->type == RESP_TEXT ? 0 : -EBADMSG;
	}
	if (r->added)
		return redis_take_added(r, answer);
	return r->counted ? redis_take_element(r, answer) : redis_take_value(r, answer);
}

/* All that is in r->in. As redis_take. */
static int
redis_take_all(struct redis_talk *r)
{
	size_t at = 0;
	ssize_t n = 1;
	int err = 0;

	while (!err && n > 0) {
		struct resp answer;

		n = resp_decode(r->in.p + at, r->in.len - at, r->max, &answer);
		if (n > 0)
			err = redis_take(r, &answer);
		at += n > 0 ? (size_t)n : 0;
	}
	if (err)
		return err;
	bytes_cut_front(&r->in, at);
	return (int)n;
}

static int
redis_receive(struct redis_talk *r)
{
	ssize_t n;
	int err = 0;

	while (!err) {
		err = bytes_reserve(&r->in, 4096);
		if (err)
			return err;
		n = adit_conn_read(r->conn, r->in.p + r->in.len, r->in.room - r->in.len);
		if (n <= 0)
			return n ? (int)n : -ECONNRESET;
		r->in.len += (size_t)n;
		err = redis_take_all(r);
	}
	return err;
}

/* ---- the conversation ------------------------------------------------------------------- */

static int
redis_send(struct redis_talk *r)
{
	while (r->sent < r->out.len) {
		ssize_t n = adit_conn_write(r->conn, r->out.p + r->sent, r->out.len - r->sent);

		if (n < 0)
			return (int)n;
		r->sent += (size_t)n;
	}
	return 0;
}

static void
redis_event(void *owner, struct adit_conn *c, unsigned events)
{
	struct redis_talk *r = owner;
	int err = redis_send(r);

	(void)events;
	if (!err)
		err = redis_receive(r);
	if (err == -EAGAIN)
		adit_conn_want(c, r->sent < r->out.len ? ADIT_WRITE : ADIT_READ);
	else if (err == 1 && bytes_add(&r->text, "", 1) == 0)
		redis_end(r, NULL);
	else if (err == 1)
		redis_fail(r, -ENOMEM, NULL);
	else if (err == -EBADMSG)
		redis_fail(r, err, "an answer that was not expected, or with line breaks in it");
	else if (err == -EMSGSIZE)
		redis_fail(r, err, "the answer is too long");
	else if (err < 0)
		redis_fail(r, err, conn_failure(c));
}

static int
redis_command(struct redis_talk *r, const char *const *words, size_t n)
{
	size_t len = resp_encode(words, n, NULL, 0);
	int err = bytes_reserve(&r->out, len);

	if (!err)
		r->out.len += resp_encode(words, n, r->out.p + r->out.len, len);
	return err;
}

/* Who we are, and which base. */
static int
redis_write_login(struct redis_talk *r, const struct redis_conf *conf)
{
	const char *auth[] = { "AUTH", conf->username, conf->password };
	const char *user_less[] = { "AUTH", conf->password };
	char db[24];
	int err = 0;

	if (conf->password && *conf->password) {
		bool named = conf->username && *conf->username;

		err = named ? redis_command(r, auth, 3) : redis_command(r, user_less, 2);
		r->authenticates = true;
		r->agreements++;
	}
	if (!err && conf->db) {
		snprintf(db, sizeof(db), "%lld", (long long)conf->db);
		err = redis_command(r, (const char *[]){ "SELECT", db }, 2);
		r->agreements++;
	}
	return err;
}

/* Those of a table, with the key and the text in their places. */
static int
redis_write_words(struct redis_talk *r, const char *const from[4], const char *key,
		  const char *text)
{
	const char *words[4];
	size_t n = 0;

	for (; n < 4 && from[n]; n++)
		words[n] = strcmp(from[n], "%") == 0 ? key && *key ? key : KEY_DEFAULT :
			   strcmp(from[n], "$") == 0 ? text : from[n];
	return redis_command(r, words, n);
}

static const struct redis_kind *
redis_kind_of(const char *name)
{
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++)
		if (strcasecmp(kinds[i].name, name) == 0)
			return &kinds[i];
	return NULL;
}

static const struct redis_addition *
redis_addition_of(const char *name)
{
	for (size_t i = 0; i < sizeof(additions) / sizeof(*additions); i++)
		if (strcasecmp(additions[i].name, name) == 0)
			return &additions[i];
	return NULL;
}

bool
redis_can_add(const char *type)
{
	return redis_addition_of(type);
}

int
redis_check(const struct redis_conf *conf, struct adit_err *e)
{
	char host[256];
	uint16_t port;

	if (adit_hostport_split(conf->addr, host, sizeof(host), &port) < 0)
		return adit_err_set(e, ADIT_ECONFIG, "addr: not an address: \"%s\"", conf->addr);
	if (conf->type && !redis_kind_of(conf->type))
		return adit_err_set(e, ADIT_ECONFIG,
				    "type: \"%s\" is none of hash, set, list and string",
				    conf->type);
	return 0;
}

static struct adit_conn *
redis_dial(struct redis_talk *r, const struct redis_ask *ask, struct adit_err *e)
{
	struct adit_conn *c;
	char host[256];
	uint16_t port;

	if (adit_hostport_split(ask->conf->addr, host, sizeof(host), &port) < 0) {
		adit_err_set(e, -EINVAL, "not an address");
		return NULL;
	}
	c = tcp_dial(r->worker, host, port ? port : REDIS_PORT,
		     (unsigned)(ask->limit / ADIT_MS(1)), e);
	if (!c || !ask->tls)
		return c;
	return tls_client_of(c, ask->tls, host, e);
}

static struct redis_talk *
redis_talk_new(struct adit_worker *w, const struct redis_ask *ask, void *arg)
{
	struct redis_talk *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->worker = w;
	r->arg = arg;
	r->limit = ask->limit;
	r->max = ask->max;
	r->timer = adit_timer_new(w, redis_late, r);
	if (r->timer && redis_write_login(r, ask->conf) == 0)
		return r;
	redis_cancel(r);
	return NULL;
}

/* Sends what is written; r NULL or err: there is no memory. As redis_begin. */
static struct redis_talk *
redis_talk(struct redis_talk *r, const struct redis_ask *ask, int err, struct adit_err *e)
{
	struct adit_err why = ADIT_ERR_INIT;	/* e may be filled */

	if (!r || err)
		adit_err_set(&why, -ENOMEM, "out of memory");
	else
		r->conn = redis_dial(r, ask, &why);
	if (why.code) {
		redis_cancel(r);
		adit_err_set(e, why.code, "%s", why.text);
		return NULL;
	}
	adit_timer_set(r->timer, r->limit);
	adit_conn_own(r->conn, redis_event, r);
	adit_conn_want(r->conn, ADIT_WRITE);
	return r;
}

struct redis_talk *
redis_begin(struct adit_worker *w, const struct redis_ask *ask, redis_done *done, void *arg,
	    struct adit_err *e)
{
	struct redis_talk *r = redis_talk_new(w, ask, arg);
	int err = -ENOMEM;

	if (r) {
		r->done = done;
		r->kind = redis_kind_of(ask->conf->type);
	}
	if (r && r->kind)
		err = redis_write_words(r, r->kind->words, ask->conf->key, NULL);
	return redis_talk(r, ask, err, e);
}

struct redis_talk *
redis_begin_adding(struct adit_worker *w, const struct redis_ask *ask, const char *const *texts,
		   size_t n, redis_added *added, void *arg, struct adit_err *e)
{
	const struct redis_addition *addition = redis_addition_of(ask->conf->type);
	struct redis_talk *r = redis_talk_new(w, ask, arg);
	int err = addition ? 0 : -EINVAL;

	if (r) {
		r->added = added;
		r->max = RESP_LINE_MAX;
		r->left = (int64_t)n;
	}
	for (size_t i = 0; r && !err && i < n; i++)
		err = redis_write_words(r, addition->words, ask->conf->key, texts[i]);
	return redis_talk(r, ask, err, e);
}
