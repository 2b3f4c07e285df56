/*
 * A connection that is being written: between database_trial.c, which tries it, and
 * database_move.c, which sees to the leases that it has when it leads to another server.
 */
#ifndef ENGINE_DATABASE_TRIAL_H
#define ENGINE_DATABASE_TRIAL_H

#include "engine/database.h"

struct engine_config_body {
	char *plugin_name, *password_policy;
	bool verify_connection, confirm_move;
	int64_t max_open_connections, max_leases;
	struct jdec_list allowed_roles, root_rotation_statements;
};
struct engine_config_write {
	struct engine_request_copy *request;
	struct engine_config_body body;
	struct store_doc *doc;          /* what will hold */
	struct store_doc *candidate;    /* what is being tried */
	struct store_doc *role_version; /* of the canary */
	char server[128];               /* who answered the trial, "" unknown */
	struct engine_change change;
};

/* Our own fields of a configuration, as many as are returned; ret_names may be NULL. */
size_t engine_config_names(const char **ret_names);
/* Asks the plugin what it takes, leaves out of write->doc what it does not, and goes on with
 * engine_config_described(). */
void engine_config_describe(struct engine_config_write *write);
void engine_config_described(
    struct engine_config_write *write, int code, const struct leased_err *err);
/* NULL: it went with its mount. */
struct engine_connection *engine_config_candidate(struct engine_config_write *write);
/* The trial was a success: are the leases of this connection on the server that was met, or did the
 * operator say that it has taken over? Then holds. */
void engine_config_move(struct engine_config_write *write);
/* Makes write->doc what holds, and answers. */
void engine_config_hold(struct engine_config_write *write);

#endif
