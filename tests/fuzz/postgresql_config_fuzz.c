/*
 * Fuzzes the PostgreSQL plugin's connection_url, and the fields beside it: what is taken has a user
 * and a server.
 */
#include <stdlib.h>

#include "postgresql/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct postgresql_config *config = NULL;
	char where[256];
	json_t *url = json_stringn((const char *)bytes, len), *object;

	if (url == NULL) /* not UTF-8: refused before */
		return (0);
	if ((object = json_pack("{s:o}", "connection_url", url)) == NULL)
		abort();
	if (postgresql_config_new(object, &config, &err) == 0) {
		if (config->username == NULL || config->keywords[POSTGRESQL_HOST] == NULL)
			abort();
		postgresql_config_where(config, where, sizeof(where));
	} else if (err.text[0] == '\0') {
		abort();
	}
	postgresql_config_free(config);
	json_decref(object);
	return (0);
}
