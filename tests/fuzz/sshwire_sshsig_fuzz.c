/*
 * An armored SSHSIG as a host gets it from the network: no bytes of it verify over a message that
 * nobody signed.
 */
#include <stdlib.h>
#include <string.h>

#include "sshwire/sshwire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Of the seeds; one that signed nothing. */
static const char *const lines[] = {
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJOBGMpUp4qyEoq/JQADlUtl3BcEQ2u1Nj/NVT/U1qCA",
    "ecdsa-sha2-nistp256 "
    "AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBJwiLryiC6YcETCFahCpEla4XyMMTFB2KUrZCM6/"
    "POBzunFEzjcSwP5vGPsFu9TBUxw5FZI8oTa80/PT5pq3FrI=",
    "ecdsa-sha2-nistp384 "
    "AAAAE2VjZHNhLXNoYTItbmlzdHAzODQAAAAIbmlzdHAzODQAAABhBL4lZzGWV7o59Oy1vcZ9fPrMLMfaMAH4xOgjle6iV7"
    "MoSqJewTzu3Hlb9Ymw7a2Wc6Xe5MeJdJGNGWvq0+a7KX7K+Mg7QYli46V6BO3SymwW5moVQTVv9StzcVmC+seKyA=="};

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct leased_err err = LEASED_ERR_INIT;
	static struct sshwire_key keys[sizeof(lines) / sizeof(lines[0])];
	char *armored = strndup((const char *)data, size);

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		if (keys[i].blob == NULL && sshwire_key_read_line(lines[i], &keys[i], &err) != 0)
			abort();
	if (armored != NULL && sshwire_sshsig_verify(armored, "leased-krl", "another list\n", 13,
				   keys, sizeof(lines) / sizeof(lines[0]), &err) == 0)
		abort();
	free(armored);
	return (0);
}
