/*
 * Captured exchanges, tests/data/vectors/NAME.txt:
 *
 *	## title of a section		(titles on adjacent lines are one)
 *	C> 01 02 00 2b  # meaning	(a letter for who sends, bytes, a comment)
 *	# C> EOF			(a note about a side: a line without bytes)
 *	# anything else			(skipped)
 *
 * The bytes of one direction, line after line, are its exact stream. Everything here fails the
 * running test (or the program, if none runs) on a file that is missing or not of this form.
 */
#ifndef ADIT_TEST_VECTOR_H
#define ADIT_TEST_VECTOR_H

#include <stddef.h>
#include <stdint.h>

struct vector_line {
	unsigned	 number;	/* in the file, from 1 */
	size_t		 section;
	char		 dir;		/* 'C', 'S', 'V', 'A', 'B' */
	uint8_t		*bytes;		/* exactly len of them, so that ASan sees an overrun */
	size_t		 len;		/* 0 in a note */
	char		*text;		/* the comment without "# ", or the note; never NULL */
};

struct vector {
	size_t			 n_line, n_section;
	struct vector_line	*line;
	char			**section;	/* titles; [0], "", is in front of the first */
};

/* Reads tests/data/vectors/NAME (with .txt). The caller frees it with vector_free. */
struct vector *vector_load(const char *name);
void vector_free(struct vector *v);

/* Returns the index of the first section whose title contains text. */
size_t vector_section(const struct vector *v, const char *text);

/*
 * The bytes of one direction in sections first..last, one after the other. The caller frees
 * them.
 */
uint8_t *vector_stream(const struct vector *v, size_t first, size_t last, char dir, size_t *len);

#endif
