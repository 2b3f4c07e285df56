/*
 * One HTTP server, for plugins whose backend is an HTTP API: certificates are checked, redirects
 * refused, proxies ignored, answers bounded, and the call's deadline holds. Blocks. Link with
 * leased_web.
 */
#ifndef SDK_WEB_H
#define SDK_WEB_H

#include <leased/plugin.h>

#define SDK_WEB_ANSWER_MAX ((size_t)1024 * 1024)

/* In the text where a connection was made and no HTTP came of it: it may be the wrong port. */
#define SDK_WEB_NO_HTTP "what answers there does not speak HTTP"

struct sdk_web;

struct sdk_web_config {
	const char *base_url;  /* https://host[:port][/path] */
	const char *ca_cert;   /* PEM text, or the absolute path of a file; NULL: the system's */
	bool allow_plain_http; /* http:// is taken too, for an address of the loopback network */
};

/* LEASED_EINVAL names the setting that is wrong. Connects to nobody. */
int sdk_web_new(const struct sdk_web_config *config, struct sdk_web **ret_web,
    struct leased_err *err) LEASED_MUST_CHECK;
void sdk_web_free(struct sdk_web *web); /* NULL is fine */

/* From here on this process reaches this server's port only (leased_confine()). */
int sdk_web_confine(const struct sdk_web *web, struct leased_err *err) LEASED_MUST_CHECK;

/* Of base_url, for open's endpoint and for texts; borrowed. */
const char *sdk_web_scheme(const struct sdk_web *web);
const char *sdk_web_host(const struct sdk_web *web);
const char *sdk_web_port(const struct sdk_web *web);

struct sdk_web_request {
	const char *method;
	const char *target;              /* what follows base_url: /path?query, escaped */
	const char *const *headers;      /* "Name: value"; NULL at the end. NULL: none */
	const char *username, *password; /* basic authentication; NULL: none */
	const char *body;                /* NULL: none */
	size_t body_len;
	size_t answer_max; /* bytes of the answer's body; 0: SDK_WEB_ANSWER_MAX */
	bool changes;      /* goes out on a new connection: libcurl repeats what it sent on a kept
			      connection that was closed meanwhile, and a change must go once */
};

struct sdk_web_answer {
	long status;
	char *body; /* NUL behind it; never NULL after a success */
	size_t len, size, max;
};
/* clang-format off */
#define SDK_WEB_ANSWER_INIT {0}
/* clang-format on */

/*
 * Sends one request and reads its whole answer, whatever its status. ret_sent (may be NULL) becomes
 * true right before the first byte of the request goes; when this fails with it set, the server may
 * be at work on it. Texts name the server and never show a header or a body.
 */
int sdk_web_send(struct sdk_web *web, const struct leased_call *call,
    const struct sdk_web_request *request, bool *ret_sent, struct sdk_web_answer *ret_answer,
    struct leased_err *err) LEASED_MUST_CHECK;

/* The answer's body as JSON, the caller's to json_decref. LEASED_EREFUSED: it is none. */
int sdk_web_json(const struct sdk_web_answer *answer, json_t **ret_value,
    struct leased_err *err) LEASED_MUST_CHECK;

void sdk_web_answer_clear(struct sdk_web_answer *answer); /* wipes */

#endif
