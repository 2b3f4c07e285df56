/*
 * One request to leased: where it is, who we are, the bytes, and what its status means to whoever
 * called. The token goes into a header, never into argv or a message.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/jdec.h"
#include "cli.h"
#include "client_exit.h"
#include "client_raw.h"
#include "client_curl.h"
#include "client_tls.h"

#define SYSTEM_SOCKET "/run/leased/leased.sock"
#define BODY_MAX (64u * 1024 * 1024)
#define TIMEOUT_S 90L /* leased itself answers within 60 s what it waits for */
#define TOKEN_MAX 512

/* Answers are ours, and lists are long: the limits only bound what a broken server can make us
 * build. */
static const struct jdec_limits answer_limits = {
    .depth = 32, .tokens = 8 * 1000 * 1000, .string_len = 1024 * 1024};

static bool (*request_give_up)(void);
static long request_timeout_s = TIMEOUT_S;

struct buffer {
	char *bytes;
	size_t len, size;
};

struct call {
	const char *method, *path, *query;
	const json_t *body;
	const char *if_none_match;
	struct cli_raw *raw; /* NULL: the answer is JSON */
};

static size_t
on_bytes(char *bytes, size_t one, size_t len, void *arg)
{
	struct buffer *buf = arg;
	size_t size;
	char *grown;

	(void)one;
	if (buf->len + len + 1 > BODY_MAX)
		return (0);
	if (buf->len + len + 1 > buf->size) {
		size = buf->size == 0 ? 8192 : buf->size;
		while (size < buf->len + len + 1)
			size *= 2;
		if ((grown = malloc(size)) == NULL)
			return (0);
		if (buf->len > 0) {
			memcpy(grown, buf->bytes, buf->len);
			leased_wipe(buf->bytes, buf->size);
		}
		free(buf->bytes);
		buf->bytes = grown;
		buf->size = size;
	}
	memcpy(buf->bytes + buf->len, bytes, len);
	buf->len += len;
	buf->bytes[buf->len] = '\0';
	return (len);
}

/* The address from the environment, or the first socket that is there. False: it is too long. */
static bool
address_find(char *ret_address, size_t size)
{
	const char *address = getenv("LEASE_ADDR"), *runtime = getenv("XDG_RUNTIME_DIR");

	if (address == NULL || address[0] == '\0')
		address = getenv("VAULT_ADDR");
	if (address != NULL && address[0] != '\0') {
		return ((size_t)snprintf(ret_address, size, "%s", address) < size);
	}
	(void)snprintf(ret_address, size, "unix://%s", SYSTEM_SOCKET);
	if (access(SYSTEM_SOCKET, F_OK) == 0 || runtime == NULL)
		return (true);
	(void)snprintf(ret_address, size, "unix://%s/leased/leased.sock", runtime);
	if (access(ret_address + strlen("unix://"), F_OK) != 0)
		(void)snprintf(ret_address, size, "unix://%s", SYSTEM_SOCKET);
	return (true);
}

/* path with everything but unreserved characters and '/' escaped; for client_curl.free(). */
static char *
path_escape(CURL *curl, const char *path)
{
	char *escaped, *from, *to;

	if ((escaped = client_curl.easy_escape(curl, path, 0)) == NULL)
		return (NULL);
	for (from = to = escaped; *from != '\0'; from++, to++) {
		*to = *from;
		if (strncmp(from, "%2F", 3) == 0) {
			*to = '/';
			from += 2;
		}
	}
	*to = '\0';
	return (escaped);
}

/* An answer without a text has it in a header alone. */
static void
take_request_id(CURL *curl, struct cli_reply *reply)
{
	struct curl_header *header;

	if (client_curl.easy_header(curl, "X-Request-Id", 0, CURLH_HEADER, -1, &header) ==
	    CURLHE_OK)
		(void)strlcpy(reply->request_id, header->value, sizeof(reply->request_id));
}

