/*
 * What is particular to a path below a mount: who may ask, and answers that are no JSON.
 */
#ifndef ENGINE_PAGE_H
#define ENGINE_PAGE_H

#include <stdbool.h>
#include <stddef.h>

struct engine_mount;
struct engines;

/* Is it there? Decides create or update (contract 3.4): 1 yes, 0 no, -1: it cannot tell (update) */
int engine_exists(struct engines *engines, const struct engine_mount *mount, const char *path);
/* Beside the capability; by HTTP Basic, too; another path (ret_path) that must be readable, too. */
bool engine_needs_sudo(const struct engine_mount *mount, const char *path);
bool engine_takes_basic(const struct engine_mount *mount, const char *path);
bool engine_also_reads(const struct engine_mount *, const char *path, char *ret_path, size_t size);
/* May it be read without a token? */
bool engine_is_open(const struct engine_mount *mount, const char *path);

/* An answer that is no JSON; all borrowed for the callback. */
struct engine_page {
	const char *type, *cache; /* Content-Type, Cache-Control: literals */
	const char *etag;         /* who has that one is told so, and bytes may be NULL */
	const char *bytes;
	size_t len;
};

#endif
