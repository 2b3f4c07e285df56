/*
 * What stands in records: of requests no secret and no field that was not named; of changes each
 * one of a lease, a token, a document, once it is committed.
 */
#include "unit/audit/fixture.h"

#include "lease/ended.h"
#include "support/failalloc.h"

static char *
entry(struct fixture *f, const struct audit_event *event)
{
	char *bodies = NULL;
	size_t len = 0;

	assert_int_equal(audit_entry_make(f->audit, event, &bodies, &len, NULL), 0);
	assert_non_null(bodies = realloc(bodies, len + 1));
	bodies[len] = '\0';
	return (bodies);
}

static void
no_secret_and_no_unknown_field_leaves(void **state)
{
	struct fixture *f = *state;
	json_t *body = json_pack("{s:s,s:s,s:i,s:{s:s,s:s},s:[s,s]}", "password", "canary-1",
	    "canary-2", "canary-3", "ttl", 60, "config", "token", "canary-4", "surprise",
	    "canary-5", "creation_statements", "canary-6", "canary-7");
	json_t *data = json_pack("{s:s,s:s}", "username", "l-abc-app", "password", "canary-8");
	json_t *auth = json_pack("{s:s,s:s,s:s}", "client_token", "hvs.canary-9", "accessor",
	    "canary-10", "other", "canary-11");
	struct audit_event event = {.what = AUDIT_BOTH,
	    .id = "an-id",
	    .path = "sys/x/hvs.canary-12",
	    .token = "hvs.canary-13",
	    .accessor = "canary-14",
	    .body = body,
	    .data = data,
	    .auth = auth,
	    .lease_id = "database/creds/app/1",
	    .error = "you said canary-1 to us",
	    .status = 200};
	char *text;

	assert_int_equal(fixture_audit(f), 0);
	text = entry(f, &event);
	assert_null(strstr(text, "canary"));
	assert_null(strstr(text, "surprise"));
	assert_non_null(strstr(text, "\"ttl\":60"));
	assert_non_null(strstr(text, "\"username\":\"l-abc-app\""));
	assert_non_null(strstr(text, "\"lease_id\":\"database/creds/app/1\""));
	assert_non_null(strstr(text, "\"password\":\"hmac-sha256:"));
	assert_non_null(strstr(text, "\"left_out\":1"));
	assert_non_null(strstr(text, "withheld"));
	free(text);
	json_decref(body);
	json_decref(data);
	json_decref(auth);
}

static void
each_named_field_is_found(void **state)
{
	struct fixture *f = *state;
	static const char *const names[] = {"accessor", "connection_url", "db_name", "id", "input",
	    "lease_id", "password", "policies", "reason", "renewable", "rollback_statements",
	    "root_rotation_statements", "takeover", "tls_ca", "token", "ttl", "username",
	    "warnings"};
	json_t *object = json_object(), *masked;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(json_object_set_new(object, names[i], json_string("x")), 0);
	assert_non_null(masked = audit_mask(store_seal(f->store), object));
	assert_null(json_object_get(masked, "left_out"));
	json_decref(masked);
	json_decref(object);
}

static void
hostile_texts_stay_within_their_line(void **state)
{
	struct fixture *f = *state;
	char *path = malloc(9000);
	struct audit_event event = {.what = AUDIT_BOTH,
	    .path = "a\n{\"type\":\"opened\"}\"\\\x01\xff",
	    .display_name = "x\",\"mac\":\"0\"}\n",
	    .error = "\n"};

	assert_int_equal(fixture_audit(f), 0);
	assert_non_null(path);
	free(entry(f, &event));
	for (int i = 0; i < 2; i++) {
		int code = 1;

		(void)code;
		assert_int_equal(fixture_record(f, AUDIT_BOTH, event.path), 0);
		memset(path, 'x', 8999);
		path[8999] = '\0';
		memcpy(path + 1020, "\xc3\xa4\xc3\xa4\xc3\xa4", 6);
		event.path = path;
	}
	assert_int_equal(fixture_record(f, AUDIT_REQUEST, path), 0);
	assert_int_equal(fixture_verify(f), 0);
	assert_int_equal(f->report.lines, 6);
	free(path);
}

struct op {
	struct store_op op;
	struct store_lease *lease;
	bool fail;
	int result;
};

static int
on_run(struct store_op *store_op, struct store_txn *txn, struct leased_err *err)
{
	struct op *op = (struct op *)store_op;
	int r = op->lease->id == 0 ? store_lease_insert(txn, op->lease, err)
				   : store_lease_update(txn, op->lease, err);

	return (r == 0 && op->fail ? LEASED_EUNAVAIL : r);
}

