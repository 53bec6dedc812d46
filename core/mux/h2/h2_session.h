/* HTTP/2 as the session at the end of a stack, for the array of built-ins. */
#ifndef ADIT_CORE_MUX_H2_SESSION_H
#define ADIT_CORE_MUX_H2_SESSION_H

#include <adit/plugin.h>

/* Over TLS, and over what is not encrypted: they differ in what :scheme says. */
extern const struct adit_session_ops session_h2, session_h2c;

#endif
