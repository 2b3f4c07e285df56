/*
 * Plugins seen from the daemon: the spawner, the catalog, a pool of workers for each configured
 * connection, and calls with deadlines (DESIGN.md).
 *
 * lease/ and engine/ talk to a struct plugin_port, which is one configured connection. Behind it is
 * a pool of worker processes, or a fake in tests and the simulator.
 */
#ifndef PLUGIN_PLUGIN_H
#define PLUGIN_PLUGIN_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <leased/error.h>

#include "base/id.h"
#include "base/wclock.h"

struct event_base;

enum plugin_op {
	PLUGIN_OP_DESCRIBE,
	PLUGIN_OP_OPEN,
	PLUGIN_OP_CHECK,
	PLUGIN_OP_MINT,
	PLUGIN_OP_RENEW,
	PLUGIN_OP_DISARM,
	PLUGIN_OP_REMOVE,
	PLUGIN_OP_SET_PASSWORD,
	PLUGIN_OP_INVENTORY,
	PLUGIN_OP_PING,
	PLUGIN_OP_REAP,
	PLUGIN_OP_GENERATE,
	PLUGIN_OP_SIGN,
	PLUGIN_OP_IMPORT,
	PLUGIN_OP_INSPECT,
	PLUGIN_OP_CERTIFY,
	PLUGIN_OP_KRL,
	PLUGIN_OP_PUSH,
};
#define PLUGIN_OP_COUNT (PLUGIN_OP_PUSH + 1)
const char *plugin_op_name(enum plugin_op op);

/* ---- the port ---- */

struct plugin_port;
struct plugin_call;
struct plugin_session_ack;

/*
 * How a call ended. result is borrowed for the callback and NULL unless code is 0. In back-off code
 * is EUNAVAIL, and err keeps the code and words of what the backend said when it was opened. A call
 * that found no free worker in time is ETIMEDOUT with not_sent.
 */
struct plugin_outcome {
	int code; /* 0 or a leased_code: what the worker said, or ETIMEDOUT, ECRASHED, EUNAVAIL,
		     ECANCELED of our own */
	bool not_sent; /* nothing of this call reached the backend: a mint left no trace */
	bool answered; /* code is the worker's own word: nothing of the call is under way any more
			*/
	const json_t *result;
	const char *worker; /* id of the worker that had the call; NULL when none had */
	struct leased_err err;
};
typedef void (*plugin_done)(void *arg, const struct plugin_outcome *outcome);

struct plugin_port_stats {
	unsigned workers;                                       /* that run */
	unsigned mints_waiting, ends_waiting, removals_waiting; /* ends: and all other calls */
	unsigned running;                                       /* calls that workers have */
	uint64_t workers_died;                                  /* without being asked to */
};

struct plugin_port_ops {
	struct plugin_call *(*call)(struct plugin_port *port, enum plugin_op op, json_t *params,
	    unsigned timeout_ms, plugin_done done, void *arg);
	void (*cancel)(struct plugin_call *call);
	int (*ready)(struct plugin_port *port, struct leased_err *err);
	void (*close)(struct plugin_port *port);
	/* NULL: its workers have no configuration of their own */
	void (*configure)(struct plugin_port *port, json_t *config, bool restart);
	/* NULL: it has nothing to count. ret_stats is all 0 */
	void (*stats)(const struct plugin_port *port, struct plugin_port_stats *ret_stats);
	/* NULL: its workers read no files */
	void (*name_files)(struct plugin_port *port, const json_t *config);
};

