/*
 * What an answer means: the rules that the configuration gives, then what its status says; and what
 * of it may be shown to people. Called by exchange.c; config.c has the rules checked.
 */
#include <stdlib.h>
#include <string.h>

#include "config.h"

#define RULES_MAX 32

static const char *const meanings[] = {
    [HTTP_OK] = "ok",
    [HTTP_GONE] = "gone",
    [HTTP_EXISTS] = "exists",
    [HTTP_DENIED] = "denied",
    [HTTP_RETRY] = "retry",
    [HTTP_FAIL] = "fail",
    [HTTP_EXPIRED] = "login",
};
#define MEANING_COUNT (sizeof(meanings) / sizeof(meanings[0]))

/* ---- checking rules ---- */

static bool
find_meaning(const char *name, enum http_meaning *ret_meaning)
{
	for (unsigned i = 0; name != NULL && i < MEANING_COUNT; i++)
		if (strcmp(meanings[i], name) == 0) {
			*ret_meaning = i;
			return (true);
		}
	return (false);
}

static int
check_status(const json_t *status, const char *where, struct leased_err *err)
{
	const json_t *one;
	size_t count = json_is_array(status) ? json_array_size(status) : 1;

	for (size_t i = 0; i < count; i++) {
		one = json_is_array(status) ? json_array_get(status, i) : status;
		if (!json_is_integer(one) || json_integer_value(one) < 100 ||
		    json_integer_value(one) > 599)
			return (leased_err_set(err, LEASED_EINVAL,
			    "%s.status: must be a status from 100 to 599, or a list of such",
			    where));
	}
	return (0);
}

static int
check_rule(const json_t *rule, const char *where, struct leased_err *err)
{
	static const char *const keys[] = {"status", "at", "is", "contains", "means", NULL};
	const json_t *at = json_object_get(rule, "at"), *is = json_object_get(rule, "is"),
		     *contains = json_object_get(rule, "contains"),
		     *status = json_object_get(rule, "status");
	enum http_meaning meaning;
	char place[120];
	int r;

	if ((r = http_config_check_keys(rule, keys, where, err)) != 0)
		return (r);
	if (!find_meaning(json_string_value(json_object_get(rule, "means")), &meaning))
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s.means: must be ok, gone, exists, denied, retry, fail or login", where));
	if (status != NULL && (r = check_status(status, where, err)) != 0)
		return (r);
	if (status == NULL && at == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: give status, or at (a pointer into the answer), or both", where));
	if (at == NULL && (is != NULL || contains != NULL))
		return (leased_err_set(
		    err, LEASED_EINVAL, "%s: is and contains need at, a pointer", where));
	if ((is != NULL && (json_is_object(is) || json_is_array(is))) ||
	    (contains != NULL && !json_is_string(contains)) || (is != NULL && contains != NULL))
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: give is (a text, number or truth) or contains (a text)", where));
	(void)snprintf(place, sizeof(place), "%s.at", where);
	if (at == NULL)
		return (0);
	if (!json_is_string(at))
		return (leased_err_set(err, LEASED_EINVAL, "%s: must be a JSON pointer", place));
	return (http_pointer_check(json_string_value(at), place, err));
}

int
http_answers_check(const json_t *answers, const char *where, struct leased_err *err)
{
	const json_t *rule;
	char place[100];
	size_t i;
	int r;

	if (!json_is_array(answers) || json_array_size(answers) > RULES_MAX)
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s: must be a list of at most %d rules {\"status\", \"at\", \"is\", "
		    "\"means\"}",
		    where, RULES_MAX));
	json_array_foreach(answers, i, rule)
	{
		(void)snprintf(place, sizeof(place), "%s[%zu]", where, i);
		if ((r = check_rule(rule, place, err)) != 0)
			return (r);
	}
	return (0);
}

/* ---- reading answers ---- */

static bool
status_fits(const json_t *status, long got)
{
	const json_t *one;
	size_t i;

	if (status == NULL || json_integer_value(status) == got)
		return (true);
	json_array_foreach(status, i, one)
	{
		if (json_integer_value(one) == got)
			return (true);
	}
	return (false);
}

