/*
 * Pages: an HTTP server of this process's own, for what is answered from memory (metrics, the API).
 * A request is taken whole, its credentials are checked, and it is the site's to answer, now or
 * later; then comes the next one of the same connection.
 *
 * All on the connection's worker.
 */
#ifndef ADIT_CORE_PAGE_H
#define ADIT_CORE_PAGE_H

#include "core/http/visitor.h"
#include "core/identity/gate.h"

struct page;

/* What answers; a handler's, as long as its component. */
struct page_site {
	const char		*kind;		/* of the log: "api" */
	struct adit_component	*component;
	size_t			 body_max;	/* of a request; longer ones are refused */
	bool			 access_log;	/* a line for each request */

	/*
	 * Whether who sent p's request has to say who he is, where the component asks for that.
	 * Where not, the body is not read.
	 */
	bool			(*guarded)(const struct page *p);
	/* He has not: to be answered. */
	void			(*denied)(struct page *p);
	/* Answers p's request with page_answer, in this call or later. */
	void			(*serve)(struct page *p);
	/* The answer is not waited for any more: p->asked is to be let go. */
	void			(*cancel)(struct page *p);
};

/* A request; what is its site's to read stays until it is answered. */
struct page {
	struct http_visitor	 visitor;
	struct page_site	*site;
	const struct adit_fields *head;		/* of the exchange */
	char			*path;		/* of the target; owned, as is all below */
	char			*body;		/* terminated */
	size_t			 len;
	bool			 known;		/* who asks has said who he is */
	void			*asked;		/* the site's own, of this request */

	struct adit_exchange	*x;		/* the module's, below too; owned; NULL: none */
	struct login		 login;
	struct adit_fields	*fields;	/* of the answer, beside its own */
	char			*answer;
	size_t			 answer_len, sent;
	size_t			 room;		/* of body */
	uint64_t		 born;
};

/* Serves c, which is taken. */
void page_serve(struct adit_conn *c, struct page_site *site);

/* The method of p's request. */
const char *page_method(const struct page *p);

/* The value of that key in p's query, copied and decoded; NULL: it has none. To be freed. */
char *page_query(const struct page *p, const char *key);

/* text without the escapes of a URL, or of its query: to be freed. NULL: out of memory. */
char *page_decode(struct adit_text text, bool query);

/* A field of the answer, before page_answer. 0 or -ENOMEM. */
int page_field(struct page *p, const char *name, const char *value);

/*
 * Answers, once. body: malloc'ed, taken; NULL: an empty one. type: of it, a literal. p may be gone
 * when it returns.
 */
void page_answer(struct page *p, int status, const char *type, char *body, size_t len);

#endif
