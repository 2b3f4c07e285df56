/*
 * Tokens for the lease tests, as auth/ makes them, see fixture.h.
 */
#include "unit/lease/fixture.h"

struct token_op {
	struct store_op op;
	struct store_lease *row;
	struct store_token token;
	int64_t now_ms;
};

static int
on_token_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct token_op *own = (struct token_op *)op;
	int r;

	if (own->token.parent != 0 &&
	    (r = lease_token_alive(txn, own->token.parent, own->now_ms, err)) != 0)
		return (r);
	if ((r = store_lease_insert(txn, own->row, err)) != 0)
		return (r);
	own->token.id = own->row->id;
	return (store_token_insert(txn, &own->token, err));
}

int64_t
token_make(struct fix *f, int64_t parent, int64_t ttl_s)
{
	static unsigned number;
	struct token_op own = {.op.run = on_token_run, .token.uses_left = -1};
	struct leased_err err = LEASED_ERR_INIT;
	json_t *data = json_pack("{s:s}", "of", "auth");

	own.now_ms = leases_now_ms(f->leases);
	own.token.parent = parent;
	number++;
	memcpy(own.token.mac, &number, sizeof(number));
	snprintf(own.token.accessor, sizeof(own.token.accessor), "%024u", number);
	assert_int_equal(lease_token_row(ttl_s != 0 ? own.now_ms + ttl_s * 1000 : 0,
			     "auth/token/create", data, &f->ids.source, &own.row, &err),
	    0);
	json_decref(data);
	store_submit(f->store, &own.op);
	store_pump(f->store);
	store_lease_free(own.row);
	if (own.op.result != 0)
		return (own.op.result);
	lease_connections_due(f->leases);
	return (own.token.id);
}

bool
token_is_there(struct fix *f, int64_t id)
{
	struct store_token token;
	struct leased_err err = LEASED_ERR_INIT;
	int r = store_token_get_id(store_db(f->store), id, &token, &err);

	assert_true(r == 0 || r == LEASED_ENOENT);
	assert_int_equal(r == 0, row_of(f, id) != NULL);
	return (r == 0);
}
