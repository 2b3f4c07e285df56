/*
 * Public keys: what ssh-keygen writes is read, under its own fingerprint; anything else is not.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "seed.h"
#include "support/failalloc.h"

static const struct {
	const char *name, *type;
	unsigned bits;
} known[] = {
    {"ed25519", "ssh-ed25519", 256},
    {"p256", "ecdsa-sha2-nistp256", 256},
    {"p384", "ecdsa-sha2-nistp384", 384},
    {"p521", "ecdsa-sha2-nistp521", 521},
    {"rsa2048", "ssh-rsa", 2048},
    {"sk-ed25519", "sk-ssh-ed25519@openssh.com", 256},
    {"sk-p256", "sk-ecdsa-sha2-nistp256@openssh.com", 256},
};
#define KNOWN (sizeof(known) / sizeof(known[0]))

static int
read_line(const char *line)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_key key = {0};
	int r = sshwire_key_read_line(line, &key, &err);

	if (r == 0)
		sshwire_key_clear(&key);
	else
		assert_true(key.blob == NULL && err.text[0] != '\0');
	return (r);
}

static void
each_type_is_read_and_written_again(void **state)
{
	(void)state;
	for (size_t i = 0; i < KNOWN; i++) {
		char *line = seed("key", known[i].name), *again;
		struct sshwire_key key = seed_key(known[i].name);
		EVP_PKEY *openssl = sshwire_key_openssl(&key);

		assert_string_equal(key.type->name, known[i].type);
		assert_int_equal(key.bits, known[i].bits);
		assert_int_equal(strlen(key.fingerprint), 43);
		assert_int_equal(EVP_PKEY_get_bits(openssl), known[i].bits);
		again = sshwire_key_line(&key);
		assert_memory_equal(line, again, strlen(again));
		assert_int_equal(line[strlen(again)], ' ');
		EVP_PKEY_free(openssl);
		free(again);
		free(line);
		sshwire_key_clear(&key);
	}
}

static void
a_fingerprint_is_the_one_that_ssh_keygen_prints(void **state)
{
	struct sshwire_key key = seed_key("ed25519");

	(void)state;
	assert_string_equal(key.fingerprint, "LF2ZwbDZDCYjYukpj2W2cnHd35LIon2Oyh9vkP0eR9E");
	sshwire_key_clear(&key);
}

static void
an_rsa_key_that_is_too_short_is_refused_with_words_that_help(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_key key = {0};
	char *line = seed("key", "rsa1024");

	(void)state;
	assert_int_equal(sshwire_key_read_line(line, &key, &err), LEASED_EINVAL);
	assert_non_null(strstr(err.text, "ssh-keygen -t ed25519"));
	free(line);
}

/* Every bit of a key's blob, flipped: what still reads is another key, never the same. */
static void
a_changed_key_is_another_or_none(void **state)
{
	(void)state;
	for (size_t i = 0; i < KNOWN; i++) {
		struct sshwire_key key = seed_key(known[i].name), other = {0};
		struct leased_err err = LEASED_ERR_INIT;

		for (size_t bit = 0; bit<key.blob_len * 8; bit += known[i].bits> 521 ? 5 : 1) {
			key.blob[bit / 8] ^= (uint8_t)(1u << bit % 8);
			if (sshwire_key_read(key.blob, key.blob_len, &other, &err) == 0) {
				assert_string_not_equal(key.fingerprint, other.fingerprint);
				assert_memory_equal(key.blob, other.blob, key.blob_len);
				sshwire_key_clear(&other);
			}
			key.blob[bit / 8] ^= (uint8_t)(1u << bit % 8);
		}
		for (size_t len = 0; len < key.blob_len; len++)
			assert_int_equal(
			    sshwire_key_read(key.blob, len, &other, &err), LEASED_EINVAL);
		sshwire_key_clear(&key);
	}
}

/* A point off its curve is refused: nothing that a backend would choke on is signed. */
static void
a_point_off_its_curve_is_no_key(void **state)
{
	struct sshwire_key key = seed_key("p256"), other = {0};
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	key.blob[key.blob_len - 1] ^= 1;
	assert_int_equal(sshwire_key_read(key.blob, key.blob_len, &other, &err), LEASED_EINVAL);
	sshwire_key_clear(&key);
}

