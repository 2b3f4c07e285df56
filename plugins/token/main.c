/*
 * The token plugin's table of operations, and the keys that a worker was opened with. It has no
 * server: it connects nowhere and reads no file. PROTOCOL.md, "generate" and "sign"; why it is a
 * process of its own: broker/DESIGN.md, "JWTs".
 */
#include <stdlib.h>
#include <string.h>

#include "token.h"

#define TOKEN_TAG 0x746f6b6eu /* "tokn" */

struct token {
	unsigned tag;
	struct token_key keys[TOKEN_KEYS_MAX];
	size_t key_count;
};

static struct token *
token_from(void *ctx)
{
	struct token *token = ctx;

	if (token->tag != TOKEN_TAG)
		abort();
	return (token);
}

static void
keys_clear(struct token *token)
{
	while (token->key_count > 0)
		token_key_clear(&token->keys[--token->key_count]);
}

static int
keys_read(struct token *token, const json_t *keys, struct leased_err *err)
{
	const char *id;
	json_t *value;
	int r = 0;

	keys_clear(token); /* an open that failed may be repeated */
	if (keys != NULL && !json_is_object(keys))
		return (leased_err_set(err, LEASED_EINVAL, "keys must be an object"));
	if (json_object_size(keys) > TOKEN_KEYS_MAX)
		return (leased_err_set(err, LEASED_EINVAL, "keys: more than %d", TOKEN_KEYS_MAX));
	json_object_foreach((json_t *)(uintptr_t)keys, id, value)
	{
		if ((r = token_key_read(id, value, &token->keys[token->key_count], err)) != 0)
			break;
		token->key_count++;
	}
	if (r != 0)
		keys_clear(token);
	return (r);
}

static int
on_open(void *ctx, struct leased_call *call, struct leased_err *err)
{
	static const uint16_t no_ports[] = {0};
	const struct leased_reach nowhere = {.ports = no_ports};
	const json_t *config = json_object_get(call->params, "config");
	int r;

	if ((r = keys_read(token_from(ctx), json_object_get(config, "keys"), err)) != 0 ||
	    (r = leased_confine(&nowhere, err)) != 0)
		return (r);
	return (json_object_set_new(call->result, "server", json_string("token")) == 0
		    ? 0
		    : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

static int
on_generate(void *ctx, struct leased_call *call, struct leased_err *err)
{
	const struct token_algorithm *algorithm;
	const char *name;
	int r;

	(void)ctx;
	if ((r = leased_get_string(call->params, "algorithm", &name, err)) != 0)
		return (r);
	if ((algorithm = token_algorithm_find(name)) == NULL)
		return (leased_err_set(err, LEASED_EINVAL,
		    "there is no algorithm %.16s: RS256, RS384, RS512, ES256, ES384, ES512 and "
		    "EdDSA are",
		    name));
	return (token_generate(algorithm, call->result, err));
}

static int
on_sign(void *ctx, struct leased_call *call, struct leased_err *err)
{
	const struct token *token = token_from(ctx);
	const json_t *claims = json_object_get(call->params, "claims");
	const char *id;
	char *text = NULL;
	size_t i;
	int r;

	if ((r = leased_get_string(call->params, "key", &id, err)) != 0)
		return (r);
	for (i = 0; i < token->key_count && strcmp(token->keys[i].id, id) != 0; i++)
		;
	if (i == token->key_count)
		return (leased_err_set(err, LEASED_ENOENT, "this worker has no key %.64s", id));
	if ((r = token_sign(&token->keys[i], claims, &text, err)) != 0)
		return (r);
	if (json_object_set_new(call->result, "token", json_string(text)) != 0)
		r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
	leased_wipe(text, strlen(text));
	free(text);
	return (r);
}

int
main(int argc, char **argv)
{
	static struct token token = {.tag = TOKEN_TAG};
	static const struct leased_plugin table = {
	    .name = "token",
	    .description = "{\"name_max\":64,\"name_alphabet\":\"a-zA-Z0-9_-\",\"native_expiry\":"
			   "true,\"config_fields\":[{\"name\":\"keys\",\"secret\":true,"
			   "\"required\":false}]}",
	    .open = on_open,
	    .generate = on_generate,
	    .sign = on_sign,
	    .ctx = &token,
	};

	return (leased_plugin_main(&table, argc, argv));
}
