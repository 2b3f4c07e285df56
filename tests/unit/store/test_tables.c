/*
 * Documents, tokens, counters, jobs, sessions and small values: every call, and what it refuses.
 */
#include "unit/store/fix.h"

static int
doc_put(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_doc_put(txn, arg, err));
}

static int
doc_delete(struct store_txn *txn, void *arg, struct leased_err *err)
{
	const struct store_doc *doc = arg;

	return (store_doc_delete(txn, doc->id, doc->version, err));
}

static struct store_doc *
doc_new(const char *kind, const char *name, int number)
{
	struct store_doc *doc = calloc(1, sizeof(*doc));

	doc->kind = strdup(kind);
	doc->name = strdup(name);
	doc->data = json_pack("{s:i}", "n", number);
	return (doc);
}

static void
add_doc(struct fix *f, const char *kind, const char *name, int number)
{
	struct store_doc *doc = doc_new(kind, name, number);

	assert_int_equal(fix_write(f, doc_put, doc), 0);
	store_doc_free(doc);
}

static void
a_document_is_put_read_changed_and_deleted(void **state)
{
	struct fix *f = *state;
	struct store_doc *doc = doc_new("role", "db/app", 1), *got = NULL, *old = NULL;

	assert_int_equal(fix_write(f, doc_put, doc), 0);
	assert_int_equal(doc->id, 1);
	assert_int_equal(doc->version, 1);
	assert_int_equal(store_doc_get(f->db, "role", "db/app", &old, NULL), 0);
	assert_int_equal(json_integer_value(json_object_get(old->data, "n")), 1);
	json_object_set_new(doc->data, "n", json_integer(2));
	assert_int_equal(fix_write(f, doc_put, doc), 0);
	assert_int_equal(doc->version, 2);
	assert_int_equal(store_doc_get_id(f->db, doc->id, &got, NULL), 0);
	assert_int_equal(json_integer_value(json_object_get(got->data, "n")), 2);
	assert_string_equal(got->kind, "role");
	assert_string_equal(got->name, "db/app");
	assert_int_equal(got->version, 2);
	/* Who read version 1 can neither change nor delete version 2. */
	assert_int_equal(fix_write(f, doc_put, old), LEASED_ECONFLICT);
	assert_int_equal(fix_write(f, doc_delete, old), LEASED_ECONFLICT);
	assert_int_equal(fix_write(f, doc_delete, got), 0);
	store_doc_free(old);
	store_doc_free(got);
	got = NULL;
	assert_int_equal(store_doc_get(f->db, "role", "db/app", &got, NULL), LEASED_ENOENT);
	assert_int_equal(store_doc_get_id(f->db, 1, &got, NULL), LEASED_ENOENT);
	store_doc_free(doc);
}

static void
a_name_is_taken_once_and_a_number_never_again(void **state)
{
	struct fix *f = *state;
	struct store_doc *first = doc_new("role", "a", 1), *second = doc_new("role", "a", 2);

	assert_int_equal(fix_write(f, doc_put, first), 0);
	assert_int_equal(fix_write(f, doc_put, second), LEASED_EEXIST);
	assert_int_equal(second->id, 0);
	assert_int_equal(fix_write(f, doc_delete, first), 0);
	assert_int_equal(fix_write(f, doc_put, second), 0);
	assert_int_equal(second->id, first->id + 1);
	store_doc_free(first);
	store_doc_free(second);
}

static void
names_are(
    struct fix *f, const char *prefix, const char *after, unsigned limit, const char *expected)
{
	struct store_doc **docs = NULL;
	char text[256] = "";
	size_t count = 0, len = 0;

	assert_int_equal(
	    store_doc_list(f->db, "role", prefix, after, limit, &docs, &count, NULL), 0);
	for (size_t i = 0; i < count; i++) {
		len += (size_t)snprintf(
		    text + len, sizeof(text) - len, "%s%s", i > 0 ? " " : "", docs[i]->name);
		store_doc_free(docs[i]);
	}
	free(docs);
	assert_string_equal(text, expected);
}

static void
names_are_listed_by_prefix_in_order_and_in_pages(void **state)
{
	struct fix *f = *state;

	add_doc(f, "role", "b", 1);
	add_doc(f, "role", "a/2", 1);
	add_doc(f, "role", "a/1", 1);
	add_doc(f, "role", "a", 1);
	add_doc(f, "role", "ab", 1);
	add_doc(f, "policy", "a/3", 1);
	names_are(f, "", NULL, 10, "a a/1 a/2 ab b");
	names_are(f, "a/", NULL, 10, "a/1 a/2");
	names_are(f, "", "a/1", 2, "a/2 ab");
	names_are(f, "a/", "a/1", 10, "a/2");
	names_are(f, "zz", NULL, 10, "");
	names_are(f, "", NULL, 0, "");
}