static void
on_done(struct store_op *store_op, int result, const struct leased_err *err)
{
	(void)err;
	((struct op *)store_op)->result = result;
}

static int
put(struct fixture *f, struct store_lease *lease, bool fail)
{
	struct op op = {
	    .op = {.run = on_run, .done = on_done}, .lease = lease, .fail = fail, .result = 1};

	store_submit(f->store, &op.op);
	while (store_pump(f->store) > 0)
		audit_pump(f->audit);
	return (op.result);
}

static unsigned
count_of(struct fixture *f, const char *text)
{
	size_t len = 0;
	char *bytes = fixture_read(f, &len), *at = bytes;
	unsigned count = 0;

	assert_non_null(bytes = realloc(bytes, len + 1));
	bytes[len] = '\0';
	for (at = bytes; (at = strstr(at, text)) != NULL; at++)
		count++;
	free(bytes);
	return (count);
}

static struct store_lease *
lease_new(void)
{
	struct store_lease *lease = calloc(1, sizeof(*lease));

	assert_non_null(lease);
	lease->state = STORE_LEASE_INTENT;
	lease->kind = STORE_LEASE_CREDENTIAL;
	lease->connection = 3;
	lease->next_at_ms = 1000;
	(void)strlcpy(lease->random, "0123456789abcdef", sizeof(lease->random));
	lease->place = strdup("creds/app");
	lease->account = strdup("l-abc-app");
	lease->owner = strdup("");
	lease->data = json_pack("{s:s,s:s}", "cause", "an-id", "end_accessor", "canary");
	return (lease);
}

static void
each_durable_change_of_a_lease_has_one_record(void **state)
{
	struct fixture *f = *state;
	struct store_lease *lease = lease_new();
	int64_t left = -1;

	assert_int_equal(fixture_audit(f), 0);
	assert_int_equal(put(f, lease, false), 0);
	lease->state = STORE_LEASE_LIVE;
	lease->next_at_ms = 2000;
	assert_int_equal(put(f, lease, false), 0);
	lease->next_at_ms = 3000;
	assert_int_equal(put(f, lease, false), 0);
	assert_int_equal(json_object_set_new(lease->data, "end", json_integer(2)), 0);
	lease->revoke = true;
	assert_int_equal(put(f, lease, false), 0);
	/* A back-off is no change to be told of. */
	lease->next_at_ms = 4000;
	assert_int_equal(put(f, lease, false), 0);
	lease->state = STORE_LEASE_DISARMED;
	assert_int_equal(put(f, lease, false), 0);
	assert_int_equal(count_of(f, "\"type\":\"change\""), 5);
	assert_int_equal(count_of(f, "\"what\":\"lease_intent\""), 1);
	assert_int_equal(count_of(f, "\"what\":\"lease_live\""), 1);
	assert_int_equal(count_of(f, "\"what\":\"lease_renewed\""), 1);
	assert_int_equal(count_of(f, "\"what\":\"lease_marked\""), 1);
	assert_int_equal(count_of(f, "\"what\":\"lease_disarmed\""), 1);
	assert_int_equal(count_of(f, "\"account\":\"l-abc-app\""), 5);
	assert_int_equal(count_of(f, "creds/app/000000010123456789abcdef"), 5);
	assert_int_equal(count_of(f, "\"end\":\"revoked\""), 2);
	assert_int_equal(count_of(f, "canary"), 0);
	assert_int_equal(store_outbox_count(store_db(f->store), &left, NULL), 0);
	assert_int_equal(left, 0);
	assert_int_equal(fixture_verify(f), 0);
	store_lease_free(lease);
}

static void
change_that_is_undone_has_no_record(void **state)
{
	struct fixture *f = *state;
	struct store_lease *lease = lease_new();

	assert_int_equal(fixture_audit(f), 0);
	assert_int_equal(put(f, lease, true), LEASED_EUNAVAIL);
	assert_int_equal(count_of(f, "\"type\":\"change\""), 0);
	store_lease_free(lease);
}

struct configuration_op {
	struct store_op op; /* first */
	struct fixture *f;
	bool fail;
};

