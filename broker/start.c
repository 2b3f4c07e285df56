/*
 * Puts the daemon together and takes it apart again. The order matters twice: the spawner is forked
 * before any key, socket or thread exists; and what may still call back is ended before what it
 * would call.
 */
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "sandbox.h"
#include "serve.h"

#include "base/log.h"
#include "base/notify.h"
#include "engine/name.h"
#include "store/place.h"

#define STOP_SAY_TURNS 500 /* of 10 ms: when a slow disk is named while stopping */

/* ---- the spawner ---- */

/* PREFIX/bin/leased has its plugins in PREFIX/libexec/leased/plugins. */
static int
plugin_dir_default(char *ret_dir, size_t size, struct leased_err *err)
{
	char binary[PATH_MAX];
	ssize_t len = readlink("/proc/self/exe", binary, sizeof(binary) - 1);
	char *slash;

	if (len < 0)
		return (leased_err_set(
		    err, LEASED_EIO, "cannot read /proc/self/exe: %s", strerror(errno)));
	binary[len] = '\0';
	for (int i = 0; i < 2; i++)
		if ((slash = strrchr(binary, '/')) != NULL)
			*slash = '\0';
	if ((size_t)snprintf(ret_dir, size, "%s/libexec/leased/plugins", binary) >= size)
		return (leased_err_set(err, LEASED_ETOOBIG, "the path of the plugins is too long"));
	return (0);
}

int
main_start_spawner(struct main_daemon *daemon, const char *plugin_dir, struct leased_err *err)
{
	char dir[MAIN_PATH_MAX];
	int r;

	if (plugin_dir != NULL) {
		if (strlcpy(dir, plugin_dir, sizeof(dir)) >= sizeof(dir))
			return (leased_err_set(err, LEASED_ETOOBIG, "-plugin-dir is too long"));
	} else if ((r = plugin_dir_default(dir, sizeof(dir), err)) != 0) {
		return (r);
	}
	return (plugin_spawner_start(dir, &daemon->spawner_fd, &daemon->spawner, err));
}

/* ---- stopping ---- */

void
main_tell_manager(const char *state)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (notify_send(state, &err) != 0)
		log_warn("the service manager could not be told", LOG_ERR(&err));
}

static void
on_served(void *arg)
{
	struct main_daemon *daemon = arg;

	(void)event_base_loopbreak(daemon->loop);
}

static void
stop_serving(struct main_daemon *daemon, unsigned within_ms)
{
	if (daemon->stopping)
		return;
	daemon->stopping = true;
	main_tell_manager("STOPPING=1");
	engines_quiet(daemon->engines);
	http_server_stop(daemon->server, within_ms, on_served, daemon);
}

/*
 * A new spawner would be forked from a process full of keys, and without one no lease is ever ended
 * again. So the daemon goes, and says by its status that whoever started it is to do so once more.
 */
static void
on_spawner_lost(void *arg)
{
	struct main_daemon *daemon = arg;

	daemon->failed = true;
	if (!daemon->serving)
		return; /* main_start_serving() looks */
	log_error("stopping with status 1, to be started again: without the spawner nothing can be "
		  "minted and no lease ended; what is overdue ends at the next start");
	stop_serving(daemon, MAIN_FAIL_MS);
}

/* ---- the parts ---- */

static struct plugin_port *
on_port_for(void *arg, int64_t connection)
{
	struct main_daemon *daemon = arg;

	return (engines_port_for(daemon->engines, connection));
}

static const char *
on_mount_path(void *arg, int64_t mount)
{
	struct main_daemon *daemon = arg;

	return (engines_mount_path(daemon->engines, mount));
}

static int64_t
on_mount_of(void *arg, int64_t connection)
{
	struct main_daemon *daemon = arg;

	return (engines_mount_of(daemon->engines, connection));
}

static const char *
on_server_of(void *arg, int64_t connection, const char *recorded)
{
	struct main_daemon *daemon = arg;

	return (engines_server_of(daemon->engines, connection, recorded));
}

