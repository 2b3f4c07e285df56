/*
 * The fixture of the lease tests, see fixture.h.
 */
#include "unit/lease/fixture.h"

#include <event2/event.h>

#define START_US (INT64_C(1790000000) * 1000000)

static struct plugin_port *
port_for(void *arg, int64_t connection)
{
	struct fix *f = arg;

	return (!f->no_port && connection == f->connection ? fake_port_port(f->fake) : NULL);
}

static const char *
mount_path(void *arg, int64_t mount)
{
	struct fix *f = arg;

	return (mount == f->mount ? "database/" : NULL);
}

static int64_t
mount_of(void *arg, int64_t connection)
{
	struct fix *f = arg;

	return (f->by_itself && connection == f->connection ? f->mount : 0);
}

static int
plain_ended(struct store_txn *txn, const struct lease_plain_ended *ended, struct leased_err *err)
{
	if (json_integer_value(json_object_get(ended->engine, "n")) != 7)
		return (bug(err, "the engine's object is lost"));
	return (ended->left_ms > 0 ? store_take(txn, "ended-early", INT64_MAX, err) : 0);
}

struct doc_op {
	struct store_op op;
	struct store_doc doc;
	bool is_done;
};

static int
on_doc_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	return (store_doc_put(txn, &((struct doc_op *)op)->doc, err));
}

static void
on_doc_done(struct store_op *op, int result, const struct leased_err *err)
{
	if (result != 0)
		fail_msg("%s", err->text);
	((struct doc_op *)op)->is_done = true;
}

static void
wake(void *arg)
{
	leases_timer_wake(((struct fix *)arg)->timer);
}

static int64_t
doc_put(struct fix *f, const char *kind, const char *name, const char *json)
{
	struct doc_op own = {.op.run = on_doc_run};
	char kind_text[32], name_text[32];

	snprintf(kind_text, sizeof(kind_text), "%s", kind);
	snprintf(name_text, sizeof(name_text), "%s", name);
	own.doc.kind = kind_text;
	own.doc.name = name_text;
	own.doc.data = json_loads(json, 0, NULL);
	assert_non_null(own.doc.data);
	own.op.done = on_doc_done;
	store_submit(f->store, &own.op);
	if (f->loop == NULL)
		store_pump(f->store);
	while (!own.is_done)
		assert_int_equal(event_base_loop(f->loop, EVLOOP_ONCE), 0);
	assert_true(own.doc.id > 0);
	json_decref(own.doc.data);
	return (own.doc.id);
}

int64_t
rolever_make(struct fix *f, const char *name, const char *json)
{
	return (doc_put(f, "rolever", name, json));
}

void
fix_open(struct fix *f)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct leases_config config = {
	    .store = f->store,
	    .clock = f->loop != NULL ? wclock_system() : &f->clock.clock,
	    .ids = f->loop != NULL ? id_source_system() : &f->ids.source,
	    .wake = f->loop != NULL ? wake : NULL,
	    .port_for = port_for,
	    .mount_path = mount_path,
	    .mount_of = mount_of,
	    .plain_ended = plain_ended,
	    .arg = f,
	};

	if (leases_new(&config, &f->leases, &err) != 0)
		fail_msg("%s", err.text);
	if (f->loop != NULL)
		f->timer = leases_timer_start(f->loop, f->leases);
	fake_port_port(f->fake)->events = leases_port_events(f->leases);
	leases_port_opened(f->leases, fake_port_port(f->fake));
}

static struct fix *
new_fix(uint64_t seed, struct event_base *loop, const char *dir)
{
	struct fix *f = calloc(1, sizeof(*f));
	struct leased_err err = LEASED_ERR_INIT;
	struct store_config config = {.inline_mode = loop == NULL, .loop = loop, .dir = dir};

	assert_non_null(f);
	f->loop = loop;
	log_setup(LOG_LEVEL_ERROR, LOG_FORMAT_TEXT);
	wclock_fake_init(&f->clock, START_US);
	id_source_seeded_init(&f->ids, seed);
	f->root = seal_root_new_random();
	assert_non_null(f->root);
	config.root = f->root;
	config.clock = loop != NULL ? wclock_system() : &f->clock.clock;
	config.ids = loop != NULL ? id_source_system() : &f->ids.source;
	if (store_open(&config, &f->store, &err) != 0)
		fail_msg("%s", err.text);
	f->mount = doc_put(f, "mount", "database/", "{}");
	f->connection = doc_put(f, "connection", "pg", "{}");
	f->role_version = doc_put(f, "rolever", "1",
	    "{\"role\":{\"grant_roles\":[\"app\"]},\"role_id\":1,\"name_max\":63}");
	f->fake = fake_port_new(f->connection);
	fix_open(f);
	return (f);
}

