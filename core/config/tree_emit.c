/* Tree to text: YAML through libyaml's emitter, JSON by hand. */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "core/config/scalar.h"
#include "core/config/tree.h"

/* ---- YAML ----------------------------------------------------------------- */

static bool
emit(yaml_emitter_t *emitter, yaml_event_t *event, int made)
{
	return made && yaml_emitter_emit(emitter, event);
}

static bool
emit_scalar(yaml_emitter_t *emitter, const struct adit_tree *node)
{
	const char *text = tree_text(node);
	bool null = tree_is_null(node);
	/* A text that looks like something else must keep its quotes, and nothing else needs
	 * any. */
	int plain = !tree_quoted(node) || scalar_kind(text) == SCALAR_TEXT;
	yaml_event_t event;
	char *copy = strdup(null ? "null" : text);
	bool done;

	if (!copy)
		return false;
	done = emit(emitter, &event,
		    yaml_scalar_event_initialize(&event, NULL, NULL, (yaml_char_t *)copy,
						 (int)strlen(copy), plain, 1,
						 YAML_ANY_SCALAR_STYLE));
	free(copy);
	return done;
}

static bool emit_node(yaml_emitter_t *emitter, const struct adit_tree *node);

static bool
emit_list(yaml_emitter_t *emitter, const struct adit_tree *node)
{
	yaml_event_t event;

	if (!emit(emitter, &event,
		  yaml_sequence_start_event_initialize(&event, NULL, NULL, 1,
						       YAML_BLOCK_SEQUENCE_STYLE)))
		return false;
	for (size_t i = 0; i < tree_len(node); i++)
		if (!emit_node(emitter, tree_item(node, i)))
			return false;
	return emit(emitter, &event, yaml_sequence_end_event_initialize(&event));
}

static bool
emit_map(yaml_emitter_t *emitter, const struct adit_tree *node)
{
	yaml_event_t event;

	if (!emit(emitter, &event,
		  yaml_mapping_start_event_initialize(&event, NULL, NULL, 1,
						      YAML_BLOCK_MAPPING_STYLE)))
		return false;
	for (size_t i = 0; i < tree_len(node); i++)
		if (!emit_scalar(emitter, tree_key(node, i)) ||
		    !emit_node(emitter, tree_item(node, i)))
			return false;
	return emit(emitter, &event, yaml_mapping_end_event_initialize(&event));
}

static bool
emit_node(yaml_emitter_t *emitter, const struct adit_tree *node)
{
	if (tree_type(node) == TREE_LIST)
		return emit_list(emitter, node);
	if (tree_type(node) == TREE_MAP)
		return emit_map(emitter, node);
	return emit_scalar(emitter, node);
}

static int
write_to(void *file, unsigned char *bytes, size_t len)
{
	return fwrite(bytes, 1, len, file) == len;
}

static bool
emit_document(yaml_emitter_t *emitter, const struct adit_tree *node)
{
	yaml_event_t event;

	return emit(emitter, &event,
		    yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING)) &&
	       emit(emitter, &event,
		    yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1)) &&
	       emit_node(emitter, node) &&
	       emit(emitter, &event, yaml_document_end_event_initialize(&event, 1)) &&
	       emit(emitter, &event, yaml_stream_end_event_initialize(&event));
}

static bool
emit_yaml(FILE *f, const struct adit_tree *node)
{
	yaml_emitter_t emitter;
	bool done;

	if (!yaml_emitter_initialize(&emitter))
		return false;
	yaml_emitter_set_output(&emitter, write_to, f);
	yaml_emitter_set_unicode(&emitter, 1);
	yaml_emitter_set_width(&emitter, -1);
	done = emit_document(&emitter, node);
	yaml_emitter_delete(&emitter);
	return done;
}

/* ---- JSON ----------------------------------------------------------------- */

