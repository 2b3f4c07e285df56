/*
 * Fills the store of a leased that is not running with live leases, as many mints would have, for
 * benchmarks and start-up tests. fill DATA_DIR ROOT_KEY_FILE ROLE COUNT [--overdue | --ends FROM
 * TO] [--accounts FILE] [--plain]: leases of database/creds/ROLE, whose role and connection were
 * configured before. They end in 30 days, or are overdue, or end evenly between two moments
 * (milliseconds of the wall clock). FILE holds "ACCOUNT HANDLE" lines; without it the accounts
 * exist nowhere.
 * --plain: opaque tokens of token/creds/ROLE, which nobody has.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "lease/record.h"
#include "store/store.h"

#define ROWS_AN_OP 500
#define NO_MAC "0000000000000000000000000000000000000000000000000000000000000000"
#define MONTH_MS (30LL * 24 * 3600 * 1000)

struct fill {
	struct store_op op; /* first */
	struct store *store;
	int64_t mount, connection, ceiling, role_version; /* ceiling: whose leases are counted */
	const char *role;
	int64_t issued_ms, ends_ms, spread_ms;
	long done, count;
	FILE *accounts;
	bool failed, plain;
};

static int
row_make(struct fill *fill, struct store_lease **ret_row)
{
	int64_t ends_ms = fill->ends_ms + fill->spread_ms * fill->done / fill->count;
	struct lease_data data = {.issued_ms = fill->issued_ms,
	    .issued_wall_ms = fill->issued_ms,
	    .expires_ms = ends_ms,
	    .ttl_s = MONTH_MS / 1000,
	    .role_version = fill->role_version,
	    .mint_over = true,
	    .delivered = true,
	    .run = "fill",
	    .display = "root",
	    .cause = "fill"};
	struct store_lease *row = calloc(1, sizeof(*row));
	char place[128], account[128], line[256];

	(void)snprintf(place, sizeof(place), "creds/%s", fill->role);
	(void)snprintf(data.role, sizeof(data.role), "%s", fill->role);
	(void)snprintf(
	    account, sizeof(account), "l-%s-fill-%010ld", store_tag(fill->store), fill->done);
	if (fill->accounts != NULL && (fgets(line, sizeof(line), fill->accounts) == NULL ||
					  sscanf(line, "%127s %64s", account, data.handle) != 2))
		return (-1);
	data.caps_count = 1;
	(void)snprintf(data.caps[0], sizeof(data.caps[0]), "conn:%lld", (long long)fill->ceiling);
	row->state = STORE_LEASE_LIVE;
	row->kind = fill->plain ? STORE_LEASE_PLAIN : STORE_LEASE_CREDENTIAL;
	row->connection = fill->connection;
	row->mount = fill->mount;
	row->next_at_ms = ends_ms;
	id_base62(id_source_system(), STORE_LEASE_RANDOM_LEN, row->random);
	row->place = strdup(place);
	row->account = strdup(fill->plain ? "" : account);
	row->owner = strdup("entity:");
	row->data = lease_data_encode(&data);
	if (fill->plain)
		(void)json_object_set_new(row->data, "engine",
		    json_pack("{s:s, s:s, s:s, s:s, s:s, s:[], s:s}", "type", "token", "kind",
			"opaque", "mac", NO_MAC, "prefix", "lsd", "scope", "read write", "aud",
			"iss", ""));
	*ret_row = row;
	return (0);
}

static int
fill_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct fill *fill = (struct fill *)op;
	struct store_lease *row = NULL;
	char counter[64];
	int64_t before = 0;
	int i, r;

	for (i = 0; i < ROWS_AN_OP && fill->done < fill->count; i++, fill->done++) {
		if (row_make(fill, &row) != 0)
			return (leased_err_set(err, LEASED_EINVAL, "too few lines of accounts"));
		r = store_lease_insert(txn, row, err);
		store_lease_free(row);
		if (r != 0)
			return (r);
	}
	(void)snprintf(counter, sizeof(counter), "conn:%lld", (long long)fill->ceiling);
	if ((r = store_counter_get(store_txn_db(txn), counter, &before, err)) != 0 &&
	    r != LEASED_ENOENT)
		return (r);
	return (store_counter_set(txn, counter, before + i, err));
}

static void
fill_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct fill *fill = (struct fill *)op;

	if (result != 0) {
		(void)fprintf(stderr, "fill: %s\n", err->text);
		fill->failed = true;
	}
}

static int64_t
doc_find(struct store *store, const char *kind, const char *name, const char *field)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc *doc = NULL;
	int64_t value;

	if (store_doc_get(store_db(store), kind, name, &doc, &err) != 0) {
		(void)fprintf(stderr, "fill: %s %s: %s\n", kind, name, err.text);
		exit(1);
	}
	value = field != NULL ? json_integer_value(json_object_get(doc->data, field)) : doc->id;
	store_doc_free(doc);
	return (value);
}

static int
fill_prepare(struct fill *fill, int argc, char **argv)
{
	char name[300];
	int i;

	fill->role = argv[3];
	fill->count = (long)strtonum(argv[4], 1, 100000000, NULL);
	fill->issued_ms = wclock_wall_ms(wclock_system());
	fill->ends_ms = fill->issued_ms + MONTH_MS;
	for (i = 5; i < argc; i++) {
		if (strcmp(argv[i], "--overdue") == 0)
			fill->ends_ms = fill->issued_ms - 1000;
		else if (strcmp(argv[i], "--ends") == 0 && i + 2 < argc) {
			fill->ends_ms = strtoll(argv[++i], NULL, 10);
			fill->spread_ms = strtoll(argv[++i], NULL, 10) - fill->ends_ms;
		} else if (strcmp(argv[i], "--plain") == 0) {
			fill->plain = true;
		} else if (strcmp(argv[i], "--accounts") != 0 || i + 1 == argc ||
			   (fill->accounts = fopen(argv[++i], "re")) == NULL)
			return (-1);
	}
	fill->op.run = fill_run;
	fill->op.done = fill_done;
	fill->mount = doc_find(fill->store, "mount", fill->plain ? "token/" : "database/", NULL);
	fill->ceiling = fill->mount;
	if (fill->plain)
		return (0);
	(void)snprintf(name, sizeof(name), "%lld/%s", (long long)fill->mount, fill->role);
	fill->role_version = doc_find(fill->store, "role", name, "role_version");
	(void)snprintf(name, sizeof(name), "%lld/main", (long long)fill->mount);
	fill->connection = fill->ceiling = doc_find(fill->store, "connection", name, NULL);
	return (0);
}

int
main(int argc, char **argv)
{
	struct store_config config = {
	    .inline_mode = true, .clock = wclock_system(), .ids = id_source_system()};
	struct leased_err err = LEASED_ERR_INIT;
	struct fill fill = {0};
	bool created;

	if (argc < 5 || leased_secret_setup(&err) != 0)
		return (2);
	log_setup(LOG_LEVEL_WARN, LOG_FORMAT_TEXT);
	config.dir = argv[1];
	if (seal_root_open_file(argv[2], false, &config.root, &created, &err) != 0 ||
	    store_open(&config, &fill.store, &err) != 0) {
		(void)fprintf(stderr, "fill: %s\n", err.text);
		return (1);
	}
	if (fill_prepare(&fill, argc, argv) != 0)
		return (2);
	while (fill.done < fill.count && !fill.failed) {
		store_submit(fill.store, &fill.op);
		(void)store_pump(fill.store);
	}
	store_close(fill.store);
	seal_root_free(config.root);
	return (fill.failed ? 1 : 0);
}
