/*
 * SIGHUP: leased.hcl is read again. A thread reads the files, which may lie on a disk that hangs,
 * and makes all of it beside what is in force (reading.c), so that a mistake anywhere changes
 * nothing; then the audit's record is written; then, on the loop, everything is put in place at
 * once. What cannot change while leased serves is named. Called by start.c.
 */
#include <errno.h>
#include <event2/event.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "serve.h"

#include "base/log.h"
#include "metrics/metrics.h"

#define NAMES_SIZE 512
#define STOP_WAIT_S 1 /* for a file that is being read when leased stops */

METRICS_COUNTER(reloads, "leased_config_reloads", "", "Reads of the configuration file on SIGHUP.");
METRICS_GAUGE(refused, "leased_config_refused", "",
    "1 while the configuration file was refused when it was read last.");

/* Behind one READY, ahead of the next. */
static void
tell_begin(void)
{
	struct timespec now = {0};
	char state[80];

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	(void)snprintf(state, sizeof(state), "RELOADING=1\nMONOTONIC_USEC=%lld",
	    (long long)now.tv_sec * 1000000 + now.tv_nsec / 1000);
	main_tell_manager(state);
}

/* ---- what cannot change ---- */

static bool
same_text(const char *a, const char *b)
{
	return (a == NULL || b == NULL ? a == b : strcmp(a, b) == 0);
}

static void
name(char names[NAMES_SIZE], const char *what)
{
	(void)strlcat(names, names[0] != '\0' ? ", " : "", NAMES_SIZE);
	(void)strlcat(names, what, NAMES_SIZE);
}

static const char *
place_of(const struct config_listener *listener)
{
	return (listener->kind == CONFIG_LISTENER_UNIX ? listener->path : listener->address);
}

static const struct config_listener *
find_listener(const struct config *config, const struct config_listener *like)
{
	for (size_t i = 0; i < config->listener_count; i++)
		if (config->listeners[i].kind == like->kind &&
		    same_text(place_of(&config->listeners[i]), place_of(like)))
			return (&config->listeners[i]);
	return (NULL);
}

static bool
same_door(const struct config_listener *a, const struct config_listener *b)
{
	return (b != NULL && a->mode == b->mode && same_text(a->group, b->group) &&
		a->unauthenticated_metrics == b->unauthenticated_metrics &&
		(a->tls_cert_file != NULL) == (b->tls_cert_file != NULL));
}

static void
name_listeners(char names[NAMES_SIZE], const struct config *a, const struct config *b, bool twice)
{
	char text[160];

	for (size_t i = 0; i < a->listener_count; i++) {
		const struct config_listener *listener = &a->listeners[i];
		const struct config_listener *other = find_listener(b, listener);

		if (same_door(listener, other) || (other != NULL && twice))
			continue;
		(void)snprintf(text, sizeof(text), "listener %s", place_of(listener));
		name(names, text);
	}
}

static bool
same_plugins(const struct config *a, const struct config *b)
{
	bool same = a->plugin_count == b->plugin_count;

	for (size_t i = 0; same && i < a->plugin_count; i++)
		same = same_text(a->plugins[i].name, b->plugins[i].name) &&
		       same_text(a->plugins[i].program, b->plugins[i].program) &&
		       a->plugins[i].pool == b->plugins[i].pool;
	return (same);
}

/* Against what leased was started with: that is still so, however often the file was read. */
static void
warn_of_the_rest(const struct config *started, const struct config *config)
{
	char names[NAMES_SIZE] = "";

	if (!same_text(started->data_dir, config->data_dir))
		name(names, "data_dir");
	if (!same_text(started->seal_path, config->seal_path))
		name(names, "seal");
	if (!same_text(started->plugin_dir, config->plugin_dir))
		name(names, "plugin_dir");
	if (!same_plugins(started, config))
		name(names, "plugin");
	if (!same_text(started->audit_path, config->audit_path))
		name(names, "audit");
	if (started->default_lease_ttl_s != config->default_lease_ttl_s)
		name(names, "default_lease_ttl");
	if (started->max_lease_ttl_s != config->max_lease_ttl_s)
		name(names, "max_lease_ttl");
	if (memcmp(&started->limits, &config->limits, sizeof(config->limits)) != 0)
		name(names, "limits");
	name_listeners(names, config, started, false);
	name_listeners(names, started, config, true);
	if (names[0] != '\0')
		log_warn("part of the configuration file holds from the next start on only",
		    LOG_S("changed", names));
}

/* ---- what can ---- */

struct record_op {
	struct store_op op; /* first */
	struct main_reload *reload;
	const struct config *config;
	const char *cause;
	int result;
	bool done;
	struct leased_err err;
};

