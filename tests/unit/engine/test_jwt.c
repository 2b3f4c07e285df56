/*
 * The issuer of JWTs: no key signs before every list of keys has it, every list has what signed for
 * as long as its tokens live, whatever is rotated, set, restarted or short of memory; and what
 * introspection and the list of ended tokens say.
 */
#include "engine/jwt.h"
#include "engine/jwt_read.h"
#include "unit/engine/fixture.h"

#define ROLE "{\"key\":\"k\",\"ttl\":120,\"client_id\":\"shop\"}"
#define KEY                                                                                        \
	"{\"algorithm\":\"EdDSA\",\"allowed_client_ids\":\"*\",\"rotation_period\":600,"           \
	"\"verification_ttl\":300}"
#define ISSUER "{\"issuer\":\"https://leased.example\",\"keys_max_age\":60}"

/* ---- asking ---- */

static void
on_identity(void *arg, const struct engine_reply *reply)
{
	struct answer *answer = arg;

	answer->count++;
	answer->code = reply->code;
	answer->status = reply->status;
	answer->err = reply->err;
	answer->data = json_incref(reply->data);
	answer->warnings = json_incref(reply->warnings);
	answer->row = reply->lease_row;
	answer->duration_s = reply->lease_duration_s;
}

static void
tick(struct fix *f)
{
	(void)engine_jwt_tick(f->engines->jwt);
	settle(f);
}

static void
begin(struct fix *f, enum engine_operation operation, const char *path, const char *body,
    struct answer *answer)
{
	struct engine_request request = {
	    .operation = operation, .caller = caller, .request_id = "req-1", .path = path};
	const char *rest;
	json_t *object;

	memset(answer, 0, sizeof(*answer));
	failalloc_pause();
	object = body != NULL ? json_loads(body, 0, NULL) : NULL;
	failalloc_resume();
	request.body = object;
	engine_handle(f->engines, engines_route(f->engines, "identity/x", &rest), &request,
	    on_identity, answer);
	json_decref(object);
}

static struct answer *
id_ask(struct fix *f, enum engine_operation operation, const char *path, const char *body)
{
	static struct answer answer;

	answer_clear(&answer);
	begin(f, operation, path, body, &answer);
	settle(f);
	if (answer.count != 1)
		fail_msg("%s was answered %u times", path, answer.count);
	return (&answer);
}

static struct answer *
id_must(struct fix *f, enum engine_operation operation, const char *path, const char *body)
{
	struct answer *answer = id_ask(f, operation, path, body);

	if (answer->code != 0)
		fail_msg("%s: %s", path, answer->err.text);
	return (answer);
}

static void
wait_s(struct fix *f, int64_t s)
{
	for (; s > 0; s -= 5) {
		wclock_fake_advance(&f->clock, (s < 5 ? s : 5) * 1000000);
		settle(f);
		tick(f);
	}
}

/* kids of the present list, as an object. */
static json_t *
listed(struct fix *f)
{
	struct identity_page page = {0};
	json_t *kids = json_object(), *body;
	const json_t *jwk;
	size_t i;

	engines_identity_keys(f->engines, &page);
	assert_int_equal(page.code, 0);
	body = json_loadb(page.text, page.text_len, 0, NULL);
	json_array_foreach(json_object_get(body, "keys"), i, jwk)
	{
		assert_null(json_object_get(jwk, "private"));
		json_object_set_new(kids, json_string_value(json_object_get(jwk, "kid")),
		    json_integer(page.max_age_s));
	}
	json_decref(body);
	return (kids);
}

static char *
issue(struct fix *f)
{
	struct answer *answer = id_must(f, ENGINE_READ, "oidc/token/r", NULL);

	return (strdup(json_string_value(json_object_get(answer->data, "token"))));
}

static bool
active(struct fix *f, const char *token)
{
	struct leased_err err = LEASED_ERR_INIT;
	const char *why = NULL;
	bool good = false;

	assert_int_equal(
	    engines_identity_introspect(f->engines, token, NULL, &good, &why, &err), 0);
	assert_int_equal(good, why[0] == '\0');
	return (good);
}

