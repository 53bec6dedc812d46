#include "core/tunnel/request.h"

#include <string.h>

#include "core/wire/hostname.h"

int
request_route(const struct request_conf *conf, struct adit_worker *w, const struct adit_uuid *named,
	      const char *host, struct adit_uuid *out)
{
	char name[HOSTNAME_MAX + 1];
	bool public_entry = conf->has_public_id &&
			    memcmp(named, &conf->public_id, sizeof(*named)) == 0;
	struct adit_rule rule;
	bool found = hostname_normalise(host, strlen(host), name) > 0 &&
		     conf->lookup(conf->arg, w, name, &rule) == 0;

	*out = *named;
	if (public_entry) {
		if (!found)
			return ADIT_ETARGET;
		*out = rule.tunnel;
		return rule.private_ ? ADIT_ENOROUTE : 0;
	}
	if (conf->direct || (found && memcmp(&rule.tunnel, named, sizeof(*named)) == 0))
		return 0;
	return ADIT_ENOROUTE;
}
