/*
 * JSON written piece by piece into a buffer of the caller's: objects, texts and numbers. A member
 * that does not fit is left out whole; what comes out is always JSON, and UTF-8.
 */
#ifndef ADIT_CORE_JSON_H
#define ADIT_CORE_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct json {
	char		*buf;
	size_t		 len, room;	/* room: without what closes the objects that are open */
	bool		 first;		/* nothing stands in this object yet */
	bool		 cut;		/* something was left out */
};

/* Begins an object in buf, of size bytes (at least 2). */
void json_begin(struct json *j, char *buf, size_t size);

/*
 * Members of the object that was opened last and is not closed. A text that is NULL is left out.
 * False: it did not fit; an object that was not opened is not to be closed.
 */
bool json_text(struct json *j, const char *key, const char *text, size_t len);
bool json_string(struct json *j, const char *key, const char *text);
bool json_number(struct json *j, const char *key, int64_t n);
bool json_null(struct json *j, const char *key);
bool json_open(struct json *j, const char *key);
void json_close(struct json *j);

/* A list of one text: {"key":["text"]}. */
bool json_list_of_one(struct json *j, const char *key, size_t key_len, const char *text,
		      size_t len);

/* Closes the outermost. Returns the length. */
size_t json_end(struct json *j);

#endif
