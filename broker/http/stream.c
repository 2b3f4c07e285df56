/*
 * Bytes of one connection: plain, or through OpenSSL, which is given a socket that never blocks.
 * Neither states nor deadlines are here but for the handshake's end. Called by connection.c,
 * reply.c and delivery.c.
 *
 * A TLS close_notify is no hang-up: a client that did not read our reply sends one, too, just
 * before the reset that tells. So the end of a stream is the socket's, as without TLS. Nor is ours
 * sent behind a reply that is watched: it is data, and a client that has read its reply and closes
 * its socket would answer with that very reset.
 */
#include "http/stream.h"

#include <ctype.h>
#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <leased/secret.h>

#include "http/server.h"

#define RECORD_MAX 16384u
#define RECORD_HANDSHAKE 22
/* What one call of OpenSSL may receive; a record takes two. OpenSSL goes round for as long as
 * records come that hold nothing for us: new keys, refused renegotiations, a hello in crumbs. */
#define RECEIVES_MAX 32u
/* How much of that may come in a row; a record that is not whole yet may be among it. */
#define USELESS_MAX ((uint64_t)2 * RECORD_MAX)

/* One read takes a whole record: OpenSSL would keep the rest where no event tells of it. */
_Static_assert(SERVER_READ_SIZE >= RECORD_MAX, "a record must fit one read");

/* Stands before each receive: with none left the rest waits for the socket's next event. */
static long
on_receive(BIO *bio, int operation, const char *bytes, size_t len, int number, long value,
    int result, size_t *processed)
{
	struct http_connection *connection;

	(void)bytes;
	(void)len;
	(void)number;
	(void)value;
	(void)processed;
	if (operation != BIO_CB_READ)
		return (result);
	connection = http_connection_from(BIO_get_callback_arg(bio));
	if (connection->receives_left > 0) {
		connection->receives_left--;
		return (result);
	}
	BIO_clear_retry_flags(bio);
	BIO_set_retry_read(bio);
	return (-1);
}

bool
http_stream_open(struct http_connection *connection, struct http_tls *tls)
{
	if (tls == NULL)
		return (true);
	ERR_clear_error();
	if ((connection->ssl = http_tls_ssl(tls)) == NULL)
		return (false);
	if (SSL_set_fd(connection->ssl, connection->fd) != 1) {
		SSL_free(connection->ssl);
		connection->ssl = NULL;
		return (false);
	}
	BIO_set_callback_arg(SSL_get_rbio(connection->ssl), (char *)connection);
	BIO_set_callback_ex(SSL_get_rbio(connection->ssl), on_receive);
	SSL_set_accept_state(connection->ssl);
	return (true);
}

static void
count_written(struct http_connection *connection)
{
	connection->written = BIO_number_written(SSL_get_wbio(connection->ssl));
}

/* A close_notify, unless something is wrong with the connection, when OpenSSL forbids it. */
static void
say_goodbye(struct http_connection *connection)
{
	if (connection->ssl_broken || !SSL_is_init_finished(connection->ssl) ||
	    (SSL_get_shutdown(connection->ssl) & SSL_SENT_SHUTDOWN) != 0)
		return;
	ERR_clear_error();
	(void)SSL_shutdown(connection->ssl);
	ERR_clear_error();
	count_written(connection);
}

void
http_stream_shut(struct http_connection *connection)
{
	SSL *ssl = connection->ssl;

	if (ssl != NULL && http_delivery_pending(connection))
		SSL_set_shutdown(ssl, SSL_get_shutdown(ssl) | SSL_SENT_SHUTDOWN);
	else if (ssl != NULL)
		say_goodbye(connection);
	(void)shutdown(connection->fd, SHUT_WR);
}

void
http_stream_close(struct http_connection *connection)
{
	if (connection->ssl == NULL)
		return;
	/* In the middle of a reply it would be a lie. */
	if (!connection->has_failed && connection->output.head == NULL)
		say_goodbye(connection);
	SSL_free(connection->ssl);
	connection->ssl = NULL;
}

/* ---- the handshake ---- */

static void
refuse_handshake(struct http_connection *connection)
{
	const char *reason = ERR_reason_error_string(ERR_peek_error());
	uint64_t left_out;

	connection->ssl_broken = true;
	if (log_limited(&connection->server->tls_log, &left_out))
		log_info("a TLS handshake failed",
		    LOG_S("reason", reason != NULL ? reason : "the client went away"),
		    LOG_S("address", connection->peer.address), LOG_I("others_left_out", left_out));
	ERR_clear_error();
	http_connection_close(connection);
}

/* false: it was answered, or it went away, or nothing has come yet. */
static bool
speaks_tls(struct http_connection *connection)
{
	unsigned char first;
	ssize_t n = recv(connection->fd, &first, 1, MSG_PEEK);

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return (false);
	if (n <= 0) {
		http_connection_close(connection);
		return (false);
	}
	if (first == RECORD_HANDSHAKE)
		return (true);
	/* From here on it is a plain connection, whose one answer says what is wrong. */
	SSL_free(connection->ssl);
	connection->ssl = NULL;
	if (isalpha(first))
		http_reply_refuse(connection, 400,
		    "this address speaks TLS and was sent plain HTTP: write https:// in front of "
		    "it (LEASE_ADDR, VAULT_ADDR)");
	else
		http_connection_close(connection);
	return (false);
}

