/*
 * SHA-256 against vectors of FIPS 180-4, also when threads ask for it first at the same time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/digest.h"

static void *
hash_abc(void *arg)
{
	uint8_t hash[DIGEST_SHA256_LEN];

	for (unsigned i = 0; i < 100; i++)
		if (digest_sha256("abc", 3, hash) != 0)
			return (NULL);
	digest_hex(hash, arg);
	return (arg);
}

static void
threads_that_begin_together_all_get_the_digest_of_the_standard(void **state)
{
	char texts[4][DIGEST_SHA256_HEX_SIZE] = {""};
	pthread_t threads[4];

	(void)state;
	for (unsigned i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, hash_abc, texts[i]), 0);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], NULL), 0);
		assert_string_equal(
		    texts[i], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
	}
}

static void
nothing_has_a_digest_too(void **state)
{
	char text[DIGEST_SHA256_HEX_SIZE];
	uint8_t hash[DIGEST_SHA256_LEN];

	(void)state;
	assert_int_equal(digest_sha256("", 0, hash), 0);
	digest_hex(hash, text);
	assert_string_equal(
	    text, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(threads_that_begin_together_all_get_the_digest_of_the_standard),
	    cmocka_unit_test(nothing_has_a_digest_too),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
