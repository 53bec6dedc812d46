/* smux as the session at the end of a stack, for the array of built-ins. */
#ifndef ADIT_CORE_MUX_SMUX_SESSION_H
#define ADIT_CORE_MUX_SMUX_SESSION_H

#include <adit/plugin.h>

/* They differ in their defaults: gost's mtls, mws and mwss speak version 1, its mtcp speaks 2. */
extern const struct adit_session_ops session_smux1, session_smux2;

#endif
