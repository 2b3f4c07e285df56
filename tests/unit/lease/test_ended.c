/*
 * What is left of a lease for a day: how it ended, when, and by whom; under its whole id and no
 * other.
 */
#include "lease/ended.h"
#include "unit/lease/fixture.h"

/* As lookup would say it; NULL: not there. Freed by the next call. */
static const json_t *
shown(struct fix *f, const char *lease_id)
{
	static json_t *object;
	struct lease_ended *ended = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	int r;

	json_decref(object);
	object = NULL;
	if (lease_id == NULL)
		return (NULL);
	r = lease_ended_find(f->leases, lease_id, &ended, &err);
	if (r == LEASED_ENOENT) {
		assert_string_equal(err.text, "invalid lease");
		return (NULL);
	}
	if (r != 0)
		fail_msg("%s", err.text);
	object = lease_ended_describe(ended, true);
	free(ended);
	assert_non_null(object);
	return (object);
}

static const char *
text(const json_t *object, const char *key)
{
	return (json_string_value(json_object_get(object, key)));
}

/* The id of a lease whose mint never told anybody, from its tombstone. */
static const char *
id_of_row(struct fix *f, int64_t row)
{
	static char id[LEASE_ID_MAX];
	struct store_tombstone *tombstone = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	char number[9];

	if (store_tombstone_get(store_db(f->store), row, &tombstone, &err) != 0)
		fail_msg("%s", err.text);
	assert_int_equal(id_number_encode(row, number), 0);
	snprintf(id, sizeof(id), "%s%s/%s%s", text(tombstone->data, "mount_path"),
	    text(tombstone->data, "place"), number, text(tombstone->data, "random"));
	store_tombstone_free(tombstone);
	return (id);
}

static int
teardown(void **state)
{
	(void)shown(*state, NULL);
	return (fix_teardown(state));
}

static void
expired_lease_says_so_with_its_times(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10);
	const json_t *lease;

	assert_null(shown(f, a.lease_id)); /* it lives */
	later(f, 11000);
	assert_null(row_of(f, a.row));
	lease = shown(f, a.lease_id);
	assert_non_null(lease);
	assert_string_equal(text(lease, "id"), a.lease_id);
	assert_string_equal(text(lease, "state"), "gone");
	assert_string_equal(text(lease, "ended_cause"), "expired");
	assert_true(json_is_null(json_object_get(lease, "ended_by")));
	assert_int_equal(json_integer_value(json_object_get(lease, "ttl")), 0);
	assert_true(json_is_false(json_object_get(lease, "renewable")));
	assert_string_equal(text(lease, "account"), a.account);
	assert_string_equal(text(lease, "path"), "database/creds/app");
	assert_string_equal(text(lease, "owner"), "entity:e1");
	assert_string_equal(text(lease, "entity"), "e1");
	assert_string_equal(text(lease, "role"), "app");
	assert_string_equal(text(lease, "cause"), "req-1");
	/* RFC 3339 in UTC: text order is order in time. */
	assert_true(strcmp(text(lease, "issue_time"), text(lease, "expire_time")) < 0);
	assert_true(strcmp(text(lease, "expire_time"), text(lease, "ended_time")) <= 0);
	assert_true(strcmp(text(lease, "ended_time"), text(lease, "gone_time")) <= 0);
}

static void
removal_that_had_to_wait_ends_later_than_access(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 10);
	const json_t *lease;

	snprintf(account_of(f, &a)->blocked, 128, "owns table t in database shop");
	later(f, 11000);
	assert_true(row_is(f, a.row, STORE_LEASE_DISARMED));
	assert_null(shown(f, a.lease_id));
	account_of(f, &a)->blocked[0] = '\0';
	later(f, 76000);
	lease = shown(f, a.lease_id);
	assert_non_null(lease);
	assert_true(strcmp(text(lease, "ended_time"), text(lease, "gone_time")) < 0);
}

