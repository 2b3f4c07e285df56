/*
 * The ssh plugin: signs certificates and revocation lists with CA keys that no other process uses.
 * What its files share. The prefix is sshca_, since ssh_ is libssh's. Reading is sshwire's.
 */
#ifndef SSH_SSHCA_H
#define SSH_SSHCA_H

#include <jansson.h>
#include <openssl/evp.h>
#include <stddef.h>

#include <leased/plugin.h>

#include "sshwire/sshwire.h"

#define SSHCA_KEYS_MAX 64          /* private keys of one worker */
#define SSHCA_PRIVATE_MAX 8192     /* bytes of base64 of a private key */
#define SSHCA_IMPORT_MAX 16384     /* .. and of a file that is imported */
#define SSHCA_CA_RSA_BITS_MAX 8192 /* what is longer signs too slowly for whoever waits */
#define SSHCA_KEY_ID_MAX 256
#define SSHCA_PRINCIPAL_MAX 255
#define SSHCA_CERTIFICATE_MAX 16384      /* bytes */
#define SSHCA_KRL_MAX (12 * 1024 * 1024) /* bytes: as base64 it fits a reply */
#define SSHCA_SERIALS_MAX 2000000
#define SSHCA_KRL_NAMESPACE "leased-krl" /* what a list's signature is for */

/* ---- key.c: a CA's key ---- */
struct sshca_key {
	EVP_PKEY *key;
	EVP_MD_CTX *signer; /* set up once: each signature begins with a copy of it */
	struct sshwire_key public;
	char algorithm[16]; /* "ed25519", "ecdsa-p256", "rsa-4096" */
};
void sshca_key_clear(struct sshca_key *key);
/* Takes openssl, also when it fails. LEASED_EINVAL: no type, curve or length that signs here. */
int sshca_key_of(
    EVP_PKEY *openssl, struct sshca_key *ret_key, struct leased_err *err) LEASED_MUST_CHECK;
/* By an algorithm's name. LEASED_EINVAL: there is none such. */
int sshca_key_generate(
    const char *algorithm, struct sshca_key *ret_key, struct leased_err *err) LEASED_MUST_CHECK;
/* From a config's {"algorithm": .., "private": ..}; id must be the key's own fingerprint. */
int sshca_key_read(const char *id, const json_t *value, struct sshca_key *ret_key,
    struct leased_err *err) LEASED_MUST_CHECK;
/* {"private": .., "public": {"kid", "algorithm", "line"}} into result. */
int sshca_key_result(
    const struct sshca_key *key, json_t *result, struct leased_err *err) LEASED_MUST_CHECK;
/* One of a key's numbers, as an mpint; wipes what it copied. -1: the key has none such. */
int sshca_put_number(struct sshwire_writer *writer, const EVP_PKEY *key, const char *param);
/* What OpenSSL says of its last failure, as the end of a text; empties its queue. */
const char *sshca_openssl_why(void);

/* ---- import.c, import_openssh.c ---- */
/* A private key in a file that ssh-keygen or openssl made, without a passphrase. */
int sshca_import(
    const char *text, struct sshca_key *ret_key, struct leased_err *err) LEASED_MUST_CHECK;
/* The bytes within -----BEGIN OPENSSH PRIVATE KEY----- (PROTOCOL.key); base64 with newlines. */
int sshca_import_openssh(const char *base64, size_t len, struct sshca_key *ret_key,
    struct leased_err *err) LEASED_MUST_CHECK;

/* ---- export.c ---- */
/* A file as ssh-keygen writes it, without a passphrase, of malloc(3); the caller wipes and frees.
 */
int sshca_export(
    const struct sshca_key *key, char **ret_text, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- sign.c ---- */
/* Makes key->signer, of its key and type. */
int sshca_signer_make(struct sshca_key *key, struct leased_err *err) LEASED_MUST_CHECK;
/* Appends, as an SSH string, the signature over what writer has from the offset from on. */
int sshca_sign(const struct sshca_key *key, struct sshwire_writer *writer, size_t from,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Base64 in lines between BEGIN and END of label, of malloc(3); NULL: out of memory. */
char *sshca_armor(const struct sshwire_writer *blob, const char *label);
/* An armored SSHSIG of malloc(3). */
int sshca_sshsig(const struct sshca_key *key, const char *name_space, const void *message,
    size_t len, char **ret_armored, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- certify.c, option.c, certificate.c ---- */
/* What a certificate is to say, checked; borrows from the request. */
struct sshca_claims {
	struct sshwire_key key; /* whose it will be; owned */
	bool is_host;
	uint64_t serial, valid_after, valid_before;
	const char *key_id;
	const json_t *principals, *critical_options, *extensions;
};
int sshca_claims_read(const json_t *request, struct sshca_claims *ret_claims,
    struct leased_err *err) LEASED_MUST_CHECK;
void sshca_claims_clear(struct sshca_claims *claims);
/* LEASED_EINVAL with the option's name. */
int sshca_options_check(
    const struct sshca_claims *claims, struct leased_err *err) LEASED_MUST_CHECK;
/* A line of malloc(3). */
int sshca_certificate(const struct sshca_key *ca, const struct sshca_claims *claims,
    char **ret_line, struct leased_err *err) LEASED_MUST_CHECK;
/* "17": decimal, as it would be printed, from 1 on. */
bool sshca_read_u64(const json_t *value, uint64_t *ret_value);

/* ---- krl.c, serials.c, push_reply.c ---- */
/* PROTOCOL.krl; LEASED_ETOOBIG over SSHCA_KRL_MAX. writer is the caller's to clear, always. */
int sshca_krl(
    const json_t *request, struct sshwire_writer *writer, struct leased_err *err) LEASED_MUST_CHECK;
/* What a packet of SFTP says that answers the request of that id. LEASED_EREFUSED: none such. */
int sshca_push_status(const void *bytes, size_t len, uint32_t id, uint32_t *ret_status,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Appends sections that say just these serials: as many of each kind as make them shortest. text:
 * the distance of each to the one before, "7,1,1,30"; the first one's to 0. */
int sshca_serials_put(
    const char *text, struct sshwire_writer *writer, struct leased_err *err) LEASED_MUST_CHECK;

#endif