void
http_stream_handshake(struct http_connection *connection)
{
	int r, on = 1;

	if (!connection->speaks_tls && !speaks_tls(connection))
		return;
	connection->speaks_tls = true;
	ERR_clear_error();
	connection->receives_left = RECEIVES_MAX;
	r = SSL_do_handshake(connection->ssl);
	switch (SSL_get_error(connection->ssl, r)) {
	case SSL_ERROR_NONE:
		count_written(connection);
		connection->useful = BIO_number_read(SSL_get_rbio(connection->ssl));
		/* We have nothing to say now, and a client that waits for the acknowledgment of its
		 * last words would send its request 40 ms later. */
		(void)setsockopt(connection->fd, IPPROTO_TCP, TCP_QUICKACK, &on, sizeof(on));
		(void)event_del(&connection->on_write);
		http_connection_enter(connection, CONNECTION_IDLE);
		break;
	case SSL_ERROR_WANT_READ:
		(void)event_del(&connection->on_write);
		(void)event_add(&connection->on_read, NULL);
		break;
	case SSL_ERROR_WANT_WRITE:
		/* What the client sends meanwhile would only wake us. */
		(void)event_del(&connection->on_read);
		(void)event_add(&connection->on_write, NULL);
		break;
	default:
		refuse_handshake(connection);
		break;
	}
}

/* ---- reading ---- */

static enum stream_result
read_plain(int fd, void *buffer, size_t size, size_t *ret_len)
{
	/* recv(), so that descriptors a client passes along are dropped by the kernel. */
	ssize_t n = recv(fd, buffer, size, 0);

	if (n < 0)
		return (errno == EAGAIN || errno == EINTR ? STREAM_AGAIN : STREAM_FAILED);
	if (n == 0)
		return (STREAM_END);
	*ret_len = (size_t)n;
	return (STREAM_OK);
}

/* The client's last words were said: is it gone, too? What still comes is no part of anything. */
static enum stream_result
read_end(int fd, void *buffer, size_t size)
{
	size_t len;
	enum stream_result result = read_plain(fd, buffer, size, &len);

	return (result == STREAM_OK || result == STREAM_AGAIN ? STREAM_CLOSING : result);
}

/* It keeps us busy with TLS and says nothing in it. */
static bool
is_useless(const struct http_connection *connection)
{
	uint64_t received = BIO_number_read(SSL_get_rbio(connection->ssl));

	return (received - connection->useful > USELESS_MAX);
}

enum stream_result
http_stream_read(struct http_connection *connection, void *buffer, size_t size, size_t *ret_len)
{
	SSL *ssl = connection->ssl;
	int n;

	if (ssl == NULL)
		return (read_plain(connection->fd, buffer, size, ret_len));
	if (connection->state == CONNECTION_LINGER ||
	    (SSL_get_shutdown(ssl) & SSL_RECEIVED_SHUTDOWN) != 0)
		return (read_end(connection->fd, buffer, size));
	ERR_clear_error();
	connection->receives_left = RECEIVES_MAX;
	n = SSL_read(ssl, buffer, (int)size);
	switch (SSL_get_error(ssl, n)) {
	case SSL_ERROR_NONE:
		connection->useful = BIO_number_read(SSL_get_rbio(ssl));
		*ret_len = (size_t)n;
		return (STREAM_OK);
	case SSL_ERROR_WANT_READ:
		return (is_useless(connection) ? STREAM_FAILED : STREAM_AGAIN);
	case SSL_ERROR_ZERO_RETURN:
		return (read_end(connection->fd, buffer, size));
	default:
		/* WANT_WRITE, too: it wants new keys of us and does not read what we send. */
		connection->ssl_broken = true;
		ERR_clear_error();
		return (STREAM_FAILED);
	}
}

bool
http_stream_has_more(const struct http_connection *connection)
{
	int waiting = 0;

	if (ioctl(connection->fd, SIOCINQ, &waiting) != 0 || waiting != 0)
		return (true);
	return (connection->ssl != NULL && SSL_has_pending(connection->ssl) == 1);
}

/* ---- writing ---- */

static enum stream_result
write_plain(struct http_connection *connection, const struct iovec parts[2], size_t *ret_len)
{
	struct iovec copy[2] = {parts[0], parts[1]};
	struct msghdr message = {.msg_iov = copy, .msg_iovlen = 2};
	ssize_t n;

	do
		n = sendmsg(connection->fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return (errno == EAGAIN ? STREAM_AGAIN : STREAM_FAILED);
	connection->written += (uint64_t)n;
	*ret_len = (size_t)n;
	return (STREAM_OK);
}

/* Both parts in one record, when they fit: a small reply is one packet. A write that is tried again
 * has the same bytes, since they are taken from the same place. */
static enum stream_result
write_tls(struct http_connection *connection, const struct iovec parts[2], size_t *ret_len)
{
	unsigned char record[RECORD_MAX];
	size_t first = parts[0].iov_len < RECORD_MAX ? parts[0].iov_len : RECORD_MAX;
	size_t second =
	    parts[1].iov_len < RECORD_MAX - first ? parts[1].iov_len : RECORD_MAX - first;
	enum stream_result result = STREAM_FAILED;
	int n;

	memcpy(record, parts[0].iov_base, first);
	if (second > 0)
		memcpy(record + first, parts[1].iov_base, second);
	ERR_clear_error();
	n = SSL_write(connection->ssl, record, (int)(first + second));
	switch (SSL_get_error(connection->ssl, n)) {
	case SSL_ERROR_NONE:
		*ret_len = (size_t)n;
		result = STREAM_OK;
		break;
	case SSL_ERROR_WANT_WRITE:
		result = STREAM_AGAIN;
		break;
	default:
		connection->ssl_broken = true;
		ERR_clear_error();
		break;
	}
	leased_wipe(record, first + second);
	count_written(connection);
	return (result);
}

enum stream_result
http_stream_write(struct http_connection *connection, const struct iovec parts[2], size_t *ret_len)
{
	if (connection->ssl != NULL)
		return (write_tls(connection, parts, ret_len));
	return (write_plain(connection, parts, ret_len));
}