static int
on_instruction(void *arg)
{
	(*(unsigned *)arg)++;
	return (0);
}

/* A page begins where the one before has ended, and does not pass over all the others again. */
static void
a_late_page_of_names_takes_no_more_than_the_first(void **state)
{
	struct fix *f = *state;
	unsigned first = 0, late = 0;
	char name[16];

	for (unsigned i = 0; i < 300; i++) {
		(void)snprintf(name, sizeof(name), "a/%03u", i);
		add_doc(f, "role", name, 1);
	}
	sqlite3_progress_handler(f->db->sqlite, 1, on_instruction, &first);
	names_are(f, "a/", "a/000", 3, "a/001 a/002 a/003");
	sqlite3_progress_handler(f->db->sqlite, 1, on_instruction, &late);
	names_are(f, "a/", "a/290", 3, "a/291 a/292 a/293");
	sqlite3_progress_handler(f->db->sqlite, 0, NULL, NULL);
	assert_true(first > 0);
	assert_true(late <= first + 10);
}

static int
token_insert(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_token_insert(txn, arg, err));
}

static int64_t uses_left;

static int
token_use(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_token_use(txn, *(int64_t *)arg, &uses_left, err));
}

static int
token_delete(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_token_delete(txn, *(int64_t *)arg, err));
}

static struct store_token
token_make(int64_t id, int64_t parent, int64_t uses)
{
	struct store_token token = {.id = id, .parent = parent, .uses_left = uses};

	memset(token.mac, (int)id, sizeof(token.mac));
	snprintf(token.accessor, sizeof(token.accessor), "accessor-%lld", (long long)id);
	return (token);
}

static void
a_token_is_found_by_hmac_accessor_and_number(void **state)
{
	struct fix *f = *state;
	struct store_token token = token_make(11, 4, -1), got;
	uint8_t other[SEAL_HMAC_SIZE] = {9};

	assert_int_equal(fix_write(f, token_insert, &token), 0);
	memset(&got, 0, sizeof(got));
	assert_int_equal(store_token_get(f->db, token.mac, &got, NULL), 0);
	assert_int_equal(got.id, 11);
	assert_int_equal(got.parent, 4);
	assert_int_equal(got.uses_left, -1);
	assert_string_equal(got.accessor, "accessor-11");
	assert_memory_equal(got.mac, token.mac, sizeof(got.mac));
	assert_int_equal(store_token_get_accessor(f->db, "accessor-11", &got, NULL), 0);
	assert_int_equal(store_token_get_id(f->db, 11, &got, NULL), 0);
	assert_int_equal(store_token_get(f->db, other, &got, NULL), LEASED_ENOENT);
	assert_int_equal(store_token_get_accessor(f->db, "accessor-1", &got, NULL), LEASED_ENOENT);
	assert_int_equal(fix_write(f, token_delete, &token.id), 0);
	assert_int_equal(store_token_get_id(f->db, 11, &got, NULL), LEASED_ENOENT);
}

static void
a_token_has_exactly_its_uses(void **state)
{
	struct fix *f = *state;
	struct store_token twice = token_make(1, 0, 2), always = token_make(2, 0, -1);

	assert_int_equal(fix_write(f, token_insert, &twice), 0);
	assert_int_equal(fix_write(f, token_insert, &always), 0);
	assert_int_equal(fix_write(f, token_use, &twice.id), 0);
	assert_int_equal(uses_left, 1);
	assert_int_equal(fix_write(f, token_use, &twice.id), 0);
	assert_int_equal(uses_left, 0);
	assert_int_equal(fix_write(f, token_use, &twice.id), LEASED_EDENIED);
	assert_int_equal(fix_write(f, token_use, &always.id), 0);
	assert_int_equal(uses_left, -1);
}

