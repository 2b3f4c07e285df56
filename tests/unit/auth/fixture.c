/*
 * The fixture of the tests of auth/ and api/, see fixture.h.
 */
#include "unit/auth/fixture.h"

#define START_US (INT64_C(1790000000) * 1000000)
#define TTL_S 2764800

static struct plugin_port *
on_port_for(void *arg, int64_t connection)
{
	(void)arg;
	(void)connection;
	return (NULL);
}

static const char *
on_mount_path(void *arg, int64_t mount)
{
	(void)arg;
	return (mount == MOUNT ? "database/" : NULL);
}

static void
open_auth(struct fix *f)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct auth_config config = {.store = f->store,
	    .leases = f->leases,
	    .clock = &f->clock.clock,
	    .ids = &f->ids.source,
	    .default_ttl_s = TTL_S,
	    .max_ttl_s = TTL_S,
	    .dev = true,
	    .own_uid = 999};

	if (auth_new(&config, &f->auth, &err) != 0)
		fail_msg("auth_new: %s", err.text);
}

struct fix *
fix_new(void)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct leased_err err = LEASED_ERR_INIT;
	struct store_config store = {.inline_mode = true};
	struct leases_config leases = {.port_for = on_port_for, .mount_path = on_mount_path};
	int code = 1;

	assert_non_null(f);
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	wclock_fake_init(&f->clock, START_US);
	id_source_seeded_init(&f->ids, 1);
	f->root = seal_root_new_random();
	store.root = f->root;
	store.clock = &f->clock.clock;
	store.ids = &f->ids.source;
	if (store_open(&store, &f->store, &err) != 0)
		fail_msg("store_open: %s", err.text);
	leases.store = f->store;
	leases.clock = &f->clock.clock;
	leases.ids = &f->ids.source;
	if (leases_new(&leases, &f->leases, &err) != 0)
		fail_msg("leases_new: %s", err.text);
	open_auth(f);
	f->root_identity = login_peer(f, 0, 0, 0, &code);
	assert_int_equal(code, 0);
	return (f);
}

void
fix_reopen_auth(struct fix *f)
{
	int code;

	auth_identity_release(f->root_identity);
	auth_free(f->auth);
	open_auth(f);
	f->root_identity = login_peer(f, 0, 0, 0, &code);
}

void
fix_free(struct fix *f)
{
	auth_identity_release(f->root_identity);
	leases_free(f->leases);
	store_close(f->store);
	auth_free(f->auth);
	seal_root_free(f->root);
	free(f);
}

int
fix_setup(void **state)
{
	*state = fix_new();
	return (0);
}

int
fix_teardown(void **state)
{
	fix_free(*state);
	return (0);
}

void
settle(struct fix *f)
{
	unsigned quiet = 0;

	while (quiet < 3) {
		int64_t wait_ms = leases_tick(f->leases);

		quiet = store_pump(f->store) == 0 && wait_ms > 0 ? quiet + 1 : 0;
	}
}

void
later(struct fix *f, int64_t ms)
{
	for (int64_t step; ms > 0; ms -= step) {
		step = ms < 500 ? ms : 500;
		wclock_fake_advance(&f->clock, step * 1000);
		settle(f);
	}
}

/* ---- tokens ---- */

void
token_answer_clear(struct token_answer *answer)
{
	json_decref(answer->data);
	json_decref(answer->warnings);
	answer->data = answer->warnings = NULL;
}

static void
on_token(
    void *arg, int code, const struct auth_token_created *created, const struct leased_err *err)
{
	struct token_answer *answer = arg;

	answer->count++;
	answer->code = code;
	if (code != 0) {
		answer->err = *err;
		return;
	}
	if (created->token != NULL)
		(void)snprintf(
		    answer->text, sizeof(answer->text), "%s", leased_secret_reveal(created->token));
	(void)snprintf(answer->accessor, sizeof(answer->accessor), "%s", created->accessor);
	answer->id = created->id;
	answer->ttl_s = created->ttl_s;
	answer->data = json_incref((json_t *)(uintptr_t)created->data);
	answer->warnings = json_incref((json_t *)(uintptr_t)created->warnings);
}

struct token_answer
make_with(struct fix *f, const struct auth_identity *creator, bool sudo,
    struct auth_token_params *params, const char *policy)
{
	struct token_answer answer = {0};
	char *items[1];

	if (policy != NULL) {
		items[0] = (char *)(uintptr_t)policy;
		params->policies.items = items;
		params->policies.count = 1;
	}
	auth_token_create(f->auth, creator != NULL ? creator : f->root_identity, sudo,
	    "auth/token/create", params, on_token, &answer);
	settle(f);
	assert_int_equal(answer.count, 1);
	return (answer);
}

struct token_answer
make(struct fix *f, const struct auth_identity *creator, bool sudo, const char *policy,
    int64_t ttl_s)
{
	struct auth_token_params params = {.renewable = true, .ttl_s = ttl_s};

	return (make_with(f, creator, sudo, &params, policy));
}

