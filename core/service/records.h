/*
 * What one service records, and with which recorders (gost's `recorders` of a service): an object
 * of JSON for each connection or HTTP request that its handler has served, addresses of visitors,
 * hosts that were dialed. Values that are credentials are never in it.
 */
#ifndef ADIT_CORE_RECORDS_H
#define ADIT_CORE_RECORDS_H

#include <adit/conn.h>
#include <adit/plugin.h>

#include "core/config/model.h"

struct held;
struct service_world;	/* core/service/world.h */

struct records {
	struct held	**v[RECORD_KINDS];	/* of struct recorder; each ended by NULL, or NULL:
						 * nobody records that */
	const char	*service, *network;	/* borrowed; network may be NULL */
};

/* Takes what conf, of world's configuration, names; r is zeroed. 0 or -ENOMEM. Main thread. */
int records_init(struct records *r, const struct service_conf *conf,
		 const struct service_world *world);
void records_fini(struct records *r);		/* any thread */

/* Whether anybody records that. Any thread, as below. */
bool records_has(const struct records *r, enum record_kind kind);

void records_put(const struct records *r, const struct adit_record *record);
void records_visitor(const struct records *r, const struct adit_addr *who);

/*
 * host:port is being dialed, which gave c; NULL: it failed at once. c is watched until it is open
 * or has failed.
 */
void records_dial(const struct records *r, const char *host, uint16_t port, struct adit_conn *c);

/* The JSON of record, for a service of that name; its length. buf: at least 512 bytes. */
size_t record_format(const struct adit_record *record, const char *service, const char *network,
		     char *buf, size_t size);

#endif
