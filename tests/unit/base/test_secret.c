/*
 * Secrets: contents, comparison, the heap without locked memory, and that the allocators of jansson
 * and libevent wipe.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include <event2/buffer.h>
#include <jansson.h>
#include <openssl/crypto.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <leased/secret.h>

#include "support/child.h"
#include "support/failalloc.h"

static const char canary[] = "canary-7f3a91";

/* setup.cmake sends every wipe of our objects through here. */
void __real_OPENSSL_cleanse(void *bytes, size_t len);
void __wrap_OPENSSL_cleanse(void *bytes, size_t len);
static atomic_uint canaries_wiped;

void
__wrap_OPENSSL_cleanse(void *bytes, size_t len)
{
	if (memmem(bytes, len, canary, sizeof(canary) - 1) != NULL)
		canaries_wiped++;
	__real_OPENSSL_cleanse(bytes, len);
}

static void
secret_keeps_its_bytes_and_a_nul_behind(void **state)
{
	struct leased_secret *secret = leased_secret_new("a\0b", 3);
	struct leased_secret *copy = leased_secret_copy(secret);
	struct leased_secret *empty = leased_secret_new(NULL, 0);

	(void)state;
	assert_int_equal(leased_secret_len(copy), 3);
	assert_memory_equal(leased_secret_reveal(copy), "a\0b\0", 4);
	leased_secret_reveal_mutable(copy)[0] = 'x';
	assert_memory_equal(leased_secret_reveal(secret), "a\0b\0", 4);
	assert_string_equal(leased_secret_reveal(empty), "");
	leased_secret_free(secret);
	leased_secret_free(copy);
	leased_secret_free(empty);
	leased_secret_free(NULL);
}

static void
secrets_lie_in_the_locked_heap(void **state)
{
	struct leased_secret *secret = leased_secret_new(canary, sizeof(canary));

	(void)state;
	assert_int_equal(CRYPTO_secure_allocated(secret), 1);
	leased_secret_free(secret);
}

static void
equal_compares_length_and_every_byte(void **state)
{
	struct leased_secret *a = leased_secret_new("abc", 3);
	struct leased_secret *same = leased_secret_new("abc", 3);
	struct leased_secret *last_differs = leased_secret_new("abd", 3);
	struct leased_secret *longer = leased_secret_new("abcd", 4);

	(void)state;
	assert_true(leased_secret_equal(a, same));
	assert_false(leased_secret_equal(a, last_differs));
	assert_false(leased_secret_equal(a, longer));
	leased_secret_free(a);
	leased_secret_free(same);
	leased_secret_free(last_differs);
	leased_secret_free(longer);
}

static void
impossible_length_is_out_of_memory(void **state)
{
	(void)state;
	assert_null(leased_secret_new_empty(SIZE_MAX));
	assert_null(leased_secret_new_empty(SIZE_MAX - sizeof(size_t)));
}

static void
jansson_wipes_what_it_frees(void **state)
{
	json_t *object = json_object();

	(void)state;
	canaries_wiped = 0;
	assert_int_equal(json_object_set_new(object, "password", json_string(canary)), 0);
	assert_int_equal(canaries_wiped, 0);
	json_decref(object);
	assert_int_equal(canaries_wiped, 1);
}

static void
libevent_wipes_what_it_frees_and_what_it_grows(void **state)
{
	struct evbuffer *buffer = evbuffer_new();

	(void)state;
	canaries_wiped = 0;
	assert_int_equal(evbuffer_add(buffer, canary, sizeof(canary) - 1), 0);
	/* Moves what is there into one larger block. */
	assert_int_equal(evbuffer_expand(buffer, 100000), 0);
	assert_int_equal(canaries_wiped, 1);
	evbuffer_free(buffer);
	assert_int_equal(canaries_wiped, 2);
}

