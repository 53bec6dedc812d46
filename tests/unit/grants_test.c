#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/identity/grants.h"
#include "tests/unit/config_text.h"

#define A "4d21094e-b74c-4916-86c1-d9fa36ea677b"
#define B "6a9f1d3c-0e5b-4a7d-9c28-1f3b5d7e9012"
#define FINGERPRINT "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* The grants of that list of rules, over before. */
static struct grants *
grants_over(const char *rules, const struct grants *before)
{
	struct config *config;
	char text[2048];
	struct grants *g;

	snprintf(text, sizeof(text), "grants: [{name: g, rules: [%s]}]", rules);
	config = config_of_text(NULL, text);
	g = grants_new(config, 0, before);
	assert_non_null(g);
	config_put(config);
	return g;
}

static struct grants *
grants_of(const char *rules)
{
	return grants_over(rules, NULL);
}

static struct identity
somebody(const char *user)
{
	static char names[4][32];
	static unsigned next;
	struct identity who = { .user = user ? names[next % 4] : NULL };

	if (user)
		snprintf(names[next++ % 4], 32, "%s", user);
	return who;
}

static struct grant_claim
claims(enum grant_role role, const char *tunnel)
{
	struct grant_claim c = { .role = role, .host = "" };

	assert_int_equal(adit_uuid_parse(tunnel, false, &c.tunnel), 0);
	return c;
}

/* 0 or why not; what was taken is given back. */
static int
ask(const struct grants *g, const struct identity *who, const struct grant_claim *c,
    const char *why)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct grant_use *use;
	int err = grants_take(g, who, c, NULL, &use, &e);

	assert_true((err == 0) == (use != NULL));
	if (why && !strstr(e.text, why))
		fail_msg("\"%s\" is not in \"%s\"", why, e.text);
	grant_use_end(use);
	return err;
}

static void
who_is_not_named_may_nothing(void **state)
{
	struct grants *none = grants_of(""), *one = grants_of("{users: [web], tunnels: [" A "]}");
	struct identity web = somebody("web"), other = somebody("webb"), nobody = somebody(NULL);
	struct grant_claim c = claims(GRANT_CLIENT, A);

	(void)state;
	assert_int_equal(ask(none, &web, &c, "no grant names user web"), ADIT_EFORBIDDEN);
	assert_int_equal(ask(one, &web, &c, NULL), 0);
	assert_int_equal(ask(one, &other, &c, "no grant names user webb"), ADIT_EFORBIDDEN);
	assert_int_equal(ask(one, &nobody, &c, "no grant names nobody"), ADIT_EFORBIDDEN);
	assert_int_equal(ask(one, NULL, &c, "no grant names nobody"), ADIT_EFORBIDDEN);
	grants_free(none);
	grants_free(one);
	grants_free(NULL);
}

static void
tunnel_and_role(void **state)
{
	struct grants *g = grants_of("{users: [web], tunnels: [" A "], role: client},"
				     "{users: ['*'], tunnels: ['*'], role: visitor}");
	struct identity web = somebody("web"), other = somebody("other");
	struct grant_claim c = claims(GRANT_CLIENT, A);

	(void)state;
	assert_int_equal(ask(g, &web, &c, NULL), 0);
	assert_int_equal(ask(g, &other, &c, "no grant gives that role to user other"),
			 ADIT_EFORBIDDEN);
	c = claims(GRANT_CLIENT, B);
	assert_int_equal(ask(g, &web, &c, "no grant gives that role"), ADIT_EFORBIDDEN);
	c = claims(GRANT_VISITOR, B);
	assert_int_equal(ask(g, &web, &c, NULL), 0);
	assert_int_equal(ask(g, &other, &c, NULL), 0);
	assert_int_equal(ask(g, NULL, &c, NULL), 0);
	grants_free(g);
	g = grants_of("{users: web, tunnels: " A "}");
	assert_int_equal(ask(g, &web, &c, "no grant gives that tunnel to user web"),
			 ADIT_EFORBIDDEN);
	grants_free(g);
}

static int
ask_host(const struct grants *g, enum grant_role role, const char *host)
{
	struct identity web = somebody("web");
	struct grant_claim c = claims(role, A);

	c.host = host;
	return ask(g, &web, &c, NULL);
}

