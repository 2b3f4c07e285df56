/*
 * One request to the management API: its path, our login, the JSON of both ways, and what a refusal
 * means. Knows no operation. Called by all of them.
 */
#include "rabbitmq.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "target.h"

#define ELEMENTS_MAX 8
#define BODY_MAX 16384

/* Where an answer came, it is known what became of the request, whatever is wrong with the answer.
 */
static bool
is_unknown(int r)
{
	return (r == LEASED_EUNAVAIL || r == LEASED_ETIMEDOUT || r == LEASED_ENOMEM);
}

static int
send_target(struct rabbitmq *plugin, struct leased_call *call,
    const struct rabbitmq_request *request, const char *target, const char *body, size_t body_len,
    struct sdk_web_answer *answer, struct leased_err *err)
{
	static const char *const headers[] = {
	    "Content-Type: application/json", "X-Reason: the lease has ended", NULL};
	const struct sdk_web_request web_request = {.method = request->method,
	    .target = target,
	    .headers = headers,
	    .username = request->username != NULL ? request->username : plugin->config->username,
	    .password = request->username != NULL ? request->password
						  : leased_secret_reveal(plugin->config->password),
	    .body = body,
	    .body_len = body_len,
	    .answer_max = request->answer_max,
	    .changes = request->changes};
	bool sent = false;
	int r;

	r = sdk_web_send(plugin->web, call, &web_request, &sent, answer, err);
	if (sent && request->changes)
		call->sent = true;
	if (r != 0 && sent && request->changes && is_unknown(r))
		leased_outcome_unknown("%.300s, after a request that changes something", err->text);
	return (r);
}

static int
read_answer(const struct sdk_web_answer *answer, json_t **ret_value, struct leased_err *err)
{
	*ret_value = NULL;
	if (answer->len == 0)
		return (0);
	return (sdk_web_json(answer, ret_value, err));
}

int
rabbitmq_send(struct rabbitmq *plugin, struct leased_call *call,
    const struct rabbitmq_request *request, long *ret_status, json_t **ret_value,
    struct leased_err *err, ...)
{
	struct sdk_web_answer answer = SDK_WEB_ANSWER_INIT;
	const char *elements[ELEMENTS_MAX], *element;
	char body[BODY_MAX], *target;
	size_t count = 0, body_len = 0;
	va_list args;
	int r = 0;

	va_start(args, err);
	while ((element = va_arg(args, const char *)) != NULL && count < ELEMENTS_MAX)
		elements[count++] = element;
	va_end(args);
	if ((target = rabbitmq_target(elements, count, request->query)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (request->body != NULL) {
		body_len = json_dumpb(request->body, body, sizeof(body), JSON_COMPACT);
		if (body_len == 0 || body_len > sizeof(body))
			r = leased_err_set(err, LEASED_EINVAL,
			    "a request of more than %d bytes: its permissions are too long",
			    BODY_MAX);
	}
	if (r == 0)
		r = send_target(plugin, call, request, target, request->body != NULL ? body : NULL,
		    body_len, &answer, err);
	if (r == 0)
		r = read_answer(&answer, ret_value, err);
	if (r == 0)
		*ret_status = answer.status;
	leased_wipe(body, body_len < sizeof(body) ? body_len : sizeof(body));
	sdk_web_answer_clear(&answer);
	free(target);
	return (r);
}

const char *
rabbitmq_reason(const json_t *answer)
{
	const char *reason = json_string_value(json_object_get(answer, "reason"));

	return (reason != NULL ? reason : "");
}

bool
rabbitmq_is_absent(long status, const json_t *answer)
{
	const char *error = json_string_value(json_object_get(answer, "error"));

	return (status == 404 && error != NULL && strcmp(error, "Object Not Found") == 0);
}

/* Texts come as such or, of 3.x, as lists of their bytes. */
static void
read_text(const json_t *value, char *ret_text, size_t size)
{
	const json_t *one;
	size_t i, len = 0;

	if (json_is_string(value))
		(void)snprintf(ret_text, size, "%s", json_string_value(value));
	json_array_foreach(value, i, one)
	{
		json_int_t c = json_integer_value(one);

		if (len + 1 < size)
			ret_text[len++] = c >= ' ' && c < 0x7f ? (char)c : '?';
	}
	if (!json_is_string(value))
		ret_text[len] = '\0';
}

/* ["invalid_regexp", "(", ["missing )", 1]]: which pattern it is, and what is wrong with it. */
static bool
read_bad_pattern(const json_t *answer, char *ret_text, size_t size)
{
	const json_t *reason = json_object_get(answer, "reason");
	const char *name = json_string_value(json_array_get(reason, 0));
	char pattern[100], what[60];

	if (name == NULL || strcmp(name, "invalid_regexp") != 0)
		return (false);
	read_text(json_array_get(reason, 1), pattern, sizeof(pattern));
	read_text(json_array_get(json_array_get(reason, 2), 0), what, sizeof(what));
	(void)snprintf(ret_text, size, "\"%s\" is no regular expression%s%s", pattern,
	    what[0] != '\0' ? ": " : "", what);
	return (true);
}

int
rabbitmq_refused(const struct rabbitmq *plugin, const char *what, long status, const json_t *answer,
    struct leased_err *err)
{
	const char *reason = rabbitmq_reason(answer), *name = plugin->config->username;
	char pattern[200];

	if (status == 401 && strcmp(reason, "Login failed") == 0)
		return (leased_err_set(err, LEASED_EDENIED,
		    "the server refuses the login of \"%.100s\": a wrong username or password",
		    name));
	if (status == 401 || status == 403)
		return (leased_err_set(err, LEASED_EDENIED,
		    "\"%.100s\" may not %s (%.100s): run rabbitmqctl set_user_tags %.100s "
		    "administrator",
		    name, what, reason, name));
	if (status == 400 && strcmp(reason, "vhost_or_user_not_found") == 0)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "cannot %s: there is no such virtual host; run rabbitmqctl add_vhost, or "
		    "change "
		    "vhosts of the role",
		    what));
	if (status == 400 && read_bad_pattern(answer, pattern, sizeof(pattern)))
		return (leased_err_set(
		    err, LEASED_EREFUSED, "cannot %s: %s; change it in the role", what, pattern));
	if (status >= 500)
		return (leased_err_set(err, LEASED_EUNAVAIL,
		    "cannot %s: the server answers %ld %.200s", what, status, reason));
	return (leased_err_set(err, LEASED_EREFUSED,
	    "cannot %s: the server answers %ld %.200s (its log says more)", what, status, reason));
}
