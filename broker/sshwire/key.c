/*
 * Public keys (RFC 4253 6.6, RFC 5656 3.1, RFC 8709; PROTOCOL.u2f). A type that is not in the table
 * is none. Owns no secret.
 */
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/digest.h"
#include "sshwire/line.h"

#define ED25519_LEN 32
#define APPLICATION_MAX 256
#define POINT_UNCOMPRESSED 4 /* SEC 1, 2.3.3 */

#define CERTIFICATE(name) name "-cert-v01@openssh.com"
static const struct sshwire_type types[] = {
    {"ssh-ed25519", CERTIFICATE("ssh-ed25519"), SSHWIRE_ED25519, false, NULL, NULL, 0, 256},
    {"ecdsa-sha2-nistp256", CERTIFICATE("ecdsa-sha2-nistp256"), SSHWIRE_ECDSA, false, "nistp256",
	"P-256", 32, 256},
    {"ecdsa-sha2-nistp384", CERTIFICATE("ecdsa-sha2-nistp384"), SSHWIRE_ECDSA, false, "nistp384",
	"P-384", 48, 384},
    {"ecdsa-sha2-nistp521", CERTIFICATE("ecdsa-sha2-nistp521"), SSHWIRE_ECDSA, false, "nistp521",
	"P-521", 66, 521},
    {"ssh-rsa", CERTIFICATE("ssh-rsa"), SSHWIRE_RSA, false, NULL, NULL, 0, 0},
    {"sk-ssh-ed25519@openssh.com", CERTIFICATE("sk-ssh-ed25519"), SSHWIRE_ED25519, true, NULL, NULL,
	0, 256},
    {"sk-ecdsa-sha2-nistp256@openssh.com", CERTIFICATE("sk-ecdsa-sha2-nistp256"), SSHWIRE_ECDSA,
	true, "nistp256", "P-256", 32, 256},
};
#define TYPES (sizeof(types) / sizeof(types[0]))

static bool
is_name(const char *wanted, const char *name, size_t len)
{
	return (strlen(wanted) == len && memcmp(wanted, name, len) == 0);
}

const struct sshwire_type *
sshwire_type_find(const char *name, size_t len)
{
	for (size_t i = 0; i < TYPES; i++)
		if (is_name(types[i].name, name, len))
			return (&types[i]);
	return (NULL);
}

const struct sshwire_type *
sshwire_type_of_certificate(const char *name, size_t len)
{
	for (size_t i = 0; i < TYPES; i++)
		if (is_name(types[i].certificate, name, len))
			return (&types[i]);
	return (NULL);
}

const char *
sshwire_type_digest(const struct sshwire_type *type)
{
	switch (type->kind) {
	case SSHWIRE_ED25519:
		return (NULL);
	case SSHWIRE_ECDSA:
		return (type->bits == 256 ? "SHA256" : type->bits == 384 ? "SHA384" : "SHA512");
	case SSHWIRE_RSA:
		return ("SHA512");
	}
	return (NULL);
}

void
sshwire_key_clear(struct sshwire_key *key)
{
	free(key->blob);
	*key = (struct sshwire_key){0};
}

/* ---- the fields of each kind ---- */

static int
bad(struct leased_err *err, const struct sshwire_type *type)
{
	return (leased_err_set(err, LEASED_EINVAL,
	    "this is no well-formed key of type %s: it may have been cut or changed", type->name));
}

static int
ecdsa_fields(const struct sshwire_type *type, struct sshwire_reader *reader, struct leased_err *err)
{
	size_t curve_len, point_len;
	const uint8_t *curve = sshwire_get_string(reader, &curve_len);
	const uint8_t *point = sshwire_get_string(reader, &point_len);

	if (reader->failed || !is_name(type->curve, (const char *)curve, curve_len) ||
	    point_len != 1 + 2 * type->half_len || point[0] != POINT_UNCOMPRESSED)
		return (bad(err, type));
	return (0);
}

static unsigned
bits_of(const uint8_t *number, size_t len)
{
	unsigned bits = (unsigned)len * 8;

	for (unsigned mask = 0x80; len > 0 && mask != 0 && (number[0] & mask) == 0; mask >>= 1)
		bits--;
	return (bits);
}

