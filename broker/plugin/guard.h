/*
 * What is leased's own among the files that a configuration can name: the daemon's part knows them
 * and tells the spawner which they are, the spawner's part compares.
 */
#ifndef PLUGIN_GUARD_H
#define PLUGIN_GUARD_H

#include <jansson.h>
#include <sys/stat.h>

#include "plugin/plugin.h"

#define GUARDS_MAX 48 /* what a packet has room for beside the files that are named */

struct guards {
	unsigned count;
	struct {
		enum plugin_guard kind;
		char *path;
	} rows[GUARDS_MAX];
};

/* One more; the same path twice is one. LEASED_ELIMIT, LEASED_ENOMEM. */
int plugin_guards_add(struct guards *guards, enum plugin_guard kind, const char *path,
    struct leased_err *err) LEASED_MUST_CHECK;
void plugin_guards_clear(struct guards *guards);

/* [[kind, device, inode], ..] of those that are there now. NULL: out of memory. */
json_t *plugin_guards_list(const struct guards *guards);

/*
 * In the child that becomes a worker. fd: path, opened; status: of it. LEASED_EINVAL: it is one of
 * what was listed, by whatever name or link, or lies beneath a directory that was.
 */
int plugin_guard_check(const json_t *list, int fd, const struct stat *status, const char *path,
    struct leased_err *err) LEASED_MUST_CHECK;

#endif
