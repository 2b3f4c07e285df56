/*
 * Answers differential.py: one JSON object a line in, one out. In: {"policies": [text..], "asks":
 * [[path, need]..], "prefixes": [..]}. Out: {"asks": [[allowed, rule or null, names of
 * capabilities_self..]..], "prefixes": [bool..]}. Not a test by itself.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "policy/policy.h"

static json_t *
answer_ask(const struct policy_acl *acl, const json_t *ask)
{
	const char *names[POLICY_CAPABILITY_COUNT];
	const char *path = json_string_value(json_array_get(ask, 0));
	unsigned need = (unsigned)json_integer_value(json_array_get(ask, 1));
	struct policy_decision decision = policy_acl_decide(acl, path, need);
	json_t *answer = json_array();
	size_t count = policy_acl_capabilities(acl, path, names);

	json_array_append_new(answer, json_boolean(decision.allowed));
	json_array_append_new(
	    answer, decision.rule != NULL ? json_string(decision.rule) : json_null());
	for (size_t i = 0; i < count; i++)
		json_array_append_new(answer, json_string(names[i]));
	return (answer);
}

static struct policy_acl *
read_acl(const json_t *texts)
{
	struct policy *policies[8] = {NULL};
	struct leased_err err = LEASED_ERR_INIT;
	struct policy_acl *acl;
	size_t count = json_array_size(texts);

	for (size_t i = 0; i < count && i < 8; i++) {
		const char *text = json_string_value(json_array_get(texts, i));

		if (policy_parse(text, strlen(text), &policies[i], &err) != 0) {
			fprintf(stderr, "%s\n%s\n", err.text, text);
			exit(2);
		}
	}
	acl = policy_acl_new((const struct policy *const *)policies, count);
	for (size_t i = 0; i < 8; i++)
		policy_free(policies[i]);
	return (acl);
}

int
main(void)
{
	char *line = NULL;
	size_t size = 0, i;

	while (getline(&line, &size, stdin) > 0) {
		json_t *world = json_loads(line, 0, NULL), *asks = json_array(),
		       *prefixes = json_array(), *item;
		struct policy_acl *acl = read_acl(json_object_get(world, "policies"));
		json_t *out;

		json_array_foreach(json_object_get(world, "asks"), i, item)
		    json_array_append_new(asks, answer_ask(acl, item));
		json_array_foreach(json_object_get(world, "prefixes"), i, item)
		    json_array_append_new(
			prefixes, json_boolean(policy_acl_any_below(acl, json_string_value(item))));
		out = json_pack("{s:o, s:o}", "asks", asks, "prefixes", prefixes);
		json_dumpf(out, stdout, JSON_COMPACT);
		putchar('\n');
		json_decref(out);
		json_decref(world);
		policy_acl_free(acl);
	}
	free(line);
	return (0);
}