struct fix *
fix_new(uint64_t seed)
{
	return (new_fix(seed, NULL, NULL));
}

struct fix *
fix_new_loop(struct event_base *loop, const char *dir)
{
	return (new_fix(1, loop, dir));
}

void
fix_free(struct fix *f)
{
	leases_timer_stop(f->timer);
	f->timer = NULL;
	leases_free(f->leases);
	store_close(f->store);
	fake_port_free(f->fake);
	seal_root_free(f->root);
	free(f);
}

int
fix_setup(void **state)
{
	*state = fix_new(1);
	return (0);
}

int
fix_teardown(void **state)
{
	(void)row_of(*state, -1);
	fix_free(*state);
	return (0);
}

void
fix_end(struct fix *f, bool written)
{
	/* The workers die with the daemon: the next ones are told nothing of it. */
	fake_port_port(f->fake)->events = (struct plugin_port_events){0};
	if (written)
		leases_free(f->leases);
	else
		leases_crash(f->leases);
	f->leases = NULL;
	store_pump(f->store);
	store_pump(f->store);
	fake_port_crash(f->fake);
}

void
fix_crash(struct fix *f, bool written)
{
	fix_end(f, written);
	fix_open(f);
}

unsigned
turn(struct fix *f)
{
	unsigned did = leases_tick(f->leases) == 0;

	did += store_pump(f->store);
	did += fake_port_pump(f->fake);
	return (did);
}

void
settle(struct fix *f)
{
	unsigned idle = 0;

	for (unsigned i = 0; idle < 3; i++) {
		idle = turn(f) == 0 ? idle + 1 : 0;
		if (i > 100000)
			fail_msg("it never comes to rest");
	}
}

void
later(struct fix *f, int64_t ms)
{
	while (ms > 0) {
		int64_t step = ms < 500 ? ms : 500;

		wclock_fake_advance(&f->clock, step * 1000);
		settle(f);
		ms -= step;
	}
}

/* ---- requests ---- */

struct lease_issue
issue_of(struct fix *f, int64_t ttl_s)
{
	struct lease_issue issue = {
	    .mount = f->mount,
	    .place = "creds/app",
	    .connection = f->connection,
	    .role_version = f->role_version,
	    .role_name = "app",
	    .display_name = "token",
	    .ttl = {.role_ttl_s = ttl_s,
		.mount_default_s = 3600,
		.mount_max_s = 86400,
		.owner_left_s = -1},
	    .owner = "entity:e1",
	    .entity = "e1",
	    .cause = "req-1",
	    .caps = {{.counter = "role:1", .limit = 0, .what = "max_leases of role app"},
		{.counter = "conn:1", .limit = 0, .what = "the connection's ceiling"}},
	};

	return (issue);
}

void
on_issued(void *arg, const struct lease_issued *issued)
{
	struct answer *a = arg;

	a->count++;
	a->code = issued->code;
	a->err = issued->err;
	if (issued->code != 0)
		return;
	a->row = issued->row;
	a->ttl_s = issued->ttl_s;
	snprintf(a->lease_id, sizeof(a->lease_id), "%s", issued->lease_id);
	snprintf(a->account, sizeof(a->account), "%s", issued->account);
	if (issued->password != NULL)
		snprintf(
		    a->password, sizeof(a->password), "%s", leased_secret_reveal(issued->password));
	if (json_array_size(issued->warnings) > 0)
		snprintf(a->warning, sizeof(a->warning), "%s",
		    json_string_value(json_array_get(issued->warnings, 0)));
}

void
on_probed(void *arg, int code, const struct leased_err *err)
{
	struct answer *a = arg;

	a->count++;
	a->code = code;
	a->err = *err;
}

void
on_renewed(void *arg, const struct lease_renewed *renewed)
{
	struct answer *a = arg;

	a->count++;
	a->code = renewed->code;
	a->err = renewed->err;
	a->ttl_s = renewed->ttl_s;
	if (json_array_size(renewed->warnings) > 0)
		snprintf(a->warning, sizeof(a->warning), "%s",
		    json_string_value(json_array_get(renewed->warnings, 0)));
}

