/*
 * A request and its answer, with the login that may have to come first; and what a whole list of
 * requests gives. Owns the connection's login. Called by the operations.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/rand.h>

#include "http.h"

#define VALUE_MAX 16384
#define RANDOM_LEN 24

static int
no_memory(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

struct http *
http_from(void *ctx)
{
	struct http *http = ctx;

	if (http == NULL || http->tag != HTTP_TAG)
		abort();
	return (http);
}

/* ---- slots ---- */

/* "2026-11-23T03:43:50Z" to seconds; -1: it is none. */
static long long
read_time(const char *text)
{
	struct tm tm = {0};
	const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

	return (end != NULL && (*end == 'Z' || *end == '.') ? (long long)timegm(&tm) : -1);
}

static int
put_end(json_t *values, const char *expires)
{
	long long end, left;

	if (expires == NULL || (end = read_time(expires)) < 0)
		return (0);
	left = end - (long long)time(NULL);
	return (json_object_set_new(values, "expiration", json_string(expires)) |
		json_object_set_new(values, "expiration_unix", json_integer(end)) |
		json_object_set_new(values, "ttl", json_integer(left > 1 ? left : 1)));
}

/* A password that nobody is told. 62 does not divide 256: what is left over is drawn again. */
static int
put_random(json_t *values)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
	char text[RANDOM_LEN + 1];
	unsigned char byte;
	size_t len = 0;
	int r;

	while (len < RANDOM_LEN) {
		if (RAND_bytes(&byte, 1) != 1)
			return (-1);
		if (byte < 248)
			text[len++] = alphabet[byte % 62];
	}
	text[len] = '\0';
	r = json_object_set_new(values, "random", json_string(text));
	leased_wipe(text, sizeof(text));
	return (r);
}

static json_t *
role_values(const struct http *http, const json_t *account)
{
	const json_t *settings = json_object_get(json_object_get(account, "role"), "settings");
	json_t *role, *defaults = json_object_get(http->config->document, "role_defaults");

	role = defaults != NULL ? http_json_copy(defaults) : json_object();
	if (role != NULL && json_is_object(settings) &&
	    json_object_update(role, (json_t *)(uintptr_t)settings) != 0) {
		json_decref(role);
		return (NULL);
	}
	return (role);
}

json_t *
http_values_new(const struct http *http, const json_t *account, const char *expires)
{
	static const char *const of_account[] = {"name", "handle", "kept"};
	static const char *const of_connection[] = {"username", "password", "token"};
	json_t *values = json_object(), *connection = json_object(), *value;
	int bad = values == NULL || connection == NULL;

	for (size_t i = 0; i < 3; i++) {
		if ((value = json_object_get(account, of_account[i])) != NULL)
			bad |= json_object_set(values, of_account[i], value);
		value = json_object_get(http->config->document, of_connection[i]);
		if (value != NULL)
			bad |= json_object_set(connection, of_connection[i], value);
	}
	bad |= json_object_set_new(values, "connection", connection);
	bad |= json_object_set_new(values, "role", role_values(http, account));
	bad |= json_object_set_new(values, "values", json_object());
	bad |= json_object_set_new(values, "tag", json_string(http->store_tag));
	bad |= put_random(values);
	if (expires == NULL)
		expires = json_string_value(json_object_get(account, "expires"));
	bad |= put_end(values, expires);
	if (bad == 0)
		return (values);
	json_decref(values);
	return (NULL);
}

/* ---- what an answer gives ---- */

static int
take_values(const json_t *request, const json_t *body, const char *where, json_t *to,
    struct leased_err *err)
{
	const char *name;
	json_t *pointer;
	char *text;
	int r;

	json_object_foreach(json_object_get(request, "values"), name, pointer)
	{
		text = http_value_text(http_pointer_get(body, json_string_value(pointer)));
		if (text == NULL)
			return (leased_err_set(err, LEASED_EREFUSED,
			    "%s: the answer has no text or number at \"%s\" (values.%s)", where,
			    json_string_value(pointer), name));
		r = strlen(text) > VALUE_MAX ? -1
					     : json_object_set_new(to, name, json_string(text));
		free(text);
		if (r != 0)
			return (leased_err_set(
			    err, LEASED_EREFUSED, "%s: values.%s is too long", where, name));
	}
	return (0);
}

static int
meaning_code(enum http_meaning meaning)
{
	switch (meaning) {
	case HTTP_OK:
		return (0);
	case HTTP_GONE:
		return (LEASED_ENOENT);
	case HTTP_EXISTS:
		return (LEASED_EEXIST);
	case HTTP_DENIED:
	case HTTP_EXPIRED:
		return (LEASED_EDENIED);
	case HTTP_RETRY:
		return (LEASED_EUNAVAIL);
	case HTTP_FAIL:
		break;
	}
	return (LEASED_EREFUSED);
}