/* The texts of {"errors":[..]}, or what else is known. */
static void
error_text(struct cli_reply *reply)
{
	const json_t *errors = json_object_get(reply->body, "errors"), *text;
	size_t i, used = 0;

	json_array_foreach(errors, i, text)
	{
		used += (size_t)snprintf(reply->error + used, sizeof(reply->error) - used, "%s%s",
		    i == 0 ? "" : "\n  ",
		    json_is_string(text) ? json_string_value(text) : "(not a text)");
		if (used >= sizeof(reply->error))
			return;
	}
	if (used == 0)
		(void)snprintf(reply->error, sizeof(reply->error), "%s (HTTP status %ld%s%s)",
		    reply->status == 404 ? "there is nothing at this path"
					 : "leased gave no reason",
		    reply->status, reply->request_id[0] != '\0' ? ", request id " : "",
		    reply->request_id);
}

/* What is no JSON goes to whoever asked for it. */
static void
raw_take(CURL *curl, struct cli_raw *raw, struct buffer *buf)
{
	struct curl_header *header;

	if (client_curl.easy_header(curl, "ETag", 0, CURLH_HEADER, -1, &header) == CURLHE_OK)
		(void)strlcpy(raw->etag, header->value, sizeof(raw->etag));
	raw->bytes = buf->bytes;
	raw->len = buf->len;
	memset(buf, 0, sizeof(*buf));
}

static void
answer_take(struct cli_reply *reply, const struct buffer *buf)
{
	struct leased_err err = LEASED_ERR_INIT;

	if (buf->len > 0 &&
	    jdec_parse(buf->bytes, buf->len, &answer_limits, &reply->body, &err) != 0) {
		if (err.code == LEASED_ENOMEM)
			(void)snprintf(reply->error, sizeof(reply->error),
			    "no memory to read the answer (HTTP status %ld)", reply->status);
		else
			(void)snprintf(reply->error, sizeof(reply->error),
			    "HTTP status %ld with a body that is no JSON (%s): is this address "
			    "leased?",
			    reply->status, err.text);
		reply->code = CLI_FAILED;
		return;
	}
	if (reply->body != NULL && !json_is_object(reply->body)) {
		(void)snprintf(reply->error, sizeof(reply->error),
		    "HTTP status %ld with JSON that is no object: is this address leased?",
		    reply->status);
		reply->code = CLI_FAILED;
		return;
	}
	if (reply->status < 200 || reply->status >= 300) {
		error_text(reply);
		reply->code = client_exit_of_status(reply->status, reply->error);
	}
}

/* The token, "" without one; NULL: it is none that can travel in a header. */
static const char *
token_find(void)
{
	const char *token = getenv("LEASE_TOKEN"), *c;

	if (token == NULL || token[0] == '\0')
		token = getenv("VAULT_TOKEN");
	if (token == NULL)
		return ("");
	for (c = token; *c != '\0'; c++)
		if (*c <= ' ' || *c > '~')
			return (NULL);
	return (c - token <= TOKEN_MAX ? token : NULL);
}

static struct curl_slist *
headers_make(const char *token, const char *if_none_match)
{
	struct curl_slist *headers = NULL;
	char line[TOKEN_MAX + 32];

	headers = client_curl.slist_append(headers, "X-Vault-Request: true");
	headers = client_curl.slist_append(headers, "Content-Type: application/json");
	/* No 100-continue round trip: what we send is small. */
	headers = client_curl.slist_append(headers, "Expect:");
	if (if_none_match != NULL) {
		(void)snprintf(line, sizeof(line), "If-None-Match: %s", if_none_match);
		headers = client_curl.slist_append(headers, line);
	}
	if (token[0] != '\0') {
		(void)snprintf(line, sizeof(line), "X-Vault-Token: %s", token);
		headers = client_curl.slist_append(headers, line);
		leased_wipe(line, sizeof(line));
	}
	return (headers);
}

static void
headers_free(struct curl_slist *headers)
{
	struct curl_slist *line;

	for (line = headers; line != NULL; line = line->next)
		if (strncmp(line->data, "X-Vault-Token", 13) == 0)
			leased_wipe(line->data, strlen(line->data));
	client_curl.slist_free_all(headers);
}

