/*
 * A stream of HTTP/3 from a peer that sends anything: frames are cut, settings read, field sections
 * decoded and checked. The first byte says what kind of section is expected, and in what pieces it
 * comes: the same bytes must come to the same. What was taken can be given, and comes back as it
 * was.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/http/fields.h"
#include "core/http/h3_qpack.h"
#include "core/wire/h3_frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void
must(bool is_so)
{
	if (!is_so)
		abort();
}

/* Decodes a section in pieces of that size. What section_done said, or -EPROTO. */
static int
decode(const struct section_rules *rules, const uint8_t *p, size_t len, size_t piece,
       struct adit_fields **out)
{
	struct h3_decoder *d = h3_decoder_new(rules);
	int err = 0;

	*out = NULL;
	must(d);
	do {
		size_t n = len < piece ? len : piece;

		err = h3_decode(d, p, n, n == len);
		p += n;
		len -= n;
	} while (len && err == 0);
	if (err == 0)
		err = section_done(&d->section, out);
	h3_decoder_free(d);
	return err;
}

static void
check_text(struct adit_text t)
{
	must(t.s && t.s[t.len] == 0 && strlen(t.s) == t.len);
	must(!memchr(t.s, '\r', t.len) && !memchr(t.s, '\n', t.len));
}

/* What no head may be, however it came about. */
static void
check_fields(const struct adit_fields *f, enum section_kind kind)
{
	static const char *const never[] = { "connection", "keep-alive", "proxy-connection",
					     "transfer-encoding", "upgrade" };
	struct adit_text target = adit_fields_control(f, ADIT_TARGET);

	for (size_t i = 0; i < adit_fields_count(f); i++) {
		const struct adit_field *field = adit_fields_at(f, i);

		check_text(field->name);
		check_text(field->value);
		must(field->name.len && field->name.s[0] != ':');
	}
	for (size_t i = 0; i < sizeof(never) / sizeof(*never); i++)
		must(!adit_fields_get(f, never[i]).s);
	if (kind == SECTION_RESPONSE)
		must(adit_fields_status(f) >= 100 && adit_fields_status(f) != 101);
	if (kind != SECTION_REQUEST)
		return;
	must(adit_fields_control(f, ADIT_METHOD).len && !adit_fields_get(f, "host").s);
	must(!target.s || target.s[0] == '/' || strcmp(target.s, "*") == 0);
}

static bool
same(const struct adit_fields *a, const struct adit_fields *b)
{
	if (adit_fields_count(a) != adit_fields_count(b) ||
	    adit_fields_status(a) != adit_fields_status(b))
		return false;
	for (int i = 0; i < ADIT_CONTROLS; i++) {
		struct adit_text s = adit_fields_control(a, (enum adit_control)i);
		struct adit_text t = adit_fields_control(b, (enum adit_control)i);

		if (s.len != t.len || (s.len && memcmp(s.s, t.s, s.len) != 0))
			return false;
	}
	for (size_t i = 0; i < adit_fields_count(a); i++) {
		const struct adit_field *s = adit_fields_at(a, i), *t = adit_fields_at(b, i);

		if (strcmp(s->name.s, t->name.s) != 0 || strcmp(s->value.s, t->value.s) != 0)
			return false;
	}
	return true;
}

/* Given to a peer of the same kind, and taken there. */
static void
check_giving(const struct adit_fields *f, const struct section_rules *rules)
{
	struct h3_encoder e = { .qpack = NULL };
	struct section_list list;
	struct adit_fields *again;
	struct h3_decoder *d;
	int err = section_list(&list, f, rules->kind);

	if (err < 0)	/* of another scheme, without an authority */
		return;
	must(h3_encode(&e, &list) == 0);
	section_list_free(&list);
	d = h3_decoder_new(rules);
	must(d);
	err = h3_decode(d, e.prefix.pos, nghttp3_buf_len(&e.prefix), !nghttp3_buf_len(&e.fields));
	must(err == 0);
	if (nghttp3_buf_len(&e.fields))
		err = h3_decode(d, e.fields.pos, nghttp3_buf_len(&e.fields), true);
	must(err == 0);
	err = section_done(&d->section, &again);
	/* Crumbs of a cookie that are one field now may be too long for nghttp3. */
	must(err == -E2BIG || (err == 0 && same(f, again)));
	adit_fields_free(again);
	h3_decoder_free(d);
	h3_encoder_fini(&e);
}

static void
take_section(const uint8_t *p, size_t len, uint8_t habits)
{
	struct section_rules rules = {
		.kind = (enum section_kind)(habits % 3), .version = 30,
		.limit = habits & 4 ? 512 : 65536, .extended = habits & 8,
	};
	struct adit_fields *whole, *pieces;
	int err = decode(&rules, p, len, SIZE_MAX, &whole);
	int again = decode(&rules, p, len, 1 + (size_t)(habits >> 4), &pieces);

	must(err == again);
	must(!whole == !pieces);
	if (whole) {
		must(same(whole, pieces));
		check_fields(whole, rules.kind);
		check_giving(whole, &rules);
	}
	adit_fields_free(whole);
	adit_fields_free(pieces);
}

static void
take_frame(const struct h3_frame *f, const uint8_t *p, size_t len, uint8_t habits)
{
	struct h3_settings settings;
	uint64_t number;

	(void)h3_frame_place(f->type, (enum h3_place)(habits % 4));
	if (f->type == H3_HEADERS)
		take_section(p, len, habits);
	else if (f->type == H3_SETTINGS && len <= H3_SETTINGS_MAX)
		(void)h3_settings_read(p, len, &settings);
	else
		(void)h3_number_read(p, len, &number);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct h3_head head = { .n = 0 };
	const uint8_t *p = data, *end = data + len;

	if (len)
		p++;
	while (p < end) {
		size_t needs = h3_head_needs(&head), n;
		struct h3_frame f;

		if (needs > (size_t)(end - p))
			break;
		memcpy(head.bytes + head.n, p, needs);
		head.n = (uint8_t)(head.n + needs);
		p += needs;
		if (needs)
			continue;
		f = h3_head_take(&head);
		n = f.len < (uint64_t)(end - p) ? (size_t)f.len : (size_t)(end - p);
		take_frame(&f, p, n, data[0]);
		p += n;
	}
	return 0;
}