static void
revoked_by_hand_says_by_whom(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), r = {0};
	struct lease_actor actor = {"token-ops", "AbCdEfGhIjKlMnOpQrStUvWx"};
	const json_t *lease;

	lease_revoke_by(f->leases, a.row, 10000, "req-3", &actor, on_revoked, &r);
	settle(f);
	assert_int_equal(r.state, LEASE_REVOKE_GONE);
	lease = shown(f, a.lease_id);
	assert_string_equal(text(lease, "ended_cause"), "revoked");
	assert_string_equal(text(lease, "ended_by"), "token-ops");
	assert_string_equal(text(lease, "ended_by_accessor"), actor.accessor);
	assert_string_equal(text(lease, "cause"), "req-3");
	assert_true(strcmp(text(lease, "ended_time"), text(lease, "expire_time")) < 0);
}

static void
end_of(struct fix *f, const struct answer *a, const char *cause, const char *by)
{
	const json_t *lease = shown(f, a->lease_id);

	assert_non_null(lease);
	assert_string_equal(text(lease, "ended_cause"), cause);
	if (by != NULL)
		assert_string_equal(text(lease, "ended_by"), by);
	else
		assert_true(json_is_null(json_object_get(lease, "ended_by")));
}

static void
job_says_what_it_was_for_and_who_asked(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), b, r = {0};
	struct lease_scope scope = {.kind = LEASE_SCOPE_PLACE,
	    .mount = f->mount,
	    .text = "creds",
	    .actor = {"token-ops", "acc"}};

	lease_job_start(f->leases, &scope, 5000, "req-9", on_job, &r);
	settle(f);
	end_of(f, &a, "revoked_in_bulk", "token-ops");
	b = make(f, 3600);
	scope.end = LEASE_END_MOUNT;
	lease_job_start(f->leases, &scope, 5000, "req-9", on_job, &r);
	/* A job that a crash interrupts still knows it: it is in its row. */
	store_pump(f->store);
	fix_crash(f, false);
	settle(f);
	end_of(f, &b, "mount_removed", "token-ops");
}

static void
tokens_death_is_told_apart_for_its_children_too(void **state)
{
	struct fix *f = *state;
	int64_t parent = token_make(f, 0, 100), child = token_make(f, parent, 0);
	struct answer a = {0}, b = {0};
	struct lease_issue issue = issue_of(f, 3600);
	char owner[32];

	issue.owner = owner;
	issue.owner_token = parent;
	snprintf(owner, sizeof(owner), "token:%lld", (long long)parent);
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	issue.owner_token = child;
	snprintf(owner, sizeof(owner), "token:%lld", (long long)child);
	lease_issue_start(f->leases, &issue, on_issued, &b);
	settle(f);
	later(f, 101000);
	end_of(f, &a, "token_ended", NULL);
	end_of(f, &b, "token_ended", NULL);
}

static void
lost_answer_says_so(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600);

	lease_delivery(f->leases, a.row, false);
	settle(f);
	end_of(f, &a, "undelivered", NULL);
}

static void
failed_mint_says_so_whether_it_was_sent_or_not(void **state)
{
	struct fix *f = *state;
	struct answer a = {0}, b = {0};
	struct lease_issue issue = issue_of(f, 3600);

	fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_AFTER, LEASED_EREFUSED, "no");
	lease_issue_start(f->leases, &issue, on_issued, &a);
	settle(f);
	assert_int_equal(a.code, LEASED_EREFUSED);
	later(f, 5000);
	assert_string_equal(text(shown(f, id_of_row(f, 1)), "ended_cause"), "failed_mint");

	fake_port_fault(f->fake, PLUGIN_OP_MINT, FAKE_FAULT_BEFORE, LEASED_EUNAVAIL, "no");
	lease_issue_start(f->leases, &issue, on_issued, &b);
	settle(f);
	assert_int_equal(b.code, LEASED_EUNAVAIL);
	later(f, 5000);
	assert_string_equal(text(shown(f, id_of_row(f, 2)), "ended_cause"), "failed_mint");
}

static void
mint_that_a_crash_cut_failed(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 3600);

	lease_issue_start(f->leases, &issue, on_issued, &a);
	store_pump(f->store);
	fix_crash(f, false);
	later(f, 20000);
	assert_int_equal(row_count(f), 0);
	assert_string_equal(text(shown(f, id_of_row(f, 1)), "ended_cause"), "failed_mint");
}

static void
canary_is_no_credential_of_anybody(void **state)
{
	struct fix *f = *state;
	struct answer a = {0};
	struct lease_issue issue = issue_of(f, 0);
	const json_t *lease;

	lease_preflight_start(f->leases, &issue, on_probed, &a);
	settle(f);
	assert_int_equal(a.code, 0);
	lease = shown(f, id_of_row(f, 1));
	assert_string_equal(text(lease, "ended_cause"), "preflight");
	assert_true(json_is_true(json_object_get(lease, "canary")));
}