static void
hosts(void **state)
{
	struct grants *g = grants_of("{users: [web], tunnels: ['*'], "
				     "hosts: [a.example, '*.b.example', .c.example]}");
	static const char *const good[] = {
		"a.example", "A.Example.", "b.example", "x.b.example", "x.y.c.example",
	};
	static const char *const bad[] = {
		"x.a.example", "example", "xb.example", "a.example.org", "a b", "..",
	};

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_int_equal(ask_host(g, GRANT_VISITOR, good[i]), 0);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(ask_host(g, GRANT_CLIENT, bad[i]), ADIT_EFORBIDDEN);
	/* A client that asks for no name gets none; a visitor might mean any. */
	assert_int_equal(ask_host(g, GRANT_CLIENT, ""), 0);
	assert_int_equal(ask_host(g, GRANT_VISITOR, ""), ADIT_EFORBIDDEN);
	grants_free(g);
	g = grants_of("{users: [web], tunnels: ['*'], hosts: ['*']}");
	assert_int_equal(ask_host(g, GRANT_VISITOR, ""), 0);
	assert_int_equal(ask_host(g, GRANT_VISITOR, "any"), 0);
	grants_free(g);
}

static void
weights(void **state)
{
	struct grants *g = grants_of("{users: [web], tunnels: ['*'], weight: 10}");
	static const struct {
		unsigned weight;
		int	 err;
	} asked[] = {
		{ 0, 0 }, { 1, 0 }, { 10, 0 }, { 11, ADIT_EFORBIDDEN }, { 255, ADIT_EFORBIDDEN },
	};
	struct identity web = somebody("web");
	struct grant_claim c = claims(GRANT_CLIENT, A);

	(void)state;
	for (size_t i = 0; i < sizeof(asked) / sizeof(*asked); i++) {
		c.weight = asked[i].weight;
		assert_int_equal(ask(g, &web, &c, NULL), asked[i].err);
	}
	c.role = GRANT_VISITOR;		/* has none that would count */
	assert_int_equal(ask(g, &web, &c, NULL), 0);
	grants_free(g);
}

static void
certificates(void **state)
{
	char *names[] = { (char[]){ "edge.example" }, (char[]){ "192.0.2.1" } };
	struct adit_certificate cert = {
		.fingerprint = FINGERPRINT, .common_name = "edge-7", .names = names, .n_names = 2,
		.verified = true,
	};
	struct identity who = { .certificate = &cert };
	struct grant_claim c = claims(GRANT_CLIENT, A);
	struct grants *g;
	static const struct {
		const char	*rule;
		int		 err;
	} rules[] = {
		{ "commonNames: [edge-7]", 0 },
		{ "commonNames: [edge]", ADIT_EFORBIDDEN },
		{ "commonNames: ['*']", ADIT_EFORBIDDEN },
		{ "alternativeNames: [x, EDGE.example]", 0 },
		{ "alternativeNames: ['192.0.2.1']", 0 },
		{ "alternativeNames: [example]", ADIT_EFORBIDDEN },
		{ "fingerprints: ['00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF:"
		  "00:11:22:33:44:55:66:77:88:99:AA:BB:CC:DD:EE:FF']", 0 },
		{ "fingerprints: [" FINGERPRINT "]", 0 },
		/* All kinds that are named must be his. */
		{ "commonNames: [edge-7], alternativeNames: [edge.example]", 0 },
		{ "commonNames: [edge-7], alternativeNames: [other]", ADIT_EFORBIDDEN },
		{ "commonNames: [edge-7], users: [web]", ADIT_EFORBIDDEN },
		{ "commonNames: [edge-7], users: ['*']", 0 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rules) / sizeof(*rules); i++) {
		char rule[512];

		snprintf(rule, sizeof(rule), "{%s, tunnels: [" A "]}", rules[i].rule);
		g = grants_of(rule);
		assert_int_equal(ask(g, &who, &c, NULL), rules[i].err);
		grants_free(g);
	}
	who.certificate = NULL;
	g = grants_of("{commonNames: [edge-7], tunnels: ['*']}");
	assert_int_equal(ask(g, &who, &c, NULL), ADIT_EFORBIDDEN);
	grants_free(g);
	cert.common_name[0] = 0;	/* has none: no name is his */
	who.certificate = &cert;
	g = grants_of("{commonNames: [''], tunnels: ['*']}");
	assert_int_equal(ask(g, &who, &c, NULL), ADIT_EFORBIDDEN);
	grants_free(g);
}

