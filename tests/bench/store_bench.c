/*
 * Durable writes a second through the store against SQLite itself: the same tables, indexes, row
 * sizes and batch sizes, in turns in one run. Prints one JSON object; DESIGN.md names the
 * goal. `store_bench DIR [SECONDS]`: DIR on the disk to be measured.
 */
#include <event2/event.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <leased/secret.h>

#include "store/store_private.h"

#define ROWS_UPDATED 4096
#define OUTSTANDING_MAX 512

static const unsigned batches[] = {1, 8, 64, 512};
#define BATCHES (sizeof(batches) / sizeof(batches[0]))
#define ROUNDS 5

static double
now_s(void)
{
	struct timespec at;

	clock_gettime(CLOCK_MONOTONIC, &at);
	return ((double)at.tv_sec + (double)at.tv_nsec / 1e9);
}

static _Noreturn void
die(const char *what, const char *why)
{
	fprintf(stderr, "store_bench: %s: %s\n", what, why);
	exit(1);
}

static uint64_t
next_random(void)
{
	static uint64_t state = 88172645463325252u;

	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (state);
}

/* Shape and size of a database lease: its sealed value has about 400 bytes. */
static struct store_lease *
lease_new(void)
{
	struct store_lease *lease = calloc(1, sizeof(*lease));

	if (lease == NULL)
		die("lease", "no memory");
	lease->state = STORE_LEASE_INTENT;
	lease->kind = STORE_LEASE_CREDENTIAL;
	lease->connection = 5;
	lease->mount = 3;
	memcpy(lease->random, "0123456789abcdef", 17);
	lease->place = strdup("creds/shop-rw");
	lease->owner = strdup("entity:17");
	lease->account = calloc(1, 64);
	lease->data =
	    json_pack("{s:I,s:I,s:I,s:I,s:s,s:s,s:i,s:s}", "issued_ms", (json_int_t)1795400000000,
		"expire_ms", (json_int_t)1795403600000, "ttl_ms", (json_int_t)3600000, "max_ttl_ms",
		(json_int_t)86400000, "handle", "16384", "server", "7203685477580712345",
		"role_version", 12, "request", "0b6d0a0e-3c1e-4f5e-9d0e-6a1f0c2b7d11");
	return (lease);
}

static void
lease_renew(struct store_lease *lease)
{
	lease->next_at_ms = (int64_t)(next_random() % 100000000);
}

static void
lease_rename(struct store_lease *lease)
{
	lease_renew(lease);
	snprintf(lease->account, 64, "l-a1b2c3-shop-rw-%016llx", (unsigned long long)next_random());
}

/* ---- SQLite itself ---- */

struct raw {
	sqlite3 *sqlite;
	sqlite3_stmt *begin, *insert, *update, *commit;
	uint8_t sum[16], *sealed;
	int sealed_len;
	int64_t rows;
};

static sqlite3_stmt *
raw_prepare(struct raw *raw, const char *text)
{
	sqlite3_stmt *stmt = NULL;

	if (sqlite3_prepare_v2(raw->sqlite, text, -1, &stmt, NULL) != SQLITE_OK)
		die(text, sqlite3_errmsg(raw->sqlite));
	return (stmt);
}

/* path: a file that the store has made, with its tables and indexes. SQLite's own checkpoints. */
static void
raw_open(struct raw *raw, const char *path, int sealed_len)
{
	if (sqlite3_open(path, &raw->sqlite) != SQLITE_OK ||
	    sqlite3_exec(raw->sqlite,
		"PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-4096", NULL,
		NULL, NULL) != SQLITE_OK)
		die(path, sqlite3_errmsg(raw->sqlite));
	raw->begin = raw_prepare(raw, "BEGIN IMMEDIATE");
	raw->insert = raw_prepare(raw,
	    "INSERT INTO lease (version, state, kind, connection, mount, next_at, flags, place,"
	    " account, owner, sum, sealed)"
	    " VALUES (1, 1, 1, 5, 3, ?1, 0, 'creds/shop-rw', ?2, 'entity:17', ?3, ?4)");
	raw->update = raw_prepare(raw,
	    "UPDATE lease SET version = version + 1, state = 2, next_at = ?1, flags = 0, sum = ?2,"
	    " sealed = ?3 WHERE id = ?4");
	raw->commit = raw_prepare(raw, "COMMIT");
	raw->sealed = calloc(1, (size_t)sealed_len);
	raw->sealed_len = sealed_len;
}

