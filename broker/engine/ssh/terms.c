/*
 * What of a request a role allows: principals, critical options, extensions, kinds of keys. Deny by
 * default: an empty list is nobody. A request that names no principals gets all that its identity
 * is entitled to, so that nobody has to know which; one that is entitled to none gets no
 * certificate, since one without a principal would be good for everybody.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/utf8.h"
#include "engine/ssh/push.h"
#include "engine/ssh/role.h"
#include "engine/ssh/words.h"

const char *
engine_ssh_role_text(const json_t *role, const char *field)
{
	const char *text = json_string_value(json_object_get(role, field));

	return (text != NULL ? text : "");
}

bool
engine_ssh_role_is(const json_t *role, const char *field)
{
	return (json_is_true(json_object_get(role, field)));
}

static int
out_of_memory(struct leased_err *err)
{
	return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static bool
is_among(const json_t *list, const char *text, bool fold)
{
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		const char *its = json_string_value(one);

		if (fold ? strcasecmp(its, text) == 0 : strcmp(its, text) == 0)
			return (true);
	}
	return (false);
}

/* ---- what an identity is entitled to ---- */

static int
add_filled(const struct ssh_ask *ask, const char *template, json_t *list, struct leased_err *err)
{
	char *text = NULL;
	int r = engine_ssh_template_fill(template, ask->entity_id, ask->entity, &text, err);

	if (r == 0 && text != NULL && !is_among(list, text, false) &&
	    json_array_append_new(list, json_string(text)) != 0)
		r = out_of_memory(err);
	free(text);
	return (r);
}

/* The role's list with templates filled; *ret_any: "*" stood in it. */
static int
entitled(const struct ssh_ask *ask, const char *field, const char *by_template, json_t *list,
    bool *ret_any, struct leased_err *err)
{
	bool template = engine_ssh_role_is(ask->role, by_template);
	json_t *own = NULL;
	const json_t *one;
	const char *text;
	size_t i;
	int r = engine_ssh_principals_read(json_object_get(ask->role, field), true, &own, err);

	json_array_foreach(own, i, one)
	{
		text = json_string_value(one);
		if (strcmp(text, "*") == 0)
			*ret_any = true;
		else if (r == 0 && template && strstr(text, "{{") != NULL)
			r = add_filled(ask, text, list, err);
		else if (r == 0 && json_array_append_new(list, json_string(text)) != 0)
			r = out_of_memory(err);
	}
	json_decref(own);
	return (r);
}

static int
users(const struct ssh_ask *ask, json_t *list, bool *ret_any, struct leased_err *err)
{
	const char *user = engine_ssh_role_text(ask->role, "default_user");
	int r = entitled(ask, "allowed_users", "allowed_users_template", list, ret_any, err);

	if (r != 0 || user[0] == '\0')
		return (r);
	if (engine_ssh_role_is(ask->role, "default_user_template"))
		return (add_filled(ask, user, list, err));
	if (!is_among(list, user, false) && json_array_append_new(list, json_string(user)) != 0)
		return (out_of_memory(err));
	return (0);
}

/* Below one of the domains, or one of them. */
static bool
is_host_allowed(const struct ssh_ask *ask, const json_t *domains, const char *host)
{
	size_t host_len = strlen(host), len, i;
	const json_t *one;

	if (engine_ssh_role_is(ask->role, "allow_bare_domains") && is_among(domains, host, true))
		return (true);
	if (!engine_ssh_role_is(ask->role, "allow_subdomains"))
		return (false);
	json_array_foreach(domains, i, one)
	{
		len = json_string_length(one);
		if (host_len > len + 1 && host[host_len - len - 1] == '.' &&
		    strcasecmp(host + host_len - len, json_string_value(one)) == 0)
			return (true);
	}
	return (false);
}

static int
asked_check(const struct ssh_ask *ask, const json_t *allowed, bool any, struct leased_err *err)
{
	const json_t *one;
	const char *text;
	size_t i;

	json_array_foreach(ask->principals, i, one)
	{
		text = json_string_value(one);
		if (any)
			continue;
		if (ask->host ? is_host_allowed(ask, allowed, text)
			      : is_among(allowed, text, false))
			continue;
		return (leased_err_set(err, LEASED_EINVAL,
		    "%s is not a valid value for valid_principals: this role does not give it to "
		    "you",
		    UTF8_SHORT(text, 64)));
	}
	return (0);
}