static void
connections_are_counted(void **state)
{
	struct grants *g = grants_of("{users: [web, api], tunnels: ['*'], connections: 2}");
	struct identity web = somebody("web"), api = somebody("api");
	struct grant_claim c = claims(GRANT_CLIENT, A);
	struct grant_use *first, *second, *third;
	struct adit_err e = ADIT_ERR_INIT;

	(void)state;
	assert_int_equal(grants_take(g, &web, &c, NULL, &first, &e), 0);
	assert_int_equal(grants_limit(g, first), 2);
	assert_int_equal(grants_take(g, &api, &c, NULL, &second, &e), 0);
	assert_int_equal(grants_take(g, &api, &c, NULL, &third, &e), ADIT_ELIMIT);
	assert_null(third);
	assert_non_null(strstr(e.text, "too many connections of user api"));
	grant_use_end(first);
	assert_int_equal(grants_take(g, &api, &c, NULL, &third, &e), 0);
	grant_use_end(second);
	grant_use_end(third);
	grants_free(g);
}

/* A second grant may still have room. */
static void
another_grant_takes_what_is_too_much(void **state)
{
	struct grants *g = grants_of("{users: [web], tunnels: ['*'], connections: 1},"
				     "{users: [web], tunnels: [" A "], weight: 1}");
	struct identity web = somebody("web");
	struct grant_claim c = claims(GRANT_CLIENT, A);
	struct grant_use *first, *second;
	struct adit_err e = ADIT_ERR_INIT;

	(void)state;
	assert_int_equal(grants_take(g, &web, &c, NULL, &first, &e), 0);
	assert_int_equal(grants_take(g, &web, &c, NULL, &second, &e), 0);
	assert_ptr_not_equal(first, second);
	assert_int_equal(grants_limit(g, second), 0);
	grant_use_end(first);
	grant_use_end(second);
	grants_free(g);
}

/* Of three who are in, as many stay as are allowed now; nobody is counted twice. */
static void
a_lower_limit_keeps_as_many_as_it_allows(void **state)
{
	struct grants *old = grants_of("{users: [web], tunnels: ['*'], connections: 3}"), *now;
	struct identity web = somebody("web");
	struct grant_claim c = claims(GRANT_CLIENT, A);
	struct adit_err e = ADIT_ERR_INIT;
	struct grant_use *uses[3], *more;
	unsigned stay = 0;

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(grants_take(old, &web, &c, NULL, &uses[i], &e), 0);
	now = grants_over("{users: [web], tunnels: ['*'], connections: 2}", old);
	grants_free(old);
	for (int i = 0; i < 3; i++)
		stay += grants_take(now, &web, &c, uses[i], &uses[i], &e) == 0;
	assert_int_equal(stay, 2);
	assert_int_equal(grants_take(now, &web, &c, NULL, &more, &e), ADIT_ELIMIT);
	for (int i = 0; i < 3; i++)
		grant_use_end(uses[i]);
	assert_int_equal(grants_take(now, &web, &c, NULL, &more, &e), 0);
	grant_use_end(more);
	grants_free(now);
}

static void
what_is_withdrawn_is_not_kept(void **state)
{
	struct grants *old = grants_of("{users: [web], tunnels: ['*']}"), *now;
	struct identity web = somebody("web");
	struct grant_claim c = claims(GRANT_CLIENT, A);
	struct adit_err e = ADIT_ERR_INIT;
	struct grant_use *use;

	(void)state;
	assert_int_equal(grants_take(old, &web, &c, NULL, &use, &e), 0);
	now = grants_over("{users: [web], tunnels: [" B "]}", old);
	assert_int_equal(grants_take(now, &web, &c, use, &use, &e), ADIT_EFORBIDDEN);
	assert_null(use);
	grants_free(old);
	grants_free(now);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(who_is_not_named_may_nothing),
		cmocka_unit_test(tunnel_and_role),
		cmocka_unit_test(hosts),
		cmocka_unit_test(weights),
		cmocka_unit_test(certificates),
		cmocka_unit_test(connections_are_counted),
		cmocka_unit_test(another_grant_takes_what_is_too_much),
		cmocka_unit_test(a_lower_limit_keeps_as_many_as_it_allows),
		cmocka_unit_test(what_is_withdrawn_is_not_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
