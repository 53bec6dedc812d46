/*
 * Fingerprints of certificates: SHA-256 as text. No I/O, no allocation; any thread.
 */
#ifndef ADIT_CORE_WIRE_FINGERPRINT_H
#define ADIT_CORE_WIRE_FINGERPRINT_H

#define FINGERPRINT_DIGITS 64
#define FINGERPRINT_TEXT (FINGERPRINT_DIGITS + 1)

/*
 * Reads 64 hexadecimal digits, any case, with colons or without: in out they are in lower case
 * without. 0 or -EINVAL.
 */
int fingerprint_normalise(const char *text, char out[FINGERPRINT_TEXT]);

#endif
