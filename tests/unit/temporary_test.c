/*
 * Temporary names: what is a domain, who has a name and for how long, how many come from where.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/tunnel/temporary.h"
#include "tests/unit/loop.h"

#define TUNNEL "4d21094e-b74c-4916-86c1-d9fa36ea677b"
#define OTHER "aede1f6a-762b-45da-b937-b6632356555a"
#define NAME "a6265c6d9847a4be.t.example.com"
#define OTHER_NAME "7b0962be2ba5ee09.t.example.com"

static struct adit_uuid
uuid(const char *text)
{
	struct adit_uuid id;

	assert_int_equal(adit_uuid_parse(text, false, &id), 0);
	return id;
}

static struct adit_addr
addr(const char *text)
{
	struct adit_addr a;

	assert_int_equal(adit_addr_parse(text, 0, &a), 0);
	return a;
}

static struct temporary_conf
names(const char *domain)
{
	struct temporary_conf conf = { .per_address = 2 };
	struct adit_err e = ADIT_ERR_INIT;

	assert_int_equal(temporary_set_domain(&conf, domain, &e), 0);
	return conf;
}

static int
take(struct temporary *t, struct loop *l, const struct temporary_conf *conf, const char *tunnel,
     const char *from)
{
	const struct adit_uuid id = uuid(tunnel);
	const struct adit_addr a = addr(from);

	*t = (struct temporary){ .name = 0 };
	return temporary_take(t, l->worker, conf, &id, &a);
}

/* The tunnel that a host leads to: TUNNEL, OTHER, or "". */
static const char *
leads(struct loop *l, const struct temporary_conf *conf, const char *host)
{
	const struct adit_uuid first = uuid(TUNNEL);
	struct adit_rule rule = { .private_ = true };

	if (temporary_find(conf, l->worker, host, &rule) < 0)
		return "";
	assert_false(rule.private_);
	return memcmp(&rule.tunnel, &first, sizeof(first)) == 0 ? TUNNEL : OTHER;
}

static void
domains_are_read(void **state)
{
	static const struct {
		const char *text, *domain;
		uint16_t port;
	} good[] = {
		{ "t.example.com", "t.example.com", 0 }, { ".t.example.com", "t.example.com", 0 },
		{ "*.T.Example.com.", "t.example.com", 0 },
		{ ".t.example.com:443", "t.example.com", 443 },
	};
	static const char *const bad[] = {
		"", ".", "..a", "a b", "127.0.0.1", "[::1]", ".a:x", "*a", "http://a",
	};
	struct adit_err e = ADIT_ERR_INIT;
	char longest[TEMPORARY_DOMAIN_MAX + 2];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
		const struct temporary_conf conf = names(good[i].text);

		assert_string_equal(conf.domain, good[i].domain);
		assert_int_equal(conf.port, good[i].port);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(temporary_check_domain(bad[i], &e), -EINVAL);
	for (size_t i = 0; i < sizeof(longest); i++)
		longest[i] = i % 2 ? '.' : 'a';
	longest[sizeof(longest) - 1] = 0;
	assert_int_equal(temporary_check_domain(longest, &e), -EINVAL);
	longest[sizeof(longest) - 2] = 0;
	assert_int_equal(temporary_check_domain(longest, &e), 0);
}

static void
a_name_lasts_as_long_as_a_session(void **state)
{
	const struct temporary_conf conf = names(".t.example.com");
	struct temporary first, second, other;
	struct loop *l = loop_new();

	(void)state;
	assert_string_equal(leads(l, &conf, NAME), "");
	assert_int_equal(take(&first, l, &conf, TUNNEL, "192.0.2.1"), 0);
	assert_int_equal(take(&second, l, &conf, TUNNEL, "192.0.2.1"), 0);
	assert_int_equal(take(&other, l, &conf, OTHER, "192.0.2.2"), 0);
	assert_string_equal(leads(l, &conf, NAME), TUNNEL);
	assert_string_equal(leads(l, &conf, OTHER_NAME), OTHER);
	temporary_drop(&first);
	temporary_drop(&first);
	assert_string_equal(leads(l, &conf, NAME), TUNNEL);
	temporary_drop(&second);
	assert_string_equal(leads(l, &conf, NAME), "");
	assert_string_equal(leads(l, &conf, OTHER_NAME), OTHER);
	temporary_drop(&other);
	loop_free(l);
}

static void
only_names_below_the_domain_lead_there(void **state)
{
	static const char *const others[] = {
		"a6265c6d9847a4be", "a6265c6d9847a4be.example.com",
		"x.a6265c6d9847a4be.t.example.com",
		"a6265c6d9847a4b.t.example.com", "a6265c6d9847a4be0.t.example.com",
		"a6265c6d9847a4bext.example.com", "t.example.com", "",
		"a6265c6d9847a4be.t.example.community",
	};
	const struct temporary_conf conf = names("t.example.com"), none = { .port = 0 };
	struct loop *l = loop_new();
	struct temporary t;

	(void)state;
	assert_int_equal(take(&t, l, &conf, TUNNEL, "192.0.2.1"), 0);
	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		assert_string_equal(leads(l, &conf, others[i]), "");
	assert_string_equal(leads(l, &none, NAME), "");
	temporary_drop(&t);
	assert_int_equal(take(&t, l, &none, TUNNEL, "192.0.2.1"), 0);	/* no domain, no names */
	assert_string_equal(leads(l, &conf, NAME), "");
	temporary_drop(&t);
	loop_free(l);
}

