#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gnutls/crypto.h>
#include <gnutls/gnutls.h>

#include <adit/worker.h>

#include "core/runtime/folder.h"
#include "core/runtime/put_file.h"
#include "core/service/secret.h"

#define FILE_NAME "secret"
#define LABEL "adit static secret 1"

static char state_dir[4096];

void
secret_set_dir(const char *dir)
{
	snprintf(state_dir, sizeof(state_dir), "%s", dir ? dir : "");
}

static int
secret_read(const char *path, uint8_t out[SECRET_LEN])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, out, SECRET_LEN);
	close(fd);
	return n == SECRET_LEN ? 0 : -EBADMSG;
}

/* Of two processes that start together one wins, and both read that. */
static int
secret_create(const char *path, uint8_t out[SECRET_LEN])
{
	const struct iovec piece = { .iov_base = out, .iov_len = SECRET_LEN };
	int err = folder_make_for(path, 0700);

	if (err)
		return err;
	gnutls_rnd(GNUTLS_RND_KEY, out, SECRET_LEN);
	err = put_file(path, &piece, 1, false);
	return err && err != -EEXIST ? err : secret_read(path, out);
}

static int
secret_from_state(struct adit_log *log, uint8_t out[SECRET_LEN])
{
	char path[4160];
	int err;

	if (!*state_dir)
		return -ENOENT;
	snprintf(path, sizeof(path), "%s/%s", state_dir, FILE_NAME);
	err = secret_read(path, out);
	if (err == -ENOENT)
		err = secret_create(path, out);
	if (err)
		adit_log(log, ADIT_LOG_WARN, NULL,
			 "%s: %s: QUIC sessions will not survive a restart", path,
			 adit_strerror(err));
	return err;
}

static int
secret_from_key(const char *key_file, uint8_t out[SECRET_LEN])
{
	gnutls_datum_t key;
	int err;

	if (!key_file || gnutls_load_file(key_file, &key) < 0)
		return -ENOENT;
	err = gnutls_hmac_fast(GNUTLS_MAC_SHA256, key.data, key.size, LABEL, strlen(LABEL), out);
	explicit_bzero(key.data, key.size);
	gnutls_free(key.data);
	return err < 0 ? -EINVAL : 0;
}

void
secret_get(const char *key_file, struct adit_log *log, uint8_t out[SECRET_LEN])
{
	if (secret_from_state(log, out) == 0 || secret_from_key(key_file, out) == 0)
		return;
	gnutls_rnd(GNUTLS_RND_KEY, out, SECRET_LEN);
}
