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

struct store_config fix_config(struct fix *f, const char *dir);
void fix_open(struct fix *f, const char *dir);
int fix_setup(void **state);
int fix_teardown(void **state);
int fix_op_run(struct store_op *op, struct store_txn *txn, struct leased_err *err);
void fix_op_done(struct store_op *op, int result, const struct leased_err *err);
struct fix_op fix_op(fix_work work, void *arg);
int fix_write(struct fix *f, fix_work work, void *arg);
/* A lease with all fields in use; next_at_ms and account tell rows apart. */
struct store_lease *fix_lease(int64_t connection, int64_t next_at_ms, const char *account);
int fix_lease_insert(struct store_txn *txn, void *arg, struct leased_err *err);
int fix_lease_update(struct store_txn *txn, void *arg, struct leased_err *err);
/* Inserts a lease and frees the struct; its id. */
int64_t fix_add(struct fix *f, int64_t connection, int64_t next_at_ms, const char *account);
/* Raw SQL, behind the store's back. */
void fix_sql(struct fix *f, const char *text);
/* A directory and all in it. */
void fix_remove(const char *dir);
uint64_t fix_quarantined(struct fix *f);

#endif
