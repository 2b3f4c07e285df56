/*
 * Files of leased's own, which no worker reads though its configuration names them: compared by
 * device and inode, so that no link and no other name leads round it. Does not know which files
 * these are (main tells), nor what follows (confine.c does not start the worker). host.c keeps the
 * list.
 */
#include "plugin/guard.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *
name_of(json_int_t kind)
{
	switch ((enum plugin_guard)kind) {
	case PLUGIN_GUARD_DATA:
		return ("in the data directory of leased");
	case PLUGIN_GUARD_ROOT_KEY:
		return ("the root key");
	case PLUGIN_GUARD_TLS_KEY:
		return ("the private key of a listener of leased");
	case PLUGIN_GUARD_AUDIT:
		return ("the audit");
	case PLUGIN_GUARD_CONFIG:
		return ("the configuration file of leased");
	}
	return ("leased's own");
}

/* ---- the daemon's part ---- */

int
plugin_guards_add(
    struct guards *guards, enum plugin_guard kind, const char *path, struct leased_err *err)
{
	char *copy;

	for (unsigned i = 0; i < guards->count; i++)
		if (strcmp(guards->rows[i].path, path) == 0)
			return (0);
	if (guards->count == GUARDS_MAX)
		return (leased_err_set(err, LEASED_ELIMIT,
		    "%s: more than %d files of leased's own cannot be kept from its workers: let "
		    "listeners share a key, or restart leased after so many changes",
		    path, GUARDS_MAX));
	if ((copy = strdup(path)) == NULL)
		return (leased_err_set(err, LEASED_ENOMEM, "out of memory"));
	guards->rows[guards->count].kind = kind;
	guards->rows[guards->count++].path = copy;
	return (0);
}

void
plugin_guards_clear(struct guards *guards)
{
	while (guards->count > 0)
		free(guards->rows[--guards->count].path);
}

/* What is not there is nobody's to name. */
json_t *
plugin_guards_list(const struct guards *guards)
{
	json_t *list = json_array();
	struct stat status;

	for (unsigned i = 0; list != NULL && i < guards->count; i++) {
		if (stat(guards->rows[i].path, &status) != 0)
			continue;
		if (json_array_append_new(
			list, json_pack("[i,I,I]", (int)guards->rows[i].kind,
				  (json_int_t)status.st_dev, (json_int_t)status.st_ino)) != 0) {
			json_decref(list);
			return (NULL);
		}
	}
	return (list);
}

/* ---- the spawner's part ---- */

static int
refuse(const char *path, const char *why, struct leased_err *err)
{
	return (leased_err_set(err, LEASED_EINVAL,
	    "the connection's configuration names %s, which %s: no worker may read that. Give the "
	    "connection files of its own, in another directory",
	    path, why));
}

static int
compare(const json_t *list, const struct stat *status, const char *path, struct leased_err *err)
{
	const json_t *row;
	char why[80];
	size_t i;

	json_array_foreach(list, i, row)
	{
		if (json_integer_value(json_array_get(row, 1)) != (json_int_t)status->st_dev ||
		    json_integer_value(json_array_get(row, 2)) != (json_int_t)status->st_ino)
			continue;
		(void)snprintf(
		    why, sizeof(why), "is %s", name_of(json_integer_value(json_array_get(row, 0))));
		return (refuse(path, why, err));
	}
	return (0);
}

/* The directories that the opened file lies in, as the kernel knows them: not those of its name,
 * which may be changed meanwhile. */
static int
compare_directories(const json_t *list, int fd, const char *path, struct leased_err *err)
{
	char link[32], place[PATH_MAX], *slash;
	struct stat status;
	ssize_t len;
	int r;

	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, place, sizeof(place) - 1);
	if (len <= 0 || (size_t)len == sizeof(place) - 1 || place[0] != '/')
		return (refuse(path, "lies where leased cannot tell", err));
	place[len] = '\0';
	while ((slash = strrchr(place, '/')) != NULL) {
		slash[slash == place] = '\0'; /* "/" is the last */
		if (stat(place, &status) != 0)
			return (refuse(path, "lies where leased cannot tell", err));
		if ((r = compare(list, &status, path, err)) != 0)
			return (r);
		if (slash == place)
			break;
	}
	return (0);
}

int
plugin_guard_check(
    const json_t *list, int fd, const struct stat *status, const char *path, struct leased_err *err)
{
	int r;

	if (json_array_size(list) == 0)
		return (0);
	if ((r = compare(list, status, path, err)) == 0)
		r = compare_directories(list, fd, path, err);
	return (r);
}