static void
children_of_a_token_come_in_pages(void **state)
{
	struct fix *f = *state;
	int64_t ids[8];
	size_t count = 0;

	for (int64_t id = 1; id <= 5; id++) {
		struct store_token token = token_make(id, id == 3 ? 0 : 7, -1);

		assert_int_equal(fix_write(f, token_insert, &token), 0);
	}
	assert_int_equal(store_token_children(f->db, 7, 1, 2, ids, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_int_equal(ids[0], 2);
	assert_int_equal(ids[1], 4);
	assert_int_equal(store_token_children(f->db, 7, 5, 2, ids, &count, NULL), 0);
	assert_int_equal(count, 0);
	/* An orphan is nobody's child. */
	assert_int_equal(store_token_children(f->db, 0, 0, 8, ids, &count, NULL), 0);
	assert_int_equal(count, 0);
}

static void
an_exchanged_token_hmac_is_noticed(void **state)
{
	struct fix *f = *state;
	struct store_token mine = token_make(1, 0, -1), theirs = token_make(2, 0, -1), got;

	assert_int_equal(fix_write(f, token_insert, &mine), 0);
	assert_int_equal(fix_write(f, token_insert, &theirs), 0);
	/* My HMAC on another's row: my token would be theirs. */
	fix_sql(f, "UPDATE token SET mac = zeroblob(32) WHERE id = 1;"
		   "UPDATE token SET mac = (SELECT unhex FROM (SELECT x'01010101010101010101010101"
		   "01010101010101010101010101010101010101' AS unhex)) WHERE id = 2");
	assert_int_equal(store_token_get(f->db, mine.mac, &got, NULL), LEASED_ECORRUPT);
	fix_sql(f, "UPDATE token SET uses_left = 9");
	assert_int_equal(store_token_get_id(f->db, 1, &got, NULL), LEASED_ECORRUPT);
	store_pump(f->store);
	assert_int_equal(fix_quarantined(f), 2);
}

static int64_t limit;

static int
take(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_take(txn, arg, limit, err));
}

static int
give(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_give(txn, arg, err));
}

static int64_t difference;

static int
add(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_counter_add(txn, arg, difference, err));
}

static int
set(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_counter_set(txn, arg, difference, err));
}

static void
counter_is(struct fix *f, const char *name, int64_t expected)
{
	int64_t value = -1;

	assert_int_equal(store_counter_get(f->db, name, &value, NULL), 0);
	assert_int_equal(value, expected);
}

static void
a_counter_is_never_above_its_limit_nor_below_zero(void **state)
{
	struct fix *f = *state;
	char name[] = "role:1";

	counter_is(f, name, 0);
	limit = 2;
	assert_int_equal(fix_write(f, take, name), 0);
	assert_int_equal(fix_write(f, take, name), 0);
	assert_int_equal(fix_write(f, take, name), LEASED_ELIMIT);
	counter_is(f, name, 2);
	limit = 0;
	assert_int_equal(fix_write(f, take, name), LEASED_ELIMIT);
	for (int i = 0; i < 3; i++)
		assert_int_equal(fix_write(f, give, name), 0);
	counter_is(f, name, 0);
	difference = 7;
	assert_int_equal(fix_write(f, set, name), 0);
	counter_is(f, name, 7);
	difference = -2;
	assert_int_equal(fix_write(f, add, name), 0);
	counter_is(f, name, 5);
	difference = -9;
	assert_int_equal(fix_write(f, add, name), 0);
	counter_is(f, name, 0);
}

static void
counters_are_listed_and_those_at_zero_are_not(void **state)
{
	struct fix *f = *state;
	struct store_counter *counters = NULL;
	char a[] = "a", b[] = "b", c[] = "c";
	size_t count = 0;

	limit = 9;
	assert_int_equal(fix_write(f, take, a), 0);
	assert_int_equal(fix_write(f, take, b), 0);
	assert_int_equal(fix_write(f, take, c), 0);
	assert_int_equal(fix_write(f, take, c), 0);
	assert_int_equal(fix_write(f, give, b), 0);
	assert_int_equal(store_counter_list(f->db, NULL, 9, &counters, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_string_equal(counters[1].name, "c");
	assert_int_equal(counters[1].value, 2);
	store_counter_list_free(counters, count);
	assert_int_equal(store_counter_list(f->db, "a", 9, &counters, &count, NULL), 0);
	assert_int_equal(count, 1);
	store_counter_list_free(counters, count);
}

static int
job_put(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_job_put(txn, arg, err));
}

static int
job_delete(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_job_delete(txn, *(int64_t *)arg, err));
}

