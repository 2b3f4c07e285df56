/*
 * Sealing: known answers, every changed byte, places, nonces, several keys, threads, memory.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "seal/seal_private.h"
#include "support/failalloc.h"

static const struct seal_place place = {"lease", 42, 7};

struct fix {
	struct seal_root *root;
	struct seal *seal;
	uint8_t *blob;
	size_t blob_len;
};

static int
setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	f->root = seal_root_new_random();
	assert_int_equal(seal_new(f->root, &f->seal, &f->blob, &f->blob_len, NULL), 0);
	*state = f;
	return (0);
}

static int
teardown(void **state)
{
	struct fix *f = *state;

	seal_free(f->seal);
	seal_root_free(f->root);
	free(f->blob);
	free(f);
	return (0);
}

static size_t
from_hex(const char *hex, uint8_t *ret_bytes)
{
	size_t len = strlen(hex) / 2;
	unsigned byte;

	for (size_t i = 0; i < len; i++) {
		assert_int_equal(sscanf(hex + 2 * i, "%2x", &byte), 1);
		ret_bytes[i] = (uint8_t)byte;
	}
	return (len);
}

/* AES-256-GCM, test cases 13 to 16 of the GCM specification (McGrew and Viega, appendix B). */
struct vector {
	const char *key, *nonce, *aad, *plain, *sealed;
};

static const struct vector vectors[] = {
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
	"", "", "530f8afbc74536b9a963b4f1c4cb738b"},
    {"0000000000000000000000000000000000000000000000000000000000000000", "000000000000000000000000",
	"", "00000000000000000000000000000000",
	"cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
	"",
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449"
	"a6b525b16aedf5aa0de657ba637b391aafd255",
	"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056"
	"828838c5f61e6393ba7a0abcc9f662898015adb094dac5d93471bdec1a502270e3cc6c"},
    {"feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308", "cafebabefacedbaddecaf888",
	"feedfacedeadbeeffeedfacedeadbeefabaddad2",
	"d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449"
	"a6b525b16aedf5aa0de657ba637b39",
	"522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056"
	"828838c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b"},
};

static void
known_answers_of_gcm(void **state)
{
	struct fix *f = *state;

	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		uint8_t key[32], nonce[12], aad[64], plain[128], sealed[128], got[128];
		size_t aad_len = from_hex(vectors[i].aad, aad);
		size_t len = from_hex(vectors[i].plain, plain);
		struct leased_secret *secret;

		from_hex(vectors[i].key, key);
		from_hex(vectors[i].nonce, nonce);
		assert_int_equal(from_hex(vectors[i].sealed, sealed), len + SEAL_TAG_SIZE);
		secret = leased_secret_new(key, sizeof(key));
		assert_int_equal(seal_aead_encrypt(f->seal->cipher, secret, nonce,
				     (struct seal_bytes){aad, aad_len},
				     (struct seal_bytes){plain, len}, got, NULL),
		    0);
		assert_memory_equal(got, sealed, len + SEAL_TAG_SIZE);
		assert_int_equal(seal_aead_decrypt(f->seal->cipher, secret, nonce,
				     (struct seal_bytes){aad, aad_len},
				     (struct seal_bytes){sealed, len + SEAL_TAG_SIZE}, got, NULL),
		    0);
		assert_memory_equal(got, plain, len);
		leased_secret_free(secret);
	}
}

/* RFC 5869 has no case without salt at SHA-256 and short output but number 3: its first 32 bytes.
 */
static void
known_answer_of_hkdf(void **state)
{
	uint8_t input[22], expected[32];
	struct leased_secret *secret, *key = NULL;

	(void)state;
	memset(input, 0x0b, sizeof(input));
	from_hex("8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d", expected);
	secret = leased_secret_new(input, sizeof(input));
	assert_int_equal(seal_derive(secret, "", 32, &key, NULL), 0);
	assert_memory_equal(leased_secret_reveal(key), expected, 32);
	leased_secret_free(secret);
	leased_secret_free(key);
}

