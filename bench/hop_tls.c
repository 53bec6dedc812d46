/*
 * The hops with TLS between them: "tls-out" takes plain bytes and connects by TLS, "tls-in" the
 * other way round. GnuTLS reads and writes buffers of 64 KiB, so that a system call carries several
 * records, as a tunnel would do it. There is no half-close: the end of one direction ends the pair.
 */
#include <err.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <gnutls/gnutls.h>

#include "bench/hop.h"

enum { RECORD = 16 * 1024, OUT = 2 * CHUNK };

struct bytes {
	uint8_t	*at;
	size_t	 off, len;
};

struct tls_pair {
	struct pair		 base;
	gnutls_session_t	 session;
	int			 side;		/* which of the two is the encrypted one */
	bool			 handshaking;	/* then the socket is used directly, and blocks */
	struct bytes		 in;		/* what was read from there and not decrypted */
	struct bytes		 out[2];	/* what is to be written to each side */
};

static gnutls_certificate_credentials_t credentials;

static struct tls_pair *
tls_of(struct pair *p)
{
	return (struct tls_pair *)p;	/* base is its first member */
}

static ssize_t
tls_pull(gnutls_transport_ptr_t arg, void *buf, size_t len)
{
	struct tls_pair *t = arg;
	int fd = t->base.sides[t->side].fd;
	ssize_t n;

	if (t->handshaking)
		return read(fd, buf, len);
	if (!t->in.len) {
		n = read(fd, t->in.at, CHUNK);
		if (n <= 0)
			return n;
		t->in.off = 0;
		t->in.len = (size_t)n;
	}
	if (len > t->in.len)
		len = t->in.len;
	memcpy(buf, t->in.at + t->in.off, len);
	t->in.off += len;
	t->in.len -= len;
	return (ssize_t)len;
}

static ssize_t
tls_push(gnutls_transport_ptr_t arg, const void *buf, size_t len)
{
	struct tls_pair *t = arg;
	struct bytes *out = &t->out[t->side];

	if (t->handshaking)
		return write(t->base.sides[t->side].fd, buf, len);
	if (out->off + out->len + len > OUT) {
		errno = EAGAIN;
		return -1;
	}
	memcpy(out->at + out->off + out->len, buf, len);
	out->len += len;
	return (ssize_t)len;
}

/* Writes what waits for that side. 0, or -1: it takes no more. */
static int
tls_flush(struct tls_pair *t, int side)
{
	struct bytes *out = &t->out[side];

	while (out->len) {
		ssize_t n = write(t->base.sides[side].fd, out->at + out->off, out->len);

		if (n < 0)
			return errno == EAGAIN ? 0 : -1;
		out->off += (size_t)n;
		out->len -= (size_t)n;
	}
	out->off = 0;
	return 0;
}

/* Reads up to CHUNK into out. Returns 1: there was something, 0: not now, -1: the end. */
static int
tls_decrypt(struct tls_pair *t, struct bytes *out)
{
	ssize_t n = 0;

	while (out->len + RECORD <= CHUNK) {
		n = gnutls_record_recv(t->session, out->at + out->len, RECORD);
		if (n <= 0)
			break;
		out->len += (size_t)n;
	}
	if (out->len)
		return 1;
	return n < 0 && !gnutls_error_is_fatal((int)n) ? 0 : -1;
}

/* As tls_decrypt, the other way round. */
static int
tls_encrypt(struct tls_pair *t)
{
	static uint8_t plain[CHUNK];
	ssize_t n = read(t->base.sides[!t->side].fd, plain, sizeof(plain));

	if (n <= 0)
		return n < 0 && errno == EAGAIN ? 0 : -1;
	for (ssize_t at = 0; at < n; at += RECORD) {
		size_t len = (size_t)(n - at < RECORD ? n - at : RECORD);

		if (gnutls_record_send(t->session, plain + at, len) < 0)
			return -1;
	}
	return 1;
}

/* Records inside GnuTLS or the buffer raise no event, so this goes on until nothing is left. */
static int
tls_move(struct pair *p, int from)
{
	struct tls_pair *t = tls_of(p);
	struct bytes *out = &t->out[!from];
	int moved = 1;

	if (tls_flush(t, !from))
		return -1;
	while (moved > 0 && !out->len) {
		moved = from == t->side ? tls_decrypt(t, out) : tls_encrypt(t);
		if (moved < 0 || tls_flush(t, !from))
			return -1;
		if (from != t->side)
			break;			/* epoll tells of more */
	}
	p->sides[from].held = out->len > 0;
	return 0;
}

static uint8_t *
bytes_new(size_t len)
{
	uint8_t *at = malloc(len);

	if (!at)
		err(1, "malloc");
	return at;
}

static int
tls_open(struct pair *p, int side, unsigned flags)
{
	struct tls_pair *t = tls_of(p);
	int r;

	t->side = side;
	t->in.at = bytes_new(CHUNK);
	t->out[0].at = bytes_new(OUT);
	t->out[1].at = bytes_new(OUT);
	gnutls_init(&t->session, flags);
	gnutls_priority_set_direct(t->session,
				   "NORMAL:-VERS-ALL:+VERS-TLS1.3:-CIPHER-ALL:+AES-128-GCM", NULL);
	gnutls_credentials_set(t->session, GNUTLS_CRD_CERTIFICATE, credentials);
	gnutls_transport_set_ptr(t->session, t);
	gnutls_transport_set_pull_function(t->session, tls_pull);
	gnutls_transport_set_push_function(t->session, tls_push);
	t->handshaking = true;
	do
		r = gnutls_handshake(t->session);
	while (r < 0 && !gnutls_error_is_fatal(r));
	t->handshaking = false;
	return r < 0 ? -1 : 0;
}

static int
tls_out_open(struct pair *p)
{
	return tls_open(p, 1, GNUTLS_CLIENT);
}

static int
tls_in_open(struct pair *p)
{
	return tls_open(p, 0, GNUTLS_SERVER);
}

static void
tls_close(struct pair *p)
{
	struct tls_pair *t = tls_of(p);

	gnutls_deinit(t->session);
	free(t->in.at);
	free(t->out[0].at);
	free(t->out[1].at);
}

static void
tls_prepare(char **files)
{
	(void)files;
	if (gnutls_certificate_allocate_credentials(&credentials) < 0)
		errx(1, "GnuTLS: no credentials");
}

static void
tls_prepare_certificate(char **files)
{
	tls_prepare(files);
	if (gnutls_certificate_set_x509_key_file(credentials, files[0], files[1],
						 GNUTLS_X509_FMT_PEM) < 0)
		errx(1, "%s, %s: not a certificate and its key", files[0], files[1]);
}

const struct hop_kind hop_tls_out = {
	.name = "tls-out",
	.size = sizeof(struct tls_pair),
	.prepare = tls_prepare,
	.open = tls_out_open,
	.move = tls_move,
	.close = tls_close,
};

const struct hop_kind hop_tls_in = {
	.name = "tls-in",
	.size = sizeof(struct tls_pair),
	.n_files = 2,
	.prepare = tls_prepare_certificate,
	.open = tls_in_open,
	.move = tls_move,
	.close = tls_close,
};