int
engine_ssh_terms_principals(
    const struct ssh_ask *ask, json_t **ret_principals, struct leased_err *err)
{
	json_t *allowed = json_array(), *granted = NULL;
	bool any = false;
	int r;

	if (allowed == NULL)
		return (out_of_memory(err));
	r = ask->host
		? entitled(ask, "allowed_domains", "allowed_domains_template", allowed, &any, err)
		: users(ask, allowed, &any, err);
	if (r == 0 && json_array_size(ask->principals) > 0) {
		if ((r = asked_check(ask, allowed, any, err)) == 0)
			granted = json_deep_copy(ask->principals);
	} else if (r == 0 &&
		   (json_array_size(allowed) == 0 ||
		       (ask->host && !engine_ssh_role_is(ask->role, "allow_bare_domains")))) {
		r = leased_err_set(err, LEASED_EINVAL,
		    "a certificate without a principal would be good for everybody, and this role "
		    "names none that is yours: name some (valid_principals)");
	} else if (r == 0)
		granted = json_incref(allowed);
	json_decref(allowed);
	if (r == 0 && granted == NULL)
		r = out_of_memory(err);
	/* Who has it writes the list on every host. */
	if (r == 0 && is_among(granted, SSH_PUSH_PRINCIPAL, false)) {
		json_decref(granted);
		r = leased_err_set(err, LEASED_EINVAL,
		    SSH_PUSH_PRINCIPAL " is who brings lists of revoked keys to hosts: no role "
				       "gives it to anybody");
	}
	if (r == 0)
		*ret_principals = granted;
	return (r);
}

/* ---- options ---- */

/* Is name in a comma list? */
static bool
is_listed(const char *list, const char *name)
{
	size_t len = strlen(name), at;

	for (; *list != '\0'; list += at + (list[at] == ',')) {
		list += strspn(list, " ");
		at = strcspn(list, ",");
		if (at >= len && strncmp(list, name, len) == 0 &&
		    strspn(list + len, " ") == at - len)
			return (true);
	}
	return (false);
}

/* What the request names replaces the role's; else the role's. */
static int
choose(const json_t *asked, const json_t *otherwise, const char *allowed, bool critical,
    json_t **ret_options, struct leased_err *err)
{
	const char *name;
	json_t *value;
	int r = 0;

	if (asked == NULL || json_object_size(asked) == 0) {
		*ret_options = json_deep_copy(otherwise);
		return (*ret_options != NULL ? 0 : out_of_memory(err));
	}
	json_object_foreach((json_t *)(uintptr_t)asked, name, value)
	{
		bool any = critical ? allowed[0] == '\0' : strcmp(allowed, "*") == 0;

		if (r == 0 && !any && !is_listed(allowed, name))
			r = leased_err_set(err, LEASED_EINVAL,
			    "%s not on allowed list: [%s]; the role's %s names what a request may "
			    "have",
			    critical ? "critical options" : "extensions", UTF8_SHORT(name, 64),
			    critical ? "allowed_critical_options" : "allowed_extensions");
		if (r == 0)
			r = engine_ssh_option_check(name, json_string_value(value), critical, err);
	}
	if (r != 0)
		return (r);
	*ret_options = json_deep_copy(asked);
	return (*ret_options != NULL ? 0 : out_of_memory(err));
}

/* The role's word, which no request loosens. */
static int
force(json_t *critical, const char *name, json_t *value, struct leased_err *err)
{
	const json_t *had = json_object_get(critical, name);

	if (had != NULL && value != NULL && !json_equal(had, value)) {
		json_decref(value);
		return (leased_err_set(
		    err, LEASED_EINVAL, "%s is set by the role, and is not yours to say", name));
	}
	return (json_object_set_new(critical, name, value) == 0 ? 0 : out_of_memory(err));
}

static json_t *
joined(const json_t *list)
{
	char text[4096] = "";
	const json_t *one;
	size_t i;

	json_array_foreach(list, i, one)
	{
		if (strlcat(text, i > 0 ? "," : "", sizeof(text)) >= sizeof(text) ||
		    strlcat(text, json_string_value(one), sizeof(text)) >= sizeof(text))
			return (NULL);
	}
	return (json_string(text));
}

static int
force_all(const struct ssh_ask *ask, json_t *critical, struct leased_err *err)
{
	const json_t *addresses = json_object_get(ask->role, "source_address");
	const char *command = engine_ssh_role_text(ask->role, "force_command");
	int r = 0;

	if (json_array_size(addresses) > 0)
		r = force(critical, "source-address", joined(addresses), err);
	if (r == 0 && command[0] != '\0')
		r = force(critical, "force-command", json_string(command), err);
	if (r == 0 && engine_ssh_role_is(ask->role, "verify_required"))
		r = force(critical, "verify-required", json_string(""), err);
	return (r);
}

/* A signature of no other kind of key says whether its user was verified, and sshd lets those in.
 */
