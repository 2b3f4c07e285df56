/*
 * The token plugin's keys and signatures: what is made is read again and nothing else is, and a
 * signature has the shape that its algorithm has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "support/failalloc.h"
#include "token/token.h"

static const char *const names[] = {"RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"};
#define NAMES (sizeof(names) / sizeof(names[0]))

/* RFC 7515, appendix A.3: the key and its parts; RFC 8037, A.3: the thumbprint of A.1's key. */
#define RFC8037_D "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"
#define RFC8037_THUMBPRINT "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"

static json_t *
pair_of(const char *algorithm)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *pair = json_object();

	if (token_generate(token_algorithm_find(algorithm), pair, &err) != 0)
		fail_msg("%s: %s", algorithm, err.text);
	return (pair);
}

static const char *
kid_of(const json_t *pair)
{
	return (json_string_value(json_object_get(json_object_get(pair, "public"), "kid")));
}

static json_t *
config_of(const json_t *pair, const char *algorithm)
{
	return (json_pack(
	    "{s:s,s:O}", "algorithm", algorithm, "private", json_object_get(pair, "private")));
}

static int
read_pair(const json_t *pair, const char *algorithm, const char *id, struct token_key *ret_key)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *config = config_of(pair, algorithm);
	int r = token_key_read(id, config, ret_key, &err);

	json_decref(config);
	return (r);
}

static void
a_pair_is_read_again_under_its_own_name_and_algorithm(void **state)
{
	struct token_key key = {0};

	(void)state;
	for (size_t i = 0; i < NAMES; i++) {
		json_t *pair = pair_of(names[i]);

		assert_int_equal(read_pair(pair, names[i], kid_of(pair), &key), 0);
		token_key_clear(&key);
		assert_int_equal(read_pair(pair, names[i], "another", &key), LEASED_EINVAL);
		for (size_t k = 0; k < NAMES; k++)
			if (names[k][0] != names[i][0] || names[k][1] != names[i][1] ||
			    (k != i && names[i][0] == 'E'))
				assert_int_equal(
				    read_pair(pair, names[k], kid_of(pair), &key), LEASED_EINVAL);
		assert_int_equal(read_pair(pair, "none", kid_of(pair), &key), LEASED_EINVAL);
		assert_int_equal(read_pair(pair, "HS256", kid_of(pair), &key), LEASED_EINVAL);
		json_decref(pair);
	}
}

static void
a_signature_has_the_length_of_its_algorithm_and_verifies(void **state)
{
	static const size_t lengths[] = {256, 256, 256, 64, 96, 132, 64};
	json_t *claims = json_pack("{s:s,s:i}", "iss", "x\"y", "exp", 7);
	struct leased_err err = LEASED_ERR_INIT;
	unsigned char *bytes = NULL;
	size_t len = 0;

	(void)state;
	for (size_t i = 0; i < NAMES; i++) {
		json_t *pair = pair_of(names[i]);
		struct token_key key = {0};
		char *token = NULL, *dot;

		assert_int_equal(read_pair(pair, names[i], kid_of(pair), &key), 0);
		for (unsigned n = 0; n < 20; n++) { /* a number of ECDSA may begin with zeros */
			assert_int_equal(token_sign(&key, claims, &token, &err), 0);
			dot = strrchr(token, '.');
			assert_int_equal(
			    token_base64url_decode(dot + 1, strlen(dot + 1), &bytes, &len, &err),
			    0);
			assert_int_equal(len, lengths[i]);
			free(bytes);
			free(token);
		}
		token_key_clear(&key);
		json_decref(pair);
	}
	json_decref(claims);
}

static void
the_thumbprint_is_rfc_8037_s(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	unsigned char *seed = NULL;
	json_t *jwk = NULL;
	EVP_PKEY *key;
	size_t len = 0;

	(void)state;
	assert_int_equal(
	    token_base64url_decode(RFC8037_D, strlen(RFC8037_D), &seed, &len, &err), 0);
	assert_int_equal(len, 32);
	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, seed, len);
	assert_non_null(key);
	assert_int_equal(token_jwk(token_algorithm_find("EdDSA"), key, &jwk, &err), 0);
	assert_string_equal(json_string_value(json_object_get(jwk, "kid")), RFC8037_THUMBPRINT);
	assert_string_equal(json_string_value(json_object_get(jwk, "x")),
	    "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
	json_decref(jwk);
	EVP_PKEY_free(key);
	free(seed);
}

