#include "core/runtime/hosts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#define BLANK " \t\r"

struct file_stamp
file_stamp_of(const char *path)
{
	struct file_stamp s = { .dev = 0 };
	struct stat st;

	if (stat(path, &st) < 0)
		return s;
	s.dev = st.st_dev;
	s.ino = st.st_ino;
	s.size = st.st_size;
	s.changed = st.st_mtim;
	return s;
}

bool
file_stamp_equal(const struct file_stamp *a, const struct file_stamp *b)
{
	return a->dev == b->dev && a->ino == b->ino && a->size == b->size &&
	       a->changed.tv_sec == b->changed.tv_sec && a->changed.tv_nsec == b->changed.tv_nsec;
}

int
hosts_init(struct hosts *h, const char *path)
{
	*h = (struct hosts){ .path = strdup(path) };
	return h->path ? 0 : -ENOMEM;
}

void
hosts_fini(struct hosts *h)
{
	free(h->path);
	free(h->text);
	*h = (struct hosts){ .path = NULL };
}

/* All of the file, up to max; NULL if it cannot be read. */
static char *
read_file(const char *path, size_t max)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char *text = NULL, *more;
	size_t len = 0;
	ssize_t n = fd < 0 ? -1 : 1;

	while (n > 0 && len < max) {
		more = realloc(text, len + 65536 + 1);
		if (!more)
			break;
		text = more;
		n = read(fd, text + len, 65536);
		if (n > 0)
			len += (size_t)n;
	}
	if (fd >= 0)
		close(fd);
	if (text)
		text[len] = 0;
	return text;
}

static void
hosts_refresh(struct hosts *h)
{
	struct file_stamp now = file_stamp_of(h->path);

	if (file_stamp_equal(&now, &h->stamp))
		return;
	free(h->text);
	h->text = read_file(h->path, HOSTS_MAX);
	h->stamp = now;
}

/* Moves *at beyond the next word of the line; its length, 0 at the end. */
static size_t
next_word(const char **at, const char *end, const char **word)
{
	const char *p = *at;

	while (p < end && strchr(BLANK, *p))
		p++;
	*word = p;
	while (p < end && !strchr(BLANK, *p))
		p++;
	*at = p;
	return (size_t)(p - *word);
}

static bool
line_names(const char *at, const char *end, const char *name)
{
	size_t len = strlen(name), n;
	const char *word;

	while ((n = next_word(&at, end, &word)))
		if (n == len && !strncasecmp(word, name, len))
			return true;
	return false;
}

/* Whether the line has an address, and name among its names. */
static bool
line_match(const char *line, const char *end, const char *name, struct adit_addr *out)
{
	char ip[64];
	const char *word;
	size_t n = next_word(&line, end, &word);

	if (!n || n >= sizeof(ip) || !line_names(line, end, name))
		return false;
	memcpy(ip, word, n);
	ip[n] = 0;
	return adit_addr_parse(ip, 0, out) == 0;
}

size_t
hosts_find(struct hosts *h, const char *name, struct adit_addr *out, size_t max)
{
	const char *line, *end;
	struct adit_addr a;
	size_t n = 0;

	hosts_refresh(h);
	for (line = h->text; line && *line && n < max; line = *end ? strchr(end, '\n') : NULL) {
		line += *line == '\n';
		end = line + strcspn(line, "#\n");
		if (line_match(line, end, name, &a))
			out[n++] = a;
	}
	return n;
}