static bool
rule_fits(const json_t *rule, long status, const json_t *body)
{
	const char *at = json_string_value(json_object_get(rule, "at")), *text;
	const json_t *is = json_object_get(rule, "is"), *contains, *value;

	if (!status_fits(json_object_get(rule, "status"), status))
		return (false);
	if (at == NULL)
		return (true);
	if ((value = http_pointer_get(body, at)) == NULL)
		return (false);
	if (is != NULL)
		return (json_equal(value, is) != 0);
	if ((contains = json_object_get(rule, "contains")) == NULL)
		return (true);
	text = json_string_value(value);
	return (text != NULL && strstr(text, json_string_value(contains)) != NULL);
}

/* "Not found" in something other than JSON, or in no word at all, is what a proxy, or a server that
 * knows no such path, says, and so is "OK" with a page for people: no word on the account, whose
 * access may be untouched. */
static enum http_meaning
status_means(long status, bool has_login, const json_t *body, bool is_other)
{
	if (status / 100 == 2)
		return (is_other ? HTTP_FAIL : HTTP_OK);
	switch (status) {
	case 401:
		return (has_login ? HTTP_EXPIRED : HTTP_DENIED);
	case 403:
		return (HTTP_DENIED);
	case 404:
	case 410:
		return (body == NULL ? HTTP_FAIL : HTTP_GONE);
	case 409:
		return (HTTP_EXISTS);
	case 408:
	case 425:
	case 429:
	case 500:
	case 502:
	case 503:
	case 504:
		return (HTTP_RETRY);
	default:
		return (HTTP_FAIL);
	}
}

enum http_meaning
http_answer_meaning(const struct http_config *config, const json_t *request, long status,
    const json_t *body, bool is_other)
{
	const json_t *lists[2] = {
	    json_object_get(request, "answers"), json_object_get(config->document, "answers")};
	const json_t *rule;
	enum http_meaning meaning;
	size_t i;

	for (unsigned k = 0; k < 2; k++)
		json_array_foreach(lists[k], i, rule)
		{
			if (rule_fits(rule, status, body) &&
			    find_meaning(
				json_string_value(json_object_get(rule, "means")), &meaning))
				return (meaning);
		}
	return (
	    status_means(status, http_config_requests(config, HTTP_LOGIN) != NULL, body, is_other));
}

/* ---- what people see ---- */

/* Every place where a secret stands in text becomes stars. */
static void
hide(char *text, const char *secret)
{
	size_t len = secret != NULL ? strlen(secret) : 0;

	if (len < 4)
		return; /* no secret has so few, and any word may have it */
	for (char *at = strstr(text, secret); at != NULL; at = strstr(at + len, secret))
		memset(at, '*', len);
}

static void
hide_all(char *text, const json_t *values)
{
	static const char *const single[] = {"password", "random", "kept"};
	static const char *const groups[] = {"values", "login", "connection"};
	const char *key;
	json_t *value;

	for (size_t i = 0; i < sizeof(single) / sizeof(single[0]); i++)
		hide(text, json_string_value(json_object_get(values, single[i])));
	for (size_t i = 0; i < sizeof(groups) / sizeof(groups[0]); i++)
		json_object_foreach(json_object_get(values, groups[i]), key, value)
		{
			if (strcmp(key, "username") != 0)
				hide(text, json_string_value(value));
		}
}

void
http_answer_text(const struct http_config *config, const json_t *request, const json_t *body,
    const json_t *values, char *ret_text, size_t size)
{
	const json_t *pointer = json_object_get(request, "error_text");
	const char *text;
	char *copy;

	ret_text[0] = '\0';
	if (pointer == NULL)
		pointer = json_object_get(config->document, "error_text");
	if (pointer == NULL ||
	    (text = json_string_value(http_pointer_get(body, json_string_value(pointer)))) ==
		NULL ||
	    (copy = strdup(text)) == NULL)
		return;
	hide_all(copy, values); /* before it is cut: half a secret would not be found */
	for (char *c = copy; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f)
			*c = ' ';
	(void)snprintf(ret_text, size, "%s", copy);
	free(copy);
}