static void
a_line_has_one_spelling(void **state)
{
	char *line = seed("key", "ed25519"), *copy;
	size_t base64_end;

	(void)state;
	line[strcspn(line, "\n")] = '\0';
	base64_end = strcspn(strchr(line, ' ') + 1, " ") + strlen("ssh-ed25519 ");
	assert_int_equal(read_line(line), 0);
	for (unsigned i = 0; i < 4; i++) {
		static const char *const behind[] = {"\n", "\r\n", " more words", "\tx\n"};

		assert_true(asprintf(&copy, "%s%s", line, behind[i]) > 0);
		assert_int_equal(read_line(copy), 0);
		free(copy);
	}
	for (unsigned i = 0; i < 5; i++) {
		static const char *const behind[] = {
		    "\n\n", "\nssh-ed25519 AAAA", "\rx", "\x01", "\x7f"};

		assert_true(asprintf(&copy, "%s%s", line, behind[i]) > 0);
		assert_int_equal(read_line(copy), LEASED_EINVAL);
		free(copy);
	}
	line[base64_end] = '\0';
	assert_true(asprintf(&copy, "%s=", line) > 0);
	assert_int_equal(read_line(copy), LEASED_EINVAL);
	free(copy);
	assert_true(asprintf(&copy, "%sAAAA", line) > 0);
	assert_int_equal(read_line(copy), LEASED_EINVAL);
	free(copy);
	assert_true(asprintf(&copy, "no-pty %s", line) > 0);
	assert_int_equal(read_line(copy), LEASED_EINVAL);
	free(copy);
	line[base64_end - 1] = '\0';
	assert_int_equal(read_line(line), LEASED_EINVAL);
	free(line);
	for (unsigned i = 0; i < 6; i++) {
		static const char *const wrong[] = {"", " ", "ssh-ed25519", "ssh-ed25519 ",
		    "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA", "ssh-dss AAAAB3NzaC1kc3MAAACB"};

		assert_int_equal(read_line(wrong[i]), LEASED_EINVAL);
	}
}

static void
a_certificate_is_no_key(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_key key = {0};
	char *line = seed("certificate", "ed25519");

	(void)state;
	assert_int_equal(sshwire_key_read_line(line, &key, &err), LEASED_EINVAL);
	assert_non_null(strstr(err.text, "certificate"));
	free(line);
}

/* One that says more bits with zeros in front, and numbers that no key has. */
static void
a_number_has_one_spelling(void **state)
{
	static const struct {
		const char *bytes;
		size_t len;
		bool good;
	} numbers[] = {{"\0\0\0\0", 4, true}, {"\0\0\0\1\1", 5, true}, {"\0\0\0\2\0\x80", 6, true},
	    {"\0\0\0\1\0", 5, false}, {"\0\0\0\2\0\x7f", 6, false}, {"\0\0\0\1\x80", 5, false},
	    {"\0\0\0\2\1", 5, false}};

	(void)state;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct sshwire_reader reader = sshwire_reader_of(numbers[i].bytes, numbers[i].len);
		struct sshwire_writer writer = {0};
		size_t len;
		const uint8_t *at = sshwire_get_mpint(&reader, &len);

		assert_int_equal(sshwire_reader_done(&reader), numbers[i].good);
		if (numbers[i].good) {
			sshwire_put_mpint(&writer, at, len);
			assert_int_equal(writer.len, numbers[i].len);
			assert_memory_equal(writer.bytes, numbers[i].bytes, writer.len);
		}
		sshwire_writer_clear(&writer);
	}
}

static int
read_all(void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_key key = {0};
	int r = sshwire_key_read_line(arg, &key, &err);

	sshwire_key_clear(&key);
	return (r);
}

static void
reading_survives_lack_of_memory(void **state)
{
	char *line = seed("key", "p256");

	(void)state;
	assert_true(failalloc_each(read_all, line) > 2);
	free(line);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(each_type_is_read_and_written_again),
	    cmocka_unit_test(a_fingerprint_is_the_one_that_ssh_keygen_prints),
	    cmocka_unit_test(an_rsa_key_that_is_too_short_is_refused_with_words_that_help),
	    cmocka_unit_test(a_changed_key_is_another_or_none),
	    cmocka_unit_test(a_point_off_its_curve_is_no_key),
	    cmocka_unit_test(a_line_has_one_spelling),
	    cmocka_unit_test(a_certificate_is_no_key),
	    cmocka_unit_test(a_number_has_one_spelling),
	    cmocka_unit_test(reading_survives_lack_of_memory),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
