/*
 * The spawner: a process without key, socket or thread that starts workers, ends them and says when
 * they are gone. Forked first thing by main (plugin_spawner_start); host.c is its only client. When
 * the daemon's end of the socket closes it kills every worker and ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/harden.h"
#include "base/log.h"
#include "plugin/confine.h"
#include "plugin/packet.h"
#include "plugin/plugin.h"
#include "plugin/spawner.h"

#define CHILDREN_MAX 512

struct child {
	char id[SPAWNER_ID_SIZE];
	pid_t pid; /* 0: this place is free */
};

struct spawner {
	int socket_fd, signal_fd, dir_fd;
	const char *dir;
	pid_t daemon;
	struct child children[CHILDREN_MAX];
};

/* Its group, and itself: it may have left that. It is not reaped yet, so that nobody else is meant.
 */
static void
end_worker(pid_t pid)
{
	(void)kill(-pid, SIGKILL);
	(void)kill(pid, SIGKILL);
}

static _Noreturn void
end_spawner(struct spawner *spawner)
{
	for (unsigned i = 0; i < CHILDREN_MAX; i++)
		if (spawner->children[i].pid != 0)
			end_worker(spawner->children[i].pid);
	while (waitpid(-1, NULL, 0) > 0 || errno == EINTR)
		;
	_exit(0);
}

/* Blocks while the daemon is behind: the spawner has nothing better to do. */
static void
tell(struct spawner *spawner, struct packet *packet)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (packet->object == NULL || plugin_packet_send(spawner->socket_fd, packet, &err) != 0)
		end_spawner(spawner);
	plugin_packet_clear(packet);
}

static struct child *
find_child(struct spawner *spawner, const char *id)
{
	for (unsigned i = 0; i < CHILDREN_MAX; i++)
		if (spawner->children[i].pid != 0 && strcmp(spawner->children[i].id, id) == 0)
			return (&spawner->children[i]);
	return (NULL);
}

static struct child *
free_child(struct spawner *spawner)
{
	for (unsigned i = 0; i < CHILDREN_MAX; i++)
		if (spawner->children[i].pid == 0)
			return (&spawner->children[i]);
	return (NULL);
}

static void
on_start(struct spawner *spawner, const char *id, const json_t *message)
{
	const char *name = json_string_value(json_object_get(message, "program"));
	struct spawner_program program = {.dir_fd = spawner->dir_fd,
	    .dir = spawner->dir,
	    .name = name != NULL ? name : "",
	    .spawner = getpid(),
	    .daemon = spawner->daemon,
	    .starts_programs = json_is_true(json_object_get(message, "starts_programs")),
	    .files = json_object_get(message, "files"),
	    .guarded = json_object_get(message, "guarded")};
	struct child *child = free_child(spawner);
	struct leased_err err = LEASED_ERR_INIT;
	struct packet packet = PACKET_INIT;
	int r;

	if (child == NULL)
		r = leased_err_set(&err, LEASED_ELIMIT, "%d workers run already", CHILDREN_MAX);
	else
		r = plugin_spawner_exec(
		    &program, &child->pid, &packet.fds[0], &packet.fds[1], &err);
	if (r != 0) {
		packet.object =
		    json_pack("{s:s,s:s,s:s}", "op", "failed", "id", id, "text", err.text);
	} else {
		snprintf(child->id, sizeof(child->id), "%s", id);
		packet.object = json_pack(
		    "{s:s,s:s,s:I}", "op", "started", "id", id, "pid", (json_int_t)child->pid);
	}
	tell(spawner, &packet);
}

static void
on_message(struct spawner *spawner)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct packet packet = PACKET_INIT;
	const struct child *child;
	const char *op, *id;

	if (plugin_packet_receive(spawner->socket_fd, &packet, &err) != 0 ||
	    plugin_packet_decode(&packet, &err) != 0)
		end_spawner(spawner);
	op = json_string_value(json_object_get(packet.object, "op"));
	id = json_string_value(json_object_get(packet.object, "id"));
	if (op == NULL || id == NULL || strlen(id) >= SPAWNER_ID_SIZE)
		end_spawner(spawner); /* a daemon that is no longer ours to serve */
	if (strcmp(op, "start") == 0)
		on_start(spawner, id, packet.object);
	else if (strcmp(op, "kill") == 0 && (child = find_child(spawner, id)) != NULL)
		end_worker(child->pid);
	plugin_packet_clear(&packet);
}

