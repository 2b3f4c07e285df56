/*
 * The tables, as a numbered list of migrations, and what is fixed at a store's birth: its tag,
 * cluster id and keyring. It also takes the next epoch. store_open() calls it, once, on the
 * writer's handle.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/id.h"
#include "base/log.h"
#include "store/value.h"
#include "store/offline_private.h"

static const char migration_1[] =
    "CREATE TABLE birth (id INTEGER PRIMARY KEY CHECK (id = 1), tag TEXT NOT NULL,"
    " cluster_id TEXT NOT NULL, epoch INTEGER NOT NULL, seals INTEGER NOT NULL,"
    " keyring BLOB NOT NULL) STRICT;"

    "CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL) STRICT, WITHOUT ROWID;"

    "CREATE TABLE doc (id INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER NOT NULL,"
    " kind TEXT NOT NULL, name TEXT NOT NULL, sealed BLOB NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX doc_name ON doc (kind, name);"

    "CREATE TABLE lease (id INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER NOT NULL,"
    " state INTEGER NOT NULL, kind INTEGER NOT NULL, connection INTEGER NOT NULL,"
    " mount INTEGER NOT NULL, next_at INTEGER NOT NULL, flags INTEGER NOT NULL,"
    " place TEXT NOT NULL, account TEXT NOT NULL, owner TEXT NOT NULL,"
    " sum BLOB NOT NULL, sealed BLOB NOT NULL) STRICT;"
    "CREATE INDEX lease_due ON lease (connection, next_at);"
    "CREATE INDEX lease_place ON lease (mount, place);"
    "CREATE INDEX lease_account ON lease (account) WHERE account <> '';"
    "CREATE INDEX lease_owner ON lease (owner) WHERE owner <> '';"

    /* Not STRICT: it takes damaged values as they are. */
    "CREATE TABLE quarantine (table_name TEXT NOT NULL, key INTEGER NOT NULL,"
    " at INTEGER NOT NULL, reason TEXT NOT NULL, connection INTEGER NOT NULL,"
    " account TEXT NOT NULL, next_at INTEGER NOT NULL, disarmed INTEGER NOT NULL,"
    " version INTEGER, state INTEGER, kind INTEGER, mount INTEGER, flags INTEGER, place TEXT,"
    " owner TEXT, sum BLOB, sealed BLOB, PRIMARY KEY (table_name, key));"

    "CREATE TABLE tombstone (id INTEGER PRIMARY KEY, connection INTEGER NOT NULL,"
    " account TEXT NOT NULL, ended INTEGER NOT NULL, look_again INTEGER NOT NULL,"
    " sealed BLOB NOT NULL) STRICT;"
    "CREATE INDEX tombstone_ended ON tombstone (ended);"
    "CREATE INDEX tombstone_look_again ON tombstone (look_again) WHERE look_again > 0;"

    "CREATE TABLE token (id INTEGER PRIMARY KEY, mac BLOB NOT NULL, accessor TEXT NOT NULL,"
    " parent INTEGER NOT NULL, uses_left INTEGER NOT NULL, sum BLOB NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX token_mac ON token (mac);"
    "CREATE UNIQUE INDEX token_accessor ON token (accessor);"
    "CREATE INDEX token_parent ON token (parent) WHERE parent > 0;"

    "CREATE TABLE counter (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT,"
    " WITHOUT ROWID;"

    "CREATE TABLE job (id INTEGER PRIMARY KEY AUTOINCREMENT, version INTEGER NOT NULL,"
    " sealed BLOB NOT NULL) STRICT;"

    "CREATE TABLE session (connection INTEGER NOT NULL, worker TEXT NOT NULL,"
    " session TEXT NOT NULL, PRIMARY KEY (connection, worker, session)) STRICT, WITHOUT ROWID;";

/* Jobs over places and owners, found among those of tokens. What was there may be of either. */
static const char migration_2[] = "ALTER TABLE job ADD COLUMN wide INTEGER NOT NULL DEFAULT 1;"
				  "CREATE INDEX job_wide ON job (id) WHERE wide <> 0;";

/* Leases that were there before have their servers in their records alone. */
static const char migration_3[] =
    "CREATE TABLE server (connection INTEGER NOT NULL, server TEXT NOT NULL,"
    " uses INTEGER NOT NULL, PRIMARY KEY (connection, server)) STRICT, WITHOUT ROWID;"
    "INSERT INTO meta (name, value)"
    " SELECT 'servers-unknown', '1' WHERE EXISTS (SELECT 1 FROM lease);";

