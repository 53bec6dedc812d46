/* HTTP/1 as a client: the first byte chooses what is asked, the rest is what is answered. */
#include "tests/fuzz/h1_outcome.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static const char *const methods[] = { "GET", "HEAD", "CONNECT", "POST" };
	struct outcome o = { .request = NULL };

	if (!len || len > 100000)
		return 0;
	o.request = methods[data[0] & 3];
	o.upgrade = data[0] & 4;
	check_outcome(o, data + 1, len - 1);
	return 0;
}
