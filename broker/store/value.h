/*
 * Inside of store/: small values with their checksums, and the one that keeps what the store is
 * called.
 */
#ifndef STORE_VALUE_H
#define STORE_VALUE_H

#include "store/store_private.h"

/* ---- meta.c ---- */
#define STORE_SCHEMA_META_SUM 7 /* from here on values have checksums */
int store_meta_write(struct store_db *db, const char *key, const char *text,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Tells of each value whose checksum does not match. */
typedef void (*store_on_meta)(void *arg, const char *key, const char *why);
int store_meta_check(
    struct store_db *db, store_on_meta on_bad, void *arg, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- birth.c: the tag and the id of a store, and the copy of both ---- */
struct store_birth {
	char tag[STORE_TAG_LEN + 1];
	char cluster_id[ID_UUID_SIZE];
};
int store_birth_decode(
    const char *text, struct store_birth *ret_birth, struct leased_err *err) LEASED_MUST_CHECK;
int store_birth_copy_put(
    struct store_db *db, const char *tag, const char *id, struct leased_err *err) LEASED_MUST_CHECK;
/* What the copy says, and whether the row says the same. LEASED_ENOENT: there is no copy yet. */
int store_birth_compare(struct store *store, struct store_birth *ret_birth, bool *ret_same,
    struct leased_err *err) LEASED_MUST_CHECK;
/* The row as the copy has it. */
int store_birth_restore(
    struct store *store, const struct store_birth *birth, struct leased_err *err) LEASED_MUST_CHECK;
/* At a start: the copy is there and both agree afterwards. */
int store_birth_settle(struct store *store, struct leased_err *err) LEASED_MUST_CHECK;

#endif
