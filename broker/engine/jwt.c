/*
 * The issuer's memory: named keys without their private parts, read at the start, and the port of
 * the workers that have those. What changes a key is jwt_change.c; engine.c starts and ends this.
 */
#include "engine/jwt.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

struct engine_jwt *
engine_jwt_from(void *arg)
{
	struct engine_jwt *jwt = arg;

	if (jwt->tag != JWT_TAG)
		abort();
	return (jwt);
}

/* ---- named keys ---- */

static void
key_free(struct jwt_key *key)
{
	json_decref(key->data);
	free(key->name);
	free(key);
}

struct jwt_key *
engine_jwt_key_find(struct engine_jwt *jwt, const char *name)
{
	struct jwt_key *key;

	LIST_FOREACH (key, &jwt->keys, link)
		if (strcmp(key->name, name) == 0)
			return (key);
	return (NULL);
}

int64_t
engine_jwt_number(const struct jwt_key *key, const char *object, const char *field)
{
	const json_t *at = object != NULL ? json_object_get(key->data, object) : key->data;

	return (json_integer_value(json_object_get(at, field)));
}

const char *
engine_jwt_text(const struct jwt_key *key, const char *object, const char *field)
{
	const json_t *at = object != NULL ? json_object_get(key->data, object) : key->data;

	return (json_string_value(json_object_get(at, field)));
}

static json_t *
without_private(const json_t *data)
{
	json_t *copy = json_deep_copy(data);

	(void)json_object_del(json_object_get(copy, "current"), "private");
	(void)json_object_del(json_object_get(copy, "next"), "private");
	return (copy);
}

int
engine_jwt_key_remember(struct engine_jwt *jwt, const struct store_doc *doc)
{
	const char *slash = strchr(doc->name, '/');
	const char *name = slash != NULL ? slash + 1 : doc->name;
	struct jwt_key *key = engine_jwt_key_find(jwt, name);
	json_t *data = without_private(doc->data);

	engine_jwt_list_drop(jwt);
	if (data == NULL)
		return (LEASED_ENOMEM);
	if (key == NULL &&
	    ((key = calloc(1, sizeof(*key))) == NULL || (key->name = strdup(name)) == NULL)) {
		free(key);
		json_decref(data);
		return (LEASED_ENOMEM);
	}
	if (key->data == NULL)
		LIST_INSERT_HEAD(&jwt->keys, key, link);
	json_decref(key->data);
	key->data = data;
	key->id = doc->id;
	key->version = doc->version;
	return (0);
}

void
engine_jwt_key_forget(struct engine_jwt *jwt, int64_t id)
{
	struct jwt_key *key;

	engine_jwt_list_drop(jwt);
	LIST_FOREACH (key, &jwt->keys, link)
		if (key->id == id) {
			LIST_REMOVE(key, link);
			key_free(key);
			return;
		}
}

int
engine_jwt_doc(struct engines *engines, const char *kind, const char *name,
    struct store_doc **ret_doc, struct leased_err *err)
{
	const struct engine_mount *mount = engine_jwt_mount(engines);
	char full[ENGINE_DOC_NAME_SIZE];

	if (mount == NULL)
		return (leased_err_set(err, LEASED_ENOENT, "identity/ is not mounted"));
	engine_doc_name(mount->id, name, full);
	return (store_doc_get(store_db(engines->config.store), kind, full, ret_doc, err));
}

/* One that does not open signs nothing, and keeps the others from nothing. All, however many. */
static void
keys_load(struct engine_jwt *jwt, const struct engine_mount *mount)
{
	char prefix[ENGINE_DOC_NAME_SIZE], after[ENGINE_DOC_NAME_SIZE] = "";
	struct leased_err err = LEASED_ERR_INIT;
	struct store_doc **docs;
	size_t count;

	engine_doc_name(mount->id, "", prefix);
	do {
		docs = NULL;
		count = 0;
		if (store_doc_list(store_db(jwt->engines->config.store), "oidc-key", prefix,
			after[0] != '\0' ? after : NULL, JWT_KEYS_MAX, &docs, &count, &err) != 0)
			log_error(
			    "keys of JWTs could not be read; none of them signs", LOG_ERR(&err));
		for (size_t i = 0; i < count; i++) {
			(void)strlcpy(after, docs[i]->name, sizeof(after));
			if (engine_jwt_key_remember(jwt, docs[i]) != 0)
				log_error("a key of JWTs was left out: out of memory",
				    LOG_S("key", docs[i]->name));
			store_doc_free(docs[i]);
		}
		free(docs);
	} while (count == JWT_KEYS_MAX);
}