static int
verified_check(const struct ssh_ask *ask, const json_t *critical, struct leased_err *err)
{
	if (json_object_get(critical, "verify-required") == NULL ||
	    strncmp(ask->key_type, "sk-", strlen("sk-")) == 0)
		return (0);
	return (leased_err_set(err, LEASED_EINVAL,
	    "verify-required: only a security key can say that it verified its user, and this is "
	    "one of type %s, which hosts would let in unverified: have one made "
	    "(ssh-keygen -t ed25519-sk -O verify-required) certified",
	    UTF8_SHORT(ask->key_type, 64)));
}

/* Values of extensions may be templates; one that this identity has no value for is left out. */
static int
fill_extensions(const struct ssh_ask *ask, json_t *extensions, struct leased_err *err)
{
	const char *name;
	json_t *value;
	void *next;
	char *text;
	int r = 0;

	if (!engine_ssh_role_is(ask->role, "default_extensions_template"))
		return (0);
	json_object_foreach_safe(extensions, next, name, value)
	{
		if (r != 0 || strstr(json_string_value(value), "{{") == NULL)
			continue;
		text = NULL;
		r = engine_ssh_template_fill(
		    json_string_value(value), ask->entity_id, ask->entity, &text, err);
		if (r == 0 && text == NULL)
			(void)json_object_del(extensions, name);
		else if (r == 0 && json_object_set_new(extensions, name, json_string(text)) != 0)
			r = out_of_memory(err);
		free(text);
	}
	return (r);
}

int
engine_ssh_terms_options(const struct ssh_ask *ask, json_t **ret_critical, json_t **ret_extensions,
    struct leased_err *err)
{
	json_t *critical = NULL, *extensions = NULL;
	bool asked = json_object_size(ask->extensions) > 0;
	int r;

	r = choose(ask->critical_options, json_object_get(ask->role, "default_critical_options"),
	    engine_ssh_role_text(ask->role, "allowed_critical_options"), true, &critical, err);
	if (r == 0)
		r = choose(ask->extensions, json_object_get(ask->role, "default_extensions"),
		    engine_ssh_role_text(ask->role, "allowed_extensions"), false, &extensions, err);
	if (r == 0 && !asked)
		r = fill_extensions(ask, extensions, err);
	if (r == 0 && ask->host) /* hosts have neither */
		r = json_object_clear(critical) | json_object_clear(extensions);
	else if (r == 0 && (r = force_all(ask, critical, err)) == 0)
		r = verified_check(ask, critical, err);
	if (r != 0) {
		json_decref(critical);
		json_decref(extensions);
		return (r);
	}
	*ret_critical = critical;
	*ret_extensions = extensions;
	return (0);
}

/* ---- keys ---- */

static const char *
family(const char *type)
{
	static const char *const rows[][2] = {{"ssh-rsa", "rsa"}, {"rsa", "rsa"},
	    {"ssh-ed25519", "ed25519"}, {"ed25519", "ed25519"}, {"ec", "ec"}, {"ecdsa", "ec"},
	    {"ecdsa-sha2-nistp256", "ec"}, {"ecdsa-sha2-nistp384", "ec"},
	    {"ecdsa-sha2-nistp521", "ec"}, {"sk-ssh-ed25519@openssh.com", "sk-ed25519"},
	    {"sk-ecdsa-sha2-nistp256@openssh.com", "sk-ec"}};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (strcmp(rows[i][0], type) == 0)
			return (rows[i][1]);
	return (type);
}

/* 0 is any length. */
static bool
is_length(const json_t *value, long long bits)
{
	const json_t *one;
	size_t i;

	if (json_is_integer(value))
		return (json_integer_value(value) == 0 || json_integer_value(value) == bits);
	json_array_foreach(value, i, one)
	{
		if (is_length(one, bits))
			return (true);
	}
	return (false);
}

int
engine_ssh_terms_key(const json_t *role, const char *type, const char *bits, struct leased_err *err)
{
	const json_t *lengths = json_object_get(role, "allowed_user_key_lengths");
	const char *name;
	json_t *value;
	bool found = false;

	if (json_object_size(lengths) == 0)
		return (0);
	json_object_foreach((json_t *)(uintptr_t)lengths, name, value)
	{
		if (strcmp(name, type) != 0 && strcmp(family(name), family(type)) != 0)
			continue;
		found = true;
		if (is_length(value, strtonum(bits, 0, 65536, NULL)))
			return (0);
	}
	return (leased_err_set(err, LEASED_EINVAL,
	    found
		? "public_key failed to meet the key requirements: a key of type %s of %s bits is "
		  "not allowed by this role (allowed_user_key_lengths)"
		: "public_key failed to meet the key requirements: key of type %s is not allowed "
		  "(allowed_user_key_lengths); this one has %s bits",
	    UTF8_SHORT(type, 64), UTF8_SHORT(bits, 8)));
}