/*
 * The length of a character that YAML refuses where JSON does not, or takes for the end of a line
 * (YAML 1.1, sections 4.1 and 4.2): our JSON is read as YAML again. 0: of any other.
 */
static size_t
yaml_special(const char *text, unsigned *code)
{
	const unsigned char *c = (const unsigned char *)text;

	if (c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0) {
		*code = c[1];
		return 2;
	}
	if ((c[0] & 0xf0) != 0xe0 || !c[1] || !c[2])
		return 0;
	*code = (c[0] & 0x0fu) << 12 | (c[1] & 0x3fu) << 6 | (c[2] & 0x3fu);
	return *code == 0x2028 || *code == 0x2029 || *code == 0xfeff || *code >= 0xfffe ? 3 : 0;
}

static void
json_string(FILE *f, const char *text)
{
	fputc('"', f);
	for (const char *p = text; *p; p++) {
		unsigned char c = (unsigned char)*p;
		unsigned code = c;
		size_t len = c < ' ' || c == 127 ? 1 : yaml_special(p, &code);

		if (c == '"' || c == '\\')
			fprintf(f, "\\%c", c);
		else if (c == '\n')
			fputs("\\n", f);
		else if (c == '\t')
			fputs("\\t", f);
		else if (len)
			fprintf(f, "\\u%04x", code);
		else
			fputc(c, f);
		p += len ? len - 1 : 0;
	}
	fputc('"', f);
}

/* RFC 8259, section 6: no plus, no leading zero, digits on both sides of the point. */
static bool
is_json_number(const char *text)
{
	const char *p = text + (*text == '-');
	size_t n = strspn(p, "0123456789");

	if (!n || (n > 1 && *p == '0'))
		return false;
	p += n;
	if (*p == '.') {
		n = strspn(++p, "0123456789");
		if (!n)
			return false;
		p += n;
	}
	if (*p == 'e' || *p == 'E') {
		p++;
		p += *p == '-' || *p == '+';
		n = strspn(p, "0123456789");
		if (!n)
			return false;
		p += n;
	}
	return !*p;
}

static void
json_scalar(FILE *f, const struct adit_tree *node)
{
	const char *text = tree_text(node);
	bool out;

	if (tree_is_null(node))
		fputs("null", f);
	else if (tree_quoted(node))
		json_string(f, text);
	else if (is_json_number(text))
		fputs(text, f);
	else if (scalar_kind(text) == SCALAR_BOOL && scalar_bool(text, &out) == 0)
		fputs(out ? "true" : "false", f);
	else
		json_string(f, text);
}

static void
json_indent(FILE *f, unsigned level)
{
	fprintf(f, "\n%*s", (int)level * 2, "");
}

static void
json_node(FILE *f, const struct adit_tree *node, unsigned level)
{
	bool map = tree_type(node) == TREE_MAP;

	if (tree_type(node) == TREE_SCALAR) {
		json_scalar(f, node);
		return;
	}
	fputc(map ? '{' : '[', f);
	for (size_t i = 0; i < tree_len(node); i++) {
		if (i)
			fputc(',', f);
		json_indent(f, level + 1);
		if (map) {
			json_string(f, tree_text(tree_key(node, i)));
			fputs(": ", f);
		}
		json_node(f, tree_item(node, i), level + 1);
	}
	if (tree_len(node))
		json_indent(f, level);
	fputc(map ? '}' : ']', f);
}

char *
tree_emit(const struct adit_tree *node, enum tree_format format, size_t *len)
{
	char *text = NULL;
	size_t n = 0;
	bool done = true;
	FILE *f = open_memstream(&text, &n);

	if (!f)
		return NULL;
	if (format == TREE_YAML) {
		done = emit_yaml(f, node);
	} else {
		json_node(f, node, 0);
		fputc('\n', f);
	}
	if (ferror(f))
		done = false;
	if (fclose(f) != 0)
		done = false;
	if (!done) {
		free(text);
		return NULL;
	}
	if (len)
		*len = n;
	return text;
}
