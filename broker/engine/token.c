/*
 * The paths below a mount of type token, and what its handlers share: scopes, what is kept of a
 * token, what it is called. Knows no lease; token_*.c do.
 */
#include "engine/token.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/jwt_paths.h"

static const struct engine_path paths[] = {
    {.verb = "roles",
	.is_listed = true,
	.kind = "role",
	.read = engine_token_role_read,
	.write = engine_token_role_write,
	.remove = engine_token_role_delete},
    {.verb = "creds", .read = engine_token_creds, .write = engine_token_creds},
    /* A JWT, by a role of identity/oidc, for who may ask there. */
    {.verb = "jwt",
	.also_reads = "identity/oidc/token/",
	.read = engine_jwt_token_alias,
	.write = engine_jwt_token_alias},
    {.verb = "introspect", .is_whole = true, .takes_basic = true, .write = engine_token_introspect},
    {.verb = "revoke", .is_whole = true, .takes_basic = true, .write = engine_token_revoke},
};
static const char *const kinds[] = {"role", NULL};

const struct engine_type engine_type_token = {
    .name = "token",
    .paths = paths,
    .path_count = sizeof(paths) / sizeof(paths[0]),
    .help = "a mount of type token has roles, creds and jwt, each with a name of letters, digits "
	    "and _, "
	    "with - and . inside, and introspect and revoke, which are written to",
    .kinds = kinds,
    .renew_inputs = engine_token_renew_inputs,
};

int
engine_token_scope_check(const char *text, struct leased_err *err)
{
	size_t len = strlen(text);

	if (len == 0 || len > TOKEN_SCOPE_LEN_MAX)
		return (leased_err_set(
		    err, LEASED_EINVAL, "a scope has 1 to %d characters", TOKEN_SCOPE_LEN_MAX));
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~' || text[i] == '"' || text[i] == '\\')
			return (leased_err_set(err, LEASED_EINVAL,
			    "\"%s\" is no scope: it is made of visible ASCII characters other than "
			    "quotes and backslashes; several are a list, or stand with commas in "
			    "between",
			    UTF8_SHORT(text, 64)));
	return (0);
}

char *
engine_token_scope_text(const json_t *scopes)
{
	const json_t *scope;
	size_t i, size = 1;
	char *text, *at;

	json_array_foreach(scopes, i, scope) size += json_string_length(scope) + 1;
	if ((text = at = malloc(size)) == NULL)
		return (NULL);
	*at = '\0';
	json_array_foreach(scopes, i, scope) at =
	    stpcpy(stpcpy(at, i > 0 ? " " : ""), json_string_value(scope));
	return (text);
}

int
engine_token_mac(struct engines *engines, const char *random, char ret_mac[TOKEN_MAC_SIZE],
    struct leased_err *err)
{
	static const char digits[] = "0123456789abcdef";
	struct seal *seal = store_seal(engines->config.store);
	uint8_t mac[SEAL_HMAC_SIZE];
	int r;

	if ((r = seal_hmac(seal, "opaque", random, OPAQUE_RANDOM_LEN, mac, err)) != 0)
		return (r);
	for (size_t i = 0; i < sizeof(mac); i++) {
		ret_mac[2 * i] = digits[mac[i] >> 4];
		ret_mac[2 * i + 1] = digits[mac[i] & 15];
	}
	ret_mac[TOKEN_MAC_SIZE - 1] = '\0';
	return (0);
}

void
engine_token_jti(const char *tag, int64_t row, char ret_jti[TOKEN_JTI_SIZE])
{
	char number[OPAQUE_NUMBER_LEN + 1] = "";

	if (id_number_encode(row, number) != 0)
		number[0] = '\0'; /* no lease has such a number */
	(void)snprintf(ret_jti, TOKEN_JTI_SIZE, "%s-%s", tag, number);
}
