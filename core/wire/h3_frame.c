#include "core/wire/h3_frame.h"

#include <string.h>

#include "core/wire/varint.h"

enum { SETTING_SECTION_MAX = 0x6, SETTING_CONNECT = 0x8 };

const char *
h3_code_text(uint64_t code)
{
	static const char *const texts[] = {
		"H3_NO_ERROR", "H3_GENERAL_PROTOCOL_ERROR", "H3_INTERNAL_ERROR",
		"H3_STREAM_CREATION_ERROR", "H3_CLOSED_CRITICAL_STREAM", "H3_FRAME_UNEXPECTED",
		"H3_FRAME_ERROR", "H3_EXCESSIVE_LOAD", "H3_ID_ERROR", "H3_SETTINGS_ERROR",
		"H3_MISSING_SETTINGS", "H3_REQUEST_REJECTED", "H3_REQUEST_CANCELLED",
		"H3_REQUEST_INCOMPLETE", "H3_MESSAGE_ERROR", "H3_CONNECT_ERROR",
		"H3_VERSION_FALLBACK",
	};
	static const char *const qpack[] = {
		"QPACK_DECOMPRESSION_FAILED", "QPACK_ENCODER_STREAM_ERROR",
		"QPACK_DECODER_STREAM_ERROR",
	};

	if (code >= H3_NO_ERROR && code <= H3_VERSION_FALLBACK)
		return texts[code - H3_NO_ERROR];
	if (code >= H3_QPACK_DECOMPRESSION_FAILED && code <= H3_QPACK_DECODER_STREAM_ERROR)
		return qpack[code - H3_QPACK_DECOMPRESSION_FAILED];
	return "an unknown error";
}

/* ---- heads ----------------------------------------------------------------------------- */

static size_t
varint_len(uint8_t first)
{
	return (size_t)1 << (first >> 6);
}

size_t
h3_head_needs(const struct h3_head *h)
{
	size_t type = h->n ? varint_len(h->bytes[0]) : 1, len = 1;

	if (h->n > type)
		len = varint_len(h->bytes[type]);
	return type + len - h->n;
}

struct h3_frame
h3_head_take(struct h3_head *h)
{
	struct h3_frame f = { .type = 0 };
	size_t n = varint_read(h->bytes, h->n, &f.type);

	varint_read(h->bytes + n, h->n - n, &f.len);
	memset(h, 0, sizeof(*h));
	return f;
}

size_t
h3_head_write(uint8_t out[H3_HEAD_MAX], uint64_t type, uint64_t len)
{
	uint8_t number[VARINT_MAX_LEN];
	size_t n = varint_write(out, type), more = varint_write(number, len);

	memcpy(out + n, number, more);
	return n + more;
}

/* ---- where frames belong --------------------------------------------------------------- */

uint64_t
h3_frame_place(uint64_t type, enum h3_place place)
{
	bool control = place >= H3_CONTROL_OF_CLIENT;

	switch (type) {
	case H3_DATA:
	case H3_HEADERS:
		return control ? H3_FRAME_UNEXPECTED : H3_TAKE;
	case H3_SETTINGS:
	case H3_GOAWAY:
		return control ? H3_TAKE : H3_FRAME_UNEXPECTED;
	case H3_MAX_PUSH_ID:	/* a client's alone to send (RFC 9114, 7.2.7) */
		return place == H3_CONTROL_OF_CLIENT ? H3_TAKE : H3_FRAME_UNEXPECTED;
	case H3_CANCEL_PUSH:	/* of none that there can be (RFC 9114, 7.2.3) */
		return control ? H3_ID_ERROR : H3_FRAME_UNEXPECTED;
	case H3_PUSH_PROMISE:	/* that nobody allowed (RFC 9114, 7.2.5) */
		return place == H3_RESPONSE ? H3_ID_ERROR : H3_FRAME_UNEXPECTED;
	case 0x2:		/* of HTTP/2: PRIORITY, PING, WINDOW_UPDATE, CONTINUATION */
	case 0x6:
	case 0x8:
	case 0x9:		/* RFC 9114, 7.2.8 */
		return H3_FRAME_UNEXPECTED;
	default:
		return H3_SKIP;
	}
}

/* ---- payloads -------------------------------------------------------------------------- */

/* One setting. Returns the bytes it takes, or 0: it is cut off. */
static size_t
setting_read(const uint8_t *p, size_t len, uint64_t *id, uint64_t *value)
{
	size_t n = varint_read(p, len, id), more = n ? varint_read(p + n, len - n, value) : 0;

	return more ? n + more : 0;
}

/* Whether that one is among the settings. */
static bool
setting_is_there(const uint8_t *p, size_t len, uint64_t wanted)
{
	uint64_t id, value;
	size_t n;

	for (; len && (n = setting_read(p, len, &id, &value)) > 0; p += n, len -= n)
		if (id == wanted)
			return true;
	return false;
}

static uint64_t
setting_take(uint64_t id, uint64_t value, struct h3_settings *out)
{
	switch (id) {
	case 0x0:		/* of HTTP/2 (RFC 9114, 7.2.4.1) */
	case 0x2:
	case 0x3:
	case 0x4:
	case 0x5:
		return H3_SETTINGS_ERROR;
	case SETTING_SECTION_MAX:
		out->section_max = value;
		return 0;
	case SETTING_CONNECT:	/* RFC 8441, 3 */
		out->connect = value == 1;
		return value > 1 ? H3_SETTINGS_ERROR : 0;
	default:
		return 0;
	}
}

uint64_t
h3_settings_read(const uint8_t *p, size_t len, struct h3_settings *out)
{
	*out = (struct h3_settings){ .section_max = VARINT_MAX };
	for (size_t at = 0, n; at < len; at += n) {
		uint64_t id, value, code;

		n = setting_read(p + at, len - at, &id, &value);
		if (!n)
			return H3_FRAME_ERROR;
		if (setting_is_there(p, at, id))
			return H3_SETTINGS_ERROR;
		code = setting_take(id, value, out);
		if (code)
			return code;
	}
	return 0;
}

size_t
h3_settings_write(uint8_t out[H3_SETTINGS_SIZE], const struct h3_settings *s)
{
	uint8_t payload[H3_SETTINGS_SIZE - H3_HEAD_MAX];
	size_t n = 0, head;

	if (s->section_max < VARINT_MAX) {
		n += varint_write(payload + n, SETTING_SECTION_MAX);
		n += varint_write(payload + n, s->section_max);
	}
	if (s->connect) {
		n += varint_write(payload + n, SETTING_CONNECT);
		n += varint_write(payload + n, 1);
	}
	head = h3_head_write(out, H3_SETTINGS, n);
	memcpy(out + head, payload, n);
	return head + n;
}

bool
h3_number_read(const uint8_t *p, size_t len, uint64_t *number)
{
	return len && varint_read(p, len, number) == len;
}
