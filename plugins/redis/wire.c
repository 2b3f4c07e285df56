/*
 * Connections to nodes: sockets and TLS, never blocking longer than they are told. Knows nothing of
 * what is said. Called by node.c.
 */
#include "wire.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define CONNECT_MS 5000
#define SYSTEM_CA_FILE "/etc/ssl/certs/ca-certificates.crt"

struct redis_wire {
	int fd;
	SSL *ssl; /* NULL: plain */
};

static int64_t
now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

/* OpenSSL's reason for what just failed, and the queue empty. */
static const char *
reason(char *room, size_t size)
{
	unsigned long code = ERR_peek_last_error();
	const char *text = ERR_reason_error_string(code);

	(void)snprintf(room, size, "%s", text != NULL ? text : "the connection was closed");
	ERR_clear_error();
	return (room);
}

/* ---- certificates ---- */

static BIO *
pem_of(const char *text)
{
	return (text[0] == '/' ? BIO_new_file(text, "r") : BIO_new_mem_buf(text, -1));
}

static int
add_authorities(SSL_CTX *tls, const char *pem, struct leased_err *err)
{
	X509_STORE *store = SSL_CTX_get_cert_store(tls);
	BIO *bio = pem_of(pem);
	unsigned count = 0;
	X509 *one;

	while (bio != NULL && (one = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL) {
		count += X509_STORE_add_cert(store, one) == 1;
		X509_free(one);
	}
	BIO_free(bio);
	ERR_clear_error();
	if (count == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "ca_cert: holds no certificate: give PEM text, or the absolute path of a file "
		    "with it"));
	return (0);
}

static int
use_certificate(SSL_CTX *tls, const struct redis_config *config, struct leased_err *err)
{
	BIO *bio = pem_of(config->tls_certificate);
	X509 *certificate = bio != NULL ? PEM_read_bio_X509(bio, NULL, NULL, NULL) : NULL;
	X509 *more;
	EVP_PKEY *key = NULL;
	int r = 0;

	if (certificate == NULL || SSL_CTX_use_certificate(tls, certificate) != 1)
		r = leased_err_set(err, LEASED_EINVAL, "tls_certificate: holds no certificate");
	while (r == 0 && (more = PEM_read_bio_X509(bio, NULL, NULL, NULL)) != NULL)
		if (SSL_CTX_add0_chain_cert(tls, more) != 1)
			X509_free(more);
	BIO_free(bio);
	bio = r == 0 ? pem_of(leased_secret_reveal(config->private_key)) : NULL;
	if (bio != NULL)
		key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"");
	if (r == 0 && (key == NULL || SSL_CTX_use_PrivateKey(tls, key) != 1))
		r = leased_err_set(err, LEASED_EINVAL,
		    "private_key: holds no key that fits the certificate, or one with a "
		    "passphrase");
	BIO_free(bio);
	EVP_PKEY_free(key);
	X509_free(certificate);
	ERR_clear_error();
	return (r);
}

int
redis_wire_tls_new(const struct redis_config *config, SSL_CTX **ret_tls, struct leased_err *err)
{
	SSL_CTX *tls;
	int r = 0;

	*ret_tls = NULL;
	if (!config->is_tls)
		return (0);
	if ((tls = SSL_CTX_new(TLS_client_method())) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
	(void)SSL_CTX_set_mode(tls, SSL_MODE_ENABLE_PARTIAL_WRITE);
	if (SSL_CTX_set_min_proto_version(tls, TLS1_2_VERSION) != 1)
		r = leased_err_set(err, LEASED_EBUG, "TLS 1.2 cannot be asked for");
	else
		r = add_authorities(
		    tls, config->ca_cert != NULL ? config->ca_cert : SYSTEM_CA_FILE, err);
	if (r == 0 && config->tls_certificate != NULL)
		r = use_certificate(tls, config, err);
	if (r == 0)
		*ret_tls = tls;
	else
		SSL_CTX_free(tls);
	return (r);
}

void
redis_wire_tls_free(SSL_CTX *tls)
{
	SSL_CTX_free(tls);
}

/* ---- connecting ---- */

/* Waits for events on fd; false: until the deadline. */
static bool
wait_for(int fd, short events, int64_t deadline_ms)
{
	struct pollfd one = {.fd = fd, .events = events};
	int64_t left;
	int n;

	do {
		left = deadline_ms - now_ms();
		n = poll(&one, 1, left > 0 ? (int)left : 0);
	} while (n < 0 && errno == EINTR);
	return (n > 0);
}

/* A connected socket, or -1 with errno. */
static int
connect_to(const struct sockaddr *address, socklen_t len, int64_t deadline_ms)
{
	int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int yes = 1, failure = 0;
	socklen_t size = sizeof(failure);

	if (fd < 0)
		return (-1);
	if (address->sa_family != AF_UNIX) {
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
		(void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof(yes));
	}
	if (connect(fd, address, len) == 0)
		return (fd);
	if (errno != EINPROGRESS)
		failure = errno;
	else if (!wait_for(fd, POLLOUT, deadline_ms))
		failure = ETIMEDOUT;
	else if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &size) != 0)
		failure = errno;
	if (failure == 0)
		return (fd);
	(void)close(fd);
	errno = failure;
	return (-1);
}

