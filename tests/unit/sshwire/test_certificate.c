/*
 * Certificates and SSHSIG of ssh-keygen's: read, verified, and refused where one bit differs.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "seed.h"
#include "support/failalloc.h"

#define MESSAGE "a list of what is revoked\n"

static const char *const names[] = {"ed25519", "p256", "p384", "p521", "rsa2048", "sk-ed25519",
    "sk-p256", "by-p256", "by-p384", "by-p521", "by-rsa2048"};
#define NAMES (sizeof(names) / sizeof(names[0]))

static struct sshwire_certificate
certificate_of(const char *name)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_certificate certificate = {0};
	char *line = seed("certificate", name);

	if (sshwire_certificate_read_line(line, &certificate, &err) != 0)
		fail_msg("%s: %s", name, err.text);
	free(line);
	return (certificate);
}

static void
a_certificate_says_what_it_was_signed_for(void **state)
{
	struct sshwire_certificate certificate = certificate_of("ed25519");
	struct sshwire_key key = seed_key("ed25519"), ca = seed_key("ca-ed25519");

	(void)state;
	assert_true(sshwire_key_equal(&certificate.key, &key));
	assert_true(sshwire_key_equal(&certificate.ca, &ca));
	assert_false(sshwire_key_equal(&certificate.ca, &key));
	assert_false(certificate.is_host);
	assert_int_equal(certificate.serial, 7);
	assert_string_equal(certificate.key_id, "id/alice/ops");
	assert_int_equal(certificate.principal_count, 2);
	assert_string_equal(certificate.principals[0], "alice");
	assert_string_equal(certificate.principals[1], "root");
	assert_int_equal(certificate.valid_after, 1767225600);
	assert_int_equal(certificate.valid_before, 1798761600);
	assert_int_equal(certificate.critical_option_count, 1);
	assert_string_equal(certificate.critical_options[0].name, "source-address");
	assert_string_equal(certificate.critical_options[0].value, "10.0.0.0/8");
	assert_int_equal(certificate.extension_count, 4);
	assert_string_equal(certificate.extensions[2].name, "permit-pty");
	assert_string_equal(certificate.extensions[2].value, "");
	sshwire_key_clear(&key);
	sshwire_key_clear(&ca);
	sshwire_certificate_clear(&certificate);
	certificate = certificate_of("by-p384");
	assert_true(certificate.is_host && certificate.serial == UINT64_MAX);
	assert_int_equal(certificate.valid_before, UINT64_MAX);
	assert_int_equal(certificate.extension_count, 0);
	sshwire_certificate_clear(&certificate);
}

static void
a_certificate_verifies_and_one_with_a_flipped_bit_does_not(void **state)
{
	(void)state;
	for (size_t i = 0; i < NAMES; i++) {
		struct sshwire_certificate certificate = certificate_of(names[i]);
		struct leased_err err = LEASED_ERR_INIT;

		assert_int_equal(sshwire_certificate_verify(&certificate, &err), 0);
		for (size_t at = 0; at < certificate.blob_len; at += 7) {
			/* The signature's length is read with the certificate. */
			if (at >= certificate.signed_len && at < certificate.signature_at)
				continue;
			certificate.blob[at] ^= 1;
			assert_int_not_equal(sshwire_certificate_verify(&certificate, &err), 0);
			certificate.blob[at] ^= 1;
		}
		sshwire_certificate_clear(&certificate);
	}
}

static void
another_ca_s_name_under_it_does_not_verify(void **state)
{
	struct sshwire_certificate certificate = certificate_of("ed25519");
	struct leased_err err = LEASED_ERR_INIT;

	(void)state;
	sshwire_key_clear(&certificate.ca);
	certificate.ca = seed_key("ed25519");
	assert_int_equal(sshwire_certificate_verify(&certificate, &err), LEASED_EDENIED);
	sshwire_certificate_clear(&certificate);
}

/* The line again, cut after each length of its blob. */
static void
a_cut_certificate_is_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < NAMES; i++) {
		struct sshwire_certificate certificate = certificate_of(names[i]), other = {0};
		struct leased_err err = LEASED_ERR_INIT;

		for (size_t len = 40; len < certificate.blob_len; len++) {
			char *base64 = sshwire_base64(certificate.blob, len), *line = NULL;

			assert_true(asprintf(&line, "%s %s", certificate.key.type->certificate,
					base64) > 0);
			assert_int_equal(
			    sshwire_certificate_read_line(line, &other, &err), LEASED_EINVAL);
			free(base64);
			free(line);
		}
		sshwire_certificate_clear(&certificate);
	}
}