/* The path is shown as it was written: what fills its slots may be a secret. */
static int
explain(const struct http *http, const json_t *request, const json_t *values, const char *where,
    const struct http_rendered *rendered, long status, const json_t *body,
    enum http_meaning meaning, struct leased_err *err)
{
	char text[300];

	http_answer_text(http->config, request, body, values, text, sizeof(text));
	if (body == NULL && meaning == HTTP_FAIL &&
	    (status / 100 == 2 || status == 404 || status == 410))
		(void)snprintf(text, sizeof(text),
		    "%s, so that it may be a proxy's word, or of a wrong path; if it is the API's, "
		    "say so by a rule of answers",
		    status / 100 == 2 ? "in something other than JSON" : "without JSON");
	return (leased_err_set(err, meaning_code(meaning), "%s: %s %.80s answered %ld%s%s", where,
	    rendered->request.method, json_string_value(json_object_get(request, "path")), status,
	    text[0] != '\0' ? ": " : "", text));
}

/* "Gone" is a word on an account only where one was asked for: a login, a list or an identity that
 * is not found is a wrong path, or a gateway's that has lost its route, and ends nobody's lease. */
int
http_not_of_account(int r, struct leased_err *err)
{
	return (r == LEASED_ENOENT ? err->code = LEASED_EREFUSED : r);
}

/* ---- one request ---- */

static int
send_once(struct http *http, struct leased_call *call, enum http_kind kind, const json_t *request,
    const json_t *values, const char *where, json_t **ret_body, enum http_meaning *ret_meaning,
    struct leased_err *err)
{
	struct sdk_web_answer answer = SDK_WEB_ANSWER_INIT;
	struct http_rendered rendered;
	struct leased_err unused = LEASED_ERR_INIT;
	bool sent = false;
	json_t *body = NULL;
	int r;

	*ret_meaning = HTTP_FAIL;
	if ((r = http_render(http->config, kind, request, values, where, &rendered, err)) != 0)
		return (r);
	r = sdk_web_send(http->web, call, &rendered.request, &sent, &answer, err);
	if (sent && http_kind_changes(kind))
		call->sent = true;
	if (r != 0) {
		*ret_meaning =
		    r == LEASED_EUNAVAIL || r == LEASED_ETIMEDOUT ? HTTP_RETRY : HTTP_FAIL;
		/* Refused: it did answer, with too much or with a redirection. */
		if (sent && http_kind_changes(kind) && r != LEASED_EREFUSED)
			leased_outcome_unknown("%s: %s", where, err->text);
		(void)leased_err_prefix(err, "%s", where);
		goto out;
	}
	if (sdk_web_json(&answer, &body, &unused) != 0)
		body = NULL; /* its status may say enough */
	*ret_meaning = http_answer_meaning(
	    http->config, request, answer.status, body, body == NULL && answer.len > 0);
	if (*ret_meaning != HTTP_OK) {
		r = explain(http, request, values, where, &rendered, answer.status, body,
		    *ret_meaning, err);
		goto out;
	}
	if (body == NULL && json_object_size(json_object_get(request, "values")) > 0) {
		r = leased_err_set(err, LEASED_EREFUSED, "%s: %s", where, "the answer is no JSON");
		*ret_meaning = HTTP_FAIL;
		goto out;
	}
	if (ret_body != NULL) {
		*ret_body = body;
		body = NULL;
	}
out:
	json_decref(body);
	sdk_web_answer_clear(&answer);
	http_rendered_clear(&rendered);
	return (r);
}

static int
log_in(struct http *http, struct leased_call *call, struct leased_err *err)
{
	const json_t *request = json_array_get(http_config_requests(http->config, HTTP_LOGIN), 0);
	json_t *values = http_values_new(http, NULL, NULL), *body = NULL, *login = json_object();
	enum http_meaning meaning;
	int r;

	if (values == NULL || login == NULL) {
		r = no_memory(err);
		goto out;
	}
	if ((r = send_once(
		 http, call, HTTP_LOGIN, request, values, "login", &body, &meaning, err)) != 0 ||
	    (r = take_values(request, body, "login", login, err)) != 0)
		goto out;
	json_decref(http->login);
	http->login = login;
	login = NULL;
out:
	json_decref(values);
	json_decref(body);
	json_decref(login);
	return (http_not_of_account(r, err));
}

int
http_exchange(struct http *http, struct leased_call *call, enum http_kind kind,
    const json_t *request, json_t *values, const char *where, json_t **ret_body,
    enum http_meaning *ret_meaning, struct leased_err *err)
{
	bool logs_in = kind != HTTP_CHECK && http_config_requests(http->config, HTTP_LOGIN) != NULL;
	enum http_meaning meaning = HTTP_FAIL;
	int r = 0;

