/*
 * Requirements of base/frame: any cut of the stream gives the same objects; a bad length or content
 * ends the stream.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include <leased/secret.h>

#include "base/frame.h"
#include "support/failalloc.h"

/* Two frames, one behind the other; the caller frees with frame_free(). */
static uint8_t *
two_frames(size_t *ret_len)
{
	json_t *a = json_pack("{s:s}", "op", "ping"), *b = json_pack("{s:i}", "id", 7);
	uint8_t *first, *second, *both;
	size_t first_len, second_len;

	assert_int_equal(frame_encode(a, &first, &first_len, NULL), 0);
	assert_int_equal(frame_encode(b, &second, &second_len, NULL), 0);
	both = malloc(first_len + second_len);
	assert_non_null(both);
	memcpy(both, first, first_len);
	memcpy(both + first_len, second, second_len);
	frame_free(first, first_len);
	frame_free(second, second_len);
	json_decref(a);
	json_decref(b);
	*ret_len = first_len + second_len;
	return (both);
}

static void
a_frame_is_a_big_endian_length_and_an_object(void **state)
{
	json_t *object = json_pack("{s:b}", "ok", 1);
	uint8_t *bytes;
	size_t len;

	(void)state;
	assert_int_equal(frame_encode(object, &bytes, &len, NULL), 0);
	assert_int_equal(len, 4 + 11);
	assert_memory_equal(bytes, "\0\0\0\x0b{\"ok\":true}", len);
	frame_free(bytes, len);
	json_decref(object);
}

static void
every_split_point_gives_the_same_objects(void **state)
{
	size_t len;
	uint8_t *bytes = two_frames(&len);

	(void)state;
	for (size_t cut = 0; cut <= len; cut++) {
		struct frame_reader reader = {0};
		size_t seen = 0;

		for (int part = 0; part < 2; part++) {
			json_t *object = NULL;

			assert_int_equal(frame_reader_feed(&reader, part == 0 ? bytes : bytes + cut,
					     part == 0 ? cut : len - cut, NULL),
			    0);
			for (;;) {
				assert_int_equal(frame_reader_next(&reader, &object, NULL), 0);
				if (object == NULL)
					break;
				assert_non_null(json_object_get(object, seen == 0 ? "op" : "id"));
				seen++;
				json_decref(object);
			}
		}
		assert_int_equal(seen, 2);
		assert_int_equal(reader.len, 0);
		frame_reader_clear(&reader);
	}
	frame_free(bytes, len);
}

static void
a_length_out_of_range_is_refused_with_its_header(void **state)
{
	static const uint8_t headers[][4] = {{0, 0, 0, 0}, {0, 0, 0, 1}, {0, 0x10, 0, 1},
	    {0xff, 0xff, 0xff, 0xff}, {0x7b, 0x22, 0x61, 0x22}};

	(void)state;
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct frame_reader reader = {0};
		json_t *object;

		assert_int_equal(frame_reader_feed(&reader, headers[i], 3, NULL), 0);
		assert_int_equal(
		    frame_reader_feed(&reader, headers[i] + 3, 1, NULL), LEASED_EPROTO);
		assert_int_equal(frame_reader_next(&reader, &object, NULL), LEASED_EPROTO);
		frame_reader_clear(&reader);
	}
}

static void
content_that_is_no_strict_object_is_refused(void **state)
{
	static const char *const bad[] = {
	    "[]", "12", "{}x", "{\"a\":1,\"a\":2}", "{\"a\":", "\"ab\"", "{\"a\":\xff}"};

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct frame_reader reader = {0};
		struct leased_err err = LEASED_ERR_INIT;
		uint8_t header[4] = {0, 0, 0, (uint8_t)strlen(bad[i])};
		json_t *object;

		assert_int_equal(frame_reader_feed(&reader, header, 4, &err), 0);
		assert_int_equal(frame_reader_feed(&reader, bad[i], strlen(bad[i]), &err), 0);
		assert_int_equal(frame_reader_next(&reader, &object, &err), LEASED_EPROTO);
		assert_int_equal(err.code, LEASED_EPROTO);
		/* What follows a bad frame is not read either. */
		assert_int_equal(
		    frame_reader_feed(&reader, "\0\0\0\x02{}", 6, &err), LEASED_EPROTO);
		assert_int_equal(frame_reader_next(&reader, &object, &err), LEASED_EPROTO);
		frame_reader_clear(&reader);
	}
}

static void
the_largest_frame_passes_and_one_byte_more_does_not(void **state)
{
	/* One text fills it: nothing but the size of the whole is a limit. */
	const size_t fill = FRAME_MAX - strlen("{\"l\":\"\"}");
	char *text = malloc(FRAME_MAX);
	struct frame_reader reader = {0};
	json_t *object, *got;
	uint8_t *bytes;
	size_t len;

	(void)state;
	assert_non_null(text);
	memset(text, 'x', FRAME_MAX);
	object = json_pack("{s:s#}", "l", text, (int)fill);
	assert_int_equal(frame_encode(object, &bytes, &len, NULL), 0);
	assert_int_equal(len, 4 + FRAME_MAX);
	assert_int_equal(frame_reader_feed(&reader, bytes, len, NULL), 0);
	assert_int_equal(frame_reader_next(&reader, &got, NULL), 0);
	assert_true(json_equal(object, got));
	json_decref(got);
	frame_reader_clear(&reader);
	frame_free(bytes, len);
	assert_int_equal(json_object_set_new(object, "l", json_stringn(text, fill + 1)), 0);
	assert_int_equal(frame_encode(object, &bytes, &len, NULL), LEASED_ETOOBIG);
	json_decref(object);
	free(text);
}

