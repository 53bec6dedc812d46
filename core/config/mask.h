/*
 * Secrets in what is quoted back to a person: passwords in URLs and in lines of YAML. Any thread.
 */
#ifndef ADIT_CORE_MASK_H
#define ADIT_CORE_MASK_H

#include <stdbool.h>
#include <stddef.h>

/*
 * Returns a same-length copy (malloc) of a URL or a line of YAML with its passwords as asterisks;
 * NULL: out of memory.
 */
char *config_mask_url(const char *url, size_t len);
char *config_mask_line(const char *line, size_t len);

/* Whether what stands under that key (its last part, after a dot) is a secret. */
bool config_key_is_secret(const char *key);

/* Whether a map under that key (its last part) is of fields of HTTP: requestHeader. */
bool config_key_is_header(const char *key);

/* Whether credentials may stand in a field of that name. */
bool config_field_is_secret(const char *name);

/* Puts asterisks for what the query of a URL in text gives, whatever it is called. */
void config_mask_query(char *text);

/*
 * A password with a / or ? in it ends the host part of a URL, whose len bytes then end in no port.
 * Returns the offset of the @, among the rest bytes behind them, that was meant to end the
 * password, or 0.
 */
size_t config_url_cut_password(const char *host, size_t len, size_t rest);

#endif
