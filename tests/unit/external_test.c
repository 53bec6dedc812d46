/* What an endpoint is asked about a client, and what its answers mean. */
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/reverst/external.h"
#include "tests/unit/config_text.h"
#include "tests/unit/loop.h"

/* A server for one request, on a thread of its own; its fields are the test's after server_end. */
struct server {
	pthread_t	 thread;
	int		 fd;
	unsigned	 port;
	char		 answer[256];
	char		 request[4096];
};

/* What is asked of it, and what came of that. */
struct asker {
	struct loop	*loop;
	struct groups	*groups;
	struct external	*question;
	unsigned	 under_way;
	bool		 answered;
	int		 err;
	char		 why[256];
};

static void *
serve(void *arg)
{
	struct server *s = arg;
	int c = accept(s->fd, NULL, NULL);
	size_t len = 0;
	ssize_t n = 1;

	while (c >= 0 && n > 0 && len < sizeof(s->request) - 1 && !strstr(s->request, "\r\n\r\n")) {
		n = read(c, s->request + len, sizeof(s->request) - 1 - len);
		len += n > 0 ? (size_t)n : 0;
	}
	if (c >= 0) {
		n = write(c, s->answer, strlen(s->answer));
		close(c);
	}
	return NULL;
}

static void
server_begin(struct server *s, const char *answer)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);

	*s = (struct server){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	assert_true(s->fd >= 0);
	assert_int_equal(bind(s->fd, (struct sockaddr *)&addr, sizeof(addr)), 0);
	assert_int_equal(listen(s->fd, 4), 0);
	assert_int_equal(getsockname(s->fd, (struct sockaddr *)&addr, &len), 0);
	s->port = ntohs(addr.sin_port);
	snprintf(s->answer, sizeof(s->answer), "%s", answer);
	assert_int_equal(pthread_create(&s->thread, NULL, serve, s), 0);
}

/* Also of one that nobody has asked. */
static void
server_end(struct server *s)
{
	shutdown(s->fd, SHUT_RDWR);
	assert_int_equal(pthread_join(s->thread, NULL), 0);
	close(s->fd);
}

static void
done(void *arg, int err, const struct adit_err *e)
{
	struct asker *t = arg;

	t->question = NULL;
	t->answered = true;
	t->err = err;
	snprintf(t->why, sizeof(t->why), "%s", e ? e->text : "");
}

static bool
is_answered(void *arg)
{
	return ((struct asker *)arg)->answered;
}

/* A group with that endpoint at the port, and scheme JWT. */
static void
asker_begin(struct asker *t, struct loop *l, unsigned port)
{
	struct config_errors *errs = config_errors_new(), *warnings = config_errors_new();
	char text[256];
	struct tree_source source = { .name = "groups.yml", .text = text };

	*t = (struct asker){ .loop = l };
	snprintf(text, sizeof(text), "groups: {the group: {authentication: {external: {scheme: JWT,"
				     " endpoint: 'http://u:p@127.0.0.1:%u/may?a=b'}}}}", port);
	source.len = strlen(text);
	t->groups = groups_read(&source, errs, warnings);
	assert_non_null(t->groups);
	config_errors_free(errs);
	config_errors_free(warnings);
}

static int
ask(struct asker *t, const char *value, size_t len)
{
	struct external_conf conf = {
		.group = groups_find(t->groups, "the group", 9), .under_way = &t->under_way,
	};
	struct adit_err e = ADIT_ERR_INIT;

	assert_int_equal(group_verify(conf.group, value, len, &conf.ask), -EAGAIN);
	t->question = external_ask(t->loop->worker, &conf, done, t, &e);
	return t->question ? 0 : e.code;
}

/* The outcome of a question that an answer comes to. */
static int
outcome(struct asker *t)
{
	assert_int_equal(ask(t, " JWT a.b.c ", 11), 0);
	assert_int_equal(t->under_way, 1);
	assert_true(loop_until(t->loop, is_answered, t, 60000));
	assert_int_equal(t->under_way, 0);
	return t->err;
}

