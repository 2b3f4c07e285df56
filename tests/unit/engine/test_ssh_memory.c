/*
 * Lack of memory at any place of a request for a certificate, a ban, a key or the list: it is
 * answered once, and what holds afterwards is whole. Above all: a list lacks nobody.
 */
#include "unit/engine/ssh_fixture.h"

/* Does it with the n-th allocation failing, for every n until none fails; check looks afterwards.
 */
static void
each(struct fix *f, enum engine_operation operation, const char *path, const char *body,
    void (*before)(struct fix *), void (*check)(struct fix *, const struct answer *))
{
	struct answer answer;
	bool failed = true;
	unsigned long n;

	for (n = 1; failed; n++) {
		if (before != NULL)
			before(f);
		failalloc_arm(n);
		start(f, operation, path, body, &answer);
		settle(f);
		failed = failalloc_disarm();
		if (answer.count == 0)
			later(f, 70);
		if (answer.count != 1)
			fail_msg("%s: allocation %lu: answered %u times", path, n, answer.count);
		if (!failed && answer.code != 0)
			fail_msg("%s: %s", path, answer.err.text);
		check(f, &answer);
		answer_clear(&answer);
		if (n > 3000)
			fail_msg("%s: still allocating", path);
	}
	assert_true(n > 10);
}

static char *wanted;

static void
check_list(struct fix *f, const struct answer *answer)
{
	json_t *list;

	if (answer->code == 0) {
		assert_non_null(answer->page);
		list = json_loads(answer->page, 0, NULL);
		assert_non_null(list);
		assert_string_equal(
		    text_at(json_array_get(json_object_get(list, "cas"), 0), "serials"), wanted);
		assert_int_equal(json_array_size(json_object_get(list, "keys")), 1);
		json_decref(list);
	}
	later(f, 15); /* no failure is remembered for the next */
}

static void
forget(struct fix *f)
{
	fix_close(f);
	fix_open(f);
}

static void
forget_the_list(struct fix *f)
{
	struct ssh_mount *mount = LIST_FIRST(&f->engines->ssh);

	mount->list.version = 0;
}

static void
a_list_lacks_nobody(void **state)
{
	struct fix *f = *state;
	char *b = body_of(KEY_B, "");

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	must(f, ENGINE_WRITE, "bans/lost", b);
	settle(f);
	for (unsigned i = 0; i < 70; i++)
		revoke(f, sign(f, "app", "'ttl': '3600s'")->row);
	wanted = serials(f);
	assert_int_equal(strlen(wanted) > 70, 1);
	each(f, ENGINE_READ, "krl", NULL, forget, check_list);
	each(f, ENGINE_READ, "krl", NULL, forget_the_list, check_list);
	free(wanted);
	free(b);
}

static void
check_signed(struct fix *f, const struct answer *answer)
{
	if (answer->code == 0) {
		assert_non_null(strstr(text_at(answer->data, "signed_key"), "principals"));
		revoke(f, answer->row);
	}
	later(f, 2);
	assert_int_equal(rows(f), 0);
}

static void
a_certificate_is_whole_or_its_lease_ends(void **state)
{
	struct fix *f = *state;
	char *a = body_of(KEY_A, "");

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	each(f, ENGINE_WRITE, "sign/app", a, NULL, check_signed);
	free(a);
}

/* Who was told that it holds is refused; who was told that it does not may be either. */
static void
check_ban(struct fix *f, const struct answer *answer)
{
	char *a = body_of(KEY_A, "");
	struct answer *now = ask(f, ENGINE_WRITE, "sign/app", a);

	if (answer->code == 0)
		assert_int_equal(now->code, LEASED_EDENIED);
	else
		assert_true(now->code == 0 || now->code == LEASED_EDENIED);
	must(f, ENGINE_DELETE, "bans/lost", NULL);
	must(f, ENGINE_WRITE, "sign/app", a);
	later(f, 601);
	free(a);
}

static void
a_ban_holds_when_it_was_said_so(void **state)
{
	struct fix *f = *state;
	char *a = body_of(KEY_A, "");

	must(f, ENGINE_WRITE, "roles/app", ROLE);
	each(f, ENGINE_WRITE, "bans/lost", a, NULL, check_ban);
	free(a);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    SSH_TEST(a_list_lacks_nobody),
	    SSH_TEST(a_certificate_is_whole_or_its_lease_ends),
	    SSH_TEST(a_ban_holds_when_it_was_said_so),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
