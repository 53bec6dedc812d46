/* Answers of name servers. */
#include <assert.h>

#include "core/wire/dns.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct dns_question q = { .name = "www.example" };
	struct dns_answer a;

	if (len >= 2)
		q.id = (uint16_t)(data[0] << 8 | data[1]);
	for (int i = 0; i < 2; i++) {
		q.ip6 = i;
		if (dns_read(&q, data, len, &a) == 0)
			assert(a.n <= DNS_ANSWERS && (a.n || !a.ttl));
	}
	return 0;
}
