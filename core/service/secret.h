/*
 * The process's secret for what must outlive a restart: keys of stateless resets and address
 * tokens. Kept in the state folder, else derived from a configured private key, else random.
 */
#ifndef ADIT_CORE_SECRET_H
#define ADIT_CORE_SECRET_H

#include <stdint.h>

#include <adit/log.h>

#define SECRET_LEN 32

/* The state folder, or NULL. Copied. Before anything is made. */
void secret_set_dir(const char *dir);

/*
 * Fills out. key_file: a PEM private key to derive it from where there is no state folder, or NULL.
 * What cannot be read or kept is told to log once, and the next way is taken. Blocks on files: main
 * thread.
 */
void secret_get(const char *key_file, struct adit_log *log, uint8_t out[SECRET_LEN]);

#endif
