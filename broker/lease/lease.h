/*
 * Leases: the life of a credential (DESIGN.md). Everything here runs on the loop; nothing
 * calls back before it returns.
 *
 * The core never touches libevent: leases_tick() does what is due and says when to come back;
 * lease/timer.c is the thin driver that a simulator replaces. Time is lease time (lease/anchor.c):
 * an anchor {boot id, boottime, wall} plus CLOCK_BOOTTIME, in milliseconds.
 */
#ifndef LEASE_LEASE_H
#define LEASE_LEASE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include <leased/error.h>
#include <leased/secret.h>

#include "base/id.h"
#include "base/wclock.h"
#include "plugin/plugin.h"
#include "store/store.h"

struct event_base;
struct leases;
struct lease_plain_ended; /* plain.h */
typedef int (*lease_plain_told)(
    struct store_txn *txn, const struct lease_plain_ended *ended, struct leased_err *err);

struct leases_config {
	struct store *store;
	struct wclock *clock;
	struct id_source *ids;
	/* The port of a connection, NULL while there is none (its config does not open yet): its
	 * leases wait, overdue and counted. */
	struct plugin_port *(*port_for)(void *arg, int64_t connection);
	/* The path of a mount with its trailing slash ("database/"), NULL when unknown: lease ids
	 * are made of it. */
	const char *(*mount_path)(void *arg, int64_t mount);
	/* Something may be due sooner than leases_tick() last said. */
	void (*wake)(void *arg);
	/* The server to look on for an account that was made on recorded: another one where an
	 * operator said that it has taken over. NULL: always recorded. */
	const char *(*server_of)(void *arg, int64_t connection, const char *recorded);
	/* The mount of a connection whose accounts are to be compared with the store by itself
	 * (reconcile.h); 0: of none. NULL: nothing is, unless asked for. */
	int64_t (*mount_of)(void *arg, int64_t connection);
	/* Why port_for has none: sets err and returns its code. NULL: it is only not open yet. */
	int (*absent_why)(void *arg, int64_t connection, struct leased_err *err);
	/*
	 * In the transaction in which a lease without a backend goes, on the writer thread: whoever
	 * issued it may note down that it did (a denylist). An error undoes it, and it is tried
	 * again. NULL: nobody wants to know.
	 */
	lease_plain_told plain_ended;
	void *arg;
};

