/*
 * The spawner's process: what it starts, what it refuses to start, what a worker finds around it,
 * and that nothing outlives the daemon.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "plugin/packet.h"
#include "plugin/plugin.h"

struct spawned {
	char dir[64];
	int fd;
	pid_t pid;
	struct packet last;
};

static int
setup(void **state)
{
	struct spawned *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	snprintf(s->dir, sizeof(s->dir), "/tmp/leased-spawner-XXXXXX");
	assert_non_null(mkdtemp(s->dir));
	s->fd = -1;
	s->last = (struct packet)PACKET_INIT;
	*state = s;
	return (0);
}

static int
remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return (remove(path));
}

static int
teardown(void **state)
{
	struct spawned *s = *state;

	plugin_packet_clear(&s->last);
	if (s->fd >= 0)
		close(s->fd);
	if (s->pid != 0)
		assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
	assert_int_equal(nftw(s->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	free(s);
	return (0);
}

static void
put(struct spawned *s, const char *name, const char *text, mode_t mode)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", s->dir, name);
	assert_non_null(file = fopen(path, "w"));
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static const char *
field(struct spawned *s, const char *name)
{
	const char *text = json_string_value(json_object_get(s->last.object, name));

	return (text != NULL ? text : "");
}

static void
receive(struct spawned *s)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct pollfd ready = {.fd = s->fd, .events = POLLIN};

	plugin_packet_clear(&s->last);
	assert_int_equal(poll(&ready, 1, 10000), 1);
	assert_int_equal(plugin_packet_receive(s->fd, &s->last, &err), 0);
	assert_int_equal(plugin_packet_decode(&s->last, &err), 0);
}

static void
start_spawner(struct spawned *s)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (plugin_spawner_start(s->dir, &s->fd, &s->pid, &err) != 0)
		fail_msg("%s", err.text);
	receive(s);
	assert_string_equal(field(s, "op"), "hello");
	assert_int_equal(json_integer_value(json_object_get(s->last.object, "pid")), s->pid);
}

static void
ask(struct spawned *s, const char *op, const char *program)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct packet packet = PACKET_INIT;

	packet.object = json_pack("{s:s,s:s,s:s}", "op", op, "id", "w-1", "program", program);
	assert_int_equal(plugin_packet_send(s->fd, &packet, &err), 0);
	plugin_packet_clear(&packet);
	receive(s);
}

static void
is_refused(struct spawned *s, const char *program, const char *reason)
{
	ask(s, "start", program);
	assert_string_equal(field(s, "op"), "failed");
	if (strstr(field(s, "text"), reason) == NULL)
		fail_msg("expected \"%s\" in \"%s\"", reason, field(s, "text"));
}

static void
a_directory_that_others_can_write_is_refused(void **state)
{
	struct spawned *s = *state;
	struct leased_err err = LEASED_ERR_INIT;

	for (mode_t mode = S_IWOTH; mode <= S_IWGRP; mode <<= 3) {
		assert_int_equal(chmod(s->dir, 0700 | mode), 0);
		assert_int_equal(
		    plugin_spawner_start(s->dir, &s->fd, &s->pid, &err), LEASED_EINVAL);
		assert_non_null(strstr(err.text, "chmod go-w"));
	}
	if (geteuid() == 0) {
		assert_int_equal(chmod(s->dir, 0700), 0);
		assert_int_equal(chown(s->dir, 12345, 0), 0);
		assert_int_equal(
		    plugin_spawner_start(s->dir, &s->fd, &s->pid, &err), LEASED_EINVAL);
		assert_non_null(strstr(err.text, "12345"));
	}
	assert_int_equal(
	    plugin_spawner_start("/nonexistent/leased", &s->fd, &s->pid, &err), LEASED_EINVAL);
}

static void
a_program_that_is_not_ours_alone_is_refused(void **state)
{
	struct spawned *s = *state;
	char path[128];

	put(s, "loose", "#!/bin/sh\n", 0757);
	put(s, "setuid", "#!/bin/sh\n", 04755);
	put(s, "flat", "#!/bin/sh\n", 0644);
	put(s, "junk", "no program", 0755);
	snprintf(path, sizeof(path), "%s/link", s->dir);
	assert_int_equal(symlink("/bin/true", path), 0);
	snprintf(path, sizeof(path), "%s/folder", s->dir);
	assert_int_equal(mkdir(path, 0755), 0);
	start_spawner(s);
	is_refused(s, "loose", "written by others");
	is_refused(s, "setuid", "setuid");
	is_refused(s, "flat", "Permission denied");
	is_refused(s, "junk", "Exec format error");
	is_refused(s, "link", "cannot open");
	is_refused(s, "folder", "no regular file");
	is_refused(s, "absent", "No such file");
	is_refused(s, "../../bin/true", "cannot be a plugin's name");
	is_refused(s, "", "cannot be a plugin's name");
	is_refused(s, "..", "cannot be a plugin's name");
}

/* What comes through fd until its end. */
static void
read_all(int fd, char *text, size_t size)
{
	size_t len = 0;
	ssize_t got;

	while (len + 1 < size && (got = read(fd, text + len, size - 1 - len)) > 0)
		len += (size_t)got;
	text[len] = '\0';
}