static void
setup_role(struct fix *f)
{
	id_must(f, ENGINE_WRITE, "oidc/config", ISSUER);
	id_must(f, ENGINE_WRITE, "oidc/key/k", KEY);
	id_must(f, ENGINE_WRITE, "oidc/role/r", ROLE);
}

/* ---- rotation ---- */

static void
the_next_key_is_published_before_it_signs_and_the_last_one_after(void **state)
{
	struct fix *f = *state;
	json_t *before, *after;
	const char *kid;
	char *next;

	setup_role(f);
	before = listed(f);
	assert_int_equal(json_object_size(before), 2);
	next = strdup(engine_jwt_text(engine_jwt_key_find(f->engines->jwt, "k"), "next", "kid"));
	wait_s(f, 605);
	kid = engine_jwt_text(engine_jwt_key_find(f->engines->jwt, "k"), "current", "kid");
	assert_string_equal(kid, next);
	after = listed(f);
	assert_int_equal(json_object_size(after), 3);
	wait_s(f, 310); /* the last token of the first one is over */
	json_decref(after);
	after = listed(f);
	assert_int_equal(json_object_size(after), 2);
	free(next);
	json_decref(before);
	json_decref(after);
}

#define SEEN_MAX 4096
struct world {
	struct fix *f;
	struct list {
		int64_t at_ms, until_ms;
		json_t *kids;
	} lists[SEEN_MAX]; /* handed out; somebody may still have them */
	size_t count;
	struct out {
		char kid[32];
		int64_t until_ms;
	} tokens[SEEN_MAX];
	size_t token_count;
	uint64_t random;
};

static unsigned
draw(struct world *w, unsigned most)
{
	w->random = w->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return ((unsigned)(w->random >> 33) % most);
}

/* Somebody fetches the list, and keeps it as long as it was told. */
static void
fetch(struct world *w)
{
	int64_t now_ms = leases_now_ms(w->f->leases);
	json_t *kids = listed(w->f);

	for (size_t i = 0; i < w->token_count; i++)
		if (w->tokens[i].until_ms > now_ms &&
		    json_object_get(kids, w->tokens[i].kid) == NULL)
			fail_msg(
			    "%s signed a token that lives, and is not published", w->tokens[i].kid);
	assert_true(w->count < SEEN_MAX);
	w->lists[w->count++] = (struct list){now_ms,
	    now_ms + 1000 * json_integer_value(json_object_iter_value(json_object_iter(kids))),
	    kids};
}

/* A token is made: whoever has a list that may still be kept can verify it. */
static void
sign_one(struct world *w)
{
	int64_t now_ms = leases_now_ms(w->f->leases);
	char *token = issue(w->f), *dot = strchr(token, '.');
	struct out *out = &w->tokens[w->token_count++];

	assert_true(w->token_count < SEEN_MAX);
	(void)snprintf(out->kid, sizeof(out->kid), "%.*s", (int)(dot - token), token);
	out->until_ms = now_ms + 120000;
	for (size_t i = 0; i < w->count; i++)
		if (w->lists[i].until_ms > now_ms &&
		    json_object_get(w->lists[i].kids, out->kid) == NULL)
			fail_msg("%s signs, and a list of %lld ms ago does not have it", out->kid,
			    (long long)(now_ms - w->lists[i].at_ms));
	free(token);
}

static void
act(struct world *w)
{
	static const char *const ages[] = {
	    "{\"keys_max_age\":5}", "{\"keys_max_age\":60}", "{\"keys_max_age\":300}"};
	static const char *const periods[] = {"{\"rotation_period\":60}",
	    "{\"rotation_period\":600}", "{\"rotation_period\":90,\"verification_ttl\":130}"};

	switch (draw(w, 12)) {
	case 0:
		(void)id_must(w->f, ENGINE_WRITE, "oidc/key/k/rotate", "{}");
		break;
	case 1:
		(void)id_must(w->f, ENGINE_WRITE, "oidc/config", ages[draw(w, 3)]);
		break;
	case 2:
		(void)id_must(w->f, ENGINE_WRITE, "oidc/key/k", periods[draw(w, 3)]);
		break;
	case 3:
		if (draw(w, 4) == 0) {
			fix_close(w->f);
			fix_open(w->f);
		}
		break;
	case 4:
	case 5:
		wait_s(w->f, 1 + draw(w, 100));
		break;
	case 6:
	case 7:
		fetch(w);
		break;
	default:
		wait_s(w->f, 1 + draw(w, 9));
		sign_one(w);
		break;
	}
	tick(w->f);
}