/* Opens lease time from the store's anchor and prepares recovery; no row is loaded. */
int leases_new(const struct leases_config *config, struct leases **ret_leases,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Cancels what is under way (clients get LEASED_ECANCELED; durable state makes the next start
 * finish it), and begins nothing any more; who is still told something by others may go on calling.
 * NULL is fine. */
void leases_stop(struct leases *leases);
void leases_free(struct leases *leases); /* stops first; NULL is fine */

/* Does what is due and returns the milliseconds until it wants to be called again (at most 1000).
 */
int64_t leases_tick(struct leases *leases);
int64_t leases_now_ms(struct leases *leases); /* lease time */
/* After a reboot lease time may be about to move: nothing new is reckoned from it, for 5 minutes at
 * most. _check() says so: 0 or LEASED_EUNAVAIL. */
bool leases_clock_in_doubt(const struct leases *leases);
int leases_time_check(const struct leases *leases, struct leased_err *err) LEASED_MUST_CHECK;
int64_t leases_wall_ms(
    struct leases *leases, int64_t lease_ms); /* lease time as wall time, for expire_time */

/* To be installed in every port before its first call; arg is the leases. And told when a port was
 * opened: its overdue leases drain, and those whose end was refused are tried again at once. */
struct plugin_port_events leases_port_events(struct leases *leases);
void leases_port_opened(struct leases *leases, struct plugin_port *port);
/* Its port is closed, and it has no lease, nor will it have one: what is kept of it is freed once
 * nothing is under way. */
void leases_connection_gone(struct leases *leases, int64_t id);
/*
 * For who calls a port by itself and was told no outcome (worker had the call, NULL: none, or one
 * of an earlier run): may anything that was sent before still happen there? False until the
 * sessions of dead workers are known and ended, which is being done.
 */
bool leases_port_settled(struct leases *leases, int64_t connection, const char *worker);

/* ---- TTL (contract 4.2): one function for all ---- */

struct lease_ttl_input {
	int64_t increment_s;                  /* 0: none asked */
	int64_t role_ttl_s, role_max_s;       /* 0: the mount's */
	int64_t mount_default_s, mount_max_s; /* never 0 */
	int64_t period_s, explicit_max_s;     /* 0: none */
	int64_t
	    owner_left_s; /* remaining life of the token that it ends with; -1: it ends with none */
	int64_t start_ms, now_ms; /* lease time of issue; lease time now */
};
struct lease_ttl {
	int64_t ttl_s;
	char warning[256]; /* "" when nothing was capped */
};
/* LEASED_EEXPIRED `past the max TTL, cannot renew`; LEASED_EINVAL for a negative value. ttl_s is
 * never 0. */
int lease_ttl_compute(const struct lease_ttl_input *input, struct lease_ttl *ret_ttl,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- ids ---- */

#define LEASE_ID_MAX 640
#define LEASE_MOUNT_MAX 256 /* of a mount's path, which engine/ keeps shorter */
/* "<mount path><place>/<24 base62>": 8 digits of row number, 16 random. */
int lease_id_format(struct leases *leases, const struct store_lease *row, char *ret_id,
    size_t size) LEASED_MUST_CHECK;
/* The row of a lease id; LEASED_ENOENT for every wrong one alike (constant-time in the random
 * part). */
int lease_find(struct leases *leases, const char *lease_id, struct store_lease **ret_row,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- issue ---- */

struct lease_cap {
	char counter[128]; /* "role:<doc id>", "entity:<uuid>", "conn:<doc id>" */
	int64_t limit;     /* 0: no cap */
	const char *what;  /* for the refusal: "max_leases of role app" */
};
#define LEASE_CAPS_MAX 3
#define LEASE_ENGINE_MAX 4096

struct lease_issue {
	int64_t mount;
	const char *place; /* "creds/app" */
	int64_t connection;
	/*
	 * Document of kind "rolever", immutable, shared by its leases: {"role": what travels as
	 * account.role, "ttl_s", "max_ttl_s", "username_template" (or absent), "role_id",
	 * "name_max" (0: nobody could say when it was written)}.
	 */
	int64_t role_version;
	unsigned name_max; /* bytes of an account's name that the backend takes; 0: not known */
	const char *role_name, *display_name;
	struct lease_ttl_input ttl; /* start_ms and now_ms are filled here */
	const char *owner;          /* "token:<id>" or "entity:<uuid>" */
	int64_t owner_token;        /* 0: none: a token's death ends it */
	const char *entity;         /* "" for root */
	const char *cause;          /* request id, for the log and audit */
	struct lease_cap caps[LEASE_CAPS_MAX];
	bool canary; /* set by lease_preflight_start() */
	/* Of lease_plain_start() alone: */
	const json_t
	    *engine; /* an object of at most LEASE_ENGINE_MAX bytes, sealed with the lease */
	const char *account; /* what its row is found by (store_lease_get_account()), or NULL */
	bool fixed;          /* it cannot be renewed */
};
struct lease_issued {
	int code; /* 0, or why not: EUNAVAIL, EREFUSED, ELIMIT, ETIMEDOUT, .. with err */
	struct leased_err err;
	int64_t row; /* the lease's row number: for lease_delivery() */
	const char *lease_id, *account;
	const struct leased_secret *password; /* borrowed for the callback */
	const json_t *values; /* texts that the plugin has for the client besides: secrets,
				 borrowed; NULL: none */
	int64_t ttl_s;
	const json_t *warnings; /* array of texts, may be empty; borrowed */
};
typedef void (*lease_issue_done)(void *arg, const struct lease_issued *issued);
/*
 * INTENT durable > mint > LIVE durable > done. Whatever fails later is the lease's own business:
 * the caller only learns that it failed. arg must live until done. When memory is out, done is
 * called with LEASED_ENOMEM all the same.
 */
void lease_issue_start(
    struct leases *leases, const struct lease_issue *issue, lease_issue_done done, void *arg);
/* How the answer arrived: LOST leases (and tokens, by their rows) are revoked at once, and that is
 * tried until it is on disk; delivery of a lease is written with the next commit. */
void lease_delivery(struct leases *leases, int64_t row, bool delivered);

/* Preflight: mint, `check`, disarm, remove, under an INTENT of kind canary (60 s). done gets 0 or
 * what failed, naming the missing grant. The canary ends in any case. */
typedef void (*lease_done)(void *arg, int code, const struct leased_err *err);
void lease_preflight_start(
    struct leases *leases, const struct lease_issue *issue, lease_done done, void *arg);

/* ---- renew ---- */

struct lease_renewed {
	int code;
	struct leased_err err;
	const char *lease_id;
	int64_t ttl_s;
	bool renewable;
	const json_t *warnings;
};
typedef void (*lease_renew_done)(void *arg, const struct lease_renewed *renewed);
/* ttl: the inputs of the role as it is now (role_deleted: not renewable). Backend first, then
 * store, then done. */
struct lease_renew {
	int64_t row;
	struct lease_ttl_input ttl;
	bool role_deleted;
	const char *cause;
};
void lease_renew_start(
    struct leases *leases, const struct lease_renew *renew, lease_renew_done done, void *arg);

/* ---- revoke ---- */

/* What ends a lease. The numbers stand in records. */
enum lease_end {
	LEASE_END_NONE = 0, /* nothing said so: its time was over */
	LEASE_END_EXPIRED = 1,
	LEASE_END_REVOKED = 2,     /* by hand, this one */
	LEASE_END_BULK = 3,        /* by hand, with others: a prefix or an owner */
	LEASE_END_TOKEN = 4,       /* the token that it belonged to ended */
	LEASE_END_UNDELIVERED = 5, /* its answer was lost */
	LEASE_END_MINT = 6,        /* its mint failed */
	LEASE_END_PREFLIGHT = 7,   /* a canary's purpose was served */
	LEASE_END_MOUNT = 8,       /* its mount was removed */
	LEASE_END_ABANDONED = 9,   /* a person dropped its record (abandon.h) */
	LEASE_END_ORPHAN = 10,     /* an account of no lease was found and removed (reconcile.h) */
};
/* Who asked for an end, for whoever wants to know later; borrowed, NULL for unknown. */
struct lease_actor {
	const char *name; /* display name */
	const char *accessor;
};

enum lease_revoke_state {
	LEASE_REVOKE_GONE,     /* 204 */
	LEASE_REVOKE_DISARMED, /* 200 with a warning: access ended, removal still to come; err says
				  what blocks it */
	LEASE_REVOKE_RECORDED, /* 503: recorded, will be retried: err says why */
	LEASE_REVOKE_FAILED,   /* nothing was recorded: err.code */
};
typedef void (*lease_revoke_done)(
    void *arg, enum lease_revoke_state state, const struct leased_err *err);
/* Durable first; then waits at most wait_ms for the end (0: done once it is durable, with
 * RECORDED). */
void lease_revoke_start(struct leases *leases, int64_t row, unsigned wait_ms, const char *cause,
    lease_revoke_done done, void *arg);
/* The same, and whoever looks the lease up afterwards is told who it was. */
void lease_revoke_by(struct leases *leases, int64_t row, unsigned wait_ms, const char *cause,
    const struct lease_actor *actor, lease_revoke_done done, void *arg);

/* ---- bulk: prefix, mount, token death, owner ---- */

enum lease_scope_kind { LEASE_SCOPE_PLACE, LEASE_SCOPE_OWNER, LEASE_SCOPE_TOKEN };
struct lease_scope {
	enum lease_scope_kind kind;
	int64_t mount;    /* PLACE */
	const char *text; /* PLACE: place or prefix of it on '/' boundaries, "" for the whole mount;
			     OWNER: owner */
	int64_t token;    /* TOKEN: this token, its children, and the leases of all of them */
	enum lease_end end; /* NONE: by its kind, BULK or TOKEN */
	struct lease_actor actor;
};
struct lease_job_status {
	int64_t job;
	bool finished; /* every lease of it is gone, or disarmed and kept from going */
	int64_t marked, ended, waiting;
	int64_t lingering; /* those that are kept; last_error says by what */
	struct leased_err last_error;
};
typedef void (*lease_job_done)(
    void *arg, int code, const struct lease_job_status *status, const struct leased_err *err);
/* done: once the job is durable (wait_ms 0), else when finished or after wait_ms. */
void lease_job_start(struct leases *leases, const struct lease_scope *scope, unsigned wait_ms,
    const char *cause, lease_job_done done, void *arg);

/* ---- tokens: rows of the same timer (auth/ owns their meaning) ---- */

/* Builds the timer row of a token that ends at expires_ms (0: never); its end writes the job
 * {TOKEN, id}. For use inside auth/'s own store_op. */
int lease_token_row(int64_t expires_ms, const char *place, const json_t *data,
    struct id_source *ids, struct store_lease **ret_row, struct leased_err *err) LEASED_MUST_CHECK;

/* A token's row with this end was written (made or renewed, the transaction is over): the timer
 * learns of it. Without it the token would end at the next start. 0: it does not end. */
void lease_token_written(struct leases *leases, int64_t expires_ms);

/* Inside a transaction: may this token own something new? LEASED_EEXPIRED when it is gone, has
 * ended by now_ms, or a job is ending it. auth/ asks it when it makes a child. */
int lease_token_alive(
    struct store_txn *txn, int64_t token, int64_t now_ms, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- account names ---- */

/*
 * For a role write: LEASED_EINVAL says why a username_template cannot be taken: an unknown or
 * misplaced slot, a character outside [A-Za-z0-9_.-], under 64 random bits, or longer than
 * name_max.
 */
int lease_template_check(
    const char *template, unsigned name_max, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- looking ---- */

/*
 * What lookup, list and show say of a row (contract 2.4): a new object with id, issue_time,
 * expire_time, ttl, renewable, last_renewal, path, state, account, role, owner, entity,
 * revoke_error, delivery, connection.
 */
json_t *lease_describe(struct leases *leases, const struct store_lease *row);

/* ---- leases whose records are damaged (in quarantine): only their columns are known ---- */

/*
 * By the id that lease_damaged_describe() gives it, or the one that it had: its random part is not
 * known any more, so that only who may name every lease may be told. LEASED_ENOENT.
 */
int lease_damaged_find(struct leases *leases, const char *lease_id,
    struct store_damaged *ret_damaged, struct leased_err *err) LEASED_MUST_CHECK;
/* What lists and lookup say of one; NULL: out of memory. */
json_t *lease_damaged_describe(struct leases *leases, const struct store_damaged *damaged);
/*
 * By a person's word: its record goes, and its account stays in the backend, without access. done
 * gets DISARMED with a text that names the account; RECORDED while it still has access, which is
 * ended first; GONE when there is no such record.
 */
void lease_damaged_forget(struct leases *leases, int64_t row, const struct lease_actor *actor,
    lease_revoke_done done, void *arg);

#define LEASE_CODES 32
#define LEASE_ENDS 16
struct lease_counts {
	uint64_t overdue;          /* ended, and not yet disarmed or not yet removed */
	int64_t oldest_overdue_ms; /* age of the oldest, 0: none */
	uint64_t held;             /* the same of those that a restored store holds (hold.h) */
	uint64_t in_flight;
	/* Since the start. */
	uint64_t mint_failures[LEASE_CODES]; /* by enum leased_code, without its sign */
	uint64_t gone[LEASE_ENDS];           /* by enum lease_end */
};
void leases_counts(struct leases *leases, struct lease_counts *ret_counts);

/* The libevent driver: calls leases_tick() from a timer of loop; leases_timer_wake is for
 * leases_config.wake. */
struct leases_timer;
struct leases_timer *leases_timer_start(struct event_base *loop, struct leases *leases);
void leases_timer_wake(struct leases_timer *timer);
void leases_timer_stop(struct leases_timer *timer);

#endif