static void
the_endpoint_learns_who_and_where(void **state)
{
	struct server s;
	struct asker t;

	server_begin(&s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	asker_begin(&t, *state, s.port);
	assert_int_equal(outcome(&t), 0);
	server_end(&s);
	assert_memory_equal(s.request, "GET /may?a=b HTTP/1.1\r\n", 23);
	assert_non_null(strcasestr(s.request, "\r\nAuthorization: JWT a.b.c\r\n"));
	assert_non_null(strcasestr(s.request, "\r\nX-Reverst-Tunnel-Group: the group\r\n"));
	groups_free(t.groups);
}

static void
anything_but_200_refuses(void **state)
{
	static const char *const answers[] = {
		"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 204 No Content\r\n\r\n",
		"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno",
		"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
	};

	for (size_t i = 0; i < sizeof(answers) / sizeof(*answers); i++) {
		struct server s;
		struct asker t;

		server_begin(&s, answers[i]);
		asker_begin(&t, *state, s.port);
		assert_int_equal(outcome(&t), ADIT_EUNAUTH);
		assert_non_null(strstr(t.why, "status"));
		server_end(&s);
		groups_free(t.groups);
	}
}

/* Nobody has refused the client, who may come again. */
static void
no_answer_is_no_refusal(void **state)
{
	struct server s;
	struct asker t;

	server_begin(&s, "");
	asker_begin(&t, *state, s.port);
	assert_int_not_equal(outcome(&t), 0);
	assert_int_not_equal(t.err, ADIT_EUNAUTH);
	server_end(&s);
	groups_free(t.groups);
}

/* Who has not seen the credential cannot say that it is good. */
static void
another_server_does_not_decide(void **state)
{
	struct server first, second;
	struct asker t;
	char answer[128];

	server_begin(&second, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	snprintf(answer, sizeof(answer), "HTTP/1.1 302 Found\r\nContent-Length: 0\r\n"
					 "Location: http://127.0.0.1:%u/\r\n\r\n", second.port);
	server_begin(&first, answer);
	asker_begin(&t, *state, first.port);
	assert_int_equal(outcome(&t), ADIT_EUNAUTH);
	server_end(&first);
	server_end(&second);
	assert_non_null(strcasestr(first.request, "Authorization"));
	assert_string_equal(second.request, "");
	groups_free(t.groups);
}

static void
a_question_that_is_cancelled_has_no_answer(void **state)
{
	struct server s;
	struct asker t;

	server_begin(&s, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
	asker_begin(&t, *state, s.port);
	assert_int_equal(ask(&t, "JWT a", 5), 0);
	external_cancel(t.question);
	assert_int_equal(t.under_way, 0);
	loop_turn(t.loop, 16);
	assert_false(t.answered);
	server_end(&s);
	groups_free(t.groups);
}

static void
some_questions_are_not_asked(void **state)
{
	struct asker t;

	asker_begin(&t, *state, 1);
	assert_int_equal(ask(&t, "JWT a\r\nX: y", 11), ADIT_EUNAUTH);
	assert_int_equal(ask(&t, "JWT a\0b", 7), ADIT_EUNAUTH);
	assert_int_equal(t.under_way, 0);
	t.under_way = EXTERNAL_MAX;
	assert_int_equal(ask(&t, "JWT a", 5), ADIT_ELIMIT);
	assert_int_equal(t.under_way, EXTERNAL_MAX);
	groups_free(t.groups);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, loop_setup, loop_teardown)
	const struct CMUnitTest tests[] = {
		TEST(the_endpoint_learns_who_and_where),
		TEST(anything_but_200_refuses),
		TEST(no_answer_is_no_refusal),
		TEST(another_server_does_not_decide),
		TEST(a_question_that_is_cancelled_has_no_answer),
		TEST(some_questions_are_not_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
