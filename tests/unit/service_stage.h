/*
 * Services from a configuration's text, without a daemon and without a listening socket: listeners
 * of type "pair" accept what the test gives them. All built-in plugins are there.
 */
#ifndef ADIT_TEST_SERVICE_STAGE_H
#define ADIT_TEST_SERVICE_STAGE_H

#include "core/config/model.h"
#include "core/service/generation.h"
#include "tests/unit/loop.h"

struct listen_book;

struct service_stage {
	struct loop		*loop;
	struct registry		*registry;
	struct listen_book	*sockets;
	struct worker_group	*workers;	/* three threads; not the loop's worker */
	struct generation	*now;		/* or NULL; freed at the end */
	struct config_errors	*errs;		/* why the last build failed */
};

/* cmocka fixtures: *state is the stage. Teardown fails where something is left of a service. */
int service_stage_setup(void **state);
int service_stage_setup_fakes(void **state);	/* with those of tests/unit/fakes.h */
int service_stage_teardown(void **state);

/* A configuration, which must be right, from its text; one reference. */
struct config *service_stage_config(struct service_stage *t, const char *text);

/*
 * Makes and opens what text says, taking over what it can of t->now, which stays as it is. NULL
 * with t->errs filled.
 */
struct generation *service_stage_build(struct service_stage *t, const char *text);

/* The same in t->now's place, which is freed. Fails the test where it cannot be made. */
void service_stage_load(struct service_stage *t, const char *text);

/* The service of that name in t->now. */
struct service *service_stage_find(const struct service_stage *t, const char *name);

/* Gives c to the service's listener, which must be a "pair". */
void service_stage_accept(struct service_stage *t, const char *name, struct adit_conn *c);

/* Ends all that goes on in t->now. */
void service_stage_kill(struct service_stage *t);

#endif
