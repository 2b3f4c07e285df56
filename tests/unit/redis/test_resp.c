/* RESP: commands as the server reads them, and replies read only when they are whole and within
 * their limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "redis/resp.h"
#include "support/failalloc.h"

static void
a_command_is_an_array_of_its_words_whatever_is_in_them(void **state)
{
	static const char expected[] = "$3\r\nACL\r\n$7\r\nSETUSER\r\n$4\r\na\r\nb\r\n$0\r\n\r\n";
	struct redis_command command = {0};
	char header[REDIS_HEADER_SIZE];

	(void)state;
	redis_command_begin(&command, "ACL", "SETUSER", "a\r\nb", "", NULL);
	assert_false(command.failed);
	redis_command_header(&command, header);
	assert_string_equal(header, "*4\r\n");
	assert_int_equal(command.len, sizeof(expected) - 1);
	assert_memory_equal(command.bytes, expected, command.len);
	assert_string_equal(command.verb, "acl|setuser");
	redis_command_clear(&command);
	redis_command_begin(&command, "PING", NULL);
	assert_string_equal(command.verb, "ping");
	redis_command_clear(&command);
	redis_command_begin(&command, "INFO", "server", NULL);
	assert_string_equal(command.verb, "info");
	redis_command_clear(&command);
}

/* Every beginning of it wants more; the whole, and what follows it, is measured as the whole. */
static void
assert_measured(const char *bytes, size_t len)
{
	struct leased_err err = LEASED_ERR_INIT;
	char *copy = malloc(len + 5);
	size_t found = 0;

	assert_non_null(copy);
	memcpy(copy, bytes, len);
	memcpy(copy + len, "+OK\r\n", 5);
	for (size_t i = 1; i < len; i++) {
		/* Of memory that ends there: a byte too far is the sanitizer's to see. */
		char *part = malloc(i);

		assert_non_null(part);
		memcpy(part, bytes, i);
		found = 99;
		assert_int_equal(redis_reply_measure(part, i, &found, &err), 0);
		assert_int_equal(found, 0);
		free(part);
	}
	assert_int_equal(redis_reply_measure(copy, len + 5, &found, &err), 0);
	assert_int_equal(found, len);
	free(copy);
}

static void
a_reply_that_comes_in_pieces_is_waited_for(void **state)
{
	static const char *const whole[] = {"+PONG\r\n", "-ERR no\r\n", ":-12\r\n", "$-1\r\n",
	    "*-1\r\n", "$0\r\n\r\n", "$5\r\na\r\nbc\r\n", "*0\r\n",
	    "*3\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n+x\r\n"};

	(void)state;
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		assert_measured(whole[i], strlen(whole[i]));
}

static void
what_no_server_says_is_refused(void **state)
{
	static const char *const wrong[] = {"hello\r\n", "\r\n", "%1\r\n", "+a\rb\r\n", ":\r\n",
	    ":1x\r\n", ":--1\r\n", ":1234567890123456789\r\n", "$-2\r\n", "*-3\r\n", "$1\r\nabc",
	    "$99999999999\r\n", "*99999999999\r\n", "*262145\r\n", "$16777217\r\n",
	    "*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n", "$ 1\r\na\r\n",
	    "$+1\r\na\r\n"};
	size_t found = 0;

	(void)state;
	assert_int_equal(redis_reply_measure("\0004\r\n", 4, &found, NULL), LEASED_EPROTO);
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		struct leased_err err = LEASED_ERR_INIT;

		if (redis_reply_measure(wrong[i], strlen(wrong[i]), &found, &err) != LEASED_EPROTO)
			fail_msg("taken: %s", wrong[i]);
	}
}

static void
a_line_without_an_end_is_not_waited_for_for_ever(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	char *line = malloc(REDIS_LINE_MAX);
	size_t found = 0;

	(void)state;
	assert_non_null(line);
	memset(line, '+', REDIS_LINE_MAX);
	assert_int_equal(redis_reply_measure(line, REDIS_LINE_MAX, &found, &err), LEASED_EPROTO);
	free(line);
}

static void
a_list_of_lists_is_read_as_it_is(void **state)
{
	static const char bytes[] =
	    "*4\r\n$5\r\nflags\r\n*2\r\n+on\r\n$6\r\nnopass\r\n:7\r\n$-1\r\n";
	struct leased_err err = LEASED_ERR_INIT;
	struct redis_reply reply;

	(void)state;
	assert_int_equal(redis_reply_read(bytes, sizeof(bytes) - 1, &reply, &err), 0);
	assert_int_equal(reply.kind, REDIS_LIST);
	assert_int_equal(reply.len, 4);
	assert_true(redis_reply_is(&reply.items[0], REDIS_TEXT, "flags"));
	assert_false(redis_reply_is(&reply.items[0], REDIS_TEXT, "flag"));
	assert_true(redis_reply_is(&reply.items[1].items[0], REDIS_STATUS, "on"));
	assert_true(redis_reply_is(&reply.items[1].items[1], REDIS_TEXT, "nopass"));
	assert_int_equal(reply.items[2].integer, 7);
	assert_int_equal(reply.items[3].kind, REDIS_NIL);
	redis_reply_clear(&reply);
	redis_reply_clear(&reply);
}

static int
attempt(void *arg)
{
	static const char bytes[] = "*2\r\n*1\r\n:1\r\n*2\r\n+a\r\n*1\r\n+b\r\n";
	struct leased_err err = LEASED_ERR_INIT;
	struct redis_command command = {0};
	struct redis_reply reply;
	int r;

	(void)arg;
	redis_command_begin(&command, "ACL", "GETUSER", "somebody", NULL);
	r = command.failed ? LEASED_ENOMEM : 0;
	redis_command_clear(&command);
	if (r != 0 || (r = redis_reply_read(bytes, sizeof(bytes) - 1, &reply, &err)) != 0)
		return (r);
	redis_reply_clear(&reply);
	return (0);
}

static void
out_of_memory_is_said_and_nothing_leaks(void **state)
{
	(void)state;
	assert_true(failalloc_each(attempt, NULL) >= 5);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_command_is_an_array_of_its_words_whatever_is_in_them),
	    cmocka_unit_test(a_reply_that_comes_in_pieces_is_waited_for),
	    cmocka_unit_test(what_no_server_says_is_refused),
	    cmocka_unit_test(a_line_without_an_end_is_not_waited_for_for_ever),
	    cmocka_unit_test(a_list_of_lists_is_read_as_it_is),
	    cmocka_unit_test(out_of_memory_is_said_and_nothing_leaks),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