static int
rsa_fields(struct sshwire_reader *reader, unsigned *ret_bits, struct leased_err *err)
{
	const struct sshwire_type *type = sshwire_type_find("ssh-rsa", 7);
	size_t e_len, n_len;
	const uint8_t *e = sshwire_get_mpint(reader, &e_len);
	const uint8_t *n = sshwire_get_mpint(reader, &n_len);
	unsigned bits = n_len <= SSHWIRE_RSA_BITS_MAX / 8 ? bits_of(n, n_len) : UINT16_MAX + 1u;

	/* An exponent of 1 is no key at all, and an even one none that anybody made. */
	if (reader->failed || e_len == 0 || e_len > 8 || n_len == 0 || (e_len == 1 && e[0] < 3) ||
	    (e[e_len - 1] & 1) == 0 || (n[n_len - 1] & 1) == 0)
		return (bad(err, type));
	if (bits < SSHWIRE_RSA_BITS_MIN || bits > SSHWIRE_RSA_BITS_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "an RSA key has %d to %d bits here, and this one has %s: make one with "
		    "ssh-keygen -t ed25519",
		    SSHWIRE_RSA_BITS_MIN, SSHWIRE_RSA_BITS_MAX,
		    bits < SSHWIRE_RSA_BITS_MIN ? "fewer" : "more"));
	*ret_bits = bits;
	return (0);
}

/* A text that a token's firmware knows the key by; "ssh:" as a rule. */
static int
application_field(
    const struct sshwire_type *type, struct sshwire_reader *reader, struct leased_err *err)
{
	size_t len;
	const uint8_t *text = sshwire_get_string(reader, &len);

	if (reader->failed || len < 1 || len > APPLICATION_MAX || memchr(text, '\0', len) != NULL)
		return (bad(err, type));
	return (0);
}

static int
fields_check(const struct sshwire_type *type, struct sshwire_reader *reader, unsigned *ret_bits,
    struct leased_err *err)
{
	size_t len;
	int r = 0;

	*ret_bits = type->bits;
	switch (type->kind) {
	case SSHWIRE_ED25519:
		(void)sshwire_get_string(reader, &len);
		r = reader->failed || len != ED25519_LEN ? bad(err, type) : 0;
		break;
	case SSHWIRE_ECDSA:
		r = ecdsa_fields(type, reader, err);
		break;
	case SSHWIRE_RSA:
		r = rsa_fields(reader, ret_bits, err);
		break;
	}
	if (r == 0 && type->is_security_key)
		r = application_field(type, reader, err);
	return (r);
}

static int
set_fingerprint(struct sshwire_key *key)
{
	uint8_t hash[DIGEST_SHA256_LEN];
	char *text = NULL;

	if (digest_sha256(key->blob, key->blob_len, hash) != 0 ||
	    (text = sshwire_base64(hash, sizeof(hash))) == NULL)
		return (-1);
	(void)snprintf(key->fingerprint, sizeof(key->fingerprint), "%.43s", text);
	free(text);
	return (0);
}

/* Is its point on its curve? ed25519's any 32 bytes and RSA's any two numbers are keys to OpenSSL,
 * too. */
static int
check_point(const struct sshwire_key *key, struct leased_err *err)
{
	EVP_PKEY *openssl;

	if (key->type->kind != SSHWIRE_ECDSA)
		return (0);
	if ((openssl = sshwire_key_openssl(key)) == NULL) {
		ERR_clear_error();
		return (bad(err, key->type));
	}
	EVP_PKEY_free(openssl);
	return (0);
}

int
sshwire_key_fields(const struct sshwire_type *type, struct sshwire_reader *reader,
    struct sshwire_key *ret_key, struct leased_err *err)
{
	struct sshwire_key key = {.type = type};
	struct sshwire_writer writer = {0};
	const uint8_t *begin = reader->at;
	int r;

	if ((r = fields_check(type, reader, &key.bits, err)) != 0)
		return (r);
	sshwire_put_text(&writer, type->name);
	sshwire_put_bytes(&writer, begin, (size_t)(reader->at - begin));
	key.blob = writer.bytes;
	key.blob_len = writer.len;
	if (writer.failed || set_fingerprint(&key) != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	else
		r = check_point(&key, err);
	if (r == 0) {
		*ret_key = key;
		return (0);
	}
	sshwire_key_clear(&key);
	return (r);
}

/* ---- whole keys ---- */

int
sshwire_key_read(const void *blob, size_t len, struct sshwire_key *ret_key, struct leased_err *err)
{
	struct sshwire_reader reader = sshwire_reader_of(blob, len);
	size_t name_len;
	const char *name = (const char *)sshwire_get_string(&reader, &name_len);
	const struct sshwire_type *type = sshwire_type_find(name, name_len);
	struct sshwire_key key = {0};
	int r;

	if (type == NULL && sshwire_type_of_certificate(name, name_len) != NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "this is a certificate: a key is wanted, which stands in the file without "
		    "-cert in its name"));
	if (type == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "this type of key is not taken: ssh-ed25519, ecdsa-sha2-nistp256, -nistp384, "
		    "-nistp521, ssh-rsa, sk-ssh-ed25519@openssh.com and "
		    "sk-ecdsa-sha2-nistp256@openssh.com are"));
	if ((r = sshwire_key_fields(type, &reader, &key, err)) != 0)
		return (r);
	if (!sshwire_reader_done(&reader)) {
		sshwire_key_clear(&key);
		return (bad(err, type));
	}
	*ret_key = key;
	return (0);
}

