/* The MySQL plugin's quoting, statements and hashes: what stands in quotes stays in them, and what
 * cannot be right is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include <leased/secret.h>

#include "mysql/hash.h"
#include "mysql/sql.h"
#include "support/failalloc.h"

#define NATIVE_OF_PASSWORD "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"

static void
assert_quoted(void (*quote)(struct maria_sql *, const char *), const char *text, const char *wanted)
{
	struct maria_sql sql = MARIA_SQL_INIT;

	quote(&sql, text);
	if (wanted == NULL) {
		assert_int_equal(sql.failed, LEASED_EINVAL);
	} else {
		assert_int_equal(sql.failed, 0);
		assert_string_equal(sql.text, wanted);
	}
	maria_sql_clear(&sql);
}

static void
an_identifier_ends_at_no_quote_and_no_escape(void **state)
{
	(void)state;
	assert_quoted(maria_sql_identifier, "l-x", "`l-x`");
	assert_quoted(maria_sql_identifier, "a`b", "`a``b`");
	assert_quoted(maria_sql_identifier, "a\\`'\"", "`a\\``'\"`");
	assert_quoted(maria_sql_identifier, "\xc3\xa9\xe4\xb8\xad", "`\xc3\xa9\xe4\xb8\xad`");
}

static void
a_name_that_the_server_would_change_is_refused(void **state)
{
	(void)state;
	assert_quoted(maria_sql_identifier, "", NULL);
	assert_quoted(maria_sql_identifier, "x ", NULL);
	assert_quoted(maria_sql_identifier, "\xf0\x9f\x98\x80", NULL);
	assert_quoted(maria_sql_identifier, "\xff", NULL);
	assert_quoted(maria_sql_identifier, "a\xe4\xb8", NULL);
	assert_quoted(maria_sql_identifier, "\xed\xa0\x80", NULL);
	assert_quoted(maria_sql_identifier, "\xc0\xaf", NULL);
}

static void
a_literal_doubles_quotes_and_backslashes(void **state)
{
	(void)state;
	assert_quoted(maria_sql_literal, "", "''");
	assert_quoted(maria_sql_literal, "it's", "'it''s'");
	assert_quoted(maria_sql_literal, "\\'", "'\\\\'''");
	assert_quoted(maria_sql_literal, "\"`%_", "'\"`%_'");
	assert_quoted(maria_sql_literal, "\xf0\x9f\x98\x80", "'\xf0\x9f\x98\x80'");
	/* What another character set would read as one character with the quote behind it. */
	assert_quoted(maria_sql_literal, "\xbf'", NULL);
}

static void
bytes_in_hexadecimal_have_no_quotes_to_leave(void **state)
{
	(void)state;
	assert_quoted(maria_sql_hex, "", "''");
	assert_quoted(maria_sql_hex, "a'\xff", "0x6127ff");
}

static void
a_schema_of_a_grant_matches_itself_only(void **state)
{
	(void)state;
	assert_quoted(maria_sql_grant_schema, "app", "`app`");
	assert_quoted(maria_sql_grant_schema, "my_app%", "`my\\_app\\%`");
	assert_quoted(maria_sql_grant_schema, "a`b", "`a``b`");
	assert_quoted(maria_sql_grant_schema, "a\\_b", NULL);
	assert_quoted(maria_sql_grant_schema, "", NULL);
}

static void
after_a_failure_nothing_is_added(void **state)
{
	struct maria_sql sql = MARIA_SQL_INIT;

	(void)state;
	maria_sql_add(&sql, "DROP USER ");
	maria_sql_account(&sql, "x ", "%");
	maria_sql_add(&sql, "y");
	assert_int_equal(sql.failed, LEASED_EINVAL);
	assert_string_equal(sql.text, "DROP USER ");
	maria_sql_clear(&sql);
}

/* ---- statements ---- */

static int
joined(const char *parts, const struct maria_slots *slots, const char *wanted)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct maria_sql sql = MARIA_SQL_INIT;
	json_t *statement = json_loads(parts, 0, NULL);
	int r;

	assert_non_null(statement);
	r = maria_sql_statement(&sql, statement, slots, &err);
	if (r == 0)
		r = sql.failed;
	if (r == 0)
		assert_string_equal(sql.text, wanted);
	else if (sql.failed == 0)
		assert_true(err.text[0] != '\0');
	json_decref(statement);
	maria_sql_clear(&sql);
	return (r);
}

/* On MySQL. No hash where the server is to see passwords. */
static void
the_older_way_to_log_in_takes_a_hash_or_a_password(void **state)
{
	const struct maria_slots slots = {.password = "p'w", .hash = "*AB", .is_mysql = true};
	const struct maria_slots clear = {.password = "p'w", .is_mysql = true};
	struct maria_sql sql = MARIA_SQL_INIT;

	(void)state;
	maria_sql_identified_native(&sql, &slots);
	assert_string_equal(sql.text, "IDENTIFIED WITH mysql_native_password AS '*AB'");
	maria_sql_clear(&sql);
	maria_sql_identified_native(&sql, &clear);
	assert_string_equal(sql.text, "IDENTIFIED WITH mysql_native_password BY 'p''w'");
	maria_sql_clear(&sql);
}

#define NAME_THEN(text)                                                                            \
	"[{\"sql\":\"CREATE USER \"},{\"literal\":\"name\"},{\"sql\":\"" text                      \
	"\"},{\"literal\":\"password\"}]"

