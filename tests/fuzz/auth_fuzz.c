/* Files of users: what is taken is the same when taken twice, and who is in it is let in by it. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/identity/auth_set.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static char *
text_of(const uint8_t *data, size_t len)
{
	char *text = malloc(len + 1);

	memcpy(text, data, len);
	text[len] = 0;
	return text;
}

static int
add(struct auth_set *s, const uint8_t *data, size_t len)
{
	struct adit_err e = ADIT_ERR_INIT;
	char *text = text_of(data, len);
	int err = auth_set_add_text(s, text, &e);

	assert(err == 0 || strncmp(e.text, "line ", 5) == 0);
	free(text);
	return err;
}

/* Of a line that is the last for its user: he passes, or a hash has to be made. */
static void
check_last_line(struct auth_set *s, char *text)
{
	char *line = strrchr(text, '\n'), *password, *user;
	struct credentials c;
	struct auth_found found;
	int err;

	user = auth_split_line(line ? line + 1 : text, &password);
	if (!user)
		return;
	c = (struct credentials){
		.user = user, .user_len = strlen(user),
		.password = password, .password_len = strlen(password),
	};
	err = auth_set_check(s, &c, &found);
	assert(err == 0 || err == -EINPROGRESS);
	assert(found.known && strcmp(found.user, user) == 0);
	assert(auth_set_has(s, found.proof));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct auth_set *once = auth_set_begin(), *twice = auth_set_begin();
	char *text = text_of(data, len);

	if (add(once, data, len) == 0) {
		assert(add(twice, data, len) == 0 && add(twice, data, len) == 0);
		assert(auth_set_seal(once) == 0 && auth_set_seal(twice) == 0);
		assert(auth_set_count(once) == auth_set_count(twice));
		if (strlen(text) == len)
			check_last_line(once, text);
	}
	auth_set_free(once);
	auth_set_free(twice);
	free(text);
	return 0;
}
