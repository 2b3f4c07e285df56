/*
 * Policies as documents, and compiled sets of them: the identities that hold the same policies
 * share one ACL, a bounded number is kept, and a write of a policy drops those that hold it. What a
 * policy says is policy/'s business; how many rules there may be is said here, since the loop
 * parses and merges them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "auth/auth_private.h"

#define POLICY_KIND "policy"

_Static_assert(AUTH_NAME_MAX + 1 == POLICY_NAME_SIZE, "one limit for names of policies");

/* ---- names ---- */

int
auth_policy_normalize(const char *name, char ret_name[AUTH_NAME_MAX + 1], struct leased_err *err)
{
	if (policy_name_is_root(name)) {
		memcpy(ret_name, "root", sizeof("root"));
		return (0);
	}
	return (policy_name_normalize(name, ret_name, err));
}

bool
auth_names_have(const json_t *names, const char *name)
{
	const json_t *item;
	size_t i;

	json_array_foreach(names, i, item) if (strcmp(json_string_value(item), name) == 0) return (
	    true);
	return (false);
}

static int
compare_names(const void *a, const void *b)
{
	return (strcmp(*(const char *const *)a, *(const char *const *)b));
}

json_t *
auth_names_sort(const json_t *names)
{
	size_t count = json_array_size(names);
	const char **items = calloc(count + 1, sizeof(*items));
	json_t *sorted = json_array();

	if (items == NULL || sorted == NULL)
		goto failed;
	for (size_t i = 0; i < count; i++)
		items[i] = json_string_value(json_array_get(names, i));
	qsort(items, count, sizeof(*items), compare_names);
	for (size_t i = 0; i < count; i++) {
		if (i > 0 && strcmp(items[i], items[i - 1]) == 0)
			continue;
		if (json_array_append_new(sorted, json_string(items[i])) != 0)
			goto failed;
	}
	free(items);
	return (sorted);
failed:
	free(items);
	json_decref(sorted);
	return (NULL);
}

/* ---- the documents ---- */