struct main_reload {
	struct main_daemon *daemon;
	enum { RELOAD_IDLE, RELOAD_READING, RELOAD_RECORDING } state;
	bool again;   /* a signal came meanwhile */
	bool stopped; /* what comes back is thrown away */
	struct main_reading reading;
	pthread_t thread;
	struct event *finished; /* finished_fd is readable: the thread is through */
	int finished_fd;
	struct record_op record;
};

static void start_reading(struct main_reload *reload);

/* From here on nothing fails. */
static void
apply(struct main_reload *reload)
{
	struct main_daemon *daemon = reload->daemon;
	struct main_reading *reading = &reload->reading;
	const struct config *config = reading->config;

	log_setup((enum log_level)config->log_level, (enum log_format)config->log_format);
	auth_declared_apply(daemon->auth, reading->declared);
	reading->declared = NULL;
	for (size_t i = 0; i < config->listener_count; i++) {
		const struct config_listener *listener = &config->listeners[i];
		struct main_pair *pair = NULL;

		if (listener->tls_cert_file != NULL &&
		    http_server_tls(daemon->server, listener->address) != NULL)
			pair = main_pair_find(&reading->pairs, listener->address);
		if (pair == NULL || pair->tls == NULL)
			continue;
		main_listen_say(listener, pair->tls);
		(void)http_server_replace_tls(daemon->server, listener->address, pair->tls);
		pair->tls = NULL;
	}
	main_listen_count(daemon, config);
	log_info("the configuration file was read again", LOG_S("file", daemon->config_path),
	    LOG_I("policies", config->policy_count), LOG_I("roles", config->role_count),
	    LOG_S("sha256", config->sha256));
	warn_of_the_rest(daemon->config, config);
}

/* The end of one reading; err NULL: it is put in place. */
static void
finish(struct main_reload *reload, const struct leased_err *err)
{
	bool again = reload->again;

	if (err == NULL) {
		apply(reload);
		metrics_set(&refused, 0);
		main_tell_manager("READY=1\nSTATUS=serving");
	} else {
		metrics_set(&refused, 1);
		log_error("the configuration file was read again, and nothing of it holds: "
			  "everything goes on as before. `leased check` says whether it is mended",
		    LOG_S("file", reload->daemon->config_path), LOG_ERR(err));
		main_tell_manager("READY=1\nSTATUS=serving; the last reload was refused, see the "
				  "log");
	}
	main_reading_clear(&reload->reading);
	reload->state = RELOAD_IDLE;
	reload->again = false;
	if (again)
		start_reading(reload);
}

/* Nobody is to be told of it any more. */
static void
drop(struct main_reload *reload)
{
	main_reading_clear(&reload->reading);
	reload->state = RELOAD_IDLE;
}

/* ---- its record ---- */

static int
on_record_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct record_op *own = (struct record_op *)op;
	const struct config *config = own->config;
	struct audit_configuration record = {.cause = own->cause,
	    .file = own->reload->daemon->config_path,
	    .sha256 = config->sha256,
	    .policies = (int64_t)config->policy_count,
	    .roles = (int64_t)config->role_count,
	    .listeners = (int64_t)config->listener_count};

	for (size_t i = 0; i < config->listener_count; i++)
		record.certificates += config->listeners[i].tls_cert_file != NULL;
	return (audit_put_configuration(own->reload->daemon->audit, txn, &record, err));
}

static void
on_recorded(struct store_op *op, int result, const struct leased_err *err)
{
	struct record_op *own = (struct record_op *)op;
	struct main_reload *reload = own->reload;

	own->done = true;
	own->result = result;
	if (result != 0)
		(void)leased_err_set(
		    &own->err, result, "it could not be recorded for the audit: %s", err->text);
	if (reload->state != RELOAD_RECORDING)
		return; /* that of the start */
	if (reload->stopped)
		drop(reload);
	else
		finish(reload, result == 0 ? NULL : &own->err);
}

static void
record(struct main_reload *reload, const struct config *config, const char *cause)
{
	reload->record = (struct record_op){.op = {.run = on_record_run, .done = on_recorded},
	    .reload = reload,
	    .config = config,
	    .cause = cause};
	store_submit(reload->daemon->store, &reload->record.op);
}

/* ---- reading it ---- */

static void *
thread_main(void *arg)
{
	struct main_reload *reload = arg;
	uint64_t one = 1;

	(void)pthread_setname_np(pthread_self(), "reload");
	main_reading_run(&reload->reading);
	if (write(reload->finished_fd, &one, sizeof(one)) < 0)
		log_fatal("cannot wake the event loop: %s", strerror(errno));
	return (NULL);
}

