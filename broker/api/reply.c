/*
 * Every answer of the API leaves here: the envelope, the errors, the empty ones
 * (contract 1.5, 1.6). The one place that sees to it that an answer that is no success carries no
 * token and no secret, and that a lease whose answer is lost is revoked.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/api_private.h"
#include "api/parse.h"
#include "api/reply.h"
#include "base/etag.h"
#include "base/jenc.h"
#include "base/jws.h"
#include "base/log.h"
#include "base/opaque.h"

/* ---- delivery ---- */

struct reply_delivery {
	struct leases *leases;
	int64_t lease_row, token;
};

static void
on_delivery(void *arg, enum http_delivery delivery)
{
	struct reply_delivery *watched = arg;

	if (watched->lease_row != 0)
		lease_delivery(watched->leases, watched->lease_row, delivery == HTTP_DELIVERED);
	if (watched->token != 0 && delivery == HTTP_LOST)
		lease_delivery(watched->leases, watched->token, false);
	free(watched);
}

/* Out of memory: nobody would notice a lost answer, so it counts as lost. */
static bool
reply_watch(
    const struct api_request *request, const struct api_answer *answer, struct http_reply *reply)
{
	struct reply_delivery *watched;

	if (answer->lease_row == 0 && answer->token == 0)
		return (true);
	if ((watched = calloc(1, sizeof(*watched))) == NULL)
		return (false);
	watched->leases = request->api->config.leases;
	watched->lease_row = answer->lease_row;
	watched->token = answer->token;
	reply->on_delivery = on_delivery;
	reply->on_delivery_arg = watched;
	return (true);
}

/* ---- the end of a request ---- */

static void
on_used_up(void *arg, int code, const struct lease_job_status *status, const struct leased_err *err)
{
	(void)arg;
	(void)status;
	if (code != 0)
		log_warn("a token without uses left could not be ended; the timer does it",
		    LOG_ERR(err));
}

static void
request_free(struct api_request *request)
{
	struct auth_identity *identity = request->identity;

	if (identity != NULL && identity->last_use)
		auth_token_revoke(request->api->config.auth, identity->token, 0, request->id, NULL,
		    on_used_up, NULL);
	auth_identity_release(identity);
	for (unsigned i = 0; i < API_CAPTURES; i++)
		free(request->captures[i]);
	json_decref(request->body);
	json_decref(request->warnings);
	free(request->basic);
	free(request->path);
	free(request->match);
	request->api->in_flight--;
	request->tag = 0;
	free(request);
}

/*
 * An error never goes out without a word, not even when there is no memory to build one. What the
 * answer would have carried nobody gets: this one is delivered instead.
 */
static void
reply_plainly(struct http_reply *reply)
{
	static const char text[] = "{\"errors\":[\"out of memory while answering\"]}\n";

	if (reply->on_delivery != NULL)
		reply->on_delivery(reply->on_delivery_arg, HTTP_LOST);
	reply->on_delivery = NULL;
	if (reply->status < 400)
		reply->status = 500;
	if ((reply->body = strdup(text)) != NULL)
		reply->body_len = sizeof(text) - 1;
}

static void
reply_leave(struct api_request *request, struct http_reply *reply)
{
	api_stats_count(request, reply->status);
	http_reply_send(request->http, reply);
	request_free(request);
}

/* Sends body (borrowed; NULL: none) and ends request. */
static void
reply_send(struct api_request *request, struct http_reply *reply, const json_t *body)
{
	const char *space = http_request_header(request->http, "X-Vault-Namespace");
	struct jenc json = {0};

	if (body != NULL) {
		jenc_json(&json, body);
		jenc_bytes(&json, "\n", sizeof("\n"));
		if (jenc_check(&json, NULL) != 0) {
			jenc_clear(&json);
			reply_plainly(reply);
		} else {
			reply->body = (char *)json.bytes;
			reply->body_len = json.len - 1;
		}
	}
	http_reply_header(reply, "X-Request-Id", request->id);
	if (space != NULL)
		http_reply_header(reply, "X-Vault-Namespace", space);
	api_audit_reply(request, reply, body, reply_leave);
}

/* ---- errors ---- */

int
api_status_of(int code)
{
	static const struct {
		int code, status;
	} rows[] = {{LEASED_EINVAL, 400}, {LEASED_EDENIED, 403}, {LEASED_ENOENT, 404},
	    {LEASED_EEXIST, 400}, {LEASED_ELIMIT, 429}, {LEASED_ETOOBIG, 413},
	    {LEASED_EEXPIRED, 400}, {LEASED_EUNAVAIL, 503}, {LEASED_ETIMEDOUT, 503},
	    {LEASED_EREFUSED, 502}, {LEASED_EMOVED, 503}, {LEASED_ECRASHED, 503},
	    {LEASED_EPROTO, 503}, {LEASED_ESEALED, 503}, {LEASED_ENOSPC, 507},
	    {LEASED_ECONFLICT, 503}, {LEASED_ECANCELED, 503}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].code == code)
			return (rows[i].status);
	return (500);
}

