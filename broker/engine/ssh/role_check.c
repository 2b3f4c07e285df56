/*
 * What a role must be before it is written: everything that would only show when somebody wants a
 * certificate, or when a host refuses one.
 */
#include <string.h>

#include "base/utf8.h"
#include "engine/ssh/role.h"
#include "engine/ssh/words.h"

static int
list_check(const json_t *value, bool template, const char *field, struct leased_err *err)
{
	json_t *list = NULL;
	const json_t *one;
	const char *text;
	size_t i;
	int r = engine_ssh_principals_read(value, true, &list, err);

	json_array_foreach(list, i, one)
	{
		text = json_string_value(one);
		if (r == 0 && strstr(text, "{{") != NULL)
			r = template
				? engine_ssh_template_check(text, err)
				: leased_err_set(err, LEASED_EINVAL,
				      "it has a template: write %s_template=true with it", field);
	}
	json_decref(list);
	return (r == 0 ? 0 : leased_err_prefix(err, "%s", field));
}

static int
users_check(const struct ssh_role_body *body, struct leased_err *err)
{
	const char *user = body->default_user != NULL ? body->default_user : "";
	int r;

	if ((r = list_check(
		 body->allowed_users, body->allowed_users_template, "allowed_users", err)) != 0 ||
	    (r = list_check(body->allowed_domains, body->allowed_domains_template,
		 "allowed_domains", err)) != 0 ||
	    user[0] == '\0')
		return (r);
	r = body->default_user_template ? engine_ssh_template_check(user, err)
					: engine_ssh_principal_check(user, err);
	return (r == 0 ? 0 : leased_err_prefix(err, "default_user"));
}

static int
options_check(const json_t *options, bool critical, bool template, struct leased_err *err)
{
	const char *name;
	json_t *value;
	int r = 0;

	json_object_foreach((json_t *)(uintptr_t)options, name, value)
	{
		const char *text = json_string_value(value);

		if (r == 0 && template && text != NULL && strstr(text, "{{") != NULL)
			r = engine_ssh_template_check(text, err);
		else if (r == 0)
			r = engine_ssh_option_check(name, text != NULL ? text : "", critical, err);
	}
	return (r);
}

static int
forced_check(const struct ssh_role_body *body, struct leased_err *err)
{
	int r = 0;

	for (size_t i = 0; i < body->source_address.count && r == 0; i++)
		r = engine_ssh_address_check(body->source_address.items[i], err);
	if (r == 0 && body->force_command != NULL && body->force_command[0] != '\0')
		r = engine_ssh_option_check("force-command", body->force_command, true, err);
	if (r == 0)
		r = options_check(body->default_critical_options, true, false, err);
	if (r == 0)
		r = options_check(
		    body->default_extensions, false, body->default_extensions_template, err);
	return (r);
}

static int
lengths_check(const json_t *lengths, struct leased_err *err)
{
	const char *type;
	json_t *value, *one;
	size_t i;

	if (lengths != NULL && !json_is_null(lengths) && !json_is_object(lengths))
		return (leased_err_set(err, LEASED_EINVAL,
		    "allowed_user_key_lengths is an object: {\"rsa\": [3072, 4096], \"ed25519\": "
		    "0}"));
	json_object_foreach((json_t *)(uintptr_t)lengths, type, value)
	{
		if (json_is_integer(value))
			continue;
		if (!json_is_array(value))
			return (leased_err_set(err, LEASED_EINVAL,
			    "allowed_user_key_lengths: %s has a number of bits, or a list of them",
			    UTF8_SHORT(type, 64)));
		json_array_foreach(value, i, one)
		{
			if (!json_is_integer(one))
				return (leased_err_set(err, LEASED_EINVAL,
				    "allowed_user_key_lengths: a length is a number of bits"));
		}
	}
	return (0);
}

static int
choice_check(const char *value, const char *const *allowed, const char *why, struct leased_err *err)
{
	if (value == NULL || value[0] == '\0')
		return (0);
	for (size_t i = 0; allowed[i] != NULL; i++)
		if (strcmp(value, allowed[i]) == 0)
			return (0);
	return (leased_err_set(err, LEASED_EINVAL, "%s", why));
}

static int
choices_check(const struct ssh_role_body *body, struct leased_err *err)
{
	static const char *const key_types[] = {"ca", NULL};
	static const char *const signers[] = {"default", "rsa-sha2-512", "rsa-sha2-256", NULL};
	static const char *const owners[] = {"token", "identity", NULL};
	int r;

	if (body->key_type == NULL || body->key_type[0] == '\0')
		return (leased_err_set(err, LEASED_EINVAL, "key_type is needed: ca"));
	if ((r = choice_check(body->key_type, key_types,
		 "key_type: there is ca, and no other in this version", err)) != 0 ||
	    (r = choice_check(body->algorithm_signer, signers,
		 "algorithm_signer: default, or rsa-sha2-512 for a CA of RSA; ssh-rsa signs by "
		 "SHA-1, "
		 "which hosts refuse",
		 err)) != 0)
		return (r);
	return (choice_check(body->lease_owner, owners,
	    "lease_owner: token (its certificates end with the token that asked for them) or "
	    "identity",
	    err));
}

int
engine_ssh_role_check(const struct ssh_role_body *body, struct leased_err *err)
{
	int r;

	if ((r = choices_check(body, err)) != 0)
		return (r);
	if (!body->allow_user_certificates && !body->allow_host_certificates)
		return (leased_err_set(err, LEASED_EINVAL,
		    "either allow_user_certificates or allow_host_certificates must be set to "
		    "'true'"));
	if (body->allow_empty_principals)
		return (leased_err_set(err, LEASED_EINVAL,
		    "allow_empty_principals: a certificate without a principal is good for "
		    "everybody, and is not made here"));
	if (body->max_ttl > 0 && body->max_ttl < body->ttl)
		return (leased_err_set(err, LEASED_EINVAL,
		    "\"ttl\" value must be less than \"max_ttl\" when both are specified"));
	if (body->max_leases < 0 || body->not_before_duration > 86400)
		return (leased_err_set(err, LEASED_EINVAL,
		    "max_leases cannot be negative, and not_before_duration is at most a day"));
	if ((r = users_check(body, err)) != 0 || (r = forced_check(body, err)) != 0)
		return (r);
	return (lengths_check(body->allowed_user_key_lengths, err));
}
