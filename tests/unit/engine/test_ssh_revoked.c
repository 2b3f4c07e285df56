/*
 * SSH certificates that end early: the list that hosts fetch, keys of the CA, bans.
 */
#include "unit/engine/ssh_fixture.h"

/* ---- the list of revoked ones ---- */

static void
who_is_revoked_is_on_the_list_and_who_expires_is_not(void **state)
{
	struct fix *f = *state;
	long long before, rows_of[3];
	char *text, wanted[64];

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	before = version(f);
	for (unsigned i = 0; i < 3; i++)
		rows_of[i] = (long long)sign(f, "app", i == 2 ? "'ttl': '5s'" : "")->row;
	assert_int_equal(version(f), before);
	revoke(f, rows_of[0]);
	assert_true(version(f) > before);
	before = version(f);
	revoke(f, rows_of[1]);
	assert_true(version(f) > before);
	(void)snprintf(wanted, sizeof(wanted), "%lld,%lld", rows_of[0], rows_of[1] - rows_of[0]);
	text = serials(f);
	assert_string_equal(text, wanted);
	free(text);
	before = version(f);
	later(f, 6);
	assert_int_equal(rows(f), 0);
	assert_int_equal(version(f), before);
	/* What has expired leaves with the next version. */
	later(f, 600);
	assert_int_equal(version(f), before);
	revoke(f, sign(f, "app", "")->row);
	text = serials(f);
	assert_null(strchr(text, ','));
	free(text);
	settle(f);
	assert_int_equal(docs(f, "ssh-revoked"), 1);
}

static void
the_list_s_version_never_goes_back_and_one_version_is_one_list(void **state)
{
	struct fix *f = *state;
	struct answer *answer;
	char *first;
	long long v;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	for (unsigned i = 0; i < 5; i++)
		revoke(f, sign(f, "app", "")->row); /* within one second */
	v = version(f);
	answer = must(f, ENGINE_READ, "krl", NULL);
	first = strdup(answer->page);
	fix_close(f);
	fix_open(f);
	answer = must(f, ENGINE_READ, "krl", NULL);
	assert_string_equal(answer->page, first);
	assert_int_equal(version(f), v);
	free(first);
	later(f, 3);
	revoke(f, sign(f, "app", "")->row);
	assert_true(version(f) > v);
	/* Above the clock, so that what a restored backup lacks is not taken for new. */
	assert_true(version(f) >= wclock_wall_ms(&f->clock.clock) / 1000 - 1);
}

static void
who_has_the_list_waits_for_the_next_one(void **state)
{
	struct fix *f = *state;
	struct answer answer;
	char etag[64];
	int64_t row;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	row = sign(f, "app", "")->row;
	(void)snprintf(etag, sizeof(etag), "\"%lld\"", version(f));
	if_none_match = etag;
	must(f, ENGINE_READ, "krl", NULL); /* without a word of waiting it is told at once */
	prefer = "wait=30";
	start(f, ENGINE_READ, "krl", NULL, &answer);
	settle(f);
	assert_int_equal(answer.count, 0);
	revoke(f, row);
	settle(f);
	assert_int_equal(answer.count, 1);
	assert_string_not_equal(answer.etag, etag);
	assert_non_null(answer.page);
	(void)snprintf(etag, sizeof(etag), "%s", answer.etag);
	answer_clear(&answer);
	start(f, ENGINE_READ, "krl.sig", NULL, &answer);
	later(f, 29);
	assert_int_equal(answer.count, 0);
	later(f, 2);
	assert_int_equal(answer.count, 1);
	assert_string_equal(answer.etag, etag);
	answer_clear(&answer);
	/* A stop keeps nobody waiting. */
	start(f, ENGINE_READ, "krl", NULL, &answer);
	engines_quiet(f->engines);
	assert_int_equal(answer.count, 1);
	answer_clear(&answer);
	if_none_match = prefer = NULL;
	assert_int_equal(ask(f, ENGINE_READ, "krl.sig", "{\"version\": \"7\"}")->status, 412);
}

/* ---- keys of the CA ---- */

