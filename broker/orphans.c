/*
 * As the first process of a container leased is given the orphans of everybody there, such as of a
 * shell that somebody started beside it, and nobody else can reap them. Its own child, the spawner,
 * is the host's to wait for; what workers leave behind, the spawner's. Called by start.c.
 */
#include <event2/event.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon.h"

static void
on_child(evutil_socket_t signal_number, short what, void *arg)
{
	struct main_daemon *daemon = arg;
	siginfo_t info;

	(void)signal_number;
	(void)what;
	for (;;) {
		info = (siginfo_t){0};
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
			return;
		/* It stands before others for as long as it is not waited for: until the stop that
		 * its end leads to. */
		if (info.si_pid == daemon->spawner)
			return;
		(void)waitpid(info.si_pid, NULL, 0);
	}
}

int
main_orphans_watch(struct main_daemon *daemon, struct event **ret_event, struct leased_err *err)
{
	struct event *event;

	if (getpid() != 1)
		return (0);
	event = evsignal_new(daemon->loop, SIGCHLD, on_child, daemon);
	if (event == NULL || event_add(event, NULL) != 0) {
		if (event != NULL)
			event_free(event);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	*ret_event = event;
	return (0);
}
