/*
 * seccomp: which system calls a process of ours may make, through libseccomp. The lists of names
 * are sandbox_lists.c's; here is what is limited by arguments. Called by the daemon when it serves,
 * by the spawner, by a worker before its program is executed, and by a plugin's open.
 */
#include "base/sandbox_private.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <linux/sched.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Builds one filter. The first thing that goes wrong is kept. */
struct filter {
	scmp_filter_ctx ctx;
	uint32_t forbid; /* what happens to a forbidden call */
	int failure;     /* 0, or a negative errno */
};

/* The kernel looks at the lower half of a register that holds an int, and a filter at all of it. */
#define INT_BITS 0xffffffffu
#define THREAD_FLAGS ((uint64_t)CLONE_THREAD)

/* Sockets of other families only show how large the kernel is. */
static const int families[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
#define FAMILY_COUNT (sizeof(families) / sizeof(families[0]))

/* Numbers of system calls are the same on all machines from the first on; those up to the other are
 * not given to any yet, or were after libseccomp was made. */
#define NUMBERS_FIRST 424
#define NUMBERS_END 512

static bool
is_asked_to(const char *what)
{
#ifdef LEASED_FAILPOINTS
	const char *value = getenv("LEASED_TEST_SANDBOX");

	return (value != NULL && strcmp(value, what) == 0);
#else
	(void)what;
	return (false);
#endif
}

static uint32_t
forbidding(void)
{
	return (is_asked_to("log") ? SCMP_ACT_LOG : SCMP_ACT_KILL_PROCESS);
}

/* A call that a list of what is allowed does not have: a library that was updated tries a new one
 * and takes the old one when it hears that there is none. */
static uint32_t
missing(void)
{
	return (
	    is_asked_to("strict") || is_asked_to("log") ? forbidding() : SCMP_ACT_ERRNO(ENOSYS));
}

static void
add_number(struct filter *filter, uint32_t action, int number, unsigned count,
    const struct scmp_arg_cmp *compare)
{
	if (filter->failure != 0)
		return;
	filter->failure = seccomp_rule_add_array(filter->ctx, action, number, count, compare);
	/* It is what happens anyway, or an earlier rule has said of the whole call what happens. */
	if (filter->failure == -EACCES || filter->failure == -EEXIST)
		filter->failure = 0;
}

static void
add(struct filter *filter, uint32_t action, const char *name, unsigned count,
    const struct scmp_arg_cmp *compare)
{
	int number = seccomp_syscall_resolve_name(name);

	if (number != __NR_SCMP_ERROR)
		add_number(filter, action, number, count, compare);
}

static void
add_all(struct filter *filter, uint32_t action, const char *const *names)
{
	for (; *names != NULL; names++)
		add(filter, action, *names, 0, NULL);
}

static void
allow_if(struct filter *filter, const char *name, struct scmp_arg_cmp compare)
{
	add(filter, SCMP_ACT_ALLOW, name, 1, &compare);
}

static void
refuse_if(struct filter *filter, unsigned error, const char *name, struct scmp_arg_cmp compare)
{
	add(filter, SCMP_ACT_ERRNO(error), name, 1, &compare);
}

/* ---- what is refused by an argument, in calls that everybody makes ---- */

/*
 * Each comparison is a rule of its own, of one argument: libseccomp goes on with no other rule of
 * the call once the first of two arguments was the right one.
 */

/* Signals that come by a descriptor to whom its owner names, and typing into a terminal. */
static void
refuse_commands(struct filter *filter)
{
	static const unsigned commands[] = {F_SETOWN, F_SETOWN_EX, F_SETSIG};
	static const unsigned requests[] = {FIOSETOWN, SIOCSPGRP, TIOCSTI, TIOCLINUX};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		refuse_if(
		    filter, EPERM, "fcntl", SCMP_A1(SCMP_CMP_MASKED_EQ, INT_BITS, commands[i]));
		refuse_if(
		    filter, EPERM, "fcntl64", SCMP_A1(SCMP_CMP_MASKED_EQ, INT_BITS, commands[i]));
	}
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		refuse_if(
		    filter, EPERM, "ioctl", SCMP_A1(SCMP_CMP_MASKED_EQ, INT_BITS, requests[i]));
}

/* Limits and priorities of another process, which its user may change without a right: no processor
 * time, or no file, is as good as a signal. */