/* 0, or the reply says why not. */
static int
url_set(CURL *curl, const char *path, const char *query, struct cli_reply *reply)
{
	char address[512], *escaped, *url = NULL;
	size_t len;
	int r = -1;

	if (!address_find(address, sizeof(address))) {
		reply->code = CLI_UNREACHABLE;
		(void)snprintf(reply->error, sizeof(reply->error),
		    "LEASE_ADDR (or VAULT_ADDR) is over %zu bytes", sizeof(address) - 1);
		return (-1);
	}
	if ((escaped = path_escape(curl, path)) == NULL)
		goto out;
	if (strncmp(address, "unix://", 7) == 0) {
		(void)client_curl.easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, address + 7);
		(void)snprintf(address, sizeof(address), "http://leased");
	}
	for (len = strlen(address); len > 0 && address[len - 1] == '/';)
		address[--len] = '\0';
	r = asprintf(&url, "%s/v1/%s%s%s", address, escaped, query != NULL ? "?" : "",
	    query != NULL ? query : "");
	if (r >= 0)
		(void)client_curl.easy_setopt(curl, CURLOPT_URL, url);
	free(r >= 0 ? url : NULL);
out:
	client_curl.free(escaped);
	if (r < 0) {
		reply->code = CLI_FAILED;
		(void)snprintf(reply->error, sizeof(reply->error), "out of memory");
	}
	return (r < 0 ? -1 : 0);
}

static int
on_progress(void *arg, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	(void)arg;
	(void)a;
	(void)b;
	(void)c;
	(void)d;
	return (request_give_up != NULL && request_give_up());
}

void
cli_request_give_up_when(bool (*give_up)(void))
{
	request_give_up = give_up;
}

void
cli_request_within(long timeout_s)
{
	request_timeout_s = timeout_s;
}

/* What to do about it; NULL: nothing is known. */
static const char *
advice_on(CURL *curl, CURLcode code, long os_errno)
{
	curl_off_t connected_us = 0;

	if (os_errno == EACCES)
		return ("Become a member of the group that owns the socket, or ask whoever runs "
			"leased");
	if (code == CURLE_OPERATION_TIMEDOUT &&
	    client_curl.easy_getinfo(curl, CURLINFO_CONNECT_TIME_T, &connected_us) == CURLE_OK &&
	    connected_us > 0)
		return ("Somebody listens there and does not answer: leased was stopped, or hangs. "
			"Its log says what it did last");
	return (cli_tls_advice(curl, code));
}

static void
transfer(CURL *curl, const struct call *call, struct cli_reply *reply)
{
	char why[CURL_ERROR_SIZE] = "", address[512];
	const char *advice;
	struct buffer buf = {NULL, 0, 0};
	CURLcode code;
	long os_errno = 0;

	(void)client_curl.easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes);
	(void)client_curl.easy_setopt(curl, CURLOPT_WRITEDATA, &buf);
	(void)client_curl.easy_setopt(curl, CURLOPT_ERRORBUFFER, why);
	(void)client_curl.easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)client_curl.easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
	code = client_curl.easy_perform(curl);
	if (code == CURLE_OK) {
		(void)client_curl.easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply->status);
		take_request_id(curl, reply);
		if (call->raw != NULL && reply->status == 304)
			call->raw->unchanged = true;
		else if (call->raw != NULL && reply->status == 200)
			raw_take(curl, call->raw, &buf);
		else
			answer_take(reply, &buf);
	} else {
		(void)address_find(address, sizeof(address));
		reply->code = CLI_UNREACHABLE;
		/* curl's own words name a port, which a socket has not. */
		if (strncmp(address, "unix://", 7) == 0 && code == CURLE_COULDNT_CONNECT &&
		    client_curl.easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno) == CURLE_OK &&
		    os_errno != 0)
			(void)snprintf(why, sizeof(why), "%s", strerror((int)os_errno));
		advice = advice_on(curl, code, os_errno);
		(void)snprintf(reply->error, sizeof(reply->error),
		    "cannot reach leased at %s: %s. %s", address,
		    why[0] != '\0' ? why : client_curl.easy_strerror(code),
		    advice != NULL ? advice : "Is it running, and is LEASE_ADDR right?");
	}
	(void)client_curl.easy_setopt(curl, CURLOPT_ERRORBUFFER, NULL);
	if (buf.bytes != NULL)
		leased_wipe(buf.bytes, buf.size);
	free(buf.bytes);
}

