/*
 * The heap: what is freed or moved is wiped, whoever freed it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include <leased/secret.h>

#include "base/log.h"

#ifndef LEASED_SANITIZED

static const char canary[] = "canary-41c07e";

/* As the compiler must not reason about it. */
static void *(*volatile again)(void *block, size_t size) = realloc;

/* The heap's own notes stand in the first bytes of a free block. */
#define OFFSET 64
#define SIZE 400

/* Looks at freed memory, which nobody has had since. */
static bool
is_still_in(uintptr_t block)
{
	const volatile char *bytes = (const volatile char *)block;

	for (size_t i = OFFSET; i < SIZE; i++)
		if (bytes[i] == canary[0] && bytes[i + 1] == canary[1] && bytes[i + 2] == canary[2])
			return (true);
	return (false);
}

static char *
block_with_canary(void)
{
	char *block = malloc(SIZE);

	assert_non_null(block);
	memset(block, 0, SIZE);
	memcpy(block + 2 * OFFSET, canary, sizeof(canary));
	return (block);
}

static void
what_is_freed_is_wiped(void **state)
{
	char *block = block_with_canary();
	uintptr_t address = (uintptr_t)block;

	(void)state;
	assert_true(is_still_in(address));
	errno = 7;
	free(block);
	assert_int_equal(errno, 7);
	assert_false(is_still_in(address));
}

static void
what_is_moved_is_wiped_and_whole(void **state)
{
	char *block = block_with_canary(), *moved;
	uintptr_t address = (uintptr_t)block;

	(void)state;
	assert_non_null(moved = realloc(block, 100000));
	assert_int_not_equal((uintptr_t)moved, address);
	assert_string_equal(moved + 2 * OFFSET, canary);
	assert_false(is_still_in(address));
	assert_non_null(moved = realloc(moved, 2 * OFFSET + sizeof(canary)));
	assert_string_equal(moved + 2 * OFFSET, canary);
	free(moved);
}

static void
copies_that_are_watched_are_wiped_unless_they_are_gone(void **state)
{
	char *(*volatile copy_of)(const char *) = strdup;
	char *before = copy_of(canary), *kept, *freed, *other, *after;

	(void)state;
	leased_secret_watch_copies(canary);
	kept = copy_of(canary);
	freed = copy_of(canary);
	other = copy_of("another text");
	free(freed);
	freed = malloc(sizeof(canary)); /* somebody else's now */
	memset(freed, 'x', sizeof(canary));
	leased_secret_wipe_copies();
	after = copy_of(canary);
	leased_secret_wipe_copies();
	assert_string_equal(kept, "");
	assert_string_equal(before, canary);
	assert_string_equal(other, "another text");
	assert_string_equal(after, canary);
	assert_int_equal(freed[0], 'x');
	free(before);
	free(kept);
	free(freed);
	free(other);
	free(after);
}

/* A stream of the C library's, and its buffer. */
static void
what_a_library_frees_is_wiped_too(void **state)
{
	char *text = NULL;
	uintptr_t address;
	size_t size = 0;
	FILE *stream = open_memstream(&text, &size);

	(void)state;
	assert_non_null(stream);
	for (int i = 0; i < 20; i++)
		assert_true(fprintf(stream, "%s ", canary) > 0);
	assert_int_equal(fflush(stream), 0);
	address = (uintptr_t)text;
	assert_true(is_still_in(address));
	for (int i = 0; i < 2000; i++)
		assert_true(fprintf(stream, "grows and moves ") > 0);
	assert_int_equal(fclose(stream), 0);
	assert_int_not_equal((uintptr_t)text, address);
	assert_false(is_still_in(address));
	free(text);
}

static void
odd_sizes_do_what_they_do_elsewhere(void **state)
{
	void *block;

	(void)state;
	free(NULL);
	assert_non_null(block = again(NULL, 10));
	assert_ptr_equal(again(block, 20), block);
	free(block);
	assert_null(again(malloc(10), 0));
	assert_non_null(block = malloc(10));
	assert_null(again(block, SIZE_MAX / 2));
	free(block); /* is there still */
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(what_is_freed_is_wiped),
	    cmocka_unit_test(what_is_moved_is_wiped_and_whole),
	    cmocka_unit_test(copies_that_are_watched_are_wiped_unless_they_are_gone),
	    cmocka_unit_test(what_a_library_frees_is_wiped_too),
	    cmocka_unit_test(odd_sizes_do_what_they_do_elsewhere),
	};

	log_setup(LOG_LEVEL_INFO, LOG_FORMAT_TEXT);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}

#else

/* The sanitizer's heap is its own. */
int
main(void)
{
	return (0);
}

#endif
