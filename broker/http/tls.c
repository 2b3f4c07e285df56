/*
 * Certificates and keys of TCP listeners: read from files, checked, and kept as what OpenSSL needs
 * for a handshake. How TLS is spoken on one connection is stream.c's; which listener has which
 * pair, listener.c's. Called by main through tls.h.
 */
#include "http/tls.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <leased/secret.h>

#include "base/log.h"
#include "http/stream.h"

#define TLS_TAG 0x48746c73u
#define FILE_MAX (256u * 1024u)
#define CHAIN_MAX 10
/* What one handshake may cost the loop: RSA with 3072 bits takes 2 ms and more. */
#define RSA_BITS_FAST 2048

struct http_tls {
	unsigned tag, references;
	SSL_CTX *ctx;
	char *certificate_path;
	char subject[256];
	char not_after[32];
	int64_t end_s;
};

static const char *
openssl_reason(void)
{
	const char *text = ERR_reason_error_string(ERR_peek_last_error());

	return (text != NULL ? text : "OpenSSL gives no reason");
}

/* ---- files ---- */

static int
check_file(const char *path, int fd, bool is_key, struct leased_err *err)
{
	struct stat status;

	if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode))
		return (leased_err_set(err, LEASED_EINVAL, "%s is no regular file", path));
	if (status.st_size > (off_t)FILE_MAX)
		return (
		    leased_err_set(err, LEASED_ETOOBIG, "%s has over %u bytes", path, FILE_MAX));
	if (is_key && (status.st_mode & 027) != 0)
		return (leased_err_set(err, LEASED_EDENIED,
		    "the private key %s is open to others (mode %04o): chmod 0600 it, or 0640 with "
		    "a group of leased's own",
		    path, (unsigned)(status.st_mode & 07777)));
	return (0);
}

/* The sandbox refuses what the file's own mode allows: then `leased check` would find nothing. */
static int
refuse_open(const char *path, int error, struct leased_err *err)
{
	if (error == EACCES && access(path, R_OK) == 0)
		return (leased_err_set(err, LEASED_EDENIED,
		    "%s lies in a directory that leased has kept from itself, since its "
		    "configuration did not name it at the start: restart leased to use it",
		    path));
	return (leased_err_set(err, error == ENOENT ? LEASED_ENOENT : LEASED_EDENIED,
	    "cannot open %s: %s", path, strerror(error)));
}

/* The whole file; the caller wipes it. */
static int
read_file(const char *path, bool is_key, struct leased_secret **ret_text, struct leased_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK), r;
	struct leased_secret *text = NULL;
	unsigned char *bytes = NULL;
	size_t len = 0;
	ssize_t got = 1;

	if (fd < 0)
		return (refuse_open(path, errno, err));
	if ((r = check_file(path, fd, is_key, err)) != 0)
		goto out;
	if ((bytes = malloc(FILE_MAX)) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	while (len < FILE_MAX && (got = read(fd, bytes + len, FILE_MAX - len)) > 0)
		len += (size_t)got;
	if (got < 0)
		r = leased_err_set(err, LEASED_EIO, "cannot read %s: %s", path, strerror(errno));
	else if (len == 0)
		r = leased_err_set(err, LEASED_EINVAL, "%s is empty", path);
	else if ((text = leased_secret_new((const char *)bytes, len)) == NULL)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	if (r == 0)
		*ret_text = text;
out:
	if (bytes != NULL)
		leased_wipe(bytes, len);
	free(bytes);
	(void)close(fd);
	return (r);
}

/* ---- the pair ---- */

/* Nobody can be asked for a passphrase. */
static int
on_passphrase(char *text, int size, int is_writing, void *arg)
{
	(void)text;
	(void)size;
	(void)is_writing;
	*(bool *)arg = true;
	return (-1);
}

static int
use_key(SSL_CTX *ctx, const struct http_tls_files *files, struct leased_err *err)
{
	struct leased_secret *text = NULL;
	bool is_encrypted = false;
	EVP_PKEY *key = NULL;
	BIO *bio = NULL;
	int r;

	if ((r = read_file(files->key, true, &text, err)) != 0)
		return (r);
	ERR_clear_error();
	bio = BIO_new_mem_buf(leased_secret_reveal(text), (int)leased_secret_len(text));
	if (bio == NULL)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	else if ((key = PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, &is_encrypted)) == NULL)
		r = leased_err_set(err, LEASED_EINVAL,
		    is_encrypted ? "the private key %s has a passphrase, for which nobody can be "
				   "asked: write it without one (openssl pkey -in .. -out ..)"
				 : "%s holds no private key in PEM (-----BEGIN PRIVATE KEY-----)",
		    files->key);
	else if (SSL_CTX_use_PrivateKey(ctx, key) != 1)
		r = leased_err_set(err, LEASED_EINVAL,
		    "the private key %s does not belong to the certificate %s, or cannot be used "
		    "(%s): both must come from the same request",
		    files->key, files->certificate, openssl_reason());
	EVP_PKEY_free(key);
	BIO_free(bio);
	leased_secret_free(text);
	return (r);
}