/* The group first, while the pid still stands for it; then the reaping; then the word. */
static void
on_exit_of(struct spawner *spawner, const siginfo_t *info)
{
	struct packet packet = PACKET_INIT;
	char how[64];

	(void)kill(-info->si_pid, SIGKILL);
	(void)waitpid(info->si_pid, NULL, 0);
	if (info->si_code == CLD_EXITED)
		snprintf(how, sizeof(how), "exited with status %d", info->si_status);
	else
		snprintf(how, sizeof(how), "was ended by signal %d (%s)", info->si_status,
		    strsignal(info->si_status));
	for (unsigned i = 0; i < CHILDREN_MAX; i++) {
		struct child *child = &spawner->children[i];

		if (child->pid != info->si_pid)
			continue;
		packet.object = json_pack(
		    "{s:s,s:s,s:s}", "op", "exited", "id", child->id, "how", (const char *)how);
		child->pid = 0;
		tell(spawner, &packet);
	}
}

static void
on_sigchld(struct spawner *spawner)
{
	struct signalfd_siginfo drained;
	siginfo_t info;

	while (read(spawner->signal_fd, &drained, sizeof(drained)) > 0)
		;
	for (;;) {
		info = (siginfo_t){0};
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0)
			return;
		on_exit_of(spawner, &info);
	}
}

static int
setup(struct spawner *spawner, struct leased_err *err)
{
	int keep[2] = {spawner->dir_fd, spawner->socket_fd};
	const int ignored[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction ignore = {.sa_handler = SIG_IGN};
	sigset_t chld;
	int r;

	if (keep[0] > keep[1]) {
		keep[0] = spawner->socket_fd;
		keep[1] = spawner->dir_fd;
	}
	if ((r = harden_close_from(3, keep, 2, err)) != 0 || (r = harden_process(err)) != 0)
		return (r);
	/* A signal to the terminal's or the unit's whole group is the daemon's to answer: calls
	 * under way get their time. Workers inherit this. */
	(void)setsid();
	for (unsigned i = 0; i < sizeof(ignored) / sizeof(ignored[0]); i++)
		(void)sigaction(ignored[i], &ignore, NULL);
	(void)prctl(PR_SET_NAME, "leased-spawner", 0, 0, 0);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	sigemptyset(&chld);
	sigaddset(&chld, SIGCHLD);
	if (sigprocmask(SIG_SETMASK, &chld, NULL) != 0 ||
	    (spawner->signal_fd = signalfd(-1, &chld, SFD_CLOEXEC | SFD_NONBLOCK)) < 0)
		return (leased_err_set(
		    err, LEASED_EUNAVAIL, "cannot watch for exits: %s", strerror(errno)));
	return (plugin_confine_spawner(err));
}

void
plugin_spawner_run(int socket_fd, int dir_fd, const char *dir)
{
	static struct spawner spawner; /* too large for a stack frame */
	struct packet hello = PACKET_INIT;
	struct leased_err err = LEASED_ERR_INIT;
	struct pollfd polls[2];

	spawner.socket_fd = socket_fd;
	spawner.dir_fd = dir_fd;
	spawner.dir = dir;
	spawner.daemon = getppid();
	if (setup(&spawner, &err) != 0)
		log_fatal("the spawner cannot start: %s", err.text);
	hello.object = json_pack("{s:s,s:I}", "op", "hello", "pid", (json_int_t)getpid());
	tell(&spawner, &hello);
	polls[0] = (struct pollfd){.fd = socket_fd, .events = POLLIN};
	polls[1] = (struct pollfd){.fd = spawner.signal_fd, .events = POLLIN};
	for (;;) {
		if (poll(polls, 2, -1) < 0) {
			if (errno != EINTR)
				end_spawner(&spawner);
			continue;
		}
		if (polls[1].revents != 0)
			on_sigchld(&spawner);
		if (polls[0].revents != 0)
			on_message(&spawner);
	}
}

/* Runs in the daemon: everything that can be wrong with the directory is said before the fork. */
int
plugin_spawner_start(const char *plugin_dir, int *ret_fd, pid_t *ret_pid, struct leased_err *err)
{
	static char dir[PATH_MAX]; /* the child's copy outlives this call */
	int sockets[2] = {-1, -1}, dir_fd = -1, r = 0;
	pid_t pid;

	if (realpath(plugin_dir, dir) == NULL ||
	    (dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0) {
		r = leased_err_set(
		    err, LEASED_EINVAL, "plugin_dir %s: %s", plugin_dir, strerror(errno));
		goto out;
	}
	if ((r = plugin_spawner_check_owner(dir_fd, dir, true, err)) != 0)
		goto out;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets) != 0 ||
	    (pid = fork()) < 0) {
		r = leased_err_set(
		    err, LEASED_EUNAVAIL, "cannot start the spawner: %s", strerror(errno));
		goto out;
	}
	if (pid == 0) {
		close(sockets[0]);
		plugin_spawner_run(sockets[1], dir_fd, dir);
	}
	*ret_fd = sockets[0];
	*ret_pid = pid;
	sockets[0] = -1; /* handed over */
out:
	if (dir_fd >= 0)
		close(dir_fd);
	for (unsigned i = 0; i < 2; i++)
		if (sockets[i] >= 0)
			close(sockets[i]);
	return (r);
}
