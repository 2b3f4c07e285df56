/*
 * What clients say of an SSH certificate: a public key's line, a list of principals, a template, an
 * address. What passes is harmless to whoever splits, matches or logs it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "engine/ssh/words.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_principals(const char *text)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *value = json_string(text), *list = NULL;
	const json_t *one;
	size_t i;

	if (engine_ssh_principals_read(value, false, &list, &err) == 0)
		json_array_foreach(list, i, one)
		{
			if (json_string_length(one) == 0 || json_string_length(one) > 128 ||
			    strpbrk(json_string_value(one), ",*?! \n") != NULL)
				abort();
		}
	json_decref(list);
	json_decref(value);
}

static void
check_template(const char *text)
{
	struct leased_err err = LEASED_ERR_INIT;
	json_t *entity = json_pack("{s:s,s:{s:s}}", "name", "alice", "metadata", "k", "a,b");
	char *filled = NULL;

	if (engine_ssh_template_fill(text, "id", entity, &filled, &err) == 0 && filled != NULL &&
	    (filled[0] == '\0' || strpbrk(filled, ",*?! \n") != NULL))
		abort();
	free(filled);
	json_decref(entity);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct ssh_key key = {.line = NULL};
	char *text = malloc(size + 1);

	if (text == NULL)
		abort();
	memcpy(text, data, size);
	text[size] = '\0';
	if (engine_ssh_key_read(text, &key, &err) == 0 &&
	    (strpbrk(key.line, "\r\n\t") != NULL || strlen(key.fingerprint) != 50))
		abort();
	free(key.line);
	check_principals(text);
	check_template(text);
	(void)engine_ssh_addresses_check(text, &err);
	(void)engine_ssh_option_check(text, text, true, &err);
	free(text);
	return (0);
}
