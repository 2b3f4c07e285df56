/*
 * The shape of what workers that hold keys return: pairs, tokens, certificates, signed lists.
 * reply.c calls.
 */
#include <string.h>

#include "plugin/reply_shape.h"

/* It goes into files of one key or certificate a line: printable, and no second line. */
static bool
is_line(const json_t *value, size_t max)
{
	if (!plugin_reply_is_text(value, max))
		return (false);
	for (const char *at = json_string_value(value); *at != '\0'; at++)
		if (*at < ' ' || *at > '~')
			return (false);
	return (true);
}

/* The public part is published as it is: a flat object of texts, and never with a private member.
 */
static int
check_pair(const json_t *result, struct leased_err *err)
{
	static const char *const known[] = {"private", "public", NULL};
	static const char *const members[] = {
	    "kty", "crv", "n", "e", "x", "y", "use", "alg", "algorithm", "line", "kid", NULL};
	const json_t *part = json_object_get(result, "public");
	bool jwk = json_object_get(part, "kty") != NULL && json_object_get(part, "alg") != NULL;
	bool ssh = json_object_get(part, "algorithm") != NULL &&
		   is_line(json_object_get(part, "line"), REPLY_PRIVATE_MAX);
	size_t found = 0;

	for (unsigned i = 0; members[i] != NULL; i++)
		found += plugin_reply_is_text(json_object_get(part, members[i]), REPLY_PRIVATE_MAX);
	if (!plugin_reply_is_text(json_object_get(result, "private"), REPLY_PRIVATE_MAX) ||
	    !json_is_object(part) || found != json_object_size(part) || jwk == ssh ||
	    !plugin_reply_is_text(json_object_get(part, "kid"), REPLY_HANDLE_MAX))
		return (plugin_reply_broken(err, "a pair of keys is malformed"));
	return (plugin_reply_only_known(result, known, err));
}

static bool
is_of_key(const json_t *result)
{
	return (is_line(json_object_get(result, "type"), REPLY_HANDLE_MAX) &&
		is_line(json_object_get(result, "bits"), REPLY_HANDLE_MAX) &&
		is_line(json_object_get(result, "fingerprint"), REPLY_HANDLE_MAX));
}

static int
check_inspected(const json_t *result, struct leased_err *err)
{
	static const char *const known[] = {"type", "bits", "fingerprint", NULL};

	if (!is_of_key(result))
		return (plugin_reply_broken(err, "what inspect returned is no key"));
	return (plugin_reply_only_known(result, known, err));
}

static int
check_certificate(const json_t *result, struct leased_err *err)
{
	static const char *const known[] = {"certificate", "type", "bits", "fingerprint", NULL};

	if (!is_of_key(result) || !is_line(json_object_get(result, "certificate"), REPLY_LINE_MAX))
		return (plugin_reply_broken(err, "what certify returned is no certificate"));
	return (plugin_reply_only_known(result, known, err));
}

static int
check_krl(const json_t *result, struct leased_err *err)
{
	static const char *const known[] = {"krl", "signature", NULL};

	if (!is_line(json_object_get(result, "krl"), REPLY_KRL_MAX) ||
	    !plugin_reply_is_text(json_object_get(result, "signature"), REPLY_PRIVATE_MAX))
		return (plugin_reply_broken(err, "what krl returned is no signed list"));
	return (plugin_reply_only_known(result, known, err));
}

static int
check_pushed(const json_t *result, struct leased_err *err)
{
	static const char *const known[] = {"changed", NULL};

	if (!json_is_boolean(json_object_get(result, "changed")))
		return (plugin_reply_broken(err, "push must say whether it changed anything"));
	return (plugin_reply_only_known(result, known, err));
}

/* It goes into header lines of others: three parts of base64url. */
static int
check_token(const json_t *result, struct leased_err *err)
{
	static const char alphabet[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
	static const char *const known[] = {"token", NULL};
	const json_t *token = json_object_get(result, "token");
	const char *at = json_string_value(token);
	unsigned parts = 0;
	size_t len;

	if (!plugin_reply_is_text(token, REPLY_TOKEN_MAX))
		return (plugin_reply_broken(err, "sign must return a token"));
	for (;; at++) {
		if ((len = strspn(at, alphabet)) == 0)
			break;
		at += len;
		parts++;
		if (*at != '.')
			break;
	}
	if (parts != 3 || *at != '\0')
		return (plugin_reply_broken(err, "what sign returned is no JWT"));
	return (plugin_reply_only_known(result, known, err));
}

int
plugin_reply_keys(enum plugin_op op, const json_t *result, struct leased_err *err)
{
	if (op == PLUGIN_OP_INSPECT)
		return (check_inspected(result, err));
	if (op == PLUGIN_OP_CERTIFY)
		return (check_certificate(result, err));
	if (op == PLUGIN_OP_KRL)
		return (check_krl(result, err));
	if (op == PLUGIN_OP_PUSH)
		return (check_pushed(result, err));
	if (op == PLUGIN_OP_SIGN)
		return (check_token(result, err));
	return (check_pair(result, err));
}
