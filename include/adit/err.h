/*
 * Errors.
 *
 * Functions that can fail return 0 (or a count) or a negative code: -errno where the C library has
 * a word for it, else one of enum adit_error. Where a person needs to know why, the last argument
 * is a struct adit_err that the place which knows fills once; callers may put context in front of
 * its text (adit_err_context), never replace it.
 */
#ifndef ADIT_ERR_H
#define ADIT_ERR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What errno has no word for. The numbers are part of the ABI. */
enum adit_error {
	ADIT_ETLS = -4097,	/* TLS: handshake or record failed, or the peer sent an alert */
	ADIT_ETRUNCATED = -4098,/* an end without the protocol's own (TLS without close_notify) */
	ADIT_EREFUSED = -4099,	/* the peer's answer was a refusal without a better word */
	ADIT_EUNAUTH = -4100,	/* credentials missing or wrong */
	ADIT_EFORBIDDEN = -4101,/* known, and not allowed */
	ADIT_ENOROUTE = -4102,	/* no rule for that host */
	ADIT_ENOTUNNEL = -4103,	/* a rule, but no live client for its tunnel */
	ADIT_ETARGET = -4104,	/* the far side could not reach the target */
	ADIT_EPEERDEAD = -4105,	/* the peer no longer answers */
	ADIT_EDRAINING = -4106,	/* stopping: no new work */
	ADIT_ELIMIT = -4107,	/* a limit or the memory budget is reached */
	ADIT_ECONFIG = -4108,	/* the configuration is wrong; the text says where */
	ADIT_EUNSUPPORTED = -4109,/* known by name, not available in this build */
	ADIT_ESTOPPED = -4110,	/* ended by this side: stop, reload, API */
	ADIT_ENOHOST = -4111,	/* no such host name, or none with an address of that family */
	ADIT_ERESOLVE = -4112,	/* the name servers could not say */
	ADIT_ENORULES = -4113,	/* what says where hosts belong cannot be asked now */
};

/* Why something failed, for a person. Start from ADIT_ERR_INIT (or zero). */
struct adit_err {
	int	code;		/* 0, or the negative code that belongs to text */
	char	text[508];	/* always terminated; cut, never overrun */
};
#define ADIT_ERR_INIT { 0, "" }

/*
 * Returns a short text for -errno or an adit_error, for 0 "no error". Static storage; any thread.
 */
const char *adit_strerror(int code);

/*
 * Sets e to code and the formatted text and returns code, so that one line does both. e may be
 * NULL.
 */
int adit_err_set(struct adit_err *e, int code, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "context: " in front of what e says. e may be NULL. Returns e's code (0 if e is NULL). */
int adit_err_context(struct adit_err *e, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif
#endif
