#include "core/tunnel/endpoint.h"

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

int
tunnel_endpoint_name(const struct adit_uuid *id, char out[TUNNEL_ENDPOINT_LEN])
{
	static const char digits[] = "0123456789abcdef";
	uint8_t digest[16];
	char text[37];

	*out = 0;
	adit_uuid_format(id, text);
	if (gnutls_hash_fast(GNUTLS_DIG_MD5, text, 36, digest) < 0)
		return ADIT_EUNSUPPORTED;
	for (size_t i = 0; i < TUNNEL_ENDPOINT_LEN - 1; i++)
		out[i] = digits[i % 2 ? digest[i / 2] & 0xf : digest[i / 2] >> 4];
	out[TUNNEL_ENDPOINT_LEN - 1] = 0;
	return 0;
}
