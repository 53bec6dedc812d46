#include "core/mux/quic/opts.h"

const char *const quic_datagram_aliases[] = { "enableDatagram", NULL };
const char *const quic_congestions[] = { "cubic", "bbr", "reno", NULL };

int
quic_opts_params(struct quic_opts *o, const char *protocol, struct quic_params *out,
		 struct adit_err *e)
{
	static const enum quic_congestion congestions[] = { QUIC_CUBIC, QUIC_BBR, QUIC_RENO };

	if (o->cipher_key)
		return adit_err_set(e, ADIT_EUNSUPPORTED,
				    "cipherKey is not available in this build");
	*out = (struct quic_params){
		.idle = o->idle,
		.keep_alive = o->keep_alive ? o->ttl : UINT64_MAX,
		.handshake = o->handshake,
		.streams = (unsigned)o->streams,
		.congestion = congestions[o->congestion],
		.alpn = o->alpn,
	};
	if (protocol)
		o->alpn[out->n_alpn++] = (struct quic_alpn){ .name = protocol, .flows = true };
	o->alpn[out->n_alpn++] = (struct quic_alpn){ .name = "h3" };
	o->alpn[out->n_alpn++] = (struct quic_alpn){ .name = "quic/v1" };
	if (out->streams > 4096)
		out->streams_max = out->streams;
	return 0;
}