static void
opens(struct seal *seal, const uint8_t *sealed, size_t len, const char *expected)
{
	uint8_t *plain = NULL;
	size_t plain_len = 0;

	assert_int_equal(seal_unwrap(seal, &place, sealed, len, &plain, &plain_len, NULL), 0);
	assert_int_equal(plain_len, strlen(expected));
	assert_memory_equal(plain, expected, plain_len);
	seal_plain_free(plain, plain_len);
}

static void
does_not_open(struct seal *seal, const struct seal_place *where, const uint8_t *sealed, size_t len)
{
	uint8_t *plain = NULL;
	size_t plain_len = 0;

	assert_int_equal(
	    seal_unwrap(seal, where, sealed, len, &plain, &plain_len, NULL), LEASED_ECORRUPT);
	assert_null(plain);
}

static void
every_changed_bit_and_every_cut_is_refused(void **state)
{
	struct fix *f = *state;
	uint8_t *sealed = NULL;
	size_t len = 0;

	assert_int_equal(seal_wrap(f->seal, &place, "secret", 6, &sealed, &len, NULL), 0);
	opens(f->seal, sealed, len, "secret");
	for (size_t i = 0; i < len * 8; i++) {
		sealed[i / 8] ^= (uint8_t)(1 << i % 8);
		does_not_open(f->seal, &place, sealed, len);
		sealed[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	for (size_t cut = 0; cut < len; cut++)
		does_not_open(f->seal, &place, sealed, cut);
	opens(f->seal, sealed, len, "secret");
	free(sealed);
}

static void
a_value_opens_at_its_own_place_only(void **state)
{
	struct fix *f = *state;
	const struct seal_place others[] = {{"doc", 42, 7}, {"lease", 43, 7}, {"lease", 42, 8},
	    {"leas", 42, 7}, {"", 42, 7}, {"lease", -42, 7}};
	uint8_t *sealed = NULL;
	size_t len = 0;

	assert_int_equal(seal_wrap(f->seal, &place, "x", 1, &sealed, &len, NULL), 0);
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		does_not_open(f->seal, &others[i], sealed, len);
	free(sealed);
}

static void
an_empty_value_can_be_sealed(void **state)
{
	struct fix *f = *state;
	uint8_t *sealed = NULL;
	size_t len = 0;

	assert_int_equal(seal_wrap(f->seal, &place, "", 0, &sealed, &len, NULL), 0);
	opens(f->seal, sealed, len, "");
	free(sealed);
}

static int
compare_nonces(const void *a, const void *b)
{
	return (memcmp(a, b, SEAL_NONCE_SIZE));
}

static void
nonces_do_not_repeat(void **state)
{
	enum { COUNT = 1 << 20 };
	struct fix *f = *state;
	uint8_t(*nonces)[SEAL_NONCE_SIZE] = calloc(COUNT, SEAL_NONCE_SIZE);

	for (size_t i = 0; i < COUNT; i++) {
		uint8_t *sealed = NULL;
		size_t len = 0;

		assert_true(seal_wrap(f->seal, &place, "x", 1, &sealed, &len, NULL) == 0);
		memcpy(nonces[i], sealed + 5, SEAL_NONCE_SIZE);
		free(sealed);
	}
	qsort(nonces, COUNT, SEAL_NONCE_SIZE, compare_nonces);
	for (size_t i = 1; i < COUNT; i++)
		assert_true(memcmp(nonces[i - 1], nonces[i], SEAL_NONCE_SIZE) != 0);
	assert_int_equal(seal_count(f->seal), COUNT);
	free(nonces);
}

static void
a_blob_opens_under_its_root_key_only_and_unchanged_only(void **state)
{
	struct fix *f = *state;
	struct seal_root *other = seal_root_new_random();
	struct seal *again = NULL;
	struct leased_err err = LEASED_ERR_INIT;
	uint8_t *sealed = NULL;
	size_t len = 0;

	assert_int_equal(seal_wrap(f->seal, &place, "old", 3, &sealed, &len, NULL), 0);
	assert_int_equal(seal_open(f->root, f->blob, f->blob_len, &again, NULL), 0);
	opens(again, sealed, len, "old");
	seal_free(again);
	again = NULL;
	assert_int_equal(seal_open(other, f->blob, f->blob_len, &again, &err), LEASED_ECORRUPT);
	assert_non_null(strstr(err.text, "root key"));
	for (size_t i = 0; i < f->blob_len; i++) {
		f->blob[i] ^= 1;
		assert_int_equal(
		    seal_open(f->root, f->blob, f->blob_len, &again, NULL), LEASED_ECORRUPT);
		f->blob[i] ^= 1;
		assert_int_equal(seal_open(f->root, f->blob, i, &again, NULL), LEASED_ECORRUPT);
	}
	assert_null(again);
	seal_root_free(other);
	free(sealed);
}

static void
the_limit_of_a_key_holds_and_a_further_key_goes_on(void **state)
{
	struct fix *f = *state;
	struct seal *again = NULL;
	uint8_t *old = NULL, *newer = NULL, *blob = NULL, mac[32], mac_again[32];
	size_t old_len = 0, newer_len = 0, blob_len = 0;

	assert_int_equal(seal_hmac(f->seal, "token", "t", 1, mac, NULL), 0);
	assert_int_equal(seal_wrap(f->seal, &place, "old", 3, &old, &old_len, NULL), 0);
	seal_count_restore(f->seal, SEAL_COUNT_MAX);
	assert_int_equal(
	    seal_wrap(f->seal, &place, "x", 1, &newer, &newer_len, NULL), LEASED_ELIMIT);
	assert_int_equal(seal_add_key(f->seal, &blob, &blob_len, NULL), 0);
	/* Not durable yet: the old key is still the one. */
	assert_int_equal(
	    seal_wrap(f->seal, &place, "x", 1, &newer, &newer_len, NULL), LEASED_ELIMIT);
	seal_use_newest_key(f->seal);
	assert_int_equal(seal_count(f->seal), 0);
	assert_int_equal(seal_wrap(f->seal, &place, "new", 3, &newer, &newer_len, NULL), 0);
	opens(f->seal, old, old_len, "old");
	opens(f->seal, newer, newer_len, "new");
	assert_int_equal(seal_open(f->root, blob, blob_len, &again, NULL), 0);
	opens(again, old, old_len, "old");
	opens(again, newer, newer_len, "new");
	/* HMACs are for the life of the keyring. */
	assert_int_equal(seal_hmac(again, "token", "t", 1, mac_again, NULL), 0);
	assert_memory_equal(mac, mac_again, sizeof(mac));
	/* The blob from before does not know the new key. */
	seal_free(again);
	assert_int_equal(seal_open(f->root, f->blob, f->blob_len, &again, NULL), 0);
	does_not_open(again, &place, newer, newer_len);
	seal_free(again);
	free(old);
	free(newer);
	free(blob);
}

static void
an_added_key_that_was_not_kept_is_offered_again(void **state)
{
	struct fix *f = *state;
	uint8_t *blob = NULL;
	size_t first = 0, second = 0;

	assert_int_equal(seal_add_key(f->seal, &blob, &first, NULL), 0);
	free(blob);
	assert_int_equal(seal_add_key(f->seal, &blob, &second, NULL), 0);
	free(blob);
	assert_int_equal(first, second);
	assert_int_equal(f->seal->key_count, 2);
}

static void
hmacs_differ_by_purpose_and_by_keyring(void **state)
{
	static const char *const purposes[] = {"token", "accessor", "index", "something else"};
	struct fix *f = *state;
	struct seal *other = NULL;
	uint8_t macs[5][32], again[32], *blob = NULL;
	size_t len = 0;

	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(seal_hmac(f->seal, purposes[i], "x", 1, macs[i], NULL), 0);
		assert_int_equal(seal_hmac(f->seal, purposes[i], "yy", 2, again, NULL), 0);
		assert_memory_not_equal(macs[i], again, 32);
		assert_int_equal(seal_hmac(f->seal, purposes[i], "x", 1, again, NULL), 0);
		assert_memory_equal(macs[i], again, 32);
	}
	assert_int_equal(seal_new(f->root, &other, &blob, &len, NULL), 0);
	assert_int_equal(seal_hmac(other, "token", "x", 1, macs[4], NULL), 0);
	for (size_t i = 0; i < 5; i++) {
		for (size_t j = 0; j < i; j++)
			assert_memory_not_equal(macs[i], macs[j], 32);
	}
	seal_free(other);
	free(blob);
}

static void *
seal_and_open(void *arg)
{
	struct seal *seal = arg;

	for (int i = 0; i < 2000; i++) {
		uint8_t *sealed = NULL, *plain = NULL, mac[32];
		size_t len = 0, plain_len = 0;

		if (seal_wrap(seal, &place, &i, sizeof(i), &sealed, &len, NULL) != 0 ||
		    seal_unwrap(seal, &place, sealed, len, &plain, &plain_len, NULL) != 0 ||
		    memcmp(plain, &i, sizeof(i)) != 0 ||
		    seal_hmac(seal, "index", &i, sizeof(i), mac, NULL) != 0)
			return (arg);
		seal_plain_free(plain, plain_len);
		free(sealed);
	}
	return (NULL);
}

static void
threads_seal_while_a_key_is_added(void **state)
{
	struct fix *f = *state;
	pthread_t threads[4];
	uint8_t *blob = NULL;
	size_t len = 0;
	void *failed;

	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, seal_and_open, f->seal), 0);
	for (int i = 0; i < 5; i++) {
		assert_int_equal(seal_add_key(f->seal, &blob, &len, NULL), 0);
		seal_use_newest_key(f->seal);
		free(blob);
	}
	for (int i = 0; i < 4; i++) {
		assert_int_equal(pthread_join(threads[i], &failed), 0);
		assert_null(failed);
	}
	assert_int_equal(f->seal->key_count, 6);
}