static void
on_finished(evutil_socket_t fd, short what, void *arg)
{
	struct main_reload *reload = arg;
	struct main_daemon *daemon = reload->daemon;
	uint64_t count;

	(void)what;
	if (read(fd, &count, sizeof(count)) < 0 || reload->state != RELOAD_READING)
		return;
	(void)pthread_join(reload->thread, NULL);
	if (reload->stopped || daemon->stopping) {
		drop(reload);
		return;
	}
	main_say_problems(daemon->config_path, &reload->reading.problems, true);
	reload->state = RELOAD_RECORDING;
	if (reload->reading.result != 0 ||
	    main_serve_guard(daemon, reload->reading.config, &reload->reading.err) != 0)
		finish(reload, &reload->reading.err);
	else if (daemon->audit == NULL)
		finish(reload, NULL);
	else
		record(reload, reload->reading.config, "reload");
}

/* What clients are shown, for the thread: by its dates a pair in use is not judged. */
static int
take_shown(struct main_reload *reload, struct leased_err *err)
{
	const struct config *started = reload->daemon->config;

	for (size_t i = 0; i < started->listener_count; i++) {
		const struct config_listener *listener = &started->listeners[i];
		struct http_tls *tls = NULL;

		if (listener->tls_cert_file != NULL)
			tls = http_server_tls(reload->daemon->server, listener->address);
		if (tls != NULL && main_pair_add(&reload->reading.shown, listener->address,
				       http_tls_acquire(tls)) != 0)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	return (0);
}

static int
start_thread(struct main_reload *reload, struct leased_err *err)
{
	sigset_t all, before;
	int failed;

	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&reload->thread, NULL, thread_main, reload);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed != 0)
		return (leased_err_set(
		    err, LEASED_ENOMEM, "cannot start a thread: %s", strerror(failed)));
	return (0);
}

static void
start_reading(struct main_reload *reload)
{
	struct leased_err err = LEASED_ERR_INIT;

	tell_begin();
	metrics_add(&reloads, 1);
	reload->reading = (struct main_reading){.path = reload->daemon->config_path};
	reload->state = RELOAD_READING;
	if (take_shown(reload, &err) != 0 || start_thread(reload, &err) != 0)
		finish(reload, &err);
}

void
main_reload(struct main_daemon *daemon)
{
	struct main_reload *reload = daemon->reload;

	if (daemon->stopping || !daemon->serving)
		return;
	/* Whatever the file says now: whoever rotates the audit counts on it. */
	audit_reopen(daemon->audit);
	if (reload == NULL)
		log_info("a signal is ignored: --dev has no configuration file to read again",
		    LOG_S("signal", strsignal(SIGHUP)));
	else if (reload->state == RELOAD_IDLE)
		start_reading(reload);
	else {
		reload->again = true;
		log_info("the configuration file is still being read: it is read once more behind "
			 "that",
		    LOG_S("file", daemon->config_path));
	}
}

/* ---- start and end ---- */

static int
start_events(struct main_reload *reload, struct leased_err *err)
{
	reload->finished_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (reload->finished_fd < 0)
		return (leased_err_set(
		    err, LEASED_ENOMEM, "cannot make an eventfd: %s", strerror(errno)));
	reload->finished = event_new(
	    reload->daemon->loop, reload->finished_fd, EV_READ | EV_PERSIST, on_finished, reload);
	if (reload->finished == NULL || event_add(reload->finished, NULL) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

int
main_reload_start(struct main_daemon *daemon, struct leased_err *err)
{
	struct main_reload *reload = calloc(1, sizeof(*reload));
	int r;

	if (reload == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	reload->daemon = daemon;
	reload->finished_fd = -1;
	daemon->reload = reload;
	if ((r = start_events(reload, err)) != 0 || daemon->audit == NULL)
		return (r);
	record(reload, daemon->config, "start");
	while (!reload->record.done)
		if (event_base_loop(daemon->loop, EVLOOP_ONCE) != 0)
			log_fatal("the event loop ended while leased was starting");
	if (reload->record.result != 0)
		log_error("the configuration file of this start is not on record with the audit",
		    LOG_ERR(&reload->record.err));
	return (0);
}

void
main_reload_stop(struct main_reload *reload)
{
	struct timespec until = {0};

	if (reload == NULL)
		return;
	reload->stopped = true;
	if (reload->state != RELOAD_READING)
		return;
	(void)clock_gettime(CLOCK_MONOTONIC, &until);
	until.tv_sec += STOP_WAIT_S;
	if (pthread_clockjoin_np(reload->thread, NULL, CLOCK_MONOTONIC, &until) == 0)
		drop(reload);
	else
		log_warn("stopping while the configuration file is still being read: its disk "
			 "hangs",
		    LOG_S("file", reload->daemon->config_path));
}

void
main_reload_free(struct main_reload *reload)
{
	if (reload == NULL)
		return;
	if (reload->finished != NULL)
		event_free(reload->finished);
	if (reload->state == RELOAD_READING)
		return; /* the thread still has it */
	if (reload->finished_fd >= 0)
		(void)close(reload->finished_fd);
	main_reading_clear(&reload->reading);
	free(reload);
}
