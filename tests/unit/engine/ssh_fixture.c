/*
 * The fixture of the tests of SSH certificates, see ssh_fixture.h.
 */
#include "unit/engine/ssh_fixture.h"

json_t *made;

int
ssh_setup(void **state)
{
	struct answer answer = {0};
	int r = fix_setup(state);

	below = "ssh/";
	mount_ask(*state, "ssh/", "{\"type\": \"ssh\"}", &answer);
	settle(*state);
	assert_int_equal(answer.code, 0);
	must(*state, ENGINE_WRITE, "config/ca", NULL);
	return (r);
}

int
ssh_teardown(void **state)
{
	below = "database/";
	if_none_match = prefer = NULL;
	json_decref(made);
	made = NULL;
	return (fix_teardown(state));
}

const char *
text_at(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return (text != NULL ? text : "");
}

/* members: of the request's JSON, behind the key; ' stands for ". */
char *
body_of(const char *key, const char *members)
{
	char *body = NULL;

	assert_true(asprintf(&body, "{'public_key': '%s'%s%s}", key, members[0] != '\0' ? ", " : "",
			members) > 0);
	for (char *at = body; *at != '\0'; at++)
		if (*at == '\'')
			*at = '"';
	return (body);
}

struct answer *
sign(struct fix *f, const char *role, const char *members)
{
	char *body = body_of(KEY_A, members), path[64];
	struct answer *answer;

	(void)snprintf(path, sizeof(path), "sign/%s", role);
	answer = must(f, ENGINE_WRITE, path, body);
	free(body);
	json_decref(made);
	made = json_loads(text_at(answer->data, "signed_key"), 0, NULL);
	assert_non_null(made);
	return (answer);
}

void
no_sign(struct fix *f, const char *role, const char *members, const char *part)
{
	char *body = body_of(KEY_A, members), path[64];

	(void)snprintf(path, sizeof(path), "sign/%s", role);
	(void)refused(f, ENGINE_WRITE, path, body, LEASED_EINVAL, part);
	free(body);
}

void
role(struct fix *f, const char *name, const char *members)
{
	char path[64], *body = NULL;

	(void)snprintf(path, sizeof(path), "roles/%s", name);
	assert_true(
	    asprintf(&body, "{'key_type': 'ca'%s%s}", members[0] != '\0' ? ", " : "", members) > 0);
	for (char *at = body; *at != '\0'; at++)
		if (*at == '\'')
			*at = '"';
	must(f, ENGINE_WRITE, path, body);
	free(body);
}

void
assert_principals(const char *wanted)
{
	json_t *list = json_loads(wanted, 0, NULL);

	assert_non_null(list);
	if (!json_equal(list, json_object_get(made, "principals")))
		fail_msg(
		    "not %s but %s", wanted, json_dumps(json_object_get(made, "principals"), 0));
	json_decref(list);
}

/* The serials of the list as it is, as the worker was told them. */
char *
serials(struct fix *f)
{
	struct answer *answer = must(f, ENGINE_READ, "krl", NULL);
	json_t *list = json_loads(answer->page, 0, NULL);
	char *text;

	assert_non_null(list);
	text = strdup(text_at(json_array_get(json_object_get(list, "cas"), 0), "serials"));
	json_decref(list);
	return (text);
}

long long
version(struct fix *f)
{
	struct answer *answer = must(f, ENGINE_READ, "krl", NULL);

	assert_int_equal(answer->etag[0], '"');
	return (strtoll(answer->etag + 1, NULL, 10));
}

void
entity_put(struct fix *f, const char *team)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct put {
		struct store_op op;
		struct store_doc *doc;
	};
	struct engine_change *change = calloc(1, sizeof(*change));
	struct store_doc *doc = NULL;

	if (store_doc_get(store_db(f->store), "entity", "e1", &doc, &err) != 0) {
		doc = calloc(1, sizeof(*doc));
		doc->kind = strdup("entity");
		doc->name = strdup("e1");
	}
	json_decref(doc->data);
	doc->data = json_pack("{s:s,s:[s],s:{s:s}}", "name", "entity_e1", "aliases",
	    "auth_unix/alice", "metadata", "team", team);
	change->puts[0] = doc;
	change->done = (engine_changed)(void (*)(void))free;
	change->arg = change;
	engine_change_submit(f->engines, change);
	settle(f);
	store_doc_free(doc);
}
