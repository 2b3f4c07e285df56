/*
 * Passwords as MariaDB (mysql_native_password) and MySQL (caching_sha2_password: SHA-crypt with
 * 5000 rounds and a salt of 20 bytes) store them. Knows no connection. Called by mint.c and
 * password.c.
 */
#include "hash.h"

#include <openssl/evp.h>
#include <openssl/rand.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <leased/secret.h>

#define SHA1_LEN 20
#define SHA256_LEN 32
#define ROUNDS 5000
#define ROUNDS_TEXT "$A$005$" /* thousands of rounds */
#define PASSWORD_MAX 1024

static int
failed(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EBUG, "a hash could not be made"));
}

static void
to_hex(const void *bytes, size_t len, const char *digits, char *ret_text)
{
	const unsigned char *at = bytes;

	for (; len > 0; len--, at++) {
		*ret_text++ = digits[*at >> 4];
		*ret_text++ = digits[*at & 15];
	}
	*ret_text = '\0';
}

int
maria_hash_native(const char *password, char ret_hash[MARIA_HASH_SIZE], struct leased_err *err)
{
	unsigned char first[SHA1_LEN], second[SHA1_LEN];
	bool good;

	good = EVP_Digest(password, strlen(password), first, NULL, EVP_sha1(), NULL) == 1 &&
	       EVP_Digest(first, sizeof(first), second, NULL, EVP_sha1(), NULL) == 1;
	leased_wipe(first, sizeof(first));
	if (!good)
		return (failed(err));
	ret_hash[0] = '*';
	to_hex(second, sizeof(second), "0123456789ABCDEF", ret_hash + 1);
	return (0);
}

/* ---- SHA-crypt ---- */

struct crypt {
	EVP_MD_CTX *ctx;
	bool bad;
};

static void
add(struct crypt *crypt, const void *bytes, size_t len)
{
	crypt->bad |= EVP_DigestUpdate(crypt->ctx, bytes, len) != 1;
}

static void
begin(struct crypt *crypt)
{
	crypt->bad |= EVP_DigestInit_ex(crypt->ctx, EVP_sha256(), NULL) != 1;
}

static void
end(struct crypt *crypt, unsigned char digest[SHA256_LEN])
{
	crypt->bad |= EVP_DigestFinal_ex(crypt->ctx, digest, NULL) != 1;
}

/* len bytes of a digest that repeats. */
static void
add_repeated(struct crypt *crypt, const unsigned char digest[SHA256_LEN], size_t len)
{
	for (; len > SHA256_LEN; len -= SHA256_LEN)
		add(crypt, digest, SHA256_LEN);
	add(crypt, digest, len);
}

static void
first_digest(struct crypt *crypt, const char *password, size_t len, const char *salt,
    unsigned char digest[SHA256_LEN])
{
	unsigned char other[SHA256_LEN];
	size_t bits;

	begin(crypt);
	add(crypt, password, len);
	add(crypt, salt, MARIA_SALT_LEN);
	add(crypt, password, len);
	end(crypt, other);
	begin(crypt);
	add(crypt, password, len);
	add(crypt, salt, MARIA_SALT_LEN);
	add_repeated(crypt, other, len);
	for (bits = len; bits > 0; bits >>= 1) {
		if ((bits & 1) != 0)
			add(crypt, other, SHA256_LEN);
		else
			add(crypt, password, len);
	}
	end(crypt, digest);
	leased_wipe(other, sizeof(other));
}

static void
all_rounds(struct crypt *crypt, const char *password, size_t len, const char *salt,
    unsigned char digest[SHA256_LEN])
{
	unsigned char of_password[SHA256_LEN], of_salt[SHA256_LEN];
	size_t i;

	begin(crypt);
	for (i = 0; i < len; i++)
		add(crypt, password, len);
	end(crypt, of_password);
	begin(crypt);
	for (i = 0; i < 16u + digest[0]; i++)
		add(crypt, salt, MARIA_SALT_LEN);
	end(crypt, of_salt);
	for (i = 0; i < ROUNDS; i++) {
		begin(crypt);
		if ((i & 1) != 0)
			add_repeated(crypt, of_password, len);
		else
			add(crypt, digest, SHA256_LEN);
		if (i % 3 != 0)
			add_repeated(crypt, of_salt, MARIA_SALT_LEN);
		if (i % 7 != 0)
			add_repeated(crypt, of_password, len);
		if ((i & 1) != 0)
			add(crypt, digest, SHA256_LEN);
		else
			add_repeated(crypt, of_password, len);
		end(crypt, digest);
	}
	leased_wipe(of_password, sizeof(of_password));
}

/* Its own order of bytes, and of bits: the lowest six first. */
static char *
encode(const unsigned char digest[SHA256_LEN], char *out)
{
	static const char alphabet[] =
	    "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	unsigned a = 0, b = 10, c = 20, next, value;
	int i;

	for (i = 0; i < 10; i++) {
		value = (unsigned)digest[a] << 16 | (unsigned)digest[b] << 8 | digest[c];
		for (int k = 0; k < 4; k++, value >>= 6)
			*out++ = alphabet[value & 63];
		next = a;
		a = c + 1;
		c = b + 1;
		b = next + 1;
	}
	value = (unsigned)digest[31] << 8 | digest[30];
	for (int k = 0; k < 3; k++, value >>= 6)
		*out++ = alphabet[value & 63];
	*out = '\0';
	return (out);
}

int
maria_hash_sha2_salted(const char *password, const char salt[MARIA_SALT_LEN],
    char ret_text[MARIA_HASH_SIZE / 2], struct leased_err *err)
{
	struct crypt crypt = {.ctx = EVP_MD_CTX_new()};
	unsigned char digest[SHA256_LEN];
	size_t len = strlen(password);
	char *at = ret_text;

	if (crypt.ctx == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (len > PASSWORD_MAX) {
		EVP_MD_CTX_free(crypt.ctx);
		return (leased_err_set(err, LEASED_EINVAL, "a password of %zu bytes", len));
	}
	first_digest(&crypt, password, len, salt, digest);
	all_rounds(&crypt, password, len, salt, digest);
	EVP_MD_CTX_free(crypt.ctx);
	memcpy(at, ROUNDS_TEXT, sizeof(ROUNDS_TEXT) - 1);
	at += sizeof(ROUNDS_TEXT) - 1;
	memcpy(at, salt, MARIA_SALT_LEN);
	(void)encode(digest, at + MARIA_SALT_LEN);
	leased_wipe(digest, sizeof(digest));
	return (crypt.bad ? failed(err) : 0);
}

int
maria_hash_sha2(const char *password, char ret_hash[MARIA_HASH_SIZE], struct leased_err *err)
{
	static const char alphabet[] =
	    "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
	char text[MARIA_HASH_SIZE / 2];
	unsigned char salt[MARIA_SALT_LEN];
	int r;

	if (RAND_bytes(salt, sizeof(salt)) != 1)
		return (leased_err_set(err, LEASED_EBUG, "no random numbers"));
	for (size_t i = 0; i < sizeof(salt); i++)
		salt[i] = (unsigned char)alphabet[salt[i] & 63];
	if ((r = maria_hash_sha2_salted(password, (const char *)salt, text, err)) == 0)
		to_hex(text, strlen(text), "0123456789ABCDEF", ret_hash);
	leased_wipe(text, sizeof(text));
	return (r);
}