struct look {
	struct loop			*loop;
	const struct temporary_conf	*conf;
};

static bool
is_over(void *arg)
{
	struct look *look = arg;

	return !*leads(look->loop, look->conf, NAME);
}

static void
a_name_is_over_when_its_time_is_up(void **state)
{
	struct temporary_conf conf = names("t.example.com");
	struct loop *l = loop_new();
	struct look look = { l, &conf };
	struct temporary t, again, third;
	uint64_t start = adit_now();

	(void)state;
	conf.ttl = ADIT_MS(50);
	assert_int_equal(take(&t, l, &conf, TUNNEL, "192.0.2.1"), 0);
	assert_true(loop_until(l, is_over, &look, 30000));
	assert_true(adit_now() - start >= ADIT_MS(50));
	/* The session is still there, and counts; a bind after that has a time of its own. */
	conf.ttl = ADIT_SECONDS(3600);
	assert_int_equal(take(&again, l, &conf, TUNNEL, "192.0.2.1"), 0);
	assert_string_equal(leads(l, &conf, NAME), TUNNEL);
	assert_int_equal(take(&third, l, &conf, OTHER, "192.0.2.1"), ADIT_ELIMIT);
	temporary_drop(&t);
	temporary_drop(&again);
	loop_free(l);
}

static void
sessions_of_an_address_are_counted(void **state)
{
	static const struct {
		const char *first, *second, *third;
		bool same;
	} rows[] = {
		{ "192.0.2.1", "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.1", "192.0.2.2", false },
		{ "2001:db8::1", "2001:db8::2", "2001:db8::ffff:1:2:3", true },
		{ "2001:db8::1", "2001:db8::2", "2001:db8:0:1::3", false },
	};
	const struct temporary_conf conf = names("t.example.com");
	struct loop *l = loop_new();
	struct temporary t[3];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int err;

		assert_int_equal(take(&t[0], l, &conf, TUNNEL, rows[i].first), 0);
		assert_int_equal(take(&t[1], l, &conf, OTHER, rows[i].second), 0);
		err = take(&t[2], l, &conf, TUNNEL, rows[i].third);
		assert_int_equal(err, rows[i].same ? ADIT_ELIMIT : 0);
		if (err) {	/* room again when one has gone; who was refused left nothing */
			temporary_drop(&t[1]);
			assert_string_equal(leads(l, &conf, OTHER_NAME), "");
			assert_int_equal(take(&t[1], l, &conf, OTHER, rows[i].third), 0);
		}
		for (int k = 0; k < 3; k++)
			temporary_drop(&t[k]);
	}
	loop_free(l);
}

static void
sessions_are_not_counted_without_a_limit(void **state)
{
	struct temporary_conf conf = names("t.example.com");
	struct loop *l = loop_new();
	struct temporary t[40];

	(void)state;
	conf.per_address = 0;
	for (int i = 0; i < 40; i++)
		assert_int_equal(take(&t[i], l, &conf, TUNNEL, "192.0.2.1"), 0);
	for (int i = 0; i < 40; i++)
		temporary_drop(&t[i]);
	assert_string_equal(leads(l, &conf, NAME), "");
	loop_free(l);
}

static void
urls_are_for_people(void **state)
{
	static const struct {
		const char *domain;
		uint16_t entry;
		enum adit_network network;
		const char *url;
	} rows[] = {
		{ "t.example.com", 0, ADIT_TCP, "http://" NAME },
		{ "t.example.com", 80, ADIT_TCP, "http://" NAME },
		{ "t.example.com", 8080, ADIT_TCP, "http://" NAME ":8080" },
		{ "t.example.com:443", 8080, ADIT_TCP, "https://" NAME },
		{ "t.example.com:8443", 80, ADIT_TCP, "http://" NAME ":8443" },
		{ "t.example.com:443", 8080, ADIT_UDP, NAME },
	};
	const struct adit_uuid id = uuid(TUNNEL);
	const struct temporary_conf none = { .port = 80 };
	char out[TEMPORARY_URL_SIZE];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct temporary_conf conf = names(rows[i].domain);

		if (!conf.port)
			conf.port = rows[i].entry;
		assert_string_equal(temporary_url(&conf, &id, rows[i].network, out), rows[i].url);
	}
	assert_string_equal(temporary_url(&none, &id, ADIT_TCP, out), "");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(domains_are_read),
		cmocka_unit_test(a_name_lasts_as_long_as_a_session),
		cmocka_unit_test(only_names_below_the_domain_lead_there),
		cmocka_unit_test(a_name_is_over_when_its_time_is_up),
		cmocka_unit_test(sessions_of_an_address_are_counted),
		cmocka_unit_test(sessions_are_not_counted_without_a_limit),
		cmocka_unit_test(urls_are_for_people),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
