/*
 * Fuzzes the MySQL plugin's connection_url, and the fields beside it: what is taken has a user and
 * one server, and no TLS only on this machine.
 */
#include <stdlib.h>
#include <string.h>

#include "mysql/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct leased_err err = LEASED_ERR_INIT;
	struct maria_config *config = NULL;
	char where[256];
	json_t *url = json_stringn((const char *)bytes, len), *object;

	if (url == NULL) /* not UTF-8: refused before */
		return (0);
	if ((object = json_pack("{s:o}", "connection_url", url)) == NULL)
		abort();
	if (maria_config_new(object, &config, &err) == 0) {
		if (config->username == NULL ||
		    (config->host == NULL) == (config->socket == NULL) || config->port == 0 ||
		    config->password != NULL)
			abort();
		if (!config->is_tls && config->host != NULL &&
		    strncmp(config->host, "127.", 4) != 0 &&
		    strcmp(config->host, "localhost") != 0 && strcmp(config->host, "::1") != 0)
			abort();
		maria_config_where(config, where, sizeof(where));
	} else if (err.text[0] == '\0') {
		abort();
	}
	maria_config_free(config);
	json_decref(object);
	return (0);
}