static void
refuse_others(struct filter *filter)
{
	static const char *const by_pid[] = {"prlimit64", "sched_setaffinity", "sched_setattr",
	    "sched_setparam", "sched_setscheduler"};

	for (size_t i = 0; i < sizeof(by_pid) / sizeof(by_pid[0]); i++)
		refuse_if(filter, EPERM, by_pid[i], SCMP_A0(SCMP_CMP_NE, 0, 0));
	refuse_if(filter, EPERM, "setpriority", SCMP_A0(SCMP_CMP_NE, PRIO_PROCESS, 0));
	refuse_if(filter, EPERM, "setpriority", SCMP_A1(SCMP_CMP_NE, 0, 0));
	refuse_if(filter, EPERM, "ioprio_set", SCMP_A0(SCMP_CMP_NE, IOPRIO_WHO_PROCESS, 0));
	refuse_if(filter, EPERM, "ioprio_set", SCMP_A1(SCMP_CMP_NE, 0, 0));
}

/*
 * Landlock's ports are those of TCP when it connects: a protocol that speaks with the same servers
 * (MPTCP), and a connection that is made by sending, are not among what it looks at.
 */
static void
refuse_ways_round_ports(struct filter *filter)
{
	refuse_if(filter, EPROTONOSUPPORT, "socket", SCMP_A2(SCMP_CMP_GT, IPPROTO_UDP, 0));
	for (unsigned protocol = 1; protocol < IPPROTO_UDP; protocol++)
		if (protocol != IPPROTO_TCP)
			refuse_if(
			    filter, EPROTONOSUPPORT, "socket", SCMP_A2(SCMP_CMP_EQ, protocol, 0));
	refuse_if(
	    filter, EOPNOTSUPP, "sendto", SCMP_A3(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN));
	refuse_if(
	    filter, EOPNOTSUPP, "sendmsg", SCMP_A2(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN));
	refuse_if(filter, EOPNOTSUPP, "sendmmsg",
	    SCMP_A3(SCMP_CMP_MASKED_EQ, MSG_FASTOPEN, MSG_FASTOPEN));
}

/* ---- what both kinds of lists say ---- */

/* A thread may be started; clone3 hides its flags where no filter can see them, and the C library
 * takes clone when it is told that there is no clone3. */
static void
forbid_processes(struct filter *filter)
{
	add_all(filter, filter->forbid, sandbox_starting);
	add(filter, filter->forbid, "clone", 1, &SCMP_A0(SCMP_CMP_MASKED_EQ, THREAD_FLAGS, 0));
}

static void
forbid_families(struct filter *filter)
{
	const struct scmp_arg_cmp high[] = {SCMP_A0(SCMP_CMP_GT, AF_NETLINK, 0)};

	add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", 1, high);
	for (int family = 0; family <= AF_NETLINK; family++) {
		const struct scmp_arg_cmp same[] = {SCMP_A0(SCMP_CMP_EQ, (unsigned)family, 0)};
		bool ours = false;

		for (size_t i = 0; i < FAMILY_COUNT; i++)
			ours |= families[i] == family;
		if (!ours)
			add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", 1, same);
	}
}

static void
forbid_execution(struct filter *filter)
{
	add(filter, filter->forbid, "execve", 0, NULL);
	add(filter, filter->forbid, "execveat", 0, NULL);
}

/* ---- lists of what is forbidden ---- */

/* What the kernel has learned since libseccomp was made does not stand in a list of what is
 * forbidden: it is not there, which programs take. */
static void
refuse_unknown(struct filter *filter)
{
	char *name;

	for (int number = NUMBERS_FIRST; number < NUMBERS_END; number++) {
		name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, number);
		if (name == NULL)
			add_number(filter, SCMP_ACT_ERRNO(ENOSYS), number, 0, NULL);
		free(name);
	}
}

/* The one program that is about to be executed, by its descriptor, which closes with that. What
 * else could be opened and put under its number is Landlock's to say. */
static void
forbid_other_programs(struct filter *filter, int program_fd)
{
	const struct scmp_arg_cmp other_fd[] = {SCMP_A0(SCMP_CMP_NE, (unsigned)program_fd, 0)};
	const struct scmp_arg_cmp by_path[] = {SCMP_A4(SCMP_CMP_NE, AT_EMPTY_PATH, 0)};

	add(filter, filter->forbid, "execve", 0, NULL);
	add(filter, filter->forbid, "execveat", 1, other_fd);
	add(filter, filter->forbid, "execveat", 1, by_path);
}

