/*
 * A store for unit tests, inline and in memory, and shorthand for one write that is run at once.
 */
#ifndef UNIT_STORE_FIX_H
#define UNIT_STORE_FIX_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include <leased/secret.h>

#include "store/store_private.h"

struct fix {
	struct wclock_fake clock;
	struct seal_root *root;
	struct store *store;
	struct store_db *db;
};

static inline struct store_config
fix_config(struct fix *f, const char *dir)
{
	return ((struct store_config){.dir = dir,
	    .inline_mode = true,
	    .root = f->root,
	    .clock = &f->clock.clock,
	    .ids = id_source_system()});
}

static inline void
fix_open(struct fix *f, const char *dir)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_config config = fix_config(f, dir);
	int r = store_open(&config, &f->store, &err);

	if (r != 0)
		fail_msg("store_open: %s", err.text);
	f->db = store_db(f->store);
}

static inline int
fix_setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	wclock_fake_init(&f->clock, INT64_C(1795400000000000));
	f->root = seal_root_new_random();
	fix_open(f, NULL);
	*state = f;
	return (0);
}

static inline int
fix_teardown(void **state)
{
	struct fix *f = *state;

	store_close(f->store);
	seal_root_free(f->root);
	free(f);
	return (0);
}

/* One write: `work` sees arg inside the transaction; its result comes back. */
typedef int (*fix_work)(struct store_txn *txn, void *arg, struct leased_err *err);
struct fix_op {
	struct store_op op; /* first */
	fix_work work;
	void *arg;
	int result;
	bool finished;
	struct leased_err err;
};

static inline int
fix_op_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct fix_op *f = (struct fix_op *)op;

	return (f->work(txn, f->arg, err));
}

static inline void
fix_op_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct fix_op *f = (struct fix_op *)op;

	assert_false(f->finished);
	f->finished = true;
	f->result = result;
	f->err = *err;
}

static inline struct fix_op
fix_op(fix_work work, void *arg)
{
	return ((struct fix_op){
	    .op = {.run = fix_op_run, .done = fix_op_done}, .work = work, .arg = arg});
}

static inline int
fix_write(struct fix *f, fix_work work, void *arg)
{
	struct fix_op op = fix_op(work, arg);

	store_submit(f->store, &op.op);
	assert_false(op.finished);
	store_pump(f->store);
	assert_true(op.finished);
	return (op.result);
}

/* A lease with all fields in use; next_at_ms and account tell rows apart. */
static inline struct store_lease *
fix_lease(int64_t connection, int64_t next_at_ms, const char *account)
{
	struct store_lease *lease = calloc(1, sizeof(*lease));

	lease->state = STORE_LEASE_INTENT;
	lease->kind = STORE_LEASE_CREDENTIAL;
	lease->connection = connection;
	lease->mount = 3;
	lease->next_at_ms = next_at_ms;
	memcpy(lease->random, "0123456789abcdef", 17);
	lease->place = strdup("creds/app");
	lease->account = strdup(account);
	lease->owner = strdup("entity:7");
	lease->data = json_pack("{s:i,s:s}", "ttl_s", 60, "server", "7203-ä");
	return (lease);
}

static inline int
fix_lease_insert(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_lease_insert(txn, arg, err));
}

static inline int
fix_lease_update(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_lease_update(txn, arg, err));
}

/* Inserts a lease and frees the struct; its id. */
static inline int64_t
fix_add(struct fix *f, int64_t connection, int64_t next_at_ms, const char *account)
{
	struct store_lease *lease = fix_lease(connection, next_at_ms, account);
	int64_t id;

	assert_int_equal(fix_write(f, fix_lease_insert, lease), 0);
	id = lease->id;
	store_lease_free(lease);
	return (id);
}

/* Raw SQL, behind the store's back. */
static inline void
fix_sql(struct fix *f, const char *text)
{
	char *why = NULL;

	if (sqlite3_exec(f->db->sqlite, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", text, why);
}

static inline uint64_t
fix_quarantined(struct fix *f)
{
	struct store_health health;

	store_health_get(f->store, &health);
	return (health.quarantined);
}

#endif