static void
raw_step(struct raw *raw, sqlite3_stmt *stmt)
{
	if (sqlite3_step(stmt) != SQLITE_DONE)
		die("raw", sqlite3_errmsg(raw->sqlite));
	sqlite3_reset(stmt);
}

static void
raw_one(struct raw *raw, bool update, struct store_lease *lease)
{
	sqlite3_stmt *stmt = update ? raw->update : raw->insert;
	uint64_t *random = (uint64_t *)(void *)raw->sum;

	random[0] = next_random();
	memcpy(raw->sealed, random, 8);
	if (update) {
		lease_renew(lease);
		sqlite3_bind_int64(stmt, 1, lease->next_at_ms);
		sqlite3_bind_blob(stmt, 2, raw->sum, 16, SQLITE_STATIC);
		sqlite3_bind_blob(stmt, 3, raw->sealed, raw->sealed_len, SQLITE_STATIC);
		sqlite3_bind_int64(stmt, 4, (int64_t)(next_random() % ROWS_UPDATED) + 1);
	} else {
		lease_rename(lease);
		sqlite3_bind_int64(stmt, 1, lease->next_at_ms);
		sqlite3_bind_text(stmt, 2, lease->account, -1, SQLITE_STATIC);
		sqlite3_bind_blob(stmt, 3, raw->sum, 16, SQLITE_STATIC);
		sqlite3_bind_blob(stmt, 4, raw->sealed, raw->sealed_len, SQLITE_STATIC);
	}
	raw_step(raw, stmt);
}

static double
raw_run(struct raw *raw, bool update, unsigned batch, double seconds)
{
	struct store_lease *lease = lease_new();
	double start = now_s(), end = start;
	uint64_t count = 0;

	for (; end - start < seconds; end = now_s()) {
		raw_step(raw, raw->begin);
		for (unsigned i = 0; i < batch; i++)
			raw_one(raw, update, lease);
		raw_step(raw, raw->commit);
		count += batch;
	}
	store_lease_free(lease);
	return ((double)count / (end - start));
}

/* ---- the store ---- */

struct bench {
	struct store *store;
	struct event_base *loop;
	struct slot {
		struct store_op op; /* first */
		struct bench *bench;
		struct store_lease *lease;
	} slots[OUTSTANDING_MAX];
	struct store_lease *rows[ROWS_UPDATED]; /* for updates: each belongs to one slot */
	bool update;
	unsigned outstanding, under_way;
	uint64_t count;
	double end_s;
};

static int
run_slot(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct slot *slot = (struct slot *)op;

	if (slot->bench->update)
		return (store_lease_update(txn, slot->lease, err));
	slot->lease->id = 0;
	return (store_lease_insert(txn, slot->lease, err));
}

static void
slot_submit(struct slot *slot)
{
	struct bench *bench = slot->bench;
	size_t index = (size_t)(slot - bench->slots);
	size_t share = ROWS_UPDATED / bench->outstanding;

	if (bench->update) {
		slot->lease = bench->rows[index * share + next_random() % share];
		lease_renew(slot->lease);
	} else {
		lease_rename(slot->lease);
	}
	bench->under_way++;
	store_submit(bench->store, &slot->op);
}

static void
on_slot_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct slot *slot = (struct slot *)op;
	struct bench *bench = slot->bench;

	if (result != 0)
		die("store", err->text);
	bench->under_way--;
	bench->count++;
	if (now_s() < bench->end_s)
		slot_submit(slot);
	else if (bench->under_way == 0)
		event_base_loopbreak(bench->loop);
}

static double
store_run(struct bench *bench, bool update, unsigned outstanding, double seconds)
{
	double start = now_s();

	bench->update = update;
	bench->outstanding = outstanding;
	bench->count = 0;
	bench->end_s = start + seconds;
	for (unsigned i = 0; i < outstanding; i++) {
		struct slot *slot = &bench->slots[i];

		slot->op = (struct store_op){.run = run_slot, .done = on_slot_done};
		slot->bench = bench;
		if (!update)
			slot->lease = lease_new();
		slot_submit(slot);
	}
	event_base_dispatch(bench->loop);
	for (unsigned i = 0; i < outstanding && !update; i++)
		store_lease_free(bench->slots[i].lease);
	return ((double)bench->count / (now_s() - start));
}