/* ---- the workers ---- */

/* {"keys": {KID: {"algorithm", "private"}}} of the pairs that sign now: no other is needed. */
static int
config_build(struct engine_jwt *jwt, json_t **ret_config, struct leased_err *err)
{
	json_t *keys = json_object(), *config = json_pack("{s:o}", "keys", keys), *one;
	struct store_doc *doc;
	const json_t *current;
	struct jwt_key *key;
	int r = config != NULL ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory");

	LIST_FOREACH (key, &jwt->keys, link) {
		doc = NULL;
		if (r != 0)
			break;
		r = engine_jwt_doc(jwt->engines, "oidc-key", key->name, &doc, err);
		if (r == LEASED_ECORRUPT) { /* the store tells of it; the others sign on */
			r = 0;
			continue;
		}
		if (r != 0)
			break;
		current = json_object_get(doc->data, "current");
		one = json_pack("{s:O,s:O}", "algorithm", json_object_get(doc->data, "algorithm"),
		    "private", json_object_get(current, "private"));
		if (json_object_set_new(
			keys, json_string_value(json_object_get(current, "kid")), one) != 0)
			r = leased_err_set(err, LEASED_ENOMEM, "out of memory");
		store_doc_free(doc);
	}
	if (r != 0) {
		json_decref(config);
		return (r);
	}
	*ret_config = config;
	return (0);
}

int
engine_jwt_open(struct engine_jwt *jwt, bool changed, struct leased_err *err)
{
	const struct engines_config *with = &jwt->engines->config;
	json_t *config = NULL;
	int r;

	jwt->stale |= changed;
	if (jwt->port != NULL && !jwt->stale)
		return (0);
	if ((r = config_build(jwt, &config, err)) != 0)
		return (r);
	jwt->stale = false;
	if (jwt->port != NULL) {
		plugin_port_configure(jwt->port, config, true);
		return (0);
	}
	jwt->port = with->port_open(with->host, plugin_catalog_find("token"), config, 0, 0);
	return (jwt->port != NULL ? 0 : leased_err_set(err, LEASED_ENOMEM, "out of memory"));
}

int
engine_jwt_ready(const struct engine_jwt *jwt, struct leased_err *err)
{
	if (jwt->engines->stopping)
		return (leased_err_set(err, LEASED_EUNAVAIL, "leased is stopping"));
	if (engine_jwt_mount(jwt->engines) == NULL)
		return (leased_err_set(err, LEASED_EUNAVAIL, "identity/ is not mounted yet"));
	return (0);
}

/* ---- start and end ---- */

int
engine_jwt_new(struct engines *engines, struct leased_err *err)
{
	struct engine_jwt *jwt = calloc(1, sizeof(*jwt));

	if (jwt == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	jwt->tag = JWT_TAG;
	jwt->engines = engines;
	LIST_INIT(&jwt->keys);
	LIST_INIT(&jwt->changes);
	engines->jwt = jwt;
	return (engine_identity_mount(engines, err));
}

void
engine_jwt_start(struct engine_jwt *jwt)
{
	const struct engine_mount *mount = engine_jwt_mount(jwt->engines);
	struct leased_err err = LEASED_ERR_INIT;

	if (mount != NULL)
		keys_load(jwt, mount);
	if (!LIST_EMPTY(&jwt->keys) && engine_jwt_open(jwt, false, &err) != 0)
		log_error("no worker signs JWTs yet", LOG_ERR(&err));
	engine_jwt_timer_start(jwt);
}

void
engine_jwt_stop(struct engine_jwt *jwt)
{
	if (jwt == NULL)
		return;
	engine_jwt_timer_stop(jwt);
	plugin_port_close(jwt->port); /* what was asked of it ends here */
	jwt->port = NULL;
}

void
engine_jwt_free(struct engine_jwt *jwt)
{
	struct jwt_key *key;

	if (jwt == NULL)
		return;
	while ((key = LIST_FIRST(&jwt->keys)) != NULL) {
		LIST_REMOVE(key, link);
		key_free(key);
	}
	engine_jwt_denied_free(jwt);
	engine_jwt_list_drop(jwt);
	json_decref(jwt->settings);
	jwt->tag = 0;
	free(jwt);
}
