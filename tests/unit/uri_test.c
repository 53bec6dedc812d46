#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "core/http/uri.h"

static struct adit_text
text(const char *s)
{
	return (struct adit_text){ s, strlen(s) };
}

static void
expect(struct adit_text t, const char *s)
{
	if (!s)
		assert_null(t.s);
	else if (t.len != strlen(s) || memcmp(t.s, s, t.len) != 0)
		fail_msg("%.*s is not %s", (int)t.len, t.s, s);
}

static void
parts_of_a_target(void **state)
{
	(void)state;
	expect(uri_path(text("/a/b?c=d?e")), "/a/b");
	expect(uri_query(text("/a/b?c=d?e")), "c=d?e");
	expect(uri_path(text("/a")), "/a");
	expect(uri_query(text("/a")), NULL);
	expect(uri_path(text("?")), "");
	expect(uri_query(text("/a?")), "");
	expect(uri_query((struct adit_text){ .s = NULL }), NULL);
}

static void
escapes(void **state)
{
	static const struct {
		const char *in, *out, *form;
	} rows[] = {
		{ "/a%20b", "/a b", "/a b" },
		{ "%41%4a%4A", "AJJ", "AJJ" },
		{ "a+b", "a+b", "a b" },
		{ "%2541", "%41", "%41" },		/* once */
		{ "%", "%", "%" },
		{ "%4", "%4", "%4" },
		{ "%4g%g4", "%4g%g4", "%4g%g4" },
		{ "", "", "" },
	};
	char out[32], code[3];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		size_t len = uri_decode(text(rows[i].in), false, out);

		expect((struct adit_text){ out, len }, rows[i].out);
		len = uri_decode(text(rows[i].in), true, out);
		expect((struct adit_text){ out, len }, rows[i].form);
	}
	for (int c = 0; c < 256; c++) {
		size_t len = uri_encode((char)c, code);

		assert_int_equal(uri_decode((struct adit_text){ code, len }, false, out), 1);
		assert_int_equal((unsigned char)*out, c);
		assert_int_equal(len, c && strchr("?#% \r\n\"<>[]\\^`{|}", c) ? 3 : len);
	}
	expect((struct adit_text){ code, uri_encode('/', code) }, "/");
	expect((struct adit_text){ code, uri_encode('\n', code) }, "%0A");
}

static void
paths_are_normal(void **state)
{
	static const char *const rows[][2] = {
		{ "/a/b/", "/a/b/" },
		{ "/a/./b", "/a/b" },
		{ "/a/../b", "/b" },
		{ "/a/b/..", "/a/" },
		{ "/a/b/.", "/a/b/" },
		{ "/../../a", "/a" },
		{ "/..", "/" },
		{ "/.", "/" },
		{ "/a/b/c/./../../g", "/a/g" },		/* of RFC 3986, 5.2.4 */
		{ "/a//../b", "/a/b" },			/* an empty segment is one */
		{ "/a/..b/.c/...", "/a/..b/.c/..." },
		{ "/public/%2e%2E/%61dmin", "/admin" },
		{ "/public/..%2fadmin", "/admin" },
		{ "*", "*" },
		{ "..", ".." },
		{ "", "" },
	};
	char out[32];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct adit_text path = text(rows[i][0]);

		expect((struct adit_text){ out, uri_normalise(path, out) }, rows[i][1]);
		if (strcmp(rows[i][0], rows[i][1]) != 0)
			assert_true(uri_is_odd(path));
	}
	assert_false(uri_is_odd(text("/A")));
}

static void
queries(void **state)
{
	struct adit_text query = text("a=1&&b&=c&d=e=f"), name, value;
	static const char *const expected[][2] = {
		{ "a", "1" }, { "", "" }, { "b", "" }, { "", "c" }, { "d", "e=f" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(expected) / sizeof(*expected); i++) {
		assert_true(uri_query_next(&query, &name, &value));
		expect(name, expected[i][0]);
		expect(value, expected[i][1]);
	}
	assert_false(uri_query_next(&query, &name, &value));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(parts_of_a_target),
		cmocka_unit_test(escapes),
		cmocka_unit_test(paths_are_normal),
		cmocka_unit_test(queries),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