static void
forbid_signals_but(struct filter *filter, pid_t self)
{
	static const char *const names[] = {"kill", "tkill", "tgkill"};
	const struct scmp_arg_cmp other[] = {SCMP_A0(SCMP_CMP_NE, (uint32_t)self, 0)};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		add(filter, filter->forbid, names[i], 1, other);
}

static void
forbid_signal(struct filter *filter, const char *name, pid_t to)
{
	const struct scmp_arg_cmp same[] = {SCMP_A0(SCMP_CMP_MASKED_EQ, INT_BITS, (uint32_t)to)};

	add(filter, filter->forbid, name, 1, same);
}

static void
forbid_signals_to(struct filter *filter, pid_t pid)
{
	pid_t group;

	if (pid <= 0)
		return;
	forbid_signal(filter, "kill", pid);
	forbid_signal(filter, "tgkill", pid);
	if ((group = getpgid(pid)) > 0)
		forbid_signal(filter, "kill", -group);
}

/* An interpreter starts programs: they stay in its namespaces, and signal none but each other. */
static void
forbid_to_script(struct filter *filter, const struct sandbox_calls *calls)
{
	static const unsigned long namespaces[] = {CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC,
	    CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET, CLONE_NEWCGROUP};

	for (size_t i = 0; i < sizeof(namespaces) / sizeof(namespaces[0]); i++)
		refuse_if(filter, EPERM, "clone",
		    SCMP_A0(SCMP_CMP_MASKED_EQ, namespaces[i], namespaces[i]));
	add(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);
	forbid_signals_to(filter, calls->spawner);
	forbid_signals_to(filter, calls->daemon);
	forbid_signal(filter, "kill", -1);
	add(filter, SCMP_ACT_ERRNO(EPERM), "tkill", 0, NULL); /* names a thread of anybody's */
}

static void
fill_forbidden(struct filter *filter, const struct sandbox_calls *calls)
{
	add_all(filter, filter->forbid, sandbox_never);
	refuse_unknown(filter);
	forbid_families(filter);
	refuse_ways_round_ports(filter);
	refuse_commands(filter);
	refuse_others(filter);
	if (calls->role == SANDBOX_SPAWNER)
		return;
	add_all(filter, filter->forbid, sandbox_never_worker);
	add_all(filter, SCMP_ACT_ERRNO(EPERM), sandbox_refused_worker);
	if (calls->role == SANDBOX_SCRIPT) {
		forbid_to_script(filter, calls);
		return;
	}
	forbid_processes(filter);
	add(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);
	forbid_other_programs(filter, calls->program_fd);
	forbid_signals_but(filter, getpid());
}

/* ---- lists of what is allowed ---- */

/* No page that is made executable: what was loaded stays what it is. A library that would be loaded
 * later is not found. */