static int
on_absent_why(void *arg, int64_t connection, struct leased_err *err)
{
	struct main_daemon *daemon = arg;

	return (engines_absent_why(daemon->engines, connection, err));
}

static void
on_wake(void *arg)
{
	struct main_daemon *daemon = arg;

	if (daemon->timer != NULL)
		leases_timer_wake(daemon->timer);
}

/* Is there a store in dir, or was there, by the files that it makes? */
static bool
had_store(const char *dir)
{
	char path[MAIN_PATH_MAX + 32];
	struct stat status;

	(void)snprintf(path, sizeof(path), "%s/leased.db", dir);
	if (stat(path, &status) == 0 && status.st_size > 0)
		return (true);
	(void)snprintf(path, sizeof(path), "%s/reserve", dir);
	return (stat(path, &status) == 0);
}

static int
start_store(struct main_daemon *daemon, const struct main_place *place, struct leased_err *err)
{
	struct store_config config = {.dir = place->data_dir,
	    .loop = daemon->loop,
	    .clock = daemon->clock,
	    .ids = daemon->ids};
	bool there = had_store(place->data_dir), created = false;
	int r;

	/* No key is left behind by a start that the store's directory refuses. A new one beside an
	 * old store would open nothing, and stand in the right one's place. */
	if ((!there && (r = store_place_check(place->data_dir, err)) != 0) ||
	    (r = seal_root_open_file(place->root_key, !there, &daemon->root, &created, err)) != 0)
		return (r);
	if (created)
		log_info("a root key was made: without it the store cannot be read, and backups of "
			 "the store leave it out, so keep a copy elsewhere",
		    LOG_S("path", place->root_key));
	config.root = daemon->root;
	if ((r = store_open(&config, &daemon->store, err)) == 0 && !there && !created)
		log_warn("there is a root key but no store, so a new store begins: if there was "
			 "one, stop leased and put it back, or nobody ends the accounts it made",
		    LOG_S("data_dir", place->data_dir), LOG_S("root_key", place->root_key));
	return (r);
}

static int
start_audit(struct main_daemon *daemon, const struct main_place *place, struct leased_err *err)
{
	struct audit_config config = {.path = place->audit_path,
	    .loop = daemon->loop,
	    .store = daemon->store,
	    .clock = daemon->clock};

	return (place->audit_path != NULL ? audit_new(&config, &daemon->audit, err) : 0);
}

