#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/config/model.h"
#include "core/config/place.h"
#include "core/runtime/watched_file.h"
#include "core/service/auth.h"

#define LINE_MAX_LEN 1024

/* ---- users ---------------------------------------------------------------------------- */

static void *
auth_parse(void *arg, char *text, struct adit_err *e)
{
	return auth_set_add_text(arg, text, e) < 0 ? NULL : arg;
}

static void
auth_gone(void *arg)
{
	(void)arg;
}

/* Once, here and now: what is looked at again is an auther's. */
static int
auth_set_add_file(struct auth_set *s, const char *path, struct adit_err *e)
{
	const struct watched_file_conf conf = {
		.path = path, .max = AUTH_FILE_MAX,
		.parse = auth_parse, .gone = auth_gone, .arg = s,
	};
	struct watched_file *f = watched_file_new(NULL, &conf);
	void *read;

	if (!f)
		return adit_err_set(e, -ENOMEM, "out of memory");
	read = watched_file_read(f, e);
	watched_file_free(f);
	return read ? 0 : e->code;
}

static int
auth_set_fill(struct auth_set *s, const struct auth_conf *a, struct adit_err *e)
{
	int err = a->username ? auth_set_add(s, a->username, a->password) : 0;

	if (!err && a->file)
		err = auth_set_add_file(s, a->file, e);
	if (!err)
		err = auth_set_seal(s);
	if (err == -ENOMEM)
		adit_err_set(e, err, "out of memory");
	return err;
}

int
auth_set_new(const struct component_conf *c, const struct place *at, struct auth_set **out)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct auth_set *s;

	*out = NULL;
	if (!c->auth || c->authers.n)
		return 0;
	s = auth_set_begin();
	if (!s)
		return place_say(at, -ENOMEM, "out of memory");
	if (auth_set_fill(s, c->auth, &e) == 0) {
		*out = s;
		return 0;
	}
	auth_set_free(s);
	return place_refuse(at, &e);
}

/* ---- what a client presents ----------------------------------------------------------- */

/* 1, 0 at the end, or a failure. A long line is none of several: their ends would be users. */
static int
auth_next_line(FILE *f, const char *path, unsigned *number, char line[LINE_MAX_LEN],
	       struct adit_err *e)
{
	if (!fgets(line, LINE_MAX_LEN, f))
		return 0;
	++*number;
	if (strchr(line, '\n') || feof(f))
		return 1;
	return adit_err_set(e, ADIT_ECONFIG, "%s:%u: more than %d bytes", path, *number,
			    LINE_MAX_LEN - 2);
}

int
auth_read_file(const char *path, char **user, char **password, struct adit_err *e)
{
	char line[LINE_MAX_LEN], *name = NULL, *secret = NULL;
	FILE *f = fopen(path, "re");
	unsigned number = 0;
	int err = 1;

	if (!f)
		return adit_err_set(e, -errno, "%s: %s", path, adit_strerror(-errno));
	while (!name && err > 0) {
		err = auth_next_line(f, path, &number, line, e);
		name = err > 0 ? auth_split_line(line, &secret) : NULL;
	}
	fclose(f);
	if (err < 0)
		return err;
	if (!name)
		return adit_err_set(e, ADIT_ECONFIG, "%s: no credentials in it", path);
	*user = strdup(name);
	*password = strdup(secret);
	explicit_bzero(line, sizeof(line));
	if (*user && *password)
		return 0;
	free(*user);
	free(*password);
	return adit_err_set(e, -ENOMEM, "out of memory");
}
