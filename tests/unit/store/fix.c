/*
 * The fixture of the store's unit tests (fix.h).
 */
#include "unit/store/fix.h"

#include <ftw.h>
#include <stdio.h>

struct store_config
fix_config(struct fix *f, const char *dir)
{
	return ((struct store_config){.dir = dir,
	    .inline_mode = true,
	    .root = f->root,
	    .clock = &f->clock.clock,
	    .ids = id_source_system()});
}

void
fix_open(struct fix *f, const char *dir)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct store_config config = fix_config(f, dir);
	int r = store_open(&config, &f->store, &err);

	if (r != 0)
		fail_msg("store_open: %s", err.text);
	f->db = store_db(f->store);
}

int
fix_setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	wclock_fake_init(&f->clock, INT64_C(1795400000000000));
	f->root = seal_root_new_random();
	fix_open(f, NULL);
	*state = f;
	return (0);
}

int
fix_teardown(void **state)
{
	struct fix *f = *state;

	store_close(f->store);
	seal_root_free(f->root);
	free(f);
	return (0);
}

int
fix_op_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct fix_op *f = (struct fix_op *)op;

	return (f->work(txn, f->arg, err));
}

void
fix_op_done(struct store_op *op, int result, const struct leased_err *err)
{
	struct fix_op *f = (struct fix_op *)op;

	assert_false(f->finished);
	f->finished = true;
	f->result = result;
	f->err = *err;
}

struct fix_op
fix_op(fix_work work, void *arg)
{
	return ((struct fix_op){
	    .op = {.run = fix_op_run, .done = fix_op_done}, .work = work, .arg = arg});
}

int
fix_write(struct fix *f, fix_work work, void *arg)
{
	struct fix_op op = fix_op(work, arg);

	store_submit(f->store, &op.op);
	assert_false(op.finished);
	store_pump(f->store);
	assert_true(op.finished);
	return (op.result);
}

struct store_lease *
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

int
fix_lease_insert(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_lease_insert(txn, arg, err));
}

int
fix_lease_update(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_lease_update(txn, arg, err));
}

int64_t
fix_add(struct fix *f, int64_t connection, int64_t next_at_ms, const char *account)
{
	struct store_lease *lease = fix_lease(connection, next_at_ms, account);
	int64_t id;

	assert_int_equal(fix_write(f, fix_lease_insert, lease), 0);
	id = lease->id;
	store_lease_free(lease);
	return (id);
}

void
fix_sql(struct fix *f, const char *text)
{
	char *why = NULL;

	if (sqlite3_exec(f->db->sqlite, text, NULL, NULL, &why) != SQLITE_OK)
		fail_msg("%s: %s", text, why);
}

uint64_t
fix_quarantined(struct fix *f)
{
	struct store_health health;

	store_health_get(f->store, &health);
	return (health.quarantined);
}

static int
on_entry(const char *path, const struct stat *st, int what, struct FTW *where)
{
	(void)st;
	(void)what;
	(void)where;
	return (remove(path));
}

void
fix_remove(const char *dir)
{
	assert_int_equal(nftw(dir, on_entry, 8, FTW_DEPTH | FTW_PHYS), 0);
}
