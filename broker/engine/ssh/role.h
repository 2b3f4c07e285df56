/*
 * A role of an SSH mount: as it is written (role.c), and what of a request it allows (terms.c).
 */
#ifndef ENGINE_SSH_ROLE_H
#define ENGINE_SSH_ROLE_H

#include "engine/ssh/ssh.h"

#define SSH_NOT_BEFORE_S 30 /* clocks of hosts may be behind */
#define SSH_ROLE_MAX 16384

struct ssh_role_body {
	char *key_type, *default_user, *allowed_critical_options, *allowed_extensions;
	char *key_id_format, *algorithm_signer, *issuer_ref, *lease_owner, *force_command;
	json_t *allowed_users, *allowed_domains, *default_critical_options, *default_extensions;
	json_t *allowed_user_key_lengths;
	struct jdec_list source_address;
	int64_t ttl, max_ttl, not_before_duration, max_leases;
	bool allow_user_certificates, allow_host_certificates, allowed_users_template;
	bool default_user_template, allowed_domains_template, allow_bare_domains;
	bool allow_subdomains, default_extensions_template, allow_user_key_ids;
	bool allow_empty_principals, verify_required;
};
/* ---- role_check.c ---- */
/* LEASED_EINVAL: no certificate could, or should, come of it. */
int engine_ssh_role_check(
    const struct ssh_role_body *body, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- terms.c ---- */
struct ssh_ask {            /* what a request wants; all borrowed */
	const json_t *role; /* the role's document */
	const char *entity_id;
	const char *key_type; /* of what is certified: "ssh-ed25519" */
	const json_t *entity; /* its document's data, or NULL */
	bool host;
	const json_t *principals; /* an array, empty: all that there are for it */
	const json_t *critical_options, *extensions; /* objects of texts; NULL: the role's */
};
/* Those that the certificate gets, never none: a new array. */
int engine_ssh_terms_principals(
    const struct ssh_ask *ask, json_t **ret_principals, struct leased_err *err) LEASED_MUST_CHECK;
/* New objects. */
int engine_ssh_terms_options(const struct ssh_ask *ask, json_t **ret_critical,
    json_t **ret_extensions, struct leased_err *err) LEASED_MUST_CHECK;
/* Does the role take a user's key of this type ("ssh-rsa") and size? */
int engine_ssh_terms_key(const json_t *role, const char *type, const char *bits,
    struct leased_err *err) LEASED_MUST_CHECK;
const char *engine_ssh_role_text(const json_t *role, const char *field); /* never NULL */
bool engine_ssh_role_is(const json_t *role, const char *field);

#endif
