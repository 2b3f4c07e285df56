/*
 * Keys, certificates and signatures of SSH, read and verified: what the ssh plugin and the client
 * share. It makes none. The daemon calls nothing of it.
 *
 * LEASED_EINVAL throughout: this is not what it should be, with words for whoever sent it.
 */
#ifndef SSHWIRE_SSHWIRE_H
#define SSHWIRE_SSHWIRE_H

#include <openssl/evp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <leased/error.h>

#include "sshwire/bytes.h"
#include "sshwire/krl.h"

#define SSHWIRE_LINE_MAX 65536      /* bytes of a line with a key or a certificate */
#define SSHWIRE_FINGERPRINT_SIZE 44 /* base64 of SHA-256 without padding, and a NUL */
#define SSHWIRE_RSA_BITS_MIN 2048
#define SSHWIRE_RSA_BITS_MAX 16384
#define SSHWIRE_PRINCIPALS_MAX 256 /* as many as sshd takes */

/* ---- key.c: public keys ---- */
enum sshwire_kind { SSHWIRE_ED25519, SSHWIRE_ECDSA, SSHWIRE_RSA };
struct sshwire_type {
	const char *name;        /* "ssh-ed25519" */
	const char *certificate; /* "ssh-ed25519-cert-v01@openssh.com" */
	enum sshwire_kind kind;
	bool is_security_key; /* sk-..: held by a token, and signs in a form of its own */
	const char *curve;    /* of ECDSA: "nistp256" */
	const char *group;    /* .. as OpenSSL calls it */
	size_t half_len;      /* .. bytes of a coordinate */
	unsigned bits;        /* 0: RSA, the key says */
};
/* By the name of a plain key, or of a certificate; NULL: none that is taken here. */
const struct sshwire_type *sshwire_type_find(const char *name, size_t len);
const struct sshwire_type *sshwire_type_of_certificate(const char *name, size_t len);

/* Zero-initialize. */
struct sshwire_key {
	const struct sshwire_type *type;
	unsigned bits;
	uint8_t *blob; /* as base64 of a line says it */
	size_t blob_len;
	char fingerprint[SSHWIRE_FINGERPRINT_SIZE]; /* without "SHA256:" */
};
/* "ssh-ed25519 AAAA.. comment", with or without the comment and one newline. */
int sshwire_key_read_line(
    const char *line, struct sshwire_key *ret_key, struct leased_err *err) LEASED_MUST_CHECK;
int sshwire_key_read(const void *blob, size_t len, struct sshwire_key *ret_key,
    struct leased_err *err) LEASED_MUST_CHECK;
void sshwire_key_clear(struct sshwire_key *key);
/* "ssh-ed25519 AAAA..", of malloc(3); NULL: out of memory. */
char *sshwire_key_line(const struct sshwire_key *key);
bool sshwire_key_equal(const struct sshwire_key *a, const struct sshwire_key *b);
/* For OpenSSL: a new one. NULL: out of memory, or its numbers are no key (a point off its curve).
 */
EVP_PKEY *sshwire_key_openssl(const struct sshwire_key *key);

/* ---- certificate.c: PROTOCOL.certkeys ---- */
struct sshwire_option {
	char *name;
	char *value; /* "" where it has none; NULL where it is no text */
};
struct sshwire_certificate {
	struct sshwire_key key; /* whose it is */
	bool is_host;
	uint64_t serial;
	char *key_id;
	char **principals;
	size_t principal_count; /* 0: whoever trusts the CA may take it for anybody's */
	uint64_t valid_after;   /* UNIX seconds; from then on */
	uint64_t valid_before;  /* no longer then; UINT64_MAX: forever */
	struct sshwire_option *critical_options, *extensions;
	size_t critical_option_count, extension_count;
	struct sshwire_key ca; /* who says that he signed it: see .._verify() */
	uint8_t *blob;
	size_t blob_len;
	size_t signed_len;   /* the first bytes of blob are what is signed */
	size_t signature_at; /* where in blob the signature is */
	size_t signature_len;
};
/* "ssh-ed25519-cert-v01@openssh.com AAAA.. comment". Reads; trusts nobody. */
int sshwire_certificate_read_line(const char *line, struct sshwire_certificate *ret_certificate,
    struct leased_err *err) LEASED_MUST_CHECK;
void sshwire_certificate_clear(struct sshwire_certificate *certificate);
/* Is it signed by certificate->ca? LEASED_EDENIED: no. Whether that one is trusted is the caller's
 * to say, by sshwire_key_equal(). */
int sshwire_certificate_verify(
    const struct sshwire_certificate *certificate, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- signature.c ---- */
/* A signature {algorithm, bytes} of key's over a message. RSA's are SHA-2 only; a security key's
 * are not read here. LEASED_EDENIED: it is none. */
int sshwire_verify(const struct sshwire_key *key, const void *signature, size_t signature_len,
    const void *message, size_t len, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- sshsig.c: PROTOCOL.sshsig ---- */
/* What is signed for a message: begins with SSHSIG. */
int sshwire_sshsig_message(struct sshwire_writer *writer, const char *name_space,
    const void *message, size_t len, struct leased_err *err) LEASED_MUST_CHECK;
/*
 * armored ("-----BEGIN SSH SIGNATURE-----" ..) is by one of keys, over message, for name_space.
 * LEASED_EDENIED: by somebody else, over something else, or for something else.
 */
int sshwire_sshsig_verify(const char *armored, const char *name_space, const void *message,
    size_t len, const struct sshwire_key *keys, size_t key_count,
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