static struct store *
store_make(const char *dir, struct seal_root *root, struct event_base *loop)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_config config = {.dir = dir,
	    .inline_mode = loop == NULL,
	    .loop = loop,
	    .root = root,
	    .clock = wclock_system(),
	    .ids = id_source_system()};
	struct store *store = NULL;

	if (store_open(&config, &store, &err) != 0)
		die(dir, err.text);
	return (store);
}

struct fill {
	struct store_op op; /* first */
	struct store_lease **rows;
};

static int
run_fill(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct fill *fill = (struct fill *)op;
	int r;

	for (size_t i = 0; i < ROWS_UPDATED; i++) {
		fill->rows[i] = lease_new();
		lease_rename(fill->rows[i]);
		if ((r = store_lease_insert(txn, fill->rows[i], err)) != 0)
			return (r);
	}
	return (0);
}

static int64_t
sealed_len_of(struct store *store)
{
	int64_t len = 0;

	if (store_sql_number(store->writer_db, "SELECT length(sealed) FROM lease LIMIT 1",
		SQL_NO_ARGS, &len, NULL) != 0)
		die("store", "no row");
	return (len);
}

/* Both databases begin with the same ROWS_UPDATED rows. */
static void
both_open(const char *dir, struct raw *raw, struct bench *bench)
{
	struct seal_root *root = seal_root_new_random();
	char raw_dir[512], store_dir[512], path[600];
	struct fill fill = {.op = {.run = run_fill}, .rows = bench->rows};
	struct store *store;
	int64_t sealed_len;

	snprintf(raw_dir, sizeof(raw_dir), "%s/raw", dir);
	snprintf(store_dir, sizeof(store_dir), "%s/store", dir);
	snprintf(path, sizeof(path), "%s/leased.db", raw_dir);
	store = store_make(raw_dir, root, NULL);
	store_submit(store, &fill.op);
	store_pump(store);
	sealed_len = sealed_len_of(store);
	store_close(store);
	raw_open(raw, path, (int)sealed_len);
	for (size_t i = 0; i < ROWS_UPDATED; i++)
		store_lease_free(bench->rows[i]);
	store = store_make(store_dir, root, NULL);
	store_submit(store, &fill.op);
	store_pump(store);
	store_close(store);
	bench->loop = event_base_new();
	bench->store = store_make(store_dir, root, bench->loop);
	seal_root_free(root);
}

static int
compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return ((x > y) - (x < y));
}

static double
median(double *values)
{
	qsort(values, ROUNDS, sizeof(*values), compare_doubles);
	return (values[ROUNDS / 2]);
}

static void
measure(struct raw *raw, struct bench *bench, bool update, unsigned batch, double seconds)
{
	double raws[ROUNDS], stores[ROUNDS], ratios[ROUNDS];
	struct store_health before, after;

	store_health_get(bench->store, &before);
	for (int i = 0; i < ROUNDS; i++) {
		raws[i] = raw_run(raw, update, batch, seconds);
		stores[i] = store_run(bench, update, batch, seconds);
		ratios[i] = stores[i] / raws[i];
	}
	store_health_get(bench->store, &after);
	printf("%s\n  {\"op\": \"%s\", \"batch\": %u, \"raw_per_s\": %.0f, \"store_per_s\": %.0f, "
	       "\"ratio\": %.2f, \"mean_group\": %.1f}",
	    batch == 1 && !update ? "" : ",", update ? "update" : "insert", batch, median(raws),
	    median(stores), median(ratios),
	    (double)(after.operations - before.operations) /
		(double)(after.commits - before.commits));
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	static struct bench bench;
	struct raw raw = {0};
	double seconds = argc > 2 ? strtod(argv[2], NULL) : 1.0;

	if (argc < 2)
		die("usage", "store_bench DIR [SECONDS]");
	if (leased_secret_setup(NULL) != 0)
		return (1);
	both_open(argv[1], &raw, &bench);
	printf("{\"goal\": 0.8, \"results\": [");
	for (int update = 0; update < 2; update++) {
		for (size_t i = 0; i < BATCHES; i++)
			measure(&raw, &bench, update != 0, batches[i], seconds);
	}
	printf("\n]}\n");
	store_close(bench.store);
	return (0);
}
