/*
 * Clients that speak TLS, and pairs for the servers. Called by test_tls.c.
 */
#include "tls_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#define PATIENCE_MS 3000

const char *
tls_pair_path(const struct edge *edge, const char *name, const char *suffix)
{
	static char paths[2][256];
	static unsigned next;
	char *path = paths[next++ % 2];

	(void)snprintf(path, sizeof(paths[0]), "%s/%s.%s", edge->directory, name, suffix);
	return (path);
}

static X509 *
certificate_make(const struct tls_pair *pair, EVP_PKEY *key)
{
	X509 *certificate = X509_new();
	X509_NAME *subject = X509_get_subject_name(certificate);

	(void)X509_set_version(certificate, 2);
	(void)ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	(void)X509_gmtime_adj(
	    X509_getm_notBefore(certificate), pair->from_s != 0 ? pair->from_s : -86400);
	(void)X509_gmtime_adj(
	    X509_getm_notAfter(certificate), pair->to_s != 0 ? pair->to_s : 86400);
	(void)X509_NAME_add_entry_by_txt(
	    subject, "CN", MBSTRING_ASC, (const unsigned char *)pair->name, -1, -1, 0);
	(void)X509_set_issuer_name(certificate, subject);
	(void)X509_set_pubkey(certificate, key);
	assert_true(X509_sign(certificate, key, EVP_sha256()) > 0);
	return (certificate);
}

void
tls_pair_write(const struct edge *edge, const struct tls_pair *pair)
{
	EVP_PKEY *key =
	    pair->rsa_bits > 0 ? EVP_RSA_gen((size_t)pair->rsa_bits) : EVP_EC_gen("P-256");
	X509 *certificate;
	const char *path;
	FILE *file;

	assert_non_null(key);
	certificate = certificate_make(pair, key);
	file = fopen(tls_pair_path(edge, pair->name, "crt"), "we");
	assert_non_null(file);
	assert_int_equal(PEM_write_X509(file, certificate), 1);
	(void)fclose(file);
	path = tls_pair_path(edge, pair->name, "key");
	file = fopen(path, "we");
	assert_non_null(file);
	assert_int_equal(chmod(path, 0600), 0);
	assert_int_equal(
	    PEM_write_PrivateKey(file, key, pair->passphrase != NULL ? EVP_aes_256_cbc() : NULL,
		(const unsigned char *)pair->passphrase,
		pair->passphrase != NULL ? (int)strlen(pair->passphrase) : 0, NULL, NULL),
	    1);
	(void)fclose(file);
	X509_free(certificate);
	EVP_PKEY_free(key);
}

struct http_tls *
tls_pair_load(const struct edge *edge, const char *name, enum http_tls_version min_version)
{
	const struct http_tls_files files = {.certificate = tls_pair_path(edge, name, "crt"),
	    .key = tls_pair_path(edge, name, "key"),
	    .min_version = min_version};
	struct leased_err err = LEASED_ERR_INIT;
	struct http_tls *tls = NULL;

	if (http_tls_new(&files, &tls, &err) != 0)
		fail_msg("%s", err.text);
	return (tls);
}

void
tls_start(struct edge *edge, enum http_tls_version min_version)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct http_tls *tls;

	edge_start(edge);
	tls_pair_write(edge, &(struct tls_pair){.name = "a"});
	tls = tls_pair_load(edge, "a", min_version);
	assert_int_equal(
	    http_server_listen_tls(edge->server, "127.0.0.1:0", tls, &edge->port, &err), 0);
}

int
tls_socket(struct edge *edge)
{
	int fd = edge_connect_tcp(edge);

	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return (fd);
}

static bool
handshake(struct edge *edge, struct tls_client *client)
{
	long long end = edge_now_ms() + PATIENCE_MS;
	int r;

	while ((r = SSL_connect(client->ssl)) != 1) {
		r = SSL_get_error(client->ssl, r);
		if ((r != SSL_ERROR_WANT_READ && r != SSL_ERROR_WANT_WRITE) || edge_now_ms() > end)
			return (false);
		edge_run(edge, 1);
	}
	edge_run(edge, 1);
	/* In TLS 1.3 the server may refuse only now. */
	return (true);
}

bool
tls_connect(struct edge *edge, struct tls_client *client, int max_version, const char *alpn)
{
	unsigned char offered[64];
	X509 *shown;

	*client = (struct tls_client){.fd = tls_socket(edge)};
	client->ctx = SSL_CTX_new(TLS_client_method());
	assert_non_null(client->ctx);
	SSL_CTX_set_security_level(client->ctx, 0);
	(void)SSL_CTX_set_min_proto_version(client->ctx, TLS1_VERSION);
	(void)SSL_CTX_set_max_proto_version(client->ctx, max_version);
	client->ssl = SSL_new(client->ctx);
	assert_non_null(client->ssl);
	if (alpn != NULL) {
		offered[0] = (unsigned char)strlen(alpn);
		memcpy(offered + 1, alpn, offered[0]);
		assert_int_equal(SSL_set_alpn_protos(client->ssl, offered, offered[0] + 1u), 0);
	}
	assert_int_equal(SSL_set_fd(client->ssl, client->fd), 1);
	ERR_clear_error();
	if (!handshake(edge, client))
		return (false);
	if ((shown = SSL_get1_peer_certificate(client->ssl)) != NULL)
		(void)X509_NAME_get_text_by_NID(X509_get_subject_name(shown), NID_commonName,
		    client->subject, (int)sizeof(client->subject));
	X509_free(shown);
	return (true);
}

void
tls_send(struct edge *edge, struct tls_client *client, const char *bytes, size_t len)
{
	long long end = edge_now_ms() + PATIENCE_MS;
	int n;

	while (len > 0 && edge_now_ms() < end) {
		ERR_clear_error();
		n = SSL_write(client->ssl, bytes, (int)len);
		if (n <= 0 && SSL_get_error(client->ssl, n) != SSL_ERROR_WANT_WRITE)
			return;
		if (n > 0) {
			bytes += n;
			len -= (size_t)n;
		}
		edge_run(edge, 1);
	}
}

const char *
tls_read(struct edge *edge, struct tls_client *client, unsigned count, unsigned ms)
{
	static char text[256 * 1024];
	long long end = edge_now_ms() + ms;
	size_t len = 0;
	int n;

	text[0] = '\0';
	while (edge_now_ms() < end) {
		if (count > 0 ? edge_whole_replies(text) >= count
			      : strstr(text, "\r\n\r\n") != NULL)
			break;
		edge_run(edge, 1);
		ERR_clear_error();
		n = SSL_read(client->ssl, text + len, (int)(sizeof(text) - 1 - len));
		if (n <= 0 && SSL_get_error(client->ssl, n) != SSL_ERROR_WANT_READ)
			break;
		if (n > 0)
			len += (size_t)n;
		text[len] = '\0';
	}
	return (text);
}

void
tls_goodbye(struct tls_client *client)
{
	ERR_clear_error();
	(void)SSL_shutdown(client->ssl);
}

void
tls_close(struct tls_client *client)
{
	SSL_free(client->ssl);
	SSL_CTX_free(client->ctx);
	if (client->fd >= 0)
		(void)close(client->fd);
	client->fd = -1;
}

int
tls_teardown(void **state)
{
	static const char *const names[] = {"a", "b", "p", "r", "w"};
	struct edge *edge = *state;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		(void)unlink(tls_pair_path(edge, names[i], "crt"));
		(void)unlink(tls_pair_path(edge, names[i], "key"));
	}
	return (edge_teardown(state));
}