/* What a port tells its owner; each may be NULL. All on the loop. */
struct plugin_port_events {
	/* A worker has a new backend session and waits: make it durable, then plugin_session_ack().
	 * id is borrowed. */
	void (*on_session)(void *arg, struct plugin_port *port, const char *worker,
	    const char *session, struct plugin_session_ack *ack);
	/* A worker closed a session with nothing under way on it: its record may be dropped. A
	 * hint: it may never come. */
	void (*on_session_end)(
	    void *arg, struct plugin_port *port, const char *worker, const char *session);
	/* A worker is gone (reaped, so nothing more is sent by it). Comes before the outcome of the
	 * call that it had. */
	void (*on_worker_gone)(void *arg, struct plugin_port *port, const char *worker);
	/* The backend answers again after a back-off. */
	void (*on_recovered)(void *arg, struct plugin_port *port);
	void *arg;
	/* A worker was opened: server and opened are what it met. Before any call goes to it. */
	void (*on_opened)(void *opened_arg, struct plugin_port *port);
	void *opened_arg;
};

struct plugin_port {
	const struct plugin_port_ops *ops;
	struct plugin_port_events events; /* set by the owner before the first call */
	int64_t connection;               /* document id of the connection */
	char server[128]; /* the server's identity as the last open said it, "" before */
	bool moved; /* the owner's word, in on_opened: it is not the right one, nothing is minted */
	unsigned failures; /* starts, opens and pings that failed, since the last success */
	/* What describe and the last open said, and when; NULL before. The port's own. */
	json_t *description, *opened;
	int64_t opened_boot_us;
};

/*
 * Starts a call; takes params. timeout_ms 0: the operation's own (DESIGN.md). done comes
 * exactly once, never before this returns. Mints go first and have a slot of their own; calls wait
 * their turn in the pool, the time in the queue counts. NULL: out of memory, or the port was closed
 * (params are freed).
 */
struct plugin_call *plugin_call_start(struct plugin_port *port, enum plugin_op op, json_t *params,
    unsigned timeout_ms, plugin_done done, void *arg);
/* No callback comes after it. A call that a worker has kills that worker. */
void plugin_call_cancel(struct plugin_call *call);
/* 0: may be called. LEASED_EUNAVAIL with the reason while the connection is in back-off. */
int plugin_port_ready(struct plugin_port *port, struct leased_err *err) LEASED_MUST_CHECK;
void plugin_port_stats(const struct plugin_port *port, struct plugin_port_stats *ret_stats);
/* Ends the workers; calls under way end with LEASED_ECANCELED first, then on_worker_gone for each.
 * port is freed at the loop's end. NULL is fine. */
void plugin_port_close(struct plugin_port *port);

/*
 * Workers that start from now on are opened with config (taken; it holds secrets). restart: those
 * that are there end as soon as they have no call, which no caller notices.
 */
void plugin_port_configure(struct plugin_port *port, json_t *config, bool restart);

/*
 * Workers that start from now on may read the files that config names, and are told nothing of it:
 * those of a port that was opened without a configuration show by their start whether they may.
 */
void plugin_port_name_files(struct plugin_port *port, const json_t *config);

/* result 0 lets the worker go on; else its call fails with it and the session is closed. Exactly
 * once for each on_session. */
void plugin_session_ack(struct plugin_session_ack *ack, int result);

/* ---- the host: spawner and catalog ---- */

struct plugin_host;

/*
 * Forks the spawner. Call first thing in main(): no key, no socket, no thread may exist yet;
 * plugin_dir is the only place it starts programs from (owned by root or us, not writable by
 * others). *ret_fd is the daemon's end, to be given to plugin_host_new().
 */
int plugin_spawner_start(
    const char *plugin_dir, int *ret_fd, pid_t *ret_pid, struct leased_err *err) LEASED_MUST_CHECK;

struct plugin_host *plugin_host_new(
    struct event_base *loop, int spawner_fd, struct wclock *clock, struct id_source *ids);
/* The store's tag, which names it to every backend (DESIGN.md). Before the first port. */
void plugin_host_set_tag(struct plugin_host *host, const char *tag);
/*
 * A file that is leased's own (or a directory: all that lies in it) is kept from every worker: one
 * whose configuration names it, by whatever link, is not started, and the text says why. Before the
 * loop's first turn, or later. LEASED_ELIMIT: they are too many.
 */