/* What is to be done on one connection, found without what waits for another. */
static const char migration_4[] =
    "CREATE INDEX quarantine_due ON quarantine (connection, next_at)"
    " WHERE table_name = 'lease' AND NOT disarmed;"
    "DROP INDEX tombstone_look_again;"
    "CREATE INDEX tombstone_look_again ON tombstone (connection, look_again)"
    " WHERE look_again > 0;";

/* Records of the audit, until they are on their device. */
static const char migration_5[] =
    "CREATE TABLE audit_outbox (id INTEGER PRIMARY KEY AUTOINCREMENT, sealed BLOB NOT NULL)"
    " STRICT;";

/* When passwords are to be rotated. An account has one rotation: two would undo each other. */
static const char migration_6[] =
    "CREATE TABLE rotation (doc INTEGER PRIMARY KEY, connection INTEGER NOT NULL,"
    " account TEXT NOT NULL, next_at INTEGER NOT NULL) STRICT;"
    "CREATE INDEX rotation_due ON rotation (connection, next_at);"
    "CREATE UNIQUE INDEX rotation_account ON rotation (connection, account)"
    " WHERE account <> '';";

/* Values with a checksum; those that are there get one when they are next written. */
static const char migration_7[] = "ALTER TABLE meta ADD COLUMN sum BLOB;";

/* Whose account was that? Asked for accounts that no lease has. */
static const char migration_8[] =
    "CREATE INDEX tombstone_account ON tombstone (account) WHERE account <> '';";

/* Records of leases may hold what an engine or a plugin keeps in them. Earlier versions would take
 * such a record for damaged; those before it read as they did, so that the number is all. */
static const char migration_9[] = "SELECT 1;";

/* The n-th takes a store of version n - 1 to n. What has been released is never edited. */
static const char *const migrations[] = {migration_1, migration_2, migration_3, migration_4,
    migration_5, migration_6, migration_7, migration_8, migration_9};
#define VERSION_NEWEST ((int64_t)(sizeof(migrations) / sizeof(migrations[0])))

int
store_schema_version(struct store *store, int64_t *ret_version, struct leased_err *err)
{
	struct store_db *db = store->writer_db;
	int64_t application = 0, version = 0;
	int r;

	if ((r = store_sql_number(db, "PRAGMA application_id", SQL_NO_ARGS, &application, err)) !=
		0 ||
	    (r = store_sql_number(db, "PRAGMA user_version", SQL_NO_ARGS, &version, err)) != 0)
		return (r);
	if (application == STORE_APPLICATION_BACKUP && !store->takes_backup)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s is a backup of a store: make a store of it by `leased restore`",
		    store->files.database));
	store->is_backup = application == STORE_APPLICATION_BACKUP;
	if (!store->is_backup && application != STORE_APPLICATION &&
	    (application != 0 || version != 0))
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s is not a leased store: another program's file stands in its place",
		    store->files.database));
	if (version > VERSION_NEWEST)
		return (leased_err_set(err, LEASED_EINVAL,
		    "the store is of schema %lld, this leased knows %lld: it was written by a "
		    "newer "
		    "version. Start that version again, or restore a backup made before the "
		    "upgrade",
		    (long long)version, (long long)VERSION_NEWEST));
	store->schema = version;
	*ret_version = version;
	return (0);
}

int64_t
store_schema_newest(void)
{
	return (VERSION_NEWEST);
}

const char *
store_schema_migration(int64_t from)
{
	return (migrations[from]);
}

static int
migrate(struct store *store, int64_t from, struct leased_err *err)
{
	struct store_db *db = store->writer_db;
	char mark[96];
	int r;

	snprintf(mark, sizeof(mark), "PRAGMA application_id=%d; PRAGMA user_version=%lld;",
	    STORE_APPLICATION, (long long)from + 1);
	if ((r = store_sql_script(db, "BEGIN IMMEDIATE", err)) != 0)
		return (r);
	if ((r = store_sql_script(db, migrations[from], err)) == 0 &&
	    (r = store_sql_script(db, mark, err)) == 0 &&
	    (r = FAILPOINT_ERROR(store_open_migrate, err)) == 0)
		r = store_sql_script(db, "COMMIT", err);
	if (r != 0)
		store_sql_rollback(db);
	return (r);
}

/* The keyring, tag and cluster id are one row: a crash leaves all of them or none. */
static int
birth_give(struct store *store, struct seal_root *root, struct leased_err *err)
{
	char tag[STORE_TAG_LEN + 1], cluster_id[ID_UUID_SIZE];
	struct seal *seal = NULL;
	uint8_t *blob = NULL;
	size_t len = 0;
	int r;

	if ((r = seal_new(root, &seal, &blob, &len, err)) != 0)
		return (r);
	id_base36(store->ids, STORE_TAG_LEN, tag);
	id_uuid(store->ids, cluster_id);
	r = store_sql_run(store->writer_db,
	    "INSERT INTO birth (id, tag, cluster_id, epoch, seals, keyring)"
	    " VALUES (1, ?1, ?2, 0, 0, ?3)",
	    SQL_ARGS(store_sql_text(tag), store_sql_text(cluster_id), store_sql_blob(blob, len)),
	    NULL, err);
	free(blob);
	seal_free(seal);
	return (r);
}

