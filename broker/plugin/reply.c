/*
 * Reads messages of workers: envelope, errors, and the shape of each operation's result. Owns
 * nothing, calls nobody; worker.c feeds it, the fuzzer too.
 */
#include <string.h>

#include "plugin/reply_shape.h"

#define NAME_LEN_MAX 255
#define LIST_MAX 4096

static bool
is_absent_or_text(const json_t *value, size_t max)
{
	return (value == NULL || plugin_reply_is_text(value, max));
}

/* handle and server, where the account is there. */
static bool
has_good_marks(const json_t *object)
{
	return (is_absent_or_text(json_object_get(object, "handle"), REPLY_HANDLE_MAX) &&
		is_absent_or_text(json_object_get(object, "server"), REPLY_SERVER_MAX));
}

/* {"code":..,"text":..}. Only codes that PROTOCOL.md gives to plugins; the others mean things that
 * a worker cannot know. */
static int
read_error(const json_t *error, struct leased_err *ret_why, struct leased_err *err)
{
	static const char *const known[] = {"code", "text", NULL};
	const char *name = json_string_value(json_object_get(error, "code"));
	const char *text = json_string_value(json_object_get(error, "text"));
	int code;

	if (name == NULL || text == NULL)
		return (plugin_reply_broken(err, "an error without code or text"));
	code = leased_code_from_name(name);
	switch ((enum leased_code)code) {
	case LEASED_EINVAL:
	case LEASED_EDENIED:
	case LEASED_ENOENT:
	case LEASED_EEXIST:
	case LEASED_ELIMIT:
	case LEASED_ETOOBIG:
	case LEASED_EUNAVAIL:
	case LEASED_ETIMEDOUT:
	case LEASED_EREFUSED:
	case LEASED_EMOVED:
	case LEASED_EPROTO:
	case LEASED_ECANCELED:
	case LEASED_ENOMEM:
	case LEASED_EBUG:
		break;
	case LEASED_OK:
	case LEASED_EEXPIRED:
	case LEASED_ECRASHED:
	case LEASED_ESEALED:
	case LEASED_ENOSPC:
	case LEASED_EIO:
	case LEASED_ECORRUPT:
	case LEASED_ECONFLICT:
		code = LEASED_EBUG;
		break;
	}
	(void)leased_err_set(ret_why, code, "%s", text);
	return (plugin_reply_only_known(error, known, err));
}

static int
check_results(const json_t *result, unsigned count, struct leased_err *err)
{
	static const char *const known[] = {"results", NULL};
	static const char *const known_one[] = {"ok", "handle", "server", "error", NULL};
	const json_t *results = json_object_get(result, "results"), *one, *ok;
	struct leased_err why;
	size_t i;
	int r;

	if (!json_is_array(results) || json_array_size(results) != count)
		return (plugin_reply_broken(err, "a batch needs one result for each item"));
	json_array_foreach(results, i, one)
	{
		ok = json_object_get(one, "ok");
		if (!json_is_boolean(ok) || !has_good_marks(one))
			return (plugin_reply_broken(err, "a result of a batch is malformed"));
		if (json_is_false(ok) &&
		    (r = read_error(json_object_get(one, "error"), &why, err)) != 0)
			return (r);
		if ((r = plugin_reply_only_known(one, known_one, err)) != 0)
			return (r);
	}
	return (plugin_reply_only_known(result, known, err));
}

static bool
is_absent_or_boolean(const json_t *value)
{
	return (value == NULL || json_is_boolean(value));
}