struct token_answer
renew(struct fix *f, int64_t id, int64_t increment_s)
{
	struct token_answer answer = {0};
	struct auth_token token = {0};

	if ((answer.code = auth_token_find_id(f->auth, id, &token, &answer.err)) != 0)
		return (answer);
	auth_token_renew(f->auth, &token, increment_s, on_token, &answer);
	auth_token_clear(&token);
	settle(f);
	assert_int_equal(answer.count, 1);
	return (answer);
}

static void
on_job(void *arg, int code, const struct lease_job_status *status, const struct leased_err *err)
{
	(void)status;
	(void)err;
	*(int *)arg = code;
}

void
revoke(struct fix *f, int64_t id)
{
	int code = 1;

	auth_token_revoke(f->auth, id, 0, "test", NULL, on_job, &code);
	settle(f);
	assert_int_equal(code, 0);
}

/* ---- logins ---- */

struct login {
	unsigned count;
	int code;
	struct leased_err err;
	struct auth_identity *identity;
};

static void
on_login(void *arg, int code, struct auth_identity *identity, const struct leased_err *err)
{
	struct login *login = arg;

	login->count++;
	login->code = code;
	if (code == 0)
		login->identity = auth_identity_acquire(identity);
	else
		login->err = *err;
}

struct auth_identity *
login(struct fix *f, const char *token, struct leased_err *ret_err)
{
	struct http_peer peer = {.kind = HTTP_PEER_TCP};
	struct login answer = {0};

	auth_authenticate(f->auth, token, &peer, on_login, &answer);
	(void)store_pump(f->store);
	assert_int_equal(answer.count, 1);
	if (ret_err != NULL)
		*ret_err = answer.err;
	return (answer.identity);
}

struct auth_identity *
login_peer(struct fix *f, uid_t uid, gid_t gid, gid_t group, int *ret_code)
{
	struct http_peer peer = {.kind = HTTP_PEER_UNIX,
	    .uid = uid,
	    .gid = gid,
	    .groups = &group,
	    .group_count = group != 0};
	struct login answer = {0};

	auth_authenticate(f->auth, NULL, &peer, on_login, &answer);
	(void)store_pump(f->store);
	assert_int_equal(answer.count, 1);
	*ret_code = answer.code;
	return (answer.identity);
}

bool
passes(struct fix *f, const char *token)
{
	struct auth_identity *identity = login(f, token, NULL);
	bool passed = identity != NULL;

	auth_identity_release(identity);
	return (passed);
}

/* ---- documents and leases ---- */

static void
on_written(void *arg, int code, const struct leased_err *err)
{
	(void)err;
	*(int *)arg = code;
}

int
put_policy(struct fix *f, const char *name, const char *text)
{
	int code = 1;

	auth_policy_put(f->auth, name, text, on_written, &code);
	settle(f);
	return (code);
}

int
put_role(struct fix *f, const char *name, const char *json)
{
	json_t *body = json_loads(json, 0, NULL), *data = NULL, *unknown = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	int code;

	assert_non_null(body);
	code = auth_unix_role_check(f->auth, name, body, &data, &unknown, &err);
	if (code == 0) {
		auth_unix_role_put(f->auth, name, data, on_written, &code);
		settle(f);
	}
	json_decref(body);
	json_decref(unknown);
	return (code);
}

struct lease_op {
	struct store_op op; /* first */
	struct store_lease row;
};

static int
on_lease_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	return (store_lease_insert(txn, &((struct lease_op *)op)->row, err));
}

int64_t
put_lease(struct fix *f, const char *owner, const char *entity)
{
	return (put_lease_at(f, "creds/app", owner, entity));
}

int64_t
put_lease_at(struct fix *f, const char *at, const char *owner, const char *entity)
{
	struct lease_op own = {.op.run = on_lease_run};
	char place[64], account[] = "l-account", owner_text[64];

	(void)snprintf(place, sizeof(place), "%s", at);
	(void)snprintf(owner_text, sizeof(owner_text), "%s", owner);
	own.row.state = STORE_LEASE_LIVE;
	own.row.kind = STORE_LEASE_CREDENTIAL;
	own.row.connection = 99;
	own.row.mount = MOUNT;
	own.row.next_at_ms = INT64_MAX / 2;
	own.row.place = place;
	own.row.account = account;
	own.row.owner = owner_text;
	own.row.data = json_pack("{s:s}", "entity", entity);
	id_base62(&f->ids.source, STORE_LEASE_RANDOM_LEN, own.row.random);
	store_submit(f->store, &own.op);
	(void)store_pump(f->store);
	json_decref(own.row.data);
	assert_true(own.row.id > 0);
	return (own.row.id);
}

bool
lease_is_marked(struct fix *f, int64_t id)
{
	struct store_lease *row = NULL;
	struct leased_err err;
	bool marked;

	assert_int_equal(store_lease_get(store_db(f->store), id, &row, &err), 0);
	marked = row->revoke;
	store_lease_free(row);
	return (marked);
}