static void
a_second_key_is_published_before_it_signs(void **state)
{
	struct fix *f = *state;
	struct answer *answer = must(f, ENGINE_READ, "config/ca", NULL);
	char *old = strdup(text_at(answer->data, "public_key")), *lines, path[128];
	const json_t *key;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	(void)refused(f, ENGINE_WRITE, "config/ca", NULL, LEASED_EINVAL, "already configured");
	must(f, ENGINE_WRITE, "config/ca/rotate", "{\"key_type\": \"ed25519\"}");
	answer = must(f, ENGINE_READ, "public_key", NULL);
	lines = strchr(answer->page, '\n');
	assert_non_null(lines);
	assert_memory_equal(answer->page, old, strlen(old));
	assert_int_equal(strlen(lines + 1), strlen(old) + 1);
	(void)refused(
	    f, ENGINE_WRITE, "config/ca/rotate", NULL, LEASED_EINVAL, "published already");
	answer = must(f, ENGINE_READ, "config/ca", NULL);
	key = json_array_get(json_object_get(answer->data, "keys"), 0);
	(void)snprintf(path, sizeof(path), "config/ca/%s", text_at(key, "kid"));
	(void)refused(f, ENGINE_DELETE, path, NULL, LEASED_EINVAL, "signs now");
	must(f, ENGINE_WRITE, "config/ca/rotate", "{\"activate\": true}");
	answer = must(f, ENGINE_READ, "config/ca", NULL);
	assert_string_not_equal(text_at(answer->data, "public_key"), old);
	sign(f, "app", "");
	must(f, ENGINE_DELETE, path, NULL);
	answer = must(f, ENGINE_READ, "public_key", NULL);
	assert_null(strstr(answer->page, old));
	free(old);
}

static void
a_key_that_was_announced_signs_from_its_time_on(void **state)
{
	struct fix *f = *state;
	struct answer *answer = must(f, ENGINE_READ, "config/ca", NULL);
	char *old = strdup(text_at(answer->data, "public_key"));

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	must(f, ENGINE_WRITE, "config/ca/rotate", "{\"not_before\": \"60s\"}");
	later(f, 59);
	assert_string_equal(
	    text_at(must(f, ENGINE_READ, "config/ca", NULL)->data, "public_key"), old);
	sign(f, "app", "");
	later(f, 2);
	assert_string_not_equal(
	    text_at(must(f, ENGINE_READ, "config/ca", NULL)->data, "public_key"), old);
	sign(f, "app", "");
	fix_close(f);
	fix_open(f);
	assert_string_not_equal(
	    text_at(must(f, ENGINE_READ, "config/ca", NULL)->data, "public_key"), old);
	free(old);
}

static void
a_ca_without_keys_says_so_and_one_can_be_imported(void **state)
{
	struct fix *f = *state;

	must(f, ENGINE_DELETE, "config/ca", NULL);
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	no_sign(f, "app", "", "keys haven't been configured yet");
	(void)refused(f, ENGINE_READ, "config/ca", NULL, LEASED_EINVAL, "configured yet");
	(void)refused(f, ENGINE_READ, "public_key", NULL, LEASED_EINVAL, "configured yet");
	(void)refused(f, ENGINE_READ, "krl", NULL, LEASED_EINVAL, "configured yet");
	(void)refused(f, ENGINE_WRITE, "config/ca", "{\"private_key\": \"none\"}", LEASED_EINVAL,
	    "no private key");
	(void)refused(f, ENGINE_WRITE, "config/ca",
	    "{\"private_key\": \"key one\", \"public_key\": \"ssh-rsa x\"}", LEASED_EINVAL,
	    "is not that of");
	assert_null(must(f, ENGINE_WRITE, "config/ca", "{\"private_key\": \"key one\"}")->data);
	sign(f, "app", "");
	(void)refused(f, ENGINE_WRITE, "config/ca/rotate", "{\"key_type\": \"dsa\"}", LEASED_EINVAL,
	    "key_type");
}

/* ---- bans ---- */

