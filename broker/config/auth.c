/*
 * The blocks of leased.hcl that say who may do what: auth "unix" with its roles, and policies. They
 * are checked as far as their shape goes and handed on: what a role or a policy means is auth/'s
 * and policy/'s. Called by config.c alone.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/path.h"
#include "config/config_private.h"

#define MAX_LEASES INT64_C(1000000000)

static const struct config_setting auth_unix[] = {
    {.name = "role", .kind = CONFIG_BLOCK},
    {.name = NULL},
};

static const struct config_setting role_settings[] = {
    {.name = "bound_gids", .kind = CONFIG_IDS, .offset = CONFIG_NOWHERE},
    {.name = "bound_uids", .kind = CONFIG_IDS, .offset = CONFIG_NOWHERE},
    {.name = "bound_units", .kind = CONFIG_STRINGS, .offset = CONFIG_NOWHERE},
    {.name = "max_leases",
	.kind = CONFIG_COUNT,
	.offset = CONFIG_NOWHERE,
	.min = 1,
	.max = MAX_LEASES},
    {.name = "policies", .kind = CONFIG_STRINGS, .required = true, .offset = CONFIG_NOWHERE},
    {.name = NULL},
};

static bool
has_items(const json_t *body, const char *key)
{
	return (json_array_size(json_object_get(body, key)) > 0);
}

static void
check_role(struct config_reader *reader, const char *name, const json_t *body)
{
	const json_t *item;
	size_t i;

	config_read_settings(reader, body, role_settings, NULL, "a role");
	if (!path_is_name(name, strlen(name)))
		config_refuse(reader, body, NULL,
		    "\"%.64s\" is no name for a role: letters, digits, _, with - and . inside",
		    name);
	if (!has_items(body, "bound_uids") && !has_items(body, "bound_gids"))
		config_refuse(reader, body, NULL,
		    "the role \"%.64s\" would fit everybody: it needs \"bound_uids\" or "
		    "\"bound_gids\"",
		    name);
	json_array_foreach(json_object_get(body, "policies"), i,
	    item) if (json_is_string(item) && strcasecmp(json_string_value(item), "root") == 0)
	    config_refuse(reader, body, "policies",
		"no role gives the policy \"root\": name the paths that it may use in a policy");
	if (!has_items(body, "bound_units"))
		return;
	if (!has_items(body, "bound_uids"))
		config_refuse(reader, body, "bound_units",
		    "\"bound_units\" needs \"bound_uids\" beside it: only root's word about a unit "
		    "counts");
	config_warn(reader, body, "bound_units",
	    "this version does not look at the unit of a peer: the role \"%.64s\" never matches",
	    name);
}

static int
on_role(void *arg, const char *label, const json_t *body, struct leased_err *err)
{
	struct config_reader *reader = arg;
	struct config *config = reader->config;
	struct hcl_position at = hcl_object_position(reader->doc, body);
	struct config_role *role;

	(void)err;
	if (reader->out_of_memory)
		return (LEASED_ENOMEM);
	check_role(reader, label, body);
	for (size_t i = 0; i < config->role_count; i++)
		if (strcmp(config->roles[i].name, label) == 0)
			config_refuse(reader, body, NULL,
			    "the role \"%.64s\" stands in line %u already", label,
			    config->roles[i].line);
	if ((role = config_append(reader, &config->roles, &config->role_count, sizeof(*role))) ==
	    NULL)
		return (0);
	role->line = at.line;
	role->column = at.column;
	role->body = json_incref((json_t *)(uintptr_t)body);
	if ((role->name = strdup(label)) == NULL) {
		reader->out_of_memory = true;
		return (LEASED_ENOMEM);
	}
	return (0);
}

static int
on_auth(void *arg, const char *label, const json_t *body, struct leased_err *err)
{
	static const char *const later[] = {
	    "approle", "cert", "github", "jwt", "oidc", "token", "userpass"};
	struct config_reader *reader = arg;

	(void)err;
	for (size_t i = 0; i < sizeof(later) / sizeof(later[0]); i++) {
		if (strcmp(label, later[i]) == 0) {
			config_refuse(reader, body, NULL,
			    "auth \"%s\" is not available in this version", label);
			return (0);
		}
	}
	if (strcmp(label, "unix") != 0) {
		config_refuse(
		    reader, body, NULL, "unknown auth \"%.64s\"; known is \"unix\"", label);
		return (0);
	}
	config_read_settings(reader, body, auth_unix, NULL, "auth \"unix\"");
	config_each_block(reader, body, "role", on_role);
	return (0);
}

void
config_read_auth(struct config_reader *reader, const json_t *root)
{
	config_each_block(reader, root, "auth", on_auth);
}

/* Names of policies are compared as auth/ will: without blanks around, whatever the case. */
static bool
same_policy(const char *a, const char *b)
{
	size_t a_len, b_len;

	a += strspn(a, " \t\r\n");
	b += strspn(b, " \t\r\n");
	for (a_len = strlen(a); a_len > 0 && strchr(" \t\r\n", a[a_len - 1]) != NULL;)
		a_len--;
	for (b_len = strlen(b); b_len > 0 && strchr(" \t\r\n", b[b_len - 1]) != NULL;)
		b_len--;
	return (a_len == b_len && strncasecmp(a, b, a_len) == 0);
}

static int
on_policy(void *arg, const char *label, const json_t *body, struct leased_err *err)
{
	struct config_reader *reader = arg;
	struct config *config = reader->config;
	struct config_policy *policy;
	struct hcl_source source = {0};

	(void)err;
	if (reader->out_of_memory)
		return (LEASED_ENOMEM);
	if (!hcl_object_source(reader->doc, body, &source)) {
		config_refuse(reader, body, NULL, "the policy \"%.64s\" cannot be read", label);
		return (0);
	}
	for (size_t i = 0; i < config->policy_count; i++)
		if (same_policy(config->policies[i].name, label))
			config_refuse(reader, body, NULL,
			    "the policy \"%.64s\" stands in line %u already", label,
			    config->policies[i].line);
	policy = config_append(reader, &config->policies, &config->policy_count, sizeof(*policy));
	if (policy == NULL)
		return (0);
	policy->line = source.position.line;
	policy->column = source.position.column;
	policy->name = strdup(label);
	policy->text = strndup(reader->text + source.start, source.len);
	if (policy->name == NULL || policy->text == NULL) {
		reader->out_of_memory = true;
		return (LEASED_ENOMEM);
	}
	return (0);
}

void
config_read_policies(struct config_reader *reader, const json_t *root)
{
	config_each_block(reader, root, "policy", on_policy);
}
