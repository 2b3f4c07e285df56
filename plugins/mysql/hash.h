/*
 * Passwords as servers store them, made here, so that no statement holds the password itself.
 */
#ifndef MYSQL_HASH_H
#define MYSQL_HASH_H

#include <leased/error.h>

#define MARIA_HASH_SIZE 160

/* mysql_native_password: `*` and the SHA-1 of the SHA-1, 40 digits. */
int maria_hash_native(
    const char *password, char ret_hash[MARIA_HASH_SIZE], struct leased_err *err) LEASED_MUST_CHECK;
/* caching_sha2_password, in hexadecimal, with a new salt. */
int maria_hash_sha2(
    const char *password, char ret_hash[MARIA_HASH_SIZE], struct leased_err *err) LEASED_MUST_CHECK;

#define MARIA_SALT_LEN 20
/* The same with a given salt, as text: for tests. */
int maria_hash_sha2_salted(const char *password, const char salt[MARIA_SALT_LEN],
    char ret_text[MARIA_HASH_SIZE / 2], struct leased_err *err) LEASED_MUST_CHECK;

#endif
