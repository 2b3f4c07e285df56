/*
 * The HTTP client of plugins, on libcurl: what base_url may be, and one request at a time. Knows no
 * API and no template. Called by plugins whose backend is an HTTP server.
 */
#include "web.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WEB_TAG 0x77656273u
#define CONNECT_TIMEOUT_MS 5000

struct sdk_web {
	unsigned tag;
	char *scheme, *host, *port; /* curl_free() */
	char *base;                 /* without a slash at its end */
	char *ca_cert;              /* NULL: the system's */
	CURL *handle;               /* keeps connections between requests */
};

/* ---- base_url ---- */

static bool
is_loopback(const char *host)
{
	struct in_addr address;

	if (strcmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0)
		return (true);
	return (inet_pton(AF_INET, host, &address) == 1 && ntohl(address.s_addr) >> 24 == 127);
}

static int
check_parts(CURLU *url, const struct sdk_web *web, bool allow_plain_http, struct leased_err *err)
{
	static const struct {
		CURLUPart part;
		const char *name;
	} refused[] = {{CURLUPART_USER, "a user"}, {CURLUPART_PASSWORD, "a password"},
	    {CURLUPART_QUERY, "a query"}, {CURLUPART_FRAGMENT, "a fragment"}};
	char *text;

	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		text = NULL;
		if (curl_url_get(url, refused[i].part, &text, 0) != CURLUE_OK)
			continue;
		leased_wipe(text, strlen(text));
		curl_free(text);
		return (leased_err_set(err, LEASED_EINVAL,
		    "base_url: must not hold %s: it is scheme, host, port and a path",
		    refused[i].name));
	}
	if (strcmp(web->scheme, "https") == 0)
		return (0);
	if (strcmp(web->scheme, "http") != 0)
		return (leased_err_set(err, LEASED_EINVAL, "base_url: must begin with https://"));
	if (!is_loopback(web->host))
		return (leased_err_set(err, LEASED_EINVAL,
		    "base_url: credentials travel by https:// only; http:// is for servers on this "
		    "machine"));
	if (!allow_plain_http)
		return (leased_err_set(err, LEASED_EINVAL,
		    "base_url: use https://, or set allow_plain_http = true for a server on this "
		    "machine"));
	return (0);
}

static int
read_base(
    struct sdk_web *web, const struct sdk_web_config *config, CURLU *url, struct leased_err *err)
{
	char *path = NULL;
	size_t len;
	int r;

	if (strlen(config->base_url) > 1024 || strpbrk(config->base_url, " \t\r\n\\") != NULL ||
	    strstr(config->base_url, ":///") != NULL ||
	    curl_url_set(url, CURLUPART_URL, config->base_url, CURLU_NON_SUPPORT_SCHEME) !=
		CURLUE_OK ||
	    curl_url_get(url, CURLUPART_SCHEME, &web->scheme, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_HOST, &web->host, 0) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_PORT, &web->port, CURLU_DEFAULT_PORT) != CURLUE_OK ||
	    curl_url_get(url, CURLUPART_PATH, &path, 0) != CURLUE_OK || web->host[0] == '\0') {
		curl_free(path);
		return (leased_err_set(err, LEASED_EINVAL,
		    "base_url: is no URL: write https://host:port, and a path if the API has one"));
	}
	if ((r = check_parts(url, web, config->allow_plain_http, err)) == 0) {
		for (len = strlen(path); len > 0 && path[len - 1] == '/'; len--)
			path[len - 1] = '\0';
		if (asprintf(&web->base, "%s://%s:%s%s", web->scheme, web->host, web->port, path) <
		    0) {
			web->base = NULL;
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		}
	}
	curl_free(path);
	return (r);
}

/* ---- a server ---- */