static void
allow_memory(struct filter *filter)
{
	static const char *const names[] = {"mmap", "mmap2", "mprotect", "pkey_mprotect"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		add(filter, SCMP_ACT_ALLOW, names[i], 1,
		    &SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
		add(filter, SCMP_ACT_ERRNO(EACCES), names[i], 1,
		    &SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
	}
}

static void
allow_threads(struct filter *filter)
{
	allow_if(filter, "clone", SCMP_A0(SCMP_CMP_MASKED_EQ, THREAD_FLAGS, THREAD_FLAGS));
	add(filter, SCMP_ACT_ERRNO(ENOSYS), "clone3", 0, NULL);
}

static void
allow_families(struct filter *filter)
{
	for (size_t i = 0; i < FAMILY_COUNT; i++)
		allow_if(filter, "socket", SCMP_A0(SCMP_CMP_EQ, (unsigned)families[i], 0));
	allow_if(filter, "socketpair", SCMP_A0(SCMP_CMP_EQ, AF_UNIX, 0));
}

static void
allow_signals(struct filter *filter, pid_t pid)
{
	static const char *const names[] = {"kill", "tkill", "tgkill"};

	for (size_t i = 0; pid > 0 && i < sizeof(names) / sizeof(names[0]); i++)
		allow_if(filter, names[i], SCMP_A0(SCMP_CMP_EQ, (uint32_t)pid, 0));
}

/* Names are asked for by UDP, and sorted by what NETLINK tells of this machine's addresses. Who
 * tries all the same hears that there is no such family, which the resolver takes. */
static void
forbid_sockets_of(struct filter *filter, const struct sandbox_calls *calls)
{
	const struct scmp_arg_cmp unix_family[] = {SCMP_A0(SCMP_CMP_MASKED_EQ, INT_BITS, AF_UNIX)};
	const struct scmp_arg_cmp netlink[] = {SCMP_A0(SCMP_CMP_MASKED_EQ, INT_BITS, AF_NETLINK)};
	const struct scmp_arg_cmp datagrams[] = {
	    SCMP_A0(SCMP_CMP_NE, AF_UNIX, 0), SCMP_A1(SCMP_CMP_MASKED_EQ, 0xf, SOCK_DGRAM)};

	if (calls->no_unix)
		add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", 1, unix_family);
	if (calls->no_names) {
		add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", 1, netlink);
		add(filter, SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket", 2, datagrams);
	}
}

static void
fill_allowed(struct filter *filter, const struct sandbox_calls *calls)
{
	add_all(filter, SCMP_ACT_ALLOW, sandbox_common);
	allow_memory(filter);
	allow_threads(filter);
	allow_families(filter);
	allow_signals(filter, getpid());
	if (calls->role == SANDBOX_DAEMON) {
		add_all(filter, SCMP_ACT_ALLOW, sandbox_daemon);
		allow_signals(filter, calls->spawner);
	} else {
		add_all(filter, SCMP_ACT_ALLOW, sandbox_plugin);
		add_all(filter, filter->forbid, sandbox_never_worker);
	}
	/* All else is missing; but what only an attacker asks for ends the process. */
	add_all(filter, filter->forbid, sandbox_never);
	forbid_processes(filter);
	forbid_execution(filter);
	forbid_families(filter);
}

/* Beside what the daemon is allowed; workers have this from the spawner. */
static void
fill_refused(struct filter *filter, const struct sandbox_calls *calls)
{
	(void)calls;
	refuse_commands(filter);
	refuse_others(filter);
}

/* ---- the filter ---- */

static int
load(struct filter *filter, bool all_threads)
{
	int r = filter->failure;

	/* 2: a tree instead of a chain, since every call of ours goes through it. */
	if (r == 0 && (r = seccomp_attr_set(filter->ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2)) == 0 &&
	    (r = seccomp_attr_set(filter->ctx, SCMP_FLTATR_ACT_BADARCH, filter->forbid)) == 0 &&
	    (r = seccomp_attr_set(filter->ctx, SCMP_FLTATR_CTL_TSYNC, all_threads)) == 0)
		r = seccomp_load(filter->ctx);
	return (r);
}

/* One filter, or two: what a list of what is allowed leaves open is closed by a second one, since
 * one filter cannot allow a call and refuse it by its arguments. */
static int
apply(const struct sandbox_calls *calls, uint32_t otherwise,
    void (*fill)(struct filter *, const struct sandbox_calls *))
{
	struct filter filter = {.forbid = forbidding()};
	int r;

	if ((filter.ctx = seccomp_init(otherwise)) == NULL)
		return (-ENOMEM);
	fill(&filter, calls);
	r = load(&filter, calls->role == SANDBOX_DAEMON || calls->role == SANDBOX_PLUGIN);
	seccomp_release(filter.ctx);
	return (r);
}

int
sandbox_limit_calls(const struct sandbox_calls *calls, struct leased_err *err)
{
	bool is_allowed = calls->role == SANDBOX_DAEMON || calls->role == SANDBOX_PLUGIN;
	int r = 0;

	if (sandbox_is_off())
		return (0);
	if (calls->role == SANDBOX_PLUGIN && (calls->no_names || calls->no_unix))
		r = apply(calls, SCMP_ACT_ALLOW, forbid_sockets_of);
	else if (calls->role == SANDBOX_DAEMON)
		r = apply(calls, SCMP_ACT_ALLOW, fill_refused);
	if (r == 0)
		r = is_allowed ? apply(calls, missing(), fill_allowed)
			       : apply(calls, SCMP_ACT_ALLOW, fill_forbidden);
	if (r != 0)
		return (leased_err_set(
		    err, LEASED_EBUG, "cannot limit system calls: %s", strerror(-r)));
	return (0);
}
