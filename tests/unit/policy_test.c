/* Admissions and bypasses as they are made; how they match is matchers_test's. */
#include <errno.h>
#include <netdb.h>
#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/policy/policy.h"
#include "tests/unit/config_text.h"
#include "tests/unit/loop.h"

/* The system's look-ups, which begin and go on as the test says. */
static sem_t begun, go;
static atomic_uint asked;

int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints,
	    struct addrinfo **out)
{
	struct timespec limit;

	(void)name;
	(void)service;
	(void)hints;
	atomic_fetch_add(&asked, 1);
	sem_post(&begun);
	clock_gettime(CLOCK_REALTIME, &limit);
	limit.tv_sec += 60;
	while (sem_timedwait(&go, &limit) < 0 && errno == EINTR)
		;
	*out = calloc(1, sizeof(**out) + sizeof(struct sockaddr_in));
	if (!*out)
		return EAI_MEMORY;
	(*out)->ai_addr = (struct sockaddr *)(*out + 1);
	(*out)->ai_addrlen = sizeof(struct sockaddr_in);
	(*out)->ai_addr->sa_family = AF_INET;
	return 0;
}

void
freeaddrinfo(struct addrinfo *list)
{
	free(list);
}

static void
write_to(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static bool
has_begun(void *arg)
{
	(void)arg;
	return sem_trywait(&begun) == 0;
}

/* A list of many names is being made on a helper thread when it is dropped. */
static void
a_list_that_has_gone_asks_for_no_more_names(void **state)
{
	char dir[] = "/tmp/adit-policy-XXXXXX", path[64], text[256];
	struct config_errors *errs = config_errors_new();
	struct policy_world world = { .config = NULL };
	struct loop *l = *state;
	struct policy *p;

	sem_init(&begun, 0, 0);
	sem_init(&go, 0, 0);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/list", dir);
	write_to(path, "192.0.2.1\n");
	snprintf(text, sizeof(text),
		 "admissions: [{name: a, reload: 1s, file: {path: %s}}]\n", path);
	world.config = config_of_text(NULL, text);
	world.home = l->worker;
	p = admission_new(&world, 0, NULL, errs);
	assert_non_null(p);
	write_to(path, "192.0.2.1\none.example\ntwo.example\nthree.example\n");
	assert_true(loop_until(l, has_begun, NULL, 30000));
	policy_free(p);
	for (int i = 0; i < 3; i++)
		sem_post(&go);
	config_put(world.config);
	config_errors_free(errs);
	loop_free(l);				/* with all that goes on */
	*state = NULL;
	assert_int_equal(asked, 1);
	unlink(path);
	rmdir(dir);
	sem_destroy(&begun);
	sem_destroy(&go);
}

static int
teardown(void **state)
{
	return *state ? loop_teardown(state) : 0;
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(a_list_that_has_gone_asks_for_no_more_names,
						loop_setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
