/*
 * Somebody who was let in: a user of an auther, the certificate that he came with, both or neither.
 * Kept as long as what goes on by his right, so that it can be asked again whether he still may.
 */
#ifndef ADIT_CORE_IDENTITY_H
#define ADIT_CORE_IDENTITY_H

#include <adit/conn.h>

#include "core/identity/auth_set.h"

struct identity {
	char			*user;		/* NULL: no credentials were asked for */
	uint8_t			 proof[AUTH_PROOF];	/* of user */
	struct adit_certificate	*certificate;	/* a verified one, or NULL */
};

/*
 * found: as whom he passed, or NULL. certificate: what he presented, or NULL; kept only if it is
 * verified. Copies. NULL: out of memory.
 */
struct identity *identity_new(const struct auth_found *found,
			      const struct adit_certificate *certificate);
void identity_free(struct identity *i);		/* NULL is fine */

#define IDENTITY_TEXT 600

/* Who that is, for the log: "user web, certificate CN"; "nobody". */
const char *identity_text(const struct identity *i, char text[IDENTITY_TEXT]);

#endif
