/*
 * What a handler may do with its call: time left, sessions, and the shape of params. Owns nothing;
 * talks on the stream for a session's answer only.
 */
#include <string.h>
#include <time.h>

#include "base/failpoint.h"
#include "sdk.h"

int64_t
sdk_boot_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_BOOTTIME, &now);
	return ((int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000);
}

int
leased_call_remaining_ms(const struct leased_call *call)
{
	int64_t left = call->private_data->deadline_ms - sdk_boot_ms();

	return (left > 0 ? (int)left : 0);
}

/* The daemon's answer: {"v":1,"op":"session","id":..,"ok":true}, or false with an error. Anything
 * else on the stream now is a broken daemon. */
static int
read_answer(const json_t *answer, json_int_t id, struct leased_err *err)
{
	const json_t *ok = json_object_get(answer, "ok"), *error;
	const char *op = json_string_value(json_object_get(answer, "op"));
	const char *code, *text;

	if (json_integer_value(json_object_get(answer, "v")) != SDK_VERSION || op == NULL ||
	    strcmp(op, "session") != 0 || json_integer_value(json_object_get(answer, "id")) != id ||
	    !json_is_boolean(ok)) {
		(void)leased_err_set(err, LEASED_EPROTO, "expected the answer to a session");
		sdk_exit(1, err);
	}
	if (json_is_true(ok))
		return (0);
	error = json_object_get(answer, "error");
	code = json_string_value(json_object_get(error, "code"));
	text = json_string_value(json_object_get(error, "text"));
	return (leased_err_set(err,
	    code != NULL && leased_code_from_name(code) != 0 ? leased_code_from_name(code)
							     : LEASED_ECANCELED,
	    "%s", text != NULL ? text : "the daemon refused the session"));
}

int
leased_session_begin(struct leased_call *call, const char *id, struct leased_err *err)
{
	json_int_t call_id = call->private_data->id;
	json_t *message, *answer = NULL;
	int r;

	message = json_pack(
	    "{s:i,s:s,s:I,s:s}", "v", SDK_VERSION, "op", "session", "id", call_id, "session", id);
	if (message == NULL)
		return (leased_err_set(err, LEASED_EINVAL, "a session's id must be UTF-8"));
	FAILPOINT(worker_session_begin);
	r = frame_write(SDK_FD, message, err);
	json_decref(message);
	if (r == 0)
		r = frame_read(SDK_FD, &sdk_reader, &answer, err);
	if (r != 0)
		sdk_exit(r == LEASED_ECANCELED ? 0 : 1, err);
	r = read_answer(answer, call_id, err);
	json_decref(answer);
	FAILPOINT(worker_session_acked);
	return (r);
}

void
leased_session_end(const char *id)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *message =
	    json_pack("{s:i,s:s,s:s}", "v", SDK_VERSION, "op", "session_end", "session", id);

	if (message == NULL)
		return; /* a hint */
	if (frame_write(SDK_FD, message, &err) != 0)
		sdk_exit(1, &err);
	json_decref(message);
}

static int
check_account(const json_t *account, struct leased_err *err)
{
	static const char *const texts[] = {"handle", "server", "kept", "expires"};
	const char *name = json_string_value(json_object_get(account, "name"));

	if (name == NULL || *name == '\0')
		return (leased_err_set(err, LEASED_EINVAL, "an account needs a name"));
	if (!json_is_object(json_object_get(account, "role")))
		return (leased_err_set(err, LEASED_EINVAL, "an account needs its role, an object"));
	for (unsigned i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		const json_t *value = json_object_get(account, texts[i]);

		if (value != NULL && !json_is_string(value))
			return (leased_err_set(
			    err, LEASED_EINVAL, "%s of an account is a string", texts[i]));
	}
	return (0);
}

/* 1 to 64 of them. */
static int
check_list(const char *field, const json_t *list, struct leased_err *err)
{
	const json_t *item;
	size_t i;
	int r;

	if (json_array_size(list) < 1 || json_array_size(list) > SDK_ACCOUNTS_MAX)
		return (leased_err_set(
		    err, LEASED_EINVAL, "%s holds 1 to %d items", field, SDK_ACCOUNTS_MAX));
	json_array_foreach(list, i, item)
	{
		if (strcmp(field, "accounts") == 0) {
			if ((r = check_account(item, err)) != 0)
				return (r);
		} else if (!json_is_string(item)) {
			return (leased_err_set(err, LEASED_EINVAL, "%s holds strings", field));
		}
	}
	return (0);
}

static bool
is_object_field(const char *field)
{
	static const char *const objects[] = {
	    "config", "claims", "certificate", "krl", "host", "identity"};

	for (unsigned i = 0; i < sizeof(objects) / sizeof(objects[0]); i++)
		if (strcmp(objects[i], field) == 0)
			return (true);
	return (false);
}

int
sdk_check_params(const json_t *params, const char *const fields[4], struct leased_err *err)
{
	const char *text;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < 4 && fields[i] != NULL; i++) {
		const json_t *value = json_object_get(params, fields[i]);

		if (strcmp(fields[i], "account") == 0)
			r = check_account(value, err);
		else if (strcmp(fields[i], "accounts") == 0 || strcmp(fields[i], "sessions") == 0)
			r = check_list(fields[i], value, err);
		else if (!is_object_field(fields[i]))
			r = leased_get_string(params, fields[i], &text, err);
		else if (!json_is_object(value))
			r = leased_err_set(err, LEASED_EINVAL, "%s must be an object", fields[i]);
	}
	return (r);
}