static void
with_little_locked_memory(void *arg)
{
	const rlim_t bytes = *(const rlim_t *)arg;
	const struct rlimit limit = {bytes, bytes};
	struct leased_secret *secrets[4000];
	struct leased_err err;
	size_t i;

	CHILD_CHECK(setrlimit(RLIMIT_MEMLOCK, &limit) == 0);
	CHILD_CHECK(leased_secret_setup(&err) == 0);
	for (i = 0; i < 4000; i++) {
		CHILD_CHECK((secrets[i] = leased_secret_new(&i, sizeof(i))) != NULL);
		CHILD_CHECK(memcmp(leased_secret_reveal(secrets[i]), &i, sizeof(i)) == 0);
	}
	CHILD_CHECK(!CRYPTO_secure_allocated(secrets[3999]));
	CHILD_CHECK(bytes == 0 || CRYPTO_secure_allocated(secrets[0]));
	for (i = 0; i < 4000; i++)
		leased_secret_free(secrets[i]);
}

static unsigned
count_lines(const char *text)
{
	unsigned count = 0;

	while ((text = strchr(text, '\n')) != NULL) {
		count++;
		text++;
	}
	return (count);
}

static void
without_locked_memory_one_warning_and_all_works(void **state)
{
	const rlim_t none = 0, little = (rlim_t)128 * 1024;
	char output[4096];

	(void)state;
	assert_int_equal(
	    child_run(with_little_locked_memory, (void *)(uintptr_t)&none, output, sizeof(output)),
	    0);
	assert_non_null(strstr(output, "limit of locked memory is below"));
	assert_int_equal(count_lines(output), 1);
	assert_int_equal(child_run(with_little_locked_memory, (void *)(uintptr_t)&little, output,
			     sizeof(output)),
	    0);
	assert_non_null(strstr(output, "locked memory has run out"));
	assert_int_equal(count_lines(output), 1);
}

static void
second_setup_is_refused(void **state)
{
	struct leased_err err;

	(void)state;
	assert_int_equal(leased_secret_setup(&err), LEASED_EBUG);
}

static void *
make_many(void *arg)
{
	struct leased_secret *secret;
	json_t *text;
	int i;

	for (i = 0; i < 2000; i++) {
		secret = leased_secret_new(canary, sizeof(canary));
		text = json_string(canary);
		if (secret == NULL || text == NULL ||
		    strcmp(leased_secret_reveal(secret), canary) != 0)
			return (NULL);
		json_decref(text);
		leased_secret_free(secret);
	}
	return (arg);
}

static void
threads_make_and_free_secrets_at_once(void **state)
{
	pthread_t threads[4];
	void *result;
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, make_many, threads), 0);
	for (i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &result), 0);
		assert_ptr_equal(result, threads);
	}
}

static int
make_and_drop(void *arg)
{
	struct leased_secret *secret = NULL, *copy = NULL;
	json_t *object = NULL;
	int r = LEASED_ENOMEM;

	(void)arg;
	if ((secret = leased_secret_new(canary, sizeof(canary))) == NULL ||
	    (copy = leased_secret_copy(secret)) == NULL)
		goto out;
	if ((object = json_pack("{s:s}", "user", "l-1")) == NULL)
		goto out;
	r = 0;
out:
	json_decref(object);
	leased_secret_free(secret);
	leased_secret_free(copy);
	return (r);
}

static void
survives_every_failed_allocation(void **state)
{
	(void)state;
	/* Two secrets fall back to the ordinary heap; jansson's pieces cannot. */
	assert_true(failalloc_each(make_and_drop, NULL) >= 5);
}

static int
set_up(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	return (leased_secret_setup(&err));
}

int
main(void)
{
	const struct CMUnitTest before_setup[] = {
	    cmocka_unit_test(without_locked_memory_one_warning_and_all_works),
	};
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(secret_keeps_its_bytes_and_a_nul_behind),
	    cmocka_unit_test(secrets_lie_in_the_locked_heap),
	    cmocka_unit_test(equal_compares_length_and_every_byte),
	    cmocka_unit_test(impossible_length_is_out_of_memory),
	    cmocka_unit_test(jansson_wipes_what_it_frees),
	    cmocka_unit_test(libevent_wipes_what_it_frees_and_what_it_grows),
	    cmocka_unit_test(second_setup_is_refused),
	    cmocka_unit_test(threads_make_and_free_secrets_at_once),
	    cmocka_unit_test(survives_every_failed_allocation),
	};
	int failed = cmocka_run_group_tests(before_setup, NULL, NULL);

	return (failed + cmocka_run_group_tests(tests, set_up, NULL));
}
