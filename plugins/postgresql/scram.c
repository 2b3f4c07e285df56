/*
 * The SCRAM-SHA-256 verifier that stands for a password (RFC 5802, in PostgreSQL's spelling), so
 * that the password itself never reaches the server's log. Made here since libpq's own function
 * knows one iteration count only. Called by mint.c and password.c.
 */
#include "scram.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <stdio.h>
#include <string.h>

#define KEY_LEN 32
#define SALT_LEN 16

/* SASLprep leaves printable ASCII as it is; anything else is not our passwords' alphabet and is
 * refused. */
static bool
is_plain(const char *password)
{
	size_t i;

	for (i = 0; password[i] != '\0'; i++)
		if (password[i] < 0x20 || password[i] > 0x7e)
			return (false);
	return (true);
}

static bool
derive(const char *password, const unsigned char *salt, int iterations, unsigned char *ret_stored,
    unsigned char *ret_server)
{
	unsigned char salted[KEY_LEN], client[KEY_LEN];
	unsigned int len = KEY_LEN;
	bool ok;

	ok = PKCS5_PBKDF2_HMAC(password, (int)strlen(password), salt, SALT_LEN, iterations,
		 EVP_sha256(), KEY_LEN, salted) == 1 &&
	     HMAC(EVP_sha256(), salted, KEY_LEN, (const unsigned char *)"Client Key", 10, client,
		 &len) != NULL &&
	     EVP_Digest(client, KEY_LEN, ret_stored, &len, EVP_sha256(), NULL) == 1 &&
	     HMAC(EVP_sha256(), salted, KEY_LEN, (const unsigned char *)"Server Key", 10,
		 ret_server, &len) != NULL;
	leased_wipe(salted, sizeof(salted));
	leased_wipe(client, sizeof(client));
	return (ok);
}

/* Passwords of people's own policies: libpq knows SASLprep, and one iteration count. */
static int
verifier_by_libpq(PGconn *connection, const char *password,
    char ret_verifier[POSTGRESQL_SCRAM_SIZE], struct leased_err *err)
{
	char *verifier = PQencryptPasswordConn(connection, password, "", "scram-sha-256");
	int r = 0;

	if (verifier != NULL && strlen(verifier) < POSTGRESQL_SCRAM_SIZE)
		memcpy(ret_verifier, verifier, strlen(verifier) + 1);
	else
		r = leased_err_set(
		    err, LEASED_EINVAL, "libpq cannot make a verifier of this password");
	PQfreemem(verifier);
	return (r);
}

int
postgresql_scram_verifier(PGconn *connection, const char *password, int iterations,
    char ret_verifier[POSTGRESQL_SCRAM_SIZE], struct leased_err *err)
{
	unsigned char salt[SALT_LEN], stored[KEY_LEN], server[KEY_LEN];
	unsigned char salt64[32], stored64[64], server64[64];
	int r = 0;

	if (!is_plain(password))
		return (verifier_by_libpq(connection, password, ret_verifier, err));
	if (RAND_bytes(salt, SALT_LEN) != 1 ||
	    !derive(password, salt, iterations, stored, server)) {
		r = leased_err_set(err, LEASED_EBUG, "OpenSSL cannot make a SCRAM verifier");
		goto out;
	}
	(void)EVP_EncodeBlock(salt64, salt, SALT_LEN);
	(void)EVP_EncodeBlock(stored64, stored, KEY_LEN);
	(void)EVP_EncodeBlock(server64, server, KEY_LEN);
	(void)snprintf(ret_verifier, POSTGRESQL_SCRAM_SIZE, "SCRAM-SHA-256$%d:%s$%s:%s", iterations,
	    (char *)salt64, (char *)stored64, (char *)server64);
out:
	leased_wipe(stored, sizeof(stored));
	leased_wipe(server, sizeof(server));
	leased_wipe(stored64, sizeof(stored64));
	leased_wipe(server64, sizeof(server64));
	return (r);
}

bool
postgresql_is_verifier(const char *text)
{
	return (strncmp(text, "SCRAM-SHA-256$", 14) == 0);
}
