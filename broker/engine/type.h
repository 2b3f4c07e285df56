/*
 * What a type of mount is: its paths, and what the engines ask of whatever is mounted. One row a
 * type (type.c); a type's paths stand in a file of its name.
 */
#ifndef ENGINE_TYPE_H
#define ENGINE_TYPE_H

#include "engine/private.h"
#include "lease/plain.h"

struct engine_role; /* database.h */

typedef void (*engine_handler)(struct engine_request_copy *request);

struct engine_path {
	const char *verb; /* the first elements: "roles", "config/ca" */
	bool is_whole;    /* it is no list; and nothing follows the verb, unless is_name is set */
	bool is_listed;   /* without a name behind the verb: a list of the names there are */
	bool needs_sudo;
	bool is_open;     /* is read without a token: a test pins which are */
	bool takes_basic; /* a token, by HTTP Basic: for clients that know no other way */
	const char *kind; /* of the document that decides create or update; NULL: none */
	const char
	    *also_reads; /* with the name behind it: who asks must be allowed to read it, too */
	engine_handler read, write, remove; /* NULL: 405 */
	engine_handler list;                /* of is_listed; NULL: the documents of kind */
	bool (*is_name)(const char *name, size_t len); /* what may follow; NULL: path_is_name() */
};

struct engine_type {
	const char *name;
	const struct engine_path *paths;
	size_t path_count;
	const char *help;         /* what there is, for who asks for what there is not */
	const char *const *kinds; /* of its documents, which go with the mount; NULL-ended */
	/* See engine_renew_inputs(); NULL: its leases are not renewed. */
	bool (*renew_inputs)(struct engines *engines, const struct engine_mount *mount,
	    const struct store_lease *row, struct lease_ttl_input *ret_ttl);
	/* Where the TTLs of the database engine's roles are not their own: sets them. Or NULL. */
	int (*role_ttls)(struct engines *engines, int64_t mount, struct engine_role *role,
	    struct leased_err *err);
	bool only_one; /* made at the start, and neither mounted again nor removed */
	/* As leases_config.plain_ended; for leases whose engine's object has this type. Or NULL. */
	int (*lease_ended)(
	    struct store_txn *txn, const struct lease_plain_ended *ended, struct leased_err *err);
};

/* NULL: there is no such type. */
const struct engine_type *engine_type_find(const char *name);
/* The index-th, NULL behind the last. */
const struct engine_type *engine_type_at(size_t index);
/* "database, token" */
void engine_type_names(char *ret_names, size_t size);
/* The row of path (below a mount) whose verb is the longest, and what follows that; NULL when no
 * such path exists. "roles" and "roles/" are the list. type: NULL has no paths. */
const struct engine_path *engine_path_find(
    const struct engine_type *type, const char *path, const char **ret_name);

/* ---- the types ---- */
extern const struct engine_type engine_type_database;
extern const struct engine_type engine_type_rabbitmq;
extern const struct engine_type engine_type_token;
extern const struct engine_type engine_type_identity;
extern const struct engine_type engine_type_ssh;

#endif
