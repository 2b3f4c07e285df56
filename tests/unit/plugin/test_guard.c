/*
 * Files of leased's own: no worker is started that could read one of them because its configuration
 * names it, whatever the name and whenever it began to lead there; and the reason is told.
 */
#include "fixture.h"

#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "plugin/guard.h"

static char dir[64];

static void
in_dir(const char *name, char ret_path[256])
{
	(void)snprintf(ret_path, 256, "%s/%s", dir, name);
}

static void
make_file(const char *name)
{
	char path[256];
	int fd;

	in_dir(name, path);
	assert_int_not_equal(fd = open(path, O_CREAT | O_WRONLY, 0600), -1);
	assert_int_equal(close(fd), 0);
}

static void
make_link(const char *target, const char *name)
{
	char from[256], path[256];

	in_dir(target, from);
	in_dir(name, path);
	assert_int_equal(symlink(from, path), 0);
}

static void
guard(struct fix *fix, enum plugin_guard kind, const char *name)
{
	struct leased_err err = LEASED_ERR_INIT;
	char path[256];

	in_dir(name, path);
	assert_int_equal(plugin_host_guard(fix->host, kind, path, &err), 0);
}

static int
setup(void **state)
{
	static const char *const directories[] = {"data", "data/deep", "certs"};
	static const char *const files[] = {
	    "data/leased.db", "data/deep/file", "root.key", "tls.key", "audit", "certs/ca.pem"};
	char path[256], second[256];

	assert_int_equal(fix_setup(state), 0);
	(void)snprintf(dir, sizeof(dir), "/tmp/leased-guard-XXXXXX");
	assert_non_null(mkdtemp(dir));
	for (size_t i = 0; i < sizeof(directories) / sizeof(directories[0]); i++) {
		in_dir(directories[i], path);
		assert_int_equal(mkdir(path, 0700), 0);
	}
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		make_file(files[i]);
	make_link("root.key", "certs/link");
	make_link("data", "certs/directory");
	make_link("certs/ca.pem", "changing");
	in_dir("tls.key", path);
	in_dir("certs/hard", second);
	assert_int_equal(link(path, second), 0);
	return (0);
}

static int
remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status;
	(void)type;
	(void)place;
	return (remove(path));
}

static int
teardown(void **state)
{
	assert_int_equal(nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	return (fix_teardown(state));
}

static void
guard_all(struct fix *fix)
{
	guard(fix, PLUGIN_GUARD_DATA, "data");
	guard(fix, PLUGIN_GUARD_ROOT_KEY, "root.key");
	guard(fix, PLUGIN_GUARD_TLS_KEY, "tls.key");
	guard(fix, PLUGIN_GUARD_AUDIT, "audit");
	guard(fix, PLUGIN_GUARD_CONFIG, "nowhere");
}

/* says NULL: a worker starts and serves. */
static void
names(struct fix *fix, const char *name, const char *says)
{
	char path[256];

	in_dir(name, path);
	fix->out.count = 0;
	fix_open_program(fix, "evil", "good", path);
	fix_mint(fix, 5000, &fix->out);
	fix_until(fix, &fix->out.count, 1);
	if (says == NULL
		? fix->out.code != 0
		: fix->out.code != LEASED_EUNAVAIL || strstr(fix->out.text, says) == NULL ||
		      strstr(fix->out.text, path) == NULL)
		fail_msg("%s: %d %s", name, fix->out.code, fix->out.text);
	plugin_port_close(fix->port);
	fix->port = NULL;
	fix_run_ms(fix, 5);
}

static void
what_is_leased_s_own_is_no_workers_by_any_name(void **state)
{
	struct fix *fix = *state;

	guard_all(fix);
	names(fix, "root.key", "is the root key");
	names(fix, "certs/../root.key", "is the root key");
	names(fix, "certs/link", "is the root key");
	names(fix, "tls.key", "is the private key of a listener");
	names(fix, "certs/hard", "is the private key of a listener");
	names(fix, "audit", "is the audit");
	names(fix, "data/leased.db", "in the data directory");
	names(fix, "data/deep/file", "in the data directory");
	names(fix, "certs/directory/leased.db", "in the data directory");
	names(fix, "certs/ca.pem", NULL);
	names(fix, "changing", NULL);
	names(fix, "nowhere", NULL);
	names(fix, "data", NULL); /* a directory is nobody's to read */
}

static void
without_a_guard_a_file_is_just_a_file(void **state)
{
	names(*state, "root.key", NULL);
}

/* It was good when it was looked at first. */
static void
a_name_that_leads_elsewhere_by_now_is_refused_at_the_next_start(void **state)
{
	struct fix *fix = *state;
	char path[256];

	guard_all(fix);
	names(fix, "changing", NULL);
	in_dir("changing", path);
	assert_int_equal(unlink(path), 0);
	make_link("root.key", "changing");
	names(fix, "changing", "is the root key");
}

/* A renewed key is another file under the same name. */
static void
what_replaces_a_guarded_file_is_guarded(void **state)
{
	struct fix *fix = *state;
	char fresh[256], path[256];

	guard_all(fix);
	make_file("tls.new");
	in_dir("tls.new", fresh);
	in_dir("tls.key", path);
	assert_int_equal(rename(fresh, path), 0);
	names(fix, "tls.key", "is the private key of a listener");
}

static void
a_port_without_a_configuration_shows_whether_its_files_may_be_read(void **state)
{
	static const struct plugin_catalog_row row = {.program = "evil", .pool = 1};
	struct fix *fix = *state;
	char path[256];
	json_t *config;

	guard_all(fix);
	in_dir("certs/link", path);
	config = json_pack("{s:s,s:s}", "mode", "good", "gate", path);
	fix->port = plugin_port_open(fix->host, &row, NULL, 1, 7);
	assert_non_null(fix->port);
	plugin_port_name_files(fix->port, config);
	json_decref(config);
	fix_call(fix, PLUGIN_OP_DESCRIBE, "{}", &fix->out);
	fix_until(fix, &fix->out.count, 1);
	assert_int_equal(fix->out.code, LEASED_EUNAVAIL);
	assert_non_null(strstr(fix->out.text, "is the root key"));
}

static void
the_same_path_is_one_and_too_many_are_refused(void **state)
{
	struct fix *fix = *state;
	struct leased_err err = LEASED_ERR_INIT;
	char name[32];
	int r = 0;

	for (int i = 0; i < 2 * GUARDS_MAX; i++)
		guard(fix, PLUGIN_GUARD_TLS_KEY, "tls.key");
	for (int i = 0; r == 0 && i < GUARDS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "/key-%d", i);
		r = plugin_host_guard(fix->host, PLUGIN_GUARD_TLS_KEY, name, &err);
		assert_int_equal(r, i < GUARDS_MAX - 1 ? 0 : LEASED_ELIMIT);
	}
	assert_non_null(strstr(err.text, "/key-47"));
	names(fix, "tls.key", "is the private key of a listener");
}

#define WITH_FIX(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    WITH_FIX(what_is_leased_s_own_is_no_workers_by_any_name),
	    WITH_FIX(without_a_guard_a_file_is_just_a_file),
	    WITH_FIX(a_name_that_leads_elsewhere_by_now_is_refused_at_the_next_start),
	    WITH_FIX(what_replaces_a_guarded_file_is_guarded),
	    WITH_FIX(a_port_without_a_configuration_shows_whether_its_files_may_be_read),
	    WITH_FIX(the_same_path_is_one_and_too_many_are_refused),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