static void
bytes_that_were_taken_out_are_wiped(void **state)
{
	struct frame_reader reader = {0};
	json_t *object;

	(void)state;
	assert_int_equal(frame_reader_feed(&reader, "\0\0\0\x0c{\"p\":\"s3kr\"}\0\0", 18, NULL), 0);
	assert_int_equal(frame_reader_next(&reader, &object, NULL), 0);
	assert_non_null(object);
	json_decref(object);
	assert_null(memmem(reader.bytes, reader.size, "s3kr", 4));
	frame_reader_clear(&reader);
	assert_null(reader.bytes);
}

static void
blocking_calls_carry_frames_and_tell_the_end(void **state)
{
	json_t *sent = json_pack("{s:s}", "op", "ping"), *got = NULL;
	struct frame_reader reader = {0};
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(frame_write(pair[0], sent, NULL), 0);
	assert_int_equal(frame_write(pair[0], sent, NULL), 0);
	for (int i = 0; i < 2; i++) {
		assert_int_equal(frame_read(pair[1], &reader, &got, NULL), 0);
		assert_true(json_equal(sent, got));
		json_decref(got);
	}
	close(pair[0]);
	assert_int_equal(frame_read(pair[1], &reader, &got, NULL), LEASED_ECANCELED);
	close(pair[1]);
	json_decref(sent);
	frame_reader_clear(&reader);
}

static void
an_end_in_the_middle_of_a_frame_is_a_broken_protocol(void **state)
{
	struct frame_reader reader = {0};
	json_t *got;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
	assert_int_equal(write(pair[0], "\0\0\0\x05{", 5), 5);
	close(pair[0]);
	assert_int_equal(frame_read(pair[1], &reader, &got, NULL), LEASED_EPROTO);
	close(pair[1]);
	frame_reader_clear(&reader);
}

static int
encode_and_read(void *arg)
{
	struct frame_reader reader = {0};
	uint8_t *bytes = NULL;
	size_t len = 0;
	json_t *got = NULL;
	int r = frame_encode(arg, &bytes, &len, NULL);

	if (r == 0)
		r = frame_reader_feed(&reader, bytes, len, NULL);
	if (r == 0)
		r = frame_reader_next(&reader, &got, NULL);
	frame_free(bytes, len);
	frame_reader_clear(&reader);
	json_decref(got);
	return (r);
}

static void
running_out_of_memory_is_told_at_every_place(void **state)
{
	json_t *object;

	(void)state;
	assert_int_equal(leased_secret_setup(NULL), 0); /* jansson's memory counts too */
	object = json_pack("{s:s, s:[i, f]}", "op", "ping", "l", 1, 2.5);
	assert_true(failalloc_each(encode_and_read, object) > 5);
	json_decref(object);
}

static void
a_long_frame_is_read_by_who_waits_for_one_and_kept_by_nobody(void **state)
{
	struct frame_reader reader = {0};
	uint8_t *bytes = NULL;
	json_t *object, *got = NULL;
	size_t len = 0, half = 3 * FRAME_MAX;
	char *text = malloc(half + 1);

	(void)state;
	assert_non_null(text);
	memset(text, 'x', half);
	text[half] = '\0';
	object = json_pack("{s:s}", "l", text);
	assert_int_equal(frame_encode(object, &bytes, &len, NULL), LEASED_ETOOBIG);
	assert_int_equal(frame_encode_up_to(object, FRAME_LONG_MAX, &bytes, &len, NULL), 0);
	assert_int_equal(frame_reader_feed(&reader, bytes, len, NULL), LEASED_EPROTO);
	frame_reader_clear(&reader);
	reader.max = FRAME_LONG_MAX;
	assert_int_equal(frame_reader_feed(&reader, bytes, len, NULL), 0);
	assert_int_equal(frame_reader_next(&reader, &got, NULL), 0);
	assert_true(json_equal(got, object));
	assert_true(reader.size <= 2 * FRAME_MAX);
	frame_reader_clear(&reader);
	frame_free(bytes, len);
	json_decref(got);
	json_decref(object);
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_frame_is_a_big_endian_length_and_an_object),
	    cmocka_unit_test(every_split_point_gives_the_same_objects),
	    cmocka_unit_test(a_length_out_of_range_is_refused_with_its_header),
	    cmocka_unit_test(content_that_is_no_strict_object_is_refused),
	    cmocka_unit_test(the_largest_frame_passes_and_one_byte_more_does_not),
	    cmocka_unit_test(bytes_that_were_taken_out_are_wiped),
	    cmocka_unit_test(blocking_calls_carry_frames_and_tell_the_end),
	    cmocka_unit_test(an_end_in_the_middle_of_a_frame_is_a_broken_protocol),
	    cmocka_unit_test(running_out_of_memory_is_told_at_every_place),
	    cmocka_unit_test(a_long_frame_is_read_by_who_waits_for_one_and_kept_by_nobody),
	};

	return (cmocka_run_group_tests_name("frame", tests, NULL, NULL));
}
