/* Configurations from a text, for tests of what is made of them. */
#ifndef ADIT_TEST_CONFIG_TEXT_H
#define ADIT_TEST_CONFIG_TEXT_H

#include "core/config/model.h"
#include "core/config/place.h"

struct registry;

/*
 * The configuration that text (YAML) describes, which must be right; one reference, the caller's.
 * What r has not, or all where r is NULL, cannot be started, and goes where gost has it. Errors
 * name the text "stdin".
 */
struct config *config_of_text(struct registry *r, const char *text);

/* The same of what can be started with r. */
struct config *config_to_start(struct registry *r, const char *text);

/* Fails the test unless exactly the n texts are in errs, each in its place in order. Lines of a
 * finding after the first are compared as far as a text has them. */
void config_errors_expect(const struct config_errors *errs, const char *const *texts, size_t n);

#endif
