/*
 * A certificate with its key, as a TCP listener shows it. Never changed: another one takes its
 * place (http.h), and connections go on with the one that they began with.
 */
#ifndef HTTP_TLS_H
#define HTTP_TLS_H

#include <stdbool.h>
#include <stdint.h>

#include <leased/error.h>

enum http_tls_version { HTTP_TLS_1_2, HTTP_TLS_1_3 };

struct http_tls_files {
	const char *certificate; /* PEM: the listener's own, then those between it and the root */
	const char *key;         /* PEM, no passphrase, for its owner and group only */
	enum http_tls_version min_version;
};

struct http_tls;

/* Reads both files, which must be a pair. LEASED_EINVAL, LEASED_EDENIED or LEASED_ENOENT say what
 * is wrong with which. */
int http_tls_new(const struct http_tls_files *files, struct http_tls **ret_tls,
    struct leased_err *err) LEASED_MUST_CHECK;
/* One more to whom it belongs: the last free ends it. On one thread. */
struct http_tls *http_tls_acquire(struct http_tls *tls);
void http_tls_free(struct http_tls *tls); /* NULL is fine */

/* LEASED_EEXPIRED: at this time no client takes the certificate; the text says since or until when.
 */
int http_tls_check_dates(
    const struct http_tls *tls, int64_t wall_s, struct leased_err *err) LEASED_MUST_CHECK;
bool http_tls_same_certificate(const struct http_tls *a, const struct http_tls *b);

/* What a person wants to see of it. Valid as long as tls. */
const char *http_tls_subject(const struct http_tls *tls);
const char *http_tls_not_after(const struct http_tls *tls); /* "2026-11-23T09:31:38Z" */
int64_t http_tls_end_s(const struct http_tls *tls);         /* the same, in Unix time */
/* Is each handshake so expensive that the event loop is held up? (An RSA key over 2048 bits.) */
bool http_tls_is_slow(const struct http_tls *tls);

#endif