static int
birth_read(struct store *store, struct seal_root *root, struct leased_err *err)
{
	sqlite3_stmt *stmt = NULL;
	bool row = false;
	int r;

	r = store_sql_start(store->writer_db,
	    "SELECT tag, cluster_id, epoch, seals, keyring FROM birth WHERE id = 1", SQL_NO_ARGS,
	    &stmt, err);
	if (r != 0 || (r = store_sql_step(store->writer_db, stmt, &row, err)) != 0)
		goto out;
	if (!row) {
		r = leased_err_set(err, LEASED_ENOENT, "the store is new");
		goto out;
	}
	if (sqlite3_column_bytes(stmt, 0) != STORE_TAG_LEN ||
	    sqlite3_column_bytes(stmt, 1) != ID_UUID_SIZE - 1) {
		r = leased_err_set(err, LEASED_ECORRUPT, "the store's birth record is damaged");
		goto out;
	}
	memcpy(store->tag, store_sql_column_text(stmt, 0), sizeof(store->tag));
	memcpy(store->cluster_id, store_sql_column_text(stmt, 1), sizeof(store->cluster_id));
	store->epoch = sqlite3_column_int64(stmt, 2) + 1;
	r = seal_open(root, sqlite3_column_blob(stmt, 4), (size_t)sqlite3_column_bytes(stmt, 4),
	    &store->seal, err);
	if (r != 0)
		goto out;
	store->seals_kept = (uint64_t)sqlite3_column_int64(stmt, 3);
	seal_count_restore(store->seal, store->seals_kept);
out:
	store_sql_finish(stmt);
	return (r);
}

static int
birth_try(struct store *store, struct seal_root *root, struct leased_err *err)
{
	struct store_db *db = store->writer_db;
	int r;

	if ((r = store_sql_script(db, "BEGIN IMMEDIATE", err)) != 0)
		return (r);
	if ((r = birth_read(store, root, err)) == LEASED_ENOENT &&
	    (r = birth_give(store, root, err)) == 0)
		r = birth_read(store, root, err);
	if (r != 0)
		goto out;
	r = store_sql_run(db, "UPDATE birth SET epoch = ?1 WHERE id = 1",
	    SQL_ARGS(store_sql_int(store->epoch)), NULL, err);
	if (r == 0 && (r = FAILPOINT_ERROR(store_open_birth, err)) == 0)
		r = store_sql_script(db, "COMMIT", err);
out:
	if (r != 0)
		store_sql_rollback(db);
	return (r);
}

static void
seal_forget(struct store *store)
{
	seal_free(store->seal);
	store->seal = NULL;
}

/*
 * On a full disk the reserve makes room for the epoch. Without a reserve the first write that finds
 * room takes it (transaction.c): leased must come up to end leases, and what it ends is written
 * when it can be.
 */
static int
birth_open(struct store *store, struct seal_root *root, struct leased_err *err)
{
	struct leased_err unread = LEASED_ERR_INIT;
	bool had_reserve = store->files.has_reserve;
	int r;

	if ((r = birth_try(store, root, err)) != LEASED_ENOSPC)
		return (r);
	store_health_failed(store, r, err);
	seal_forget(store);
	if (had_reserve && (r = birth_try(store, root, err)) != LEASED_ENOSPC)
		return (r);
	seal_forget(store);
	if ((r = birth_read(store, root, &unread)) == LEASED_ENOENT)
		return (LEASED_ENOSPC); /* a store cannot be born on a full disk */
	if (r != 0) {
		*err = unread;
		return (r);
	}
	store->epoch_is_due = true;
	return (0);
}

int
store_schema_open(struct store *store, struct seal_root *root, struct leased_err *err)
{
	int64_t version = 0;
	int r;

	if ((r = store_schema_version(store, &version, err)) != 0)
		return (r);
	for (; version < VERSION_NEWEST; version++) {
		if ((r = migrate(store, version, err)) != 0) {
			leased_err_prefix(
			    err, "cannot bring the store to schema %lld", (long long)version + 1);
			return (r);
		}
	}
	store->schema = version;
	/* Before the first write to a file whose definitions may be damaged. */
	if ((r = store_model_verify(store, err)) != 0)
		return (r);
	if ((r = birth_open(store, root, err)) != 0)
		return (r);
	if ((r = store_birth_settle(store, err)) != 0)
		return (r);
	return (store_sequences_settle(store, err));
}
