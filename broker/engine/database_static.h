/*
 * A static role that is being written: between database_static.c, which tries and stores it, and
 * database_static_build.c, which checks it and builds its document.
 */
#ifndef ENGINE_DATABASE_STATIC_H
#define ENGINE_DATABASE_STATIC_H

#include "engine/database.h"
#include "engine/rotation.h"

struct engine_static_body {
	char *db_name, *username, *credential_type, *rotation_schedule, *rotation_window;
	struct jdec_list rotation_statements;
	int64_t rotation_period;
	bool skip_import_rotation;
	json_t *credential_config, *self_managed_password;
};
struct engine_static_write {
	struct engine_request_copy *request;
	struct engine_static_body body;
	struct store_doc *doc;
	int64_t connection;
	bool is_new;
	struct store_rotation rotation;
	struct engine_change change;
	struct leased_err why; /* of a first rotation that failed */
};

/* What is stored and shown. */
extern const char *const engine_static_fields[];

void engine_static_body_clear(struct engine_static_body *body);
/* The body over current (NULL: a new one), checked; write->doc is what will hold. LEASED_EINVAL
 * says which setting is wrong, why, and what to write instead. */
int engine_static_prepare(struct engine_static_write *write, const struct store_doc *current,
    struct engine_connection **ret_connection, struct leased_err *err) LEASED_MUST_CHECK;

#endif