static int
start_leases(struct main_daemon *daemon, const struct main_place *place, struct leased_err *err)
{
	struct engines_config engines = {.loop = daemon->loop,
	    .store = daemon->store,
	    .host = daemon->host,
	    .clock = daemon->clock,
	    .ids = daemon->ids,
	    .default_ttl_s = place->default_ttl_s,
	    .max_ttl_s = place->max_ttl_s};
	struct leases_config leases = {.store = daemon->store,
	    .clock = daemon->clock,
	    .ids = daemon->ids,
	    .port_for = on_port_for,
	    .mount_path = on_mount_path,
	    .wake = on_wake,
	    .server_of = on_server_of,
	    .mount_of = on_mount_of,
	    .absent_why = on_absent_why,
	    .plain_ended = engine_lease_ended,
	    .arg = daemon};
	int r;

	if ((r = engines_new(&engines, &daemon->engines, err)) != 0)
		return (r);
	if ((r = leases_new(&leases, &daemon->leases, err)) != 0)
		return (r);
	if ((daemon->timer = leases_timer_start(daemon->loop, daemon->leases)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	engines_start(daemon->engines, daemon->leases);
	return (0);
}

static bool
on_is_worker(void *arg, pid_t pid)
{
	const struct main_daemon *daemon = arg;

	return (plugin_host_has_had(daemon->host, pid));
}

static unsigned
on_connections(void *arg)
{
	struct main_daemon *daemon = arg;

	return (daemon->server != NULL ? http_server_connection_count(daemon->server) : 0);
}

static int
start_api(struct main_daemon *daemon, const struct main_place *place, struct leased_err *err)
{
	struct auth_config auth = {.loop = daemon->loop,
	    .store = daemon->store,
	    .leases = daemon->leases,
	    .clock = daemon->clock,
	    .ids = daemon->ids,
	    .default_ttl_s = place->default_ttl_s,
	    .max_ttl_s = place->max_ttl_s,
	    .dev = place->dev,
	    .own_uid = geteuid()};
	struct api_config api = {.loop = daemon->loop,
	    .store = daemon->store,
	    .leases = daemon->leases,
	    .engines = daemon->engines,
	    .audit = daemon->audit,
	    .clock = daemon->clock,
	    .ids = daemon->ids,
	    .default_ttl_s = place->default_ttl_s,
	    .max_ttl_s = place->max_ttl_s,
	    .connections = on_connections,
	    .connections_arg = daemon};
	struct http_limits limits;
	int r;

	if ((r = auth_new(&auth, &daemon->auth, err)) != 0)
		return (r);
	api.auth = daemon->auth;
	if ((r = api_new(&api, &daemon->api, err)) != 0)
		return (r);
	limits = place->limits != NULL ? *place->limits : http_default_limits;
	http_limits_fit(&limits);
	daemon->server = http_server_new(daemon->loop, &limits, api_handle, daemon->api);
	if (daemon->server == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	http_server_refuse_workers(daemon->server, daemon->spawner, on_is_worker, daemon);
	return (0);
}

int
main_start_broker(
    struct main_daemon *daemon, const struct main_place *place, struct leased_err *err)
{
	int r;

	daemon->clock = wclock_system();
	daemon->ids = id_source_system();
	if ((daemon->loop = event_base_new()) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "the event loop cannot be made"));
	if ((r = start_store(daemon, place, err)) != 0 ||
	    (r = start_audit(daemon, place, err)) != 0)
		return (r);
	daemon->host =
	    plugin_host_new(daemon->loop, daemon->spawner_fd, daemon->clock, daemon->ids);
	if (daemon->host == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	daemon->spawner_fd = -1; /* the host's now */
	plugin_host_on_lost(daemon->host, on_spawner_lost, daemon);
	plugin_host_set_tag(daemon->host, store_tag(daemon->store));
	if ((r = main_sandbox_guard(daemon->host, place, err)) != 0 ||
	    (r = start_leases(daemon, place, err)) != 0)
		return (r);
	return (start_api(daemon, place, err));
}

/* ---- signals ---- */

static void
on_terminate(evutil_socket_t signal_number, short what, void *arg)
{
	struct main_daemon *daemon = arg;

	(void)what;
	if (daemon->stopping)
		return;
	log_info("stopping: calls in flight may end, leases stay", LOG_I("signal", signal_number),
	    LOG_I("in_flight", api_in_flight(daemon->api)));
	stop_serving(daemon, MAIN_STOP_MS);
}

static void
on_hangup(evutil_socket_t signal_number, short what, void *arg)
{
	(void)signal_number;
	(void)what;
	main_reload(arg);
}

static void
on_ignored(evutil_socket_t signal_number, short what, void *arg)
{
	(void)what;
	(void)arg;
	log_info("a signal is ignored", LOG_S("signal", strsignal((int)signal_number)));
}

static void
on_watchdog(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	(void)arg;
	main_tell_manager("WATCHDOG=1");
}

static int
start_watchdog(struct main_daemon *daemon, struct leased_err *err)
{
	long long us = notify_watchdog_us() / 2;
	struct timeval every = {us / 1000000, us % 1000000};

	if (us == 0)
		return (0);
	daemon->watchdog = event_new(daemon->loop, -1, EV_PERSIST, on_watchdog, NULL);
	if (daemon->watchdog == NULL || event_add(daemon->watchdog, &every) != 0)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

int
main_start_serving(struct main_daemon *daemon, struct leased_err *err)
{
	static const struct {
		int number;
		event_callback_fn callback;
	} rows[] = {{SIGTERM, on_terminate}, {SIGINT, on_terminate}, {SIGQUIT, on_terminate},
	    {SIGHUP, on_hangup},
	    /* What other daemons take for a word must not end it. */
	    {SIGUSR1, on_ignored}, {SIGUSR2, on_ignored}, {SIGALRM, on_ignored}};
	int r;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		daemon->signals[i] =
		    evsignal_new(daemon->loop, rows[i].number, rows[i].callback, daemon);
		if (daemon->signals[i] == NULL || event_add(daemon->signals[i], NULL) != 0)
			return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	if ((r = main_orphans_watch(daemon, &daemon->signals[7], err)) != 0 ||
	    (r = start_watchdog(daemon, err)) != 0 ||
	    (r = main_sandbox_calls(daemon->spawner, err)) != 0)
		return (r);
	if (daemon->failed)
		return (leased_err_set(
		    err, LEASED_EUNAVAIL, "the spawner ended while leased was starting"));
	daemon->serving = true;
	main_tell_manager("READY=1\nSTATUS=serving");
	return (0);
}

/* ---- the end ---- */

struct stop_op {
	struct store_op op; /* first */
	bool done;
};

static int
on_stop_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	(void)op;
	(void)txn;
	(void)err;
	return (0);
}

static void
on_stop_done(struct store_op *op, int result, const struct leased_err *err)
{
	(void)result;
	(void)err;
	((struct stop_op *)op)->done = true;
}

/*
 * What was handed to the writer before this is on disk, and told, when it is through. There is no
 * end to the waiting: whom the writer tells something later would be gone. Whoever kills us
 * meanwhile does no harm.
 */
static void
stop_drain(struct main_daemon *daemon)
{
	struct stop_op op = {.op = {.run = on_stop_run, .done = on_stop_done}};
	struct timeval turn = {0, 10000};

	if (daemon->store == NULL)
		return;
	store_submit(daemon->store, &op.op);
	for (int i = 1; !op.done; i++) {
		(void)event_base_loopexit(daemon->loop, &turn);
		(void)event_base_dispatch(daemon->loop);
		if (i % STOP_SAY_TURNS == 0)
			log_warn("stopping waits for the disk, which has not written what it was "
				 "given");
	}
}

void
main_stop(struct main_daemon *daemon)
{
	const struct timeval last_turn = {0, 1000};

	main_reload_stop(daemon->reload);
	/* Answers on their way are lost now, which lease/ must hear while it is there. */
	http_server_free(daemon->server);
	api_stop(daemon->api);
	stop_drain(daemon);
	leases_timer_stop(daemon->timer);
	daemon->timer = NULL;
	engines_stop(daemon->engines);
	plugin_host_mute(daemon->host); /* workers end after lease/ has */
	/* Calls in flight end with LEASED_ECANCELED; their requests are answered into the void. */
	leases_stop(daemon->leases);
	audit_stop(daemon->audit);
	/* Whoever still waits for the store hears from it while all whom that concerns are there:
	 * nothing is freed before. */
	store_stop(daemon->store);
	main_reload_free(daemon->reload);
	engines_free(daemon->engines);
	plugin_host_free(daemon->host);
	leases_free(daemon->leases);
	audit_free(daemon->audit);
	store_close(daemon->store);
	api_free(daemon->api);
	auth_free(daemon->auth);
	config_free(daemon->config);
	seal_root_free(daemon->root);
	for (size_t i = 0; i < sizeof(daemon->signals) / sizeof(daemon->signals[0]); i++)
		if (daemon->signals[i] != NULL)
			event_free(daemon->signals[i]);
	if (daemon->watchdog != NULL)
		event_free(daemon->watchdog);
	if (daemon->loop != NULL) {
		/* What was put off to the next turn is freed in it. */
		(void)event_base_loopexit(daemon->loop, &last_turn);
		(void)event_base_dispatch(daemon->loop);
		event_base_free(daemon->loop);
	}
	if (daemon->spawner_fd >= 0)
		(void)close(daemon->spawner_fd);
}