static void
a_job_is_kept_advanced_and_ended(void **state)
{
	struct fix *f = *state;
	struct store_job job = {.high = 900, .data = json_pack("{s:s}", "cause", "hand")};
	struct store_job *got = NULL, **jobs = NULL;
	struct store_job_query query = {.limit = 8};
	struct store_job old, narrow = {.data = json_pack("{s:s}", "cause", "end")};
	size_t count = 9;

	assert_int_equal(fix_write(f, job_put, &job), 0);
	assert_int_equal(job.id, 1);
	old = job;
	job.cursor = 500;
	job.marked = true;
	assert_int_equal(fix_write(f, job_put, &job), 0);
	assert_int_equal(fix_write(f, job_put, &old), LEASED_ECONFLICT);
	assert_int_equal(store_job_get(f->db, job.id, &got, NULL), 0);
	assert_int_equal(got->version, 2);
	assert_int_equal(got->high, 900);
	assert_int_equal(got->cursor, 500);
	assert_true(got->marked);
	assert_true(json_equal(got->data, job.data));
	store_job_free(got);
	got = NULL;
	assert_int_equal(store_job_page(f->db, &query, &jobs, &count, NULL), 0);
	assert_int_equal(count, 1);
	store_job_free(jobs[0]);
	free(jobs);
	/* One of a token has no `high`, and is not among those that every lease is held against. */
	assert_int_equal(fix_write(f, job_put, &narrow), 0);
	query.wide = true;
	assert_int_equal(store_job_page(f->db, &query, &jobs, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_int_equal(jobs[0]->id, job.id);
	store_job_free(jobs[0]);
	free(jobs);
	query = (struct store_job_query){.after = job.id, .limit = 8};
	assert_int_equal(store_job_page(f->db, &query, &jobs, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_int_equal(jobs[0]->id, narrow.id);
	store_job_free(jobs[0]);
	free(jobs);
	json_decref(narrow.data);
	assert_int_equal(fix_write(f, job_delete, &job.id), 0);
	assert_int_equal(store_job_get(f->db, job.id, &got, NULL), LEASED_ENOENT);
	json_decref(job.data);
}

static int
session_put(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_session_put(txn, arg, err));
}

static int
session_delete(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_session_delete(txn, arg, err));
}

static void
sessions_are_listed_by_connection(void **state)
{
	struct fix *f = *state;
	char worker[] = "w", one[] = "12:a", two[] = "13:b";
	struct store_session first = {5, worker, one}, second = {5, worker, two},
			     other = {6, worker, one}, *list = NULL;
	size_t count = 0;

	assert_int_equal(fix_write(f, session_put, &first), 0);
	assert_int_equal(fix_write(f, session_put, &first), 0);
	assert_int_equal(fix_write(f, session_put, &second), 0);
	assert_int_equal(fix_write(f, session_put, &other), 0);
	assert_int_equal(store_session_list(f->db, 5, &list, &count, NULL), 0);
	assert_int_equal(count, 2);
	assert_string_equal(list[0].session, "12:a");
	assert_string_equal(list[1].worker, "w");
	store_session_list_free(list, count);
	assert_int_equal(fix_write(f, session_delete, &first), 0);
	assert_int_equal(store_session_list(f->db, 5, &list, &count, NULL), 0);
	assert_int_equal(count, 1);
	assert_string_equal(list[0].session, "13:b");
	store_session_list_free(list, count);
}

static int
meta_put(struct store_txn *txn, void *arg, struct leased_err *err)
{
	return (store_meta_put(txn, "anchor", arg, err));
}

static void
a_small_value_is_replaced(void **state)
{
	struct fix *f = *state;
	char first[] = "1", second[] = "2";
	char *text = NULL;

	assert_int_equal(store_meta_get(f->db, "anchor", &text, NULL), LEASED_ENOENT);
	assert_int_equal(fix_write(f, meta_put, first), 0);
	assert_int_equal(fix_write(f, meta_put, second), 0);
	assert_int_equal(store_meta_get(f->db, "anchor", &text, NULL), 0);
	assert_string_equal(text, "2");
	free(text);
}

#define FIX_TEST(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    FIX_TEST(a_document_is_put_read_changed_and_deleted),
	    FIX_TEST(a_name_is_taken_once_and_a_number_never_again),
	    FIX_TEST(names_are_listed_by_prefix_in_order_and_in_pages),
	    FIX_TEST(a_late_page_of_names_takes_no_more_than_the_first),
	    FIX_TEST(a_token_is_found_by_hmac_accessor_and_number),
	    FIX_TEST(a_token_has_exactly_its_uses),
	    FIX_TEST(children_of_a_token_come_in_pages),
	    FIX_TEST(an_exchanged_token_hmac_is_noticed),
	    FIX_TEST(a_counter_is_never_above_its_limit_nor_below_zero),
	    FIX_TEST(counters_are_listed_and_those_at_zero_are_not),
	    FIX_TEST(a_job_is_kept_advanced_and_ended),
	    FIX_TEST(sessions_are_listed_by_connection),
	    FIX_TEST(a_small_value_is_replaced),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("store: tables", tests, NULL, NULL));
}