static void
who_keeps_a_list_as_long_as_it_may_verifies_every_token(void **state)
{
	struct world *w = calloc(1, sizeof(*w));
	json_t *kids = json_object();

	assert_non_null(w);
	w->f = *state;
	w->random = 7;
	setup_role(w->f);
	for (unsigned i = 0; i < 1500; i++)
		act(w);
	for (size_t i = 0; i < w->token_count; i++)
		json_object_set_new(kids, w->tokens[i].kid, json_null());
	assert_true(json_object_size(kids) > 8); /* it was rotated, again and again */
	for (size_t i = 0; i < w->count; i++)
		json_decref(w->lists[i].kids);
	json_decref(kids);
	free(w);
}

static void
a_rotation_that_cannot_be_done_leaves_the_key_as_it_was(void **state)
{
	struct fix *f = *state;
	char *kid, *token;

	setup_role(f);
	kid = strdup(engine_jwt_text(engine_jwt_key_find(f->engines->jwt, "k"), "current", "kid"));
	fake_port_fault(
	    last_port(f), PLUGIN_OP_GENERATE, FAKE_FAULT_BEFORE, LEASED_ECRASHED, "died");
	wait_s(f, 600); /* it is due */
	token = issue(f);
	assert_memory_equal(token, kid, strlen(kid));
	free(token);
	wait_s(f, 30); /* it is tried again */
	token = issue(f);
	assert_memory_not_equal(token, kid, strlen(kid) + 1);
	free(token);
	free(kid);
}

static void
a_request_whose_key_is_rotated_while_it_waits_is_signed_by_the_new_one(void **state)
{
	struct fix *f = *state;

	setup_role(f);
	wait_s(f, 70);
	fake_port_fault(
	    last_port(f), PLUGIN_OP_SIGN, FAKE_FAULT_BEFORE, LEASED_ENOENT, "no such key");
	free(issue(f));
}

/* ---- its end ---- */

static void
on_page(void *arg, const struct identity_page *page)
{
	assert_int_equal(page->code, 0);
	*(json_t **)arg = json_loadb(page->text, page->text_len, 0, NULL);
}

static bool
is_denied(struct fix *f, const char *token)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *page = NULL, *claims = NULL;
	const json_t *one;
	bool found = false;
	size_t i;

	wclock_fake_advance(&f->clock, 1100000);
	engines_identity_denied(f->engines, on_page, &page);
	settle(f);
	assert_non_null(page);
	assert_int_equal(engine_jwt_read(token, &claims, &err), 0);
	json_array_foreach(json_object_get(page, "denied"), i, one) found |=
	    json_equal(json_object_get(one, "jti"), json_object_get(claims, "jti"));
	json_decref(page);
	json_decref(claims);
	return (found);
}

static void
a_revoked_token_is_denied_until_it_would_have_ended(void **state)
{
	struct fix *f = *state;
	struct answer *answer;
	char *token, *other;

	setup_role(f);
	other = issue(f);
	answer = id_must(f, ENGINE_READ, "oidc/token/r", NULL);
	token = strdup(json_string_value(json_object_get(answer->data, "token")));
	assert_true(active(f, token) && active(f, other));
	revoke(f, answer->row);
	assert_false(active(f, token));
	assert_true(active(f, other));
	assert_true(is_denied(f, token) && !is_denied(f, other));
	fix_close(f);
	fix_open(f);
	assert_true(is_denied(f, token));
	wait_s(f, 150);
	assert_false(active(f, other)); /* in its time .. */
	assert_false(is_denied(f, other));
	wait_s(f, 900); /* .. and with the leeway of those who look */
	assert_false(is_denied(f, token));
	assert_int_equal(docs(f, "denied"), 0);
	free(token);
	free(other);
}

