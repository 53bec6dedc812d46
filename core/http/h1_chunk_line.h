/*
 * The line before each chunk of a body (RFC 9112, 7.1), byte by byte: which of its bytes are the
 * size, and which are extensions (7.1.1) that nobody here asks for. A codec without I/O.
 *
 *	chunk-size *( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] ) CRLF
 */
#ifndef ADIT_CORE_HTTP_H1_CHUNK_LINE_H
#define ADIT_CORE_HTTP_H1_CHUNK_LINE_H

/* Where in the line the last byte was. */
enum h1_chunk_line {
	H1_CHUNK_BEGIN,		/* before it */
	H1_CHUNK_SIZE,
	H1_CHUNK_CR,
	H1_CHUNK_END,		/* the LF: what follows is the chunk, or the trailers */
	/* Extensions. */
	H1_CHUNK_BLANK,		/* before a semicolon */
	H1_CHUNK_SEMICOLON,	/* and blanks behind it */
	H1_CHUNK_NAME,
	H1_CHUNK_NAME_BLANK,
	H1_CHUNK_EQUALS,	/* and blanks behind it */
	H1_CHUNK_TOKEN,
	H1_CHUNK_QUOTED,
	H1_CHUNK_PAIR,		/* behind a backslash in a quoted string */
	H1_CHUNK_UNQUOTED,	/* the quoted string's end */
	H1_CHUNK_MALFORMED,
};

/* Where c is, which comes behind a byte at that place. Not to be asked behind the last two. */
enum h1_chunk_line h1_chunk_line_next(enum h1_chunk_line at, char c);

#endif
