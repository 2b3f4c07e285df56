/*
 * A mount, inside engine/: the object behind engine.h's functions, and the table of them (mount.c).
 */
#ifndef ENGINE_MOUNT_H
#define ENGINE_MOUNT_H

#include <sys/queue.h>

#include "engine/engine.h"

struct engine_type;

struct engine_mount {
	LIST_ENTRY(engine_mount) link;
	const struct engine_type *type; /* NULL: one of another version */
	int64_t id, version;
	char *path;   /* "database/" */
	json_t *data; /* the document */
	bool closing; /* an unmount is under way: nothing new is made below it */
};

int engine_mounts_load(struct engines *engines, struct leased_err *err) LEASED_MUST_CHECK;
void engine_mounts_free(struct engines *engines);
void engine_mount_free(struct engine_mount *mount);                /* NULL is fine */
struct engine_mount *engine_mount_from_doc(struct store_doc *doc); /* takes over what it holds */
struct store_doc *engine_mount_doc_new(struct engines *engines, const char *path, const char *type,
    const char *description, int64_t default_s, int64_t max_s);
struct engine_mount *engine_mount_find(struct engines *engines, int64_t id);
/* The TTLs that hold below a mount: its own, else the system's. */
void engine_mount_ttls(struct engines *engines, const struct engine_mount *mount,
    int64_t *ret_default_s, int64_t *ret_max_s);

#endif
