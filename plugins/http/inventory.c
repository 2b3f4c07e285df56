/*
 * Inventory: of all that the backend lists, the accounts that carry the store's tag. Reads only.
 * Called through the plugin's table, and by who looks for one account.
 */
#include <stdlib.h>
#include <string.h>

#include "http.h"

#define PAGE 256

/* The list of an answer; one that is not there is empty, since many APIs leave empty ones out. */
static int
find_items(const json_t *request, const json_t *body, json_t **ret_items, struct leased_err *err)
{
	const char *pointer = json_string_value(json_object_get(request, "items"));
	char parent[256], *slash;

	*ret_items = http_pointer_get(body, pointer != NULL ? pointer : "");
	if (json_is_array(*ret_items))
		return (0);
	if (pointer != NULL && (*ret_items == NULL || json_is_null(*ret_items))) {
		(void)snprintf(parent, sizeof(parent), "%s", pointer);
		if ((slash = strrchr(parent, '/')) != NULL)
			*slash = '\0';
		*ret_items = NULL;
		if (json_is_object(http_pointer_get(body, parent)))
			return (0);
	}
	return (leased_err_set(err, LEASED_EREFUSED,
	    "inventory: the answer has no list at \"%s\" (items)", pointer != NULL ? pointer : ""));
}

static int
add_account(const json_t *request, const json_t *item, json_t *accounts, struct leased_err *err)
{
	const json_t *values = json_object_get(request, "values");
	const char *at = json_string_value(json_object_get(values, "name"));
	const char *handle_at = json_string_value(json_object_get(values, "handle"));
	const json_t *name = http_pointer_get(item, at != NULL ? at : "");
	json_t *account = json_object();
	char *handle = NULL;
	int bad;

	if (account == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	if (!json_is_string(name)) {
		json_decref(account);
		return (leased_err_set(err, LEASED_EREFUSED,
		    "inventory: an item has no name at \"%s\" (values.name)",
		    at != NULL ? at : ""));
	}
	bad = json_object_set(account, "name", (json_t *)(uintptr_t)name);
	if (handle_at != NULL)
		handle = http_value_text(http_pointer_get(item, handle_at));
	if (handle != NULL && strlen(handle) <= HTTP_HANDLE_MAX)
		bad |= json_object_set_new(account, "handle", json_string(handle));
	free(handle);
	bad |= json_array_append_new(accounts, account);
	return (bad == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

int
http_list(
    struct http *http, struct leased_call *call, json_t **ret_accounts, struct leased_err *err)
{
	const json_t *request =
	    json_array_get(http_config_requests(http->config, HTTP_INVENTORY), 0);
	json_t *values = http_values_new(http, NULL, NULL), *accounts = json_array(), *items;
	json_t *body = NULL, *item;
	size_t i;
	int r;

	if (values == NULL || accounts == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	r = http_exchange(
	    http, call, HTTP_INVENTORY, request, values, "inventory", &body, NULL, err);
	if ((r = http_not_of_account(r, err)) != 0 ||
	    (r = find_items(request, body, &items, err)) != 0)
		goto out;
	json_array_foreach(items, i, item)
	{
		if ((r = add_account(request, item, accounts, err)) != 0)
			goto out;
	}
	*ret_accounts = accounts;
	accounts = NULL;
out:
	json_decref(values);
	json_decref(body);
	json_decref(accounts);
	return (r);
}

/* ---- a page of ours ---- */

static int
compare(const void *a, const void *b)
{
	const json_t *const *one = a, *const *other = b;

	return (strcmp(
	    leased_get_string_optional(*one, "name"), leased_get_string_optional(*other, "name")));
}

static int
put_page(json_t *result, json_t **ours, size_t count, const char *after, struct leased_err *err)
{
	json_t *page = json_array();
	size_t given = 0, i;
	int bad = page == NULL;

	for (i = 0; i < count; i++) {
		if (after != NULL &&
		    strcmp(leased_get_string_optional(ours[i], "name"), after) <= 0)
			continue;
		if (given == PAGE)
			break;
		bad |= json_object_set_new(ours[i], "armed", json_true());
		bad |= json_array_append(page, ours[i]);
		given++;
	}
	bad |= json_object_set_new(result, "accounts", page);
	bad |= json_object_set_new(result, "more", json_boolean(i < count));
	return (bad == 0 ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

int
http_inventory(void *ctx, struct leased_call *call, struct leased_err *err)
{
	struct http *http = http_from(ctx);
	const char *after = leased_get_string_optional(call->params, "after"), *tag = NULL;
	json_t *all = NULL, *one, **ours = NULL;
	size_t count = 0, i;
	char prefix[80];
	int r;

	if ((r = leased_get_string(call->params, "tag", &tag, err)) != 0)
		return (r);
	if (tag[0] == '\0' || strlen(tag) > 64)
		return (leased_err_set(err, LEASED_EINVAL, "\"tag\" has 1 to 64 bytes"));
	if (http_config_requests(http->config, HTTP_INVENTORY) == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "the connection has no inventory: without such a request its accounts cannot "
		    "be listed"));
	(void)snprintf(prefix, sizeof(prefix), "l-%s-", tag);
	if ((r = http_identify(http, call, err)) != 0 ||
	    (r = http_list(http, call, &all, err)) != 0)
		return (r);
	if ((ours = calloc(json_array_size(all) + 1, sizeof(*ours))) == NULL) {
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		goto out;
	}
	json_array_foreach(all, i, one)
	{
		if (strncmp(leased_get_string_optional(one, "name"), prefix, strlen(prefix)) == 0)
			ours[count++] = one;
	}
	qsort(ours, count, sizeof(*ours), compare);
	r = put_page(call->result, ours, count, after, err);
out:
	free(ours);
	json_decref(all);
	return (r);
}
