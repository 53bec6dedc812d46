/*
 * What the tables of schema_tables.c name: checks beyond one value, defaults, merged fields. Each
 * adds what is wrong to the walk's errors, at its place, and goes on. In the loading thread, with
 * the walk that calls it.
 */
#ifndef ADIT_CORE_CONFIG_SCHEMA_CHECKS_H
#define ADIT_CORE_CONFIG_SCHEMA_CHECKS_H

#include "core/config/schema.h"

/*
 * One value of the right type; all of a map, after its rows (base: its struct, or NULL); where a
 * key belongs that is unknown in node, or NULL.
 */
typedef void schema_check(struct walk *w, const struct adit_tree *value,
			  const struct tree_path *path);
typedef void schema_finish(struct walk *w, void *base, const struct adit_tree *node,
			   const struct tree_path *path);
typedef const char *schema_place(struct walk *w, const struct adit_tree *node, const char *key);

schema_check check_is_map, check_rule, check_rule_host, check_group_chains, check_ip,
	check_endpoint_addr, check_grant_tunnels, check_grant_hosts, check_grant_fingerprints;
schema_finish check_selector, check_tls, check_peer_tls, check_rotation, check_log,
	check_ingress_rule, check_ingress, check_auther, check_grant, check_user;
schema_finish check_handler, check_listener, check_connector, check_dialer;
schema_finish check_chain_node, check_forward_node, check_top_hop, check_chain_hop, check_forwarder,
	check_service;
schema_place place_handler, place_listener, place_connector, place_dialer;

/* The items of chainGroup.chains that are maps. */
extern const struct schema_object schema_group_chain;

/* ---- metadata: schema_metadata.c ------------------------------------------ */

/* Checks `type` of a component: registered, or at least gost's. */
void metadata_check_type(struct walk *w, enum adit_kind kind, const struct adit_tree *node,
			 const char *type, const struct tree_path *path);

/* Checks the metadata of all parts together and fills in what core reads itself. path: of the
 * owner. */
void metadata_check_service(struct walk *w, struct service_conf *s, const struct tree_path *path);
void metadata_check_node(struct walk *w, struct node_conf *n, const struct tree_path *path);
void metadata_check_hop(struct walk *w, struct hop_conf *h, const struct tree_path *path);
void metadata_check_ingress(struct walk *w, struct ingress_conf *i, const struct tree_path *path);

/* "metadata" if a component of that type takes the key there, else NULL. */
const char *metadata_place(struct walk *w, enum adit_kind kind, const char *type, const char *key);

#endif