static void
first_cause_counts(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600), b = make(f, 10), r = {0}, s = {0};
	struct lease_actor first = {"first", ""}, second = {"second", ""};

	fake_port_set_down(f->fake, true);
	lease_revoke_by(f->leases, a.row, 0, "req-3", &first, on_revoked, &r);
	settle(f);
	later(f, 11000); /* b is over its time by now */
	lease_revoke_by(f->leases, a.row, 0, "req-4", &second, on_revoked, &s);
	lease_revoke_by(f->leases, b.row, 0, "req-4", &second, on_revoked, &s);
	settle(f);
	fake_port_set_down(f->fake, false);
	later(f, 76000);
	end_of(f, &a, "revoked", "first");
	end_of(f, &b, "expired", NULL);
}

static void
id_must_match_whole(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600);
	char id[LEASE_ID_MAX + 1];
	size_t len = strlen(a.lease_id);

	(void)revoke_row(f, a.row);
	assert_non_null(shown(f, a.lease_id));
	for (size_t i = 0; i < len; i++) { /* mount, place, number, random: any one character */
		snprintf(id, sizeof(id), "%s", a.lease_id);
		id[i] = id[i] == 'x' ? 'y' : 'x';
		assert_null(shown(f, id));
	}
	for (size_t i = 0; i < len; i++) { /* cut at either end */
		snprintf(id, sizeof(id), "%.*s", (int)i, a.lease_id);
		assert_null(shown(f, id));
		if (i > 0)
			assert_null(shown(f, a.lease_id + i));
	}
	snprintf(id, sizeof(id), "%sx", a.lease_id);
	assert_null(shown(f, id));
}

static void
restart_forgets_nothing_of_it(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600);

	(void)revoke_row(f, a.row);
	fix_crash(f, false);
	settle(f);
	end_of(f, &a, "revoked", NULL);
}

static void
it_is_shown_for_a_day_and_swept_in_pages(void **state)
{
	struct fix *f = *state;
	struct store_tombstone *tombstone = NULL;
	struct answer a = make(f, 3600), last = a;
	const unsigned count = 1203; /* three pages of the sweep */

	(void)revoke_row(f, a.row);
	for (unsigned i = 1; i < count; i++) {
		last = make(f, 3600);
		(void)revoke_row(f, last.row);
	}
	assert_non_null(shown(f, a.lease_id));
	wclock_fake_advance(&f->clock, (LEASE_ENDED_MS - 10000) * 1000);
	settle(f);
	assert_non_null(shown(f, a.lease_id));
	wclock_fake_advance(&f->clock, INT64_C(11000) * 1000);
	assert_null(shown(f, a.lease_id)); /* at once, whenever the sweep comes */
	assert_null(shown(f, last.lease_id));
	wclock_fake_advance(&f->clock, INT64_C(61000) * 1000);
	settle(f); /* all pages in one go, not one a minute */
	for (int64_t id = a.row; id <= last.row; id++)
		assert_int_equal(
		    store_tombstone_get(store_db(f->store), id, &tombstone, NULL), LEASED_ENOENT);
}

struct old_op {
	struct store_op op; /* first */
	struct store_lease *row;
	json_t *data;
	int64_t now_ms;
	int result;
};

static int
on_old_run(struct store_op *op, struct store_txn *txn, struct leased_err *err)
{
	struct old_op *old = (struct old_op *)op;

	return (store_lease_delete(txn, old->row, old->data, old->now_ms, 0, err));
}

static void
on_old_done(struct store_op *op, int result, const struct leased_err *err)
{
	(void)err;
	((struct old_op *)op)->result = result;
}

