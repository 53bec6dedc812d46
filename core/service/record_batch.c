#include <string.h>

#include "core/service/record_sink.h"
#include "core/service/recorder.h"

/* A record is its length, itself, and a NUL byte that is not counted. */
typedef uint32_t record_len;

bool
record_batch_add(struct record_batch *b, const char *record, size_t len, const char *tail)
{
	size_t tail_len = strlen(tail);
	record_len whole = (record_len)(len + tail_len);
	char *to = b->buf + b->len;

	if (len > RECORD_MAX || tail_len > RECORD_MAX ||
	    sizeof(whole) + whole + 1 > RECORDER_QUEUE - b->len)
		return false;
	memcpy(to, &whole, sizeof(whole));
	memcpy(to + sizeof(whole), record, len);
	memcpy(to + sizeof(whole) + len, tail, tail_len + 1);
	b->len += sizeof(whole) + whole + 1;
	return true;
}

const char *
record_batch_next(const struct record_batch *b, size_t *at, size_t *len)
{
	const char *record = b->buf + *at + sizeof(record_len);
	record_len whole;

	if (*at >= b->len)
		return NULL;
	memcpy(&whole, b->buf + *at, sizeof(whole));
	*len = whole;
	*at += sizeof(whole) + whole + 1;
	return record;
}

size_t
record_batch_count(const struct record_batch *b, size_t at)
{
	size_t n = 0, len;

	while (record_batch_next(b, &at, &len))
		n++;
	return n;
}
