/*
 * The store: SQLite behind typed calls (DESIGN.md). One writer thread with group commit,
 * one reader thread for scans, and a handle of the loop's own for lookups by key.
 *
 * Writing: embed a struct store_op, submit it; run() executes on the writer thread inside its own
 * SAVEPOINT and touches only its own struct; done() comes back on the loop once the commit is on
 * disk (or run() failed, or the commit did). Reading more than 64 rows: a struct store_read, the
 * same way, on the reader thread. Inline mode (tests, the simulator): the same SQL on a private
 * in-memory database, run from store_pump(), without threads: writes in order of submission, then
 * reads.
 *
 * Values are sealed with their index columns inside; the sealed content wins. A row that does not
 * open is LEASED_ECORRUPT to its reader, and is quarantined.
 */
#ifndef STORE_STORE_H
#define STORE_STORE_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

#include "base/id.h"
#include "base/wclock.h"
#include "seal/seal.h"

struct event_base;
struct store;
struct store_db;  /* a reading handle: the loop's, a read's, or a transaction's */
struct store_txn; /* a writing one: only inside store_op.run */

struct store_config {
	const char *dir; /* leased.db, lock, reserve; NULL with inline_mode: in memory */
	bool inline_mode;
	struct event_base *loop; /* NULL with inline_mode */
	struct seal_root *root;  /* borrowed while opening */
	struct wclock *clock;
	struct id_source *ids;
};

/*
 * Takes the flock (LEASED_EEXIST names the holder's pid), migrates (a newer schema: LEASED_EINVAL),
 * opens or makes the keyring, takes the next epoch. Blocks; for start only.
 */
int store_open(const struct store_config *config, struct store **ret_store,
    struct leased_err *err) LEASED_MUST_CHECK;
/*
 * For those who go before the store: joins the threads, writes what is queued, and calls every
 * done() before it returns. Reads that have not ended are cut: LEASED_ECANCELED. What is submitted
 * later gets the same from store_close(). The loop's handle goes on reading. NULL is fine.
 */
void store_stop(struct store *store);
void store_close(struct store *store); /* stops first; NULL is fine */

struct seal *store_seal(struct store *store); /* borrowed */
/* The keyring of the store in dir, whoever serves from it; the caller frees it. */
int store_keyring_read(const char *dir, struct seal_root *root, struct seal **ret_seal,
    struct leased_err *err) LEASED_MUST_CHECK;
const char *store_tag(struct store *store); /* this store's 6 characters of [0-9a-z], in account
					       names; fixed at the store's birth */
const char *store_cluster_id(struct store *store); /* a UUID, fixed at birth */
struct store_db *store_db(struct store *store);    /* the loop's handle, borrowed */
struct store_db *store_txn_db(struct store_txn *txn);

/*
 * For who keeps what it read of a lease's, token's or document's row, by the row's number. Odd: a
 * change is on its way to disk, and only reading tells. Even, and the same as before the row was
 * read: reading it now would give the same. Before a write's done() comes, the number has moved.
 * From any thread.
 */
uint64_t store_row_changes(struct store *store, int64_t id);
/* The same of documents, all of them together: they change seldom. */
uint64_t store_doc_changes(struct store *store);

struct store_op {
	int (*run)(struct store_op *op, struct store_txn *txn, struct leased_err *err);
	/*
	 * result: run's, or why the commit failed. May be NULL. op may be freed inside. run() is
	 * called once: when the commit failed, what run() set in its struct (ids, versions) is not
	 * in the store; read again before a further try.
	 */
	void (*done)(struct store_op *op, int result, const struct leased_err *err);
	struct store_op *next; /* the store's */
	int result;            /* the store's */
	struct leased_err err; /* the store's */
};
/* Never calls back before it returns. From any thread; done() always on the loop. */
void store_submit(struct store *store, struct store_op *op);

struct store_read {
	/* STORE_READ_AGAIN: it is called once more, behind the reads that wait; so that a long walk
	 * holds nobody up, it says so whenever store_read_is_long(). */
	int (*run)(struct store_read *read, struct store_db *db, struct leased_err *err);
	void (*done)(struct store_read *read, int result, const struct leased_err *err);
	struct store_read *next;
	int result;
	struct leased_err err;
};
#define STORE_READ_AGAIN 1
void store_submit_read(struct store *store, struct store_read *read);
bool store_read_is_long(struct store_db *db); /* inside run: has this call had its time? */

