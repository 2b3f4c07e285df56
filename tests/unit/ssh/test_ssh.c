/*
 * The ssh plugin without its process: what it makes is read back by the reader that clients have,
 * and lack of memory at any place leaves neither half a key nor half a list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "../sshwire/seed.h"
#include "ssh/sshca.h"
#include "support/failalloc.h"

static struct sshca_key
new_key(const char *algorithm)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshca_key key = {0};

	if (sshca_key_generate(algorithm, &key, &err) != 0)
		fail_msg("%s: %s", algorithm, err.text);
	return (key);
}

static json_t *
request_of(const char *line)
{
	return (json_pack("{s:s,s:s,s:s,s:s,s:[s,s],s:i,s:i,s:{s:s,s:s},s:{s:s}}", "public_key",
	    line, "type", "user", "serial", "7", "key_id", "id", "principals", "alice", "root",
	    "valid_after", 5, "valid_before", 9, "critical_options", "source-address", "10.0.0.0/8",
	    "force-command", "true", "extensions", "permit-pty", ""));
}

static void
a_certificate_is_read_back_as_it_was_asked_for(void **state)
{
	static const char *const algorithms[] = {
	    "ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048"};
	struct leased_err err = LEASED_ERR_INIT;
	char *line = seed("key", "p384"), *certified = NULL;
	json_t *request = request_of(line);

	(void)state;
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		struct sshca_key ca = new_key(algorithms[i]);
		struct sshca_claims claims = {0};
		struct sshwire_certificate read = {0};

		for (unsigned n = 0; n < 20; n++) { /* a number of ECDSA may begin with zeros */
			assert_int_equal(sshca_claims_read(request, &claims, &err), 0);
			assert_int_equal(sshca_certificate(&ca, &claims, &certified, &err), 0);
			assert_int_equal(sshwire_certificate_read_line(certified, &read, &err), 0);
			assert_int_equal(sshwire_certificate_verify(&read, &err), 0);
			assert_true(sshwire_key_equal(&read.ca, &ca.public));
			assert_string_equal(read.critical_options[0].name, "force-command");
			assert_string_equal(read.critical_options[1].value, "10.0.0.0/8");
			sshwire_certificate_clear(&read);
			sshca_claims_clear(&claims);
			free(certified);
		}
		sshca_key_clear(&ca);
	}
	json_decref(request);
	free(line);
}

static void
a_list_s_signature_verifies_with_the_client_s_reader(void **state)
{
	static const char *const algorithms[] = {
	    "ed25519", "ecdsa-p256", "ecdsa-p384", "ecdsa-p521", "rsa-2048"};
	struct leased_err err = LEASED_ERR_INIT;
	char *armored = NULL;

	(void)state;
	for (size_t i = 0; i < sizeof(algorithms) / sizeof(algorithms[0]); i++) {
		struct sshca_key ca = new_key(algorithms[i]);

		assert_int_equal(
		    sshca_sshsig(&ca, SSHCA_KRL_NAMESPACE, "list", 4, &armored, &err), 0);
		assert_int_equal(sshwire_sshsig_verify(
				     armored, SSHCA_KRL_NAMESPACE, "list", 4, &ca.public, 1, &err),
		    0);
		assert_int_equal(sshwire_sshsig_verify(
				     armored, SSHCA_KRL_NAMESPACE, "lisT", 4, &ca.public, 1, &err),
		    LEASED_EDENIED);
		free(armored);
		sshca_key_clear(&ca);
	}
}

/* ---- lack of memory ---- */

static struct sshca_key the_ca;

static int
certify(void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshca_claims claims = {0};
	char *line = NULL;
	int r = sshca_claims_read(arg, &claims, &err);

	if (r == 0)
		r = sshca_certificate(&the_ca, &claims, &line, &err);
	free(line);
	sshca_claims_clear(&claims);
	return (r);
}

static int
make_list(void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshwire_writer krl = {0};
	char *armored = NULL;
	int r = sshca_krl(arg, &krl, &err);

	if (r == 0)
		r = sshca_sshsig(&the_ca, SSHCA_KRL_NAMESPACE, krl.bytes, krl.len, &armored, &err);
	free(armored);
	sshwire_writer_clear(&krl);
	return (r);
}

static int
import(void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshca_key key = {0};
	json_t *result = json_object();
	int r = result != NULL ? sshca_import(arg, &key, &err) : LEASED_ENOMEM;

	if (r == 0)
		r = sshca_key_result(&key, result, &err);
	sshca_key_clear(&key);
	json_decref(result);
	return (r);
}

static char *
import_seed(const char *name)
{
	char path[256], *text = calloc(1, 8192);
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/ssh_import/%s", SEEDS, name);
	assert_non_null(file = fopen(path, "r"));
	assert_true(fread(text, 1, 8191, file) > 0);
	(void)fclose(file);
	return (text);
}

static void
certifying_survives_lack_of_memory(void **state)
{
	char *line = seed("key", "ed25519");
	json_t *request = request_of(line);

	(void)state;
	assert_true(failalloc_each(certify, request) > 5);
	json_decref(request);
	free(line);
}

static void
making_a_list_survives_lack_of_memory(void **state)
{
	char *line = seed("key", "ca-p256");
	json_t *request = json_pack("{s:s,s:i,s:[{s:s,s:s,s:[s]}],s:[s]}", "version", "9", "date",
	    7, "cas", "line", line, "serials", "7,1,1,9,3,3,3,3,16384,1,100000000", "key_ids", "a",
	    "keys", "SHA256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA");

	(void)state;
	assert_non_null(request);
	assert_true(failalloc_each(make_list, request) > 8);
	json_decref(request);
	free(line);
}

static void
importing_survives_lack_of_memory(void **state)
{
	static const char *const names[] = {"openssh-ed25519", "openssh-p256", "PEM-p256"};

	(void)state;
	for (size_t i = 0; i < 3; i++) {
		char *text = import_seed(names[i]);

		assert_true(failalloc_each(import, text) > 5);
		free(text);
	}
}

static int
set_up(void **state)
{
	(void)state;
	the_ca = new_key("ed25519");
	return (0);
}

static int
tear_down(void **state)
{
	(void)state;
	sshca_key_clear(&the_ca);
	return (0);
}

/* Two lines run together share the dashes between them: the second then began within the first. */
static void
an_armor_without_its_line_break_is_refused(void **state)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshca_key key = {0};

	(void)state;
	assert_int_equal(sshca_import("-----BEGIN OPENSSH PRIVATE KEY-----"
				      "---END OPENSSH PRIVATE KEY-----\n",
			     &key, &err),
	    LEASED_EINVAL);
	assert_non_null(strstr(err.text, "nothing behind it"));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_certificate_is_read_back_as_it_was_asked_for),
	    cmocka_unit_test(a_list_s_signature_verifies_with_the_client_s_reader),
	    cmocka_unit_test(certifying_survives_lack_of_memory),
	    cmocka_unit_test(making_a_list_survives_lack_of_memory),
	    cmocka_unit_test(importing_survives_lack_of_memory),
	    cmocka_unit_test(an_armor_without_its_line_break_is_refused),
	};

	return (cmocka_run_group_tests(tests, set_up, tear_down));
}
