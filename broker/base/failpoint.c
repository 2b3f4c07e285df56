/*
 * Failpoints of test builds: reads LEASED_FAILPOINT once, counts passes, and dies, stops, waits or
 * fails where it was told to. Empty in a release.
 *
 * A setting that cannot be understood ends the process: a crash test that tests nothing must not
 * pass.
 */
#include "base/failpoint.h"

#ifdef LEASED_FAILPOINTS

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

#define ARM_MAX 16

enum action { ACTION_KILL, ACTION_STOP, ACTION_SLEEP, ACTION_ERROR, ACTION_EXIT };

struct arm {
	enum failpoint_id id;
	enum action action;
	int argument; /* milliseconds, a leased_code or an exit status */
	unsigned long long pass;
};

static const char *const names[FAILPOINT_COUNT + 1] = {
#define FAILPOINT_NAME(name) #name,
#include "base/failpoint_names.def"
#undef FAILPOINT_NAME
    NULL,
};

/* Written by failpoint_setup() before any thread, read-only afterwards. */
static struct arm arms[ARM_MAX];
static unsigned arm_count;
static struct arm fail_next; /* argument 0: none */
static char *mark_dir;
static atomic_ullong passes[FAILPOINT_COUNT + 1];

const char *
failpoint_name(enum failpoint_id id)
{
	return (names[id]);
}

static enum failpoint_id
id_of(const char *name)
{
	int id;

	for (id = 0; id < (int)FAILPOINT_COUNT; id++) {
		if (strcmp(names[id], name) == 0)
			return ((enum failpoint_id)id);
	}
	log_fatal(
	    "LEASED_FAILPOINT: there is no failpoint %s; `leased --failpoints` lists them", name);
}

static unsigned long long
number_of(const char *text, unsigned long long max)
{
	unsigned long long number;
	char *end;

	if (text == NULL || *text < '0' || *text > '9')
		log_fatal("LEASED_FAILPOINT: a number is missing");
	number = strtoull(text, &end, 10);
	if (*end != '\0' || number > max)
		log_fatal("LEASED_FAILPOINT: %s is no number up to %llu", text, max);
	return (number);
}

static void
arm_set_action(struct arm *arm, const char *action, const char *argument)
{
	if (strcmp(action, "kill") == 0) {
		arm->action = ACTION_KILL;
	} else if (strcmp(action, "stop") == 0) {
		arm->action = ACTION_STOP;
		arm->argument = (int)number_of(argument, 3600000);
	} else if (strcmp(action, "sleep") == 0) {
		arm->action = ACTION_SLEEP;
		arm->argument = (int)number_of(argument, 3600000);
	} else if (strcmp(action, "exit") == 0) {
		arm->action = ACTION_EXIT;
		arm->argument = (int)number_of(argument, 255);
	} else if (strcmp(action, "error") == 0 && argument != NULL) {
		arm->action = ACTION_ERROR;
		arm->argument = leased_code_from_name(argument);
		if (arm->argument == LEASED_OK ||
		    strcmp(leased_code_name(arm->argument), argument) != 0)
			log_fatal("LEASED_FAILPOINT: %s is no error's name", argument);
	} else {
		log_fatal("LEASED_FAILPOINT: %s is no action: kill, stop:MS, sleep:MS, error:CODE, "
			  "exit:STATUS",
		    action);
	}
}

/* One "name=action[:argument][@n]"; takes the text apart in place. */
static void
arm_add(char *text)
{
	struct arm *arm = &arms[arm_count];
	char *action, *argument, *pass;

	if (arm_count == ARM_MAX)
		log_fatal("LEASED_FAILPOINT: more than %d failpoints", ARM_MAX);
	if ((action = strchr(text, '=')) == NULL)
		log_fatal("LEASED_FAILPOINT: %s has no '='", text);
	*action++ = '\0';
	arm->pass = 1;
	if ((pass = strchr(action, '@')) != NULL) {
		*pass++ = '\0';
		if ((arm->pass = number_of(pass, 1000000000)) == 0)
			log_fatal("LEASED_FAILPOINT: passes count from 1");
	}
	if ((argument = strchr(action, ':')) != NULL)
		*argument++ = '\0';
	arm->id = id_of(text);
	arm_set_action(arm, action, argument);
	arm_count++;
}

void
failpoint_setup(void)
{
	const char *value = getenv("LEASED_FAILPOINT"), *dir = getenv("LEASED_FAILPOINT_DIR");
	char *copy, *rest, *one;

	free(mark_dir);
	mark_dir = NULL;
	if (dir != NULL && (mark_dir = strdup(dir)) == NULL)
		log_fatal("out of memory");
	if (value == NULL || *value == '\0')
		return;
	if ((copy = strdup(value)) == NULL)
		log_fatal("out of memory");
	rest = copy;
	while ((one = strsep(&rest, ",")) != NULL)
		arm_add(one);
	free(copy);
}