static int
read_ca(struct sdk_web *web, const char *ca_cert, struct leased_err *err)
{
	if (ca_cert == NULL || ca_cert[0] == '\0')
		return (0);
	if (ca_cert[0] != '/' && strstr(ca_cert, "-----BEGIN CERTIFICATE-----") == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "ca_cert: must be certificates in PEM, or the absolute path of a file with "
		    "such"));
	if ((web->ca_cert = strdup(ca_cert)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

int
sdk_web_new(const struct sdk_web_config *config, struct sdk_web **ret_web, struct leased_err *err)
{
	static bool is_ready;
	struct sdk_web *web = NULL;
	CURLU *url = NULL;
	int r;

	if (!is_ready && curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
		return (leased_err_set(err, LEASED_ENOMEM, "libcurl cannot start"));
	is_ready = true;
	if ((url = curl_url()) == NULL || (web = calloc(1, sizeof(*web))) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	web->tag = WEB_TAG;
	if ((r = read_base(web, config, url, err)) != 0 ||
	    (r = read_ca(web, config->ca_cert, err)) != 0)
		goto out;
	if ((web->handle = curl_easy_init()) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	*ret_web = web;
	web = NULL;
out:
	curl_url_cleanup(url);
	sdk_web_free(web);
	return (r);
}

void
sdk_web_free(struct sdk_web *web)
{
	if (web == NULL)
		return;
	curl_easy_cleanup(web->handle);
	curl_free(web->scheme);
	curl_free(web->host);
	curl_free(web->port);
	free(web->base);
	free(web->ca_cert);
	free(web);
}

/* "localhost" stands in a file of this machine. An IPv6 address counts as a name: libcurl finds out
 * whether this machine speaks IPv6 by a socket for datagrams, which who resolves nothing cannot
 * make. */
static bool
is_name(const char *host)
{
	struct in_addr address;

	return (strcmp(host, "localhost") != 0 && inet_pton(AF_INET, host, &address) != 1);
}

int
sdk_web_confine(const struct sdk_web *web, struct leased_err *err)
{
	const char *names[] = {web->host, NULL};
	uint16_t ports[] = {(uint16_t)strtoul(web->port, NULL, 10), 0};
	const struct leased_reach reach = {
	    .names = is_name(web->host) ? names : NULL, .ports = ports};

	return (leased_confine(&reach, err));
}

const char *
sdk_web_scheme(const struct sdk_web *web)
{
	return (web->scheme);
}

const char *
sdk_web_host(const struct sdk_web *web)
{
	return (web->host);
}

const char *
sdk_web_port(const struct sdk_web *web)
{
	return (web->port);
}

/* ---- a request ---- */

static size_t
on_body(char *bytes, size_t one, size_t len, void *arg)
{
	struct sdk_web_answer *answer = arg;
	size_t size;
	char *grown;

	(void)one;
	if (len > answer->max - answer->len)
		return (0); /* libcurl gives up */
	if (answer->len + len + 1 > answer->size) {
		size = (answer->len + len + 1) * 2;
		if ((grown = malloc(size)) == NULL)
			return (0);
		if (answer->len > 0)
			memcpy(grown, answer->body, answer->len);
		if (answer->body != NULL)
			leased_wipe(answer->body, answer->size);
		free(answer->body);
		answer->body = grown;
		answer->size = size;
	}
	memcpy(answer->body + answer->len, bytes, len);
	answer->len += len;
	answer->body[answer->len] = '\0';
	return (len);
}

/* The connection stands, with its certificate checked; nothing of the request has gone. */
static int
on_ready(void *arg, char *their_ip, char *our_ip, int their_port, int our_port)
{
	bool *sent = arg;

	(void)their_ip;
	(void)our_ip;
	(void)their_port;
	(void)our_port;
	*sent = true;
	return (CURL_PREREQFUNC_OK);
}

/* Whom we talk to, and how: the same for every request. */
static CURLcode
set_server(struct sdk_web *web, int timeout_ms)
{
	struct curl_blob pem = {.data = web->ca_cert, .flags = CURL_BLOB_NOCOPY};
	CURL *handle = web->handle;
	CURLcode bad = CURLE_OK;
	long connect_ms = timeout_ms < CONNECT_TIMEOUT_MS ? timeout_ms : CONNECT_TIMEOUT_MS;

	bad |= curl_easy_setopt(handle, CURLOPT_PROTOCOLS_STR, web->scheme);
	bad |= curl_easy_setopt(handle, CURLOPT_FOLLOWLOCATION, 0L);
	bad |= curl_easy_setopt(handle, CURLOPT_PROXY, "");
	bad |= curl_easy_setopt(handle, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	bad |= curl_easy_setopt(handle, CURLOPT_SSL_VERIFYPEER, 1L);
	bad |= curl_easy_setopt(handle, CURLOPT_SSL_VERIFYHOST, 2L);
	bad |= curl_easy_setopt(handle, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	bad |= curl_easy_setopt(handle, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	bad |= curl_easy_setopt(handle, CURLOPT_PATH_AS_IS, 1L);
	bad |= curl_easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
	bad |= curl_easy_setopt(handle, CURLOPT_TIMEOUT_MS, (long)timeout_ms);
	bad |= curl_easy_setopt(handle, CURLOPT_CONNECTTIMEOUT_MS, connect_ms);
	if (web->ca_cert != NULL && web->ca_cert[0] == '/') {
		bad |= curl_easy_setopt(handle, CURLOPT_CAINFO, web->ca_cert);
		bad |= curl_easy_setopt(handle, CURLOPT_CAPATH, NULL);
	} else if (web->ca_cert != NULL) {
		pem.len = strlen(web->ca_cert);
		bad |= curl_easy_setopt(handle, CURLOPT_CAINFO_BLOB, &pem);
		bad |= curl_easy_setopt(handle, CURLOPT_CAPATH, NULL);
	}
	return (bad);
}

static CURLcode
set_request(CURL *handle, const struct sdk_web_request *request, const char *url,
    struct curl_slist *headers)
{
	CURLcode bad = CURLE_OK;

	bad |= curl_easy_setopt(handle, CURLOPT_URL, url);
	bad |= curl_easy_setopt(handle, CURLOPT_HTTPHEADER, headers);
	if (request->body != NULL) {
		bad |= curl_easy_setopt(
		    handle, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)request->body_len);
		bad |= curl_easy_setopt(handle, CURLOPT_POSTFIELDS, request->body);
	}
	if (strcmp(request->method, "HEAD") == 0)
		bad |= curl_easy_setopt(handle, CURLOPT_NOBODY, 1L);
	bad |= curl_easy_setopt(handle, CURLOPT_CUSTOMREQUEST, request->method);
	bad |= curl_easy_setopt(handle, CURLOPT_FRESH_CONNECT, (long)request->changes);
	if (request->username != NULL) {
		bad |= curl_easy_setopt(handle, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
		bad |= curl_easy_setopt(handle, CURLOPT_USERNAME, request->username);
		bad |= curl_easy_setopt(handle, CURLOPT_PASSWORD, request->password);
	}
	return (bad);
}

/* What libcurl says of a connection names addresses and certificates; of a request, it is not
 * asked. */
static int
explain(const struct sdk_web *web, CURLcode code, const struct sdk_web_answer *answer,
    const char *detail, struct leased_err *err)
{
	const char *why = curl_easy_strerror(code);

	switch ((int)code) {
	case CURLE_OUT_OF_MEMORY:
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	case CURLE_OPERATION_TIMEDOUT:
		return (leased_err_set(
		    err, LEASED_ETIMEDOUT, "%s:%s did not answer in time", web->host, web->port));
	case CURLE_WRITE_ERROR:
		if (answer->len + CURL_MAX_WRITE_SIZE >= answer->max)
			return (leased_err_set(err, LEASED_EREFUSED,
			    "%s:%s answered with more than %zu KiB", web->host, web->port,
			    answer->max / 1024));
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_COULDNT_CONNECT:
	case CURLE_COULDNT_RESOLVE_HOST:
		if (detail[0] != '\0')
			why = detail;
		break;
	case CURLE_UNSUPPORTED_PROTOCOL: /* which it calls an answer without a status line */
	case CURLE_WEIRD_SERVER_REPLY:
		why = SDK_WEB_NO_HTTP;
		break;
	default:
		break;
	}
	return (leased_err_set(
	    err, LEASED_EUNAVAIL, "cannot talk to %s:%s: %s", web->host, web->port, why));
}

static int
set_headers(
    const struct sdk_web_request *request, struct curl_slist **ret_list, struct leased_err *err)
{
	/* Without a question for an answer in between, and without what libcurl would add. */
	static const char *const plain[] = {"Expect:", "Accept: application/json", NULL};
	const char *const *const lists[] = {plain, request->headers};
	struct curl_slist *list = NULL, *more;

	for (size_t i = 0; i < 2; i++)
		for (size_t k = 0; lists[i] != NULL && lists[i][k] != NULL; k++) {
			if ((more = curl_slist_append(list, lists[i][k])) == NULL) {
				curl_slist_free_all(list);
				return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
			}
			list = more;
		}
	*ret_list = list;
	return (0);
}

static int
perform(struct sdk_web *web, int timeout_ms, const struct sdk_web_request *request, const char *url,
    struct curl_slist *headers, bool *ret_sent, struct sdk_web_answer *answer,
    struct leased_err *err)
{
	char detail[CURL_ERROR_SIZE] = "";
	CURLcode code;

	code = set_server(web, timeout_ms) | set_request(web->handle, request, url, headers) |
	       curl_easy_setopt(web->handle, CURLOPT_WRITEFUNCTION, on_body) |
	       curl_easy_setopt(web->handle, CURLOPT_WRITEDATA, answer) |
	       curl_easy_setopt(web->handle, CURLOPT_PREREQFUNCTION, on_ready) |
	       curl_easy_setopt(web->handle, CURLOPT_PREREQDATA, ret_sent) |
	       curl_easy_setopt(web->handle, CURLOPT_ERRORBUFFER, detail);
	if (code != CURLE_OK)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	code = curl_easy_perform(web->handle);
	(void)curl_easy_setopt(web->handle, CURLOPT_ERRORBUFFER, NULL);
	if (code != CURLE_OK)
		return (explain(web, code, answer, detail, err));
	if (answer->body == NULL && on_body((char *)"", 1, 0, answer) != 0)
		return (leased_err_set(err, LEASED_EBUG, "an empty answer has a length"));
	if (answer->body == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	(void)curl_easy_getinfo(web->handle, CURLINFO_RESPONSE_CODE, &answer->status);
	if (answer->status / 100 == 3)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "%s:%s sends us elsewhere (status %ld), which is not followed: set base_url to "
		    "where the API is",
		    web->host, web->port, answer->status));
	return (0);
}

int
sdk_web_send(struct sdk_web *web, const struct leased_call *call,
    const struct sdk_web_request *request, bool *ret_sent, struct sdk_web_answer *ret_answer,
    struct leased_err *err)
{
	struct sdk_web_answer answer = SDK_WEB_ANSWER_INIT;
	struct curl_slist *headers = NULL;
	int timeout_ms, r;
	bool sent = false;
	char *url = NULL;

	if (web == NULL || web->tag != WEB_TAG)
		abort();
	answer.max = request->answer_max > 0 ? request->answer_max : SDK_WEB_ANSWER_MAX;
	timeout_ms = leased_call_remaining_ms(call);
	timeout_ms -= timeout_ms / 16; /* to say so before the daemon ends us */
	if (timeout_ms <= 0)
		return (leased_err_set(err, LEASED_ETIMEDOUT, "no time is left for this call"));
	if (asprintf(&url, "%s%s", web->base, request->target) < 0) {
		url = NULL;
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	if ((r = set_headers(request, &headers, err)) != 0)
		goto out;
	r = perform(web, timeout_ms, request, url, headers, &sent, &answer, err);
	if (sent && ret_sent != NULL)
		*ret_sent = true;
	if (r != 0)
		goto out;
	*ret_answer = answer;
	answer = (struct sdk_web_answer)SDK_WEB_ANSWER_INIT;
out:
	curl_easy_reset(web->handle); /* its copies are wiped; connections stay */
	curl_slist_free_all(headers);
	if (url != NULL)
		leased_wipe(url, strlen(url));
	free(url);
	sdk_web_answer_clear(&answer);
	return (r);
}

/* ---- an answer ---- */

int
sdk_web_json(const struct sdk_web_answer *answer, json_t **ret_value, struct leased_err *err)
{
	unsigned long failures = leased_secret_alloc_failures();
	json_t *value;

	value =
	    json_loadb(answer->body, answer->len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, NULL);
	/* jansson leaves out characters, in silence, where it has no memory. */
	if (leased_secret_alloc_failures() != failures) {
		json_decref(value);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	if (value == NULL)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "the server answered with status %ld and no JSON", answer->status));
	*ret_value = value;
	return (0);
}

void
sdk_web_answer_clear(struct sdk_web_answer *answer)
{
	if (answer->body != NULL)
		leased_wipe(answer->body, answer->size);
	free(answer->body);
	*answer = (struct sdk_web_answer)SDK_WEB_ANSWER_INIT;
}
