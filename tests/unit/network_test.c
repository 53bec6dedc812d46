/* What changes in the machine's network is told, in a network namespace of the test's own. */
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/runtime/network.h"
#include "tests/unit/loop.h"

#define LIMIT 20000		/* ms, of a test that fails */

struct waiting {
	struct network_watch	 watch;
	struct network_watch	*other;		/* gives that up when it is told */
	int			 told;
};

static void
on_change(void *arg)
{
	struct waiting *w = arg;

	w->told++;
	if (w->other)
		network_unwatch(w->other);
}

static bool
is_told(void *arg)
{
	return ((struct waiting *)arg)->told;
}

/* A namespace has a loopback interface of its own. */
static void
interface_up(bool up)
{
	int fd = socket(AF_INET, SOCK_DGRAM, 0);
	struct ifreq req = { .ifr_flags = up ? IFF_UP : 0 };

	assert_true(fd >= 0);
	strcpy(req.ifr_name, "lo");
	assert_int_equal(ioctl(fd, SIOCSIFFLAGS, &req), 0);
	close(fd);
}

/* Who may not have one skips the tests: their state is NULL. */
static int
enter_namespace(void **state)
{
	static char inside;

	if (!unshare(CLONE_NEWNET) || !unshare(CLONE_NEWUSER | CLONE_NEWNET))
		*state = &inside;
	return 0;
}

static void
changes_are_told(void **state)
{
	struct waiting first = { 0 }, second = { 0 };
	struct loop *l;

	if (!*state)
		skip();
	l = loop_new();
	first.watch = (struct network_watch){ .changed = on_change, .arg = &first };
	second.watch = (struct network_watch){ .changed = on_change, .arg = &second };
	network_watch(&first.watch, l->worker);
	network_watch(&second.watch, l->worker);
	network_watch(&second.watch, l->worker);	/* does already */
	loop_turn(l, 5);
	assert_int_equal(first.told + second.told, 0);
	interface_up(true);
	assert_true(loop_until(l, is_told, &second, LIMIT));
	assert_int_equal(first.told, 1);		/* of all that belongs together */
	assert_int_equal(second.told, 1);

	first.told = second.told = 0;
	first.other = &second.watch;
	interface_up(false);
	assert_true(loop_until(l, is_told, &first, LIMIT));
	assert_int_equal(second.told, 0);
	first.other = NULL;
	first.told = 0;
	interface_up(true);
	assert_true(loop_until(l, is_told, &first, LIMIT));
	assert_int_equal(second.told, 0);

	first.other = &first.watch;			/* the last one goes while it is told */
	first.told = 0;
	interface_up(false);
	assert_true(loop_until(l, is_told, &first, LIMIT));
	network_unwatch(&first.watch);			/* has */
	loop_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(changes_are_told),
	};

	return cmocka_run_group_tests(tests, enter_namespace, NULL);
}
