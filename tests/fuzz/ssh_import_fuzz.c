/*
 * A private key as an administrator brings it: refused, or one whose parts belong together and
 * which is the same again after the daemon has kept it. Whatever begins with no '-' is taken for
 * the bytes within OpenSSH's armor.
 */
#include <stdlib.h>
#include <string.h>

#include "ssh/sshca.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Kept and read: the same public part. */
static void
check_again(struct sshca_key *key)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshca_key again = {0};
	json_t *result = json_object();

	if (sshca_key_result(key, result, &err) != 0 ||
	    json_object_set_new(result, "algorithm", json_string(key->algorithm)) != 0 ||
	    sshca_key_read(key->public.fingerprint, result, &again, &err) != 0 ||
	    !sshwire_key_equal(&key->public, &again.public))
		abort();
	sshca_key_clear(&again);
	sshca_key_clear(key);
	json_decref(result);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct sshca_key key = {0};
	char *text = strndup((const char *)data, size), *base64;

	if (size > SSHCA_IMPORT_MAX || text == NULL) {
		free(text);
		return (0);
	}
	if (sshca_import(text, &key, &err) == 0)
		check_again(&key);
	free(text);
	if (size == 0 || data[0] == '-')
		return (0);
	base64 = sshwire_base64(data, size);
	if (base64 != NULL && sshca_import_openssh(base64, strlen(base64), &key, &err) == 0)
		check_again(&key);
	free(base64);
	return (0);
}
