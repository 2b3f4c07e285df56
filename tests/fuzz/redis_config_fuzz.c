/*
 * Fuzzes the addresses of a Redis connection: what is taken is a host and a port, and shows itself
 * so that it can be read again.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "redis/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct redis_address address, again;
	char *text = strndup((const char *)bytes, len);
	struct redis_config *config = NULL;
	json_t *object = json_pack("{s:s}", "nodes", text);

	if (text == NULL)
		abort();
	if (redis_address_read(text, &address, &err) == 0) {
		if (address.host[0] == '\0' || (address.port == 0) != (address.host[0] == '/') ||
		    redis_address_read(address.text, &again, &err) != 0 ||
		    strcmp(again.host, address.host) != 0 || again.port != address.port ||
		    again.is_local != address.is_local || again.is_name != address.is_name)
			abort();
	} else if (err.text[0] == '\0') {
		abort();
	}
	if (object != NULL && redis_config_new(object, &config, &err) == 0 &&
	    (config->nodes.count == 0 || config->nodes.count > REDIS_NODES_MAX))
		abort();
	redis_config_free(config);
	json_decref(object);
	free(text);
	return (0);
}
