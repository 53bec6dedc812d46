#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <crypt.h>

#include <cmocka.h>

#include "core/identity/auth_cache.h"
#include "core/identity/auth_set.h"

/* As cheap a hash as there is of that method. */
static const char *
hash_of(const char *method, const char *password)
{
	static char out[CRYPT_OUTPUT_SIZE];
	char setting[CRYPT_GENSALT_OUTPUT_SIZE];
	struct crypt_data *work = calloc(1, sizeof(*work));
	unsigned long least = strcmp(method, "$2b$") == 0 ? 4 : strcmp(method, "$7$") == 0 ? 6 : 1;
	const char *hash;

	assert_non_null(work);
	if (method[1] == '6')
		least = 1000;
	assert_non_null(crypt_gensalt_rn(method, least, NULL, 0, setting, sizeof(setting)));
	hash = crypt_rn(password, setting, work, sizeof(*work));
	assert_non_null(hash);
	snprintf(out, sizeof(out), "%s", hash);
	free(work);
	return out;
}

static struct auth_set *
set_of_text(const char *text)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct auth_set *s = auth_set_begin();
	char *copy = strdup(text);

	assert_non_null(s);
	if (auth_set_add_text(s, copy, &e) < 0)
		fail_msg("%s", e.text);
	assert_int_equal(auth_set_seal(s), 0);
	free(copy);
	return s;
}

static int
look(struct auth_set *s, const char *user, const char *password, struct auth_found *found)
{
	const struct credentials c = {
		.user = user, .user_len = strlen(user),
		.password = password, .password_len = strlen(password),
	};

	return auth_set_check(s, &c, found);
}

/* As a login does. */
static int
check(struct auth_set *s, const char *user, const char *password)
{
	struct auth_found found;
	int err = look(s, user, password, &found);

	return err == -EINPROGRESS ? auth_found_verify(&found, password) : err;
}

static void
hashes_of_every_kind_that_is_taken(void **state)
{
	static const char *const methods[] = { "$y$", "$gy$", "$7$", "$2b$", "$6$" };
	char text[1024];
	struct auth_set *s;

	(void)state;
	for (size_t i = 0; i < sizeof(methods) / sizeof(*methods); i++) {
		snprintf(text, sizeof(text), "# hashed\nalice %s\nbob plain\n",
			 hash_of(methods[i], "a secret"));
		s = set_of_text(text);
		assert_int_equal(check(s, "alice", "a secret"), 0);
		assert_int_equal(check(s, "alice", "a secre"), ADIT_EUNAUTH);
		assert_int_equal(check(s, "alice", ""), ADIT_EUNAUTH);
		assert_int_equal(check(s, "bob", "plain"), 0);
		auth_set_free(s);
	}
}

/* A hash that somebody has stolen is not what opens. */
static void
the_hash_itself_is_no_password(void **state)
{
	const char *hash = hash_of("$y$", "secret");
	char text[512];
	struct auth_set *s;

	(void)state;
	snprintf(text, sizeof(text), "alice %s\n", hash);
	s = set_of_text(text);
	assert_int_equal(check(s, "alice", hash), ADIT_EUNAUTH);
	auth_set_free(s);
}

static void
refuse(const char *text, const char *why)
{
	struct adit_err e = ADIT_ERR_INIT;
	struct auth_set *s = auth_set_begin();
	char *copy = strdup(text);

	assert_int_equal(auth_set_add_text(s, copy, &e), -EINVAL);
	if (!strstr(e.text, why) || strstr(e.text, "hidden"))
		fail_msg("%s", e.text);
	free(copy);
	auth_set_free(s);
}

/* md5crypt and the like would else be passwords that the file's reader knows. */
static void
other_hashes_are_refused_and_not_quoted(void **state)
{
	(void)state;
	refuse("a b\nc $1$hidden$hidden\n", "line 2: the hash is of a kind");
	refuse("c $sha1$hidden", "line 1: the hash is of a kind");
	auth_set_free(set_of_text("a $ and more\nb $$$\nc $pa_ss$word\nd $tooLong$x\n"));
}

/* Who has no account and who has one with another secret cannot be told apart by time. */
static void
a_failure_hashes_whoever_it_named(void **state)
{
	struct auth_found found;
	struct auth_set *s;
	char text[512];

	(void)state;
	snprintf(text, sizeof(text), "alice %s\nbob plain\n", hash_of("$y$", "secret"));
	s = set_of_text(text);
	assert_int_equal(look(s, "alice", "x", &found), -EINPROGRESS);
	assert_true(found.known);
	assert_int_equal(look(s, "nobody", "secret", &found), -EINPROGRESS);
	assert_false(found.known);
	assert_int_equal(auth_found_verify(&found, "secret"), ADIT_EUNAUTH);
	assert_int_equal(look(s, "bob", "x", &found), -EINPROGRESS);
	assert_false(found.known);
	assert_int_equal(look(s, "bob", "plain", &found), 0);
	auth_set_free(s);
}

static void
what_was_verified_is_remembered(void **state)
{
	struct auth_found found;
	struct auth_set *s;
	char text[512];

	(void)state;
	snprintf(text, sizeof(text), "alice %s\n", hash_of("$y$", "secret"));
	s = set_of_text(text);
	assert_int_equal(look(s, "alice", "secret", &found), -EINPROGRESS);
	assert_int_equal(auth_found_verify(&found, "secret"), 0);
	auth_set_remember(s, &found);
	assert_int_equal(look(s, "alice", "secret", &found), 0);
	assert_string_equal(found.user, "alice");
	assert_int_equal(look(s, "alice", "secre", &found), -EINPROGRESS);
	auth_set_free(s);
}

