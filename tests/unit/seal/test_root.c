/*
 * The root key's file: how it is made, and what is refused with which advice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "seal/seal_private.h"
#include "support/child.h"

struct fix {
	char dir[64], path[80];
};

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	snprintf(f->dir, sizeof(f->dir), "/tmp/leased-test-XXXXXX");
	assert_non_null(mkdtemp(f->dir));
	snprintf(f->path, sizeof(f->path), "%s/root.key", f->dir);
	*state = f;
	return (0);
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	if (unlink(f->path) != 0)
		assert_int_equal(errno, ENOENT);
	assert_int_equal(rmdir(f->dir), 0);
	free(f);
	return (0);
}

static void
write_file(const struct fix *f, const char *text)
{
	int fd = open(f->path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
}

static void
a_missing_file_is_made_once_for_us_alone(void **state)
{
	struct fix *f = *state;
	struct seal_root *made = NULL, *read_back = NULL;
	mode_t before = umask(0);
	bool created = false;
	struct stat st;

	assert_int_equal(seal_root_open_file(f->path, true, &made, &created, NULL), 0);
	umask(before);
	assert_true(created);
	assert_int_equal(stat(f->path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(st.st_size, 45);
	assert_int_equal(seal_root_open_file(f->path, true, &read_back, &created, NULL), 0);
	assert_false(created);
	assert_true(leased_secret_equal(made->key, read_back->key));
	seal_root_free(made);
	seal_root_free(read_back);
}

static void
a_missing_file_that_is_not_to_be_made_is_ENOENT(void **state)
{
	struct fix *f = *state;
	struct seal_root *root = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	bool created = false;

	assert_int_equal(seal_root_open_file(f->path, false, &root, &created, &err), LEASED_ENOENT);
	assert_non_null(strstr(err.text, f->path));
	assert_null(root);
	assert_int_equal(access(f->path, F_OK), -1);
}

static void
refused(const struct fix *f, int code, const char *says)
{
	struct seal_root *root = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	bool created = false;

	assert_int_equal(seal_root_open_file(f->path, true, &root, &created, &err), code);
	if (strstr(err.text, says) == NULL)
		fail_msg("\"%s\" does not say \"%s\"", err.text, says);
	assert_null(root);
	assert_false(created);
}

static void
a_file_that_others_can_reach_is_refused(void **state)
{
	static const mode_t wide[] = {0640, 0604, 0620, 0602, 0610, 0601, 0644, 0666};
	struct fix *f = *state;

	write_file(f, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
	for (size_t i = 0; i < sizeof(wide) / sizeof(wide[0]); i++) {
		assert_int_equal(chmod(f->path, wide[i]), 0);
		refused(f, LEASED_EDENIED, "chmod 600");
	}
}

static void
a_file_of_another_user_is_refused(void **state)
{
	struct fix *f = *state;
	struct fix of_root = {.path = "/etc/passwd"};

	/* Only root can give a file away; everybody else finds one of root's. */
	if (geteuid() != 0) {
		refused(&of_root, LEASED_EDENIED, "belongs to uid 0");
		return;
	}
	write_file(f, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
	assert_int_equal(chown(f->path, 12345, (gid_t)-1), 0);
	refused(f, LEASED_EDENIED, "belongs to uid 12345");
	refused(f, LEASED_EDENIED, "runuser"); /* not to give it to root */
}

static void
a_directory_or_device_is_refused(void **state)
{
	struct fix *f = *state;

	assert_int_equal(mkdir(f->path, 0700), 0);
	refused(f, LEASED_EINVAL, "not a regular file");
	assert_int_equal(rmdir(f->path), 0);
	assert_int_equal(mkfifo(f->path, 0600), 0);
	refused(f, LEASED_EINVAL, "not a regular file");
}

static void
what_is_no_key_is_refused_and_not_quoted(void **state)
{
	static const char *const bad[] = {"", "\n", "hunter2",
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",     /* no newline */
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n\n", /* too long */
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA==\n",   /* 31 bytes */
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n",   /* 33 bytes */
	    "AAAAAAAAAAAAAAAAAAAA!AAAAAAAAAAAAAAAAAAAAAA=\n",   /* not base64 */
	    " AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",   /* blank */
	    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=AAAAAAA=\n"};  /* padding inside */
	struct fix *f = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct seal_root *root = NULL;
		struct leased_err err = LEASED_ERR_INIT;
		bool created = false;

		write_file(f, bad[i]);
		if (seal_root_open_file(f->path, true, &root, &created, &err) != LEASED_EINVAL)
			fail_msg("taken: %s", bad[i]);
		assert_null(strstr(err.text, "AAAA"));
		assert_null(strstr(err.text, "hunter2"));
	}
}

#ifdef LEASED_FAILPOINTS
static void
child_fails(void *arg)
{
	struct fix *f = arg;
	struct seal_root *root = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	bool created = false;

	setenv("LEASED_FAILPOINT", "seal_root_file_write=error:no_space", 1);
	failpoint_setup();
	CHILD_CHECK(seal_root_open_file(f->path, true, &root, &created, &err) == LEASED_ENOSPC);
	CHILD_CHECK(root == NULL && !created);
	CHILD_CHECK(access(f->path, F_OK) != 0);
	/* The next try is a first one. */
	CHILD_CHECK(seal_root_open_file(f->path, true, &root, &created, &err) == 0);
	CHILD_CHECK(created);
}

static void
a_key_that_could_not_be_written_is_not_left_behind(void **state)
{
	char output[1024];
	int status = child_run(child_fails, *state, output, sizeof(output));

	if (status != 0)
		fail_msg("status %d: %s", status, output);
}

static void
child_dies(void *arg)
{
	struct fix *f = arg;
	struct seal_root *root = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	bool created = false;

	setenv("LEASED_FAILPOINT", "seal_root_file_write=kill", 1);
	failpoint_setup();
	(void)!seal_root_open_file(f->path, true, &root, &created, &err);
}

static void
a_first_start_that_is_killed_is_followed_by_another(void **state)
{
	struct fix *f = *state;
	struct seal_root *root = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	char output[1024], fresh[96];
	bool created = false;

	assert_int_equal(child_run(child_dies, f, output, sizeof(output)), 128 + SIGKILL);
	assert_int_equal(seal_root_open_file(f->path, true, &root, &created, &err), 0);
	assert_true(created);
	seal_root_free(root);
	snprintf(fresh, sizeof(fresh), "%s.new", f->path);
	assert_int_not_equal(access(fresh, F_OK), 0);
}
#endif

#define FIX_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    FIX_TEST(a_missing_file_is_made_once_for_us_alone),
	    FIX_TEST(a_missing_file_that_is_not_to_be_made_is_ENOENT),
	    FIX_TEST(a_file_that_others_can_reach_is_refused),
	    FIX_TEST(a_file_of_another_user_is_refused),
	    FIX_TEST(a_directory_or_device_is_refused),
	    FIX_TEST(what_is_no_key_is_refused_and_not_quoted),
#ifdef LEASED_FAILPOINTS
	    FIX_TEST(a_key_that_could_not_be_written_is_not_left_behind),
	    FIX_TEST(a_first_start_that_is_killed_is_followed_by_another),
#endif
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("seal: root key", tests, NULL, NULL));
}
