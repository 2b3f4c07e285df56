/*
 * The database engine: the handlers of the paths below a mount of type database, and what they
 * share.
 */
#ifndef ENGINE_DATABASE_H
#define ENGINE_DATABASE_H

#include "base/jdec.h"
#include "engine/type.h"

/* The document of the connection that request names. */
int engine_config_doc(struct engine_request_copy *request, struct store_doc **ret_doc,
    struct leased_err *err) LEASED_MUST_CHECK;
/* 400 where the caller can mend what a trial met, else 0: by code. */
int engine_trial_status(int code);
/* A connection URL, or keyword=value pairs, with every password hidden; the caller frees. NULL: out
 * of memory. *ret_found: there was one. */
char *engine_redact_url(const char *url, bool *ret_found);
/* A new array of the list's texts; NULL: out of memory. */
json_t *engine_list_json(const struct jdec_list *list);

/* Of a connection's document: what its plugin said of roles when it was written. */
#define ENGINE_DESCRIBED "described"
/* What the plugin of a connection says now, or said then; borrowed from either, NULL: not known. */
const json_t *engine_description(
    const struct engine_connection *connection, const struct store_doc *doc);
/* Ends the writes that wait for a plugin's description. */
void engine_describes_free(struct engines *engines);

/* ---- paths (database.c) ---- */

void engine_database_config_read(struct engine_request_copy *request);
void engine_database_config_write(struct engine_request_copy *request);
void engine_database_config_delete(struct engine_request_copy *request);
void engine_database_role_read(struct engine_request_copy *request);
void engine_database_role_write(struct engine_request_copy *request);
void engine_database_role_delete(struct engine_request_copy *request);
void engine_database_static_read(struct engine_request_copy *request);
void engine_database_static_write(struct engine_request_copy *request);
void engine_database_static_delete(struct engine_request_copy *request);
void engine_database_creds(struct engine_request_copy *request);
void engine_database_reset(struct engine_request_copy *request);
void engine_database_static_creds(struct engine_request_copy *request);
void engine_database_rotate_role(struct engine_request_copy *request);
void engine_database_rotate_root(struct engine_request_copy *request);

/* The document of the static role that request names. */
int engine_static_doc(struct engine_request_copy *request, struct store_doc **ret_doc,
    struct leased_err *err) LEASED_MUST_CHECK;
/* Does a connection's allowed_roles name role, by itself or by a glob? */
bool engine_role_is_allowed(const json_t *allowed, const char *role);
/* Answers with what a rotation met; what the backend refuses is its fault, not the caller's. */
void engine_rotation_fail(
    struct engine_request_copy *request, int code, const struct leased_err *err);
/* What a client needs beside a login, and nothing that it holds already. */
void engine_tell_endpoint(struct engine_request_copy *request, int64_t connection);
/* What the backend, as it is configured, cannot do: the warnings of its last open. */
void engine_warn_of_backend(struct engine_request_copy *request, const struct plugin_port *port);

/* What the daemon says to a plugin of a role: see PROTOCOL.md, "account.role". */
struct engine_role {
	int64_t id; /* of the role's document */
	char *name, *db_name;
	int64_t role_version;
	int64_t ttl_s, max_ttl_s, max_leases;
	bool owned_by_identity;
	char dialect[16]; /* that its statements were read as; "": it has none */
};
int engine_role_load(struct engines *engines, int64_t mount, const char *name,
    struct engine_role **ret_role, struct leased_err *err) LEASED_MUST_CHECK;
void engine_role_free(struct engine_role *role);
bool engine_database_renew_inputs(struct engines *engines, const struct engine_mount *mount,
    const struct store_lease *row, struct lease_ttl_input *ret_ttl);
/* Fills what issue needs of mount, connection and caps; the strings are borrowed from role and
 * request. */
void engine_issue_fill(struct engine_request_copy *request, const struct engine_role *role,
    int64_t connection, const char *place, struct lease_issue *ret_issue);

#endif