static void
sleep_ms(int ms)
{
	struct timespec left = {ms / 1000, (long)(ms % 1000) * 1000000};

	while (nanosleep(&left, &left) != 0)
		;
}

/* Runs in a grandchild, so that nobody has to reap it, with no descriptor of ours: an open one
 * would keep locks and sockets alive. */
_Noreturn static void
continue_later(pid_t target, int ms)
{
	int i;

	closefrom(0);
	sleep_ms(ms);
	/* Again, in case the target took longer to stop than ms. */
	for (i = 0; i < 5; i++) {
		(void)kill(target, SIGCONT);
		sleep_ms(50);
	}
	_exit(0);
}

static void
stop_for(int ms)
{
	pid_t self = getpid(), child;

	if ((child = fork()) == -1)
		log_fatal("failpoint: cannot fork the helper that continues this process");
	if (child == 0) {
		if (fork() == 0)
			continue_later(self, ms);
		_exit(0);
	}
	(void)waitpid(child, NULL, 0);
	(void)kill(self, SIGSTOP);
}

/* A line more in DIR/NAME.WHAT. */
static void
mark(enum failpoint_id id, const char *what)
{
	char path[512];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s.%s", mark_dir, names[id], what);
	if ((fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600)) < 0)
		return;
	(void)dprintf(fd, "%d\n", (int)getpid());
	(void)close(fd);
}

/* Reads DIR/NAME.armed, which no other process looks at meanwhile; true: it is our turn to act. */
static bool
take_turn(int fd, const char *path, char *text, size_t size)
{
	struct stat status;
	unsigned long long pass;
	char *at;
	ssize_t len;

	if (flock(fd, LOCK_EX) != 0 || fstat(fd, &status) != 0 || status.st_nlink == 0 ||
	    (len = pread(fd, text, size - 1, 0)) <= 0)
		return (false);
	text[len] = '\0';
	text[strcspn(text, "\n")] = '\0';
	if ((at = strchr(text, '@')) != NULL)
		*at++ = '\0';
	pass = at != NULL ? number_of(at, 1000000000) : 1;
	if (pass > 1) {
		len = snprintf(at, size - (size_t)(at - text), "%llu", pass - 1);
		at[-1] = '@';
		(void)!ftruncate(fd, 0);
		(void)!pwrite(fd, text, strlen(text), 0);
		return (false);
	}
	return (unlink(path) == 0);
}

static bool
armed_by_file(enum failpoint_id id, struct arm *ret_arm)
{
	char path[512], text[64], *argument;
	bool ours;
	int fd;

	(void)snprintf(path, sizeof(path), "%s/%s.armed", mark_dir, names[id]);
	if ((fd = open(path, O_RDWR | O_CLOEXEC)) < 0)
		return (false);
	ours = take_turn(fd, path, text, sizeof(text));
	(void)close(fd);
	if (!ours)
		return (false);
	if ((argument = strchr(text, ':')) != NULL)
		*argument++ = '\0';
	ret_arm->id = id;
	arm_set_action(ret_arm, text, argument);
	mark(id, "acted");
	return (true);
}

static int
arm_act(const struct arm *arm, struct leased_err *err)
{
	switch (arm->action) {
	case ACTION_KILL:
		for (;;)
			(void)kill(getpid(), SIGKILL);
	case ACTION_STOP:
		stop_for(arm->argument);
		return (0);
	case ACTION_SLEEP:
		sleep_ms(arm->argument);
		return (0);
	case ACTION_ERROR:
		if (err == NULL)
			log_fatal("failpoint %s takes no error", names[arm->id]);
		return (leased_err_set(err, arm->argument, "failpoint %s", names[arm->id]));
	case ACTION_EXIT:
		_exit(arm->argument);
	}
	return (0);
}

void
failpoint_fail_next(enum failpoint_id id, int code)
{
	fail_next = (struct arm){.id = id, .action = ACTION_ERROR, .argument = code};
}

int
failpoint_hit(enum failpoint_id id, struct leased_err *err)
{
	struct arm by_file;
	unsigned long long pass;
	unsigned i;

	if (fail_next.argument != 0 && fail_next.id == id) {
		by_file = fail_next;
		fail_next.argument = 0;
		return (arm_act(&by_file, err));
	}
	if (arm_count == 0 && mark_dir == NULL)
		return (0);
	pass = atomic_fetch_add(&passes[id], 1) + 1;
	if (mark_dir != NULL) {
		mark(id, "passed");
		if (armed_by_file(id, &by_file))
			return (arm_act(&by_file, err));
	}
	for (i = 0; i < arm_count; i++) {
		if (arms[i].id == id && arms[i].pass == pass)
			return (arm_act(&arms[i], err));
	}
	return (0);
}

#endif