/* The listener's own first, then up to CHAIN_MAX others. */
static int
use_chain(SSL_CTX *ctx, BIO *bio, const char *path, struct leased_err *err)
{
	X509 *certificate = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL);
	unsigned count;
	int r = 0;

	if (certificate == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s holds no certificate in PEM (-----BEGIN CERTIFICATE-----)", path));
	if (SSL_CTX_use_certificate(ctx, certificate) != 1)
		r = leased_err_set(err, LEASED_EINVAL, "the certificate %s cannot be used: %s",
		    path, openssl_reason());
	X509_free(certificate);
	for (count = 0; r == 0; count++) {
		if ((certificate = PEM_read_bio_X509(bio, NULL, NULL, NULL)) == NULL)
			break;
		if (count < CHAIN_MAX && SSL_CTX_add0_chain_cert(ctx, certificate) == 1)
			continue;
		r = leased_err_set(err, LEASED_EINVAL,
		    "the certificates in %s behind the first cannot be used: at most %d, and none "
		    "too weak",
		    path, CHAIN_MAX);
		X509_free(certificate);
	}
	/* The end of the file is "no start line"; anything else stands for a broken one. */
	if (r == 0 && ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		r = leased_err_set(err, LEASED_EINVAL, "a certificate in %s is damaged: %s", path,
		    openssl_reason());
	ERR_clear_error();
	return (r);
}

static int
use_certificate(SSL_CTX *ctx, const char *path, struct leased_err *err)
{
	struct leased_secret *text = NULL;
	BIO *bio;
	int r;

	if ((r = read_file(path, false, &text, err)) != 0)
		return (r);
	ERR_clear_error();
	bio = BIO_new_mem_buf(leased_secret_reveal(text), (int)leased_secret_len(text));
	r = bio != NULL ? use_chain(ctx, bio, path, err)
			: leased_err_set(err, LEASED_ENOMEM, "out of memory");
	BIO_free(bio);
	leased_secret_free(text);
	return (r);
}

/* ---- what is spoken ---- */

/* HTTP/1.1 or nothing: who offers only something else hears so at once. */
static int
on_alpn(SSL *ssl, const unsigned char **ret_chosen, unsigned char *ret_len,
    const unsigned char *offered, unsigned offered_len, void *arg)
{
	static const unsigned char ours[] = "\x08http/1.1";
	unsigned char *chosen;

	(void)ssl;
	(void)arg;
	if (SSL_select_next_proto(&chosen, ret_len, ours, sizeof(ours) - 1, offered, offered_len) !=
	    OPENSSL_NPN_NEGOTIATED)
		return (SSL_TLSEXT_ERR_ALERT_FATAL);
	*ret_chosen = chosen;
	return (SSL_TLSEXT_ERR_OK);
}

/* NULL: OpenSSL says why not. No tickets and no early data: nothing of a connection outlives it,
 * and nothing of it can be sent twice. */
static SSL_CTX *
context_new(enum http_tls_version min_version)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL)
		return (NULL);
	(void)SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION |
					   SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
					   SSL_OP_CLEANSE_PLAINTEXT | SSL_OP_IGNORE_UNEXPECTED_EOF);
	/* A retried write may come from another place; buffers are kept only while in use. */
	(void)SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE |
					SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER |
					SSL_MODE_RELEASE_BUFFERS);
	SSL_CTX_set_security_level(ctx, 2);
	(void)SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_read_ahead(ctx, 0);
	SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	if (SSL_CTX_set_num_tickets(ctx, 0) != 1 || SSL_CTX_set_max_early_data(ctx, 0) != 1 ||
	    SSL_CTX_set_min_proto_version(
		ctx, min_version == HTTP_TLS_1_2 ? TLS1_2_VERSION : TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) != 1 ||
	    SSL_CTX_set_ciphersuites(ctx, "TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256") !=
		1 ||
	    SSL_CTX_set_cipher_list(ctx, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1 ||
	    /* Newer libraries know the hybrid that holds against quantum computers. */
	    (SSL_CTX_set1_groups_list(ctx, "X25519MLKEM768:X25519:P-256") != 1 &&
		SSL_CTX_set1_groups_list(ctx, "X25519:P-256") != 1)) {
		SSL_CTX_free(ctx);
		return (NULL);
	}
	ERR_clear_error();
	return (ctx);
}