/* jansson's own free, which wipes. */
static void
text_free(char *text)
{
	json_malloc_t alloc_fn;
	json_free_t free_fn;

	json_get_alloc_funcs(&alloc_fn, &free_fn);
	free_fn(text);
}

static void
call_run(const struct call *call, struct cli_reply *ret_reply)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct curl_slist *headers = NULL;
	const char *token = token_find();
	char *text = NULL;
	CURL *curl = NULL;

	memset(ret_reply, 0, sizeof(*ret_reply));
	if (token == NULL) {
		ret_reply->code = CLI_USAGE;
		(void)snprintf(ret_reply->error, sizeof(ret_reply->error),
		    "the token of LEASE_TOKEN (or VAULT_TOKEN) is none: it is over %d bytes, or "
		    "has blanks or other bytes that a token cannot have",
		    TOKEN_MAX);
		return;
	}
	if (client_curl_load(&err) != 0) {
		ret_reply->code = CLI_FAILED;
		(void)snprintf(ret_reply->error, sizeof(ret_reply->error), "%s", err.text);
		return;
	}
	if ((curl = client_curl.easy_init()) == NULL ||
	    (call->body != NULL && (text = json_dumps(call->body, JSON_COMPACT)) == NULL)) {
		ret_reply->code = CLI_FAILED;
		(void)snprintf(ret_reply->error, sizeof(ret_reply->error), "out of memory");
		goto out;
	}
	if (url_set(curl, call->path, call->query, ret_reply) != 0)
		goto out;
	headers = headers_make(token, call->if_none_match);
	(void)client_curl.easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
	(void)client_curl.easy_setopt(curl, CURLOPT_CUSTOMREQUEST, call->method);
	(void)client_curl.easy_setopt(curl, CURLOPT_TIMEOUT, request_timeout_s);
	(void)client_curl.easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 5L);
	(void)client_curl.easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
	(void)client_curl.easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
	(void)client_curl.easy_setopt(curl, CURLOPT_NOPROXY, "*");
	cli_tls_setup(curl);
	/* What is asked for is what the server judges: dots are not resolved here. */
	(void)client_curl.easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
	if (text != NULL)
		(void)client_curl.easy_setopt(curl, CURLOPT_POSTFIELDS, text);
	transfer(curl, call, ret_reply);
out:
	headers_free(headers);
	text_free(text);
	client_curl.easy_cleanup(curl);
}

void
cli_request(const char *method, const char *path, const char *query, const json_t *body,
    struct cli_reply *ret_reply)
{
	struct call call = {.method = method, .path = path, .query = query, .body = body};

	call_run(&call, ret_reply);
}

void
cli_request_raw(const char *path, const char *query, const char *if_none_match,
    struct cli_raw *ret_raw, struct cli_reply *ret_reply)
{
	struct call call = {.method = "GET", .path = path, .query = query};

	memset(ret_raw, 0, sizeof(*ret_raw));
	call.if_none_match = if_none_match;
	call.raw = ret_raw;
	call_run(&call, ret_reply);
	if (ret_reply->code == CLI_OK && !ret_raw->unchanged && ret_raw->bytes == NULL) {
		ret_reply->code = CLI_FAILED;
		(void)snprintf(ret_reply->error, sizeof(ret_reply->error),
		    "an empty answer: is this address leased?");
	}
}

void
cli_raw_clear(struct cli_raw *raw)
{
	free(raw->bytes);
	memset(raw, 0, sizeof(*raw));
}

void
cli_reply_clear(struct cli_reply *reply)
{
	json_decref(reply->body);
	memset(reply, 0, sizeof(*reply));
}

int
cli_reply_fail(const struct cli_reply *reply, const char *what)
{
	return (cli_fail(reply->code, "%s: %s", what, reply->error));
}

void
cli_reply_warn(const struct cli_reply *reply)
{
	const json_t *warning;
	size_t i;

	json_array_foreach(json_object_get(reply->body, "warnings"), i, warning)
	{
		if (json_is_string(warning))
			(void)cli_fail(0, "warning: %s", json_string_value(warning));
	}
}