/* Something that looks like a token of ours, or the caller's own: no error text may hold it. */
static bool
text_has_token(const struct api_request *request, const char *text)
{
	const char *found = text;
	size_t len;

	if (request->token != NULL && strlen(request->token) >= 16 &&
	    strstr(text, request->token) != NULL)
		return (true);
	if (opaque_is_in(text) || jws_is_in(text))
		return (true);
	while ((found = strstr(found, "hvs.")) != NULL) {
		found += 4;
		for (len = 0; isalnum((unsigned char)found[len]); len++)
			continue;
		if (len >= 16)
			return (true);
	}
	return (false);
}

static void
reply_errors(struct api_request *request, int status, const char *text)
{
	struct http_reply reply = {.status = status};
	json_t *body;

	if (text != NULL && text_has_token(request, text)) {
		/* A client that put one into a path can have it come back this way, too. */
		log_warn("the text of an error held a token and was withheld",
		    LOG_S("request", request->id));
		text = "the text of this error is withheld: it repeats a token";
	}
	body = text != NULL
		   ? json_pack("{s:[s],s:s*}", "errors", text, "error", api_oauth_code(text))
		   : json_pack("{s:[]}", "errors");
	if (body == NULL)
		reply_plainly(&reply);
	reply_send(request, &reply, body);
	json_decref(body);
}

void
api_reply_empty_errors(struct api_request *request, int status)
{
	reply_errors(request, status, NULL);
}

void
api_reply_exact(struct api_request *request, int status, const char *text)
{
	reply_errors(request, status, text);
}

void
api_reply_error(struct api_request *request, int status, const struct leased_err *err)
{
	char text[sizeof(err->text) + 64];

	if (status == 0)
		status = api_status_of(err->code);
	if (status == 500)
		log_error("a request failed", LOG_S("request", request->id),
		    LOG_S("path", request->path), LOG_ERR(err));
	(void)snprintf(text, sizeof(text), "%s (request id %s)",
	    err->text[0] != '\0' ? err->text : leased_code_name(err->code), request->id);
	reply_errors(request, status, text);
}

void
api_reply_refuse(struct api_request *request, int code, const char *fmt, ...)
{
	struct leased_err err = LEASED_ERR_INIT;
	va_list args;

	va_start(args, fmt);
	(void)leased_err_vset(&err, code, fmt, args);
	va_end(args);
	api_reply_error(request, 0, &err);
}

/* ---- success ---- */

static int
set_taken(json_t *object, const char *key, json_t *value)
{
	return (json_object_set_new(object, key, value != NULL ? value : json_null()));
}

/* data and auth are taken. */
static json_t *
envelope_new(const struct api_request *request, struct api_answer *answer)
{
	bool inject = request->route != NULL && (request->route->flags & API_INJECT) != 0;
	const char *type = answer->mount_type;
	json_t *body = json_object();
	int r = 0;

	if (type == NULL && request->route != NULL)
		type = request->route->mount_type;
	if (body != NULL && inject && answer->data != NULL)
		r |= json_object_update(body, answer->data);
	r |= set_taken(body, "request_id", json_string(request->id));
	r |= set_taken(
	    body, "lease_id", json_string(answer->lease_id != NULL ? answer->lease_id : ""));
	r |= set_taken(body, "renewable", json_boolean(answer->renewable));
	r |= set_taken(body, "lease_duration", json_integer(answer->lease_duration_s));
	r |= set_taken(body, "data", answer->data);
	r |= set_taken(body, "wrap_info", NULL);
	r |= set_taken(body, "warnings", json_incref(request->warnings));
	r |= set_taken(body, "auth", answer->auth);
	r |= set_taken(body, "mount_type", json_string(type != NULL ? type : ""));
	answer->data = answer->auth = NULL;
	if (r != 0) {
		json_decref(body);
		return (NULL);
	}
	return (body);
}

/* What an answer without data gets: reads and lists found nothing, the others are done. */
static void
reply_nothing(struct api_request *request, int status)
{
	struct http_reply reply = {.status = status};

	if (status == 0 && (request->operation == API_READ || request->operation == API_LIST)) {
		api_reply_empty_errors(request, 404);
		return;
	}
	if (status == 0)
		reply.status = 204;
	reply_send(request, &reply, NULL);
}

/* A token's last use cannot carry a lease: it would end with the token, now. */
static bool
reply_refuse_last_use(struct api_request *request, struct api_answer *answer)
{
	if (answer->lease_row == 0 || request->identity == NULL || !request->identity->last_use)
		return (false);
	lease_delivery(request->api->config.leases, answer->lease_row, false);
	json_decref(answer->data);
	json_decref(answer->auth);
	api_reply_refuse(request, LEASED_EINVAL,
	    "Secret cannot be returned; token had one use left, so leased credentials were "
	    "immediately revoked.");
	return (true);
}

/* There was no memory for what it tells of the lease or token that was made. */
static bool
answer_lacks(const struct api_answer *answer)
{
	return ((answer->token != 0 && answer->auth == NULL) ||
		(answer->lease_row != 0 && answer->data == NULL));
}

