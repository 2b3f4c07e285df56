/*
 * The handlers of the table, file by file. Each gets a request whose caller may do what is asked,
 * and ends it by one answer.
 */
#ifndef API_HANDLERS_H
#define API_HANDLERS_H

#include <stdbool.h>

struct api_request;
struct store_damaged;

void api_sys_health(struct api_request *request);
void api_sys_seal_status(struct api_request *request);
void api_sys_leader(struct api_request *request);
void api_sys_init(struct api_request *request);

void api_sys_reconcile(struct api_request *request);
void api_sys_reconcile_job(struct api_request *request);
void api_sys_lease_abandon(struct api_request *request);
void api_sys_metrics(struct api_request *request);

void api_sys_audit(struct api_request *request);
void api_sys_audit_hash(struct api_request *request);
void api_sys_restore(struct api_request *request);
void api_sys_restore_release(struct api_request *request);

void api_sys_mounts(struct api_request *request);
void api_sys_mount(struct api_request *request);
void api_sys_mount_tune(struct api_request *request);
void api_sys_auth(struct api_request *request);
void api_sys_auth_mount(struct api_request *request);
void api_sys_ui_mounts(struct api_request *request);
void api_sys_ui_mount(struct api_request *request);

void api_sys_policies(struct api_request *request);
void api_sys_policy(struct api_request *request);
void api_sys_policies_legacy(struct api_request *request);
void api_sys_policy_legacy(struct api_request *request);
void api_sys_capabilities_self(struct api_request *request);
void api_sys_capabilities(struct api_request *request);

void api_sys_lease_lookup(struct api_request *request);
void api_sys_lease_renew(struct api_request *request);
void api_sys_lease_revoke(struct api_request *request);
void api_sys_lease_revoke_prefix(struct api_request *request);
void api_sys_lease_revoke_force(struct api_request *request);
/* No handler: what is known of a lease whose record is damaged, for who has sudo. False: answered.
 */
bool api_lease_damaged(
    struct api_request *request, const char *lease_id, struct store_damaged *ret_damaged);
void api_sys_lease_list(struct api_request *request);
void api_sys_leases(struct api_request *request);
void api_sys_lease_count(struct api_request *request);
void api_sys_leases_mine(struct api_request *request);

void api_auth_token_create(struct api_request *request);
void api_auth_token_create_orphan(struct api_request *request);
void api_auth_token_lookup_self(struct api_request *request);
void api_auth_token_lookup(struct api_request *request);
void api_auth_token_lookup_accessor(struct api_request *request);
void api_auth_token_renew_self(struct api_request *request);
void api_auth_token_renew(struct api_request *request);
void api_auth_token_renew_accessor(struct api_request *request);
void api_auth_token_revoke_self(struct api_request *request);
void api_auth_token_revoke(struct api_request *request);
void api_auth_token_revoke_accessor(struct api_request *request);

void api_auth_unix_role(struct api_request *request);
void api_auth_unix_roles(struct api_request *request);

void api_identity_discovery(struct api_request *request);
void api_identity_keys(struct api_request *request);
void api_identity_denied(struct api_request *request);
void api_identity_introspect(struct api_request *request);

void api_mounted(struct api_request *request);

#endif