/* What the version before this one left behind, and data that nobody has written. */
static void
tombstone_without_these_fields_is_not_shown(void **state)
{
	static const char *const datas[] = {
	    "{\"issued_ms\":1,\"place\":\"creds/app\",\"random\":\"%s\",\"owner\":\"entity:e1\","
	    "\"mount\":1,\"entity\":\"e1\"}",
	    "{\"format\":2,\"random\":\"%s\"}",
	    "{\"format\":1,\"random\":\"%s\",\"place\":\"creds/app\"}", /* no mount */
	    "{\"format\":1,\"random\":\"%s\",\"unknown\":1}",
	    "{\"format\":1,\"random\":\"%s\",\"end\":\"text\"}",
	    "[\"%s\"]",
	};

	for (size_t i = 0; i < sizeof(datas) / sizeof(datas[0]); i++) {
		struct fix *f = *state;
		struct answer a = make(f, 3600);
		struct old_op old = {.op = {.run = on_old_run, .done = on_old_done}};
		const char *at = strstr(datas[i], "%s");
		char data[512];

		old.row = (struct store_lease *)(uintptr_t)row_of(f, a.row);
		snprintf(data, sizeof(data), "%.*s%s%s", (int)(at - datas[i]), datas[i],
		    old.row->random, at + 2);
		old.data = json_loads(data, 0, NULL);
		assert_non_null(old.data);
		old.now_ms = leases_now_ms(f->leases);
		store_submit(f->store, &old.op);
		store_pump(f->store);
		assert_int_equal(old.result, 0);
		json_decref(old.data);
		assert_null(shown(f, a.lease_id));
	}
}

static void
record_survives_the_way_there_and_back(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600);
	struct store_tombstone *tombstone = NULL;
	struct lease_ended ended;
	struct lease_data data = data_of(f, a.row);
	json_t *record;

	(void)revoke_row(f, a.row);
	assert_int_equal(store_tombstone_get(store_db(f->store), a.row, &tombstone, NULL), 0);
	assert_int_equal(lease_ended_decode(tombstone->data, &ended, NULL), 0);
	assert_string_equal(ended.mount_path, "database/");
	assert_string_equal(ended.handle, data.handle);
	assert_string_equal(ended.server, data.server);
	assert_int_equal(ended.role_version, f->role_version);
	assert_int_equal(ended.issued_wall_ms, data.issued_wall_ms);
	assert_true(ended.disarmed_wall_ms != 0 && ended.gone_wall_ms != 0);
	/* What the second look after a cut call reads by name. */
	assert_string_equal(text(tombstone->data, "handle"), data.handle);
	assert_string_equal(text(tombstone->data, "server"), data.server);
	record = json_deep_copy(tombstone->data);
	json_object_set_new(record, "handle",
	    json_stringn("a text that is too long by far for it, "
			 "since 64 bytes are all it may be",
		71));
	assert_int_equal(lease_ended_decode(record, &ended, NULL), LEASED_ECORRUPT);
	json_decref(record);
	store_tombstone_free(tombstone);
}

struct look {
	struct fix *f;
	const char *lease_id;
};

static int
look_once(void *arg)
{
	struct look *look = arg;
	struct lease_ended *ended = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	json_t *lease;
	int r = lease_ended_find(look->f->leases, look->lease_id, &ended, &err);

	if (r != 0)
		return (r);
	lease = lease_ended_describe(ended, true);
	free(ended);
	if (lease == NULL)
		return (LEASED_ENOMEM);
	json_decref(lease);
	return (0);
}

static void
memory_may_run_out_anywhere(void **state)
{
	struct fix *f = *state;
	struct answer a = make(f, 3600);
	struct look look = {f, a.lease_id};

	(void)revoke_row(f, a.row);
	assert_true(failalloc_each(look_once, &look) > 3);
	end_of(f, &a, "revoked", NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(expired_lease_says_so_with_its_times),
	    TEST(removal_that_had_to_wait_ends_later_than_access),
	    TEST(revoked_by_hand_says_by_whom),
	    TEST(job_says_what_it_was_for_and_who_asked),
	    TEST(tokens_death_is_told_apart_for_its_children_too),
	    TEST(lost_answer_says_so),
	    TEST(failed_mint_says_so_whether_it_was_sent_or_not),
	    TEST(mint_that_a_crash_cut_failed),
	    TEST(canary_is_no_credential_of_anybody),
	    TEST(first_cause_counts),
	    TEST(id_must_match_whole),
	    TEST(restart_forgets_nothing_of_it),
	    TEST(it_is_shown_for_a_day_and_swept_in_pages),
	    TEST(tombstone_without_these_fields_is_not_shown),
	    TEST(record_survives_the_way_there_and_back),
	    TEST(memory_may_run_out_anywhere),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