static int
on_configuration_run(struct store_op *store_op, struct store_txn *txn, struct leased_err *err)
{
	static const struct audit_configuration what = {.cause = "reload",
	    .file = "/etc/leased/leased.hcl",
	    .sha256 = "00ff",
	    .policies = 3,
	    .roles = 2,
	    .listeners = 1};
	struct configuration_op *op = (struct configuration_op *)store_op;
	int r = audit_put_configuration(op->f->audit, txn, &what, err);

	return (r == 0 && op->fail ? LEASED_EUNAVAIL : r);
}

static void
on_configuration_done(struct store_op *op, int result, const struct leased_err *err)
{
	(void)op;
	(void)result;
	(void)err;
}

static void
configuration_has_a_record_where_its_transaction_holds(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fixture_audit(f), 0);
	for (int i = 0; i < 2; i++) {
		struct configuration_op op = {
		    .op = {.run = on_configuration_run, .done = on_configuration_done},
		    .f = f,
		    .fail = i == 1};

		store_submit(f->store, &op.op);
		while (store_pump(f->store) > 0)
			audit_pump(f->audit);
	}
	assert_int_equal(count_of(f, "\"what\":\"configuration\""), 1);
	assert_int_equal(count_of(f, "\"sha256\":\"00ff\""), 1);
	assert_int_equal(count_of(f, "\"file\":\"/etc/leased/leased.hcl\""), 1);
	assert_int_equal(count_of(f, "\"policies\":3,\"roles\":2,\"listeners\":1"), 1);
	assert_int_equal(fixture_verify(f), 0);
}

static void
changes_left_behind_are_recorded_at_the_next_start(void **state)
{
	struct fixture *f = *state;
	struct store_lease *lease = lease_new();
	struct op op = {
	    .op = {.run = on_run, .done = on_done}, .lease = lease, .fail = false, .result = 1};

	assert_int_equal(fixture_audit(f), 0);
	store_submit(f->store, &op.op);
	(void)store_pump(f->store);
	assert_int_equal(count_of(f, "\"type\":\"change\""), 0);
	/* As if it had died here. */
	audit_file_close(&f->audit->file);
	f->audit->stopping = true;
	fixture_audit_end(f);
	assert_int_equal(fixture_audit(f), 0);
	assert_int_equal(count_of(f, "\"what\":\"lease_intent\""), 1);
	assert_int_equal(fixture_verify(f), 0);
	store_lease_free(lease);
}

/* change.c may not ask lease/, which stands above it. */
static void
words_for_ends_are_those_of_lease(void **state)
{
	struct fixture *f = *state;
	struct store_lease *lease = lease_new();
	struct lease_ended ended = {.kind = STORE_LEASE_CREDENTIAL};
	char want[64];

	assert_int_equal(fixture_audit(f), 0);
	assert_int_equal(put(f, lease, false), 0);
	for (ended.end = LEASE_END_EXPIRED; ended.end <= LEASE_END_ORPHAN; ended.end++) {
		assert_int_equal(
		    json_object_set_new(lease->data, "end", json_integer(ended.end)), 0);
		lease->revoke = false;
		assert_int_equal(put(f, lease, false), 0);
		lease->revoke = true;
		assert_int_equal(put(f, lease, false), 0);
		(void)snprintf(want, sizeof(want), "\"end\":\"%s\"", lease_ended_cause(&ended));
		assert_int_equal(count_of(f, want), 1);
	}
	store_lease_free(lease);
}

static int
entry_each(void *arg)
{
	struct fixture *f = arg;
	struct audit_event event = {
	    .what = AUDIT_BOTH, .path = "a", .token = "hvs.a", .error = "e"};
	char *bodies = NULL;
	size_t len = 0;
	int r = audit_entry_make(f->audit, &event, &bodies, &len, NULL);

	free(bodies);
	return (r);
}

static void
record_survives_each_allocation_that_fails(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(fixture_audit(f), 0);
	assert_true(failalloc_each(entry_each, f) > 10);
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, fixture_setup, fixture_teardown)

static int
group_setup(void **state)
{
	(void)state;
	return (leased_secret_setup(NULL));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(no_secret_and_no_unknown_field_leaves),
	    TEST(each_named_field_is_found),
	    TEST(hostile_texts_stay_within_their_line),
	    TEST(each_durable_change_of_a_lease_has_one_record),
	    TEST(change_that_is_undone_has_no_record),
	    TEST(configuration_has_a_record_where_its_transaction_holds),
	    TEST(changes_left_behind_are_recorded_at_the_next_start),
	    TEST(words_for_ends_are_those_of_lease),
	    TEST(record_survives_each_allocation_that_fails),
	};

	return (cmocka_run_group_tests(tests, group_setup, NULL));
}