enum plugin_guard {
	PLUGIN_GUARD_DATA,
	PLUGIN_GUARD_ROOT_KEY,
	PLUGIN_GUARD_TLS_KEY,
	PLUGIN_GUARD_AUDIT,
	PLUGIN_GUARD_CONFIG,
};
int plugin_host_guard(struct plugin_host *host, enum plugin_guard kind, const char *path,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Is pid a worker's, or was it one's within the last minute? */
bool plugin_host_has_had(const struct plugin_host *host, pid_t pid);
/* on_lost is called once, from the loop, when the spawner is gone though nobody ended it: no worker
 * can be started any more, nothing minted and nothing ended. */
void plugin_host_on_lost(struct plugin_host *host, void (*on_lost)(void *arg), void *arg);
/*
 * From now on no port tells its owner anything, but for the done of a call: so that what events.arg
 * is may be freed before the host. Sessions are refused. NULL is fine.
 */
void plugin_host_mute(struct plugin_host *host);
/* Mutes, closes every port, kills all workers and the spawner, and waits for it. NULL is fine. */
void plugin_host_free(struct plugin_host *host);

/* One row a plugin: the names that the API knows it by ("postgresql-database-plugin",
 * "postgresql"), the program, the pool's size. */
struct plugin_catalog_row {
	const char *program;
	const char *api_names[6];
	unsigned pool;
	unsigned ahead;       /* signatures that a worker may be asked for before it has answered */
	bool starts_programs; /* its workers may start programs: of the system, and what their
				 configuration names */
};
const struct plugin_catalog_row *plugin_catalog_find(const char *api_name); /* NULL: unknown */
const char *plugin_catalog_nearest(const char *api_name); /* for "did you mean", or NULL */
bool plugin_catalog_is_own(const char *api_name);         /* none that was added */
/* A row more, which stays: of a plugin that the configuration names. LEASED_EEXIST: there is one by
 * that name; LEASED_ELIMIT: there are too many. Before the first port. */
int plugin_catalog_add(const char *api_name, const char *program, unsigned pool,
    struct leased_err *err) LEASED_MUST_CHECK;

/*
 * A port with a pool of workers; each gets `open` with config (taken; holds secrets) and reopens
 * with it after a death, with back-off (backoff.c). tag names this store to the backend. Workers
 * start on demand, the first at once. pool 0: the catalog's size. config NULL: its workers are not
 * opened and touch no backend; they can be asked to describe themselves.
 */
struct plugin_port *plugin_port_open(struct plugin_host *host, const struct plugin_catalog_row *row,
    json_t *config, unsigned pool, int64_t connection);

/* The backend's own clock when our boot clock reads boot_us, as the last open told it. False: it
 * told none, or may be on this machine, where its clock is ours and proves nothing. */
bool plugin_port_wall_us(const struct plugin_port *port, int64_t boot_us, int64_t *ret_wall_us);

/*
 * What of config the plugin lists in its description (all, where it lists none): a new object,
 * NULL: out of memory. The names of the rest are appended to unknown (an array, or NULL).
 */
json_t *plugin_config_known(const json_t *description, const json_t *config, json_t *unknown);

/* What describe said, borrowed, NULL until a worker has answered. */
const json_t *plugin_port_description(struct plugin_port *port);
/* Does the plugin list the operation? True until it has described itself: the call will say. */
bool plugin_port_has(const struct plugin_port *port, enum plugin_op op);
/* What the last open, or else the description, says of an account there: true or false of one of
 * the members of open's result (PROTOCOL.md); otherwise where neither says. */
bool plugin_port_says(const struct plugin_port *port, const char *member, bool otherwise);

/* Is field one of the description's role_fields? */
bool plugin_role_lists(const json_t *description, const char *field);
/* What of role the plugin lists (all, where it lists none): a new reference, NULL: out of memory.
 */
json_t *plugin_role_known(const json_t *description, json_t *role);

/* The most bytes that a mint may have kept (PROTOCOL.md). */
#define PLUGIN_KEPT_MAX 4096

#endif
