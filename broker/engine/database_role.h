/*
 * A role that is being written: between database_role.c, which reads, stores and tries it,
 * database_role_build.c, which checks it and builds its documents, and database_role_own.c, which
 * knows what of it is the plugin's own.
 */
#ifndef ENGINE_DATABASE_ROLE_H
#define ENGINE_DATABASE_ROLE_H

#include "engine/database.h"

struct engine_role_body {
	char *db_name, *credential_type, *username_template, *owned_objects, *lease_owner;
	struct jdec_list creation_statements, revocation_statements, rollback_statements,
	    renew_statements, grant_roles;
	int64_t default_ttl, max_ttl, max_leases;
	bool verify_role;
	json_t *credential_config;
};
struct engine_role_write {
	struct engine_request_copy *request;
	struct engine_role_body body;
	json_t *own; /* settings that we do not know: name to value; owned */
	struct store_doc *doc, *role_version;
	int64_t connection;  /* 0: it is not configured yet */
	json_t *description; /* a reference; NULL: nobody could be asked */
	struct engine_change change;
};

/* LEASED_EINVAL says which setting is wrong, why, and what to write instead. */
int engine_role_check(struct engine_role_write *write, struct leased_err *err) LEASED_MUST_CHECK;
int engine_role_version_build(
    struct engine_role_write *write, struct leased_err *err) LEASED_MUST_CHECK;
int engine_role_doc_build(struct engine_role_write *write, const struct store_doc *current,
    struct leased_err *err) LEASED_MUST_CHECK;

/* Our own settings, for "did you mean"; NULL at the end. */
extern const char *const engine_role_field_names[];
/* Those of merged that unknown names. */
int engine_role_own_take(struct engine_role_write *write, const json_t *merged,
    const json_t *unknown, struct leased_err *err) LEASED_MUST_CHECK;
/* Leaves those that the plugin lists, and warns of the others; of all, where it cannot be asked.
 * LEASED_EINVAL: they are too large. */
int engine_role_own_check(
    struct engine_role_write *write, struct leased_err *err) LEASED_MUST_CHECK;
/* LEASED_EINVAL: the plugin says that the role needs one more. */
int engine_role_needs_check(
    const struct engine_role_write *write, struct leased_err *err) LEASED_MUST_CHECK;
/* What the statements of the role are read as, and ROLE_DIALECT of its document. */
#define ENGINE_ROLE_DIALECT "role_dialect"
const char *engine_role_dialect(const json_t *description);

/* text, or otherwise when it is NULL or empty. */
const char *engine_text_or(const char *text, const char *otherwise);

#endif