void
api_reply(struct api_request *request, struct api_answer *answer)
{
	struct http_reply reply = {.status = answer->status != 0 ? answer->status : 200};
	json_t *body;
	bool lacks;

	if (reply.status / 100 != 2) {
		json_decref(answer->data);
		json_decref(answer->auth);
		(void)bug(NULL, "an answer that is no success had data; request %s", request->id);
		api_reply_refuse(request, LEASED_EBUG, "internal error");
		return;
	}
	if (reply_refuse_last_use(request, answer))
		return;
	lacks = answer_lacks(answer);
	if (!lacks && answer->data == NULL && answer->auth == NULL && !answer->envelope &&
	    request->warnings == NULL) {
		reply_nothing(request, answer->status);
		return;
	}
	body = envelope_new(request, answer);
	if (body == NULL || lacks || !reply_watch(request, answer, &reply)) {
		json_decref(body);
		if (answer->lease_row != 0)
			lease_delivery(request->api->config.leases, answer->lease_row, false);
		if (answer->token != 0)
			lease_delivery(request->api->config.leases, answer->token, false);
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory while answering");
		return;
	}
	reply_send(request, &reply, body);
	json_decref(body);
}

void
api_reply_data(struct api_request *request, json_t *data)
{
	struct api_answer answer = {.data = data};

	if (data == NULL)
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory while answering");
	else
		api_reply(request, &answer);
}

void
api_reply_keys(struct api_request *request, json_t *keys)
{
	if (keys != NULL && json_array_size(keys) == 0) {
		json_decref(keys);
		api_reply_empty_errors(request, 404);
		return;
	}
	api_reply_data(request, keys != NULL ? json_pack("{s:o}", "keys", keys) : NULL);
}

void
api_reply_done(struct api_request *request)
{
	struct api_answer answer = {0};

	api_reply(request, &answer);
}

void
api_reply_raw(struct api_request *request, int status, json_t *body)
{
	struct http_reply reply = {.status = status};

	if (body == NULL) {
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory while answering");
		return;
	}
	reply_send(request, &reply, body);
	json_decref(body);
}

/* Weak or strong, one of several, or any. */
static bool
has_it(const char *wanted, const char *etag)
{
	return (wanted != NULL && (strcmp(wanted, "*") == 0 || strstr(wanted, etag) != NULL));
}

/* Ends request: 304 where the client has it; else the rest of reply is the caller's to fill. */
static bool
cached_begin(struct api_request *request, const char *cache_control, const char *etag,
    struct http_reply *reply)
{
	http_reply_header(reply, "Cache-Control", cache_control);
	http_reply_header(reply, "ETag", etag);
	if (!has_it(http_request_header(request->http, "If-None-Match"), etag))
		return (false);
	reply->status = 304;
	reply_send(request, reply, NULL);
	return (true);
}

void
api_reply_cached(struct api_request *request, const char *cache_control, json_t *body)
{
	struct http_reply reply = {.status = 200};
	struct jenc json = {0};
	char etag[ETAG_SIZE];
	bool good;

	if (body != NULL)
		jenc_json(&json, body);
	good = body != NULL && jenc_check(&json, NULL) == 0 &&
	       etag_of(json.bytes, json.len, etag) == 0;
	jenc_clear(&json);
	if (!good)
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory while answering");
	else if (!cached_begin(request, cache_control, etag, &reply))
		reply_send(request, &reply, body);
	json_decref(body);
}

void
api_reply_cached_text(struct api_request *request, const char *cache_control, const char *etag,
    const char *text, size_t len)
{
	const char *wanted = http_request_header(request->http, "If-None-Match");
	struct http_reply reply = {.status = 200, .body_len = len};

	if (has_it(wanted, etag)) {
		reply.body_len = 0;
	} else if ((reply.body = malloc(len)) == NULL) {
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory while answering");
		return;
	} else {
		memcpy(reply.body, text, len);
	}
	if (!cached_begin(request, cache_control, etag, &reply))
		reply_send(request, &reply, NULL);
}

void
api_reply_page(struct api_request *request, const struct engine_page *page)
{
	const char *wanted = http_request_header(request->http, "If-None-Match");
	struct http_reply reply = {
	    .status = 200, .content_type = page->type, .body_len = page->len};

	if (has_it(wanted, page->etag)) {
		reply.body_len = 0;
	} else if (page->bytes == NULL || (reply.body = malloc(page->len + 1)) == NULL) {
		api_reply_refuse(request, LEASED_ENOMEM, "out of memory");
		return;
	} else {
		memcpy(reply.body, page->bytes, page->len);
	}
	if (!cached_begin(request, page->cache, page->etag, &reply))
		reply_send(request, &reply, NULL);
}

void
api_reply_text(struct api_request *request, const char *type, char *text, size_t len)
{
	struct http_reply reply = {
	    .status = 200, .content_type = type, .body = text, .body_len = len};

	reply_send(request, &reply, NULL);
}

void
api_on_written(void *arg, int code, const struct leased_err *err)
{
	struct api_request *request = api_request_from(arg);

	if (code != 0)
		api_reply_error(request, 0, err);
	else
		api_reply_done(request);
}
