/*
 * Fuzzes leased.hcl: it is taken whole, or refused with at least one problem; what is taken keeps
 * its promises.
 */
#include <stdlib.h>
#include <string.h>

#include "config/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

int
LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len)
{
	struct config_problems problems = {0};
	struct leased_err err = LEASED_ERR_INIT;
	struct config *config = NULL;
	char line[256];
	int r = config_parse((const char *)bytes, len, &config, &problems, &err);

	if ((r == 0) != (config != NULL) || (r == LEASED_EINVAL && problems.count == 0))
		abort();
	if (config != NULL) {
		if (config->data_dir == NULL || config->seal_path == NULL ||
		    config->default_lease_ttl_s < 1 ||
		    config->default_lease_ttl_s > config->max_lease_ttl_s)
			abort();
		for (size_t i = 0; i < config->listener_count; i++)
			if (config->listeners[i].path == NULL &&
			    config->listeners[i].address == NULL)
				abort();
		for (size_t i = 0; i < config->policy_count; i++)
			if (strlen(config->policies[i].text) > len)
				abort();
	}
	for (size_t i = 0; i < problems.count; i++)
		config_problem_format(&problems.items[i], "f", line, sizeof(line));
	config_free(config);
	config_problems_clear(&problems);
	return (0);
}
