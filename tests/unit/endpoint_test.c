#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/tunnel/endpoint.h"

/* Both were published by a gost server: gost-tunnel-bind-http.txt and gost-tunnel-udp.txt. */
static void
names_are_those_of_gost(void **state)
{
	static const struct {
		const char *id, *name;
	} cases[] = {
		{ "4d21094e-b74c-4916-86c1-d9fa36ea677b", "a6265c6d9847a4be" },
		{ "4D21094E-B74C-4916-86C1-D9FA36EA677B", "a6265c6d9847a4be" },
		{ "aede1f6a-762b-45da-b937-b6632356555a", "7b0962be2ba5ee09" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char name[TUNNEL_ENDPOINT_LEN];
		struct adit_uuid id;

		assert_int_equal(adit_uuid_parse(cases[i].id, false, &id), 0);
		assert_int_equal(tunnel_endpoint_name(&id, name), 0);
		assert_string_equal(name, cases[i].name);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_are_those_of_gost),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
