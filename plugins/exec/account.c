/*
 * The operations on accounts: each a run of the command, whose answer is checked before it is
 * handed on. Called through the plugin's table.
 */
#include <stdlib.h>
#include <string.h>

#include "exec.h"

#define PAGE 256
#define MARGIN_MS 300
#define HANDLE_MAX 64
#define KEPT_MAX 4096
#define VALUES_MAX 16384

static int
no_memory(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static bool
has_op(const struct exec *exec, enum exec_op op)
{
	return ((exec->config->ops & 1u << op) != 0);
}

static int
check_account(const struct exec *exec, const json_t *account, struct leased_err *err)
{
	const char *name = leased_get_string_optional(account, "name");
	const char *made_on = leased_get_string_optional(account, "server");

	if (name == NULL || name[0] == '\0' || strlen(name) > EXEC_NAME_MAX)
		return (leased_err_set(
		    err, LEASED_EINVAL, "the name of an account has 1 to %d bytes", EXEC_NAME_MAX));
	if (made_on != NULL && strcmp(made_on, exec->server) != 0)
		return (leased_err_set(err, LEASED_EMOVED,
		    "the account was made on another server (%s) than this one (%s)", made_on,
		    exec->server));
	return (0);
}

/* A command that says which server it works on is asked before anything depends on it. */
static int
same_server(struct exec *exec, struct leased_call *call, struct leased_err *err)
{
	return (exec->has_identity ? exec_identify(exec, call, err) : 0);
}

/* ---- mint ---- */

static int
copy_text(json_t *to, const json_t *result, const char *field, size_t max, struct leased_err *err)
{
	json_t *value = json_object_get(result, field);

	if (value == NULL)
		return (0);
	if (json_string_length(value) == 0 || json_string_length(value) > max)
		return (leased_err_set(
		    err, LEASED_EREFUSED, "mint: %s must be a text of 1 to %zu bytes", field, max));
	return (json_object_set(to, field, value) == 0 ? 0 : no_memory(err));
}

static int
copy_values(json_t *to, const json_t *result, struct leased_err *err)
{
	json_t *values = json_object_get(result, "values"), *value;
	const char *name;
	size_t len = 0;
	bool bad = !json_is_object(values) || json_object_size(values) > 16;

	if (values == NULL)
		return (0);
	json_object_foreach(values, name, value)
	{
		bad |= !json_is_string(value) || name[0] == '\0' || strlen(name) > 64 ||
		       name[strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_")] != '\0';
		len += strlen(name) + json_string_length(value);
	}
	if (bad || len > VALUES_MAX)
		return (leased_err_set(err, LEASED_EREFUSED,
		    "mint: values must be at most 16 texts of 16 KiB in all, under names of a-z, "
		    "0-9 and _"));
	return (json_object_set(to, "values", values) == 0 ? 0 : no_memory(err));
}

int
exec_mint(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct exec *exec = exec_from(ctx);
	const json_t *account = json_object_get(call->params, "account");
	json_t *result = NULL;
	int r;

	if ((r = check_account(exec, account, err)) != 0 ||
	    (r = same_server(exec, call, err)) != 0 ||
	    (r = exec_call(exec, call, EXEC_MINT, account, &result, err)) != 0)
		return (r);
	if ((r = copy_text(call->result, result, "handle", HANDLE_MAX, err)) == 0 &&
	    (r = copy_text(call->result, result, "kept", KEPT_MAX, err)) == 0 &&
	    (r = copy_values(call->result, result, err)) == 0 &&
	    json_object_set_new(call->result, "server", json_string(exec->server)) != 0)
		r = no_memory(err);
	json_decref(result);
	return (r);
}

/* ---- renew, check ---- */

static int
run_one(void *ctx, struct leased_call *call, enum exec_op op, struct leased_err *err)
{
	struct exec *exec = exec_from(ctx);
	const json_t *account = json_object_get(call->params, "account");
	int r;

	if ((r = check_account(exec, account, err)) != 0 || !has_op(exec, op) ||
	    (r = same_server(exec, call, err)) != 0)
		return (r);
	return (exec_call(exec, call, op, account, NULL, err));
}

int
exec_renew(void *ctx, struct leased_call *call, struct leased_err *err)
{
	return (run_one(ctx, call, EXEC_RENEW, err));
}

int
exec_check(void *ctx, struct leased_call *call, struct leased_err *err)
{
	return (run_one(ctx, call, EXEC_CHECK, err));
}

/* ---- disarm, remove ---- */

/* Gone already is success. */
static int
end_one(struct exec *exec, struct leased_call *call, enum exec_op op, const json_t *account,
    json_t **ret_result, struct leased_err *err)
{
	int r;

	if ((r = check_account(exec, account, err)) != 0)
		return (r);
	if (leased_call_remaining_ms(call) < MARGIN_MS)
		return (
		    leased_err_set(err, LEASED_ETIMEDOUT, "no time was left; it is tried again"));
	if ((r = exec_call(exec, call, op, account, ret_result, err)) != LEASED_ENOENT)
		return (r);
	*err = (struct leased_err)LEASED_ERR_INIT;
	return (0);
}

static int
end_all(void *ctx, struct leased_call *call, enum exec_op op, struct leased_err *err)
{
	struct exec *exec = exec_from(ctx);
	const json_t *accounts = json_object_get(call->params, "accounts"), *account;
	struct leased_err why;
	json_t *result, *fields, *handle;
	size_t i;
	int r;

	if ((r = same_server(exec, call, err)) != 0)
		return (r);
	json_array_foreach(accounts, i, account)
	{
		why = (struct leased_err)LEASED_ERR_INIT;
		result = NULL;
		r = end_one(exec, call, op, account, &result, &why);
		if (i == 0 && (r == LEASED_EUNAVAIL || r == LEASED_ETIMEDOUT)) {
			*err = why; /* nothing can be said of any */
			return (r);
		}
		if (r != 0) {
			leased_result_failed(call, &why);
			continue;
		}
		fields = leased_result_ok(call);
		handle = json_object_get(result, "handle");
		if (op == EXEC_DISARM && json_string_length(handle) > 0 &&
		    json_string_length(handle) <= HANDLE_MAX &&
		    (json_object_set(fields, "handle", handle) != 0 ||
			json_object_set_new(fields, "server", json_string(exec->server)) != 0)) {
			json_decref(result);
			return (no_memory(err));
		}
		json_decref(result);
	}
	return (0);
}

int
exec_disarm(void *ctx, struct leased_call *call, struct leased_err *err)
{
	return (end_all(ctx, call, EXEC_DISARM, err));
}

int
exec_remove(void *ctx, struct leased_call *call, struct leased_err *err)
{
	return (end_all(ctx, call, EXEC_REMOVE, err));
}

/* ---- inventory ---- */

static int
compare(const void *a, const void *b)
{
	const json_t *const *one = a, *const *other = b;

	return (strcmp(
	    leased_get_string_optional(*one, "name"), leased_get_string_optional(*other, "name")));
}

/* One of the command's accounts as PROTOCOL.md has it; NULL: out of memory. */
static json_t *
listed(const json_t *one)
{
	const json_t *handle = json_object_get(one, "handle");
	json_t *entry = json_pack("{s:s, s:b}", "name", leased_get_string_optional(one, "name"),
	    "armed", !json_is_false(json_object_get(one, "armed")));

	if (entry != NULL && json_string_length(handle) > 0 &&
	    json_string_length(handle) <= HANDLE_MAX &&
	    json_object_set(entry, "handle", (json_t *)(uintptr_t)handle) != 0) {
		json_decref(entry);
		return (NULL);
	}
	return (entry);
}

static int
put_page(json_t *result, json_t **ours, size_t count, bool has_more, struct leased_err *err)
{
	json_t *page = json_array();
	int bad = page == NULL;

	for (size_t i = 0; i < count && i < PAGE; i++)
		bad |= json_array_append_new(page, listed(ours[i]));
	bad |= json_object_set_new(result, "accounts", page);
	bad |= json_object_set_new(result, "more", json_boolean(count > PAGE || has_more));
	return (bad == 0 ? 0 : no_memory(err));
}

/* Those of ours behind after, by their names. */
static int
select_ours(const json_t *all, const char *tag, const char *after, json_t **ours, size_t *ret_count,
    struct leased_err *err)
{
	char prefix[80];
	const char *name;
	json_t *one;
	size_t i;

	(void)snprintf(prefix, sizeof(prefix), "l-%s-", tag);
	*ret_count = 0;
	json_array_foreach(all, i, one)
	{
		if ((name = leased_get_string_optional(one, "name")) == NULL)
			return (leased_err_set(
			    err, LEASED_EREFUSED, "inventory: an account has no name"));
		if (strncmp(name, prefix, strlen(prefix)) == 0 &&
		    (after == NULL || strcmp(name, after) > 0))
			ours[(*ret_count)++] = one;
	}
	qsort(ours, *ret_count, sizeof(*ours), compare);
	return (0);
}

int
exec_inventory(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct exec *exec = exec_from(ctx);
	const char *after = leased_get_string_optional(call->params, "after"), *tag = NULL;
	json_t *result = NULL, *all, **ours = NULL;
	bool has_more;
	size_t count;
	int r;

	if ((r = leased_get_string(call->params, "tag", &tag, err)) != 0)
		return (r);
	if (tag[0] == '\0' || strlen(tag) > 64)
		return (leased_err_set(err, LEASED_EINVAL, "\"tag\" has 1 to 64 bytes"));
	if (!has_op(exec, EXEC_INVENTORY))
		return (leased_err_set(err, LEASED_EINVAL,
		    "the command has no inventory (operations of the configuration): its accounts "
		    "cannot be listed"));
	if ((r = same_server(exec, call, err)) != 0 ||
	    (r = exec_call(exec, call, EXEC_INVENTORY, NULL, &result, err)) != 0)
		return (r);
	all = json_object_get(result, "accounts");
	has_more = json_is_true(json_object_get(result, "more"));
	if (!json_is_array(all))
		r = leased_err_set(err, LEASED_EREFUSED, "inventory: the answer has no accounts");
	else if ((ours = calloc(json_array_size(all) + 1, sizeof(*ours))) == NULL)
		r = no_memory(err);
	else if ((r = select_ours(all, tag, after, ours, &count, err)) == 0 && has_more &&
		 count == 0)
		r = leased_err_set(err, LEASED_EREFUSED,
		    "inventory: \"more\" is true, and there is no account of the tag behind "
		    "\"after\" in the answer: leave out those of others");
	else if (r == 0)
		r = put_page(call->result, ours, count, has_more, err);
	free(ours);
	json_decref(result);
	return (r);
}
