#include "core/conn/pipes.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/runtime/worker.h"

#define SPARE_PIPES 16

struct pipes {
	struct pipe	*spare;
	unsigned	 n_spare, in_use;
	bool		 allowed;
};

static void
pipe_free(struct pipe *p)
{
	close(p->in);
	close(p->out);
	free(p);
}

static void
pipes_free(void *arg)
{
	struct pipes *pipes = arg;

	while (pipes->spare) {
		struct pipe *p = pipes->spare;

		pipes->spare = p->next;
		pipe_free(p);
	}
	free(pipes);
}

static bool
sigpipe_is_harmless(void)
{
	struct sigaction action;
	sigset_t blocked;

	if (sigaction(SIGPIPE, NULL, &action) == 0 && !(action.sa_flags & SA_SIGINFO) &&
	    action.sa_handler == SIG_IGN)
		return true;
	return pthread_sigmask(SIG_BLOCK, NULL, &blocked) == 0 && sigismember(&blocked, SIGPIPE);
}

static struct pipes *
pipes_of(struct adit_worker *w)
{
	void **slot = worker_slot(w, SLOT_PIPES, pipes_free);
	struct pipes *pipes = *slot;

	if (pipes)
		return pipes;
	pipes = calloc(1, sizeof(*pipes));
	if (!pipes)
		return NULL;
	pipes->allowed = sigpipe_is_harmless();
	*slot = pipes;
	return pipes;
}

static struct pipe *
pipe_new(void)
{
	struct pipe *p = calloc(1, sizeof(*p));
	int fds[2];

	if (!p)
		return NULL;
	if (pipe2(fds, O_CLOEXEC | O_NONBLOCK) < 0) {
		free(p);
		return NULL;
	}
	p->out = fds[0];
	p->in = fds[1];
	/* Refused where a user's pipes hold too much already: it works with less, too. */
	(void)fcntl(p->in, F_SETPIPE_SZ, PIPE_BYTES);
	return p;
}

struct pipe *
pipe_get(struct adit_worker *w)
{
	struct pipes *pipes = pipes_of(w);
	struct pipe *p;

	if (!pipes || !pipes->allowed || pipes->in_use >= PIPES_MAX)
		return NULL;
	p = pipes->spare;
	if (p) {
		pipes->spare = p->next;
		pipes->n_spare--;
	} else {
		p = pipe_new();
	}
	if (p)
		pipes->in_use++;
	return p;
}

void
pipe_put(struct adit_worker *w, struct pipe *p, bool empty)
{
	struct pipes *pipes;

	if (!p)
		return;
	pipes = pipes_of(w);
	pipes->in_use--;
	if (!empty || pipes->n_spare >= SPARE_PIPES) {
		pipe_free(p);
		return;
	}
	p->next = pipes->spare;
	pipes->spare = p;
	pipes->n_spare++;
}