static int
copy_text(const char *text, char **ret_text, struct leased_err *err)
{
	if (text == NULL || (*ret_text = strdup(text)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	return (0);
}

int
auth_policy_get(struct auth *auth, const char *name, char **ret_text, struct leased_err *err)
{
	const struct auth_declared_policy *declared = auth_declared_find(auth->declared, name);
	struct store_doc *doc = NULL;
	int r;

	if (strcmp(name, "root") == 0)
		return (copy_text("", ret_text, err));
	if (declared != NULL)
		return (copy_text(declared->text, ret_text, err));
	r = store_doc_get(store_db(auth->config.store), POLICY_KIND, name, &doc, err);
	if (r == LEASED_ENOENT && strcmp(name, "default") == 0)
		return (copy_text(policy_default_text, ret_text, err));
	if (r == 0)
		r = copy_text(
		    json_string_value(json_object_get(doc->data, "policy")), ret_text, err);
	store_doc_free(doc);
	return (r);
}

bool
auth_policy_exists(struct auth *auth, const char *name)
{
	struct leased_err err;
	char *text = NULL;
	bool exists = auth_policy_get(auth, name, &text, &err) == 0;

	free(text);
	return (exists);
}

int
auth_policy_builtin_names(struct auth *auth, json_t *names)
{
	if (json_array_append_new(names, json_string("default")) != 0 ||
	    json_array_append_new(names, json_string("root")) != 0)
		return (LEASED_ENOMEM);
	for (const struct auth_declared_policy *p = auth->declared; p != NULL; p = p->next)
		if (json_array_append_new(names, json_string(p->name)) != 0)
			return (LEASED_ENOMEM);
	return (0);
}

struct policy_write {
	struct auth *auth;
	auth_write_done done;
	void *arg;
	char *name;
};

static void
policy_write_free(struct policy_write *write)
{
	if (write != NULL)
		free(write->name);
	free(write);
}

static void
on_policy_written(void *arg, int code, const struct leased_err *err)
{
	struct policy_write *write = arg;

	if (code == 0)
		auth_acl_forget(write->auth, write->name);
	write->done(write->arg, code, err);
	policy_write_free(write);
}

/* What cannot be changed over the API; 0 or the refusal. */
static int
policy_check_writable(struct auth *auth, const char *name, const char *verb, struct leased_err *err)
{
	if (strcmp(name, "root") == 0)
		return (leased_err_set(err, LEASED_EINVAL,
		    "cannot %s \"root\" policy: it stands for every right", verb));
	if (auth_declared_find(auth->declared, name) != NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "policy %s is declared in the configuration file: change it there", name));
	return (0);
}

static struct policy_write *
policy_write_new(
    struct auth *auth, const char *name, auth_write_done done, void *arg, struct leased_err *err)
{
	struct policy_write *write = calloc(1, sizeof(*write));

	if (write == NULL || (write->name = strdup(name)) == NULL) {
		policy_write_free(write);
		(void)leased_err_set(err, LEASED_ENOMEM, "out of memory");
		done(arg, err->code, err);
		return (NULL);
	}
	write->auth = auth;
	write->done = done;
	write->arg = arg;
	return (write);
}

void
auth_policy_put(
    struct auth *auth, const char *name, const char *text, auth_write_done done, void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct policy *policy = NULL;
	struct policy_write *write;
	int r;

	if ((r = policy_check_writable(auth, name, "update", &err)) != 0) {
		done(arg, r, &err);
		return;
	}
	if ((r = policy_parse(text, strlen(text), &policy, &err)) != 0) {
		(void)leased_err_prefix(&err, "failed to parse policy");
		done(arg, r, &err);
		return;
	}
	if (policy_rule_count(policy) > AUTH_RULES_MAX) {
		(void)leased_err_set(&err, LEASED_EINVAL,
		    "the policy has %zu rules, and at most %d are taken: let wildcards (* and +) "
		    "stand for many paths, or write several policies",
		    policy_rule_count(policy), AUTH_RULES_MAX);
		policy_free(policy);
		done(arg, err.code, &err);
		return;
	}
	if ((write = policy_write_new(auth, name, done, arg, &err)) != NULL)
		auth_document_put(auth, POLICY_KIND, name,
		    json_pack("{s:s}", "policy", policy_text(policy)), on_policy_written, write);
	policy_free(policy);
}

void
auth_policy_delete(struct auth *auth, const char *name, auth_write_done done, void *arg)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct policy_write *write;
	int r;

	r = policy_check_writable(auth, name, "delete", &err);
	if (r == 0 && strcmp(name, "default") == 0)
		r = leased_err_set(&err, LEASED_EINVAL, "cannot delete default policy");
	if (r != 0) {
		done(arg, r, &err);
		return;
	}
	if ((write = policy_write_new(auth, name, done, arg, &err)) != NULL)
		auth_document_delete(auth, POLICY_KIND, name, on_policy_written, write);
}

/* ---- compiled sets ---- */

void
auth_acl_release(struct auth_acl *acl)
{
	if (acl == NULL || --acl->references > 0)
		return;
	policy_acl_free(acl->acl);
	free(acl->key);
	free(acl);
}

void
auth_acl_forget_all(struct auth *auth)
{
	auth->policy_writes++;
	for (size_t i = 0; i < AUTH_ACL_SLOTS; i++) {
		auth_acl_release(auth->acls[i]);
		auth->acls[i] = NULL;
	}
}

static bool
key_has(const char *key, const char *name)
{
	size_t len = strlen(name);

	for (; *key != '\0'; key = strchr(key, '\n') + 1)
		if (strncmp(key, name, len) == 0 && key[len] == '\n')
			return (true);
	return (false);
}

void
auth_acl_forget(struct auth *auth, const char *name)
{
	auth->policy_writes++;
	for (size_t i = 0; i < AUTH_ACL_SLOTS; i++) {
		if (auth->acls[i] == NULL || !key_has(auth->acls[i]->key, name))
			continue;
		auth_acl_release(auth->acls[i]);
		auth->acls[i] = NULL;
	}
}

/* The names, a newline behind each: no name holds one. */
static char *
acl_key(const json_t *names)
{
	size_t size = 1, i, used = 0, len;
	const json_t *name;
	char *key;

	json_array_foreach(names, i, name) size += json_string_length(name) + 1;
	if ((key = malloc(size)) == NULL)
		return (NULL);
	json_array_foreach(names, i, name)
	{
		len = json_string_length(name);
		memcpy(key + used, json_string_value(name), len);
		used += len;
		key[used++] = '\n';
	}
	key[used] = '\0';
	return (key);
}

