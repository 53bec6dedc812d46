#include <adit/plugin.h>

#include "core/conn/tls_layer.h"
#include "core/conn/ws_layer.h"
#include "core/mux/h2/h2_session.h"
#include "core/mux/smux_session.h"
#include "core/service/registry.h"
#include "plugins/builtin.h"

extern const struct adit_listener_ops listener_tcp, listener_quic, listener_rtcp,
	listener_udp, listener_rudp, listener_unix;
extern const struct adit_handler_ops handler_tunnel, handler_tcp, handler_rtcp, handler_forward,
	handler_udp, handler_rudp, handler_http, handler_relay, handler_socks, handler_socks5,
	handler_socks4, handler_socks4a, handler_auto, handler_sni, handler_metrics,
	handler_api;
extern const struct adit_handler_ops handler_unix;
extern const struct adit_dialer_ops dialer_tcp, dialer_unix, dialer_quic, dialer_direct,
	dialer_virtual;
extern const struct adit_connector_ops connector_tunnel, connector_forward, connector_tcp,
	connector_http, connector_relay, connector_socks, connector_socks5, connector_socks4,
	connector_socks4a, connector_direct, connector_virtual;
extern const struct adit_ingress_ops ingress_rules;
extern const struct adit_stack stack_tls, stack_ws, stack_wss;
extern const struct adit_stack stack_mtcp, stack_mtls, stack_mws, stack_mwss, stack_h2, stack_h2c;
extern const struct adit_either choice_auto;

static const struct adit_plugin *const builtins[] = {
	&listener_tcp.base, &listener_unix.base, &listener_udp.base, &listener_quic.base,
	&listener_rtcp.base, &listener_rudp.base,
	&handler_tunnel.base, &handler_tcp.base, &handler_rtcp.base, &handler_udp.base,
	&handler_rudp.base, &handler_forward.base, &handler_http.base, &handler_relay.base,
	&handler_socks.base, &handler_socks5.base, &handler_socks4.base, &handler_socks4a.base,
	&handler_auto.base, &handler_sni.base, &handler_unix.base, &handler_metrics.base,
	&handler_api.base,
	&dialer_tcp.base, &dialer_unix.base, &dialer_quic.base, &dialer_direct.base,
	&dialer_virtual.base,
	&connector_tunnel.base, &connector_forward.base, &connector_tcp.base,
	&connector_http.base, &connector_relay.base, &connector_socks.base, &connector_socks5.base,
	&connector_socks4.base, &connector_socks4a.base, &connector_direct.base,
	&connector_virtual.base,
	&layer_tls.base, &layer_tls_h2.base, &layer_ws.base,
	&session_smux1.base, &session_smux2.base, &session_h2.base, &session_h2c.base,
	&ingress_rules.base,
	&stack_tls.base, &stack_ws.base, &stack_wss.base,
	&stack_mtcp.base, &stack_mtls.base, &stack_mws.base, &stack_mwss.base,
	&stack_h2.base, &stack_h2c.base,
	&choice_auto.base,
};

int
builtin_register(struct registry *r, struct adit_err *e)
{
	for (size_t i = 0; i < sizeof(builtins) / sizeof(*builtins); i++) {
		int err = registry_add(r, builtins[i], e);

		if (err)
			return err;
	}
	return 0;
}
