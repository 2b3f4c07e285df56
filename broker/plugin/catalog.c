/*
 * The plugins that this version knows: one row each. A backend more is a row more here, and nothing
 * else in the daemon.
 */
#include <string.h>

#include "base/jdec.h"
#include "plugin/plugin.h"

static const struct plugin_catalog_row rows[] = {
#ifdef LEASED_FAILPOINTS
    /* Its backend is any directory that it is told: for tests only. */
    {.program = "example", .api_names = {"example"}, .pool = 2},
#endif
    {.program = "postgresql", .api_names = {"postgresql-database-plugin", "postgresql"}, .pool = 4},
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))
#define NAME_COUNT (sizeof(rows[0].api_names) / sizeof(rows[0].api_names[0]))

const struct plugin_catalog_row *
plugin_catalog_find(const char *api_name)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		for (size_t k = 0; k < NAME_COUNT && rows[i].api_names[k] != NULL; k++)
			if (strcmp(rows[i].api_names[k], api_name) == 0)
				return (&rows[i]);
	return (NULL);
}

const char *
plugin_catalog_nearest(const char *api_name)
{
	const char *names[ROW_COUNT * NAME_COUNT];
	size_t count = 0;

	for (size_t i = 0; i < ROW_COUNT; i++)
		for (size_t k = 0; k < NAME_COUNT && rows[i].api_names[k] != NULL; k++)
			names[count++] = rows[i].api_names[k];
	return (jdec_nearest(api_name, names, count));
}