int
sshwire_key_read_line(const char *line, struct sshwire_key *ret_key, struct leased_err *err)
{
	const char *name;
	uint8_t *blob;
	size_t name_len, len;
	int r;

	if ((r = sshwire_line_read(line, &name, &name_len, &blob, &len, err)) != 0)
		return (r);
	r = sshwire_key_read(blob, len, ret_key, err);
	free(blob);
	return (r);
}

char *
sshwire_key_line(const struct sshwire_key *key)
{
	char *base64 = sshwire_base64(key->blob, key->blob_len), *line = NULL;

	if (base64 != NULL && asprintf(&line, "%s %s", key->type->name, base64) < 0)
		line = NULL;
	free(base64);
	return (line);
}

bool
sshwire_key_equal(const struct sshwire_key *a, const struct sshwire_key *b)
{
	return (a->blob_len == b->blob_len && memcmp(a->blob, b->blob, a->blob_len) == 0);
}

/* ---- for OpenSSL ---- */

static OSSL_PARAM *
rsa_params(struct sshwire_reader *reader, OSSL_PARAM_BLD *build, BIGNUM **e, BIGNUM **n)
{
	size_t e_len, n_len;
	const uint8_t *e_bytes = sshwire_get_mpint(reader, &e_len);
	const uint8_t *n_bytes = sshwire_get_mpint(reader, &n_len);

	*e = BN_bin2bn(e_bytes, (int)e_len, NULL);
	*n = BN_bin2bn(n_bytes, (int)n_len, NULL);
	if (*e == NULL || *n == NULL || OSSL_PARAM_BLD_push_BN(build, "e", *e) != 1 ||
	    OSSL_PARAM_BLD_push_BN(build, "n", *n) != 1)
		return (NULL);
	return (OSSL_PARAM_BLD_to_param(build));
}

static OSSL_PARAM *
ecdsa_params(const struct sshwire_type *type, struct sshwire_reader *reader, OSSL_PARAM_BLD *build)
{
	size_t len;
	const uint8_t *point;

	(void)sshwire_get_string(reader, &len);
	point = sshwire_get_string(reader, &len);
	if (OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, type->group, 0) !=
		1 ||
	    OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, len) != 1)
		return (NULL);
	return (OSSL_PARAM_BLD_to_param(build));
}

static EVP_PKEY *
key_from_params(const struct sshwire_type *type, struct sshwire_reader *reader)
{
	bool is_rsa = type->kind == SSHWIRE_RSA;
	EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, is_rsa ? "RSA" : "EC", NULL);
	OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
	BIGNUM *e = NULL, *n = NULL;
	OSSL_PARAM *params = NULL;
	EVP_PKEY *key = NULL;

	if (build != NULL)
		params =
		    is_rsa ? rsa_params(reader, build, &e, &n) : ecdsa_params(type, reader, build);
	if (ctx == NULL || params == NULL || EVP_PKEY_fromdata_init(ctx) != 1 ||
	    EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		key = NULL;
	OSSL_PARAM_free(params);
	OSSL_PARAM_BLD_free(build);
	BN_free(e);
	BN_free(n);
	EVP_PKEY_CTX_free(ctx);
	return (key);
}

EVP_PKEY *
sshwire_key_openssl(const struct sshwire_key *key)
{
	struct sshwire_reader reader = sshwire_reader_of(key->blob, key->blob_len);
	const uint8_t *point;
	size_t len;

	(void)sshwire_get_string(&reader, &len);
	if (key->type->kind != SSHWIRE_ED25519)
		return (key_from_params(key->type, &reader));
	point = sshwire_get_string(&reader, &len);
	return (EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, point, len));
}
