/*
 * DNS messages (RFC 1035, chapter 4) as a stub asks and is answered: one question for the addresses
 * of a name, with EDNS (RFC 6891) and, if wanted, a client's subnet in it (RFC 7871).
 */
#ifndef ADIT_CORE_WIRE_DNS_H
#define ADIT_CORE_WIRE_DNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	DNS_QUESTION_MAX = 12 + 255 + 4 + 11 + 8 + 16,	/* bytes of what dns_ask writes */
	DNS_UDP_MAX = 1232,		/* of an answer by UDP, as we tell servers */
	DNS_ANSWERS = 16,		/* addresses; more are left out */
	DNS_TTL_MAX = 86400,		/* s; RFC 2181, 8: longer ones are taken for this */
};

/* Whom the answer is for, as far as servers are told. */
struct dns_subnet {
	bool		ip6;
	uint8_t		bits;		/* 0: nothing is told */
	uint8_t		ip[16];
};

/* A question, as it is asked and as its answer must repeat it. */
struct dns_question {
	uint16_t		 id;
	const char		*name;		/* with or without a dot at the end */
	bool			 ip6;		/* AAAA, else A */
	struct dns_subnet	 subnet;
};

/* Writes it: the length, or -EINVAL: the name is none. */
ssize_t dns_ask(const struct dns_question *q, uint8_t out[DNS_QUESTION_MAX]);

struct dns_answer {
	unsigned	rcode;			/* 0; 3: there is no such name */
	bool		truncated;		/* to be asked for again by TCP */
	uint32_t	ttl;			/* s, the shortest on the way to the addresses */
	size_t		n;
	uint8_t		ip[DNS_ANSWERS][16];	/* IPv4 in the first four */
};

/* Reads the answer to q. 0, or -EBADMSG: it is none, or none to that. */
int dns_read(const struct dns_question *q, const uint8_t *buf, size_t len, struct dns_answer *out);

#endif