static unsigned
acl_slot(const char *key)
{
	uint32_t hash = 2166136261u;

	for (; *key != '\0'; key++)
		hash = (hash ^ (unsigned char)*key) * 16777619u;
	return (hash % AUTH_ACL_SLOTS);
}

/* One policy of a set, NULL where it does not exist; *rules counts those of all. */
static int
acl_parse(struct auth *auth, const char *name, size_t *rules, struct policy **ret_policy,
    struct leased_err *err)
{
	char *text = NULL;
	int r;

	r = auth_policy_get(auth, name, &text, err);
	if (r == 0 && text[0] != '\0' &&
	    (r = policy_parse(text, strlen(text), ret_policy, err)) == 0)
		*rules += policy_rule_count(*ret_policy);
	free(text);
	if (r == LEASED_ENOENT)
		return (0);
	if (r != 0)
		return (leased_err_prefix(err, "policy %s", name));
	if (*rules > AUTH_SET_RULES_MAX)
		return (leased_err_set(err, LEASED_EDENIED,
		    "permission denied: your policies have more than %d rules together, counted up "
		    "to policy %s; ask for fewer policies, or for fewer rules in them",
		    AUTH_SET_RULES_MAX, name));
	return (0);
}

/* Policies that do not exist grant nothing. One that does not parse any more fails the whole: a
 * deny in it must not get lost. */
static int
acl_compile(
    struct auth *auth, const json_t *names, struct policy_acl **ret_acl, struct leased_err *err)
{
	size_t count = json_array_size(names), rules = 0;
	struct policy **policies = calloc(count + 1, sizeof(*policies));
	struct policy_acl *acl = NULL;
	int r = 0;

	if (policies == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	for (size_t i = 0; i < count && r == 0; i++)
		r = acl_parse(
		    auth, json_string_value(json_array_get(names, i)), &rules, &policies[i], err);
	if (r == 0 && (acl = policy_acl_new((const struct policy *const *)policies, count)) == NULL)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	for (size_t i = 0; i < count; i++)
		policy_free(policies[i]);
	free(policies);
	if (r == 0)
		*ret_acl = acl;
	return (r);
}

/* key is taken. A set that nothing but a write can make usable is kept as well. */
static int
acl_new(struct auth *auth, const struct auth_identity *identity, char *key,
    struct auth_acl **ret_acl, struct leased_err *err)
{
	struct leased_err why = LEASED_ERR_INIT;
	struct auth_acl *acl;
	int r = 0;

	if ((acl = calloc(1, sizeof(*acl))) == NULL) {
		free(key);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	acl->key = key;
	acl->references = 1;
	if (!identity->root)
		r = acl_compile(auth, identity->policies, &acl->acl, &why);
	else if ((acl->acl = policy_acl_new_root()) == NULL)
		r = leased_err_set(&why, LEASED_ENOMEM, "out of memory");
	if (r == LEASED_EINVAL || r == LEASED_EDENIED) {
		acl->refused = why;
	} else if (r != 0) {
		if (err != NULL)
			*err = why;
		auth_acl_release(acl);
		return (r);
	}
	*ret_acl = acl;
	return (0);
}

int
auth_acl_attach(struct auth *auth, struct auth_identity *identity, struct leased_err *err)
{
	char *key = identity->root ? strdup("\n") : acl_key(identity->policies);
	struct auth_acl *acl = NULL, **slot;
	int r;

	if (key == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	slot = &auth->acls[acl_slot(key)];
	if (*slot != NULL && strcmp((*slot)->key, key) == 0) {
		free(key);
	} else {
		if ((r = acl_new(auth, identity, key, &acl, err)) != 0)
			return (r);
		auth_acl_release(*slot);
		*slot = acl;
	}
	acl = *slot;
	if (acl->refused.code != 0) {
		if (err != NULL)
			*err = acl->refused;
		return (acl->refused.code);
	}
	acl->references++; /* the identity's; the first is the slot's */
	identity->shared_acl = acl;
	identity->acl = acl->acl;
	return (0);
}