static int
check_inventory(const json_t *result, struct leased_err *err)
{
	static const char *const known[] = {"accounts", "more", NULL};
	static const char *const known_one[] = {"name", "handle", "armed", "partial", NULL};
	const json_t *accounts = json_object_get(result, "accounts"), *one;
	size_t i;
	int r;

	if (!json_is_array(accounts) || json_array_size(accounts) > LIST_MAX ||
	    !json_is_boolean(json_object_get(result, "more")))
		return (plugin_reply_broken(err, "an inventory needs accounts and more"));
	if (json_is_true(json_object_get(result, "more")) && json_array_size(accounts) == 0)
		return (plugin_reply_broken(err, "an inventory that is empty and goes on"));
	json_array_foreach(accounts, i, one)
	{
		if (!plugin_reply_is_text(json_object_get(one, "name"), NAME_LEN_MAX) ||
		    !is_absent_or_text(json_object_get(one, "handle"), REPLY_HANDLE_MAX) ||
		    !json_is_boolean(json_object_get(one, "armed")) ||
		    !is_absent_or_boolean(json_object_get(one, "partial")))
			return (
			    plugin_reply_broken(err, "an account of an inventory is malformed"));
		if ((r = plugin_reply_only_known(one, known_one, err)) != 0)
			return (r);
	}
	return (plugin_reply_only_known(result, known, err));
}

static bool
is_list_of_texts(const json_t *list)
{
	const json_t *one;
	size_t i;

	if (!json_is_array(list) || json_array_size(list) > LIST_MAX)
		return (false);
	json_array_foreach(list, i, one) if (!plugin_reply_is_text(one, NAME_LEN_MAX)) return (
	    false);
	return (true);
}

static bool
is_dialect(const char *text)
{
	static const char *const dialects[] = {"postgresql", "mysql", "text", "none"};

	for (size_t i = 0; text != NULL && i < sizeof(dialects) / sizeof(dialects[0]); i++)
		if (strcmp(text, dialects[i]) == 0)
			return (true);
	return (false);
}

/* Fields beyond these are a newer plugin's and no mistake. */
static int
check_description(const json_t *result, struct leased_err *err)
{
	const json_t *fields = json_object_get(result, "config_fields"), *one;
	const json_t *needs = json_object_get(result, "role_needs");
	json_int_t name_max = json_integer_value(json_object_get(result, "name_max"));
	size_t i;

	if (json_integer_value(json_object_get(result, "protocol")) != 1)
		return (plugin_reply_broken(err, "it speaks another version than 1"));
	if (!plugin_reply_is_text(json_object_get(result, "name"), NAME_LEN_MAX) || name_max < 32 ||
	    name_max > NAME_LEN_MAX ||
	    !plugin_reply_is_text(json_object_get(result, "name_alphabet"), NAME_LEN_MAX) ||
	    !json_is_boolean(json_object_get(result, "native_expiry")) ||
	    !json_is_boolean(json_object_get(result, "default_statements")) ||
	    !is_dialect(json_string_value(json_object_get(result, "dialect"))) ||
	    !is_list_of_texts(json_object_get(result, "ops")) ||
	    !is_list_of_texts(json_object_get(result, "role_fields")) ||
	    (needs != NULL && !is_list_of_texts(needs)) || !json_is_array(fields))
		return (plugin_reply_broken(
		    err, "its description lacks a field, or one has a wrong type"));
	json_array_foreach(fields, i,
	    one) if (!plugin_reply_is_text(json_object_get(one, "name"), NAME_LEN_MAX) ||
		     !json_is_boolean(json_object_get(one, "secret")) ||
		     !json_is_boolean(
			 json_object_get(one, "required"))) return (plugin_reply_broken(err,
	    "its description has a malformed config field"));
	return (0);
}

static bool
are_good_warnings(const json_t *warnings)
{
	const json_t *one;
	size_t i;

	if (warnings == NULL)
		return (true);
	if (!json_is_array(warnings) || json_array_size(warnings) > REPLY_WARNINGS_MAX)
		return (false);
	json_array_foreach(
	    warnings, i, one) if (!plugin_reply_is_text(one, REPLY_WARNING_MAX)) return (false);
	return (true);
}

