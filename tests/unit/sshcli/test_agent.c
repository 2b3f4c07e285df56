/*
 * What `lease ssh` says to an ssh-agent, byte by byte, and what it takes from one; the key file
 * that it writes.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "ssh/agent.h"
#include "sshwire/sshwire.h"
#include "support/failalloc.h"

static struct keypair
keys_of_test(void)
{
	struct keypair keys = {.seed = leased_secret_new_empty(KEYPAIR_SEED_LEN)};

	memset(leased_secret_reveal_mutable(keys.seed), 0x5e, KEYPAIR_SEED_LEN);
	memset(keys.public, 0x0b, sizeof(keys.public));
	return (keys);
}

static void
take_string(struct sshwire_reader *reader, const void *bytes, size_t len)
{
	size_t got_len = 0;
	const uint8_t *got = sshwire_get_string(reader, &got_len);

	assert_false(reader->failed);
	assert_int_equal(got_len, len);
	assert_memory_equal(got, bytes, len);
}

/* draft-miller-ssh-agent, 4.2.4 and 5.2: the fields in their order, and the limits behind them. */
static void
a_key_is_added_with_its_certificate_and_a_lifetime(void **state)
{
	struct keypair keys = keys_of_test();
	struct leased_secret *message =
	    agent_encode_add(&keys, "CERT", 4, "lease ssh/prod x", 3600, true);
	struct sshwire_reader all, reader;
	uint8_t both[64];

	(void)state;
	assert_non_null(message);
	memset(both, 0x5e, 32);
	memset(both + 32, 0x0b, 32);
	all = sshwire_reader_of(leased_secret_reveal(message), leased_secret_len(message));
	reader = sshwire_get_nested(&all);
	assert_true(sshwire_reader_done(&all));
	assert_int_equal(sshwire_get_u8(&reader), 25);
	take_string(&reader, "ssh-ed25519-cert-v01@openssh.com", 32);
	take_string(&reader, "CERT", 4);
	take_string(&reader, both + 32, 32);
	take_string(&reader, both, 64);
	take_string(&reader, "lease ssh/prod x", 16);
	assert_int_equal(sshwire_get_u8(&reader), 1);
	assert_int_equal(sshwire_get_u32(&reader), 3600);
	assert_int_equal(sshwire_get_u8(&reader), 2);
	assert_true(sshwire_reader_done(&reader));
	leased_secret_free(message);
	keypair_clear(&keys);
}

static void
nothing_is_added_without_a_limit(void **state)
{
	struct keypair keys = keys_of_test();
	struct leased_secret *message = agent_encode_add(&keys, "C", 1, "", 1, false);
	static const uint8_t end[] = {0, 0, 0, 0, 1, 0, 0, 0, 1};

	(void)state;
	assert_non_null(message);
	assert_memory_equal(
	    leased_secret_reveal(message) + leased_secret_len(message) - sizeof(end), end,
	    sizeof(end));
	leased_secret_free(message);
	keypair_clear(&keys);
}

static const uint8_t two_keys[] = {
    12, 0, 0, 0, 2, 0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 2, 'h', 'i', 0, 0, 0, 1, 'x', 0, 0, 0, 0};

static void
a_list_is_read_whole_or_not_at_all(void **state)
{
	struct agent_list list = {NULL, 0};
	struct leased_err err = LEASED_ERR_INIT;
	uint8_t longer[sizeof(two_keys) + 1] = {0};
	size_t len;

	(void)state;
	assert_int_equal(agent_decode_list(two_keys, sizeof(two_keys), &list, &err), 0);
	assert_int_equal(list.count, 2);
	assert_int_equal(list.entries[0].blob_len, 3);
	assert_memory_equal(list.entries[0].blob, "abc", 3);
	assert_string_equal(list.entries[0].comment, "hi");
	assert_string_equal(list.entries[1].comment, "");
	agent_list_clear(&list);
	for (len = 0; len < sizeof(two_keys); len++)
		assert_int_equal(agent_decode_list(two_keys, len, &list, &err), LEASED_EPROTO);
	memcpy(longer, two_keys, sizeof(two_keys));
	assert_int_equal(agent_decode_list(longer, sizeof(longer), &list, &err), LEASED_EPROTO);
	assert_int_equal(list.count, 0);
}

static void
a_list_that_claims_more_than_there_is_costs_nothing(void **state)
{
	static const uint8_t many[] = {12, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0};
	struct agent_list list = {NULL, 0};

	(void)state;
	assert_int_equal(agent_decode_list(many, sizeof(many), &list, NULL), LEASED_EPROTO);
}

static int
decode_two(void *arg)
{
	struct agent_list list = {NULL, 0};
	int r = agent_decode_list(two_keys, sizeof(two_keys), &list, NULL);

	(void)arg;
	assert_int_equal(list.count, r == 0 ? 2 : 0);
	agent_list_clear(&list);
	return (r);
}

static void
no_memory_is_told_from_a_broken_list(void **state)
{
	(void)state;
	assert_true(failalloc_each(decode_two, NULL) >= 5);
}

static void
a_key_file_gives_its_public_key_back(void **state)
{
	struct keypair keys = {.seed = NULL};
	struct leased_err err = LEASED_ERR_INIT;
	struct leased_secret *file;
	uint8_t public[KEYPAIR_PUBLIC_LEN];
	char *text, *line;
	struct sshwire_key key = {0};

	(void)state;
	assert_int_equal(keypair_generate(&keys, &err), 0);
	file = keypair_file(&keys, "comment");
	assert_non_null(file);
	assert_int_equal(keypair_file_public(leased_secret_reveal(file), public, &err), 0);
	assert_memory_equal(public, keys.public, sizeof(public));
	line = keypair_line(public);
	assert_int_equal(sshwire_key_read_line(line, &key, &err), 0);
	assert_string_equal(key.type->name, "ssh-ed25519");
	text = strdup(leased_secret_reveal(file));
	for (size_t len = strlen(text); len-- > 0;) {
		text[len] = '\0';
		assert_int_equal(keypair_file_public(text, public, &err), LEASED_EINVAL);
	}
	free(text);
	free(line);
	sshwire_key_clear(&key);
	leased_secret_free(file);
	keypair_clear(&keys);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_key_is_added_with_its_certificate_and_a_lifetime),
	    cmocka_unit_test(nothing_is_added_without_a_limit),
	    cmocka_unit_test(a_list_is_read_whole_or_not_at_all),
	    cmocka_unit_test(a_list_that_claims_more_than_there_is_costs_nothing),
	    cmocka_unit_test(no_memory_is_told_from_a_broken_list),
	    cmocka_unit_test(a_key_file_gives_its_public_key_back),
	};

	if (leased_secret_setup(NULL) != 0)
		return (1);
	return (cmocka_run_group_tests(tests, NULL, NULL));
}