static void
a_password_becomes_a_hash_where_the_server_makes_one(void **state)
{
	const struct maria_slots slots = {.name = "x", .password = "p'w", .hash = "*AB"};
	const struct maria_slots mysql = {
	    .name = "x", .password = "p'w", .hash = "2441", .is_mysql = true};
	const struct maria_slots clear = {.name = "x", .password = "p'w"};

	(void)state;
	assert_int_equal(
	    joined(NAME_THEN("@'%' IDENTIFIED BY "), &slots,
		"CREATE USER 'x'@'%' IDENTIFIED VIA mysql_native_password USING '*AB'"),
	    0);
	assert_int_equal(joined(NAME_THEN(" identified  by\\n"), &slots,
			     "CREATE USER 'x' IDENTIFIED VIA mysql_native_password USING '*AB'"),
	    0);
	assert_int_equal(joined(NAME_THEN(" IDENTIFIED BY PASSWORD "), &slots,
			     "CREATE USER 'x' IDENTIFIED BY PASSWORD '*AB'"),
	    0);
	assert_int_equal(joined(NAME_THEN(" IDENTIFIED BY "), &mysql,
			     "CREATE USER 'x' IDENTIFIED WITH caching_sha2_password AS 0x2441"),
	    0);
	assert_int_equal(
	    joined(NAME_THEN(" IDENTIFIED BY "), &clear, "CREATE USER 'x' IDENTIFIED BY 'p''w'"),
	    0);
	assert_int_equal(joined(NAME_THEN(" IDENTIFIED VIA ed25519 USING PASSWORD("), &slots,
			     "CREATE USER 'x' IDENTIFIED VIA ed25519 USING PASSWORD('p''w'"),
	    0);
	assert_int_equal(joined(NAME_THEN(" COMMENT UNIDENTIFIED BY "), &slots,
			     "CREATE USER 'x' COMMENT UNIDENTIFIED BY 'p''w'"),
	    0);
}

static void
a_statement_without_a_value_or_of_another_shape_is_refused(void **state)
{
	const struct maria_slots slots = {.name = "x"};

	(void)state;
	assert_int_equal(joined("[{\"literal\":\"password\"}]", &slots, NULL), LEASED_EINVAL);
	assert_int_equal(joined("[{\"literal\":\"other\"}]", &slots, NULL), LEASED_EINVAL);
	assert_int_equal(
	    joined("[{\"sql\":\"a\",\"literal\":\"name\"}]", &slots, NULL), LEASED_EINVAL);
	assert_int_equal(joined("[{\"text\":\"a\"}]", &slots, NULL), LEASED_EINVAL);
	assert_int_equal(joined("[\"a\"]", &slots, NULL), LEASED_EINVAL);
	assert_int_equal(joined("{}", &slots, NULL), LEASED_EINVAL);
}

/* ---- hashes ---- */

static void
a_native_hash_is_what_the_server_makes(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	char hash[MARIA_HASH_SIZE];

	(void)state;
	assert_int_equal(maria_hash_native("password", hash, &err), 0);
	assert_string_equal(hash, NATIVE_OF_PASSWORD);
}

/* A vector that a tool for such hashes publishes. */
static void
a_sha2_hash_is_what_mysql_makes(void **state)
{
	static const char salt[] = "\xf9\xcc\x98\xce\x08\x89\x29\x24\xf5\x0a\x21\x3b\x6b\xc5\x71"
				   "\xa2\xc1\x17\x78\xc5";
	struct leased_err err = LEASED_ERR_INIT;
	char text[MARIA_HASH_SIZE / 2];

	(void)state;
	assert_int_equal(maria_hash_sha2_salted("hashcat", salt, text, &err), 0);
	assert_memory_equal(text, "$A$005$", 7);
	assert_memory_equal(text + 7, salt, MARIA_SALT_LEN);
	assert_string_equal(
	    text + 7 + MARIA_SALT_LEN, "bTy95Y99eAME1dwEkHOA1ndHGBWz.1bxSSRkuTXFGV/");
}

static void
a_sha2_hash_has_a_salt_of_its_own(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	char first[MARIA_HASH_SIZE], second[MARIA_HASH_SIZE];

	(void)state;
	assert_int_equal(maria_hash_sha2("password", first, &err), 0);
	assert_int_equal(maria_hash_sha2("password", second, &err), 0);
	assert_int_equal(strlen(first), 140);
	assert_string_not_equal(first, second);
}

static int
build_once(void *arg)
{
	struct maria_sql sql = MARIA_SQL_INIT;
	int r, i;

	(void)arg;
	for (i = 0; i < 40; i++)
		maria_sql_literal(&sql, "a password that is long enough to grow the text '\\");
	r = sql.failed;
	maria_sql_clear(&sql);
	return (r);
}

static void
a_text_without_memory_fails_whole(void **state)
{
	(void)state;
	failalloc_each(build_once, NULL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(an_identifier_ends_at_no_quote_and_no_escape),
	    cmocka_unit_test(a_name_that_the_server_would_change_is_refused),
	    cmocka_unit_test(a_literal_doubles_quotes_and_backslashes),
	    cmocka_unit_test(bytes_in_hexadecimal_have_no_quotes_to_leave),
	    cmocka_unit_test(a_schema_of_a_grant_matches_itself_only),
	    cmocka_unit_test(after_a_failure_nothing_is_added),
	    cmocka_unit_test(a_password_becomes_a_hash_where_the_server_makes_one),
	    cmocka_unit_test(the_older_way_to_log_in_takes_a_hash_or_a_password),
	    cmocka_unit_test(a_statement_without_a_value_or_of_another_shape_is_refused),
	    cmocka_unit_test(a_native_hash_is_what_the_server_makes),
	    cmocka_unit_test(a_sha2_hash_is_what_mysql_makes),
	    cmocka_unit_test(a_sha2_hash_has_a_salt_of_its_own),
	    cmocka_unit_test(a_text_without_memory_fails_whole),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
