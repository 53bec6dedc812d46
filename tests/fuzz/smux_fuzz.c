/* smux: frames that decode encode to the same bytes, whatever is behind them. */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "core/wire/smux.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
check_frame(const uint8_t *bytes, const struct smux_frame *f, unsigned version)
{
	uint8_t again[SMUX_HEADER_LEN];

	smux_encode(f, again);
	assert(!memcmp(again, bytes, sizeof(again)));
	assert(f->version == version && f->cmd <= SMUX_UPD);
	assert(f->cmd != SMUX_UPD || (version == 2 && f->len == SMUX_UPD_LEN));
	assert(!f->len || f->cmd == SMUX_PSH || f->cmd == SMUX_UPD);
}

static void
check_upd(const uint8_t *payload)
{
	struct smux_upd u = smux_decode_upd(payload);
	uint8_t again[SMUX_UPD_LEN];

	smux_encode_upd(&u, again);
	assert(!memcmp(again, payload, sizeof(again)));
}

/* One session of bytes, read as the version says, until it ends or is malformed. */
static void
read_session(const uint8_t *data, size_t len, unsigned version)
{
	while (len) {
		struct smux_frame f;
		const char *why = NULL;
		ssize_t n = smux_decode(data, len, version, &f, &why);

		if (n <= 0) {
			assert(n ? n == -EBADMSG && why : len < SMUX_HEADER_LEN);
			return;
		}
		check_frame(data, &f, version);
		data += n;
		len -= (size_t)n;
		if (f.len > len)
			return;
		if (f.cmd == SMUX_UPD)
			check_upd(data);
		data += f.len;
		len -= f.len;
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	read_session(data, len, 1);
	read_session(data, len, 2);
	return 0;
}