static int
whole_life(void *arg)
{
	struct seal_root *root = arg;
	struct seal *seal = NULL, *again = NULL;
	uint8_t *blob = NULL, *sealed = NULL, *plain = NULL, *more = NULL, mac[32];
	size_t blob_len = 0, len = 0, plain_len = 0, more_len = 0;
	int r;

	if ((r = seal_new(root, &seal, &blob, &blob_len, NULL)) == 0 &&
	    (r = seal_open(root, blob, blob_len, &again, NULL)) == 0 &&
	    (r = seal_wrap(seal, &place, "x", 1, &sealed, &len, NULL)) == 0 &&
	    (r = seal_unwrap(again, &place, sealed, len, &plain, &plain_len, NULL)) == 0 &&
	    (r = seal_add_key(seal, &more, &more_len, NULL)) == 0)
		r = seal_hmac(seal, "other", "x", 1, mac, NULL);
	seal_free(seal);
	seal_free(again);
	free(blob);
	free(more);
	free(sealed);
	seal_plain_free(plain, plain_len);
	return (r);
}

static void
every_failed_allocation_is_survived(void **state)
{
	struct fix *f = *state;

	assert_true(failalloc_each(whole_life, f->root) > 5);
}

#define FIX_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    FIX_TEST(known_answers_of_gcm),
	    FIX_TEST(known_answer_of_hkdf),
	    FIX_TEST(every_changed_bit_and_every_cut_is_refused),
	    FIX_TEST(a_value_opens_at_its_own_place_only),
	    FIX_TEST(an_empty_value_can_be_sealed),
	    FIX_TEST(nonces_do_not_repeat),
	    FIX_TEST(a_blob_opens_under_its_root_key_only_and_unchanged_only),
	    FIX_TEST(the_limit_of_a_key_holds_and_a_further_key_goes_on),
	    FIX_TEST(an_added_key_that_was_not_kept_is_offered_again),
	    FIX_TEST(hmacs_differ_by_purpose_and_by_keyring),
	    FIX_TEST(threads_seal_while_a_key_is_added),
	    FIX_TEST(every_failed_allocation_is_survived),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests_name("seal", tests, NULL, NULL));
}
