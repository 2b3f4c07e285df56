/*
 * The keys of JWTs as a start finds them and as they are told: all that are there are used and can
 * be deleted, and the list of them is written once a change, however often it is read.
 */
#include "engine/jwt.h"
#include "unit/engine/fixture.h"

#define KEY                                                                                        \
	"{\"algorithm\":\"EdDSA\",\"allowed_client_ids\":\"*\",\"rotation_period\":600,"           \
	"\"verification_ttl\":300}"

static void
on_reply(void *arg, const struct engine_reply *reply)
{
	*(int *)arg = reply->code;
}

static int
id_ask(struct fix *f, enum engine_operation operation, const char *path, const char *body)
{
	struct engine_request request = {
	    .operation = operation, .caller = caller, .request_id = "req-1", .path = path};
	json_t *object = body != NULL ? json_loads(body, 0, NULL) : NULL;
	const char *rest;
	int code = -1;

	request.body = object;
	engine_handle(
	    f->engines, engines_route(f->engines, "identity/x", &rest), &request, on_reply, &code);
	json_decref(object);
	settle(f);
	return (code);
}

static void
write_must(struct fix *f, const char *path, const char *body)
{
	assert_int_equal(id_ask(f, ENGINE_WRITE, path, body), 0);
}

static void
on_put(void *arg, int code, const struct leased_err *err)
{
	(void)err;
	assert_int_equal(code, 0);
	store_doc_free(arg);
}

/* Keys that no request made: like k, and only in the store. */
static void
put_keys(struct fix *f, unsigned count)
{
	struct engine_change change;
	struct store_doc *like = NULL, *doc;
	char name[32];

	assert_int_equal(engine_jwt_doc(f->engines, "oidc-key", "k", &like, NULL), 0);
	for (unsigned i = 0; i < count; i++) {
		(void)snprintf(name, sizeof(name), "more%u", i);
		doc = engine_doc_new(
		    "oidc-key", engine_jwt_mount(f->engines)->id, name, json_deep_copy(like->data));
		assert_non_null(doc);
		change = (struct engine_change){.puts = {doc}, .done = on_put, .arg = doc};
		engine_change_submit(f->engines, &change);
		settle(f);
	}
	store_doc_free(like);
}

static void
a_start_leaves_no_key_out_however_many_there_are(void **state)
{
	struct fix *f = *state;
	char name[32];

	write_must(f, "oidc/key/k", KEY);
	put_keys(f, 2 * JWT_KEYS_MAX);
	fix_close(f);
	fix_open(f);
	for (unsigned i = 0; i < 2 * JWT_KEYS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "more%u", i);
		assert_non_null(engine_jwt_key_find(f->engines->jwt, name));
	}
	assert_int_equal(id_ask(f, ENGINE_WRITE, "oidc/key/another", KEY), LEASED_ELIMIT);
}

static void
what_is_deleted_is_gone_from_the_store_also_when_it_was_not_loaded(void **state)
{
	struct fix *f = *state;

	write_must(f, "oidc/key/k", KEY);
	put_keys(f, 1);
	assert_null(engine_jwt_key_find(f->engines->jwt, "more0"));
	assert_int_equal(docs(f, "oidc-key"), 2);
	assert_int_equal(id_ask(f, ENGINE_DELETE, "oidc/key/more0", NULL), 0);
	assert_int_equal(docs(f, "oidc-key"), 1);
	assert_int_equal(id_ask(f, ENGINE_DELETE, "oidc/key/never", NULL), 0);
}

/* ---- the list ---- */

static struct identity_page
page_get(struct fix *f)
{
	struct identity_page page = {0};

	engines_identity_keys(f->engines, &page);
	assert_int_equal(page.code, 0);
	return (page);
}

static void
wait_s(struct fix *f, int64_t s)
{
	for (; s > 0; s -= 5) {
		wclock_fake_advance(&f->clock, 5000000);
		settle(f);
		(void)engine_jwt_tick(f->engines->jwt);
		settle(f);
	}
}

/* Whoever has no token can ask for it all day long. */
static void
the_list_is_written_once_and_reading_it_again_takes_no_memory(void **state)
{
	struct fix *f = *state;
	struct identity_page first, again;

	write_must(f, "oidc/config", "{\"keys_max_age\":60}");
	write_must(f, "oidc/key/k", KEY);
	first = page_get(f);
	failalloc_arm(1);
	again = page_get(f);
	assert_false(failalloc_disarm());
	assert_ptr_equal(first.text, again.text);
	assert_int_equal(again.max_age_s, 60);
}

static void
the_list_is_another_with_each_key_that_comes_or_goes(void **state)
{
	char etags[5][ETAG_SIZE];
	struct fix *f = *state;

	write_must(f, "oidc/key/k", KEY);
	(void)strlcpy(etags[0], page_get(f).etag, ETAG_SIZE);
	write_must(f, "oidc/key/l", KEY);
	(void)strlcpy(etags[1], page_get(f).etag, ETAG_SIZE);
	assert_int_equal(id_ask(f, ENGINE_DELETE, "oidc/key/l", NULL), 0);
	(void)strlcpy(etags[2], page_get(f).etag, ETAG_SIZE);
	assert_string_equal(etags[0], etags[2]);
	wait_s(f, 605); /* rotated */
	(void)strlcpy(etags[3], page_get(f).etag, ETAG_SIZE);
	wait_s(f, 310); /* who signed before leaves, and nothing else happens */
	(void)strlcpy(etags[4], page_get(f).etag, ETAG_SIZE);
	for (unsigned i = 2; i < 5; i++)
		for (unsigned j = 1; j < i; j++)
			assert_string_not_equal(etags[i], etags[j]);
}

static void
how_long_it_may_be_kept_is_told_from_the_write_on(void **state)
{
	struct fix *f = *state;

	write_must(f, "oidc/key/k", KEY);
	assert_int_equal(page_get(f).max_age_s, JWT_MAX_AGE_S);
	write_must(f, "oidc/config", "{\"keys_max_age\":60}");
	assert_int_equal(page_get(f).max_age_s, 60);
	/* Lists of before are still about: a pair that is made now waits for them. */
	assert_true(engine_jwt_known_ms(f->engines, leases_now_ms(f->leases)) >=
		    leases_now_ms(f->leases) + JWT_MAX_AGE_S * 1000);
	fix_close(f);
	fix_open(f);
	assert_int_equal(page_get(f).max_age_s, 60);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    test(a_start_leaves_no_key_out_however_many_there_are),
	    test(what_is_deleted_is_gone_from_the_store_also_when_it_was_not_loaded),
	    test(the_list_is_written_once_and_reading_it_again_takes_no_memory),
	    test(the_list_is_another_with_each_key_that_comes_or_goes),
	    test(how_long_it_may_be_kept_is_told_from_the_write_on),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