static void
a_token_is_a_name_without_a_password(void **state)
{
	struct auth_set *s = auth_set_begin();
	struct auth_found found;

	(void)state;
	assert_int_equal(auth_set_add_token(s, "ci", "0123456789"), 0);
	assert_int_equal(auth_set_seal(s), 0);
	assert_int_equal(look(s, "0123456789", "", &found), 0);
	assert_string_equal(found.user, "ci");
	assert_int_equal(check(s, "ci", "0123456789"), ADIT_EUNAUTH);
	assert_int_equal(check(s, "ci", ""), ADIT_EUNAUTH);
	assert_int_equal(check(s, "0123456789", "x"), ADIT_EUNAUTH);
	assert_int_equal(check(s, "", "0123456789"), ADIT_EUNAUTH);
	auth_set_free(s);
}

static void
the_later_of_two_counts(void **state)
{
	struct auth_set *s = set_of_text("alice one\nbob x\nalice two\n\nalice three\n");
	unsigned by, text;

	(void)state;
	assert_int_equal(auth_set_hidden(s, &by, &text), 3);
	assert_int_equal(by, 5);
	assert_int_equal(text, 0);
	assert_int_equal(auth_set_count(s), 2);
	assert_int_equal(check(s, "alice", "one"), ADIT_EUNAUTH);
	assert_int_equal(check(s, "alice", "two"), ADIT_EUNAUTH);
	assert_int_equal(check(s, "alice", "three"), 0);
	assert_int_equal(check(s, "bob", "x"), 0);
	auth_set_free(s);

	/* One of the configuration, or of one text, that is in the next too is meant so. */
	s = auth_set_begin();
	assert_int_equal(auth_set_add(s, "alice", "one"), 0);
	assert_int_equal(auth_set_add_text(s, (char[]){ "alice two\nbob x\n" }, NULL), 0);
	assert_int_equal(auth_set_add_text(s, (char[]){ "bob y\ncarol 1\ncarol 2\n" }, NULL), 0);
	assert_int_equal(auth_set_seal(s), 0);
	assert_int_equal(auth_set_hidden(s, &by, &text), 2);
	assert_int_equal(by, 3);
	assert_int_equal(text, 1);
	auth_set_free(s);
}

/* From one set to the next: the same secret, another one, no such user. */
static void
a_proof_is_of_user_and_secret(void **state)
{
	struct auth_set *s = set_of_text("alice one\nbob x\n");
	struct auth_set *same = set_of_text("carol y\nalice one\n");
	struct auth_set *other = set_of_text("alice two\nbob one\n");
	struct auth_found found;

	(void)state;
	assert_int_equal(look(s, "alice", "one", &found), 0);
	assert_true(auth_set_has(s, found.proof));
	assert_true(auth_set_has(same, found.proof));
	assert_false(auth_set_has(other, found.proof));
	auth_set_free(s);
	auth_set_free(same);
	auth_set_free(other);
}

static void
many_users(void **state)
{
	struct auth_set *s = auth_set_begin();
	struct auth_found found;
	char user[32], password[32];

	(void)state;
	for (int i = 0; i < 2000; i++) {
		snprintf(user, sizeof(user), "u%d", i % 1000);
		snprintf(password, sizeof(password), "p%d", i);
		assert_int_equal(auth_set_add(s, user, password), 0);
	}
	assert_int_equal(auth_set_seal(s), 0);
	assert_int_equal(auth_set_count(s), 1000);
	for (int i = 0; i < 2000; i++) {
		snprintf(user, sizeof(user), "u%d", i % 1000);
		snprintf(password, sizeof(password), "p%d", i);
		assert_int_equal(look(s, user, password, &found), i < 1000 ? ADIT_EUNAUTH : 0);
		assert_int_equal(auth_set_has(s, i < 1000 ? found.digest : found.proof),
				 i >= 1000);
	}
	auth_set_free(s);
}

static void
the_cache_forgets(void **state)
{
	struct auth_cache *c = auth_cache_new();
	uint8_t digest[AUTH_CACHE_DIGEST] = { 1 };

	(void)state;
	assert_false(auth_cache_has(c, digest, 1));
	auth_cache_put(c, digest, 1, 10);
	assert_true(auth_cache_has(c, digest, 9));
	assert_false(auth_cache_has(c, digest, 10));
	digest[31] = 1;
	assert_false(auth_cache_has(c, digest, 9));
	/* Of one row: those that last longest stay. */
	for (uint8_t i = 1; i < 20; i++) {
		digest[31] = i;
		auth_cache_put(c, digest, 1, 100u + i);
	}
	assert_true(auth_cache_has(c, digest, 9));
	digest[31] = 1;
	assert_false(auth_cache_has(c, digest, 9));
	auth_cache_free(c);
	auth_cache_free(NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(hashes_of_every_kind_that_is_taken),
		cmocka_unit_test(the_hash_itself_is_no_password),
		cmocka_unit_test(other_hashes_are_refused_and_not_quoted),
		cmocka_unit_test(a_failure_hashes_whoever_it_named),
		cmocka_unit_test(what_was_verified_is_remembered),
		cmocka_unit_test(a_token_is_a_name_without_a_password),
		cmocka_unit_test(the_later_of_two_counts),
		cmocka_unit_test(a_proof_is_of_user_and_secret),
		cmocka_unit_test(many_users),
		cmocka_unit_test(the_cache_forgets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