static int
connect_socket(
    const struct redis_address *address, int64_t deadline_ms, int *ret_fd, struct leased_err *err)
{
	struct sockaddr_un place = {.sun_family = AF_UNIX};

	if (strlen(address->host) >= sizeof(place.sun_path))
		return (leased_err_set(
		    err, LEASED_EINVAL, "the path of a socket has at most 107 bytes"));
	memcpy(place.sun_path, address->host, strlen(address->host) + 1);
	*ret_fd = connect_to((const struct sockaddr *)&place, sizeof(place), deadline_ms);
	return (*ret_fd >= 0 ? 0
			     : leased_err_set(err, LEASED_EUNAVAIL, "cannot connect to %.200s: %s",
				   address->text, strerror(errno)));
}

static int
connect_tcp(
    const struct redis_address *address, int64_t deadline_ms, int *ret_fd, struct leased_err *err)
{
	const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
	struct addrinfo *found = NULL;
	char port[8];
	int r, fd = -1;

	(void)snprintf(port, sizeof(port), "%u", (unsigned)address->port);
	if ((r = getaddrinfo(address->host, port, &hints, &found)) != 0)
		return (leased_err_set(err, LEASED_EUNAVAIL, "cannot find %.200s: %s",
		    address->host, gai_strerror(r)));
	for (const struct addrinfo *one = found; fd < 0 && one != NULL; one = one->ai_next)
		fd = connect_to(one->ai_addr, one->ai_addrlen, deadline_ms);
	freeaddrinfo(found);
	if (fd < 0)
		return (leased_err_set(err, LEASED_EUNAVAIL, "cannot connect to %.200s: %s",
		    address->text, strerror(errno)));
	*ret_fd = fd;
	return (0);
}

/* Waits for what OpenSSL wants. False: it will not come. */
static bool
wait_for_tls(const struct redis_wire *wire, int n, int64_t deadline_ms, bool *ret_late)
{
	int want = SSL_get_error(wire->ssl, n);

	if (want != SSL_ERROR_WANT_READ && want != SSL_ERROR_WANT_WRITE)
		return (false);
	*ret_late =
	    !wait_for(wire->fd, want == SSL_ERROR_WANT_READ ? POLLIN : POLLOUT, deadline_ms);
	return (!*ret_late);
}

static int
expect_name(SSL *ssl, const struct redis_address *address)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

	if (!address->is_name && strcmp(address->host, "localhost") != 0 && address->host[0] != '/')
		return (X509_VERIFY_PARAM_set1_ip_asc(param, address->host));
	X509_VERIFY_PARAM_set_hostflags(param, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	if (address->host[0] == '/') /* a socket's server is this machine's */
		return (SSL_set1_host(ssl, "localhost"));
	return (SSL_set1_host(ssl, address->host) == 1 &&
		SSL_set_tlsext_host_name(ssl, address->host) == 1);
}