static void
a_ban_signs_nothing_more_and_ends_what_was_signed(void **state)
{
	struct fix *f = *state;
	char *b = body_of(KEY_B, ""), *a = body_of(KEY_A, "");
	struct answer *answer;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	sign(f, "app", "");
	must(f, ENGINE_WRITE, "sign/app", b);
	must(f, ENGINE_WRITE, "bans/lost", a); /* {"public_key": KEY_A} */
	settle(f);
	assert_int_equal(rows(f), 1);
	(void)refused(f, ENGINE_WRITE, "sign/app", a, LEASED_EDENIED, "this key is banned");
	must(f, ENGINE_WRITE, "sign/app", b);
	answer = must(f, ENGINE_READ, "bans/lost", NULL);
	assert_true(json_is_true(json_object_get(answer->data, "swept")));
	assert_int_equal(json_integer_value(json_object_get(answer->data, "revoked")), 1);
	answer = must(f, ENGINE_READ, "krl", NULL);
	assert_non_null(strstr(answer->page, "SHA256:"));
	fix_close(f);
	fix_open(f);
	(void)refused(f, ENGINE_WRITE, "sign/app", a, LEASED_EDENIED, "this key is banned");
	must(f, ENGINE_DELETE, "bans/lost", NULL);
	must(f, ENGINE_WRITE, "sign/app", a);
	answer = must(f, ENGINE_READ, "krl", NULL);
	assert_null(strstr(answer->page, "SHA256:"));
	free(a);
	free(b);
}

static void
an_identity_that_is_banned_loses_its_certificates_and_no_others(void **state)
{
	struct fix *f = *state;
	char *a = body_of(KEY_A, "");

	entity_put(f, "blue");
	must(f, ENGINE_WRITE, "roles/app", ROLE);
	sign(f, "app", "");
	caller.entity = "e2";
	sign(f, "app", "");
	(void)refused(
	    f, ENGINE_WRITE, "bans/x", "{\"identity\": \"nobody\"}", LEASED_EINVAL, "nobody here");
	(void)refused(f, ENGINE_WRITE, "bans/x", "{}", LEASED_EINVAL, "a ban is of one");
	must(f, ENGINE_WRITE, "bans/x", "{\"identity\": \"e1\", \"reason\": \"left\"}");
	settle(f);
	assert_int_equal(rows(f), 1);
	must(f, ENGINE_WRITE, "sign/app", a);
	caller.entity = "e1";
	(void)refused(f, ENGINE_WRITE, "sign/app", a, LEASED_EDENIED, "your identity is banned");
	free(a);
}

static void
a_key_id_is_banned_by_its_name_and_by_the_one_that_we_gave(void **state)
{
	struct fix *f = *state;
	char *body = NULL;

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	sign(f, "app", "");
	sign(f, "app", "");
	assert_true(asprintf(&body, "{\"key_id\": \"%s\"}", text_at(made, "key_id")) > 0);
	must(f, ENGINE_WRITE, "bans/one", body);
	settle(f);
	assert_int_equal(rows(f), 1);
	assert_non_null(strstr(must(f, ENGINE_READ, "krl", NULL)->page, text_at(made, "key_id")));
	free(body);
}

static void
a_ban_that_a_stop_cut_short_is_carried_out_by_the_next_start(void **state)
{
	struct fix *f = *state;
	struct answer answer;
	char *a = body_of(KEY_A, "");

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	for (unsigned i = 0; i < 3; i++)
		sign(f, "app", "");
	start(f, ENGINE_WRITE, "bans/lost", a, &answer);
	for (unsigned i = 0; i < 10 && answer.count == 0; i++)
		(void)store_pump(f->store);
	assert_int_equal(answer.code, 0);
	assert_int_equal(answer.count, 1);
	answer_clear(&answer);
	fix_close(f);
	fix_open(f);
	settle(f);
	assert_int_equal(rows(f), 0);
	free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SSH_TEST(who_is_revoked_is_on_the_list_and_who_expires_is_not),
	    SSH_TEST(the_list_s_version_never_goes_back_and_one_version_is_one_list),
	    SSH_TEST(who_has_the_list_waits_for_the_next_one),
	    SSH_TEST(a_second_key_is_published_before_it_signs),
	    SSH_TEST(a_key_that_was_announced_signs_from_its_time_on),
	    SSH_TEST(a_ca_without_keys_says_so_and_one_can_be_imported),
	    SSH_TEST(a_ban_signs_nothing_more_and_ends_what_was_signed),
	    SSH_TEST(an_identity_that_is_banned_loses_its_certificates_and_no_others),
	    SSH_TEST(a_key_id_is_banned_by_its_name_and_by_the_one_that_we_gave),
	    SSH_TEST(a_ban_that_a_stop_cut_short_is_carried_out_by_the_next_start),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
