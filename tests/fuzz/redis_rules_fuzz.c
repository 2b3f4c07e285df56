/*
 * Fuzzes a role's ACL rules: of what is taken, no rule says anything of passwords or logins, and
 * each is one word for the server, or a selector of words.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "redis/rules.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
look(const char *rule)
{
	static const char *const never[] = {"on", "off", "nopass", "reset", "resetpass"};

	if (rule[0] == '\0' || strchr("><#!", rule[0]) != NULL)
		abort();
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (strcasecmp(rule, never[i]) == 0)
			abort();
	for (const char *c = rule; *c != '\0'; c++)
		if ((unsigned char)*c < ' ' || *c == 0x7f || (*c == ' ' && rule[0] != '('))
			abort();
	if (rule[0] == '(' && (strpbrk(rule, "><") == rule + 1 || strstr(rule, " >") != NULL ||
				  strstr(rule, " #") != NULL || rule[strlen(rule) - 1] != ')'))
		abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *text = json_stringn((const char *)bytes, len), *statements, *rules = NULL, *rule;
	size_t i;

	if (text == NULL) /* not UTF-8: refused before */
		return (0);
	if ((statements = json_pack("[o]", text)) == NULL)
		abort();
	if (redis_rules_read(statements, &rules, &err) == 0)
		json_array_foreach(rules, i, rule) look(json_string_value(rule));
	else if (err.text[0] == '\0')
		abort();
	json_decref(rules);
	json_decref(statements);
	return (0);
}
