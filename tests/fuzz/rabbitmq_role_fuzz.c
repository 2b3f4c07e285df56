/*
 * Fuzzes the settings of a RabbitMQ role: of what is taken, every permission has its virtual host
 * and its patterns, as texts, and tags are words with commas.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "rabbitmq/role.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static void
look(const json_t *entries, const char *const *names)
{
	const json_t *entry;
	size_t i;

	json_array_foreach(entries, i,
	    entry) for (size_t n = 0; names[n] != NULL;
			n++) if (!json_is_string(json_object_get(entry, names[n]))) abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	static const char *const permissions[] = {"vhost", "configure", "write", "read", NULL};
	static const char *const topics[] = {"vhost", "exchange", "write", "read", NULL};
	struct rabbitmq_role role = RABBITMQ_ROLE_INIT;
	struct leased_err err = LEASED_ERR_INIT;
	json_t *text = json_stringn((const char *)bytes, len), *object;

	if (text == NULL) /* not UTF-8: refused before */
		return (0);
	object = json_pack("{s:O, s:O, s:o}", "vhosts", text, "vhost_topics", text, "tags", text);
	if (object == NULL)
		abort();
	for (unsigned i = 0; i < 2; i++) {
		if (rabbitmq_role_read(object, &role, &err) == 0) {
			look(role.permissions, permissions);
			look(role.topics, topics);
			if (strpbrk(role.tags, " \"'\\\n") != NULL ||
			    strstr(role.tags, ",,") != NULL)
				abort();
		} else if (err.text[0] == '\0') {
			abort();
		}
		rabbitmq_role_clear(&role);
		(void)json_object_del(object, i == 0 ? "tags" : "vhosts");
	}
	if (rabbitmq_role_read(object, &role, &err) == 0)
		look(role.topics, topics);
	rabbitmq_role_clear(&role);
	json_decref(object);
	return (0);
}
