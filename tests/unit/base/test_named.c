/*
 * Files that a configuration names: every spelling that connection strings have, and what is no
 * path.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/named.h"

static void
finds(const char *value, const char *expected)
{
	json_t *config = json_pack("{s:s}", "connection_url", value);
	struct named_files files;

	assert_non_null(config);
	named_files_find(config, &files);
	json_decref(config);
	if (expected == NULL && files.count != 0)
		fail_msg("%s: found %s", value, files.paths[0]);
	if (expected != NULL && (files.count != 1 || strcmp(files.paths[0], expected) != 0))
		fail_msg("%s: not found: %s", value, expected);
}

static void
a_path_is_found_in_every_spelling(void **state)
{
	(void)state;
	finds("/etc/a b/ca.pem", "/etc/a b/ca.pem");
	finds("host=db sslrootcert=/etc/ca.pem port=5432", "/etc/ca.pem");
	finds("sslrootcert='/etc/a b/it\\'s.pem' host=db", "/etc/a b/it's.pem");
	finds("host=db sslrootcert = /etc/ca.pem port=5432", "/etc/ca.pem");
	finds("sslrootcert =\t'/etc/a b.pem'", "/etc/a b.pem");
	finds("postgresql://u@db/app?sslrootcert=/etc/ca.pem&port=1", "/etc/ca.pem");
	finds("postgresql://u@db/app?sslrootcert=%2Fetc%2Fa%20b.pem", "/etc/a b.pem");
	finds("postgresql://u@db/app?sslrootcert=%2fetc/100%", "/etc/100%");
}

static void
what_is_no_path_is_not(void **state)
{
	(void)state;
	finds("postgresql://u:/etc@db/app", NULL);
	finds("db.example", NULL);
	finds("sslmode=verify-full", NULL);
	finds("sslrootcert=relative/ca.pem", NULL);
	finds("postgresql://db?a=%00/etc/passwd", NULL);
	finds("postgresql://db?a=/etc/%FF", NULL);
	finds("a=/etc/\x01", NULL);
	finds("a=/etc/\"x", NULL);
	finds("a=", NULL);
	finds("a= ", NULL);
	finds("postgresql://db?a= /etc/ca.pem", NULL);
	finds("", NULL);
}

static void
a_path_beyond_the_limits_is_left_out(void **state)
{
	struct named_files files;
	json_t *config = json_object();
	char path[NAMED_PATH_MAX + 2], key[16];

	(void)state;
	memset(path, '/', sizeof(path));
	path[NAMED_PATH_MAX] = '\0';
	assert_int_equal(json_object_set_new(config, "long", json_string(path)), 0);
	named_files_find(config, &files);
	assert_int_equal(files.count, 0);
	path[NAMED_PATH_MAX - 1] = '\0';
	assert_int_equal(json_object_set_new(config, "longest", json_string(path)), 0);
	named_files_find(config, &files);
	assert_int_equal(files.count, 1);
	for (int i = 0; i < 20; i++) {
		(void)snprintf(key, sizeof(key), "/k%d", i);
		assert_int_equal(json_object_set_new(config, key, json_string(key)), 0);
		assert_int_equal(json_object_set_new(config, key + 1, json_string(key)), 0);
	}
	named_files_find(config, &files);
	assert_int_equal(files.count, NAMED_FILES_MAX);
	json_decref(config);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_path_is_found_in_every_spelling),
	    cmocka_unit_test(what_is_no_path_is_not),
	    cmocka_unit_test(a_path_beyond_the_limits_is_left_out),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