/* Inline mode: runs what is queued now, dones included; the number of operations and reads run.
 * What a done() submits is for the next call. */
unsigned store_pump(struct store *store);

/* What the operator must know: 0 fine, LEASED_ENOSPC (mints are refused with 507), and counts. */
struct store_health {
	bool damaged; /* SQLite met damage in the file itself: what it does not find never ends */
	int code;
	uint64_t quarantined;
	uint64_t commits, operations; /* operations / commits = the batch size */
};
void store_health_get(struct store *store, struct store_health *ret_health);
/* For whoever watches: what waits for the threads, and what is on disk (0 in memory). */
struct store_stats {
	struct store_health health;
	size_t writes_waiting, reads_waiting;
	bool has_reserve;
	int64_t file_bytes, log_bytes;
};
void store_stats_get(struct store *store, struct store_stats *ret_stats);

/* ---- small values: anchor, settings ---- */
int store_meta_get(struct store_db *db, const char *key, char **ret_text,
    struct leased_err *err) LEASED_MUST_CHECK; /* LEASED_ENOENT; caller frees */
int store_meta_put(struct store_txn *txn, const char *key, const char *text,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- documents: mounts, policies, connections, roles, role versions, entities: sealed JSON by
 * kind and name ---- */
struct store_doc {
	int64_t id;      /* never used again; 0 until it is stored */
	int64_t version; /* 1 from the first put, one more by each */
	char *kind, *name;
	json_t *data;
};
void store_doc_free(struct store_doc *doc); /* NULL is fine */
int store_doc_get(struct store_db *db, const char *kind, const char *name,
    struct store_doc **ret_doc, struct leased_err *err) LEASED_MUST_CHECK;
int store_doc_get_id(struct store_db *db, int64_t id, struct store_doc **ret_doc,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Names of kind that start with prefix, after `after` (NULL: from the start), ascending; at most
 * limit. *ret_docs is an array of *ret_count, each to be freed, and the array with free(). */
int store_doc_list(struct store_db *db, const char *kind, const char *prefix, const char *after,
    unsigned limit, struct store_doc ***ret_docs, size_t *ret_count,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Those that do not open are left out there. Here they are, too: data is NULL. */
int store_doc_list_all(struct store_db *db, const char *kind, const char *prefix, const char *after,
    unsigned limit, struct store_doc ***ret_docs, size_t *ret_count,
    struct leased_err *err) LEASED_MUST_CHECK;
/* id 0: inserts (LEASED_EEXIST when the name is there) and sets id; else updates where the version
 * still is doc's (LEASED_ECONFLICT). doc->version is set. */
int store_doc_put(
    struct store_txn *txn, struct store_doc *doc, struct leased_err *err) LEASED_MUST_CHECK;
int store_doc_delete(
    struct store_txn *txn, int64_t id, int64_t version, struct leased_err *err) LEASED_MUST_CHECK;
/* By the index columns alone, so that one that does not open is there as well: data is NULL. With
 * data it may be put, which replaces what does not open, and takes it from the quarantine. */
int store_doc_columns(struct store_db *db, const char *kind, const char *name,
    struct store_doc **ret_doc, struct leased_err *err) LEASED_MUST_CHECK;
int store_doc_columns_list(struct store_db *db, const char *kind, const char *after, unsigned limit,
    struct store_doc ***ret_docs, size_t *ret_count, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- leases ---- */
enum store_lease_state { STORE_LEASE_INTENT = 1, STORE_LEASE_LIVE = 2, STORE_LEASE_DISARMED = 3 };
enum store_lease_kind {
	STORE_LEASE_CREDENTIAL = 1, /* an account on a backend */
	STORE_LEASE_CANARY = 2,     /* the same, of a preflight */
	STORE_LEASE_TOKEN = 3,      /* the end of a token of auth/ */
	STORE_LEASE_PLAIN = 4,      /* a credential without a backend: of connection 0, too */
};
/* What a client asked for, and has. */
static inline bool
store_lease_is_clients(enum store_lease_kind kind)
{
	return (kind == STORE_LEASE_CREDENTIAL || kind == STORE_LEASE_PLAIN);
}
/* There is something on a backend that has to be ended. */
static inline bool
store_lease_has_account(enum store_lease_kind kind)
{
	return (kind == STORE_LEASE_CREDENTIAL || kind == STORE_LEASE_CANARY);
}

#define STORE_LEASE_RANDOM_LEN 16
struct store_lease {
	int64_t id; /* row number: never used again; 0 until it is stored. store_next_lease_id()
		       tells it inside the inserting transaction */
	int64_t version; /* as with documents */
	enum store_lease_state state;
	enum store_lease_kind kind;
	int64_t connection; /* document id of the connection; 0: TOKEN and PLAIN have none */
	int64_t mount;      /* document id of the mount */
	int64_t next_at_ms; /* lease time: when something is due */
	bool revoke;        /* marked to be revoked */
	bool stuck;         /* needs a person */
	bool late;          /* its end was refused: next_at is when that is tried again */
	char random[STORE_LEASE_RANDOM_LEN + 1]; /* the unguessable part of the lease id */
	char *place;   /* what follows the mount in the lease's path: "creds/app" */
	char *account; /* the backend's name for it; "" for none */
	char *owner;   /* "token:<id>" or "entity:<id>": who it ends with, and whose cap it counts
			  against */
	json_t *data;  /* lease/'s own: times, TTLs, handle, server, role version, last error */
};
void store_lease_free(struct store_lease *lease);
int64_t store_next_lease_id(struct store_txn *txn);
int store_lease_insert(
    struct store_txn *txn, struct store_lease *lease, struct leased_err *err) LEASED_MUST_CHECK;
/* Where the version still is lease's (LEASED_ECONFLICT); lease->version is set. */
int store_lease_update(
    struct store_txn *txn, struct store_lease *lease, struct leased_err *err) LEASED_MUST_CHECK;
/* Deletes the row (same version rule); tombstone (may be NULL, not taken) is kept for 24 h.
 * look_again_ms: lease time at which the account is looked for once more, 0: never. */
int store_lease_delete(struct store_txn *txn, const struct store_lease *lease,
    const json_t *tombstone, int64_t now_ms, int64_t look_again_ms,
    struct leased_err *err) LEASED_MUST_CHECK;
int store_lease_get(struct store_db *db, int64_t id, struct store_lease **ret_lease,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Some columns of it, for who asks the same few rows in each transaction: opened once, and again
 * when it has changed since. */
struct store_glance {
	enum store_lease_kind kind;
	bool revoke;
	int64_t next_at_ms;
};
int store_lease_glance(struct store_txn *txn, int64_t id, struct store_glance *ret_glance,
    struct leased_err *err) LEASED_MUST_CHECK;
int store_lease_get_account(struct store_db *db, const char *account,
    struct store_lease **ret_lease, struct leased_err *err) LEASED_MUST_CHECK;

/* A page of leases by one question; limit is at most 64 on the loop. *ret_leases as with documents.
 * Rows that do not open are left out, quarantined and counted. */
enum store_lease_by {
	STORE_BY_DUE, /* connection = number, next_at <= until_ms, (next_at, id) > (from_ms, after),
			 ascending by (next_at, id) */
	STORE_BY_OWNER, /* owner = text, id > after */
	STORE_BY_PLACE, /* mount = number, place = text or below it ("text/..."), "" for all; id >
			   after */
	STORE_IN_PLACE, /* the same without what is below it */
	STORE_BY_ID,    /* id > after */
};
struct store_lease_query {
	enum store_lease_by by;
	int64_t number;
	const char *text;
	int64_t from_ms; /* BY_DUE: where to go on: next_at and (in after) id of the last row seen;
			    0 and 0: from the start */
	int64_t until_ms;
	int64_t after;   /* 0: from the start */
	int64_t at_most; /* highest id to look at, 0: no limit */
	bool not_held;   /* BY_DUE: without what a restored store holds (hold.h) */
	unsigned limit;
};
int store_lease_page(struct store_db *db, const struct store_lease_query *query,
    struct store_lease ***ret_leases, size_t *ret_count, struct leased_err *err) LEASED_MUST_CHECK;
void store_lease_page_free(struct store_lease **leases, size_t count);
/* The next place of mount's leases that begins with prefix, from the index alone: *place is the
 * last one (NULL: from the start) and becomes the next, NULL when there is none. Caller frees. */
int store_lease_place_next(struct store_db *db, int64_t mount, const char *prefix, char **place,
    struct leased_err *err) LEASED_MUST_CHECK;
/* The smallest next_at of a connection; LEASED_ENOENT when it has no row (that is not held). And
 * every connection that has rows. */
int store_lease_next_at(struct store_db *db, int64_t connection, int64_t *ret_ms,
    struct leased_err *err) LEASED_MUST_CHECK;
int store_lease_connections(struct store_db *db, int64_t **ret_connections, size_t *ret_count,
    struct leased_err *err) LEASED_MUST_CHECK;
/* How many of a connection are due by now_ms and not held: from the index, in one step. And the
 * others that are on their way out (disarmed, marked or late), which are tried again within a
 * minute: a walk over at most limit rows behind the last one, of which none is opened. */
int store_lease_due_count(struct store_db *db, int64_t connection, int64_t now_ms,
    int64_t *ret_count, struct leased_err *err) LEASED_MUST_CHECK;
#define STORE_LATE_IDS 64
struct store_late {
	int64_t connection, until_ms;
	unsigned limit;
	int64_t from_ms, after; /* the last row seen; at first from_ms is now and after INT64_MAX */
	int64_t count;          /* grows */
	int64_t ids[STORE_LATE_IDS]; /* the first ones of this page */
	size_t ids_count;
};
int store_lease_late_page(struct store_db *db, struct store_late *late, bool *ret_more,
    struct leased_err *err) LEASED_MUST_CHECK;
/* The highest row number given out so far, of a lease or a token; 0: none. */
int store_lease_high(
    struct store_db *db, int64_t *ret_high, struct leased_err *err) LEASED_MUST_CHECK;
/* Accounts of leases by name (bytes), whatever their connection: those behind `after` up to
 * `until`, from the index and the plain columns, at most STORE_ACCOUNTS_PAGE. */
#define STORE_ACCOUNTS_PAGE 256
struct store_account {
	int64_t id, connection; /* the lease's */
	enum store_lease_state state;
	bool revoke;
	char account[256]; /* longer ones are left out: none of ours is */
};
int store_account_page(struct store_db *db, const char *after, const char *until,
    struct store_account *ret_accounts, size_t *ret_count,
    struct leased_err *err) LEASED_MUST_CHECK;
/* The newest row of an account, from the index alone. LEASED_ENOENT, without a text. */
int store_account_find(struct store_db *db, const char *account, int64_t *ret_id,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Does any row of the connection exist? LEASED_ENOENT when not. */
int store_lease_any(
    struct store_db *db, int64_t connection, struct leased_err *err) LEASED_MUST_CHECK;

/*
 * ---- quarantine: lease rows that do not open or do not agree with their index columns. They are
 * moved here whole and are no rows any more (store_lease_get: LEASED_ECORRUPT); connection and
 * account are what can still be known, next_at_ms is 0 (at once) when even the index columns' own
 * checksum fails ----
 */
struct store_quarantined {
	int64_t id; /* the lease's */
	int64_t connection, next_at_ms;
	bool disarmed;
	char *account, *reason;
};
/* Those of connection (-1: of all), of next_at_ms <= until_ms, id > after, not yet disarmed unless
 * with_disarmed; by id. */
struct store_quarantine_query {
	int64_t connection, until_ms, after;
	bool with_disarmed;
	unsigned limit;
};
int store_quarantine_list(struct store_db *db, const struct store_quarantine_query *query,
    struct store_quarantined **ret_rows, size_t *ret_count,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Those of a connection whose account is to be disarmed by now_ms, the longest due first. */
int store_quarantine_due(struct store_db *db, int64_t connection, int64_t now_ms, unsigned limit,
    struct store_quarantined **ret_rows, size_t *ret_count,
    struct leased_err *err) LEASED_MUST_CHECK;
void store_quarantine_list_free(struct store_quarantined *rows, size_t count);
/* Its account is disarmed; or is to be tried again at next_at_ms. */
int store_quarantine_update(struct store_txn *txn, int64_t id, bool disarmed, int64_t next_at_ms,
    struct leased_err *err) LEASED_MUST_CHECK;
/* By a person's word only: forgets it. */
int store_quarantine_delete(
    struct store_txn *txn, int64_t id, struct leased_err *err) LEASED_MUST_CHECK;
/* All that one's columns say; nothing vouches for them where next_at_ms was 0 from the start. */
struct store_damaged {
	int64_t id, connection, mount, kind, next_at_ms;
	bool disarmed;
	char *account, *place, *owner, *reason;
};
void store_damaged_clear(struct store_damaged *damaged);
int store_damaged_get(struct store_db *db, int64_t id, struct store_damaged *ret_damaged,
    struct leased_err *err) LEASED_MUST_CHECK; /* LEASED_ENOENT */
/* The one that has this account; of several one that is not disarmed. */
int store_damaged_find(struct store_db *db, const char *account, struct store_damaged *ret_damaged,
    struct leased_err *err) LEASED_MUST_CHECK; /* LEASED_ENOENT */
/* Those of a query BY_PLACE or BY_OWNER (up to at_most) that are not disarmed: they are due now;
 * how many became so. And how many there are. */
int store_damaged_mark(struct store_txn *txn, const struct store_lease_query *query, int64_t now_ms,
    int64_t *ret_count, struct leased_err *err) LEASED_MUST_CHECK;
int store_damaged_armed(struct store_db *db, const struct store_lease_query *query,
    int64_t *ret_count, struct leased_err *err) LEASED_MUST_CHECK;
/* By a person's word: it goes from the quarantine with a tombstone, as a lease does; kind and place
 * are left out, since nothing vouches for them. */
int store_damaged_abandon(struct store_txn *txn, const struct store_damaged *damaged,
    const json_t *tombstone, int64_t now_ms, struct leased_err *err) LEASED_MUST_CHECK;
/* Grows with each damaged lease row that reads of db met. Such a row is in quarantine by the next
 * transaction, not in that of the read. */
uint64_t store_damaged_met(const struct store_db *db);

/* ---- tombstones ---- */
struct store_tombstone {
	int64_t id; /* the lease's */
	int64_t connection;
	char *account;
	int64_t ended_ms, look_again_ms;
	json_t *data;
};
void store_tombstone_free(struct store_tombstone *tombstone);
int store_tombstone_get(struct store_db *db, int64_t id, struct store_tombstone **ret_tombstone,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Of the lease that had this account; the last one, should there be several. */
int store_tombstone_get_account(struct store_db *db, const char *account,
    struct store_tombstone **ret_tombstone, struct leased_err *err) LEASED_MUST_CHECK;
/* Those of the connection with look_again_ms in 1..now_ms, the longest due first, at most limit. */
int store_tombstone_due(struct store_db *db, int64_t connection, int64_t now_ms, unsigned limit,
    struct store_tombstone ***ret_tombstones, size_t *ret_count,
    struct leased_err *err) LEASED_MUST_CHECK;
/* It was looked at; once more at look_again_ms, 0: never. */
int store_tombstone_looked(struct store_txn *txn, int64_t id, int64_t look_again_ms,
    struct leased_err *err) LEASED_MUST_CHECK;
/* At most limit; a full page says that there may be more. */
int store_tombstone_purge(struct store_txn *txn, int64_t ended_before_ms, unsigned limit,
    unsigned *ret_purged, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- tokens: a token is a lease row of kind TOKEN (connection 0) plus this index row under the
 * same id ---- */
struct store_token {
	int64_t id;                  /* the lease row's */
	uint8_t mac[SEAL_HMAC_SIZE]; /* seal_hmac("token") */
	char accessor[25];
	int64_t parent;    /* token id, 0: orphan */
	int64_t uses_left; /* -1: unlimited */
};
int store_token_insert(struct store_txn *txn, const struct store_token *token,
    struct leased_err *err) LEASED_MUST_CHECK;
int store_token_get(struct store_db *db, const uint8_t mac[SEAL_HMAC_SIZE],
    struct store_token *ret_token, struct leased_err *err) LEASED_MUST_CHECK;
int store_token_get_id(struct store_db *db, int64_t id, struct store_token *ret_token,
    struct leased_err *err) LEASED_MUST_CHECK;
int store_token_get_accessor(struct store_db *db, const char *accessor,
    struct store_token *ret_token, struct leased_err *err) LEASED_MUST_CHECK;
/* Children of parent with id > after, at most limit ids into ret_ids. */
int store_token_children(struct store_db *db, int64_t parent, int64_t after, unsigned limit,
    int64_t *ret_ids, size_t *ret_count, struct leased_err *err) LEASED_MUST_CHECK;
int store_token_use(struct store_txn *txn, int64_t id, int64_t *ret_left,
    struct leased_err *err) LEASED_MUST_CHECK; /* takes one use; LEASED_EDENIED when none is left */
int store_token_delete(struct store_txn *txn, int64_t id, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- take-once and caps ---- */
/* n + 1 where n < limit, else LEASED_ELIMIT. store_give: n - 1, never below 0. A counter that is 0
 * has no row. */
int store_take(struct store_txn *txn, const char *counter, int64_t limit,
    struct leased_err *err) LEASED_MUST_CHECK;
int store_give(
    struct store_txn *txn, const char *counter, struct leased_err *err) LEASED_MUST_CHECK;
int store_counter_get(struct store_db *db, const char *counter, int64_t *ret_value,
    struct leased_err *err) LEASED_MUST_CHECK;
int store_counter_set(struct store_txn *txn, const char *counter, int64_t value,
    struct leased_err *err) LEASED_MUST_CHECK;
/*
 * A recount, exact beside running writes: in one store_read, between store_snapshot_begin() and
 * _end(), page the leases by id and list the counters; the difference is then added in a write.
 */
int store_counter_add(struct store_txn *txn, const char *counter, int64_t difference,
    struct leased_err *err) LEASED_MUST_CHECK; /* never below 0 */
struct store_counter {
	char *name;
	int64_t value;
};
/* Names after `after` (NULL: from the start), ascending, at most limit. */
int store_counter_list(struct store_db *db, const char *after, unsigned limit,
    struct store_counter **ret_counters, size_t *ret_count,
    struct leased_err *err) LEASED_MUST_CHECK;
void store_counter_list_free(struct store_counter *counters, size_t count);
int store_snapshot_begin(
    struct store_db *db, struct leased_err *err) LEASED_MUST_CHECK; /* only inside store_read.run */
void store_snapshot_end(struct store_db *db);

/* ---- bulk jobs ---- */
struct store_job {
	int64_t id, version;
	int64_t high;   /* the highest lease row number given out when the job was made; 0: none is
			   needed */
	int64_t cursor; /* rows up to here are marked */
	bool marked;    /* all are */
	json_t *data;   /* scope, cause, counts */
};
void store_job_free(struct store_job *job);
int store_job_put(struct store_txn *txn, struct store_job *job,
    struct leased_err *err) LEASED_MUST_CHECK; /* as store_doc_put */
int store_job_delete(struct store_txn *txn, int64_t id, struct leased_err *err) LEASED_MUST_CHECK;
int store_job_get(struct store_db *db, int64_t id, struct store_job **ret_job,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Ascending by id. A page that is not full is the last one. */
struct store_job_query {
	int64_t after; /* id > after */
	bool wide;     /* only those whose high is not 0 */
	unsigned limit;
};
int store_job_page(struct store_db *db, const struct store_job_query *query,
    struct store_job ***ret_jobs, size_t *ret_count, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- backend sessions of workers ---- */
struct store_session {
	int64_t connection;
	char *worker;  /* the worker's own id, a UUID: tells a dead worker's sessions from a living
			  one's */
	char *session; /* the plugin's name for it */
};
int store_session_put(struct store_txn *txn, const struct store_session *session,
    struct leased_err *err) LEASED_MUST_CHECK;
int store_session_delete(struct store_txn *txn, const struct store_session *session,
    struct leased_err *err) LEASED_MUST_CHECK;
int store_session_list(struct store_db *db, int64_t connection, struct store_session **ret_sessions,
    size_t *ret_count, struct leased_err *err) LEASED_MUST_CHECK;
void store_session_list_free(struct store_session *sessions, size_t count);
/* The connection's document goes in this transaction, or (_gone) is not there: its sessions are
 * and servers are forgotten, and its tombstones are not looked at again. */
int store_connection_forget(
    struct store_txn *txn, int64_t connection, struct leased_err *err) LEASED_MUST_CHECK;
int store_connections_forget_gone(struct store_txn *txn, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- on which servers the leases of a connection may be ---- */
struct store_server {
	int64_t connection;
	char *server; /* its identity */
	int64_t uses; /* how often it was recorded */
};
/* A lease of the connection is on this server: in the transaction that records it. */
int store_server_put(struct store_txn *txn, int64_t connection, const char *server,
    struct leased_err *err) LEASED_MUST_CHECK;
/* No lease is on it, by a snapshot that has server in it too: goes unless it was recorded since. */
int store_server_delete(struct store_txn *txn, const struct store_server *server,
    struct leased_err *err) LEASED_MUST_CHECK;
int store_server_list(struct store_db *db, int64_t connection, struct store_server **ret_servers,
    size_t *ret_count, struct leased_err *err) LEASED_MUST_CHECK;
void store_server_list_free(struct store_server *servers, size_t count);
/* False: there may be leases from before servers were recorded here. */
int store_servers_complete(
    struct store_db *db, bool *ret_complete, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- who watches changes, and its outbox: audit/ ---- */
enum store_change_kind {
	STORE_CHANGE_LEASE_NEW,
	STORE_CHANGE_LEASE,
	STORE_CHANGE_LEASE_GONE,
	STORE_CHANGE_DOC,
	STORE_CHANGE_DOC_GONE, /* doc has no data */
	STORE_CHANGE_JOB_NEW,
};
struct store_change { /* borrowed for the call; what the kind does not speak of is NULL */
	enum store_change_kind kind;
	const struct store_lease *lease; /* as it is now; GONE: as it was */
	struct {
		enum store_lease_state state;
		bool revoke;
		int64_t next_at_ms;
	} before;                /* LEASE */
	const json_t *tombstone; /* LEASE_GONE; may be NULL */
	const struct store_doc *doc;
	const struct store_job *job;
};
/* Called on the writer thread, inside the transaction of the change; an error undoes the change. */
typedef int (*store_watch)(
    void *arg, struct store_txn *txn, const struct store_change *change, struct leased_err *err);
/* NULL: nobody watches any more. Before anything is submitted, and after store_stop(). */
void store_watch_set(struct store *store, store_watch watch, void *arg);

/* Texts in the order of commits; a number is never used again. */
struct store_outbox_row {
	int64_t id;
	char *text; /* NULL: the row is damaged */
};
int store_outbox_put(
    struct store_txn *txn, const char *text, struct leased_err *err) LEASED_MUST_CHECK;
int store_outbox_page(struct store_db *db, int64_t after, unsigned limit,
    struct store_outbox_row **ret_rows, size_t *ret_count,
    struct leased_err *err) LEASED_MUST_CHECK;
void store_outbox_page_free(struct store_outbox_row *rows, size_t count);
int store_outbox_delete(
    struct store_txn *txn, int64_t up_to, struct leased_err *err) LEASED_MUST_CHECK;
int store_outbox_count(
    struct store_db *db, int64_t *ret_count, struct leased_err *err) LEASED_MUST_CHECK;

/*
 * ---- rotations: when the password of a document (a static role, a connection) is due ----
 */
struct store_rotation {
	int64_t doc;
	int64_t connection;
	const char *account; /* which no other document of the connection may have; "" for none */
	int64_t next_at_ms;  /* lease time */
};
/* Inserts or replaces. LEASED_EINVAL when the account is another document's. */
int store_rotation_put(struct store_txn *txn, const struct store_rotation *rotation,
    struct leased_err *err) LEASED_MUST_CHECK;
/* None is fine. */
int store_rotation_delete(
    struct store_txn *txn, int64_t doc, struct leased_err *err) LEASED_MUST_CHECK;
/* Documents of connection that are due by until_ms, the longest due first; ret_docs has room for
 * limit. */
int store_rotation_due(struct store_db *db, int64_t connection, int64_t until_ms, unsigned limit,
    int64_t *ret_docs, size_t *ret_count, struct leased_err *err) LEASED_MUST_CHECK;
/* When the connection's next one is due; LEASED_ENOENT when it has none. */
int store_rotation_next_at(struct store_db *db, int64_t connection, int64_t *ret_ms,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Does a document other than the connection's own have one? LEASED_ENOENT when not. */
int store_rotation_any(
    struct store_db *db, int64_t connection, struct leased_err *err) LEASED_MUST_CHECK;

#endif