static void
a_key_is_no_certificate(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_certificate certificate = {0};
	char *line = seed("key", "ed25519");

	(void)state;
	assert_int_equal(sshwire_certificate_read_line(line, &certificate, &err), LEASED_EINVAL);
	assert_non_null(strstr(err.text, "no certificate"));
	free(line);
}

static int
read_and_verify(void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_certificate certificate = {0};
	int r = sshwire_certificate_read_line(arg, &certificate, &err);

	if (r == 0)
		r = sshwire_certificate_verify(&certificate, &err);
	sshwire_certificate_clear(&certificate);
	return (r);
}

static void
reading_survives_lack_of_memory(void **state)
{
	char *line = seed("certificate", "p256");

	(void)state;
	assert_true(failalloc_each(read_and_verify, line) > 15);
	free(line);
}

/* ---- SSHSIG ---- */

static int
verify(const char *armored, const char *name_space, const char *message,
    const struct sshwire_key *keys, size_t count)
{
	struct leased_err err = LEASED_ERR_INIT;

	return (sshwire_sshsig_verify(
	    armored, name_space, message, strlen(message), keys, count, &err));
}

static void
a_signature_counts_for_its_message_purpose_and_signer_only(void **state)
{
	(void)state;
	for (size_t i = 0; i < 5; i++) {
		char ca[32], *armored = seed("sshsig", names[i]);
		struct sshwire_key keys[2];

		(void)snprintf(ca, sizeof(ca), "ca-%s", names[i]);
		keys[0] = seed_key("p256");
		keys[1] = seed_key(ca);
		assert_int_equal(verify(armored, "leased-krl", MESSAGE, keys, 2), 0);
		assert_int_equal(verify(armored, "leased-krl", MESSAGE, keys, 1), LEASED_EDENIED);
		assert_int_equal(verify(armored, "leased-krl", MESSAGE, keys, 0), LEASED_EDENIED);
		assert_int_equal(verify(armored, "file", MESSAGE, keys, 2), LEASED_EDENIED);
		assert_int_equal(verify(armored, "leased-kr", MESSAGE, keys, 2), LEASED_EDENIED);
		assert_int_equal(
		    verify(armored, "leased-krl", MESSAGE " ", keys, 2), LEASED_EDENIED);
		sshwire_key_clear(&keys[0]);
		sshwire_key_clear(&keys[1]);
		free(armored);
	}
}

static void
a_changed_signature_is_refused(void **state)
{
	struct sshwire_key key = seed_key("ca-ed25519");
	char *armored = seed("sshsig", "ed25519");
	size_t len = strlen(armored);

	(void)state;
	for (size_t i = 0; i < len; i++) {
		char kept = armored[i];

		armored[i] = kept == 'A' ? 'B' : 'A';
		assert_int_not_equal(verify(armored, "leased-krl", MESSAGE, &key, 1), 0);
		armored[i] = kept;
	}
	for (size_t i = 0; i < len; i++) {
		char kept = armored[i];

		armored[i] = '\0';
		assert_int_equal(verify(armored, "leased-krl", MESSAGE, &key, 1), LEASED_EINVAL);
		armored[i] = kept;
	}
	free(armored);
	sshwire_key_clear(&key);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_certificate_says_what_it_was_signed_for),
	    cmocka_unit_test(a_certificate_verifies_and_one_with_a_flipped_bit_does_not),
	    cmocka_unit_test(another_ca_s_name_under_it_does_not_verify),
	    cmocka_unit_test(a_cut_certificate_is_refused),
	    cmocka_unit_test(a_key_is_no_certificate),
	    cmocka_unit_test(reading_survives_lack_of_memory),
	    cmocka_unit_test(a_signature_counts_for_its_message_purpose_and_signer_only),
	    cmocka_unit_test(a_changed_signature_is_refused),
	};

	return (cmocka_run_group_tests(tests, NULL, NULL));
}