static int
check_open(const json_t *result, struct leased_err *err)
{
	static const char *const known[] = {"server", "server_time", "endpoint", "native_expiry",
	    "password", "volatile", "warnings", NULL};
	const json_t *endpoint = json_object_get(result, "endpoint");

	if (!plugin_reply_is_text(json_object_get(result, "server"), REPLY_SERVER_MAX) ||
	    !is_absent_or_text(json_object_get(result, "server_time"), REPLY_SERVER_MAX))
		return (plugin_reply_broken(err, "open must name the server"));
	if (endpoint != NULL && !json_is_object(endpoint))
		return (plugin_reply_broken(err, "the endpoint of open must be an object"));
	if (!is_absent_or_boolean(json_object_get(result, "native_expiry")) ||
	    !is_absent_or_boolean(json_object_get(result, "password")) ||
	    !is_absent_or_boolean(json_object_get(result, "volatile")))
		return (plugin_reply_broken(
		    err, "native_expiry, password and volatile of open must be true or false"));
	if (!are_good_warnings(json_object_get(result, "warnings")))
		return (plugin_reply_broken(err, "the warnings of open must be a few short texts"));
	return (plugin_reply_only_known(result, known, err));
}

/* A secret for the client; its names go into an answer. */
static bool
are_good_values(const json_t *values)
{
	const json_t *value;
	const char *name;
	size_t len = 0;

	if (values == NULL)
		return (true);
	if (!json_is_object(values) || json_object_size(values) > REPLY_VALUES_MAX)
		return (false);
	json_object_foreach((json_t *)(uintptr_t)values, name, value)
	{
		size_t name_len = strlen(name);

		if (!json_is_string(value) || name_len < 1 || name_len > REPLY_VALUE_NAME_MAX ||
		    strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_") != name_len)
			return (false);
		len += name_len + json_string_length(value);
	}
	return (len <= REPLY_VALUES_LEN_MAX);
}

static int
check_mint(const json_t *result, struct leased_err *err)
{
	static const char *const known[] = {"handle", "server", "values", "kept", NULL};

	if (!has_good_marks(result))
		return (plugin_reply_broken(err, "a handle or server is malformed"));
	if (!are_good_values(json_object_get(result, "values")))
		return (plugin_reply_broken(
		    err, "the values of a mint are malformed, too many or too long"));
	if (!is_absent_or_text(json_object_get(result, "kept"), PLUGIN_KEPT_MAX))
		return (plugin_reply_broken(
		    err, "what a mint wants kept must be a text of 1 to 4096 bytes"));
	return (plugin_reply_only_known(result, known, err));
}

static int
check_result(const json_t *result, const struct reply_expected *expected, struct leased_err *err)
{
	static const char *const known_none[] = {NULL};
	static const char *const known_marks[] = {"handle", "server", NULL};
	static const char *const known_ping[] = {"incarnation", NULL};
	static const char *const known_renew[] = {"kept", NULL};

	switch (expected->op) {
	case PLUGIN_OP_DESCRIBE:
		return (check_description(result, err));
	case PLUGIN_OP_OPEN:
		return (check_open(result, err));
	case PLUGIN_OP_MINT:
		return (check_mint(result, err));
	case PLUGIN_OP_SET_PASSWORD:
		if (!has_good_marks(result))
			return (plugin_reply_broken(err, "a handle or server is malformed"));
		return (plugin_reply_only_known(result, known_marks, err));
	case PLUGIN_OP_DISARM:
	case PLUGIN_OP_REMOVE:
	case PLUGIN_OP_REAP:
		return (check_results(result, expected->count, err));
	case PLUGIN_OP_INVENTORY:
		return (check_inventory(result, err));
	case PLUGIN_OP_PING:
		if (!is_absent_or_text(json_object_get(result, "incarnation"), REPLY_SERVER_MAX))
			return (plugin_reply_broken(err, "the incarnation of a ping is malformed"));
		return (plugin_reply_only_known(result, known_ping, err));
	case PLUGIN_OP_GENERATE:
	case PLUGIN_OP_IMPORT:
	case PLUGIN_OP_INSPECT:
	case PLUGIN_OP_CERTIFY:
	case PLUGIN_OP_KRL:
	case PLUGIN_OP_PUSH:
	case PLUGIN_OP_SIGN:
		return (plugin_reply_keys(expected->op, result, err));
	case PLUGIN_OP_RENEW:
		if (!is_absent_or_text(json_object_get(result, "kept"), PLUGIN_KEPT_MAX))
			return (plugin_reply_broken(
			    err, "what is to be kept of a renewal is malformed"));
		return (plugin_reply_only_known(result, known_renew, err));
	case PLUGIN_OP_CHECK:
		return (plugin_reply_only_known(result, known_none, err));
	}
	return (plugin_reply_broken(err, "a reply to nothing"));
}

static int
read_outcome(const json_t *message, const struct reply_expected *expected, struct reply *ret_reply,
    struct leased_err *err)
{
	static const char *const known[] = {"v", "id", "op", "ok", "result", "error", "sent", NULL};
	const json_t *ok = json_object_get(message, "ok");
	const json_t *sent = json_object_get(message, "sent");
	int r;

	if (expected->id == 0 || json_integer_value(json_object_get(message, "id")) != expected->id)
		return (plugin_reply_broken(err, "a reply that nobody waits for"));
	if (!json_is_boolean(ok) || (sent != NULL && !json_is_boolean(sent)))
		return (plugin_reply_broken(err, "a reply without ok, or with a malformed sent"));
	if ((r = plugin_reply_only_known(message, known, err)) != 0)
		return (r);
	ret_reply->kind = REPLY_OUTCOME;
	if (json_is_true(ok)) {
		ret_reply->result = json_object_get(message, "result");
		if (!json_is_object(ret_reply->result))
			return (plugin_reply_broken(err, "a good reply without a result"));
		return (check_result(ret_reply->result, expected, err));
	}
	ret_reply->not_sent = json_is_false(sent);
	r = read_error(json_object_get(message, "error"), &ret_reply->err, err);
	ret_reply->code = ret_reply->err.code;
	return (r);
}

static int
read_session(const json_t *message, const char *op, const struct reply_expected *expected,
    struct reply *ret_reply, struct leased_err *err)
{
	static const char *const known[] = {"v", "id", "op", "session", NULL};
	const json_t *session = json_object_get(message, "session");

	if (!plugin_reply_is_text(session, REPLY_SESSION_MAX))
		return (plugin_reply_broken(err, "a session without a name of 1 to 128 bytes"));
	ret_reply->session = json_string_value(session);
	ret_reply->kind = strcmp(op, "session") == 0 ? REPLY_SESSION : REPLY_SESSION_END;
	if (ret_reply->kind == REPLY_SESSION &&
	    (expected->id == 0 ||
		json_integer_value(json_object_get(message, "id")) != expected->id))
		return (plugin_reply_broken(err, "a session outside of a call"));
	return (plugin_reply_only_known(message, known, err));
}

int
plugin_reply_read(const json_t *message, const struct reply_expected *expected,
    struct reply *ret_reply, struct leased_err *err)
{
	const char *op = json_string_value(json_object_get(message, "op"));
	struct reply reply = {0};
	int r;

	if (json_integer_value(json_object_get(message, "v")) != 1 || op == NULL)
		return (plugin_reply_broken(err, "a message without version 1 or op"));
	if (strcmp(op, "session") == 0 || strcmp(op, "session_end") == 0)
		r = read_session(message, op, expected, &reply, err);
	else if (expected->id != 0 && strcmp(op, plugin_op_name(expected->op)) != 0)
		r = plugin_reply_broken(err, "a reply to another operation");
	else
		r = read_outcome(message, expected, &reply, err);
	if (r == 0)
		*ret_reply = reply;
	return (r);
}