static void
nothing_but_the_very_token_is_active(void **state)
{
	struct fix *f = *state;
	struct leased_err err = LEASED_ERR_INIT;
	const char *why;
	char *token;
	bool good;

	setup_role(f);
	token = issue(f);
	assert_int_equal(
	    engines_identity_introspect(f->engines, token, "shop", &good, &why, &err), 0);
	assert_true(good);
	assert_int_equal(
	    engines_identity_introspect(f->engines, token, "shops", &good, &why, &err), 0);
	assert_false(good);
	token[strlen(token) - 1] ^= 1; /* the signature alone */
	assert_false(active(f, token) || active(f, "a.b.c"));
	free(token);
}

/* ---- lack of memory ---- */

static void
each(struct fix *f, enum engine_operation operation, const char *path, const char *body,
    void (*check)(struct fix *f, const struct answer *answer))
{
	struct answer answer;
	bool failed = true;

	for (unsigned long n = 1; failed; n++) {
		failalloc_arm(n);
		begin(f, operation, path, body, &answer);
		settle(f);
		failed = failalloc_disarm();
		wait_s(f, 10);
		if (answer.count != 1)
			fail_msg("%s: allocation %lu: answered %u times", path, n, answer.count);
		if (!failed && answer.code != 0)
			fail_msg("%s: %s", path, answer.err.text);
		check(f, &answer);
		answer_clear(&answer);
		if (n > 3000)
			fail_msg("%s: still allocating", path);
	}
}

static void
check_signs(struct fix *f, const struct answer *answer)
{
	json_t *kids;
	char *token, *dot;

	(void)answer;
	id_must(f, ENGINE_WRITE, "oidc/key/k", KEY);
	id_must(f, ENGINE_WRITE, "oidc/role/r", ROLE);
	token = issue(f);
	kids = listed(f);
	dot = strchr(token, '.');
	*dot = '\0';
	assert_non_null(json_object_get(kids, token));
	json_decref(kids);
	free(token);
}

static void
check_token(struct fix *f, const struct answer *answer)
{
	const char *token = json_string_value(json_object_get(answer->data, "token"));

	if (answer->code == 0) {
		assert_non_null(token);
		assert_true(active(f, token));
	}
	wait_s(f, 130);
	assert_int_equal(rows(f), 0);
}

static void
lack_of_memory_leaves_a_key_that_signs_and_is_published(void **state)
{
	struct fix *f = *state;

	setup_role(f);
	each(f, ENGINE_WRITE, "oidc/key/k", KEY, check_signs);
	each(f, ENGINE_WRITE, "oidc/role/r", ROLE, check_signs);
	wait_s(f, 70);
	each(f, ENGINE_WRITE, "oidc/key/k/rotate", "{\"verification_ttl\":120}", check_signs);
	each(f, ENGINE_WRITE, "oidc/key/k/rotate", "{\"verification_ttl\":0}", check_signs);
}

static void
lack_of_memory_hands_out_no_token_without_a_lease(void **state)
{
	setup_role(*state);
	each(*state, ENGINE_READ, "oidc/token/r", NULL, check_token);
}

#define test(name) cmocka_unit_test_setup_teardown(name, fix_setup, fix_teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    test(the_next_key_is_published_before_it_signs_and_the_last_one_after),
	    test(who_keeps_a_list_as_long_as_it_may_verifies_every_token),
	    test(a_rotation_that_cannot_be_done_leaves_the_key_as_it_was),
	    test(a_request_whose_key_is_rotated_while_it_waits_is_signed_by_the_new_one),
	    test(a_revoked_token_is_denied_until_it_would_have_ended),
	    test(nothing_but_the_very_token_is_active),
	    test(lack_of_memory_leaves_a_key_that_signs_and_is_published),
	    test(lack_of_memory_hands_out_no_token_without_a_lease),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
