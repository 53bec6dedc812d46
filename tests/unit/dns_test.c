/* DNS messages: questions as they are asked, and answers that are one and that are none. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/wire/dns.h"

#define HEAD(flags, answers) \
	"\x12\x34" flags "\x00\x01\x00" answers "\x00\x00\x00\x00"
#define ASKED "\x03www\x07" "example\x00\x00\x01\x00\x01"
#define RECORD_A(owner, ttl, ip) owner "\x00\x01\x00\x01\x00\x00\x00" ttl "\x00\x04" ip

static const struct dns_question www = { .id = 0x1234, .name = "WWW.example." };

static int
read_answer(const char *bytes, size_t len, struct dns_answer *out)
{
	return dns_read(&www, (const uint8_t *)bytes, len, out);
}

#define READ(bytes, out) read_answer(bytes, sizeof(bytes) - 1, out)

static void
a_question_is_asked(void **state)
{
	static const char plain[] =
		"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01" ASKED
		"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00";
	static const char told[] =
		"\x00\x00\x01\x00\x00\x01\x00\x00\x00\x00\x00\x01\x01x\x00\x00\x1c\x00\x01"
		"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x0b\x00\x08\x00\x07\x00\x01\x14\x00"
		"\xc0\x00\x20";
	const struct dns_question subnet = {
		.name = "x", .ip6 = true, .subnet = { .bits = 20, .ip = { 192, 0, 47, 9 } },
	};
	uint8_t out[DNS_QUESTION_MAX];

	(void)state;
	assert_int_equal(dns_ask(&www, out), sizeof(plain) - 1);
	assert_memory_equal(out, plain, sizeof(plain) - 1);
	assert_int_equal(dns_ask(&subnet, out), sizeof(told) - 1);
	assert_memory_equal(out, told, sizeof(told) - 1);
}

static void
names_have_their_limits(void **state)
{
	static const char *const wrong[] = {
		"", ".", "a..b", ".a", "a..",
		("a123456789012345678901234567890123456789012345678901234567890123"
		 ".example"),
	};
	char longest[256];
	uint8_t out[DNS_QUESTION_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		assert_int_equal(dns_ask(&(struct dns_question){ .name = wrong[i] }, out), -EINVAL);
	for (size_t i = 0; i < sizeof(longest); i++)
		longest[i] = i % 2 ? '.' : 'a';
	longest[253] = 0;
	assert_true(dns_ask(&(struct dns_question){
		.name = longest, .subnet = { .ip6 = true, .bits = 128 },
	}, out) <= DNS_QUESTION_MAX);
	longest[253] = '.';
	longest[254] = 'a';
	longest[255] = 0;
	assert_int_equal(dns_ask(&(struct dns_question){ .name = longest }, out), -EINVAL);
}

static void
addresses_are_read(void **state)
{
	static const char two[] =
		HEAD("\x81\x80", "\x02") ASKED RECORD_A("\xc0\x0c", "\x3c", "\x01\x02\x03\x04")
		RECORD_A("\x03wWw\xc0\x10", "\x1e", "\x05\x06\x07\x08");
	static const char alias[] =
		HEAD("\x81\x80", "\x03") ASKED RECORD_A("\x01" "b\x00", "\x50", "\x01\x02\x03\x04")
		"\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x0a\x00\x03\x01" "b\x00"
		RECORD_A("\x01" "c\x00", "\x01", "\x09\x09\x09\x09");
	struct dns_answer a;

	(void)state;
	assert_int_equal(READ(two, &a), 0);
	assert_int_equal(a.n, 2);
	assert_memory_equal(a.ip[0], "\x01\x02\x03\x04", 4);
	assert_memory_equal(a.ip[1], "\x05\x06\x07\x08", 4);
	assert_int_equal(a.ttl, 30);
	assert_int_equal(READ(alias, &a), 0);
	assert_int_equal(a.n, 1);
	assert_memory_equal(a.ip[0], "\x01\x02\x03\x04", 4);
	assert_int_equal(a.ttl, 10);
	assert_int_equal(READ(HEAD("\x81\x83", "\x00") ASKED, &a), 0);
	assert_int_equal(a.rcode, 3);
	assert_int_equal(a.n, 0);
	assert_int_equal(READ(HEAD("\x83\x80", "\x00") ASKED, &a), 0);
	assert_true(a.truncated);
}

/* RFC 2181, 8. */
static void
ttls_have_their_limits(void **state)
{
#define ANSWER(ttl) HEAD("\x81\x80", "\x01") ASKED "\xc0\x0c\x00\x01\x00\x01" ttl \
	"\x00\x04\x01\x02\x03\x04"
	struct dns_answer a;

	(void)state;
	assert_int_equal(READ(ANSWER("\x00\x01\x51\x7f"), &a), 0);
	assert_int_equal(a.ttl, DNS_TTL_MAX - 1);
	assert_int_equal(READ(ANSWER("\x7f\xff\xff\xff"), &a), 0);
	assert_int_equal(a.ttl, DNS_TTL_MAX);
	assert_int_equal(READ(ANSWER("\x80\x00\x00\x00"), &a), 0);
	assert_int_equal(a.ttl, 0);
	assert_int_equal(a.n, 1);
#undef ANSWER
}

static void
what_is_no_answer_is_refused(void **state)
{
	static const char circle[] =
		HEAD("\x81\x80", "\x01") ASKED "\xc0\x1d\x00\x01\x00\x01\x00\x00\x00\x00\x00\x00";
	static const char whole[] =
		HEAD("\x81\x80", "\x01") ASKED RECORD_A("\xc0\x0c", "\x3c", "\x01\x02\x03\x04");
	struct dns_answer a;

	(void)state;
	assert_int_equal(READ(whole, &a), 0);
	for (size_t len = 0; len < sizeof(whole) - 1; len++)
		assert_int_equal(read_answer(whole, len, &a), -EBADMSG);
	assert_int_equal(READ(circle, &a), -EBADMSG);
	assert_int_equal(READ(HEAD("\x01\x00", "\x00") ASKED, &a), -EBADMSG);	/* a question */
	assert_int_equal(READ("\x12\x35\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00" ASKED, &a),
			 -EBADMSG);						/* another's */
	assert_int_equal(READ(HEAD("\x81\x80", "\x00") "\x03wwx\x07" "example\x00\x00\x01\x00\x01",
			      &a), -EBADMSG);
	assert_int_equal(READ(HEAD("\x81\x80", "\x00") "\x03www\x07" "example\x00\x00\x1c\x00\x01",
			      &a), -EBADMSG);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_question_is_asked),
		cmocka_unit_test(names_have_their_limits),
		cmocka_unit_test(addresses_are_read),
		cmocka_unit_test(ttls_have_their_limits),
		cmocka_unit_test(what_is_no_answer_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