/* ---- what people see ---- */

static void
text_of_time(const ASN1_TIME *time, char *ret_text, size_t size)
{
	struct tm tm = {0};

	if (ASN1_TIME_to_tm(time, &tm) != 1 ||
	    strftime(ret_text, size, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
		(void)strlcpy(ret_text, "an unknown time", size);
}

static void
describe(struct http_tls *tls)
{
	const X509 *certificate = SSL_CTX_get0_certificate(tls->ctx);
	struct tm end = {0};

	if (ASN1_TIME_to_tm(X509_get0_notAfter(certificate), &end) == 1)
		tls->end_s = (int64_t)timegm(&end);
	(void)X509_NAME_oneline(
	    X509_get_subject_name(certificate), tls->subject, (int)sizeof(tls->subject));
	text_of_time(X509_get0_notAfter(certificate), tls->not_after, sizeof(tls->not_after));
}

int
http_tls_new(const struct http_tls_files *files, struct http_tls **ret_tls, struct leased_err *err)
{
	struct http_tls *tls = calloc(1, sizeof(*tls));
	int r;

	if (tls == NULL || (tls->certificate_path = strdup(files->certificate)) == NULL) {
		free(tls);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	tls->tag = TLS_TAG;
	tls->references = 1;
	ERR_clear_error();
	if ((tls->ctx = context_new(files->min_version)) == NULL)
		r = leased_err_set(
		    err, LEASED_ENOMEM, "OpenSSL cannot be set up for TLS: %s", openssl_reason());
	else if ((r = use_certificate(tls->ctx, files->certificate, err)) == 0)
		r = use_key(tls->ctx, files, err);
	if (r != 0)
		goto out;
	describe(tls);
	*ret_tls = tls;
	tls = NULL; /* ownership handed over */
out:
	ERR_clear_error();
	http_tls_free(tls);
	return (r);
}

struct http_tls *
http_tls_acquire(struct http_tls *tls)
{
	tls->references++;
	return (tls);
}

void
http_tls_free(struct http_tls *tls)
{
	if (tls == NULL)
		return;
	if (tls->tag != TLS_TAG)
		log_fatal("memory is damaged: a TLS context is none");
	if (--tls->references > 0)
		return;
	SSL_CTX_free(tls->ctx);
	free(tls->certificate_path);
	tls->tag = 0;
	free(tls);
}

int
http_tls_check_dates(const struct http_tls *tls, int64_t wall_s, struct leased_err *err)
{
	const X509 *certificate = SSL_CTX_get0_certificate(tls->ctx);
	time_t now_s = (time_t)wall_s;
	char not_before[32];

	if (X509_cmp_time(X509_get0_notAfter(certificate), &now_s) < 0)
		return (leased_err_set(err, LEASED_EEXPIRED,
		    "the certificate %s (%s) ended at %s: clients refuse it until it is renewed",
		    tls->certificate_path, tls->subject, tls->not_after));
	if (X509_cmp_time(X509_get0_notBefore(certificate), &now_s) <= 0)
		return (0);
	text_of_time(X509_get0_notBefore(certificate), not_before, sizeof(not_before));
	return (leased_err_set(err, LEASED_EEXPIRED,
	    "the certificate %s (%s) is not good before %s: clients refuse it until then, or this "
	    "machine's clock is wrong",
	    tls->certificate_path, tls->subject, not_before));
}

bool
http_tls_same_certificate(const struct http_tls *a, const struct http_tls *b)
{
	return (X509_cmp(SSL_CTX_get0_certificate(a->ctx), SSL_CTX_get0_certificate(b->ctx)) == 0);
}

const char *
http_tls_subject(const struct http_tls *tls)
{
	return (tls->subject);
}

const char *
http_tls_not_after(const struct http_tls *tls)
{
	return (tls->not_after);
}

int64_t
http_tls_end_s(const struct http_tls *tls)
{
	return (tls->end_s);
}

bool
http_tls_is_slow(const struct http_tls *tls)
{
	const EVP_PKEY *key = SSL_CTX_get0_privatekey(tls->ctx);

	return (EVP_PKEY_is_a(key, "RSA") && EVP_PKEY_get_bits(key) > RSA_BITS_FAST);
}

struct ssl_st *
http_tls_ssl(struct http_tls *tls)
{
	return (SSL_new(tls->ctx));
}
