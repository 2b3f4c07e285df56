/*
 * Disarm and remove: by the requests that end access and that clean up. Most APIs know one step,
 * which revoke is then; remove makes sure of it. Called through the plugin's table.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "http.h"

#define ACCOUNTS_MAX 64
/* A request that was cut off may still be worked on, behind a proxy or a slow hash of a password.
 */
#define SETTLE_MS 500
#define MARGIN_MS 300

struct ending {
	const json_t *account;
	struct leased_err err; /* code 0: it has ended */
	bool was_gone;
};

static int
no_memory(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

/* can_revoke = false: until the end that the backend was told. */
static int
wait_for_end(const json_t *account, struct leased_err *err)
{
	const char *expires = leased_get_string_optional(account, "expires");
	struct tm tm = {0};

	if (expires == NULL)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "this backend cannot revoke, and the end of this account is not known; it ends "
		    "by itself"));
	if (strptime(expires, "%Y-%m-%dT%H:%M:%S", &tm) != NULL && timegm(&tm) <= time(NULL))
		return (0);
	return (leased_err_set(err, LEASED_EREFUSED,
	    "this backend cannot revoke: the account ends by itself at %.40s", expires));
}

/* What only create's answer told is missing where that answer was lost. */
static int
complete(struct http *http, struct leased_call *call, enum http_kind kind, const json_t *account,
    json_t *values, struct leased_err *err)
{
	const json_t *requests = http_config_requests(http->config, kind);

	if (http_template_uses(requests, "kept") && json_object_get(values, "kept") == NULL)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "what revokes this account was in an answer that was lost: end it by hand at "
		    "the backend, then abandon its lease"));
	if (!http_template_uses(requests, "handle") || json_object_get(values, "handle") != NULL)
		return (0);
	if (http_config_requests(http->config, HTTP_LOOKUP) == NULL &&
	    http_config_requests(http->config, HTTP_INVENTORY) == NULL)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "the backend's id of this account was in an answer that was lost, and without "
		    "lookup or inventory nobody finds it by its name: end it by hand"));
	return (http_find(http, call, account, values, err));
}

static void
end_one(struct http *http, struct leased_call *call, enum http_kind kind, struct ending *ending)
{
	struct leased_err *err = &ending->err;
	enum http_meaning meaning;
	json_t *values = NULL;
	int r;

	*err = (struct leased_err)LEASED_ERR_INIT;
	if (http_account_check(http, ending->account, err) != 0)
		return;
	if (kind == HTTP_REVOKE && !http->config->can_revoke) {
		(void)wait_for_end(ending->account, err);
		return;
	}
	if (leased_call_remaining_ms(call) < MARGIN_MS) {
		(void)leased_err_set(err, LEASED_ETIMEDOUT, "no time was left; it is tried again");
		return;
	}
	if ((values = http_values_new(http, ending->account, NULL)) == NULL) {
		(void)no_memory(err);
		return;
	}
	r = complete(http, call, kind, ending->account, values, err);
	if (r == 0)
		r = http_exchange_all(http, call, kind, values, &meaning, err);
	json_decref(values);
	if (r == LEASED_ENOENT) { /* gone already is success */
		*err = (struct leased_err)LEASED_ERR_INIT;
		ending->was_gone = true;
	}
}

static bool
is_unreachable(int code)
{
	return (code == LEASED_EUNAVAIL || code == LEASED_ETIMEDOUT);
}

/* One after the other. A server that does not answer is not asked again for each. */
static void
end_all(struct http *http, struct leased_call *call, enum http_kind kind, struct ending *endings,
    size_t count)
{
	for (size_t i = 0; i < count; i++) {
		end_one(http, call, kind, &endings[i]);
		if (!is_unreachable(endings[i].err.code))
			continue;
		for (size_t k = i + 1; k < count; k++)
			endings[k].err = endings[i].err;
		return;
	}
}

/* An account whose mint nobody knows the end of may appear yet. */
static void
look_again(struct http *http, struct leased_call *call, enum http_kind kind, struct ending *endings,
    size_t count)
{
	struct timespec pause = {SETTLE_MS / 1000, SETTLE_MS % 1000 * 1000000L};
	bool has_slept = false;

	if (kind != HTTP_REVOKE || leased_call_remaining_ms(call) < 2 * SETTLE_MS)
		return;
	for (size_t i = 0; i < count; i++) {
		if (!endings[i].was_gone || json_object_get(endings[i].account, "server") != NULL)
			continue;
		if (!has_slept)
			(void)nanosleep(&pause, NULL);
		has_slept = true;
		end_one(http, call, kind, &endings[i]);
	}
}

static int
put_result(const struct http *http, struct leased_call *call, enum http_kind kind,
    const struct ending *ending, struct leased_err *err)
{
	const json_t *handle = json_object_get(ending->account, "handle");
	json_t *result;

	if (ending->err.code != 0) {
		leased_result_failed(call, &ending->err);
		return (0);
	}
	result = leased_result_ok(call);
	if (kind == HTTP_REMOVE || ending->was_gone)
		return (0);
	if (json_object_set_new(result, "server", json_string(http->server)) != 0 ||
	    (handle != NULL && json_object_set(result, "handle", (json_t *)(uintptr_t)handle) != 0))
		return (no_memory(err));
	return (0);
}

static int
end_accounts(
    struct http *http, struct leased_call *call, enum http_kind kind, struct leased_err *err)
{
	const json_t *accounts = json_object_get(call->params, "accounts"), *account;
	struct ending *endings = calloc(ACCOUNTS_MAX, sizeof(*endings));
	size_t count = json_array_size(accounts), i;
	int r = 0;

	if (endings == NULL || count > ACCOUNTS_MAX) {
		free(endings);
		return (no_memory(err));
	}
	json_array_foreach(accounts, i, account) endings[i].account = account;
	if ((r = http_identify(http, call, err)) != 0)
		goto out;
	end_all(http, call, kind, endings, count);
	if (is_unreachable(endings[0].err.code)) {
		*err = endings[0].err; /* nothing can be said of any */
		r = err->code;
		goto out;
	}
	look_again(http, call, kind, endings, count);
	for (i = 0; r == 0 && i < count; i++)
		r = put_result(http, call, kind, &endings[i], err);
out:
	free(endings);
	return (r);
}

int
http_disarm(void *ctx, struct leased_call *call, struct leased_err *err)
{
	return (end_accounts(http_from(ctx), call, HTTP_REVOKE, err));
}

int
http_remove(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct http *http = http_from(ctx);
	bool has_remove = http_config_requests(http->config, HTTP_REMOVE) != NULL;

	return (end_accounts(http, call, has_remove ? HTTP_REMOVE : HTTP_REVOKE, err));
}