void
on_revoked(void *arg, enum lease_revoke_state state, const struct leased_err *err)
{
	struct answer *a = arg;

	a->count++;
	a->state = state;
	a->err = *err;
}

void
on_job(void *arg, int code, const struct lease_job_status *status, const struct leased_err *err)
{
	struct answer *a = arg;

	a->count++;
	a->code = code;
	if (status != NULL)
		a->status = *status;
	a->err = *err;
}

struct answer
make(struct fix *f, int64_t ttl_s)
{
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, ttl_s);

	lease_issue_start(f->leases, &issue, on_issued, &a);
	assert_int_equal(a.count, 0);
	settle(f);
	assert_int_equal(a.count, 1);
	if (a.code != 0)
		fail_msg("%d: %s", a.code, a.err.text);
	return (a);
}

struct lease_issue
plain_issue_of(struct fix *f, int64_t ttl_s)
{
	static json_t *engine;
	struct lease_issue issue = issue_of(f, ttl_s);

	if (engine == NULL)
		engine = json_pack("{s:s,s:i}", "type", "test", "n", 7);
	issue.place = "creds/plain";
	issue.connection = issue.role_version = 0;
	issue.engine = engine;
	(void)snprintf(issue.caps[0].counter, sizeof(issue.caps[0].counter), "role:2");
	(void)snprintf(issue.caps[1].counter, sizeof(issue.caps[1].counter), "conn:2");
	return (issue);
}

struct answer
make_plain(struct fix *f, int64_t ttl_s)
{
	struct answer a = {0};
	struct lease_issue issue = plain_issue_of(f, ttl_s);

	lease_plain_start(f->leases, &issue, on_issued, &a);
	assert_int_equal(a.count, 0);
	settle(f);
	assert_int_equal(a.count, 1);
	if (a.code != 0)
		fail_msg("%d: %s", a.code, a.err.text);
	return (a);
}

bool
plain_is_good(struct fix *f, int64_t row)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct lease_plain plain;
	int r = lease_plain_get(f->leases, row, &plain, &err);

	if (r != 0 && r != LEASED_ENOENT)
		fail_msg("%d: %s", r, err.text);
	if (r == 0)
		lease_plain_clear(&plain);
	return (r == 0);
}

struct answer
renew(struct fix *f, int64_t row, int64_t increment_s)
{
	struct answer a = {0};
	struct lease_renew request = {.row = row, .ttl = issue_of(f, 60).ttl, .cause = "req-2"};

	request.ttl.increment_s = increment_s;
	lease_renew_start(f->leases, &request, on_renewed, &a);
	assert_int_equal(a.count, 0);
	settle(f);
	assert_int_equal(a.count, 1);
	return (a);
}

struct answer
revoke_row(struct fix *f, int64_t row)
{
	struct answer a = {0};

	lease_revoke_start(f->leases, row, 10000, "req-3", on_revoked, &a);
	assert_int_equal(a.count, 0);
	settle(f);
	if (a.count == 0)
		later(f, 11000);
	assert_int_equal(a.count, 1);
	return (a);
}

/* ---- looking ---- */

const struct store_lease *
row_of(struct fix *f, int64_t id)
{
	static struct store_lease *row;
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	store_lease_free(row);
	row = NULL;
	if (id < 0)
		return (NULL);
	r = store_lease_get(store_db(f->store), id, &row, &err);
	if (r != 0 && r != LEASED_ENOENT)
		fail_msg("%s", err.text);
	return (r == 0 ? row : NULL);
}

struct lease_data
data_of(struct fix *f, int64_t id)
{
	const struct store_lease *row = row_of(f, id);
	struct lease_data data;
	struct leased_err err = LEASED_ERR_INIT;

	assert_non_null(row);
	if (lease_data_decode(row->data, &data, &err) != 0)
		fail_msg("%s", err.text);
	return (data);
}

bool
row_is(struct fix *f, int64_t id, enum store_lease_state state)
{
	const struct store_lease *row = row_of(f, id);

	return (row != NULL && row->state == state);
}

struct fake_account *
account_of(struct fix *f, const struct answer *answer)
{
	return (fake_port_account(f->fake, answer->account));
}

int64_t
counter(struct fix *f, const char *name)
{
	struct leased_err err = LEASED_ERR_INIT;
	int64_t value = 0;
	int r = store_counter_get(store_db(f->store), name, &value, &err);

	if (r != 0 && r != LEASED_ENOENT)
		fail_msg("%s", err.text);
	return (value);
}
