/*
 * The endpoint name of a tunnel: the public name that a gost server gives a tunnel which asked for
 * none. It is the first DNS label under which the tunnel can be reached.
 */
#ifndef ADIT_CORE_TUNNEL_ENDPOINT_H
#define ADIT_CORE_TUNNEL_ENDPOINT_H

#include <adit/opt.h>

#define TUNNEL_ENDPOINT_LEN 17		/* with the terminator */

/*
 * Writes the name of tunnel id: the first 8 bytes of MD5 over the id's 36 characters, in
 * lower-case hex. MD5 is what gost uses; nothing rests on its strength. Returns 0, or
 * ADIT_EUNSUPPORTED where GnuTLS refuses MD5 (FIPS mode); out is then empty. Any thread.
 */
int tunnel_endpoint_name(const struct adit_uuid *id, char out[TUNNEL_ENDPOINT_LEN]);

#endif
