/* HTTP/1 as a server: requests from nowhere. */
#include "tests/fuzz/h1_outcome.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	if (len < 100000)
		check_outcome((struct outcome){ .request = NULL }, data, len);
	return 0;
}
