/*
 * The plugins that this version knows: one row each. A backend more is a row more here, and nothing
 * else in the daemon. Behind them, those that the configuration names.
 */
#include <stdlib.h>
#include <string.h>

#include "base/jdec.h"
#include "plugin/plugin.h"

static const struct plugin_catalog_row rows[] = {
#ifdef LEASED_FAILPOINTS
    /* Its backend is any directory that it is told: for tests only. */
    {.program = "example", .api_names = {"example"}, .pool = 2},
#endif
    {.program = "mysql",
	.api_names = {"mysql-database-plugin", "mysql-legacy-database-plugin",
	    "mysql-rds-database-plugin", "mysql-aurora-database-plugin", "mariadb", "mysql"},
	.pool = 2},
    {.program = "exec", .api_names = {"exec"}, .pool = 2, .starts_programs = true},
    {.program = "http", .api_names = {"http"}, .pool = 2},
    {.program = "ssh", .api_names = {"ssh"}, .pool = 2, .ahead = 8},
    {.program = "token", .api_names = {"token"}, .pool = 2, .ahead = 8},
    {.program = "postgresql", .api_names = {"postgresql-database-plugin", "postgresql"}, .pool = 4},
    {.program = "rabbitmq", .api_names = {"rabbitmq"}, .pool = 2},
    {.program = "redis",
	.api_names = {"redis-database-plugin", "valkey-database-plugin", "redis"},
	.pool = 2},
};

#define ROW_COUNT (sizeof(rows) / sizeof(rows[0]))
#define NAME_COUNT (sizeof(rows[0].api_names) / sizeof(rows[0].api_names[0]))

#define ADDED_MAX 64

/* Ports keep their row for as long as the process lives. */
static struct added {
	struct plugin_catalog_row row;
	char *program, *api_name;
} * added[ADDED_MAX];
static size_t added_count;

static const struct plugin_catalog_row *
find_own(const char *api_name)
{
	for (size_t i = 0; i < ROW_COUNT; i++)
		for (size_t k = 0; k < NAME_COUNT && rows[i].api_names[k] != NULL; k++)
			if (strcmp(rows[i].api_names[k], api_name) == 0)
				return (&rows[i]);
	return (NULL);
}

bool
plugin_catalog_is_own(const char *api_name)
{
	return (find_own(api_name) != NULL);
}

const struct plugin_catalog_row *
plugin_catalog_find(const char *api_name)
{
	const struct plugin_catalog_row *own = find_own(api_name);

	if (own != NULL)
		return (own);
	for (size_t i = 0; i < added_count; i++)
		if (strcmp(added[i]->api_name, api_name) == 0)
			return (&added[i]->row);
	return (NULL);
}

int
plugin_catalog_add(const char *api_name, const char *program, unsigned pool, struct leased_err *err)
{
	struct added *one;

	if (plugin_catalog_find(api_name) != NULL)
		return (leased_err_set(err, LEASED_EEXIST,
		    "\"%s\" is a plugin of leased's own: give this one another name", api_name));
	if (added_count == ADDED_MAX)
		return (leased_err_set(
		    err, LEASED_ELIMIT, "there may be %d plugins beside leased's own", ADDED_MAX));
	if ((one = calloc(1, sizeof(*one))) == NULL || (one->api_name = strdup(api_name)) == NULL ||
	    (one->program = strdup(program)) == NULL) {
		free(one != NULL ? one->api_name : NULL);
		free(one);
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	}
	one->row = (struct plugin_catalog_row){
	    .program = one->program, .api_names = {one->api_name}, .pool = pool};
	added[added_count++] = one;
	return (0);
}

const char *
plugin_catalog_nearest(const char *api_name)
{
	const char *names[ROW_COUNT * NAME_COUNT + ADDED_MAX];
	size_t count = 0;

	for (size_t i = 0; i < ROW_COUNT; i++)
		for (size_t k = 0; k < NAME_COUNT && rows[i].api_names[k] != NULL; k++)
			names[count++] = rows[i].api_names[k];
	for (size_t i = 0; i < added_count; i++)
		names[count++] = added[i]->api_name;
	return (jdec_nearest(api_name, names, count));
}
