/* Reading a connection never shows a password, however the URL is written. */
#include "unit/engine/fixture.h"

static void
assert_shown(const char *url, const char *expected, bool expected_found)
{
	bool found = !expected_found;
	char *text = engine_redact_url(url, &found);

	assert_non_null(text);
	assert_string_equal(text, expected);
	assert_int_equal(found, expected_found);
	free(text);
}

static void
urls_keep_all_but_the_password(void **state)
{
	(void)state;
	assert_shown("postgresql://u:geheim@db:5432/app?sslmode=require",
	    "postgresql://u:*****@db:5432/app?sslmode=require", true);
	assert_shown(
	    "postgresql://u:{{password}}@db/app", "postgresql://u:{{password}}@db/app", false);
	assert_shown("postgresql://{{username}}:{{password}}@db/app",
	    "postgresql://{{username}}:{{password}}@db/app", false);
	assert_shown("postgresql://db:5432/app", "postgresql://db:5432/app", false);
	assert_shown("postgresql://u@db:5432/app", "postgresql://u@db:5432/app", false);
	assert_shown("", "", false);
	assert_shown("://", "://", false);
}

static void
a_password_with_unescaped_characters_is_hidden_whole(void **state)
{
	(void)state;
	assert_shown("postgresql://u:ge/he@im?x@db/app", "postgresql://u:*****@db/app", true);
	assert_shown("postgresql://u:{{password}}secret@db", "postgresql://u:*****@db", true);
	assert_shown("postgresql://u:{{a}}secret{{b}}@db", "postgresql://u:*****@db", true);
}

static void
both_places_of_a_url_are_hidden(void **state)
{
	(void)state;
	assert_shown("postgresql://u:one@db/app?password=two&sslmode=require",
	    "postgresql://u:*****@db/app?password=*****&sslmode=require", true);
	assert_shown(
	    "postgresql://db/app?passwor%64=two", "postgresql://db/app?passwor%64=*****", true);
	assert_shown("postgresql://db/app?sslpassword=a&password=b",
	    "postgresql://db/app?sslpassword=*****&password=*****", true);
}

static void
keyword_pairs_in_every_spelling_are_hidden(void **state)
{
	(void)state;
	assert_shown("host=db password=geheim user=u", "host=db password=***** user=u", true);
	assert_shown(
	    "host=db password = 'ge \\'he im' user=u", "host=db password = ***** user=u", true);
	assert_shown("password=a\\ b user=u", "password=***** user=u", true);
	assert_shown("password='a://b:c@d' user=u", "password=***** user=u", true);
	assert_shown("host=db password={{password}}", "host=db password={{password}}", false);
	assert_shown("host=db password='{{password}}'", "host=db password='{{password}}'", false);
	assert_shown("password=p:x@y host=db", "password=***** host=db", true);
	assert_shown("password='never ends", "password=*****", true);
	assert_shown("password=", "password=", false);
}

static void
the_other_form_of_mysql_is_hidden(void **state)
{
	(void)state;
	assert_shown("root:geheim@tcp(127.0.0.1:3306)/", "root:*****@tcp(127.0.0.1:3306)/", true);
	assert_shown("{{username}}:{{password}}@tcp(db:3306)/",
	    "{{username}}:{{password}}@tcp(db:3306)/", false);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(urls_keep_all_but_the_password),
	    cmocka_unit_test(a_password_with_unescaped_characters_is_hidden_whole),
	    cmocka_unit_test(both_places_of_a_url_are_hidden),
	    cmocka_unit_test(keyword_pairs_in_every_spelling_are_hidden),
	    cmocka_unit_test(the_other_form_of_mysql_is_hidden),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
