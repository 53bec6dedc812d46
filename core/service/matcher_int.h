/*
 * The compiled form of a rule, for its parser (matcher_parse.c) and for what its terms ask
 * (matcher.c).
 */
#ifndef ADIT_CORE_MATCHER_INT_H
#define ADIT_CORE_MATCHER_INT_H

#include "core/runtime/addr_range.h"
#include "core/service/matcher.h"
#include "core/service/regex.h"

#define MATCHER_ARGS 3

enum matcher_op { MATCHER_AND, MATCHER_OR, MATCHER_NOT, MATCHER_TERM };

enum matcher_compare {
	COMPARE_NONE, COMPARE_GT, COMPARE_GE, COMPARE_LT, COMPARE_LE, COMPARE_EQ, COMPARE_NE,
};

struct matcher_term;

struct matcher_node {
	enum matcher_op			 op;
	uint16_t			 a, b;		/* operands, by index; NOT has a alone */

	/* Of a term. */
	const struct matcher_term	*term;
	unsigned			 n_args;
	const char			*arg[MATCHER_ARGS];	/* the matcher's text */
	size_t				 arg_at[MATCHER_ARGS];	/* where it stands in the rule */
	struct regex			*regex;		/* owned */
	struct addr_range		 range;
	enum matcher_compare		 compare;
	double				 number;
};

struct matcher {
	struct matcher_node	*nodes;		/* owned */
	unsigned		 n;
	uint16_t		 root;
	bool			 asks_client;
	char			*text;		/* of all arguments; owned */
};

/* A function of the language. */
struct matcher_term {
	const char	*name;
	unsigned	 min_args, max_args;

	/* optional: looks at the arguments. 0, or a failure with e, *at being where in the rule. */
	int		(*init)(struct matcher_node *n, size_t *at, struct adit_err *e);

	/* 1, 0, or a failure: it cannot be told. */
	int		(*test)(const struct matcher_node *n, const struct route_request *req);
	const char	*unavailable;	/* not NULL: why it cannot be had */
};

/* All of them, ended by one without a name. */
extern const struct matcher_term matcher_terms[];

#endif