static void
base64url_has_one_spelling(void **state)
{
	static const char *const bad[] = {
	    "A", "AAAAA", "AA=", "AA==", "A A", "AB", "AAB", "+A", "/A", "AAAA\n"};
	struct leased_err err = LEASED_ERR_INIT;
	unsigned char bytes[64], *back = NULL;
	size_t len = 0;

	(void)state;
	for (size_t n = 0; n < sizeof(bytes); n++) {
		char *text;

		bytes[n] = (unsigned char)(n * 37 + 250);
		text = token_base64url(bytes, n, NULL);
		assert_non_null(text);
		assert_int_equal(token_base64url_decode(text, strlen(text), &back, &len, &err), 0);
		assert_int_equal(len, n);
		assert_memory_equal(back, bytes, n);
		free(back);
		free(text);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(token_base64url_decode(bad[i], strlen(bad[i]), &back, &len, &err),
		    LEASED_EINVAL);
}

static void
what_is_no_key_is_refused(void **state)
{
	static const char *const texts[] = {"", "AAAA", "MIGH", "!"};
	struct leased_err err = LEASED_ERR_INIT;
	struct token_key key = {0};

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *config = json_pack("{s:s,s:s}", "algorithm", "ES256", "private", texts[i]);

		assert_int_equal(token_key_read("x", config, &key, &err), LEASED_EINVAL);
		json_decref(config);
	}
}

static void
claims_that_no_header_holds_are_refused(void **state)
{
	char *text = malloc(TOKEN_CLAIMS_MAX + 1);
	struct leased_err err = LEASED_ERR_INIT;
	json_t *pair = pair_of("EdDSA"), *claims;
	struct token_key key = {0};
	char *token = NULL;

	(void)state;
	assert_non_null(text);
	memset(text, 'a', TOKEN_CLAIMS_MAX);
	text[TOKEN_CLAIMS_MAX] = '\0';
	claims = json_pack("{s:s}", "x", text);
	assert_int_equal(read_pair(pair, "EdDSA", kid_of(pair), &key), 0);
	assert_int_equal(token_sign(&key, claims, &token, &err), LEASED_ETOOBIG);
	token_key_clear(&key);
	json_decref(claims);
	json_decref(pair);
	free(text);
}

static int
make_and_sign(void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *pair = json_object(), *config = NULL, *claims = NULL;
	struct token_key key = {0};
	char *token = NULL;
	int r = LEASED_ENOMEM;

	(void)arg;
	if (pair == NULL || (r = token_generate(token_algorithm_find("EdDSA"), pair, &err)) != 0)
		goto out;
	r = LEASED_ENOMEM;
	if ((config = config_of(pair, "EdDSA")) == NULL ||
	    (claims = json_pack("{s:i}", "exp", 7)) == NULL ||
	    (r = token_key_read(kid_of(pair), config, &key, &err)) != 0)
		goto out;
	r = token_sign(&key, claims, &token, &err);
out:
	token_key_clear(&key);
	json_decref(config);
	json_decref(claims);
	json_decref(pair);
	free(token);
	/* OpenSSL does not tell lack of memory from other reasons. */
	return (r == LEASED_EBUG || r == LEASED_EINVAL ? LEASED_ENOMEM : r);
}

static void
lack_of_memory_at_any_place_is_an_error(void **state)
{
	(void)state;
	assert_int_equal(make_and_sign(NULL), 0); /* what OpenSSL makes once */
	assert_true(failalloc_each(make_and_sign, NULL) > 10);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_pair_is_read_again_under_its_own_name_and_algorithm),
	    cmocka_unit_test(a_signature_has_the_length_of_its_algorithm_and_verifies),
	    cmocka_unit_test(the_thumbprint_is_rfc_8037_s),
	    cmocka_unit_test(base64url_has_one_spelling),
	    cmocka_unit_test(what_is_no_key_is_refused),
	    cmocka_unit_test(claims_that_no_header_holds_are_refused),
	    cmocka_unit_test(lack_of_memory_at_any_place_is_an_error),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