static int
start_tls(struct redis_wire *wire, const struct redis_address *address, SSL_CTX *tls,
    int64_t deadline_ms, struct leased_err *err)
{
	bool is_late = false;
	char room[128];
	long verified;
	int n;

	if ((wire->ssl = SSL_new(tls)) == NULL || expect_name(wire->ssl, address) != 1 ||
	    SSL_set_fd(wire->ssl, wire->fd) != 1)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	ERR_clear_error();
	while ((n = SSL_connect(wire->ssl)) != 1)
		if (!wait_for_tls(wire, n, deadline_ms, &is_late))
			break;
	if (n == 1)
		return (0);
	verified = SSL_get_verify_result(wire->ssl);
	if (verified != X509_V_OK)
		return (leased_err_set(err, LEASED_EUNAVAIL,
		    "the certificate of %.200s is refused: %.100s; is its authority in ca_cert, "
		    "and the name one of the certificate's?",
		    address->text, X509_verify_cert_error_string(verified)));
	return (leased_err_set(err, LEASED_EUNAVAIL,
	    "no TLS with %.200s: %.100s; does this port speak TLS? (tls = false: without)",
	    address->text, is_late ? "no answer in time" : reason(room, sizeof(room))));
}

int
redis_wire_open(const struct redis_address *address, SSL_CTX *tls, int timeout_ms,
    struct redis_wire **ret_wire, struct leased_err *err)
{
	int64_t deadline_ms = now_ms() + (timeout_ms < CONNECT_MS ? timeout_ms : CONNECT_MS);
	struct redis_wire *wire;
	int r;

	if ((wire = calloc(1, sizeof(*wire))) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	wire->fd = -1;
	r = address->port == 0 ? connect_socket(address, deadline_ms, &wire->fd, err)
			       : connect_tcp(address, deadline_ms, &wire->fd, err);
	if (r == 0 && tls != NULL)
		r = start_tls(wire, address, tls, deadline_ms, err);
	if (r == 0)
		*ret_wire = wire;
	else
		redis_wire_close(wire);
	return (r);
}

void
redis_wire_close(struct redis_wire *wire)
{
	if (wire == NULL)
		return;
	SSL_free(wire->ssl);
	if (wire->fd >= 0)
		(void)close(wire->fd);
	free(wire);
}

/* ---- bytes ---- */

static int
is_over(bool is_late, struct leased_err *err)
{
	char room[128];

	if (is_late)
		return (leased_err_set(err, LEASED_ETIMEDOUT, "it did not answer in time"));
	return (leased_err_set(err, LEASED_EUNAVAIL, "%.100s", reason(room, sizeof(room))));
}

/* Some of it, or what would be waited for. */
static ssize_t
pass(struct redis_wire *wire, char *in, const char *out, size_t len, int64_t deadline_ms,
    bool *ret_late)
{
	ssize_t n;

	for (;;) {
		if (wire->ssl != NULL) {
			ERR_clear_error();
			n = in != NULL ? SSL_read(wire->ssl, in, (int)len)
				       : SSL_write(wire->ssl, out, (int)len);
			if (n > 0 || !wait_for_tls(wire, (int)n, deadline_ms, ret_late))
				return (n);
			continue;
		}
		n = in != NULL ? recv(wire->fd, in, len, 0)
			       : send(wire->fd, out, len, MSG_NOSIGNAL);
		if (n >= 0 || (errno != EAGAIN && errno != EINTR))
			return (n);
		*ret_late = !wait_for(wire->fd, in != NULL ? POLLIN : POLLOUT, deadline_ms);
		if (*ret_late)
			return (-1);
	}
}

int
redis_wire_send(
    struct redis_wire *wire, const char *bytes, size_t len, int timeout_ms, struct leased_err *err)
{
	int64_t deadline_ms = now_ms() + timeout_ms;
	bool is_late = false;
	ssize_t n;

	for (; len > 0; bytes += n, len -= (size_t)n) {
		n = pass(wire, NULL, bytes, len < 65536 ? len : 65536, deadline_ms, &is_late);
		if (n <= 0)
			return (is_over(is_late, err));
	}
	return (0);
}

int
redis_wire_receive(struct redis_wire *wire, char *bytes, size_t size, int timeout_ms,
    size_t *ret_len, struct leased_err *err)
{
	bool is_late = false;
	ssize_t n =
	    pass(wire, bytes, NULL, size < 65536 ? size : 65536, now_ms() + timeout_ms, &is_late);

	if (n <= 0)
		return (is_over(is_late, err));
	*ret_len = (size_t)n;
	return (0);
}
