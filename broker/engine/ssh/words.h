/*
 * What may stand in a certificate: principals, options, addresses, and the public key that somebody
 * asks to be certified. Pure functions; nothing of the store.
 */
#ifndef ENGINE_SSH_WORDS_H
#define ENGINE_SSH_WORDS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

#include <leased/error.h>

/* ---- principal.c ---- */
/* LEASED_EINVAL: it is empty, too long, or has what a host, or a list of principals, would take for
 * something else: a comma, a blank or control byte, a wildcard. */
int engine_ssh_principal_check(const char *principal, struct leased_err *err) LEASED_MUST_CHECK;
/*
 * A request's principals, or a role's list: a text split once, at its commas, or an array of which
 * nothing is split. A new array without duplicates; "" and null: an empty one. wild: "*" alone may
 * stand there. LEASED_EINVAL for an element that is none.
 */
int engine_ssh_principals_read(
    const json_t *value, bool wild, json_t **ret_list, struct leased_err *err) LEASED_MUST_CHECK;
/* Is template text with {{identity.entity...}} that can be filled? As a role is written. */
int engine_ssh_template_check(const char *template, struct leased_err *err) LEASED_MUST_CHECK;
/*
 * One value, never split. *ret_text is NULL where the identity has no such value (who has none is
 * entitled to nothing by it). entity: its document's data, or NULL. LEASED_EINVAL: a value has a
 * byte that must not come out of a template: a comma, a slash, a wildcard..
 */
int engine_ssh_template_fill(const char *template, const char *entity_id, const json_t *entity,
    char **ret_text, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- option.c ---- */
/* A CIDR list as sshd reads it ("10.0.0.0/8,::1"): no bit behind a mask, or sshd refuses all. */
int engine_ssh_address_check(const char *address, struct leased_err *err) LEASED_MUST_CHECK;
int engine_ssh_addresses_check(const char *list, struct leased_err *err) LEASED_MUST_CHECK;
/* Name and value of a critical option or an extension. */
int engine_ssh_option_check(
    const char *name, const char *value, bool critical, struct leased_err *err) LEASED_MUST_CHECK;

/* ---- key.c ---- */
struct ssh_key {
	char type[64];        /* "ssh-ed25519" */
	char fingerprint[52]; /* "SHA256:.." */
	char hash[65];        /* the same digest in hexadecimal */
	char *line;           /* "TYPE BASE64" without a comment, owned */
};
/*
 * Of one line of a .pub file. Not whether it is a good key, which a worker says: only that there is
 * base64 of something that begins with its own type, so that it has a fingerprint.
 */
int engine_ssh_key_read(
    const char *text, struct ssh_key *ret_key, struct leased_err *err) LEASED_MUST_CHECK;

#endif
