/*
 * The hash of a password as RabbitMQ stores it, so that the password itself goes nowhere. Called by
 * mint.c and check.c.
 */
#include "rabbitmq.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <string.h>

#define SALT_LEN 4 /* the server's own choice, which it reads by */

int
rabbitmq_hash(const char *password, char ret_hash[RABBITMQ_HASH_SIZE], struct leased_err *err)
{
	unsigned char bytes[SALT_LEN + 32];
	unsigned len = 32;
	EVP_MD_CTX *digest = EVP_MD_CTX_new();
	int r = 0;

	if (digest == NULL || RAND_bytes(bytes, SALT_LEN) != 1 ||
	    EVP_DigestInit_ex(digest, EVP_sha256(), NULL) != 1 ||
	    EVP_DigestUpdate(digest, bytes, SALT_LEN) != 1 ||
	    EVP_DigestUpdate(digest, password, strlen(password)) != 1 ||
	    EVP_DigestFinal_ex(digest, bytes + SALT_LEN, &len) != 1)
		r = leased_err_set(err, LEASED_ENOMEM, "a password cannot be hashed");
	else
		(void)EVP_EncodeBlock((unsigned char *)ret_hash, bytes, sizeof(bytes));
	EVP_MD_CTX_free(digest);
	leased_wipe(bytes, sizeof(bytes));
	return (r);
}