static void
a_worker_finds_four_descriptors_and_a_fixed_environment(void **state)
{
	struct spawned *s = *state;
	char text[4096];
	int inherited;

	put(s, "look",
	    "#!/bin/sh\necho args $# $0\nenv\n"
	    "for n in 0 1 2 3; do [ -e /proc/$$/fd/$n ] && echo has $n; done\n"
	    "for n in 4 5 6 7 8 9 11 12 13 14 15 16 17 18 19 20; do\n"
	    "[ -e /proc/$$/fd/$n ] && echo more $n; done; exit 0\n",
	    0755);
	assert_int_equal(setenv("CANARY", "secret-of-the-daemon", 1), 0);
	assert_true((inherited = open("/dev/null", O_RDONLY)) >= 0); /* without O_CLOEXEC */
	start_spawner(s);
	ask(s, "start", "look");
	assert_string_equal(field(s, "op"), "started");
	read_all(s->last.fds[1], text, sizeof(text));
	assert_non_null(strstr(text, "args 0 "));
	assert_null(strstr(text, "CANARY"));
	assert_non_null(strstr(text, "LANG=C"));
	assert_non_null(strstr(text, "PATH=/usr/bin:/bin"));
	assert_non_null(strstr(text, "has 0\nhas 1\nhas 2\nhas 3\n"));
	assert_null(strstr(text, "more")); /* 10 is the shell's own, of its script */
	receive(s);
	assert_string_equal(field(s, "op"), "exited");
	assert_string_equal(field(s, "how"), "exited with status 0");
	close(inherited);
}

static void
a_worker_that_is_killed_on_request_is_reported(void **state)
{
	struct spawned *s = *state;

	put(s, "sleep", "#!/bin/sh\nexec sleep 100\n", 0755);
	start_spawner(s);
	ask(s, "start", "sleep");
	assert_string_equal(field(s, "op"), "started");
	ask(s, "kill", "");
	assert_string_equal(field(s, "op"), "exited");
	assert_string_equal(field(s, "id"), "w-1");
	assert_non_null(strstr(field(s, "how"), "signal 9"));
}

static void
signals_that_stop_the_daemon_do_not_stop_the_spawner(void **state)
{
	struct spawned *s = *state;

	put(s, "sleep", "#!/bin/sh\nexec sleep 100\n", 0755);
	start_spawner(s);
	assert_int_equal(kill(s->pid, SIGTERM), 0);
	assert_int_equal(kill(s->pid, SIGINT), 0);
	assert_int_equal(kill(s->pid, SIGHUP), 0);
	ask(s, "start", "sleep");
	assert_string_equal(field(s, "op"), "started");
}

/* True once nobody has the other end of fd any more. */
static bool
ended_within_s(int fd, int seconds)
{
	struct pollfd end = {.fd = fd, .events = POLLIN};

	return (poll(&end, 1, seconds * 1000) == 1 && (end.revents & POLLHUP) != 0);
}

static void
no_worker_outlives_the_daemon(void **state)
{
	struct spawned *s = *state;
	int stream;

	put(s, "sleep", "#!/bin/sh\nsleep 100 & sleep 100\n", 0755);
	start_spawner(s);
	ask(s, "start", "sleep");
	stream = dup(s->last.fds[0]);
	assert_false(ended_within_s(stream, 0));
	close(s->fd); /* as when the daemon is killed */
	s->fd = -1;
	assert_true(ended_within_s(stream, 10));
	assert_int_equal(waitpid(s->pid, NULL, 0), s->pid);
	s->pid = 0;
	close(stream);
}

static void
no_worker_outlives_the_spawner(void **state)
{
	struct spawned *s = *state;
	int stream;

	put(s, "sleep", "#!/bin/sh\nexec sleep 100\n", 0755);
	start_spawner(s);
	ask(s, "start", "sleep");
	stream = dup(s->last.fds[0]);
	assert_int_equal(kill(s->pid, SIGKILL), 0);
	assert_true(ended_within_s(stream, 10));
	close(stream);
}

static void
what_a_worker_leaves_behind_dies_with_it(void **state)
{
	struct spawned *s = *state;
	int stream;

	put(s, "leave", "#!/bin/sh\nsleep 100 &\nread line <&3\n", 0755);
	start_spawner(s);
	ask(s, "start", "leave");
	assert_string_equal(field(s, "op"), "started");
	stream = dup(s->last.fds[0]);
	assert_int_equal(write(stream, "go\n", 3), 3);
	receive(s);
	assert_string_equal(field(s, "op"), "exited");
	assert_true(ended_within_s(stream, 2));
	close(stream);
}

#define WITH_SPAWNER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_SPAWNER(a_directory_that_others_can_write_is_refused),
	    WITH_SPAWNER(a_program_that_is_not_ours_alone_is_refused),
	    WITH_SPAWNER(a_worker_finds_four_descriptors_and_a_fixed_environment),
	    WITH_SPAWNER(a_worker_that_is_killed_on_request_is_reported),
	    WITH_SPAWNER(signals_that_stop_the_daemon_do_not_stop_the_spawner),
	    WITH_SPAWNER(no_worker_outlives_the_daemon),
	    WITH_SPAWNER(no_worker_outlives_the_spawner),
	    WITH_SPAWNER(what_a_worker_leaves_behind_dies_with_it),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
