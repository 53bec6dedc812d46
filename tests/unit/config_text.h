/* Configurations from a text, for tests of what is made of them. */
#ifndef ADIT_TEST_CONFIG_TEXT_H
#define ADIT_TEST_CONFIG_TEXT_H

#include "core/config/model.h"
#include "core/config/place.h"

/*
 * The configuration that text (YAML) describes, which must be right; one reference, the caller's.
 * No plugin is known: any type and option goes. Errors name it "stdin".
 */
struct config *config_of_text(const char *text);

/* Fails the test unless exactly the n texts are in errs, each in its place in order. Lines of a
 * finding after the first are compared as far as a text has them. */
void config_errors_expect(const struct config_errors *errs, const char *const *texts, size_t n);

#endif
