/*
 * The daemon as main.c puts it together: one struct that holds every part, made in one order and
 * ended in the other.
 */
#ifndef LEASED_DAEMON_H
#define LEASED_DAEMON_H

#include <event2/event.h>
#include <stdbool.h>
#include <sys/types.h>

#include <leased/error.h>

#include "api/api.h"
#include "audit/audit.h"
#include "auth/auth.h"
#include "config/config.h"
#include "engine/engine.h"
#include "http/http.h"
#include "lease/lease.h"
#include "plugin/plugin.h"
#include "seal/seal.h"
#include "store/store.h"

#define MAIN_TCP_DEFAULT "127.0.0.1:8200"
#define MAIN_PATH_MAX 1024
#define MAIN_STOP_MS 10000 /* what calls in flight have when the daemon is told to stop */
#define MAIN_FAIL_MS 2000  /* .. and when it cannot do anything for them any more */

/* What was asked for on the command line. */
enum main_command { MAIN_SERVE, MAIN_FSCK, MAIN_BACKUP, MAIN_RESTORE };
struct main_options {
	enum main_command command;
	bool repair, force, key_check, despite_damage; /* of fsck; of backup; of restore */
	const char *file;                              /* of backup and restore */
	bool dev, check, audit_verify;
	const char *dev_dir;     /* NULL: a fresh one */
	const char *dev_token;   /* NULL: random */
	const char *dev_address; /* of plain HTTP */
	const char *config;      /* a file */
	const char *plugin_dir;  /* NULL: beside the binary */
	const char *dev_audit;   /* NULL: no audit */
	char *const *files;      /* to be verified */
	int file_count;
};

struct main_daemon {
	struct event_base *loop;
	struct wclock *clock;
	struct id_source *ids;
	int spawner_fd;
	pid_t spawner;
	struct seal_root *root;
	struct store *store;
	struct audit *audit; /* NULL: none is wanted */
	struct plugin_host *host;
	struct engines *engines;
	struct leases *leases;
	struct leases_timer *timer;
	struct auth *auth;
	struct api *api;
	struct http_server *server;
	struct event *signals[8]; /* the last: of children, where leased is the first process */
	struct event *watchdog;
	const char *config_path; /* NULL: --dev */
	struct config *config;   /* of the start; NULL: --dev */
	struct main_reload *reload;
	bool serving, stopping;
	bool failed; /* it cannot do its work any more: the exit status says so */
};

/* options.c: does not return from a mistake, --help or --version. */
void main_options_parse(int argc, char **argv, struct main_options *ret_options);

/* start.c */
struct main_place {
	const char *data_dir, *root_key;
	bool dev;
	int64_t default_ttl_s, max_ttl_s;
	const struct http_limits *limits;
	const char *audit_path; /* NULL: no audit */
};
/* The spawner, before there is anything that it could inherit. */
int main_start_spawner(
    struct main_daemon *daemon, const char *plugin_dir, struct leased_err *err) LEASED_MUST_CHECK;
/* Everything up to a server that listens nowhere yet. */
int main_start_broker(struct main_daemon *daemon, const struct main_place *place,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Signals, the watchdog, and READY. */
int main_start_serving(struct main_daemon *daemon, struct leased_err *err) LEASED_MUST_CHECK;
/* Lines for the service manager. */
void main_tell_manager(const char *state);
void main_stop(struct main_daemon *daemon); /* in any state */

/* orphans.c: *ret_event stays as it is where others reap. */
int main_orphans_watch(
    struct main_daemon *daemon, struct event **ret_event, struct leased_err *err) LEASED_MUST_CHECK;

/* dev.c: leased --dev. */
int main_dev_start(struct main_daemon *daemon, const struct main_options *options,
    struct leased_err *err) LEASED_MUST_CHECK;

/* audit_verify.c: leased audit verify; the exit status. */
int main_audit_verify(const struct main_options *options);

#endif