	for (unsigned tries = 0; tries < 2; tries++) {
		if (logs_in && http->login == NULL && (r = log_in(http, call, err)) != 0)
			break;
		if (logs_in && json_object_set(values, "login", http->login) != 0)
			return (no_memory(err));
		r = send_once(http, call, kind, request, values, where, ret_body, &meaning, err);
		if (!logs_in || meaning != HTTP_EXPIRED)
			break;
		/* The server has forgotten our login, and so has done nothing. */
		json_decref(http->login);
		http->login = NULL;
	}
	if (ret_meaning != NULL)
		*ret_meaning = meaning;
	return (r);
}

/* ---- lists of requests ---- */

/* What for_each names; *ret_items NULL: it is sent once. A list that is not there is empty. */
static int
find_items(const json_t *request, const json_t *values, const char *where, const json_t **ret_items,
    bool *ret_each, struct leased_err *err)
{
	const char *list = json_string_value(json_object_get(request, "for_each"));

	*ret_each = list != NULL;
	if (list == NULL)
		return (0);
	*ret_items = json_object_get(json_object_get(values, "role"), list + strlen("role."));
	if (*ret_items != NULL && !json_is_array(*ret_items))
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: %s of the role's settings must be a list", where, list + 5));
	return (0);
}

typedef int (*each_request)(
    void *arg, const json_t *request, json_t *values, const char *where, struct leased_err *err);

static int
for_all(const struct http *http, enum http_kind kind, json_t *values, each_request each, void *arg,
    struct leased_err *err)
{
	const json_t *request, *items = NULL;
	char where[64];
	size_t i, k;
	bool is_each;
	int r;

	json_array_foreach(http_config_requests(http->config, kind), i, request)
	{
		(void)snprintf(where, sizeof(where), "%s[%zu]", http_kind_name(kind), i);
		if ((r = find_items(request, values, where, &items, &is_each, err)) != 0)
			return (r);
		if (!is_each && (r = each(arg, request, values, where, err)) != 0)
			return (r);
		for (k = 0; is_each && k < json_array_size(items); k++) {
			if (json_object_set(values, "item", json_array_get(items, k)) != 0)
				return (no_memory(err));
			if ((r = each(arg, request, values, where, err)) != 0)
				return (r);
		}
	}
	return (0);
}

struct sending {
	struct http *http;
	struct leased_call *call;
	enum http_kind kind;
	enum http_meaning meaning;
	bool was_gone; /* something of it, and the rest was ended all the same */
};

static int
send_one(
    void *arg, const json_t *request, json_t *values, const char *where, struct leased_err *err)
{
	struct sending *sending = arg;
	json_t *body = NULL;
	int r;

	r = http_exchange(sending->http, sending->call, sending->kind, request, values, where,
	    &body, &sending->meaning, err);
	if (r == 0)
		r = take_values(request, body, where, json_object_get(values, "values"), err);
	json_decref(body);
	if (r == LEASED_ENOENT && sending->meaning == HTTP_GONE &&
	    (sending->kind == HTTP_REVOKE || sending->kind == HTTP_REMOVE)) {
		sending->was_gone = true;
		r = 0;
	}
	return (r);
}

int
http_exchange_all(struct http *http, struct leased_call *call, enum http_kind kind, json_t *values,
    enum http_meaning *ret_meaning, struct leased_err *err)
{
	struct sending sending = {http, call, kind, HTTP_OK, false};
	int r = for_all(http, kind, values, send_one, &sending, err);

	if (r == 0 && sending.was_gone)
		r = leased_err_set(err, LEASED_ENOENT, "it was gone already");

	*ret_meaning = r == 0 ? HTTP_OK : sending.meaning;
	return (r);
}

/* What only the backend can tell stands in for itself. */
static int
render_one(
    void *arg, const json_t *request, json_t *values, const char *where, struct leased_err *err)
{
	const struct sending *sending = arg;
	struct http_rendered rendered;
	const char *name;
	json_t *pointer;
	int r;

	r = http_render(
	    sending->http->config, sending->kind, request, values, where, &rendered, err);
	if (r != 0)
		return (r);
	http_rendered_clear(&rendered);
	json_object_foreach(json_object_get(request, "values"), name, pointer)
	{
		if (json_object_set_new(
			json_object_get(values, "values"), name, json_string("0")) != 0)
			return (no_memory(err));
	}
	return (0);
}

int
http_exchange_try(
    const struct http *http, enum http_kind kind, json_t *values, struct leased_err *err)
{
	struct sending sending = {(struct http *)(uintptr_t)http, NULL, kind, HTTP_OK, false};
	const json_t *login = json_array_get(http_config_requests(http->config, HTTP_LOGIN), 0);
	json_t *copy = http_json_deep_copy(values), *fake = json_object();
	const char *name;
	json_t *pointer;
	int r = copy == NULL || fake == NULL ? -1 : 0;

	json_object_foreach(json_object_get(login, "values"), name, pointer) r |=
	    json_object_set_new(fake, name, json_string("0"));
	if (r == 0)
		r = json_object_set(copy, "login", fake);
	r = r != 0 ? no_memory(err) : for_all(http, kind, copy, render_one, &sending, err);
	json_decref(copy);
	json_decref(fake);
	return (r);
}
